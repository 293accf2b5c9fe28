/* SPDX-License-Identifier: Apache-2.0 */
/* lexer.c: see lexer.h. The words of the errors are Prometheus', since people search for them; where an
 * error is found (which character, which position) follows its state machine too. */
#include "promql/lexer.h"

#include "base/assert.h"
#include "base/hex.h"
#include "base/quote.h"
#include "base/utf8.h"

#include <stdio.h>

#define RUNE_EOF UINT32_C(0xfffffffe)

static const struct {
    const char *text;
    enum token_class class;
} TOKENS[] = {
#define X(name, text, class) {text, TOKEN_CLASS_##class},
    PROMQL_TOKENS(X)
#undef X
};

enum token_class token_class(enum token_kind kind)
{
    ASSERT((size_t)kind < ARRAY_COUNT(TOKENS));
    return TOKENS[kind].class;
}

const char *token_text(enum token_kind kind)
{
    ASSERT((size_t)kind < ARRAY_COUNT(TOKENS));
    return TOKENS[kind].text;
}

/* Go's %.10q followed by "...": the first ten characters. */
static void describe_value(struct buffer *out, struct view text)
{
    if (text.len <= 10) {
        quote_append(out, text);
        return;
    }
    size_t pos = 0;
    for (int i = 0; i < 10 && pos < text.len; i++)
        (void)utf8_next(text, &pos); /* only to count characters */
    quote_append(out, view_slice(text, 0, pos));
    buffer_append_literal(out, "...");
}

void token_describe(struct buffer *out, const struct lexer *l, struct token t)
{
    struct view text = lexer_token_view(l, t);
    switch (token_class(t.kind)) {
    case TOKEN_CLASS_OPERATOR:
    case TOKEN_CLASS_OPERATOR_WORD:
        buffer_printf(out, "<op:%.*s>", VIEW_ARGS(text));
        return;
    case TOKEN_CLASS_AGGREGATOR:
        buffer_printf(out, "<aggr:%.*s>", VIEW_ARGS(text));
        return;
    case TOKEN_CLASS_KEYWORD:
        buffer_printf(out, "<%.*s>", VIEW_ARGS(text));
        return;
    case TOKEN_CLASS_SIGN:
    case TOKEN_CLASS_PREPROCESSOR:
        quote_append(out, text);
        return;
    case TOKEN_CLASS_SPECIAL:
        break;
    }
    buffer_printf(out, "%s", token_text(t.kind));
    if (t.kind == TOKEN_EOF)
        return;
    buffer_append_byte(out, ' ');
    if (t.kind == TOKEN_IDENTIFIER || t.kind == TOKEN_METRIC_IDENTIFIER)
        quote_append(out, text);
    else
        describe_value(out, text);
}

void lexer_init(struct lexer *l, struct view text)
{
    ASSERT(text.len < RUNE_EOF);
    *l = (struct lexer){.text = text};
}

/* --- characters --- */

static bool is_space(uint32_t c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}
static bool is_digit(uint32_t c)
{
    return c >= '0' && c <= '9';
}
static bool is_alpha(uint32_t c)
{
    return c == '_' || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}
static bool is_alphanumeric(uint32_t c)
{
    return is_alpha(c) || is_digit(c);
}

/* The next byte if it is ASCII, else the character; does not move. */
static uint32_t peek(const struct lexer *l)
{
    if (l->pos >= l->text.len)
        return RUNE_EOF;
    unsigned char c = (unsigned char)l->text.ptr[l->pos];
    if (c < 0x80)
        return c;
    size_t pos = l->pos;
    return utf8_next(l->text, &pos);
}

static uint32_t next(struct lexer *l)
{
    if (l->pos >= l->text.len)
        return RUNE_EOF;
    size_t pos = l->pos;
    uint32_t c = utf8_next(l->text, &pos);
    l->pos = (uint32_t)pos;
    return c;
}

