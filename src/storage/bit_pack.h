/* SPDX-License-Identifier: Apache-2.0 */
/* bit_pack.h: unsigned integers of one width, 0 to 56 bits, side by side, little endian. Reading takes 8
 * bytes at a time, so packed data is followed by BIT_PACK_SLACK bytes that belong to somebody. */
#ifndef BELFRY_STORAGE_BIT_PACK_H
#define BELFRY_STORAGE_BIT_PACK_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum { BIT_PACK_WIDTH_MAX = 56, BIT_PACK_SLACK = 8 };

static inline uint64_t bit_pack_zigzag(int64_t v)
{
    return ((uint64_t)v << 1) ^ (uint64_t)(v >> 63);
}
static inline int64_t bit_pack_unzigzag(uint64_t v)
{
    return (int64_t)(v >> 1) ^ -(int64_t)(v & 1);
}
static inline unsigned bit_pack_width(uint64_t v)
{
    return v == 0 ? 0 : 64u - (unsigned)__builtin_clzll(v);
}
static inline size_t bit_pack_bytes(size_t count, unsigned width)
{
    return (count * width + 7) / 8;
}

/* Writes exactly bit_pack_bytes(count, width). */
static inline void bit_pack_write(uint8_t *out, const uint64_t *in, size_t count, unsigned width)
{
    uint64_t word = 0;
    unsigned used = 0; /* below 8 between values, so that 56 more always fit */
    for (size_t i = 0; i < count; i++) {
        word |= in[i] << used;
        for (used += width; used >= 8; used -= 8) {
            *out++ = (uint8_t)word;
            word >>= 8;
        }
    }
    if (used > 0)
        *out = (uint8_t)word;
}

static inline uint64_t bit_pack_get(const uint8_t *in, size_t i, unsigned width)
{
    size_t bit = i * width;
    uint64_t word;
    memcpy(&word, in + bit / 8, sizeof word);
    return (word >> (bit & 7)) & ((UINT64_C(1) << width) - 1);
}

#endif
