/* SPDX-License-Identifier: Apache-2.0 */
/* service_http.c: the service's ports. Each request passes here three times: before its body (authorize), around its
 * handler (log lines carry its id), and at its end (http_error, http_request, the service's own metrics). */
#include "base/assert.h"
#include "base/file.h"
#include "base/json_peek.h"
#include "base/json_write.h"
#include "net/http_exposition.h"
#include "service/service_private.h"

#include <belfry/exposition.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

enum {
    LINE_BYTES_MAX = 16 * 1024,
    HEADER_BYTES_MAX = 16 * 1024,
    BODY_BYTES_MAX = 1 << 20,
    IDLE_MS = 60 * 1000,
    PEM_BYTES_MAX = 1 << 20
};

/* ---- errors ---- */

const char *service_error_code_default(int status)
{
    static const struct {
        int status;
        const char *code;
    } CODES[] = {{400, "bad_request"},
                 {401, "unauthorized"},
                 {403, "forbidden"},
                 {404, "not_found"},
                 {405, "method_not_allowed"},
                 {408, "request_timeout"},
                 {413, "payload_too_large"},
                 {414, "uri_too_long"},
                 {415, "unsupported_media_type"},
                 {416, "range_not_satisfiable"},
                 {429, "rate_limited"},
                 {431, "headers_too_large"},
                 {499, "client_closed"},
                 {501, "not_implemented"},
                 {503, "unavailable"},
                 {505, "http_version"}};
    for (size_t i = 0; i < ARRAY_COUNT(CODES); i++)
        if (CODES[i].status == status)
            return CODES[i].code;
    return status >= 500 ? "internal_error" : "bad_request";
}

static const char *code_of(const struct service *s, int status)
{
    const char *(*own)(int) = s->definition->error_code;
    return own ? own(status) : service_error_code_default(status);
}

static const char *write_error(const struct service_error *error, struct buffer *out)
{
    buffer_append_literal(out, "{\"error\":");
    json_string(out, view_from(error->code));
    buffer_append_literal(out, ",\"message\":");
    json_string(out, view_from(error->user_message));
    buffer_append_literal(out, ",\"request_id\":");
    json_string(out, view_from(error->request_id));
    if (error->extra.len) {
        buffer_append_literal(out, ",\"details\":");
        buffer_append_view(out, error->extra);
    }
    buffer_append_literal(out, "}\n");
    return "application/json";
}

/* What the HTTP server says in words of its own is said shorter. */
static const char *message_of(int status, const char *text)
{
    static const char BAD[] = "400 Bad Request: ";
    switch (status) {
    case 404:
        return "not found";
    case 405:
        return "method not allowed";
    case 505:
        return "HTTP version not supported";
    default:
        return strncmp(text, BAD, sizeof BAD - 1) == 0 ? text + sizeof BAD - 1 : text;
    }
}

/* http_server_options.error_body: whoever found the error, service_fail() or the HTTP server. */
static const char *on_error(struct http_request *rq, int status, struct view text,
                            struct buffer *out)
{
    struct service *s = http_request_server_arg(rq);
    struct service_context *c = service_context_of(rq);
    if (c->error_code == NULL) {
        c->error_code = code_of(s, status);
        c->user_message = message_of(status, arena_copy(http_request_arena(rq), text).ptr);
        c->developer_message = "";
    }
    struct service_error error = {.status = status,
                                  .code = c->error_code,
                                  .user_message = c->user_message,
                                  .developer_message = c->developer_message,
                                  .request_id = service_request_id(rq),
                                  .extra = c->extra,
                                  .request = rq};
    if (s->definition->error_body)
        return s->definition->error_body(s->state, &error, out);
    return write_error(&error, out);
}

/* ---- before the body ---- */

static struct service_entry *entry_of(struct http_request *rq)
{
    return http_request_route_arg(rq);
}

