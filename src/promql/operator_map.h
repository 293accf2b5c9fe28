/* SPDX-License-Identifier: Apache-2.0 */
/* operator_map.h: operators that change a series at a time: functions of values, unary minus, a vector with a
 * scalar, and labels alone. */
#ifndef BELFRY_PROMQL_OPERATOR_MAP_H
#define BELFRY_PROMQL_OPERATOR_MAP_H

#include "promql/operator.h"

enum map_kind {
    MAP_LABELS,   /* values stay */
    MAP_FUNCTION, /* instant_functions.h */
    MAP_NEGATE,
    MAP_TIMESTAMP, /* the step's time */
    MAP_BINARY
};
struct map_call {
    enum map_kind kind;
    enum function_id function;
    const double *params[2]; /* MAP_FUNCTION: a value per step each, or NULL */
    enum binary_op binary;   /* MAP_BINARY */
    bool return_bool, scalar_left;
    const double *scalar; /* a value per step */
};
/* Labels, flags and morsels of the child. Takes it. */
struct operation *operator_map(struct operation *child, const struct map_call *call);
/* The result of a function that drops the metric's name: now, or marked when names go at the end; then
 * merged where labels became equal. Takes op; NULL on error. */
struct operation *operator_drop_name(struct operation *op, struct error *err);
/* One series without labels: vector(). `values`: one per step, borrowed. */
struct operation *operator_scalar_vector(struct eval *e, const struct grid *grid,
                                         const double *values);

#endif
