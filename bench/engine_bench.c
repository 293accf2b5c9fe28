/* SPDX-License-Identifier: Apache-2.0 */
/* engine_bench.c: nanoseconds per sample of the shapes that dashboards are made of, over series in memory:
 * engine_bench [SERIES] [WORKERS] [SHAPE, 0-based, or -] [FOLDER]. With a folder (new, empty) they go through the
 * database instead: groups of a thousand series. Six hours at 15 s; values grow by a random step, with a reset now and then. */
#include "base/arena.h"
#include "base/assert.h"
#include "base/attributes.h"
#include "base/clock.h"
#include "base/random.h"
#include "promql/engine.h"
#include "storage/appender.h"
#include "storage/db.h"
#include "storage/memory_source.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { SAMPLES = 1440, STEP_MS = 15000, HANDLERS = 20, CODES = 5, ROUNDS = 5 };

static const struct {
    const char *text;
    int64_t range_ms, step_ms; /* step 0 = instant */
} SHAPES[] = {
    {"x_total", 3600000, 15000},
    {"rate(x_total[5m])", 6 * 3600000, 60000},
    {"sum(rate(x_total[5m]))", 6 * 3600000, 60000},
    {"sum by (instance) (rate(x_total[5m]))", 6 * 3600000, 60000},
    {"sum by (instance, handler, code) (rate(x_total[5m]))", 3600000, 30000},
    {"topk(5, sum by (instance, handler) (rate(x_total[5m])))", 6 * 3600000, 60000},
    {"avg_over_time(x_total[5m])", 6 * 3600000, 60000},
    {"max_over_time(x_total[1h])", 6 * 3600000, 60000},
    {"quantile_over_time(0.9, x_total[30m])", 6 * 3600000, 60000},
    {"sum(rate(x_total{code=\"1\"}[5m])) / sum(rate(x_total[5m]))", 6 * 3600000, 60000},
    {"1 - x_total / y_total", 6 * 3600000, 60000},
    {"sum by (h) (label_replace(rate(x_total[5m]), \"h\", \"$1\", \"instance\", \"([^:]+):.*\"))",
     3600000, 15000},
    {"max_over_time(sum by (instance) (rate(x_total[5m]))[30m:1m])", 3600000, 60000},
    {"histogram_quantile(0.9, sum by (instance, le) (rate(x_total[5m])))", 3600000, 15000},
    {"sum(count_over_time(x_total[6h]))", 0, 0},
    {"sum by (code) (increase(x_total[6h]))", 0, 0},
    {"count by (__name__) ({instance!=\"\"})", 0, 0},
};

static void series_text(char *text, size_t bytes, const char *name, unsigned i)
{
    snprintf(text, bytes, "%s{instance=\"host-%u:9100\",handler=\"/%u\",code=\"%u\",le=\"%u\"}",
             name, i / (HANDLERS * CODES), i / CODES % HANDLERS, i % CODES, i % CODES);
}

static double next_value(double v, struct random *random)
{
    return random_below(random, 5000) == 0 ? 0 : v + (double)random_below(random, 100);
}

static void fill(struct memory_source *m, const char *name, unsigned series_count,
                 struct random *random)
{
    for (unsigned i = 0; i < series_count; i++) {
        struct arena arena;
        struct labels labels;
        struct error err;
        char text[256];
        series_text(text, sizeof text, name, i);
        arena_init(&arena, MEM_OTHER, 0);
        ASSERT(labels_parse(&arena, view_from(text), &labels, &err));
        double v = 0;
        for (int k = 0; k < SAMPLES; k++) {
            memory_source_add(m, labels, (int64_t)k * STEP_MS, v);
            v = next_value(v, random);
        }
        arena_deinit(&arena);
    }
}

