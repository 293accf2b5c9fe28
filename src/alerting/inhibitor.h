/* SPDX-License-Identifier: Apache-2.0 */
/* inhibitor.h: Alertmanager's inhibit_rules over the alerts there are: does one that fires keep another from being told of?
 *
 * A rule's sources are found by the values of its `equal` labels, so that a look costs a hash and no walk over alerts. One
 * thread at a time. */
#ifndef BELFRY_ALERTING_INHIBITOR_H
#define BELFRY_ALERTING_INHIBITOR_H

#include "alerting/alert_config.h"
#include "model/labels.h"

#include <stddef.h>
#include <stdint.h>

struct inhibitor;

/* The rules are borrowed. */
struct inhibitor *inhibitor_new(const struct inhibit_rules *rules);
void inhibitor_free(struct inhibitor *h); /* NULL does nothing */

/* What the inhibitor knows of one alert: kept with the alert, given back at each change. */
typedef struct {
    uint32_t n;
} inhibitor_entry;
#define INHIBITOR_NEW ((inhibitor_entry){UINT32_MAX})

/* An alert is there, or has another end (LIVE_ALERT_NEVER: none). Its labels never change. Returns its entry. */
inhibitor_entry inhibitor_put(struct inhibitor *h, inhibitor_entry e, uint64_t fingerprint,
                              struct labels labels, int64_t ends_ns, int64_t now_ns);
/* It is no longer there. */
void inhibitor_remove(struct inhibitor *h, inhibitor_entry e);

struct inhibition {
    uint64_t source; /* fingerprint of an alert that fires */
    size_t rule;     /* index */
};
/* What inhibits an alert with these labels: at most one source for each rule, in the order of the rules; the first `max` of
 * them. Returns how many were set. Labels that are not there equal empty ones; an alert that matches both sides of a rule
 * is not inhibited by another that does. */
size_t inhibitor_find(struct inhibitor *h, struct labels labels, int64_t now_ns,
                      struct inhibition *out, size_t max);

#endif
