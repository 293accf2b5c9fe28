/* SPDX-License-Identifier: Apache-2.0 */
/* dispatch.c: see dispatch.h. Alerts come, change and go; a configuration takes the place of another. */
#include "alerting/dispatch_private.h"
#include "alerting/route.h"
#include "base/assert.h"
#include "base/mem.h"

#include <math.h>

#define RESUME_NS_MAX (INT64_C(86400) * 1000000000) /* nobody is waited for longer than a day */

enum {
    GC_MS_DEFAULT = 30 * 60 * 1000,
    MAINTENANCE_MS_DEFAULT = 30 * 1000,
    FLUSHES_MAX_DEFAULT = 256, /* chosen: 32 times what the sender has on its way at once */
    ENDS_MAX_DEFAULT = 250000  /* as many as --alerts.max */
};

struct dispatch *dispatch_new(const struct dispatch_options *opts, struct instant now)
{
    struct dispatch *d = mem_alloc_zero(MEM_ALERTING, 1, sizeof *d);
    d->opts = *opts;
    if (d->opts.router.gc_interval_ms <= 0)
        d->opts.router.gc_interval_ms = GC_MS_DEFAULT;
    if (d->opts.router.maintenance_ms <= 0)
        d->opts.router.maintenance_ms = MAINTENANCE_MS_DEFAULT;
    if (d->opts.flushes_max == 0)
        d->opts.flushes_max = FLUSHES_MAX_DEFAULT;
    if (d->opts.ends_max == 0)
        d->opts.ends_max = opts->router.alerts_max ? opts->router.alerts_max : ENDS_MAX_DEFAULT;
    arena_init(&d->config_arena, MEM_ALERTING, 0);
    arena_init(&d->scratch, MEM_ALERTING, 0);
    alert_store_init(&d->store);
    map_init(&d->group_index, MEM_ALERTING);
    d->start_mono_ns = now.mono_ns + ns_from_ms(opts->router.start_delay_ms);
    d->maintenance_mono_ns = now.mono_ns + ns_from_ms(d->opts.router.maintenance_ms);
    d->gc_mono_ns = now.mono_ns + ns_from_ms(d->opts.router.gc_interval_ms);
    return d;
}

static void drop_groups(struct dispatch *d)
{
    for (size_t i = 0; i < d->group_places; i++)
        if (d->groups[i])
            dispatch_group_free(d, d->groups[i]);
    d->group_places = d->free_group_count = 0;
}

void dispatch_free(struct dispatch *d)
{
    if (!d)
        return;
    ASSERT(!d->flushes);
    drop_groups(d);
    inhibitor_free(d->inhibitor);
    alert_store_deinit(&d->store);
    map_deinit(&d->group_index);
    arena_deinit(&d->config_arena);
    arena_deinit(&d->scratch);
    if (d->set)
        d->opts.router.peers->integrations_unref(d->set);
    mem_free(MEM_ALERTING, d->groups);
    mem_free(MEM_ALERTING, d->free_groups);
    mem_free(MEM_ALERTING, d->heap);
    mem_free(MEM_ALERTING, d);
}

bool dispatch_is_idle(const struct dispatch *d)
{
    return !d->flushes;
}

struct integrations *dispatch_integrations(struct dispatch *d)
{
    return d->set;
}

bool dispatch_has(const struct dispatch *d, uint64_t fingerprint)
{
    return alert_store_find(&d->store, fingerprint) != ALERT_STORE_NONE;
}

struct live_alert *dispatch_find(struct dispatch *d, uint64_t fingerprint)
{
    uint32_t place = alert_store_find(&d->store, fingerprint);
    return place == ALERT_STORE_NONE ? NULL : live_alert_ref(d->store.items[place].alert);
}

void dispatch_count_matching(const struct dispatch *d, const struct matchers *m, struct instant now,
                             size_t *matched, size_t *alive)
{
    *matched = *alive = 0;
    for (size_t i = 0; i < d->store.item_count; i++) {
        const struct live_alert *a = d->store.items[i].alert;
        if (!a || live_alert_is_resolved(a, now.wall_ns))
            continue;
        ++*alive;
        *matched += matchers_match(m, a->labels);
    }
}

