/* SPDX-License-Identifier: Apache-2.0 */
/* labels_text.c: label sets as people read and write them: name{a="b"}, quoted as Go quotes. */
#include "model/labels.h"

#include "base/assert.h"
#include "base/hex.h"
#include "base/utf8.h"

#include <inttypes.h>
#include <string.h>

/* The letter after the backslash for what has a short escape, else 0. */
static char short_escape(uint32_t code)
{
    switch (code) {
    case '\a':
        return 'a';
    case '\b':
        return 'b';
    case '\f':
        return 'f';
    case '\n':
        return 'n';
    case '\r':
        return 'r';
    case '\t':
        return 't';
    case '\v':
        return 'v';
    case '\\':
    case '"':
        return (char)code;
    default:
        return 0;
    }
}

void label_quote(struct buffer *out, struct view text)
{
    buffer_append_byte(out, '"');
    for (size_t pos = 0; pos < text.len;) {
        size_t start = pos;
        uint32_t code = utf8_next(text, &pos);
        char letter = short_escape(code);
        if (letter)
            buffer_append(out, (char[]){'\\', letter}, 2);
        else if (code == UINT32_MAX || code < 0x20 || code == 0x7f)
            buffer_printf(out, "\\x%02x", (unsigned)(unsigned char)text.ptr[start]);
        else if (code >= 0x80 && code < 0xa0)
            buffer_printf(out, "\\u%04" PRIx32, code);
        else
            buffer_append(out, text.ptr + start, pos - start);
    }
    buffer_append_byte(out, '"');
}

void labels_format(struct buffer *out, struct labels ls)
{
    struct view metric = labels_get(ls, VIEW(LABEL_NAME));
    bool bare = metric_name_is_legacy(metric);
    bool comma = false;

    if (bare) {
        buffer_append_view(out, metric);
        if (ls.count == 1)
            return;
    }
    buffer_append_byte(out, '{');
    if (metric.len && !bare) {
        label_quote(out, metric);
        comma = true;
    }
    for (uint32_t i = 0; i < ls.count; i++) {
        struct label l = ls.items[i];
        if (view_eq(l.name, VIEW(LABEL_NAME)))
            continue;
        if (comma)
            buffer_append_byte(out, ',');
        comma = true;
        if (label_name_is_legacy(l.name))
            buffer_append_view(out, l.name);
        else
            label_quote(out, l.name);
        buffer_append_byte(out, '=');
        label_quote(out, l.value);
    }
    buffer_append_byte(out, '}');
}

void labels_format_set(struct buffer *out, struct labels ls)
{
    buffer_append_byte(out, '{');
    for (uint32_t i = 0; i < ls.count; i++) {
        if (i)
            buffer_append_literal(out, ", ");
        if (label_name_is_legacy(ls.items[i].name))
            buffer_append_view(out, ls.items[i].name);
        else
            label_quote(out, ls.items[i].name);
        buffer_append_byte(out, '=');
        label_quote(out, ls.items[i].value);
    }
    buffer_append_byte(out, '}');
}

/* ---- reading it back ---- */

struct label_text {
    struct view text;
    size_t pos;
    struct arena *arena;
    struct error *err;
};

static bool text_fail(const struct label_text *t, const char *expected)
{
    if (t->pos >= t->text.len)
        return error_set_at(t->err, ERROR_INPUT, 1, (uint32_t)t->pos + 1,
                            "label set ends where %s is expected", expected);
    return error_set_at(t->err, ERROR_INPUT, 1, (uint32_t)t->pos + 1, "expected %s, found \"%.*s\"",
                        expected, (int)(t->text.len - t->pos > 20 ? 20 : t->text.len - t->pos),
                        t->text.ptr + t->pos);
}

static void skip_blanks(struct label_text *t)
{
    while (t->pos < t->text.len && (t->text.ptr[t->pos] == ' ' || t->text.ptr[t->pos] == '\t'))
        t->pos++;
}

static bool take(struct label_text *t, char c)
{
    skip_blanks(t);
    if (t->pos >= t->text.len || t->text.ptr[t->pos] != c)
        return false;
    t->pos++;
    return true;
}

/* A name without quotes; empty when there is none. */
static struct view take_word(struct label_text *t)
{
    skip_blanks(t);
    size_t end = t->pos;
    while (end < t->text.len &&
           (metric_name_is_legacy(view_slice(t->text, end, end + 1)) ||
            (end > t->pos && t->text.ptr[end] >= '0' && t->text.ptr[end] <= '9')))
        end++;
    struct view word = view_slice(t->text, t->pos, end);
    t->pos = end;
    return word;
}

