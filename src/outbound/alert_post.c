/* SPDX-License-Identifier: Apache-2.0 */
/* alert_post.c: see alert_post.h. A redirect keeps the method and the body, also 301 and 302, where Go's client (and so
 * Prometheus) turns the POST into a GET, which an Alertmanager answers gladly: the alerts would be lost without a word. */
#include "outbound/alert_post.h"

#include "alerting/aws_credentials.h"
#include "base/mem.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define CURL_NEVER_FAILS(call) ((void)(call)) /* options that only fail without memory or unknown */

static size_t on_header(char *bytes, size_t size, size_t count, void *arg)
{
    struct alert_post *p = arg;
    size_t len = size * count;
    p->headers_bytes += len;
    if (p->headers_bytes > POST_HEADERS_BYTES_MAX)
        return 0; /* ends the transfer */
    if (len > 5 && memcmp(bytes, "HTTP/", 5) == 0) {
        const char *blank = memchr(bytes, ' ', len);
        size_t from = blank ? (size_t)(blank - bytes) + 1 : 0, to = len;
        while (to > from && strchr(" \r\n", bytes[to - 1]))
            to--;
        snprintf(p->status_text, sizeof p->status_text, "%.*s",
                 (int)(to - from < 90 ? to - from : 90), bytes + from);
    }
    return len;
}

static size_t on_answer(char *bytes, size_t size, size_t count, void *arg)
{
    struct alert_post *p = arg;
    size_t len = size * count;
    for (size_t i = 0; i < len && p->answer_bytes + i < POST_SAID_BYTES; i++) {
        unsigned char c = (unsigned char)bytes[i];
        p->said[p->answer_bytes + i] = c < ' ' || c >= 0x7f ? ' ' : (char)c;
    }
    p->answer_bytes += len;
    return p->answer_bytes > POST_ANSWER_BYTES_MAX ? 0 : len; /* 0 ends the transfer */
}

/* The Host header as client_prepare() sets it: with a server_name always with its port. */
static struct view host_header(struct arena *arena, const struct alert_post *p, const char *url,
                               struct view host)
{
    bool is_renamed = p->entry->http.tls.server_name.len && strncmp(url, "https:", 6) == 0;
    const char *colon = memrchr(host.ptr, ':', host.len), *v6 = memrchr(host.ptr, ']', host.len);
    return is_renamed && (!colon || colon < v6) ? arena_printf(arena, "%.*s:443", VIEW_ARGS(host))
                                                : host;
}

/* As Prometheus does: for the service "aps" unless another one is named. What may not leave is noted for redaction. */
static bool sign(struct alert_post *p, const char *url, struct error *err)
{
    const struct config_sigv4 *s = p->entry->sigv4;
    struct aws_request r = {.method = VIEW("POST"),
                            .query = VIEW(""),
                            .content_type = VIEW("application/json"),
                            .body = buffer_view(&p->body),
                            .region = s->region,
                            .service = s->service_name.len ? s->service_name : VIEW("aps")};
    struct aws_credentials keys;
    struct arena arena;
    bool found = false;
    arena_init(&arena, MEM_ALERTING, 0);
    bool ok = aws_credentials_at_hand(&arena, s, &keys, &found, err) &&
              (s->region.len || aws_region(&arena, s->profile, &r.region, err)) &&
              aws_request_url(&arena, view_from(url), &r, err);
    if (ok && !found)
        ok =
            error_set(err, ERROR_INPUT,
                      aws_variable("AWS_WEB_IDENTITY_TOKEN_FILE").len && !s->profile.len
                          ? "there are no AWS credentials but a web identity "
                            "(AWS_WEB_IDENTITY_TOKEN_FILE), which is not asked for an Alertmanager"
                          : "there are no AWS credentials: sigv4 has no access_key and secret_key, "
                            "and neither the environment nor AWS' shared files have any");
    if (ok && r.region.len == 0)
        ok = error_set(err, ERROR_INPUT,
                       "region not configured in sigv4 or in default credentials chain");
    if (ok) {
        r.host = host_header(&arena, p, url, r.host);
        struct aws_signature signature = aws_sign(&arena, &keys, &r, clock_wall());
        struct view token = secret_reveal(&keys.session_token);
        redaction_add(&p->secrets, secret_reveal(&keys.secret_key));
        redaction_add(&p->secrets, token);
        ok = client_header(&p->client, err, "X-Amz-Date: %.*s", VIEW_ARGS(signature.date)) &&
             (token.len == 0 ||
              client_header(&p->client, err, "X-Amz-Security-Token: %.*s", VIEW_ARGS(token))) &&
             client_header(&p->client, err, "Authorization: %.*s",
                           VIEW_ARGS(signature.authorization));
    }
    arena_wipe(&arena);
    return ok || error_wrap(err, "sigv4");
}

