/* SPDX-License-Identifier: Apache-2.0 */
#include "pipeline.h"

#include "image_fixtures.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <unistd.h>
#include <vips/vector.h>

enum { RESULT_BYTES_MAX = 64 << 20 };

struct run {
    struct image_options options;
    struct pipeline_request request;
    struct pipeline_result result;
    struct image_failure failure;
    bool ok;
};

static const struct pipeline_policy POLICY = {.quality = 85};

static void run(struct run *r, const struct pipeline_policy *policy, struct view file,
                const char *declared, const char *options)
{
    *r = (struct run){.options = fixture_options(options)};
    r->request = (struct pipeline_request){
        .source = file, .declared_type = view_from(declared), .options = &r->options};
    buffer_init(&r->result.bytes, MEM_OTHER, RESULT_BYTES_MAX);
    r->ok = pipeline_process(policy, &r->request, &r->result, &r->failure);
}

static void run_end(struct run *r)
{
    buffer_deinit(&r->result.bytes);
}

static bool can_write(enum image_format format)
{
    return pipeline_formats() & 1u << format;
}

/* --- formats --- */

static const struct {
    const char *options;
    enum image_format default_format;
    enum source_kind kind;
    enum image_format format;
} FORMATS[] = {
    {"", IMAGE_FORMAT_NONE, SOURCE_JPEG, IMAGE_FORMAT_JPEG},
    {"", IMAGE_FORMAT_NONE, SOURCE_HEIF, IMAGE_FORMAT_HEIF},
    {"", IMAGE_FORMAT_NONE, SOURCE_BMP, IMAGE_FORMAT_PNG},
    {"", IMAGE_FORMAT_NONE, SOURCE_ICO, IMAGE_FORMAT_PNG},
    {"", IMAGE_FORMAT_NONE, SOURCE_SVG, IMAGE_FORMAT_PNG},
    {"", IMAGE_FORMAT_NONE, SOURCE_PDF, IMAGE_FORMAT_PNG},
    {"", IMAGE_FORMAT_WEBP, SOURCE_SVG, IMAGE_FORMAT_WEBP},
    {"", IMAGE_FORMAT_WEBP, SOURCE_JPEG, IMAGE_FORMAT_WEBP},
    {"f:avif", IMAGE_FORMAT_WEBP, SOURCE_JPEG, IMAGE_FORMAT_AVIF},
    {"raw:1", IMAGE_FORMAT_NONE, SOURCE_JPEG, IMAGE_FORMAT_NONE},
    {"raw:1/f:png", IMAGE_FORMAT_NONE, SOURCE_BMP, IMAGE_FORMAT_NONE},
    {"skp:gif:png", IMAGE_FORMAT_NONE, SOURCE_GIF, IMAGE_FORMAT_NONE},
    {"skp:gif:png", IMAGE_FORMAT_NONE, SOURCE_JPEG, IMAGE_FORMAT_JPEG},
    {"skp:gif/f:gif", IMAGE_FORMAT_NONE, SOURCE_GIF, IMAGE_FORMAT_NONE},
    {"skp:gif/f:webp", IMAGE_FORMAT_NONE, SOURCE_GIF, IMAGE_FORMAT_WEBP},
    {"skp:gif", IMAGE_FORMAT_WEBP, SOURCE_GIF, IMAGE_FORMAT_NONE},
};

static void the_format_comes_from_the_url_then_the_server_then_the_source(void **state)
{
    for (size_t i = 0; i < sizeof(FORMATS) / sizeof(FORMATS[0]); i++) {
        struct image_options o = fixture_options(FORMATS[i].options);
        struct pipeline_policy policy = {.default_format = FORMATS[i].default_format};
        enum image_format format = pipeline_output_format(&policy, &o, FORMATS[i].kind);
        if (format != FORMATS[i].format)
            fail_msg("%s of %s: %d", FORMATS[i].options, source_kind_name(FORMATS[i].kind), format);
    }
}

