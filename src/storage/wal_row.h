/* SPDX-License-Identifier: Apache-2.0 */
/* wal_row.h: a row of a group as bytes. Format: wal_row.c. */
#ifndef BELFRY_STORAGE_WAL_ROW_H
#define BELFRY_STORAGE_WAL_ROW_H

#include "base/attributes.h"
#include "base/buffer.h"
#include "base/reader.h"

#include <stdbool.h>
#include <stdint.h>

/* A row in memory: cells by slot. Bits at and above slot_count are 0. */
struct row_cells {
    const double *values;
    const uint64_t *present;
};

static inline size_t row_words(uint32_t slot_count)
{
    return ((size_t)slot_count + 63) / 64;
}

struct wal_new_slot {
    uint32_t slot, series;
};

struct wal_row {
    bool is_key;
    uint32_t group;
    uint64_t row;
    int64_t timestamp_ms; /* of a key row; else since the row before */
    uint32_t slot_count;
    /* Key row: the series of each slot (SLOT_EMPTY: none). */
    const uint32_t *ids;
    /* Other rows: slots that hold another series than in the row before. */
    const struct wal_new_slot *new_slots;
    uint32_t new_slot_count;
    struct row_cells cells;
    struct row_cells before; /* the group's row before, as wide as this one; unused in a key row */
    uint8_t
        *decimals; /* by slot: the exponent to try first, 255 = noise; the encoder keeps it up */
};

void wal_row_encode(struct buffer *b, const struct wal_row *row);

/* One value against its base, as wal_row.c lays it out. Up to 8 bytes behind the returned end are
 * overwritten. `decimals` as in wal_row. */
enum { WAL_VALUE_BYTES_MAX = 9 };
uint8_t *wal_value_put(uint8_t *out, double value, double base, uint8_t *decimals);
MUST_USE bool wal_value_get(struct reader *r, double base, double *out);

/* Decoding goes in two steps: the head says which group and how wide, so that the caller can find the
 * row before; the body fills the cells. */
struct wal_row_head {
    bool is_key, all_present;
    uint32_t group;
    uint64_t row;
    int64_t timestamp_ms;
    uint32_t slot_count;
    uint32_t new_slot_count;
};
/* False for a malformed payload. A payload holds at least a bit per slot. */
MUST_USE bool wal_row_decode_head(struct reader *r, struct wal_row_head *out);
/* Key row: ids[0..slot_count). */
MUST_USE bool wal_row_decode_ids(struct reader *r, const struct wal_row_head *head, uint32_t *ids);
/* One of new_slot_count. */
MUST_USE bool wal_row_decode_new_slot(struct reader *r, const struct wal_row_head *head,
                                      struct wal_new_slot *out);
/* `before` as in wal_row; NULL pointers in a key row. Fills values[0..slot_count) and present. On false
 * their content is unspecified. */
MUST_USE bool wal_row_decode_cells(struct reader *r, const struct wal_row_head *head,
                                   struct row_cells before, double *values, uint64_t *present);

#endif
