/* SPDX-License-Identifier: Apache-2.0 */
/* rrule.c: a period (day, week, month or year, INTERVAL apart) is expanded by trying each of its days; each day that is one has the
 * same times. BYSETPOS picks from the days times the times of a period by arithmetic, without writing them out. All loops
 * end at YEAR_MAX, which is some 90,000 tries of a day away. */
#include "alerting/rrule.h"

#include "base/assert.h"
#include "base/mem.h"
#include "template/time_value.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum {
    TEXT_BYTES_MAX = 4000,
    LIST_MAX = 64,   /* of BYDAY and BYSETPOS */
    YEAR_MAX = 2261, /* int64 nanoseconds end in 2262 */
    DAY_SECONDS = 86400,
    MINUTES = 24 * 60,
    INTERVAL_MAX = 100000
};

enum freq { DAILY, WEEKLY, MONTHLY, YEARLY };

struct by_day {
    int ordinal; /* 0: each */
    int weekday; /* 0 = Sunday */
};

struct rrule {
    const struct timezone_data *zone;
    int64_t start_s;
    struct civil_time start; /* local */
    int64_t start_day;       /* its date in days since the epoch */
    enum freq freq;
    int64_t interval, count; /* count 0: without end */
    int64_t
        last_day; /* with a count: the local day and minute of the last one; INT64_MAX: later than all days */
    int last_minute;
    bool has_until;
    int64_t until_s; /* included */
    int week_start;
    uint32_t months, hours;
    uint64_t minutes;
    uint32_t month_days, month_days_back; /* bit n: the n-th; the n-th from the end */
    struct by_day days[LIST_MAX];
    size_t day_count;
    int set_pos[LIST_MAX];
    size_t set_pos_count;
    uint16_t times[MINUTES]; /* minutes of the day, ascending */
    size_t time_count;
};

/* --- dates --- */

static int64_t days_of(int64_t year, int month, int day)
{
    struct civil_time c = {.year = year, .month = month, .day = day};
    return civil_to_seconds(&c) / DAY_SECONDS; /* exact */
}

static struct civil_time date_of(int64_t day)
{
    struct template_time t = {.seconds = day * DAY_SECONDS};
    return civil_from_time(&t);
}

static int month_length(int64_t year, int month)
{
    static const int DAYS[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool is_leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return DAYS[month - 1] + (month == 2 && is_leap);
}

static int year_length(int64_t year)
{
    return 337 + month_length(year, 2);
}

/* --- reading --- */

static const char *const WEEKDAYS[] = {"SU", "MO", "TU", "WE", "TH", "FR", "SA"};

static bool part_error(struct error *err, const char *name, struct view value, const char *expected)
{
    return error_set(err, ERROR_INPUT, "RRULE: %s=%.*s: expected %s", name,
                     (int)(value.len < 100 ? value.len : 100), value.ptr, expected);
}

/* A decimal number, signed where min is below zero. */
static bool read_number(struct view text, int64_t min, int64_t max, int64_t *out)
{
    bool negative = text.len > 0 && text.ptr[0] == '-',
         sign = negative || (text.len > 0 && text.ptr[0] == '+');
    int64_t n = 0;
    if (sign && min >= 0)
        return false;
    text = view_slice(text, sign, text.len);
    if (text.len == 0 || text.len > 9)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9')
            return false;
        n = n * 10 + (text.ptr[i] - '0');
    }
    *out = negative ? -n : n;
    return *out >= min && *out <= max;
}

/* The items of a list between commas. */
static bool next_item(struct view *list, struct view *item)
{
    size_t end = 0;
    if (list->ptr == NULL)
        return false;
    while (end < list->len && list->ptr[end] != ',')
        end++;
    *item = view_slice(*list, 0, end);
    *list = end < list->len ? view_slice(*list, end + 1, list->len) : (struct view){0};
    return true;
}

static int weekday_of(struct view text)
{
    for (int i = 0; i < 7 && text.len == 2; i++)
        if (strncasecmp(text.ptr, WEEKDAYS[i], 2) == 0)
            return i;
    return -1;
}

static bool read_freq(struct rrule *r, struct view value, struct error *err)
{
    static const char *const NAMES[] = {"DAILY", "WEEKLY", "MONTHLY", "YEARLY"};
    for (unsigned i = 0; i < 4; i++)
        if (view_is_any_case(value, NAMES[i])) {
            r->freq = (enum freq)i;
            return true;
        }
    return part_error(err, "FREQ", value, "DAILY, WEEKLY, MONTHLY or YEARLY");
}

