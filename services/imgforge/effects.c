/* SPDX-License-Identifier: Apache-2.0 */
/* effects.c: see effects.h. Levels and saturation are one pass of our own over the pixels, rounded to the nearest value: libvips would go through pictures
 * of floats, at four bytes for each of ours, and cut where we round. */
#include "effects.h"

#include "base/attributes.h"
#include "image_watch.h"

#include <math.h>
#include <string.h>

/* A mask grows with sigma, and the work with it: wider blurs are made of a smaller picture, at half of this sigma or more. Nobody sees it. */
#define BLUR_SIGMA_EXACT 50.0
#define SHARPEN_SIGMA_MIN 0.1
#define SHARPEN_SIGMA_MAX 10.0
/* Of saturation: everything is at an end of the scale long before. It keeps products of floats finite. */
#define SATURATION_MAX 1e6

/* Each stage takes the reference of `in` and gives one; NULL gives NULL: libvips' error is set. */
static VipsImage *replaced(VipsImage *in, int result, VipsImage **out)
{
    g_object_unref(in);
    return result ? NULL : *out;
}

/* --- brightness, contrast, saturation --- */

struct adjustment {
    int bands, colors; /* bands without alpha */
    uint16_t *levels;  /* of each value; NULL: as it is */
    float saturation;  /* 1: as it is */
};

/* Contrast goes around mid-grey, then comes brightness; what leaves the scale is cut once, at the end. */
static uint16_t *make_levels(VipsImage *owner, int max, int brightness, double contrast)
{
    uint16_t *levels = VIPS_ARRAY(owner, (size_t)max + 1, uint16_t);
    double unit = max / 255.0, middle = 128 * unit;
    for (int v = 0; levels && v <= max; v++) {
        double to = (v - middle) * contrast + middle + brightness * unit;
        levels[v] = (uint16_t)floor(fmax(0, fmin(to, max)) + 0.5);
    }
    return levels;
}

static inline float toward_grey(float luma, float v, float saturation, float max)
{
    float to = luma + saturation * (v - luma);
    return (to < 0 ? 0 : to > max ? max : to) + 0.5F;
}

/* Rows of 8 and 16 bit differ in nothing else. `q` and `p` are the same or apart. */
#define DEFINE_ROWS(depth, type, max)                                                              \
    static void levels_row_##depth(type *q, const type *p, int width, const struct adjustment *a)  \
    {                                                                                              \
        for (int x = 0; x < width; x++, q += a->bands, p += a->bands) {                            \
            for (int band = 0; band < a->colors; band++)                                           \
                q[band] = (type)a->levels[p[band]];                                                \
            if (a->colors < a->bands)                                                              \
                q[a->colors] = p[a->colors];                                                       \
        }                                                                                          \
    }                                                                                              \
    static void saturate_row_##depth(type *q, int width, int bands, float saturation)              \
    {                                                                                              \
        for (int x = 0; x < width; x++, q += bands) {                                              \
            float luma = 0.2126F * q[0] + 0.7152F * q[1] + 0.0722F * q[2];                         \
            q[0] = (type)toward_grey(luma, q[0], saturation, max);                                 \
            q[1] = (type)toward_grey(luma, q[1], saturation, max);                                 \
            q[2] = (type)toward_grey(luma, q[2], saturation, max);                                 \
        }                                                                                          \
    }
DEFINE_ROWS(8, uint8_t, 255)
DEFINE_ROWS(16, uint16_t, 65535)

static int adjust_region(VipsRegion *out, void *seq, void *in, void *adjustment, gboolean *stop)
{
    VipsRegion *from = seq;
    const struct adjustment *a = adjustment;
    VipsRect *r = &out->valid;
    if (vips_region_prepare(from, r))
        return -1;
    for (int y = r->top; y < r->top + r->height; y++) {
        VipsPel *q = VIPS_REGION_ADDR(out, r->left, y), *p = VIPS_REGION_ADDR(from, r->left, y);
        bool is_deep = out->im->BandFmt == VIPS_FORMAT_USHORT;
        if (!a->levels)
            memcpy(q, p, VIPS_REGION_SIZEOF_LINE(out));
        else if (is_deep)
            levels_row_16((uint16_t *)q, (const uint16_t *)p, r->width, a);
        else
            levels_row_8(q, p, r->width, a);
        if (a->saturation == 1)
            continue;
        if (is_deep)
            saturate_row_16((uint16_t *)q, r->width, a->bands, a->saturation);
        else
            saturate_row_8(q, r->width, a->bands, a->saturation);
    }
    return 0;
}

static VipsImage *adjust(VipsImage *in, const struct image_options *o)
{
    bool has_levels = o->brightness != 0 || o->contrast != 1;
    bool has_saturation = o->saturation != 1 && in && in->Bands >= 3;
    if (!in || (!has_levels && !has_saturation))
        return in;
    VipsImage *out = vips_image_new();
    struct adjustment *a = VIPS_NEW(out, struct adjustment);
    int max = in->BandFmt == VIPS_FORMAT_USHORT ? UINT16_MAX : UINT8_MAX;
    a->bands = in->Bands;
    a->colors = in->Bands - (vips_image_hasalpha(in) ? 1 : 0);
    a->levels = has_levels ? make_levels(out, max, o->brightness, o->contrast) : NULL;
    a->saturation = has_saturation ? (float)fmin(o->saturation, SATURATION_MAX) : 1;
    vips_object_local(out, in);
    if (vips_image_pipelinev(out, VIPS_DEMAND_STYLE_THINSTRIP, in, NULL) ||
        vips_image_generate(out, vips_start_one, adjust_region, vips_stop_one, in, a)) {
        g_object_unref(out);
        return NULL;
    }
    return out;
}

