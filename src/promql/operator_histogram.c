/* SPDX-License-Identifier: Apache-2.0 */
/* operator_histogram.c: histogram_quantile(), histogram_quantiles() and histogram_fraction() of classic
 * histograms: series that differ in `le` alone are the buckets of one histogram. The buckets of each
 * are put in order once; a step then gathers those that are there. */
#include "promql/operator_function.h"

#include "base/assert.h"
#include "base/floattext.h"
#include "promql/instant_functions.h"
#include "promql/label_ops.h"
#include "promql/operator_map.h"

#include <stdlib.h>

struct bucket_series {
    uint32_t group, series;
    double upper_bound;
};

struct histograms {
    struct operation op;
    struct matrix *matrix; /* of the child */
    const double *const *params;
    uint32_t quantiles; /* rows per histogram */
    bool fraction;
    struct bucket_series *buckets; /* by group, then bound */
    uint32_t *first;               /* per group, +1 */
    struct span where;
    labels_id *metrics; /* per group: for annotations */
};

static void histogram_row(struct histograms *h, uint32_t group, uint32_t which,
                          struct classic_bucket *scratch, double *values, uint64_t *presence)
{
    struct eval *e = h->op.eval;
    struct repair_total repairs = {0};
    for (uint32_t s = 0; s < h->op.grid.steps; s++) {
        size_t count = 0;
        for (uint32_t i = h->first[group]; i < h->first[group + 1]; i++) {
            const struct bucket_series *b = &h->buckets[i];
            if (presence_get(matrix_presence(h->matrix, b->series), s))
                scratch[count++] =
                    (struct classic_bucket){b->upper_bound, matrix_values(h->matrix, b->series)[s]};
        }
        if (!count)
            continue;
        if (h->fraction) {
            values[s] =
                classic_histogram_fraction(h->params[0][s], h->params[1][s], scratch, count);
        } else {
            struct bucket_repair repair = {0};
            values[s] = classic_histogram_quantile(h->params[which][s], scratch, count, &repair);
            if (repair.forced_monotonic)
                repair_total_add(&repairs, &repair, grid_time(&h->op.grid, s));
        }
        presence_set(presence, s);
    }
    if (repairs.count)
        eval_annotate_repairs(
            e, h->where, label_store_get(e->labels, h->metrics[group], e->name_symbol), &repairs);
}

static bool histogram_morsel(struct operation *op, uint32_t idx, struct worker *w,
                             struct batch *out)
{
    struct histograms *h = (struct histograms *)op;
    uint32_t first = op->morsel_first[idx], count = op->morsel_first[idx + 1] - first;
    if (!batch_new(w, first, count, op->grid.steps, out))
        return false;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t group = (first + i) / h->quantiles, which = (first + i) % h->quantiles;
        uint32_t buckets = h->first[group + 1] - h->first[group];
        histogram_row(h, group, which,
                      worker_scratch(w, 0, (buckets + 1) * sizeof(struct classic_bucket)),
                      batch_values(out, i), batch_presence(out, i));
    }
    return batch_count(w, out);
}

static void histogram_release(struct operation *op)
{
    struct histograms *h = (struct histograms *)op;
    matrix_free(op->eval, h->matrix);
    h->matrix = NULL;
}

static const struct operator_ops HISTOGRAM_OPS = {histogram_morsel, histogram_release};

static int bucket_compare(const void *a, const void *b)
{
    const struct bucket_series *x = a, *y = b;
    if (x->group != y->group)
        return x->group < y->group ? -1 : 1;
    if (x->upper_bound != y->upper_bound)
        return x->upper_bound < y->upper_bound ? -1 : 1;
    return x->series < y->series ? -1 : 1;
}

