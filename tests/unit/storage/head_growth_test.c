/* SPDX-License-Identifier: Apache-2.0 */
/* head_growth_test.c: what comes and goes for ever leaves nothing behind, and many of a kind cost no more
 * each than few. */
#include "head_fixture.h"

#include "base/thread.h"

#include <inttypes.h>
#include <stdatomic.h>

enum { READ_MAX = 4096, CHURN = 6000, ROUNDS = 10 };
#define ROUND_MS INT64_C(600000)

struct fixture {
    char dir[256];
    struct head *head;
    int64_t t[READ_MAX];
    double v[READ_MAX];
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    fixture_dir(f->dir, sizeof f->dir);
    f->head = fixture_open(f->dir, INT64_MIN, NULL);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    if (f->head)
        fixture_close(f->head);
    fixture_dir_remove(f->dir);
    free(f);
    return 0;
}

static long read_all(struct fixture *f, const char *labels)
{
    return fixture_read(f->head, labels, INT64_MIN, INT64_MAX, f->t, f->v, READ_MAX);
}

static struct db_stats stats_of(struct head *h)
{
    struct db_stats stats = {0};
    head_stats_get(h, &stats);
    return stats;
}

/* CHURN series that were never there before and never will be again, with one row. */
static void churn_round(struct group *g, uint32_t *slots, int round)
{
    struct appender a;
    struct error err;
    char name[96];
    for (int i = 0; i < CHURN; i++) {
        snprintf(name, sizeof name, "job{pod=\"pod-%d-%d\",zone=\"z%d\"}", round, i, i % 3);
        slots[i] = fixture_slot(g, name);
    }
    uint32_t stays = fixture_slot(g, "stays{zone=\"z1\"}");
    assert_true(appender_begin(&a, g, T0 + round * ROUND_MS, &err));
    for (int i = 0; i < CHURN; i++)
        appender_sample(&a, slots[i], round * 1000 + i);
    appender_sample(&a, stays, round);
    assert_true(appender_commit(&a, APPENDER_STALE_MISSING | APPENDER_WAIT, &err));
    /* Their end: all are missing, then their slots are given back. */
    assert_true(appender_begin(&a, g, T0 + round * ROUND_MS + 1000, &err));
    appender_sample(&a, stays, round + 0.5);
    assert_true(appender_commit(&a, APPENDER_STALE_MISSING | APPENDER_WAIT, &err));
    for (int i = 0; i < CHURN; i++)
        group_release_slot(g, slots[i]);
}

struct querier {
    struct head *head;
    atomic_bool done;
    _Atomic uint64_t queries;
};

/* Selects everything and reads it: the labels must be those of the values. */
static void *query_for_ever(void *arg)
{
    struct querier *q = arg;
    struct select what = {NULL, 0, INT64_MIN, INT64_MAX, 0};
    while (!atomic_load(&q->done)) {
        struct arena arena;
        struct error err;
        struct series_list list;
        struct samples s;
        arena_init(&arena, MEM_QUERY, 0);
        struct label_store *store = label_store_new(MEM_QUERY, 0);
        struct head_view *view = head_pin(q->head, INT64_MIN);
        struct head_reader *reader = head_reader_new(view);
        assert_true(head_select(view, &what, store, &arena, &list, &err));
        for (size_t i = 0; i < list.count; i += 97) {
            struct labels ls = label_store_labels(store, list.items[i].labels, &arena);
            int round, number;
            assert_true(
                head_reader_read(reader, list.items[i].ref, INT64_MIN, INT64_MAX, NULL, &s, &err));
            if (ls.count == 3 && s.count > 0) {
                char pod[64];
                snprintf(pod, sizeof pod, "%.*s", VIEW_ARGS(ls.items[1].value));
                assert_int_equal(sscanf(pod, "pod-%d-%d", &round, &number), 2);
                assert_true(s.values[0] == round * 1000 + number || s.times[0] % 10000 == 1000);
            }
        }
        head_reader_free(reader);
        head_view_release(view);
        label_store_free(store);
        arena_deinit(&arena);
        atomic_fetch_add(&q->queries, 1);
    }
    return NULL;
}

