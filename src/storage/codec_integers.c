/* SPDX-License-Identifier: Apache-2.0 */
/* codec_integers.c: 64-bit integers in packs of 128, each with the order, base and width that suit it.
 *
 *   integers  := directory_bytes varint | directory | payload
 *   directory := entry per pack (128 numbers; the last has the rest)
 *   entry     := [ 255 u8 | patch_count varint | patch_bytes varint ]        only where there are patches
 *                order * 65 + width u8       order 0, 1, 2; width 0 to 64 bits
 *                first svarint               first number (order 0: the base), less that of the pack before
 *                step svarint                order 2: second number less the first
 *                least svarint               order 1, 2: the base of the differences
 *   payload   := per pack: ceil(m * width / 8) bytes | patches
 *   patch     := place u8 | high varint      packed[place] |= high << width
 *
 * A pack of n numbers packs m = n - order of them, least significant bit first, number after number:
 *   order 0   v[i] = first + packed[i]
 *   order 1   v[i] = v[i-1] + least + packed[i-1]
 *   order 2   v[i] = v[i-1] + d, d += least + packed[i-2]
 *
 * 1. All arithmetic wraps at 64 bits, so any int64 goes in and comes out.
 * 2. A window starts at any pack: the directory is walked (a few ns an entry), the payload is not.
 * 3. The payload's length follows from the directory; opening checks that the two agree.
 * Frame of reference with patches: Zukowski et al., "Super-Scalar RAM-CPU Cache Compression" (2006);
 * packs of 128 chosen, not measured; the width is the one with the least bytes, patches included. */
#include "storage/codec.h"

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("O3") /* at O2 gcc leaves loops of unknown length to scalar code */
#endif

#include "base/assert.h"
#include "storage/codec_private.h"

enum { PATCHED = 255, WIDTHS = 65, ORDERS = 3, DIRECTORY_ENTRY_BYTES_MAX = 48 };

struct pack { /* one entry of the directory, with where its payload lies */
    uint64_t first, step, least;
    size_t offset, packed_bytes, patch_bytes, patch_count;
    unsigned order, width;
    size_t count; /* numbers, not packed ones */
};

static size_t packed_size(size_t count, unsigned width)
{
    return (count * width + 7) / 8;
}

static unsigned varint_size(uint64_t v)
{
    return v ? (codec_bit_width(v) + 6) / 7 : 1;
}

/* --- encode -------------------------------------------------------------------------------------- */

struct plan {
    uint64_t packed[CODEC_PACK_COUNT];
    uint64_t first, step, least;
    unsigned order, width;
    size_t count, patch_count, bytes;
};

/* The width with the least bytes for p->packed[0..m), counting patches for what is wider: a patch of a
 * number of b bits takes 1 + ceil((b - width) / 7) bytes, so all patches take past[w] plus the sum of
 * past[w], past[w + 7], past[w + 14] ... */
static void plan_width(struct plan *p, size_t m)
{
    size_t past[WIDTHS + 8] = {0}, highs[WIDTHS + 8] = {0}; /* numbers of more than w bits */
    for (size_t i = 0; i < m; i++)
        past[codec_bit_width(p->packed[i])]++;
    size_t best = SIZE_MAX, above = 0;
    for (unsigned w = WIDTHS; w-- > 0;) {
        size_t own = past[w];
        past[w] = above;
        above += own;
        highs[w] = past[w] + highs[w + 7];
        size_t bytes = packed_size(m, w) + past[w] + highs[w] + (past[w] ? 3 : 0);
        if (bytes <= best) {
            best = bytes;
            p->width = w;
            p->patch_count = past[w];
        }
    }
    p->bytes = best;
}

/* Packs diffs[order..count) above `base`, which is the smallest of them or, where a few lie far below (a
 * counter was reset), the smallest of the others: what is below wraps to a huge number and is patched. */
static void plan_base(struct plan *p, const uint64_t *diffs, int64_t base)
{
    size_t m = p->count - p->order;
    for (size_t i = 0; i < m; i++)
        p->packed[i] = diffs[p->order + i] - (uint64_t)base;
    if (p->order == 0)
        p->first = (uint64_t)base;
    else
        p->least = (uint64_t)base;
    plan_width(p, m);
    p->bytes += varint_size((uint64_t)base << 1 ^ (uint64_t)(base >> 63));
    if (p->order == 2)
        p->bytes += varint_size(p->step << 1 ^ (uint64_t)((int64_t)p->step >> 63));
}

