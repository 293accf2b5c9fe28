/* SPDX-License-Identifier: Apache-2.0 */
/* compact.h: several blocks written as one: their series in order of labels, the samples of each merged by
 * time (sample_merge.h). Memory: one series of each, and what the writer keeps per series. */
#ifndef BELFRY_STORAGE_COMPACT_H
#define BELFRY_STORAGE_COMPACT_H

#include "storage/block.h"

/* Asked once per series; true = give up with ERROR_CANCELED. */
typedef bool (*compact_stop)(void *arg);

struct compact_job {
    const char *dir;             /* where the new block goes */
    struct block *const *blocks; /* in order of preference for equal timestamps; borrowed */
    size_t count;
    compact_stop stop; /* may be NULL */
    void *stop_arg;
};

#define COMPACT_NO_BLOCK SIZE_MAX

/* Writes and publishes the block; *meta has sample_count 0 when nothing is left. On error nothing is, and
 * *bad is the place of the block that could not be read (ERROR_CORRUPT: for good), or COMPACT_NO_BLOCK. */
MUST_USE bool compact_write(const struct compact_job *job, struct block_meta *meta, size_t *bad,
                            struct error *err);

#endif
