/* SPDX-License-Identifier: Apache-2.0 */
/* group_late.c: what a group does with samples that came late (late.h).
 *
 *   late row -> run -> WAL -> visible -+-> cells of the tile's rows       (settled by the next row)
 *                                      +-> merged with other runs -> a block (head_late.c, keeper)
 *
 * 1. A run is in the list before it is given to the WAL, so that its samples are known to the next late row,
 *    and out of it when the WAL refuses it. Readers take visible ones.
 * 2. The user's thread adds, settles and merges, the keeper forgets, the WAL thread makes visible: each changes
 *    the list under g->mutex. Runs are built outside of it; a merge whose runs somebody else has replaced
 *    meanwhile is thrown away.
 * 3. A sample is settled where it is at or above the head's floor of rows: below it a reader would not find the
 *    cell. A row's time never comes back, so what did not belong into the tile at its first chance never does.
 * 4. Only runs of one epoch are merged: forgetting goes by epoch. */
#include "storage/head_private.h"

#include "base/assert.h"
#include "storage/wal_late.h"
#include "storage/wal_record.h"

#include <inttypes.h>

/* --- the row being written --- */

void group_late_reserve(struct group *g)
{
    if (g->late_capacity < g->slot_capacity) {
        size_t words = row_words(g->late_capacity), words_now = row_words(g->slot_capacity);
        g->late_values = mem_resize(MEM_HEAD, g->late_values, g->slot_capacity * sizeof(double));
        g->late_present = mem_resize(MEM_HEAD, g->late_present, words_now * 8);
        memset(g->late_present + words, 0, (words_now - words) * 8);
        g->late_capacity = g->slot_capacity;
    }
    if (g->appender) {
        g->appender->values = g->late_values;
        g->appender->present = g->late_present;
        g->appender->slot_count = g->late_capacity;
    }
}

void group_late_begin(struct group *g, struct appender *a)
{
    group_reserve_slots(g, g->slot_count > 0 ? g->slot_count : 1);
    group_late_reserve(g);
    memset(g->late_present, 0, row_words(g->late_capacity) * 8);
    a->values = g->late_values;
    a->present = g->late_present;
    a->slot_count = g->late_capacity;
}

void group_late_close(struct group *g)
{
    mem_free(MEM_HEAD, g->late_values);
    mem_free(MEM_HEAD, g->late_present);
    g->late_values = NULL;
    g->late_present = NULL;
    g->late_capacity = 0;
}

/* --- the list --- */

static void list_add_locked(struct late_list *l, struct late_entry e)
{
    l->items = mem_grow(MEM_HEAD, l->items, &l->capacity, l->count + 1, sizeof *l->items);
    l->items[l->count++] = e;
}

/* The run's place, or the count. New ones are at the end. */
static size_t list_find_locked(const struct late_list *l, const struct late_run *run)
{
    size_t i = l->count;
    while (i > 0 && l->items[i - 1].run != run)
        i--;
    return i > 0 ? i - 1 : l->count;
}

/* `run` (NULL: none) takes the place of the one at `at`, which is the caller's now. */
static struct late_run *list_replace_locked(struct late_list *l, size_t at, struct late_run *run)
{
    struct late_run *old = l->items[at].run;
    if (run)
        l->items[at].run = run;
    else
        memmove(&l->items[at], &l->items[at + 1], (--l->count - at) * sizeof l->items[0]);
    return old;
}

static size_t run_bytes(const struct late_run *run)
{
    return run ? late_run_bytes(run) : 0;
}

/* fresh_bytes: of the run that took its place, asked for before it was in the list: there somebody else may replace it,
 * and free it, at any time. */
static void run_replaced(struct group *g, struct late_run *old, size_t fresh_bytes)
{
    head_late_bytes_add(g->head, fresh_bytes, late_run_bytes(old));
    late_run_unref(old);
}

static void range_grow_locked(struct group *g, const struct late_run *run)
{
    g->late_mint = run->mint < g->late_mint ? run->mint : g->late_mint;
    g->late_maxt = run->maxt > g->late_maxt ? run->maxt : g->late_maxt;
}

static void range_renew_locked(struct group *g)
{
    g->late_mint = INT64_MAX;
    g->late_maxt = INT64_MIN;
    for (size_t i = 0; i < g->late.count; i++) {
        if (g->late.items[i].visible)
            range_grow_locked(g, g->late.items[i].run);
    }
}

