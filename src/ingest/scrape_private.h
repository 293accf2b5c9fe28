/* SPDX-License-Identifier: Apache-2.0 */
/* scrape_private.h: what the files of the scraper share.
 *
 *   scrape.c           manager: what a new set of targets changes, snapshots for the API, numbers
 *   target_set.c       the targets of a configuration and of what was discovered
 *   client.c           HTTP client options, tokens, redirects; client_proxy.c, client_token.c
 *   scrape_thread.c    one thread: when which target is due, sockets, timers, commands
 *   scrape_transfer.c  one request: options, headers, limits, redirects
 *   scrape_negotiate.c the format it asks for, and the one that came
 *   scrape_body.c      its body: gzip, size
 *   scrape_append.c    the body as a row of the target's group
 *   scrape_timed.c     samples with timestamps of their own, as rows of other groups
 *   target.c           what is scraped
 *   line_cache.c       lines of the last scrape */
#ifndef BELFRY_INGEST_SCRAPE_PRIVATE_H
#define BELFRY_INGEST_SCRAPE_PRIVATE_H

#include "base/arena.h"
#include "base/buffer.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/map.h"
#include "ingest/client.h"
#include "ingest/failure_log.h"
#include "ingest/line_cache.h"
#include "ingest/scrape.h"
#include "ingest/scrape_body.h"
#include "ingest/target.h"
#include "storage/appender.h"

#include <curl/curl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum {
    SCRAPE_LANE_TARGETS_MAX =
        128,                 /* libcurl's cost per transfer grows with a multi's connections */
    SCRAPE_REPORT_COUNT = 8, /* up ... and the three that extra_scrape_metrics adds */
    SCRAPE_HEADER_LINE_BYTES_MAX = 16 * 1024,
    SCRAPE_HEADER_BYTES_MAX = 64 * 1024,
    SCRAPE_HEADER_COUNT_MAX = 128,
    SCRAPE_HELP_BYTES_MAX = 4096,
    SCRAPE_FOLDED_ASK_MS =
        60000, /* of lines over a limit of series so many are asked for so often */
    SCRAPE_FOLDED_ASK_MAX = 10000,
    SCRAPE_FAMILIES_MAX = 1 << 16 /* of a target, that targets/metadata shows */
};

struct scrape_thread;
struct scrape_lane;
struct scrape_transfer;

/* Statistics: relaxed. */
struct scrape_counters {
    _Atomic uint64_t targets_failed, syncs, sync_ns, scrapes, scrape_ns, scrapes_late;
    _Atomic uint64_t failures[SCRAPE_FAILURE_COUNT];
    _Atomic uint64_t samples, body_bytes, lines_known, lines_parsed;
    _Atomic uint64_t exceeded_sample_limit, exceeded_label_limits, exceeded_body_size_limit;
    _Atomic uint64_t samples_duplicate, samples_out_of_order, series_refused, series_outsized;
    _Atomic uint64_t exemplars_out_of_order;
    _Atomic int64_t cache_bytes;
};
#define COUNT(counter, n) atomic_fetch_add_explicit(&(counter), (n), memory_order_relaxed)

/* A group of series that share timestamps. Scrape thread only. */
struct timed_group {
    struct group *group;
    uint32_t generation;
    int64_t last_ms;                 /* of its newest row; INT64_MIN: none since it was opened */
    struct exemplar_batch exemplars; /* of the scrape at hand */
    bool used, parted; /* a line has it (see know_used()); its lines do not agree any more */
    bool seen,
        live; /* in the scrape at hand; its series did not get stale markers since they had samples */
};

/* One target being scraped. */
struct scrape {
    _Atomic uint32_t refs;        /* its thread, and sets of targets */
    struct scrape_thread *thread; /* constant */
    struct client_tokens *tokens; /* constant; the manager's */

    pthread_mutex_t mutex; /* guards what the API shows */
    char *last_error;      /* NULL: none */
    wall_time last_scrape;
    double last_duration_seconds;
    enum scrape_health health;
    uint32_t *metadata; /* numbers of what its families say */
    size_t metadata_count;

