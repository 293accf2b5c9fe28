/* SPDX-License-Identifier: Apache-2.0 */
/* time_value.h: times and durations as Go reads and writes them. */
#ifndef BELFRY_TEMPLATE_TIME_VALUE_H
#define BELFRY_TEMPLATE_TIME_VALUE_H

#include "base/buffer.h"
#include "template/value.h"

/* A point in time on a calendar, in the zone of the time it was made from. */
struct civil_time {
    int64_t year;
    int month, day;           /* from 1 */
    int hour, minute, second; /* from 0 */
    int weekday;              /* 0 = Sunday */
    int year_day;             /* from 1 */
};

struct civil_time civil_from_time(const struct template_time *t);
/* Seconds since 1970 of a date and time of day in UTC; day may be out of its month. */
int64_t civil_to_seconds(const struct civil_time *c);

/* Go's Time.Format: "2006-01-02T15:04:05Z07:00". */
void time_format(struct buffer *out, const struct template_time *t, struct view layout);
/* Go's Time.String: "2006-01-02 15:04:05.999999999 -0700 MST". */
void time_format_default(struct buffer *out, const struct template_time *t);
/* Go's time.Parse, UTC where the text names no zone. False where it refuses. */
MUST_USE bool time_parse(struct template_time *out, struct view layout, struct view text);

enum { GO_DURATION_BYTES = 40 };
/* Go's Duration.String: "1h2m3.5s", "1.5ms", "0s". Returns the length. */
size_t go_duration_format(int64_t ns, char out[GO_DURATION_BYTES]);
/* Go's time.ParseDuration: "1h30m", "-1.5h". False where it refuses. */
MUST_USE bool go_duration_parse(struct view text, int64_t *ns);

/* A value that is a copy of a time, in the run's arena; false at a limit. */
MUST_USE bool time_value(struct template_call *call, const struct template_time *t,
                         struct template_value *out);
/* a - b in ns, held in the range of int64. */
int64_t time_difference(const struct template_time *a, const struct template_time *b);
static inline struct template_value duration_value(int64_t ns)
{
    return (struct template_value){.type = &TEMPLATE_TYPE_DURATION, .integer = ns};
}

#endif
