/* SPDX-License-Identifier: Apache-2.0 */
/* head_store.c: the keeper's way of making the WAL short: rows are sealed when they are due, extents written
 * and synced, segments dropped that no row needs any more. Users of groups seal at 64 rows by themselves.
 *
 * A segment may go when every row in it stands in a synced extent. A group names the segment from which on
 * it needs rows: that of the oldest row in run and tile (the segment it was encoded for, so that its key row
 * is there too), or that of its oldest extent without a file. Such a name is set before the row is submitted
 * (group_append.c), and the segment that is open is read here before the groups are: so a row that is on its
 * way meanwhile is either named, or in a segment that stays. */
#include "storage/head_private.h"

#include "base/assert.h"

enum { BATCH_EXTENTS = 4096, LATE_SEGMENTS_MAX = 8 };
#define BATCH_BYTES (UINT64_C(16) << 20) /* written with one sync */

/* What may stay unsealed in this pass. */
struct limits {
    bool everything;
    mono_time now;
    uint64_t segment; /* rows that need a segment below are due */
};

struct batch {
    struct group *groups[BATCH_EXTENTS];
    uint32_t ids[BATCH_EXTENTS];
    struct extent *items[BATCH_EXTENTS], *stored[BATCH_EXTENTS];
    size_t count;
    uint64_t bytes;
};

static bool is_due(struct group *g, const struct limits *l)
{
    mutex_lock(&g->mutex);
    uint64_t segment = g->wal_segment;
    bool due = segment != 0 &&
               (l->everything || segment < l->segment ||
                l->now.ns - g->unsealed_since.ns >= (int64_t)HEAD_UNSEALED_MS_MAX * 1000000);
    mutex_unlock(&g->mutex);
    return due;
}

/* While its user writes a row it is left for the next pass. */
static void seal_if_due(struct group *g, const struct limits *l)
{
    if (!is_due(g, l) || !group_try_hold(g))
        return;
    group_seal(g);
    group_let_go(g);
}

static bool batch_write(struct head *h, struct batch *b, struct error *err)
{
    bool ok =
        b->count == 0 || extent_store_append(h->store, b->items, b->ids, b->count, b->stored, err);
    for (size_t i = 0; i < b->count; i++) {
        if (ok)
            group_swap_extent(b->groups[i], b->items[i], b->stored[i]);
        extent_unref(b->items[i]);
    }
    b->count = 0;
    b->bytes = 0;
    return ok;
}

/* Extents without a file whose rows were shown: then their series stand in the series log. */
static bool batch_take(struct head *h, struct batch *b, struct group *g, struct error *err)
{
    mutex_lock(&g->mutex);
    for (uint32_t i = 0; i < g->extents->count && b->count < BATCH_EXTENTS; i++) {
        struct extent *x = g->extents->items[i];
        if (x->file || x->first_row + x->row_count > g->visible_row)
            continue;
        b->groups[b->count] = g;
        b->ids[b->count] = g->id;
        b->items[b->count++] = extent_ref(x);
        b->bytes += x->body_bytes;
    }
    mutex_unlock(&g->mutex);
    return (b->count < BATCH_EXTENTS && b->bytes < BATCH_BYTES) || batch_write(h, b, err);
}

static bool seal_and_write(struct head *h, const struct limits *l, struct error *err)
{
    uint32_t groups = atomic_load_explicit(&h->group_count, memory_order_acquire);
    struct batch *b = mem_alloc_zero(MEM_HEAD, 1, sizeof *b);
    bool ok = true;
    for (uint32_t i = 0; i < groups; i++) {
        struct group *g = head_group(h, i);
        if (!g)
            continue;
        seal_if_due(g, l);
        ok = ok && batch_take(h, b, g, err);
    }
    ok = ok && batch_write(h, b, err);
    mem_free(MEM_HEAD, b);
    return ok;
}

/* The lowest segment that any group names, or `otherwise`. */
static uint64_t segment_needed(struct head *h, uint64_t otherwise)
{
    uint32_t groups = atomic_load_explicit(&h->group_count, memory_order_acquire);
    uint64_t least = otherwise;
    for (uint32_t i = 0; i < groups; i++) {
        struct group *g = head_group(h, i);
        if (!g)
            continue;
        mutex_lock(&g->mutex);
        if (g->wal_segment != 0 && g->wal_segment < least)
            least = g->wal_segment;
        for (uint32_t k = 0; k < g->extents->count; k++) {
            const struct extent *x = g->extents->items[k];
            if (!x->file && x->wal_segment < least)
                least = x->wal_segment;
        }
        mutex_unlock(&g->mutex);
    }
    return least;
}

/* Late samples that alone keep many segments move to a new one. (What was settled into rows that are not sealed
 * stands in segments that the rows keep.) */
static bool late_move_on(struct head *h, uint64_t needed, uint64_t open, struct error *err)
{
    uint64_t lowest = wal_late_lowest(h->wal);
    return lowest >= needed || open - lowest < LATE_SEGMENTS_MAX ||
           head_late_let_go(h, needed, err);
}

static bool store(struct head *h, bool everything, struct error *err)
{
    struct limits limits = {everything, clock_mono(), wal_segment_too_old(h->wal)};
    uint64_t open = wal_segment_now(h->wal);
    bool ok = seal_and_write(h, &limits, err);
    uint64_t needed = segment_needed(h, open);
    if (ok)
        ok = late_move_on(h, needed, open, err);
    return wal_drop_before(h->wal, needed, ok ? err : NULL) && ok;
}

bool head_store(struct head *h, struct error *err)
{
    return store(h, false, err);
}

bool head_store_all(struct head *h, struct error *err)
{
    return store(h, true, err);
}
