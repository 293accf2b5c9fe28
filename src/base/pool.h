/* SPDX-License-Identifier: Apache-2.0 */
/* pool.h: worker threads that own nothing. Jobs run in the order of their class, then of arrival. */
#ifndef BELFRY_BASE_POOL_H
#define BELFRY_BASE_POOL_H

#include "base/attributes.h"
#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>

enum pool_class { POOL_QUERY, POOL_BACKGROUND, POOL_CLASS_COUNT };

struct pool;

/* worker_count 0 = the number of processors. queue_max jobs may wait per class. */
MUST_USE bool pool_start(struct pool **out, unsigned worker_count, size_t queue_max,
                         struct error *err);
/* Runs what is queued, then joins. NULL is fine. */
void pool_stop(struct pool *p);
unsigned pool_worker_count(const struct pool *p);

/* Jobs in the queues, and jobs that run, now. Any thread. */
void pool_load(struct pool *p, size_t *waiting, unsigned *running);

/* Queues run(arg). ERROR_BUSY when the queue is full or the pool stops. Any thread. */
MUST_USE bool pool_submit(struct pool *p, enum pool_class class, void (*run)(void *arg), void *arg,
                          struct error *err);

/* Calls run(arg, i, worker) for every i in [0, count), on the calling thread and on idle workers, and
 * returns when all are done. `worker` is in [0, pool_worker_count() + 1) and no two calls run with
 * the same one at once: index per-worker scratch with it. Calls start in ascending i. The caller may
 * be a worker itself (it takes part, so nothing can deadlock). `p` NULL = on the caller alone. */
void pool_for(struct pool *p, size_t count, void (*run)(void *arg, size_t i, unsigned worker),
              void *arg);

#endif
