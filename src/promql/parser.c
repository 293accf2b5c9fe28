/* SPDX-License-Identifier: Apache-2.0 */
/* parser.c: a query's life, its errors, and the literals. Expressions: parser_expr.c. */
#include "promql/parser.h"

#include "base/assert.h"
#include "base/duration.h"
#include "base/floattext.h"
#include "base/quote.h"
#include "promql/parser_private.h"

#include <math.h>
#include <stdio.h>

static void position_in(struct view text, uint32_t byte, uint32_t *line, uint32_t *column)
{
    *line = 1;
    uint32_t first = 0;
    for (uint32_t i = 0; i < byte && i < text.len; i++) {
        if (text.ptr[i] == '\n') {
            (*line)++;
            first = i + 1;
        }
    }
    *column = byte - first + 1;
}

bool parser_fail(struct parser *p, uint32_t at, const char *format, ...)
{
    if (p->failed)
        return false;
    p->failed = true;
    char message[ERROR_MESSAGE_BYTES];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    if (p->q->text.len == 0)
        return error_set(p->err, ERROR_INPUT, "unknown position: parse error: %s", message);
    uint32_t line, column;
    position_in(p->q->text, at, &line, &column);
    return error_set_at(p->err, ERROR_INPUT, line, column, "%u:%u: parse error: %s", line, column,
                        message);
}

bool parser_unexpected(struct parser *p, const char *context, const char *expected)
{
    if (p->token.kind == TOKEN_ERROR)
        return parser_fail(p, p->token.start, "%s", p->lexer.error);
    if (!context && p->aggregations > 0)
        context = "aggregation";
    struct buffer b;
    buffer_init(&b, MEM_QUERY, 2 * PROMQL_QUERY_BYTES_MAX + ERROR_MESSAGE_BYTES);
    buffer_append_literal(&b, "unexpected ");
    token_describe(&b, &p->lexer, p->token);
    if (context)
        buffer_printf(&b, " in %s", context);
    if (expected)
        buffer_printf(&b, ", expected %s", expected);
    parser_fail(p, p->token.start, "%.*s", VIEW_ARGS(buffer_view(&b)));
    buffer_deinit(&b);
    return false;
}

struct token parser_take(struct parser *p)
{
    struct token taken = p->token;
    p->last_end = taken.end;
    p->token = lexer_next(&p->lexer);
    return taken;
}

bool parser_enter(struct parser *p)
{
    if (p->depth >= PROMQL_DEPTH_MAX)
        return parser_fail(p, p->token.start, "expression is nested more than %d levels deep",
                           PROMQL_DEPTH_MAX);
    p->depth++;
    return true;
}

const char *parser_quoted(struct parser *p, struct view text)
{
    struct buffer b;
    buffer_init(&b, MEM_QUERY,
                12 * PROMQL_QUERY_BYTES_MAX); /* an escape is at most ten bytes for one */
    quote_append(&b, text);
    struct view copy = arena_copy(p->arena, buffer_view(&b));
    buffer_deinit(&b);
    return copy.ptr;
}

/* --- literals --- */

/* 017 is octal and 0x1f hexadecimal, as Go's ParseInt with base 0 has it. Digits only, checked before. */
static bool parse_based_integer(const char *digits, size_t len, unsigned base, double *out)
{
    uint64_t v = 0;
    for (size_t i = 0; i < len; i++) {
        char c = digits[i];
        unsigned d = c <= '9' ? (unsigned)(c - '0') : (unsigned)((c | 0x20) - 'a' + 10);
        if (d >= base || v > ((uint64_t)INT64_MAX - d) / base)
            return false;
        v = v * base + d;
    }
    *out = (double)v;
    return true;
}

static bool is_all_digits(struct view text)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.ptr[i] < '0' || text.ptr[i] > '9')
            return false;
    return true;
}

