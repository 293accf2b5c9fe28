/* SPDX-License-Identifier: Apache-2.0 */
/* permits.c: see permits.h. Each waiter has a condition of its own, so that one permit wakes one thread. */
#include "permits.h"

#include "base/assert.h"
#include "base/mem.h"
#include "base/thread.h"

struct share {
    uint64_t key;
    uint64_t taken; /* 0: the place is free */
};

struct waiter {
    uint64_t key, n;
    const atomic_bool *cancel;
    pthread_cond_t changed;
    bool is_in, has_left; /* either: it is not in the list any more */
    struct waiter *next;
};

struct permits {
    uint64_t count;
    unsigned keys_max; /* 0: not shared */

    pthread_mutex_t mutex; /* a leaf; guards what follows */
    uint64_t taken;
    unsigned waiting;
    struct share *shares; /* keys_max of them */
    struct waiter *first, *last;
};

struct permits *permits_new_weighed(uint64_t count, unsigned keys_max)
{
    ASSERT(count > 0);
    struct permits *p = mem_alloc_zero(MEM_OTHER, 1, sizeof(*p));
    p->count = count;
    p->keys_max = keys_max;
    p->shares = keys_max ? mem_alloc_zero(MEM_OTHER, keys_max, sizeof(p->shares[0])) : NULL;
    mutex_init(&p->mutex);
    return p;
}

/* No more keys than permits hold one. */
struct permits *permits_new(unsigned count, bool is_shared)
{
    return permits_new_weighed(count, is_shared ? count : 0);
}

void permits_free(struct permits *p)
{
    if (!p)
        return;
    ASSERT(p->taken == 0 && p->first == NULL);
    mutex_deinit(&p->mutex);
    mem_free(MEM_OTHER, p->shares);
    mem_free(MEM_OTHER, p);
}

/* Its place, or a free one; NULL: none of both. */
static struct share *share_find_locked(const struct permits *p, uint64_t key)
{
    struct share *free = NULL;
    for (unsigned i = 0; i < p->keys_max; i++) {
        if (p->shares[i].taken && p->shares[i].key == key)
            return &p->shares[i];
        if (!p->shares[i].taken && !free)
            free = &p->shares[i];
    }
    return free;
}

static bool take_locked(struct permits *p, uint64_t key, uint64_t n)
{
    uint64_t free = p->count - p->taken;
    if (n > free)
        return false;
    if (p->keys_max) {
        struct share *share = share_find_locked(p, key);
        if (!share || share->taken + n > 2 * free)
            return false;
        share->key = key;
        share->taken += n;
    }
    p->taken += n;
    return true;
}

static void unlink_locked(struct permits *p, struct waiter *w, struct waiter *before)
{
    p->waiting--;
    if (before)
        before->next = w->next;
    else
        p->first = w->next;
    if (p->last == w)
        p->last = before;
}

/* Those who may come in now, by arrival. */
static void let_in_locked(struct permits *p)
{
    struct waiter *before = NULL;
    for (struct waiter *w = p->first; w && p->taken < p->count;) {
        struct waiter *next = w->next;
        if (take_locked(p, w->key, w->n)) {
            unlink_locked(p, w, before);
            w->is_in = true;
            cond_signal(&w->changed);
        } else if (!p->keys_max) {
            return; /* those behind it would keep it out for ever */
        } else {
            before = w;
        }
        w = next;
    }
}

static uint64_t at_most_all(const struct permits *p, uint64_t n)
{
    return n < p->count ? n : p->count;
}

bool permits_try_many(struct permits *p, uint64_t key, uint64_t n)
{
    mutex_lock(&p->mutex);
    bool is_in = take_locked(p, key, at_most_all(p, n));
    mutex_unlock(&p->mutex);
    return is_in;
}

bool permits_try(struct permits *p, uint64_t key)
{
    return permits_try_many(p, key, 1);
}

/* Set before permits_wake() took the mutex: who has it after that sees it. */
static bool is_cancelled(const atomic_bool *cancel)
{
    return atomic_load_explicit(cancel, memory_order_relaxed);
}

/* Where they are shared, who waits was refused before: of that key nobody is let in either, so none that comes overtakes one of its
 * own. */
bool permits_wait_many(struct permits *p, uint64_t key, uint64_t n, const atomic_bool *cancel)
{
    struct waiter w = {.key = key, .n = at_most_all(p, n), .cancel = cancel};
    mutex_lock(&p->mutex);
    bool is_late = is_cancelled(cancel);
    if (is_late || ((p->keys_max || !p->first) && take_locked(p, key, w.n))) {
        mutex_unlock(&p->mutex);
        return !is_late;
    }
    cond_init(&w.changed);
    if (p->last)
        p->last->next = &w;
    else
        p->first = &w;
    p->last = &w;
    p->waiting++;
    while (!w.is_in && !w.has_left)
        cond_wait(&w.changed, &p->mutex);
    mutex_unlock(&p->mutex);
    cond_deinit(&w.changed);
    return w.is_in;
}

bool permits_wait(struct permits *p, uint64_t key, const atomic_bool *cancel)
{
    return permits_wait_many(p, key, 1, cancel);
}

void permits_wake(struct permits *p)
{
    struct waiter *before = NULL;
    bool has_left = false;
    mutex_lock(&p->mutex);
    for (struct waiter *w = p->first, *next; w; w = next) {
        next = w->next;
        if (!is_cancelled(w->cancel)) {
            before = w;
            continue;
        }
        unlink_locked(p, w, before); /* who wakes others later does not meet it again */
        has_left = w->has_left = true;
        cond_signal(&w->changed);
    }
    if (has_left && !p->keys_max)
        let_in_locked(p); /* they who waited only for it to go first */
    mutex_unlock(&p->mutex);
}

void permits_give_many(struct permits *p, uint64_t key, uint64_t n)
{
    n = at_most_all(p, n);
    mutex_lock(&p->mutex);
    ASSERT(p->taken >= n);
    p->taken -= n;
    if (p->keys_max && n) {
        struct share *share = share_find_locked(p, key);
        ASSERT(share && share->taken >= n);
        share->taken -= n;
    }
    let_in_locked(p);
    mutex_unlock(&p->mutex);
}

void permits_give(struct permits *p, uint64_t key)
{
    permits_give_many(p, key, 1);
}

uint64_t permits_count(const struct permits *p)
{
    return p->count;
}

uint64_t permits_taken(struct permits *p)
{
    mutex_lock(&p->mutex);
    uint64_t taken = p->taken;
    mutex_unlock(&p->mutex);
    return taken;
}

unsigned permits_waiting(struct permits *p)
{
    mutex_lock(&p->mutex);
    unsigned waiting = p->waiting;
    mutex_unlock(&p->mutex);
    return waiting;
}
