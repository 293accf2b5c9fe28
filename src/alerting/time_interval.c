/* SPDX-License-Identifier: Apache-2.0 */
/* time_interval.c: see time_interval.h. */
#include "alerting/time_interval.h"

#include "base/nearest.h"

#include <time.h>

enum { MINUTES_OF_DAY = 24 * 60, DAYS_OF_MONTH = 31 };

static const char *const WEEKDAYS[] = {"sunday",   "monday", "tuesday", "wednesday",
                                       "thursday", "friday", "saturday"};
static const char *const MONTHS[] = {"january",   "february", "march",    "april",
                                     "may",       "june",     "july",     "august",
                                     "september", "october",  "november", "december"};

static bool read_number(struct view text, int32_t *out)
{
    bool negative = text.len > 0 && text.ptr[0] == '-';
    int32_t value = 0;
    text = view_slice(text, negative || (text.len && text.ptr[0] == '+'), text.len);
    if (text.len == 0 || text.len > 9)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9')
            return false;
        value = value * 10 + (text.ptr[i] - '0');
    }
    *out = negative ? -value : value;
    return true;
}

static bool read_word(struct view text, const char *const *words, size_t count, int32_t first,
                      int32_t *out)
{
    for (size_t i = 0; i < count; i++) {
        if (view_is_any_case(text, words[i])) {
            *out = (int32_t)i + first;
            return true;
        }
    }
    return false;
}

enum part_kind { PART_WEEKDAY, PART_DAY, PART_MONTH, PART_YEAR };

/* One end of a range. Numbers of months and years that there are not match nothing, as in Alertmanager. */
static bool read_end(enum part_kind kind, const struct yaml_node *node, struct view text,
                     int32_t *out, struct error *err)
{
    struct view shown = view_slice(text, 0, 100);
    switch (kind) {
    case PART_WEEKDAY:
        return read_word(text, WEEKDAYS, 7, 0, out) ||
               yaml_error(err, node, "\"%.*s\" is not a valid weekday", VIEW_ARGS(shown));
    case PART_MONTH:
        return read_word(text, MONTHS, 12, 1, out) || read_number(text, out) ||
               yaml_error(err, node, "\"%.*s\" is not a valid month", VIEW_ARGS(shown));
    case PART_DAY:
        return (read_number(text, out) && *out != 0 && *out >= -DAYS_OF_MONTH &&
                *out <= DAYS_OF_MONTH) ||
               yaml_error(err, node, "\"%.*s\" is not a valid day of the month: out of range",
                          VIEW_ARGS(shown));
    case PART_YEAR:
        return read_number(text, out) ||
               yaml_error(err, node, "\"%.*s\" is not a valid year", VIEW_ARGS(shown));
    }
    return false;
}

/* Can the range hold a day at all? Ends of different sign are compared in the longest month. */
static bool check_days(const struct yaml_node *node, struct time_range range, struct error *err)
{
    if (range.begin < 0 && range.end > 0)
        return yaml_error(err, node, "end day must be negative if start day is negative");
    int32_t begin = range.begin < 0 ? DAYS_OF_MONTH + range.begin + 1 : range.begin;
    int32_t end = range.end < 0 ? DAYS_OF_MONTH + range.end + 1 : range.end;
    if (begin > end)
        return yaml_error(err, node, "end day %d is always before start day %d", (int)range.end,
                          (int)range.begin);
    return true;
}

static bool read_range(enum part_kind kind, const struct yaml_node *node, struct time_range *out,
                       struct error *err)
{
    if (node->kind != YAML_SCALAR)
        return yaml_error(err, node, "a range like 1:5 was expected, not %s", yaml_describe(node));
    const char *colon = memchr(node->text.ptr, ':', node->text.len);
    size_t at = colon ? (size_t)(colon - node->text.ptr) : node->text.len;
    if (!read_end(kind, node, view_slice(node->text, 0, at), &out->begin, err))
        return false;
    out->end = out->begin;
    if (colon &&
        !read_end(kind, node, view_slice(node->text, at + 1, node->text.len), &out->end, err))
        return false;
    if (kind == PART_DAY)
        return check_days(node, *out, err);
    static const char *const NAMES[] = {"day", "day", "month", "year"};
    return out->begin <= out->end ||
           yaml_error(err, node, "end %s is before start %s", NAMES[kind], NAMES[kind]);
}

