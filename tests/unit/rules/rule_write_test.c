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
#include <unistd.h>

#include <cmocka.h>

enum { STEP_MS = 1000 };

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
    if (!rule_query_text(&env, view_from(query), w->begin_ms + step * STEP_MS, &arena, &v, &err))
        fail_msg("%s", err.message);
    arena_deinit(&arena);
    return v.count;
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
        assert_int_equal(written(&w, value < 5 ? "t == 1" : "t == 9", step), COUNT);
        assert_int_equal(written(&w, "t", step), COUNT);
        assert_int_equal(written(&w, "u == 3", step), OTHERS);
        assert_int_equal(written(&w, "u", step), OTHERS);
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
        assert_int_equal(written(&w, "t", step), value < 8 ? COUNT : 0);
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
        assert_int_equal(written(&w, "t", step), COUNT - 10);
        assert_int_equal(written(&w, "u == 2", step), COUNT);
        assert_int_equal(written(&w, "{__name__=~\"[tuv]\"}", step), 2 * COUNT - 10);
        assert_int_equal(slots_in_use(&w), 2 * COUNT - 10);
    }
    world_deinit(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(series_go_from_rule_to_rule),
        cmocka_unit_test(a_series_of_two_rules_stays_while_one_gives_it),
        cmocka_unit_test(a_reload_leaves_no_slots_behind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
