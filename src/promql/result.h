/* SPDX-License-Identifier: Apache-2.0 */
/* result.h: from the root operator to the answer. Query thread. */
#ifndef BELFRY_PROMQL_RESULT_H
#define BELFRY_PROMQL_RESULT_H

#include "promql/operator.h"

/* Memory of values and times; lives as long as the query. */
struct result_block {
    struct result_block *next;
    size_t bytes;
};

struct result_builder {
    struct eval *eval;
    struct query_result *out;
    struct result_block *blocks; /* guarded by eval->mutex while folding */
    size_t series_max;           /* 0 = unlimited */
};
void result_blocks_free(struct result_block *blocks);

/* Each fills out->series. `op` is taken. */
MUST_USE bool result_from_operator(struct result_builder *r, struct operation *op,
                                   struct error *err);
MUST_USE bool result_from_scalars(struct result_builder *r, const double *values,
                                  struct error *err);
/* The samples of a range selector at the query's time. */
MUST_USE bool result_from_matrix(struct result_builder *r, const struct expr *matrix,
                                 struct error *err);
/* Warnings and infos, in the order of their text. */
void result_annotations(struct result_builder *r);

#endif
