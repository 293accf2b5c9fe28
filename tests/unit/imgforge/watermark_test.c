/* SPDX-License-Identifier: Apache-2.0 */
#include "drawers.h"
#include "effects.h"

#include "picture_samples.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static struct image_options marked(double opacity, enum gravity_anchor anchor, double x, double y)
{
    struct image_options o;
    image_options_init(&o);
    o.has_watermark = true;
    o.watermark_opacity = opacity;
    o.watermark_gravity = (struct gravity){anchor, x, y};
    return o;
}

/* One colour; 8 bit, or as 16 bit where deep. */
static VipsImage *plain(int width, int height, int bands, bool is_deep, const uint16_t color[4])
{
    uint16_t *values = malloc((size_t)width * (size_t)height * (size_t)bands * 2);
    for (int i = 0; i < width * height * bands; i++)
        values[i] = (uint16_t)(color[i % bands] * (is_deep ? 257 : 1));
    VipsImage *out = sample_of(values, width, height, bands, is_deep);
    free(values);
    return out;
}

static VipsImage *laid(VipsImage *frame, VipsImage *mark, const struct image_options *o)
{
    struct image_failure f = {0};
    VipsImage *out, *pixels;
    if (!watermark_apply(frame, mark, o, &out, &f))
        fail_msg("%s (%s)", f.text, f.cause);
    pixels = vips_image_copy_memory(out);
    assert_non_null(pixels);
    g_object_unref(out);
    return pixels;
}

static const struct {
    const char *name;
    double opacity;
    uint16_t frame[4], mark[4], out[4]; /* RGBA */
} BLENDS[] = {
    {"all of it", 1, {10, 20, 30, 255}, {200, 100, 0, 255}, {200, 100, 0, 255}},
    {"half of it", 0.5, {10, 20, 30, 255}, {200, 100, 0, 255}, {105, 60, 15, 255}},
    {"nothing of it", 0, {10, 20, 30, 77}, {200, 100, 0, 255}, {10, 20, 30, 77}},
    {"its own alpha", 1, {0, 0, 0, 255}, {255, 255, 255, 51}, {51, 51, 51, 255}},
    {"both alphas", 0.5, {0, 0, 0, 255}, {255, 255, 255, 102}, {51, 51, 51, 255}},
    {"on nothing", 0.5, {9, 9, 9, 0}, {200, 100, 50, 255}, {200, 100, 50, 128}},
    {"on half of something", 0.5, {0, 0, 0, 128}, {255, 255, 255, 255}, {170, 170, 170, 192}},
};

/* Porter and Duff's "over", with colours that are not multiplied by alpha; 8 and 16 bit, with and without alpha. */
static void marks_are_laid_over(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(BLENDS) / sizeof(BLENDS[0]); i++)
        for (int deep = 0; deep < 2; deep++)
            for (int bands = 3; bands <= 4; bands++) {
                if (bands == 3 && BLENDS[i].frame[3] != 255)
                    continue;
                double unit = deep ? 257 : 1;
                struct image_options o = marked(BLENDS[i].opacity, GRAVITY_CENTER, 0, 0);
                VipsImage *frame = plain(8, 8, bands, deep, BLENDS[i].frame),
                          *mark = plain(4, 4, 4, false, BLENDS[i].mark),
                          *out = laid(frame, mark, &o);
                assert_int_equal(out->Bands, bands);
                assert_int_equal(out->BandFmt, frame->BandFmt);
                for (int band = 0; band < bands; band++) {
                    double got = sample_at(out, 4, 4, band);
                    if (fabs(got - BLENDS[i].out[band] * unit) > (deep ? 257 : 0))
                        fail_msg("%s: band %d is %g", BLENDS[i].name, band, got / unit);
                    assert_true(sample_at(out, 0, 0, band) == BLENDS[i].frame[band] * unit);
                }
                g_object_unref(out);
                g_object_unref(mark);
                g_object_unref(frame);
            }
}

