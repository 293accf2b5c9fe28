/* SPDX-License-Identifier: Apache-2.0 */
/* flights.h: pictures that are being looked for or made: who asks for one that is on its way waits for it, so that it is looked for, fetched
 * and made once. Waiting takes no thread: a waiter is a few words in its request, and is called when the picture is there.
 *
 *   flights_join() --- first ---> leads: has the work done, on whatever thread -----> flight_land() ---> every waiter's landed()
 *                  --- else ----> waits                                                 ^
 *   flights_leave(): client gone, time over ---> landed() of this one alone; when nobody waits any more, *flight_cancel() is
 *                                                set, the work ends soon, and who comes now begins a flight of his own
 *
 * The one that leads waits like all others: when it leaves, the work goes on for those that still wait. Work has no deadline of its
 * own but its waiters'. */
#ifndef IMGFORGE_FLIGHTS_H
#define IMGFORGE_FLIGHTS_H

#include "base/error.h"
#include "cached_image.h"
#include "image_failure.h"

struct flights; /* any thread */
struct flight;  /* one picture's way; of its leader until it has landed */

enum flight_end {
    FLIGHT_LANDED, /* with a picture */
    FLIGHT_FOUND,  /* with one that was there already */
    FLIGHT_FAILED, /* with *f, the same for all */
    FLIGHT_LEFT    /* by flights_leave(); nothing else is known */
};

/* Embedded in a request, zero but for landed and arg; stays where it is until landed() is called. */
struct flight_waiter {
    /* Once for each that has joined, on the thread that lands the flight, on its own during flights_join() or, when it has left, on one of
     * flights' own; without a lock. `image` and `f` are borrowed. It should be quick: others wait behind it. */
    void (*landed)(void *arg, enum flight_end end, struct cached_image *image,
                   const struct image_failure *f);
    void *arg;

    struct flight *flight; /* guarded by flights' mutex, as all below */
    struct flight_waiter *previous, *next;
    enum {
        WAITER_NEW,
        WAITER_WAITS,
        WAITER_LEFT, /* before it joined, or landed() is about to be called */
        WAITER_CALLED
    } state;
};

MUST_USE bool flights_start(struct flights **out, struct error *err);
/* All have landed, and nobody waits. NULL is fine. */
void flights_stop(struct flights *fs);

/* *out is the flight that `w` leads; NULL: another leads, its picture is there (landed() was called), or w had left already. From
 * here on landed() may be called, and end its request, at any moment. */
void flights_join(struct flights *fs, const struct image_key *key, struct flight_waiter *w,
                  struct flight **out);
/* It waits no longer: landed() with FLIGHT_LEFT comes soon, unless landed() was called, or is being called, already. Also before
 * flights_join(). Under any lock of the caller's that no landed() takes before it returns from an http function; does not wait.
 * True: it was the last to wait, *flight_cancel() is set now. */
bool flights_leave(struct flights *fs, struct flight_waiter *w);
/* Set when nobody waits any more. Valid until it has landed. */
const atomic_bool *flight_cancel(const struct flight *flight);
/* The picture is made, and not yet where others would find it: calls everybody who still waits, and who joins from now on at once.
 * `image` is borrowed until it has landed. */
void flight_show(struct flights *fs, struct flight *flight, struct cached_image *image);
/* Calls everybody who still waits, then frees the flight. `image` (borrowed) NULL: *f says why. */
void flight_land(struct flights *fs, struct flight *flight, struct cached_image *image,
                 const struct image_failure *f);
/* Lands with what nobody had to make. */
void flight_land_found(struct flights *fs, struct flight *flight, struct cached_image *image);

struct flights_stats {
    size_t flights, waiters; /* now */
    uint64_t joined, led;    /* ever: joined - led were spared the work */
};
void flights_stats_get(struct flights *fs, struct flights_stats *out);

#endif
