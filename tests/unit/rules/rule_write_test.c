/* SPDX-License-Identifier: Apache-2.0 */
/* rule_write_test.c: what rules give becomes rows of the real database: series that go from rule to rule, that end, and
 * that are refused. Rules read from memory, and time is a parameter: a step is a second. */
#include "base/clock.h"
#include "base/file.h"
#include "model/sample.h"
#include "rules/rule_group.h"
#include "rules/rule_query.h"
#include "storage/db.h"
#include "storage/memory_source.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

enum { STEP_MS = 1000, PATIENCE_MS = 60 * 1000 };

struct world {
    char dir[64];
    struct db *db;
    struct pool *pool;
    struct memory_source *input;
    struct rule_env env;
    struct rule_run run;
    struct rule_file *file;
    struct rule_group *group;
    int64_t begin_ms;
};

static struct rule_group *group_of(const char *rules, struct rule_file **file)
{
    static const struct rule_group_options OPTIONS = {.default_interval_ms = STEP_MS};
    char text[4096];
    struct error err = {0};
    snprintf(text, sizeof text, "groups:\n- name: g\n%s", rules);
    if (!rule_file_parse(view_from(text), "r.yml", NULL, file, &err))
        fail_msg("%s", err.message);
    return rule_group_new(*file, &(*file)->groups[0], &OPTIONS);
}

static void world_init(struct world *w, const char *rules)
{
    struct error err = {0};
    const struct db_options options = {.wal_sync_interval_ms = DB_SYNC_OFF};
    *w = (struct world){.dir = "/tmp/belfry-rule-write-XXXXXX", .input = memory_source_new()};
    assert_non_null(mkdtemp(w->dir));
    if (!pool_start(&w->pool, 2, 1000, &err) || !db_open(&w->db, w->dir, &options, w->pool, &err))
        fail_msg("%s", err.message);
    w->env = (struct rule_env){.source = memory_source_as_source(w->input),
                               .store = series_store_of_db(w->db)};
    w->run = (struct rule_run){.env = &w->env, .finish_writes = true};
    w->group = group_of(rules, &w->file);
    w->begin_ms = clock_wall().ms - 1000 * STEP_MS;
}

static void world_deinit(struct world *w)
{
    struct error err = {0};
    rule_group_close(w->group);
    rule_group_unref(w->group);
    rule_file_unref(w->file);
    memory_source_free(w->input);
    if (!db_close(w->db, &err))
        fail_msg("%s", err.message);
    pool_stop(w->pool);
    assert_true(dir_remove(w->dir, &err));
}

/* name{i="FIRST"...} of the step has this value. */
static void give(struct world *w, const char *name, int first, int count, int step, double value)
{
    for (int i = first; i < first + count; i++) {
        char number[16];
        snprintf(number, sizeof number, "%d", i);
        const struct label items[] = {{VIEW(LABEL_NAME), view_from(name)},
                                      {VIEW("i"), view_from(number)}};
        memory_source_add(w->input, (struct labels){items, 2}, w->begin_ms + step * STEP_MS, value);
    }
}

/* x{i="0"..} = 1 by a writer, waited for. */
static void give_written(struct series_writer *input, int count, int64_t time_ms)
{
    struct error err = {0};
    bool ok = series_writer_begin(input, time_ms, &err);
    for (int i = 0; i < count && ok; i++) {
        char number[16];
        uint32_t slot;
        snprintf(number, sizeof number, "%d", i);
        const struct label items[] = {{VIEW(LABEL_NAME), VIEW("x")},
                                      {VIEW("i"), view_from(number)}};
        ok = series_writer_slot(input, (struct labels){items, 2}, &slot, &err);
        if (ok)
            (void)series_writer_sample(input, slot, 1);
    }
    if (!ok || !series_writer_commit(input, SERIES_WRITER_WAIT, &err))
        fail_msg("%s", err.message);
}

static void evaluate(struct world *w, int step)
{
    rule_group_evaluate(w->group, &w->run, w->begin_ms + step * STEP_MS);
}

/* How many series the database gives for a query. */
static size_t written(struct world *w, const char *query, int step)
{
    struct arena arena;
    struct rule_vector v;
    struct error err = {0};
    const struct rule_env env = {.source = db_as_source(w->db)};
    arena_init(&arena, MEM_OTHER, 0);
    if (!rule_query_text(&env, NULL, view_from(query), w->begin_ms + step * STEP_MS, &arena, &v,
                         &err))
        fail_msg("%s", err.message);
    arena_deinit(&arena);
    return v.count;
}

