/* SPDX-License-Identifier: Apache-2.0 */
#include "effects.h"

#include "picture_samples.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static struct image_options plain_options(void)
{
    struct image_options o;
    image_options_init(&o);
    return o;
}

/* In memory, so that all of it is computed. */
static VipsImage *with_effects(VipsImage *image, const struct image_options *o)
{
    struct image_failure f = {0};
    VipsImage *out, *pixels;
    if (!effects_apply(image, o, &out, &f))
        fail_msg("%s (%s)", f.text, f.cause);
    pixels = vips_image_copy_memory(out);
    if (!pixels)
        fail_msg("%s", vips_error_buffer());
    g_object_unref(out);
    assert_int_equal(pixels->Xsize, image->Xsize);
    assert_int_equal(pixels->Ysize, image->Ysize);
    assert_int_equal(pixels->Bands, image->Bands);
    assert_int_equal(pixels->BandFmt, image->BandFmt);
    assert_int_equal(pixels->Type, image->Type);
    return pixels;
}

/* --- brightness, contrast, saturation --- */

static int nearest(double v, int max)
{
    return (int)fmax(0, fmin(floor(v + 0.5), max));
}

/* By the words of the specification, pixel by pixel. */
static void expect_pixel(const uint16_t *in, int bands, int max, const struct image_options *o,
                         int out[4])
{
    static const double LUMA[3] = {0.2126, 0.7152, 0.0722};
    int colors = bands % 2 ? bands : bands - 1;
    double unit = max / 255.0, luma = 0;
    for (int band = 0; band < bands; band++)
        out[band] =
            band < colors
                ? nearest((in[band] - 128 * unit) * o->contrast + 128 * unit + o->brightness * unit,
                          max)
                : in[band];
    if (bands < 3)
        return;
    for (int band = 0; band < 3; band++)
        luma += LUMA[band] * out[band];
    for (int band = 0; band < 3; band++)
        out[band] = nearest(luma + o->saturation * (out[band] - luma), max);
}

static const struct {
    int brightness;
    double contrast, saturation;
} ADJUSTMENTS[] = {
    {0, 1, 1},      {40, 1, 1},    {-255, 1, 1},   {255, 1, 1},        {0, 1.5, 1},
    {0, 0.001, 1},  {0, 1e300, 1}, {0, 1, 0.0001}, {0, 1, 2.5},        {0, 1, 1e300},
    {-30, 1.25, 1}, {30, 0.5, 3},  {17, 2, 0.5},   {-255, 0.01, 0.01},
};

/* Every shape of pixels, both depths: exact but for a tie of floats. */
static void adjustments_are_exact(void **state)
{
    enum { WIDTH = 61, HEIGHT = 7 };
    (void)state;
    for (int bands = 1; bands <= 4; bands++)
        for (int deep = 0; deep < 2; deep++) {
            VipsImage *image = sample_scene(WIDTH, HEIGHT, bands, deep);
            for (size_t i = 0; i < sizeof(ADJUSTMENTS) / sizeof(ADJUSTMENTS[0]); i++) {
                struct image_options o = plain_options();
                o.brightness = ADJUSTMENTS[i].brightness;
                o.contrast = ADJUSTMENTS[i].contrast;
                o.saturation = ADJUSTMENTS[i].saturation;
                VipsImage *out = with_effects(image, &o);
                for (int at = 0; at < WIDTH * HEIGHT; at++) {
                    uint16_t in[4] = {0};
                    int want[4], x = at % WIDTH, y = at / WIDTH;
                    for (int band = 0; band < bands; band++)
                        in[band] = (uint16_t)sample_at(image, x, y, band);
                    expect_pixel(in, bands, deep ? 65535 : 255, &o, want);
                    for (int band = 0; band < bands; band++) {
                        double got = sample_at(out, x, y, band);
                        if (fabs(got - want[band]) > (o.saturation != 1 && band < 3))
                            fail_msg("%zu: %d bands at %d, %d: band %d of %d is %g, expected %d", i,
                                     bands, x, y, band, in[band], got, want[band]);
                    }
                }
                g_object_unref(out);
            }
            g_object_unref(image);
        }
}

