/* SPDX-License-Identifier: Apache-2.0 */
/* The modules without which nothing else runs: mem, error, arena, buffer, reader. */
#include "base/arena.h"
#include "base/buffer.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/mem.h"
#include "base/random.h"
#include "base/reader.h"
#include "base/utf8.h"

#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static void mem_accounts_return_to_where_they_began(void **state)
{
    int64_t before = mem_account_bytes(MEM_WAL), total = mem_total_bytes();
    char *a = mem_alloc(MEM_WAL, 1000);
    assert_true(mem_account_bytes(MEM_WAL) >= before + 1000);
    assert_int_equal(mem_total_bytes() - total, mem_account_bytes(MEM_WAL) - before);
    a = mem_resize(MEM_WAL, a, 100000);
    assert_true(mem_account_bytes(MEM_WAL) >= before + 100000);
    int *zeros = mem_alloc_zero(MEM_WAL, 10, sizeof(int));
    for (int i = 0; i < 10; i++)
        assert_int_equal(zeros[i], 0);
    char *text = mem_copy_string(MEM_WAL, VIEW("name"));
    assert_string_equal(text, "name");
    size_t capacity = 0;
    uint32_t *array = mem_grow(MEM_WAL, NULL, &capacity, 3, sizeof(uint32_t));
    assert_true(capacity >= 3);
    array = mem_grow(MEM_WAL, array, &capacity, 1000, sizeof(uint32_t));
    assert_true(capacity >= 1000);
    array[999] = 1;
    mem_free(MEM_WAL, array);
    mem_free(MEM_WAL, text);
    mem_free(MEM_WAL, zeros);
    mem_free(MEM_WAL, a);
    mem_free(MEM_WAL, NULL);
    assert_int_equal(mem_account_bytes(MEM_WAL), before);
    assert_string_equal(mem_account_name(MEM_WAL), "wal");
}

static void mem_fails_the_nth_try_once(void **state)
{
    for (int n = 0; n < 5; n++) {
        mem_test_fail_after(n);
        for (int i = 0; i < 8; i++) {
            void *p = mem_try_alloc(MEM_OTHER, 16);
            assert_int_equal(p == NULL, i == n);
            mem_free(MEM_OTHER, p);
        }
    }
    mem_test_fail_after(0);
    char *p = mem_alloc(MEM_OTHER, 10); /* only tries fail */
    assert_null(mem_try_resize(MEM_OTHER, p, 20));
    p = mem_try_resize(MEM_OTHER, p, 20);
    assert_non_null(p);
    mem_free(MEM_OTHER, p);
    mem_test_fail_after(-1);
}

static void error_sentences_grow_outwards(void **state)
{
    struct error err;
    assert_false(error_set(&err, ERROR_CORRUPT, "frame claims %d bytes", 7));
    error_hint(&err, "restore %s", "it");
    assert_false(error_wrap(&err, "could not replay segment %d", 3));
    assert_string_equal(err.message, "could not replay segment 3: frame claims 7 bytes");
    assert_string_equal(err.hint, "restore it");
    assert_int_equal(err.kind, ERROR_CORRUPT);
    error_set_at(&err, ERROR_INPUT, 3, 9, "unexpected \"%s\"", "x");
    assert_int_equal(err.line, 3);
    assert_int_equal(err.column, 9);
    assert_string_equal(err.hint, "");
    error_set(&err, ERROR_INPUT, "again: %s", err.message); /* its own text as argument */
    assert_string_equal(err.message, "again: unexpected \"x\"");
    assert_int_equal(err.line, 0);
    error_clear(&err);
    assert_int_equal(err.kind, ERROR_NONE);
    assert_false(error_set(NULL, ERROR_IO, "nobody listens"));
    assert_false(error_wrap(NULL, "nobody listens"));
}

static void error_says_why_the_system_failed(void **state)
{
    struct error err;
    error_set_errno(&err, EACCES, "could not open \"%s\"", "a.yml");
    assert_string_equal(err.message, "could not open \"a.yml\": permission denied");
    assert_int_equal(err.kind, ERROR_IO);
    error_set_errno(&err, ENOSPC, "could not write");
    assert_int_equal(err.kind, ERROR_NO_SPACE);
    error_set_errno(&err, EDQUOT, "could not write");
    assert_int_equal(err.kind, ERROR_NO_SPACE);
    assert_int_equal(error_http_status(ERROR_INPUT), 400);
    assert_string_equal(error_kind_name(ERROR_INPUT), "bad_data");
}

