/* SPDX-License-Identifier: Apache-2.0 */
/* yaml_scalar.c: what a plain scalar means in YAML 1.1 as Go's yaml.v2 reads it, and the way back. */
#include "base/yaml.h"

#include "base/assert.h"
#include "base/floattext.h"
#include "base/hex.h"
#include "base/utf8.h"

#include <ctype.h>

enum { NUMBER_BYTES_MAX = 128 };

static bool word_is_one_of(struct view word, const char *const *words, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (view_is(word, words[i]))
            return true;
    }
    return false;
}

static bool text_is_null(struct view text)
{
    static const char *const NULLS[] = {"", "~", "null", "Null", "NULL"};
    return word_is_one_of(text, NULLS, ARRAY_COUNT(NULLS));
}

static bool text_as_bool(struct view text, bool *out)
{
    static const char *const TRUES[] = {"y",    "Y",    "yes", "Yes", "YES", "true",
                                        "True", "TRUE", "on",  "On",  "ON"};
    static const char *const FALSES[] = {"n",     "N",     "no",  "No",  "NO", "false",
                                         "False", "FALSE", "off", "Off", "OFF"};
    *out = word_is_one_of(text, TRUES, ARRAY_COUNT(TRUES));
    return *out || word_is_one_of(text, FALSES, ARRAY_COUNT(FALSES));
}

/* The text without sign and underscores. False when that is no number's shape. */
static bool digits_take(struct view text, char out[NUMBER_BYTES_MAX], size_t *len, bool *negative)
{
    *len = 0;
    *negative = text.len > 0 && text.ptr[0] == '-';
    if (*negative || (text.len > 0 && text.ptr[0] == '+'))
        text = view_slice(text, 1, text.len);
    if (text.len == 0 || text.len >= NUMBER_BYTES_MAX || text.ptr[0] == '_')
        return false;
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] != '_')
            out[(*len)++] = text.ptr[i];
    }
    out[*len] = '\0';
    return true;
}

/* 0b, 0x, 0o and a leading 0 (octal), as Go's ParseUint with base 0. */
static bool text_as_magnitude(struct view text, uint64_t *out, bool *negative)
{
    char digits[NUMBER_BYTES_MAX];
    size_t len, pos = 0;
    if (!digits_take(text, digits, &len, negative))
        return false;
    uint64_t base = 10;
    if (len > 1 && digits[0] == '0') {
        int kind = digits[1] | 0x20;
        base = kind == 'x' ? 16 : kind == 'b' ? 2 : 8;
        pos = kind == 'x' || kind == 'b' || kind == 'o' ? 2 : 1;
    }
    if (pos == len)
        return false;
    uint64_t value = 0;
    for (; pos < len; pos++) {
        uint64_t digit = hex_digit((unsigned char)digits[pos]);
        if (digit >= base || __builtin_mul_overflow(value, base, &value) ||
            __builtin_add_overflow(value, digit, &value))
            return false;
    }
    *out = value;
    return true;
}

static bool text_as_float(struct view text, double *out)
{
    static const char *const PLUS_INF[] = {".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"};
    static const char *const MINUS_INF[] = {"-.inf", "-.Inf", "-.INF"};
    static const char *const NANS[] = {".nan", ".NaN", ".NAN"};
    char digits[NUMBER_BYTES_MAX];
    size_t len;
    bool negative;
    uint64_t magnitude;
    if (text_as_magnitude(text, &magnitude, &negative)) {
        *out = negative ? -(double)magnitude : (double)magnitude;
        return true;
    }
    *out = __builtin_inf();
    if (word_is_one_of(text, PLUS_INF, ARRAY_COUNT(PLUS_INF)))
        return true;
    *out = -__builtin_inf();
    if (word_is_one_of(text, MINUS_INF, ARRAY_COUNT(MINUS_INF)))
        return true;
    *out = __builtin_nan("");
    if (word_is_one_of(text, NANS, ARRAY_COUNT(NANS)))
        return true;
    /* Decimal digits only: "inf", "nan" and hexadecimal floats are strings in YAML. */
    if (!digits_take(text, digits, &len, &negative) ||
        !(isdigit((unsigned char)digits[0]) || digits[0] == '.'))
        return false;
    for (size_t i = 0; i < len; i++) {
        if (!isdigit((unsigned char)digits[i]) && !strchr(".eE+-", digits[i]))
            return false;
    }
    if (!float_parse((struct view){digits, len}, out))
        return false;
    if (negative)
        *out = -*out;
    return true;
}