static const struct {
    const char *name;
    int brightness;
    double contrast, saturation;
    uint16_t in[4], out[4];
} PIXELS[] = {
    {"brightness is added", 20, 1, 1, {10, 100, 250, 7}, {30, 120, 255, 7}},
    {"and taken away", -20, 1, 1, {10, 100, 250, 7}, {0, 80, 230, 7}},
    {"contrast goes around 128", 0, 2, 1, {128, 100, 200, 7}, {128, 72, 255, 7}},
    {"half of it", 0, 0.5, 1, {128, 101, 255, 7}, {128, 115, 192, 7}},
    {"contrast, then brightness", 10, 2, 1, {128, 100, 60, 7}, {138, 82, 2, 7}},
    {"nothing is cut in between", -100, 2, 1, {230, 0, 128, 7}, {232, 0, 28, 7}},
    {"grey has no saturation", 0, 1, 5, {77, 77, 77, 7}, {77, 77, 77, 7}},
    {"red as luma", 0, 1, 1e-9, {255, 0, 0, 7}, {54, 54, 54, 7}},
    {"green as luma", 0, 1, 1e-9, {0, 255, 0, 7}, {182, 182, 182, 7}},
    {"blue as luma", 0, 1, 1e-9, {0, 0, 255, 7}, {18, 18, 18, 7}},
    {"twice the colour", 0, 1, 2, {100, 120, 140, 7}, {83, 123, 163, 7}},
};

static void pixels_change_as_told(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(PIXELS) / sizeof(PIXELS[0]); i++) {
        struct image_options o = plain_options();
        o.brightness = PIXELS[i].brightness;
        o.contrast = PIXELS[i].contrast;
        o.saturation = PIXELS[i].saturation;
        VipsImage *image = sample_of(PIXELS[i].in, 1, 1, 4, false), *out = with_effects(image, &o);
        for (int band = 0; band < 4; band++)
            if (sample_at(out, 0, 0, band) != PIXELS[i].out[band])
                fail_msg("%s: band %d is %g", PIXELS[i].name, band, sample_at(out, 0, 0, band));
        g_object_unref(out);
        g_object_unref(image);
    }
}

/* --- blur, sharpen --- */

/* Without alpha they are libvips' own operations to the bit. */
static void opaque_pictures_are_blurred_and_sharpened_as_by_libvips(void **state)
{
    (void)state;
    for (int deep = 0; deep < 2; deep++)
        for (int bands = 1; bands <= 3; bands += 2) {
            VipsImage *image = sample_scene(50, 40, bands, deep), *want = NULL;
            struct image_options o = plain_options();
            o.blur = 2.5;
            VipsImage *out = with_effects(image, &o);
            assert_int_equal(vips_gaussblur(image, &want, 2.5, NULL), 0);
            assert_true(sample_distance(out, want) == 0);
            assert_true(sample_distance(out, image) > 0.1);
            g_object_unref(out);
            g_clear_object(&want);
            o.blur = 0;
            o.sharpen = 1.5;
            out = with_effects(image, &o);
            assert_int_equal(vips_sharpen(image, &want, "sigma", 1.5, NULL), 0);
            assert_true(sample_distance(out, want) == 0);
            assert_true(bands == 1 || sample_distance(out, image) > 0); /* slopes stay */
            g_object_unref(out);
            g_clear_object(&want);
            o.sharpen = 1e9; /* is as 10 */
            out = with_effects(image, &o);
            assert_int_equal(vips_sharpen(image, &want, "sigma", 10.0, NULL), 0);
            assert_true(sample_distance(out, want) == 0);
            g_object_unref(out);
            g_object_unref(want);
            g_object_unref(image);
        }
}

