/* SPDX-License-Identifier: Apache-2.0 */
/* escape.c: see escape.h. */
#include "template/escape.h"

#include "base/hex.h"
#include "base/utf8.h"

#include <unictype.h>

void escape_html(struct buffer *out, struct view text)
{
    size_t done = 0;
    for (size_t i = 0; i < text.len; i++) {
        struct view with;
        switch (text.ptr[i]) {
        case '"':
            with = VIEW("&#34;");
            break;
        case '\'':
            with = VIEW("&#39;");
            break;
        case '&':
            with = VIEW("&amp;");
            break;
        case '<':
            with = VIEW("&lt;");
            break;
        case '>':
            with = VIEW("&gt;");
            break;
        case '\0':
            with = VIEW("\xef\xbf\xbd");
            break;
        default:
            continue;
        }
        buffer_append_view(out, view_slice(text, done, i));
        buffer_append_view(out, with);
        done = i + 1;
    }
    buffer_append_view(out, view_slice(text, done, text.len));
}

void escape_js(struct buffer *out, struct view text)
{
    for (size_t pos = 0; pos < text.len;) {
        size_t start = pos;
        uint32_t code = utf8_next(text, &pos);
        if (code == UINT32_MAX || (code >= 0x80 && uc_is_print(code)))
            buffer_append_view(out, view_slice(text, start, pos));
        else if (code >= 0x80)
            buffer_printf(out, "\\u%04X", code);
        else if (code == '\\' || code == '\'' || code == '"')
            buffer_printf(out, "\\%c", (char)code);
        else if (code < ' ' || code == '<' || code == '>' || code == '&' || code == '=')
            buffer_printf(out, "\\u00%02X", code);
        else
            buffer_append_byte(out, (char)code);
    }
}

static bool is_unreserved(unsigned char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_' || c == '.' || c == '~';
}

void escape_query(struct buffer *out, struct view text)
{
    static const char HEX[] = "0123456789ABCDEF";
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        if (is_unreserved(c)) {
            buffer_append_byte(out, (char)c);
        } else if (c == ' ') {
            buffer_append_byte(out, '+');
        } else {
            char code[3] = {'%', HEX[c >> 4], HEX[c & 15]};
            buffer_append(out, code, sizeof(code));
        }
    }
}

bool escape_query_undo(struct buffer *out, struct view text, struct view *bad)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] != '%') {
            buffer_append_byte(out, text.ptr[i] == '+' ? ' ' : text.ptr[i]);
            continue;
        }
        *bad = view_slice(text, i, i + 3);
        uint32_t high = bad->len < 3 ? HEX_NONE : hex_digit((unsigned char)bad->ptr[1]),
                 low = bad->len < 3 ? HEX_NONE : hex_digit((unsigned char)bad->ptr[2]);
        if (high == HEX_NONE || low == HEX_NONE)
            return false;
        buffer_append_byte(out, (char)(high << 4 | low));
        i += 2;
    }
    return true;
}
