/* SPDX-License-Identifier: Apache-2.0 */
/* sender_transfer.c: one attempt of a delivery: the driver's requests, what libcurl makes of them, and what came back.
 *
 * A receiver may answer anything: of its headers SENDER_HEADER_BYTES_MAX are read and of its body DELIVERY_ANSWER_BYTES_MAX,
 * then the connection is closed. Once the headers have come whole, the answer is judged as far as it came. */
#include "alerting/sender_private.h"

#include "alerting/integrations.h"
#include "base/checksum.h"
#include "base/mem.h"
#include "base/redaction.h"
#include "base/secret.h"
#include "net/address_class.h"
#include "net/http_client.h"
#include "net/outgoing_url.h"

#include <inttypes.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

enum { ATTEMPT_MS_MIN = 10 * 1000, ATTEMPT_MS_MAX = 30 * 1000 };

#define CURL_NEVER_FAILS(call) ((void)(call)) /* options that only fail without memory or unknown */

/* --- what libcurl calls --- */

static size_t on_header(char *bytes, size_t size, size_t count, void *arg)
{
    struct sender_transfer *x = arg;
    size_t len = size * count;
    if (len > 5 && memcmp(bytes, "HTTP/", 5) == 0)
        buffer_reset(&x->headers); /* the head before was a 100's */
    x->header_bytes += len;
    buffer_append(&x->headers, bytes, len);
    x->headers_too_large = x->headers.failed || x->header_bytes > SENDER_HEADER_BYTES_MAX;
    return x->headers_too_large ? 0 : len;
}

static size_t on_body(char *bytes, size_t size, size_t count, void *arg)
{
    struct sender_transfer *x = arg;
    size_t len = size * count, room = DELIVERY_ANSWER_BYTES_MAX - x->body.len;
    buffer_append(&x->body, bytes, len < room ? len : room);
    x->body_is_cut = len > room;
    return x->body_is_cut ? 0 : len;
}

static size_t on_upload(char *to, size_t size, size_t count, void *arg)
{
    struct sender_task *t = arg;
    struct view body = t->d.request.body;
    size_t rest = body.len - t->transfer.upload_pos, len = size * count;
    if (len > rest)
        len = rest;
    memcpy(to, body.ptr + t->transfer.upload_pos, len);
    t->transfer.upload_pos += len;
    return len;
}

/* For hosts that alerts may have chosen: no address that only we can reach. */
static curl_socket_t open_public_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *to)
{
    struct sender_transfer *x = arg;
    if (purpose != CURLSOCKTYPE_IPCXN || address_class_of(&to->addr) != ADDRESS_PUBLIC) {
        x->is_blocked = true;
        return CURL_SOCKET_BAD;
    }
    return socket(to->family, to->socktype | SOCK_CLOEXEC, to->protocol);
}

/* --- a request --- */

/* Until its own timeout or the delivery's deadline, from the request's beginning, redirects included. */
static bool left_ms(const struct sender_task *t, int64_t *left, struct error *err)
{
    mono_time now = clock_mono();
    int64_t own = t->transfer.timeout_ms;
    *left = (t->deadline.ns - now.ns) / 1000000;
    if (own && own - mono_ms_since(t->attempt_start) < *left)
        *left = own - mono_ms_since(t->attempt_start);
    return *left > 0 || error_set(err, ERROR_TIMEOUT, "timed out");
}

static bool set_common(struct sender_task *t, struct error *err)
{
    struct sender_transfer *x = &t->transfer;
    CURL *easy = x->client.easy;
    int64_t left;
    if (!left_ms(t, &left, err))
        return false;
    curl_easy_reset(easy);
    client_reset(&x->client);
    buffer_reset(&x->headers);
    buffer_reset(&x->body);
    x->headers_too_large = x->body_is_cut = x->is_blocked = false;
    x->header_bytes = x->upload_pos = 0;
    x->curl_error[0] = '\0';
    CURL_NEVER_FAILS(curl_easy_setopt(easy, CURLOPT_PRIVATE, t));
    CURL_NEVER_FAILS(curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, x->curl_error));
    CURL_NEVER_FAILS(curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L));
    /* A name server that hangs is left behind instead of waited for. */
    CURL_NEVER_FAILS(curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L));
    CURL_NEVER_FAILS(curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)left));
    CURL_NEVER_FAILS(curl_easy_setopt(easy, CURLOPT_USERAGENT, t->sender->user_agent));
    CURL_NEVER_FAILS(curl_easy_setopt(easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L));
    CURL_NEVER_FAILS(curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header));
    CURL_NEVER_FAILS(curl_easy_setopt(easy, CURLOPT_HEADERDATA, x));
    CURL_NEVER_FAILS(curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body));
    CURL_NEVER_FAILS(curl_easy_setopt(easy, CURLOPT_WRITEDATA, x));
    return true;
}

