/* SPDX-License-Identifier: Apache-2.0 */
/* time_format.c: Go's layouts, in which a date says how dates are written: "Jan 2, 2006". One table names the parts of a
 * layout; formatting and parsing walk it. */
#include "base/utf8.h"
#include "template/time_value.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

enum part {
    PART_TEXT,
    PART_LONG_MONTH,
    PART_MONTH_NAME,
    PART_MONTH,
    PART_MONTH_2,
    PART_LONG_WEEKDAY,
    PART_WEEKDAY,
    PART_DAY,
    PART_DAY_SPACE,
    PART_DAY_2,
    PART_YEAR_DAY_SPACE,
    PART_YEAR_DAY_3,
    PART_HOUR_24,
    PART_HOUR_12,
    PART_HOUR_12_2,
    PART_MINUTE,
    PART_MINUTE_2,
    PART_SECOND,
    PART_SECOND_2,
    PART_LONG_YEAR,
    PART_YEAR,
    PART_PM,
    PART_PM_LOWER,
    PART_ZONE_NAME,
    PART_Z_SHORT, /* Z07 */
    PART_Z,       /* Z0700 */
    PART_Z_COLON, /* Z07:00 */
    PART_Z_SECONDS,
    PART_Z_COLON_SECONDS,
    PART_OFFSET_SHORT,
    PART_OFFSET,
    PART_OFFSET_COLON,
    PART_OFFSET_SECONDS,
    PART_OFFSET_COLON_SECONDS,
    PART_FRACTION,         /* .000: all digits */
    PART_FRACTION_TRIMMED, /* .999: without zeros at the end */
};

/* The first that fits is meant, so longer ones stand before what they begin with. */
static const struct {
    const char *text;
    enum part part;
} PARTS[] = {
    {"January", PART_LONG_MONTH},
    {"Jan", PART_MONTH_NAME},
    {"Monday", PART_LONG_WEEKDAY},
    {"Mon", PART_WEEKDAY},
    {"MST", PART_ZONE_NAME},
    {"01", PART_MONTH_2},
    {"002", PART_YEAR_DAY_3},
    {"02", PART_DAY_2},
    {"03", PART_HOUR_12_2},
    {"04", PART_MINUTE_2},
    {"05", PART_SECOND_2},
    {"06", PART_YEAR},
    {"15", PART_HOUR_24},
    {"1", PART_MONTH},
    {"2006", PART_LONG_YEAR},
    {"2", PART_DAY},
    {"__2", PART_YEAR_DAY_SPACE},
    {"_2", PART_DAY_SPACE},
    {"3", PART_HOUR_12},
    {"4", PART_MINUTE},
    {"5", PART_SECOND},
    {"PM", PART_PM},
    {"pm", PART_PM_LOWER},
    {"-07:00:00", PART_OFFSET_COLON_SECONDS},
    {"-070000", PART_OFFSET_SECONDS},
    {"-07:00", PART_OFFSET_COLON},
    {"-0700", PART_OFFSET},
    {"-07", PART_OFFSET_SHORT},
    {"Z07:00:00", PART_Z_COLON_SECONDS},
    {"Z070000", PART_Z_SECONDS},
    {"Z07:00", PART_Z_COLON},
    {"Z0700", PART_Z},
    {"Z07", PART_Z_SHORT},
};

static const char *const MONTHS[] = {"January",   "February", "March",    "April",
                                     "May",       "June",     "July",     "August",
                                     "September", "October",  "November", "December"};
static const char *const WEEKDAYS[] = {"Sunday",   "Monday", "Tuesday", "Wednesday",
                                       "Thursday", "Friday", "Saturday"};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* A "." or "," with zeros or nines, that no digit follows: a fraction of a second. Its length, 0 = none. */
static size_t fraction_len(struct view layout)
{
    if (layout.len < 2 || (layout.ptr[0] != '.' && layout.ptr[0] != ',') ||
        (layout.ptr[1] != '0' && layout.ptr[1] != '9'))
        return 0;
    size_t len = 2;
    while (len < layout.len && layout.ptr[len] == layout.ptr[1])
        len++;
    return len < layout.len && is_digit(layout.ptr[len]) ? 0 : len;
}

