/* SPDX-License-Identifier: Apache-2.0 */
/* flights_test.c: who gets what, step by step; then many threads that join, leave and land as they like (under ThreadSanitizer), of which each must be
 * called exactly once. */
#include "flights.h"

#include "base/thread.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* A request: what was it told? */
struct caller {
    struct flight_waiter waiter;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    int calls;
    enum flight_end end;
    char text[64]; /* of picture or failure */
};

static void on_landed(void *arg, enum flight_end end, struct cached_image *image,
                      const struct image_failure *f)
{
    struct caller *c = arg;
    mutex_lock(&c->mutex);
    c->calls++;
    c->end = end;
    if (image)
        snprintf(c->text, sizeof(c->text), "%.*s", VIEW_ARGS(image->bytes));
    else if (f)
        snprintf(c->text, sizeof(c->text), "%d %.50s", f->status, f->text);
    cond_broadcast(&c->changed);
    mutex_unlock(&c->mutex);
}

static void caller_init(struct caller *c)
{
    *c = (struct caller){.waiter = {.landed = on_landed, .arg = c}};
    mutex_init(&c->mutex);
    cond_init(&c->changed);
}

static void caller_wait(struct caller *c)
{
    mutex_lock(&c->mutex);
    while (c->calls == 0)
        cond_wait(&c->changed, &c->mutex);
    mutex_unlock(&c->mutex);
}

static void caller_deinit(struct caller *c)
{
    cond_deinit(&c->changed);
    mutex_deinit(&c->mutex);
}

static struct flights *start(void)
{
    struct flights *fs;
    struct error err = {0};
    if (!flights_start(&fs, &err))
        fail_msg("%s", err.message);
    return fs;
}

static struct image_key key_of(unsigned n)
{
    struct image_key key = {{0}};
    memcpy(key.bytes + 4 * (n % 2), &n, sizeof(n)); /* half of them share a bucket */
    return key;
}

static void land(struct flights *fs, struct flight *flight, bool is_shown, const char *text)
{
    struct image_key key = {{0}};
    struct cached_image *image =
        cached_image_new(&key, view_from(text), VIEW("image/png"), VIEW(""), 0);
    if (is_shown)
        flight_show(fs, flight, image);
    flight_land(fs, flight, image, NULL);
    cached_image_unref(image);
}

static void assert_told(struct caller *c, enum flight_end end, const char *text)
{
    assert_int_equal(c->calls, 1);
    assert_int_equal(c->end, end);
    assert_string_equal(c->text, text);
}

static void those_who_ask_for_the_same_get_the_same(void **state)
{
    (void)state;
    struct flights *fs = start();
    struct caller a[3], other;
    struct flight *flight, *second, *none;
    struct flights_stats stats;
    for (int i = 0; i < 3; i++)
        caller_init(&a[i]);
    caller_init(&other);
    struct image_key key = key_of(3), other_key = key_of(1);
    flights_join(fs, &key, &a[0].waiter, &flight);
    assert_non_null(flight);
    flights_join(fs, &other_key, &other.waiter, &second);
    assert_non_null(second);
    for (int i = 1; i < 3; i++) {
        flights_join(fs, &key, &a[i].waiter, &none);
        assert_null(none);
    }
    flights_stats_get(fs, &stats);
    assert_int_equal(stats.flights, 2);
    assert_int_equal(stats.waiters, 4);
    land(fs, flight, false, "picture");
    for (int i = 0; i < 3; i++)
        assert_told(&a[i], FLIGHT_LANDED, "picture");
    assert_int_equal(other.calls, 0);
    struct image_failure f;
    (void)image_fail(&f, 400, "Error fetching image");
    flight_land(fs, second, NULL, &f);
    assert_told(&other, FLIGHT_FAILED, "400 Error fetching image");
    flights_stats_get(fs, &stats);
    assert_int_equal(stats.flights + stats.waiters, 0);
    assert_int_equal(stats.joined, 4);
    assert_int_equal(stats.led, 2);
    for (int i = 0; i < 3; i++)
        caller_deinit(&a[i]);
    caller_deinit(&other);
    flights_stop(fs);
}

