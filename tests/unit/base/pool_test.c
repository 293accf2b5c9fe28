/* SPDX-License-Identifier: Apache-2.0 */
/* Clocks, threads and the worker pool. */
#include "base/pool.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/thread.h"

#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static struct error err;

static void clocks_stand_still_when_frozen(void **state)
{
    mono_time before = clock_mono();
    assert_true(before.ns != 0);
    assert_true(clock_mono().ns >= before.ns);
    assert_true(clock_wall().ms > INT64_C(1600000000000));
    assert_true(clock_thread_cpu_ns() >= 0);
    clock_test_freeze((wall_time){1000}, (mono_time){5000000000});
    assert_int_equal(clock_wall().ms, 1000);
    clock_test_advance_ms(7);
    assert_int_equal(clock_wall().ms, 1007);
    assert_int_equal(mono_ms_since((mono_time){5000000000}), 7);
    clock_test_jump_wall_ms(-2000);
    assert_int_equal(clock_wall().ms, -993);
    assert_int_equal(clock_mono().ns, 5007000000);
    clock_test_unfreeze();
    assert_true(clock_mono().ns >= before.ns);
    assert_false(clock_is_frozen());
}

struct waiter {
    pthread_mutex_t mutex;
    pthread_cond_t cond;
    bool go, timed_out;
};

static void *wait_frozen(void *arg)
{
    struct waiter *w = arg;
    mutex_lock(&w->mutex);
    w->go = true;
    cond_signal(&w->cond);
    while (cond_wait_until(&w->cond, &w->mutex, (mono_time){2000000000}))
        ;
    w->timed_out = true;
    mutex_unlock(&w->mutex);
    return NULL;
}

/* The deadline is a frozen second away; only advancing the clock ends the wait. */
static void waits_follow_the_frozen_clock(void **state)
{
    struct waiter w = {.go = false};
    mutex_init(&w.mutex);
    cond_init(&w.cond);
    mutex_lock(&w.mutex);
    assert_false(cond_wait_until(&w.cond, &w.mutex, clock_mono()));
    clock_test_freeze((wall_time){0}, (mono_time){1000000000});
    pthread_t t;
    assert_true(thread_start(&t, "a name that is too long", wait_frozen, &w, &err));
    while (!w.go)
        cond_wait(&w.cond, &w.mutex);
    assert_false(w.timed_out);
    mutex_unlock(&w.mutex);
    clock_test_advance_ms(1000);
    thread_join(t);
    assert_true(w.timed_out);
    clock_test_unfreeze();
    cond_deinit(&w.cond);
    mutex_deinit(&w.mutex);
    assert_true(thread_cpu_count() >= 1);
}

struct gate {
    pthread_mutex_t mutex;
    pthread_cond_t cond;
    bool open;
    char order[16];
    size_t order_len;
};

struct step {
    struct gate *gate;
    char name;
};

static void gate_init(struct gate *g)
{
    *g = (struct gate){.open = false};
    mutex_init(&g->mutex);
    cond_init(&g->cond);
}

static void gate_open(struct gate *g)
{
    mutex_lock(&g->mutex);
    g->open = true;
    cond_broadcast(&g->cond);
    mutex_unlock(&g->mutex);
}

static void wait_at_gate(void *arg)
{
    struct gate *g = arg;
    mutex_lock(&g->mutex);
    g->order_len = 0;
    cond_broadcast(&g->cond);
    while (!g->open)
        cond_wait(&g->cond, &g->mutex);
    mutex_unlock(&g->mutex);
}

static void note(void *arg)
{
    struct step *s = arg;
    mutex_lock(&s->gate->mutex);
    s->gate->order[s->gate->order_len++] = s->name;
    mutex_unlock(&s->gate->mutex);
}

/* The only worker is held at a gate while jobs queue up. */
static void pool_runs_by_class_then_arrival_and_ends_all(void **state)
{
    int64_t before = mem_account_bytes(MEM_OTHER);
    struct pool *p;
    struct gate g;
    gate_init(&g);
    g.order_len = 99; /* until the worker stands at the gate */
    assert_true(pool_start(&p, 1, 3, &err));
    assert_int_equal(pool_worker_count(p), 1);
    assert_true(pool_submit(p, POOL_BACKGROUND, wait_at_gate, &g, &err));
    mutex_lock(&g.mutex);
    while (g.order_len == 99)
        cond_wait(&g.cond, &g.mutex);
    mutex_unlock(&g.mutex);
    struct step steps[] = {{&g, 'a'}, {&g, 'b'}, {&g, 'c'}, {&g, 'X'}, {&g, 'Y'}};
    for (int i = 0; i < 3; i++)
        assert_true(pool_submit(p, POOL_BACKGROUND, note, &steps[i], &err));
    assert_false(pool_submit(p, POOL_BACKGROUND, note, &steps[0], &err));
    assert_int_equal(err.kind, ERROR_BUSY);
    assert_string_equal(err.message, "the queue of the workers is full: 3 jobs wait");
    assert_true(pool_submit(p, POOL_QUERY, note, &steps[3], &err));
    assert_true(pool_submit(p, POOL_QUERY, note, &steps[4], &err));
    size_t waiting;
    unsigned running;
    pool_load(p, &waiting, &running);
    assert_int_equal(waiting, 5);
    assert_int_equal(running, 1);
    gate_open(&g);
    pool_stop(p);
    assert_int_equal(g.order_len, 5);
    assert_memory_equal(g.order, "XYabc", 5);
    cond_deinit(&g.cond);
    mutex_deinit(&g.mutex);
    pool_stop(NULL);
    assert_int_equal(mem_account_bytes(MEM_OTHER), before);
}