/* The part that begins the layout, and its length. PART_TEXT: one byte that means itself. */
static enum part part_at(struct view layout, size_t *len)
{
    *len = fraction_len(layout);
    if (*len)
        return layout.ptr[1] == '0' ? PART_FRACTION : PART_FRACTION_TRIMMED;
    for (size_t i = 0; i < ARRAY_COUNT(PARTS); i++) {
        struct view text = view_from(PARTS[i].text);
        if (!view_has_prefix(layout, text))
            continue;
        /* "Jan" begins no longer word, but "January" is another part; "_2006" is "_" and a year. */
        if (PARTS[i].part == PART_MONTH_NAME && layout.len > 3 && layout.ptr[3] >= 'a' &&
            layout.ptr[3] <= 'z')
            continue;
        if (PARTS[i].part == PART_WEEKDAY && layout.len > 3 && layout.ptr[3] >= 'a' &&
            layout.ptr[3] <= 'z')
            continue;
        if (PARTS[i].part == PART_DAY_SPACE && view_has_prefix(layout, VIEW("_2006")))
            continue;
        *len = text.len;
        return PARTS[i].part;
    }
    *len = 1;
    return PART_TEXT;
}

/* --- calendar --- */

/* Days since 1970 to a date and back: Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms". Eras of 400 years
 * begin on the 1st of March. */
static int64_t days_from_date(int64_t year, int month, int day)
{
    year -= month <= 2;
    int64_t era = (year >= 0 ? year : year - 399) / 400;
    int64_t year_of_era = year - era * 400;
    int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    return era * 146097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year -
           719468;
}

static void date_from_days(int64_t days, struct civil_time *c)
{
    days += 719468;
    int64_t era = (days >= 0 ? days : days - 146096) / 146097;
    int64_t day_of_era = days - era * 146097;
    int64_t year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t month = (5 * day_of_year + 2) / 153;
    c->day = (int)(day_of_year - (153 * month + 2) / 5 + 1);
    c->month = (int)(month < 10 ? month + 3 : month - 9);
    c->year = year_of_era + era * 400 + (c->month <= 2);
}

struct civil_time civil_from_time(const struct template_time *t)
{
    struct civil_time c;
    int64_t seconds = t->seconds + t->offset_seconds;
    int64_t days = seconds / 86400, rest = seconds % 86400;
    if (rest < 0) {
        rest += 86400;
        days--;
    }
    date_from_days(days, &c);
    c.hour = (int)(rest / 3600);
    c.minute = (int)(rest / 60 % 60);
    c.second = (int)(rest % 60);
    c.weekday = (int)(((days + 4) % 7 + 7) % 7);
    c.year_day = (int)(days - days_from_date(c.year, 1, 1)) + 1;
    return c;
}

int64_t civil_to_seconds(const struct civil_time *c)
{
    return days_from_date(c->year, c->month, c->day) * 86400 + c->hour * 3600 + c->minute * 60 +
           c->second;
}

/* --- formatting --- */

static void append_offset(struct buffer *out, int32_t offset, enum part part)
{
    bool z = part >= PART_Z_SHORT && part <= PART_Z_COLON_SECONDS;
    if (z && offset == 0) {
        buffer_append_byte(out, 'Z');
        return;
    }
    int32_t positive = offset < 0 ? -offset : offset;
    bool colon = part == PART_Z_COLON || part == PART_Z_COLON_SECONDS ||
                 part == PART_OFFSET_COLON || part == PART_OFFSET_COLON_SECONDS;
    bool seconds = part == PART_Z_SECONDS || part == PART_Z_COLON_SECONDS ||
                   part == PART_OFFSET_SECONDS || part == PART_OFFSET_COLON_SECONDS;
    buffer_printf(out, "%c%02d", offset < 0 ? '-' : '+', positive / 3600);
    if (part != PART_Z_SHORT && part != PART_OFFSET_SHORT)
        buffer_printf(out, "%s%02d", colon ? ":" : "", positive / 60 % 60);
    if (seconds)
        buffer_printf(out, "%s%02d", colon ? ":" : "", positive % 60);
}

