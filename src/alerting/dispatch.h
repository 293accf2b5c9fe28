/* SPDX-License-Identifier: Apache-2.0 */
/* dispatch.h: what alert_router.h does, without thread, lock or clock: who calls says what time it is. Alerts go in, groups
 * are due at their times, and a flush of a group asks the sender for what is to be told. One thread at a time, but where
 * it says otherwise. */
#ifndef BELFRY_ALERTING_DISPATCH_H
#define BELFRY_ALERTING_DISPATCH_H

#include "alerting/alert_router.h"
#include "base/arena.h"

#include <stdbool.h>
#include <stdint.h>

struct alert_explanation;
struct dispatch;
struct flush_job;

/* Alerts live in wall time, timers do not jump with it. */
struct instant {
    int64_t wall_ns; /* since the epoch */
    int64_t mono_ns; /* base/clock.h's */
};
#define INSTANT_NEVER INT64_MAX

/* Borrowed until dispatch_free(). */
struct dispatch_options {
    struct alert_router_options router;
    size_t flushes_max; /* to one integration at once; 0: 256 */
    size_t ends_max;    /* alerts that are over and wait until all know of it; 0: alerts_max */
    /* A notification is done: dispatch_finish() is to be called soon. The sender's thread. */
    void (*done)(void *arg, struct flush_job *job);
    void *done_arg;
};
struct dispatch *dispatch_new(const struct dispatch_options *opts, struct instant now);
/* No notification may be on its way any more. NULL does nothing. */
void dispatch_free(struct dispatch *d);
bool dispatch_is_idle(const struct dispatch *d); /* no notification is on its way */

/* Puts a configuration in force; takes a reference of its own. All alerts are grouped anew. */
void dispatch_apply(struct dispatch *d, struct integrations *set, struct instant now);
struct integrations *dispatch_integrations(struct dispatch *d); /* borrowed; NULL: none */

/* Takes the reference of an alert whose times are complete. False: there are alerts_max already; it is dropped. */
bool dispatch_put(struct dispatch *d, struct live_alert *a, struct instant now);
/* Takes up again what had not ended when the process before did, for as long as it was told to last each time, at least
 * resolve_timeout from now, and what had ended and is known as firing to somebody, who is told of the end. Once, behind the first dispatch_apply(). */
void dispatch_resume(struct dispatch *d, struct instant now);

/* Does one thing that is due: flushes a group, tidies up. False: nothing is. */
bool dispatch_run(struct dispatch *d, struct instant now);
/* When (mono_ns) something is due next. */
int64_t dispatch_next_ns(const struct dispatch *d);
/* Ends a notification that is done. */
void dispatch_finish(struct dispatch *d, struct flush_job *job);

/* Is this alert there? */
bool dispatch_has(const struct dispatch *d, uint64_t fingerprint);
size_t dispatch_alert_count(const struct dispatch *d);
uint64_t dispatch_ends_dropped(const struct dispatch *d); /* alert_router_stats.ends_dropped */

/* What alert_router_stats says of it; the rest of *out stays. */
void dispatch_stats_get(const struct dispatch *d, struct instant now,
                        struct alert_router_stats *out);
/* Views are made in steps, so that little is done under the lock: first which alerts and groups there are, ... */
struct alive_alerts {
    struct live_alert **items; /* that have not ended; referenced */
    size_t count;
};
struct alive_group {
    struct alert_group_view view; /* without its alerts */
    const struct alert_route *route;
    struct alive_alerts alerts;
};
struct alive_groups {
    struct alive_group *items;
    size_t count;
};
void dispatch_alive(const struct dispatch *d, struct instant now, struct arena *arena,
                    struct alive_alerts *out);
void dispatch_alive_groups(const struct dispatch *d, struct instant now, struct arena *arena,
                           struct alive_groups *out);
/* ... then views of those that are wanted (any thread; takes the references), ... */
void dispatch_want(struct arena *arena, const struct alive_alerts *alive, alert_wanted *wanted,
                   const void *arg, struct alert_views *out);
void dispatch_want_groups(const struct alert_config *c, int64_t wall_ns, struct arena *arena,
                          const struct alive_groups *alive, alert_wanted *wanted, const void *arg,
                          struct alert_group_views *out);
/* ... then who inhibits these; dispatch_complete_views() adds what the memory (state) and the routing tree say. */
void dispatch_inhibit_views(const struct dispatch *d, struct instant now, struct arena *arena,
                            struct alert_view *items, size_t count);
/* Of alert_explain.h, but for what the memory says of silences and acknowledgements. */
void dispatch_explain(struct dispatch *d, struct labels labels, struct instant now,
                      struct arena *arena, struct alert_explanation *out);
/* The alert, with a reference of the caller's, or NULL. */
struct live_alert *dispatch_find(struct dispatch *d, uint64_t fingerprint);
/* How many alerts there are that have not ended, and how many of them match. */
void dispatch_count_matching(const struct dispatch *d, const struct matchers *m, struct instant now,
                             size_t *matched, size_t *alive);
/* Any thread. */
void dispatch_complete_views(const struct alert_router_options *opts, const struct alert_config *c,
                             int64_t wall_ns, struct arena *arena, struct alert_views *views);

#endif
