/* SPDX-License-Identifier: Apache-2.0 */
/* file.h: files and folders through one shim, so that a test can fail the n-th call, cut a write
 * short, take away the space or lose what was not synced. Errors name the path and the operation.
 * A struct file is used by one thread at a time, except file_read_at (any). */
#ifndef BELFRY_BASE_FILE_H
#define BELFRY_BASE_FILE_H

#include "base/attributes.h"
#include "base/buffer.h"
#include "base/error.h"
#include "base/view.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct file; /* owns a descriptor and a copy of its path */

/* Opens for reading. ERROR_NOT_FOUND when it is not there; else ERROR_IO. */
MUST_USE bool file_open_read(struct file **out, const char *path, struct error *err);
/* May a library that knows no limits read `path` whole? True when it is a regular file (links are followed) of at most
 * bytes_max: no pipe that never says anything, no device without an end. ERROR_NOT_FOUND, ERROR_INPUT, ERROR_TOO_LARGE,
 * ERROR_IO. */
MUST_USE bool file_check_readable(const char *path, uint64_t bytes_max, struct error *err);
/* Creates it for writing (fails if it exists). */
MUST_USE bool file_create(struct file **out, const char *path, struct error *err);
/* Opens or creates for writing at the end. */
MUST_USE bool file_open_append(struct file **out, const char *path, struct error *err);
/* Writes all at the end (of what was written). After a failure the file may hold a part. */
MUST_USE bool file_write_all(struct file *f, struct view bytes, struct error *err);
/* Reads exactly len bytes at offset; ERROR_CORRUPT when the file ends before. */
MUST_USE bool file_read_at(const struct file *f, uint64_t offset, void *out, size_t len,
                           struct error *err);
/* fdatasync. A failure is final for this file: what was written since the last success may be gone. */
MUST_USE bool file_sync(struct file *f, struct error *err);
MUST_USE bool file_truncate(struct file *f, uint64_t bytes, struct error *err);
/* Preallocates without changing the size; failing is only an optimisation lost, except ERROR_NO_SPACE. */
MUST_USE bool file_reserve(struct file *f, uint64_t bytes, struct error *err);
MUST_USE bool file_size(const struct file *f, uint64_t *out, struct error *err);
/* Closes; a write error that only shows now is reported. NULL is fine. `f` is gone either way. */
MUST_USE bool file_close(struct file *f, struct error *err);
/* Closes and ignores errors: for files that were only read, or are being given up. NULL is fine. */
void file_discard(struct file *f);
const char *file_path(const struct file *f);

/* Maps a whole file read only; the file must never be truncated while mapped. Empty file: len 0. */
MUST_USE bool file_map(struct view *out, const char *path, struct error *err);
void file_unmap(struct view mapped);

/* The whole file into `out` (regular files only; ERROR_TOO_LARGE past the buffer's maximum). */
MUST_USE bool file_read_all(const char *path, struct buffer *out, struct error *err);
/* Writes path.tmp, syncs it, renames it to path, syncs the folder. */
MUST_USE bool file_replace(const char *path, struct view bytes, struct error *err);
/* Renames, then syncs the folder of `to`. Both on one file system. */
MUST_USE bool file_publish(const char *from, const char *to, struct error *err);
/* A second name for a file, or a synced copy of it where the file system has no links. `to` must not be there. */
MUST_USE bool file_link_or_copy(const char *from, const char *to, struct error *err);
MUST_USE bool file_remove(const char *path, struct error *err); /* not there: fine */
bool file_exists(const char *path);

/* mkdir -p, mode 0750. */
MUST_USE bool dir_create(const char *path, struct error *err);
MUST_USE bool dir_sync(const char *path, struct error *err);
/* Names in the folder without "." and "..", sorted; calls back for each. Stops when it returns false. */
typedef bool (*dir_visit)(void *arg, const char *name, bool is_dir);
MUST_USE bool dir_list(const char *path, dir_visit visit, void *arg, struct error *err);
/* rm -r. Not there: fine. Does not follow links. */
MUST_USE bool dir_remove(const char *path, struct error *err);
/* Bytes of all regular files below. */
uint64_t dir_bytes(const char *path);
/* Size of the file system that holds path. */
MUST_USE bool dir_total_bytes(const char *path, uint64_t *out, struct error *err);
/* Free bytes of it. */
MUST_USE bool dir_free_bytes(const char *path, uint64_t *out, struct error *err);
/* Takes an exclusive flock on path (created when missing); ERROR_BUSY when another process has it. */
MUST_USE bool file_lock(struct file **out, const char *path, struct error *err);

/* Fault injection, tests only. The hook sees each operation before it happens and returns 0 to let it
 * be, or an errno to fail with; for FILE_OP_WRITE it may lower *bytes to tear the write. */
enum file_op {
    FILE_OP_OPEN,
    FILE_OP_READ,
    FILE_OP_WRITE,
    FILE_OP_SYNC,
    FILE_OP_RENAME,
    FILE_OP_REMOVE,
    FILE_OP_TRUNCATE,
    FILE_OP_MKDIR,
    FILE_OP_CLOSE,
    FILE_OP_DIR_SYNC,
    FILE_OP_RESERVE,
    FILE_OP_MAP
};
typedef int (*file_fault_hook)(void *arg, enum file_op op, const char *path, size_t *bytes);
void file_test_set_hook(file_fault_hook hook, void *arg); /* NULL = none */

#endif
