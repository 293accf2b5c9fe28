/* SPDX-License-Identifier: Apache-2.0 */
/* result.c: series with their points laid out one after the other, sorted by labels. Series without gaps share the
 * times of the grid. */
#include "promql/result.h"

#include "base/assert.h"
#include "base/thread.h"
#include "model/sample.h"
#include "promql/label_ops.h"
#include "promql/operator_map.h"
#include "promql/plan.h"

#include <stdlib.h>

void result_blocks_free(struct result_block *blocks)
{
    while (blocks) {
        struct result_block *next = blocks->next;
        mem_free(MEM_QUERY, blocks);
        blocks = next;
    }
}

/* Room that lives with the query. Any worker. */
static void *block_new(struct result_builder *r, size_t bytes, struct error *err)
{
    struct result_block *b = eval_try_alloc(r->eval, sizeof *b + bytes, err);
    if (!b)
        return NULL;
    b->bytes = bytes;
    mutex_lock(&r->eval->mutex);
    b->next = r->blocks;
    r->blocks = b;
    mutex_unlock(&r->eval->mutex);
    return b + 1;
}

/* --- from batches --- */

struct collect {
    struct fold fold;
    struct result_builder *builder;
    struct operation *op;
    const int64_t *grid_times;
    struct result_series *series;
};

/* Points of one row into values and, where it has gaps, times. */
static uint32_t row_collect(const struct batch *b, uint32_t row, const int64_t *grid_times,
                            double *values, int64_t *times)
{
    const double *in = batch_values(b, row);
    const uint64_t *presence = batch_presence(b, row);
    uint32_t count = 0;
    for (uint32_t k = 0; k < b->words; k++)
        for (uint64_t bits = presence[k]; bits; bits &= bits - 1) {
            uint32_t s = k * 64 + (uint32_t)__builtin_ctzll(bits);
            values[count] = in[s];
            times[count++] = grid_times[s];
        }
    return count;
}

static bool collect_digest(struct fold *f, struct worker *w, uint32_t idx, struct batch *b,
                           void **partial)
{
    struct collect *c = (struct collect *)f;
    size_t points = 0, gapped = 0;
    for (uint32_t i = 0; i < b->count; i++) {
        size_t count = (size_t)presence_count(batch_presence(b, i), b->words);
        points += count;
        gapped += count == b->steps ? 0 : count;
    }
    if (!points)
        return true;
    if (!eval_add_samples(w->eval, (int64_t)points, &w->error))
        return false;
    double *values =
        block_new(c->builder, points * sizeof(double) + gapped * sizeof(int64_t), &w->error);
    if (!values)
        return false;
    int64_t *times = (int64_t *)(void *)(values + points);
    for (uint32_t i = 0; i < b->count; i++) {
        struct result_series *s = &c->series[b->first + i];
        s->values = values;
        s->count = (uint32_t)presence_count(batch_presence(b, i), b->words);
        if (s->count == b->steps) {
            s->times = c->grid_times;
            memcpy(values, batch_values(b, i), b->steps * sizeof(double));
        } else {
            s->times = times;
            times += row_collect(b, i, c->grid_times, values, times);
        }
        values += s->count;
    }
    return true;
}

static int series_compare(const void *a, const void *b, void *store)
{
    return label_store_compare(store, ((const struct result_series *)a)->labels,
                               ((const struct result_series *)b)->labels);
}

/* Leaves out what is empty, sorts, cuts to the limit. */
static void series_finish(struct result_builder *r, struct result_series *series, size_t count,
                          bool keep_order)
{
    struct query_result *out = r->out;
    size_t kept = 0;
    for (size_t i = 0; i < count; i++)
        if (series[i].count)
            series[kept++] = series[i];
    if (!keep_order && kept > 1)
        qsort_r(series, kept, sizeof *series, series_compare, r->eval->labels);
    out->series = series;
    out->series_count = kept;
    if (r->series_max && kept > r->series_max) {
        out->series_count = r->series_max;
        eval_annotate_text(r->eval, ANNOTATION_WARNING, VIEW("results truncated due to limit"));
    }
}

/* Names that were to go at the end of the query go now. */
static struct operation *names_removed(struct operation *op, struct error *err)
{
    if (!op->drop_name)
        return op;
    struct eval *e = op->eval;
    struct operation *out = operator_map(op, &(struct map_call){.kind = MAP_LABELS});
    labels_id *bare = labels_drop_name(e, op->labels, op->series_count);
    labels_id *labels = ARENA_ARRAY(e->arena, labels_id, (size_t)op->series_count + 1);
    for (uint32_t i = 0; i < op->series_count; i++)
        labels[i] = op->drop_name[i] ? bare[i] : op->labels[i];
    out->labels = labels;
    out->drop_name = NULL;
    return operator_merge(out, err);
}

