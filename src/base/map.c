/* SPDX-License-Identifier: Apache-2.0 */
/* map.c: linear probing. An entry sits at or behind the slot its hash names, with no empty slot
 * between; removing moves later entries back into the hole where that keeps the rule (Knuth, volume 3,
 * 6.4, algorithm R), so there are no tombstones and a miss ends at the first empty slot.
 * The slot is taken from the low bits: hashes must be well mixed (XXH3). */
#include "base/map.h"

#include "base/assert.h"
#include "base/checksum.h"

#include <string.h>

enum { MAP_CAPACITY_MIN = 8 };

void map_init(struct map *m, enum mem_account account)
{
    *m = (struct map){.account = account};
}

void map_deinit(struct map *m)
{
    mem_free(m->account, m->items);
    mem_free(m->account, m->hashes);
    map_init(m, m->account);
}

void map_clear(struct map *m)
{
    if (m->capacity)
        memset(m->items, 0xff, m->capacity * sizeof(m->items[0]));
    m->count = 0;
}

uint32_t map_find(const struct map *m, uint64_t hash, map_equal equal, const void *context,
                  const void *key)
{
    if (m->count == 0)
        return MAP_NONE;
    size_t mask = m->capacity - 1;
    uint32_t low = (uint32_t)hash;
    for (size_t slot = low & mask; m->items[slot] != MAP_NONE; slot = (slot + 1) & mask) {
        if (m->hashes[slot] == low && equal(context, m->items[slot], key))
            return m->items[slot];
    }
    return MAP_NONE;
}

static void map_put(struct map *m, uint32_t low, uint32_t item)
{
    size_t mask = m->capacity - 1, slot = low & mask;
    while (m->items[slot] != MAP_NONE)
        slot = (slot + 1) & mask;
    m->items[slot] = item;
    m->hashes[slot] = low;
}

static void map_grow(struct map *m)
{
    struct map old = *m;
    m->capacity = old.capacity ? old.capacity * 2 : MAP_CAPACITY_MIN;
    ASSERT(m->capacity <= (size_t)UINT32_MAX + 1); /* the slot comes from 32 bits of hash */
    m->items = mem_alloc(m->account, m->capacity * sizeof(m->items[0]));
    m->hashes = mem_alloc(m->account, m->capacity * sizeof(m->hashes[0]));
    memset(m->items, 0xff, m->capacity * sizeof(m->items[0]));
    for (size_t i = 0; i < old.capacity; i++) {
        if (old.items[i] != MAP_NONE)
            map_put(m, old.hashes[i], old.items[i]);
    }
    mem_free(m->account, old.items);
    mem_free(m->account, old.hashes);
}

void map_add(struct map *m, uint64_t hash, uint32_t item)
{
    ASSERT(item != MAP_NONE);
    if (m->count + 1 > m->capacity / 4 * 3)
        map_grow(m);
    map_put(m, (uint32_t)hash, item);
    m->count++;
}

void map_remove(struct map *m, uint64_t hash, uint32_t item)
{
    ASSERT(m->count > 0);
    size_t mask = m->capacity - 1, hole = (uint32_t)hash & mask;
    while (m->items[hole] != item) {
        ASSERT(m->items[hole] != MAP_NONE);
        hole = (hole + 1) & mask;
    }
    for (size_t slot = (hole + 1) & mask; m->items[slot] != MAP_NONE; slot = (slot + 1) & mask) {
        /* May this entry move back into the hole? Only if its own slot is not between them. */
        size_t home = m->hashes[slot] & mask;
        if (((slot - home) & mask) >= ((slot - hole) & mask)) {
            m->items[hole] = m->items[slot];
            m->hashes[hole] = m->hashes[slot];
            hole = slot;
        }
    }
    m->items[hole] = MAP_NONE;
    m->count--;
}

struct string_entry {
    char *key; /* owned */
    size_t key_len;
    uint64_t hash, value;
};

struct string_map {
    enum mem_account account;
    struct map index;
    struct string_entry *entries; /* dense: a removed one is replaced by the last */
    size_t count, capacity;
};

static struct view entry_key(const struct string_entry *e)
{
    return (struct view){e->key, e->key_len};
}

static bool entry_equal(const void *context, uint32_t item, const void *key)
{
    const struct string_map *m = context;
    const struct view *wanted = key;
    return view_eq(entry_key(&m->entries[item]), *wanted);
}

struct string_map *string_map_new(enum mem_account account)
{
    struct string_map *m = mem_alloc_zero(account, 1, sizeof(*m));
    m->account = account;
    map_init(&m->index, account);
    return m;
}

void string_map_free(struct string_map *m)
{
    if (!m)
        return;
    for (size_t i = 0; i < m->count; i++)
        mem_free(m->account, m->entries[i].key);
    mem_free(m->account, m->entries);
    map_deinit(&m->index);
    mem_free(m->account, m);
}

static uint32_t string_map_find(const struct string_map *m, struct view key, uint64_t hash)
{
    return map_find(&m->index, hash, entry_equal, m, &key);
}

void string_map_set(struct string_map *m, struct view key, uint64_t value)
{
    uint64_t hash = hash64_secret(key.ptr, key.len);
    uint32_t item = string_map_find(m, key, hash);
    if (item != MAP_NONE) {
        m->entries[item].value = value;
        return;
    }
    ASSERT(m->count < MAP_NONE);
    m->entries =
        mem_grow(m->account, m->entries, &m->capacity, m->count + 1, sizeof(m->entries[0]));
    m->entries[m->count] =
        (struct string_entry){mem_copy_string(m->account, key), key.len, hash, value};
    map_add(&m->index, hash, (uint32_t)m->count);
    m->count++;
}

bool string_map_get(const struct string_map *m, struct view key, uint64_t *out)
{
    uint32_t item = string_map_find(m, key, hash64_secret(key.ptr, key.len));
    if (item == MAP_NONE)
        return false;
    *out = m->entries[item].value;
    return true;
}

bool string_map_remove(struct string_map *m, struct view key)
{
    uint64_t hash = hash64_secret(key.ptr, key.len);
    uint32_t item = string_map_find(m, key, hash);
    if (item == MAP_NONE)
        return false;
    map_remove(&m->index, hash, item);
    mem_free(m->account, m->entries[item].key);
    uint32_t last = (uint32_t)m->count - 1;
    if (item != last) {
        map_remove(&m->index, m->entries[last].hash, last);
        m->entries[item] = m->entries[last];
        map_add(&m->index, m->entries[item].hash, item);
    }
    m->count--;
    return true;
}

size_t string_map_count(const struct string_map *m)
{
    return m->count;
}

struct view string_map_key(const struct string_map *m, size_t idx)
{
    ASSERT(idx < m->count);
    return entry_key(&m->entries[idx]);
}
