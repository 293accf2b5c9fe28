/* SPDX-License-Identifier: Apache-2.0 */
/* utf8.c: the table of well-formed sequences is the Unicode standard's (table 3-7). */
#include "base/utf8.h"

#include "base/assert.h"

#include <string.h>

/* Length of the well-formed sequence at p (len bytes left, len > 0), 0 when there is none. */
static size_t sequence_len(const unsigned char *p, size_t len)
{
    unsigned char low = 0x80, high = 0xbf; /* range of the second byte */
    size_t need;
    if (p[0] < 0x80)
        return 1;
    if (p[0] >= 0xc2 && p[0] <= 0xdf) {
        need = 2;
    } else if (p[0] >= 0xe0 && p[0] <= 0xef) {
        need = 3;
        if (p[0] == 0xe0)
            low = 0xa0; /* shorter forms exist */
        else if (p[0] == 0xed)
            high = 0x9f; /* surrogates */
    } else if (p[0] >= 0xf0 && p[0] <= 0xf4) {
        need = 4;
        if (p[0] == 0xf0)
            low = 0x90;
        else if (p[0] == 0xf4)
            high = 0x8f; /* above U+10FFFF */
    } else {
        return 0;
    }
    if (len < need || p[1] < low || p[1] > high)
        return 0;
    for (size_t i = 2; i < need; i++) {
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    }
    return need;
}

bool utf8_is_valid(struct view text)
{
    const unsigned char *p = (const unsigned char *)text.ptr;
    size_t pos = 0;
    while (pos < text.len) {
        uint64_t eight;
        if (text.len - pos >= sizeof(eight)) { /* names and values are nearly always ASCII */
            memcpy(&eight, p + pos, sizeof(eight));
            if (!(eight & UINT64_C(0x8080808080808080))) {
                pos += sizeof(eight);
                continue;
            }
        }
        size_t n = sequence_len(p + pos, text.len - pos);
        if (n == 0)
            return false;
        pos += n;
    }
    return true;
}

uint32_t utf8_next(struct view text, size_t *pos)
{
    ASSERT(*pos < text.len);
    const unsigned char *p = (const unsigned char *)text.ptr + *pos;
    size_t n = sequence_len(p, text.len - *pos);
    *pos += n ? n : 1;
    switch (n) {
    case 1:
        return p[0];
    case 2:
        return (uint32_t)(p[0] & 0x1f) << 6 | (p[1] & 0x3f);
    case 3:
        return (uint32_t)(p[0] & 0x0f) << 12 | (uint32_t)(p[1] & 0x3f) << 6 | (p[2] & 0x3f);
    case 4:
        return (uint32_t)(p[0] & 0x07) << 18 | (uint32_t)(p[1] & 0x3f) << 12 |
               (uint32_t)(p[2] & 0x3f) << 6 | (p[3] & 0x3f);
    default:
        return UINT32_MAX;
    }
}

size_t utf8_put(uint32_t code, char out[4])
{
    ASSERT(code <= 0x10ffff && (code < 0xd800 || code > 0xdfff));
    if (code < 0x80) {
        out[0] = (char)code;
        return 1;
    }
    if (code < 0x800) {
        out[0] = (char)(0xc0 | code >> 6);
        out[1] = (char)(0x80 | (code & 0x3f));
        return 2;
    }
    if (code < 0x10000) {
        out[0] = (char)(0xe0 | code >> 12);
        out[1] = (char)(0x80 | (code >> 6 & 0x3f));
        out[2] = (char)(0x80 | (code & 0x3f));
        return 3;
    }
    out[0] = (char)(0xf0 | code >> 18);
    out[1] = (char)(0x80 | (code >> 12 & 0x3f));
    out[2] = (char)(0x80 | (code >> 6 & 0x3f));
    out[3] = (char)(0x80 | (code & 0x3f));
    return 4;
}