static bool read_interval(struct rrule *r, struct view value, struct error *err)
{
    return read_number(value, 1, INTERVAL_MAX, &r->interval) ||
           part_error(err, "INTERVAL", value, "a number from 1 to 100000");
}

static bool read_count(struct rrule *r, struct view value, struct error *err)
{
    return read_number(value, 1, RRULE_COUNT_MAX, &r->count) ||
           part_error(err, "COUNT", value, "a number from 1 to 10000");
}

static bool read_two(const char *p, int min, int max, int *out)
{
    if (p[0] < '0' || p[0] > '9' || p[1] < '0' || p[1] > '9')
        return false;
    *out = (p[0] - '0') * 10 + p[1] - '0';
    return *out >= min && *out <= max;
}

/* 19971224, 19971224T000000 (local) or 19971224T000000Z. */
static bool read_until(struct rrule *r, struct view value, struct error *err)
{
    struct civil_time c = {0};
    int century = 0, year = 0;
    bool is_date = value.len == 8, is_utc = value.len == 16 && (value.ptr[15] | 0x20) == 'z';
    bool ok = (is_date || value.len == 15 || is_utc) && read_two(value.ptr, 0, 99, &century) &&
              read_two(value.ptr + 2, 0, 99, &year) && read_two(value.ptr + 4, 1, 12, &c.month) &&
              read_two(value.ptr + 6, 1, 31, &c.day);
    c.year = century * 100 + year;
    ok = ok && c.day <= month_length(c.year, c.month);
    if (ok && !is_date)
        ok = (value.ptr[8] | 0x20) == 't' && read_two(value.ptr + 9, 0, 23, &c.hour) &&
             read_two(value.ptr + 11, 0, 59, &c.minute) &&
             read_two(value.ptr + 13, 0, 60, &c.second);
    if (!ok)
        return part_error(err, "UNTIL", value, "19970714, 19970714T173000 or 19970714T173000Z");
    int64_t at = civil_to_seconds(&c) + (is_date ? DAY_SECONDS - 1 : 0);
    r->has_until = true;
    r->until_s = is_utc ? at : timezone_to_utc(r->zone, at);
    return true;
}

static bool read_week_start(struct rrule *r, struct view value, struct error *err)
{
    r->week_start = weekday_of(value);
    return r->week_start >= 0 || part_error(err, "WKST", value, "MO, TU, WE, TH, FR, SA or SU");
}

static bool read_bits(struct view value, const char *name, int64_t min, int64_t max, uint64_t *bits,
                      struct error *err)
{
    struct view list = value, item;
    char expected[64];
    (void)snprintf(expected, sizeof expected, "numbers from %" PRId64 " to %" PRId64, min, max);
    while (next_item(&list, &item)) {
        int64_t n;
        if (!read_number(item, min, max, &n))
            return part_error(err, name, value, expected);
        *bits |= UINT64_C(1) << n;
    }
    return true;
}

static bool read_months(struct rrule *r, struct view value, struct error *err)
{
    uint64_t bits = 0;
    bool ok = read_bits(value, "BYMONTH", 1, 12, &bits, err);
    r->months = (uint32_t)bits;
    return ok;
}

static bool read_hours(struct rrule *r, struct view value, struct error *err)
{
    uint64_t bits = 0;
    bool ok = read_bits(value, "BYHOUR", 0, 23, &bits, err);
    r->hours = (uint32_t)bits;
    return ok;
}

static bool read_minutes(struct rrule *r, struct view value, struct error *err)
{
    return read_bits(value, "BYMINUTE", 0, 59, &r->minutes, err);
}

static bool read_month_days(struct rrule *r, struct view value, struct error *err)
{
    struct view list = value, item;
    while (next_item(&list, &item)) {
        int64_t n;
        if (!read_number(item, -31, 31, &n) || n == 0)
            return part_error(err, "BYMONTHDAY", value, "numbers from 1 to 31 or -1 to -31");
        if (n > 0)
            r->month_days |= UINT32_C(1) << n;
        else
            r->month_days_back |= UINT32_C(1) << -n;
    }
    return true;
}

static bool read_days(struct rrule *r, struct view value, struct error *err)
{
    static const char EXPECTED[] = "weekdays as MO, 2TU or -1FR";
    struct view list = value, item;
    while (next_item(&list, &item)) {
        int64_t ordinal = 0;
        int weekday = item.len >= 2 ? weekday_of(view_slice(item, item.len - 2, item.len)) : -1;
        struct view number = view_slice(item, 0, item.len >= 2 ? item.len - 2 : 0);
        if (weekday < 0 ||
            (number.len > 0 && (!read_number(number, -53, 53, &ordinal) || ordinal == 0)))
            return part_error(err, "BYDAY", value, EXPECTED);
        if (r->day_count == LIST_MAX)
            return part_error(err, "BYDAY", value, "at most 64 weekdays");
        r->days[r->day_count++] = (struct by_day){(int)ordinal, weekday};
    }
    return true;
}

