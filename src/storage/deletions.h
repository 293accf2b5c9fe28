/* SPDX-License-Identifier: Apache-2.0 */
/* deletions.h: which stretches of which series are deleted, until the samples are written again without them.
 * Series are numbers: those of a block, or those of the head's list of labels (head_deletions.h). Immutable and
 * shared: any thread. On disk: top of deletions.c. */
#ifndef BELFRY_STORAGE_DELETIONS_H
#define BELFRY_STORAGE_DELETIONS_H

#include "base/attributes.h"
#include "base/buffer.h"
#include "base/error.h"
#include "base/reader.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct interval {
    int64_t mint, maxt; /* both included; mint <= maxt */
};

/* The intervals of one series: ascending, with at least a millisecond between them. */
struct intervals {
    const struct interval *items; /* as long as the deletions that they are of */
    size_t count;
};
/* Copies what is not deleted to times_out and values_out (which may be where it came from); returns how many. */
size_t intervals_apply(struct intervals gone, const int64_t *times, const double *values,
                       size_t count, int64_t *times_out, double *values_out);
/* All of [mint, maxt] is deleted. */
bool intervals_cover(struct intervals gone, int64_t mint, int64_t maxt);

/* --- making --------------------------------------------------------------------------------------- */

struct deletion {
    uint32_t series;
    struct interval interval;
};
struct deletions_builder { /* zeroed = empty */
    struct deletion *items;
    size_t count, capacity;
};
void deletions_builder_deinit(struct deletions_builder *b);
/* In any order; they may overlap. Nothing when mint > maxt. */
void deletions_builder_add(struct deletions_builder *b, uint32_t series, int64_t mint,
                           int64_t maxt);

struct deletions;
/* Adds all of `d`, which may be NULL. */
void deletions_builder_add_all(struct deletions_builder *b, const struct deletions *d);
/* NULL when there is none; one reference otherwise. The builder is empty then. */
struct deletions *deletions_finish(struct deletions_builder *b);

/* --- using; NULL stands for no deletions ---------------------------------------------------------- */

struct deletions *deletions_ref(struct deletions *d);
void deletions_unref(struct deletions *d);
size_t deletions_series_count(const struct deletions *d);
size_t deletions_interval_count(const struct deletions *d);
struct intervals deletions_of(const struct deletions *d, uint32_t series);

/* Appends the body: counts and intervals. */
void deletions_encode(struct buffer *out, const struct deletions *d);
/* Takes a body from `r`; series are below series_count. False when it cannot be one. *out as deletions_finish(). */
MUST_USE bool deletions_decode(struct reader *r, uint32_t series_count, struct deletions **out);

/* The file `deletions` in a block's folder. */
MUST_USE bool deletions_parse(struct view bytes, uint32_t series_count, struct deletions **out,
                              struct error *err);
/* No file: *out NULL. ERROR_CORRUPT when it is damaged. */
MUST_USE bool deletions_read(const char *dir, uint32_t series_count, struct deletions **out,
                             struct error *err);
/* Atomic, and synced when it returns. */
MUST_USE bool deletions_write(const char *dir, const struct deletions *d, struct error *err);

#endif
