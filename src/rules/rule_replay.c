/* SPDX-License-Identifier: Apache-2.0 */
/* rule_replay.c: which rules take part, in which order, and the clock. */
#include "rules/rule_replay.h"

#include "base/assert.h"
#include "base/map.h"
#include "base/mem.h"
#include "promql/selectors.h"
#include "rules/overlay_source.h"
#include "rules/rule_text.h"

#include <stdlib.h>

#define DAY_MS (INT64_C(24) * 3600 * 1000)
#define LOOKBACK_MS (INT64_C(5) * 60 * 1000)

/* So that what has fired for a while is not told as if it fired at the first moment. Chosen. */
#define WARMUP_MS_MIN (INT64_C(3600) * 1000)

/* Windows of what others answer: their text takes ten times as much while it is read. Chosen. */
#define FETCHED_BYTES_MAX ((size_t)16 << 20)

/* A rule of the files. */
struct part {
    const struct rule_definition *def;
    size_t group;
    size_t next;  /* writer of the same name + 1; 0 = none */
    bool is_kept; /* takes part */
};

struct edge {
    size_t from, to; /* groups: `to` reads what `from` writes */
};

struct rule_replay {
    struct rule_replay_options options;
    struct arena arena;
    struct part *parts;
    size_t part_count;
    const struct rule_group_definition **definitions; /* by number, as in the files */
    struct rule_file **owners;
    size_t *first_part; /* by group: its parts stand together */
    size_t definition_count;
    struct string_map *writers; /* name -> part + 1 */
    struct string_map *names;   /* what is in memory */
    struct edge *edges;
    size_t edge_count, edge_capacity;

    struct rule_group **groups;
    size_t group_count;
    struct memory_source *memory;
    struct overlay_source *overlay;
    struct rule_ranges *ranges;
    struct rule_answers answers;
    struct rule_env env;
    struct rule_run run;
    bool stepwise, reads_memory, wants_alerts;
    int64_t reach_ms, hold_ms;
    int64_t interval_ms; /* of the group that is evaluated */
    uint64_t evaluations;
};

/* --- what rules read --- */

struct reading {
    struct rule_replay *replay;
    void (*read)(struct rule_replay *r, size_t reader, size_t writer); /* of each kept writer */
    size_t reader;
    bool any; /* a selector names no metric */
};

static const struct view *alert_series(size_t *count)
{
    static const struct view NAMES[] = {{"ALERTS", 6}, {"ALERTS_FOR_STATE", 16}};
    *count = ARRAY_COUNT(NAMES);
    return NAMES;
}

static void each_writer(struct reading *r, struct view name)
{
    uint64_t first;
    if (!string_map_get(r->replay->writers, name, &first))
        return;
    for (size_t n = first; n; n = r->replay->parts[n - 1].next)
        r->read(r->replay, r->reader, n - 1);
}

static void on_selector(void *arg, const struct selector *s)
{
    struct reading *r = arg;
    for (uint32_t i = 0; i < s->matcher_count; i++) {
        if (s->matchers[i].type == MATCH_EQUAL && view_is(s->matchers[i].name, LABEL_NAME)) {
            each_writer(r, s->matchers[i].value);
            return;
        }
    }
    r->any = true;
}

/* Labels that ask for series may read anything; annotations do not count, they are read by people. */
static bool labels_ask(const struct rule_definition *def)
{
    for (uint32_t i = 0; i < def->labels.count && def->kind == RULE_ALERTING; i++)
        if (def->label_texts[i] && rule_text_queries(def->labels.items[i].value))
            return true;
    return false;
}

static void each_read(struct rule_replay *replay, size_t reader,
                      void (*read)(struct rule_replay *r, size_t reader, size_t writer))
{
    const struct rule_definition *def = replay->parts[reader].def;
    struct reading r = {.replay = replay, .read = read, .reader = reader, .any = labels_ask(def)};
    promql_each_selector(promql_root(def->expr), on_selector, &r);
    if (def->recover)
        promql_each_selector(promql_root(def->recover), on_selector, &r);
    for (size_t i = 0; i < replay->part_count && r.any; i++)
        if (replay->parts[i].def->kind == RULE_RECORDING)
            read(replay, reader, i);
}

/* --- which rules take part --- */

static void add_writer(struct rule_replay *r, struct view name, size_t part)
{
    uint64_t first = 0;
    (void)string_map_get(r->writers, name, &first);
    r->parts[part].next = first;
    string_map_set(r->writers, name, part + 1);
}

