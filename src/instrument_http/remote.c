/* SPDX-License-Identifier: Apache-2.0 */
/* remote.c: see remote.h. Redirects are not followed: metrics, and the secrets beside them, go where they were sent. */
#include "instrument_http/remote.h"

#include "instrument_http/credentials.h"
#include "instrument_http/fail.h"

#include <curl/curl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

enum { TIMEOUT_MS = 10 * 1000, RETRY_AFTER_S_MAX = 3600, HEADERS_MAX = 64 };

struct remote {
    CURL *easy;
    char *url;
    struct curl_slist *headers; /* of every request */
    long timeout_ms;
    _Atomic bool *canceled;
    struct remote_reply *reply; /* of the request that runs */
};

static void init_curl(void)
{
    (void)curl_global_init(CURL_GLOBAL_DEFAULT); /* curl_easy_init() fails after it did */
}

/* ---- options ---- */

static bool is_set(const char *text)
{
    return text && text[0];
}

static const char *url_fault(const char *url)
{
    if (!is_set(url))
        return "no url";
    if (strncasecmp(url, "http://", 7) != 0 && strncasecmp(url, "https://", 8) != 0)
        return "the url must begin with http:// or https://";
    for (const char *at = url; *at; at++)
        if ((unsigned char)*at <= 0x20 || *at == 0x7f)
            return "the url has a blank or control character";
    const char *host = strstr(url, "://") + 3;
    if (memchr(host, '@', strcspn(host, "/?#")))
        return "the url has a name or password: they have options of their own";
    return host[strcspn(host, "/?#")] == host[0] ? "the url has no host" : NULL;
}

static const char *options_fault(const belfry_remote *o)
{
    const char *fault = url_fault(o->url);
    if (!fault)
        fault = belfry__credentials_fault(o->bearer_token, o->username, o->password);
    if (!fault && is_set(o->bearer_token) && is_set(o->username))
        fault = "a token and a password at the same time";
    if (!fault && is_set(o->key_file) && !is_set(o->certificate_file))
        fault = "key_file needs certificate_file";
    if (!fault && o->header_count > HEADERS_MAX)
        fault = "more than 64 headers";
    for (size_t i = 0; !fault && i < o->header_count; i++) {
        const char *name = o->headers[i].name, *value = o->headers[i].value;
        if (!is_set(name) || strpbrk(name, ": \t\r\n") || !value || strpbrk(value, "\r\n"))
            fault = "a header's name or value is not one";
    }
    return fault;
}

static bool add_header(struct curl_slist **list, const char *name, const char *value)
{
    size_t len = strlen(name) + strlen(value) + 3;
    char *line = malloc(len);
    struct curl_slist *longer = NULL;
    if (line) {
        /* A value that is empty is sent as "Name;" */
        (void)snprintf(line, len, value[0] ? "%s: %s" : "%s;", name, value);
        longer = curl_slist_append(*list, line);
        explicit_bzero(line, len);
    }
    free(line);
    if (longer)
        *list = longer;
    return longer != NULL;
}

static bool add_headers(struct remote *r, const belfry_remote *o)
{
    char *bearer = NULL;
    size_t len = is_set(o->bearer_token) ? strlen(o->bearer_token) + 8 : 0;
    r->headers = curl_slist_append(NULL, "Expect:"); /* never sent: bodies go at once */
    bool ok = r->headers != NULL;
    if (len) {
        bearer = malloc(len);
        if (bearer)
            (void)snprintf(bearer, len, "Bearer %s", o->bearer_token);
        ok = ok && bearer && add_header(&r->headers, "Authorization", bearer);
        if (bearer)
            explicit_bzero(bearer, len);
        free(bearer);
    }
    for (size_t i = 0; ok && i < o->header_count; i++)
        ok = add_header(&r->headers, o->headers[i].name, o->headers[i].value);
    return ok;
}

/* ---- answers ---- */

static size_t on_body(char *bytes, size_t size, size_t count, void *arg)
{
    struct remote_reply *reply = ((struct remote *)arg)->reply;
    size_t room = sizeof reply->body - 1 - reply->body_bytes, len = size * count;
    len = len < room ? len : room;
    memcpy(reply->body + reply->body_bytes, bytes, len);
    reply->body_bytes += len;
    reply->body[reply->body_bytes] = '\0';
    return size * count; /* the rest is thrown away */
}

