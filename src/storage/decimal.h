/* SPDX-License-Identifier: Apache-2.0 */
/* decimal.h: a double as an integer n with v == n / 10^e, bit for bit. Dividing an integer below 2^53
 * by an exact power of ten is correctly rounded, so it gives back exactly the double that the decimal
 * text means; the test compares bits, so -0, NaN and infinities are never decimals. */
#ifndef BELFRY_STORAGE_DECIMAL_H
#define BELFRY_STORAGE_DECIMAL_H

#include "base/attributes.h"
#include "model/sample.h"

#include <stdbool.h>
#include <stdint.h>

enum { DECIMAL_EXPONENT_MAX = 9 };

static inline double decimal_power(unsigned e)
{
    static const double POWERS[DECIMAL_EXPONENT_MAX + 1] = {1,   1e1, 1e2, 1e3, 1e4,
                                                            1e5, 1e6, 1e7, 1e8, 1e9};
    return POWERS[e];
}

static inline double decimal_to(int64_t n, unsigned e)
{
    return e == 0 ? (double)n : (double)n / decimal_power(e);
}

/* Rounding by adding 1.5 * 2^52 holds below 2^51, which is the limit here. */
static inline bool decimal_from(double v, unsigned e, int64_t *n)
{
    double scaled = v * decimal_power(e);
    if (!(scaled > -0x1p51 && scaled < 0x1p51))
        return false;
    *n = (int64_t)((scaled + 0x1.8p52) - 0x1.8p52);
    return sample_bits(decimal_to(*n, e)) == sample_bits(v);
}

/* The smallest exponent from `from` on that fits, or DECIMAL_EXPONENT_MAX + 1. */
static inline unsigned decimal_find(double v, unsigned from, int64_t *n)
{
    unsigned e = from;
    while (e <= DECIMAL_EXPONENT_MAX && !decimal_from(v, e, n))
        e++;
    return e;
}

#endif
