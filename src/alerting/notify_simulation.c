/* SPDX-License-Identifier: Apache-2.0 */
/* notify_simulation.c: see notify_simulation.h.
 *
 * Alerts are sorted into groups first; then each group lives by itself: it flushes group_wait after its first alert, then
 * each group_interval while it has alerts, a resolved one being taken out by the flush that tells it. What an
 * integration was told last outlives the group, as the notification log does. */
#include "alerting/notify_simulation.h"

#include "alerting/route.h"
#include "base/map.h"
#include "base/mem.h"

#include <stdlib.h>

#define HOUR_MS (INT64_C(3600) * 1000)

/* Flushes times alerts in them. Chosen: about five seconds. */
enum { WORK_MAX = 100000000 };

/* Numbers, ascending. */
struct id_set {
    uint32_t *items;
    size_t count, capacity;
};

struct integration {
    struct simulated_integration *out;
    bool send_resolved;
    int64_t *sent_ms; /* each send */
    size_t sent_count, sent_capacity;
};

struct receiver_integrations {
    struct view receiver;
    size_t first, count;
};

/* What an integration was told of a group. */
struct told {
    int64_t at_ms; /* INT64_MIN: nothing yet */
    struct id_set firing, resolved;
};

struct group {
    const struct alert_route *route;
    uint32_t *alerts; /* of the simulation, ascending by start */
    size_t count, capacity;
};

struct simulation {
    const struct alert_config *config;
    const struct simulated_alert *alerts;
    size_t count;
    int64_t until_ms;
    struct arena *arena;
    struct notify_simulation *out;
    struct receiver_integrations *receivers;
    struct integration *integrations;
    struct group *groups;
    size_t group_count, group_capacity;
    struct string_map *group_index;
    /* By inhibit rule, then alert: does it match? */
    bool **is_source, **is_target;
    uint64_t work, work_max;
};

/* --- receivers --- */

static void add_integration(struct simulation *s, struct view receiver, const char *kind,
                            bool send_resolved)
{
    struct simulated_integration *out = &s->out->items[s->out->count];
    *out = (struct simulated_integration){.receiver = receiver, .kind = kind};
    s->integrations[s->out->count++] =
        (struct integration){.out = out, .send_resolved = send_resolved};
}

