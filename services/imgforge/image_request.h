/* SPDX-License-Identifier: Apache-2.0 */
/* image_request.h: what a request asks for: its path read, its signature judged, presets and options laid over the server's, formats and
 * sizes that the client names filled in, and the key of the result. Nothing waits. */
#ifndef IMGFORGE_IMAGE_REQUEST_H
#define IMGFORGE_IMAGE_REQUEST_H

#include "cache_key.h"
#include "image_failure.h"

/* Of a request; empty = not sent. */
struct image_headers {
    struct view accept, dpr, width;
};

struct image_request {
    enum cache_key_kind kind;
    struct image_options options; /* texts in the arena */
    struct view source;           /* URL, followed by a NUL; in the arena */
    struct image_key key;
    uint64_t origin; /* a hash of the source's scheme, host and port */
};

/* `path` begins behind the mount point and, of information, behind /info/. The codecs are those of pipeline_formats(). False: *f is 400, 403 or
 * 404; f->is_violation where a signature was wrong. */
MUST_USE bool image_request_read(struct arena *arena, const struct imgforge_settings *s,
                                 const struct cache_key_base *base, enum cache_key_kind kind,
                                 struct view path, const struct image_headers *headers,
                                 int64_t now_s, struct image_request *out, struct image_failure *f);

#endif
