/* SPDX-License-Identifier: Apache-2.0 */
/* dispatch_view.c: what the API shows of alerts and groups. What needs no lock of the router's is filled in afterwards. */
#include "alerting/dispatch_private.h"
#include "alerting/route.h"
#include "base/assert.h"

#include <stdlib.h>

enum { INHIBITIONS_SHOWN_MAX = 64 };

static void view_alert(struct dispatch *d, struct live_alert *a, int64_t now_ns,
                       struct arena *arena, struct alert_view *out)
{
    struct inhibition found[INHIBITIONS_SHOWN_MAX];
    size_t count =
        d->config ? inhibitor_find(d->inhibitor, a->labels, now_ns, found, INHIBITIONS_SHOWN_MAX)
                  : 0;
    *out = (struct alert_view){.alert = live_alert_ref(a),
                               .status = d->config ? ALERT_ACTIVE : ALERT_UNPROCESSED};
    if (count == 0)
        return;
    uint64_t *by = arena_alloc(arena, count * sizeof *by);
    for (size_t i = 0; i < count; i++) {
        bool known = false;
        for (size_t k = 0; k < out->inhibited_by_count && !known; k++)
            known = by[k] == found[i].source;
        if (!known)
            by[out->inhibited_by_count++] = found[i].source;
    }
    out->inhibited_by = by;
    out->status = ALERT_SUPPRESSED;
}

void dispatch_alerts(struct dispatch *d, struct instant now, struct arena *arena,
                     struct alert_views *out)
{
    *out = (struct alert_views){.items =
                                    arena_alloc(arena, d->store.count * sizeof(struct alert_view))};
    for (size_t i = 0; i < d->store.item_count; i++) {
        struct live_alert *a = d->store.items[i].alert;
        if (a && !live_alert_is_resolved(a, now.wall_ns))
            view_alert(d, a, now.wall_ns, arena, &out->items[out->count++]);
    }
}

/* False: the group has no alert that fires. */
static bool view_group(struct dispatch *d, const struct alert_group *g, struct instant now,
                       struct arena *arena, struct alert_group_view *out)
{
    struct muting_intervals muted;
    struct buffer key;
    size_t fires = 0;
    for (size_t i = 0; i < g->count; i++)
        fires += !live_alert_is_resolved(g->items[i].alert, now.wall_ns);
    if (fires == 0)
        return false;
    buffer_init(&key, MEM_ALERTING, 64 << 20);
    dispatch_key_format(g->node, g->labels, &key);
    *out = (struct alert_group_view){
        .labels = labels_copy(arena, g->labels),
        .receiver = arena_copy(arena, g->node->route->receiver),
        .key = arena_copy(arena, buffer_view(&key)),
        .alerts = {.items = arena_alloc(arena, fires * sizeof(struct alert_view))},
        .next_flush_ns =
            now.wall_ns + (g->due_mono_ns > now.mono_ns ? g->due_mono_ns - now.mono_ns : 0),
        .last_flush_ns = g->last_flush_ns};
    buffer_deinit(&key);
    route_muting_intervals(arena, d->config, g->node->route, now.wall_ns / 1000000000, &muted);
    for (size_t i = 0; i < g->count; i++) {
        if (live_alert_is_resolved(g->items[i].alert, now.wall_ns))
            continue;
        struct alert_view *v = &out->alerts.items[out->alerts.count++];
        view_alert(d, g->items[i].alert, now.wall_ns, arena, v);
        v->muted_by = muted.items;
        v->muted_by_count = muted.count;
        if (muted.count)
            v->status = ALERT_SUPPRESSED;
    }
    return true;
}

void dispatch_groups(struct dispatch *d, struct instant now, struct arena *arena,
                     struct alert_group_views *out)
{
    *out = (struct alert_group_views){
        .items = arena_alloc(arena, d->group_count * sizeof(struct alert_group_view))};
    for (size_t i = 0; i < d->group_places; i++)
        if (d->groups[i] && view_group(d, d->groups[i], now, arena, &out->items[out->count]))
            out->count++;
}

/* --- without the lock --- */

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
