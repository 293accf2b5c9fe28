/* SPDX-License-Identifier: Apache-2.0 */
/* route_lint.h: routes that no alert can reach and inhibitions that can never happen. */
#ifndef BELFRY_ALERTING_ROUTE_LINT_H
#define BELFRY_ALERTING_ROUTE_LINT_H

#include "alerting/alert_config.h"

#include <stdint.h>

/* Called for each finding, in the order of the file, with the place of the route or rule; the sentence is lent. */
typedef void (*route_lint_found)(void *arg, uint32_t line, uint32_t column, const char *sentence);

/* What is found is certain; not everything is found: regular expressions are compared as texts, but for those that are
 * a list of words, and a route with the 1,000 siblings before it. */
void route_lint(const struct alert_config *c, route_lint_found found, void *arg);

#endif
