/* SPDX-License-Identifier: Apache-2.0 */
/* registry.h: what registry.c, metric.c and the expositions share. */
#ifndef BELFRY_INSTRUMENT_REGISTRY_H
#define BELFRY_INSTRUMENT_REGISTRY_H

#include "belfry/metrics.h"

#include <pthread.h>
#include <stdatomic.h>

struct family;

/* One metric: a family's only one, or one of its children. What an update reads is here; the rest is
 * for expositions. Constant once published, but for the gauge's value. */
struct metric {
    uint32_t cells;        /* counter: whole numbers, then a double; histogram: sum, then buckets */
    uint32_t bound_count;  /* histogram, without +Inf */
    const double *bounds;  /* of the family */
    _Atomic uint64_t bits; /* gauge: a double */

    const struct family *family;
    char *labels; /* a="x",b="y", escaped; "" without labels */
    char *raw;    /* the values as they were asked for, each with its NUL: the key */
    size_t raw_bytes;
    uint64_t hash; /* of raw */
};

struct belfry_counter {
    struct metric metric;
};
struct belfry_gauge {
    struct metric metric;
};
struct belfry_histogram {
    struct metric metric;
};

struct family {
    char *name, *help; /* constant from here */
    belfry_metric_type type;
    char **label_names;
    size_t label_count;
    double *bounds; /* histogram */
    size_t bound_count;
    double (*read)(void *arg); /* a func's, else NULL */
    void *read_arg;

    pthread_mutex_t mutex;    /* guards what follows */
    struct metric **children; /* in the order of their making */
    size_t child_count, child_capacity;
    uint32_t *slots; /* open addressing: child number + 1, 0 = empty; load <= 1/2 */
    size_t slot_count;
    bool has_cleaned;        /* a child is shown with other values than it was asked for */
    struct metric *overflow; /* the last child, when there would be too many */
};

struct belfry_counter_family {
    struct family family;
};
struct belfry_gauge_family {
    struct family family;
};
struct belfry_histogram_family {
    struct family family;
};

struct collector {
    void (*collect)(void *arg, belfry_emitter *emitter);
    void *arg;
    void (*release)(void *arg);
};

struct belfry_registry {
    pthread_mutex_t mutex; /* guards the lists; what they point to lives as long as the registry */
    struct family **families;
    size_t family_count, family_capacity;
    struct collector *collectors;
    size_t collector_count, collector_capacity;
};

enum { HISTOGRAM_SUM_CELL, HISTOGRAM_FIRST_BUCKET_CELL };

bool belfry__is_metric_name(const char *name);
bool belfry__is_label_name(const char *name);

#endif
