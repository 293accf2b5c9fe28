/* SPDX-License-Identifier: Apache-2.0 */
/* group_append.c: slots and rows from the user's side (appender.h). A row is written where it will stay:
 * the appender's arrays are the next row of the tile. */
#include "storage/head_private.h"

#include "base/assert.h"
#include "base/clock.h"
#include "storage/wal_record.h"

#include <inttypes.h>

enum { FUTURE_MS = 10 * 60 * 1000 };
#define PAST_MS ((int64_t)24 * 3600 * 1000)
/* Far beyond any calendar, and differences still fit 64 bits. */
#define TIMESTAMP_MS_MAX (INT64_MAX / 4)
#define ROW_BYTES_MAX ((size_t)WAL_RECORD_PAYLOAD_MAX)
enum { GROUP_SLOTS_MAX = 1 << 24 };

/* --- opening --- */

bool head_group_open(struct head *h, struct view key, struct group **out, struct error *err)
{
    uint64_t id;
    struct group *g = NULL;
    bool ok = true;
    *out = NULL;
    mutex_lock(&h->creation);
    while (string_map_get(h->group_keys, key, &id) &&
           (g = head_group(h, (uint32_t)id))->keeper_has_it)
        cond_wait(&h->group_freed, &h->creation);
    if (!string_map_get(h->group_keys, key, &id)) {
        uint32_t next = atomic_load_explicit(&h->group_count, memory_order_relaxed);
        if (next == GROUP_PAGE * GROUP_PAGES_MAX)
            ok = error_set(err, ERROR_LIMIT, "no more than %d groups of series are possible",
                           (int)next);
        else
            g = head_add_group_locked(h, next, key);
        if (g)
            series_log_add_group(&h->log, g->id, key);
    } else if (g->is_open) {
        ok = error_set(err, ERROR_BUSY, "group \"%.*s\" is being written already", VIEW_ARGS(key));
    }
    if (ok)
        g->is_open = true;
    mutex_unlock(&h->creation);
    if (ok)
        group_claim_none(g);
    *out = ok ? g : NULL;
    return ok;
}

void group_close(struct group *g)
{
    if (!g)
        return;
    ASSERT(!g->appender);
    mutex_lock(&g->head->creation);
    ASSERT(g->is_open);
    g->is_open = false;
    mutex_unlock(&g->head->creation);
}

/* --- slots --- */

static uint32_t slot_take(struct group *g)
{
    if (g->free_count == 0)
        return g->slot_count;
    for (size_t w = g->free_hint; w < row_words(g->slot_count); w++) {
        if (g->free_slots[w] != 0) {
            g->free_hint = (uint32_t)w;
            return (uint32_t)(w * 64) + (uint32_t)__builtin_ctzll(g->free_slots[w]);
        }
    }
    UNREACHABLE();
}

/* The slot that a series has in this group already. */
static bool slot_find(const struct group *g, uint32_t series, uint32_t hint, uint32_t *slot)
{
    if (hint < g->slot_count && g->map->ids[hint] == series) {
        *slot = hint;
        return true;
    }
    return false;
}

static void slot_reclaim(struct group *g, uint32_t slot)
{
    uint64_t bit = UINT64_C(1) << (slot & 63);
    if (g->released[slot / 64] & bit) {
        g->released[slot / 64] &= ~bit;
        g->released_count--;
    }
}

/* The series with these labels, which is made when new (then *is_new). */
static bool series_find_locked(struct head *h, const struct group *g, struct labels ls,
                               uint32_t *series, bool *is_new, struct error *err)
{
    uint64_t hash = labels_hash(ls);
    labels_id id = label_store_find(h->catalog->labels, ls);
    *series = id.n == LABEL_STORE_NONE ? SERIES_DEAD : head_find_series_locked(h, id, hash);
    *is_new = *series == SERIES_DEAD;
    if (!*is_new)
        return true;
    if (g->slot_count >= GROUP_SLOTS_MAX && g->free_count == 0)
        return error_set(err, ERROR_LIMIT, "a target may have at most %d series", GROUP_SLOTS_MAX);
    if (!head_has_room_locked(h, err))
        return false;
    if (id.n == LABEL_STORE_NONE)
        id = label_store_add(h->catalog->labels, ls);
    if (id.n == LABEL_STORE_NONE)
        return error_set(err, ERROR_LIMIT, "label sets take more memory than is allowed");
    *series = head_create_series_locked(h, id, hash);
    return true;
}

