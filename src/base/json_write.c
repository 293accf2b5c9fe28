/* SPDX-License-Identifier: Apache-2.0 */
/* json_write.c: what Prometheus' API writes (json-iterator in its compatible mode), byte for byte. */
#include "base/json_write.h"

#include "base/floattext.h"
#include "base/utf8.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

/* Bytes that may stand in a string as they are; all others leave for string_escape(). */
static bool is_plain(unsigned char c)
{
    return c >= 0x20 && c < 0x80 && c != '"' && c != '\\' && c != '<' && c != '>' && c != '&';
}

static void unicode_escape(struct buffer *b, uint32_t code)
{
    static const char hex[] = "0123456789abcdef";
    char out[6] = {
        '\\', 'u', hex[code >> 12 & 15], hex[code >> 8 & 15], hex[code >> 4 & 15], hex[code & 15]};
    buffer_append(b, out, sizeof(out));
}

/* The character at *pos, which moves behind it. */
static void string_escape(struct buffer *b, struct view text, size_t *pos)
{
    size_t start = *pos;
    uint32_t code = utf8_next(text, pos);
    switch (code) {
    case '"':
    case '\\':
        buffer_append_byte(b, '\\');
        buffer_append_byte(b, (char)code);
        return;
    case '\n':
        buffer_append_literal(b, "\\n");
        return;
    case '\r':
        buffer_append_literal(b, "\\r");
        return;
    case '\t':
        buffer_append_literal(b, "\\t");
        return;
    case UINT32_MAX:
        buffer_append_literal(b, "\\ufffd");
        return;
    default:
        break;
    }
    if (code < 0x20 || code == '<' || code == '>' || code == '&' || code == 0x2028 ||
        code == 0x2029)
        unicode_escape(b, code);
    else
        buffer_append(b, text.ptr + start, *pos - start);
}

void json_string(struct buffer *b, struct view text)
{
    buffer_append_byte(b, '"');
    for (size_t pos = 0; pos < text.len;) {
        size_t start = pos;
        while (pos < text.len && is_plain((unsigned char)text.ptr[pos]))
            pos++;
        buffer_append(b, text.ptr ? text.ptr + start : NULL, pos - start);
        if (pos < text.len)
            string_escape(b, text, &pos);
    }
    buffer_append_byte(b, '"');
}

void json_sample_value(struct buffer *b, double v)
{
    char *out = buffer_reserve(b, FLOAT_TEXT_BYTES + 2);
    if (!out)
        return;
    out[0] = '"';
    size_t len = float_format_json(v, out + 1);
    out[len + 1] = '"';
    buffer_advance(b, len + 2);
}

void json_scalar_value(struct buffer *b, double v)
{
    char *out = buffer_reserve(b, FLOAT_TEXT_BYTES + 2);
    if (!out)
        return;
    out[0] = '"';
    size_t len = float_format_plain(v, out + 1);
    out[len + 1] = '"';
    buffer_advance(b, len + 2);
}

static size_t put_unsigned(uint64_t v, char out[20])
{
    char reversed[20];
    size_t len = 0;
    do
        reversed[len++] = (char)('0' + v % 10);
    while ((v /= 10) != 0);
    for (size_t i = 0; i < len; i++)
        out[i] = reversed[len - 1 - i];
    return len;
}

void json_timestamp(struct buffer *b, int64_t ms)
{
    char out[32];
    size_t len = 0;
    uint64_t magnitude = ms < 0 ? 0 - (uint64_t)ms : (uint64_t)ms;
    if (ms < 0)
        out[len++] = '-';
    len += put_unsigned(magnitude / 1000, out + len);
    unsigned rest = (unsigned)(magnitude % 1000);
    if (rest) {
        out[len++] = '.';
        out[len++] = (char)('0' + rest / 100);
        out[len++] = (char)('0' + rest / 10 % 10);
        out[len++] = (char)('0' + rest % 10);
    }
    buffer_append(b, out, len);
}

void json_int(struct buffer *b, int64_t v)
{
    char out[24];
    size_t len = 0;
    if (v < 0)
        out[len++] = '-';
    len += put_unsigned(v < 0 ? 0 - (uint64_t)v : (uint64_t)v, out + len);
    buffer_append(b, out, len);
}

void json_number(struct buffer *b, double v)
{
    if (!isfinite(v)) {
        buffer_append_literal(b, "null");
        return;
    }
    char out[FLOAT_TEXT_BYTES];
    size_t len = float_format_json(v, out);
    /* As Go's encoders, which json-iterator follows here: e-09 is e-9. Samples, which are texts, keep it. */
    if (len >= 4 && memcmp(out + len - 4, "e-0", 3) == 0) {
        out[len - 2] = out[len - 1];
        len--;
    }
    buffer_append(b, out, len);
}
