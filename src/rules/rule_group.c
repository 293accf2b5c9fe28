/* SPDX-License-Identifier: Apache-2.0 */
/* rule_group.c: see rule_group.h. Making groups, handing state on, and one evaluation; writing is in rule_write.c. */
#include "rules/rule_group.h"

#include "base/assert.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/thread.h"
#include "rules/rule_stages.h"
#include "rules/rule_write.h"

/* Which of its like each rule is: known by what state.db knows rules by, rule_state.c's rule_key(). */
static void number_alike(struct rule_group *g)
{
    struct string_map *seen = string_map_new(MEM_RULES);
    struct arena arena;
    arena_init(&arena, MEM_RULES, 0);
    for (size_t i = 0; i < g->rule_count; i++) {
        const struct rule_definition *def = g->rules[i].def;
        uint64_t before = 0;
        arena_reset(&arena);
        struct view key = arena_printf(&arena, "%d;%016llx;%d;%.*s", (int)def->kind,
                                       (unsigned long long)labels_hash(def->labels),
                                       def->missing_for_ms > 0, VIEW_ARGS(def->name));
        (void)string_map_get(seen, key, &before);
        g->rules[i].alike = before;
        string_map_set(seen, key, before + 1);
    }
    arena_deinit(&arena);
    string_map_free(seen);
}

struct rule_group *rule_group_new(struct rule_file *file, const struct rule_group_definition *def,
                                  const struct rule_group_options *opts)
{
    struct rule_group *g = mem_alloc_zero(MEM_RULES, 1, sizeof *g);
    arena_init(&g->arena, MEM_RULES, 0);
    atomic_init(&g->references, 1);
    g->file = rule_file_ref(file);
    g->def = def;
    g->interval_ms = def->interval_ms > 0 ? def->interval_ms : opts->default_interval_ms;
    g->query_offset_ms =
        def->has_query_offset ? def->query_offset_ms : opts->default_query_offset_ms;
    g->rule_count = def->rule_count;
    g->rules = ARENA_ARRAY(&g->arena, struct rule, g->rule_count + 1);
    g->stages = ARENA_ARRAY(&g->arena, struct rule_stage, g->rule_count + 1);
    for (size_t i = 0; i < g->rule_count; i++)
        rule_init(&g->rules[i], &def->rules[i], def->limit, &g->arena);
    number_alike(g);
    for (size_t i = 0; i < g->rule_count;) {
        size_t count = rule_stage_length(def, i);
        g->stages[g->stage_count++] = (struct rule_stage){.first = i, .count = count};
        i += count;
    }
    g->writer_count = g->stage_count;
    g->last_ms = RULE_NEVER;
    atomic_init(&g->last_start_ms, RULE_NEVER);
    atomic_init(&g->last_evaluation_ms, RULE_NEVER);
    return g;
}

static void orphan_deinit(struct rule_orphan *o)
{
    rule_series_deinit(&o->series);
    series_writer_unref(o->writer);
}

struct rule_group *rule_group_ref(struct rule_group *g)
{
    atomic_fetch_add_explicit(&g->references, 1, memory_order_relaxed);
    return g;
}

void rule_group_close(struct rule_group *g)
{
    for (size_t i = 0; i < g->rule_count; i++) {
        series_writer_unref(g->rules[i].former_writer);
        g->rules[i].former_writer = NULL;
    }
    for (size_t i = 0; i < g->writer_count; i++) {
        series_writer_unref(g->stages[i].writer);
        g->stages[i].writer = NULL;
    }
    for (size_t i = 0; i < g->orphan_count; i++)
        orphan_deinit(&g->orphans[i]);
    g->orphan_count = 0;
}

void rule_group_unref(struct rule_group *g)
{
    if (!g || atomic_fetch_sub_explicit(&g->references, 1, memory_order_acq_rel) > 1)
        return;
    for (size_t i = 0; i < g->rule_count; i++)
        rule_deinit(&g->rules[i]);
    for (unsigned i = 0; i < g->scratch_count; i++)
        arena_deinit(&g->scratch[i]);
    mem_free(MEM_RULES, g->scratch);
    mem_free(MEM_RULES, g->orphans);
    arena_deinit(&g->arena);
    rule_file_unref(g->file);
    mem_free(MEM_RULES, g);
}

