/* SPDX-License-Identifier: Apache-2.0 */
/* map.h: hash index over items that the caller keeps in an array: key hash -> u32 item number.
 * Open addressing, load <= 0.75, no tombstones (backward shift). One thread at a time. */
#ifndef BELFRY_BASE_MAP_H
#define BELFRY_BASE_MAP_H

#include "base/attributes.h"
#include "base/mem.h"
#include "base/view.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MAP_NONE UINT32_MAX

struct map {
    uint32_t *items;  /* MAP_NONE = empty */
    uint32_t *hashes; /* low 32 bits, to skip most comparisons and to grow without the keys */
    size_t capacity;  /* power of two or 0 */
    size_t count;
    enum mem_account account;
};

void map_init(struct map *m, enum mem_account account);
void map_deinit(struct map *m);
void map_clear(struct map *m);
/* Is item number `item` the key that is looked for? */
typedef bool (*map_equal)(const void *context, uint32_t item, const void *key);
/* The item with this key, or MAP_NONE. */
uint32_t map_find(const struct map *m, uint64_t hash, map_equal equal, const void *context,
                  const void *key);
/* Adds an item whose key is not there. Grows when needed; aborts without memory. */
void map_add(struct map *m, uint64_t hash, uint32_t item);
/* Removes the entry (hash, item); it must be there. */
void map_remove(struct map *m, uint64_t hash, uint32_t item);

/* string_map: bytes -> u64, keys are copied. For tables that are not hot. */
struct string_map;
struct string_map *string_map_new(enum mem_account account);
void string_map_free(struct string_map *m);
/* Adds or replaces. */
void string_map_set(struct string_map *m, struct view key, uint64_t value);
bool string_map_get(const struct string_map *m, struct view key, uint64_t *out);
bool string_map_remove(struct string_map *m, struct view key);
size_t string_map_count(const struct string_map *m);
/* In unspecified order; idx < count. */
struct view string_map_key(const struct string_map *m, size_t idx);

#endif
