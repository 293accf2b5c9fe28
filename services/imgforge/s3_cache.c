/* SPDX-License-Identifier: Apache-2.0 */
/* s3_cache.c: see s3_cache.h. libcurl signs, sends, and keeps one connection with each of its handles. Names are resolved beside it
 * (resolved_host.h): its own resolver cannot be left before it answers. */
#include "s3_cache.h"

#include "base/mem.h"
#include "cache_entry.h"
#include "cache_url.h"
#include "resolved_host.h"
#include "turns.h"

#include <curl/curl.h>
#include <gnutls/crypto.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>

enum { CONNECTIONS_MAX = 1024, ERROR_BODY_BYTES_MAX = 64 << 10 };

struct s3_cache {
    struct remote_cache remote; /* first */

    /* constant after opening; strings are the arena's */
    struct arena arena;
    const char *base;    /* ENDPOINT/BUCKET/PREFIX, prefix with "/" at its end or empty */
    const char *server;  /* host:port: in messages */
    const char *signing; /* aws:amz:REGION:s3 */
    const char *access_key, *ca;
    struct secret secret_key, session_token;
    int64_t timeout_ms;
    struct cache_url endpoint;

    struct resolved_host *addresses;
    struct turns turns; /* leave CURL handles */
};

/* --- one request --- */

struct exchange {
    struct view sent;   /* of PUT; empty = GET */
    struct buffer body; /* of the answer */
    long status;
    struct curl_slist *headers, *resolved;
    char detail[CURL_ERROR_SIZE];
};

static size_t on_body(char *bytes, size_t size, size_t count, void *arg)
{
    struct buffer *body = arg;
    buffer_append(body, bytes, size * count);
    return body->failed ? 0 : size * count;
}

static bool header_add(struct exchange *x, const char *line)
{
    struct curl_slist *list = curl_slist_append(x->headers, line);
    x->headers = list ? list : x->headers;
    return list != NULL;
}

/* "host:port:address,address": libcurl asks no resolver then. An address of IPv6 needs none, and cannot be the host there. */
static bool resolved_add(const struct s3_cache *s, struct exchange *x, mono_time deadline,
                         struct error *err)
{
    struct resolved_address addresses[RESOLVED_ADDRESSES_MAX];
    size_t count;
    struct buffer line;
    if (strchr(s->endpoint.host, ':'))
        return true;
    if (!resolved_host_get(s->addresses, deadline, addresses, &count, err))
        return false;
    buffer_init(&line, MEM_OTHER, 8192);
    buffer_printf(&line, "%s:%lld:", s->endpoint.host, (long long)s->endpoint.port);
    for (size_t i = 0; i < count; i++) {
        char text[NI_MAXHOST] = "";
        bool is_v6 = addresses[i].address.ss_family == AF_INET6;
        (void)getnameinfo((const struct sockaddr *)&addresses[i].address, addresses[i].bytes, text,
                          sizeof(text), NULL, 0, NI_NUMERICHOST); /* cannot fail with a number */
        buffer_printf(&line, "%s%s%s%s", i ? "," : "", is_v6 ? "[" : "", text, is_v6 ? "]" : "");
    }
    buffer_append_byte(&line, '\0');
    x->resolved = curl_slist_append(NULL, line.ptr);
    buffer_deinit(&line);
    return x->resolved ? true : error_set(err, ERROR_UNAVAILABLE, "no memory for a request");
}

/* S3 wants the digest of the body in a header of its own, which libcurl signs, but does not make. */
static bool digest_add(struct exchange *x)
{
    unsigned char digest[32];
    char line[128] = "X-Amz-Content-Sha256: ";
    size_t at = strlen(line);
    if (gnutls_hash_fast(GNUTLS_DIG_SHA256, x->sent.len ? x->sent.ptr : "", x->sent.len, digest) !=
        0)
        return false;
    for (size_t i = 0; i < sizeof(digest); i++, at += 2)
        (void)snprintf(line + at, sizeof(line) - at, "%02x", digest[i]);
    return header_add(x, line);
}

