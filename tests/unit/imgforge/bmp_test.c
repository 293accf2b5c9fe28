/* SPDX-License-Identifier: Apache-2.0 */
#include "bmp.h"

#include "base/buffer.h"
#include "image_fixtures.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* The picture in all files: 3 x 2, red green blue / white black grey. */
static const uint8_t PICTURE[2][3][3] = {{{255, 0, 0}, {0, 255, 0}, {0, 0, 255}},
                                         {{255, 255, 255}, {0, 0, 0}, {128, 128, 128}}};

struct kind {
    const char *name;
    uint32_t header_bytes, bits, compression;
    bool is_top_down;
    uint32_t masks[4]; /* of compression 3 and 6, and of long headers */
};

static const struct kind KINDS[] = {
    {"8 bits", 40, 8, 0, false, {0}},
    {"8 bits, OS/2", 12, 8, 0, false, {0}},
    {"8 bits, from the top", 40, 8, 0, true, {0}},
    {"8 bits in runs", 40, 8, 1, false, {0}},
    {"4 bits", 40, 4, 0, false, {0}},
    {"4 bits in runs", 40, 4, 2, false, {0}},
    {"24 bits", 40, 24, 0, false, {0}},
    {"24 bits, from the top", 40, 24, 0, true, {0}},
    {"24 bits, OS/2", 12, 24, 0, false, {0}},
    {"32 bits", 40, 32, 0, false, {0}},
    {"32 bits, masks", 40, 32, 3, false, {0xff, 0xff00, 0xff0000, 0}},
    {"32 bits, masks of 10", 40, 32, 3, false, {0x3ff00000, 0xffc00, 0x3ff, 0}},
    {"32 bits, masks and alpha", 40, 32, 6, false, {0xff000000, 0xff0000, 0xff00, 0xff}},
    {"32 bits, version 4", 108, 32, 3, false, {0xff0000, 0xff00, 0xff, 0xff000000}},
    {"32 bits, version 5", 124, 32, 3, false, {0xff0000, 0xff00, 0xff, 0}},
    {"16 bits", 40, 16, 0, false, {0}},
    {"16 bits, 565", 40, 16, 3, false, {0xf800, 0x7e0, 0x1f, 0}},
};

/* The palette number of a pixel: the palette holds the picture's pixels in order. */
static unsigned index_of(int x, int y)
{
    return (unsigned)(y * 3 + x) + 1;
}

static uint32_t pack(uint8_t value, uint32_t mask)
{
    if (!mask)
        return 0;
    unsigned shift = (unsigned)__builtin_ctz(mask);
    uint64_t max = mask >> shift;
    return (uint32_t)((value * max + 127) / 255) << shift;
}

static void put_header(struct buffer *b, const struct kind *k, uint32_t height)
{
    if (k->header_bytes == 12) {
        buffer_append_u32(b, 12);
        buffer_append_u16(b, 3);
        buffer_append_u16(b, (uint16_t)height);
        buffer_append_u16(b, 1);
        buffer_append_u16(b, (uint16_t)k->bits);
        return;
    }
    size_t from = b->len;
    buffer_append_u32(b, k->header_bytes);
    buffer_append_u32(b, 3);
    buffer_append_u32(b, k->is_top_down ? (uint32_t) - (int32_t)height : height);
    buffer_append_u16(b, 1);
    buffer_append_u16(b, (uint16_t)k->bits);
    buffer_append_u32(b, k->compression);
    for (int i = 0; i < 5; i++)
        buffer_append_u32(b, i == 3 && k->bits <= 8 ? 7 : 0);
    int masks = k->header_bytes > 40 || k->compression == 6 ? 4 : k->compression == 3 ? 3 : 0;
    for (int i = 0; i < masks; i++)
        buffer_append_u32(b, k->masks[i]);
    while (b->len - from < k->header_bytes)
        buffer_append_byte(b, 0);
}

static void put_palette(struct buffer *b, const struct kind *k)
{
    if (k->bits > 8)
        return;
    for (int i = 0; i < (k->header_bytes == 12 ? 1 << k->bits : 7); i++) {
        const uint8_t *rgb = i >= 1 && i <= 6 ? PICTURE[(i - 1) / 3][(i - 1) % 3] : PICTURE[1][1];
        for (int c = 0; c < 3; c++)
            buffer_append_u8(b, rgb[2 - c]);
        if (k->header_bytes != 12)
            buffer_append_u8(b, 0);
    }
}