static void error_cuts_long_messages_between_characters(void **state)
{
    struct error err;
    for (size_t shift = 0; shift < 4; shift++) {
        char text[2 * ERROR_MESSAGE_BYTES];
        memset(text, 'a', sizeof(text));
        for (size_t i = shift; i + 3 < sizeof(text) - 1; i += 3)
            memcpy(text + i, "\xe2\x82\xac", 3);
        text[sizeof(text) - 1] = '\0';
        error_set(&err, ERROR_INPUT, "%s", text);
        size_t len = strlen(err.message);
        assert_true(len < ERROR_MESSAGE_BYTES && len > ERROR_MESSAGE_BYTES - 8);
        assert_string_equal(err.message + len - 3, "...");
        assert_int_equal((len - 3 - shift) % 3, 0);
        error_wrap(&err, "in file");
        assert_memory_equal(err.message, "in file: ", 9);
        assert_true(utf8_is_valid(view_from(err.message)) &&
                    strlen(err.message) < ERROR_MESSAGE_BYTES);
    }
}

static void arena_frees_whole(void **state)
{
    int64_t before = mem_account_bytes(MEM_QUERY);
    struct arena arena;
    arena_init(&arena, MEM_QUERY, 0);
    for (size_t i = 0; i < 2000; i++) {
        unsigned char *p = arena_alloc(&arena, i);
        assert_int_equal((uintptr_t)p % 16, 0);
        memset(p, (int)i, i);
    }
    assert_int_equal(view_cmp(arena_printf(&arena, "%d-%s", 5, "x"), VIEW("5-x")), 0);
    struct view copy = arena_copy(&arena, (struct view){NULL, 0});
    assert_non_null(copy.ptr);
    assert_int_equal(copy.ptr[0], 0);
    size_t capacity = 0, *array = NULL;
    for (size_t i = 0; i < 1000; i++) {
        array = arena_grow(&arena, array, &capacity, i + 1, sizeof(*array));
        array[i] = i;
    }
    for (size_t i = 0; i < 1000; i++)
        assert_int_equal(array[i], i);
    arena_reset(&arena);
    assert_true(arena.used_bytes <= 1 << 20);
    assert_non_null(ARENA_ARRAY(&arena, uint64_t, 4));
    arena_deinit(&arena);
    assert_int_equal(mem_account_bytes(MEM_QUERY), before);
}

/* An arena that is wiped is one that may be used again, whatever it had. */
static void arena_is_wiped(void **state)
{
    int64_t before = mem_account_bytes(MEM_QUERY);
    struct arena arena;
    arena_init(&arena, MEM_QUERY, 0);
    arena_wipe(&arena);
    for (size_t i = 0; i < 3; i++) {
        memset(arena_alloc(&arena, 3000), 'x', 3000);
        memset(arena_alloc(&arena, 2 << 20), 'x', 2 << 20);
        arena_wipe(&arena);
        assert_int_equal(arena.used_bytes, 0);
    }
    assert_int_equal(mem_account_bytes(MEM_QUERY), before);
}

static void arena_keeps_its_limit(void **state)
{
    struct arena arena;
    arena_init(&arena, MEM_QUERY, 64 * 1024);
    size_t got = 0;
    while (arena_try_alloc(&arena, 1000))
        got += 1000;
    assert_true(got > 56 * 1024 && arena.used_bytes <= 64 * 1024);
    assert_null(arena_try_alloc(&arena, SIZE_MAX));
    assert_null(arena_try_alloc(&arena, SIZE_MAX - 64));
    arena_reset(&arena);
    assert_non_null(arena_try_alloc(&arena, 1000));
    mem_test_fail_after(0);
    assert_null(arena_try_alloc(&arena, 60 * 1024)); /* two tries: neither fits */
    mem_test_fail_after(-1);
    arena_deinit(&arena);
}

static void buffer_failure_sticks_until_reset(void **state)
{
    struct buffer b;
    buffer_init(&b, MEM_OTHER, 10);
    buffer_append_literal(&b, "12345");
    buffer_printf(&b, "%d", 67890);
    assert_true(view_is(buffer_view(&b), "1234567890"));
    buffer_append_byte(&b, 'x');
    assert_true(b.failed);
    buffer_append_literal(&b, "");
    assert_null(buffer_reserve(&b, 0));
    assert_int_equal(b.len, 10);
    buffer_reset(&b);
    buffer_append_byte(&b, 'y');
    assert_true(view_is(buffer_view(&b), "y"));
    buffer_printf(&b, "%20s", "too long");
    assert_true(b.failed);
    buffer_deinit(&b);

    buffer_init(&b, MEM_OTHER, 1 << 20);
    mem_test_fail_after(0);
    buffer_append_literal(&b, "no memory");
    assert_true(b.failed);
    mem_test_fail_after(-1);
    buffer_reset(&b);
    buffer_printf(&b, "%2000d", 1);
    assert_int_equal(b.len, 2000);
    buffer_deinit(&b);
}

