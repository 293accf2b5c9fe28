/* SPDX-License-Identifier: Apache-2.0 */
/* thread.h: pthreads with every return value checked: a failing lock is a broken invariant. */
#ifndef BELFRY_BASE_THREAD_H
#define BELFRY_BASE_THREAD_H

#include "base/attributes.h"
#include "base/clock.h"
#include "base/error.h"

#include <pthread.h>
#include <stdbool.h>

void mutex_init(pthread_mutex_t *m);
void mutex_deinit(pthread_mutex_t *m);
void mutex_lock(pthread_mutex_t *m);
void mutex_unlock(pthread_mutex_t *m);
/* Condition variables on the monotonic clock. */
void cond_init(pthread_cond_t *c);
void cond_deinit(pthread_cond_t *c);
void cond_wait(pthread_cond_t *c, pthread_mutex_t *m);
/* False when the deadline passed. */
bool cond_wait_until(pthread_cond_t *c, pthread_mutex_t *m, mono_time deadline);
void cond_signal(pthread_cond_t *c);
void cond_broadcast(pthread_cond_t *c);

/* Starts a thread with all signals blocked and this name (at most 15 bytes are shown). */
MUST_USE bool thread_start(pthread_t *out, const char *name, void *(*run)(void *), void *arg,
                           struct error *err);
void thread_join(pthread_t t);
/* Processors this process may run on, at least 1. */
unsigned thread_cpu_count(void);

#endif
