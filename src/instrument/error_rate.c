/* SPDX-License-Identifier: Apache-2.0 */
/* error_rate.c: see error_rate.h. A request that ends while the note of a new slot is made may count in either. */
#include "instrument/error_rate.h"

void belfry__error_rate_init(struct error_rate *r)
{
    atomic_init(&r->total, 0);
    atomic_init(&r->errors, 0);
    atomic_init(&r->slot, -1);
    pthread_mutex_init(&r->mutex, NULL);
    for (int i = 0; i < RATE_SLOTS_KEPT; i++)
        r->notes[i].slot = -1;
}

void belfry__error_rate_deinit(struct error_rate *r)
{
    pthread_mutex_destroy(&r->mutex);
}

static void begin_slot(struct error_rate *r, int64_t slot)
{
    pthread_mutex_lock(&r->mutex);
    if (slot > atomic_load_explicit(&r->slot, memory_order_relaxed)) {
        int at = (int)(slot % RATE_SLOTS_KEPT);
        r->notes[at].slot = slot;
        r->notes[at].total = atomic_load_explicit(&r->total, memory_order_relaxed);
        r->notes[at].errors = atomic_load_explicit(&r->errors, memory_order_relaxed);
        atomic_store_explicit(&r->slot, slot, memory_order_release);
    }
    pthread_mutex_unlock(&r->mutex);
}

void belfry__error_rate_add(struct error_rate *r, int64_t now_s, bool is_error)
{
    int64_t slot = now_s / RATE_SLOT_SECONDS;
    if (slot > atomic_load_explicit(&r->slot, memory_order_acquire))
        begin_slot(r, slot);
    atomic_fetch_add_explicit(&r->total, 1, memory_order_relaxed);
    if (is_error)
        atomic_fetch_add_explicit(&r->errors, 1, memory_order_release);
}

double belfry__error_rate_get(struct error_rate *r, int64_t now_s)
{
    int64_t newest = now_s / RATE_SLOT_SECONDS, oldest = INT64_MAX;
    uint64_t total = 0, errors = 0;
    pthread_mutex_lock(&r->mutex);
    for (int i = 0; i < RATE_SLOTS_KEPT; i++) {
        int64_t slot = r->notes[i].slot;
        if (slot < 0 || slot <= newest - RATE_SLOTS || slot >= oldest)
            continue;
        oldest = slot;
        total = r->notes[i].total;
        errors = r->notes[i].errors;
    }
    /* Errors first: the total is then at least as many. */
    uint64_t errors_now = atomic_load_explicit(&r->errors, memory_order_acquire);
    uint64_t total_now = atomic_load_explicit(&r->total, memory_order_relaxed);
    pthread_mutex_unlock(&r->mutex);
    if (oldest == INT64_MAX || total_now == total)
        return -1;
    double rate = (double)(errors_now - errors) / (double)(total_now - total);
    return rate < 1 ? rate : 1;
}
