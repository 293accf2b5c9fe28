/* SPDX-License-Identifier: Apache-2.0 */
/* alert.h: one alert of a rule: a label set, since when it is there, and what became of it.
 *
 *   (not there) -> PENDING -> FIRING -> INACTIVE -> (forgotten 15 min later)
 *                    |                     |
 *                    +-> (forgotten)       +-> PENDING, as a new alert
 *
 * The alert of a rule with missing_for begins as WATCHED, while its series is there. */
#ifndef BELFRY_RULES_ALERT_H
#define BELFRY_RULES_ALERT_H

#include "base/checksum.h"
#include "model/labels.h"

#include <stdbool.h>
#include <stdint.h>

enum alert_phase { ALERT_INACTIVE, ALERT_PENDING, ALERT_FIRING, ALERT_WATCHED };
/* "inactive", "pending", "firing", "watched": static text. */
const char *alert_phase_name(enum alert_phase state);

/* How long a resolved alert is kept, so that its end can be told again. */
enum { ALERT_RESOLVED_RETENTION_MS = 15 * 60 * 1000 };
/* Of one rule, resolved ones too: a label that is new each time ({{ $value }}) must not fill the memory. Beyond it the
 * rule fails and forgets its alerts, as beyond the limit of its group. */
enum { ALERTS_MAX = 100000 };

struct alert {
    struct labels labels;      /* with alertname; owned, one block */
    struct labels annotations; /* expanded; owned, one block */
    struct labels source; /* of the series that gave it last, without its name; owned, one block */
    struct hash128 hash;  /* of labels */
    enum alert_phase state;
    double value;
    /* ms since the epoch, RULE_NEVER where it did not happen */
    int64_t active_ms, fired_ms, resolved_ms, keep_firing_since_ms, sent_ms, valid_until_ms;
    uint32_t round;  /* the last evaluation that gave it */
    bool is_changed; /* since it was saved */
};

/* Copies, owned by the alert. */
struct alert *alert_new(struct hash128 hash, struct labels labels);
void alert_set_annotations(struct alert *a, struct labels annotations);
void alert_set_source(struct alert *a, struct labels source);
struct alert *alert_copy(const struct alert *a);
void alert_free(struct alert *a); /* NULL does nothing */
/* Is it pending or firing? */
static inline bool alert_is_active(const struct alert *a)
{
    return a->state == ALERT_PENDING || a->state == ALERT_FIRING;
}
/* Is it to be sent at this time? Firing ones each resend delay; resolved ones at once, then likewise. */
bool alert_needs_sending(const struct alert *a, int64_t now_ms, int64_t resend_delay_ms);

#endif
