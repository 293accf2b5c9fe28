/* SPDX-License-Identifier: Apache-2.0 */
/* backtest.c: looks at the alerts of each rule after each of its evaluations. An alert that is active opens an episode;
 * one that was open and is active no more is closed: that it became another state or is gone makes no difference. */
#include "rules/backtest.h"

#include "base/assert.h"
#include "base/map.h"
#include "base/mem.h"

#include <stdlib.h>

#define NO_EPISODE SIZE_MAX

struct watched {
    struct hash128 hash;
    size_t open; /* episode, or NO_EPISODE */
    int64_t seen_ms;
};

/* The open ones of a rule, so that what went away is found. */
struct open_list {
    uint32_t *series;
    size_t count, capacity;
};

struct watch {
    struct backtest *b;
    const struct backtest_options *options;
    struct watched *watched; /* by series */
    size_t series_capacity, watched_capacity, episode_capacity;
    struct map index; /* rule and hash -> series */
    struct open_list *open;
    struct rule_group *const *groups;
    size_t group_count;
    size_t *first_rule; /* by group: number of its first rule in b->rules, counting all kinds */
    size_t group;       /* that was looked at last */
    struct error fatal; /* kind set: the run is over */
    bool has_fatal;
    size_t rule_count; /* of `open` */
};

/* --- episodes --- */

struct series_key {
    uint32_t rule;
    struct hash128 hash;
};

static bool is_series(const void *context, uint32_t item, const void *key)
{
    const struct watch *w = context;
    const struct series_key *k = key;
    return w->b->series[item].rule == k->rule && w->watched[item].hash.low == k->hash.low &&
           w->watched[item].hash.high == k->hash.high;
}

static uint32_t series_of(struct watch *w, uint32_t rule, const struct alert *a)
{
    struct backtest *b = w->b;
    const struct series_key key = {rule, a->hash};
    uint32_t found = map_find(&w->index, a->hash.low + rule, is_series, w, &key);
    if (found != MAP_NONE)
        return found;
    b->series =
        mem_grow(MEM_RULES, b->series, &w->series_capacity, b->series_count + 1, sizeof *b->series);
    w->watched = mem_grow(MEM_RULES, w->watched, &w->watched_capacity, b->series_count + 1,
                          sizeof *w->watched);
    found = (uint32_t)b->series_count++;
    b->series[found] =
        (struct backtest_series){.rule = rule, .labels = labels_copy(&b->arena, a->labels)};
    w->watched[found] = (struct watched){.hash = a->hash, .open = NO_EPISODE};
    map_add(&w->index, a->hash.low + rule, found);
    return found;
}

static bool open_episode(struct watch *w, uint32_t rule, uint32_t series, int64_t active_ms,
                         struct error *err)
{
    struct backtest *b = w->b;
    struct open_list *open = &w->open[rule];
    if (b->episode_count == BACKTEST_EPISODES_MAX)
        return error_set(err, ERROR_LIMIT,
                         "more than %d alerts begin in this time: look at a shorter one, or at "
                         "fewer rules",
                         BACKTEST_EPISODES_MAX);
    b->episodes = mem_grow(MEM_RULES, b->episodes, &w->episode_capacity, b->episode_count + 1,
                           sizeof *b->episodes);
    w->watched[series].open = b->episode_count;
    b->episodes[b->episode_count++] = (struct backtest_episode){
        .series = series, .active_ms = active_ms, .fired_ms = RULE_NEVER, .end_ms = RULE_NEVER};
    open->series =
        mem_grow(MEM_RULES, open->series, &open->capacity, open->count + 1, sizeof *open->series);
    open->series[open->count++] = series;
    return true;
}

static void end_episode(struct watch *w, uint32_t series, int64_t time_ms)
{
    w->b->episodes[w->watched[series].open].end_ms = time_ms;
    w->watched[series].open = NO_EPISODE;
}

static bool look_at_alert(struct watch *w, uint32_t rule, const struct alert *a, int64_t time_ms,
                          struct error *err)
{
    uint32_t series = series_of(w, rule, a);
    struct watched *s = &w->watched[series];
    if (s->open == NO_EPISODE && !open_episode(w, rule, series, a->active_ms, err))
        return false;
    struct backtest_episode *e = &w->b->episodes[s->open];
    if (e->active_ms != a->active_ms) { /* ended and begun within one evaluation */
        e->end_ms = time_ms;
        s->open = NO_EPISODE;
        for (size_t i = 0; i < w->open[rule].count; i++)
            if (w->open[rule].series[i] == series)
                w->open[rule].series[i] = w->open[rule].series[--w->open[rule].count];
        if (!open_episode(w, rule, series, a->active_ms, err))
            return false;
        e = &w->b->episodes[s->open];
    }
    if (a->state == ALERT_FIRING)
        e->fired_ms = a->fired_ms;
    s->seen_ms = time_ms;
    return true;
}

