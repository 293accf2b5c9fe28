/* SPDX-License-Identifier: Apache-2.0 */
/* sample.h: what a series holds: (timestamp, value). Timestamps are ms since the epoch, signed: before
 * 1970 and 0 are legal. Values are doubles, bit exact; one NaN payload marks staleness. */
#ifndef BELFRY_MODEL_SAMPLE_H
#define BELFRY_MODEL_SAMPLE_H

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/* Prometheus' payloads (model/value): the series ended here; an ordinary NaN. */
#define SAMPLE_STALE_BITS UINT64_C(0x7ff0000000000002)
#define SAMPLE_NAN_BITS UINT64_C(0x7ff8000000000001)

static inline uint64_t sample_bits(double v)
{
    uint64_t bits;
    memcpy(&bits, &v, sizeof bits);
    return bits;
}
static inline double sample_from_bits(uint64_t bits)
{
    double v;
    memcpy(&v, &bits, sizeof v);
    return v;
}
static inline bool sample_is_stale(double v)
{
    return sample_bits(v) == SAMPLE_STALE_BITS;
}
static inline double sample_stale(void)
{
    return sample_from_bits(SAMPLE_STALE_BITS);
}

/* A native histogram. Its content comes with its issue; pointers to it already have their place in
 * appenders, cursors and batches. */
struct histogram;

#endif
