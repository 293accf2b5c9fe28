/* SPDX-License-Identifier: Apache-2.0 */
/* aggregate.h: sum, avg, ..., quantile by groups. */
#ifndef BELFRY_PROMQL_AGGREGATE_H
#define BELFRY_PROMQL_AGGREGATE_H

#include "promql/operator.h"

/* x is an EXPR_AGGREGATE. Takes child. `param`: one value per step (k, quantile, ratio), else NULL.
 * NULL on error. */
struct operation *operator_aggregate(struct operation *child, const struct expr *x,
                                     const double *param, struct error *err);

/* Which group each series of an operator belongs to. */
struct groups {
    uint32_t count;
    const uint32_t *of_series;
    labels_id *labels; /* per group */
    bool *drop_name;   /* per group, or NULL */
};
void groups_find(struct groups *out, const struct operation *child, const struct expr *x);

/* The kinds, by file: aggregate_fold.c, aggregate_rank.c, aggregate_values.c. Each takes child. */
struct operation *aggregate_fold(struct operation *child, const struct expr *x,
                                 const struct groups *groups, struct error *err);
struct operation *aggregate_rank(struct operation *child, const struct expr *x,
                                 const struct groups *groups, const double *param,
                                 struct error *err);
struct operation *aggregate_quantile(struct operation *child, const struct expr *x,
                                     const struct groups *groups, const double *param,
                                     struct error *err);
struct operation *aggregate_count_values(struct operation *child, const struct expr *x,
                                         const struct groups *groups, struct error *err);

#endif
