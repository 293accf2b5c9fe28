/* SPDX-License-Identifier: Apache-2.0 */
/* scrape_transfer.c: one HTTP request for a target's metrics.
 *
 * A transfer's easy handle is lent: everything is set for each request, nothing stays from the one before.
 * Redirects are followed here and not by libcurl, so that credentials, client certificates and configured
 * headers stay with the origin they are for (scheme, host and port of the target's own URL). */
#include "ingest/scrape_private.h"

#include "base/file.h"
#include "base/mem.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

enum {
    SECRET_FILE_BYTES_MAX = 1 << 20,
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

static bool header_add(struct curl_slist **list, struct error *err, const char *format, ...)
    PRINTF_LIKE(3, 4);
static bool header_add(struct curl_slist **list, struct error *err, const char *format, ...)
{
    va_list args;
    char fixed[1024], *text = fixed;
    va_start(args, format);
    int len = vsnprintf(fixed, sizeof fixed, format, args);
    va_end(args);
    if (len >= (int)sizeof fixed) {
        text = mem_alloc(MEM_SCRAPE, (size_t)len + 1);
        va_start(args, format);
        (void)vsnprintf(text, (size_t)len + 1, format, args);
        va_end(args);
    }
    bool clean = len >= 0 && strpbrk(text, "\r\n") == NULL;
    struct curl_slist *longer = clean ? curl_slist_append(*list, text) : NULL;
    if (text != fixed) {
        explicit_bzero(text, (size_t)len);
        mem_free(MEM_SCRAPE, text);
    } else {
        explicit_bzero(fixed, sizeof fixed);
    }
    if (!clean)
        return error_set(err, ERROR_INPUT, "a request header has a line feed");
    if (!longer)
        return error_set(err, ERROR_LIMIT, "no memory for a request header");
    *list = longer;
    return true;
}

/* Use: the secret itself, else the trimmed content of the file. */
static bool secret_read(const struct secret *secret, struct view path, struct buffer *out,
                        struct error *err)
{
    buffer_reset(out);
    if (path.len == 0) {
        buffer_append_view(out, secret_reveal(secret));
        return true;
    }
    char *name = mem_copy_string(MEM_SCRAPE, path);
    bool ok = file_read_all(name, out, err);
    mem_free(MEM_SCRAPE, name);
    while (ok && out->len && strchr(" \t\r\n", out->ptr[out->len - 1]))
        out->len--;
    return ok;
}

static bool set_text(CURL *easy, CURLoption option, struct view text, struct error *err)
{
    char *copy = mem_copy_string(MEM_SCRAPE, text);
    CURLcode code = curl_easy_setopt(easy, option, copy);
    explicit_bzero(copy, text.len);
    mem_free(MEM_SCRAPE, copy);
    return code == CURLE_OK || error_set(err, ERROR_INPUT, "could not set up the request: %s",
                                         curl_easy_strerror(code));
}

static bool set_basic_auth(struct scrape_transfer *t, const struct config_basic_auth *auth,
                           struct buffer *secret, struct error *err)
{
    struct secret none = {0};
    CURL_NEVER_FAILS(curl_easy_setopt(t->easy, CURLOPT_HTTPAUTH, (long)CURLAUTH_BASIC));
    struct view name = auth->username;
    if (auth->username_file.len) {
        if (!secret_read(&none, auth->username_file, secret, err))
            return false;
        name = buffer_view(secret);
    }
    if (!set_text(t->easy, CURLOPT_USERNAME, name, err) ||
        !secret_read(&auth->password, auth->password_file, secret, err))
        return false;
    return set_text(t->easy, CURLOPT_PASSWORD, buffer_view(secret), err);
}

static bool set_credentials(struct scrape_transfer *t, const struct config_http_client *http,
                            struct error *err)
{
    struct buffer secret;
    bool ok = true;
    if (http->oauth2)
        return error_set(err, ERROR_INPUT,
                         "oauth2 is configured, which this version does not have");
    buffer_init(&secret, MEM_SCRAPE, SECRET_FILE_BYTES_MAX);
    if (http->basic_auth) {
        ok = set_basic_auth(t, http->basic_auth, &secret, err);
    } else if (http->authorization) {
        const struct config_authorization *auth = http->authorization;
        ok = secret_read(&auth->credentials, auth->credentials_file, &secret, err) &&
             header_add(&t->headers, err, "Authorization: %.*s %.*s", VIEW_ARGS(auth->type),
                        VIEW_ARGS(buffer_view(&secret)));
    }
    if (secret.ptr)
        explicit_bzero(secret.ptr, secret.len);
    buffer_deinit(&secret);
    return ok;
}

static bool add_configured_headers(struct curl_slist **list, const struct config_headers *headers,
                                   struct error *err)
{
    for (size_t i = 0; i < headers->count; i++) {
        const struct config_header *h = &headers->items[i];
        struct secret none = {0};
        struct buffer secret;
        bool ok = true;
        for (size_t v = 0; ok && v < h->values.count; v++)
            ok = header_add(list, err, "%.*s: %.*s", VIEW_ARGS(h->name),
                            VIEW_ARGS(h->values.items[v]));
        buffer_init(&secret, MEM_SCRAPE, SECRET_FILE_BYTES_MAX);
        for (size_t v = 0; ok && v < h->secret_count; v++)
            ok = header_add(list, err, "%.*s: %.*s", VIEW_ARGS(h->name),
                            VIEW_ARGS(secret_reveal(&h->secrets[v])));
        for (size_t v = 0; ok && v < h->files.count; v++)
            ok = secret_read(&none, h->files.items[v], &secret, err) &&
                 header_add(list, err, "%.*s: %.*s", VIEW_ARGS(h->name),
                            VIEW_ARGS(buffer_view(&secret)));
        if (secret.ptr)
            explicit_bzero(secret.ptr, secret.len);
        buffer_deinit(&secret);
        if (!ok)
            return false;
    }
    return true;
}

static bool set_blob(CURL *easy, CURLoption option, struct view text, struct error *err)
{
    struct curl_blob blob = {(void *)(uintptr_t)text.ptr, text.len, CURL_BLOB_COPY};
    CURLcode code = curl_easy_setopt(easy, option, &blob);
    return code == CURLE_OK ||
           error_set(err, ERROR_INPUT, "could not use TLS material: %s", curl_easy_strerror(code));
}

static long tls_versions(const struct config_tls *tls)
{
    static const long MIN[] = {CURL_SSLVERSION_TLSv1_2, CURL_SSLVERSION_TLSv1_0,
                               CURL_SSLVERSION_TLSv1_1, CURL_SSLVERSION_TLSv1_2,
                               CURL_SSLVERSION_TLSv1_3};
    static const long MAX[] = {CURL_SSLVERSION_MAX_DEFAULT, CURL_SSLVERSION_MAX_TLSv1_0,
                               CURL_SSLVERSION_MAX_TLSv1_1, CURL_SSLVERSION_MAX_TLSv1_2,
                               CURL_SSLVERSION_MAX_TLSv1_3};
    return MIN[tls->min_version] | MAX[tls->max_version];
}

/* The client's certificate: for the target's own origin only. */
static bool set_client_certificate(CURL *easy, const struct config_tls *tls, struct error *err)
{
    struct view key = secret_reveal(&tls->key);
    return (tls->cert_file.len == 0 || set_text(easy, CURLOPT_SSLCERT, tls->cert_file, err)) &&
           (tls->key_file.len == 0 || set_text(easy, CURLOPT_SSLKEY, tls->key_file, err)) &&
           (tls->cert.len == 0 || set_blob(easy, CURLOPT_SSLCERT_BLOB, tls->cert, err)) &&
           (key.len == 0 || set_blob(easy, CURLOPT_SSLKEY_BLOB, key, err));
}

/* server_name: the certificate is checked against another name than the address. The URL gets that name
 * and is connected to the address; the Host header stays what it was. */
static bool set_server_name(struct scrape_transfer *t, const char *url, struct view server_name,
                            struct error *err)
{
    bool ok = false;
    char *host = NULL, *port = NULL, *renamed = NULL;
    char *name = mem_copy_string(MEM_SCRAPE, server_name);
    CURLU *parts = curl_url();
    if (parts && curl_url_set(parts, CURLUPART_URL, url, 0) == CURLUE_OK &&
        curl_url_get(parts, CURLUPART_HOST, &host, 0) == CURLUE_OK &&
        curl_url_get(parts, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT) == CURLUE_OK &&
        curl_url_set(parts, CURLUPART_HOST, name, 0) == CURLUE_OK &&
        curl_url_get(parts, CURLUPART_URL, &renamed, 0) == CURLUE_OK)
        ok = header_add(&t->connect_to, err, "%s:%s:%s:%s", name, port, host, port) &&
             header_add(&t->headers, err, "Host: %s:%s", host, port) &&
             set_text(t->easy, CURLOPT_URL, view_from(renamed), err);
    else
        error_set(err, ERROR_INPUT, "could not use server_name \"%s\" for this URL", name);
    CURL_NEVER_FAILS(curl_easy_setopt(t->easy, CURLOPT_CONNECT_TO, t->connect_to));
    curl_free(host);
    curl_free(port);
    curl_free(renamed);
    curl_url_cleanup(parts);
    mem_free(MEM_SCRAPE, name);
    return ok;
}

static bool set_tls(struct scrape_transfer *t, const char *url, const struct config_tls *tls,
                    struct error *err)
{
    CURL *easy = t->easy;
    if (strncmp(url, "https:", 6) != 0)
        return true;
    CURL_NEVER_FAILS(curl_easy_setopt(easy, CURLOPT_SSLVERSION, tls_versions(tls)));
    if (tls->insecure_skip_verify) {
        CURL_NEVER_FAILS(curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 0L));
        CURL_NEVER_FAILS(curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 0L));
    }
    if ((tls->ca_file.len && !set_text(easy, CURLOPT_CAINFO, tls->ca_file, err)) ||
        (tls->ca.len && !set_blob(easy, CURLOPT_CAINFO_BLOB, tls->ca, err)))
        return false;
    if (t->foreign)
        return true;
    return set_client_certificate(easy, tls, err) &&
           (tls->server_name.len == 0 || set_server_name(t, url, tls->server_name, err));
}