static void collect(struct rule_replay *r)
{
    const struct rule_replay_options *o = &r->options;
    size_t groups = 0, rules = 0;
    for (size_t f = 0; f < o->file_count; f++) {
        groups += o->files[f]->group_count;
        rules += o->files[f]->rule_count;
    }
    r->definitions = arena_alloc_zero(&r->arena, groups + 1, sizeof *r->definitions);
    r->owners = arena_alloc_zero(&r->arena, groups + 1, sizeof *r->owners);
    r->first_part = arena_alloc_zero(&r->arena, groups + 1, sizeof *r->first_part);
    r->parts = ARENA_ARRAY(&r->arena, struct part, rules + 1);
    for (size_t f = 0; f < o->file_count; f++) {
        for (size_t g = 0; g < o->files[f]->group_count; g++) {
            const struct rule_group_definition *def = &o->files[f]->groups[g];
            r->owners[r->definition_count] = o->files[f];
            r->first_part[r->definition_count] = r->part_count;
            for (size_t i = 0; i < def->rule_count; i++)
                r->parts[r->part_count++] =
                    (struct part){.def = &def->rules[i], .group = r->definition_count};
            r->definitions[r->definition_count++] = def;
        }
    }
    for (size_t i = 0; i < r->part_count; i++)
        if (r->parts[i].def->kind == RULE_RECORDING)
            add_writer(r, r->parts[i].def->name, i);
}

/* ALERTS comes from all alerting rules: found by the one list that begins with the last of them. */
static void add_alert_writers(struct rule_replay *r)
{
    size_t count, last = 0;
    const struct view *names = alert_series(&count);
    for (size_t i = 0; i < r->part_count; i++) {
        if (r->parts[i].def->kind != RULE_ALERTING)
            continue;
        r->parts[i].next = last;
        last = i + 1;
    }
    for (size_t i = 0; i < count && last; i++)
        string_map_set(r->writers, names[i], last);
}

static void keep(struct rule_replay *r, size_t reader, size_t writer)
{
    (void)reader;
    r->parts[writer].is_kept = true;
}

/* Until nothing is added: chains of recordings are short. */
static void choose(struct rule_replay *r)
{
    enum rule_kind kind = r->options.what == REPLAY_ALERTS ? RULE_ALERTING : RULE_RECORDING;
    for (size_t i = 0; i < r->part_count; i++)
        r->parts[i].is_kept = r->parts[i].def->kind == kind;
    size_t before, now = 0;
    do {
        before = now;
        now = 0;
        for (size_t i = 0; i < r->part_count && r->options.what == REPLAY_ALERTS; i++)
            if (r->parts[i].is_kept)
                each_read(r, i, keep);
        for (size_t i = 0; i < r->part_count; i++)
            now += r->parts[i].is_kept;
    } while (now != before && r->options.what == REPLAY_ALERTS);
}

/* --- order --- */

static void note_read(struct rule_replay *r, size_t reader, size_t writer)
{
    const struct part *from = &r->parts[writer], *to = &r->parts[reader];
    if (!from->is_kept || !to->is_kept || r->options.ask_all)
        return;
    int64_t reach = promql_reach_ms(promql_root(to->def->expr), LOOKBACK_MS);
    r->reads_memory = true;
    r->reach_ms = reach > r->reach_ms ? reach : r->reach_ms;
    r->wants_alerts |= from->def->kind == RULE_ALERTING;
    if (from->group == to->group) {
        r->stepwise |= writer >= reader;
        return;
    }
    if (r->edge_count && r->edges[r->edge_count - 1].from == from->group &&
        r->edges[r->edge_count - 1].to == to->group)
        return;
    r->edges =
        mem_grow(MEM_RULES, r->edges, &r->edge_capacity, r->edge_count + 1, sizeof *r->edges);
    r->edges[r->edge_count++] = (struct edge){from->group, to->group};
}

static int edge_compare(const void *a, const void *b)
{
    const struct edge *x = a, *y = b;
    return x->from != y->from ? (x->from < y->from ? -1 : 1) : (x->to > y->to) - (x->to < y->to);
}

/* Kahn's algorithm: groups whose writers are all placed, in the order of the files. What is left reads in a circle and
 * keeps that order. */
