/* SPDX-License-Identifier: Apache-2.0 */
/* operator_info.c: info(): series get the labels of the info series (target_info unless asked otherwise) that have the
 * same instance and job at that step.
 *
 * Series of one instance and job are a group. For each group the steps are cut into runs within which the info series to
 * take (the newest sample of each metric name) stay the same; a base series then has one label set per run, and rows
 * with equal label sets become one. Cost: steps x info series, and base series x runs; runs are few, for info series
 * change when something is restarted. */
#include "promql/operator_function.h"

#include "base/assert.h"
#include "promql/label_ops.h"
#include "promql/operator_scan.h"
#include "promql/plan.h"

#include <stdlib.h>

struct member {
    uint32_t group, name, series; /* name: symbol of the metric's name */
};
/* Steps [the run's before, end) of one group take picks[first .. first + count). */
struct run {
    uint32_t end, first, count;
};

struct info {
    struct eval *eval;
    const struct selector *selector; /* of the info series */
    struct matcher *own;             /* the one in it that is not the tree's; NULL = none */
    struct matrix *base, *times;     /* times: of the info samples, in seconds */
    const struct operation *base_op, *info_op;
    struct span where;

    symbol_id *data_names; /* only these labels; count 0 = all */
    uint32_t data_count;
    bool must_match; /* some matcher refuses a series without its label */

    struct label_filter identity;
    struct label_index groups; /* by identity */
    uint32_t *group_of;        /* per base series; MAP_NONE: nothing is added */
    bool *is_info;             /* per base series: one of the info series itself */

    struct member *members; /* by group, name, series */
    uint32_t *first;        /* per group, +1: its members */
    struct run *runs;
    size_t run_count, run_capacity;
    uint32_t *first_run; /* per group, +1 */
    uint32_t *picks;     /* series of info_op */
    size_t pick_count, pick_capacity;

    struct label_index rows;
    bool *drop_name; /* per row; NULL when the child has none */
    size_t drop_capacity;
};

/* --- what is asked --- */

/* Adds a matcher of names: = NAME, or =~ PATTERN. */
static bool name_matcher_add(struct info *f, struct selector *s, enum matcher_type type,
                             struct view text, struct error *err)
{
    f->own = &s->matchers[s->matcher_count];
    if (!matcher_init(f->own, type, VIEW(LABEL_NAME), text, err)) {
        f->own = NULL;
        return false;
    }
    s->matcher_count++;
    return true;
}

/* The selector of the info series: target_info when no matcher names a metric, *_info when matchers only say which are
 * not meant. */
static bool selector_make(struct info *f, const struct expr *call, struct error *err)
{
    struct eval *e = f->eval;
    static const struct selector NOTHING = {0};
    const struct selector *asked =
        call->u.call.arg_count > 1 ? &expr_unwrap(call->u.call.args[1])->u.selector : &NOTHING;
    struct selector *s = ARENA_NEW(e->arena, struct selector);
    bool named = false, excluded = false;
    s->matchers = ARENA_ARRAY(e->arena, struct matcher, (size_t)asked->matcher_count + 1);
    f->data_names = ARENA_ARRAY(e->arena, symbol_id, (size_t)asked->matcher_count + 1);
    f->selector = s;
    for (uint32_t i = 0; i < asked->matcher_count; i++) {
        const struct matcher *m = &asked->matchers[i];
        s->matchers[s->matcher_count++] = *m; /* its regex stays the tree's */
        if (view_is(m->name, LABEL_NAME)) {
            bool positive = m->type == MATCH_EQUAL || m->type == MATCH_REGEX;
            named |= positive;
            excluded |= !positive;
            continue;
        }
        f->data_names[f->data_count++] = label_store_add_symbol(e->labels, m->name);
        f->must_match |= !matcher_matches_empty(m);
    }
    if (named)
        return true;
    return excluded ? name_matcher_add(f, s, MATCH_REGEX, VIEW(".+_info"), err)
                    : name_matcher_add(f, s, MATCH_EQUAL, VIEW("target_info"), err);
}

/* Is it one of the info series that the call means? Such series among its own input stay as they are. */
static bool name_matches(const struct info *f, labels_id id)
{
    const struct eval *e = f->eval;
    struct view name = label_store_text(e->labels, label_store_get(e->labels, id, e->name_symbol));
    for (uint32_t i = 0; i < f->selector->matcher_count; i++) {
        const struct matcher *m = &f->selector->matchers[i];
        if (view_is(m->name, LABEL_NAME) && !matcher_matches(m, name))
            return false;
    }
    return true;
}

