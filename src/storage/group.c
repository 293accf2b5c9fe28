/* SPDX-License-Identifier: Apache-2.0 */
/* group.c: the rows of a group on their way from tile to strip to extent (DESIGN 4.1).
 *
 *   extents (sealed)  |  run: 0..8 strips of 8 rows  |  tile: 0..8 rows  |  the row being written
 *
 * A row has a number, which only grows. What exists and what is visible are two things: rows may be
 * packed and even sealed before the WAL thread has raised visible_row; a reader clips by row number.
 *
 * 1. Only one thread changes a group's rows: its user's, or the keeper between two rows of it (group_enter,
 *    group_try_hold).
 * 2. It changes the pointers (tile, run, extents, map) under g->mutex, since readers copy them there.
 * 3. What pointers lead to is never changed where a reader may look: rows below visible_row, strips below
 *    strip_count, slots of the map below map_count. A slot loses its series only in a new map, made when
 *    run and tile are empty (group_seal), so one map speaks for run and tile.
 * 4. An extent is made in memory and written by the keeper (head_store.c), which then puts one without a body
 *    in its place. Until that is safe the WAL keeps the rows: from `wal_segment` on.
 * 5. A free slot is absent in the row before (last_present), so that no stale marker is made for it. */
#include "storage/head_private.h"

#include "base/assert.h"
#include "base/checksum.h"
#include "base/mem.h"

enum { SLOTS_MIN = 8, RUN_STRIPS = EXTENT_ROWS_MAX / STRIP_ROWS };

/* --- tile, run, list: shared by reference --- */

static struct tile *tile_new(uint32_t slots, uint64_t first_row)
{
    uint32_t capacity = (slots + 7) / 8 * 8;
    size_t words = row_words(capacity),
           values_bytes = (size_t)capacity * STRIP_ROWS * sizeof(double);
    struct tile *t = mem_alloc(MEM_HEAD, sizeof *t + values_bytes + words * STRIP_ROWS * 8);
    atomic_init(&t->refs, 1);
    t->slot_capacity = capacity;
    t->first_row = first_row;
    t->values = (double *)(void *)(t + 1);
    t->present = (uint64_t *)(void *)((char *)(t + 1) + values_bytes);
    t->filled = NULL;
    return t;
}

void tile_unref(struct tile *t)
{
    if (t && atomic_fetch_sub_explicit(&t->refs, 1, memory_order_acq_rel) == 1) {
        mem_free(MEM_HEAD, t->filled);
        mem_free(MEM_HEAD, t);
    }
}

/* The same rows, of which the first `rows` hold something, in a tile that nobody else has. */
static struct tile *tile_copy(const struct tile *old, uint32_t slots, uint32_t rows)
{
    struct tile *t = tile_new(slots, old->first_row);
    size_t old_words = row_words(old->slot_capacity), words = row_words(t->slot_capacity);
    memcpy(t->times, old->times, sizeof t->times);
    memset(t->present, 0, words * STRIP_ROWS * 8);
    if (old->filled)
        t->filled = mem_alloc_zero(MEM_HEAD, words * STRIP_ROWS, 8);
    for (uint32_t i = 0; i < rows; i++) {
        memcpy(t->values + (size_t)i * t->slot_capacity,
               old->values + (size_t)i * old->slot_capacity, old->slot_capacity * sizeof(double));
        memcpy(t->present + i * words, old->present + i * old_words, old_words * 8);
        if (old->filled)
            memcpy(t->filled + i * words, old->filled + i * old_words, old_words * 8);
    }
    return t;
}

static struct run *run_new(uint64_t first_row)
{
    struct run *r = mem_alloc_zero(MEM_HEAD, 1, sizeof *r);
    atomic_init(&r->refs, 1);
    r->first_row = first_row;
    return r;
}

