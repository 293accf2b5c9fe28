/* SPDX-License-Identifier: Apache-2.0 */
/* remote_write_series.c: which series is which, for senders that say all labels with each sample.
 *
 * The table is open addressing over the low half of the hash, 32 bytes an entry, load at most 3/4; it shrinks only in
 * a sweep, which makes it anew. An entry holds its slot: a slot that no entry has any more is given back to the
 * group, and a group without entries is closed, so that what is idle costs nothing. Entries without a slot (refused)
 * and further spellings of a series are bounded too: past that the next sweep comes at once. */
#include "ingest/remote_write_private.h"

#include "base/assert.h"
#include "base/clock.h"
#include "base/mem.h"

#include <string.h>

enum { TABLE_MIN = 1024, REFUSED_MAX = 1 << 20, SPELLINGS_SPARE = 64 };

static uint32_t seconds_now(void)
{
    return (uint32_t)(clock_mono().ns / 1000000000);
}

/* ---- table ---- */

static struct write_entry *table_place(struct write_entry *entries, size_t capacity,
                                       struct hash128 hash)
{
    size_t mask = capacity - 1;
    for (size_t at = hash.low & mask;; at = (at + 1) & mask) {
        struct write_entry *e = &entries[at];
        if (e->slot == WRITE_SLOT_UNKNOWN || (e->hash.low == hash.low && e->hash.high == hash.high))
            return e;
    }
}

static struct write_entry *table_alloc(size_t capacity)
{
    struct write_entry *entries = mem_alloc(MEM_REMOTE_WRITE, capacity * sizeof *entries);
    memset(entries, 0xff, capacity * sizeof *entries); /* WRITE_SLOT_UNKNOWN */
    return entries;
}

/* Room for `more`: moves everything to a larger table when needed. */
static void table_reserve(struct remote_write *w, size_t more)
{
    size_t capacity = w->entry_capacity ? w->entry_capacity : TABLE_MIN;
    while ((w->entry_count + more) * 4 > capacity * 3)
        capacity *= 2;
    if (capacity == w->entry_capacity)
        return;
    struct write_entry *entries = table_alloc(capacity);
    for (size_t i = 0; i < w->entry_capacity; i++) {
        if (w->entries[i].slot != WRITE_SLOT_UNKNOWN)
            memcpy(table_place(entries, capacity, w->entries[i].hash), &w->entries[i],
                   sizeof *entries);
    }
    mem_free(MEM_REMOTE_WRITE, w->entries);
    w->entries = entries;
    w->entry_capacity = capacity;
}

void write_table_find(struct remote_write *w, struct write_series *series, size_t count)
{
    uint32_t now = seconds_now();
    pthread_rwlock_rdlock(&w->table_lock);
    for (size_t i = 0; i < count; i++) {
        series[i].slot = WRITE_SLOT_UNKNOWN;
        if (w->entry_capacity == 0)
            continue;
        struct write_entry *e = table_place(w->entries, w->entry_capacity, series[i].hash);
        uint32_t seen = atomic_load_explicit(&e->seen, memory_order_relaxed);
        if (e->slot == WRITE_SLOT_UNKNOWN ||
            (write_slot_is_refused(e->slot) && now - seen >= WRITE_REFUSED_SECONDS))
            continue;
        series[i].group = e->group;
        series[i].slot = e->slot;
        if (seen != now && !write_slot_is_refused(e->slot))
            atomic_store_explicit(&e->seen, now, memory_order_relaxed);
    }
    pthread_rwlock_unlock(&w->table_lock);
}

/* More entries than series: spellings and refusals that somebody makes up. */
static bool is_bloated(const struct remote_write *w, const struct write_group *g)
{
    return w->refused_count > REFUSED_MAX ||
           g->entry_count > (size_t)group_slot_count(g->group) * 2 + SPELLINGS_SPARE;
}

void write_table_add(struct remote_write *w, struct write_group *g,
                     const struct write_series *const *series, size_t count)
{
    uint32_t now = seconds_now();
    pthread_rwlock_wrlock(&w->table_lock);
    table_reserve(w, count);
    for (size_t i = 0; i < count; i++) {
        struct write_entry *e = table_place(w->entries, w->entry_capacity, series[i]->hash);
        if (e->slot == WRITE_SLOT_UNKNOWN)
            w->entry_count++;
        else if (write_slot_is_refused(e->slot))
            w->refused_count--;
        if (write_slot_is_refused(series[i]->slot))
            w->refused_count++;
        else if (e->slot == WRITE_SLOT_UNKNOWN)
            g->entry_count++;
        e->hash = series[i]->hash;
        e->group = series[i]->group;
        e->slot = series[i]->slot;
        atomic_store_explicit(&e->seen, now, memory_order_relaxed);
    }
    atomic_store_explicit(&w->entries_now, w->entry_count, memory_order_relaxed);
    bool bloated = is_bloated(w, g);
    pthread_rwlock_unlock(&w->table_lock);
    if (bloated)
        atomic_store_explicit(&w->bloated, true, memory_order_relaxed);
}