static bool read_set_pos(struct rrule *r, struct view value, struct error *err)
{
    struct view list = value, item;
    while (next_item(&list, &item)) {
        int64_t n;
        if (!read_number(item, -366, 366, &n) || n == 0)
            return part_error(err, "BYSETPOS", value, "numbers from 1 to 366 or -1 to -366");
        if (r->set_pos_count == LIST_MAX)
            return part_error(err, "BYSETPOS", value, "at most 64 numbers");
        r->set_pos[r->set_pos_count++] = (int)n;
    }
    return true;
}

static const struct part {
    const char *name;
    bool (*read)(struct rrule *r, struct view value, struct error *err);
} PARTS[] = {
    {"FREQ", read_freq},
    {"INTERVAL", read_interval},
    {"COUNT", read_count},
    {"UNTIL", read_until},
    {"WKST", read_week_start},
    {"BYMONTH", read_months},
    {"BYMONTHDAY", read_month_days},
    {"BYDAY", read_days},
    {"BYHOUR", read_hours},
    {"BYMINUTE", read_minutes},
    {"BYSETPOS", read_set_pos},
};
enum { PART_FREQ = 0, PART_COUNT = 2, PART_UNTIL = 3, PART_NONE = ARRAY_COUNT(PARTS) };

static bool read_part(struct rrule *r, struct view text, unsigned *seen, struct error *err)
{
    size_t equals = 0, i = 0;
    while (equals < text.len && text.ptr[equals] != '=')
        equals++;
    while (i < PART_NONE &&
           !(strlen(PARTS[i].name) == equals && strncasecmp(PARTS[i].name, text.ptr, equals) == 0))
        i++;
    if (i == PART_NONE || equals == text.len)
        return error_set(
            err, ERROR_INPUT,
            "RRULE: \"%.*s\" is not supported: expected FREQ, INTERVAL, COUNT, UNTIL, WKST, "
            "BYMONTH, BYMONTHDAY, BYDAY, BYHOUR, BYMINUTE or BYSETPOS, = and a value",
            (int)(text.len < 100 ? text.len : 100), text.ptr);
    if (*seen >> i & 1)
        return error_set(err, ERROR_INPUT, "RRULE: %s is there twice", PARTS[i].name);
    *seen |= 1U << i;
    struct view value = view_slice(text, equals + 1, text.len);
    if (value.len == 0)
        return part_error(err, PARTS[i].name, value, "a value");
    return PARTS[i].read(r, value, err);
}

/* What RFC 5545 forbids together. */
static bool check(const struct rrule *r, unsigned seen, struct error *err)
{
    bool has_ordinal = false;
    for (size_t i = 0; i < r->day_count; i++)
        has_ordinal = has_ordinal || r->days[i].ordinal != 0;
    if (!(seen >> PART_FREQ & 1))
        return error_set(err, ERROR_INPUT, "RRULE: FREQ is missing");
    if (seen >> PART_COUNT & seen >> PART_UNTIL & 1)
        return error_set(err, ERROR_INPUT, "RRULE: COUNT and UNTIL exclude each other");
    if (has_ordinal && r->freq != MONTHLY && r->freq != YEARLY)
        return error_set(err, ERROR_INPUT,
                         "RRULE: a number before a weekday needs FREQ=MONTHLY or YEARLY");
    if (r->freq == WEEKLY && (r->month_days || r->month_days_back))
        return error_set(err, ERROR_INPUT, "RRULE: BYMONTHDAY cannot be with FREQ=WEEKLY");
    if (r->set_pos_count > 0 && !r->day_count && !r->months && !r->month_days &&
        !r->month_days_back && !r->hours && !r->minutes)
        return error_set(err, ERROR_INPUT, "RRULE: BYSETPOS needs another BY part");
    return true;
}

static bool parse(struct rrule *r, struct view text, struct error *err)
{
    unsigned seen = 0;
    if (text.len > TEXT_BYTES_MAX)
        return error_set(err, ERROR_INPUT, "RRULE: %zu bytes, at most %d", text.len,
                         TEXT_BYTES_MAX);
    if (view_has_prefix_any_case(text, "RRULE:"))
        text = view_slice(text, 6, text.len);
    for (size_t begin = 0, end; begin <= text.len; begin = end + 1) {
        for (end = begin; end < text.len && text.ptr[end] != ';'; end++) {
        }
        if (end == text.len && end == begin && begin > 0)
            break; /* a ; at the end */
        if (!read_part(r, view_slice(text, begin, end), &seen, err))
            return false;
    }
    return check(r, seen, err);
}

