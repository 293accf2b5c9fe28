/* SPDX-License-Identifier: Apache-2.0 */
/* selectors.h: the series selectors that an expression has, as they stand in the text. */
#ifndef BELFRY_PROMQL_SELECTORS_H
#define BELFRY_PROMQL_SELECTORS_H

#include "promql/ast.h"

/* Calls back for each, from left to right. */
void promql_each_selector(const struct expr *e, void (*visit)(void *arg, const struct selector *s),
                          void *arg);

#endif
