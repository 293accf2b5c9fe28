/* SPDX-License-Identifier: Apache-2.0 */
/* match_set.c: and, or, unless: what is there at a step, by signature. The right side of `and` and `unless` is
 * kept as one bitmap per signature and the left streams through; `or` keeps the left side. */
#include "promql/match.h"

#include "base/assert.h"
#include "promql/match_private.h"

/* Which steps some series of each signature is there. */
struct signature_bits {
    struct fold fold;
    struct operation *op;
    const uint32_t *sig;
    uint64_t *bits; /* words per signature; arena */
    uint32_t words;
};

static bool bits_digest(struct fold *f, struct worker *w, uint32_t idx, struct batch *b,
                        void **partial)
{
    struct batch *kept = mem_alloc(MEM_QUERY, sizeof *kept);
    *kept = *b;
    b->buffer = NULL;
    *partial = kept;
    return true;
}

static void bits_drop(struct fold *f, void *partial)
{
    batch_free(((struct signature_bits *)f)->op->eval, partial);
    mem_free(MEM_QUERY, partial);
}

static bool bits_merge(struct fold *f, struct worker *w, uint32_t idx, void *partial)
{
    struct signature_bits *s = (struct signature_bits *)f;
    const struct batch *b = partial;
    for (uint32_t i = 0; i < b->count; i++) {
        uint64_t *bits = s->bits + (size_t)s->sig[b->first + i] * s->words;
        for (uint32_t k = 0; k < s->words; k++)
            bits[k] |= batch_presence(b, i)[k];
    }
    bits_drop(f, partial);
    return true;
}

static uint64_t *signature_bits_new(struct operation *op, uint32_t sig_count)
{
    return ARENA_ARRAY(op->eval->arena, uint64_t,
                       (size_t)sig_count * presence_words(op->grid.steps) + 1);
}

/* --- left masked by right --- */

struct mask {
    struct operation op;
    struct operation *child;
    const uint32_t *sig; /* per series of child */
    const uint64_t *bits;
    bool keep; /* where bits are set; else where they are not */
};

static bool mask_morsel(struct operation *op, uint32_t idx, struct worker *w, struct batch *out)
{
    struct mask *m = (struct mask *)op;
    if (!operator_morsel(m->child, idx, w, out))
        return false;
    for (uint32_t i = 0; i < out->count; i++) {
        const uint64_t *bits = m->bits + (size_t)m->sig[out->first + i] * out->words;
        uint64_t *presence = batch_presence(out, i);
        for (uint32_t k = 0; k < out->words; k++)
            presence[k] &= m->keep ? bits[k] : ~bits[k];
    }
    return batch_count(w, out);
}

static void mask_release(struct operation *op)
{
    operator_release(((struct mask *)op)->child);
}

static const struct operator_ops MASK_OPS = {mask_morsel, mask_release};

static struct operation *operator_mask(struct operation *child, const uint32_t *sig,
                                       const uint64_t *bits, bool keep)
{
    struct mask *m = ARENA_NEW(child->eval->arena, struct mask);
    operator_init(&m->op, &MASK_OPS, child->eval, &child->grid);
    operator_inherit(&m->op, child);
    m->child = child;
    m->sig = sig;
    m->bits = bits;
    m->keep = keep;
    return &m->op;
}

/* --- one after the other --- */

struct concat {
    struct operation op;
    struct operation *first, *second;
};

static bool concat_morsel(struct operation *op, uint32_t idx, struct worker *w, struct batch *out)
{
    struct concat *c = (struct concat *)op;
    if (idx < c->first->morsel_count)
        return operator_morsel(c->first, idx, w, out);
    if (!operator_morsel(c->second, idx - c->first->morsel_count, w, out))
        return false;
    out->first += c->first->series_count;
    return true;
}

static void concat_release(struct operation *op)
{
    struct concat *c = (struct concat *)op;
    operator_release(c->first);
    operator_release(c->second);
}

static const struct operator_ops CONCAT_OPS = {concat_morsel, concat_release};

static void concat_names(struct operation *op, const struct operation *a, const struct operation *b)
{
    if (!a->drop_name && !b->drop_name)
        return;
    op->drop_name = ARENA_ARRAY(op->eval->arena, bool, (size_t)op->series_count + 1);
    for (uint32_t i = 0; a->drop_name && i < a->series_count; i++)
        op->drop_name[i] = a->drop_name[i];
    for (uint32_t i = 0; b->drop_name && i < b->series_count; i++)
        op->drop_name[a->series_count + i] = b->drop_name[i];
}

static struct operation *operator_concat(struct operation *a, struct operation *b)
{
    struct eval *e = a->eval;
    struct concat *c = ARENA_NEW(e->arena, struct concat);
    struct operation *op = &c->op;
    operator_init(op, &CONCAT_OPS, e, &a->grid);
    c->first = a;
    c->second = b;
    op->series_count = a->series_count + b->series_count;
    op->labels = ARENA_ARRAY(e->arena, labels_id, (size_t)op->series_count + 1);
    for (uint32_t i = 0; i < a->series_count; i++)
        op->labels[i] = a->labels[i];
    for (uint32_t i = 0; i < b->series_count; i++)
        op->labels[a->series_count + i] = b->labels[i];
    concat_names(op, a, b);
    op->morsel_count = a->morsel_count + b->morsel_count;
    op->morsel_first = ARENA_ARRAY(e->arena, uint32_t, (size_t)op->morsel_count + 1);
    for (uint32_t i = 0; i < a->morsel_count; i++)
        op->morsel_first[i] = a->morsel_first[i];
    for (uint32_t i = 0; i <= b->morsel_count; i++)
        op->morsel_first[a->morsel_count + i] = a->series_count + b->morsel_first[i];
    return op;
}

/* --- the operators --- */

static struct operation *set_or(struct operation *left, struct operation *right,
                                const struct signatures *sigs, struct error *err)
{
    struct eval *e = left->eval;
    struct matrix *m = operator_materialise(left, err);
    operator_release(left);
    if (!m)
        return NULL;
    uint64_t *bits = signature_bits_new(left, sigs->index.count);
    for (uint32_t i = 0; i < m->series_count; i++)
        for (uint32_t k = 0; k < m->words; k++)
            bits[(size_t)sigs->left[i] * m->words + k] |= matrix_presence(m, i)[k];
    struct operation *kept = operator_from_matrix(e, &left->grid, m, left->labels, left->drop_name);
    struct operation *rest = operator_mask(right, sigs->right, bits, false);
    return operator_merge(operator_concat(kept, rest), err);
}

struct operation *operator_set(struct operation *left, struct operation *right,
                               const struct expr *x, struct error *err)
{
    struct signatures sigs;
    signatures_find(&sigs, left, right, x->u.binary.matching);
    struct operation *out = NULL;
    if (x->u.binary.op == OP_OR) {
        out = set_or(left, right, &sigs, err);
    } else {
        struct signature_bits s = {.fold = {bits_digest, bits_merge, bits_drop},
                                   .op = right,
                                   .sig = sigs.right,
                                   .bits = signature_bits_new(right, sigs.index.count),
                                   .words = presence_words(right->grid.steps)};
        bool ok = operator_fold(right, &s.fold, err);
        operator_release(right);
        if (ok)
            out = operator_mask(left, sigs.left, s.bits, x->u.binary.op == OP_AND);
    }
    signatures_deinit(&sigs);
    return out;
}
