/* SPDX-License-Identifier: Apache-2.0 */
/* log_repeat.h: how often an event came from one place, and which lines are held back. No lock. */
#ifndef BELFRY_INSTRUMENT_LOG_REPEAT_H
#define BELFRY_INSTRUMENT_LOG_REPEAT_H

#include "base/attributes.h"
#include "belfry/log.h"

#include <stdatomic.h>

/* Places beyond these have no limit. */
enum { REPEAT_PLACES_MAX = 256, REPEAT_EVENT_BYTES = 64 };

struct repeat_place {
    _Atomic uint64_t key; /* 0 = free, 1 = being filled in; then constant, like event and level */
    _Atomic uint64_t window; /* number of the interval that count is of */
    _Atomic uint32_t count;
    _Atomic uint32_t held; /* lines held back in that interval */
    _Atomic uint32_t due;  /* and in those before, not told of yet */
    belfry_log_level level;
    char event[REPEAT_EVENT_BYTES];
};

struct repeats {
    uint32_t max, interval_ms;
    _Atomic bool has_held; /* some place may have held lines */
    struct repeat_place places[REPEAT_PLACES_MAX];
};

/* Number of the present interval. */
uint64_t belfry__repeats_window(const struct repeats *r);
/* Counts a line; false when it is held back. *is_first: there is something to tell, and was not before. Any thread. */
MUST_USE bool belfry__repeats_pass(struct repeats *r, belfry_log_level level, const char *event,
                                   const void *place, bool *is_first);
/* Takes the next place with held lines whose interval is over (with `all`: any). *idx begins at 0. False when
 * there is none. One thread at a time. */
MUST_USE bool belfry__repeats_take(struct repeats *r, bool all, size_t *idx,
                                   const struct repeat_place **place, uint32_t *held);

#endif
