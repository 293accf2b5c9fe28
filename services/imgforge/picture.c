/* SPDX-License-Identifier: Apache-2.0 */
/* picture.c: see picture.h. What is loaded of a source, and how large; frames taken apart and put together again. Their stages are frame.c's. */
#include "picture.h"

#include "base/mem.h"
#include "effects.h"
#include "frame.h"
#include "source_load.h"

#include <math.h>

/* Below this ratio of source to result decoding less saves too little for what it blurs. */
#define LOAD_RATIO_MIN 1.5
/* Windows of a picture that was shrunk while it was decoded are off by up to half a pixel of it: by a quarter of one of the result, with this. */
#define CROPPED_RATIO 2

struct loading {
    const struct pipeline_request *rq;
    const struct image_options *options;
    enum source_kind kind;
    const struct format_traits *format;
    struct source_reading reading;
    VipsImage *image;
    struct dimensions source; /* of a frame, as stored */
    int frames;
    struct turns turns;
    struct dimensions mark; /* the watermark's header */
    uint64_t pixels;        /* that were weighed, the watermark's among them */
    uint64_t mark_pixels;
};

/* --- guards --- */

static bool open_as(struct loading *l, struct image_failure *f)
{
    g_clear_object(&l->image);
    return source_open(l->rq->source, l->kind, &l->reading, &l->image, f);
}

static bool size_is_allowed(const struct loading *l, struct image_failure *f)
{
    uint64_t limit = l->options->limits.source_pixels;
    uint64_t pixels = (uint64_t)l->source.width * (uint64_t)l->source.height;
    if (pixels <= (uint64_t)IMAGE_PIXELS_MAX && (limit == 0 || pixels <= limit))
        return true;
    image_fail(f, 400, "Source image resolution is too large");
    return image_fail_cause(f, "%lldx%lld", (long long)l->source.width,
                            (long long)l->source.height);
}

/* Opens the first page that is wanted. */
static bool open_first(struct loading *l, struct image_failure *f)
{
    if (source_kind_has_pages(l->kind))
        l->reading.page = (int)VIPS_MIN(l->options->page, (uint32_t)INT32_MAX);
    if (!open_as(l, f))
        return false;
    l->source = (struct dimensions){l->image->Xsize, l->image->Ysize};
    return size_is_allowed(l, f);
}

bool picture_check(const struct pipeline_request *rq, enum source_kind kind, struct dimensions *out,
                   struct image_failure *f)
{
    struct loading l = {.rq = rq,
                        .options = rq->options,
                        .kind = kind,
                        .reading = {.cancel = rq->cancel},
                        .frames = 1};
    bool ok = open_first(&l, f);
    *out = l.source;
    g_clear_object(&l.image);
    return ok;
}

/* --- what is loaded --- */

/* How many frames there will be: those of an animation where the result can hold them, else one. */
static int frames_wanted(const struct loading *l)
{
    const struct image_options *o = l->options;
    int64_t there = vips_image_get_n_pages(l->image) - l->reading.page, wanted = 1;
    bool is_animation = l->kind == SOURCE_GIF || l->kind == SOURCE_WEBP;
    if (!source_kind_has_pages(l->kind) || o->disable_animation || there <= 1)
        return 1;
    if (o->pages)
        wanted = o->pages;
    else if (is_animation && l->format->has_animation)
        wanted = there;
    if (o->limits.animation_frames && (uint64_t)wanted > o->limits.animation_frames)
        wanted = (int64_t)o->limits.animation_frames;
    wanted = VIPS_MIN(VIPS_MIN(wanted, there), ANIMATION_FRAMES_MAX);
    return wanted < 1 ? 1 : (int)wanted;
}

static bool open_frames(struct loading *l, struct image_failure *f)
{
    uint64_t limit = l->options->limits.animation_frame_pixels;
    l->frames = frames_wanted(l);
    if (l->frames == 1)
        return true;
    if (limit && (uint64_t)l->source.width * (uint64_t)l->source.height > limit)
        return image_fail(f, 400, "Animation frame is %lldx%lld, over the %llu pixel frame limit",
                          (long long)l->source.width, (long long)l->source.height,
                          (unsigned long long)limit);
    l->reading.pages = l->frames;
    if (!open_as(l, f))
        return false;
    int height = vips_image_get_page_height(l->image);
    if (l->image->Ysize == height * l->frames)
        return true;
    image_fail(f, 400, "Failed to decode source image");
    return image_fail_cause(f, "%d frames of %d rows are not %d rows", l->frames, height,
                            l->image->Ysize);
}

