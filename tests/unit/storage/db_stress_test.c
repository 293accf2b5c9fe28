/* SPDX-License-Identifier: Apache-2.0 */
/* db_stress_test.c: appends, queries, deletions, snapshots, cuts and merges at once; built with ThreadSanitizer this
 * shows races, and in every build it checks what a query may see: what was written before it began and is not deleted,
 * never a value that was not written, nothing that was deleted before it began. Snapshots are opened and checked alike. */
#include "db_fixture.h"

#include <stdatomic.h>

enum { WRITERS = 2, QUERIES = 2, OWN = 4, ROWS = 4000, ROW_MS = 10 * 1000, ROWS_EACH_LOOK = 200 };
enum {
    DELETED = 3,
    DELETE_ROWS = 20,
    DELETIONS_MAX = 4096
}; /* only of series number DELETED of each writer */

struct stress {
    struct db *db;
    int64_t rows; /* each writer writes as many */
    uint64_t seed;
    atomic_uint writing;
    _Atomic int64_t written[WRITERS]; /* rows below were acknowledged */
    /* Deletions, one after the other: those below `deleted` are in force, those below `begun` may be. */
    int64_t deletions[DELETIONS_MAX]; /* the first row */
    atomic_uint begun, deleted;
    _Atomic int64_t tended;
    atomic_uint looks, snapshots, merges_given_up;
};
struct stress_thread {
    struct stress *stress;
    int number;
    pthread_t thread;
};

static double value_of(int writer, int series, int64_t row)
{
    return (double)(row * 16 + writer * 8 + series);
}

static bool goes_on(struct stress *st)
{
    return atomic_load(&st->writing) > 0;
}

static struct group *writer_group(struct db *db, int writer, uint32_t slots[OWN])
{
    struct error err;
    struct arena arena;
    struct group *group;
    arena_init(&arena, MEM_OTHER, 0);
    assert_ok(db_group_open(db, arena_printf(&arena, "writer %d", writer), &group, &err));
    for (int i = 0; i < OWN; i++) {
        struct labels_builder b;
        labels_builder_init(&b, &arena);
        labels_builder_set(&b, VIEW(LABEL_NAME), arena_printf(&arena, "m%d", i));
        labels_builder_set(&b, VIEW("w"), arena_printf(&arena, "%d", writer));
        assert_ok(group_slot(group, labels_builder_finish(&b), &slots[i], &err));
    }
    arena_deinit(&arena);
    return group;
}

static void *write_run(void *arg)
{
    struct stress_thread *t = arg;
    struct stress *st = t->stress;
    struct error err;
    uint32_t slots[OWN];
    struct group *group = writer_group(st->db, t->number, slots);
    for (int64_t row = 0; row < st->rows; row++) {
        struct appender a = {0};
        assert_ok(appender_begin(&a, group, START + row * ROW_MS, &err));
        for (int i = 0; i < OWN; i++)
            appender_sample(&a, slots[i], value_of(t->number, i, row));
        int64_t tended = atomic_load(&st->tended);
        while (row % ROWS_EACH_LOOK == 0 && atomic_load(&st->tended) < tended + 2)
            usleep(200); /* so that every run has its cuts, also where the disk is slow */
        bool wait = row % 16 == 15 || row + 1 == st->rows;
        assert_ok(appender_commit(&a, wait ? APPENDER_WAIT : 0, &err));
        if (wait)
            atomic_store(&st->written[t->number], row + 1);
    }
    group_close(group);
    atomic_fetch_sub(&st->writing, 1);
    return NULL;
}

/* --- a look ----------------------------------------------------------------------------------------------- */

/* What had happened when a look began. */
struct moment {
    int64_t written[WRITERS];
    unsigned deleted;
};

static struct moment moment_now(struct stress *st)
{
    struct moment m = {.deleted = atomic_load(&st->deleted)};
    for (int w = 0; w < WRITERS; w++)
        m.written[w] = atomic_load(&st->written[w]);
    return m;
}

/* Does one of the deletions [from, to) take the row? */
static bool is_deleted(const struct stress *st, int series, int64_t row, unsigned from, unsigned to)
{
    for (unsigned i = from; series == DELETED && i < to; i++)
        if (row >= st->deletions[i] && row < st->deletions[i] + DELETE_ROWS)
            return true;
    return false;
}

