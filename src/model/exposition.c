/* SPDX-License-Identifier: Apache-2.0 */
/* exposition.c: text 0.0.4 as Prometheus 3 reads it (its textparse is the reference, down to what it
 * tolerates: blanks anywhere, no comma between labels, line feeds inside quotes, a value right behind
 * the brace, unknown escapes kept as written). More than it: a line may end in CR LF, a timestamp may
 * be negative, a UNIT comment is told apart. Less: a NUL where a line begins is an error and not the
 * end of the text.
 *
 *   line     := blanks [sample | comment] blanks end
 *   sample   := key blanks value [blanks timestamp]
 *   key      := metric [blanks "{" parts "}"] | "{" parts "}"
 *   part     := label "=" quoted | quoted "=" quoted | quoted      the last is the metric's name
 *   comment  := "#" anything | "# HELP" metric text | "# TYPE" metric " " type
 *
 * One scanner walks over a key, part by part, without a stack: once to find where it ends, and when
 * its labels are wanted once more. */
#include "model/exposition.h"

#include "base/assert.h"
#include "base/checksum.h"
#include "base/floattext.h"
#include "base/utf8.h"
#include "model/sample.h"

#include <stdio.h>
#include <string.h>

enum {
    QUOTED_LINE_BYTES = 120, /* of the line that an error shows */
    FOUND_BYTES = 16
};

/* A place in a line. Errors are about the line that begins at `line`. */
struct scan {
    const char *at, *end; /* end: of the body, or of what a line may hold */
    const char *line;
    const char *body_end;
    struct error *err;
};

/* ---- errors ---- */

/* Printable ASCII as it is, everything else escaped; at most QUOTED_LINE_BYTES of it around `at`. */
static void quote_line(struct buffer *out, const struct scan *s)
{
    const char *end = s->end;
    const char *from = s->line;
    const char *newline = memchr(s->at, '\n', (size_t)(end - s->at));
    if (newline)
        end = newline;
    if (s->at - from > QUOTED_LINE_BYTES / 2)
        from = s->at - QUOTED_LINE_BYTES / 2;
    const char *to = end - from > QUOTED_LINE_BYTES ? from + QUOTED_LINE_BYTES : end;

    buffer_append_literal(out, "\"");
    if (from > s->line)
        buffer_append_literal(out, "...");
    for (const char *c = from; c < to; c++) {
        if (*c >= 0x20 && *c < 0x7f)
            buffer_append_byte(out, *c);
        else
            buffer_printf(out, "\\x%02x", (unsigned)(unsigned char)*c);
    }
    if (to < end)
        buffer_append_literal(out, "...");
    buffer_append_literal(out, "\"");
}

/* Says what is wrong at s->at and quotes the line. The caller who knows the body adds the position. */
NOINLINE static bool line_error(const struct scan *s, const char *what)
{
    struct buffer quoted;
    if (!s->err)
        return false;
    buffer_init(&quoted, MEM_SCRAPE, 4096);
    quote_line(&quoted, s);
    error_set_at(s->err, ERROR_INPUT, 1, (uint32_t)(s->at - s->line) + 1, "%s in line %.*s", what,
                 (int)quoted.len, quoted.ptr);
    buffer_deinit(&quoted);
    return false;
}

NOINLINE static bool expected(const struct scan *s, const char *what)
{
    char message[160], found[FOUND_BYTES];
    if (!s->err)
        return false;
    if (s->at == s->end && s->end < s->body_end)
        return line_error(s, "more than 1 MiB without a line feed");
    if (s->at == s->end)
        snprintf(found, sizeof found, "the end");
    else if (*s->at == '\n')
        snprintf(found, sizeof found, "end of line");
    else if (*s->at > 0x20 && *s->at < 0x7f)
        snprintf(found, sizeof found, "\"%c\"", *s->at);
    else
        snprintf(found, sizeof found, "\"\\x%02x\"", (unsigned)(unsigned char)*s->at);
    snprintf(message, sizeof message, "expected %s, found %s", what, found);
    return line_error(s, message);
}

