/* SPDX-License-Identifier: Apache-2.0 */
/* match.c: arithmetic and comparisons between two vectors.
 *
 * Where every signature has one series on the "one" side (and, one to one, on the other side too), who
 * matches whom is known before any sample is read: the "one" side becomes a table and the other streams through.
 * Everything else, also whatever may have to fail, goes step by step (match_steps.c). */
#include "promql/match.h"

#include "base/assert.h"
#include "promql/binary.h"
#include "promql/match_private.h"

/* --- signatures and labels --- */

void signatures_find(struct signatures *s, const struct operation *left,
                     const struct operation *right, const struct vector_matching *m)
{
    struct eval *e = left->eval;
    struct label_filter filter;
    label_filter_init(&filter, e, m->labels, m->label_count, m->on, !m->on);
    label_index_init(&s->index, e->arena);
    s->left = ARENA_ARRAY(e->arena, uint32_t, (size_t)left->series_count + 1);
    s->right = ARENA_ARRAY(e->arena, uint32_t, (size_t)right->series_count + 1);
    for (uint32_t i = 0; i < left->series_count; i++)
        s->left[i] = label_index_add(&s->index, label_filter_apply(&filter, left->labels[i]));
    for (uint32_t i = 0; i < right->series_count; i++)
        s->right[i] = label_index_add(&s->index, label_filter_apply(&filter, right->labels[i]));
}

void signatures_deinit(struct signatures *s)
{
    label_index_deinit(&s->index);
}

/* Does the result lose the metric's name at once? */
static bool labels_lose_name(const struct eval *e, const struct expr *x)
{
    if (!binary_is_comparison(x->u.binary.op))
        return true;
    return x->u.binary.return_bool && !e->delayed_name_removal;
}

void match_labels_init(struct match_labels *l, struct eval *e, const struct expr *x)
{
    const struct vector_matching *m = x->u.binary.matching;
    bool lose_name = labels_lose_name(e, x);
    *l = (struct match_labels){.eval = e, .matching = m};
    arena_init(&l->scratch, MEM_QUERY, 0);
    if (m->card != CARD_ONE_TO_ONE) {
        label_filter_init(&l->filter, e, NULL, 0, false, lose_name);
    } else if (!m->on) {
        label_filter_init(&l->filter, e, m->labels, m->label_count, false, lose_name);
    } else {
        struct view *kept = ARENA_ARRAY(e->arena, struct view, (size_t)m->label_count + 1);
        uint32_t count = 0;
        for (uint32_t i = 0; i < m->label_count; i++)
            if (!lose_name || !view_is(m->labels[i], LABEL_NAME))
                kept[count++] = m->labels[i];
        label_filter_init(&l->filter, e, kept, count, true, false);
    }
    l->include = ARENA_ARRAY(e->arena, symbol_id, (size_t)m->include_count + 1);
    for (uint32_t i = 0; i < m->include_count; i++)
        l->include[i] = label_store_find_symbol(e->labels, m->include[i]);
}

void match_labels_deinit(struct match_labels *l)
{
    arena_deinit(&l->scratch);
}

labels_id match_labels_get(struct match_labels *l, labels_id many, labels_id one)
{
    const struct label_store *store = l->eval->labels;
    labels_id base = label_filter_apply(&l->filter, many);
    if (!l->matching->include_count)
        return base;
    struct labels_builder builder;
    arena_reset(&l->scratch);
    labels_builder_init(&builder, &l->scratch);
    labels_builder_reset(&builder, label_store_labels(store, base, &l->scratch));
    for (uint32_t i = 0; i < l->matching->include_count; i++) {
        struct view value = {0};
        if (l->include[i].n != LABEL_STORE_NONE)
            value = label_store_text(store, label_store_get(store, one, l->include[i]));
        labels_builder_set(&builder, l->matching->include[i], value);
    }
    return label_store_add(l->eval->labels, labels_builder_finish(&builder));
}

/* --- the streaming join --- */

struct join {
    struct operation op;
    struct operation *many;
    struct matrix *one;
    bool swapped; /* many is the right operand */
    enum binary_op binary;
    bool return_bool;
    uint32_t *source;  /* per series of the result: of many */
    uint32_t *partner; /* and its row of one */
};

static void join_row(const struct join *j, const double *many, const uint64_t *many_presence,
                     uint32_t one_row, double *out, uint64_t *presence)
{
    uint32_t steps = j->op.grid.steps;
    const double *one = matrix_values(j->one, one_row);
    const uint64_t *one_presence = matrix_presence(j->one, one_row);
    const double *left = j->swapped ? one : many, *right = j->swapped ? many : one;
    for (uint32_t i = 0; i < j->one->words; i++)
        presence[i] = many_presence[i] & one_presence[i];
    binary_apply_row(j->binary, j->return_bool, left, right, steps, out, presence);
    if (binary_is_comparison(j->binary) && !j->return_bool && left != out)
        memmove(out, left, steps * sizeof *out);
}

static bool join_morsel(struct operation *op, uint32_t idx, struct worker *w, struct batch *out)
{
    struct join *j = (struct join *)op;
    uint32_t first = op->morsel_first[idx], count = op->morsel_first[idx + 1] - first;
    if (count == 0) /* none of these series has a partner */
        return batch_new(w, first, 0, op->grid.steps, out);
    if (!operator_morsel(j->many, idx, w, out))
        return false;
    for (uint32_t i = 0; i < count;
         i++) { /* rows move towards the front, never past their source */
        uint32_t from = j->source[first + i] - out->first;
        join_row(j, batch_values(out, from), batch_presence(out, from), j->partner[first + i],
                 batch_values(out, i), batch_presence(out, i));
    }
    out->first = first;
    out->count = count;
    return batch_count(w, out);
}

