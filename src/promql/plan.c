/* SPDX-License-Identifier: Apache-2.0 */
/* plan.c: walks the tree once and opens operators from the leaves up.
 *
 * What does not depend on the step (@, literals) is opened on a grid of one step and repeated. Aggregations that
 * are written twice with the same meaning on the same grid are opened once: their results are bounded by their
 * groups. */
#include "promql/plan.h"

#include "base/assert.h"
#include "promql/aggregate.h"
#include "promql/binary.h"
#include "promql/duration_expr.h"
#include "promql/instant_functions.h"
#include "promql/match.h"
#include "promql/operator_function.h"
#include "promql/operator_map.h"
#include "promql/operator_scan.h"

#include <math.h>

/* --- what an expression is --- */

const struct expr *expr_unwrap(const struct expr *x)
{
    while (x->kind == EXPR_PAREN)
        x = x->u.paren;
    return x;
}

/* Functions that look at the evaluation time, whatever their argument. */
static bool function_uses_time(enum function_id id)
{
    switch (id) {
    case FUNCTION_DAYS_IN_MONTH:
    case FUNCTION_DAY_OF_MONTH:
    case FUNCTION_DAY_OF_WEEK:
    case FUNCTION_DAY_OF_YEAR:
    case FUNCTION_HOUR:
    case FUNCTION_MINUTE:
    case FUNCTION_MONTH:
    case FUNCTION_YEAR:
    case FUNCTION_PREDICT_LINEAR:
    case FUNCTION_TIME:
    case FUNCTION_TIMESTAMP:
        return true;
    default:
        return false;
    }
}

bool expr_is_step_invariant(const struct expr *x)
{
    switch (x->kind) {
    case EXPR_NUMBER:
    case EXPR_STRING:
    case EXPR_DURATION:
        return true;
    case EXPR_SELECTOR:
        return x->u.selector.time.at != AT_NONE;
    case EXPR_MATRIX:
        return expr_is_step_invariant(x->u.matrix.selector);
    case EXPR_SUBQUERY:
        return x->u.subquery.time.at != AT_NONE;
    case EXPR_CALL:
        if (function_uses_time(x->u.call.function->id))
            return false;
        for (uint32_t i = 0; i < x->u.call.arg_count; i++)
            if (!expr_is_step_invariant(x->u.call.args[i]))
                return false;
        return true;
    case EXPR_UNARY:
        return expr_is_step_invariant(x->u.unary.inner);
    case EXPR_BINARY:
        return expr_is_step_invariant(x->u.binary.left) &&
               expr_is_step_invariant(x->u.binary.right);
    case EXPR_AGGREGATE:
        return expr_is_step_invariant(x->u.aggregate.inner) &&
               (!x->u.aggregate.param || expr_is_step_invariant(x->u.aggregate.param));
    case EXPR_PAREN:
        return expr_is_step_invariant(x->u.paren);
    }
    UNREACHABLE();
}

/* --- times --- */

static bool duration_value(struct eval *e, const struct duration_expr *x, int64_t constant_ms,
                           bool allow_negative, int64_t *out, struct error *err)
{
    *out = constant_ms;
    return !x || duration_expr_eval(x, e->grid.start_ms, e->end_ms,
                                    e->instant ? 0 : e->grid.step_ms, allow_negative, out, err);
}

bool plan_range_ms(struct eval *e, const struct duration_expr *x, int64_t constant_ms, int64_t *out,
                   struct error *err)
{
    return duration_value(e, x, constant_ms, false, out, err);
}

bool plan_frame(struct eval *e, const struct time_modifier *time, int64_t range_ms,
                const struct grid *grid, struct window_frame *out, struct error *err)
{
    *out = (struct window_frame){.grid = *grid, .range_ms = range_ms, .fixed = time->at != AT_NONE};
    switch (time->at) {
    case AT_NONE:
        break;
    case AT_TIME:
        out->at_ms = time->at_ms;
        break;
    case AT_START:
        out->at_ms = e->grid.start_ms;
        break;
    case AT_END:
        out->at_ms = e->end_ms;
        break;
    }
    if (!duration_value(e, time->offset_expr, time->offset_ms, true, &out->offset_ms, err))
        return false;
    /* Beyond this, sums of times could overflow: some 40 million years. */
    const int64_t limit = INT64_MAX / 8;
    int64_t end = 0, last = 0;
    if (out->offset_ms > limit || out->offset_ms < -limit || out->range_ms > limit ||
        out->at_ms > limit || out->at_ms < -limit || grid->start_ms > limit ||
        grid->start_ms < -limit || __builtin_sub_overflow(frame_end(out, 0), out->range_ms, &end) ||
        __builtin_mul_overflow((int64_t)grid->steps, grid->step_ms, &last) || last > limit)
        return error_set(err, ERROR_EXECUTION, "time range of the query is out of bounds");
    return true;
}