/* Where a mark of 4 x 4 is seen on a frame of 20 x 10: left, top, width, height. */
static const struct {
    const char *name;
    enum gravity_anchor anchor;
    double x, y, dpr;
    int left, top, width, height;
} PLACES[] = {
    {"centre", GRAVITY_CENTER, 0, 0, 1, 8, 2, 4, 4},
    {"north west", GRAVITY_NORTH_WEST, 0, 0, 1, 0, 0, 4, 4},
    {"south east", GRAVITY_SOUTH_EAST, 0, 0, 1, 16, 6, 4, 4},
    {"south east, inwards", GRAVITY_SOUTH_EAST, 2, 4, 1, 14, 2, 4, 4},
    {"inwards twice as far", GRAVITY_SOUTH_EAST, 2, 2, 2, 12, 2, 4, 4},
    {"parts of the sides", GRAVITY_NORTH_WEST, 0.5, 0.2, 1, 10, 2, 4, 4},
    {"beyond the left", GRAVITY_NORTH_WEST, -2, 0, 1, 0, 0, 2, 4},
    {"beyond the right", GRAVITY_EAST, -2, 0, 1, 18, 2, 2, 4},
    {"beyond the bottom", GRAVITY_SOUTH, 0, -2, 1, 8, 8, 4, 2},
};

static void marks_are_placed_by_gravity(void **state)
{
    static const uint16_t BLACK[4] = {0, 0, 0, 255}, WHITE[4] = {255, 255, 255, 255};
    (void)state;
    for (size_t i = 0; i < sizeof(PLACES) / sizeof(PLACES[0]); i++) {
        struct image_options o = marked(1, PLACES[i].anchor, PLACES[i].x, PLACES[i].y);
        o.dpr = PLACES[i].dpr;
        VipsImage *frame = plain(20, 10, 3, false, BLACK), *mark = plain(4, 4, 4, false, WHITE),
                  *out = laid(frame, mark, &o);
        for (int at = 0; at < 200; at++) {
            int x = at % 20, y = at / 20;
            bool is_inside = x >= PLACES[i].left && x < PLACES[i].left + PLACES[i].width &&
                             y >= PLACES[i].top && y < PLACES[i].top + PLACES[i].height;
            if ((sample_at(out, x, y, 0) == 255) != is_inside)
                fail_msg("%s: %d, %d", PLACES[i].name, x, y);
        }
        g_object_unref(out);
        g_object_unref(mark);
        g_object_unref(frame);
    }
}

/* Tiles begin at the top left; offsets are the gaps between them. Each pixel of a mark is told by its colour. */
static void marks_are_tiled(void **state)
{
    static const uint16_t BLACK[4] = {0, 0, 0, 255};
    static const struct {
        double x, y, dpr;
        int step_x, step_y;
    } GAPS[] = {
        {0, 0, 1, 3, 2}, {1, 2, 1, 4, 4}, {2, 1, 2, 7, 4}, {0.1, 0.1, 1, 5, 3}, {-5, -5, 1, 3, 2}};
    uint16_t values[3 * 2 * 4];
    (void)state;
    for (int i = 0; i < 6; i++)
        for (int band = 0; band < 4; band++)
            values[i * 4 + band] = band == 3 ? 255 : (uint16_t)(i + 1);
    for (size_t i = 0; i < sizeof(GAPS) / sizeof(GAPS[0]); i++) {
        struct image_options o = marked(1, GRAVITY_REPLICATE, GAPS[i].x, GAPS[i].y);
        o.dpr = GAPS[i].dpr;
        VipsImage *frame = plain(20, 10, 3, false, BLACK),
                  *mark = sample_of(values, 3, 2, 4, false), *out = laid(frame, mark, &o);
        for (int at = 0; at < 200; at++) {
            int x = at % 20 % GAPS[i].step_x, y = at / 20 % GAPS[i].step_y;
            int want = x < 3 && y < 2 ? y * 3 + x + 1 : 0;
            if (sample_at(out, at % 20, at / 20, 1) != want)
                fail_msg("%zu: %d, %d is %g, expected %d", i, at % 20, at / 20,
                         sample_at(out, at % 20, at / 20, 1), want);
        }
        g_object_unref(out);
        g_object_unref(mark);
        g_object_unref(frame);
    }
}

/* A mark of colours makes colours of grey. */
static void grey_frames_get_colors(void **state)
{
    static const uint16_t GREY[4] = {100, 255}, RED[4] = {255, 0, 0, 255};
    (void)state;
    for (int bands = 1; bands <= 2; bands++) {
        struct image_options o = marked(1, GRAVITY_NORTH_WEST, 0, 0);
        VipsImage *frame = plain(8, 8, bands, false, GREY), *mark = plain(4, 4, 4, false, RED),
                  *out = laid(frame, mark, &o);
        assert_int_equal(out->Bands, bands + 2);
        assert_true(sample_at(out, 0, 0, 0) == 255 && sample_at(out, 0, 0, 1) == 0);
        assert_true(sample_at(out, 7, 7, 0) == 100 && sample_at(out, 7, 7, 2) == 100);
        g_object_unref(out);
        g_object_unref(mark);
        g_object_unref(frame);
    }
}

