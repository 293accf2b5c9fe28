/* SPDX-License-Identifier: Apache-2.0 */
/* format.c: see format.h. Verbs, flags and errors are those of Go's fmt. */
#include "template/format.h"

#include "base/assert.h"
#include "base/floattext.h"
#include "base/quote.h"
#include "base/utf8.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

enum {
    FORMAT_NUMBER_MAX = 1000000, /* of a width or precision, as in Go */
    FORMAT_DEPTH_MAX = 100,      /* of lists in lists */
};

struct spec {
    uint32_t verb;
    bool sharp, zero, plus, minus, space;
    bool go_syntax;   /* %#v */
    bool field_names; /* %+v */
    bool indirect;    /* what a pointer points to, without "&" */
    bool erroring;    /* inside %!d(...): no text functions */
    bool has_width, has_precision;
    int width, precision;
    int depth;
};

static bool append(struct template_call *call, struct buffer *out, const struct template_value *v,
                   const struct spec *s);

const char *format_type(const struct template_value *v)
{
    return v->type ? v->type->name : "<nil>";
}

/* --- padding --- */

static void append_padding(struct buffer *out, const struct spec *s, int count)
{
    if (count <= 0)
        return;
    char *to = buffer_reserve(out, (size_t)count);
    if (!to)
        return;
    memset(to, s->zero && !s->minus ? '0' : ' ', (size_t)count);
    buffer_advance(out, (size_t)count);
}

static int rune_count(struct view text)
{
    int count = 0;
    for (size_t pos = 0; pos < text.len; count++)
        utf8_next(text, &pos);
    return count;
}

static void append_padded(struct buffer *out, const struct spec *s, struct view text)
{
    int padding = s->has_width ? s->width - rune_count(text) : 0;
    if (!s->minus)
        append_padding(out, s, padding);
    buffer_append_view(out, text);
    if (s->minus)
        append_padding(out, s, padding);
}

static void append_padded_without_zeros(struct buffer *out, const struct spec *s, struct view text)
{
    struct spec plain = *s;
    plain.zero = false;
    append_padded(out, &plain, text);
}

/* --- verbs of one kind --- */

static bool append_bad_verb(struct template_call *call, struct buffer *out,
                            const struct template_value *v, const struct spec *s)
{
    char verb[4];
    buffer_append_literal(out, "%!");
    buffer_append(out, verb, utf8_put(s->verb == UINT32_MAX ? 0xfffd : s->verb, verb));
    buffer_append_byte(out, '(');
    if (v->type) {
        buffer_printf(out, "%s=", v->type->name);
        struct spec inner = *s;
        inner.verb = 'v';
        inner.erroring = true;
        if (!append(call, out, v, &inner))
            return false;
    } else {
        buffer_append_literal(out, "<nil>");
    }
    buffer_append_byte(out, ')');
    return true;
}

static struct view truncated(struct view text, const struct spec *s)
{
    if (!s->has_precision)
        return text;
    size_t pos = 0;
    for (int i = 0; i < s->precision && pos < text.len; i++)
        utf8_next(text, &pos);
    return view_slice(text, 0, pos);
}

static void append_hex(struct buffer *out, struct view text, const struct spec *s)
{
    const char *digits = s->verb == 'x' ? "0123456789abcdefx" : "0123456789ABCDEFX";
    size_t len = text.len;
    if (s->has_precision && (size_t)s->precision < len)
        len = (size_t)s->precision;
    size_t width = 2 * len;
    if (len && s->space)
        width = width * (s->sharp ? 2 : 1) + len - 1;
    else if (len && s->sharp)
        width += 2;
    int padding = s->has_width && (size_t)s->width > width ? s->width - (int)width : 0;
    if (!s->minus || len == 0)
        append_padding(out, s, padding);
    for (size_t i = 0; i < len; i++) {
        if (i && s->space)
            buffer_append_byte(out, ' ');
        if (s->sharp && (i == 0 || s->space)) {
            buffer_append_byte(out, '0');
            buffer_append_byte(out, digits[16]);
        }
        buffer_append_byte(out, digits[(unsigned char)text.ptr[i] >> 4]);
        buffer_append_byte(out, digits[(unsigned char)text.ptr[i] & 15]);
    }
    if (s->minus && len)
        append_padding(out, s, padding);
}

