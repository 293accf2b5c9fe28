/* SPDX-License-Identifier: Apache-2.0 */
/* sample_sorter.h: samples of any series in any order in, blocks out. For imports: memory is bounded by an option,
 * what does not fit is sorted in pieces on disk and merged (external merge sort). One thread. Design: sample_sorter.c. */
#ifndef BELFRY_STORAGE_SAMPLE_SORTER_H
#define BELFRY_STORAGE_SAMPLE_SORTER_H

#include "base/attributes.h"
#include "base/error.h"
#include "model/labels.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct sample_sorter;

struct sample_sorter_options {
    const char *
        dir; /* the data folder: blocks are published there, pieces lie in DIR/import.tmp meanwhile */
    size_t memory_bytes; /* for samples; 0 = 512 MiB. Labels come on top */
    int64_t
        range_ms; /* of a block; 0 = chosen by the time that the samples span: 2 h, 1 d or 8 d */
};

/* Copies opts. Makes nothing on disk yet. */
struct sample_sorter *sample_sorter_new(const struct sample_sorter_options *opts);
/* Removes the pieces. NULL is fine. */
void sample_sorter_free(struct sample_sorter *s);

/* The number of a label set; the same for equal ones. ERROR_LIMIT beyond 2^32 - 2 of them. */
MUST_USE bool sample_sorter_series(struct sample_sorter *s, struct labels ls, uint32_t *series,
                                   struct error *err);
/* Of two samples of a series at one time the first that was added stays. */
MUST_USE bool sample_sorter_add(struct sample_sorter *s, uint32_t series, int64_t time_ms,
                                double value, struct error *err);

/* Leaves out the series' samples in [mint, maxt], whenever they were added. */
void sample_sorter_delete(struct sample_sorter *s, uint32_t series, int64_t mint, int64_t maxt);

struct sample_sorter_result {
    uint64_t samples, duplicates, series, blocks;
    uint64_t
        blocks_present; /* were there from an earlier import of the very same samples: not written again */
    int64_t mint, maxt; /* of the samples; mint > maxt when there are none */
};
/* Writes and publishes the blocks. Nothing can be added afterwards. `progress` (may be NULL) is told how many of
 * all samples were written. */
MUST_USE bool sample_sorter_write(struct sample_sorter *s, struct sample_sorter_result *out,
                                  void (*progress)(void *arg, uint64_t done, uint64_t total),
                                  void *arg, struct error *err);

#endif
