/* SPDX-License-Identifier: Apache-2.0 */
/* duration_expr.c: arithmetic on durations: parsed inside brackets and after offset, evaluated when the query's
 * start, end and step are known. */
#include "promql/duration_expr.h"

#include "base/assert.h"
#include "promql/parser_private.h"

#include <math.h>

/* --- parsing --- */

enum { PRECEDENCE_ADD = 1, PRECEDENCE_MUL, PRECEDENCE_POW };

static struct duration_expr *climb(struct parser *p, int precedence_min);

static struct duration_expr *node(struct parser *p, enum duration_op op, struct span span,
                                  struct duration_expr *left, struct duration_expr *right)
{
    struct duration_expr *e = ARENA_NEW(p->arena, struct duration_expr);
    e->op = op;
    e->span = span;
    e->left = left;
    e->right = right;
    return e;
}

static bool is_experimental_allowed(struct parser *p, uint32_t at)
{
    return p->options.duration_expressions ||
           parser_fail(p, at,
                       "experimental duration expression is not enabled; "
                       "--enable-feature=promql-duration-expr enables it");
}

static bool unexpected(struct parser *p)
{
    return parser_unexpected(p, p->duration_context, p->duration_expected);
}

static bool expect(struct parser *p, enum token_kind kind)
{
    if (!parser_at(p, kind))
        return unexpected(p);
    parser_take(p);
    return true;
}

/* step() range() min_of(a, b) max_of(a, b) */
static struct duration_expr *call(struct parser *p)
{
    struct token name = parser_take(p);
    struct duration_expr *left = NULL, *right = NULL;
    if (!is_experimental_allowed(p, name.start) || !expect(p, TOKEN_LEFT_PAREN))
        return NULL;
    enum duration_op op = name.kind == TOKEN_STEP     ? DURATION_STEP
                          : name.kind == TOKEN_RANGE  ? DURATION_RANGE
                          : name.kind == TOKEN_MIN_OF ? DURATION_MIN
                                                      : DURATION_MAX;
    if (op == DURATION_MIN || op == DURATION_MAX) {
        left = climb(p, PRECEDENCE_ADD);
        if (!left || !expect(p, TOKEN_COMMA))
            return NULL;
        right = climb(p, PRECEDENCE_ADD);
        if (!right)
            return NULL;
    }
    if (!expect(p, TOKEN_RIGHT_PAREN))
        return NULL;
    return node(p, op, (struct span){name.start, p->last_end}, left, right);
}

static struct duration_expr *literal(struct parser *p)
{
    struct token t = parser_take(p);
    double v;
    int64_t ms;
    if (!parser_number(p, t, &v))
        return NULL;
    if (!duration_seconds_to_ms(v, &ms)) {
        parser_fail(p, t.start, "duration out of range");
        return NULL;
    }
    struct duration_expr *e = node(p, DURATION_LITERAL, (struct span){t.start, t.end}, NULL, NULL);
    e->seconds = v;
    e->is_duration_text = t.kind == TOKEN_DURATION;
    return e;
}

static struct duration_expr *parenthesised(struct parser *p)
{
    struct token open = parser_take(p);
    struct duration_expr *inner = climb(p, PRECEDENCE_ADD);
    if (!inner || !is_experimental_allowed(p, open.start) || !expect(p, TOKEN_RIGHT_PAREN))
        return NULL;
    return node(p, DURATION_PAREN, (struct span){open.start, p->last_end}, NULL, inner);
}

/* A literal takes its sign in, as in expressions. */
static struct duration_expr *with_sign(struct parser *p, struct token sign, struct duration_expr *e)
{
    if (!e)
        return NULL;
    if (e->op == DURATION_LITERAL) {
        if (sign.kind == TOKEN_SUB)
            e->seconds = -e->seconds;
        e->span.start = sign.start;
        return e;
    }
    if (sign.kind == TOKEN_ADD)
        return e;
    return node(p, DURATION_NEG, (struct span){sign.start, e->span.end}, NULL, e);
}

static struct duration_expr *operand(struct parser *p)
{
    switch (p->token.kind) {
    case TOKEN_NUMBER:
    case TOKEN_DURATION:
        return literal(p);
    case TOKEN_STEP:
    case TOKEN_RANGE:
    case TOKEN_MIN_OF:
    case TOKEN_MAX_OF:
        return call(p);
    case TOKEN_LEFT_PAREN:
        return parenthesised(p);
    default:
        unexpected(p);
        return NULL;
    }
}

static int precedence_of(enum token_kind kind, enum duration_op *op)
{
    switch (kind) {
    case TOKEN_ADD:
        *op = DURATION_ADD;
        return PRECEDENCE_ADD;
    case TOKEN_SUB:
        *op = DURATION_SUB;
        return PRECEDENCE_ADD;
    case TOKEN_MUL:
        *op = DURATION_MUL;
        return PRECEDENCE_MUL;
    case TOKEN_DIV:
        *op = DURATION_DIV;
        return PRECEDENCE_MUL;
    case TOKEN_MOD:
        *op = DURATION_MOD;
        return PRECEDENCE_MUL;
    case TOKEN_POW:
        *op = DURATION_POW;
        return PRECEDENCE_POW;
    default:
        return 0;
    }
}

