/* SPDX-License-Identifier: Apache-2.0 */
/* cron.h: five fields as crontab(5) has them: minute, hour, day of the month, month, day of the week; *, numbers, names (jan, mon),
 * ranges, lists, steps. Where neither of the two fields of days begins with *, either may match. Immutable: any thread. */
#ifndef BELFRY_ALERTING_CRON_H
#define BELFRY_ALERTING_CRON_H

#include "base/attributes.h"
#include "base/error.h"
#include "base/timezone.h"
#include "base/view.h"

#include <stdbool.h>
#include <stdint.h>

struct cron {
    uint64_t minutes;
    uint32_t hours, days, months, weekdays; /* bit per value; 0 = Sunday */
    bool every_hour; /* the field begins with *: it follows the clock, not the calendar */
    bool either_day;
};

/* ERROR_INPUT with the field. One that never comes (30 February) is refused. */
MUST_USE bool cron_parse(struct cron *out, struct view text, struct error *err);
/* The first time after `after_s`, in seconds since the epoch; false: none within twelve years. In a clock change a fixed hour
 * that is left out comes so much later, and one that is there twice comes once; every hour means every hour that passes.
 * At most some ms, as a rule some us. */
bool cron_next(const struct cron *c, const struct timezone_data *zone, int64_t after_s,
               int64_t *out_s);

#endif
