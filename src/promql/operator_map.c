/* SPDX-License-Identifier: Apache-2.0 */
/* operator_map.c: in the batch of the child, row by row. */
#include "promql/operator_map.h"

#include "base/assert.h"
#include "promql/binary.h"
#include "promql/instant_functions.h"
#include "promql/label_ops.h"

struct map_operator {
    struct operation op;
    struct operation *child;
    struct map_call call;
};

/* The next run of present steps at or after *step: [*step, returned). An empty run ends the row. */
static uint32_t run_next(const uint64_t *presence, uint32_t steps, uint32_t *step)
{
    uint32_t from = *step;
    while (from < steps && !presence_get(presence, from))
        from = presence[from / 64] >> (from % 64) ? from + 1 : (from / 64 + 1) * 64;
    uint32_t to = from;
    while (to < steps && presence_get(presence, to))
        to = presence[to / 64] == UINT64_MAX ? (to / 64 + 1) * 64 : to + 1;
    *step = from < steps ? from : steps;
    return to < steps ? to : steps;
}

static void function_row(const struct map_call *c, uint32_t steps, double *values,
                         uint64_t *presence)
{
    for (uint32_t from = 0; from < steps;) {
        uint32_t to = run_next(presence, steps, &from);
        if (from == to)
            break;
        const double *params[2] = {c->params[0] ? c->params[0] + from : NULL,
                                   c->params[1] ? c->params[1] + from : NULL};
        instant_function_apply(c->function, values + from, params, to - from, values + from);
        from = to;
    }
    if (c->function != FUNCTION_CLAMP)
        return;
    for (uint32_t s = 0; s < steps; s++)
        if (clamp_is_empty(c->params[0][s], c->params[1][s]))
            presence_clear(presence, s);
}

static void map_row(const struct map_operator *m, double *values, uint64_t *presence)
{
    const struct map_call *c = &m->call;
    uint32_t steps = m->op.grid.steps;
    switch (c->kind) {
    case MAP_LABELS:
        break;
    case MAP_FUNCTION:
        function_row(c, steps, values, presence);
        break;
    case MAP_NEGATE:
        for (uint32_t s = 0; s < steps; s++)
            values[s] = -values[s];
        break;
    case MAP_TIMESTAMP:
        for (uint32_t s = 0; s < steps; s++)
            values[s] = (double)grid_time(&m->op.grid, s) / 1000;
        break;
    case MAP_BINARY:
        binary_apply_row(c->binary, c->return_bool, c->scalar_left ? c->scalar : values,
                         c->scalar_left ? values : c->scalar, steps, values, presence);
        break;
    }
}

static bool map_morsel(struct operation *op, uint32_t idx, struct worker *w, struct batch *out)
{
    struct map_operator *m = (struct map_operator *)op;
    if (!operator_morsel(m->child, idx, w, out))
        return false;
    if (m->call.kind != MAP_LABELS)
        for (uint32_t i = 0; i < out->count; i++)
            map_row(m, batch_values(out, i), batch_presence(out, i));
    return true;
}

static void map_release(struct operation *op)
{
    operator_release(((struct map_operator *)op)->child);
}

static const struct operator_ops MAP_OPS = {map_morsel, map_release};

struct operation *operator_map(struct operation *child, const struct map_call *call)
{
    struct map_operator *m = ARENA_NEW(child->eval->arena, struct map_operator);
    operator_init(&m->op, &MAP_OPS, child->eval, &child->grid);
    operator_inherit(&m->op, child);
    m->child = child;
    m->call = *call;
    return &m->op;
}

struct operation *operator_drop_name(struct operation *op, struct error *err)
{
    struct eval *e = op->eval;
    struct operation *out = operator_map(op, &(struct map_call){.kind = MAP_LABELS});
    if (e->delayed_name_removal) {
        out->drop_name = ARENA_ARRAY(e->arena, bool, (size_t)op->series_count + 1);
        memset(out->drop_name, true, op->series_count);
        return out;
    }
    out->labels = labels_drop_name(e, op->labels, op->series_count);
    return operator_merge(out, err);
}

/* --- vector(scalar) --- */

struct scalar_vector {
    struct operation op;
    const double *values;
};

static bool scalar_vector_morsel(struct operation *op, uint32_t idx, struct worker *w,
                                 struct batch *out)
{
    if (!batch_new(w, 0, 1, op->grid.steps, out))
        return false;
    memcpy(out->values, ((struct scalar_vector *)op)->values, op->grid.steps * sizeof(double));
    presence_fill(out->presence, op->grid.steps);
    return batch_count(w, out);
}

static const struct operator_ops SCALAR_VECTOR_OPS = {scalar_vector_morsel, NULL};

struct operation *operator_scalar_vector(struct eval *e, const struct grid *grid,
                                         const double *values)
{
    struct scalar_vector *v = ARENA_NEW(e->arena, struct scalar_vector);
    operator_init(&v->op, &SCALAR_VECTOR_OPS, e, grid);
    v->values = values;
    v->op.series_count = 1;
    v->op.labels = ARENA_NEW(e->arena, labels_id); /* label set 0 is the empty one */
    operator_cut(&v->op);
    return &v->op;
}