/* New label values in every round, cuts behind them, queries beside: labels, indices and series log stay as
 * large as what lives, and what lives is as it was, also after a restart. */
static void churn_leaves_nothing_behind(void **state)
{
    struct fixture *f = *state;
    struct querier q = {.head = f->head};
    uint32_t *slots = calloc(CHURN, sizeof *slots);
    uint64_t text_bytes = 0;
    int64_t index_bytes = 0;
    struct error err;
    pthread_t thread;
    struct group *g = fixture_group(f->head, "a");
    assert_true(thread_start(&thread, "querier", query_for_ever, &q, &err));
    for (int round = 0; round < ROUNDS; round++) {
        uint64_t before = atomic_load(&q.queries);
        churn_round(g, slots, round);
        if (round > 0)
            assert_true(head_truncate(f->head, T0 + round * ROUND_MS, &err));
        while (round % 3 == 0 && atomic_load(&q.queries) < before + 2)
            sched_yield();
        if (round == 3) {
            text_bytes = stats_of(f->head).symbol_table_bytes;
            index_bytes = mem_account_bytes(MEM_INDEX);
        }
    }
    atomic_store(&q.done, true);
    thread_join(thread);
    struct db_stats stats = stats_of(f->head);
    if (stats.symbol_table_bytes > text_bytes + text_bytes / 4)
        fail_msg("labels: %" PRIu64 " bytes after 3 rounds, %" PRIu64 " after %d", text_bytes,
                 stats.symbol_table_bytes, ROUNDS);
    if (mem_account_bytes(MEM_INDEX) > index_bytes + index_bytes / 4)
        fail_msg("indices: %" PRId64 " bytes after 3 rounds, %" PRId64 " after %d", index_bytes,
                 mem_account_bytes(MEM_INDEX), ROUNDS);
    assert_true(stats.head_series <= 2 * CHURN + 1);
    assert_int_equal(read_all(f, "stays{zone=\"z1\"}"), 2);
    group_close(g);
    for (int life = 0; life < 2; life++) {
        assert_int_equal(read_all(f, "stays{zone=\"z1\"}"), 2);
        assert_int_equal(read_all(f, "job{pod=\"pod-9-5\",zone=\"z2\"}"), 2);
        assert_true(f->v[0] == 9005);
        assert_true(read_all(f, "job{pod=\"pod-2-5\",zone=\"z2\"}") <= 0);
        fixture_close(f->head);
        f->head = fixture_open(f->dir, T0 + (ROUNDS - 1) * ROUND_MS, NULL);
    }
    free(slots);
}

/* Beyond the limit of series nothing is remembered of the refused. */
static void refused_series_leave_nothing(void **state)
{
    struct fixture *f = *state;
    struct db_options opts = {.series_max = 10};
    struct error err;
    uint32_t slot;
    char name[64];
    fixture_close(f->head);
    f->head = fixture_open(f->dir, INT64_MIN, &opts);
    struct group *g = fixture_group(f->head, "a");
    for (int i = 0; i < 10; i++) {
        snprintf(name, sizeof name, "m{n=\"%d\"}", i);
        fixture_slot(g, name);
    }
    uint64_t before = stats_of(f->head).symbol_table_bytes;
    for (int i = 10; i < 5000; i++) {
        struct arena arena;
        arena_init(&arena, MEM_OTHER, 0);
        snprintf(name, sizeof name, "m{n=\"%d\"}", i);
        assert_false(group_slot(g, fixture_labels(&arena, name), &slot, &err));
        arena_deinit(&arena);
    }
    assert_int_equal(stats_of(f->head).symbol_table_bytes, before);
    group_close(g);
}

/* Series that end while nobody looks (their target is written by another process then) do not keep their
 * slots for ever, nor themselves. */
