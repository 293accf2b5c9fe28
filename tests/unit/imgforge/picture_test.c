/* SPDX-License-Identifier: Apache-2.0 */
#include "picture.h"

#include "image_fixtures.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static const uint8_t RED[] = {255, 0, 0, 255}, GREEN[] = {0, 255, 0, 255},
                     BLUE[] = {0, 0, 255, 255}, WHITE[] = {255, 255, 255, 255},
                     BLACK[] = {0, 0, 0, 255}, CLEAR[] = {0, 0, 0, 0};

/* A picture made, and what it was made with. */
struct made {
    struct image_options options;
    struct pipeline_request request;
    struct picture picture;
    struct image_failure failure;
    bool ok;
};

/* With its pixels in memory: what fails while they are made fails here. */
static void make(struct made *m, struct view file, const char *options, enum image_format format)
{
    *m = (struct made){.options = fixture_options(options)};
    m->request = (struct pipeline_request){.source = file, .options = &m->options};
    m->ok = picture_make(&m->request, source_kind_sniff(file), format, &m->picture, &m->failure);
    if (!m->ok)
        return;
    VipsImage *pixels = vips_image_copy_memory(m->picture.image);
    if (pixels) {
        g_object_unref(m->picture.image);
        m->picture.image = pixels;
        return;
    }
    image_fail_operation(&m->failure);
    image_watch_explain(m->picture.watch, &m->failure);
    picture_deinit(&m->picture);
    m->ok = false;
}

static VipsImage *must_make(struct made *m, struct view file, const char *options,
                            enum image_format format)
{
    make(m, file, options, format);
    if (!m->ok)
        fail_msg("%s: %d %s (%s)", options, m->failure.status, m->failure.text, m->failure.cause);
    return m->picture.image;
}

/* --- sizes --- */

/* Of a JPEG of 400 x 300, which is red, green | blue, white. */
static const struct {
    const char *options;
    int width, height;
    int x, y; /* a pixel, and its colour */
    const uint8_t *colour;
} SIZES[] = {
    {"", 400, 300, 20, 20, RED},
    {"rs:fit:200:200", 200, 150, 190, 10, GREEN},
    {"rs:fit:100:100", 100, 75, 10, 70, BLUE},
    {"rs:fit:50:50", 50, 38, 45, 35, WHITE},
    {"rs:fit:33:33", 33, 25, 2, 2, RED},
    {"rs:fit:800:800", 400, 300, 390, 290, WHITE},
    {"rs:fit:800:800:1", 800, 600, 20, 590, BLUE},
    {"rs:fill:200:200", 200, 200, 10, 10, RED},
    {"rs:fill:100:200", 100, 200, 20, 20, RED},
    {"rs:fill:100:150/g:we", 100, 150, 90, 20, RED},
    {"rs:fill:100:150/g:ea", 100, 150, 10, 140, WHITE},
    {"rs:fill:200:75/g:no", 200, 75, 190, 70, GREEN},
    {"rs:fill:200:75/g:so", 200, 75, 10, 5, BLUE},
    {"rs:fill:50:75/g:noea", 50, 75, 5, 5, GREEN},
    {"rs:fill:75:75/g:nowe", 75, 75, 5, 5, RED},
    {"rs:fill:100:150/g:fp:1:0.5", 100, 150, 5, 5, GREEN},
    {"rs:fill:100:150/g:we:100:0", 100, 150, 50, 140, WHITE},
    {"rs:fill:100:150/g:sm", 100, 150, 50, 0, NULL},
    {"rs:fill-down:800:400", 400, 200, 10, 10, RED},
    {"rs:force:100:200", 100, 200, 10, 190, BLUE},
    {"rs:auto:200:100", 200, 100, 10, 10, RED},
    {"rs:auto:100:200", 100, 75, 90, 10, GREEN},
    {"rs:fit:100:100/dpr:2", 200, 150, 190, 140, WHITE},
    {"rs:fit:100:100/mw:150", 150, 113, 140, 100, WHITE},
    {"rs:fit:100:100/z:2", 200, 150, 190, 10, GREEN},
    {"rs:fit:100:100/z:0.5:2", 50, 150, 45, 10, GREEN},
    {"z:0.25", 100, 75, 90, 10, GREEN},
    {"mh:600", 800, 600, 10, 590, BLUE},
    {"c:200:150:nowe", 200, 150, 190, 140, RED},
    {"c:200:150:soea", 200, 150, 10, 10, WHITE},
    {"c:0.5:0.5:noea", 200, 150, 10, 140, GREEN},
    {"c:0:100:so", 400, 100, 10, 10, BLUE},
    {"c:1000:1000", 400, 300, 10, 10, RED},
    {"c:200:150/g:sowe", 200, 150, 100, 20, BLUE},
    {"c:200:150:soea/rs:fit:20:20", 20, 15, 2, 2, WHITE},
    {"c:200:100:sm/rs:fit:100:100", 100, 50, 0, 0, NULL},
    {"rs:fit:100:100:0:1", 100, 100, 5, 5, BLACK},
    {"rs:fit:100:100:0:1:so/bg:00ff00", 100, 100, 5, 5, GREEN},
    {"rs:fit:100:100/ex:1:no", 100, 100, 5, 5, RED},
    {"rs:fit:200:0/exar:1", 200, 150, 5, 5, RED},
    {"rs:fit:600:600/exar:1", 400, 400, 5, 5, BLACK},
    {"rs:force:100:100/exar:1", 100, 100, 5, 5, RED},
    {"rs:fit:100:100/pd:10", 120, 95, 12, 12, RED},
    {"rs:fit:100:100/pd:10:20:30:40/bg:0000ff", 160, 115, 2, 2, BLUE},
    {"rs:fit:100:100/pd:10:20:30:40/bg:0000ff", 160, 115, 42, 12, RED},
    {"rs:fit:50:50/pd:5/dpr:2", 120, 95, 5, 5, BLACK},
    {"rot:90", 300, 400, 10, 10, BLUE},
    {"rot:180", 400, 300, 10, 10, WHITE},
    {"rot:270", 300, 400, 10, 10, GREEN},
    {"fl:1", 400, 300, 10, 10, GREEN},
    {"fl:0:1", 400, 300, 10, 10, BLUE},
    {"rot:90/fl:1:1", 300, 400, 10, 10, GREEN},
    {"rs:fill:100:50/rot:90", 50, 100, 5, 5, BLUE}, /* turned after it was cut */
    {"rs:fit:100:100/pd:20:0:0:0/rot:90", 75 + 20, 100, 90, 50, BLACK},
    {"rs:fit:80:80/ra:nearest", 80, 60, 70, 50, WHITE},
    {"rs:fit:80:80/ra:linear", 80, 60, 70, 50, WHITE},
    {"rs:fit:80:80/ra:cubic", 80, 60, 70, 50, WHITE},
    {"rs:fit:80:80/ra:lanczos2", 80, 60, 70, 50, WHITE},
    {"rs:fit:1:1", 1, 1, 0, 0, NULL},
};

