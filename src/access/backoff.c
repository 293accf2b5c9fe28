/* SPDX-License-Identifier: Apache-2.0 */
#include "access/backoff.h"

#include "base/mem.h"
#include "base/thread.h"

enum { BUCKETS = 1024, WAYS = 4, FORGET_MS = 15 * 60 * 1000 };

struct entry {
    uint64_t key;
    unsigned failures; /* 0 = free */
    mono_time last;
};

struct backoff {
    unsigned free_count;
    int64_t wait_ms_max;

    pthread_mutex_t mutex; /* guards what follows */
    struct entry entries[BUCKETS][WAYS];
};

struct backoff *backoff_new(unsigned free_count, int64_t wait_ms_max)
{
    struct backoff *b = mem_alloc_zero(MEM_HTTP, 1, sizeof *b);
    b->free_count = free_count;
    b->wait_ms_max = wait_ms_max;
    mutex_init(&b->mutex);
    return b;
}

void backoff_free(struct backoff *b)
{
    if (b == NULL)
        return;
    mutex_deinit(&b->mutex);
    mem_free(MEM_HTTP, b);
}

static int64_t ms_between(mono_time from, mono_time to)
{
    return (to.ns - from.ns) / 1000000;
}

static struct entry *find_locked(struct backoff *b, uint64_t key, mono_time now)
{
    struct entry *bucket = b->entries[key % BUCKETS];
    for (unsigned i = 0; i < WAYS; i++) {
        if (bucket[i].failures && ms_between(bucket[i].last, now) > FORGET_MS)
            bucket[i].failures = 0;
        if (bucket[i].failures && bucket[i].key == key)
            return &bucket[i];
    }
    return NULL;
}

static int64_t wait_after(const struct backoff *b, unsigned failures)
{
    if (failures <= b->free_count)
        return 0;
    unsigned doublings = failures - b->free_count - 1;
    int64_t ms = doublings < 20 ? INT64_C(1000) << doublings : b->wait_ms_max;
    return ms < b->wait_ms_max ? ms : b->wait_ms_max;
}

int64_t backoff_wait_ms(struct backoff *b, uint64_t key, mono_time now)
{
    mutex_lock(&b->mutex);
    const struct entry *e = find_locked(b, key, now);
    int64_t left = e ? wait_after(b, e->failures) - ms_between(e->last, now) : 0;
    mutex_unlock(&b->mutex);
    return left > 0 ? left : 0;
}

void backoff_fail(struct backoff *b, uint64_t key, mono_time now)
{
    mutex_lock(&b->mutex);
    struct entry *e = find_locked(b, key, now);
    if (e == NULL) {
        struct entry *bucket = b->entries[key % BUCKETS];
        e = &bucket[0];
        for (unsigned i = 1; i < WAYS; i++)
            if (bucket[i].failures < e->failures ||
                (bucket[i].failures == e->failures && bucket[i].last.ns < e->last.ns))
                e = &bucket[i];
        *e = (struct entry){.key = key};
    }
    e->failures += e->failures < 1000;
    e->last = now;
    mutex_unlock(&b->mutex);
}

void backoff_succeed(struct backoff *b, uint64_t key)
{
    mutex_lock(&b->mutex);
    struct entry *bucket = b->entries[key % BUCKETS];
    for (unsigned i = 0; i < WAYS; i++)
        if (bucket[i].key == key)
            bucket[i].failures = 0;
    mutex_unlock(&b->mutex);
}
