/* SPDX-License-Identifier: Apache-2.0 */
/* db_crash.c: a store is written, cut into blocks, tended, closed and opened again by a child process, and at the n-th
 * operation on a file something happens: the child is killed (kill: before the operation, or with a write torn in the
 * middle), or the operation fails (fault: EIO or ENOSPC, once or for a while) and the child goes on as well as it can.
 * Then the store is opened and read:
 *
 *   1. it opens
 *   2. every row that was acknowledged is there, whole
 *   3. nothing is there that was never written, and nothing twice
 *   4. what was deleted stays deleted, when the deletion was acknowledged
 *   5. it takes new rows
 *
 * What was attempted and acknowledged stands in memory that child and parent share, so it survives the child.
 * Points: 30 kills and 300 faults, times TEST_SCALE; the seed is printed (TEST_SEED repeats it). */
#include "base/clock.h"
#include "base/file.h"
#include "base/floattext.h"
#include "base/random.h"
#include "storage/appender.h"
#include "storage/db.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { GROUPS = 3, SERIES = 4, ROWS = 160, KILLS = 30, FAULTS = 300 };
enum { STEP_MS = 1000, BLOCK_MS = 20 * 1000 };
/* Every so many rows, a stretch of rows well in the past is deleted from one series of every group. */
enum { DELETE_EVERY = 40, DELETE_FROM = 38, DELETE_ROWS = 4, DELETE_SERIES = 3 };
#define T0 INT64_C(1700000000000)

enum row_state { ROW_NONE, ROW_ATTEMPTED, ROW_ACKNOWLEDGED };

struct oracle {
    _Atomic bool deletion[ROWS / DELETE_EVERY + 1]; /* was asked for: rows may be there or not */
    _Atomic bool deleted[ROWS / DELETE_EVERY + 1];  /* was acknowledged: they must not be there */
    _Atomic uint8_t
        rows[GROUPS][ROWS + 1];  /* enum row_state; the last one is written after the crash */
    _Atomic uint64_t operations; /* on files, of the last life */
    _Atomic uint32_t failures;   /* operations that were made to fail */
};
static struct oracle *oracle;

static double cell(uint32_t group, uint32_t series, int64_t row)
{
    return series % 2 ? (double)(row * (series + 1) + group) / 8 : (double)(row / 10 + group);
}

static void die(const char *what, const struct error *err)
{
    fprintf(stderr, "db_crash: %s%s%s\n", what, err ? ": " : "", err ? err->message : "");
    fflush(stderr);
    _exit(1);
}

/* --- what happens at the n-th operation --------------------------------------------------------------- */

enum plan_kind { PLAN_COUNT, PLAN_KILL, PLAN_TEAR, PLAN_FAIL };
struct plan {
    enum plan_kind kind;
    uint64_t at;    /* the operation, from 0 */
    uint64_t count; /* PLAN_FAIL: how many in a row fail */
    int errno_value;
};

static int plan_hook(void *arg, enum file_op op, const char *path, size_t *bytes)
{
    const struct plan *p = arg;
    (void)path;
    uint64_t n = atomic_fetch_add(&oracle->operations, 1);
    switch (p->kind) {
    case PLAN_COUNT:
        return 0;
    case PLAN_KILL:
        if (n == p->at)
            kill(getpid(), SIGKILL);
        return 0;
    case PLAN_TEAR:
        if (n > p->at)
            kill(getpid(), SIGKILL);
        if (n == p->at && op == FILE_OP_WRITE)
            *bytes /= 2;
        return 0;
    case PLAN_FAIL:
        /* To close a file is never refused for long: a descriptor is gone either way. */
        if (n < p->at || n >= p->at + p->count)
            return 0;
        if (op == FILE_OP_WRITE && (n & 1))
            *bytes /= 2; /* every other one after a part of it was written */
        atomic_fetch_add(&oracle->failures, 1);
        return p->errno_value;
    }
    return 0;
}

/* --- the child's life ---------------------------------------------------------------------------------- */

static struct db *store_open(const char *dir, struct error *err)
{
    struct db *db;
    const struct db_options options = {.block_range_ms = BLOCK_MS,
                                       .retention_ms = -1,
                                       .wal_sync_interval_ms = DB_SYNC_EACH,
                                       .wal_segment_bytes = 16 << 10,
                                       .maintain_when_asked = true};
    return db_open(&db, dir, &options, NULL, err) ? db : NULL;
}