static void options_give_sizes_and_places(void **state)
{
    static const char *const FILES[] = {".jpg[Q=95]", ".png", ".webp[Q=95]", ".tif"};
    for (size_t k = 0; k < sizeof(FILES) / sizeof(FILES[0]); k++) {
        struct view file = fixture_file(fixture_quarters(400, 300), FILES[k]);
        for (size_t i = 0; i < sizeof(SIZES) / sizeof(SIZES[0]); i++) {
            struct made m;
            VipsImage *image = must_make(&m, file, SIZES[i].options, IMAGE_FORMAT_JPEG);
            if (image->Xsize != SIZES[i].width || image->Ysize != SIZES[i].height)
                fail_msg("%s: %s: %d x %d", FILES[k], SIZES[i].options, image->Xsize, image->Ysize);
            if (SIZES[i].colour)
                assert_pixel(image, SIZES[i].x, SIZES[i].y, SIZES[i].colour, 3, 12,
                             SIZES[i].options);
            assert_int_equal(m.picture.source.width, 400);
            assert_int_equal(m.picture.frame_height, image->Ysize);
            picture_deinit(&m.picture);
        }
    }
}

/* Whatever is left out while decoding, results are as large as planned. */
static void decoding_less_never_gives_less(void **state)
{
    static const char *const FILES[] = {".jpg", ".webp"};
    for (int k = 0; k < 2; k++) {
        struct view file = fixture_file(fixture_photo(797, 601), FILES[k]);
        for (int side = 1; side < 820; side = side * 5 / 4 + 1) {
            struct made m;
            char options[64];
            snprintf(options, sizeof(options), "rs:force:%d:%d", side, side * 3 / 4 + 1);
            VipsImage *image = must_make(&m, file, options, IMAGE_FORMAT_PNG);
            struct resize_plan plan;
            struct error err = {0};
            assert_true(resize_plan(&m.options, (struct dimensions){797, 601}, &plan, &err));
            if (image->Xsize != plan.scaled.width || image->Ysize != plan.scaled.height)
                fail_msg("%s: %s: %d x %d", FILES[k], options, image->Xsize, image->Ysize);
            picture_deinit(&m.picture);
        }
    }
}

/* --- EXIF --- */

/* What a camera stores that was held so: the picture turned against the turns. */
static VipsImage *stored_as(VipsImage *upright, int orientation)
{
    struct turns turns = turns_of_orientation(orientation);
    VipsImage *out = NULL;
    if (turns.flip_vertically) {
        assert_int_equal(vips_flip(upright, &out, VIPS_DIRECTION_VERTICAL, NULL), 0);
        g_object_unref(upright);
        upright = out;
    }
    if (turns.flip_horizontally) {
        assert_int_equal(vips_flip(upright, &out, VIPS_DIRECTION_HORIZONTAL, NULL), 0);
        g_object_unref(upright);
        upright = out;
    }
    VipsAngle back = (VipsAngle)((4 - turns.rotate / 90) % 4);
    assert_int_equal(vips_rot(upright, &out, back, NULL), 0);
    g_object_unref(upright);
    vips_image_set_int(out, VIPS_META_ORIENTATION, orientation);
    return out;
}

