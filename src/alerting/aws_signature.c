/* SPDX-License-Identifier: Apache-2.0 */
/* aws_signature.c: "Create a signed AWS API request" of AWS' IAM user guide:
 *
 *   canonical request := method, path, query, headers, names of headers, SHA-256 of the body; one a line
 *   text              := "AWS4-HMAC-SHA256", time, scope, SHA-256 of the canonical request
 *   key               := HMAC(HMAC(HMAC(HMAC("AWS4" secret, day), region), service), "aws4_request")
 *   signature         := HMAC(key, text) */
#include "alerting/aws_signature.h"

#include "base/assert.h"
#include "base/buffer.h"
#include "base/hex.h"
#include "net/http_client.h"

#include <curl/curl.h>
#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { DIGEST_BYTES = 32 };

struct digest {
    unsigned char bytes[DIGEST_BYTES];
};

static struct digest hmac(struct view key, struct view text)
{
    struct digest out;
    int code = gnutls_hmac_fast(GNUTLS_MAC_SHA256, key.ptr, key.len, text.ptr, text.len, out.bytes);
    ASSERT(code == 0);
    return out;
}

static struct view view_of(const struct digest *d)
{
    return (struct view){(const char *)d->bytes, DIGEST_BYTES};
}

static struct view hex(struct arena *arena, const struct digest *d)
{
    static const char DIGITS[] = "0123456789abcdef";
    char *out = arena_alloc(arena, 2 * DIGEST_BYTES);
    for (size_t i = 0; i < DIGEST_BYTES; i++) {
        out[2 * i] = DIGITS[d->bytes[i] >> 4];
        out[2 * i + 1] = DIGITS[d->bytes[i] & 15];
    }
    return (struct view){out, 2 * DIGEST_BYTES};
}

static struct view hash(struct arena *arena, struct view text)
{
    struct digest d;
    int code = gnutls_hash_fast(GNUTLS_DIG_SHA256, text.ptr, text.len, d.bytes);
    ASSERT(code == 0);
    return hex(arena, &d);
}

/* Removes the last segment of a path that ends with a slash. */
static void drop_segment(struct buffer *path)
{
    while (path->len > 1 && path->ptr[--path->len - 1] != '/') {
    }
}

/* Encoded once more and without segments that are empty, . or .., as all services but S3 want it; its slashes stay. */
static struct view canonical_path(struct arena *arena, struct view path)
{
    struct buffer b;
    buffer_init(&b, MEM_RULES, 3 * path.len + 1);
    buffer_append_byte(&b, '/');
    while (path.len) {
        const char *slash = memchr(path.ptr, '/', path.len);
        size_t len = slash ? (size_t)(slash - path.ptr) : path.len;
        struct view segment = view_slice(path, 0, len);
        if (view_is(segment, "..")) {
            drop_segment(&b);
        } else if (len && !view_is(segment, ".")) {
            http_escape(&b, segment);
            if (slash)
                buffer_append_byte(&b, '/');
        }
        path = view_slice(path, len + 1, path.len);
    }
    struct view out = arena_copy(arena, buffer_view(&b));
    buffer_deinit(&b);
    return out;
}

struct parameter {
    struct view name, value; /* encoded */
};

static int parameter_order(const void *a, const void *b)
{
    const struct parameter *x = a, *y = b;
    int by_name = view_cmp(x->name, y->name);
    return by_name ? by_name : view_cmp(x->value, y->value);
}

/* A part of a query, decoded and encoded anew: what need not be encoded is not. A + is a blank, as in forms. */
static struct view reencode(struct arena *arena, struct view text)
{
    struct buffer plain, out;
    buffer_init(&plain, MEM_RULES, text.len + 1);
    buffer_init(&out, MEM_RULES, 3 * text.len + 1);
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i] == '+' ? ' ' : text.ptr[i];
        if (c == '%' && i + 2 < text.len) {
            uint32_t high = hex_digit((unsigned char)text.ptr[i + 1]);
            uint32_t low = hex_digit((unsigned char)text.ptr[i + 2]);
            if (high != HEX_NONE && low != HEX_NONE) {
                c = (char)(high << 4 | low);
                i += 2;
            }
        }
        buffer_append_byte(&plain, c);
    }
    http_escape(&out, buffer_view(&plain));
    struct view copy = arena_copy(arena, buffer_view(&out));
    buffer_deinit(&plain);
    buffer_deinit(&out);
    return copy;
}

/* Encoded and in order; each parameter has a =. */
static struct view canonical_query(struct arena *arena, struct view query)
{
    struct parameter *items = NULL;
    size_t count = 0, capacity = 0;
    struct buffer b;
    buffer_init(&b, MEM_RULES, 5 * query.len + 1); /* 3 for a byte, = and & for a parameter */
    while (query.len) {
        const char *end = memchr(query.ptr, '&', query.len);
        size_t len = end ? (size_t)(end - query.ptr) : query.len;
        struct view part = view_slice(query, 0, len);
        const char *equals = len ? memchr(part.ptr, '=', len) : NULL;
        size_t name_len = equals ? (size_t)(equals - part.ptr) : len;
        query = view_slice(query, len + 1, query.len);
        if (len == 0)
            continue;
        items = arena_grow(arena, items, &capacity, count + 1, sizeof *items);
        items[count++] = (struct parameter){reencode(arena, view_slice(part, 0, name_len)),
                                            reencode(arena, view_slice(part, name_len + 1, len))};
    }
    if (count)
        qsort(items, count, sizeof *items, parameter_order);
    for (size_t i = 0; i < count; i++)
        buffer_printf(&b, "%s%.*s=%.*s", i ? "&" : "", VIEW_ARGS(items[i].name),
                      VIEW_ARGS(items[i].value));
    struct view out = arena_copy(arena, buffer_view(&b));
    buffer_deinit(&b);
    return out;
}

