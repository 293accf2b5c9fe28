/* SPDX-License-Identifier: Apache-2.0 */
/* config_check.h: what `belfry check config` says of one file: promtool's lines. */
#ifndef BELFRY_INGEST_CONFIG_CHECK_H
#define BELFRY_INGEST_CONFIG_CHECK_H

#include "base/buffer.h"

#include <stdbool.h>

/* Loads the file and, unless syntax_only, looks whether the files exist that it names. Appends to `out` what belongs
 * on standard output ("Checking FILE", " SUCCESS: ...") and to `errors` what belongs on standard error ("  FAILED: ...",
 * "  WARNING: ..."). True when the file is valid. */
bool config_check(const char *path, bool syntax_only, struct buffer *out, struct buffer *errors);

#endif
