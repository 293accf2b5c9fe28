/* SPDX-License-Identifier: Apache-2.0 */
/* strip.c: one column of 8 rows. The form byte says how many bytes follow, so that a column's place is
 * the sum of the sizes before it:
 *
 *   form        data                                      when
 *   0..56       8 deltas, zigzag, of this many bits       full; integers n / 10^e as in the strip before
 *   0x40        8 doubles                                 full; nothing shorter
 *   0x41        -                                         full; the last value of the strip before, 8 times
 *   0x80 | e    width u8 | n of row 0, 8 bytes | deltas   full; integers n / 10^e, e in 0..9
 *   0xa0        1 double                                  full; 8 times the same
 *   0xc0 | k    presence u8 | k doubles                   k < 8 rows are there; k = 0: nothing at all
 *
 * An idle counter costs its form byte: one byte for 8 samples. A gap is rare, and costs raw doubles
 * until the extent is made. */
#include "storage/strip.h"

#include "base/assert.h"
#include "storage/bit_pack.h"
#include "storage/decimal.h"

enum {
    FORM_RAW = 0x40,
    FORM_SAME = 0x41,
    FORM_BASE = 0x80,
    FORM_CONSTANT = 0xa0,
    FORM_GAPS = 0xc0
};

static size_t encode_gaps(const double *values, uint8_t present, uint8_t *form, uint8_t *out)
{
    size_t count = 0;
    for (unsigned i = 0; i < STRIP_ROWS; i++) {
        if (present >> i & 1)
            memcpy(out + 1 + 8 * count++, &values[i], 8);
    }
    *form = (uint8_t)(FORM_GAPS | count);
    if (count == 0)
        return 0;
    out[0] = present;
    return 1 + 8 * count;
}

static bool all_same(const double *values)
{
    uint64_t first = sample_bits(values[0]), differ = 0;
    for (unsigned i = 1; i < STRIP_ROWS; i++)
        differ |= sample_bits(values[i]) ^ first;
    return differ == 0;
}

static bool to_integers(const double *values, unsigned e, int64_t *n)
{
    for (unsigned i = 0; i < STRIP_ROWS; i++) {
        if (!decimal_from(values[i], e, &n[i]))
            return false;
    }
    return true;
}

/* Deltas of n against the value before; returns the bits that the widest takes. */
static unsigned deltas_make(const int64_t *n, int64_t before, uint64_t *deltas)
{
    uint64_t all = 0;
    for (unsigned i = 0; i < STRIP_ROWS; i++) {
        deltas[i] = bit_pack_zigzag(n[i] - before);
        all |= deltas[i];
        before = n[i];
    }
    return bit_pack_width(all);
}

size_t strip_encode(const double *values, uint8_t present, double last, uint8_t *chain,
                    uint8_t *form, uint8_t *out)
{
    int64_t n[STRIP_ROWS], before;
    uint64_t deltas[STRIP_ROWS];

    if (UNLIKELY(present != 0xff)) {
        *chain = present >> 7 ? STRIP_CHAIN_RAW : STRIP_CHAIN_BROKEN;
        return encode_gaps(values, present, form, out);
    }
    if (all_same(values)) {
        if (*chain != STRIP_CHAIN_BROKEN && sample_bits(last) == sample_bits(values[0])) {
            *form = FORM_SAME;
            return 0;
        }
        *chain = STRIP_CHAIN_RAW;
        *form = FORM_CONSTANT;
        memcpy(out, values, 8);
        return 8;
    }
    if (*chain <= DECIMAL_EXPONENT_MAX && to_integers(values, *chain, n) &&
        decimal_from(last, *chain, &before)) {
        unsigned width = deltas_make(n, before, deltas);
        if (width <= BIT_PACK_WIDTH_MAX) {
            *form = (uint8_t)width;
            bit_pack_write(out, deltas, STRIP_ROWS, width);
            return width;
        }
    }
    unsigned e = decimal_find(values[0], 0, &n[0]);
    for (unsigned i = 1; i < STRIP_ROWS && e <= DECIMAL_EXPONENT_MAX; i++)
        e = decimal_find(values[i], e, &n[i]);
    if (e <= DECIMAL_EXPONENT_MAX && to_integers(values, e, n)) {
        unsigned width = deltas_make(n, n[0], deltas);
        if (width <= BIT_PACK_WIDTH_MAX - 9) { /* else raw is as short */
            *form = (uint8_t)(FORM_BASE | e);
            *chain = (uint8_t)e;
            out[0] = (uint8_t)width;
            memcpy(out + 1, &n[0], 8);
            bit_pack_write(out + 9, deltas, STRIP_ROWS, width);
            return 9 + width;
        }
    }
    *chain = STRIP_CHAIN_RAW;
    *form = FORM_RAW;
    memcpy(out, values, 8 * STRIP_ROWS);
    return 8 * STRIP_ROWS;
}

static void decode_deltas(struct strip_state *state, int64_t before, const uint8_t *data,
                          unsigned width, double *out)
{
    int64_t n[STRIP_ROWS];
    for (unsigned i = 0; i < STRIP_ROWS; i++) {
        before += bit_pack_unzigzag(bit_pack_get(data, i, width));
        n[i] = before;
    }
    for (unsigned i = 0; i < STRIP_ROWS; i++)
        out[i] = decimal_to(n[i], state->chain);
    state->n = before;
    state->last = out[STRIP_ROWS - 1];
}

static uint8_t decode_gaps(struct strip_state *state, uint8_t form, const uint8_t *data,
                           double *out)
{
    uint8_t present = form == FORM_GAPS ? 0 : data[0];
    const uint8_t *next = data + 1;
    for (unsigned i = 0; i < STRIP_ROWS; i++) {
        if (present >> i & 1) {
            memcpy(&out[i], next, 8);
            next += 8;
        }
    }
    state->chain = STRIP_CHAIN_BROKEN;
    if (present >> 7) {
        state->chain = STRIP_CHAIN_RAW;
        state->last = out[STRIP_ROWS - 1];
    }
    return present;
}

uint8_t strip_decode(struct strip_state *state, uint8_t form, const uint8_t *data, double *out)
{
    if (form <= BIT_PACK_WIDTH_MAX) {
        ASSERT_SLOW(state->chain <= DECIMAL_EXPONENT_MAX);
        decode_deltas(state, state->n, data, form, out);
    } else if (form >= FORM_GAPS) {
        return decode_gaps(state, form, data, out);
    } else if (form == FORM_RAW) {
        memcpy(out, data, 8 * STRIP_ROWS);
        state->chain = STRIP_CHAIN_RAW;
        state->last = out[STRIP_ROWS - 1];
    } else if (form == FORM_SAME || form == FORM_CONSTANT) {
        if (form == FORM_CONSTANT) {
            memcpy(&state->last, data, 8);
            state->chain = STRIP_CHAIN_RAW;
        }
        for (unsigned i = 0; i < STRIP_ROWS; i++)
            out[i] = state->last;
    } else {
        memcpy(&state->n, data + 1, 8);
        state->chain = form & 0x0f;
        decode_deltas(state, state->n, data + 9, data[0], out);
    }
    return 0xff;
}
