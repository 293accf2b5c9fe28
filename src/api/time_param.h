/* SPDX-License-Identifier: Apache-2.0 */
/* time_param.h: times and durations as the API takes them, in api_params.c: "1700000000.123", RFC 3339, "1h30m", "90".
 * A part of api/ by itself because the command line reads the same words. Any thread. */
#ifndef BELFRY_API_TIME_PARAM_H
#define BELFRY_API_TIME_PARAM_H

#include "base/attributes.h"
#include "base/error.h"
#include "base/view.h"

#include <stdbool.h>
#include <stdint.h>

/* Milliseconds since the epoch. Errors: ERROR_INPUT. */
MUST_USE bool api_time_parse(struct view text, int64_t *ms, struct error *err);
/* Milliseconds. Errors: ERROR_INPUT. */
MUST_USE bool api_duration_parse(struct view text, int64_t *ms, struct error *err);

#endif
