/* SPDX-License-Identifier: Apache-2.0 */
/* password_test.c: hashes that other programs made, hashes that must not be computed, and who must wait. */
#include "access/backoff.h"
#include "access/password.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Solar Designer's test vectors of bcrypt. */
static const struct {
    const char *hash, *password;
    bool matches;
} HASHES[] = {
    {"$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW", "U*U", true},
    {"$2b$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW", "U*U", true},
    {"$2y$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW", "U*U", true},
    {"$2a$05$CCCCCCCCCCCCCCCCCCCCC.VGOzA784oUp/Z0DY336zx7pLYAy0lwK", "U*U*", true},
    {"$2a$05$CCCCCCCCCCCCCCCCCCCCC.7uG0VCzI2bS7j6ymqJi9CdcdxiRTWNy", "", true},
    {"$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW", "U*V", false},
    {"$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW", "", false},
};

static void passwords_match_their_hashes(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof HASHES / sizeof *HASHES; i++) {
        struct error err;
        unsigned cost;
        assert_true(password_hash_check(view_from(HASHES[i].hash), &cost, &err));
        assert_int_equal(password_matches(view_from(HASHES[i].hash), view_from(HASHES[i].password)),
                         HASHES[i].matches);
    }
}

/* libcrypt ends a text at its NUL and would say yes. */
static void a_password_with_nul_or_of_1_mb_never_matches(void **state)
{
    (void)state;
    static char large[1 << 20];
    struct view hash = view_from(HASHES[0].hash), empty = view_from(HASHES[4].hash);
    memset(large, 'a', sizeof large);
    assert_false(password_matches(hash, VIEW("U*U\0x")));
    assert_false(password_matches(empty, VIEW("\0")));
    assert_false(password_matches(empty, (struct view){large, sizeof large}));
    password_pretend(PASSWORD_COST_MIN, (struct view){large, sizeof large});
}

static void hashes_that_are_none_or_would_take_days_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *hash, *error;
    } BAD[] = {
        {"$2a$31$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW",
         "cost 31, expected 4 to 14"},
        {"$2a$15$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW", "cost 15"},
        {"$2a$03$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW", "cost 3"},
        {"$2a$99$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW", "not bcrypt"},
        {"$2x$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW", "not bcrypt"},
        {"$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOe", "not bcrypt"},
        {"$2a$05$CCCCCCCCCCCCCCCCCCCC!.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW", "not bcrypt"},
        {"$6$CCCCCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeWx", "not bcrypt"},
        {"password", "not bcrypt"},
        {"", "not bcrypt"},
    };
    for (size_t i = 0; i < sizeof BAD / sizeof *BAD; i++) {
        struct error err;
        unsigned cost;
        assert_false(password_hash_check(view_from(BAD[i].hash), &cost, &err));
        assert_non_null(strstr(err.message, BAD[i].error));
        assert_null(strstr(err.message, "E5YPO9")); /* a hash is a secret too */
    }
}

static void a_new_hash_matches_its_password_and_no_other(void **state)
{
    (void)state;
    char one[PASSWORD_HASH_BYTES], two[PASSWORD_HASH_BYTES];
    struct error err;
    unsigned cost;
    assert_true(password_hash_new(VIEW("correct horse"), one, &err));
    assert_true(password_hash_new(VIEW("correct horse"), two, &err));
    assert_string_not_equal(one, two); /* salt */
    assert_true(password_hash_check(view_from(one), &cost, &err));
    assert_int_equal(cost, PASSWORD_COST_NEW);
    assert_true(password_matches(view_from(one), VIEW("correct horse")));
    assert_false(password_matches(view_from(one), VIEW("correct hors")));
    assert_false(password_hash_new(VIEW("short"), one, &err));
    assert_string_equal(err.message, "the password has 5 bytes, expected 8 to 72");
    assert_false(password_hash_new(VIEW("12345678\0"), one, &err));
}

static void who_guesses_waits_longer_each_time(void **state)
{
    (void)state;
    struct backoff *b = backoff_new(3, 8000);
    mono_time now = {INT64_C(1000000000)};
    static const int64_t WAITS[] = {0, 0, 0, 1000, 2000, 4000, 8000, 8000};
    for (size_t i = 0; i < sizeof WAITS / sizeof *WAITS; i++) {
        backoff_fail(b, 7, now);
        assert_int_equal(backoff_wait_ms(b, 7, now), WAITS[i]);
        assert_int_equal(backoff_wait_ms(b, 8, now), 0);
    }
    assert_int_equal(backoff_wait_ms(b, 7, mono_add_ms(now, 7999)), 1);
    assert_int_equal(backoff_wait_ms(b, 7, mono_add_ms(now, 8000)), 0);
    backoff_succeed(b, 7);
    assert_int_equal(backoff_wait_ms(b, 7, now), 0);
    for (int i = 0; i < 10; i++)
        backoff_fail(b, 7, now);
    assert_int_equal(backoff_wait_ms(b, 7, mono_add_ms(now, 16 * 60 * 1000)), 0); /* forgotten */
    /* A flood of keys that failed once does not push out one that failed often. */
    for (int i = 0; i < 10; i++)
        backoff_fail(b, 7, now);
    for (uint64_t key = 100; key < 100000; key++)
        backoff_fail(b, key, now);
    assert_int_equal(backoff_wait_ms(b, 7, now), 8000);
    backoff_free(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(passwords_match_their_hashes),
        cmocka_unit_test(a_password_with_nul_or_of_1_mb_never_matches),
        cmocka_unit_test(hashes_that_are_none_or_would_take_days_are_refused),
        cmocka_unit_test(a_new_hash_matches_its_password_and_no_other),
        cmocka_unit_test(who_guesses_waits_longer_each_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
