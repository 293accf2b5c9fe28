/* SPDX-License-Identifier: Apache-2.0 */
/* series_text.c: see series_text.h. The metric is read with PromQL's lexer (the same names, quotes and escapes), the
 * values by hand: in them 1x3 is no bad number. */
#include "promql/series_text.h"

#include "base/floattext.h"
#include "base/quote.h"
#include "model/sample.h"
#include "promql/lexer.h"

#include <math.h>

struct reader {
    struct arena *arena;
    struct view text;
    size_t pos;
    struct error *err;
};

static bool fail(struct reader *r, size_t at, const char *what)
{
    return error_set_at(r->err, ERROR_INPUT, 0, (uint32_t)at + 1, "column %zu: %s", at + 1, what);
}

/* --- the metric --- */

static bool is_name(enum token_kind kind)
{
    return kind == TOKEN_IDENTIFIER || kind == TOKEN_METRIC_IDENTIFIER ||
           token_class(kind) == TOKEN_CLASS_AGGREGATOR ||
           token_class(kind) == TOKEN_CLASS_KEYWORD ||
           token_class(kind) == TOKEN_CLASS_OPERATOR_WORD ||
           token_class(kind) == TOKEN_CLASS_PREPROCESSOR;
}

static bool unquote(struct reader *r, const struct lexer *l, struct token t, struct view *out)
{
    return quote_read(r->arena, lexer_token_view(l, t), out) || fail(r, t.start, "bad string");
}

/* a="b", "a b"="c", or "metric name" */
static bool read_label(struct reader *r, struct lexer *l, struct token name,
                       struct labels_builder *b, struct token *after)
{
    struct view label = lexer_token_view(l, name), value;
    if (name.kind != TOKEN_IDENTIFIER && name.kind != TOKEN_STRING)
        return fail(r, name.start, name.kind == TOKEN_ERROR ? l->error : "expected a label name");
    if (name.kind == TOKEN_STRING && !unquote(r, l, name, &label))
        return false;
    *after = lexer_next(l);
    if (name.kind == TOKEN_STRING &&
        (after->kind == TOKEN_COMMA || after->kind == TOKEN_RIGHT_BRACE)) {
        labels_builder_set(b, VIEW(LABEL_NAME), label);
        return true;
    }
    if (after->kind != TOKEN_EQUAL)
        return fail(r, after->start, "expected \"=\"");
    struct token text = lexer_next(l);
    if (text.kind != TOKEN_STRING)
        return fail(r, text.start, text.kind == TOKEN_ERROR ? l->error : "expected a quoted value");
    if (!unquote(r, l, text, &value))
        return false;
    labels_builder_set(b, label, value);
    *after = lexer_next(l);
    return true;
}

static bool read_braces(struct reader *r, struct lexer *l, struct labels_builder *b)
{
    struct token t = lexer_next(l);
    while (t.kind != TOKEN_RIGHT_BRACE) {
        struct token after = {TOKEN_EOF, 0, 0};
        if (!read_label(r, l, t, b, &after))
            return false;
        if (after.kind == TOKEN_COMMA)
            t = lexer_next(l);
        else if (after.kind == TOKEN_RIGHT_BRACE)
            t = after;
        else
            return fail(r, after.start, "expected \",\" or \"}\"");
    }
    r->pos = t.end;
    return true;
}

static bool read_metric(struct reader *r, struct labels *out)
{
    struct labels_builder b;
    struct lexer l;
    labels_builder_init(&b, r->arena);
    lexer_init(&l, r->text);
    struct token t = lexer_next(&l);
    if (is_name(t.kind)) {
        labels_builder_set(&b, VIEW(LABEL_NAME), lexer_token_view(&l, t));
        r->pos = t.end;
        if (r->pos < r->text.len && r->text.ptr[r->pos] == '{')
            t = lexer_next(&l);
    }
    if (t.kind == TOKEN_LEFT_BRACE) {
        if (!read_braces(r, &l, &b))
            return false;
    } else if (!is_name(t.kind)) {
        return fail(r, t.start, "expected a metric name or \"{\"");
    }
    *out = labels_builder_finish(&b);
    return true;
}

