/* SPDX-License-Identifier: Apache-2.0 */
/* window.c: bounds of windows, and functions that slide over them.
 *
 * Which way a function goes is decided once per series:
 *   rate, increase, delta      O(1) per step: first, last, and a running sum of what counter resets lost
 *   min, max                   O(1) per step: prefixes and suffixes of blocks (van Herk; Gil and Werman)
 *   quantile                   a sorted window, edited as samples come and go
 *   count, last, present       bounds alone
 *   everything else            range_functions.h, per window
 * Stale markers are taken out before (not for instant selectors, where the last sample decides). */
#include "promql/window.h"

#include "base/assert.h"
#include "model/sample.h"
#include "promql/instant_functions.h"
#include "promql/range_functions.h"

#include <math.h>

#if defined(__GNUC__) && !defined(__clang__)
#define VECTORIZE                                                                                  \
    __attribute__((optimize("O3"))) /* gcc's -O2 leaves loops of unknown length alone */
#else
#define VECTORIZE
#endif

/* The part of rate, increase and delta that depends on times alone. */
struct extrapolation {
    double *interval;          /* seconds between first and last sample */
    double *to_start, *to_end; /* seconds to extrapolate, before the counter's zero is considered */
    double *factor;            /* (interval + to_start + to_end) / interval [/ range] */
};

struct window_scratch {
    /* Bounds of the series before, valid for the next with the same owner and times_id. */
    const void *owner;
    uint64_t times_id;
    size_t count;
    uint32_t *lo, *hi; /* per step: samples [lo, hi) */
    uint32_t steps_capacity;
    uint32_t width_max; /* the longest window */
    int64_t total;      /* of all windows together */
    bool has_extrapolation;
    struct extrapolation extra;

    /* The series without its stale markers. */
    int64_t *times;
    double *values;
    size_t samples_capacity;
    double *work;            /* 2 * samples_capacity doubles */
    uint64_t samples_passed; /* since the last look at the clock */
    int64_t applied;         /* samples that the last window_apply() used */
};

void window_scratch_free(struct window_scratch *s)
{
    if (!s)
        return;
    mem_free(MEM_QUERY, s->lo);
    mem_free(MEM_QUERY, s->extra.interval);
    mem_free(MEM_QUERY, s->times);
    mem_free(MEM_QUERY, s->values);
    mem_free(MEM_QUERY, s->work);
    mem_free(MEM_QUERY, s);
}

static struct window_scratch *scratch_get(struct worker *w, uint32_t steps)
{
    struct window_scratch *s = w->window;
    if (!s)
        s = w->window = mem_alloc_zero(MEM_QUERY, 1, sizeof *s);
    if (s->steps_capacity < steps) {
        mem_free(MEM_QUERY, s->lo);
        mem_free(MEM_QUERY, s->extra.interval);
        s->lo = mem_alloc(MEM_QUERY, 2 * (size_t)steps * sizeof *s->lo);
        s->hi = s->lo + steps;
        s->extra.interval = mem_alloc(MEM_QUERY, 4 * (size_t)steps * sizeof(double));
        s->extra.to_start = s->extra.interval + steps;
        s->extra.to_end = s->extra.to_start + steps;
        s->extra.factor = s->extra.to_end + steps;
        s->steps_capacity = steps;
        s->owner = NULL;
    }
    return s;
}

static void scratch_reserve_samples(struct window_scratch *s, size_t count)
{
    if (s->samples_capacity >= count)
        return;
    size_t capacity = count + count / 2;
    mem_free(MEM_QUERY, s->times);
    mem_free(MEM_QUERY, s->values);
    mem_free(MEM_QUERY, s->work);
    s->times = mem_alloc(MEM_QUERY, capacity * sizeof *s->times);
    s->values = mem_alloc(MEM_QUERY, capacity * sizeof *s->values);
    s->work = mem_alloc(MEM_QUERY, 2 * capacity * sizeof *s->work);
    s->samples_capacity = capacity;
}

/* Long windows that overlap are passed over again and again: a step may take milliseconds, a series
 * hours. Looks at the clock and the cancel flag now and then. */
enum { SAMPLES_BETWEEN_CHECKS = 1 << 22 };

