/* SPDX-License-Identifier: Apache-2.0 */
/* lru.h: items by key, the one that was used least recently at the end: the order in which both caches forget. Not locked. */
#ifndef IMGFORGE_LRU_H
#define IMGFORGE_LRU_H

#include "base/map.h"
#include "cached_image.h"

struct lru_slot {
    struct image_key key;
    void *item;
    uint64_t bytes;
    uint32_t newer, older; /* LRU_NONE at the ends; of free slots: older is the next free one */
};

struct lru {
    struct map map; /* key -> slot */
    struct lru_slot *slots;
    size_t slot_count, slot_capacity;
    uint32_t free, newest, oldest;
    uint64_t entries_max, bytes_max; /* bytes 0: any */
    uint64_t bytes;
};

void lru_init(struct lru *l, uint64_t entries_max, uint64_t bytes_max);
/* Items are the caller's: lru_take_oldest() until there is none. */
void lru_deinit(struct lru *l);
/* The item, which is the newest from now on; NULL when it is not there. */
void *lru_get(struct lru *l, const struct image_key *key);
/* Adds it as the newest. Returns the item that had this key before, or NULL. The limits may be passed then: lru_take_excess(). */
void *lru_put(struct lru *l, const struct image_key *key, void *item, uint64_t bytes);
/* Removes the key; returns its item, or NULL. */
void *lru_remove(struct lru *l, const struct image_key *key);
/* Removes the oldest one while there are too many, or too many bytes. NULL when there are not. */
void *lru_take_excess(struct lru *l, struct image_key *key);
void *lru_take_oldest(struct lru *l, struct image_key *key);
size_t lru_count(const struct lru *l);

#endif
