/* SPDX-License-Identifier: Apache-2.0 */
/* block_stats.h: what a block's series are made of, for `belfry tsdb analyze`: the lists of promtool's. Read from
 * the index alone. Any thread. */
#ifndef BELFRY_STORAGE_BLOCK_STATS_H
#define BELFRY_STORAGE_BLOCK_STATS_H

#include "base/arena.h"
#include "storage/block.h"

struct block_stats_item {
    struct view text; /* "name", "value" or "name=value", in the arena */
    uint64_t value;
};
struct block_stats_list {
    struct block_stats_item *items; /* greatest first */
    size_t count;
};
struct block_stats {
    uint64_t series, label_names, label_pairs,
        postings; /* postings: pairs, counted once per series */
    /* Churn: for each series the part of the block's time in which it had no samples; summed, rounded. */
    struct block_stats_list churn_by_pair, churn_by_name;
    struct block_stats_list series_by_pair, value_bytes_by_name, values_by_name, series_by_metric;
};
/* The `limit` greatest of each list. ERROR_CORRUPT when the index does not hold together. */
MUST_USE bool block_stats_get(struct block *b, size_t limit, struct arena *arena,
                              struct block_stats *out, struct error *err);

#endif
