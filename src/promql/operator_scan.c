/* SPDX-License-Identifier: Apache-2.0 */
/* operator_scan.c: reads series, or takes the steps of a subquery as samples, and computes windows. */
#include "promql/operator_scan.h"

#include "base/assert.h"

/* --- is it a counter? --- */

/* rate and increase of something not called like a counter: one annotation per metric name, when it
 * has given a result. */
struct counter_names {
    uint32_t count;      /* of suspects */
    symbol_id *suspects; /* 1-based by number */
    uint32_t *of_series; /* number of the suspect, 0 = none */
    _Atomic bool *told;
};

static bool name_is_counter(struct view name)
{
    return name.len == 0 || view_has_suffix(name, VIEW("_total")) ||
           view_has_suffix(name, VIEW("_sum")) || view_has_suffix(name, VIEW("_count")) ||
           view_has_suffix(name, VIEW("_bucket"));
}

static uint32_t counter_names_add(struct counter_names *c, struct arena *arena, size_t *capacity,
                                  symbol_id name)
{
    for (uint32_t i = 0; i < c->count; i++)
        if (c->suspects[i].n == name.n)
            return i + 1;
    c->suspects =
        arena_grow(arena, c->suspects, capacity, (size_t)c->count + 1, sizeof *c->suspects);
    c->suspects[c->count] = name;
    return ++c->count;
}

/* Names beyond this are not looked at: annotations are for people. */
enum { COUNTER_SUSPECTS_MAX = 64 };

static void counter_names_find(struct counter_names *c, const struct operation *op)
{
    struct eval *e = op->eval;
    size_t capacity = 0;
    symbol_id last = {LABEL_STORE_NONE};
    uint32_t last_number = 0;
    for (uint32_t i = 0; i < op->series_count; i++) {
        symbol_id name = label_store_get(e->labels, op->labels[i], e->name_symbol);
        if (name.n != last.n) {
            last = name;
            bool suspect = !name_is_counter(label_store_text(e->labels, name)) &&
                           c->count < COUNTER_SUSPECTS_MAX;
            last_number = suspect ? counter_names_add(c, e->arena, &capacity, name) : 0;
        }
        if (last_number && !c->of_series)
            c->of_series = ARENA_ARRAY(e->arena, uint32_t, op->series_count);
        if (c->of_series)
            c->of_series[i] = last_number;
    }
    c->told = (_Atomic bool *)ARENA_ARRAY(e->arena, _Atomic bool, (size_t)c->count + 1);
}

static void counter_names_check(struct counter_names *c, const struct operation *op,
                                uint32_t series, struct span where, const uint64_t *presence)
{
    uint32_t number = c->of_series[series];
    if (!number || !presence_count(presence, presence_words(op->grid.steps)) ||
        atomic_exchange_explicit(&c->told[number], true, memory_order_relaxed))
        return;
    struct view name = label_store_text(op->eval->labels, c->suspects[number - 1]);
    eval_annotate(op->eval, ANNOTATION_INFO, where,
                  "metric might not be a counter, name does not end in "
                  "_total/_sum/_count/_bucket: \"%.*s\"",
                  VIEW_ARGS(name));
}

static bool call_wants_counter(const struct window_call *call)
{
    return call->kind == WINDOW_FUNCTION &&
           (call->function == FUNCTION_RATE || call->function == FUNCTION_INCREASE);
}

/* --- selectors --- */

struct scan {
    struct operation op;
    struct series_list series;
    struct window_frame frame;
    struct window_call call;
    struct counter_names names;
    struct span where;
    enum sample_counting counting;
    struct plan_node *node; /* of the selector; NULL = nobody asked */
    int64_t mint, maxt;
};

/* Counts the longest series at hand, for only one is decoded at a time. */
static bool scan_count(struct worker *w, size_t count, int64_t *counted)
{
    if ((int64_t)count <= *counted)
        return true;
    if (!eval_add_samples(w->eval, (int64_t)count - *counted, &w->error))
        return false;
    *counted = (int64_t)count;
    return true;
}

