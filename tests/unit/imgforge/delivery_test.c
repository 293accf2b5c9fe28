/* SPDX-License-Identifier: Apache-2.0 */
#include "delivery.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static struct buffer out;

static const char *written(void)
{
    buffer_append_byte(&out, '\0');
    return out.ptr;
}

static const struct {
    bool detect_webp, detect_avif, enforce_webp, enforce_avif;
    const char *accept;
    bool named;
    enum image_format expected;
} ACCEPTS[] = {
    {1, 0, 0, 0, "image/webp,image/*,*/*", false, IMAGE_FORMAT_WEBP},
    {1, 0, 0, 0, "image/webp,image/*,*/*", true, IMAGE_FORMAT_NONE},
    {1, 0, 0, 0, "image/*,*/*", false, IMAGE_FORMAT_NONE},
    {1, 0, 0, 0, "", false, IMAGE_FORMAT_NONE},
    {0, 0, 1, 0, "image/webp", true, IMAGE_FORMAT_WEBP},
    {1, 1, 0, 0, "image/avif,image/webp,*/*", false, IMAGE_FORMAT_AVIF},
    {1, 0, 0, 0, "image/avif,image/webp,*/*", false, IMAGE_FORMAT_WEBP},
    {1, 1, 0, 0, "image/avif;q=0, image/webp", false, IMAGE_FORMAT_WEBP},
    {1, 1, 0, 0, "image/webp;q=0.0", false, IMAGE_FORMAT_NONE},
    {1, 1, 0, 0, "IMAGE/WEBP;q=0.5", false, IMAGE_FORMAT_WEBP},
    {1, 1, 0, 0, "application/image/webp+xml", false, IMAGE_FORMAT_NONE},
    {1, 1, 0, 0, "image/avif;q=0.1, image/webp;q=1", false, IMAGE_FORMAT_WEBP},
    {1, 1, 0, 0, "image/avif; charset=x ; q=0.5, image/webp", false, IMAGE_FORMAT_WEBP},
    {1, 1, 0, 0, "image/avif;q=0.8, image/webp;q=0.8", false, IMAGE_FORMAT_AVIF},
    {1, 1, 1, 0, "image/avif,image/webp", true, IMAGE_FORMAT_WEBP},
    {1, 1, 0, 0, "image/avif;q=9", false, IMAGE_FORMAT_AVIF},
};

static void formats_are_negotiated(void **state)
{
    for (size_t i = 0; i < sizeof(ACCEPTS) / sizeof(ACCEPTS[0]); i++) {
        struct negotiation n = {ACCEPTS[i].detect_webp,  ACCEPTS[i].enforce_webp,
                                ACCEPTS[i].detect_avif,  ACCEPTS[i].enforce_avif,
                                .can_encode_webp = true, .can_encode_avif = true};
        enum image_format got =
            negotiate_format(&n, view_from(ACCEPTS[i].accept), ACCEPTS[i].named);
        if (got != ACCEPTS[i].expected)
            fail_msg("case %zu, \"%s\": %s", i, ACCEPTS[i].accept, image_format_name(got));
        n.can_encode_avif = n.can_encode_webp = false;
        assert_int_equal(negotiate_format(&n, view_from(ACCEPTS[i].accept), ACCEPTS[i].named),
                         IMAGE_FORMAT_NONE);
    }
}

static void answers_vary_by_what_they_look_at(void **state)
{
    struct negotiation n = {.client_hints = true};
    buffer_reset(&out);
    vary_write(&n, &out);
    assert_string_equal(written(), "Sec-CH-Width, Width, Sec-CH-DPR, DPR");
    n.detect_webp = true;
    buffer_reset(&out);
    vary_write(&n, &out);
    assert_string_equal(written(), "Accept, Sec-CH-Width, Width, Sec-CH-DPR, DPR");
    n = (struct negotiation){0};
    buffer_reset(&out);
    vary_write(&n, &out);
    assert_string_equal(written(), "");
}

