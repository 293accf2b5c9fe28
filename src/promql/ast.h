/* SPDX-License-Identifier: Apache-2.0 */
/* ast.h: a PromQL expression as a typed tree with source spans, in one arena. The parser makes it, the
 * printer writes it, the planner reads it; nobody changes it after promql_parse(). */
#ifndef BELFRY_PROMQL_AST_H
#define BELFRY_PROMQL_AST_H

#include "base/view.h"
#include "model/matcher.h"
#include "promql/functions_list.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum value_type { VALUE_NONE, VALUE_SCALAR, VALUE_VECTOR, VALUE_MATRIX, VALUE_STRING };

enum function_id {
#define X(id, name, result, args, variadic, experimental) FUNCTION_##id,
    PROMQL_FUNCTIONS(X)
#undef X
        FUNCTION_COUNT
};

struct function_info {
    enum function_id id;
    const char *name;
    enum value_type result;
    const char *args; /* letters of functions_list.h */
    int variadic;
    bool experimental;
};
/* NULL when there is none of that name. */
const struct function_info *function_find(struct view name);
const struct function_info *function_get(enum function_id id);

enum binary_op {
    OP_ADD,
    OP_SUB,
    OP_MUL,
    OP_DIV,
    OP_MOD,
    OP_POW,
    OP_ATAN2,
    OP_EQ,
    OP_NE,
    OP_GT,
    OP_LT,
    OP_GE,
    OP_LE, /* comparisons */
    OP_AND,
    OP_OR,
    OP_UNLESS, /* sets */
    OP_TRIM_UPPER,
    OP_TRIM_LOWER /* </ and >/ on native histograms */
};

enum aggregate_op {
    AGGREGATE_SUM,
    AGGREGATE_AVG,
    AGGREGATE_COUNT,
    AGGREGATE_MIN,
    AGGREGATE_MAX,
    AGGREGATE_GROUP,
    AGGREGATE_STDDEV,
    AGGREGATE_STDVAR,
    AGGREGATE_TOPK,
    AGGREGATE_BOTTOMK,
    AGGREGATE_QUANTILE,
    AGGREGATE_COUNT_VALUES,
    AGGREGATE_LIMITK,
    AGGREGATE_LIMIT_RATIO
};

enum expr_kind {
    EXPR_NUMBER, /* scalar literal (durations too: 5m is 300) */
    EXPR_STRING,
    EXPR_SELECTOR, /* instant vector selector */
    EXPR_MATRIX,   /* selector[range] */
    EXPR_SUBQUERY, /* expr[range:step] */
    EXPR_CALL,
    EXPR_UNARY, /* + or - */
    EXPR_BINARY,
    EXPR_AGGREGATE,
    EXPR_PAREN,
    EXPR_DURATION /* arithmetic on durations inside [] or after offset: 5m * 2, step(), max_of(a, b) */
};

struct span {
    uint32_t start, end; /* bytes of the query, [start, end) */
};

enum at_kind { AT_NONE, AT_TIME, AT_START, AT_END };

/* Evaluated with the query's start, end and step known. */
enum duration_op {
    DURATION_LITERAL,
    DURATION_ADD,
    DURATION_SUB,
    DURATION_MUL,
    DURATION_DIV,
    DURATION_MOD,
    DURATION_POW,
    DURATION_NEG,
    DURATION_POS,
    DURATION_STEP,
    DURATION_RANGE,
    DURATION_MIN,
    DURATION_MAX,
    DURATION_PAREN
};
struct duration_expr {
    enum duration_op op;
    struct span span;
    double seconds;                     /* LITERAL */
    bool is_duration_text;              /* LITERAL written as 5m and not as 300 */
    struct duration_expr *left, *right; /* NULL where the op has none */
};

/* offset and @ of selectors and subqueries. */
struct time_modifier {
    int64_t offset_ms;                 /* when offset_expr is NULL */
    struct duration_expr *offset_expr; /* not constant: depends on step() or range() */
    enum at_kind at;
    int64_t at_ms; /* AT_TIME */
};

struct selector {
    struct view name;         /* as written before the braces, or ""; also in matchers */
    struct matcher *matchers; /* __name__ included */
    uint32_t matcher_count;
    struct time_modifier time;
    bool anchored,
        smoothed; /* extended selectors; without a range smoothed interpolates and anchored says nothing */
};

/* Vector matching of a binary expression between vectors. */
enum match_card { CARD_ONE_TO_ONE, CARD_MANY_TO_ONE, CARD_ONE_TO_MANY, CARD_MANY_TO_MANY };
struct vector_matching {
    enum match_card card;
    bool on; /* on(labels); else ignoring(labels) */
    struct view *labels;
    uint32_t label_count;
    struct view *include; /* of group_left / group_right */
    uint32_t include_count;
    bool has_fill_left, has_fill_right; /* fill(), fill_left(), fill_right() */
    double fill_left, fill_right;
};

struct expr {
    enum expr_kind kind;
    enum value_type type;
    struct span span;
    uint32_t height; /* levels of the tree from here, 1 for a leaf; <= PROMQL_HEIGHT_MAX */
    union {
        struct {
            double value;
            bool is_duration; /* was written as a duration */
        } number;
        struct view string;       /* unescaped */
        struct selector selector; /* EXPR_SELECTOR */
        struct {
            struct expr *selector; /* EXPR_SELECTOR; its time modifiers are the range's */
            int64_t range_ms;
            struct duration_expr *range_expr; /* NULL when constant */
        } matrix;
        struct {
            struct expr *inner;
            int64_t range_ms, step_ms; /* step 0 = the engine's default */
            struct duration_expr *range_expr, *step_expr;
            struct time_modifier time;
        } subquery;
        struct {
            const struct function_info *function;
            struct expr **args;
            uint32_t arg_count;
        } call;
        struct {
            bool negative;
            struct expr *inner;
        } unary;
        struct {
            enum binary_op op;
            bool return_bool;
            struct expr *left, *right;
            struct vector_matching *matching; /* NULL unless both are vectors */
        } binary;
        struct {
            enum aggregate_op op;
            struct expr *inner;
            struct expr *param; /* k, quantile, label name; NULL when the op has none */
            struct view *labels;
            uint32_t label_count;
            bool without;
        } aggregate;
        struct expr *paren;
    } u;
};

const char *
value_type_name(enum value_type type); /* "instant vector", "range vector", "scalar", "string" */
const char *value_type_json(enum value_type type); /* "vector", "matrix", "scalar", "string" */
const char *binary_op_name(enum binary_op op);
const char *aggregate_op_name(enum aggregate_op op);

#endif
