/* SPDX-License-Identifier: Apache-2.0 */
/* histogram.c: classic buckets in the histogram's cells, native ones in its sketch; either or both. With both the sum is the
 * sketch's, so that it begins anew with it, and the classic buckets are shown less what they held at that time. */
#include "instrument/lock.h"
#include "instrument/registry.h"
#include "instrument/status.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static uint64_t classic_count(const belfry_histogram *h, size_t bucket)
{
    return belfry__cells_sum(&h->metric.cells, h->base, HISTOGRAM_FIRST_BUCKET_CELL + bucket);
}

/* The sketch begins anew: what the classic buckets hold is of the time before. */
static void classic_begin_anew_locked(struct sketch *sketch)
{
    belfry_histogram *h = (belfry_histogram *)((char *)sketch - offsetof(belfry_histogram, sketch));
    for (size_t i = 0; i <= h->bound_count; i++)
        h->classic_before[i] = classic_count(h, i);
}

bool belfry__histogram_init_locked(belfry_histogram *h)
{
    const struct family *f = h->metric.family;
    h->bounds = f->bounds;
    h->bound_count = (uint32_t)f->bound_count;
    h->is_classic = f->bounds != NULL;
    h->is_native = f->sketch.schema != SKETCH_SCHEMA_NONE;
    if (!h->is_native)
        return true;
    if (h->is_classic && f->sketch.reset_ms > 0) {
        h->classic_before = calloc(f->bound_count + 1, sizeof(h->classic_before[0]));
        if (!h->classic_before)
            return false;
    }
    if (!belfry__sketch_init_locked(&h->sketch, &f->sketch)) {
        free(h->classic_before);
        return false;
    }
    h->sketch.began_anew_locked = h->classic_before ? classic_begin_anew_locked : NULL;
    return true;
}

void belfry__histogram_deinit_locked(belfry_histogram *h)
{
    struct exemplar_places *places = atomic_load_explicit(&h->exemplars, memory_order_relaxed);
    for (size_t i = 0; places && i < places->count; i++)
        belfry__exemplar_free(atomic_load_explicit(&places->places[i], memory_order_relaxed));
    free(places);
    free(h->classic_before);
    if (h->is_native)
        belfry__sketch_deinit_locked(&h->sketch);
}

/* --- observing --- */

/* The number of bounds below `value`: its bucket (le: a value on a bound belongs to it). Halving without
 * a branch on the value, which no predictor could learn. */
static size_t bucket_of(const double *bounds, size_t count, double value)
{
    const double *base = bounds;
    while (count > 1) {
        size_t half = count / 2;
        base += base[half - 1] < value ? half : 0;
        count -= half;
    }
    return (size_t)(base - bounds) + (base[0] < value);
}

static inline belfry_status observe(belfry_histogram *h, double value)
{
    if (UNLIKELY(!is_finite_double(value)))
        return belfry__fail(BELFRY_ERROR_VALUE, "histogram \"%s\" cannot observe %g",
                            h->metric.family->name, value);
    if (h->is_native) {
        if (UNLIKELY(!belfry__sketch_observe(&h->sketch, value)))
            return belfry__fail_plainly(BELFRY_ERROR_MEMORY);
        if (!h->is_classic)
            return BELFRY_OK;
    }
    _Atomic uint64_t *mine = cells_mine(&h->metric.cells, h->base);
    if (UNLIKELY(mine == NULL))
        return belfry__fail_plainly(BELFRY_ERROR_MEMORY);
    if (!h->is_native) /* else the sum is the sketch's */
        cell_add_double(mine + HISTOGRAM_SUM_CELL, value);
    cell_add(mine + HISTOGRAM_FIRST_BUCKET_CELL + bucket_of(h->bounds, h->bound_count, value), 1);
    return BELFRY_OK;
}

/* --- exemplars --- */

