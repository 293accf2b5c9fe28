/* SPDX-License-Identifier: Apache-2.0 */
/* compact_plan.c: see compact_plan.h.
 *
 * 1. Blocks that overlap are merged, so that queries need not do it again and again.
 * 2. In a tier, the blocks that lie within one aligned window are merged when the window is settled: the
 *    head was cut past it. A block that crosses a window's border is in none.
 * 3. Writing has a price: every merge writes each of its samples again. Where one block is much larger than
 *    all others together (late samples beside a block of a day), the merge waits until the others have a
 *    quarter of its bytes, or are eight. A query can merge as many without being noticeably slower.
 * 4. A block of which much is deleted is written again without it.
 * Fewer tiers than Prometheus' powers of three: 2 h, 1 d, 8 d write a sample three times in all. */
#include "storage/compact_plan.h"

#include "base/assert.h"

#include <string.h>

enum { SMALL_SHARE = 4, SMALL_COUNT_MAX = 8 }; /* chosen, not measured */

struct compact_tiers compact_tiers_make(int64_t range_ms, int64_t block_ms_max)
{
    static const int DAY[] = {12, 6, 4, 3, 2};
    enum { DAYS = 8 };
    struct compact_tiers t = {{range_ms}, 1};
    ASSERT(range_ms > 0);
    for (size_t i = 0; i < sizeof DAY / sizeof *DAY && t.count == 1; i++)
        if (range_ms <= block_ms_max / DAY[i])
            t.range_ms[t.count++] = range_ms * DAY[i];
    if (t.count == 2 && t.range_ms[1] / range_ms == DAY[0] && t.range_ms[1] <= block_ms_max / DAYS)
        t.range_ms[t.count++] = t.range_ms[1] * DAYS;
    return t;
}

/* Rule 3 for the blocks that are marked. */
static bool is_worth_it(const struct compact_candidate *blocks, size_t count, const bool *chosen)
{
    uint64_t total = 0, largest = 0;
    size_t n = 0;
    for (size_t i = 0; i < count; i++) {
        if (!chosen[i])
            continue;
        n++;
        total += blocks[i].bytes;
        largest = blocks[i].bytes > largest ? blocks[i].bytes : largest;
    }
    return n > 1 && (n > SMALL_COUNT_MAX || total - largest >= largest / SMALL_SHARE);
}

/* Runs of blocks each of which begins before the others before it have ended. */
static bool choose_overlap(const struct compact_candidate *blocks, size_t count, bool *chosen)
{
    int64_t end = INT64_MIN;
    size_t n = 0;
    memset(chosen, 0, count * sizeof *chosen);
    for (size_t i = 0; i <= count; i++) {
        if (i < count && blocks[i].excluded)
            continue;
        if (i == count || blocks[i].mint >= end) { /* a run has ended */
            if (n > 1 && is_worth_it(blocks, count, chosen))
                return true;
            memset(chosen, 0, count * sizeof *chosen);
            n = 0;
        }
        if (i < count) {
            chosen[i] = true;
            n++;
            end = blocks[i].maxt > end ? blocks[i].maxt : end;
        }
    }
    return false;
}

/* The start of the aligned window that holds `t`; false when it is out of range. */
static bool window_of(int64_t t, int64_t range_ms, int64_t *start)
{
    int64_t into = t % range_ms;
    into = into < 0 ? into + range_ms : into;
    int64_t end;
    return !__builtin_sub_overflow(t, into, start) &&
           !__builtin_add_overflow(*start, range_ms, &end);
}

static bool choose_in_tier(const struct compact_candidate *blocks, size_t count, int64_t range_ms,
                           int64_t shorter_ms, int64_t settled_ms, bool *chosen)
{
    int64_t last = INT64_MIN; /* the window that was looked at last: blocks ascend */
    for (size_t first = 0; first < count; first++) {
        int64_t start, own;
        bool has_long = false;
        size_t n = 0;
        if (blocks[first].excluded || !window_of(blocks[first].mint, range_ms, &start) ||
            start > settled_ms - range_ms || start == last)
            continue;
        last = start;
        memset(chosen, 0, count * sizeof *chosen);
        for (size_t i = first; i < count && blocks[i].mint < start + range_ms; i++) {
            if (blocks[i].excluded || !window_of(blocks[i].mint, range_ms, &own) || own != start ||
                blocks[i].maxt > start + range_ms)
                continue;
            has_long |= blocks[i].maxt - blocks[i].mint > shorter_ms;
            chosen[i] = true;
            n++;
        }
        if (n > 1 && (!has_long || is_worth_it(blocks, count, chosen)))
            return true;
    }
    return false;
}

size_t compact_plan(const struct compact_candidate *blocks, size_t count,
                    const struct compact_tiers *tiers, int64_t settled_ms, bool *chosen)
{
    bool found = choose_overlap(blocks, count, chosen);
    for (size_t tier = 1; tier < tiers->count && !found; tier++)
        if (settled_ms >= INT64_MIN + tiers->range_ms[tier])
            found = choose_in_tier(blocks, count, tiers->range_ms[tier], tiers->range_ms[tier - 1],
                                   settled_ms, chosen);
    if (!found)
        memset(chosen, 0, count * sizeof *chosen);
    for (size_t i = 0; i < count && !found; i++)
        found = chosen[i] = blocks[i].rewrite && !blocks[i].excluded;
    size_t n = 0;
    for (size_t i = 0; i < count; i++)
        n += chosen[i];
    return n;
}
