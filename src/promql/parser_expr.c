/* SPDX-License-Identifier: Apache-2.0 */
/* parser_expr.c: operators by precedence climbing, calls, aggregations, literals.
 *
 *   or | and unless | == != < <= > >= </ >/ | + - | * / % atan2, and signs | ^ (right) | offset @ [] */
#include "promql/parser_private.h"

#include "base/assert.h"

enum {
    PRECEDENCE_OR = 1,
    PRECEDENCE_AND,
    PRECEDENCE_COMPARE,
    PRECEDENCE_ADD,
    PRECEDENCE_MUL,
    PRECEDENCE_POW
};

struct expr *parser_expr_new(struct parser *p, enum expr_kind kind, enum value_type type,
                             struct span span, const struct expr *below,
                             const struct expr *below_too)
{
    uint32_t height = below ? below->height : 0;
    if (below_too && below_too->height > height)
        height = below_too->height;
    if (height + 1 > PROMQL_HEIGHT_MAX) {
        parser_fail(p, span.start, "expression has more than %d levels of operators",
                    PROMQL_HEIGHT_MAX);
        return NULL;
    }
    struct expr *e = ARENA_NEW(p->arena, struct expr);
    e->kind = kind;
    e->type = type;
    e->span = span;
    e->height = height + 1;
    return e;
}

/* --- operands --- */

static struct expr *number_literal(struct parser *p)
{
    struct token t = parser_take(p);
    double v;
    if (!parser_number(p, t, &v))
        return NULL;
    struct expr *e =
        parser_expr_new(p, EXPR_NUMBER, VALUE_SCALAR, (struct span){t.start, t.end}, NULL, NULL);
    if (e) {
        e->u.number.value = v;
        e->u.number.is_duration = t.kind == TOKEN_DURATION;
    }
    return e;
}

static struct expr *string_literal(struct parser *p)
{
    struct token t = parser_take(p);
    struct view text;
    if (!parser_string(p, t, &text))
        return NULL;
    struct expr *e =
        parser_expr_new(p, EXPR_STRING, VALUE_STRING, (struct span){t.start, t.end}, NULL, NULL);
    if (e)
        e->u.string = text;
    return e;
}

static struct expr *parenthesised(struct parser *p)
{
    struct token open = parser_take(p);
    struct expr *inner = parser_expression(p);
    if (!inner)
        return NULL;
    if (!parser_at(p, TOKEN_RIGHT_PAREN)) {
        parser_unexpected(p, NULL, NULL);
        return NULL;
    }
    struct token close = parser_take(p);
    struct expr *e = parser_expr_new(p, EXPR_PAREN, inner->type,
                                     (struct span){open.start, close.end}, inner, NULL);
    if (e)
        e->u.paren = inner;
    return e;
}

struct arg_list {
    struct expr **items;
    size_t count, capacity;
    const struct expr *highest;
};

static bool begins_operand(enum token_kind kind)
{
    switch (kind) {
    case TOKEN_NUMBER:
    case TOKEN_DURATION:
    case TOKEN_STRING:
    case TOKEN_LEFT_PAREN:
    case TOKEN_LEFT_BRACE:
    case TOKEN_ADD:
    case TOKEN_SUB:
        return true;
    default:
        return token_is_metric_name(kind);
    }
}

/* ( expr, expr ) */
static bool call_body(struct parser *p, struct arg_list *args)
{
    parser_take(p);
    if (!parser_at(p, TOKEN_RIGHT_PAREN)) {
        for (;;) {
            struct expr *e = parser_expression(p);
            if (!e)
                return false;
            args->items = arena_grow(p->arena, args->items, &args->capacity, args->count + 1,
                                     sizeof(struct expr *));
            args->items[args->count++] = e;
            if (!args->highest || e->height > args->highest->height)
                args->highest = e;
            if (!parser_at(p, TOKEN_COMMA))
                break;
            struct token comma = parser_take(p);
            if (!parser_at(p, TOKEN_ERROR) && !begins_operand(p->token.kind))
                return parser_fail(p, comma.start,
                                   "trailing commas not allowed in function call args");
        }
    }
    if (!parser_at(p, TOKEN_RIGHT_PAREN))
        return parser_unexpected(p, NULL, NULL);
    parser_take(p);
    return true;
}

