/* SPDX-License-Identifier: Apache-2.0 */
/* permits.c: see permits.h. Each waiter has a condition of its own, so that one permit wakes one thread. */
#include "permits.h"

#include "base/assert.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/thread.h"

enum { LOOK_MS = 100 }; /* how soon a waiter sees that it is cancelled */

struct share {
    uint64_t key;
    unsigned taken; /* 0: the place is free */
};

struct waiter {
    uint64_t key;
    pthread_cond_t changed;
    bool is_in;
    struct waiter *next;
};

struct permits {
    unsigned count;
    bool is_shared;

    pthread_mutex_t mutex; /* a leaf; guards what follows */
    unsigned taken, waiting;
    struct share *shares; /* `count` of them: no more keys than permits hold one */
    struct waiter *first, *last;
};

struct permits *permits_new(unsigned count, bool is_shared)
{
    ASSERT(count > 0);
    struct permits *p = mem_alloc_zero(MEM_OTHER, 1, sizeof(*p));
    p->count = count;
    p->is_shared = is_shared;
    p->shares = is_shared ? mem_alloc_zero(MEM_OTHER, count, sizeof(p->shares[0])) : NULL;
    mutex_init(&p->mutex);
    return p;
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
    for (unsigned i = 0; i < p->count; i++) {
        if (p->shares[i].taken && p->shares[i].key == key)
            return &p->shares[i];
        if (!p->shares[i].taken && !free)
            free = &p->shares[i];
    }
    return free;
}

static bool take_locked(struct permits *p, uint64_t key)
{
    if (p->taken == p->count)
        return false;
    if (p->is_shared) {
        struct share *share = share_find_locked(p, key);
        ASSERT(share != NULL);
        if (share->taken && share->taken >= 2 * (p->count - p->taken))
            return false;
        share->key = key;
        share->taken++;
    }
    p->taken++;
    return true;
}

/* Those who may come in now, by arrival. */
static void let_in_locked(struct permits *p)
{
    struct waiter *before = NULL;
    for (struct waiter *w = p->first; w && p->taken < p->count;) {
        struct waiter *next = w->next;
        if (take_locked(p, w->key)) {
            if (before)
                before->next = next;
            else
                p->first = next;
            if (p->last == w)
                p->last = before;
            w->is_in = true;
            cond_signal(&w->changed);
        } else {
            before = w;
        }
        w = next;
    }
}

static void leave_locked(struct permits *p, struct waiter *w)
{
    struct waiter *before = NULL;
    for (struct waiter *at = p->first; at != w; at = at->next)
        before = at;
    if (before)
        before->next = w->next;
    else
        p->first = w->next;
    if (p->last == w)
        p->last = before;
}

bool permits_try(struct permits *p, uint64_t key)
{
    mutex_lock(&p->mutex);
    bool is_in = take_locked(p, key);
    mutex_unlock(&p->mutex);
    return is_in;
}

/* Who waits was refused before: of that key nobody is let in either, so none that comes overtakes one of its own. */
bool permits_wait(struct permits *p, uint64_t key, const atomic_bool *cancel)
{
    struct waiter w = {.key = key};
    if (atomic_load_explicit(cancel, memory_order_relaxed))
        return false;
    mutex_lock(&p->mutex);
    if (take_locked(p, key)) {
        mutex_unlock(&p->mutex);
        return true;
    }
    cond_init(&w.changed);
    if (p->last)
        p->last->next = &w;
    else
        p->first = &w;
    p->last = &w;
    p->waiting++;
    while (!w.is_in && !atomic_load_explicit(cancel, memory_order_relaxed))
        (void)cond_wait_until(&w.changed, &p->mutex,
                              mono_add_ms(clock_mono(), LOOK_MS)); /* the loop asks again */
    p->waiting--;
    if (!w.is_in)
        leave_locked(p, &w);
    mutex_unlock(&p->mutex);
    cond_deinit(&w.changed);
    return w.is_in;
}

void permits_give(struct permits *p, uint64_t key)
{
    mutex_lock(&p->mutex);
    ASSERT(p->taken > 0);
    p->taken--;
    if (p->is_shared) {
        struct share *share = share_find_locked(p, key);
        ASSERT(share && share->taken > 0);
        share->taken--;
    }
    let_in_locked(p);
    mutex_unlock(&p->mutex);
}

unsigned permits_taken(struct permits *p)
{
    mutex_lock(&p->mutex);
    unsigned taken = p->taken;
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
