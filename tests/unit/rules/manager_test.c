/* SPDX-License-Identifier: Apache-2.0 */
/* manager_test.c: groups on their threads over a real database: reloads, restarts, many at once. Tests wait for what
 * must come, never for a time. */
#include "rules/rule_manager.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/thread.h"
#include "rules/rule_query.h"
#include "storage/appender.h"
#include "storage/db.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

enum { PATIENCE_MS = 60 * 1000 };

struct server {
    char dir[64];
    struct db *db;
    struct pool *pool;
    struct rule_manager *manager;
    bool concurrent;
    pthread_mutex_t mutex;
    size_t firing, resolved; /* notices so far */
};

static void on_send(void *arg, const struct alert_notice *notices, size_t count)
{
    struct server *s = arg;
    mutex_lock(&s->mutex);
    for (size_t i = 0; i < count; i++) {
        s->resolved += notices[i].is_resolved;
        s->firing += !notices[i].is_resolved;
    }
    mutex_unlock(&s->mutex);
}

static void server_open(struct server *s)
{
    struct error err = {0};
    const struct db_options options = {.wal_sync_interval_ms = DB_SYNC_OFF};
    char data[80];
    snprintf(data, sizeof data, "%s/data", s->dir);
    if (!pool_start(&s->pool, 2, 1000, &err) || !db_open(&s->db, data, &options, s->pool, &err))
        fail_msg("%s", err.message);
    static char state_dir[80];
    snprintf(state_dir, sizeof state_dir, "%s", data);
    const struct rule_manager_options of_rules = {.db = s->db,
                                                  .engine = {.pool = s->pool},
                                                  .external_url = "http://me",
                                                  .state_dir = state_dir,
                                                  .resend_delay_ms = 1000,
                                                  .for_outage_tolerance_ms = 3600 * 1000,
                                                  .for_grace_period_ms = 0,
                                                  .concurrent_rules = s->concurrent,
                                                  .concurrent_max = 4,
                                                  .sink = {on_send, s}};
    if (!rule_manager_start(&s->manager, &of_rules, &err))
        fail_msg("%s", err.message);
}

static void server_close(struct server *s)
{
    struct error err = {0};
    rule_manager_stop(s->manager);
    if (!db_close(s->db, &err))
        fail_msg("%s", err.message);
    pool_stop(s->pool);
}

static void server_init(struct server *s)
{
    *s = (struct server){.dir = "/tmp/belfry-manager-XXXXXX"};
    assert_non_null(mkdtemp(s->dir));
    mutex_init(&s->mutex);
    server_open(s);
}

static void server_deinit(struct server *s)
{
    struct error err;
    server_close(s);
    mutex_deinit(&s->mutex);
    assert_true(dir_remove(s->dir, &err));
}

/* Puts these rules in force, as the only file. */
static void apply(struct server *s, const char *rules)
{
    struct error err = {0};
    char path[100];
    struct config *config = NULL;
    struct rule_set *set = NULL;
    snprintf(path, sizeof path, "%s/r.yml", s->dir);
    if (!file_replace(path, view_from(rules), &err) ||
        !config_load_text(VIEW("global: {evaluation_interval: 20ms}\nrule_files: [r.yml]\n"),
                          s->dir, "c.yml", &config, &err) ||
        !rule_set_load(&set, s->manager, config, &err))
        fail_msg("%s", err.message);
    rule_manager_apply(s->manager, config, set);
    config_unref(config);
}

static void pause_a_little(void)
{
    struct timespec t = {.tv_nsec = 2000000};
    nanosleep(&t, NULL);
}

static size_t count_series(struct server *s, const char *query)
{
    struct arena arena;
    struct rule_vector v;
    struct error err = {0};
    const struct rule_env env = {.source = db_as_source(s->db)};
    arena_init(&arena, MEM_OTHER, 0);
    if (!rule_query_text(&env, NULL, view_from(query), clock_wall().ms, &arena, &v, &err))
        fail_msg("%s", err.message);
    arena_deinit(&arena);
    return v.count;
}