static void make_times(struct rrule *r)
{
    uint32_t hours = r->hours ? r->hours : UINT32_C(1) << r->start.hour;
    uint64_t minutes = r->minutes ? r->minutes : UINT64_C(1) << r->start.minute;
    for (unsigned i = 0; i < MINUTES; i++)
        if ((hours >> i / 60 & 1) && (minutes >> i % 60 & 1))
            r->times[r->time_count++] = (uint16_t)i;
}

static bool find_last(struct rrule *r);

bool rrule_new(struct rrule **out, struct view text, const struct timezone_data *zone,
               int64_t start_s, struct error *err)
{
    struct rrule *r = mem_alloc_zero(MEM_ALERTING, 1, sizeof *r);
    struct timezone_at at;
    int64_t ignored;
    timezone_find(zone, start_s, &at);
    struct template_time local = {.seconds = start_s + at.offset_seconds};
    r->zone = zone;
    r->start_s = start_s;
    r->start = civil_from_time(&local);
    r->start_day = days_of(r->start.year, r->start.month, r->start.day);
    r->interval = 1;
    r->week_start = 1;
    *out = NULL;
    bool ok = parse(r, text, err);
    if (ok)
        make_times(r);
    if (ok && !(find_last(r) && rrule_next(r, start_s - 1, &ignored)))
        ok = error_set(err, ERROR_INPUT, "RRULE: \"%.*s\" never comes", VIEW_ARGS(text));
    if (!ok) {
        rrule_free(r);
        return false;
    }
    *out = r;
    return true;
}

void rrule_free(struct rrule *r)
{
    mem_free(MEM_ALERTING, r);
}

/* --- which days --- */

/* Days `first` to `first` + `count` - 1. */
struct period {
    int64_t first;
    int count;
};

static struct period period_of(const struct rrule *r, int64_t n)
{
    int64_t year = r->start.year, month = r->start.month - 1 + n * r->interval;
    switch (r->freq) {
    case DAILY:
        return (struct period){r->start_day + n * r->interval, 1};
    case WEEKLY: {
        int64_t into_week = (r->start.weekday - r->week_start + 7) % 7;
        return (struct period){r->start_day - into_week + n * r->interval * 7, 7};
    }
    case MONTHLY:
        year += month / 12;
        month = month % 12 + 1;
        return (struct period){days_of(year, (int)month, 1), month_length(year, (int)month)};
    default:
        year += n * r->interval;
        return (struct period){days_of(year, 1, 1), year_length(year)};
    }
}

/* A number of a period that begins at or before the local day; the one behind it may be meant. */
static int64_t period_near(const struct rrule *r, int64_t day)
{
    struct civil_time d = date_of(day);
    int64_t n;
    switch (r->freq) {
    case DAILY:
        n = day - r->start_day;
        break;
    case WEEKLY:
        n = (day - r->start_day) / 7 - 1;
        break;
    case MONTHLY:
        n = (d.year - r->start.year) * 12 + d.month - r->start.month;
        break;
    default:
        n = d.year - r->start.year;
    }
    n = n / r->interval - 1;
    return n > 0 ? n : 0;
}

/* Is the day one of BYDAY, counted in its month or year? */
static bool in_days(const struct rrule *r, const struct civil_time *d)
{
    bool by_year = r->freq == YEARLY && !r->months;
    int place = by_year ? d->year_day : d->day;
    int length = by_year ? year_length(d->year) : month_length(d->year, d->month);
    int ordinal = (place - 1) / 7 + 1, from_end = -((length - place) / 7 + 1);
    for (size_t i = 0; i < r->day_count; i++)
        if (r->days[i].weekday == d->weekday &&
            (r->days[i].ordinal == 0 || r->days[i].ordinal == ordinal ||
             r->days[i].ordinal == from_end))
            return true;
    return false;
}

static bool in_month_days(const struct rrule *r, const struct civil_time *d)
{
    int back = month_length(d->year, d->month) - d->day + 1;
    return (r->month_days >> d->day & 1) || (r->month_days_back >> back & 1);
}