static void groups_find(struct info *f)
{
    struct eval *e = f->eval;
    const struct view identity_names[] = {VIEW("instance"), VIEW("job")};
    uint32_t count = f->base_op->series_count;
    label_filter_init(&f->identity, e, identity_names, ARRAY_COUNT(identity_names), true, false);
    f->group_of = ARENA_ARRAY(e->arena, uint32_t, (size_t)count + 1);
    f->is_info = ARENA_ARRAY(e->arena, bool, (size_t)count + 1);
    for (uint32_t i = 0; i < count; i++) {
        labels_id identity = label_filter_apply(&f->identity, f->base_op->labels[i]);
        f->is_info[i] = name_matches(f, f->base_op->labels[i]);
        f->group_of[i] = MAP_NONE;
        if (identity.n != 0 && !f->is_info[i])
            f->group_of[i] = label_index_add(&f->groups, identity);
    }
}

/* --- info series --- */

static bool info_is_wanted(void *arg, labels_id id)
{
    struct info *f = arg;
    return label_index_find(&f->groups, label_filter_apply(&f->identity, id)) != MAP_NONE;
}

static int member_compare(const void *a, const void *b)
{
    const struct member *x = a, *y = b;
    if (x->group != y->group)
        return x->group < y->group ? -1 : 1;
    if (x->name != y->name)
        return x->name < y->name ? -1 : 1;
    return x->series < y->series ? -1 : x->series > y->series;
}

static void members_find(struct info *f)
{
    struct eval *e = f->eval;
    uint32_t count = f->info_op->series_count;
    f->members = ARENA_ARRAY(e->arena, struct member, (size_t)count + 1);
    f->first = ARENA_ARRAY(e->arena, uint32_t, (size_t)f->groups.count + 1);
    for (uint32_t i = 0; i < count; i++) {
        labels_id id = f->info_op->labels[i];
        uint32_t group = label_index_find(&f->groups, label_filter_apply(&f->identity, id));
        f->members[i] = (struct member){group, label_store_get(e->labels, id, e->name_symbol).n, i};
        f->first[group + 1]++;
    }
    for (uint32_t g = 0; g < f->groups.count; g++)
        f->first[g + 1] += f->first[g];
    if (count)
        qsort(f->members, count, sizeof *f->members, member_compare);
}

static bool duplicate(struct info *f, uint32_t a, uint32_t b, double seconds, struct error *err)
{
    struct view x = labels_text(f->eval, f->info_op->labels[a]),
                y = labels_text(f->eval, f->info_op->labels[b]);
    long long ms = (long long)(seconds * 1000 + (seconds < 0 ? -0.5 : 0.5));
    return error_set(err, ERROR_EXECUTION,
                     "found duplicate series for info metric: existing %.*s @ %lld, new %.*s @ "
                     "%lld",
                     VIEW_ARGS(x), ms, VIEW_ARGS(y), ms);
}

/* The newest info sample of each name at one step, into picks. */
static bool step_picks(struct info *f, uint32_t group, uint32_t step, uint32_t *picks,
                       uint32_t *count, struct error *err)
{
    uint32_t name = LABEL_STORE_NONE;
    *count = 0;
    for (uint32_t i = f->first[group]; i < f->first[group + 1]; i++) {
        const struct member *m = &f->members[i];
        if (!presence_get(matrix_presence(f->times, m->series), step))
            continue;
        if (m->name != name) {
            picks[(*count)++] = m->series;
            name = m->name;
            continue;
        }
        double t = matrix_values(f->times, m->series)[step];
        double newest = matrix_values(f->times, picks[*count - 1])[step];
        if (t == newest)
            return duplicate(f, picks[*count - 1], m->series, t, err);
        if (t > newest)
            picks[*count - 1] = m->series;
    }
    return true;
}

