/* SPDX-License-Identifier: Apache-2.0 */
/* compactor.c: the thread that merges blocks (compact_plan.h says which, compact.h how), and the same work
 * on demand (db_compact).
 *
 * A merge: 1. write the blocks' samples into a new one, open it
 *          2. publish the state that has it in their place
 *          3. remove them: queries that began before go on reading what they hold open
 * Cuts, retention and queries go on during 1. If the process ends before the new block has its name, nothing
 * has happened; after that it names them as its parents, and the next start removes what is left of them
 * (db.c). If retention has taken one of them meanwhile, the new block is thrown away.
 *
 * A block with damage is left as it is: queries serve what can be read of it, a merge would lose the rest for
 * good. Any other failure is tried again, at longer and longer intervals. */
#include "base/assert.h"
#include "base/mem.h"
#include "base/thread.h"
#include "storage/compact.h"
#include "storage/compact_plan.h"
#include "storage/db_private.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum {
    LOOK_INTERVAL_MS = 60 * 1000,
    RETRY_MS = 60 * 1000,
    RETRY_DOUBLINGS = 5,
    DELETED_SHARE =
        20 /* a block is written again when 5 % of its series have deletions, as in Prometheus */
};
static const int64_t BLOCK_MAX_MS = INT64_C(31) * 24 * 3600 * 1000;
static const uint64_t SPARE_BYTES = UINT64_C(64) << 20; /* of the disk, left to ingest */

/* --- what to merge -------------------------------------------------------------------------------- */

/* As Prometheus: a tenth of the retention, at most 31 days, unless it was said. */
static int64_t block_ms_max(const struct db *db)
{
    int64_t retention_ms = atomic_load_explicit(&db->retention_ms, memory_order_relaxed);
    if (db->options.block_ms_max > 0)
        return db->options.block_ms_max;
    return retention_ms > 0 && retention_ms / 10 < BLOCK_MAX_MS ? retention_ms / 10 : BLOCK_MAX_MS;
}

/* The blocks to merge, borrowed from the state, in its order; 0 = none. */
static size_t choose(const struct db *db, const struct db_state *state, struct block **out)
{
    size_t count = state->block_count, n = 0;
    struct compact_candidate *candidates = mem_alloc_zero(MEM_BLOCK, count + 1, sizeof *candidates);
    bool *chosen = mem_alloc_zero(MEM_BLOCK, count + 1, sizeof *chosen);
    struct compact_tiers tiers = compact_tiers_make(db->block_range_ms, block_ms_max(db));
    int64_t settled = state->floor_ms;
    for (size_t i = 0; i < count; i++) {
        const struct block_meta *meta = block_get_meta(state->blocks[i]);
        const struct deletions *gone = block_get_deletions(state->blocks[i]);
        candidates[i] = (struct compact_candidate){
            .mint = meta->mint,
            .maxt = meta->maxt,
            .bytes = meta->bytes,
            .excluded = block_is_left_alone(state->blocks[i]),
            .rewrite = deletions_series_count(gone) > meta->series_count / DELETED_SHARE};
        settled = meta->mint > settled ? meta->mint : settled;
    }
    if (compact_plan(candidates, count, &tiers, settled, chosen) > 0)
        for (size_t i = 0; i < count; i++)
            if (chosen[i])
                out[n++] = state->blocks[i];
    mem_free(MEM_BLOCK, candidates);
    mem_free(MEM_BLOCK, chosen);
    return n;
}

/* The new block is hardly larger than the old ones together, which stay until it is there. */
static bool space_check(const struct db *db, struct block *const *blocks, size_t count,
                        struct error *err)
{
    uint64_t bytes = SPARE_BYTES, free_bytes;
    for (size_t i = 0; i < count; i++)
        bytes += block_get_meta(blocks[i])->bytes;
    if (!dir_free_bytes(db->dir, &free_bytes, err))
        return false;
    return free_bytes >= bytes ||
           error_set(err, ERROR_NO_SPACE,
                     "merging %zu blocks needs %" PRIu64 " bytes of space, %" PRIu64 " are free",
                     count, bytes, free_bytes);
}

/* --- one merge ------------------------------------------------------------------------------------ */

static bool is_closing(void *arg)
{
    struct db *db = arg;
    return atomic_load_explicit(&db->stopping, memory_order_relaxed);
}

/* The compactor gives way; who asked for a merge is not interrupted by the next who asks. */
static bool must_give_way(void *arg)
{
    struct db *db = arg;
    return is_closing(db) || atomic_load_explicit(&db->compact_waiting, memory_order_relaxed) > 0;
}

