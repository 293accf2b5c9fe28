/* SPDX-License-Identifier: Apache-2.0 */
/* trace_context.c: the headers of W3C Trace Context, level 1 (recommendation of 23 November 2021).
 *
 *   traceparent  VV-<32 trace id>-<16 parent id>-<2 flags>      lower-case hexadecimal; VV ff and ids of zeros are not valid
 *   tracestate   key=value,key=value                             at most 32 members, a key once
 *
 * Version 00 is exactly 55 bytes. A later one may go on after a '-'; of its flags only "sampled" is known. */
#include "instrument/request_private.h"

#include <string.h>

enum { PARENT_BYTES = 55, MEMBERS_MAX = 32, LONG_MEMBER_BYTES = 128, VALUE_BYTES_MAX = 256 };

static bool hex_digit(char c, uint8_t *out)
{
    if (c >= '0' && c <= '9')
        *out = (uint8_t)(c - '0');
    else if (c >= 'a' && c <= 'f')
        *out = (uint8_t)(c - 'a' + 10);
    else
        return false;
    return true;
}

/* Reads 2 * len digits. *any: one of them is not 0. */
static bool read_hex(const char *text, uint8_t *out, size_t len, bool *any)
{
    *any = false;
    for (size_t i = 0; i < len; i++) {
        uint8_t high, low;
        if (!hex_digit(text[2 * i], &high) || !hex_digit(text[2 * i + 1], &low))
            return false;
        out[i] = (uint8_t)(high << 4 | low);
        *any = *any || out[i] != 0;
    }
    return true;
}

bool belfry_traceparent_parse(belfry_trace_context *out, const char *header, size_t len)
{
    belfry_trace_context parsed;
    uint8_t version, flags;
    bool any, has_trace, has_span;
    if (!header || len < PARENT_BYTES || !read_hex(header, &version, 1, &any) || version == 0xff)
        return false;
    if (version == 0 ? len != PARENT_BYTES : len > PARENT_BYTES && header[PARENT_BYTES] != '-')
        return false;
    if (header[2] != '-' || header[35] != '-' || header[52] != '-' ||
        !read_hex(header + 3, parsed.trace_id, sizeof parsed.trace_id, &has_trace) ||
        !read_hex(header + 36, parsed.span_id, sizeof parsed.span_id, &has_span) ||
        !read_hex(header + 53, &flags, 1, &any) || !has_trace || !has_span)
        return false;
    parsed.flags = flags & BELFRY_TRACE_SAMPLED;
    *out = parsed;
    return true;
}

void belfry_traceparent_format(char out[BELFRY_TRACEPARENT_BYTES],
                               const belfry_trace_context *context)
{
    uint8_t flags = context->flags & BELFRY_TRACE_SAMPLED; /* others must be 0 in version 00 */
    memcpy(out, "00-", 3);
    belfry__hex(out + 3, context->trace_id, sizeof context->trace_id);
    out[35] = '-';
    belfry__hex(out + 36, context->span_id, sizeof context->span_id);
    out[52] = '-';
    belfry__hex(out + 53, &flags, 1);
}

/* --- tracestate --- */

struct member {
    const char *ptr;
    size_t len, key_len;
};

static bool is_lower(char c)
{
    return c >= 'a' && c <= 'z';
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* After its first byte a key, tenant or system has these. */
static bool is_key_rest(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (!is_lower(text[i]) && !is_digit(text[i]) &&
            !(text[i] == '_' || text[i] == '-' || text[i] == '*' || text[i] == '/'))
            return false;
    }
    return true;
}

/* simple-key, at most 256 bytes from a letter; or tenant (241, from a letter or digit) @ system (14, from a letter). */
static bool is_key(const char *text, size_t len)
{
    const char *at = len ? memchr(text, '@', len) : NULL;
    if (!at)
        return len > 0 && len <= 256 && is_lower(text[0]) && is_key_rest(text + 1, len - 1);
    size_t tenant = (size_t)(at - text), system = len - tenant - 1;
    return tenant > 0 && tenant <= 241 && (is_lower(text[0]) || is_digit(text[0])) &&
           is_key_rest(text + 1, tenant - 1) && system > 0 && system <= 14 && is_lower(at[1]) &&
           is_key_rest(at + 2, system - 1);
}

/* Printable ASCII without ',' and '='; the last byte is no blank. */
static bool is_value(const char *text, size_t len)
{
    if (len == 0 || len > VALUE_BYTES_MAX || text[len - 1] == ' ')
        return false;
    for (size_t i = 0; i < len; i++) {
        if (text[i] < 0x20 || text[i] > 0x7e || text[i] == ',' || text[i] == '=')
            return false;
    }
    return true;
}

static bool member_parse(struct member *m, const char *text, size_t len)
{
    const char *equals = memchr(text, '=', len);
    if (!equals)
        return false;
    m->ptr = text;
    m->len = len;
    m->key_len = (size_t)(equals - text);
    return is_key(text, m->key_len) && is_value(equals + 1, len - m->key_len - 1);
}

/* Number of members, or -1 when one is not valid or there are too many. */
static int members_parse(struct member members[MEMBERS_MAX], const char *header, size_t len)
{
    int count = 0;
    for (size_t pos = 0; pos <= len;) {
        const char *comma = pos < len ? memchr(header + pos, ',', len - pos) : NULL;
        size_t from = pos, to = comma ? (size_t)(comma - header) : len;
        pos = to + 1;
        while (from < to && (header[from] == ' ' || header[from] == '\t'))
            from++;
        while (to > from && (header[to - 1] == ' ' || header[to - 1] == '\t'))
            to--;
        if (from == to)
            continue; /* empty members are allowed */
        struct member m;
        if (count == MEMBERS_MAX || !member_parse(&m, header + from, to - from))
            return -1;
        for (int i = 0; i < count; i++) {
            if (members[i].key_len == m.key_len && memcmp(members[i].ptr, m.ptr, m.key_len) == 0)
                return -1;
        }
        members[count++] = m;
    }
    return count;
}

static size_t joined_bytes(const struct member *members, int count)
{
    size_t bytes = 0;
    for (int i = 0; i < count; i++)
        bytes += members[i].len + (i > 0);
    return bytes;
}

/* Leaves out long members, the last first, until the rest fits; then the last ones. */
static int members_shorten(struct member *members, int count)
{
    for (int i = count - 1; i >= 0 && joined_bytes(members, count) > BELFRY_TRACESTATE_BYTES_MAX;
         i--) {
        if (members[i].len <= LONG_MEMBER_BYTES)
            continue;
        memmove(members + i, members + i + 1, (size_t)(count - i - 1) * sizeof members[0]);
        count--;
    }
    while (joined_bytes(members, count) > BELFRY_TRACESTATE_BYTES_MAX)
        count--;
    return count;
}

size_t belfry_tracestate_clean(char out[BELFRY_TRACESTATE_BYTES_MAX + 1], const char *header,
                               size_t len)
{
    struct member members[MEMBERS_MAX];
    size_t at = 0;
    int count = header ? members_parse(members, header, len) : -1;
    if (count > 0)
        count = members_shorten(members, count);
    for (int i = 0; i < count; i++) {
        if (i > 0)
            out[at++] = ',';
        memcpy(out + at, members[i].ptr, members[i].len);
        at += members[i].len;
    }
    out[at] = '\0';
    return at;
}
