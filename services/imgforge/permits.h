/* SPDX-License-Identifier: Apache-2.0 */
/* permits.h: so many at once, and nobody takes all of them. Who waits is let in by arrival; where permits are shared by key (an
 * origin's host), a key has at most twice as many as are free, at least one: alone it gets two thirds, two that would take all get
 * two fifths each, and there is always room for one more (dynamic thresholds, Choudhury and Hahne 1998, with alpha 2). Any
 * thread; a few hundred waiters. */
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
/* Nobody holds or waits. NULL is fine. */
void permits_free(struct permits *p);
/* At once or not at all. `key` counts where permits are shared: a hash, so that two keys may be taken for one. */
MUST_USE bool permits_try(struct permits *p, uint64_t key);
/* Waits for one. False: *cancel was set before there was one; seen within a tenth of a second. */
MUST_USE bool permits_wait(struct permits *p, uint64_t key, const atomic_bool *cancel);
/* Gives it back. */
void permits_give(struct permits *p, uint64_t key);
unsigned permits_taken(struct permits *p);
unsigned permits_waiting(struct permits *p);

#endif
