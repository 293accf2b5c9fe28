/* SPDX-License-Identifier: Apache-2.0 */
/* query_print.h: answers of the query API for a person at a terminal: table, CSV, graph. */
#ifndef BELFRY_CLI_QUERY_PRINT_H
#define BELFRY_CLI_QUERY_PRINT_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

/* A JSON string as text; control characters, which would move the cursor or worse, print as '?'. */
void query_print_text(FILE *out, const json_t *text);
/* `data` is the "data" member of an answer of query or query_range. */
void query_print_table(FILE *out, const json_t *data);
void query_print_csv(FILE *out, const json_t *data);
/* A line per series in braille dots, `columns` wide, with axes and a legend. Vectors become bars, dotted below 0. */
void query_print_graph(FILE *out, const json_t *data, int columns, int rows, bool colour);

#endif