static void pictures_are_turned_upright(void **state)
{
    static const struct {
        const char *options;
        int width, height, x, y;
        const uint8_t *colour;
    } CASES[] = {
        {"", 160, 96, 4, 4, RED},
        {"", 160, 96, 150, 90, WHITE},
        {"rs:fit:40:40", 40, 24, 35, 4, GREEN},
        {"rs:fill:48:48/g:we", 48, 48, 10, 40, BLUE},
        {"rs:fill:20:24/g:ea", 20, 24, 4, 20, WHITE},
        {"c:80:48:noea", 80, 48, 4, 40, GREEN},
        {"c:80:48:noea/rs:fit:20:20", 20, 12, 2, 10, GREEN},
        {"rs:fill:30:48/g:sm", 30, 48, 0, 0, NULL},
        {"t:10/rs:fit:40:40", 40, 24, 2, 20, BLUE},
        {"rs:fit:40:40/rot:90", 24, 40, 4, 4, BLUE},
    };
    for (int orientation = 1; orientation <= 8; orientation++) {
        struct view file =
            fixture_file(stored_as(fixture_quarters(160, 96), orientation), ".jpg[Q=95]");
        for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
            struct made m;
            char what[96];
            snprintf(what, sizeof(what), "orientation %d, %s", orientation, CASES[i].options);
            VipsImage *image = must_make(&m, file, CASES[i].options, IMAGE_FORMAT_JPEG);
            if (image->Xsize != CASES[i].width || image->Ysize != CASES[i].height)
                fail_msg("%s: %d x %d", what, image->Xsize, image->Ysize);
            if (CASES[i].colour)
                assert_pixel(image, CASES[i].x, CASES[i].y, CASES[i].colour, 3, 20, what);
            assert_int_equal(vips_image_get_orientation(image), 1);
            picture_deinit(&m.picture);
        }
        struct made m;
        VipsImage *image = must_make(&m, file, "ar:0", IMAGE_FORMAT_JPEG);
        assert_int_equal(image->Xsize, orientation > 4 ? 96 : 160);
        assert_int_equal(vips_image_get_orientation(image), orientation);
        picture_deinit(&m.picture);
    }
}

/* --- alpha and colours --- */

static void canvas_is_clear_where_the_format_can(void **state)
{
    static const uint8_t HALF_BLUE[] = {0, 0, 255, 128};
    struct view opaque = fixture_file(fixture_plain(40, 20, RED, 3), ".png"),
                grey = fixture_file(fixture_plain(40, 20, (uint8_t[]){90}, 1), ".png"),
                clear = fixture_file(fixture_plain(40, 20, CLEAR, 4), ".png");
    struct made m;
    VipsImage *image = must_make(&m, opaque, "pd:5", IMAGE_FORMAT_PNG);
    assert_pixel(image, 0, 0, CLEAR, 4, 0, "PNG");
    assert_pixel(image, 5, 5, RED, 4, 0, "PNG");
    picture_deinit(&m.picture);
    image = must_make(&m, opaque, "pd:5", IMAGE_FORMAT_JPEG);
    assert_pixel(image, 0, 0, BLACK, 3, 0, "JPEG");
    picture_deinit(&m.picture);
    image = must_make(&m, opaque, "pd:5/bg:0000ff", IMAGE_FORMAT_PNG);
    assert_pixel(image, 0, 0, BLUE, 3, 0, "PNG on blue");
    picture_deinit(&m.picture);
    image = must_make(&m, clear, "pd:5/bg:0000ff80", IMAGE_FORMAT_PNG);
    assert_pixel(image, 0, 0, HALF_BLUE, 4, 0, "PNG on half blue");
    picture_deinit(&m.picture);
    image = must_make(&m, grey, "pd:5/bg:0000ff", IMAGE_FORMAT_PNG);
    assert_pixel(image, 0, 0, BLUE, 3, 0, "grey on blue");
    assert_pixel(image, 6, 6, (uint8_t[]){90, 90, 90}, 3, 0, "grey on blue");
    picture_deinit(&m.picture);
    image = must_make(&m, grey, "pd:5/bg:404040", IMAGE_FORMAT_PNG);
    assert_pixel(image, 0, 0, (uint8_t[]){64}, 1, 1, "grey on grey");
    picture_deinit(&m.picture);
}

/* Right half red, left half green and clear: no green shows where they meet. */
static void clear_pixels_do_not_shine_through(void **state)
{
    static const uint8_t CLEAR_GREEN[] = {0, 255, 0, 0};
    VipsImage *left = fixture_plain(101, 100, CLEAR_GREEN, 4),
              *right = fixture_plain(99, 100, RED, 4), *both = NULL;
    assert_int_equal(vips_join(left, right, &both, VIPS_DIRECTION_HORIZONTAL, NULL), 0);
    g_object_unref(left);
    g_object_unref(right);
    struct view file = fixture_file(both, ".png");
    struct made m;
    VipsImage *image = must_make(&m, file, "rs:fit:20:20", IMAGE_FORMAT_PNG);
    for (int x = 0; x < 20; x++) {
        double *pixel = NULL;
        int n;
        assert_int_equal(vips_getpoint(image, &pixel, &n, x, 5, NULL), 0);
        if (pixel[3] > 0 && (pixel[0] < 250 || pixel[1] > 5))
            fail_msg("pixel %d is %g %g %g %g", x, pixel[0], pixel[1], pixel[2], pixel[3]);
        g_free(pixel);
    }
    picture_deinit(&m.picture);
}

