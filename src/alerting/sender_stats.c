/* SPDX-License-Identifier: Apache-2.0 */
/* sender_stats.c: what Alertmanager counts of its notifications, by receiver and kind of integration. */
#include "alerting/sender_private.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

const double SENDER_LATENCY_BOUNDS[SENDER_LATENCY_BUCKETS - 1] = {1, 5, 10, 15, 20};

struct sender_counters {
    struct sender_stat *items; /* `receiver` is owned */
    size_t count, capacity;
};

const char *sender_reason_name(enum sender_reason reason)
{
    static const char *const NAMES[] = {
#define X(id, name) name,
        SENDER_REASONS(X)
#undef X
    };
    return NAMES[reason];
}

enum sender_reason sender_reason_of_status(long status)
{
    if (status == 429)
        return SENDER_RATE_LIMITED;
    if (status == 401 || status == 403)
        return SENDER_AUTH_ERROR;
    if (status >= 400 && status <= 499)
        return SENDER_CLIENT_ERROR;
    return status >= 500 && status <= 599 ? SENDER_SERVER_ERROR : SENDER_OTHER;
}

struct sender_counters *sender_counters_new(void)
{
    return mem_alloc_zero(MEM_ALERTING, 1, sizeof(struct sender_counters));
}

void sender_counters_free(struct sender_counters *c)
{
    for (size_t i = 0; i < c->count; i++)
        mem_free(MEM_ALERTING, (char *)c->items[i].receiver.ptr);
    mem_free(MEM_ALERTING, c->items);
    mem_free(MEM_ALERTING, c);
}

struct sender_stat *sender_counters_of_locked(struct sender_counters *c,
                                              const struct integration *integration)
{
    struct view receiver = integration->receiver->name;
    const char *kind = integration->driver->kind;
    for (size_t i = 0; i < c->count; i++)
        if (view_eq(c->items[i].receiver, receiver) && strcmp(c->items[i].integration, kind) == 0)
            return &c->items[i];
    c->items = mem_grow(MEM_ALERTING, c->items, &c->capacity, c->count + 1, sizeof(*c->items));
    c->items[c->count] = (struct sender_stat){
        .receiver = {mem_copy_string(MEM_ALERTING, receiver), receiver.len}, .integration = kind};
    return &c->items[c->count++];
}

static int stat_cmp(const void *a, const void *b)
{
    const struct sender_stat *x = a, *y = b;
    int c = view_cmp(x->receiver, y->receiver);
    return c ? c : strcmp(x->integration, y->integration);
}

void sender_counters_copy_locked(const struct sender_counters *c, struct arena *arena,
                                 struct sender_stats *out)
{
    out->count = c->count;
    out->items = ARENA_ARRAY(arena, struct sender_stat, c->count);
    for (size_t i = 0; i < c->count; i++) {
        out->items[i] = c->items[i];
        out->items[i].receiver = arena_copy(arena, c->items[i].receiver);
    }
    if (c->count)
        qsort(out->items, c->count, sizeof(*out->items), stat_cmp);
}
