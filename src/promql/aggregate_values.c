/* SPDX-License-Identifier: Apache-2.0 */
/* aggregate_values.c: quantile and count_values: aggregations that need all values of a group at once. */
#include "promql/aggregate.h"

#include "base/assert.h"
#include "base/floattext.h"
#include "base/quote.h"
#include "base/utf8.h"
#include "promql/instant_functions.h"
#include "promql/label_ops.h"
#include "promql/plan.h"

/* --- quantile --- */

struct quantile {
    struct operation op;
    struct matrix *matrix;   /* of the child */
    const double *q;         /* per step */
    uint32_t *members_first; /* per group, +1: its series in members */
    uint32_t *members;
};

static bool quantile_morsel(struct operation *op, uint32_t idx, struct worker *w, struct batch *out)
{
    struct quantile *q = (struct quantile *)op;
    uint32_t first = op->morsel_first[idx], count = op->morsel_first[idx + 1] - first;
    if (!batch_new(w, first, count, op->grid.steps, out))
        return false;
    for (uint32_t i = 0; i < count; i++) {
        const uint32_t *member = q->members + q->members_first[first + i];
        uint32_t size = q->members_first[first + i + 1] - q->members_first[first + i];
        double *values = worker_scratch(w, 0, size * sizeof *values);
        for (uint32_t s = 0; s < op->grid.steps; s++) {
            size_t present = 0;
            for (uint32_t k = 0; k < size; k++)
                if (presence_get(matrix_presence(q->matrix, member[k]), s))
                    values[present++] = matrix_values(q->matrix, member[k])[s];
            if (!present)
                continue;
            batch_values(out, i)[s] = quantile_of_values(q->q[s], values, present);
            presence_set(batch_presence(out, i), s);
        }
    }
    return batch_count(w, out);
}

static void quantile_release(struct operation *op)
{
    struct quantile *q = (struct quantile *)op;
    matrix_free(op->eval, q->matrix);
    q->matrix = NULL;
}

static const struct operator_ops QUANTILE_OPS = {quantile_morsel, quantile_release};

struct operation *aggregate_quantile(struct operation *child, const struct expr *x,
                                     const struct groups *groups, const double *param,
                                     struct error *err)
{
    struct eval *e = child->eval;
    struct quantile *q = ARENA_NEW(e->arena, struct quantile);
    operator_init(&q->op, &QUANTILE_OPS, e, &child->grid);
    q->q = param;
    q->matrix = operator_materialise(child, err);
    operator_release(child);
    if (!q->matrix)
        return NULL;
    q->members_first = ARENA_ARRAY(e->arena, uint32_t, (size_t)groups->count + 1);
    q->members = ARENA_ARRAY(e->arena, uint32_t, (size_t)child->series_count + 1);
    uint32_t *next = ARENA_ARRAY(e->arena, uint32_t, (size_t)groups->count + 1);
    for (uint32_t i = 0; i < child->series_count; i++)
        q->members_first[groups->of_series[i] + 1]++;
    for (uint32_t g = 0; g < groups->count; g++)
        next[g + 1] = q->members_first[g + 1] += q->members_first[g];
    for (uint32_t i = 0; i < child->series_count; i++)
        q->members[next[groups->of_series[i]]++] = i;
    q->op.series_count = groups->count;
    q->op.labels = groups->labels;
    q->op.drop_name = groups->drop_name;
    operator_cut(&q->op);
    return &q->op;
}

/* --- count_values --- */

/* The group's labels with the value's text under `name`. */
static labels_id labels_with_value(struct eval *e, labels_id group, struct view name, double v,
                                   struct arena *scratch)
{
    char text[FLOAT_TEXT_BYTES];
    struct view value = {text, float_format_plain(v, text)};
    struct labels_builder builder;
    arena_reset(scratch);
    labels_builder_init(&builder, scratch);
    labels_builder_reset(&builder, label_store_labels(e->labels, group, scratch));
    labels_builder_set(&builder, name, value);
    return label_store_add(e->labels, labels_builder_finish(&builder));
}

/* (group, value) -> row, so that labels are built once per pair. */
struct pair {
    uint64_t bits;
    uint32_t group, row;
};
struct pairs {
    struct map map;
    struct pair *items;
    size_t capacity;
};
static bool pair_equal(const void *context, uint32_t item, const void *key)
{
    const struct pair *a = &((const struct pairs *)context)->items[item], *b = key;
    return a->bits == b->bits && a->group == b->group;
}

