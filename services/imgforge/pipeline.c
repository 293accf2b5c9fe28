/* SPDX-License-Identifier: Apache-2.0 */
/* pipeline.c: see pipeline.h. */
#include "pipeline.h"

#include "base/buffer.h"
#include "drawers.h"
#include "encode.h"
#include "picture.h"

#include <ctype.h>
#include <malloc.h>
#include <vips/vector.h>

/* --- life --- */

/* The decoders that source_load.c asks for; all others of libvips are refused, whoever asks. */
static const char *const DECODERS[] = {
    "VipsForeignLoadJpeg", "VipsForeignLoadPng",  "VipsForeignLoadWebp", "VipsForeignLoadNsgif",
    "VipsForeignLoadTiff", "VipsForeignLoadHeif", "VipsForeignLoadSvg",  "VipsForeignLoadPdf"};

static unsigned formats; /* constant after pipeline_start() */

/* What libvips and the libraries below it would print of damaged pictures. What fails says so itself. */
static void drop_log(const gchar *domain, GLogLevelFlags level, const gchar *message, gpointer data)
{
    if (level & G_LOG_FLAG_FATAL)
        g_log_default_handler(domain, level, message, data);
}

enum { HEAPS_MAX = 2 };

bool pipeline_start_libvips(struct image_failure *f)
{
    /* Each thread's heap of its own keeps what its largest picture left: after 7,000 mixed requests 86 MB, with two heaps 68
     * (bench/imgforge_soak.py). Pixels are in few large pieces, so threads hardly wait for each other. */
    (void)mallopt(M_ARENA_MAX, HEAPS_MAX); /* nothing but memory is lost if it does not take it */
    if (vips_init("imgforge"))
        return image_fail_operation(f);
    g_log_set_default_handler(drop_log, NULL);
    /* A picture is worked on by one thread: as many pictures as there are workers are made at once, and what threads of one tell each other costs
     * (docs/decisions/017-threads-of-libvips.md). */
    vips_concurrency_set(1);
    /* liborc 0.4.33 frees the code that it made for one picture while it makes some for another, without a lock: a crash once in some
     * thousand pictures (docs/decisions/019-no-code-at-run-time.md). */
    vips_vector_set_enabled(FALSE);
    /* Operations are never asked for twice with the same images. */
    vips_cache_set_max(0);
    vips_operation_block_set("VipsForeignLoad", TRUE);
    for (size_t i = 0; i < sizeof(DECODERS) / sizeof(DECODERS[0]); i++)
        vips_operation_block_set(DECODERS[i], FALSE);
    return true;
}

bool pipeline_start(const char *drawer, struct image_failure *f)
{
    if (!pipeline_start_libvips(f))
        return false;
    formats = 0;
    for (int format = IMAGE_FORMAT_NONE + 1; format < IMAGE_FORMAT_COUNT; format++)
        if (format_can_encode((enum image_format)format))
            formats |= 1u << format;
    vips_error_clear();
    /* Codecs took some MiB to show that they write: back to the system, where pictures are not as large. */
    malloc_trim(0);
    drawers_start(drawer);
    return true;
}

void pipeline_stop(void)
{
    drawers_stop();
    vips_shutdown();
}

unsigned pipeline_formats(void)
{
    return formats;
}

struct pipeline_memory pipeline_memory(void)
{
    return (struct pipeline_memory){(int64_t)vips_tracked_get_mem(),
                                    (int64_t)vips_tracked_get_mem_highwater(),
                                    vips_tracked_get_allocs()};
}

/* --- guards --- */

/* By any of its names: who allows image/jpeg has origins that say image/jpg. */
static bool type_is_allowed(const struct pipeline_policy *policy, struct view type)
{
    enum source_kind kind = source_kind_from_type(type);
    for (size_t i = 0; i < policy->allowed_type_count; i++) {
        struct view allowed = view_from(policy->allowed_types[i]);
        if (view_eq(type, allowed) ||
            (kind != SOURCE_UNKNOWN && source_kind_from_type(allowed) == kind))
            return true;
    }
    return false;
}

