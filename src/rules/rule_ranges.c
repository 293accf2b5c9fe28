/* SPDX-License-Identifier: Apache-2.0 */
/* rule_ranges.c: a window per expression. It begins with few times and doubles until its share of the memory is used:
 * the first queries cost little where an expression gives much, and a month is some dozen queries where it gives
 * little. */
#include "rules/rule_ranges.h"

#include "base/map.h"
#include "base/mem.h"
#include "promql/selectors.h"
#include "rules/rule_query.h"

enum { FIRST_STEPS = 64 };

struct window {
    const struct promql *expr;
    int64_t from_ms, to_ms; /* of what the matrix has; from > to: nothing */
    int64_t steps;          /* of the next query */
    bool is_single;         /* each time needs a query of its own */
    struct rule_matrix matrix;
};

struct rule_ranges {
    struct rule_ranges_options options;
    struct window *windows;
    size_t count, capacity;
    struct map index; /* by the address of the expression */
    int64_t end_ms, step_ms;
    size_t sharing;
};

struct rule_ranges *rule_ranges_new(const struct rule_ranges_options *opts)
{
    struct rule_ranges *r = mem_alloc_zero(MEM_RULES, 1, sizeof *r);
    r->options = *opts;
    if (r->options.bytes_max == 0)
        r->options.bytes_max = (size_t)256 << 20;
    map_init(&r->index, MEM_RULES);
    return r;
}

static void matrix_clear(struct rule_matrix *m)
{
    query_free(m->query);
    m->query = NULL;
    m->series = NULL;
    m->count = 0;
    arena_deinit(&m->arena);
}

void rule_ranges_free(struct rule_ranges *r)
{
    if (!r)
        return;
    for (size_t i = 0; i < r->count; i++)
        matrix_clear(&r->windows[i].matrix);
    mem_free(MEM_RULES, r->windows);
    map_deinit(&r->index);
    mem_free(MEM_RULES, r);
}

void rule_ranges_begin(struct rule_ranges *r, int64_t end_ms, int64_t step_ms, size_t sharing)
{
    r->end_ms = end_ms;
    r->step_ms = step_ms;
    r->sharing = sharing ? sharing : 1;
    for (size_t i = 0; i < r->count; i++) {
        matrix_clear(&r->windows[i].matrix);
        r->windows[i].from_ms = INT64_MAX;
        r->windows[i].to_ms = INT64_MIN;
    }
}

static bool has_expr(const void *context, uint32_t item, const void *key)
{
    return ((const struct rule_ranges *)context)->windows[item].expr == key;
}

static struct window *window_of(struct rule_ranges *r, const struct promql *expr)
{
    uint64_t hash = (uint64_t)(uintptr_t)expr * UINT64_C(0x9e3779b97f4a7c15);
    hash ^= hash >> 32; /* the map looks at the low bits */
    uint32_t found = map_find(&r->index, hash, has_expr, r, expr);
    if (found == MAP_NONE) {
        r->windows =
            mem_grow(MEM_RULES, r->windows, &r->capacity, r->count + 1, sizeof *r->windows);
        found = (uint32_t)r->count++;
        r->windows[found] =
            (struct window){.expr = expr,
                            .from_ms = INT64_MAX,
                            .to_ms = INT64_MIN,
                            .steps = FIRST_STEPS,
                            .is_single = promql_depends_on_range(promql_root(expr))};
        arena_init(&r->windows[found].matrix.arena, MEM_RULES, 0);
        map_add(&r->index, hash, found);
    }
    return &r->windows[found];
}

static size_t matrix_bytes(const struct rule_matrix *m)
{
    size_t bytes = m->arena.used_bytes + m->count * sizeof *m->series;
    for (size_t i = 0; i < m->count; i++)
        bytes += m->series[i].count * (sizeof(int64_t) + sizeof(double));
    return bytes;
}

/* How many times the next query takes: as many as fit into the share, at most twice as many. */
static void adapt(const struct rule_ranges *r, struct window *w, int64_t steps)
{
    size_t share = r->options.bytes_max / r->sharing, bytes = matrix_bytes(&w->matrix);
    if (bytes > share)
        steps = (int64_t)((double)steps * (double)share / (double)bytes);
    else if (bytes * 2 <= share)
        steps = w->steps > steps ? w->steps : steps * 2;
    w->steps = steps < 1 ? 1 : steps;
}

