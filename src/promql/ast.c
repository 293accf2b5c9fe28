/* SPDX-License-Identifier: Apache-2.0 */
/* ast.c: the words for the things of an expression. */
#include "promql/ast.h"

#include "base/assert.h"

const char *value_type_name(enum value_type type)
{
    switch (type) {
    case VALUE_SCALAR:
        return "scalar";
    case VALUE_VECTOR:
        return "instant vector";
    case VALUE_MATRIX:
        return "range vector";
    case VALUE_STRING:
        return "string";
    case VALUE_NONE:
        return "none";
    }
    UNREACHABLE();
}

const char *value_type_json(enum value_type type)
{
    switch (type) {
    case VALUE_SCALAR:
        return "scalar";
    case VALUE_VECTOR:
        return "vector";
    case VALUE_MATRIX:
        return "matrix";
    case VALUE_STRING:
        return "string";
    case VALUE_NONE:
        return "none";
    }
    UNREACHABLE();
}

const char *binary_op_name(enum binary_op op)
{
    static const char *const NAMES[] = {
        [OP_ADD] = "+",         [OP_SUB] = "-",         [OP_MUL] = "*",
        [OP_DIV] = "/",         [OP_MOD] = "%",         [OP_POW] = "^",
        [OP_ATAN2] = "atan2",   [OP_EQ] = "==",         [OP_NE] = "!=",
        [OP_GT] = ">",          [OP_LT] = "<",          [OP_GE] = ">=",
        [OP_LE] = "<=",         [OP_AND] = "and",       [OP_OR] = "or",
        [OP_UNLESS] = "unless", [OP_TRIM_UPPER] = "</", [OP_TRIM_LOWER] = ">/",
    };
    ASSERT((size_t)op < ARRAY_COUNT(NAMES));
    return NAMES[op];
}

const char *aggregate_op_name(enum aggregate_op op)
{
    static const char *const NAMES[] = {
        [AGGREGATE_SUM] = "sum",           [AGGREGATE_AVG] = "avg",
        [AGGREGATE_COUNT] = "count",       [AGGREGATE_MIN] = "min",
        [AGGREGATE_MAX] = "max",           [AGGREGATE_GROUP] = "group",
        [AGGREGATE_STDDEV] = "stddev",     [AGGREGATE_STDVAR] = "stdvar",
        [AGGREGATE_TOPK] = "topk",         [AGGREGATE_BOTTOMK] = "bottomk",
        [AGGREGATE_QUANTILE] = "quantile", [AGGREGATE_COUNT_VALUES] = "count_values",
        [AGGREGATE_LIMITK] = "limitk",     [AGGREGATE_LIMIT_RATIO] = "limit_ratio",
    };
    ASSERT((size_t)op < ARRAY_COUNT(NAMES));
    return NAMES[op];
}
