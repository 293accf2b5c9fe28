/* SPDX-License-Identifier: Apache-2.0 */
/* alerting.c: alerting rules. An evaluation has three parts: the expression gives samples; each becomes a candidate, a
 * label set with expanded annotations; and under the rule's mutex candidates meet the alerts that are there, which begin,
 * fire, go on or end. The order of cases is Prometheus'.
 *
 * With `recover` an alert that fires goes on until that expression has its series, keep_firing_for at most. With
 * `missing_for` the roles are turned around: a series that the expression gives is watched, and its alert begins when
 * it is given no more. */
#include "base/mem.h"
#include "base/thread.h"
#include "rules/rule.h"
#include "rules/rule_query.h"
#include "rules/rule_text.h"

/* A series that is gone for good must not ring for ever: without keep_firing_for the alert ends after a day. Chosen. */
#define MISSING_MS_MAX (INT64_C(24) * 3600 * 1000)

struct candidate {
    struct labels labels, annotations;
    struct labels source; /* of the sample, without its name */
    struct hash128 hash;  /* of labels */
    double value;
};

struct evaluation {
    struct rule *rule;
    const struct rule_env *env;
    int64_t time_ms;
    struct arena *arena;
    struct candidate *candidates;
    size_t count;
    struct rule_series_table recovered; /* hashes of the series that `recover` gave */
    size_t active_count;                /* alerts pending or firing */
    struct arena scratch;               /* of one text */
    struct rule_text_use text_use;
    bool text_failed;
};

/* --- candidates --- */

static struct labels expand_labels(struct evaluation *e, const struct rule_text_data *data,
                                   struct labels base)
{
    const struct rule_definition *def = e->rule->def;
    struct labels_builder b;
    labels_builder_init(&b, e->arena);
    labels_builder_reset(&b, base);
    for (uint32_t i = 0; i < def->labels.count; i++)
        labels_builder_set(&b, def->labels.items[i].name,
                           rule_text_expand(def->label_texts[i], def->labels.items[i].value, data,
                                            e->arena, &e->text_failed));
    labels_builder_set(&b, VIEW("alertname"), def->name);
    return labels_builder_finish(&b);
}

static struct labels expand_annotations(struct evaluation *e, const struct rule_text_data *data)
{
    const struct rule_definition *def = e->rule->def;
    struct label *items = ARENA_ARRAY(e->arena, struct label, def->annotations.count + 1);
    for (uint32_t i = 0; i < def->annotations.count; i++)
        items[i] = (struct label){def->annotations.items[i].name,
                                  rule_text_expand(def->annotation_texts[i],
                                                   def->annotations.items[i].value, data, e->arena,
                                                   &e->text_failed)};
    return (struct labels){items, def->annotations.count};
}

static struct labels without_name(struct arena *arena, struct labels ls)
{
    struct label *items = arena_alloc(arena, (ls.count + 1) * sizeof *items);
    uint32_t count = 0;
    for (uint32_t i = 0; i < ls.count; i++)
        if (!view_is(ls.items[i].name, LABEL_NAME))
            items[count++] = ls.items[i];
    return (struct labels){items, count};
}

static struct rule_text_data text_data(struct evaluation *e, struct labels labels, double value)
{
    return (struct rule_text_data){.env = e->env,
                                   .rule = e->rule,
                                   .scratch = &e->scratch,
                                   .use = &e->text_use,
                                   .time_ms = e->time_ms,
                                   .labels = labels,
                                   .value = value};
}

static void candidate_make(struct evaluation *e, struct labels sample, double value,
                           struct candidate *c)
{
    struct rule_text_data data = text_data(e, sample, value);
    c->value = value;
    c->source = without_name(e->arena, sample);
    c->labels = expand_labels(e, &data, c->source);
    c->hash = rule_series_hash(c->labels);
    if (!e->rule->def->missing_for_ms && /* else its text is about the end, and written then */
        !e->env->without_annotations)
        c->annotations = expand_annotations(e, &data);
}

static bool candidates_make(struct evaluation *e, const struct rule_vector *v, struct error *err)
{
    struct rule_series_table seen;
    bool ok = true;
    e->candidates = ARENA_ARRAY(e->arena, struct candidate, v->count + 1);
    rule_series_init(&seen);
    for (size_t i = 0; i < v->count && ok; i++) {
        if (rule_is_cancelled(e->rule)) {
            ok = error_set(err, ERROR_CANCELED, "the rule was stopped");
            break;
        }
        candidate_make(e, v->labels[i], v->values[i], &e->candidates[i]);
        size_t before = seen.count;
        (void)rule_series_get(&seen, e->candidates[i].hash);
        ok =
            seen.count > before ||
            error_set(err, ERROR_EXECUTION,
                      "vector contains metrics with the same labelset after applying alert labels");
    }
    e->count = v->count;
    rule_series_deinit(&seen);
    return ok;
}

