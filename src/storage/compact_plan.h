/* SPDX-License-Identifier: Apache-2.0 */
/* compact_plan.h: which blocks to merge next. Pure: what is known of the blocks in, a choice out. */
#ifndef BELFRY_STORAGE_COMPACT_PLAN_H
#define BELFRY_STORAGE_COMPACT_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { COMPACT_TIERS_MAX = 3 };

/* Lengths of blocks, each a multiple of the one before; [0] is that of a cut. */
struct compact_tiers {
    int64_t range_ms[COMPACT_TIERS_MAX];
    size_t count;
};

/* A day is 12 ranges of 2 h, eight days are 96. No tier is longer than block_ms_max: where a day is too
 * long, the longest of 6, 4, 3 and 2 ranges that is not. */
struct compact_tiers compact_tiers_make(int64_t range_ms, int64_t block_ms_max);

struct compact_candidate {
    int64_t mint, maxt; /* [mint, maxt) */
    uint64_t bytes;
    bool excluded; /* cannot be read: left where it is */
    bool rewrite;  /* enough of it is deleted that it pays to write it again */
};

/* Marks the blocks (ascending by mint) of the next merge: overlaps first, then the shortest tier, the oldest
 * of it first. `settled_ms`: below it no block is still to be cut. Returns how many: 0 = nothing to do; 1 = a
 * block to be rewritten. */
size_t compact_plan(const struct compact_candidate *blocks, size_t count,
                    const struct compact_tiers *tiers, int64_t settled_ms, bool *chosen);

#endif
