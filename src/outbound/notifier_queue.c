/* SPDX-License-Identifier: Apache-2.0 */
/* notifier_queue.c: the alerts that wait for an Alertmanager, oldest first. */
#include "outbound/notifier_private.h"

#include "base/mem.h"

#include <string.h>

/* Alerts have texts of any length: so much of them waits for one Alertmanager at most. Chosen: 6 KiB an alert of a full
 * queue of default size. */
enum { RING_BYTES_MAX = 64 << 20 };

static struct posted_alert *take_first(struct alert_ring *ring)
{
    struct posted_alert *a = ring->items[ring->first];
    ring->first = (ring->first + 1) % ring->capacity;
    ring->count--;
    ring->bytes -= a->len;
    return a;
}

static void grow(struct alert_ring *ring, size_t capacity_max)
{
    size_t capacity = ring->capacity ? ring->capacity * 2 : 64;
    if (capacity > capacity_max)
        capacity = capacity_max;
    struct posted_alert **items = mem_alloc(MEM_ALERTING, capacity * sizeof(struct posted_alert *));
    for (size_t i = 0; i < ring->count; i++)
        items[i] = ring->items[(ring->first + i) % ring->capacity];
    mem_free(MEM_ALERTING, ring->items);
    ring->items = items;
    ring->capacity = capacity;
    ring->first = 0;
}

size_t ring_push(struct alert_ring *ring, struct posted_alert *const *items, size_t count,
                 size_t capacity_max)
{
    size_t dropped = 0;
    for (size_t i = 0; i < count; i++) {
        struct posted_alert *a = items[i];
        while (ring->count &&
               (ring->count == capacity_max || ring->bytes + a->len > RING_BYTES_MAX)) {
            posted_alert_unref(take_first(ring));
            dropped++;
        }
        if (ring->count == ring->capacity)
            grow(ring, capacity_max);
        ring->items[(ring->first + ring->count++) % ring->capacity] = posted_alert_ref(a);
        ring->bytes += a->len;
    }
    return dropped;
}

size_t ring_take(struct alert_ring *ring, struct posted_alert **out, size_t max)
{
    size_t count = 0;
    while (count < max && ring->count)
        out[count++] = take_first(ring);
    return count;
}

size_t ring_clear(struct alert_ring *ring)
{
    size_t count = ring->count;
    while (ring->count)
        posted_alert_unref(take_first(ring));
    return count;
}