/* Random fields are written, then read back; then the same bytes cut at each place must fail there. */
static void reader_gives_back_what_buffer_wrote(void **state)
{
    uint64_t seed = (uint64_t)clock_wall().ms;
    print_message("seed %llu\n", (unsigned long long)seed);
    struct random r;
    random_seed(&r, seed);
    for (int round = 0; round < 200; round++) {
        struct buffer b;
        buffer_init(&b, MEM_OTHER, 1 << 16);
        uint64_t v[8];
        for (int i = 0; i < 8; i++)
            v[i] = random_next(&r) >> random_below(&r, 64);
        double d = (double)v[0] / 7;
        buffer_append_u8(&b, (uint8_t)v[0]);
        buffer_append_u16(&b, (uint16_t)v[1]);
        buffer_append_u32(&b, (uint32_t)v[2]);
        buffer_append_u64(&b, v[3]);
        buffer_append_f64(&b, d);
        buffer_append_varint(&b, v[4]);
        buffer_append_svarint(&b, (int64_t)v[5]);
        buffer_append_svarint(&b, -(int64_t)(v[6] >> 1));
        buffer_append_string(&b, VIEW("hello"));
        for (size_t cut = 0; cut <= b.len; cut++) {
            struct reader rd = reader_from(view_slice(buffer_view(&b), 0, cut));
            bool whole = cut == b.len;
            uint8_t a = reader_u8(&rd);
            uint16_t c = reader_u16(&rd);
            uint32_t e = reader_u32(&rd);
            uint64_t f = reader_u64(&rd);
            double g = reader_f64(&rd);
            uint64_t h = reader_varint(&rd);
            int64_t i = reader_svarint(&rd), j = reader_svarint(&rd);
            struct view k = reader_string(&rd, 5);
            assert_int_equal(rd.failed, !whole);
            if (whole) {
                assert_true(a == (uint8_t)v[0] && c == (uint16_t)v[1] && e == (uint32_t)v[2]);
                assert_true(f == v[3] && g == d && h == v[4] && i == (int64_t)v[5]);
                assert_true(j == -(int64_t)(v[6] >> 1) && view_is(k, "hello"));
                assert_int_equal(reader_left(&rd), 0);
            } else {
                assert_true(rd.failed_pos <= cut && k.len == 0);
                assert_int_equal(reader_u64(&rd), 0);
            }
        }
        buffer_deinit(&b);
    }
}

static void reader_refuses_numbers_that_are_too_wide(void **state)
{
    static const unsigned char max[] = {255, 255, 255, 255, 255, 255, 255, 255, 255, 1};
    static const unsigned char wide[] = {255, 255, 255, 255, 255, 255, 255, 255, 255, 2};
    struct reader r = reader_from((struct view){(const char *)max, sizeof(max)});
    assert_true(reader_varint(&r) == UINT64_MAX && !r.failed);
    r = reader_from((struct view){(const char *)wide, sizeof(wide)});
    assert_true(reader_varint(&r) == 0 && r.failed && r.failed_pos == 0);
    r = reader_from(VIEW("\x05hello"));
    assert_int_equal(reader_string(&r, 4).len, 0);
    assert_true(r.failed && r.failed_pos == 0);
    r = reader_from(VIEW("\x01\x02\x03\x04"));
    assert_int_equal(reader_u32be(&r), 0x01020304);
    reader_skip(&r, 1);
    assert_true(r.failed && r.failed_pos == 4);
    r = reader_from((struct view){NULL, 0});
    assert_int_equal(reader_bytes(&r, 0).len, 0);
    assert_false(r.failed && reader_left(&r));
}

static void views_are_compared_in_any_case(void **state)
{
    (void)state;
    assert_true(view_is_any_case(VIEW("GZip"), "gzip"));
    assert_false(view_is_any_case(VIEW("gzi"), "gzip"));
    assert_false(view_is_any_case(VIEW("gzip "), "gzip"));
    assert_false(view_is_any_case(VIEW("@zip"), "`zip")); /* apart by the bit that letters are */
    assert_true(view_is_any_case((struct view){NULL, 0}, ""));
    assert_true(view_eq_any_case(VIEW("a\0B"), VIEW("A\0b")));
    assert_false(view_eq_any_case(VIEW("a\0b"), VIEW("a\0c")));
    assert_false(view_eq_any_case(VIEW("\xc4"), VIEW("\xe4")));
    assert_true(view_has_prefix_any_case(VIEW("BEARER x"), "Bearer "));
    assert_true(view_has_prefix_any_case((struct view){NULL, 0}, ""));
    assert_false(view_has_prefix_any_case(VIEW("Bear"), "Bearer "));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(views_are_compared_in_any_case),
        cmocka_unit_test(mem_accounts_return_to_where_they_began),
        cmocka_unit_test(mem_fails_the_nth_try_once),
        cmocka_unit_test(error_sentences_grow_outwards),
        cmocka_unit_test(error_says_why_the_system_failed),
        cmocka_unit_test(error_cuts_long_messages_between_characters),
        cmocka_unit_test(arena_frees_whole),
        cmocka_unit_test(arena_is_wiped),
        cmocka_unit_test(arena_keeps_its_limit),
        cmocka_unit_test(buffer_failure_sticks_until_reset),
        cmocka_unit_test(reader_gives_back_what_buffer_wrote),
        cmocka_unit_test(reader_refuses_numbers_that_are_too_wide),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
