/* SPDX-License-Identifier: Apache-2.0 */
/* image_request_test.c: what requests ask for, in which order they are judged, and what their keys tell apart. */
#include "image_request.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static struct arena arena;
static struct imgforge_settings settings;
static const struct image_headers NO_HEADERS;
static struct image_key mark; /* the operator's watermark */

/* Settings as the environment `variables` (NULL at the end) says, over unsigned URLs. */
static void settings_use(struct settings *s, const char *const *variables)
{
    static struct setting_group group;
    struct setting_problem problem;
    struct service_config config;
    const char *environment[16] = {"IMGFORGE_ALLOW_UNSIGNED=true"};
    for (size_t i = 0; variables && variables[i]; i++)
        environment[i + 1] = variables[i];
    group =
        (struct setting_group){IMGFORGE_SETTINGS, IMGFORGE_SETTING_COUNT, &imgforge_settings.in};
    memset(&imgforge_settings, 0, sizeof(imgforge_settings));
    settings_init(s, &group, 1, environment);
    if (!settings_load(s, &problem) || !imgforge_configure(&config, s, &problem))
        fail_msg("%s: %s", problem.variable, problem.expected);
    settings = imgforge_settings;
}

static bool read_with(enum cache_key_kind kind, const char *path, const struct image_headers *h,
                      int64_t now_s, struct image_request *out, struct image_failure *f)
{
    struct cache_key_base base = {.mark = mark};
    cache_key_policy(&settings, &base.policy);
    return image_request_read(&arena, &settings, &base, kind, view_from(path), h, now_s, out, f);
}

static struct image_key key_of(enum cache_key_kind kind, const char *path,
                               const struct image_headers *h)
{
    struct image_request rq;
    struct image_failure f;
    if (!read_with(kind, path, h, 1000, &rq, &f))
        fail_msg("%s: %s", path, f.text);
    return rq.key;
}

static bool key_eq(struct image_key a, struct image_key b)
{
    return memcmp(a.bytes, b.bytes, sizeof(a.bytes)) == 0;
}

#define SOURCE "plain/http://a.test/x.png"

/* Wrong in two ways: what is judged first is told. */
static const struct {
    const char *path;
    int status;
    const char *text;
    bool is_violation;
} REFUSED[] = {
    {"", 400, "Invalid URL format"},
    {"unsafe", 400, "Invalid URL format"},
    {"unsafe/plain/", 400, "Invalid URL format"},
    {"wrong/w:x/" SOURCE, 403, "Invalid signature", true},
    {"unsafe/pr:none/w:x/" SOURCE, 400, "unknown preset: none"},
    {"unsafe/dpr:9/" SOURCE, 400, "dpr value must be between 1.0 and 5.0"},
    {"unsafe/exp:999/dpr:9/" SOURCE, 400, "dpr value must be between 1.0 and 5.0"},
    {"unsafe/exp:0/" SOURCE, 404, "URL has expired"},
    {"unsafe/exp:999/plain/http%3A%2F%2Fa%zz", 404, "URL has expired"},
    {"unsafe/plain/http%3A%2F%2Fa%zz", 400, "Error decoding URL"},
    {"unsafe/w:1/!!!", 400, "Error decoding URL"},
    {"unsafe/" SOURCE "@xyz", 400, "Unsupported output format: xyz"},
    {"unsafe/f:bmp/" SOURCE, 400, "Unsupported output format: bmp"},
};

static void requests_are_judged_in_order(void **state)
{
    (void)state;
    static const char *const KEYS[] = {"IMGFORGE_KEY=00112233", "IMGFORGE_SALT=44556677", NULL};
    struct settings s;
    settings_use(&s, KEYS);
    for (size_t i = 0; i < sizeof(REFUSED) / sizeof(REFUSED[0]); i++) {
        struct image_request rq;
        struct image_failure f = {0};
        bool ok = read_with(CACHE_KEY_IMAGE, REFUSED[i].path, &NO_HEADERS, 1000, &rq, &f);
        if (ok || f.status != REFUSED[i].status || strcmp(f.text, REFUSED[i].text) != 0 ||
            f.is_violation != REFUSED[i].is_violation)
            fail_msg("%s: %d %s", REFUSED[i].path, ok ? 200 : f.status, ok ? "" : f.text);
    }
    settings_deinit(&s);
    static const char *const SIGNED[] = {"IMGFORGE_ALLOW_UNSIGNED=false", "IMGFORGE_KEY=00",
                                         "IMGFORGE_SALT=11", NULL};
    struct image_request rq;
    struct image_failure f = {0};
    settings_use(&s, SIGNED + 1);
    settings.keys.allow_unsigned = false;
    assert_false(read_with(CACHE_KEY_IMAGE, "unsafe/" SOURCE, &NO_HEADERS, 0, &rq, &f));
    assert_string_equal(f.text, "Unsigned URLs are not allowed");
    assert_int_equal(f.status, 403);
    settings_deinit(&s);
}

