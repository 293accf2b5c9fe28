/* SPDX-License-Identifier: Apache-2.0 */
/* guard_test.c: new series past a limit are folded, those that are there are not touched, and what was refused
 * leaves nothing behind. */
#include "storage/series_guard.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/thread.h"
#include "storage/appender.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#define START INT64_C(1700000000000)
#define SECOND INT64_C(1000000000)

/* ---- the guard alone ---- */

static struct labels label_set(struct label out[8], char text[8][32], const char *job,
                               const char *metric, unsigned n)
{
    snprintf(text[0], 32, "%u", n % 3);
    snprintf(text[1], 32, "user-%u", n);
    out[0] = (struct label){VIEW(LABEL_NAME), view_from(metric)};
    out[1] = (struct label){VIEW("instance"), VIEW("host:1")};
    out[2] = (struct label){VIEW("job"), view_from(job)};
    out[3] = (struct label){VIEW("shard"), view_from(text[0])};
    out[4] = (struct label){VIEW("user"), view_from(text[1])};
    return (struct labels){out, 5};
}

static void limits_are_per_job_and_per_metric(void **state)
{
    (void)state;
    struct series_guard g;
    struct db_options options = {.series_per_job_max = 10, .series_per_metric_max = 4};
    mono_time now = {SECOND};
    series_guard_init(&g, &options);
    for (int metric = 0; metric < 3; metric++) {
        char name[16];
        snprintf(name, sizeof name, "m%d", metric);
        int taken = 0;
        for (int i = 0; i < 6; i++) {
            enum guard_limit limit = series_guard_ask(&g, VIEW("j"), view_from(name), now);
            if (limit == GUARD_NONE) {
                series_guard_count(&g, VIEW("j"), view_from(name), 1);
                taken++;
            } else {
                assert_int_equal(limit, metric == 2 ? GUARD_JOB : GUARD_METRIC);
            }
        }
        assert_int_equal(taken, metric == 2 ? 2 : 4);
    }
    assert_int_equal(series_guard_ask(&g, VIEW("other"), VIEW("m9"), now), GUARD_NONE);
    series_guard_count(&g, VIEW("j"), VIEW("m0"), -1);
    assert_int_equal(series_guard_ask(&g, VIEW("j"), VIEW("m0"), now), GUARD_NONE);
    for (int i = 0; i < 3; i++)
        series_guard_count(&g, VIEW("j"), VIEW("m0"), -1);
    for (int i = 0; i < 4; i++)
        series_guard_count(&g, VIEW("j"), VIEW("m1"), -1);
    for (int i = 0; i < 2; i++)
        series_guard_count(&g, VIEW("j"), VIEW("m2"), -1);
    assert_int_equal(g.jobs.count + g.metrics.count, 0);
    series_guard_deinit(&g);
}

/* Near the limit of memory nothing new is made; this process has a few bytes. */
static void short_memory_refuses(void **state)
{
    (void)state;
    struct series_guard g;
    struct db_options options = {.memory_bytes_max = 100};
    void *some = mem_alloc(MEM_OTHER, 1000);
    series_guard_init(&g, &options);
    assert_int_equal(series_guard_ask(&g, VIEW("j"), VIEW("m"), (mono_time){SECOND}), GUARD_MEMORY);
    series_guard_deinit(&g);
    options.memory_bytes_max = UINT64_C(1) << 40;
    series_guard_init(&g, &options);
    assert_int_equal(series_guard_ask(&g, VIEW("j"), VIEW("m"), (mono_time){SECOND}), GUARD_NONE);
    series_guard_deinit(&g);
    mem_free(MEM_OTHER, some);
}

