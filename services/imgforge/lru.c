/* SPDX-License-Identifier: Apache-2.0 */
/* lru.c: see lru.h. */
#include "lru.h"

#include "base/mem.h"

#include <string.h>

enum { LRU_NONE = -1 };
#define NONE ((uint32_t)LRU_NONE)

/* Keys are digests: any eight bytes of one are a hash. */
static uint64_t hash_of(const struct image_key *key)
{
    uint64_t hash;
    memcpy(&hash, key->bytes, sizeof(hash));
    return hash;
}

static bool is_key(const void *context, uint32_t slot, const void *key)
{
    const struct lru *l = context;
    return memcmp(l->slots[slot].key.bytes, ((const struct image_key *)key)->bytes,
                  sizeof(((const struct image_key *)key)->bytes)) == 0;
}

void lru_init(struct lru *l, uint64_t entries_max, uint64_t bytes_max)
{
    *l = (struct lru){.free = NONE,
                      .newest = NONE,
                      .oldest = NONE,
                      .entries_max = entries_max,
                      .bytes_max = bytes_max};
    map_init(&l->map, MEM_OTHER);
}

void lru_deinit(struct lru *l)
{
    map_deinit(&l->map);
    mem_free(MEM_OTHER, l->slots);
    l->slots = NULL;
}

size_t lru_count(const struct lru *l)
{
    return l->map.count;
}

static void chain_remove(struct lru *l, uint32_t idx)
{
    const struct lru_slot *slot = &l->slots[idx];
    *(slot->newer == NONE ? &l->newest : &l->slots[slot->newer].older) = slot->older;
    *(slot->older == NONE ? &l->oldest : &l->slots[slot->older].newer) = slot->newer;
}

static void chain_add(struct lru *l, uint32_t idx)
{
    l->slots[idx].newer = NONE;
    l->slots[idx].older = l->newest;
    *(l->newest == NONE ? &l->oldest : &l->slots[l->newest].newer) = idx;
    l->newest = idx;
}

static uint32_t find(const struct lru *l, const struct image_key *key)
{
    return map_find(&l->map, hash_of(key), is_key, l, key);
}

void *lru_get(struct lru *l, const struct image_key *key)
{
    uint32_t idx = find(l, key);
    if (idx == MAP_NONE)
        return NULL;
    chain_remove(l, idx);
    chain_add(l, idx);
    return l->slots[idx].item;
}

static void *slot_free(struct lru *l, uint32_t idx)
{
    struct lru_slot *slot = &l->slots[idx];
    void *item = slot->item;
    chain_remove(l, idx);
    map_remove(&l->map, hash_of(&slot->key), idx);
    l->bytes -= slot->bytes;
    slot->item = NULL;
    slot->older = l->free;
    l->free = idx;
    return item;
}

void *lru_remove(struct lru *l, const struct image_key *key)
{
    uint32_t idx = find(l, key);
    return idx == MAP_NONE ? NULL : slot_free(l, idx);
}

static uint32_t slot_take(struct lru *l)
{
    if (l->free != NONE) {
        uint32_t idx = l->free;
        l->free = l->slots[idx].older;
        return idx;
    }
    l->slots =
        mem_grow(MEM_OTHER, l->slots, &l->slot_capacity, l->slot_count + 1, sizeof(l->slots[0]));
    return (uint32_t)l->slot_count++;
}

void *lru_put(struct lru *l, const struct image_key *key, void *item, uint64_t bytes)
{
    void *before = lru_remove(l, key);
    uint32_t idx = slot_take(l);
    l->slots[idx].key = *key;
    l->slots[idx].item = item;
    l->slots[idx].bytes = bytes;
    l->bytes += bytes;
    chain_add(l, idx);
    map_add(&l->map, hash_of(key), idx);
    return before;
}

void *lru_take_oldest(struct lru *l, struct image_key *key)
{
    if (l->oldest == NONE)
        return NULL;
    *key = l->slots[l->oldest].key;
    return slot_free(l, l->oldest);
}

void *lru_take_excess(struct lru *l, struct image_key *key)
{
    bool is_full = l->map.count > l->entries_max || (l->bytes_max && l->bytes > l->bytes_max);
    return is_full ? lru_take_oldest(l, key) : NULL;
}
