/* SPDX-License-Identifier: Apache-2.0 */
/* extent_column.h: up to 64 values, or timestamps, as bytes. Layout: extent_column.c. Pure functions. */
#ifndef BELFRY_STORAGE_EXTENT_COLUMN_H
#define BELFRY_STORAGE_EXTENT_COLUMN_H

#include "base/attributes.h"
#include "base/buffer.h"

#include <stdbool.h>
#include <stdint.h>

/* The rows of an extent as a mask. rows: 1 to 64. */
static inline uint64_t extent_rows_mask(uint32_t rows)
{
    return rows == 64 ? UINT64_MAX : (UINT64_C(1) << rows) - 1;
}

/* Appends values by row; a presence bit per row. */
void extent_column_encode(struct buffer *b, const double *values, uint64_t present, uint32_t rows);
/* `bytes` must be exactly one column, with BIT_PACK_SLACK readable bytes behind it. Fills out[0..rows) and the
 * presence bits (absent cells are undefined); false for bytes that cannot be a column. */
MUST_USE bool extent_column_decode(struct view bytes, uint32_t rows, double *out,
                                   uint64_t *present);

void extent_times_encode(struct buffer *b, const int64_t *times, uint32_t rows);
/* As above (with slack); times ascend, and differences of them fit. */
MUST_USE bool extent_times_decode(struct view bytes, uint32_t rows, int64_t *out);

#endif
