/* SPDX-License-Identifier: Apache-2.0 */
/* watermark.c: see effects.h. Only the pixels under the mark are computed; libvips' composite would take the whole frame through floats. */
#include "colours.h"
#include "effects.h"
#include "geometry.h"
#include "image_watch.h"
#include "source_load.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* Part of the result's width, where the URL says none. */
#define WATERMARK_SCALE_DEFAULT 0.25
/* 8192 x 8192: a mark is held whole in memory. */
#define WATERMARK_PIXELS_MAX ((double)(1 << 26))

/* --- load --- */

static const char *text_of(const struct image_options *o)
{
    return o->watermark_url.len ? "Failed to fetch watermark image"
                                : "Failed to read watermark image from path";
}

static bool fail_to_read(const struct image_options *o, struct image_failure *f)
{
    return image_fail_by_vips(f, 400, text_of(o));
}

/* After source_open(): its cause stays, and what is not the picture's fault stays as it is. */
static bool fail_to_open(const struct image_options *o, struct image_failure *f)
{
    if (f->status == 400)
        (void)snprintf(f->text, sizeof(f->text), "%s", text_of(o));
    return false;
}

/* Upright sRGB of 8 bit with alpha, of this width, in memory of its own. Takes `in`. */
static VipsImage *scaled_in_memory(VipsImage *in, int width)
{
    VipsImage *scaled = NULL, *out = NULL;
    in = colours_to_working(in, false);
    if (in && vips_thumbnail_image(in, &scaled, width, "height", VIPS_MAX_COORD, NULL) == 0) {
        scaled = colours_with_alpha(colours_to_rgb(scaled));
        out = scaled ? vips_image_copy_memory(scaled) : NULL;
    }
    g_clear_object(&scaled);
    g_clear_object(&in);
    return out;
}

/* What is drawn is drawn as large as it will be. */
static double drawing_scale(enum source_kind kind, double width, double width_now)
{
    return source_kind_is_drawing(kind) ? fmax(1e-3, fmin(width / width_now, 1e3)) : 1;
}

static struct dimensions upright(VipsImage *image)
{
    return dimensions_turned((struct dimensions){image->Xsize, image->Ysize},
                             turns_of_orientation(vips_image_get_orientation(image)));
}

/* The size that it is laid over a result with; not rounded, and not bounded. */
static void size_laid(struct dimensions header, const struct image_options *o, double result_width,
                      double *width, double *height)
{
    double part = o->watermark_scale > 0 ? o->watermark_scale : WATERMARK_SCALE_DEFAULT;
    *width = fmax(1, round(result_width * part));
    *height = *width * (double)header.height / (double)header.width;
}

struct dimensions watermark_header(struct view bytes, const atomic_bool *cancel)
{
    const struct source_reading first = {.cancel = cancel};
    enum source_kind kind = source_kind_sniff(bytes);
    struct image_failure ignored;
    VipsImage *image;
    if (kind == SOURCE_UNKNOWN || !source_open(bytes, kind, &first, &image, &ignored))
        return (struct dimensions){0, 0};
    struct dimensions out = upright(image);
    g_object_unref(image);
    return out;
}

uint64_t watermark_pixels(struct dimensions header, bool is_drawing, const struct image_options *o,
                          double result_width)
{
    double width, height;
    if (header.width == 0)
        return 0;
    size_laid(header, o, result_width, &width, &height);
    double scale =
               drawing_scale(is_drawing ? SOURCE_SVG : SOURCE_UNKNOWN, width, (double)header.width),
           read = (double)header.width * scale * (double)header.height * scale;
    /* More is refused by watermark_load(). */
    return (uint64_t)ceil(fmin(fmax(read, width * height), (double)IMAGE_PIXELS_MAX));
}

/* Filters cost as much a pixel as the file likes, here as in pictures. */
static bool drawing_is_allowed(VipsImage *image, enum source_kind kind,
                               const struct image_options *o, struct image_failure *f)
{
    if (!source_kind_is_drawing(kind) || (int64_t)image->Xsize * image->Ysize <= DRAWN_PIXELS_MAX)
        return true;
    fail_to_read(o, f);
    return image_fail_cause(f, "the watermark would be drawn at %dx%d, over %lld pixels",
                            image->Xsize, image->Ysize, (long long)DRAWN_PIXELS_MAX);
}

bool watermark_load(struct view bytes, const struct image_options *o, int result_width,
                    const atomic_bool *cancel, VipsImage **out, struct image_failure *f)
{
    enum source_kind kind = source_kind_sniff(bytes);
    struct source_reading how = {.cancel = cancel};
    VipsImage *in;
    *out = NULL;
    if (kind == SOURCE_UNKNOWN)
        return image_fail(f, 400, "%s", text_of(o));
    if (!source_open(bytes, kind, &how, &in, f))
        return fail_to_open(o, f);
    double width, height;
    size_laid(upright(in), o, result_width, &width, &height);
    if (width * height > WATERMARK_PIXELS_MAX ||
        (double)in->Xsize * in->Ysize > WATERMARK_PIXELS_MAX) {
        fail_to_read(o, f);
        image_fail_cause(f, "the watermark is %d x %d and would be %.0f x %.0f", in->Xsize,
                         in->Ysize, width, height);
        g_object_unref(in);
        return false;
    }
    how.scale = drawing_scale(kind, width, in->Xsize);
    if (how.scale != 1) {
        g_object_unref(in);
        if (!source_open(bytes, kind, &how, &in, f))
            return fail_to_open(o, f);
    }
    if (!drawing_is_allowed(in, kind, o, f)) {
        g_object_unref(in);
        return false;
    }
    *out = scaled_in_memory(in, (int)width);
    return *out || fail_to_read(o, f);
}