static bool pass_samples(struct worker *w, uint64_t count)
{
    struct window_scratch *s = w->window;
    s->samples_passed += count;
    if (LIKELY(s->samples_passed < SAMPLES_BETWEEN_CHECKS))
        return true;
    s->samples_passed = 0;
    return eval_check(w->eval, &w->error);
}

/* --- bounds --- */

static uint32_t bounds_find(const struct window_frame *f, const int64_t *restrict times,
                            size_t count, uint32_t *restrict lo, uint32_t *restrict hi,
                            int64_t *total)
{
    *total = 0;
    uint32_t from = 0, to = 0, width_max = 0;
    for (uint32_t s = 0; s < f->grid.steps; s++) {
        int64_t end = frame_end(f, s), start = end - f->range_ms;
        while (to < count && times[to] <= end)
            to++;
        while (from < to && times[from] <= start)
            from++;
        lo[s] = from;
        hi[s] = to;
        width_max = to - from > width_max ? to - from : width_max;
        *total += to - from;
    }
    return width_max;
}

/* Bounds of `samples`, from the series before when it had the same times. */
static void bounds_get(struct window_scratch *s, const void *owner, const struct window_frame *f,
                       const struct samples *samples)
{
    if (samples->times_id && s->owner == owner && s->times_id == samples->times_id &&
        s->count == samples->count)
        return;
    s->width_max = bounds_find(f, samples->times, samples->count, s->lo, s->hi, &s->total);
    s->owner = samples->times_id ? owner : NULL;
    s->times_id = samples->times_id;
    s->count = samples->count;
    s->has_extrapolation = false;
}

/* --- instant selectors --- */

/* Without branches: presence is gathered a word at a time. */
static void last_fill(const struct window_scratch *s, uint32_t steps, const double *restrict in,
                      double *restrict out, uint64_t *restrict presence)
{
    for (uint32_t from = 0; from < steps; from += 64) {
        uint32_t to = steps - from < 64 ? steps : from + 64;
        uint64_t bits = 0;
        for (uint32_t i = from; i < to; i++) {
            uint32_t hi = s->hi[i];
            double v = in[hi ? hi - 1 : 0]; /* there is at least one sample */
            out[i] = v;
            bits |= (uint64_t)((hi != s->lo[i]) & !sample_is_stale(v)) << (i - from);
        }
        presence[from / 64] = bits;
    }
}

static void last_time_fill(const struct window_scratch *s, uint32_t steps, const struct samples *in,
                           double *restrict out, uint64_t *restrict presence)
{
    for (uint32_t i = 0; i < steps; i++) {
        if (s->hi[i] == s->lo[i] || sample_is_stale(in->values[s->hi[i] - 1]))
            continue;
        out[i] = (double)in->times[s->hi[i] - 1] / 1000;
        presence_set(presence, i);
    }
}

/* --- rate, increase, delta --- */

/* Only what times decide; see extrapolatedRate in Prometheus' promql/functions.go for the formula. */
static void extrapolation_compute(struct window_scratch *s, const struct window_frame *f,
                                  const int64_t *times, bool is_rate)
{
    struct extrapolation *x = &s->extra;
    double range_seconds = (double)f->range_ms / 1000;
    for (uint32_t i = 0; i < f->grid.steps; i++) {
        if (s->hi[i] - s->lo[i] < 2)
            continue;
        int64_t first = times[s->lo[i]], last = times[s->hi[i] - 1];
        int64_t end = frame_end(f, i), start = end - f->range_ms;
        double interval = (double)(last - first) / 1000;
        double average = interval / (double)(s->hi[i] - s->lo[i] - 1);
        double to_start = (double)(first - start) / 1000;
        double to_end = (double)(end - last) / 1000;
        if (to_start >= average * 1.1)
            to_start = average / 2;
        if (to_end >= average * 1.1)
            to_end = average / 2;
        x->interval[i] = interval;
        x->to_start[i] = to_start;
        x->to_end[i] = to_end;
        double factor = (interval + to_start + to_end) / interval;
        x->factor[i] = is_rate ? factor / range_seconds : factor;
    }
    s->has_extrapolation = true;
}