static bool accept(struct lexer *l, const char *set)
{
    uint32_t c = peek(l);
    if (c >= 0x80 || c == 0 || !strchr(set, (int)c))
        return false;
    l->pos++;
    return true;
}

static struct token emit(struct lexer *l, enum token_kind kind)
{
    struct token t = {kind, l->start, l->pos};
    l->start = l->pos;
    return t;
}

/* --- errors --- */

static struct token fail_at(struct lexer *l)
{
    ASSERT(l->error[0]);
    return (struct token){TOKEN_ERROR, l->start, (uint32_t)l->text.len};
}

static struct token fail(struct lexer *l, const char *message)
{
    snprintf(l->error, sizeof l->error, "%s", message);
    return fail_at(l);
}

/* "BEFORE 'c'AFTER" */
static struct token fail_rune(struct lexer *l, const char *before, uint32_t c, const char *after)
{
    struct buffer b;
    buffer_init(&b, MEM_QUERY, LEXER_ERROR_BYTES);
    quote_append_rune(&b, c == RUNE_EOF ? UINT32_MAX : c); /* Go prints its -1 so too */
    snprintf(l->error, sizeof l->error, "%s %.*s%s", before, VIEW_ARGS(buffer_view(&b)), after);
    buffer_deinit(&b);
    return fail_at(l);
}

/* "BEFORE "what was read since the start of the token"" */
static struct token fail_text(struct lexer *l, const char *before)
{
    struct buffer b;
    buffer_init(&b, MEM_QUERY, 1024);
    struct view read = view_slice(l->text, l->start, l->pos);
    quote_append(&b, view_slice(read, 0, 100)); /* enough to recognise it */
    snprintf(l->error, sizeof l->error, "%s %.*s", before, VIEW_ARGS(buffer_view(&b)));
    buffer_deinit(&b);
    return fail_at(l);
}

/* --- numbers and durations --- */

/* Reads digits with single underscores between them. */
static bool scan_digits(struct lexer *l, bool hex)
{
    uint32_t before = l->pos, base = hex ? 16 : 10;
    for (;;) {
        uint32_t c = peek(l);
        if (hex_digit(c) < base) {
            l->pos++;
        } else if (c == '_' && l->pos > before) {
            l->pos++;
            c = peek(l);
            if (hex_digit(c) >= base)
                return false;
        } else {
            return true;
        }
    }
}

/* 12, 1_000, 0x1f, 1.5, .5, 1e-3. What follows must not be alphanumeric. */
static bool scan_number(struct lexer *l)
{
    uint32_t first = l->pos;
    bool hex = false;
    if (peek(l) == '0' && l->pos + 1 < l->text.len &&
        (l->text.ptr[l->pos + 1] == 'x' || l->text.ptr[l->pos + 1] == 'X')) {
        hex = true;
        l->pos += 2;
        (void)accept(l, "_"); /* 0x_1f is fine in Go */
        first = l->pos;
    }
    if (!scan_digits(l, hex))
        return false;
    if (!hex && accept(l, ".")) {
        if (peek(l) == '.' || peek(l) == '_') {
            l->pos++;
            return false;
        }
        if (!scan_digits(l, false))
            return false;
    }
    if (!hex && l->pos > first && accept(l, "eE")) {
        (void)accept(l, "+-");
        uint32_t digits = l->pos;
        if (!scan_digits(l, false) || l->pos == digits) {
            (void)accept(l, "._eE");
            return false;
        }
    }
    return l->pos > first && !is_alphanumeric(peek(l)) && peek(l) != '.';
}

/* The rest of a duration whose first digits are read: units from s m h d w y, ms included. Order and
 * repetition are checked when it is converted. */
static bool scan_duration(struct lexer *l)
{
    if (!accept(l, "smhdwy"))
        return false;
    (void)accept(l, "s");
    while (accept(l, "0123456789")) {
        while (accept(l, "0123456789"))
            ;
        if (!accept(l, "smhdw"))
            return false;
        (void)accept(l, "s");
    }
    if (is_alphanumeric(peek(l))) {
        l->pos++;
        return false;
    }
    return true;
}

