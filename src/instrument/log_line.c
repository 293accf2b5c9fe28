/* SPDX-License-Identifier: Apache-2.0 */
/* log_line.c: see log_line.h. The day and time are laid out once a second and thread. */
#include "instrument/log_line.h"

#include "instrument/context.h"
#include "instrument/request_private.h"

#include <string.h>
#include <time.h>

enum { SECOND_TEXT_BYTES = 20 }; /* "2026-11-20T19:10:29" and NUL */

static void put_digits(char *out, unsigned v, int digits)
{
    for (int i = digits - 1; i >= 0; i--, v /= 10)
        out[i] = (char)('0' + v % 10);
}

/* Civil date of a day number: Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms". gmtime_r() takes a lock of
 * libc's, which a child of fork() may find taken. */
static void second_text(char out[SECOND_TEXT_BYTES], int64_t second)
{
    memcpy(out, "1970-01-01T00:00:00", SECOND_TEXT_BYTES);
    if (second < 0 || second >= INT64_C(253402300800)) /* to the end of year 9999 */
        return;
    unsigned of_day = (unsigned)(second % 86400);
    unsigned days = (unsigned)(second / 86400) + 719468; /* since 0000-03-01 */
    unsigned era = days / 146097, of_era = days % 146097;
    unsigned year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    unsigned of_year = of_era - (365 * year + year / 4 - year / 100);
    unsigned from_march = (5 * of_year + 2) / 153;
    unsigned month = from_march < 10 ? from_march + 3 : from_march - 9;
    put_digits(out, era * 400 + year + (month <= 2), 4);
    put_digits(out + 5, month, 2);
    put_digits(out + 8, of_year - (153 * from_march + 2) / 5 + 1, 2);
    put_digits(out + 11, of_day / 3600, 2);
    put_digits(out + 14, of_day / 60 % 60, 2);
    put_digits(out + 17, of_day % 60, 2);
}

static void put_timestamp(struct line *l, belfry_log_format format)
{
    static _Thread_local struct {
        int64_t second;
        char text[SECOND_TEXT_BYTES];
    } last __attribute__((tls_model("initial-exec")));
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (now.tv_sec != last.second || !last.text[0]) {
        second_text(last.text, now.tv_sec);
        last.second = now.tv_sec;
    }
    char text[] = "{\"ts\":\"2026-11-20T19:10:29.000000Z\"";
    memcpy(text + 7, last.text, SECOND_TEXT_BYTES - 1);
    put_digits(text + 27, (unsigned)(now.tv_nsec / 1000), 6);
    if (format == BELFRY_LOG_JSON) {
        line_put(l, text, sizeof text - 1);
    } else {
        line_put(l, "ts=", 3);
        line_put(l, text + 7, 27);
    }
}

/* A field, or nothing of it where it does not fit. */
static void put_field(struct line *l, belfry_log_format format, const belfry_field *f)
{
    size_t before = l->len;
    if (l->full || !f->key)
        return;
    belfry__line_put_key(l, format, f->key);
    belfry__line_put_value(l, format, f);
    if (l->full)
        l->len = before;
}

/* Without a call where the first byte differs, as it mostly does. */
static bool is_key(const char *key, const char *other)
{
    return key[0] == other[0] && strcmp(key, other) == 0;
}

/* Keys that the line has anyway. */
static bool is_taken(const char *key)
{
    return is_key(key, "ts") || is_key(key, "level") || is_key(key, "event");
}

static void put_own_field(struct line *l, const struct line_options *o, const belfry_field *f)
{
    static const char *const RENAMED[] = {['t'] = "ts_", ['l'] = "level_", ['e'] = "event_"};
    if (!f->key || (o->with_request_id && is_key(f->key, "request_id")))
        return; /* the latter is in its place already */
    if (LIKELY(!is_taken(f->key))) {
        put_field(l, o->format, f);
        return;
    }
    belfry_field renamed = *f;
    renamed.key = RENAMED[(unsigned char)f->key[0]];
    put_field(l, o->format, &renamed);
}

static const belfry_field *find_key(const belfry_field *fields, size_t count, const char *key)
{
    for (size_t i = 0; i < count; i++) {
        if (fields[i].key && is_key(fields[i].key, key))
            return &fields[i];
    }
    return NULL;
}

static bool has_key(const belfry_field *fields, size_t count, const char *key)
{
    return find_key(fields, count, key) != NULL;
}

struct own_fields {
    const belfry_field *fields;
    size_t count;
};

/* Is this key in the call's fields or in a scope inside of `until`? */
static bool is_shadowed(const struct own_fields *own, const belfry_scope *until, const char *key)
{
    if (is_taken(key) || is_key(key, "request_id") || has_key(own->fields, own->count, key))
        return true;
    for (const belfry_scope *s = belfry__context.top; s != until; s = s->outer) {
        if (has_key(s->fields, s->count, key))
            return true;
    }
    return false;
}

static void put_shared(struct line *l, belfry_log_format format, const struct own_fields *own,
                       const belfry_scope *until, const belfry_field *fields, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (fields[i].key && !is_shadowed(own, until, fields[i].key) &&
            !has_key(fields, i, fields[i].key))
            put_field(l, format, &fields[i]);
    }
}

static void put_context(struct line *l, const struct line_options *o, const struct own_fields *own)
{
    const belfry_scope *top = belfry__context.top;
    if (!top)
        return;
    for (const belfry_scope *s = top; s; s = s->outer)
        put_shared(l, o->format, own, s, s->fields, s->count);
    if (top->request) {
        size_t count;
        const belfry_field *fields = belfry__request_fields(top->request, &count);
        put_shared(l, o->format, own, NULL, fields, count);
    }
    belfry_trace_context trace;
    if (o->with_trace && belfry__scope_trace(top, &trace)) {
        char trace_id[TRACE_ID_HEX_BYTES], span_id[SPAN_ID_HEX_BYTES];
        belfry__hex(trace_id, trace.trace_id, sizeof trace.trace_id);
        belfry__hex(span_id, trace.span_id, sizeof trace.span_id);
        belfry_field ids[] = {BELFRY_STR("trace_id", trace_id), BELFRY_STR("span_id", span_id)};
        put_shared(l, o->format, own, NULL, ids, 2);
    }
}

void belfry__log_line_make(struct line *l, const struct line_options *o, belfry_log_level level,
                           const char *event, const belfry_field *fields, size_t count)
{
    static const char *const LEVELS[] = {"debug", "info", "warn", "error"};
    const char *word = LEVELS[(unsigned)level < 4 ? level : BELFRY_LOG_ERROR];
    belfry_log_format format = o->format;
    l->len = 0;
    l->full = false;
    put_timestamp(l, format);
    if (format == BELFRY_LOG_JSON) {
        line_put(l, ",\"level\":\"", 10);
        line_put(l, word, strlen(word));
        line_put(l, "\",\"event\":", 10);
    } else {
        line_put(l, " level=", 7);
        line_put(l, word, strlen(word));
        line_put(l, " event=", 7);
    }
    belfry__line_put_string(l, format, event, strlen(event), true);
    if (o->with_request_id) {
        const belfry_field *given = find_key(fields, count, "request_id");
        belfry_field id = given ? *given : BELFRY_STR("request_id", belfry_log_request_id());
        put_field(l, format, &id);
    }
    for (size_t i = 0; i < count; i++)
        put_own_field(l, o, &fields[i]);
    if (o->with_context) {
        struct own_fields own = {fields, count};
        put_context(l, o, &own);
    }
    if (format == BELFRY_LOG_JSON)
        l->text[l->len++] = '}';
    l->text[l->len++] = '\n';
}
