/* SPDX-License-Identifier: Apache-2.0 */
#include "permits.h"

#include "base/thread.h"

#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static atomic_bool never;

/* Takes until it is refused; how many it got. */
static unsigned take_all(struct permits *p, uint64_t key)
{
    unsigned count = 0;
    while (permits_try(p, key))
        count++;
    return count;
}

static void give_all(struct permits *p, uint64_t key, unsigned count)
{
    while (count--)
        permits_give(p, key);
}

static void each_key_leaves_room_for_one_more(void **state)
{
    (void)state;
    struct permits *p = permits_new(60, true);
    assert_int_equal(take_all(p, 1), 40); /* two thirds */
    assert_int_equal(take_all(p, 2), 14); /* 14 >= 2 * (60 - 54) */
    assert_true(take_all(p, 3) > 0);
    assert_int_equal(take_all(p, 1), 0);
    assert_true(permits_taken(p) < 60);
    give_all(p, 1, 40);
    assert_true(permits_try(p, 2)); /* there is more for each again */
    permits_give(p, 2);
    give_all(p, 2, 14);
    give_all(p, 3, permits_taken(p));
    assert_int_equal(take_all(p, 9), 40);
    give_all(p, 9, 40);
    permits_free(p);
}

static void a_single_permit_is_given_also_where_it_is_shared(void **state)
{
    (void)state;
    struct permits *p = permits_new(1, true);
    assert_true(permits_try(p, 1));
    assert_false(permits_try(p, 2));
    permits_give(p, 1);
    assert_true(permits_try(p, 2));
    permits_give(p, 2);
    permits_free(p);
    p = permits_new(3, false);
    assert_int_equal(take_all(p, 0), 3);
    give_all(p, 0, 3);
    permits_free(p);
}

struct waiting {
    struct permits *permits;
    uint64_t key, n; /* n 0: one */
    atomic_bool cancel;
    bool got;
    unsigned order;
    atomic_uint *counter;
};

static void *wait_one(void *arg)
{
    struct waiting *w = arg;
    uint64_t n = w->n ? w->n : 1;
    w->got = permits_wait_many(w->permits, w->key, n, &w->cancel);
    if (w->got) {
        w->order = atomic_fetch_add(w->counter, 1);
        permits_give_many(w->permits, w->key, n);
    }
    return NULL;
}

/* One permit, three waiters, the second is cancelled: the others come in by arrival. */
static void who_waits_comes_in_by_arrival_unless_cancelled(void **state)
{
    (void)state;
    struct permits *p = permits_new(1, false);
    struct waiting w[3];
    pthread_t threads[3];
    atomic_uint counter = 0;
    struct error err;
    assert_true(permits_wait(p, 0, &never));
    for (unsigned i = 0; i < 3; i++) {
        w[i] = (struct waiting){.permits = p, .counter = &counter};
        assert_true(thread_start(&threads[i], "waiter", wait_one, &w[i], &err));
        while (permits_waiting(p) != i + 1)
            sched_yield();
    }
    permits_wake(p); /* nobody is cancelled: all go on to wait */
    assert_int_equal(permits_waiting(p), 3);
    atomic_store(&w[1].cancel, true);
    permits_wake(p);
    assert_int_equal(permits_waiting(p),
                     2); /* whether its thread has run or not: nobody meets it again */
    thread_join(threads[1]);
    assert_false(w[1].got);
    permits_give(p, 0);
    thread_join(threads[0]);
    thread_join(threads[2]);
    assert_true(w[0].got && w[2].got && w[0].order == 0 && w[2].order == 1);
    assert_false(permits_wait(p, 0, &w[1].cancel)); /* cancelled before it asks */
    assert_int_equal(permits_taken(p), 0);
    permits_free(p);
}

/* Key 1 has its share and waits for more; key 2 is let past it. */
static void who_waits_for_its_share_keeps_nobody_else_out(void **state)
{
    (void)state;
    struct permits *p = permits_new(9, true);
    struct waiting w = {.permits = p, .key = 1};
    pthread_t thread;
    atomic_uint counter = 0;
    struct error err;
    w.counter = &counter;
    assert_int_equal(take_all(p, 1), 6);
    assert_true(thread_start(&thread, "waiter", wait_one, &w, &err));
    while (permits_waiting(p) != 1)
        sched_yield();
    assert_true(permits_wait(p, 2, &never));
    assert_int_equal(permits_waiting(p), 1);
    permits_give(p, 1);
    permits_give(p, 1);
    thread_join(thread);
    assert_true(w.got);
    give_all(p, 1, 4);
    permits_give(p, 2);
    permits_free(p);
}

/* Waits as number `i` of those that do. */
static pthread_t begin_to_wait(struct waiting *w, unsigned i)
{
    pthread_t thread;
    struct error err;
    assert_true(thread_start(&thread, "waiter", wait_one, w, &err));
    while (permits_waiting(w->permits) != i + 1)
        sched_yield();
    return thread;
}

