/* SPDX-License-Identifier: Apache-2.0 */
/* match_steps.c: vector matching decided at each step, as Prometheus' VectorBinop: several series may share a
 * signature as long as they are not there at the same step. Two passes: the first finds errors and which
 * result series there are, the second writes them. */
#include "promql/match.h"

#include "base/assert.h"
#include "promql/binary.h"
#include "promql/match_private.h"

#define NOBODY UINT32_MAX /* a side that fill() stands in for */

/* (many, one) -> result series. */
struct pair {
    uint32_t many, one, row;
};
struct pairs {
    struct map map;
    struct pair *items;
    size_t capacity;
};

struct step_match {
    struct eval *eval;
    const struct expr *x;
    const struct vector_matching *matching;
    const struct operation *many_op, *one_op;
    struct matrix *many, *one, *out; /* out is NULL in the first pass */
    const uint32_t *many_sig, *one_sig;
    const struct label_index *groups;
    bool swapped, has_fill_many, has_fill_one;
    double fill_many, fill_one;
    struct match_labels labels;
    struct pairs pairs;
    struct label_index rows;
    bool *drop_name; /* per row; grows with rows */
    size_t drop_capacity;
    /* Per signature, valid when its stamp is this step's. */
    uint32_t *one_at, *one_stamp, *matched_stamp;
    /* Per row: who put it in at which step. */
    struct row_state {
        uint32_t inserted_stamp, kept_stamp, sig;
    } * row_states;
    size_t row_capacity;
    uint32_t stamp; /* step + 1 + pass * steps */
};

static bool pair_equal(const void *context, uint32_t item, const void *key)
{
    const struct pair *a = &((const struct pairs *)context)->items[item], *b = key;
    return a->many == b->many && a->one == b->one;
}

static uint32_t pair_row(struct step_match *m, uint32_t many, uint32_t one, uint32_t sig)
{
    struct pair key = {.many = many, .one = one};
    uint64_t hash = ((uint64_t)many << 32 | one) * UINT64_C(0x9e3779b97f4a7c15) + sig;
    hash ^= hash >> 32;
    if (many == NOBODY || one == NOBODY) /* then the signature decides the labels */
        hash ^= sig * UINT64_C(0xc2b2ae3d27d4eb4f);
    uint32_t found = map_find(&m->pairs.map, hash, pair_equal, &m->pairs, &key);
    if (found != MAP_NONE && many != NOBODY && one != NOBODY)
        return m->pairs.items[found].row;
    labels_id group = m->groups->ids[sig];
    labels_id labels =
        match_labels_get(&m->labels, many == NOBODY ? group : m->many_op->labels[many],
                         one == NOBODY ? group : m->one_op->labels[one]);
    uint32_t row = key.row = label_index_add(&m->rows, labels);
    m->drop_name = mem_grow(MEM_QUERY, m->drop_name, &m->drop_capacity, (size_t)m->rows.count + 1,
                            sizeof *m->drop_name);
    m->drop_name[row] = m->x->u.binary.return_bool ||
                        (many != NOBODY && m->many_op->drop_name && m->many_op->drop_name[many]);
    size_t old = m->row_capacity;
    m->row_states = mem_grow(MEM_QUERY, m->row_states, &m->row_capacity, (size_t)m->rows.count + 1,
                             sizeof *m->row_states);
    memset(m->row_states + old, 0, (m->row_capacity - old) * sizeof *m->row_states);
    if (found == MAP_NONE && many != NOBODY && one != NOBODY) {
        uint32_t item = (uint32_t)m->pairs.map.count;
        m->pairs.items = mem_grow(MEM_QUERY, m->pairs.items, &m->pairs.capacity, (size_t)item + 1,
                                  sizeof *m->pairs.items);
        m->pairs.items[item] = key;
        map_add(&m->pairs.map, hash, item);
    }
    return row;
}

static bool duplicate_error(struct step_match *m, uint32_t a, uint32_t b, struct error *err)
{
    struct eval *e = m->eval;
    labels_id first = m->one_op->labels[a], second = m->one_op->labels[b];
    if (label_store_compare(e->labels, first, second) > 0) {
        labels_id t = first;
        first = second;
        second = t;
    }
    struct view group = labels_text(e, m->groups->ids[m->one_sig[a]]);
    struct view x = labels_text(e, first), y = labels_text(e, second);
    return error_set(
        err, ERROR_EXECUTION,
        "found duplicate series for the match group %.*s on the %s hand-side of the "
        "operation: [%.*s, %.*s];many-to-many matching not allowed: matching labels must "
        "be unique on one side",
        VIEW_ARGS(group), m->swapped ? "left" : "right", VIEW_ARGS(x), VIEW_ARGS(y));
}

/* Who is there on the "one" side. */
static bool ones_collect(struct step_match *m, uint32_t step, bool *any, struct error *err)
{
    for (uint32_t i = 0; i < m->one->series_count; i++) {
        if (!presence_get(matrix_presence(m->one, i), step))
            continue;
        uint32_t sig = m->one_sig[i];
        if (m->one_stamp[sig] == m->stamp)
            return duplicate_error(m, m->one_at[sig], i, err);
        m->one_stamp[sig] = m->stamp;
        m->one_at[sig] = i;
        *any = true;
    }
    return true;
}

