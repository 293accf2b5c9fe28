/* SPDX-License-Identifier: Apache-2.0 */
/* api_params.c: times, durations, limits and selectors as the API takes them. The arithmetic on floats is
 * Prometheus' own (Go's), step by step, so that a time means the same millisecond here. */
#include "api/api_private.h"
#include "base/duration.h"
#include "base/floattext.h"
#include "base/hex.h"
#include "base/utf8.h"
#include "model/labels.h"
#include "promql/parser.h"

#include <math.h>

/* ---- times ---- */

/* Days from 1970-01-01 in the proleptic Gregorian calendar (Howard Hinnant, "chrono-Compatible Low-Level Date
 * Algorithms"). */
static int64_t days_from_civil(int64_t year, int64_t month, int64_t day)
{
    year -= month <= 2;
    int64_t era = (year >= 0 ? year : year - 399) / 400;
    int64_t year_of_era = year - era * 400;
    int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return era * 146097 + day_of_era - 719468;
}

static bool digits(struct view text, size_t *pos, unsigned count, int64_t *out)
{
    *out = 0;
    if (*pos + count > text.len)
        return false;
    for (unsigned i = 0; i < count; i++) {
        char c = text.ptr[(*pos)++];
        if (c < '0' || c > '9')
            return false;
        *out = *out * 10 + (c - '0');
    }
    return true;
}

static bool literal(struct view text, size_t *pos, char c)
{
    if (*pos >= text.len || text.ptr[*pos] != c)
        return false;
    (*pos)++;
    return true;
}

/* ".123456789" -> whole milliseconds; anything finer is cut off, as everywhere in Prometheus. */
static bool fraction(struct view text, size_t *pos, int64_t *ms)
{
    *ms = 0;
    if (!literal(text, pos, '.'))
        return true;
    size_t from = *pos;
    for (int64_t unit = 100; *pos < text.len && text.ptr[*pos] >= '0' && text.ptr[*pos] <= '9';
         unit /= 10)
        *ms += (text.ptr[(*pos)++] - '0') * unit;
    return *pos > from;
}

static bool zone(struct view text, size_t *pos, int64_t *offset_minutes)
{
    int64_t hours, minutes;
    *offset_minutes = 0;
    if (literal(text, pos, 'Z'))
        return true;
    bool negative = literal(text, pos, '-');
    if ((!negative && !literal(text, pos, '+')) || !digits(text, pos, 2, &hours) ||
        !literal(text, pos, ':') || !digits(text, pos, 2, &minutes) || hours > 24 || minutes > 60)
        return false;
    *offset_minutes = (hours * 60 + minutes) * (negative ? -1 : 1);
    return true;
}