void run_unref(struct run *r, uint32_t strip_count)
{
    if (!r || atomic_fetch_sub_explicit(&r->refs, 1, memory_order_acq_rel) != 1)
        return;
    for (uint32_t i = 0; i < RUN_STRIPS; i++)
        mem_free(MEM_HEAD, r->strips[i]);
    mem_free(MEM_HEAD, r);
}

static struct extent_list *extent_list_new(uint32_t count)
{
    struct extent_list *l = mem_alloc(MEM_HEAD, sizeof *l + count * sizeof l->items[0]);
    atomic_init(&l->refs, 1);
    l->count = count;
    return l;
}

void extent_list_unref(struct extent_list *l)
{
    if (!l || atomic_fetch_sub_explicit(&l->refs, 1, memory_order_acq_rel) != 1)
        return;
    for (uint32_t i = 0; i < l->count; i++)
        extent_unref(l->items[i]);
    mem_free(MEM_HEAD, l);
}

/* --- group --- */

struct group *group_new(struct head *h, uint32_t id, struct view key)
{
    struct group *g = mem_alloc_zero(MEM_HEAD, 1, sizeof *g);
    g->head = h;
    g->id = id;
    g->key = (struct view){mem_copy_string(MEM_HEAD, key), key.len};
    mutex_init(&g->mutex);
    g->extents = extent_list_new(0);
    g->map = slot_map_new(SLOTS_MIN);
    g->visible_mint = INT64_MAX;
    g->visible_maxt = INT64_MIN;
    g->late_mint = INT64_MAX;
    g->late_maxt = INT64_MIN;
    g->last_time = g->last_kept_time = INT64_MIN;
    g->run_strips_max = 1 + (uint32_t)(hash64(&id, sizeof id) % RUN_STRIPS);
    return g;
}

void group_free(struct group *g)
{
    if (!g)
        return;
    tile_unref(g->tile);
    run_unref(g->run, g->strip_count);
    atomic_fetch_sub_explicit(&g->head->extent_count, g->extents->count, memory_order_relaxed);
    extent_list_unref(g->extents);
    slot_map_unref(g->map);
    group_late_free(g);
    mutex_deinit(&g->mutex);
    mem_free(MEM_HEAD, g->last);
    mem_free(MEM_HEAD, g->last_present);
    mem_free(MEM_HEAD, g->last_filled);
    mem_free(MEM_HEAD, g->base_present);
    mem_free(MEM_HEAD, g->chain);
    mem_free(MEM_HEAD, g->decimals);
    mem_free(MEM_HEAD, g->free_slots);
    mem_free(MEM_HEAD, g->released);
    mem_free(MEM_HEAD, g->claimed);
    mem_free(MEM_HEAD, g->new_slots);
    mem_free(MEM_HEAD, (char *)(uintptr_t)g->key.ptr);
    mem_free(MEM_HEAD, g);
}

/* --- who may change it --- */

void group_enter(struct group *g)
{
    uint32_t nobody = GROUP_FREE;
    while (!atomic_compare_exchange_strong_explicit(&g->holder, &nobody, GROUP_USERS,
                                                    memory_order_acquire, memory_order_relaxed)) {
        ASSERT(nobody == GROUP_KEEPERS); /* a group has one user */
        mutex_lock(&g->head->creation);
        while (atomic_load_explicit(&g->holder, memory_order_relaxed) == GROUP_KEEPERS)
            cond_wait(&g->head->group_freed, &g->head->creation);
        mutex_unlock(&g->head->creation);
        nobody = GROUP_FREE;
    }
}

void group_leave(struct group *g)
{
    atomic_store_explicit(&g->holder, GROUP_FREE, memory_order_release);
}

bool group_try_hold(struct group *g)
{
    uint32_t nobody = GROUP_FREE;
    return atomic_compare_exchange_strong_explicit(&g->holder, &nobody, GROUP_KEEPERS,
                                                   memory_order_acquire, memory_order_relaxed);
}

