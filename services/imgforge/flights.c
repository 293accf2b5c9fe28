/* SPDX-License-Identifier: Apache-2.0 */
/* flights.c: see flights.h. One mutex over a table of lists and all waiters, held for a few pointers' time; landed() is called without it. A waiter
 * goes
 *
 *   NEW --- flights_join() --> WAITS --- flight_land() ------------------------------> CALLED
 *    | it is shown: CALLED      |
 *    +---- flights_leave() --> LEFT (in fs->left once it has joined) --- the thread --> CALLED
 *
 * and is nobody's but its owner's once it is CALLED: lists are read before landed() is called, as it may free what it is called for. */
#include "flights.h"

#include "base/assert.h"
#include "base/mem.h"
#include "base/thread.h"

#include <string.h>

enum { BUCKETS = 1024 }; /* chosen, not measured: flights are as many as requests in work */

struct flight {
    struct image_key key;
    struct flight *next; /* in its bucket, while it is_listed */
    bool is_listed;      /* may be joined */
    struct flight_waiter *first;
    struct cached_image *shown; /* borrowed; NULL: not yet */
    atomic_bool cancel;
};

struct flights {
    pthread_mutex_t mutex;
    pthread_cond_t wake; /* for the thread */
    pthread_t thread;
    bool stop;
    struct flight *buckets[BUCKETS];
    struct flight_waiter *left, **left_end; /* in order of leaving, by `next` */
    struct flights_stats stats;
};

/* --- all that follows holds the mutex --- */

static struct flight **bucket_of_locked(struct flights *fs, const struct image_key *key)
{
    uint32_t hash; /* keys are digests */
    memcpy(&hash, key->bytes, sizeof(hash));
    return &fs->buckets[hash % BUCKETS];
}

static struct flight *find_locked(struct flights *fs, const struct image_key *key)
{
    struct flight *flight = *bucket_of_locked(fs, key);
    while (flight && memcmp(flight->key.bytes, key->bytes, sizeof(key->bytes)) != 0)
        flight = flight->next;
    return flight;
}

static struct flight *begin_locked(struct flights *fs, const struct image_key *key)
{
    struct flight *flight = mem_alloc_zero(MEM_OTHER, 1, sizeof(*flight));
    struct flight **bucket = bucket_of_locked(fs, key);
    flight->key = *key;
    flight->next = *bucket;
    flight->is_listed = true;
    *bucket = flight;
    fs->stats.flights++;
    fs->stats.led++;
    return flight;
}

static void unlist_locked(struct flights *fs, struct flight *flight)
{
    struct flight **at = bucket_of_locked(fs, &flight->key);
    if (!flight->is_listed)
        return;
    while (*at != flight)
        at = &(*at)->next;
    *at = flight->next;
    flight->is_listed = false;
}

static void wait_locked(struct flights *fs, struct flight *flight, struct flight_waiter *w)
{
    w->state = WAITER_WAITS;
    w->flight = flight;
    w->previous = NULL;
    w->next = flight->first;
    if (w->next)
        w->next->previous = w;
    flight->first = w;
    fs->stats.waiters++;
}

static void call_soon_locked(struct flights *fs, struct flight_waiter *w)
{
    w->state = WAITER_LEFT;
    w->flight = NULL;
    w->next = NULL;
    *fs->left_end = w;
    fs->left_end = &w->next;
    cond_signal(&fs->wake);
}

/* Who is the last to go takes the flight out: it is on its way down, and nobody shall board it. True: that is so. */
static bool leave_locked(struct flights *fs, struct flight_waiter *w)
{
    struct flight *flight = w->flight;
    *(w->previous ? &w->previous->next : &flight->first) = w->next;
    if (w->next)
        w->next->previous = w->previous;
    fs->stats.waiters--;
    bool is_last = flight->first == NULL;
    if (is_last) {
        unlist_locked(fs, flight);
        atomic_store_explicit(&flight->cancel, true, memory_order_relaxed); /* a hint to hurry */
    }
    call_soon_locked(fs, w);
    return is_last;
}

static struct flight_waiter *take_left_locked(struct flights *fs)
{
    struct flight_waiter *first = fs->left;
    fs->left = NULL;
    fs->left_end = &fs->left;
    for (struct flight_waiter *w = first; w; w = w->next)
        w->state = WAITER_CALLED;
    return first;
}

/* Those who wait, who are to be called. */
static struct flight_waiter *take_waiters_locked(struct flights *fs, struct flight *flight)
{
    struct flight_waiter *first = flight->first;
    flight->first = NULL;
    for (struct flight_waiter *w = first; w; w = w->next) {
        w->state = WAITER_CALLED;
        fs->stats.waiters--;
    }
    return first;
}

/* --- from here on it is free --- */