static bool can_backquote(struct view text)
{
    for (size_t pos = 0; pos < text.len;) {
        uint32_t code = utf8_next(text, &pos);
        if (code == UINT32_MAX || code == 0xfeff || code == '`' || code == 0x7f ||
            (code < ' ' && code != '\t'))
            return false;
    }
    return true;
}

/* What is not ASCII in a quoted text becomes \u and \U. */
static void append_ascii(struct buffer *out, struct view text)
{
    for (size_t pos = 0; pos < text.len;) {
        uint32_t code = utf8_next(text, &pos);
        if (code < 0x80)
            buffer_append_byte(out, (char)code);
        else
            buffer_printf(out, code < 0x10000 ? "\\u%04x" : "\\U%08x", code);
    }
}

static void append_quoted(struct buffer *out, struct view text, const struct spec *s)
{
    struct buffer quoted;
    text = truncated(text, s);
    buffer_init(&quoted, out->account, out->bytes_max);
    if (s->sharp && can_backquote(text)) {
        buffer_append_byte(&quoted, '`');
        buffer_append_view(&quoted, text);
        buffer_append_byte(&quoted, '`');
    } else {
        quote_append(&quoted, text);
    }
    if (s->plus && !(s->sharp && can_backquote(text))) {
        struct buffer ascii;
        buffer_init(&ascii, out->account, out->bytes_max);
        append_ascii(&ascii, buffer_view(&quoted));
        out->failed |= ascii.failed;
        append_padded(out, s, buffer_view(&ascii));
        buffer_deinit(&ascii);
    } else {
        append_padded(out, s, buffer_view(&quoted));
    }
    out->failed |= quoted.failed;
    buffer_deinit(&quoted);
}

static bool append_string(struct template_call *call, struct buffer *out,
                          const struct template_value *v, struct view text, const struct spec *s)
{
    switch (s->verb) {
    case 'v':
        if (s->go_syntax) {
            append_quoted(out, text, s);
            return true;
        }
        __attribute__((fallthrough));
    case 's':
        append_padded(out, s, truncated(text, s));
        return true;
    case 'x':
    case 'X':
        append_hex(out, text, s);
        return true;
    case 'q':
        append_quoted(out, text, s);
        return true;
    default:
        return append_bad_verb(call, out, v, s);
    }
}

static void append_rune(struct buffer *out, int64_t v, const struct spec *s)
{
    char bytes[4];
    uint32_t code = v < 0 || v > 0x10ffff || (v >= 0xd800 && v < 0xe000) ? 0xfffd : (uint32_t)v;
    append_padded(out, s, (struct view){bytes, utf8_put(code, bytes)});
}

static void append_rune_quoted(struct buffer *out, int64_t v, const struct spec *s)
{
    struct buffer quoted;
    buffer_init(&quoted, out->account, 64);
    uint32_t code = v < 0 || v > 0x10ffff || (v >= 0xd800 && v < 0xe000) ? 0xfffd : (uint32_t)v;
    quote_append_rune(&quoted, code);
    if (s->plus) {
        struct buffer ascii;
        buffer_init(&ascii, out->account, 64);
        append_ascii(&ascii, buffer_view(&quoted));
        append_padded(out, s, buffer_view(&ascii));
        buffer_deinit(&ascii);
    } else {
        append_padded(out, s, buffer_view(&quoted));
    }
    buffer_deinit(&quoted);
}

static void append_unicode(struct buffer *out, int64_t v, const struct spec *s)
{
    struct buffer text;
    buffer_init(&text, out->account, out->bytes_max);
    int digits = s->has_precision && s->precision > 4 ? s->precision : 4;
    buffer_printf(&text, "U+%0*" PRIX64, digits, (uint64_t)v);
    if (s->sharp && v >= 0x20 && v <= 0x10ffff && !(v >= 0x7f && v <= 0xa0)) {
        char bytes[4];
        buffer_append_literal(&text, " '");
        buffer_append(&text, bytes, utf8_put((uint32_t)v, bytes));
        buffer_append_byte(&text, '\'');
    }
    append_padded_without_zeros(out, s, buffer_view(&text));
    out->failed |= text.failed;
    buffer_deinit(&text);
}

/* Digits of `u` in a base, the last at end[-1]; returns the first. */
static char *put_digits(char *end, uint64_t u, unsigned base, bool upper)
{
    const char *digits = upper ? "0123456789ABCDEF" : "0123456789abcdef";
    do {
        *--end = digits[u % base];
        u /= base;
    } while (u);
    return end;
}

