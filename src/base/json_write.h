/* SPDX-License-Identifier: Apache-2.0 */
/* json_write.h: JSON out, streamed into a buffer by whoever knows the shape. */
#ifndef BELFRY_BASE_JSON_WRITE_H
#define BELFRY_BASE_JSON_WRITE_H

#include "base/buffer.h"
#include "base/view.h"

#include <stdint.h>

/* A quoted string: ", \, control characters escaped; invalid UTF-8 becomes U+FFFD; <, > and & become
 * \u003c, \u003e, \u0026 as Go's encoder writes them (so answers compare byte for byte). */
void json_string(struct buffer *b,
                 struct view text) __asm__("belfry_json_string"); /* jansson has one, too */
/* The value of a sample: quoted, "+Inf", "-Inf", "NaN"; an exponent when < 1e-6 or >= 1e21, as Prometheus
 * writes vectors and matrices. */
void json_sample_value(struct buffer *b, double v);
/* The value of a scalar result: quoted, never an exponent. (Its time is json_number() of the seconds, 1.5 and
 * not 1.500: Prometheus 2.42 writes scalars by another road than vectors.) */
void json_scalar_value(struct buffer *b, double v);
/* A timestamp in ms as seconds, with three decimals unless it is whole: 1435781451.781, 1.500, 2 */
void json_timestamp(struct buffer *b, int64_t ms);
void json_int(struct buffer *b, int64_t v);
/* A plain JSON number as Go writes a float64 (NaN and Inf become null). */
void json_number(struct buffer *b, double v);

#endif