static bool read_ranges(struct arena *arena, const struct yaml_node *list, enum part_kind kind,
                        struct time_ranges *out, struct error *err)
{
    if (yaml_is_null(list))
        return true;
    if (list->kind != YAML_SEQUENCE)
        return yaml_error(err, list, "a list of ranges was expected, not %s", yaml_describe(list));
    out->items = ARENA_ARRAY(arena, struct time_range, list->count + 1);
    for (uint32_t i = 0; i < list->count; i++) {
        if (!read_range(kind, list->items[i], &out->items[out->count++], err))
            return false;
    }
    return true;
}

/* HH:MM to 24:00. */
static bool read_minute(const struct yaml_node *map, const char *field, int32_t *out,
                        struct error *err)
{
    const struct yaml_node *node = yaml_find(map, field);
    int32_t hour = 0, minute = 0;
    if (yaml_is_null(node))
        return yaml_error(err, node ? node : map, "both start and end times must be provided");
    struct view text = node->kind == YAML_SCALAR ? node->text : VIEW("");
    bool ok = text.len == 5 && text.ptr[2] == ':' && read_number(view_slice(text, 0, 2), &hour) &&
              read_number(view_slice(text, 3, 5), &minute) && hour >= 0 && minute >= 0 &&
              minute < 60 && text.ptr[0] != '+' && text.ptr[0] != '-' && text.ptr[3] != '+' &&
              text.ptr[3] != '-';
    *out = hour * 60 + minute;
    if (ok && *out <= MINUTES_OF_DAY)
        return true;
    return yaml_error(err, node, "couldn't parse timestamp \"%.*s\", expected HH:MM up to 24:00",
                      VIEW_ARGS(view_slice(text, 0, 100)));
}

static bool read_times(struct arena *arena, const struct yaml_node *list, struct time_ranges *out,
                       struct error *err)
{
    if (yaml_is_null(list))
        return true;
    if (list->kind != YAML_SEQUENCE)
        return yaml_error(err, list, "a list of start_time and end_time was expected, not %s",
                          yaml_describe(list));
    out->items = ARENA_ARRAY(arena, struct time_range, list->count + 1);
    for (uint32_t i = 0; i < list->count; i++) {
        const struct yaml_node *map = list->items[i];
        struct time_range *range = &out->items[out->count++];
        if (map->kind != YAML_MAPPING)
            return yaml_error(err, map, "start_time and end_time were expected, not %s",
                              yaml_describe(map));
        for (uint32_t j = 0; j < map->count; j++) {
            const struct yaml_node *key = map->pairs[j].key;
            if (!view_is(key->text, "start_time") && !view_is(key->text, "end_time"))
                return yaml_error(err, key, "field \"%.*s\" is not known in a time range",
                                  VIEW_ARGS(view_slice(key->text, 0, 100)));
        }
        if (!read_minute(map, "start_time", &range->begin, err) ||
            !read_minute(map, "end_time", &range->end, err))
            return false;
        if (range->begin >= range->end)
            return yaml_error(err, map, "start time cannot be equal or greater than end time");
    }
    return true;
}

