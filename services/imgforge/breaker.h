/* SPDX-License-Identifier: Apache-2.0 */
/* breaker.h: keeps callers from a server that does not answer (a circuit breaker):
 *
 *   closed --FAILURES_MAX in a row--> open --wait is over--> half open: one caller tries --it went well--> closed
 *                                       ^---------------- it did not: waits twice as long
 *
 * Any thread. */
#ifndef IMGFORGE_BREAKER_H
#define IMGFORGE_BREAKER_H

#include "base/clock.h"

#include <pthread.h>
#include <stdbool.h>

/* Chosen, not measured: one answer that is late may be an accident; half a minute is what people wait for a restart. */
enum { BREAKER_FAILURES_MAX = 3, BREAKER_WAIT_FIRST_MS = 500, BREAKER_WAIT_MAX_MS = 30000 };

struct breaker {
    pthread_mutex_t mutex; /* a leaf; guards the rest */
    unsigned failures;     /* in a row */
    int64_t wait_ms;       /* how long it stays open next time */
    bool is_open;
    bool is_tried; /* half open: somebody is trying */
    mono_time open_until;
};

void breaker_init(struct breaker *b);
void breaker_deinit(struct breaker *b);
/* May the caller ask? Then it says breaker_succeeded(), _failed() or _abstained() afterwards. */
bool breaker_enter(struct breaker *b, mono_time now);
/* True when it was open until now. */
bool breaker_succeeded(struct breaker *b);
/* It asked nobody after all. */
void breaker_abstained(struct breaker *b);
/* True when it opens now and was closed. */
bool breaker_failed(struct breaker *b, mono_time now);

#endif