static void put_row(struct buffer *b, const struct kind *k, int y)
{
    uint32_t defaults32[4] = {0xff0000, 0xff00, 0xff, 0}, defaults16[4] = {0x7c00, 0x3e0, 0x1f, 0};
    const uint32_t *masks = k->compression ? k->masks : k->bits == 16 ? defaults16 : defaults32;
    size_t from = b->len;
    for (int x = 0; x < 3; x++) {
        const uint8_t *rgb = PICTURE[y][x];
        uint32_t pixel = pack(rgb[0], masks[0]) | pack(rgb[1], masks[1]) | pack(rgb[2], masks[2]) |
                         pack(200, masks[3]);
        if (k->bits == 8)
            buffer_append_u8(b, (uint8_t)index_of(x, y));
        else if (k->bits == 24)
            for (int c = 0; c < 3; c++)
                buffer_append_u8(b, rgb[2 - c]);
        else if (k->bits == 16)
            buffer_append_u16(b, (uint16_t)pixel);
        else if (k->bits == 32)
            buffer_append_u32(b, pixel);
    }
    if (k->bits == 4) {
        buffer_append_u8(b, (uint8_t)(index_of(0, y) << 4 | index_of(1, y)));
        buffer_append_u8(b, (uint8_t)(index_of(2, y) << 4));
    }
    while ((b->len - from) % 4)
        buffer_append_byte(b, 0);
}

/* Bottom row in runs, top row copied. */
static void put_runs(struct buffer *b, const struct kind *k)
{
    static const uint8_t RUNS_8[] = {1, 4, 1, 5, 1, 6, 0, 0, 0, 3, 1, 2, 3, 0, 0, 1};
    static const uint8_t RUNS_4[] = {2, 0x45, 1, 0x60, 0, 0, 0, 3, 0x12, 0x30, 0, 1};
    if (k->bits == 8)
        buffer_append(b, RUNS_8, sizeof(RUNS_8));
    else
        buffer_append(b, RUNS_4, sizeof(RUNS_4));
}

static struct view file_of(const struct kind *k)
{
    struct buffer b;
    buffer_init(&b, MEM_OTHER, 4096);
    buffer_append(&b, "BM\0\0\0\0\0\0\0\0\0\0\0\0", 14);
    put_header(&b, k, 2);
    put_palette(&b, k);
    b.ptr[10] = (char)b.len;
    b.ptr[11] = (char)(b.len >> 8);
    if (k->compression == 1 || k->compression == 2)
        put_runs(&b, k);
    else
        for (int i = 0; i < 2; i++)
            put_row(&b, k, k->is_top_down ? i : 1 - i);
    struct view out = fixture_bytes(b.ptr, b.len);
    buffer_deinit(&b);
    return out;
}

/* Every kind of file gives the same pixels. */
static void all_kinds_are_read(void **state)
{
    for (size_t i = 0; i < sizeof(KINDS) / sizeof(KINDS[0]); i++) {
        const struct kind *k = &KINDS[i];
        struct image_failure f = {0};
        VipsImage *image = NULL;
        if (!bmp_open(file_of(k), &image, &f))
            fail_msg("%s: %s", k->name, f.cause);
        bool has_alpha = k->masks[3] != 0;
        assert_int_equal(image->Xsize, 3);
        assert_int_equal(image->Ysize, 2);
        for (int y = 0; y < 2; y++)
            for (int x = 0; x < 3; x++) {
                const uint8_t *rgb = PICTURE[y][x];
                const uint8_t rgba[4] = {rgb[0], rgb[1], rgb[2], 200};
                assert_pixel(image, x, y, rgba, has_alpha ? 4 : 3, k->bits == 16 ? 4 : 0, k->name);
            }
        g_object_unref(image);
    }
}

