/* SPDX-License-Identifier: Apache-2.0 */
/* query_explain.h: the plan of a query as a tree for a person at a terminal. */
#ifndef BELFRY_CLI_QUERY_EXPLAIN_H
#define BELFRY_CLI_QUERY_EXPLAIN_H

#include <jansson.h>
#include <stdio.h>

/* `plan` is the member "explain" of an answer's data; `query` the text that its spans mean. */
void query_print_plan(FILE *out, const json_t *plan, const char *query);

#endif
