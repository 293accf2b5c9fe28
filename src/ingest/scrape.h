/* SPDX-License-Identifier: Apache-2.0 */
/* scrape.h: asks targets for their metrics, on time, and appends what they say.
 *
 * The manager turns the scrape jobs of a configuration into targets, gives each to one of a few scrape
 * threads, and is asked by the API how they are. A scrape becomes one row of its target's group: what was
 * scraped, and up, scrape_duration_seconds, scrape_samples_scraped, scrape_samples_post_metric_relabeling
 * and scrape_series_added. A scrape that fails is a row of those alone (up = 0), which makes all others
 * stale. Samples with timestamps of their own go to other groups, without stale markers.
 *
 * How a thread works: top of scrape_thread.c. Locks: the manager's mutex (target list), then a target's;
 * no storage and no network under either. */
#ifndef BELFRY_INGEST_SCRAPE_H
#define BELFRY_INGEST_SCRAPE_H

#include "base/arena.h"
#include "base/attributes.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/view.h"
#include "ingest/config.h"
#include "model/labels.h"
#include "model/metric_type.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct db;
struct scrape_manager; /* opaque */

enum { SCRAPE_BODY_BYTES_MAX = 256 << 20 }; /* unpacked, unless the job has a body_size_limit */
/* A series with more is left out and counted, unless the job has a limit of its own (label_limit,
 * label_name_length_limit, label_value_length_limit): beyond that one the scrape fails, as in Prometheus. */
enum {
    SCRAPE_LABELS_MAX = 64, /* the metric's name and the target's labels among them */
    SCRAPE_LABEL_NAME_BYTES_MAX = 1024,
    SCRAPE_LABEL_VALUE_BYTES_MAX = 64 * 1024
};

struct scrape_options {
    unsigned
        thread_count; /* 0 = the number of processors, at most 8; started when there is work for them */
    int64_t discovery_pause_ms; /* between two changes of what is discovered; 0 = 1 s */
    /* Called from any thread with something an operator should know. May be NULL. */
    void (*log)(void *arg, bool is_error, const char *event, const char *text);
    void *log_arg;
};

/* Borrows db until scrape_manager_stop(). There are no targets until scrape_manager_apply(). */
MUST_USE bool scrape_manager_start(struct scrape_manager **out, struct db *db,
                                   const struct scrape_options *opts, struct error *err);
/* Stops the threads: transfers are cut off, no stale markers are written (a restart goes on where this
 * ended). NULL is fine. */
void scrape_manager_stop(struct scrape_manager *m);

/* Makes the targets those of this configuration; takes a reference of its own. A target whose job,
 * labels and URL are the same goes on without missing a scrape, with the new settings, and keeps its line
 * cache unless the job now makes other series of the same lines. A target that is gone gets a last row of
 * stale markers. Returns before that has happened. Files of file_sd_configs that are new are read before it returns.
 * One caller at a time; what is discovered later is applied by a thread of its own. */
void scrape_manager_apply(struct scrape_manager *m, struct config *config);

/* Scrapes every target now and returns when all have answered, failed or timed out. For tests. */
void scrape_manager_scrape_now(struct scrape_manager *m);

/* --- what the API shows --- */

enum scrape_health { SCRAPE_UNKNOWN, SCRAPE_UP, SCRAPE_DOWN };
/* "unknown", "up", "down". Static text. */
const char *scrape_health_name(enum scrape_health health);

struct scrape_target_info {
    bool dropped;                    /* by relabelling: only discovered_labels and pool are set */
    struct labels discovered_labels; /* before relabelling: __address__, __scheme__, ..., job */
    struct labels labels;            /* those its series have */
    struct view pool;                /* the job's name */
    struct view url;                 /* with parameters */
    struct view last_error;          /* empty when the last scrape went well */
    wall_time last_scrape;           /* ms = 0: never */
    double last_duration_seconds;
    enum scrape_health health;
    int64_t interval_ms, timeout_ms;
    struct scrape *scrape; /* private */
};

/* A snapshot: copied or referenced by the arena's user until scrape_targets_release(). Active targets in
 * the order of pool and URL, then dropped ones (at most keep_dropped_targets of each job). Any thread. */
struct scrape_targets {
    struct scrape_target_info *items;
    size_t count;
    size_t active_count;
    struct scrape_pool_info {
        struct view name;
        size_t active_count, dropped_count; /* dropped: also those that are not kept */
        size_t found_count;                 /* targets before relabelling */
        const struct config_scrape_job *job;
    } * pools;
    size_t pool_count;
    struct target_set *set; /* private */
};
void scrape_targets_get(struct scrape_manager *m, struct arena *arena, struct scrape_targets *out);
/* The same without targets: cheap however many there are. */
void scrape_pools_get(struct scrape_manager *m, struct arena *arena, struct scrape_targets *out);
void scrape_targets_release(struct scrape_targets *targets);
/* What the families of the snapshot's target `idx` (an active one) say, at its last good scrape. The list is the
 * arena's, the text the database's. */
void scrape_target_metadata(const struct scrape_targets *targets, size_t idx, struct db *db,
                            struct arena *arena, struct metric_metadata **out, size_t *count);

/* --- numbers for /metrics --- */

struct discover;
/* For its numbers. Lives as long as the manager. Any thread. */
struct discover *scrape_manager_discover(struct scrape_manager *m);

/* kind, word in the label `reason` */
#define SCRAPE_FAILURES(X)                                                                         \
    X(SCRAPE_FAILURE_CONNECT, "connect") /* no connection, TLS, broken off */                      \
    X(SCRAPE_FAILURE_TIMEOUT, "timeout")                                                           \
    X(SCRAPE_FAILURE_STATUS, "status")     /* not 200 */                                           \
    X(SCRAPE_FAILURE_PROTOCOL, "protocol") /* headers, encodings, content type */                  \
    X(SCRAPE_FAILURE_TOO_LARGE, "body_size")                                                       \
    X(SCRAPE_FAILURE_PARSE, "parse")                                                               \
    X(SCRAPE_FAILURE_LIMIT, "limit") /* samples, labels, targets */                                \
    X(SCRAPE_FAILURE_STORAGE, "storage")

enum scrape_failure {
#define X(id, word) id,
    SCRAPE_FAILURES(X)
#undef X
        SCRAPE_FAILURE_COUNT
};
/* Static text. */
const char *scrape_failure_name(enum scrape_failure kind);

struct scrape_stats {
    uint64_t pools, targets, targets_dropped,
        targets_failed; /* failed: their labels make no target */
    uint64_t syncs;
    double sync_seconds; /* all syncs together */
    uint64_t scrapes;
    double scrape_seconds; /* all scrapes together */
    uint64_t scrapes_late; /* ticks that were skipped because the scrape before took too long */
    uint64_t failures[SCRAPE_FAILURE_COUNT];
    uint64_t samples, body_bytes;       /* scraped; unpacked */
    uint64_t lines_known, lines_parsed; /* by the line cache, and not */
    uint64_t exceeded_sample_limit, exceeded_label_limits, exceeded_body_size_limit;
    uint64_t samples_duplicate;    /* the same series twice in a scrape */
    uint64_t samples_out_of_order; /* with timestamps of their own that storage did not take */
    uint64_t exemplars_out_of_order;
    uint64_t series_refused;  /* over storage's limit of series */
    uint64_t series_outsized; /* left out for what SCRAPE_LABELS_MAX and the like allow */
    uint64_t cache_bytes;
};
void scrape_stats_get(struct scrape_manager *m, struct scrape_stats *out);

#endif