enum { ITEM_COUNT = 5000, WORKER_COUNT = 4 };

struct sums {
    struct pool *pool;
    _Atomic int seen[ITEM_COUNT];
    _Atomic int busy[WORKER_COUNT + 1]; /* calls that run with this worker number now */
    _Atomic long nested;
};

static void count_nested(void *arg, size_t i, unsigned worker)
{
    struct sums *s = arg;
    assert_true(worker <= WORKER_COUNT);
    atomic_fetch_add(&s->nested, (long)i);
}

static void count_item(void *arg, size_t i, unsigned worker)
{
    struct sums *s = arg;
    assert_true(worker <= WORKER_COUNT);
    assert_int_equal(atomic_fetch_add(&s->busy[worker], 1), 0);
    atomic_fetch_add(&s->seen[i], 1);
    if (i % 500 == 0) /* a loop inside of a loop, from a worker too */
        pool_for(s->pool, 10, count_nested, s);
    atomic_fetch_sub(&s->busy[worker], 1);
}

static void run_loop(void *arg)
{
    struct sums *s = arg;
    pool_for(s->pool, ITEM_COUNT, count_item, s);
}

static void assert_all_seen(struct sums *s)
{
    for (int i = 0; i < ITEM_COUNT; i++)
        assert_int_equal(s->seen[i], 1);
    assert_int_equal(s->nested, 45 * (ITEM_COUNT / 500));
}

static void pool_for_visits_each_item_once(void **state)
{
    static struct sums alone, many[6];
    alone.pool = NULL;
    run_loop(&alone);
    assert_all_seen(&alone);
    struct pool *p;
    assert_true(pool_start(&p, WORKER_COUNT, 16, &err));
    for (int i = 0; i < 6; i++)
        many[i].pool = p;
    for (int i = 1; i < 6; i++) /* callers that are workers themselves */
        assert_true(pool_submit(p, i % 2 ? POOL_QUERY : POOL_BACKGROUND, run_loop, &many[i], &err));
    run_loop(&many[0]);
    pool_for(p, 0, count_item, NULL);
    pool_stop(p);
    for (int i = 0; i < 6; i++)
        assert_all_seen(&many[i]);
}

static void pool_refuses_absurd_sizes(void **state)
{
    struct pool *p;
    assert_false(pool_start(&p, 1000000, 16, &err));
    assert_null(p);
    assert_true(pool_start(&p, 0, 1, &err));
    assert_int_equal(pool_worker_count(p), thread_cpu_count());
    pool_stop(p);
}

enum { IDLE_WORKERS = 4 };

struct meeting {
    atomic_uint present;
    _Atomic uintptr_t last;
};

static void meet(void *arg)
{
    struct meeting *m = arg;
    atomic_fetch_add(&m->present, 1);
    while (atomic_load(&m->present) < IDLE_WORKERS)
        sched_yield();
}

static void note_self(void *arg)
{
    struct meeting *m = arg;
    atomic_store(&m->last, (uintptr_t)pthread_self());
}

/* A worker that is not running any more waits already: both happen under one lock. */
static void wait_until_idle(struct pool *p)
{
    size_t waiting;
    unsigned running;
    do {
        sched_yield();
        pool_load(p, &waiting, &running);
    } while (waiting || running);
}

/* All have begun (they met); then jobs that do not overlap go to the one that did the job before. */
static void the_worker_that_waits_shortest_is_woken(void **state)
{
    struct pool *p;
    struct meeting m = {0};
    uintptr_t first = 0;
    assert_true(pool_start(&p, IDLE_WORKERS, 16, &err));
    for (int i = 0; i < IDLE_WORKERS; i++)
        assert_true(pool_submit(p, POOL_QUERY, meet, &m, &err));
    for (int i = 0; i < 100; i++) {
        wait_until_idle(p);
        assert_true(pool_submit(p, POOL_QUERY, note_self, &m, &err));
        wait_until_idle(p);
        first = i ? first : atomic_load(&m.last);
        assert_int_equal(atomic_load(&m.last), first);
    }
    pool_stop(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(clocks_stand_still_when_frozen),
        cmocka_unit_test(waits_follow_the_frozen_clock),
        cmocka_unit_test(pool_runs_by_class_then_arrival_and_ends_all),
        cmocka_unit_test(pool_for_visits_each_item_once),
        cmocka_unit_test(the_worker_that_waits_shortest_is_woken),
        cmocka_unit_test(pool_refuses_absurd_sizes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
