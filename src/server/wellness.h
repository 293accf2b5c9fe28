/* SPDX-License-Identifier: Apache-2.0 */
/* wellness.h: is all well with what alerts depend on? That is what heartbeats say (alerting/heartbeat.h): the groups of rules are
 * evaluated at their times, and what they tell gets through: to one of the Alertmanagers at least, and to each receiver that
 * was notified last. The reasons hold no numbers that change, so that the log has each once. */
#ifndef BELFRY_SERVER_WELLNESS_H
#define BELFRY_SERVER_WELLNESS_H

#include "base/attributes.h"
#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct rule_manager;
struct notifier;
struct alert_router;
struct sender;
struct wellness_memory;

/* One thread. The pointers are borrowed; NULL: there is none of it. */
struct wellness {
    struct rule_manager *rules;
    struct notifier *notifier;
    struct alert_router *router; /* and its sender: both or none */
    struct sender *sender;
    struct wellness_memory *memory; /* of what was counted the last time; NULL at first */
    size_t memory_count, memory_capacity;
};

/* False, with the reason. */
MUST_USE bool wellness_check(struct wellness *w, int64_t now_ms, struct error *why);
void wellness_deinit(struct wellness *w);

#endif