static bool header_is(struct view line, const char *name)
{
    size_t len = strlen(name);
    return line.len > len && line.ptr[len] == ':' && strncasecmp(line.ptr, name, len) == 0;
}

/* A header that says what the content is: it goes to other origins, too. */
static bool is_of_content(struct view line)
{
    return header_is(line, "Content-Type") || header_is(line, "Accept");
}

static bool header_is_secret(struct view line)
{
    static const char *const PLAIN[] = {"Accept-Language", "X-Amz-Date",
                                        "X-aws-ec2-metadata-token-ttl-seconds"};
    bool is_plain = is_of_content(line);
    for (size_t i = 0; i < ARRAY_COUNT(PLAIN); i++)
        is_plain = is_plain || header_is(line, PLAIN[i]);
    return !is_plain;
}

/* "TOKEN", "SCHEME TOKEN", or any other text. */
static void add_header_secret(struct redaction *secrets, struct view line)
{
    const char *colon = memchr(line.ptr, ':', line.len);
    size_t from = colon ? (size_t)(colon - line.ptr) + 1 : line.len;
    while (from < line.len && line.ptr[from] == ' ')
        from++;
    struct view value = view_slice(line, from, line.len);
    const char *blank = value.len ? memchr(value.ptr, ' ', value.len) : NULL;
    bool is_pair = blank && blank == memrchr(value.ptr, ' ', value.len);
    redaction_add_whole(secrets, value);
    if (is_pair || !blank)
        redaction_add(secrets,
                      view_slice(value, blank ? (size_t)(blank - value.ptr) + 1 : 0, value.len));
}

/* A driver's headers may hold its credentials: away from the first origin only what the content is goes along. */
static bool add_headers(struct sender_task *t, struct error *err)
{
    struct sender_transfer *x = &t->transfer;
    const struct delivery_request *r = &t->d.request;
    for (size_t i = 0; i < r->header_count; i++) {
        struct view line = r->headers[i];
        if (x->as_get && header_is(line, "Content-Type"))
            continue;
        if (x->client.foreign && !is_of_content(line))
            continue;
        if (header_is_secret(line))
            add_header_secret(&t->secrets, line);
        if (!client_header(&x->client, err, "%.*s", VIEW_ARGS(line)))
            return false;
    }
    /* Without libcurl's wait for a "100 Continue" that many receivers never send. */
    return client_header(&x->client, err, "Expect:");
}

static void set_method(struct sender_task *t)
{
    const struct delivery_request *r = &t->d.request;
    CURL *easy = t->transfer.client.easy;
    if (t->transfer.as_get || (r->method && strcmp(r->method, "GET") == 0)) {
        CURL_NEVER_FAILS(curl_easy_setopt(easy, CURLOPT_HTTPGET, 1L));
        return;
    }
    CURL_NEVER_FAILS(curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)r->body.len));
    CURL_NEVER_FAILS(curl_easy_setopt(easy, CURLOPT_POSTFIELDS, r->body.len ? r->body.ptr : ""));
    if (r->method && strcmp(r->method, "POST") != 0)
        CURL_NEVER_FAILS(curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, r->method));
}

/* The proxy connects where there is one; what the URL itself names is judged all the same. */
static bool guard_address(struct sender_task *t, const struct config_http_client *http,
                          const char *url, struct error *err)
{
    struct sender_transfer *x = &t->transfer;
    CURL *easy = x->client.easy;
    struct outgoing_url parts;
    struct sockaddr_storage address;
    struct buffer proxy;
    if (!outgoing_url_init(&parts, url, err)) {
        err->kind = ERROR_FORBIDDEN; /* it will not be another one */
        return false;
    }
    bool is_public = !outgoing_url_address(&parts, &address) ||
                     address_class_of((struct sockaddr *)&address) == ADDRESS_PUBLIC;
    outgoing_url_deinit(&parts);
    buffer_init(&proxy, MEM_ALERTING, 64 * 1024);
    client_proxy_for(&http->proxy, url, &proxy);
    bool is_direct = proxy.len == 0;
    buffer_deinit(&proxy);
    if (!is_public)
        return error_set(
            err, ERROR_FORBIDDEN,
            "the URL comes from a template and leads to an address that is not public");
    if (!is_direct)
        return true;
    CURL_NEVER_FAILS(curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, open_public_socket));
    CURL_NEVER_FAILS(curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, x));
    /* A connection that somebody else opened was not judged. */
    CURL_NEVER_FAILS(curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, 1L));
    CURL_NEVER_FAILS(curl_easy_setopt(easy, CURLOPT_FORBID_REUSE, 1L));
    return true;
}

