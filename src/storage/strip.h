/* SPDX-License-Identifier: Apache-2.0 */
/* strip.h: a full tile, packed: 8 rows of a group by column. Layout: strip.c. Memory only. */
#ifndef BELFRY_STORAGE_STRIP_H
#define BELFRY_STORAGE_STRIP_H

#include "base/attributes.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { STRIP_ROWS = 8 };

/* What a column looked like at the end of the strip before. Encoder and decoder go through the same
 * states. */
enum strip_chain {
    STRIP_CHAIN_BROKEN = 255, /* the last row is not there */
    STRIP_CHAIN_RAW = 254 /* its value is known; else 0..9: it is a decimal with that exponent */
};

struct strip {
    uint32_t slot_count;
    uint32_t data_bytes;
    int64_t times[STRIP_ROWS];
    uint8_t bytes[]; /* a form byte per slot, then the data of each, then slack */
};

/* Packs a column: values[0..8), a presence bit per row. `last` and *chain describe the strip before;
 * *chain is updated (the new last value is values[7]). Writes at most STRIP_COLUMN_BYTES_MAX bytes to
 * `out`, returns their number and the form. About 5 ns for integers. */
enum { STRIP_COLUMN_BYTES_MAX = 72 };
size_t strip_encode(const double *values, uint8_t present, double last, uint8_t *chain,
                    uint8_t *form, uint8_t *out);

/* Walks one column through the strips of a run; begins broken. */
struct strip_state {
    double last;
    int64_t n;
    uint8_t chain;
};
/* Unpacks into out[0..8) and returns the presence bits. */
uint8_t strip_decode(struct strip_state *state, uint8_t form, const uint8_t *data, double *out);

/* Bytes that a column of this form takes. */
static inline size_t strip_column_bytes(uint8_t form, const uint8_t *data)
{
    if (form <= 0x40) /* integers (their width), or raw */
        return form;
    if (form < 0x80)
        return 0;
    if (form < 0xa0)
        return 9u + data[0];
    if (form < 0xc0)
        return 8;
    return form == 0xc0 ? 0 : 1 + 8 * (size_t)(form - 0xc0);
}

#endif