static void append_fraction(struct buffer *out, int32_t ns, struct view layout, bool trimmed)
{
    char digits[16];
    snprintf(digits, sizeof(digits), "%09" PRId32, ns);
    size_t len = layout.len - 1 < 9 ? layout.len - 1 : 9;
    while (trimmed && len > 0 && digits[len - 1] == '0')
        len--;
    if (len == 0)
        return;
    buffer_append_byte(out, layout.ptr[0]);
    buffer_append(out, digits, len);
}

static void append_year(struct buffer *out, int64_t year)
{
    buffer_printf(out, "%s%04" PRId64, year < 0 ? "-" : "", year < 0 ? -year : year);
}

static int hour_12(int hour)
{
    return hour % 12 ? hour % 12 : 12;
}

static void append_part(struct buffer *out, const struct template_time *t,
                        const struct civil_time *c, enum part part, struct view layout)
{
    switch (part) {
    case PART_TEXT:
        buffer_append_view(out, layout);
        break;
    case PART_LONG_MONTH:
        buffer_printf(out, "%s", MONTHS[c->month - 1]);
        break;
    case PART_MONTH_NAME:
        buffer_printf(out, "%.3s", MONTHS[c->month - 1]);
        break;
    case PART_MONTH:
        buffer_printf(out, "%d", c->month);
        break;
    case PART_MONTH_2:
        buffer_printf(out, "%02d", c->month);
        break;
    case PART_LONG_WEEKDAY:
        buffer_printf(out, "%s", WEEKDAYS[c->weekday]);
        break;
    case PART_WEEKDAY:
        buffer_printf(out, "%.3s", WEEKDAYS[c->weekday]);
        break;
    case PART_DAY:
        buffer_printf(out, "%d", c->day);
        break;
    case PART_DAY_SPACE:
        buffer_printf(out, "%2d", c->day);
        break;
    case PART_DAY_2:
        buffer_printf(out, "%02d", c->day);
        break;
    case PART_YEAR_DAY_SPACE:
        buffer_printf(out, "%3d", c->year_day);
        break;
    case PART_YEAR_DAY_3:
        buffer_printf(out, "%03d", c->year_day);
        break;
    case PART_HOUR_24:
        buffer_printf(out, "%02d", c->hour);
        break;
    case PART_HOUR_12:
        buffer_printf(out, "%d", hour_12(c->hour));
        break;
    case PART_HOUR_12_2:
        buffer_printf(out, "%02d", hour_12(c->hour));
        break;
    case PART_MINUTE:
        buffer_printf(out, "%d", c->minute);
        break;
    case PART_MINUTE_2:
        buffer_printf(out, "%02d", c->minute);
        break;
    case PART_SECOND:
        buffer_printf(out, "%d", c->second);
        break;
    case PART_SECOND_2:
        buffer_printf(out, "%02d", c->second);
        break;
    case PART_LONG_YEAR:
        append_year(out, c->year);
        break;
    case PART_YEAR:
        buffer_printf(out, "%02d", (int)((c->year < 0 ? -c->year : c->year) % 100));
        break;
    case PART_PM:
        buffer_append(out, c->hour >= 12 ? "PM" : "AM", 2);
        break;
    case PART_PM_LOWER:
        buffer_append(out, c->hour >= 12 ? "pm" : "am", 2);
        break;
    case PART_ZONE_NAME:
        if (t->zone.len)
            buffer_append_view(out, t->zone);
        else
            append_offset(out, t->offset_seconds, PART_OFFSET);
        break;
    case PART_FRACTION:
    case PART_FRACTION_TRIMMED:
        append_fraction(out, t->nanoseconds, layout, part == PART_FRACTION_TRIMMED);
        break;
    default:
        append_offset(out, t->offset_seconds, part);
        break;
    }
}

void time_format(struct buffer *out, const struct template_time *t, struct view layout)
{
    struct civil_time c = civil_from_time(t);
    for (size_t pos = 0; pos < layout.len;) {
        size_t len;
        enum part part = part_at(view_slice(layout, pos, layout.len), &len);
        append_part(out, t, &c, part, view_slice(layout, pos, pos + len));
        pos += len;
    }
}

void time_format_default(struct buffer *out, const struct template_time *t)
{
    time_format(out, t, VIEW("2006-01-02 15:04:05.999999999 -0700 MST"));
}

/* --- parsing --- */

