/* SPDX-License-Identifier: Apache-2.0 */
#include "service/service_request.h"

#include "base/assert.h"
#include "service/service_private.h"

#include <gnutls/gnutls.h>
#include <stdarg.h>
#include <string.h>

struct service_context *service_context_of(const struct http_request *rq)
{
    return http_request_context(rq);
}

static belfry_request *request_new(struct http_request *rq, struct view id)
{
    belfry_request *out;
    struct view parent = http_request_header(rq, "traceparent"),
                state = http_request_header(rq, "tracestate");
    belfry_request_options options = {
        .request_id = id.len ? id.ptr : NULL,
        .request_id_bytes = id.len,
        .traceparent = parent.len ? parent.ptr : NULL,
        .traceparent_bytes = parent.len,
        .tracestate = state.len ? state.ptr : NULL,
        .tracestate_bytes = state.len,
    };
    return belfry_request_new(&out, &options) == BELFRY_OK ? out : NULL;
}

belfry_request *service_request_of(struct http_request *rq)
{
    struct service_context *c = service_context_of(rq);
    if (c->request == NULL)
        c->request = request_new(rq, http_request_header(rq, "X-Request-Id"));
    return c->request;
}

belfry_request *service_request_copy(struct http_request *rq)
{
    return request_new(rq, view_from(service_request_id(rq)));
}

const char *service_request_id(struct http_request *rq)
{
    const belfry_request *request = service_request_of(rq);
    return request ? belfry_request_id(request) : "";
}

const char *service_request_address(struct http_request *rq)
{
    struct view peer = view_from(http_request_peer(rq));
    size_t end = peer.len;
    while (end > 0 && peer.ptr[end - 1] != ':')
        end--;
    peer = view_slice(peer, 0, end > 0 ? end - 1 : peer.len);
    if (peer.len >= 2 && peer.ptr[0] == '[')
        peer = view_slice(peer, 1, peer.len - 1);
    return arena_copy(http_request_arena(rq), peer).ptr;
}

void service_request_set_state(struct http_request *rq, void *state, void (*release)(void *state))
{
    struct service_context *c = service_context_of(rq);
    if (c->release)
        c->release(c->state);
    c->state = state;
    c->release = release;
}

void *service_request_state(struct http_request *rq)
{
    return service_context_of(rq)->state;
}

static const char *arena_text(struct http_request *rq, const char *text)
{
    return arena_copy(http_request_arena(rq), view_from(text)).ptr;
}

void service_fail(struct http_response *rs, int status, const char *code, const char *user_message,
                  const char *developer_format, ...)
{
    struct http_request *rq = http_response_request(rs);
    struct service_context *c = service_context_of(rq);
    struct error detail = {0};
    if (developer_format) {
        va_list args;
        va_start(args, developer_format);
        (void)error_setv(&detail, ERROR_INTERNAL, developer_format, args); /* bounded formatting */
        va_end(args);
    }
    c->error_code = code;
    c->user_message = arena_text(rq, user_message);
    c->developer_message = arena_text(rq, detail.message);
    http_response_error(rs, status, "%s", user_message);
}

void service_set_error_extra(struct http_request *rq, struct view extra)
{
    service_context_of(rq)->extra = arena_copy(http_request_arena(rq), extra);
}

void service_violation(struct http_request *rq, const char *code, const char *format, ...)
{
    struct service *s = http_request_server_arg(rq);
    struct error detail = {0};
    va_list args;
    va_start(args, format);
    (void)error_setv(&detail, ERROR_INTERNAL, format, args); /* bounded formatting */
    va_end(args);
    const char *endpoint = http_request_route_name(rq);
    belfry_scope scope;
    belfry_scope_enter(&scope, service_request_id(rq), NULL, 0);
    belfry_log_error(
        s->log, "security_violation", BELFRY_STR("endpoint", endpoint ? endpoint : "unmatched"),
        BELFRY_STR("error_code", code), BELFRY_STR("remote_addr", service_request_address(rq)),
        BELFRY_STR("detail", detail.message));
    belfry_scope_leave(&scope);
}

struct buffer *service_json(struct http_response *rs)
{
    http_response_set_content_type(rs, "application/json");
    return http_response_body(rs);
}

bool service_secret_equals(const struct secret *secret, struct view text)
{
    struct view want = secret_reveal(secret);
    return want.len == text.len && gnutls_memcmp(want.ptr, text.ptr, text.len) == 0;
}

enum service_bearer service_bearer_check(struct http_request *rq, const struct secret *token)
{
    struct view value = http_request_header(rq, "Authorization");
    if (!view_has_prefix_any_case(value, "Bearer "))
        return SERVICE_BEARER_MISSING;
    value = view_slice(value, 7, value.len);
    while (value.len && value.ptr[0] == ' ')
        value = view_slice(value, 1, value.len);
    return service_secret_equals(token, value) ? SERVICE_BEARER_RIGHT : SERVICE_BEARER_WRONG;
}
