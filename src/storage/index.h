/* SPDX-License-Identifier: Apache-2.0 */
/* index.h: the file `index` of a block: symbols, shapes, labels, postings, series, time columns. Layout:
 * top of index.c. The bytes are checked as a whole (CRC32C) when opened; after that each offset and count
 * is still checked against its section before it is used, so that forged bytes do no harm either.
 *
 * An index is immutable: any thread. A cursor belongs to one thread. */
#ifndef BELFRY_STORAGE_INDEX_H
#define BELFRY_STORAGE_INDEX_H

#include "base/attributes.h"
#include "base/buffer.h"
#include "base/error.h"
#include "base/file.h"
#include "base/reader.h"
#include "base/view.h"
#include "model/label_store.h"
#include "storage/ulid.h"

#include <stdbool.h>
#include <stdint.h>

#define INDEX_NONE UINT32_MAX
enum { INDEX_LABELS_MAX = 2047, INDEX_SYMBOL_BYTES_MAX = 1 << 20 };

enum index_section {
    INDEX_SYMBOLS,
    INDEX_SYMBOL_OFFSETS,
    INDEX_SHAPES,
    INDEX_SHAPE_OFFSETS,
    INDEX_TIMES,
    INDEX_POSTINGS,
    INDEX_NAMES,
    INDEX_VALUES,
    INDEX_SERIES,
    INDEX_SERIES_OFFSETS,
    INDEX_SECTION_COUNT
};

struct index {
    struct view bytes, sections[INDEX_SECTION_COUNT];
    uint32_t symbol_count, shape_count, name_count, value_count, series_count, times_count;
    int64_t mint, maxt;
    uint64_t sample_count, columns_bytes;
    char ulid[ULID_BYTES];
};

/* Borrows `bytes` for the life of the index. ERROR_CORRUPT with the place. */
MUST_USE bool index_open(struct index *x, struct view bytes, struct error *err);

/* --- symbols: ids are 0 .. symbol_count - 1 in the order of their texts --------------------------- */

struct index_cursor {
    const struct index *index;
    struct buffer text; /* of symbol next - 1 */
    struct reader reader;
    uint32_t next;
};
void index_cursor_init(struct index_cursor *c, const struct index *x);
void index_cursor_deinit(struct index_cursor *c);
/* Valid until the next call; cheapest in ascending order. False when the bytes are no symbol. */
MUST_USE bool index_symbol(struct index_cursor *c, uint32_t symbol, struct view *text);
/* The first symbol >= text (symbol_count when none), and whether it is that. */
uint32_t index_symbol_at_least(struct index_cursor *c, struct view text, bool *equal);
/* The symbol with this text or INDEX_NONE. */
uint32_t index_symbol_find(struct index_cursor *c, struct view text);

/* --- labels --------------------------------------------------------------------------------------- */

struct index_name {
    uint32_t symbol, first_value, value_count; /* its values: entries of the table of values */
};
struct index_value {
    uint32_t symbol, postings_offset, series_count;
};
/* idx < name_count; ascending by text. */
struct index_name index_name_at(const struct index *x, uint32_t idx);
MUST_USE bool index_name_find(const struct index *x, uint32_t symbol, struct index_name *out);
/* idx < n->value_count; ascending by text. */
struct index_value index_value_at(const struct index *x, const struct index_name *n, uint32_t idx);
/* The first value whose symbol is not below `symbol`: an idx, value_count when none. */
uint32_t index_value_at_least(const struct index *x, const struct index_name *n, uint32_t symbol);
/* Appends the series' numbers, ascending, to out[0..v.series_count). False when damaged. */
MUST_USE bool index_postings(const struct index *x, struct index_value v, uint32_t *out);

/* --- series --------------------------------------------------------------------------------------- */

struct index_series {
    uint64_t hash;
    uint64_t offset; /* of the value column in `columns` */
    uint32_t bytes;  /* of it, without its checksum */
    uint32_t times;  /* number of the time column */
    uint32_t shape;
    uint8_t flags; /* enum codec_flag */
    uint32_t label_count;
    uint32_t values[INDEX_LABELS_MAX]; /* symbols, in the order of the shape's names */
};
/* False when damaged or number >= series_count. */
MUST_USE bool index_series_at(const struct index *x, uint32_t number, struct index_series *out);
/* Names (symbols, ascending) of a shape into out[0..*count). */
MUST_USE bool index_shape(const struct index *x, uint32_t shape, uint32_t out[INDEX_LABELS_MAX],
                          uint32_t *count);

struct index_times {
    uint64_t offset;
    uint32_t bytes, count;
    int64_t mint, maxt; /* first and last timestamp */
};
MUST_USE bool index_times_at(const struct index *x, uint32_t number, struct index_times *out);

/* --- writing -------------------------------------------------------------------------------------- */

struct index_write_series {
    labels_id labels; /* in `store` */
    uint32_t times, bytes;
    uint64_t offset;
    uint8_t flags;
};

struct index_content {
    const struct label_store *store;         /* holds the labels of these series and nothing else */
    const struct index_write_series *series; /* ascending by labels */
    uint32_t series_count;
    const struct index_times *times;
    uint32_t times_count;
    int64_t mint, maxt;
    uint64_t sample_count, columns_bytes;
    const char *ulid;
};
/* Writes the whole file at the end of `f` (empty), unsynced. ERROR_LIMIT past 4 GiB of a section. */
MUST_USE bool index_write(struct file *f, const struct index_content *content, uint64_t *bytes,
                          struct error *err);

#endif