static void append_based(struct buffer *out, int64_t v, unsigned base, const struct spec *s)
{
    char digits[72], sign = 0;
    bool negative = v < 0;
    uint64_t magnitude = negative ? 0 - (uint64_t)v : (uint64_t)v;
    char *end = digits + sizeof(digits), *first = put_digits(end, magnitude, base, s->verb == 'X');
    if (negative || s->plus || s->space)
        sign = negative ? '-' : s->plus ? '+' : ' ';
    int least = 0; /* digits */
    if (s->has_precision) {
        least = s->precision;
        if (least == 0 && v == 0) {
            append_padded_without_zeros(out, s, VIEW(""));
            return;
        }
    } else if (s->zero && !s->minus && s->has_width) {
        least = s->width - (sign ? 1 : 0);
    }
    struct buffer text;
    buffer_init(&text, out->account, (size_t)FORMAT_NUMBER_MAX + 128);
    if (sign)
        buffer_append_byte(&text, sign);
    if (s->verb == 'O')
        buffer_append_literal(&text, "0o");
    if (s->sharp && base == 2)
        buffer_append_literal(&text, "0b");
    if (s->sharp && base == 16)
        buffer_append(&text, s->verb == 'X' ? "0X" : "0x", 2);
    if (s->sharp && base == 8 && *first != '0' && end - first >= least)
        buffer_append_byte(&text, '0');
    struct spec zeros = {.zero = true};
    append_padding(&text, &zeros, least - (int)(end - first));
    buffer_append(&text, first, (size_t)(end - first));
    append_padded_without_zeros(out, s, buffer_view(&text));
    buffer_deinit(&text);
}

static bool append_int(struct template_call *call, struct buffer *out,
                       const struct template_value *v, const struct spec *s)
{
    switch (s->verb) {
    case 'v':
        if (s->go_syntax && v->type == &TEMPLATE_TYPE_BYTE) {
            buffer_printf(out, "0x%" PRIx64, (uint64_t)v->integer);
            return true;
        }
        __attribute__((fallthrough));
    case 'd':
        if (!s->has_width && !s->has_precision && !s->plus && !s->space) {
            char digits[24], *end = digits + sizeof(digits);
            bool negative = v->integer < 0;
            uint64_t u = negative ? 0 - (uint64_t)v->integer : (uint64_t)v->integer;
            char *first = put_digits(end, u, 10, false);
            if (negative)
                *--first = '-';
            buffer_append(out, first, (size_t)(end - first));
            return true;
        }
        append_based(out, v->integer, 10, s);
        return true;
    case 'b':
        append_based(out, v->integer, 2, s);
        return true;
    case 'o':
    case 'O':
        append_based(out, v->integer, 8, s);
        return true;
    case 'x':
    case 'X':
        append_based(out, v->integer, 16, s);
        return true;
    case 'c':
        append_rune(out, v->integer, s);
        return true;
    case 'q':
        append_rune_quoted(out, v->integer, s);
        return true;
    case 'U':
        append_unicode(out, v->integer, s);
        return true;
    default:
        return append_bad_verb(call, out, v, s);
    }
}

/* --- floats --- */

/* Hexadecimal floats have at least two digits of exponent in Go: "0x1.8p+01". */
static void fix_hex_exponent(char *text, size_t *len)
{
    char *p = memchr(text, 'p', *len);
    if (!p)
        p = memchr(text, 'P', *len);
    if (p && text + *len - p == 3) { /* p, sign, one digit */
        p[3] = p[2];
        p[2] = '0';
        ++*len;
    }
}

/* "4503599627370496p-52": mantissa and binary exponent. */
static int put_binary(char *out, size_t out_bytes, double v)
{
    uint64_t bits;
    memcpy(&bits, &v, sizeof(bits));
    int exponent = (int)(bits >> 52 & 0x7ff);
    uint64_t mantissa = bits & ((1ULL << 52) - 1);
    if (exponent == 0)
        exponent++;
    else
        mantissa |= 1ULL << 52;
    exponent -= 1023 + 52;
    return snprintf(out, out_bytes, "%s%" PRIu64 "p%+d", signbit(v) ? "-" : "", mantissa, exponent);
}

