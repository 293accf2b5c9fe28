/* SPDX-License-Identifier: Apache-2.0 */
/* db_late_test.c: samples in any order through cuts, blocks that overlap, restarts and queries that are held. What is
 * read is what a map of (series, time) holds in which the first value stays. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/random.h"
#include "base/thread.h"
#include "model/labels.h"
#include "storage/appender.h"
#include "storage/db.h"

#include <errno.h>
#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { SERIES = 6, GROUPS = 3, SLOTS = 12 * 60, MINUTE = 60 * 1000, HOUR = 60 * MINUTE };
#define START INT64_C(1700006400000) /* a multiple of two hours */

struct model {
    char dir[128];
    struct db_options opts;
    struct db *db;
    struct group *groups[GROUPS];
    struct random random;
    bool has[SERIES][SLOTS]; /* a sample per minute */
    double value[SERIES][SLOTS];
    int newest;
};

#define assert_ok(call) assert_ok_at((call), &err, __LINE__)
static void assert_ok_at(bool ok, const struct error *err, int line)
{
    if (!ok)
        fail_msg("line %d: %s", line, err->message);
}

static struct labels labels_of(struct arena *arena, int series)
{
    struct labels_builder b;
    labels_builder_init(&b, arena);
    labels_builder_set(&b, VIEW(LABEL_NAME), VIEW("m"));
    labels_builder_set(&b, VIEW("n"), arena_printf(arena, "%d", series));
    return labels_builder_finish(&b);
}

static void open_all(struct model *m)
{
    struct error err;
    assert_ok(db_open(&m->db, m->dir, &m->opts, NULL, &err));
    for (int i = 0; i < GROUPS; i++) {
        char key[16];
        snprintf(key, sizeof key, "%d", i);
        assert_ok(db_group_open(m->db, view_from(key), &m->groups[i], &err));
    }
}

static void close_all(struct model *m)
{
    struct error err;
    for (int i = 0; i < GROUPS; i++)
        group_close(m->groups[i]);
    assert_ok(db_close(m->db, &err));
}

static int setup(void **state)
{
    struct model *m = calloc(1, sizeof *m);
    snprintf(m->dir, sizeof m->dir, "/tmp/belfry-db-late-XXXXXX");
    assert_non_null(mkdtemp(m->dir));
    m->opts.maintain_when_asked = true;
    m->newest = -1;
    random_seed(&m->random, 1);
    open_all(m);
    *state = m;
    return 0;
}

static int teardown(void **state)
{
    struct model *m = *state;
    struct error err;
    file_test_set_hook(NULL, NULL);
    clock_test_unfreeze();
    close_all(m);
    assert_ok(dir_remove(m->dir, &err));
    free(m);
    return 0;
}

static struct db_stats stats_of(const struct model *m)
{
    struct db_stats s;
    db_stats_get(m->db, &s);
    return s;
}

/* One sample, and what the map says of it. */
static void put(struct model *m, int series, int minute, double value)
{
    struct appender a;
    struct arena arena;
    struct error err;
    uint32_t slot;
    arena_init(&arena, MEM_OTHER, 0);
    struct group *g = m->groups[series % GROUPS];
    assert_ok(group_slot(g, labels_of(&arena, series), &slot, &err));
    assert_ok(appender_begin(&a, g, START + (int64_t)minute * MINUTE, &err));
    appender_sample(&a, slot, value);
    assert_ok(appender_commit(&a, random_below(&m->random, 2) ? APPENDER_WAIT : 0, &err));
    if (!m->has[series][minute]) {
        m->has[series][minute] = true;
        m->value[series][minute] = value;
    }
    m->newest = minute > m->newest ? minute : m->newest;
    arena_deinit(&arena);
}

