/* SPDX-License-Identifier: Apache-2.0 */
/* db_full.c: the disk fills up. A store is written, cut, merged, deleted from and copied on a disk that takes so many
 * more bytes; when these are used up every operation that needs space fails (the write that reaches the end is torn),
 * for a while; then there is space again.
 *
 *   1. while it is full, whatever fails says so, and queries show everything that was acknowledged
 *   2. when there is space again, rows are taken again without a restart, and it is tended, cut and merged
 *   3. nothing that was acknowledged is lost, then and after a restart, and nothing deleted comes back
 *
 * FILLS * TEST_SCALE stores, each of which fills up at a random byte of its life; eight at a time, since they mostly
 * wait. The seed is printed (TEST_SEED repeats it). */
#include "crash_store.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/random.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { FILLS = 32, AT_ONCE = 8, FULL_ROWS = 60, RESUME_MS_MAX = 60 * 1000 };

/* What all stores together came to; shared. */
struct totals {
    _Atomic uint64_t bytes;    /* of a life that is not disturbed */
    _Atomic uint64_t refusals; /* operations on files */
    _Atomic uint64_t rows, maintains, merges, deletions, snapshots; /* that failed for it */
    _Atomic int64_t resume_ms;                                      /* the longest */
};
static struct totals *totals;

static _Atomic int64_t space; /* bytes */
static _Atomic bool was_full;

static int space_hook(void *arg, enum file_op op, const char *path, size_t *bytes)
{
    (void)arg;
    (void)path;
    if (op == FILE_OP_WRITE) {
        int64_t wanted = (int64_t)*bytes, left = atomic_fetch_sub(&space, wanted);
        if (left >= wanted)
            return 0;
        *bytes = left > 0 ? (size_t)left : 0;
    } else if ((op != FILE_OP_RESERVE && op != FILE_OP_MKDIR && op != FILE_OP_RENAME &&
                op != FILE_OP_SYNC) ||
               atomic_load(&space) > 0) {
        return 0;
    }
    atomic_store(&was_full, true);
    atomic_fetch_add(&totals->refusals, 1);
    return ENOSPC;
}

static bool is_full(void)
{
    return atomic_load(&space) <= 0;
}

static void check(struct db *db, const char *when)
{
    static struct look look;
    store_look(db, false, &look);
    if (look.lost)
        die("columns are lost", &look.problem);
    for (uint32_t g = 0; g < GROUPS; g++)
        for (uint32_t n = 0; n < SERIES; n++)
            for (int64_t row = 0; row < ROWS_MAX; row++)
                if (sample_must_be_there(g, n, row) && !look.seen[g][n][row]) {
                    fprintf(stderr, "group %u series %u row %" PRId64 ", %s\n", g, n, row, when);
                    die("an acknowledged sample is missing", NULL);
                }
}

/* What is refused while there is space is a bug, except for rows until writing has resumed. */
static void note(bool ok, const char *what, const struct error *err, _Atomic uint64_t *failed)
{
    if (ok)
        return;
    expect_environment(what, err);
    if (!atomic_load(&was_full))
        die(what, err);
    atomic_fetch_add(failed, 1);
}

static void step(struct db *db, int64_t row)
{
    struct error err;
    note(row_append(db, (uint32_t)row % GROUPS, row, row % 5 == 0, &err), "append", &err,
         &totals->rows);
    if (row % DELETE_EVERY == 0 && row > 0) {
        int64_t n = row / DELETE_EVERY;
        rows_delete(db, n);
        note(atomic_load(&oracle->deleted[n]), "delete", &(struct error){.kind = ERROR_NO_SPACE},
             &totals->deletions);
    }
    if (row % 23 == 22) {
        char name[DB_SNAPSHOT_NAME_BYTES];
        note(db_snapshot(db, false, name, &err), "snapshot", &err, &totals->snapshots);
    }
    if (row % 16 == 15)
        note(db_maintain(db, &err), "maintain", &err, &totals->maintains);
    if (row % 48 == 47)
        note(db_compact(db, &err), "merge", &err, &totals->merges);
}

