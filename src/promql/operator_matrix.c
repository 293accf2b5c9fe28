/* SPDX-License-Identifier: Apache-2.0 */
/* operator_matrix.c: operators over series that are kept: what an operator computed as a whole, one step
 * repeated for all, and several series of equal labels merged into one. */
#include "promql/operator.h"

#include "base/assert.h"
#include "promql/label_ops.h"

/* --- kept series --- */

struct matrix_operator {
    struct operation op;
    struct matrix *matrix;
};

static bool matrix_morsel(struct operation *op, uint32_t idx, struct worker *w, struct batch *out)
{
    const struct matrix *m = ((struct matrix_operator *)op)->matrix;
    uint32_t first = op->morsel_first[idx], count = op->morsel_first[idx + 1] - first;
    if (!batch_new(w, first, count, op->grid.steps, out))
        return false;
    memcpy(out->values, matrix_values(m, first), (size_t)count * m->steps * sizeof(double));
    memcpy(out->presence, matrix_presence(m, first), (size_t)count * m->words * sizeof(uint64_t));
    return batch_count(w, out);
}

static void matrix_release(struct operation *op)
{
    struct matrix_operator *m = (struct matrix_operator *)op;
    matrix_free(op->eval, m->matrix);
    m->matrix = NULL;
}

static const struct operator_ops MATRIX_OPS = {matrix_morsel, matrix_release};

struct operation *operator_from_matrix(struct eval *e, const struct grid *grid, struct matrix *m,
                                       labels_id *labels, bool *drop_name)
{
    ASSERT(m->steps == grid->steps);
    struct matrix_operator *op = ARENA_NEW(e->arena, struct matrix_operator);
    operator_init(&op->op, &MATRIX_OPS, e, grid);
    op->matrix = m;
    op->op.series_count = m->series_count;
    op->op.labels = labels;
    op->op.drop_name = drop_name;
    operator_cut(&op->op);
    return &op->op;
}

static bool empty_morsel(struct operation *op, uint32_t idx, struct worker *w, struct batch *out)
{
    UNREACHABLE(); /* it has no morsels */
}
static const struct operator_ops EMPTY_OPS = {empty_morsel, NULL};

struct operation *operator_empty(struct eval *e, const struct grid *grid)
{
    struct operation *op = ARENA_NEW(e->arena, struct operation);
    operator_init(op, &EMPTY_OPS, e, grid);
    operator_cut(op);
    return op;
}

/* --- one step for all --- */

struct broadcast {
    struct operation op;
    struct operation *child; /* its grid has one step; its morsels are ours when our rows fit */
    struct matrix *matrix;
};

static bool broadcast_morsel(struct operation *op, uint32_t idx, struct worker *w,
                             struct batch *out)
{
    const struct matrix *m = ((struct broadcast *)op)->matrix;
    uint32_t first = op->morsel_first[idx], count = op->morsel_first[idx + 1] - first;
    if (!batch_new(w, first, count, op->grid.steps, out))
        return false;
    for (uint32_t i = 0; i < count; i++) {
        if (!presence_get(matrix_presence(m, first + i), 0))
            continue;
        double v = *matrix_values(m, first + i), *row = batch_values(out, i);
        for (uint32_t s = 0; s < op->grid.steps; s++)
            row[s] = v;
        presence_fill(batch_presence(out, i), op->grid.steps);
    }
    return batch_count(w, out);
}

static void broadcast_release(struct operation *op)
{
    struct broadcast *b = (struct broadcast *)op;
    matrix_free(op->eval, b->matrix);
    b->matrix = NULL;
}

static const struct operator_ops BROADCAST_OPS = {broadcast_morsel, broadcast_release};

struct operation *operator_broadcast(struct operation *child, const struct grid *grid,
                                     struct error *err)
{
    ASSERT(child->grid.steps == 1);
    struct broadcast *b = ARENA_NEW(child->eval->arena, struct broadcast);
    operator_init(&b->op, &BROADCAST_OPS, child->eval, grid);
    b->matrix = operator_materialise(child, err);
    operator_release(child);
    if (!b->matrix)
        return NULL;
    b->op.series_count = child->series_count;
    b->op.labels = child->labels;
    b->op.drop_name = child->drop_name;
    operator_cut(&b->op);
    return &b->op;
}

/* --- equal labels merged --- */

struct merge {
    struct fold fold;
    struct operation *child;
    const uint32_t *target; /* per series of the child */
    struct matrix *matrix;
};

static bool merge_row(double *restrict to, uint64_t *restrict to_bits, const double *restrict from,
                      const uint64_t *restrict from_bits, uint32_t words)
{
    for (uint32_t i = 0; i < words; i++) {
        if (to_bits[i] & from_bits[i])
            return false;
        to_bits[i] |= from_bits[i];
        for (uint64_t bits = from_bits[i]; bits; bits &= bits - 1) {
            uint32_t s = i * 64 + (uint32_t)__builtin_ctzll(bits);
            to[s] = from[s];
        }
    }
    return true;
}

/* Two workers may meet in one row, so the rows are merged in order and not where they are made. */
static bool merge_digest(struct fold *f, struct worker *w, uint32_t idx, struct batch *b,
                         void **partial)
{
    struct batch *kept = mem_alloc(MEM_QUERY, sizeof *kept);
    *kept = *b;
    b->buffer = NULL;
    *partial = kept;
    return true;
}

static void merge_drop(struct fold *f, void *partial)
{
    batch_free(((struct merge *)f)->child->eval, partial);
    mem_free(MEM_QUERY, partial);
}

static bool merge_merge(struct fold *f, struct worker *w, uint32_t idx, void *partial)
{
    struct merge *m = (struct merge *)f;
    struct batch *b = partial;
    bool ok = true;
    for (uint32_t i = 0; ok && i < b->count; i++) {
        uint32_t row = m->target[b->first + i];
        if (!merge_row(matrix_values(m->matrix, row), matrix_presence(m->matrix, row),
                       batch_values(b, i), batch_presence(b, i), b->words))
            ok = error_set(&w->error, ERROR_EXECUTION,
                           "vector cannot contain metrics with the same labelset");
    }
    merge_drop(f, partial);
    return ok;
}

struct operation *operator_merge(struct operation *op, struct error *err)
{
    struct eval *e = op->eval;
    if (labels_are_distinct(op->labels, op->series_count))
        return op;
    struct label_index index;
    label_index_init(&index, e->arena);
    uint32_t *target = ARENA_ARRAY(e->arena, uint32_t, op->series_count);
    bool *drop_name = op->drop_name ? ARENA_ARRAY(e->arena, bool, op->series_count) : NULL;
    for (uint32_t i = 0; i < op->series_count; i++) {
        target[i] = label_index_add(&index, op->labels[i]);
        if (drop_name)
            drop_name[target[i]] |= op->drop_name[i];
    }
    struct merge m = {
        .fold = {merge_digest, merge_merge, merge_drop}, .child = op, .target = target};
    m.matrix = matrix_new(e, index.count, op->grid.steps, err);
    bool ok = m.matrix && operator_fold(op, &m.fold, err) && matrix_count(e, m.matrix, err);
    label_index_deinit(&index);
    operator_release(op);
    return ok ? operator_from_matrix(e, &op->grid, m.matrix, index.ids, drop_name) : NULL;
}