/* Rows that end series are written without waiting until they can be read. */
static void wait_written(struct world *w, const char *query, int step, size_t count)
{
    mono_time start = clock_mono();
    size_t found;
    while ((found = written(w, query, step)) != count) {
        if (mono_ms_since(start) > PATIENCE_MS)
            fail_msg("%s: %zu series, %zu expected", query, found, count);
        struct timespec t = {.tv_nsec = 1000000};
        nanosleep(&t, NULL);
    }
}

/* Slots of the first stage's writer that some rule has. */
static size_t slots_in_use(const struct world *w)
{
    const struct series_writer *writer = w->group->stages[0].writer;
    size_t count = 0;
    for (size_t i = 0; i < writer->user_capacity; i++)
        count += writer->users[i] > 0;
    return count;
}

static void replace_group(struct world *w, const char *rules)
{
    struct rule_file *file;
    struct rule_group *changed = group_of(rules, &file);
    rule_group_take_over(changed, w->group);
    rule_group_close(w->group);
    rule_group_unref(w->group);
    rule_file_unref(w->file);
    w->group = changed;
    w->file = file;
}

/* Day and night thresholds: series go to and fro between two rules of a stage while others begin, and rows are sealed
 * early because so many slots would be free. */
static void series_go_from_rule_to_rule(void **state)
{
    (void)state;
    struct world w;
    enum { COUNT = 100, OTHERS = 60 };
    world_init(&w, "  rules:\n  - {record: t, expr: x < 5}\n  - {record: t, expr: x >= 5}\n"
                   "  - {record: u, expr: y * 1}\n");
    for (int step = 0; step < 24; step++) {
        double value = step % 4 < 2 ? 1 : 9;
        give(&w, "x", 0, COUNT, step, value);
        give(&w, "y", step * OTHERS, OTHERS, step, 3);
        give(&w, "y", (step - 1) * OTHERS, step ? OTHERS : 0, step, sample_stale());
        evaluate(&w, step);
        wait_written(&w, value < 5 ? "t == 1" : "t == 9", step, COUNT);
        wait_written(&w, "t", step, COUNT);
        wait_written(&w, "u == 3", step, OTHERS);
        wait_written(&w, "u", step, OTHERS);
        assert_int_equal(slots_in_use(&w), COUNT + OTHERS);
    }
    world_deinit(&w);
}

/* Two rules give the same series with the same value until one of them stops. */
static void a_series_of_two_rules_stays_while_one_gives_it(void **state)
{
    (void)state;
    struct world w;
    enum { COUNT = 100 };
    world_init(&w, "  rules:\n  - {record: t, expr: x < 5}\n  - {record: t, expr: x < 8}\n");
    for (int step = 0; step < 6; step++) {
        double value = step < 2 ? 1 : step < 5 ? 6 : 9;
        give(&w, "x", 0, COUNT, step, value);
        evaluate(&w, step);
        wait_written(&w, "t", step, value < 8 ? COUNT : 0);
        assert_int_equal(slots_in_use(&w), value < 8 ? COUNT : 0);
    }
    world_deinit(&w);
}

/* A reload: series of rules that changed or are gone leave no slots behind, and those that another rule has go on. */
static void a_reload_leaves_no_slots_behind(void **state)
{
    (void)state;
    struct world w;
    enum { COUNT = 100 };
    world_init(&w, "  rules:\n  - {record: t, expr: x < 5}\n  - {record: u, expr: x}\n"
                   "  - {record: v, expr: x}\n");
    give(&w, "x", 0, COUNT, 0, 1);
    evaluate(&w, 0);
    assert_int_equal(slots_in_use(&w), 3 * COUNT);
    replace_group(
        &w, "  rules:\n  - {record: t, expr: 'x{i=~\"..\"} < 5'}\n  - {record: u, expr: x + 1}\n");
    for (int step = 1; step < 5; step++) {
        give(&w, "x", 0, COUNT, step, 1);
        evaluate(&w, step);
        wait_written(&w, "t", step, COUNT - 10);
        wait_written(&w, "u == 2", step, COUNT);
        wait_written(&w, "{__name__=~\"[tuv]\"}", step, 2 * COUNT - 10);
        assert_int_equal(slots_in_use(&w), 2 * COUNT - 10);
    }
    world_deinit(&w);
}

