/* SPDX-License-Identifier: Apache-2.0 */
/* backfill.c: a series store that sorts what it gets into blocks. Series are known over all chunks; what history has of
 * them is read at the begin of each chunk. */
#include "rules/backfill.h"

#include "base/assert.h"
#include "base/mem.h"
#include "model/label_store.h"
#include "model/sample.h"
#include "promql/selectors.h"
#include "storage/sample_sorter.h"

#define BLOCK_MS (INT64_C(24) * 3600 * 1000)

struct fill_series {
    struct hash128 hash;
    struct labels labels;
    const int64_t *there_ms; /* what history has, around this chunk; ascending */
    size_t there_count, at;  /* at: where the last look ended */
    int64_t looked_ms, written_ms;
    double written;
    uint32_t number; /* at the sorter */
    uint64_t chunk;  /* in which that is */
    bool is_counted;
};

struct fill {
    const struct backfill_options *options;
    struct backfill_result *out;
    struct rule_replay *replay;
    struct arena arena;       /* labels */
    struct arena chunk_arena; /* of a chunk: what history has */
    struct fill_series *series;
    size_t count, capacity;
    struct map index;
    struct sample_sorter *sorter;
    uint64_t chunk;      /* from 1 */
    int64_t interval_ms; /* the longest one */
    bool reads_memory;
    int64_t reach_ms;
    struct error error; /* of the store or of who answers: ends the run */
    bool failed;
};

struct fill_writer {
    struct series_writer writer; /* first: cast back */
    struct fill *fill;
    uint32_t *series; /* by slot */
    size_t count, capacity;
    int64_t time_ms; /* of the row that is open */
};

static void fail(struct fill *f, const struct error *err)
{
    if (!f->failed)
        f->error = *err;
    f->failed = true;
}

/* --- series --- */

static bool is_series(const void *context, uint32_t item, const void *key)
{
    const struct fill_series *s = &((const struct fill *)context)->series[item];
    const struct hash128 *hash = key;
    return s->hash.low == hash->low && s->hash.high == hash->high;
}

static uint32_t series_of(struct fill *f, struct labels ls)
{
    struct hash128 hash = rule_series_hash(ls);
    uint32_t found = map_find(&f->index, hash.low, is_series, f, &hash);
    if (found != MAP_NONE)
        return found;
    f->series = mem_grow(MEM_RULES, f->series, &f->capacity, f->count + 1, sizeof *f->series);
    found = (uint32_t)f->count++;
    f->series[found] = (struct fill_series){.hash = hash,
                                            .labels = labels_copy(&f->arena, ls),
                                            .looked_ms = RULE_NEVER,
                                            .written_ms = RULE_NEVER};
    map_add(&f->index, hash.low, found);
    return found;
}

/* Has history a sample of the series less than an interval from here? Times ascend but for another rule of the name. */
static bool is_there(struct fill_series *s, int64_t time_ms, int64_t interval_ms)
{
    if (time_ms < s->looked_ms)
        s->at = 0;
    s->looked_ms = time_ms;
    while (s->at < s->there_count && s->there_ms[s->at] <= time_ms - interval_ms)
        s->at++;
    return s->at < s->there_count && s->there_ms[s->at] < time_ms + interval_ms;
}

/* --- the store --- */

static bool fill_slot(struct series_writer *w, struct labels ls, uint32_t *slot, struct error *err)
{
    struct fill_writer *f = (struct fill_writer *)w;
    (void)err;
    f->series = mem_grow(MEM_RULES, f->series, &f->capacity, f->count + 1, sizeof *f->series);
    f->series[f->count] = series_of(f->fill, ls);
    *slot = (uint32_t)f->count++;
    return true;
}

static bool fill_begin(struct series_writer *w, int64_t time_ms, struct error *err)
{
    struct fill_writer *f = (struct fill_writer *)w;
    f->time_ms = time_ms;
    if (f->fill->failed)
        *err = f->fill->error;
    return !f->fill->failed;
}

static bool sort_in(struct fill *f, struct fill_series *s, int64_t time_ms, double value)
{
    struct error err = {0};
    bool ok = true;
    if (s->chunk != f->chunk) {
        ok = sample_sorter_series(f->sorter, s->labels, &s->number, &err);
        s->chunk = f->chunk;
    }
    if (!ok || !sample_sorter_add(f->sorter, s->number, time_ms, value, &err)) {
        fail(f, &err);
        return false;
    }
    f->out->series += !s->is_counted;
    s->is_counted = true;
    return true;
}

