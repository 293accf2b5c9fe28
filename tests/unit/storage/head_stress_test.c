/* SPDX-License-Identifier: Apache-2.0 */
/* head_stress_test.c: two appenders, two readers and a keeper at once; built with ThreadSanitizer this
 * shows races, and in every build it checks what a reader may see. */
#include "head_fixture.h"

#include "base/random.h"
#include "base/thread.h"

#include <inttypes.h>
#include <stdatomic.h>

enum { APPENDERS = 2, READERS = 2, STEADY = 20, ROWS = 6000, ROW_MS = 1000 };

/* Each row of group g at time t holds, for each of its steady series i, the value row * 100 + i, and some
 * series that live for a few rows only, with the same rule. So a reader knows from a timestamp what must
 * stand there and
 * that all steady series of a group end with the same row. */
struct stress {
    struct head *head;
    atomic_uint running;
    atomic_int progress[APPENDERS]; /* rows */
    uint64_t seed;
    int rows;
};
struct stress_thread {
    struct stress *stress;
    int number;
    pthread_t thread;
};

static void *append_run(void *arg)
{
    struct stress_thread *t = arg;
    struct stress *st = t->stress;
    struct random random;
    struct error err;
    char text[96];
    random_seed(&random, st->seed + (uint64_t)t->number);
    snprintf(text, sizeof text, "group %d", t->number);
    struct group *g = fixture_group(st->head, text);
    uint32_t steady[STEADY], short_lived[8];
    for (int i = 0; i < STEADY; i++) {
        snprintf(text, sizeof text, "steady{g=\"%d\",i=\"%d\"}", t->number, i);
        steady[i] = fixture_slot(g, text);
    }
    int alive = 0, made = 0;
    for (int row = 0; row < st->rows; row++) {
        struct appender a;
        atomic_store(&st->progress[t->number], row);
        if (alive == 8) {
            for (int i = 0; i < alive; i++)
                group_release_slot(g, short_lived[i]);
            alive = 0;
        }
        snprintf(text, sizeof text, "short{g=\"%d\",n=\"%d\"}", t->number, made++ % 50);
        uint32_t slot = fixture_slot(g, text);
        bool known = false;
        for (int i = 0; i < alive; i++)
            known |= short_lived[i] == slot;
        if (!known)
            short_lived[alive++] = slot;
        if (!appender_begin(&a, g, T0 + (int64_t)row * ROW_MS, &err))
            fail_msg("%s", err.message);
        for (int i = 0; i < STEADY; i++)
            appender_sample(&a, steady[i], row * 100 + i);
        appender_sample(&a, slot, row * 100 + 99);
        unsigned flags = random_below(&random, 50) == 0 ? APPENDER_WAIT : 0;
        if (!appender_commit(&a, flags | APPENDER_STALE_MISSING, &err))
            fail_msg("%s", err.message);
    }
    group_close(g);
    atomic_fetch_sub(&st->running, 1);
    return NULL;
}

/* Every sample agrees with its timestamp; steady series of a group end with the same row. */
static void check_series(const struct samples *s, bool steady, int i, int64_t *last)
{
    for (size_t k = 0; k < s->count; k++) {
        int64_t row = (s->times[k] - T0) / ROW_MS;
        if (sample_is_stale(s->values[k]) && !steady)
            continue;
        if (s->values[k] != (double)(row * 100 + (steady ? i : 99)))
            fail_msg("row %" PRId64 " holds %g", row, s->values[k]);
        if (k > 0 && s->times[k] <= s->times[k - 1])
            fail_msg("times do not ascend");
        if (steady && k > 0 && s->times[k] != s->times[k - 1] + ROW_MS)
            fail_msg("a steady series has a gap before row %" PRId64, row);
    }
    int64_t end = s->count > 0 ? s->times[s->count - 1] : 0;
    if (steady && *last != -1 && *last != end)
        fail_msg("one scrape is seen by half");
    if (steady)
        *last = end;
}

