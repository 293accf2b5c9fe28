/* SPDX-License-Identifier: Apache-2.0 */
/* rule.c: see rule.h. Recording rules, and what both kinds have in common. */
#include "rules/rule.h"

#include "base/assert.h"
#include "base/mem.h"
#include "base/thread.h"
#include "rules/rule_query.h"

void rule_init(struct rule *r, const struct rule_definition *def, uint64_t limit,
               struct arena *arena)
{
    struct labels_builder b;
    *r = (struct rule){.def = def, .limit = limit, .restored = true, .evaluated_ms = RULE_NEVER};
    labels_builder_init(&b, arena);
    labels_builder_reset(&b, def->labels);
    labels_builder_set(&b, VIEW(LABEL_NAME), def->name);
    r->own_labels = labels_builder_finish(&b);
    rule_series_init(&r->series);
    rule_series_init(&r->former);
    mutex_init(&r->mutex);
    map_init(&r->alert_index, MEM_RULES);
}

void rule_deinit(struct rule *r)
{
    rule_clear_alerts_locked(r); /* nobody else has it any more */
    mem_free(MEM_RULES, r->alerts);
    map_deinit(&r->alert_index);
    rule_series_deinit(&r->series);
    rule_series_deinit(&r->former);
    series_writer_unref(r->former_writer);
    mem_free(MEM_RULES, r->last_error);
    mutex_deinit(&r->mutex);
}

/* --- queries --- */

bool rule_execute_query(struct rule *r, struct query *q, struct error *err)
{
    mutex_lock(&r->mutex);
    bool go = !r->is_cancelled;
    if (go)
        r->running = q;
    mutex_unlock(&r->mutex);
    if (!go)
        return error_set(err, ERROR_CANCELED, "the rule was stopped");
    bool ok = query_run(q, err);
    mutex_lock(&r->mutex);
    r->running = NULL;
    mutex_unlock(&r->mutex);
    return ok;
}

bool rule_ask(struct rule *r, const struct rule_env *env, const struct promql *expr,
              int64_t time_ms, struct arena *arena, struct rule_answer *out, struct error *err)
{
    *out = (struct rule_answer){0};
    if (env->answers)
        return env->answers->vector(env->answers->arg, expr, time_ms, arena, &out->vector, err);
    return rule_query_new(env, expr, time_ms, &out->query, err) &&
           rule_execute_query(r, out->query, err) &&
           rule_vector_of(out->query, arena, false, &out->vector, err);
}

void rule_answer_release(struct rule_answer *a)
{
    query_free(a->query);
    a->query = NULL;
}

bool rule_is_cancelled(struct rule *r)
{
    mutex_lock(&r->mutex);
    bool cancelled = r->is_cancelled;
    mutex_unlock(&r->mutex);
    return cancelled;
}

void rule_cancel(struct rule *r)
{
    mutex_lock(&r->mutex);
    r->is_cancelled = true;
    if (r->running)
        query_cancel(r->running);
    mutex_unlock(&r->mutex);
}

/* --- cells --- */

bool rule_add_cell(struct rule *r, struct arena *arena, struct labels labels, double value)
{
    uint32_t number = rule_series_get(&r->series, rule_series_hash(labels));
    struct rule_series *s = &r->series.items[number];
    if (s->mark == r->round)
        return false;
    s->mark = r->round;
    r->cells = arena_grow(arena, r->cells, &r->cell_capacity, r->cell_count + 1, sizeof *r->cells);
    r->cells[r->cell_count++] = (struct rule_cell){labels, number, value};
    return true;
}

/* What the expression gave, with the rule's labels in place of its own of the same names, which an empty
 * value takes away; both are sorted. */
static struct labels labels_with_own(struct arena *arena, struct labels base, struct labels own)
{
    struct label *items = arena_alloc(arena, (base.count + own.count) * sizeof *items);
    uint32_t count = 0, i = 0, k = 0;
    while (i < base.count || k < own.count) {
        int order = i == base.count  ? 1
                    : k == own.count ? -1
                                     : view_cmp(base.items[i].name, own.items[k].name);
        if (order < 0) {
            items[count++] = base.items[i++];
        } else {
            if (own.items[k].value.len)
                items[count++] = own.items[k];
            k++;
            i += order == 0;
        }
    }
    return (struct labels){items, count};
}

