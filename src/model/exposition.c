/* SPDX-License-Identifier: Apache-2.0 */
/* exposition.c: text 0.0.4 as Prometheus 3 reads it (its textparse is the reference, down to what it
 * tolerates: blanks anywhere, no comma between labels, line feeds inside quotes, a value right behind
 * the brace, unknown escapes kept as written). More than it: a line may end in CR LF, a timestamp may
 * be negative, a UNIT comment is told apart. Less: a NUL where a line begins is an error and not the
 * end of the text.
 *
 *   line     := blanks [sample | comment] blanks end
 *   sample   := key blanks value [blanks timestamp]               key: exposition_key.c
 *   comment  := "#" anything | "# HELP" metric text | "# TYPE" metric " " type */
#include "model/exposition.h"

#include "base/assert.h"
#include "base/checksum.h"
#include "base/floattext.h"
#include "base/utf8.h"
#include "model/exposition_private.h"
#include "model/sample.h"

#include <string.h>

/* ---- lines ---- */

void exposition_parser_init(struct exposition_parser *p, struct view body,
                            enum exposition_format format)
{
    if (!body.ptr)
        body = VIEW("");
    *p = (struct exposition_parser){.body = body, .format = format, .type = METRIC_UNKNOWN};
}

static uint32_t count_lines(const char *from, const char *to)
{
    uint32_t count = 0;
    while (from < to && (from = memchr(from, '\n', (size_t)(to - from)))) {
        count++;
        from++;
    }
    return count;
}

/* A line begins at s->at. */
static void line_begin(struct scan *s)
{
    size_t left = (size_t)(s->body_end - s->at);
    s->line = s->at;
    s->end = s->at + (left < EXPOSITION_LINE_BYTES_MAX ? left : EXPOSITION_LINE_BYTES_MAX);
}

/* Takes "\n", "\r\n" or the end of the body. */
static bool take_line_end(struct scan *s)
{
    const char *at = s->at;
    if (at < s->end && *at == '\r' && (at + 1 == s->body_end || (at + 1 < s->end && at[1] == '\n')))
        at++;
    if (at == s->body_end) {
        s->at = at;
        return true;
    }
    if (at == s->end || *at != '\n')
        return false;
    s->at = at + 1;
    return true;
}

bool exposition_value(struct scan *s, size_t len, double *out)
{
    const char *start = s->at;
    /* What Go reads since 1.13 (hexadecimal, underscores) is not part of the format. */
    bool foreign = memchr(start, 'x', len) || memchr(start, 'X', len) || memchr(start, 'p', len) ||
                   memchr(start, 'P', len) || memchr(start, '_', len);
    if (foreign || !float_parse((struct view){start, len}, out))
        return exposition_wrong(s, "a value that is no number or beyond the range of floats");
    if (*out != *out)
        *out = sample_from_bits(SAMPLE_NAN_BITS);
    s->at = start + len;
    return true;
}

static bool parse_value(struct scan *s, double *out)
{
    const char *start = s->at, *at = start;
    while (at < s->end && !is_blank(*at) && *at != '\n' && *at != '{')
        at++;
    size_t len = (size_t)(at - start);
    if (len > 0 && at[-1] == '\r' && (at == s->body_end || (at < s->end && *at == '\n')))
        len--;
    if (len == 0)
        return exposition_expected(s, "a value after the metric");
    return exposition_value(s, len, out);
}

static bool is_digit(const struct scan *s)
{
    return s->at < s->end && *s->at >= '0' && *s->at <= '9';
}

/* The timestamp, if there is one: digits, perhaps with a sign. */
static bool parse_timestamp(struct exposition_parser *p, struct scan *s)
{
    bool negative = s->at < s->end && *s->at == '-';
    uint64_t magnitude = 0, max = (uint64_t)INT64_MAX + (negative ? 1 : 0);
    const char *start = s->at;
    s->at += negative;
    if (!is_digit(s)) {
        s->at = start;
        return exposition_expected(s, "a timestamp or the end of the line");
    }
    for (; is_digit(s); s->at++) {
        unsigned digit = (unsigned)(*s->at - '0');
        if (magnitude > (max - digit) / 10)
            return exposition_wrong(s, "a timestamp beyond 64 bits");
        magnitude = magnitude * 10 + digit;
    }
    p->has_timestamp = true;
    p->timestamp_ms = (int64_t)(negative ? UINT64_C(0) - magnitude : magnitude);
    return true;
}

