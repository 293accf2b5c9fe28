/* SPDX-License-Identifier: Apache-2.0 */
/* engine.c: one query from text to result: parse, pin the storage's state, plan, run, let go. */
#include "promql/engine.h"

#include "base/assert.h"
#include "base/thread.h"
#include "promql/operator.h"
#include "promql/plan.h"
#include "promql/result.h"

enum {
    LOOKBACK_MS = 5 * 60 * 1000,
    TIMEOUT_MS = 2 * 60 * 1000,
    SAMPLES_MAX = 50 * 1000 * 1000,
    SUBQUERY_STEP_MS = 60 * 1000
};

struct query {
    struct arena arena;
    struct storage_source *source;
    struct engine_options options;
    struct query_params params;
    const struct promql *parsed;
    struct promql *owned; /* `parsed`, when it is the query's own */
    struct label_store *labels;
    struct query_result result;
    struct result_block *blocks;
    struct query_stats stats;
    const struct plan_node *plan;
    atomic_bool cancel; /* any thread sets it; relaxed: it only has to be seen some time */
    _Atomic int64_t samples_read; /* relaxed: a statistic that others may look at meanwhile */
    bool ran;
};

/* What a range query cannot give. */
static bool type_check(const struct query *q, struct error *err)
{
    const struct expr *root = promql_root(q->parsed);
    if (q->params.instant || root->type == VALUE_SCALAR || root->type == VALUE_VECTOR)
        return true;
    return error_set(
        err, ERROR_INPUT,
        "invalid expression type \"%s\" for range query, must be Scalar or instant Vector",
        value_type_name(root->type));
}

static bool params_check(const struct query_params *p, struct error *err)
{
    if (p->end_ms < p->start_ms)
        return error_set(err, ERROR_INPUT, "end timestamp must not be before start time");
    if (!p->instant && p->step_ms <= 0)
        return error_set(err, ERROR_INPUT,
                         "zero or negative query resolution step widths are not accepted. Try a "
                         "positive integer");
    if (!p->instant &&
        ((uint64_t)p->end_ms - (uint64_t)p->start_ms) / (uint64_t)p->step_ms >= INT32_MAX)
        return error_set(err, ERROR_INPUT, "query has more than %d steps", INT32_MAX);
    return true;
}

static struct query *query_alloc(struct storage_source *source, const struct engine_options *opts,
                                 const struct query_params *params)
{
    struct query *q = mem_alloc_zero(MEM_QUERY, 1, sizeof *q);
    arena_init(&q->arena, MEM_QUERY, 0);
    atomic_init(&q->cancel, false);
    atomic_init(&q->samples_read, 0);
    q->source = source;
    q->params = *params;
    if (opts)
        q->options = *opts;
    return q;
}

bool query_new(struct query **out, struct storage_source *source, const struct engine_options *opts,
               struct view text, const struct query_params *params, struct error *err)
{
    mono_time start = clock_mono();
    *out = NULL;
    if (!params_check(params, err))
        return false;
    struct query *q = query_alloc(source, opts, params);
    bool ok = promql_parse(text, &q->options.parser, &q->owned, err);
    q->parsed = q->owned;
    if (!ok || !type_check(q, err)) {
        query_free(q);
        return false;
    }
    q->stats.parse_ns = clock_mono().ns - start.ns;
    *out = q;
    return true;
}

bool query_new_parsed(struct query **out, struct storage_source *source,
                      const struct engine_options *opts, const struct promql *parsed,
                      const struct query_params *params, struct error *err)
{
    *out = NULL;
    if (!params_check(params, err))
        return false;
    struct query *q = query_alloc(source, opts, params);
    q->parsed = parsed;
    if (!type_check(q, err)) {
        query_free(q);
        return false;
    }
    *out = q;
    return true;
}

void query_cancel(struct query *q)
{
    atomic_store_explicit(&q->cancel, true, memory_order_relaxed);
}