struct time_reader {
    struct view text;
    size_t pos;
    struct civil_time c;
    int32_t ns, offset;
    bool pm, has_pm, has_offset;
    struct view zone;
};

/* A number of at least `least` and at most `most` digits in [low, high]. */
static bool read_number(struct time_reader *r, size_t least, size_t most, int low, int high,
                        int *out)
{
    size_t count = 0;
    int v = 0;
    while (count < most && r->pos < r->text.len && is_digit(r->text.ptr[r->pos])) {
        v = v * 10 + (r->text.ptr[r->pos++] - '0');
        count++;
    }
    *out = v;
    return count >= least && v >= low && v <= high;
}

/* One of `names`, whole or by its first three letters; letters of any case. */
static bool read_name(struct time_reader *r, const char *const *names, size_t count, bool whole,
                      int *out)
{
    for (size_t i = 0; i < count; i++) {
        size_t len = whole ? strlen(names[i]) : 3;
        if (r->text.len - r->pos < len || strncasecmp(r->text.ptr + r->pos, names[i], len) != 0)
            continue;
        r->pos += len;
        *out = (int)i;
        return true;
    }
    return false;
}

static bool read_byte(struct time_reader *r, char c)
{
    if (r->pos >= r->text.len || r->text.ptr[r->pos] != c)
        return false;
    r->pos++;
    return true;
}

static bool read_offset(struct time_reader *r, enum part part)
{
    bool z = part >= PART_Z_SHORT && part <= PART_Z_COLON_SECONDS;
    r->has_offset = true;
    if (z && read_byte(r, 'Z')) {
        r->zone = VIEW("UTC");
        return true;
    }
    bool colon = part == PART_Z_COLON || part == PART_Z_COLON_SECONDS ||
                 part == PART_OFFSET_COLON || part == PART_OFFSET_COLON_SECONDS;
    bool seconds = part == PART_Z_SECONDS || part == PART_Z_COLON_SECONDS ||
                   part == PART_OFFSET_SECONDS || part == PART_OFFSET_COLON_SECONDS;
    bool minutes = part != PART_Z_SHORT && part != PART_OFFSET_SHORT;
    int h = 0, m = 0, s = 0;
    bool negative = read_byte(r, '-');
    if ((!negative && !read_byte(r, '+')) || !read_number(r, 2, 2, 0, 24, &h) ||
        (minutes && colon && !read_byte(r, ':')) || (minutes && !read_number(r, 2, 2, 0, 60, &m)) ||
        (seconds && colon && !read_byte(r, ':')) || (seconds && !read_number(r, 2, 2, 0, 60, &s)))
        return false;
    r->offset = (h * 3600 + m * 60 + s) * (negative ? -1 : 1);
    return true;
}

/* Digits behind a "." or ","; `count` of them, 0 = as many as there are. */
static bool read_fraction(struct time_reader *r, size_t count)
{
    size_t digits = 0;
    int64_t ns = 0;
    if (!read_byte(r, '.') && !read_byte(r, ','))
        return count == 0;
    while (r->pos < r->text.len && is_digit(r->text.ptr[r->pos]) &&
           (count == 0 || digits < count)) {
        if (digits < 9)
            ns = ns * 10 + (r->text.ptr[r->pos] - '0');
        digits++;
        r->pos++;
    }
    for (size_t i = digits; i < 9; i++)
        ns *= 10;
    r->ns = (int32_t)ns;
    return digits > 0 && (count == 0 || digits == count);
}

static bool read_zone_name(struct time_reader *r)
{
    size_t start = r->pos;
    while (r->pos < r->text.len && r->text.ptr[r->pos] >= 'A' && r->text.ptr[r->pos] <= 'Z')
        r->pos++;
    r->zone = view_slice(r->text, start, r->pos);
    return r->zone.len >= 3 && r->zone.len <= 5;
}

