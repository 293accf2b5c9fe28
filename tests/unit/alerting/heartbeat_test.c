/* SPDX-License-Identifier: Apache-2.0 */
/* heartbeat_test.c: the section `heartbeats`, and what stays away: when it is told, when it ends, what a restart knows. Time is
 * frozen; a heartbeat wakes the thread. */
#include "alerting/heartbeat.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/thread.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define START_MS INT64_C(1700000000000)
#define MINUTE_MS INT64_C(60000)

static const struct {
    const char *text, *error; /* NULL: it is taken */
} CONFIGS[] = {
    {"heartbeats:\n", NULL},
    {"heartbeats: {send: [{url: 'https://h/x'}], expect: [{name: a.b-c_1, within: 1h}]}", NULL},
    {"heartbeats: {send: [{}]}", "one of url and url_file must be configured"},
    {"heartbeats: {send: [{url: 'http://h', url_file: f}]}", "one of url and url_file"},
    {"heartbeats: {send: [{url: 'ftp://h/S3cret'}]}", "url: "},
    {"heartbeats: {send: [{url: 'http://h', interval: 0s}]}", "must be greater than 0"},
    {"heartbeats: {send: [{url: 'http://h', http_config: {nope: 1}}]}", "nope"},
    {"heartbeats: {send: [null]}", "empty or null heartbeat in send"},
    {"heartbeats: {expect: [{within: 1h}]}", "name: 1 to 100 letters"},
    {"heartbeats: {expect: [{name: 'a/b', within: 1h}]}", "name: 1 to 100 letters"},
    {"heartbeats: {expect: [{name: a}]}", "within: how long"},
    {"heartbeats: {expect: [{name: a, within: 1h}, {name: a, within: 2h}]}", "expected twice"},
    {"heartbeats: {expect: [{name: a, within: 1h, labels: {'': x}}]}", "label"},
    {"heartbeats: {other: 1}", "other"},
};

static void section_is_checked(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(CONFIGS); i++) {
        struct config *c;
        struct error err = {0};
        bool ok = config_load_text(view_from(CONFIGS[i].text), "", "test.yml", &c, &err);
        if (ok != (CONFIGS[i].error == NULL))
            fail_msg("%s: %s", CONFIGS[i].text, ok ? "taken" : err.message);
        if (!ok && !strstr(err.message, CONFIGS[i].error))
            fail_msg("%s: %s", CONFIGS[i].text, err.message);
        assert_null(strstr(err.message, "S3cret"));
        config_unref(c);
    }
}

struct told {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    size_t firing, resolved;
    int64_t starts_ms, ends_ms;
    char labels[300], annotations[300];
};

static void take(void *arg, const struct alert_notice *notices, size_t count)
{
    struct told *t = arg;
    mutex_lock(&t->mutex);
    for (size_t i = 0; i < count; i++) {
        struct buffer text;
        buffer_init(&text, MEM_OTHER, 1 << 16);
        labels_format(&text, notices[i].labels);
        snprintf(t->labels, sizeof t->labels, "%.*s", VIEW_ARGS(buffer_view(&text)));
        buffer_reset(&text);
        labels_format(&text, notices[i].annotations);
        snprintf(t->annotations, sizeof t->annotations, "%.*s", VIEW_ARGS(buffer_view(&text)));
        buffer_deinit(&text);
        t->firing += !notices[i].is_resolved;
        t->resolved += notices[i].is_resolved;
        t->starts_ms = notices[i].starts_ms;
        t->ends_ms = notices[i].ends_ms;
    }
    cond_broadcast(&t->changed);
    mutex_unlock(&t->mutex);
}

/* Waits for so many; the test's own limit ends what never comes. */
static void wait_for_told(struct told *t, size_t firing, size_t resolved)
{
    mutex_lock(&t->mutex);
    while (t->firing < firing || t->resolved < resolved)
        cond_wait(&t->changed, &t->mutex);
    assert_int_equal(t->firing, firing);
    assert_int_equal(t->resolved, resolved);
    mutex_unlock(&t->mutex);
}

static struct config *config_of(const char *text)
{
    struct config *c;
    struct error err = {0};
    if (!config_load_text(view_from(text), "", "test.yml", &c, &err))
        fail_msg("%s", err.message);
    return c;
}

static struct heartbeats *start(struct told *t, const char *dir, const char *text)
{
    struct heartbeats_options options = {.sink = {take, t}, .state_dir = dir};
    struct heartbeats *h;
    struct error err = {0};
    struct config *c = config_of(text);
    if (!heartbeats_start(&h, &options, &err))
        fail_msg("%s", err.message);
    heartbeats_apply(h, c);
    config_unref(c);
    return h;
}

static void beat(struct heartbeats *h, const char *name)
{
    struct error err = {0};
    if (!heartbeats_beat(h, view_from(name), &err))
        fail_msg("%s", err.message);
}

