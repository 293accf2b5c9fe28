/* SPDX-License-Identifier: Apache-2.0 */
/* rule_query.h: queries of rules: an instant vector (a scalar is one sample without labels) at a time. */
#ifndef BELFRY_RULES_RULE_QUERY_H
#define BELFRY_RULES_RULE_QUERY_H

#include "base/arena.h"
#include "base/attributes.h"
#include "base/error.h"
#include "promql/engine.h"
#include "rules/rule_env.h"

struct rule;

/* Lays a finished query's result out in the arena; its text is the query's (`deep`: copied). ERROR_EXECUTION: "rule
 * result is not a vector or scalar". */
MUST_USE bool rule_vector_of(const struct query *q, struct arena *arena, bool deep,
                             struct rule_vector *out, struct error *err);
/* Parses and evaluates; everything is in the arena. With a rule: where rule_cancel() finds it (rule.h). */
MUST_USE bool rule_query_text(const struct rule_env *env, struct rule *rule, struct view text,
                              int64_t time_ms, struct arena *arena, struct rule_vector *out,
                              struct error *err);
/* A query, not run yet, that the caller frees. */
MUST_USE bool rule_query_new(const struct rule_env *env, const struct promql *expr, int64_t time_ms,
                             struct query **out, struct error *err);

#endif
