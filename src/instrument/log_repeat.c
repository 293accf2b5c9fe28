/* SPDX-License-Identifier: Apache-2.0 */
/* log_repeat.c: see log_repeat.h. A place is found by a hash of event, level and the address of the call, in a small open
 * table that only grows: programs have few places that log. When an interval begins, the thread that
 * notices first sets the count back; a line of another thread that falls between may be counted in the old one. */
#include "instrument/log_repeat.h"

#include <string.h>
#include <time.h>

enum { PROBES = 8 };

uint64_t belfry__repeats_window(const struct repeats *r)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    return ((uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000) / r->interval_ms;
}

/* FNV-1a over the event, then mixed with the address. Never 0 or 1. */
static uint64_t key_of(belfry_log_level level, const char *event, const void *place)
{
    uint64_t h = UINT64_C(14695981039346656037) ^ (uint64_t)level;
    for (const char *p = event; *p; p++)
        h = (h ^ (unsigned char)*p) * UINT64_C(1099511628211);
    h = (h ^ (uint64_t)(uintptr_t)place) * UINT64_C(0x9e3779b97f4a7c15);
    h ^= h >> 32;
    return h < 2 ? 2 : h;
}

static struct repeat_place *find_place(struct repeats *r, belfry_log_level level, const char *event,
                                       const void *address)
{
    uint64_t key = key_of(level, event, address);
    for (size_t i = 0; i < PROBES; i++) {
        struct repeat_place *p = &r->places[(key + i) % REPEAT_PLACES_MAX];
        uint64_t seen = atomic_load_explicit(&p->key, memory_order_acquire);
        if (seen == key)
            return p;
        if (seen != 0)
            continue;
        uint64_t none = 0;
        if (!atomic_compare_exchange_strong_explicit(&p->key, &none, 1, memory_order_acquire,
                                                     memory_order_relaxed))
            continue;
        p->level = level;
        size_t len = strnlen(event, REPEAT_EVENT_BYTES - 1);
        memcpy(p->event, event, len);
        atomic_store_explicit(&p->key, key, memory_order_release);
        return p;
    }
    return NULL;
}

bool belfry__repeats_pass(struct repeats *r, belfry_log_level level, const char *event,
                          const void *place, bool *is_first)
{
    *is_first = false;
    struct repeat_place *p = find_place(r, level, event, place);
    if (!p)
        return true;
    uint64_t now = belfry__repeats_window(r);
    uint64_t window = atomic_load_explicit(&p->window, memory_order_relaxed);
    if (window != now &&
        atomic_compare_exchange_strong_explicit(&p->window, &window, now, memory_order_relaxed,
                                                memory_order_relaxed)) {
        atomic_store_explicit(&p->count, 0, memory_order_relaxed);
        uint32_t held = atomic_exchange_explicit(&p->held, 0, memory_order_relaxed);
        atomic_fetch_add_explicit(&p->due, held, memory_order_relaxed);
        if (held) /* the reader may just have looked at both, before and behind this */
            *is_first = !atomic_exchange(&r->has_held, true);
    }
    if (atomic_load_explicit(&p->count, memory_order_relaxed) < r->max &&
        atomic_fetch_add_explicit(&p->count, 1, memory_order_relaxed) < r->max)
        return true;
    atomic_fetch_add_explicit(&p->held, 1, memory_order_relaxed);
    *is_first = !atomic_exchange(&r->has_held, true) || *is_first;
    return false;
}

bool belfry__repeats_take(struct repeats *r, bool all, size_t *idx,
                          const struct repeat_place **place, uint32_t *held)
{
    uint64_t now = belfry__repeats_window(r);
    if (*idx == 0 && !atomic_exchange(&r->has_held, false))
        return false;
    while (*idx < REPEAT_PLACES_MAX) {
        struct repeat_place *p = &r->places[(*idx)++];
        if (atomic_load_explicit(&p->key, memory_order_acquire) < 2)
            continue;
        *held = atomic_exchange_explicit(&p->due, 0, memory_order_relaxed);
        if (all || atomic_load_explicit(&p->window, memory_order_relaxed) != now)
            *held += atomic_exchange_explicit(&p->held, 0, memory_order_relaxed);
        else if (atomic_load_explicit(&p->held, memory_order_relaxed) > 0)
            atomic_store_explicit(&r->has_held, true, memory_order_relaxed);
        *place = p;
        if (*held > 0)
            return true;
    }
    return false;
}
