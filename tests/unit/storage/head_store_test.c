/* SPDX-License-Identifier: Apache-2.0 */
/* head_store_test.c: rows are sealed when they are due, sealed rows leave the WAL when they are safe and not
 * before, and what is in files reads like what is in memory. */
#include "head_fixture.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdatomic.h>

enum { READ_MAX = 4096 };

struct fixture {
    char dir[256];
    struct head *head;
    int64_t t[READ_MAX];
    double v[READ_MAX];
};

static const struct db_options SMALL = {.wal_segment_bytes = 2000, .wal_sync_interval_ms = -2};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    fixture_dir(f->dir, sizeof f->dir);
    f->head = fixture_open(f->dir, INT64_MIN, &SMALL);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    fixture_close(f->head);
    fixture_dir_remove(f->dir);
    free(f);
    return 0;
}

static void reopen(struct fixture *f)
{
    fixture_close(f->head);
    f->head = fixture_open(f->dir, INT64_MIN, &SMALL);
}

static struct db_stats stats_of(struct fixture *f)
{
    struct db_stats stats = {0};
    head_stats_get(f->head, &stats);
    return stats;
}

static void store(struct fixture *f, bool all)
{
    struct error err;
    head_flush(f->head);
    if (!(all ? head_store_all(f->head, &err) : head_store(f->head, &err)))
        fail_msg("%s", err.message);
}

static void append(struct group *g, const char *labels, int from, int to)
{
    struct error err;
    for (int i = from; i < to; i++) {
        if (!fixture_append(g, labels, T0 + i * 1000, i * 3 + 0.5, APPENDER_WAIT, &err))
            fail_msg("%s", err.message);
    }
}

/* All rows from 0 on, each with its value. */
static void expect_rows(struct fixture *f, const char *labels, int rows)
{
    long count = fixture_read(f->head, labels, INT64_MIN, INT64_MAX, f->t, f->v, READ_MAX);
    assert_int_equal(count, rows);
    for (int i = 0; i < rows; i++)
        assert_true(f->t[i] == T0 + i * 1000 && f->v[i] == i * 3 + 0.5);
}

/* Segments go as rows are sealed and written; the rows stay, also over restarts. */
static void the_wal_holds_what_is_not_sealed(void **state)
{
    struct fixture *f = *state;
    struct group *a = fixture_group(f->head, "a"), *b = fixture_group(f->head, "b");
    int rows = 0;
    for (int life = 0; life < 3; life++) {
        for (int i = 0; i < 8; i++, rows += 40) {
            append(a, "x", rows, rows + 40);
            append(b, "y{i=\"1\"}", rows, rows + 40);
            store(f, i % 3 == 0);
            assert_in_range(stats_of(f).wal_disk_bytes, 0,
                            6 * 2000); /* 4 segments, and what is open */
        }
        expect_rows(f, "x", rows);
        expect_rows(f, "y{i=\"1\"}", rows);
        assert_true(stats_of(f).extent_files > 0);
        group_close(a);
        group_close(b);
        reopen(f);
        expect_rows(f, "x", rows);
        expect_rows(f, "y{i=\"1\"}", rows);
        a = fixture_group(f->head, "a");
        b = fixture_group(f->head, "b");
    }
    group_close(a);
    group_close(b);
}

/* A group that stops keeps its segment until its rows are 20 minutes old, and no longer; not while its user is
 * in a row. */
static void old_rows_are_sealed_without_their_user(void **state)
{
    struct fixture *f = *state;
    struct error err;
    struct appender a;
    clock_test_freeze((wall_time){T0 + 10000000}, clock_mono());
    struct group *g = fixture_group(f->head, "a");
    append(g, "x", 0, 3);
    store(f, false);
    assert_int_equal(stats_of(f).head_chunks, 0);
    clock_test_advance_ms(20 * 60 * 1000 - 1);
    store(f, false);
    assert_int_equal(stats_of(f).head_chunks, 0);
    clock_test_advance_ms(1);
    uint32_t slot = fixture_slot(g, "x");
    assert_true(appender_begin(&a, g, T0 + 3000, &err));
    store(f, false);
    assert_int_equal(stats_of(f).head_chunks, 0);
    appender_sample(&a, slot, 9.5);
    assert_true(appender_commit(&a, APPENDER_WAIT, &err));
    store(f, false);
    assert_int_equal(stats_of(f).head_chunks, 1);
    append(g, "x", 4, 5);
    expect_rows(f, "x", 5);
    group_close(g);
    clock_test_unfreeze();
    reopen(f);
    expect_rows(f, "x", 5);
}