static struct token lex_number_or_duration(struct lexer *l)
{
    if (scan_number(l))
        return emit(l, TOKEN_NUMBER);
    if (scan_duration(l))
        return emit(l, TOKEN_DURATION);
    return fail_text(l, "bad number or duration syntax:");
}

/* --- strings --- */

static struct token fail_escape(struct lexer *l, const char *before, uint32_t c, const char *after)
{
    if (c == RUNE_EOF)
        return fail(l, "escape sequence not terminated");
    char text[5] = {0};
    utf8_put(c == UINT32_MAX ? 0xfffd : c, text);
    snprintf(l->error, sizeof l->error, "%s U+%04X '%s'%s", before, c == UINT32_MAX ? 0xfffd : c,
             text, after);
    return fail_at(l);
}

/* The backslash is read. False with l->error set. */
static bool scan_escape(struct lexer *l, uint32_t quote)
{
    uint32_t c = next(l), max = 0x10ffff, value = 0, base = 16;
    int count;
    if (c == quote || (c < 0x80 && c != 0 && strchr("abfnrtv\\", (int)c)))
        return true;
    if (c >= '0' && c <= '7') {
        count = 3;
        base = 8;
        max = 255;
        l->pos--;
    } else if (c == 'x') {
        count = 2;
        max = 255;
    } else if (c == 'u') {
        count = 4;
    } else if (c == 'U') {
        count = 8;
    } else {
        (void)fail_escape(l, "unknown escape sequence", c, "");
        return false;
    }
    for (int i = 0; i < count; i++) {
        c = next(l);
        if (hex_digit(c) >= base) {
            (void)fail_escape(l, "illegal character", c, " in escape sequence");
            return false;
        }
        value = value * base + hex_digit(c);
    }
    if (value > max || (value >= 0xd800 && value < 0xe000)) {
        (void)fail(l, "escape sequence is an invalid Unicode code point");
        return false;
    }
    return true;
}

static struct token lex_string(struct lexer *l, uint32_t quote)
{
    for (;;) {
        uint32_t c = next(l);
        if (c == quote)
            return emit(l, TOKEN_STRING);
        if (quote == '`' ? c == RUNE_EOF : c == RUNE_EOF || c == '\n')
            return fail(l, quote == '`' ? "unterminated raw string" : "unterminated quoted string");
        if (c == UINT32_MAX)
            return fail(l, "invalid UTF-8 rune");
        if (c == '\\' && quote != '`' && !scan_escape(l, quote))
            return fail_at(l);
    }
}

/* --- words --- */

static bool equals_ignoring_case(struct view a, const char *lower)
{
    for (size_t i = 0; i < a.len; i++) {
        char c = a.ptr[i] >= 'A' && a.ptr[i] <= 'Z' ? (char)(a.ptr[i] | 0x20) : a.ptr[i];
        if (c != lower[i]) /* the end of `lower` too */
            return false;
    }
    return lower[a.len] == '\0';
}

/* TOKEN_IDENTIFIER when the word is none of the language's. */
static enum token_kind word_kind(struct view word)
{
    for (int k = TOKEN_AND; k < TOKEN_KINDS; k++)
        if (equals_ignoring_case(word, TOKENS[k].text))
            return (enum token_kind)k;
    if (equals_ignoring_case(word, "inf") || equals_ignoring_case(word, "nan"))
        return TOKEN_NUMBER;
    return TOKEN_IDENTIFIER;
}

static bool paren_follows(const struct lexer *l)
{
    uint32_t pos = l->pos;
    while (pos < l->text.len && is_space((unsigned char)l->text.ptr[pos]))
        pos++;
    return pos < l->text.len && l->text.ptr[pos] == '(';
}