static bool is_among(const struct block *b, struct block *const *blocks, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (blocks[i] == b)
            return true;
    return false;
}

/* Publishes the state with `b` (NULL: nothing) in place of the blocks. False when one is gone. */
static bool state_replace(struct db *db, struct block *const *old, size_t old_count,
                          struct block *b)
{
    mutex_lock(&db->keeper_mutex);
    struct db_state *before = db_state_pin(db);
    struct block **blocks =
        mem_alloc(MEM_BLOCK, (before->block_count + 1) * sizeof(struct block *));
    size_t count = 0, found = 0;
    for (size_t i = 0; i < before->block_count; i++) {
        if (is_among(before->blocks[i], old, old_count))
            found++;
        else
            blocks[count++] = before->blocks[i];
    }
    if (b)
        blocks[count++] = b;
    if (found == old_count) {
        db_blocks_sort(blocks, count);
        db_state_publish(db, blocks, count, before->floor_ms, before->head_deletions);
    }
    mem_free(MEM_BLOCK, blocks);
    db_state_unref(db, before);
    mutex_unlock(&db->keeper_mutex);
    return found == old_count;
}

static void merge_log(struct db *db, const struct block *b, struct block *const *blocks,
                      size_t count, double seconds)
{
    static const struct block_meta nothing = {.ulid = "nothing"};
    const struct block_meta *meta = b ? block_get_meta(b) : &nothing;
    char what[64] = "";
    if (count > 1)
        (void)snprintf(what, sizeof what, "%zu blocks", count);
    else
        (void)snprintf(what, sizeof what, "what is left of %s", block_get_meta(blocks[0])->ulid);
    db_log(db, false, count > 1 ? "blocks_merged" : "block_rewritten",
           "%s into %s: %" PRIu64 " series, %" PRIu64 " samples, %" PRIu64 " bytes, in %.1f s",
           what, meta->ulid, meta->series_count, meta->sample_count, meta->bytes, seconds);
}

static bool merge(struct db *db, struct block *const *blocks, size_t count, compact_stop stop,
                  size_t *bad, struct error *err)
{
    struct compact_job job = {
        .dir = db->dir, .blocks = blocks, .count = count, .stop = stop, .stop_arg = db};
    struct block_meta meta = {0};
    struct block *b = NULL;
    mono_time start = clock_mono();
    *bad = COMPACT_NO_BLOCK;
    if (!space_check(db, blocks, count, err) || !compact_write(&job, &meta, bad, err) ||
        !db_block_adopt(db, &meta, &b, err)) {
        db_block_disown(db, meta.ulid);
        return false;
    }
    if (!state_replace(db, blocks, count, b)) {
        if (b)
            db_block_disown(db, meta.ulid); /* a block that it was made of is gone */
        block_unref(b);
        return true;
    }
    double seconds = (double)(clock_mono().ns - start.ns) / 1e9;
    atomic_fetch_add_explicit(&db->compactions, 1, memory_order_relaxed);
    merge_log(db, b, blocks, count, seconds);
    block_unref(b);
    for (size_t i = 0; i < count; i++)
        db_block_disown(db, block_get_meta(blocks[i])->ulid);
    return true;
}

/* --- when ----------------------------------------------------------------------------------------- */

/* What cannot be merged, whatever is tried, is left alone; the others go on. */
static bool leave_alone(struct db *db, struct block *const *blocks, size_t count, size_t bad,
                        const struct error *problem)
{
    if (problem->kind != ERROR_LIMIT && (problem->kind != ERROR_CORRUPT || bad == COMPACT_NO_BLOCK))
        return false;
    for (size_t i = 0; i < count; i++)
        if (problem->kind == ERROR_LIMIT || i == bad)
            block_leave_alone(blocks[i]);
    db_log(db, true, "block_left_unmerged", "%s; it is left as it is, the others are merged",
           problem->message);
    return true;
}

static bool merge_next(struct db *db, compact_stop stop, bool *done, struct error *err)
{
    struct error problem = {0};
    size_t bad;
    struct db_state *state = db_state_pin(db);
    struct block **blocks = mem_alloc(MEM_BLOCK, (state->block_count + 1) * sizeof(struct block *));
    size_t count = choose(db, state, blocks);
    bool ok = true;
    *done = count == 0;
    if (count > 0)
        ok = merge(db, blocks, count, stop, &bad, &problem);
    if (!ok && problem.kind != ERROR_CANCELED) {
        atomic_fetch_add_explicit(&db->compactions_failed, 1, memory_order_relaxed);
        ok = leave_alone(db, blocks, count, bad, &problem);
    }
    mem_free(MEM_BLOCK, blocks);
    db_state_unref(db, state);
    if (!ok && err)
        *err = problem;
    return ok;
}

