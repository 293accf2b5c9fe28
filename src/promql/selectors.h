/* SPDX-License-Identifier: Apache-2.0 */
/* selectors.h: the series selectors that an expression has, as they stand in the text. */
#ifndef BELFRY_PROMQL_SELECTORS_H
#define BELFRY_PROMQL_SELECTORS_H

#include "promql/ast.h"

/* Calls back for each, from left to right. */
void promql_each_selector(const struct expr *e, void (*visit)(void *arg, const struct selector *s),
                          void *arg);

/* How long before the time of its evaluation an expression reads at most, a selector's own lookback included. What is
 * not known before it is evaluated (@ TIME, ranges made of step() or range()) is PROMQL_REACH_MAX. */
#define PROMQL_REACH_MAX (INT64_MAX / 4)
int64_t promql_reach_ms(const struct expr *e, int64_t lookback_ms);
/* Does a step of a range query differ from an instant query at its time: @ start(), @ end(), step(), range()? */
bool promql_depends_on_range(const struct expr *e);

#endif
