/* SPDX-License-Identifier: Apache-2.0 */
/* selectors.c: see selectors.h. Recursion is as deep as the tree is high: PROMQL_HEIGHT_MAX. */
#include "promql/selectors.h"

/* The parts of an expression, from left to right: idx 0, 1 ... until NULL. */
static const struct expr *part(const struct expr *e, uint32_t idx)
{
    switch (e->kind) {
    case EXPR_MATRIX:
        return idx == 0 ? e->u.matrix.selector : NULL;
    case EXPR_SUBQUERY:
        return idx == 0 ? e->u.subquery.inner : NULL;
    case EXPR_CALL:
        return idx < e->u.call.arg_count ? e->u.call.args[idx] : NULL;
    case EXPR_UNARY:
        return idx == 0 ? e->u.unary.inner : NULL;
    case EXPR_BINARY:
        return idx == 0 ? e->u.binary.left : idx == 1 ? e->u.binary.right : NULL;
    case EXPR_AGGREGATE:
        idx += e->u.aggregate.param == NULL;
        return idx == 0 ? e->u.aggregate.param : idx == 1 ? e->u.aggregate.inner : NULL;
    case EXPR_PAREN:
        return idx == 0 ? e->u.paren : NULL;
    case EXPR_SELECTOR:
    case EXPR_NUMBER:
    case EXPR_STRING:
    case EXPR_DURATION:
        break;
    }
    return NULL;
}

void promql_each_selector(const struct expr *e, void (*visit)(void *arg, const struct selector *s),
                          void *arg)
{
    const struct expr *inner;
    if (e->kind == EXPR_SELECTOR)
        visit(arg, &e->u.selector);
    for (uint32_t i = 0; (inner = part(e, i)) != NULL; i++)
        promql_each_selector(inner, visit, arg);
}

/* What a time modifier adds. */
static int64_t time_reach(const struct time_modifier *t)
{
    if (t->offset_expr || t->at == AT_TIME)
        return PROMQL_REACH_MAX;
    return t->offset_ms > 0 ? t->offset_ms : 0;
}

static int64_t reach_add(int64_t a, int64_t b)
{
    return a > PROMQL_REACH_MAX - b ? PROMQL_REACH_MAX : a + b;
}

int64_t promql_reach_ms(const struct expr *e, int64_t lookback_ms)
{
    const struct expr *inner;
    int64_t own = 0, most = 0;
    if (e->kind == EXPR_SELECTOR)
        own = reach_add(time_reach(&e->u.selector.time), lookback_ms);
    else if (e->kind == EXPR_MATRIX)
        own = e->u.matrix.range_expr ? PROMQL_REACH_MAX : e->u.matrix.range_ms;
    else if (e->kind == EXPR_SUBQUERY)
        own = e->u.subquery.range_expr
                  ? PROMQL_REACH_MAX
                  : reach_add(e->u.subquery.range_ms, time_reach(&e->u.subquery.time));
    for (uint32_t i = 0; (inner = part(e, i)) != NULL; i++) {
        int64_t reach = promql_reach_ms(inner, lookback_ms);
        most = reach > most ? reach : most;
    }
    return reach_add(own, most);
}

static bool time_depends(const struct time_modifier *t)
{
    return t->offset_expr || t->at == AT_START || t->at == AT_END;
}

bool promql_depends_on_range(const struct expr *e)
{
    const struct expr *inner;
    bool depends = false;
    if (e->kind == EXPR_SELECTOR)
        depends = time_depends(&e->u.selector.time);
    else if (e->kind == EXPR_MATRIX)
        depends = e->u.matrix.range_expr != NULL;
    else if (e->kind == EXPR_SUBQUERY)
        depends = e->u.subquery.range_expr || e->u.subquery.step_expr ||
                  time_depends(&e->u.subquery.time);
    else
        depends = e->kind == EXPR_DURATION;
    for (uint32_t i = 0; !depends && (inner = part(e, i)) != NULL; i++)
        depends = promql_depends_on_range(inner);
    return depends;
}
