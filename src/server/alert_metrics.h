/* SPDX-License-Identifier: Apache-2.0 */
/* alert_metrics.h: what routing, sender and memory of alerts count, under Alertmanager's names where it has one. */
#ifndef BELFRY_SERVER_ALERT_METRICS_H
#define BELFRY_SERVER_ALERT_METRICS_H

#include "server/alert_routing.h"

#include <belfry/metrics.h>

/* Any thread, before alert_routing_stop(). */
void alert_metrics_collect(struct alert_routing *r, belfry_emitter *e);

#endif