/* The three smallest of v[0..count), ascending; count > 0. */
static void smallest_three(const uint64_t *v, size_t count, int64_t least[3])
{
    least[0] = least[1] = least[2] = INT64_MAX;
    for (size_t i = 0; i < count; i++) {
        int64_t x = (int64_t)v[i];
        if (x >= least[2])
            continue;
        least[2] = x < least[1] ? least[1] : x;
        if (x < least[1]) {
            least[1] = x < least[0] ? least[0] : x;
            least[0] = x < least[0] ? x : least[0];
        }
    }
}

/* Keeps in *best the better of it and the plan of this order. */
static void plan_order(struct plan *best, const uint64_t *diffs, size_t count, unsigned order)
{
    struct plan plan = {.order = order, .count = count, .first = diffs[0]};
    int64_t least[3];
    smallest_three(diffs + order, count - order, least);
    plan.step = order == 2 ? diffs[1] : 0;
    plan_base(&plan, diffs, least[0]);
    if (order == 0 || plan.bytes < best->bytes)
        *best = plan;
    if (count > 16 && (uint64_t)least[2] - (uint64_t)least[0] > 64) {
        plan_base(&plan, diffs, least[2]);
        if (plan.bytes < best->bytes)
            *best = plan;
    }
}

static void plan_pack(struct plan *best, const int64_t *in, size_t count)
{
    uint64_t diffs[CODEC_PACK_COUNT];
    memcpy(diffs, in, count * sizeof *diffs);
    plan_order(best, diffs, count, 0);
    for (unsigned order = 1; order < ORDERS && order < count; order++) {
        for (size_t i = count - 1; i >= order; i--)
            diffs[i] -= diffs[i - 1];
        plan_order(best, diffs, count, order);
    }
}

/* Appends the low `width` bits of each of v[0..m). */
static void bits_append(struct buffer *out, const uint64_t *v, size_t m, unsigned width)
{
    size_t bytes = packed_size(m, width);
    uint8_t *p = (uint8_t *)buffer_reserve(out, bytes);
    if (!p || bytes == 0)
        return;
    codec_u128 acc = 0;
    unsigned held = 0;
    size_t pos = 0;
    uint64_t mask = width == 64 ? UINT64_MAX : (UINT64_C(1) << width) - 1;
    for (size_t i = 0; i < m; i++) {
        acc |= (codec_u128)(v[i] & mask) << held;
        held += width;
        for (; held >= 8; held -= 8, acc >>= 8)
            p[pos++] = (uint8_t)acc;
    }
    if (held > 0)
        p[pos++] = (uint8_t)acc;
    ASSERT(pos == bytes);
    buffer_advance(out, bytes);
}

static size_t patches_append(struct buffer *out, const struct plan *p)
{
    size_t before = out->len, m = p->count - p->order;
    if (p->patch_count == 0)
        return 0;
    for (size_t i = 0; i < m; i++) {
        if (codec_bit_width(p->packed[i]) > p->width) {
            buffer_append_u8(out, (uint8_t)i);
            buffer_append_varint(out, p->packed[i] >> p->width);
        }
    }
    return out->len - before;
}

static void entry_append(struct buffer *out, const struct plan *p, uint64_t first_before,
                         size_t patch_bytes)
{
    if (p->patch_count > 0) {
        buffer_append_u8(out, PATCHED);
        buffer_append_varint(out, p->patch_count);
        buffer_append_varint(out, patch_bytes);
    }
    buffer_append_u8(out, (uint8_t)(p->order * WIDTHS + p->width));
    buffer_append_svarint(out, (int64_t)(p->first - first_before));
    if (p->order == 2)
        buffer_append_svarint(out, (int64_t)p->step);
    if (p->order >= 1)
        buffer_append_svarint(out, (int64_t)p->least);
}