static bool parse_sample(struct exposition_parser *p, struct scan *s)
{
    const char *start = s->at, *key_end;
    if (!exposition_key_skip(s, &key_end))
        return false;
    p->key = (struct view){start, (size_t)(key_end - start)};
    p->has_timestamp = p->has_exemplar = false;
    skip_blanks(s);
    if (!parse_value(s, &p->value))
        return false;
    skip_blanks(s);
    if (take_line_end(s))
        return true;
    if (!parse_timestamp(p, s))
        return false;
    skip_blanks(s);
    return take_line_end(s) || exposition_expected(s, "the end of the line after the timestamp");
}

bool exposition_family(struct exposition_parser *p, struct scan *s, const char *line_end)
{
    if (s->at < line_end && *s->at == '"') {
        if (!exposition_take_quoted(s, &p->family))
            return false;
    } else {
        p->family = take_name(s, true);
        if (p->family.len == 0)
            return exposition_expected(s, "a metric name after TYPE, HELP or UNIT");
    }
    return s->at <= line_end || exposition_wrong(s, "a line feed in the name of a family");
}

/* The family and the text behind it, which runs to the end of the line. */
static bool parse_family(struct exposition_parser *p, struct scan *s, const char *line_end)
{
    if (!exposition_family(p, s, line_end))
        return false;
    const char *text = s->at < line_end ? s->at + 1 : line_end; /* the blank between them */
    p->text = (struct view){text, (size_t)(line_end - text)};
    return true;
}

static bool parse_type(struct exposition_parser *p, struct scan *s)
{
    static const char *const WORDS[] = {"counter", "gauge", "histogram", "summary", "untyped"};
    for (size_t i = 0; i < ARRAY_COUNT(WORDS); i++) {
        if (view_is(p->text, WORDS[i]))
            return metric_type_parse(p->text, &p->type);
    }
    if (p->text.len)
        s->at = p->text.ptr;
    return exposition_expected(s, "counter, gauge, histogram, summary or untyped");
}

static bool take_keyword(struct scan *s, const char *word, const char *line_end)
{
    size_t len = strlen(word);
    if ((size_t)(line_end - s->at) <= len || memcmp(s->at, word, len) != 0 || !is_blank(s->at[len]))
        return false;
    s->at += len;
    skip_blanks(s);
    return true;
}

static enum exposition_event parse_comment(struct exposition_parser *p, struct scan *s)
{
    const char *newline = memchr(s->at, '\n', (size_t)(s->end - s->at));
    if (!newline && s->end < s->body_end) {
        exposition_wrong(s, "more than 1 MiB without a line feed");
        return EXPOSITION_ERROR;
    }
    const char *line_end = newline ? newline : s->end, *next = newline ? newline + 1 : s->end;
    if (line_end[-1] == '\r')
        line_end--;
    p->text = (struct view){s->at, (size_t)(line_end - s->at)};

    enum exposition_event event = EXPOSITION_COMMENT;
    bool ok = true;
    struct scan rest = *s;
    rest.at++;
    bool blank = rest.at < line_end && is_blank(*rest.at);
    skip_blanks(&rest);
    if (blank && take_keyword(&rest, "TYPE", line_end)) {
        event = EXPOSITION_TYPE;
        p->type_pos = (size_t)(s->line - p->body.ptr);
        ok = parse_family(p, &rest, line_end) && parse_type(p, &rest);
    } else if (blank && take_keyword(&rest, "HELP", line_end)) {
        event = EXPOSITION_HELP;
        ok = parse_family(p, &rest, line_end) &&
             (utf8_is_valid(p->text) || exposition_wrong(&rest, "invalid UTF-8 in HELP"));
    } else if (blank && take_keyword(&rest, "UNIT", line_end)) {
        /* Not part of the format: whatever it is, it is no error. */
        p->family = take_name(&rest, true);
        if (p->family.len && rest.at < line_end && is_blank(*rest.at)) {
            event = EXPOSITION_UNIT;
            p->text = (struct view){rest.at + 1, (size_t)(line_end - rest.at - 1)};
        }
    }
    s->at = ok ? next : rest.at;
    return ok ? event : EXPOSITION_ERROR;
}

