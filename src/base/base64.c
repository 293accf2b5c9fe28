/* SPDX-License-Identifier: Apache-2.0 */
/* base64.c: see base64.h. Groups of four characters for three bytes; "=" fills the last group. */
#include "base/base64.h"

#include <stdint.h>

static const char ALPHABET[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

void base64_url_encode(struct buffer *out, struct view bytes)
{
    for (size_t i = 0; i < bytes.len; i += 3) {
        size_t left = bytes.len - i;
        uint32_t v = (uint32_t)(unsigned char)bytes.ptr[i] << 16;
        if (left > 1)
            v |= (uint32_t)(unsigned char)bytes.ptr[i + 1] << 8;
        if (left > 2)
            v |= (unsigned char)bytes.ptr[i + 2];
        char group[4] = {ALPHABET[v >> 18], ALPHABET[v >> 12 & 63],
                         left > 1 ? ALPHABET[v >> 6 & 63] : '=', left > 2 ? ALPHABET[v & 63] : '='};
        buffer_append(out, group, sizeof(group));
    }
}

static bool is_newline(char c)
{
    return c == '\n' || c == '\r';
}

/* Behind the padding there is nothing but newlines. `digits` characters of the last group were read. */
static bool padding_is_right(struct view text, size_t pos, int digits, size_t *bad_at)
{
    int padding = 0;
    *bad_at = pos;
    if (digits < 2)
        return false;
    for (; pos < text.len; pos++) {
        *bad_at = pos;
        if (is_newline(text.ptr[pos]))
            continue;
        if (text.ptr[pos] != '=' || ++padding > 4 - digits)
            return false;
    }
    *bad_at = text.len;
    return padding == 4 - digits;
}

bool base64_url_decode(struct buffer *out, struct view text, size_t *bad_at)
{
    uint32_t v = 0;
    int digits = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (is_newline(text.ptr[i]))
            continue;
        const char *found = text.ptr[i] ? strchr(ALPHABET, text.ptr[i]) : NULL;
        if (!found) {
            if (!padding_is_right(text, i, digits, bad_at))
                return false;
            char tail[2] = {(char)(digits == 2 ? v >> 4 : v >> 10), (char)(v >> 2)};
            buffer_append(out, tail, digits == 2 ? 1 : 2);
            return true;
        }
        v = v << 6 | (uint32_t)(found - ALPHABET);
        if (++digits == 4) {
            char bytes[3] = {(char)(v >> 16), (char)(v >> 8), (char)v};
            buffer_append(out, bytes, sizeof(bytes));
            digits = 0;
            v = 0;
        }
    }
    *bad_at = text.len - (size_t)digits;
    return digits == 0;
}
