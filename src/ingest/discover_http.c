/* SPDX-License-Identifier: Apache-2.0 */
/* discover_http.c: http_sd: target groups from an HTTP endpoint, asked at each interval with all options of an HTTP
 * client. Whatever it answers (nothing, HTML, too much, an error), the last good list stays. */
#include "ingest/discover_private.h"

#include "base/assert.h"
#include "base/checksum.h"
#include "base/mem.h"
#include "ingest/client.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

enum {
    TIMEOUT_MAX_MS = 5 * 60 * 1000, /* or the interval, as in Prometheus */
    FIRST_RETRY_MS = 5000,          /* while there is no list at all */
    HEADER_BYTES_MAX = 64 * 1024
};

#define CURL_NEVER_FAILS(call) ((void)(call)) /* options that only fail without memory or unknown */

struct state {
    struct client client; /* easy: NULL until the first refresh */
    char *url, *redirect; /* url: of the request on its way, whatever a reload says meanwhile */
    struct buffer shown;  /* the URL without its password, ends with a NUL */
    struct buffer body;
    mono_time start;
    size_t header_bytes;
    bool too_large, in_multi;
    char curl_error[CURL_ERROR_SIZE], status_text[100];
    uint64_t body_hash; /* of the list in force */
    struct target_groups *groups;
};

static void key(const void *settings, struct buffer *out)
{
    buffer_append_view(out, ((const struct config_http_sd *)settings)->url);
}

static int64_t interval_ms(const void *settings)
{
    return ((const struct config_http_sd *)settings)->refresh_interval_ms;
}

static size_t on_header(char *bytes, size_t size, size_t count, void *arg)
{
    struct state *s = arg;
    size_t len = size * count;
    s->header_bytes += len;
    if (s->header_bytes > HEADER_BYTES_MAX) {
        s->too_large = true;
        return 0;
    }
    if (len > 5 && memcmp(bytes, "HTTP/", 5) == 0) {
        const char *blank = memchr(bytes, ' ', len);
        size_t from = blank ? (size_t)(blank - bytes) + 1 : 0, to = len;
        while (to > from && strchr(" \r\n", bytes[to - 1]))
            to--;
        snprintf(s->status_text, sizeof s->status_text, "%.*s",
                 (int)(to - from < 90 ? to - from : 90), bytes + from);
    }
    return len;
}

static size_t on_body(char *bytes, size_t size, size_t count, void *arg)
{
    struct state *s = arg;
    buffer_append(&s->body, bytes, size * count);
    s->too_large |= s->body.failed;
    return s->body.failed ? 0 : size * count;
}

static int64_t timeout_ms(const struct config_http_sd *sd)
{
    return sd->refresh_interval_ms < TIMEOUT_MAX_MS ? sd->refresh_interval_ms : TIMEOUT_MAX_MS;
}

/* Everything for a request to `url`. */
static bool request(struct discover_provider *p, const char *url, struct error *err)
{
    struct state *s = p->state;
    const struct config_http_sd *sd = p->settings;
    CURL *easy = s->client.easy;
    int64_t left_ms = timeout_ms(sd) - mono_ms_since(s->start);
    if (left_ms <= 0)
        return error_set(err, ERROR_TIMEOUT, "timed out");
    curl_easy_reset(easy);
    client_reset(&s->client);
    buffer_reset(&s->body);
    s->header_bytes = 0;
    s->too_large = false;
    s->curl_error[0] = s->status_text[0] = 0;
    CURL_NEVER_FAILS(curl_easy_setopt(easy, CURLOPT_PRIVATE, p));
    CURL_NEVER_FAILS(curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, s->curl_error));
    CURL_NEVER_FAILS(curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L));
    CURL_NEVER_FAILS(curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L));
    CURL_NEVER_FAILS(curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)left_ms));
    CURL_NEVER_FAILS(curl_easy_setopt(easy, CURLOPT_USERAGENT, "Belfry/" BELFRY_VERSION));
    CURL_NEVER_FAILS(curl_easy_setopt(easy, CURLOPT_ACCEPT_ENCODING, "gzip"));
    CURL_NEVER_FAILS(curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header));
    CURL_NEVER_FAILS(curl_easy_setopt(easy, CURLOPT_HEADERDATA, s));
    CURL_NEVER_FAILS(curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body));
    CURL_NEVER_FAILS(curl_easy_setopt(easy, CURLOPT_WRITEDATA, s));
    return client_header(&s->client, err, "Accept: application/json") &&
           client_header(&s->client, err, "X-Prometheus-Refresh-Interval-Seconds: %.*g", 6,
                         (double)sd->refresh_interval_ms / 1000) &&
           client_prepare(&s->client, &sd->http, url, discover_tokens(p->discover), err);
}

static bool begin(struct discover_provider *p, const char *url, struct error *err)
{
    struct state *s = p->state;
    if (!request(p, url, err))
        return false;
    if (curl_multi_add_handle(discover_multi(p->discover), s->client.easy) != CURLM_OK)
        return error_set(err, ERROR_LIMIT, "no memory for a transfer");
    s->in_multi = true;
    return true;
}

