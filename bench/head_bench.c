/* SPDX-License-Identifier: Apache-2.0 */
/* head_bench.c: what a sample costs in the head: append and commit, memory per series, select, read,
 * replay.
 *
 *   bench/head_bench [series=100000] [rows=150] [group=1000] [parts=1] [late=0] [segment=BYTES]
 *
 * After each round of rows the keeper's work is done (head_store), and a WAL segment holds 20 rounds, which is what
 * five minutes are at an interval of 15 s.
 *
 * parts: each row comes in so many commits, as from the shards of a remote-write sender; late: so many rows more, which
 * lie between the others.
 * Values are mixed as a fleet's are: idle counters, steady counters, gauges with two decimals, constants. */
#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/random.h"
#include "storage/head.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

struct config {
    uint32_t series, rows, group, parts, late;
};

struct fleet {
    struct config c;
    uint32_t groups;
    struct head *head;
    struct group **group;
    uint32_t *slots;
    double *values;
    struct random random;
};

static double seconds_since(mono_time t)
{
    return (double)(clock_mono().ns - t.ns) / 1e9;
}

static int64_t process_cpu_ns(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void die(const struct error *err)
{
    fprintf(stderr, "head_bench: %s\n", err->message);
    exit(1);
}

static int64_t memory_of_head(void)
{
    return mem_account_bytes(MEM_LABELS) + mem_account_bytes(MEM_INDEX) +
           mem_account_bytes(MEM_HEAD);
}

static void fleet_make_series(struct fleet *f)
{
    struct error err;
    struct arena arena;
    mono_time begin = clock_mono();
    arena_init(&arena, MEM_OTHER, 0);
    f->groups = (f->c.series + f->c.group - 1) / f->c.group;
    f->group = mem_alloc_zero(MEM_OTHER, f->groups, sizeof(struct group *));
    f->slots = mem_alloc_zero(MEM_OTHER, f->c.series, sizeof *f->slots);
    f->values = mem_alloc_zero(MEM_OTHER, f->c.series, sizeof *f->values);
    for (uint32_t g = 0; g < f->groups; g++) {
        char key[64];
        snprintf(key, sizeof key, "fleet/host-%u:9100", g);
        if (!head_group_open(f->head, view_from(key), &f->group[g], &err))
            die(&err);
    }
    for (uint32_t i = 0; i < f->c.series; i++) {
        struct labels_builder b;
        uint32_t g = i / f->c.group, n = i % f->c.group;
        labels_builder_init(&b, &arena);
        labels_builder_set(&b, VIEW(LABEL_NAME), arena_printf(&arena, "metric_%u_total", n / 10));
        labels_builder_set(&b, VIEW("job"), VIEW("fleet"));
        labels_builder_set(&b, VIEW("instance"), arena_printf(&arena, "host-%u:9100", g));
        labels_builder_set(&b, VIEW("device"), arena_printf(&arena, "dev%u", n % 10));
        labels_builder_set(&b, VIEW("mode"), arena_printf(&arena, "mode%u", n % 3));
        labels_builder_set(&b, VIEW("zone"), VIEW("eu-1"));
        if (!group_slot(f->group[g], labels_builder_finish(&b), &f->slots[i], &err))
            die(&err);
        arena_reset(&arena);
    }
    arena_deinit(&arena);
    printf("create      %8.0f ns per series\n", seconds_since(begin) * 1e9 / f->c.series);
}

static void values_next(struct fleet *f, uint32_t from, uint32_t to)
{
    for (uint32_t i = from; i < to; i++) {
        uint64_t r = random_next(&f->random);
        if (i % 10 < 4)
            continue; /* idle */
        if (i % 10 < 8)
            f->values[i] += (double)(r % 50);
        else
            f->values[i] = (double)(r % 10000) / 100;
    }
}

/* The part of a row whose number is the rest of a series' number. */
static void row_append(struct fleet *f, uint32_t g, uint32_t part, int64_t t)
{
    struct appender a;
    struct error err;
    uint32_t from = g * f->c.group, to = from + f->c.group;
    to = to < f->c.series ? to : f->c.series;
    if (!appender_begin(&a, f->group[g], t, &err))
        die(&err);
    for (uint32_t i = from + part; i < to; i += f->c.parts)
        appender_sample(&a, f->slots[i], f->values[i]);
    if (!appender_commit(&a, f->c.parts == 1 ? APPENDER_STALE_MISSING : 0, &err))
        die(&err);
}

static void fleet_append(struct fleet *f, int64_t t0)
{
    struct error err;
    double append = 0, late = 0, store = 0;
    mono_time begin = clock_mono();
    for (uint32_t row = 0; row < f->c.rows; row++) {
        for (uint32_t part = 0; part < f->c.parts; part++) {
            for (uint32_t g = 0; g < f->groups; g++) {
                uint32_t from = g * f->c.group, to = from + f->c.group;
                if (part == 0)
                    values_next(f, from, to < f->c.series ? to : f->c.series);
                int64_t start = clock_thread_cpu_ns();
                row_append(f, g, part, t0 + (int64_t)row * 15000 + g % 1000);
                append += (double)(clock_thread_cpu_ns() - start) / 1e9;
            }
        }
        int64_t start = clock_thread_cpu_ns();
        if (!head_store(f->head, &err))
            die(&err);
        store += (double)(clock_thread_cpu_ns() - start) / 1e9;
    }
    head_flush(f->head);
    double samples = (double)f->c.series * f->c.rows;
    printf("append      %8.1f ns of CPU per sample (begin, samples, commit, packing, sealing)\n",
           append * 1e9 / samples);
    printf("store       %8.2f ns of CPU per sample (extents to files, segments dropped)\n",
           store * 1e9 / samples);
    printf("elapsed     %8.1f ns per sample (with values and WAL thread beside)\n",
           seconds_since(begin) * 1e9 / samples);
    for (uint32_t row = 0; row < f->c.late; row++) {
        for (uint32_t g = 0; g < f->groups; g++) {
            int64_t start = clock_thread_cpu_ns();
            for (uint32_t part = 0; part < f->c.parts; part++)
                row_append(f, g, part, t0 + (int64_t)row * 15000 + 7000 + g % 1000);
            late += (double)(clock_thread_cpu_ns() - start) / 1e9;
        }
    }
    head_flush(f->head);
    if (f->c.late > 0)
        printf("late        %8.1f ns of CPU per sample\n",
               late * 1e9 / ((double)f->c.series * f->c.late));
}

static void fleet_query(struct fleet *f, const char *label, const char *value, const char *what_is)
{
    struct error err;
    struct matcher m[2];
    struct arena arena;
    arena_init(&arena, MEM_QUERY, 0);
    if (!matcher_init(&m[0], MATCH_EQUAL, VIEW(LABEL_NAME), VIEW("metric_7_total"), &err) ||
        !matcher_init(&m[1], MATCH_EQUAL, view_from(label), view_from(value), &err))
        die(&err);
    struct select what = {m, 2, INT64_MIN, INT64_MAX, 0};
    double select = 1e9, read = 1e9;
    size_t series = 0, samples = 0;
    for (int round = 0; round < 20; round++) {
        struct label_store *store = label_store_new(MEM_QUERY, 0);
        struct series_list list;
        struct head_view *v = head_pin(f->head, INT64_MIN);
        mono_time start = clock_mono();
        if (!head_select(v, &what, store, &arena, &list, &err))
            die(&err);
        double s = seconds_since(start);
        select = s < select ? s : select;
        struct head_reader *r = head_reader_new(v);
        start = clock_mono();
        samples = 0;
        for (size_t i = 0; i < list.count; i++) {
            struct samples out;
            if (!head_reader_read(r, list.items[i].ref, INT64_MIN, INT64_MAX, NULL, &out, &err))
                die(&err);
            samples += out.count;
        }
        s = seconds_since(start);
        read = s < read ? s : read;
        series = list.count;
        head_reader_free(r);
        head_view_release(v);
        label_store_free(store);
        arena_reset(&arena);
    }
    printf("%s: select %.0f us for %zu series; read %.2f ns per sample (%zu)\n", what_is,
           select * 1e6, series, samples ? read * 1e9 / (double)samples : 0, samples);
    matcher_deinit(&m[0]);
    matcher_deinit(&m[1]);
    arena_deinit(&arena);
}

static void fleet_read_group(struct fleet *f)
{
    struct error err;
    struct matcher m;
    struct arena arena;
    struct series_list list;
    arena_init(&arena, MEM_QUERY, 0);
    if (!matcher_init(&m, MATCH_EQUAL, VIEW("instance"), VIEW("host-3:9100"), &err))
        die(&err);
    struct select what = {&m, 1, INT64_MIN, INT64_MAX, 0};
    struct label_store *store = label_store_new(MEM_QUERY, 0);
    struct head_view *v = head_pin(f->head, INT64_MIN);
    if (!head_select(v, &what, store, &arena, &list, &err))
        die(&err);
    struct head_reader *r = head_reader_new(v);
    size_t samples = 0;
    mono_time start = clock_mono();
    for (int round = 0; round < 20; round++) {
        for (size_t i = 0; i < list.count; i++) {
            struct samples out;
            if (!head_reader_read(r, list.items[i].ref, INT64_MIN, INT64_MAX, NULL, &out, &err))
                die(&err);
            samples += out.count;
        }
    }
    printf("a whole group: read %.2f ns per sample (%zu series)\n",
           seconds_since(start) * 1e9 / (double)samples, list.count);
    head_reader_free(r);
    head_view_release(v);
    label_store_free(store);
    matcher_deinit(&m);
    arena_deinit(&arena);
}

static uint32_t option(int argc, char **argv, const char *name, uint32_t otherwise)
{
    size_t len = strlen(name);
    for (int i = 1; i < argc; i++) {
        if (strncmp(argv[i], name, len) == 0 && argv[i][len] == '=')
            return (uint32_t)strtoul(argv[i] + len + 1, NULL, 10);
    }
    return otherwise;
}

int main(int argc, char **argv)
{
    struct error err;
    struct fleet f = {.c = {option(argc, argv, "series", 100000), option(argc, argv, "rows", 150),
                            option(argc, argv, "group", 1000), option(argc, argv, "parts", 1),
                            option(argc, argv, "late", 0)}};
    char dir[] = "/tmp/belfry-head-bench-XXXXXX";
    struct db_stats stats = {0};
    if (!mkdtemp(dir))
        return 1;
    uint64_t groups =
        (f.c.series + f.c.group - 1) / f.c.group; /* a record takes some 50 bytes more */
    struct db_options opts = {.wal_segment_bytes = ((uint64_t)f.c.series * 2 + groups * 50) * 20,
                              .late_bytes_max = UINT64_C(4) << 30};
    opts.wal_segment_bytes = option(argc, argv, "segment", (uint32_t)opts.wal_segment_bytes);
    if (!head_open(&f.head, dir, INT64_MIN, &opts, NULL, &err))
        die(&err);
    int64_t empty = memory_of_head(), t0 = clock_wall().ms - (int64_t)f.c.rows * 15000;
    random_seed(&f.random, 1);
    fleet_make_series(&f);
    int64_t labels = mem_account_bytes(MEM_LABELS), index = mem_account_bytes(MEM_INDEX);
    fleet_append(&f, t0);
    printf("memory      %8.1f bytes per series: labels %.1f, index %.1f, head %.1f\n",
           (double)(memory_of_head() - empty) / f.c.series, (double)labels / f.c.series,
           (double)index / f.c.series,
           (double)(memory_of_head() - empty - labels - index) / f.c.series);
    head_stats_get(f.head, &stats);
    printf("wal         %8.2f bytes per sample\n",
           (double)stats.wal_bytes_written / ((double)f.c.series * f.c.rows));
    printf("on disk     %8.1f MB of WAL, %.1f MB of extents in %" PRIu64
           " files (%.2f bytes per sample written)\n",
           (double)stats.wal_disk_bytes / 1e6, (double)stats.extent_bytes / 1e6, stats.extent_files,
           (double)stats.extent_bytes_written / ((double)f.c.series * f.c.rows));
    fleet_query(&f, "job", "fleet", "name and job (big list)");
    fleet_query(&f, "instance", "host-3:9100", "name and instance");
    fleet_query(&f, "device", "dev3", "name and device");
    fleet_read_group(&f);
    for (uint32_t g = 0; g < f.groups; g++)
        group_close(f.group[g]);
    mono_time start = clock_mono();
    if (!head_close(f.head, &err))
        die(&err);
    printf("close       %8.0f ms\n", seconds_since(start) * 1e3);
    start = clock_mono();
    int64_t cpu = process_cpu_ns();
    struct pool *pool;
    if (!pool_start(&pool, 0, 64, &err) || !head_open(&f.head, dir, INT64_MIN, NULL, pool, &err))
        die(&err);
    printf("replay      %8.0f ms, %.0f ms of CPU, %.1f ns per sample\n", seconds_since(start) * 1e3,
           (double)(process_cpu_ns() - cpu) / 1e6,
           seconds_since(start) * 1e9 / ((double)f.c.series * f.c.rows));
    pool_stop(pool);
    if (!head_close(f.head, &err) || !dir_remove(dir, &err))
        die(&err);
    return 0;
}
