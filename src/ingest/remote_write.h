/* SPDX-License-Identifier: Apache-2.0 */
/* remote_write.h: the receiver of remote write 1.0: a compressed WriteRequest becomes rows of groups.
 *
 * The series of one (job, instance) are a group, those without an instance the series of one metric. Any number
 * of requests may be in work at once; a group is written by one of them at a time. What is answered with 204 is
 * written to the WAL. */
#ifndef BELFRY_INGEST_REMOTE_WRITE_H
#define BELFRY_INGEST_REMOTE_WRITE_H

#include "base/attributes.h"
#include "base/error.h"
#include "base/view.h"

#include <stdbool.h>
#include <stdint.h>

struct db;
struct remote_write; /* opaque */

enum {
    REMOTE_WRITE_BYTES_MAX = 32 << 20, /* of a request, unpacked */
    /* The longest body that can be one: snappy makes nothing longer by more than this. */
    REMOTE_WRITE_BODY_MAX = 32 + REMOTE_WRITE_BYTES_MAX + REMOTE_WRITE_BYTES_MAX / 6
};

/* Why a sample was not stored: id, word in the label `reason`, words of the answer (Prometheus' where it has
 * some). To send it again would not help. */
#define WRITE_REFUSALS(X)                                                                          \
    X(WRITE_OUT_OF_ORDER, "out_of_order", "out of order sample")                                   \
    X(WRITE_OUT_OF_BOUNDS, "out_of_bounds", "out of bounds")                                       \
    X(WRITE_TOO_OLD, "too_old", "too old sample")                                                  \
    X(WRITE_DUPLICATE, "duplicate", "duplicate sample for timestamp")                              \
    X(WRITE_INVALID_LABELS, "invalid_labels", "invalid labels")                                    \
    X(WRITE_SERIES_LIMIT, "series_limit", "new series over a limit of series")                     \
    X(WRITE_HISTOGRAM, "native_histogram", "native histograms are disabled")

enum write_refusal {
#define X(id, word, text) id,
    WRITE_REFUSALS(X)
#undef X
        WRITE_REFUSAL_COUNT
};
/* Static text. */
const char *write_refusal_word(enum write_refusal reason);
const char *write_refusal_text(enum write_refusal reason);

/* What became of a request. */
struct write_outcome {
    int status;       /* 204; 400, 413, 415: do not send it again; 503: try later */
    struct error err; /* when it is not 204: the sentence to answer with */
    uint64_t samples; /* in the request */
    uint64_t stored;  /* or known already */
    uint64_t refused[WRITE_REFUSAL_COUNT];
};

/* Borrows db. */
struct remote_write *remote_write_new(struct db *db);
/* When no request is in work. NULL is fine. */
void remote_write_free(struct remote_write *w);

/* Stores a snappy-compressed WriteRequest. Waits for the WAL. Any thread. */
void remote_write_receive(struct remote_write *w, struct view body, struct write_outcome *out);

struct remote_write_stats {
    uint64_t requests, requests_failed, samples, stored, refused[WRITE_REFUSAL_COUNT];
    uint64_t exemplars, exemplars_stored, metadata, series_cached, groups;
};
void remote_write_stats_get(struct remote_write *w, struct remote_write_stats *out);

/* Tests: forgets the series that no request has had for so long, and closes groups without series. It happens by
 * itself every few minutes. */
void remote_write_sweep(struct remote_write *w, int64_t idle_ms);

#endif