/* Everything for a request to `url`. */
static bool request(struct alert_post *p, const char *url, struct client_tokens *tokens,
                    struct error *err)
{
    CURL *easy = p->client.easy;
    int64_t left_ms = p->entry->timeout_ms - mono_ms_since(p->start);
    if (left_ms <= 0)
        return error_set(err, ERROR_TIMEOUT, "timed out after %" PRId64 " ms",
                         p->entry->timeout_ms);
    curl_easy_reset(easy);
    client_reset(&p->client);
    p->answer_bytes = p->headers_bytes = 0;
    memset(p->said, 0, sizeof p->said);
    p->curl_error[0] = p->status_text[0] = 0;
    CURL_NEVER_FAILS(curl_easy_setopt(easy, CURLOPT_PRIVATE, p));
    CURL_NEVER_FAILS(curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, p->curl_error));
    CURL_NEVER_FAILS(curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L));
    CURL_NEVER_FAILS(curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L)); /* of lookups that hang */
    CURL_NEVER_FAILS(curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)left_ms));
    CURL_NEVER_FAILS(curl_easy_setopt(easy, CURLOPT_USERAGENT, "Belfry/" BELFRY_VERSION));
    CURL_NEVER_FAILS(curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header));
    CURL_NEVER_FAILS(curl_easy_setopt(easy, CURLOPT_HEADERDATA, p));
    CURL_NEVER_FAILS(curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_answer));
    CURL_NEVER_FAILS(curl_easy_setopt(easy, CURLOPT_WRITEDATA, p));
    CURL_NEVER_FAILS(curl_easy_setopt(easy, CURLOPT_POST, 1L));
    CURL_NEVER_FAILS(curl_easy_setopt(easy, CURLOPT_POSTFIELDS, p->body.ptr)); /* not copied */
    CURL_NEVER_FAILS(curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)p->body.len));
    bool ok = client_header(&p->client, err, "Content-Type: application/json") &&
              client_header(&p->client, err, "Expect:") && /* no waiting for a 100 */
              (!p->entry->sigv4 || p->client.foreign || sign(p, url, err)) &&
              client_prepare(&p->client, &p->entry->http, url, tokens, err);
    if (ok && p->client.asks_token) /* whose form is a string */
        CURL_NEVER_FAILS(curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)-1));
    return ok;
}

/* An Alertmanager, or a proxy before it, may quote what it was sent. */
static void redact(struct alert_post *p, struct error *err)
{
    redaction_add_userinfo(&p->secrets, view_from(p->url));
    config_http_secrets(&p->entry->http, &p->secrets);
    if (p->entry->sigv4)
        redaction_add(&p->secrets, secret_reveal(&p->entry->sigv4->secret_key));
    redaction_apply(&p->secrets, err->message, sizeof err->message);
}

