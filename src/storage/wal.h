/* SPDX-License-Identifier: Apache-2.0 */
/* wal.h: the thread that writes what was committed, then publishes it. Design and failures: wal.c. */
#ifndef BELFRY_STORAGE_WAL_H
#define BELFRY_STORAGE_WAL_H

#include "base/attributes.h"
#include "base/buffer.h"
#include "base/error.h"

#include <stdbool.h>
#include <stdint.h>

struct group;
struct late_run;
struct wal;

/* Takes bytes of a file that is being made. */
typedef bool (*wal_log_sink)(void *sink_arg, struct view bytes, struct error *err);

/* What a record holds. */
struct wal_commit {
    struct group *group;   /* NULL: nothing to publish */
    struct late_run *late; /* samples that came late (the group keeps them); NULL: a row */
    uint64_t row;
    int64_t
        timestamp_ms; /* of the row, or of the newest late sample; INT64_MIN = neither: a note on late samples */
};

struct wal_owner {
    /* Series-log records that must be on disk before the rows queued so far. WAL thread. */
    void (*take_log)(void *arg, struct buffer *out);
    /* Writes a whole new series log (unsealed records). What take_log would give is included. */
    bool (*write_log)(void *arg, wal_log_sink sink, void *sink_arg, struct error *err);
    /* It was written: make it visible. WAL thread, no lock held. */
    void (*publish)(void *arg, const struct wal_commit *what);
    void (*log)(void *arg, bool is_error, const char *event, const char *text);
    void *arg;
};

struct wal_options {
    const char *dir;          /* DIR/head, which exists, with wal/ in it */
    uint64_t segment_bytes;   /* 0 = 128 MiB; or 5 minutes, whichever comes first */
    int64_t sync_interval_ms; /* 0 = 1000; DB_SYNC_EACH, DB_SYNC_OFF */
};

/* What replay found. */
struct wal_segment {
    uint64_t number, bytes;
    int64_t maxt;      /* of its samples; INT64_MIN = none */
    bool continues;    /* has rows whose key row is in the segment before */
    int64_t late_maxt; /* of its late samples; INT64_MIN = none */
    bool has_saved;    /* a note on late samples of earlier segments is: it goes after them */
};
struct wal_recovered {
    struct wal_segment *segments; /* taken by wal_start */
    size_t count, capacity;
    uint64_t last_segment, last_sequence;
    uint64_t log_last_sequence;
    uint64_t
        late_saved; /* late samples in segments below are in blocks, as the last record says that says so */
    int64_t late_saved_floor; /* ... as far as they are older */
};

MUST_USE bool wal_start(struct wal **out, const struct wal_options *opts,
                        const struct wal_owner *owner, struct wal_recovered *found,
                        struct error *err);
/* Writes and syncs what is queued. `w` is gone either way. NULL is fine. */
MUST_USE bool wal_stop(struct wal *w, struct error *err);

/* False with ERROR_NO_SPACE or ERROR_BUSY while nothing can be written. Any thread, no lock taken. */
MUST_USE bool wal_accepts(const struct wal *w, struct error *err);
/* The segment that rows encoded now will go to. */
uint64_t wal_segment_now(const struct wal *w);
#define WAL_SEGMENT_ANY UINT64_MAX /* a record that no other one needs */

enum wal_submit {
    WAL_SUBMITTED,
    WAL_OTHER_SEGMENT, /* encode again: `segment` is no longer the one that is written */
    WAL_TOO_OLD,       /* a row below what wal_refuse_below() said */
    WAL_REFUSED        /* err says why */
};
/* `record` is a whole unsealed record. `wait`: returns when it is written, or refused and not written.
 * Blocks while the queue is full. */
enum wal_submit wal_submit(struct wal *w, struct view record, uint64_t segment,
                           const struct wal_commit *what, bool wait, struct error *err);

/* Rows below are refused from now on (WAL_TOO_OLD); those queued before are not, nor are late samples. */
void wal_refuse_below(struct wal *w, int64_t timestamp_ms);
/* Waits until all queued rows are visible; false (ERROR_NO_SPACE, ERROR_BUSY) when writing has stopped and
 * some are not. */
MUST_USE bool wal_flush(struct wal *w, struct error *err);
/* Begins a new segment with the next record; returns its number. What was queued before is in earlier ones, unless
 * writing has stopped. */
uint64_t wal_rotate(struct wal *w);
/* Late samples before `floor_ms` in segments below are in blocks; with INT64_MAX all are, or stand in later segments
 * again. Neither goes back. */
void wal_late_saved(struct wal *w, uint64_t segment, int64_t floor_ms);
/* The lowest segment with late samples that are not saved; UINT64_MAX = none. It must stay. */
uint64_t wal_late_lowest(struct wal *w);
/* Rotates, and forgets whole segments whose samples are all below; those with late samples only when these are
 * saved. */
MUST_USE bool wal_drop_below(struct wal *w, int64_t timestamp_ms, struct error *err);
/* Forgets whole segments below this number: nobody needs their rows. Those with late samples stay (above). */
MUST_USE bool wal_drop_before(struct wal *w, uint64_t segment, struct error *err);
/* Rows that need a segment below this one keep too much on disk: seal them. 0 = none do. */
uint64_t wal_segment_too_old(struct wal *w);
/* Rewrites the series log; waits for it. */
MUST_USE bool wal_rewrite_log(struct wal *w, struct error *err);

struct wal_stats {
    uint64_t bytes_written, fsyncs, segment, queue_length, disk_bytes;
    double last_fsync_seconds;
    bool stopped;
};
void wal_stats_get(struct wal *w, struct wal_stats *out);

#endif