/* --- life of an alert --- */

static void alert_begin(struct alert *a, int64_t now)
{
    a->state = ALERT_PENDING;
    a->active_ms = now;
    a->fired_ms = a->resolved_ms = a->keep_firing_since_ms = a->sent_ms = a->valid_until_ms =
        RULE_NEVER;
    a->is_changed = true;
}

static void alert_resolve(struct alert *a, int64_t now)
{
    a->state = ALERT_INACTIVE;
    a->resolved_ms = now;
    a->is_changed = true;
}

static void alert_fire_when_due(struct alert *a, int64_t now, int64_t hold_ms)
{
    if (a->state != ALERT_PENDING || now - a->active_ms < hold_ms)
        return;
    a->state = ALERT_FIRING;
    a->fired_ms = now;
    a->is_changed = true;
}

static bool is_forgotten(const struct alert *a, int64_t now)
{
    return a->state == ALERT_INACTIVE && now - a->resolved_ms > ALERT_RESOLVED_RETENTION_MS;
}

/* The candidate's alert, which is made when it is not there. */
static struct alert *alert_of_locked(struct rule *r, const struct candidate *c, bool *is_new)
{
    struct alert *a = rule_find_alert_locked(r, c->hash);
    *is_new = a == NULL;
    if (!a) {
        a = alert_new(c->hash, c->labels);
        rule_add_alert_locked(r, a);
    }
    alert_set_source(a, c->source);
    a->value = c->value;
    a->round = r->round;
    return a;
}

/* Does an alert go on though the expression no longer gives it? */
static bool goes_on(struct evaluation *e, struct alert *a)
{
    const struct rule_definition *def = e->rule->def;
    if (a->state != ALERT_FIRING || (!def->recover && !def->keep_firing_for_ms))
        return false;
    if (a->keep_firing_since_ms == RULE_NEVER) {
        a->keep_firing_since_ms = e->time_ms;
        a->is_changed = true;
    }
    if (def->keep_firing_for_ms && e->time_ms - a->keep_firing_since_ms >= def->keep_firing_for_ms)
        return false;
    return !def->recover ||
           rule_series_find(&e->recovered, rule_series_hash(a->source)) == MAP_NONE;
}

static void step_locked(struct evaluation *e)
{
    struct rule *r = e->rule;
    for (size_t i = 0; i < e->count; i++) {
        bool is_new;
        struct alert *a = alert_of_locked(r, &e->candidates[i], &is_new);
        if (is_new || !alert_is_active(a))
            alert_begin(a, e->time_ms);
        alert_set_annotations(a, e->candidates[i].annotations);
    }
    for (size_t i = 0; i < r->alert_count;) {
        struct alert *a = r->alerts[i];
        if (a->round == r->round) {
            a->is_changed |= a->keep_firing_since_ms != RULE_NEVER;
            a->keep_firing_since_ms = RULE_NEVER;
        } else if (!goes_on(e, a)) {
            if (a->state == ALERT_PENDING || is_forgotten(a, e->time_ms)) {
                rule_remove_alert_locked(r, i); /* the last one takes its place */
                continue;
            }
            if (a->state != ALERT_INACTIVE)
                alert_resolve(a, e->time_ms);
        }
        alert_fire_when_due(a, e->time_ms, r->def->for_ms);
        e->active_count += alert_is_active(a);
        i++;
    }
}

/* missing_for: what is given is watched, what is given no more begins. */
static void step_missing_locked(struct evaluation *e)
{
    struct rule *r = e->rule;
    int64_t forget_ms = r->def->keep_firing_for_ms ? r->def->keep_firing_for_ms : MISSING_MS_MAX;
    for (size_t i = 0; i < e->count; i++) {
        bool is_new;
        struct alert *a = alert_of_locked(r, &e->candidates[i], &is_new);
        if (a->state == ALERT_FIRING)
            alert_resolve(a, e->time_ms);
        else if (is_new || a->state == ALERT_PENDING || is_forgotten(a, e->time_ms)) {
            a->state = ALERT_WATCHED;
            a->is_changed = true;
        }
    }
    for (size_t i = 0; i < r->alert_count;) {
        struct alert *a = r->alerts[i];
        bool given = a->round == r->round;
        if (!given && is_forgotten(a, e->time_ms) && a->keep_firing_since_ms != RULE_NEVER) {
            rule_remove_alert_locked(r, i);
            continue;
        }
        if (!given && a->state == ALERT_FIRING && e->time_ms - a->fired_ms >= forget_ms) {
            a->keep_firing_since_ms = a->fired_ms; /* it does not begin again */
            alert_resolve(a, e->time_ms);
        }
        bool begins = a->state == ALERT_WATCHED ||
                      (a->state == ALERT_INACTIVE && a->keep_firing_since_ms == RULE_NEVER);
        if (!given && begins)
            alert_begin(a, e->time_ms);
        if (given)
            a->keep_firing_since_ms = RULE_NEVER;
        alert_fire_when_due(a, e->time_ms, r->def->missing_for_ms);
        e->active_count += alert_is_active(a);
        i++;
    }
}

