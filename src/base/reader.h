/* SPDX-License-Identifier: Apache-2.0 */
/* reader.h: the one way to read outside bytes. Every read is bounds-checked; the first failure
 * sticks and later reads give zeros, so that a decoder checks once, after the last field.
 * Integers are little endian unless the name says be. */
#ifndef BELFRY_BASE_READER_H
#define BELFRY_BASE_READER_H

#include "base/attributes.h"
#include "base/view.h"

#include <stdbool.h>
#include <stdint.h>

struct reader {
    const uint8_t *ptr; /* start of the input */
    size_t len, pos;
    bool failed;       /* sticks */
    size_t failed_pos; /* where, when failed */
};

static inline struct reader reader_from(struct view bytes)
{
    /* Never NULL, to which not even 0 may be added. */
    return (struct reader){(const uint8_t *)(bytes.ptr ? bytes.ptr : ""), bytes.len, 0, false, 0};
}
static inline size_t reader_left(const struct reader *r)
{
    return r->failed ? 0 : r->len - r->pos;
}
/* Marks it failed at the current place: the decoder found a value it cannot take. */
void reader_fail(struct reader *r);
uint8_t reader_u8(struct reader *r);
uint16_t reader_u16(struct reader *r);
uint32_t reader_u32(struct reader *r);
uint64_t reader_u64(struct reader *r);
uint32_t reader_u32be(struct reader *r);
uint64_t reader_u64be(struct reader *r);
double reader_f64(struct reader *r);
uint64_t reader_varint(struct reader *r); /* LEB128, at most 10 bytes */
int64_t reader_svarint(struct reader *r); /* zigzag */
/* The next len bytes, borrowed from the input; empty when failed. */
struct view reader_bytes(struct reader *r, size_t len);
/* varint length, then the bytes; fails over len_max. */
struct view reader_string(struct reader *r, size_t len_max);
void reader_skip(struct reader *r, size_t len);

#endif