static VipsImage *in_space(VipsImage *in, VipsInterpretation space)
{
    VipsImage *out = NULL;
    assert_int_equal(vips_colourspace(in, &out, space, NULL), 0);
    g_object_unref(in);
    return out;
}

static VipsImage *with_profile(VipsImage *in, const char *profile)
{
    VipsImage *out = NULL;
    assert_int_equal(
        vips_icc_transform(in, &out, profile, "input_profile", "srgb", "depth", 8, NULL), 0);
    g_object_unref(in);
    return out;
}

static void all_colours_become_srgb(void **state)
{
    static const uint8_t BROWN[] = {180, 90, 40, 255}, GREY[] = {120};
    const struct {
        const char *what;
        struct view file;
        bool is_grey;
        int by; /* what is lost on the way to inks and back */
    } CASES[] = {
        {"CMYK TIFF",
         fixture_file(in_space(fixture_plain(64, 64, BROWN, 3), VIPS_INTERPRETATION_CMYK), ".tif"),
         false, 20},
        {"CMYK JPEG",
         fixture_file(with_profile(fixture_plain(64, 64, BROWN, 3), "cmyk"), ".jpg[Q=98]"), false,
         20},
        {"P3", fixture_file(with_profile(fixture_plain(64, 64, BROWN, 3), "p3"), ".png"), false, 4},
        {"Lab",
         fixture_file(in_space(fixture_plain(64, 64, BROWN, 3), VIPS_INTERPRETATION_LAB), ".tif"),
         false, 4},
        {"16 bits",
         fixture_file(in_space(fixture_plain(64, 64, BROWN, 3), VIPS_INTERPRETATION_RGB16), ".png"),
         false, 4},
        {"scRGB",
         fixture_file(in_space(fixture_plain(64, 64, BROWN, 3), VIPS_INTERPRETATION_scRGB), ".tif"),
         false, 4},
        {"grey", fixture_file(fixture_plain(64, 64, GREY, 1), ".png"), true, 2},
        {"grey JPEG", fixture_file(fixture_plain(64, 64, GREY, 1), ".jpg"), true, 2},
        {"grey of 16 bits",
         fixture_file(in_space(fixture_plain(64, 64, GREY, 1), VIPS_INTERPRETATION_GREY16), ".png"),
         true, 2},
    };
    static const char *const OPTIONS[] = {"", "rs:fit:16:16", "t:5/rs:fit:16:16",
                                          "rs:fit:100:100:1"};
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++)
        for (size_t k = 0; k < sizeof(OPTIONS) / sizeof(OPTIONS[0]); k++) {
            struct made m;
            VipsImage *image = must_make(&m, CASES[i].file, OPTIONS[k], IMAGE_FORMAT_PNG);
            assert_int_equal(image->BandFmt, VIPS_FORMAT_UCHAR);
            if (CASES[i].is_grey)
                assert_pixel(image, 8, 8, GREY, 1, CASES[i].by, CASES[i].what);
            else
                assert_pixel(image, 8, 8, BROWN, 3, CASES[i].by, CASES[i].what);
            picture_deinit(&m.picture);
        }
}

static void depth_is_kept_where_it_is_asked_for_and_fits(void **state)
{
    struct view deep =
        fixture_file(in_space(fixture_quarters(64, 64), VIPS_INTERPRETATION_RGB16), ".png");
    static const struct {
        const char *options;
        enum image_format format;
        VipsBandFormat depth;
    } CASES[] = {
        {"", IMAGE_FORMAT_PNG, VIPS_FORMAT_UCHAR},
        {"ph:1", IMAGE_FORMAT_PNG, VIPS_FORMAT_USHORT},
        {"ph:1/rs:fit:20:20/pd:4", IMAGE_FORMAT_PNG, VIPS_FORMAT_USHORT},
        {"ph:1", IMAGE_FORMAT_JPEG, VIPS_FORMAT_UCHAR},
    };
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        struct made m;
        VipsImage *image = must_make(&m, deep, CASES[i].options, CASES[i].format);
        assert_int_equal(image->BandFmt, CASES[i].depth);
        picture_deinit(&m.picture);
    }
}

/* --- trim --- */

static void plain_borders_are_trimmed(void **state)
{
    static const struct {
        const char *options;
        int width, height;
    } CASES[] = {
        {"t:10", 60, 40},         {"t:10:00ff00", 60, 40},
        {"t:10:ff0000", 100, 80}, /* the border is not red */
        {"t:10::1", 80, 40},      /* 10 from both ends, though 30 on the right */
        {"t:10::0:1", 60, 70},    {"t:10/rs:fit:30:30", 30, 20},
    };
    VipsImage *in = fixture_plain(60, 40, BLUE, 3), *out = NULL;
    VipsArrayDouble *green = vips_array_double_new((double[]){0, 255, 0}, 3);
    assert_int_equal(vips_embed(in, &out, 10, 5, 100, 80, "extend", VIPS_EXTEND_BACKGROUND,
                                "background", green, NULL),
                     0);
    g_object_unref(in);
    vips_area_unref(VIPS_AREA(green));
    struct view file = fixture_file(out, ".png"),
                plain = fixture_file(fixture_plain(30, 30, RED, 3), ".png");
    struct made m;
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        VipsImage *image = must_make(&m, file, CASES[i].options, IMAGE_FORMAT_PNG);
        if (image->Xsize != CASES[i].width || image->Ysize != CASES[i].height)
            fail_msg("%s: %d x %d", CASES[i].options, image->Xsize, image->Ysize);
        picture_deinit(&m.picture);
    }
    VipsImage *image = must_make(&m, plain, "t:10", IMAGE_FORMAT_PNG);
    assert_int_equal(image->Xsize, 30);
    picture_deinit(&m.picture);
}

