/* SPDX-License-Identifier: Apache-2.0 */
/* turns.h: at most so many at once, and what they leave (connections) for who comes next, the last one first. Any thread. */
#ifndef IMGFORGE_TURNS_H
#define IMGFORGE_TURNS_H

#include "base/attributes.h"
#include "base/clock.h"

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

struct turns {
    pthread_mutex_t mutex; /* a leaf; guards the rest */
    pthread_cond_t given_back;
    void **idle; /* a stack with room for one of each turn */
    size_t idle_count, free_count;
};

void turns_init(struct turns *t, size_t count);
/* What is idle was taken with turns_take_idle(). */
void turns_deinit(struct turns *t);
/* Waits for a turn until `deadline`; false: there was none. *kept: what somebody left, the caller's now; NULL: nothing. */
MUST_USE bool turns_take(struct turns *t, mono_time deadline, void **kept);
/* Ends the turn; `kept` NULL: leaves nothing. */
void turns_give_back(struct turns *t, void *kept);
/* Without a turn, one after the other: what is idle. NULL: nothing is. */
void *turns_take_idle(struct turns *t);

#endif