static void who_leads_may_leave_and_the_others_get_their_picture(void **state)
{
    (void)state;
    struct flights *fs = start();
    struct caller leader, waits, leaves;
    struct flight *flight, *none;
    struct image_key key = key_of(2);
    caller_init(&leader);
    caller_init(&waits);
    caller_init(&leaves);
    flights_join(fs, &key, &leader.waiter, &flight);
    flights_join(fs, &key, &leaves.waiter, &none);
    flights_join(fs, &key, &waits.waiter, &none);
    assert_false(flights_leave(fs, &leader.waiter));
    assert_false(flights_leave(fs, &leaves.waiter));
    assert_false(flights_leave(fs, &leaves.waiter)); /* once is enough */
    caller_wait(&leader);
    caller_wait(&leaves);
    assert_false(atomic_load(flight_cancel(flight)));
    land(fs, flight, false, "picture");
    assert_false(flights_leave(fs, &waits.waiter)); /* too late */
    assert_told(&leader, FLIGHT_LEFT, "");
    assert_told(&leaves, FLIGHT_LEFT, "");
    assert_told(&waits, FLIGHT_LANDED, "picture");
    flights_stop(fs);
    assert_int_equal(waits.calls, 1);
    caller_deinit(&leader);
    caller_deinit(&waits);
    caller_deinit(&leaves);
}

static void work_that_nobody_waits_for_is_cancelled_and_not_joined(void **state)
{
    (void)state;
    struct flights *fs = start();
    struct caller first, second;
    struct flight *flight, *again;
    struct image_key key = key_of(2);
    caller_init(&first);
    caller_init(&second);
    flights_join(fs, &key, &first.waiter, &flight);
    assert_true(flights_leave(fs, &first.waiter));
    caller_wait(&first);
    assert_true(atomic_load(flight_cancel(flight)));
    flights_join(fs, &key, &second.waiter, &again);
    assert_non_null(again);
    assert_ptr_not_equal(again, flight);
    struct image_failure f;
    (void)image_fail(&f, 408, "Request Timeout");
    flight_land(fs, flight, NULL, &f);
    assert_told(&first, FLIGHT_LEFT, "");
    assert_int_equal(second.calls, 0);
    land(fs, again, false, "picture");
    assert_told(&second, FLIGHT_LANDED, "picture");
    flights_stop(fs);
    caller_deinit(&first);
    caller_deinit(&second);
}

static void who_left_before_joining_leads_nothing(void **state)
{
    (void)state;
    struct flights *fs = start();
    struct caller c;
    struct flight *flight;
    struct image_key key = key_of(2);
    caller_init(&c);
    assert_false(flights_leave(fs, &c.waiter)); /* there is nothing to cancel */
    assert_int_equal(c.calls, 0);
    flights_join(fs, &key, &c.waiter, &flight);
    assert_null(flight);
    caller_wait(&c);
    assert_told(&c, FLIGHT_LEFT, "");
    flights_stop(fs);
    caller_deinit(&c);
}

