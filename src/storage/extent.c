/* SPDX-License-Identifier: Apache-2.0 */
/* extent.c: columns of up to 64 rows.
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
 * The body holds the rows that are there and not stale, so that an ended series costs what it was.
 * INT_BLOCKS wins over INT where a counter rests and jumps. The shortest of them is kept. */
#include "storage/extent.h"

#include "base/assert.h"
#include "storage/bit_pack.h"
#include "storage/decimal.h"

enum { KIND_EMPTY, KIND_CONSTANT, KIND_INT_SAME, KIND_INT, KIND_INT_BLOCKS, KIND_XOR, KIND_RAW };
enum { KIND_MASK = 0x0f, HAS_PRESENCE = 0x10, HAS_STALE = 0x20 };
#define EXTENT_BYTES_MAX ((size_t)UINT32_MAX)

struct slot_map *slot_map_new(uint32_t capacity)
{
    struct slot_map *m = mem_alloc(MEM_HEAD, sizeof *m + (size_t)capacity * sizeof m->ids[0]);
    atomic_init(&m->refs, 1);
    m->capacity = capacity;
    return m;
}

struct slot_map *slot_map_ref(struct slot_map *m)
{
    atomic_fetch_add_explicit(&m->refs, 1, memory_order_relaxed);
    return m;
}

void slot_map_unref(struct slot_map *m)
{
    if (m && atomic_fetch_sub_explicit(&m->refs, 1, memory_order_acq_rel) == 1)
        mem_free(MEM_HEAD, m);
}

struct extent *extent_ref(struct extent *x)
{
    atomic_fetch_add_explicit(&x->refs, 1, memory_order_relaxed);
    return x;
}

void extent_unref(struct extent *x)
{
    if (x && atomic_fetch_sub_explicit(&x->refs, 1, memory_order_acq_rel) == 1) {
        slot_map_unref(x->map);
        mem_free(MEM_HEAD, x);
    }
}

static uint64_t rows_mask(uint32_t rows)
{
    return rows == 64 ? UINT64_MAX : (UINT64_C(1) << rows) - 1;
}

static void append_mask(struct buffer *b, uint64_t mask, uint32_t rows)
{
    buffer_append(b, &mask, (rows + 7) / 8);
}

/* --- building --- */

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

void extent_builder_begin(struct extent_builder *b, struct slot_map *map, uint32_t slot_count,
                          uint64_t first_row, const int64_t *times, uint32_t row_count)
{
    ASSERT(row_count > 0 && row_count <= EXTENT_ROWS_MAX);
    struct extent *x = mem_alloc_zero(MEM_HEAD, 1, sizeof *x);
    atomic_init(&x->refs, 1);
    x->map = slot_map_ref(map);
    x->slot_count = slot_count;
    x->row_count = row_count;
    x->first_row = first_row;
    x->first_time = times[0];
    x->last_time = times[row_count - 1];
    x->offsets = mem_alloc(MEM_HEAD, ((size_t)slot_count + 1) * sizeof *x->offsets);
    buffer_init(&b->bytes, MEM_HEAD, EXTENT_BYTES_MAX);
    b->extent = x;
    b->slots_done = 0;
    /* Times are a column like the others, but of 64-bit integers that need not be doubles. */
    int64_t least = INT64_MAX, most = INT64_MIN;
    for (uint32_t i = 1; i < row_count; i++) {
        int64_t delta = times[i] - times[i - 1];
        least = delta < least ? delta : least;
        most = delta > most ? delta : most;
    }
    unsigned width = row_count > 1 ? bit_pack_width((uint64_t)most - (uint64_t)least) : 0;
    if (width > BIT_PACK_WIDTH_MAX) {
        buffer_append_u8(&b->bytes, KIND_RAW);
        buffer_append(&b->bytes, times, row_count * sizeof *times);
        return;
    }
    buffer_append_u8(&b->bytes, KIND_INT);
    append_int_body(&b->bytes, times, row_count, row_count > 1 ? least : 0, width);
}

void extent_builder_add(struct extent_builder *b, const double *values, uint64_t present)
{
    struct extent *x = b->extent;
    double dense[EXTENT_ROWS_MAX];
    uint64_t stale = 0, full = rows_mask(x->row_count);
    size_t count = 0;

    ASSERT(b->slots_done < x->slot_count);
    x->offsets[b->slots_done++] = (uint32_t)b->bytes.len;
    present &= full;
    for (uint64_t left = present; left != 0; left &= left - 1) {
        unsigned row = (unsigned)__builtin_ctzll(left);
        if (sample_is_stale(values[row]))
            stale |= UINT64_C(1) << row;
        else
            dense[count++] = values[row];
    }
    size_t kind_at = b->bytes.len;
    buffer_append_u8(&b->bytes, 0);
    if (present != full)
        append_mask(&b->bytes, present, x->row_count);
    if (stale != 0)
        append_mask(&b->bytes, stale, x->row_count);
    int kind = append_body(&b->bytes, dense, count) | (present != full ? HAS_PRESENCE : 0) |
               (stale != 0 ? HAS_STALE : 0);
    ASSERT(!b->bytes.failed);
    b->bytes.ptr[kind_at] = (char)kind;
}

