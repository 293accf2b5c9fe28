/* SPDX-License-Identifier: Apache-2.0 */
#include "drawers.h"
#include "image_fixtures.h"
#include "picture_samples.h"
#include "pipeline.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static const struct {
    const char *suffix;
    int bands;
    bool is_deep;
    struct image_information want;
} FILES[] = {
    {".jpg", 3, false, {40, 30, SOURCE_JPEG, 3, 1, false, 1}},
    {".jpg", 1, false, {40, 30, SOURCE_JPEG, 1, 1, false, 1}},
    {".png", 3, false, {40, 30, SOURCE_PNG, 3, 1, false, 0}},
    {".png", 4, false, {40, 30, SOURCE_PNG, 4, 1, true, 0}},
    {".png", 2, true, {40, 30, SOURCE_PNG, 2, 1, true, 0}},
    {".webp", 4, false, {40, 30, SOURCE_WEBP, 4, 1, true, 1}},
    {".tif", 3, true, {40, 30, SOURCE_TIFF, 3, 1, false, 1}},
    {".avif[compression=av1]", 3, false, {40, 30, SOURCE_AVIF, 3, 1, false, 1}},
};

static void expect(const char *name, struct view file, const struct image_information *want)
{
    struct image_information got;
    struct image_failure f;
    if (!pipeline_information(file, NULL, &got, &f))
        fail_msg("%s is not known", name);
    if (got.width != want->width || got.height != want->height || got.kind != want->kind ||
        got.channels != want->channels || got.pages != want->pages ||
        got.has_alpha != want->has_alpha || got.orientation != want->orientation)
        fail_msg("%s: %lld x %lld %s, %d channels, %d pages, alpha %d, orientation %d", name,
                 (long long)got.width, (long long)got.height, source_kind_name(got.kind),
                 got.channels, got.pages, got.has_alpha, got.orientation);
}

static void headers_tell_what_pictures_are(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(FILES) / sizeof(FILES[0]); i++) {
        VipsImage *image = sample_scene(40, 30, FILES[i].bands, FILES[i].is_deep);
        expect(FILES[i].suffix, fixture_file(image, FILES[i].suffix), &FILES[i].want);
    }
    expect("SVG",
           VIEW("<svg xmlns='http://www.w3.org/2000/svg' width='70' height='50'><rect/></svg>"),
           &(struct image_information){70, 50, SOURCE_SVG, 4, 1, true, 0});
    expect("BMP",
           VIEW("BM\x3A\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0\1\0\0\0\1\0\0\0\1\0\x18\0\0\0\0\0\4\0\0\0"
                "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1\2\3\0"),
           &(struct image_information){1, 1, SOURCE_BMP, 3, 1, false, 0});
}

/* Stored sizes, before the picture is turned. */
static void orientations_are_told(void **state)
{
    (void)state;
    for (int orientation = 1; orientation <= 8; orientation++) {
        VipsImage *image = sample_scene(40, 30, 3, false), *turned = NULL;
        assert_int_equal(vips_copy(image, &turned, NULL), 0);
        g_object_unref(image);
        vips_image_set_int(turned, VIPS_META_ORIENTATION, orientation);
        struct image_information want = {40, 30, SOURCE_JPEG, 3, 1, false, orientation};
        expect("turned", fixture_file(turned, ".jpg"), &want);
    }
}

static void pages_are_counted(void **state)
{
    (void)state;
    struct image_information got;
    struct image_failure f;
    assert_true(
        pipeline_information(fixture_file(fixture_animation(20, 10, 5), ".gif"), NULL, &got, &f));
    assert_int_equal(got.pages, 5);
    assert_int_equal(got.width, 20);
    assert_int_equal(got.height, 10);
    assert_true(
        pipeline_information(fixture_file(fixture_animation(20, 10, 3), ".webp"), NULL, &got, &f));
    assert_int_equal(got.pages, 3);
    assert_int_equal(got.height, 10);
}

/* Nothing is read of pixels: a header alone is enough, where the format has one. What is no picture is all zero. */
static void files_without_headers_are_unknown(void **state)
{
    static const struct view NONE[] = {VIEW_INIT(""),
                                       VIEW_INIT("hello"),
                                       VIEW_INIT("\x89PNG\r\n\x1A\n"),
                                       VIEW_INIT("GIF89a"),
                                       VIEW_INIT("\xFF\xD8\xFF\xE0\0\x10JFIF"),
                                       VIEW_INIT("RIFF\x10\0\0\0WEBPVP8 "),
                                       VIEW_INIT("%PDF-1.7\n")};
    struct image_information got, zero = {.kind = SOURCE_UNKNOWN};
    struct image_failure f;
    (void)state;
    struct view jpeg = fixture_file(fixture_photo(400, 300), ".jpg");
    assert_true(pipeline_information(view_slice(jpeg, 0, 1000), NULL, &got, &f));
    assert_int_equal(got.width, 400);
    for (size_t i = 0; i < sizeof(NONE) / sizeof(NONE[0]); i++) {
        memset(&got, 1, sizeof(got));
        assert_false(pipeline_information(NONE[i], NULL, &got, &f));
        assert_int_equal(f.status, 400);
        assert_false(f.is_drawers);
        assert_true(got.width == zero.width && got.height == zero.height && got.kind == zero.kind &&
                    got.channels == 0 && got.pages == 0 && !got.has_alpha && got.orientation == 0);
    }
}

/* That our process failed says nothing of the picture. */
static void failures_of_ours_are_told_apart(void **state)
{
    static const struct {
        const char *drawer;
        int status;
    } CASES[] = {{"/nonexistent/imgforge", 500}, {"/bin/false", 500}};
    struct view svg = VIEW("<svg xmlns='http://www.w3.org/2000/svg' width='7' height='5'/>");
    struct image_information got;
    struct image_failure f;
    atomic_bool cancelled = true;
    (void)state;
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        drawers_stop();
        drawers_start(CASES[i].drawer);
        assert_false(pipeline_information(svg, NULL, &got, &f));
        assert_int_equal(f.status, CASES[i].status);
    }
    drawers_stop();
    drawers_start(IMGFORGE_PROGRAM);
    assert_false(pipeline_information(svg, &cancelled, &got, &f));
    assert_int_equal(f.status, 408);
    assert_true(pipeline_information(svg, NULL, &got, &f));
    assert_int_equal(got.width, 7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(headers_tell_what_pictures_are),
        cmocka_unit_test(orientations_are_told),
        cmocka_unit_test(pages_are_counted),
        cmocka_unit_test(files_without_headers_are_unknown),
        cmocka_unit_test(failures_of_ours_are_told_apart),
    };
    return cmocka_run_group_tests(tests, fixtures_start, fixtures_stop);
}