/* --- animations --- */

static void frames_are_made_each_for_itself(void **state)
{
    static const struct {
        const char *options;
        enum image_format format;
        int frames, width, height;
        const uint8_t *first;
        int first_delay;
    } CASES[] = {
        {"", IMAGE_FORMAT_GIF, 5, 40, 30, RED, 100},
        {"rs:fit:20:20", IMAGE_FORMAT_WEBP, 5, 20, 15, RED, 100},
        {"rs:fill:15:15/g:sm", IMAGE_FORMAT_GIF, 5, 15, 15, RED, 100},
        {"rot:90", IMAGE_FORMAT_GIF, 5, 30, 40, RED, 100},
        {"pd:2/bg:ffffff", IMAGE_FORMAT_GIF, 5, 44, 34, WHITE, 100},
        {"t:10", IMAGE_FORMAT_GIF, 5, 40, 30, RED, 100}, /* not of animations */
        {"", IMAGE_FORMAT_JPEG, 1, 40, 30, RED, 0},
        {"da:1", IMAGE_FORMAT_GIF, 1, 40, 30, RED, 0},
        {"da:1/pgs:3", IMAGE_FORMAT_GIF, 1, 40, 30, RED, 0},
        {"pg:1", IMAGE_FORMAT_PNG, 1, 40, 30, GREEN, 0},
        {"pg:1", IMAGE_FORMAT_GIF, 4, 40, 30, GREEN, 200},
        {"pg:2/pgs:2", IMAGE_FORMAT_GIF, 2, 40, 30, BLUE, 300},
        {"pgs:100", IMAGE_FORMAT_GIF, 5, 40, 30, RED, 100},
        {"pg:4", IMAGE_FORMAT_GIF, 1, 40, 30, RED, 0},
    };
    static const char *const FILES[] = {".gif", ".webp[lossless]"};
    for (int k = 0; k < 2; k++) {
        struct view file = fixture_file(fixture_animation(40, 30, 5), FILES[k]);
        for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
            struct made m;
            VipsImage *image = must_make(&m, file, CASES[i].options, CASES[i].format);
            if (m.picture.frames != CASES[i].frames || image->Xsize != CASES[i].width ||
                m.picture.frame_height != CASES[i].height ||
                image->Ysize != CASES[i].height * CASES[i].frames)
                fail_msg("%s: %s: %d of %d x %d", FILES[k], CASES[i].options, m.picture.frames,
                         image->Xsize, m.picture.frame_height);
            assert_pixel(image, 1, 1, CASES[i].first, image->Bands, 8, CASES[i].options);
            int *delays = NULL, n = 0;
            if (CASES[i].frames == 1) {
                assert_int_equal(vips_image_get_typeof(image, "delay"), 0);
                assert_int_equal(vips_image_get_typeof(image, VIPS_META_PAGE_HEIGHT), 0);
            } else {
                assert_int_equal(vips_image_get_array_int(image, "delay", &delays, &n), 0);
                assert_int_equal(n, CASES[i].frames);
                assert_int_equal(delays[0], CASES[i].first_delay);
                assert_int_equal(vips_image_get_page_height(image), CASES[i].height);
            }
            picture_deinit(&m.picture);
        }
    }
}

/* The last frames are right too: nothing of one is in another. */
static void frames_do_not_run_into_each_other(void **state)
{
    static const uint8_t *const COLOURS[] = {RED, GREEN, BLUE, WHITE};
    struct view file = fixture_file(fixture_animation(64, 50, 9), ".gif");
    struct made m;
    VipsImage *image = must_make(&m, file, "rs:fit:32:32", IMAGE_FORMAT_WEBP);
    for (int i = 0; i < 9; i++) {
        assert_pixel(image, 5, i * 25, COLOURS[i % 4], image->Bands, 2, "top");
        assert_pixel(image, 5, i * 25 + 24, COLOURS[i % 4], image->Bands, 2, "bottom");
    }
    picture_deinit(&m.picture);
}

/* A file of several pictures says which one it is about. */
static void primary_pictures_are_taken(void **state)
{
    static const struct {
        const char *options;
        const uint8_t *colour;
    } CASES[] = {{"", GREEN}, {"pg:1", GREEN}, {"pg:2", BLUE}, {"pgs:2", RED}};
    VipsImage *frames = fixture_animation(64, 64, 3);
    vips_image_set_int(frames, "heif-primary", 1);
    struct view file = fixture_file(frames, ".avif[compression=av1]");
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        struct made m;
        VipsImage *image = must_make(&m, file, CASES[i].options, IMAGE_FORMAT_PNG);
        assert_pixel(image, 30, 30, CASES[i].colour, 3, 10, CASES[i].options);
        picture_deinit(&m.picture);
    }
}

