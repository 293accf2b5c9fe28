/* SPDX-License-Identifier: Apache-2.0 */
/* plan.h: from the tree to opened operators. Query thread only. */
#ifndef BELFRY_PROMQL_PLAN_H
#define BELFRY_PROMQL_PLAN_H

#include "promql/operator.h"
#include "promql/window.h"

/* An instant vector on `grid`. NULL on error. What it opens may already have been evaluated (operator.h). */
struct operation *plan_vector(struct eval *e, const struct expr *x, const struct grid *grid,
                              struct error *err);
/* A scalar: one value per step, in the arena. NULL on error. */
const double *plan_scalar(struct eval *e, const struct expr *x, const struct grid *grid,
                          struct error *err);
/* A call that gives a vector (plan_call.c). */
struct operation *plan_call(struct eval *e, const struct expr *x, const struct grid *grid,
                            struct error *err);

/* Without parentheses around. */
const struct expr *expr_unwrap(const struct expr *x);
/* Same value at every step: nothing in it depends on the evaluation time. */
bool expr_is_step_invariant(const struct expr *x);

/* Ranges, steps and modifiers with duration expressions worked out. */
MUST_USE bool plan_range_ms(struct eval *e, const struct duration_expr *x, int64_t constant_ms,
                            int64_t *out, struct error *err);
MUST_USE bool plan_frame(struct eval *e, const struct time_modifier *time, int64_t range_ms,
                         const struct grid *grid, struct window_frame *out, struct error *err);
/* The steps that a subquery evaluates for `frame`, on the absolute grid of its step. steps is 0 when none
 * falls into any window. */
MUST_USE bool plan_subquery_grid(struct eval *e, const struct expr *x,
                                 const struct window_frame *frame, struct grid *out,
                                 struct error *err);
/* The frame of a range vector argument: EXPR_MATRIX or EXPR_SUBQUERY. */
MUST_USE bool plan_range_frame(struct eval *e, const struct expr *x, const struct grid *grid,
                               struct window_frame *out, struct error *err);
/* Where info() looks for info series: at the time of the first selector in its argument. */
MUST_USE bool plan_info_frame(struct eval *e, const struct expr *call, const struct grid *grid,
                              struct window_frame *out, struct error *err);
/* A function over a range vector argument, on `grid`; labels keep their names. NULL on error. */
struct operation *plan_range_call(struct eval *e, const struct expr *range, const struct grid *grid,
                                  struct window_call *call, struct error *err);
/* All times that evaluating x on `grid` may read. */
MUST_USE bool plan_time_bounds(struct eval *e, const struct expr *x, const struct grid *grid,
                               int64_t *mint, int64_t *maxt, struct error *err);

#endif
