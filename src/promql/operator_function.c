/* SPDX-License-Identifier: Apache-2.0 */
/* operator_function.c: scalar(), absent(), label_replace(), label_join(). */
#include "promql/operator_function.h"

#include "base/assert.h"
#include "base/regex.h"
#include "base/utf8.h"
#include "promql/label_ops.h"
#include "promql/operator_map.h"
#include "promql/plan.h"

#include <math.h>

/* --- scalar --- */

const double *vector_to_scalar(struct operation *child, struct error *err)
{
    struct matrix *m = operator_materialise(child, err);
    operator_release(child);
    if (!m)
        return NULL;
    double *out = ARENA_ARRAY(child->eval->arena, double, m->steps);
    uint32_t *count = ARENA_ARRAY(child->eval->arena, uint32_t, m->steps);
    for (uint32_t i = 0; i < m->series_count; i++)
        for (uint32_t s = 0; s < m->steps; s++)
            if (presence_get(matrix_presence(m, i), s)) {
                out[s] = matrix_values(m, i)[s];
                count[s]++;
            }
    for (uint32_t s = 0; s < m->steps; s++)
        if (count[s] != 1)
            out[s] = NAN;
    matrix_free(child->eval, m);
    return out;
}

/* --- absent --- */

struct absent {
    struct fold fold;
    uint64_t *bits; /* steps at which some series is there */
    uint32_t words;
};

static bool absent_digest(struct fold *f, struct worker *w, uint32_t idx, struct batch *b,
                          void **partial)
{
    uint64_t *bits = mem_alloc_zero(MEM_QUERY, b->words, sizeof *bits);
    for (uint32_t i = 0; i < b->count; i++)
        for (uint32_t k = 0; k < b->words; k++)
            bits[k] |= batch_presence(b, i)[k];
    *partial = bits;
    return true;
}

static void absent_drop(struct fold *f, void *partial)
{
    mem_free(MEM_QUERY, partial);
}

static bool absent_merge(struct fold *f, struct worker *w, uint32_t idx, void *partial)
{
    struct absent *a = (struct absent *)f;
    const uint64_t *bits = partial;
    for (uint32_t k = 0; k < a->words; k++)
        a->bits[k] |= bits[k];
    absent_drop(f, partial);
    return true;
}

/* The labels that the argument's equality matchers name, unless a name is matched twice. */
static labels_id absent_labels(struct eval *e, const struct expr *argument)
{
    if (argument->kind == EXPR_MATRIX)
        argument = argument->u.matrix.selector;
    if (argument->kind != EXPR_SELECTOR)
        return (labels_id){0};
    const struct selector *s = &argument->u.selector;
    struct labels_builder b;
    labels_builder_init(&b, e->arena);
    for (uint32_t i = 0; i < s->matcher_count; i++) {
        const struct matcher *m = &s->matchers[i];
        bool seen = false;
        if (view_is(m->name, LABEL_NAME))
            continue;
        for (uint32_t k = 0; k < i; k++)
            seen |= view_eq(s->matchers[k].name, m->name) && s->matchers[k].type == MATCH_EQUAL;
        if (m->type == MATCH_EQUAL && !seen)
            labels_builder_set(&b, m->name, m->value);
        else
            labels_builder_delete(&b, m->name);
    }
    return label_store_add(e->labels, labels_builder_finish(&b));
}

struct operation *operator_absent(struct operation *child, const struct expr *argument,
                                  struct error *err)
{
    struct eval *e = child->eval;
    struct grid grid = child->grid;
    struct absent a = {.fold = {absent_digest, absent_merge, absent_drop},
                       .words = presence_words(grid.steps)};
    a.bits = ARENA_ARRAY(e->arena, uint64_t, a.words);
    bool ok = operator_fold(child, &a.fold, err);
    operator_release(child);
    struct matrix *m = ok ? matrix_new(e, 1, grid.steps, err) : NULL;
    if (!m)
        return NULL;
    for (uint32_t s = 0; s < grid.steps; s++) {
        if (presence_get(a.bits, s))
            continue;
        matrix_values(m, 0)[s] = 1;
        presence_set(matrix_presence(m, 0), s);
    }
    labels_id *labels = ARENA_NEW(e->arena, labels_id);
    *labels = absent_labels(e, argument);
    return matrix_count(e, m, err) ? operator_from_matrix(e, &grid, m, labels, NULL) : NULL;
}

/* --- labels --- */

static struct view string_arg(const struct expr *call, uint32_t idx)
{
    return expr_unwrap(call->u.call.args[idx])->u.string;
}

static bool label_name_check(struct view name, const char *what, const char *function,
                             struct error *err)
{
    if (name.len && utf8_is_valid(name))
        return true;
    return error_set(err, ERROR_EXECUTION, "invalid %s label name in %s(): %.*s", what, function,
                     VIEW_ARGS(name));
}

/* The child with one label set to another value in every series. */
struct relabel {
    struct operation *out;
    struct view name;
    symbol_id name_symbol;
    struct arena scratch;
};

