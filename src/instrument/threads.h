/* SPDX-License-Identifier: Apache-2.0 */
/* threads.h: what the library's own threads have in common. */
#ifndef BELFRY_INSTRUMENT_THREADS_H
#define BELFRY_INSTRUMENT_THREADS_H

#include "base/attributes.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* A thread that takes no signal of its host's (SIGPIPE too: a closed pipe is an error of write). False with errno. */
MUST_USE bool belfry__thread_start(pthread_t *thread, void *(*run)(void *arg), void *arg);

/* Milliseconds of the monotonic clock. */
int64_t belfry__mono_ms(void);
/* A condition whose waits end by that clock. False when the system gives none. */
MUST_USE bool belfry__cond_init(pthread_cond_t *cond);
/* Waits once; false when the time has come. */
bool belfry__cond_wait_until(pthread_cond_t *cond, pthread_mutex_t *mutex, int64_t until_ms);

/* How often this process came out of a fork since the first call of belfry__fork_watch(). */
extern _Atomic unsigned belfry__fork_count;
/* From now on forks are counted, in the child. Any thread, any number of times. */
void belfry__fork_watch(void);

static inline unsigned fork_count(void)
{
    return atomic_load_explicit(&belfry__fork_count, memory_order_relaxed);
}

#endif