static const int64_t *grid_times(struct eval *e, const struct grid *grid)
{
    int64_t *times = ARENA_ARRAY(e->arena, int64_t, grid->steps);
    for (uint32_t s = 0; s < grid->steps; s++)
        times[s] = grid_time(grid, s);
    return times;
}

bool result_from_operator(struct result_builder *r, struct operation *op, struct error *err)
{
    struct eval *e = r->eval;
    bool keep_order = op->ordered && e->instant;
    op = names_removed(op, err);
    if (!op)
        return false;
    struct collect c = {.fold = {.digest = collect_digest},
                        .builder = r,
                        .op = op,
                        .grid_times = grid_times(e, &op->grid)};
    c.series = ARENA_ARRAY(e->arena, struct result_series, (size_t)op->series_count + 1);
    for (uint32_t i = 0; i < op->series_count; i++)
        c.series[i].labels = op->labels[i];
    bool ok = operator_fold(op, &c.fold, err);
    operator_release(op);
    if (ok)
        series_finish(r, c.series, op->series_count, keep_order);
    return ok;
}

bool result_from_scalars(struct result_builder *r, const double *values, struct error *err)
{
    struct eval *e = r->eval;
    if (!eval_add_samples(e, e->grid.steps, err))
        return false;
    struct result_series *s = ARENA_NEW(e->arena, struct result_series);
    *s = (struct result_series){
        .times = grid_times(e, &e->grid), .values = values, .count = e->grid.steps};
    series_finish(r, s, 1, true);
    return true;
}

/* --- a range selector as it is --- */

static bool samples_collect(struct result_builder *r, const struct samples *in,
                            struct result_series *out, struct error *err)
{
    if (!in->count)
        return true;
    if (!eval_add_samples(r->eval, (int64_t)in->count, err))
        return false;
    double *values = block_new(r, in->count * (sizeof(double) + sizeof(int64_t)), err);
    if (!values)
        return false;
    int64_t *times = (int64_t *)(void *)(values + in->count);
    out->values = values;
    out->times = times;
    for (size_t i = 0; i < in->count; i++) {
        if (sample_is_stale(in->values[i]))
            continue;
        values[out->count] = in->values[i];
        times[out->count++] = in->times[i];
    }
    return true;
}

bool result_from_matrix(struct result_builder *r, const struct expr *matrix, struct error *err)
{
    struct eval *e = r->eval;
    struct window_frame frame;
    struct series_list list;
    const struct selector *selector = &matrix->u.matrix.selector->u.selector;
    if (selector->anchored || selector->smoothed)
        return error_set(err, ERROR_EXECUTION, "%s modifier can only be used inside of a function",
                         selector->anchored ? "anchored" : "smoothed");
    if (!plan_range_frame(e, matrix, &e->grid, &frame, err))
        return false;
    struct select what = {.matchers = selector->matchers,
                          .matcher_count = selector->matcher_count,
                          .mint = frame_mint(&frame),
                          .maxt = frame_maxt(&frame)};
    if (!view_select(e->view, &what, e->labels, e->arena, &list, err))
        return false;
    e->series_selected += list.count;
    struct plan_node *node = plan_tree_find(e->plan, selector);
    if (node) {
        node->ran = true;
        node->series = (int64_t)list.count;
    }
    struct worker *w = &e->workers[0]; /* nobody else is at work now */
    struct result_series *series = ARENA_ARRAY(e->arena, struct result_series, list.count + 1);
    for (size_t i = 0; i < list.count; i++) {
        struct samples samples;
        series[i].labels = list.items[i].labels;
        if (!eval_check(e, err))
            return false;
        if (!worker_read(w, list.items[i].ref, what.mint, what.maxt, &samples)) {
            *err = w->error;
            return false;
        }
        worker_count_read(w, COUNT_AT_ALL, (int64_t)samples.count); /* there is one step */
        if (node)
            atomic_fetch_add_explicit(&node->samples_read, (int64_t)samples.count,
                                      memory_order_relaxed);
        if (!samples_collect(r, &samples, &series[i], err))
            return false;
    }
    series_finish(r, series, list.count, false);
    return true;
}