void codec_integers_encode(struct buffer *out, const int64_t *in, size_t count)
{
    ASSERT(count <= CODEC_COUNT_MAX);
    size_t packs = (count + CODEC_PACK_COUNT - 1) / CODEC_PACK_COUNT;
    struct buffer directory, payload;
    buffer_init(&directory, MEM_BLOCK, packs * DIRECTORY_ENTRY_BYTES_MAX + 16);
    buffer_init(&payload, MEM_BLOCK,
                count * 19 + 16); /* 8 packed, 11 in a patch: never both full */
    uint64_t first_before = 0;
    for (size_t k = 0; k < packs; k++) {
        size_t from = k * CODEC_PACK_COUNT;
        size_t n = count - from < CODEC_PACK_COUNT ? count - from : CODEC_PACK_COUNT;
        struct plan best;
        plan_pack(&best, in + from, n);
        bits_append(&payload, best.packed, n - best.order, best.width);
        entry_append(&directory, &best, first_before, patches_append(&payload, &best));
        first_before = best.first;
    }
    if (directory.failed || payload.failed)
        out->failed = true;
    buffer_append_varint(out, directory.len);
    buffer_append_view(out, buffer_view(&directory));
    buffer_append_view(out, buffer_view(&payload));
    buffer_deinit(&directory);
    buffer_deinit(&payload);
}

/* --- decode -------------------------------------------------------------------------------------- */

/* Reads the next entry; `pack` holds the one before (zeros at first). Fails r on what cannot be. */
static void pack_next(struct pack *pack, struct reader *r, size_t count)
{
    pack->offset += pack->packed_bytes + pack->patch_bytes;
    pack->patch_count = pack->patch_bytes = 0;
    pack->count = count;
    unsigned head = reader_u8(r);
    if (UNLIKELY(head == PATCHED)) {
        pack->patch_count = reader_varint(r);
        pack->patch_bytes = reader_varint(r);
        head = reader_u8(r);
        if (pack->patch_count > CODEC_PACK_COUNT || pack->patch_bytes > CODEC_PACK_COUNT * 11)
            reader_fail(r);
    }
    pack->order = head / WIDTHS;
    pack->width = head % WIDTHS;
    if (pack->order >= ORDERS || pack->order >= count ||
        (pack->patch_count > 0 && pack->width == 64)) {
        reader_fail(r);
        return;
    }
    pack->packed_bytes = packed_size(count - pack->order, pack->width);
    pack->first += (uint64_t)reader_svarint(r);
    pack->step = pack->order == 2 ? (uint64_t)reader_svarint(r) : 0;
    pack->least = pack->order >= 1 ? (uint64_t)reader_svarint(r) : 0;
}

bool codec_integers_open(struct codec_integers *c, struct reader *r, size_t count)
{
    *c = (struct codec_integers){.count = count};
    if (count > CODEC_COUNT_MAX) {
        reader_fail(r);
        return false;
    }
    uint64_t directory_bytes = reader_varint(r);
    if (directory_bytes > reader_left(r)) {
        reader_fail(r);
        return false;
    }
    c->directory = reader_bytes(r, (size_t)directory_bytes);
    struct reader walk = reader_from(c->directory);
    struct pack pack = {0};
    for (size_t from = 0; from < count && !walk.failed; from += CODEC_PACK_COUNT)
        pack_next(&pack, &walk, count - from < CODEC_PACK_COUNT ? count - from : CODEC_PACK_COUNT);
    if (walk.failed || reader_left(&walk) != 0) {
        reader_fail(r);
        return false;
    }
    c->payload = reader_bytes(r, pack.offset + pack.packed_bytes + pack.patch_bytes);
    return !r->failed;
}

/* Eight numbers at a time: the k-th group begins at byte k * width. `src` must have 8 readable bytes
 * after what is read. With a constant width (see below) shifts and offsets are constants: measured
 * 0.4 ns a number, bench/codec_bench.c "unpack". */
static inline __attribute__((always_inline)) void
unpack_groups(const uint8_t *restrict src, size_t groups, unsigned width, uint64_t *restrict out)
{
    uint64_t mask = (UINT64_C(1) << width) - 1;
    for (size_t g = 0; g < groups; g++, src += width, out += 8)
        for (unsigned j = 0; j < 8; j++)
            out[j] = codec_load64(src + j * width / 8) >> (j * width % 8) & mask;
}

/* Widths past 57 do not fit one shifted load. */
static NOINLINE void unpack_wide(const uint8_t *src, size_t groups, unsigned width, uint64_t *out)
{
    uint64_t mask = width == 64 ? UINT64_MAX : (UINT64_C(1) << width) - 1;
    for (size_t i = 0; i < groups * 8; i++) {
        size_t bit = i * width;
        unsigned shift = bit % 8;
        uint64_t v = codec_load64(src + bit / 8) >> shift;
        if (shift + width > 64)
            v |= (uint64_t)src[bit / 8 + 8] << (64 - shift);
        out[i] = v & mask;
    }
}