/* An error of the environment is what faults are for; anything else is a bug. */
static void expect_environment(const char *what, const struct error *err)
{
    if (err->kind != ERROR_IO && err->kind != ERROR_NO_SPACE && err->kind != ERROR_BUSY &&
        err->kind != ERROR_CANCELED)
        die(what, err);
}

static struct labels labels_of(struct arena *arena, uint32_t group, uint32_t series)
{
    struct labels_builder b;
    labels_builder_init(&b, arena);
    labels_builder_set(&b, VIEW(LABEL_NAME), arena_printf(arena, "m%u", series));
    labels_builder_set(&b, VIEW("g"), arena_printf(arena, "%u", group));
    return labels_builder_finish(&b);
}

static bool row_append(struct db *db, uint32_t g, int64_t row, struct error *err)
{
    char key[32];
    struct group *group;
    struct appender a;
    struct arena arena;
    uint32_t slots[SERIES];
    snprintf(key, sizeof key, "group %u", g);
    if (!db_group_open(db, view_from(key), &group, err))
        return false;
    arena_init(&arena, MEM_OTHER, 0);
    bool ok = true;
    for (uint32_t i = 0; ok && i < SERIES; i++)
        ok = group_slot(group, labels_of(&arena, g, i), &slots[i], err);
    atomic_store(&oracle->rows[g][row], ROW_ATTEMPTED);
    ok = ok && appender_begin(&a, group, T0 + row * STEP_MS, err);
    if (ok) {
        for (uint32_t i = 0; i < SERIES; i++)
            appender_sample(&a, slots[i], cell(g, i, row));
        ok = appender_commit(&a, APPENDER_WAIT, err);
    }
    if (ok)
        atomic_store(&oracle->rows[g][row], ROW_ACKNOWLEDGED);
    arena_deinit(&arena);
    group_close(group);
    return ok;
}

/* Which deletion takes a row of DELETE_SERIES; -1 = none. */
static int deletion_of(int64_t row)
{
    int64_t n = (row + DELETE_FROM) / DELETE_EVERY;
    int64_t first = n * DELETE_EVERY - DELETE_FROM;
    return n >= 1 && n <= ROWS / DELETE_EVERY && row >= first && row < first + DELETE_ROWS ? (int)n
                                                                                           : -1;
}

/* The n-th: rows n * DELETE_EVERY - DELETE_FROM and the next. */
static void rows_delete(struct db *db, int64_t n)
{
    struct error err;
    struct matcher m;
    int64_t first = n * DELETE_EVERY - DELETE_FROM;
    if (!matcher_init(&m, MATCH_EQUAL, VIEW(LABEL_NAME), VIEW("m3"), &err))
        die("matcher", &err);
    const struct db_selector sets = {&m, 1};
    atomic_store(&oracle->deletion[n], true);
    if (db_delete(db, &sets, 1, T0 + first * STEP_MS, T0 + (first + DELETE_ROWS - 1) * STEP_MS,
                  &err))
        atomic_store(&oracle->deleted[n], true);
    else
        expect_environment("delete", &err);
    if (n % 2 == 0 && !db_clean_tombstones(db, &err))
        expect_environment("clean", &err);
    char name[DB_SNAPSHOT_NAME_BYTES];
    if (n % 2 && !db_snapshot(db, false, name, &err))
        expect_environment("snapshot", &err);
    matcher_deinit(&m);
}

enum { SPAN = 20, LATE_EVERY = 5 };

static bool row_waits(int64_t row)
{
    return row % LATE_EVERY == 2 && row + SPAN < ROWS;
}

/* Groups take turns. Every fifth row waits and is written 20 rows later, into times that may be in a block by then.
 * Every 16 rows the store is tended, at two places closed and opened. */
static void life(const char *dir)
{
    struct error err = {0};
    struct db *db = store_open(dir, &err);
    if (!db)
        expect_environment("open", &err);
    for (int64_t row = 0; row < ROWS; row++) {
        int64_t late = row - SPAN;
        if (!db && !(db = store_open(dir, &err))) {
            expect_environment("open", &err);
            continue;
        }
        if (!row_waits(row) && !row_append(db, (uint32_t)row % GROUPS, row, &err))
            expect_environment("append", &err);
        if (late >= 0 && row_waits(late) && !row_append(db, (uint32_t)late % GROUPS, late, &err))
            expect_environment("append late", &err);
        if (row % DELETE_EVERY == 0 && row > 0)
            rows_delete(db, row / DELETE_EVERY);
        if (row % 16 == 15 && !db_maintain(db, &err))
            expect_environment("maintain", &err);
        if (row == ROWS / 3 || row == 2 * ROWS / 3) {
            if (!db_close(db, &err))
                expect_environment("close", &err);
            db = NULL;
        }
    }
    if (db && !db_close(db, &err))
        expect_environment("close", &err);
}