static bool scan_rows(struct scan *s, struct worker *w, struct batch *out, int64_t *read)
{
    int64_t counted = 0;
    bool ok = true;
    for (uint32_t i = 0; ok && i < out->count; i++) {
        struct samples samples;
        uint32_t series = out->first + i;
        ok = worker_read(w, s->series.items[series].ref, s->mint, s->maxt, &samples) &&
             scan_count(w, samples.count, &counted);
        if (!ok || !samples.count)
            continue;
        ok = window_apply(w, s, &s->frame, &s->call, &samples, batch_values(out, i),
                          batch_presence(out, i));
        *read += window_samples_used(w);
        if (UNLIKELY(w->eval->by_step) && s->counting == COUNT_AT_STEPS)
            window_samples_add(w, &s->frame, &s->call, batch_presence(out, i),
                               worker_step_samples(w));
        if (UNLIKELY(s->names.of_series))
            counter_names_check(&s->names, &s->op, series, s->where, batch_presence(out, i));
    }
    eval_remove_samples(w->eval, counted);
    return ok;
}

static bool scan_morsel(struct operation *op, uint32_t idx, struct worker *w, struct batch *out)
{
    struct scan *s = (struct scan *)op;
    uint32_t first = op->morsel_first[idx];
    if (!batch_new(w, first, op->morsel_first[idx + 1] - first, op->grid.steps, out))
        return false;
    int64_t read = 0;
    bool ok = scan_rows(s, w, out, &read);
    worker_count_read(w, s->counting, read);
    if (s->node)
        atomic_fetch_add_explicit(&s->node->samples_read, read, memory_order_relaxed);
    if (ok)
        return batch_count(w, out);
    batch_free(w->eval, out);
    return false;
}

static const struct operator_ops SCAN_OPS = {scan_morsel, NULL};

static void series_keep(struct series_list *list, bool (*keep)(void *arg, labels_id id), void *arg)
{
    size_t kept = 0;
    for (size_t i = 0; i < list->count; i++)
        if (keep(arg, list->items[i].labels))
            list->items[kept++] = list->items[i];
    list->count = kept;
}

struct operation *operator_scan(struct eval *e, const struct selector *selector, struct span where,
                                const struct window_frame *frame, const struct window_call *call,
                                struct error *err)
{
    return operator_scan_where(e, selector, where, frame, call, NULL, NULL, err);
}

struct operation *operator_scan_where(struct eval *e, const struct selector *selector,
                                      struct span where, const struct window_frame *frame,
                                      const struct window_call *call,
                                      bool (*keep)(void *arg, labels_id id), void *arg,
                                      struct error *err)
{
    struct scan *s = ARENA_NEW(e->arena, struct scan);
    operator_init(&s->op, &SCAN_OPS, e, &frame->grid);
    s->frame = *frame;
    s->call = *call;
    s->where = where;
    s->counting = e->counting;
    s->mint = frame_mint(frame) - (call->extended ? call->lookback_ms : 0);
    s->maxt = frame_maxt(frame) + (call->smoothed ? call->lookback_ms : 0);
    struct select what = {.matchers = selector->matchers,
                          .matcher_count = selector->matcher_count,
                          .mint = s->mint,
                          .maxt = s->maxt};
    if (!view_select(e->view, &what, e->labels, e->arena, &s->series, err) ||
        !eval_check_memory(e, err))
        return NULL;
    if (keep)
        series_keep(&s->series, keep, arg);
    if (s->series.count > UINT32_MAX / 2) {
        (void)error_set(err, ERROR_LIMIT, "selector matches %zu series", s->series.count);
        return NULL;
    }
    e->series_selected += s->series.count;
    s->node = plan_tree_find(e->plan, selector);
    if (s->node) {
        s->node->ran = true;
        s->node->series = (int64_t)s->series.count;
    }
    s->op.series_count = (uint32_t)s->series.count;
    s->op.labels = ARENA_ARRAY(e->arena, labels_id, s->series.count + 1);
    for (size_t i = 0; i < s->series.count; i++)
        s->op.labels[i] = s->series.items[i].labels;
    if (call_wants_counter(call))
        counter_names_find(&s->names, &s->op);
    operator_cut(&s->op);
    return &s->op;
}

