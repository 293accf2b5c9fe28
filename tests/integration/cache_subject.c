/* SPDX-License-Identifier: Apache-2.0 */
/* cache_subject.c: an image cache that does what it is told, a line at a time, for test_imgforge_caches.py:
 *
 *   cache_subject TYPE [URL]      S3_* as imgforge reads them; the log on standard error
 *   put N BYTES -> put MS | not put MS: WHY        get N -> hit BYTES MS | miss MS        check -> up MS | down MS: WHY
 *   storm THREADS ROUNDS KEYS -> storm HITS MISSES MS_MAX      exit */
#include "base/checksum.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/thread.h"
#include "image_cache.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { THREADS_MAX = 256 };

static struct image_cache *cache;

static struct image_key key_of(unsigned n)
{
    struct image_key key;
    for (size_t i = 0; i < sizeof(key.bytes); i += 8) {
        uint64_t part = hash64(&n, sizeof(n)) + i;
        memcpy(key.bytes + i, &part, 8);
    }
    return key;
}

/* Bytes that say which picture they are of. */
static struct cached_image *image_of(unsigned n, size_t bytes)
{
    struct image_key key = key_of(n);
    char *text = mem_alloc(MEM_OTHER, bytes + 1);
    for (size_t i = 0; i < bytes; i++)
        text[i] = (char)(n * 31 + i * 7);
    struct cached_image *image = cached_image_new(
        &key, (struct view){text, bytes}, VIEW("image/webp"), VIEW("max-age=60"), 1700000000 + n);
    mem_free(MEM_OTHER, text);
    return image;
}

static bool is_right(const struct cached_image *image, unsigned n)
{
    struct cached_image *expected = image_of(n, image->bytes.len);
    bool is = view_eq(expected->bytes, image->bytes) && view_eq(expected->etag, image->etag) &&
              view_eq(expected->content_type, image->content_type) &&
              view_eq(expected->cache_control, image->cache_control) &&
              expected->modified_s == image->modified_s;
    cached_image_unref(expected);
    return is;
}

static void say_put(unsigned n, size_t bytes)
{
    struct image_key key = key_of(n);
    struct cached_image *image = image_of(n, bytes);
    struct error err = {0};
    mono_time start = clock_mono();
    bool ok = image_cache_put(cache, &key, image, &err);
    long long ms = (long long)mono_ms_since(start);
    if (ok)
        printf("put %lld\n", ms);
    else
        printf("not put %lld: %s\n", ms, err.message);
    cached_image_unref(image);
}

static void say_get(unsigned n)
{
    struct image_key key = key_of(n);
    mono_time start = clock_mono();
    struct cached_image *image = image_cache_get(cache, &key);
    long long ms = (long long)mono_ms_since(start);
    if (!image)
        printf("miss %lld\n", ms);
    else
        printf("%s %zu %lld\n", is_right(image, n) ? "hit" : "WRONG", image->bytes.len, ms);
    cached_image_unref(image);
}

static void say_check(void)
{
    struct error err = {0};
    mono_time start = clock_mono();
    bool ok = image_cache_check(cache, &err);
    long long ms = (long long)mono_ms_since(start);
    if (ok)
        printf("up %lld\n", ms);
    else
        printf("down %lld: %s\n", ms, err.message);
}

struct worker {
    unsigned seed, rounds, keys, hits, misses;
    int64_t ms_max;
    pthread_t thread;
};

static void *work(void *arg)
{
    struct worker *w = arg;
    for (unsigned i = 0; i < w->rounds; i++) {
        unsigned n = (unsigned)rand_r(&w->seed) % w->keys;
        struct image_key key = key_of(n);
        mono_time start = clock_mono();
        struct cached_image *image = image_cache_get(cache, &key);
        if (image && !is_right(image, n))
            abort();
        w->hits += image != NULL;
        w->misses += image == NULL;
        if (!image) {
            image = image_of(n, 100 + n * 997);
            struct error lost = {0}; /* then it is asked for again */
            (void)!image_cache_put(cache, &key, image, &lost);
        }
        int64_t ms = mono_ms_since(start);
        w->ms_max = ms > w->ms_max ? ms : w->ms_max;
        cached_image_unref(image);
    }
    return NULL;
}

static void say_storm(unsigned threads, unsigned rounds, unsigned keys)
{
    static struct worker workers[THREADS_MAX];
    struct worker sum = {0};
    struct error err;
    for (unsigned i = 0; i < threads; i++) {
        workers[i] = (struct worker){.seed = i, .rounds = rounds, .keys = keys};
        if (!thread_start(&workers[i].thread, "worker", work, &workers[i], &err))
            abort();
    }
    for (unsigned i = 0; i < threads; i++) {
        thread_join(workers[i].thread);
        sum.hits += workers[i].hits;
        sum.misses += workers[i].misses;
        sum.ms_max = workers[i].ms_max > sum.ms_max ? workers[i].ms_max : sum.ms_max;
    }
    printf("storm %u %u %lld\n", sum.hits, sum.misses, (long long)sum.ms_max);
}

static bool open_cache(int argc, char **argv, belfry_log *log)
{
    struct error err = {0};
    struct image_cache_options o = {
        .type = argc > 1 && strcmp(argv[1], "s3") == 0 ? CACHE_S3 : CACHE_VALKEY,
        .url = argc > 2 ? argv[2] : NULL,
        .s3 = {.endpoint = getenv("S3_ENDPOINT"),
               .bucket = getenv("S3_BUCKET"),
               .region = getenv("S3_REGION"),
               .access_key = getenv("S3_ACCESS_KEY"),
               .secret_key = secret_from(view_from(getenv("S3_SECRET_KEY"))),
               .session_token = secret_from(view_from(getenv("S3_SESSION_TOKEN")))},
        .log = log};
    bool ok = image_cache_check_options(&o, &err);
    bool is_open = image_cache_open(&cache, &o, &err);
    if (ok != is_open)
        abort();
    printf(ok ? "ready\n" : "refused: %s\n", err.message);
    return ok;
}

int main(int argc, char **argv)
{
    belfry_log_options options = {.fd = 2, .synchronous = true, .level = BELFRY_LOG_DEBUG};
    belfry_log *log = belfry_log_open(&options);
    char line[256];
    unsigned a, b, c;
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (!open_cache(argc, argv, log))
        return 2;
    while (fgets(line, sizeof(line), stdin) && strcmp(line, "exit\n") != 0) {
        if (sscanf(line, "put %u %u", &a, &b) == 2)
            say_put(a, b);
        else if (sscanf(line, "get %u", &a) == 1)
            say_get(a);
        else if (strcmp(line, "check\n") == 0)
            say_check();
        else if (sscanf(line, "storm %u %u %u", &a, &b, &c) == 3 && a <= THREADS_MAX && c > 0)
            say_storm(a, b, c);
        else
            printf("what?\n");
    }
    image_cache_close(cache);
    belfry_log_close(log);
    return 0;
}
