/* SPDX-License-Identifier: Apache-2.0 */
/* parser_modifier.c: what follows an operand: [5m], [1h:5m], offset, @, anchored, smoothed. */
#include "promql/duration_expr.h"
#include "promql/parser_private.h"

#include "base/assert.h"
#include "base/floattext.h"

#include <math.h>
#include <stdio.h>

/* A duration in brackets: positive, with its value when it is a plain literal and else as an expression. */
static bool positive_duration(struct parser *p, const char *context, const char *expected,
                              int64_t *ms, struct duration_expr **expr)
{
    switch (p->token.kind) {
    case TOKEN_NUMBER:
    case TOKEN_DURATION:
    case TOKEN_STEP:
    case TOKEN_RANGE:
    case TOKEN_MIN_OF:
    case TOKEN_MAX_OF:
    case TOKEN_LEFT_PAREN:
    case TOKEN_ADD:
    case TOKEN_SUB:
        break;
    default:
        return parser_unexpected(p, context, expected);
    }
    p->duration_context = context;
    p->duration_expected = expected;
    struct duration_expr *e = parser_duration(p);
    *ms = 0;
    *expr = NULL;
    if (!e)
        return false;
    if (e->op != DURATION_LITERAL) {
        *expr = e;
        return true;
    }
    if (!(e->seconds > 0))
        return parser_fail(p, e->span.start, "duration must be greater than 0");
    return duration_seconds_to_ms(e->seconds, ms) ||
           parser_fail(p, e->span.start, "duration out of range");
}

static struct expr *subquery(struct parser *p, struct expr *inner, int64_t range_ms,
                             struct duration_expr *range)
{
    parser_take(p);
    int64_t step_ms = 0;
    struct duration_expr *step = NULL;
    if (!parser_at(p, TOKEN_RIGHT_BRACKET) &&
        !positive_duration(p, "subquery selector", "number, duration, step(), range(), or \"]\"",
                           &step_ms, &step))
        return NULL;
    if (!parser_at(p, TOKEN_RIGHT_BRACKET)) {
        parser_unexpected(p, "subquery selector", "\"]\"");
        return NULL;
    }
    struct token close = parser_take(p);
    struct expr *e = parser_expr_new(p, EXPR_SUBQUERY, VALUE_MATRIX,
                                     (struct span){inner->span.start, close.end}, inner, NULL);
    if (!e)
        return NULL;
    e->u.subquery.inner = inner;
    e->u.subquery.range_ms = range_ms;
    e->u.subquery.range_expr = range;
    e->u.subquery.step_ms = step_ms;
    e->u.subquery.step_expr = step;
    return e;
}

static struct expr *matrix(struct parser *p, struct expr *inner, uint32_t open, int64_t range_ms,
                           struct duration_expr *range)
{
    struct token close = parser_take(p);
    const char *wrong = NULL;
    if (inner->kind != EXPR_SELECTOR)
        wrong = "ranges only allowed for vector selectors";
    else if (inner->u.selector.time.offset_ms != 0 || inner->u.selector.time.offset_expr)
        wrong = "no offset modifiers allowed before range";
    else if (inner->u.selector.time.at != AT_NONE)
        wrong = "no @ modifiers allowed before range";
    if (wrong) {
        parser_fail(p, open, "%s", wrong);
        return NULL;
    }
    struct expr *e = parser_expr_new(p, EXPR_MATRIX, VALUE_MATRIX,
                                     (struct span){inner->span.start, close.end}, inner, NULL);
    if (!e)
        return NULL;
    e->u.matrix.selector = inner;
    e->u.matrix.range_ms = range_ms;
    e->u.matrix.range_expr = range;
    return e;
}

static struct expr *brackets(struct parser *p, struct expr *inner)
{
    struct token open = parser_take(p);
    int64_t range_ms;
    struct duration_expr *range;
    if (!positive_duration(p, "subquery or range selector", "number, duration, step(), or range()",
                           &range_ms, &range))
        return NULL;
    if (parser_at(p, TOKEN_COLON))
        return subquery(p, inner, range_ms, range);
    if (parser_at(p, TOKEN_RIGHT_BRACKET))
        return matrix(p, inner, open.start, range_ms, range);
    parser_unexpected(p, "subquery or range", "\":\" or \"]\"");
    return NULL;
}

static struct time_modifier *time_modifier_of(struct expr *e)
{
    switch (e->kind) {
    case EXPR_SELECTOR:
        return &e->u.selector.time;
    case EXPR_MATRIX:
        return &e->u.matrix.selector->u.selector.time;
    case EXPR_SUBQUERY:
        return &e->u.subquery.time;
    default:
        return NULL;
    }
}