static bool look_at_rule(struct watch *w, uint32_t number, const struct rule *r, int64_t time_ms,
                         struct error *err)
{
    struct open_list *open = &w->open[number];
    if (!r->evaluated) /* it failed: its alerts are as they were */
        return true;
    for (size_t i = 0; i < r->alert_count; i++)
        if (alert_is_active(r->alerts[i]) && !look_at_alert(w, number, r->alerts[i], time_ms, err))
            return false;
    for (size_t i = open->count; i-- > 0;) {
        uint32_t series = open->series[i];
        if (w->watched[series].seen_ms == time_ms)
            continue;
        end_episode(w, series, time_ms);
        open->series[i] = open->series[--open->count];
    }
    return true;
}

/* --- the replay's calls --- */

static size_t group_number(struct watch *w, const struct rule_group *g)
{
    for (size_t i = 0; i < w->group_count && w->groups[w->group] != g; i++)
        w->group = i;
    return w->group;
}

static bool on_evaluated(void *arg, struct rule_group *g, const struct rule_stage *stage,
                         int64_t time_ms, struct error *err)
{
    struct watch *w = arg;
    size_t first = w->first_rule[group_number(w, g)];
    if (w->has_fatal) {
        *err = w->fatal;
        return false;
    }
    for (size_t i = stage->first; i < stage->first + stage->count; i++)
        if (g->rules[i].def->kind == RULE_ALERTING &&
            !look_at_rule(w, (uint32_t)(first + i), &g->rules[i], time_ms, err))
            return false;
    return true;
}

/* A rule that fails is told; who cannot answer any rule ends the run. */
static void on_failed(void *arg, const struct rule *rule, const struct error *err)
{
    struct watch *w = arg;
    if (!rule_replay_is_failure_of_rule(err)) {
        w->fatal = *err;
        w->has_fatal = true;
        return;
    }
    for (size_t g = 0; g < w->group_count; g++) {
        if (rule < w->groups[g]->rules || rule >= w->groups[g]->rules + w->groups[g]->rule_count)
            continue;
        struct backtest_rule *r =
            &w->b->rules[w->first_rule[g] + (size_t)(rule - w->groups[g]->rules)];
        r->failures++;
        if (!r->first_failure)
            r->first_failure = mem_copy_string(MEM_RULES, view_from(err->message));
    }
}

static void on_progress(void *arg, uint64_t done, uint64_t total)
{
    struct watch *w = arg;
    if (w->options->progress)
        w->options->progress(w->options->progress_arg, done, total);
}

/* --- the report --- */

static void list_rules(struct watch *w)
{
    struct backtest *b = w->b;
    size_t count = 0;
    w->first_rule = arena_alloc_zero(&b->arena, w->group_count + 1, sizeof *w->first_rule);
    for (size_t g = 0; g < w->group_count; g++) {
        w->first_rule[g] = count;
        count += w->groups[g]->rule_count;
    }
    b->rules = ARENA_ARRAY(&b->arena, struct backtest_rule, count + 1);
    b->rule_count = w->rule_count = count;
    w->open = mem_alloc_zero(MEM_RULES, count + 1, sizeof *w->open);
    for (size_t g = 0; g < w->group_count; g++) {
        for (size_t i = 0; i < w->groups[g]->rule_count; i++) {
            const struct rule_definition *def = w->groups[g]->rules[i].def;
            b->rules[w->first_rule[g] + i] = (struct backtest_rule){
                .file = arena_copy(&b->arena, w->groups[g]->def->file),
                .group = arena_copy(&b->arena, w->groups[g]->def->name),
                .name = def->kind == RULE_ALERTING ? arena_copy(&b->arena, def->name) : VIEW(""),
                .for_ms = def->missing_for_ms ? def->missing_for_ms : def->for_ms,
                .keep_firing_for_ms = def->keep_firing_for_ms,
                .interval_ms = w->groups[g]->interval_ms};
        }
    }
}

struct series_order {
    struct backtest_series series;
    uint32_t before; /* its number until now */
};

static int series_compare(const void *x, const void *y)
{
    const struct series_order *a = x, *b = y;
    if (a->series.rule != b->series.rule)
        return a->series.rule < b->series.rule ? -1 : 1;
    return labels_compare(a->series.labels, b->series.labels);
}

static int episode_compare(const void *x, const void *y)
{
    const struct backtest_episode *a = x, *b = y;
    if (a->series != b->series)
        return a->series < b->series ? -1 : 1;
    return (a->active_ms > b->active_ms) - (a->active_ms < b->active_ms);
}

