/* SPDX-License-Identifier: Apache-2.0 */
/* db_private.h: what db.c (life), db_view.c (queries), keeper.c (cut, retention) and compactor.c
 * (merging) share.
 *
 * The one mechanism of reclamation: what queries see of the folder is a db_state, the list of blocks and
 * the oldest time that the head answers for. It never changes; keeper and compactor publish new ones. A query
 * holds the state it began with, so its blocks stay open and the head keeps what lies above its floor:
 * head_truncate() goes no further than the lowest floor of all living states. */
#ifndef BELFRY_STORAGE_DB_PRIVATE_H
#define BELFRY_STORAGE_DB_PRIVATE_H

#include "base/clock.h"
#include "base/file.h"
#include "storage/block_private.h"
#include "storage/db.h"
#include "storage/head.h"
#include "storage/head_deletions.h"

#include <pthread.h>

enum { DB_PATH_BYTES_MAX = BLOCK_PATH_BYTES_MAX };

struct db_state {
    struct db_state *next, *previous; /* all living states; guarded by db->view_mutex, like refs */
    size_t refs;
    uint64_t number;                       /* later ones have higher numbers */
    int64_t floor_ms;                      /* below it blocks answer, from it on the head */
    struct head_deletions *head_deletions; /* a reference; NULL = none */
    size_t block_count;
    struct block *blocks[]; /* one reference each; in the order of db_blocks_sort() */
};

/* Late samples that a block has, still in the head for those who look without that block. */
struct late_saved {
    bool is_waiting;
    struct head_late_mark mark;
    int64_t mint, maxt;
    uint64_t state; /* the first that has the block */
};

struct db {
    struct storage_source source; /* first: a query's handle is a pointer to it */

    /* Constant after db_open(). */
    char dir[DB_PATH_BYTES_MAX];
    struct db_options options;
    int64_t block_range_ms;
    struct file *lock;
    struct head *head;
    uint64_t quarantined;

    pthread_mutex_t view_mutex; /* guards the states; nothing else is taken under it */
    struct db_state *current;   /* holds one reference */
    struct db_state *states;
    uint64_t state_count; /* ever */

    pthread_mutex_t wake_mutex; /* guards `wake_wanted` */
    pthread_cond_t wake;
    bool wake_wanted;
    pthread_t keeper;
    bool keeper_runs; /* db_open() and db_close() only */
    atomic_bool stopping;
    atomic_bool late_is_full; /* late samples are to go into blocks now */

    pthread_mutex_t compact_wake_mutex; /* guards `compact_wake_wanted` */
    pthread_cond_t compact_wake;
    bool compact_wake_wanted;
    pthread_t compactor;
    bool compactor_runs; /* db_open() and db_close() only */

    pthread_mutex_t compact_mutex; /* whoever merges; before keeper_mutex; guards the two below */
    uint64_t compact_failures_row; /* since the last success */
    mono_time compact_not_before;
    _Atomic uint32_t
        compact_waiting; /* a merge in work is given up while somebody waits for the mutex */

    /* Whoever publishes: one maintains, or the compactor for a moment. Guards the fields below. */
    pthread_mutex_t keeper_mutex;
    int64_t truncated_ms; /* up to here the head has forgotten */
    bool last_cut_empty;
    struct late_saved late;
    bool late_is_due; /* there was a cut since late samples were last written into blocks */
    uint64_t cut_failures_row; /* since the last success */
    mono_time cut_not_before;
    bool store_failed; /* at the last try: told once */
    bool clock_known;
    int64_t clock_offset_ms;   /* wall less monotonic time at the last look */
    mono_time careful_until;   /* retention is slow until then: the clock jumped */
    int64_t trusted_offset_ms; /* like clock_offset_ms, as it was before the clock jumped */

    char (*strays)[BLOCK_ULID_BYTES]; /* see db_block_disown(); under view_mutex */
    size_t stray_count, stray_capacity;

    _Atomic int64_t retention_ms;
    _Atomic uint64_t retention_bytes;
    _Atomic uint32_t retention_ppm; /* of the disk; 0 = none */
    _Atomic uint64_t blocks_cut, blocks_deleted, cut_failures, columns_damaged, compactions,
        compactions_failed; /* relaxed: statistics */
};

