/* SPDX-License-Identifier: Apache-2.0 */
/* head_late.c: the late samples of all groups, on their way into blocks. */
#include "storage/head_private.h"

#include "base/assert.h"
#include "storage/wal_late.h"
#include "storage/wal_record.h"

#include <inttypes.h>

#define LATE_BYTES_DEFAULT (UINT64_C(64) << 20)
enum { FULL_FACTOR = 4 }; /* the keeper has as much again three times to write while more comes */

/* --- memory --- */

uint64_t head_late_bytes_max(const struct head *h)
{
    return h->options.late_bytes_max ? h->options.late_bytes_max : LATE_BYTES_DEFAULT;
}

uint64_t head_late_bytes(const struct head *h)
{
    return atomic_load_explicit(&h->late_bytes, memory_order_relaxed);
}

void head_late_bytes_add(struct head *h, size_t more, size_t less)
{
    uint64_t before =
        atomic_fetch_add_explicit(&h->late_bytes, (uint64_t)more - less, memory_order_relaxed);
    uint64_t max = head_late_bytes_max(h);
    if (before <= max && before + more - less > max && h->late_full)
        h->late_full(h->late_full_arg);
}

bool head_late_is_full(const struct head *h)
{
    return head_late_bytes(h) > FULL_FACTOR * head_late_bytes_max(h);
}

void head_on_late_full(struct head *h, void (*full)(void *arg), void *arg)
{
    h->late_full = full;
    h->late_full_arg = arg;
}

void head_set_out_of_order_window(struct head *h, int64_t window_ms)
{
    static const int64_t DAY_MS = INT64_C(24) * 3600 * 1000, MAX_MS = INT64_MAX / 8;
    window_ms = window_ms == 0 ? DAY_MS : window_ms < 0 ? 0 : window_ms;
    atomic_store_explicit(&h->window_ms, window_ms < MAX_MS ? window_ms : MAX_MS,
                          memory_order_relaxed);
}

/* --- times --- */

void head_late_range_grow(struct head *h, int64_t mint, int64_t maxt)
{
    mutex_lock(&h->late_mutex);
    head_atomic_min(&h->late_mint, mint);
    head_atomic_max(&h->late_maxt, maxt);
    mutex_unlock(&h->late_mutex);
}

/* A publisher has changed its group's range before it waits for the mutex: so it is seen here, or comes after. */
void head_late_range_renew(struct head *h)
{
    int64_t mint = INT64_MAX, maxt = INT64_MIN;
    mutex_lock(&h->late_mutex);
    for (uint32_t i = 0; i < atomic_load_explicit(&h->group_count, memory_order_acquire); i++) {
        struct group *g = head_group(h, i);
        if (!g)
            continue;
        mutex_lock(&g->mutex);
        mint = g->late_mint < mint ? g->late_mint : mint;
        maxt = g->late_maxt > maxt ? g->late_maxt : maxt;
        mutex_unlock(&g->mutex);
    }
    atomic_store_explicit(&h->late_mint, mint, memory_order_relaxed);
    atomic_store_explicit(&h->late_maxt, maxt, memory_order_relaxed);
    mutex_unlock(&h->late_mutex);
}

int64_t head_late_newest(struct head *h)
{
    return atomic_load_explicit(&h->late_maxt, memory_order_relaxed);
}

static int64_t run_oldest(const struct late_run *run, int64_t from_ms, int64_t oldest)
{
    if (run->mint >= oldest || run->maxt < from_ms)
        return oldest;
    if (run->mint >= from_ms)
        return run->mint;
    for (uint32_t i = 0; i < run->count; i++) {
        int64_t t = run->items[i].t;
        oldest = t >= from_ms && t < oldest ? t : oldest;
    }
    return oldest;
}

int64_t head_late_oldest(struct head *h, const struct head_late_mark *mark, int64_t from_ms,
                         int64_t below_ms)
{
    int64_t oldest = below_ms;
    if (atomic_load_explicit(&h->late_mint, memory_order_relaxed) >= below_ms)
        return INT64_MAX;
    for (uint32_t i = 0; i < atomic_load_explicit(&h->group_count, memory_order_acquire); i++) {
        struct group *g = head_group(h, i);
        if (!g)
            continue;
        mutex_lock(&g->mutex);
        for (size_t k = 0; k < g->late.count; k++) {
            const struct late_entry *e = &g->late.items[k];
            if (e->visible && e->epoch <= mark->epoch)
                oldest = run_oldest(e->run, from_ms, oldest);
        }
        mutex_unlock(&g->mutex);
    }
    return oldest < below_ms ? oldest : INT64_MAX;
}