/* How many times larger than what is needed the source is, on the axis where it is least; 1: nothing is known. */
static double ratio_to_result(const struct loading *l, bool *is_cropped)
{
    const struct image_options *o = l->options;
    struct dimensions size = dimensions_turned(l->source, l->turns), cropped = size;
    struct resize_plan plan;
    struct error err = {0};
    if (o->has_crop)
        cropped = crop_dimensions(o, size);
    *is_cropped = cropped.width != size.width || cropped.height != size.height;
    if (o->has_trim || !resize_plan(o, cropped, &plan, &err)) /* refused later */
        return 1;
    double scale = fmax((double)plan.scaled.width / (double)cropped.width,
                        (double)plan.scaled.height / (double)cropped.height);
    return 1 / scale;
}

/* Decodes less where the decoder can and enough stays. */
static bool open_smaller(struct loading *l, struct image_failure *f)
{
    bool is_cropped, is_drawn = source_kind_is_drawing(l->kind);
    double ratio = ratio_to_result(l, &is_cropped);
    if (is_cropped)
        ratio /= CROPPED_RATIO;
    if (l->frames > 1 || (ratio < LOAD_RATIO_MIN && !(is_drawn && ratio < 1)))
        return true;
    if (l->kind == SOURCE_JPEG)
        l->reading.shrink = ratio >= 8 ? 8 : ratio >= 4 ? 4 : ratio >= 2 ? 2 : 1;
    else if (l->kind == SOURCE_WEBP || is_drawn)
        l->reading.scale = 1 / ratio;
    else
        return true;
    double scale = is_drawn ? l->reading.scale : 1;
    if ((double)l->source.width * scale * (double)l->source.height * scale >
        (double)
            IMAGE_PIXELS_MAX) /* a drawing that is to be larger than any picture: refused later */
        return true;
    return open_as(l, f);
}

/* The small picture that comes with a large one takes its place. */
static bool open_thumbnail(struct loading *l, struct image_failure *f)
{
    bool may_have = l->kind == SOURCE_HEIF || l->kind == SOURCE_AVIF;
    if (!l->options->enforce_thumbnail || !may_have || l->frames > 1)
        return true;
    l->reading.thumbnail = true;
    if (!open_as(l, f))
        return false;
    l->source = (struct dimensions){l->image->Xsize, l->image->Ysize};
    return size_is_allowed(l, f);
}

static bool drawing_is_allowed(const struct loading *l, struct image_failure *f)
{
    int64_t pixels = (int64_t)l->image->Xsize * l->image->Ysize;
    if (!source_kind_is_drawing(l->kind) || pixels <= DRAWN_PIXELS_MAX)
        return true;
    image_fail(f, 400, "Source image resolution is too large");
    return image_fail_cause(f, "would be drawn at %dx%d, over %lld pixels", l->image->Xsize,
                            l->image->Ysize, (long long)DRAWN_PIXELS_MAX);
}

static bool open_all(struct loading *l, struct image_failure *f)
{
    if (!open_first(l, f) || !open_frames(l, f))
        return false;
    if (l->options->auto_rotate)
        l->turns = turns_of_orientation(vips_image_get_orientation(l->image));
    return open_thumbnail(l, f) && open_smaller(l, f) && drawing_is_allowed(l, f);
}

/* --- memory --- */

/* 16 bits of four channels: a progressive JPEG, an interlaced PNG, what is turned or trimmed is held whole, before it is shrunk. */
enum { BYTES_PER_PIXEL = 8 };

static uint64_t pixels_of(struct dimensions d)
{
    return (uint64_t)d.width * (uint64_t)d.height;
}

/* Of the source as it is stored, or of the result, or as it was opened (a drawing for the longer side of what it is forced to), where that is larger: what is
 * trimmed may become larger yet. */