/* One result at one step. */
static bool pair_emit(struct step_match *m, uint32_t step, uint32_t many, uint32_t one,
                      uint32_t sig, struct error *err)
{
    uint32_t row = pair_row(m, many, one, sig);
    struct row_state *state = &m->row_states[row];
    if (m->matching->card == CARD_ONE_TO_ONE) {
        if (m->matched_stamp[sig] == m->stamp)
            return error_set(err, ERROR_EXECUTION,
                             "multiple matches for labels: many-to-one matching must be explicit "
                             "(group_left/group_right)");
    } else if (state->inserted_stamp == m->stamp && state->sig == sig) {
        return error_set(err, ERROR_EXECUTION,
                         "multiple matches for labels: grouping labels must ensure unique matches");
    }
    m->matched_stamp[sig] = m->stamp;
    state->inserted_stamp = m->stamp;
    state->sig = sig;

    double a = many == NOBODY ? m->fill_many : matrix_values(m->many, many)[step];
    double b = one == NOBODY ? m->fill_one : matrix_values(m->one, one)[step];
    double left = m->swapped ? b : a, right = m->swapped ? a : b, value = left;
    enum binary_op op = m->x->u.binary.op;
    if (!binary_is_comparison(op) || m->x->u.binary.return_bool)
        binary_apply(op, &left, &right, 1, &value);
    else if (!binary_compare(op, &left, &right, 1))
        return true;
    if (state->kept_stamp == m->stamp)
        return error_set(err, ERROR_EXECUTION,
                         "vector cannot contain metrics with the same labelset");
    state->kept_stamp = m->stamp;
    if (m->out) {
        matrix_values(m->out, row)[step] = value;
        presence_set(matrix_presence(m->out, row), step);
    }
    return true;
}

static bool step_run(struct step_match *m, uint32_t step, struct error *err)
{
    bool any_one = false, any_many = false;
    for (uint32_t i = 0; !any_many && i < m->many->series_count; i++)
        any_many = presence_get(matrix_presence(m->many, i), step);
    if (!any_many && !m->has_fill_many)
        return true;
    if (!ones_collect(m, step, &any_one, err))
        return false;
    if (!any_one && !m->has_fill_one)
        return true;
    for (uint32_t i = 0; i < m->many->series_count; i++) {
        if (!presence_get(matrix_presence(m->many, i), step))
            continue;
        uint32_t sig = m->many_sig[i];
        uint32_t one = m->one_stamp[sig] == m->stamp ? m->one_at[sig] : NOBODY;
        if (one == NOBODY && !m->has_fill_one)
            continue;
        if (!pair_emit(m, step, i, one, sig, err))
            return false;
    }
    for (uint32_t i = 0; m->has_fill_many && i < m->one->series_count; i++) {
        uint32_t sig = m->one_sig[i];
        if (!presence_get(matrix_presence(m->one, i), step) || m->matched_stamp[sig] == m->stamp)
            continue;
        if (!pair_emit(m, step, NOBODY, i, sig, err))
            return false;
    }
    return true;
}

static bool passes_run(struct step_match *m, const struct grid *grid, struct error *err)
{
    for (int pass = 0; pass < 2; pass++) {
        if (pass == 1 && !(m->out = matrix_new(m->eval, m->rows.count, grid->steps, err)))
            return false;
        for (uint32_t s = 0; s < grid->steps; s++) {
            m->stamp++;
            if (!eval_check(m->eval, err) || !step_run(m, s, err))
                return false;
        }
    }
    return matrix_count(m->eval, m->out, err);
}

static bool *rows_drop_name(struct step_match *m)
{
    if (!m->eval->delayed_name_removal)
        return NULL;
    bool *out = ARENA_ARRAY(m->eval->arena, bool, (size_t)m->rows.count + 1);
    if (m->rows.count)
        memcpy(out, m->drop_name, m->rows.count);
    return out;
}

struct operation *match_by_step(struct operation *many, struct operation *one,
                                const uint32_t *many_sig, const uint32_t *one_sig,
                                const struct label_index *groups, bool swapped,
                                const struct expr *x, struct error *err)
{
    struct eval *e = many->eval;
    const struct vector_matching *v = x->u.binary.matching;
    struct step_match m = {.eval = e,
                           .x = x,
                           .matching = v,
                           .many_op = many,
                           .one_op = one,
                           .many_sig = many_sig,
                           .one_sig = one_sig,
                           .groups = groups,
                           .swapped = swapped,
                           .has_fill_many = swapped ? v->has_fill_right : v->has_fill_left,
                           .has_fill_one = swapped ? v->has_fill_left : v->has_fill_right,
                           .fill_many = swapped ? v->fill_right : v->fill_left,
                           .fill_one = swapped ? v->fill_left : v->fill_right};
    match_labels_init(&m.labels, e, x);
    map_init(&m.pairs.map, MEM_QUERY);
    label_index_init(&m.rows, e->arena);
    m.one_at = ARENA_ARRAY(e->arena, uint32_t, 3 * (size_t)groups->count + 1);
    m.one_stamp = m.one_at + groups->count;
    m.matched_stamp = m.one_stamp + groups->count;
    m.many = operator_materialise(many, err);
    m.one = m.many ? operator_materialise(one, err) : NULL;
    operator_release(many);
    operator_release(one);
    bool ok = m.one && passes_run(&m, &many->grid, err);
    matrix_free(e, m.many);
    matrix_free(e, m.one);
    struct operation *out = NULL;
    if (ok)
        out = operator_from_matrix(e, &many->grid, m.out, m.rows.ids, rows_drop_name(&m));
    mem_free(MEM_QUERY, m.pairs.items);
    mem_free(MEM_QUERY, m.row_states);
    mem_free(MEM_QUERY, m.drop_name);
    map_deinit(&m.pairs.map);
    label_index_deinit(&m.rows);
    match_labels_deinit(&m.labels);
    return out;
}
