/* SPDX-License-Identifier: Apache-2.0 */
/* config_check.h: what `belfry check config` says of one file: promtool's lines. */
#ifndef BELFRY_INGEST_CONFIG_CHECK_H
#define BELFRY_INGEST_CONFIG_CHECK_H

#include "base/buffer.h"
#include "ingest/config.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct config_check_options {
    bool syntax_only;
    enum config_unknown unknown;
    int64_t scrape_interval_max_ms; /* a job with a longer one is a finding; 0 = none is */
    size_t lints_found;             /* set by config_check() */
};

/* Loads the file and, unless syntax_only, looks whether the files exist that it names. Appends to `out` what belongs
 * on standard output ("Checking FILE", " SUCCESS: ...") and to `errors` what belongs on standard error ("  FAILED: ...",
 * "  WARNING: ...", "  LINT: ..."). True when the file is valid. */
bool config_check(const char *path, struct config_check_options *options, struct buffer *out,
                  struct buffer *errors);

#endif
