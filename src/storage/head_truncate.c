/* SPDX-License-Identifier: Apache-2.0 */
/* head_truncate.c: after a cut. First the floor rises, so that nobody new looks below it; then extents,
 * dead series, empty groups, segments and the series log follow. Keeper thread; appenders and readers
 * go on meanwhile. */
#include "storage/head_private.h"

#include "base/assert.h"

#include <stdlib.h>

enum { PURGE_LISTS_PER_LOCK = 256 };

struct bitmap {
    uint64_t *words;
    uint32_t bits;
};

static void bitmap_set(struct bitmap *b, uint32_t i)
{
    if (i < b->bits)
        b->words[i / 64] |= UINT64_C(1) << (i & 63);
}

static bool bitmap_get(const struct bitmap *b, uint32_t i)
{
    return i < b->bits && b->words[i / 64] >> (i & 63) & 1;
}

/* --- which series live --- */

/* While the keeper has a closed group, nobody opens it. */
static bool group_take(struct group *g)
{
    mutex_lock(&g->head->creation);
    bool closed = !g->is_open;
    if (closed)
        g->keeper_has_it = true;
    mutex_unlock(&g->head->creation);
    return closed;
}

static void group_give_back(struct group *g)
{
    mutex_lock(&g->head->creation);
    g->keeper_has_it = false;
    cond_broadcast(&g->head->group_freed);
    mutex_unlock(&g->head->creation);
}

/* Nobody writes it: its rows become an extent, its slots free. */
static void closed_group_seal(struct group *g)
{
    mutex_lock(&g->mutex);
    bool settled = g->visible_row == g->row_next;
    for (size_t i = 0; i < g->late.count; i++)
        settled = settled && g->late.items[i].visible;
    mutex_unlock(&g->mutex);
    if (!settled || g->slot_capacity == 0)
        return;
    for (uint32_t slot = 0; slot < g->slot_count; slot++)
        group_give_slot_up(g, slot);
    g->key_segment = 0;
    g->new_slot_count = 0;
    group_seal(g);
}

static void mark_series(struct head *h, struct bitmap *alive, uint32_t id, uint32_t group)
{
    bitmap_set(alive, id);
    const struct series *s = id < alive->bits ? head_series(h, id) : NULL;
    if (s && (atomic_load_explicit(&s->slot, memory_order_relaxed) & SERIES_MOVED)) {
        mutex_lock(&h->creation);
        head_move_is_needed_locked(h, id, group);
        mutex_unlock(&h->creation);
    }
}

/* Series with cells or late samples in the group at `pin`, and those that have a slot in it now. */
static void mark_group(struct head *h, struct bitmap *alive, const struct group_pin *pin)
{
    for (uint32_t i = 0; i < pin->extents->count; i++) {
        const struct extent *x = pin->extents->items[i];
        for (uint32_t slot = 0; slot < x->slot_count; slot++) {
            if (extent_slot_is_occupied(x, slot))
                mark_series(h, alive, slot_map_get(x->map, slot), pin->group->id);
        }
    }
    for (uint32_t slot = 0; slot < pin->map_count; slot++)
        mark_series(h, alive, slot_map_get(pin->map, slot), pin->group->id);
    for (size_t i = 0; i < pin->late_count; i++) {
        for (uint32_t k = 0; k < pin->late[i]->count; k++)
            mark_series(h, alive, pin->late[i]->items[k].series, pin->group->id);
    }
}

/* --- the dead --- */

struct pair_list {
    struct {
        symbol_id name, value;
    } * items;
    size_t count, capacity;
};

static int compare_pairs(const void *a, const void *b)
{
    uint64_t x, y;
    memcpy(&x, a, sizeof x);
    memcpy(&y, b, sizeof y);
    return (x > y) - (x < y);
}

static bool series_is_dead(const void *arg, uint32_t id)
{
    return bitmap_get(arg, id);
}

static void retire_chunks(void *arg, struct posting_chunk *chunks)
{
    head_retire(arg, (struct garbage){GARBAGE_POSTING_CHUNKS, chunks, 0, 0});
}