struct fault {
    enum file_op op;
    int error;
    atomic_int hits;
};

static int fault_hook(void *arg, enum file_op op, const char *path, size_t *bytes)
{
    struct fault *f = arg;
    (void)bytes;
    if (op != f->op || !strstr(path, "/extents"))
        return 0;
    atomic_fetch_add(&f->hits, 1);
    return f->error;
}

/* While extents cannot be written (or synced) the WAL keeps everything, and a restart finds it there. */
static void what_cannot_be_written_stays_in_the_wal(void **state)
{
    struct fixture *f = *state;
    static const enum file_op OPS[] = {FILE_OP_OPEN, FILE_OP_WRITE, FILE_OP_SYNC, FILE_OP_DIR_SYNC};
    int rows = 0;
    for (size_t i = 0; i < ARRAY_COUNT(OPS); i++) {
        struct error err;
        struct fault fault = {OPS[i], i % 2 ? EIO : ENOSPC, 0};
        struct group *g = fixture_group(f->head, "a");
        append(g, "x", rows, rows + 100);
        rows += 100;
        uint64_t wal = stats_of(f).wal_disk_bytes;
        file_test_set_hook(fault_hook, &fault);
        assert_false(head_store_all(f->head, &err));
        assert_false(head_store_all(f->head, &err));
        file_test_set_hook(NULL, NULL);
        assert_true(atomic_load(&fault.hits) >= 2 && stats_of(f).extent_failures >= 2);
        assert_true(strstr(err.message, "/extents") != NULL);
        assert_true(stats_of(f).wal_disk_bytes >= wal);
        expect_rows(f, "x", rows);
        group_close(g);
        reopen(f);
        expect_rows(f, "x", rows);
        store(f, true);
        assert_true(stats_of(f).wal_disk_bytes < wal);
        reopen(f);
        expect_rows(f, "x", rows);
    }
}

struct reading {
    uint64_t lost;
    bool ok, is_news;
    struct error err, first;
    size_t count;
};

static struct reading read_x(struct fixture *f)
{
    struct reading got = {0};
    struct head_view *view = head_pin(f->head, INT64_MIN);
    struct head_reader *r = head_reader_new(view);
    struct samples s;
    got.ok = head_reader_read(r, 0, INT64_MIN, INT64_MAX, NULL, &s, &got.err);
    got.count = got.ok ? s.count : 0;
    got.lost = head_reader_lost(r, &got.first, &got.is_news);
    head_reader_free(r);
    head_view_release(view);
    return got;
}

static void change_extents(struct fixture *f, size_t cut)
{
    char path[512];
    struct buffer b;
    struct error err;
    struct file *file;
    snprintf(path, sizeof path, "%s/head/extents/1", f->dir);
    buffer_init(&b, MEM_OTHER, 1 << 20);
    assert_true(file_read_all(path, &b, &err));
    b.ptr[b.len - 1] ^= 1;
    assert_true(file_open_append(&file, path, &err) && file_truncate(file, 0, &err) &&
                file_write_all(file, view_slice(buffer_view(&b), 0, b.len - cut), &err));
    file_discard(file);
    buffer_deinit(&b);
}

/* Damage under a running process costs the rows of that place, is said, and told once; an I/O error fails the
 * query. */