static uint64_t pixels_held(const struct loading *l)
{
    struct dimensions size = dimensions_turned(l->source, l->turns);
    struct resize_plan plan;
    struct error err = {0};
    uint64_t pixels = pixels_of(size);
    if (l->options->has_crop)
        size = crop_dimensions(l->options, size);
    if (resize_plan(l->options, size, &plan, &err)) /* else refused later */
        pixels = VIPS_MAX(pixels, VIPS_MAX(pixels_of(plan.scaled), pixels_of(plan.box)));
    struct dimensions opened = {l->image->Xsize, l->image->Ysize};
    return VIPS_MAX(pixels * (uint64_t)l->frames, pixels_of(opened));
}

/* Of the frame that the watermark will be laid over, where nothing makes it larger afterwards: admit_watermark() knows. */
static int64_t width_expected(const struct loading *l)
{
    const struct image_options *o = l->options;
    struct dimensions size = dimensions_turned(l->source, l->turns);
    struct resize_plan plan;
    struct error err = {0};
    if (o->has_crop)
        size = crop_dimensions(o, size);
    if (resize_plan(o, size, &plan, &err)) /* else refused later */
        size = o->extend.is_on ? plan.box : plan.kept;
    return dimensions_turned(size, (struct turns){.rotate = o->rotate}).width;
}

static uint64_t mark_pixels(const struct loading *l, double result_width)
{
    bool is_drawing = source_kind_is_drawing(source_kind_sniff(l->rq->watermark));
    return watermark_pixels(l->mark, is_drawing, l->options, result_width);
}

/* Asks only for more than before. */
static bool admit(struct loading *l, uint64_t pixels, struct image_failure *f)
{
    const struct pipeline_request *rq = l->rq;
    if (pixels <= l->pixels)
        return true;
    l->pixels = pixels;
    return !rq->admit || rq->admit(rq->admit_arg, pixels * BYTES_PER_PIXEL, f);
}

/* Before any pixel is made. */
static bool admit_all(struct loading *l, struct image_failure *f)
{
    if (l->options->has_watermark && l->rq->watermark.len) {
        l->mark = watermark_header(l->rq->watermark, l->rq->cancel);
        l->mark_pixels = mark_pixels(l, (double)width_expected(l));
    }
    return admit(l, pixels_held(l) + l->mark_pixels, f);
}

static bool admit_watermark(void *loading, int result_width, struct image_failure *f)
{
    struct loading *l = loading;
    uint64_t others = l->pixels - l->mark_pixels, pixels = mark_pixels(l, result_width);
    l->mark_pixels = VIPS_MAX(l->mark_pixels, pixels);
    return admit(l, others + l->mark_pixels, f);
}

/* --- frames --- */

/* Takes nothing of `all`. */
static bool frame_at(struct frame_rules *rules, VipsImage *all, int height, int i, VipsImage **out,
                     struct image_failure *f)
{
    VipsImage *one = NULL;
    if (vips_extract_area(all, &one, 0, i * height, all->Xsize, height, NULL))
        return image_fail_operation(f);
    return frame_make(rules, one, out, f);
}

static bool make_animation(struct frame_rules *rules, VipsImage *all, int count, VipsImage **out,
                           int *frame_height, struct image_failure *f)
{
    int height = all->Ysize / count;
    VipsImage **frames = mem_alloc_zero(MEM_OTHER, (size_t)count, sizeof(*frames));
    bool ok = true;
    for (int i = 0; ok && i < count; i++)
        ok = !image_watch_is_cancelled(rules->watch) &&
             frame_at(rules, all, height, i, &frames[i], f);
    if (ok) {
        *frame_height = frames[0]->Ysize;
        if ((int64_t)*frame_height * count >= VIPS_MAX_COORD)
            ok = image_fail(f, 400, "Processed image would be %dx%lld, over the %d pixel limit",
                            frames[0]->Xsize, (long long)*frame_height * count, VIPS_MAX_COORD);
        else if (vips_arrayjoin(frames, out, count, "across", 1, NULL))
            ok = image_fail_operation(f);
    }
    for (int i = 0; i < count; i++)
        if (frames[i])
            g_object_unref(frames[i]);
    mem_free(MEM_OTHER, frames);
    return ok;
}

