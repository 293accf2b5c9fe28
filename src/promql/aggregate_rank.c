/* SPDX-License-Identifier: Apache-2.0 */
/* aggregate_rank.c: topk, bottomk, limitk and limit_ratio: aggregations that choose among their series.
 *
 * Per group and step there is a heap of at most k (value, series), the worst on top; equal values prefer the
 * series that came first. limitk is a heap that never replaces. Heaps are fed in the order of morsels. */
#include "promql/aggregate.h"

#include "base/assert.h"

#include <math.h>
#include <stdlib.h>

struct ranked {
    double value; /* for bottomk negated: more is better */
    uint32_t series;
};

struct ranking {
    struct fold fold;
    struct operation *child;
    enum aggregate_op op;
    const struct groups *groups;
    const double *k;    /* per step */
    uint32_t *capacity; /* per group: the longest heap */
    size_t *first;      /* per group: its heaps begin here, step by step, capacity apart */
    uint32_t *used;     /* [group * steps + step] */
    struct ranked *entries;
    uint32_t row_count;
    uint32_t *row_of_series; /* in the result; UINT32_MAX = in no heap */
};

/* Is a worse than b? NaN is worse than everything. */
static bool ranked_worse(struct ranked a, struct ranked b)
{
    if (isnan(a.value) || isnan(b.value))
        return isnan(a.value) && isnan(b.value) ? a.series > b.series : isnan(a.value);
    return a.value < b.value || (a.value == b.value && a.series > b.series);
}

static void heap_sift_down(struct ranked *heap, uint32_t count, uint32_t at)
{
    for (;;) {
        uint32_t child = 2 * at + 1;
        if (child >= count)
            return;
        if (child + 1 < count && ranked_worse(heap[child + 1], heap[child]))
            child++;
        if (!ranked_worse(heap[child], heap[at]))
            return;
        struct ranked t = heap[at];
        heap[at] = heap[child];
        heap[child] = t;
        at = child;
    }
}

static void heap_push(struct ranked *heap, uint32_t *count, struct ranked r)
{
    uint32_t at = (*count)++;
    heap[at] = r;
    while (at > 0 && ranked_worse(heap[at], heap[(at - 1) / 2])) {
        struct ranked t = heap[at];
        heap[at] = heap[(at - 1) / 2];
        heap[(at - 1) / 2] = t;
        at = (at - 1) / 2;
    }
}

static void ranking_offer(struct ranking *r, uint32_t group, uint32_t step, struct ranked entry)
{
    uint32_t capacity = r->capacity[group];
    uint32_t *used = &r->used[(size_t)group * r->child->grid.steps + step];
    struct ranked *heap = r->entries + r->first[group] + (size_t)step * capacity;
    double k = r->k[step];
    if (*used < capacity && (double)*used + 1 <= k) {
        heap_push(heap, used, entry);
    } else if (*used && r->op != AGGREGATE_LIMITK && ranked_worse(heap[0], entry)) {
        heap[0] = entry;
        heap_sift_down(heap, *used, 0);
    }
}

static bool ranking_digest(struct fold *f, struct worker *w, uint32_t idx, struct batch *b,
                           void **partial)
{
    struct batch *kept = mem_alloc(MEM_QUERY, sizeof *kept);
    *kept = *b;
    b->buffer = NULL;
    *partial = kept;
    return true;
}

static void ranking_drop(struct fold *f, void *partial)
{
    batch_free(((struct ranking *)f)->child->eval, partial);
    mem_free(MEM_QUERY, partial);
}

static bool ranking_merge(struct fold *f, struct worker *w, uint32_t idx, void *partial)
{
    struct ranking *r = (struct ranking *)f;
    struct batch *b = partial;
    double sign = r->op == AGGREGATE_BOTTOMK ? -1 : 1;
    for (uint32_t i = 0; i < b->count; i++) {
        uint32_t series = b->first + i, group = r->groups->of_series[series];
        const double *values = batch_values(b, i);
        const uint64_t *presence = batch_presence(b, i);
        for (uint32_t word = 0; word < b->words; word++)
            for (uint64_t bits = presence[word]; bits; bits &= bits - 1) {
                uint32_t s = word * 64 + (uint32_t)__builtin_ctzll(bits);
                ranking_offer(r, group, s, (struct ranked){sign * values[s], series});
            }
    }
    ranking_drop(f, partial);
    return true;
}

static bool ranking_open(struct ranking *r, struct error *err)
{
    struct eval *e = r->child->eval;
    uint32_t steps = r->child->grid.steps, groups = r->groups->count;
    double k_max = 0;
    for (uint32_t s = 0; s < steps; s++)
        k_max = fmax(k_max, r->k[s]);
    r->capacity = ARENA_ARRAY(e->arena, uint32_t, (size_t)groups + 1);
    r->first = ARENA_ARRAY(e->arena, size_t, (size_t)groups + 1);
    for (uint32_t i = 0; i < r->child->series_count; i++)
        if ((double)r->capacity[r->groups->of_series[i]] + 1 <= k_max)
            r->capacity[r->groups->of_series[i]]++;
    size_t total = 0;
    for (uint32_t g = 0; g < groups; g++) {
        r->first[g] = total;
        total += (size_t)r->capacity[g] * steps;
    }
    r->used = eval_try_alloc(e, (size_t)groups * steps * sizeof *r->used, err);
    if (!r->used)
        return false;
    memset(r->used, 0, (size_t)groups * steps * sizeof *r->used);
    r->entries = eval_try_alloc(e, total * sizeof *r->entries, err);
    return r->entries != NULL;
}

