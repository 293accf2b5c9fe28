/* SPDX-License-Identifier: Apache-2.0 */
/* image_fixtures.c: see image_fixtures.h. */
#include "image_fixtures.h"

#include "base/buffer.h"
#include "pipeline.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static struct arena arena;

int fixtures_start(void **state)
{
    struct image_failure f = {0};
    arena_init(&arena, MEM_OTHER, 0);
    if (!pipeline_start(IMGFORGE_PROGRAM, &f))
        fail_msg("%s: %s", f.text, f.cause);
    return 0;
}

int fixtures_stop(void **state)
{
    arena_deinit(&arena);
    pipeline_stop();
    return 0;
}

struct image_options fixture_options(const char *text)
{
    struct image_options o;
    struct image_option *options;
    size_t count;
    struct error err = {0};
    image_options_init(&o);
    if (!image_options_split(&arena, view_from(text), &options, &count, &err) ||
        !image_options_read(&arena, options, count, &o, &err))
        fail_msg("%s: %s", text, err.message);
    return o;
}

static void must(int result)
{
    if (result)
        fail_msg("libvips: %s", vips_error_buffer());
}

/* As pixels in memory that are given to libvips. */
static VipsImage *image_of(const uint8_t *pixels, int width, int height, int bands)
{
    VipsImage *raw =
        vips_image_new_from_memory_copy(pixels, (size_t)width * (size_t)height * (size_t)bands,
                                        width, height, bands, VIPS_FORMAT_UCHAR);
    VipsImage *out = NULL;
    must(raw == NULL);
    must(vips_copy(raw, &out, "interpretation",
                   bands < 3 ? VIPS_INTERPRETATION_B_W : VIPS_INTERPRETATION_sRGB, NULL));
    g_object_unref(raw);
    return out;
}

static const uint8_t COLOURS[4][4] = {
    {255, 0, 0, 255}, {0, 255, 0, 255}, {0, 0, 255, 255}, {255, 255, 255, 255}};

VipsImage *fixture_quarters(int width, int height)
{
    uint8_t *pixels = mem_alloc(MEM_OTHER, (size_t)width * (size_t)height * 3), *to = pixels;
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++, to += 3)
            memcpy(to, COLOURS[(y >= height / 2) * 2 + (x >= width / 2)], 3);
    VipsImage *out = image_of(pixels, width, height, 3);
    mem_free(MEM_OTHER, pixels);
    return out;
}

VipsImage *fixture_plain(int width, int height, const uint8_t *rgba, int bands)
{
    size_t count = (size_t)width * (size_t)height;
    uint8_t *pixels = mem_alloc(MEM_OTHER, count * (size_t)bands);
    for (size_t i = 0; i < count; i++)
        memcpy(pixels + i * (size_t)bands, rgba, (size_t)bands);
    VipsImage *out = image_of(pixels, width, height, bands);
    mem_free(MEM_OTHER, pixels);
    return out;
}

VipsImage *fixture_photo(int width, int height)
{
    uint8_t *pixels = mem_alloc(MEM_OTHER, (size_t)width * (size_t)height * 3), *to = pixels;
    uint32_t noise = 1;
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++, to += 3) {
            noise = noise * 1664525 + 1013904223;
            to[0] = (uint8_t)(x * 200 / width + (int)(noise >> 28));
            to[1] = (uint8_t)(y * 200 / height + (int)(noise >> 24 & 15));
            to[2] = (uint8_t)((x + y) * 100 / (width + height) + (int)(noise >> 20 & 15));
        }
    VipsImage *out = image_of(pixels, width, height, 3);
    mem_free(MEM_OTHER, pixels);
    return out;
}

VipsImage *fixture_animation(int width, int height, int frames)
{
    size_t frame = (size_t)width * (size_t)height;
    uint8_t *pixels = mem_alloc(MEM_OTHER, frame * (size_t)frames * 3);
    int *delays = mem_alloc(MEM_OTHER, (size_t)frames * sizeof(*delays));
    for (size_t i = 0; i < frame * (size_t)frames; i++)
        memcpy(pixels + i * 3, COLOURS[i / frame % 4], 3);
    for (int i = 0; i < frames; i++)
        delays[i] = (i + 1) * 100;
    VipsImage *out = image_of(pixels, width, height * frames, 3);
    vips_image_set_int(out, VIPS_META_PAGE_HEIGHT, height);
    vips_image_set_array_int(out, "delay", delays, frames);
    mem_free(MEM_OTHER, delays);
    mem_free(MEM_OTHER, pixels);
    return out;
}

struct view fixture_bytes(const void *bytes, size_t len)
{
    char *copy = arena_alloc(&arena, len ? len : 1);
    if (len)
        memcpy(copy, bytes, len);
    return (struct view){copy, len};
}

struct view fixture_file(VipsImage *image, const char *suffix)
{
    void *bytes = NULL;
    size_t len = 0;
    must(vips_image_write_to_buffer(image, suffix, &bytes, &len, NULL));
    g_object_unref(image);
    struct view out = fixture_bytes(bytes, len);
    g_free(bytes);
    return out;
}

void assert_pixel(VipsImage *image, int x, int y, const uint8_t *expected, int bands, int by,
                  const char *what)
{
    double *pixel = NULL;
    int count = 0;
    must(vips_getpoint(image, &pixel, &count, x, y, NULL));
    if (count != bands)
        fail_msg("%s: %d bands, not %d", what, count, bands);
    for (int i = 0; i < bands; i++)
        if (pixel[i] < expected[i] - by || pixel[i] > expected[i] + by)
            fail_msg("%s: pixel %d, %d has %g in band %d, not %d", what, x, y, pixel[i], i,
                     expected[i]);
    g_free(pixel);
}

void assert_no_memory_kept(const char *what)
{
    for (int waits = 0; pipeline_memory().allocations > 0; waits++) {
        if (waits == 3000)
            fail_msg("%s: %lld bytes are kept", what, (long long)pipeline_memory().bytes);
        g_usleep(10000);
    }
}