static bool headers_add(const struct s3_cache *s, struct exchange *x)
{
    bool ok = digest_add(x);
    if (x->sent.len)
        ok = ok && header_add(x, "Content-Type: application/octet-stream");
    if (ok && secret_is_set(&s->session_token)) {
        struct buffer line;
        buffer_init(&line, MEM_OTHER, 64 << 10);
        buffer_printf(&line, "X-Amz-Security-Token: %.*s",
                      VIEW_ARGS(secret_reveal(&s->session_token)));
        buffer_append_byte(&line, '\0');
        ok = !line.failed && header_add(x, line.ptr);
        buffer_deinit(&line);
    }
    return ok;
}

static void handle_prepare(const struct s3_cache *s, CURL *curl, struct exchange *x,
                           const char *name, int64_t left_ms)
{
    char url[2048];
    (void)snprintf(url, sizeof(url), "%s%s", s->base, name); /* fits: the base was measured */
    curl_easy_reset(curl);                                   /* keeps the connection */
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_PROXY, ""); /* the environment's are for sources */
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)left_ms);
    curl_easy_setopt(curl, CURLOPT_MAXCONNECTS, 1L);
    curl_easy_setopt(curl, CURLOPT_TCP_NODELAY, 1L);
    curl_easy_setopt(curl, CURLOPT_RESOLVE, x->resolved);
    curl_easy_setopt(curl, CURLOPT_USERAGENT, "belfry-imgforge/" BELFRY_VERSION);
    curl_easy_setopt(curl, CURLOPT_AWS_SIGV4, s->signing);
    curl_easy_setopt(curl, CURLOPT_USERNAME, s->access_key);
    curl_easy_setopt(curl, CURLOPT_PASSWORD, secret_reveal(&s->secret_key).ptr);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, x->headers);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, x->detail);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, &x->body);
    if (s->ca)
        curl_easy_setopt(curl, CURLOPT_CAINFO, s->ca);
    if (x->sent.len) { /* not CURLOPT_UPLOAD: libcurl signs only what it has as a whole */
        curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, "PUT");
        /* Above 1 MiB it waits for a "100 Continue", which not all send. (A header "Expect:", which stops that, would be signed and
         * not sent: libcurl 7.88.) */
        curl_easy_setopt(curl, CURLOPT_EXPECT_100_TIMEOUT_MS, 100L);
        curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)x->sent.len);
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, x->sent.ptr);
    }
}

static bool perform(const struct s3_cache *s, CURL *curl, struct exchange *x, const char *name,
                    mono_time deadline, struct error *err)
{
    if (!resolved_add(s, x, deadline, err))
        return false;
    int64_t left_ms = (deadline.ns - clock_mono().ns) / 1000000;
    if (left_ms <= 0)
        return error_set(err, ERROR_TIMEOUT, "it did not answer in time");
    if (!headers_add(s, x))
        return error_set(err, ERROR_UNAVAILABLE, "no memory for a request");
    handle_prepare(s, curl, x, name, left_ms);
    CURLcode code = curl_easy_perform(curl);
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &x->status);
    if (code == CURLE_OK)
        return true;
    if (x->body.failed)
        return error_set(err, ERROR_TOO_LARGE, "an answer of more than %zu bytes",
                         x->body.bytes_max);
    return error_set(err, code == CURLE_OPERATION_TIMEDOUT ? ERROR_TIMEOUT : ERROR_UNAVAILABLE,
                     "%s", *x->detail ? x->detail : curl_easy_strerror(code));
}

/* --- answers --- */

