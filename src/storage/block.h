/* SPDX-License-Identifier: Apache-2.0 */
/* block.h: immutable folders of columns, published by rename. Layout: block.c. */
#ifndef BELFRY_STORAGE_BLOCK_H
#define BELFRY_STORAGE_BLOCK_H

#include "storage/cursor.h"

#include <stdbool.h>
#include <stdint.h>

enum { BLOCK_ULID_BYTES = 27, /* 26 letters and a NUL */ BLOCK_LEVEL_MAX = 100 };

/* What a block was made of. */
struct block_parent {
    char ulid[BLOCK_ULID_BYTES];
    int64_t mint, maxt;
};
struct block_lineage {
    struct block_parent *parents; /* the blocks that were merged into it */
    size_t parent_count;
    char (*sources)[BLOCK_ULID_BYTES]; /* the blocks cut from a head that its samples come from */
    size_t source_count;
};

struct block_meta {
    char ulid[BLOCK_ULID_BYTES];
    int64_t mint, maxt; /* samples in [mint, maxt), as in Prometheus' meta.json */
    uint64_t sample_count, series_count, column_count;
    uint64_t bytes; /* of the folder */
    uint32_t level; /* 1 = cut from the head */
};

/* Writing: series in ascending order of labels (labels_compare), each with its columns. */
struct block_writer;
MUST_USE bool block_writer_open(struct block_writer **out, const char *dir, int64_t mint,
                                int64_t maxt, struct error *err);
/* What is known of it so far: its name, range and level. Borrowed, as long as `w`. */
const struct block_meta *block_writer_get_meta(const struct block_writer *w);
/* The same with a name of the caller's choice (26 letters, see ulid.h): a block that is made of another keeps its name. */
MUST_USE bool block_writer_open_named(struct block_writer **out, const char *dir, const char *ulid,
                                      int64_t mint, int64_t maxt, struct error *err);
/* What it is made of: a block without is its own source, on level 1. Borrowed until it is finished. */
void block_writer_set_lineage(struct block_writer *w, uint32_t level,
                              const struct block_lineage *lineage);
/* Borrows all. samples->times ascend. A series without samples is left out. */
MUST_USE bool block_writer_add(struct block_writer *w, struct labels ls,
                               const struct samples *samples, struct error *err);
/* Makes the range that of the samples so far: for who does not know it before. */
void block_writer_fit_range(struct block_writer *w);
/* Syncs and publishes; without any sample nothing is published and *meta has sample_count 0.
 * `w` is gone either way. */
MUST_USE bool block_writer_finish(struct block_writer *w, struct block_meta *meta,
                                  struct error *err);
void block_writer_discard(struct block_writer *w);

struct block; /* shared, reference counted */
struct deletions;
/* `dir` is the block's own folder. ERROR_CORRUPT names file and offset. */
MUST_USE bool block_open(struct block **out, const char *dir, struct error *err);
struct block *block_ref(struct block *b);
void block_unref(struct block *b);
const struct block_meta *block_get_meta(const struct block *b);
const struct block_lineage *block_get_lineage(const struct block *b);
/* What of it is deleted and not shown; NULL = nothing. As long as the block is held. */
const struct deletions *block_get_deletions(const struct block *b);

/* As head_select and so on; a ref is the series' number in the block. */
MUST_USE bool block_select(struct block *b, const struct select *what, struct label_store *labels,
                           struct arena *arena, struct series_list *out, struct error *err);
MUST_USE bool block_label_names(struct block *b, const struct select *what, size_t limit,
                                struct arena *arena, struct view **out, size_t *count,
                                struct error *err);
MUST_USE bool block_label_values(struct block *b, struct view name, const struct select *what,
                                 size_t limit, struct arena *arena, struct view **out,
                                 size_t *count, struct error *err);
struct block_reader;
struct block_reader *block_reader_new(struct block *b);
MUST_USE bool block_reader_read(struct block_reader *r, uint64_t ref, int64_t mint, int64_t maxt,
                                const atomic_bool *cancel, struct samples *out, struct error *err);
void block_reader_free(struct block_reader *r);

#endif