/* --- what is written --- */

static void add_cells(struct evaluation *e, const struct alert *a)
{
    struct labels_builder b;
    labels_builder_init(&b, e->arena);
    labels_builder_reset(&b, a->labels);
    labels_builder_set(&b, VIEW(LABEL_NAME), VIEW("ALERTS_FOR_STATE"));
    struct labels labels = labels_copy(e->arena, labels_builder_finish(&b));
    /* Alerts have distinct labels, so these have. In whole seconds, as Prometheus. */
    (void)rule_add_cell(e->rule, e->arena, labels, (double)(a->active_ms / 1000));
    labels_builder_set(&b, VIEW(LABEL_NAME), VIEW("ALERTS"));
    labels_builder_set(&b, VIEW("alertstate"), view_from(alert_phase_name(a->state)));
    labels = labels_copy(e->arena, labels_builder_finish(&b));
    (void)rule_add_cell(e->rule, e->arena, labels, 1);
}

/* Only this thread changes alerts: their labels may be read without the mutex. */
static void write_alerts(struct evaluation *e)
{
    for (size_t i = 0; i < e->rule->alert_count && e->rule->restored; i++)
        if (alert_is_active(e->rule->alerts[i]))
            add_cells(e, e->rule->alerts[i]);
}

/* Texts of a missing series are about its end: expanded while it lasts. */
static bool expand_missing(struct evaluation *e, struct error *err)
{
    struct rule *r = e->rule;
    for (size_t i = 0; i < r->alert_count; i++) {
        struct alert *a = r->alerts[i];
        if (!alert_is_active(a))
            continue;
        if (rule_is_cancelled(r))
            return error_set(err, ERROR_CANCELED, "the rule was stopped");
        struct rule_text_data data = text_data(e, a->source, a->value);
        struct labels annotations = expand_annotations(e, &data);
        mutex_lock(&r->mutex);
        alert_set_annotations(a, annotations);
        mutex_unlock(&r->mutex);
    }
    return true;
}

static bool find_recovered(struct evaluation *e, int64_t data_ms, struct error *err)
{
    struct rule_answer answer;
    if (!e->rule->def->recover)
        return true;
    bool ok = rule_ask(e->rule, e->env, e->rule->def->recover, data_ms, e->arena, &answer, err) ||
              error_wrap(err, "recover");
    for (size_t i = 0; i < answer.vector.count && ok; i++)
        (void)rule_series_get(&e->recovered,
                              rule_series_hash(without_name(e->arena, answer.vector.labels[i])));
    rule_answer_release(&answer);
    return ok;
}

static bool meet(struct evaluation *e, struct error *err)
{
    struct rule *r = e->rule;
    mutex_lock(&r->mutex);
    if (r->def->missing_for_ms)
        step_missing_locked(e);
    else
        step_locked(e);
    bool too_many = r->alert_count > ALERTS_MAX;
    bool over = r->limit && e->active_count > r->limit;
    if (over || too_many)
        rule_clear_alerts_locked(r);
    mutex_unlock(&r->mutex);
    if (too_many)
        return error_set(err, ERROR_LIMIT, "more than %d alerts, resolved ones included",
                         ALERTS_MAX);
    return !over || error_set(err, ERROR_EXECUTION, "exceeded limit of %llu with %zu alerts",
                              (unsigned long long)r->limit, e->active_count);
}

bool rule_evaluate_alerts(struct rule *r, const struct rule_env *env, int64_t time_ms,
                          int64_t offset_ms, struct arena *arena, bool *text_failed,
                          struct error *err)
{
    struct evaluation e = {.rule = r, .env = env, .time_ms = time_ms, .arena = arena};
    struct rule_answer answer;
    const struct rule_vector *v = &answer.vector;
    rule_series_init(&e.recovered);
    arena_init(&e.scratch, MEM_RULES, 0);
    bool ok = rule_ask(r, env, r->def->expr, time_ms - offset_ms, arena, &answer, err) &&
              (v->count <= ALERTS_MAX ||
               error_set(err, ERROR_LIMIT, "more than %d alerts", ALERTS_MAX)) &&
              candidates_make(&e, v, err) && find_recovered(&e, time_ms - offset_ms, err) &&
              meet(&e, err);
    rule_answer_release(&answer); /* the alerts have copies of its labels */
    if (ok && r->def->missing_for_ms && !env->without_annotations)
        ok = expand_missing(&e, err);
    if (ok)
        write_alerts(&e);
    rule_series_deinit(&e.recovered);
    arena_deinit(&e.scratch);
    *text_failed = e.text_failed;
    return ok;
}
