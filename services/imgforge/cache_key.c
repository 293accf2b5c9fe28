/* SPDX-License-Identifier: Apache-2.0 */
/* cache_key.c: see cache_key.h. What is hashed, in the order of the code below: texts behind their lengths, numbers as the machine has
 * them (a cache on disk is not carried between byte orders; it would be misses).
 *
 * VERSION goes up when the same options begin to mean another picture. */
#include "cache_key.h"

#include "base/assert.h"

#include <gnutls/crypto.h>
#include <string.h>

enum { VERSION = 1, NUMBERS_BYTES_MAX = 768 };

struct writer {
    char *to;
    size_t len, room;
};

static void put(struct writer *w, const void *bytes, size_t len)
{
    ASSERT(len <= w->room - w->len);
    if (len)
        memcpy(w->to + w->len, bytes, len);
    w->len += len;
}

static void put_text(struct writer *w, struct view text)
{
    uint64_t len = text.len;
    put(w, &len, sizeof(len));
    put(w, text.ptr, text.len);
}

static void put_count(struct writer *w, uint64_t n)
{
    put(w, &n, sizeof(n));
}

static void put_number(struct writer *w, double v)
{
    v += 0.0; /* one zero only */
    put(w, &v, sizeof(v));
}

static void put_gravity(struct writer *w, const struct gravity *g)
{
    put_count(w, g->anchor);
    put_number(w, g->x);
    put_number(w, g->y);
}

static void digest(const struct writer *w, struct image_key *out)
{
    int code = gnutls_hash_fast(GNUTLS_DIG_SHA256, w->to, w->len, out->bytes);
    ASSERT(code == 0); /* only memory could be missing */
}

static size_t list_bytes(const char *const *items, size_t count)
{
    size_t bytes = 8;
    for (size_t i = 0; i < count; i++)
        bytes += 8 + strlen(items[i]);
    return bytes;
}

static void put_list(struct writer *w, const char *const *items, size_t count)
{
    put_count(w, count);
    for (size_t i = 0; i < count; i++)
        put_text(w, view_from(items[i]));
}

void cache_key_policy(const struct imgforge_settings *s, struct image_key *out)
{
    const struct pipeline_policy *p = &s->pipeline;
    struct arena arena;
    arena_init(&arena, MEM_OTHER, 0);
    struct writer w = {.room = 64 + list_bytes(p->allowed_types, p->allowed_type_count) +
                               list_bytes(s->in.sources.items, s->in.sources.count)};
    w.to = arena_alloc(&arena, w.room);
    put_count(&w, VERSION);
    put_list(&w, p->allowed_types, p->allowed_type_count);
    put_list(&w, s->in.sources.items, s->in.sources.count);
    put_count(&w, s->source_classes);
    digest(&w, out);
    arena_deinit(&arena);
}

static void put_shape(struct writer *w, const struct image_options *o)
{
    put_count(w, o->resizing_type);
    put_count(w, o->resizing_algorithm);
    put_count(w, o->width);
    put_count(w, o->height);
    put_count(w, o->min_width);
    put_count(w, o->min_height);
    put_number(w, o->zoom_x);
    put_number(w, o->zoom_y);
    put_number(w, o->dpr);
    put_count(w, o->enlarge);
    put_count(w, o->extend.is_on);
    put_gravity(w, &o->extend.gravity);
    put_count(w, o->extend_aspect_ratio.is_on);
    put_gravity(w, &o->extend_aspect_ratio.gravity);
    put_gravity(w, &o->gravity);
    put_count(w, (uint64_t)o->has_crop << 1 | o->has_crop_gravity);
    put_number(w, o->crop_width);
    put_number(w, o->crop_height);
    put_gravity(w, &o->crop_gravity);
    put_count(w, (uint64_t)o->has_trim << 3 | (uint64_t)o->has_trim_color << 2 |
                     (uint64_t)o->trim_equal_h << 1 | o->trim_equal_v);
    put_number(w, o->trim_threshold);
    put(w, o->trim_color, sizeof(o->trim_color));
    for (size_t i = 0; i < 4; i++)
        put_count(w, o->padding[i]);
    put_count(w, (uint64_t)o->auto_rotate << 2 | (uint64_t)o->flip_horizontally << 1 |
                     o->flip_vertically);
    put_count(w, o->rotate);
}

