/* SPDX-License-Identifier: Apache-2.0 */
/* extent.h: up to 64 sealed rows of a group, packed by column. Immutable, shared by reference. An extent is
 * made in memory; once it stands in a file (extent_store.h) only what a reader needs to find it stays, and
 * columns are read when they are asked for. Layout: extent.c. */
#ifndef BELFRY_STORAGE_EXTENT_H
#define BELFRY_STORAGE_EXTENT_H

#include "base/attributes.h"
#include "base/buffer.h"
#include "base/error.h"
#include "base/reader.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum { EXTENT_ROWS_MAX = 64, EXTENT_BUNDLE_SLOTS = 16 };

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

struct extent_file; /* extent_store.h */

/* One allocation: behind the struct stand a bit per slot (has cells; only when not all have), the end of
 * each bundle in the body, the times, and the body unless it is in a file. 72 bytes, then 4 per 16 slots. */
struct extent {
    atomic_uint refs;
    uint32_t slot_count;
    struct slot_map *map;     /* referenced */
    struct extent_file *file; /* referenced; NULL = the body is here and nowhere else */
    uint64_t body_offset;     /* in the file */
    uint64_t wal_segment; /* without a file: rows from this segment on are needed after a crash */
    uint64_t first_row;
    int64_t first_time, last_time;
    uint32_t body_bytes;
    uint16_t times_bytes;
    uint8_t row_count;
    bool all_occupied;
    uint64_t bytes[];
};

static inline uint32_t extent_bundle_count(uint32_t slot_count)
{
    return (slot_count + EXTENT_BUNDLE_SLOTS - 1) / EXTENT_BUNDLE_SLOTS;
}

struct extent *extent_ref(struct extent *x);
void extent_unref(struct extent *x);
/* The same without its body, which stands in `file` at `body_offset`. Owned by the caller. */
struct extent *extent_in_file(const struct extent *x, struct extent_file *file,
                              uint64_t body_offset);

/* Building: columns in slot order. */
struct extent_builder {
    struct extent *head; /* what is known of it; nothing stands behind it yet */
    uint64_t *occupied;
    uint32_t *ends;
    struct buffer times, body, columns; /* columns: of the open bundle */
    uint32_t lengths[EXTENT_BUNDLE_SLOTS];
    uint32_t slots_done;
};
void extent_builder_begin(struct extent_builder *b, struct slot_map *map, uint32_t slot_count,
                          uint64_t first_row, const int64_t *times, uint32_t row_count);
/* The next slot's values by row; a presence bit per row. */
void extent_builder_add(struct extent_builder *b, const double *values, uint64_t present);
/* The caller owns the one reference. */
struct extent *extent_builder_finish(struct extent_builder *b);

/* --- as bytes --- */

/* A record (wal_record.h) with the extent's head, unsealed; in a file its body follows. */
void extent_append_head(struct buffer *out, const struct extent *x, uint32_t group);
struct view extent_body(const struct extent *x); /* without a file only */

struct extent_head {
    uint32_t group, slot_count;
    uint64_t first_row;
    uint8_t row_count;
    bool all_occupied;
    struct view times;
};
/* Two steps, so that the caller can say which map the group had last. False for what cannot be a head. */
MUST_USE bool extent_head_decode(struct reader *r, struct extent_head *out);
/* The extent without its body, which is expected in `file` at `body_offset`; NULL for malformed bytes. When
 * its slots hold the same series as in `likely` (NULL = unknown) that map is shared, else *is_new_map. */
struct extent *extent_head_finish(struct reader *r, const struct extent_head *head,
                                  struct slot_map *likely, struct extent_file *file,
                                  uint64_t body_offset, bool *is_new_map);

/* --- reading --- */

void extent_times(const struct extent *x, int64_t *out);
/* Does any row have a cell there? */
bool extent_slot_is_occupied(const struct extent *x, uint32_t slot);

/* What a reader keeps of one extent: neighbours are read at once. Zero is empty. */
struct extent_window {
    uint8_t *bytes;
    size_t capacity;
    uint32_t first, end; /* bundles in `bytes` */
    uint32_t ahead;      /* bundles to read at once: grows while slots come in order */
    uint32_t bundle;     /* the open one, plus one; 0 = none */
    const uint8_t *columns[EXTENT_BUNDLE_SLOTS + 1];
};
/* For another extent; keeps the memory. */
void extent_window_reset(struct extent_window *w);
void extent_window_deinit(struct extent_window *w);
/* Unpacks row_count cells and the presence bits (absent cells are undefined). 1 to 2 ns a value, and a read of
 * about 1 KiB per 16 slots. ERROR_CORRUPT (damaged there; the file is marked) or ERROR_IO. */
MUST_USE bool extent_column(const struct extent *x, struct extent_window *w, uint32_t slot,
                            double *out, uint64_t *present, struct error *err);
/* Is every column whole? Reads the body. Errors as above. */
MUST_USE bool extent_verify(const struct extent *x, struct error *err);

#endif