/* Rounds towards minus infinity, as the grid has no middle. */
static int64_t floor_to(int64_t t, int64_t step)
{
    int64_t q = t / step;
    if (t % step < 0)
        q--;
    return q * step;
}

bool plan_subquery_grid(struct eval *e, const struct expr *x, const struct window_frame *frame,
                        struct grid *out, struct error *err)
{
    int64_t step = 0;
    if (!duration_value(e, x->u.subquery.step_expr, x->u.subquery.step_ms, false, &step, err))
        return false;
    if (step <= 0)
        step = e->subquery_step_ms;
    int64_t after = frame_end(frame, 0) - frame->range_ms;
    int64_t first = floor_to(after, step) + step;
    int64_t last = frame_end(frame, frame->grid.steps - 1);
    *out = (struct grid){.start_ms = first, .step_ms = step};
    if (first > last)
        return true;
    int64_t steps = (last - first) / step + 1;
    if (steps > e->samples_max || steps > INT32_MAX)
        return error_set(
            err, ERROR_LIMIT,
            "query processing would load too many samples into memory in query execution");
    out->steps = (uint32_t)steps;
    return true;
}

bool plan_range_frame(struct eval *e, const struct expr *x, const struct grid *grid,
                      struct window_frame *out, struct error *err)
{
    int64_t range_ms = 0;
    if (x->kind == EXPR_MATRIX)
        return plan_range_ms(e, x->u.matrix.range_expr, x->u.matrix.range_ms, &range_ms, err) &&
               plan_frame(e, &x->u.matrix.selector->u.selector.time, range_ms, grid, out, err);
    ASSERT(x->kind == EXPR_SUBQUERY);
    return plan_range_ms(e, x->u.subquery.range_expr, x->u.subquery.range_ms, &range_ms, err) &&
           plan_frame(e, &x->u.subquery.time, range_ms, grid, out, err);
}

/* The first selector as it is written; NULL when there is none. */
static const struct selector *first_selector(const struct expr *x)
{
    const struct selector *found = NULL;
    switch (x->kind) {
    case EXPR_SELECTOR:
        return &x->u.selector;
    case EXPR_MATRIX:
        return first_selector(x->u.matrix.selector);
    case EXPR_SUBQUERY:
        return first_selector(x->u.subquery.inner);
    case EXPR_CALL:
        for (uint32_t i = 0; !found && i < x->u.call.arg_count; i++)
            found = first_selector(x->u.call.args[i]);
        return found;
    case EXPR_UNARY:
        return first_selector(x->u.unary.inner);
    case EXPR_BINARY:
        found = first_selector(x->u.binary.left);
        return found ? found : first_selector(x->u.binary.right);
    case EXPR_AGGREGATE:
        return first_selector(x->u.aggregate.inner);
    case EXPR_PAREN:
        return first_selector(x->u.paren);
    default:
        return NULL;
    }
}

bool plan_info_frame(struct eval *e, const struct expr *call, const struct grid *grid,
                     struct window_frame *out, struct error *err)
{
    static const struct time_modifier NOW = {0};
    const struct selector *s = first_selector(call->u.call.args[0]);
    return plan_frame(e, s ? &s->time : &NOW, e->lookback_ms, grid, out, err);
}

static void bounds_add(int64_t *mint, int64_t *maxt, int64_t from, int64_t to)
{
    *mint = from < *mint ? from : *mint;
    *maxt = to > *maxt ? to : *maxt;
}

static bool subquery_bounds(struct eval *e, const struct expr *x, const struct grid *grid,
                            int64_t *mint, int64_t *maxt, struct error *err)
{
    struct window_frame frame;
    struct grid inner;
    if (!plan_range_frame(e, x, grid, &frame, err) ||
        !plan_subquery_grid(e, x, &frame, &inner, err))
        return false;
    return inner.steps == 0 || plan_time_bounds(e, x->u.subquery.inner, &inner, mint, maxt, err);
}

