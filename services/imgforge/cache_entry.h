/* SPDX-License-Identifier: Apache-2.0 */
/* cache_entry.h: a result as it is kept outside of the process: on disk, in Valkey, in a bucket. Layout at the top of cache_entry.c. */
#ifndef IMGFORGE_CACHE_ENTRY_H
#define IMGFORGE_CACHE_ENTRY_H

#include "base/buffer.h"
#include "cached_image.h"

enum { CACHE_ENTRY_BYTES_MAX = 256 << 20 };

/* Appends it; `out` fails when its maximum is passed. */
void cache_entry_encode(struct buffer *out, const struct image_key *key,
                        const struct cached_image *image);
/* False: not the whole entry of this key; torn, flipped, or somebody else's. True with *out NULL: no memory. Otherwise *out is the
 * caller's. */
MUST_USE bool cache_entry_decode(const struct image_key *key, struct view entry,
                                 struct cached_image **out);

/* 64 hexadecimal digits and NUL: what an entry is called. */
enum { IMAGE_KEY_DIGITS = 64 };
void image_key_format(const struct image_key *key, char out[IMAGE_KEY_DIGITS + 1]);
MUST_USE bool image_key_parse(const char *text, struct image_key *out);

#endif