/* Runs that move to the right and up leave pixels of palette number 0. */
static void moves_skip_pixels(void **state)
{
    static const struct kind KIND = {"moves", 40, 8, 1, false, {0}};
    static const uint8_t RUNS[] = {0, 2, 1, 0, 1, 4, 0, 2, 0, 1, 9, 3, 0, 1};
    static const uint8_t EXPECTED[2][3][3] = {{{0, 0, 0}, {0, 0, 0}, {0, 0, 255}},
                                              {{0, 0, 0}, {255, 255, 255}, {0, 0, 0}}};
    struct view file = file_of(&KIND);
    struct buffer b;
    struct image_failure f = {0};
    VipsImage *image = NULL;
    buffer_init(&b, MEM_OTHER, 4096);
    buffer_append(&b, file.ptr, file.len - 16);
    buffer_append(&b, RUNS, sizeof(RUNS));
    if (!bmp_open(buffer_view(&b), &image, &f))
        fail_msg("%s", f.cause);
    for (int y = 0; y < 2; y++)
        for (int x = 0; x < 3; x++)
            assert_pixel(image, x, y, EXPECTED[y][x], 3, 0, "moves");
    g_object_unref(image);
    buffer_deinit(&b);
}

static void files_cut_anywhere_are_refused(void **state)
{
    for (size_t i = 0; i < sizeof(KINDS) / sizeof(KINDS[0]); i++) {
        struct view whole = file_of(&KINDS[i]);
        for (size_t len = 0; len < whole.len; len++) {
            struct image_failure f = {0};
            VipsImage *image = NULL;
            struct view cut = fixture_bytes(whole.ptr, len);
            if (bmp_open(cut, &image, &f))
                fail_msg("%s: %zu of %zu bytes are read", KINDS[i].name, len, whole.len);
            assert_string_equal(f.text, "Failed to decode source image");
            assert_null(image);
        }
    }
}

static void put_icon_entry(struct buffer *b, int side, int bits, size_t bytes, size_t offset)
{
    buffer_append_u8(b, (uint8_t)side);
    buffer_append_u8(b, (uint8_t)side);
    buffer_append_u16(b, 0);
    buffer_append_u16(b, 1);
    buffer_append_u16(b, (uint16_t)bits);
    buffer_append_u32(b, (uint32_t)bytes);
    buffer_append_u32(b, (uint32_t)offset);
}

/* An icon of 3 x 2: 24 bits with a mask that hides the last pixel of the top row. */
static void icons_have_masks(void **state)
{
    static const struct kind KIND = {"icon", 40, 24, 0, false, {0}};
    struct buffer b;
    struct image_failure f = {0};
    VipsImage *image = NULL;
    buffer_init(&b, MEM_OTHER, 4096);
    buffer_append(&b, "\0\0\1\0\2\0", 6);
    put_icon_entry(&b, 2, 32, 4, 6 + 32); /* smaller: not taken */
    put_icon_entry(&b, 3, 24, 40 + 24 + 8, 6 + 32);
    put_header(&b, &KIND, 4);
    put_row(&b, &KIND, 1);
    put_row(&b, &KIND, 0);
    buffer_append(&b, "\0\0\0\0\x20\0\0\0", 8);
    if (!ico_open(buffer_view(&b), &image, &f))
        fail_msg("%s", f.cause);
    for (int y = 0; y < 2; y++)
        for (int x = 0; x < 3; x++) {
            const uint8_t *rgb = PICTURE[y][x];
            const uint8_t rgba[4] = {rgb[0], rgb[1], rgb[2], y == 0 && x == 2 ? 0 : 255};
            assert_pixel(image, x, y, rgba, 4, 0, "icon");
        }
    g_object_unref(image);
    b.len--;
    assert_false(ico_open(buffer_view(&b), &image, &f));
    buffer_deinit(&b);
}

static void icons_may_be_png(void **state)
{
    struct view png = fixture_file(fixture_quarters(48, 48), ".png");
    struct buffer b;
    struct image_failure f = {0};
    VipsImage *image = NULL;
    buffer_init(&b, MEM_OTHER, 65536);
    buffer_append(&b, "\0\0\1\0\1\0", 6);
    put_icon_entry(&b, 48, 32, png.len, 22);
    buffer_append_view(&b, png);
    if (!ico_open(buffer_view(&b), &image, &f))
        fail_msg("%s", f.cause);
    assert_int_equal(image->Xsize, 48);
    g_object_unref(image);
    buffer_deinit(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_kinds_are_read),
        cmocka_unit_test(moves_skip_pixels),
        cmocka_unit_test(files_cut_anywhere_are_refused),
        cmocka_unit_test(icons_have_masks),
        cmocka_unit_test(icons_may_be_png),
    };
    return cmocka_run_group_tests(tests, fixtures_start, fixtures_stop);
}
