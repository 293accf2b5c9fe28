/* SPDX-License-Identifier: Apache-2.0 */
/* turns.c: see turns.h. */
#include "turns.h"

#include "base/mem.h"
#include "base/thread.h"

void turns_init(struct turns *t, size_t count)
{
    *t = (struct turns){.free_count = count};
    t->idle = mem_alloc_zero(MEM_OTHER, count + 1, sizeof(void *));
    mutex_init(&t->mutex);
    cond_init(&t->given_back);
}

void turns_deinit(struct turns *t)
{
    cond_deinit(&t->given_back);
    mutex_deinit(&t->mutex);
    mem_free(MEM_OTHER, t->idle);
}

bool turns_take(struct turns *t, mono_time deadline, void **kept)
{
    mutex_lock(&t->mutex);
    bool in_time = true;
    while (t->free_count == 0 && in_time)
        in_time = cond_wait_until(&t->given_back, &t->mutex, deadline);
    bool ok = t->free_count > 0;
    t->free_count -= ok;
    *kept = ok && t->idle_count ? t->idle[--t->idle_count] : NULL;
    mutex_unlock(&t->mutex);
    return ok;
}

void turns_give_back(struct turns *t, void *kept)
{
    mutex_lock(&t->mutex);
    t->free_count++;
    if (kept)
        t->idle[t->idle_count++] = kept;
    cond_signal(&t->given_back);
    mutex_unlock(&t->mutex);
}

void *turns_take_idle(struct turns *t)
{
    mutex_lock(&t->mutex);
    void *kept = t->idle_count ? t->idle[--t->idle_count] : NULL;
    mutex_unlock(&t->mutex);
    return kept;
}