static bool offset(struct parser *p, struct expr *e)
{
    parser_take(p);
    switch (p->token.kind) {
    case TOKEN_NUMBER:
    case TOKEN_DURATION:
    case TOKEN_STEP:
    case TOKEN_RANGE:
    case TOKEN_MIN_OF:
    case TOKEN_MAX_OF:
    case TOKEN_LEFT_PAREN:
    case TOKEN_ADD:
    case TOKEN_SUB:
        break;
    default:
        return parser_unexpected(p, "offset", "number, duration, step(), or range()");
    }
    p->duration_context = "offset";
    p->duration_expected = "number, duration, step(), or range()";
    struct duration_expr *d = parser_offset_duration(p);
    if (!d)
        return false;
    struct time_modifier *t = time_modifier_of(e);
    if (!t)
        return parser_fail(
            p, e->span.start,
            "offset modifier must be preceded by an instant vector selector or range vector "
            "selector or a subquery");
    if (t->offset_ms != 0 || t->offset_expr)
        return parser_fail(p, e->span.start, "offset may not be set multiple times");
    e->span.end = p->last_end;
    if (d->op != DURATION_LITERAL) {
        t->offset_expr = d;
        return true;
    }
    return duration_seconds_to_ms(d->seconds, &t->offset_ms) ||
           parser_fail(p, d->span.start, "duration out of range");
}

/* Go's %f, which writes infinities with their sign. */
static const char *go_fixed(double v, char text[FLOAT_TEXT_BYTES])
{
    if (isinf(v) || isnan(v))
        return isnan(v) ? "NaN" : v > 0 ? "+Inf" : "-Inf";
    snprintf(text, FLOAT_TEXT_BYTES, "%f", v);
    return text;
}

/* The time of @: [+-]number, start() or end(). */
static bool at_time(struct parser *p, const struct expr *e, struct time_modifier *out)
{
    if (parser_at(p, TOKEN_START) || parser_at(p, TOKEN_END)) {
        out->at = parser_take(p).kind == TOKEN_START ? AT_START : AT_END;
        if (!parser_at(p, TOKEN_LEFT_PAREN))
            return parser_unexpected(p, "@", "timestamp");
        parser_take(p);
        if (!parser_at(p, TOKEN_RIGHT_PAREN))
            return parser_unexpected(p, "@", "timestamp");
        parser_take(p);
        return true;
    }
    bool negative = parser_at(p, TOKEN_SUB);
    if (negative || parser_at(p, TOKEN_ADD))
        parser_take(p);
    if (!parser_at(p, TOKEN_NUMBER) && !parser_at(p, TOKEN_DURATION))
        return parser_unexpected(p, "@", "timestamp");
    double v;
    if (!parser_number(p, parser_take(p), &v))
        return false;
    if (negative)
        v = -v;
    char text[FLOAT_TEXT_BYTES];
    if (!(v > -0x1p63 / 1000 && v < 0x1p63 / 1000))
        return parser_fail(p, e->span.start, "timestamp out of bounds for @ modifier: %s",
                           go_fixed(v, text));
    out->at = AT_TIME;
    out->at_ms = (int64_t)round(v * 1000);
    return true;
}

static bool at_modifier(struct parser *p, struct expr *e)
{
    parser_take(p);
    struct time_modifier given = {0}, *t = time_modifier_of(e);
    if (!at_time(p, e, &given))
        return false;
    if (!t)
        return parser_fail(
            p, e->span.start,
            "@ modifier must be preceded by an instant vector selector or range vector selector or "
            "a subquery");
    if (t->at != AT_NONE)
        return parser_fail(p, e->span.start, "@ <timestamp> may not be set multiple times");
    t->at = given.at;
    t->at_ms = given.at_ms;
    e->span.end = p->last_end;
    return true;
}

/* anchored or smoothed */
static bool extended(struct parser *p, struct expr *e)
{
    bool anchored = parser_take(p).kind == TOKEN_ANCHORED;
    const char *name = anchored ? "anchored" : "smoothed";
    if (!p->options.extended_range_selectors)
        return parser_fail(p, e->span.start,
                           "%s modifier is experimental and not enabled; "
                           "--enable-feature=promql-extended-range-selectors enables it",
                           name);
    if (e->kind == EXPR_SUBQUERY)
        return parser_fail(p, e->span.start, "%s modifier is not supported for subqueries", name);
    if (e->kind != EXPR_SELECTOR && e->kind != EXPR_MATRIX)
        return parser_fail(p, e->span.start, "%s modifier not implemented", name);
    struct selector *s =
        e->kind == EXPR_MATRIX ? &e->u.matrix.selector->u.selector : &e->u.selector;
    s->anchored |= anchored;
    s->smoothed |= !anchored;
    if (s->anchored && s->smoothed)
        return parser_fail(p, e->span.start,
                           "anchored and smoothed modifiers cannot be used together");
    e->span.end = p->last_end;
    return true;
}

struct expr *parser_postfix(struct parser *p, struct expr *e)
{
    while (e) {
        switch (p->token.kind) {
        case TOKEN_LEFT_BRACKET:
            e = brackets(p, e);
            break;
        case TOKEN_OFFSET:
            e = offset(p, e) ? e : NULL;
            break;
        case TOKEN_AT:
            e = at_modifier(p, e) ? e : NULL;
            break;
        case TOKEN_ANCHORED:
        case TOKEN_SMOOTHED:
            e = extended(p, e) ? e : NULL;
            break;
        default:
            return e;
        }
    }
    return NULL;
}
