/* SPDX-License-Identifier: Apache-2.0 */
/* extent_column.c
 *
 *   column := kind u8 | [presence (rows+7)/8 bytes] | [stale (rows+7)/8 bytes] | body
 *   kind   := low 4 bits below; 0x10 = presence follows (else all rows are there); 0x20 = stale follows
 *
 *   EMPTY      -                                                    no value besides stale markers
 *   CONSTANT   double
 *   INT_SAME   e u8 | n svarint                                     all are n / 10^e
 *   INT        e u8 | n svarint | least delta svarint | width u8 | deltas less the least
 *   INT_BLOCKS e u8 | n svarint | { width u8 | up to 8 zigzag deltas } ...
 *   XOR        shift u8 | width u8 | double | (bits ^ bits before) >> shift ...
 *   RAW        doubles
 *
 *   times  := 0 | first svarint | least delta svarint | width u8 | deltas less the least
 *           | 1 | times as i64
 *
 * The body holds the rows that are there and not stale, so that an ended series costs what it was.
 * INT_BLOCKS wins over INT where a counter rests and jumps. The shortest of them is kept.
 * Decoders trust nothing: every length is checked against the bytes there are. */
#include "storage/extent_column.h"

#include "base/assert.h"
#include "storage/bit_pack.h"
#include "storage/decimal.h"
#include "storage/extent.h"

enum { KIND_EMPTY, KIND_CONSTANT, KIND_INT_SAME, KIND_INT, KIND_INT_BLOCKS, KIND_XOR, KIND_RAW };
enum { KIND_MASK = 0x0f, HAS_PRESENCE = 0x10, HAS_STALE = 0x20 };
enum { TIMES_STEPS, TIMES_RAW };
/* As appenders accept them; beyond, differences would not fit. */
#define TIME_MS_MAX (INT64_MAX / 4)

static void append_mask(struct buffer *b, uint64_t mask, uint32_t rows)
{
    buffer_append(b, &mask, (rows + 7) / 8);
}

/* --- encoding --- */

static void append_packed(struct buffer *b, const uint64_t *in, size_t count, unsigned width)
{
    size_t bytes = bit_pack_bytes(count, width);
    char *at = buffer_reserve(b, bytes);
    ASSERT(at != NULL);
    bit_pack_write((uint8_t *)at, in, count, width);
    buffer_advance(b, bytes);
}

/* The two packings of integers have the same cost to read; sizes without what they share. */
static size_t int_blocks_bytes(const int64_t *n, size_t count)
{
    size_t bytes = 0;
    for (size_t i = 1; i < count; i += 8) {
        uint64_t all = 0;
        size_t end = i + 8 < count ? i + 8 : count;
        for (size_t k = i; k < end; k++)
            all |= bit_pack_zigzag(n[k] - n[k - 1]);
        bytes += 1 + bit_pack_bytes(end - i, bit_pack_width(all));
    }
    return bytes;
}

static void append_int_blocks(struct buffer *b, const int64_t *n, size_t count)
{
    for (size_t i = 1; i < count; i += 8) {
        uint64_t deltas[8], all = 0;
        size_t end = i + 8 < count ? i + 8 : count;
        for (size_t k = i; k < end; k++)
            all |= deltas[k - i] = bit_pack_zigzag(n[k] - n[k - 1]);
        buffer_append_u8(b, (uint8_t)bit_pack_width(all));
        append_packed(b, deltas, end - i, bit_pack_width(all));
    }
}

static void append_int_body(struct buffer *b, const int64_t *n, size_t count, int64_t least,
                            unsigned width)
{
    uint64_t deltas[EXTENT_ROWS_MAX];
    for (size_t i = 1; i < count; i++)
        deltas[i - 1] = (uint64_t)(n[i] - n[i - 1] - least);
    buffer_append_svarint(b, least);
    buffer_append_u8(b, (uint8_t)width);
    append_packed(b, deltas, count - 1, width);
}

