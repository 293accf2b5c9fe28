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
#include "crash_store.h"

#include "base/file.h"
#include "base/random.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { KILLS = 30, FAULTS = 300 };

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

/* --- the look afterwards ------------------------------------------------------------------------------- */

static void store_check(struct db *db)
{
    static struct look look;
    store_look(db, false, &look);
    if (look.lost)
        die("columns are lost", &look.problem);
    for (uint32_t g = 0; g < GROUPS; g++)
        for (uint32_t n = 0; n < SERIES; n++)
            for (int64_t row = 0; row < ROWS_MAX; row++)
                if (sample_must_be_there(g, n, row) && !look.seen[g][n][row]) {
                    fprintf(stderr, "group %u series %u row %" PRId64 "\n", g, n, row);
                    die("an acknowledged sample is missing", NULL);
                }
}

static void aftermath(void *arg)
{
    const char *dir = arg;
    struct error err;
    struct db *db = store_open(dir, BLOCK_MS, NULL, &err);
    if (!db)
        die("open after the crash", &err);
    store_check(db);
    if (!row_append(db, 0, ROWS, false, &err))
        die("append after the crash", &err);
    if (!db_maintain(db, &err))
        die("maintain after the crash", &err);
    store_check(db);
    if (!db_close(db, &err))
        die("close after the crash", &err);
}

/* --- the parent ---------------------------------------------------------------------------------------- */

struct
try {
    char dir[512];
    struct plan plan;
};

static void live(void *arg)
{
    struct try *t = arg;
    file_test_set_hook(plan_hook, &t->plan);
    life(t->dir);
}

static void one(const char *top, struct plan plan)
{
    static const char *const NAMES[] = {"count", "kill", "tear", "fail"};
    struct try t = {.plan = plan};
    struct error err;
    snprintf(t.dir, sizeof t.dir, "%s/store", top);
    if (!dir_remove(t.dir, &err) || !dir_create(t.dir, &err))
        die("folder", &err);
    memset((void *)oracle, 0, sizeof *oracle);
    int status = in_child(live, &t);
    bool killed = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
    bool ended = WIFEXITED(status) && WEXITSTATUS(status) == 0;
    bool expected = plan.kind == PLAN_KILL || plan.kind == PLAN_TEAR ? killed || ended : ended;
    status = expected ? in_child(aftermath, t.dir) : status;
    if (expected && WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return;
    fprintf(stderr,
            "db_crash: %s at operation %" PRIu64 ", %" PRIu64
            " times, errno %d: status %#x; the store stays in %s\n",
            NAMES[plan.kind], plan.at, plan.count, plan.errno_value, (unsigned)status, t.dir);
    exit(1);
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
    uint64_t seed = seed_get();
    long kills = scaled(KILLS), faults = scaled(FAULTS);
    struct random random;
    struct error err;
    const char *dir = top_folder();
    oracle = shared_alloc(sizeof *oracle);
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