void group_late_add(struct group *g, struct late_run *run, bool visible, uint64_t epoch)
{
    head_late_bytes_add(g->head, late_run_bytes(run), 0);
    mutex_lock(&g->mutex);
    list_add_locked(&g->late, (struct late_entry){run, epoch, visible, false});
    if (visible) {
        range_grow_locked(g, run);
        atomic_store_explicit(&g->late_is_fresh, true, memory_order_release);
    }
    mutex_unlock(&g->mutex);
}

static void late_remove(struct group *g, const struct late_run *run)
{
    mutex_lock(&g->mutex);
    struct late_run *old = list_replace_locked(&g->late, list_find_locked(&g->late, run), NULL);
    mutex_unlock(&g->mutex);
    run_replaced(g, old, 0);
}

void group_late_publish(struct group *g, const struct late_run *run)
{
    struct head *h = g->head;
    int64_t mint = run->mint, maxt = run->maxt;
    mutex_lock(&g->mutex);
    size_t at = list_find_locked(&g->late, run);
    ASSERT(at < g->late.count && !g->late.items[at].visible);
    g->late.items[at].visible = true;
    g->late.items[at].epoch = atomic_load_explicit(&h->late_epoch, memory_order_relaxed);
    range_grow_locked(g, run);
    atomic_store_explicit(&g->late_is_fresh, true, memory_order_release);
    mutex_unlock(&g->mutex);
    head_late_range_grow(h, mint, maxt);
}

void group_late_free(struct group *g)
{
    for (size_t i = 0; i < g->late.count; i++)
        run_replaced(g, g->late.items[i].run, 0);
    mem_free(MEM_HEAD, g->late.items);
    group_late_close(g);
}

/* --- merging --- */

/* The last pair of neighbours that is worth merging, with a reference on both. */
static bool merge_choose(struct group *g, struct late_run **older, struct late_run **newer)
{
    bool found = false;
    mutex_lock(&g->mutex);
    for (size_t i = g->late.count; i > 1 && !found; i--) {
        const struct late_entry *a = &g->late.items[i - 2], *b = &g->late.items[i - 1];
        uint64_t count = (uint64_t)a->run->count + b->run->count;
        found = a->visible && b->visible && a->settled && b->settled && a->epoch == b->epoch &&
                a->run->count <= 2 * (uint64_t)b->run->count && count <= LATE_RUN_MERGED_MAX;
        if (found) {
            *older = late_run_ref(a->run);
            *newer = late_run_ref(b->run);
        }
    }
    mutex_unlock(&g->mutex);
    return found;
}

/* Takes both references. */
static void merge_pair(struct group *g, struct late_run *older, struct late_run *newer)
{
    struct late_run *merged = late_run_merge(older, newer), *gone = NULL;
    size_t merged_bytes = run_bytes(merged);
    mutex_lock(&g->mutex);
    size_t at = list_find_locked(&g->late, older);
    if (at + 1 < g->late.count && g->late.items[at + 1].run == newer) {
        gone = list_replace_locked(&g->late, at + 1, NULL);
        (void)list_replace_locked(&g->late, at, merged); /* `older` has a second reference */
    }
    mutex_unlock(&g->mutex);
    if (gone) {
        run_replaced(g, gone, merged_bytes);
        run_replaced(g, older, 0);
    } else {
        late_run_unref(merged);
    }
    late_run_unref(older);
    late_run_unref(newer);
}

void group_late_compact(struct group *g)
{
    struct late_run *older, *newer;
    while (merge_choose(g, &older, &newer))
        merge_pair(g, older, newer);
}

/* --- settling --- */

/* The row of the tile with this time, or STRIP_ROWS. */
static uint32_t tile_row(const struct group *g, int64_t t)
{
    for (uint32_t row = 0; row < g->tile_rows; row++) {
        if (g->tile->times[row] == t)
            return row;
    }
    return STRIP_ROWS;
}

/* Puts a sample into its cell, if that is in the tile. True when the cell holds something now. */
static bool settle_sample_locked(struct group *g, const struct late_sample *s)
{
    uint32_t row = tile_row(g, s->t), slot = s->slot;
    if (row == STRIP_ROWS || slot >= g->slot_count || g->map->ids[slot] != s->series)
        return false;
    group_tile_own_locked(g);
    struct tile *t = g->tile;
    size_t words = row_words(t->slot_capacity), word = row * words + slot / 64;
    uint64_t bit = UINT64_C(1) << (slot & 63);
    if (t->present[word] & bit)
        return true; /* what was first stays */
    if (!t->filled)
        t->filled = mem_alloc_zero(MEM_HEAD, words * STRIP_ROWS, 8);
    t->present[word] |= bit;
    t->filled[word] |= bit;
    t->values[(size_t)row * t->slot_capacity + slot] = s->value;
    return true;
}