/* A path with the signature of `signed_path`. */
static struct view path_with_signature(const char *signed_path, const char *sent)
{
    char signature[SIGNATURE_TEXT_BYTES];
    signature_make(&settings.keys, view_from(signed_path), signature);
    return arena_printf(&arena, "%s%s", signature, sent);
}

/* Whoever has a signed path may write it with more escapes, and gets what was signed all the same. */
static void escapes_move_no_bounds_of_options(void **state)
{
    (void)state;
    static const char *const KEYS[] = {"IMGFORGE_KEY=00112233", "IMGFORGE_SALT=44556677", NULL};
    static const char SIGNED[] = "/el:1/exp:500/wm:1/plain/http://a.test/x%2Fy.png@webp";
    static const char *const SENT[] = {
        SIGNED,
        "/el:1%2Fexp:500/wm:1/plain/http://a.test/x%252Fy.png@webp",
        "/el%3A1/exp%3A500%2Fwm:1/plain/http://a.test/x%252Fy.png%40webp",
    };
    struct settings s;
    struct image_request first, rq;
    struct image_failure f = {0};
    settings_use(&s, KEYS);
    for (size_t i = 0; i < sizeof(SENT) / sizeof(SENT[0]); i++) {
        const char *path = path_with_signature(SIGNED, SENT[i]).ptr;
        if (!read_with(CACHE_KEY_IMAGE, path, &NO_HEADERS, 400, &rq, &f))
            fail_msg("%s: %d %s", path, f.status, f.text);
        first = i ? first : rq;
        assert_true(key_eq(rq.key, first.key));
        assert_string_equal(rq.source.ptr, "http://a.test/x/y.png");
        assert_true(rq.options.has_watermark && rq.options.format == IMAGE_FORMAT_WEBP);
        assert_false(read_with(CACHE_KEY_IMAGE, path, &NO_HEADERS, 501, &rq, &f));
        assert_int_equal(f.status, 404);
    }
    settings_deinit(&s);
}

/* Each of them is another picture than all others. */
static const char *const DIFFERENT[] = {"w:1",
                                        "h:1",
                                        "w:2",
                                        "rs:fill:1:1",
                                        "rs:force:1:1",
                                        "rs:auto:1:1",
                                        "rs:fill-down:1:1",
                                        "ra:nearest",
                                        "mw:1",
                                        "mh:1",
                                        "z:2",
                                        "z:2:3",
                                        "dpr:2",
                                        "el:1",
                                        "ex:1",
                                        "ex:1:no",
                                        "exar:1",
                                        "exar:1:so",
                                        "g:no",
                                        "g:fp:0.1:0.2",
                                        "c:1:1",
                                        "c:1:1:no",
                                        "t:10",
                                        "t:10:ff0000",
                                        "t:10::1",
                                        "t:10:::1",
                                        "pd:1",
                                        "pd:1:2",
                                        "ar:0",
                                        "rot:90",
                                        "fl:1",
                                        "fl:0:1",
                                        "bg:ff0000",
                                        "bg:00ff00",
                                        "bga:0.5",
                                        "br:1",
                                        "co:2",
                                        "sa:2",
                                        "bl:1",
                                        "sh:1",
                                        "pix:4",
                                        "wm:0.5",
                                        "wm:0.6",
                                        "wm:0.5:no",
                                        "wm:0.5::::0.5",
                                        "wm:0.5/wmu:aHR0cDovL2I",
                                        "q:1",
                                        "fq:jpeg:1",
                                        "f:png",
                                        "f:webp",
                                        "mb:1",
                                        "sm:1",
                                        "kcr:1",
                                        "scp:1",
                                        "ph:1",
                                        "eth:1",
                                        "jpgo:1",
                                        "jpgo:0:1",
                                        "jpgo:0:0:1",
                                        "jpgo:0:0:0:1",
                                        "jpgo:0:0:0:0:1",
                                        "jpgo:0:0:0:0:0:3",
                                        "pngo:1",
                                        "pngo:0:1",
                                        "pngo:0:1:8",
                                        "webpo:1",
                                        "webpo:0:1",
                                        "webpo:0:0:photo",
                                        "avifo:1",
                                        "pg:1",
                                        "pgs:2",
                                        "da:1",
                                        "skp:png",
                                        "raw:1",
                                        "cb:x",
                                        "cb:y",
                                        "msr:1",
                                        "msfs:1",
                                        "mrd:1",
                                        "maf:1",
                                        "mafr:1"};

