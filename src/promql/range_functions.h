/* SPDX-License-Identifier: Apache-2.0 */
/* range_functions.h: what the functions over range vectors compute from the float samples of one window,
 * exactly by Prometheus 3's formulas. Pure: no labels, no allocation but a caller's scratch. Any thread.
 *
 * A window is open on the left and closed on the right and holds no stale markers. The extended selectors
 * (anchored, smoothed) get samples outside the range too; their twins are at the end. */
#ifndef BELFRY_PROMQL_RANGE_FUNCTIONS_H
#define BELFRY_PROMQL_RANGE_FUNCTIONS_H

#include "base/attributes.h"
#include "base/error.h"
#include "promql/ast.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct window {
    const int64_t *times; /* ms, ascending, distinct: range_start_ms < t <= range_end_ms */
    const double *values;
    size_t count;
    int64_t range_start_ms, range_end_ms; /* after offset and @ */
    int64_t eval_ms; /* the step's time, without offset: predict_linear counts from it */
    double *scratch; /* count doubles; only quantile_over_time and mad_over_time use it */
};

/* params: the scalar arguments of this step in the order they are written, without the range vector
 * (quantile_over_time: the quantile; predict_linear: seconds; double_exponential_smoothing: sf, tf).
 * Returns false when the window gives no sample (too few points). An empty window always gives none. */
typedef bool (*range_function)(const struct window *w, const double *params, double *out);

/* NULL when the function takes no range vector, and for absent_over_time (that is the engine's). Look it up
 * once, before the loop. */
range_function range_function_find(enum function_id id);
/* range_function_find(id)(w, params, out). */
bool range_function_eval(enum function_id id, const struct window *w, const double *params,
                         double *out);

/* The scalars of double_exponential_smoothing must be in (0, 1): ERROR_EXECUTION in Prometheus' words. Other functions
 * take any. */
MUST_USE bool range_function_check_params(enum function_id id, const double *params,
                                          struct error *err);

/* May this function see the samples of an anchored / a smoothed selector? (Else the query fails with
 * "anchored modifier can only be used with: ...".) */
bool range_function_allows_anchored(enum function_id id);
bool range_function_allows_smoothed(enum function_id id);
/* rate, increase, delta (anchored, smoothed), changes, resets (anchored): `w` holds, besides the samples in the
 * range, the last one at or before range_start_ms within the lookback, and for smoothed the first one after
 * range_end_ms within the lookback. */
bool range_function_eval_extended(enum function_id id, bool smoothed, const struct window *w,
                                  double *out);

/* Kahan–Neumaier: add `v` to *sum with compensation *c; the total is *sum + *c. */
static inline void kahan_add(double v, double *sum, double *c)
{
    double t = *sum + v;
    if (__builtin_isinf(t))
        *c = 0; /* an infinite total has no error to carry; the difference below would be NaN */
    else if (__builtin_fabs(*sum) >= __builtin_fabs(v))
        *c += (*sum - t) + v;
    else
        *c += (v - t) + *sum;
    *sum = t;
}

#endif
