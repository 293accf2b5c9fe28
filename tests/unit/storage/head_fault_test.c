/* SPDX-License-Identifier: Apache-2.0 */
/* head_fault_test.c: the environment fails at every place, and bytes on disk change at every place. What
 * was acknowledged stays; nothing wrong is ever read; a store always opens again. */
#include "head_fixture.h"

#include "base/buffer.h"
#include "base/thread.h"
#include "model/sample.h"

#include <errno.h>
#include <inttypes.h>
#include <sched.h>
#include <stdatomic.h>

#if defined(__SANITIZE_THREAD__)
#define WITH_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define WITH_TSAN 1
#endif
#endif
#ifndef WITH_TSAN
#define WITH_TSAN 0
#endif

/* With ThreadSanitizer, which is ten times slower and looks for something else, one place in STRIDE. */
enum { SERIES = 5, ROWS = 30, READ_MAX = 4096, STRIDE = WITH_TSAN ? 13 : 1 };

/* Cell (row, series) has one value that it may have, so that anything read can be checked. */
static double cell(int row, int series)
{
    switch (series) {
    case 0:
        return 7;
    case 1:
        return row * 3;
    case 2:
        return row / 8.0 + 0.1;
    case 3:
        return 1.0 / (row + 1);
    default:
        return row % 2 ? -0.0 : 1e300;
    }
}

static void labels_of(int series, char *out, size_t bytes)
{
    snprintf(out, bytes, "metric_%d{job=\"j\",instance=\"host %d\"}", series % 3, series);
}

/* Reads every series; each sample must be what its timestamp says. Returns how many cells of the
 * acknowledged rows (NULL = none) are missing. */
static int check_store(struct head *h, const bool *acknowledged, int rows)
{
    int missing = 0;
    int64_t t[READ_MAX];
    double v[READ_MAX];
    for (int i = 0; i < SERIES; i++) {
        char text[96];
        bool seen[ROWS * 4] = {false};
        labels_of(i, text, sizeof text);
        long count = fixture_read(h, text, INT64_MIN, INT64_MAX, t, v, READ_MAX);
        for (long k = 0; k < count; k++) {
            int64_t row = (t[k] - T0) / 1000;
            if (row < 0 || row >= rows || t[k] != T0 + row * 1000)
                fail_msg("a timestamp that was never written: %" PRId64, t[k]);
            if (sample_bits(v[k]) != sample_bits(cell((int)row, i)))
                fail_msg("row %" PRId64 " of series %d is %a", row, i, v[k]);
            seen[row] = true;
        }
        for (int row = 0; row < rows; row++)
            missing += acknowledged && acknowledged[row] && !seen[row];
    }
    return missing;
}

/* The cells of a row that are in `mask`. A patient one waits for ingest. False: nothing was acknowledged. */
static bool append_cells(struct group *g, int row, unsigned mask, unsigned flags, bool patient)
{
    struct appender a;
    struct error err;
    uint32_t slots[SERIES];
    for (int i = 0; i < SERIES; i++) {
        char text[96];
        labels_of(i, text, sizeof text);
        slots[i] = fixture_slot(g, text);
    }
    bool begun = appender_begin(&a, g, T0 + row * 1000, &err);
    while (!begun && patient && err.kind != ERROR_INPUT) {
        sched_yield(); /* ingest is stopped; the WAL thread tries again by itself */
        begun = appender_begin(&a, g, T0 + row * 1000, &err);
    }
    if (!begun)
        return false;
    for (int i = 0; i < SERIES; i++) {
        if (mask >> i & 1)
            appender_sample(&a, slots[i], cell(row, i));
    }
    bool ok = appender_commit(&a, flags, &err);
    if (!ok && err.kind != ERROR_IO && err.kind != ERROR_NO_SPACE && err.kind != ERROR_BUSY)
        fail_msg("%s", err.message);
    return ok;
}

/* Appends rows; acknowledged[row] = the commits waited and succeeded. Of some rows one cell comes later and fills the
 * row, and another when the row is packed already. */
