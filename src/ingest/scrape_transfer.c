/* SPDX-License-Identifier: Apache-2.0 */
/* scrape_transfer.c: one HTTP request for a target's metrics, with those that it takes to get there: for a token,
 * along redirects (client.h).
 *
 * A transfer's easy handle is lent: everything is set for each request, nothing stays from the one before. */
#include "ingest/scrape_private.h"

#include "base/mem.h"
#include "ingest/scrape_negotiate.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

enum {
    RECEIVE_BUFFER_BYTES = 64 * 1024,
    ERROR_BODY_BYTES_MAX =
        64 * 1024 /* of an answer that is no 200: read, so that the connection lives */
};

#define CURL_NEVER_FAILS(call) ((void)(call)) /* options that only fail without memory or unknown */

/* ---- what comes in ---- */

static size_t stop(struct scrape_transfer *t, enum scrape_failure kind)
{
    t->stopped = true;
    t->kind = kind;
    return 0; /* not the number of bytes given: libcurl ends the transfer */
}

static struct view trim(struct view v)
{
    while (v.len && (v.ptr[0] == ' ' || v.ptr[0] == '\t'))
        v = view_slice(v, 1, v.len);
    while (v.len && strchr(" \t\r\n", v.ptr[v.len - 1]))
        v.len--;
    return v;
}

/* The value when the line is this header. */
static bool header_is(struct view line, const char *name, struct view *value)
{
    size_t len = strlen(name);
    if (line.len <= len || line.ptr[len] != ':' || strncasecmp(line.ptr, name, len) != 0)
        return false;
    *value = trim(view_slice(line, len + 1, line.len));
    return true;
}

static void answer_begin(struct scrape_transfer *t, struct view status_line)
{
    t->has_length = t->has_transfer_encoding = t->gzip = t->bad_encoding = false;
    t->content_type = VIEW("");
    t->encoding_text[0] = 0;
    struct view status = trim(status_line);
    const char *blank = memchr(status.ptr, ' ', status.len);
    if (blank)
        status = view_slice(status, (size_t)(blank - status.ptr) + 1, status.len);
    snprintf(t->status_text, sizeof t->status_text, "%.*s",
             (int)(status.len < 100 ? status.len : 100), status.ptr);
}

/* False when the header makes the answer one that must not be read. */
static bool take_header(struct scrape_transfer *t, struct view line, struct error *err)
{
    struct view value;
    if (view_has_prefix(line, VIEW("HTTP/"))) {
        answer_begin(t, line);
    } else if (header_is(line, "Content-Length", &value)) {
        if (t->has_length)
            return error_set(err, ERROR_INPUT, "answer has two Content-Length headers");
        t->has_length = true;
    } else if (header_is(line, "Transfer-Encoding", &value)) {
        t->has_transfer_encoding = true;
    } else if (header_is(line, "Content-Type", &value)) {
        size_t len =
            value.len < sizeof t->content_type_text ? value.len : sizeof t->content_type_text;
        memcpy(t->content_type_text, value.ptr, len);
        t->content_type = (struct view){t->content_type_text, len};
    } else if (header_is(line, "Content-Encoding", &value)) {
        snprintf(t->encoding_text, sizeof t->encoding_text, "%.*s",
                 (int)(value.len < 60 ? value.len : 60), value.ptr);
        t->gzip = strcasecmp(t->encoding_text, "gzip") == 0 ||
                  strcasecmp(t->encoding_text, "x-gzip") == 0;
        t->bad_encoding = !t->gzip && value.len && strcasecmp(t->encoding_text, "identity") != 0;
    }
    if (t->has_length && t->has_transfer_encoding)
        return error_set(err, ERROR_INPUT, "answer has Content-Length beside Transfer-Encoding");
    return true;
}

static void header_too_long(struct error *err)
{
    error_set(err, ERROR_TOO_LARGE, "answer has a header of more than %d bytes",
              SCRAPE_HEADER_LINE_BYTES_MAX);
}

static size_t on_header(char *bytes, size_t size, size_t count, void *arg)
{
    struct scrape_transfer *t = arg;
    struct view line = {bytes, size * count};
    t->header_bytes += line.len;
    t->header_count++;
    if (line.len > SCRAPE_HEADER_LINE_BYTES_MAX)
        header_too_long(&t->err);
    else if (t->header_bytes > SCRAPE_HEADER_BYTES_MAX)
        error_set(&t->err, ERROR_TOO_LARGE, "answer has more than %d bytes of headers",
                  SCRAPE_HEADER_BYTES_MAX);
    else if (t->header_count > SCRAPE_HEADER_COUNT_MAX)
        error_set(&t->err, ERROR_TOO_LARGE, "answer has more than %d headers",
                  SCRAPE_HEADER_COUNT_MAX);
    else if (take_header(t, line, &t->err))
        return line.len;
    return stop(t, SCRAPE_FAILURE_PROTOCOL);
}

