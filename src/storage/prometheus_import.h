/* SPDX-License-Identifier: Apache-2.0 */
/* prometheus_import.h: a data folder of Prometheus becomes blocks of ours: its blocks one by one under their own
 * names (so a second import finds them done), then what its write-ahead logs hold. Reads only there. One thread. */
#ifndef BELFRY_STORAGE_PROMETHEUS_IMPORT_H
#define BELFRY_STORAGE_PROMETHEUS_IMPORT_H

#include "base/attributes.h"
#include "base/error.h"
#include "storage/prometheus_wal.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct prometheus_import_options {
    const char *source,
        *dir; /* Prometheus' data folder; ours, which exists and is locked by the caller */
    size_t memory_bytes; /* for samples of the logs; 0 = 512 MiB */
    /* May be NULL. `what` is a block's name, "write-ahead log" or "blocks of the log"; total 0 = not known. */
    void (*progress)(void *arg, const char *what, uint64_t done, uint64_t total);
    /* Something could not be taken: in words. The import goes on. May be NULL. */
    void (*problem)(void *arg, const struct error *err);
    void *arg;
};

struct prometheus_import_result {
    uint64_t blocks, blocks_present, blocks_failed;
    uint64_t samples, series; /* of blocks and logs together; a series counts once per block */
    uint64_t log_blocks, log_samples, log_samples_unknown; /* of a series that no record names */
    uint64_t chunks_skipped;                               /* native histograms */
    struct prometheus_wal_report wal, wbl;
    int64_t mint, maxt; /* of the blocks' ranges and the logs' samples; mint > maxt: nothing */
};

/* False: nothing more can be done (disk, memory, no such folder). A block that cannot be read is told, counted in
 * blocks_failed and leaves nothing behind. */
MUST_USE bool prometheus_import(const struct prometheus_import_options *opts,
                                struct prometheus_import_result *out, struct error *err);

#endif
