/* SPDX-License-Identifier: Apache-2.0 */
/* summary.c: quantiles over a sliding window.
 *
 * A summary counts in a sketch for its whole life. At each step of age (max age / steps) what the sketch holds is kept as a
 * reading; what was observed in the window is what it holds now less the oldest reading. So observing is one update of a sketch
 * (no lock, no list to keep sorted, unlike CKMS streams), memory is bounded by the buckets there may be, and whoever takes the
 * reading holds up nobody: others that observe meanwhile skip it. The window is between (steps - 1) / steps of the maximum
 * age and all of it long.
 *
 * A quantile is the middle of the bucket where its rank falls: not the value of that rank, but within half a bucket's width of
 * it (0.54 % in schema 6). Source: DDSketch (Masson, Rim, Lee 2019), with buckets 2^(1/64) wide. */
#include "instrument/clock.h"
#include "instrument/lock.h"
#include "instrument/registry.h"
#include "instrument/status.h"

#include <math.h>
#include <stdlib.h>

struct summary_window {
    int64_t step_ms;              /* constant */
    uint32_t steps;               /* constant */
    _Atomic int64_t next_step_ms; /* of the age clock; stored under the lock */
    struct sketch_reading now;    /* the lock: from here on */
    uint32_t oldest;              /* in readings */
    struct sketch_reading readings[];
};

bool belfry__summary_init_locked(belfry_summary *s)
{
    const struct family *f = s->metric.family;
    struct summary_window *w = calloc(1, sizeof(*w) + f->age_buckets * sizeof(w->readings[0]));
    if (!w || !belfry__sketch_init_locked(&s->sketch, &f->sketch)) {
        free(w);
        return false;
    }
    w->steps = f->age_buckets;
    w->step_ms = f->max_age_ms / f->age_buckets > 0 ? f->max_age_ms / f->age_buckets : 1;
    atomic_init(&w->next_step_ms, belfry__age_ms() + w->step_ms);
    for (uint32_t i = 0; i < w->steps; i++)
        w->readings[i].schema = f->sketch.schema;
    s->window = w;
    return true;
}

void belfry__summary_deinit_locked(belfry_summary *s)
{
    for (uint32_t i = 0; i < s->window->steps; i++)
        belfry__sketch_reading_deinit(&s->window->readings[i]);
    belfry__sketch_reading_deinit(&s->window->now);
    free(s->window);
    belfry__sketch_deinit_locked(&s->sketch);
}

/* --- steps of age --- */

/* All steps that have ended by now_ms: the oldest readings become the newest. Without memory it is tried again later. */
static bool window_step_locked(belfry_summary *s, int64_t now_ms)
{
    struct summary_window *w = s->window;
    int64_t next_ms = atomic_load_explicit(&w->next_step_ms, memory_order_relaxed);
    if (now_ms < next_ms)
        return true;
    int64_t ended = (now_ms - next_ms) / w->step_ms + 1;
    for (int64_t i = 0; i < ended && i < w->steps; i++) {
        if (!belfry__sketch_read_locked(&s->sketch, &w->readings[w->oldest]))
            return false;
        w->oldest = (w->oldest + 1) % w->steps;
    }
    atomic_store_explicit(&w->next_step_ms, next_ms + ended * w->step_ms, memory_order_relaxed);
    return true;
}

belfry_status belfry_summary_observe(belfry_summary *s, double value)
{
    if (UNLIKELY(!s))
        return belfry__fail_plainly(BELFRY_ERROR_NULL);
    if (UNLIKELY(!is_finite_double(value)))
        return belfry__fail(BELFRY_ERROR_VALUE, "summary \"%s\" cannot observe %g",
                            s->metric.family->name, value);
    int64_t now_ms = belfry__age_ms();
    if (UNLIKELY(now_ms >= atomic_load_explicit(&s->window->next_step_ms, memory_order_relaxed)) &&
        belfry__try_lock()) {
        (void)window_step_locked(s, now_ms); /* without memory: the next one tries */
        belfry__unlock();
    }
    return belfry__sketch_observe(&s->sketch, value) ? BELFRY_OK
                                                     : belfry__fail_plainly(BELFRY_ERROR_MEMORY);
}

