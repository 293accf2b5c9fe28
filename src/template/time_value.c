/* SPDX-License-Identifier: Apache-2.0 */
/* time_value.c: time.Time and time.Duration as values, with the methods that templates call. */
#include "template/time_value.h"

#include "template/exec_private.h"

#include <stdio.h>
#include <time.h>

static const char *const MONTH_NAMES[] = {"January",   "February", "March",    "April",
                                          "May",       "June",     "July",     "August",
                                          "September", "October",  "November", "December"};
static const char *const DAY_NAMES[] = {"Sunday",   "Monday", "Tuesday", "Wednesday",
                                        "Thursday", "Friday", "Saturday"};

struct template_value template_time_ms(struct arena *arena, int64_t ms)
{
    int64_t seconds = ms / 1000, rest = ms % 1000;
    if (rest < 0) {
        rest += 1000;
        seconds--;
    }
    struct template_time *t = arena_alloc(arena, sizeof(*t));
    *t = (struct template_time){seconds, (int32_t)rest * 1000000, 0, VIEW("UTC")};
    return (struct template_value){.type = &TEMPLATE_TYPE_TIME, .time = t};
}

bool time_value(struct template_call *call, const struct template_time *t,
                struct template_value *out)
{
    struct template_time *copy = template_call_alloc(call, sizeof(*copy));
    if (!copy)
        return false;
    *copy = *t;
    *out = (struct template_value){.type = &TEMPLATE_TYPE_TIME, .time = copy};
    return true;
}

/* --- durations --- */

static bool duration_string(struct template_call *call, const struct template_value *args,
                            size_t count, struct template_value *out)
{
    char text[GO_DURATION_BYTES];
    struct view v = {text, go_duration_format(args[0].integer, text)};
    *out = template_string(template_call_copy(call, v));
    return out->text.ptr != NULL;
}

static bool duration_hours(struct template_call *call, const struct template_value *args,
                           size_t count, struct template_value *out)
{
    *out = template_float((double)args[0].integer / 3.6e12);
    return true;
}

static bool duration_minutes(struct template_call *call, const struct template_value *args,
                             size_t count, struct template_value *out)
{
    *out = template_float((double)args[0].integer / 6e10);
    return true;
}

static bool duration_seconds(struct template_call *call, const struct template_value *args,
                             size_t count, struct template_value *out)
{
    *out = template_float((double)args[0].integer / 1e9);
    return true;
}

static bool duration_milliseconds(struct template_call *call, const struct template_value *args,
                                  size_t count, struct template_value *out)
{
    *out = template_int(args[0].integer / 1000000);
    return true;
}

static bool duration_microseconds(struct template_call *call, const struct template_value *args,
                                  size_t count, struct template_value *out)
{
    *out = template_int(args[0].integer / 1000);
    return true;
}

static bool duration_nanoseconds(struct template_call *call, const struct template_value *args,
                                 size_t count, struct template_value *out)
{
    *out = template_int(args[0].integer);
    return true;
}

static bool duration_abs(struct template_call *call, const struct template_value *args,
                         size_t count, struct template_value *out)
{
    int64_t v = args[0].integer;
    *out = duration_value(v == INT64_MIN ? INT64_MAX : v < 0 ? -v : v);
    return true;
}

static bool duration_truncate(struct template_call *call, const struct template_value *args,
                              size_t count, struct template_value *out)
{
    int64_t v = args[0].integer, m = args[1].integer;
    *out = duration_value(m <= 0 ? v : v - v % m);
    return true;
}

/* To the nearest multiple, halves away from zero; beyond the range, the range's end. */
static bool duration_round(struct template_call *call, const struct template_value *args,
                           size_t count, struct template_value *out)
{
    int64_t v = args[0].integer, m = args[1].integer, up;
    *out = duration_value(v);
    if (m <= 0)
        return true;
    int64_t rest = v % m, down = v - rest;
    int64_t half = rest < 0 ? -rest : rest;
    if (half < m - half)
        out->integer = down;
    else if (__builtin_add_overflow(down, v < 0 ? -m : m, &up))
        out->integer = v < 0 ? INT64_MIN : INT64_MAX;
    else
        out->integer = up;
    return true;
}

#define DURATION &TEMPLATE_TYPE_DURATION
#define TIME &TEMPLATE_TYPE_TIME
#define STRING &TEMPLATE_TYPE_STRING

static const struct template_function DURATION_METHODS[] = {
    {.name = "String", .call = duration_string},
    {.name = "Hours", .call = duration_hours},
    {.name = "Minutes", .call = duration_minutes},
    {.name = "Seconds", .call = duration_seconds},
    {.name = "Milliseconds", .call = duration_milliseconds},
    {.name = "Microseconds", .call = duration_microseconds},
    {.name = "Nanoseconds", .call = duration_nanoseconds},
    {.name = "Abs", .call = duration_abs},
    {"Truncate", duration_truncate, {DURATION}, 1, false},
    {"Round", duration_round, {DURATION}, 1, false},
};

