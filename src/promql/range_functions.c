/* SPDX-License-Identifier: Apache-2.0 */
/* range_functions.c: see range_functions.h. Each formula is Prometheus 3's (promql/functions.go), down to the
 * order of the additions, so that results agree to the last digit where libm does. */
#include "promql/range_functions.h"

#include "promql/instant_functions.h"

#include <math.h>
#include <string.h>

/* --- rate, increase, delta --- */

static double range_seconds(const struct window *w)
{
    return (double)(w->range_end_ms - w->range_start_ms) / 1000;
}

/* What the drops of a counter hide: the value before each of them. */
static double reset_correction(const double *values, size_t count)
{
    double correction = 0;
    for (size_t i = 1; i < count; i++)
        if (values[i] < values[i - 1])
            correction += values[i - 1];
    return correction;
}

/* The change between first and last sample, stretched to the borders of the range: all the way where a sample is
 * no more than 1.1 average distances from the border, else by half a distance; for a counter not beyond the time
 * when it would have been zero. */
static bool extrapolated(const struct window *w, bool counter, bool per_second, double *out)
{
    if (w->count < 2)
        return false;
    size_t last = w->count - 1;
    double change = w->values[last] - w->values[0];
    if (counter)
        change += reset_correction(w->values, w->count);

    double to_start = (double)(w->times[0] - w->range_start_ms) / 1000;
    double to_end = (double)(w->range_end_ms - w->times[last]) / 1000;
    double sampled = (double)(w->times[last] - w->times[0]) / 1000;
    double distance = sampled / (double)last;
    double threshold = distance * 1.1;

    if (to_start >= threshold)
        to_start = distance / 2;
    if (counter) {
        double to_zero = to_start;
        if (change > 0 && w->values[0] >= 0)
            to_zero = sampled * (w->values[0] / change);
        if (to_zero < to_start)
            to_start = to_zero;
    }
    if (to_end >= threshold)
        to_end = distance / 2;

    double factor = (sampled + to_start + to_end) / sampled;
    if (per_second)
        factor /= range_seconds(w);
    *out = change * factor;
    return true;
}

static bool rate(const struct window *w, const double *params, double *out)
{
    return extrapolated(w, true, true, out);
}

static bool increase(const struct window *w, const double *params, double *out)
{
    return extrapolated(w, true, false, out);
}

static bool delta(const struct window *w, const double *params, double *out)
{
    return extrapolated(w, false, false, out);
}

static bool idelta(const struct window *w, const double *params, double *out)
{
    if (w->count < 2)
        return false;
    *out = w->values[w->count - 1] - w->values[w->count - 2];
    return true;
}

static bool irate(const struct window *w, const double *params, double *out)
{
    if (w->count < 2)
        return false;
    size_t last = w->count - 1;
    double change = w->values[last];
    if (!(change < w->values[last - 1])) /* else a reset: it counted from zero */
        change -= w->values[last - 1];
    *out = change / ((double)(w->times[last] - w->times[last - 1]) / 1000);
    return true;
}

/* --- changes and resets --- */

static bool differs(double a, double b)
{
    return a != b && !(isnan(a) && isnan(b));
}

static bool changes(const struct window *w, const double *params, double *out)
{
    size_t count = 0;
    for (size_t i = 1; i < w->count; i++)
        count += differs(w->values[i], w->values[i - 1]);
    *out = (double)count;
    return w->count > 0;
}

static bool resets(const struct window *w, const double *params, double *out)
{
    size_t count = 0;
    for (size_t i = 1; i < w->count; i++)
        count += w->values[i] < w->values[i - 1];
    *out = (double)count;
    return w->count > 0;
}

/* --- over time --- */

static bool sum_over_time(const struct window *w, const double *params, double *out)
{
    double sum = 0, c = 0;
    for (size_t i = 0; i < w->count; i++)
        kahan_add(w->values[i], &sum, &c);
    *out = isinf(sum) ? sum : sum + c;
    return w->count > 0;
}

/* The mean as it moves, for sums that would overflow: from the i-th value on. */
static double moving_mean(const struct window *w, size_t i, double sum, double c)
{
    double mean = sum / (double)i;
    c /= (double)i;
    for (; i < w->count; i++) {
        double count = (double)(i + 1), q = (double)i / count;
        mean *= q;
        c *= q;
        kahan_add(w->values[i] / count, &mean, &c);
    }
    return mean + c;
}