static struct expr *function_call(struct parser *p, struct token name)
{
    struct view text = parser_token_view(p, name);
    const struct function_info *f = function_find(text);
    struct arg_list args = {0};
    if (!call_body(p, &args))
        return NULL;
    if (!f) {
        parser_fail(p, name.start, "unknown function with name %s", parser_quoted(p, text));
        return NULL;
    }
    if (f->experimental && !p->options.experimental_functions) {
        parser_fail(p, name.start,
                    "function %s is not enabled; "
                    "--enable-feature=promql-experimental-functions enables it",
                    parser_quoted(p, text));
        return NULL;
    }
    struct expr *e = parser_expr_new(p, EXPR_CALL, f->result,
                                     (struct span){name.start, p->last_end}, args.highest, NULL);
    if (!e)
        return NULL;
    e->u.call.function = f;
    e->u.call.args = args.items;
    e->u.call.arg_count = (uint32_t)args.count;
    return e;
}

/* --- aggregations --- */

static enum aggregate_op aggregate_op_of(enum token_kind kind)
{
    switch (kind) {
    case TOKEN_SUM:
        return AGGREGATE_SUM;
    case TOKEN_AVG:
        return AGGREGATE_AVG;
    case TOKEN_COUNT:
        return AGGREGATE_COUNT;
    case TOKEN_MIN:
        return AGGREGATE_MIN;
    case TOKEN_MAX:
        return AGGREGATE_MAX;
    case TOKEN_GROUP:
        return AGGREGATE_GROUP;
    case TOKEN_STDDEV:
        return AGGREGATE_STDDEV;
    case TOKEN_STDVAR:
        return AGGREGATE_STDVAR;
    case TOKEN_TOPK:
        return AGGREGATE_TOPK;
    case TOKEN_BOTTOMK:
        return AGGREGATE_BOTTOMK;
    case TOKEN_QUANTILE:
        return AGGREGATE_QUANTILE;
    case TOKEN_COUNT_VALUES:
        return AGGREGATE_COUNT_VALUES;
    case TOKEN_LIMITK:
        return AGGREGATE_LIMITK;
    case TOKEN_LIMIT_RATIO:
        return AGGREGATE_LIMIT_RATIO;
    default:
        UNREACHABLE();
    }
}

static bool aggregate_has_param(enum aggregate_op op)
{
    return op == AGGREGATE_TOPK || op == AGGREGATE_BOTTOMK || op == AGGREGATE_QUANTILE ||
           op == AGGREGATE_COUNT_VALUES || op == AGGREGATE_LIMITK || op == AGGREGATE_LIMIT_RATIO;
}

struct grouping {
    bool given, without;
    struct view *labels;
    uint32_t count;
};

static bool grouping_clause(struct parser *p, struct grouping *g)
{
    if (!parser_at(p, TOKEN_BY) && !parser_at(p, TOKEN_WITHOUT))
        return true;
    g->given = true;
    g->without = parser_take(p).kind == TOKEN_WITHOUT;
    return parser_label_list(p, &g->labels, &g->count);
}

static bool check_aggregate_args(struct parser *p, enum aggregate_op op, size_t count, uint32_t at)
{
    if (count == 0)
        return parser_fail(p, at, "no arguments for aggregate expression provided");
    if ((op == AGGREGATE_LIMITK || op == AGGREGATE_LIMIT_RATIO) &&
        !p->options.experimental_functions)
        return parser_fail(p, at,
                           "%s() is experimental and must be enabled with "
                           "--enable-feature=promql-experimental-functions",
                           aggregate_op_name(op));
    size_t wanted = aggregate_has_param(op) ? 2 : 1;
    if (count != wanted)
        return parser_fail(
            p, at,
            "wrong number of arguments for aggregate expression provided, expected %zu, got %zu",
            wanted, count);
    return true;
}

/* The arguments; what is wrong in them is said to be in an aggregation. */
static bool aggregation_body(struct parser *p, struct arg_list *args)
{
    p->aggregations++;
    if (!parser_at(p, TOKEN_LEFT_PAREN))
        return parser_unexpected(p, NULL, NULL);
    if (!call_body(p, args))
        return false;
    p->aggregations--;
    return !parser_at(p, TOKEN_ERROR) || parser_unexpected(p, NULL, NULL);
}

static struct expr *aggregation(struct parser *p, struct token name)
{
    enum aggregate_op op = aggregate_op_of(name.kind);
    struct grouping g = {0};
    struct arg_list args = {0};
    if (!grouping_clause(p, &g) || !aggregation_body(p, &args) ||
        (!g.given && !grouping_clause(p, &g)) ||
        !check_aggregate_args(p, op, args.count, name.start))
        return NULL;
    struct expr *e = parser_expr_new(p, EXPR_AGGREGATE, VALUE_VECTOR,
                                     (struct span){name.start, p->last_end}, args.highest, NULL);
    if (!e)
        return NULL;
    e->u.aggregate.op = op;
    e->u.aggregate.param = aggregate_has_param(op) ? args.items[0] : NULL;
    e->u.aggregate.inner = args.items[args.count - 1];
    e->u.aggregate.labels = g.labels;
    e->u.aggregate.label_count = g.count;
    e->u.aggregate.without = g.without;
    return e;
}