static void wait_series(struct server *s, const char *query, size_t count)
{
    mono_time start = clock_mono();
    while (count_series(s, query) != count) {
        if (mono_ms_since(start) > PATIENCE_MS)
            fail_msg("%s: %zu series, %zu expected", query, count_series(s, query), count);
        pause_a_little();
    }
}

/* The first alert of the first group: its state, and since when. */
static enum alert_phase first_alert(struct server *s, int64_t *active_ms)
{
    struct arena arena;
    struct rule_groups groups;
    enum alert_phase state = ALERT_INACTIVE;
    arena_init(&arena, MEM_OTHER, 0);
    rule_manager_groups(s->manager, &arena, &groups);
    for (size_t i = 0; groups.count && i < groups.items[0]->rule_count; i++) {
        struct rule *r = &groups.items[0]->rules[i];
        mutex_lock(&r->mutex);
        if (r->alert_count) {
            state = r->alerts[0]->state;
            *active_ms = r->alerts[0]->active_ms;
        }
        mutex_unlock(&r->mutex);
    }
    rule_groups_release(&groups);
    arena_deinit(&arena);
    return state;
}

static void wait_alert(struct server *s, enum alert_phase state, int64_t *active_ms)
{
    mono_time start = clock_mono();
    while (first_alert(s, active_ms) != state) {
        if (mono_ms_since(start) > PATIENCE_MS)
            fail_msg("no alert is %s", alert_phase_name(state));
        pause_a_little();
    }
}

#define GROUP(rules) "groups:\n- name: g\n  rules:\n" rules
#define PENDING "  - {alert: A, expr: vector(1), for: 1h}\n"

/* What a reload leaves goes on; what it takes away ends, a rule at once and a group a little later. */
static void a_reload_keeps_what_stays_and_ends_what_goes(void **state)
{
    (void)state;
    struct server s;
    int64_t before = 0, after = 0;
    server_init(&s);
    apply(&s, GROUP(PENDING "  - {record: a, expr: 1}\n  - {record: b, expr: 1}\n"));
    wait_series(&s, "{__name__=~\"[abc]\"}", 2);
    wait_alert(&s, ALERT_PENDING, &before);
    apply(&s, GROUP(PENDING "  - {record: a, expr: 1}\n  - {record: b, expr: 1}\n"));
    apply(&s, GROUP(PENDING "  - {record: c, expr: 2}\n  - {record: a, expr: 1}\n"));
    wait_series(&s, "b", 0);
    wait_series(&s, "{__name__=~\"[abc]\"}", 2);
    wait_alert(&s, ALERT_PENDING, &after);
    assert_int_equal(before, after);
    apply(&s, "groups:\n- name: other\n  rules: [{record: a, expr: 3}]\n");
    wait_series(&s, "c", 0);
    wait_series(&s, "ALERTS", 0);
    wait_series(&s, "a == 3", 1);
    apply(&s, "groups: []\n");
    wait_series(&s, "a", 0);
    server_deinit(&s);
}

/* A group that comes back before its series have ended writes them again. */
/* Evaluated each millisecond, so that it also goes in the millisecond of its last row. */
static void a_group_may_come_back(void **state)
{
    (void)state;
    struct server s;
    server_init(&s);
    for (int i = 0; i < 20; i++) {
        apply(&s, "groups:\n- name: g\n  interval: 1ms\n  rules: [{record: a, expr: 1}]\n");
        wait_series(&s, "a", 1);
        apply(&s, "groups: []\n");
        if (i % 4 == 3)
            wait_series(&s, "a", 0);
    }
    server_deinit(&s);
}

static void a_restart_keeps_since_when_an_alert_is_pending(void **state)
{
    (void)state;
    struct server s;
    int64_t before = 0, after = 0;
    server_init(&s);
    apply(&s, GROUP(PENDING));
    wait_alert(&s, ALERT_PENDING, &before);
    server_close(&s);
    server_open(&s);
    apply(&s, GROUP(PENDING));
    assert_int_equal(first_alert(&s, &after), ALERT_PENDING); /* before any evaluation */
    assert_int_equal(before, after);
    wait_series(&s, "ALERTS{alertstate=\"pending\"}", 1);
    assert_int_equal(first_alert(&s, &after), ALERT_PENDING);
    assert_int_equal(before, after);
    server_deinit(&s);
}

