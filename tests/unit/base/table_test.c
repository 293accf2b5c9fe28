/* SPDX-License-Identifier: Apache-2.0 */
/* Hash tables, checksums, UTF-8 and random numbers. */
#include "base/checksum.h"
#include "base/clock.h"
#include "base/map.h"
#include "base/random.h"
#include "base/utf8.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { KEY_COUNT = 300 };

static struct random seeded(void)
{
    uint64_t seed = (uint64_t)clock_wall().ms;
    print_message("seed %" PRIu64 "\n", seed);
    struct random r;
    random_seed(&r, seed);
    return r;
}

static bool key_equal(const void *context, uint32_t item, const void *key)
{
    const uint32_t *wanted = key;
    return item == *wanted;
}

/* Items are their own keys; only 16 hashes, so that entries wander. The model is an array of flags. */
static void map_agrees_with_a_plain_array(void **state)
{
    struct random r = seeded();
    int64_t before = mem_account_bytes(MEM_INDEX);
    for (int round = 0; round < 20; round++) {
        struct map m;
        map_init(&m, MEM_INDEX);
        bool there[KEY_COUNT] = {false};
        size_t count = 0;
        uint64_t spread = 1 + random_below(&r, 64);
        for (int step = 0; step < 3000; step++) {
            uint32_t key = (uint32_t)random_below(&r, KEY_COUNT);
            uint64_t hash = (key % spread) * UINT64_C(0x100000001);
            assert_int_equal(map_find(&m, hash, key_equal, NULL, &key),
                             there[key] ? key : MAP_NONE);
            if (there[key])
                map_remove(&m, hash, key);
            else
                map_add(&m, hash, key);
            count += there[key] ? (size_t)-1 : 1;
            there[key] = !there[key];
            assert_int_equal(m.count, count);
            assert_true(m.count * 4 <= m.capacity * 3);
        }
        for (uint32_t key = 0; key < KEY_COUNT; key++) {
            uint64_t hash = (key % spread) * UINT64_C(0x100000001);
            assert_int_equal(map_find(&m, hash, key_equal, NULL, &key),
                             there[key] ? key : MAP_NONE);
        }
        map_clear(&m);
        assert_int_equal(m.count, 0);
        map_deinit(&m);
    }
    assert_int_equal(mem_account_bytes(MEM_INDEX), before);
}

static void string_map_agrees_with_a_plain_array(void **state)
{
    struct random r = seeded();
    struct string_map *m = string_map_new(MEM_OTHER);
    uint64_t values[KEY_COUNT] = {0}; /* 0 = not there */
    for (int step = 0; step < 20000; step++) {
        char text[16];
        unsigned key = (unsigned)random_below(&r, KEY_COUNT);
        struct view k = {text, (size_t)snprintf(text, sizeof(text), "key%u", key)};
        uint64_t v = 0;
        assert_int_equal(string_map_get(m, k, &v), values[key] != 0);
        assert_int_equal(v, values[key]);
        if (random_below(&r, 2)) {
            values[key] = random_next(&r) | 1;
            string_map_set(m, k, values[key]);
        } else {
            assert_int_equal(string_map_remove(m, k), values[key] != 0);
            values[key] = 0;
        }
    }
    size_t count = 0;
    for (size_t i = 0; i < KEY_COUNT; i++)
        count += values[i] != 0;
    assert_int_equal(string_map_count(m), count);
    for (size_t i = 0; i < count; i++) {
        uint64_t v;
        assert_true(string_map_get(m, string_map_key(m, i), &v));
    }
    string_map_free(m);
}

/* Vectors of RFC 3720, appendix B.4. */
static void crc32c_gives_the_known_answers(void **state)
{
    unsigned char bytes[32] = {0};
    assert_int_equal(crc32c(0, bytes, 32), 0x8a9136aa);
    assert_int_equal(crc32c_portable(0, bytes, 32), 0x8a9136aa);
    memset(bytes, 0xff, 32);
    assert_int_equal(crc32c(0, bytes, 32), 0x62a8ab43);
    for (int i = 0; i < 32; i++)
        bytes[i] = (unsigned char)i;
    assert_int_equal(crc32c(0, bytes, 32), 0x46dd794e);
    assert_int_equal(crc32c(0, "123456789", 9), 0xe3069283);
    assert_int_equal(crc32c(0, NULL, 0), 0);
}