/* --- lay over --- */

/* Where the mark is: once, or again after each step. */
struct placing {
    VipsImage *mark;
    int64_t left, top, step_x, step_y; /* steps 0: once */
    float alphas[256];                 /* of the mark's, with the opacity: 0 to 1 */
};

/* The part of [from, to) that the next copy of the mark covers, at or after `at`; first is where in the mark it begins. */
struct span {
    int64_t from, to, first;
};

static struct span span_at(int64_t at, int64_t end, int64_t start, int64_t length, int64_t step)
{
    int64_t begin = start;
    if (step > 0 && at > start)
        begin = start + (at - start) / step * step;
    if (step > 0 && at >= begin + length)
        begin += step;
    struct span s = {at > begin ? at : begin, begin + length < end ? begin + length : end, 0};
    s.first = s.from - begin;
    return s;
}

/* q: pixels of `bands` of which the fourth is alpha, where there is one. m: RGBA of 8 bit. `unit`: 255 of 8 bit in the units of q. */
#define DEFINE_LAY(depth, type, max)                                                               \
    static void lay_##depth(type *q, int bands, const uint8_t *m, int64_t count,                   \
                            const float *alphas)                                                   \
    {                                                                                              \
        for (int64_t x = 0; x < count; x++, q += bands, m += 4) {                                  \
            float over = alphas[m[3]], under = 1 - over;                                           \
            if (over <= 0)                                                                         \
                continue;                                                                          \
            if (bands == 4) {                                                                      \
                under *= (float)q[3] / max;                                                        \
                float all = over + under;                                                          \
                q[3] = (type)(all * max + 0.5F);                                                   \
                over /= all;                                                                       \
                under /= all;                                                                      \
            }                                                                                      \
            for (int band = 0; band < 3; band++)                                                   \
                q[band] = (type)(q[band] * under + m[band] * (max / 255.0F) * over + 0.5F);        \
        }                                                                                          \
    }
DEFINE_LAY(8, uint8_t, 255.0F)
DEFINE_LAY(16, uint16_t, 65535.0F)

static void lay_row(VipsRegion *out, const struct placing *p, int y, int64_t mark_y)
{
    VipsRect *r = &out->valid;
    int64_t end = (int64_t)r->left + r->width;
    for (int64_t x = r->left; x < end;) {
        struct span s = span_at(x, end, p->left, p->mark->Xsize, p->step_x);
        if (s.from >= s.to)
            break;
        const uint8_t *m = VIPS_IMAGE_ADDR(p->mark, (int)s.first, (int)mark_y);
        VipsPel *q = VIPS_REGION_ADDR(out, (int)s.from, y);
        if (out->im->BandFmt == VIPS_FORMAT_USHORT)
            lay_16((uint16_t *)q, out->im->Bands, m, s.to - s.from, p->alphas);
        else
            lay_8(q, out->im->Bands, m, s.to - s.from, p->alphas);
        x = s.to;
        if (p->step_x == 0)
            break;
    }
}

static int lay_region(VipsRegion *out, void *seq, void *in, void *placing, gboolean *stop)
{
    VipsRegion *from = seq;
    const struct placing *p = placing;
    VipsRect *r = &out->valid;
    if (vips_region_prepare(from, r))
        return -1;
    for (int y = r->top; y < r->top + r->height; y++) {
        struct span s = span_at(y, y + 1, p->top, p->mark->Ysize, p->step_y);
        memcpy(VIPS_REGION_ADDR(out, r->left, y), VIPS_REGION_ADDR(from, r->left, y),
               VIPS_REGION_SIZEOF_LINE(out));
        if (s.from < s.to)
            lay_row(out, p, y, s.first);
    }
    return 0;
}

static int64_t gap(double offset, int64_t axis, double dpr)
{
    double by = fabs(offset) >= 1 ? offset * dpr : offset * (double)axis;
    return (int64_t)round(fmax(0, fmin(by, (double)axis)));
}

static void place(struct placing *p, VipsImage *frame, VipsImage *mark,
                  const struct image_options *o)
{
    struct dimensions outer = {frame->Xsize, frame->Ysize}, inner = {mark->Xsize, mark->Ysize};
    struct gravity g = o->watermark_gravity;
    *p = (struct placing){.mark = mark};
    if (g.anchor == GRAVITY_REPLICATE) {
        p->step_x = inner.width + gap(g.x, outer.width, o->dpr);
        p->step_y = inner.height + gap(g.y, outer.height, o->dpr);
    } else {
        struct window w = window_place(outer, inner, g, o->dpr, true);
        p->left = w.left;
        p->top = w.top;
    }
    for (int alpha = 0; alpha < 256; alpha++)
        p->alphas[alpha] = (float)(alpha / 255.0 * o->watermark_opacity);
}

bool watermark_apply(VipsImage *frame, VipsImage *mark, const struct image_options *o,
                     VipsImage **out, struct image_failure *f)
{
    *out = NULL;
    VipsImage *in = colours_to_rgb(g_object_ref(frame));
    if (!in)
        return image_fail_operation(f);
    VipsImage *laid = vips_image_new();
    struct placing *p = VIPS_NEW(laid, struct placing);
    place(p, in, mark, o);
    vips_object_local(laid, in);
    vips_object_local(laid,
                      g_object_ref(mark)); /* its pixels are read when the result is written */
    if (vips_image_pipelinev(laid, VIPS_DEMAND_STYLE_THINSTRIP, in, NULL) ||
        vips_image_generate(laid, vips_start_one, lay_region, vips_stop_one, in, p)) {
        g_object_unref(laid);
        return image_fail_operation(f);
    }
    *out = laid;
    return true;
}
