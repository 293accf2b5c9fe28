/* SPDX-License-Identifier: Apache-2.0 */
/* remote_write_decode.h: a WriteRequest of remote write 1.0 (prometheus.WriteRequest), read in one pass where it
 * lies. Labels are not looked into: a series is known by the hash of their encoded bytes, and only one that
 * nobody knows is parsed (write_series_labels()). One thread at a time. */
#ifndef BELFRY_INGEST_REMOTE_WRITE_DECODE_H
#define BELFRY_INGEST_REMOTE_WRITE_DECODE_H

#include "base/arena.h"
#include "base/attributes.h"
#include "base/checksum.h"
#include "base/error.h"
#include "model/exemplar.h"
#include "model/labels.h"
#include "model/metric_type.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    WRITE_SERIES_MAX = 1000000, /* of one request, like samples: 24 and 72 bytes each */
    WRITE_SAMPLES_MAX = 1000000,
    WRITE_EXEMPLARS_MAX = 100000, /* more are left out; the storage keeps no more by default */
    WRITE_METADATA_MAX = 100000   /* more is left out; the storage keeps no more either */
};

struct write_sample {
    int64_t timestamp_ms;
    double value;
    uint32_t series; /* its number */
    uint32_t order;  /* remote_write.c's */
};

/* Not looked into until its group is written: write_exemplar_read(). */
struct write_exemplar {
    struct view encoded;
    uint32_t series; /* its number */
};

struct write_series {
    struct view labels; /* the encoded label fields; borrowed from the request or its arena */
    struct hash128 hash;
    bool has_samples;
    uint32_t group, slot; /* remote_write.c's, like what follows */
    struct labels parsed; /* when nobody knows it */
};

/* Zero = empty. Keep it between requests: its memory is. */
struct write_request {
    struct write_series *series; /* those that have samples or exemplars */
    size_t series_count, series_capacity;
    struct write_sample *samples;
    size_t sample_count, sample_capacity;
    struct metric_metadata *metadata;
    size_t metadata_count, metadata_capacity;
    struct write_exemplar *exemplars;
    size_t exemplar_count, exemplar_capacity;
    uint64_t histograms; /* seen, not decoded */
    struct arena arena;  /* of this request */
};
void write_request_deinit(struct write_request *rq);

/* Reads all of `bytes`, which must outlive the request's use. ERROR_INPUT names the byte; ERROR_TOO_LARGE
 * when there are more series or samples than allowed. */
MUST_USE bool write_request_decode(struct write_request *rq, struct view bytes, struct error *err);

/* The labels of a series: sorted, without empty values, text borrowed from the request. ERROR_INPUT when they
 * are no label set of a metric: no name, a name twice, not UTF-8, too many or too long. */
MUST_USE bool write_series_labels(struct arena *arena, struct view encoded, struct labels *out,
                                  struct error *err);
/* An exemplar; its labels in the arena, text borrowed from the request. False: it is none. */
MUST_USE bool write_exemplar_read(struct arena *arena, struct view encoded, struct exemplar *out);

#endif
