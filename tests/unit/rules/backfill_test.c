/* SPDX-License-Identifier: Apache-2.0 */
/* backfill_test.c: blocks that a backfill makes hold what evaluation time by time gives, ends of series included. */
#include "base/buffer.h"
#include "base/file.h"
#include "rules/backfill.h"
#include "rules/rule_query.h"
#include "storage/db.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MINUTE_MS INT64_C(60000)
#define HOUR_MS (60 * MINUTE_MS)
#define BEGIN_MS (INT64_C(1700000000) * 1000)
#define END_MS (BEGIN_MS + 7 * HOUR_MS)

static const char RULES[] =
    "groups:\n- name: g\n  rules:\n"
    "  - {record: high, expr: x > 50}\n"
    "  - {record: n, expr: 'count(high) or vector(0)'}\n"
    "  - {record: week, expr: 'max_over_time(n[2h])'}\n"
    "- name: h\n  interval: 30s\n  rules:\n  - {record: twice, expr: 'high * 2', labels: {l: m}}\n";

struct world {
    char dir[64];
    struct memory_source *history;
    struct rule_file *file;
};

static void world_init(struct world *w)
{
    struct error err = {0};
    unsigned seed = 5;
    *w = (struct world){.dir = "/tmp/belfry-backfill-XXXXXX", .history = memory_source_new()};
    assert_non_null(mkdtemp(w->dir));
    for (int64_t t = BEGIN_MS; t < END_MS; t += 15000) {
        for (unsigned i = 0; i < 3; i++) {
            char number[16];
            snprintf(number, sizeof number, "%u", i);
            const struct label items[] = {{VIEW(LABEL_NAME), VIEW("x")},
                                          {VIEW("i"), view_from(number)}};
            seed = seed * 1664525u + 1013904223u;
            double wave = (double)((t / MINUTE_MS + i * 17) % 60) * 100 / 60;
            memory_source_add(w->history, (struct labels){items, 2}, t, wave + (seed >> 28));
        }
    }
    if (!rule_file_parse(view_from(RULES), "r.yml", NULL, &w->file, &err))
        fail_msg("%s", err.message);
}

static void world_deinit(struct world *w)
{
    struct error err = {0};
    rule_file_unref(w->file);
    memory_source_free(w->history);
    assert_true(dir_remove(w->dir, &err));
}

static struct backfill_result fill(struct world *w, struct storage_source *history, int64_t from_ms,
                                   int64_t to_ms, bool only_missing)
{
    struct error err = {0};
    struct backfill_result result;
    struct rule_file *const files[] = {w->file};
    const struct backfill_options options = {.dir = w->dir,
                                             .memory_bytes = 16 << 20,
                                             .only_missing = only_missing,
                                             .write_ends = true,
                                             .replay = {.files = files,
                                                        .file_count = 1,
                                                        .history = history,
                                                        .start_ms = from_ms,
                                                        .end_ms = to_ms,
                                                        .default_interval_ms = MINUTE_MS}};
    if (!backfill_run(&options, &result, &err))
        fail_msg("%s", err.message);
    assert_int_equal(result.failures, 0);
    return result;
}

struct turn {
    struct rule_group *group;
    int64_t time_ms;
};

static int turn_compare(const void *x, const void *y)
{
    const struct turn *a = x, *b = y;
    return (a->time_ms > b->time_ms) - (a->time_ms < b->time_ms);
}

/* What a server would have written, into the history itself. */
static void evaluate(struct world *w)
{
    static struct turn turns[4000];
    const struct rule_group_options options = {.default_interval_ms = MINUTE_MS};
    const struct rule_env env = {.source = memory_source_as_source(w->history),
                                 .store = series_store_of_memory(w->history)};
    const struct rule_run run = {.env = &env};
    struct rule_group *groups[2];
    size_t count = 0;
    for (size_t g = 0; g < 2; g++) {
        groups[g] = rule_group_new(w->file, &w->file->groups[g], &options);
        int64_t t = rule_group_time(groups[g], BEGIN_MS);
        for (t = t < BEGIN_MS ? t + groups[g]->interval_ms : t; t < END_MS;
             t += groups[g]->interval_ms)
            turns[count++] = (struct turn){groups[g], t};
    }
    qsort(turns, count, sizeof *turns, turn_compare);
    for (size_t i = 0; i < count; i++)
        rule_group_evaluate(turns[i].group, &run, turns[i].time_ms);
    for (size_t g = 0; g < 2; g++) {
        rule_group_close(groups[g]);
        rule_group_unref(groups[g]);
    }
}