static struct token lex_word(struct lexer *l)
{
    bool colon = false;
    while (is_alphanumeric(peek(l)) || peek(l) == ':') {
        colon |= peek(l) == ':';
        l->pos++;
    }
    if (colon)
        return emit(l, TOKEN_METRIC_IDENTIFIER);
    enum token_kind kind = word_kind(view_slice(l->text, l->start, l->pos));
    /* fill was a possible metric name before it was a word: only a parenthesis makes it one. */
    if ((kind == TOKEN_FILL || kind == TOKEN_FILL_LEFT || kind == TOKEN_FILL_RIGHT) &&
        !paren_follows(l))
        kind = TOKEN_IDENTIFIER;
    return emit(l, kind);
}

/* step, range, min_of, max_of: the words of a duration expression. */
static struct token lex_duration_word(struct lexer *l)
{
    uint32_t c = peek(l), first = l->pos;
    while (is_alpha(peek(l)))
        l->pos++;
    enum token_kind kind = word_kind(view_slice(l->text, l->start, l->pos));
    if (kind == TOKEN_STEP || kind == TOKEN_RANGE || kind == TOKEN_MIN_OF || kind == TOKEN_MAX_OF) {
        l->got_duration = true;
        return emit(l, kind);
    }
    l->pos = first + 1;
    return l->in_duration ? fail_rune(l, "unexpected character in duration expression:", c, "")
                          : fail_rune(l, "unexpected character:", c, ", expected ':'");
}

/* --- where we are --- */

static struct token lex_in_braces(struct lexer *l)
{
    uint32_t c = peek(l);
    if (c == RUNE_EOF)
        return fail(l, "unexpected end of input inside braces");
    if (is_alpha(c)) {
        while (is_alphanumeric(peek(l)))
            l->pos++;
        return emit(l, TOKEN_IDENTIFIER);
    }
    (void)next(l);
    switch (c) {
    case ',':
        return emit(l, TOKEN_COMMA);
    case '"':
    case '\'':
    case '`':
        return lex_string(l, c);
    case '=':
        return emit(l, accept(l, "~") ? TOKEN_MATCH_REGEX : TOKEN_EQUAL);
    case '!':
        if (accept(l, "~"))
            return emit(l, TOKEN_MATCH_NOT_REGEX);
        if (accept(l, "="))
            return emit(l, TOKEN_NE);
        return fail_rune(l, "unexpected character after '!' inside braces:", peek(l), "");
    case '{':
        return fail(l, "unexpected left brace '{'");
    case '}':
        l->brace_open = false;
        return emit(l, TOKEN_RIGHT_BRACE);
    default:
        return fail_rune(l, "unexpected character inside braces:", c, "");
    }
}

static struct token lex_end(struct lexer *l)
{
    if (l->bracket_open && l->in_duration)
        return fail(l, "unexpected end of input in duration expression");
    if (l->paren_depth != 0)
        return fail(l, "unclosed left parenthesis");
    if (l->bracket_open)
        return fail(l, "unclosed left bracket");
    return emit(l, TOKEN_EOF);
}

static struct token lex_paren(struct lexer *l, uint32_t c)
{
    if (c == '(') {
        l->paren_depth++;
        return emit(l, TOKEN_LEFT_PAREN);
    }
    struct token t = emit(l, TOKEN_RIGHT_PAREN);
    if (--l->paren_depth < 0)
        return fail(l, "unexpected right parenthesis ')'");
    return t;
}

/* = ! < > and what may follow them. */
static struct token lex_comparison(struct lexer *l, uint32_t c)
{
    switch (c) {
    case '=':
        if (accept(l, "="))
            return emit(l, TOKEN_EQ);
        if (peek(l) == '~')
            return fail_rune(l, "unexpected character after '=':", '~', "");
        return emit(l, TOKEN_EQUAL);
    case '!':
        if (accept(l, "="))
            return emit(l, TOKEN_NE);
        return fail_rune(l, "unexpected character after '!':", peek(l), "");
    case '<':
        return emit(l, accept(l, "=") ? TOKEN_LE : accept(l, "/") ? TOKEN_TRIM_UPPER : TOKEN_LT);
    default:
        return emit(l, accept(l, "=") ? TOKEN_GE : accept(l, "/") ? TOKEN_TRIM_LOWER : TOKEN_GT);
    }
}