    /* Scrape thread only. */
    struct target *target; /* referenced; a reload puts another in its place */
    uint64_t series_hash;  /* target_job_series_hash() that the line cache is for */
    struct scrape_lane *lane;
    mono_time due;
    mono_time tick;                   /* the due time that the last scrape was for */
    bool tick_waits;                  /* one came while the scrape before was on its way */
    size_t heap_idx;                  /* SIZE_MAX: not in the heap */
    size_t all_idx;                   /* in its thread's list of all */
    wall_time planned;                /* of the last scrape; ms = 0 before the first */
    struct scrape_transfer *transfer; /* NULL: idle */
    bool now, now_running;            /* scrape_manager_scrape_now() waits for it */
    bool over_target_limit;           /* the job has more targets than it may: no scrape, up = 0 */
    struct group *group;              /* NULL until needed */
    uint32_t group_generation;
    struct timed_group *timed;
    size_t timed_capacity;
    uint32_t timed_count;
    struct line_cache cache;
    enum exposition_format format; /* of the bodies that the lines are from */
    struct line_cache
        forgotten; /* lines from before a reload: their slots go when they are not in the next row */
    int64_t cache_bytes_counted;
    uint32_t report_slots[SCRAPE_REPORT_COUNT];
    bool report_slots_known;
    wall_time last_row;     /* when series_written */
    mono_time folded_asked; /* when series over a limit were last asked for again */
    bool series_written;    /* since the group was opened: a last row of stale markers is due */
    size_t body_bytes;      /* of the last scrape: what to reserve for the next */
};
struct scrape *scrape_ref(struct scrape *s);
void scrape_unref(struct scrape *s); /* NULL does nothing */

/* What a scrape was, for its row and for the API. */
struct scrape_outcome {
    bool failed;
    enum scrape_failure kind; /* when failed */
    struct error err;         /* when failed */
    wall_time timestamp;      /* of the row */
    mono_time start;
    enum exposition_format format; /* of the body */
    int64_t body_bytes;            /* -1: over the limit */
    uint64_t scraped, kept, added; /* samples; after relabelling; of new series */
};

/* A sample with a timestamp of its own, until its row is written. */
struct timed_sample {
    int64_t timestamp_ms;
    uint32_t slot, order; /* slot: of the line, with its group in it */
    double value;
};

/* Those of the scrape at hand. */
struct timed_samples {
    struct timed_sample *items;
    size_t count, capacity;
    struct timed_cluster *clusters;
    size_t cluster_count, cluster_capacity;
    struct map by_timestamp; /* numbers of clusters */
    bool used_known;
    struct timed_gone *gone;
    size_t gone_count, gone_capacity;
};

/* What a thread lends to the scrape at hand. */
struct scrape_workspace {
    struct line_scratch lines;
    struct arena arena; /* of one line */
    struct timed_samples timed;
    uint64_t *released; /* bits by slot: given back already */
    size_t released_capacity;
    uint32_t *metadata;
    size_t metadata_count, metadata_capacity;
};
void scrape_workspace_deinit(struct scrape_workspace *w);

/* scrape_append.c, scrape thread. Writes the row of a scrape. Body is empty when outcome->failed already;
 * else a bad body makes it failed. */
void scrape_append(struct scrape *s, struct scrape_workspace *w, struct db *db,
                   struct scrape_counters *counters, struct view body,
                   struct scrape_outcome *outcome);
/* A last row: stale markers for all that was. */
void scrape_append_end(struct scrape *s);
/* Lines mean other series from now on. slots_hold: the old ones are to be given back after the next row. */
void scrape_forget_lines(struct scrape *s, struct scrape_counters *counters, bool slots_hold);

/* scrape_timed.c, scrape thread; in this order within a scrape. */
void timed_begin(struct timed_samples *t);
void timed_deinit(struct timed_samples *t);
/* False when slots were renumbered: the lines must be forgotten. */
bool timed_check_generations(struct scrape *s);
/* The slot for a new line that came with this timestamp. */
MUST_USE bool timed_slot(struct scrape *s, struct timed_samples *t, struct db *db,
                         struct arena *arena, struct labels ls, int64_t timestamp_ms,
                         uint32_t *slot, struct error *err);
