/* SPDX-License-Identifier: Apache-2.0 */
/* backoff.h: who guesses must wait: after some failures each further one doubles the time until the next try is
 * looked at. Holds a fixed number of keys; under a flood those with the fewest failures are forgotten. Any thread. */
#ifndef BELFRY_ACCESS_BACKOFF_H
#define BELFRY_ACCESS_BACKOFF_H

#include "base/clock.h"

#include <stdint.h>

struct backoff;

/* The first `free_count` failures cost nothing; then 1 s, 2 s, ... up to wait_ms_max. */
struct backoff *backoff_new(unsigned free_count, int64_t wait_ms_max);
void backoff_free(struct backoff *b); /* NULL is fine */
/* How long `key` must wait from now on; 0 = it may try. */
int64_t backoff_wait_ms(struct backoff *b, uint64_t key, mono_time now);
void backoff_fail(struct backoff *b, uint64_t key, mono_time now);
void backoff_succeed(struct backoff *b, uint64_t key);

#endif