/* Where tokens come from is the configuration's word alone: that may be an address that only we can reach. */
static void unguard_address(CURL *easy)
{
    CURL_NEVER_FAILS(curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, NULL));
    CURL_NEVER_FAILS(curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, NULL));
    CURL_NEVER_FAILS(curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, 0L));
    CURL_NEVER_FAILS(curl_easy_setopt(easy, CURLOPT_FORBID_REUSE, 0L));
}

static bool http_request(struct sender_task *t, const char *url, struct error *err)
{
    struct sender_transfer *x = &t->transfer;
    const struct config_http_client *http = t->job.integration->common->http_config;
    if (!set_common(t, err) || !add_headers(t, err) ||
        (t->d.request.host_is_templated && !guard_address(t, http, url, err)) ||
        !client_prepare(&x->client, http, url, t->sender->tokens, err))
        return false;
    if (!x->client.asks_token)
        set_method(t);
    else if (t->d.request.host_is_templated)
        unguard_address(x->client.easy);
    return true;
}

/* smtp://HOST:PORT/HELLO: libcurl greets with the path. */
static char *mail_url(const struct delivery_mail *m)
{
    struct buffer url;
    bool is_bare_v6 = memchr(m->host.ptr, ':', m->host.len) && m->host.ptr[0] != '[';
    buffer_init(&url, MEM_ALERTING, 16 * 1024);
    buffer_printf(&url, is_bare_v6 ? "%s://[%.*s]:%.*s/" : "%s://%.*s:%.*s/",
                  m->implicit_tls ? "smtps" : "smtp", VIEW_ARGS(m->host), VIEW_ARGS(m->port));
    http_escape(&url, m->hello);
    char *text = mem_copy_string(MEM_ALERTING, buffer_view(&url));
    buffer_deinit(&url);
    return text;
}

static bool set_text(CURL *easy, CURLoption option, struct view text)
{
    char *copy = mem_copy_string(MEM_ALERTING, text);
    bool ok = curl_easy_setopt(easy, option, copy) == CURLE_OK;
    explicit_bzero(copy, text.len);
    mem_free(MEM_ALERTING, copy);
    return ok;
}

/* A password goes by PLAIN or LOGIN, as Alertmanager's first choice of what the server offers; without TLS by LOGIN alone,
 * because Go's PLAIN refuses that. A secret is for CRAM-MD5. */
static bool set_mail_credentials(CURL *easy, const struct delivery_mail *m)
{
    if (m->username.len == 0)
        return true;
    bool is_secret = secret_is_set(&m->cram_secret);
    bool is_private = m->implicit_tls || m->require_tls;
    const char *how = is_secret    ? "AUTH=CRAM-MD5"
                      : is_private ? "AUTH=PLAIN;AUTH=LOGIN"
                                   : "AUTH=LOGIN";
    return curl_easy_setopt(easy, CURLOPT_LOGIN_OPTIONS, how) == CURLE_OK &&
           set_text(easy, CURLOPT_USERNAME, m->username) &&
           set_text(easy, CURLOPT_PASSWORD,
                    secret_reveal(is_secret ? &m->cram_secret : &m->password)) &&
           (m->identity.len == 0 || set_text(easy, CURLOPT_SASL_AUTHZID, m->identity));
}

static bool set_recipients(struct sender_transfer *x, const struct delivery_mail *m)
{
    curl_slist_free_all(x->recipients);
    x->recipients = NULL;
    for (size_t i = 0; i < m->to_count; i++) {
        char *address = mem_copy_string(MEM_ALERTING, m->to[i]);
        struct curl_slist *longer = curl_slist_append(x->recipients, address);
        mem_free(MEM_ALERTING, address);
        if (!longer)
            return false;
        x->recipients = longer;
    }
    return curl_easy_setopt(x->client.easy, CURLOPT_MAIL_RCPT, x->recipients) == CURLE_OK;
}