static void read_once(struct stress *st, struct random *random)
{
    struct arena arena;
    struct error err;
    struct matcher m[2];
    struct series_list list;
    char group[8];
    bool steady = random_below(random, 2);
    int64_t last = -1;
    snprintf(group, sizeof group, "%d", (int)random_below(random, APPENDERS));
    arena_init(&arena, MEM_QUERY, 0);
    if (!matcher_init(&m[0], MATCH_EQUAL, VIEW(LABEL_NAME), steady ? VIEW("steady") : VIEW("short"),
                      &err) ||
        !matcher_init(&m[1], random_below(random, 2) ? MATCH_EQUAL : MATCH_REGEX, VIEW("g"),
                      view_from(group), &err))
        fail_msg("%s", err.message);
    struct select what = {m, 2, INT64_MIN, INT64_MAX, 0};
    struct label_store *store = label_store_new(MEM_QUERY, 0);
    struct head_view *view = head_pin(st->head, INT64_MIN);
    struct head_reader *reader = head_reader_new(view);
    if (!head_select(view, &what, store, &arena, &list, &err))
        fail_msg("%s", err.message);
    symbol_id name = label_store_add_symbol(store, VIEW("i"));
    for (size_t i = 0; i < list.count; i++) {
        struct samples s;
        char text[16];
        struct view v = label_store_text(store, label_store_get(store, list.items[i].labels, name));
        snprintf(text, sizeof text, "%.*s", VIEW_ARGS(v));
        if (!head_reader_read(reader, list.items[i].ref, INT64_MIN, INT64_MAX, NULL, &s, &err))
            fail_msg("%s", err.message);
        check_series(&s, steady, (int)strtol(text, NULL, 10), &last);
    }
    matcher_deinit(&m[0]);
    matcher_deinit(&m[1]);
    head_reader_free(reader);
    head_view_release(view);
    label_store_free(store);
    arena_deinit(&arena);
}

static void *read_run(void *arg)
{
    struct stress_thread *t = arg;
    struct random random;
    random_seed(&random, t->stress->seed + 100 + (uint64_t)t->number);
    while (atomic_load(&t->stress->running) > 0)
        read_once(t->stress, &random);
    return NULL;
}

static void *keeper_run(void *arg)
{
    struct stress_thread *t = arg;
    struct error err;
    struct db_stats stats = {0};
    unsigned rounds = 0;
    while (atomic_load(&t->stress->running) > 0) {
        int slowest = INT32_MAX;
        for (int i = 0; i < APPENDERS; i++) {
            int row = atomic_load(&t->stress->progress[i]);
            slowest = row < slowest ? row : slowest;
        }
        if (slowest > 300 &&
            !head_truncate(t->stress->head, T0 + (int64_t)(slowest - 300) * ROW_MS, &err))
            fail_msg("%s", err.message);
        bool all = ++rounds % 16 == 0;
        if (!(all ? head_store_all(t->stress->head, &err) : head_store(t->stress->head, &err)))
            fail_msg("%s", err.message);
        head_stats_get(t->stress->head, &stats);
    }
    return NULL;
}

static void start(struct stress_thread *t, struct stress *st, int number, void *(*run)(void *))
{
    struct error err;
    t->stress = st;
    t->number = number;
    assert_true(thread_start(&t->thread, "stress", run, t, &err));
}

static void writers_readers_and_keeper_do_not_disturb_each_other(void **state)
{
    const char *scale = getenv("TEST_SCALE");
    char dir[256];
    struct stress st = {.seed = (uint64_t)clock_mono().ns,
                        .rows = ROWS * (scale ? (int)strtol(scale, NULL, 10) : 1)};
    struct stress_thread appenders[APPENDERS], readers[READERS], keeper;
    struct db_options opts = {.wal_segment_bytes = 100000, .wal_sync_interval_ms = 50};
    fixture_dir(dir, sizeof dir);
    print_message("seed %" PRIu64 "\n", st.seed);
    st.head = fixture_open(dir, INT64_MIN, &opts);
    atomic_init(&st.running, APPENDERS);
    for (int i = 0; i < APPENDERS; i++)
        start(&appenders[i], &st, i, append_run);
    for (int i = 0; i < READERS; i++)
        start(&readers[i], &st, i, read_run);
    start(&keeper, &st, 0, keeper_run);
    for (int i = 0; i < APPENDERS; i++)
        thread_join(appenders[i].thread);
    for (int i = 0; i < READERS; i++)
        thread_join(readers[i].thread);
    thread_join(keeper.thread);
    head_flush(st.head);
    for (int round = 0; round < 2; round++) {
        int64_t t[2048];
        double v[2048];
        int64_t from = T0 + (int64_t)(st.rows - 250) * ROW_MS;
        assert_int_equal(
            fixture_read(st.head, "steady{g=\"1\",i=\"3\"}", from, INT64_MAX, t, v, 2048), 250);
        assert_true(v[249] == (st.rows - 1) * 100 + 3);
        fixture_close(st.head);
        st.head = fixture_open(dir, INT64_MIN, &opts);
    }
    fixture_close(st.head);
    fixture_dir_remove(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writers_readers_and_keeper_do_not_disturb_each_other),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
