/* SPDX-License-Identifier: Apache-2.0 */
/* api_envelope.c: what every answer of /api/v1 has around it, as Prometheus writes it. */
#include "api/api_private.h"
#include "base/json_write.h"

#include <stdio.h>

struct buffer *api_begin(struct http_response *rs)
{
    struct buffer *b = http_response_body(rs);
    http_response_set_content_type(rs, "application/json");
    buffer_append_literal(b, "{\"status\":\"success\",\"data\":");
    return b;
}

void api_string_list(struct buffer *b, const char *name, const struct view *items, size_t count)
{
    if (count == 0)
        return;
    buffer_printf(b, ",\"%s\":[", name);
    for (size_t i = 0; i < count; i++) {
        if (i)
            buffer_append_byte(b, ',');
        json_string(b, items[i]);
    }
    buffer_append_byte(b, ']');
}

void api_annotations(struct buffer *b, const char *name, const char *kind, const struct view *items,
                     size_t count)
{
    enum { SHOWN_MAX = 10 }; /* as Prometheus */
    struct view shown[SHOWN_MAX + 1];
    char more[64];
    size_t n = count < SHOWN_MAX ? count : SHOWN_MAX;
    for (size_t i = 0; i < n; i++)
        shown[i] = items[i];
    if (count > SHOWN_MAX) {
        (void)snprintf(more, sizeof more, "%zu more %s annotations omitted", count - SHOWN_MAX,
                       kind);
        shown[n++] = view_from(more);
    }
    api_string_list(b, name, shown, n);
}

void api_end(struct http_response *rs)
{
    buffer_append_byte(http_response_body(rs), '}');
}

void api_end_limited(struct http_response *rs, bool truncated)
{
    const struct view warning = VIEW("results truncated due to limit");
    api_string_list(http_response_body(rs), "warnings", &warning, truncated);
    api_end(rs);
}

static const char *error_type(enum error_kind kind)
{
    switch (kind) {
    case ERROR_INPUT:
    case ERROR_USAGE:
    case ERROR_TOO_LARGE:
        return "bad_data";
    case ERROR_EXECUTION:
    case ERROR_LIMIT:
        return "execution";
    case ERROR_TIMEOUT:
        return "timeout";
    case ERROR_CANCELED:
        return "canceled";
    case ERROR_NOT_FOUND:
        return "not_found";
    case ERROR_BUSY:
    case ERROR_NO_SPACE:
    case ERROR_UNAVAILABLE:
        return "unavailable";
    default:
        return "internal";
    }
}

static const char *status_error_type(int status)
{
    switch (status) {
    case 401:
        return "unauthorized";
    case 403:
        return "forbidden";
    case 404:
        return "not_found";
    case 429:
    case 503:
        return "unavailable";
    default:
        return status < 500 || status == 505 ? "bad_data" : "internal";
    }
}

static void error_write(struct buffer *b, const char *type, struct view message)
{
    buffer_printf(b, "{\"status\":\"error\",\"errorType\":\"%s\",\"error\":", type);
    json_string(b, message);
    buffer_append_byte(b, '}');
}

const char *api_error_body(struct http_request *rq, int status, struct view text,
                           struct buffer *out)
{
    if (!view_has_prefix(http_request_target(rq), VIEW("/api/")))
        return NULL;
    if (view_has_prefix(http_request_target(rq), VIEW("/api/v2/"))) { /* as go-openapi has it */
        buffer_printf(out, "{\"code\":%d,\"message\":", status);
        json_string(out, text);
        buffer_append_byte(out, '}');
        return "application/json";
    }
    error_write(out, status_error_type(status), text);
    return "application/json";
}

void api_error(struct http_response *rs, const struct error *err)
{
    struct buffer *b = http_response_body(rs);
    buffer_reset(b);
    http_response_set_status(rs, err->kind == ERROR_TOO_LARGE ? 400 : error_http_status(err->kind));
    http_response_set_content_type(rs, "application/json");
    error_write(b, error_type(err->kind), view_from(err->message));
}

void api_error_param(struct http_response *rs, const char *name, struct error *err)
{
    (void)error_wrap(err, "invalid parameter \"%s\"", name); /* always false */
    api_error(rs, err);
}

void api_field_string(struct buffer *b, const char *name, struct view value)
{
    buffer_printf(b, "\"%s\":", name);
    json_string(b, value);
}

void api_field_int(struct buffer *b, const char *name, int64_t value)
{
    buffer_printf(b, "\"%s\":", name);
    json_int(b, value);
}

void api_labels(struct buffer *b, struct labels ls)
{
    buffer_append_byte(b, '{');
    for (uint32_t i = 0; i < ls.count; i++) {
        if (i)
            buffer_append_byte(b, ',');
        json_string(b, ls.items[i].name);
        buffer_append_byte(b, ':');
        json_string(b, ls.items[i].value);
    }
    buffer_append_byte(b, '}');
}