static void append_rows(struct head *h, int from, int to, unsigned flags, bool *acknowledged,
                        bool patient)
{
    enum { ALL = (1 << SERIES) - 1, FILL = 1 << 3, LATE = 1 << 4 };
    struct group *g = fixture_group(h, "job j");
    for (int row = from; row < to; row++) {
        bool parted = row % 10 == 4;
        bool ok = append_cells(g, row, parted ? ALL & ~(FILL | LATE) : ALL, flags, patient);
        if (parted)
            ok = append_cells(g, row, FILL, flags, patient) && ok;
        if (acknowledged && (flags & APPENDER_WAIT))
            acknowledged[row] = ok;
    }
    for (int row = from; row < to; row++) {
        if (row % 10 != 4)
            continue;
        bool ok = append_cells(g, row, LATE, flags, patient);
        if (acknowledged && (flags & APPENDER_WAIT))
            acknowledged[row] = acknowledged[row] && ok;
    }
    group_close(g);
}

/* --- the n-th call fails --- */

struct fault {
    _Atomic int left;     /* calls until it fails; negative: not any more */
    _Atomic int failures; /* how many in a row from then on */
    int errno_value;
    int op; /* enum file_op, or -1 = any */
    size_t tear;
};

static int fault_hook(void *arg, enum file_op op, const char *path, size_t *bytes)
{
    struct fault *f = arg;
    (void)path;
    if (f->op >= 0 && (int)op != f->op)
        return 0;
    int left = atomic_fetch_sub(&f->left, 1);
    if (left > 0 || left <= -atomic_load(&f->failures))
        return 0;
    if (op == FILE_OP_WRITE && bytes && f->tear < *bytes)
        *bytes = f->tear;
    return f->errno_value;
}

/* One life under a fault: open, rows, sealed, a cut, rows, sealed, close; then a life without faults, where everything
 * acknowledged must be there. Returns whether the fault was reached. */
static bool one_faulty_life(const struct fault *fault, int64_t sync_ms)
{
    char dir[256];
    bool acknowledged[ROWS] = {false};
    struct error err;
    struct head *h;
    struct fault f = *fault;
    struct db_options opts = {.wal_sync_interval_ms = sync_ms, .wal_segment_bytes = 700};
    fixture_dir(dir, sizeof dir);
    h = fixture_open(dir, INT64_MIN, &opts);
    append_rows(h, 0, 10, APPENDER_WAIT, acknowledged, true);
    fixture_close(h);
    file_test_set_hook(fault_hook, &f);
    if (head_open(&h, dir, INT64_MIN, &opts, NULL, &err)) {
        append_rows(h, 10, 20, APPENDER_WAIT, acknowledged, true);
        bool stored = head_store_all(h, &err);
        (void)stored; /* else it stays in the WAL */
        if (head_truncate(h, T0 - 1000, &err))
            append_rows(h, 20, ROWS, APPENDER_WAIT, acknowledged, true);
        stored = head_store_all(h, &err);
        file_test_set_hook(NULL, NULL); /* a query may fail too: head_store_test.c */
        int missing = check_store(h, acknowledged, ROWS);
        file_test_set_hook(fault_hook, &f);
        if (missing > 0)
            fail_msg("%d acknowledged samples are not shown", missing);
        bool closed = head_close(h, &err);
        (void)closed; /* it may say that something could not be written */
    }
    bool reached = atomic_load(&f.left) < 0;
    file_test_set_hook(NULL, NULL);
    h = fixture_open(dir, INT64_MIN, &opts);
    int missing = check_store(h, acknowledged, ROWS);
    if (missing > 0)
        fail_msg("call %d (errno %d): %d acknowledged samples are lost", atomic_load(&fault->left),
                 fault->errno_value, missing);
    fixture_close(h);
    fixture_dir_remove(dir);
    return reached;
}

static void every_call_may_fail_once(void **state)
{
    (void)state;
    static const int ERRORS[] = {EIO, ENOSPC};
    for (size_t e = 0; e < ARRAY_COUNT(ERRORS); e++) {
        for (size_t tear = 0; tear < 40; tear += 33) {
            bool reached = true;
            for (int n = 0; reached && n < 2000; n += STRIDE) {
                struct fault f = {.errno_value = ERRORS[e], .op = -1, .tear = tear};
                atomic_init(&f.left, n);
                atomic_init(&f.failures, 1);
                reached = one_faulty_life(&f, DB_SYNC_EACH);
            }
            assert_false(reached);
        }
    }
}

static void a_failed_sync_is_not_taken_for_done(void **state)
{
    (void)state;
    bool reached = true;
    for (int n = 0; reached && n < 500; n += WITH_TSAN ? 5 : 1) {
        struct fault f = {.errno_value = EIO, .op = FILE_OP_SYNC};
        atomic_init(&f.left, n);
        atomic_init(&f.failures, 2);
        reached = one_faulty_life(&f, DB_SYNC_EACH);
    }
    assert_false(reached);
}

