/* SPDX-License-Identifier: Apache-2.0 */
/* status.h: how a call says that it failed: the status, and a sentence for belfry_last_error(). */
#ifndef BELFRY_INSTRUMENT_STATUS_H
#define BELFRY_INSTRUMENT_STATUS_H

#include "base/attributes.h"
#include "belfry/metrics.h"

/* Keeps the sentence (one line; cut after 511 bytes; bytes below ' ' become '?') and returns the status. */
belfry_status belfry__fail(belfry_status status, const char *format, ...) PRINTF_LIKE(2, 3);
/* The status's own sentence. */
belfry_status belfry__fail_plainly(belfry_status status);

#endif