static bool evaluate_recording(struct rule *r, const struct rule_env *env, int64_t time_ms,
                               struct arena *arena, struct error *err)
{
    struct rule_answer answer;
    const struct rule_vector *v = &answer.vector;
    /* Labels must outlive the query: the cells are written later. Text is copied with those of new series only. */
    bool ok = rule_ask(r, env, r->def->expr, time_ms, arena, &answer, err);
    if (ok && r->limit && v->count > r->limit)
        ok = error_set(err, ERROR_EXECUTION, "exceeded limit of %llu with %zu series",
                       (unsigned long long)r->limit, v->count);
    for (size_t i = 0; i < v->count && ok; i++) {
        struct labels labels = labels_with_own(arena, v->labels[i], r->own_labels);
        ok = rule_add_cell(r, arena, labels, v->values[i]) ||
             error_set(err, ERROR_EXECUTION,
                       "vector contains metrics with the same labelset after applying rule labels");
        if (ok && r->series.items[r->cells[i].series].slot == RULE_SLOT_NONE)
            r->cells[i].labels = labels_copy(arena, labels);
    }
    rule_answer_release(&answer);
    return ok;
}

bool rule_evaluate(struct rule *r, const struct rule_env *env, int64_t time_ms, int64_t offset_ms,
                   struct arena *arena, bool *text_failed, struct error *err)
{
    size_t known = r->series.count;
    r->round++;
    r->cells = NULL;
    r->cell_count = r->cell_capacity = 0;
    *text_failed = false;
    r->evaluated = r->def->kind == RULE_ALERTING
                       ? rule_evaluate_alerts(r, env, time_ms, offset_ms, arena, text_failed, err)
                       : evaluate_recording(r, env, time_ms - offset_ms, arena, err);
    if (!r->evaluated) {
        r->cell_count = 0;
        while (r->series.count > known) /* nobody would ever end them */
            rule_series_remove(&r->series, (uint32_t)(r->series.count - 1));
    }
    return r->evaluated;
}

/* --- what others look at --- */

void rule_set_health(struct rule *r, const struct error *err)
{
    char *text = err ? mem_copy_string(MEM_RULES, view_from(err->message)) : NULL;
    mutex_lock(&r->mutex);
    char *old = r->last_error;
    r->last_error = text;
    r->health = err ? RULE_FAILING : RULE_OK;
    mutex_unlock(&r->mutex);
    mem_free(MEM_RULES, old);
}

void rule_set_times(struct rule *r, int64_t evaluated_ms, int64_t duration_ns)
{
    mutex_lock(&r->mutex);
    r->evaluated_ms = evaluated_ms;
    r->duration_ns = duration_ns;
    mutex_unlock(&r->mutex);
}

static bool is_alert(const void *context, uint32_t item, const void *key)
{
    const struct alert *a = ((const struct rule *)context)->alerts[item];
    const struct hash128 *hash = key;
    return a->hash.low == hash->low && a->hash.high == hash->high;
}

struct alert *rule_find_alert_locked(const struct rule *r, struct hash128 hash)
{
    uint32_t found = map_find(&r->alert_index, hash.low, is_alert, r, &hash);
    return found == MAP_NONE ? NULL : r->alerts[found];
}

void rule_add_alert_locked(struct rule *r, struct alert *a)
{
    r->alerts =
        mem_grow(MEM_RULES, r->alerts, &r->alert_capacity, r->alert_count + 1, sizeof *r->alerts);
    r->alerts[r->alert_count] = a;
    map_add(&r->alert_index, a->hash.low, (uint32_t)r->alert_count++);
}

void rule_remove_alert_locked(struct rule *r, size_t number)
{
    ASSERT(number < r->alert_count);
    size_t last = --r->alert_count;
    r->alerts_removed = true;
    struct alert *gone = r->alerts[number];
    map_remove(&r->alert_index, gone->hash.low, (uint32_t)number);
    if (number != last) {
        map_remove(&r->alert_index, r->alerts[last]->hash.low, (uint32_t)last);
        r->alerts[number] = r->alerts[last];
        map_add(&r->alert_index, r->alerts[number]->hash.low, (uint32_t)number);
    }
    alert_free(gone);
}

void rule_clear_alerts_locked(struct rule *r)
{
    r->alerts_removed |= r->alert_count > 0;
    for (size_t i = 0; i < r->alert_count; i++)
        alert_free(r->alerts[i]);
    r->alert_count = 0;
    map_clear(&r->alert_index);
}