/* --- quantiles --- */

/* Takes `old` out of `now`, of the same schema; both ascend, and all keys of old are in now. */
static void buckets_subtract(struct sketch_bucket *now, size_t now_count,
                             const struct sketch_bucket *old, size_t old_count)
{
    size_t k = 0;
    for (size_t i = 0; i < now_count && k < old_count; i++) {
        if (now[i].key == old[k].key)
            now[i].count -= old[k++].count;
    }
}

/* What the window holds, into w->now (whose count and sum stay those of the whole life). */
static bool window_read_locked(belfry_summary *s, uint64_t *in_window)
{
    struct summary_window *w = s->window;
    if (!window_step_locked(s, belfry__age_ms()) ||
        !belfry__sketch_read_locked(&s->sketch, &w->now))
        return false;
    struct sketch_reading *old = &w->readings[w->oldest];
    belfry__sketch_reading_widen(old, w->now.schema);
    buckets_subtract(w->now.negative, w->now.negative_count, old->negative, old->negative_count);
    buckets_subtract(w->now.positive, w->now.positive_count, old->positive, old->positive_count);
    w->now.zero_count -= old->zero_count;
    *in_window = w->now.count - old->count;
    return true;
}

/* The middle of a bucket: as far, in proportion, from either bound. */
static double bucket_middle(int32_t key, int schema)
{
    double high = belfry__sketch_bound(key, schema), low = belfry__sketch_bound(key - 1, schema);
    return isinf(high) ? low : low / (0.5 + low / high / 2); /* low + high may be too large */
}

static double quantile_of(const struct sketch_reading *r, uint64_t count, double quantile)
{
    if (count == 0)
        return (double)NAN;
    double rank = ceil(quantile * (double)count);
    uint64_t left = rank < 1 ? 1 : (uint64_t)rank;
    for (size_t i = r->negative_count; i-- > 0;) {
        if (r->negative[i].count >= left)
            return -bucket_middle(r->negative[i].key, r->schema);
        left -= r->negative[i].count;
    }
    if (r->zero_count >= left)
        return 0;
    left -= r->zero_count;
    size_t i = 0;
    while (i + 1 < r->positive_count && r->positive[i].count < left)
        left -= r->positive[i++].count;
    return r->positive_count ? bucket_middle(r->positive[i].key, r->schema) : 0;
}

bool belfry__summary_read(const belfry_summary *summary, double *quantile_values, uint64_t *count,
                          double *sum)
{
    belfry_summary *s =
        (belfry_summary *)(uintptr_t)summary; /* only the window, which has its lock */
    const struct family *f = s->metric.family;
    uint64_t in_window = 0;
    belfry__lock();
    bool ok = window_read_locked(s, &in_window);
    for (size_t i = 0; ok && i < f->quantile_count; i++)
        quantile_values[i] = quantile_of(&s->window->now, in_window, f->quantiles[i]);
    *count = s->window->now.count;
    *sum = s->window->now.sum;
    belfry__unlock();
    return ok;
}

double belfry_summary_quantile(const belfry_summary *summary, double quantile)
{
    double value = (double)NAN;
    uint64_t in_window;
    if (!summary || !(quantile >= 0 && quantile <= 1))
        return value;
    belfry_summary *s = (belfry_summary *)(uintptr_t)summary; /* as above */
    belfry__lock();
    if (window_read_locked(s, &in_window))
        value = quantile_of(&s->window->now, in_window, quantile);
    belfry__unlock();
    return value;
}

uint64_t belfry_summary_count(const belfry_summary *summary)
{
    double quantiles[BELFRY_QUANTILES_MAX], sum;
    uint64_t count = 0;
    return summary && belfry__summary_read(summary, quantiles, &count, &sum) ? count : 0;
}

double belfry_summary_sum(const belfry_summary *summary)
{
    double quantiles[BELFRY_QUANTILES_MAX], sum = 0;
    uint64_t count;
    return summary && belfry__summary_read(summary, quantiles, &count, &sum) ? sum : 0;
}
