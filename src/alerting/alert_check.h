/* SPDX-License-Identifier: Apache-2.0 */
/* alert_check.h: what belfry check alertmanager says of a file, in amtool's words. */
#ifndef BELFRY_ALERTING_ALERT_CHECK_H
#define BELFRY_ALERTING_ALERT_CHECK_H

#include "base/buffer.h"

#include <stdbool.h>

/* Appends what was found to `out` and warnings, one a line, to `warnings`: also routes and
 * inhibitions that can never match. Reads the templates that the file names.
 * False when the file or a template was refused; the reason is in `out`. */
bool alert_check(const char *path, struct buffer *out, struct buffer *warnings);

#endif
