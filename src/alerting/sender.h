/* SPDX-License-Identifier: Apache-2.0 */
/* sender.h: the thread that speaks to receivers: one curl multi, so that one that hangs holds up nobody else.
 *
 * Each integration has a queue of its own: at most SENDER_PARALLEL_MAX of its deliveries are on their way at once, the rest
 * waits in order. A delivery that is to be tried again waits as Alertmanager does (500 ms, times 1.5 each time, at most a
 * minute, half of it random), or as long as Retry-After says; where that is past its deadline it is given up at once.
 *
 * A delivery that was answered counts as on its way until it is kept that it was (done()'s ticket, sender_kept()), so that a process
 * that is killed sends no more twice than SENDER_PARALLEL_MAX of each integration; for hold_ms at most, lest a disk that hangs
 * stops what people must hear of.
 *
 * Of a group there is one delivery at a time on its way to an integration, so that what is newer never arrives first; a
 * newer one takes the place of one that waits, for its turn or to be tried again (DELIVERY_RETRY, "superseded"). */
#ifndef BELFRY_ALERTING_SENDER_H
#define BELFRY_ALERTING_SENDER_H

#include "alerting/alert_config.h"
#include "alerting/delivery.h"
#include "base/attributes.h"
#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    SENDER_PARALLEL_MAX = 8,
    SENDER_QUEUE_MAX =
        1000, /* deliveries of an integration that have not ended; more are refused: DELIVERY_RETRY */
};

/* Compiles a configuration: parses templates (the built-in ones, then the files), prepares each integration. Keeps a reference
 * to `config`. ERROR_INPUT with file and line of a bad template. */
MUST_USE bool integrations_new(struct integrations **out, struct alert_config *config,
                               const char *external_url, struct error *err);
struct integrations *integrations_ref(struct integrations *s);
void integrations_unref(struct integrations *s); /* NULL does nothing */
struct alert_config *integrations_config(struct integrations *s);
/* Those of a receiver, in Alertmanager's order of kinds; borrowed. */
struct integration_list {
    struct integration *items;
    size_t count;
};
struct integration_list integrations_of(struct integrations *s, struct view receiver);

struct sender_result {
    enum delivery_verdict
        verdict; /* DELIVERY_SENT; DELIVERY_FAILED; DELIVERY_RETRY: the time was over, or the sender stops */
    unsigned attempts;
    long status;        /* the last answer's; 0: none came */
    int64_t latency_ns; /* of the last attempt */
    int64_t finished_ns;
    struct view error; /* borrowed during the call; without secrets; empty when sent */
    bool has_template_error;
    uint64_t
        payload_hash; /* XXH3 of the body of the last attempt's first request; 0: none was made */
    struct notification_kv remembered; /* borrowed */
};

/* What is asked of the sender. All is copied or referenced during the call. */
struct sender_job {
    struct integration *integration; /* its set is referenced while the job lives */
    struct live_alert *const
        *alerts; /* ends_ns LIVE_ALERT_NEVER = firing; in the order of the notification */
    size_t alert_count;
    struct labels group_labels;
    struct labels route_labels; /* not expanded: templates */
    struct view group_key;
    struct view reason; /* of templates' .NotificationReason */
    struct notification_kv recalled;
    int64_t now_ns;     /* of the flush */
    int64_t timeout_ms; /* until when it is tried */
    /* Called once, on the sender's thread, soon: whether it was sent, given up, or the sender stops. Must not wait. Returns the
     * ticket that sender_kept() is told when the result is kept; 0: it is already. */
    uint64_t (*done)(void *arg, const struct sender_result *result);
    void *arg;
};

struct sender;
struct sender_options {
    void (*log)(void *arg, bool is_error, const char *event, const char *text);
    void *log_arg;
    const char *user_agent;
    int64_t hold_ms; /* 0: 1 s; so long a result is waited for to be kept */
};
MUST_USE bool sender_start(struct sender **out, const struct sender_options *opts,
                           struct error *err);
/* Gives what is on its way so long to end, then all that is left its done(). NULL is fine. */
void sender_stop(struct sender *s, int64_t grace_ms);
/* This configuration is in force from now on: what waits or is to be tried again for an integration of another one is given up, so
 * that its group is told by the new one; what is on its way ends. Keeps a reference. Any thread; never waits. */
void sender_apply(struct sender *s, struct integrations *set);
/* The results up to this ticket are kept, or cannot be. Any thread; never waits. */
void sender_kept(struct sender *s, uint64_t ticket);
/* Any thread; never waits. */
void sender_submit(struct sender *s, const struct sender_job *job);

/* Why a notification failed in the end, in Alertmanager's words (label "reason"). */
#define SENDER_REASONS(X)                                                                          \
    X(SENDER_OTHER, "other")                                                                       \
    X(SENDER_CLIENT_ERROR, "clientError")                                                          \
    X(SENDER_SERVER_ERROR, "serverError")                                                          \
    X(SENDER_CANCELED, "contextCanceled")                                                          \
    X(SENDER_DEADLINE, "contextDeadlineExceeded")                                                  \
    X(SENDER_AUTH_ERROR, "authError")                                                              \
    X(SENDER_RATE_LIMITED, "rateLimited")
enum sender_reason {
#define X(id, name) id,
    SENDER_REASONS(X)
#undef X
        SENDER_REASON_COUNT
};
const char *sender_reason_name(enum sender_reason reason);

/* alertmanager_notification_latency_seconds: at most 1, 5, 10, 15, 20 s, and longer. */
enum { SENDER_LATENCY_BUCKETS = 6 };
extern const double SENDER_LATENCY_BOUNDS[SENDER_LATENCY_BUCKETS - 1];

/* Of one kind of integration of one receiver, since the sender began; a reload keeps it. */
struct sender_stat {
    struct view receiver;
    const char *integration;
    uint64_t notifications;                           /* taken up */
    uint64_t failed[SENDER_REASON_COUNT];             /* notifications */
    uint64_t requests, requests_failed;               /* attempts */
    uint64_t latency_buckets[SENDER_LATENCY_BUCKETS]; /* of attempts; each bucket by itself */
    double latency_sum_seconds;
};
struct sender_stats {
    struct sender_stat *items; /* by receiver, then integration */
    size_t count;
    size_t queued; /* deliveries that have not ended */
};
/* In the arena. Any thread. */
void sender_read_stats(struct sender *s, struct arena *arena, struct sender_stats *out);

#endif