/* --- metadata --- */

/* How long frames are shown is said for all of the file's: kept for those that are here. */
static void cut_delays(VipsImage *image, int first, int count)
{
    int *all, n;
    if (!vips_image_get_typeof(image, "delay") ||
        vips_image_get_array_int(image, "delay", &all, &n))
        return;
    int *ours = g_new0(int, count);
    for (int i = 0; i < count && first + i < n; i++)
        ours[i] = all[first + i];
    vips_image_set_array_int(image, "delay", ours, count);
    g_free(ours);
}

/* Says of the image what it is now. It is nobody else's. */
static void tell_metadata(const struct loading *l, VipsImage *image, int frame_height)
{
    static const char *const OF_ANIMATIONS[] = {
        VIPS_META_PAGE_HEIGHT, VIPS_META_N_PAGES, "delay", "gif-delay", "loop", "gif-loop"};
    if (l->options->auto_rotate)
        vips_autorot_remove_angle(image);
    if (l->frames > 1) {
        vips_image_set_int(image, VIPS_META_PAGE_HEIGHT, frame_height);
        vips_image_set_int(image, VIPS_META_N_PAGES, l->frames);
        cut_delays(image, l->reading.page, l->frames);
        return;
    }
    for (size_t i = 0; i < sizeof(OF_ANIMATIONS) / sizeof(OF_ANIMATIONS[0]); i++)
        vips_image_remove(image, OF_ANIMATIONS[i]);
}

/* --- all of it --- */

static bool make(struct loading *l, struct picture *p, struct image_failure *f)
{
    struct frame_rules rules = {.options = l->options,
                                .format = l->format,
                                .watermark = l->rq->watermark,
                                .source = l->source,
                                .turns = l->turns,
                                .is_animated = l->frames > 1,
                                .frames = l->frames,
                                .watch = p->watch,
                                .admit_watermark = admit_watermark,
                                .admit_arg = l};
    VipsImage *image = NULL;
    VipsImage *source = image_watch_pixels(l->image, p->watch, true);
    l->image = NULL; /* taken */
    if (!source)
        return image_fail_operation(f);
    bool ok;
    if (l->frames > 1) {
        ok = make_animation(&rules, source, l->frames, &image, &p->frame_height, f);
        g_object_unref(source);
    } else {
        ok = frame_make(&rules, source, &image, f); /* takes it */
    }
    frame_rules_deinit(&rules);
    if (!ok)
        return false;
    p->image = image_watch_pixels(image, p->watch, false);
    if (!p->image)
        return image_fail_operation(f);
    if (l->frames == 1)
        p->frame_height = p->image->Ysize;
    p->source = l->source;
    p->frames = l->frames;
    tell_metadata(l, p->image, p->frame_height);
    return true;
}

bool picture_make(const struct pipeline_request *rq, enum source_kind kind,
                  enum image_format format, struct picture *out, struct image_failure *f)
{
    struct loading l = {.rq = rq,
                        .options = rq->options,
                        .kind = kind,
                        .format = format_traits(format),
                        .reading = {.cancel = rq->cancel},
                        .frames = 1};
    *out = (struct picture){0};
    out->watch = mem_alloc_zero(MEM_OTHER, 1, sizeof(*out->watch));
    out->watch->cancel = rq->cancel;
    bool ok = open_all(&l, f) && admit_all(&l, f) && make(&l, out, f);
    g_clear_object(&l.image);
    if (ok) {
        struct dimensions made = {out->image->Xsize, out->image->Ysize};
        if (!admit(&l, pixels_of(made) + l.mark_pixels, f)) {
            picture_deinit(out);
            return false;
        }
    }
    if (ok && !image_watch_is_cancelled(out->watch))
        return true;
    image_watch_explain(out->watch, f);
    picture_deinit(out);
    return false;
}

void picture_deinit(struct picture *p)
{
    g_clear_object(&p->image);
    mem_free(MEM_OTHER, p->watch);
    *p = (struct picture){0};
}