bool head_late_is_unsaved(struct head *h)
{
    return wal_late_lowest(h->wal) != UINT64_MAX;
}

void head_note_newest(struct head *h, int64_t timestamp_ms)
{
    head_atomic_max(&h->newest, timestamp_ms);
}

/* --- into blocks --- */

bool head_late_mark(struct head *h, bool rotate, struct head_late_mark *out, struct error *err)
{
    out->segment = rotate ? wal_rotate(h->wal) : 0;
    out->epoch = atomic_fetch_add_explicit(&h->late_epoch, 1, memory_order_relaxed);
    return wal_flush(h->wal, err);
}

void head_late_forget(struct head *h, const struct head_late_mark *mark, int64_t mint, int64_t maxt)
{
    if (atomic_load_explicit(&h->late_mint, memory_order_relaxed) >= maxt)
        return;
    for (uint32_t i = 0; i < atomic_load_explicit(&h->group_count, memory_order_acquire); i++) {
        struct group *g = head_group(h, i);
        if (g)
            group_late_forget(g, mark->epoch, mint, maxt);
    }
    head_late_range_renew(h);
}

/* Gives the WAL a record of its own, which no group waits for. */
static bool submit(struct head *h, struct buffer *record, const struct wal_commit *what,
                   struct error *err)
{
    ASSERT(!record->failed);
    return wal_submit(h->wal, buffer_view(record), WAL_SEGMENT_ANY, what, true, err) ==
           WAL_SUBMITTED;
}

bool head_late_saved(struct head *h, const struct head_late_mark *mark, int64_t floor_ms,
                     struct error *err)
{
    struct buffer record;
    struct wal_commit nothing = {.timestamp_ms = INT64_MIN};
    if (wal_late_lowest(h->wal) >= mark->segment)
        return true;
    buffer_init(&record, MEM_WAL, 4096);
    size_t begin = wal_record_begin(&record, WAL_RECORD_SAVED);
    wal_saved_encode(&record, floor_ms, mark->segment);
    wal_record_end(&record, begin);
    bool ok = submit(h, &record, &nothing, err);
    buffer_deinit(&record);
    if (ok)
        wal_late_saved(h->wal, mark->segment, floor_ms);
    return ok && wal_drop_below(h->wal, floor_ms, err);
}

static bool run_rewrite(struct head *h, uint32_t group, struct late_run *run, struct error *err)
{
    struct buffer record;
    struct wal_commit what = {NULL, run, 0, run->maxt};
    bool ok = true;
    buffer_init(&record, MEM_WAL, WAL_RECORD_PAYLOAD_MAX);
    for (uint32_t at = 0; ok && at < run->count; at += LATE_RUN_MERGED_MAX) {
        uint32_t left = run->count - at;
        buffer_reset(&record);
        size_t begin = wal_record_begin(&record, WAL_RECORD_LATE);
        wal_late_encode(&record, group, run->items + at,
                        left < LATE_RUN_MERGED_MAX ? left : LATE_RUN_MERGED_MAX);
        wal_record_end(&record, begin);
        ok = submit(h, &record, &what, err);
    }
    buffer_deinit(&record);
    return ok;
}

static bool group_rewrite(struct head *h, struct head_view *view, uint32_t group, struct error *err)
{
    const struct group_pin *pin = head_view_pin(view, group);
    for (size_t i = 0; pin && i < pin->late_count; i++) {
        if (!run_rewrite(h, group, pin->late[i], err))
            return false;
    }
    return true;
}

bool head_late_rewrite(struct head *h, struct error *err)
{
    /* No epoch ends: nothing is forgotten by this, and only runs of one epoch are merged. */
    struct head_late_mark mark = {.segment = wal_rotate(h->wal)};
    if (!wal_flush(h->wal, err))
        return false;
    struct head_view *view = head_pin_late(h);
    bool ok = true;
    for (uint32_t i = 0; ok && i < atomic_load_explicit(&h->group_count, memory_order_acquire); i++)
        ok = group_rewrite(h, view, i, err);
    head_view_release(view);
    if (ok)
        wal_late_saved(h->wal, mark.segment, INT64_MAX);
    return ok;
}

bool head_late_let_go(struct head *h, uint64_t segment, struct error *err)
{
    if (wal_late_lowest(h->wal) >= segment || head_late_bytes(h) > head_late_bytes_max(h) / 2)
        return true; /* so many go into a block soon */
    return head_late_rewrite(h, err);
}
