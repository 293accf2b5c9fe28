/* SPDX-License-Identifier: Apache-2.0 */
/* binary.h: the binary operators over arrays of values. */
#ifndef BELFRY_PROMQL_BINARY_H
#define BELFRY_PROMQL_BINARY_H

#include "promql/ast.h"

#include <stddef.h>
#include <stdint.h>

static inline bool binary_is_comparison(enum binary_op op)
{
    return op >= OP_EQ && op <= OP_LE;
}
static inline bool binary_is_set(enum binary_op op)
{
    return op >= OP_AND && op <= OP_UNLESS;
}
/* Arithmetic: out[i] = left[i] op right[i]; `out` may be either. Comparisons give 1 or 0. */
void binary_apply(enum binary_op op, const double *left, const double *right, size_t count,
                  double *out);
/* Comparisons: bit i says whether left[i] op right[i] holds; count <= 64. */
uint64_t binary_compare(enum binary_op op, const double *left, const double *right, unsigned count);
/* One row of a vector with a value per step: arithmetic into `values`, comparisons with return_bool too;
 * else a comparison takes presence away and leaves the vector's own values. */
void binary_apply_row(enum binary_op op, bool return_bool, const double *left, const double *right,
                      uint32_t steps, double *values, uint64_t *presence);

#endif
