/* SPDX-License-Identifier: Apache-2.0 */
/* route.h: which nodes of the routing tree take an alert, and whether a node is silent at some time. The nodes are
 * the configuration's (alert_config.h): they say receiver, grouping and timings, and live as long as it does. */
#ifndef BELFRY_ALERTING_ROUTE_H
#define BELFRY_ALERTING_ROUTE_H

#include "alerting/alert_config.h"
#include "base/arena.h"
#include "model/labels.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct route_matches {
    const struct alert_route **items; /* in the order of the tree */
    size_t count, capacity;
};

/* Adds the nodes that take an alert with these labels to *out, which begins as zeros; the array is in the arena. A
 * node takes what it matches and none of its children does. The root matches everything, so that there is always one.
 * Costs one test for each matcher of the nodes that are tried. */
void route_match(struct arena *arena, const struct alert_route *root, struct labels labels,
                 struct route_matches *out);

enum route_silence {
    ROUTE_SENDS,
    ROUTE_MUTED,   /* in one of its mute_time_intervals */
    ROUTE_INACTIVE /* it has active_time_intervals and is in none of them */
};

/* Does the node send at this time? *by (may be NULL) is the interval that mutes it, else empty. */
enum route_silence route_silence_at(const struct alert_config *c, const struct alert_route *route,
                                    int64_t unix_seconds, struct view *by);

struct muting_intervals {
    const struct view *items;
    size_t count;
};
/* The intervals for which the node is silent at this time, by name: those it is muted in, and where it has active ones and is
 * in none of them, all of these. None: it sends. Copied into the arena. */
void route_muting_intervals(struct arena *arena, const struct alert_config *c,
                            const struct alert_route *route, int64_t unix_seconds,
                            struct muting_intervals *out);

#endif