static void check_series(struct model *m, int series, const struct samples *got, int from, int to)
{
    size_t at = 0;
    for (int i = from; i <= to; i++) {
        if (!m->has[series][i])
            continue;
        if (at >= got->count || got->times[at] != START + (int64_t)i * MINUTE ||
            got->values[at] != m->value[series][i])
            fail_msg("series %d: minute %d should hold %g; sample %zu of %zu is %g of minute %g",
                     series, i, m->value[series][i], at, got->count,
                     at < got->count ? got->values[at] : 0,
                     at < got->count ? (double)(got->times[at] - START) / MINUTE : 0);
        at++;
    }
    if (at != got->count)
        fail_msg("series %d has %zu samples too many", series, got->count - at);
}

static void check_view(struct model *m, struct storage_view *view, int from, int to)
{
    struct arena arena;
    struct error err;
    struct select all = {NULL, 0, START + (int64_t)from * MINUTE, START + (int64_t)to * MINUTE, 0};
    struct series_list list;
    bool seen[SERIES] = {false};
    arena_init(&arena, MEM_QUERY, 0);
    struct label_store *store = label_store_new(MEM_QUERY, 0);
    assert_ok(view_select(view, &all, store, &arena, &list, &err));
    struct storage_reader *r = view_reader_new(view, NULL, &err);
    for (size_t i = 0; i < list.count; i++) {
        struct samples got;
        struct labels ls = label_store_labels(store, list.items[i].labels, &arena);
        int series = labels_get(ls, VIEW("n")).ptr[0] - '0';
        assert_false(seen[series]);
        seen[series] = true;
        assert_ok(reader_read(r, list.items[i].ref, all.mint, all.maxt, &got, &err));
        check_series(m, series, &got, from, to);
    }
    for (int i = 0; i < SERIES; i++)
        if (!seen[i])
            check_series(m, i, &(struct samples){0}, from, to);
    storage_reader_free(r);
    label_store_free(store);
    arena_deinit(&arena);
}

static void check_span(struct model *m, int from, int to)
{
    struct error err;
    db_flush(m->db);
    struct storage_view *view = source_pin(db_as_source(m->db), START + (int64_t)from * MINUTE,
                                           START + (int64_t)to * MINUTE, &err);
    check_view(m, view, from, to);
    view_release(view);
}

static void check(struct model *m)
{
    check_span(m, 0, SLOTS - 1);
}

static void reopen(struct model *m)
{
    close_all(m);
    open_all(m);
}

static void fill_hours(struct model *m, int from, int to)
{
    for (int minute = from * 60; minute < to * 60; minute++)
        for (int i = 0; i < SERIES; i++)
            if ((minute + i) % 5 != 0)
                put(m, i, minute, minute * 10 + i);
}

static uint64_t wal_bytes(const struct model *m)
{
    char path[256];
    snprintf(path, sizeof path, "%s/head/wal", m->dir);
    return dir_bytes(path);
}

/* Late samples below the cut go into blocks of their own, by ranges, beside the older ones; those of the range being
 * cut go along. Then the head has forgotten them, and so has the WAL. */
static void late_samples_become_blocks_that_overlap(void **state)
{
    struct model *m = *state;
    struct error err;
    fill_hours(m, 0, 8);
    assert_ok(db_maintain(m->db, &err));
    assert_int_equal(stats_of(m).blocks, 3); /* two hours remain above the floor */
    for (int minute = 0; minute < 8 * 60; minute += 15)
        put(m, 1, minute, -minute); /* some are there already */
    check(m);
    uint64_t late = stats_of(m).late_bytes;
    assert_true(late > 0);
    assert_ok(db_maintain(m->db, &err));
    assert_int_equal(stats_of(m).blocks, 6);
    assert_true(stats_of(m).late_bytes < late);
    check(m);
    for (int round = 0; round < 2; round++) {
        reopen(m);
        check(m);
        assert_ok(db_maintain(m->db, &err));
        assert_int_equal(stats_of(m).blocks, 6); /* nothing is written twice */
    }
    fill_hours(m, 8, 12);
    assert_ok(db_maintain(m->db, &err));
    assert_int_equal(stats_of(m).blocks, 8);
    assert_true(stats_of(m).late_bytes < 1000); /* the last fills, that no row has settled yet */
    check(m);
    reopen(m);
    check(m);
    assert_true(stats_of(m).late_bytes < 1000); /* the last fills, that no row has settled yet */
    assert_true(wal_bytes(m) < 100000);
}

