/* SPDX-License-Identifier: Apache-2.0 */
/* buffer.h: bytes that grow up to a maximum. Passing the maximum (or failing to allocate) makes the
 * buffer `failed`: later appends do nothing, so that a writer checks once, at the end. */
#ifndef BELFRY_BASE_BUFFER_H
#define BELFRY_BASE_BUFFER_H

#include "base/attributes.h"
#include "base/mem.h"
#include "base/view.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buffer {
    char *ptr;
    size_t len, capacity, bytes_max;
    enum mem_account account;
    bool failed;
};

/* Allocates nothing. bytes_max > 0. */
void buffer_init(struct buffer *b, enum mem_account account, size_t bytes_max);
void buffer_deinit(struct buffer *b);
/* Empties it and clears `failed`; keeps the memory. */
void buffer_reset(struct buffer *b);
struct view buffer_view(const struct buffer *b);

/* Room for `bytes` more; returns where to write them, NULL when failed. Then buffer_advance(). */
char *buffer_reserve(struct buffer *b, size_t bytes);
static inline void buffer_advance(struct buffer *b, size_t bytes)
{
    b->len += bytes;
}

void buffer_append_slow(struct buffer *b, const void *bytes, size_t len);
static inline void buffer_append(struct buffer *b, const void *bytes, size_t len)
{
    if (LIKELY(!b->failed && b->capacity - b->len >= len)) {
        if (len)
            memcpy(b->ptr + b->len, bytes, len);
        b->len += len;
    } else {
        buffer_append_slow(b, bytes, len);
    }
}
static inline void buffer_append_view(struct buffer *b, struct view v)
{
    buffer_append(b, v.ptr, v.len);
}
static inline void buffer_append_byte(struct buffer *b, char c)
{
    buffer_append(b, &c, 1);
}
#define buffer_append_literal(b, literal) buffer_append((b), (literal), sizeof(literal) - 1)
void buffer_printf(struct buffer *b, const char *format, ...) PRINTF_LIKE(2, 3);

/* Little endian; varint is LEB128, svarint zigzag. */
void buffer_append_u8(struct buffer *b, uint8_t v);
void buffer_append_u16(struct buffer *b, uint16_t v);
void buffer_append_u32(struct buffer *b, uint32_t v);
void buffer_append_u64(struct buffer *b, uint64_t v);
void buffer_append_f64(struct buffer *b, double v);
void buffer_append_varint(struct buffer *b, uint64_t v);
void buffer_append_svarint(struct buffer *b, int64_t v);
/* varint length, then the bytes. */
void buffer_append_string(struct buffer *b, struct view v);

#endif
