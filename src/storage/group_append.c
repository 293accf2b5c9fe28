/* SPDX-License-Identifier: Apache-2.0 */
/* group_append.c: slots and rows from the user's side (appender.h). A row is written where it will stay:
 * the appender's arrays are the next row of the tile. */
#include "storage/head_private.h"

#include "base/assert.h"
#include "base/clock.h"
#include "storage/wal_record.h"

#include <inttypes.h>

enum { FUTURE_MS = 10 * 60 * 1000 };
/* Far beyond any calendar, and differences still fit 64 bits. */
#define TIMESTAMP_MS_MAX (INT64_MAX / 4)
#define PAST_DEFAULT_MS ((int64_t)3600 * 1000) /* half of the usual block range */
#define ROW_BYTES_MAX ((size_t)WAL_RECORD_PAYLOAD_MAX)
enum { GROUP_SLOTS_MAX = 1 << 24 };

/* --- opening --- */

/* Is this the series' own group? */
static bool series_is_here(struct head *h, const struct group *g, uint32_t id)
{
    mutex_lock(&h->creation);
    const struct series *s = id < SLOT_UNKNOWN ? head_series(h, id) : NULL;
    bool here = s && atomic_load_explicit(&s->group, memory_order_relaxed) == g->id;
    mutex_unlock(&h->creation);
    return here;
}

static void slot_restore(struct group *g, uint32_t slot, uint32_t series, double last)
{
    mutex_lock(&g->head->creation);
    head_place_series_locked(g->head, series, g->id, slot);
    mutex_unlock(&g->head->creation);
    group_assign_slot(g, slot, series);
    g->last[slot] = last;
    g->last_present[slot / 64] |= UINT64_C(1) << (slot & 63);
}

/* After a restart whose WAL had no row of the group: the row before is the last one of its last extent, so that
 * series that ended meanwhile get their marker. What cannot be read gets none. */
static void last_row_restore(struct group *g)
{
    struct extent_window w = {0};
    struct error ignored;
    mutex_lock(&g->mutex);
    struct extent *x =
        g->extents->count > 0 ? extent_ref(g->extents->items[g->extents->count - 1]) : NULL;
    mutex_unlock(&g->mutex);
    bool wanted = x && x->first_row + x->row_count == g->row_next;
    for (uint32_t slot = 0; wanted && slot < x->slot_count; slot++) {
        double values[EXTENT_ROWS_MAX];
        uint64_t present = 0;
        uint32_t series = slot_map_get(x->map, slot);
        bool has = extent_slot_is_occupied(x, slot) && series_is_here(g->head, g, series) &&
                   extent_column(x, &w, slot, values, &present, &ignored) &&
                   (present >> (x->row_count - 1) & 1);
        if (has)
            slot_restore(g, slot, series, values[x->row_count - 1]);
        else
            group_assign_slot(g, slot, SLOT_EMPTY);
    }
    if (wanted)
        g->new_slot_count = 0; /* the next row is a key row */
    extent_window_deinit(&w);
    extent_unref(x);
}

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
    if (ok) {
        group_enter(g);
        if (g->last_row_is_stored)
            last_row_restore(g);
        g->last_row_is_stored = false;
        group_claim_none(g);
        group_leave(g);
    }
    *out = ok ? g : NULL;
    return ok;
}

