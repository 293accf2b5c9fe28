/* SPDX-License-Identifier: Apache-2.0 */
#include "geometry.h"

#include "base/buffer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static struct arena arena;

static struct image_options options_of(const char *text)
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

static const struct {
    const char *options;
    struct dimensions source, scaled, kept;
} RESIZES[] = {
    {"", {400, 300}, {400, 300}, {400, 300}},
    {"rs:fit:200:200", {400, 300}, {200, 150}, {200, 150}},
    {"rs:fit:800:800", {400, 300}, {400, 300}, {400, 300}},
    {"rs:fit:800:800:1", {400, 300}, {800, 600}, {800, 600}},
    {"rs:fit:200:0", {400, 300}, {200, 150}, {200, 150}},
    {"rs:fit:0:100", {400, 300}, {133, 100}, {133, 100}},
    {"w:100", {400, 300}, {100, 75}, {100, 75}},
    {"w:100/dpr:2", {400, 300}, {200, 150}, {200, 150}},
    {"rs:fill:200:200", {400, 300}, {267, 200}, {200, 200}},
    {"rs:fill:100:200", {400, 300}, {267, 200}, {100, 200}},
    {"rs:fill:800:800", {400, 300}, {400, 300}, {400, 300}},
    {"rs:fill:800:200",
     {400, 300},
     {400, 300},
     {400, 200}}, /* would grow: stays, and keeps what there is of the box */
    {"rs:fill:800:800:1", {400, 300}, {1067, 800}, {800, 800}},
    {"rs:fill-down:800:800", {400, 300}, {400, 300}, {300, 300}},
    {"rs:fill-down:800:400", {400, 300}, {400, 300}, {400, 200}},
    {"rs:fill-down:200:100", {400, 300}, {200, 150}, {200, 100}},
    {"rs:force:100:200", {400, 300}, {100, 200}, {100, 200}},
    {"rs:force:100:0", {400, 300}, {100, 300}, {100, 300}},
    {"rs:force:800:150",
     {400, 300},
     {400, 75},
     {400, 75}}, /* both divided by what one would grow */
    {"rs:auto:200:100", {400, 300}, {200, 150}, {200, 100}},
    {"rs:auto:100:200", {400, 300}, {100, 75}, {100, 75}},
    {"rs:auto:100:200", {300, 400}, {150, 200}, {100, 200}},
    {"rs:auto:100:100", {400, 400}, {100, 100}, {100, 100}},
    {"rs:fit:1:1", {10000, 10}, {1, 1}, {1, 1}},
};

static void resizes_are_planned(void **state)
{
    for (size_t i = 0; i < sizeof(RESIZES) / sizeof(RESIZES[0]); i++) {
        struct image_options o = options_of(RESIZES[i].options);
        struct resize_plan p;
        struct error err = {0};
        if (!resize_plan(&o, RESIZES[i].source, &p, &err))
            fail_msg("%s: %s", RESIZES[i].options, err.message);
        if (p.scaled.width != RESIZES[i].scaled.width ||
            p.scaled.height != RESIZES[i].scaled.height || p.kept.width != RESIZES[i].kept.width ||
            p.kept.height != RESIZES[i].kept.height)
            fail_msg("%s of %d x %d: scaled to %d x %d, kept %d x %d", RESIZES[i].options,
                     (int)RESIZES[i].source.width, (int)RESIZES[i].source.height,
                     (int)p.scaled.width, (int)p.scaled.height, (int)p.kept.width,
                     (int)p.kept.height);
    }
}

static void a_size_of_no_pixel_is_refused(void **state)
{
    struct image_options o = options_of("rs:fit:0:1");
    struct resize_plan p;
    struct error err = {0};
    assert_false(resize_plan(&o, (struct dimensions){1, 10000}, &p, &err));
    assert_string_equal(err.message, "resize resolved to zero dimension");
    assert_false(resize_plan(&o, (struct dimensions){0, 0}, &p, &err));
}

static void minimums_share_a_factor(void **state)
{
    struct image_options o = options_of("mw:200/mh:300");
    assert_true(minimum_scale(&o, (struct dimensions){100, 100}) == 3);
    assert_true(minimum_scale(&o, (struct dimensions){100, 300}) == 2);
    assert_true(minimum_scale(&o, (struct dimensions){500, 500}) == 1);
}

static void crops_are_pixels_parts_or_all(void **state)
{
    static const struct {
        const char *options;
        struct dimensions expected;
    } CROPS[] = {{"c:100:50", {100, 50}},
                 {"c:0.5:0.25", {200, 75}},
                 {"c:0:50", {400, 50}},
                 {"c:1000:1", {400, 1}},
                 {"c:0.0001:10.9", {1, 10}}};
    for (size_t i = 0; i < sizeof(CROPS) / sizeof(CROPS[0]); i++) {
        struct image_options o = options_of(CROPS[i].options);
        struct dimensions got = crop_dimensions(&o, (struct dimensions){400, 300});
        if (got.width != CROPS[i].expected.width || got.height != CROPS[i].expected.height)
            fail_msg("%s: %d x %d", CROPS[i].options, (int)got.width, (int)got.height);
    }
}