/* Returns the kind, or KIND_RAW when a delta is too wide. count > 1. */
static int append_integers(struct buffer *b, const int64_t *n, size_t count, unsigned e)
{
    int64_t least = INT64_MAX, most = INT64_MIN;
    for (size_t i = 1; i < count; i++) {
        int64_t delta = n[i] - n[i - 1];
        least = delta < least ? delta : least;
        most = delta > most ? delta : most;
    }
    unsigned width = bit_pack_width((uint64_t)(most - least));
    if (width > BIT_PACK_WIDTH_MAX - 2)
        return KIND_RAW;
    buffer_append_u8(b, (uint8_t)e);
    buffer_append_svarint(b, n[0]);
    if (int_blocks_bytes(n, count) < 3 + bit_pack_bytes(count - 1, width)) {
        append_int_blocks(b, n, count);
        return KIND_INT_BLOCKS;
    }
    append_int_body(b, n, count, least, width);
    return KIND_INT;
}

static int append_xor(struct buffer *b, const double *values, size_t count)
{
    uint64_t xors[EXTENT_ROWS_MAX], all = 0;
    for (size_t i = 1; i < count; i++)
        all |= xors[i - 1] = sample_bits(values[i]) ^ sample_bits(values[i - 1]);
    unsigned shift = all == 0 ? 0 : (unsigned)__builtin_ctzll(all);
    unsigned width = bit_pack_width(all >> shift);
    if (width > BIT_PACK_WIDTH_MAX) {
        buffer_append(b, values, count * sizeof *values);
        return KIND_RAW;
    }
    for (size_t i = 0; i + 1 < count; i++)
        xors[i] >>= shift;
    buffer_append_u8(b, (uint8_t)shift);
    buffer_append_u8(b, (uint8_t)width);
    buffer_append_f64(b, values[0]);
    append_packed(b, xors, count - 1, width);
    return KIND_XOR;
}

/* The decimal exponent that fits all, or DECIMAL_EXPONENT_MAX + 1. */
static unsigned decimals_of(const double *values, size_t count, int64_t *n)
{
    unsigned e = 0;
    for (size_t i = 0; i < count && e <= DECIMAL_EXPONENT_MAX; i++)
        e = decimal_find(values[i], e, &n[i]);
    for (size_t i = 0; i < count && e > 0 && e <= DECIMAL_EXPONENT_MAX; i++) {
        if (!decimal_from(values[i], e, &n[i]))
            e = DECIMAL_EXPONENT_MAX + 1;
    }
    return e;
}

static int append_body(struct buffer *b, const double *values, size_t count)
{
    int64_t n[EXTENT_ROWS_MAX];
    uint64_t differ = 0;
    if (count == 0)
        return KIND_EMPTY;
    for (size_t i = 1; i < count; i++)
        differ |= sample_bits(values[i]) ^ sample_bits(values[0]);
    unsigned e = decimals_of(values, differ == 0 ? 1 : count, n);
    if (differ == 0 && e <= DECIMAL_EXPONENT_MAX) {
        buffer_append_u8(b, (uint8_t)e);
        buffer_append_svarint(b, n[0]);
        return KIND_INT_SAME;
    }
    if (differ == 0) {
        buffer_append_f64(b, values[0]);
        return KIND_CONSTANT;
    }
    if (e <= DECIMAL_EXPONENT_MAX) {
        int kind = append_integers(b, n, count, e);
        if (kind != KIND_RAW)
            return kind;
    }
    return append_xor(b, values, count);
}

void extent_column_encode(struct buffer *b, const double *values, uint64_t present, uint32_t rows)
{
    double dense[EXTENT_ROWS_MAX];
    uint64_t stale = 0, full = extent_rows_mask(rows);
    size_t count = 0;
    present &= full;
    for (uint64_t left = present; left != 0; left &= left - 1) {
        unsigned row = (unsigned)__builtin_ctzll(left);
        if (sample_is_stale(values[row]))
            stale |= UINT64_C(1) << row;
        else
            dense[count++] = values[row];
    }
    size_t kind_at = b->len;
    buffer_append_u8(b, 0);
    if (present != full)
        append_mask(b, present, rows);
    if (stale != 0)
        append_mask(b, stale, rows);
    int kind = append_body(b, dense, count) | (present != full ? HAS_PRESENCE : 0) |
               (stale != 0 ? HAS_STALE : 0);
    ASSERT(!b->failed);
    b->ptr[kind_at] = (char)kind;
}

