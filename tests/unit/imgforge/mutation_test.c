/* SPDX-License-Identifier: Apache-2.0 */
/* Files of strangers: good ones of every format, damaged in a hundred ways each, always the same. Whatever they do to the decoders, the pipeline answers
 * with a picture or with a 400, keeps nothing, and takes no more memory than its limits let it. Worth most under the sanitizers. */
#include "image_fixtures.h"
#include "pipeline.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include <cmocka.h>

enum {
    MUTANTS = 100,
    SOURCE_PIXELS_MAX = 1 << 20,
    TRACKED_BYTES_MAX = 256 << 20,
    RESULT_BYTES_MAX = 64 << 20
};

static const char SVG[] =
    "<?xml version=\"1.0\"?><svg xmlns=\"http://www.w3.org/2000/svg\" "
    "xmlns:xlink=\"http://www.w3.org/1999/xlink\" width=\"64\" height=\"48\" viewBox=\"0 0 64 48\">"
    "<defs><linearGradient id=\"g\"><stop offset=\"0\" stop-color=\"red\"/><stop offset=\"1\"/>"
    "</linearGradient><filter id=\"f\"><feGaussianBlur stdDeviation=\"2\"/></filter></defs>"
    "<rect width=\"40\" height=\"30\" fill=\"url(#g)\" filter=\"url(#f)\"/>"
    "<use xlink:href=\"#p\" x=\"3\"/><path id=\"p\" d=\"M1 1 L20 30 C 1 2 3 4 5 6 z\"/>"
    "<text x=\"5\" y=\"20\">imgforge</text></svg>";

static uint32_t random_state;

/* xorshift32 (Marsaglia 2003): the same numbers everywhere. */
static uint32_t random_below(uint32_t n)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 17;
    random_state ^= random_state << 5;
    return random_state % n;
}

static void flip_bits(char *bytes, size_t len, size_t within)
{
    size_t room = len < within ? len : within;
    for (uint32_t i = 0, n = 1 + random_below(8); i < n; i++)
        bytes[random_below((uint32_t)room)] ^= (char)(1 << random_below(8));
}

/* Numbers that count or measure become extreme ones. */
static void edit_header(char *bytes, size_t len)
{
    static const uint8_t EXTREMES[][4] = {
        {0, 0, 0, 0},    {0xff, 0xff, 0xff, 0xff}, {0x7f, 0xff, 0xff, 0xff},
        {0x80, 0, 0, 0}, {0, 0, 0xff, 0xff},       {0xff, 0xff, 0, 0},
        {0, 1, 0, 0},    {0x20, 0x39, 0x39, 0x39}};
    size_t room = len < 200 ? len : 200;
    const uint8_t *extreme = EXTREMES[random_below(8)];
    size_t width = 1 + random_below(4), at = random_below((uint32_t)(room - width));
    memcpy(bytes + at, extreme, width);
}

static struct view mutant_of(struct view good, int i)
{
    struct view out = fixture_bytes(good.ptr, good.len);
    char *bytes = (char *)(uintptr_t)out.ptr; /* the fixture's copy is ours */
    switch (i % 4) {
    case 0:
        flip_bits(bytes, out.len, out.len);
        break;
    case 1:
        flip_bits(bytes, out.len, 128);
        break;
    case 2:
        edit_header(bytes, out.len);
        break;
    default:
        out.len = random_below((uint32_t)out.len);
    }
    return out;
}

static void process(struct view file, const char *options, const char *what, int i)
{
    static const struct pipeline_policy POLICY = {.quality = 85};
    static const char *const TEXTS[] = {"Failed to decode source image",
                                        "Source image resolution is too large"};
    struct image_options o = fixture_options(options);
    o.limits.source_pixels = SOURCE_PIXELS_MAX;
    o.limits.animation_frames = 20;
    struct pipeline_request rq = {.source = file, .options = &o};
    struct pipeline_result out = {0};
    struct image_failure f = {0};
    buffer_init(&out.bytes, MEM_OTHER, RESULT_BYTES_MAX);
    if (pipeline_process(&POLICY, &rq, &out, &f)) {
        if (out.bytes.len == 0 || out.result.width < 1 || out.result.height < 1)
            fail_msg("%s %d: nothing came out", what, i);
    } else if (f.status != 400 ||
               (strcmp(f.text, TEXTS[0]) != 0 && strcmp(f.text, TEXTS[1]) != 0)) {
        fail_msg("%s %d, %s: %d %s (%s)", what, i, options, f.status, f.text, f.cause);
    }
    buffer_deinit(&out.bytes);
    if (pipeline_memory().bytes_highwater > TRACKED_BYTES_MAX)
        fail_msg("%s %d, %s: took %lld bytes", what, i, options,
                 (long long)pipeline_memory().bytes_highwater);
}