static void list_integrations(struct simulation *s)
{
    const struct receivers *all = &s->config->receivers;
    size_t count = 0;
    for (size_t i = 0; i < all->count; i++) {
#define X(kind, type) count += all->items[i].kind##_configs.count;
        RECEIVER_KINDS(X)
#undef X
    }
    s->out->items = ARENA_ARRAY(s->arena, struct simulated_integration, count + 1);
    s->integrations = ARENA_ARRAY(s->arena, struct integration, count + 1);
    s->receivers = ARENA_ARRAY(s->arena, struct receiver_integrations, all->count + 1);
    for (size_t i = 0; i < all->count; i++) {
        const struct receiver *r = &all->items[i];
        s->receivers[i] = (struct receiver_integrations){r->name, s->out->count, 0};
#define X(kind, type)                                                                              \
    for (size_t k = 0; k < r->kind##_configs.count; k++)                                           \
        add_integration(s, r->name, #kind, r->kind##_configs.items[k].common.send_resolved);
        RECEIVER_KINDS(X)
#undef X
        s->receivers[i].count = s->out->count - s->receivers[i].first;
    }
}

static const struct receiver_integrations *receiver_of(const struct simulation *s, struct view name)
{
    for (size_t i = 0; i < s->config->receivers.count; i++)
        if (view_eq(s->receivers[i].receiver, name))
            return &s->receivers[i];
    return NULL; /* a configuration that was loaded has all that it names */
}

static int time_compare(const void *x, const void *y)
{
    int64_t a = *(const int64_t *)x, b = *(const int64_t *)y;
    return (a > b) - (a < b);
}

/* Sends come group by group, not in the order of time. */
static void find_busiest_hour(struct integration *i)
{
    if (i->sent_count)
        qsort(i->sent_ms, i->sent_count, sizeof *i->sent_ms, time_compare);
    for (size_t first = 0, k = 0; k < i->sent_count; k++) {
        while (i->sent_ms[k] - i->sent_ms[first] >= HOUR_MS)
            first++;
        if (k - first + 1 > i->out->most_in_hour)
            i->out->most_in_hour = k - first + 1;
    }
}

/* --- groups --- */

static struct view group_key(const struct alert_route *route, struct labels labels,
                             struct buffer *key)
{
    buffer_reset(key);
    buffer_append(key, (const char *)&route, sizeof route); /* a node is one address */
    for (uint32_t i = 0; i < labels.count; i++) {
        bool in = route->group_by_all;
        for (size_t k = 0; k < route->group_by.count && !in; k++)
            in = view_eq(route->group_by.items[k], labels.items[i].name);
        if (!in)
            continue;
        buffer_append_view(key, labels.items[i].name);
        buffer_append_byte(key, (char)0xff);
        buffer_append_view(key, labels.items[i].value);
        buffer_append_byte(key, (char)0xff);
    }
    return buffer_view(key);
}

static void group_add(struct simulation *s, const struct alert_route *route, uint32_t alert,
                      struct buffer *key)
{
    uint64_t number = s->group_count;
    struct view text = group_key(route, s->alerts[alert].labels, key);
    if (!string_map_get(s->group_index, text, &number)) {
        s->groups = mem_grow(MEM_RULES, s->groups, &s->group_capacity, s->group_count + 1,
                             sizeof *s->groups);
        s->groups[s->group_count++] = (struct group){.route = route};
        string_map_set(s->group_index, text, number);
    }
    struct group *g = &s->groups[number];
    g->alerts = mem_grow(MEM_RULES, g->alerts, &g->capacity, g->count + 1, sizeof *g->alerts);
    g->alerts[g->count++] = alert;
}

static void sort_into_groups(struct simulation *s)
{
    struct buffer key;
    struct arena arena;
    buffer_init(&key, MEM_RULES, 16 << 20);
    arena_init(&arena, MEM_RULES, 0);
    for (size_t i = 0; i < s->count; i++) {
        struct route_matches matches = {0};
        arena_reset(&arena);
        route_match(&arena, s->config->route, s->alerts[i].labels, &matches);
        for (size_t k = 0; k < matches.count; k++)
            group_add(s, matches.items[k], (uint32_t)i, &key);
    }
    arena_deinit(&arena);
    buffer_deinit(&key);
}

/* --- inhibition --- */

static void match_inhibitions(struct simulation *s)
{
    size_t rules = s->config->inhibit_rules.count;
    s->is_source = arena_alloc(s->arena, (rules + 1) * sizeof *s->is_source);
    s->is_target = arena_alloc(s->arena, (rules + 1) * sizeof *s->is_target);
    for (size_t r = 0; r < rules; r++) {
        const struct inhibit_rule *rule = &s->config->inhibit_rules.items[r];
        s->is_source[r] = arena_alloc(s->arena, s->count + 1);
        s->is_target[r] = arena_alloc(s->arena, s->count + 1);
        for (size_t i = 0; i < s->count; i++) {
            s->is_source[r][i] = matchers_match(&rule->source, s->alerts[i].labels);
            s->is_target[r][i] = matchers_match(&rule->target, s->alerts[i].labels);
        }
    }
}

static bool labels_agree(const struct inhibit_rule *rule, struct labels a, struct labels b)
{
    for (size_t i = 0; i < rule->equal.count; i++)
        if (!view_eq(labels_get(a, rule->equal.items[i]), labels_get(b, rule->equal.items[i])))
            return false;
    return true;
}

/* Alertmanager: a source that is a target, too, does not inhibit a target that is a source, too. */
static bool is_inhibited(struct simulation *s, uint32_t target, int64_t time_ms)
{
    for (size_t r = 0; r < s->config->inhibit_rules.count; r++) {
        const struct inhibit_rule *rule = &s->config->inhibit_rules.items[r];
        if (!s->is_target[r][target])
            continue;
        bool both = s->is_source[r][target];
        for (size_t i = 0; i < s->count && s->alerts[i].starts_ms <= time_ms; i++) {
            s->work++;
            if (s->is_source[r][i] && s->alerts[i].ends_ms > time_ms &&
                !(both && s->is_target[r][i]) &&
                labels_agree(rule, s->alerts[i].labels, s->alerts[target].labels))
                return true;
        }
    }
    return false;
}

/* --- what is told --- */

static int id_compare(const void *x, const void *y)
{
    uint32_t a = *(const uint32_t *)x, b = *(const uint32_t *)y;
    return (a > b) - (a < b);
}

static void set_add(struct id_set *set, uint32_t id)
{
    set->items =
        mem_grow(MEM_RULES, set->items, &set->capacity, set->count + 1, sizeof *set->items);
    set->items[set->count++] = id;
}

static void set_copy(struct id_set *to, const struct id_set *from)
{
    to->count = 0;
    for (size_t i = 0; i < from->count; i++)
        set_add(to, from->items[i]);
}

static bool is_subset(const struct id_set *part, const struct id_set *whole)
{
    size_t k = 0;
    for (size_t i = 0; i < part->count; i++) {
        while (k < whole->count && whole->items[k] < part->items[i])
            k++;
        if (k == whole->count || whole->items[k] != part->items[i])
            return false;
    }
    return true;
}

enum telling { TELL_NOTHING, TELL_NEWS, TELL_AGAIN, TELL_LOG_ALONE };

/* Alertmanager's DedupStage.needsUpdate(). That all is resolved is noted also where it is not sent, so that the next firing
 * is news. */
static enum telling what_to_tell(const struct told *told, const struct id_set *firing,
                                 const struct id_set *resolved, bool send_resolved,
                                 int64_t repeat_ms, int64_t time_ms)
{
    if (told->at_ms == INT64_MIN)
        return firing->count ? TELL_NEWS : TELL_NOTHING;
    if (!is_subset(firing, &told->firing))
        return TELL_NEWS;
    if (firing->count == 0)
        return !told->firing.count ? TELL_NOTHING : send_resolved ? TELL_NEWS : TELL_LOG_ALONE;
    if (send_resolved && !is_subset(resolved, &told->resolved))
        return TELL_NEWS;
    return told->at_ms < time_ms - repeat_ms ? TELL_AGAIN : TELL_NOTHING;
}

static void tell(struct integration *i, struct told *told, const struct id_set *firing,
                 const struct id_set *resolved, int64_t repeat_ms, int64_t time_ms)
{
    enum telling what = what_to_tell(told, firing, resolved, i->send_resolved, repeat_ms, time_ms);
    if (what == TELL_NOTHING)
        return;
    told->at_ms = time_ms;
    set_copy(&told->firing, firing);
    set_copy(&told->resolved, resolved);
    if (what == TELL_LOG_ALONE)
        return;
    i->sent_ms =
        mem_grow(MEM_RULES, i->sent_ms, &i->sent_capacity, i->sent_count + 1, sizeof *i->sent_ms);
    i->sent_ms[i->sent_count++] = time_ms;
    i->out->notifications++;
    i->out->repeats += what == TELL_AGAIN;
    i->out->resolved += firing->count == 0;
}

/* --- the life of a group --- */

struct life {
    struct simulation *s;
    struct group *group;
    const struct receiver_integrations *receiver;
    struct told *told; /* by integration */
    uint32_t *members; /* alerts that are in the group */
    size_t member_count, member_capacity;
    size_t next; /* alert of the group that has not begun */
    struct id_set firing, resolved;
};

/* Alerts that began; a later life of the same alert takes the place of the one before. */
static void take_new(struct life *l, int64_t time_ms)
{
    const struct simulated_alert *all = l->s->alerts;
    for (; l->next < l->group->count && all[l->group->alerts[l->next]].starts_ms <= time_ms;
         l->next++) {
        uint32_t alert = l->group->alerts[l->next];
        size_t i = 0;
        while (i < l->member_count && all[l->members[i]].id != all[alert].id)
            i++;
        l->s->work += i;
        if (i == l->member_count) {
            l->members =
                mem_grow(MEM_RULES, l->members, &l->member_capacity, i + 1, sizeof *l->members);
            l->member_count++;
        }
        l->members[i] = alert;
    }
}

static void flush(struct life *l, int64_t time_ms)
{
    struct simulation *s = l->s;
    const struct alert_route *route = l->group->route;
    bool muted = route_silence_at(s->config, route, time_ms / 1000, NULL) != ROUTE_SENDS;
    l->firing.count = l->resolved.count = 0;
    s->out->flushes++;
    s->out->muted += muted;
    s->work += l->member_count;
    for (size_t i = 0; i < l->member_count; i++) {
        const struct simulated_alert *a = &s->alerts[l->members[i]];
        if (!is_inhibited(s, l->members[i], time_ms))
            set_add(a->ends_ms > time_ms ? &l->firing : &l->resolved, a->id);
    }
    if (l->firing.count)
        qsort(l->firing.items, l->firing.count, sizeof *l->firing.items, id_compare);
    if (l->resolved.count)
        qsort(l->resolved.items, l->resolved.count, sizeof *l->resolved.items, id_compare);
    for (size_t i = 0; i < l->receiver->count && !muted; i++)
        tell(&s->integrations[l->receiver->first + i], &l->told[i], &l->firing, &l->resolved,
             route->repeat_interval_ms, time_ms);
    size_t kept = 0;
    for (size_t i = 0; i < l->member_count; i++)
        if (s->alerts[l->members[i]].ends_ms > time_ms)
            l->members[kept++] = l->members[i];
    l->member_count = kept;
}

/* The next moment at which a flush may have something to tell, on the group's grid: while nothing begins, ends or is to
 * be repeated, flushes say nothing, unless something outside the group decides. */
static int64_t next_flush(const struct life *l, int64_t time_ms)
{
    const struct alert_route *route = l->group->route;
    const struct simulated_alert *all = l->s->alerts;
    int64_t step_ms = route->group_interval_ms, at = INT64_MAX;
    if (step_ms < 1)
        step_ms = 1;
    if (l->s->config->inhibit_rules.count || route->mute_time_intervals.count ||
        route->active_time_intervals.count)
        return time_ms + step_ms;
    if (l->next < l->group->count)
        at = all[l->group->alerts[l->next]].starts_ms;
    for (size_t i = 0; i < l->member_count; i++)
        if (all[l->members[i]].ends_ms < at)
            at = all[l->members[i]].ends_ms;
    for (size_t i = 0; i < l->receiver->count; i++)
        if (l->told[i].at_ms != INT64_MIN && l->told[i].at_ms + route->repeat_interval_ms < at)
            at = l->told[i].at_ms + route->repeat_interval_ms;
    if (at <= time_ms)
        return time_ms + step_ms;
    if (at > l->s->until_ms)
        return INT64_MAX;
    return time_ms + (at - time_ms + step_ms - 1) / step_ms * step_ms;
}

static bool live(struct simulation *s, struct group *g)
{
    struct life l = {.s = s, .group = g, .receiver = receiver_of(s, g->route->receiver)};
    if (!l.receiver)
        return true;
    l.told = mem_alloc_zero(MEM_RULES, l.receiver->count + 1, sizeof *l.told);
    for (size_t i = 0; i < l.receiver->count; i++)
        l.told[i].at_ms = INT64_MIN;
    while (l.next < g->count && s->work < s->work_max) {
        int64_t at = s->alerts[g->alerts[l.next]].starts_ms + g->route->group_wait_ms;
        if (at > s->until_ms)
            break;
        while (at <= s->until_ms && s->work < s->work_max) {
            take_new(&l, at);
            flush(&l, at);
            at = l.member_count ? next_flush(&l, at) : INT64_MAX;
        }
        if (l.member_count)
            break;
    }
    for (size_t i = 0; i < l.receiver->count; i++) {
        mem_free(MEM_RULES, l.told[i].firing.items);
        mem_free(MEM_RULES, l.told[i].resolved.items);
    }
    mem_free(MEM_RULES, l.told);
    mem_free(MEM_RULES, l.members);
    mem_free(MEM_RULES, l.firing.items);
    mem_free(MEM_RULES, l.resolved.items);
    return s->work < s->work_max;
}

bool notify_simulate(const struct alert_config *config, const struct simulated_alert *alerts,
                     size_t count, int64_t until_ms, uint64_t work_max, struct arena *arena,
                     struct notify_simulation *out, struct error *err)
{
    struct simulation s = {.config = config,
                           .alerts = alerts,
                           .count = count,
                           .until_ms = until_ms,
                           .work_max = work_max ? work_max : WORK_MAX,
                           .arena = arena,
                           .out = out,
                           .group_index = string_map_new(MEM_RULES)};
    bool ok = true;
    *out = (struct notify_simulation){0};
    list_integrations(&s);
    match_inhibitions(&s);
    sort_into_groups(&s);
    out->groups = s.group_count;
    for (size_t i = 0; i < s.group_count && ok; i++)
        ok = live(&s, &s.groups[i]);
    for (size_t i = 0; i < out->count; i++) {
        find_busiest_hour(&s.integrations[i]);
        mem_free(MEM_RULES, s.integrations[i].sent_ms);
    }
    for (size_t i = 0; i < s.group_count; i++)
        mem_free(MEM_RULES, s.groups[i].alerts);
    mem_free(MEM_RULES, s.groups);
    string_map_free(s.group_index);
    return ok || error_set(err, ERROR_LIMIT,
                           "so many alerts, in groups that are told so often, take too long: "
                           "look at a shorter time");
}