/* --- blur, sharpen --- */

/* Floats as whole numbers of this format, rounded. */
static VipsImage *rounded_to(VipsImage *in, VipsBandFormat format)
{
    VipsImage *out = NULL;
    if (in)
        in = replaced(in, vips_rint(in, &out, NULL), &out);
    return in ? replaced(in, vips_cast(in, &out, format, NULL), &out) : NULL;
}

/* What is read more than once, or here and there, is made once: libvips keeps no results. */
static VipsImage *in_memory(VipsImage *in)
{
    VipsImage *out = in ? vips_image_copy_memory(in) : NULL;
    g_clear_object(&in);
    return out;
}

static VipsImage *resized(VipsImage *in, int width, int height, VipsKernel kernel)
{
    VipsImage *out = NULL;
    return in ? replaced(in,
                         vips_resize(in, &out, (double)width / in->Xsize, "vscale",
                                     (double)height / in->Ysize, "kernel", kernel, NULL),
                         &out)
              : NULL;
}

static VipsImage *blurred_small(VipsImage *in, double sigma)
{
    VipsImage *out = NULL;
    int width = in->Xsize, height = in->Ysize;
    double part = BLUR_SIGMA_EXACT / 2 / sigma;
    in = resized(in, (int)ceil(width * part), (int)ceil(height * part), VIPS_KERNEL_LINEAR);
    if (in)
        in = replaced(in, vips_gaussblur(in, &out, sigma * part, NULL), &out);
    return resized(in_memory(in), width, height, VIPS_KERNEL_CUBIC);
}

/* Wider than the picture is as wide as the picture: all of it is in each pixel then. */
static VipsImage *gauss(VipsImage *in, double sigma)
{
    VipsImage *out = NULL;
    sigma = fmin(sigma, VIPS_MAX(in->Xsize, in->Ysize));
    return sigma > BLUR_SIGMA_EXACT ? blurred_small(in, sigma)
                                    : replaced(in, vips_gaussblur(in, &out, sigma, NULL), &out);
}

/* What cannot be seen must not shine through: colours count by their alpha. */
static VipsImage *blur(VipsImage *in, double sigma)
{
    VipsImage *out = NULL;
    if (!in || sigma <= 0)
        return in;
    VipsBandFormat format = in->BandFmt;
    bool has_alpha = vips_image_hasalpha(in);
    if (has_alpha)
        in = replaced(in, vips_premultiply(in, &out, NULL), &out);
    in = in ? gauss(in, sigma) : NULL;
    if (!has_alpha || !in)
        return in;
    in = replaced(in, vips_unpremultiply(in, &out, NULL), &out);
    return rounded_to(in, format);
}

/* The colours alone; pixels that cannot be seen get the colours of those around them, farther than sharpening looks, so that there is no
 * edge where nothing is seen beyond. */
static VipsImage *colors_everywhere(VipsImage *in, VipsImage *alpha, double sigma)
{
    VipsImage *is_seen = NULL, *filled = NULL, *out = NULL;
    VipsImage *around = blur(g_object_ref(in), fmax(2 * sigma, 1));
    bool ok = around && vips_more_const1(alpha, &is_seen, 0, NULL) == 0 &&
              vips_ifthenelse(is_seen, in, around, &filled, NULL) == 0 &&
              vips_extract_band(filled, &out, 0, "n", in->Bands - 1, NULL) == 0;
    g_clear_object(&around);
    g_clear_object(&is_seen);
    g_clear_object(&filled);
    return ok ? out : NULL;
}

/* By lightness alone (CIE L*), so that no edge gets a hue. */
static VipsImage *sharpen(VipsImage *in, double sigma)
{
    VipsImage *alpha = NULL, *out = NULL;
    if (!in || sigma <= 0)
        return in;
    sigma = fmax(SHARPEN_SIGMA_MIN, fmin(sigma, SHARPEN_SIGMA_MAX));
    if (!vips_image_hasalpha(in))
        return replaced(in, vips_sharpen(in, &out, "sigma", sigma, NULL), &out);

    in = in_memory(in);
    if (!in || vips_extract_band(in, &alpha, in->Bands - 1, NULL)) {
        g_clear_object(&in);
        return NULL;
    }
    VipsImage *colors = colors_everywhere(in, alpha, sigma);
    if (colors)
        colors = replaced(colors, vips_sharpen(colors, &out, "sigma", sigma, NULL), &out);
    if (colors)
        colors = replaced(colors, vips_bandjoin2(colors, alpha, &out, NULL), &out);
    g_object_unref(alpha);
    g_object_unref(in);
    return colors;
}

/* --- pixelate --- */

/* As many whole blocks as fit, which share what is left. */
static VipsImage *pixelate(VipsImage *in, uint32_t block)
{
    if (!in || block <= 1)
        return in;
    int width = in->Xsize, height = in->Ysize;
    uint32_t across = (uint32_t)width / block, down = (uint32_t)height / block;
    in =
        resized(in_memory(in), across ? (int)across : 1, down ? (int)down : 1, VIPS_KERNEL_NEAREST);
    return resized(in_memory(in), width, height, VIPS_KERNEL_NEAREST);
}

bool effects_hold_pixels(const struct image_options *o)
{
    return o->blur > BLUR_SIGMA_EXACT || o->sharpen > 0 || o->pixelate > 1;
}

bool effects_apply(VipsImage *frame, const struct image_options *o, VipsImage **out,
                   struct image_failure *f)
{
    g_object_ref(frame);
    frame = adjust(frame, o);
    frame = blur(frame, o->blur);
    frame = sharpen(frame, o->sharpen);
    *out = pixelate(frame, o->pixelate);
    return *out || image_fail_operation(f);
}