/* 100 at once, then ten a minute. */
static void new_series_of_a_job_have_a_rate(void **state)
{
    (void)state;
    struct series_guard g;
    struct db_options options = {.new_series_per_job_max = 100};
    mono_time now = {SECOND};
    series_guard_init(&g, &options);
    series_guard_count(&g, VIEW("j"), VIEW("m"), 1);
    int taken = 0;
    for (int minute = 0; minute < 10; minute++, now.ns += 60 * SECOND) {
        for (int i = 0; i < 1000; i++)
            taken += series_guard_ask(&g, VIEW("j"), VIEW("m"), now) == GUARD_NONE;
        assert_int_equal(taken, 100 + minute * 10);
    }
    assert_int_equal(series_guard_ask(&g, VIEW("k"), VIEW("m"), now), GUARD_NONE);
    series_guard_deinit(&g);
}

static void event_names_job_metric_and_label(void **state)
{
    (void)state;
    struct series_guard g;
    struct db_options options = {.series_per_job_max = 1};
    struct buffer text;
    struct label items[8];
    char values[8][32];
    mono_time now = {SECOND};
    unsigned events = 0;
    buffer_init(&text, MEM_OTHER, 4096);
    series_guard_init(&g, &options);
    for (unsigned i = 0; i < 5000; i++) {
        if (!series_guard_refused(&g, label_set(items, values, "api", "hits", i), GUARD_JOB, now))
            continue;
        series_guard_event(&g, &text, now);
        events++;
    }
    assert_int_equal(events, 1); /* the others wait ten minutes */
    buffer_append_byte(&text, '\0');
    unsigned users = 0;
    const char *at = strstr(text.ptr, "label \"user\" has about ");
    if (!at || sscanf(at, "label \"user\" has about %u values", &users) != 1)
        fail_msg("%s", text.ptr);
    /* Which registers values meet is drawn at each start: six times the estimate's error (1.04 / sqrt(256)) of 1000. */
    assert_in_range(users, 610, 1390);
    assert_non_null(strstr(text.ptr,
                           "1000 new series of metric \"hits\", job \"api\", instance "
                           "\"host:1\" were folded: over the limit of series of one job"));
    now.ns += INT64_C(601) * SECOND;
    buffer_reset(&text);
    assert_true(
        series_guard_refused(&g, label_set(items, values, "api", "hits", 1), GUARD_NEW, now));
    series_guard_event(&g, &text, now);
    assert_true(view_has_prefix(buffer_view(&text), VIEW("4001 new series")));
    buffer_deinit(&text);
    series_guard_deinit(&g);
}

/* Names that are made up do not fill memory. */
static void culprits_are_bounded(void **state)
{
    (void)state;
    struct series_guard g;
    struct db_options options = {.series_per_job_max = 1};
    struct label items[8];
    char values[8][32];
    series_guard_init(&g, &options);
    for (unsigned i = 0; i < 10000; i++) {
        char metric[32];
        snprintf(metric, sizeof metric, "m%u", i);
        if (series_guard_refused(&g, label_set(items, values, "j", metric, i), GUARD_JOB,
                                 (mono_time){SECOND + i * SECOND / 100})) {
            struct buffer text;
            buffer_init(&text, MEM_OTHER, 4096);
            series_guard_event(&g, &text, (mono_time){SECOND + i * SECOND / 100});
            assert_true(text.len > 0);
            buffer_deinit(&text);
        }
    }
    assert_int_equal(g.culprit_count, GUARD_CULPRITS_MAX);
    assert_int_equal(g.culprits[GUARD_CULPRITS_MAX].refused, 10000 - GUARD_CULPRITS_MAX);
    series_guard_deinit(&g);
}

/* ---- in a database ---- */

static const char *folder(void)
{
    static char dir[64];
    (void)snprintf(dir, sizeof dir, "/tmp/belfry_guard_test.%d", (int)getpid());
    return dir;
}

static int folder_remove(void **state)
{
    (void)state;
    struct error err;
    return dir_remove(folder(), &err) ? 0 : -1;
}

static struct db *open_db(uint64_t per_job)
{
    struct error err;
    struct db *db;
    struct db_options options = {.maintain_when_asked = true, .series_per_job_max = per_job};
    if (!db_open(&db, folder(), &options, NULL, &err))
        fail_msg("%s", err.message);
    return db;
}

