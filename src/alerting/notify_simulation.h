/* SPDX-License-Identifier: Apache-2.0 */
/* notify_simulation.h: how many notifications would a configuration of Alertmanager have made of alerts whose starts and ends
 * are known? The tree, its matchers and time intervals are asked as the router asks them (route.h); groups, their
 * times, inhibition and what was told already follow Alertmanager's rules with a clock that jumps from flush to flush.
 * Every send is taken to succeed at once. */
#ifndef BELFRY_ALERTING_NOTIFY_SIMULATION_H
#define BELFRY_ALERTING_NOTIFY_SIMULATION_H

#include "alerting/alert_config.h"
#include "base/arena.h"
#include "base/attributes.h"
#include "base/error.h"
#include "model/labels.h"

#include <stddef.h>
#include <stdint.h>

/* One life of an alert. */
struct simulated_alert {
    uint32_t id;          /* the same for the same labels, from 0 without gaps */
    struct labels labels; /* borrowed */
    int64_t starts_ms;
    int64_t ends_ms; /* INT64_MAX: it does not end */
};

/* What one integration of a receiver would have sent. */
struct simulated_integration {
    struct view receiver;
    const char *kind; /* "slack" */
    uint64_t notifications;
    uint64_t repeats;  /* of these: nothing was new */
    uint64_t resolved; /* of these: nothing fires any more */
    uint64_t most_in_hour;
};

struct notify_simulation {
    struct simulated_integration *items; /* in the order of the configuration; in the arena */
    size_t count;
    uint64_t groups;  /* of alerts */
    uint64_t flushes; /* of groups, those that a time interval muted included */
    uint64_t muted;   /* of these: by a time interval */
};

/* `alerts` ascend by starts_ms. Flushes later than until_ms are not made. ERROR_LIMIT: it would take more than work_max,
 * flushes times alerts in them (0 = 100 million, about five seconds). */
MUST_USE bool notify_simulate(const struct alert_config *config,
                              const struct simulated_alert *alerts, size_t count, int64_t until_ms,
                              uint64_t work_max, struct arena *arena, struct notify_simulation *out,
                              struct error *err);

#endif
