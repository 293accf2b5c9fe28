/* SPDX-License-Identifier: Apache-2.0 */
/* instant_functions_test.c: functions of one value, quantiles, classic histograms. */
#include "promql/instant_functions.h"

#include "base/attributes.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

static bool close_to(double a, double b)
{
    return (isnan(a) && isnan(b)) || a == b || fabs(a - b) <= 1e-12 * fmax(fabs(a), fabs(b));
}

static const struct {
    enum function_id f;
    double in, params[2], expected;
} CASES[] = {
    {FUNCTION_ABS, -2, {0}, 2},
    {FUNCTION_SGN, -0.5, {0}, -1},
    {FUNCTION_SGN, NAN, {0}, NAN},
    {FUNCTION_CEIL, 1.2, {0}, 2},
    {FUNCTION_FLOOR, -1.2, {0}, -2},
    {FUNCTION_DEG, M_PI, {0}, 180},
    {FUNCTION_RAD, 180, {0}, M_PI},
    {FUNCTION_LN, 0, {0}, -INFINITY},
    {FUNCTION_SQRT, -1, {0}, NAN},
    {FUNCTION_ROUND, 2.5, {1}, 3},
    {FUNCTION_ROUND, -2.5, {1}, -2},
    {FUNCTION_ROUND, 0.0451, {0.1}, 0},
    {FUNCTION_ROUND, 2.345, {0.01}, 2.35},
    {FUNCTION_CLAMP, 7, {1, 5}, 5},
    {FUNCTION_CLAMP, -7, {1, 5}, 1},
    {FUNCTION_CLAMP, NAN, {1, 5}, NAN},
    {FUNCTION_CLAMP, 3, {NAN, 5}, NAN},
    {FUNCTION_CLAMP_MIN, -INFINITY, {0}, 0},
    {FUNCTION_CLAMP_MIN, NAN, {INFINITY}, INFINITY},
    {FUNCTION_CLAMP_MAX, 3, {-INFINITY}, -INFINITY},
    {FUNCTION_MINUTE, 1136239445, {0}, 4},
    {FUNCTION_HOUR, 1136239445, {0}, 22},
    {FUNCTION_DAY_OF_WEEK, 1136239445, {0}, 1},
    {FUNCTION_DAY_OF_MONTH, 1136239445, {0}, 2},
    {FUNCTION_DAYS_IN_MONTH, 951782400, {0}, 29},
    {FUNCTION_DAYS_IN_MONTH, 1454284800, {0}, 29},
    {FUNCTION_DAYS_IN_MONTH, 1485907200, {0}, 28},
    {FUNCTION_DAY_OF_YEAR, 1483142400, {0}, 366},
    {FUNCTION_MONTH, -1, {0}, 12},
    {FUNCTION_YEAR, -86400, {0}, 1969},
    {FUNCTION_YEAR, NAN, {0}, NAN},
    {FUNCTION_YEAR, 1e300, {0}, NAN},
};

static void values_give_what_prometheus_gives(void **state)
{
    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        double out[2], values[2] = {CASES[i].in, CASES[i].in};
        double one[2] = {CASES[i].params[0], CASES[i].params[0]},
               two[2] = {CASES[i].params[1], CASES[i].params[1]};
        const double *params[] = {one, two};
        instant_function_apply(CASES[i].f, values, params, 2, out);
        double single = instant_function_eval(CASES[i].f, CASES[i].in, CASES[i].params);
        if (!close_to(out[1], CASES[i].expected) || !close_to(single, CASES[i].expected))
            fail_msg("%s(%g): %.17g and %.17g, expected %.17g", function_get(CASES[i].f)->name,
                     CASES[i].in, out[1], single, CASES[i].expected);
    }
}

/* Against gmtime_r(), day by day over 1200 years. */
static void dates_agree_with_the_c_library(void **state)
{
    for (int64_t day = -250000; day < 200000; day += 7) {
        time_t t = (time_t)(day * 86400 + 3723);
        struct tm tm;
        gmtime_r(&t, &tm);
        double v = (double)t;
        assert_true(instant_function_eval(FUNCTION_YEAR, v, NULL) == tm.tm_year + 1900);
        assert_true(instant_function_eval(FUNCTION_MONTH, v, NULL) == tm.tm_mon + 1);
        assert_true(instant_function_eval(FUNCTION_DAY_OF_MONTH, v, NULL) == tm.tm_mday);
        assert_true(instant_function_eval(FUNCTION_DAY_OF_YEAR, v, NULL) == tm.tm_yday + 1);
        assert_true(instant_function_eval(FUNCTION_DAY_OF_WEEK, v, NULL) == tm.tm_wday);
        assert_true(instant_function_eval(FUNCTION_HOUR, v, NULL) == 1);
        assert_true(instant_function_eval(FUNCTION_MINUTE, v, NULL) == 2);
    }
}

static void quantiles_interpolate_between_values(void **state)
{
    static const struct {
        double q, expected;
    } QUANTILES[] = {{0, 1},          {0.5, 2.5}, {1, 4}, {0.1, 1.3}, {-0.1, -INFINITY},
                     {1.1, INFINITY}, {NAN, NAN}};
    for (size_t i = 0; i < ARRAY_COUNT(QUANTILES); i++) {
        double values[] = {4, 1, 3, 2};
        assert_true(close_to(quantile_of_values(QUANTILES[i].q, values, 4), QUANTILES[i].expected));
    }
    double with_nan[] = {2, NAN, 1};
    assert_true(isnan(quantile_of_values(0, with_nan, 3)));
    assert_true(quantile_of_values(1, with_nan, 3) == 2);
    assert_true(isnan(quantile_of_values(0.5, NULL, 0)));
}