static void each_option_has_a_key_of_its_own(void **state)
{
    (void)state;
    static const char *const OPTIONS[] = {"IMGFORGE_ALLOW_SECURITY_OPTIONS=true", NULL};
    enum { COUNT = sizeof(DIFFERENT) / sizeof(DIFFERENT[0]) };
    struct image_key keys[COUNT + 1];
    struct settings s;
    settings_use(&s, OPTIONS);
    keys[COUNT] = key_of(CACHE_KEY_IMAGE, "unsafe/" SOURCE, &NO_HEADERS);
    for (size_t i = 0; i < COUNT; i++) {
        struct view path = arena_printf(&arena, "unsafe/%s/" SOURCE, DIFFERENT[i]);
        keys[i] = key_of(CACHE_KEY_IMAGE, path.ptr, &NO_HEADERS);
    }
    for (size_t i = 0; i <= COUNT; i++)
        for (size_t k = 0; k < i; k++)
            if (key_eq(keys[i], keys[k]))
                fail_msg("%s has the key of %s", i < COUNT ? DIFFERENT[i] : "nothing",
                         DIFFERENT[k]);
    settings_deinit(&s);
}

/* Written in two ways, or told apart by headers alone: the same picture. */
static const struct {
    const char *a, *b;
} SAME[] = {
    {"unsafe/rs:fit:10:20/" SOURCE, "unsafe/resize:fit:10:20/" SOURCE},
    {"unsafe/w:10/h:20/" SOURCE, "unsafe/h:20/w:10/" SOURCE},
    {"unsafe/q:5/q:10/" SOURCE, "unsafe/q:10/" SOURCE},
    {"unsafe/f:jpg/" SOURCE, "unsafe/" SOURCE "@jpeg"},
    {"unsafe/" SOURCE, "unsafe/aHR0cDovL2EudGVzdC94LnBuZw"},
    {"unsafe/fn:a.png/" SOURCE, "unsafe/" SOURCE},
    {"unsafe/att:1/" SOURCE, "unsafe/" SOURCE},
    {"unsafe/exp:2000/" SOURCE, "unsafe/exp:3000/" SOURCE},
    {"unsafe/unknown:1/" SOURCE, "unsafe/" SOURCE},
    {"unsafe/f:jpeg/q:85/" SOURCE, "unsafe/f:jpeg/" SOURCE},
    {"unsafe/f:jpeg/fq:png:9/" SOURCE, "unsafe/f:jpeg/" SOURCE},
    {"unsafe/msr:1/" SOURCE, "unsafe/" SOURCE}, /* not allowed, so of no effect */
};

static void equal_requests_have_equal_keys(void **state)
{
    (void)state;
    struct settings s;
    settings_use(&s, NULL);
    for (size_t i = 0; i < sizeof(SAME) / sizeof(SAME[0]); i++)
        if (!key_eq(key_of(CACHE_KEY_IMAGE, SAME[i].a, &NO_HEADERS),
                    key_of(CACHE_KEY_IMAGE, SAME[i].b, &NO_HEADERS)))
            fail_msg("%s is not %s", SAME[i].a, SAME[i].b);
    assert_false(key_eq(key_of(CACHE_KEY_IMAGE, "unsafe/" SOURCE, &NO_HEADERS),
                        key_of(CACHE_KEY_INFORMATION, "unsafe/" SOURCE, &NO_HEADERS)));
    assert_false(key_eq(key_of(CACHE_KEY_IMAGE, "unsafe/plain/http://a/x", &NO_HEADERS),
                        key_of(CACHE_KEY_IMAGE, "unsafe/plain/http://a/y", &NO_HEADERS)));
    assert_true(key_eq(key_of(CACHE_KEY_INFORMATION, "unsafe/w:1/" SOURCE, &NO_HEADERS),
                       key_of(CACHE_KEY_INFORMATION, "unsafe/w:2/" SOURCE, &NO_HEADERS)));
    settings_deinit(&s);
}

/* What a server is set to, beside the defaults: nothing that another policy let in is found. */
static const char *const POLICIES[] = {
    "IMGFORGE_MAX_SRC_FILE_SIZE=1000",
    "IMGFORGE_MAX_SRC_RESOLUTION=1",
    "IMGFORGE_MAX_RESULT_DIMENSION=100",
    "IMGFORGE_MAX_ANIMATION_FRAMES=5",
    "IMGFORGE_MAX_ANIMATION_FRAME_RESOLUTION=2",
    "IMGFORGE_ALLOWED_MIME_TYPES=image/png",
    "IMGFORGE_ALLOWED_SOURCES=http://a.test/",
    "IMGFORGE_ALLOW_LOOPBACK_SOURCE_ADDRESSES=true",
    "IMGFORGE_ALLOW_PRIVATE_SOURCE_ADDRESSES=false",
    "IMGFORGE_DEFAULT_FORMAT=png",
    "IMGFORGE_QUALITY=50",
    "IMGFORGE_AUTO_ROTATE=false",
    "IMGFORGE_STRIP_METADATA=true",
    "IMGFORGE_PRESETS=default=w:5",
};