/* strconv.FormatFloat into text, which has room; precision -1 = shortest (of g and x only). */
static size_t put_float(char *text, size_t text_bytes, double v, char verb, int precision)
{
    int n;
    if (isnan(v))
        return (size_t)snprintf(text, text_bytes, "NaN");
    if (isinf(v))
        return (size_t)snprintf(text, text_bytes, v > 0 ? "+Inf" : "-Inf");
    if (verb == 'b')
        return (size_t)put_binary(text, text_bytes, v);
    if (precision < 0 && (verb == 'g' || verb == 'G')) {
        size_t len = float_format_general(v, text);
        if (verb == 'G')
            for (size_t i = 0; i < len; i++)
                text[i] = text[i] == 'e' ? 'E' : text[i];
        return len;
    }
    if (verb == 'x' || verb == 'X') {
        char format[] = "%.*a", shortest[] = "%a";
        format[3] = shortest[1] = verb == 'x' ? 'a' : 'A';
        n = precision < 0 ? snprintf(text, text_bytes, shortest, v)
                          : snprintf(text, text_bytes, format, precision, v);
        size_t len = (size_t)n;
        fix_hex_exponent(text, &len);
        return len;
    }
    char format[] = "%.*f";
    format[3] = verb == 'F' ? 'f' : verb;
    n = snprintf(text, text_bytes, format, precision, v);
    return (size_t)n;
}

/* %#g and %#f keep the point and, up to the precision, the zeros. */
static void restore_zeros(struct buffer *text, char verb, int precision)
{
    struct view v = buffer_view(text);
    int digits = verb == 'g' || verb == 'G' || verb == 'x' ? (precision < 0 ? 6 : precision) : 0;
    size_t end = 1; /* behind the sign */
    bool point = false, nonzero = false;
    while (end < v.len && !strchr(verb == 'x' || verb == 'X' ? "pP" : "eE", v.ptr[end])) {
        char c = v.ptr[end++];
        point |= c == '.';
        nonzero |= c != '.' && c != '0';
        digits -= c != '.' && nonzero;
    }
    if (!point && end == 2 && v.ptr[1] == '0')
        digits--;
    char tail[16];
    size_t tail_len = v.len - end < sizeof(tail) ? v.len - end : sizeof(tail);
    memcpy(tail, v.ptr + end, tail_len);
    text->len = end;
    if (!point)
        buffer_append_byte(text, '.');
    struct spec zeros = {.zero = true};
    append_padding(text, &zeros, digits);
    buffer_append(text, tail, tail_len);
}

static void append_float_padded(struct buffer *out, double v, char verb, int precision,
                                const struct spec *s)
{
    struct buffer text;
    if (s->has_precision)
        precision = s->precision;
    size_t room = FLOAT_TEXT_BYTES + 16 + (precision > 0 ? (size_t)precision : 0);
    buffer_init(&text, out->account, room + FORMAT_NUMBER_MAX + 64);
    char *to = buffer_reserve(&text, room + 1);
    if (!to) {
        out->failed = true;
        buffer_deinit(&text);
        return;
    }
    size_t len = put_float(to + 1, room, v, verb, precision);
    bool has_sign = to[1] == '-' || to[1] == '+';
    if (has_sign) {
        memmove(to, to + 1, len);
    } else {
        to[0] = '+';
        len++;
    }
    text.len = len;
    if (s->space && to[0] == '+' && !s->plus)
        to[0] = ' ';
    if (to[1] == 'I' || to[1] == 'N') {
        struct view shown = buffer_view(&text);
        if (to[1] == 'N' && !s->space && !s->plus)
            shown = view_slice(shown, 1, shown.len);
        append_padded_without_zeros(out, s, shown);
        buffer_deinit(&text);
        return;
    }
    if (s->sharp && verb != 'b')
        restore_zeros(&text, verb, precision);
    struct view shown = buffer_view(&text);
    if (!s->plus && shown.ptr[0] == '+') {
        append_padded(out, s, view_slice(shown, 1, shown.len));
    } else if (s->zero && !s->minus && s->has_width && (size_t)s->width > shown.len) {
        buffer_append_byte(out, shown.ptr[0]);
        append_padding(out, s, s->width - (int)shown.len);
        buffer_append_view(out, view_slice(shown, 1, shown.len));
    } else {
        append_padded(out, s, shown);
    }
    buffer_deinit(&text);
}

void format_float(struct buffer *out, double v, int precision)
{
    struct spec s = {.verb = 'g', .has_precision = true, .precision = precision};
    append_float_padded(out, v, 'g', precision, &s);
}

