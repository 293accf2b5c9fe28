/* SPDX-License-Identifier: Apache-2.0 */
/* image_cache.c: see image_cache.h. */
#include "image_cache.h"

#include "base/mem.h"
#include "base/thread.h"
#include "disk_cache.h"
#include "lru.h"

struct image_cache {
    bool has_memory;
    pthread_mutex_t mutex;   /* a leaf; guards memory */
    struct lru memory;       /* items: struct cached_image, one reference each */
    struct disk_cache *disk; /* NULL: none */
};

bool image_cache_open(struct image_cache **out, const struct image_cache_options *opts,
                      struct error *err)
{
    struct image_cache *c = mem_alloc_zero(MEM_OTHER, 1, sizeof(*c));
    bool has_disk = opts->type == CACHE_DISK || opts->type == CACHE_HYBRID;
    c->has_memory = opts->type == CACHE_MEMORY || opts->type == CACHE_HYBRID;
    mutex_init(&c->mutex);
    lru_init(&c->memory, opts->memory_entries_max, opts->bytes_max);
    *out = c;
    if (!has_disk ||
        disk_cache_open(&c->disk, opts->disk_folder, opts->disk_entries_max, opts->bytes_max, err))
        return true;
    image_cache_close(c);
    *out = NULL;
    return false;
}

void image_cache_close(struct image_cache *c)
{
    struct image_key key;
    struct cached_image *image;
    if (!c)
        return;
    while ((image = lru_take_oldest(&c->memory, &key)))
        cached_image_unref(image);
    lru_deinit(&c->memory);
    disk_cache_close(c->disk);
    mutex_deinit(&c->mutex);
    mem_free(MEM_OTHER, c);
}

/* Takes a reference. What it pushes out is freed outside of the lock, one by one. */
static void memory_put(struct image_cache *c, const struct image_key *key,
                       struct cached_image *image)
{
    struct image_key gone;
    mutex_lock(&c->mutex);
    struct cached_image *out =
        lru_put(&c->memory, key, cached_image_ref(image), cached_image_size(image));
    mutex_unlock(&c->mutex);
    do {
        cached_image_unref(out);
        mutex_lock(&c->mutex);
        out = lru_take_excess(&c->memory, &gone);
        mutex_unlock(&c->mutex);
    } while (out);
}

static struct cached_image *memory_get(struct image_cache *c, const struct image_key *key)
{
    mutex_lock(&c->mutex);
    struct cached_image *image = lru_get(&c->memory, key);
    if (image)
        cached_image_ref(image);
    mutex_unlock(&c->mutex);
    return image;
}

struct cached_image *image_cache_get(struct image_cache *c, const struct image_key *key)
{
    struct cached_image *image = c->has_memory ? memory_get(c, key) : NULL;
    if (image || !c->disk)
        return image;
    image = disk_cache_get(c->disk, key);
    if (image && c->has_memory)
        memory_put(c, key, image);
    return image;
}

struct cached_image *image_cache_get_now(struct image_cache *c, const struct image_key *key)
{
    return c->has_memory ? memory_get(c, key) : NULL;
}

bool image_cache_may_wait(const struct image_cache *c)
{
    return c->disk != NULL;
}

bool image_cache_put(struct image_cache *c, const struct image_key *key, struct cached_image *image,
                     struct error *err)
{
    if (c->has_memory)
        memory_put(c, key, image);
    return !c->disk || disk_cache_put(c->disk, key, image, err);
}

uint64_t image_cache_memory_bytes(struct image_cache *c)
{
    mutex_lock(&c->mutex);
    uint64_t bytes = c->memory.bytes;
    mutex_unlock(&c->mutex);
    return bytes;
}