/* A word: a function's name, an aggregation, or a metric. One token of lookahead does not tell sum(x) from the
 * metric sum, so the lexer is asked again from behind the word. */
static enum token_kind kind_after_word(const struct parser *p)
{
    struct lexer ahead = p->lexer;
    return lexer_next(&ahead).kind;
}

static struct expr *word(struct parser *p)
{
    enum token_kind kind = p->token.kind, after = kind_after_word(p);
    if (token_class(kind) == TOKEN_CLASS_AGGREGATOR &&
        (after == TOKEN_LEFT_PAREN || after == TOKEN_BY || after == TOKEN_WITHOUT))
        return aggregation(p, parser_take(p));
    if (after == TOKEN_LEFT_PAREN &&
        (kind == TOKEN_IDENTIFIER || token_class(kind) == TOKEN_CLASS_PREPROCESSOR))
        return function_call(p, parser_take(p));
    return parser_selector(p);
}

static struct expr *operand(struct parser *p)
{
    switch (p->token.kind) {
    case TOKEN_NUMBER:
    case TOKEN_DURATION:
        return number_literal(p);
    case TOKEN_STRING:
        return string_literal(p);
    case TOKEN_LEFT_PAREN:
        return parenthesised(p);
    case TOKEN_LEFT_BRACE:
        return parser_selector(p);
    default:
        if (token_is_metric_name(p->token.kind))
            return word(p);
        parser_unexpected(p, NULL, NULL);
        return NULL;
    }
}

/* --- operators --- */

static int precedence_of(enum token_kind kind, enum binary_op *op)
{
    switch (kind) {
#define OPERATOR(token, which, precedence)                                                         \
    case token:                                                                                    \
        *op = which;                                                                               \
        return precedence;
        OPERATOR(TOKEN_OR, OP_OR, PRECEDENCE_OR)
        OPERATOR(TOKEN_AND, OP_AND, PRECEDENCE_AND)
        OPERATOR(TOKEN_UNLESS, OP_UNLESS, PRECEDENCE_AND)
        OPERATOR(TOKEN_EQ, OP_EQ, PRECEDENCE_COMPARE)
        OPERATOR(TOKEN_NE, OP_NE, PRECEDENCE_COMPARE)
        OPERATOR(TOKEN_GT, OP_GT, PRECEDENCE_COMPARE)
        OPERATOR(TOKEN_LT, OP_LT, PRECEDENCE_COMPARE)
        OPERATOR(TOKEN_GE, OP_GE, PRECEDENCE_COMPARE)
        OPERATOR(TOKEN_LE, OP_LE, PRECEDENCE_COMPARE)
        OPERATOR(TOKEN_TRIM_UPPER, OP_TRIM_UPPER, PRECEDENCE_COMPARE)
        OPERATOR(TOKEN_TRIM_LOWER, OP_TRIM_LOWER, PRECEDENCE_COMPARE)
        OPERATOR(TOKEN_ADD, OP_ADD, PRECEDENCE_ADD)
        OPERATOR(TOKEN_SUB, OP_SUB, PRECEDENCE_ADD)
        OPERATOR(TOKEN_MUL, OP_MUL, PRECEDENCE_MUL)
        OPERATOR(TOKEN_DIV, OP_DIV, PRECEDENCE_MUL)
        OPERATOR(TOKEN_MOD, OP_MOD, PRECEDENCE_MUL)
        OPERATOR(TOKEN_ATAN2, OP_ATAN2, PRECEDENCE_MUL)
        OPERATOR(TOKEN_POW, OP_POW, PRECEDENCE_POW)
#undef OPERATOR
    default:
        return 0;
    }
}

static struct expr *climb(struct parser *p, int precedence_min);

/* + or -: binds like * and /, so -2^2 is -(2^2) and -2*3 is (-2)*3. A literal takes its sign in. */
static struct expr *signed_operand(struct parser *p)
{
    struct token sign = parser_take(p);
    struct expr *inner = climb(p, PRECEDENCE_POW);
    if (!inner)
        return NULL;
    if (inner->kind == EXPR_NUMBER) {
        if (sign.kind == TOKEN_SUB)
            inner->u.number.value = -inner->u.number.value;
        inner->span.start = sign.start;
        return inner;
    }
    struct expr *e = parser_expr_new(p, EXPR_UNARY, inner->type,
                                     (struct span){sign.start, inner->span.end}, inner, NULL);
    if (!e)
        return NULL;
    e->u.unary.negative = sign.kind == TOKEN_SUB;
    e->u.unary.inner = inner;
    return e;
}

