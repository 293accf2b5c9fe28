/* SPDX-License-Identifier: Apache-2.0 */
/* exemplars_private.h: what exemplars.c (ring, queries) and exemplars_log.c (log) share. */
#ifndef BELFRY_STORAGE_EXEMPLARS_PRIVATE_H
#define BELFRY_STORAGE_EXEMPLARS_PRIVATE_H

#include "base/clock.h"
#include "base/file.h"
#include "base/map.h"
#include "base/thread.h"
#include "storage/exemplars.h"

enum { EXEMPLAR_PATH_BYTES = 4096 };
#define EXEMPLAR_NONE UINT64_MAX
/* Records wait for the log's thread up to here; beyond it the log is written anew instead. */
#define EXEMPLAR_PENDING_BYTES_MAX ((size_t)128 << 20)

/* Label sets are kept, and logged, as {varint length, name, varint length, value}, sorted by name. */
struct exemplar_entry {
    uint64_t next; /* number of the series' next newer one; EXEMPLAR_NONE */
    int64_t timestamp_ms;
    double value;
    char *labels;
    uint32_t labels_bytes;
    uint32_t series;
    bool has_timestamp;
};

struct exemplar_series {
    uint64_t ref;            /* in the log; never used for another */
    uint64_t hash;           /* labels_hash() */
    uint64_t oldest, newest; /* numbers of entries; EXEMPLAR_NONE: there are none */
    char *labels;            /* NULL: the place is free, next_free is the next such */
    uint32_t labels_bytes;
    uint32_t process_id; /* the writer's, to find it without its labels; UINT32_MAX: not known */
    uint32_t next_free;
};

struct exemplars {
    /* Constant after exemplars_open(). */
    char *log_path, *quarantine_dir;
    int64_t sync_interval_ms;
    void (*log)(void *arg, bool is_error, const char *event, const char *text);
    void *log_arg;

    pthread_mutex_t mutex;       /* guards all down to the writer's */
    struct exemplar_entry *ring; /* entry number n is at n % ring_capacity */
    uint32_t ring_capacity, count, max;
    uint64_t first; /* number of the oldest */
    struct exemplar_series *series;
    size_t series_capacity;
    uint32_t series_count, series_free, series_live; /* free: UINT32_MAX = none */
    uint32_t series_kept;                            /* not freed when it has no exemplar */
    struct map by_hash;
    uint64_t next_ref;
    uint64_t bytes, bytes_max; /* of labels */
    uint64_t appended, out_of_order, log_bytes, log_failures;

    struct buffer pending;    /* whole records, not sealed */
    size_t record;            /* where the open one begins; SIZE_MAX: none is open */
    uint64_t queued, written; /* additions that were logged; those on disk */
    bool rewrite_wanted, broken, stopping, thread_runs;
    pthread_cond_t wake, done;

    /* The log's thread; before it runs and after it has ended whoever opens and closes. */
    pthread_t thread;
    struct file *file;
    uint64_t next_sequence, rewrite_over_bytes;
    bool unsynced;
    mono_time synced;
};

/* ---- exemplars.c, under the mutex ---- */

struct exemplar_entry *exemplar_entry(const struct exemplars *x, uint64_t number);
/* The series with these labels (in both forms), made when new; UINT32_MAX: never. */
uint32_t exemplar_series_get(struct exemplars *x, uint64_t hash, struct labels labels,
                             bool *is_new);
enum exemplar_added exemplar_add(struct exemplars *x, uint32_t series,
                                 const struct exemplar_entry *e);
/* Into the arena. False when the bytes are no label set. */
MUST_USE bool exemplar_labels_decode(struct view bytes, struct arena *arena, struct labels *out);
void exemplar_labels_encode(struct buffer *out, struct labels ls);

/* ---- exemplars_log.c ---- */

/* Under the mutex: what was added, behind each other, then the end of it. */
void exemplar_log_series(struct exemplars *x, const struct exemplar_series *s);
void exemplar_log_entry(struct exemplars *x, const struct exemplar_entry *e);
void exemplar_log_commit(struct exemplars *x);
/* The bytes of a log into an empty ring. */
MUST_USE bool exemplar_log_decode(struct exemplars *x, struct view bytes, struct error *err);
MUST_USE bool exemplar_log_replay(struct exemplars *x, struct error *err);
/* Starts the thread; whoever set thread_runs does. Without the mutex. */
void exemplar_log_start(struct exemplars *x);
void exemplar_log_stop(struct exemplars *x);
/* Waits until what was queued is written, the log is broken, or for some seconds. */
void exemplar_log_flush(struct exemplars *x);

#endif
