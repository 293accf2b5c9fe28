/* SPDX-License-Identifier: Apache-2.0 */
/* remote_write.h: from the registry's protobuf exposition to the WriteRequests of Prometheus' remote write 1.0. */
#ifndef BELFRY_INSTRUMENT_HTTP_REMOTE_WRITE_H
#define BELFRY_INSTRUMENT_HTTP_REMOTE_WRITE_H

#include "base/attributes.h"
#include "instrument/text.h"

#include <belfry/metrics.h>

/* A request goes out when it has so many series or bytes, before compression; Prometheus' own limit is 2,000 samples.
 * Labels: a family's 16, a registry's 16, job and a group's 32, its name and le; collectors may have more. */
enum { WRITE_SERIES_MAX = 2000, WRITE_BYTES_MAX = 512 * 1024, WRITE_LABELS_MAX = 80 };

struct write_label {
    const char *name, *value;
    size_t name_len, value_len;
};

struct remote_writer {
    /* Constant: of every series that has no label of that name. */
    struct write_label extra[WRITE_LABELS_MAX];
    size_t extra_count;
    bool no_native; /* histograms as the text format shows them */
    int64_t now_ms; /* of samples without a time of their own */
    /* Takes one WriteRequest, not compressed. False: no more. */
    bool (*send)(void *arg, const char *bytes, size_t len);
    void *arg;

    struct text request, series, name;
    size_t series_count;
    bool is_refused;  /* send() said no */
    bool has_no_room; /* a series has more than WRITE_LABELS_MAX labels: nothing more is written */
};

/* For belfry_registry_write() in BELFRY_FORMAT_PROTOBUF: whole families in each piece. `writer` is a struct
 * remote_writer. False: send() said no, no memory, has_no_room, or not that format. */
MUST_USE bool belfry__remote_writer_take(void *writer, const char *bytes, size_t len);
/* Sends what is left. */
MUST_USE bool belfry__remote_writer_finish(struct remote_writer *w);
void belfry__remote_writer_deinit(struct remote_writer *w);

#endif