/* A column of an extent, while samples of one series are compared with it. */
struct stored_column {
    const struct extent *x; /* NULL = none */
    uint32_t slot;          /* UINT32_MAX = none is unpacked */
    uint64_t present;
    int64_t times[EXTENT_ROWS_MAX];
    struct extent_window window;
};

static const struct extent *extent_of_time(const struct extent_list *l, int64_t t)
{
    uint32_t low = 0, high = l->count;
    while (low < high) {
        uint32_t mid = low + (high - low) / 2;
        if (l->items[mid]->last_time < t)
            low = mid + 1;
        else
            high = mid;
    }
    return low < l->count && l->items[low]->first_time <= t ? l->items[low] : NULL;
}

/* Has an extent a cell for it? Where the series is elsewhere than its slot says, or the extent is damaged: not
 * known, so no. */
static bool sample_is_stored(const struct group *g, const struct late_sample *s,
                             struct stored_column *c)
{
    double values[EXTENT_ROWS_MAX];
    struct error ignored;
    const struct extent *x = extent_of_time(g->extents, s->t);
    if (!x || s->slot >= x->slot_count || slot_map_get(x->map, s->slot) != s->series)
        return false;
    if (c->x != x) {
        extent_times(x, c->times);
        extent_window_reset(&c->window);
        c->slot = UINT32_MAX;
        c->x = x;
    }
    if (c->slot != s->slot && !extent_column(x, &c->window, s->slot, values, &c->present, &ignored))
        c->present = 0;
    c->slot = s->slot;
    for (uint32_t row = 0; row < x->row_count && c->times[row] <= s->t; row++) {
        if (c->times[row] == s->t)
            return c->present >> row & 1;
    }
    return false;
}

void group_late_drop_stored(struct group *g)
{
    struct stored_column c = {0};
    for (size_t i = g->late.count; i > 0 && g->extents->count > 0; i--) {
        struct late_run *run = g->late.items[i - 1].run, *gone;
        struct late_sample *left = mem_alloc(MEM_HEAD, run->count * sizeof *left);
        size_t kept = 0;
        for (uint32_t k = 0; k < run->count; k++) {
            if (!sample_is_stored(g, &run->items[k], &c))
                left[kept++] = run->items[k];
        }
        if (kept < run->count) {
            struct late_run *rest = late_run_new(left, kept);
            size_t rest_bytes = run_bytes(rest);
            mutex_lock(&g->mutex);
            gone = list_replace_locked(&g->late, i - 1, rest);
            range_renew_locked(g);
            mutex_unlock(&g->mutex);
            run_replaced(g, gone, rest_bytes);
        }
        mem_free(MEM_HEAD, left);
    }
    extent_window_deinit(&c.window);
}

/* What is left of the run when all that can has gone into the tile: NULL = nothing; the run itself = all. */
static struct late_run *settle_run_locked(struct group *g, struct late_run *run, int64_t floor)
{
    size_t kept = 0;
    if (g->tile_rows == 0 || run->maxt < g->tile->times[0] || run->maxt < floor)
        return run;
    struct late_sample *left = mem_alloc(MEM_HEAD, run->count * sizeof *left);
    for (uint32_t i = 0; i < run->count; i++) {
        if (run->items[i].t < floor || !settle_sample_locked(g, &run->items[i]))
            left[kept++] = run->items[i];
    }
    struct late_run *rest = kept == run->count ? run : late_run_new(left, kept);
    mem_free(MEM_HEAD, left);
    return rest;
}

void group_late_settle(struct group *g)
{
    ASSERT(!g->appender);
    mutex_lock(&g->mutex);
    atomic_store_explicit(&g->late_is_fresh, false, memory_order_relaxed);
    int64_t floor = atomic_load_explicit(&g->head->floor_refused, memory_order_relaxed);
    for (size_t i = g->late.count; i > 0; i--) {
        struct late_entry *e = &g->late.items[i - 1];
        if (!e->visible || e->settled)
            continue;
        e->settled = true;
        struct late_run *rest = settle_run_locked(g, e->run, floor);
        if (rest != e->run)
            run_replaced(g, list_replace_locked(&g->late, i - 1, rest), run_bytes(rest));
    }
    range_renew_locked(g);
    mutex_unlock(&g->mutex);
}

/* --- forgetting --- */