/* Left half: a colour that is seen. Right half: another, hidden. */
static VipsImage *half_hidden(int bands, bool is_deep)
{
    enum { SIDE = 32 };
    uint16_t values[SIDE * SIDE * 4], *v = values, unit = is_deep ? 257 : 1;
    for (int at = 0; at < SIDE * SIDE; at++) {
        bool is_seen = at % SIDE < SIDE / 2;
        for (int band = 0; band < bands - 1; band++)
            *v++ = (uint16_t)((is_seen ? 200 - 50 * band : 5) * unit);
        *v++ = (uint16_t)((is_seen ? 255 : 0) * unit);
    }
    return sample_of(values, SIDE, SIDE, bands, is_deep);
}

/* What cannot be seen has no colour to give: blurred, the seen one keeps its value and fades. */
static void hidden_colors_do_not_shine_through(void **state)
{
    (void)state;
    for (int bands = 2; bands <= 4; bands += 2)
        for (int deep = 0; deep < 2; deep++) {
            VipsImage *image = half_hidden(bands, deep);
            double unit = deep ? 257 : 1;
            struct image_options o = plain_options();
            o.blur = 3;
            VipsImage *out = with_effects(image, &o);
            double alpha = sample_at(out, 16, 16, bands - 1);
            assert_true(alpha > 40 * unit && alpha < 215 * unit);
            for (int x = 0; x < 19; x++)
                assert_true(fabs(sample_at(out, x, 16, 0) - 200 * unit) <= unit);
            g_object_unref(out);

            o.blur = 0;
            o.sharpen = 2;
            out = with_effects(image, &o);
            for (int x = 0; x < 16; x++) /* no edge where nothing is seen beyond */
                if (fabs(sample_at(out, x, 16, 0) - 200 * unit) > 2 * unit)
                    fail_msg("%d bands at %d: %g", bands, x, sample_at(out, x, 16, 0) / unit);
            for (int x = 0; x < 32; x++)
                assert_true(sample_at(out, x, 16, bands - 1) == sample_at(image, x, 16, bands - 1));
            g_object_unref(out);
            g_object_unref(image);
        }
}

/* Wide blurs are made of a smaller picture: what differs from the mask of libvips is not seen. */
static void wide_blurs_are_nearly_exact(void **state)
{
    static const double SIGMAS[] = {51, 80, 120};
    (void)state;
    for (size_t i = 0; i < sizeof(SIGMAS) / sizeof(SIGMAS[0]); i++) {
        VipsImage *image = sample_scene(301, 203, 3, i == 1), *want = NULL;
        struct image_options o = plain_options();
        o.blur = SIGMAS[i];
        VipsImage *out = with_effects(image, &o);
        assert_int_equal(vips_gaussblur(image, &want, SIGMAS[i], NULL), 0);
        double distance = sample_distance(out, want) / (i == 1 ? 257 : 1);
        if (distance < 0 || distance > 1.5)
            fail_msg("sigma %g differs by %g", SIGMAS[i], distance);
        g_object_unref(out);
        g_object_unref(want);
        g_object_unref(image);
    }
}

/* The widest blur that can be asked for ends, with nearly one colour. */
static void blur_has_an_end(void **state)
{
    static const int SIDES[][2] = {{16, 16}, {1, 1}, {500, 2}};
    (void)state;
    for (size_t i = 0; i < sizeof(SIDES) / sizeof(SIDES[0]); i++) {
        VipsImage *image = sample_scene(SIDES[i][0], SIDES[i][1], 4, false);
        struct image_options o = plain_options();
        o.blur = 1e300;
        VipsImage *out = with_effects(image, &o);
        assert_true(fabs(sample_at(out, 0, 0, 0) - sample_at(out, out->Xsize - 1, 0, 0)) <= 130);
        g_object_unref(out);
        g_object_unref(image);
    }
}

/* --- pixelate --- */

