/* SPDX-License-Identifier: Apache-2.0 */
/* range_functions_test.c: each function over windows whose result can be worked out by hand. */
#include "promql/range_functions.h"

#include "promql/instant_functions.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { SAMPLES_MAX = 8 };
#define NONE -12345.5 /* the window gives nothing */

/* Samples at 0 s, 10 s, 20 s ... (first at `first` s); the range is (start, end] in seconds. */
static const struct {
    enum function_id f;
    int count;
    double values[SAMPLES_MAX];
    double first, start, end;
    double params[2];
    double expected;
} CASES[] = {
    /* 0 10 20 30 at 0..30 s over (-5, 35]: 30 per 30 s, 5 s more on each side; zero is met at 0 s */
    {FUNCTION_INCREASE, 4, {0, 10, 20, 30}, 0, -5, 35, {0}, 35},
    {FUNCTION_RATE, 4, {0, 10, 20, 30}, 0, -5, 35, {0}, 35.0 / 40},
    {FUNCTION_DELTA, 4, {0, 10, 20, 30}, 0, -5, 35, {0}, 40},
    {FUNCTION_INCREASE, 4, {100, 110, 120, 130}, 0, -5, 35, {0}, 40},
    /* far from the borders: half a distance on each side */
    {FUNCTION_INCREASE, 4, {100, 110, 120, 130}, 0, -50, 80, {0}, 40},
    /* exactly at the threshold of 1.1 distances: 11 s */
    {FUNCTION_INCREASE, 4, {100, 110, 120, 130}, 0, -11, 40.999, {0}, 30 * (30 + 5 + 10.999) / 30},
    {FUNCTION_INCREASE, 4, {10, 20, 5, 15}, 0, 0, 30, {0}, 25},
    {FUNCTION_DELTA, 4, {10, 20, 5, 15}, 0, 0, 30, {0}, 5},
    {FUNCTION_RATE, 1, {1}, 0, -5, 5, {0}, NONE},
    {FUNCTION_RATE, 0, {0}, 0, -5, 5, {0}, NONE},
    {FUNCTION_IRATE, 3, {0, 10, 40}, 0, -5, 25, {0}, 3},
    {FUNCTION_IRATE, 3, {0, 40, 10}, 0, -5, 25, {0}, 1},
    {FUNCTION_IRATE, 1, {1}, 0, -5, 25, {0}, NONE},
    {FUNCTION_IDELTA, 3, {0, 40, 10}, 0, -5, 25, {0}, -30},
    {FUNCTION_IDELTA, 2, {NAN, 1}, 0, -5, 25, {0}, NAN},
    {FUNCTION_CHANGES, 5, {1, 1, 2, NAN, NAN}, 0, -5, 45, {0}, 2},
    {FUNCTION_CHANGES, 1, {1}, 0, -5, 45, {0}, 0},
    {FUNCTION_RESETS, 5, {3, 1, 2, 0, 0}, 0, -5, 45, {0}, 2},
    {FUNCTION_SUM_OVER_TIME, 4, {1e100, 1, -1e100, 1}, 0, -5, 45, {0}, 2},
    {FUNCTION_SUM_OVER_TIME, 2, {INFINITY, 1}, 0, -5, 45, {0}, INFINITY},
    {FUNCTION_SUM_OVER_TIME, 2, {INFINITY, -INFINITY}, 0, -5, 45, {0}, NAN},
    {FUNCTION_AVG_OVER_TIME, 4, {1e100, 1, -1e100, 1}, 0, -5, 45, {0}, 0.5},
    {FUNCTION_AVG_OVER_TIME, 3, {1.7e308, 1.7e308, 1.7e308}, 0, -5, 45, {0}, 1.7e308},
    {FUNCTION_AVG_OVER_TIME, 2, {INFINITY, 5}, 0, -5, 45, {0}, INFINITY},
    {FUNCTION_AVG_OVER_TIME, 2, {INFINITY, -INFINITY}, 0, -5, 45, {0}, NAN},
    {FUNCTION_COUNT_OVER_TIME, 3, {NAN, 1, 2}, 0, -5, 45, {0}, 3},
    {FUNCTION_PRESENT_OVER_TIME, 3, {NAN, 1, 2}, 0, -5, 45, {0}, 1},
    {FUNCTION_FIRST_OVER_TIME, 2, {7, 8}, 0, -5, 45, {0}, 7},
    {FUNCTION_LAST_OVER_TIME, 2, {7, 8}, 0, -5, 45, {0}, 8},
    {FUNCTION_LAST_OVER_TIME, 0, {0}, 0, -5, 45, {0}, NONE},
    {FUNCTION_TS_OF_FIRST_OVER_TIME, 2, {7, 8}, 20, -5, 45, {0}, 20},
    {FUNCTION_TS_OF_LAST_OVER_TIME, 2, {7, 8}, 20, -5, 45, {0}, 30},
    {FUNCTION_MAX_OVER_TIME, 4, {NAN, 1, 3, NAN}, 0, -5, 45, {0}, 3},
    {FUNCTION_MIN_OVER_TIME, 4, {NAN, 1, 3, NAN}, 0, -5, 45, {0}, 1},
    {FUNCTION_MAX_OVER_TIME, 1, {NAN}, 0, -5, 45, {0}, NAN},
    {FUNCTION_TS_OF_MAX_OVER_TIME, 4, {3, 1, 3, 2}, 0, -5, 45, {0}, 20},
    {FUNCTION_TS_OF_MIN_OVER_TIME, 4, {NAN, 1, 1, 2}, 0, -5, 45, {0}, 20},
    {FUNCTION_STDVAR_OVER_TIME, 4, {2, 4, 4, 6}, 0, -5, 45, {0}, 2},
    {FUNCTION_STDDEV_OVER_TIME, 4, {2, 4, 4, 6}, 0, -5, 45, {0}, M_SQRT2},
    {FUNCTION_STDVAR_OVER_TIME, 3, {1e10, 1e10, 1e10}, 0, -5, 45, {0}, 0},
    {FUNCTION_QUANTILE_OVER_TIME, 4, {4, 1, 3, 2}, 0, -5, 45, {0.5}, 2.5},
    {FUNCTION_QUANTILE_OVER_TIME, 4, {4, 1, 3, 2}, 0, -5, 45, {-1}, -INFINITY},
    {FUNCTION_QUANTILE_OVER_TIME, 4, {4, 1, 3, 2}, 0, -5, 45, {NAN}, NAN},
    {FUNCTION_MAD_OVER_TIME, 5, {1, 1, 2, 4, 10}, 0, -5, 45, {0}, 1},
    {FUNCTION_MAD_OVER_TIME, 4, {1, 2, NAN, 4}, 0, -5, 45, {0}, NAN},
    {FUNCTION_DERIV, 4, {0, 10, 20, 30}, 0, -5, 35, {0}, 1},
    {FUNCTION_DERIV, 3, {5, 5, 5}, 0, -5, 35, {0}, 0},
    {FUNCTION_DERIV, 3, {INFINITY, INFINITY, INFINITY}, 0, -5, 35, {0}, NAN},
    {FUNCTION_DERIV, 1, {5}, 0, -5, 35, {0}, NONE},
    /* evaluated at 35 s: 35 there, and 60 s later 95 */
    {FUNCTION_PREDICT_LINEAR, 4, {0, 10, 20, 30}, 0, -5, 35, {60}, 95},
    {FUNCTION_DOUBLE_EXPONENTIAL_SMOOTHING, 4, {0, 10, 20, 30}, 0, -5, 35, {0.3, 0.6}, 30},
    {FUNCTION_DOUBLE_EXPONENTIAL_SMOOTHING, 3, {0, 10, 0}, 0, -5, 35, {0.5, 0.5}, 10},
};