static const struct {
    const char *dpr, *width;
    uint32_t url_width;
    double url_dpr; /* 0: not said */
    uint32_t expected_width;
    double expected_dpr;
    bool is_taken;
} HINTS[] = {
    {"", "", 0, 0, 0, 1, false},         {"2", "640", 0, 0, 320, 2, true},
    {"", "640", 0, 0, 640, 1, true},     {"5", "1", 0, 0, 1, 5, true},
    {"9", "", 0, 0, 0, 5, true},         {"0.5", "", 0, 0, 0, 1, true},
    {"2", "640", 100, 0, 100, 2, true},  {"2", "640", 0, 3, 320, 3, true},
    {"2", "640", 100, 1, 100, 1, false}, {"x", "-5", 0, 0, 0, 1, false},
    {"inf", "nan", 0, 0, 0, 1, false},   {"", "1e300", 0, 0, 0, 1, false},
};

static void client_hints_fill_what_is_open(void **state)
{
    for (size_t i = 0; i < sizeof(HINTS) / sizeof(HINTS[0]); i++) {
        struct image_options o;
        image_options_init(&o);
        o.width = HINTS[i].url_width;
        o.has_dpr = HINTS[i].url_dpr > 0;
        o.dpr = o.has_dpr ? HINTS[i].url_dpr : 1;
        bool is_taken = client_hints_apply(view_from(HINTS[i].dpr), view_from(HINTS[i].width), &o);
        if (is_taken != HINTS[i].is_taken || o.width != HINTS[i].expected_width ||
            o.dpr != HINTS[i].expected_dpr)
            fail_msg("case %zu: width %u, dpr %g, taken %d", i, o.width, o.dpr, is_taken);
    }
}

#define ETAG "0123456789abcdef0123456789abcdef"

static void clients_that_have_it_are_told_so(void **state)
{
    struct view etag = VIEW(ETAG);
    assert_true(if_none_match(VIEW("\"" ETAG "\""), etag));
    assert_true(if_none_match(VIEW("\"other\", W/\"" ETAG "\""), etag));
    assert_true(if_none_match(VIEW("*"), etag));
    assert_false(if_none_match(VIEW("\"nope\""), etag));
    assert_false(if_none_match(VIEW(ETAG), etag));
    assert_false(if_none_match(VIEW(""), etag));

    int64_t modified = 1445412480; /* Wed, 21 Oct 2015 07:28:00 GMT */
    assert_true(if_modified_since(VIEW("Wed, 21 Oct 2015 07:28:00 GMT"), modified));
    assert_true(if_modified_since(VIEW("Thu, 22 Oct 2015 07:28:00 GMT"), modified));
    assert_false(if_modified_since(VIEW("Wed, 21 Oct 2015 07:27:59 GMT"), modified));
    assert_true(if_modified_since(VIEW("Thursday, 22-Oct-15 07:28:00 GMT"), modified));
    assert_true(if_modified_since(VIEW("Thu Oct 22 07:28:00 2015"), modified));
    assert_false(if_modified_since(VIEW("not a date"), modified));
    assert_false(if_modified_since(VIEW(""), modified));
    assert_false(if_modified_since(VIEW("Wed, 21 Oct 2015 07:28:00 GMT"), 0));
}

static void check_cache_control(struct delivery_policy p, const char *of_source, uint64_t expires,
                                const char *expected)
{
    buffer_reset(&out);
    cache_control_write(&p, view_from(of_source), expires, 1000, &out);
    assert_string_equal(written(), expected);
}

