/* SPDX-License-Identifier: Apache-2.0 */
/* dispatch_group.c: groups of alerts, found by node and labels, in a heap by when they are due. */
#include "alerting/dispatch_private.h"
#include "base/assert.h"
#include "base/checksum.h"
#include "base/mem.h"
#include "model/labels.h"

#include <stdlib.h>

enum {
    GROUP_SCAN_MAX = 16, /* alerts that are compared one by one: chosen, not measured */
    GROUP_KEY_BYTES_MAX = 64 << 20
};

/* --- the heap --- */

static void heap_set(struct dispatch *d, size_t at, struct alert_group *g)
{
    d->heap[at] = g;
    g->heap_at = at;
}

static void heap_rise(struct dispatch *d, size_t at, struct alert_group *g)
{
    for (; at > 0 && g->due_mono_ns < d->heap[(at - 1) / 2]->due_mono_ns; at = (at - 1) / 2)
        heap_set(d, at, d->heap[(at - 1) / 2]);
    heap_set(d, at, g);
}

static void heap_sink(struct dispatch *d, size_t at, struct alert_group *g)
{
    for (size_t child; (child = 2 * at + 1) < d->heap_count; at = child) {
        if (child + 1 < d->heap_count &&
            d->heap[child + 1]->due_mono_ns < d->heap[child]->due_mono_ns)
            child++;
        if (d->heap[child]->due_mono_ns >= g->due_mono_ns)
            break;
        heap_set(d, at, d->heap[child]);
    }
    heap_set(d, at, g);
}

void dispatch_group_unschedule(struct dispatch *d, struct alert_group *g)
{
    if (g->heap_at == HEAP_NOT_IN)
        return;
    size_t at = g->heap_at;
    struct alert_group *last = d->heap[--d->heap_count];
    g->heap_at = HEAP_NOT_IN;
    if (last == g)
        return;
    if (at > 0 && last->due_mono_ns < d->heap[(at - 1) / 2]->due_mono_ns)
        heap_rise(d, at, last);
    else
        heap_sink(d, at, last);
}

void dispatch_group_schedule(struct dispatch *d, struct alert_group *g, int64_t due_mono_ns)
{
    dispatch_group_unschedule(d, g);
    g->due_mono_ns = due_mono_ns;
    d->heap = mem_grow(MEM_ALERTING, d->heap, &d->heap_capacity, d->heap_count + 1,
                       sizeof(struct alert_group *));
    heap_rise(d, d->heap_count++, g);
}

/* --- lanes and lines --- */

struct integration_list dispatch_integrations_of(const struct dispatch *d,
                                                 const struct route_node *node)
{
    return d->opts.router.peers->integrations_of(d->set, node->route->receiver);
}

static void list_add(struct lane_list *list, struct group_lane *lane)
{
    ASSERT(lane->state == LANE_IDLE);
    lane->before = list->last;
    lane->after = NULL;
    *(list->last ? &list->last->after : &list->first) = lane;
    list->last = lane;
}

void dispatch_lane_park(struct group_lane *lane)
{
    list_add(&lane->line->parked, lane);
    lane->state = LANE_PARKED;
}

void dispatch_lane_ready(struct dispatch *d, struct group_lane *lane)
{
    list_add(&d->ready, lane);
    lane->state = LANE_READY;
    lane->line->ready++;
}

void dispatch_lane_take(struct dispatch *d, struct group_lane *lane)
{
    struct lane_list *list = lane->state == LANE_READY ? &d->ready : &lane->line->parked;
    ASSERT(lane->state == LANE_READY || lane->state == LANE_PARKED);
    *(lane->before ? &lane->before->after : &list->first) = lane->after;
    *(lane->after ? &lane->after->before : &list->last) = lane->before;
    lane->line->ready -= lane->state == LANE_READY;
    lane->state = LANE_IDLE;
}

void dispatch_line_wake(struct dispatch *d, struct integration_line *line)
{
    while (line->under_way + line->ready < d->opts.flushes_max && line->parked.first) {
        struct group_lane *lane = line->parked.first;
        dispatch_lane_take(d, lane);
        dispatch_lane_ready(d, lane);
    }
}