static bool append_float(struct template_call *call, struct buffer *out,
                         const struct template_value *v, const struct spec *s)
{
    switch (s->verb) {
    case 'v': {
        char text[FLOAT_TEXT_BYTES];
        if (s->has_width || s->has_precision || s->plus || s->space || s->sharp) {
            append_float_padded(out, v->number, 'g', -1, s);
            return true;
        }
        if (isinf(v->number))
            buffer_append(out, v->number > 0 ? "+Inf" : "-Inf", 4);
        else if (isnan(v->number))
            buffer_append(out, "NaN", 3);
        else
            buffer_append(out, text, float_format_general(v->number, text));
        return true;
    }
    case 'b':
    case 'g':
    case 'G':
    case 'x':
    case 'X':
        append_float_padded(out, v->number, (char)s->verb, -1, s);
        return true;
    case 'f':
    case 'e':
    case 'E':
    case 'F':
        append_float_padded(out, v->number, (char)s->verb, 6, s);
        return true;
    default:
        return append_bad_verb(call, out, v, s);
    }
}

/* --- compound values --- */

static bool append_items(struct template_call *call, struct buffer *out,
                         const struct template_value *v, const struct spec *s)
{
    const char *open = "[", *separator = " ", *close = "]";
    if (s->go_syntax) {
        buffer_printf(out, "%s", v->type->name);
        open = "{", separator = ", ", close = "}";
    }
    if (v->type->kind == TEMPLATE_MAP && !s->go_syntax)
        buffer_append_literal(out, "map");
    buffer_append_view(out, view_from(open));
    size_t count = v->type->kind == TEMPLATE_MAP ? v->map.count : v->list.count;
    for (size_t i = 0; i < count && !out->failed; i++) {
        if (i)
            buffer_append_view(out, view_from(separator));
        const struct template_value *item = &v->list.items[i];
        if (v->type->kind == TEMPLATE_MAP) {
            struct template_value key = template_string(v->map.pairs[i].key);
            if (!append(call, out, &key, s))
                return false;
            buffer_append_byte(out, ':');
            item = &v->map.pairs[i].value;
        }
        if (!append(call, out, item, s))
            return false;
    }
    buffer_append_view(out, view_from(close));
    return true;
}

static bool append_fields(struct template_call *call, struct buffer *out,
                          const struct template_value *v, const struct spec *s)
{
    const char *name = v->type->name;
    if (name[0] == '*') {
        if (!s->indirect)
            buffer_append_byte(out, '&');
        name++;
    }
    if (s->go_syntax)
        buffer_printf(out, "%s", name);
    buffer_append_byte(out, '{');
    for (size_t i = 0; i < v->type->field_count && !out->failed; i++) {
        if (i)
            buffer_append_view(out, s->go_syntax ? VIEW(", ") : VIEW(" "));
        if (s->go_syntax || s->field_names)
            buffer_printf(out, "%s:", v->type->fields[i].name);
        struct spec inner = *s;
        inner.indirect = false;
        if (!append(call, out, &v->fields[i], &inner))
            return false;
    }
    buffer_append_byte(out, '}');
    return true;
}

static bool append_bool(struct template_call *call, struct buffer *out,
                        const struct template_value *v, const struct spec *s)
{
    if (s->verb != 't' && s->verb != 'v')
        return append_bad_verb(call, out, v, s);
    append_padded(out, s, v->boolean ? VIEW("true") : VIEW("false"));
    return true;
}

/* By the value's own String method. */
static bool append_text_of(struct template_call *call, struct buffer *out,
                           const struct template_value *v, const struct spec *s)
{
    struct template_value text;
    if (!v->type->text(call, v, 1, &text))
        return false;
    return append_string(call, out, v, text.text, s);
}

static bool append_kind(struct template_call *call, struct buffer *out,
                        const struct template_value *v, const struct spec *s)
{
    switch (v->type->kind) {
    case TEMPLATE_BOOL:
        return append_bool(call, out, v, s);
    case TEMPLATE_INT:
        return append_int(call, out, v, s);
    case TEMPLATE_FLOAT:
        return append_float(call, out, v, s);
    case TEMPLATE_STRING:
        return append_string(call, out, v, v->text, s);
    case TEMPLATE_LIST:
    case TEMPLATE_MAP:
        return append_items(call, out, v, s);
    case TEMPLATE_STRUCT:
        return append_fields(call, out, v, s);
    case TEMPLATE_TIME: /* Go shows its inside, of which nobody has any use */
        return s->verb == 'v' ? append_text_of(call, out, v, s) : append_bad_verb(call, out, v, s);
    case TEMPLATE_ANY:
        break;
    }
    UNREACHABLE();
}