static bool set_proxy(struct scrape_transfer *t, const struct config_proxy *proxy,
                      struct error *err)
{
    if (proxy->from_environment)
        return true;
    /* Without empty ones libcurl asks the environment, which Prometheus does not. */
    if (!set_text(t->easy, CURLOPT_PROXY, proxy->url, err) ||
        !set_text(t->easy, CURLOPT_NOPROXY, proxy->no_proxy, err))
        return false;
    if (proxy->url.len == 0)
        return true;
    if (!add_configured_headers(&t->proxy_headers, &proxy->connect_headers, err))
        return false;
    CURL_NEVER_FAILS(curl_easy_setopt(t->easy, CURLOPT_HEADEROPT, (long)CURLHEADER_SEPARATE));
    CURL_NEVER_FAILS(curl_easy_setopt(t->easy, CURLOPT_PROXYHEADER, t->proxy_headers));
    return true;
}

static void set_fixed(struct scrape_transfer *t)
{
    CURL *easy = t->easy;
    CURL_NEVER_FAILS(curl_easy_setopt(easy, CURLOPT_PRIVATE, t));
    CURL_NEVER_FAILS(curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, t->curl_error));
    CURL_NEVER_FAILS(curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L));
    /* A name server that hangs: leave the lookup behind instead of waiting for it beyond the timeout, with all
     * targets of this thread. */
    CURL_NEVER_FAILS(curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L));
    CURL_NEVER_FAILS(curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https"));
    CURL_NEVER_FAILS(curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, (long)RECEIVE_BUFFER_BYTES));
    CURL_NEVER_FAILS(curl_easy_setopt(easy, CURLOPT_USERAGENT, "Belfry/" BELFRY_VERSION));
    CURL_NEVER_FAILS(curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header));
    CURL_NEVER_FAILS(curl_easy_setopt(easy, CURLOPT_HEADERDATA, t));
    CURL_NEVER_FAILS(curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body));
    CURL_NEVER_FAILS(curl_easy_setopt(easy, CURLOPT_WRITEDATA, t));
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
    curl_slist_free_all(t->headers);
    curl_slist_free_all(t->connect_to);
    curl_slist_free_all(t->proxy_headers);
    t->headers = t->connect_to = t->proxy_headers = NULL;
    t->curl_error[0] = 0;
    t->header_bytes = t->header_count = t->error_bytes = 0;
    t->body_begun = false;
    set_fixed(t);
    CURL_NEVER_FAILS(curl_easy_setopt(t->easy, CURLOPT_TIMEOUT_MS, (long)left_ms));
    CURL_NEVER_FAILS(curl_easy_setopt(t->easy, CURLOPT_HTTP_VERSION,
                                      job->http.enable_http2 ? (long)CURL_HTTP_VERSION_2TLS
                                                             : (long)CURL_HTTP_VERSION_1_1));
    if (!set_text(t->easy, CURLOPT_URL, view_from(url), err) ||
        !header_add(&t->headers, err, "Accept: text/plain;version=0.0.4;q=0.5,*/*;q=0.1") ||
        !header_add(&t->headers, err, "Accept-Encoding: %s",
                    job->enable_compression ? "gzip" : "identity") ||
        !header_add(&t->headers, err, "X-Prometheus-Scrape-Timeout-Seconds: %.*g", 6,
                    (double)t->target->timeout_ms / 1000) ||
        !set_proxy(t, &job->http.proxy, err) || !set_tls(t, url, &job->http.tls, err))
        return false;
    if (!t->foreign && (!set_credentials(t, &job->http, err) ||
                        !add_configured_headers(&t->headers, &job->http.http_headers, err)))
        return false;
    CURL_NEVER_FAILS(curl_easy_setopt(t->easy, CURLOPT_HTTPHEADER, t->headers));
    return true;
}