static uint64_t body_bytes_max(const struct scrape_transfer *t)
{
    int64_t limit = t->target->job->body_size_limit_bytes;
    return limit > 0 ? (uint64_t)limit : SCRAPE_BODY_BYTES_MAX;
}

/* The first bytes of a body that is wanted. */
static bool body_begin(struct scrape_transfer *t)
{
    curl_off_t length = -1;
    if (t->bad_encoding) {
        error_set(&t->err, ERROR_INPUT, "unsupported encoding \"%s\", expected gzip or identity",
                  t->encoding_text);
        return stop(t, SCRAPE_FAILURE_PROTOCOL);
    }
    scrape_body_begin(&t->decoder, &t->body, t->gzip, body_bytes_max(t));
    t->body_begun = true;
    CURL_NEVER_FAILS(curl_easy_getinfo(t->easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length));
    size_t expected = t->scrape->body_bytes + t->scrape->body_bytes / 16;
    if (!t->gzip && length > 0)
        expected = (size_t)length;
    /* A claim of gigabytes is not believed before they come. */
    if (expected > 0 && expected < (size_t)4 << 20)
        (void)buffer_reserve(&t->body, expected); /* a failure shows when it is appended to */
    return true;
}

static size_t on_body(char *bytes, size_t size, size_t count, void *arg)
{
    struct scrape_transfer *t = arg;
    long status = 0;
    size_t len = size * count;
    if (!t->body_begun) {
        CURL_NEVER_FAILS(curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &status));
        if (status != 200) {
            t->error_bytes += len;
            return t->error_bytes <= ERROR_BODY_BYTES_MAX ? len : 0;
        }
        if (!body_begin(t))
            return 0;
    }
    if (scrape_body_add(&t->decoder, (struct view){bytes, len}, &t->err))
        return len;
    return stop(t, t->err.kind == ERROR_TOO_LARGE ? SCRAPE_FAILURE_TOO_LARGE
                                                  : SCRAPE_FAILURE_PROTOCOL);
}

/* ---- a request ---- */

static void set_fixed(struct scrape_transfer *t)
{
    CURL *easy = t->easy;
    CURL_NEVER_FAILS(curl_easy_setopt(easy, CURLOPT_PRIVATE, t));
    CURL_NEVER_FAILS(curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, t->curl_error));
    CURL_NEVER_FAILS(curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L));
    /* A name server that hangs: leave the lookup behind instead of waiting for it beyond the timeout, with all
     * targets of this thread. */
    CURL_NEVER_FAILS(curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L));
    CURL_NEVER_FAILS(curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, (long)RECEIVE_BUFFER_BYTES));
    CURL_NEVER_FAILS(curl_easy_setopt(easy, CURLOPT_USERAGENT, "Belfry/" BELFRY_VERSION));
    CURL_NEVER_FAILS(curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header));
    CURL_NEVER_FAILS(curl_easy_setopt(easy, CURLOPT_HEADERDATA, t));
    CURL_NEVER_FAILS(curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body));
    CURL_NEVER_FAILS(curl_easy_setopt(easy, CURLOPT_WRITEDATA, t));
}

static bool add_accept(struct scrape_transfer *t, struct error *err)
{
    struct buffer accept;
    buffer_init(&accept, MEM_SCRAPE, 1024);
    scrape_accept(&accept, t->target->job);
    bool ok = client_header(&t->client, err, "Accept: %.*s", VIEW_ARGS(buffer_view(&accept)));
    buffer_deinit(&accept);
    return ok;
}

/* Everything for a request to `url`. */
static bool request(struct scrape_transfer *t, const char *url, struct error *err)
{
    const struct config_scrape_job *job = t->target->job;
    int64_t left_ms = t->target->timeout_ms - mono_ms_since(t->start);
    if (left_ms <= 0)
        return error_set(err, ERROR_TIMEOUT, "timed out after %" PRId64 " ms",
                         t->target->timeout_ms);
    curl_easy_reset(t->easy);
    client_reset(&t->client);
    t->curl_error[0] = 0;
    t->header_bytes = t->header_count = t->error_bytes = 0;
    t->body_begun = false;
    set_fixed(t);
    CURL_NEVER_FAILS(curl_easy_setopt(t->easy, CURLOPT_TIMEOUT_MS, (long)left_ms));
    return add_accept(t, err) &&
           client_header(&t->client, err, "Accept-Encoding: %s",
                         job->enable_compression ? "gzip" : "identity") &&
           client_header(&t->client, err, "X-Prometheus-Scrape-Timeout-Seconds: %.*g", 6,
                         (double)t->target->timeout_ms / 1000) &&
           client_prepare(&t->client, &job->http, url, t->scrape->tokens, err);
}

