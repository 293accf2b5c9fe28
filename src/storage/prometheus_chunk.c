/* SPDX-License-Identifier: Apache-2.0 */
/* prometheus_chunk.c: the bit stream of Prometheus' XOR chunks (its docs: tsdb/docs/format/chunks.md; the method is
 * Gorilla's, Pelkonen et al., VLDB 2015, section 4.1).
 *
 *   count u16 big endian | sample 0 | sample 1 | sample 2 ...                 bits, most significant first
 *   sample 0 := time svarint | value 64 bits
 *   sample 1 := step uvarint | value
 *   sample n := change of step | value
 *   change   := 0 | 10 and 14 bits | 110 and 17 | 1110 and 20 | 1111 and 64   two's complement, but the
 *                                                       largest positive number of a width is kept (not -2^(n-1))
 *   value    := 0 (as before) | 10 bits in the window before | 11 leading(5) width(6, 0 = 64) bits */
#include "storage/prometheus_chunk.h"

#include <string.h>

enum { COUNT_BYTES = 2, VARINT_BYTES_MAX = 10 };

struct bits {
    const uint8_t *ptr;
    size_t len, pos; /* in bits */
    bool failed;     /* sticks; reads give 0 */
};

/* width <= 64. */
static uint64_t bits_read(struct bits *b, unsigned width)
{
    if (b->failed || b->len - b->pos < width) {
        b->failed = true;
        return 0;
    }
    uint64_t v = 0;
    unsigned left = width;
    while (left > 0) {
        unsigned room = 8 - (unsigned)(b->pos & 7);
        unsigned take = left < room ? left : room;
        unsigned byte = b->ptr[b->pos >> 3];
        v = v << take | ((byte >> (room - take)) & ((1U << take) - 1));
        b->pos += take;
        left -= take;
    }
    return v;
}

static uint64_t bits_varint(struct bits *b)
{
    uint64_t v = 0;
    for (unsigned i = 0; i < VARINT_BYTES_MAX; i++) {
        uint64_t byte = bits_read(b, 8);
        v |= (byte & 0x7f) << (7 * i);
        if (!(byte & 0x80))
            return v;
    }
    b->failed = true;
    return 0;
}

static int64_t zigzag(uint64_t v)
{
    return (int64_t)(v >> 1) ^ -(int64_t)(v & 1);
}

static uint64_t step_change(struct bits *b)
{
    static const unsigned WIDTHS[] = {0, 14, 17, 20, 64};
    unsigned ones = 0;
    while (ones < 4 && bits_read(b, 1))
        ones++;
    unsigned width = WIDTHS[ones];
    uint64_t v = bits_read(b, width);
    if (width > 0 && width < 64 && v > UINT64_C(1) << (width - 1))
        v -= UINT64_C(1) << width;
    return v;
}

struct xor_window {
    unsigned leading, width;
};

static uint64_t value_next(struct bits *b, uint64_t before, struct xor_window *w)
{
    if (!bits_read(b, 1))
        return before;
    if (bits_read(b, 1)) {
        w->leading = (unsigned)bits_read(b, 5);
        w->width = (unsigned)bits_read(b, 6);
        if (w->width == 0)
            w->width = 64;
        if (w->leading + w->width > 64)
            b->failed = true;
    }
    if (b->failed || w->width == 0) {
        b->failed = true; /* a window is used that was never given */
        return before;
    }
    return before ^ bits_read(b, w->width) << (64 - w->leading - w->width);
}

size_t prometheus_chunk_count(struct view data)
{
    const uint8_t *p = (const uint8_t *)data.ptr;
    return data.len < COUNT_BYTES ? 0 : (size_t)p[0] << 8 | p[1];
}

bool prometheus_chunk_decode(struct view data, int64_t *times, double *values)
{
    size_t count = prometheus_chunk_count(data);
    if (data.len < COUNT_BYTES)
        return false;
    struct bits b = {(const uint8_t *)data.ptr + COUNT_BYTES, (data.len - COUNT_BYTES) * 8, 0,
                     false};
    struct xor_window window = {0, 0};
    uint64_t time = 0, step = 0,
             value = 0; /* unsigned: hostile steps wrap instead of overflowing */
    for (size_t i = 0; i < count && !b.failed; i++) {
        if (i == 0) {
            time = (uint64_t)zigzag(bits_varint(&b));
            value = bits_read(&b, 64);
        } else {
            step = i == 1 ? bits_varint(&b) : step + step_change(&b);
            time += step;
            value = value_next(&b, value, &window);
        }
        times[i] = (int64_t)time;
        memcpy(&values[i], &value, sizeof value);
    }
    return !b.failed;
}
