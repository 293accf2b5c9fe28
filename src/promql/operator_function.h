/* SPDX-License-Identifier: Apache-2.0 */
/* operator_function.h: functions that look at more than one series, or at labels. All take their operators; NULL
 * on error. */
#ifndef BELFRY_PROMQL_OPERATOR_FUNCTION_H
#define BELFRY_PROMQL_OPERATOR_FUNCTION_H

#include "promql/operator.h"
#include "promql/window.h"

/* scalar(): per step the only value, else NaN. In the arena. */
const double *vector_to_scalar(struct operation *child, struct error *err);
/* absent(), absent_over_time(): 1 where child has nothing; `argument` gives the labels. */
struct operation *operator_absent(struct operation *child, const struct expr *argument,
                                  struct error *err);
/* The rest of the call's arguments are string literals. */
struct operation *operator_label_replace(struct operation *child, const struct expr *call,
                                         struct error *err);
struct operation *operator_label_join(struct operation *child, const struct expr *call,
                                      struct error *err);
/* info(): `frame` says where the info series are looked for. */
struct operation *operator_info(struct operation *child, const struct expr *call,
                                const struct window_frame *frame, struct error *err);
/* sort, sort_desc, sort_by_label, sort_by_label_desc. */
struct operation *operator_sort(struct operation *child, const struct expr *call,
                                struct error *err);
/* histogram_quantile, histogram_fraction: per step one or two parameters. histogram_quantiles: `quantiles` > 0 of
 * them, each in params, told apart by label `label`. */
struct operation *operator_histogram(struct operation *child, const struct expr *call,
                                     const double *const *params, uint32_t quantiles,
                                     struct view label, struct error *err);

#endif
