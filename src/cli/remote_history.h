/* SPDX-License-Identifier: Apache-2.0 */
/* remote_history.h: history behind an HTTP API of Prometheus' kind. Expressions are evaluated there by range queries;
 * where that is not possible, because a rule reads what only we have, samples are fetched by range selectors
 * (/api/v1/query of SELECTOR[RANGE]) and evaluated here. */
#ifndef BELFRY_CLI_REMOTE_HISTORY_H
#define BELFRY_CLI_REMOTE_HISTORY_H

#include "base/error.h"
#include "rules/rule_ranges.h"
#include "storage/cursor.h"

/* Servers give 11,000 points of a series at most. */
enum { REMOTE_HISTORY_STEPS_MAX = 11000 };

struct remote_history;

struct remote_history *remote_history_new(const char *url, int64_t timeout_ms);
void remote_history_free(struct remote_history *h); /* NULL does nothing */
/* Both: ERROR_IO when there is no answer or none of a query API; ERROR_EXECUTION and such with the server's words. */
struct storage_source *remote_history_source(struct remote_history *h);
rule_ranges_fetch remote_history_fetch; /* arg: a struct remote_history */

#endif
