/* SPDX-License-Identifier: Apache-2.0 */
/* script.h: runs .test scripts: load series, evaluate queries, compare. The format is Prometheus' (promqltest); each
 * script has a store of its own in memory and the settings that the format assumes: lookback 5 min, subquery step
 * 1 min, experimental things on, names dropped at the end of the query.
 *
 * An instant query is evaluated twice: by itself, and as the middle of a range query of three steps. */
#ifndef BELFRY_PROMQL_SCRIPT_H
#define BELFRY_PROMQL_SCRIPT_H

#include "base/attributes.h"
#include "base/error.h"
#include "base/pool.h"
#include "base/view.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { SCRIPT_BYTES_MAX = 16 << 20, SCRIPT_SAMPLES_MAX = 20000000, SCRIPT_STEPS_MAX = 100000 };

struct script_failure {
    const char *path;
    uint32_t line;     /* of the eval */
    struct view query; /* borrowed during the call, like all here */
    struct view expected, actual;
};

struct script_options {
    struct pool *pool; /* NULL = the calling thread alone */
    /* Called for each eval that fails, in order; may be NULL. */
    void (*failed)(void *arg, const struct script_failure *f);
    void *arg;
};

struct script_report {
    size_t passed, failed;     /* evals */
    size_t skipped_histograms; /* evals that expect or select native histograms */
};

/* Adds to *report (zero it first). False when the script cannot be read or is malformed: ERROR_INPUT with the line, or
 * what file_read_all() says. Whether evals failed is in the report only. */
MUST_USE bool script_run(const char *path, const struct script_options *opts,
                         struct script_report *report, struct error *err);
/* The same for a text; `path` is for messages. */
MUST_USE bool script_run_text(const char *path, struct view text, const struct script_options *opts,
                              struct script_report *report, struct error *err);

#endif