/* Also where a request begins to count: its body may take long. */
static enum http_verdict on_access(void *arg, struct http_request *rq, struct http_response *rs,
                                   bool may_wait)
{
    (void)may_wait;
    struct service *s = arg;
    struct service_entry *entry = entry_of(rq);
    struct service_context *c = service_context_of(rq);
    http_request_set_role(rq, HTTP_ROLE_ADMIN);
    if (!entry->route.is_probe && !c->is_counted) {
        c->is_counted = true;
        belfry_health_request_begin(s->health);
    }
    if (entry->route.authorize == NULL)
        return HTTP_ALLOWED;
    belfry_scope scope;
    belfry_scope_enter(&scope, service_request_id(rq), NULL, 0);
    bool may = entry->route.authorize(entry->state, rq, rs);
    belfry_scope_leave(&scope);
    return may ? HTTP_ALLOWED : HTTP_REFUSED;
}

static bool on_receive(void *arg, struct http_request *rq, struct http_response *rs,
                       struct view piece)
{
    struct service_entry *entry = arg;
    belfry_request *request = service_request_of(rq);
    belfry_scope scope;
    belfry_request_enter(request, &scope);
    bool ok = entry->route.receive(entry->state, rq, rs, piece);
    belfry_scope_leave(&scope);
    return ok;
}

/* ---- around the handler ---- */

static bool is_json(const char *type)
{
    return type && (strncmp(type, "application/json", 16) == 0 ||
                    strncmp(type, "application/problem+json", 24) == 0);
}

static void on_handle(void *arg, struct http_request *rq, struct http_response *rs)
{
    struct service_entry *entry = arg;
    belfry_request *request = service_request_of(rq);
    belfry_scope scope;
    belfry_request_enter(request, &scope);
    entry->route.handler(entry->state, rq, rs);
    belfry_scope_leave(&scope);
    if (http_request_is_held(rq))
        return;
    struct buffer *body = http_response_body(rs);
    if (is_json(http_response_content_type(rs)) && body->len > 0 &&
        body->ptr[body->len - 1] != '\n')
        buffer_append_byte(body, '\n');
}

/* ---- what each answer carries ---- */

static bool origin_is_allowed(const struct service_config *config, struct view origin, bool *any)
{
    for (const char *const *at = config->cors_origins; at && *at; at++) {
        *any = *any || strcmp(*at, "*") == 0;
        if (view_is(origin, *at))
            return true;
    }
    return *any;
}

/* Also of requests that were refused for what their headers hold. */
static bool is_origin(struct view text)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.ptr[i] < 0x21 || text.ptr[i] > 0x7e)
            return false;
    return text.len > 0 && text.len <= 1024;
}

static void set_cors(const struct service_config *config, struct http_request *rq,
                     struct http_response *rs)
{
    struct view origin = http_request_header(rq, "Origin");
    bool any = false;
    if (config->cors_origins == NULL || !is_origin(origin))
        return;
    http_response_add_vary(rs, "Origin");
    if (!origin_is_allowed(config, origin, &any))
        return;
    http_response_set_header(rs, "Access-Control-Allow-Origin",
                             any && !config->cors_credentials ? VIEW("*") : origin);
    if (config->cors_credentials)
        http_response_set_header(rs, "Access-Control-Allow-Credentials", VIEW("true"));
    http_response_set_header(rs, "Access-Control-Expose-Headers",
                             VIEW("X-Request-Id, ETag, Location, Retry-After"));
    if (http_request_method(rq) != HTTP_OPTIONS)
        return;
    http_response_set_header(rs, "Access-Control-Allow-Methods",
                             view_from(config->cors_methods
                                           ? config->cors_methods
                                           : "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"));
    http_response_set_header(rs, "Access-Control-Allow-Headers",
                             view_from(config->cors_headers
                                           ? config->cors_headers
                                           : "Accept, Authorization, Content-Type, "
                                             "Idempotency-Key, X-Request-Id"));
    http_response_set_header(rs, "Access-Control-Max-Age", VIEW("600"));
}

/* Any thread, once for each answer, whoever made it. */
static void on_decorate(void *arg, struct http_response *rs)
{
    struct service *s = arg;
    struct http_request *rq = http_response_request(rs);
    struct service_context *c = service_context_of(rq);
    http_response_set_header(rs, "X-Request-Id", view_from(service_request_id(rq)));
    http_response_set_header(rs, "Server", view_from(s->product));
    set_cors(&s->config, rq, rs);
    if (is_json(http_response_content_type(rs)))
        c->success = 2 + json_peek_bool(buffer_view(http_response_body(rs)), "success");
}