static struct duration_expr *continue_with(struct parser *p, struct duration_expr *left,
                                           int precedence_min)
{
    uint32_t chain = 0; /* a chain is a deep tree too */
    for (;;) {
        enum duration_op op;
        int precedence = precedence_of(p->token.kind, &op);
        if (precedence == 0 || precedence < precedence_min)
            return left;
        if (++chain > PROMQL_DEPTH_MAX) {
            parser_fail(p, p->token.start, "duration expression has more than %d operators",
                        PROMQL_DEPTH_MAX);
            return NULL;
        }
        struct token sign = parser_take(p);
        struct duration_expr *right = climb(p, op == DURATION_POW ? precedence : precedence + 1);
        if (!right || !is_experimental_allowed(p, left->span.start))
            return NULL;
        if ((op == DURATION_DIV || op == DURATION_MOD) && right->op == DURATION_LITERAL &&
            right->seconds == 0) {
            parser_fail(p, sign.start, op == DURATION_DIV ? "division by zero" : "modulo by zero");
            return NULL;
        }
        left = node(p, op, (struct span){left->span.start, right->span.end}, left, right);
    }
}

static struct duration_expr *climb(struct parser *p, int precedence_min)
{
    if (!parser_enter(p))
        return NULL;
    struct duration_expr *e;
    if (parser_at(p, TOKEN_ADD) || parser_at(p, TOKEN_SUB)) {
        struct token sign = parser_take(p);
        e = with_sign(p, sign, climb(p, PRECEDENCE_POW));
    } else {
        e = operand(p);
    }
    if (e)
        e = continue_with(p, e, precedence_min);
    parser_leave(p);
    return e;
}

struct duration_expr *parser_duration(struct parser *p)
{
    return climb(p, PRECEDENCE_ADD);
}

struct duration_expr *parser_offset_duration(struct parser *p)
{
    if (parser_at(p, TOKEN_LEFT_PAREN))
        return climb(p, PRECEDENCE_ADD);
    if (parser_at(p, TOKEN_ADD) || parser_at(p, TOKEN_SUB)) {
        struct token sign = parser_take(p);
        return with_sign(p, sign, operand(p));
    }
    return operand(p);
}

/* --- evaluating --- */

bool duration_seconds_to_ms(double seconds, int64_t *out_ms)
{
    double ns = round(seconds * 1e9);
    if (!(ns >= -0x1p63 && ns < 0x1p63))
        return false;
    *out_ms = (int64_t)ns / 1000000;
    return true;
}

struct evaluation {
    double step, range; /* seconds */
    struct error *err;
};

/* As deep as the parser lets it be. */
static bool eval(const struct evaluation *ev, const struct duration_expr *e, double *out)
{
    double left = 0, right = 0;
    if ((e->left && !eval(ev, e->left, &left)) || (e->right && !eval(ev, e->right, &right)))
        return false;
    switch (e->op) {
    case DURATION_LITERAL:
        *out = e->seconds;
        return true;
    case DURATION_ADD:
        *out = left + right;
        return true;
    case DURATION_SUB:
        *out = left - right;
        return true;
    case DURATION_MUL:
        *out = left * right;
        return true;
    case DURATION_DIV:
        *out = left / right;
        return right != 0 || error_set(ev->err, ERROR_EXECUTION, "division by zero");
    case DURATION_MOD:
        *out = fmod(left, right);
        return right != 0 || error_set(ev->err, ERROR_EXECUTION, "modulo by zero");
    case DURATION_POW:
        *out = pow(left, right);
        return true;
    case DURATION_NEG:
        *out = -right;
        return true;
    case DURATION_POS:
    case DURATION_PAREN:
        *out = right;
        return true;
    case DURATION_STEP:
        *out = ev->step;
        return true;
    case DURATION_RANGE:
        *out = ev->range;
        return true;
    case DURATION_MIN:
        *out = fmin(left, right);
        return true;
    case DURATION_MAX:
        *out = fmax(left, right);
        return true;
    }
    UNREACHABLE();
}

bool duration_expr_eval(const struct duration_expr *e, int64_t start_ms, int64_t end_ms,
                        int64_t step_ms, bool allow_negative, int64_t *out_ms, struct error *err)
{
    struct evaluation ev = {(double)step_ms / 1000, (double)(end_ms - start_ms) / 1000, err};
    double seconds;
    if (!eval(&ev, e, &seconds))
        return false;
    if (!(seconds > 0) && !allow_negative)
        return error_set(err, ERROR_EXECUTION, "duration must be greater than 0");
    if (!duration_seconds_to_ms(seconds, out_ms))
        return error_set(err, ERROR_EXECUTION, "duration is out of range");
    return true;
}