static void join_release(struct operation *op)
{
    struct join *j = (struct join *)op;
    operator_release(j->many);
    matrix_free(op->eval, j->one);
    j->one = NULL;
}

static const struct operator_ops JOIN_OPS = {join_morsel, join_release};

/* Series of `one` by signature; false when one has several. */
static bool partners_find(struct eval *e, const struct operation *one, const uint32_t *one_sig,
                          uint32_t sig_count, uint32_t **out)
{
    uint32_t *partner = *out = ARENA_ARRAY(e->arena, uint32_t, (size_t)sig_count + 1);
    memset(partner, 0xff, (size_t)sig_count * sizeof *partner);
    for (uint32_t i = 0; i < one->series_count; i++) {
        if (partner[one_sig[i]] != UINT32_MAX)
            return false;
        partner[one_sig[i]] = i;
    }
    return true;
}

/* One to one: at most one series of many for each signature that has a partner. */
static bool many_is_single(struct eval *e, const struct operation *many, const uint32_t *many_sig,
                           uint32_t sig_count, const uint32_t *partner)
{
    bool *seen = ARENA_ARRAY(e->arena, bool, (size_t)sig_count + 1);
    for (uint32_t i = 0; i < many->series_count; i++) {
        if (partner[many_sig[i]] == UINT32_MAX)
            continue;
        if (seen[many_sig[i]])
            return false;
        seen[many_sig[i]] = true;
    }
    return true;
}

/* Who matches whom, and the labels of the results. */
static void join_pair(struct join *j, const struct operation *one, const uint32_t *many_sig,
                      const uint32_t *partner, const struct expr *x)
{
    struct operation *op = &j->op;
    const struct operation *many = j->many;
    struct eval *e = op->eval;
    struct match_labels labels;
    match_labels_init(&labels, e, x);
    op->labels = ARENA_ARRAY(e->arena, labels_id, (size_t)many->series_count + 1);
    op->drop_name = e->delayed_name_removal
                        ? ARENA_ARRAY(e->arena, bool, (size_t)many->series_count + 1)
                        : NULL;
    j->source = ARENA_ARRAY(e->arena, uint32_t, (size_t)many->series_count + 1);
    j->partner = ARENA_ARRAY(e->arena, uint32_t, (size_t)many->series_count + 1);
    op->morsel_count = many->morsel_count;
    op->morsel_first = ARENA_ARRAY(e->arena, uint32_t, (size_t)many->morsel_count + 1);
    uint32_t count = 0;
    for (uint32_t m = 0; m < many->morsel_count; m++) {
        op->morsel_first[m] = count;
        for (uint32_t i = many->morsel_first[m]; i < many->morsel_first[m + 1]; i++) {
            uint32_t row = partner[many_sig[i]];
            if (row == UINT32_MAX)
                continue;
            j->source[count] = i;
            j->partner[count] = row;
            op->labels[count] = match_labels_get(&labels, many->labels[i], one->labels[row]);
            if (op->drop_name)
                op->drop_name[count] =
                    x->u.binary.return_bool || (many->drop_name && many->drop_name[i]);
            count++;
        }
    }
    op->morsel_first[many->morsel_count] = count;
    op->series_count = count;
    match_labels_deinit(&labels);
}

static struct operation *join_open(struct operation *many, struct operation *one,
                                   const uint32_t *many_sig, const uint32_t *partner, bool swapped,
                                   const struct expr *x, bool *ambiguous, struct error *err)
{
    struct eval *e = many->eval;
    struct join *j = ARENA_NEW(e->arena, struct join);
    operator_init(&j->op, &JOIN_OPS, e, &many->grid);
    j->many = many;
    j->swapped = swapped;
    j->binary = x->u.binary.op;
    j->return_bool = x->u.binary.return_bool;
    join_pair(j, one, many_sig, partner, x);
    *ambiguous = !labels_are_distinct(j->op.labels, j->op.series_count);
    if (*ambiguous)
        return NULL;
    j->one = operator_materialise(one, err);
    operator_release(one);
    return j->one ? &j->op : NULL;
}

struct operation *operator_match(struct operation *left, struct operation *right,
                                 const struct expr *x, struct error *err)
{
    struct eval *e = left->eval;
    const struct vector_matching *m = x->u.binary.matching;
    if (x->u.binary.op == OP_TRIM_LOWER || x->u.binary.op == OP_TRIM_UPPER) {
        operator_release(left); /* defined for native histograms only */
        operator_release(right);
        return operator_empty(e, &left->grid);
    }
    struct signatures sigs;
    signatures_find(&sigs, left, right, m);
    bool swapped = m->card == CARD_ONE_TO_MANY;
    struct operation *many = swapped ? right : left, *one = swapped ? left : right;
    const uint32_t *many_sig = swapped ? sigs.right : sigs.left;
    const uint32_t *one_sig = swapped ? sigs.left : sigs.right;
    uint32_t *partner;
    bool by_step = m->has_fill_left || m->has_fill_right ||
                   !partners_find(e, one, one_sig, sigs.index.count, &partner) ||
                   (m->card == CARD_ONE_TO_ONE &&
                    !many_is_single(e, many, many_sig, sigs.index.count, partner));
    struct operation *out = NULL;
    if (!by_step)
        out = join_open(many, one, many_sig, partner, swapped, x, &by_step, err);
    if (by_step)
        out = match_by_step(many, one, many_sig, one_sig, &sigs.index, swapped, x, err);
    signatures_deinit(&sigs);
    return out;
}