/* ---- at its end ---- */

static void log_error(struct service *s, const struct service_context *c,
                      const struct service_observation *seen)
{
    belfry_log_level level = seen->status >= 500 ? BELFRY_LOG_ERROR : BELFRY_LOG_WARN;
    BELFRY_LOG_AT(
        s->log, level, "http_error", BELFRY_STR("endpoint", seen->endpoint),
        BELFRY_STR("method", seen->method), BELFRY_INT("status_code", seen->status),
        BELFRY_STR("error_code", seen->error_code),
        BELFRY_STR("user_message", c->user_message ? c->user_message : ""),
        BELFRY_STR("developer_message", c->developer_message ? c->developer_message : ""));
}

static void log_request(struct service *s, const struct service_observation *seen)
{
    belfry_log_http line = {.endpoint = seen->endpoint,
                            .method = seen->method,
                            .status_code = seen->status,
                            .duration_ms = (uint64_t)(seen->seconds * 1000),
                            .success = seen->success,
                            .error_code = seen->error_code,
                            .bytes_in = seen->bytes_in,
                            .bytes_out = seen->bytes_out};
    belfry_log_http_request(s->log, &line);
}

static const char *method_upper(const char *lower)
{
    static const char *const METHODS[] = {"GET",  "POST",    "PUT",  "DELETE",
                                          "HEAD", "OPTIONS", "PATCH"};
    for (size_t i = 0; i < ARRAY_COUNT(METHODS); i++)
        if (strcasecmp(METHODS[i], lower) == 0)
            return METHODS[i];
    return "other";
}

static void on_observe(void *arg, const struct http_observation *http)
{
    struct service_port *port = arg;
    struct service *s = port->service;
    struct service_context *c = service_context_of(http->request);
    const char *endpoint = http_request_route_name(http->request);
    struct service_observation seen = {
        .endpoint = endpoint ? endpoint : "unmatched",
        .method = method_upper(http->method),
        .status = http->status,
        .seconds = http->seconds,
        .bytes_in = http->request_bytes,
        .bytes_out = http->sent_bytes,
        .success = c->success ? c->success - 2 : -1,
        .is_aborted = http->is_aborted,
        .is_main = port->is_main,
        .request = http->request,
    };
    if (seen.status >= 400)
        seen.error_code = c->error_code ? c->error_code : code_of(s, seen.status);
    belfry_scope scope;
    belfry_request_enter(service_request_of(http->request), &scope);
    if (seen.error_code)
        log_error(s, c, &seen);
    log_request(s, &seen);
    if (s->definition->observe)
        s->definition->observe(s->state, &seen); /* what it counts has the request as its example */
    belfry_scope_leave(&scope);
    if (c->is_counted)
        belfry_health_request_end(s->health, seen.status >= 500);
    service_request_set_state(http->request, NULL, NULL);
    belfry_request_end(c->request);
    c->request = NULL;
}

static void on_complaint(void *arg, const char *text)
{
    struct service_port *port = arg;
    belfry_log_debug(port->service->log, "http", BELFRY_STR("detail", text));
}

/* ---- /health, /ready, /metrics ---- */

static void send_text(struct http_response *rs, belfry_status status, char *text, size_t len)
{
    if (status != BELFRY_OK) {
        http_response_error(rs, 500, "%s", belfry_status_text(status));
        return;
    }
    http_response_set_content_type(rs, "application/json");
    http_response_set_header(rs, "Cache-Control", VIEW("no-store"));
    buffer_append(http_response_body(rs), text, len);
    belfry_text_free(text);
}

static void get_health(void *arg, struct http_request *rq, struct http_response *rs)
{
    struct service *s = arg;
    char *text;
    size_t len;
    (void)rq;
    belfry_status status = belfry_health_live_text(s->health, &text, &len);
    send_text(rs, status, text, len);
}

static void get_ready(void *arg, struct http_request *rq, struct http_response *rs)
{
    struct service *s = arg;
    char *text;
    size_t len;
    bool ready = false;
    (void)rq;
    belfry_status status = belfry_health_ready_text(s->health, &text, &len, &ready);
    if (status == BELFRY_OK && !ready)
        http_response_set_status(rs, 503);
    send_text(rs, status, text, len);
}

