/* SPDX-License-Identifier: Apache-2.0 */
/* block_walk.h: the series of a block one after the other, in the order of their labels, with the text of
 * their labels and their samples. Memory is that of one series. One thread. */
#ifndef BELFRY_STORAGE_BLOCK_WALK_H
#define BELFRY_STORAGE_BLOCK_WALK_H

#include "storage/block.h"

struct block_walk;
/* Stands before the first series. Holds a reference to the block. */
struct block_walk *block_walk_new(struct block *b);
void block_walk_free(struct block_walk *w);
/* Goes to the next series. False at the end of the block (*failed false) and on error (*failed true):
 * ERROR_CORRUPT. */
MUST_USE bool block_walk_next(struct block_walk *w, bool *failed, struct error *err);
uint32_t block_walk_number(const struct block_walk *w);
/* Of the present series. Borrowed: until the next call. */
struct labels block_walk_labels(const struct block_walk *w);
/* All its samples. Borrowed: until the next call. */
MUST_USE bool block_walk_read(struct block_walk *w, struct samples *out, struct error *err);

#endif