struct view rule_group_key(const struct rule_group_definition *def, struct arena *arena)
{
    return arena_printf(arena, "%.*s;%.*s", VIEW_ARGS(def->file), VIEW_ARGS(def->name));
}

bool rule_group_equal(const struct rule_group *a, const struct rule_group *b)
{
    bool same = view_eq(a->def->name, b->def->name) && view_eq(a->def->file, b->def->file) &&
                a->interval_ms == b->interval_ms && a->query_offset_ms == b->query_offset_ms &&
                a->def->limit == b->def->limit && a->rule_count == b->rule_count;
    for (size_t i = 0; same && i < a->rule_count; i++)
        same = rule_definition_equal(a->rules[i].def, b->rules[i].def);
    return same;
}

int64_t rule_group_time(const struct rule_group *g, int64_t now_ms)
{
    const struct label items[] = {{VIEW("file"), g->def->file}, {VIEW("name"), g->def->name}};
    uint64_t hash = labels_hash((struct labels){items, ARRAY_COUNT(items)});
    int64_t offset = (int64_t)(hash % (uint64_t)g->interval_ms), since = now_ms - offset;
    int64_t rest = since % g->interval_ms;
    return now_ms - (rest < 0 ? rest + g->interval_ms : rest);
}

void rule_group_cancel(struct rule_group *g)
{
    for (size_t i = 0; i < g->rule_count; i++)
        rule_cancel(&g->rules[i]);
}

/* --- state from one to the next --- */

static void orphan_add(struct rule_group *g, struct rule_series_table *series,
                       struct series_writer *writer)
{
    if (series->count == 0 || !writer)
        return;
    g->orphans = mem_grow(MEM_RULES, g->orphans, &g->orphan_capacity, g->orphan_count + 1,
                          sizeof *g->orphans);
    g->orphans[g->orphan_count++] = (struct rule_orphan){*series, series_writer_ref(writer)};
    rule_series_init(series); /* moved */
}

static struct series_writer *writer_of(const struct rule_group *g, size_t rule)
{
    for (size_t i = 0; i < g->stage_count; i++)
        if (rule - g->stages[i].first < g->stages[i].count)
            return g->stages[i].writer;
    return NULL;
}

/* The successor is not known to anybody yet; its predecessor may be looked at. */
static void take_alerts(struct rule *to, struct rule *from)
{
    mutex_lock(&from->mutex);
    for (size_t i = 0; i < from->alert_count; i++) {
        from->alerts[i]->round = 0;
        rule_add_alert_locked(to, from->alerts[i]);
    }
    /* In state.db the successor may have another key. */
    to->alerts_removed = from->alerts_removed || from->alert_count > 0;
    to->has_row = from->has_row;
    from->alert_count = 0;
    map_clear(&from->alert_index);
    mutex_unlock(&from->mutex);
}

static void take_rule(struct rule *to, struct rule_group *old, size_t number)
{
    struct rule *from = &old->rules[number];
    struct series_writer *writer = writer_of(old, number);
    if (to->def->kind == RULE_ALERTING)
        take_alerts(to, from);
    to->restored = from->restored;
    to->health = from->health;
    to->last_error =
        from->last_error ? mem_copy_string(MEM_RULES, view_from(from->last_error)) : NULL;
    to->evaluated_ms = from->evaluated_ms;
    to->duration_ns = from->duration_ns;
    if (writer && from->series.count) {
        to->former = from->series;
        to->former_writer = series_writer_ref(writer);
        rule_series_init(&from->series);
    }
}

/* With and without missing_for an alert means the contrary: such an edit makes another rule. */
static bool is_successor(const struct rule *to, const struct rule *from)
{
    bool missing = to->def->missing_for_ms > 0;
    return to->def->kind == from->def->kind && view_eq(to->def->name, from->def->name) &&
           missing == (from->def->missing_for_ms > 0) &&
           labels_equal(to->def->labels, from->def->labels);
}