static void settle(struct discover_provider *p, struct error *err)
{
    struct state *s = p->state;
    p->busy = false;
    client_deinit(&s->client);
    curl_easy_reset(s->client.easy); /* credentials are not to stay in it */
    buffer_deinit(&s->body);
    mem_free(MEM_SCRAPE, s->redirect);
    s->redirect = NULL;
    if (!err) {
        discover_succeeded(p);
        return;
    }
    DISCOVER_COUNT(discover_counters(p->discover)->http_failures, 1);
    error_wrap(err, "\"%s\"", s->shown.ptr);
    discover_failed(p, s->groups ? "its last targets stay" : "it has no targets", err);
    if (!s->groups && interval_ms(p->settings) > FIRST_RETRY_MS)
        discover_delay(p, FIRST_RETRY_MS);
}

static void refresh(struct discover_provider *p, bool first)
{
    struct state *s = p->state;
    const struct config_http_sd *sd = p->settings;
    struct error err = {0};
    if (!s->client.easy)
        s->client.easy = curl_easy_init();
    ASSERT(s->client.easy);
    mem_free(MEM_SCRAPE, s->url);
    s->url = mem_copy_string(MEM_SCRAPE, sd->url);
    buffer_deinit(&s->shown);
    buffer_init(&s->shown, MEM_SCRAPE, 64 * 1024);
    config_url_redacted(sd->url, &s->shown);
    buffer_append_byte(&s->shown, 0);
    buffer_init(&s->body, MEM_SCRAPE, TARGET_GROUPS_BYTES_MAX);
    s->start = clock_mono();
    p->busy = true;
    if (!begin(p, s->url, &err))
        settle(p, &err);
}

/* "application/json", with no other parameter than that it is UTF-8. */
static bool is_json(const char *type)
{
    static const char JSON[] = "application/json";
    if (!type || strncasecmp(type, JSON, sizeof JSON - 1) != 0)
        return false;
    type += sizeof JSON - 1;
    if (!*type)
        return true;
    if (*type++ != ';')
        return false;
    type += strspn(type, " \t");
    return strcasecmp(type, "charset=utf-8") == 0 || strcasecmp(type, "charset=\"utf-8\"") == 0;
}

static bool take_list(struct discover_provider *p, long status, struct error *err)
{
    struct state *s = p->state;
    const char *type = NULL;
    struct target_groups *groups;
    if (status != 200)
        return error_set(err, ERROR_UNAVAILABLE, "server returned HTTP status %s", s->status_text);
    CURL_NEVER_FAILS(curl_easy_getinfo(s->client.easy, CURLINFO_CONTENT_TYPE, &type));
    if (!is_json(type))
        return error_set(err, ERROR_INPUT,
                         "unsupported content type \"%.100s\", expected application/json",
                         type ? type : "");
    uint64_t hash = hash64_view(buffer_view(&s->body));
    if (s->groups && hash == s->body_hash)
        return true;
    if (!target_groups_parse(buffer_view(&s->body), TARGET_GROUPS_JSON,
                             (struct label){VIEW("__meta_url"), view_from(s->shown.ptr)}, &groups,
                             err))
        return false;
    target_groups_unref(s->groups);
    s->groups = groups;
    s->body_hash = hash;
    struct target_groups *sets[] = {target_groups_ref(groups)};
    discover_push(p, sets, 1);
    return true;
}

/* True when another request was begun. */
static bool follow(struct discover_provider *p, long status, bool *failed, struct error *err)
{
    struct state *s = p->state;
    const struct config_http_sd *sd = p->settings;
    char *to = NULL;
    if (s->client.asks_token) {
        *failed = !client_take_token(&s->client, discover_tokens(p->discover), status, err) ||
                  !begin(p, s->redirect ? s->redirect : s->url, err);
        return !*failed;
    }
    *failed = !client_redirect(&s->client, &sd->http, s->url, status, &to, err);
    if (!to)
        return false;
    mem_free(MEM_SCRAPE, s->redirect);
    s->redirect = to;
    *failed = !begin(p, to, err);
    return !*failed;
}

void discover_http_done(struct discover_provider *p, CURLcode code)
{
    struct state *s = p->state;
    struct error err = {0};
    long status = 0;
    bool failed = false;
    s->in_multi = false;
    CURL_NEVER_FAILS(curl_easy_getinfo(s->client.easy, CURLINFO_RESPONSE_CODE, &status));
    if (code == CURLE_OK && follow(p, status, &failed, &err))
        return;
    if (failed)
        settle(p, &err);
    else if (s->too_large)
        settle(p, (error_set(&err, ERROR_TOO_LARGE, "the answer is larger than %d bytes",
                             TARGET_GROUPS_BYTES_MAX),
                   &err));
    else if (code != CURLE_OK)
        settle(p, (error_set(&err, ERROR_UNAVAILABLE, "%s",
                             *s->curl_error ? s->curl_error : curl_easy_strerror(code)),
                   &err));
    else
        settle(p, take_list(p, status, &err) ? NULL : &err);
}

static void close_state(struct discover_provider *p)
{
    struct state *s = p->state;
    if (s->in_multi)
        (void)curl_multi_remove_handle(discover_multi(p->discover), s->client.easy); /* is in it */
    client_deinit(&s->client);
    curl_easy_cleanup(s->client.easy);
    buffer_deinit(&s->body);
    buffer_deinit(&s->shown);
    mem_free(MEM_SCRAPE, s->url);
    mem_free(MEM_SCRAPE, s->redirect);
    target_groups_unref(s->groups);
}

const struct discover_kind DISCOVER_HTTP = {.kind = CONFIG_HTTP_SD,
                                            .label = "http",
                                            .bytes = sizeof(struct state),
                                            .key = key,
                                            .interval_ms = interval_ms,
                                            .refresh = refresh,
                                            .close = close_state};