static bool mail_request(struct sender_task *t, struct error *err)
{
    struct sender_transfer *x = &t->transfer;
    const struct delivery_request *r = &t->d.request;
    const struct delivery_mail *m = r->mail;
    CURL *easy = x->client.easy;
    if (!set_common(t, err))
        return false;
    bool ok = curl_easy_setopt(easy, CURLOPT_URL, x->url) == CURLE_OK &&
              curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "smtp,smtps") == CURLE_OK &&
              curl_easy_setopt(easy, CURLOPT_PROXY, "") == CURLE_OK &&
              curl_easy_setopt(easy, CURLOPT_USE_SSL,
                               m->require_tls ? (long)CURLUSESSL_ALL : (long)CURLUSESSL_NONE) ==
                  CURLE_OK &&
              set_text(easy, CURLOPT_MAIL_FROM, m->from) && set_recipients(x, m) &&
              set_mail_credentials(easy, m) &&
              curl_easy_setopt(easy, CURLOPT_UPLOAD, 1L) == CURLE_OK &&
              curl_easy_setopt(easy, CURLOPT_READFUNCTION, on_upload) == CURLE_OK &&
              curl_easy_setopt(easy, CURLOPT_READDATA, t) == CURLE_OK &&
              curl_easy_setopt(easy, CURLOPT_INFILESIZE_LARGE, (curl_off_t)r->body.len) == CURLE_OK;
    if (!ok)
        return error_set(err, ERROR_INPUT, "could not set up the mail's transfer");
    return !m->tls || client_prepare_tls(&x->client, m->tls, x->url, t->sender->tokens, err);
}

static void add_mail_secrets(struct redaction *secrets, const struct delivery_mail *m)
{
    redaction_add_credentials(secrets, m->username, secret_reveal(&m->password));
    redaction_add(secrets, secret_reveal(&m->cram_secret));
}

static void forget_urls(struct sender_transfer *x)
{
    mem_free(MEM_ALERTING, x->url);
    mem_free(MEM_SCRAPE, x->redirect);
    x->url = x->redirect = NULL;
}

static bool add_to_multi(struct sender_task *t, struct error *err)
{
    if (curl_multi_add_handle(t->sender->multi, t->transfer.client.easy) != CURLM_OK)
        return error_set(err, ERROR_LIMIT, "no memory for a transfer");
    t->transfer.in_multi = true;
    return true;
}

/* Where the receiver has no timeout: one that hangs must leave time for another attempt, and its place to other groups. */
static int64_t attempt_ms(const struct sender_task *t)
{
    int64_t part = (t->deadline.ns - t->attempt_start.ns) / 4 / 1000000;
    return part < ATTEMPT_MS_MIN ? ATTEMPT_MS_MIN : part < ATTEMPT_MS_MAX ? part : ATTEMPT_MS_MAX;
}

/* What the driver asks for now. */
static bool request_begin(struct sender_task *t, struct error *err)
{
    struct sender_transfer *x = &t->transfer;
    const struct delivery_request *r = &t->d.request;
    if (++t->requests > DELIVERY_EXCHANGE_MAX)
        return error_set(err, ERROR_LIMIT, "more than %d requests in one exchange",
                         DELIVERY_EXCHANGE_MAX);
    if (r->body.len > DELIVERY_REQUEST_BYTES_MAX)
        return error_set(err, ERROR_TOO_LARGE, "the request has more than %d bytes",
                         DELIVERY_REQUEST_BYTES_MAX);
    if (t->requests == 1)
        t->payload_hash = hash64_view(r->body);
    forget_urls(x);
    client_deinit(&x->client);
    x->as_get = false;
    x->timeout_ms = r->timeout_ms ? r->timeout_ms : attempt_ms(t);
    x->url = r->mail ? mail_url(r->mail) : mem_copy_string(MEM_ALERTING, r->url);
    x->client.secrets = &t->secrets;
    if (r->mail)
        add_mail_secrets(&t->secrets, r->mail);
    else if (r->url_is_shown)
        redaction_add_userinfo(&t->secrets, r->url);
    else
        redaction_add_url(&t->secrets, r->url);
    return (r->mail ? mail_request(t, err) : http_request(t, x->url, err)) && add_to_multi(t, err);
}

/* Is there any use in another attempt, after what went wrong on our side? */
static enum delivery_verdict verdict_of(const struct error *err)
{
    bool is_final = err->kind == ERROR_FORBIDDEN || err->kind == ERROR_TOO_LARGE ||
                    err->kind == ERROR_LIMIT || err->kind == ERROR_EXECUTION;
    return is_final ? DELIVERY_FAILED : DELIVERY_RETRY; /* a secret's file may come back */
}