/* What failing evaluations gave is forgotten, and what was written before stays known. */
static void failing_rules_do_not_grow(void **state)
{
    (void)state;
    struct world w;
    enum { COUNT = 100 };
    world_init(&w, "  limit: 10\n  rules:\n  - {record: t, expr: x}\n"
                   "  - {record: u, expr: y, labels: {i: same}}\n");
    give(&w, "x", 0, 5, 0, 1);
    evaluate(&w, 0);
    assert_int_equal(w.group->rules[0].series.count, 5);
    for (int step = 1; step < 5; step++) {
        give(&w, "x", step * COUNT, COUNT, step, 1);
        give(&w, "y", 2 * step, 2, step, 1);
        evaluate(&w, step);
        assert_int_equal(w.group->rules[0].health, RULE_FAILING);
        assert_int_equal(w.group->rules[1].health, RULE_FAILING);
        assert_int_equal(w.group->rules[0].series.count, 5);
        assert_int_equal(w.group->rules[1].series.count, 0);
    }
    world_deinit(&w);
}

/* A reload stops a rule in its evaluation: that is no failure of the rule, nor of the one that follows. */
static void a_stopped_rule_has_not_failed(void **state)
{
    (void)state;
    struct world w;
    static const char RULES[] = "  rules:\n  - {record: t, expr: x}\n";
    world_init(&w, RULES);
    give(&w, "x", 0, 1, 0, 1);
    evaluate(&w, 0);
    rule_group_cancel(w.group);
    evaluate(&w, 1);
    assert_int_equal(w.group->rules[0].health, RULE_OK);
    replace_group(&w, RULES);
    assert_int_equal(w.group->rules[0].health, RULE_OK);
    assert_null(w.group->rules[0].last_error);
    assert_int_equal(w.group->failures, 0);
    world_deinit(&w);
}

/* After an edit the next stage does not count what the rule before wrote and this one does not: the ends are waited for
 * as the row is. */
static void ends_are_seen_by_the_next_stage(void **state)
{
    (void)state;
    struct world w;
    static const char BEFORE[] =
        "  rules:\n  - {record: t, expr: x}\n  - {record: n, expr: count(t)}\n",
                      AFTER[] = "  rules:\n  - {record: t, expr: 'x{i=\"1\"}'}\n"
                                "  - {record: n, expr: count(t)}\n";
    world_init(&w, BEFORE);
    w.env.source = db_as_source(w.db);
    for (int edit = 0; edit < 10; edit++) {
        int step = edit * 2;
        struct series_writer *input =
            w.env.store.open(w.env.store.arg, VIEW("in"), &(struct error){0});
        for (int i = 0; i < 2; i++) {
            give_written(input, 5, w.begin_ms + (step + i) * STEP_MS);
            evaluate(&w, step + i);
            assert_int_equal(written(&w, i ? "n == 1" : "n == 5", step + i), 1);
            replace_group(&w, i ? BEFORE : AFTER);
        }
        series_writer_unref(input);
    }
    world_deinit(&w);
}

/* A query of a text belongs to its rule: once that is stopped it does not begin. */
static void a_stopped_rule_asks_nothing(void **state)
{
    (void)state;
    struct world w;
    struct arena arena;
    struct rule_vector v;
    struct error err = {0};
    world_init(&w, "  rules:\n  - {alert: A, expr: x}\n");
    arena_init(&arena, MEM_OTHER, 0);
    assert_true(rule_query_text(&w.env, &w.group->rules[0], VIEW("1"), 0, &arena, &v, &err));
    rule_group_cancel(w.group);
    assert_false(rule_query_text(&w.env, &w.group->rules[0], VIEW("1"), 0, &arena, &v, &err));
    assert_int_equal(err.kind, ERROR_CANCELED);
    assert_null(w.group->rules[0].running);
    arena_deinit(&arena);
    world_deinit(&w);
}

/* --- a store that takes nothing --- */

static bool refuse_slot(struct series_writer *w, struct labels ls, uint32_t *slot,
                        struct error *err)
{
    (void)w;
    (void)ls;
    (void)slot;
    return error_set(err, ERROR_LIMIT, "no new series");
}

static bool give_slot(struct series_writer *w, struct labels ls, uint32_t *slot, struct error *err)
{
    (void)w;
    (void)ls;
    (void)err;
    *slot = 0;
    return true;
}

static bool begin_row(struct series_writer *w, int64_t time_ms, struct error *err)
{
    (void)w;
    (void)time_ms;
    (void)err;
    return true;
}

static enum series_write take_sample(struct series_writer *w, uint32_t slot, double value)
{
    (void)w;
    (void)slot;
    (void)value;
    return SERIES_WRITTEN;
}

static bool take_row(struct series_writer *w, unsigned flags, struct error *err)
{
    (void)w;
    (void)flags;
    (void)err;
    return true;
}

static bool lose_row(struct series_writer *w, unsigned flags, struct error *err)
{
    (void)w;
    (void)flags;
    return error_set(err, ERROR_NO_SPACE, "disk full");
}

static void ignore_slot(struct series_writer *w, uint32_t slot)
{
    (void)w;
    (void)slot;
}