static void a_reader_says_what_is_damaged(void **state)
{
    struct fixture *f = *state;
    struct group *g = fixture_group(f->head, "a");
    struct fault fault = {FILE_OP_READ, EIO, 0};
    append(g, "x", 0, 30);
    store(f, true);
    append(g, "x", 30, 60);
    store(f, true);
    append(g, "x", 60, 70);
    file_test_set_hook(fault_hook, &fault);
    struct reading got = read_x(f);
    file_test_set_hook(NULL, NULL);
    assert_true(!got.ok && got.err.kind == ERROR_IO);
    for (size_t cut = 0; cut < 2; cut++) {
        change_extents(f, cut);
        got = read_x(f);
        assert_true(got.ok && got.lost == 1 && got.first.kind == ERROR_CORRUPT);
        assert_true(strstr(got.first.message, "head/extents/1") != NULL);
        assert_int_equal(got.is_news, cut == 0);
        assert_int_equal(got.count, 40);
    }
    group_close(g);
}

/* The group's last row is known after a restart although the WAL has it no more: what ended gets its marker. */
static void a_series_that_ends_over_a_restart_gets_its_marker(void **state)
{
    struct fixture *f = *state;
    struct error err;
    struct appender a;
    struct group *g = fixture_group(f->head, "a"), *other = fixture_group(f->head, "b");
    uint32_t x = fixture_slot(g, "x"), y = fixture_slot(g, "y");
    for (int i = 0; i < 10; i++) {
        assert_true(appender_begin(&a, g, T0 + i * 1000, &err));
        appender_sample(&a, x, i);
        appender_sample(&a, y, i);
        assert_true(appender_commit(&a, APPENDER_WAIT, &err));
    }
    for (int i = 0; i < 400; i += 100) { /* segments come and go */
        append(other, "z", i, i + 100);
        store(f, true);
    }
    group_close(g);
    group_close(other);
    reopen(f);
    g = fixture_group(f->head, "a");
    assert_true(appender_begin(&a, g, T0 + 10000, &err));
    appender_sample(&a, fixture_slot(g, "x"), 10);
    assert_true(appender_commit(&a, APPENDER_WAIT | APPENDER_STALE_MISSING, &err));
    assert_int_equal(fixture_read(f->head, "x", INT64_MIN, INT64_MAX, f->t, f->v, READ_MAX), 11);
    assert_int_equal(fixture_read(f->head, "y", INT64_MIN, INT64_MAX, f->t, f->v, READ_MAX), 11);
    assert_true(isnan(f->v[10]));
    group_close(g);
    reopen(f);
    assert_int_equal(fixture_read(f->head, "y", INT64_MIN, INT64_MAX, f->t, f->v, READ_MAX), 11);
}

/* A view keeps reading extents whose file the cut has removed. */
static void a_view_outlives_the_files(void **state)
{
    struct fixture *f = *state;
    struct error err;
    struct samples s;
    struct group *g = fixture_group(f->head, "a");
    append(g, "x", 0, 64);
    store(f, true);
    struct head_view *view = head_pin(f->head, INT64_MIN);
    struct head_reader *r = head_reader_new(view);
    assert_true(head_reader_read(r, 0, T0, T0, NULL, &s, &err)); /* the group is pinned */
    append(g, "x", 64, 65);
    assert_true(head_truncate(f->head, T0 + 64000, &err));
    assert_int_equal(stats_of(f).extent_files, 0);
    assert_true(head_reader_read(r, 0, T0, INT64_MAX, NULL, &s, &err));
    assert_int_equal(s.count, 64);
    assert_true(s.values[63] == 63 * 3 + 0.5);
    head_reader_free(r);
    head_view_release(view);
    group_close(g);
}

int main(void)
{
#define STORE_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        STORE_TEST(the_wal_holds_what_is_not_sealed),
        STORE_TEST(old_rows_are_sealed_without_their_user),
        STORE_TEST(what_cannot_be_written_stays_in_the_wal),
        STORE_TEST(a_reader_says_what_is_damaged),
        STORE_TEST(a_series_that_ends_over_a_restart_gets_its_marker),
        STORE_TEST(a_view_outlives_the_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
