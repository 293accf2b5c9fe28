/* SPDX-License-Identifier: Apache-2.0 */
/* aggregate.c: which group a series belongs to, and which way an aggregation goes. */
#include "promql/aggregate.h"

#include "base/assert.h"
#include "promql/label_ops.h"

#include <math.h>

void groups_find(struct groups *out, const struct operation *child, const struct expr *x)
{
    struct eval *e = child->eval;
    struct label_filter filter;
    struct label_index index;
    bool without = x->u.aggregate.without;
    label_filter_init(&filter, e, x->u.aggregate.labels, x->u.aggregate.label_count, !without,
                      without);
    label_index_init(&index, e->arena);
    uint32_t *of_series = ARENA_ARRAY(e->arena, uint32_t, (size_t)child->series_count + 1);
    bool *drop_name =
        child->drop_name ? ARENA_ARRAY(e->arena, bool, (size_t)child->series_count + 1) : NULL;
    for (uint32_t i = 0; i < child->series_count; i++) {
        of_series[i] = label_index_add(&index, label_filter_apply(&filter, child->labels[i]));
        if (drop_name && of_series[i] == index.count - 1 && child->drop_name[i])
            drop_name[of_series[i]] = true;
    }
    *out = (struct groups){index.count, of_series, index.ids, drop_name};
    label_index_deinit(&index);
}

static bool param_check(struct eval *e, const struct expr *x, const double *param, uint32_t steps,
                        struct error *err)
{
    enum aggregate_op op = x->u.aggregate.op;
    char text[64];
    for (uint32_t s = 0; s < steps; s++) {
        double v = param[s];
        if (op == AGGREGATE_LIMIT_RATIO && isnan(v))
            return error_set(err, ERROR_EXECUTION, "Ratio value is NaN");
        if (op == AGGREGATE_LIMIT_RATIO && fabs(v) > 1)
            eval_annotate(e, ANNOTATION_WARNING, x->u.aggregate.param->span,
                          "ratio value should be between -1 and 1, got %s, capping to %s",
                          eval_number_text(v, text), v < 0 ? "-1" : "1");
        if (op == AGGREGATE_LIMIT_RATIO)
            continue;
        if (op == AGGREGATE_QUANTILE) {
            if (!(v >= 0 && v <= 1))
                eval_annotate(e, ANNOTATION_WARNING, x->u.aggregate.param->span,
                              "quantile value should be between 0 and 1, got %s",
                              eval_number_text(v, text));
            continue;
        }
        if (isnan(v))
            return error_set(err, ERROR_EXECUTION, "Parameter value is NaN");
        if (v >= 0x1p63 || v < -0x1p63)
            return error_set(err, ERROR_EXECUTION, "Scalar value %s overflows int64",
                             eval_number_text(v, text));
    }
    return true;
}

struct operation *operator_aggregate(struct operation *child, const struct expr *x,
                                     const double *param, struct error *err)
{
    if (param && !param_check(child->eval, x, param, child->grid.steps, err))
        return NULL;
    struct groups groups;
    groups_find(&groups, child, x);
    switch (x->u.aggregate.op) {
    case AGGREGATE_SUM:
    case AGGREGATE_AVG:
    case AGGREGATE_COUNT:
    case AGGREGATE_MIN:
    case AGGREGATE_MAX:
    case AGGREGATE_GROUP:
    case AGGREGATE_STDDEV:
    case AGGREGATE_STDVAR:
        return aggregate_fold(child, x, &groups, err);
    case AGGREGATE_TOPK:
    case AGGREGATE_BOTTOMK:
    case AGGREGATE_LIMITK:
    case AGGREGATE_LIMIT_RATIO:
        return aggregate_rank(child, x, &groups, param, err);
    case AGGREGATE_QUANTILE:
        return aggregate_quantile(child, x, &groups, param, err);
    case AGGREGATE_COUNT_VALUES:
        return aggregate_count_values(child, x, &groups, err);
    }
    UNREACHABLE();
}
