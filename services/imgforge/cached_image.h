/* SPDX-License-Identifier: Apache-2.0 */
/* cached_image.h: a finished result: immutable and counted, so that answers, the cache and those who wait for the same picture share
 * it. Any thread. */
#ifndef IMGFORGE_CACHED_IMAGE_H
#define IMGFORGE_CACHED_IMAGE_H

#include "base/attributes.h"
#include "base/view.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { CACHED_IMAGE_TEXT_BYTES_MAX = 255, CACHED_IMAGE_ETAG_BYTES = 32 };

/* SHA-256 over all that a result depends on. */
struct image_key {
    unsigned char bytes[32];
};

/* What debug headers tell. */
struct image_facts {
    uint64_t source_bytes;
    int64_t source_width, source_height, result_width, result_height;
};

struct cached_image {
    atomic_uint refs;
    struct view bytes;
    struct view content_type; /* at most CACHED_IMAGE_TEXT_BYTES_MAX */
    struct view
        cache_control; /* as the source's origin said; empty: it did not. What it said in more than
                                * CACHED_IMAGE_TEXT_BYTES_MAX is "no-store": it may forbid more */
    struct view etag;  /* 32 hexadecimal digits, of key and bytes */
    struct image_facts
        facts; /* set by the maker before others see it; all 0 of what was kept outside of memory */
    int64_t modified_s; /* the source's, Unix seconds; 0: not known */
};

/* Copies everything, with one reference, and computes the etag. NULL without memory. */
struct cached_image *cached_image_new(const struct image_key *key, struct view bytes,
                                      struct view content_type, struct view cache_control,
                                      int64_t modified_s);
struct cached_image *cached_image_ref(struct cached_image *image);
void cached_image_unref(struct cached_image *image); /* NULL does nothing */
/* What it takes of memory. */
size_t cached_image_size(const struct cached_image *image);

#endif
