/* SPDX-License-Identifier: Apache-2.0 */
/* head_deletions.h: what of the head is deleted, by label sets: the head's own numbers do not outlive the process.
 * The samples stay in WAL and memory until a cut leaves them out of its block. Immutable and shared: any
 * thread. On disk: top of head_deletions.c. */
#ifndef BELFRY_STORAGE_HEAD_DELETIONS_H
#define BELFRY_STORAGE_HEAD_DELETIONS_H

#include "model/label_store.h"
#include "storage/deletions.h"

struct head_deletions; /* NULL stands for none */

struct head_deletions *head_deletions_ref(struct head_deletions *h);
void head_deletions_unref(struct head_deletions *h);
size_t head_deletions_series_count(const struct head_deletions *h);
struct intervals head_deletions_of(const struct head_deletions *h, struct labels ls);

struct head_deletions_builder {
    struct label_store *labels;
    struct deletions_builder items;
};
void head_deletions_builder_init(struct head_deletions_builder *b);
void head_deletions_builder_deinit(struct head_deletions_builder *b);
void head_deletions_builder_add(struct head_deletions_builder *b, struct labels ls, int64_t mint,
                                int64_t maxt);
/* Adds what of `h` reaches `mint` or later. */
void head_deletions_builder_add_all(struct head_deletions_builder *b,
                                    const struct head_deletions *h, int64_t mint);
/* NULL when there is none; one reference otherwise. The builder is gone then. */
struct head_deletions *head_deletions_finish(struct head_deletions_builder *b);

MUST_USE bool head_deletions_parse(struct view bytes, struct head_deletions **out,
                                   struct error *err);
/* Of the data folder `dir`. No file: *out NULL. ERROR_CORRUPT when it is damaged. */
MUST_USE bool head_deletions_read(const char *dir, struct head_deletions **out, struct error *err);
/* Atomic, and synced when it returns. NULL removes the file. */
MUST_USE bool head_deletions_write(const char *dir, const struct head_deletions *h,
                                   struct error *err);

#endif