static bool read_part(struct time_reader *r, enum part part, struct view layout, bool last)
{
    struct civil_time *c = &r->c;
    int n;
    switch (part) {
    case PART_TEXT:
        return read_byte(r, layout.ptr[0]);
    case PART_LONG_MONTH:
    case PART_MONTH_NAME:
        if (!read_name(r, MONTHS, 12, part == PART_LONG_MONTH, &n))
            return false;
        c->month = n + 1;
        return true;
    case PART_MONTH:
    case PART_MONTH_2:
        return read_number(r, part == PART_MONTH ? 1 : 2, 2, 1, 12, &c->month);
    case PART_LONG_WEEKDAY:
    case PART_WEEKDAY:
        return read_name(r, WEEKDAYS, 7, part == PART_LONG_WEEKDAY, &n);
    case PART_DAY_SPACE:
        if (r->pos < r->text.len && r->text.ptr[r->pos] == ' ')
            r->pos++;
        __attribute__((fallthrough));
    case PART_DAY:
        return read_number(r, 1, 2, 1, 31, &c->day);
    case PART_DAY_2:
        return read_number(r, 2, 2, 1, 31, &c->day);
    case PART_YEAR_DAY_SPACE:
    case PART_YEAR_DAY_3:
        while (part == PART_YEAR_DAY_SPACE && r->pos < r->text.len && r->text.ptr[r->pos] == ' ')
            r->pos++;
        return read_number(r, 1, 3, 1, 366, &c->year_day);
    case PART_HOUR_24:
        return read_number(r, 1, 2, 0, 23, &c->hour);
    case PART_HOUR_12:
    case PART_HOUR_12_2:
        return read_number(r, part == PART_HOUR_12 ? 1 : 2, 2, 0, 12, &c->hour);
    case PART_MINUTE:
    case PART_MINUTE_2:
        return read_number(r, part == PART_MINUTE ? 1 : 2, 2, 0, 59, &c->minute);
    case PART_SECOND:
    case PART_SECOND_2:
        if (!read_number(r, part == PART_SECOND ? 1 : 2, 2, 0, 59, &c->second))
            return false;
        /* Go takes a fraction here that the layout does not name. */
        if (r->text.len - r->pos >= 2 &&
            (r->text.ptr[r->pos] == '.' || r->text.ptr[r->pos] == ',') &&
            is_digit(r->text.ptr[r->pos + 1]) && !last)
            return read_fraction(r, 0);
        return true;
    case PART_LONG_YEAR:
        if (!read_number(r, 4, 4, 0, 9999, &n))
            return false;
        c->year = n;
        return true;
    case PART_YEAR:
        if (!read_number(r, 2, 2, 0, 99, &n))
            return false;
        c->year = n + (n >= 69 ? 1900 : 2000);
        return true;
    case PART_PM:
    case PART_PM_LOWER: {
        struct view word = view_slice(r->text, r->pos, r->pos + 2);
        r->pos += word.len;
        r->has_pm = true;
        r->pm = view_eq(word, part == PART_PM ? VIEW("PM") : VIEW("pm"));
        return r->pm || view_eq(word, part == PART_PM ? VIEW("AM") : VIEW("am"));
    }
    case PART_ZONE_NAME:
        return read_zone_name(r);
    case PART_FRACTION:
        return read_fraction(r, layout.len - 1);
    case PART_FRACTION_TRIMMED:
        return read_fraction(r, 0);
    default:
        return read_offset(r, part);
    }
}