/* From each format to each other one: what comes out is of the kind, the size and about the colours. */
static void every_format_becomes_every_other(void **state)
{
    static const char *const FILES[] = {
        ".jpg", ".png", ".webp", ".gif", ".tif", ".avif[effort=0]", ".heic[compression=hevc]"};
    for (int from = IMAGE_FORMAT_JPEG; from < IMAGE_FORMAT_COUNT; from++) {
        if (!can_write((enum image_format)from))
            continue;
        struct view file = fixture_file(fixture_quarters(96, 64), FILES[from - 1]);
        for (int to = IMAGE_FORMAT_JPEG; to < IMAGE_FORMAT_COUNT; to++) {
            if (!can_write((enum image_format)to))
                continue;
            char options[64];
            snprintf(options, sizeof(options), "rs:fit:48:48/f:%s",
                     image_format_name((enum image_format)to));
            struct run r, again;
            run(&r, &POLICY, file, "", options);
            if (!r.ok)
                fail_msg("%s of %s: %s (%s)", options, FILES[from - 1], r.failure.text,
                         r.failure.cause);
            assert_int_equal(r.result.format, to);
            assert_int_equal(r.result.source.width, 96);
            assert_int_equal(r.result.result.width, 48);
            assert_int_equal(r.result.result.height, 32);
            struct view bytes = buffer_view(&r.result.bytes);
            assert_int_equal(source_kind_format(source_kind_sniff(bytes)), to);
            run(&again, &POLICY, bytes, "", "f:png"); /* what we write we can read */
            assert_true(again.ok);
            VipsImage *image = vips_image_new_from_buffer(again.result.bytes.ptr,
                                                          again.result.bytes.len, "", NULL);
            assert_non_null(image);
            assert_pixel(image, 4, 4, (uint8_t[]){255, 0, 0, 255}, image->Bands, 30, options);
            assert_pixel(image, 44, 28, (uint8_t[]){255, 255, 255, 255}, image->Bands, 30, options);
            g_object_unref(image);
            run_end(&again);
            run_end(&r);
        }
    }
}

static void the_source_is_given_as_it_is(void **state)
{
    static const char *const OPTIONS[] = {"raw:1/rs:fit:5:5", "skp:png/rs:fit:5:5"};
    struct view file = fixture_file(fixture_quarters(96, 64), ".png");
    for (int i = 0; i < 2; i++) {
        struct run r;
        run(&r, &POLICY, file, "", OPTIONS[i]);
        assert_true(r.ok);
        assert_int_equal(r.result.format, IMAGE_FORMAT_NONE);
        assert_true(view_eq(buffer_view(&r.result.bytes), file));
        assert_int_equal(r.result.result.width, 96);
        run_end(&r);
    }
    struct run r;
    run(&r, &POLICY, VIEW("hello"), "", "raw:1");
    assert_false(r.ok);
    assert_string_equal(r.failure.text, "Failed to decode source image");
    run_end(&r);
}

/* --- guards --- */

static void types_are_checked_as_declared_and_as_found(void **state)
{
    static const char *const ALLOWED[] = {"image/jpeg", "image/png"};
    static const struct {
        const char *file, *declared;
        bool ok;
    } CASES[] = {
        {".jpg", "image/jpeg", true},
        {".jpg", "", true},
        {".jpg", "Image/JPEG; charset=binary", true},
        {".jpg", "image/jpg", true},
        {".jpg", "image/png", true}, /* both are allowed, whichever it is */
        {".jpg", "text/html", false},
        {".gif", "image/gif", false},
        {".gif", "image/jpeg", false},
        {".gif", "", false},
    };
    struct pipeline_policy policy = {
        .quality = 85, .allowed_types = ALLOWED, .allowed_type_count = 2};
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        struct view file = fixture_file(fixture_quarters(8, 8), CASES[i].file);
        struct image_options o = fixture_options("");
        struct pipeline_request rq = {
            .source = file, .declared_type = view_from(CASES[i].declared), .options = &o};
        struct image_failure f = {0};
        if (pipeline_check_source(&policy, &rq, &f) != CASES[i].ok)
            fail_msg("%s declared as \"%s\": %s", CASES[i].file, CASES[i].declared, f.text);
        if (!CASES[i].ok)
            assert_string_equal(f.text, "Source image MIME type is not allowed");
    }
}