static _Atomic(struct exemplar_slot *) *exemplar_place(belfry_histogram *h, double value)
{
    size_t count = h->is_classic ? (size_t)h->bound_count + 1 : HISTOGRAM_NATIVE_EXEMPLARS;
    struct exemplar_places *p = atomic_load_explicit(&h->exemplars, memory_order_acquire);
    if (!p) {
        struct exemplar_places *made = calloc(1, sizeof(*made) + count * sizeof(made->places[0]));
        if (!made)
            return NULL;
        made->count = count;
        if (atomic_compare_exchange_strong_explicit(&h->exemplars, &p, made, memory_order_acq_rel,
                                                    memory_order_acquire))
            p = made;
        else
            free(made);
    }
    if (h->is_classic)
        return &p->places[bucket_of(h->bounds, h->bound_count, value)];
    /* native: by bucket, so that one bucket does not push out the others' */
    uint32_t key = value == 0 ? 0 : (uint32_t)belfry__sketch_key(fabs(value), 2);
    return &p->places[key % HISTOGRAM_NATIVE_EXEMPLARS];
}

static NOINLINE void store_current(belfry_histogram *h, double value)
{
    _Atomic(struct exemplar_slot *) *place = exemplar_place(h, value);
    if (place)
        belfry__exemplar_store_current(place, value);
}

belfry_status belfry_histogram_observe(belfry_histogram *h, double value)
{
    if (UNLIKELY(!h))
        return belfry__fail_plainly(BELFRY_ERROR_NULL);
    belfry_status status = observe(h, value);
    if (LIKELY(status == BELFRY_OK) && EXEMPLAR_IS_SET(belfry__block))
        store_current(h, value);
    return status;
}

belfry_status belfry_histogram_observe_exemplar(belfry_histogram *h, double value,
                                                const belfry_label *labels, size_t label_count)
{
    if (UNLIKELY(!h))
        return belfry__fail_plainly(BELFRY_ERROR_NULL);
    belfry_status status = belfry__exemplar_check(labels, label_count);
    if (status == BELFRY_OK)
        status = observe(h, value);
    if (status != BELFRY_OK)
        return status;
    _Atomic(struct exemplar_slot *) *place = exemplar_place(h, value);
    if (place)
        belfry__exemplar_store(place, value, labels, label_count);
    return BELFRY_OK;
}

bool belfry__histogram_exemplar(const belfry_histogram *h, size_t idx, struct exemplar *out)
{
    struct exemplar_places *p = atomic_load_explicit(&h->exemplars, memory_order_acquire);
    return p && idx < p->count && belfry__exemplar_read(&p->places[idx], out);
}

/* --- reading --- */

static bool read_native_locked(const belfry_histogram *h, struct histogram_reading *out)
{
    if (!belfry__sketch_read_locked(&h->sketch, &out->native))
        return false;
    out->count = out->native.count;
    out->sum = out->native.sum;
    out->created_ms = atomic_load_explicit(&h->sketch.started_ms, memory_order_relaxed);
    return true;
}

bool belfry__histogram_read(const belfry_histogram *h, struct histogram_reading *out)
{
    bool ok = true;
    out->count = 0;
    out->created_ms = h->metric.created_ms;
    if (h->is_native)
        belfry__lock();
    const uint64_t *before = h->classic_before;
    for (size_t i = 0; h->is_classic && i <= h->bound_count; i++) {
        uint64_t n = classic_count(h, i);
        out->classic[i] = before ? n - before[i] : n;
        out->count += out->classic[i];
    }
    if (h->is_native) {
        ok = read_native_locked(h, out);
        belfry__unlock();
    } else {
        out->sum = belfry__cells_sum_double(&h->metric.cells, h->base, HISTOGRAM_SUM_CELL);
    }
    return ok;
}

void belfry__histogram_reading_deinit(struct histogram_reading *reading)
{
    belfry__sketch_reading_deinit(&reading->native);
}

uint64_t belfry_histogram_count(const belfry_histogram *h)
{
    struct histogram_reading reading = {.count = 0};
    uint64_t count = h && belfry__histogram_read(h, &reading) ? reading.count : 0;
    belfry__histogram_reading_deinit(&reading);
    return count;
}

double belfry_histogram_sum(const belfry_histogram *h)
{
    struct histogram_reading reading = {.count = 0};
    double sum = h && belfry__histogram_read(h, &reading) ? reading.sum : 0;
    belfry__histogram_reading_deinit(&reading);
    return sum;
}

void belfry_buckets_exponential(double *out, size_t count, double start, double factor)
{
    for (size_t i = 0; i < count; i++, start *= factor)
        out[i] = start;
}

void belfry_buckets_linear(double *out, size_t count, double start, double width)
{
    for (size_t i = 0; i < count; i++)
        out[i] = start + (double)i * width;
}
