/* SPDX-License-Identifier: Apache-2.0 */
/* error_rate.h: how many of the requests of the last five minutes were errors. */
#ifndef BELFRY_INSTRUMENT_ERROR_RATE_H
#define BELFRY_INSTRUMENT_ERROR_RATE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum { RATE_SLOT_SECONDS = 5, RATE_SLOTS = 60, RATE_SLOTS_KEPT = 64 };

/* Counters only rise; at the begin of every slot of five seconds in which something ended, their values are noted. The window
 * is the difference to the oldest note in it: adding never sets anything back, so nothing is lost. */
struct error_rate {
    _Atomic uint64_t total, errors; /* any thread */
    _Atomic int64_t slot;           /* of the newest note; release after it was made */
    pthread_mutex_t mutex;          /* guards the notes: taken once in five seconds */
    struct {
        int64_t slot;
        uint64_t total, errors;
    } notes[RATE_SLOTS_KEPT]; /* at slot % RATE_SLOTS_KEPT */
};

void belfry__error_rate_init(struct error_rate *r);
void belfry__error_rate_deinit(struct error_rate *r);
/* now_s: seconds of any clock that does not jump. Any thread. */
void belfry__error_rate_add(struct error_rate *r, int64_t now_s, bool is_error);
/* 0 to 1; negative when nothing ended in the window. Any thread. */
double belfry__error_rate_get(struct error_rate *r, int64_t now_s);

#endif