void query_free(struct query *q)
{
    if (!q)
        return;
    promql_free(q->owned);
    label_store_free(q->labels);
    result_blocks_free(q->blocks);
    arena_deinit(&q->arena);
    mem_free(MEM_QUERY, q);
}

const struct promql *query_parsed(const struct query *q)
{
    return q->parsed;
}

const struct query_result *query_get_result(const struct query *q)
{
    return &q->result;
}

const struct plan_node *query_get_plan(const struct query *q)
{
    return q->plan;
}

struct query_stats query_get_stats(const struct query *q)
{
    return q->stats;
}

static int64_t first_of(int64_t asked, int64_t otherwise)
{
    return asked > 0 ? asked : otherwise;
}

static void eval_init(struct eval *e, struct query *q)
{
    const struct engine_options *o = &q->options;
    const struct query_params *p = &q->params;
    *e = (struct eval){.arena = &q->arena,
                       .promql = q->parsed,
                       .pool = o->pool,
                       .end_ms = p->end_ms,
                       .instant = p->instant,
                       .lookback_ms =
                           first_of(p->lookback_ms, first_of(o->lookback_ms, LOOKBACK_MS)),
                       .subquery_step_ms = first_of(o->default_subquery_step_ms, SUBQUERY_STEP_MS),
                       .delayed_name_removal = o->delayed_name_removal,
                       .cancel = &q->cancel,
                       .by_step = p->samples_by_step,
                       .samples_read = &q->samples_read,
                       .samples_max = first_of(o->samples_max, SAMPLES_MAX),
                       .memory_max_bytes = o->memory_max_bytes};
    e->timeout_ms = first_of(o->timeout_ms, TIMEOUT_MS);
    if (p->timeout_ms > 0 && p->timeout_ms < e->timeout_ms)
        e->timeout_ms = p->timeout_ms;
    e->deadline = mono_add_ms(clock_mono(), e->timeout_ms);
    e->grid = (struct grid){.start_ms = p->start_ms, .steps = 1};
    if (!p->instant) {
        e->grid.step_ms = p->step_ms;
        e->grid.steps =
            (uint32_t)(((uint64_t)p->end_ms - (uint64_t)p->start_ms) / (uint64_t)p->step_ms) + 1;
    }
    q->labels = label_store_new(MEM_QUERY, 0);
    e->labels = q->labels;
    e->name_symbol = label_store_add_symbol(e->labels, VIEW(LABEL_NAME));
    e->worker_count = (o->pool ? pool_worker_count(o->pool) : 0) + 1;
    e->workers = ARENA_ARRAY(e->arena, struct worker, e->worker_count);
    for (unsigned i = 0; i < e->worker_count; i++)
        e->workers[i].eval = e;
    mutex_init(&e->mutex);
}

/* Pins what the query may read. A query that reads nothing pins nothing. */
static bool eval_pin(struct eval *e, struct query *q, struct error *err)
{
    int64_t mint = INT64_MAX, maxt = INT64_MIN;
    if (!plan_time_bounds(e, promql_root(q->parsed), &e->grid, &mint, &maxt, err))
        return false;
    if (mint > maxt)
        return true;
    e->view = source_pin(q->source, mint, maxt, err);
    return e->view != NULL;
}

static bool run_scalar(struct eval *e, struct result_builder *r, const struct expr *root,
                       struct error *err)
{
    const double *values = plan_scalar(e, root, &e->grid, err);
    if (!values)
        return false;
    if (!e->instant) {
        r->out->type = VALUE_MATRIX;
        return result_from_scalars(r, values, err);
    }
    r->out->type = VALUE_SCALAR;
    r->out->scalar = values[0];
    r->out->scalar_time_ms = e->grid.start_ms;
    return true;
}

