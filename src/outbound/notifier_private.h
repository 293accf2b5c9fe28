/* SPDX-License-Identifier: Apache-2.0 */
/* notifier_private.h: what the files of the notifier share.
 *
 *   rule threads --send--> destination's ring --notifier thread--> its batch --> POST --> gone
 *
 * A destination is an Alertmanager of one entry of the configuration. It is born in force, may be put to another
 * configuration, and leaves when no entry has it any more; then its ring takes nothing new and the thread frees it once
 * that is empty. */
#ifndef BELFRY_OUTBOUND_NOTIFIER_PRIVATE_H
#define BELFRY_OUTBOUND_NOTIFIER_PRIVATE_H

#include "base/clock.h"
#include "base/thread.h"
#include "outbound/alert_post.h"
#include "outbound/notifier.h"
#include "outbound/posted_alert.h"

#include <stdatomic.h>

enum { DESTINATION_LEFT = -1 };

/* Grows up to the queue's capacity. */
struct alert_ring {
    struct posted_alert **items;
    size_t first, count, capacity;
    size_t bytes; /* of what is in it */
};

struct destination {
    char *url; /* constant */

    /* Notifier's mutex. */
    ptrdiff_t entry_idx;   /* of config->alertmanagers; DESTINATION_LEFT */
    struct config *config; /* referenced: where its entry is */
    const struct config_alertmanager *entry;
    struct alert_ring ring;
    struct notifier_url_stats stats; /* url and queue_length are not set */
    bool overflows;                  /* said already */

    /* Notifier's thread. */
    struct alert_post post;
    struct posted_alert **batch;
    size_t batch_count;
    bool in_multi;
    mono_time first_try, retry; /* of the batch; retry.ns 0: it was not tried yet */
    unsigned tries;
    char *last_error; /* as it was said; NULL: it went well */
};

struct notifier {
    struct notifier_options options; /* defaults filled in; constant */
    char *external_url;              /* constant */
    struct client_tokens *tokens;
    struct discover *discover;
    CURLM *multi;
    pthread_t thread;
    bool started;

    /* Held by who puts a configuration or what discovery found in force, one at a time; before all others. */
    pthread_mutex_t apply;

    pthread_mutex_t mutex; /* guards what follows; a leaf */
    struct config *config; /* referenced; NULL before the first */
    uint64_t generation;   /* of the configuration */
    struct destination *
        *destinations; /* those that left are among them until the thread frees them */
    size_t count, capacity;
    struct arena dropped_arena;
    struct url_list dropped;
    bool stop;
    mono_time stop_deadline;
};

/* notifier_thread.c */
void *notifier_run(void *arg);
void notifier_wake(struct notifier *n);
void notifier_log(struct notifier *n, bool is_error, const char *event, const char *format, ...)
    PRINTF_LIKE(4, 5);
/* Nobody else knows it any more. */
void destination_free(struct destination *d);

/* notifier_queue.c: the rings. The notifier's mutex is held. */
/* Takes the references of all, drops the oldest beyond the limits and returns how many. */
size_t ring_push(struct alert_ring *ring, struct posted_alert *const *items, size_t count,
                 size_t capacity_max);
/* Moves up to `max` of the oldest out. */
size_t ring_take(struct alert_ring *ring, struct posted_alert **out, size_t max);
/* Drops all; returns how many. */
size_t ring_clear(struct alert_ring *ring);

#endif