/* --- values --- */

static char peek(const struct reader *r)
{
    return r->pos < r->text.len ? r->text.ptr[r->pos] : '\0';
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t';
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool take_word(struct reader *r, const char *word)
{
    struct view w = view_from(word), rest = view_slice(r->text, r->pos, r->pos + w.len);
    if (rest.len < w.len)
        return false;
    for (size_t i = 0; i < w.len; i++) {
        char c =
            rest.ptr[i] >= 'A' && rest.ptr[i] <= 'Z' ? (char)(rest.ptr[i] | 0x20) : rest.ptr[i];
        if (c != word[i])
            return false;
    }
    r->pos += w.len;
    return true;
}

/* 5, 1.5e-3, inf, nan; the sign was read. */
static bool read_number(struct reader *r, double *out)
{
    size_t start = r->pos;
    if (take_word(r, "inf")) {
        *out = INFINITY;
        return true;
    }
    if (take_word(r, "nan")) {
        *out = sample_from_bits(SAMPLE_NAN_BITS);
        return true;
    }
    while (is_digit(peek(r)) || peek(r) == '.')
        r->pos++;
    if (r->pos > start && (peek(r) == 'e' || peek(r) == 'E')) {
        r->pos++;
        if (peek(r) == '+' || peek(r) == '-')
            r->pos++;
        while (is_digit(peek(r)))
            r->pos++;
    }
    if (float_parse(view_slice(r->text, start, r->pos), out))
        return true;
    return fail(r, start, "expected a number, _, stale or {{ }}");
}

static bool read_signed(struct reader *r, double *out)
{
    bool negative = peek(r) == '-';
    if (negative || peek(r) == '+')
        r->pos++;
    if (!read_number(r, out))
        return false;
    if (negative)
        *out = -*out;
    return true;
}

/* The N of xN, when an x stands here; else 0 and *given false. */
static bool read_times(struct reader *r, size_t *times, bool *given)
{
    *times = 0;
    *given = peek(r) == 'x';
    if (!*given)
        return true;
    size_t start = ++r->pos;
    while (is_digit(peek(r))) {
        *times = *times * 10 + (size_t)(peek(r) - '0');
        if (*times > SERIES_TEXT_VALUES_MAX)
            return fail(r, start, "more repetitions than a line may have");
        r->pos++;
    }
    return r->pos > start || fail(r, start, "expected a number of repetitions");
}

struct values {
    struct series_value *items;
    size_t count, capacity;
};

/* count values: first, first + step, ... each from the one before, as Prometheus adds them. */
static bool add_values(struct reader *r, struct values *v, enum series_value_kind kind,
                       double first, double step, size_t count)
{
    if (count > SERIES_TEXT_VALUES_MAX - v->count)
        return fail(r, r->pos, "more values than a line may have");
    v->items = arena_grow(r->arena, v->items, &v->capacity, v->count + count + 1, sizeof *v->items);
    for (size_t i = 0; i < count; i++) {
        v->items[v->count++] = (struct series_value){kind, first};
        if (step != 0)
            first += step;
    }
    return true;
}

/* --- native histograms: their form is checked --- */

static bool read_histogram_key(struct reader *r)
{
    static const char *const KEYS[] = {
        "schema",    "sum",      "count",      "offset",        "n_offset",          "buckets",
        "n_buckets", "z_bucket", "z_bucket_w", "custom_values", "counter_reset_hint"};
    size_t start = r->pos;
    while ((peek(r) >= 'a' && peek(r) <= 'z') || peek(r) == '_')
        r->pos++;
    struct view key = view_slice(r->text, start, r->pos);
    for (size_t i = 0; i < ARRAY_COUNT(KEYS); i++) {
        if (view_is(key, KEYS[i])) {
            if (peek(r) != ':')
                return fail(r, r->pos, "expected \":\" behind the part of a histogram");
            r->pos++;
            return true;
        }
    }
    return fail(r, start, "unknown part of a histogram");
}

static bool read_histogram_value(struct reader *r)
{
    static const char *const HINTS[] = {"unknown", "reset", "not_reset", "gauge"};
    double ignored;
    for (size_t i = 0; i < ARRAY_COUNT(HINTS); i++)
        if (take_word(r, HINTS[i]))
            return true;
    if (peek(r) != '[')
        return read_signed(r, &ignored);
    r->pos++;
    for (;;) {
        while (is_space(peek(r)))
            r->pos++;
        if (peek(r) == ']')
            break;
        if (!read_signed(r, &ignored))
            return false;
    }
    r->pos++;
    return true;
}

/* At {{; moves behind }}. */
static bool read_histogram(struct reader *r)
{
    size_t start = r->pos;
    r->pos += 2;
    for (;;) {
        while (is_space(peek(r)))
            r->pos++;
        if (peek(r) == '}')
            break;
        if (peek(r) == '\0')
            return fail(r, start, "histogram without }}");
        if (!read_histogram_key(r) || !read_histogram_value(r))
            return false;
    }
    r->pos++;
    if (peek(r) != '}')
        return fail(r, r->pos, "expected }}");
    r->pos++;
    return true;
}

static bool at_histogram(const struct reader *r)
{
    return peek(r) == '{' && r->pos + 1 < r->text.len && r->text.ptr[r->pos + 1] == '{';
}

/* {{a}}, {{a}}xN, {{a}}+{{b}}xN, {{a}}-{{b}}xN */
static bool read_histogram_item(struct reader *r, struct values *v)
{
    size_t times;
    bool repeated;
    if (!read_histogram(r))
        return false;
    bool changes = peek(r) == '+' || peek(r) == '-';
    if (changes) {
        r->pos++;
        if (!at_histogram(r))
            return fail(r, r->pos, "expected {{");
        if (!read_histogram(r))
            return false;
    }
    if (!read_times(r, &times, &repeated))
        return false;
    if (changes && !repeated)
        return fail(r, r->pos, "expected xN");
    return add_values(r, v, SERIES_VALUE_HISTOGRAM, 0, 0, times + 1);
}

/* --- a line --- */

static bool read_float_item(struct reader *r, struct values *v)
{
    double first, step = 0;
    size_t times;
    bool repeated;
    if (take_word(r, "stale"))
        first = sample_stale();
    else if (!read_signed(r, &first))
        return false;
    bool steps = peek(r) == '+' || peek(r) == '-';
    if (steps && !read_signed(r, &step))
        return false;
    if (!read_times(r, &times, &repeated))
        return false;
    if (steps && !repeated)
        return fail(r, r->pos, "expected xN");
    return add_values(r, v, SERIES_VALUE_FLOAT, first, step, times + 1);
}

static bool read_item(struct reader *r, struct values *v, bool *has_histogram)
{
    if (at_histogram(r)) {
        *has_histogram = true;
        return read_histogram_item(r, v);
    }
    if (peek(r) != '_')
        return read_float_item(r, v);
    r->pos++;
    size_t times;
    bool repeated;
    if (!read_times(r, &times, &repeated))
        return false;
    return add_values(r, v, SERIES_VALUE_NONE, 0, 0, repeated ? times : 1);
}

bool series_text_parse(struct arena *arena, struct view line, struct series_text *out,
                       struct error *err)
{
    struct reader r = {arena, line, 0, err};
    struct values v = {0};
    *out = (struct series_text){0};
    if (!read_metric(&r, &out->labels))
        return false;
    for (;;) {
        size_t before = r.pos;
        while (is_space(peek(&r)))
            r.pos++;
        if (r.pos >= line.len)
            break;
        if (r.pos == before)
            return fail(&r, r.pos, "expected a space between values");
        if (!read_item(&r, &v, &out->has_histogram))
            return false;
    }
    out->values = v.items;
    out->count = v.count;
    return true;
}

bool series_text_parse_metric(struct arena *arena, struct view text, struct labels *out,
                              struct error *err)
{
    struct reader r = {arena, text, 0, err};
    if (!read_metric(&r, out))
        return false;
    while (is_space(peek(&r)))
        r.pos++;
    return r.pos == text.len || fail(&r, r.pos, "expected nothing behind the metric");
}
