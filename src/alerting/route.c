/* SPDX-License-Identifier: Apache-2.0 */
/* route.c: see route.h. Recursion is as deep as the configuration's YAML, which has a limit. */
#include "alerting/route.h"

/* Does the node or one below it take the alert? */
static bool match(struct arena *arena, const struct alert_route *route, struct labels labels,
                  struct route_matches *out)
{
    size_t before = out->count;
    if (!matchers_match(&route->matchers, labels))
        return false;
    for (size_t i = 0; i < route->routes.count; i++) {
        const struct alert_route *child = &route->routes.items[i];
        if (match(arena, child, labels, out) && !child->continues)
            break;
    }
    if (out->count == before) {
        out->items =
            arena_grow(arena, out->items, &out->capacity, out->count + 1, sizeof(*out->items));
        out->items[out->count++] = route;
    }
    return true;
}

void route_match(struct arena *arena, const struct alert_route *root, struct labels labels,
                 struct route_matches *out)
{
    (void)match(arena, root, labels, out); /* the root has no matchers */
}

static bool contains(const struct alert_config *c, struct view name, int64_t unix_seconds)
{
    const struct named_intervals *n = alert_config_intervals(c, name);
    for (size_t i = 0; n && i < n->count; i++) {
        if (time_interval_contains(&n->items[i], unix_seconds))
            return true;
    }
    return false;
}

enum route_silence route_silence_at(const struct alert_config *c, const struct alert_route *route,
                                    int64_t unix_seconds, struct view *by)
{
    bool active = route->active_time_intervals.count == 0;
    if (by)
        *by = VIEW("");
    for (size_t i = 0; i < route->mute_time_intervals.count; i++) {
        struct view name = route->mute_time_intervals.items[i];
        if (!contains(c, name, unix_seconds))
            continue;
        if (by)
            *by = name;
        return ROUTE_MUTED;
    }
    for (size_t i = 0; i < route->active_time_intervals.count && !active; i++)
        active = contains(c, route->active_time_intervals.items[i], unix_seconds);
    return active ? ROUTE_SENDS : ROUTE_INACTIVE;
}

void route_muting_intervals(struct arena *arena, const struct alert_config *c,
                            const struct alert_route *route, int64_t unix_seconds,
                            struct muting_intervals *out)
{
    const struct config_strings *mute = &route->mute_time_intervals,
                                *active = &route->active_time_intervals;
    *out = (struct muting_intervals){NULL, 0};
    if (route_silence_at(c, route, unix_seconds, NULL) == ROUTE_SENDS)
        return;
    struct view *items = arena_alloc(arena, (mute->count + active->count) * sizeof *items);
    bool is_active = active->count == 0;
    for (size_t i = 0; i < mute->count; i++)
        if (contains(c, mute->items[i], unix_seconds))
            items[out->count++] = arena_copy(arena, mute->items[i]);
    for (size_t i = 0; i < active->count && !is_active; i++)
        is_active = contains(c, active->items[i], unix_seconds);
    for (size_t i = 0; i < active->count && !is_active; i++)
        items[out->count++] = arena_copy(arena, active->items[i]);
    out->items = items;
}
