/* SPDX-License-Identifier: Apache-2.0 */
/* rule_restore.c: see rule_restore.h. The last sample of an alert's series says two things: by its value since when the
 * alert was active, by its time when the process before went down. A stale marker says that it was over. */
#include "rules/rule_restore.h"

#include "base/thread.h"

/* Past any time that an alert can have; its milliseconds fit in 64 bits with room to reckon. */
#define SECONDS_MAX 1e14

struct restoring {
    struct rule_group *group;
    const struct rule_env *env;
    int64_t now_ms, grace_ms, oldest_ms;
    struct arena arena;
};

int64_t rule_active_since(int64_t since_ms, int64_t down_ms, int64_t now_ms, int64_t hold_ms,
                          int64_t grace_ms)
{
    int64_t remaining = hold_ms - (down_ms - since_ms);
    if (remaining <= 0) /* it was firing: it fires again at the next evaluation */
        return since_ms;
    if (remaining < grace_ms)
        return now_ms + grace_ms - hold_ms;
    return since_ms + (now_ms - down_ms); /* the time that it was down does not count */
}

static void restore_alert(struct restoring *r, struct rule *rule, struct labels series,
                          int64_t down_ms, double value)
{
    struct labels_builder b;
    if (!(value > -SECONDS_MAX && value < SECONDS_MAX)) /* stale (NaN), or written by others */
        return;
    labels_builder_init(&b, &r->arena);
    labels_builder_reset(&b, series);
    labels_builder_delete(&b, VIEW(LABEL_NAME));
    struct hash128 hash = rule_series_hash(labels_builder_finish(&b));
    mutex_lock(&rule->mutex);
    struct alert *a = rule_find_alert_locked(rule, hash);
    if (a && alert_is_active(a)) {
        a->active_ms = rule_active_since((int64_t)value * 1000, down_ms, r->now_ms,
                                         rule->def->for_ms, r->grace_ms);
        a->is_changed = true;
    }
    mutex_unlock(&rule->mutex);
}

static bool restore_rule(struct restoring *r, struct rule *rule, struct storage_view *view,
                         struct storage_reader *reader, struct error *err)
{
    struct matcher matchers[2];
    struct error ignored;
    if (!matcher_init(&matchers[0], MATCH_EQUAL, VIEW(LABEL_NAME), VIEW("ALERTS_FOR_STATE"),
                      &ignored) ||
        !matcher_init(&matchers[1], MATCH_EQUAL, VIEW("alertname"), rule->def->name, &ignored))
        return error_set(err, ERROR_INTERNAL, "matchers");
    const struct select what = {
        .matchers = matchers, .matcher_count = 2, .mint = r->oldest_ms, .maxt = r->now_ms};
    struct label_store *labels = label_store_new(MEM_RULES, 0);
    struct series_list list;
    bool ok = view_select(view, &what, labels, &r->arena, &list, err);
    for (size_t i = 0; ok && i < list.count; i++) {
        struct samples samples;
        ok = reader_read(reader, list.items[i].ref, r->oldest_ms, r->now_ms, &samples, err);
        if (ok && samples.count)
            restore_alert(r, rule, label_store_labels(labels, list.items[i].labels, &r->arena),
                          samples.times[samples.count - 1], samples.values[samples.count - 1]);
    }
    label_store_free(labels);
    matcher_deinit(&matchers[0]);
    matcher_deinit(&matchers[1]);
    return ok;
}

static bool restore_all(struct restoring *r, struct error *err)
{
    struct storage_view *view = source_pin(r->env->source, r->oldest_ms, r->now_ms, err);
    if (!view)
        return false;
    struct storage_reader *reader = view_reader_new(view, NULL, err);
    bool ok = reader != NULL;
    for (size_t i = 0; ok && i < r->group->rule_count; i++) {
        struct rule *rule = &r->group->rules[i];
        /* One that holds no longer than the grace period would wait longer than it holds. */
        if (!rule->restored && rule->alert_count && rule->def->for_ms >= r->grace_ms)
            ok = restore_rule(r, rule, view, reader, err);
    }
    storage_reader_free(reader);
    view_release(view);
    return ok;
}

bool rule_group_restore(struct rule_group *g, const struct rule_env *env, int64_t now_ms,
                        int64_t tolerance_ms, int64_t grace_ms, struct error *err)
{
    struct restoring r = {.group = g,
                          .env = env,
                          .now_ms = now_ms,
                          .grace_ms = grace_ms,
                          .oldest_ms = now_ms - tolerance_ms};
    arena_init(&r.arena, MEM_RULES, 0);
    bool ok = restore_all(&r, err);
    arena_deinit(&r.arena);
    for (size_t i = 0; i < g->rule_count; i++)
        g->rules[i].restored = true;
    return ok;
}