/* Space ends for a while: ingest says so, what was taken stays, and it goes on by itself. */
static void a_full_disk_stops_ingest_until_there_is_space(void **state)
{
    (void)state;
    char dir[256];
    struct error err = {0};
    struct db_stats stats = {0};
    bool acknowledged[ROWS * 4] = {false};
    struct fault f = {.errno_value = ENOSPC, .op = FILE_OP_WRITE, .tear = 11};
    atomic_init(&f.left, 0);
    atomic_init(&f.failures, 1 << 30);
    fixture_dir(dir, sizeof dir);
    struct head *h = fixture_open(dir, INT64_MIN, NULL);
    append_rows(h, 0, 10, APPENDER_WAIT, acknowledged, true);
    file_test_set_hook(fault_hook, &f);
    append_rows(h, 10, 12, APPENDER_WAIT, acknowledged, false);
    assert_false(acknowledged[10] || acknowledged[11]);
    struct group *g = fixture_group(h, "job j");
    struct appender a;
    assert_false(appender_begin(&a, g, T0 + 20000, &err));
    assert_int_equal(err.kind, ERROR_NO_SPACE);
    head_stats_get(h, &stats);
    assert_true(stats.ingest_stopped);
    assert_int_equal(check_store(h, acknowledged, ROWS), 0); /* reading goes on */
    file_test_set_hook(NULL, NULL);
    while (stats.ingest_stopped) /* the WAL thread tries again by itself */
        head_stats_get(h, &stats);
    group_close(g);
    append_rows(h, 12, 30, APPENDER_WAIT, acknowledged, true);
    assert_true(acknowledged[12] && acknowledged[29]);
    fixture_close(h);
    h = fixture_open(dir, INT64_MIN, NULL);
    assert_int_equal(check_store(h, acknowledged, ROWS), 0);
    fixture_close(h);
    fixture_dir_remove(dir);
}

/* --- a segment ends while rows come --- */

struct pause {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    bool wanted, reached, go_on;
};

static int pause_hook(void *arg, enum file_op op, const char *path, size_t *bytes)
{
    struct pause *p = arg;
    (void)bytes;
    if (op != FILE_OP_SYNC || !strstr(path, "/wal/"))
        return 0;
    mutex_lock(&p->mutex);
    if (p->wanted) {
        p->reached = true;
        cond_broadcast(&p->changed);
        while (!p->go_on)
            cond_wait(&p->changed, &p->mutex);
    }
    mutex_unlock(&p->mutex);
    return 0;
}

static void *cut_everything_before(void *arg)
{
    struct error err;
    assert_true(head_truncate(arg, T0 + 10500, &err));
    return NULL;
}

/* The cut ends a segment; while that is synced, a row comes that was encoded for it and is written to the
 * next one. The segment before is then needed although its own rows are all below the cut. */
static void rows_that_come_while_a_segment_ends_survive_it(void **state)
{
    (void)state;
    char dir[256];
    struct error err;
    struct pause p = {.wanted = true};
    struct db_options opts = {.wal_sync_interval_ms = 3600 * 1000};
    int64_t t[64];
    double v[64];
    pthread_t thread;
    mutex_init(&p.mutex);
    cond_init(&p.changed);
    fixture_dir(dir, sizeof dir);
    struct head *h = fixture_open(dir, INT64_MIN, &opts);
    struct group *g = fixture_group(h, "a");
    for (int i = 0; i <= 10; i++)
        assert_true(fixture_append(g, "x", T0 + i * 1000, i, APPENDER_WAIT, &err));
    file_test_set_hook(pause_hook, &p);
    assert_true(thread_start(&thread, "cut", cut_everything_before, h, &err));
    mutex_lock(&p.mutex);
    while (!p.reached)
        cond_wait(&p.changed, &p.mutex);
    mutex_unlock(&p.mutex);
    for (int i = 11; i < 14; i++)
        assert_true(fixture_append(g, "x", T0 + i * 1000, i, 0, &err));
    mutex_lock(&p.mutex);
    p.wanted = false;
    p.go_on = true;
    cond_broadcast(&p.changed);
    mutex_unlock(&p.mutex);
    thread_join(thread);
    file_test_set_hook(NULL, NULL);
    group_close(g);
    fixture_close(h);
    h = fixture_open(dir, T0 + 10500, &opts);
    assert_int_equal(fixture_read(h, "x", INT64_MIN, INT64_MAX, t, v, 64), 3);
    assert_true(t[0] == T0 + 11000 && v[0] == 11 && v[2] == 13);
    fixture_close(h);
    fixture_dir_remove(dir);
    cond_deinit(&p.changed);
    mutex_deinit(&p.mutex);
}

