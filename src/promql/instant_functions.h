/* SPDX-License-Identifier: Apache-2.0 */
/* instant_functions.h: what the functions over instant vectors compute from values, and quantiles of plain
 * values and of classic histograms. Pure; any thread. */
#ifndef BELFRY_PROMQL_INSTANT_FUNCTIONS_H
#define BELFRY_PROMQL_INSTANT_FUNCTIONS_H

#include "promql/ast.h"

#include <stdbool.h>
#include <stddef.h>

/* Go's math.Max and math.Min, which clamp, min_of and max_of use: NaN if either is, but an infinity in their direction
 * wins; -0 is below +0. */
double number_max(double a, double b);
double number_min(double a, double b);

/* Is it one of: abs ceil floor exp ln log2 log10 sqrt sgn, the trigonometric ones, deg, rad, round, clamp*, and
 * the date functions? (With no argument the date functions are applied to time().) */
bool instant_function_exists(enum function_id id);
/* out[i] = f(values[i]; params[0][i], params[1][i]). params[k] is the k-th scalar argument, one value per place of
 * `values` (round: params[0], 1 when left out; clamp: min, max; others: NULL). `out` may be `values`.
 * clamp with min > max has no result: the caller drops those places (clamp_is_empty). */
void instant_function_apply(enum function_id id, const double *values, const double *const *params,
                            size_t count, double *out);
double instant_function_eval(enum function_id id, double value, const double *params);
static inline bool clamp_is_empty(double min, double max)
{
    return max < min;
}

/* The q-quantile of values (sorted in place, NaN first), interpolated. No values or q NaN: NaN; q < 0: -Inf;
 * q > 1: +Inf. */
double quantile_of_values(double q, double *values, size_t count);

struct classic_bucket {
    double upper_bound; /* le */
    double count;       /* cumulative */
};
/* What had to be repaired in the input, for the annotation. */
struct bucket_repair {
    bool forced_monotonic;
    double bucket_min, bucket_max; /* upper bounds of the first and the last bucket raised */
    double diff_max;               /* the largest amount */
};
/* histogram_quantile. Sorts, merges and repairs the buckets in place; count > 0. `repair` may be NULL. */
double classic_histogram_quantile(double q, struct classic_bucket *buckets, size_t count,
                                  struct bucket_repair *repair);
/* histogram_fraction: observations in (lower, upper]. Sorts and repairs in place; count > 0. */
double classic_histogram_fraction(double lower, double upper, struct classic_bucket *buckets,
                                  size_t count);

#endif