/* ---- words ---- */

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static void skip_blanks(struct scan *s)
{
    while (s->at < s->end && is_blank(*s->at))
        s->at++;
}

static bool is_name_start(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

/* A name without quotes, empty when there is none; ':' only in metric names. */
static struct view take_name(struct scan *s, bool colon)
{
    const char *start = s->at;
    while (s->at < s->end) {
        char c = *s->at;
        if (!is_name_start(c) && !(colon && c == ':') && !(s->at > start && c >= '0' && c <= '9'))
            break;
        s->at++;
    }
    return (struct view){start, (size_t)(s->at - start)};
}

/* What stands between two quotes, escapes and all; s->at is at the first. */
static bool take_quoted(struct scan *s, struct view *out)
{
    const char *start = ++s->at;
    while (s->at < s->end && *s->at != '"') {
        if (*s->at == '\\') {
            s->at++;
            if (s->at == s->end || *s->at == '\n')
                return expected(s, "an escape after \"\\\"");
        }
        s->at++;
    }
    if (s->at == s->end)
        return expected(s, "a closing quote");
    *out = (struct view){start, (size_t)(s->at - start)};
    if (!utf8_is_valid(*out)) {
        s->at = start;
        return line_error(s, "invalid UTF-8 between quotes");
    }
    s->at++;
    return true;
}

/* ---- keys ---- */

enum key_state { KEY_START, KEY_IN_BRACES, KEY_DONE };

struct key_scan {
    struct scan s;
    enum key_state state;
    bool has_metric;
    const char *key_end; /* behind the last byte of the key, when KEY_DONE */
};

/* One part: name empty for the metric's name, else a label. Both still escaped. */
struct key_part {
    struct view name, value;
};

/* Name and brace, or the brace alone. *has_part = false when the key begins with a brace. */
static bool key_start(struct key_scan *k, struct key_part *part, bool *has_part)
{
    part->name = VIEW("");
    part->value = take_name(&k->s, true);
    *has_part = k->has_metric = part->value.len > 0;
    k->key_end = k->s.at;
    skip_blanks(&k->s);
    if (k->s.at < k->s.end && *k->s.at == '{') {
        k->s.at++;
        k->state = KEY_IN_BRACES;
        return true;
    }
    k->state = KEY_DONE;
    return *has_part || expected(&k->s, "a metric name");
}

static bool key_close(struct key_scan *k)
{
    k->key_end = ++k->s.at;
    k->state = KEY_DONE;
    return k->has_metric || line_error(&k->s, "no metric name");
}

static bool at_char(const struct key_scan *k, char c)
{
    return k->s.at < k->s.end && *k->s.at == c;
}

/* name="value" behind its name. */
static bool key_label_value(struct key_scan *k, struct key_part *part)
{
    if (!at_char(k, '='))
        return expected(&k->s, "\"=\" after a label name");
    k->s.at++;
    skip_blanks(&k->s);
    if (!at_char(k, '"'))
        return expected(&k->s, "a quoted label value");
    if (!take_quoted(&k->s, &part->value))
        return false;
    skip_blanks(&k->s);
    if (at_char(k, ','))
        k->s.at++;
    return true;
}

/* The next part inside the braces; *has_part = false when they close. */
static bool key_next(struct key_scan *k, struct key_part *part, bool *has_part)
{
    *has_part = false;
    skip_blanks(&k->s);
    if (at_char(k, '}'))
        return key_close(k);
    bool quoted = at_char(k, '"');
    if (quoted) {
        if (!take_quoted(&k->s, &part->name))
            return false;
    } else {
        part->name = take_name(&k->s, false);
        if (part->name.len == 0)
            return expected(&k->s, "a label name");
    }
    *has_part = true;
    skip_blanks(&k->s);
    if (quoted && (at_char(k, ',') || at_char(k, '}'))) {
        if (k->has_metric)
            return line_error(&k->s, "a second metric name");
        k->has_metric = true;
        part->value = part->name;
        part->name = VIEW("");
        if (at_char(k, ','))
            k->s.at++;
        return true;
    }
    if (quoted && part->name.len == 0)
        return line_error(&k->s, "an empty label name");
    return key_label_value(k, part);
}

/* Walks to the end of the key; then k->key_end is set. */
static bool key_skip(struct key_scan *k)
{
    struct key_part part;
    bool has_part;
    if (!key_start(k, &part, &has_part))
        return false;
    while (k->state == KEY_IN_BRACES) {
        if (!key_next(k, &part, &has_part))
            return false;
    }
    return true;
}

/* Label values and names: \\, \" and \n; another backslash stands for itself. */
static struct view unescape(struct view text, bool quotes, struct arena *arena)
{
    if (text.len == 0 || !memchr(text.ptr, '\\', text.len))
        return text;
    char *out = arena_alloc(arena, text.len);
    size_t len = 0;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i], next = i + 1 < text.len ? text.ptr[i + 1] : 0;
        if (c == '\\' && (next == '\\' || next == 'n' || (quotes && next == '"'))) {
            c = next == 'n' ? '\n' : next;
            i++;
        }
        out[len++] = c;
    }
    return (struct view){out, len};
}