/* --- changed bytes --- */

static void copy_file(const char *from, const char *to, size_t cut, size_t flip, int bit)
{
    struct buffer b;
    struct error err;
    struct file *f;
    buffer_init(&b, MEM_OTHER, 1 << 26);
    if (!file_read_all(from, &b, &err))
        fail_msg("%s", err.message);
    if (cut < b.len)
        b.len = cut;
    if (flip < b.len)
        b.ptr[flip] ^= (char)(1 << bit);
    if (!file_remove(to, &err) || !file_create(&f, to, &err) ||
        !file_write_all(f, buffer_view(&b), &err) || !file_close(f, &err))
        fail_msg("%s", err.message);
    buffer_deinit(&b);
}

struct store {
    char dir[256];
    char names[8][64]; /* below head/ */
    uint64_t bytes[8];
    size_t count;
};

static bool add_segment(void *arg, const char *name, bool is_dir)
{
    struct store *s = arg;
    (void)is_dir;
    snprintf(s->names[s->count++], sizeof s->names[0], "wal/%s", name);
    return true;
}

static bool add_extents(void *arg, const char *name, bool is_dir)
{
    struct store *s = arg;
    (void)is_dir;
    snprintf(s->names[s->count++], sizeof s->names[0], "extents/%s", name);
    return true;
}

static bool is_extents(const struct store *s, size_t file)
{
    return strncmp(s->names[file], "extents/", 8) == 0;
}

/* Cells of the first life that came late; those that were not settled into their row when it was sealed stand in
 * the WAL alone, which keeps them. */
enum { LATE_CELLS = 4 };

/* Two lives of 15 rows. The rows of the first are sealed, and in the WAL too. */
static void store_make(struct store *s)
{
    struct error err;
    char path[512];
    *s = (struct store){.count = 1};
    snprintf(s->names[0], sizeof s->names[0], "series.log");
    fixture_dir(s->dir, sizeof s->dir);
    for (int life = 0; life < 2; life++) {
        struct head *h = fixture_open(s->dir, INT64_MIN, NULL);
        append_rows(h, life * 15, life * 15 + 15, 0, NULL, true);
        head_flush(h);
        if (life == 0)
            assert_true(head_store_all(h, &err));
        fixture_close(h);
    }
    snprintf(path, sizeof path, "%s/head/wal", s->dir);
    assert_true(dir_list(path, add_segment, s, &err));
    snprintf(path, sizeof path, "%s/head/extents", s->dir);
    assert_true(dir_list(path, add_extents, s, &err));
    for (size_t i = 0; i < s->count; i++) {
        struct file *f;
        snprintf(path, sizeof path, "%s/head/%s", s->dir, s->names[i]);
        assert_true(file_open_read(&f, path, &err));
        assert_true(file_size(f, &s->bytes[i], &err));
        file_discard(f);
    }
}

/* A change of one file: cut at a byte, or a bit of it flipped; and a file that is missing altogether. */
struct change {
    size_t file, cut, flip, missing;
};

static void copy_changed(const struct store *s, const char *dir, const struct change *c)
{
    char from[512], to[512];
    struct error err;
    static const char *const FOLDERS[] = {"quarantine", "head/wal", "head/extents"};
    for (size_t i = 0; i < ARRAY_COUNT(FOLDERS); i++) {
        snprintf(to, sizeof to, "%s/%s", dir, FOLDERS[i]);
        assert_true(dir_remove(to, &err) && (i == 0 || dir_create(to, &err)));
    }
    for (size_t i = 0; i < s->count; i++) {
        snprintf(from, sizeof from, "%s/head/%s", s->dir, s->names[i]);
        snprintf(to, sizeof to, "%s/head/%s", dir, s->names[i]);
        if (i != c->missing)
            copy_file(from, to, i == c->file ? c->cut : SIZE_MAX, i == c->file ? c->flip : SIZE_MAX,
                      (int)(c->flip % 8));
    }
}

/* Without threads that help to read: these are opened thousands of times. */
static struct head *open_alone(const char *dir)
{
    static const struct db_options opts = {.wal_sync_interval_ms = DB_SYNC_OFF};
    struct head *h;
    struct error err;
    if (!head_open(&h, dir, INT64_MIN, &opts, NULL, &err))
        fail_msg("%s", err.message);
    return h;
}