static void series_that_ended_during_a_restart_go(void **state)
{
    struct fixture *f = *state;
    struct error err;
    uint32_t slots[100];
    for (int life = 0; life < 8; life++) {
        struct group *g = fixture_group(f->head, "a");
        char name[64];
        for (int i = 0; i < 100; i++) {
            snprintf(name, sizeof name, "m{life=\"%d\",n=\"%d\"}", life, i);
            slots[i] = fixture_slot(g, name);
        }
        for (int row = 0; row < 200; row++) {
            struct appender a;
            assert_true(appender_begin(&a, g, T0 + life * 200000 + row * 1000, &err));
            for (int i = 0; i < 100; i++)
                appender_sample(&a, slots[i], life);
            assert_true(appender_commit(&a, APPENDER_STALE_MISSING, &err));
        }
        assert_true(group_slot_count(g) <= 200);
        head_flush(f->head);
        if (life > 0) { /* the last sample, and the marker that the next life set */
            snprintf(name, sizeof name, "m{life=\"%d\",n=\"7\"}", life - 1);
            assert_int_equal(read_all(f, name), 201);
            assert_true(f->t[200] == T0 + life * 200000);
        }
        group_close(g);
        fixture_close(f->head);
        f->head = fixture_open(f->dir, INT64_MIN, NULL);
    }
    assert_true(head_truncate(f->head, T0 + 7 * 200000 + 150000, &err));
    assert_int_equal(stats_of(f->head).head_series, 100);
}

/* All series of a target go to another group and back, again and again (as when a configuration changes and
 * is changed back): no slot is used twice, all parts are read, and a cut forgets where they were. That this
 * is not quadratic shows in the time: 30000 series in under a second, not in minutes. */
static void a_target_that_moves_costs_no_more_per_series_than_one_series(void **state)
{
    enum { SERIES = 30000, TRIPS = 6 };
    struct fixture *f = *state;
    struct error err;
    struct group *g[2] = {fixture_group(f->head, "a"), fixture_group(f->head, "b")};
    char name[64];
    uint32_t *slots = calloc(SERIES, sizeof *slots);
    for (int trip = 0; trip < TRIPS; trip++) {
        struct appender a;
        for (int i = 0; i < SERIES; i++) {
            snprintf(name, sizeof name, "m{n=\"%d\"}", i);
            slots[i] = fixture_slot(g[trip % 2], name);
        }
        assert_true(appender_begin(&a, g[trip % 2], T0 + trip * 1000, &err));
        for (int i = 0; i < SERIES; i++)
            appender_sample(&a, slots[i], i + trip);
        assert_true(appender_commit(&a, APPENDER_WAIT, &err));
    }
    assert_int_equal(group_slot_count(g[0]), SERIES);
    assert_int_equal(group_slot_count(g[1]), SERIES);
    for (int life = 0; life < 2; life++) {
        for (int i = 0; i < SERIES; i += 1999) {
            snprintf(name, sizeof name, "m{n=\"%d\"}", i);
            assert_int_equal(read_all(f, name), TRIPS);
            for (int k = 0; k < TRIPS; k++)
                assert_true(f->t[k] == T0 + k * 1000 && f->v[k] == i + k);
        }
        if (life == 0) {
            group_close(g[0]);
            group_close(g[1]);
            fixture_close(f->head);
            f->head = fixture_open(f->dir, INT64_MIN, NULL);
        }
    }
    assert_true(head_truncate(f->head, T0 + (TRIPS - 1) * 1000, &err));
    for (int i = 0; i < SERIES; i += 1999) {
        snprintf(name, sizeof name, "m{n=\"%d\"}", i);
        assert_int_equal(read_all(f, name), 1);
    }
    assert_int_equal(stats_of(f->head).head_groups, 1);
    free(slots);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(churn_leaves_nothing_behind),
        TEST(refused_series_leave_nothing),
        TEST(series_that_ended_during_a_restart_go),
        TEST(a_target_that_moves_costs_no_more_per_series_than_one_series),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