static bool run_matrix(struct eval *e, struct result_builder *r, const struct expr *root,
                       struct error *err)
{
    r->out->type = VALUE_MATRIX;
    if (root->kind == EXPR_MATRIX)
        return result_from_matrix(r, root, err);
    struct window_frame frame;
    struct grid inner;
    if (!plan_range_frame(e, root, &e->grid, &frame, err) ||
        !plan_subquery_grid(e, root, &frame, &inner, err))
        return false;
    if (inner.steps == 0)
        return true;
    e->counting = COUNT_AT_ALL; /* the query has one step, its inside many */
    struct operation *op = plan_vector(e, root->u.subquery.inner, &inner, err);
    if (op)
        op->ordered = false;
    return op && result_from_operator(r, op, err);
}

static bool run_root(struct eval *e, struct result_builder *r, const struct expr *root,
                     struct error *err)
{
    root = expr_unwrap(root);
    switch (root->type) {
    case VALUE_SCALAR:
        return run_scalar(e, r, root, err);
    case VALUE_MATRIX:
        return run_matrix(e, r, root, err);
    case VALUE_STRING:
        r->out->type = VALUE_STRING;
        r->out->string = root->u.string;
        r->out->scalar_time_ms = e->grid.start_ms;
        return true;
    default:
        break;
    }
    r->out->type = e->instant ? VALUE_VECTOR : VALUE_MATRIX;
    struct operation *op = plan_vector(e, root, &e->grid, err);
    return op && result_from_operator(r, op, err);
}

int64_t query_samples_read(const struct query *q)
{
    return atomic_load_explicit(&q->samples_read, memory_order_relaxed);
}

static void collect_step_samples(struct query *q, const struct eval *e)
{
    struct query_stats *s = &q->stats;
    int64_t *samples = ARENA_ARRAY(&q->arena, int64_t, e->grid.steps);
    for (unsigned i = 0; i < e->worker_count; i++)
        for (uint32_t k = 0; e->workers[i].step_samples && k < e->grid.steps; k++)
            samples[k] += e->workers[i].step_samples[k];
    s->step_samples = samples;
    s->step_count = e->grid.steps;
    s->step_start_ms = e->grid.start_ms;
    s->step_ms = e->grid.step_ms;
}

static bool eval_explain(struct eval *e, struct query *q, struct error *err)
{
    if (q->params.explain == EXPLAIN_OFF)
        return true;
    e->plan = plan_tree_new(e, promql_root(q->parsed), q->params.explain == EXPLAIN_PLAN, err);
    if (!e->plan)
        return false;
    q->plan = plan_tree_root(e->plan);
    return true;
}

bool query_run(struct query *q, struct error *err)
{
    ASSERT(!q->ran);
    q->ran = true;
    mono_time start = clock_mono();
    struct eval e;
    eval_init(&e, q);
    q->result.labels = q->labels;
    struct result_builder r = {.eval = &e, .out = &q->result, .series_max = q->params.series_max};
    bool ok = eval_check(&e, err) && eval_pin(&e, q, err);
    mono_time pinned = clock_mono();
    ok = ok && eval_explain(&e, q, err);
    if (q->params.explain == EXPLAIN_PLAN)
        r.out->type = q->params.instant ? promql_root(q->parsed)->type : VALUE_MATRIX;
    else
        ok = ok && run_root(&e, &r, promql_root(q->parsed), err);
    q->blocks = r.blocks;
    if (ok)
        result_annotations(&r);
    q->stats.samples_read = query_samples_read(q);
    if (ok && e.by_step)
        collect_step_samples(q, &e);
    q->stats.peak_samples = atomic_load_explicit(&e.samples_peak, memory_order_relaxed);
    q->stats.series_selected = e.series_selected;
    eval_deinit(&e); /* readers before the view that they read */
    view_release(e.view);
    mutex_deinit(&e.mutex);
    q->stats.prepare_ns = pinned.ns - start.ns;
    q->stats.eval_ns = clock_mono().ns - pinned.ns;
    q->stats.total_ns = q->stats.parse_ns + q->stats.prepare_ns + q->stats.eval_ns;
    return ok;
}