/* --- load --- */

static VipsImage *loaded(struct view bytes, double scale, int width)
{
    struct image_options o = marked(1, GRAVITY_CENTER, 0, 0);
    struct image_failure f = {0};
    VipsImage *out;
    o.watermark_scale = scale;
    if (!watermark_load(bytes, &o, width, NULL, &out, &f))
        fail_msg("%d %s (%s)", f.status, f.text, f.cause);
    assert_int_equal(out->Bands, 4);
    assert_int_equal(out->BandFmt, VIPS_FORMAT_UCHAR);
    assert_int_equal(out->Type, VIPS_INTERPRETATION_sRGB);
    return out;
}

/* A quarter of the result's width where nothing is said; larger and smaller; its shape stays; grey and 16 bit become what is laid. */
static void marks_are_scaled_to_the_result(void **state)
{
    static const struct {
        double scale;
        int result, width, height;
    } SIZES[] = {
        {0, 400, 100, 50}, {0.5, 400, 200, 100}, {2, 100, 200, 100}, {0, 2, 1, 1}, {1, 40, 40, 20}};
    (void)state;
    for (int bands = 1; bands <= 4; bands++)
        for (size_t i = 0; i < sizeof(SIZES) / sizeof(SIZES[0]); i++) {
            VipsImage *image = sample_scene(40, 20, bands, i % 2);
            void *bytes;
            size_t len;
            assert_int_equal(vips_pngsave_buffer(image, &bytes, &len, NULL), 0);
            VipsImage *mark = loaded((struct view){bytes, len}, SIZES[i].scale, SIZES[i].result);
            assert_int_equal(mark->Xsize, SIZES[i].width);
            assert_int_equal(mark->Ysize, SIZES[i].height);
            if (bands % 2)
                assert_true(sample_at(mark, 0, 0, 3) == 255);
            g_object_unref(mark);
            g_object_unref(image);
            g_free(bytes);
        }
}

/* A drawing has sharp edges at any size. */
static void drawings_are_drawn_at_their_size(void **state)
{
    struct view svg = VIEW("<svg xmlns='http://www.w3.org/2000/svg' width='8' height='4'>"
                           "<rect width='4' height='4' fill='#ff0000'/></svg>");
    (void)state;
    VipsImage *mark = loaded(svg, 1, 800);
    assert_int_equal(mark->Xsize, 800);
    assert_int_equal(mark->Ysize, 400);
    assert_true(sample_at(mark, 397, 200, 0) == 255 && sample_at(mark, 397, 200, 3) == 255);
    assert_true(sample_at(mark, 402, 200, 3) == 0);
    g_object_unref(mark);
}

