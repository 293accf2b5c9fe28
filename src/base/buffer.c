/* SPDX-License-Identifier: Apache-2.0 */
/* buffer.c: growth by doubling, clamped to the maximum. */
#include "base/buffer.h"

#include "base/assert.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { BUFFER_BYTES_MIN = 256 }; /* chosen, not measured */

void buffer_init(struct buffer *b, enum mem_account account, size_t bytes_max)
{
    ASSERT(bytes_max > 0);
    *b = (struct buffer){.account = account, .bytes_max = bytes_max};
}

void buffer_deinit(struct buffer *b)
{
    mem_free(b->account, b->ptr);
    *b = (struct buffer){.account = b->account, .bytes_max = b->bytes_max};
}

void buffer_reset(struct buffer *b)
{
    b->len = 0;
    b->failed = false;
}

struct view buffer_view(const struct buffer *b)
{
    return (struct view){b->ptr, b->len};
}

char *buffer_reserve(struct buffer *b, size_t bytes)
{
    if (b->failed)
        return NULL;
    if (b->capacity - b->len >= bytes && b->ptr)
        return b->ptr + b->len;
    if (bytes > b->bytes_max - b->len) {
        b->failed = true;
        return NULL;
    }
    size_t need = b->len + bytes;
    size_t capacity = b->capacity > b->bytes_max / 2 ? b->bytes_max : b->capacity * 2;
    if (capacity < BUFFER_BYTES_MIN)
        capacity = BUFFER_BYTES_MIN;
    if (capacity < need)
        capacity = need;
    if (capacity > b->bytes_max)
        capacity = b->bytes_max;
    char *ptr = mem_try_resize(b->account, b->ptr, capacity);
    if (!ptr) {
        b->failed = true;
        return NULL;
    }
    b->ptr = ptr;
    b->capacity = capacity;
    return b->ptr + b->len;
}

void buffer_append_slow(struct buffer *b, const void *bytes, size_t len)
{
    char *to = buffer_reserve(b, len);
    if (!to)
        return;
    if (len)
        memcpy(to, bytes, len);
    b->len += len;
}

void buffer_printf(struct buffer *b, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    char small[512];
    int len = vsnprintf(small, sizeof(small), format, args);
    va_end(args);
    ASSERT(len >= 0);
    if ((size_t)len < sizeof(small)) {
        buffer_append(b, small, (size_t)len);
    } else if ((size_t)len <= b->bytes_max - b->len) {
        /* vsnprintf ends with a NUL, which may be one byte more than the maximum: lay it out apart. */
        char *text = mem_try_alloc(b->account, (size_t)len + 1);
        if (text) {
            vsnprintf(text, (size_t)len + 1, format, again);
            buffer_append(b, text, (size_t)len);
            mem_free(b->account, text);
        } else {
            b->failed = true;
        }
    } else {
        b->failed = true;
    }
    va_end(again);
}

void buffer_append_u8(struct buffer *b, uint8_t v)
{
    buffer_append(b, &v, 1);
}

void buffer_append_u16(struct buffer *b, uint16_t v)
{
    uint8_t le[] = {(uint8_t)v, (uint8_t)(v >> 8)};
    buffer_append(b, le, sizeof(le));
}

void buffer_append_u32(struct buffer *b, uint32_t v)
{
    uint8_t le[4];
    for (size_t i = 0; i < sizeof(le); i++)
        le[i] = (uint8_t)(v >> (8 * i));
    buffer_append(b, le, sizeof(le));
}

void buffer_append_u64(struct buffer *b, uint64_t v)
{
    uint8_t le[8];
    for (size_t i = 0; i < sizeof(le); i++)
        le[i] = (uint8_t)(v >> (8 * i));
    buffer_append(b, le, sizeof(le));
}

void buffer_append_f64(struct buffer *b, double v)
{
    uint64_t bits;
    static_assert(sizeof(bits) == sizeof(v), "doubles have 64 bits");
    memcpy(&bits, &v, sizeof(bits));
    buffer_append_u64(b, bits);
}

void buffer_append_varint(struct buffer *b, uint64_t v)
{
    uint8_t out[10];
    size_t len = 0;
    while (v >= 0x80) {
        out[len++] = (uint8_t)(v | 0x80);
        v >>= 7;
    }
    out[len++] = (uint8_t)v;
    buffer_append(b, out, len);
}

void buffer_append_svarint(struct buffer *b, int64_t v)
{
    buffer_append_varint(b, ((uint64_t)v << 1) ^ (uint64_t)(v >> 63));
}

void buffer_append_string(struct buffer *b, struct view v)
{
    buffer_append_varint(b, v.len);
    buffer_append_view(b, v);
}
