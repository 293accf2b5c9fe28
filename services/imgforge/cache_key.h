/* SPDX-License-Identifier: Apache-2.0 */
/* cache_key.h: SHA-256 over all that a result depends on, in a form of its own: two URLs that ask for the same have the same key, and
 * one that asks for something else, or a server that is set to something else, has another. What only the answer's headers
 * depend on (expires, filename, attachment) is left out. */
#ifndef IMGFORGE_CACHE_KEY_H
#define IMGFORGE_CACHE_KEY_H

#include "cached_image.h"
#include "imgforge_settings.h"

enum cache_key_kind { CACHE_KEY_IMAGE, CACHE_KEY_INFORMATION };

/* What all keys begin with, and those of pictures with the operator's watermark. */
struct cache_key_base {
    struct image_key policy; /* of cache_key_policy() */
    struct image_key mark;   /* of watermarks_file_digest() */
};

/* What the settings decide for all: which sources are allowed. Once, at the start. */
void cache_key_policy(const struct imgforge_settings *s, struct image_key *out);
/* `options` are those that will be carried out: negotiation, hints and limits included. */
void cache_key_make(struct arena *arena, const struct imgforge_settings *s,
                    const struct cache_key_base *base, enum cache_key_kind kind, struct view source,
                    const struct image_options *options, struct image_key *out);

#endif