/* A query that began before the late block was published goes on seeing what it saw. */
static void a_held_query_keeps_its_late_samples(void **state)
{
    struct model *m = *state;
    struct error err;
    fill_hours(m, 0, 8);
    assert_ok(db_maintain(m->db, &err));
    put(m, 0, 5, 1234);
    put(m, 0, 405, 4321);
    db_flush(m->db);
    struct storage_view *view = source_pin(db_as_source(m->db), INT64_MIN, INT64_MAX, &err);
    assert_ok(db_maintain(m->db, &err));
    assert_int_equal(stats_of(m).blocks, 4);
    assert_true(stats_of(m).late_bytes > 0);
    check_view(m, view, 0, SLOTS - 1);
    check(m); /* the new one sees each once */
    view_release(view);
    assert_ok(db_maintain(m->db, &err));
    assert_int_equal(stats_of(m).blocks, 4);
    check(m);
}

/* A client that only sends late data: the keeper writes blocks by itself, the head does not grow. */
static void late_samples_alone_do_not_grow_the_head(void **state)
{
    struct model *m = *state;
    close_all(m);
    m->opts.late_bytes_max = 20000;
    m->opts.maintain_when_asked = false;
    open_all(m);
    uint64_t most = 0;
    put(m, 0, SLOTS - 1, 7);
    for (int minute = 0; minute < SLOTS - 1; minute++) {
        for (int i = 0; i < SERIES; i++)
            put(m, i, (minute * 7) % (SLOTS - 1), minute + i);
        if (stats_of(m).late_bytes > 60000) /* the machine is busy: let the keeper come up */
            while (stats_of(m).late_bytes > 40000)
                sched_yield();
        most = stats_of(m).late_bytes > most ? stats_of(m).late_bytes : most;
    }
    assert_true(most < 80000); /* all of it is 100,000 and more */
    assert_true(stats_of(m).blocks > 0);
    check(m);
    reopen(m);
    check(m);
}

/* The n-th operation on files while late samples are written fails, for every n: nothing is lost, neither at once nor
 * after a restart, and later it succeeds. */
struct fault {
    atomic_long left;
    bool hit;
};
static int fault_hook(void *arg, enum file_op op, const char *path, size_t *bytes)
{
    struct fault *f = arg;
    (void)op;
    (void)path;
    (void)bytes;
    if (atomic_fetch_sub(&f->left, 1) != 0)
        return 0;
    f->hit = true;
    return ENOSPC;
}

static void a_failure_loses_no_late_sample(void **state)
{
    struct error err;
    bool reached = true;
    for (long n = 0; reached; n++) {
        teardown(state);
        setup(state);
        struct model *m = *state;
        struct fault fault = {.left = n};
        fill_hours(m, 0, 4);
        assert_ok(db_maintain(m->db, &err));
        for (int minute = 0; minute < 4 * 60; minute += 50)
            put(m, 2, minute, -minute - 1);
        db_flush(m->db);
        file_test_set_hook(fault_hook, &fault);
        bool ok = db_maintain(m->db, &err);
        file_test_set_hook(NULL, NULL);
        (void)ok; /* a failure of the WAL's own thread may have passed by */
        reached = fault.hit;
        check(m);
        while (stats_of(m).ingest_stopped)
            sched_yield();
        assert_ok(db_maintain(m->db, &err));
        check(m);
        reopen(m);
        check(m);
        assert_true(n < 1000);
    }
}