static void retire_place(void *arg, uint32_t posting)
{
    struct head *h = arg;
    head_retire(h, (struct garbage){GARBAGE_POSTING_PLACE, h->catalog, posting, 0});
}

/* Takes the series out of the index, so that its labels make a new one from now on. */
static bool series_bury_locked(struct head *h, uint32_t id, struct pair_list *pairs)
{
    struct series *s = head_series(h, id);
    if (!s || s->labels == LABEL_STORE_NONE ||
        (atomic_load_explicit(&s->slot, memory_order_relaxed) & SERIES_ASSIGNED) ||
        head_find_series_locked(h, (labels_id){s->labels}, series_hash(s)) != id)
        return false;
    head_index_remove_locked(h, id);
    atomic_store_explicit(&s->group, SERIES_DEAD, memory_order_release);
    atomic_store_explicit(&s->slot, 0,
                          memory_order_release); /* not "never placed": series_is_alive */
    h->series_live--;
    h->series_removed++;
    head_count_series_locked(h, (labels_id){s->labels}, -1);
    const struct label_store *store = h->catalog->labels;
    labels_id labels = {s->labels};
    uint32_t count;
    const symbol_id *names =
        label_store_shape_names(store, label_store_shape(store, labels), &count);
    const symbol_id *values = label_store_values(store, labels);
    pairs->items = mem_grow(MEM_INDEX, pairs->items, &pairs->capacity, pairs->count + count,
                            sizeof *pairs->items);
    for (uint32_t i = 0; i < count; i++) {
        pairs->items[pairs->count].name = names[i];
        pairs->items[pairs->count++].value = values[i];
    }
    return true;
}

static void postings_purge_all(struct head *h, struct pair_list *pairs, const struct bitmap *dead)
{
    struct postings_retire retire = {retire_chunks, retire_place, h};
    if (pairs->count > 0)
        qsort(pairs->items, pairs->count, sizeof *pairs->items, compare_pairs);
    mutex_lock(&h->creation);
    for (size_t i = 0, done = 0; i < pairs->count; i++) {
        if (i > 0 && compare_pairs(&pairs->items[i], &pairs->items[i - 1]) == 0)
            continue;
        postings_purge(&h->catalog->postings, pairs->items[i].name, pairs->items[i].value,
                       series_is_dead, dead, &retire);
        if (++done % PURGE_LISTS_PER_LOCK == 0) { /* let creation through */
            mutex_unlock(&h->creation);
            mutex_lock(&h->creation);
        }
    }
    postings_purge_finish(&h->catalog->postings);
    mutex_unlock(&h->creation);
}

static uint64_t bury_the_dead(struct head *h, const struct bitmap *alive)
{
    struct bitmap dead = {mem_alloc_zero(MEM_INDEX, alive->bits / 64 + 1, 8), alive->bits};
    struct pair_list pairs = {0};
    uint64_t count = 0;
    for (uint32_t id = 0; id < alive->bits; id++) {
        if (id % SERIES_PAGE == 0 && !head_series(h, id)) {
            id += SERIES_PAGE - 1; /* all dead since before */
            continue;
        }
        if (bitmap_get(alive, id))
            continue;
        mutex_lock(&h->creation);
        if (series_bury_locked(h, id, &pairs)) {
            bitmap_set(&dead, id);
            count++;
        }
        mutex_unlock(&h->creation);
    }
    postings_purge_all(h, &pairs, &dead);
    mem_free(MEM_INDEX, pairs.items);
    mem_free(MEM_INDEX, dead.words);
    return count;
}

/* --- groups --- */

/* Closed, and without a row: its number is forgotten, its memory freed when no view can know it. */
static bool group_bury(struct group *g)
{
    struct head *h = g->head;
    mutex_lock(&g->mutex);
    bool empty = g->extents->count == 0 && !g->run && (!g->tile || g->tile_rows == 0) &&
                 g->visible_row == g->row_next && g->late.count == 0;
    mutex_unlock(&g->mutex);
    if (!empty)
        return false;
    mutex_lock(&h->creation);
    if (g->key.len > 0)
        (void)string_map_remove(h->group_keys, g->key);
    atomic_store_explicit(&h->group_pages[g->id / GROUP_PAGE][g->id % GROUP_PAGE], NULL,
                          memory_order_release);
    h->groups_live--;
    cond_broadcast(&h->group_freed);
    mutex_unlock(&h->creation);
    head_retire(h, (struct garbage){GARBAGE_GROUP, g, 0, 0});
    return true;
}

