/* SPDX-License-Identifier: Apache-2.0 */
/* typecheck.c: which kinds of value may stand where. Types themselves are known when a node is made; here the
 * errors are found, in the order in which Prometheus finds them, since only the first is shown. */
#include "promql/parser_private.h"

#include "base/assert.h"
#include "model/labels.h"

static bool is_comparison(enum binary_op op)
{
    return op == OP_EQ || op == OP_NE || op == OP_GT || op == OP_LT || op == OP_GE || op == OP_LE;
}

static bool is_set_operator(enum binary_op op)
{
    return op == OP_AND || op == OP_OR || op == OP_UNLESS;
}

static bool expect_type(struct parser *p, struct expr *e, enum value_type wanted,
                        const char *context)
{
    if (!parser_check(p, e))
        return false;
    if (e->type != wanted)
        return parser_fail(p, e->span.start, "expected type %s in %s, got %s",
                           value_type_name(wanted), context, value_type_name(e->type));
    return true;
}

static bool check_aggregate(struct parser *p, struct expr *e)
{
    if (!expect_type(p, e->u.aggregate.inner, VALUE_VECTOR, "aggregation expression"))
        return false;
    if (!e->u.aggregate.param)
        return true;
    enum value_type wanted =
        e->u.aggregate.op == AGGREGATE_COUNT_VALUES ? VALUE_STRING : VALUE_SCALAR;
    return expect_type(p, e->u.aggregate.param, wanted, "aggregation parameter");
}

/* --- binary expressions --- */

/* Where the operator stands: behind the left side and blanks. */
static uint32_t operator_at(const struct parser *p, const struct expr *e)
{
    uint32_t at = e->u.binary.left->span.end;
    struct view text = p->q->text;
    while (at < text.len && (text.ptr[at] == ' ' || text.ptr[at] == '\t' || text.ptr[at] == '\n' ||
                             text.ptr[at] == '\r'))
        at++;
    return at;
}

static bool check_operator(struct parser *p, const struct expr *e)
{
    enum binary_op op = e->u.binary.op;
    enum value_type left = e->u.binary.left->type, right = e->u.binary.right->type;
    const struct vector_matching *m = e->u.binary.matching;
    if (e->u.binary.return_bool && !is_comparison(op))
        return parser_fail(p, operator_at(p, e),
                           "bool modifier can only be used on comparison operators");
    if (is_comparison(op) && !e->u.binary.return_bool && left == VALUE_SCALAR &&
        right == VALUE_SCALAR)
        return parser_fail(p, operator_at(p, e),
                           "comparisons between scalars must use BOOL modifier");
    for (uint32_t i = 0; m->on && i < m->label_count; i++)
        for (uint32_t k = 0; k < m->include_count; k++)
            if (view_eq(m->labels[i], m->include[k]))
                return parser_fail(p, operator_at(p, e),
                                   "label %s must not occur in ON and GROUP clause at once",
                                   parser_quoted(p, m->labels[i]));
    if (left != VALUE_SCALAR && left != VALUE_VECTOR)
        return parser_fail(p, e->u.binary.left->span.start,
                           "binary expression must contain only scalar and instant vector types");
    if (right != VALUE_SCALAR && right != VALUE_VECTOR)
        return parser_fail(p, e->u.binary.right->span.start,
                           "binary expression must contain only scalar and instant vector types");
    return true;
}

static bool check_matching(struct parser *p, struct expr *e)
{
    enum binary_op op = e->u.binary.op;
    struct vector_matching *m = e->u.binary.matching;
    bool fills = m->has_fill_left || m->has_fill_right;
    if (e->u.binary.left->type != VALUE_VECTOR || e->u.binary.right->type != VALUE_VECTOR) {
        if (m->label_count > 0)
            return parser_fail(p, e->span.start,
                               "vector matching only allowed between instant vectors");
        if (fills)
            return parser_fail(p, e->span.start,
                               "filling in missing series only allowed between instant vectors");
        if (is_set_operator(op))
            return parser_fail(p, e->span.start,
                               "set operator \"%s\" not allowed in binary scalar expression",
                               binary_op_name(op));
        e->u.binary.matching = NULL;
        return true;
    }
    if (!is_set_operator(op))
        return true;
    if (m->card == CARD_ONE_TO_MANY || m->card == CARD_MANY_TO_ONE)
        return parser_fail(p, e->span.start, "no grouping allowed for \"%s\" operation",
                           binary_op_name(op));
    if (fills)
        return parser_fail(p, e->span.start,
                           "filling in missing series not allowed for set operators");
    m->card = CARD_MANY_TO_MANY;
    return true;
}

static bool check_binary(struct parser *p, struct expr *e)
{
    return parser_check(p, e->u.binary.left) && parser_check(p, e->u.binary.right) &&
           check_operator(p, e) && check_matching(p, e);
}

/* --- calls --- */

