/* SPDX-License-Identifier: Apache-2.0 */
/* match.h: binary operators between two instant vectors. */
#ifndef BELFRY_PROMQL_MATCH_H
#define BELFRY_PROMQL_MATCH_H

#include "promql/operator.h"

/* x is an EXPR_BINARY between vectors. Both take left and right; NULL on error. */
struct operation *operator_match(struct operation *left, struct operation *right,
                                 const struct expr *x, struct error *err);
/* and, or, unless. */
struct operation *operator_set(struct operation *left, struct operation *right,
                               const struct expr *x, struct error *err);

#endif
