/* SPDX-License-Identifier: Apache-2.0 */
/* rate_limit.h: at most so many requests a minute per key (a client's address, a name, or "" for all together), with a
 * burst. A key's state is one time: when its bucket will be full again (GCRA), so a key that has been quiet is
 * forgotten for nothing. The table does not grow; when too many keys are busy at once the quietest of a few is
 * forgotten, which forgives it. Any thread; about 60 ns. */
#ifndef BELFRY_SERVICE_RATE_LIMIT_H
#define BELFRY_SERVICE_RATE_LIMIT_H

#include "base/attributes.h"
#include "base/clock.h"
#include "base/view.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct rate_limit;

struct rate_limit_state {
    unsigned remaining;     /* that could come at once now */
    unsigned retry_after_s; /* when one was refused: at least 1 */
    unsigned reset_s;       /* until all are there again, rounded up */
};

/* per_minute and burst at least 1; keys_max is rounded up to a power of two, 16 bytes each. */
struct rate_limit *rate_limit_new(unsigned per_minute, unsigned burst, size_t keys_max);
void rate_limit_free(struct rate_limit *limit); /* NULL is fine */
/* False: this one is too many, and not counted. Fills *state, which may be NULL. */
bool rate_limit_take(struct rate_limit *limit, struct view key, mono_time now,
                     struct rate_limit_state *state);

#endif
