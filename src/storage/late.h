/* SPDX-License-Identifier: Apache-2.0 */
/* late.h: samples of a group that no row could take: they came after newer ones. They are kept in runs:
 * sorted, immutable, shared by reference. Runs are made by commits and merged two by two as they become
 * many (a log-structured merge: each sample is moved about log2(n) times), so that a group holds few.
 * What a group does with its runs: group_late.c. */
#ifndef BELFRY_STORAGE_LATE_H
#define BELFRY_STORAGE_LATE_H

#include "base/attributes.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct late_sample {
    int64_t t;
    double value;
    uint32_t series;
    uint32_t slot; /* where the writer has the series in its group; UINT32_MAX = nowhere */
};

/* Ascending by (series, t), each pair once. */
struct late_run {
    atomic_uint refs;
    uint32_t count;     /* at least 1 */
    int64_t mint, maxt; /* of its samples */
    struct late_sample items[];
};

/* No run of more samples is made by merging: 1.5 MB, so a merge takes about a millisecond. */
enum { LATE_RUN_MERGED_MAX = 1 << 16 };

/* A run of copies of `items`, which are sorted here; of equal pairs the first stays. NULL when count is 0. */
struct late_run *late_run_new(struct late_sample *items, size_t count);
struct late_run *late_run_ref(struct late_run *r);
/* NULL is fine. */
void late_run_unref(struct late_run *r);
size_t late_run_bytes(const struct late_run *r);
/* Both in one; where they have the same pair the sample of `older` stays. */
struct late_run *late_run_merge(const struct late_run *older, const struct late_run *newer);
/* Without the samples in [mint, maxt); NULL when none is left. */
struct late_run *late_run_without(const struct late_run *r, int64_t mint, int64_t maxt);
/* The samples of a series with mint <= t <= maxt; NULL and 0 when there is none. Borrowed. */
const struct late_sample *late_run_find(const struct late_run *r, uint32_t series, int64_t mint,
                                        int64_t maxt, size_t *count);

#endif
