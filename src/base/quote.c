/* SPDX-License-Identifier: Apache-2.0 */
/* quote.c: see quote.h. */
#include "base/quote.h"

#include "base/hex.h"
#include "base/utf8.h"

#include <stddef.h>

struct range {
    uint32_t first, last;
};

/* What Go's unicode.IsPrint refuses beyond ASCII: spaces, formats, private use. Unassigned code points
 * are printed as they are, which reads back the same. */
static const struct range NOT_PRINTABLE[] = {
    {0x7f, 0xa0},     {0xad, 0xad},       {0x600, 0x605},      {0x61c, 0x61c},   {0x6dd, 0x6dd},
    {0x70f, 0x70f},   {0x1680, 0x1680},   {0x180e, 0x180e},    {0x2000, 0x200f}, {0x2028, 0x202f},
    {0x205f, 0x206f}, {0x3000, 0x3000},   {0xd800, 0xf8ff},    {0xfeff, 0xfeff}, {0xfff0, 0xfffb},
    {0xfffe, 0xffff}, {0x1fffe, 0x1ffff}, {0xe0000, 0x10ffff},
};

static bool is_printable(uint32_t code)
{
    if (code < 0x20)
        return false;
    for (size_t i = 0; i < ARRAY_COUNT(NOT_PRINTABLE); i++)
        if (code >= NOT_PRINTABLE[i].first && code <= NOT_PRINTABLE[i].last)
            return false;
    return true;
}

static void append_code(struct buffer *out, uint32_t code, char quote)
{
    static const char ESCAPED[] = "\a\b\f\n\r\t\v\\";
    static const char LETTERS[] = "abfnrtv\\";
    if (code == (uint32_t)quote) {
        buffer_append_byte(out, '\\');
        buffer_append_byte(out, quote);
        return;
    }
    for (size_t i = 0; ESCAPED[i]; i++) {
        if (code == (unsigned char)ESCAPED[i]) {
            buffer_append_byte(out, '\\');
            buffer_append_byte(out, LETTERS[i]);
            return;
        }
    }
    if (is_printable(code)) {
        char text[4];
        buffer_append(out, text, utf8_put(code, text));
    } else if (code < 0x80) {
        buffer_printf(out, "\\x%02x", code);
    } else if (code < 0x10000) {
        buffer_printf(out, "\\u%04x", code);
    } else {
        buffer_printf(out, "\\U%08x", code);
    }
}

void quote_append(struct buffer *out, struct view text)
{
    buffer_append_byte(out, '"');
    for (size_t pos = 0; pos < text.len;) {
        size_t at = pos;
        uint32_t code = utf8_next(text, &pos);
        if (code == UINT32_MAX) {
            buffer_printf(out, "\\x%02x", (unsigned char)text.ptr[at]);
            pos = at + 1;
        } else {
            append_code(out, code, '"');
        }
    }
    buffer_append_byte(out, '"');
}

void quote_append_rune(struct buffer *out, uint32_t code)
{
    buffer_append_byte(out, '\'');
    append_code(out, code == UINT32_MAX ? 0xfffd : code, '\'');
    buffer_append_byte(out, '\'');
}

/* Reads `count` digits of a base at *pos. */
static bool read_digits(struct view text, size_t *pos, int count, uint32_t base, uint32_t *out)
{
    uint32_t v = 0;
    for (int i = 0; i < count; i++, (*pos)++) {
        if (*pos >= text.len || hex_digit((unsigned char)text.ptr[*pos]) >= base)
            return false;
        v = v * base + hex_digit((unsigned char)text.ptr[*pos]);
    }
    *out = v;
    return true;
}

/* One escape; *pos is behind the backslash. \x and octal give a byte, \u and \U a character. */
static bool read_escape(struct view text, size_t *pos, char quote, char *out, size_t *out_len)
{
    if (*pos >= text.len)
        return false;
    char c = text.ptr[(*pos)++];
    static const char LETTERS[] = "abfnrtv\\";
    static const char VALUES[] = "\a\b\f\n\r\t\v\\";
    const char *letter = c ? strchr(LETTERS, c) : NULL;
    uint32_t code = 0;
    if (letter || c == quote) {
        out[(*out_len)++] = letter ? VALUES[letter - LETTERS] : quote;
        return true;
    }
    if (c == 'x' || (c >= '0' && c <= '7')) {
        if (c != 'x')
            (*pos)--;
        if (!read_digits(text, pos, c == 'x' ? 2 : 3, c == 'x' ? 16 : 8, &code) || code > 255)
            return false;
        out[(*out_len)++] = (char)code;
        return true;
    }
    if (c != 'u' && c != 'U')
        return false;
    if (!read_digits(text, pos, c == 'u' ? 4 : 8, 16, &code) || code > 0x10ffff ||
        (code >= 0xd800 && code < 0xe000))
        return false;
    *out_len += utf8_put(code, out + *out_len);
    return true;
}

bool quote_read(struct arena *arena, struct view literal, struct view *out)
{
    if (literal.len < 2 || literal.ptr[0] != literal.ptr[literal.len - 1])
        return false;
    char quote = literal.ptr[0];
    struct view inner = view_slice(literal, 1, literal.len - 1);
    if (quote == '`') {
        *out = arena_copy(arena, inner);
        return true;
    }
    if (quote != '"' && quote != '\'')
        return false;
    char *text = arena_alloc(arena, inner.len + 1); /* no escape is shorter than what it means */
    size_t len = 0;
    for (size_t pos = 0; pos < inner.len;) {
        char c = inner.ptr[pos++];
        if (c == quote || c == '\n')
            return false;
        if (c != '\\')
            text[len++] = c;
        else if (!read_escape(inner, &pos, quote, text, &len))
            return false;
    }
    text[len] = '\0';
    *out = (struct view){text, len};
    return true;
}
