/* SPDX-License-Identifier: Apache-2.0 */
#include "breaker.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static mono_time at(int64_t ms)
{
    return mono_add_ms((mono_time){1}, ms);
}

static void it_opens_after_failures_in_a_row(void **state)
{
    struct breaker b;
    breaker_init(&b);
    for (int i = 0; i < BREAKER_FAILURES_MAX - 1; i++)
        assert_false(breaker_failed(&b, at(0)));
    assert_false(breaker_succeeded(&b)); /* it was not open; the row begins anew */
    for (int i = 0; i < BREAKER_FAILURES_MAX - 1; i++)
        assert_false(breaker_failed(&b, at(0)));
    assert_true(breaker_enter(&b, at(0)));
    assert_true(breaker_failed(&b, at(0)));
    assert_false(breaker_enter(&b, at(0)));
    assert_false(breaker_enter(&b, at(BREAKER_WAIT_FIRST_MS - 1)));
    breaker_deinit(&b);
}

static void open_at(struct breaker *b, int64_t ms)
{
    for (int i = 0; i < BREAKER_FAILURES_MAX; i++)
        (void)breaker_failed(b, at(ms));
}

static void one_at_a_time_tries_it(void **state)
{
    struct breaker b;
    breaker_init(&b);
    open_at(&b, 0);
    assert_true(breaker_enter(&b, at(BREAKER_WAIT_FIRST_MS)));
    assert_false(breaker_enter(&b, at(BREAKER_WAIT_FIRST_MS + 100000)));
    breaker_abstained(&b); /* it did not ask after all: somebody else may */
    assert_true(breaker_enter(&b, at(BREAKER_WAIT_FIRST_MS)));
    assert_true(breaker_succeeded(&b));
    assert_true(breaker_enter(&b, at(BREAKER_WAIT_FIRST_MS)));
    assert_true(breaker_enter(&b, at(BREAKER_WAIT_FIRST_MS)));
    breaker_deinit(&b);
}

/* Each try that fails doubles the wait, up to the longest; those who went in before it opened and fail late change nothing. */
static void it_waits_longer_each_time(void **state)
{
    struct breaker b;
    int64_t now = 0, wait = BREAKER_WAIT_FIRST_MS;
    breaker_init(&b);
    open_at(&b, now);
    for (int i = 0; i < 12; i++) {
        for (int late = 0; late < 20; late++)
            assert_false(breaker_failed(&b, at(now + wait - 1)));
        assert_false(breaker_enter(&b, at(now + wait - 1)));
        now += wait;
        assert_true(breaker_enter(&b, at(now)));
        assert_false(breaker_failed(&b, at(now))); /* it was open already: told once */
        wait = wait * 2 < BREAKER_WAIT_MAX_MS ? wait * 2 : BREAKER_WAIT_MAX_MS;
    }
    assert_int_equal(wait, BREAKER_WAIT_MAX_MS);
    assert_true(breaker_succeeded(&b));
    open_at(&b, now); /* well in between: short again */
    assert_true(breaker_enter(&b, at(now + BREAKER_WAIT_FIRST_MS)));
    breaker_deinit(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_opens_after_failures_in_a_row),
        cmocka_unit_test(one_at_a_time_tries_it),
        cmocka_unit_test(it_waits_longer_each_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