static void ranking_close(struct ranking *r)
{
    struct eval *e = r->child->eval;
    uint32_t steps = r->child->grid.steps, groups = r->groups->count;
    size_t total = 0;
    for (uint32_t g = 0; g < groups; g++)
        total += (size_t)r->capacity[g] * steps;
    eval_free(e, r->used, (size_t)groups * steps * sizeof *r->used);
    eval_free(e, r->entries, total * sizeof *r->entries);
}

static int ranked_compare(const void *a, const void *b)
{
    return ranked_worse(*(const struct ranked *)a, *(const struct ranked *)b) ? 1 : -1;
}

/* Instant: the best first, group by group. */
static void heaps_sort(struct ranking *r)
{
    for (uint32_t g = 0; g < r->groups->count; g++)
        if (r->used[g] > 1)
            qsort(r->entries + r->first[g], r->used[g], sizeof *r->entries, ranked_compare);
}

/* Gives each series that is in some heap a row, in the order of heaps (one step) or of series. */
static void rows_number(struct ranking *r)
{
    struct eval *e = r->child->eval;
    uint32_t steps = r->child->grid.steps;
    r->row_of_series = ARENA_ARRAY(e->arena, uint32_t, (size_t)r->child->series_count + 1);
    memset(r->row_of_series, 0xff, (size_t)r->child->series_count * sizeof(uint32_t));
    for (uint32_t g = 0; g < r->groups->count; g++)
        for (uint32_t s = 0; s < steps; s++)
            for (uint32_t i = 0; i < r->used[(size_t)g * steps + s]; i++) {
                uint32_t series = r->entries[r->first[g] + (size_t)s * r->capacity[g] + i].series;
                if (r->row_of_series[series] == UINT32_MAX)
                    r->row_of_series[series] = r->row_count++;
            }
    if (steps == 1)
        return;
    uint32_t next = 0;
    for (uint32_t i = 0; i < r->child->series_count; i++)
        if (r->row_of_series[i] != UINT32_MAX)
            r->row_of_series[i] = next++;
}

static struct operation *ranking_result(struct ranking *r, struct error *err)
{
    struct eval *e = r->child->eval;
    const struct operation *child = r->child;
    uint32_t steps = child->grid.steps;
    double sign = r->op == AGGREGATE_BOTTOMK ? -1 : 1;
    struct matrix *m = matrix_new(e, r->row_count, steps, err);
    if (!m)
        return NULL;
    labels_id *labels = ARENA_ARRAY(e->arena, labels_id, (size_t)r->row_count + 1);
    bool *drop_name =
        child->drop_name ? ARENA_ARRAY(e->arena, bool, (size_t)r->row_count + 1) : NULL;
    for (uint32_t i = 0; i < child->series_count; i++) {
        uint32_t row = r->row_of_series[i];
        if (row == UINT32_MAX)
            continue;
        labels[row] = child->labels[i];
        if (drop_name)
            drop_name[row] = child->drop_name[i];
    }
    for (uint32_t g = 0; g < r->groups->count; g++)
        for (uint32_t s = 0; s < steps; s++)
            for (uint32_t i = 0; i < r->used[(size_t)g * steps + s]; i++) {
                struct ranked entry = r->entries[r->first[g] + (size_t)s * r->capacity[g] + i];
                uint32_t row = r->row_of_series[entry.series];
                matrix_values(m, row)[s] = sign * entry.value;
                presence_set(matrix_presence(m, row), s);
            }
    if (!matrix_count(e, m, err))
        return NULL;
    struct operation *op = operator_from_matrix(e, &child->grid, m, labels, drop_name);
    op->ordered = steps == 1 && r->op != AGGREGATE_LIMITK;
    return op;
}

/* --- limit_ratio --- */

struct ratio {
    struct operation op;
    struct operation *child;
    const double *ratios;
};

static bool ratio_morsel(struct operation *op, uint32_t idx, struct worker *w, struct batch *out)
{
    struct ratio *r = (struct ratio *)op;
    if (!operator_morsel(r->child, idx, w, out))
        return false;
    for (uint32_t i = 0; i < out->count; i++) {
        double at =
            (double)label_store_hash(op->eval->labels, op->labels[out->first + i]) * 0x1p-64;
        for (uint32_t s = 0; s < op->grid.steps; s++)
            if (!(r->ratios[s] >= 0 ? at < r->ratios[s] : at >= 1 + r->ratios[s]))
                presence_clear(batch_presence(out, i), s);
    }
    return batch_count(w, out);
}

static void ratio_release(struct operation *op)
{
    operator_release(((struct ratio *)op)->child);
}

static const struct operator_ops RATIO_OPS = {ratio_morsel, ratio_release};

static struct operation *operator_limit_ratio(struct operation *child, const double *ratios)
{
    struct ratio *r = ARENA_NEW(child->eval->arena, struct ratio);
    operator_init(&r->op, &RATIO_OPS, child->eval, &child->grid);
    operator_inherit(&r->op, child);
    r->child = child;
    r->ratios = ratios;
    return &r->op;
}

struct operation *aggregate_rank(struct operation *child, const struct expr *x,
                                 const struct groups *groups, const double *param,
                                 struct error *err)
{
    if (x->u.aggregate.op == AGGREGATE_LIMIT_RATIO)
        return operator_limit_ratio(child, param);
    struct ranking r = {.fold = {ranking_digest, ranking_merge, ranking_drop},
                        .child = child,
                        .op = x->u.aggregate.op,
                        .groups = groups,
                        .k = param};
    struct operation *out = NULL;
    bool ok = ranking_open(&r, err) && operator_fold(child, &r.fold, err);
    operator_release(child);
    if (ok) {
        if (child->grid.steps == 1 && r.op != AGGREGATE_LIMITK)
            heaps_sort(&r);
        rows_number(&r);
        out = ranking_result(&r, err);
    }
    ranking_close(&r);
    return out;
}