static uint64_t symbol_bytes(struct db *db)
{
    struct db_stats stats;
    db_stats_get(db, &stats);
    return stats.symbol_table_bytes;
}

static void refused_series_leave_nothing_behind(void **state)
{
    (void)state;
    struct error err;
    struct group *g;
    struct label items[8];
    char values[8][32];
    uint32_t slot, overflow, first;
    struct db *db = open_db(5);
    assert_true(db_group_open(db, VIEW("g"), &g, &err));
    for (unsigned i = 0; i < 5; i++)
        assert_true(group_slot(g, label_set(items, values, "j", "m", i), &slot, &err));
    first = group_slot_count(g);
    struct labels refused = label_set(items, values, "j", "m", 5);
    assert_false(group_slot(g, refused, &slot, &err));
    assert_int_equal(err.kind, ERROR_LIMIT);
    assert_true(group_overflow_slot(g, refused, &overflow));
    assert_int_equal(overflow, first);
    uint64_t bytes = symbol_bytes(db);
    for (unsigned i = 5; i < 5000; i++) {
        assert_false(group_slot(g, label_set(items, values, "j", "m", i), &slot, &err));
        assert_true(group_overflow_slot(g, label_set(items, values, "j", "m", i), &slot));
        assert_int_equal(slot, overflow);
    }
    assert_int_equal(symbol_bytes(db), bytes);
    assert_int_equal(group_slot_count(g), first + 1);
    assert_true(group_slot(g, label_set(items, values, "j", "m", 3), &slot, &err)); /* known */
    struct appender a;
    assert_true(appender_begin(&a, g, START, &err));
    appender_sample(&a, slot, 42);
    for (int i = 0; i < 7; i++)
        appender_fold(&a, overflow);
    assert_true(a.values[overflow] == 7);
    assert_true(appender_commit(&a, APPENDER_WAIT, &err));
    struct db_stats stats;
    db_stats_get(db, &stats);
    assert_int_equal(stats.head_series, 6);
    group_close(g);
    assert_true(db_close(db, &err));
    /* The counts come back with the series. */
    db = open_db(6);
    assert_true(db_group_open(db, VIEW("g"), &g, &err));
    assert_false(group_slot(g, label_set(items, values, "j", "m", 77), &slot, &err));
    assert_true(group_slot(g, label_set(items, values, "j", "m", 4), &slot, &err));
    group_close(g);
    assert_true(db_close(db, &err));
}

/* Past a hundred metrics of one group there is one overflow series for the rest. */
static void overflow_series_are_bounded(void **state)
{
    (void)state;
    struct error err;
    struct group *g;
    struct label items[8];
    char values[8][32], metric[16];
    uint32_t slot = 0, last = 0;
    struct db *db = open_db(1);
    assert_true(db_group_open(db, VIEW("g"), &g, &err));
    for (unsigned i = 0; i < 1000; i++) {
        snprintf(metric, sizeof metric, "m%u", i);
        assert_true(group_overflow_slot(g, label_set(items, values, "j", metric, i), &slot));
        if (i > OVERFLOW_METRICS_MAX)
            assert_int_equal(slot, last);
        last = slot;
    }
    assert_int_equal(group_slot_count(g), OVERFLOW_METRICS_MAX + 1);
    group_close(g);
    assert_true(db_close(db, &err));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(limits_are_per_job_and_per_metric),
        cmocka_unit_test(short_memory_refuses),
        cmocka_unit_test(new_series_of_a_job_have_a_rate),
        cmocka_unit_test(event_names_job_metric_and_label),
        cmocka_unit_test(culprits_are_bounded),
        cmocka_unit_test_setup_teardown(refused_series_leave_nothing_behind, folder_remove,
                                        folder_remove),
        cmocka_unit_test_setup_teardown(overflow_series_are_bounded, folder_remove, folder_remove),
    };
    return cmocka_run_group_tests_name("guard", tests, NULL, NULL);
}
