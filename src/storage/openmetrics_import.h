/* SPDX-License-Identifier: Apache-2.0 */
/* openmetrics_import.h: a file of OpenMetrics, each sample with its timestamp, becomes blocks. Series and times may come
 * in any order. One thread. */
#ifndef BELFRY_STORAGE_OPENMETRICS_IMPORT_H
#define BELFRY_STORAGE_OPENMETRICS_IMPORT_H

#include "base/attributes.h"
#include "base/error.h"
#include "storage/sample_sorter.h"

struct openmetrics_import_options {
    struct view text;    /* the whole file (mapped); ends with # EOF */
    const char *dir;     /* our data folder, which exists and is locked by the caller */
    size_t memory_bytes; /* for samples; 0 = 512 MiB */
    /* May be NULL. `what` is "reading" (bytes) or "writing" (samples). */
    void (*progress)(void *arg, const char *what, uint64_t done, uint64_t total);
    void *arg;
};

/* ERROR_INPUT with the line of what is wrong; then nothing was imported. */
MUST_USE bool openmetrics_import(const struct openmetrics_import_options *opts,
                                 struct sample_sorter_result *out, struct error *err);

#endif
