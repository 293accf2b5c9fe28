/* SPDX-License-Identifier: Apache-2.0 */
/* alert_router.h: Alertmanager inside: takes alerts (from rules, from the API), keeps those that are alive, groups them by the
 * routing tree, and at each group's times decides what is told to whom: inhibition, silences, time intervals, what the
 * notification log says was told already. A thread of its own; senders do the talking (sender.h). */
#ifndef BELFRY_ALERTING_ALERT_ROUTER_H
#define BELFRY_ALERTING_ALERT_ROUTER_H

#include "alerting/alert_state.h"
#include "alerting/live_alert.h"
#include "alerting/sender.h"
#include "base/arena.h"
#include "base/attributes.h"
#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct alert_router;

/* Whom the router works with: the memory and the sender (alert_state.h, sender.h), or what a test puts in their place. */
struct router_peers {
    struct integrations *(*integrations_ref)(struct integrations *s);
    void (*integrations_unref)(struct integrations *s);
    struct alert_config *(*integrations_config)(struct integrations *s);
    struct integration_list (*integrations_of)(struct integrations *s, struct view receiver);
    void (*submit)(struct sender *s, const struct sender_job *job);
    bool (*silenced)(struct alert_state *s, struct arena *arena, uint64_t fingerprint,
                     struct labels labels, int64_t now_ns, struct silence_ids *out);
    bool (*acknowledged)(struct alert_state *s, uint64_t fingerprint, int64_t starts_ns,
                         int64_t now_ns);
    bool (*log_get)(struct alert_state *s, struct arena *arena, const struct notification_key *key,
                    int64_t now_ns, struct notification_entry *out);
    uint64_t (*log_put)(struct alert_state *s, const struct notification_key *key,
                        const struct notification_entry *entry);
    void (*history_alert)(struct alert_state *s, enum alert_event event,
                          const struct live_alert *alert);
    void (*history_notification)(struct alert_state *s, const struct notification_record *r);
    void (*history_resume)(struct alert_state *s, alert_history_each *each, void *arg);
};
extern const struct router_peers ROUTER_PEERS; /* the real ones */

/* Borrowed until alert_router_free(). */
struct alert_router_options {
    const struct router_peers *peers;
    struct alert_state *state;
    struct sender *sender;
    int64_t gc_interval_ms; /* --alerts.gc-interval; 0: 30m */
    int64_t maintenance_ms; /* --dispatch.maintenance-interval; 0: 30s */
    int64_t start_delay_ms; /* --dispatch.start-delay: nothing is sent before */
    int64_t
        retention_ms; /* --data.retention: the log of what was sent keeps nothing longer; 0: no limit */
    size_t alerts_max; /* that are there; more are refused and counted; 0: no limit */
    void (*log)(void *arg, bool is_error, const char *event, const char *text);
    void *log_arg;
};
/* Begins with the alerts that had not ended when the process before did, and those of whose end somebody was not told. */
MUST_USE bool alert_router_start(struct alert_router **out, const struct alert_router_options *opts,
                                 struct error *err);
/* Ends the thread: nothing new is sent. Then the sender is stopped, which ends what is on its way, then the router is freed.
 * NULL is fine. */
void alert_router_stop(struct alert_router *r);
void alert_router_free(struct alert_router *r);
/* Puts a configuration in force; takes a reference. Groups begin anew, as in Alertmanager; what was sent stays known. */
void alert_router_apply(struct alert_router *r, struct integrations *set);

/* Takes alerts; copied. ends_ns LIVE_ALERT_NEVER: resolve_timeout from now; starts_ns LIVE_ALERT_NEVER: from the end, or from
 * now. Any thread; never waits for I/O. *refused (may be NULL): alerts beyond alerts_max. */
void alert_router_put(struct alert_router *r, const struct live_alert *alerts, size_t count,
                      size_t *refused);

enum alert_status { ALERT_UNPROCESSED, ALERT_ACTIVE, ALERT_SUPPRESSED };

/* An alert as the API shows it. */
struct alert_view {
    struct live_alert *alert; /* referenced: alert_views_release() */
    enum alert_status status;
    const uint64_t *inhibited_by; /* fingerprints */
    size_t inhibited_by_count;
    struct silence_ids silenced_by;
    const struct view *muted_by; /* names of time intervals */
    size_t muted_by_count;
    bool is_acknowledged;
    const struct view *receivers; /* in the order of the tree */
    size_t receiver_count;
};
struct alert_views {
    struct alert_view
        *items; /* ascending by fingerprint; in a group, in live_alert_compare()'s order */
    size_t count;
};
/* Which alerts are asked for; called without a lock. NULL: all. */
typedef bool alert_wanted(const void *arg, const struct live_alert *a);
/* Those that have not ended; in the arena. What is not wanted costs a look; the router's lock is held to note which alerts there are,
 * and for a few hundred of the wanted ones at a time. Any thread. */
void alert_router_alerts(struct alert_router *r, struct arena *arena, alert_wanted *wanted,
                         const void *arg, struct alert_views *out);
void alert_views_release(struct alert_views *v);

struct alert_group_view {
    struct labels labels; /* of the group */
    struct view receiver, key;
    struct alert_views alerts;
    int64_t next_flush_ns, last_flush_ns; /* LIVE_ALERT_NEVER: none yet */
};
struct alert_group_views {
    struct alert_group_view *items; /* by labels, then receiver; each has an alert at least */
    size_t count;
};
void alert_router_groups(struct alert_router *r, struct arena *arena, alert_wanted *wanted,
                         const void *arg, struct alert_group_views *out);
void alert_group_views_release(struct alert_group_views *v);

struct alert_router_stats {
    uint64_t received_firing, received_resolved, invalid, refused;
    uint64_t alerts[3]; /* that have not ended, by enum alert_status */
    uint64_t groups;
    uint64_t ends_waiting; /* alerts of groups that are over, while an integration was not told */
    uint64_t ends_dropped; /* of these, so many were given up */
    uint64_t processed;    /* alerts that were routed, and how long that took */
    double processing_seconds;
    uint64_t suppressed_silence, suppressed_inhibition; /* alerts, at each flush */
    uint64_t suppressed_mute_interval, suppressed_active_interval;
};
/* Any thread. Walks over all alerts. */
void alert_router_stats_get(struct alert_router *r, struct alert_router_stats *out);
/* Who takes alerts from outside refused so many. Any thread. */
void alert_router_count_invalid(struct alert_router *r, uint64_t count);

/* How many alerts there are that have not ended, and how many of them match. Any thread. */
void alert_router_count_matching(struct alert_router *r, const struct matchers *m, size_t *matched,
                                 size_t *alive);

/* The configuration in force, with a reference of the caller's; NULL before the first. */
struct integrations *alert_router_integrations(struct alert_router *r);

#endif
