/* SPDX-License-Identifier: Apache-2.0 */
/* engine.h: evaluates a parsed query over a source. One struct query per evaluation; its arena holds
 * everything, and the result, until query_free(). query_run() may run on any one thread and spreads work over
 * the pool; query_cancel() may be called from any thread meanwhile. */
#ifndef BELFRY_PROMQL_ENGINE_H
#define BELFRY_PROMQL_ENGINE_H

#include "base/attributes.h"
#include "base/error.h"
#include "base/pool.h"
#include "model/label_store.h"
#include "promql/ast.h"
#include "promql/parser.h"
#include "storage/cursor.h"

#include <stdbool.h>
#include <stdint.h>

struct engine_options {
    struct pool *pool;                         /* NULL = the calling thread alone */
    int64_t lookback_ms;                       /* 0 = 5 min */
    int64_t timeout_ms;                        /* 0 = 2 min */
    int64_t samples_max;                       /* 0 = 50,000,000 samples loaded at once */
    size_t memory_max_bytes;                   /* 0 = unlimited */
    int64_t default_subquery_step_ms;          /* 0 = 1 min (global evaluation interval) */
    bool delayed_name_removal;                 /* the name is dropped at the end of the query */
    bool at_modifier_off, negative_offset_off; /* never set today; 3.x has both always on */
    struct parser_options parser;
};

enum query_explain {
    EXPLAIN_OFF,
    EXPLAIN_PLAN,   /* the plan alone; nothing is evaluated and the result is empty */
    EXPLAIN_ANALYZE /* evaluated, and the plan says what each part did */
};

struct query_params {
    int64_t start_ms, end_ms, step_ms; /* instant: start == end, step 0 */
    bool instant;
    int64_t timeout_ms;  /* 0 = the engine's; never above it */
    int64_t lookback_ms; /* 0 = the engine's */
    size_t series_max;   /* of the result, cut with a warning (parameter "limit"); 0 = unlimited */
    enum query_explain explain;
    bool samples_by_step; /* query_stats.step_samples is wanted */
};

struct query;

/* Parses and checks. Borrows source and opts until query_free(). ERROR_INPUT from the parser. */
MUST_USE bool query_new(struct query **out, struct storage_source *source,
                        const struct engine_options *opts, struct view text,
                        const struct query_params *params, struct error *err);
/* The same for what was parsed before, by the options in force: rules are parsed once and evaluated for ever.
 * Borrows `parsed`, too; several queries may at once. */
MUST_USE bool query_new_parsed(struct query **out, struct storage_source *source,
                               const struct engine_options *opts, const struct promql *parsed,
                               const struct query_params *params, struct error *err);
/* Evaluates. ERROR_EXECUTION, ERROR_LIMIT, ERROR_TIMEOUT ("query timed out in expression evaluation"),
 * ERROR_CANCELED and what the storage says. Once per query. */
MUST_USE bool query_run(struct query *q, struct error *err);
void query_cancel(struct query *q);
/* How many it has read so far, as query_stats.samples_read. Any thread. */
int64_t query_samples_read(const struct query *q);
void query_free(struct query *q);
/* Parsed tree; borrowed. */
const struct promql *query_parsed(const struct query *q);

/* The result, borrowed until query_free(). Series of a matrix are sorted by labels; of a vector they
 * come in Prometheus' order (sort() and topk order kept; else by labels). */
struct result_series {
    labels_id labels;
    const int64_t *times; /* ms */
    const double *values;
    uint32_t count; /* vector: 1 */
};
struct query_result {
    enum value_type type; /* of the answer: scalar, vector, matrix, string */
    const struct label_store *labels;
    struct result_series *series; /* vector, matrix; a range query gives a matrix always */
    size_t series_count;
    double scalar;
    int64_t scalar_time_ms;
    struct view string;
    struct view *warnings, *infos; /* annotations, distinct, with positions "(1:5)" */
    size_t warning_count, info_count;
};
const struct query_result *query_get_result(const struct query *q);
/* The plan, when it was asked for and the query ran; borrowed. */
struct plan_node;
const struct plan_node *query_get_plan(const struct query *q);

struct query_stats {
    int64_t samples_read; /* by steps and windows, as Prometheus' totalQueryableSamples */
    int64_t peak_samples;
    int64_t parse_ns, prepare_ns, eval_ns, total_ns;
    size_t series_selected;
    const int64_t
        *step_samples; /* samples_read, step by step; NULL unless asked for. Lives with the query */
    uint32_t step_count;
    int64_t step_start_ms, step_ms;
};
struct query_stats query_get_stats(const struct query *q);

#endif