static void free_writer(struct series_writer *w)
{
    mem_free(MEM_OTHER, w);
}

static struct series_writer *open_writer(void *ops, struct view key, struct error *err)
{
    (void)key;
    (void)err;
    struct series_writer *w = mem_alloc_zero(MEM_OTHER, 1, sizeof *w);
    *w = (struct series_writer){.ops = ops, .references = 1};
    return w;
}

static void samples_that_are_not_written_are_failures(void **state)
{
    (void)state;
    static const struct series_writer_ops STORES[] = {
        {refuse_slot, begin_row, take_sample, take_row, ignore_slot, free_writer},
        {give_slot, begin_row, take_sample, lose_row, ignore_slot, free_writer}};
    for (size_t i = 0; i < ARRAY_COUNT(STORES); i++) {
        struct world w;
        world_init(&w, "  rules:\n  - {record: t, expr: x}\n");
        w.env.store = (struct series_store){open_writer, (void *)(uintptr_t)&STORES[i]};
        give(&w, "x", 0, 1, 0, 1);
        evaluate(&w, 0);
        assert_int_equal(w.group->rules[0].health, RULE_FAILING);
        assert_int_equal(w.group->failures, 1);
        assert_int_equal(w.group->evaluations, 1);
        world_deinit(&w);
    }
}

/* Counters of a group go on when it changes. */
static void a_reload_does_not_set_counters_back(void **state)
{
    (void)state;
    struct world w;
    world_init(&w, "  rules:\n  - {record: t, expr: x}\n  - {record: u, expr: x + on(k) x}\n");
    for (int step = 0; step < 3; step++) {
        give(&w, "x", 0, 2, step, 1);
        evaluate(&w, step);
    }
    assert_int_equal(w.group->failures, 3);
    int64_t sum = w.group->duration_sum_ns, of_rules = w.group->rule_duration_sum_ns;
    replace_group(&w, "  rules:\n  - {record: t, expr: x + 1}\n");
    assert_int_equal(w.group->evaluations, 6);
    assert_int_equal(w.group->failures, 3);
    assert_int_equal(w.group->iterations, 3);
    assert_int_equal(w.group->last_samples, 2);
    assert_int_equal(w.group->last_evaluation_ms, w.begin_ms + 2 * STEP_MS);
    assert_true(w.group->duration_sum_ns == sum && w.group->rule_duration_sum_ns == of_rules);
    world_deinit(&w);
}

/* Stages go and come back before anything was evaluated, and while a rule that fails still knows what it wrote. */
static void stages_may_go_and_come_back(void **state)
{
    (void)state;
    struct world w;
    static const char TWO[] =
        "  rules:\n  - {record: t, expr: x}\n  - {record: u, expr: t * 0 + 7}\n";
    static const char ONE[] = "  rules:\n  - {record: t, expr: x}\n"
                              "  - {record: u, expr: x + on(k) x}\n";
    world_init(&w, TWO);
    give(&w, "x", 0, 2, 0, 1);
    give(&w, "t", 0, 2, 0, 1); /* rules read from memory */
    evaluate(&w, 0);
    wait_written(&w, "u == 7", 0, 2);
    replace_group(&w, ONE);
    replace_group(&w, TWO);
    assert_int_equal(w.group->stage_count, 2);
    for (int step = 1; step < 4; step++) {
        give(&w, "x", 0, 2, step, 1);
        give(&w, "t", 0, 2, step, 1);
        evaluate(&w, step);
        assert_int_equal(w.group->failures, 0);
        wait_written(&w, "u == 7", step, 2);
    }
    replace_group(&w, ONE);
    give(&w, "x", 0, 2, 4, 1);
    evaluate(&w, 4);
    assert_int_equal(w.group->failures, 1);
    replace_group(&w, TWO);
    give(&w, "x", 0, 2, 5, 1);
    give(&w, "t", 0, 2, 5, 1);
    evaluate(&w, 5);
    assert_int_equal(w.group->failures, 1);
    wait_written(&w, "u == 7", 5, 2);
    world_deinit(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(series_go_from_rule_to_rule),
        cmocka_unit_test(a_series_of_two_rules_stays_while_one_gives_it),
        cmocka_unit_test(a_reload_leaves_no_slots_behind),
        cmocka_unit_test(failing_rules_do_not_grow),
        cmocka_unit_test(a_stopped_rule_has_not_failed),
        cmocka_unit_test(ends_are_seen_by_the_next_stage),
        cmocka_unit_test(a_stopped_rule_asks_nothing),
        cmocka_unit_test(samples_that_are_not_written_are_failures),
        cmocka_unit_test(a_reload_does_not_set_counters_back),
        cmocka_unit_test(stages_may_go_and_come_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
