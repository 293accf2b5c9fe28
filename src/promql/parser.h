/* SPDX-License-Identifier: Apache-2.0 */
/* parser.h: text -> typed tree. The complete grammar of Prometheus 3. */
#ifndef BELFRY_PROMQL_PARSER_H
#define BELFRY_PROMQL_PARSER_H

#include "base/arena.h"
#include "base/attributes.h"
#include "base/buffer.h"
#include "base/error.h"
#include "promql/ast.h"

#include <stdbool.h>

/* Depth is what is written inside something else: parentheses, arguments, signs. A chain of operators (a or b or
 * c ...) nests nothing but grows the tree, which everybody walks recursively: height limits that. */
enum { PROMQL_QUERY_BYTES_MAX = 64 * 1024, PROMQL_DEPTH_MAX = 256, PROMQL_HEIGHT_MAX = 1024 };

struct parser_options {
    bool experimental_functions; /* allow functions marked so (also limitk, limit_ratio) */
    bool duration_expressions;
    bool extended_range_selectors; /* anchored, smoothed */
    bool fill_modifiers;           /* fill(), fill_left(), fill_right() between vectors */
};

struct promql;

/* Parses and type-checks. Owned by the caller: promql_free() (the matchers hold compiled regexes).
 * Borrows nothing. ERROR_INPUT with Prometheus' words ("1:5: parse error: ..." in the message, line and
 * column set). Queries over PROMQL_QUERY_BYTES_MAX or nested over PROMQL_DEPTH_MAX are refused. */
MUST_USE bool promql_parse(struct view text, const struct parser_options *opts, struct promql **out,
                           struct error *err);
void promql_free(struct promql *q);
const struct expr *promql_root(const struct promql *q);
struct view promql_text(const struct promql *q);
/* "line:column" of a byte of the text. */
void promql_position(const struct promql *q, uint32_t byte, uint32_t *line, uint32_t *column);
/* Only a selector's matchers, as match[] parameters have them: metric{a="b"}. Owned like promql_parse;
 * the root is an EXPR_SELECTOR. */
MUST_USE bool promql_parse_selector(struct view text, struct promql **out, struct error *err);

/* As Prometheus prints it: on one line (String) or laid out for reading (Pretty, 100 columns). */
void promql_print(struct buffer *out, const struct expr *e);
void promql_print_pretty(struct buffer *out, const struct expr *e);

#endif