static bool metrics_are_allowed(void *arg, struct http_request *rq, struct http_response *rs)
{
    struct service *s = arg;
    const struct service_config *config = &s->config;
    if (!secret_is_set(&config->metrics_token))
        return true;
    enum service_bearer bearer = service_bearer_check(rq, &config->metrics_token);
    if (bearer == SERVICE_BEARER_RIGHT)
        return true;
    int status = config->metrics_denied_status ? config->metrics_denied_status : 401;
    const char *what = bearer == SERVICE_BEARER_MISSING ? "Missing authorization token"
                                                        : "Invalid authorization token";
    service_violation(rq, code_of(s, status), "%s", what);
    if (status == 401)
        http_response_set_header(rs, "WWW-Authenticate", VIEW("Bearer"));
    service_fail(rs, status, code_of(s, status), what, NULL);
    return false;
}

static bool append(void *arg, const char *bytes, size_t len)
{
    struct buffer *out = arg;
    buffer_append(out, bytes, len);
    return !out->failed;
}

static void get_metrics(void *arg, struct http_request *rq, struct http_response *rs)
{
    (void)arg;
    struct arena arena;
    belfry_exposition how;
    arena_init(&arena, MEM_HTTP, 0);
    http_exposition_read(rq, rs, &arena, &how);
    belfry_status status = belfry_registry_write(NULL, &how, append, http_response_body(rs));
    arena_deinit(&arena);
    if (status != BELFRY_OK)
        http_response_error(rs, 500, "%s", belfry_status_text(status));
}

/* ---- ports ---- */

static const struct service_route METRICS = {HTTP_GET,
                                             "/metrics",
                                             NULL,
                                             get_metrics,
                                             HTTP_RUN_ASIDE,
                                             .is_probe = true,
                                             .authorize = metrics_are_allowed};

static struct service_entry *entry_add(struct service *s, const struct service_route *route,
                                       void *state)
{
    ASSERT(s->port_count == 0 && s->entry_count < SERVICE_ROUTES_MAX);
    struct service_entry *entry = &s->entries[s->entry_count++];
    *entry = (struct service_entry){.service = s, .route = *route, .state = state};
    return entry;
}

void service_add_route(struct service *s, const struct service_route *route)
{
    (void)entry_add(s, route, NULL); /* its state is known when open() has returned */
}

void service_add_probe(struct service *s, const char *path, bool is_ready)
{
    const struct service_route route = {HTTP_GET,
                                        path,
                                        is_ready ? "/ready" : "/health",
                                        is_ready ? get_ready : get_health,
                                        HTTP_RUN_DIRECT,
                                        .is_probe = true};
    (void)entry_add(s, &route, s);
}

/* Probes answer also when all connections are taken; /metrics as long as it asks for no token. */
static bool is_public(const struct service_entry *entry)
{
    const struct service_route *r = &entry->route;
    return r->is_probe &&
           (r->authorize == NULL || (r->authorize == metrics_are_allowed &&
                                     !secret_is_set(&entry->service->config.metrics_token)));
}

static void route_add(struct http_server *http, struct service_entry *entry)
{
    const struct service_route *r = &entry->route;
    const struct http_route route = {.methods = r->methods,
                                     .path = r->path,
                                     .name = r->name,
                                     .role = is_public(entry) ? HTTP_ROLE_PUBLIC : HTTP_ROLE_VIEW,
                                     .run = r->run,
                                     .handler = on_handle,
                                     .ignores_query = r->ignores_query,
                                     .arg = entry,
                                     .gate = r->gate,
                                     .pool = r->pool,
                                     .retry_after_s = r->retry_after_s,
                                     .body_bytes_max = r->body_bytes_max,
                                     .receive = r->receive ? on_receive : NULL,
                                     .cors = entry->service->config.cors_origins != NULL};
    http_server_add_route(http, &route);
}

static struct http_tls *on_tls(void *arg)
{
    struct service *s = arg;
    mutex_lock(&s->mutex);
    struct http_tls *tls = s->tls ? http_tls_ref(s->tls) : NULL;
    mutex_unlock(&s->mutex);
    return tls;
}