static void who_joins_while_it_is_kept_has_it_at_once(void **state)
{
    (void)state;
    struct flights *fs = start();
    struct caller leader, late, next;
    struct flight *flight, *again;
    struct flights_stats stats;
    struct image_key key = key_of(2);
    struct cached_image *image =
        cached_image_new(&key, VIEW("picture"), VIEW("image/png"), VIEW(""), 0);
    caller_init(&leader);
    caller_init(&late);
    caller_init(&next);
    flights_join(fs, &key, &leader.waiter, &flight);
    flight_show(fs, flight, image);
    assert_told(&leader, FLIGHT_LANDED, "picture");
    flights_join(fs, &key, &late.waiter, &again);
    assert_null(again);
    assert_told(&late, FLIGHT_LANDED, "picture");
    flights_leave(fs, &late.waiter); /* too late: called once */
    flight_land(fs, flight, image, NULL);
    assert_told(&leader, FLIGHT_LANDED, "picture");
    flights_join(fs, &key, &next.waiter, &again);
    assert_non_null(again);
    flight_land_found(fs, again, image);
    assert_told(&next, FLIGHT_FOUND, "picture");
    flights_stats_get(fs, &stats);
    assert_int_equal(stats.flights + stats.waiters, 0);
    cached_image_unref(image);
    flights_stop(fs);
    assert_told(&late, FLIGHT_LANDED, "picture");
    caller_deinit(&leader);
    caller_deinit(&late);
    caller_deinit(&next);
}

/* ---- many at once ---- */

enum { THREADS = 8, ROUNDS = 400, KEYS = 5 };

struct crowd {
    struct flights *fs;
    atomic_uint landed, failed, left, led, calls;
};

struct member {
    struct crowd *crowd;
    unsigned n;
};

/* One thread's requests: of every three one leaves, on a thread of its own where it can, while it leads or waits. */
static void *member_run(void *arg)
{
    struct member *m = arg;
    struct crowd *crowd = m->crowd;
    for (unsigned i = 0; i < ROUNDS; i++) {
        struct caller c;
        struct flight *flight;
        struct image_key key = key_of(i / 4 % KEYS);
        caller_init(&c);
        if (i % 7 == m->n % 7)
            flights_leave(crowd->fs, &c.waiter);
        flights_join(crowd->fs, &key, &c.waiter, &flight);
        if ((i + m->n) % 3 == 0)
            flights_leave(crowd->fs, &c.waiter);
        if (flight) {
            atomic_fetch_add(&crowd->led, 1);
            if (i % 2) {
                land(crowd->fs, flight, i % 4 == 1, "picture");
            } else {
                struct image_failure f;
                (void)image_fail(&f, 400, "Error fetching image");
                flight_land(crowd->fs, flight, NULL, &f);
            }
        }
        caller_wait(&c);
        atomic_fetch_add(&crowd->calls, (unsigned)c.calls);
        atomic_fetch_add(c.end == FLIGHT_LANDED   ? &crowd->landed
                         : c.end == FLIGHT_FAILED ? &crowd->failed
                                                  : &crowd->left,
                         1);
        caller_deinit(&c);
    }
    return NULL;
}

static void in_a_crowd_each_is_called_once(void **state)
{
    (void)state;
    struct crowd crowd = {.fs = start()};
    struct member members[THREADS];
    pthread_t threads[THREADS];
    struct error err;
    struct flights_stats stats;
    for (unsigned i = 0; i < THREADS; i++) {
        members[i] = (struct member){&crowd, i};
        assert_true(thread_start(&threads[i], "crowd", member_run, &members[i], &err));
    }
    for (unsigned i = 0; i < THREADS; i++)
        thread_join(threads[i]);
    flights_stats_get(crowd.fs, &stats);
    assert_int_equal(stats.flights + stats.waiters, 0);
    assert_int_equal(stats.joined, THREADS * ROUNDS);
    assert_int_equal(stats.led, crowd.led);
    assert_int_equal(crowd.calls, THREADS * ROUNDS);
    assert_int_equal(crowd.landed + crowd.failed + crowd.left, THREADS * ROUNDS);
    flights_stop(crowd.fs);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(those_who_ask_for_the_same_get_the_same),
        cmocka_unit_test(who_leads_may_leave_and_the_others_get_their_picture),
        cmocka_unit_test(work_that_nobody_waits_for_is_cancelled_and_not_joined),
        cmocka_unit_test(who_left_before_joining_leads_nothing),
        cmocka_unit_test(who_joins_while_it_is_kept_has_it_at_once),
        cmocka_unit_test(in_a_crowd_each_is_called_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
