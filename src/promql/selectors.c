/* SPDX-License-Identifier: Apache-2.0 */
/* selectors.c: see selectors.h. Recursion is as deep as the tree is high: PROMQL_HEIGHT_MAX. */
#include "promql/selectors.h"

void promql_each_selector(const struct expr *e, void (*visit)(void *arg, const struct selector *s),
                          void *arg)
{
    if (!e)
        return;
    switch (e->kind) {
    case EXPR_SELECTOR:
        visit(arg, &e->u.selector);
        break;
    case EXPR_MATRIX:
        promql_each_selector(e->u.matrix.selector, visit, arg);
        break;
    case EXPR_SUBQUERY:
        promql_each_selector(e->u.subquery.inner, visit, arg);
        break;
    case EXPR_CALL:
        for (uint32_t i = 0; i < e->u.call.arg_count; i++)
            promql_each_selector(e->u.call.args[i], visit, arg);
        break;
    case EXPR_UNARY:
        promql_each_selector(e->u.unary.inner, visit, arg);
        break;
    case EXPR_BINARY:
        promql_each_selector(e->u.binary.left, visit, arg);
        promql_each_selector(e->u.binary.right, visit, arg);
        break;
    case EXPR_AGGREGATE:
        promql_each_selector(e->u.aggregate.param, visit, arg);
        promql_each_selector(e->u.aggregate.inner, visit, arg);
        break;
    case EXPR_PAREN:
        promql_each_selector(e->u.paren, visit, arg);
        break;
    case EXPR_NUMBER:
    case EXPR_STRING:
    case EXPR_DURATION:
        break;
    }
}
