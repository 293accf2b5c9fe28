/* SPDX-License-Identifier: Apache-2.0 */
/* rule_write.c: see rule_write.h. Values first, of all rules, then stale markers: a series that went from one rule to
 * another does not end. */
#include "rules/rule_write.h"

#include "base/mem.h"
#include "model/sample.h"

#include <inttypes.h>
#include <stdio.h>

/* What came of the cells of one rule. */
struct written {
    uint64_t different; /* another rule wrote another value of the series at this time */
    uint64_t refused;   /* no new series are taken */
    struct error first; /* why */
};

static struct series_writer *stage_writer(struct rule_group *g, const struct rule_run *run,
                                          struct rule_stage *stage, struct error *err)
{
    if (!stage->writer) {
        struct arena arena;
        arena_init(&arena, MEM_RULES, 0);
        struct view key = arena_printf(&arena, "rules\n%.*s\n%.*s\n%zu", VIEW_ARGS(g->def->file),
                                       VIEW_ARGS(g->def->name), (size_t)(stage - g->stages));
        stage->writer = run->env->store.open(run->env->store.arg, key, err);
        arena_deinit(&arena);
    }
    return stage->writer;
}

static bool is_given(const struct rule *r, const struct rule_series *s)
{
    return r->evaluated && s->mark == r->round;
}

/* Is there anything to say? */
static bool has_cells(const struct rule_group *g, const struct rule_stage *stage)
{
    for (size_t i = stage->first; i < stage->first + stage->count; i++) {
        const struct rule *r = &g->rules[i];
        if (r->evaluated && (r->cell_count || r->series.count))
            return true;
    }
    return false;
}

static void write_values(struct rule *r, struct series_writer *w, struct written *out)
{
    for (size_t i = 0; i < r->cell_count; i++) {
        const struct rule_cell *c = &r->cells[i];
        struct rule_series *s = &r->series.items[c->series];
        struct error err = {0};
        if (s->slot == RULE_SLOT_NONE && !series_writer_slot(w, c->labels, &s->slot, &err)) {
            s->slot = RULE_SLOT_NONE;
            if (out->refused++ == 0)
                out->first = err;
            continue;
        }
        out->different += series_writer_sample(w, s->slot, c->value) == SERIES_DIFFERENT;
    }
}

static void mark_ended(struct rule *r, struct series_writer *w)
{
    if (r->series.count == r->cell_count)
        return; /* all there are were given */
    for (size_t i = 0; i < r->series.count; i++) {
        const struct rule_series *s = &r->series.items[i];
        if (s->slot != RULE_SLOT_NONE && !is_given(r, s))
            (void)series_writer_sample(w, s->slot,
                                       sample_stale()); /* what is written there stays */
    }
}

/* After the row: what ended is forgotten. */
static void forget_ended(struct rule *r, struct series_writer *w)
{
    if (r->series.count == r->cell_count)
        return;
    for (size_t i = r->series.count; i-- > 0;) {
        struct rule_series *s = &r->series.items[i];
        if (is_given(r, s))
            continue;
        if (s->slot != RULE_SLOT_NONE)
            series_writer_release(w, s->slot);
        rule_series_remove(&r->series, (uint32_t)i);
    }
}

/* Ends series of a table by a row of their own; those that `kept` knows are another's now. */
static void write_ends(const struct rule_series_table *t, struct series_writer *w, int64_t time_ms,
                       const struct rule_series_table *kept, unsigned flags)
{
    struct error ignored = {0};
    bool begun = false;
    for (size_t i = 0; i < t->count; i++) {
        const struct rule_series *s = &t->items[i];
        if (s->slot == RULE_SLOT_NONE || rule_series_find(kept, s->hash) != MAP_NONE)
            continue;
        if (!begun && !series_writer_begin(w, time_ms, &ignored))
            return; /* then they end as series do that nobody writes, by the lookback */
        begun = true;
        (void)series_writer_sample(w, s->slot, sample_stale());
    }
    if (begun && !series_writer_commit(w, flags, &ignored))
        return; /* likewise */
}

/* What was written by whoever is gone: it ends where nobody else writes it, and its slots are free. */
static void end_table(struct rule_series_table *t, struct series_writer *w, int64_t time_ms,
                      const struct rule_series_table *kept, unsigned flags)
{
    write_ends(t, w, time_ms, kept, flags);
    for (size_t i = 0; i < t->count; i++)
        if (t->items[i].slot != RULE_SLOT_NONE)
            series_writer_release(w, t->items[i].slot);
    rule_series_deinit(t);
    rule_series_init(t);
}

/* Made once in an evaluation, when it is asked for; rule_write_stage() keeps it true. */
static const struct rule_series_table *all_written(struct rule_group *g)
{
    if (!g->written) {
        g->written = mem_alloc(MEM_RULES, sizeof *g->written);
        rule_series_init(g->written);
        rule_group_add_written(g, g->written);
    }
    return g->written;
}

static void end_former(struct rule_group *g, struct rule *r, int64_t time_ms, unsigned flags)
{
    if (!r->former_writer || !r->evaluated)
        return;
    end_table(&r->former, r->former_writer, time_ms, all_written(g), flags);
    series_writer_unref(r->former_writer);
    r->former_writer = NULL;
}

