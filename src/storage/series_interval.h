/* SPDX-License-Identifier: Apache-2.0 */
/* series_interval.h: stretches of time in which a series' samples are deleted, as Prometheus' tombstones tell them.
 * A list belongs to one thread. */
#ifndef BELFRY_STORAGE_SERIES_INTERVAL_H
#define BELFRY_STORAGE_SERIES_INTERVAL_H

#include "base/mem.h"

#include <stddef.h>
#include <stdint.h>

struct series_interval {
    uint64_t series;
    int64_t mint, maxt; /* both included; mint > maxt: nothing */
};

struct series_intervals {
    struct series_interval *items;
    size_t count, capacity;
    enum mem_account account;
};

void series_intervals_init(struct series_intervals *l, enum mem_account account);
void series_intervals_deinit(struct series_intervals *l);
void series_intervals_add(struct series_intervals *l, struct series_interval item);
/* Before the first series_intervals_apply(). */
void series_intervals_sort(struct series_intervals *l);
/* Takes the deleted samples out of times (ascending) and values; returns how many stay. */
size_t series_intervals_apply(const struct series_intervals *l, uint64_t series, int64_t *times,
                              double *values, size_t count);

#endif