static void random_order_agrees_with_a_model(void **state)
{
    const char *scale = getenv("TEST_SCALE"), *fixed = getenv("TEST_SEED");
    int rounds = 3 * (scale ? (int)strtol(scale, NULL, 10) : 1);
    for (int round = 0; round < rounds; round++) {
        struct model *m = *state;
        struct error err;
        uint64_t seed = fixed ? strtoull(fixed, NULL, 10) : (uint64_t)clock_mono().ns;
        print_message("seed %" PRIu64 "\n", seed);
        random_seed(&m->random, seed);
        struct storage_view *held = NULL;
        for (int op = 0; op < 6000; op++) {
            uint64_t what = random_below(&m->random, 1000);
            int series = (int)random_below(&m->random, SERIES);
            if (what == 0 && !held) {
                reopen(m);
            } else if (what < 6) {
                assert_ok(db_maintain(m->db, &err));
            } else if (what < 16) {
                int from = (int)random_below(&m->random, SLOTS);
                check_span(m, from, from + (int)random_below(&m->random, (uint64_t)(SLOTS - from)));
            } else if (what < 18 && !held) {
                held = source_pin(db_as_source(m->db), INT64_MIN, INT64_MAX, &err);
            } else if (what < 24 && held) {
                view_release(held);
                held = NULL;
            } else if (what < 600 && m->newest < SLOTS - 1) {
                put(m, series, m->newest + (int)random_below(&m->random, 2) + (m->newest < 0), op);
            } else if (m->newest >= 0) {
                put(m, series, (int)random_below(&m->random, (uint64_t)m->newest + 1),
                    random_below(&m->random, 3) ? op : 0.5);
            }
        }
        if (held)
            view_release(held);
        check(m);
        assert_ok(db_maintain(m->db, &err));
        check(m);
        reopen(m);
        check(m);
        teardown(state);
        setup(state);
    }
}

/* The newest sample may be a block's: then the window counts from it; else an empty folder takes any age. */
static void the_window_counts_from_blocks_too(void **state)
{
    struct model *m = *state;
    struct error err;
    struct appender a;
    fill_hours(m, 0, 12);
    put(m, 0, SLOTS - 1, 1);
    assert_ok(db_maintain(m->db, &err));
    reopen(m);
    int64_t newest = START + (int64_t)(SLOTS - 1) * MINUTE;
    assert_false(appender_begin(&a, m->groups[0], newest - (int64_t)24 * HOUR - 1, &err));
    assert_int_equal(a.refusal, APPENDER_TOO_OLD);
    assert_ok(appender_begin(&a, m->groups[0], newest - (int64_t)24 * HOUR, &err));
    appender_rollback(&a);
    db_set_out_of_order_window(m->db, 48 * (int64_t)HOUR);
    assert_ok(appender_begin(&a, m->groups[0], newest - (int64_t)24 * HOUR - 1, &err));
    appender_rollback(&a);
}

/* --- threads -------------------------------------------------------------------------------------- */

enum { STRESS_SECONDS = 3000, STRESS_WRITERS = 2, STRESS_READERS = 2 };

struct stress {
    struct db *db;
    atomic_uint running;
    _Atomic uint64_t reads;
    uint64_t seed;
};
struct stress_thread {
    struct stress *stress;
    int number;
    pthread_t thread;
};

static double stress_value(int64_t t)
{
    return (double)((t - START) / 1000 * 7 % 1001);
}

/* Every second of a series, in an order that strays by minutes. */
static void *stress_write(void *arg)
{
    struct stress_thread *w = arg;
    struct random random;
    struct arena arena;
    struct error err;
    struct group *g;
    char key[16];
    uint32_t slot;
    int waiting[256], count = 0, next = 0;
    random_seed(&random, w->stress->seed + (uint64_t)w->number);
    arena_init(&arena, MEM_OTHER, 0);
    snprintf(key, sizeof key, "stress %d", w->number);
    assert_ok(db_group_open(w->stress->db, view_from(key), &g, &err));
    assert_ok(group_slot(g, labels_of(&arena, w->number), &slot, &err));
    while (next < STRESS_SECONDS || count > 0) {
        while (next < STRESS_SECONDS && count < 256)
            waiting[count++] = next++;
        /* Mostly the oldest that waits, so that there are rows too. */
        int k = (int)random_below(&random, (uint64_t)count);
        for (int i = 0; i < count && random_below(&random, 4) != 0; i++)
            k = waiting[i] < waiting[k] ? i : k;
        int64_t t = START + waiting[k] * (int64_t)1000;
        struct appender a;
        bool begun = appender_begin(&a, g, t, &err);
        if (!begun && err.kind == ERROR_BUSY) {
            sched_yield(); /* too many late ones wait for the keeper */
            continue;
        }
        assert_ok(begun);
        appender_sample(&a, slot, stress_value(t));
        assert_ok(appender_commit(&a, random_below(&random, 50) == 0 ? APPENDER_WAIT : 0, &err));
        waiting[k] = waiting[--count];
    }
    group_close(g);
    arena_deinit(&arena);
    atomic_fetch_sub(&w->stress->running, 1);
    return NULL;
}

