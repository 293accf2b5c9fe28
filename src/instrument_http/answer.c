/* SPDX-License-Identifier: Apache-2.0 */
/* answer.c: see answer.h. */
#include "instrument_http/answer.h"

#include "instrument_http/credentials.h"
#include "instrument_http/fail.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

struct belfry_http {
    belfry_registry *registry;
    belfry_health *health; /* NULL = none */
    char *metrics_path, *health_path, *ready_path, *service, *version;
    struct credentials credentials;
    bool protect_probes;
    size_t answer_bytes_max;
    int64_t began_s; /* CLOCK_MONOTONIC */
};

static int64_t now_s(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t); /* cannot fail */
    return t.tv_sec;
}

/* ---- options ---- */

static bool is_printable(const char *text)
{
    for (; text && *text; text++)
        if ((unsigned char)*text < 0x20 || *text == '"' || *text == '\\' || *text == 0x7f)
            return false;
    return true;
}

static const char *options_fault(const belfry_http_options *o)
{
    const char *const paths[] = {o->metrics_path, o->health_path, o->ready_path};
    for (size_t i = 0; i < ARRAY_COUNT(paths); i++)
        if (paths[i] && paths[i][0] && (paths[i][0] != '/' || strpbrk(paths[i], "?# ")))
            return "a path must begin with a slash and have no query";
    if (!is_printable(o->service) || !is_printable(o->version) ||
        (o->service && strlen(o->service) > 128) || (o->version && strlen(o->version) > 128))
        return "service and version are at most 128 bytes without quotes, backslashes and control "
               "characters";
    return belfry__credentials_fault(o->bearer_token, o->username, o->password);
}

/* NULL stays NULL; false without memory. */
static bool copy(char **out, const char *text, const char *fallback)
{
    const char *from = text ? text : fallback;
    *out = from ? strdup(from) : NULL;
    return !from || *out;
}

belfry_status belfry_http_new(belfry_http **out, const belfry_http_options *o,
                              belfry_http_error *error)
{
    if (out)
        *out = NULL;
    if (!out || !o)
        return belfry__http_fail(error, BELFRY_ERROR_NULL,
                                 "no place for the answers, or no options");
    const char *fault = options_fault(o);
    if (fault)
        return belfry__http_fail(error, BELFRY_ERROR_FORMAT, "%s", fault);
    belfry_http *h = calloc(1, sizeof *h);
    if (!h)
        return belfry__http_fail_memory(error);
    h->registry = o->registry;
    h->health = o->health;
    h->protect_probes = o->protect_probes;
    h->answer_bytes_max = o->answer_bytes_max ? o->answer_bytes_max : 64 << 20;
    h->began_s = now_s();
    if (!copy(&h->metrics_path, o->metrics_path, "/metrics") ||
        !copy(&h->health_path, o->health_path, "/health") ||
        !copy(&h->ready_path, o->ready_path, "/ready") || !copy(&h->service, o->service, NULL) ||
        !copy(&h->version, o->version, NULL) ||
        !belfry__credentials_init(&h->credentials, o->bearer_token, o->username, o->password)) {
        belfry_http_free(h);
        return belfry__http_fail_memory(error);
    }
    *out = h;
    return BELFRY_OK;
}

void belfry_http_free(belfry_http *h)
{
    if (!h)
        return;
    belfry__credentials_deinit(&h->credentials);
    free(h->metrics_path);
    free(h->health_path);
    free(h->ready_path);
    free(h->service);
    free(h->version);
    free(h);
}

size_t belfry__http_answer_bytes_max(const belfry_http *h)
{
    return h->answer_bytes_max;
}

/* ---- plans ---- */

void belfry__plan_header(struct http_plan *plan, const char *name, const char *value)
{
    if (plan->header_count < BELFRY_HTTP_HEADERS_MAX)
        plan->headers[plan->header_count++] = (belfry_http_header){name, value};
}