bool head_truncate(struct head *h, int64_t cut_ms, struct error *err)
{
    struct error waiting;
    bool all_visible = head_refuse_below(h, cut_ms, &waiting);
    (void)all_visible; /* below is what blocks have or nobody saw; groups with such rows stay */
    head_atomic_max(&h->floor, cut_ms);
    struct head_view *view = head_pin(h, cut_ms);
    uint32_t groups = atomic_load_explicit(&h->group_count, memory_order_acquire);
    uint32_t bits = view->series_count;
    struct bitmap alive = {mem_alloc_zero(MEM_INDEX, bits / 64 + 1, 8), bits};
    uint64_t gone = 0;
    mutex_lock(&h->creation);
    head_moves_begin_locked(h);
    mutex_unlock(&h->creation);
    for (uint32_t i = 0; i < groups; i++) {
        struct group *g = head_group(h, i);
        if (!g)
            continue;
        bool mine = group_take(g);
        if (mine && g->last_time < cut_ms)
            closed_group_seal(g); /* else its user may come back and continue the last row */
        group_drop_extents(g, cut_ms);
        const struct group_pin *pin = head_view_pin(view, i);
        mark_group(h, &alive, pin);
        mutex_lock(&g->mutex);
        if (g->visible_maxt >= cut_ms && g->visible_mint < cut_ms)
            g->visible_mint = cut_ms;
        mutex_unlock(&g->mutex);
        if (mine && group_bury(g))
            gone++;
        else if (mine)
            group_give_back(g);
    }
    gone += bury_the_dead(h, &alive);
    mem_free(MEM_INDEX, alive.words);
    mutex_lock(&h->creation);
    head_moves_end_locked(h);
    mutex_unlock(&h->creation);
    head_renew_catalog(h);
    head_view_release(view);
    head_collect(h);
    return extent_store_drop_below(h->store, cut_ms, err) && wal_drop_below(h->wal, cut_ms, err) &&
           (gone == 0 || wal_rewrite_log(h->wal, err));
}

/* --- the series log of the living --- */

struct log_counts {
    struct head_view *view; /* keeps its catalog, whose numbers the log speaks of */
    uint32_t symbols, shapes, series, groups;
    size_t metadata;
    struct metric_metadata **items;
};

/* From here on, entries go to the log for what comes after these counts. */
static struct log_counts log_begin(struct head *h)
{
    mutex_lock(&h->creation);
    struct log_counts c = {.view = head_pin(h, INT64_MIN),
                           .symbols = label_store_symbol_count(h->catalog->labels),
                           .shapes = label_store_shape_count(h->catalog->labels),
                           .series = head_series_count(h),
                           .groups = atomic_load(&h->group_count),
                           .metadata = h->metadata_count};
    c.items = mem_alloc(MEM_WAL, (c.metadata + 1) * sizeof(struct metric_metadata *));
    if (c.metadata > 0)
        memcpy((void *)c.items, (void *)h->metadata, c.metadata * sizeof(struct metric_metadata *));
    series_log_writer_deinit(&h->log);
    series_log_writer_init(&h->log);
    /* What a later series needs is logged again: this log may leave it out as dead. */
    if (h->logged_symbols)
        memset(h->logged_symbols, 0, h->logged_symbols_capacity);
    if (h->logged_shapes)
        memset(h->logged_shapes, 0, h->logged_shapes_capacity);
    h->log_has_reset = true;
    mutex_unlock(&h->creation);
    return c;
}

static bool log_flush(struct series_log_writer *w, size_t bytes_min, wal_log_sink sink, void *arg,
                      struct error *err)
{
    struct buffer b;
    if (w->records.len < bytes_min)
        return true;
    series_log_take(w, &b);
    bool ok = b.len == 0 || sink(arg, buffer_view(&b), err);
    buffer_deinit(&b);
    return ok;
}

