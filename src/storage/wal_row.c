/* SPDX-License-Identifier: Apache-2.0 */
/* wal_row.c
 *
 *   row    := flags u8 | group varint | row number varint | time svarint | slot count varint
 *             | ids            key row: per slot svarint (id + 1) - (id + 1 of the slot before); 0 = none
 *             | new slots      else, if flagged: count varint, then { slot varint | series varint }
 *             | present        unless all are: a bit per slot
 *             | changed        a bit per slot
 *             | value ...      of each changed slot, in order
 *   flags  := 1 key row | 2 all present | 4 new slots
 *   value  := code u8 | bytes; code = e << 4 | byte count: the zigzag delta of n, where value and base
 *             are both n / 10^e; e = 15: value and base as bits, XOR
 *
 * The base of a slot is its value in the group's row before, and 0 where that has none or the row is a
 * key row. A cell that is there and not changed has the bits of its base. Idle counters cost two bits.
 * About 2 ns for a cell that did not change, 5 for one that did. */
#include "storage/wal_row.h"

#include "base/assert.h"
#include "storage/bit_pack.h"
#include "storage/decimal.h"
#include "storage/extent.h"

enum { FLAG_KEY = 1, FLAG_ALL_PRESENT = 2, FLAG_NEW_SLOTS = 4, FLAGS_KNOWN = 7 };
enum { CODE_BITS = 15 };

/* --- encoding --- */

static uint64_t word_mask(uint32_t slot_count, size_t word)
{
    size_t left = slot_count - word * 64;
    return left >= 64 ? UINT64_MAX : (UINT64_C(1) << left) - 1;
}

static bool all_present(const struct wal_row *row)
{
    for (size_t w = 0; w < row_words(row->slot_count); w++) {
        if (row->cells.present[w] != word_mask(row->slot_count, w))
            return false;
    }
    return true;
}

static void append_ids(struct buffer *b, const struct wal_row *row)
{
    int64_t before = 0;
    for (uint32_t i = 0; i < row->slot_count; i++) {
        int64_t id = row->ids[i] == SLOT_EMPTY ? 0 : (int64_t)row->ids[i] + 1;
        buffer_append_svarint(b, id - before);
        before = id;
    }
}

static void append_new_slots(struct buffer *b, const struct wal_row *row)
{
    buffer_append_varint(b, row->new_slot_count);
    for (uint32_t i = 0; i < row->new_slot_count; i++) {
        buffer_append_varint(b, row->new_slots[i].slot);
        buffer_append_varint(b, row->new_slots[i].series);
    }
}

static double base_of(const struct wal_row *row, size_t slot)
{
    if (row->is_key || !(row->before.present[slot / 64] >> (slot & 63) & 1))
        return 0;
    return row->before.values[slot];
}

/* Which cells of a word differ from their base, as a bit each. The common word (all there now and
 * before) is a loop without branches. */
static uint64_t changed_word(const struct wal_row *row, size_t word)
{
    uint64_t present = row->cells.present[word], changed = 0;
    const double *values = row->cells.values + word * 64;
    if (!row->is_key && present == UINT64_MAX && row->before.present[word] == UINT64_MAX) {
        const double *before = row->before.values + word * 64;
        for (unsigned i = 0; i < 64; i++)
            changed |= (uint64_t)(sample_bits(values[i]) != sample_bits(before[i])) << i;
        return changed;
    }
    for (uint64_t left = present; left != 0; left &= left - 1) {
        unsigned i = (unsigned)__builtin_ctzll(left);
        if (sample_bits(values[i]) != sample_bits(base_of(row, word * 64 + i)))
            changed |= UINT64_C(1) << i;
    }
    return changed;
}

static unsigned byte_count(uint64_t v)
{
    return v == 0 ? 0 : 8u - (unsigned)__builtin_clzll(v) / 8;
}