static bool fill_value(struct parser *p, double *out)
{
    if (!parser_at(p, TOKEN_LEFT_PAREN))
        return parser_unexpected(p, "fill modifier", "\"(\"");
    parser_take(p);
    bool negative = parser_at(p, TOKEN_SUB);
    if (negative || parser_at(p, TOKEN_ADD))
        parser_take(p);
    if (!parser_at(p, TOKEN_NUMBER) && !parser_at(p, TOKEN_DURATION))
        return parser_unexpected(p, "fill modifier", "number");
    double v;
    if (!parser_number(p, parser_take(p), &v))
        return false;
    *out = negative ? -v : v;
    if (!parser_at(p, TOKEN_RIGHT_PAREN))
        return parser_unexpected(p, "fill modifier", "\")\"");
    parser_take(p);
    return true;
}

/* fill(v), or fill_left(v) and fill_right(v) in any order. */
static bool fill_modifiers(struct parser *p, struct vector_matching *m)
{
    if (parser_at(p, TOKEN_FILL)) {
        parser_take(p);
        if (!fill_value(p, &m->fill_left))
            return false;
        m->fill_right = m->fill_left;
        m->has_fill_left = m->has_fill_right = true;
        return true;
    }
    for (;;) {
        if (parser_at(p, TOKEN_FILL_LEFT) && !m->has_fill_left) {
            parser_take(p);
            m->has_fill_left = true;
            if (!fill_value(p, &m->fill_left))
                return false;
        } else if (parser_at(p, TOKEN_FILL_RIGHT) && !m->has_fill_right) {
            parser_take(p);
            m->has_fill_right = true;
            if (!fill_value(p, &m->fill_right))
                return false;
        } else {
            return true;
        }
    }
}

/* bool, on or ignoring, group_left or group_right, fill. */
static bool binary_modifiers(struct parser *p, bool *return_bool, struct vector_matching *m)
{
    m->card = CARD_ONE_TO_ONE;
    if (parser_at(p, TOKEN_BOOL)) {
        parser_take(p);
        *return_bool = true;
    }
    if (parser_at(p, TOKEN_ON) || parser_at(p, TOKEN_IGNORING)) {
        m->on = parser_take(p).kind == TOKEN_ON;
        if (!parser_label_list(p, &m->labels, &m->label_count))
            return false;
        if (parser_at(p, TOKEN_GROUP_LEFT) || parser_at(p, TOKEN_GROUP_RIGHT)) {
            m->card = parser_take(p).kind == TOKEN_GROUP_LEFT ? CARD_MANY_TO_ONE : CARD_ONE_TO_MANY;
            if (parser_at(p, TOKEN_LEFT_PAREN) &&
                !parser_label_list(p, &m->include, &m->include_count))
                return false;
        }
    }
    return fill_modifiers(p, m);
}

static struct expr *binary(struct parser *p, struct expr *left, enum binary_op op, int precedence)
{
    parser_take(p);
    struct vector_matching *matching = ARENA_NEW(p->arena, struct vector_matching);
    bool return_bool = false;
    if (!binary_modifiers(p, &return_bool, matching))
        return NULL;
    struct expr *right = climb(p, op == OP_POW ? precedence : precedence + 1);
    if (!right)
        return NULL;
    if ((matching->has_fill_left || matching->has_fill_right) && !p->options.fill_modifiers) {
        parser_fail(p, left->span.start,
                    "binop fill modifiers are experimental and not enabled; "
                    "--enable-feature=promql-binop-fill-modifiers enables them");
        return NULL;
    }
    bool scalar = left->type == VALUE_SCALAR && right->type == VALUE_SCALAR;
    struct expr *e = parser_expr_new(p, EXPR_BINARY, scalar ? VALUE_SCALAR : VALUE_VECTOR,
                                     (struct span){left->span.start, right->span.end}, left, right);
    if (!e)
        return NULL;
    e->u.binary.op = op;
    e->u.binary.return_bool = return_bool;
    e->u.binary.left = left;
    e->u.binary.right = right;
    e->u.binary.matching = matching; /* the type check drops it where a side is a scalar */
    return e;
}

static struct expr *climb(struct parser *p, int precedence_min)
{
    if (!parser_enter(p))
        return NULL;
    struct expr *e;
    if (parser_at(p, TOKEN_ADD) || parser_at(p, TOKEN_SUB)) {
        e = signed_operand(p);
    } else {
        e = operand(p);
        if (e)
            e = parser_postfix(p, e);
    }
    while (e) {
        enum binary_op op;
        int precedence = precedence_of(p->token.kind, &op);
        if (precedence == 0 || precedence < precedence_min)
            break;
        e = binary(p, e, op, precedence);
    }
    parser_leave(p);
    return e;
}

struct expr *parser_expression(struct parser *p)
{
    return climb(p, PRECEDENCE_OR);
}
