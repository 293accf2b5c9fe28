/* SPDX-License-Identifier: Apache-2.0 */
/* heartbeat_send.c: one GET that says that all is well. What is answered does not matter, but for the status. */
#include "alerting/heartbeat_private.h"

#include "base/file.h"
#include "base/mem.h"

#include <inttypes.h>
#include <string.h>

#define CURL_NEVER_FAILS(call) ((void)(call)) /* options that only fail without memory or unknown */

enum { URL_BYTES_MAX = 8192, ANSWER_BYTES_MAX = 64 * 1024 };

static size_t on_answer(char *bytes, size_t size, size_t count, void *arg)
{
    size_t *left = arg, len = size * count;
    (void)bytes;
    if (len > *left)
        return 0; /* ends the transfer */
    *left -= len;
    return len;
}

static bool read_url(struct heartbeat_target *t, struct error *err)
{
    const struct config_heartbeat *e = t->entry;
    if (e->url_file.len == 0) {
        t->url = mem_copy_string(MEM_ALERTING, secret_reveal(&e->url));
        return true;
    }
    struct buffer text;
    buffer_init(&text, MEM_ALERTING, URL_BYTES_MAX);
    char *path = mem_copy_string(MEM_ALERTING, e->url_file);
    bool ok = file_read_all(path, &text, err);
    struct view url = buffer_view(&text);
    while (url.len && strchr(" \t\r\n", url.ptr[url.len - 1]))
        url.len--;
    while (url.len && strchr(" \t\r\n", url.ptr[0]))
        url = view_slice(url, 1, url.len);
    if (ok)
        t->url = mem_copy_string(MEM_ALERTING, url);
    mem_free(MEM_ALERTING, path);
    buffer_deinit(&text);
    return ok;
}

static bool request(struct heartbeat_target *t, const char *url, struct client_tokens *tokens,
                    struct error *err)
{
    CURL *easy = t->client.easy;
    int64_t left_ms = t->entry->timeout_ms - mono_ms_since(t->start);
    if (left_ms <= 0)
        return error_set(err, ERROR_TIMEOUT, "timed out after %" PRId64 " ms",
                         t->entry->timeout_ms);
    curl_easy_reset(easy);
    client_reset(&t->client);
    t->answer_left = ANSWER_BYTES_MAX;
    CURL_NEVER_FAILS(curl_easy_setopt(easy, CURLOPT_PRIVATE, t));
    CURL_NEVER_FAILS(curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L));
    CURL_NEVER_FAILS(curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L)); /* of lookups that hang */
    CURL_NEVER_FAILS(curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)left_ms));
    CURL_NEVER_FAILS(curl_easy_setopt(easy, CURLOPT_USERAGENT, "Belfry/" BELFRY_VERSION));
    CURL_NEVER_FAILS(curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_answer));
    CURL_NEVER_FAILS(curl_easy_setopt(easy, CURLOPT_WRITEDATA, &t->answer_left));
    return client_prepare(&t->client, t->entry->http_config, url, tokens, err);
}

static void reset(struct heartbeat_target *t)
{
    if (t->client.easy)
        curl_easy_reset(t->client.easy); /* credentials are not to stay in it */
    client_deinit(&t->client);
    redaction_clear(&t->secrets);
    mem_free(MEM_SCRAPE, t->redirect);
    mem_free(MEM_ALERTING, t->url);
    t->redirect = t->url = NULL;
}

/* Where a redirect leads, and what a token's endpoint says, may quote what was sent. */
static void redact(struct heartbeat_target *t, struct error *err)
{
    if (t->url)
        redaction_add_url(&t->secrets, view_from(t->url));
    if (t->entry->http_config)
        config_http_secrets(t->entry->http_config, &t->secrets);
    redaction_apply(&t->secrets, err->message, sizeof err->message);
}

bool heartbeat_begin(struct heartbeat_target *t, struct client_tokens *tokens, struct error *err)
{
    if (!t->client.easy)
        t->client.easy = curl_easy_init();
    if (!t->client.easy)
        return error_set(err, ERROR_LIMIT, "no memory for a transfer");
    t->start = clock_mono();
    t->client.secrets = &t->secrets;
    if (read_url(t, err) && request(t, t->url, tokens, err))
        return true;
    redact(t, err);
    reset(t);
    return false;
}

/* True when the handle has another request: a token has come, a redirect is followed. */
static bool follow(struct heartbeat_target *t, long status, struct client_tokens *tokens,
                   bool *failed, struct error *err)
{
    char *to = NULL;
    if (t->client.asks_token) {
        *failed = !client_take_token(&t->client, tokens, status, err) ||
                  !request(t, t->redirect ? t->redirect : t->url, tokens, err);
        return !*failed;
    }
    *failed = !client_redirect(&t->client, t->entry->http_config, t->url, status, &to, err);
    if (*failed || !to)
        return false;
    mem_free(MEM_SCRAPE, t->redirect);
    t->redirect = to;
    *failed = !request(t, to, tokens, err);
    return !*failed;
}

/* curl's own words may have the URL, which is a secret: only the sentence of the code is said. */
enum heartbeat_outcome heartbeat_end(struct heartbeat_target *t, CURLcode code,
                                     struct client_tokens *tokens, struct error *err)
{
    long status = 0;
    bool failed = false;
    CURL_NEVER_FAILS(curl_easy_getinfo(t->client.easy, CURLINFO_RESPONSE_CODE, &status));
    if (code == CURLE_WRITE_ERROR && status) /* more than is read of an answer */
        code = CURLE_OK;
    if (code == CURLE_OK && follow(t, status, tokens, &failed, err))
        return HEARTBEAT_GOES_ON;
    if (failed)
        redact(t, err);
    reset(t);
    if (failed)
        return HEARTBEAT_FAILED;
    if (code != CURLE_OK)
        error_set(err, ERROR_UNAVAILABLE, "%s", curl_easy_strerror(code));
    else if (status < 200 || status > 299)
        error_set(err, ERROR_UNAVAILABLE, "unexpected status code %ld", status);
    else
        return HEARTBEAT_SENT;
    return HEARTBEAT_FAILED;
}

void heartbeat_target_free(struct heartbeat_target *t)
{
    if (!t)
        return;
    reset(t);
    curl_easy_cleanup(t->client.easy);
    config_unref(t->config);
    mem_free(MEM_ALERTING, t->last_error);
    mem_free(MEM_ALERTING, t);
}
