/* SPDX-License-Identifier: Apache-2.0 */
/* wellness.c: see wellness.h. Whether something gets through is seen from how counters grew since the last look: failures
 * alone are a failure, a success ends it, and nothing leaves it as it was. */
#include "server/wellness.h"

#include "alerting/alert_router.h"
#include "alerting/sender.h"
#include "base/mem.h"
#include "outbound/notifier.h"
#include "rules/rule_manager.h"

#include <string.h>

enum { LATE_MS = 60 * 1000 }; /* beyond two intervals: a group may take one whole to evaluate */

struct wellness_memory {
    char *name;
    uint64_t good, bad;
    bool is_failing;
};

static struct wellness_memory *memory_of(struct wellness *w, const char *name)
{
    for (size_t i = 0; i < w->memory_count; i++)
        if (strcmp(w->memory[i].name, name) == 0)
            return &w->memory[i];
    w->memory = mem_grow(MEM_ALERTING, w->memory, &w->memory_capacity, w->memory_count + 1,
                         sizeof(*w->memory));
    struct wellness_memory *m = &w->memory[w->memory_count++];
    *m = (struct wellness_memory){.name = mem_copy_string(MEM_ALERTING, view_from(name))};
    return m;
}

static bool is_failing(struct wellness *w, const char *name, uint64_t good, uint64_t bad)
{
    struct wellness_memory *m = memory_of(w, name);
    if (good < m->good || bad < m->bad) /* counted anew */
        m->good = m->bad = 0;
    if (good > m->good)
        m->is_failing = false;
    else if (bad > m->bad)
        m->is_failing = true;
    m->good = good;
    m->bad = bad;
    return m->is_failing;
}

static bool check_rules(struct wellness *w, struct arena *arena, int64_t now_ms, struct error *why)
{
    struct rule_groups groups;
    bool ok = true;
    rule_manager_groups(w->rules, arena, &groups);
    for (size_t i = 0; i < groups.count && ok; i++) {
        const struct rule_group *g = groups.items[i];
        int64_t last_ms = atomic_load_explicit(&g->last_start_ms, memory_order_relaxed);
        if (last_ms > 0 && now_ms - last_ms > 2 * g->interval_ms + LATE_MS)
            ok = error_set(why, ERROR_UNAVAILABLE, "the rules of group \"%.*s\" are not evaluated",
                           VIEW_ARGS(view_slice(g->def->name, 0, 200)));
    }
    rule_groups_release(&groups);
    return ok;
}

static bool check_notifier(struct wellness *w, struct arena *arena, struct error *why)
{
    struct notifier_stats stats;
    size_t failing = 0;
    notifier_stats_get(w->notifier, arena, &stats);
    for (size_t i = 0; i < stats.count; i++) {
        const struct notifier_url_stats *s = &stats.items[i];
        const char *name = arena_printf(arena, "alertmanager %.*s", VIEW_ARGS(s->url)).ptr;
        failing += is_failing(w, name, s->sent, s->errors);
    }
    return failing == 0 || failing < stats.count ||
           error_set(why, ERROR_UNAVAILABLE, "no Alertmanager takes alerts");
}

/* Counters outlive the configuration that they began with: one that is gone from it can never get through again. */
static bool is_in_force(struct integrations *set, const struct sender_stat *s)
{
    struct integration_list list = integrations_of(set, s->receiver);
    for (size_t i = 0; i < list.count; i++)
        if (strcmp(list.items[i].driver->kind, s->integration) == 0)
            return true;
    return false;
}

static bool check_sender(struct wellness *w, struct arena *arena, struct error *why)
{
    struct sender_stats stats;
    bool ok = true;
    struct integrations *set = alert_router_integrations(w->router);
    sender_read_stats(w->sender, arena, &stats);
    for (size_t i = 0; set && i < stats.count; i++) {
        const struct sender_stat *s = &stats.items[i];
        if (!is_in_force(set, s))
            continue;
        const char *name =
            arena_printf(arena, "receiver %.*s/%s", VIEW_ARGS(s->receiver), s->integration).ptr;
        if (is_failing(w, name, s->requests - s->requests_failed, s->requests_failed) && ok)
            ok = error_set(why, ERROR_UNAVAILABLE,
                           "notifications to receiver \"%.*s\" (%s) do not get through",
                           VIEW_ARGS(view_slice(s->receiver, 0, 200)), s->integration);
    }
    integrations_unref(set);
    return ok;
}

bool wellness_check(struct wellness *w, int64_t now_ms, struct error *why)
{
    struct arena arena;
    arena_init(&arena, MEM_ALERTING, 0);
    /* All are looked at, so that each is compared with what was a heartbeat ago. */
    bool gets_out = !w->notifier || check_notifier(w, &arena, why);
    bool gets_through = !w->router || check_sender(w, &arena, gets_out ? why : NULL);
    bool are_evaluated =
        !w->rules || check_rules(w, &arena, now_ms, gets_out && gets_through ? why : NULL);
    arena_deinit(&arena);
    return gets_out && gets_through && are_evaluated;
}

void wellness_deinit(struct wellness *w)
{
    for (size_t i = 0; i < w->memory_count; i++)
        mem_free(MEM_ALERTING, w->memory[i].name);
    mem_free(MEM_ALERTING, w->memory);
    w->memory = NULL;
    w->memory_count = w->memory_capacity = 0;
}