static struct view canonical_request(struct arena *arena, const struct aws_credentials *c,
                                     const struct aws_request *r, struct view date,
                                     struct view *names)
{
    struct view none = {"", 0}, token = secret_reveal(&c->session_token);
    bool typed = r->content_type.len > 0;
    *names = arena_printf(arena, "%shost;x-amz-date%s", typed ? "content-type;" : "",
                          token.len ? ";x-amz-security-token" : "");
    struct view path = canonical_path(arena, r->path), payload = hash(arena, r->body),
                query = canonical_query(arena, r->query);
    return arena_printf(
        arena, "%.*s\n%.*s\n%.*s\n%s%.*s%shost:%.*s\nx-amz-date:%.*s\n%s%.*s%s\n%.*s\n%.*s",
        VIEW_ARGS(r->method), VIEW_ARGS(path), VIEW_ARGS(query), typed ? "content-type:" : "",
        VIEW_ARGS(typed ? r->content_type : none), typed ? "\n" : "", VIEW_ARGS(r->host),
        VIEW_ARGS(date), token.len ? "x-amz-security-token:" : "", VIEW_ARGS(token),
        token.len ? "\n" : "", VIEW_ARGS(*names), VIEW_ARGS(payload));
}

bool aws_request_url(struct arena *arena, struct view url, struct aws_request *r, struct error *err)
{
    CURLU *parts = curl_url();
    char *host = NULL, *port = NULL, *path = NULL, *query = NULL;
    bool ok = parts && !curl_url_set(parts, CURLUPART_URL, arena_copy(arena, url).ptr, 0) &&
              !curl_url_get(parts, CURLUPART_HOST, &host, 0) &&
              !curl_url_get(parts, CURLUPART_PATH, &path, 0);
    if (ok) {
        (void)curl_url_get(parts, CURLUPART_PORT, &port, CURLU_NO_DEFAULT_PORT); /* none: fine */
        (void)curl_url_get(parts, CURLUPART_QUERY, &query, 0);
        r->host = arena_printf(arena, "%s%s%s", host, port ? ":" : "", port ? port : "");
        r->path = arena_copy(arena, view_from(path));
        r->query = arena_copy(arena, view_from(query));
    } else {
        error_set(err, ERROR_INPUT, "what is to be signed goes to no URL");
    }
    curl_free(host);
    curl_free(port);
    curl_free(path);
    curl_free(query);
    curl_url_cleanup(parts);
    return ok;
}

struct aws_signature aws_sign(struct arena *arena, const struct aws_credentials *c,
                              const struct aws_request *r, wall_time now)
{
    time_t seconds = (time_t)(now.ms / 1000);
    struct tm tm;
    char stamp[32];
    gmtime_r(&seconds, &tm);
    size_t len = strftime(stamp, sizeof(stamp), "%Y%m%dT%H%M%SZ", &tm);
    struct view date = arena_copy(arena, (struct view){stamp, len});
    struct view day = view_slice(date, 0, 8), names, secret = secret_reveal(&c->secret_key);
    struct view scope = arena_printf(arena, "%.*s/%.*s/%.*s/aws4_request", VIEW_ARGS(day),
                                     VIEW_ARGS(r->region), VIEW_ARGS(r->service));
    struct view request = hash(arena, canonical_request(arena, c, r, date, &names));
    struct view text = arena_printf(arena, "AWS4-HMAC-SHA256\n%.*s\n%.*s\n%.*s", VIEW_ARGS(date),
                                    VIEW_ARGS(scope), VIEW_ARGS(request));
    struct view start = arena_printf(arena, "AWS4%.*s", VIEW_ARGS(secret));
    struct digest key = hmac(start, day);
    explicit_bzero((void *)(uintptr_t)start.ptr, start.len); /* the arena's copy */
    key = hmac(view_of(&key), r->region);
    key = hmac(view_of(&key), r->service);
    key = hmac(view_of(&key), VIEW("aws4_request"));
    key = hmac(view_of(&key), text);
    struct view signature = hex(arena, &key);
    explicit_bzero(&key, sizeof key);
    return (struct aws_signature){
        .date = date,
        .authorization = arena_printf(
            arena, "AWS4-HMAC-SHA256 Credential=%.*s/%.*s, SignedHeaders=%.*s, Signature=%.*s",
            VIEW_ARGS(c->access_key), VIEW_ARGS(scope), VIEW_ARGS(names), VIEW_ARGS(signature))};
}
