/* SPDX-License-Identifier: Apache-2.0 */
/* discover_check.h: what `belfry check service-discovery` says: the targets of one job, before and after relabelling,
 * as promtool prints them. */
#ifndef BELFRY_INGEST_DISCOVER_CHECK_H
#define BELFRY_INGEST_DISCOVER_CHECK_H

#include "base/attributes.h"
#include "base/buffer.h"
#include "base/error.h"
#include "ingest/config.h"

#include <stdbool.h>
#include <stdint.h>

/* Loads the file, discovers for the job (waiting at most timeout_ms) and appends a JSON list to `out`; what went wrong
 * with discovery is appended to `errors`, a line each. ERROR_NOT_FOUND when the file has no such job; errors as
 * config_load_file(). */
MUST_USE bool discover_check(const char *path, enum config_unknown unknown, const char *job_name,
                             int64_t timeout_ms, struct buffer *out, struct buffer *errors,
                             struct error *err);

#endif
