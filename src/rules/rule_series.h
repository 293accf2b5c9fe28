/* SPDX-License-Identifier: Apache-2.0 */
/* rule_series.h: the series that one rule writes: which they are, their slots at the writer, and which of them the
 * last evaluation gave. A series is known by the 128-bit hash of its labels; the labels themselves are with the
 * storage. One thread at a time. */
#ifndef BELFRY_RULES_RULE_SERIES_H
#define BELFRY_RULES_RULE_SERIES_H

#include "base/checksum.h"
#include "base/map.h"
#include "model/labels.h"

#include <stddef.h>
#include <stdint.h>

struct rule_series {
    struct hash128 hash;
    uint32_t slot; /* of the writer; RULE_SLOT_NONE = not asked for yet */
    uint32_t mark; /* the last evaluation that gave it, whether it went well or not */
};
#define RULE_SLOT_NONE UINT32_MAX

struct rule_series_table {
    struct rule_series *items;
    size_t count, capacity;
    struct map index;
};

void rule_series_init(struct rule_series_table *t);
void rule_series_deinit(struct rule_series_table *t);
/* Hash of a label set under the process's seed. */
struct hash128 rule_series_hash(struct labels ls);
/* Its number, adding it when it is new (slot RULE_SLOT_NONE). */
uint32_t rule_series_get(struct rule_series_table *t, struct hash128 hash);
/* MAP_NONE when it is not there. */
uint32_t rule_series_find(const struct rule_series_table *t, struct hash128 hash);
/* Takes it out; the last one gets its number. */
void rule_series_remove(struct rule_series_table *t, uint32_t number);

#endif