static uint8_t *put_value(uint8_t *out, double value, double base, uint8_t *decimals)
{
    int64_t n, n_base;
    uint64_t bits;
    unsigned code = CODE_BITS, e = *decimals <= DECIMAL_EXPONENT_MAX ? *decimals : 0;
    bool fits = decimal_from(value, e, &n) && decimal_from(base, e, &n_base);
    if (!fits && *decimals <= DECIMAL_EXPONENT_MAX && !sample_is_stale(value)) {
        e = decimal_find(value, e, &n);
        fits = e <= DECIMAL_EXPONENT_MAX && decimal_from(base, e, &n_base);
        /* Noise is not searched again: the next strip that holds decimals resets this. */
        *decimals = e <= DECIMAL_EXPONENT_MAX ? (uint8_t)e : UINT8_MAX;
    }
    if (fits) {
        bits = bit_pack_zigzag(n - n_base);
        code = e;
    } else {
        bits = sample_bits(value) ^ sample_bits(base);
    }
    unsigned bytes = byte_count(bits);
    *out++ = (uint8_t)(code << 4 | bytes);
    memcpy(out, &bits, 8); /* the caller keeps room for all eight */
    return out + bytes;
}

uint8_t *wal_value_put(uint8_t *out, double value, double base, uint8_t *decimals)
{
    return put_value(out, value, base, decimals);
}

void wal_row_encode(struct buffer *b, const struct wal_row *row)
{
    _Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
                   "bits are stored as they lie in memory");
    bool all = all_present(row);
    size_t bitmap_bytes = ((size_t)row->slot_count + 7) / 8, words = row_words(row->slot_count);

    buffer_append_u8(b, (uint8_t)((row->is_key ? FLAG_KEY : 0) | (all ? FLAG_ALL_PRESENT : 0) |
                                  (!row->is_key && row->new_slot_count > 0 ? FLAG_NEW_SLOTS : 0)));
    buffer_append_varint(b, row->group);
    buffer_append_varint(b, row->row);
    buffer_append_svarint(b, row->timestamp_ms);
    buffer_append_varint(b, row->slot_count);
    if (row->is_key)
        append_ids(b, row);
    else if (row->new_slot_count > 0)
        append_new_slots(b, row);
    if (!all)
        buffer_append(b, row->cells.present, bitmap_bytes);
    size_t changed_at = b->len;
    uint8_t *out =
        (uint8_t *)buffer_reserve(b, words * 8 + (size_t)row->slot_count * WAL_VALUE_BYTES_MAX + 8);
    if (!out)
        return;
    uint8_t *bitmap = out;
    out += bitmap_bytes;
    for (size_t w = 0; w < words; w++) {
        uint64_t changed = changed_word(row, w);
        /* The last word's spare bytes are overwritten by values below only after it was stored. */
        size_t bytes = bitmap_bytes - w * 8 < 8 ? bitmap_bytes - w * 8 : 8;
        memcpy(bitmap + w * 8, &changed, bytes);
        for (; changed != 0; changed &= changed - 1) {
            size_t slot = w * 64 + (unsigned)__builtin_ctzll(changed);
            out = put_value(out, row->cells.values[slot], base_of(row, slot), &row->decimals[slot]);
        }
    }
    ASSERT(b->len == changed_at);
    buffer_advance(b, (size_t)(out - bitmap));
}

/* --- decoding --- */

bool wal_row_decode_head(struct reader *r, struct wal_row_head *out)
{
    uint8_t flags = reader_u8(r);
    uint64_t group = reader_varint(r);
    out->row = reader_varint(r);
    out->timestamp_ms = reader_svarint(r);
    uint64_t slots = reader_varint(r);
    uint64_t new_slots = 0;
    out->is_key = flags & FLAG_KEY;
    if (flags & FLAG_NEW_SLOTS)
        new_slots = reader_varint(r);
    if (r->failed || (flags & ~FLAGS_KNOWN) || group >= UINT32_MAX || slots == 0 ||
        (slots + 7) / 8 > reader_left(r) || slots > UINT32_MAX / 2 || new_slots > slots ||
        (out->is_key && (slots > reader_left(r) || new_slots > 0)))
        return false;
    out->group = (uint32_t)group;
    out->slot_count = (uint32_t)slots;
    out->new_slot_count = (uint32_t)new_slots;
    out->all_present = flags & FLAG_ALL_PRESENT;
    return true;
}