static bool append(struct template_call *call, struct buffer *out, const struct template_value *v,
                   const struct spec *s)
{
    struct spec inner = *s;
    inner.indirect = s->indirect && s->depth == 0;
    if (++inner.depth > FORMAT_DEPTH_MAX)
        return template_call_error(call, "lists more than %d deep", FORMAT_DEPTH_MAX);
    if (s->verb == 'T') {
        struct spec as_string = inner;
        as_string.verb = 's';
        append_padded(out, &as_string, truncated(view_from(format_type(v)), s));
        return true;
    }
    if (!v->type || v->type->kind == TEMPLATE_ANY) {
        if (s->depth > 0) /* in a list */
            buffer_append_view(out, s->go_syntax ? VIEW("interface {}(nil)") : VIEW("<nil>"));
        else if (s->verb == 'v')
            append_padded(out, s, VIEW("<nil>"));
        else
            return append_bad_verb(call, out, &(struct template_value){NULL}, &inner);
        return true;
    }
    bool as_text =
        s->verb == 'v' || s->verb == 's' || s->verb == 'x' || s->verb == 'X' || s->verb == 'q';
    if (v->type->text && as_text && !s->go_syntax && !s->erroring)
        return append_text_of(call, out, v, &inner);
    return append_kind(call, out, v, &inner);
}

bool format_value(struct template_call *call, struct buffer *out, const struct template_value *v)
{
    struct spec s = {.verb = 'v'};
    return append(call, out, v, &s);
}

bool format_shown(struct template_call *call, struct buffer *out, const struct template_value *v)
{
    struct spec s = {.verb = 'v', .indirect = true};
    if (v->type)
        return append(call, out, v, &s);
    buffer_append_literal(out, "<no value>");
    return true;
}

static bool is_text(const struct template_value *v)
{
    return v->type && v->type->kind == TEMPLATE_STRING;
}

bool format_print(struct template_call *call, struct buffer *out, const struct template_value *args,
                  size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (i && !is_text(&args[i]) && !is_text(&args[i - 1]))
            buffer_append_byte(out, ' ');
        if (!format_value(call, out, &args[i]))
            return false;
    }
    return true;
}

bool format_println(struct template_call *call, struct buffer *out,
                    const struct template_value *args, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (i)
            buffer_append_byte(out, ' ');
        if (!format_value(call, out, &args[i]))
            return false;
    }
    buffer_append_byte(out, '\n');
    return true;
}

/* --- printf --- */

struct printf_state {
    struct view format;
    size_t pos;
    const struct template_value *args;
    size_t count, next;          /* arguments, the next to use */
    bool reordered, good, index; /* [n] was seen; it was good; it came last */
};

static int peek_char(const struct printf_state *p)
{
    return p->pos < p->format.len ? (unsigned char)p->format.ptr[p->pos] : -1;
}

/* A number at the place; false when there is none. One that is too large ends the format. */
static bool read_number(struct printf_state *p, int *out)
{
    bool found = false;
    int v = 0;
    while (peek_char(p) >= '0' && peek_char(p) <= '9') {
        if (v > FORMAT_NUMBER_MAX) {
            p->pos = p->format.len;
            *out = 0;
            return false;
        }
        v = v * 10 + (p->format.ptr[p->pos++] - '0');
        found = true;
    }
    *out = v;
    return found;
}

/* "[3]": which argument is next. */
static void read_index(struct printf_state *p)
{
    p->index = false;
    if (peek_char(p) != '[')
        return;
    p->reordered = true;
    const char *end = memchr(p->format.ptr + p->pos, ']', p->format.len - p->pos);
    if (!end) {
        p->good = false;
        p->pos++;
        return;
    }
    size_t after = (size_t)(end - p->format.ptr) + 1;
    int n;
    p->pos++;
    bool ok = read_number(p, &n) && p->pos == after - 1 && n >= 1 && (size_t)n <= p->count;
    p->pos = after;
    if (ok)
        p->next = (size_t)n - 1;
    else
        p->good = false;
    p->index = ok;
}