/* What is between <Code> and </Code>; "" when there is no such thing. Nothing else of an error is shown: it may hold what was signed. */
static struct view error_code(const struct exchange *x)
{
    static const char BEGIN[] = "<Code>";
    const char *begin = x->body.len ? memmem(x->body.ptr, x->body.len, BEGIN, 6) : NULL;
    if (!begin)
        return VIEW("");
    begin += 6;
    size_t left = (size_t)(x->body.ptr + x->body.len - begin), len = 0;
    while (len < left && len < 64 &&
           ((begin[len] >= 'A' && begin[len] <= 'Z') || (begin[len] >= 'a' && begin[len] <= 'z')))
        len++;
    return (struct view){begin, len};
}

enum answer { ANSWER_DONE, ANSWER_ABSENT, ANSWER_DENIED, ANSWER_REFUSED, ANSWER_FAILED };

static enum answer judge(const struct exchange *x, struct error *err)
{
    struct view code = error_code(x);
    if (x->status >= 200 && x->status < 300)
        return ANSWER_DONE;
    (void)error_set(err, ERROR_UNAVAILABLE, "it answered %ld%s%.*s", x->status, code.len ? " " : "",
                    VIEW_ARGS(code));
    if (x->status == 404 && !view_is(code, "NoSuchBucket"))
        return ANSWER_ABSENT;
    if (x->status == 403 && view_is(code, "AccessDenied"))
        return ANSWER_DENIED;
    if (x->status == 400 || x->status == 412 || x->status == 413)
        return ANSWER_REFUSED;
    return ANSWER_FAILED;
}

/* Sends x, whose body is initialised and the caller's to free. */
static enum answer ask(struct s3_cache *s, struct exchange *x, const char *name,
                       enum remote_outcome *outcome, struct error *err)
{
    mono_time deadline = mono_add_ms(clock_mono(), s->timeout_ms);
    enum answer answer = ANSWER_FAILED;
    void *curl;
    *outcome = REMOTE_FAILED;
    if (!turns_take(&s->turns, deadline, &curl)) {
        *outcome = REMOTE_BUSY;
        (void)error_set(err, ERROR_BUSY, "all connections were in use for %lld ms",
                        (long long)s->timeout_ms);
    } else {
        curl = curl ? curl : curl_easy_init();
        if (!curl)
            (void)error_set(err, ERROR_UNAVAILABLE, "no memory for a request");
        else if (perform(s, curl, x, name, deadline, err))
            answer = judge(x, err);
        else if (err->kind == ERROR_TOO_LARGE)
            answer = ANSWER_REFUSED;
        turns_give_back(&s->turns, curl);
    }
    curl_slist_free_all(x->headers);
    curl_slist_free_all(x->resolved);
    if (answer != ANSWER_DONE)
        (void)error_wrap(err, "%s", s->server);
    if (*outcome != REMOTE_BUSY)
        *outcome = answer == ANSWER_DONE     ? REMOTE_DONE
                   : answer == ANSWER_FAILED ? REMOTE_FAILED
                                             : REMOTE_REFUSED;
    return answer;
}

static void exchange_init(struct exchange *x, size_t bytes_max)
{
    *x = (struct exchange){0};
    buffer_init(&x->body, MEM_OTHER, bytes_max);
}

static bool is_missing(enum answer answer)
{
    return answer == ANSWER_ABSENT || answer == ANSWER_DENIED;
}

static enum remote_outcome s3_get(struct remote_cache *r, const struct image_key *key,
                                  struct cached_image **image, struct error *err)
{
    char name[IMAGE_KEY_DIGITS + 1];
    enum remote_outcome outcome;
    struct exchange x;
    image_key_format(key, name);
    exchange_init(&x, REMOTE_ENTRY_BYTES_MAX);
    enum answer answer = ask((struct s3_cache *)r, &x, name, &outcome, err);
    *image = NULL;
    if (is_missing(answer))
        outcome = REMOTE_DONE;
    if (answer == ANSWER_DONE && !cache_entry_decode(key, buffer_view(&x.body), image)) {
        (void)error_set(err, ERROR_CORRUPT, "an object is torn");
        outcome = REMOTE_REFUSED;
    }
    buffer_deinit(&x.body);
    return outcome;
}

