/* SPDX-License-Identifier: Apache-2.0 */
/* backtest_bench.c: a month of a fleet, and rules over it.
 *
 *   backtest_bench FOLDER [SERIES] [DAYS]     makes the folder when it is not there (blocks of a day, 15 s), then
 *                                             evaluates an alert over all series and one over a recording, at 1 m */
#include "base/clock.h"
#include "base/file.h"
#include "rules/backtest.h"
#include "storage/block.h"
#include "storage/db.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#define DAY_MS (INT64_C(24) * 3600 * 1000)
#define BEGIN_MS (INT64_C(20000) * DAY_MS)
enum { SCRAPE_MS = 15000, ROWS = 5760 };

static const char RULES[] = "groups:\n- name: g\n  rules:\n"
                            "  - {record: 'job:load:avg', expr: 'avg by (job) (load)'}\n"
                            "  - {alert: High, expr: 'load > 95', for: 2m}\n"
                            "  - {alert: Rate, expr: 'rate(requests_total[5m]) > 12', for: 5m}\n"
                            "  - {alert: Fleet, expr: 'job:load:avg > 60', for: 10m}\n";

static void stop(const struct error *err)
{
    fprintf(stderr, "%s\n", err->message);
    exit(1);
}

static void write_day(const char *dir, int day, int series)
{
    static int64_t times[ROWS];
    static double load[ROWS], requests[ROWS];
    struct error err = {0};
    struct block_writer *w;
    struct block_meta meta;
    int64_t start = BEGIN_MS + day * DAY_MS;
    for (int i = 0; i < ROWS; i++)
        times[i] = start + (int64_t)i * SCRAPE_MS;
    if (!block_writer_open(&w, dir, start, start + DAY_MS, &err))
        stop(&err);
    for (int metric = 0; metric < 2; metric++) {
        for (int s = 0; s < series / 2; s++) {
            char number[16];
            unsigned seed = (unsigned)(s + 1) * 2654435761u + (unsigned)day;
            double total = (double)day * ROWS * 150;
            snprintf(number, sizeof number, "h%05d", s);
            for (int i = 0; i < ROWS; i++) {
                seed = seed * 1664525u + 1013904223u;
                double wave = sin((double)(day * ROWS + i) / 500 + s);
                load[i] = floor(50 + 40 * wave + (double)(seed >> 24) / 32);
                total += 150 + 60 * wave;
                requests[i] = floor(total);
            }
            const struct label items[] = {
                {VIEW(LABEL_NAME), metric ? VIEW("requests_total") : VIEW("load")},
                {VIEW("instance"), view_from(number)},
                {VIEW("job"), VIEW("node")}};
            const struct samples samples = {
                .times = times, .values = metric ? requests : load, .count = ROWS, .times_id = 1};
            if (!block_writer_add(w, (struct labels){items, 3}, &samples, &err))
                stop(&err);
        }
    }
    if (!block_writer_finish(w, &meta, &err))
        stop(&err);
}

static void run(const char *dir, int days)
{
    struct error err = {0};
    struct rule_file *file;
    struct backtest *b;
    struct pool *pool;
    struct db *db;
    const struct db_options options = {.maintain_when_asked = true, .retention_ms = -1};
    if (!rule_file_parse(view_from(RULES), "bench.yml", NULL, &file, &err) ||
        !pool_start(&pool, 0, 1000, &err) || !db_open(&db, dir, &options, pool, &err))
        stop(&err);
    struct rule_file *const files[] = {file};
    const struct backtest_options test = {.replay = {.files = files,
                                                     .file_count = 1,
                                                     .history = db_as_source(db),
                                                     .engine = {.pool = pool},
                                                     .start_ms = BEGIN_MS,
                                                     .end_ms = BEGIN_MS + days * DAY_MS - 1,
                                                     .default_interval_ms = 60000}};
    mono_time start = clock_mono();
    if (!backtest_run(&b, &test, &err))
        stop(&err);
    double seconds = (double)(clock_mono().ns - start.ns) / 1e9;
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    printf("%" PRIu64
           " evaluations in %.2f s (%.0f per second), %zu episodes of %zu alerts, RSS %ld MB\n",
           b->evaluations, seconds, (double)b->evaluations / seconds, b->episode_count,
           b->series_count, usage.ru_maxrss / 1024);
    backtest_free(b);
    if (!db_close(db, &err))
        stop(&err);
    pool_stop(pool);
    rule_file_unref(file);
}

int main(int argc, char **argv)
{
    struct error err = {0};
    int series = argc > 2 ? (int)strtol(argv[2], NULL, 10) : 1000,
        days = argc > 3 ? (int)strtol(argv[3], NULL, 10) : 30;
    if (argc < 2) {
        fprintf(stderr, "usage: %s FOLDER [SERIES] [DAYS]\n", argv[0]);
        return 2;
    }
    if (!file_exists(argv[1])) {
        if (!dir_create(argv[1], &err))
            stop(&err);
        for (int day = 0; day < days; day++)
            write_day(argv[1], day, series);
    }
    run(argv[1], days);
    return 0;
}