static bool is_young(const struct write_entry *e, uint32_t now, uint32_t idle)
{
    uint32_t age = now - atomic_load_explicit(&e->seen, memory_order_relaxed);
    return age < (write_slot_is_refused(e->slot) && idle ? WRITE_REFUSED_SECONDS : idle);
}

/* Keeps the young, in a table of their own size. In a sweep. */
static void table_shrink(struct remote_write *w, uint32_t now, uint32_t idle)
{
    struct write_entry *old = w->entries;
    size_t old_capacity = w->entry_capacity, kept = 0;
    for (size_t i = 0; i < old_capacity; i++)
        kept += old[i].slot != WRITE_SLOT_UNKNOWN && is_young(&old[i], now, idle);
    w->entries = NULL;
    w->entry_capacity = w->entry_count = w->refused_count = 0;
    if (kept > 0)
        table_reserve(w, kept);
    for (size_t i = 0; i < old_capacity; i++) {
        if (old[i].slot == WRITE_SLOT_UNKNOWN || !is_young(&old[i], now, idle))
            continue;
        memcpy(table_place(w->entries, w->entry_capacity, old[i].hash), &old[i], sizeof *old);
        w->entry_count++;
        w->refused_count += write_slot_is_refused(old[i].slot);
    }
    mem_free(MEM_REMOTE_WRITE, old);
}

/* ---- groups ---- */

/* "remote-write", then what the series of a group have in common, each behind a byte that is in no label. */
static struct view group_key(struct labels ls, struct arena *arena)
{
    struct view job = labels_get(ls, VIEW("job")), instance = labels_get(ls, VIEW("instance"));
    struct view name = instance.len ? VIEW("") : labels_get(ls, VIEW(LABEL_NAME));
    return arena_printf(arena, "remote-write\xff%.*s\xff%.*s\xff%.*s", VIEW_ARGS(job),
                        VIEW_ARGS(instance), VIEW_ARGS(name));
}

static uint32_t group_add_locked(struct remote_write *w, struct view key)
{
    size_t number = w->group_free;
    while (number < w->group_count && w->groups[number])
        number++;
    if (number == w->group_count)
        w->groups = mem_grow(MEM_REMOTE_WRITE, (void *)w->groups, &w->group_capacity,
                             ++w->group_count, sizeof(struct write_group *));
    struct write_group *g = mem_alloc_zero(MEM_REMOTE_WRITE, 1, sizeof *g);
    string_map_set(w->group_keys, key, number);
    g->key = (struct view){mem_copy_string(MEM_REMOTE_WRITE, key), key.len};
    w->groups[number] = g;
    w->group_free = number + 1;
    atomic_store_explicit(&w->groups_now, string_map_count(w->group_keys), memory_order_relaxed);
    return (uint32_t)number;
}

uint32_t write_group_number(struct remote_write *w, struct labels ls, struct arena *arena)
{
    struct view key = group_key(ls, arena);
    uint64_t number;
    mutex_lock(&w->mutex);
    if (!string_map_get(w->group_keys, key, &number) &&
        string_map_count(w->group_keys) >= WRITE_GROUPS_MAX)
        key = arena_printf(arena, "remote-write\xff%u",
                           (unsigned)(hash64_view(key) % WRITE_GROUPS_SHARED));
    if (!string_map_get(w->group_keys, key, &number))
        number = group_add_locked(w, key);
    mutex_unlock(&w->mutex);
    return (uint32_t)number;
}

struct write_group *write_group_own(struct remote_write *w, uint32_t number, struct error *err)
{
    mutex_lock(&w->mutex);
    struct write_group *g = w->groups[number];
    while (g->owned)
        cond_wait(&w->changed, &w->mutex);
    g->owned = true;
    mutex_unlock(&w->mutex);
    if (g->group || db_group_open(w->db, g->key, &g->group, err))
        return g;
    write_group_disown(w, g);
    return NULL;
}

void write_group_disown(struct remote_write *w, struct write_group *g)
{
    mutex_lock(&w->mutex);
    ASSERT(g->owned);
    g->owned = false;
    cond_broadcast(&w->changed);
    mutex_unlock(&w->mutex);
}

static void group_remove(struct remote_write *w, size_t number)
{
    struct write_group *g = w->groups[number];
    (void)string_map_remove(w->group_keys, g->key); /* it is there */
    group_close(g->group);
    mem_free(MEM_REMOTE_WRITE, (char *)(uintptr_t)g->key.ptr);
    mem_free(MEM_REMOTE_WRITE, g);
    w->groups[number] = NULL;
    if (number < w->group_free)
        w->group_free = number;
}