struct value_counts {
    struct eval *eval;
    struct arena scratch;
    struct view name;
    bool name_dropped; /* without() takes the label away again */
    const struct groups *groups;
    struct pairs pairs;
    struct label_index rows;
};

static uint32_t value_row(struct value_counts *c, uint32_t group, double v)
{
    struct pair key = {.bits = v != v ? SAMPLE_NAN_BITS : sample_bits(v), .group = group};
    uint64_t hash = (key.bits ^ ((uint64_t)group << 32 | group)) * UINT64_C(0x9e3779b97f4a7c15);
    hash ^= hash >> 32;
    uint32_t found = map_find(&c->pairs.map, hash, pair_equal, &c->pairs, &key);
    if (found != MAP_NONE)
        return c->pairs.items[found].row;
    labels_id labels = c->groups->labels[group];
    if (!c->name_dropped)
        labels = labels_with_value(c->eval, labels, c->name, v, &c->scratch);
    key.row = label_index_add(&c->rows, labels);
    uint32_t item = (uint32_t)c->pairs.map.count;
    c->pairs.items = mem_grow(MEM_QUERY, c->pairs.items, &c->pairs.capacity, (size_t)item + 1,
                              sizeof *c->pairs.items);
    c->pairs.items[item] = key;
    map_add(&c->pairs.map, hash, item);
    return key.row;
}

/* Which rows there are must be known before there is a matrix, hence two passes with the same row numbers. */
static struct matrix *values_count(struct value_counts *c, const struct matrix *in,
                                   struct error *err)
{
    struct matrix *out = NULL;
    for (int pass = 0; pass < 2; pass++) {
        if (pass == 1 && !(out = matrix_new(c->eval, c->rows.count, in->steps, err)))
            return NULL;
        for (uint32_t i = 0; i < in->series_count; i++) {
            if (!eval_check(c->eval, err))
                return NULL;
            for (uint32_t s = 0; s < in->steps; s++) {
                if (!presence_get(matrix_presence(in, i), s))
                    continue;
                uint32_t row = value_row(c, c->groups->of_series[i], matrix_values(in, i)[s]);
                if (pass == 0)
                    continue;
                double *cell = &matrix_values(out, row)[s];
                *cell = presence_get(matrix_presence(out, row), s) ? *cell + 1 : 1;
                presence_set(matrix_presence(out, row), s);
            }
        }
    }
    return matrix_count(c->eval, out, err) ? out : NULL;
}

/* The values are put under `name` before the series are grouped, so without (name) counts them all together. */
static bool value_is_dropped(const struct expr *x, struct view name)
{
    bool dropped = view_is(name, "__name__");
    for (uint32_t i = 0; i < x->u.aggregate.label_count; i++)
        dropped = dropped || view_eq(x->u.aggregate.labels[i], name);
    return x->u.aggregate.without && dropped;
}

struct operation *aggregate_count_values(struct operation *child, const struct expr *x,
                                         const struct groups *groups, struct error *err)
{
    struct eval *e = child->eval;
    struct view name = expr_unwrap(x->u.aggregate.param)->u.string;
    if (name.len == 0 || !utf8_is_valid(name)) {
        struct buffer quoted;
        buffer_init(&quoted, MEM_QUERY, 8 * PROMQL_QUERY_BYTES_MAX);
        quote_append(&quoted, name);
        (void)error_set(err, ERROR_EXECUTION, "invalid label name %.*s", (int)quoted.len,
                        quoted.ptr);
        buffer_deinit(&quoted);
        return NULL;
    }
    struct value_counts c = {
        .eval = e, .name = name, .name_dropped = value_is_dropped(x, name), .groups = groups};
    arena_init(&c.scratch, MEM_QUERY, 0);
    map_init(&c.pairs.map, MEM_QUERY);
    label_index_init(&c.rows, e->arena);
    struct matrix *in = operator_materialise(child, err);
    struct matrix *out = in ? values_count(&c, in, err) : NULL;
    matrix_free(e, in);
    operator_release(child);
    label_index_deinit(&c.rows);
    map_deinit(&c.pairs.map);
    mem_free(MEM_QUERY, c.pairs.items);
    arena_deinit(&c.scratch);
    return out ? operator_from_matrix(e, &child->grid, out, c.rows.ids, NULL) : NULL;
}
