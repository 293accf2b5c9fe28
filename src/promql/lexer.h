/* SPDX-License-Identifier: Apache-2.0 */
/* lexer.h: the tokens of PromQL, one at a time. What a character means depends on where it stands: inside
 * braces everything alphabetic is a label name, inside brackets it is a duration expression. */
#ifndef BELFRY_PROMQL_LEXER_H
#define BELFRY_PROMQL_LEXER_H

#include "base/buffer.h"
#include "base/view.h"

#include <stdbool.h>
#include <stdint.h>

/* Token, its text where it has one, its class. Words are case-insensitive. */
#define PROMQL_TOKENS(X)                                                                           \
    X(EOF, "end of input", SPECIAL)                                                                \
    X(ERROR, "error", SPECIAL)                                                                     \
    X(IDENTIFIER, "identifier", SPECIAL)                                                           \
    X(METRIC_IDENTIFIER, "metric identifier", SPECIAL) /* holds a colon */                         \
    X(STRING, "string", SPECIAL)                                                                   \
    X(NUMBER, "number", SPECIAL)                                                                   \
    X(DURATION, "duration", SPECIAL)                                                               \
    X(LEFT_PAREN, "(", SIGN)                                                                       \
    X(RIGHT_PAREN, ")", SIGN)                                                                      \
    X(LEFT_BRACE, "{", SIGN)                                                                       \
    X(RIGHT_BRACE, "}", SIGN)                                                                      \
    X(LEFT_BRACKET, "[", SIGN)                                                                     \
    X(RIGHT_BRACKET, "]", SIGN)                                                                    \
    X(COMMA, ",", SIGN)                                                                            \
    X(COLON, ":", SIGN)                                                                            \
    X(EQUAL, "=", SIGN)                                                                            \
    X(ADD, "+", OPERATOR)                                                                          \
    X(SUB, "-", OPERATOR)                                                                          \
    X(MUL, "*", OPERATOR)                                                                          \
    X(DIV, "/", OPERATOR)                                                                          \
    X(MOD, "%", OPERATOR)                                                                          \
    X(POW, "^", OPERATOR)                                                                          \
    X(EQ, "==", OPERATOR)                                                                          \
    X(NE, "!=", OPERATOR)                                                                          \
    X(LT, "<", OPERATOR)                                                                           \
    X(GT, ">", OPERATOR)                                                                           \
    X(LE, "<=", OPERATOR)                                                                          \
    X(GE, ">=", OPERATOR)                                                                          \
    X(TRIM_UPPER, "</", OPERATOR)                                                                  \
    X(TRIM_LOWER, ">/", OPERATOR)                                                                  \
    X(MATCH_REGEX, "=~", OPERATOR)                                                                 \
    X(MATCH_NOT_REGEX, "!~", OPERATOR)                                                             \
    X(AT, "@", OPERATOR)                                                                           \
    X(AND, "and", OPERATOR_WORD)                                                                   \
    X(OR, "or", OPERATOR_WORD)                                                                     \
    X(UNLESS, "unless", OPERATOR_WORD)                                                             \
    X(ATAN2, "atan2", OPERATOR_WORD)                                                               \
    X(SUM, "sum", AGGREGATOR)                                                                      \
    X(AVG, "avg", AGGREGATOR)                                                                      \
    X(COUNT, "count", AGGREGATOR)                                                                  \
    X(MIN, "min", AGGREGATOR)                                                                      \
    X(MAX, "max", AGGREGATOR)                                                                      \
    X(GROUP, "group", AGGREGATOR)                                                                  \
    X(STDDEV, "stddev", AGGREGATOR)                                                                \
    X(STDVAR, "stdvar", AGGREGATOR)                                                                \
    X(TOPK, "topk", AGGREGATOR)                                                                    \
    X(BOTTOMK, "bottomk", AGGREGATOR)                                                              \
    X(QUANTILE, "quantile", AGGREGATOR)                                                            \
    X(COUNT_VALUES, "count_values", AGGREGATOR)                                                    \
    X(LIMITK, "limitk", AGGREGATOR)                                                                \
    X(LIMIT_RATIO, "limit_ratio", AGGREGATOR)                                                      \
    X(OFFSET, "offset", KEYWORD)                                                                   \
    X(SMOOTHED, "smoothed", KEYWORD)                                                               \
    X(ANCHORED, "anchored", KEYWORD)                                                               \
    X(BY, "by", KEYWORD)                                                                           \
    X(WITHOUT, "without", KEYWORD)                                                                 \
    X(ON, "on", KEYWORD)                                                                           \
    X(IGNORING, "ignoring", KEYWORD)                                                               \
    X(GROUP_LEFT, "group_left", KEYWORD)                                                           \
    X(GROUP_RIGHT, "group_right", KEYWORD)                                                         \
    X(FILL, "fill", KEYWORD)                                                                       \
    X(FILL_LEFT, "fill_left", KEYWORD)                                                             \
    X(FILL_RIGHT, "fill_right", KEYWORD)                                                           \
    X(BOOL, "bool", KEYWORD)                                                                       \
    X(START, "start", PREPROCESSOR)                                                                \
    X(END, "end", PREPROCESSOR)                                                                    \
    X(STEP, "step", PREPROCESSOR)                                                                  \
    X(RANGE, "range", PREPROCESSOR)                                                                \
    X(MIN_OF, "min_of", PREPROCESSOR)                                                              \
    X(MAX_OF, "max_of", PREPROCESSOR)

enum token_kind {
#define X(name, text, class) TOKEN_##name,
    PROMQL_TOKENS(X)
#undef X
        TOKEN_KINDS
};

enum token_class {
    TOKEN_CLASS_SPECIAL,
    TOKEN_CLASS_SIGN,
    TOKEN_CLASS_OPERATOR,
    TOKEN_CLASS_OPERATOR_WORD,
    TOKEN_CLASS_AGGREGATOR,
    TOKEN_CLASS_KEYWORD,
    TOKEN_CLASS_PREPROCESSOR
};

struct token {
    enum token_kind kind;
    uint32_t start, end; /* bytes of the text */
};

enum { LEXER_ERROR_BYTES = 256 };

struct lexer {
    struct view text; /* at most UINT32_MAX bytes */
    uint32_t pos, start;
    int paren_depth;
    bool brace_open, bracket_open;
    bool in_duration; /* in brackets, before the first number */
    bool got_colon, got_duration;
    char error[LEXER_ERROR_BYTES]; /* of a TOKEN_ERROR, which is also the last token */
};

void lexer_init(struct lexer *l, struct view text);
/* Comments and spaces are skipped. After TOKEN_EOF or TOKEN_ERROR the same comes again. */
struct token lexer_next(struct lexer *l);

enum token_class token_class(enum token_kind kind);
const char *token_text(enum token_kind kind);
static inline struct view lexer_token_view(const struct lexer *l, struct token t)
{
    return view_slice(l->text, t.start, t.end);
}
/* As Prometheus names a token in an error: identifier "foo", <op:+>, <by>, "(", end of input. */
void token_describe(struct buffer *out, const struct lexer *l, struct token t);

#endif