void group_let_go(struct group *g)
{
    mutex_lock(&g->head->creation);
    atomic_store_explicit(&g->holder, GROUP_FREE, memory_order_release);
    cond_broadcast(&g->head->group_freed);
    mutex_unlock(&g->head->creation);
}

/* --- slots --- */

static void *grow_zeroed(void *array, size_t old_count, size_t new_count, size_t item_bytes)
{
    char *grown = mem_resize(MEM_HEAD, array, new_count * item_bytes);
    memset(grown + old_count * item_bytes, 0, (new_count - old_count) * item_bytes);
    return grown;
}

/* A wider tile with the same rows, the one being written among them. */
static void tile_widen(struct group *g, uint32_t slots)
{
    bool row_is_open = g->appender && !g->appender->is_late;
    struct tile *old = g->tile, *wide = tile_copy(old, slots, g->tile_rows + (row_is_open ? 1 : 0));
    mutex_lock(&g->mutex);
    g->tile = wide;
    mutex_unlock(&g->mutex);
    tile_unref(old);
    if (row_is_open) {
        g->appender->values = group_row_values(g);
        g->appender->present = group_row_present(g);
        g->appender->slot_count = wide->slot_capacity;
    }
}

void group_tile_own_locked(struct group *g)
{
    struct tile *shared = g->tile;
    if (atomic_load_explicit(&shared->refs, memory_order_acquire) == 1)
        return;
    g->tile = tile_copy(shared, shared->slot_capacity, g->tile_rows);
    tile_unref(shared);
}

/* Room for `count` slots in all that is indexed by slot. Doubling, then exact at the next tile. */
void group_reserve_slots(struct group *g, uint32_t count)
{
    if (count > g->slot_capacity) {
        uint32_t capacity = g->slot_capacity < SLOTS_MIN ? SLOTS_MIN : g->slot_capacity;
        while (capacity < count)
            capacity += capacity < 1024 ? capacity : capacity / 4;
        capacity = (capacity + 7) / 8 * 8;
        size_t words = row_words(capacity), old_words = row_words(g->slot_capacity);
        g->last = grow_zeroed(g->last, g->slot_capacity, capacity, sizeof *g->last);
        g->decimals = grow_zeroed(g->decimals, g->slot_capacity, capacity, 1);
        g->chain = grow_zeroed(g->chain, g->slot_capacity, capacity, 1);
        memset(g->chain + g->slot_capacity, STRIP_CHAIN_BROKEN, capacity - g->slot_capacity);
        g->last_present = grow_zeroed(g->last_present, old_words, words, 8);
        if (g->last_filled)
            g->last_filled = grow_zeroed(g->last_filled, old_words, words, 8);
        g->free_slots = grow_zeroed(g->free_slots, old_words, words, 8);
        g->released = grow_zeroed(g->released, old_words, words, 8);
        g->claimed = grow_zeroed(g->claimed, old_words, words, 8);
        g->slot_capacity = capacity;
    }
    if (g->tile && count > g->tile->slot_capacity)
        tile_widen(g, g->slot_capacity);
    if (g->appender && g->appender->is_late)
        group_late_reserve(g);
}

/* A map with other content or more room takes the place of the old one. */
static struct slot_map *map_copy(const struct group *g, uint32_t capacity)
{
    struct slot_map *m = slot_map_new(capacity);
    memcpy(m->ids, g->map->ids, g->slot_count * sizeof m->ids[0]);
    return m;
}

static void map_replace(struct group *g, struct slot_map *m)
{
    struct slot_map *old = g->map;
    mutex_lock(&g->mutex);
    g->map = m;
    g->map_count = g->slot_count;
    mutex_unlock(&g->mutex);
    slot_map_unref(old);
}