bool alert_post_begin(struct alert_post *p, struct config *config,
                      const struct config_alertmanager *entry, const char *url,
                      struct client_tokens *tokens, struct error *err)
{
    if (!p->client.easy)
        p->client.easy = curl_easy_init();
    if (!p->client.easy)
        return error_set(err, ERROR_LIMIT, "no memory for a transfer");
    p->config = config_ref(config);
    p->entry = entry;
    p->url = url;
    p->start = clock_mono();
    p->client.secrets = &p->secrets;
    if (request(p, url, tokens, err))
        return true;
    redact(p, err);
    alert_post_reset(p);
    return false;
}

/* True when the handle is ready for the next request. Else *failed says whether that is an error. */
static bool follow(struct alert_post *p, long status, struct client_tokens *tokens, bool *failed,
                   struct error *err)
{
    char *to = NULL;
    bool ok;
    if (p->client.asks_token) {
        ok = client_take_token(&p->client, tokens, status, err) &&
             request(p, p->redirect ? p->redirect : p->url, tokens, err);
    } else {
        ok = status == 303 || /* it says where to look, not where to post */
             client_redirect(&p->client, &p->entry->http, p->url, status, &to, err);
        if (ok && !to) {
            *failed = false;
            return false;
        }
        mem_free(MEM_SCRAPE, p->redirect);
        p->redirect = to;
        ok = ok && request(p, to, tokens, err);
    }
    *failed = !ok;
    return ok;
}

static enum post_outcome judge(struct alert_post *p, CURLcode code, long status, struct error *err)
{
    bool cut = code == CURLE_WRITE_ERROR && p->answer_bytes > POST_ANSWER_BYTES_MAX;
    if (code == CURLE_OPERATION_TIMEDOUT) {
        error_set(err, ERROR_TIMEOUT, "timed out after %" PRId64 " ms", p->entry->timeout_ms);
        return POST_FAILED;
    }
    if (p->headers_bytes > POST_HEADERS_BYTES_MAX) {
        error_set(err, ERROR_TOO_LARGE, "answer has more than %d bytes of headers",
                  POST_HEADERS_BYTES_MAX);
        return POST_FAILED;
    }
    if (code != CURLE_OK && !cut) {
        error_set(err, ERROR_UNAVAILABLE, "%s",
                  *p->curl_error ? p->curl_error : curl_easy_strerror(code));
        return POST_FAILED;
    }
    if (status >= 200 && status < 300)
        return POST_SENT;
    error_set(err, ERROR_UNAVAILABLE, "bad response status %s%s%s", p->status_text,
              *p->said ? ": " : "", p->said);
    /* These are about the alerts; all others about how the Alertmanager is or is reached, which may change. */
    return status == 400 || status == 413 || status == 422 ? POST_REFUSED : POST_FAILED;
}

enum post_outcome alert_post_end(struct alert_post *p, CURLcode code, struct client_tokens *tokens,
                                 struct error *err)
{
    long status = 0;
    bool failed = false;
    CURL_NEVER_FAILS(curl_easy_getinfo(p->client.easy, CURLINFO_RESPONSE_CODE, &status));
    if (code == CURLE_OK && follow(p, status, tokens, &failed, err))
        return POST_GOES_ON;
    enum post_outcome outcome = failed ? POST_FAILED : judge(p, code, status, err);
    if (outcome != POST_SENT)
        redact(p, err);
    alert_post_reset(p);
    return outcome;
}

void alert_post_reset(struct alert_post *p)
{
    if (p->client.easy)
        curl_easy_reset(p->client.easy); /* credentials and the body are not to stay in it */
    client_deinit(&p->client);
    redaction_clear(&p->secrets);
    mem_free(MEM_SCRAPE, p->redirect);
    p->redirect = NULL;
    config_unref(p->config);
    p->config = NULL;
}

void alert_post_deinit(struct alert_post *p)
{
    alert_post_reset(p);
    curl_easy_cleanup(p->client.easy);
    buffer_deinit(&p->body);
}