/* "Image/JPEG; charset=x" is "image/jpeg". */
static struct view bare_type(struct view declared, char *room, size_t room_bytes)
{
    size_t len = 0;
    for (size_t i = 0; i < declared.len && declared.ptr[i] != ';' && len < room_bytes; i++)
        if (declared.ptr[i] != ' ' && declared.ptr[i] != '\t')
            room[len++] = (char)tolower((unsigned char)declared.ptr[i]);
    return (struct view){room, len};
}

static bool types_are_allowed(const struct pipeline_policy *policy, struct view declared,
                              enum source_kind kind, struct image_failure *f)
{
    char room[128];
    if (!policy->allowed_types)
        return true;
    struct view type = bare_type(declared, room, sizeof(room));
    struct view sniffed = view_from(source_kind_type(kind));
    if ((type.len == 0 || type_is_allowed(policy, type)) && type_is_allowed(policy, sniffed))
        return true;
    image_fail(f, 400, "Source image MIME type is not allowed");
    return image_fail_cause(f, "declared \"%.*s\", found \"%.*s\"", VIEW_ARGS(type),
                            VIEW_ARGS(sniffed));
}

static bool kind_is_allowed(const struct pipeline_policy *policy, const struct pipeline_request *rq,
                            enum source_kind *kind, struct image_failure *f)
{
    *kind = source_kind_sniff(rq->source);
    if (!types_are_allowed(policy, rq->declared_type, *kind, f))
        return false;
    if (*kind != SOURCE_UNKNOWN)
        return true;
    image_fail(f, 400, "Failed to decode source image");
    return image_fail_cause(f, "%zu bytes of no known kind of picture", rq->source.len);
}

bool pipeline_check_source(const struct pipeline_policy *policy, const struct pipeline_request *rq,
                           struct image_failure *f)
{
    enum source_kind kind;
    struct dimensions size;
    return kind_is_allowed(policy, rq, &kind, f) && picture_check(rq, kind, &size, f);
}

/* --- processing --- */

enum image_format pipeline_output_format(const struct pipeline_policy *policy,
                                         const struct image_options *o, enum source_kind kind)
{
    enum image_format same = source_kind_format(kind);
    bool is_skipped = same != IMAGE_FORMAT_NONE && o->skip_processing & 1u << same;
    if (o->raw || (is_skipped && (o->format == IMAGE_FORMAT_NONE || o->format == same)))
        return IMAGE_FORMAT_NONE;
    if (o->format != IMAGE_FORMAT_NONE)
        return o->format;
    if (policy->default_format != IMAGE_FORMAT_NONE)
        return policy->default_format;
    /* What is only read may be a drawing or have alpha: PNG loses nothing of it. */
    return same != IMAGE_FORMAT_NONE ? same : IMAGE_FORMAT_PNG;
}

static bool give_source(const struct pipeline_request *rq, enum source_kind kind,
                        struct pipeline_result *out, struct image_failure *f)
{
    if (!picture_check(rq, kind, &out->source, f))
        return false;
    out->result = out->source;
    buffer_append_view(&out->bytes, rq->source);
    return !out->bytes.failed || image_fail(f, 500, "Image operation failed");
}

static bool make_result(const struct pipeline_policy *policy, const struct pipeline_request *rq,
                        enum source_kind kind, struct pipeline_result *out, struct image_failure *f)
{
    struct picture p;
    if (!picture_make(rq, kind, out->format, &p, f))
        return false;
    bool ok =
        picture_encode(&p, rq->options, out->format, policy->quality, rq->cancel, &out->bytes, f);
    if (!ok)
        image_watch_explain(p.watch, f);
    out->source = p.source;
    out->result = (struct dimensions){p.image->Xsize, p.frame_height};
    out->trim_was_ignored = rq->options->has_trim && p.frames > 1;
    picture_deinit(&p);
    return ok;
}

bool pipeline_process(const struct pipeline_policy *policy, const struct pipeline_request *rq,
                      struct pipeline_result *out, struct image_failure *f)
{
    enum source_kind kind;
    if (!kind_is_allowed(policy, rq, &kind, f))
        return false;
    out->format = pipeline_output_format(policy, rq->options, kind);
    if (out->format == IMAGE_FORMAT_NONE)
        return give_source(rq, kind, out, f);
    if (!(formats & 1u << out->format))
        return image_fail(f, 400, "Unsupported output format: %s", image_format_name(out->format));
    return make_result(policy, rq, kind, out, f);
}
