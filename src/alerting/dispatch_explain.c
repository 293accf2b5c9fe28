/* SPDX-License-Identifier: Apache-2.0 */
/* dispatch_explain.c: see alert_explain.h. What a flush would find, without one. */
#include "alerting/alert_explain.h"
#include "alerting/dispatch_private.h"
#include "base/assert.h"

enum { INHIBITIONS_MAX = 64, TEXT_BYTES_MAX = 64 << 20 };

const char *explained_verdict_name(enum explained_verdict verdict)
{
    static const char *const NAMES[] = {"not tried", "refused", "passed on", "takes"};
    return NAMES[verdict];
}

struct walk {
    struct dispatch *d;
    struct arena *arena;
    struct labels labels;
    struct explained_route *routes;
    size_t next;
};

static const struct explained_matcher *explain_matchers(struct walk *w, const struct matchers *m)
{
    struct explained_matcher *out = ARENA_ARRAY(w->arena, struct explained_matcher, m->count);
    struct buffer text;
    buffer_init(&text, MEM_ALERTING, TEXT_BYTES_MAX);
    for (size_t i = 0; i < m->count; i++) {
        struct view value = labels_get(w->labels, m->items[i].name);
        buffer_reset(&text);
        matcher_format(&text, &m->items[i]);
        out[i] = (struct explained_matcher){arena_copy(w->arena, buffer_view(&text)), value,
                                            matcher_matches(&m->items[i], value)};
    }
    buffer_deinit(&text);
    return out;
}

/* As route_match() walks, but noting everything. Does the node or one below take the labels? */
static bool explain_route(struct walk *w, const struct alert_route *route, size_t depth, bool tried)
{
    size_t self = w->next++;
    struct explained_route *out = &w->routes[self];
    bool matches = tried && matchers_match(&route->matchers, w->labels);
    bool goes_on = matches, taken = false;
    *out = (struct explained_route){.key = arena_copy(w->arena, w->d->routes.items[self].key),
                                    .receiver = arena_copy(w->arena, route->receiver),
                                    .depth = depth,
                                    .continues = route->continues,
                                    .matchers = explain_matchers(w, &route->matchers),
                                    .matcher_count = route->matchers.count};
    for (size_t i = 0; i < route->routes.count; i++) {
        const struct alert_route *child = &route->routes.items[i];
        if (!explain_route(w, child, depth + 1, goes_on))
            continue;
        taken = true;
        goes_on = child->continues;
    }
    out->verdict = !tried     ? EXPLAINED_NOT_TRIED
                   : !matches ? EXPLAINED_REFUSED
                   : taken    ? EXPLAINED_PASSED
                              : EXPLAINED_TAKES;
    return matches;
}

static bool has_hash(const uint64_t *items, size_t count, uint64_t wanted)
{
    for (size_t i = 0; i < count; i++)
        if (items[i] == wanted)
            return true;
    return false;
}

static void explain_integration(struct dispatch *d, const struct alert_route *route,
                                const struct integration *integration, uint64_t fingerprint,
                                struct view group_key, struct instant now, struct arena *arena,
                                struct explained_integration *out)
{
    const struct alert_router_options *o = &d->opts.router;
    const struct notification_key key = {group_key, route->receiver,
                                         view_from(integration->driver->kind), integration->index};
    struct notification_entry entry;
    *out = (struct explained_integration){.kind = integration->driver->kind,
                                          .index = integration->index,
                                          .send_resolved = integration->common->send_resolved};
    out->was_told = o->peers->log_get(o->state, arena, &key, now.wall_ns, &entry);
    if (!out->was_told)
        return;
    out->sent_ns = entry.sent_ns;
    out->repeat_ns = entry.sent_ns + ns_from_ms(route->repeat_interval_ms);
    out->knows_firing = has_hash(entry.firing, entry.firing_count, fingerprint);
    out->knows_resolved = has_hash(entry.resolved, entry.resolved_count, fingerprint);
    out->firing_count = entry.firing_count;
    out->resolved_count = entry.resolved_count;
}