/* 60 of 100 are taken. One that asks for 80 waits; small ones that come later would fit, and wait behind it. */
static void what_is_large_has_its_turn(void **state)
{
    (void)state;
    struct permits *p = permits_new_weighed(100, 0);
    atomic_uint counter = 0;
    struct waiting w[3] = {{.n = 80}, {.n = 30}, {.n = 1000}}; /* more than all: alone */
    pthread_t threads[3];
    assert_true(permits_wait_many(p, 0, 60, &never));
    for (unsigned i = 0; i < 3; i++) {
        w[i].permits = p;
        w[i].counter = &counter;
        threads[i] = begin_to_wait(&w[i], i);
    }
    assert_int_equal(permits_taken(p), 60);
    permits_give_many(p, 0, 60);
    for (unsigned i = 0; i < 3; i++) {
        thread_join(threads[i]);
        assert_true(w[i].got && w[i].order == i);
    }
    assert_int_equal(permits_taken(p), 0);
    permits_free(p);
}

/* Nothing is given back: only the large one's leaving can let the small one in. */
static void who_leaves_lets_in_those_behind(void **state)
{
    (void)state;
    struct permits *p = permits_new_weighed(100, 0);
    atomic_uint counter = 0;
    struct waiting large = {.permits = p, .n = 80, .counter = &counter};
    struct waiting small = {.permits = p, .n = 40, .counter = &counter};
    assert_true(permits_wait_many(p, 0, 60, &never));
    pthread_t first = begin_to_wait(&large, 0), second = begin_to_wait(&small, 1);
    atomic_store(&large.cancel, true);
    permits_wake(p);
    thread_join(first);
    thread_join(second);
    assert_true(!large.got && small.got);
    assert_int_equal(permits_taken(p), 60);
    permits_give_many(p, 0, 60);
    permits_free(p);
}

static void a_key_alone_has_two_thirds_also_by_weight(void **state)
{
    (void)state;
    struct permits *p = permits_new_weighed(900, 2);
    uint64_t held = 0;
    while (permits_try_many(p, 1, 10))
        held += 10;
    assert_int_equal(held, 600);
    assert_true(permits_try_many(p, 2, 100));
    assert_false(permits_try_many(p, 3, 10)); /* no place for a third key */
    permits_give_many(p, 1, held);
    assert_true(permits_try_many(p, 3, 10));
    permits_give_many(p, 2, 100);
    permits_give_many(p, 3, 10);
    assert_int_equal(permits_taken(p), 0);
    permits_free(p);
}

struct crowd {
    struct permits *permits;
    atomic_uint inside, most;
};

/* Weights of 1 to 12 of 10, some of which leave before they are in. */
static void *come_with_weights(void *arg)
{
    struct crowd *c = arg;
    for (unsigned i = 0; i < 200; i++) {
        unsigned n = 1 + i * 7 % 12, weight = n < 10 ? n : 10;
        atomic_bool leaves = i % 5 == 0;
        if (!permits_wait_many(c->permits, 0, n, i % 10 == 5 ? &leaves : &never))
            continue;
        unsigned now = atomic_fetch_add(&c->inside, weight) + weight, most = atomic_load(&c->most);
        while (now > most && !atomic_compare_exchange_weak(&c->most, &most, now))
            ;
        atomic_fetch_sub(&c->inside, weight);
        permits_give_many(c->permits, 0, n);
    }
    return NULL;
}

static void never_more_weight_than_there_is(void **state)
{
    (void)state;
    struct crowd c = {.permits = permits_new_weighed(10, 0)};
    pthread_t threads[8];
    struct error err;
    for (size_t i = 0; i < 8; i++)
        assert_true(thread_start(&threads[i], "crowd", come_with_weights, &c, &err));
    for (size_t i = 0; i < 8; i++)
        thread_join(threads[i]);
    assert_true(c.most >= 1 && c.most <= 10);
    assert_int_equal(permits_taken(c.permits) + permits_waiting(c.permits), 0);
    permits_free(c.permits);
}

static void *come_and_go(void *arg)
{
    struct crowd *c = arg;
    for (unsigned i = 0; i < 200; i++) {
        uint64_t key = i % 3;
        if (!permits_wait(c->permits, key, &never))
            return NULL;
        unsigned now = atomic_fetch_add(&c->inside, 1) + 1, most = atomic_load(&c->most);
        while (now > most && !atomic_compare_exchange_weak(&c->most, &most, now))
            ;
        atomic_fetch_sub(&c->inside, 1);
        permits_give(c->permits, key);
    }
    return NULL;
}

static void never_more_than_there_are(void **state)
{
    (void)state;
    for (int is_shared = 0; is_shared < 2; is_shared++) {
        struct crowd c = {.permits = permits_new(3, is_shared)};
        pthread_t threads[8];
        struct error err;
        for (size_t i = 0; i < 8; i++)
            assert_true(thread_start(&threads[i], "crowd", come_and_go, &c, &err));
        for (size_t i = 0; i < 8; i++)
            thread_join(threads[i]);
        assert_true(c.most >= 1 && c.most <= 3);
        assert_int_equal(permits_taken(c.permits) + permits_waiting(c.permits), 0);
        permits_free(c.permits);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_key_leaves_room_for_one_more),
        cmocka_unit_test(a_single_permit_is_given_also_where_it_is_shared),
        cmocka_unit_test(who_waits_comes_in_by_arrival_unless_cancelled),
        cmocka_unit_test(who_waits_for_its_share_keeps_nobody_else_out),
        cmocka_unit_test(never_more_than_there_are),
        cmocka_unit_test(what_is_large_has_its_turn),
        cmocka_unit_test(who_leaves_lets_in_those_behind),
        cmocka_unit_test(a_key_alone_has_two_thirds_also_by_weight),
        cmocka_unit_test(never_more_weight_than_there_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