static bool avg_over_time(const struct window *w, const double *params, double *out)
{
    if (w->count == 0)
        return false;
    double sum = w->values[0], c = 0;
    for (size_t i = 1; i < w->count; i++) {
        double sum_next = sum, c_next = c;
        kahan_add(w->values[i], &sum_next, &c_next);
        if (isinf(sum_next)) {
            *out = moving_mean(w, i, sum, c);
            return true;
        }
        sum = sum_next;
        c = c_next;
    }
    *out = sum / (double)w->count + c / (double)w->count;
    return true;
}

static bool count_over_time(const struct window *w, const double *params, double *out)
{
    *out = (double)w->count;
    return w->count > 0;
}

static bool present_over_time(const struct window *w, const double *params, double *out)
{
    *out = 1;
    return w->count > 0;
}

static bool first_over_time(const struct window *w, const double *params, double *out)
{
    if (w->count > 0)
        *out = w->values[0];
    return w->count > 0;
}

static bool last_over_time(const struct window *w, const double *params, double *out)
{
    if (w->count > 0)
        *out = w->values[w->count - 1];
    return w->count > 0;
}

static bool ts_of_first_over_time(const struct window *w, const double *params, double *out)
{
    if (w->count > 0)
        *out = (double)w->times[0] / 1000;
    return w->count > 0;
}

static bool ts_of_last_over_time(const struct window *w, const double *params, double *out)
{
    if (w->count > 0)
        *out = (double)w->times[w->count - 1] / 1000;
    return w->count > 0;
}

/* NaN only when there is nothing else. */
static bool max_over_time(const struct window *w, const double *params, double *out)
{
    if (w->count == 0)
        return false;
    double max = w->values[0];
    for (size_t i = 1; i < w->count; i++)
        if (w->values[i] > max || isnan(max))
            max = w->values[i];
    *out = max;
    return true;
}

static bool min_over_time(const struct window *w, const double *params, double *out)
{
    if (w->count == 0)
        return false;
    double min = w->values[0];
    for (size_t i = 1; i < w->count; i++)
        if (w->values[i] < min || isnan(min))
            min = w->values[i];
    *out = min;
    return true;
}

/* The last of several equal ones. */
static bool ts_of_max_over_time(const struct window *w, const double *params, double *out)
{
    if (w->count == 0)
        return false;
    size_t best = 0;
    for (size_t i = 1; i < w->count; i++)
        if (w->values[i] >= w->values[best] || isnan(w->values[best]))
            best = i;
    *out = (double)w->times[best] / 1000;
    return true;
}

static bool ts_of_min_over_time(const struct window *w, const double *params, double *out)
{
    if (w->count == 0)
        return false;
    size_t best = 0;
    for (size_t i = 1; i < w->count; i++)
        if (w->values[i] <= w->values[best] || isnan(w->values[best]))
            best = i;
    *out = (double)w->times[best] / 1000;
    return true;
}

/* Welford's method with compensated sums. */
static bool stdvar_over_time(const struct window *w, const double *params, double *out)
{
    if (w->count == 0)
        return false;
    double mean = 0, mean_c = 0, square = 0, square_c = 0;
    for (size_t i = 0; i < w->count; i++) {
        double difference = w->values[i] - (mean + mean_c);
        kahan_add(difference / (double)(i + 1), &mean, &mean_c);
        kahan_add(difference * (w->values[i] - (mean + mean_c)), &square, &square_c);
    }
    *out = (square + square_c) / (double)w->count;
    return true;
}

static bool stddev_over_time(const struct window *w, const double *params, double *out)
{
    if (!stdvar_over_time(w, params, out))
        return false;
    *out = sqrt(*out);
    return true;
}

static bool quantile_over_time(const struct window *w, const double *params, double *out)
{
    if (w->count == 0)
        return false;
    memcpy(w->scratch, w->values, w->count * sizeof *w->values);
    *out = quantile_of_values(params[0], w->scratch, w->count);
    return true;
}

