/* SPDX-License-Identifier: Apache-2.0 */
/* block_out.h: bytes to a file in large writes, with the place and the checksum of what went. The first
 * error sticks and later appends do nothing: a writer looks once, at the end. One thread. */
#ifndef BELFRY_STORAGE_BLOCK_OUT_H
#define BELFRY_STORAGE_BLOCK_OUT_H

#include "base/buffer.h"
#include "base/checksum.h"
#include "base/error.h"
#include "base/file.h"

struct block_out {
    struct file *file; /* borrowed */
    struct buffer buffer;
    uint64_t flushed_bytes;
    uint32_t crc; /* of what was flushed */
    bool failed;
    struct error error;
};

void block_out_init(struct block_out *o, struct file *file);
void block_out_deinit(struct block_out *o);
/* Where to append the next bytes; looks at nothing but memory. Call block_out_settle() now and then. */
static inline struct buffer *block_out_buffer(struct block_out *o)
{
    return &o->buffer;
}
static inline uint64_t block_out_bytes(const struct block_out *o)
{
    return o->flushed_bytes + o->buffer.len;
}
/* Writes when enough has gathered. */
void block_out_settle(struct block_out *o);
/* Writes all of it. False with the first error. */
MUST_USE bool block_out_flush(struct block_out *o, struct error *err);

#endif
