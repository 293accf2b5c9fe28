/* SPDX-License-Identifier: Apache-2.0 */
/* codec_xor.c: doubles that are no short decimals: each is XORed with the one before and only the bits
 * that differ are kept.
 *
 *   xor       := directory_bytes varint | directory | streams
 *   directory := stream_bytes varint per 128 values
 *   stream    := first value, 64 bits | per value one of        bits are taken least significant first
 *                0  bits             the bits inside the window in force
 *                10                  the same value again
 *                11 lead:6 length-1:6 bits      a new window: `lead` zeros on top, then `length` bits
 *
 * After Gorilla (Pelkonen et al. 2015). Ours differs: as Chimp (Liakos et al. 2022) found, equal
 * neighbours are rare in what is left to this codec (runs and integers took them), so keeping the window
 * has the short code; a new window is opened only where it is shorter than keeping the old one. */
#include "storage/codec.h"

#include "base/assert.h"
#include "model/sample.h"
#include "storage/codec_private.h"

struct bits_out {
    struct buffer *out;
    codec_u128 acc;
    unsigned held;
};

static void bits_put(struct bits_out *b, uint64_t v, unsigned count)
{
    b->acc |= (codec_u128)v << b->held;
    b->held += count;
    for (; b->held >= 8; b->held -= 8, b->acc >>= 8)
        buffer_append_u8(b->out, (uint8_t)b->acc);
}

static void stream_encode(struct buffer *out, const double *in, size_t count)
{
    struct bits_out b = {.out = out};
    uint64_t before = sample_bits(in[0]);
    unsigned trail = 0, length = 0; /* the window in force; none yet */
    bits_put(&b, before, 64);
    for (size_t i = 1; i < count; i++) {
        uint64_t x = sample_bits(in[i]) ^ before;
        before ^= x;
        if (x == 0) {
            bits_put(&b, 1, 2);
            continue;
        }
        unsigned own_trail = (unsigned)__builtin_ctzll(x);
        unsigned own_length = codec_bit_width(x) - own_trail;
        bool fits = length > 0 && own_trail >= trail && own_trail + own_length <= trail + length;
        if (fits && 1 + length <= 14 + own_length) {
            bits_put(&b, 0, 1);
        } else {
            trail = own_trail;
            length = own_length;
            bits_put(&b, 3, 2);
            bits_put(&b, 64 - trail - length, 6);
            bits_put(&b, length - 1, 6);
        }
        bits_put(&b, x >> trail, length);
    }
    if (b.held > 0)
        bits_put(&b, 0, 8 - b.held);
}

void codec_xor_encode(struct buffer *out, const double *in, size_t count)
{
    struct buffer directory, streams;
    size_t packs = (count + CODEC_PACK_COUNT - 1) / CODEC_PACK_COUNT;
    buffer_init(&directory, MEM_BLOCK, packs * 3 + 16);
    buffer_init(&streams, MEM_BLOCK, count * 10 + 16); /* 78 bits a value at the worst */
    for (size_t from = 0; from < count; from += CODEC_PACK_COUNT) {
        size_t before = streams.len;
        stream_encode(&streams, in + from,
                      count - from < CODEC_PACK_COUNT ? count - from : CODEC_PACK_COUNT);
        buffer_append_varint(&directory, streams.len - before);
    }
    if (directory.failed || streams.failed)
        out->failed = true;
    buffer_append_varint(out, directory.len);
    buffer_append_view(out, buffer_view(&directory));
    buffer_append_view(out, buffer_view(&streams));
    buffer_deinit(&directory);
    buffer_deinit(&streams);
}

struct bits_in {
    const uint8_t *ptr;
    size_t bytes, pos; /* pos in bits */
};

/* count <= 56. Past the end come zeros; the caller looks at pos afterwards. */
static inline uint64_t bits_get(struct bits_in *b, unsigned count)
{
    size_t at = b->pos >> 3;
    uint64_t v = 0;
    if (LIKELY(at + 8 <= b->bytes))
        v = codec_load64(b->ptr + at);
    else
        for (size_t i = 0; at + i < b->bytes; i++)
            v |= (uint64_t)b->ptr[at + i] << (8 * i);
    v = v >> (b->pos & 7) & ((UINT64_C(1) << count) - 1);
    b->pos += count;
    return v;
}

static inline uint64_t bits_get_long(struct bits_in *b, unsigned count)
{
    if (LIKELY(count <= 56))
        return bits_get(b, count);
    uint64_t low = bits_get(b, 32);
    return low | bits_get(b, count - 32) << 32;
}

static bool stream_decode(struct view bytes, size_t count, double *out)
{
    struct bits_in b = {(const uint8_t *)bytes.ptr, bytes.len, 0};
    uint64_t v = bits_get_long(&b, 64);
    unsigned trail = 0, length = 0;
    out[0] = sample_from_bits(v);
    for (size_t i = 1; i < count; i++) {
        uint64_t code = bits_get(&b, 2);
        if (code == 1) {
            out[i] = out[i - 1];
            continue;
        }
        if (code == 3) {
            unsigned lead = (unsigned)bits_get(&b, 6);
            length = (unsigned)bits_get(&b, 6) + 1;
            if (lead + length > 64)
                return false;
            trail = 64 - lead - length;
        } else {
            b.pos--; /* the second bit belongs to the value */
            if (length == 0)
                return false;
        }
        v ^= bits_get_long(&b, length) << trail;
        out[i] = sample_from_bits(v);
    }
    return b.pos <= b.bytes * 8;
}

bool codec_xor_open(struct view *directory, struct view *payload, struct reader *r, size_t count)
{
    uint64_t bytes = reader_varint(r), total = 0;
    if (bytes > reader_left(r))
        reader_fail(r);
    *directory = reader_bytes(r, r->failed ? 0 : (size_t)bytes);
    struct reader walk = reader_from(*directory);
    for (size_t from = 0; from < count && !walk.failed; from += CODEC_PACK_COUNT) {
        uint64_t stream_bytes = reader_varint(&walk);
        if (stream_bytes > CODEC_PACK_COUNT * 10)
            reader_fail(&walk);
        total += stream_bytes;
    }
    if (walk.failed || reader_left(&walk) != 0 || total > reader_left(r))
        reader_fail(r);
    *payload = reader_bytes(r, r->failed ? 0 : (size_t)total);
    return !r->failed;
}

bool codec_xor_decode(struct view directory, struct view payload, size_t count, size_t from,
                      size_t to, double *out)
{
    ASSERT(from <= to && to <= count);
    struct reader r = reader_from(directory);
    size_t offset = 0;
    for (size_t start = 0; start < to; start += CODEC_PACK_COUNT) {
        size_t n = count - start < CODEC_PACK_COUNT ? count - start : CODEC_PACK_COUNT;
        size_t bytes = (size_t)reader_varint(&r);
        struct view stream = view_slice(payload, offset, offset + bytes);
        offset += bytes;
        if (start + n <= from)
            continue;
        if (start >= from && start + n <= to) {
            if (!stream_decode(stream, n, out + (start - from)))
                return false;
        } else {
            double whole[CODEC_PACK_COUNT];
            if (!stream_decode(stream, n, whole))
                return false;
            size_t a = start < from ? from - start : 0, b = start + n > to ? to - start : n;
            memcpy(out + (start + a - from), whole + a, (b - a) * sizeof *out);
        }
    }
    return !r.failed;
}
