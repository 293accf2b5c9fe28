/* SPDX-License-Identifier: Apache-2.0 */
/* tree_compare.c: see tree_compare.h. */
#include "tree_compare.h"

#include <string.h>

static bool same_double(double a, double b)
{
    return memcmp(&a, &b, sizeof a) == 0 || (a != a && b != b);
}

static bool same_duration(const struct duration_expr *a, const struct duration_expr *b)
{
    if (!a || !b)
        return a == b;
    return a->op == b->op && same_double(a->seconds, b->seconds) &&
           a->is_duration_text == b->is_duration_text && same_duration(a->left, b->left) &&
           same_duration(a->right, b->right);
}

static bool same_time(const struct time_modifier *a, const struct time_modifier *b)
{
    return a->offset_ms == b->offset_ms && same_duration(a->offset_expr, b->offset_expr) &&
           a->at == b->at && a->at_ms == b->at_ms;
}

static bool same_views(const struct view *a, uint32_t a_count, const struct view *b,
                       uint32_t b_count)
{
    if (a_count != b_count)
        return false;
    for (uint32_t i = 0; i < a_count; i++)
        if (!view_eq(a[i], b[i]))
            return false;
    return true;
}

static size_t count_matcher(const struct selector *s, const struct matcher *m)
{
    size_t count = 0;
    for (uint32_t i = 0; i < s->matcher_count; i++)
        count += s->matchers[i].type == m->type && view_eq(s->matchers[i].name, m->name) &&
                 view_eq(s->matchers[i].value, m->value);
    return count;
}

static bool same_selector(const struct selector *a, const struct selector *b)
{
    if (!view_eq(a->name, b->name) || a->matcher_count != b->matcher_count ||
        !same_time(&a->time, &b->time) || a->anchored != b->anchored || a->smoothed != b->smoothed)
        return false;
    for (uint32_t i = 0; i < a->matcher_count; i++)
        if (count_matcher(a, &a->matchers[i]) != count_matcher(b, &a->matchers[i]))
            return false;
    return true;
}

static bool same_matching(const struct vector_matching *a, const struct vector_matching *b)
{
    if (!a || !b)
        return a == b;
    return a->card == b->card && a->on == b->on &&
           same_views(a->labels, a->label_count, b->labels, b->label_count) &&
           same_views(a->include, a->include_count, b->include, b->include_count) &&
           a->has_fill_left == b->has_fill_left && a->has_fill_right == b->has_fill_right &&
           same_double(a->fill_left, b->fill_left) && same_double(a->fill_right, b->fill_right);
}

static bool same_subquery(const struct expr *a, const struct expr *b)
{
    return tree_equal(a->u.subquery.inner, b->u.subquery.inner) &&
           a->u.subquery.range_ms == b->u.subquery.range_ms &&
           a->u.subquery.step_ms == b->u.subquery.step_ms &&
           same_duration(a->u.subquery.range_expr, b->u.subquery.range_expr) &&
           same_duration(a->u.subquery.step_expr, b->u.subquery.step_expr) &&
           same_time(&a->u.subquery.time, &b->u.subquery.time);
}

static bool same_call(const struct expr *a, const struct expr *b)
{
    if (a->u.call.function != b->u.call.function || a->u.call.arg_count != b->u.call.arg_count)
        return false;
    for (uint32_t i = 0; i < a->u.call.arg_count; i++)
        if (!tree_equal(a->u.call.args[i], b->u.call.args[i]))
            return false;
    return true;
}

bool tree_equal(const struct expr *a, const struct expr *b)
{
    if (!a || !b)
        return a == b;
    if (a->kind != b->kind || a->type != b->type || a->height != b->height)
        return false;
    switch (a->kind) {
    case EXPR_NUMBER:
        return same_double(a->u.number.value, b->u.number.value) &&
               a->u.number.is_duration == b->u.number.is_duration;
    case EXPR_STRING:
        return view_eq(a->u.string, b->u.string);
    case EXPR_SELECTOR:
        return same_selector(&a->u.selector, &b->u.selector);
    case EXPR_MATRIX:
        return tree_equal(a->u.matrix.selector, b->u.matrix.selector) &&
               a->u.matrix.range_ms == b->u.matrix.range_ms &&
               same_duration(a->u.matrix.range_expr, b->u.matrix.range_expr);
    case EXPR_SUBQUERY:
        return same_subquery(a, b);
    case EXPR_CALL:
        return same_call(a, b);
    case EXPR_UNARY:
        return a->u.unary.negative == b->u.unary.negative &&
               tree_equal(a->u.unary.inner, b->u.unary.inner);
    case EXPR_BINARY:
        return a->u.binary.op == b->u.binary.op &&
               a->u.binary.return_bool == b->u.binary.return_bool &&
               tree_equal(a->u.binary.left, b->u.binary.left) &&
               tree_equal(a->u.binary.right, b->u.binary.right) &&
               same_matching(a->u.binary.matching, b->u.binary.matching);
    case EXPR_AGGREGATE:
        return a->u.aggregate.op == b->u.aggregate.op &&
               a->u.aggregate.without == b->u.aggregate.without &&
               tree_equal(a->u.aggregate.inner, b->u.aggregate.inner) &&
               tree_equal(a->u.aggregate.param, b->u.aggregate.param) &&
               same_views(a->u.aggregate.labels, a->u.aggregate.label_count, b->u.aggregate.labels,
                          b->u.aggregate.label_count);
    case EXPR_PAREN:
        return tree_equal(a->u.paren, b->u.paren);
    case EXPR_DURATION:
        return true;
    }
    return false;
}