static void a_ratio_is_reached_by_the_short_side(void **state)
{
    struct dimensions wide =
        extended_to_ratio((struct dimensions){100, 100}, (struct dimensions){200, 100});
    struct dimensions tall =
        extended_to_ratio((struct dimensions){100, 100}, (struct dimensions){100, 300});
    struct dimensions same =
        extended_to_ratio((struct dimensions){100, 50}, (struct dimensions){200, 100});
    assert_true(wide.width == 200 && wide.height == 100);
    assert_true(tall.width == 100 && tall.height == 300);
    assert_true(same.width == 100 && same.height == 50);
}

/* A window of 100 x 50 in a picture of 401 x 300. */
static const struct {
    const char *gravity;
    double offset_scale;
    bool may_overflow;
    int64_t left, top;
} WINDOWS[] = {
    {"g:ce", 1, false, 150, 124},         {"g:no", 1, false, 150, 0},
    {"g:so", 1, false, 150, 250},         {"g:we", 1, false, 0, 124},
    {"g:ea", 1, false, 301, 124},         {"g:nowe", 1, false, 0, 0},
    {"g:soea", 1, false, 301, 250},       {"g:nowe:11:5", 1, false, 12, 6},
    {"g:nowe:11:5", 2, false, 22, 10},    {"g:soea:10:20", 1, false, 291, 230},
    {"g:ce:10:-20", 1, false, 160, 104},  {"g:we:0.5:0", 1, false, 200, 124},
    {"g:ea:1000:0", 1, false, 0, 124},    {"g:we:-1000:0", 1, false, 0, 124},
    {"g:we:-1000:0", 1, true, -99, 124},  {"g:ea:-1e300:0", 1, true, 400, 124},
    {"g:fp:0.5:0.5", 1, false, 150, 125}, {"g:fp:0:0", 1, false, 0, 0},
    {"g:fp:1:1", 1, false, 301, 250},
};

static void windows_lie_where_gravity_pulls(void **state)
{
    for (size_t i = 0; i < sizeof(WINDOWS) / sizeof(WINDOWS[0]); i++) {
        struct image_options o = options_of(WINDOWS[i].gravity);
        struct window w = window_place((struct dimensions){401, 300}, (struct dimensions){100, 50},
                                       o.gravity, WINDOWS[i].offset_scale, WINDOWS[i].may_overflow);
        if (w.left != WINDOWS[i].left || w.top != WINDOWS[i].top || w.width != 100 ||
            w.height != 50)
            fail_msg("%s: %d, %d", WINDOWS[i].gravity, (int)w.left, (int)w.top);
    }
}

/* What a window becomes when the picture that it lies in is turned and mirrored. */
static struct window turn(struct window w, struct dimensions *outer, struct turns turns)
{
    for (unsigned left = turns.rotate; left; left -= 90) {
        w = (struct window){outer->height - w.top - w.height, w.left, w.height, w.width};
        *outer = (struct dimensions){outer->height, outer->width};
    }
    if (turns.flip_horizontally)
        w.left = outer->width - w.left - w.width;
    if (turns.flip_vertically)
        w.top = outer->height - w.top - w.height;
    return w;
}

/* Whatever the turns are, what they do to a window is undone. */
static void windows_are_turned_back(void **state)
{
    for (unsigned i = 0; i < 16; i++) {
        struct turns turns = {i % 4 * 90, i & 4, i & 8};
        struct window w = {31, 17, 80, 40};
        struct dimensions before = {401, 322}, after = before;
        struct window turned = turn(w, &after, turns);
        struct dimensions told = dimensions_turned(before, turns);
        assert_true(told.width == after.width && told.height == after.height);
        struct window back = window_before_turns(turned, after, turns);
        if (back.left != w.left || back.top != w.top || back.width != w.width ||
            back.height != w.height)
            fail_msg("turns %u: %d, %d of %d x %d", i, (int)back.left, (int)back.top,
                     (int)back.width, (int)back.height);
    }
}

/* Where the first pixel of a stored picture of 4 x 3 is once it is upright (TIFF 6.0, Orientation). */
static void orientations_put_the_first_pixel_in_its_corner(void **state)
{
    static const struct {
        int left, top;
    } CORNERS[10] = {{0, 0}, {0, 0}, {3, 0}, {3, 2}, {0, 2},
                     {0, 0}, {2, 0}, {2, 3}, {0, 3}, {0, 0}};
    for (int i = 0; i < 10; i++) {
        struct dimensions size = {4, 3};
        struct window w = turn((struct window){0, 0, 1, 1}, &size, turns_of_orientation(i));
        if (w.left != CORNERS[i].left || w.top != CORNERS[i].top)
            fail_msg("orientation %d: %d, %d", i, (int)w.left, (int)w.top);
    }
}

static int setup(void **state)
{
    arena_init(&arena, MEM_OTHER, 0);
    return 0;
}

static int teardown(void **state)
{
    arena_deinit(&arena);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(resizes_are_planned),
        cmocka_unit_test(a_size_of_no_pixel_is_refused),
        cmocka_unit_test(minimums_share_a_factor),
        cmocka_unit_test(crops_are_pixels_parts_or_all),
        cmocka_unit_test(a_ratio_is_reached_by_the_short_side),
        cmocka_unit_test(windows_lie_where_gravity_pulls),
        cmocka_unit_test(windows_are_turned_back),
        cmocka_unit_test(orientations_put_the_first_pixel_in_its_corner),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