static bool close_to(double a, double b)
{
    return (isnan(a) && isnan(b)) || a == b || fabs(a - b) <= 1e-12 * fmax(fabs(a), fabs(b));
}

static struct window window_of(const double *values, int count, double first, double start,
                               double end, int64_t *times, double *scratch)
{
    for (int i = 0; i < count; i++)
        times[i] = (int64_t)(first * 1000) + 10000 * i;
    return (struct window){times,
                           values,
                           (size_t)count,
                           (int64_t)(start * 1000),
                           (int64_t)(end * 1000),
                           (int64_t)(end * 1000),
                           scratch};
}

static void windows_give_what_prometheus_gives(void **state)
{
    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        int64_t times[SAMPLES_MAX];
        double scratch[SAMPLES_MAX], out = 0;
        struct window w = window_of(CASES[i].values, CASES[i].count, CASES[i].first, CASES[i].start,
                                    CASES[i].end, times, scratch);
        bool some = range_function_eval(CASES[i].f, &w, CASES[i].params, &out);
        const char *name = function_get(CASES[i].f)->name;
        if (some != (CASES[i].expected != NONE))
            fail_msg("case %zu, %s: %s", i, name, some ? "gives a sample" : "gives none");
        if (some && !close_to(out, CASES[i].expected))
            fail_msg("case %zu, %s: %.17g, expected %.17g", i, name, out, CASES[i].expected);
    }
}