const struct template_type TEMPLATE_TYPE_DURATION = {
    .kind = TEMPLATE_INT,
    .name = "time.Duration",
    .methods = DURATION_METHODS,
    .method_count = ARRAY_COUNT(DURATION_METHODS),
    .text = duration_string,
};

/* --- months and weekdays --- */

static bool name_of(struct template_call *call, const char *const *names, int64_t idx,
                    int64_t count, const char *kind, struct template_value *out)
{
    char odd[40];
    snprintf(odd, sizeof(odd), "%%!%s(%lld)", kind, (long long)idx);
    *out = template_string(
        template_call_copy(call, view_from(idx >= 0 && idx < count ? names[idx] : odd)));
    return out->text.ptr != NULL;
}

static bool month_string(struct template_call *call, const struct template_value *args,
                         size_t count, struct template_value *out)
{
    return name_of(call, MONTH_NAMES, args[0].integer - 1, 12, "Month", out);
}

static bool weekday_string(struct template_call *call, const struct template_value *args,
                           size_t count, struct template_value *out)
{
    return name_of(call, DAY_NAMES, args[0].integer, 7, "Weekday", out);
}

static const struct template_function MONTH_METHODS[] = {{.name = "String", .call = month_string}};
static const struct template_function WEEKDAY_METHODS[] = {
    {.name = "String", .call = weekday_string}};

const struct template_type TEMPLATE_TYPE_MONTH = {.kind = TEMPLATE_INT,
                                                  .name = "time.Month",
                                                  .methods = MONTH_METHODS,
                                                  .method_count = 1,
                                                  .text = month_string},
                           TEMPLATE_TYPE_WEEKDAY = {.kind = TEMPLATE_INT,
                                                    .name = "time.Weekday",
                                                    .methods = WEEKDAY_METHODS,
                                                    .method_count = 1,
                                                    .text = weekday_string};

/* --- times --- */

static bool time_string(struct template_call *call, const struct template_value *args, size_t count,
                        struct template_value *out)
{
    size_t mark = scratch_begin(call);
    time_format_default(&call->scratch, args[0].time);
    return scratch_take_value(call, mark, out);
}

static bool time_format_method(struct template_call *call, const struct template_value *args,
                               size_t count, struct template_value *out)
{
    size_t mark = scratch_begin(call);
    time_format(&call->scratch, args[0].time, args[1].text);
    return scratch_take_value(call, mark, out);
}

static bool time_unix(struct template_call *call, const struct template_value *args, size_t count,
                      struct template_value *out)
{
    *out = template_int(args[0].time->seconds);
    return true;
}

static bool time_unix_milli(struct template_call *call, const struct template_value *args,
                            size_t count, struct template_value *out)
{
    *out = template_int((int64_t)((uint64_t)args[0].time->seconds * 1000) +
                        args[0].time->nanoseconds / 1000000);
    return true;
}

static bool time_unix_nano(struct template_call *call, const struct template_value *args,
                           size_t count, struct template_value *out)
{
    /* Wraps beyond the years 1678 to 2262, as Go's. */
    *out = template_int((int64_t)((uint64_t)args[0].time->seconds * 1000000000 +
                                  (uint64_t)args[0].time->nanoseconds));
    return true;
}

static bool time_utc(struct template_call *call, const struct template_value *args, size_t count,
                     struct template_value *out)
{
    struct template_time t = *args[0].time;
    t.offset_seconds = 0;
    t.zone = VIEW("UTC");
    return time_value(call, &t, out);
}

/* The zone of this machine. */
static bool time_local(struct template_call *call, const struct template_value *args, size_t count,
                       struct template_value *out)
{
    struct template_time t = *args[0].time;
    time_t seconds = (time_t)t.seconds;
    struct tm local;
    if (localtime_r(&seconds, &local)) {
        t.offset_seconds = (int32_t)local.tm_gmtoff;
        t.zone = template_call_copy(call, view_from(local.tm_zone));
        if (!t.zone.ptr)
            return false;
    }
    return time_value(call, &t, out);
}

#define CIVIL_METHOD(name, field, type_of)                                                         \
    static bool name(struct template_call *call, const struct template_value *args, size_t count,  \
                     struct template_value *out)                                                   \
    {                                                                                              \
        *out = (struct template_value){.type = (type_of),                                          \
                                       .integer = civil_from_time(args[0].time).field};            \
        return true;                                                                               \
    }

