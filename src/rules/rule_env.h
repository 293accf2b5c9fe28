/* SPDX-License-Identifier: Apache-2.0 */
/* rule_env.h: what all rules of a process are evaluated with. */
#ifndef BELFRY_RULES_RULE_ENV_H
#define BELFRY_RULES_RULE_ENV_H

#include "model/labels.h"
#include "promql/engine.h"
#include "rules/series_writer.h"
#include "storage/cursor.h"

/* "No such time", for the times of alerts and groups. */
#define RULE_NEVER INT64_MIN

struct arena;

/* What an expression gives at a time. */
struct rule_vector {
    struct labels *labels;
    double *values;
    size_t count;
};

/* Who answers expressions in place of queries of the source: whoever knows the answers of many times (rule_ranges.h). The
 * arrays are in the arena; labels are borrowed until another stage is evaluated. */
struct rule_answers {
    bool (*vector)(void *arg, const struct promql *expr, int64_t time_ms, struct arena *arena,
                   struct rule_vector *out, struct error *err);
    void *arg;
};

/* Borrowed by who evaluates, and constant meanwhile. */
struct rule_env {
    struct storage_source *source;
    struct series_store store;
    struct engine_options engine;
    struct labels external_labels;
    struct view external_url;
    const struct rule_answers *answers; /* NULL: queries */
    bool without_annotations;           /* nobody reads them: they are not expanded */
};

#endif