bool scrape_transfer_begin(struct scrape_transfer *t, struct scrape *s, struct error *err)
{
    t->scrape = s;
    t->target = target_ref(s->target);
    t->stopped = t->foreign = false;
    t->redirects = 0;
    return request(t, t->target->url.ptr, err);
}

/* ---- redirects ---- */

/* Same scheme, host and port? */
static bool same_origin(const char *a, const char *b)
{
    static const CURLUPart PARTS[] = {CURLUPART_SCHEME, CURLUPART_HOST, CURLUPART_PORT};
    CURLU *ua = curl_url(), *ub = curl_url();
    bool same = ua && ub && curl_url_set(ua, CURLUPART_URL, a, 0) == CURLUE_OK &&
                curl_url_set(ub, CURLUPART_URL, b, 0) == CURLUE_OK;
    for (size_t i = 0; same && i < ARRAY_COUNT(PARTS); i++) {
        char *pa = NULL, *pb = NULL;
        same = curl_url_get(ua, PARTS[i], &pa, CURLU_DEFAULT_PORT) == CURLUE_OK &&
               curl_url_get(ub, PARTS[i], &pb, CURLU_DEFAULT_PORT) == CURLUE_OK &&
               strcasecmp(pa, pb) == 0;
        curl_free(pa);
        curl_free(pb);
    }
    curl_url_cleanup(ua);
    curl_url_cleanup(ub);
    return same;
}