bool plan_time_bounds(struct eval *e, const struct expr *x, const struct grid *grid, int64_t *mint,
                      int64_t *maxt, struct error *err)
{
    struct window_frame frame;
    switch (x->kind) {
    case EXPR_NUMBER:
    case EXPR_STRING:
    case EXPR_DURATION:
        return true;
    case EXPR_SELECTOR:
        if (!plan_frame(e, &x->u.selector.time, e->lookback_ms, grid, &frame, err))
            return false;
        bounds_add(mint, maxt, frame_mint(&frame),
                   frame_maxt(&frame) + (x->u.selector.smoothed ? e->lookback_ms : 0));
        return true;
    case EXPR_MATRIX:
        if (!plan_range_frame(e, x, grid, &frame, err))
            return false;
        /* Extended selectors look a lookback further on both sides. */
        bounds_add(mint, maxt, frame_mint(&frame) - e->lookback_ms,
                   frame_maxt(&frame) + e->lookback_ms);
        return true;
    case EXPR_SUBQUERY:
        return subquery_bounds(e, x, grid, mint, maxt, err);
    case EXPR_CALL:
        for (uint32_t i = 0; i < x->u.call.arg_count; i++)
            if (!plan_time_bounds(e, x->u.call.args[i], grid, mint, maxt, err))
                return false;
        if (x->u.call.function->id == FUNCTION_INFO) {
            if (!plan_info_frame(e, x, grid, &frame, err))
                return false;
            bounds_add(mint, maxt, frame_mint(&frame), frame_maxt(&frame));
        }
        return true;
    case EXPR_UNARY:
        return plan_time_bounds(e, x->u.unary.inner, grid, mint, maxt, err);
    case EXPR_BINARY:
        return plan_time_bounds(e, x->u.binary.left, grid, mint, maxt, err) &&
               plan_time_bounds(e, x->u.binary.right, grid, mint, maxt, err);
    case EXPR_AGGREGATE:
        return plan_time_bounds(e, x->u.aggregate.inner, grid, mint, maxt, err) &&
               (!x->u.aggregate.param ||
                plan_time_bounds(e, x->u.aggregate.param, grid, mint, maxt, err));
    case EXPR_PAREN:
        return plan_time_bounds(e, x->u.paren, grid, mint, maxt, err);
    }
    UNREACHABLE();
}

/* --- leaves --- */

struct operation *plan_range_call(struct eval *e, const struct expr *range, const struct grid *grid,
                                  struct window_call *call, struct error *err)
{
    struct window_frame frame;
    range = expr_unwrap(range);
    if (!plan_range_frame(e, range, grid, &frame, err))
        return NULL;
    if (range->kind == EXPR_MATRIX) {
        const struct selector *s = &range->u.matrix.selector->u.selector;
        call->extended = s->anchored || s->smoothed;
        call->smoothed = s->smoothed;
        call->lookback_ms = e->lookback_ms;
        return operator_scan(e, s, range->span, &frame, call, err);
    }
    struct grid inner_grid;
    if (!plan_subquery_grid(e, range, &frame, &inner_grid, err))
        return NULL;
    if (inner_grid.steps == 0)
        return operator_empty(e, grid);
    enum sample_counting counting = e->counting;
    e->counting = COUNT_NOT;
    struct operation *inner = plan_vector(e, range->u.subquery.inner, &inner_grid, err);
    e->counting = counting;
    return inner ? operator_subquery(inner, range->span, &frame, call) : NULL;
}

static struct operation *plan_selector(struct eval *e, const struct expr *x,
                                       const struct grid *grid, struct error *err)
{
    struct window_frame frame;
    bool smoothed = x->u.selector.smoothed;
    struct window_call call = {.kind = smoothed ? WINDOW_SMOOTHED : WINDOW_LAST,
                               .smoothed = smoothed,
                               .lookback_ms = e->lookback_ms};
    if (!plan_frame(e, &x->u.selector.time, e->lookback_ms, grid, &frame, err))
        return NULL;
    return operator_scan(e, &x->u.selector, x->span, &frame, &call, err);
}

/* --- binary --- */

static struct operation *plan_vector_scalar(struct eval *e, const struct expr *x,
                                            const struct grid *grid, struct error *err)
{
    bool scalar_left = x->u.binary.left->type == VALUE_SCALAR;
    const struct expr *vector = scalar_left ? x->u.binary.right : x->u.binary.left;
    const struct expr *scalar = scalar_left ? x->u.binary.left : x->u.binary.right;
    struct map_call call = {.kind = MAP_BINARY,
                            .binary = x->u.binary.op,
                            .return_bool = x->u.binary.return_bool,
                            .scalar_left = scalar_left,
                            .scalar = plan_scalar(e, scalar, grid, err)};
    if (!call.scalar)
        return NULL;
    if (call.binary == OP_TRIM_LOWER || call.binary == OP_TRIM_UPPER)
        return operator_empty(e, grid); /* defined for native histograms only */
    struct operation *child = plan_vector(e, vector, grid, err);
    if (!child)
        return NULL;
    struct operation *out = operator_map(child, &call);
    bool drops = !binary_is_comparison(call.binary) || call.return_bool;
    return drops ? operator_drop_name(out, err) : out;
}