static enum remote_outcome s3_put(struct remote_cache *r, const struct image_key *key,
                                  const struct cached_image *image, struct error *err)
{
    char name[IMAGE_KEY_DIGITS + 1];
    enum remote_outcome outcome = REMOTE_REFUSED;
    struct exchange x;
    struct buffer entry;
    image_key_format(key, name);
    exchange_init(&x, ERROR_BODY_BYTES_MAX);
    buffer_init(&entry, MEM_OTHER, REMOTE_ENTRY_BYTES_MAX);
    cache_entry_encode(&entry, key, image);
    x.sent = buffer_view(&entry);
    if (entry.failed)
        (void)error_set(err, ERROR_TOO_LARGE, "a result of %zu bytes is too large for the cache",
                        image->bytes.len);
    else
        (void)ask((struct s3_cache *)r, &x, name, &outcome, err);
    buffer_deinit(&entry);
    buffer_deinit(&x.body);
    return outcome;
}

/* That an object which never is there is not there, says that bucket and keys are right. */
static enum remote_outcome s3_check(struct remote_cache *r, struct error *err)
{
    enum remote_outcome outcome;
    struct exchange x;
    exchange_init(&x, ERROR_BODY_BYTES_MAX);
    enum answer answer = ask((struct s3_cache *)r, &x, "ready", &outcome, err);
    buffer_deinit(&x.body);
    return is_missing(answer) ? REMOTE_DONE : outcome;
}

static void s3_close(struct remote_cache *r)
{
    struct s3_cache *s = (struct s3_cache *)r;
    CURL *curl;
    while ((curl = turns_take_idle(&s->turns)))
        curl_easy_cleanup(curl);
    turns_deinit(&s->turns);
    resolved_host_close(s->addresses);
    arena_deinit(&s->arena);
    mem_free(MEM_OTHER, s);
}

/* --- settings --- */

/* The URL's own, else the setting; NULL: neither. */
static const char *chosen(const char *of_url, const char *setting)
{
    if (of_url && *of_url)
        return of_url;
    return setting && *setting ? setting : NULL;
}

static struct secret secret_copy(struct arena *arena, const struct secret *secret)
{
    return secret_from(arena_copy(arena, secret_reveal(secret)));
}

