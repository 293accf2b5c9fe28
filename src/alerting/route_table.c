/* SPDX-License-Identifier: Apache-2.0 */
/* route_table.c: see route_table.h. Recursion is as deep as the configuration's YAML, which has a limit. */
#include "alerting/route_table.h"

#include "base/assert.h"

#include <stdlib.h>

enum { KEY_BYTES_MAX = 16 << 20 }; /* the configuration's own limit */

static size_t count_nodes(const struct alert_route *route)
{
    size_t count = 1;
    for (size_t i = 0; i < route->routes.count; i++)
        count += count_nodes(&route->routes.items[i]);
    return count;
}

/* `key` holds that of the parent. */
static void add(struct route_table *t, struct arena *arena, const struct alert_route *route,
                uint32_t parent, struct buffer *key)
{
    uint32_t self = (uint32_t)t->count++;
    size_t parent_len = key->len;
    if (self)
        buffer_append_byte(key, '/');
    matchers_format(key, &route->matchers);
    t->items[self] = (struct route_node){route, arena_copy(arena, buffer_view(key)), parent};
    for (size_t i = 0; i < route->routes.count; i++)
        add(t, arena, &route->routes.items[i], self, key);
    key->len = parent_len;
}

static int compare_addresses(const void *a, const void *b, void *arg)
{
    const struct route_table *t = arg;
    const struct alert_route *x = t->items[*(const uint32_t *)a].route;
    const struct alert_route *y = t->items[*(const uint32_t *)b].route;
    return ((uintptr_t)x > (uintptr_t)y) - ((uintptr_t)x < (uintptr_t)y);
}

void route_table_init(struct route_table *t, struct arena *arena, const struct alert_route *root)
{
    struct buffer key;
    size_t count = count_nodes(root);
    *t = (struct route_table){.items = ARENA_ARRAY(arena, struct route_node, count),
                              .by_address = ARENA_ARRAY(arena, uint32_t, count)};
    buffer_init(&key, MEM_ALERTING, KEY_BYTES_MAX);
    add(t, arena, root, 0, &key);
    buffer_deinit(&key);
    ASSERT(t->count == count);
    for (uint32_t i = 0; i < count; i++)
        t->by_address[i] = i;
    qsort_r(t->by_address, count, sizeof *t->by_address, compare_addresses, t);
}

uint32_t route_table_find(const struct route_table *t, const struct alert_route *route)
{
    size_t low = 0, high = t->count;
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if ((uintptr_t)t->items[t->by_address[middle]].route <= (uintptr_t)route)
            low = middle;
        else
            high = middle;
    }
    ASSERT(t->items[t->by_address[low]].route == route);
    return t->by_address[low];
}
