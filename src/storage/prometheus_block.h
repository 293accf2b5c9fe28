/* SPDX-License-Identifier: Apache-2.0 */
/* prometheus_block.h: reads a block folder of Prometheus (index versions 1 and 2, chunks, tombstones), series by
 * series in the order of labels. Read only; one thread. Layout: prometheus_block.c. */
#ifndef BELFRY_STORAGE_PROMETHEUS_BLOCK_H
#define BELFRY_STORAGE_PROMETHEUS_BLOCK_H

#include "base/arena.h"
#include "base/attributes.h"
#include "base/error.h"
#include "model/labels.h"

#include <stdbool.h>
#include <stdint.h>

struct prometheus_block;

struct prometheus_block_info {
    char ulid[27];      /* 26 letters and a NUL */
    int64_t mint, maxt; /* samples in [mint, maxt), ms */
    uint64_t series_count;
};

/* `dir` is the block's own folder. ERROR_CORRUPT names the file and what is wrong with it; ERROR_UNAVAILABLE for a
 * version that is not known here. On success *out is the caller's. */
MUST_USE bool prometheus_block_open(struct prometheus_block **out, const char *dir,
                                    struct error *err);
/* NULL is fine. */
void prometheus_block_close(struct prometheus_block *b);
const struct prometheus_block_info *prometheus_block_info(const struct prometheus_block *b);

struct prometheus_series {
    struct labels labels; /* in the arena of prometheus_block_next() */
    int64_t *times;       /* ascending, distinct; the block's until the next call */
    double *values;
    size_t count;
    uint32_t chunks_skipped; /* native histograms and encodings that are not known */
};
/* The next series, deleted samples left out; *done when there is none. Samples may be outside of [mint, maxt) if a
 * program made the block so. */
MUST_USE bool prometheus_block_next(struct prometheus_block *b, struct arena *arena,
                                    struct prometheus_series *out, bool *done, struct error *err);

#endif