void extent_times_encode(struct buffer *b, const int64_t *times, uint32_t rows)
{
    int64_t least = INT64_MAX, most = INT64_MIN;
    for (uint32_t i = 1; i < rows; i++) {
        int64_t delta = times[i] - times[i - 1];
        least = delta < least ? delta : least;
        most = delta > most ? delta : most;
    }
    unsigned width = rows > 1 ? bit_pack_width((uint64_t)most - (uint64_t)least) : 0;
    if (width > BIT_PACK_WIDTH_MAX) {
        buffer_append_u8(b, TIMES_RAW);
        buffer_append(b, times, rows * sizeof *times);
        return;
    }
    buffer_append_u8(b, TIMES_STEPS);
    buffer_append_svarint(b, times[0]);
    append_int_body(b, times, rows, rows > 1 ? least : 0, width);
}

/* --- decoding --- */

struct input {
    const uint8_t *at, *end;
    bool bad; /* sticks */
};

/* The next `bytes`; NULL when there are not so many. */
static const uint8_t *take(struct input *in, size_t bytes)
{
    if (in->bad || (size_t)(in->end - in->at) < bytes) {
        in->bad = true;
        return NULL;
    }
    const uint8_t *at = in->at;
    in->at += bytes;
    return at;
}

static unsigned take_u8(struct input *in)
{
    const uint8_t *at = take(in, 1);
    return at ? *at : 0;
}

static uint64_t take_varint(struct input *in)
{
    uint64_t v = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        unsigned byte = take_u8(in);
        v |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80)
            return v;
    }
    in->bad = true;
    return 0;
}

static int64_t take_svarint(struct input *in)
{
    return bit_pack_unzigzag(take_varint(in));
}

static uint64_t take_mask(struct input *in, uint32_t rows)
{
    uint64_t mask = 0;
    const uint8_t *at = take(in, (rows + 7) / 8);
    if (at)
        memcpy(&mask, at, (rows + 7) / 8);
    return mask;
}

static double take_f64(struct input *in)
{
    uint64_t bits = 0;
    const uint8_t *at = take(in, 8);
    if (at)
        memcpy(&bits, at, 8);
    return sample_from_bits(bits);
}

/* `count` numbers of `width` bits. */
static const uint8_t *take_packed(struct input *in, size_t count, unsigned width)
{
    if (width > BIT_PACK_WIDTH_MAX)
        in->bad = true;
    return take(in, bit_pack_bytes(count, width));
}

static unsigned take_exponent(struct input *in)
{
    unsigned e = take_u8(in);
    if (e > DECIMAL_EXPONENT_MAX)
        in->bad = true;
    return in->bad ? 0 : e;
}

/* count > 0. Sums wrap: damaged deltas may be anything. */
static void take_steps(struct input *in, int64_t first, size_t count, int64_t *out)
{
    uint64_t v = (uint64_t)first, least = (uint64_t)take_svarint(in);
    unsigned width = take_u8(in);
    const uint8_t *packed = take_packed(in, count - 1, width);
    out[0] = first;
    for (size_t i = 1; packed && i < count; i++)
        out[i] = (int64_t)(v += least + bit_pack_get(packed, i - 1, width));
}

static void take_blocks(struct input *in, int64_t first, size_t count, int64_t *out)
{
    uint64_t v = (uint64_t)first;
    out[0] = first;
    for (size_t i = 1; i < count && !in->bad; i += 8) {
        unsigned width = take_u8(in);
        size_t block = count - i < 8 ? count - i : 8;
        const uint8_t *packed = take_packed(in, block, width);
        for (size_t k = 0; packed && k < block; k++)
            out[i + k] =
                (int64_t)(v += (uint64_t)bit_pack_unzigzag(bit_pack_get(packed, k, width)));
    }
}

static void decode_integers(struct input *in, int kind, size_t count, double *out)
{
    int64_t n[EXTENT_ROWS_MAX];
    unsigned e = take_exponent(in);
    int64_t first = take_svarint(in);
    if (kind == KIND_INT)
        take_steps(in, first, count, n);
    else
        take_blocks(in, first, count, n);
    if (in->bad)
        return;
    double power = decimal_power(e);
    for (size_t i = 0; i < count && e == 0; i++)
        out[i] = (double)n[i];
    for (size_t i = 0; i < count && e > 0; i++)
        out[i] = (double)n[i] / power;
}

