/* SPDX-License-Identifier: Apache-2.0 */
/* image_cache.c: see image_cache.h. */
#include "image_cache.h"

#include "base/mem.h"
#include "base/thread.h"
#include "breaker.h"
#include "disk_cache.h"
#include "lru.h"
#include "valkey_cache.h"

struct image_cache {
    bool has_memory;
    uint64_t memory_bytes_max; /* 0: any */
    belfry_log *log;
    struct disk_cache *disk;     /* NULL: none */
    struct remote_cache *remote; /* NULL: none */
    const char *remote_name;     /* in the log */
    struct breaker breaker;      /* of remote */

    pthread_mutex_t mutex; /* a leaf; guards memory */
    struct lru memory;     /* items: struct cached_image, one reference each */
};

/* --- a server --- */

/* What was found out about it. False: `err` says what went wrong. */
static bool remote_note(struct image_cache *c, enum remote_outcome outcome, const struct error *err)
{
    if (outcome == REMOTE_BUSY) {
        breaker_abstained(&c->breaker);
    } else if (outcome == REMOTE_FAILED) {
        if (breaker_failed(&c->breaker, clock_mono()))
            belfry_log_warn(c->log, "cache_unavailable", BELFRY_STR("cache", c->remote_name),
                            BELFRY_STR("reason", err->message));
    } else if (breaker_succeeded(&c->breaker)) {
        belfry_log_info(c->log, "cache_available", BELFRY_STR("cache", c->remote_name));
    }
    return outcome == REMOTE_DONE;
}

static struct cached_image *remote_get(struct image_cache *c, const struct image_key *key)
{
    struct cached_image *image = NULL;
    struct error err = {0};
    if (!breaker_enter(&c->breaker, clock_mono()))
        return NULL;
    enum remote_outcome outcome = c->remote->operations->get(c->remote, key, &image, &err);
    if (!remote_note(c, outcome, &err))
        belfry_log_debug(c->log, "cache_read_failed", BELFRY_STR("cache", c->remote_name),
                         BELFRY_STR("reason", err.message));
    return image;
}

static bool remote_put(struct image_cache *c, const struct image_key *key,
                       const struct cached_image *image, struct error *err)
{
    struct error found = {0};
    if (!breaker_enter(&c->breaker, clock_mono()))
        return error_set(err, ERROR_UNAVAILABLE, "%s is left alone after it did not answer",
                         c->remote_name);
    enum remote_outcome outcome = c->remote->operations->put(c->remote, key, image, &found);
    bool ok = remote_note(c, outcome, &found);
    if (!ok && err)
        *err = found;
    return ok;
}

static bool remote_open(struct remote_cache **out, const struct image_cache_options *opts,
                        struct error *err)
{
    if (opts->type == CACHE_VALKEY)
        return valkey_cache_open(out, opts->url, err);
    if (opts->type == CACHE_S3)
        return s3_cache_open(out, opts->url, &opts->s3, err);
    return true;
}

bool image_cache_check_options(const struct image_cache_options *opts, struct error *err)
{
    return remote_open(NULL, opts, err);
}

/* --- all --- */

static uint64_t memory_bytes_max(const struct image_cache_options *opts)
{
    if (opts->memory_bytes_max && (!opts->bytes_max || opts->memory_bytes_max < opts->bytes_max))
        return opts->memory_bytes_max;
    return opts->bytes_max;
}

bool image_cache_open(struct image_cache **out, const struct image_cache_options *opts,
                      struct error *err)
{
    struct image_cache *c = mem_alloc_zero(MEM_OTHER, 1, sizeof(*c));
    bool has_disk = opts->type == CACHE_DISK || opts->type == CACHE_HYBRID;
    c->has_memory = opts->type == CACHE_MEMORY || opts->type == CACHE_HYBRID;
    c->memory_bytes_max = memory_bytes_max(opts);
    c->log = opts->log;
    c->remote_name = opts->type == CACHE_S3 ? "s3" : "valkey";
    breaker_init(&c->breaker);
    mutex_init(&c->mutex);
    lru_init(&c->memory, opts->memory_entries_max, c->memory_bytes_max);
    *out = c;
    bool ok = !has_disk || disk_cache_open(&c->disk, opts->disk_folder, opts->disk_entries_max,
                                           opts->bytes_max, err);
    if (ok && remote_open(&c->remote, opts, err))
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
    if (c->remote)
        c->remote->operations->close(c->remote);
    breaker_deinit(&c->breaker);
    mutex_deinit(&c->mutex);
    mem_free(MEM_OTHER, c);
}

/* Takes a reference. What it pushes out is freed outside of the lock, one by one. One that is larger than all that there may be would
 * push out everything else, then itself. */
static void memory_put(struct image_cache *c, const struct image_key *key,
                       struct cached_image *image)
{
    struct image_key gone;
    if (c->memory_bytes_max && cached_image_size(image) > c->memory_bytes_max)
        return;
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

struct cached_image *image_cache_get_now(struct image_cache *c, const struct image_key *key)
{
    if (!c->has_memory)
        return NULL;
    mutex_lock(&c->mutex);
    struct cached_image *image = lru_get(&c->memory, key);
    if (image)
        cached_image_ref(image);
    mutex_unlock(&c->mutex);
    return image;
}

bool image_cache_may_wait(const struct image_cache *c)
{
    return c->disk || c->remote;
}

bool image_cache_is_remote(const struct image_cache *c)
{
    return c->remote != NULL;
}

struct cached_image *image_cache_get(struct image_cache *c, const struct image_key *key)
{
    struct cached_image *image = image_cache_get_now(c, key);
    if (image)
        return image;
    if (c->remote)
        return remote_get(c, key);
    image = c->disk ? disk_cache_get(c->disk, key) : NULL;
    if (image && c->has_memory)
        memory_put(c, key, image);
    return image;
}

bool image_cache_put(struct image_cache *c, const struct image_key *key, struct cached_image *image,
                     struct error *err)
{
    if (c->has_memory)
        memory_put(c, key, image);
    if (c->remote)
        return remote_put(c, key, image, err);
    return !c->disk || disk_cache_put(c->disk, key, image, err);
}

bool image_cache_check(struct image_cache *c, struct error *err)
{
    struct error found = {0};
    if (!c->remote)
        return !c->disk || disk_cache_check(c->disk, err);
    bool ok = remote_note(c, c->remote->operations->check(c->remote, &found), &found);
    if (!ok && err)
        *err = found;
    return ok;
}

uint64_t image_cache_memory_bytes(struct image_cache *c)
{
    mutex_lock(&c->mutex);
    uint64_t bytes = c->memory.bytes;
    mutex_unlock(&c->mutex);
    return bytes;
}