static void log_rule(const struct rule_group *g, const struct rule_run *run, const struct rule *r,
                     const char *text)
{
    struct buffer out;
    if (!run->log)
        return;
    buffer_init(&out, MEM_RULES, 16 * 1024);
    buffer_printf(&out, "%.*s: group \"%.*s\", rule \"%.*s\": %s", VIEW_ARGS(g->def->file),
                  VIEW_ARGS(view_slice(g->def->name, 0, 200)),
                  VIEW_ARGS(view_slice(r->def->name, 0, 200)), text);
    buffer_append_byte(&out, '\0');
    if (!out.failed)
        run->log(run->log_arg, true, "rule_samples", out.ptr);
    buffer_deinit(&out);
}

/* It was evaluated, but what it gave was not written. */
static void rule_fails(struct rule_group *g, const struct rule_run *run, struct rule *r,
                       const struct error *err)
{
    rule_set_health(r, err);
    atomic_fetch_add_explicit(&g->failures, 1, memory_order_relaxed);
    log_rule(g, run, r, err->message);
}

static void tell_written(struct rule_group *g, const struct rule_run *run, struct rule *r,
                         const struct written *w)
{
    if (w->different) {
        char text[200];
        snprintf(text, sizeof text,
                 "%" PRIu64 " samples were not taken: their series have another value at this time",
                 w->different);
        log_rule(g, run, r, text);
    }
    if (w->refused) {
        struct error err = w->first;
        (void)error_wrap(&err, "%" PRIu64 " samples were not taken", w->refused);
        rule_fails(g, run, r, &err);
    }
}

static void fail_stage(struct rule_group *g, const struct rule_run *run,
                       const struct rule_stage *stage, struct error *err)
{
    (void)error_wrap(err, "could not write samples");
    for (size_t i = stage->first; i < stage->first + stage->count; i++) {
        if (g->rules[i].evaluated)
            rule_fails(g, run, &g->rules[i], err);
    }
}

/* The first row of a process ends what the last one of the process before had, if it is sure that it is gone. */
static bool may_end_missing(const struct rule_group *g, const struct rule_stage *stage)
{
    for (size_t i = stage->first; i < stage->first + stage->count; i++)
        if (!g->rules[i].evaluated || !g->rules[i].restored)
            return false;
    return !stage->has_row;
}

static void write_row(struct rule_group *g, const struct rule_run *run, struct rule_stage *stage,
                      int64_t time_ms, bool wait)
{
    struct error err = {0};
    struct series_writer *w = stage_writer(g, run, stage, &err);
    if (!w || !series_writer_begin(w, time_ms, &err)) {
        fail_stage(g, run, stage, &err);
        return;
    }
    size_t end = stage->first + stage->count;
    for (size_t i = stage->first; i < end; i++) {
        struct written written = {0};
        if (g->rules[i].evaluated)
            write_values(&g->rules[i], w, &written);
        tell_written(g, run, &g->rules[i], &written);
    }
    for (size_t i = stage->first; i < end; i++)
        if (g->rules[i].evaluated)
            mark_ended(&g->rules[i], w);
    unsigned flags =
        (wait ? SERIES_WRITER_WAIT : 0) | (may_end_missing(g, stage) ? SERIES_WRITER_FIRST : 0);
    if (!series_writer_commit(w, flags, &err)) {
        fail_stage(g, run, stage, &err);
        return;
    }
    stage->has_row = true;
    for (size_t i = stage->first; i < end; i++)
        if (g->rules[i].evaluated)
            forget_ended(&g->rules[i], w);
}

void rule_write_stage(struct rule_group *g, const struct rule_run *run, struct rule_stage *stage,
                      int64_t time_ms, bool wait)
{
    if (has_cells(g, stage))
        write_row(g, run, stage, time_ms, wait);
    for (size_t i = stage->first; i < stage->first + stage->count && g->written; i++)
        rule_add_written(&g->rules[i], g->written);
    for (size_t i = stage->first; i < stage->first + stage->count; i++)
        end_former(g, &g->rules[i], time_ms, wait ? SERIES_WRITER_WAIT : 0);
}

static void end_orphans(struct rule_group *g, int64_t time_ms, const struct rule_series_table *kept,
                        unsigned flags)
{
    for (size_t i = 0; i < g->orphan_count; i++) {
        end_table(&g->orphans[i].series, g->orphans[i].writer, time_ms, kept, flags);
        series_writer_unref(g->orphans[i].writer);
    }
    g->orphan_count = 0;
}

void rule_write_orphans(struct rule_group *g, int64_t time_ms, bool wait)
{
    if (g->orphan_count)
        end_orphans(g, time_ms, all_written(g), wait ? SERIES_WRITER_WAIT : 0);
    if (g->written)
        rule_series_deinit(g->written);
    mem_free(MEM_RULES, g->written);
    g->written = NULL;
}

void rule_group_end_series(struct rule_group *g, int64_t time_ms, bool all,
                           const struct rule_series_table *kept)
{
    end_orphans(g, time_ms, kept, 0);
    for (size_t s = 0; s < g->stage_count && all; s++)
        for (size_t i = 0; i < g->stages[s].count && g->stages[s].writer; i++)
            end_table(&g->rules[g->stages[s].first + i].series, g->stages[s].writer, time_ms, kept,
                      0);
    for (size_t i = 0; i < g->rule_count && all; i++)
        if (g->rules[i].former_writer)
            end_table(&g->rules[i].former, g->rules[i].former_writer, time_ms, kept, 0);
}