/* --- the look afterwards ------------------------------------------------------------------------------- */

static void series_check(uint32_t g, uint32_t series, const struct samples *s)
{
    bool seen[ROWS + 1] = {false};
    for (size_t i = 0; i < s->count; i++) {
        int64_t row = (s->times[i] - T0) / STEP_MS;
        if (row < 0 || row > ROWS || s->times[i] != T0 + row * STEP_MS ||
            atomic_load(&oracle->rows[g][row]) == ROW_NONE)
            die("a sample that nobody wrote", NULL);
        if (seen[row])
            die("a sample is there twice", NULL);
        if (s->values[i] != cell(g, series, row))
            die("a wrong value", NULL);
        int n = series == DELETE_SERIES ? deletion_of(row) : -1;
        /* One that was refused may stand in a log all the same, and come up at a restart. */
        if (n >= 0 && atomic_load(&oracle->deleted[n]) &&
            atomic_load(&oracle->rows[g][row]) == ROW_ACKNOWLEDGED)
            die("a deleted sample is there", NULL);
        seen[row] = true;
    }
    for (int64_t row = 0; row <= ROWS; row++) {
        int n = series == DELETE_SERIES ? deletion_of(row) : -1;
        if (n >= 0 && atomic_load(&oracle->deletion[n]))
            continue;
        if (atomic_load(&oracle->rows[g][row]) == ROW_ACKNOWLEDGED && !seen[row]) {
            fprintf(stderr, "group %u series %u row %" PRId64 "\n", g, series, row);
            die("an acknowledged sample is missing", NULL);
        }
    }
}

static uint32_t number_of(const struct label_store *labels, labels_id id, struct view name,
                          size_t skip, struct arena *arena)
{
    struct view v = labels_get(label_store_labels(labels, id, arena), name);
    uint32_t n = 0;
    for (size_t i = skip; i < v.len; i++)
        n = n * 10 + (uint32_t)(v.ptr[i] - '0');
    return n;
}

static void store_check(struct db *db)
{
    struct error err;
    struct arena arena;
    struct series_list list;
    bool found[GROUPS][SERIES] = {{false}};
    const struct samples nothing = {0};
    const struct select what = {.mint = INT64_MIN, .maxt = INT64_MAX};
    arena_init(&arena, MEM_OTHER, 0);
    struct label_store *labels = label_store_new(MEM_OTHER, 0);
    struct storage_view *v = source_pin(db_as_source(db), INT64_MIN, INT64_MAX, &err);
    struct storage_reader *r = v ? view_reader_new(v, NULL, &err) : NULL;
    if (!r || !view_select(v, &what, labels, &arena, &list, &err))
        die("select", &err);
    for (size_t i = 0; i < list.count; i++) {
        struct samples s;
        uint32_t g = number_of(labels, list.items[i].labels, VIEW("g"), 0, &arena);
        uint32_t n = number_of(labels, list.items[i].labels, VIEW(LABEL_NAME), 1, &arena);
        if (!reader_read(r, list.items[i].ref, INT64_MIN, INT64_MAX, &s, &err))
            die("read", &err);
        if (found[g][n])
            die("a series is there twice", NULL);
        found[g][n] = true;
        series_check(g, n, &s);
    }
    if (r->lost_count)
        die("columns are lost", &r->lost);
    for (uint32_t g = 0; g < GROUPS; g++)
        for (uint32_t n = 0; n < SERIES; n++)
            if (!found[g][n])
                series_check(g, n, &nothing);
    storage_reader_free(r);
    view_release(v);
    label_store_free(labels);
    arena_deinit(&arena);
}

static void aftermath(const char *dir)
{
    struct error err;
    struct db *db = store_open(dir, &err);
    if (!db)
        die("open after the crash", &err);
    store_check(db);
    if (!row_append(db, 0, ROWS, &err))
        die("append after the crash", &err);
    if (!db_maintain(db, &err))
        die("maintain after the crash", &err);
    store_check(db);
    if (!db_close(db, &err))
        die("close after the crash", &err);
}

/* --- the parent ---------------------------------------------------------------------------------------- */

/* Runs f(dir) in a process of its own (its threads may die with it); returns the status of waitpid. */
static int in_child(void (*f)(const char *dir), const char *dir, struct plan *plan)
{
    int status;
    pid_t pid = fork();
    if (pid < 0)
        die("fork", NULL);
    if (pid == 0) {
        if (plan)
            file_test_set_hook(plan_hook, plan);
        f(dir);
        _exit(0);
    }
    if (waitpid(pid, &status, 0) != pid)
        die("waitpid", NULL);
    return status;
}

