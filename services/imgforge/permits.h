/* SPDX-License-Identifier: Apache-2.0 */
/* permits.h: so many at once, and nobody takes all of them. Who waits is let in by arrival; where permits are shared by key (an
 * origin's host), a key has at most twice as many as are free, at least one: alone it gets two thirds, two that would take all get
 * two fifths each, and there is always room for one more (dynamic thresholds, Choudhury and Hahne 1998, with alpha 2). Where they are
 * weighed, one may take many: bytes. Who asks for more than there are gets all of them, alone. Where they are not shared, nobody
 * overtakes who came before, so that one that is large has its turn. Any thread; a few hundred waiters. */
#ifndef IMGFORGE_PERMITS_H
#define IMGFORGE_PERMITS_H

#include "base/attributes.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct permits;

/* `count` at least 1. */
struct permits *permits_new(unsigned count, bool is_shared);
/* The same of as many as one likes, such as bytes; `keys_max` 0: not shared, else how many keys may hold some at once. */
struct permits *permits_new_weighed(uint64_t count, unsigned keys_max);
/* Nobody holds or waits. NULL is fine. */
void permits_free(struct permits *p);
/* At once or not at all. `key` counts where permits are shared: a hash, so that two keys may be taken for one. */
MUST_USE bool permits_try(struct permits *p, uint64_t key);
MUST_USE bool permits_try_many(struct permits *p, uint64_t key, uint64_t n);
/* Waits for one. False: *cancel was set before there was one; who sets it while somebody may wait calls permits_wake(). */
MUST_USE bool permits_wait(struct permits *p, uint64_t key, const atomic_bool *cancel);
MUST_USE bool permits_wait_many(struct permits *p, uint64_t key, uint64_t n,
                                const atomic_bool *cancel);
/* Those of the waiting whose *cancel is set leave. Does not wait; under any lock; looks at each that waits. */
void permits_wake(struct permits *p);
/* Gives it back. */
void permits_give(struct permits *p, uint64_t key);
void permits_give_many(struct permits *p, uint64_t key, uint64_t n);
/* How many there are, all in all. */
uint64_t permits_count(const struct permits *p);
uint64_t permits_taken(struct permits *p);
unsigned permits_waiting(struct permits *p);

#endif
