/* SPDX-License-Identifier: Apache-2.0 */
/* extent_store.h: the files of head/extents: sealed extents are appended, synced, found again at a start by
 * their heads, and deleted file by file. Design and failures: extent_store.c.
 * A store belongs to the keeper (at a start: to whoever opens the head); files are shared by reference. */
#ifndef BELFRY_STORAGE_EXTENT_STORE_H
#define BELFRY_STORAGE_EXTENT_STORE_H

#include "storage/extent.h"

struct extent_store_options {
    const char *dir;            /* DIR/head, which exists; extents/ in it is made */
    const char *quarantine_dir; /* made when something is put there */
    void (*log)(void *arg, bool is_error, const char *event, const char *text); /* may be NULL */
    void *log_arg;
};

struct extent_store;
/* Borrows what the options point to. */
struct extent_store *extent_store_new(const struct extent_store_options *opts);
/* Extents may live on. NULL is fine. */
void extent_store_free(struct extent_store *s);

/* Reads the heads of all files, oldest first. Called once, before anything is appended. */
struct extent_visitor {
    /* The map that the group's last extent had; NULL = unknown. Borrowed. */
    struct slot_map *(*map)(void *arg, uint32_t group);
    /* Takes the extent. is_new_map: its map is its own, and its ids may still be changed. */
    void (*extent)(void *arg, uint32_t group, struct extent *x, bool is_new_map);
    void *arg;
};
MUST_USE bool extent_store_load(struct extent_store *s, const struct extent_visitor *visitor,
                                struct error *err);

/* Writes and syncs extents (without a file); out[i] is the one that stands for xs[i] from now on, owned by
 * the caller. All or none: on false nothing of them counts, and another file will be tried. */
MUST_USE bool extent_store_append(struct extent_store *s, struct extent *const *xs,
                                  const uint32_t *groups, size_t count, struct extent **out,
                                  struct error *err);
/* Removes files without a row from timestamp_ms on; one that is known to be damaged goes to quarantine. Readers
 * that have an extent of it go on reading. */
MUST_USE bool extent_store_drop_below(struct extent_store *s, int64_t timestamp_ms,
                                      struct error *err);

struct extent_store_stats {
    uint64_t files, bytes, bytes_written, syncs, failures, damaged;
};
void extent_store_stats_get(const struct extent_store *s,
                            struct extent_store_stats *out); /* any thread */

/* --- files, any thread --- */

/* For tests and fuzzing: a file that is there, to read extents of. */
MUST_USE bool extent_file_open(struct extent_file **out, const char *path, struct error *err);
struct extent_file *extent_file_ref(struct extent_file *f);
void extent_file_unref(struct extent_file *f); /* NULL is fine */
const char *extent_file_path(const struct extent_file *f);
/* ERROR_CORRUPT when the file ends before. */
MUST_USE bool extent_file_read(struct extent_file *f, uint64_t offset, void *out, size_t len,
                               struct error *err);
void extent_file_mark_damaged(struct extent_file *f); /* NULL is fine */
/* True once per file after it was marked. */
bool extent_file_damage_is_news(struct extent_file *f);

#endif