/* Counters and what was last: nobody has the successor yet. */
static void take_statistics(struct rule_group *g, struct rule_group *old)
{
    _Atomic uint64_t *const to[] = {&g->evaluations, &g->failures, &g->iterations, &g->missed,
                                    &g->last_samples};
    _Atomic uint64_t *const from[] = {&old->evaluations, &old->failures, &old->iterations,
                                      &old->missed, &old->last_samples};
    _Atomic int64_t *const to_times[] = {&g->last_duration_ns, &g->last_start_ms,
                                         &g->last_evaluation_ms, &g->duration_sum_ns,
                                         &g->rule_duration_sum_ns};
    _Atomic int64_t *const from_times[] = {&old->last_duration_ns, &old->last_start_ms,
                                           &old->last_evaluation_ms, &old->duration_sum_ns,
                                           &old->rule_duration_sum_ns};
    for (size_t i = 0; i < ARRAY_COUNT(to); i++)
        atomic_store_explicit(to[i], atomic_load_explicit(from[i], memory_order_relaxed),
                              memory_order_relaxed);
    for (size_t i = 0; i < ARRAY_COUNT(to_times); i++)
        atomic_store_explicit(to_times[i],
                              atomic_load_explicit(from_times[i], memory_order_relaxed),
                              memory_order_relaxed);
}

/* Stages of the same number have the same key, and one is open once: it is handed on. Those past the last stage are
 * kept open for a successor that has more. */
static void take_writers(struct rule_group *g, struct rule_group *old)
{
    if (old->writer_count > g->writer_count) {
        struct rule_stage *stages = ARENA_ARRAY(&g->arena, struct rule_stage, old->writer_count);
        memset(stages, 0, old->writer_count * sizeof *stages);
        memcpy(stages, g->stages, g->stage_count * sizeof *stages);
        g->stages = stages;
        g->writer_count = old->writer_count;
    }
    for (size_t i = 0; i < old->writer_count; i++) {
        g->stages[i].writer = old->stages[i].writer;
        g->stages[i].has_row = old->stages[i].has_row;
        old->stages[i].writer = NULL;
    }
}

void rule_group_take_over(struct rule_group *g, struct rule_group *old)
{
    bool *taken = mem_alloc_zero(MEM_RULES, old->rule_count + 1, sizeof *taken);
    size_t hint = 0; /* unchanged lists are walked once */
    for (size_t i = 0; i < g->rule_count; i++) {
        for (size_t k = 0; k < old->rule_count; k++) {
            size_t number = (hint + k) % old->rule_count;
            if (taken[number] || !is_successor(&g->rules[i], &old->rules[number]))
                continue;
            taken[number] = true;
            take_rule(&g->rules[i], old, number);
            hint = number + 1;
            break;
        }
    }
    for (size_t k = 0; k < old->rule_count; k++) {
        orphan_add(g, &old->rules[k].series, taken[k] ? NULL : writer_of(old, k));
        orphan_add(g, &old->rules[k].former, old->rules[k].former_writer);
    }
    for (size_t i = 0; i < old->orphan_count; i++)
        orphan_add(g, &old->orphans[i].series, old->orphans[i].writer);
    take_writers(g, old);
    take_statistics(g, old);
    g->last_ms = old->last_ms;
    mem_free(MEM_RULES, taken);
}

void rule_add_written(const struct rule *r, struct rule_series_table *set)
{
    for (size_t i = 0; i < r->series.count; i++)
        if (r->series.items[i].slot != RULE_SLOT_NONE)
            (void)rule_series_get(set, r->series.items[i].hash);
}

void rule_group_add_written(const struct rule_group *g, struct rule_series_table *set)
{
    for (size_t i = 0; i < g->rule_count; i++)
        rule_add_written(&g->rules[i], set);
}

/* --- evaluation --- */