static enum series_write fill_sample(struct series_writer *w, uint32_t slot, double value)
{
    struct fill_writer *writer = (struct fill_writer *)w;
    struct fill *f = writer->fill;
    struct fill_series *s = &f->series[writer->series[slot]];
    int64_t time_ms = writer->time_ms;
    if (s->written_ms == time_ms)
        return memcmp(&s->written, &value, sizeof value) == 0 ? SERIES_SAME : SERIES_DIFFERENT;
    s->written_ms = time_ms;
    s->written = value;
    if (is_there(s, time_ms, rule_replay_interval_ms(f->replay))) {
        f->out->samples_present += !sample_is_stale(value);
        return SERIES_WRITTEN;
    }
    if (f->reads_memory)
        memory_source_add(rule_replay_memory(f->replay), s->labels, time_ms, value);
    if (!sample_is_stale(value) || f->options->write_ends)
        (void)sort_in(f, s, time_ms, value); /* the run ends at the next look */
    return SERIES_WRITTEN;
}

static bool fill_commit(struct series_writer *w, unsigned flags, struct error *err)
{
    (void)w;
    (void)flags;
    (void)err;
    return true;
}

static void fill_release(struct series_writer *w, uint32_t slot)
{
    (void)w;
    (void)slot; /* slots are not given again */
}

static void fill_free(struct series_writer *w)
{
    mem_free(MEM_RULES, ((struct fill_writer *)w)->series);
    mem_free(MEM_RULES, w);
}

static struct series_writer *fill_open(void *arg, struct view key, struct error *err)
{
    static const struct series_writer_ops OPS = {fill_slot,   fill_begin,   fill_sample,
                                                 fill_commit, fill_release, fill_free};
    (void)key;
    (void)err;
    struct fill_writer *w = mem_alloc_zero(MEM_RULES, 1, sizeof *w);
    w->writer = (struct series_writer){.ops = &OPS, .references = 1};
    w->fill = arg;
    return &w->writer;
}

/* --- what history has --- */

static void note_there(struct fill *f, struct labels ls, const struct samples *s)
{
    uint32_t number = series_of(f, ls);
    int64_t *times = arena_alloc(&f->chunk_arena, (s->count + 1) * sizeof *times);
    memcpy(times, s->times, s->count * sizeof *times);
    f->series[number].there_ms = times;
    f->series[number].there_count = s->count;
    for (size_t i = 0; i < s->count && f->reads_memory; i++)
        memory_source_add(rule_replay_memory(f->replay), f->series[number].labels, s->times[i],
                          s->values[i]);
}

static bool read_name(struct fill *f, struct storage_view *v, struct storage_reader *r,
                      struct view name, int64_t mint, int64_t maxt, struct error *err)
{
    struct matcher m;
    struct series_list list;
    struct arena arena;
    struct label_store *labels = label_store_new(MEM_RULES, 0);
    arena_init(&arena, MEM_RULES, 0);
    bool ok = matcher_init(&m, MATCH_EQUAL, VIEW(LABEL_NAME), name, err);
    if (ok) {
        const struct select what = {.matchers = &m, .matcher_count = 1, .mint = mint, .maxt = maxt};
        ok = view_select(v, &what, labels, &arena, &list, err);
        for (size_t i = 0; ok && i < list.count; i++) {
            struct samples samples;
            ok = reader_read(r, list.items[i].ref, mint, maxt, &samples, err);
            if (ok && samples.count)
                note_there(f, label_store_labels(labels, list.items[i].labels, &arena), &samples);
        }
        matcher_deinit(&m);
    }
    label_store_free(labels);
    arena_deinit(&arena);
    return ok;
}

/* Of every name that is recorded, once. */
static bool read_history(struct fill *f, int64_t from_ms, int64_t to_ms, struct error *err)
{
    size_t groups;
    struct rule_group *const *all = rule_replay_groups(f->replay, &groups);
    /* Before the first chunk: what rules will read of the time before it. */
    int64_t before_ms =
        f->chunk == 1 && f->reads_memory && f->reach_ms < PROMQL_REACH_MAX ? f->reach_ms : 0;
    int64_t mint = from_ms - f->interval_ms - before_ms, maxt = to_ms + f->interval_ms;
    struct storage_view *v = source_pin(f->options->replay.history, mint, maxt, err);
    struct storage_reader *r = v ? view_reader_new(v, NULL, err) : NULL;
    struct string_map *read = string_map_new(MEM_RULES);
    bool ok = r != NULL;
    for (size_t g = 0; g < groups; g++) {
        for (size_t i = 0; i < all[g]->rule_count && ok; i++) {
            uint64_t unused;
            struct view name = all[g]->rules[i].def->name;
            if (string_map_get(read, name, &unused))
                continue;
            string_map_set(read, name, 1);
            ok = read_name(f, v, r, name, mint, maxt, err);
        }
    }
    string_map_free(read);
    storage_reader_free(r);
    view_release(v);
    return ok;
}