size_t dispatch_alert_count(const struct dispatch *d)
{
    return d->store.count;
}

uint64_t dispatch_ends_dropped(const struct dispatch *d)
{
    return d->stats.ends_dropped;
}

/* --- routing --- */

/* Tells inhibition of the alert and puts it into its groups. */
static void route_alert(struct dispatch *d, uint32_t place, struct instant now)
{
    struct alert_entry *e = &d->store.items[place];
    struct live_alert *a = e->alert;
    struct route_matches matches = {0};
    arena_reset(&d->scratch);
    e->inhibitor = inhibitor_put(d->inhibitor, e->inhibitor, a->fingerprint, a->labels, a->ends_ns,
                                 now.wall_ns);
    route_match(&d->scratch, d->config->route, a->labels, &matches);
    for (size_t i = 0; i < matches.count; i++)
        dispatch_group_insert(d, route_table_find(&d->routes, matches.items[i]), a, now);
}

/* Nodes with the same receiver share the lines of its integrations. */
static void make_lines(struct dispatch *d)
{
    const struct receivers *all = &d->config->receivers;
    struct integration_line **lines =
        ARENA_ARRAY(&d->config_arena, struct integration_line *, all->count);
    d->node_lines = ARENA_ARRAY(&d->config_arena, struct integration_line *, d->routes.count);
    for (size_t i = 0; i < d->routes.count; i++) {
        const struct route_node *node = &d->routes.items[i];
        const struct receiver *r = alert_config_receiver(d->config, node->route->receiver);
        ASSERT(r); /* the configuration was checked */
        struct integration_line **of = &lines[r - all->items];
        if (!*of)
            *of = ARENA_ARRAY(&d->config_arena, struct integration_line,
                              dispatch_integrations_of(d, node).count + 1);
        d->node_lines[i] = *of;
    }
}

/* How many groups have each alert: those that ended leave a group when it has told so. */
static void count_groups(struct dispatch *d)
{
    for (uint32_t i = 0; i < d->store.item_count; i++)
        d->store.items[i].group_count = 0;
    for (size_t i = 0; i < d->group_places; i++) {
        const struct alert_group *g = d->groups[i];
        for (size_t k = 0; g && k < g->count; k++) {
            uint32_t place = alert_store_find(&d->store, g->items[k].alert->fingerprint);
            if (place != ALERT_STORE_NONE)
                d->store.items[place].group_count++;
        }
    }
}

/* Groups will be made of what is in the store, which forgets alerts that ended also while groups have still to tell of it. */
static void recall_ends(struct dispatch *d)
{
    for (size_t i = 0; i < d->group_places; i++) {
        const struct alert_group *g = d->groups[i];
        for (size_t k = 0; g && k < g->count; k++) {
            struct live_alert *a = g->items[k].alert;
            if (alert_store_find(&d->store, a->fingerprint) != ALERT_STORE_NONE)
                continue;
            uint32_t place = alert_store_add(&d->store, live_alert_ref(a));
            d->store.items[place].is_end_known = true; /* collect_garbage() told it */
        }
    }
}

void dispatch_apply(struct dispatch *d, struct integrations *set, struct instant now)
{
    const struct router_peers *peers = d->opts.router.peers;
    struct integrations *old = d->set;
    recall_ends(d);
    count_groups(d);
    drop_groups(d);
    inhibitor_free(d->inhibitor);
    arena_reset(&d->config_arena);
    d->set = peers->integrations_ref(set);
    d->config = peers->integrations_config(set);
    route_table_init(&d->routes, &d->config_arena, d->config->route);
    make_lines(d);
    d->inhibitor = inhibitor_new(&d->config->inhibit_rules);
    for (uint32_t i = 0; i < d->store.item_count; i++) {
        struct alert_entry *e = &d->store.items[i];
        if (!e->alert)
            continue;
        /* Who ended and was told to have done so is not told of again. */
        bool is_over = live_alert_is_resolved(e->alert, now.wall_ns) && e->group_count == 0 && old;
        e->inhibitor = INHIBITOR_NEW;
        e->status = ALERT_UNPROCESSED;
        if (!is_over)
            route_alert(d, i, now);
    }
    if (old)
        peers->integrations_unref(old);
}