static const struct classic_bucket POSITIVE[] = {
    {0.2, 3}, {INFINITY, 12}, {0.1, 1}, {1, 10}, {0.5, 6}};
static const struct classic_bucket NEGATIVE[] = {{-0.2, 1}, {-0.1, 2}, {0.3, 2}, {INFINITY, 4}};
static const struct classic_bucket NO_INFINITY[] = {{1, 1}, {2, 2}};
static const struct classic_bucket ONLY_INFINITY[] = {{INFINITY, 4}};
static const struct classic_bucket EMPTY[] = {{1, 0}, {INFINITY, 0}};
static const struct classic_bucket TWICE[] = {{1, 1}, {1, 2}, {2, 5}, {INFINITY, 6}};

static const struct {
    const struct classic_bucket *buckets;
    size_t count;
    double q, expected;
} QUANTILE_CASES[] = {
    {POSITIVE, 5, 0, 0},     {POSITIVE, 5, 0.5, 0.5},      {POSITIVE, 5, 1.0 / 24, 0.05},
    {POSITIVE, 5, 1, 1},     {POSITIVE, 5, -1, -INFINITY}, {POSITIVE, 5, 2, INFINITY},
    {POSITIVE, 5, NAN, NAN}, {NEGATIVE, 4, 0.1, -0.2},     {NEGATIVE, 4, 0.375, -0.15},
    {NEGATIVE, 4, 0.9, 0.3}, {NO_INFINITY, 2, 0.5, NAN},   {ONLY_INFINITY, 1, 0.5, NAN},
    {EMPTY, 2, 0.5, NAN},    {TWICE, 4, 0.5, 1},
};

static void histogram_quantiles_interpolate_in_their_bucket(void **state)
{
    for (size_t i = 0; i < ARRAY_COUNT(QUANTILE_CASES); i++) {
        struct classic_bucket b[8];
        memcpy(b, QUANTILE_CASES[i].buckets, QUANTILE_CASES[i].count * sizeof *b);
        double got =
            classic_histogram_quantile(QUANTILE_CASES[i].q, b, QUANTILE_CASES[i].count, NULL);
        if (!close_to(got, QUANTILE_CASES[i].expected))
            fail_msg("case %zu: %.17g, expected %.17g", i, got, QUANTILE_CASES[i].expected);
    }
}

static void falling_counts_are_raised_and_reported(void **state)
{
    struct classic_bucket b[] = {{1, 5}, {2, 3}, {3, 6}, {4, 5.5}, {INFINITY, 8}};
    struct bucket_repair repair;
    assert_true(close_to(classic_histogram_quantile(0.75, b, 5, &repair), 3));
    assert_true(repair.forced_monotonic);
    assert_true(repair.bucket_min == 2 && repair.bucket_max == 4 && repair.diff_max == 2);
    /* A difference that rounding explains is evened out in silence. */
    struct classic_bucket close[] = {{1, 5}, {2, 5 - 1e-14}, {INFINITY, 8}};
    (void)classic_histogram_quantile(0.5, close, 3, &repair); /* only the report matters */
    assert_false(repair.forced_monotonic);
}

static const struct {
    const struct classic_bucket *buckets;
    size_t count;
    double lower, upper, expected;
} FRACTION_CASES[] = {
    {POSITIVE, 5, 0, 0.2, 0.25},
    {POSITIVE, 5, -INFINITY, INFINITY, 1},
    {POSITIVE, 5, 0.2, 0.35, 0.125},
    {POSITIVE, 5, 1, 5, 0},
    {POSITIVE, 5, 2, 1, 0},
    {POSITIVE, 5, NAN, 1, NAN},
    {POSITIVE, 5, 1, INFINITY, 2.0 / 12},
    {NEGATIVE, 4, -INFINITY, -0.2, 0.25},
    {NEGATIVE, 4, -1, -0.1, 0.25},
    {NO_INFINITY, 2, 0, 1, NAN},
    {EMPTY, 2, 0, 1, NAN},
};

static void histogram_fractions_are_the_inverse_of_quantiles(void **state)
{
    for (size_t i = 0; i < ARRAY_COUNT(FRACTION_CASES); i++) {
        struct classic_bucket b[8];
        memcpy(b, FRACTION_CASES[i].buckets, FRACTION_CASES[i].count * sizeof *b);
        double got = classic_histogram_fraction(FRACTION_CASES[i].lower, FRACTION_CASES[i].upper, b,
                                                FRACTION_CASES[i].count);
        if (!close_to(got, FRACTION_CASES[i].expected))
            fail_msg("case %zu: %.17g, expected %.17g", i, got, FRACTION_CASES[i].expected);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_give_what_prometheus_gives),
        cmocka_unit_test(dates_agree_with_the_c_library),
        cmocka_unit_test(quantiles_interpolate_between_values),
        cmocka_unit_test(histogram_quantiles_interpolate_in_their_bucket),
        cmocka_unit_test(falling_counts_are_raised_and_reported),
        cmocka_unit_test(histogram_fractions_are_the_inverse_of_quantiles),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