static bool parse_number(struct parser *p, struct token t, double *out)
{
    struct view text = parser_token_view(p, t);
    char *plain = arena_alloc(p->arena, text.len + 2); /* without underscores */
    size_t len = 0;
    for (size_t i = 0; i < text.len; i++)
        if (text.ptr[i] != '_')
            plain[len++] = text.ptr[i];
    if (len > 2 && plain[0] == '0' && (plain[1] | 0x20) == 'x') {
        if (parse_based_integer(plain + 2, len - 2, 16, out))
            return true;
        return parser_fail(p, t.start, "error parsing number: %s: value out of range",
                           parser_quoted(p, text));
    }
    struct view v = {plain, len};
    if (len > 1 && plain[0] == '0' && is_all_digits(v) && parse_based_integer(plain, len, 8, out))
        return true;
    if (plain[len - 1] == '.') /* 1. is a number, but not to float_parse() */
        plain[len++] = '0';
    if (float_parse((struct view){plain, len}, out))
        return true;
    return parser_fail(p, t.start, "error parsing number: strconv.ParseFloat: parsing %s: %s",
                       parser_quoted(p, text),
                       isinf(*out) ? "value out of range" : "invalid syntax");
}

bool parser_number(struct parser *p, struct token t, double *out)
{
    ASSERT(t.kind == TOKEN_NUMBER || t.kind == TOKEN_DURATION);
    *out = 0;
    if (t.kind == TOKEN_NUMBER)
        return parse_number(p, t, out);
    int64_t ms;
    struct error ignored; /* Prometheus has one sentence for all that can be wrong */
    if (!duration_parse(parser_token_view(p, t), &ms, &ignored))
        return parser_fail(p, t.start, "not a valid duration string: %s",
                           parser_quoted(p, parser_token_view(p, t)));
    *out = (double)ms / 1000;
    return true;
}

bool parser_string(struct parser *p, struct token t, struct view *out)
{
    ASSERT(t.kind == TOKEN_STRING);
    if (quote_read(p->arena, parser_token_view(p, t), out))
        return true;
    return parser_fail(p, t.start, "error unquoting string %s: invalid syntax",
                       parser_quoted(p, parser_token_view(p, t)));
}

/* --- a query's life --- */

static struct promql *promql_new(struct view text)
{
    struct promql *q = mem_alloc_zero(MEM_QUERY, 1, sizeof *q);
    arena_init(&q->arena, MEM_QUERY, 0);
    q->text = arena_copy(&q->arena, text);
    return q;
}

void promql_free(struct promql *q)
{
    if (!q)
        return;
    for (struct regex_node *n = q->regexes; n; n = n->next)
        regex_free(n->regex);
    arena_deinit(&q->arena);
    mem_free(MEM_QUERY, q);
}

static bool parse(struct view text, const struct parser_options *options, bool selector_only,
                  struct promql **out, struct error *err)
{
    *out = NULL;
    if (text.len > PROMQL_QUERY_BYTES_MAX)
        return error_set(err, ERROR_INPUT, "query has %zu bytes, at most %d are allowed", text.len,
                         PROMQL_QUERY_BYTES_MAX);
    struct promql *q = promql_new(text);
    struct parser p = {.q = q, .arena = &q->arena, .err = err};
    if (options)
        p.options = *options;
    lexer_init(&p.lexer, q->text);
    p.token = lexer_next(&p.lexer);

    struct expr *root = NULL;
    if (parser_at(&p, TOKEN_EOF))
        parser_fail(&p, 0, "no expression found in input");
    else if (!selector_only)
        root = parser_expression(&p);
    else if (token_is_metric_name(p.token.kind) || parser_at(&p, TOKEN_LEFT_BRACE))
        root = parser_selector(&p);
    else
        parser_unexpected(&p, NULL, NULL);
    if (root && !parser_at(&p, TOKEN_EOF)) {
        parser_unexpected(&p, NULL, NULL);
        root = NULL;
    }
    /* match[]={__name__=""} selects nothing that hurts: only queries must name something. */
    if (!root || (!selector_only && !parser_check(&p, root))) {
        ASSERT(p.failed);
        promql_free(q);
        return false;
    }
    q->root = root;
    *out = q;
    return true;
}

bool promql_parse(struct view text, const struct parser_options *opts, struct promql **out,
                  struct error *err)
{
    return parse(text, opts, false, out, err);
}

bool promql_parse_selector(struct view text, struct promql **out, struct error *err)
{
    return parse(text, NULL, true, out, err);
}

const struct expr *promql_root(const struct promql *q)
{
    return q->root;
}

struct view promql_text(const struct promql *q)
{
    return q->text;
}

void promql_position(const struct promql *q, uint32_t byte, uint32_t *line, uint32_t *column)
{
    position_in(q->text, byte, line, column);
}