/* Seconds, or a date. */
static uint32_t retry_after_ms(const char *text)
{
    char *end;
    long seconds = strtol(text, &end, 10);
    if (end == text) {
        time_t when = curl_getdate(text, NULL);
        seconds = when > 0 ? (long)(when - time(NULL)) : 0;
    }
    if (seconds <= 0)
        return 0;
    return (uint32_t)(seconds < RETRY_AFTER_S_MAX ? seconds : RETRY_AFTER_S_MAX) * 1000;
}

static size_t on_header(char *bytes, size_t size, size_t count, void *arg)
{
    static const char NAME[] = "Retry-After:";
    size_t len = size * count;
    char text[64];
    if (len < sizeof NAME || strncasecmp(bytes, NAME, sizeof NAME - 1) != 0)
        return len;
    size_t value_len = len - (sizeof NAME - 1);
    value_len = value_len < sizeof text - 1 ? value_len : sizeof text - 1;
    memcpy(text, bytes + sizeof NAME - 1, value_len);
    text[value_len] = '\0';
    ((struct remote *)arg)->reply->retry_after_ms = retry_after_ms(text + strspn(text, " \t"));
    return len;
}

static int on_progress(void *arg, curl_off_t down_total, curl_off_t down, curl_off_t up_total,
                       curl_off_t up)
{
    (void)down_total;
    (void)down;
    (void)up_total;
    (void)up;
    return atomic_load_explicit(((struct remote *)arg)->canceled, memory_order_relaxed);
}

/* ---- a remote ---- */

/* Options that can only fail without memory. */
static bool set_options(struct remote *r, const belfry_remote *o)
{
    CURL *c = r->easy;
    bool ok = curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https") == CURLE_OK &&
              curl_easy_setopt(c, CURLOPT_USERAGENT, "libbelfry-http/" BELFRY_VERSION) == CURLE_OK;
    if (is_set(o->username))
        ok = ok && curl_easy_setopt(c, CURLOPT_USERNAME, o->username) == CURLE_OK &&
             curl_easy_setopt(c, CURLOPT_PASSWORD, o->password) == CURLE_OK &&
             curl_easy_setopt(c, CURLOPT_HTTPAUTH, (long)CURLAUTH_BASIC) == CURLE_OK;
    if (is_set(o->ca_file))
        ok = ok && curl_easy_setopt(c, CURLOPT_CAINFO, o->ca_file) == CURLE_OK;
    if (is_set(o->certificate_file))
        ok = ok && curl_easy_setopt(c, CURLOPT_SSLCERT, o->certificate_file) == CURLE_OK;
    if (is_set(o->key_file))
        ok = ok && curl_easy_setopt(c, CURLOPT_SSLKEY, o->key_file) == CURLE_OK;
    if (r->canceled)
        ok = ok && curl_easy_setopt(c, CURLOPT_NOPROGRESS, 0L) == CURLE_OK &&
             curl_easy_setopt(c, CURLOPT_XFERINFOFUNCTION, on_progress) == CURLE_OK &&
             curl_easy_setopt(c, CURLOPT_XFERINFODATA, r) == CURLE_OK;
    return ok && curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L) == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_body) == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_WRITEDATA, r) == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_HEADERFUNCTION, on_header) == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_HEADERDATA, r) == CURLE_OK;
}

belfry_status belfry__remote_new(struct remote **out, const belfry_remote *o,
                                 _Atomic bool *canceled, belfry_http_error *error)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    *out = NULL;
    const char *fault = options_fault(o);
    if (fault)
        return belfry__http_fail(error, BELFRY_ERROR_FORMAT, "%s", fault);
    (void)pthread_once(&once, init_curl); /* fails for a bad pointer only */
    struct remote *r = calloc(1, sizeof *r);
    if (!r)
        return belfry__http_fail_memory(error);
    r->canceled = canceled;
    r->timeout_ms = o->timeout_ms ? (long)o->timeout_ms : TIMEOUT_MS;
    r->url = strdup(o->url);
    r->easy = curl_easy_init();
    if (!r->url || !r->easy || !set_options(r, o) || !add_headers(r, o)) {
        belfry__remote_free(r);
        return belfry__http_fail_memory(error);
    }
    *out = r;
    return BELFRY_OK;
}

