/* SPDX-License-Identifier: Apache-2.0 */
/* notifier.h: alerts of rules to external Alertmanagers: the section `alerting` of the configuration.
 *
 * Alerts get the external labels, are relabelled, and wait in a queue for each Alertmanager; one thread posts them, a
 * batch at a time to each, so that one that hangs or is down delays nobody else. A full queue drops its oldest. What could
 * not be posted is tried again for a minute; after that the rules tell it anew while it lasts. A reload keeps the queues
 * of the Alertmanagers that stay; to one that leaves, what waits is still posted as long as it takes it. */
#ifndef BELFRY_OUTBOUND_NOTIFIER_H
#define BELFRY_OUTBOUND_NOTIFIER_H

#include "base/arena.h"
#include "base/attributes.h"
#include "base/error.h"
#include "ingest/config.h"
#include "outbound/alertmanagers.h"
#include "rules/alert_sink.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct notifier;

enum { NOTIFIER_LATENCY_BUCKETS = 4 };
extern const double NOTIFIER_LATENCY_BOUNDS[NOTIFIER_LATENCY_BUCKETS]; /* seconds */

/* Everything is borrowed until notifier_stop(). */
struct notifier_options {
    size_t queue_capacity;      /* alerts that may wait for each Alertmanager; 0 = 10000 */
    size_t batch_max;           /* alerts of one request; 0 = 256 */
    bool drain;                 /* at stop, what waits is posted first ... */
    int64_t drain_ms_max;       /* ... for so long at most; 0 = 10 s */
    const char *external_url;   /* of links in alerts; read at start */
    int64_t discovery_pause_ms; /* discover_options.pause_ms */
    /* After each request that was taken, and when an Alertmanager has left. The notifier's thread; may be NULL. */
    void (*observe)(void *arg, const char *url, double seconds);
    void (*forget)(void *arg, const char *url);
    void *observe_arg;
    void (*log)(void *arg, bool is_error, const char *event, const char *text);
    void *log_arg;
};

MUST_USE bool notifier_start(struct notifier **out, const struct notifier_options *opts,
                             struct error *err);
/* After the last alert was sent. Drains, then joins the threads. NULL is fine. */
void notifier_stop(struct notifier *n);
/* Puts a configuration in force; takes a reference. One caller at a time. */
void notifier_apply(struct notifier *n, struct config *config);
struct alert_sink notifier_sink(struct notifier *n);

/* Those of the configuration in force, of all its entries; in the arena. Any thread. */
void notifier_alertmanagers(struct notifier *n, struct arena *arena, struct alertmanagers *out);

/* What was counted of one Alertmanager since it was discovered. */
struct notifier_url_stats {
    struct view url;                /* distinct */
    uint64_t sent, errors, dropped; /* alerts */
    uint64_t queue_length;
    uint64_t latency_buckets[NOTIFIER_LATENCY_BUCKETS],
        latency_count; /* requests; not cumulative */
    double latency_seconds;
};
struct notifier_stats {
    struct notifier_url_stats *items; /* ascending by URL; in the arena */
    size_t count;
    uint64_t queue_capacity, discovered;
};
void notifier_stats_get(struct notifier *n, struct arena *arena, struct notifier_stats *out);

#endif