/* What needs no escape in a path, so that all sides sign the same. */
static bool is_plain(const char *text)
{
    return text[strspn(
               text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._/")] == '\0';
}

static bool endpoint_take(struct s3_cache *s, const char *text, const char *bucket,
                          const char *prefix, struct error *err)
{
    static const char *const NONE[] = {NULL};
    struct cache_url *e = &s->endpoint;
    if (!cache_url_parse(e, &s->arena, text, NONE, err))
        return error_wrap(err, "the endpoint of S3");
    bool is_tls = strcmp(e->scheme, "https") == 0;
    size_t path_len = e->path ? strlen(e->path) : 0;
    if (!is_tls && strcmp(e->scheme, "http") != 0)
        return error_set(err, ERROR_INPUT, "the endpoint of S3 is neither http nor https");
    if (!e->host || !*e->host || e->user || secret_is_set(&e->password) || path_len > 1)
        return error_set(err, ERROR_INPUT, "the endpoint of S3 is not just a scheme and a host");
    const char *port = e->port ? arena_printf(&s->arena, ":%lld", (long long)e->port).ptr : "";
    bool is_v6 = strchr(e->host, ':') != NULL;
    e->port = e->port ? e->port : is_tls ? 443 : 80;
    s->server = arena_printf(&s->arena, "%s:%lld", e->host, (long long)e->port).ptr;
    struct view base = arena_printf(&s->arena, "%s://%s%s%s%s/%s/%s%s", e->scheme, is_v6 ? "[" : "",
                                    e->host, is_v6 ? "]" : "", port, bucket, prefix,
                                    *prefix && prefix[strlen(prefix) - 1] != '/' ? "/" : "");
    s->base = base.ptr;
    return base.len < 1024 || error_set(err, ERROR_INPUT,
                                        "endpoint, bucket and prefix of S3 are "
                                        "longer than 1024 bytes together");
}

static bool settings_take(struct s3_cache *s, const char *url, const struct s3_settings *settings,
                          size_t *connections, struct error *err)
{
    static const char *const PARAMETERS[] = {"endpoint",    "region", "timeout_ms",
                                             "connections", "ca",     NULL};
    struct cache_url u = {0};
    int64_t count;
    if (url && *url && !cache_url_parse(&u, &s->arena, url, PARAMETERS, err))
        return false;
    if (u.scheme && strcmp(u.scheme, "s3") != 0)
        return error_set(err, ERROR_INPUT, "its scheme is not s3");
    if (u.user || secret_is_set(&u.password) || u.port)
        return error_set(err, ERROR_INPUT,
                         "it has more than a bucket before its path; keys are "
                         "S3_ACCESS_KEY and S3_SECRET_KEY");
    const char *bucket = chosen(u.host, settings->bucket);
    const char *region = chosen(cache_url_text(&u, "region"), settings->region);
    const char *endpoint = chosen(cache_url_text(&u, "endpoint"), settings->endpoint);
    const char *prefix = u.path ? u.path + strspn(u.path, "/") : "";
    region = region ? region : "us-east-1";
    if (!bucket)
        return error_set(err, ERROR_INPUT, "it has no bucket, nor has S3_BUCKET");
    if (!is_plain(bucket) || strchr(bucket, '/') || !is_plain(region) || !is_plain(prefix))
        return error_set(err, ERROR_INPUT,
                         "bucket, region and prefix of S3 may have letters, "
                         "digits, \"-\", \".\" and \"_\" only");
    if (!settings->access_key || !*settings->access_key || !secret_is_set(&settings->secret_key))
        return error_set(err, ERROR_INPUT, "S3_ACCESS_KEY and S3_SECRET_KEY must be set");
    if (!endpoint)
        endpoint = arena_printf(&s->arena, "https://s3.%s.amazonaws.com", region).ptr;
    s->signing = arena_printf(&s->arena, "aws:amz:%s:s3", region).ptr;
    s->access_key = arena_copy(&s->arena, view_from(settings->access_key)).ptr;
    s->secret_key = secret_copy(&s->arena, &settings->secret_key);
    s->session_token = secret_copy(&s->arena, &settings->session_token);
    s->ca = cache_url_text(&u, "ca");
    if (!endpoint_take(s, endpoint, bucket, prefix, err) ||
        !cache_url_number(&u, "timeout_ms", 10, 30000, S3_TIMEOUT_MS, &s->timeout_ms, err) ||
        !cache_url_number(&u, "connections", 1, CONNECTIONS_MAX, S3_CONNECTIONS, &count, err))
        return false;
    *connections = (size_t)count;
    return true;
}

bool s3_cache_open(struct remote_cache **out, const char *url, const struct s3_settings *settings,
                   struct error *err)
{
    static const struct remote_operations OPERATIONS = {s3_get, s3_put, s3_check, s3_close};
    struct s3_cache *s = mem_alloc_zero(MEM_OTHER, 1, sizeof(*s));
    size_t connections = 1;
    s->remote.operations = &OPERATIONS;
    arena_init(&s->arena, MEM_OTHER, 0);
    bool ok = settings_take(s, url, settings, &connections, err);
    turns_init(&s->turns, connections);
    if (ok && out)
        ok = resolved_host_open(&s->addresses, s->endpoint.host, (uint16_t)s->endpoint.port, err);
    if (ok && out)
        *out = &s->remote;
    else
        s3_close(&s->remote);
    return ok;
}