static void clients_are_told_how_long_to_keep_it(void **state)
{
    struct delivery_policy none = {0}, ttl = {.has_ttl = true, .ttl_s = 3600},
                           both = {.has_ttl = true, .ttl_s = 3600, .passthrough = true};
    check_cache_control(none, "max-age=60", 0, "");
    check_cache_control(ttl, "no-store", 0, "public, max-age=3600");
    check_cache_control(both, "public, max-age=60", 0, "public, max-age=60");
    check_cache_control(both, "  ", 0, "public, max-age=3600");
    check_cache_control(both, "max-age=60\r\nX-Injected: yes", 0, "max-age=60X-Injected: yes");
    check_cache_control(ttl, "", 1100, "public, max-age=100");
    check_cache_control(ttl, "", 900, "public, max-age=0");
    check_cache_control(ttl, "", 100000, "public, max-age=3600");
}

static void headers_cannot_be_broken_out_of(void **state)
{
    buffer_reset(&out);
    content_disposition_write(VIEW("a\"b\\c\r\nX: y.png"), false, &out);
    assert_string_equal(written(), "inline; filename=\"a_b_c__X: y.png\"");
    buffer_reset(&out);
    content_disposition_write(VIEW(""), true, &out);
    assert_string_equal(written(), "attachment");
    buffer_reset(&out);
    canonical_link_write(VIEW("https://o.test/a>;rel=\"x\" \xc3\xa9\r\n"), &out);
    assert_string_equal(written(),
                        "<https://o.test/a%3E;rel=%22x%22%20%C3%A9%0D%0A>; rel=\"canonical\"");
    buffer_reset(&out);
    http_date_write(784111777, &out);
    assert_string_equal(written(), "Sun, 06 Nov 1994 08:49:37 GMT");
}

static const struct {
    const char *prefixes[2];
    const char *url;
    bool is_allowed;
} SOURCES[] = {
    {{NULL}, "http://anything/", true},
    {{"http://a.test/"}, "http://a.test/x.png", true},
    {{"http://a.test/"}, "https://a.test/x.png", false},
    {{"http://a.test"}, "http://a.test/x.png", true},
    {{"http://a.test"}, "http://a.test", true},
    {{"http://a.test"}, "http://a.test.evil/x.png", false},
    {{"http://a.test"}, "http://a.test@evil/x.png", false},
    {{"http://*.a.test/"}, "http://img.a.test/x.png", true},
    {{"http://*.a.test/"}, "http://a.test/x.png", false},
    {{"http://*.a.test/"}, "http://evil/.a.test/x.png", false},
    {{"http://*.a.test"}, "http://x.a.test.b.a.test/y", true},
    {{"http://a.test/*/public/"}, "http://a.test/one/public/x", true},
    {{"http://a.test/*/public/"}, "http://a.test/one/two/public/x", false},
    {{"http://a.test/*"}, "http://a.test/one/two", true},
    {{"http://a.test/", "http://b.test/ima"}, "http://b.test/images/x", true},
};

static void sources_begin_as_they_are_allowed_to(void **state)
{
    for (size_t i = 0; i < sizeof(SOURCES) / sizeof(SOURCES[0]); i++) {
        size_t count = SOURCES[i].prefixes[0] == NULL ? 0 : SOURCES[i].prefixes[1] == NULL ? 1 : 2;
        if (source_is_allowed(SOURCES[i].prefixes, count, view_from(SOURCES[i].url)) !=
            SOURCES[i].is_allowed)
            fail_msg("case %zu: %s", i, SOURCES[i].url);
    }
}

static int setup(void **state)
{
    buffer_init(&out, MEM_OTHER, 1 << 16);
    return 0;
}

static int teardown(void **state)
{
    buffer_deinit(&out);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(formats_are_negotiated),
        cmocka_unit_test(answers_vary_by_what_they_look_at),
        cmocka_unit_test(client_hints_fill_what_is_open),
        cmocka_unit_test(clients_that_have_it_are_told_so),
        cmocka_unit_test(clients_are_told_how_long_to_keep_it),
        cmocka_unit_test(headers_cannot_be_broken_out_of),
        cmocka_unit_test(sources_begin_as_they_are_allowed_to),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