/* A sample for its line's slot. */
void timed_add(struct timed_samples *t, uint32_t slot, int64_t timestamp_ms, double value);
/* An exemplar of a sample that was added. */
void timed_exemplar(struct scrape *s, uint32_t slot, const struct exemplar *e);
/* Forgets them: the scrape failed. */
void timed_drop_exemplars(struct scrape *s);
/* Writes the rows. What storage does not take is counted, as in Prometheus. */
void timed_append(struct scrape *s, struct timed_samples *t, int64_t scrape_ms,
                  struct scrape_counters *counters);
/* Ends all these series with stale markers at this time, where the job wants that (track_timestamps_staleness). */
void timed_end(struct scrape *s, int64_t scrape_ms);
/* Gives back the slots of lines that are gone, and forgets lines that have to move to another group. */
void timed_release(struct scrape *s, struct timed_samples *t, const struct line_entry *gone,
                   size_t count);
void timed_close(struct scrape *s);

/* One request on its way. */
struct scrape_transfer {
    CURL *easy;
    struct scrape *scrape;
    struct target *target; /* referenced: a reload may come meanwhile */
    struct client client;
    char *redirect;     /* where the request at hand was sent on to; NULL: the target's URL */
    struct buffer body; /* lent by the thread */
    struct scrape_body decoder;
    wall_time timestamp;
    mono_time start;
    struct error err; /* from a callback that stopped the transfer */
    bool stopped;
    enum scrape_failure kind; /* when stopped */
    bool body_begun;
    /* Of the answer at hand. */
    size_t header_bytes, header_count, error_bytes;
    bool has_length, has_transfer_encoding, gzip, bad_encoding;
    struct view content_type; /* in content_type_text */
    char content_type_text[256], encoding_text[64], status_text[128];
    char curl_error[CURL_ERROR_SIZE];
    struct scrape_transfer *next; /* in a list of idle ones */
};

/* scrape_transfer.c, scrape thread. Sets everything up for one request. On error the outcome says why and
 * nothing has to be undone but scrape_transfer_reset(). */
MUST_USE bool scrape_transfer_begin(struct scrape_transfer *t, struct scrape *s, struct error *err);
/* After libcurl is done with it: true when the answer redirects and the handle is set up for the next
 * request. Else the outcome is filled in; its body is t->body. */
bool scrape_transfer_end(struct scrape_transfer *t, CURLcode code, struct scrape_outcome *outcome);
/* Ready for another target. */
void scrape_transfer_reset(struct scrape_transfer *t);
struct scrape_transfer *scrape_transfer_new(void); /* NULL when libcurl has no memory */
void scrape_transfer_free(struct scrape_transfer *t);

/* scrape_thread.c. */
enum scrape_command_kind {
    SCRAPE_ADD,    /* takes references of scrape and target */
    SCRAPE_UPDATE, /* takes the reference of target */
    SCRAPE_REMOVE, /* takes back the thread's scrape */
    SCRAPE_NOW
};
struct scrape_command {
    enum scrape_command_kind kind;
    struct scrape *scrape;
    struct target *target;
    uint64_t series_hash; /* target_job_series_hash() of the target's job */
    bool over_target_limit;
};
struct scrape_thread_shared {
    struct db *db;
    struct scrape_counters *counters;
    struct failure_logs *failures;
    /* Called when all targets were scraped after SCRAPE_NOW. */
    void (*now_done)(void *arg);
    void *arg;
};
MUST_USE bool scrape_thread_start(struct scrape_thread **out,
                                  const struct scrape_thread_shared *shared, struct error *err);
/* Any thread; returns at once. */
void scrape_thread_send(struct scrape_thread *t, const struct scrape_command *commands,
                        size_t count);
/* Joins. Scrapes are given back without stale markers. */
void scrape_thread_stop(struct scrape_thread *t);

#endif