static void one(const char *top, struct plan plan)
{
    static const char *const NAMES[] = {"count", "kill", "tear", "fail"};
    char dir[512];
    struct error err;
    snprintf(dir, sizeof dir, "%s/store", top);
    if (!dir_remove(dir, &err) || !dir_create(dir, &err))
        die("folder", &err);
    memset((void *)oracle, 0, sizeof *oracle);
    int status = in_child(life, dir, &plan);
    bool killed = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
    bool ended = WIFEXITED(status) && WEXITSTATUS(status) == 0;
    bool expected = plan.kind == PLAN_KILL || plan.kind == PLAN_TEAR ? killed || ended : ended;
    status = expected ? in_child(aftermath, dir, NULL) : status;
    if (expected && WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return;
    fprintf(stderr,
            "db_crash: %s at operation %" PRIu64 ", %" PRIu64
            " times, errno %d: status %#x; the store stays in %s\n",
            NAMES[plan.kind], plan.at, plan.count, plan.errno_value, (unsigned)status, dir);
    exit(1);
}

/* n times TEST_SCALE, at least one. */
static long scaled(long n)
{
    const char *text = getenv("TEST_SCALE");
    double scale = 1;
    if (text && !float_parse(view_from(text), &scale))
        die("TEST_SCALE is no number", NULL);
    return (double)n * scale < 1 ? 1 : (long)((double)n * scale);
}

/* db_crash KIND AT COUNT ERRNO, as a failure printed it: that one alone. */
static struct plan plan_of(char **words)
{
    static const char *const NAMES[] = {"count", "kill", "tear", "fail"};
    struct plan p = {.at = strtoull(words[1], NULL, 10),
                     .count = strtoull(words[2], NULL, 10),
                     .errno_value = (int)strtol(words[3], NULL, 10)};
    for (size_t i = 0; i < ARRAY_COUNT(NAMES); i++)
        if (strcmp(words[0], NAMES[i]) == 0)
            p.kind = (enum plan_kind)i;
    return p;
}

int main(int argc, char **argv)
{
    const char *fixed = getenv("TEST_SEED");
    uint64_t seed = fixed ? strtoull(fixed, NULL, 10) : (uint64_t)clock_mono().ns;
    long kills = scaled(KILLS), faults = scaled(FAULTS);
    struct random random;
    struct error err;
    char top[] = "/dev/shm/belfry-crash-XXXXXX", elsewhere[] = "/tmp/belfry-crash-XXXXXX";
    const char *dir = mkdtemp(top); /* syncs cost nothing there */
    dir = dir ? dir : mkdtemp(elsewhere);
    if (!dir)
        die("mkdtemp", NULL);
    oracle = mmap(NULL, sizeof *oracle, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (oracle == MAP_FAILED)
        die("mmap", NULL);
    random_seed(&random, seed);
    if (argc == 5) {
        one(dir, plan_of(argv + 1));
        return 0;
    }
    one(dir, (struct plan){.kind = PLAN_COUNT});
    uint64_t operations = atomic_load(&oracle->operations);
    for (int64_t row = 0; row < ROWS; row++) /* an undisturbed life does all that it means to */
        if (atomic_load(&oracle->rows[row % GROUPS][row]) != ROW_ACKNOWLEDGED ||
            !atomic_load(&oracle->deleted[row / DELETE_EVERY ? row / DELETE_EVERY : 1]))
            die("an undisturbed life did not write or delete a row", NULL);
    printf("seed %" PRIu64 ", %" PRIu64 " operations on files in a life\n", seed, operations);
    for (long i = 0; i < kills; i++)
        one(dir, (struct plan){.kind = i % 2 ? PLAN_TEAR : PLAN_KILL,
                               .at = random_below(&random, operations)});
    uint64_t failures = 0;
    for (long i = 0; i < faults; i++) {
        one(dir, (struct plan){.kind = PLAN_FAIL,
                               .at = random_below(&random, operations),
                               .count = i % 3 ? 1 : 1 + random_below(&random, 30),
                               .errno_value = i % 2 ? EIO : ENOSPC});
        failures += atomic_load(&oracle->failures);
    }
    printf("%ld kills, %ld faults (%" PRIu64 " operations failed): nothing acknowledged was lost\n",
           kills, faults, failures);
    if (!dir_remove(dir, &err))
        die("remove", &err);
    return 0;
}