/* True when the handle is ready for the next request; else err says why it is not, unless the answer is
 * simply no redirect that is followed. */
static bool follow(struct scrape_transfer *t, long status, bool *tried, struct error *err)
{
    char *to = NULL;
    *tried = false;
    if (!t->target->job->http.follow_redirects ||
        (status != 301 && status != 302 && status != 303 && status != 307 && status != 308))
        return false;
    CURL_NEVER_FAILS(curl_easy_getinfo(t->easy, CURLINFO_REDIRECT_URL, &to));
    if (!to)
        return false;
    *tried = true;
    if (++t->redirects > SCRAPE_REDIRECTS_MAX)
        return error_set(err, ERROR_INPUT, "stopped after %d redirects", SCRAPE_REDIRECTS_MAX);
    if (strncasecmp(to, "http://", 7) != 0 && strncasecmp(to, "https://", 8) != 0)
        return error_set(err, ERROR_INPUT,
                         "redirected to \"%.100s\", which is neither http nor https", to);
    char *url = mem_copy_string(MEM_SCRAPE, view_from(to)); /* the handle's own is about to go */
    /* Once away there is no way back: a redirect from a stranger must not send our secrets home. */
    if (!same_origin(t->target->url.ptr, url))
        t->foreign = true;
    bool ok = request(t, url, err);
    mem_free(MEM_SCRAPE, url);
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

static struct view media_type(struct view content_type)
{
    const char *semicolon = memchr(content_type.ptr, ';', content_type.len);
    return trim(semicolon ? view_slice(content_type, 0, (size_t)(semicolon - content_type.ptr))
                          : content_type);
}

static bool view_is_word(struct view v, const char *word)
{
    return v.len == strlen(word) && strncasecmp(v.ptr, word, v.len) == 0;
}

/* Prometheus 3: what is not known is not guessed, unless the job says what it is. */
static bool check_content_type(const struct scrape_transfer *t, struct error *err)
{
    enum config_protocol fallback = t->target->job->fallback_scrape_protocol;
    struct view type = t->content_type.len ? media_type(t->content_type) : VIEW("");
    if (view_is_word(type, "text/plain"))
        return true;
    bool other = view_is_word(type, "application/openmetrics-text") ||
                 view_is_word(type, "application/vnd.google.protobuf");
    if (other)
        return error_set(
            err, ERROR_INPUT,
            "received Content-Type \"%.*s\", of which this version reads text/plain only",
            VIEW_ARGS(type));
    if (fallback == CONFIG_PROTOCOL_TEXT_0_0_4 || fallback == CONFIG_PROTOCOL_TEXT_1_0_0)
        return true;
    if (fallback != CONFIG_PROTOCOL_NONE)
        return error_set(err, ERROR_INPUT,
                         "fallback_scrape_protocol %s is one that this version does not read",
                         config_protocol_name(fallback));
    if (t->content_type.len == 0)
        return error_set(err, ERROR_INPUT,
                         "non-compliant scrape target sending blank Content-Type and no "
                         "fallback_scrape_protocol specified for target");
    return error_set(err, ERROR_INPUT,
                     "received unsupported Content-Type \"%.*s\" and no fallback_scrape_protocol "
                     "specified for target",
                     VIEW_ARGS(t->content_type));
}

bool scrape_transfer_end(struct scrape_transfer *t, CURLcode code, struct scrape_outcome *o)
{
    long status = 0;
    bool tried = false;
    struct error err;
    CURL_NEVER_FAILS(curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &status));
    if (!t->stopped && code == CURLE_OK && follow(t, status, &tried, &err))
        return true;
    if (t->stopped) {
        o->err = t->err;
        fail(o, t->kind);
        if (t->kind == SCRAPE_FAILURE_TOO_LARGE)
            o->body_bytes = -1;
    } else if (tried) {
        o->err = err;
        fail(o, err.kind == ERROR_TIMEOUT ? SCRAPE_FAILURE_TIMEOUT : SCRAPE_FAILURE_PROTOCOL);
    } else if (code != CURLE_OK && !(code == CURLE_WRITE_ERROR && t->error_bytes)) {
        fail_curl(t, code, o);
    } else if (status != 200) {
        error_set(&o->err, ERROR_UNAVAILABLE, "server returned HTTP status %s", t->status_text);
        fail(o, SCRAPE_FAILURE_STATUS);
    } else if (t->body_begun && !scrape_body_end(&t->decoder, &o->err)) {
        fail(o, SCRAPE_FAILURE_PROTOCOL);
    } else if (t->body.len > 0 && !check_content_type(t, &o->err)) {
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
    t->easy = curl_easy_init();
    if (!t->easy) {
        mem_free(MEM_SCRAPE, t);
        return NULL;
    }
    return t;
}

void scrape_transfer_reset(struct scrape_transfer *t)
{
    curl_easy_reset(t->easy); /* credentials and the body's buffer are not to stay in it */
    curl_slist_free_all(t->headers);
    curl_slist_free_all(t->connect_to);
    curl_slist_free_all(t->proxy_headers);
    t->headers = t->connect_to = t->proxy_headers = NULL;
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
