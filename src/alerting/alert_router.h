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

/* Borrowed until alert_router_stop(). */
struct alert_router_options {
    struct alert_state *state;
    struct sender *sender;
    int64_t gc_interval_ms; /* --alerts.gc-interval, 30m */
    int64_t maintenance_ms; /* --dispatch.maintenance-interval, 30s */
    size_t alerts_max;      /* that are alive; more are refused and counted */
    void (*log)(void *arg, bool is_error, const char *event, const char *text);
    void *log_arg;
};
MUST_USE bool alert_router_start(struct alert_router **out, const struct alert_router_options *opts,
                                 struct error *err);
void alert_router_stop(struct alert_router *r); /* NULL is fine */
/* Puts a configuration in force; takes a reference. Groups begin anew, as in Alertmanager; what was sent stays known. */
void alert_router_apply(struct alert_router *r, struct integrations *set);

/* Takes alerts; copied. ends_ns LIVE_ALERT_NEVER: resolve_timeout from now. Any thread; never waits for I/O. *refused
 * (may be NULL): alerts beyond alerts_max. */
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
    struct alert_view *items; /* ascending by fingerprint */
    size_t count;
};
/* All that have not ended; in the arena. Any thread. */
void alert_router_alerts(struct alert_router *r, struct arena *arena, struct alert_views *out);
void alert_views_release(struct alert_views *v);

struct alert_group_view {
    struct labels labels; /* of the group */
    struct view receiver, key;
    struct alert_views alerts;
    int64_t next_flush_ns, last_flush_ns; /* LIVE_ALERT_NEVER: none yet */
};
struct alert_group_views {
    struct alert_group_view *items; /* by labels, then receiver */
    size_t count;
};
void alert_router_groups(struct alert_router *r, struct arena *arena,
                         struct alert_group_views *out);
void alert_group_views_release(struct alert_group_views *v);

/* The configuration in force, with a reference of the caller's; NULL before the first. */
struct integrations *alert_router_integrations(struct alert_router *r);

#endif
