/* SPDX-License-Identifier: Apache-2.0 */
/* keeper_late.c: late samples on their way from the head into blocks.
 *
 * Those inside a range that is cut go into its block, with the rows. Those below the floor, where blocks are
 * already, get blocks of their own, one per block range, that overlap the older ones; compaction joins them.
 * This is done after each cut, so that the WAL need not keep them longer than rows; and when they take too much
 * memory. If then most of them are above the floor, the head is cut where they end, before its range is full.
 *
 * A block is published first. Its late samples are forgotten when no query is left that began without it, and
 * no other block is written before: so each sample is always seen, and by nobody twice but in the block and the
 * head at once, where the reader takes one. A crash between has them in both, until the next block has them too
 * and compaction drops one. */
#include "base/assert.h"
#include "storage/db_private.h"

#include <inttypes.h>

enum { CUTS_MAX = 256 }; /* a day's window has twelve ranges */

void keeper_late_published(struct db *db, const struct head_late_mark *mark, int64_t mint,
                           int64_t maxt)
{
    ASSERT(!db->late.is_waiting);
    struct db_state *state = db_state_pin(db);
    db->late = (struct late_saved){true, *mark, mint, maxt, state->number};
    db_state_unref(db, state);
}

bool keeper_late_forget(struct db *db)
{
    if (db->late.is_waiting && db_state_oldest(db) >= db->late.state) {
        head_late_forget(db->head, &db->late.mark, db->late.mint, db->late.maxt);
        db->late.is_waiting = false;
    }
    return !db->late.is_waiting;
}

/* [*mint, *maxt) is the block range that t lies in, cut off at `end`. */
static void range_of(const struct db *db, int64_t t, int64_t end, int64_t *mint, int64_t *maxt)
{
    int64_t range = db->block_range_ms, into = t % range;
    into = into < 0 ? into + range : into;
    *mint = t - into; /* times are far from both ends (group_append.c) */
    *maxt = *mint + range < end ? *mint + range : end;
}

static int64_t floor_of(struct db *db)
{
    struct db_state *state = db_state_pin(db);
    int64_t floor = state->floor_ms;
    db_state_unref(db, state);
    return floor;
}

/* Range by range; *done says whether all of it went. */
static bool save_below_floor(struct db *db, bool *done, struct error *err)
{
    struct head_late_mark mark;
    int64_t floor = floor_of(db), mint, maxt = INT64_MIN, t;
    *done = false;
    if (!head_late_mark(db->head, true, &mark, err))
        return false;
    while ((t = head_late_oldest(db->head, &mark, maxt, floor)) != INT64_MAX) {
        range_of(db, t, floor, &mint, &maxt);
        if (!keeper_cut(db, mint, maxt, true, err))
            return false;
        if (!keeper_late_forget(db))
            return true;
    }
    *done = true;
    return head_late_saved(db->head, &mark, floor, err);
}

/* Cuts rows and late samples up to the newest late one. */
static bool cut_early(struct db *db, struct error *err)
{
    for (int i = 0; i < CUTS_MAX; i++) {
        int64_t first, last, mint, maxt, end = head_late_newest(db->head);
        head_time_range(db->head, &first, &last);
        first = first < db->truncated_ms ? db->truncated_ms : first;
        if (db->truncated_ms != floor_of(db) || end < first)
            return true;
        range_of(db, first, end + 1, &mint, &maxt);
        mint = mint < db->truncated_ms ? db->truncated_ms : mint;
        if (!keeper_cut(db, mint, maxt, false, err))
            return false;
        keeper_truncate(db);
        if (db->late.is_waiting)
            return true;
    }
    return true;
}

bool keeper_late_save(struct db *db, struct error *err)
{
    bool done;
    uint64_t bytes_max = head_late_bytes_max(db->head);
    if (!keeper_late_forget(db))
        return true;
    if (head_late_bytes(db->head) == 0 && !head_late_is_unsaved(db->head)) {
        db->late_is_due = false;
        return true;
    }
    if (!save_below_floor(db, &done, err))
        return false;
    db->late_is_due = !done;
    if (done && head_late_bytes(db->head) > bytes_max / 2)
        return cut_early(db, err);
    return true;
}