void belfry__remote_free(struct remote *r)
{
    if (!r)
        return;
    curl_slist_free_all(r->headers);
    curl_easy_cleanup(r->easy);
    free(r->url);
    free(r);
}

const char *belfry__remote_url(const struct remote *r)
{
    return r->url;
}

/* TLS may write to a connection that is gone: the signal must not reach the program. */
static CURLcode perform(CURL *easy)
{
    sigset_t pipe, before, pending;
    const struct timespec at_once = {0};
    sigemptyset(&pipe);
    sigaddset(&pipe, SIGPIPE);
    sigpending(&pending);
    bool was_pending = sigismember(&pending, SIGPIPE) == 1;
    bool blocked = pthread_sigmask(SIG_BLOCK, &pipe, &before) == 0;
    CURLcode code = curl_easy_perform(easy);
    if (blocked) {
        if (!was_pending)
            (void)sigtimedwait(&pipe, NULL, &at_once);     /* usually there is none */
        (void)pthread_sigmask(SIG_SETMASK, &before, NULL); /* what it was */
    }
    return code;
}

/* The remote's headers, then the request's; NULL without memory. */
static struct curl_slist *all_headers(const struct remote *r, const struct remote_request *request)
{
    struct curl_slist *all = NULL;
    for (const struct curl_slist *at = r->headers; at; at = at->next) {
        struct curl_slist *longer = curl_slist_append(all, at->data);
        if (!longer) {
            curl_slist_free_all(all);
            return NULL;
        }
        all = longer;
    }
    for (size_t i = 0; i < request->header_count; i++) {
        struct curl_slist *longer = curl_slist_append(all, request->headers[i]);
        if (!longer) {
            curl_slist_free_all(all);
            return NULL;
        }
        all = longer;
    }
    return all;
}

void belfry__remote_send(struct remote *r, const struct remote_request *request, int64_t timeout_ms,
                         struct remote_reply *reply)
{
    char detail[CURL_ERROR_SIZE] = "";
    long limit_ms = timeout_ms > 0 && timeout_ms < r->timeout_ms ? (long)timeout_ms : r->timeout_ms;
    struct curl_slist *headers = all_headers(r, request);
    *reply = (struct remote_reply){0};
    r->reply = reply;
    CURL *c = r->easy;
    bool ok = headers &&
              curl_easy_setopt(c, CURLOPT_URL, request->url ? request->url : r->url) == CURLE_OK &&
              curl_easy_setopt(c, CURLOPT_CUSTOMREQUEST, request->method) == CURLE_OK &&
              curl_easy_setopt(c, CURLOPT_HTTPHEADER, headers) == CURLE_OK &&
              curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, limit_ms) == CURLE_OK &&
              curl_easy_setopt(c, CURLOPT_ERRORBUFFER, detail) == CURLE_OK;
    if (ok && request->body)
        ok = curl_easy_setopt(c, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body_bytes) ==
                 CURLE_OK &&
             curl_easy_setopt(c, CURLOPT_POSTFIELDS, request->body) == CURLE_OK;
    else if (ok)
        ok = curl_easy_setopt(c, CURLOPT_HTTPGET, 1L) == CURLE_OK; /* no body; the method stays */
    CURLcode code = ok ? perform(c) : CURLE_OUT_OF_MEMORY;
    long status = 0;
    if (code == CURLE_OK)
        (void)curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, &status); /* 0 when it cannot */
    else
        (void)snprintf(reply->trouble, sizeof reply->trouble, "%s", /* cut is fine */
                       detail[0] ? detail : curl_easy_strerror(code));
    reply->status = (int)status;
    (void)curl_easy_setopt(c, CURLOPT_HTTPHEADER, NULL); /* they are freed now */
    (void)curl_easy_setopt(c, CURLOPT_ERRORBUFFER, NULL);
    curl_slist_free_all(headers);
    r->reply = NULL;
}