bool time_interval_read(struct arena *arena, const struct yaml_node *node,
                        struct time_interval *out, struct error *err)
{
    static const char *const FIELDS[] = {"times",  "weekdays", "days_of_month",
                                         "months", "years",    "location"};
    *out = (struct time_interval){.zone = NULL};
    if (yaml_is_null(node))
        return true; /* without a condition: always */
    if (node->kind != YAML_MAPPING)
        return yaml_error(err, node, "a time interval was expected, not %s", yaml_describe(node));
    for (uint32_t i = 0; i < node->count; i++) {
        const struct yaml_node *key = node->pairs[i].key;
        bool known = false;
        for (size_t j = 0; j < sizeof(FIELDS) / sizeof(*FIELDS); j++)
            known |= view_is(key->text, FIELDS[j]);
        if (known)
            continue;
        const char *near = nearest_word(key->text, FIELDS, sizeof(FIELDS) / sizeof(*FIELDS));
        return yaml_error(err, key, "field \"%.*s\" is not known in a time interval%s%s%s",
                          VIEW_ARGS(view_slice(key->text, 0, 100)), near ? "; did you mean \"" : "",
                          near ? near : "", near ? "\"?" : "");
    }
    if (!read_times(arena, yaml_find(node, "times"), &out->times, err) ||
        !read_ranges(arena, yaml_find(node, "weekdays"), PART_WEEKDAY, &out->weekdays, err) ||
        !read_ranges(arena, yaml_find(node, "days_of_month"), PART_DAY, &out->days_of_month, err) ||
        !read_ranges(arena, yaml_find(node, "months"), PART_MONTH, &out->months, err) ||
        !read_ranges(arena, yaml_find(node, "years"), PART_YEAR, &out->years, err))
        return false;
    const struct yaml_node *location = yaml_find(node, "location");
    if (yaml_is_null(location))
        return true;
    if (location->kind != YAML_SCALAR)
        return yaml_error(err, location, "the name of a time zone was expected, not %s",
                          yaml_describe(location));
    struct error why = {0};
    return timezone_open(&out->zone, location->text, &why) ||
           yaml_error(err, location, "%s", why.message);
}

void time_interval_deinit(struct time_interval *t)
{
    timezone_free(t->zone);
    t->zone = NULL;
}

static bool in_ranges(const struct time_ranges *ranges, int32_t value)
{
    bool in = ranges->count == 0;
    for (size_t i = 0; i < ranges->count && !in; i++)
        in = value >= ranges->items[i].begin && value <= ranges->items[i].end;
    return in;
}

static int32_t days_in_month(const struct tm *tm)
{
    static const int32_t DAYS[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int64_t year = (int64_t)tm->tm_year + 1900;
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return DAYS[tm->tm_mon] + (tm->tm_mon == 1 && leap);
}

/* Ends beyond the month are those of the month; a range that begins beyond it has no day in it. */
static bool in_days(const struct time_ranges *ranges, const struct tm *tm)
{
    int32_t last = days_in_month(tm);
    bool in = ranges->count == 0;
    for (size_t i = 0; i < ranges->count && !in; i++) {
        int32_t begin = ranges->items[i].begin, end = ranges->items[i].end;
        begin = begin < 0 ? last + begin + 1 : begin;
        end = end < 0 ? last + end + 1 : end;
        in = begin <= last && tm->tm_mday >= begin && tm->tm_mday <= end;
    }
    return in;
}

bool time_interval_contains(const struct time_interval *t, int64_t unix_seconds)
{
    struct timezone_at at = {.offset_seconds = 0};
    struct tm tm;
    if (t->zone)
        timezone_find(t->zone, unix_seconds, &at);
    time_t local = (time_t)(unix_seconds + at.offset_seconds);
    if (!gmtime_r(&local, &tm))
        return false; /* a year that no calendar has */
    int32_t minute = tm.tm_hour * 60 + tm.tm_min;
    bool in_time = t->times.count == 0;
    for (size_t i = 0; i < t->times.count && !in_time; i++)
        in_time = minute >= t->times.items[i].begin && minute < t->times.items[i].end;
    return in_time && in_ranges(&t->weekdays, tm.tm_wday) && in_days(&t->days_of_month, &tm) &&
           in_ranges(&t->months, tm.tm_mon + 1) && in_ranges(&t->years, tm.tm_year + 1900);
}