static size_t *order_groups(struct rule_replay *r)
{
    size_t n = r->definition_count, placed = 0;
    size_t *order = ARENA_ARRAY(&r->arena, size_t, n + 1),
           *waits = ARENA_ARRAY(&r->arena, size_t, n + 1),
           *first = ARENA_ARRAY(&r->arena, size_t, n + 1);
    if (r->edge_count)
        qsort(r->edges, r->edge_count, sizeof *r->edges, edge_compare);
    for (size_t i = 0; i < r->edge_count; i++) {
        waits[r->edges[i].to]++;
        first[r->edges[i].from + 1]++;
    }
    for (size_t i = 0; i < n; i++)
        first[i + 1] += first[i];
    for (size_t i = 0; i < n; i++)
        if (waits[i] == 0)
            order[placed++] = i;
    for (size_t i = 0; i < placed; i++) {
        for (size_t e = first[order[i]]; e < first[order[i] + 1]; e++)
            if (--waits[r->edges[e].to] == 0)
                order[placed++] = r->edges[e].to;
    }
    r->stepwise |= placed < n;
    for (size_t i = 0; i < n && placed < n; i++)
        if (waits[i])
            order[placed++] = i;
    return order;
}

/* --- groups --- */

static const struct rule_group_definition *reduced(struct rule_replay *r, size_t number)
{
    const struct rule_group_definition *whole = r->definitions[number];
    struct rule_group_definition *def = ARENA_NEW(&r->arena, struct rule_group_definition);
    *def = *whole;
    def->rules = ARENA_ARRAY(&r->arena, struct rule_definition, whole->rule_count + 1);
    def->rule_count = 0;
    if (r->options.interval_ms)
        def->interval_ms = r->options.interval_ms;
    for (size_t at = r->first_part[number]; at < r->part_count && r->parts[at].group == number;
         at++)
        if (r->parts[at].is_kept)
            def->rules[def->rule_count++] = *r->parts[at].def;
    return def;
}

static void note_names(struct rule_replay *r, const struct rule_group *g)
{
    size_t count;
    const struct view *names = alert_series(&count);
    for (size_t i = 0; i < g->rule_count; i++) {
        const struct rule_definition *def = g->rules[i].def;
        int64_t hold = def->for_ms > def->missing_for_ms ? def->for_ms : def->missing_for_ms;
        hold = hold > def->keep_firing_for_ms ? hold : def->keep_firing_for_ms;
        r->hold_ms = hold > r->hold_ms ? hold : r->hold_ms;
        if (def->kind == RULE_RECORDING)
            string_map_set(r->names, def->name, 1);
        for (size_t k = 0; k < count && def->kind == RULE_ALERTING && r->wants_alerts; k++)
            string_map_set(r->names, names[k], 1);
        g->rules[i].restored = r->wants_alerts; /* else ALERTS is not written: nobody reads it */
    }
}

static void make_groups(struct rule_replay *r, const size_t *order)
{
    const struct rule_group_options options = {.default_interval_ms =
                                                   r->options.default_interval_ms};
    r->groups = arena_alloc_zero(&r->arena, r->definition_count + 1, sizeof *r->groups);
    for (size_t i = 0; i < r->definition_count; i++) {
        const struct rule_group_definition *def = reduced(r, order[i]);
        if (def->rule_count == 0)
            continue;
        struct rule_group *g = rule_group_new(r->owners[order[i]], def, &options);
        note_names(r, g);
        r->groups[r->group_count++] = g;
    }
}

static bool reads_names(struct rule_replay *r, const struct promql *expr);

/* Answers from elsewhere where that is possible, else by the own engine over history and memory. */
static bool fetch(void *arg, const struct promql *expr, const struct query_params *params,
                  struct rule_matrix *out, struct error *err)
{
    struct rule_replay *r = arg;
    if (r->options.fetch && (r->options.ask_all || !reads_names(r, expr)))
        return r->options.fetch(r->options.fetch_arg, expr, params, out, err);
    return rule_ranges_query(&r->env, expr, params, out, err);
}

struct name_reading {
    const struct string_map *names;
    bool reads;
};

static void look_for_name(void *arg, const struct selector *s)
{
    struct name_reading *r = arg;
    uint64_t unused;
    for (uint32_t i = 0; i < s->matcher_count; i++) {
        if (s->matchers[i].type == MATCH_EQUAL && view_is(s->matchers[i].name, LABEL_NAME)) {
            r->reads |= string_map_get(r->names, s->matchers[i].value, &unused);
            return;
        }
    }
    r->reads |= string_map_count(r->names) > 0;
}