/* An alert that was resolved while nobody looked is told. */
static void what_ends_during_a_restart_is_told(void **state)
{
    (void)state;
    struct server s;
    mono_time start = clock_mono();
    int64_t since;
    server_init(&s);
    apply(&s, GROUP("  - {alert: A, expr: vector(1)}\n"));
    wait_alert(&s, ALERT_FIRING, &since);
    server_close(&s);
    assert_true(s.firing > 0);
    server_open(&s);
    apply(&s, GROUP("  - {alert: A, expr: vector(1) > 1}\n"));
    for (size_t resolved = 0; resolved == 0;) {
        mutex_lock(&s.mutex);
        resolved = s.resolved;
        mutex_unlock(&s.mutex);
        assert_true(mono_ms_since(start) < PATIENCE_MS);
        pause_a_little();
    }
    wait_series(&s, "ALERTS", 0);
    server_deinit(&s);
}

/* Without state.db ALERTS_FOR_STATE says since when. */
static void without_a_state_the_series_tell(void **state)
{
    (void)state;
    struct server s;
    struct error err = {0};
    int64_t before = 0, after = 0;
    char path[100];
    server_init(&s);
    apply(&s, GROUP(PENDING));
    wait_alert(&s, ALERT_PENDING, &before);
    wait_series(&s, "ALERTS_FOR_STATE", 1);
    server_close(&s);
    static const char *const FILES[] = {"state.db", "state.db-wal", "state.db-shm"};
    for (size_t i = 0; i < ARRAY_COUNT(FILES); i++) {
        snprintf(path, sizeof path, "%s/data/%s", s.dir, FILES[i]);
        assert_true(file_remove(path, &err));
    }
    server_open(&s);
    apply(&s, GROUP(PENDING));
    mono_time start = clock_mono();
    int64_t now = clock_wall().ms;
    do { /* first it is pending since now, then since its time, but for that of the restart */
        (void)first_alert(&s, &after);
        assert_true(mono_ms_since(start) < PATIENCE_MS);
        pause_a_little();
    } while (after == 0 || after >= now - 1);
    assert_true(after >= before / 1000 * 1000);
    server_deinit(&s);
}

/* A damaged state.db is told and does not stop anything. */
static void a_damaged_state_stops_nothing(void **state)
{
    (void)state;
    struct server s;
    struct error err = {0};
    int64_t since;
    char path[100];
    server_init(&s);
    apply(&s, GROUP(PENDING));
    wait_alert(&s, ALERT_PENDING, &since);
    server_close(&s);
    snprintf(path, sizeof path, "%s/data/state.db", s.dir);
    assert_true(
        file_replace(path, VIEW("this is no database, but long enough to look like one"), &err));
    server_open(&s);
    apply(&s, GROUP("  - {alert: A, expr: vector(1)}\n"));
    wait_alert(&s, ALERT_FIRING, &since);
    mono_time start = clock_mono();
    for (struct rule_manager_stats stats = {0}; stats.state_failures == 0;) {
        rule_manager_stats_get(s.manager, &stats);
        assert_true(mono_ms_since(start) < PATIENCE_MS);
        pause_a_little();
    }
    server_deinit(&s);
}