/* Files that claim to be enormous: nothing is taken for them. */
static void bombs_are_refused_by_their_headers(void **state)
{
    static const unsigned char PNG[] = {
        0x89, 'P',  'N',  'G',  13,   10,  26,  10,   0,    0,    0,    13,   'I',  'H',  'D',
        'R',  0,    0,    0xff, 0xff, 0,   0,   0xff, 0xff, 8,    2,    0,    0,    0,    0x39,
        0x67, 0x4e, 0x07, 0,    0,    0,   0,   'I',  'D',  'A',  'T',  0x35, 0xaf, 0x06, 0x1e,
        0,    0,    0,    0,    'I',  'E', 'N', 'D',  0xae, 0x42, 0x60, 0x82};
    static const unsigned char BMP[] = {
        'B',  'M',  0, 0, 0, 0, 0, 0, 0, 0, 62, 0, 0, 0, 40, 0, 0, 0, 0xff, 0xff, 0, 0,
        0xff, 0xff, 0, 0, 1, 0, 8, 0, 1, 0, 0,  0, 0, 0, 0,  0, 0, 0, 0,    0,    0, 0,
        0,    0,    2, 0, 0, 0, 0, 0, 0, 0, 1,  2, 3, 0, 4,  5, 6, 0, 0,    1};
    static const char SVG[] =
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"30000\" height=\"30000\"/>";
    static const char DEAR_SVG[] =
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"4096\" height=\"4097\"/>";
    static const char SMALL_SVG[] =
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"10\" height=\"10\"/>";
    const struct {
        struct view file;
        const char *options, *text;
    } CASES[] = {
        {fixture_bytes(PNG, sizeof(PNG)), "rs:fit:10:10", "Source image resolution is too large"},
        {fixture_bytes(BMP, sizeof(BMP)), "rs:fit:10:10", "Source image resolution is too large"},
        {fixture_bytes(SVG, sizeof(SVG) - 1), "rs:fit:10:10",
         "Source image resolution is too large"},
        {fixture_bytes(DEAR_SVG, sizeof(DEAR_SVG) - 1), "", "Source image resolution is too large"},
        {fixture_bytes(SMALL_SVG, sizeof(SMALL_SVG) - 1), "rs:fit:4097:4097:1/f:png",
         "Source image resolution is too large"},
        {fixture_bytes(SMALL_SVG, sizeof(SMALL_SVG) - 1), "rs:fit:30000:30000:1/f:png",
         "Processed image would be 30000x30000, over the 268435456 pixel limit"},
    };
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        int64_t before = pipeline_memory().bytes_highwater;
        struct run r;
        run(&r, &POLICY, CASES[i].file, "", CASES[i].options);
        assert_false(r.ok);
        assert_int_equal(r.failure.status, 400);
        if (strcmp(r.failure.text, CASES[i].text) != 0)
            fail_msg("%zu: %s (%s)", i, r.failure.text, r.failure.cause);
        assert_true(pipeline_memory().bytes_highwater - before < 16 << 20);
        run_end(&r);
    }
}

static void what_is_no_picture_is_refused(void **state)
{
    static const char *const TEXTS[] = {"",         "x",      "<html><body>Not found</body></html>",
                                        "BM",       "GIF89a", "\xff\xd8\xff",
                                        "%PDF-1.7", "<svg"};
    for (size_t i = 0; i < sizeof(TEXTS) / sizeof(TEXTS[0]); i++) {
        struct run r;
        run(&r, &POLICY, view_from(TEXTS[i]), "", "");
        assert_false(r.ok);
        assert_int_equal(r.failure.status, 400);
        assert_string_equal(r.failure.text, "Failed to decode source image");
        run_end(&r);
    }
}

static void a_format_that_cannot_be_written_is_refused(void **state)
{
    struct view file = fixture_file(fixture_quarters(8, 8), ".png");
    for (int format = IMAGE_FORMAT_JPEG; format < IMAGE_FORMAT_COUNT; format++) {
        const char *name = image_format_name((enum image_format)format);
        char options[32], text[64];
        struct run r;
        snprintf(options, sizeof(options), "f:%s", name);
        snprintf(text, sizeof(text), "Unsupported output format: %s", name);
        run(&r, &POLICY, file, "", options);
        assert_int_equal(r.ok, can_write((enum image_format)format));
        if (!r.ok)
            assert_string_equal(r.failure.text, text);
        run_end(&r);
    }
}

/* A file that ends too early is the source's fault, though it shows while the result is written. */
static void a_cut_source_is_not_the_encoders_fault(void **state)
{
    struct view file = fixture_file(fixture_photo(320, 240), ".jpg");
    struct run r;
    run(&r, &POLICY, view_slice(file, 0, file.len / 2), "", "rs:fit:300:300/f:webp");
    assert_false(r.ok);
    assert_int_equal(r.failure.status, 400);
    assert_string_equal(r.failure.text, "Failed to decode source image");
    run_end(&r);
}

static void a_deadline_is_told_as_408(void **state)
{
    struct view file = fixture_file(fixture_photo(320, 240), ".jpg");
    struct image_options o = fixture_options("f:png");
    atomic_bool cancel = true;
    struct pipeline_request rq = {.source = file, .options = &o, .cancel = &cancel};
    struct pipeline_result out = {0};
    struct image_failure f = {0};
    buffer_init(&out.bytes, MEM_OTHER, RESULT_BYTES_MAX);
    assert_false(pipeline_process(&POLICY, &rq, &out, &f));
    assert_int_equal(f.status, 408);
    assert_string_equal(f.text, "Request Timeout");
    buffer_deinit(&out.bytes);
}