/* --- what came back --- */

/* True when another transfer of the same request was begun: a token has come, or a redirect is followed. */
static bool follow(struct sender_task *t, bool *failed, struct error *err)
{
    struct sender_transfer *x = &t->transfer;
    const struct config_http_client *http = t->job.integration->common->http_config;
    const char *method = t->d.request.method;
    char *to = NULL;
    bool ok;
    if (x->client.asks_token) {
        ok = client_take_token(&x->client, t->sender->tokens, t->status, err) &&
             http_request(t, x->redirect ? x->redirect : x->url, err) && add_to_multi(t, err);
        *failed = !ok;
        return ok;
    }
    ok = client_redirect(&x->client, http, x->url, t->status, &to, err);
    *failed = !ok;
    if (!to)
        return false;
    /* As browsers and Go do: only 307 and 308 are the same request again. */
    if (t->status != 307 && t->status != 308 && !(method && strcmp(method, "GET") == 0))
        x->as_get = true;
    mem_free(MEM_SCRAPE, x->redirect);
    x->redirect = to;
    ok = http_request(t, to, err) && add_to_multi(t, err);
    *failed = !ok;
    return ok;
}

static bool has_whole_head(const struct sender_transfer *x)
{
    return !x->headers_too_large && view_has_prefix(buffer_view(&x->headers), VIEW("HTTP/")) &&
           view_has_suffix(buffer_view(&x->headers), VIEW("\r\n\r\n"));
}

static enum delivery_verdict transport_failed(struct sender_task *t, CURLcode code,
                                              struct error *err)
{
    struct sender_transfer *x = &t->transfer;
    if (x->is_blocked) {
        error_set(err, ERROR_FORBIDDEN,
                  "the URL comes from a template and leads to an address that is not public");
        return DELIVERY_FAILED;
    }
    if (x->headers_too_large) {
        error_set(err, ERROR_TOO_LARGE, "the answer has more than %d bytes of headers",
                  SENDER_HEADER_BYTES_MAX);
        return DELIVERY_RETRY;
    }
    t->reason = code == CURLE_OPERATION_TIMEDOUT ? SENDER_DEADLINE : SENDER_OTHER;
    error_set(err, ERROR_UNAVAILABLE, "%s",
              x->curl_error[0] ? x->curl_error : curl_easy_strerror(code));
    return code == CURLE_URL_MALFORMAT || code == CURLE_UNSUPPORTED_PROTOCOL ? DELIVERY_FAILED
                                                                             : DELIVERY_RETRY;
}

/* libcurl says QUIT when it closes a mail's connection, and waits for the answer, with all other transfers. The mail is
 * delivered: the connection is shut instead, so that there is nothing to wait for. */
static void shut_mail(CURL *easy)
{
    curl_socket_t fd = CURL_SOCKET_BAD;
    CURL_NEVER_FAILS(curl_easy_getinfo(easy, CURLINFO_ACTIVESOCKET, &fd));
    if (fd != CURL_SOCKET_BAD)
        (void)shutdown(fd, SHUT_RDWR); /* the peer may have gone first */
}

static void note_retry_after(struct sender_task *t)
{
    curl_off_t seconds = 0;
    CURL_NEVER_FAILS(curl_easy_getinfo(t->transfer.client.easy, CURLINFO_RETRY_AFTER, &seconds));
    t->retry_after_ms = seconds <= 0 ? 0 : seconds > 86400 ? 86400000 : (int64_t)seconds * 1000;
}

/* The driver's word on the answer; its next request, if there is one, is sent. */
static enum delivery_verdict ask_driver(struct sender_task *t, struct error *err)
{
    struct sender_transfer *x = &t->transfer;
    const struct delivery_answer answer = {.status = t->status,
                                           .headers = buffer_view(&x->headers),
                                           .body = buffer_view(&x->body),
                                           .is_cut = x->body_is_cut};
    t->d.step++;
    t->d.request = (struct delivery_request){0};
    t->reason = sender_reason_of_status(t->status);
    note_retry_after(t);
    enum delivery_verdict verdict = t->job.integration->driver->answer(&t->d, &answer, err);
    if (t->d.retry_after_ms > t->retry_after_ms)
        t->retry_after_ms = t->d.retry_after_ms;
    if (verdict != DELIVERY_MORE)
        return verdict;
    return request_begin(t, err) ? DELIVERY_MORE : verdict_of(err);
}