static bool group_runs(struct info *f, uint32_t group, uint32_t *picks, struct error *err)
{
    enum { LOOKS_BETWEEN_CHECKS = 1 << 22 };
    struct arena *arena = f->eval->arena;
    size_t first_run = f->run_count, looks = 0;
    for (uint32_t step = 0; step < f->base->steps; step++) {
        uint32_t count;
        looks += f->first[group + 1] - f->first[group];
        if (looks > LOOKS_BETWEEN_CHECKS) {
            looks = 0;
            if (!eval_check(f->eval, err))
                return false;
        }
        if (!step_picks(f, group, step, picks, &count, err))
            return false;
        struct run *last = f->run_count > first_run ? &f->runs[f->run_count - 1] : NULL;
        if (last && last->count == count &&
            memcmp(f->picks + last->first, picks, count * sizeof *picks) == 0) {
            last->end = step + 1;
            continue;
        }
        f->runs = arena_grow(arena, f->runs, &f->run_capacity, f->run_count + 1, sizeof *f->runs);
        f->picks = arena_grow(arena, f->picks, &f->pick_capacity, f->pick_count + count + 1,
                              sizeof *f->picks);
        memcpy(f->picks + f->pick_count, picks, count * sizeof *picks);
        f->runs[f->run_count++] = (struct run){step + 1, (uint32_t)f->pick_count, count};
        f->pick_count += count;
        if (f->pick_count > UINT32_MAX / 2)
            return error_set(err, ERROR_LIMIT, "info series change too often");
    }
    return eval_check(f->eval, err) && eval_check_memory(f->eval, err);
}

static bool runs_find(struct info *f, struct error *err)
{
    uint32_t *picks = ARENA_ARRAY(f->eval->arena, uint32_t, (size_t)f->info_op->series_count + 1);
    f->first_run = ARENA_ARRAY(f->eval->arena, uint32_t, (size_t)f->groups.count + 1);
    for (uint32_t g = 0; g < f->groups.count; g++) {
        if (!group_runs(f, g, picks, err))
            return false;
        f->first_run[g + 1] = (uint32_t)f->run_count;
    }
    return true;
}

/* --- rows --- */

static bool label_is_asked_for(const struct info *f, symbol_id name)
{
    if (name.n == f->eval->name_symbol.n)
        return false;
    for (uint32_t i = 0; i < f->data_count; i++)
        if (f->data_names[i].n == name.n)
            return true;
    return f->data_count == 0;
}

/* The base series' labels and what the run's info series add to them. Labels that it has stay. */
static bool labels_combine(struct info *f, labels_id base, const struct run *r,
                           struct arena *scratch, labels_id *out, struct error *err)
{
    struct label_store *store = f->eval->labels;
    struct labels_builder b;
    labels_builder_init(&b, scratch);
    labels_builder_reset(&b, label_store_labels(store, base, scratch));
    for (uint32_t i = 0; i < r->count; i++) {
        labels_id id = f->info_op->labels[f->picks[r->first + i]];
        uint32_t count;
        const symbol_id *names =
            label_store_shape_names(store, label_store_shape(store, id), &count);
        const symbol_id *values = label_store_values(store, id);
        for (uint32_t k = 0; k < count; k++) {
            if (!label_is_asked_for(f, names[k]) || label_store_get(store, base, names[k]).n)
                continue;
            struct view name = label_store_text(store, names[k]),
                        value = label_store_text(store, values[k]);
            for (uint32_t j = 0; j < i; j++) {
                symbol_id other =
                    label_store_get(store, f->info_op->labels[f->picks[r->first + j]], names[k]);
                if (other.n && other.n != values[k].n)
                    return error_set(err, ERROR_EXECUTION, "conflicting label: %.*s",
                                     VIEW_ARGS(name));
            }
            labels_builder_set(&b, name, value);
        }
    }
    *out = label_store_add(store, labels_builder_finish(&b));
    return true;
}

static bool has_samples(const struct info *f, uint32_t series, uint32_t from, uint32_t to)
{
    const uint64_t *bits = matrix_presence(f->base, series);
    for (uint32_t s = from; s < to; s++)
        if (presence_get(bits, s))
            return true;
    return false;
}

static uint32_t row_add(struct info *f, uint32_t series, labels_id labels)
{
    uint32_t row = label_index_add(&f->rows, labels);
    if (f->base_op->drop_name) {
        f->drop_name = arena_grow(f->eval->arena, f->drop_name, &f->drop_capacity, (size_t)row + 1,
                                  sizeof *f->drop_name);
        f->drop_name[row] = f->base_op->drop_name[series];
    }
    return row;
}

/* Runs of a base series: a series without a group has one, of all steps. */
static const struct run *series_runs(const struct info *f, uint32_t series, const struct run *all,
                                     uint32_t *count)
{
    uint32_t group = f->group_of[series];
    *count = 1;
    if (group == MAP_NONE)
        return all;
    *count = f->first_run[group + 1] - f->first_run[group];
    return f->runs + f->first_run[group];
}

