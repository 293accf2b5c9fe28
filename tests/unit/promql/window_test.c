/* SPDX-License-Identifier: Apache-2.0 */
/* window_test.c: functions that slide over windows against range_functions.h called per window, on random series
 * with gaps, resets, NaN and stale markers. */
#include "promql/window.h"

#include "base/assert.h"
#include "base/random.h"
#include "model/sample.h"
#include "promql/range_functions.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { SAMPLES_MAX = 300, STEPS_MAX = 150 };

static const enum function_id FUNCTIONS[] = {
    FUNCTION_RATE,          FUNCTION_INCREASE,          FUNCTION_DELTA,
    FUNCTION_SUM_OVER_TIME, FUNCTION_COUNT_OVER_TIME,   FUNCTION_MIN_OVER_TIME,
    FUNCTION_MAX_OVER_TIME, FUNCTION_LAST_OVER_TIME,    FUNCTION_QUANTILE_OVER_TIME,
    FUNCTION_AVG_OVER_TIME, FUNCTION_PRESENT_OVER_TIME, FUNCTION_CHANGES,
    FUNCTION_MAD_OVER_TIME, FUNCTION_PREDICT_LINEAR,    FUNCTION_FIRST_OVER_TIME,
};

struct random_series {
    int64_t times[SAMPLES_MAX];
    double values[SAMPLES_MAX];
    struct samples samples;
};

static void series_fill(struct random_series *s, struct random *r)
{
    size_t count = random_below(r, SAMPLES_MAX + 1);
    int64_t t = (int64_t)random_below(r, 60000);
    double v = 0;
    unsigned odd = (unsigned)random_below(r, 4); /* 0: a clean counter */
    for (size_t i = 0; i < count; i++) {
        t += 1000 * (int64_t)(1 + random_below(r, random_below(r, 10) ? 2 : 100));
        v = odd && random_below(r, 20) == 0 ? 0 : v + (double)random_below(r, 1000) / 8;
        s->times[i] = t;
        s->values[i] = v;
        if (odd == 2 && random_below(r, 15) == 0)
            s->values[i] = sample_stale();
        if (odd == 3 && random_below(r, 15) == 0)
            s->values[i] = NAN;
    }
    s->samples = (struct samples){.times = s->times, .values = s->values, .count = count};
}

static void frame_fill(struct window_frame *f, struct random *r)
{
    *f = (struct window_frame){
        .grid = {.start_ms = (int64_t)random_below(r, 400000) - 100000,
                 .step_ms = 1000 * (int64_t)(1 + random_below(r, 120)),
                 .steps = (uint32_t)(1 + random_below(r, STEPS_MAX))},
        .offset_ms = random_below(r, 3) ? 0 : 1000 * ((int64_t)random_below(r, 200) - 100),
        .range_ms = 1000 * (int64_t)(1 + random_below(r, 400)),
        .fixed = random_below(r, 8) == 0,
        .at_ms = 100000};
}

/* One window, picked out sample by sample. */
static bool window_oracle(const struct random_series *s, const struct window_frame *f,
                          uint32_t step, enum function_id id, const double *params, double *out)
{
    int64_t times[SAMPLES_MAX];
    double values[SAMPLES_MAX], scratch[2 * SAMPLES_MAX];
    struct window w = {.times = times, .values = values, .scratch = scratch};
    w.range_end_ms = frame_end(f, step);
    w.range_start_ms = w.range_end_ms - f->range_ms;
    w.eval_ms = grid_time(&f->grid, step);
    for (size_t i = 0; i < s->samples.count; i++) {
        if (s->times[i] <= w.range_start_ms || s->times[i] > w.range_end_ms ||
            sample_is_stale(s->values[i]))
            continue;
        times[w.count] = s->times[i];
        values[w.count++] = s->values[i];
    }
    return w.count && range_function_eval(id, &w, params, out);
}

static bool values_agree(double a, double b)
{
    if (isnan(a) || isnan(b))
        return isnan(a) && isnan(b);
    return a == b || fabs(a - b) <= 1e-9 * fmax(1, fmax(fabs(a), fabs(b)));
}

static void check_case(struct worker *w, const struct random_series *s,
                       const struct window_frame *f, enum function_id id, const double *param,
                       uint64_t seed)
{
    static double values[STEPS_MAX];
    uint64_t presence[(STEPS_MAX + 63) / 64];
    struct window_call call = {
        .kind = WINDOW_FUNCTION, .function = id, .params = &param, .param_count = 1};
    memset(presence, 0, sizeof presence);
    if (s->samples.count)
        assert_true(window_apply(w, s, f, &call, &s->samples, values, presence));
    for (uint32_t step = 0; step < f->grid.steps; step++) {
        double expected = 0;
        bool present = window_oracle(s, f, step, id, &param[step], &expected);
        if (present != presence_get(presence, step) ||
            (present && !values_agree(expected, values[step])))
            fail_msg("seed %llu, function %s, step %u: expected %d %.17g, got %d %.17g",
                     (unsigned long long)seed, function_get(id)->name, step, present, expected,
                     presence_get(presence, step), values[step]);
    }
}

static void sliding_agrees_with_each_window_by_itself(void **state)
{
    const char *scale = getenv("TEST_SCALE");
    long rounds = 300 * (scale ? strtol(scale, NULL, 10) : 1);
    struct worker w = {0};
    struct random r;
    uint64_t seed;
    random_secret(&seed, sizeof seed);
    print_message("seed %llu\n", (unsigned long long)seed);
    random_seed(&r, seed);
    for (long i = 0; i < rounds; i++) {
        struct random_series s;
        struct window_frame f;
        double param[STEPS_MAX];
        series_fill(&s, &r);
        frame_fill(&f, &r);
        for (size_t k = 0; k < STEPS_MAX; k++)
            param[k] = (double)random_below(&r, 12) / 10 - 0.05;
        for (size_t k = 0; k < sizeof FUNCTIONS / sizeof FUNCTIONS[0]; k++)
            check_case(&w, &s, &f, FUNCTIONS[k], param, seed);
    }
    window_scratch_free(w.window);
}

/* Bounds of a series are those of the next only where owner, times_id and count agree. */
static void bounds_are_shared_only_between_equal_times(void **state)
{
    static const int64_t A[] = {1000, 2000, 3000}, B[] = {1000, 2500, 2600};
    static const double V[] = {1, 2, 3};
    struct window_frame f = {.grid = {.start_ms = 2000, .step_ms = 600, .steps = 2},
                             .range_ms = 5000};
    struct window_call call = {.kind = WINDOW_LAST};
    struct worker w = {0};
    static const struct {
        const int64_t *times;
        uint64_t times_id;
        int owner;
        double first, second;
    } CASES[] = {
        {A, 1, 0, 2, 2}, {A, 1, 0, 2, 2}, {B, 2, 0, 1, 3}, {A, 1, 1, 2, 2},
        {B, 0, 1, 1, 3}, {A, 0, 1, 2, 2}, {B, 1, 2, 1, 3},
    };
    static const char OWNERS[3];
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        struct samples s = {
            .times = CASES[i].times, .values = V, .count = 3, .times_id = CASES[i].times_id};
        double values[2] = {0, 0};
        uint64_t presence = 0;
        assert_true(window_apply(&w, &OWNERS[CASES[i].owner], &f, &call, &s, values, &presence));
        assert_int_equal(presence, 3);
        assert_true(values[0] == CASES[i].first && values[1] == CASES[i].second);
    }
    window_scratch_free(w.window);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sliding_agrees_with_each_window_by_itself),
        cmocka_unit_test(bounds_are_shared_only_between_equal_times),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
