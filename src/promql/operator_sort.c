/* SPDX-License-Identifier: Apache-2.0 */
/* operator_sort.c: sort(), sort_desc(), sort_by_label(), sort_by_label_desc(): they give an instant result its
 * order, and mean nothing in a range query. */
#include "promql/operator_function.h"

#include "base/assert.h"
#include "promql/plan.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>

struct sort_key {
    const struct sorting *sorting;
    uint32_t series;
    double value;
};
struct sorting {
    const struct eval *eval;
    const labels_id *labels;
    const symbol_id *names; /* sort_by_label; NONE where unknown */
    uint32_t name_count;
    bool by_label, descending;
};

/* Runs of digits compare as numbers, so that "10" follows "9". */
static int natural_compare(struct view a, struct view b)
{
    size_t i = 0, j = 0;
    while (i < a.len && j < b.len) {
        if (!isdigit((unsigned char)a.ptr[i]) || !isdigit((unsigned char)b.ptr[j])) {
            if (a.ptr[i] != b.ptr[j])
                return (unsigned char)a.ptr[i] < (unsigned char)b.ptr[j] ? -1 : 1;
            i++;
            j++;
            continue;
        }
        while (i + 1 < a.len && a.ptr[i] == '0' && isdigit((unsigned char)a.ptr[i + 1]))
            i++;
        while (j + 1 < b.len && b.ptr[j] == '0' && isdigit((unsigned char)b.ptr[j + 1]))
            j++;
        size_t x = i, y = j;
        while (x < a.len && isdigit((unsigned char)a.ptr[x]))
            x++;
        while (y < b.len && isdigit((unsigned char)b.ptr[y]))
            y++;
        if (x - i != y - j)
            return x - i < y - j ? -1 : 1;
        int c = memcmp(a.ptr + i, b.ptr + j, x - i);
        if (c)
            return c;
        i = x;
        j = y;
    }
    return (a.len - i > b.len - j) - (a.len - i < b.len - j);
}

static int labels_order(const struct sorting *s, uint32_t a, uint32_t b)
{
    const struct label_store *store = s->eval->labels;
    for (uint32_t i = 0; i < s->name_count; i++) {
        if (s->names[i].n == LABEL_STORE_NONE)
            continue;
        symbol_id x = label_store_get(store, s->labels[a], s->names[i]);
        symbol_id y = label_store_get(store, s->labels[b], s->names[i]);
        if (x.n == y.n)
            continue;
        int c = natural_compare(label_store_text(store, x), label_store_text(store, y));
        if (c)
            return c;
    }
    return label_store_compare(store, s->labels[a], s->labels[b]);
}

/* NaN goes last in both directions; equal values keep the order of labels. */
static int keys_compare(const void *left, const void *right)
{
    const struct sort_key *a = left, *b = right;
    const struct sorting *s = a->sorting;
    if (s->by_label) {
        int c = labels_order(s, a->series, b->series);
        return s->descending ? -c : c;
    }
    if (isnan(a->value) != isnan(b->value))
        return isnan(a->value) ? 1 : -1;
    if (a->value != b->value && !isnan(a->value))
        return (a->value < b->value) != s->descending ? -1 : 1;
    return label_store_compare(s->eval->labels, s->labels[a->series], s->labels[b->series]);
}

static struct operation *sorted_operator(struct operation *child, const struct sorting *sorting,
                                         struct matrix *in, struct error *err)
{
    struct eval *e = child->eval;
    struct sort_key *keys = ARENA_ARRAY(e->arena, struct sort_key, (size_t)in->series_count + 1);
    uint32_t count = 0;
    for (uint32_t i = 0; i < in->series_count; i++)
        if (presence_get(matrix_presence(in, i), 0))
            keys[count++] = (struct sort_key){sorting, i, *matrix_values(in, i)};
    if (count)
        qsort(keys, count, sizeof *keys, keys_compare);
    struct matrix *m = matrix_new(e, count, 1, err);
    if (!m)
        return NULL;
    labels_id *labels = ARENA_ARRAY(e->arena, labels_id, (size_t)count + 1);
    bool *drop_name = child->drop_name ? ARENA_ARRAY(e->arena, bool, (size_t)count + 1) : NULL;
    for (uint32_t i = 0; i < count; i++) {
        *matrix_values(m, i) = keys[i].value;
        presence_set(matrix_presence(m, i), 0);
        labels[i] = child->labels[keys[i].series];
        if (drop_name)
            drop_name[i] = child->drop_name[keys[i].series];
    }
    if (!matrix_count(e, m, err))
        return NULL;
    struct operation *op = operator_from_matrix(e, &child->grid, m, labels, drop_name);
    op->ordered = true;
    return op;
}

struct operation *operator_sort(struct operation *child, const struct expr *call, struct error *err)
{
    struct eval *e = child->eval;
    if (child->grid.steps > 1) {
        eval_annotate(e, ANNOTATION_WARNING, call->span,
                      "sort is ineffective for range queries since results are always ordered by "
                      "labels");
        return child;
    }
    enum function_id id = call->u.call.function->id;
    struct sorting s = {
        .eval = e,
        .labels = child->labels,
        .name_count = call->u.call.arg_count - 1,
        .by_label = id == FUNCTION_SORT_BY_LABEL || id == FUNCTION_SORT_BY_LABEL_DESC,
        .descending = id == FUNCTION_SORT_DESC || id == FUNCTION_SORT_BY_LABEL_DESC};
    symbol_id *names = ARENA_ARRAY(e->arena, symbol_id, (size_t)s.name_count + 1);
    for (uint32_t i = 0; i < s.name_count; i++)
        names[i] =
            label_store_find_symbol(e->labels, expr_unwrap(call->u.call.args[1 + i])->u.string);
    s.names = names;
    struct matrix *in = operator_materialise(child, err);
    struct operation *out = in ? sorted_operator(child, &s, in, err) : NULL;
    matrix_free(e, in);
    operator_release(child);
    return out;
}