/* Ascending, without a NaN: no reset, no stale marker. count > 0. */
VECTORIZE static bool values_ascend(const double *restrict v, size_t count)
{
    uint64_t broken = (uint64_t)(v[0] != v[0]);
    for (size_t i = 1; i < count; i++)
        broken |= (uint64_t) !(v[i] >= v[i - 1]);
    return !broken;
}

VECTORIZE static bool values_have_nan(const double *restrict v, size_t count)
{
    uint64_t nan = 0;
    for (size_t i = 0; i < count; i++)
        nan |= (uint64_t)(v[i] != v[i]);
    return nan != 0;
}

/* lost[i]: the sum of the values that resets up to sample i threw away. */
static void resets_sum(const double *restrict v, size_t count, double *restrict lost)
{
    double sum = 0;
    lost[0] = 0;
    for (size_t i = 1; i < count; i++) {
        if (v[i] < v[i - 1])
            sum += v[i - 1];
        lost[i] = sum;
    }
}

/* `lost` NULL = no resets. */
static void rate_fill(const struct window_scratch *s, const struct window_frame *f,
                      const double *restrict v, const double *restrict lost, bool is_counter,
                      bool is_rate, double *restrict out, uint64_t *restrict presence)
{
    const struct extrapolation *x = &s->extra;
    double range_seconds = (double)f->range_ms / 1000;
    uint64_t bits = 0;
    for (uint32_t i = 0; i < f->grid.steps; i++) {
        uint32_t lo = s->lo[i], hi = s->hi[i];
        if (i % 64 == 0 && i) {
            presence[i / 64 - 1] = bits;
            bits = 0;
        }
        if (hi - lo < 2)
            continue;
        double first = v[lo], result = v[hi - 1] - first;
        if (lost)
            result += lost[hi - 1] - lost[lo];
        double factor = x->factor[i];
        /* A counter cannot have been below zero: never extrapolate past where it would have been. */
        if (is_counter && result > 0 && first >= 0 &&
            first * x->interval[i] < x->to_start[i] * result) {
            double to_zero = x->interval[i] * (first / result);
            factor = (x->interval[i] + to_zero + x->to_end[i]) / x->interval[i];
            if (is_rate)
                factor /= range_seconds;
        }
        out[i] = result * factor;
        bits |= UINT64_C(1) << (i % 64);
    }
    presence[(f->grid.steps - 1) / 64] = bits;
}

static bool call_wants_ascent(const struct window_call *call)
{
    return call->kind == WINDOW_FUNCTION &&
           (call->function == FUNCTION_RATE || call->function == FUNCTION_INCREASE);
}

static void rate_apply(struct window_scratch *s, const struct window_frame *f,
                       enum function_id function, const struct samples *in, bool ascends,
                       double *out, uint64_t *presence)
{
    bool is_counter = function != FUNCTION_DELTA, is_rate = function == FUNCTION_RATE;
    const double *lost = NULL;
    if (is_counter && !ascends && in->count) {
        scratch_reserve_samples(s, in->count);
        resets_sum(in->values, in->count, s->work);
        lost = s->work;
    }
    if (!s->has_extrapolation)
        extrapolation_compute(s, f, in->times, is_rate);
    rate_fill(s, f, in->values, lost, is_counter, is_rate, out, presence);
}

/* --- min, max --- */

/* Blocks as long as the longest window: each window lies in at most two, so it is the suffix of one and the
 * prefix of the next, or one of the two. Only a short window amid a block is walked. */
static void extreme_fill(const struct window_scratch *s, uint32_t steps, const double *restrict v,
                         size_t count, double sign, double *restrict prefix,
                         double *restrict suffix, double *restrict out, uint64_t *restrict presence)
{
    size_t block = s->width_max;
    for (size_t b = 0; b < count; b += block) {
        size_t end = b + block < count ? b + block : count;
        double best = -INFINITY;
        for (size_t i = b; i < end; i++) {
            best = sign * v[i] > best ? sign * v[i] : best;
            prefix[i] = best;
        }
        best = -INFINITY;
        for (size_t i = end; i-- > b;) {
            best = sign * v[i] > best ? sign * v[i] : best;
            suffix[i] = best;
        }
    }
    size_t block_end = block; /* of the block that lo is in; windows only move on */
    for (uint32_t i = 0; i < steps; i++) {
        uint32_t lo = s->lo[i], hi = s->hi[i];
        if (lo == hi)
            continue;
        while (lo >= block_end)
            block_end += block;
        double best;
        if (hi > block_end) {
            best = suffix[lo] > prefix[hi - 1] ? suffix[lo] : prefix[hi - 1];
        } else if (lo + block == block_end) {
            best = prefix[hi - 1];
        } else if (hi == block_end) {
            best = suffix[lo];
        } else {
            best = sign * v[lo];
            for (uint32_t k = lo + 1; k < hi; k++)
                best = sign * v[k] > best ? sign * v[k] : best;
        }
        out[i] = sign * best;
        presence_set(presence, i);
    }
}