/* All samples of the recordings, and what a query sees each minute, which tells where series end. */
static void print(struct storage_source *source, struct buffer *out)
{
    static const char *const QUERIES[] = {"{__name__=~\".+\",__name__!=\"x\"}[8h]",
                                          "{__name__=~\".+\",__name__!=\"x\"}"};
    for (size_t i = 0; i < 2; i++) {
        struct query *q;
        struct error err = {0};
        struct query_params params = {.start_ms = END_MS, .end_ms = END_MS, .instant = true};
        if (i == 1)
            params =
                (struct query_params){.start_ms = BEGIN_MS, .end_ms = END_MS, .step_ms = MINUTE_MS};
        if (!query_new(&q, source, NULL, view_from(QUERIES[i]), &params, &err) ||
            !query_run(q, &err))
            fail_msg("%s", err.message);
        const struct query_result *r = query_get_result(q);
        for (size_t s = 0; s < r->series_count; s++) {
            struct arena arena;
            arena_init(&arena, MEM_OTHER, 0);
            labels_format(out, label_store_labels(r->labels, r->series[s].labels, &arena));
            for (uint32_t k = 0; k < r->series[s].count; k++)
                buffer_printf(out, " %lld=%g", (long long)(r->series[s].times[k] - BEGIN_MS),
                              r->series[s].values[k]);
            buffer_append_byte(out, '\n');
            arena_deinit(&arena);
        }
        query_free(q);
    }
    buffer_append_byte(out, '\0');
}

static struct db *open_db(const struct world *w)
{
    struct error err = {0};
    struct db *db;
    const struct db_options options = {.maintain_when_asked = true, .retention_ms = -1};
    if (!db_open(&db, w->dir, &options, NULL, &err))
        fail_msg("%s", err.message);
    return db;
}

static void close_db(struct db *db)
{
    struct error err = {0};
    if (!db_close(db, &err))
        fail_msg("%s", err.message);
}

static void assert_same(const struct buffer *expected, const struct buffer *got)
{
    size_t same = 0;
    while (expected->ptr[same] && expected->ptr[same] == got->ptr[same])
        same++;
    if (strcmp(expected->ptr, got->ptr) != 0)
        fail_msg("from byte %zu: expected \"%.200s\", got \"%.200s\"", same, expected->ptr + same,
                 got->ptr + same);
}

/* Two spans, one after the other, the second seeing the first; then all of it again, which writes nothing. */
static void a_backfill_is_what_evaluation_gives(void **state)
{
    (void)state;
    struct world w;
    struct buffer expected, got;
    buffer_init(&expected, MEM_OTHER, 64 << 20);
    buffer_init(&got, MEM_OTHER, 64 << 20);
    world_init(&w);
    struct backfill_result all =
        fill(&w, memory_source_as_source(w.history), BEGIN_MS, END_MS - 1, true);
    assert_true(all.samples > 2000 && all.samples_present == 0);
    struct db *db = open_db(&w);
    print(db_as_source(db), &got);
    close_db(db);
    evaluate(&w);
    print(memory_source_as_source(w.history), &expected);
    assert_same(&expected, &got);
    /* the history has all of it now */
    struct backfill_result again =
        fill(&w, memory_source_as_source(w.history), BEGIN_MS, END_MS - 1, true);
    assert_int_equal(again.samples, 0);
    assert_true(again.samples_present > 2000);
    /* without looking, the same blocks come out */
    struct backfill_result same =
        fill(&w, memory_source_as_source(w.history), BEGIN_MS, END_MS - 1, false);
    assert_int_equal(same.blocks, 0);
    assert_int_equal(same.blocks_present, all.blocks);
    world_deinit(&w);
    buffer_deinit(&got);
    buffer_deinit(&expected);
}

/* A series that history has in the middle is filled on both sides, and what is there stays. */
static void what_is_there_stays(void **state)
{
    (void)state;
    struct world w;
    struct buffer got;
    buffer_init(&got, MEM_OTHER, 64 << 20);
    world_init(&w);
    const struct label items[] = {{VIEW(LABEL_NAME), VIEW("n")}};
    for (int64_t t = BEGIN_MS + 2 * HOUR_MS; t < BEGIN_MS + 4 * HOUR_MS; t += MINUTE_MS)
        memory_source_add(w.history, (struct labels){items, 1}, t, 77);
    struct backfill_result r =
        fill(&w, memory_source_as_source(w.history), BEGIN_MS, END_MS - 1, true);
    assert_in_range(r.samples_present, 118, 122);
    struct db *db = open_db(&w);
    struct rule_vector v;
    struct arena arena;
    struct error err = {0};
    arena_init(&arena, MEM_OTHER, 0);
    const struct rule_env env = {.source = db_as_source(db)};
    assert_true(rule_query_text(&env, NULL, VIEW("count_over_time(n[2h])"),
                                BEGIN_MS + 4 * HOUR_MS - MINUTE_MS, &arena, &v, &err));
    assert_true(v.count == 0 || v.values[0] <= 2); /* the edges */
    /* and a rule that reads it saw what was there */
    assert_true(
        rule_query_text(&env, NULL, VIEW("week"), BEGIN_MS + 4 * HOUR_MS, &arena, &v, &err));
    assert_int_equal(v.count, 1);
    assert_true(v.values[0] == 77);
    arena_deinit(&arena);
    close_db(db);
    world_deinit(&w);
    buffer_deinit(&got);
}

int main(void)
{
    static const struct CMUnitTest TESTS[] = {
        cmocka_unit_test(a_backfill_is_what_evaluation_gives),
        cmocka_unit_test(what_is_there_stays),
    };
    return cmocka_run_group_tests(TESTS, NULL, NULL);
}
