/* SPDX-License-Identifier: Apache-2.0 */
#include "image_url.h"

#include "base/buffer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static struct arena arena;

/* options | source | extension, or the error. */
static const struct {
    const char *path, *expected;
} PATHS[] = {
    {"sig/plain/http://o.test/a.png", "|http://o.test/a.png|"},
    {"sig/plain/http://o.test/a.png@webp", "|http://o.test/a.png|webp"},
    {"sig/rs:fit:320:240/q:70/plain/http://o.test/a%20b.png@webp",
     "rs(fit,320,240) q(70)|http://o.test/a b.png|webp"},
    {"sig/rs:fill::200/plain/x", "rs(fill,,200)|x|"},
    {"sig/raw:/plain/x", "raw()|x|"},
    {"sig/rs%3Afit%3A1/plain/x", "rs(fit,1)|x|"},
    {"sig/plain/a@b@c", "|a@b|c"},
    {"sig/plain/a%40b", "|a@b|"},
    {"sig/plain/a?b=c%26d", "|a?b=c&d|"},
    {"sig/plain/a%2525", "|a%25|"},
    {"sig/plain/%e6%b8%ac", "|測|"},
    {"sig/aHR0cDovL28udGVzdC9hLnBuZw.jpg", "|http://o.test/a.png|jpg"},
    {"sig/w:1/aHR0cDovL28udGVzdC9hLnBuZw==", "w(1)|http://o.test/a.png|"},
    {"sig/aHR0cDovL28udGVzdC9hLnBuZw%3D%3D", "|http://o.test/a.png|"},
    {"sig/aHR0cDov/L28udGVzd/C9hLnBuZw.png", "|http://o.test/a.png|png"},
    {"", "Invalid URL format"},
    {"sig", "Invalid URL format"},
    {"sig/", "Invalid URL format"},
    {"sig/w:1", "Invalid URL format"},
    {"sig/plain", "Invalid URL format"},
    {"sig/plain/", "Invalid URL format"},
    {"sig/plain/@png", "Invalid URL format"},
    {"sig/.png", "Invalid URL format"},
    {"sig/plain/%", "Error decoding URL"},
    {"sig/plain/%zz", "Error decoding URL"},
    {"sig/plain/%ff", "Error decoding URL"},
    {"sig/plain/a%00b", "Error decoding URL"},
    {"sig/a!b", "Error decoding URL"},
    {"sig/_w", "Error decoding URL"}, /* a byte that is no UTF-8 */
    {"sig/YQ=a", "Error decoding URL"},
    {"sig/a", "Error decoding URL"},
};

static void describe(struct buffer *out, const struct image_url *url, struct view source)
{
    for (size_t i = 0; i < url->option_count; i++) {
        const struct image_option *o = &url->options[i];
        buffer_printf(out, "%s%.*s(", i ? " " : "", VIEW_ARGS(o->name));
        for (size_t k = 0; k < image_option_argument_count(o); k++)
            buffer_printf(out, "%s%.*s", k ? "," : "", VIEW_ARGS(image_option_argument(o, k)));
        buffer_append_byte(out, ')');
    }
    buffer_printf(out, "|%.*s|%.*s", VIEW_ARGS(source), VIEW_ARGS(url->extension));
}

static void paths_are_read_as_imgproxy_writes_them(void **state)
{
    for (size_t i = 0; i < sizeof(PATHS) / sizeof(PATHS[0]); i++) {
        struct image_url url;
        struct view source;
        struct error err = {0};
        struct buffer got;
        buffer_init(&got, MEM_OTHER, 1 << 20);
        if (image_url_parse(&arena, view_from(PATHS[i].path), &url, &err) &&
            image_url_source(&arena, &url, &source, &err))
            describe(&got, &url, source);
        else
            buffer_printf(&got, "%s", err.message);
        buffer_append_byte(&got, '\0');
        if (strcmp(got.ptr, PATHS[i].expected) != 0)
            fail_msg("%s: got %s, expected %s", PATHS[i].path, got.ptr, PATHS[i].expected);
        buffer_deinit(&got);
        arena_reset(&arena);
    }
}

static void what_is_signed_begins_behind_the_signature(void **state)
{
    struct image_url url;
    struct error err;
    assert_true(image_url_parse(&arena, VIEW("sig/w%3A1/plain/a%20b@png"), &url, &err));
    assert_true(view_is(url.signature, "sig"));
    assert_true(view_is(url.signed_path, "/w%3A1/plain/a%20b@png"));
}

/* As many options as there may be, and one more; a source as long as it may be, and a byte more. */
static void paths_have_limits(void **state)
{
    struct image_url url;
    struct view source;
    struct error err;
    struct buffer path;
    buffer_init(&path, MEM_OTHER, 1 << 20);
    for (int extra = 0; extra < 2; extra++) {
        buffer_reset(&path);
        buffer_append_literal(&path, "sig/");
        for (int i = 0; i < IMAGE_URL_OPTIONS_MAX + extra; i++)
            buffer_append_literal(&path, "w:1/");
        buffer_append_literal(&path, "plain/x");
        assert_int_equal(image_url_parse(&arena, buffer_view(&path), &url, &err), !extra);

        buffer_reset(&path);
        buffer_append_literal(&path, "sig/plain/");
        for (int i = 0; i < IMAGE_SOURCE_BYTES_MAX + extra; i++)
            buffer_append_byte(&path, 'x');
        assert_true(image_url_parse(&arena, buffer_view(&path), &url, &err));
        assert_int_equal(image_url_source(&arena, &url, &source, &err), !extra);
    }
    buffer_deinit(&path);
}

static void presets_are_split_as_urls_are(void **state)
{
    struct image_option *options;
    size_t count;
    struct error err;
    assert_true(image_options_split(&arena, VIEW("/rs:fit:1//q:2/blur/"), &options, &count, &err));
    assert_int_equal(count, 3);
    assert_true(view_is(image_option_argument(&options[0], 1), "1"));
    assert_true(view_is(options[2].name, "blur"));
    assert_false(options[2].has_arguments);
    assert_int_equal(image_option_argument_count(&options[2]), 0);
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
        cmocka_unit_test(paths_are_read_as_imgproxy_writes_them),
        cmocka_unit_test(what_is_signed_begins_behind_the_signature),
        cmocka_unit_test(paths_have_limits),
        cmocka_unit_test(presets_are_split_as_urls_are),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