/* --- quantile --- */

static size_t sorted_place(const double *sorted, size_t count, double v)
{
    size_t lo = 0, hi = count;
    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        if (sorted[mid] < v)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

static double sorted_quantile(double q, const double *sorted, size_t count)
{
    if (isnan(q))
        return NAN;
    if (q < 0)
        return -INFINITY;
    if (q > 1)
        return INFINITY;
    double n = (double)count, rank = q * (n - 1);
    double lower = fmax(0, floor(rank)), upper = fmin(n - 1, lower + 1);
    double weight = rank - floor(rank);
    return sorted[(size_t)lower] * (1 - weight) + sorted[(size_t)upper] * weight;
}

static void quantile_fill(const struct window_scratch *s, uint32_t steps, const double *restrict v,
                          const double *restrict q, double *restrict sorted, double *restrict out,
                          uint64_t *restrict presence)
{
    uint32_t from = 0, to = 0; /* sorted holds v[from..to) */
    size_t count = 0;
    for (uint32_t i = 0; i < steps; i++) {
        uint32_t lo = s->lo[i], hi = s->hi[i];
        if (lo >= to) { /* nothing in common with the window before */
            from = to = lo;
            count = 0;
        }
        for (; from < lo; from++) {
            size_t at = sorted_place(sorted, count, v[from]);
            memmove(sorted + at, sorted + at + 1, (count - at - 1) * sizeof *sorted);
            count--;
        }
        for (; to < hi; to++) {
            size_t at = sorted_place(sorted, count, v[to]);
            memmove(sorted + at + 1, sorted + at, (count - at) * sizeof *sorted);
            sorted[at] = v[to];
            count++;
        }
        if (!count)
            continue;
        out[i] = sorted_quantile(q[i], sorted, count);
        presence_set(presence, i);
    }
}

/* --- the rest --- */

static void count_fill(const struct window_scratch *s, uint32_t steps, bool present_only,
                       double *restrict out, uint64_t *restrict presence)
{
    for (uint32_t i = 0; i < steps; i++) {
        if (s->hi[i] == s->lo[i])
            continue;
        out[i] = present_only ? 1 : (double)(s->hi[i] - s->lo[i]);
        presence_set(presence, i);
    }
}

/* A sum that overflows has a mean all the same; that window is the generic function's. */
static bool sum_fill(struct worker *w, uint32_t steps, const double *restrict v, bool mean,
                     double *restrict out, uint64_t *restrict presence)
{
    const struct window_scratch *s = w->window;
    for (uint32_t i = 0; i < steps; i++) {
        if (s->hi[i] == s->lo[i])
            continue;
        if (!pass_samples(w, s->hi[i] - s->lo[i]))
            return false;
        double sum = 0, c = 0, n = mean ? (double)(s->hi[i] - s->lo[i]) : 1;
        for (uint32_t k = s->lo[i]; k < s->hi[i]; k++)
            kahan_add(v[k], &sum, &c);
        out[i] = isinf(sum) ? sum : sum / n + c / n;
        if (UNLIKELY(mean && !isfinite(sum))) {
            struct window window = {.values = v + s->lo[i], .count = s->hi[i] - s->lo[i]};
            (void)range_function_eval(FUNCTION_AVG_OVER_TIME, &window, NULL, &out[i]);
        }
        presence_set(presence, i);
    }
    return true;
}

static bool generic_fill(struct worker *w, const struct window_frame *f,
                         const struct window_call *call, const struct samples *in, double *out,
                         uint64_t *presence)
{
    struct window_scratch *s = w->window;
    range_function function = range_function_find(call->function);
    ASSERT(function != NULL);
    scratch_reserve_samples(s, in->count);
    double params[4];
    bool checks_params = call->function == FUNCTION_DOUBLE_EXPONENTIAL_SMOOTHING;
    ASSERT(call->param_count <= ARRAY_COUNT(params));
    for (uint32_t i = 0; i < f->grid.steps; i++) {
        if (s->hi[i] == s->lo[i])
            continue;
        if (!pass_samples(w, s->hi[i] - s->lo[i]))
            return false;
        int64_t end = frame_end(f, i);
        struct window window = {.times = in->times + s->lo[i],
                                .values = in->values + s->lo[i],
                                .count = s->hi[i] - s->lo[i],
                                .range_start_ms = end - f->range_ms,
                                .range_end_ms = end,
                                .eval_ms = grid_time(&f->grid, i),
                                .scratch = s->work};
        for (uint32_t p = 0; p < call->param_count; p++)
            params[p] = call->params[p][i];
        if (UNLIKELY(checks_params) &&
            !range_function_check_params(call->function, params, &w->error))
            return false; /* only where there is something to smooth, as in Prometheus */
        if (function(&window, params, &out[i]))
            presence_set(presence, i);
    }
    return true;
}

/* anchored, smoothed: the window also holds the last sample before it, and smoothed the first one after. */
static bool extended_fill(struct worker *w, const struct window_frame *f,
                          const struct window_call *call, const struct samples *in, double *out,
                          uint64_t *presence)
{
    struct window_scratch *s = w->window;
    uint32_t from = 0, to = 0;
    s->owner = NULL; /* these bounds are nobody else's */
    s->applied = 0;
    for (uint32_t i = 0; i < f->grid.steps; i++) {
        int64_t end = frame_end(f, i), start = end - f->range_ms;
        while (to < in->count && in->times[to] <= end)
            to++;
        while (from < to && in->times[from] <= start)
            from++;
        uint32_t lo = from, hi = to;
        if (lo > 0 && in->times[lo - 1] > start - call->lookback_ms)
            lo--;
        if (call->smoothed && hi < in->count && in->times[hi] <= end + call->lookback_ms)
            hi++;
        s->lo[i] = lo;
        s->hi[i] = hi;
        s->applied += hi - lo;
        if (lo == hi)
            continue;
        if (!pass_samples(w, hi - lo))
            return false;
        struct window window = {.times = in->times + lo,
                                .values = in->values + lo,
                                .count = hi - lo,
                                .range_start_ms = start,
                                .range_end_ms = end,
                                .eval_ms = grid_time(&f->grid, i),
                                .scratch = s->work};
        if (range_function_eval_extended(call->function, call->smoothed, &window, &out[i]))
            presence_set(presence, i);
    }
    return true;
}

/* selector smoothed: a sample must be there at or before the step; the next one may be a lookback away. */
static void smoothed_fill(const struct window_frame *f, const struct window_call *call,
                          const struct samples *in, double *out, uint64_t *presence)
{
    const int64_t *t = in->times;
    const double *v = in->values;
    size_t next = 0;
    for (uint32_t i = 0; i < f->grid.steps; i++) {
        int64_t end = frame_end(f, i);
        while (next < in->count && t[next] <= end)
            next++;
        if (next == 0 || t[next - 1] <= end - f->range_ms)
            continue;
        size_t last = next - 1;
        out[i] = v[last];
        if (t[last] < end && next < in->count && t[next] <= end + call->lookback_ms)
            out[i] += (v[next] - v[last]) * (double)(end - t[last]) / (double)(t[next] - t[last]);
        presence_set(presence, i);
    }
}

/* Takes the stale markers out into the scratch; the result has times of its own. */
static struct samples without_stale(struct window_scratch *s, const struct samples *in)
{
    scratch_reserve_samples(s, in->count);
    size_t kept = 0;
    for (size_t i = 0; i < in->count; i++) {
        if (sample_is_stale(in->values[i]))
            continue;
        s->times[kept] = in->times[i];
        s->values[kept++] = in->values[i];
    }
    if (kept == in->count)
        return *in;
    return (struct samples){.times = s->times, .values = s->values, .count = kept};
}

static bool function_apply(struct worker *w, const struct window_frame *f,
                           const struct window_call *call, const struct samples *in, bool ascends,
                           bool has_nan, double *out, uint64_t *presence)
{
    struct window_scratch *s = w->window;
    uint32_t steps = f->grid.steps;
    switch (call->function) {
    case FUNCTION_RATE:
    case FUNCTION_INCREASE:
    case FUNCTION_DELTA:
        rate_apply(s, f, call->function, in, ascends, out, presence);
        return true;
    case FUNCTION_COUNT_OVER_TIME:
    case FUNCTION_PRESENT_OVER_TIME:
        count_fill(s, steps, call->function == FUNCTION_PRESENT_OVER_TIME, out, presence);
        return true;
    case FUNCTION_LAST_OVER_TIME:
        last_fill(s, steps, in->values, out, presence);
        return true;
    case FUNCTION_SUM_OVER_TIME:
        return sum_fill(w, steps, in->values, false, out, presence);
    case FUNCTION_AVG_OVER_TIME:
        return sum_fill(w, steps, in->values, true, out, presence);
    case FUNCTION_MIN_OVER_TIME:
    case FUNCTION_MAX_OVER_TIME:
        if (has_nan || s->width_max == 0)
            break;
        scratch_reserve_samples(s, in->count);
        extreme_fill(s, steps, in->values, in->count,
                     call->function == FUNCTION_MAX_OVER_TIME ? 1 : -1, s->work,
                     s->work + in->count, out, presence);
        return true;
    case FUNCTION_QUANTILE_OVER_TIME:
        if (has_nan)
            break;
        scratch_reserve_samples(s, in->count);
        quantile_fill(s, steps, in->values, call->params[0], s->work, out, presence);
        return true;
    default:
        break;
    }
    return generic_fill(w, f, call, in, out, presence);
}

bool window_apply(struct worker *w, const void *owner, const struct window_frame *frame,
                  const struct window_call *call, const struct samples *samples, double *values,
                  uint64_t *presence)
{
    struct window_scratch *s = scratch_get(w, frame->grid.steps);
    if (call->kind == WINDOW_LAST || call->kind == WINDOW_LAST_TIME) {
        bounds_get(s, owner, frame, samples);
        if (call->kind == WINDOW_LAST)
            last_fill(s, frame->grid.steps, samples->values, values, presence);
        else
            last_time_fill(s, frame->grid.steps, samples, values, presence);
        s->applied = presence_count(presence, presence_words(frame->grid.steps));
        return true;
    }
    s->applied = 0;
    if (samples->count == 0)
        return true;
    struct samples in = *samples;
    bool ascends = call_wants_ascent(call) && values_ascend(in.values, in.count);
    bool has_nan = !ascends && values_have_nan(in.values, in.count);
    if (UNLIKELY(has_nan))
        in = without_stale(s, samples);
    if (in.count == 0)
        return true;
    if (call->kind == WINDOW_SMOOTHED) {
        smoothed_fill(frame, call, &in, values, presence);
        s->applied = presence_count(presence, presence_words(frame->grid.steps));
        return true;
    }
    if (call->extended)
        return extended_fill(w, frame, call, &in, values, presence);
    bounds_get(s, owner, frame, &in);
    s->applied = s->total;
    if (call->kind != WINDOW_PRESENT)
        return function_apply(w, frame, call, &in, ascends, has_nan, values, presence);
    count_fill(s, frame->grid.steps, true, values, presence);
    return true;
}

int64_t window_samples_used(const struct worker *w)
{
    return w->window ? w->window->applied : 0;
}

void window_samples_add(const struct worker *w, const struct window_frame *frame,
                        const struct window_call *call, const uint64_t *presence, int64_t *steps)
{
    const struct window_scratch *s = w->window;
    if (!s || s->applied == 0)
        return;
    bool one = call->kind == WINDOW_LAST || call->kind == WINDOW_LAST_TIME ||
               call->kind == WINDOW_SMOOTHED;
    for (uint32_t i = 0; i < frame->grid.steps; i++)
        steps[i] += one ? (int64_t)presence_get(presence, i) : (int64_t)(s->hi[i] - s->lo[i]);
}
