/* SPDX-License-Identifier: Apache-2.0 */
/* remote_cache.h: what a cache on another host is to image_cache.c, whatever it speaks. */
#ifndef IMGFORGE_REMOTE_CACHE_H
#define IMGFORGE_REMOTE_CACHE_H

#include "base/error.h"
#include "cached_image.h"

/* Larger results are not sent, larger answers not taken: neither fits a short timeout. */
enum { REMOTE_ENTRY_BYTES_MAX = 64 << 20 };

enum remote_outcome {
    REMOTE_DONE, /* it was done, or is not there */
    REMOTE_REFUSED, /* it answered and did not do this one thing: full, a key of another kind, an entry that is torn */
    REMOTE_BUSY,  /* it was not asked: our own connections were all in use */
    REMOTE_FAILED /* no use asking again soon: it does not answer, or does not let us in */
};

struct remote_cache;

/* Any thread. Each waits at most the backend's timeout. `err` (never NULL) is set unless REMOTE_DONE; it names host and port, never a password. */
struct remote_operations {
    /* *image: the caller's; NULL: not there. */
    enum remote_outcome (*get)(struct remote_cache *r, const struct image_key *key,
                               struct cached_image **image, struct error *err);
    enum remote_outcome (*put)(struct remote_cache *r, const struct image_key *key,
                               const struct cached_image *image, struct error *err);
    enum remote_outcome (*check)(struct remote_cache *r, struct error *err);
    void (*close)(struct remote_cache *r);
};

/* The first member of each backend's struct. */
struct remote_cache {
    const struct remote_operations *operations;
};

#endif
