/* SPDX-License-Identifier: Apache-2.0 */
/* extent.h: up to 64 sealed rows of a group, packed by column. Immutable, shared by reference.
 * Layout of a column: extent.c. Memory only. */
#ifndef BELFRY_STORAGE_EXTENT_H
#define BELFRY_STORAGE_EXTENT_H

#include "base/attributes.h"
#include "base/buffer.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum { EXTENT_ROWS_MAX = 64 };

/* Which series each slot holds. A slot is given a series once; to take it away there is a new map, so
 * that ids are never implied by the slot. ids are read with slot_map_get(), any thread. */
struct slot_map {
    atomic_uint refs;
    uint32_t capacity;
    uint32_t ids[]; /* SLOT_EMPTY = no series */
};
#define SLOT_EMPTY UINT32_MAX
#define SLOT_UNKNOWN (UINT32_MAX - 1) /* a series that the log lost: its cells are nobody's */

struct slot_map *slot_map_new(uint32_t capacity);
static inline uint32_t slot_map_get(const struct slot_map *m, uint32_t slot)
{
    return __atomic_load_n(&m->ids[slot], __ATOMIC_RELAXED);
}
static inline void slot_map_set(struct slot_map *m, uint32_t slot, uint32_t series)
{
    __atomic_store_n(&m->ids[slot], series, __ATOMIC_RELAXED);
}
struct slot_map *slot_map_ref(struct slot_map *m);
void slot_map_unref(struct slot_map *m);

struct extent {
    atomic_uint refs;
    struct slot_map *map; /* referenced */
    uint32_t slot_count, row_count;
    uint64_t first_row;
    int64_t first_time, last_time;
    uint32_t bytes_len;
    uint32_t *offsets; /* of each slot's column in bytes, where the times come first */
    uint8_t *bytes;
};

struct extent *extent_ref(struct extent *x);
void extent_unref(struct extent *x);

/* Building: columns in slot order, then the times. */
struct extent_builder {
    struct extent *extent;
    struct buffer bytes;
    uint32_t slots_done;
};
void extent_builder_begin(struct extent_builder *b, struct slot_map *map, uint32_t slot_count,
                          uint64_t first_row, const int64_t *times, uint32_t row_count);
/* The next slot's values by row; a presence bit per row. */
void extent_builder_add(struct extent_builder *b, const double *values, uint64_t present);
/* The caller owns the one reference. */
struct extent *extent_builder_finish(struct extent_builder *b);

void extent_times(const struct extent *x, int64_t *out);
/* Unpacks row_count cells; returns the presence bits (absent cells are undefined). 1 to 2 ns a value. */
uint64_t extent_column(const struct extent *x, uint32_t slot, double *out);
bool extent_column_is_empty(const struct extent *x, uint32_t slot);

#endif
