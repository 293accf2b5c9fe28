/* SPDX-License-Identifier: Apache-2.0 */
/* metric.c: updates of counters, gauges and state sets, which are what a host pays for. Each begins with the NULL test that lets
 * a program run on when its registration failed. */
#include "instrument/registry.h"
#include "instrument/status.h"

#include <inttypes.h>

static NOINLINE belfry_status fail_null(void)
{
    return belfry__fail_plainly(BELFRY_ERROR_NULL);
}

/* An update that found no cells: the thread had no memory for them. */
static NOINLINE belfry_status fail_memory(void)
{
    return belfry__fail_plainly(BELFRY_ERROR_MEMORY);
}

/* --- counters --- */

static inline belfry_status counter_add(belfry_counter *counter, uint64_t by)
{
    if (UNLIKELY(!counter))
        return fail_null();
    if (UNLIKELY(by > BELFRY_COUNTER_ADD_MAX))
        return belfry__fail(BELFRY_ERROR_VALUE,
                            "counter \"%s\" cannot have %" PRIu64 " added: at most 2^53 at once",
                            counter->metric.family->name, by);
    _Atomic uint64_t *mine = cells_mine(&counter->metric.cells, counter->base);
    if (UNLIKELY(!mine))
        return fail_memory();
    cell_add(mine + COUNTER_WHOLE_CELL, by);
    if (EXEMPLAR_IS_SET(belfry__block))
        belfry__exemplar_store_current(&counter->exemplar, (double)by);
    return BELFRY_OK;
}

belfry_status belfry_counter_add(belfry_counter *counter, uint64_t by)
{
    return counter_add(counter, by);
}

belfry_status belfry_counter_inc(belfry_counter *counter)
{
    return counter_add(counter, 1);
}

/* Adds a checked number. Whole ones go where they stay exact. */
static belfry_status counter_add_number(belfry_counter *counter, double by)
{
    _Atomic uint64_t *mine = cells_mine(&counter->metric.cells, counter->base);
    if (UNLIKELY(!mine))
        return fail_memory();
    if (by < 0x1p53 && (double)(uint64_t)by == by)
        cell_add(mine + COUNTER_WHOLE_CELL, (uint64_t)by);
    else
        cell_add_double(mine + COUNTER_DOUBLE_CELL, by);
    return BELFRY_OK;
}

static belfry_status counter_check(const belfry_counter *counter, double by)
{
    if (UNLIKELY(!counter))
        return fail_null();
    if (UNLIKELY(!(by >= 0) || !is_finite_double(by)))
        return belfry__fail(BELFRY_ERROR_VALUE, "counter \"%s\" cannot have %g added",
                            counter->metric.family->name, by);
    return BELFRY_OK;
}

belfry_status belfry_counter_add_double(belfry_counter *counter, double by)
{
    belfry_status status = counter_check(counter, by);
    if (status == BELFRY_OK)
        status = counter_add_number(counter, by);
    if (status == BELFRY_OK && EXEMPLAR_IS_SET(belfry__block))
        belfry__exemplar_store_current(&counter->exemplar, by);
    return status;
}

belfry_status belfry_counter_add_exemplar(belfry_counter *counter, double by,
                                          const belfry_label *labels, size_t label_count)
{
    belfry_status status = counter_check(counter, by);
    if (status == BELFRY_OK)
        status = belfry__exemplar_check(labels, label_count);
    if (status == BELFRY_OK)
        status = counter_add_number(counter, by);
    if (status == BELFRY_OK)
        belfry__exemplar_store(&counter->exemplar, by, labels, label_count);
    return status;
}

double belfry_counter_value(const belfry_counter *counter)
{
    if (!counter)
        return 0;
    const struct cells *cells = &counter->metric.cells;
    return (double)belfry__cells_sum(cells, counter->base, COUNTER_WHOLE_CELL) +
           belfry__cells_sum_double(cells, counter->base, COUNTER_DOUBLE_CELL);
}

/* --- gauges --- */

belfry_status belfry_gauge_set(belfry_gauge *gauge, double value)
{
    if (UNLIKELY(!gauge))
        return fail_null();
    atomic_store_explicit(&gauge->bits, bits_from_double(value), memory_order_relaxed);
    return BELFRY_OK;
}

belfry_status belfry_gauge_add(belfry_gauge *gauge, double by)
{
    if (UNLIKELY(!gauge))
        return fail_null();
    uint64_t old = atomic_load_explicit(&gauge->bits, memory_order_relaxed);
    while (!atomic_compare_exchange_weak_explicit(&gauge->bits, &old,
                                                  bits_from_double(double_from_bits(old) + by),
                                                  memory_order_relaxed, memory_order_relaxed))
        ;
    return BELFRY_OK;
}

belfry_status belfry_gauge_inc(belfry_gauge *gauge)
{
    return belfry_gauge_add(gauge, 1);
}

belfry_status belfry_gauge_dec(belfry_gauge *gauge)
{
    return belfry_gauge_add(gauge, -1);
}

double belfry_gauge_value(const belfry_gauge *gauge)
{
    return gauge ? double_from_bits(atomic_load_explicit(&gauge->bits, memory_order_relaxed)) : 0;
}

/* --- state sets --- */

static belfry_status stateset_check(const belfry_stateset *s, size_t state)
{
    if (UNLIKELY(!s))
        return fail_null();
    if (UNLIKELY(state >= s->metric.family->state_count))
        return belfry__fail(BELFRY_ERROR_VALUE, "\"%s\" has no state %zu: it has 0 to %zu",
                            s->metric.family->name, state, s->metric.family->state_count - 1);
    return BELFRY_OK;
}

belfry_status belfry_stateset_set(belfry_stateset *s, size_t state, bool holds)
{
    belfry_status status = stateset_check(s, state);
    if (status == BELFRY_OK && holds)
        atomic_fetch_or_explicit(&s->bits, UINT64_C(1) << state, memory_order_relaxed);
    else if (status == BELFRY_OK)
        atomic_fetch_and_explicit(&s->bits, ~(UINT64_C(1) << state), memory_order_relaxed);
    return status;
}

belfry_status belfry_stateset_only(belfry_stateset *s, size_t state)
{
    belfry_status status = stateset_check(s, state);
    if (status == BELFRY_OK)
        atomic_store_explicit(&s->bits, UINT64_C(1) << state, memory_order_relaxed);
    return status;
}

bool belfry_stateset_holds(const belfry_stateset *s, size_t state)
{
    return s && state < s->metric.family->state_count &&
           atomic_load_explicit(&s->bits, memory_order_relaxed) >> state & 1;
}

uint64_t belfry_updates_lost(void)
{
    return belfry__cells_lost();
}
