/* SPDX-License-Identifier: Apache-2.0 */
/* series_interval.c: a list in the order of series, then beginnings; one pass over samples and intervals. */
#include "storage/series_interval.h"

#include <stdlib.h>

void series_intervals_init(struct series_intervals *l, enum mem_account account)
{
    *l = (struct series_intervals){.account = account};
}

void series_intervals_deinit(struct series_intervals *l)
{
    mem_free(l->account, l->items);
    *l = (struct series_intervals){.account = l->account};
}

void series_intervals_add(struct series_intervals *l, struct series_interval item)
{
    l->items = mem_grow(l->account, l->items, &l->capacity, l->count + 1, sizeof *l->items);
    l->items[l->count++] = item;
}

static int interval_order(const void *a, const void *b)
{
    const struct series_interval *x = a, *y = b;
    if (x->series != y->series)
        return x->series < y->series ? -1 : 1;
    return x->mint < y->mint ? -1 : x->mint > y->mint;
}

void series_intervals_sort(struct series_intervals *l)
{
    if (l->count)
        qsort(l->items, l->count, sizeof *l->items, interval_order);
}

/* The first interval of the series or of one behind it. */
static size_t first_of(const struct series_intervals *l, uint64_t series)
{
    size_t low = 0, high = l->count;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (l->items[mid].series < series)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

size_t series_intervals_apply(const struct series_intervals *l, uint64_t series, int64_t *times,
                              double *values, size_t count)
{
    size_t at = first_of(l, series), kept = 0;
    int64_t gone_until = INT64_MIN; /* of the intervals that begin at or before the sample */
    if (at == l->count || l->items[at].series != series)
        return count;
    for (size_t i = 0; i < count; i++) {
        for (; at < l->count && l->items[at].series == series && l->items[at].mint <= times[i];
             at++)
            gone_until = l->items[at].maxt > gone_until ? l->items[at].maxt : gone_until;
        if (times[i] <= gone_until)
            continue;
        times[kept] = times[i];
        values[kept++] = values[i];
    }
    return kept;
}