static bool merge_all_locked(struct db *db, compact_stop stop, struct error *err)
{
    struct error problem = {0};
    bool done = false, ok = true;
    while (ok && !done && !stop(db))
        ok = merge_next(db, stop, &done, &problem);
    if (ok)
        db->compact_failures_row = 0;
    if (!ok && problem.kind != ERROR_CANCELED) {
        uint64_t doublings =
            db->compact_failures_row < RETRY_DOUBLINGS ? db->compact_failures_row : RETRY_DOUBLINGS;
        int64_t wait_ms = (int64_t)RETRY_MS << doublings;
        db->compact_failures_row++;
        db->compact_not_before = mono_add_ms(clock_mono(), wait_ms);
        db_log(db, true, "merge_failed",
               "%s; the blocks stay as they are, next try in %" PRId64 " s", problem.message,
               wait_ms / 1000);
    }
    if (!ok && err)
        *err = problem;
    return ok;
}

bool db_compact(struct db *db, struct error *err)
{
    compactor_pause(db);
    bool ok = merge_all_locked(db, is_closing, err);
    compactor_resume(db);
    return ok;
}

/* The first block with deletions that is after `ulid` in the order of names; a reference, NULL = none. */
static struct block *deleted_from_next(struct db *db, const char *ulid)
{
    struct block *found = NULL;
    struct db_state *state = db_state_pin(db);
    for (size_t i = 0; i < state->block_count; i++) {
        const char *name = block_get_meta(state->blocks[i])->ulid;
        if (block_get_deletions(state->blocks[i]) && strcmp(name, ulid) > 0 &&
            (!found || strcmp(name, block_get_meta(found)->ulid) < 0))
            found = state->blocks[i];
    }
    if (found)
        block_ref(found);
    db_state_unref(db, state);
    return found;
}

bool db_clean_tombstones(struct db *db, struct error *err)
{
    char last[BLOCK_ULID_BYTES] = "";
    struct block *b;
    bool ok = true;
    compactor_pause(db);
    while (ok && (b = deleted_from_next(db, last)) != NULL) {
        size_t bad;
        memcpy(last, block_get_meta(b)->ulid, sizeof last);
        ok = merge(db, &b, 1, is_closing, &bad, err);
        block_unref(b);
    }
    compactor_resume(db);
    return ok;
}

void compactor_pause(struct db *db)
{
    atomic_fetch_add_explicit(&db->compact_waiting, 1, memory_order_relaxed);
    mutex_lock(&db->compact_mutex);
    atomic_fetch_sub_explicit(&db->compact_waiting, 1, memory_order_relaxed);
}

void compactor_resume(struct db *db)
{
    mutex_unlock(&db->compact_mutex);
}

void compactor_wake(struct db *db)
{
    mutex_lock(&db->compact_wake_mutex);
    db->compact_wake_wanted = true;
    cond_signal(&db->compact_wake);
    mutex_unlock(&db->compact_wake_mutex);
}

static void *compactor_run(void *arg)
{
    struct db *db = arg;
    while (!atomic_load_explicit(&db->stopping, memory_order_acquire)) {
        mono_time next_look = mono_add_ms(clock_mono(), LOOK_INTERVAL_MS);
        mutex_lock(&db->compact_mutex);
        if (!db->options.maintain_when_asked && clock_mono().ns >= db->compact_not_before.ns) {
            bool ok = merge_all_locked(db, must_give_way, NULL);
            (void)ok; /* counted, logged and tried again */
        }
        mutex_unlock(&db->compact_mutex);
        mutex_lock(&db->compact_wake_mutex);
        while (!db->compact_wake_wanted &&
               cond_wait_until(&db->compact_wake, &db->compact_wake_mutex, next_look))
            ;
        db->compact_wake_wanted = false;
        mutex_unlock(&db->compact_wake_mutex);
    }
    return NULL;
}

bool compactor_start(struct db *db, struct error *err)
{
    db->compactor_runs = thread_start(&db->compactor, "compactor", compactor_run, db, err);
    return db->compactor_runs;
}

void compactor_stop(struct db *db)
{
    ASSERT(atomic_load_explicit(&db->stopping, memory_order_relaxed));
    compactor_wake(db);
    if (db->compactor_runs)
        thread_join(db->compactor);
    db->compactor_runs = false;
}
