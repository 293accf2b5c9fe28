/* SPDX-License-Identifier: Apache-2.0 */
/* db.h: the data folder: head, WAL and blocks as one thing that is written by appenders (appender.h),
 * read by queries (cursor.h) and tended by two threads: keeper (cut, retention) and compactor.
 *
 *   lock                 flock: one process
 *   head/series.log      head/wal/N              see wal.c
 *   head/extents/N       sealed rows             see extent_store.c
 *   <ULID>/              blocks: meta.json, index, columns; see block.c
 *   snapshots/<name>/    copies; see db_snapshot.c
 *   quarantine/          what was damaged, never deleted
 */
#ifndef BELFRY_STORAGE_DB_H
#define BELFRY_STORAGE_DB_H

#include "base/attributes.h"
#include "base/buffer.h"
#include "base/error.h"
#include "base/pool.h"
#include "model/metric_type.h"
#include "storage/cursor.h"

#include <stdbool.h>
#include <stdint.h>

struct db;

struct db_options {
    int64_t block_range_ms;       /* 0 = 2 h; rounded down to whole seconds, at least one */
    int64_t retention_ms;         /* 0 = 15 d, negative = no limit by time */
    uint64_t retention_bytes;     /* 0 = no limit */
    int64_t block_ms_max;         /* of merged blocks; 0 = a tenth of the retention, at most 31 d */
    int64_t wal_sync_interval_ms; /* 0 = 1000; DB_SYNC_EACH, DB_SYNC_OFF */
    uint64_t wal_segment_bytes;   /* 0 = 128 MiB */
    size_t series_max;            /* 0 = unlimited; beyond it new series are refused */
    /* The cardinality guard (series_guard.h); 0 = no limit. Past one, new series are folded. */
    uint64_t series_per_job_max, series_per_metric_max;
    uint64_t new_series_per_job_max; /* in ten minutes */
    uint64_t memory_bytes_max;       /* near it no new series are made */
    int64_t exemplars_max;           /* 0 = 100000; negative: none are kept */
    int64_t out_of_order_window_ms; /* 0 = 24 h, negative = off; see db_set_out_of_order_window() */
    uint64_t late_bytes_max;  /* of late samples; beyond it they go into blocks early. 0 = 64 MiB */
    bool take_future;         /* also more than 10 minutes after the wall clock (imports, tests) */
    bool maintain_when_asked; /* nothing but by db_maintain() and db_compact() */
    /* Called from any thread with something an operator should know. May be NULL. */
    void (*log)(void *arg, bool is_error, const char *event, const char *text);
    void *log_arg;
};
#define DB_SYNC_EACH (-1)
#define DB_SYNC_OFF (-2)

/* Opens or makes the data folder, replays, starts the WAL and keeper threads. Borrows pool (NULL: no
 * parallel work). Errors: ERROR_BUSY (locked by another process), ERROR_IO (read only ...),
 * ERROR_NO_SPACE. Damage is not an error: what can be read is served, the rest goes to quarantine/. */
MUST_USE bool db_open(struct db **out, const char *dir, const struct db_options *opts,
                      struct pool *pool, struct error *err);
/* Writes and syncs what is queued, stops the threads. All groups and views must be gone. */
MUST_USE bool db_close(struct db *db, struct error *err);
struct storage_source *db_as_source(struct db *db);

/* Waits until all commits so far are visible (tests, shutdown). */
void db_flush(struct db *db);
/* Waits until all commits so far are written as --storage.wal.sync wants it and visible. False (ERROR_NO_SPACE,
 * ERROR_BUSY): writing has stopped; what was committed is kept and written when that is over. Any thread. */
MUST_USE bool db_wait_written(struct db *db, struct error *err);
/* Cuts and applies retention now instead of at the keeper's next look; for tests and admin. */
MUST_USE bool db_maintain(struct db *db, struct error *err);
/* Merges what is due (compact_plan.h) now. Not beside db_maintain(): it may run for minutes, while cuts,
 * retention and queries go on. ERROR_CANCELED when a deletion or the end came between. */
MUST_USE bool db_compact(struct db *db, struct error *err);
/* Deletes the samples in [mint, maxt] of all series that match one of the selectors, in force and on disk when it
 * returns. After an error some of it may be. Any thread; waits while a block is cut. */
struct db_selector {
    const struct matcher *matchers; /* all must match */
    size_t count;
};
MUST_USE bool db_delete(struct db *db, const struct db_selector *sets, size_t set_count,
                        int64_t mint, int64_t maxt, struct error *err);