bool group_slot(struct group *g, struct labels ls, uint32_t *slot, struct error *err)
{
    struct head *h = g->head;
    uint32_t series;
    bool is_new;
    mutex_lock(&h->creation);
    if (!series_find_locked(h, g, ls, &series, &is_new, err)) {
        mutex_unlock(&h->creation);
        return false;
    }
    struct series *s = head_series(h, series);
    uint32_t place = atomic_load_explicit(&s->slot, memory_order_relaxed), kept;
    bool moved = place & SERIES_MOVED;
    bool here = !is_new && atomic_load_explicit(&s->group, memory_order_relaxed) == g->id;
    bool found =
        !is_new && ((here && slot_find(g, series, place & SERIES_SLOT_MASK, slot)) ||
                    (!here && moved && head_slot_elsewhere_locked(h, series, g->id, &kept) &&
                     slot_find(g, series, kept, slot)));
    if (!found && g->slot_count >= GROUP_SLOTS_MAX && g->free_count == 0) {
        mutex_unlock(&h->creation);
        return error_set(err, ERROR_LIMIT, "a target may have at most %d series", GROUP_SLOTS_MAX);
    }
    if (!found)
        *slot = slot_take(g);
    head_place_series_locked(h, series, g->id, *slot);
    mutex_unlock(&h->creation);
    if (found)
        slot_reclaim(g, *slot);
    else
        group_assign_slot(g, *slot, series);
    g->claimed[*slot / 64] |= UINT64_C(1) << (*slot & 63);
    return true;
}

uint32_t group_generation(const struct group *g)
{
    (void)g;
    return 0; /* slots keep their numbers while the group is open: a free one is given away again */
}

void group_release_slot(struct group *g, uint32_t slot)
{
    ASSERT(slot < g->slot_count);
    uint64_t bit = UINT64_C(1) << (slot & 63);
    if (g->map->ids[slot] == SLOT_EMPTY || (g->released[slot / 64] & bit))
        return;
    g->released[slot / 64] |= bit;
    g->released_count++;
}

uint32_t group_slot_count(const struct group *g)
{
    return g->slot_count;
}

void group_set_metadata(struct group *g, const struct metric_metadata *m)
{
    mutex_lock(&g->head->creation);
    head_add_metadata_locked(g->head, m, true);
    mutex_unlock(&g->head->creation);
}

/* --- rows --- */

static bool count_refused(_Atomic uint64_t *counter)
{
    atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
    return false;
}

static bool timestamp_is_accepted(struct head *h, const struct group *g, int64_t t,
                                  struct error *err)
{
    int64_t newest = atomic_load_explicit(&h->newest, memory_order_relaxed);
    int64_t floor = atomic_load_explicit(&h->floor_refused, memory_order_relaxed), latest;
    if (__builtin_add_overflow(clock_wall().ms, FUTURE_MS, &latest))
        latest = INT64_MAX;
    if (t > latest || t > TIMESTAMP_MS_MAX) {
        error_set(err, ERROR_INPUT, "timestamp %" PRId64 " is more than 10 minutes in the future",
                  t);
        return count_refused(&h->samples_out_of_order);
    }
    if (t < floor || t < -TIMESTAMP_MS_MAX || (newest != INT64_MIN && t < newest - PAST_MS)) {
        error_set(err, ERROR_INPUT, "timestamp %" PRId64 " is too old", t);
        return count_refused(&h->samples_too_old);
    }
    if (t <= g->last_time) {
        error_set(err, ERROR_INPUT, "timestamp %" PRId64 " is out of order: the last was %" PRId64,
                  t, g->last_time);
        return count_refused(&h->samples_out_of_order);
    }
    return true;
}

bool appender_begin(struct appender *a, struct group *g, int64_t timestamp_ms, struct error *err)
{
    ASSERT(!g->appender);
    if (!wal_accepts(g->head->wal, err) || !timestamp_is_accepted(g->head, g, timestamp_ms, err))
        return false;
    group_row_begin(g);
    *a = (struct appender){.group = g,
                           .timestamp_ms = timestamp_ms,
                           .values = group_row_values(g),
                           .present = group_row_present(g),
                           .slot_count = g->tile->slot_capacity};
    g->appender = a;
    return true;
}