static void crc32c_is_the_same_in_parts_and_without_hardware(void **state)
{
    struct random r = seeded();
    unsigned char bytes[300];
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (unsigned char)random_next(&r);
    for (int i = 0; i < 2000; i++) {
        size_t from = random_below(&r, 20), len = random_below(&r, sizeof(bytes) - 20);
        size_t cut = random_below(&r, len + 1);
        uint32_t whole = crc32c(0, bytes + from, len);
        assert_int_equal(whole, crc32c_portable(0, bytes + from, len));
        assert_int_equal(whole,
                         crc32c(crc32c(0, bytes + from, cut), bytes + from + cut, len - cut));
    }
}

static void hashes_differ_where_they_should(void **state)
{
    assert_true(hash64("", 0) == UINT64_C(0x2d06800538d394c2)); /* XXH3 of nothing, seed 0 */
    assert_true(hash64_view(VIEW("abc")) == hash64("abc", 3));
    assert_true(hash64("abc", 3) != hash64("abd", 3));
    assert_true(hash64_secret("abc", 3) == hash64_secret("abc", 3));
    assert_true(hash64_secret("abc", 3) != hash64("abc", 3));
}

static const struct {
    const char *text;
    bool valid;
    uint32_t first;
} UTF8[] = {
    {"", true, 0},
    {"plain ascii, longer than eight", true, 'p'},
    {"\xc3\xa9", true, 0xe9},
    {"\xe2\x82\xac", true, 0x20ac},
    {"\xf0\x9f\x98\x80", true, 0x1f600},
    {"\xf4\x8f\xbf\xbf", true, 0x10ffff},
    {"\xf4\x90\x80\x80", false, UINT32_MAX},
    {"\xc0\x80", false, UINT32_MAX},
    {"\xc1\xbf", false, UINT32_MAX},
    {"\xe0\x9f\xbf", false, UINT32_MAX},
    {"\xed\xa0\x80", false, UINT32_MAX},
    {"\xef\xbf\xbf", true, 0xffff},
    {"\xf0\x8f\xbf\xbf", false, UINT32_MAX},
    {"\x80", false, UINT32_MAX},
    {"\xe2\x82", false, UINT32_MAX},
    {"\xff", false, UINT32_MAX},
    {"12345678\x80", false, '1'},
    {"1234567\xc3\xa9", true, '1'},
};

static void utf8_is_strict(void **state)
{
    for (size_t i = 0; i < sizeof(UTF8) / sizeof(UTF8[0]); i++) {
        struct view text = view_from(UTF8[i].text);
        assert_int_equal(utf8_is_valid(text), UTF8[i].valid);
        size_t pos = 0;
        if (text.len)
            assert_int_equal(utf8_next(text, &pos), UTF8[i].first);
    }
    for (uint32_t code = 0; code <= 0x10ffff; code += code < 0x1000 ? 1 : 17) {
        if (code >= 0xd800 && code <= 0xdfff)
            continue;
        char bytes[4];
        size_t pos = 0, len = utf8_put(code, bytes);
        assert_int_equal(utf8_next((struct view){bytes, len}, &pos), code);
        assert_int_equal(pos, len);
    }
}

static void random_numbers_stay_in_range(void **state)
{
    struct random a, b;
    random_seed(&a, 1);
    random_seed(&b, 1);
    size_t counts[7] = {0};
    for (int i = 0; i < 70000; i++) {
        assert_true(random_next(&a) == random_next(&b));
        counts[random_below(&a, 7)]++;
        (void)random_next(&b);
        double u = random_unit(&a);
        assert_true(u >= 0 && u < 1);
        (void)random_next(&b);
    }
    for (int i = 0; i < 7; i++)
        assert_in_range(counts[i], 9000, 11000);
    assert_int_equal(random_below(&a, 1), 0);
    unsigned char secret[64] = {0};
    random_secret(secret, sizeof(secret));
    unsigned sum = 0;
    for (size_t i = 0; i < sizeof(secret); i++)
        sum |= secret[i];
    assert_int_not_equal(sum, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(map_agrees_with_a_plain_array),
        cmocka_unit_test(string_map_agrees_with_a_plain_array),
        cmocka_unit_test(crc32c_gives_the_known_answers),
        cmocka_unit_test(crc32c_is_the_same_in_parts_and_without_hardware),
        cmocka_unit_test(hashes_differ_where_they_should),
        cmocka_unit_test(utf8_is_strict),
        cmocka_unit_test(random_numbers_stay_in_range),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
