/* SPDX-License-Identifier: Apache-2.0 */
/* db_private.h: what db.c (life), db_view.c (queries) and keeper.c (cut, retention) share.
 *
 * The one mechanism of reclamation: what queries see of the folder is a db_state, the list of blocks and
 * the oldest time that the head answers for. It never changes; the keeper publishes a new one. A query
 * holds the state it began with, so its blocks stay open and the head keeps what lies above its floor:
 * head_truncate() goes no further than the lowest floor of all living states. */
#ifndef BELFRY_STORAGE_DB_PRIVATE_H
#define BELFRY_STORAGE_DB_PRIVATE_H

#include "base/clock.h"
#include "base/file.h"
#include "storage/block_private.h"
#include "storage/db.h"
#include "storage/head.h"

#include <pthread.h>

enum { DB_PATH_BYTES_MAX = BLOCK_PATH_BYTES_MAX };

struct db_state {
    struct db_state *next, *previous; /* all living states; guarded by db->view_mutex, like refs */
    size_t refs;
    int64_t floor_ms; /* below it blocks answer, from it on the head */
    size_t block_count;
    struct block *blocks[]; /* one reference each; ascending by mint */
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

    pthread_mutex_t wake_mutex; /* guards `wake_wanted` */
    pthread_cond_t wake;
    bool wake_wanted;
    pthread_t keeper;
    bool keeper_runs; /* db_open() and db_close() only */
    atomic_bool stopping;

    pthread_mutex_t keeper_mutex; /* whoever maintains; guards the fields below */
    int64_t truncated_ms;         /* up to here the head has forgotten */
    bool last_cut_empty;
    uint64_t cut_failures_row; /* since the last success */
    mono_time cut_not_before;
    bool clock_known;
    int64_t clock_offset_ms; /* wall less monotonic time at the last look */
    mono_time careful_until; /* retention is slow until then: the clock jumped */

    _Atomic int64_t retention_ms;
    _Atomic uint64_t retention_bytes;
    _Atomic uint64_t blocks_cut, blocks_deleted, cut_failures,
        columns_damaged; /* relaxed: statistics */
};

/* Tells the operator. */
void db_log(struct db *db, bool is_error, const char *event, const char *format, ...)
    PRINTF_LIKE(4, 5);

/* A reference to the state in force; db_state_unref() when done. Any thread. */
struct db_state *db_state_pin(struct db *db);
void db_state_unref(struct db *db, struct db_state *state);
/* Makes a state of these blocks (a reference is taken on each) the one in force. Keeper. */
void db_state_publish(struct db *db, struct block *const *blocks, size_t count, int64_t floor_ms);
/* The lowest floor of all living states. */
int64_t db_state_floor_min(struct db *db);

/* Wakes the keeper. Any thread. */
void keeper_wake(struct db *db);
MUST_USE bool keeper_start(struct db *db, struct error *err);
/* Joins; a cut in work is given up. */
void keeper_stop(struct db *db);

struct storage_view *db_view_pin(struct storage_source *source, int64_t mint, int64_t maxt,
                                 struct error *err);

#endif
