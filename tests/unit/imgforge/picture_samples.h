/* SPDX-License-Identifier: Apache-2.0 */
/* picture_samples.h: pictures that tests make themselves. */
#ifndef IMGFORGE_TEST_PICTURE_SAMPLES_H
#define IMGFORGE_TEST_PICTURE_SAMPLES_H

#include <stdint.h>
#include <stdlib.h>
#include <vips/vips.h>

/* A picture of these values, `bands` for each pixel, row by row; 8 bit, or 16 where deep. The caller's. */
static inline VipsImage *sample_of(const uint16_t *values, int width, int height, int bands,
                                   bool is_deep)
{
    size_t count = (size_t)width * (size_t)height * (size_t)bands;
    uint8_t *small = malloc(count);
    VipsImage *image, *out = NULL;
    for (size_t i = 0; i < count; i++)
        small[i] = (uint8_t)values[i];
    image = is_deep ? vips_image_new_from_memory_copy(values, count * 2, width, height, bands,
                                                      VIPS_FORMAT_USHORT)
                    : vips_image_new_from_memory_copy(small, count, width, height, bands,
                                                      VIPS_FORMAT_UCHAR);
    VipsInterpretation space =
        is_deep ? (bands < 3 ? VIPS_INTERPRETATION_GREY16 : VIPS_INTERPRETATION_RGB16)
                : (bands < 3 ? VIPS_INTERPRETATION_B_W : VIPS_INTERPRETATION_sRGB);
    if (vips_copy(image, &out, "interpretation", space, NULL))
        abort();
    g_object_unref(image);
    free(small);
    image = vips_image_copy_memory(out);
    g_object_unref(out);
    return image;
}

static inline unsigned wave(unsigned n)
{
    return n < 256 ? n : 511 - n;
}

/* A picture with something to see: slopes and waves. Alpha, where it has one (2 or 4 bands), goes from left to right from
 * none to all. */
static inline VipsImage *sample_scene(int width, int height, int bands, bool is_deep)
{
    uint16_t *values = malloc((size_t)width * (size_t)height * (size_t)bands * 2), *v = values;
    unsigned unit = is_deep ? 257 : 1;
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++)
            for (int band = 0; band < bands; band++) {
                unsigned n = band == 0   ? (unsigned)(x * 255 / width)
                             : band == 1 ? (unsigned)(y * 255 / height)
                                         : wave((unsigned)(x * 9 + y * 5) % 512);
                if ((bands == 2 && band == 1) || band == 3)
                    n = (unsigned)(x * 255 / (width > 1 ? width - 1 : 1));
                *v++ = (uint16_t)(n * unit);
            }
    VipsImage *out = sample_of(values, width, height, bands, is_deep);
    free(values);
    return out;
}

/* A value of a picture of 8 or 16 bit, all of which it computes the first time. */
static inline double sample_at(VipsImage *image, int x, int y, int band)
{
    if (vips_image_wio_input(image))
        abort();
    const VipsPel *pixel = VIPS_IMAGE_ADDR(image, x, y);
    return image->BandFmt == VIPS_FORMAT_USHORT ? ((const uint16_t *)pixel)[band] : pixel[band];
}

/* The mean of absolute differences of all bands; -1 where shapes differ. */
static inline double sample_distance(VipsImage *a, VipsImage *b)
{
    VipsImage *difference = NULL, *absolute = NULL;
    double mean = -1;
    if (a->Xsize != b->Xsize || a->Ysize != b->Ysize || a->Bands != b->Bands)
        return -1;
    if (vips_subtract(a, b, &difference, NULL) || vips_abs(difference, &absolute, NULL) ||
        vips_avg(absolute, &mean, NULL))
        abort();
    g_object_unref(difference);
    g_object_unref(absolute);
    return mean;
}

#endif