/* The slot is free, or the next one. */
void group_assign_slot(struct group *g, uint32_t slot, uint32_t series)
{
    ASSERT(slot <= g->slot_count && (series != SLOT_EMPTY || slot == g->slot_count));
    if (slot == g->slot_count) {
        group_reserve_slots(g, slot + 1);
        if (slot == g->map->capacity)
            map_replace(g, map_copy(g, g->slot_capacity));
        slot_map_set(g->map, slot, series);
        g->slot_count++;
        mutex_lock(&g->mutex);
        g->map_count = g->slot_count;
        mutex_unlock(&g->mutex);
    } else {
        /* In place: since the slot became free in this map, nothing with this map has a cell of it. */
        ASSERT(g->map->ids[slot] == SLOT_EMPTY);
        slot_map_set(g->map, slot, series);
        g->free_slots[slot / 64] &= ~(UINT64_C(1) << (slot & 63));
        g->free_count--;
    }
    g->decimals[slot] = 0;
    if (series == SLOT_EMPTY) {
        g->free_slots[slot / 64] |= UINT64_C(1) << (slot & 63);
        g->free_count++;
        return;
    }
    g->new_slots = mem_grow(MEM_HEAD, g->new_slots, &g->new_slot_capacity, g->new_slot_count + 1,
                            sizeof *g->new_slots);
    g->new_slots[g->new_slot_count++] = (struct wal_new_slot){slot, series};
}

/* --- rows --- */

struct row_cells group_row_before(const struct group *g)
{
    if (g->tile_rows == 0)
        return (struct row_cells){g->last, g->last_present};
    const struct tile *t = g->tile;
    uint32_t row = g->tile_rows - 1;
    return (struct row_cells){t->values + (size_t)row * t->slot_capacity,
                              t->present + row * row_words(t->slot_capacity)};
}

struct row_cells group_row_base(struct group *g)
{
    struct row_cells row = group_row_before(g);
    size_t words = row_words(g->slot_count),
           width = g->tile ? row_words(g->tile->slot_capacity) : 0;
    const uint64_t *filled = g->last_filled;
    if (g->tile_rows > 0)
        filled = g->tile->filled ? g->tile->filled + (g->tile_rows - 1) * width : NULL;
    if (LIKELY(!filled))
        return row;
    if (g->base_capacity < g->slot_capacity) {
        g->base_capacity = g->slot_capacity;
        g->base_present = mem_resize(MEM_HEAD, g->base_present, row_words(g->slot_capacity) * 8);
    }
    for (size_t w = 0; w < words; w++)
        g->base_present[w] = row.present[w] & ~filled[w];
    row.present = g->base_present;
    return row;
}

double *group_row_values(const struct group *g)
{
    return g->tile->values + (size_t)g->tile_rows * g->tile->slot_capacity;
}

uint64_t *group_row_present(const struct group *g)
{
    return g->tile->present + g->tile_rows * row_words(g->tile->slot_capacity);
}

void group_row_begin(struct group *g)
{
    group_make_room(g);
    size_t words = row_words(g->tile->slot_capacity);
    memset(group_row_present(g), 0, words * 8);
    if (UNLIKELY(g->tile->filled != NULL))
        memset(g->tile->filled + g->tile_rows * words, 0, words * 8);
}

void group_row_stamp(struct group *g, int64_t timestamp_ms)
{
    ASSERT(g->tile_rows < STRIP_ROWS && timestamp_ms > g->last_time);
    g->tile->times[g->tile_rows] = timestamp_ms;
}

void group_row_taken(struct group *g, int64_t timestamp_ms)
{
    g->tile_rows++;
    g->last_time = timestamp_ms;
    g->row_next++;
}

void group_publish(struct group *g, uint64_t row, int64_t timestamp_ms)
{
    ASSERT(row + 1 > g->visible_row);
    g->visible_row = row + 1;
    if (timestamp_ms < g->visible_mint)
        g->visible_mint = timestamp_ms;
    g->visible_maxt = timestamp_ms;
}

/* --- packing a tile --- */