/* An entry that has something to forget, with a reference on its run. */
static struct late_run *forget_choose(struct group *g, uint64_t epoch, int64_t mint, int64_t maxt,
                                      size_t from)
{
    struct late_run *found = NULL;
    mutex_lock(&g->mutex);
    for (size_t i = from; i < g->late.count && !found; i++) {
        const struct late_entry *e = &g->late.items[i];
        if (e->visible && e->epoch <= epoch && e->run->maxt >= mint && e->run->mint < maxt)
            found = late_run_ref(e->run);
    }
    mutex_unlock(&g->mutex);
    return found;
}

static bool run_has_any(const struct late_run *run, int64_t mint, int64_t maxt)
{
    for (uint32_t i = 0; i < run->count; i++) {
        if (run->items[i].t >= mint && run->items[i].t < maxt)
            return true;
    }
    return false;
}

void group_late_forget(struct group *g, uint64_t epoch, int64_t mint, int64_t maxt)
{
    struct late_run *run;
    size_t from = 0;
    while ((run = forget_choose(g, epoch, mint, maxt, from)) != NULL) {
        bool any = run_has_any(run, mint, maxt);
        struct late_run *rest = any ? late_run_without(run, mint, maxt) : NULL, *gone = NULL;
        size_t rest_bytes = run_bytes(rest);
        mutex_lock(&g->mutex);
        size_t at = list_find_locked(&g->late, run);
        if (at < g->late.count && any)
            gone = list_replace_locked(&g->late, at, rest);
        else if (at < g->late.count)
            from = at + 1;
        mutex_unlock(&g->mutex);
        if (gone)
            run_replaced(g, gone, rest_bytes);
        else
            late_run_unref(rest); /* settled or merged meanwhile: looked for again */
        late_run_unref(run);
    }
    mutex_lock(&g->mutex);
    range_renew_locked(g);
    mutex_unlock(&g->mutex);
}

/* --- what is there already --- */

struct late_commit {
    struct group *group;
    struct appender *appender;
    struct late_sample *items;
    size_t count, known; /* known: there already, with the same value */
    struct late_run **runs;
    size_t run_count;
    /* When a row before the tile may have cells of that time. */
    struct head_view *view;
    struct head_reader *reader;
};

static void collect(struct late_commit *c)
{
    const struct group *g = c->group;
    const struct appender *a = c->appender;
    size_t words = row_words(g->slot_count), count = 0;
    for (size_t w = 0; w < words; w++)
        count += (size_t)__builtin_popcountll(a->present[w]);
    c->items = mem_alloc(MEM_HEAD, (count + 1) * sizeof *c->items);
    for (size_t w = 0; w < words; w++) {
        for (uint64_t left = a->present[w]; left != 0; left &= left - 1) {
            uint32_t slot = (uint32_t)(w * 64) + (uint32_t)__builtin_ctzll(left);
            c->items[c->count++] = (struct late_sample){a->timestamp_ms, a->values[slot],
                                                        slot_map_get(g->map, slot), slot};
        }
    }
}

/* `newer`: what comes after the row is asked for too. */
static void pin_what_there_is(struct late_commit *c, bool newer)
{
    struct group *g = c->group;
    bool in_tile = tile_row(g, c->appender->timestamp_ms) != STRIP_ROWS;
    mutex_lock(&g->mutex);
    c->runs = mem_alloc(MEM_HEAD, (g->late.count + 1) * sizeof(struct late_run *));
    for (size_t i = 0; i < g->late.count; i++)
        c->runs[c->run_count++] = late_run_ref(g->late.items[i].run);
    mutex_unlock(&g->mutex);
    if (g->row_next > g->tile_rows && (newer || !in_tile)) { /* rows before the tile */
        c->view = head_pin(g->head, INT64_MIN);
        c->reader = head_reader_new(c->view);
    }
}

static void release(struct late_commit *c)
{
    for (size_t i = 0; i < c->run_count; i++)
        late_run_unref(c->runs[i]);
    mem_free(MEM_HEAD, (void *)c->runs);
    mem_free(MEM_HEAD, c->items);
    head_reader_free(c->reader);
    head_view_release(c->view);
}

/* The first sample of the series from mint to maxt in the group, whether visible or not (but for rows before the
 * tile: those that are). */