CIVIL_METHOD(time_year, year, &TEMPLATE_TYPE_INT)
CIVIL_METHOD(time_month, month, &TEMPLATE_TYPE_MONTH)
CIVIL_METHOD(time_day, day, &TEMPLATE_TYPE_INT)
CIVIL_METHOD(time_hour, hour, &TEMPLATE_TYPE_INT)
CIVIL_METHOD(time_minute, minute, &TEMPLATE_TYPE_INT)
CIVIL_METHOD(time_second, second, &TEMPLATE_TYPE_INT)
CIVIL_METHOD(time_weekday, weekday, &TEMPLATE_TYPE_WEEKDAY)
CIVIL_METHOD(time_year_day, year_day, &TEMPLATE_TYPE_INT)

static bool time_nanosecond(struct template_call *call, const struct template_value *args,
                            size_t count, struct template_value *out)
{
    *out = template_int(args[0].time->nanoseconds);
    return true;
}

static bool time_is_zero(struct template_call *call, const struct template_value *args,
                         size_t count, struct template_value *out)
{
    *out = template_bool(args[0].time->seconds == TEMPLATE_TIME_ZERO_SECONDS &&
                         args[0].time->nanoseconds == 0);
    return true;
}

static int time_order(const struct template_time *a, const struct template_time *b)
{
    if (a->seconds != b->seconds)
        return a->seconds < b->seconds ? -1 : 1;
    return (a->nanoseconds > b->nanoseconds) - (a->nanoseconds < b->nanoseconds);
}

static bool time_before(struct template_call *call, const struct template_value *args, size_t count,
                        struct template_value *out)
{
    *out = template_bool(time_order(args[0].time, args[1].time) < 0);
    return true;
}

static bool time_after(struct template_call *call, const struct template_value *args, size_t count,
                       struct template_value *out)
{
    *out = template_bool(time_order(args[0].time, args[1].time) > 0);
    return true;
}

static bool time_equal(struct template_call *call, const struct template_value *args, size_t count,
                       struct template_value *out)
{
    *out = template_bool(time_order(args[0].time, args[1].time) == 0);
    return true;
}

static bool time_add(struct template_call *call, const struct template_value *args, size_t count,
                     struct template_value *out)
{
    struct template_time t = *args[0].time;
    int64_t ns = t.nanoseconds + args[1].integer % 1000000000;
    t.seconds = (int64_t)((uint64_t)t.seconds + (uint64_t)(args[1].integer / 1000000000));
    t.seconds += ns >= 1000000000 ? 1 : ns < 0 ? -1 : 0;
    t.nanoseconds = (int32_t)(ns >= 1000000000 ? ns - 1000000000 : ns < 0 ? ns + 1000000000 : ns);
    return time_value(call, &t, out);
}

int64_t time_difference(const struct template_time *a, const struct template_time *b)
{
    int64_t seconds, ns;
    bool overflow = __builtin_sub_overflow(a->seconds, b->seconds, &seconds) ||
                    __builtin_mul_overflow(seconds, (int64_t)1000000000, &ns) ||
                    __builtin_add_overflow(ns, (int64_t)(a->nanoseconds - b->nanoseconds), &ns);
    return !overflow ? ns : a->seconds < b->seconds ? INT64_MIN : INT64_MAX;
}

static bool time_sub(struct template_call *call, const struct template_value *args, size_t count,
                     struct template_value *out)
{
    *out = duration_value(time_difference(args[0].time, args[1].time));
    return true;
}

static const struct template_function TIME_METHODS[] = {
    {"Format", time_format_method, {STRING}, 1, false},
    {.name = "String", .call = time_string},
    {.name = "Unix", .call = time_unix},
    {.name = "UnixMilli", .call = time_unix_milli},
    {.name = "UnixNano", .call = time_unix_nano},
    {.name = "UTC", .call = time_utc},
    {.name = "Local", .call = time_local},
    {.name = "Year", .call = time_year},
    {.name = "Month", .call = time_month},
    {.name = "Day", .call = time_day},
    {.name = "Hour", .call = time_hour},
    {.name = "Minute", .call = time_minute},
    {.name = "Second", .call = time_second},
    {.name = "Nanosecond", .call = time_nanosecond},
    {.name = "Weekday", .call = time_weekday},
    {.name = "YearDay", .call = time_year_day},
    {.name = "IsZero", .call = time_is_zero},
    {"Before", time_before, {TIME}, 1, false},
    {"After", time_after, {TIME}, 1, false},
    {"Equal", time_equal, {TIME}, 1, false},
    {"Add", time_add, {DURATION}, 1, false},
    {"Sub", time_sub, {TIME}, 1, false},
};

const struct template_type TEMPLATE_TYPE_TIME = {
    .kind = TEMPLATE_TIME,
    .name = "time.Time",
    .methods = TIME_METHODS,
    .method_count = ARRAY_COUNT(TIME_METHODS),
    .text = time_string,
};
