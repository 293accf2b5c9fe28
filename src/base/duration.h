/* SPDX-License-Identifier: Apache-2.0 */
/* duration.h: Prometheus' durations: 1y2w3d4h5m6s7ms, units descending, each at most once, y = 365 d. */
#ifndef BELFRY_BASE_DURATION_H
#define BELFRY_BASE_DURATION_H

#include "base/attributes.h"
#include "base/error.h"
#include "base/view.h"

#include <stdbool.h>
#include <stdint.h>

enum { DURATION_TEXT_BYTES = 64 };

/* A bare "0" is 0. Negative durations and bare numbers are refused. ERROR_INPUT says what was wrong. */
MUST_USE bool duration_parse(struct view text, int64_t *ms, struct error *err);
/* As Prometheus prints it: "0s", "1h30m", "1d12h", "90d" (y and w only when they divide evenly).
 * NUL-terminated; returns the length. Negative values get a leading '-'. */
size_t duration_format(int64_t ms, char out[DURATION_TEXT_BYTES]);

#endif