static void plan_begin(struct http_plan *plan, int status, const char *content_type)
{
    plan->status = status;
    plan->header_count = 0;
    belfry__plan_header(plan, "Content-Type", content_type);
    belfry__plan_header(plan, "X-Content-Type-Options", "nosniff");
}

void belfry__plan_refuse(struct http_plan *plan, int status, const char *text)
{
    plan_begin(plan, status, "text/plain; charset=utf-8");
    belfry_text_free(plan->long_text);
    plan->long_text = NULL;
    plan->is_metrics = false;
    plan->encoding = HTTP_IDENTITY;
    (void)snprintf(plan->text, sizeof plan->text, "%s\n", text); /* cut is fine */
}

void belfry__plan_deinit(struct http_plan *plan)
{
    for (size_t i = 0; i < plan->name_count; i++)
        free(plan->names[i]);
    free(plan->names);
    belfry_text_free(plan->long_text);
    plan->names = NULL;
    plan->name_count = 0;
    plan->long_text = NULL;
}

const char *belfry__plan_text(const struct http_plan *plan)
{
    return plan->long_text ? plan->long_text : plan->text;
}

static bool path_is(const char *path, const char *served)
{
    size_t len = strcspn(path, "?");
    return served[0] && strlen(served) == len && memcmp(path, served, len) == 0;
}

bool belfry_http_serves(const belfry_http *h, const char *path)
{
    return path_is(path, h->metrics_path) || path_is(path, h->health_path) ||
           path_is(path, h->ready_path);
}

static void plan_metrics(struct http_plan *plan, const struct http_query *q)
{
    belfry_exposition_negotiate(q->accept, &plan->how);
    plan_begin(plan, 200, belfry_exposition_content_type(&plan->how));
    plan->is_metrics = true;
    plan->encoding = belfry__encoding_choose(q->accept_encoding);
    if (plan->encoding != HTTP_IDENTITY)
        belfry__plan_header(plan, "Content-Encoding", belfry__encoding_name(plan->encoding));
    belfry__plan_header(plan, "Vary", "Accept, Accept-Encoding");
}

static void plan_probe(struct http_plan *plan, const belfry_http *h, bool is_ready)
{
    bool ready = true;
    size_t len;
    belfry_status status = BELFRY_OK;
    if (h->health)
        status = is_ready ? belfry_health_ready_text(h->health, &plan->long_text, &len, &ready)
                          : belfry_health_live_text(h->health, &plan->long_text, &len);
    if (status != BELFRY_OK) {
        belfry__plan_refuse(plan, 503, "503 Service Unavailable: no memory");
        return;
    }
    plan_begin(plan, ready ? 200 : 503, "application/json");
    belfry__plan_header(plan, "Cache-Control", "no-store");
    (void)snprintf(
        plan->text, sizeof plan->text, /* fits: names have 128 bytes */
        "{%s%s%s%s%s%s%s,\"uptime_seconds\":%lld}\n",
        is_ready ? "\"ready\":true" : "\"status\":\"healthy\"", h->service ? ",\"service\":\"" : "",
        h->service ? h->service : "", h->service ? "\"" : "", h->version ? ",\"version\":\"" : "",
        h->version ? h->version : "", h->version ? "\"" : "", (long long)(now_s() - h->began_s));
}