static void check_samples(const struct stress *st, const struct moment *m, unsigned begun,
                          int writer, int series, const struct samples *s)
{
    int64_t next = 0; /* the first row that was not judged */
    for (size_t i = 0; i <= s->count; i++) {
        bool end = i == s->count;
        int64_t row = end ? m->written[writer] : (s->times[i] - START) / ROW_MS;
        if (!end && (s->times[i] != START + row * ROW_MS || row < next ||
                     s->values[i] != value_of(writer, series, row)))
            fail_msg("writer %d, series %d: %g at row %" PRId64 " behind row %" PRId64, writer,
                     series, s->values[i], row, next - 1);
        if (!end && is_deleted(st, series, row, 0, m->deleted))
            fail_msg("writer %d: row %" PRId64 " is there, and was deleted", writer, row);
        for (; next < row; next++)
            if (next < m->written[writer] && !is_deleted(st, series, next, 0, begun))
                fail_msg("writer %d, series %d: row %" PRId64 " is missing", writer, series, next);
        next = end ? next : row + 1;
    }
}

static int digit_of(struct labels ls, struct view name, size_t at)
{
    struct view v = labels_get(ls, name);
    return v.len == at + 1 ? v.ptr[at] - '0' : -1;
}

/* A view of `db` that was pinned after the moment. */
static void look(struct stress *st, struct db *db, const struct moment *m)
{
    struct error err;
    struct arena arena;
    struct series_list list;
    const struct select what = {.mint = INT64_MIN, .maxt = INT64_MAX};
    bool found[WRITERS][OWN] = {{false}};
    arena_init(&arena, MEM_QUERY, 0);
    struct label_store *store = label_store_new(MEM_QUERY, 0);
    struct storage_view *view = source_pin(db_as_source(db), INT64_MIN, INT64_MAX, &err);
    assert_non_null(view);
    unsigned begun = atomic_load(&st->begun); /* later ones do not touch this view */
    struct storage_reader *reader = view_reader_new(view, NULL, &err);
    assert_ok(view_select(view, &what, store, &arena, &list, &err));
    for (size_t i = 0; i < list.count; i++) {
        struct samples s;
        struct labels ls = label_store_labels(store, list.items[i].labels, &arena);
        int writer = digit_of(ls, VIEW("w"), 0), series = digit_of(ls, VIEW(LABEL_NAME), 1);
        assert_in_range(writer, 0, WRITERS - 1);
        assert_in_range(series, 0, OWN - 1);
        assert_false(found[writer][series]);
        found[writer][series] = true;
        assert_ok(reader_read(reader, list.items[i].ref, INT64_MIN, INT64_MAX, &s, &err));
        check_samples(st, m, begun, writer, series, &s);
    }
    for (int w = 0; w < WRITERS; w++)
        for (int i = 0; i < OWN; i++)
            if (!found[w][i])
                check_samples(st, m, begun, w, i, &(struct samples){0});
    assert_int_equal(reader->lost_count, 0);
    storage_reader_free(reader);
    view_release(view);
    label_store_free(store);
    arena_deinit(&arena);
    atomic_fetch_add(&st->looks, 1);
}

static void *query_run(void *arg)
{
    struct stress_thread *t = arg;
    while (goes_on(t->stress)) {
        struct moment m = moment_now(t->stress);
        look(t->stress, t->stress->db, &m);
    }
    return NULL;
}

/* --- what goes on beside ---------------------------------------------------------------------------------- */