/* Samples at 0 s, 10 s ...; range (15, 45]. */
static const struct {
    enum function_id f;
    bool smoothed;
    int count;
    double values[SAMPLES_MAX];
    double expected;
} EXTENDED[] = {
    /* anchored: from the sample at 10 s to the one at 40 s */
    {FUNCTION_INCREASE, false, 5, {0, 10, 20, 30, 40}, 30},
    {FUNCTION_RATE, false, 5, {0, 10, 20, 30, 40}, 1},
    {FUNCTION_DELTA, false, 5, {0, 10, 20, 15, 5}, -5},
    {FUNCTION_INCREASE, false, 5, {0, 10, 20, 5, 15}, 25},
    {FUNCTION_CHANGES, false, 5, {0, 10, 20, 20, 40}, 2},
    {FUNCTION_RESETS, false, 5, {0, 10, 5, 20, 0}, 2},
    {FUNCTION_INCREASE, false, 2, {0, 10}, NONE},
    /* smoothed: from 15 (between 10 and 20 s) to 45 (between 40 and 50 s) */
    {FUNCTION_INCREASE, true, 6, {0, 10, 20, 30, 40, 50}, 30},
    {FUNCTION_DELTA, true, 6, {0, 10, 20, 30, 40, 0}, 5},
    {FUNCTION_INCREASE, true, 6, {0, 10, 20, 30, 40, 10}, 30},
    {FUNCTION_INCREASE, true, 6, {0, 20, 10, 30, 40, 50}, 40},
};

static void extended_ranges_look_past_their_borders(void **state)
{
    for (size_t i = 0; i < ARRAY_COUNT(EXTENDED); i++) {
        int64_t times[SAMPLES_MAX];
        double out = 0;
        struct window w = window_of(EXTENDED[i].values, EXTENDED[i].count, 0, 15, 45, times, NULL);
        bool some = range_function_eval_extended(EXTENDED[i].f, EXTENDED[i].smoothed, &w, &out);
        assert_int_equal(some, EXTENDED[i].expected != NONE);
        if (some && !close_to(out, EXTENDED[i].expected))
            fail_msg("case %zu: %.17g, expected %.17g", i, out, EXTENDED[i].expected);
    }
    assert_true(range_function_allows_anchored(FUNCTION_RESETS));
    assert_false(range_function_allows_smoothed(FUNCTION_RESETS));
    assert_false(range_function_allows_anchored(FUNCTION_SUM_OVER_TIME));
}

static void smoothing_factors_lie_between_0_and_1(void **state)
{
    struct error err;
    enum function_id id = FUNCTION_DOUBLE_EXPONENTIAL_SMOOTHING;
    assert_true(range_function_check_params(id, (double[]){0.1, 0.9}, &err));
    assert_false(range_function_check_params(id, (double[]){0, 0.9}, &err));
    assert_string_equal(err.message,
                        "invalid smoothing factor. Expected: 0 < sf < 1, got: 0.000000");
    assert_false(range_function_check_params(id, (double[]){0.1, 1}, &err));
    assert_string_equal(err.message, "invalid trend factor. Expected: 0 < tf < 1, got: 1.000000");
}

/* Every function that takes one range vector and no labels has a row in the table of functions. */
static void every_range_function_is_found(void **state)
{
    for (int id = 0; id < FUNCTION_COUNT; id++) {
        bool takes_range = strchr(function_get(id)->args, 'M') != NULL;
        bool expected = takes_range && id != FUNCTION_ABSENT_OVER_TIME;
        if ((range_function_find(id) != NULL) != expected)
            fail_msg("%s", function_get(id)->name);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(windows_give_what_prometheus_gives),
        cmocka_unit_test(extended_ranges_look_past_their_borders),
        cmocka_unit_test(smoothing_factors_lie_between_0_and_1),
        cmocka_unit_test(every_range_function_is_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