static bool check_arg_count(struct parser *p, const struct expr *e)
{
    const struct function_info *f = e->u.call.function;
    int declared = (int)strlen(f->args), given = (int)e->u.call.arg_count;
    if (f->variadic == 0 && given != declared)
        return parser_fail(p, e->span.start, "expected %d argument(s) in call to \"%s\", got %d",
                           declared, f->name, given);
    if (f->variadic != 0 && given < declared - 1)
        return parser_fail(p, e->span.start,
                           "expected at least %d argument(s) in call to \"%s\", got %d",
                           declared - 1, f->name, given);
    if (f->variadic > 0 && given > declared - 1 + f->variadic)
        return parser_fail(p, e->span.start,
                           "expected at most %d argument(s) in call to \"%s\", got %d",
                           declared - 1 + f->variadic, f->name, given);
    return true;
}

static enum value_type type_of_letter(char letter)
{
    switch (letter) {
    case 'S':
        return VALUE_SCALAR;
    case 'V':
        return VALUE_VECTOR;
    case 'M':
        return VALUE_MATRIX;
    case 'T':
        return VALUE_STRING;
    default:
        UNREACHABLE();
    }
}

/* The second argument of info() holds matchers only; it may be as wide as it likes. */
static bool check_info_selector(struct parser *p, const struct expr *arg)
{
    if (arg->type != VALUE_VECTOR)
        return parser_fail(p, arg->span.start,
                           "expected type instant vector in call to function \"info\", got %s",
                           value_type_name(arg->type));
    if (arg->kind != EXPR_SELECTOR)
        return parser_fail(p, arg->span.start, "expected label selectors only");
    if (arg->u.selector.name.len)
        return parser_fail(p, arg->span.start,
                           "expected label selectors only, got vector selector instead");
    return true;
}

static bool check_call(struct parser *p, struct expr *e)
{
    const struct function_info *f = e->u.call.function;
    if (!check_arg_count(p, e))
        return false;
    size_t declared = strlen(f->args);
    for (uint32_t i = 0; i < e->u.call.arg_count; i++) {
        struct expr *arg = e->u.call.args[i];
        if (f->id == FUNCTION_INFO && i == 1) {
            if (!check_info_selector(p, arg))
                return false;
            continue;
        }
        enum value_type wanted = type_of_letter(f->args[i < declared ? i : declared - 1]);
        if (!parser_check(p, arg))
            return false;
        if (arg->type != wanted)
            return parser_fail(p, arg->span.start,
                               "expected type %s in call to function \"%s\", got %s",
                               value_type_name(wanted), f->name, value_type_name(arg->type));
    }
    return true;
}

/* --- the rest --- */

static bool check_selector(struct parser *p, const struct expr *e)
{
    const struct selector *s = &e->u.selector;
    if (s->name.len) {
        for (uint32_t i = 0; i + 1 < s->matcher_count; i++)
            if (view_is(s->matchers[i].name, LABEL_NAME))
                return parser_fail(p, e->span.start, "metric name must not be set twice: %s or %s",
                                   parser_quoted(p, s->name),
                                   parser_quoted(p, s->matchers[i].value));
        return true;
    }
    /* A typo must not select everything there is. */
    for (uint32_t i = 0; i < s->matcher_count; i++)
        if (!matcher_matches_empty(&s->matchers[i]))
            return true;
    return parser_fail(p, e->span.start,
                       "vector selector must contain at least one non-empty matcher");
}

static bool check_unary(struct parser *p, struct expr *e)
{
    struct expr *inner = e->u.unary.inner;
    if (!parser_check(p, inner))
        return false;
    if (inner->type != VALUE_SCALAR && inner->type != VALUE_VECTOR)
        return parser_fail(p, e->span.start,
                           "unary expression only allowed on expressions of type scalar or instant "
                           "vector, got \"%s\"",
                           value_type_name(inner->type));
    return true;
}

/* Recursion is bounded by PROMQL_HEIGHT_MAX. */
bool parser_check(struct parser *p, struct expr *e)
{
    switch (e->kind) {
    case EXPR_NUMBER:
    case EXPR_STRING:
    case EXPR_DURATION:
        return true;
    case EXPR_SELECTOR:
        return check_selector(p, e);
    case EXPR_MATRIX:
        return check_selector(p, e->u.matrix.selector);
    case EXPR_SUBQUERY:
        if (!parser_check(p, e->u.subquery.inner))
            return false;
        if (e->u.subquery.inner->type != VALUE_VECTOR)
            return parser_fail(p, e->span.start,
                               "subquery is only allowed on instant vector, got %s instead",
                               value_type_json(e->u.subquery.inner->type));
        return true;
    case EXPR_CALL:
        return check_call(p, e);
    case EXPR_UNARY:
        return check_unary(p, e);
    case EXPR_BINARY:
        return check_binary(p, e);
    case EXPR_AGGREGATE:
        return check_aggregate(p, e);
    case EXPR_PAREN:
        return parser_check(p, e->u.paren);
    }
    UNREACHABLE();
}