struct view exposition_unescape_help(struct view text, struct arena *arena)
{
    return unescape(text, false, arena);
}

/* Removes empty values (an empty label is no label) after looking for names that are there twice. */
static bool labels_finish(const struct scan *s, struct label *items, uint32_t count,
                          struct labels *out)
{
    uint32_t kept = 0;
    for (uint32_t i = 1; i < count; i++) {
        char what[160];
        if (!view_eq(items[i - 1].name, items[i].name))
            continue;
        snprintf(what, sizeof what, "label name \"%.*s\" is there twice",
                 (int)(items[i].name.len > 100 ? 100 : items[i].name.len), items[i].name.ptr);
        return line_error(s, what);
    }
    for (uint32_t i = 0; i < count; i++) {
        if (items[i].value.len)
            items[kept++] = items[i];
    }
    *out = (struct labels){items, kept};
    return true;
}

static bool too_many_labels(const struct scan *s)
{
    (void)line_error(s, "more than 1024 labels"); /* false, as what follows */
    if (s->err)
        s->err->kind = ERROR_LIMIT;
    return false;
}

bool exposition_parse_key(struct view key, struct arena *arena, struct labels *out,
                          struct error *err)
{
    const char *end = key.ptr + key.len;
    struct key_scan k = {.s = {key.ptr, end, key.ptr, end, err}};
    struct label *items = NULL;
    size_t capacity = 0;
    uint32_t count = 0;
    struct key_part part;
    bool has_part;

    if (!key_start(&k, &part, &has_part))
        return false;
    for (;;) {
        if (has_part) {
            bool metric = part.name.len == 0;
            if (metric && part.value.len == 0)
                return line_error(&k.s, "an empty metric name");
            if (count == capacity)
                items = arena_grow(arena, items, &capacity, count ? count + 1 : 8, sizeof *items);
            items[count++] =
                (struct label){metric ? VIEW(LABEL_NAME) : unescape(part.name, true, arena),
                               unescape(part.value, true, arena)};
            if (count > EXPOSITION_LABELS_MAX + 1)
                return too_many_labels(&k.s);
        }
        if (k.state != KEY_IN_BRACES)
            break;
        if (!key_next(&k, &part, &has_part))
            return false;
    }
    if (k.s.at != end)
        return expected(&k.s, "the end of the labels");
    labels_sort(arena, items, count);
    return labels_finish(&k.s, items, count, out);
}

/* ---- lines ---- */

