/* SPDX-License-Identifier: Apache-2.0 */
/* plan_call.c: calls of functions that give vectors. */
#include "promql/plan.h"

#include "base/assert.h"
#include "promql/instant_functions.h"
#include "promql/operator_function.h"
#include "promql/operator_map.h"
#include "promql/operator_scan.h"
#include "promql/range_functions.h"

#include <math.h>

/* The scalar arguments of a call, in the order written; at most `max`. */
static bool scalar_args(struct eval *e, const struct expr *x, const struct grid *grid,
                        const double **out, uint32_t max, uint32_t *count, struct error *err)
{
    *count = 0;
    for (uint32_t i = 0; i < x->u.call.arg_count; i++) {
        if (x->u.call.args[i]->type != VALUE_SCALAR)
            continue;
        ASSERT(*count < max);
        out[*count] = plan_scalar(e, x->u.call.args[i], grid, err);
        if (!out[(*count)++])
            return false;
    }
    return true;
}

static const struct expr *arg_of_type(const struct expr *x, enum value_type type)
{
    for (uint32_t i = 0; i < x->u.call.arg_count; i++)
        if (x->u.call.args[i]->type == type)
            return x->u.call.args[i];
    return NULL;
}

/* --- range functions --- */

static void check_quantile(struct eval *e, const double *q, uint32_t steps, struct span where)
{
    for (uint32_t s = 0; s < steps; s++)
        if (!(q[s] >= 0 && q[s] <= 1)) {
            char text[64];
            eval_annotate(e, ANNOTATION_WARNING, where,
                          "quantile value should be between 0 and 1, got %s",
                          eval_number_text(q[s], text));
        }
}

/* What Prometheus says, in its order of names. */
static bool check_extended(const struct expr *x, const struct expr *range, struct error *err)
{
    if (range->kind != EXPR_MATRIX)
        return true;
    const struct selector *s = &range->u.matrix.selector->u.selector;
    enum function_id id = x->u.call.function->id;
    if (s->anchored && !range_function_allows_anchored(id))
        return error_set(err, ERROR_EXECUTION,
                         "anchored modifier can only be used with: changes, delta, increase, rate, "
                         "resets - not with %s",
                         x->u.call.function->name);
    if (s->smoothed && !range_function_allows_smoothed(id))
        return error_set(
            err, ERROR_EXECUTION,
            "smoothed modifier can only be used with: delta, increase, rate - not with %s",
            x->u.call.function->name);
    return true;
}

static struct operation *plan_range_function(struct eval *e, const struct expr *x,
                                             const struct grid *grid, struct error *err)
{
    enum function_id id = x->u.call.function->id;
    const struct expr *range = expr_unwrap(arg_of_type(x, VALUE_MATRIX));
    const double **params = ARENA_ARRAY(e->arena, const double *, 4);
    struct window_call call = {.kind = WINDOW_FUNCTION, .function = id, .params = params};
    if (!check_extended(x, range, err) ||
        !scalar_args(e, x, grid, params, 4, &call.param_count, err))
        return NULL;
    if (id == FUNCTION_QUANTILE_OVER_TIME)
        check_quantile(e, params[0], grid->steps, x->u.call.args[0]->span);
    struct operation *op = plan_range_call(e, range, grid, &call, err);
    if (!op || id == FUNCTION_LAST_OVER_TIME || id == FUNCTION_FIRST_OVER_TIME)
        return op; /* these two give samples of the series itself */
    return operator_drop_name(op, err);
}

static struct operation *plan_absent(struct eval *e, const struct expr *x, const struct grid *grid,
                                     struct error *err)
{
    const struct expr *argument = expr_unwrap(x->u.call.args[0]);
    struct window_call call = {.kind = WINDOW_PRESENT};
    struct operation *child = x->u.call.function->id == FUNCTION_ABSENT
                                  ? plan_vector(e, argument, grid, err)
                                  : plan_range_call(e, argument, grid, &call, err);
    return child ? operator_absent(child, argument, err) : NULL;
}

/* --- functions of values --- */

/* Date functions without an argument look at the evaluation time. */
static struct operation *vector_of_time(struct eval *e, const struct grid *grid)
{
    double *times = ARENA_ARRAY(e->arena, double, grid->steps);
    for (uint32_t s = 0; s < grid->steps; s++)
        times[s] = (double)grid_time(grid, s) / 1000;
    return operator_scalar_vector(e, grid, times);
}

static const double *constant(struct eval *e, const struct grid *grid, double v)
{
    double *out = ARENA_ARRAY(e->arena, double, grid->steps);
    for (uint32_t s = 0; s < grid->steps; s++)
        out[s] = v;
    return out;
}

static struct operation *plan_instant_function(struct eval *e, const struct expr *x,
                                               const struct grid *grid, struct error *err)
{
    struct map_call call = {.kind = MAP_FUNCTION, .function = x->u.call.function->id};
    uint32_t count = 0;
    if (!scalar_args(e, x, grid, call.params, 2, &count, err))
        return NULL;
    if (call.function == FUNCTION_ROUND && count == 0)
        call.params[0] = constant(e, grid, 1);
    if (x->u.call.arg_count == 0)
        return operator_map(vector_of_time(e, grid), &call);
    struct operation *child = plan_vector(e, x->u.call.args[0], grid, err);
    return child ? operator_drop_name(operator_map(child, &call), err) : NULL;
}

