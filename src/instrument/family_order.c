/* SPDX-License-Identifier: Apache-2.0 */
/* family_order.c: the children of a family as expositions show them: by their label values.
 *
 * Sorting costs more than writing, and children come and go seldom: so the sorted list is kept until they do. A list is
 * never changed, only replaced: who writes from it has a reference. Lists are as long as there were children; a child
 * that was taken out meanwhile is still there to be read. */
#include "instrument/lock.h"
#include "instrument/registry.h"

#include <stdlib.h>
#include <string.h>

static int metric_compare(const void *a, const void *b)
{
    const struct metric *x = *(const struct metric *const *)a,
                        *y = *(const struct metric *const *)b;
    const char *v = metric_values(x), *w = metric_values(y);
    for (size_t i = 0; i < x->family->label_count; i++) {
        int c = strcmp(v, w);
        if (c)
            return c;
        v += strlen(v) + 1;
        w += strlen(w) + 1;
    }
    return 0;
}

static void unref_locked(struct child_order *order)
{
    if (order && --order->references == 0)
        free(order);
}

static struct child_order *ref_current_locked(struct family *f)
{
    struct child_order *order = f->order;
    if (!order || order->change != atomic_load_explicit(&f->change_count, memory_order_relaxed))
        return NULL;
    order->references++;
    return order;
}

/* The children of now, in no order. NULL without memory. */
static struct child_order *collect(struct family *f)
{
    const struct metric **children;
    size_t count;
    /* loaded before the children: what comes or goes between the two makes the list outdated, not wrong */
    uint32_t change = atomic_load_explicit(&f->change_count, memory_order_acquire);
    if (!belfry__family_children(f, &children, &count))
        return NULL;
    struct child_order *order = malloc(sizeof(*order) + count * sizeof(order->items[0]));
    if (order) {
        *order = (struct child_order){.references = 1, .change = change, .count = count};
        memcpy(order->items, children, count * sizeof(children[0]));
    }
    free(children);
    return order;
}

struct child_order *belfry__family_order_take(struct family *f)
{
    belfry__lock();
    struct child_order *order = ref_current_locked(f);
    belfry__unlock();
    if (order)
        return order;
    order = collect(f);
    if (!order)
        return NULL;
    if (order->count > 1)
        qsort(order->items, order->count, sizeof(order->items[0]), metric_compare);
    belfry__lock();
    unref_locked(f->order);
    f->order = order;
    order->references++;
    belfry__unlock();
    return order;
}

void belfry__family_order_give(struct child_order *order)
{
    belfry__lock();
    unref_locked(order);
    belfry__unlock();
}

void belfry__family_order_free_locked(struct family *f)
{
    unref_locked(f->order);
    f->order = NULL;
}
