/* SPDX-License-Identifier: Apache-2.0 */
/* random.h: random numbers through a shim. random_secret() is the system's; random_fast() is a seeded
 * generator for spreading timers and tests, never for secrets. */
#ifndef BELFRY_BASE_RANDOM_H
#define BELFRY_BASE_RANDOM_H

#include <stddef.h>
#include <stdint.h>

/* Fills with random bytes from the system; aborts when the system has none. Any thread. */
void random_secret(void *out, size_t len);

struct random {
    uint64_t state[4];
};
void random_seed(struct random *r, uint64_t seed);
uint64_t random_next(struct random *r);
/* In [0, below), below > 0. */
uint64_t random_below(struct random *r, uint64_t below);
double random_unit(struct random *r); /* [0, 1) */

#endif
