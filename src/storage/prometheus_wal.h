/* SPDX-License-Identifier: Apache-2.0 */
/* prometheus_wal.h: reads Prometheus' write-ahead logs (wal/ with its checkpoint, wbl/): series and float samples in
 * the order they were written. Read only; one thread. Layout: prometheus_wal.c. */
#ifndef BELFRY_STORAGE_PROMETHEUS_WAL_H
#define BELFRY_STORAGE_PROMETHEUS_WAL_H

#include "base/attributes.h"
#include "base/error.h"
#include "model/labels.h"

#include <stdbool.h>
#include <stdint.h>

struct prometheus_wal_sink {
    /* A series and the number that samples call it by (a later record may give the number again). Labels are
     * borrowed for the call. */
    bool (*series)(void *arg, uint64_t number, struct labels ls, struct error *err);
    bool (*sample)(void *arg, uint64_t number, int64_t time_ms, double value, struct error *err);
    /* Samples of these series are deleted, both times included. */
    bool (*deleted)(void *arg, uint64_t number, int64_t mint, int64_t maxt, struct error *err);
    void *arg;
};

struct prometheus_wal_report {
    uint64_t segments, records;
    uint64_t
        records_skipped; /* native histograms, exemplars of no use here, kinds that are not known */
    uint64_t damaged;    /* places where a record was damaged: reading goes on at the next page */
    char damage[256];    /* the first of them, in words */
};

/* All of `dir` (DATA/wal or DATA/wbl; not there: nothing): the newest checkpoint, then the segments after it. Damage is
 * no error: it is reported. False: the folder cannot be read, or the sink said no. */
MUST_USE bool prometheus_wal_read(const char *dir, const struct prometheus_wal_sink *sink,
                                  struct prometheus_wal_report *report, struct error *err);

/* One segment's bytes; what prometheus_wal_read() does with each file. For the fuzzer, too. */
MUST_USE bool prometheus_wal_segment(struct view bytes, const struct prometheus_wal_sink *sink,
                                     struct prometheus_wal_report *report, struct error *err);

#endif
