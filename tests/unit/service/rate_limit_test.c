/* SPDX-License-Identifier: Apache-2.0 */
#include "service/rate_limit.h"

#include "base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

static mono_time at(double seconds)
{
    return (mono_time){INT64_C(1000000000000) + (int64_t)(seconds * 1e9)};
}

/* 60 a minute, 3 at once: what is let in at which second, and what is said of it. */
static const struct {
    double second;
    bool ok;
    unsigned remaining, reset_s, retry_after_s;
} STEPS[] = {
    {0, true, 2, 1, 0},  {0, true, 1, 2, 0},    {0, true, 0, 3, 0},
    {0, false, 0, 3, 1}, {0.9, false, 0, 3, 1}, {1, true, 0, 3, 0},
    {1, false, 0, 3, 1}, {3.5, true, 1, 2, 0},  {100, true, 2, 1, 0},
};

static void a_bucket_fills_at_its_rate(void **state)
{
    (void)state;
    struct rate_limit *limit = rate_limit_new(60, 3, 1);
    for (size_t i = 0; i < ARRAY_COUNT(STEPS); i++) {
        struct rate_limit_state got;
        bool ok = rate_limit_take(limit, VIEW("a"), at(STEPS[i].second), &got);
        if (ok != STEPS[i].ok || got.remaining != STEPS[i].remaining ||
            got.reset_s != STEPS[i].reset_s || got.retry_after_s != STEPS[i].retry_after_s)
            fail_msg("step %zu: %d %u %u %u", i, ok, got.remaining, got.reset_s, got.retry_after_s);
    }
    assert_true(rate_limit_take(limit, VIEW("b"), at(0), NULL));
    rate_limit_free(limit);
    rate_limit_free(NULL);
}

/* Many more keys than slots: each is let in at first, and a key that goes on is still known. */
static void keys_do_not_share_and_the_table_does_not_grow(void **state)
{
    (void)state;
    int64_t before = mem_account_bytes(MEM_OTHER);
    struct rate_limit *limit = rate_limit_new(1, 1, 1024);
    int64_t held = mem_account_bytes(MEM_OTHER) - before;
    char key[16];
    for (int i = 0; i < 100000; i++) {
        int len = snprintf(key, sizeof key, "%d", i);
        struct view v = {key, (size_t)len};
        assert_true(rate_limit_take(limit, v, at(0), NULL));
        if (i < 500)
            assert_false(rate_limit_take(limit, v, at(0), NULL));
    }
    assert_int_equal(mem_account_bytes(MEM_OTHER) - before, held);
    rate_limit_free(limit);
    assert_int_equal(mem_account_bytes(MEM_OTHER), before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_bucket_fills_at_its_rate),
        cmocka_unit_test(keys_do_not_share_and_the_table_does_not_grow),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
