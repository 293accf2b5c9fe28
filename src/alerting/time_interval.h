/* SPDX-License-Identifier: Apache-2.0 */
/* time_interval.h: Alertmanager's time intervals: times of day, weekdays, days of the month, months and years in a
 * time zone, and whether a moment lies in one. Immutable once read; any thread may ask. */
#ifndef BELFRY_ALERTING_TIME_INTERVAL_H
#define BELFRY_ALERTING_TIME_INTERVAL_H

#include "base/arena.h"
#include "base/attributes.h"
#include "base/error.h"
#include "base/timezone.h"
#include "base/yaml.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Both ends belong to it, but the end of a time of day does not. */
struct time_range {
    int32_t begin, end;
};
struct time_ranges {
    struct time_range *items;
    size_t count; /* 0: any */
};

struct time_interval {
    struct time_ranges times;         /* minutes of the day, 0 to 1440 */
    struct time_ranges weekdays;      /* 0 = Sunday */
    struct time_ranges days_of_month; /* from 1; below zero from the end: -1 is the last */
    struct time_ranges months;        /* from 1 */
    struct time_ranges years;
    struct timezone_data *zone; /* owned; NULL = UTC */
};

/* A mapping of time_intervals' list. ERROR_INPUT with the place. Where it fails, too, *out is to be deinitialised. */
MUST_USE bool time_interval_read(struct arena *arena, const struct yaml_node *node,
                                 struct time_interval *out, struct error *err);
void time_interval_deinit(struct time_interval *t);
bool time_interval_contains(const struct time_interval *t, int64_t unix_seconds);

#endif