static struct token lex_arithmetic(struct lexer *l, uint32_t c)
{
    switch (c) {
    case '+':
        return emit(l, TOKEN_ADD);
    case '-':
        return emit(l, TOKEN_SUB);
    case '*':
        return emit(l, TOKEN_MUL);
    case '/':
        return emit(l, TOKEN_DIV);
    case '%':
        return emit(l, TOKEN_MOD);
    case '^':
        return emit(l, TOKEN_POW);
    default:
        return emit(l, TOKEN_COMMA);
    }
}

static struct token lex_colon(struct lexer *l)
{
    if (!l->got_duration)
        return fail(l, "unexpected colon before duration in duration expression");
    if (l->got_colon)
        return fail(l, "unexpected colon ':'");
    l->got_colon = true;
    return emit(l, TOKEN_COLON);
}

static struct token lex_statement(struct lexer *l)
{
    uint32_t c = peek(l);
    if (is_digit(c) ||
        (c == '.' && l->pos + 1 < l->text.len && is_digit((unsigned char)l->text.ptr[l->pos + 1])))
        return lex_number_or_duration(l);
    if (is_alpha(c) || c == ':')
        return lex_word(l);
    (void)next(l);
    switch (c) {
    case '+':
    case '-':
    case '*':
    case '/':
    case '%':
    case '^':
    case ',':
        return lex_arithmetic(l, c);
    case '=':
    case '!':
    case '<':
    case '>':
        return lex_comparison(l, c);
    case '"':
    case '\'':
    case '`':
        return lex_string(l, c);
    case '(':
    case ')':
        return lex_paren(l, c);
    case '{':
        l->brace_open = true;
        return emit(l, TOKEN_LEFT_BRACE);
    case '[':
        l->bracket_open = l->in_duration = true;
        l->got_colon = l->got_duration = false;
        return emit(l, TOKEN_LEFT_BRACKET);
    case ']':
        return fail(l, "unexpected right bracket ']'");
    case '@':
        return emit(l, TOKEN_AT);
    default:
        return fail_rune(l, "unexpected character:", c, "");
    }
}

static struct token lex_in_brackets(struct lexer *l)
{
    uint32_t c = peek(l);
    if (is_digit(c) || (c == '.' && l->pos + 1 < l->text.len &&
                        is_digit((unsigned char)l->text.ptr[l->pos + 1]))) {
        l->got_duration = true;
        l->in_duration = false;
        return lex_number_or_duration(l);
    }
    if (is_alpha(c))
        return lex_duration_word(l);
    (void)next(l);
    switch (c) {
    case ']':
        l->bracket_open = false;
        return emit(l, TOKEN_RIGHT_BRACKET);
    case ':':
        return lex_colon(l);
    case '(':
    case ')':
        return lex_paren(l, c);
    case '+':
    case '-':
    case '*':
    case '/':
    case '%':
    case '^':
    case ',':
        return lex_arithmetic(l, c);
    case '[':
        return fail(l, "unexpected left bracket '['");
    default:
        if (!l->in_duration) { /* behind a number anything may follow, if only to be refused */
            l->pos = l->start;
            return lex_statement(l);
        }
        return fail_rune(l, "unexpected character in duration expression:", c, "");
    }
}

static void skip_blanks(struct lexer *l)
{
    for (;;) {
        while (is_space(peek(l)))
            l->pos++;
        if (peek(l) != '#')
            break;
        while (l->pos < l->text.len && l->text.ptr[l->pos] != '\n' && l->text.ptr[l->pos] != '\r')
            l->pos++;
    }
    l->start = l->pos;
}

struct token lexer_next(struct lexer *l)
{
    if (l->error[0])
        return fail_at(l);
    skip_blanks(l);
    if (l->brace_open)
        return lex_in_braces(l);
    if (l->pos >= l->text.len)
        return lex_end(l);
    return l->bracket_open ? lex_in_brackets(l) : lex_statement(l);
}
