/* SPDX-License-Identifier: Apache-2.0 */
/* route_table.h: the nodes of a routing tree in a row, each with the key that names it in group keys. Immutable once
 * made. */
#ifndef BELFRY_ALERTING_ROUTE_TABLE_H
#define BELFRY_ALERTING_ROUTE_TABLE_H

#include "alerting/alert_config.h"
#include "base/arena.h"

#include <stddef.h>
#include <stdint.h>

struct route_node {
    const struct alert_route *route;
    struct view key; /* {}/{severity="page"}: the matchers from the root down */
    uint32_t parent; /* index; of the root: its own */
};

struct route_table {
    struct route_node *items; /* in the order of the tree: the root is the first */
    size_t count;
    uint32_t *by_address; /* indexes, ascending by the address of `route` */
};

/* In the arena; borrows the tree. */
void route_table_init(struct route_table *t, struct arena *arena, const struct alert_route *root);
/* The index of a node of the tree. */
uint32_t route_table_find(const struct route_table *t, const struct alert_route *route);

#endif
