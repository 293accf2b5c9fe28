/* SPDX-License-Identifier: Apache-2.0 */
/* notify_simulation.h: how many notifications would a configuration of Alertmanager have made of alerts whose starts and ends
 * are known? It is the router itself (dispatch.h), with a clock that jumps to whatever comes next, a memory of its own
 * and a sender that counts. Every send is taken to succeed at once; there are no silences. */
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
    uint64_t groups; /* of alerts that somebody could have been told of */
};

/* `alerts` in any order, each with its end after its start. Nothing is done later than until_ms. Borrows `config`, whose texts
 * *out shares. ERROR_LIMIT: flushes would look at more than work_max alerts (0 = 50 million, about ten seconds). */
MUST_USE bool notify_simulate(struct alert_config *config, const struct simulated_alert *alerts,
                              size_t count, int64_t until_ms, uint64_t work_max,
                              struct arena *arena, struct notify_simulation *out,
                              struct error *err);

#endif
