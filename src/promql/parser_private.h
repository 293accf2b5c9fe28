/* SPDX-License-Identifier: Apache-2.0 */
/* parser_private.h: what the files of the parser share. A recursive descent with one token of lookahead;
 * each function returns NULL (or false) once `failed` is set, and only the first error is kept. */
#ifndef BELFRY_PROMQL_PARSER_PRIVATE_H
#define BELFRY_PROMQL_PARSER_PRIVATE_H

#include "promql/lexer.h"
#include "promql/parser.h"

struct regex_node { /* the compiled regexes of a query, for promql_free() */
    struct regex *regex;
    struct regex_node *next;
};

struct promql {
    struct arena arena;
    struct view text;
    const struct expr *root;
    struct regex_node *regexes;
};

struct parser {
    struct promql *q;
    struct arena *arena; /* q's */
    struct lexer lexer;
    struct token token; /* the lookahead */
    uint32_t last_end;  /* end of the token before it */
    uint32_t depth;
    uint32_t aggregations; /* whose arguments are being read */
    struct parser_options options;
    const char *duration_context, *duration_expected; /* for errors inside a duration */
    bool failed;
    struct error *err;
};

/* --- parser.c --- */

/* Sets the error unless there is one; "LINE:COLUMN: parse error: MESSAGE". Returns false. */
bool parser_fail(struct parser *p, uint32_t at, const char *format, ...) PRINTF_LIKE(3, 4);
/* "unexpected TOKEN in CONTEXT, expected EXPECTED"; both may be NULL (inside an aggregation the context is then
 * "aggregation", as Prometheus' grammar has it). A lexer's error goes first. */
bool parser_unexpected(struct parser *p, const char *context, const char *expected);
/* Takes the lookahead and reads the next token. */
struct token parser_take(struct parser *p);
static inline bool parser_at(const struct parser *p, enum token_kind kind)
{
    return p->token.kind == kind;
}
static inline struct view parser_token_view(const struct parser *p, struct token t)
{
    return lexer_token_view(&p->lexer, t);
}
/* Counts a level of nesting; every success is paired with parser_leave(). */
MUST_USE bool parser_enter(struct parser *p);
static inline void parser_leave(struct parser *p)
{
    p->depth--;
}
/* A quoted copy for a message, in the arena. */
const char *parser_quoted(struct parser *p, struct view text);
/* Value of a NUMBER or DURATION token. */
MUST_USE bool parser_number(struct parser *p, struct token t, double *out);
/* Unescaped text of a STRING token. */
MUST_USE bool parser_string(struct parser *p, struct token t, struct view *out);

/* --- parser_expr.c --- */
struct expr *parser_expression(struct parser *p);
/* Height from what is below it; NULL (with the error) when the tree becomes too high. `below` may be NULL. */
struct expr *parser_expr_new(struct parser *p, enum expr_kind kind, enum value_type type,
                             struct span span, const struct expr *below,
                             const struct expr *below_too);

/* --- parser_selector.c --- */
/* Words that may stand where a metric's or a label's name does. */
bool token_is_metric_name(enum token_kind kind);
bool token_is_label_name(enum token_kind kind);
/* At a metric name or a left brace. */
struct expr *parser_selector(struct parser *p);
/* ( a, "b c", by ) */
MUST_USE bool parser_label_list(struct parser *p, struct view **labels, uint32_t *count);

/* --- parser_modifier.c --- */
/* All of [range], [range:step], offset, @, anchored, smoothed that follow an operand. */
struct expr *parser_postfix(struct parser *p, struct expr *e);

/* --- duration_expr.c --- */
/* Inside brackets: a whole arithmetic expression. */
struct duration_expr *parser_duration(struct parser *p);
/* After offset: one operand, or arithmetic that begins with a parenthesis, so that a offset 5m * 2 stays a product. */
struct duration_expr *parser_offset_duration(struct parser *p);

/* --- typecheck.c --- */
MUST_USE bool parser_check(struct parser *p, struct expr *e);

#endif
