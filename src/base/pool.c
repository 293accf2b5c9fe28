/* SPDX-License-Identifier: Apache-2.0 */
/* pool.c: one mutex, one ring per class, and a list of the loops that pool_for() callers run now.
 *
 * An idle worker first helps a running loop (somebody waits for it), then takes the oldest job of the
 * first class that has one. A loop lives on its caller's stack. It is safe to help it because a helper
 * joins and leaves under the mutex (helper_count), and the caller takes the loop off the list and
 * waits for helper_count to be 0 before it returns. Items are handed out by one atomic counter, so
 * they start in ascending order and the mutex is not touched per item. */
#include "base/pool.h"

#include "base/assert.h"
#include "base/mem.h"
#include "base/thread.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>

enum { WORKER_COUNT_MAX = 1024 };

struct job {
    void (*run)(void *arg);
    void *arg;
};

struct ring {
    struct job *jobs; /* queue_max of them */
    size_t first, count;
};

struct loop {
    void (*run)(void *arg, size_t i, unsigned worker); /* constant */
    void *arg;
    size_t count;

    struct loop *next, *previous; /* pool's mutex */
    unsigned helper_count;        /* pool's mutex */
    pthread_cond_t helpers_left;  /* with the pool's mutex */

    _Atomic size_t item_next; /* any thread, relaxed: it only hands out numbers */
};

/* A worker that waits, on its own stack. */
struct idler {
    struct idler *next;  /* who began to wait before it */
    pthread_cond_t wake; /* with the pool's mutex */
    bool is_woken;
};

struct pool {
    unsigned worker_count; /* constant after pool_start() */
    size_t queue_max;
    pthread_t *threads;

    pthread_mutex_t mutex; /* guards what follows */
    struct idler *idle;    /* who began to wait last comes first */
    struct ring rings[POOL_CLASS_COUNT];
    struct loop *loops;
    unsigned started_count, running_count;
    bool stopping;
};

/* Which worker of which pool this thread is. */
static _Thread_local const struct pool *own_pool;
static _Thread_local unsigned own_worker;

static bool loop_has_items(struct loop *loop)
{
    return atomic_load_explicit(&loop->item_next, memory_order_relaxed) < loop->count;
}

static void loop_run(struct loop *loop, unsigned worker)
{
    size_t i;
    while ((i = atomic_fetch_add_explicit(&loop->item_next, 1, memory_order_relaxed)) < loop->count)
        loop->run(loop->arg, i, worker);
}

static struct loop *loop_to_help_locked(struct pool *p)
{
    for (struct loop *loop = p->loops; loop; loop = loop->next) {
        if (loop_has_items(loop))
            return loop;
    }
    return NULL;
}

static void loop_help_locked(struct pool *p, struct loop *loop)
{
    loop->helper_count++;
    mutex_unlock(&p->mutex);
    loop_run(loop, own_worker);
    mutex_lock(&p->mutex);
    if (--loop->helper_count == 0)
        cond_signal(&loop->helpers_left);
}

static bool job_take_locked(struct pool *p, struct job *out)
{
    for (int class = 0; class < POOL_CLASS_COUNT; class ++) {
        struct ring *ring = &p->rings[class];
        if (ring->count == 0)
            continue;
        *out = ring->jobs[ring->first];
        ring->first = (ring->first + 1) % p->queue_max;
        ring->count--;
        return true;
    }
    return false;
}

/* The one that waits shortest: its stack and its allocator's memory are warm. In turn (as one condition variable for all would do it) each
 * of many workers would touch memory of its own sooner or later: 288 threads of an image server, 8 of them busy, took 80 MB more. */
static bool wake_one_locked(struct pool *p)
{
    struct idler *idler = p->idle;
    if (!idler)
        return false;
    p->idle = idler->next;
    idler->is_woken = true;
    cond_signal(&idler->wake);
    return true;
}

static void wake_all_locked(struct pool *p)
{
    while (wake_one_locked(p)) {
    }
}

static void wait_locked(struct pool *p, struct idler *self)
{
    self->next = p->idle;
    self->is_woken = false;
    p->idle = self;
    while (!self->is_woken)
        cond_wait(&self->wake, &p->mutex);
}

static void *worker_run(void *arg)
{
    struct pool *p = arg;
    struct idler self = {0};
    cond_init(&self.wake);
    mutex_lock(&p->mutex);
    own_pool = p;
    own_worker = p->started_count++;
    for (;;) {
        struct loop *loop = loop_to_help_locked(p);
        struct job job;
        if (loop) {
            loop_help_locked(p, loop);
        } else if (job_take_locked(p, &job)) {
            p->running_count++;
            mutex_unlock(&p->mutex);
            job.run(job.arg);
            mutex_lock(&p->mutex);
            p->running_count--;
        } else if (p->stopping) {
            break;
        } else {
            wait_locked(p, &self);
        }
    }
    mutex_unlock(&p->mutex);
    cond_deinit(&self.wake);
    return NULL;
}