/* Tells the operator. */
void db_log(struct db *db, bool is_error, const char *event, const char *format, ...)
    PRINTF_LIKE(4, 5);

/* Columns were left out as damaged: counted, and logged when nobody was told before. Any thread. */
void db_note_damage(struct db *db, uint64_t columns, const struct error *problem, bool is_news);

/* A reference to the state in force; db_state_unref() when done. Any thread. */
struct db_state *db_state_pin(struct db *db);
void db_state_unref(struct db *db, struct db_state *state);
/* Makes a state of these blocks (a reference is taken on each, and on the deletions) the one in force. Under
 * keeper_mutex. */
void db_state_publish(struct db *db, struct block *const *blocks, size_t count, int64_t floor_ms,
                      struct head_deletions *head_deletions);
/* By time, and that is the order of preference where they overlap: the one that begins first, of two that
 * begin together the one whose oldest source is the older. */
void db_blocks_sort(struct block **blocks, size_t count);
/* Opens a block that was just written (*out NULL when it has no samples). When that fails the caller disowns it. */
MUST_USE bool db_block_adopt(struct db *db, const struct block_meta *meta, struct block **out,
                             struct error *err);
/* A block in the folder that is in no state and must not be found at the next start: its samples are somewhere else,
 * and may be deleted there. Removed; what cannot be removed now is remembered. Any thread. */
void db_block_disown(struct db *db, const char *ulid);
/* Tries those again. False while one is left: then nothing may be deleted. Under keeper_mutex. */
MUST_USE bool db_strays_remove(struct db *db, struct error *err);
/* A block that no state has any more: gives it another name, under which the next start removes it; queries
 * that hold it go on reading. */
MUST_USE bool db_block_retire(struct db *db, const struct block_meta *meta, struct error *err);
/* And removes its files. Logs that, with the reason, or why it could not. */
void db_block_erase(struct db *db, const struct block_meta *meta, const char *reason);
/* The lowest floor, and the lowest number, of all living states. */
int64_t db_state_floor_min(struct db *db);
uint64_t db_state_oldest(struct db *db);

/* keeper_late.c; whoever maintains.
 * Forgets what the last block took along, when nobody looks for it in the head any more; false while somebody does. */
bool keeper_late_forget(struct db *db);
/* After a block with the head's late samples of [mint, maxt) from before the mark was published. */
void keeper_late_published(struct db *db, const struct head_late_mark *mark, int64_t mint,
                           int64_t maxt);
/* Writes late samples below the floor into blocks of their own, and when they take too much memory cuts the head
 * where they end. What a query holds back is left for the next time. */
MUST_USE bool keeper_late_save(struct db *db, struct error *err);
/* keeper.c: writes [mint, maxt) of the head (late_only: of its late samples, below the floor) into a block and
 * publishes that. */
MUST_USE bool keeper_cut(struct db *db, int64_t mint, int64_t maxt, bool late_only,
                         struct error *err);
/* Forgets what lies below the floor of all states. */
void keeper_truncate(struct db *db);

/* Wakes the keeper. Any thread. */
void keeper_wake(struct db *db);
/* Writes all that the head shows as a block into `dir`, nothing when there is nothing. Under keeper_mutex. */
MUST_USE bool keeper_write_head(struct db *db, const char *dir, struct error *err);
MUST_USE bool keeper_start(struct db *db, struct error *err);
/* Joins; a cut in work is given up. */
void keeper_stop(struct db *db);

MUST_USE bool compactor_start(struct db *db, struct error *err);
/* After db->stopping was set: joins; a merge in work is given up. */
void compactor_stop(struct db *db);
/* Blocks have come. Any thread. */
void compactor_wake(struct db *db);
/* No merge begins or goes on until compactor_resume(). Any thread. */
void compactor_pause(struct db *db);
void compactor_resume(struct db *db);

struct storage_view *db_view_pin(struct storage_source *source, int64_t mint, int64_t maxt,
                                 struct error *err);

#endif
