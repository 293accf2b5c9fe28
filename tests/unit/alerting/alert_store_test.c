/* SPDX-License-Identifier: Apache-2.0 */
/* alert_store_test.c: alerts by fingerprint, and what becomes of one that is told again. */
#include "alerting/alert_store.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

/* Alertmanager's own cases of merging, and those around them; now is 100. */
static void overlapping_times_are_one_episode(void **state)
{
    static const struct {
        const char *name;
        int64_t old_starts, old_ends;
        bool old_is_timeout;
        int64_t starts, ends, merged_starts, merged_ends;
    } CASES[] = {
        {"told again, later end", 10, 150, false, 10, 160, 10, 160},
        {"began earlier", 10, 150, false, 20, 160, 10, 160},
        {"a guess gives way to an earlier end", 10, 200, true, 20, 160, 10, 160},
        {"an end that was said holds", 10, 200, false, 20, 160, 10, 200},
        {"resolved now", 10, 200, false, 20, 90, 10, 90},
        {"resolved twice: the later", 10, 95, false, 20, 90, 10, 95},
        {"apart: another episode", 10, 50, false, 60, 160, 60, 160},
        {"touching is apart", 10, 60, false, 60, 160, 60, 160},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        struct live_alert old = {.starts_ns = CASES[i].old_starts,
                                 .ends_ns = CASES[i].old_ends,
                                 .is_timeout = CASES[i].old_is_timeout};
        struct live_alert news = {.starts_ns = CASES[i].starts, .ends_ns = CASES[i].ends};
        struct live_alert *merged = alert_merge(&old, live_alert_new(&news), 100);
        if (merged->starts_ns != CASES[i].merged_starts || merged->ends_ns != CASES[i].merged_ends)
            fail_msg("%s: %lld to %lld", CASES[i].name, (long long)merged->starts_ns,
                     (long long)merged->ends_ns);
        live_alert_unref(merged);
    }
}

static struct live_alert *numbered(int number)
{
    char text[16];
    snprintf(text, sizeof text, "%d", number);
    const struct label label = {VIEW("i"), view_from(text)};
    const struct live_alert a = {.labels = {&label, 1}};
    return live_alert_new(&a);
}

static void places_stay_and_are_used_again(void **state)
{
    struct alert_store s;
    uint64_t fingerprints[100];
    alert_store_init(&s);
    for (int i = 0; i < 100; i++) {
        struct live_alert *a = numbered(i);
        fingerprints[i] = a->fingerprint;
        assert_int_equal(alert_store_add(&s, a), i);
    }
    for (int i = 0; i < 100; i += 2)
        alert_store_remove(&s, alert_store_find(&s, fingerprints[i]));
    assert_int_equal(s.count, 50);
    for (int i = 0; i < 100; i++)
        assert_int_equal(alert_store_find(&s, fingerprints[i]),
                         i % 2 ? (uint32_t)i : ALERT_STORE_NONE);
    for (int i = 0; i < 100; i += 2)
        (void)alert_store_add(&s, numbered(i));
    assert_int_equal(s.count, 100);
    assert_int_equal(s.item_count, 100);
    for (int i = 0; i < 100; i++)
        assert_int_not_equal(alert_store_find(&s, fingerprints[i]), ALERT_STORE_NONE);
    alert_store_deinit(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(overlapping_times_are_one_episode),
        cmocka_unit_test(places_stay_and_are_used_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