static NOINLINE void unpack(const uint8_t *src, size_t groups, unsigned width, uint64_t *out)
{
    /* clang-format off */
    switch (width) {
#define W(n) case n: unpack_groups(src, groups, n, out); return;
    W(1) W(2) W(3) W(4) W(5) W(6) W(7) W(8) W(9) W(10) W(11) W(12) W(13) W(14) W(15) W(16)
    W(17) W(18) W(19) W(20) W(21) W(22) W(23) W(24) W(32)
#undef W
    case 0:
        memset(out, 0, groups * 8 * sizeof *out);
        return;
    default:
        if (width <= 57)
            unpack_groups(src, groups, width, out);
        else
            unpack_wide(src, groups, width, out);
    }
    /* clang-format on */
}

static void patches_apply(uint64_t *packed, const struct pack *pack, struct view bytes)
{
    struct reader r = reader_from(bytes);
    for (size_t i = 0; i < pack->patch_count; i++) {
        unsigned place = reader_u8(&r) % CODEC_PACK_COUNT;
        packed[place] |= reader_varint(&r) << pack->width;
    }
}

/* out has room for a whole pack. */
static void pack_restore(const struct pack *pack, const uint64_t *restrict packed,
                         uint64_t *restrict out)
{
    size_t n = pack->count;
    uint64_t v = pack->first, least = pack->least, d = pack->step;
    if (pack->order == 0) {
        for (size_t i = 0; i < n; i++)
            out[i] = packed[i] + v;
    } else if (pack->order == 1) {
        out[0] = v;
        for (size_t i = 1; i < n; i++)
            out[i] = v += packed[i - 1] + least;
    } else {
        out[0] = v;
        out[1] = v += d;
        for (size_t i = 2; i < n; i++) {
            d += packed[i - 2] + least;
            out[i] = v += d;
        }
    }
}

static void pack_decode(const struct codec_integers *c, const struct pack *pack, uint64_t *out)
{
    uint64_t packed[CODEC_PACK_COUNT];
    uint8_t tail[CODEC_PACK_COUNT * 8 + 16];
    const uint8_t *src = (const uint8_t *)c->payload.ptr + pack->offset;
    size_t groups = (pack->count - pack->order + 7) / 8;
    ASSERT(pack->offset + pack->packed_bytes + pack->patch_bytes <= c->payload.len);
    /* Loads are of eight bytes, and the last group may be short: near the end work on a copy. */
    if (c->payload.len - pack->offset < groups * pack->width + 8) {
        memset(tail, 0, groups * pack->width + 8);
        if (pack->packed_bytes)
            memcpy(tail, src, pack->packed_bytes);
        unpack(tail, groups, pack->width, packed);
    } else {
        unpack(src, groups, pack->width, packed);
    }
    if (UNLIKELY(pack->patch_count > 0))
        patches_apply(packed, pack,
                      view_slice(c->payload, pack->offset + pack->packed_bytes,
                                 pack->offset + pack->packed_bytes + pack->patch_bytes));
    pack_restore(pack, packed, out);
}

void codec_integers_decode(const struct codec_integers *c, size_t from, size_t to, int64_t *out)
{
    ASSERT(from <= to && to <= c->count);
    struct reader r = reader_from(c->directory);
    struct pack pack = {0};
    for (size_t start = 0; start < to; start += CODEC_PACK_COUNT) {
        size_t n = c->count - start < CODEC_PACK_COUNT ? c->count - start : CODEC_PACK_COUNT;
        pack_next(&pack, &r, n);
        ASSERT(!r.failed); /* walked by codec_integers_open() */
        if (start + n <= from)
            continue;
        if (start >= from && start + n <= to) {
            pack_decode(c, &pack, (uint64_t *)out + (start - from));
        } else {
            uint64_t whole[CODEC_PACK_COUNT];
            pack_decode(c, &pack, whole);
            size_t a = start < from ? from - start : 0, b = start + n > to ? to - start : n;
            memcpy(out + (start + a - from), whole + a, (b - a) * sizeof *out);
        }
    }
}
