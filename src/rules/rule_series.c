/* SPDX-License-Identifier: Apache-2.0 */
/* rule_series.c: see rule_series.h. */
#include "rules/rule_series.h"

#include "base/assert.h"
#include "base/mem.h"

void rule_series_init(struct rule_series_table *t)
{
    *t = (struct rule_series_table){0};
    map_init(&t->index, MEM_RULES);
}

void rule_series_deinit(struct rule_series_table *t)
{
    mem_free(MEM_RULES, t->items);
    map_deinit(&t->index);
    *t = (struct rule_series_table){0};
}

struct hash128 rule_series_hash(struct labels ls)
{
    char fixed[1024];
    size_t bytes = 0, at = 0;
    fixed[0] = 0; /* an empty set reads none of it, which the compiler cannot see */
    for (uint32_t i = 0; i < ls.count; i++)
        bytes += ls.items[i].name.len + ls.items[i].value.len + 2;
    char *text = bytes <= sizeof fixed ? fixed : mem_alloc(MEM_RULES, bytes);
    for (uint32_t i = 0; i < 2 * ls.count; i++) {
        struct view v = i % 2 ? ls.items[i / 2].value : ls.items[i / 2].name;
        memcpy(text + at, v.ptr, v.len);
        text[at + v.len] =
            (char)0xff; /* never part of UTF-8 text: it parts what stands beside it */
        at += v.len + 1;
    }
    struct hash128 hash = hash128_secret(text, at);
    if (text != fixed)
        mem_free(MEM_RULES, text);
    return hash;
}

static bool is_series(const void *context, uint32_t item, const void *key)
{
    const struct rule_series *s = &((const struct rule_series_table *)context)->items[item];
    const struct hash128 *hash = key;
    return s->hash.low == hash->low && s->hash.high == hash->high;
}

uint32_t rule_series_find(const struct rule_series_table *t, struct hash128 hash)
{
    return map_find(&t->index, hash.low, is_series, t, &hash);
}

uint32_t rule_series_get(struct rule_series_table *t, struct hash128 hash)
{
    uint32_t found = rule_series_find(t, hash);
    if (found != MAP_NONE)
        return found;
    t->items = mem_grow(MEM_RULES, t->items, &t->capacity, t->count + 1, sizeof *t->items);
    t->items[t->count] = (struct rule_series){.hash = hash, .slot = RULE_SLOT_NONE};
    map_add(&t->index, hash.low, (uint32_t)t->count);
    return (uint32_t)t->count++;
}

void rule_series_remove(struct rule_series_table *t, uint32_t number)
{
    ASSERT(number < t->count);
    map_remove(&t->index, t->items[number].hash.low, number);
    uint32_t last = (uint32_t)--t->count;
    if (number == last)
        return;
    map_remove(&t->index, t->items[last].hash.low, last);
    t->items[number] = t->items[last];
    map_add(&t->index, t->items[number].hash.low, number);
}
