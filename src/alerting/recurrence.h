/* SPDX-License-Identifier: Apache-2.0 */
/* recurrence.h: windows of time that come again, in a time zone: by cron or by an RRULE, each as long as the other. Immutable
 * once it is made: any thread. Seconds since the epoch. */
#ifndef BELFRY_ALERTING_RECURRENCE_H
#define BELFRY_ALERTING_RECURRENCE_H

#include "base/attributes.h"
#include "base/error.h"
#include "base/view.h"

#include <stdbool.h>
#include <stdint.h>

enum recurrence_kind { RECURRENCE_NONE, RECURRENCE_CRON, RECURRENCE_RRULE };
#define RECURRENCE_DURATION_MAX_S (INT64_C(366) * 24 * 3600)

struct recurrence_options {
    enum recurrence_kind kind;  /* not RECURRENCE_NONE */
    struct view text, timezone; /* timezone empty: UTC */
    int64_t start_s;            /* an RRULE's DTSTART; cron has none */
    int64_t
        duration_s; /* 1 to RECURRENCE_DURATION_MAX_S; of time that passes, whatever the clocks show */
};
struct recurrence;

/* ERROR_INPUT, ERROR_NOT_FOUND (the zone). */
MUST_USE bool recurrence_new(struct recurrence **out, const struct recurrence_options *options,
                             struct error *err);
void recurrence_free(struct recurrence *r); /* NULL does nothing */

struct recurrence_window {
    int64_t begin_s, end_s; /* end_s does not belong to it */
};
/* The window in which `now_s` lies (the one that began first), else the next. False: there is none. At most some ms. */
bool recurrence_window_at(const struct recurrence *r, int64_t now_s, struct recurrence_window *out);

#endif