bool time_parse(struct template_time *out, struct view layout, struct view text)
{
    struct time_reader r = {.text = text, .c = {.month = 1, .day = 1}, .zone = VIEW("UTC")};
    static const int DAYS[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    for (size_t pos = 0; pos < layout.len;) {
        size_t len, next_len;
        enum part part = part_at(view_slice(layout, pos, layout.len), &len);
        struct view rest = view_slice(layout, pos + len, layout.len);
        enum part next = rest.len ? part_at(rest, &next_len) : PART_TEXT;
        if (!read_part(&r, part, view_slice(layout, pos, pos + len),
                       next == PART_FRACTION || next == PART_FRACTION_TRIMMED))
            return false;
        pos += len;
    }
    if (r.pos != text.len)
        return false;
    if (r.has_pm)
        r.c.hour = r.c.hour % 12 + (r.pm ? 12 : 0);
    bool leap = r.c.year % 4 == 0 && (r.c.year % 100 != 0 || r.c.year % 400 == 0);
    if (r.c.day > DAYS[r.c.month - 1] + (r.c.month == 2 && leap ? 1 : 0))
        return false;
    if (r.c.year_day) { /* the day of the year alone says the date */
        if (r.c.year_day > 365 + (leap ? 1 : 0))
            return false;
        r.c.month = 1;
        r.c.day = 1;
    }
    int64_t seconds = civil_to_seconds(&r.c) + (r.c.year_day ? (r.c.year_day - 1) * 86400LL : 0);
    *out = (struct template_time){seconds - r.offset, r.ns, r.offset, r.zone};
    if (r.has_offset && r.offset)
        out->zone = (struct view){"", 0};
    return true;
}

/* --- durations --- */

size_t go_duration_format(int64_t ns, char out[GO_DURATION_BYTES])
{
    uint64_t u = ns < 0 ? 0 - (uint64_t)ns : (uint64_t)ns;
    const char *sign = ns < 0 ? "-" : "";
    if (u == 0)
        return (size_t)snprintf(out, GO_DURATION_BYTES, "0s");
    uint64_t unit = u < 1000 ? 1 : u < 1000000 ? 1000 : u < 1000000000 ? 1000000 : 1000000000;
    const char *name = unit == 1 ? "ns" : unit == 1000 ? "\xc2\xb5s" : unit == 1000000 ? "ms" : "s";
    char fraction[16] = "";
    if (u % unit) {
        int digits = unit == 1000 ? 3 : unit == 1000000 ? 6 : 9;
        int len = snprintf(fraction, sizeof(fraction), ".%0*" PRIu64, digits, u % unit);
        while (fraction[len - 1] == '0')
            fraction[--len] = '\0';
    }
    uint64_t whole = u / unit;
    if (unit < 1000000000 || whole < 60)
        return (size_t)snprintf(out, GO_DURATION_BYTES, "%s%" PRIu64 "%s%s", sign, whole, fraction,
                                name);
    if (whole < 3600)
        return (size_t)snprintf(out, GO_DURATION_BYTES, "%s%" PRIu64 "m%" PRIu64 "%ss", sign,
                                whole / 60, whole % 60, fraction);
    return (size_t)snprintf(out, GO_DURATION_BYTES, "%s%" PRIu64 "h%" PRIu64 "m%" PRIu64 "%ss",
                            sign, whole / 3600, whole / 60 % 60, whole % 60, fraction);
}

static const struct {
    const char *name;
    int64_t ns;
} UNITS[] = {
    {"ns", 1},       {"us", 1000},      {"\xc2\xb5s", 1000}, {"\xce\xbcs", 1000},
    {"ms", 1000000}, {"s", 1000000000}, {"m", 60000000000},  {"h", 3600000000000},
};

/* One "1.5h" at *pos; adds it. */
static bool read_unit(struct view text, size_t *pos, double *total)
{
    double v = 0, scale = 1;
    bool digits = false;
    for (; *pos < text.len && is_digit(text.ptr[*pos]); (*pos)++, digits = true)
        v = v * 10 + (text.ptr[*pos] - '0');
    if (*pos < text.len && text.ptr[*pos] == '.')
        for ((*pos)++; *pos < text.len && is_digit(text.ptr[*pos]); (*pos)++, digits = true)
            v += (text.ptr[*pos] - '0') * (scale /= 10);
    size_t start = *pos;
    while (*pos < text.len && text.ptr[*pos] != '.' && !is_digit(text.ptr[*pos]))
        (*pos)++;
    struct view name = view_slice(text, start, *pos);
    for (size_t i = 0; digits && i < ARRAY_COUNT(UNITS); i++) {
        if (view_is(name, UNITS[i].name)) {
            *total += round(v * (double)UNITS[i].ns);
            return true;
        }
    }
    return false;
}

bool go_duration_parse(struct view text, int64_t *ns)
{
    size_t pos = 0;
    double total = 0;
    bool negative = text.len && text.ptr[0] == '-';
    if (text.len && (text.ptr[0] == '-' || text.ptr[0] == '+'))
        pos++;
    if (view_is(view_slice(text, pos, text.len), "0")) {
        *ns = 0;
        return true;
    }
    if (pos == text.len)
        return false;
    while (pos < text.len)
        if (!read_unit(text, &pos, &total) || total >= 9223372036854775808.0)
            return false;
    *ns = negative ? -(int64_t)total : (int64_t)total;
    return true;
}
