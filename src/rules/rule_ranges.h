/* SPDX-License-Identifier: Apache-2.0 */
/* rule_ranges.h: answers the expressions of rules over a span of the past: many times at once by a range query, which
 * gives at each of its steps what an instant query would, then taken from it time by time. How many times one query
 * covers adapts to what comes: a window of an expression stays within its share of the memory.
 *
 * Times of one expression must ascend between two calls of rule_ranges_begin(), by its step. One thread. */
#ifndef BELFRY_RULES_RULE_RANGES_H
#define BELFRY_RULES_RULE_RANGES_H

#include "base/arena.h"
#include "promql/engine.h"
#include "rules/rule_env.h"

/* The answer of a range query. Text and arrays are the query's or in the arena; both go with the matrix. */
struct rule_matrix {
    struct arena arena;
    struct query *query; /* NULL: an answer from elsewhere */
    struct rule_matrix_series {
        struct labels labels;
        const int64_t *times; /* ms, ascending */
        const double *values;
        uint32_t count, at; /* at: the first whose time has not passed */
    } * series;
    size_t count;
};

/* Fills *out, whose arena is ready; also on error the caller frees it. One time is asked as an instant query. After
 * ERROR_LIMIT, ERROR_EXECUTION and ERROR_TIMEOUT fewer times are tried: which of them it is that fails. */
typedef bool rule_ranges_fetch(void *arg, const struct promql *expr,
                               const struct query_params *params, struct rule_matrix *out,
                               struct error *err);
/* The fetch of whoever has a source: `arg` is a struct rule_env. */
rule_ranges_fetch rule_ranges_query;

struct rule_ranges_options {
    rule_ranges_fetch *fetch;
    void *arg;
    size_t bytes_max;  /* of all windows together; 0 = 256 MiB */
    int64_t steps_max; /* of one query; 0 = no limit of its own */
};

struct rule_ranges;

struct rule_ranges *rule_ranges_new(const struct rule_ranges_options *opts);
void rule_ranges_free(struct rule_ranges *r); /* NULL does nothing */
/* From now on times are step_ms apart and end with end_ms; `sharing` expressions are asked in turns. What was known is
 * forgotten: there may be samples that were not there. */
void rule_ranges_begin(struct rule_ranges *r, int64_t end_ms, int64_t step_ms, size_t sharing);
/* For struct rule_env: answers by this. */
struct rule_answers rule_ranges_answers(struct rule_ranges *r);

#endif
