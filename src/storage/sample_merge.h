/* SPDX-License-Identifier: Apache-2.0 */
/* sample_merge.h: samples of one series from several places, joined by time. Where several have a
 * timestamp, the first of them in the order given is taken and the others' samples are left out.
 *
 * Series come in runs that share their timestamps (struct samples, times_id). Which piece each joined
 * sample is from depends on the timestamps alone, so for the second series of such a run only values are
 * copied. One thread. */
#ifndef BELFRY_STORAGE_SAMPLE_MERGE_H
#define BELFRY_STORAGE_SAMPLE_MERGE_H

#include "storage/cursor.h"
#include "storage/deletions.h"

struct merge_run {
    size_t piece, first, count;
};

struct sample_merge {
    struct samples *pieces; /* none is empty; in order of preference */
    size_t piece_count, piece_capacity;

    struct merge_run *runs;
    size_t run_count, run_capacity;
    size_t *next; /* by piece */
    size_t next_capacity;
    uint64_t *ids; /* of the pieces whose runs and times lie here */
    size_t id_count, id_capacity;
    uint64_t times_id; /* 0 = they are no use for another series */

    int64_t *times;
    double *values;
    const struct histogram **histograms;
    int64_t *start_times;
    size_t count, times_capacity, values_capacity, histograms_capacity, start_times_capacity;
};

void sample_merge_init(struct sample_merge *m);
void sample_merge_deinit(struct sample_merge *m);
/* Empties the list of pieces. */
void sample_merge_begin(struct sample_merge *m);
/* Adds what of `from` (borrowed until the merge is done) is not deleted. */
void sample_merge_add(struct sample_merge *m, const struct samples *from, struct intervals gone);
/* Joins the pieces; one alone is given as it is. Borrowed: valid until the next sample_merge_begin() and as long as
 * what was added is. times_id of the result is not 0 when all that was added had one and nothing of it is deleted. */
void sample_merge_finish(struct sample_merge *m, struct samples *out);

#endif
