/* SPDX-License-Identifier: Apache-2.0 */
/* metric.c: the updates, which are what a host pays for. Each begins with the NULL test that lets a
 * program run on when its registration failed. */
#include "instrument/cells.h"
#include "instrument/registry.h"

#include <math.h>

enum { COUNTER_WHOLE_CELL, COUNTER_DOUBLE_CELL };

void belfry_counter_add(belfry_counter *counter, uint64_t by)
{
    if (!counter)
        return;
    _Atomic uint64_t *own = cells_own(counter->metric.cells);
    if (LIKELY(own != NULL))
        cell_add(own + COUNTER_WHOLE_CELL, by);
}

void belfry_counter_inc(belfry_counter *counter)
{
    if (!counter)
        return;
    _Atomic uint64_t *own = cells_own(counter->metric.cells);
    if (LIKELY(own != NULL))
        cell_add(own + COUNTER_WHOLE_CELL, 1);
}

void belfry_counter_add_double(belfry_counter *counter, double by)
{
    if (!counter || !(by >= 0) || isinf(by))
        return;
    _Atomic uint64_t *own = cells_own(counter->metric.cells);
    if (LIKELY(own != NULL))
        cell_add_double(own + COUNTER_DOUBLE_CELL, by);
}

double belfry_counter_value(const belfry_counter *counter)
{
    if (!counter)
        return 0;
    return (double)belfry__cell_sum(counter->metric.cells + COUNTER_WHOLE_CELL) +
           belfry__cell_sum_double(counter->metric.cells + COUNTER_DOUBLE_CELL);
}

void belfry_gauge_set(belfry_gauge *gauge, double value)
{
    if (gauge)
        atomic_store_explicit(&gauge->metric.bits, bits_from_double(value), memory_order_relaxed);
}

void belfry_gauge_add(belfry_gauge *gauge, double by)
{
    if (!gauge)
        return;
    uint64_t old = atomic_load_explicit(&gauge->metric.bits, memory_order_relaxed);
    while (!atomic_compare_exchange_weak_explicit(&gauge->metric.bits, &old,
                                                  bits_from_double(double_from_bits(old) + by),
                                                  memory_order_relaxed, memory_order_relaxed))
        ;
}

void belfry_gauge_inc(belfry_gauge *gauge)
{
    belfry_gauge_add(gauge, 1);
}

void belfry_gauge_dec(belfry_gauge *gauge)
{
    belfry_gauge_add(gauge, -1);
}

double belfry_gauge_value(const belfry_gauge *gauge)
{
    return gauge ? double_from_bits(atomic_load_explicit(&gauge->metric.bits, memory_order_relaxed))
                 : 0;
}

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

void belfry_histogram_observe(belfry_histogram *histogram, double value)
{
    if (!histogram || isnan(value))
        return;
    const struct metric *m = &histogram->metric;
    _Atomic uint64_t *own = cells_own(m->cells);
    if (UNLIKELY(own == NULL))
        return;
    cell_add_double(own + HISTOGRAM_SUM_CELL, value);
    cell_add(own + HISTOGRAM_FIRST_BUCKET_CELL + bucket_of(m->bounds, m->bound_count, value), 1);
}

uint64_t belfry_histogram_count(const belfry_histogram *histogram)
{
    uint64_t count = 0;
    for (size_t i = 0; histogram && i <= histogram->metric.bound_count; i++)
        count +=
            belfry__cell_sum(histogram->metric.cells + HISTOGRAM_FIRST_BUCKET_CELL + (uint32_t)i);
    return count;
}

double belfry_histogram_sum(const belfry_histogram *histogram)
{
    return histogram ? belfry__cell_sum_double(histogram->metric.cells + HISTOGRAM_SUM_CELL) : 0;
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

uint64_t belfry_updates_lost(void)
{
    return belfry__cells_lost();
}