/* --- limits and failures --- */

static void limits_refuse(void **state)
{
    struct view photo = fixture_file(fixture_photo(200, 100), ".jpg"),
                moving = fixture_file(fixture_animation(40, 30, 5), ".gif");
    static const struct {
        bool is_moving;
        struct image_limits limits;
        const char *options, *text; /* NULL: allowed */
    } CASES[] = {
        {false, {.source_pixels = 20000}, "", NULL},
        {false, {.source_pixels = 19999}, "", "Source image resolution is too large"},
        {false, {.result_side = 200}, "", NULL},
        {false,
         {.result_side = 199},
         "",
         "Processed image would be 200x100, over the 199px result dimension limit"},
        {false, {.result_side = 199}, "rs:fit:50:50", NULL},
        {false,
         {.result_side = 199},
         "rs:fit:50:50/pd:0:0:200:0",
         "Processed image would be 50x225, over the 199px result dimension limit"},
        {false,
         {0},
         "pd:4000000000",
         "Processed image would be 8000000200x8000000100, over the 268435456 pixel limit"},
        {false,
         {0},
         "rs:force:100000:100000:1",
         "Processed image would be 100000x100000, over the 268435456 pixel limit"},
        {false,
         {0},
         "z:1e9",
         "Processed image would be 200000000000x100000000000, over the 268435456 pixel limit"},
        {true, {.animation_frame_pixels = 1200}, "", NULL},
        {true,
         {.animation_frame_pixels = 1199},
         "",
         "Animation frame is 40x30, over the 1199 pixel frame limit"},
        {true, {.animation_frame_pixels = 1199}, "da:1", NULL},
    };
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        struct image_options o = fixture_options(CASES[i].options);
        o.limits = CASES[i].limits;
        struct pipeline_request rq = {.source = CASES[i].is_moving ? moving : photo, .options = &o};
        struct picture p;
        struct image_failure f = {0};
        bool ok = picture_make(&rq, CASES[i].is_moving ? SOURCE_GIF : SOURCE_JPEG, IMAGE_FORMAT_GIF,
                               &p, &f);
        if (CASES[i].text) {
            assert_false(ok);
            assert_int_equal(f.status, 400);
            assert_string_equal(f.text, CASES[i].text);
        } else {
            if (!ok)
                fail_msg("%zu: %s", i, f.text);
            picture_deinit(&p);
        }
    }
}

/* A few bytes of GIF: 17 frames of one pixel each, at the end of a canvas of 4000 x 4000; together they are larger than any picture may be. */
static struct view large_animation(void)
{
    static const char HEAD[] = "GIF89a\xA0\x0F\xA0\x0F\x80\0\0\0\0\0\xFF\xFF\xFF",
                      FRAME[] = "\x21\xF9\4\0\x0A\0\0\0\x2C\x9F\x0F\x9F\x0F\1\0\1\0\0\2\2\x44\1";
    char bytes[1024];
    size_t len = sizeof(HEAD) - 1;
    memcpy(bytes, HEAD, len);
    for (int i = 0; i < 17; i++, len += sizeof(FRAME))
        memcpy(bytes + len, FRAME, sizeof(FRAME)); /* with the NUL: the end of its pixels */
    bytes[len++] = ';';
    return fixture_bytes(bytes, len);
}

/* All frames are there at once: what has to hold them is refused, what streams them is not. */
static void large_animations_are_not_held(void **state)
{
    static const struct {
        const char *options;
        bool is_refused;
    } CASES[] = {{"", false},           {"rs:fit:100:100/rot:90", false},
                 {"bl:2", false},       {"rot:90", true},
                 {"fl:0:1", true},      {"sh:1", true},
                 {"pix:4", true},       {"bl:100", true},
                 {"c:100:100:sm", true}};
    struct view file = large_animation();
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        struct image_options o = fixture_options(CASES[i].options);
        struct pipeline_request rq = {.source = file, .options = &o};
        struct picture p;
        struct image_failure f = {0};
        bool ok = picture_make(&rq, SOURCE_GIF, IMAGE_FORMAT_WEBP, &p, &f);
        if (ok == CASES[i].is_refused)
            fail_msg("%s: %d %s (%s)", CASES[i].options, ok, f.text, f.cause);
        if (ok) {
            assert_int_equal(p.frames, 17);
            picture_deinit(&p);
        } else {
            assert_int_equal(f.status, 400);
            assert_string_equal(f.text, "Processed image would be 4000x68000, over the 268435456 "
                                        "pixel limit");
        }
    }
}

static void animations_are_cut_to_the_limit_of_frames(void **state)
{
    struct view moving = fixture_file(fixture_animation(40, 30, 5), ".gif");
    struct image_options o = fixture_options("pgs:4");
    o.limits.animation_frames = 3;
    struct pipeline_request rq = {.source = moving, .options = &o};
    struct picture p;
    struct image_failure f = {0};
    assert_true(picture_make(&rq, SOURCE_GIF, IMAGE_FORMAT_GIF, &p, &f));
    assert_int_equal(p.frames, 3);
    picture_deinit(&p);
}