bool wal_row_decode_ids(struct reader *r, const struct wal_row_head *head, uint32_t *ids)
{
    uint64_t id = 0; /* one more than the id; wraps instead of overflowing */
    for (uint32_t i = 0; i < head->slot_count; i++) {
        id += (uint64_t)reader_svarint(r);
        if (r->failed || id > SLOT_EMPTY)
            return false;
        ids[i] = id == 0 ? SLOT_EMPTY : (uint32_t)(id - 1);
    }
    return true;
}

bool wal_row_decode_new_slot(struct reader *r, const struct wal_row_head *head,
                             struct wal_new_slot *out)
{
    uint64_t slot = reader_varint(r), series = reader_varint(r);
    if (r->failed || slot >= head->slot_count || series >= SLOT_EMPTY)
        return false;
    *out = (struct wal_new_slot){(uint32_t)slot, (uint32_t)series};
    return true;
}

static bool decode_value(struct reader *r, double base, double *out)
{
    uint8_t code = reader_u8(r);
    unsigned e = code >> 4, bytes = code & 0x0f;
    uint64_t bits = 0;
    if (bytes > 8)
        return false;
    struct view raw = reader_bytes(r, bytes);
    if (r->failed)
        return false;
    if (bytes > 0)
        memcpy(&bits, raw.ptr, bytes);
    if (e == CODE_BITS) {
        *out = sample_from_bits(sample_bits(base) ^ bits);
        return true;
    }
    int64_t n;
    if (e > DECIMAL_EXPONENT_MAX || !decimal_from(base, e, &n))
        return false;
    *out = decimal_to((int64_t)((uint64_t)n + (uint64_t)bit_pack_unzigzag(bits)), e);
    return true;
}

bool wal_value_get(struct reader *r, double base, double *out)
{
    return decode_value(r, base, out);
}

/* A bitmap of slot_count bits as words; spare bits must be 0. */
static bool decode_bitmap(struct view raw, uint32_t slot_count, uint64_t *out)
{
    size_t words = row_words(slot_count);
    out[words - 1] = 0;
    memcpy(out, raw.ptr, raw.len);
    return (out[words - 1] & ~word_mask(slot_count, words - 1)) == 0;
}

static void copy_base(const struct wal_row_head *head, struct row_cells before, double *values)
{
    if (head->is_key) {
        memset(values, 0, (size_t)head->slot_count * sizeof *values);
        return;
    }
    memcpy(values, before.values, (size_t)head->slot_count * sizeof *values);
    for (size_t w = 0; w < row_words(head->slot_count); w++) {
        uint64_t absent = ~before.present[w] & word_mask(head->slot_count, w);
        for (; absent != 0; absent &= absent - 1)
            values[w * 64 + (unsigned)__builtin_ctzll(absent)] = 0;
    }
}

bool wal_row_decode_cells(struct reader *r, const struct wal_row_head *head,
                          struct row_cells before, double *values, uint64_t *present)
{
    size_t bitmap_bytes = ((size_t)head->slot_count + 7) / 8, words = row_words(head->slot_count);
    if (head->all_present) {
        for (size_t w = 0; w < words; w++)
            present[w] = word_mask(head->slot_count, w);
    } else {
        struct view raw = reader_bytes(r, bitmap_bytes);
        if (r->failed || !decode_bitmap(raw, head->slot_count, present))
            return false;
    }
    copy_base(head, before, values);
    struct view changed_bytes = reader_bytes(r, bitmap_bytes);
    if (r->failed)
        return false;
    for (size_t w = 0; w < words; w++) {
        uint64_t changed = 0;
        memcpy(&changed, changed_bytes.ptr + w * 8,
               bitmap_bytes - w * 8 < 8 ? bitmap_bytes - w * 8 : 8);
        if (changed & ~present[w])
            return false;
        for (; changed != 0; changed &= changed - 1) {
            double *cell = &values[w * 64 + (unsigned)__builtin_ctzll(changed)];
            if (!decode_value(r, *cell, cell))
                return false;
        }
    }
    return reader_left(r) == 0 && !r->failed;
}
