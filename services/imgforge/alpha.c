/* SPDX-License-Identifier: Apache-2.0 */
/* alpha.c: see alpha.h. With 8 bit a colour that is seen by a tenth keeps 26 levels, all of which cannot be told apart where it is seen. */
#include "alpha.h"

#include <stdint.h>

/* q = p * a / 255, rounded: exact for all bytes (Blinn 1995). */
static inline unsigned weighed(unsigned p, unsigned a)
{
    unsigned v = p * a + 128;
    return (v + (v >> 8)) >> 8;
}

static void weigh_4(const uint8_t *restrict p, uint8_t *restrict q, int count)
{
    for (int x = 0; x < count; x++, p += 4, q += 4) {
        unsigned a = p[3];
        q[0] = (uint8_t)weighed(p[0], a);
        q[1] = (uint8_t)weighed(p[1], a);
        q[2] = (uint8_t)weighed(p[2], a);
        q[3] = (uint8_t)a;
    }
}

static void weigh_2(const uint8_t *restrict p, uint8_t *restrict q, int count)
{
    for (int x = 0; x < count; x++, p += 2, q += 2) {
        q[0] = (uint8_t)weighed(p[0], p[1]);
        q[1] = p[1];
    }
}

/* 65536 * 255 / a, rounded. 0 for what cannot be seen: it is black. Constant after the first use. */
static uint32_t reciprocals[256];

static gpointer fill_reciprocals(gpointer unused)
{
    for (uint32_t a = 1; a < 256; a++)
        reciprocals[a] = (255u * 65536 + a / 2) / a;
    return NULL;
}

static inline uint8_t unweighed(unsigned p, uint32_t reciprocal)
{
    uint64_t v = ((uint64_t)p * reciprocal + (1u << 15)) >> 16;
    return v > 255 ? 255 : (uint8_t)v; /* resizing overshoots at edges */
}

static void unweigh(const uint8_t *restrict p, uint8_t *restrict q, int count, int bands)
{
    for (int x = 0; x < count; x++, p += bands, q += bands) {
        uint32_t reciprocal = reciprocals[p[bands - 1]];
        for (int band = 0; band < bands - 1; band++)
            q[band] = unweighed(p[band], reciprocal);
        q[bands - 1] = p[bands - 1];
    }
}

/* Called by libvips' threads; `undo` is not NULL for the way back. */
static int generate(VipsRegion *out, void *seq, void *in, void *undo, gboolean *stop)
{
    const VipsRect *r = &out->valid;
    VipsRegion *from = seq;
    int bands = out->im->Bands;
    if (vips_region_prepare(from, r))
        return -1;
    for (int y = r->top; y < r->top + r->height; y++) {
        const uint8_t *p = VIPS_REGION_ADDR(from, r->left, y);
        uint8_t *q = VIPS_REGION_ADDR(out, r->left, y);
        if (undo)
            unweigh(p, q, r->width, bands);
        else if (bands == 4)
            weigh_4(p, q, r->width);
        else
            weigh_2(p, q, r->width);
    }
    return 0;
}

static VipsImage *bytes_through(VipsImage *in, void *undo)
{
    static GOnce once = G_ONCE_INIT;
    g_once(&once, fill_reciprocals, NULL);
    VipsImage *out = vips_image_new();
    vips_object_local(out, in);
    if (vips_image_pipelinev(out, VIPS_DEMAND_STYLE_ANY, in, NULL) ||
        vips_image_generate(out, vips_start_one, generate, vips_stop_one, in, undo)) {
        g_object_unref(out);
        return NULL;
    }
    return out;
}

static bool is_bytes(const VipsImage *in)
{
    return in->BandFmt == VIPS_FORMAT_UCHAR && (in->Bands == 2 || in->Bands == 4);
}

VipsImage *alpha_weigh(VipsImage *in, double max_alpha)
{
    VipsImage *out = NULL;
    if (!in || is_bytes(in))
        return in ? bytes_through(in, NULL) : NULL;
    int result = vips_premultiply(in, &out, "max_alpha", max_alpha, NULL);
    g_object_unref(in);
    return result ? NULL : out;
}

VipsImage *alpha_unweigh(VipsImage *in, double max_alpha)
{
    VipsImage *out = NULL;
    if (!in || is_bytes(in))
        return in ? bytes_through(in, in) : NULL;
    int result = vips_unpremultiply(in, &out, "max_alpha", max_alpha, NULL);
    g_object_unref(in);
    return result ? NULL : out;
}