static void unusable_marks_are_refused(void **state)
{
    static const struct {
        struct view bytes;
        struct view url;
        double scale;
        const char *text;
    } CASES[] = {
        {VIEW_INIT(""), VIEW_INIT(""), 0, "Failed to read watermark image from path"},
        {VIEW_INIT("hello"), VIEW_INIT(""), 0, "Failed to read watermark image from path"},
        {VIEW_INIT("hello"), VIEW_INIT("http://a.test/"), 0, "Failed to fetch watermark image"},
        {VIEW_INIT("\xFF\xD8\xFF\xE0 and no more"), VIEW_INIT(""), 0,
         "Failed to read watermark image from path"},
        {VIEW_INIT("<svg xmlns='http://www.w3.org/2000/svg' width='9' height='9'/>"), VIEW_INIT(""),
         1000, "Failed to read watermark image from path"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        struct image_options o = marked(1, GRAVITY_CENTER, 0, 0);
        struct image_failure f = {0};
        VipsImage *out;
        o.watermark_url = CASES[i].url;
        o.watermark_scale = CASES[i].scale;
        assert_false(watermark_load(CASES[i].bytes, &o, 1000, NULL, &out, &f));
        assert_null(out);
        assert_int_equal(f.status, 400);
        assert_string_equal(f.text, CASES[i].text);
    }
}

/* Flat as it is stored, high as it is seen: what it would take of memory is known before it is taken. */
static void turned_marks_are_measured_as_they_are_seen(void **state)
{
    struct image_options o = marked(1, GRAVITY_CENTER, 0, 0);
    struct image_failure f = {0};
    VipsImage *image = sample_scene(400, 2, 3, false), *turned = NULL, *out;
    void *bytes;
    size_t len;
    (void)state;
    assert_int_equal(vips_copy(image, &turned, NULL), 0);
    vips_image_set_int(turned, VIPS_META_ORIENTATION, 6);
    assert_int_equal(vips_jpegsave_buffer(turned, &bytes, &len, NULL), 0);
    VipsImage *mark = loaded((struct view){bytes, len}, 1, 4);
    assert_int_equal(mark->Xsize, 4);
    assert_int_equal(mark->Ysize, 800);
    o.watermark_scale = 1;
    assert_false(watermark_load((struct view){bytes, len}, &o, 1000, NULL, &out, &f));
    assert_string_equal(f.cause, "the watermark is 400 x 2 and would be 1000 x 200000");
    g_object_unref(mark);
    g_object_unref(turned);
    g_object_unref(image);
    g_free(bytes);
}

/* 4096 x 4096, however small the file says it is. */
static void drawn_marks_have_the_bounds_of_drawings(void **state)
{
    static const struct view SVG = VIEW_INIT("<svg xmlns='http://www.w3.org/2000/svg' width='10' "
                                             "height='10'><rect width='9' height='9'/></svg>");
    struct image_options o = marked(1, GRAVITY_CENTER, 0, 0);
    struct image_failure f = {0};
    VipsImage *out;
    (void)state;
    o.watermark_scale = 819;
    assert_false(watermark_load(SVG, &o, 10, NULL, &out, &f));
    assert_null(out);
    assert_int_equal(f.status, 400);
    assert_string_equal(f.cause, "the watermark would be drawn at 8190x8190, over 16777216 pixels");
    o.watermark_scale = 409.7;
    assert_false(watermark_load(SVG, &o, 10, NULL, &out, &f));
    VipsImage *mark = loaded(SVG, 409.6, 10);
    assert_int_equal(mark->Xsize, 4096);
    assert_int_equal(mark->Ysize, 4096);
    g_object_unref(mark);
}

/* What the log is to say, and whose fault it is. */
static void failures_of_ours_keep_their_cause(void **state)
{
    static const struct view SVG =
        VIEW_INIT("<svg xmlns='http://www.w3.org/2000/svg' width='10' height='10'/>");
    struct image_options o = marked(1, GRAVITY_CENTER, 0, 0);
    struct image_failure f = {0};
    VipsImage *out;
    (void)state;
    drawers_stop();
    drawers_start("/nonexistent/imgforge");
    assert_false(watermark_load(SVG, &o, 10, NULL, &out, &f));
    assert_int_equal(f.status, 500);
    assert_string_equal(f.cause, "no process to draw with: No such file or directory");
    drawers_stop();
    drawers_start(IMGFORGE_PROGRAM);
    assert_false(watermark_load(VIEW("<svg xmlns='http://www.w3.org/2000/svg'><g></svg>"), &o, 10,
                                NULL, &out, &f));
    assert_int_equal(f.status, 400);
    assert_string_equal(f.text, "Failed to read watermark image from path");
    assert_true(f.cause[0] != '\0');
}

static int start(void **state)
{
    (void)state;
    drawers_start(IMGFORGE_PROGRAM);
    return VIPS_INIT("watermark_test");
}

static int stop(void **state)
{
    (void)state;
    drawers_stop();
    vips_shutdown();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(marks_are_laid_over),
        cmocka_unit_test(marks_are_placed_by_gravity),
        cmocka_unit_test(marks_are_tiled),
        cmocka_unit_test(grey_frames_get_colors),
        cmocka_unit_test(marks_are_scaled_to_the_result),
        cmocka_unit_test(drawn_marks_have_the_bounds_of_drawings),
        cmocka_unit_test(failures_of_ours_keep_their_cause),
        cmocka_unit_test(drawings_are_drawn_at_their_size),
        cmocka_unit_test(unusable_marks_are_refused),
        cmocka_unit_test(turned_marks_are_measured_as_they_are_seen),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