/* Did it fail for what it was asked, so that it may give something for fewer times? */
static bool may_shrink(const struct error *err)
{
    return err->kind == ERROR_LIMIT || err->kind == ERROR_EXECUTION || err->kind == ERROR_TIMEOUT;
}

static int64_t steps_now(const struct rule_ranges *r, const struct window *w, int64_t time_ms)
{
    int64_t steps = w->steps, left = (r->end_ms - time_ms) / r->step_ms + 1;
    if (r->options.steps_max && steps > r->options.steps_max)
        steps = r->options.steps_max;
    steps = steps < left ? steps : left;
    return steps < 1 || w->is_single ? 1 : steps;
}

static bool fetch(struct rule_ranges *r, struct window *w, int64_t time_ms, struct error *err)
{
    for (;;) {
        int64_t steps = steps_now(r, w, time_ms);
        struct query_params params = {.start_ms = time_ms,
                                      .end_ms = time_ms + (steps - 1) * r->step_ms,
                                      .step_ms = steps > 1 ? r->step_ms : 0,
                                      .instant = steps == 1};
        matrix_clear(&w->matrix);
        arena_init(&w->matrix.arena, MEM_RULES, 0);
        w->from_ms = INT64_MAX;
        w->to_ms = INT64_MIN;
        if (r->options.fetch(r->options.arg, w->expr, &params, &w->matrix, err)) {
            w->from_ms = params.start_ms;
            w->to_ms = params.end_ms;
            adapt(r, w, steps);
            return true;
        }
        if (!may_shrink(err) || steps == 1)
            return false;
        w->steps = steps / 2;
        *err = (struct error){0};
    }
}

static bool vector_at(void *arg, const struct promql *expr, int64_t time_ms, struct arena *arena,
                      struct rule_vector *out, struct error *err)
{
    struct rule_ranges *r = arg;
    struct window *w = window_of(r, expr);
    *out = (struct rule_vector){0};
    if ((time_ms < w->from_ms || time_ms > w->to_ms) && !fetch(r, w, time_ms, err))
        return false;
    struct rule_matrix *m = &w->matrix;
    if (m->count == 0)
        return true;
    out->labels = arena_alloc(arena, m->count * sizeof *out->labels);
    out->values = arena_alloc(arena, m->count * sizeof *out->values);
    for (size_t i = 0; i < m->count; i++) {
        struct rule_matrix_series *s = &m->series[i];
        while (s->at < s->count && s->times[s->at] < time_ms)
            s->at++;
        if (s->at == s->count || s->times[s->at] != time_ms)
            continue;
        out->labels[out->count] = s->labels;
        out->values[out->count++] = s->values[s->at];
    }
    return true;
}

struct rule_answers rule_ranges_answers(struct rule_ranges *r)
{
    return (struct rule_answers){vector_at, r};
}

static bool instant_matrix(struct rule_matrix *out, int64_t time_ms, struct error *err)
{
    struct rule_vector v;
    int64_t *time = arena_alloc(&out->arena, sizeof *time);
    *time = time_ms;
    if (!rule_vector_of(out->query, &out->arena, false, &v, err))
        return false;
    out->count = v.count;
    out->series = ARENA_ARRAY(&out->arena, struct rule_matrix_series, v.count + 1);
    for (size_t i = 0; i < v.count; i++)
        out->series[i] = (struct rule_matrix_series){
            .labels = v.labels[i], .times = time, .values = &v.values[i], .count = 1};
    return true;
}

bool rule_ranges_query(void *arg, const struct promql *expr, const struct query_params *params,
                       struct rule_matrix *out, struct error *err)
{
    const struct rule_env *env = arg;
    if (!query_new_parsed(&out->query, env->source, &env->engine, expr, params, err) ||
        !query_run(out->query, err))
        return false;
    const struct query_result *result = query_get_result(out->query);
    if (params->instant)
        return instant_matrix(out, params->start_ms, err);
    out->count = result->series_count;
    out->series = ARENA_ARRAY(&out->arena, struct rule_matrix_series, out->count + 1);
    for (size_t i = 0; i < out->count; i++) {
        const struct result_series *s = &result->series[i];
        out->series[i] = (struct rule_matrix_series){
            .labels = label_store_labels(result->labels, s->labels, &out->arena),
            .times = s->times,
            .values = s->values,
            .count = s->count};
    }
    return true;
}