/* --- the replay's calls --- */

static bool on_chunk(void *arg, int64_t from_ms, int64_t to_ms, struct error *err)
{
    struct fill *f = arg;
    const struct sample_sorter_options options = {
        .dir = f->options->dir, .memory_bytes = f->options->memory_bytes, .range_ms = BLOCK_MS};
    f->chunk++;
    f->sorter = sample_sorter_new(&options);
    arena_reset(&f->chunk_arena);
    for (size_t i = 0; i < f->count; i++) {
        f->series[i].there_count = f->series[i].at = 0;
        f->series[i].looked_ms = RULE_NEVER;
    }
    return !f->options->only_missing || read_history(f, from_ms, to_ms, err);
}

static bool on_chunk_end(void *arg, int64_t from_ms, int64_t to_ms, struct error *err)
{
    struct fill *f = arg;
    struct sample_sorter_result r;
    (void)from_ms;
    (void)to_ms;
    if (f->failed) {
        *err = f->error;
        return false;
    }
    bool ok = sample_sorter_write(f->sorter, &r, NULL, NULL, err);
    sample_sorter_free(f->sorter);
    f->sorter = NULL;
    if (!ok)
        return false;
    f->out->samples += r.samples;
    f->out->blocks += r.blocks;
    f->out->blocks_present += r.blocks_present;
    if (r.mint <= r.maxt) {
        f->out->mint = r.mint < f->out->mint ? r.mint : f->out->mint;
        f->out->maxt = r.maxt > f->out->maxt ? r.maxt : f->out->maxt;
    }
    return true;
}

static bool on_evaluated(void *arg, struct rule_group *g, const struct rule_stage *stage,
                         int64_t time_ms, struct error *err)
{
    struct fill *f = arg;
    (void)g;
    (void)stage;
    (void)time_ms;
    if (f->failed)
        *err = f->error;
    return !f->failed;
}

static void on_failed(void *arg, const struct rule *rule, const struct error *err)
{
    struct fill *f = arg;
    if (!rule_replay_is_failure_of_rule(err)) {
        fail(f, err);
        return;
    }
    if (f->out->failures++ > 0)
        return;
    f->out->first_failure = *err;
    (void)error_wrap(&f->out->first_failure, "rule \"%.*s\"",
                     VIEW_ARGS(view_slice(rule->def->name, 0, 200)));
}

static void on_progress(void *arg, uint64_t done, uint64_t total)
{
    struct fill *f = arg;
    if (f->options->progress)
        f->options->progress(f->options->progress_arg, done, total);
}

static bool run(struct fill *f, struct error *err)
{
    size_t groups;
    struct rule_group *const *all = rule_replay_groups(f->replay, &groups);
    f->reads_memory = rule_replay_reads_memory(f->replay, &f->reach_ms);
    for (size_t g = 0; g < groups; g++)
        if (all[g]->interval_ms > f->interval_ms)
            f->interval_ms = all[g]->interval_ms;
    f->out->is_stepwise = rule_replay_is_stepwise(f->replay);
    bool ok = rule_replay_run(f->replay, err);
    f->out->evaluations = rule_replay_evaluations(f->replay);
    return ok;
}

bool backfill_run(const struct backfill_options *opts, struct backfill_result *out,
                  struct error *err)
{
    struct fill f = {.options = opts, .out = out};
    struct rule_replay_options options = opts->replay;
    *out = (struct backfill_result){.mint = INT64_MAX, .maxt = INT64_MIN};
    arena_init(&f.arena, MEM_RULES, 0);
    arena_init(&f.chunk_arena, MEM_RULES, 0);
    map_init(&f.index, MEM_RULES);
    options.what = REPLAY_RECORDINGS;
    options.store = (struct series_store){fill_open, &f};
    options.chunk_begins = on_chunk;
    options.chunk_ends = on_chunk_end;
    options.evaluated = on_evaluated;
    options.failed = on_failed;
    options.progress = on_progress;
    options.arg = &f;
    bool ok = rule_replay_new(&f.replay, &options, err) && run(&f, err);
    rule_replay_free(f.replay);
    sample_sorter_free(f.sorter);
    map_deinit(&f.index);
    mem_free(MEM_RULES, f.series);
    arena_deinit(&f.chunk_arena);
    arena_deinit(&f.arena);
    return ok;
}