static void put_colours(struct writer *w, const struct image_options *o)
{
    put_count(w, o->has_background);
    put(w, o->background, sizeof(o->background));
    put_count(w, (uint64_t)(int64_t)o->brightness);
    put_number(w, o->contrast);
    put_number(w, o->saturation);
    put_number(w, o->blur);
    put_number(w, o->sharpen);
    put_count(w, o->pixelate);
    put_count(w, o->has_watermark);
    if (!o->has_watermark)
        return;
    put_number(w, o->watermark_opacity);
    put_number(w, o->watermark_scale);
    put_gravity(w, &o->watermark_gravity);
}

/* The qualities that may come into question: of the one format, or of each that the source may have. */
static void put_format(struct writer *w, const struct image_options *o,
                       const struct pipeline_policy *p)
{
    enum image_format format = o->format != IMAGE_FORMAT_NONE ? o->format : p->default_format;
    put_count(w, format);
    put_count(w, o->format != IMAGE_FORMAT_NONE); /* who names none may get the source as it is */
    for (int i = IMAGE_FORMAT_NONE + 1; i < IMAGE_FORMAT_COUNT; i++) {
        if (format == IMAGE_FORMAT_NONE || format == (enum image_format)i)
            put_count(w, image_options_quality(o, (enum image_format)i, p->quality));
    }
    put_count(w, o->max_bytes);
    const bool flags[] = {o->strip_metadata,
                          o->keep_copyright,
                          o->strip_color_profile,
                          o->preserve_hdr,
                          o->enforce_thumbnail,
                          o->jpeg_progressive,
                          o->jpeg_no_subsample,
                          o->jpeg_trellis,
                          o->jpeg_dering,
                          o->jpeg_optimize_scans,
                          o->png_interlaced,
                          o->png_quantize,
                          o->webp_lossless,
                          o->webp_smart_subsample,
                          o->avif_no_subsample,
                          o->disable_animation,
                          o->raw};
    for (size_t i = 0; i < sizeof(flags); i++)
        put(w, &flags[i], 1);
    put_count(w, o->jpeg_quant_table);
    put_count(w, o->png_colors);
    put_count(w, o->webp_preset);
    put_count(w, o->page);
    put_count(w, o->pages);
    put_count(w, o->skip_processing);
}

static void put_limits(struct writer *w, const struct image_limits *l)
{
    put_count(w, l->source_bytes);
    put_count(w, l->source_pixels);
    put_count(w, l->result_side);
    put_count(w, l->animation_frames);
    put_count(w, l->animation_frame_pixels);
}

/* Somebody gave options a new field: does a result depend on it? Then write it above; tests/unit/imgforge/cache_key_test.c asks
 * for each option. */
_Static_assert(sizeof(struct image_options) == 504, "a new option belongs into the key");

void cache_key_make(struct arena *arena, const struct imgforge_settings *s,
                    const struct cache_key_base *base, enum cache_key_kind kind, struct view source,
                    const struct image_options *options, struct image_key *out)
{
    bool has_own_mark = options->has_watermark && options->watermark_url.len == 0;
    struct view own = {(const char *)base->mark.bytes, sizeof(base->mark.bytes)},
                mark = !options->has_watermark ? VIEW("")
                       : has_own_mark          ? own
                                               : options->watermark_url;
    struct writer w = {.room =
                           NUMBERS_BYTES_MAX + source.len + mark.len + options->cachebuster.len};
    w.to = arena_alloc(arena, w.room);
    put(&w, base->policy.bytes, sizeof(base->policy.bytes));
    put_count(&w, kind);
    put_text(&w, source);
    put_text(&w, options->cachebuster);
    put_limits(&w, &options->limits);
    if (kind == CACHE_KEY_IMAGE) {
        put_shape(&w, options);
        put_colours(&w, options);
        put_format(&w, options, &s->pipeline);
        put_count(&w, has_own_mark);
        put_text(&w, mark);
    }
    digest(&w, out);
}