/* At most YAML_DEPTH_MAX deep. */
bool yaml_nodes_equal(const struct yaml_node *a, const struct yaml_node *b)
{
    if (a == b)
        return true;
    if (a->kind != b->kind || a->plain != b->plain || a->count != b->count ||
        !view_eq(a->text, b->text))
        return false;
    for (uint32_t i = 0; i < a->count; i++) {
        if (a->kind == YAML_SEQUENCE ? !yaml_nodes_equal(a->items[i], b->items[i])
                                     : !view_eq(a->pairs[i].key->text, b->pairs[i].key->text) ||
                                           !yaml_nodes_equal(a->pairs[i].value, b->pairs[i].value))
            return false;
    }
    return true;
}

bool yaml_is_null(const struct yaml_node *node)
{
    return !node || (node->kind == YAML_SCALAR && node->plain && text_is_null(node->text));
}

bool yaml_as_bool(const struct yaml_node *node, bool *out)
{
    return node && node->kind == YAML_SCALAR && node->plain && text_as_bool(node->text, out);
}

bool yaml_as_uint(const struct yaml_node *node, uint64_t *out)
{
    bool negative;
    return node && node->kind == YAML_SCALAR && node->plain &&
           text_as_magnitude(node->text, out, &negative) && (!negative || *out == 0);
}

bool yaml_as_int(const struct yaml_node *node, int64_t *out)
{
    bool negative;
    uint64_t magnitude;
    if (!node || node->kind != YAML_SCALAR || !node->plain ||
        !text_as_magnitude(node->text, &magnitude, &negative))
        return false;
    if (magnitude > (uint64_t)INT64_MAX)
        return false;
    *out = negative ? -(int64_t)magnitude : (int64_t)magnitude;
    return true;
}

bool yaml_as_float(const struct yaml_node *node, double *out)
{
    return node && node->kind == YAML_SCALAR && node->plain && text_as_float(node->text, out);
}

/* --- out --- */

static size_t skip_digits(struct view text, size_t pos, size_t at_most)
{
    while (pos < text.len && at_most > 0 && isdigit((unsigned char)text.ptr[pos])) {
        pos++;
        at_most--;
    }
    return pos;
}

/* 1:30 and 190:20:30.15 were base-60 numbers in YAML 1.1. */
static bool text_is_base60(struct view text)
{
    size_t from = text.len > 0 && (text.ptr[0] == '-' || text.ptr[0] == '+');
    size_t pos = skip_digits(text, from, text.len);
    if (pos == from || pos == text.len || text.ptr[pos] != ':')
        return false;
    while (pos < text.len && text.ptr[pos] == ':') {
        from = pos + 1;
        pos = skip_digits(text, from, 2);
        if (pos == from || (pos - from == 2 && text.ptr[from] > '5'))
            return false;
    }
    if (pos < text.len && text.ptr[pos] == '.')
        pos = skip_digits(text, pos + 1, text.len);
    return pos == text.len;
}

/* 2001-12-14 and longer forms. */
static bool text_looks_like_date(struct view text)
{
    static const char SHAPE[] = "dddd-d";
    if (text.len < 8)
        return false;
    for (size_t i = 0; i < sizeof(SHAPE) - 1; i++) {
        bool digit = isdigit((unsigned char)text.ptr[i]);
        if (SHAPE[i] == 'd' ? !digit : text.ptr[i] != SHAPE[i])
            return false;
    }
    for (size_t i = sizeof(SHAPE) - 1; i < text.len; i++) {
        if (!isdigit((unsigned char)text.ptr[i]) && !strchr("-:.TtZz +", text.ptr[i]))
            return false;
    }
    return true;
}

static bool text_is_not_string(struct view text)
{
    bool boolean;
    double number;
    return text_is_null(text) || text_as_bool(text, &boolean) || text_as_float(text, &number) ||
           view_is(text, "<<") || text_is_base60(text) || text_looks_like_date(text);
}

struct traits {
    bool special;  /* needs escapes: only "double" can hold it */
    bool plain_ok; /* may stand without quotes */
};

static bool indicates(struct view text, size_t pos)
{
    char c = text.ptr[pos];
    bool first = pos == 0;
    bool blank_next = pos + 1 >= text.len || text.ptr[pos + 1] == ' ' || text.ptr[pos + 1] == '\n';
    bool blank_before = pos == 0 || text.ptr[pos - 1] == ' ' || text.ptr[pos - 1] == '\n';
    if (first && strchr("#,[]{}&*!|>'\"%@`", c))
        return true;
    if (first && (c == '?' || c == '-') && blank_next)
        return true;
    return (c == ':' && (blank_next || first)) || (c == '#' && blank_before);
}