void belfry__plan_init(struct http_plan *plan, const belfry_http *h, const struct http_query *q)
{
    *plan = (struct http_plan){.is_head = strcmp(q->method, "HEAD") == 0};
    bool is_metrics = path_is(q->path, h->metrics_path), is_ready = path_is(q->path, h->ready_path);
    if (!is_metrics && !is_ready && !path_is(q->path, h->health_path)) {
        belfry__plan_refuse(plan, 404, "404 page not found");
    } else if (!plan->is_head && strcmp(q->method, "GET") != 0) {
        belfry__plan_refuse(plan, 405, "405 Method Not Allowed: expected GET or HEAD");
        belfry__plan_header(plan, "Allow", "GET, HEAD");
    } else if ((is_metrics || h->protect_probes) &&
               !belfry__credentials_allow(&h->credentials, q->authorization)) {
        plan->is_denied = true;
        belfry__plan_refuse(plan, 401, "401 Unauthorized");
        if (h->credentials.basic)
            belfry__plan_header(plan, "WWW-Authenticate", "Basic realm=\"metrics\"");
        if (h->credentials.bearer)
            belfry__plan_header(plan, "WWW-Authenticate", "Bearer realm=\"metrics\"");
    } else if (is_metrics) {
        plan_metrics(plan, q);
    } else {
        plan_probe(plan, h, is_ready);
    }
}

/* ---- name[] ---- */

void belfry__plan_add_name(struct http_plan *plan, const char *name, size_t len)
{
    if (!plan->is_metrics)
        return;
    if (plan->name_count == HTTP_FAMILY_NAMES_MAX) {
        belfry__plan_refuse(plan, 400, "400 Bad Request: more than 256 name[] parameters");
        return;
    }
    if (!plan->names)
        plan->names = calloc(HTTP_FAMILY_NAMES_MAX, sizeof(char *));
    char *copied = plan->names ? strndup(name, len) : NULL;
    if (copied)
        plan->names[plan->name_count++] = copied;
    else
        belfry__plan_refuse(plan, 503, "503 Service Unavailable: no memory");
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Decodes into itself. False: "%" without two digits, or a NUL. */
static bool decode(char *text, size_t *len)
{
    size_t out = 0;
    for (size_t in = 0; in < *len; in++) {
        char c = text[in] == '+' ? ' ' : text[in];
        if (c == '%') {
            int high = in + 2 < *len ? hex_digit(text[in + 1]) : -1;
            int low = high >= 0 ? hex_digit(text[in + 2]) : -1;
            if (low < 0 || (high == 0 && low == 0))
                return false;
            c = (char)(high << 4 | low);
            in += 2;
        }
        text[out++] = c;
    }
    text[out] = '\0';
    *len = out;
    return true;
}

static void take_pair(struct http_plan *plan, const char *pair, size_t len)
{
    char *text = strndup(pair, len);
    if (!text) {
        belfry__plan_refuse(plan, 503, "503 Service Unavailable: no memory");
        return;
    }
    char *equals = strchr(text, '=');
    size_t name_len = equals ? (size_t)(equals - text) : len;
    size_t value_len = equals ? len - name_len - 1 : 0;
    bool ok = !equals || decode(equals + 1, &value_len);
    if (equals)
        *equals = '\0';
    if (!ok || !decode(text, &name_len))
        belfry__plan_refuse(plan, 400, "400 Bad Request: the query is not percent-encoded text");
    else if (equals && strcmp(text, "name[]") == 0 && value_len)
        belfry__plan_add_name(plan, equals + 1, value_len);
    free(text);
}

void belfry__plan_take_query(struct http_plan *plan, const char *query)
{
    while (query && *query && plan->is_metrics) {
        size_t len = strcspn(query, "&");
        if (len)
            take_pair(plan, query, len);
        query += len + (query[len] == '&');
    }
}

/* ---- rendering ---- */

static bool write_encoded(void *arg, const char *bytes, size_t len)
{
    return belfry__encoder_write(arg, bytes, len);
}

bool belfry__http_render(const belfry_http *h, const struct http_plan *plan, encode_sink sink,
                         void *arg)
{
    struct encoder *e = belfry__encoder_new(plan->encoding, sink, arg);
    if (!e)
        return false;
    belfry_exposition how = plan->how;
    how.names = (const char *const *)plan->names;
    how.name_count = plan->name_count;
    belfry_status status = belfry_registry_write(h->registry, &how, write_encoded, e);
    bool ok = status == BELFRY_OK && belfry__encoder_finish(e);
    belfry__encoder_free(e);
    return ok;
}