static void call_all(struct flight_waiter *first, enum flight_end end, struct cached_image *image,
                     const struct image_failure *f)
{
    for (struct flight_waiter *w = first, *next; w; w = next) {
        next = w->next;
        w->landed(w->arg, end, image, f);
    }
}

static void *flights_run(void *arg)
{
    struct flights *fs = arg;
    mutex_lock(&fs->mutex);
    while (fs->left || !fs->stop) {
        struct flight_waiter *left = take_left_locked(fs);
        if (left == NULL) {
            cond_wait(&fs->wake, &fs->mutex);
            continue;
        }
        mutex_unlock(&fs->mutex);
        call_all(left, FLIGHT_LEFT, NULL, NULL);
        mutex_lock(&fs->mutex);
    }
    mutex_unlock(&fs->mutex);
    return NULL;
}

bool flights_start(struct flights **out, struct error *err)
{
    struct flights *fs = mem_alloc_zero(MEM_OTHER, 1, sizeof(*fs));
    mutex_init(&fs->mutex);
    cond_init(&fs->wake);
    fs->left_end = &fs->left;
    *out = fs;
    if (thread_start(&fs->thread, "flights", flights_run, fs, err))
        return true;
    cond_deinit(&fs->wake);
    mutex_deinit(&fs->mutex);
    mem_free(MEM_OTHER, fs);
    *out = NULL;
    return false;
}

void flights_stop(struct flights *fs)
{
    if (fs == NULL)
        return;
    mutex_lock(&fs->mutex);
    ASSERT(fs->stats.flights == 0 && fs->stats.waiters == 0);
    fs->stop = true;
    cond_signal(&fs->wake);
    mutex_unlock(&fs->mutex);
    thread_join(fs->thread);
    cond_deinit(&fs->wake);
    mutex_deinit(&fs->mutex);
    mem_free(MEM_OTHER, fs);
}

void flights_join(struct flights *fs, const struct image_key *key, struct flight_waiter *w,
                  struct flight **out)
{
    struct cached_image *shown = NULL;
    *out = NULL;
    mutex_lock(&fs->mutex);
    ASSERT(w->landed && (w->state == WAITER_NEW || w->state == WAITER_LEFT));
    fs->stats.joined++;
    if (w->state == WAITER_LEFT) {
        call_soon_locked(fs, w);
    } else {
        struct flight *flight = find_locked(fs, key);
        if (flight == NULL)
            flight = *out = begin_locked(fs, key);
        if (flight->shown) {
            shown = cached_image_ref(flight->shown);
            w->state = WAITER_CALLED;
        } else {
            wait_locked(fs, flight, w);
        }
    }
    mutex_unlock(&fs->mutex);
    if (shown)
        w->landed(w->arg, FLIGHT_LANDED, shown, NULL);
    cached_image_unref(shown);
}

bool flights_leave(struct flights *fs, struct flight_waiter *w)
{
    bool is_last = false;
    mutex_lock(&fs->mutex);
    if (w->state == WAITER_NEW)
        w->state = WAITER_LEFT; /* flights_join() will see it */
    else if (w->state == WAITER_WAITS)
        is_last = leave_locked(fs, w);
    mutex_unlock(&fs->mutex);
    return is_last;
}

const atomic_bool *flight_cancel(const struct flight *flight)
{
    return &flight->cancel;
}

void flight_show(struct flights *fs, struct flight *flight, struct cached_image *image)
{
    mutex_lock(&fs->mutex);
    flight->shown = image;
    struct flight_waiter *first = take_waiters_locked(fs, flight);
    mutex_unlock(&fs->mutex);
    call_all(first, FLIGHT_LANDED, image, NULL);
}

static void land(struct flights *fs, struct flight *flight, enum flight_end end,
                 struct cached_image *image, const struct image_failure *f)
{
    mutex_lock(&fs->mutex);
    unlist_locked(fs, flight);
    struct flight_waiter *first = take_waiters_locked(fs, flight);
    fs->stats.flights--;
    mutex_unlock(&fs->mutex);
    call_all(first, end, image, f);
    mem_free(MEM_OTHER, flight);
}

void flight_land(struct flights *fs, struct flight *flight, struct cached_image *image,
                 const struct image_failure *f)
{
    ASSERT(image || f);
    land(fs, flight, image ? FLIGHT_LANDED : FLIGHT_FAILED, image, image ? NULL : f);
}

void flight_land_found(struct flights *fs, struct flight *flight, struct cached_image *image)
{
    land(fs, flight, FLIGHT_FOUND, image, NULL);
}

void flights_stats_get(struct flights *fs, struct flights_stats *out)
{
    mutex_lock(&fs->mutex);
    *out = fs->stats;
    mutex_unlock(&fs->mutex);
}