/* Only what living series use: this is where dead text goes. */
static struct bitmap symbols_in_use(const struct log_counts *c, struct bitmap *shapes)
{
    const struct label_store *store = c->view->catalog->labels;
    struct bitmap b = {mem_alloc_zero(MEM_WAL, c->symbols / 64 + 1, 8), c->symbols};
    for (uint32_t id = 0; id < c->series; id++) {
        const struct series *s = catalog_series(c->view->catalog, id);
        if (!s || !series_is_alive(s))
            continue;
        uint32_t count;
        shape_id shape = label_store_shape(store, (labels_id){s->labels});
        const symbol_id *names = label_store_shape_names(store, shape, &count);
        const symbol_id *values = label_store_values(store, (labels_id){s->labels});
        bool new_shape = !bitmap_get(shapes, shape.n);
        bitmap_set(shapes, shape.n);
        for (uint32_t i = 0; i < count; i++) {
            bitmap_set(&b, values[i].n);
            if (new_shape)
                bitmap_set(&b, names[i].n);
        }
    }
    return b;
}

/* Groups may be buried meanwhile: their keys are read under the lock, into memory. */
static void write_groups(struct head *h, uint32_t count, struct series_log_writer *w)
{
    mutex_lock(&h->creation);
    for (uint32_t i = 0; i < count; i++) {
        const struct group *g = head_group(h, i);
        if (g && g->key.len > 0)
            series_log_add_group(w, i, g->key);
    }
    mutex_unlock(&h->creation);
}

static bool write_living(struct head *h, const struct log_counts *c, wal_log_sink sink,
                         void *sink_arg, struct error *err)
{
    enum { FLUSH_BYTES = 1 << 20 };
    const struct label_store *store = c->view->catalog->labels;
    struct series_log_writer w;
    struct bitmap shapes = {mem_alloc_zero(MEM_WAL, c->shapes / 64 + 1, 8), c->shapes};
    struct bitmap symbols = symbols_in_use(c, &shapes);
    uint32_t count;
    bool ok = true;
    series_log_writer_init(&w);
    series_log_add_reset(&w);
    for (uint32_t i = 0; ok && i < c->symbols; i++) {
        if (bitmap_get(&symbols, i))
            series_log_add_symbol(&w, i, label_store_text(store, (symbol_id){i}));
        ok = log_flush(&w, FLUSH_BYTES, sink, sink_arg, err);
    }
    for (uint32_t i = 0; ok && i < c->shapes; i++) {
        const symbol_id *names = label_store_shape_names(store, (shape_id){i}, &count);
        if (bitmap_get(&shapes, i))
            series_log_add_shape(&w, i, names, count);
    }
    for (uint32_t i = 0; ok && i < c->series; i++) {
        const struct series *s = catalog_series(c->view->catalog, i);
        if (!s || !series_is_alive(s))
            continue;
        shape_id shape = label_store_shape(store, (labels_id){s->labels});
        label_store_shape_names(store, shape, &count);
        series_log_add_series(&w, i, shape.n, label_store_values(store, (labels_id){s->labels}),
                              count);
        ok = log_flush(&w, FLUSH_BYTES, sink, sink_arg, err);
    }
    for (size_t i = 0; ok && i < c->metadata; i++)
        series_log_add_metadata(&w, c->items[i]);
    write_groups(h, c->groups, &w);
    ok = ok && log_flush(&w, 0, sink, sink_arg, err);
    series_log_writer_deinit(&w);
    mem_free(MEM_WAL, symbols.words);
    mem_free(MEM_WAL, shapes.words);
    return ok;
}

bool head_write_series_log(void *head, wal_log_sink sink, void *sink_arg, struct error *err)
{
    struct log_counts c = log_begin(head);
    bool ok = write_living(head, &c, sink, sink_arg, err);
    head_view_release(c.view);
    mem_free(MEM_WAL, (void *)c.items);
    return ok;
}