/* The row of each run of each base series, in their order; MAP_NONE where the sample is left out. */
static uint32_t *rows_find(struct info *f, const struct run *all, struct error *err)
{
    struct eval *e = f->eval;
    uint32_t *rows = NULL;
    size_t count = 0, capacity = 0;
    bool ok = true;
    struct arena scratch;
    arena_init(&scratch, MEM_QUERY, 0);
    for (uint32_t i = 0; ok && i < f->base_op->series_count; i++) {
        uint32_t run_count, from = 0;
        const struct run *runs = series_runs(f, i, all, &run_count);
        rows = arena_grow(e->arena, rows, &capacity, count + run_count + 1, sizeof *rows);
        for (uint32_t k = 0; ok && k < run_count; from = runs[k++].end) {
            labels_id labels;
            bool left_out = f->must_match && runs[k].count == 0 && !f->is_info[i];
            rows[count] = MAP_NONE;
            if (!left_out && has_samples(f, i, from, runs[k].end)) {
                ok = labels_combine(f, f->base_op->labels[i], &runs[k], &scratch, &labels, err);
                arena_reset(&scratch);
                if (ok)
                    rows[count] = row_add(f, i, labels);
            }
            count++;
        }
        ok = ok && eval_check_memory(e, err) && eval_check(e, err);
    }
    arena_deinit(&scratch);
    if (ok && !rows)
        rows = ARENA_ARRAY(e->arena, uint32_t, 1);
    return ok ? rows : NULL;
}

static bool run_copy(const struct info *f, uint32_t series, uint32_t from, uint32_t to,
                     struct matrix *out, uint32_t row, struct error *err)
{
    const uint64_t *bits = matrix_presence(f->base, series);
    for (uint32_t s = from; s < to; s++) {
        if (!presence_get(bits, s))
            continue;
        if (presence_get(matrix_presence(out, row), s))
            return error_set(err, ERROR_EXECUTION,
                             "vector cannot contain metrics with the same labelset");
        presence_set(matrix_presence(out, row), s);
        matrix_values(out, row)[s] = matrix_values(f->base, series)[s];
    }
    return true;
}

static bool rows_fill(const struct info *f, const uint32_t *rows, const struct run *all,
                      struct matrix *out, struct error *err)
{
    for (uint32_t i = 0; i < f->base_op->series_count; i++) {
        uint32_t run_count, from = 0;
        const struct run *runs = series_runs(f, i, all, &run_count);
        for (uint32_t k = 0; k < run_count; from = runs[k++].end) {
            uint32_t row = *rows++;
            if (row != MAP_NONE && !run_copy(f, i, from, runs[k].end, out, row, err))
                return false;
        }
    }
    return matrix_count(f->eval, out, err);
}

/* --- all of it --- */

static struct operation *combine(struct info *f, const struct grid *grid, struct error *err)
{
    const struct run all = {.end = grid->steps};
    label_index_init(&f->rows, f->eval->arena);
    uint32_t *rows = rows_find(f, &all, err);
    struct matrix *m = rows ? matrix_new(f->eval, f->rows.count, grid->steps, err) : NULL;
    label_index_deinit(&f->rows);
    if (!m || !rows_fill(f, rows, &all, m, err))
        return NULL;
    return operator_from_matrix(f->eval, grid, m, f->rows.ids, f->drop_name);
}

/* The info series that some group wants, with the times of their samples. */
static bool info_read(struct info *f, const struct window_frame *frame, struct error *err)
{
    struct window_call call = {.kind = WINDOW_LAST_TIME};
    struct operation *op =
        operator_scan_where(f->eval, f->selector, f->where, frame, &call, info_is_wanted, f, err);
    if (!op)
        return false;
    f->times = operator_materialise(op, err);
    operator_release(op);
    f->info_op = op;
    return f->times != NULL;
}

struct operation *operator_info(struct operation *child, const struct expr *call,
                                const struct window_frame *frame, struct error *err)
{
    struct eval *e = child->eval;
    struct info f = {.eval = e, .base_op = child, .where = call->span};
    struct operation *out = NULL;
    label_index_init(&f.groups, e->arena);
    f.base = operator_materialise(child, err);
    operator_release(child);
    if (f.base && selector_make(&f, call, err)) {
        groups_find(&f);
        if (info_read(&f, frame, err)) {
            members_find(&f);
            if (runs_find(&f, err))
                out = combine(&f, &child->grid, err);
        }
    }
    if (f.own)
        matcher_deinit(f.own);
    label_index_deinit(&f.groups);
    matrix_free(e, f.times);
    matrix_free(e, f.base);
    return out;
}
