/* SPDX-License-Identifier: Apache-2.0 */
/* clock.h: the time, to some milliseconds: the coarse clocks cost about 4 ns. */
#ifndef BELFRY_INSTRUMENT_CLOCK_H
#define BELFRY_INSTRUMENT_CLOCK_H

#include <stdint.h>
#include <time.h>

#ifdef CLOCK_REALTIME_COARSE
enum { CLOCK_OF_DAY = CLOCK_REALTIME_COARSE, CLOCK_OF_AGE = CLOCK_MONOTONIC_COARSE };
#else
enum { CLOCK_OF_DAY = CLOCK_REALTIME, CLOCK_OF_AGE = CLOCK_MONOTONIC };
#endif

static inline int64_t clock_read_ms(clockid_t id)
{
    struct timespec t;
    return clock_gettime(id, &t) == 0 ? (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000 : 0;
}

/* Since the epoch. */
static inline int64_t belfry__clock_ms(void)
{
    return clock_read_ms(CLOCK_OF_DAY);
}

/* Never goes back. */
static inline int64_t belfry__age_ms(void)
{
    return clock_read_ms(CLOCK_OF_AGE);
}

#endif