static struct operation *plan_binary(struct eval *e, const struct expr *x, const struct grid *grid,
                                     struct error *err)
{
    if (x->u.binary.left->type == VALUE_SCALAR || x->u.binary.right->type == VALUE_SCALAR)
        return plan_vector_scalar(e, x, grid, err);
    struct operation *left = plan_vector(e, x->u.binary.left, grid, err);
    struct operation *right = left ? plan_vector(e, x->u.binary.right, grid, err) : NULL;
    if (!right)
        return NULL;
    if (binary_is_set(x->u.binary.op))
        return operator_set(left, right, x, err);
    return operator_match(left, right, x, err);
}

/* --- aggregations, opened once --- */

struct shared_operators {
    struct shared_operators *next;
    struct view text;
    struct grid grid;
    struct operation *op;
};

static struct view printed(struct eval *e, const struct expr *x)
{
    struct buffer b;
    buffer_init(&b, MEM_QUERY, 4 * PROMQL_QUERY_BYTES_MAX);
    promql_print(&b, x);
    struct view text = b.failed ? (struct view){0} : arena_copy(e->arena, buffer_view(&b));
    buffer_deinit(&b);
    return text;
}

static struct operation *shared_find(struct eval *e, struct view text, const struct grid *grid)
{
    for (struct shared_operators *s = e->shared; s; s = s->next)
        if (text.len && view_eq(s->text, text) && s->grid.start_ms == grid->start_ms &&
            s->grid.step_ms == grid->step_ms && s->grid.steps == grid->steps && s->op->users > 0)
            return s->op;
    return NULL;
}

static void shared_add(struct eval *e, struct view text, const struct grid *grid,
                       struct operation *op)
{
    struct shared_operators *s = ARENA_NEW(e->arena, struct shared_operators);
    *s = (struct shared_operators){e->shared, text, *grid, op};
    e->shared = s;
}

static struct operation *plan_aggregate(struct eval *e, const struct expr *x,
                                        const struct grid *grid, struct error *err)
{
    struct view text = printed(e, x);
    struct operation *found = shared_find(e, text, grid);
    if (found) {
        found->users++;
        return found;
    }
    const double *param = NULL;
    if (x->u.aggregate.param && x->u.aggregate.param->type == VALUE_SCALAR) {
        param = plan_scalar(e, x->u.aggregate.param, grid, err);
        if (!param)
            return NULL;
    }
    struct operation *child = plan_vector(e, x->u.aggregate.inner, grid, err);
    struct operation *op = child ? operator_aggregate(child, x, param, err) : NULL;
    if (op)
        shared_add(e, text, grid, op);
    return op;
}

/* --- vectors --- */

static struct operation *plan_unary(struct eval *e, const struct expr *x, const struct grid *grid,
                                    struct error *err)
{
    struct operation *child = plan_vector(e, x->u.unary.inner, grid, err);
    if (!child || !x->u.unary.negative)
        return child;
    return operator_drop_name(operator_map(child, &(struct map_call){.kind = MAP_NEGATE}), err);
}

static struct operation *open_vector(struct eval *e, const struct expr *x, const struct grid *grid,
                                     struct error *err)
{
    if (!eval_check(e, err) || !eval_check_memory(e, err))
        return NULL;
    if (x->type == VALUE_SCALAR) { /* a subquery takes scalars too: time()[5m:1m] */
        const double *values = plan_scalar(e, x, grid, err);
        return values ? operator_scalar_vector(e, grid, values) : NULL;
    }
    if (grid->steps > 1 && expr_is_step_invariant(x)) {
        struct grid one = {.start_ms = grid->start_ms, .step_ms = grid->step_ms, .steps = 1};
        enum sample_counting counting = e->counting;
        if (counting == COUNT_AT_STEPS)
            e->counting = COUNT_AT_ALL;
        struct operation *child = open_vector(e, x, &one, err);
        e->counting = counting;
        return child ? operator_broadcast(child, grid, err) : NULL;
    }
    switch (x->kind) {
    case EXPR_SELECTOR:
        return plan_selector(e, x, grid, err);
    case EXPR_CALL:
        return plan_call(e, x, grid, err);
    case EXPR_UNARY:
        return plan_unary(e, x, grid, err);
    case EXPR_BINARY:
        return plan_binary(e, x, grid, err);
    case EXPR_AGGREGATE:
        return plan_aggregate(e, x, grid, err);
    case EXPR_NUMBER:
    case EXPR_STRING:
    case EXPR_MATRIX:
    case EXPR_SUBQUERY:
    case EXPR_PAREN:
    case EXPR_DURATION:
        break;
    }
    UNREACHABLE(); /* the type check lets no other kind be a vector */
}

