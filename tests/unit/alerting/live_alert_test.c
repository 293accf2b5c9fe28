/* SPDX-License-Identifier: Apache-2.0 */
/* live_alert_test.c: fingerprints as Alertmanager's, copies that stand alone, and the order of alerts. */
#include "alerting/live_alert.h"

#include "base/arena.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

static struct labels parse(struct arena *arena, const char *text)
{
    struct labels ls;
    struct error err = {0};
    if (!labels_parse(arena, view_from(text), &ls, &err))
        fail_msg("%s: %s", text, err.message);
    return ls;
}

/* The numbers are those that Alertmanager 0.25 shows for these labels. */
static void fingerprints_are_alertmanagers(void **state)
{
    static const struct {
        const char *labels;
        uint64_t fingerprint;
    } CASES[] = {{"{}", 14695981039346656037U},
                 {"{alertname=\"HighLoad\",job=\"\xc3\xa9\",sev=\"page\"}", 0x3470c52aa87dd0ea},
                 {"{alertname=\"x\",instance=\"a\\\"b\",sev=\"page\"}", 0xb0870662986005f7}};
    struct arena arena;
    arena_init(&arena, MEM_OTHER, 0);
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++)
        assert_int_equal(live_alert_fingerprint(parse(&arena, CASES[i].labels)),
                         CASES[i].fingerprint);
    arena_deinit(&arena);
}

/* The sources are gone before the copies are read; the address sanitizer sees what is freed too early or never. */
static void copies_stand_alone(void **state)
{
    struct arena arena;
    arena_init(&arena, MEM_OTHER, 0);
    struct live_alert from = {.labels = parse(&arena, "{alertname=\"a\",b=\"c\"}"),
                              .annotations = parse(&arena, "{summary=\"text\"}"),
                              .starts_ns = 1,
                              .ends_ns = 2,
                              .updated_ns = 3,
                              .is_timeout = true,
                              .generator_url = arena_copy(&arena, VIEW("http://x/")),
                              .file = arena_copy(&arena, VIEW("f.yml")),
                              .group = arena_copy(&arena, VIEW("g")),
                              .rule = arena_copy(&arena, VIEW("a")),
                              .value = 1.5};
    struct live_alert *a = live_alert_new(&from);
    arena_deinit(&arena);
    struct live_alert *later = live_alert_with_times(a, 5, LIVE_ALERT_NEVER);
    struct live_alert *last = live_alert_with_times(later, 5, 7);
    live_alert_unref(a);
    live_alert_unref(later);
    assert_true(view_is(labels_get(last->labels, VIEW("b")), "c"));
    assert_true(view_is(labels_get(last->annotations, VIEW("summary")), "text"));
    assert_true(view_is(last->generator_url, "http://x/") && view_is(last->file, "f.yml"));
    assert_true(view_is(last->group, "g") && view_is(last->rule, "a") && last->value == 1.5);
    assert_int_equal(last->fingerprint, live_alert_fingerprint(last->labels));
    assert_true(last->starts_ns == 5 && last->ends_ns == 7 && last->updated_ns == 3 &&
                last->is_timeout);
    assert_true(live_alert_is_resolved(last, 7) && !live_alert_is_resolved(last, 6));
    live_alert_unref(live_alert_ref(last));
    live_alert_unref(last);
}

static void alerts_stand_in_alertmanagers_order(void **state)
{
    static const char *const ASCENDING[] = {"{alertname=\"z\",instance=\"a\",job=\"a\"}",
                                            "{alertname=\"z\",instance=\"b\",job=\"a\"}",
                                            "{alertname=\"a\",job=\"a\"}",
                                            "{alertname=\"a\",instance=\"a\",job=\"b\"}",
                                            "{alertname=\"a\",instance=\"a\"}",
                                            "{}",
                                            "{alertname=\"y\"}",
                                            "{alertname=\"z\"}",
                                            "{alertname=\"a\",c=\"1\"}",
                                            "{alertname=\"a\",b=\"1\"}",
                                            "{alertname=\"a\",b=\"2\"}",
                                            "{alertname=\"b\",b=\"1\"}"};
    size_t count = sizeof ASCENDING / sizeof *ASCENDING;
    struct arena arena;
    arena_init(&arena, MEM_OTHER, 0);
    for (size_t i = 0; i < count; i++) {
        for (size_t j = 0; j < count; j++) {
            struct live_alert a = {.labels = parse(&arena, ASCENDING[i])};
            struct live_alert b = {.labels = parse(&arena, ASCENDING[j])};
            int c = live_alert_compare(&a, &b);
            if ((c > 0) - (c < 0) != (i > j) - (i < j))
                fail_msg("%s and %s: %d", ASCENDING[i], ASCENDING[j], c);
        }
    }
    arena_deinit(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fingerprints_are_alertmanagers),
        cmocka_unit_test(copies_stand_alone),
        cmocka_unit_test(alerts_stand_in_alertmanagers_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