/* How many samples each series has; all are right. */
static void stress_count(struct db *db, size_t out[STRESS_WRITERS])
{
    struct arena arena;
    struct error err;
    struct select all = {NULL, 0, INT64_MIN, INT64_MAX, 0};
    struct series_list list;
    memset(out, 0, STRESS_WRITERS * sizeof *out);
    arena_init(&arena, MEM_QUERY, 0);
    struct label_store *store = label_store_new(MEM_QUERY, 0);
    struct storage_view *view = source_pin(db_as_source(db), INT64_MIN, INT64_MAX, &err);
    assert_ok(view_select(view, &all, store, &arena, &list, &err));
    struct storage_reader *r = view_reader_new(view, NULL, &err);
    for (size_t i = 0; i < list.count; i++) {
        struct samples got;
        struct labels ls = label_store_labels(store, list.items[i].labels, &arena);
        assert_ok(reader_read(r, list.items[i].ref, INT64_MIN, INT64_MAX, &got, &err));
        for (size_t k = 0; k < got.count; k++) {
            if (got.values[k] != stress_value(got.times[k]) ||
                (k > 0 && got.times[k] <= got.times[k - 1]))
                fail_msg("a wrong sample at %" PRId64, got.times[k] - START);
        }
        out[labels_get(ls, VIEW("n")).ptr[0] - '0'] = got.count;
    }
    storage_reader_free(r);
    view_release(view);
    label_store_free(store);
    arena_deinit(&arena);
}

static void *stress_read(void *arg)
{
    struct stress_thread *r = arg;
    size_t before[STRESS_WRITERS] = {0}, now[STRESS_WRITERS];
    while (atomic_load(&r->stress->running) > 0) {
        stress_count(r->stress->db, now);
        for (int i = 0; i < STRESS_WRITERS; i++) {
            if (now[i] < before[i])
                fail_msg("series %d had %zu samples, now %zu", i, before[i], now[i]);
            before[i] = now[i];
        }
        atomic_fetch_add(&r->stress->reads, 1);
    }
    return NULL;
}

/* Writers in disorder, a keeper that cuts and saves, a compactor that merges, and readers: no sample that was seen
 * vanishes on its way from run to row to block to merged block. */
static void nothing_vanishes_on_its_way(void **state)
{
    struct model *m = *state;
    struct error err;
    struct stress st = {.seed = (uint64_t)clock_mono().ns};
    struct stress_thread writers[STRESS_WRITERS], readers[STRESS_READERS];
    size_t count[STRESS_WRITERS];
    print_message("seed %" PRIu64 "\n", st.seed);
    close_all(m);
    m->opts = (struct db_options){
        .block_range_ms = 100 * 1000, .late_bytes_max = 6000, .wal_segment_bytes = 20000};
    open_all(m);
    st.db = m->db;
    atomic_init(&st.running, STRESS_WRITERS);
    for (int i = 0; i < STRESS_WRITERS; i++) {
        writers[i] = (struct stress_thread){&st, i, 0};
        assert_ok(thread_start(&writers[i].thread, "writer", stress_write, &writers[i], &err));
    }
    for (int i = 0; i < STRESS_READERS; i++) {
        readers[i] = (struct stress_thread){&st, i, 0};
        assert_ok(thread_start(&readers[i].thread, "reader", stress_read, &readers[i], &err));
    }
    while (atomic_load(&st.running) > 0)
        assert_ok(db_maintain(m->db, &err));
    for (int i = 0; i < STRESS_WRITERS; i++)
        thread_join(writers[i].thread);
    for (int i = 0; i < STRESS_READERS; i++)
        thread_join(readers[i].thread);
    for (int round = 0; round < 3; round++) {
        db_flush(m->db);
        stress_count(m->db, count);
        for (int i = 0; i < STRESS_WRITERS; i++)
            assert_int_equal(count[i], STRESS_SECONDS);
        if (round == 0)
            assert_ok(db_maintain(m->db, &err));
        else
            reopen(m);
    }
    assert_true(stats_of(m).blocks > 0);
}