void write_series_deinit(struct remote_write *w)
{
    for (size_t i = 0; i < w->group_count; i++) {
        if (w->groups[i])
            group_remove(w, i);
    }
    mem_free(MEM_REMOTE_WRITE, (void *)w->groups);
    mem_free(MEM_REMOTE_WRITE, w->entries);
    string_map_free(w->group_keys);
}

/* ---- sweep: nobody else is inside ---- */

static void slots_mark(struct write_group *g, uint32_t slot)
{
    if (!g->live_slots)
        g->live_slots = mem_alloc_zero(MEM_REMOTE_WRITE, group_slot_count(g->group) / 64 + 1u,
                                       sizeof *g->live_slots);
    g->live_slots[slot / 64] |= UINT64_C(1) << (slot % 64);
}

/* Notes what stays: groups, and slots of those that have some. */
static void sweep_mark(struct remote_write *w, uint32_t now, uint32_t idle)
{
    for (size_t i = 0; i < w->entry_capacity; i++) {
        const struct write_entry *e = &w->entries[i];
        if (e->slot == WRITE_SLOT_UNKNOWN || !is_young(e, now, idle))
            continue;
        struct write_group *g = w->groups[e->group];
        g->is_live =
            true; /* for a refused series too: its group's number must not become another's */
        if (!write_slot_is_refused(e->slot))
            slots_mark(g, e->slot);
    }
}

/* A slot that only entries which go now have is given back. */
static void sweep_release(struct remote_write *w, uint32_t now, uint32_t idle)
{
    for (size_t i = 0; i < w->entry_capacity; i++) {
        const struct write_entry *e = &w->entries[i];
        if (e->slot == WRITE_SLOT_UNKNOWN || write_slot_is_refused(e->slot) ||
            is_young(e, now, idle))
            continue;
        struct write_group *g = w->groups[e->group];
        g->entry_count--;
        if (!g->live_slots || !(g->live_slots[e->slot / 64] >> (e->slot % 64) & 1))
            group_release_slot(g->group, e->slot);
    }
}

static void sweep(struct remote_write *w, uint32_t idle)
{
    uint32_t now = seconds_now();
    sweep_mark(w, now, idle);
    sweep_release(w, now, idle);
    table_shrink(w, now, idle);
    for (size_t i = 0; i < w->group_count; i++) {
        struct write_group *g = w->groups[i];
        if (!g)
            continue;
        mem_free(MEM_REMOTE_WRITE, g->live_slots);
        g->live_slots = NULL;
        if (!g->is_live)
            group_remove(w, i);
        else
            g->is_live = false;
    }
    atomic_store_explicit(&w->entries_now, w->entry_count, memory_order_relaxed);
    atomic_store_explicit(&w->groups_now, string_map_count(w->group_keys), memory_order_relaxed);
}

/* ---- the gate ---- */

/* Waits until nobody is inside, then has everything for itself. The mutex is free meanwhile. */
static void sweep_locked(struct remote_write *w, uint32_t idle)
{
    w->sweeping = true;
    while (w->inside > 0)
        cond_wait(&w->changed, &w->mutex);
    mutex_unlock(&w->mutex);
    sweep(w, idle);
    mutex_lock(&w->mutex);
    w->swept = clock_mono();
    w->sweeping = false;
    atomic_store_explicit(&w->bloated, false, memory_order_relaxed);
    cond_broadcast(&w->changed);
}

static void sweep_wait_locked(struct remote_write *w)
{
    while (w->sweeping)
        cond_wait(&w->changed, &w->mutex);
}

void remote_write_sweep(struct remote_write *w, int64_t idle_ms)
{
    mutex_lock(&w->mutex);
    sweep_wait_locked(w);
    sweep_locked(w, (uint32_t)(idle_ms / 1000));
    mutex_unlock(&w->mutex);
}

void write_enter(struct remote_write *w)
{
    mutex_lock(&w->mutex);
    sweep_wait_locked(w);
    if (atomic_load_explicit(&w->bloated, memory_order_relaxed))
        sweep_locked(w, 0); /* all of it: a series that is asked for again gets the slot it has */
    else if (mono_ms_since(w->swept) >= WRITE_SWEEP_MS)
        sweep_locked(w, WRITE_IDLE_MS / 1000);
    w->inside++;
    mutex_unlock(&w->mutex);
}

void write_leave(struct remote_write *w)
{
    mutex_lock(&w->mutex);
    ASSERT(w->inside > 0);
    w->inside--;
    cond_broadcast(&w->changed);
    mutex_unlock(&w->mutex);
}
