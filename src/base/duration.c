/* SPDX-License-Identifier: Apache-2.0 */
/* duration.c: the seven units of Prometheus, largest first; reading and printing walk one table. */
#include "base/duration.h"

#include "base/assert.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const struct {
    const char *name;
    int64_t ms;
    bool whole_only; /* printed only when nothing is left over: 90d reads better than 12w6d */
} units[] = {
    {"y", INT64_C(365) * 24 * 3600 * 1000, true},
    {"w", INT64_C(7) * 24 * 3600 * 1000, true},
    {"d", INT64_C(24) * 3600 * 1000, false},
    {"h", 3600 * 1000, false},
    {"m", 60 * 1000, false},
    {"s", 1000, false},
    {"ms", 1, false},
};

/* Prometheus keeps durations as int64 nanoseconds; what it cannot hold is refused here too. */
#define DURATION_MS_MAX (INT64_MAX / 1000000)
enum { SHOWN_BYTES_MAX = 64 }; /* of a wrong duration in a message */

static int shown_len(struct view text)
{
    return (int)(text.len < SHOWN_BYTES_MAX ? text.len : SHOWN_BYTES_MAX);
}

static bool refuse(struct error *err, struct view text, const char *why)
{
    return error_set(err, ERROR_INPUT, "duration \"%.*s\": %s", shown_len(text), text.ptr, why);
}

/* The unit at text[*pos...], which moves behind it; ARRAY_COUNT(units) when it is none. */
static size_t unit_at(struct view text, size_t *pos, struct view *word)
{
    size_t start = *pos;
    while (*pos < text.len && text.ptr[*pos] >= 'a' && text.ptr[*pos] <= 'z')
        (*pos)++;
    *word = view_slice(text, start, *pos);
    size_t i = 0;
    while (i < ARRAY_COUNT(units) && !view_is(*word, units[i].name))
        i++;
    return i;
}

/* Digits at text[*pos...]; saturates past the limit. False when there are none. */
static bool number_at(struct view text, size_t *pos, int64_t *out)
{
    size_t start = *pos;
    int64_t n = 0;
    for (; *pos < text.len && text.ptr[*pos] >= '0' && text.ptr[*pos] <= '9'; (*pos)++) {
        if (n <= DURATION_MS_MAX)
            n = n * 10 + (text.ptr[*pos] - '0');
    }
    *out = n;
    return *pos > start;
}

static bool refuse_order(struct error *err, struct view text, size_t unit, size_t last)
{
    if (unit == last)
        return error_set(err, ERROR_INPUT, "duration \"%.*s\": unit \"%s\" is given twice",
                         shown_len(text), text.ptr, units[unit].name);
    return error_set(err, ERROR_INPUT, "duration \"%.*s\": unit \"%s\" follows smaller unit \"%s\"",
                     shown_len(text), text.ptr, units[unit].name, units[last].name);
}

bool duration_parse(struct view text, int64_t *ms, struct error *err)
{
    *ms = 0;
    if (text.len == 0)
        return error_set(err, ERROR_INPUT,
                         "duration is empty: expected a number and a unit, as in 5m");
    if (view_is(text, "0"))
        return true;
    int64_t total = 0;
    size_t next = 0; /* the first unit that may still come */
    for (size_t pos = 0; pos < text.len;) {
        int64_t n;
        struct view word;
        if (!number_at(text, &pos, &n))
            return refuse(err, text, "expected a number and a unit, as in 1h30m");
        size_t unit = unit_at(text, &pos, &word);
        if (unit == ARRAY_COUNT(units) && word.len == 0)
            return refuse(err, text, "a number lacks its unit (ms, s, m, h, d, w or y)");
        if (unit == ARRAY_COUNT(units))
            return error_set(
                err, ERROR_INPUT,
                "duration \"%.*s\": unknown unit \"%.*s\" (expected ms, s, m, h, d, w or y)",
                shown_len(text), text.ptr, shown_len(word), word.ptr);
        if (unit < next)
            return refuse_order(err, text, unit, next - 1);
        next = unit + 1;
        if (n > DURATION_MS_MAX / units[unit].ms || total > DURATION_MS_MAX - n * units[unit].ms)
            return refuse(err, text, "longer than 292 years");
        total += n * units[unit].ms;
    }
    *ms = total;
    return true;
}

size_t duration_format(int64_t ms, char out[DURATION_TEXT_BYTES])
{
    if (ms == 0) {
        memcpy(out, "0s", 3);
        return 2;
    }
    uint64_t left = ms < 0 ? 0 - (uint64_t)ms : (uint64_t)ms;
    size_t len = 0;
    if (ms < 0)
        out[len++] = '-';
    for (size_t i = 0; i < ARRAY_COUNT(units); i++) {
        uint64_t unit_ms = (uint64_t)units[i].ms, n = left / unit_ms;
        if (n == 0 || (units[i].whole_only && left % unit_ms != 0))
            continue;
        int added =
            snprintf(out + len, DURATION_TEXT_BYTES - len, "%" PRIu64 "%s", n, units[i].name);
        ASSERT(added > 0 && (size_t)added < DURATION_TEXT_BYTES - len);
        len += (size_t)added;
        left -= n * unit_ms;
    }
    return len;
}