/* --- alerts --- */

static void tell_history(const struct dispatch *d, enum alert_event event,
                         const struct live_alert *a)
{
    d->opts.router.peers->history_alert(d->opts.router.state, event, a);
}

void dispatch_tell_end(struct dispatch *d, struct alert_entry *e, int64_t now_ns)
{
    if (e->is_end_known || !live_alert_is_resolved(e->alert, now_ns))
        return;
    tell_history(d, ALERT_RESOLVED, e->alert);
    e->is_end_known = true;
}

/* Forgets alerts that have ended. Groups that still have to tell of one keep it. */
static void collect_garbage(struct dispatch *d, struct instant now)
{
    for (uint32_t i = 0; i < d->store.item_count; i++) {
        struct alert_entry *e = &d->store.items[i];
        if (!e->alert || !live_alert_is_resolved(e->alert, now.wall_ns))
            continue;
        dispatch_tell_end(d, e, now.wall_ns);
        if (d->inhibitor)
            inhibitor_remove(d->inhibitor, e->inhibitor);
        alert_store_remove(&d->store, i);
    }
    dispatch_bound_ends(d);
    d->gc_mono_ns = now.mono_ns + ns_from_ms(d->opts.router.gc_interval_ms);
}

static bool has_room(struct dispatch *d, struct instant now)
{
    size_t max = d->opts.router.alerts_max;
    if (max == 0 || d->store.count < max)
        return true;
    /* Once a second at most: a walk over all of them for each that is refused would be quadratic. */
    if (now.mono_ns >= d->gc_mono_ns - ns_from_ms(d->opts.router.gc_interval_ms) + 1000000000)
        collect_garbage(d, now);
    return d->store.count < max;
}

/* How the episode stood before `a` came, and what the history learns of it. */
static void tell_change(struct dispatch *d, struct alert_entry *e, const struct live_alert *a,
                        int64_t now_ns)
{
    const struct live_alert *old = e->alert;
    bool was_over = live_alert_is_resolved(old, now_ns);
    bool is_over = live_alert_is_resolved(a, now_ns);
    if (was_over)
        dispatch_tell_end(d, e, now_ns);
    if (was_over && !is_over) {
        tell_history(d, ALERT_FIRED, a);
        e->is_end_known = false;
    } else if (!was_over && !is_over && !labels_equal(old->annotations, a->annotations)) {
        tell_history(d, ALERT_CHANGED, a);
    }
}

/* Is this the end with which the server started, told of again? */
static bool is_known_end(const struct live_alert *old, const struct live_alert *a, int64_t now_ns)
{
    return old->was_over && live_alert_is_resolved(old, now_ns) &&
           live_alert_is_resolved(a, now_ns) && a->starts_ns <= old->ends_ns &&
           labels_equal(old->labels, a->labels);
}

static struct live_alert *keep(struct live_alert *old, struct live_alert *a)
{
    live_alert_unref(a);
    return live_alert_ref(old);
}

bool dispatch_put(struct dispatch *d, struct live_alert *a, struct instant now)
{
    uint32_t place = alert_store_find(&d->store, a->fingerprint);
    if (place == ALERT_STORE_NONE) {
        if (!has_room(d, now)) {
            d->stats.refused++;
            live_alert_unref(a);
            return false;
        }
        place = alert_store_add(&d->store, a);
        if (!live_alert_is_resolved(a, now.wall_ns))
            tell_history(d, ALERT_FIRED, a);
        else
            d->store.items[place].is_end_known = true; /* nor was its beginning */
    } else {
        struct alert_entry *e = &d->store.items[place];
        a = is_known_end(e->alert, a, now.wall_ns) ? keep(e->alert, a)
                                                   : alert_merge(e->alert, a, now.wall_ns);
        tell_change(d, e, a, now.wall_ns);
        if (!labels_equal(e->alert->labels, a->labels)) { /* another alert of this fingerprint */
            if (d->inhibitor)
                inhibitor_remove(d->inhibitor, e->inhibitor);
            e->inhibitor = INHIBITOR_NEW;
        }
        alert_store_replace(&d->store, place, a);
        dispatch_tell_end(d, e, now.wall_ns);
    }
    if (d->config)
        route_alert(d, place, now);
    return true;
}

