/* SPDX-License-Identifier: Apache-2.0 */
/* cached_image.c: see cached_image.h. One allocation: the struct, etag, content type, cache control, bytes. */
#include "cached_image.h"

#include "base/assert.h"
#include "base/mem.h"

#include <gnutls/crypto.h>
#include <string.h>

static void etag_make(const struct image_key *key, struct view bytes,
                      char out[CACHED_IMAGE_ETAG_BYTES])
{
    static const char DIGITS[] = "0123456789abcdef";
    unsigned char digest[32];
    gnutls_hash_hd_t hash;
    bool ok = gnutls_hash_init(&hash, GNUTLS_DIG_SHA256) == 0 &&
              gnutls_hash(hash, key->bytes, sizeof(key->bytes)) == 0 &&
              gnutls_hash(hash, bytes.ptr, bytes.len) == 0;
    ASSERT(ok); /* only memory could be missing */
    gnutls_hash_deinit(hash, digest);
    for (size_t i = 0; i < CACHED_IMAGE_ETAG_BYTES; i++)
        out[i] = DIGITS[digest[i / 2] >> (i % 2 ? 0 : 4) & 15];
}

struct cached_image *cached_image_new(const struct image_key *key, struct view bytes,
                                      struct view content_type, struct view cache_control,
                                      int64_t modified_s)
{
    if (cache_control.len > CACHED_IMAGE_TEXT_BYTES_MAX) /* half of it may say the opposite */
        cache_control = VIEW("no-store");
    content_type = view_slice(content_type, 0, CACHED_IMAGE_TEXT_BYTES_MAX);
    struct cached_image *image =
        mem_try_alloc(MEM_OTHER, sizeof(*image) + CACHED_IMAGE_ETAG_BYTES + content_type.len +
                                     cache_control.len + bytes.len);
    if (!image)
        return NULL;
    char *etag = (char *)(image + 1), *type = etag + CACHED_IMAGE_ETAG_BYTES,
         *control = type + content_type.len, *copy = control + cache_control.len;
    etag_make(key, bytes, etag);
    if (content_type.len)
        memcpy(type, content_type.ptr, content_type.len);
    if (cache_control.len)
        memcpy(control, cache_control.ptr, cache_control.len);
    if (bytes.len)
        memcpy(copy, bytes.ptr, bytes.len);
    *image = (struct cached_image){
        .bytes = {copy, bytes.len},
        .content_type = {type, content_type.len},
        .cache_control = {control, cache_control.len},
        .etag = {etag, CACHED_IMAGE_ETAG_BYTES},
        .modified_s = modified_s,
    };
    atomic_init(&image->refs, 1);
    return image;
}

struct cached_image *cached_image_ref(struct cached_image *image)
{
    atomic_fetch_add_explicit(&image->refs, 1, memory_order_relaxed);
    return image;
}

void cached_image_unref(struct cached_image *image)
{
    if (image && atomic_fetch_sub_explicit(&image->refs, 1, memory_order_acq_rel) == 1)
        mem_free(MEM_OTHER, image);
}

size_t cached_image_size(const struct cached_image *image)
{
    return sizeof(*image) + CACHED_IMAGE_ETAG_BYTES + image->content_type.len +
           image->cache_control.len + image->bytes.len;
}