/* An error's place in the whole body: s->line is where its line begins, a quoted line feed counts. */
static void error_place(const struct exposition_parser *p, const struct scan *s)
{
    if (!s->err)
        return;
    uint32_t column = s->err->column;
    const char *at = s->line + (column - 1);
    for (const char *c = at; c > s->line; c--) {
        if (c[-1] == '\n') {
            column = (uint32_t)(at - c) + 1;
            break;
        }
    }
    s->err->line = 1 + count_lines(p->body.ptr, at);
    s->err->column = column;
}

static enum exposition_event text_next(struct exposition_parser *p, struct scan *s)
{
    for (;;) {
        if (s->at == s->body_end)
            return EXPOSITION_END;
        skip_blanks(s);
        if (s->at < s->body_end && *s->at != '\n' && *s->at != '\r')
            break;
        if (!take_line_end(s)) {
            exposition_expected(s, "a metric name");
            return EXPOSITION_ERROR;
        }
        p->line++;
        line_begin(s);
    }
    if (*s->at == '#')
        return parse_comment(p, s);
    return parse_sample(p, s) ? EXPOSITION_SAMPLE : EXPOSITION_ERROR;
}

enum exposition_event exposition_next(struct exposition_parser *p, struct error *err)
{
    const char *at = p->body.ptr + p->pos;
    struct scan s = {.at = at, .body_end = p->body.ptr + p->body.len, .err = err};
    s.strict = p->format == EXPOSITION_OPENMETRICS;
    p->line++;
    line_begin(&s);
    enum exposition_event event = s.strict ? openmetrics_next(p, &s) : text_next(p, &s);
    if (event == EXPOSITION_ERROR) {
        error_place(p, &s);
        return event;
    }
    if (event == EXPOSITION_END)
        p->line--;
    if (event == EXPOSITION_SAMPLE)
        p->line += count_lines(p->key.ptr, p->key.ptr + p->key.len);
    p->pos = (size_t)(s.at - p->body.ptr);
    return event;
}

/* ---- the hot path ---- */

/* The value is not of the common kind, or something follows it. NULL: this is for exposition_next(). */
NOINLINE static const char *cached_slow(struct exposition_parser *p, const char *line,
                                        const char *value, const char *end)
{
    struct scan s = {.at = value, .line = line, .end = end, .body_end = end};
    s.strict = p->format == EXPOSITION_OPENMETRICS;
    if (s.strict) {
        if (end - line > EXPOSITION_LINE_BYTES_MAX)
            s.end = line + EXPOSITION_LINE_BYTES_MAX;
        return openmetrics_sample_end(p, &s) && !p->has_timestamp ? s.at : NULL;
    }
    if (end - value > FLOAT_TEXT_BYTES)
        s.end = value + FLOAT_TEXT_BYTES;
    if (!parse_value(&s, &p->value) || (s.at < end && *s.at != '\n'))
        return NULL;
    return s.at + (s.at < end);
}

bool exposition_next_cached(struct exposition_parser *p, uint32_t key_len, uint64_t key_hash)
{
    const char *at = p->body.ptr + p->pos, *end = p->body.ptr + p->body.len;
    if ((size_t)(end - at) <= (size_t)key_len + 1 || at[key_len] != ' ' ||
        hash64_secret(at, key_len) != key_hash)
        return false;

    const char *value = at + key_len + 1;
    const char *stop = value_fast(value, end, &p->value);
    p->key = (struct view){at, key_len};
    p->has_exemplar = false;
    if (LIKELY(stop && stop < end && *stop == '\n')) {
        stop++;
    } else if (!stop || stop < end || p->format == EXPOSITION_OPENMETRICS) {
        stop = cached_slow(p, at, value, end);
        if (!stop)
            return false;
    }
    p->has_timestamp = false;
    p->line++;
    p->pos = (size_t)(stop - p->body.ptr);
    return true;
}