void exposition_parser_init(struct exposition_parser *p, struct view body)
{
    *p = (struct exposition_parser){.body = body};
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

static bool parse_value(struct scan *s, double *out)
{
    const char *start = s->at, *at = start;
    while (at < s->end && !is_blank(*at) && *at != '\n' && *at != '{')
        at++;
    size_t len = (size_t)(at - start);
    if (len > 0 && at[-1] == '\r' && (at == s->body_end || (at < s->end && *at == '\n')))
        len--;
    if (len == 0)
        return expected(s, "a value after the metric");
    /* What Go reads since 1.13 (hexadecimal, underscores) is not part of the format. */
    bool foreign = memchr(start, 'x', len) || memchr(start, 'X', len) || memchr(start, 'p', len) ||
                   memchr(start, 'P', len) || memchr(start, '_', len);
    if (foreign || !float_parse((struct view){start, len}, out))
        return line_error(s, "a value that is no number or beyond the range of floats");
    if (*out != *out)
        *out = sample_from_bits(SAMPLE_NAN_BITS);
    s->at = start + len;
    return true;
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
        return expected(s, "a timestamp or the end of the line");
    }
    for (; is_digit(s); s->at++) {
        unsigned digit = (unsigned)(*s->at - '0');
        if (magnitude > (max - digit) / 10)
            return line_error(s, "a timestamp beyond 64 bits");
        magnitude = magnitude * 10 + digit;
    }
    p->has_timestamp = true;
    p->timestamp_ms = (int64_t)(negative ? UINT64_C(0) - magnitude : magnitude);
    return true;
}

static bool parse_sample(struct exposition_parser *p, struct scan *s)
{
    struct key_scan k = {.s = *s};
    const char *start = s->at;
    if (!key_skip(&k))
        return false;
    *s = k.s;
    p->key = (struct view){start, (size_t)(k.key_end - start)};
    p->has_timestamp = false;
    skip_blanks(s);
    if (!parse_value(s, &p->value))
        return false;
    skip_blanks(s);
    if (take_line_end(s))
        return true;
    if (!parse_timestamp(p, s))
        return false;
    skip_blanks(s);
    return take_line_end(s) || expected(s, "the end of the line after the timestamp");
}