struct stage_run {
    struct rule_group *group;
    const struct rule_run *run;
    const struct rule_stage *stage;
    int64_t time_ms;
    _Atomic size_t next; /* rule of the stage */
};

static void notify(struct rule_group *g, struct rule *r, const struct rule_run *run,
                   int64_t time_ms, struct arena *arena)
{
    size_t count = 0;
    int64_t delta = run->resend_delay_ms > g->interval_ms ? run->resend_delay_ms : g->interval_ms;
    if (!run->sink.send || r->alert_count == 0)
        return;
    struct alert_notice *notices = ARENA_ARRAY(arena, struct alert_notice, r->alert_count);
    mutex_lock(&r->mutex);
    for (size_t i = 0; i < r->alert_count; i++) {
        struct alert *a = r->alerts[i];
        if (!alert_needs_sending(a, time_ms, run->resend_delay_ms))
            continue;
        a->sent_ms = time_ms;
        a->valid_until_ms = time_ms + 4 * delta; /* two evaluations or two sendings may fail */
        a->is_changed = true;
        bool resolved = a->state == ALERT_INACTIVE;
        notices[count++] =
            (struct alert_notice){.labels = a->labels,
                                  .annotations = a->annotations,
                                  .starts_ms = a->fired_ms,
                                  .ends_ms = resolved ? a->resolved_ms : a->valid_until_ms,
                                  .is_resolved = resolved,
                                  .value = a->value,
                                  .expr = r->def->printed,
                                  .file = g->def->file,
                                  .group = g->def->name,
                                  .rule = r->def->name};
    }
    mutex_unlock(&r->mutex);
    if (count) /* only this thread frees alerts: what is borrowed stays */
        run->sink.send(run->sink.arg, notices, count);
}

static void tell_failure(const struct rule_group *g, const struct rule *r,
                         const struct rule_run *run, const char *what, const char *why)
{
    if (!run->log)
        return;
    struct buffer text;
    buffer_init(&text, MEM_RULES, 16 * 1024);
    buffer_printf(&text, "%.*s: group \"%.*s\", rule \"%.*s\": %s%s", VIEW_ARGS(g->def->file),
                  VIEW_ARGS(view_slice(g->def->name, 0, 200)),
                  VIEW_ARGS(view_slice(r->def->name, 0, 200)), what, why);
    buffer_append_byte(&text, '\0');
    if (!text.failed)
        run->log(run->log_arg, true, "rule_failed", text.ptr);
    buffer_deinit(&text);
}

/* A rule that fails at each evaluation says so once, until it fails otherwise or not. */
static bool fails_anew(struct rule *r, const struct error *err)
{
    mutex_lock(&r->mutex);
    bool same = r->last_error && strcmp(r->last_error, err->message) == 0;
    mutex_unlock(&r->mutex);
    return !same;
}

static void count_failure(struct stage_run *s, struct rule *r, const struct error *err, bool tell)
{
    atomic_fetch_add_explicit(&s->group->failures, 1, memory_order_relaxed);
    if (tell)
        tell_failure(s->group, r, s->run, "", err->message);
    if (s->run->failed)
        s->run->failed(s->run->failed_arg, r, err);
}

static void evaluate_rule(struct stage_run *s, struct rule *r, struct arena *arena)
{
    struct rule_group *g = s->group;
    struct error err = {0};
    bool text_failed;
    wall_time began = clock_wall();
    mono_time start = clock_mono();
    bool ok =
        rule_evaluate(r, s->run->env, s->time_ms, g->query_offset_ms, arena, &text_failed, &err);
    int64_t took_ns = clock_mono().ns - start.ns;
    if (!ok &&
        err.kind ==
            ERROR_CANCELED) /* the end of the process or a reload: it says nothing of the rule */
        return;
    bool tell = !ok && fails_anew(r, &err);
    rule_set_health(r, ok ? NULL : &err);
    rule_set_times(r, began.ms, took_ns);
    atomic_fetch_add_explicit(&g->rule_duration_sum_ns, took_ns, memory_order_relaxed);
    atomic_fetch_add_explicit(&g->evaluations, 1, memory_order_relaxed);
    if (ok)
        notify(g, r, s->run, s->time_ms, arena);
    else
        count_failure(s, r, &err, tell);
    if (text_failed && !r->text_failed)
        tell_failure(g, r, s->run, "a template could not be expanded: its text says why", "");
    r->text_failed = text_failed;
}