static struct traits text_traits(struct view text)
{
    struct traits t = {false, text.len > 0};
    if (view_has_prefix(text, VIEW("---")) || view_has_prefix(text, VIEW("...")))
        t.plain_ok = false;
    if (text.len && (text.ptr[0] == ' ' || text.ptr[text.len - 1] == ' '))
        t.plain_ok = false;
    for (size_t pos = 0; pos < text.len;) {
        unsigned char c = (unsigned char)text.ptr[pos];
        if (c < 0x80 && indicates(text, pos))
            t.plain_ok = false;
        if ((c < 0x20 && c != '\n') || c == 0x7f)
            t.special = true;
        if (c < 0x80) {
            pos++;
            continue;
        }
        uint32_t code = utf8_next(text, &pos);
        if (code == UINT32_MAX || code == 0xfeff || (code >= 0x80 && code < 0xa0) ||
            code == 0x2028 || code == 0x2029)
            t.special = true;
    }
    return t;
}

static void write_escape(struct buffer *out, uint32_t code)
{
    static const struct {
        uint32_t code;
        const char *text;
    } SHORT[] = {{0, "\\0"},     {7, "\\a"},    {8, "\\b"},    {9, "\\t"},      {10, "\\n"},
                 {11, "\\v"},    {12, "\\f"},   {13, "\\r"},   {27, "\\e"},     {'"', "\\\""},
                 {'\\', "\\\\"}, {0x85, "\\N"}, {0xa0, "\\_"}, {0x2028, "\\L"}, {0x2029, "\\P"}};
    for (size_t i = 0; i < ARRAY_COUNT(SHORT); i++) {
        if (SHORT[i].code == code) {
            buffer_append_view(out, view_from(SHORT[i].text));
            return;
        }
    }
    if (code < 0x100)
        buffer_printf(out, "\\x%02X", code);
    else
        buffer_printf(out, code < 0x10000 ? "\\u%04X" : "\\U%08X", code);
}

static void write_double_quoted(struct buffer *out, struct view text)
{
    buffer_append_byte(out, '"');
    for (size_t pos = 0; pos < text.len;) {
        size_t from = pos;
        uint32_t code = utf8_next(text, &pos);
        if (code ==
            UINT32_MAX) /* not UTF-8: the replacement character, as a reader would make of it */
            code = 0xfffd;
        bool printable = code >= 0x20 && code != 0x7f && code != '"' && code != '\\' &&
                         !(code >= 0x80 && code < 0xa0) && code != 0xfeff && code != 0x2028 &&
                         code != 0x2029;
        if (printable && code != 0xfffd)
            buffer_append_view(out, view_slice(text, from, pos));
        else
            write_escape(out, code);
    }
    buffer_append_byte(out, '"');
}

static void write_single_quoted(struct buffer *out, struct view text)
{
    buffer_append_byte(out, '\'');
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] == '\'')
            buffer_append_byte(out, '\'');
        buffer_append_byte(out, text.ptr[i]);
    }
    buffer_append_byte(out, '\'');
}

static void write_literal(struct buffer *out, struct view text, unsigned indent)
{
    bool ends = text.ptr[text.len - 1] == '\n';
    bool ends_twice = ends && text.len > 1 && text.ptr[text.len - 2] == '\n';
    buffer_append_byte(out, '|');
    if (text.ptr[0] == ' ' || text.ptr[0] == '\n')
        buffer_append_byte(out, '2');
    if (!ends)
        buffer_append_byte(out, '-');
    else if (ends_twice || text.len == 1)
        buffer_append_byte(out, '+');
    for (size_t pos = 0; pos < text.len;) {
        const char *end = memchr(text.ptr + pos, '\n', text.len - pos);
        size_t stop = end ? (size_t)(end - text.ptr) : text.len;
        buffer_append_byte(out, '\n');
        if (stop > pos)
            buffer_printf(out, "%*s%.*s", (int)indent + 2, "", (int)(stop - pos), text.ptr + pos);
        pos = stop + 1;
    }
}

void yaml_write_string(struct buffer *out, struct view text, unsigned indent)
{
    struct traits t = text_traits(text);
    if (t.special)
        write_double_quoted(out, text);
    else if (memchr(text.len ? text.ptr : "", '\n', text.len))
        write_literal(out, text, indent);
    else if (text_is_not_string(text))
        write_double_quoted(out, text);
    else if (t.plain_ok)
        buffer_append_view(out, text);
    else
        write_single_quoted(out, text);
}
