/* SPDX-License-Identifier: Apache-2.0 */
/* alert_explain.h: why somebody was told of an alert, will be, or will not: its way through routes, groups, inhibition, silences
 * and time intervals, at this moment. For an alert that is there, and for a label set that might be. */
#ifndef BELFRY_ALERTING_ALERT_EXPLAIN_H
#define BELFRY_ALERTING_ALERT_EXPLAIN_H

#include "alerting/alert_router.h"
#include "alerting/route.h"

enum explained_verdict {
    EXPLAINED_NOT_TRIED, /* a node above refused it, or one before took it and does not `continue` */
    EXPLAINED_REFUSED,   /* a matcher does not match */
    EXPLAINED_PASSED,    /* matches; nodes below take it */
    EXPLAINED_TAKES
};
/* "not tried", "refused", "passed on", "takes": static text. */
const char *explained_verdict_name(enum explained_verdict verdict);

struct explained_matcher {
    struct view text;  /* severity="page" */
    struct view value; /* of the label; empty: it is not there */
    bool matches;
};
/* A node of the routing tree. */
struct explained_route {
    struct view key, receiver;
    size_t depth; /* of the root: 0 */
    bool continues;
    enum explained_verdict verdict;
    const struct explained_matcher *matchers;
    size_t matcher_count;
};

/* What one integration of the group's receiver knows. */
struct explained_integration {
    const char *kind;
    size_t index;
    bool send_resolved;
    bool was_told;                     /* of the group, as far as the log remembers; then: */
    int64_t sent_ns, repeat_ns;        /* and not before which it is repeated, if nothing changes */
    bool knows_firing, knows_resolved; /* this alert was among them */
    size_t firing_count, resolved_count;
};
/* The group of a node that takes it. */
struct explained_group {
    size_t route; /* index */
    struct view key, receiver;
    struct labels labels;
    int64_t group_wait_ms, group_interval_ms, repeat_interval_ms;
    bool exists; /* then: */
    bool has_alert, is_flushing;
    size_t alert_count;
    int64_t last_flush_ns, next_flush_ns; /* LIVE_ALERT_NEVER: none */
    struct muting_intervals muted_by;
    const struct explained_integration *integrations;
    size_t integration_count;
};

struct explained_inhibition {
    size_t rule;      /* index in inhibit_rules */
    struct view name; /* may be empty */
    uint64_t source;
    struct labels source_labels;
};

struct alert_explanation {
    uint64_t fingerprint;
    struct labels labels;
    struct live_alert *alert; /* referenced; NULL: there is none with these labels */
    bool is_resolved;
    bool has_config;                      /* else all that follows is empty */
    const struct explained_route *routes; /* in the order of the tree */
    size_t route_count;
    struct explained_group *groups;
    size_t group_count;
    const struct explained_inhibition *inhibitions;
    size_t inhibition_count;
    struct silence_ids silences;
    bool is_acknowledged;
};

/* In the arena, `labels` are borrowed. Any thread; looks for a moment under the router's lock. */
void alert_router_explain(struct alert_router *r, struct labels labels, struct arena *arena,
                          struct alert_explanation *out);
/* The labels of an alert that is there, copied into the arena. False: it is not. Any thread. */
bool alert_router_find(struct alert_router *r, uint64_t fingerprint, struct arena *arena,
                       struct labels *out);
void alert_explanation_release(struct alert_explanation *x);

#endif