/* --- the alerts of a group --- */

static uint64_t hash_of(uint64_t fingerprint)
{
    return hash64_secret(&fingerprint, sizeof fingerprint);
}

static bool item_is(const void *context, uint32_t item, const void *key)
{
    const struct alert_group *g = context;
    return g->items[item].alert->fingerprint == *(const uint64_t *)key;
}

static uint32_t find_item(const struct alert_group *g, uint64_t fingerprint)
{
    if (g->index.capacity)
        return map_find(&g->index, hash_of(fingerprint), item_is, g, &fingerprint);
    for (uint32_t i = 0; i < g->count; i++)
        if (g->items[i].alert->fingerprint == fingerprint)
            return i;
    return MAP_NONE;
}

static void add_item(struct alert_group *g, struct live_alert *a)
{
    g->items =
        mem_grow(MEM_ALERTING, g->items, &g->capacity, g->count + 1, sizeof(struct group_item));
    g->items[g->count++] = (struct group_item){live_alert_ref(a), 0};
    if (g->index.capacity) {
        map_add(&g->index, hash_of(a->fingerprint), (uint32_t)g->count - 1);
    } else if (g->count > GROUP_SCAN_MAX) {
        for (uint32_t i = 0; i < g->count; i++)
            map_add(&g->index, hash_of(g->items[i].alert->fingerprint), i);
    }
}

void dispatch_group_set_ended(struct dispatch *d, struct alert_group *g, struct group_item *item,
                              int64_t stamp)
{
    g->ended_count -= item->ended != 0;
    d->ended_count -= item->ended != 0;
    item->ended = stamp;
    g->ended_count += stamp != 0;
    d->ended_count += stamp != 0;
}

void dispatch_group_remove(struct dispatch *d, struct alert_group *g, uint32_t at)
{
    dispatch_group_set_ended(d, g, &g->items[at], 0);
    uint32_t last = (uint32_t)--g->count;
    struct group_item gone = g->items[at], moved = g->items[last];
    if (g->index.capacity) {
        map_remove(&g->index, hash_of(gone.alert->fingerprint), at);
        if (at != last) {
            map_remove(&g->index, hash_of(moved.alert->fingerprint), last);
            map_add(&g->index, hash_of(moved.alert->fingerprint), at);
        }
    }
    g->items[at] = moved;
    live_alert_unref(gone.alert);
}