static size_t count_all(struct model *m)
{
    struct arena arena;
    struct error err;
    struct select all = {NULL, 0, INT64_MIN, INT64_MAX, 0};
    struct series_list list;
    struct samples got;
    size_t count = 0;
    db_flush(m->db);
    arena_init(&arena, MEM_QUERY, 0);
    struct label_store *store = label_store_new(MEM_QUERY, 0);
    struct storage_view *view = source_pin(db_as_source(m->db), INT64_MIN, INT64_MAX, &err);
    assert_ok(view_select(view, &all, store, &arena, &list, &err));
    struct storage_reader *r = view_reader_new(view, NULL, &err);
    for (size_t i = 0; i < list.count; i++) {
        assert_ok(reader_read(r, list.items[i].ref, INT64_MIN, INT64_MAX, &got, &err));
        count += got.count;
    }
    storage_reader_free(r);
    view_release(view);
    label_store_free(store);
    arena_deinit(&arena);
    return count;
}

/* A day of scrapes, one a minute, with the keeper at its work; the clock is set back by 12 hours, or is a year ahead
 * for an hour, or both. Not one scrape is lost, nor anything that was there before. */
static void a_clock_that_steps_loses_nothing(void **state)
{
    static const struct {
        int minute;
        int64_t jump_ms;
    } CASES[][3] = {
        {{400, -12 * (int64_t)HOUR}},
        {{400, -12 * (int64_t)HOUR}, {900, 12 * (int64_t)HOUR}},
        {{400, 365 * 24 * (int64_t)HOUR}, {460, -365 * 24 * (int64_t)HOUR}},
        {{300, 30 * 24 * (int64_t)HOUR},
         {301, -30 * 24 * (int64_t)HOUR},
         {900, -12 * (int64_t)HOUR}},
    };
    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        teardown(state);
        clock_test_freeze((wall_time){START}, (mono_time){1000000000});
        setup(state);
        struct model *m = *state;
        struct arena arena;
        struct error err;
        uint32_t slot;
        int step = 0, written = 0;
        arena_init(&arena, MEM_OTHER, 0);
        assert_ok(group_slot(m->groups[0], labels_of(&arena, 0), &slot, &err));
        for (int minute = 0; minute < 1440; minute++) {
            struct appender a;
            clock_test_advance_ms(MINUTE + minute % 7);
            if (step < 3 && minute == CASES[i][step].minute)
                clock_test_jump_wall_ms(CASES[i][step++].jump_ms);
            assert_ok(appender_begin(&a, m->groups[0], clock_wall().ms, &err));
            appender_sample(&a, slot, minute);
            assert_ok(appender_commit(&a, APPENDER_STALE_MISSING, &err));
            written++;
            if (minute % 30 == 29)
                assert_ok(db_maintain(m->db, &err));
        }
        assert_int_equal(count_all(m), written);
        reopen(m);
        assert_int_equal(count_all(m), written);
        assert_ok(db_maintain(m->db, &err));
        assert_int_equal(count_all(m), written);
        assert_int_equal(stats_of(m).blocks_deleted, 0);
        arena_deinit(&arena);
        clock_test_unfreeze();
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(late_samples_become_blocks_that_overlap),
        TEST(a_held_query_keeps_its_late_samples),
        TEST(late_samples_alone_do_not_grow_the_head),
        TEST(a_failure_loses_no_late_sample),
        TEST(random_order_agrees_with_a_model),
        TEST(the_window_counts_from_blocks_too),
        TEST(a_clock_that_steps_loses_nothing),
        TEST(nothing_vanishes_on_its_way),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
