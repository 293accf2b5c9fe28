/* SPDX-License-Identifier: Apache-2.0 */
#include "alerting/cron.h"

#include "template/time_value.h"

#include <string.h>
#include <strings.h>

enum {
    TEXT_BYTES_MAX = 1000,
    DAY_SECONDS = 86400,
    DAYS_AHEAD = 12 * 366,
    CLOCK_CHANGE_MAX = 3 * 3600
};

static const char *const MONTHS[] = {"jan", "feb", "mar", "apr", "may", "jun",
                                     "jul", "aug", "sep", "oct", "nov", "dec"};
static const char *const WEEKDAYS[] = {"sun", "mon", "tue", "wed", "thu", "fri", "sat"};

static const struct field {
    const char *name;
    unsigned min, max;
    const char *const *names; /* of min and up */
    unsigned name_count;
} FIELDS[] = {
    {"minute", 0, 59, NULL, 0},
    {"hour", 0, 23, NULL, 0},
    {"day of the month", 1, 31, NULL, 0},
    {"month", 1, 12, MONTHS, 12},
    {"day of the week", 0, 7, WEEKDAYS, 7},
};

/* --- reading --- */

static bool field_error(struct error *err, const struct field *f, struct view item)
{
    return error_set(
        err, ERROR_INPUT,
        "cron: %s \"%.*s\" is none: expected *, a number from %u to %u%s, a range a-b, each "
        "with /step where wanted, between commas",
        f->name, (int)(item.len < 100 ? item.len : 100), item.ptr, f->min, f->max,
        f->names ? " or a name" : "");
}

static bool read_digits(struct view *text, unsigned *out)
{
    size_t len = 0;
    *out = 0;
    for (; len < text->len && len < 4 && text->ptr[len] >= '0' && text->ptr[len] <= '9'; len++)
        *out = *out * 10 + (unsigned)(text->ptr[len] - '0');
    *text = view_slice(*text, len, text->len);
    return len > 0;
}

static bool read_value(const struct field *f, struct view *text, unsigned *out)
{
    if (read_digits(text, out))
        return *out >= f->min && *out <= f->max;
    for (unsigned i = 0; i < f->name_count; i++)
        if (text->len >= 3 && strncasecmp(text->ptr, f->names[i], 3) == 0) {
            *out = f->min + i;
            *text = view_slice(*text, 3, text->len);
            return true;
        }
    return false;
}

static bool take(struct view *text, char c)
{
    if (text->len == 0 || text->ptr[0] != c)
        return false;
    *text = view_slice(*text, 1, text->len);
    return true;
}

static bool read_item(const struct field *f, struct view item, uint64_t *bits, struct error *err)
{
    struct view rest = item;
    unsigned from = f->min, to = f->max, step = 1;
    bool has_range = take(&rest, '*');
    if (!has_range) {
        if (!read_value(f, &rest, &from))
            return field_error(err, f, item);
        to = from;
        if (take(&rest, '-')) {
            has_range = true;
            if (!read_value(f, &rest, &to))
                return field_error(err, f, item);
        }
    }
    if (take(&rest, '/')) {
        if (!read_digits(&rest, &step) || step == 0)
            return field_error(err, f, item);
        to = has_range ? to : f->max; /* 5/15: from 5 on */
    }
    if (rest.len > 0)
        return field_error(err, f, item);
    if (to < from)
        return error_set(err, ERROR_INPUT, "cron: %s \"%.*s\" ends before it begins", f->name,
                         VIEW_ARGS(item));
    for (unsigned v = from; v <= to; v += step)
        *bits |= UINT64_C(1) << v;
    return true;
}

static bool read_field(const struct field *f, struct view text, uint64_t *bits, struct error *err)
{
    *bits = 0;
    for (size_t begin = 0, end; begin <= text.len; begin = end + 1) {
        for (end = begin; end < text.len && text.ptr[end] != ','; end++) {
        }
        if (!read_item(f, view_slice(text, begin, end), bits, err))
            return false;
    }
    return true;
}

