/* SPDX-License-Identifier: Apache-2.0 */
/* explain.h: the plan of a query as a tree, and what each part of it did. A node is an expression (parentheses left
 * out); a range selector is one node with the function over it, and a child that says what was read. */
#ifndef BELFRY_PROMQL_EXPLAIN_H
#define BELFRY_PROMQL_EXPLAIN_H

#include "base/attributes.h"
#include "base/error.h"
#include "base/view.h"
#include "promql/ast.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct plan_node {
    const char *name;         /* static: "select", "aggregate", ... */
    struct view detail;       /* "rate", "sum by (job)", "* on (x) group_left"; "" */
    struct span span;         /* of the query's text */
    uint32_t steps;           /* that it is evaluated at */
    bool once;                /* nothing in it depends on the step: evaluated once for all */
    int64_t estimated_series; /* of selectors, from the index; -1 = not asked */
    struct plan_node **children;
    uint32_t child_count;

    /* What happened; all 0 when the query did not run. Times include those of the children. */
    const struct plan_node
        *same_as; /* that node's operator was taken: equal aggregations, unary plus */
    bool ran;
    bool gave_batches; /* an operator of its own: points and bytes mean something */
    int64_t series;    /* query thread; -1 = it has none: scalars */
    int64_t
        open_ns; /* query thread: planning it, and what has to be whole before a batch is given */
    _Atomic int64_t batch_ns;     /* relaxed, as the rest: all workers together */
    _Atomic int64_t samples_read; /* of selectors: as query_stats.samples_read */
    _Atomic int64_t points;       /* values given on */
    _Atomic int64_t bytes;        /* of these batches */
};

struct eval;
struct plan_tree;
struct operation;

/* The tree of `x`; estimates are made from e->view when `estimate`. In the arena of the evaluation. NULL on error. */
struct plan_tree *plan_tree_new(struct eval *e, const struct expr *x, bool estimate,
                                struct error *err);
const struct plan_node *plan_tree_root(const struct plan_tree *t);
/* The node of an expression, or of a selector inside one (by its address). NULL when there is none, or no tree. */
struct plan_node *plan_tree_find(const struct plan_tree *t, const void *key);
/* `op` is what evaluates the node: its batches are counted from now on. */
void plan_node_opened(struct plan_node *node, struct operation *op);

#endif
