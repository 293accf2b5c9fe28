/* SPDX-License-Identifier: Apache-2.0 */
/* reader.c: every read asks reader_take() for its bytes; there is no other way to the input. */
#include "base/reader.h"

#include <string.h>

void reader_fail(struct reader *r)
{
    if (r->failed)
        return;
    r->failed = true;
    r->failed_pos = r->pos;
}

/* NULL when fewer than len bytes are left (then the reader has failed). */
static const uint8_t *reader_take(struct reader *r, size_t len)
{
    if (UNLIKELY(r->failed || r->len - r->pos < len)) {
        reader_fail(r);
        return NULL;
    }
    const uint8_t *ptr = r->ptr + r->pos;
    r->pos += len;
    return ptr;
}

uint8_t reader_u8(struct reader *r)
{
    const uint8_t *p = reader_take(r, 1);
    return p ? p[0] : 0;
}

uint16_t reader_u16(struct reader *r)
{
    const uint8_t *p = reader_take(r, 2);
    return p ? (uint16_t)(p[0] | p[1] << 8) : 0;
}

uint32_t reader_u32(struct reader *r)
{
    const uint8_t *p = reader_take(r, 4);
    uint32_t v = 0;
    for (unsigned i = 0; p && i < 4; i++)
        v |= (uint32_t)p[i] << (8 * i);
    return v;
}

uint64_t reader_u64(struct reader *r)
{
    const uint8_t *p = reader_take(r, 8);
    uint64_t v = 0;
    for (unsigned i = 0; p && i < 8; i++)
        v |= (uint64_t)p[i] << (8 * i);
    return v;
}

uint32_t reader_u32be(struct reader *r)
{
    return __builtin_bswap32(reader_u32(r));
}

uint64_t reader_u64be(struct reader *r)
{
    return __builtin_bswap64(reader_u64(r));
}

double reader_f64(struct reader *r)
{
    uint64_t bits = reader_u64(r);
    double v;
    memcpy(&v, &bits, sizeof(v));
    return v;
}

uint64_t reader_varint(struct reader *r)
{
    size_t start = r->pos;
    uint64_t v = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        const uint8_t *p = reader_take(r, 1);
        if (!p)
            return 0;
        if (shift == 63 && *p > 1)
            break; /* more than 64 bits */
        v |= (uint64_t)(*p & 0x7f) << shift;
        if (!(*p & 0x80))
            return v;
    }
    r->pos = start; /* the failure is where the number begins */
    reader_fail(r);
    return 0;
}

int64_t reader_svarint(struct reader *r)
{
    uint64_t v = reader_varint(r);
    return (int64_t)((v >> 1) ^ (0 - (v & 1)));
}

struct view reader_bytes(struct reader *r, size_t len)
{
    const uint8_t *p = reader_take(r, len);
    return p ? (struct view){(const char *)p, len} : (struct view){NULL, 0};
}

struct view reader_string(struct reader *r, size_t len_max)
{
    size_t start = r->pos;
    uint64_t len = reader_varint(r);
    if (!r->failed && len > len_max) {
        r->pos = start;
        reader_fail(r);
    }
    return r->failed ? (struct view){NULL, 0} : reader_bytes(r, (size_t)len);
}

void reader_skip(struct reader *r, size_t len)
{
    (void)reader_take(r, len); /* the failure sticks in r */
}