/* The presence bits of 64 slots, turned from rows to slots: out[i] has a bit per row. */
static void presence_turn(const struct tile *t, uint32_t rows, size_t word, uint8_t *out)
{
    size_t words = row_words(t->slot_capacity);
    uint64_t all = UINT64_MAX;
    for (uint32_t row = 0; row < rows; row++)
        all &= t->present[row * words + word];
    memset(out, all == UINT64_MAX ? (1 << rows) - 1 : 0, 64);
    for (uint32_t row = 0; row < rows && all != UINT64_MAX; row++) {
        uint64_t bits = t->present[row * words + word];
        for (unsigned i = 0; i < 64; i++)
            out[i] |= (uint8_t)((bits >> i & 1) << row);
    }
}

static void column_gather(const struct tile *t, uint32_t rows, size_t slot, double *out)
{
    for (uint32_t row = 0; row < rows; row++)
        out[row] = t->values[(size_t)row * t->slot_capacity + slot];
}

/* What the encoders need to know of the tile's last row once the tile is gone. */
static void last_row_keep(struct group *g)
{
    struct row_cells row = group_row_before(g);
    g->last_kept_time = g->tile->times[g->tile_rows - 1];
    memcpy(g->last, row.values, g->slot_count * sizeof *g->last);
    memcpy(g->last_present, row.present, row_words(g->slot_count) * 8);
    if (LIKELY(!g->tile->filled && !g->last_filled))
        return;
    mem_free(MEM_HEAD, g->last_filled);
    g->last_filled = NULL;
    if (g->tile->filled) {
        size_t words = row_words(g->tile->slot_capacity);
        g->last_filled = mem_alloc_zero(MEM_HEAD, row_words(g->slot_capacity), 8);
        memcpy(g->last_filled, g->tile->filled + (g->tile_rows - 1) * words,
               row_words(g->slot_count) * 8);
    }
}

static struct strip *strip_build(struct group *g)
{
    const struct tile *t = g->tile;
    uint32_t slots = g->slot_count;
    size_t data_max = (size_t)slots * STRIP_COLUMN_BYTES_MAX;
    uint8_t *data = mem_alloc(MEM_HEAD, data_max + 8), *forms = mem_alloc(MEM_HEAD, slots + 1u);
    uint8_t *out = data, present[64];
    double column[STRIP_ROWS];
    for (uint32_t slot = 0; slot < slots; slot++) {
        if (slot % 64 == 0)
            presence_turn(t, STRIP_ROWS, slot / 64, present);
        column_gather(t, STRIP_ROWS, slot, column);
        out += strip_encode(column, present[slot & 63], g->last[slot], &g->chain[slot],
                            &forms[slot], out);
        if (g->chain[slot] <= 9)
            g->decimals[slot] = g->chain[slot];
    }
    size_t data_bytes = (size_t)(out - data);
    struct strip *s = mem_alloc(MEM_HEAD, sizeof *s + slots + data_bytes + 8);
    s->slot_count = slots;
    s->data_bytes = (uint32_t)data_bytes;
    memcpy(s->times, t->times, sizeof s->times);
    memcpy(s->bytes, forms, slots);
    memcpy(s->bytes + slots, data, data_bytes);
    memset(s->bytes + slots + data_bytes, 0, 8);
    mem_free(MEM_HEAD, data);
    mem_free(MEM_HEAD, forms);
    return s;
}

/* Takes the tile's place by a fresh one (its memory again, when no reader has it and it fits). The rows
 * leave the tile and appear as a strip in one step: a pin taken between the two would miss them. */