/* A changed copy opens, shows nothing wrong, and takes new rows that survive; what it showed stays when it is
 * sealed. */
static void open_changed(const struct store *s, const char *dir, const struct change *c,
                         int loss_max)
{
    struct error err;
    bool all[ROWS + 1] = {false};
    memset(all, 1, ROWS);
    copy_changed(s, dir, c);
    struct head *h = open_alone(dir);
    int missing = check_store(h, all, ROWS);
    if (missing > loss_max)
        fail_msg("%s cut %zu flip %zu: %d samples lost", s->names[c->file], c->cut, c->flip,
                 missing);
    bool new_row[ROWS + 1] = {false};
    append_rows(h, ROWS, ROWS + 1, APPENDER_WAIT, new_row, true);
    assert_true(new_row[ROWS]);
    if (!head_store_all(h, &err))
        fail_msg("%s", err.message);
    assert_int_equal(check_store(h, all, ROWS + 1), missing);
    fixture_close(h);
    h = open_alone(dir);
    assert_int_equal(check_store(h, new_row, ROWS + 1), 0);
    assert_int_equal(check_store(h, all, ROWS + 1), missing);
    fixture_close(h);
}

/* Every byte of every file flipped, and every file cut at every byte. */
static void damage_is_never_read(void **state)
{
    (void)state;
    struct store s;
    char dir[256];
    store_make(&s);
    fixture_dir(dir, sizeof dir);
    for (size_t file = 0; file < s.count; file++) {
        /* Sealed rows are in the WAL too; a segment has 15 rows; without the log all are lost. */
        bool once = strcmp(s.names[file], "wal/2") == 0, late = strcmp(s.names[file], "wal/1") == 0;
        int loss_max = file == 0 ? SERIES * ROWS : once ? SERIES * 15 : late ? LATE_CELLS : 0;
        for (size_t at = 0; at < s.bytes[file]; at += STRIDE) {
            open_changed(&s, dir, &(struct change){file, SIZE_MAX, at, SIZE_MAX}, loss_max);
            open_changed(&s, dir, &(struct change){file, at, SIZE_MAX, SIZE_MAX}, loss_max);
        }
    }
    fixture_dir_remove(dir);
    fixture_dir_remove(s.dir);
}

/* The same with extents that no WAL covers. */
static void damage_of_sealed_rows_is_never_read(void **state)
{
    (void)state;
    struct store s;
    char dir[256];
    size_t first = 0;
    store_make(&s);
    fixture_dir(dir, sizeof dir);
    while (strcmp(s.names[first], "wal/1") != 0)
        first++;
    for (size_t file = 0; file < s.count; file++) {
        for (size_t at = 0; is_extents(&s, file) && at < s.bytes[file]; at += STRIDE) {
            open_changed(&s, dir, &(struct change){file, SIZE_MAX, at, first}, SERIES * 15);
            open_changed(&s, dir, &(struct change){file, at, SIZE_MAX, first}, SERIES * 15);
        }
    }
    fixture_dir_remove(dir);
    fixture_dir_remove(s.dir);
}

/* A missing segment or extent file costs the rows that only it has. */
static void a_missing_file_costs_its_rows(void **state)
{
    (void)state;
    static const char *const NAMES[] = {"wal/1", "extents/1", "wal/2"};
    for (size_t n = 0; n < ARRAY_COUNT(NAMES); n++) {
        struct store s;
        struct error err;
        char path[512];
        bool all[ROWS];
        memset(all, 1, sizeof all);
        store_make(&s);
        snprintf(path, sizeof path, "%s/head/%s", s.dir, NAMES[n]);
        assert_true(file_exists(path));
        assert_true(file_remove(path, &err));
        struct head *h = fixture_open(s.dir, INT64_MIN, NULL);
        int missing = check_store(h, all, ROWS);
        if (n == 0)
            assert_in_range(missing, 0, LATE_CELLS);
        else
            assert_int_equal(missing, n == 2 ? SERIES * 15 : 0);
        fixture_close(h);
        fixture_dir_remove(s.dir);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_full_disk_stops_ingest_until_there_is_space),
        cmocka_unit_test(rows_that_come_while_a_segment_ends_survive_it),
        cmocka_unit_test(a_missing_file_costs_its_rows),
        cmocka_unit_test(a_failed_sync_is_not_taken_for_done),
        cmocka_unit_test(every_call_may_fail_once),
        cmocka_unit_test(damage_is_never_read),
        cmocka_unit_test(damage_of_sealed_rows_is_never_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
