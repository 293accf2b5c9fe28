/* SPDX-License-Identifier: Apache-2.0 */
/* live_alert.h: an alert as routing has it: immutable once it is made and reference counted, so that groups, notifications
 * and answers of the API share it without a lock. What changes an alert makes another one of the same fingerprint.
 *
 * Times are ns since the epoch, because Alertmanager's payloads show what a client sent to the nanosecond; LIVE_ALERT_NEVER
 * is Go's zero time. */
#ifndef BELFRY_ALERTING_LIVE_ALERT_H
#define BELFRY_ALERTING_LIVE_ALERT_H

#include "base/view.h"
#include "model/labels.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LIVE_ALERT_NEVER INT64_MIN

struct live_alert {
    uint64_t fingerprint; /* live_alert_fingerprint(labels) */
    struct labels labels, annotations;
    int64_t starts_ns;
    int64_t ends_ns; /* when it was, or is to be taken for, resolved */
    int64_t updated_ns;
    bool is_timeout; /* ends_ns is a guess: who told of it did not say */
    bool was_over;   /* before this process began: some may have been told so by the one before */
    struct view generator_url;
    /* The rule of this server that made it; empty when it came by the API. */
    struct view file, group, rule;
    double value; /* of the rule's expression; NaN by the API */
};

/* Copies everything but the fingerprint, which it computes; one reference, the caller's. One allocation. */
struct live_alert *live_alert_new(const struct live_alert *from);
/* The same alert with other times; shares the texts of `a`. One reference, the caller's. */
struct live_alert *live_alert_with_times(struct live_alert *a, int64_t starts_ns, int64_t ends_ns);
/* Any thread, like all that follows. */
struct live_alert *live_alert_ref(struct live_alert *a);
void live_alert_unref(struct live_alert *a); /* NULL does nothing */

static inline bool live_alert_is_resolved(const struct live_alert *a, int64_t now_ns)
{
    return a->ends_ns != LIVE_ALERT_NEVER && a->ends_ns <= now_ns;
}
/* As Prometheus and Alertmanager compute it (FNV-1a, 64 bits, over name 0xff value 0xff ...): clients know alerts by it. */
uint64_t live_alert_fingerprint(struct labels labels);

/* Alertmanager's order of label sets: the shorter first; then by the first name of either that differs, who lacks it
 * first, and its value. < 0, 0, > 0. */
int live_alert_compare_labels(struct labels a, struct labels b);
/* The order of alerts in a notification and in a group: by job, by instance (who lacks one comes last), then as above. */
int live_alert_compare(const struct live_alert *a, const struct live_alert *b);

#endif