static void tile_renew(struct group *g, struct strip *strip)
{
    struct tile *old = g->tile, *fresh = NULL;
    uint32_t width = (g->slot_count + 7) / 8 * 8;
    mutex_lock(&g->mutex);
    if (old->slot_capacity == width &&
        atomic_load_explicit(&old->refs, memory_order_acquire) == 1) {
        old->first_row = g->row_next;
        mem_free(MEM_HEAD, old->filled);
        old->filled = NULL;
        fresh = old;
    } else {
        mutex_unlock(&g->mutex);
        fresh = tile_new(g->slot_count, g->row_next);
        mutex_lock(&g->mutex);
        g->tile = fresh;
    }
    if (strip)
        g->run->strips[g->strip_count++] = strip;
    mutex_unlock(&g->mutex);
    if (fresh != old)
        tile_unref(old);
    g->tile_rows = 0;
}

static void tile_pack(struct group *g)
{
    if (!g->run) {
        struct run *fresh = run_new(g->tile->first_row);
        mutex_lock(&g->mutex);
        g->run = fresh;
        g->strip_count = 0;
        mutex_unlock(&g->mutex);
    }
    struct strip *s = strip_build(g);
    last_row_keep(g);
    tile_renew(g, s);
}

/* --- sealing --- */

struct seal {
    const struct group *group;
    uint32_t strip_count, tile_rows, rows;
    int64_t times[EXTENT_ROWS_MAX];
    const uint8_t *data[RUN_STRIPS]; /* where the next slot's column stands in each strip */
};

static void seal_init(struct seal *s, const struct group *g)
{
    *s = (struct seal){.group = g,
                       .strip_count = g->run ? g->strip_count : 0,
                       .tile_rows = g->tile ? g->tile_rows : 0};
    for (uint32_t i = 0; i < s->strip_count; i++) {
        const struct strip *strip = g->run->strips[i];
        memcpy(s->times + i * STRIP_ROWS, strip->times, sizeof strip->times);
        s->data[i] = strip->bytes + strip->slot_count;
    }
    s->rows = s->strip_count * STRIP_ROWS + s->tile_rows;
    ASSERT(s->rows <= EXTENT_ROWS_MAX);
    if (s->tile_rows > 0)
        memcpy(s->times + s->strip_count * STRIP_ROWS, g->tile->times,
               s->tile_rows * sizeof s->times[0]);
}

/* Slots in ascending order: each call moves all strips on by one column. */
static uint64_t seal_column(struct seal *s, uint32_t slot, const uint8_t *tile_presence,
                            double *out)
{
    struct strip_state state = {.chain = STRIP_CHAIN_BROKEN};
    uint64_t present = 0;
    for (uint32_t i = 0; i < s->strip_count; i++) {
        const struct strip *strip = s->group->run->strips[i];
        if (slot >= strip->slot_count)
            continue;
        uint8_t form = strip->bytes[slot];
        present |= (uint64_t)strip_decode(&state, form, s->data[i], out + i * STRIP_ROWS)
                   << (i * STRIP_ROWS);
        s->data[i] += strip_column_bytes(form, s->data[i]);
    }
    if (s->tile_rows > 0) {
        uint32_t base = s->strip_count * STRIP_ROWS;
        column_gather(s->group->tile, s->tile_rows, slot, out + base);
        present |= (uint64_t)tile_presence[slot & 63] << base;
    }
    return present;
}

static struct extent *extent_make(const struct group *g)
{
    struct seal s;
    struct extent_builder b;
    uint8_t tile_presence[64] = {0};
    double column[EXTENT_ROWS_MAX] = {0};
    uint64_t first_row = g->run ? g->run->first_row : g->tile->first_row;

    seal_init(&s, g);
    extent_builder_begin(&b, g->map, g->slot_count, first_row, s.times, s.rows);
    for (uint32_t slot = 0; slot < g->slot_count; slot++) {
        if (slot % 64 == 0 && s.tile_rows > 0)
            presence_turn(g->tile, s.tile_rows, slot / 64, tile_presence);
        uint64_t present = seal_column(&s, slot, tile_presence, column);
        extent_builder_add(&b, column, present);
    }
    return extent_builder_finish(&b);
}

