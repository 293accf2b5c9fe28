/* SPDX-License-Identifier: Apache-2.0 */
/* clock.h: wall time (jumps) and monotonic time (does not) are different types, so that a swap does
 * not compile. Timers use monotonic time; timestamps of samples use wall time. Any thread. */
#ifndef BELFRY_BASE_CLOCK_H
#define BELFRY_BASE_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

typedef struct {
    int64_t ms; /* since the Unix epoch */
} wall_time;

typedef struct {
    int64_t ns; /* since some fixed instant before the process began; never 0 */
} mono_time;

wall_time clock_wall(void);
mono_time clock_mono(void);
/* CPU time of the calling thread. */
int64_t clock_thread_cpu_ns(void);

static inline int64_t mono_ms_since(mono_time start)
{
    return (clock_mono().ns - start.ns) / 1000000;
}
static inline mono_time mono_add_ms(mono_time t, int64_t ms)
{
    return (mono_time){t.ns + ms * 1000000};
}

/* Tests only: from now on both clocks stand still and move by these calls. */
void clock_test_freeze(wall_time wall, mono_time mono);
void clock_test_advance_ms(int64_t ms);   /* both */
void clock_test_jump_wall_ms(int64_t ms); /* the wall clock alone */
void clock_test_unfreeze(void);
bool clock_is_frozen(void);

#endif