static int compare_stamps(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* All that are over, by when that was found; owned. */
static int64_t *list_ends(const struct dispatch *d)
{
    int64_t *stamps = mem_alloc(MEM_ALERTING, d->ended_count * sizeof *stamps);
    size_t count = 0;
    for (size_t i = 0; i < d->group_places; i++) {
        const struct alert_group *g = d->groups[i];
        for (size_t k = 0; g && g->ended_count && k < g->count; k++)
            if (g->items[k].ended != 0)
                stamps[count++] = g->items[k].ended;
    }
    ASSERT(count == d->ended_count);
    qsort(stamps, count, sizeof *stamps, compare_stamps);
    return stamps;
}

void dispatch_bound_ends(struct dispatch *d)
{
    size_t max = d->opts.ends_max;
    if (d->ended_count <= max)
        return;
    size_t excess = d->ended_count - max + max / 16; /* room, lest each look begins anew */
    int64_t *stamps = list_ends(d), last = stamps[excess - 1];
    size_t of_last = 0; /* many may have been found by one flush */
    while (of_last < excess && stamps[excess - 1 - of_last] == last)
        of_last++;
    mem_free(MEM_ALERTING, stamps);
    for (size_t i = 0; i < d->group_places; i++) {
        struct alert_group *g = d->groups[i];
        for (size_t k = g && g->ended_count ? g->count : 0; k > 0; k--) {
            int64_t ended = g->items[k - 1].ended;
            if (ended == 0 || ended > last || (ended == last && of_last == 0))
                continue;
            of_last -= ended == last;
            dispatch_group_remove(d, g, (uint32_t)k - 1);
        }
    }
    d->stats.ends_dropped += excess;
}

/* --- the table of groups --- */

struct group_key {
    const struct route_node *node;
    struct labels labels;
};

static bool group_is(const void *context, uint32_t item, const void *key)
{
    const struct alert_group *g = ((const struct dispatch *)context)->groups[item];
    const struct group_key *want = key;
    return g->node == want->node && labels_equal(g->labels, want->labels);
}

static uint64_t group_hash(const struct dispatch *d, const struct group_key *key)
{
    uint64_t parts[2] = {labels_hash(key->labels), (uint64_t)(key->node - d->routes.items)};
    return hash64_secret(parts, sizeof parts);
}

static uint32_t take_place(struct dispatch *d)
{
    if (d->free_group_count)
        return d->free_groups[--d->free_group_count];
    d->groups = mem_grow(MEM_ALERTING, d->groups, &d->group_capacity, d->group_places + 1,
                         sizeof(struct alert_group *));
    return (uint32_t)d->group_places++;
}

/* On its way, and the lane that it was of is gone. */
static bool is_lost(const struct flush_job *job)
{
    return !job->is_finished && !job->lane;
}

static bool has_lost_job(const struct flush *f)
{
    for (size_t i = 0; i < f->job_count; i++)
        if (is_lost(&f->jobs[i]))
            return true;
    return false;
}

static void adopt_job(struct dispatch *d, struct alert_group *g, struct flush_job *job)
{
    struct integration_list list = dispatch_integrations_of(d, g->node);
    for (uint32_t i = 0; i < g->lane_count; i++) {
        struct group_lane *lane = &g->lanes[i];
        const struct integration *now = &list.items[i], *then = job->integration;
        if (now->driver != then->driver || now->index != then->index || lane->state != LANE_IDLE)
            continue;
        lane->job = job;
        lane->state = LANE_SENDING;
        lane->line->under_way++;
        job->lane = lane;
    }
}

/* A flush of before a reload may still be on its way to the same integrations; this group waits for it as for its own. */
static void adopt_flushes(struct dispatch *d, struct alert_group *g)
{
    struct buffer key;
    buffer_init(&key, MEM_ALERTING, GROUP_KEY_BYTES_MAX);
    for (struct flush *f = d->flushes; f; f = f->next) {
        if (!has_lost_job(f) || !view_eq(f->receiver, g->node->route->receiver))
            continue;
        if (key.len == 0)
            dispatch_key_format(g->node, g->labels, &key);
        if (!view_eq(f->group_key, buffer_view(&key)))
            continue;
        for (size_t i = 0; i < f->job_count; i++)
            if (is_lost(&f->jobs[i]))
                adopt_job(d, g, &f->jobs[i]);
    }
    buffer_deinit(&key);
}

static struct alert_group *new_group(struct dispatch *d, const struct group_key *key, uint64_t hash,
                                     struct instant now)
{
    size_t lanes = dispatch_integrations_of(d, key->node).count;
    struct alert_group *g =
        mem_alloc_zero(MEM_ALERTING, 1, sizeof *g + lanes * sizeof(struct group_lane));
    int64_t due = now.mono_ns + ns_from_ms(key->node->route->group_wait_ms);
    g->node = key->node;
    g->labels = labels_own(MEM_ALERTING, key->labels);
    g->heap_at = HEAP_NOT_IN;
    g->last_flush_ns = LIVE_ALERT_NEVER;
    g->lane_count = (uint32_t)lanes;
    for (size_t i = 0; i < lanes; i++)
        g->lanes[i] =
            (struct group_lane){.group = g, .line = &d->node_lines[key->node - d->routes.items][i]};
    map_init(&g->index, MEM_ALERTING);
    g->at = take_place(d);
    d->groups[g->at] = g;
    d->group_count++;
    map_add(&d->group_index, hash, g->at);
    adopt_flushes(d, g);
    dispatch_group_schedule(d, g, due > d->start_mono_ns ? due : d->start_mono_ns);
    return g;
}

static void free_lane(struct dispatch *d, struct group_lane *lane)
{
    if (lane->state == LANE_SENDING) {
        lane->job->lane = NULL;
        lane->line->under_way--;
    } else if (lane->state != LANE_IDLE) {
        dispatch_lane_take(d, lane);
    }
}

void dispatch_group_free(struct dispatch *d, struct alert_group *g)
{
    const struct group_key key = {g->node, g->labels};
    map_remove(&d->group_index, group_hash(d, &key), g->at);
    dispatch_group_unschedule(d, g);
    for (uint32_t i = 0; i < g->lane_count; i++)
        free_lane(d, &g->lanes[i]);
    d->groups[g->at] = NULL;
    d->group_count--;
    d->ended_count -= g->ended_count;
    d->free_groups = mem_grow(MEM_ALERTING, d->free_groups, &d->free_group_capacity,
                              d->free_group_count + 1, sizeof *d->free_groups);
    d->free_groups[d->free_group_count++] = g->at;
    for (size_t i = 0; i < g->count; i++)
        live_alert_unref(g->items[i].alert);
    map_deinit(&g->index);
    labels_disown(MEM_ALERTING, g->labels);
    mem_free(MEM_ALERTING, g->items);
    mem_free(MEM_ALERTING, g);
}

/* The labels of the alert that the node groups by; in the scratch arena. */
static struct labels labels_of_group(struct dispatch *d, const struct alert_route *route,
                                     struct labels labels)
{
    if (route->group_by_all)
        return labels;
    struct label *items = arena_alloc(&d->scratch, labels.count * sizeof *items);
    uint32_t count = 0;
    for (uint32_t i = 0; i < labels.count; i++) {
        for (size_t k = 0; k < route->group_by.count; k++) {
            if (!view_eq(route->group_by.items[k], labels.items[i].name))
                continue;
            items[count++] = labels.items[i];
            break;
        }
    }
    return (struct labels){items, count};
}

void dispatch_group_insert(struct dispatch *d, uint32_t node, struct live_alert *a,
                           struct instant now)
{
    const struct alert_route *route = d->routes.items[node].route;
    const struct group_key key = {&d->routes.items[node], labels_of_group(d, route, a->labels)};
    uint64_t hash = group_hash(d, &key);
    uint32_t place = map_find(&d->group_index, hash, group_is, d, &key);
    struct alert_group *g = place == MAP_NONE ? new_group(d, &key, hash, now) : d->groups[place];
    uint32_t at = find_item(g, a->fingerprint);
    if (at != MAP_NONE) {
        struct live_alert *old = g->items[at].alert;
        dispatch_group_set_ended(d, g, &g->items[at], 0);
        g->items[at].alert = live_alert_ref(a);
        live_alert_unref(old);
    } else {
        add_item(g, a);
    }
    /* What has waited long enough elsewhere need not wait here, but for a group that tells every so often. */
    bool has_waited = a->starts_ns < now.wall_ns - ns_from_ms(route->group_wait_ms);
    if (has_waited && g->last_flush_ns == LIVE_ALERT_NEVER && g->due_mono_ns > now.mono_ns &&
        now.mono_ns >= d->start_mono_ns && g->heap_at != HEAP_NOT_IN)
        dispatch_group_schedule(d, g, now.mono_ns);
}

const struct alert_group *dispatch_group_find(struct dispatch *d, uint32_t node,
                                              struct labels labels, uint64_t fingerprint,
                                              struct labels *group_labels, bool *has_alert)
{
    *group_labels = labels_of_group(d, d->routes.items[node].route, labels);
    const struct group_key key = {&d->routes.items[node], *group_labels};
    uint32_t place = map_find(&d->group_index, group_hash(d, &key), group_is, d, &key);
    if (place == MAP_NONE)
        return NULL;
    *has_alert = find_item(d->groups[place], fingerprint) != MAP_NONE;
    return d->groups[place];
}

void dispatch_key_format(const struct route_node *node, struct labels labels, struct buffer *out)
{
    buffer_append_view(out, node->key);
    buffer_append_literal(out, ":{");
    for (uint32_t i = 0; i < labels.count; i++) {
        if (i)
            buffer_append_literal(out, ", ");
        buffer_append_view(out, labels.items[i].name);
        buffer_append_byte(out, '=');
        label_quote(out, labels.items[i].value);
    }
    buffer_append_byte(out, '}');
}