/* "*": the number is an argument. */
static bool read_star(struct printf_state *p, int *out)
{
    p->pos++;
    *out = 0;
    if (p->next >= p->count)
        return false;
    const struct template_value *v = &p->args[p->next++];
    if (!v->type || v->type->kind != TEMPLATE_INT || v->integer > FORMAT_NUMBER_MAX ||
        v->integer < -FORMAT_NUMBER_MAX)
        return false;
    *out = (int)v->integer;
    return true;
}

static void read_flags(struct printf_state *p, struct spec *s)
{
    for (;; p->pos++) {
        switch (peek_char(p)) {
        case '#':
            s->sharp = true;
            break;
        case '0':
            s->zero = true;
            break;
        case '+':
            s->plus = true;
            break;
        case '-':
            s->minus = true;
            break;
        case ' ':
            s->space = true;
            break;
        default:
            return;
        }
    }
}

static void read_width(struct printf_state *p, struct spec *s, struct buffer *out)
{
    read_index(p);
    if (peek_char(p) != '*') {
        s->has_width = read_number(p, &s->width);
        if (p->index && s->has_width)
            p->good = false;
        return;
    }
    s->has_width = read_star(p, &s->width);
    if (!s->has_width)
        buffer_append_literal(out, "%!(BADWIDTH)");
    if (s->width < 0) {
        s->width = -s->width;
        s->minus = true;
        s->zero = false;
    }
    p->index = false;
}

static void read_precision(struct printf_state *p, struct spec *s, struct buffer *out)
{
    if (peek_char(p) != '.' || p->pos + 1 >= p->format.len)
        return;
    p->pos++;
    if (p->index)
        p->good = false;
    read_index(p);
    if (peek_char(p) != '*') {
        if (!read_number(p, &s->precision))
            s->precision = 0;
        s->has_precision = true;
        return;
    }
    s->has_precision = read_star(p, &s->precision) && s->precision >= 0;
    if (!s->has_precision) {
        s->precision = 0;
        buffer_append_literal(out, "%!(BADPREC)");
    }
    p->index = false;
}

static void append_missing(struct buffer *out, uint32_t verb, const char *what)
{
    char bytes[4];
    buffer_append_literal(out, "%!");
    buffer_append(out, bytes, utf8_put(verb == UINT32_MAX ? 0xfffd : verb, bytes));
    buffer_printf(out, "(%s)", what);
}

/* What follows a "%". */
static bool append_verb(struct template_call *call, struct buffer *out, struct printf_state *p)
{
    struct spec s = {.verb = 0};
    p->good = true;
    read_flags(p, &s);
    read_width(p, &s, out);
    read_precision(p, &s, out);
    if (!p->index)
        read_index(p);
    if (p->pos >= p->format.len) {
        buffer_append_literal(out, "%!(NOVERB)");
        return true;
    }
    s.verb = utf8_next(p->format, &p->pos);
    if (s.verb == '%') {
        buffer_append_byte(out, '%');
        return true;
    }
    if (!p->good || p->next >= p->count) {
        append_missing(out, s.verb, p->good ? "MISSING" : "BADINDEX");
        return true;
    }
    if (s.verb == 'v') {
        s.go_syntax = s.sharp;
        s.field_names = s.plus;
        s.sharp = s.plus = false;
    }
    return append(call, out, &p->args[p->next++], &s);
}

static bool append_extra(struct template_call *call, struct buffer *out,
                         const struct printf_state *p)
{
    buffer_append_literal(out, "%!(EXTRA ");
    for (size_t i = p->next; i < p->count; i++) {
        if (i > p->next)
            buffer_append_literal(out, ", ");
        if (p->args[i].type)
            buffer_printf(out, "%s=", p->args[i].type->name);
        if (!format_value(call, out, &p->args[i]))
            return false;
    }
    buffer_append_byte(out, ')');
    return true;
}

bool format_printf(struct template_call *call, struct buffer *out, struct view format,
                   const struct template_value *args, size_t count)
{
    struct printf_state p = {.format = format, .args = args, .count = count};
    while (p.pos < format.len && !out->failed) {
        const char *percent = memchr(format.ptr + p.pos, '%', format.len - p.pos);
        size_t end = percent ? (size_t)(percent - format.ptr) : format.len;
        buffer_append(out, format.ptr + p.pos, end - p.pos);
        p.pos = end + 1;
        if (percent && !append_verb(call, out, &p))
            return false;
    }
    return p.reordered || p.next >= count || append_extra(call, out, &p);
}