static bool find_sample(struct late_commit *c, const struct late_sample *s, int64_t mint,
                        int64_t maxt, double *value)
{
    const struct group *g = c->group;
    size_t count;
    for (uint32_t row = 0; row < g->tile_rows; row++) {
        const struct tile *t = g->tile;
        if (t->times[row] >= mint && t->times[row] <= maxt &&
            t->present[row * row_words(t->slot_capacity) + s->slot / 64] >> (s->slot & 63) & 1) {
            *value = t->values[(size_t)row * t->slot_capacity + s->slot];
            return true;
        }
    }
    if (c->reader) {
        struct samples got;
        head_reader_rows(c->reader, g, s->series, s->slot, mint, maxt, &got);
        if (got.count > 0) {
            *value = got.values[0];
            return true;
        }
    }
    for (size_t i = 0; i < c->run_count; i++) {
        const struct late_sample *found = late_run_find(c->runs[i], s->series, mint, maxt, &count);
        if (found) {
            *value = found->value;
            return true;
        }
    }
    return false;
}

/* Keeps what is new, and counts the rest. */
static void drop_known(struct late_commit *c)
{
    struct head *h = c->group->head;
    bool off = atomic_load_explicit(&h->window_ms, memory_order_relaxed) == 0;
    struct appender *a = c->appender;
    size_t kept = 0;
    pin_what_there_is(c, off);
    for (size_t i = 0; i < c->count; i++) {
        const struct late_sample s = c->items[i];
        double value;
        if (find_sample(c, &s, s.t, s.t, &value)) {
            if (sample_bits(value) != sample_bits(s.value)) {
                a->conflict_count++;
                continue;
            }
            c->known++;
        } else if (off && find_sample(c, &s, s.t + 1, INT64_MAX, &value)) {
            a->refused_count++;
            continue;
        } else {
            c->items[kept++] = s;
        }
        a->present[s.slot / 64] &= ~(UINT64_C(1) << (s.slot & 63));
    }
    c->count = kept;
    atomic_fetch_add_explicit(&h->samples_duplicate, a->conflict_count, memory_order_relaxed);
    atomic_fetch_add_explicit(&h->samples_order_refused, a->refused_count, memory_order_relaxed);
}

/* --- commit --- */

static bool run_submit(struct group *g, struct late_run *run, bool wait, struct error *err)
{
    struct buffer record;
    struct wal_commit what = {g, run, 0, run->maxt};
    buffer_init(&record, MEM_WAL, WAL_RECORD_PAYLOAD_MAX);
    size_t begin = wal_record_begin(&record, WAL_RECORD_LATE);
    wal_late_encode(&record, g->id, run->items, run->count);
    wal_record_end(&record, begin);
    bool ok = !record.failed;
    if (!ok)
        error_set(err, ERROR_LIMIT, "a row of %" PRIu32 " series is too large", run->count);
    else
        ok = wal_submit(g->head->wal, buffer_view(&record), WAL_SEGMENT_ANY, &what, wait, err) ==
             WAL_SUBMITTED;
    buffer_deinit(&record);
    return ok;
}

/* The samples that are left, in the WAL and in the list. */
static bool take(struct late_commit *c, unsigned flags, struct error *err)
{
    struct group *g = c->group;
    struct head *h = g->head;
    bool out_of_order = tile_row(g, c->appender->timestamp_ms) == STRIP_ROWS;
    for (size_t at = 0; at < c->count; at += WAL_LATE_SAMPLES_MAX) {
        size_t count = c->count - at < WAL_LATE_SAMPLES_MAX ? c->count - at : WAL_LATE_SAMPLES_MAX;
        struct late_run *run = late_run_new(c->items + at, count);
        group_late_add(g, run, false, 0);
        if (!run_submit(g, run, flags & APPENDER_WAIT, err)) {
            late_remove(g, run);
            return false;
        }
        atomic_fetch_add_explicit(&h->samples_appended, count, memory_order_relaxed);
        if (out_of_order)
            atomic_fetch_add_explicit(&h->samples_out_of_order, count, memory_order_relaxed);
    }
    return true;
}

bool group_late_commit(struct group *g, struct appender *a, unsigned flags, struct error *err)
{
    struct late_commit c = {.group = g, .appender = a};
    bool ok;
    a->is_late = true; /* a cut may have overtaken it */
    group_late_compact(g);
    collect(&c);
    size_t all = c.count;
    drop_known(&c);
    if (c.count > 0) {
        ok = take(&c, flags, err);
    } else if (all > 0 && a->refused_count == all) {
        a->refusal = APPENDER_OUT_OF_ORDER;
        ok =
            error_set(err, ERROR_INPUT,
                      "out of order sample: timestamp %" PRId64 " is before the last of its series",
                      a->timestamp_ms);
    } else {
        /* What is acknowledged again must be written, though perhaps nobody waited for it the first time. */
        ok = c.known == 0 || !(flags & APPENDER_WAIT) || wal_flush(g->head->wal, err);
    }
    release(&c);
    return ok;
}