static void relabel_begin(struct relabel *r, struct operation *child, struct view name)
{
    struct eval *e = child->eval;
    r->out = operator_map(child, &(struct map_call){.kind = MAP_LABELS});
    r->out->labels = ARENA_ARRAY(e->arena, labels_id, (size_t)child->series_count + 1);
    r->name = name;
    r->name_symbol = label_store_add_symbol(e->labels, name);
    if (child->drop_name) {
        r->out->drop_name = ARENA_ARRAY(e->arena, bool, (size_t)child->series_count + 1);
        memcpy(r->out->drop_name, child->drop_name, child->series_count);
    }
    arena_init(&r->scratch, MEM_QUERY, 0);
}

static void relabel_set(struct relabel *r, uint32_t series, labels_id from, struct view value)
{
    struct eval *e = r->out->eval;
    if (r->out->drop_name && r->name_symbol.n == e->name_symbol.n)
        r->out->drop_name[series] = false; /* a name given on purpose stays */
    if (view_eq(label_store_text(e->labels, label_store_get(e->labels, from, r->name_symbol)),
                value)) {
        r->out->labels[series] = from;
        return;
    }
    struct labels_builder b;
    arena_reset(&r->scratch);
    labels_builder_init(&b, &r->scratch);
    labels_builder_reset(&b, label_store_labels(e->labels, from, &r->scratch));
    labels_builder_set(&b, r->name, value);
    r->out->labels[series] = label_store_add(e->labels, labels_builder_finish(&b));
}

static struct operation *relabel_end(struct relabel *r, bool ok, struct error *err)
{
    arena_deinit(&r->scratch);
    return ok ? operator_merge(r->out, err) : NULL;
}

enum { LABEL_VALUE_BYTES_MAX = 1 << 20 };

/* Values are made by expressions, as long as these like, and kept: each that is long is checked, others now and then. */
static bool value_check(struct eval *e, const struct buffer *value, uint32_t series,
                        const char *function, struct error *err)
{
    if (UNLIKELY(value->failed))
        return error_set(err, ERROR_LIMIT, "%s() would make a label value of more than %d bytes",
                         function, LABEL_VALUE_BYTES_MAX);
    if (LIKELY(value->len < 1024 && series % 256))
        return true;
    return eval_check(e, err) && eval_check_memory(e, err);
}

struct operation *operator_label_replace(struct operation *child, const struct expr *call,
                                         struct error *err)
{
    struct eval *e = child->eval;
    struct view destination = string_arg(call, 1), replacement = string_arg(call, 2);
    struct view source = string_arg(call, 3), pattern = string_arg(call, 4);
    struct regex *regex = NULL;
    struct error why;
    if (!regex_new(&regex, pattern, &why)) {
        (void)error_set(err, ERROR_EXECUTION, "invalid regular expression in label_replace(): %.*s",
                        VIEW_ARGS(pattern));
        return NULL;
    }
    if (!label_name_check(destination, "destination", "label_replace", err)) {
        regex_free(regex);
        return NULL;
    }
    symbol_id source_symbol = label_store_find_symbol(e->labels, source);
    struct relabel r;
    relabel_begin(&r, child, destination);
    struct buffer value;
    buffer_init(&value, MEM_QUERY, LABEL_VALUE_BYTES_MAX);
    symbol_id last = {LABEL_STORE_NONE}; /* neighbours often have the same value */
    bool matched = false, ok = true;
    for (uint32_t i = 0; ok && i < child->series_count; i++) {
        symbol_id from = {0};
        if (source_symbol.n != LABEL_STORE_NONE)
            from = label_store_get(e->labels, child->labels[i], source_symbol);
        if (from.n != last.n) {
            buffer_reset(&value);
            matched = regex_expand(regex, label_store_text(e->labels, from), replacement, &value);
            last = from;
        }
        if (matched)
            relabel_set(&r, i, child->labels[i], buffer_view(&value));
        else
            r.out->labels[i] = child->labels[i];
        ok = value_check(e, &value, i, "label_replace", err);
    }
    buffer_deinit(&value);
    regex_free(regex);
    return relabel_end(&r, ok, err);
}

struct operation *operator_label_join(struct operation *child, const struct expr *call,
                                      struct error *err)
{
    struct eval *e = child->eval;
    struct view destination = string_arg(call, 1), separator = string_arg(call, 2);
    uint32_t count = call->u.call.arg_count - 3;
    symbol_id *sources = ARENA_ARRAY(e->arena, symbol_id, (size_t)count + 1);
    for (uint32_t k = 0; k < count; k++) {
        struct view name = string_arg(call, 3 + k);
        if (!label_name_check(name, "source", "label_join", err))
            return NULL;
        sources[k] = label_store_find_symbol(e->labels, name);
    }
    if (!label_name_check(destination, "destination", "label_join", err))
        return NULL;
    struct relabel r;
    relabel_begin(&r, child, destination);
    struct buffer value;
    buffer_init(&value, MEM_QUERY, LABEL_VALUE_BYTES_MAX);
    bool ok = true;
    for (uint32_t i = 0; ok && i < child->series_count; i++) {
        buffer_reset(&value);
        for (uint32_t k = 0; k < count; k++) {
            if (k)
                buffer_append_view(&value, separator);
            if (sources[k].n != LABEL_STORE_NONE)
                buffer_append_view(
                    &value, label_store_text(e->labels, label_store_get(e->labels, child->labels[i],
                                                                        sources[k])));
        }
        ok = value_check(e, &value, i, "label_join", err);
        if (ok)
            relabel_set(&r, i, child->labels[i], buffer_view(&value));
    }
    buffer_deinit(&value);
    return relabel_end(&r, ok, err);
}