/* What no container can hold is made smaller. */
static void results_fit_their_container(void **state)
{
    struct view file = fixture_file(fixture_plain(200, 10, RED, 3), ".png");
    struct made m;
    VipsImage *image = must_make(&m, file, "rs:force:20000:10:1", IMAGE_FORMAT_WEBP);
    assert_int_equal(image->Xsize, 16383);
    assert_int_equal(image->Ysize, 8);
    picture_deinit(&m.picture);
}

/* A file without its end fails, however far its pixels are used. */
static void cut_files_are_refused(void **state)
{
    static const char *const FILES[] = {".jpg",  ".jpg[interlace]",       ".png",
                                        ".webp", ".webp[lossless]",       ".gif",
                                        ".tif",  ".tif[compression=lzw]", ".avif[effort=0]"};
    static const char *const OPTIONS[] = {"", "rs:fit:64:64", "rot:90"};
    for (size_t k = 0; k < sizeof(FILES) / sizeof(FILES[0]); k++) {
        struct view file = fixture_file(fixture_photo(320, 240), FILES[k]);
        for (size_t i = 0; i < sizeof(OPTIONS) / sizeof(OPTIONS[0]); i++) {
            struct made m;
            must_make(&m, file, OPTIONS[i], IMAGE_FORMAT_PNG);
            picture_deinit(&m.picture);
            make(&m, fixture_bytes(file.ptr, file.len * 6 / 10), OPTIONS[i], IMAGE_FORMAT_PNG);
            if (m.ok)
                fail_msg("%s, %s: cut short and read", FILES[k], OPTIONS[i]);
            assert_int_equal(m.failure.status, 400);
            assert_string_equal(m.failure.text, "Failed to decode source image");
        }
    }
}

/* Before anything, and while pixels are made. */
static void work_ends_when_it_is_cancelled(void **state)
{
    struct view file = fixture_file(fixture_photo(640, 480), ".jpg");
    struct image_options o = fixture_options("rs:fit:1000:1000:1");
    atomic_bool cancel = true;
    struct pipeline_request rq = {.source = file, .options = &o, .cancel = &cancel};
    struct picture p;
    struct image_failure f = {0};
    assert_false(picture_make(&rq, SOURCE_JPEG, IMAGE_FORMAT_PNG, &p, &f));
    assert_int_equal(f.status, 408);
    assert_string_equal(f.text, "Request Timeout");
    cancel = false;
    assert_true(picture_make(&rq, SOURCE_JPEG, IMAGE_FORMAT_PNG, &p, &f));
    cancel = true;
    assert_null(vips_image_copy_memory(p.image));
    image_fail_operation(&f);
    image_watch_explain(p.watch, &f);
    assert_int_equal(f.status, 408);
    picture_deinit(&p);
}

struct admission {
    uint64_t room, asked; /* the last number */
    unsigned calls;
};

static bool admit(void *arg, uint64_t bytes, struct image_failure *f)
{
    struct admission *a = arg;
    a->asked = bytes;
    a->calls++;
    return bytes <= a->room || image_fail(f, 429, "Too Many Requests");
}

/* By the larger one of source and result, before pixels are made. */
static void pictures_are_weighed(void **state)
{
    static const struct {
        const char *options;
        uint64_t pixels;
    } CASES[] = {
        {"rs:fit:64:48", (uint64_t)640 * 480},   {"rs:fit:1280:960:1", (uint64_t)1280 * 960},
        {"rot:90", (uint64_t)640 * 480},         {"rs:fill:2000:10:1", (uint64_t)2000 * 1500},
        {"rs:fit:640:480/pd:100", 840 * 680ULL}, /* known when it is there */
    };
    struct view file = fixture_file(fixture_photo(640, 480), ".jpg");
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++)
        for (int fits = 0; fits < 2; fits++) {
            struct image_options o = fixture_options(CASES[i].options);
            struct admission a = {.room = CASES[i].pixels * 8 - !fits};
            struct pipeline_request rq = {
                .source = file, .options = &o, .admit = admit, .admit_arg = &a};
            struct picture p;
            struct image_failure f = {0};
            bool ok = picture_make(&rq, SOURCE_JPEG, IMAGE_FORMAT_PNG, &p, &f);
            if (ok != fits || a.asked != CASES[i].pixels * 8 || (!ok && f.status != 429))
                fail_msg("%s: %d, asked for %llu bytes, %d %s", CASES[i].options, ok,
                         (unsigned long long)a.asked, f.status, f.text);
            if (ok)
                picture_deinit(&p);
        }
}

