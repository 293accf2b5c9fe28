/* SPDX-License-Identifier: Apache-2.0 */
/* lexer.c: see lexer.h. The words of errors are Go's. */
#include "template/lexer.h"

#include "base/attributes.h"
#include "base/quote.h"
#include "base/utf8.h"
#include "template/letters.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

enum { END = -1 };

static const struct {
    const char *word;
    enum token_kind kind;
} KEYWORDS[] = {
    {"nil", TOKEN_NIL},           {"block", TOKEN_BLOCK},   {"break", TOKEN_BREAK},
    {"continue", TOKEN_CONTINUE}, {"define", TOKEN_DEFINE}, {"else", TOKEN_ELSE},
    {"end", TOKEN_END},           {"if", TOKEN_IF},         {"range", TOKEN_RANGE},
    {"template", TOKEN_TEMPLATE}, {"with", TOKEN_WITH},     {"true", TOKEN_BOOL},
    {"false", TOKEN_BOOL},
};

void template_lexer_init(struct lexer *l, struct view input)
{
    *l = (struct lexer){.input = input};
}

static bool is_space(int c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static int at(const struct lexer *l, size_t pos)
{
    return pos < l->input.len ? (unsigned char)l->input.ptr[pos] : END;
}

static bool starts_with(const struct lexer *l, size_t pos, const char *text)
{
    return view_has_prefix(view_slice(l->input, pos, l->input.len), view_from(text));
}

static struct token emit(const struct lexer *l, enum token_kind kind, size_t start)
{
    return (struct token){kind, (uint32_t)start, view_slice(l->input, start, l->pos)};
}

static struct token fail(struct lexer *l, size_t start, const char *format, ...) PRINTF_LIKE(3, 4);

static struct token fail(struct lexer *l, size_t start, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(l->message, sizeof(l->message), format, args);
    va_end(args);
    l->failed = true;
    l->pos = (uint32_t)start;
    return (struct token){TOKEN_ERROR, (uint32_t)start, view_from(l->message)};
}

/* "U+201C '“'", as Go's %#U; "U+FFFD" where the bytes are no character. */
static struct token fail_at_character(struct lexer *l, size_t start, size_t pos, const char *what)
{
    char shown[64];
    struct buffer b;
    buffer_init(&b, MEM_CONFIG, sizeof(shown));
    if (pos >= l->input.len)
        return fail(l, start, "%sU+FFFFFFFFFFFFFFFF", what);
    size_t next = pos;
    uint32_t code = utf8_next(l->input, &next);
    if (code == UINT32_MAX)
        code = 0xfffd;
    quote_append_rune(&b, code);
    snprintf(shown, sizeof(shown), "%.*s", VIEW_ARGS(buffer_view(&b)));
    buffer_deinit(&b);
    if (shown[1] == '\\' && code != '\\' && code != '\'')
        return fail(l, start, "%sU+%04X", what, code);
    if (code == '\\' || code == '\'')
        snprintf(shown, sizeof(shown), "'%c'", (char)code);
    return fail(l, start, "%sU+%04X %s", what, code, shown);
}

/* Behind the letters, digits and "_" from pos on. */
static size_t skip_word(const struct lexer *l, size_t pos)
{
    return pos + letters_prefix(view_slice(l->input, pos, l->input.len));
}

static bool at_terminator(const struct lexer *l)
{
    int c = at(l, l->pos);
    return c == END || is_space(c) || memchr(".,|:)(", c, 6) || starts_with(l, l->pos, "}}");
}

/* A trim marker before }}: a space, "-". */
static bool at_trim_right(const struct lexer *l, size_t pos)
{
    return is_space(at(l, pos)) && starts_with(l, pos + 1, "-}}");
}

/* A trim marker behind {{: "-", a space. */
static bool at_trim_left(const struct lexer *l, size_t pos)
{
    return at(l, pos) == '-' && is_space(at(l, pos + 1));
}

static void skip_spaces(struct lexer *l)
{
    while (is_space(at(l, l->pos)))
        l->pos++;
}

/* Where the next {{ is, or the end. */
static size_t find_left(const struct lexer *l)
{
    const char *found = NULL;
    if (l->pos < l->input.len)
        found = memmem(l->input.ptr + l->pos, l->input.len - l->pos, "{{", 2);
    return found ? (size_t)(found - l->input.ptr) : l->input.len;
}

/* l->pos is at the comment's first byte. False when it failed with *error. */
static bool skip_comment(struct lexer *l, struct token *error)
{
    size_t start = l->pos;
    size_t from = start + 2 < l->input.len ? start + 2 : l->input.len;
    const char *end =
        from < l->input.len ? memmem(l->input.ptr + from, l->input.len - from, "*/", 2) : NULL;
    if (!end) {
        *error = fail(l, start, "unclosed comment");
        return false;
    }
    l->pos = (uint32_t)(end - l->input.ptr) + 2;
    if (at_trim_right(l, l->pos)) {
        l->pos += 4;
        skip_spaces(l);
    } else if (starts_with(l, l->pos, "}}")) {
        l->pos += 2;
    } else {
        *error = fail(l, start, "comment ends before closing delimiter");
        return false;
    }
    return true;
}

static struct token lex_text(struct lexer *l)
{
    for (;;) {
        size_t start = l->pos;
        size_t left = find_left(l);
        size_t end = left;
        if (left < l->input.len && at_trim_left(l, left + 2))
            while (end > start && is_space(at(l, end - 1)))
                end--;
        if (end > start) {
            l->pos = (uint32_t)left;
            return (struct token){TOKEN_TEXT, (uint32_t)start, view_slice(l->input, start, end)};
        }
        l->pos = (uint32_t)left;
        if (left == l->input.len)
            return (struct token){TOKEN_EOF, (uint32_t)left, VIEW("EOF")};
        size_t inner = left + 2 + (at_trim_left(l, left + 2) ? 2 : 0);
        if (!starts_with(l, inner, "/*")) {
            l->pos = (uint32_t)left + 2;
            struct token t = emit(l, TOKEN_LEFT, left);
            l->pos = (uint32_t)inner;
            l->inside = true;
            l->paren_depth = 0;
            return t;
        }
        struct token error;
        l->pos = (uint32_t)inner;
        if (!skip_comment(l, &error))
            return error;
    }
}

static struct token lex_right(struct lexer *l)
{
    bool trim = at_trim_right(l, l->pos);
    size_t start = l->pos + (trim ? 2u : 0u);
    l->pos = (uint32_t)start + 2;
    struct token t = emit(l, TOKEN_RIGHT, start);
    if (trim)
        skip_spaces(l);
    l->inside = false;
    return t;
}

static struct token lex_space(struct lexer *l)
{
    size_t start = l->pos;
    skip_spaces(l);
    if (at_trim_right(l, l->pos - 1)) {
        l->pos--;
        if (l->pos == start)
            return lex_right(l);
    }
    return emit(l, TOKEN_SPACE, start);
}

/* A quoted text or character: up to the same quote, with backslashes. */
static struct token lex_quoted(struct lexer *l, char quote, enum token_kind kind)
{
    size_t start = l->pos++;
    for (;;) {
        int c = at(l, l->pos);
        if (c == '\\' && at(l, l->pos + 1) != END && at(l, l->pos + 1) != '\n') {
            l->pos += 2;
            continue;
        }
        if (c == END || c == '\n' || c == '\\')
            return fail(l, start, "unterminated %s",
                        quote == '"' ? "quoted string" : "character constant");
        l->pos++;
        if (c == quote)
            return emit(l, kind, start);
    }
}

static struct token lex_raw(struct lexer *l)
{
    size_t start = l->pos++;
    while (at(l, l->pos) != '`') {
        if (at(l, l->pos) == END)
            return fail(l, start, "unterminated raw quoted string");
        l->pos++;
    }
    l->pos++;
    return emit(l, TOKEN_RAW_STRING, start);
}

static bool accept(struct lexer *l, const char *set)
{
    int c = at(l, l->pos);
    if (c == END || c == 0 || !strchr(set, c))
        return false;
    l->pos++;
    return true;
}

static void accept_run(struct lexer *l, const char *set)
{
    while (accept(l, set)) {
    }
}

static struct token lex_number(struct lexer *l)
{
    size_t start = l->pos;
    accept(l, "+-");
    const char *digits = "0123456789_";
    bool decimal = true, hex = false;
    if (accept(l, "0")) {
        if (accept(l, "xX")) {
            digits = "0123456789abcdefABCDEF_";
            decimal = false;
            hex = true;
        } else if (accept(l, "oO")) {
            digits = "01234567_";
            decimal = false;
        } else if (accept(l, "bB")) {
            digits = "01_";
            decimal = false;
        }
    }
    accept_run(l, digits);
    if (accept(l, "."))
        accept_run(l, digits);
    if ((decimal && accept(l, "eE")) || (hex && accept(l, "pP"))) {
        accept(l, "+-");
        accept_run(l, "0123456789_");
    }
    size_t word = skip_word(l, l->pos);
    int c = at(l, l->pos);
    if (word > l->pos || c == '+' || c == '-') {
        l->pos = (uint32_t)(word > l->pos ? word : l->pos + 1u);
        return fail(l, start, "bad number syntax: \"%.*s\"",
                    (int)(l->pos - start > 40 ? 40 : l->pos - start), l->input.ptr + start);
    }
    return emit(l, TOKEN_NUMBER, start);
}

/* .name or $name; alone they are the dot and $. */
static struct token lex_field(struct lexer *l, enum token_kind kind)
{
    size_t start = l->pos++;
    if (at_terminator(l))
        return emit(l, kind == TOKEN_VARIABLE ? kind : TOKEN_DOT, start);
    l->pos = (uint32_t)skip_word(l, l->pos);
    if (!at_terminator(l))
        return fail_at_character(l, start, l->pos, "bad character ");
    return emit(l, kind, start);
}

static struct token lex_word(struct lexer *l)
{
    size_t start = l->pos;
    l->pos = (uint32_t)skip_word(l, start);
    if (!at_terminator(l))
        return fail_at_character(l, start, l->pos, "bad character ");
    struct token t = emit(l, TOKEN_IDENTIFIER, start);
    for (size_t i = 0; i < ARRAY_COUNT(KEYWORDS); i++)
        if (view_is(t.text, KEYWORDS[i].word))
            t.kind = KEYWORDS[i].kind;
    return t;
}

static struct token lex_punctuation(struct lexer *l, int c)
{
    size_t start = l->pos++;
    switch (c) {
    case '=':
        return emit(l, TOKEN_ASSIGN, start);
    case ':':
        if (!accept(l, "="))
            return fail(l, start, "expected :=");
        return emit(l, TOKEN_DECLARE, start);
    case '|':
        return emit(l, TOKEN_PIPE, start);
    case '(':
        l->paren_depth++;
        return emit(l, TOKEN_LEFT_PAREN, start);
    case ')':
        if (--l->paren_depth < 0)
            return fail(l, start, "unexpected right paren");
        return emit(l, TOKEN_RIGHT_PAREN, start);
    default:
        if (c > ' ' && c < 0x7f)
            return emit(l, TOKEN_CHAR, start);
        return fail_at_character(l, start, start, "unrecognized character in action: ");
    }
}

static struct token lex_inside(struct lexer *l)
{
    size_t start = l->pos;
    if (starts_with(l, start, "}}") || at_trim_right(l, start)) {
        if (l->paren_depth == 0)
            return lex_right(l);
        return fail(l, start, "unclosed left paren");
    }
    int c = at(l, start);
    if (c == END)
        return fail(l, start, "unclosed action");
    if (is_space(c))
        return lex_space(l);
    if (c == '"')
        return lex_quoted(l, '"', TOKEN_STRING);
    if (c == '\'')
        return lex_quoted(l, '\'', TOKEN_CHAR_CONSTANT);
    if (c == '`')
        return lex_raw(l);
    if (c == '$')
        return lex_field(l, TOKEN_VARIABLE);
    int next = at(l, start + 1);
    if (c == '.' && !(next >= '0' && next <= '9'))
        return lex_field(l, TOKEN_FIELD);
    if (c == '.' || c == '+' || c == '-' || (c >= '0' && c <= '9'))
        return lex_number(l);
    if (skip_word(l, start) > start)
        return lex_word(l);
    return lex_punctuation(l, c);
}

struct token template_lexer_next(struct lexer *l)
{
    if (l->failed)
        return (struct token){TOKEN_ERROR, l->pos, view_from(l->message)};
    return l->inside ? lex_inside(l) : lex_text(l);
}