static void run_lane(void *arg, size_t lane, unsigned worker)
{
    struct stage_run *s = arg;
    (void)worker;
    for (;;) {
        size_t i = atomic_fetch_add_explicit(&s->next, 1, memory_order_relaxed);
        if (i >= s->stage->count)
            return;
        evaluate_rule(s, &s->group->rules[s->stage->first + i], &s->group->scratch[lane]);
    }
}

/* As many as are free, one less than the stage has rules. */
static unsigned take_spare(const struct rule_run *run, size_t rules)
{
    unsigned taken = 0;
    if (!run->pool || !run->spare)
        return 0;
    int spare = atomic_load_explicit(run->spare, memory_order_relaxed);
    while (spare > 0 && taken == 0) {
        int want = rules - 1 < (size_t)spare ? (int)(rules - 1) : spare;
        if (want == 0)
            break;
        if (atomic_compare_exchange_weak_explicit(run->spare, &spare, spare - want,
                                                  memory_order_relaxed, memory_order_relaxed))
            taken = (unsigned)want;
    }
    return taken;
}

static void scratch_reset(struct rule_group *g, unsigned lanes)
{
    if (lanes > g->scratch_count) {
        g->scratch = mem_resize(MEM_RULES, g->scratch, lanes * sizeof *g->scratch);
        for (; g->scratch_count < lanes; g->scratch_count++)
            arena_init(&g->scratch[g->scratch_count], MEM_RULES, 0);
    }
    for (unsigned i = 0; i < g->scratch_count; i++)
        arena_reset(&g->scratch[i]);
}

static void run_stage(struct rule_group *g, const struct rule_run *run, struct rule_stage *stage,
                      int64_t time_ms)
{
    struct stage_run s = {.group = g, .run = run, .stage = stage, .time_ms = time_ms};
    unsigned spare = take_spare(run, stage->count);
    scratch_reset(g, spare + 1);
    pool_for(spare ? run->pool : NULL, spare + 1, run_lane, &s);
    if (spare)
        atomic_fetch_add_explicit(run->spare, (int)spare, memory_order_relaxed);
    bool is_last = stage == &g->stages[g->stage_count - 1];
    rule_write_stage(g, run, stage, time_ms - g->query_offset_ms, !is_last || run->finish_writes);
}

void rule_group_evaluate_stage(struct rule_group *g, const struct rule_run *run, size_t stage,
                               int64_t time_ms)
{
    ASSERT(stage < g->stage_count);
    run_stage(g, run, &g->stages[stage], time_ms);
}

void rule_group_evaluate(struct rule_group *g, const struct rule_run *run, int64_t time_ms)
{
    mono_time start = clock_mono();
    uint64_t samples = 0;
    atomic_store_explicit(&g->last_start_ms, clock_wall().ms, memory_order_relaxed);
    for (size_t i = 0; i < g->stage_count; i++)
        run_stage(g, run, &g->stages[i], time_ms);
    for (size_t i = 0; i < g->rule_count; i++)
        samples += g->rules[i].evaluated ? g->rules[i].cell_count : 0;
    rule_write_orphans(g, time_ms - g->query_offset_ms, run->finish_writes);
    g->last_ms = time_ms;
    atomic_fetch_add_explicit(&g->iterations, 1, memory_order_relaxed);
    atomic_store_explicit(&g->last_samples, samples, memory_order_relaxed);
    atomic_store_explicit(&g->last_evaluation_ms, time_ms, memory_order_relaxed);
    int64_t took_ns = clock_mono().ns - start.ns;
    atomic_store_explicit(&g->last_duration_ns, took_ns, memory_order_relaxed);
    atomic_fetch_add_explicit(&g->duration_sum_ns, took_ns, memory_order_relaxed);
}