/* The number behind \x, \u or \U: exactly `digits` hexadecimal digits. */
static bool take_hex(struct label_text *t, unsigned digits, uint32_t *code)
{
    *code = 0;
    for (unsigned i = 0; i < digits; i++) {
        uint32_t digit =
            t->pos < t->text.len ? hex_digit((unsigned char)t->text.ptr[t->pos]) : HEX_NONE;
        if (digit == HEX_NONE)
            return text_fail(t, "a hexadecimal digit");
        *code = *code << 4 | digit;
        t->pos++;
    }
    return true;
}

/* What follows a backslash, appended to out. */
static bool take_escape(struct label_text *t, char *out, size_t *len)
{
    static const char LETTERS[] = "abfnrtv\\\"'", MEANINGS[] = "\a\b\f\n\r\t\v\\\"'";
    char c = t->pos < t->text.len ? t->text.ptr[t->pos] : 0;
    const char *letter = c ? strchr(LETTERS, c) : NULL;
    uint32_t code;

    if (letter) {
        t->pos++;
        out[(*len)++] = MEANINGS[letter - LETTERS];
        return true;
    }
    if (c != 'x' && c != 'u' && c != 'U')
        return text_fail(t, "an escape (one of abfnrtvxuU\\\"')");
    t->pos++;
    if (!take_hex(t, c == 'x' ? 2 : c == 'u' ? 4 : 8, &code))
        return false;
    if (c == 'x') {
        out[(*len)++] = (char)code;
        return true;
    }
    if (code > 0x10ffff || (code >= 0xd800 && code < 0xe000))
        return text_fail(t, "the number of a character before this");
    *len += utf8_put(code, out + *len);
    return true;
}

/* A quoted string whose opening quote was taken. */
static bool take_quoted(struct label_text *t, struct view *out)
{
    const char *close = t->text.ptr + t->pos, *end = t->text.ptr + t->text.len;
    for (; close < end && *close != '"'; close++) {
        if (*close == '\\' && close + 1 < end)
            close++;
    }
    /* An escape is never shorter than what it stands for. */
    char *bytes = arena_alloc(t->arena, (size_t)(close - (t->text.ptr + t->pos)) + 1);
    size_t len = 0;
    while (t->pos < t->text.len && t->text.ptr[t->pos] != '"') {
        char c = t->text.ptr[t->pos++];
        if (c != '\\')
            bytes[len++] = c;
        else if (!take_escape(t, bytes, &len))
            return false;
    }
    if (!take(t, '"'))
        return text_fail(t, "a closing quote");
    *out = (struct view){bytes, len};
    return true;
}

/* One of: name="value", "name"="value", "metric name". */
static bool take_pair(struct label_text *t, struct labels_builder *b)
{
    struct view name, value;
    bool quoted = take(t, '"');
    if (quoted) {
        if (!take_quoted(t, &name))
            return false;
    } else {
        name = take_word(t);
        if (!label_name_is_legacy(name))
            return text_fail(t, "a label name");
    }
    if (!take(t, '=')) {
        if (!quoted)
            return text_fail(t, "\"=\"");
        value = name;
        name = VIEW(LABEL_NAME);
    } else if (!take(t, '"')) {
        return text_fail(t, "a quoted label value");
    } else if (!take_quoted(t, &value)) {
        return false;
    }
    if (labels_builder_get(b, name).len)
        return error_set_at(t->err, ERROR_INPUT, 1, (uint32_t)t->pos + 1,
                            "label \"%.*s\" is there twice", VIEW_ARGS(name));
    labels_builder_set(b, name, value);
    return true;
}

bool labels_parse(struct arena *arena, struct view text, struct labels *out, struct error *err)
{
    struct label_text t = {.text = text, .arena = arena, .err = err};
    struct labels_builder b;
    labels_builder_init(&b, arena);

    struct view metric = take_word(&t);
    if (metric.len)
        labels_builder_set(&b, VIEW(LABEL_NAME), metric);
    if (take(&t, '{')) {
        while (!take(&t, '}')) {
            if (b.count >= LABELS_PARSE_MAX)
                return error_set_at(err, ERROR_INPUT, 1, (uint32_t)t.pos + 1, "more than %d labels",
                                    LABELS_PARSE_MAX);
            if (!take_pair(&t, &b))
                return false;
            if (take(&t, ','))
                continue;
            if (!take(&t, '}'))
                return text_fail(&t, "\",\" or \"}\"");
            break;
        }
    } else if (metric.len == 0) {
        return text_fail(&t, "a metric name or \"{\"");
    }
    skip_blanks(&t);
    if (t.pos < text.len)
        return text_fail(&t, "the end of the label set");
    *out = labels_builder_finish(&b);
    return true;
}