/* Adds `x` (may be NULL) where its rows belong and leaves out what ends before `floor`. */
static struct extent_list *list_with(const struct extent_list *old, struct extent *x, int64_t floor)
{
    struct extent_list *l = extent_list_new(old->count + 1);
    l->count = 0;
    for (uint32_t i = 0; i < old->count; i++) {
        if (x && x->first_row < old->items[i]->first_row) {
            l->items[l->count++] = x;
            x = NULL;
        }
        if (old->items[i]->last_time >= floor)
            l->items[l->count++] = extent_ref(old->items[i]);
    }
    if (x)
        l->items[l->count++] = x;
    return l;
}

static void list_count_changed(struct group *g, uint32_t before, uint32_t after)
{
    atomic_fetch_add_explicit(&g->head->extent_count, (uint64_t)after - before,
                              memory_order_relaxed);
}

static void list_change(struct group *g, struct extent *x, int64_t floor)
{
    mutex_lock(&g->mutex);
    struct extent_list *old = g->extents;
    g->extents = list_with(old, x, floor);
    uint32_t count = g->extents->count;
    mutex_unlock(&g->mutex);
    list_count_changed(g, old->count, count);
    extent_list_unref(old);
}

void group_drop_extents(struct group *g, int64_t floor)
{
    list_change(g, NULL, floor);
}

void group_add_extent(struct group *g, struct extent *x)
{
    list_change(g, x, INT64_MIN);
}

void group_swap_extent(struct group *g, const struct extent *old, struct extent *x)
{
    mutex_lock(&g->mutex);
    struct extent_list *before = g->extents, *l = extent_list_new(before->count);
    l->count = 0;
    for (uint32_t i = 0; i < before->count; i++) {
        struct extent *item = before->items[i];
        if (item != old)
            l->items[l->count++] = extent_ref(item);
        else if (x)
            l->items[l->count++] = extent_ref(x);
    }
    g->extents = l;
    mutex_unlock(&g->mutex);
    list_count_changed(g, before->count, l->count);
    extent_list_unref(before);
    extent_unref(x);
}

/* After a seal nothing stands in run and tile, so released slots can change hands. */
static void slots_free_released(struct group *g)
{
    struct head *h = g->head;
    struct slot_map *m = map_copy(g, g->map->capacity);
    mutex_lock(&h->creation);
    for (size_t w = 0; w < row_words(g->slot_count); w++) {
        for (uint64_t left = g->released[w]; left != 0; left &= left - 1) {
            uint32_t slot = (uint32_t)(w * 64) + (uint32_t)__builtin_ctzll(left);
            struct series *s = m->ids[slot] == SLOT_UNKNOWN ? NULL : head_series(h, m->ids[slot]);
            uint32_t place = s ? atomic_load_explicit(&s->slot, memory_order_relaxed) : 0;
            if (s && atomic_load_explicit(&s->group, memory_order_relaxed) == g->id &&
                (place & SERIES_SLOT_MASK) == slot)
                atomic_store_explicit(&s->slot, place & ~SERIES_ASSIGNED, memory_order_release);
            m->ids[slot] = SLOT_EMPTY;
        }
        g->last_present[w] &= ~g->released[w];
        g->free_slots[w] |= g->released[w];
        g->released[w] = 0;
    }
    mutex_unlock(&h->creation);
    g->free_count += g->released_count;
    g->released_count = 0;
    g->free_hint = 0;
    while (g->slot_count > 0 && m->ids[g->slot_count - 1] == SLOT_EMPTY) {
        uint32_t slot = --g->slot_count;
        g->free_slots[slot / 64] &= ~(UINT64_C(1) << (slot & 63));
        g->free_count--;
    }
    map_replace(g, m);
}

void group_claim_none(struct group *g)
{
    g->opened_row = g->row_next;
    if (g->slot_capacity > 0)
        memset(g->claimed, 0, row_words(g->slot_capacity) * 8);
}

