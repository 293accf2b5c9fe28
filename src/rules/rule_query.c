/* SPDX-License-Identifier: Apache-2.0 */
/* rule_query.c: see rule_query.h. */
#include "rules/rule_query.h"

#include "rules/rule.h"

bool rule_vector_of(const struct query *q, struct arena *arena, bool deep, struct rule_vector *out,
                    struct error *err)
{
    const struct query_result *r = query_get_result(q);
    *out = (struct rule_vector){0};
    if (r->type != VALUE_VECTOR && r->type != VALUE_SCALAR)
        return error_set(err, ERROR_EXECUTION, "rule result is not a vector or scalar");
    size_t count = r->type == VALUE_SCALAR ? 1 : r->series_count;
    out->labels = arena_alloc(arena, (count + 1) * sizeof *out->labels);
    out->values = arena_alloc(arena, (count + 1) * sizeof *out->values);
    out->count = count;
    if (r->type == VALUE_SCALAR) {
        out->labels[0] = (struct labels){NULL, 0};
        out->values[0] = r->scalar;
        return true;
    }
    for (size_t i = 0; i < count; i++) {
        out->labels[i] = label_store_labels(r->labels, r->series[i].labels, arena);
        if (deep)
            out->labels[i] = labels_copy(arena, out->labels[i]);
        out->values[i] = r->series[i].values[0];
    }
    return true;
}

static struct query_params instant_at(int64_t time_ms)
{
    return (struct query_params){.start_ms = time_ms, .end_ms = time_ms, .instant = true};
}

bool rule_query_new(const struct rule_env *env, const struct promql *expr, int64_t time_ms,
                    struct query **out, struct error *err)
{
    struct query_params params = instant_at(time_ms);
    return query_new_parsed(out, env->source, &env->engine, expr, &params, err);
}

bool rule_query_text(const struct rule_env *env, struct rule *rule, struct view text,
                     int64_t time_ms, struct arena *arena, struct rule_vector *out,
                     struct error *err)
{
    struct query_params params = instant_at(time_ms);
    struct query *q;
    if (!query_new(&q, env->source, &env->engine, text, &params, err))
        return false;
    bool ok = (rule ? rule_execute_query(rule, q, err) : query_run(q, err)) &&
              rule_vector_of(q, arena, true, out, err);
    query_free(q);
    return ok;
}
