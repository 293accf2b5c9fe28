/* SPDX-License-Identifier: Apache-2.0 */
/* codec_private.h: what the codec's files share. */
#ifndef BELFRY_STORAGE_CODEC_PRIVATE_H
#define BELFRY_STORAGE_CODEC_PRIVATE_H

#include "storage/codec.h"

#include <endian.h>

__extension__ typedef unsigned __int128 codec_u128;

/* Eight bytes at p, which must be there. */
static inline uint64_t codec_load64(const uint8_t *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof v);
    return le64toh(v);
}

static inline unsigned codec_bit_width(uint64_t v)
{
    return v ? 64 - (unsigned)__builtin_clzll(v) : 0;
}

/* XOR streams of doubles (codec_xor.c). */
void codec_xor_encode(struct buffer *out, const double *in, size_t count);
MUST_USE bool codec_xor_open(struct view *directory, struct view *payload, struct reader *r,
                             size_t count);
MUST_USE bool codec_xor_decode(struct view directory, struct view payload, size_t count,
                               size_t from, size_t to, double *out);

#endif
