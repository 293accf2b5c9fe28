/* SPDX-License-Identifier: Apache-2.0 */
/* rrule.h: recurrence rules of RFC 5545, section 3.3.10: FREQ=DAILY|WEEKLY|MONTHLY|YEARLY with INTERVAL, COUNT, UNTIL, WKST, BYMONTH,
 * BYMONTHDAY, BYDAY (with ordinals), BYHOUR, BYMINUTE, BYSETPOS. The other parts are refused by name. Immutable: any thread. */
#ifndef BELFRY_ALERTING_RRULE_H
#define BELFRY_ALERTING_RRULE_H

#include "base/attributes.h"
#include "base/error.h"
#include "base/timezone.h"
#include "base/view.h"

#include <stdbool.h>
#include <stdint.h>

enum { RRULE_COUNT_MAX = 10000 };

struct rrule;

/* `start_s` is DTSTART, seconds since the epoch; the zone is borrowed and outlives the rule. ERROR_INPUT with the part. A rule that
 * never comes is refused. Goes through all of
 * COUNT, or to the year 2261 where it does not come that often: at most some ms. */
MUST_USE bool rrule_new(struct rrule **out, struct view text, const struct timezone_data *zone,
                        int64_t start_s, struct error *err);
void rrule_free(struct rrule *r); /* NULL does nothing */
/* The first time after `after_s`; false: there is none (or it is beyond the year 2261). A local time that a clock change
 * leaves out comes so much later, one that is there twice comes the first time. However long ago it began; at most some ms. */
bool rrule_next(const struct rrule *r, int64_t after_s, int64_t *out_s);

#endif