struct operation *plan_vector(struct eval *e, const struct expr *x, const struct grid *grid,
                              struct error *err)
{
    x = expr_unwrap(x);
    struct plan_node *node = plan_tree_find(e->plan, x);
    if (LIKELY(!node))
        return open_vector(e, x, grid, err);
    mono_time began = clock_mono();
    struct operation *op = open_vector(e, x, grid, err);
    node->open_ns += clock_mono().ns - began.ns;
    if (op)
        plan_node_opened(node, op);
    return op;
}

/* --- scalars --- */

static const double *scalar_fill(struct eval *e, const struct grid *grid, double v)
{
    double *out = ARENA_ARRAY(e->arena, double, grid->steps);
    for (uint32_t s = 0; s < grid->steps; s++)
        out[s] = v;
    return out;
}

static const double *scalar_call(struct eval *e, const struct expr *x, const struct grid *grid,
                                 struct error *err)
{
    switch (x->u.call.function->id) {
    case FUNCTION_PI:
        return scalar_fill(e, grid, M_PI);
    case FUNCTION_START:
        return scalar_fill(e, grid, (double)e->grid.start_ms / 1000);
    case FUNCTION_END:
        return scalar_fill(e, grid, (double)e->end_ms / 1000);
    case FUNCTION_STEP:
        return scalar_fill(e, grid, e->instant ? 0 : (double)e->grid.step_ms / 1000);
    case FUNCTION_RANGE:
        return scalar_fill(e, grid, (double)(e->end_ms - e->grid.start_ms) / 1000);
    case FUNCTION_TIME: {
        double *out = ARENA_ARRAY(e->arena, double, grid->steps);
        for (uint32_t s = 0; s < grid->steps; s++)
            out[s] = (double)grid_time(grid, s) / 1000;
        return out;
    }
    case FUNCTION_MIN_OF:
    case FUNCTION_MAX_OF: {
        const double *a = plan_scalar(e, x->u.call.args[0], grid, err);
        const double *b = a ? plan_scalar(e, x->u.call.args[1], grid, err) : NULL;
        if (!b)
            return NULL;
        double *out = ARENA_ARRAY(e->arena, double, grid->steps);
        bool min = x->u.call.function->id == FUNCTION_MIN_OF;
        for (uint32_t s = 0; s < grid->steps; s++)
            out[s] = min ? number_min(a[s], b[s]) : number_max(a[s], b[s]);
        return out;
    }
    case FUNCTION_SCALAR: {
        struct operation *child = plan_vector(e, x->u.call.args[0], grid, err);
        return child ? vector_to_scalar(child, err) : NULL;
    }
    default:
        break;
    }
    UNREACHABLE(); /* functions_list.h has no other that gives a scalar */
}

static const double *open_scalar(struct eval *e, const struct expr *x, const struct grid *grid,
                                 struct error *err)
{
    if (x->kind == EXPR_NUMBER)
        return scalar_fill(e, grid, x->u.number.value);
    if (x->kind == EXPR_CALL)
        return scalar_call(e, x, grid, err);
    double *out = ARENA_ARRAY(e->arena, double, grid->steps);
    if (x->kind == EXPR_UNARY) {
        const double *inner = plan_scalar(e, x->u.unary.inner, grid, err);
        if (!inner)
            return NULL;
        for (uint32_t s = 0; s < grid->steps; s++)
            out[s] = x->u.unary.negative ? -inner[s] : inner[s];
        return out;
    }
    ASSERT(x->kind == EXPR_BINARY);
    const double *left = plan_scalar(e, x->u.binary.left, grid, err);
    const double *right = left ? plan_scalar(e, x->u.binary.right, grid, err) : NULL;
    if (!right)
        return NULL;
    binary_apply(x->u.binary.op, left, right, grid->steps, out);
    return out;
}

const double *plan_scalar(struct eval *e, const struct expr *x, const struct grid *grid,
                          struct error *err)
{
    x = expr_unwrap(x);
    struct plan_node *node = plan_tree_find(e->plan, x);
    if (LIKELY(!node))
        return open_scalar(e, x, grid, err);
    mono_time began = clock_mono();
    const double *out = open_scalar(e, x, grid, err);
    node->open_ns += clock_mono().ns - began.ns;
    node->ran = true;
    return out;
}
