/* SPDX-License-Identifier: Apache-2.0 */
/* dispatch_view.c: what the API shows of alerts and groups. What needs no lock of the router's is filled in afterwards. */
#include "alerting/dispatch_private.h"
#include "alerting/route.h"
#include "base/assert.h"

#include <stdlib.h>

enum { INHIBITIONS_SHOWN_MAX = 64 };

/* --- under the lock --- */

void dispatch_alive(const struct dispatch *d, struct instant now, struct arena *arena,
                    struct alive_alerts *out)
{
    *out = (struct alive_alerts){ARENA_ARRAY(arena, struct live_alert *, d->store.count), 0};
    for (size_t i = 0; i < d->store.item_count; i++) {
        struct live_alert *a = d->store.items[i].alert;
        if (a && !live_alert_is_resolved(a, now.wall_ns))
            out->items[out->count++] = live_alert_ref(a);
    }
}

/* False: the group has no alert that fires. */
static bool note_group(const struct alert_group *g, struct instant now, struct arena *arena,
                       struct buffer *key, struct alive_group *out)
{
    struct alive_alerts alerts = {NULL, 0};
    for (size_t i = 0; i < g->count; i++) {
        if (live_alert_is_resolved(g->items[i].alert, now.wall_ns))
            continue;
        if (!alerts.items)
            alerts.items = ARENA_ARRAY(arena, struct live_alert *, g->count - i);
        alerts.items[alerts.count++] = live_alert_ref(g->items[i].alert);
    }
    if (alerts.count == 0)
        return false;
    buffer_reset(key);
    dispatch_key_format(g->node, g->labels, key);
    int64_t wait_ns = g->due_mono_ns > now.mono_ns ? g->due_mono_ns - now.mono_ns : 0;
    *out = (struct alive_group){.view = {.labels = labels_copy(arena, g->labels),
                                         .receiver = arena_copy(arena, g->node->route->receiver),
                                         .key = arena_copy(arena, buffer_view(key)),
                                         .next_flush_ns = now.wall_ns + wait_ns,
                                         .last_flush_ns = g->last_flush_ns},
                                .route = g->node->route,
                                .alerts = alerts};
    return true;
}

void dispatch_alive_groups(const struct dispatch *d, struct instant now, struct arena *arena,
                           struct alive_groups *out)
{
    struct buffer key;
    buffer_init(&key, MEM_ALERTING, 64 << 20);
    *out = (struct alive_groups){ARENA_ARRAY(arena, struct alive_group, d->group_count), 0};
    for (size_t i = 0; i < d->group_places; i++)
        if (d->groups[i] && note_group(d->groups[i], now, arena, &key, &out->items[out->count]))
            out->count++;
    buffer_deinit(&key);
}

static void inhibit_view(const struct dispatch *d, int64_t now_ns, struct arena *arena,
                         struct alert_view *v)
{
    struct inhibition found[INHIBITIONS_SHOWN_MAX];
    size_t count =
        inhibitor_find(d->inhibitor, v->alert->labels, now_ns, found, INHIBITIONS_SHOWN_MAX);
    if (count == 0)
        return;
    uint64_t *by = arena_alloc(arena, count * sizeof *by);
    for (size_t i = 0; i < count; i++) {
        bool known = false;
        for (size_t k = 0; k < v->inhibited_by_count && !known; k++)
            known = by[k] == found[i].source;
        if (!known)
            by[v->inhibited_by_count++] = found[i].source;
    }
    v->inhibited_by = by;
    v->status = ALERT_SUPPRESSED;
}

void dispatch_inhibit_views(const struct dispatch *d, struct instant now, struct arena *arena,
                            struct alert_view *items, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (d->config)
            inhibit_view(d, now.wall_ns, arena, &items[i]);
        else
            items[i].status = ALERT_UNPROCESSED;
    }
}

/* --- without the lock --- */

void dispatch_want(struct arena *arena, const struct alive_alerts *alive, alert_wanted *wanted,
                   const void *arg, struct alert_views *out)
{
    size_t count = 0;
    for (size_t i = 0; i < alive->count; i++) {
        if (wanted == NULL || wanted(arg, alive->items[i]))
            alive->items[count++] = alive->items[i];
        else
            live_alert_unref(alive->items[i]);
    }
    *out = (struct alert_views){ARENA_ARRAY(arena, struct alert_view, count), count};
    for (size_t i = 0; i < count; i++)
        out->items[i] = (struct alert_view){.alert = alive->items[i], .status = ALERT_ACTIVE};
}

void dispatch_want_groups(const struct alert_config *c, int64_t wall_ns, struct arena *arena,
                          const struct alive_groups *alive, alert_wanted *wanted, const void *arg,
                          struct alert_group_views *out)
{
    *out = (struct alert_group_views){ARENA_ARRAY(arena, struct alert_group_view, alive->count), 0};
    for (size_t i = 0; i < alive->count; i++) {
        struct alert_group_view *g = &out->items[out->count];
        struct muting_intervals muted;
        *g = alive->items[i].view;
        dispatch_want(arena, &alive->items[i].alerts, wanted, arg, &g->alerts);
        if (g->alerts.count == 0)
            continue;
        out->count++;
        route_muting_intervals(arena, c, alive->items[i].route, wall_ns / 1000000000, &muted);
        for (size_t k = 0; k < g->alerts.count; k++) {
            struct alert_view *v = &g->alerts.items[k];
            v->muted_by = muted.items;
            v->muted_by_count = muted.count;
            v->status = muted.count ? ALERT_SUPPRESSED : ALERT_ACTIVE;
        }
    }
}

static void complete_view(const struct alert_router_options *opts, const struct alert_config *c,
                          int64_t wall_ns, struct arena *arena, struct alert_view *v)
{
    const struct live_alert *a = v->alert;
    struct route_matches matches = {0};
    if (opts->peers->silenced(opts->state, arena, a->fingerprint, a->labels, wall_ns,
                              &v->silenced_by))
        v->status = ALERT_SUPPRESSED;
    v->is_acknowledged =
        opts->peers->acknowledged(opts->state, a->fingerprint, a->starts_ns, wall_ns);
    if (!c)
        return;
    route_match(arena, c->route, a->labels, &matches);
    struct view *receivers = arena_alloc(arena, matches.count * sizeof *receivers);
    for (size_t i = 0; i < matches.count; i++)
        receivers[i] = arena_copy(arena, matches.items[i]->receiver);
    v->receivers = receivers;
    v->receiver_count = matches.count;
}

void dispatch_complete_views(const struct alert_router_options *opts, const struct alert_config *c,
                             int64_t wall_ns, struct arena *arena, struct alert_views *views)
{
    for (size_t i = 0; i < views->count; i++)
        complete_view(opts, c, wall_ns, arena, &views->items[i]);
}

void alert_views_release(struct alert_views *v)
{
    for (size_t i = 0; i < v->count; i++)
        live_alert_unref(v->items[i].alert);
    v->count = 0;
}

void alert_group_views_release(struct alert_group_views *v)
{
    for (size_t i = 0; i < v->count; i++)
        alert_views_release(&v->items[i].alerts);
    v->count = 0;
}

/* --- numbers --- */

void dispatch_stats_get(const struct dispatch *d, struct instant now,
                        struct alert_router_stats *out)
{
    *out = d->stats;
    for (size_t i = 0; i < d->store.item_count; i++) {
        const struct alert_entry *e = &d->store.items[i];
        if (e->alert && !live_alert_is_resolved(e->alert, now.wall_ns))
            out->alerts[e->status]++;
    }
    out->groups = d->group_count;
    out->ends_waiting = d->ended_count;
}