/* Also what is drawn larger than it will be, and the watermark as large as it will be, however its header is. */
static void drawings_and_marks_are_weighed_as_they_are_drawn(void **state)
{
    static const char SVG[] = "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"100\" "
                              "height=\"100\"><rect width=\"9\" height=\"9\"/></svg>";
    static const struct {
        const char *options;
        bool is_drawing, has_mark;
        uint64_t pixels;
    } CASES[] = {
        {"rs:force:1:2000:1", true, false, (uint64_t)2000 * 2000},
        {"rs:fit:100:100:1/c:10:10", true, false, (uint64_t)2000 * 2000},
        {"rs:fit:64:48", false, true, (uint64_t)640 * 480 + 16 * 16},
        {"wm:1:ce:0:0:10/rs:fit:64:48", false, true, (uint64_t)640 * 480 + 640 * 640},
        {"wm:1:ce:0:0:1/rs:fit:64:48/rot:90", false, true, (uint64_t)640 * 480 + 48 * 48},
        /* known when it is there */
        {"wm:1:ce:0:0:2/rs:fit:64:48/pd:100", false, true, (uint64_t)640 * 480 + 528 * 528},
    };
    struct view photo = fixture_file(fixture_photo(640, 480), ".jpg"),
                svg = fixture_bytes(SVG, sizeof(SVG) - 1);
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++)
        for (int fits = 0; fits < 2; fits++) {
            struct image_options o = fixture_options(CASES[i].options);
            struct admission a = {.room = CASES[i].pixels * 8 - !fits};
            struct pipeline_request rq = {.source = CASES[i].is_drawing ? svg : photo,
                                          .options = &o,
                                          .admit = admit,
                                          .admit_arg = &a};
            struct picture p;
            struct image_failure f = {0};
            if (CASES[i].has_mark)
                rq.watermark = svg;
            o.has_watermark = CASES[i].has_mark;
            bool ok = picture_make(&rq, CASES[i].is_drawing ? SOURCE_SVG : SOURCE_JPEG,
                                   IMAGE_FORMAT_PNG, &p, &f);
            if (ok != fits || a.asked != CASES[i].pixels * 8 || (!ok && f.status != 429))
                fail_msg("%s: %d, asked for %llu pixels, %d %s", CASES[i].options, ok,
                         (unsigned long long)a.asked / 8, f.status, f.text);
            if (ok)
                picture_deinit(&p);
        }
}

static void drawings_are_drawn_at_their_size(void **state)
{
    static const char SVG[] =
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"40\" height=\"30\">"
        "<rect width=\"20\" height=\"15\" fill=\"#f00\"/></svg>";
    static const struct {
        const char *options;
        int width, height, x, y;
        const uint8_t *colour;
    } CASES[] = {
        {"", 40, 30, 19, 14, RED},
        {"", 40, 30, 20, 15, CLEAR},
        {"rs:fit:400:400:1", 400, 300, 199, 149, RED}, /* sharp: not made of fewer pixels */
        {"rs:fit:400:400:1", 400, 300, 200, 150, CLEAR},
        {"rs:fit:20:20", 20, 15, 2, 2, RED},
        {"rs:force:400:60:1", 400, 60, 190, 20, RED},
    };
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        struct made m;
        VipsImage *image =
            must_make(&m, fixture_bytes(SVG, sizeof(SVG) - 1), CASES[i].options, IMAGE_FORMAT_PNG);
        if (image->Xsize != CASES[i].width || image->Ysize != CASES[i].height)
            fail_msg("%s: %d x %d", CASES[i].options, image->Xsize, image->Ysize);
        assert_pixel(image, CASES[i].x, CASES[i].y, CASES[i].colour, 4, 0, CASES[i].options);
        picture_deinit(&m.picture);
    }
}

/* What counts is the size that it is drawn at, not the one it says. */
static void a_large_drawing_is_drawn_small(void **state)
{
    static const char SVG[] =
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"12000\" height=\"12000\"/>";
    struct made m;
    VipsImage *image =
        must_make(&m, fixture_bytes(SVG, sizeof(SVG) - 1), "rs:fit:30:30", IMAGE_FORMAT_PNG);
    assert_int_equal(image->Xsize, 30);
    picture_deinit(&m.picture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(options_give_sizes_and_places),
        cmocka_unit_test(decoding_less_never_gives_less),
        cmocka_unit_test(pictures_are_turned_upright),
        cmocka_unit_test(canvas_is_clear_where_the_format_can),
        cmocka_unit_test(clear_pixels_do_not_shine_through),
        cmocka_unit_test(all_colours_become_srgb),
        cmocka_unit_test(depth_is_kept_where_it_is_asked_for_and_fits),
        cmocka_unit_test(plain_borders_are_trimmed),
        cmocka_unit_test(frames_are_made_each_for_itself),
        cmocka_unit_test(frames_do_not_run_into_each_other),
        cmocka_unit_test(primary_pictures_are_taken),
        cmocka_unit_test(limits_refuse),
        cmocka_unit_test(large_animations_are_not_held),
        cmocka_unit_test(animations_are_cut_to_the_limit_of_frames),
        cmocka_unit_test(results_fit_their_container),
        cmocka_unit_test(cut_files_are_refused),
        cmocka_unit_test(work_ends_when_it_is_cancelled),
        cmocka_unit_test(pictures_are_weighed),
        cmocka_unit_test(drawings_and_marks_are_weighed_as_they_are_drawn),
        cmocka_unit_test(a_large_drawing_is_drawn_small),
        cmocka_unit_test(drawings_are_drawn_at_their_size),
    };
    return cmocka_run_group_tests(tests, fixtures_start, fixtures_stop);
}