/* Ends and frees the first thread_count workers. */
static void pool_end(struct pool *p, unsigned thread_count)
{
    mutex_lock(&p->mutex);
    p->stopping = true;
    wake_all_locked(p);
    mutex_unlock(&p->mutex);
    for (unsigned i = 0; i < thread_count; i++)
        thread_join(p->threads[i]);
    ASSERT(p->loops == NULL); /* a caller inside pool_for() would use what is freed here */
    for (int class = 0; class < POOL_CLASS_COUNT; class ++)
        mem_free(MEM_OTHER, p->rings[class].jobs);
    mutex_deinit(&p->mutex);
    mem_free(MEM_OTHER, p->threads);
    mem_free(MEM_OTHER, p);
}

bool pool_start(struct pool **out, unsigned worker_count, size_t queue_max, struct error *err)
{
    *out = NULL;
    if (worker_count == 0)
        worker_count = thread_cpu_count();
    if (worker_count > WORKER_COUNT_MAX)
        return error_set(err, ERROR_INPUT, "%u worker threads are too many: at most %d",
                         worker_count, WORKER_COUNT_MAX);
    ASSERT(queue_max > 0);
    struct pool *p = mem_alloc_zero(MEM_OTHER, 1, sizeof(*p));
    p->worker_count = worker_count;
    p->queue_max = queue_max;
    p->threads = mem_alloc_zero(MEM_OTHER, worker_count, sizeof(p->threads[0]));
    for (int class = 0; class < POOL_CLASS_COUNT; class ++)
        p->rings[class].jobs = mem_alloc_zero(MEM_OTHER, queue_max, sizeof(struct job));
    mutex_init(&p->mutex);
    for (unsigned i = 0; i < worker_count; i++) {
        char name[16];
        snprintf(name, sizeof(name), "worker-%u", i);
        if (!thread_start(&p->threads[i], name, worker_run, p, err)) {
            pool_end(p, i);
            return false;
        }
    }
    *out = p;
    return true;
}

void pool_stop(struct pool *p)
{
    if (p)
        pool_end(p, p->worker_count);
}

unsigned pool_worker_count(const struct pool *p)
{
    return p->worker_count;
}

void pool_load(struct pool *p, size_t *waiting, unsigned *running)
{
    mutex_lock(&p->mutex);
    *waiting = 0;
    for (int class = 0; class < POOL_CLASS_COUNT; class ++)
        *waiting += p->rings[class].count;
    *running = p->running_count;
    mutex_unlock(&p->mutex);
}

bool pool_submit(struct pool *p, enum pool_class class, void (*run)(void *arg), void *arg,
                 struct error *err)
{
    ASSERT(class < POOL_CLASS_COUNT);
    mutex_lock(&p->mutex);
    struct ring *ring = &p->rings[class];
    bool stopping = p->stopping, taken = !stopping && ring->count < p->queue_max;
    if (taken) {
        ring->jobs[(ring->first + ring->count) % p->queue_max] = (struct job){run, arg};
        ring->count++;
        (void)wake_one_locked(p);
    }
    mutex_unlock(&p->mutex);
    if (taken)
        return true;
    if (stopping)
        return error_set(err, ERROR_BUSY, "the workers are stopping");
    return error_set(err, ERROR_BUSY, "the queue of the workers is full: %zu jobs wait",
                     p->queue_max);
}

static void loop_publish(struct pool *p, struct loop *loop)
{
    mutex_lock(&p->mutex);
    loop->next = p->loops;
    if (p->loops)
        p->loops->previous = loop;
    p->loops = loop;
    wake_all_locked(p);
    mutex_unlock(&p->mutex);
}

static void loop_retire(struct pool *p, struct loop *loop)
{
    mutex_lock(&p->mutex);
    if (loop->previous)
        loop->previous->next = loop->next;
    else
        p->loops = loop->next;
    if (loop->next)
        loop->next->previous = loop->previous;
    while (loop->helper_count > 0)
        cond_wait(&loop->helpers_left, &p->mutex);
    mutex_unlock(&p->mutex);
}

void pool_for(struct pool *p, size_t count, void (*run)(void *arg, size_t i, unsigned worker),
              void *arg)
{
    if (count == 0)
        return;
    struct loop loop = {.run = run, .arg = arg, .count = count};
    if (!p) {
        loop_run(&loop, 0);
        return;
    }
    unsigned worker = own_pool == p ? own_worker : p->worker_count;
    if (count == 1) { /* nobody can help */
        loop_run(&loop, worker);
        return;
    }
    cond_init(&loop.helpers_left);
    loop_publish(p, &loop);
    loop_run(&loop, worker);
    loop_retire(p, &loop);
    cond_deinit(&loop.helpers_left);
}
