/* SPDX-License-Identifier: Apache-2.0 */
/* block_private.h: what the block's files share: names of files, meta.json. */
#ifndef BELFRY_STORAGE_BLOCK_PRIVATE_H
#define BELFRY_STORAGE_BLOCK_PRIVATE_H

#include "storage/block.h"
#include "storage/deletions.h"
#include "storage/index.h"

#define BLOCK_COLUMNS_MAGIC "BLFCOL01" /* the version is in it */
enum { BLOCK_COLUMNS_MAGIC_BYTES = 8, BLOCK_CRC_BYTES = 4, BLOCK_PATH_BYTES_MAX = 4096 };

struct block {
    _Atomic uint32_t refs;
    atomic_bool damage_seen; /* relaxed: see block_damage_is_news() */
    atomic_bool left_alone;  /* relaxed: see block_leave_alone() */
    struct block_meta meta;  /* constant after block_open() */
    struct block_lineage lineage;
    struct deletions *deletions; /* NULL = none; other deletions are another struct block */
    struct index index;          /* borrows `mapped` */
    struct view mapped;
    struct file *columns; /* read with file_read_at(): any thread */
};

/* True once per block: damage is logged once and not by every query. Any thread. */
bool block_damage_is_news(struct block *b);
/* Keeps it out of merges while the process lives. Any thread. */
void block_leave_alone(struct block *b);
bool block_is_left_alone(const struct block *b);
/* A number that no other window of decoded times in this process has (struct samples, times_id). Its top
 * bit keeps it apart from the head's. Any thread. */
uint64_t block_times_id_next(void);

/* dir/name; false with ERROR_INPUT when it is too long. */
MUST_USE bool block_path(char out[BLOCK_PATH_BYTES_MAX], const char *dir, const char *name,
                         struct error *err);
/* meta.json (block_meta.c). Reading fills an empty lineage, which the caller deinits also after an error. */
void block_meta_format(struct buffer *b, const struct block_meta *meta,
                       const struct block_lineage *lineage, size_t tombstones);
MUST_USE bool block_meta_write(const char *path, const struct block_meta *meta,
                               const struct block_lineage *lineage, struct error *err);
MUST_USE bool block_meta_parse(struct view text, struct block_meta *meta,
                               struct block_lineage *lineage, struct error *err);
MUST_USE bool block_meta_read(const char *path, struct block_meta *meta,
                              struct block_lineage *lineage, struct error *err);
void block_lineage_deinit(struct block_lineage *l);

/* Which series match (block_select.c). Calls back for each, ascending; it stops when `visit` says no,
 * which is no error of block_each(). */
typedef bool (*block_visit)(void *arg, uint32_t number, const struct index_series *series);
MUST_USE bool block_each(struct block *b, const struct select *what, block_visit visit, void *arg,
                         struct error *err);

#endif