static void bound_tell(struct histograms *h, labels_id labels, struct view bound)
{
    struct eval *e = h->op.eval;
    struct view name =
        label_store_text(e->labels, label_store_get(e->labels, labels, e->name_symbol));
    eval_annotate(e, ANNOTATION_WARNING, h->where,
                  "bucket label \"le\" is missing or has a malformed value of \"%.*s\"%s%.*s%s",
                  VIEW_ARGS(bound), name.len ? " for metric name \"" : "", VIEW_ARGS(name),
                  name.len ? "\"" : "");
}

/* Sorts series into histograms. Their labels come out as groups' ids. */
static void histograms_find(struct histograms *h, const struct operation *child,
                            struct label_index *groups)
{
    struct eval *e = child->eval;
    struct label_filter without_le;
    label_filter_init(&without_le, e, &VIEW("le"), 1, false, false);
    symbol_id le = label_store_find_symbol(e->labels, VIEW("le"));
    h->buckets = ARENA_ARRAY(e->arena, struct bucket_series, (size_t)child->series_count + 1);
    uint32_t count = 0;
    for (uint32_t i = 0; i < child->series_count; i++) {
        struct view bound = {0};
        double upper_bound = 0;
        if (presence_count(matrix_presence(h->matrix, i), h->matrix->words) == 0)
            continue;
        if (le.n != LABEL_STORE_NONE)
            bound = label_store_text(e->labels, label_store_get(e->labels, child->labels[i], le));
        if (!float_parse(bound, &upper_bound)) {
            bound_tell(h, child->labels[i], bound);
            continue;
        }
        uint32_t group = label_index_add(groups, label_filter_apply(&without_le, child->labels[i]));
        h->buckets[count++] = (struct bucket_series){group, i, upper_bound};
    }
    if (count)
        qsort(h->buckets, count, sizeof *h->buckets, bucket_compare);
    h->first = ARENA_ARRAY(e->arena, uint32_t, (size_t)groups->count + 1);
    for (uint32_t i = 0; i < count; i++)
        h->first[h->buckets[i].group + 1] = i + 1;
    h->metrics = groups->ids;
}

static labels_id labels_with(struct eval *e, labels_id id, struct view name, struct view value)
{
    struct labels_builder b;
    labels_builder_init(&b, e->arena);
    labels_builder_reset(&b, label_store_labels(e->labels, id, e->arena));
    labels_builder_set(&b, name, value);
    return label_store_add(e->labels, labels_builder_finish(&b));
}

struct operation *operator_histogram(struct operation *child, const struct expr *call,
                                     const double *const *params, uint32_t quantiles,
                                     struct view label, struct error *err)
{
    struct eval *e = child->eval;
    struct histograms *h = ARENA_NEW(e->arena, struct histograms);
    operator_init(&h->op, &HISTOGRAM_OPS, e, &child->grid);
    h->params = params;
    h->quantiles = quantiles ? quantiles : 1;
    h->fraction = call->u.call.function->id == FUNCTION_HISTOGRAM_FRACTION;
    for (uint32_t i = 0; i < call->u.call.arg_count; i++)
        if (call->u.call.args[i]->type == VALUE_VECTOR)
            h->where = call->u.call.args[i]->span;
    h->matrix = operator_materialise(child, err);
    operator_release(child);
    if (!h->matrix)
        return NULL;
    struct label_index groups;
    label_index_init(&groups, e->arena);
    histograms_find(h, child, &groups);
    label_index_deinit(&groups);
    h->op.series_count = groups.count * h->quantiles;
    h->op.labels = ARENA_ARRAY(e->arena, labels_id, (size_t)h->op.series_count + 1);
    for (uint32_t i = 0; i < h->op.series_count; i++) {
        char text[FLOAT_TEXT_BYTES];
        labels_id id = groups.ids[i / h->quantiles];
        if (quantiles) {
            struct view value = {text, float_format_le(params[i % quantiles][0], text)};
            id = labels_with(e, id, label, value);
        }
        h->op.labels[i] = id;
    }
    operator_cut(&h->op);
    return operator_drop_name(&h->op, err);
}