/* Writes blocks that have deletions again, without what is deleted. May run for minutes. */
MUST_USE bool db_clean_tombstones(struct db *db, struct error *err);
/* A copy in DIR/snapshots/name. skip_head: without what is in no block yet. */
enum { DB_SNAPSHOT_NAME_BYTES = 64 };
MUST_USE bool db_snapshot(struct db *db, bool skip_head, char name[DB_SNAPSHOT_NAME_BYTES],
                          struct error *err);
/* Appends the blocks as JSON, an array of what Prometheus' meta.json says, ascending by time. */
void db_blocks_json(struct db *db, struct buffer *out);
void db_set_retention(struct db *db, int64_t retention_ms, uint64_t retention_bytes);
/* Bytes as a share of the disk, whatever its size is then; goes before retention_bytes. 0 = none. */
void db_set_retention_percentage(struct db *db, double percentage);
/* Samples up to this much older than the newest one are taken in any order; 0 = 24 h, negative = off: then a series
 * takes only what is after its last sample. Any thread. */
void db_set_out_of_order_window(struct db *db, int64_t window_ms);

/* Exemplars of all series (exemplars.h), until db_close(). Any thread. */
struct exemplars *db_exemplars(struct db *db);

/* Numbers for /metrics and status/tsdb. Any thread. */
struct db_stats {
    uint64_t head_series, head_chunks, head_groups, head_series_created, head_series_removed;
    int64_t head_mint, head_maxt; /* INT64_MAX, INT64_MIN when empty */
    /* Taken, and how many of these were late; then what was refused: another value was there, a newer sample was there
     * (and the window is off), before all that is taken while it is off, before the window, after the clock. */
    uint64_t samples_appended, samples_out_of_order;
    uint64_t samples_duplicate, samples_order_refused, samples_out_of_bounds, samples_too_old,
        samples_in_future;
    uint64_t late_bytes; /* memory of late samples that wait for a block */
    uint64_t stale_markers;
    uint64_t wal_bytes_written, wal_fsyncs, wal_segment, wal_queue_length;
    uint64_t wal_disk_bytes;  /* of all segments */
    uint64_t wal_corruptions; /* damaged places in WAL, series log and extent files */
    uint64_t extent_files, extent_bytes, extent_bytes_written; /* sealed rows before a block */
    uint64_t extent_failures; /* attempts to write them; tried again */
    uint64_t blocks, blocks_bytes, blocks_cut, blocks_deleted, cut_failures;
    uint64_t compactions, compactions_failed;
    int64_t lowest_time;
    double replay_seconds, last_fsync_seconds;
    uint64_t columns_damaged;    /* reads that had to leave a column out */
    uint64_t blocks_quarantined; /* at the last start */
    uint64_t symbol_table_bytes, disk_bytes;
    bool ingest_stopped; /* disk full or failed fsync */
};
void db_stats_get(struct db *db, struct db_stats *out);

/* What the cardinality guard did. Text in the arena. */
struct db_guard {
    uint64_t series_max, series_per_job_max, series_per_metric_max, new_series_per_job_max,
        memory_bytes_max; /* the limits in force; 0 = none */
    struct db_guard_culprit {
        struct view job, metric; /* both empty: those that are told apart no more */
        uint64_t refused;        /* series folded, each time that it was asked */
    } * culprits;
    size_t culprit_count;
};
void db_guard_get(struct db *db, struct arena *arena, struct db_guard *out);

/* Top lists of status/tsdb over the head. */
struct db_top_item {
    struct view name; /* in the arena */
    uint64_t value;
};
struct db_top {
    struct db_top_item *series_by_metric, *values_by_label, *bytes_by_label, *series_by_pair;
    size_t series_by_metric_count, values_by_label_count, bytes_by_label_count,
        series_by_pair_count;
    uint64_t label_pairs;
};
void db_top_get(struct db *db, size_t limit, struct arena *arena, struct db_top *out);

/* Metadata the groups reported: calls back once per distinct (family, type, help, unit). */
typedef bool (*db_metadata_visit)(void *arg, const struct metric_metadata *m);
void db_metadata_each(struct db *db, db_metadata_visit visit, void *arg);
/* As group_set_metadata() (appender.h), from whoever has no group for it. Any thread. */
void db_add_metadata(struct db *db, const struct metric_metadata *m);
/* That of group_set_metadata(); what it shows is borrowed until db_close(). Any thread. */
MUST_USE bool db_metadata_get(struct db *db, uint32_t number, struct metric_metadata *out);

#endif