static void sort_series(struct backtest *b)
{
    struct series_order *order = mem_alloc(MEM_RULES, (b->series_count + 1) * sizeof *order);
    uint32_t *numbers = mem_alloc(MEM_RULES, (b->series_count + 1) * sizeof *numbers);
    for (size_t i = 0; i < b->series_count; i++)
        order[i] = (struct series_order){b->series[i], (uint32_t)i};
    if (b->series_count)
        qsort(order, b->series_count, sizeof *order, series_compare);
    for (size_t i = 0; i < b->series_count; i++) {
        b->series[i] = order[i].series;
        numbers[order[i].before] = (uint32_t)i;
    }
    for (size_t i = 0; i < b->episode_count; i++)
        b->episodes[i].series = numbers[b->episodes[i].series];
    mem_free(MEM_RULES, numbers);
    mem_free(MEM_RULES, order);
}

/* Leaves out what ended before the span, and recordings: they were only needed. Hands each its range of the next. */
static void arrange(struct backtest *b)
{
    size_t kept = 0;
    for (size_t i = 0; i < b->episode_count; i++) {
        const struct backtest_episode *e = &b->episodes[i];
        if (e->end_ms == RULE_NEVER || e->end_ms > b->from_ms)
            b->episodes[kept++] = *e;
    }
    b->episode_count = kept;
    sort_series(b);
    if (b->episode_count)
        qsort(b->episodes, b->episode_count, sizeof *b->episodes, episode_compare);
    for (size_t i = 0, e = 0; i < b->series_count; i++) {
        b->series[i].first = e;
        for (; e < b->episode_count && b->episodes[e].series == i; e++)
            b->series[i].count++;
    }
    for (size_t i = 0, s = 0; i < b->rule_count; i++) {
        b->rules[i].first = s;
        for (; s < b->series_count && b->series[s].rule == i; s++)
            b->rules[i].count++;
    }
    size_t alerting = 0;
    for (size_t i = 0; i < b->rule_count; i++) {
        if (b->rules[i].name.len == 0) {
            b->recording_failures += b->rules[i].failures;
            if (b->recording_failure)
                mem_free(MEM_RULES, b->rules[i].first_failure);
            else
                b->recording_failure = b->rules[i].first_failure;
            continue;
        }
        for (size_t s = 0; s < b->rules[i].count; s++)
            b->series[b->rules[i].first + s].rule = (uint32_t)alerting;
        b->rules[alerting++] = b->rules[i];
    }
    b->rule_count = alerting;
}

bool backtest_firing(const struct backtest *b, const struct backtest_episode *e, int64_t *from_ms,
                     int64_t *to_ms)
{
    if (e->fired_ms == RULE_NEVER || e->fired_ms > b->to_ms)
        return false;
    *from_ms = e->fired_ms > b->from_ms ? e->fired_ms : b->from_ms;
    *to_ms = e->end_ms != RULE_NEVER && e->end_ms < b->to_ms ? e->end_ms : b->to_ms;
    return true;
}

static bool run(struct watch *w, struct rule_replay *replay, int64_t from_ms, struct error *err)
{
    w->groups = rule_replay_groups(replay, &w->group_count);
    list_rules(w);
    rule_replay_set_start(replay, from_ms - rule_replay_warmup_ms(replay));
    bool ok = rule_replay_run(replay, err);
    if (ok && w->has_fatal) { /* at the very end */
        *err = w->fatal;
        ok = false;
    }
    w->b->evaluations = rule_replay_evaluations(replay);
    w->b->is_stepwise = rule_replay_is_stepwise(replay);
    if (ok) {
        arrange(w->b);
        backtest_count(w->b);
    }
    for (size_t i = 0; i < w->rule_count; i++)
        mem_free(MEM_RULES, w->open[i].series);
    return ok;
}

bool backtest_run(struct backtest **out, const struct backtest_options *opts, struct error *err)
{
    struct backtest *b = mem_alloc_zero(MEM_RULES, 1, sizeof *b);
    struct watch w = {.b = b, .options = opts};
    struct rule_replay *replay;
    struct rule_replay_options options = opts->replay;
    arena_init(&b->arena, MEM_RULES, 0);
    map_init(&w.index, MEM_RULES);
    b->from_ms = options.start_ms;
    b->to_ms = options.end_ms;
    options.what = REPLAY_ALERTS;
    options.evaluated = on_evaluated;
    options.failed = on_failed;
    options.progress = on_progress;
    options.arg = &w;
    bool ok = rule_replay_new(&replay, &options, err);
    if (ok)
        ok = run(&w, replay, b->from_ms, err);
    rule_replay_free(replay);
    map_deinit(&w.index);
    mem_free(MEM_RULES, w.watched);
    mem_free(MEM_RULES, w.open);
    if (!ok) {
        backtest_free(b);
        b = NULL;
    }
    *out = b;
    return ok;
}

void backtest_free(struct backtest *b)
{
    if (!b)
        return;
    for (size_t i = 0; i < b->rule_count; i++)
        mem_free(MEM_RULES, b->rules[i].first_failure);
    mem_free(MEM_RULES, b->recording_failure);
    mem_free(MEM_RULES, b->series);
    mem_free(MEM_RULES, b->episodes);
    arena_deinit(&b->arena);
    mem_free(MEM_RULES, b);
}
