/* SPDX-License-Identifier: Apache-2.0 */
/* sketch.h: counts of values in exponential buckets: what native histograms show and summaries compute from.
 *
 * The buckets are those of Prometheus' native histograms: in schema s the bucket with key k has the values in
 * (2^((k-1) / 2^s), 2^(k / 2^s)], negative ones mirrored, and those within the zero threshold in one of their own.
 * Design: top of sketch.c. */
#ifndef BELFRY_INSTRUMENT_SKETCH_H
#define BELFRY_INSTRUMENT_SKETCH_H

#include "base/attributes.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { SKETCH_SCHEMA_MIN = -4, SKETCH_SCHEMA_MAX = 8, SKETCH_SCHEMA_NONE = 127 };

struct sketch_options {
    int schema;            /* at first; SKETCH_SCHEMA_NONE: there is no sketch */
    uint32_t buckets_max;  /* at least 1 */
    double zero_threshold; /* at first */
    double zero_threshold_max;
    int64_t reset_ms; /* 0: never begins anew */
};

struct sketch_layout;

struct sketch {
    const struct sketch_options *options; /* constant */
    bool may_reset;                       /* constant */
    /* Constant: called when it has begun anew, before anybody can read it. NULL: none. */
    void (*began_anew_locked)(struct sketch *sketch);
    _Atomic(struct sketch_layout *) current;
    struct sketch_layout *retired; /* the lock: of starts before, which a thread may still be at */
    _Atomic int64_t started_ms;    /* of the epoch; stored under the lock */
};

struct sketch_bucket {
    int32_t key;
    uint64_t count; /* not 0 */
};

/* All zero at first; reused; belfry__sketch_reading_deinit() when done. */
struct sketch_reading {
    int schema;
    double zero_threshold, sum;
    uint64_t count, zero_count;                /* count: of all buckets and zero */
    struct sketch_bucket *negative, *positive; /* ascending keys; into buckets */
    size_t negative_count, positive_count;
    struct sketch_bucket *buckets; /* owned */
    size_t capacity;
};

/* The largest schema whose buckets grow by at most `factor` (> 1), as client libraries choose it. */
int belfry__sketch_schema(double factor);
/* The key of `magnitude` (> 0, finite) in a schema. */
int32_t belfry__sketch_key(double magnitude, int schema);
/* The upper bound of a bucket; may be infinite. */
double belfry__sketch_bound(int32_t key, int schema);

/* False without memory. `options` is borrowed. */
MUST_USE bool belfry__sketch_init_locked(struct sketch *s, const struct sketch_options *options);
void belfry__sketch_deinit_locked(struct sketch *s);

/* Counts a finite value. False: lost, for want of memory. About 10 ns. */
bool belfry__sketch_observe(struct sketch *s, double value);

/* What is counted now. False without memory. */
MUST_USE bool belfry__sketch_read_locked(const struct sketch *s, struct sketch_reading *out);
void belfry__sketch_reading_deinit(struct sketch_reading *reading);
/* Lowers the schema of a reading: two keys become one for each step. */
void belfry__sketch_reading_widen(struct sketch_reading *reading, int schema);

#endif