/* The median of the distances to the median; a NaN makes it unknown. */
static bool mad_over_time(const struct window *w, const double *params, double *out)
{
    if (w->count == 0)
        return false;
    for (size_t i = 0; i < w->count; i++) {
        w->scratch[i] = w->values[i];
        if (isnan(w->values[i])) {
            *out = NAN;
            return true;
        }
    }
    double median = quantile_of_values(0.5, w->scratch, w->count);
    for (size_t i = 0; i < w->count; i++)
        w->scratch[i] = fabs(w->values[i] - median);
    *out = quantile_of_values(0.5, w->scratch, w->count);
    return true;
}

/* --- trends --- */

/* Least squares; the intercept is the line's value at intercept_ms. */
static void linear_regression(const struct window *w, int64_t intercept_ms, double *slope,
                              double *intercept)
{
    double x_sum = 0, x_c = 0, y_sum = 0, y_c = 0, xy_sum = 0, xy_c = 0, xx_sum = 0, xx_c = 0;
    bool constant = true;
    for (size_t i = 0; i < w->count; i++) {
        double x = (double)(w->times[i] - intercept_ms) / 1e3, y = w->values[i];
        constant &= i == 0 || y == w->values[0];
        kahan_add(x, &x_sum, &x_c);
        kahan_add(y, &y_sum, &y_c);
        kahan_add(x * y, &xy_sum, &xy_c);
        kahan_add(x * x, &xx_sum, &xx_c);
    }
    if (constant) {
        *slope = isinf(w->values[0]) ? NAN : 0;
        *intercept = isinf(w->values[0]) ? NAN : w->values[0];
        return;
    }
    double n = (double)w->count;
    x_sum += x_c;
    y_sum += y_c;
    xy_sum += xy_c;
    xx_sum += xx_c;
    double covariance = xy_sum - x_sum * y_sum / n, variance = xx_sum - x_sum * x_sum / n;
    *slope = covariance / variance;
    *intercept = y_sum / n - *slope * x_sum / n;
}

static bool deriv(const struct window *w, const double *params, double *out)
{
    double intercept;
    if (w->count < 2)
        return false;
    linear_regression(w, w->times[0], out, &intercept);
    return true;
}

static bool predict_linear(const struct window *w, const double *params, double *out)
{
    double slope, intercept;
    if (w->count < 2)
        return false;
    linear_regression(w, w->eval_ms, &slope, &intercept);
    *out = slope * params[0] + intercept;
    return true;
}

/* Holt's linear method, with the first two samples as level and trend. */
static bool double_exponential_smoothing(const struct window *w, const double *params, double *out)
{
    if (w->count < 2)
        return false;
    double smoothing = params[0], trending = params[1];
    double level_before = 0, level = w->values[0], trend = w->values[1] - w->values[0];
    for (size_t i = 1; i < w->count; i++) {
        double scaled = smoothing * w->values[i];
        if (i > 1)
            trend = trending * (level - level_before) + (1 - trending) * trend;
        double next = scaled + (1 - smoothing) * (level + trend);
        level_before = level;
        level = next;
    }
    *out = level;
    return true;
}

/* --- lookup --- */

range_function range_function_find(enum function_id id)
{
    switch (id) {
#define CASE(ID, function)                                                                         \
    case FUNCTION_##ID:                                                                            \
        return function;
        CASE(RATE, rate)
        CASE(INCREASE, increase)
        CASE(DELTA, delta)
        CASE(IRATE, irate)
        CASE(IDELTA, idelta)
        CASE(CHANGES, changes)
        CASE(RESETS, resets)
        CASE(SUM_OVER_TIME, sum_over_time)
        CASE(AVG_OVER_TIME, avg_over_time)
        CASE(COUNT_OVER_TIME, count_over_time)
        CASE(PRESENT_OVER_TIME, present_over_time)
        CASE(FIRST_OVER_TIME, first_over_time)
        CASE(LAST_OVER_TIME, last_over_time)
        CASE(TS_OF_FIRST_OVER_TIME, ts_of_first_over_time)
        CASE(TS_OF_LAST_OVER_TIME, ts_of_last_over_time)
        CASE(MAX_OVER_TIME, max_over_time)
        CASE(MIN_OVER_TIME, min_over_time)
        CASE(TS_OF_MAX_OVER_TIME, ts_of_max_over_time)
        CASE(TS_OF_MIN_OVER_TIME, ts_of_min_over_time)
        CASE(STDVAR_OVER_TIME, stdvar_over_time)
        CASE(STDDEV_OVER_TIME, stddev_over_time)
        CASE(QUANTILE_OVER_TIME, quantile_over_time)
        CASE(MAD_OVER_TIME, mad_over_time)
        CASE(DERIV, deriv)
        CASE(PREDICT_LINEAR, predict_linear)
        CASE(DOUBLE_EXPONENTIAL_SMOOTHING, double_exponential_smoothing)
#undef CASE
    default:
        return NULL;
    }
}