static int count_of_changes(VipsImage *image, bool is_down)
{
    int changes = 0;
    for (int i = 1; i < (is_down ? image->Ysize : image->Xsize); i++)
        changes += is_down ? sample_at(image, 0, i, 1) != sample_at(image, 0, i - 1, 1)
                           : sample_at(image, i, 0, 0) != sample_at(image, i - 1, 0, 0);
    return changes;
}

/* Any size stays and has as many blocks as fit. The scene's first two bands grow to the right and down, so that each block differs from
 * the one before. */
static void blocks_have_one_value(void **state)
{
    static const int SIDES[][2] = {{60, 40}, {61, 43}, {7, 100}, {1, 1}, {100, 3}};
    static const unsigned BLOCKS[] = {2, 3, 5, 10, 50, 1000000000};
    (void)state;
    for (size_t s = 0; s < sizeof(SIDES) / sizeof(SIDES[0]); s++)
        for (size_t b = 0; b < sizeof(BLOCKS) / sizeof(BLOCKS[0]); b++) {
            VipsImage *image = sample_scene(SIDES[s][0], SIDES[s][1], 4, false);
            struct image_options o = plain_options();
            o.pixelate = BLOCKS[b];
            VipsImage *out = with_effects(image, &o);
            unsigned across = (unsigned)SIDES[s][0] / BLOCKS[b],
                     down = (unsigned)SIDES[s][1] / BLOCKS[b];
            int changes_x = count_of_changes(out, false), changes_y = count_of_changes(out, true);
            if (changes_x != (across ? (int)across - 1 : 0) ||
                changes_y != (down ? (int)down - 1 : 0))
                fail_msg("%d x %d by %u: %d and %d changes", SIDES[s][0], SIDES[s][1], BLOCKS[b],
                         changes_x, changes_y);
            g_object_unref(out);
            g_object_unref(image);
        }
}

/* 0 and 1 are nothing. */
static void blocks_of_one_pixel_change_nothing(void **state)
{
    (void)state;
    VipsImage *image = sample_scene(30, 20, 3, false);
    struct image_options o = plain_options();
    o.pixelate = 1;
    VipsImage *out = with_effects(image, &o);
    assert_true(sample_distance(image, out) == 0);
    g_object_unref(out);
    g_object_unref(image);
}

/* Effects read a file that can be read from top to bottom only. */
static void effects_read_from_top_to_bottom(void **state)
{
    (void)state;
    VipsImage *image = sample_scene(300, 2000, 4, false), *from_file;
    void *bytes;
    size_t len;
    assert_int_equal(vips_pngsave_buffer(image, &bytes, &len, "compression", 1, NULL), 0);
    from_file = vips_image_new_from_buffer(bytes, len, "", "access", VIPS_ACCESS_SEQUENTIAL, NULL);
    struct image_options o = plain_options();
    o.brightness = 10;
    o.saturation = 2;
    o.blur = 20;
    o.sharpen = 5;
    o.pixelate = 8;
    VipsImage *want = with_effects(image, &o), *out = with_effects(from_file, &o);
    assert_true(sample_distance(want, out) == 0);
    g_object_unref(want);
    g_object_unref(out);
    g_object_unref(from_file);
    g_object_unref(image);
    g_free(bytes);
}

static int start(void **state)
{
    (void)state;
    return VIPS_INIT("effects_test");
}

static int stop(void **state)
{
    (void)state;
    vips_shutdown();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(adjustments_are_exact),
        cmocka_unit_test(pixels_change_as_told),
        cmocka_unit_test(opaque_pictures_are_blurred_and_sharpened_as_by_libvips),
        cmocka_unit_test(hidden_colors_do_not_shine_through),
        cmocka_unit_test(wide_blurs_are_nearly_exact),
        cmocka_unit_test(blur_has_an_end),
        cmocka_unit_test(blocks_have_one_value),
        cmocka_unit_test(blocks_of_one_pixel_change_nothing),
        cmocka_unit_test(effects_read_from_top_to_bottom),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
