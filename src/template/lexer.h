/* SPDX-License-Identifier: Apache-2.0 */
/* lexer.h: the text of a template as tokens: text between actions, and what stands in actions. Trim markers and comments
 * are done with here. */
#ifndef BELFRY_TEMPLATE_LEXER_H
#define BELFRY_TEMPLATE_LEXER_H

#include "base/view.h"

#include <stdbool.h>
#include <stdint.h>

enum token_kind {
    TOKEN_ERROR, /* `text` is the sentence */
    TOKEN_EOF,
    TOKEN_TEXT,
    TOKEN_LEFT, /* {{ */
    TOKEN_RIGHT,
    TOKEN_SPACE,
    TOKEN_ASSIGN,
    TOKEN_DECLARE,
    TOKEN_PIPE,
    TOKEN_LEFT_PAREN,
    TOKEN_RIGHT_PAREN,
    TOKEN_CHAR, /* a lone printable character: only "," means something */
    TOKEN_BOOL,
    TOKEN_CHAR_CONSTANT,
    TOKEN_NUMBER,
    TOKEN_STRING,
    TOKEN_RAW_STRING,
    TOKEN_FIELD,    /* .name */
    TOKEN_VARIABLE, /* $name */
    TOKEN_IDENTIFIER,
    TOKEN_DOT,
    TOKEN_KEYWORD_FIRST, /* those below are words */
    TOKEN_NIL = TOKEN_KEYWORD_FIRST,
    TOKEN_BLOCK,
    TOKEN_BREAK,
    TOKEN_CONTINUE,
    TOKEN_DEFINE,
    TOKEN_ELSE,
    TOKEN_END,
    TOKEN_IF,
    TOKEN_RANGE,
    TOKEN_TEMPLATE,
    TOKEN_WITH,
};

struct token {
    enum token_kind kind;
    uint32_t pos; /* byte in the text */
    struct view text;
};

struct lexer {
    struct view input;
    uint32_t pos;
    int paren_depth;
    bool inside;      /* an action */
    bool failed;      /* an error was given out: it comes again */
    char message[96]; /* of TOKEN_ERROR */
};

/* Borrows the input, which is shorter than 4 GiB. */
void template_lexer_init(struct lexer *l, struct view input);
struct token template_lexer_next(struct lexer *l);

#endif
