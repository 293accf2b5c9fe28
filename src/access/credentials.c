/* SPDX-License-Identifier: Apache-2.0 */
#include "access/credentials.h"

#include <stdint.h>

static struct view trim(struct view v)
{
    while (v.len && (v.ptr[0] == ' ' || v.ptr[0] == '\t'))
        v = view_slice(v, 1, v.len);
    while (v.len && (v.ptr[v.len - 1] == ' ' || v.ptr[v.len - 1] == '\t'))
        v.len--;
    return v;
}

static int digit_of(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* RFC 4648, with its padding, nothing after it. Bytes written, or -1. */
static int base64_decode(struct view in, char *out)
{
    int written = 0;
    if (in.len % 4 != 0)
        return -1;
    for (size_t pos = 0; pos < in.len; pos += 4) {
        unsigned pad = pos + 4 == in.len ? (in.ptr[pos + 3] == '=') + (in.ptr[pos + 2] == '=') : 0;
        if (pad == 1 && in.ptr[pos + 3] != '=')
            return -1;
        uint32_t bits = 0;
        for (unsigned i = 0; i < 4; i++) {
            int digit = i >= 4 - pad ? 0 : digit_of(in.ptr[pos + i]);
            if (digit < 0)
                return -1;
            bits = bits << 6 | (uint32_t)digit;
        }
        for (unsigned i = 0; i < 3 - pad; i++)
            out[written++] = (char)(bits >> (16 - 8 * i) & 0xff);
    }
    return written;
}

static bool parse_basic(struct credentials *out, struct view text, struct error *err)
{
    int len = base64_decode(text, out->decoded);
    const char *colon = len > 0 ? memchr(out->decoded, ':', (size_t)len) : NULL;
    if (colon == NULL)
        return error_set(err, ERROR_INPUT,
                         "the Authorization header is not Basic and base64 of user:password");
    struct view whole = {out->decoded, (size_t)len};
    size_t at = (size_t)(colon - out->decoded);
    out->kind = CREDENTIALS_BASIC;
    out->user = view_slice(whole, 0, at);
    out->secret = secret_from(view_slice(whole, at + 1, whole.len));
    return true;
}

static bool parse_authorization(struct credentials *out, struct view text, struct error *err)
{
    static const struct view BASIC = VIEW_INIT("basic"), BEARER = VIEW_INIT("bearer");
    if (text.len > CREDENTIALS_BYTES_MAX)
        return error_set(err, ERROR_TOO_LARGE, "the Authorization header has %zu bytes, at most %d",
                         text.len, CREDENTIALS_BYTES_MAX);
    const char *blank = memchr(text.ptr, ' ', text.len);
    struct view scheme = view_slice(text, 0, blank ? (size_t)(blank - text.ptr) : text.len);
    struct view rest = trim(view_slice(text, scheme.len, text.len));
    if (view_eq_any_case(scheme, BASIC))
        return parse_basic(out, rest, err);
    if (view_eq_any_case(scheme, BEARER) && rest.len) {
        out->kind = CREDENTIALS_BEARER;
        out->secret = secret_from(rest);
        return true;
    }
    return error_set(err, ERROR_INPUT, "the Authorization header is neither Basic nor Bearer");
}

/* The first cookie of that name (RFC 6265: a browser sends the longest path first). */
static void parse_cookie(struct credentials *out, struct view text)
{
    for (size_t pos = 0; pos < text.len;) {
        const char *end = memchr(text.ptr + pos, ';', text.len - pos);
        size_t to = end ? (size_t)(end - text.ptr) : text.len;
        struct view pair = trim(view_slice(text, pos, to));
        if (view_has_prefix(pair, VIEW(SESSION_COOKIE "=")) && pair.len > sizeof SESSION_COOKIE &&
            pair.len < 256) {
            out->kind = CREDENTIALS_SESSION;
            out->secret = secret_from(view_slice(pair, sizeof SESSION_COOKIE, pair.len));
            return;
        }
        pos = to + 1;
    }
}

bool credentials_parse(struct credentials *out, struct view authorization, struct view cookie,
                       struct error *err)
{
    out->kind = CREDENTIALS_NONE;
    out->user = VIEW("");
    out->secret = secret_from(VIEW(""));
    authorization = trim(authorization);
    if (authorization.len)
        return parse_authorization(out, authorization, err);
    parse_cookie(out, cookie);
    return true;
}