bool range_function_eval(enum function_id id, const struct window *w, const double *params,
                         double *out)
{
    range_function f = range_function_find(id);
    return f && f(w, params, out);
}

bool range_function_check_params(enum function_id id, const double *params, struct error *err)
{
    if (id != FUNCTION_DOUBLE_EXPONENTIAL_SMOOTHING)
        return true;
    if (params[0] <= 0 || params[0] >= 1)
        return error_set(err, ERROR_EXECUTION,
                         "invalid smoothing factor. Expected: 0 < sf < 1, got: %f", params[0]);
    if (params[1] <= 0 || params[1] >= 1)
        return error_set(err, ERROR_EXECUTION,
                         "invalid trend factor. Expected: 0 < tf < 1, got: %f", params[1]);
    return true;
}

/* --- anchored and smoothed --- */

bool range_function_allows_smoothed(enum function_id id)
{
    return id == FUNCTION_RATE || id == FUNCTION_INCREASE || id == FUNCTION_DELTA;
}

bool range_function_allows_anchored(enum function_id id)
{
    return range_function_allows_smoothed(id) || id == FUNCTION_CHANGES || id == FUNCTION_RESETS;
}

/* The value at `t` on the line between samples i and i + 1. Over a reset a counter began at 0 (left border), or
 * went on from what it had (right border). */
static double interpolate(const struct window *w, size_t i, int64_t t, bool counter, bool left)
{
    double y1 = w->values[i], y2 = w->values[i + 1];
    if (counter && y2 < y1) {
        if (left)
            y1 = 0;
        else
            y2 += y1;
    }
    return y1 + (y2 - y1) * (double)(t - w->times[i]) / (double)(w->times[i + 1] - w->times[i]);
}

/* Resets from the left border's value over the samples [first, end) to the right border's. */
static double border_reset_correction(const struct window *w, size_t first, size_t end, double left,
                                      double right)
{
    double correction = 0, previous = left;
    for (size_t i = first; i < end; i++) {
        if (w->values[i] < previous)
            correction += previous;
        previous = w->values[i];
    }
    return right < previous ? correction + previous : correction;
}

/* The last sample at or before the range's start, or the first there is. */
static size_t anchor(const struct window *w)
{
    size_t first = 0;
    while (first + 1 < w->count && w->times[first + 1] <= w->range_start_ms)
        first++;
    return first;
}

bool range_function_eval_extended(enum function_id id, bool smoothed, const struct window *w,
                                  double *out)
{
    if (w->count == 0)
        return false;
    size_t first = anchor(w), last = w->count - 1;
    if (id == FUNCTION_CHANGES || id == FUNCTION_RESETS) {
        struct window from_anchor = *w;
        from_anchor.times += first;
        from_anchor.values += first;
        from_anchor.count -= first;
        if (w->times[last] <= w->range_start_ms)
            return false;
        return id == FUNCTION_CHANGES ? changes(&from_anchor, NULL, out)
                                      : resets(&from_anchor, NULL, out);
    }
    while (smoothed && last > 0 && w->times[last - 1] >= w->range_end_ms)
        last--;
    if (w->times[last] <= w->range_start_ms)
        return false;
    bool counter = id != FUNCTION_DELTA;
    double left = w->values[first], right = w->values[last];
    if (smoothed && w->times[first] < w->range_start_ms)
        left = interpolate(w, first, w->range_start_ms, counter, true);
    if (smoothed && last > 0 && w->times[last] > w->range_end_ms)
        right = interpolate(w, last - 1, w->range_end_ms, counter, false);
    *out = right - left;
    if (counter) {
        size_t inner = w->times[first] <= w->range_start_ms ? first + 1 : first;
        size_t end = w->times[last] >= w->range_end_ms ? last : last + 1;
        *out += border_reset_correction(w, inner, end, left, right);
    }
    if (id == FUNCTION_RATE)
        *out /= range_seconds(w);
    return true;
}
