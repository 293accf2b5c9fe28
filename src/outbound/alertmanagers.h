/* SPDX-License-Identifier: Apache-2.0 */
/* alertmanagers.h: which Alertmanagers an entry of alerting.alertmanagers means: addresses of static_configs and of
 * discovery, relabelled, as the URLs that alerts are posted to.
 *
 * Labels as in Prometheus 3: __address__, __scheme__ and __alerts_path__ (path_prefix and /api/v2/alerts) go into
 * relabelling and make the URL afterwards. */
#ifndef BELFRY_OUTBOUND_ALERTMANAGERS_H
#define BELFRY_OUTBOUND_ALERTMANAGERS_H

#include "base/arena.h"
#include "base/view.h"
#include "ingest/config.h"
#include "ingest/discover.h"

#include <stddef.h>

/* Texts are in the arena and end with a NUL that len does not count. */
struct url_list {
    struct view *items;
    size_t count, capacity;
};
struct alertmanagers {
    struct url_list active;  /* distinct, in the order in which they were found */
    struct url_list dropped; /* by relabelling; as they were before it */
};

enum { ALERTMANAGERS_MAX = 1000 }; /* of one entry; more are left out, and it is said */

/* Appends copies of all of them. */
void url_list_add_all(struct arena *arena, struct url_list *to, const struct url_list *from);

/* What discovery has found so far is asked of `d`. failed(arg, text) is called for addresses that make no URL; they are
 * left out. */
void alertmanagers_find(struct arena *arena, const struct config_alertmanager *entry,
                        struct discover *d, struct alertmanagers *out,
                        void (*failed)(void *arg, const char *text), void *arg);

#endif