bool cron_parse(struct cron *out, struct view text, struct error *err)
{
    struct view fields[5];
    uint64_t bits[5];
    size_t count = 0, pos = 0;
    if (text.len > TEXT_BYTES_MAX)
        return error_set(err, ERROR_INPUT, "cron: %zu bytes, at most %d", text.len, TEXT_BYTES_MAX);
    for (;;) {
        while (pos < text.len && (text.ptr[pos] == ' ' || text.ptr[pos] == '\t'))
            pos++;
        if (pos == text.len)
            break;
        size_t begin = pos;
        while (pos < text.len && text.ptr[pos] != ' ' && text.ptr[pos] != '\t')
            pos++;
        if (count < 5)
            fields[count] = view_slice(text, begin, pos);
        count++;
    }
    if (count != 5)
        return error_set(
            err, ERROR_INPUT,
            "cron: %zu fields, expected 5: minute, hour, day of the month, month, day of "
            "the week",
            count);
    for (size_t i = 0; i < 5; i++)
        if (!read_field(&FIELDS[i], fields[i], &bits[i], err))
            return false;
    *out = (struct cron){.minutes = bits[0],
                         .hours = (uint32_t)bits[1],
                         .days = (uint32_t)bits[2],
                         .months = (uint32_t)bits[3],
                         .weekdays = (uint32_t)((bits[4] | bits[4] >> 7) & 0x7f), /* 7 is Sunday */
                         .every_hour = fields[1].ptr[0] == '*',
                         .either_day = fields[2].ptr[0] != '*' && fields[4].ptr[0] != '*'};
    struct timezone_data *utc = NULL;
    int64_t ignored;
    if (!timezone_open(&utc, VIEW("UTC"), err))
        return false;
    bool comes = cron_next(out, utc, 1704067200 /* 2024: the next leap day is near */, &ignored);
    timezone_free(utc);
    return comes || error_set(err, ERROR_INPUT, "cron: \"%.*s\" never comes", VIEW_ARGS(text));
}

/* --- when --- */

static int64_t floor_to(int64_t n, int64_t unit)
{
    return n - ((n % unit) + unit) % unit;
}

static bool day_matches(const struct cron *c, int64_t local_s)
{
    struct template_time t = {.seconds = local_s};
    struct civil_time d = civil_from_time(&t);
    if (!(c->months >> d.month & 1))
        return false;
    bool day = c->days >> d.day & 1, weekday = c->weekdays >> d.weekday & 1;
    return c->either_day ? day || weekday : day && weekday;
}

/* Follows the clock: each minute that passes is looked at by its local name; days that do not match are skipped. */
static bool next_by_clock(const struct cron *c, const struct timezone_data *zone, int64_t after_s,
                          int64_t *out_s)
{
    int64_t t = floor_to(after_s, 60) + 60, end = after_s + (int64_t)DAYS_AHEAD * DAY_SECONDS;
    while (t <= end) {
        struct timezone_at at;
        timezone_find(zone, t, &at);
        int64_t local = t + at.offset_seconds, day = floor_to(local, DAY_SECONDS);
        int64_t minute = (local - day) / 60;
        if (!day_matches(c, local)) {
            int64_t left = day + DAY_SECONDS - local;
            /* Short of midnight, which a change of the clock may bring nearer; then from hour to hour. */
            t += left > 2 * CLOCK_CHANGE_MAX ? floor_to(left - CLOCK_CHANGE_MAX, 60)
                                             : 3600 - minute % 60 * 60;
        } else if (!(c->hours >> minute / 60 & 1)) {
            t += 3600 - minute % 60 * 60;
        } else if (c->minutes >> minute % 60 & 1) {
            *out_s = t - local % 60; /* zones of old had seconds */
            if (*out_s > after_s)
                return true;
            t += 60;
        } else {
            t += 60;
        }
    }
    return false;
}

/* Follows the calendar: each local time of the fields has one moment. */
static bool next_by_calendar(const struct cron *c, const struct timezone_data *zone,
                             int64_t after_s, int64_t *out_s)
{
    struct timezone_at at;
    timezone_find(zone, after_s, &at);
    int64_t from = after_s + at.offset_seconds - CLOCK_CHANGE_MAX;
    int64_t first_day = floor_to(from, DAY_SECONDS);
    for (int64_t n = 0; n < DAYS_AHEAD; n++) {
        int64_t day = first_day + n * DAY_SECONDS;
        if (!day_matches(c, day))
            continue;
        for (int minute = n == 0 ? (int)((from - day) / 60) : 0; minute < 24 * 60; minute++) {
            if (!(c->hours >> minute / 60 & 1)) {
                minute += 59 - minute % 60;
                continue;
            }
            if (!(c->minutes >> minute % 60 & 1))
                continue;
            *out_s = timezone_to_utc(zone, day + minute * 60);
            if (*out_s > after_s)
                return true;
        }
    }
    return false;
}

bool cron_next(const struct cron *c, const struct timezone_data *zone, int64_t after_s,
               int64_t *out_s)
{
    return c->every_hour ? next_by_clock(c, zone, after_s, out_s)
                         : next_by_calendar(c, zone, after_s, out_s);
}
