/* SPDX-License-Identifier: Apache-2.0 */
/* image_cache.h: results by key: in memory, on disk, in memory over disk (a hit on disk is kept in memory from then on), or with a
 * Valkey or S3 server that several hosts share. Any thread.
 *
 * A server that is gone costs a few requests its timeout, then none: it is left alone for a while, growing up to 30 s. What cannot
 * be read is a miss, what cannot be written is lost; the log says so once (cache_unavailable, cache_available). */
#ifndef IMGFORGE_IMAGE_CACHE_H
#define IMGFORGE_IMAGE_CACHE_H

#include "base/error.h"
#include "cached_image.h"
#include "s3_cache.h"

#include <belfry/log.h>

enum cache_type { CACHE_NONE, CACHE_MEMORY, CACHE_DISK, CACHE_HYBRID, CACHE_VALKEY, CACHE_S3 };

struct image_cache;

/* Borrowed during the call, but for the log. */
struct image_cache_options {
    enum cache_type type;
    uint64_t memory_entries_max, disk_entries_max;
    uint64_t bytes_max;        /* of each of both; 0: any */
    uint64_t memory_bytes_max; /* of memory, where that is less; 0: bytes_max alone */
    const char *disk_folder;   /* of disk and hybrid */
    const char *url; /* of valkey (valkey_cache.h) and s3 (s3_cache.h); of s3 it may be NULL */
    struct s3_settings s3;
    belfry_log *log; /* NULL = none */
};

/* CACHE_NONE gives a cache that has nothing. Errors as disk_cache_open(); ERROR_INPUT: the URL or the S3 settings are wrong. A server
 * that does not answer is no error. */
MUST_USE bool image_cache_open(struct image_cache **out, const struct image_cache_options *opts,
                               struct error *err);
void image_cache_close(struct image_cache *c); /* NULL is fine */
/* Would image_cache_open() take URL and S3 settings? Opens nothing. ERROR_INPUT; the message begins with what is wrong, without secrets. */
MUST_USE bool image_cache_check_options(const struct image_cache_options *opts, struct error *err);
/* What is in memory, with a reference of the caller's; NULL: not there. Never waits. */
struct cached_image *image_cache_get_now(struct image_cache *c, const struct image_key *key);
/* Is there more than memory? Then image_cache_get() and _put() wait, for a file or (at most the timeout of its URL) a server: they belong
 * on a thread that may. Without: a miss of image_cache_get_now() is a miss. */
bool image_cache_may_wait(const struct image_cache *c);
/* Is it a server's, for which a write takes as long as a read? */
bool image_cache_is_remote(const struct image_cache *c);
/* With a reference of the caller's; NULL: a miss. */
struct cached_image *image_cache_get(struct image_cache *c, const struct image_key *key);
/* Keeps a reference of its own. False when it could not be written to disk or server: it may be in memory all the same. ERROR_UNAVAILABLE:
 * a server that does not answer, which the log has already. */
MUST_USE bool image_cache_put(struct image_cache *c, const struct image_key *key,
                              struct cached_image *image, struct error *err);
/* Can it be used now? For the readiness check: waits as image_cache_get() does. */
MUST_USE bool image_cache_check(struct image_cache *c, struct error *err);
uint64_t image_cache_memory_bytes(struct image_cache *c);

#endif