/* timestamp() of a selector itself is the time of the sample, else the time of the step. */
static struct operation *plan_timestamp(struct eval *e, const struct expr *x,
                                        const struct grid *grid, struct error *err)
{
    const struct expr *argument = expr_unwrap(x->u.call.args[0]);
    struct operation *op;
    if (argument->kind == EXPR_SELECTOR) {
        struct window_frame frame;
        struct window_call call = {.kind = WINDOW_LAST_TIME};
        if (!plan_frame(e, &argument->u.selector.time, e->lookback_ms, grid, &frame, err))
            return NULL;
        op = operator_scan(e, &argument->u.selector, argument->span, &frame, &call, err);
    } else {
        op = plan_vector(e, argument, grid, err);
        if (op)
            op = operator_map(op, &(struct map_call){.kind = MAP_TIMESTAMP});
    }
    return op ? operator_drop_name(op, err) : NULL;
}

static struct operation *plan_histogram(struct eval *e, const struct expr *x,
                                        const struct grid *grid, struct error *err)
{
    enum function_id id = x->u.call.function->id;
    const double **params = ARENA_ARRAY(e->arena, const double *, (size_t)x->u.call.arg_count + 1);
    uint32_t count = 0;
    if (!scalar_args(e, x, grid, params, x->u.call.arg_count, &count, err))
        return NULL;
    if (id == FUNCTION_HISTOGRAM_QUANTILE)
        check_quantile(e, params[0], grid->steps, x->u.call.args[0]->span);
    for (uint32_t i = 0; id == FUNCTION_HISTOGRAM_QUANTILES && i < count; i++)
        check_quantile(e, params[i], grid->steps, x->u.call.args[2 + i]->span);
    struct operation *child = plan_vector(e, arg_of_type(x, VALUE_VECTOR), grid, err);
    if (!child)
        return NULL;
    struct view label = {0};
    if (id == FUNCTION_HISTOGRAM_QUANTILES)
        label = expr_unwrap(x->u.call.args[1])->u.string;
    return operator_histogram(child, x, params, id == FUNCTION_HISTOGRAM_QUANTILES ? count : 0,
                              label, err);
}

static struct operation *plan_info(struct eval *e, const struct expr *x, const struct grid *grid,
                                   struct error *err)
{
    struct window_frame frame;
    if (!plan_info_frame(e, x, grid, &frame, err))
        return NULL;
    struct operation *child = plan_vector(e, x->u.call.args[0], grid, err);
    return child ? operator_info(child, x, &frame, err) : NULL;
}

/* Functions of native histograms see no float. */
static struct operation *plan_native_only(struct eval *e, const struct expr *x,
                                          const struct grid *grid, struct error *err)
{
    struct operation *child = plan_vector(e, x->u.call.args[0], grid, err);
    if (!child)
        return NULL;
    operator_release(child);
    return operator_empty(e, grid);
}

struct operation *plan_call(struct eval *e, const struct expr *x, const struct grid *grid,
                            struct error *err)
{
    enum function_id id = x->u.call.function->id;
    struct operation *child;
    switch (id) {
    case FUNCTION_ABSENT:
    case FUNCTION_ABSENT_OVER_TIME:
        return plan_absent(e, x, grid, err);
    case FUNCTION_TIMESTAMP:
        return plan_timestamp(e, x, grid, err);
    case FUNCTION_VECTOR: {
        const double *values = plan_scalar(e, x->u.call.args[0], grid, err);
        return values ? operator_scalar_vector(e, grid, values) : NULL;
    }
    case FUNCTION_LABEL_REPLACE:
        child = plan_vector(e, x->u.call.args[0], grid, err);
        return child ? operator_label_replace(child, x, err) : NULL;
    case FUNCTION_LABEL_JOIN:
        child = plan_vector(e, x->u.call.args[0], grid, err);
        return child ? operator_label_join(child, x, err) : NULL;
    case FUNCTION_SORT:
    case FUNCTION_SORT_DESC:
    case FUNCTION_SORT_BY_LABEL:
    case FUNCTION_SORT_BY_LABEL_DESC:
        child = plan_vector(e, x->u.call.args[0], grid, err);
        return child ? operator_sort(child, x, err) : NULL;
    case FUNCTION_HISTOGRAM_QUANTILE:
    case FUNCTION_HISTOGRAM_QUANTILES:
    case FUNCTION_HISTOGRAM_FRACTION:
        return plan_histogram(e, x, grid, err);
    case FUNCTION_HISTOGRAM_AVG:
    case FUNCTION_HISTOGRAM_COUNT:
    case FUNCTION_HISTOGRAM_STDDEV:
    case FUNCTION_HISTOGRAM_STDVAR:
    case FUNCTION_HISTOGRAM_SUM:
        return plan_native_only(e, x, grid, err);
    case FUNCTION_INFO:
        return plan_info(e, x, grid, err);
    default:
        break;
    }
    if (instant_function_exists(id))
        return plan_instant_function(e, x, grid, err);
    ASSERT(range_function_find(id) != NULL);
    return plan_range_function(e, x, grid, err);
}