static struct heartbeat_expected state_of(struct heartbeats *h)
{
    struct arena arena;
    struct heartbeats_state s;
    arena_init(&arena, MEM_OTHER, 0);
    heartbeats_state_get(h, &arena, &s);
    assert_true(s.expected_count > 0);
    struct heartbeat_expected first = s.expected[0];
    first.name = VIEW(""); /* the arena's */
    arena_deinit(&arena);
    return first;
}

static void told_init(struct told *t)
{
    memset(t, 0, sizeof *t);
    mutex_init(&t->mutex);
    cond_init(&t->changed);
}

static void told_deinit(struct told *t)
{
    cond_deinit(&t->changed);
    mutex_deinit(&t->mutex);
}

#define TWO                                                                                        \
    "heartbeats: {expect: [{name: backup, within: 10m, labels: {severity: page}, annotations: "    \
    "{runbook: r}}, {name: waker, within: 1y}]}"

static void what_stays_away_is_told_until_it_comes(void **state)
{
    struct told t;
    struct error err = {0};
    (void)state;
    told_init(&t);
    clock_test_freeze((wall_time){START_MS}, (mono_time){1});
    struct heartbeats *h = start(&t, NULL, TWO);
    clock_test_advance_ms(10 * MINUTE_MS);
    beat(h, "waker");
    wait_for_told(&t, 1, 0);
    assert_string_equal(t.labels,
                        "{alertname=\"HeartbeatMissing\",heartbeat=\"backup\",severity=\"page\"}");
    assert_string_equal(
        t.annotations,
        "{runbook=\"r\",summary=\"heartbeat \\\"backup\\\" has not come for more than 10m\"}");
    assert_int_equal(t.starts_ms, START_MS + 10 * MINUTE_MS);
    assert_int_equal(t.ends_ms, START_MS + 14 * MINUTE_MS);
    clock_test_advance_ms(MINUTE_MS); /* again each minute */
    beat(h, "waker");
    wait_for_told(&t, 2, 0);
    assert_true(state_of(h).is_missing);
    clock_test_advance_ms(1000);
    beat(h, "backup");
    wait_for_told(&t, 2, 1);
    assert_int_equal(t.starts_ms, START_MS + 10 * MINUTE_MS);
    assert_int_equal(t.ends_ms, START_MS + 11 * MINUTE_MS + 1000);
    assert_false(state_of(h).is_missing);
    assert_int_equal(state_of(h).last_ms, START_MS + 11 * MINUTE_MS + 1000);
    assert_false(heartbeats_beat(h, VIEW("nobody"), &err));
    assert_int_equal(err.kind, ERROR_NOT_FOUND);
    heartbeats_stop(h);
    clock_test_unfreeze();
    told_deinit(&t);
}

static void what_is_no_longer_expected_is_resolved(void **state)
{
    struct told t;
    (void)state;
    told_init(&t);
    clock_test_freeze((wall_time){START_MS}, (mono_time){1});
    struct heartbeats *h = start(&t, NULL, TWO);
    clock_test_advance_ms(10 * MINUTE_MS);
    beat(h, "waker");
    wait_for_told(&t, 1, 0);
    struct config *c = config_of("heartbeats: {expect: [{name: waker, within: 1y}]}");
    heartbeats_apply(h, c);
    config_unref(c);
    wait_for_told(&t, 1, 1);
    heartbeats_stop(h);
    clock_test_unfreeze();
    told_deinit(&t);
}

/* What came is kept; down for a day, there are five minutes to come; what never came is as old as before. */
static void restart_knows_what_came(void **state)
{
    char dir[] = "/tmp/belfry-heartbeats-XXXXXX", path[100];
    struct told t;
    (void)state;
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/heartbeats", dir);
    told_init(&t);
    clock_test_freeze((wall_time){START_MS}, (mono_time){1});
    struct heartbeats *h = start(&t, dir, TWO);
    clock_test_advance_ms(MINUTE_MS);
    beat(h, "backup");
    heartbeats_stop(h);
    clock_test_advance_ms(24 * 60 * MINUTE_MS);
    h = start(&t, dir, TWO);
    assert_int_equal(state_of(h).last_ms, START_MS + MINUTE_MS);
    clock_test_advance_ms(5 * MINUTE_MS - 1);
    beat(h, "waker");
    assert_false(state_of(h).is_missing);
    clock_test_advance_ms(1);
    beat(h, "waker");
    wait_for_told(&t, 1, 0);
    assert_int_equal(t.starts_ms, START_MS + 11 * MINUTE_MS);
    heartbeats_stop(h);
    assert_true(file_exists(path));
    /* damage is as if nothing was known */
    FILE *f = fopen(path, "w");
    fputs("backup nonsense\nwaker 5", f);
    fclose(f);
    h = start(&t, dir, TWO);
    assert_int_equal(state_of(h).last_ms, 0);
    heartbeats_stop(h);
    clock_test_unfreeze();
    told_deinit(&t);
    unlink(path);
    rmdir(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(section_is_checked),
        cmocka_unit_test(what_stays_away_is_told_until_it_comes),
        cmocka_unit_test(what_is_no_longer_expected_is_resolved),
        cmocka_unit_test(restart_knows_what_came),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