enum delivery_verdict sender_attempt_go_on(struct sender_task *t, CURLcode code, struct error *err)
{
    struct sender_transfer *x = &t->transfer;
    bool is_mail = t->d.request.mail != NULL, failed = false;
    long status = 0;
    CURL_NEVER_FAILS(curl_easy_getinfo(x->client.easy, CURLINFO_RESPONSE_CODE, &status));
    t->status = status;
    if (is_mail && code == CURLE_OK)
        shut_mail(x->client.easy);
    if (x->in_multi)
        (void)curl_multi_remove_handle(t->sender->multi, x->client.easy); /* it is in it */
    x->in_multi = false;
    if (code != CURLE_OK && !is_mail && !x->client.asks_token && status >= 200 &&
        has_whole_head(x)) {
        x->body_is_cut = true;
        code = CURLE_OK;
    }
    if (code != CURLE_OK)
        return transport_failed(t, code, err);
    if (!is_mail && follow(t, &failed, err))
        return DELIVERY_MORE;
    if (failed) {
        t->reason = sender_reason_of_status(status);
        return verdict_of(err);
    }
    return ask_driver(t, err);
}

/* --- an attempt --- */

static CURL *lend_easy(struct sender *s)
{
    return s->idle_count ? s->idle[--s->idle_count] : curl_easy_init();
}

enum delivery_verdict sender_attempt_begin(struct sender_task *t, struct error *err)
{
    struct sender_transfer *x = &t->transfer;
    const struct sender_job *job = &t->job;
    const struct delivery_source source = {
        .alerts = job->alerts,
        .alert_count = job->alert_count,
        .group_labels = job->group_labels,
        .route_labels = job->route_labels,
        .group_key = job->group_key,
        .reason = job->reason,
        .recalled = job->recalled,
        .now_ns = job->now_ns,
    };
    arena_reset(&t->attempt);
    t->attempt_start = clock_mono();
    t->requests = 0;
    t->payload_hash = 0;
    t->status = 0;
    t->retry_after_ms = 0;
    t->reason = SENDER_OTHER;
    *x = (struct sender_transfer){.client = {.easy = lend_easy(t->sender)}};
    buffer_init(&x->headers, MEM_HTTP, SENDER_HEADER_BYTES_MAX);
    buffer_init(&x->body, MEM_HTTP, DELIVERY_ANSWER_BYTES_MAX);
    if (!x->client.easy) {
        error_set(err, ERROR_LIMIT, "no memory for a transfer");
        return DELIVERY_RETRY;
    }
    delivery_init(&t->d, &t->attempt, job->integration, &source);
    t->d.secrets = &t->secrets;
    enum delivery_verdict verdict = job->integration->driver->begin(&t->d, err);
    if (t->d.retry_after_ms > t->retry_after_ms)
        t->retry_after_ms = t->d.retry_after_ms;
    if (verdict != DELIVERY_MORE)
        return verdict;
    return request_begin(t, err) ? DELIVERY_MORE : verdict_of(err);
}

/* --- what may be shown --- */

void sender_attempt_redact(struct sender_task *t, const char *message, char *out, size_t bytes)
{
    char whole[ERROR_MESSAGE_BYTES];
    const struct integration *i = t->job.integration;
    (void)snprintf(whole, sizeof whole, "%s", message);
    receiver_secrets(i->driver->kind, i->settings, &t->secrets);
    redaction_apply(&t->secrets, whole, sizeof whole);
    (void)snprintf(out, bytes, "%s", whole);
}

void sender_attempt_end(struct sender_task *t)
{
    struct sender *s = t->sender;
    struct sender_transfer *x = &t->transfer;
    CURL *easy = x->client.easy;
    redaction_clear(&t->secrets);
    if (!easy)
        return;
    if (x->in_multi)
        (void)curl_multi_remove_handle(s->multi, easy); /* it is in it */
    client_deinit(&x->client);
    curl_easy_reset(easy); /* credentials are not to stay in it */
    curl_slist_free_all(x->recipients);
    forget_urls(x);
    buffer_deinit(&x->headers);
    buffer_deinit(&x->body);
    s->idle =
        mem_grow(MEM_ALERTING, s->idle, &s->idle_capacity, s->idle_count + 1, sizeof(*s->idle));
    s->idle[s->idle_count++] = easy;
    *x = (struct sender_transfer){0};
}