/* A marker for each series of the row before that is not in this one. */
static uint64_t mark_stale(struct group *g, struct appender *a)
{
    struct row_cells before = group_row_before(g);
    uint64_t markers = 0;
    for (size_t w = 0; w < row_words(g->slot_count); w++) {
        for (uint64_t missing = before.present[w] & ~a->present[w]; missing;
             missing &= missing - 1) {
            size_t slot = w * 64 + (unsigned)__builtin_ctzll(missing);
            if (sample_is_stale(before.values[slot]))
                continue;
            a->values[slot] = sample_stale();
            a->present[w] |= missing & -missing;
            markers++;
        }
    }
    return markers;
}

/* Slots at and above slot_count were never given out, so their bits are the caller's mistake. */
static uint64_t cells_count(const struct group *g, const struct appender *a)
{
    uint64_t count = 0;
    size_t words = row_words(g->slot_count);
    for (size_t w = 0; w < words; w++)
        count += (uint64_t)__builtin_popcountll(a->present[w]);
    ASSERT(g->slot_count % 64 == 0 || words == 0 ||
           (a->present[words - 1] >> (g->slot_count & 63)) == 0);
    return count;
}

static void row_encode(struct group *g, const struct appender *a, uint64_t segment,
                       struct buffer *out)
{
    bool is_key = g->key_segment != segment || g->new_slot_count > g->slot_count / 2;
    struct wal_row row = {
        .is_key = is_key,
        .group = g->id,
        .row = g->row_next,
        .timestamp_ms = is_key ? a->timestamp_ms : a->timestamp_ms - g->last_time,
        .slot_count = g->slot_count,
        .ids = g->map->ids,
        .new_slots = g->new_slots,
        .new_slot_count = (uint32_t)g->new_slot_count,
        .cells = {a->values, a->present},
        .before = group_row_before(g),
        .decimals = g->decimals,
    };
    buffer_reset(out);
    size_t begin = wal_record_begin(out, WAL_RECORD_ROW);
    wal_row_encode(out, &row);
    wal_record_end(out, begin);
}

static bool row_submit(struct group *g, const struct appender *a, bool wait, struct error *err)
{
    struct wal *wal = g->head->wal;
    struct buffer record;
    enum wal_submit result;
    uint64_t segment;
    buffer_init(&record, MEM_WAL, ROW_BYTES_MAX);
    do {
        segment = wal_segment_now(wal);
        row_encode(g, a, segment, &record);
        if (record.failed) {
            buffer_deinit(&record);
            return error_set(err, ERROR_LIMIT, "a row of %" PRIu32 " series is too large",
                             g->slot_count);
        }
        result = wal_submit(wal, buffer_view(&record), segment, g, g->row_next, a->timestamp_ms,
                            wait, err);
    } while (result == WAL_OTHER_SEGMENT);
    buffer_deinit(&record);
    if (result == WAL_REFUSED)
        g->key_segment = 0; /* what the file holds of this group is uncertain */
    else
        g->key_segment = segment;
    return result == WAL_SUBMITTED;
}

bool appender_commit(struct appender *a, unsigned flags, struct error *err)
{
    struct group *g = a->group;
    struct head *h = g->head;
    ASSERT(g->appender == a);
    uint64_t markers = flags & APPENDER_STALE_MISSING ? mark_stale(g, a) : 0;
    uint64_t cells = cells_count(g, a);
    g->appender = NULL;
    if (a->duplicate_count > 0)
        atomic_fetch_add_explicit(&h->samples_duplicate, a->duplicate_count, memory_order_relaxed);
    if (cells == 0)
        return true;
    group_row_stamp(g, a->timestamp_ms);
    if (!row_submit(g, a, flags & APPENDER_WAIT, err))
        return false;
    g->new_slot_count = 0;
    group_row_taken(g, a->timestamp_ms);
    head_atomic_max(&h->newest, a->timestamp_ms);
    atomic_fetch_add_explicit(&h->samples_appended, cells, memory_order_relaxed);
    atomic_fetch_add_explicit(&h->stale_markers, markers, memory_order_relaxed);
    return true;
}

void appender_rollback(struct appender *a)
{
    ASSERT(a->group->appender == a);
    a->group->appender = NULL;
}