/* Many groups with rules that depend on each other or not, at once, while they are changed and looked at. */
static void many_groups_are_evaluated_changed_and_looked_at(void **state)
{
    (void)state;
    struct server s;
    struct buffer text;
    server_init(&s);
    server_close(&s);
    s.concurrent = true;
    server_open(&s);
    buffer_init(&text, MEM_OTHER, 1 << 20);
    for (int round = 0; round < 6; round++) {
        buffer_reset(&text);
        buffer_append_literal(&text, "groups:\n");
        for (int g = 0; g < 20; g++) {
            buffer_printf(&text, "- name: g%d\n  interval: %dms\n  rules:\n", g, 5 + g);
            for (int r = 0; r < 5; r++)
                buffer_printf(&text, "  - {record: 'r%d_%d', expr: '%d'}\n", g, r,
                              round % 2 ? r : r + 1);
            buffer_printf(&text, "  - {record: s%d, expr: sum(r%d_0)}\n", g, g);
            buffer_printf(&text, "  - {alert: A%d, expr: s%d >= 0, for: 7ms}\n", g, g);
        }
        buffer_append_byte(&text, '\0');
        apply(&s, text.ptr);
        int64_t since;
        for (int i = 0; i < 20; i++)
            (void)first_alert(&s, &since);
        wait_series(&s, "{__name__=~\"s[0-9]+\"}", 20);
    }
    wait_series(&s, "ALERTS{alertstate=\"firing\"}", 20);
    buffer_deinit(&text);
    server_deinit(&s);
}

/* Looks at the groups in force, again and again, as the API and /metrics do. */
struct looker {
    struct server *server;
    atomic_bool is_stopping;
    atomic_size_t wrong, looks;
};

static void *look(void *arg)
{
    struct looker *l = arg;
    while (!atomic_load(&l->is_stopping)) {
        struct arena arena;
        struct rule_groups groups;
        arena_init(&arena, MEM_OTHER, 0);
        rule_manager_groups(l->server->manager, &arena, &groups);
        for (size_t i = 0; i < groups.count; i++)
            if (groups.items[i]->def->name.len == 0)
                atomic_fetch_add(&l->wrong, 1);
        rule_groups_release(&groups);
        arena_deinit(&arena);
        atomic_fetch_add(&l->looks, 1);
    }
    return NULL;
}

/* Groups that are all changed or removed by one reload, while they are busy and looked at: a reload waits for some when
 * others have already been replaced. */
static void groups_may_be_looked_at_while_all_change(void **state)
{
    (void)state;
    struct server s;
    struct buffer text;
    struct error err = {0};
    pthread_t thread;
    server_init(&s);
    struct looker looker = {.server = &s};
    if (!thread_start(&thread, "look", look, &looker, &err))
        fail_msg("%s", err.message);
    buffer_init(&text, MEM_OTHER, 1 << 20);
    for (int round = 0; round < 12; round++) {
        buffer_reset(&text);
        buffer_append_literal(&text, "groups:\n");
        /* Changed groups, removed ones, and in the next round some that come back while their series end. */
        for (int g = 0; g < 16 && round % 3 != 2; g++)
            if (g < 8 || round % 2 == 0)
                buffer_printf(
                    &text,
                    "- name: g%d\n  interval: 1ms\n  rules:\n"
                    "  - {record: 'r%d', expr: 'count_over_time(vector(%d)[4000s:1s])'}\n",
                    g, g, round);
        if (round % 3 == 2)
            buffer_append_literal(&text, "- name: last\n  rules: [{record: last, expr: 1}]\n");
        buffer_append_byte(&text, '\0');
        apply(&s, text.ptr);
        if (round % 3 != 2)
            wait_series(&s, "{__name__=~\"r[0-7]\"}", 8);
    }
    wait_series(&s, "last", 1);
    atomic_store(&looker.is_stopping, true);
    thread_join(thread);
    assert_int_equal(atomic_load(&looker.wrong), 0);
    assert_true(atomic_load(&looker.looks) > 0);
    buffer_deinit(&text);
    server_deinit(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_reload_keeps_what_stays_and_ends_what_goes),
        cmocka_unit_test(a_group_may_come_back),
        cmocka_unit_test(a_restart_keeps_since_when_an_alert_is_pending),
        cmocka_unit_test(what_ends_during_a_restart_is_told),
        cmocka_unit_test(without_a_state_the_series_tell),
        cmocka_unit_test(a_damaged_state_stops_nothing),
        cmocka_unit_test(many_groups_are_evaluated_changed_and_looked_at),
        cmocka_unit_test(groups_may_be_looked_at_while_all_change),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