static void mutate(const char *what, struct view good)
{
    static const char *const OPTIONS[] = {"rs:fit:24:24/f:png", "f:jpeg",
                                          "rot:90/rs:fill:40:40:1/f:png", "t:10/c:20:20/f:webp",
                                          "rs:fit:16:16/pg:1/f:gif"};
    random_state = 20240607;
    for (int i = 0; i < MUTANTS; i++)
        process(mutant_of(good, i), OPTIONS[i % 5], what, i);
    assert_no_memory_kept(what);
}

static void mutants_are_pictures_or_refused(void **state)
{
    static const struct {
        const char *what, *suffix;
        enum image_format format;
    } FILES[] = {
        {"jpeg", ".jpg", IMAGE_FORMAT_JPEG},
        {"jpeg, progressive", ".jpg[interlace]", IMAGE_FORMAT_JPEG},
        {"png", ".png", IMAGE_FORMAT_PNG},
        {"png, interlaced", ".png[interlace]", IMAGE_FORMAT_PNG},
        {"webp", ".webp", IMAGE_FORMAT_WEBP},
        {"tiff", ".tif", IMAGE_FORMAT_TIFF},
        {"tiff, deflate", ".tif[compression=deflate,tile]", IMAGE_FORMAT_TIFF},
        {"avif", ".avif[effort=0]", IMAGE_FORMAT_AVIF},
        {"heif", ".heic[compression=hevc]", IMAGE_FORMAT_HEIF},
    };
    for (size_t i = 0; i < sizeof(FILES) / sizeof(FILES[0]); i++)
        if (pipeline_formats() & 1u << FILES[i].format)
            mutate(FILES[i].what, fixture_file(fixture_photo(64, 48), FILES[i].suffix));
}

static void mutants_of_animations_are_pictures_or_refused(void **state)
{
    mutate("gif", fixture_file(fixture_animation(40, 30, 4), ".gif"));
    mutate("webp, animated", fixture_file(fixture_animation(40, 30, 4), ".webp"));
}

static void mutants_of_drawings_are_pictures_or_refused(void **state)
{
    mutate("svg", VIEW(SVG));
}

static void put(struct buffer *b, const void *bytes, size_t len)
{
    buffer_append(b, bytes, len);
}

/* 32 x 24, of 8 bits: in rows, and in runs. */
static struct view bitmap_file(bool has_runs)
{
    struct buffer b;
    buffer_init(&b, MEM_OTHER, 65536);
    put(&b, "BM\0\0\0\0\0\0\0\0", 10);
    buffer_append_u32(&b, 14 + 40 + 1024);
    uint32_t header[] = {40, 32, 24, 1 | 8 << 16, has_runs ? 1 : 0, 0, 0, 0, 0, 0};
    for (size_t i = 0; i < sizeof(header) / sizeof(header[0]); i++)
        buffer_append_u32(&b, header[i]);
    for (uint32_t i = 0; i < 256; i++)
        buffer_append_u32(&b, i * 0x10305);
    for (int y = 0; y < 24; y++) {
        if (has_runs)
            put(&b, "\x0a\x11\0\2\2\0\0\4\1\2\3\4\x10\x33\0\0", 16);
        for (int x = 0; x < 32 && !has_runs; x++)
            buffer_append_u8(&b, (uint8_t)(x * y));
    }
    put(&b, "\0\1", 2);
    struct view out = fixture_bytes(b.ptr, b.len);
    buffer_deinit(&b);
    return out;
}

static void mutants_of_bitmaps_are_pictures_or_refused(void **state)
{
    struct view rows = bitmap_file(false);
    struct buffer icon;
    mutate("bmp", rows);
    mutate("bmp in runs", bitmap_file(true));
    buffer_init(&icon, MEM_OTHER, 65536);
    put(&icon, "\0\0\1\0\1\0\x20\x0c\0\0\1\0\x08\0", 14);
    buffer_append_u32(&icon, (uint32_t)rows.len - 14);
    buffer_append_u32(&icon, 22);
    put(&icon, rows.ptr + 14, rows.len - 14); /* half of its rows are the mask */
    mutate("ico", fixture_bytes(icon.ptr, icon.len));
    buffer_deinit(&icon);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mutants_are_pictures_or_refused),
        cmocka_unit_test(mutants_of_animations_are_pictures_or_refused),
        cmocka_unit_test(mutants_of_drawings_are_pictures_or_refused),
        cmocka_unit_test(mutants_of_bitmaps_are_pictures_or_refused),
    };
    return cmocka_run_group_tests(tests, fixtures_start, fixtures_stop);
}