/* --- subqueries --- */

struct subquery {
    struct operation op;
    struct operation *inner;
    struct window_frame frame;
    struct window_call call;
    struct counter_names names;
    struct span where;
    enum sample_counting counting;
    int64_t *times; /* of the inner grid */
};

/* The present steps of a row as samples. A row without gaps has the grid's own times. */
static struct samples subquery_samples(const struct subquery *q, struct worker *w,
                                       const struct batch *b, uint32_t row)
{
    const double *values = batch_values(b, row);
    const uint64_t *presence = batch_presence(b, row);
    uint32_t steps = b->steps;
    if (presence_count(presence, b->words) == steps)
        return (struct samples){.times = q->times, .values = values, .count = steps, .times_id = 1};
    double *out_values = worker_scratch(w, 0, steps * sizeof *out_values);
    int64_t *out_times = worker_scratch(w, 1, steps * sizeof *out_times);
    size_t count = 0;
    for (uint32_t i = 0; i < b->words; i++) {
        for (uint64_t bits = presence[i]; bits; bits &= bits - 1) {
            uint32_t step = i * 64 + (uint32_t)__builtin_ctzll(bits);
            out_times[count] = q->times[step];
            out_values[count++] = values[step];
        }
    }
    return (struct samples){.times = out_times, .values = out_values, .count = count};
}

static bool subquery_morsel(struct operation *op, uint32_t idx, struct worker *w, struct batch *out)
{
    struct subquery *q = (struct subquery *)op;
    struct batch in;
    if (!operator_morsel(q->inner, idx, w, &in))
        return false;
    if (!batch_new(w, in.first, in.count, op->grid.steps, out)) {
        batch_free(w->eval, &in);
        return false;
    }
    bool ok = true;
    int64_t read = 0;
    for (uint32_t i = 0; ok && i < in.count; i++) {
        struct samples samples = subquery_samples(q, w, &in, i);
        if (!samples.count)
            continue;
        ok = window_apply(w, q, &q->frame, &q->call, &samples, batch_values(out, i),
                          batch_presence(out, i));
        read += window_samples_used(w);
        if (UNLIKELY(w->eval->by_step) && q->counting == COUNT_AT_STEPS)
            window_samples_add(w, &q->frame, &q->call, batch_presence(out, i),
                               worker_step_samples(w));
        if (UNLIKELY(q->names.of_series))
            counter_names_check(&q->names, op, in.first + i, q->where, batch_presence(out, i));
    }
    worker_count_read(w, q->counting, read);
    batch_free(w->eval, &in);
    if (ok)
        return batch_count(w, out);
    batch_free(w->eval, out);
    return false;
}

static void subquery_release(struct operation *op)
{
    operator_release(((struct subquery *)op)->inner);
}

static const struct operator_ops SUBQUERY_OPS = {subquery_morsel, subquery_release};

struct operation *operator_subquery(struct operation *inner, struct span where,
                                    const struct window_frame *frame,
                                    const struct window_call *call)
{
    struct eval *e = inner->eval;
    struct subquery *q = ARENA_NEW(e->arena, struct subquery);
    operator_init(&q->op, &SUBQUERY_OPS, e, &frame->grid);
    q->inner = inner;
    q->frame = *frame;
    q->call = *call;
    q->where = where;
    q->counting = e->counting;
    q->times = ARENA_ARRAY(e->arena, int64_t, inner->grid.steps);
    for (uint32_t i = 0; i < inner->grid.steps; i++)
        q->times[i] = grid_time(&inner->grid, i);
    operator_inherit(&q->op, inner);
    if (call_wants_counter(call))
        counter_names_find(&q->names, &q->op);
    return &q->op;
}
