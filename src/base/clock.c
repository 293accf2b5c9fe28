/* SPDX-License-Identifier: Apache-2.0 */
/* clock.c: the system's clocks, or in tests two numbers. */
#include "base/clock.h"

#include "base/assert.h"

#include <stdatomic.h>
#include <time.h>

static atomic_bool frozen; /* release after the two below; pairs with the acquires */
static _Atomic int64_t frozen_wall_ms, frozen_mono_ns;

static int64_t clock_read_ns(clockid_t id)
{
    struct timespec t;
    int rc = clock_gettime(id, &t);
    ASSERT(rc == 0);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

wall_time clock_wall(void)
{
    if (UNLIKELY(clock_is_frozen()))
        return (wall_time){atomic_load_explicit(&frozen_wall_ms, memory_order_relaxed)};
    return (wall_time){clock_read_ns(CLOCK_REALTIME) / 1000000};
}

mono_time clock_mono(void)
{
    if (UNLIKELY(clock_is_frozen()))
        return (mono_time){atomic_load_explicit(&frozen_mono_ns, memory_order_relaxed)};
    int64_t ns = clock_read_ns(CLOCK_MONOTONIC);
    return (mono_time){ns ? ns : 1};
}

int64_t clock_thread_cpu_ns(void)
{
    return clock_read_ns(CLOCK_THREAD_CPUTIME_ID);
}

bool clock_is_frozen(void)
{
    return atomic_load_explicit(&frozen, memory_order_acquire);
}

void clock_test_freeze(wall_time wall, mono_time mono)
{
    atomic_store_explicit(&frozen_wall_ms, wall.ms, memory_order_relaxed);
    atomic_store_explicit(&frozen_mono_ns, mono.ns ? mono.ns : 1, memory_order_relaxed);
    atomic_store_explicit(&frozen, true, memory_order_release);
}

void clock_test_advance_ms(int64_t ms)
{
    ASSERT(clock_is_frozen());
    atomic_fetch_add_explicit(&frozen_wall_ms, ms, memory_order_relaxed);
    atomic_fetch_add_explicit(&frozen_mono_ns, ms * 1000000, memory_order_relaxed);
}

void clock_test_jump_wall_ms(int64_t ms)
{
    ASSERT(clock_is_frozen());
    atomic_fetch_add_explicit(&frozen_wall_ms, ms, memory_order_relaxed);
}

void clock_test_unfreeze(void)
{
    atomic_store_explicit(&frozen, false, memory_order_release);
}