void group_close(struct group *g)
{
    if (!g)
        return;
    ASSERT(!g->appender);
    group_late_close(g);
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

static bool is_full(const struct group *g)
{
    return g->slot_count >= GROUP_SLOTS_MAX && g->free_count == 0;
}

static bool full_error(struct error *err)
{
    return error_set(err, ERROR_LIMIT, "a target may have at most %d series", GROUP_SLOTS_MAX);
}

/* A sentence for the log when the guard has one. */
static bool guard_refuse_locked(struct head *h, struct labels ls, enum guard_limit limit,
                                struct buffer *event, struct error *err)
{
    mono_time now = clock_mono();
    if (series_guard_refused(&h->guard, ls, limit, now))
        series_guard_event(&h->guard, event, now);
    return error_set(err, ERROR_LIMIT, "no new series is taken: the limit of %s is reached",
                     guard_limit_text(limit));
}

/* The series with these labels, which is made when new (then *is_new). `force`: whatever the limits. */
static bool series_find_locked(struct head *h, const struct group *g, struct labels ls, bool force,
                               uint32_t *series, bool *is_new, struct buffer *event,
                               struct error *err)
{
    uint64_t hash = labels_hash(ls);
    labels_id id = label_store_find(h->catalog->labels, ls);
    *series = id.n == LABEL_STORE_NONE ? SERIES_DEAD : head_find_series_locked(h, id, hash);
    *is_new = *series == SERIES_DEAD;
    if (!*is_new)
        return true;
    if (is_full(g))
        return full_error(err);
    enum guard_limit limit = force ? GUARD_NONE : head_room_locked(h, ls);
    if (limit != GUARD_NONE)
        return guard_refuse_locked(h, ls, limit, event, err);
    if (id.n == LABEL_STORE_NONE)
        id = label_store_add(h->catalog->labels, ls);
    if (id.n == LABEL_STORE_NONE)
        return error_set(err, ERROR_LIMIT, "label sets take more memory than is allowed");
    *series = head_create_series_locked(h, id, hash);
    return true;
}

/* Within a row the user has it already. */
static bool enter_unless_in_row(struct group *g)
{
    bool enters = g->appender == NULL;
    if (enters)
        group_enter(g);
    return enters;
}

/* Where a series is in this group, or a slot that it may have. */
static bool place_find_locked(struct group *g, uint32_t series, bool is_new, uint32_t *slot)
{
    struct head *h = g->head;
    struct series *s = head_series(h, series);
    uint32_t place = atomic_load_explicit(&s->slot, memory_order_relaxed), kept;
    bool here = !is_new && atomic_load_explicit(&s->group, memory_order_relaxed) == g->id;
    bool found = !is_new && ((here && slot_find(g, series, place & SERIES_SLOT_MASK, slot)) ||
                             (!here && (place & SERIES_MOVED) &&
                              head_slot_elsewhere_locked(h, series, g->id, &kept) &&
                              slot_find(g, series, kept, slot)));
    if (!found && !is_full(g))
        *slot = slot_take(g);
    return found;
}

static bool slot_of_held(struct group *g, struct labels ls, bool force, uint32_t *slot,
                         struct error *err)
{
    struct head *h = g->head;
    uint32_t series;
    bool is_new, found = false;
    struct buffer event;
    buffer_init(&event, MEM_HEAD, 4096);
    mutex_lock(&h->creation);
    bool ok = series_find_locked(h, g, ls, force, &series, &is_new, &event, err);
    if (ok) {
        found = place_find_locked(g, series, is_new, slot);
        ok = found || !is_full(g) || full_error(err);
    }
    if (ok)
        head_place_series_locked(h, series, g->id, *slot);
    mutex_unlock(&h->creation);
    if (event.len)
        head_log(h, true, "series_folded", "%.*s", VIEW_ARGS(buffer_view(&event)));
    buffer_deinit(&event);
    if (!ok)
        return false;
    if (found)
        slot_reclaim(g, *slot);
    else
        group_assign_slot(g, *slot, series);
    g->claimed[*slot / 64] |= UINT64_C(1) << (*slot & 63);
    return true;
}

static bool slot_of(struct group *g, struct labels ls, bool force, uint32_t *slot,
                    struct error *err)
{
    bool entered = enter_unless_in_row(g);
    bool ok = slot_of_held(g, ls, force, slot, err);
    if (entered)
        group_leave(g);
    return ok;
}

bool group_slot(struct group *g, struct labels ls, uint32_t *slot, struct error *err)
{
    return slot_of(g, ls, false, slot, err);
}

static bool series_is_known(struct head *h, struct labels ls)
{
    mutex_lock(&h->creation);
    labels_id id = label_store_find(h->catalog->labels, ls);
    bool known =
        id.n != LABEL_STORE_NONE && head_find_series_locked(h, id, labels_hash(ls)) != SERIES_DEAD;
    mutex_unlock(&h->creation);
    return known;
}

bool group_overflow_slot(struct group *g, struct labels ls, uint32_t *slot)
{
    struct error err;
    struct label items[4];
    struct labels overflow = {items, 0};
    const struct view names[] = {VIEW(LABEL_NAME), VIEW("instance"), VIEW("job")};
    ASSERT(labels_get(ls, names[0]).len > 0);
    for (size_t i = 0; i < ARRAY_COUNT(names); i++) { /* in their order */
        struct view value = labels_get(ls, names[i]);
        if (value.len)
            items[overflow.count++] = (struct label){names[i], value};
    }
    items[overflow.count++] = (struct label){VIEW("overflow"), VIEW("true")};
    if (!series_is_known(g->head, overflow)) {
        if (g->overflow_count >= OVERFLOW_METRICS_MAX)
            items[0] = (struct label){VIEW(LABEL_NAME), VIEW("belfry_folded_series")};
        else
            g->overflow_count++;
    }
    return slot_of(g, overflow, true, slot, &err);
}

uint32_t group_generation(const struct group *g)
{
    (void)g;
    return 0; /* slots keep their numbers while the group is open: a free one is given away again */
}

void group_give_slot_up(struct group *g, uint32_t slot)
{
    ASSERT(slot < g->slot_count);
    uint64_t bit = UINT64_C(1) << (slot & 63);
    if (g->map->ids[slot] == SLOT_EMPTY || (g->released[slot / 64] & bit))
        return;
    g->released[slot / 64] |= bit;
    g->released_count++;
}

void group_release_slot(struct group *g, uint32_t slot)
{
    bool entered = enter_unless_in_row(g);
    group_give_slot_up(g, slot);
    if (entered)
        group_leave(g);
}

uint32_t group_slot_count(const struct group *g)
{
    return g->slot_count;
}

uint32_t group_set_metadata(struct group *g, const struct metric_metadata *m)
{
    return head_add_metadata(g->head, m);
}

/* --- rows --- */

void appender_count_refused(const struct appender *a, uint64_t more)
{
    struct head *h = a->group->head;
    _Atomic uint64_t *counter = NULL;
    switch (a->refusal) {
    case APPENDER_TAKEN:
    case APPENDER_STOPPED:
        return;
    case APPENDER_TOO_OLD:
        counter = &h->samples_too_old;
        break;
    case APPENDER_OUT_OF_BOUNDS:
        counter = &h->samples_out_of_bounds;
        break;
    case APPENDER_OUT_OF_ORDER:
        counter = &h->samples_order_refused;
        break;
    case APPENDER_IN_FUTURE:
        counter = &h->samples_in_future;
        break;
    }
    atomic_fetch_add_explicit(counter, more, memory_order_relaxed);
}

static bool refuse(struct appender *a, enum appender_refusal why)
{
    a->refusal = why;
    appender_count_refused(a, 1);
    return false;
}

/* The window reaches back from the newest sample. Where that is in the future (the clock was set back), from now:
 * a moment of wrong time must not shut the door for a year. */
static int64_t oldest_taken(const struct head *h, int64_t newest, int64_t now)
{
    int64_t window = atomic_load_explicit(&h->window_ms, memory_order_relaxed);
    if (window == 0) /* as Prometheus: half a block range */
        window = h->options.block_range_ms > 0 ? h->options.block_range_ms / 2 : PAST_DEFAULT_MS;
    int64_t from = newest > now + FUTURE_MS && !h->options.take_future ? now : newest;
    return from < -TIMESTAMP_MS_MAX + window ? -TIMESTAMP_MS_MAX : from - window;
}

static bool timestamp_is_accepted(struct appender *a, struct head *h, const struct group *g,
                                  int64_t t, struct error *err)
{
    int64_t newest = atomic_load_explicit(&h->newest, memory_order_relaxed);
    int64_t now = clock_wall().ms,
            window = atomic_load_explicit(&h->window_ms, memory_order_relaxed);
    now = now > TIMESTAMP_MS_MAX ? TIMESTAMP_MS_MAX : now;
    if ((t > now + FUTURE_MS && !h->options.take_future) || t > TIMESTAMP_MS_MAX) {
        error_set(err, ERROR_INPUT, "timestamp %" PRId64 " is more than 10 minutes in the future",
                  t);
        return refuse(a, APPENDER_IN_FUTURE);
    }
    if (t < -TIMESTAMP_MS_MAX || (newest != INT64_MIN && t < oldest_taken(h, newest, now))) {
        error_set(err, ERROR_INPUT, "%s: timestamp %" PRId64 ", the newest sample is of %" PRId64,
                  window > 0 ? "too old sample" : "out of bounds", t, newest);
        return refuse(a, window > 0 ? APPENDER_TOO_OLD : APPENDER_OUT_OF_BOUNDS);
    }
    if (window == 0 && a->is_late &&
        t < atomic_load_explicit(&h->floor_refused, memory_order_relaxed)) {
        error_set(err, ERROR_INPUT, "out of bounds: timestamp %" PRId64 " is in a block already",
                  t);
        return refuse(a, APPENDER_OUT_OF_BOUNDS);
    }
    if (a->is_late && head_late_is_full(h)) {
        a->refusal = APPENDER_STOPPED;
        return error_set(err, ERROR_BUSY,
                         "%" PRIu64
                         " bytes of samples that came late wait to be written: try again",
                         head_late_bytes(h));
    }
    return true;
}

bool appender_begin(struct appender *a, struct group *g, int64_t timestamp_ms, struct error *err)
{
    struct head *h = g->head;
    int64_t floor = atomic_load_explicit(&h->floor_refused, memory_order_relaxed);
    ASSERT(!g->appender);
    group_enter(g);
    *a = (struct appender){.group = g,
                           .timestamp_ms = timestamp_ms,
                           .is_late = timestamp_ms <= g->last_time || timestamp_ms < floor};
    if (!wal_accepts(h->wal, err)) {
        a->refusal = APPENDER_STOPPED;
        group_leave(g);
        return false;
    }
    if (!timestamp_is_accepted(a, h, g, timestamp_ms, err)) {
        group_leave(g);
        return false;
    }
    if (UNLIKELY(atomic_load_explicit(&g->late_is_fresh, memory_order_acquire)))
        group_late_settle(g);
    if (UNLIKELY(a->is_late)) {
        group_late_begin(g, a);
    } else {
        group_row_begin(g);
        a->values = group_row_values(g);
        a->present = group_row_present(g);
        a->slot_count = g->tile->slot_capacity;
    }
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

/* A slot that was given out and given back since the last row may have another series by now, or be gone. */
static void new_slots_settle(struct group *g)
{
    size_t kept = 0;
    for (size_t i = 0; i < g->new_slot_count; i++) {
        struct wal_new_slot n = g->new_slots[i];
        if (n.slot < g->slot_count && g->map->ids[n.slot] == n.series)
            g->new_slots[kept++] = n;
    }
    g->new_slot_count = kept;
}

static void row_encode(struct group *g, const struct appender *a, uint64_t segment,
                       struct buffer *out)
{
    new_slots_settle(g);
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
        .before = group_row_base(g),
        .decimals = g->decimals,
    };
    buffer_reset(out);
    size_t begin = wal_record_begin(out, WAL_RECORD_ROW);
    wal_row_encode(out, &row);
    wal_record_end(out, begin);
}

/* From here on the WAL keeps the segment until the row is sealed and safe. Before the row is submitted, so that
 * no moment is between the two. */
static void row_needs_segment(struct group *g, uint64_t segment)
{
    if (g->wal_segment != 0)
        return;
    mutex_lock(&g->mutex);
    g->wal_segment = segment;
    g->unsealed_since = clock_mono();
    mutex_unlock(&g->mutex);
}

static enum wal_submit row_submit(struct group *g, const struct appender *a, bool wait,
                                  struct error *err)
{
    struct wal *wal = g->head->wal;
    struct wal_commit what = {g, NULL, g->row_next, a->timestamp_ms};
    struct buffer record;
    enum wal_submit result;
    uint64_t segment;
    buffer_init(&record, MEM_WAL, ROW_BYTES_MAX);
    do {
        segment = wal_segment_now(wal);
        row_needs_segment(g, segment);
        row_encode(g, a, segment, &record);
        if (record.failed) {
            buffer_deinit(&record);
            error_set(err, ERROR_LIMIT, "a row of %" PRIu32 " series is too large", g->slot_count);
            return WAL_REFUSED;
        }
        result = wal_submit(wal, buffer_view(&record), segment, &what, wait, err);
    } while (result == WAL_OTHER_SEGMENT);
    buffer_deinit(&record);
    if (result == WAL_REFUSED)
        g->key_segment = 0; /* what the file holds of this group is uncertain */
    else if (result == WAL_SUBMITTED)
        g->key_segment = segment;
    return result;
}

static bool row_commit(struct group *g, struct appender *a, unsigned flags, struct error *err)
{
    struct head *h = g->head;
    if (a->duplicate_count > 0)
        atomic_fetch_add_explicit(&h->samples_duplicate, a->duplicate_count, memory_order_relaxed);
    if (UNLIKELY(a->is_late))
        return group_late_commit(g, a, flags, err);
    uint64_t markers = flags & APPENDER_STALE_MISSING ? mark_stale(g, a) : 0;
    uint64_t cells = cells_count(g, a);
    if (cells == 0)
        return true;
    group_row_stamp(g, a->timestamp_ms);
    enum wal_submit result = row_submit(g, a, flags & APPENDER_WAIT, err);
    if (result == WAL_TOO_OLD) /* a cut has overtaken it */
        return group_late_commit(g, a, flags, err);
    if (result != WAL_SUBMITTED)
        return false;
    g->new_slot_count = 0;
    group_row_taken(g, a->timestamp_ms);
    head_atomic_max(&h->newest, a->timestamp_ms);
    atomic_fetch_add_explicit(&h->samples_appended, cells, memory_order_relaxed);
    atomic_fetch_add_explicit(&h->stale_markers, markers, memory_order_relaxed);
    return true;
}

bool appender_commit(struct appender *a, unsigned flags, struct error *err)
{
    struct group *g = a->group;
    ASSERT(g->appender == a);
    g->appender = NULL;
    bool ok = row_commit(g, a, flags, err);
    appender_end_exemplars(a, ok);
    group_leave(g);
    return ok;
}

void appender_rollback(struct appender *a)
{
    ASSERT(a->group->appender == a);
    a->group->appender = NULL;
    appender_end_exemplars(a, false);
    group_leave(a->group);
}
