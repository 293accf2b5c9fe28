/* SPDX-License-Identifier: Apache-2.0 */
/* alert_fanout.h: what rules tell goes to everybody who delivers alerts: the router inside, Alertmanagers outside. Sinks
 * are added before the first rule is evaluated and stay until no rule is; nothing is locked. */
#ifndef BELFRY_SERVER_ALERT_FANOUT_H
#define BELFRY_SERVER_ALERT_FANOUT_H

#include "rules/alert_sink.h"

#include <stddef.h>

enum { ALERT_FANOUT_MAX = 4 };

/* Zeros: nobody. */
struct alert_fanout {
    struct alert_sink sinks[ALERT_FANOUT_MAX];
    size_t count;
};

void alert_fanout_add(struct alert_fanout *f, struct alert_sink sink);
/* The sink that is all of them, in the order in which they were added; f outlives it. */
struct alert_sink alert_fanout_sink(struct alert_fanout *f);

#endif