static bool day_matches(const struct rrule *r, int64_t day)
{
    struct civil_time d = date_of(day);
    bool by_month_day = r->month_days || r->month_days_back, by_day = r->day_count > 0;
    if ((r->months && !(r->months >> d.month & 1)) || (by_month_day && !in_month_days(r, &d)) ||
        (by_day && !in_days(r, &d)))
        return false;
    if (by_month_day || by_day)
        return true;
    switch (r->freq) { /* the rest is the start's */
    case DAILY:
        return true;
    case WEEKLY:
        return d.weekday == r->start.weekday;
    case MONTHLY:
        return d.day == r->start.day;
    default:
        return d.day == r->start.day && (r->months || d.month == r->start.month);
    }
}

/* --- when --- */

/* What one walk over the periods looks for. */
struct walk {
    const struct rrule *r;
    int64_t after_s, found_s;
    int64_t day; /* local, as `minute`: of found_s */
    int minute;
    int64_t to_count; /* more than 0: so many are gone through, whenever they are */
    bool is_over;     /* COUNT or UNTIL */
};

/* True: the walk ends. */
static bool visit(struct walk *w, int64_t day, uint16_t minute)
{
    const struct rrule *r = w->r;
    int64_t at = timezone_to_utc(r->zone, day * DAY_SECONDS + minute * 60 + r->start.second);
    if (at < r->start_s)
        return false;
    w->is_over =
        (r->has_until && at > r->until_s) ||
        (r->count > 0 && (day > r->last_day || (day == r->last_day && minute > r->last_minute)));
    w->found_s = at;
    w->day = day;
    w->minute = minute;
    if (w->to_count > 0)
        return --w->to_count == 0;
    return w->is_over || at > w->after_s;
}

static int int_order(const void *a, const void *b)
{
    return *(const int *)a - *(const int *)b;
}

/* Places in the period that BYSETPOS picks, ascending, each once. */
static size_t pick(const struct rrule *r, size_t total, int out[LIST_MAX])
{
    size_t count = 0, kept = 0;
    for (size_t i = 0; i < r->set_pos_count; i++) {
        int place = r->set_pos[i] > 0 ? r->set_pos[i] - 1 : (int)total + r->set_pos[i];
        if (place >= 0 && (size_t)place < total)
            out[count++] = place;
    }
    qsort(out, count, sizeof *out, int_order);
    for (size_t i = 0; i < count; i++)
        if (kept == 0 || out[kept - 1] != out[i])
            out[kept++] = out[i];
    return kept;
}

static bool visit_period(struct walk *w, struct period p)
{
    const struct rrule *r = w->r;
    int64_t days[366];
    int places[LIST_MAX];
    size_t count = 0;
    ASSERT(p.count <= 366);
    for (int i = 0; i < p.count; i++)
        if (day_matches(r, p.first + i))
            days[count++] = p.first + i;
    if (r->set_pos_count > 0) {
        size_t picked = pick(r, count * r->time_count, places);
        for (size_t i = 0; i < picked; i++) {
            size_t at = (size_t)places[i];
            if (visit(w, days[at / r->time_count], r->times[at % r->time_count]))
                return true;
        }
        return false;
    }
    for (size_t d = 0; d < count; d++) {
        /* Days that are past for certain need not be gone through, unless they are counted. */
        if (w->to_count == 0 && (days[d] + 3) * DAY_SECONDS < w->after_s)
            continue;
        for (size_t t = 0; t < r->time_count; t++)
            if (visit(w, days[d], r->times[t]))
                return true;
    }
    return false;
}

/* From the period `n` on, to the first time that ends the walk. */
static bool walk_from(struct walk *w, int64_t n)
{
    int64_t last = days_of(YEAR_MAX, 1, 1);
    for (;; n++) {
        struct period p = period_of(w->r, n);
        if (p.first >= last)
            return false;
        if (visit_period(w, p))
            return true;
    }
}

/* COUNT is gone through once, here: later its last day is an end as UNTIL is, whatever was before. That is a place on the
 * calendar and no time, as those of a day with a clock change do not ascend. False: not even the first of them comes. */
static bool find_last(struct rrule *r)
{
    struct walk w = {.r = r, .to_count = r->count};
    r->last_day = INT64_MAX;
    if (r->count > 0 && walk_from(&w, 0)) {
        r->last_day = w.day;
        r->last_minute = w.minute;
    }
    return r->count == 0 || w.to_count < r->count;
}

bool rrule_next(const struct rrule *r, int64_t after_s, int64_t *out_s)
{
    struct walk w = {.r = r, .after_s = after_s};
    int64_t near = after_s / DAY_SECONDS - 2;
    if (near > days_of(YEAR_MAX, 1, 1) || near - 4 > r->last_day)
        return false;
    if (!walk_from(&w, period_near(r, near)))
        return false;
    *out_s = w.found_s;
    return !w.is_over;
}