static void decode_xor(struct input *in, size_t count, double *out)
{
    unsigned shift = take_u8(in), width = take_u8(in);
    double first = take_f64(in);
    const uint8_t *packed = take_packed(in, count - 1, width);
    if (shift > 63)
        in->bad = true;
    if (in->bad)
        return;
    uint64_t bits = sample_bits(first);
    out[0] = first;
    for (size_t i = 1; i < count; i++) {
        bits ^= bit_pack_get(packed, i - 1, width) << shift;
        out[i] = sample_from_bits(bits);
    }
}

static void fill(double *out, size_t count, double value)
{
    for (size_t i = 0; i < count; i++)
        out[i] = value;
}

static void decode_raw(struct input *in, size_t count, double *out)
{
    const uint8_t *at = take(in, count * sizeof *out);
    if (at)
        memcpy(out, at, count * sizeof *out);
}

/* `count` values; none exactly when the kind is EMPTY. */
static void decode_body(struct input *in, int kind, size_t count, double *out)
{
    if ((kind == KIND_EMPTY) != (count == 0))
        in->bad = true;
    if (in->bad)
        return;
    switch (kind) {
    case KIND_EMPTY:
        break;
    case KIND_CONSTANT:
        fill(out, count, take_f64(in));
        break;
    case KIND_INT_SAME: {
        unsigned e = take_exponent(in);
        fill(out, count, decimal_to(take_svarint(in), e));
        break;
    }
    case KIND_INT:
    case KIND_INT_BLOCKS:
        decode_integers(in, kind, count, out);
        break;
    case KIND_XOR:
        decode_xor(in, count, out);
        break;
    case KIND_RAW:
        decode_raw(in, count, out);
        break;
    default:
        in->bad = true;
    }
}

/* Spreads dense values over the rows they belong to, from the end, so that it works in place. */
static void spread(double *out, size_t count, uint64_t live, uint64_t stale)
{
    for (uint64_t left = live; left != 0;) {
        unsigned row = 63u - (unsigned)__builtin_clzll(left);
        out[row] = out[--count];
        left &= ~(UINT64_C(1) << row);
    }
    for (uint64_t left = stale; left != 0; left &= left - 1)
        out[__builtin_ctzll(left)] = sample_stale();
}

bool extent_column_decode(struct view bytes, uint32_t rows, double *out, uint64_t *present)
{
    struct input in = {(const uint8_t *)bytes.ptr, (const uint8_t *)bytes.ptr + bytes.len, false};
    uint64_t full = extent_rows_mask(rows), stale = 0;
    unsigned kind = take_u8(&in);
    *present = full;
    if (LIKELY((kind & ~(unsigned)KIND_MASK) == 0)) {
        decode_body(&in, (int)kind, rows, out);
        return !in.bad && in.at == in.end;
    }
    if (kind & HAS_PRESENCE)
        *present = take_mask(&in, rows);
    if (kind & HAS_STALE)
        stale = take_mask(&in, rows);
    if ((kind & ~(unsigned)(KIND_MASK | HAS_PRESENCE | HAS_STALE)) || (*present & ~full) ||
        (stale & ~*present))
        return false;
    uint64_t live = *present & ~stale;
    size_t count = (size_t)__builtin_popcountll(live);
    decode_body(&in, (int)(kind & KIND_MASK), count, out);
    if (in.bad || in.at != in.end)
        return false;
    spread(out, count, live, stale);
    return true;
}

bool extent_times_decode(struct view bytes, uint32_t rows, int64_t *out)
{
    struct input in = {(const uint8_t *)bytes.ptr, (const uint8_t *)bytes.ptr + bytes.len, false};
    unsigned form = take_u8(&in);
    if (form == TIMES_STEPS) {
        int64_t first = take_svarint(&in);
        take_steps(&in, first, rows, out);
    } else if (form == TIMES_RAW) {
        const uint8_t *at = take(&in, rows * sizeof *out);
        if (at)
            memcpy(out, at, rows * sizeof *out);
    } else {
        return false;
    }
    if (in.bad || in.at != in.end)
        return false;
    for (uint32_t i = 0; i < rows; i++) {
        if (out[i] < -TIME_MS_MAX || out[i] > TIME_MS_MAX || (i > 0 && out[i] <= out[i - 1]))
            return false;
    }
    return true;
}