static bool reads_names(struct rule_replay *r, const struct promql *expr)
{
    struct name_reading reading = {.names = r->names};
    promql_each_selector(promql_root(expr), look_for_name, &reading);
    return reading.reads;
}

static void on_failed(void *arg, const struct rule *rule, const struct error *err)
{
    struct rule_replay *r = arg;
    if (r->options.failed)
        r->options.failed(r->options.arg, rule, err);
}

bool rule_replay_new(struct rule_replay **out, const struct rule_replay_options *opts,
                     struct error *err)
{
    struct rule_replay *r = mem_alloc_zero(MEM_RULES, 1, sizeof *r);
    *out = NULL;
    r->options = *opts;
    if (r->options.chunk_ms == 0)
        r->options.chunk_ms = DAY_MS;
    arena_init(&r->arena, MEM_RULES, 0);
    r->writers = string_map_new(MEM_RULES);
    r->names = string_map_new(MEM_RULES);
    collect(r);
    if (opts->what == REPLAY_ALERTS)
        add_alert_writers(r);
    choose(r);
    for (size_t i = 0; i < r->part_count; i++)
        if (r->parts[i].is_kept)
            each_read(r, i, note_read);
    make_groups(r, order_groups(r));
    r->memory = memory_source_new();
    r->overlay = overlay_source_new(opts->history, memory_source_as_source(r->memory), r->names);
    const struct rule_ranges_options ranges = {.fetch = fetch,
                                               .arg = r,
                                               .bytes_max = opts->fetch ? FETCHED_BYTES_MAX : 0,
                                               .steps_max = opts->fetch_steps_max};
    r->ranges = rule_ranges_new(&ranges);
    r->answers = rule_ranges_answers(r->ranges);
    r->env = (struct rule_env){.source = overlay_source_as_source(r->overlay),
                               .store = opts->store.open ? opts->store
                                                         : series_store_of_memory(r->memory),
                               .engine = opts->engine,
                               .external_labels = opts->external_labels,
                               .external_url = VIEW(""),
                               .answers = &r->answers,
                               .without_annotations = true};
    r->run = (struct rule_run){.env = &r->env, .failed = on_failed, .failed_arg = r};
    if (r->group_count == 0) {
        rule_replay_free(r);
        return error_set(err, ERROR_INPUT, "the files have no %s rules",
                         opts->what == REPLAY_ALERTS ? "alerting" : "recording");
    }
    *out = r;
    return true;
}

void rule_replay_free(struct rule_replay *r)
{
    if (!r)
        return;
    for (size_t i = 0; i < r->group_count; i++) {
        rule_group_close(r->groups[i]);
        rule_group_unref(r->groups[i]);
    }
    rule_ranges_free(r->ranges);
    overlay_source_free(r->overlay);
    memory_source_free(r->memory);
    string_map_free(r->names);
    string_map_free(r->writers);
    mem_free(MEM_RULES, r->edges);
    arena_deinit(&r->arena);
    mem_free(MEM_RULES, r);
}

/* --- the clock --- */

static int64_t floor_to(int64_t ms, int64_t unit)
{
    int64_t rest = ms % unit;
    return ms - (rest < 0 ? rest + unit : rest);
}

static int64_t first_time(const struct rule_replay *r, const struct rule_group *g, int64_t from_ms)
{
    int64_t time =
        r->options.at_multiples ? floor_to(from_ms, g->interval_ms) : rule_group_time(g, from_ms);
    return time < from_ms ? time + g->interval_ms : time;
}

static bool run_stage(struct rule_replay *r, struct rule_group *g, size_t stage, int64_t from_ms,
                      int64_t to_ms, struct error *err)
{
    const struct rule_replay_options *o = &r->options;
    r->interval_ms = g->interval_ms;
    rule_ranges_begin(r->ranges, to_ms - g->query_offset_ms, g->interval_ms,
                      g->stages[stage].count);
    for (int64_t t = first_time(r, g, from_ms); t <= to_ms; t += g->interval_ms) {
        rule_group_evaluate_stage(g, &r->run, stage, t);
        r->evaluations += g->stages[stage].count;
        if (o->evaluated && !o->evaluated(o->arg, g, &g->stages[stage], t, err))
            return false;
    }
    return true;
}

static void tell_progress(struct rule_replay *r, int64_t from_ms, int64_t to_ms, size_t group)
{
    const struct rule_replay_options *o = &r->options;
    double done = (double)(from_ms - o->start_ms) +
                  (double)(to_ms - from_ms) * (double)group / (double)r->group_count;
    if (o->progress)
        o->progress(o->arg, (uint64_t)done, (uint64_t)(o->end_ms - o->start_ms));
}