/* Slots are kept over restarts, but a series that ended in between is known to nobody who would give its
 * slot back. What the user did not ask for by the time that it has written some rows (so what is missing has
 * its stale marker) is not asked for any more; should it be, it gets another slot. */
static void unclaimed_release(struct group *g)
{
    if (g->row_next < g->opened_row + STRIP_ROWS)
        return;
    for (size_t w = 0; w < row_words(g->slot_count); w++) {
        uint64_t left = ~(g->claimed[w] | g->free_slots[w] | g->released[w]);
        for (; left != 0; left &= left - 1) {
            uint32_t slot = (uint32_t)(w * 64) + (uint32_t)__builtin_ctzll(left);
            if (slot < g->slot_count) {
                group_give_slot_up(g, slot);
                g->key_segment = 0; /* only a key row says which slots are free */
            }
        }
    }
}

void group_seal(struct group *g)
{
    ASSERT(!g->appender);
    int64_t floor = atomic_load_explicit(&g->head->floor, memory_order_relaxed);
    bool has_rows = (g->run && g->strip_count > 0) || (g->tile && g->tile_rows > 0);
    if (has_rows) {
        struct extent *x = g->rows_are_stored ? NULL : extent_make(g);
        if (g->tile && g->tile_rows > 0)
            last_row_keep(g);
        mutex_lock(&g->mutex);
        struct extent_list *old = g->extents;
        if (x && x->last_time < floor) {
            extent_unref(x);
            x = NULL;
        }
        if (x)
            x->wal_segment = g->wal_segment;
        g->wal_segment = 0;
        g->extents = list_with(old, x, floor);
        uint32_t count = g->extents->count;
        struct run *run = g->run;
        struct tile *tile = g->tile;
        uint32_t strips = g->strip_count;
        g->run = NULL;
        g->strip_count = 0;
        g->tile = NULL;
        mutex_unlock(&g->mutex);
        list_count_changed(g, old->count, count);
        run_unref(run, strips);
        tile_unref(tile);
        extent_list_unref(old);
        g->tile_rows = 0;
        memset(g->chain, STRIP_CHAIN_BROKEN, g->slot_count);
        for (uint32_t i = 0; i < g->slot_count; i++) {
            if (g->decimals[i] == UINT8_MAX)
                g->decimals[i] = 0; /* noise is given another chance */
        }
        g->run_strips_max = RUN_STRIPS;
    } else {
        /* A tile without rows would keep the number of the row that was to be its first; a segment may be named
         * for a row that was refused. */
        struct tile *tile = g->tile;
        mutex_lock(&g->mutex);
        g->tile = NULL;
        g->wal_segment = 0;
        mutex_unlock(&g->mutex);
        tile_unref(tile);
    }
    if (g->released_count > 0)
        slots_free_released(g);
}

/* Many ended series hold slots until the next seal: then it comes early. 1/4 chosen, not measured. */
static bool wants_early_seal(const struct group *g)
{
    return g->released_count > 32 && g->released_count > g->slot_count / 4;
}

void group_make_room(struct group *g)
{
    ASSERT(!g->appender);
    bool is_full = g->tile && g->tile_rows == STRIP_ROWS;
    if (is_full && g->is_open)
        unclaimed_release(g);
    if (wants_early_seal(g)) {
        group_seal(g);
    } else if (is_full) {
        tile_pack(g);
        if (g->strip_count >= g->run_strips_max)
            group_seal(g);
    }
    group_reserve_slots(g, g->slot_count > 0 ? g->slot_count : 1);
    if (!g->tile) {
        struct tile *fresh = tile_new(g->slot_count > 0 ? g->slot_count : SLOTS_MIN, g->row_next);
        mutex_lock(&g->mutex);
        g->tile = fresh;
        mutex_unlock(&g->mutex);
        g->tile_rows = 0;
    }
}