/* Rows until one is taken; returns the next. */
static int64_t resume(struct db *db, int64_t row)
{
    struct error err;
    mono_time start = clock_mono();
    while (!row_append(db, 0, row, false, &err)) {
        expect_environment("append", &err);
        if (mono_ms_since(start) > RESUME_MS_MAX)
            die("rows are not taken again", &err);
        usleep(5000);
    }
    int64_t ms = mono_ms_since(start), longest = atomic_load(&totals->resume_ms);
    while (ms > longest && !atomic_compare_exchange_weak(&totals->resume_ms, &longest, ms))
        ;
    return row + 1;
}

struct fill {
    char dir[512];
    int64_t at; /* bytes that the disk takes */
};

static void live(void *arg)
{
    const struct fill *f = arg;
    struct error err;
    oracle = shared_alloc(sizeof *oracle); /* of this store alone */
    atomic_store(&space, INT64_MAX / 2);
    file_test_set_hook(space_hook, NULL);
    struct db *db = store_open(f->dir, BLOCK_MS, NULL, &err);
    if (!db)
        die("open", &err);
    atomic_store(&space, f->at);
    int64_t row = 0, full_since = -1;
    while (row < ROWS_MAX - 100 && (full_since < 0 || row < full_since + FULL_ROWS)) {
        step(db, row++);
        if (is_full() && full_since < 0) {
            full_since = row;
            check(db, "when the disk is full");
        }
    }
    if (full_since < 0) /* an undisturbed life, to learn its bytes */
        atomic_store(&totals->bytes, (uint64_t)(f->at - atomic_load(&space)));
    check(db, "while the disk is full");
    atomic_store(&space, INT64_MAX / 2);
    row = resume(db, row);
    if (!db_maintain(db, &err) || !db_compact(db, &err))
        die("tending after there was space again", &err);
    atomic_store(&was_full, false); /* from here on nothing may fail */
    for (int64_t end = row + 30; row < end; row++)
        step(db, row);
    check(db, "when there is space again");
    if (!db_close(db, &err))
        die("close", &err);
    if (!(db = store_open(f->dir, BLOCK_MS, NULL, &err)))
        die("open again", &err);
    check(db, "after a restart");
    if (!db_close(db, &err))
        die("close", &err);
}

static pid_t start(struct fill *f, const char *top, long number, int64_t at)
{
    struct error err;
    snprintf(f->dir, sizeof f->dir, "%s/%ld", top, number);
    f->at = at;
    if (!dir_create(f->dir, &err))
        die("folder", &err);
    fflush(stdout);
    pid_t pid = fork();
    if (pid < 0)
        die("fork", NULL);
    if (pid == 0) {
        live(f);
        _exit(0);
    }
    return pid;
}

static void finish(const struct fill *f, pid_t pid)
{
    int status;
    struct error err;
    if (waitpid(pid, &status, 0) != pid)
        die("waitpid", NULL);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        fprintf(stderr,
                "db_full: status %#x when full after %" PRId64 " bytes; the store stays in %s\n",
                (unsigned)status, f->at, f->dir);
        exit(1);
    }
    if (!dir_remove(f->dir, &err))
        die("remove", &err);
}

int main(void)
{
    uint64_t seed = seed_get();
    long fills = scaled(FILLS);
    const char *top = top_folder();
    struct random random;
    struct error err;
    struct fill running[AT_ONCE];
    pid_t pids[AT_ONCE];
    totals = shared_alloc(sizeof *totals);
    random_seed(&random, seed);
    pids[0] = start(&running[0], top, 0, INT64_MAX / 2);
    finish(&running[0], pids[0]);
    uint64_t bytes = atomic_load(&totals->bytes);
    printf("seed %" PRIu64 ", %" PRIu64 " bytes in a life\n", seed, bytes);
    for (long done = 0; done < fills;) {
        int count = 0;
        for (; count < AT_ONCE && done < fills; count++, done++)
            pids[count] = start(&running[count], top, done, (int64_t)random_below(&random, bytes));
        for (int i = 0; i < count; i++)
            finish(&running[i], pids[i]);
    }
    printf("%ld stores were full: %" PRIu64 " operations, %" PRIu64 " rows, %" PRIu64
           " looks of the keeper, %" PRIu64 " merges, %" PRIu64 " deletions, %" PRIu64
           " snapshots failed; resumed within %" PRId64 " ms\n",
           fills, totals->refusals, totals->rows, totals->maintains, totals->merges,
           totals->deletions, totals->snapshots, totals->resume_ms);
    if (!dir_remove(top, &err))
        die("remove", &err);
    return 0;
}