/* One group: both metrics of the series [first, first + count). */
static void db_fill_group(struct db *db, unsigned first, unsigned count, struct random *random)
{
    struct error err;
    struct group *group;
    struct arena arena;
    char key[32];
    snprintf(key, sizeof key, "group %u", first);
    ASSERT(db_group_open(db, view_from(key), &group, &err));
    arena_init(&arena, MEM_OTHER, 0);
    double *values = ARENA_ARRAY(&arena, double, 2 * (size_t)count);
    uint32_t *slots = ARENA_ARRAY(&arena, uint32_t, 2 * (size_t)count);
    for (unsigned i = 0; i < 2 * count; i++) {
        struct labels labels;
        char text[256];
        series_text(text, sizeof text, i % 2 ? "y_total" : "x_total", first + i / 2);
        ASSERT(labels_parse(&arena, view_from(text), &labels, &err));
        ASSERT(group_slot(group, labels, &slots[i], &err));
    }
    struct appender appender = {0};
    for (int k = 0; k < SAMPLES; k++) {
        ASSERT(appender_begin(&appender, group, (int64_t)k * STEP_MS + first % 7, &err));
        for (unsigned i = 0; i < 2 * count; i++) {
            appender_sample(&appender, slots[i], values[i]);
            values[i] = next_value(values[i], random);
        }
        ASSERT(appender_commit(&appender, 0, &err));
    }
    group_close(group);
    arena_deinit(&arena);
}

static struct db *db_filled(const char *folder, unsigned series_count, struct random *random)
{
    struct db *db;
    struct error err;
    struct db_options options = {.wal_sync_interval_ms = DB_SYNC_OFF, .retention_ms = -1};
    if (!db_open(&db, folder, &options, NULL, &err)) {
        printf("%s\n", err.message);
        exit(1);
    }
    for (unsigned i = 0; i < series_count; i += 1000)
        db_fill_group(db, i, series_count - i < 1000 ? series_count - i : 1000, random);
    db_flush(db);
    return db;
}

static void measure(struct storage_source *source, struct pool *pool, size_t idx)
{
    int64_t end = (int64_t)(SAMPLES - 1) * STEP_MS;
    struct engine_options options = {.pool = pool};
    struct query_params params = {.start_ms = end - SHAPES[idx].range_ms,
                                  .end_ms = end,
                                  .step_ms = SHAPES[idx].step_ms,
                                  .instant = SHAPES[idx].step_ms == 0};
    int64_t best = INT64_MAX;
    struct query_stats stats = {0};
    for (int round = 0; round < ROUNDS; round++) {
        struct query *q;
        struct error err;
        ASSERT(query_new(&q, source, &options, view_from(SHAPES[idx].text), &params, &err));
        if (!query_run(q, &err)) {
            printf("%-72s %s\n", SHAPES[idx].text, err.message);
            query_free(q);
            return;
        }
        stats = query_get_stats(q);
        best = stats.total_ns < best ? stats.total_ns : best;
        query_free(q);
    }
    printf("%-72s %8.2f ms  %6.2f ns/sample  %8" PRId64 "k samples\n", SHAPES[idx].text,
           (double)best / 1e6, (double)best / (double)stats.samples_read,
           stats.samples_read / 1000);
}

int main(int argc, char **argv)
{
    unsigned series = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 2000;
    unsigned workers = argc > 2 ? (unsigned)strtoul(argv[2], NULL, 10) : 0;
    struct random random;
    random_seed(&random, 1);
    struct memory_source *m = memory_source_new();
    struct db *db = NULL;
    if (argc > 4) {
        db = db_filled(argv[4], series, &random);
    } else {
        fill(m, "x_total", series, &random);
        fill(m, "y_total", series, &random);
    }
    struct pool *pool = NULL;
    struct error err;
    if (workers && !pool_start(&pool, workers, 1000, &err))
        return 1;
    size_t only = argc > 3 && argv[3][0] != '-' ? strtoul(argv[3], NULL, 10) : SIZE_MAX;
    for (size_t i = 0; i < ARRAY_COUNT(SHAPES); i++)
        if (only == SIZE_MAX || only == i)
            measure(db ? db_as_source(db) : memory_source_as_source(m), pool, i);
    pool_stop(pool);
    memory_source_free(m);
    return db && !db_close(db, &err);
}
