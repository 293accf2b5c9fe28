/* SPDX-License-Identifier: Apache-2.0 */
/* duration_expr.h: the value of a range, step or offset that was written as arithmetic. */
#ifndef BELFRY_PROMQL_DURATION_EXPR_H
#define BELFRY_PROMQL_DURATION_EXPR_H

#include "base/attributes.h"
#include "base/error.h"
#include "promql/ast.h"

#include <stdbool.h>
#include <stdint.h>

/* start_ms, end_ms, step_ms are the query's: step() is the step (0 for an instant query), range() is end - start.
 * ERROR_EXECUTION: "duration must be greater than 0" unless allow_negative, "division by zero", "modulo by zero",
 * "duration is out of range". */
MUST_USE bool duration_expr_eval(const struct duration_expr *e, int64_t start_ms, int64_t end_ms,
                                 int64_t step_ms, bool allow_negative, int64_t *out_ms,
                                 struct error *err);

/* Whole ms of seconds, as Prometheus gets them (rounded to ns, then cut). False when out of range (292 years). */
bool duration_seconds_to_ms(double seconds, int64_t *out_ms);

#endif