static bool port_open(struct service *s, const char *address, bool is_main, struct error *err)
{
    struct service_port *port = &s->ports[s->port_count];
    *port = (struct service_port){.service = s, .is_main = is_main};
    int64_t grace_ms = s->common.grace_ms;
    struct http_server_options options = {
        .addresses = &address,
        .address_count = 1,
        .thread_count = is_main ? s->config.http_threads : 1,
        .connections_max = is_main ? (unsigned)s->common.connections_max : 64,
        .body_bytes_max = s->config.body_bytes_max ? s->config.body_bytes_max : BODY_BYTES_MAX,
        .bodies_bytes_max = s->config.bodies_bytes_max,
        .response_bytes_max = s->config.response_bytes_max,
        .idle_timeout_ms = IDLE_MS,
        .drain_timeout_ms = grace_ms ? grace_ms : 1,
        .line_bytes_max = LINE_BYTES_MAX,
        .header_bytes_max = HEADER_BYTES_MAX,
        .unknown_method_501 = true,
        .is_open_to_sites = true,
        .context_bytes = sizeof(struct service_context),
        .access = on_access,
        .tls = s->tls ? on_tls : NULL,
        .decorate = on_decorate,
        .access_arg = s,
        .error_body = on_error,
        .observe = on_observe,
        .observe_arg = port,
        .log = on_complaint,
        .log_arg = port};
    if (!http_server_open(&port->http, &options, err))
        return false;
    s->port_count++;
    return true;
}

bool service_http_open(struct service *s, struct error *err)
{
    struct service_entry *metrics = entry_add(s, &METRICS, s);
    service_add_probe(s, "/health", false);
    service_add_probe(s, "/ready", true);
    for (size_t i = 0; i < s->entry_count; i++)
        if (s->entries[i].state == NULL)
            s->entries[i].state = s->state;
    if (!port_open(s, s->config.listen, true, err))
        return false;
    if (s->config.metrics_listen) {
        if (!port_open(s, s->config.metrics_listen, false, err))
            return error_wrap(err, "metrics listener");
        route_add(s->ports[1].http, metrics);
    }
    /* The kit's own go first: no "/{*rest}" hides them. */
    for (size_t i = 0; i < s->entry_count; i++)
        if (s->entries[i].state == s)
            route_add(s->ports[0].http, &s->entries[i]);
    for (size_t i = 0; i < s->entry_count; i++)
        if (s->entries[i].state != s)
            route_add(s->ports[0].http, &s->entries[i]);
    return true;
}

bool service_http_start(struct service *s, struct error *err)
{
    for (size_t i = 0; i < s->port_count; i++)
        if (!http_server_start(s->ports[i].http, err))
            return false;
    return true;
}

void service_http_stop(struct service *s)
{
    for (size_t i = 0; i < s->port_count; i++) /* metrics last: the end can be watched */
        http_server_stop(s->ports[i].http);
    for (size_t i = 0; i < s->port_count; i++)
        http_server_close(s->ports[i].http);
    s->port_count = 0;
}

static bool read_pem(const char *path, struct buffer *out, struct error *err)
{
    return file_check_readable(path, PEM_BYTES_MAX, err) && file_read_all(path, out, err);
}

bool service_tls_load(struct service *s, struct error *err)
{
    struct buffer certificate, key;
    struct http_tls *tls = NULL;
    buffer_init(&certificate, MEM_HTTP, PEM_BYTES_MAX);
    buffer_init(&key, MEM_HTTP, PEM_BYTES_MAX);
    bool ok = read_pem(s->common.tls_cert_file, &certificate, err) &&
              read_pem(s->common.tls_key_file, &key, err);
    if (ok) {
        struct http_tls_options options = {.certificate = buffer_view(&certificate),
                                           .key = secret_from(buffer_view(&key))};
        ok = http_tls_new(&tls, &options, err);
    }
    if (key.ptr)
        explicit_bzero(key.ptr, key.len);
    buffer_deinit(&certificate);
    buffer_deinit(&key);
    if (!ok)
        return false;
    mutex_lock(&s->mutex);
    struct http_tls *old = s->tls;
    s->tls = tls;
    mutex_unlock(&s->mutex);
    http_tls_unref(old);
    return true;
}