static bool run_chunk(struct rule_replay *r, int64_t from_ms, int64_t to_ms, struct error *err)
{
    const struct rule_replay_options *o = &r->options;
    if (o->chunk_begins && !o->chunk_begins(o->arg, from_ms, to_ms, err))
        return false;
    for (size_t i = 0; i < r->group_count; i++) {
        for (size_t s = 0; s < r->groups[i]->stage_count; s++)
            if (!run_stage(r, r->groups[i], s, from_ms, to_ms, err))
                return false;
        tell_progress(r, from_ms, to_ms, i + 1);
    }
    return !o->chunk_ends || o->chunk_ends(o->arg, from_ms, to_ms, err);
}

/* Where all that is read of memory within a chunk is written before, a chunk is long; else it is as long as the shortest
 * interval, and its evaluations see each other's as in a server. */
static bool run_steps(struct rule_replay *r, int64_t from_ms, int64_t to_ms, struct error *err)
{
    int64_t step_ms = INT64_MAX;
    for (size_t i = 0; i < r->group_count; i++)
        if (r->groups[i]->interval_ms < step_ms)
            step_ms = r->groups[i]->interval_ms;
    for (int64_t at = from_ms; at <= to_ms; at += step_ms) {
        int64_t last = at + step_ms - 1 < to_ms ? at + step_ms - 1 : to_ms;
        for (size_t i = 0; i < r->group_count; i++)
            for (size_t s = 0; s < r->groups[i]->stage_count; s++)
                if (!run_stage(r, r->groups[i], s, at, last, err))
                    return false;
        tell_progress(r, at, last, r->group_count);
    }
    return true;
}

static bool run_chunk_stepwise(struct rule_replay *r, int64_t from_ms, int64_t to_ms,
                               struct error *err)
{
    const struct rule_replay_options *o = &r->options;
    return (!o->chunk_begins || o->chunk_begins(o->arg, from_ms, to_ms, err)) &&
           run_steps(r, from_ms, to_ms, err) &&
           (!o->chunk_ends || o->chunk_ends(o->arg, from_ms, to_ms, err));
}

bool rule_replay_run(struct rule_replay *r, struct error *err)
{
    const struct rule_replay_options *o = &r->options;
    for (int64_t from = o->start_ms; from <= o->end_ms;) {
        int64_t next = floor_to(from, o->chunk_ms) + o->chunk_ms;
        int64_t to = next - 1 < o->end_ms ? next - 1 : o->end_ms;
        if (r->stepwise ? !run_chunk_stepwise(r, from, to, err) : !run_chunk(r, from, to, err))
            return false;
        if (r->reach_ms < PROMQL_REACH_MAX)
            memory_source_trim(r->memory, r->reads_memory ? to - r->reach_ms : to);
        from = next;
    }
    return true;
}

/* --- questions --- */

struct rule_group *const *rule_replay_groups(const struct rule_replay *r, size_t *count)
{
    *count = r->group_count;
    return r->groups;
}

int64_t rule_replay_warmup_ms(const struct rule_replay *r)
{
    /* What reaches back without end needs what it can get, and that is not all of history. */
    int64_t reach = r->reads_memory && r->reach_ms < PROMQL_REACH_MAX ? r->reach_ms : 0;
    int64_t warmup = r->hold_ms + reach;
    return warmup > WARMUP_MS_MIN ? warmup : WARMUP_MS_MIN;
}

void rule_replay_set_start(struct rule_replay *r, int64_t start_ms)
{
    r->options.start_ms = start_ms;
}

struct memory_source *rule_replay_memory(struct rule_replay *r)
{
    return r->memory;
}

bool rule_replay_reads_memory(const struct rule_replay *r, int64_t *reach_ms)
{
    *reach_ms = r->reach_ms;
    return r->reads_memory;
}

int64_t rule_replay_interval_ms(const struct rule_replay *r)
{
    return r->interval_ms;
}

bool rule_replay_is_failure_of_rule(const struct error *err)
{
    return err->kind == ERROR_EXECUTION || err->kind == ERROR_LIMIT || err->kind == ERROR_TIMEOUT;
}

bool rule_replay_is_stepwise(const struct rule_replay *r)
{
    return r->stepwise;
}

uint64_t rule_replay_evaluations(const struct rule_replay *r)
{
    return r->evaluations;
}