struct resume {
    struct dispatch *d;
    struct instant now;
};

/* Whoever told of it tells again, if it is still so; till then it has not ended. Each time it was told of it was to last for some
 * time, if nothing more was heard: so long it is waited for, and at least resolve_timeout. */
static void expect_again(const struct resume *r, struct live_alert *a)
{
    int64_t timeout_ns = ns_from_ms(r->d->config->global.resolve_timeout_ms), wait_ns = timeout_ns;
    if (a->ends_ns != LIVE_ALERT_NEVER && a->updated_ns != LIVE_ALERT_NEVER &&
        a->ends_ns > a->updated_ns && a->ends_ns / 2 - a->updated_ns / 2 < RESUME_NS_MAX / 2)
        wait_ns = a->ends_ns - a->updated_ns;
    if (a->ends_ns == LIVE_ALERT_NEVER || a->ends_ns < r->now.wall_ns + timeout_ns) {
        a->ends_ns = r->now.wall_ns + (wait_ns > timeout_ns ? wait_ns : timeout_ns);
        a->is_timeout = true;
    }
}

static void resume_one(void *arg, const struct live_alert *from, bool is_over)
{
    const struct resume *r = arg;
    struct dispatch *d = r->d;
    struct live_alert copy = *from;
    copy.was_over = is_over;
    if (!is_over)
        expect_again(r, &copy);
    else if (!live_alert_is_resolved(&copy, r->now.wall_ns))
        copy.ends_ns = r->now.wall_ns;
    struct live_alert *a = live_alert_new(&copy);
    if (alert_store_find(&d->store, a->fingerprint) != ALERT_STORE_NONE) {
        live_alert_unref(a);
        return;
    }
    uint32_t place = alert_store_add(&d->store, a);
    d->store.items[place].is_end_known = is_over;
    route_alert(d, place, r->now);
}

void dispatch_resume(struct dispatch *d, struct instant now)
{
    struct resume r = {d, now};
    ASSERT(d->config);
    d->opts.router.peers->history_resume(d->opts.router.state, resume_one, &r);
}

/* --- what is due --- */

static bool is_sending(const struct alert_group *g)
{
    for (uint32_t i = 0; i < g->lane_count; i++)
        if (g->lanes[i].state == LANE_SENDING)
            return true;
    return false;
}

static void maintain(struct dispatch *d, struct instant now)
{
    for (size_t i = 0; i < d->group_places; i++) {
        struct alert_group *g = d->groups[i];
        if (g && g->count == 0 && !is_sending(g))
            dispatch_group_free(d, g);
    }
    for (uint32_t i = 0; i < d->store.item_count; i++)
        if (d->store.items[i].alert)
            dispatch_tell_end(d, &d->store.items[i], now.wall_ns);
    dispatch_bound_ends(d);
    d->maintenance_mono_ns = now.mono_ns + ns_from_ms(d->opts.router.maintenance_ms);
}

bool dispatch_run(struct dispatch *d, struct instant now)
{
    if (d->ready.first)
        dispatch_flush_lane(d, d->ready.first, now);
    else if (d->heap_count && d->heap[0]->due_mono_ns <= now.mono_ns)
        dispatch_flush(d, d->heap[0], now);
    else if (d->maintenance_mono_ns <= now.mono_ns)
        maintain(d, now);
    else if (d->gc_mono_ns <= now.mono_ns)
        collect_garbage(d, now);
    else
        return false;
    return true;
}

int64_t dispatch_next_ns(const struct dispatch *d)
{
    if (d->ready.first)
        return 0;
    int64_t next = d->maintenance_mono_ns < d->gc_mono_ns ? d->maintenance_mono_ns : d->gc_mono_ns;
    if (d->heap_count && d->heap[0]->due_mono_ns < next)
        next = d->heap[0]->due_mono_ns;
    return next;
}
