/* SPDX-License-Identifier: Apache-2.0 */
/* floattext.h: doubles to text and back, exactly, whatever the locale. */
#ifndef BELFRY_BASE_FLOATTEXT_H
#define BELFRY_BASE_FLOATTEXT_H

#include "base/attributes.h"
#include "base/view.h"

#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Large enough for every double in float_format_plain ("-0.000...": 324 zeros and 17 digits). */
enum { FLOAT_TEXT_BYTES = 352 };

/* Reads what Go's strconv.ParseFloat reads in the exposition format: decimal and hexadecimal floats,
 * underscores refused, "+", "Inf", "Infinity", "NaN" in any case; overflow gives +-Inf but returns false
 * (Go's range error), underflow gives 0 or a denormal. The whole text must be used. About 10 ns. */
MUST_USE bool float_parse(struct view text, double *out);

/* Go's 'f' with precision -1 (scalars in the API, templates): shortest digits that read back, never an
 * exponent; "+Inf", "-Inf", "NaN". Returns the length; not NUL-terminated. About 45 ns. */
size_t float_format_plain(double v, char out[FLOAT_TEXT_BYTES]);
/* Go's %v (numbers in printed PromQL): exponent when < 1e-4 or >= 1e21, as in "1e+21", "1e-05". */
size_t float_format_short(double v, char out[FLOAT_TEXT_BYTES]);
/* strconv's 'g' with precision -1 (exposition text): exponent when < 1e-4 or >= 1e6, as in
 * "1e+06", "1.234567e+06", "100000". */
size_t float_format_general(double v, char out[FLOAT_TEXT_BYTES]);
/* Sample values in the API's JSON: plain, but with an exponent when < 1e-6 or >= 1e21 ("1e-07"). */
size_t float_format_json(double v, char out[FLOAT_TEXT_BYTES]);
/* As a label value of le and quantile in Prometheus 3: like general, but integers get ".0" ("1.0",
 * "1e+06"). */
size_t float_format_le(double v, char out[FLOAT_TEXT_BYTES]);

#ifdef __cplusplus
}
#endif

#endif
