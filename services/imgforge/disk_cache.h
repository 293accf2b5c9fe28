/* SPDX-License-Identifier: Apache-2.0 */
/* disk_cache.h: results in files, one each, that survive a restart. A file that is torn, cut or flipped is a miss and goes.
 *
 * Any thread; files are read and written outside of the lock. Nothing is synced: what a power cut takes is fetched again.
 *
 * Processes may share a folder: each finds what the others wrote, and keeps to its limits in what it wrote or read itself. */
#ifndef IMGFORGE_DISK_CACHE_H
#define IMGFORGE_DISK_CACHE_H

#include "base/error.h"
#include "cached_image.h"

struct disk_cache;

/* The folder must be there and writable. Takes up what a process before left, the file written last as the newest. ERROR_IO,
 * ERROR_NOT_FOUND. */
MUST_USE bool disk_cache_open(struct disk_cache **out, const char *folder, uint64_t entries_max,
                              uint64_t bytes_max, struct error *err);
void disk_cache_close(struct disk_cache *d); /* NULL is fine */
/* With a reference of the caller's; NULL: not there. */
struct cached_image *disk_cache_get(struct disk_cache *d, const struct image_key *key);
/* On an error the entry is not there, and nothing else has changed. ERROR_IO, ERROR_NO_SPACE, ERROR_TOO_LARGE. */
MUST_USE bool disk_cache_put(struct disk_cache *d, const struct image_key *key,
                             const struct cached_image *image, struct error *err);
/* Can a file be written there now? */
MUST_USE bool disk_cache_check(struct disk_cache *d, struct error *err);
uint64_t disk_cache_count(struct disk_cache *d);
uint64_t disk_cache_bytes(struct disk_cache *d);

#endif