/* The family and the text behind it, which runs to the end of the line. */
static bool parse_family(struct exposition_parser *p, struct scan *s, const char *line_end)
{
    if (s->at < line_end && *s->at == '"') {
        if (!take_quoted(s, &p->family))
            return false;
    } else {
        p->family = take_name(s, true);
        if (p->family.len == 0)
            return expected(s, "a metric name after TYPE or HELP");
    }
    if (s->at > line_end)
        return line_error(s, "a line feed in the name of a family");
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
    return expected(s, "counter, gauge, histogram, summary or untyped");
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
        line_error(s, "more than 1 MiB without a line feed");
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
        ok = parse_family(p, &rest, line_end) && parse_type(p, &rest);
    } else if (blank && take_keyword(&rest, "HELP", line_end)) {
        event = EXPOSITION_HELP;
        ok = parse_family(p, &rest, line_end) &&
             (utf8_is_valid(p->text) || line_error(&rest, "invalid UTF-8 in HELP"));
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

enum exposition_event exposition_next(struct exposition_parser *p, struct error *err)
{
    const char *body_end = p->body.ptr + p->body.len;
    struct scan s = {.body_end = body_end, .err = err};
    enum exposition_event event;

    for (;;) {
        if (p->pos == p->body.len)
            return EXPOSITION_END;
        s.line = s.at = p->body.ptr + p->pos;
        size_t left = (size_t)(body_end - s.at);
        s.end = s.at + (left < EXPOSITION_LINE_BYTES_MAX ? left : EXPOSITION_LINE_BYTES_MAX);
        p->line++;
        skip_blanks(&s);
        if (s.at < body_end && *s.at != '\n' && *s.at != '\r')
            break;
        if (!take_line_end(&s)) {
            expected(&s, "a metric name");
            error_place(p, &s);
            return EXPOSITION_ERROR;
        }
        p->pos = (size_t)(s.at - p->body.ptr);
    }
    if (*s.at == '#')
        event = parse_comment(p, &s);
    else
        event = parse_sample(p, &s) ? EXPOSITION_SAMPLE : EXPOSITION_ERROR;
    if (event == EXPOSITION_ERROR) {
        error_place(p, &s);
        return event;
    }
    if (event == EXPOSITION_SAMPLE)
        p->line += count_lines(p->key.ptr, p->key.ptr + p->key.len);
    p->pos = (size_t)(s.at - p->body.ptr);
    return event;
}

/* ---- the hot path ---- */

static const double POWERS_OF_TEN[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                       1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                       1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};

/* Up to four digits of an exponent with its sign, at *at; false when there is no digit. */
static inline bool exponent_fast(const char **at, const char *end, int *exponent)
{
    const char *c = *at;
    bool negative = c < end && *c == '-';
    if (c < end && (*c == '-' || *c == '+'))
        c++;
    const char *digits = c;
    int e = 0;
    for (; c < end && (unsigned)(*c - '0') < 10 && c - digits < 4; c++)
        e = e * 10 + (*c - '0');
    *at = c;
    *exponent += negative ? -e : e;
    return c > digits;
}

/* Decimals whose digits and power of ten are both exact doubles: one rounding, hence the right one
 * (Clinger 1990). Returns where the text ends, NULL when it is not of this kind. */
static inline const char *value_fast(const char *at, const char *end, double *out)
{
    bool negative = at < end && *at == '-';
    at += negative;
    const char *start = at;
    uint64_t mantissa = 0;
    int exponent = 0;
    for (; at < end && (unsigned)(*at - '0') < 10; at++)
        mantissa = mantissa * 10 + (unsigned)(*at - '0');
    ptrdiff_t digits = at - start;
    if (at < end && *at == '.') {
        const char *point = ++at;
        for (; at < end && (unsigned)(*at - '0') < 10; at++)
            mantissa = mantissa * 10 + (unsigned)(*at - '0');
        exponent = (int)(point - at);
        digits += at - point;
    }
    if (digits == 0 || digits > 19 || mantissa > UINT64_C(1) << 53)
        return NULL;
    if (at < end && (*at == 'e' || *at == 'E')) {
        at++;
        if (!exponent_fast(&at, end, &exponent))
            return NULL;
    }
    double v = (double)mantissa;
    if (exponent < 0 && exponent >= -22)
        v /= POWERS_OF_TEN[-exponent];
    else if (exponent > 0 && exponent <= 22)
        v *= POWERS_OF_TEN[exponent];
    else if (exponent != 0)
        return NULL;
    *out = negative ? -v : v;
    return at;
}

bool exposition_next_cached(struct exposition_parser *p, uint32_t key_len, uint64_t key_hash)
{
    const char *at = p->body.ptr + p->pos, *end = p->body.ptr + p->body.len;
    if ((size_t)(end - at) <= (size_t)key_len + 1 || at[key_len] != ' ' ||
        hash64_secret(at, key_len) != key_hash)
        return false;

    const char *value = at + key_len + 1;
    const char *stop = value_fast(value, end, &p->value);
    if (UNLIKELY(!stop || (stop < end && *stop != '\n'))) {
        struct scan s = {.at = value, .end = end, .line = at, .body_end = end};
        if (end - value > FLOAT_TEXT_BYTES)
            s.end = value + FLOAT_TEXT_BYTES;
        if (!parse_value(&s, &p->value) || (s.at < end && *s.at != '\n'))
            return false;
        stop = s.at;
    }
    p->key = (struct view){at, key_len};
    p->has_timestamp = false;
    p->line++;
    p->pos = (size_t)(stop - p->body.ptr) + (stop < end);
    return true;
}