static void that_trim_was_ignored_is_told(void **state)
{
    static const struct {
        const char *options;
        int frames;
        bool is_ignored;
    } CASES[] = {{"t:10", 3, true}, {"t:10", 1, false}, {"w:4", 3, false}, {"t:10/da:1", 3, false}};
    (void)state;
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        struct run r;
        run(&r, &POLICY, fixture_file(fixture_animation(8, 8, CASES[i].frames), ".gif"), "",
            CASES[i].options);
        assert_true(r.ok);
        assert_int_equal(r.result.trim_was_ignored, CASES[i].is_ignored);
        run_end(&r);
    }
}

/* What a picture took is given back with it. */
static void nothing_is_kept(void **state)
{
    struct view file = fixture_file(fixture_photo(320, 240), ".jpg");
    for (int i = 0; i < 30; i++) {
        struct run r;
        run(&r, &POLICY, file, "",
            i % 2 ? "rs:fill:64:64/rot:90/bl:2/f:webp" : "rs:fit:90:90/f:png");
        assert_true(r.ok);
        run_end(&r);
    }
    assert_no_memory_kept("30 pictures");
    assert_int_equal(pipeline_memory().bytes, 0);
    assert_true(pipeline_memory().bytes_highwater > 0);
}

struct alarm {
    atomic_bool cancel;
    useconds_t after_us;
};

static void *ring(void *arg)
{
    struct alarm *a = arg;
    usleep(a->after_us);
    atomic_store(&a->cancel, true);
    return NULL;
}

static void *count_object(VipsObject *object, void *count, void *unused)
{
    ++*(int *)count;
    return NULL;
}

static int objects_alive(void)
{
    int count = 0;
    vips_object_map((VipsSListMap2Fn)count_object, &count, NULL);
    return count;
}

/* Wherever the work is when nobody wants it any more. */
static void what_is_given_up_leaves_nothing(void **state)
{
    struct view files[] = {fixture_file(fixture_photo(200, 140), ".png"),
                           fixture_file(fixture_animation(80, 60, 6), ".gif")};
    int before = objects_alive();
    for (unsigned i = 0; i < 200; i++) {
        struct run r;
        struct alarm a = {.after_us = 25 * i};
        pthread_t thread;
        r = (struct run){
            .options = fixture_options(i % 2 ? "rs:fit:64:64/f:webp" : "rs:fit:64:64/f:jpeg")};
        r.request = (struct pipeline_request){
            .source = files[i / 2 % 2], .options = &r.options, .cancel = &a.cancel};
        buffer_init(&r.result.bytes, MEM_OTHER, RESULT_BYTES_MAX);
        assert_int_equal(pthread_create(&thread, NULL, ring, &a), 0);
        bool ok = pipeline_process(&POLICY, &r.request, &r.result, &r.failure);
        assert_true(ok || r.failure.status == 408);
        assert_int_equal(pthread_join(thread, NULL), 0);
        buffer_deinit(&r.result.bytes);
    }
    assert_no_memory_kept("200 that were given up");
    assert_int_equal(objects_alive(), before);
}

/* liborc frees what other threads make: docs/decisions/019. */
static void no_code_is_made_at_run_time(void **state)
{
    assert_false(vips_vector_isenabled());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bombs_are_refused_by_their_headers),
        cmocka_unit_test(the_format_comes_from_the_url_then_the_server_then_the_source),
        cmocka_unit_test(every_format_becomes_every_other),
        cmocka_unit_test(the_source_is_given_as_it_is),
        cmocka_unit_test(types_are_checked_as_declared_and_as_found),
        cmocka_unit_test(what_is_no_picture_is_refused),
        cmocka_unit_test(a_format_that_cannot_be_written_is_refused),
        cmocka_unit_test(a_cut_source_is_not_the_encoders_fault),
        cmocka_unit_test(a_deadline_is_told_as_408),
        cmocka_unit_test(that_trim_was_ignored_is_told),
        cmocka_unit_test(nothing_is_kept),
        cmocka_unit_test(what_is_given_up_leaves_nothing),
        cmocka_unit_test(no_code_is_made_at_run_time),
    };
    return cmocka_run_group_tests(tests, fixtures_start, fixtures_stop);
}