struct extent *extent_builder_finish(struct extent_builder *b)
{
    static const char slack[BIT_PACK_SLACK] = {0};
    struct extent *x = b->extent;
    ASSERT(b->slots_done == x->slot_count);
    x->bytes_len = (uint32_t)b->bytes.len;
    buffer_append(&b->bytes, slack, sizeof slack);
    ASSERT(!b->bytes.failed);
    /* One allocation of the exact size: extents live for hours. */
    size_t offsets_bytes = (size_t)x->slot_count * sizeof *x->offsets;
    struct extent *whole = mem_alloc(MEM_HEAD, sizeof *whole + offsets_bytes + b->bytes.len);
    memcpy(whole, x, sizeof *x);
    whole->offsets = (uint32_t *)(void *)(whole + 1);
    whole->bytes = (uint8_t *)(whole + 1) + offsets_bytes;
    if (offsets_bytes > 0)
        memcpy(whole->offsets, x->offsets, offsets_bytes);
    memcpy(whole->bytes, b->bytes.ptr, b->bytes.len);
    mem_free(MEM_HEAD, x->offsets);
    mem_free(MEM_HEAD, x);
    buffer_deinit(&b->bytes);
    return whole;
}

/* --- reading --- */

/* Our own bytes, made above in this process: no check but the lengths' own consistency. */
static uint64_t take_varint(const uint8_t **at)
{
    uint64_t v = 0;
    for (unsigned shift = 0;; shift += 7) {
        uint8_t byte = *(*at)++;
        v |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80)
            return v;
    }
}

static int64_t take_svarint(const uint8_t **at)
{
    return bit_pack_unzigzag(take_varint(at));
}

static uint64_t take_mask(const uint8_t **at, uint32_t rows)
{
    uint64_t mask = 0;
    memcpy(&mask, *at, (rows + 7) / 8);
    *at += (rows + 7) / 8;
    return mask;
}

void extent_times(const struct extent *x, int64_t *out)
{
    const uint8_t *at = x->bytes;
    if (*at++ == KIND_RAW) {
        memcpy(out, at, x->row_count * sizeof *out);
        return;
    }
    int64_t least = take_svarint(&at), t = x->first_time;
    unsigned width = *at++;
    out[0] = t;
    for (uint32_t i = 1; i < x->row_count; i++)
        out[i] = t += least + (int64_t)bit_pack_get(at, i - 1, width);
}

static void divide_all(const int64_t *n, size_t count, unsigned e, double *out)
{
    if (e == 0) {
        for (size_t i = 0; i < count; i++)
            out[i] = (double)n[i];
        return;
    }
    double power = decimal_power(e);
    for (size_t i = 0; i < count; i++)
        out[i] = (double)n[i] / power;
}

static void decode_integers(const uint8_t *at, int kind, size_t count, double *out)
{
    int64_t n[EXTENT_ROWS_MAX];
    unsigned e = *at++;
    int64_t v = n[0] = take_svarint(&at);
    if (kind == KIND_INT) {
        int64_t least = take_svarint(&at);
        unsigned width = *at++;
        for (size_t i = 1; i < count; i++)
            n[i] = v += least + (int64_t)bit_pack_get(at, i - 1, width);
    } else {
        for (size_t i = 1; i < count; i += 8) {
            unsigned width = *at++;
            size_t block = count - i < 8 ? count - i : 8;
            for (size_t k = 0; k < block; k++)
                n[i + k] = v += bit_pack_unzigzag(bit_pack_get(at, k, width));
            at += bit_pack_bytes(block, width);
        }
    }
    divide_all(n, count, e, out);
}

static void decode_xor(const uint8_t *at, size_t count, double *out)
{
    unsigned shift = at[0], width = at[1];
    uint64_t bits;
    memcpy(&bits, at + 2, 8);
    out[0] = sample_from_bits(bits);
    for (size_t i = 1; i < count; i++) {
        bits ^= bit_pack_get(at + 10, i - 1, width) << shift;
        out[i] = sample_from_bits(bits);
    }
}

static void decode_body(const uint8_t *at, int kind, size_t count, double *out)
{
    double same = 0;
    switch (kind) {
    case KIND_EMPTY:
        return;
    case KIND_CONSTANT:
        memcpy(&same, at, 8);
        break;
    case KIND_INT_SAME: {
        unsigned e = *at++;
        same = decimal_to(take_svarint(&at), e);
        break;
    }
    case KIND_INT:
    case KIND_INT_BLOCKS:
        decode_integers(at, kind, count, out);
        return;
    case KIND_XOR:
        decode_xor(at, count, out);
        return;
    case KIND_RAW:
        memcpy(out, at, count * sizeof *out);
        return;
    default:
        UNREACHABLE();
    }
    for (size_t i = 0; i < count; i++)
        out[i] = same;
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

uint64_t extent_column(const struct extent *x, uint32_t slot, double *out)
{
    ASSERT(slot < x->slot_count);
    const uint8_t *at = x->bytes + x->offsets[slot];
    uint64_t full = rows_mask(x->row_count), present = full, stale = 0;
    int kind = *at++;
    if (LIKELY((kind & (HAS_PRESENCE | HAS_STALE)) == 0)) {
        decode_body(at, kind, x->row_count, out);
        return full;
    }
    if (kind & HAS_PRESENCE)
        present = take_mask(&at, x->row_count);
    if (kind & HAS_STALE)
        stale = take_mask(&at, x->row_count);
    uint64_t live = present & ~stale;
    size_t count = (size_t)__builtin_popcountll(live);
    decode_body(at, kind & KIND_MASK, count, out);
    spread(out, count, live, stale);
    return present;
}

bool extent_column_is_empty(const struct extent *x, uint32_t slot)
{
    ASSERT(slot < x->slot_count);
    return x->bytes[x->offsets[slot]] == (KIND_EMPTY | HAS_PRESENCE);
}
