/* SPDX-License-Identifier: Apache-2.0 */
/* image_cache.h: results by key: in memory, on disk, or in memory over disk, where a hit on disk is kept in memory from then on. Any
 * thread. */
#ifndef IMGFORGE_IMAGE_CACHE_H
#define IMGFORGE_IMAGE_CACHE_H

#include "base/error.h"
#include "cached_image.h"

enum cache_type { CACHE_NONE, CACHE_MEMORY, CACHE_DISK, CACHE_HYBRID };

struct image_cache;

struct image_cache_options {
    enum cache_type type;
    uint64_t memory_entries_max, disk_entries_max;
    uint64_t bytes_max;      /* of each of both; 0: any */
    const char *disk_folder; /* of disk and hybrid */
};

/* CACHE_NONE gives a cache that has nothing. Errors as disk_cache_open(). */
MUST_USE bool image_cache_open(struct image_cache **out, const struct image_cache_options *opts,
                               struct error *err);
void image_cache_close(struct image_cache *c); /* NULL is fine */
/* With a reference of the caller's; NULL: a miss. */
struct cached_image *image_cache_get(struct image_cache *c, const struct image_key *key);
/* The same from memory alone: never waits, for the thread of a connection. */
struct cached_image *image_cache_get_now(struct image_cache *c, const struct image_key *key);
/* Does image_cache_get() look further than image_cache_get_now()? */
bool image_cache_may_wait(const struct image_cache *c);
/* Keeps a reference of its own. False when it could not be written to disk: it may be in memory all the same. */
MUST_USE bool image_cache_put(struct image_cache *c, const struct image_key *key,
                              struct cached_image *image, struct error *err);
uint64_t image_cache_memory_bytes(struct image_cache *c);

#endif