bool scrape_transfer_begin(struct scrape_transfer *t, struct scrape *s, struct error *err)
{
    t->scrape = s;
    t->target = target_ref(s->target);
    t->stopped = false;
    return request(t, t->target->url.ptr, err);
}

/* ---- what follows a request ---- */

/* True when the handle is ready for the next request: a token has come, or a redirect is followed. Else *failed says
 * whether that is an error. */
static bool follow(struct scrape_transfer *t, long status, bool *failed, struct error *err)
{
    const struct config_http_client *http = &t->target->job->http;
    char *to = NULL;
    bool ok;
    if (t->client.asks_token) {
        ok = client_take_token(&t->client, t->scrape->tokens, status, err) &&
             request(t, t->redirect ? t->redirect : t->target->url.ptr, err);
    } else {
        ok = client_redirect(&t->client, http, t->target->url.ptr, status, &to, err);
        if (ok && !to) {
            *failed = false;
            return false;
        }
        mem_free(MEM_SCRAPE, t->redirect);
        t->redirect = to;
        ok = ok && request(t, to, err);
    }
    *failed = !ok;
    return ok;
}

/* ---- the end of a request ---- */

static void fail(struct scrape_outcome *o, enum scrape_failure kind)
{
    o->failed = true;
    o->kind = kind;
}

static void fail_curl(const struct scrape_transfer *t, CURLcode code, struct scrape_outcome *o)
{
    const char *words = *t->curl_error ? t->curl_error : curl_easy_strerror(code);
    if (code == CURLE_OPERATION_TIMEDOUT) {
        error_set(&o->err, ERROR_TIMEOUT, "timed out after %" PRId64 " ms: %s",
                  t->target->timeout_ms, words);
        fail(o, SCRAPE_FAILURE_TIMEOUT);
    } else if (code == CURLE_OUT_OF_MEMORY && t->header_count && !t->body_begun) {
        /* libcurl's word for a header that is longer than it takes (100 KiB), which is never passed on. */
        header_too_long(&o->err);
        fail(o, SCRAPE_FAILURE_PROTOCOL);
    } else {
        error_set(&o->err, ERROR_UNAVAILABLE, "%s", words);
        fail(o, SCRAPE_FAILURE_CONNECT);
    }
}

bool scrape_transfer_end(struct scrape_transfer *t, CURLcode code, struct scrape_outcome *o)
{
    long status = 0;
    bool follow_failed = false;
    struct error err;
    CURL_NEVER_FAILS(curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &status));
    if (!t->stopped && code == CURLE_OK && follow(t, status, &follow_failed, &err))
        return true;
    if (t->stopped) {
        o->err = t->err;
        fail(o, t->kind);
        if (t->kind == SCRAPE_FAILURE_TOO_LARGE)
            o->body_bytes = -1;
    } else if (follow_failed) {
        o->err = err;
        fail(o, err.kind == ERROR_TIMEOUT ? SCRAPE_FAILURE_TIMEOUT : SCRAPE_FAILURE_PROTOCOL);
    } else if (code != CURLE_OK && !(code == CURLE_WRITE_ERROR && t->error_bytes)) {
        fail_curl(t, code, o);
    } else if (status != 200) {
        error_set(&o->err, ERROR_UNAVAILABLE, "server returned HTTP status %s", t->status_text);
        fail(o, SCRAPE_FAILURE_STATUS);
    } else if (t->body_begun && !scrape_body_end(&t->decoder, &o->err)) {
        fail(o, SCRAPE_FAILURE_PROTOCOL);
    } else if (!scrape_format(t->content_type, t->target->job, &o->format, &o->err) &&
               t->body.len > 0) {
        fail(o, SCRAPE_FAILURE_PROTOCOL);
    } else {
        o->body_bytes = (int64_t)t->body.len;
    }
    return false;
}

/* ---- handles ---- */

struct scrape_transfer *scrape_transfer_new(void)
{
    struct scrape_transfer *t = mem_alloc_zero(MEM_SCRAPE, 1, sizeof *t);
    t->easy = t->client.easy = curl_easy_init();
    if (!t->easy) {
        mem_free(MEM_SCRAPE, t);
        return NULL;
    }
    return t;
}

void scrape_transfer_reset(struct scrape_transfer *t)
{
    curl_easy_reset(t->easy); /* credentials and the body's buffer are not to stay in it */
    client_deinit(&t->client);
    mem_free(MEM_SCRAPE, t->redirect);
    t->redirect = NULL;
    target_unref(t->target);
    t->target = NULL;
    t->scrape = NULL;
    t->next = NULL;
}

void scrape_transfer_free(struct scrape_transfer *t)
{
    if (!t)
        return;
    scrape_transfer_reset(t);
    curl_easy_cleanup(t->easy);
    scrape_body_deinit(&t->decoder);
    mem_free(MEM_SCRAPE, t);
}