static void explain_group(struct dispatch *d, size_t node, const struct alert_explanation *x,
                          struct instant now, struct arena *arena, struct explained_group *out)
{
    const struct alert_route *route = d->routes.items[node].route;
    bool has_alert = false;
    struct labels labels;
    arena_reset(&d->scratch);
    const struct alert_group *g =
        dispatch_group_find(d, (uint32_t)node, x->labels, x->fingerprint, &labels, &has_alert);
    struct integration_list list = d->opts.router.peers->integrations_of(d->set, route->receiver);
    struct explained_integration *integrations =
        ARENA_ARRAY(arena, struct explained_integration, list.count);
    struct buffer key;
    buffer_init(&key, MEM_ALERTING, TEXT_BYTES_MAX);
    dispatch_key_format(&d->routes.items[node], labels, &key);
    *out = (struct explained_group){.route = node,
                                    .key = arena_copy(arena, buffer_view(&key)),
                                    .receiver = arena_copy(arena, route->receiver),
                                    .labels = labels_copy(arena, labels),
                                    .group_wait_ms = route->group_wait_ms,
                                    .group_interval_ms = route->group_interval_ms,
                                    .repeat_interval_ms = route->repeat_interval_ms,
                                    .exists = g != NULL,
                                    .has_alert = has_alert,
                                    .last_flush_ns = LIVE_ALERT_NEVER,
                                    .next_flush_ns = LIVE_ALERT_NEVER,
                                    .integrations = integrations,
                                    .integration_count = list.count};
    if (g) {
        int64_t wait_ns = g->due_mono_ns - now.mono_ns;
        for (uint32_t i = 0; i < g->lane_count; i++)
            out->is_flushing |= g->lanes[i].state == LANE_SENDING;
        out->alert_count = g->count;
        out->last_flush_ns = g->last_flush_ns;
        out->next_flush_ns = now.wall_ns + (wait_ns > 0 ? wait_ns : 0);
    }
    route_muting_intervals(arena, d->config, route, now.wall_ns / 1000000000, &out->muted_by);
    for (size_t i = 0; i < list.count; i++)
        explain_integration(d, route, &list.items[i], x->fingerprint, out->key, now, arena,
                            &integrations[i]);
    buffer_deinit(&key);
}

static void explain_inhibitions(struct dispatch *d, struct instant now, struct arena *arena,
                                struct alert_explanation *x)
{
    struct inhibition found[INHIBITIONS_MAX];
    size_t count = inhibitor_find(d->inhibitor, x->labels, now.wall_ns, found, INHIBITIONS_MAX);
    struct explained_inhibition *out = ARENA_ARRAY(arena, struct explained_inhibition, count);
    for (size_t i = 0; i < count; i++) {
        uint32_t place = alert_store_find(&d->store, found[i].source);
        out[i] = (struct explained_inhibition){
            .rule = found[i].rule,
            .name = arena_copy(arena, d->config->inhibit_rules.items[found[i].rule].name),
            .source = found[i].source};
        if (place != ALERT_STORE_NONE)
            out[i].source_labels = labels_copy(arena, d->store.items[place].alert->labels);
    }
    x->inhibitions = out;
    x->inhibition_count = count;
}

void dispatch_explain(struct dispatch *d, struct labels labels, struct instant now,
                      struct arena *arena, struct alert_explanation *out)
{
    *out =
        (struct alert_explanation){.fingerprint = live_alert_fingerprint(labels), .labels = labels};
    uint32_t place = alert_store_find(&d->store, out->fingerprint);
    if (place != ALERT_STORE_NONE) {
        out->alert = live_alert_ref(d->store.items[place].alert);
        out->is_resolved = live_alert_is_resolved(out->alert, now.wall_ns);
    }
    if (!d->config)
        return;
    struct walk w = {.d = d,
                     .arena = arena,
                     .labels = labels,
                     .routes = ARENA_ARRAY(arena, struct explained_route, d->routes.count)};
    out->has_config = true;
    (void)explain_route(&w, d->config->route, 0, true); /* the root takes everything */
    ASSERT(w.next == d->routes.count);
    out->routes = w.routes;
    out->route_count = w.next;
    out->groups = ARENA_ARRAY(arena, struct explained_group, d->routes.count);
    for (size_t i = 0; i < w.next; i++)
        if (w.routes[i].verdict == EXPLAINED_TAKES)
            explain_group(d, i, out, now, arena, &out->groups[out->group_count++]);
    explain_inhibitions(d, now, arena, out);
}

void alert_explanation_release(struct alert_explanation *x)
{
    live_alert_unref(x->alert);
    x->alert = NULL;
}