static void *delete_run(void *arg)
{
    struct stress_thread *t = arg;
    struct stress *st = t->stress;
    struct error err;
    struct matcher m;
    struct random random;
    random_seed(&random, st->seed);
    assert_ok(matcher_init(&m, MATCH_EQUAL, VIEW(LABEL_NAME), VIEW("m3"), &err));
    const struct db_selector set = {&m, 1};
    for (unsigned n = 0; goes_on(st) && n < DELETIONS_MAX; n++) {
        int64_t end = atomic_load(&st->written[0]), other = atomic_load(&st->written[1]);
        end = end < other ? end : other;
        if (end > DELETE_ROWS) { /* only what is written: later samples are not deleted */
            int64_t first = (int64_t)random_below(&random, (uint64_t)(end - DELETE_ROWS));
            unsigned at = atomic_load(&st->begun);
            st->deletions[at] = first;
            atomic_store(&st->begun, at + 1);
            assert_ok(db_delete(st->db, &set, 1, START + first * ROW_MS,
                                START + (first + DELETE_ROWS - 1) * ROW_MS, &err));
            atomic_store(&st->deleted, at + 1);
        }
        if (n % 8 == 7)
            assert_ok(db_clean_tombstones(st->db, &err));
        usleep(5000);
    }
    matcher_deinit(&m);
    return NULL;
}

static void *snapshot_run(void *arg)
{
    struct stress_thread *t = arg;
    struct stress *st = t->stress;
    struct error err;
    while (goes_on(st)) {
        char name[DB_SNAPSHOT_NAME_BYTES], dir[PATH_BYTES];
        struct db *copy;
        const struct db_options opts = {.retention_ms = -1, .maintain_when_asked = true};
        struct moment m = moment_now(st);
        assert_ok(db_snapshot(st->db, false, name, &err));
        (void)snprintf(dir, sizeof dir, "%s/snapshots/%s", folder(), name);
        assert_ok(db_open(&copy, dir, &opts, NULL, &err));
        look(st, copy, &m);
        assert_ok(db_close(copy, &err));
        assert_ok(dir_remove(dir, &err));
        atomic_fetch_add(&st->snapshots, 1);
    }
    return NULL;
}

static void *tend_run(void *arg)
{
    struct stress_thread *t = arg;
    struct stress *st = t->stress;
    struct error err;
    while (goes_on(st)) {
        assert_ok(db_maintain(st->db, &err));
        if (!db_compact(st->db, &err)) {
            assert_int_equal(err.kind, ERROR_CANCELED); /* a deletion came between */
            atomic_fetch_add(&st->merges_given_up, 1);
        }
        atomic_fetch_add(&st->tended, 1);
    }
    return NULL;
}

/* Blocks of ten minutes (60 rows), so that there is much to cut and merge. */
static struct db *stress_open(void)
{
    struct error err;
    struct db *db;
    const struct db_options opts = {.block_range_ms = 10 * MINUTE,
                                    .retention_ms = -1,
                                    .block_ms_max = 4 * HOUR,
                                    .wal_segment_bytes = 64 << 10,
                                    .maintain_when_asked = true};
    assert_ok(db_open(&db, folder(), &opts, NULL, &err));
    return db;
}

static void nothing_disturbs_anything_else(void **state)
{
    static struct stress st;
    static void *(*const RUNS[])(void *) = {write_run,  write_run,    query_run, query_run,
                                            delete_run, snapshot_run, tend_run};
    struct stress_thread threads[ARRAY_COUNT(RUNS)];
    struct error err;
    st.seed = (uint64_t)clock_mono().ns;
    st.rows = (int64_t)ROWS * (int64_t)scale();
    st.db = stress_open();
    atomic_init(&st.writing, WRITERS);
    for (size_t i = 0; i < ARRAY_COUNT(RUNS); i++) {
        threads[i] = (struct stress_thread){.stress = &st, .number = (int)i};
        assert_ok(thread_start(&threads[i].thread, "stress", RUNS[i], &threads[i], &err));
    }
    for (size_t i = 0; i < ARRAY_COUNT(RUNS); i++)
        thread_join(threads[i].thread);
    print_message("seed %" PRIu64 ": %u looks, %u deletions, %u snapshots, %" PRIu64
                  " blocks cut, %" PRIu64 " merges, %u given up\n",
                  st.seed, st.looks, st.deleted, st.snapshots, stats_of(st.db).blocks_cut,
                  stats_of(st.db).compactions, st.merges_given_up);
    for (int round = 0; round < 2; round++) {
        struct moment m = moment_now(&st);
        assert_int_equal(m.written[0], st.rows);
        look(&st, st.db, &m);
        close_db(st.db);
        st.db = stress_open();
    }
    close_db(st.db);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(nothing_disturbs_anything_else, folder_make, folder_remove),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