static int64_t month_days(int64_t year, int64_t month)
{
    static const int64_t DAYS[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return month == 2 && leap ? 29 : DAYS[month - 1];
}

static bool rfc3339_parse(struct view t, int64_t *out)
{
    int64_t year, month, day, hour, minute, second, ms, offset;
    size_t pos = 0;
    if (!digits(t, &pos, 4, &year) || !literal(t, &pos, '-') || !digits(t, &pos, 2, &month) ||
        !literal(t, &pos, '-') || !digits(t, &pos, 2, &day) || !literal(t, &pos, 'T') ||
        !digits(t, &pos, 2, &hour) || !literal(t, &pos, ':') || !digits(t, &pos, 2, &minute) ||
        !literal(t, &pos, ':') || !digits(t, &pos, 2, &second) || !fraction(t, &pos, &ms) ||
        !zone(t, &pos, &offset) || pos != t.len)
        return false;
    if (month < 1 || month > 12 || day < 1 || day > month_days(year, month) || hour > 23 ||
        minute > 59 || second > 59)
        return false;
    int64_t minutes = days_from_civil(year, month, day) * 1440 + hour * 60 + minute - offset;
    *out = minutes * 60000 + second * 1000 + ms;
    return true;
}

bool api_time_parse(struct view text, int64_t *ms, struct error *err)
{
    double t;
    if (float_parse(text, &t) && fabs(t) <= (double)API_TIME_MAX_MS / 1000) {
        double seconds, part = modf(t, &seconds);
        part = round(part * 1000) / 1000;
        *ms = (int64_t)seconds * 1000 + (int64_t)floor((double)(int64_t)(part * 1e9) / 1e6);
        return true;
    }
    if (rfc3339_parse(text, ms))
        return true;
    /* Prometheus' own ends of time, which its clients send. */
    if (view_is(text, "-292273086-05-16T16:47:06Z")) {
        *ms = API_TIME_MIN_MS;
        return true;
    }
    if (view_is(text, "+292277025-08-18T07:12:54.999999999Z") ||
        view_is(text, "292277025-08-18T07:12:54.999999999Z")) {
        *ms = API_TIME_MAX_MS;
        return true;
    }
    return error_set(err, ERROR_INPUT, "cannot parse \"%.*s\" to a valid timestamp",
                     VIEW_ARGS(text));
}

static void civil_from_days(int64_t days, int64_t *year, int64_t *month, int64_t *day)
{
    days += 719468;
    int64_t era = (days >= 0 ? days : days - 146096) / 146097;
    int64_t day_of_era = days - era * 146097;
    int64_t year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t m = (5 * day_of_year + 2) / 153;
    *day = day_of_year - (153 * m + 2) / 5 + 1;
    *month = m < 10 ? m + 3 : m - 9;
    *year = year_of_era + era * 400 + (*month <= 2);
}

void api_time_format(struct buffer *b, int64_t ms)
{
    if (ms == INT64_MIN) {
        buffer_append_literal(b, "\"0001-01-01T00:00:00Z\"");
        return;
    }
    int64_t year, month, day;
    int64_t days = ms / 86400000, rest = ms % 86400000;
    if (rest < 0) {
        days--;
        rest += 86400000;
    }
    civil_from_days(days, &year, &month, &day);
    buffer_printf(b, "\"%04d-%02d-%02dT%02d:%02d:%02d", (int)year, (int)month, (int)day,
                  (int)(rest / 3600000), (int)(rest / 60000 % 60), (int)(rest / 1000 % 60));
    int part = (int)(rest % 1000);
    if (part % 10)
        buffer_printf(b, ".%03d", part);
    else if (part % 100)
        buffer_printf(b, ".%02d", part / 10);
    else if (part)
        buffer_printf(b, ".%d", part / 100);
    buffer_append_literal(b, "Z\"");
}

/* ---- durations, limits ---- */

bool api_duration_parse(struct view text, int64_t *ms, struct error *err)
{
    double seconds;
    if (float_parse(text, &seconds)) {
        double ns = seconds * 1e9;
        if (isnan(ns) || ns > 9223372036854775807.0 || ns < -9223372036854775808.0)
            return error_set(err, ERROR_INPUT,
                             "cannot parse \"%.*s\" to a valid duration. It overflows int64",
                             VIEW_ARGS(text));
        *ms = (int64_t)(ns / 1e6);
        if (*ms == 0 && ns != 0) /* below what a step can be: not the same as none */
            *ms = ns > 0 ? 1 : -1;
        return true;
    }
    if (duration_parse(text, ms, NULL))
        return true;
    return error_set(err, ERROR_INPUT, "cannot parse \"%.*s\" to a valid duration",
                     VIEW_ARGS(text));
}

bool api_limit_parse(struct view text, size_t *limit, struct error *err)
{
    *limit = 0;
    bool negative = text.len > 1 && text.ptr[0] == '-';
    for (size_t i = negative; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9')
            return error_set(err, ERROR_INPUT, "strconv.Atoi: parsing \"%.*s\": invalid syntax",
                             VIEW_ARGS(text));
        if (__builtin_mul_overflow(*limit, 10, limit) ||
            __builtin_add_overflow(*limit, (size_t)(text.ptr[i] - '0'), limit) ||
            *limit > INT64_MAX)
            return error_set(err, ERROR_INPUT, "strconv.Atoi: parsing \"%.*s\": value out of range",
                             VIEW_ARGS(text));
    }
    if (negative && *limit)
        return error_set(err, ERROR_INPUT, "limit must be non-negative");
    return true;
}

/* ---- headers ---- */

static struct view trim(struct view v)
{
    while (v.len && (v.ptr[0] == ' ' || v.ptr[0] == '\t'))
        v = view_slice(v, 1, v.len);
    while (v.len && (v.ptr[v.len - 1] == ' ' || v.ptr[v.len - 1] == '\t'))
        v = view_slice(v, 0, v.len - 1);
    return v;
}

struct view api_cut(struct view *rest, char at)
{
    const char *end = memchr(rest->ptr, at, rest->len);
    size_t len = end ? (size_t)(end - rest->ptr) : rest->len;
    struct view part = trim(view_slice(*rest, 0, len));
    *rest = view_slice(*rest, len + 1, rest->len);
    return part;
}

static struct api_accepted accepted_parse(struct view item)
{
    struct api_accepted a = {.quality = 1};
    a.type = api_cut(&item, ';');
    while (item.len) {
        struct view value = api_cut(&item, ';'), name = api_cut(&value, '=');
        if (value.len >= 2 && value.ptr[0] == '"' && value.ptr[value.len - 1] == '"')
            value = view_slice(value, 1, value.len - 1);
        if (view_is(name, "version"))
            a.version = value;
        else if (view_is(name, "escaping"))
            a.escaping = value;
        else if (view_is(name, "q") && !float_parse(value, &a.quality))
            a.quality = 0;
    }
    return a;
}

size_t api_accept_parse(struct view header, struct api_accepted *items)
{
    size_t count = 0;
    while (header.len && count < API_ACCEPT_ITEMS_MAX) {
        struct api_accepted a = accepted_parse(api_cut(&header, ','));
        size_t at = count++;
        for (; at > 0 && items[at - 1].quality < a.quality; at--)
            items[at] = items[at - 1];
        items[at] = a;
    }
    return count;
}

/* ---- label names ---- */

/* "_XX_" (hexadecimal code point, at most six digits) at *pos. */
static bool escape_take(struct view name, size_t *pos, char *out, size_t *len)
{
    uint32_t code = 0;
    size_t at = *pos + 1, count = 0;
    for (; at < name.len && name.ptr[at] != '_' && count < 7; at++, count++) {
        uint32_t digit = hex_digit((unsigned char)name.ptr[at]);
        if (digit == HEX_NONE)
            return false;
        code = code * 16 + digit;
    }
    if (at >= name.len || count == 0 || count > 6 || code > 0x10ffff ||
        (code >= 0xd800 && code <= 0xdfff))
        return false;
    *len += utf8_put(code, out + *len);
    *pos = at + 1;
    return true;
}

struct view api_label_unescape(struct arena *arena, struct view name)
{
    if (!view_has_prefix(name, VIEW("U__")))
        return name;
    char *out = arena_alloc(arena, name.len + 4);
    size_t len = 0;
    for (size_t pos = 3; pos < name.len;) {
        if (name.ptr[pos] != '_') {
            out[len++] = name.ptr[pos++];
        } else if (pos + 1 < name.len && name.ptr[pos + 1] == '_') {
            out[len++] = '_';
            pos += 2;
        } else if (!escape_take(name, &pos, out, &len)) {
            return name; /* not an escaped name: it means itself */
        }
    }
    return (struct view){out, len};
}

/* ---- match[], start, end, limit ---- */

static bool set_parse(struct matcher_set *set, struct view text, struct error *err)
{
    if (!promql_parse_selector(text, &set->parsed, err))
        return false;
    const struct expr *root = promql_root(set->parsed);
    set->matchers = root->u.selector.matchers;
    set->count = root->u.selector.matcher_count;
    for (size_t i = 0; i < set->count; i++)
        if (!matcher_matches_empty(&set->matchers[i]))
            return true;
    return error_set(err, ERROR_INPUT, "match[] must contain at least one non-empty matcher");
}

bool api_selectors_parse(struct api_selection *s, struct arena *arena, struct http_request *rq,
                         struct error *err)
{
    size_t count, capacity = 0;
    const struct form_param *params = http_request_params(rq, &count);
    for (size_t i = 0; i < count; i++) {
        if (!view_is(params[i].name, "match[]"))
            continue;
        if (s->set_count == API_MATCHER_SETS_MAX)
            return error_set(err, ERROR_INPUT, "more than %d match[] parameters",
                             API_MATCHER_SETS_MAX);
        s->sets = arena_grow(arena, s->sets, &capacity, s->set_count + 1, sizeof *s->sets);
        s->sets[s->set_count] = (struct matcher_set){0};
        if (!set_parse(&s->sets[s->set_count++], params[i].value, err))
            return false;
    }
    return true;
}

bool api_time_param(struct http_request *rq, const char *name, int64_t *ms, struct error *err)
{
    struct view text = http_request_param(rq, name);
    if (text.len == 0 || api_time_parse(text, ms, err))
        return true;
    return error_wrap(err, "invalid time value for '%s'", name);
}

bool api_selection_parse(struct api_selection *s, struct arena *arena, struct http_request *rq,
                         struct http_response *rs)
{
    struct error err;
    *s = (struct api_selection){.mint = API_TIME_MIN_MS, .maxt = API_TIME_MAX_MS};
    const char *bad = NULL;
    if (!api_limit_parse(http_request_param(rq, "limit"), &s->limit, &err))
        bad = "limit";
    else if (!api_time_param(rq, "start", &s->mint, &err))
        bad = "start";
    else if (!api_time_param(rq, "end", &s->maxt, &err))
        bad = "end";
    else if (!api_selectors_parse(s, arena, rq, &err))
        bad = "match[]";
    if (bad)
        api_error_param(rs, bad, &err);
    return bad == NULL;
}

void api_selection_deinit(struct api_selection *s)
{
    for (size_t i = 0; i < s->set_count; i++)
        promql_free(s->sets[i].parsed);
    s->set_count = 0;
}