static void another_policy_has_other_keys(void **state)
{
    (void)state;
    enum { COUNT = sizeof(POLICIES) / sizeof(POLICIES[0]) };
    struct image_key keys[COUNT + 1];
    struct settings s;
    for (size_t i = 0; i <= COUNT; i++) {
        const char *const variables[] = {i < COUNT ? POLICIES[i] : NULL, NULL};
        settings_use(&s, variables);
        keys[i] = key_of(CACHE_KEY_IMAGE, "unsafe/" SOURCE, &NO_HEADERS);
        for (size_t k = 0; k < i; k++)
            if (key_eq(keys[i], keys[k]))
                fail_msg("%s has the key of %s", i < COUNT ? POLICIES[i] : "nothing", POLICIES[k]);
        settings_deinit(&s);
    }
}

static void another_watermark_has_other_keys(void **state)
{
    (void)state;
    static const char OTHERS[] = "unsafe/wm:1/wmu:aHR0cDovL2EudGVzdC94LnBuZw/" SOURCE;
    struct settings s;
    settings_use(&s, NULL);
    struct image_key own = key_of(CACHE_KEY_IMAGE, "unsafe/wm:1/" SOURCE, &NO_HEADERS),
                     others = key_of(CACHE_KEY_IMAGE, OTHERS, &NO_HEADERS),
                     none = key_of(CACHE_KEY_IMAGE, "unsafe/" SOURCE, &NO_HEADERS);
    mark.bytes[7] = 1;
    assert_false(key_eq(own, key_of(CACHE_KEY_IMAGE, "unsafe/wm:1/" SOURCE, &NO_HEADERS)));
    assert_true(key_eq(others, key_of(CACHE_KEY_IMAGE, OTHERS, &NO_HEADERS)));
    assert_true(key_eq(none, key_of(CACHE_KEY_IMAGE, "unsafe/" SOURCE, &NO_HEADERS)));
    mark = (struct image_key){{0}};
    settings_deinit(&s);
}

static void what_the_client_can_show_is_in_the_key(void **state)
{
    (void)state;
    static const char *const DETECT[] = {"IMGFORGE_ENABLE_WEBP_DETECTION=true",
                                         "IMGFORGE_ENABLE_CLIENT_HINTS=true", NULL};
    const struct image_headers webp = {.accept = VIEW("image/webp,*/*")},
                               hints = {.dpr = VIEW("2"), .width = VIEW("200")};
    struct settings s;
    settings_use(&s, DETECT);
    struct image_key as_is = key_of(CACHE_KEY_IMAGE, "unsafe/" SOURCE, &NO_HEADERS);
    assert_false(key_eq(as_is, key_of(CACHE_KEY_IMAGE, "unsafe/" SOURCE, &webp)));
    assert_true(key_eq(key_of(CACHE_KEY_IMAGE, "unsafe/" SOURCE "@webp", &NO_HEADERS),
                       key_of(CACHE_KEY_IMAGE, "unsafe/" SOURCE, &webp)));
    assert_true(key_eq(key_of(CACHE_KEY_IMAGE, "unsafe/" SOURCE "@png", &NO_HEADERS),
                       key_of(CACHE_KEY_IMAGE, "unsafe/" SOURCE "@png", &webp)));
    assert_true(key_eq(key_of(CACHE_KEY_IMAGE, "unsafe/raw:1/" SOURCE, &NO_HEADERS),
                       key_of(CACHE_KEY_IMAGE, "unsafe/raw:1/" SOURCE, &webp)));
    assert_false(key_eq(as_is, key_of(CACHE_KEY_IMAGE, "unsafe/" SOURCE, &hints)));
    assert_true(key_eq(key_of(CACHE_KEY_INFORMATION, "unsafe/" SOURCE, &NO_HEADERS),
                       key_of(CACHE_KEY_INFORMATION, "unsafe/" SOURCE, &webp)));
    settings_deinit(&s);
}

static int setup(void **state)
{
    (void)state;
    struct image_failure f;
    arena_init(&arena, MEM_OTHER, 0);
    return pipeline_start(IMGFORGE_PROGRAM, &f) ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    arena_deinit(&arena);
    pipeline_stop();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_are_judged_in_order),
        cmocka_unit_test(escapes_move_no_bounds_of_options),
        cmocka_unit_test(each_option_has_a_key_of_its_own),
        cmocka_unit_test(equal_requests_have_equal_keys),
        cmocka_unit_test(another_policy_has_other_keys),
        cmocka_unit_test(another_watermark_has_other_keys),
        cmocka_unit_test(what_the_client_can_show_is_in_the_key),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
