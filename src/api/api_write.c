/* SPDX-License-Identifier: Apache-2.0 */
/* api_write.c: POST /api/v1/write: the headers of remote write 1.0 and its answers. A status of 4xx other than 429
 * tells the sender to drop the request, 429 and 5xx to send it again later. Errors are lines of text, as senders log
 * them. Requests run on a pool of their own, so that queries and writes do not wait for each other. */
#include "api/api_private.h"
#include "ingest/remote_write.h"

static void answer(struct http_response *rs, int status, struct view text)
{
    struct buffer *b = http_response_body(rs);
    buffer_reset(b);
    http_response_set_status(rs, status);
    http_response_set_content_type(rs, "text/plain; charset=utf-8");
    if (status == 429 || status == 503)
        http_response_set_header(rs, "Retry-After", VIEW("1"));
    buffer_append_view(b, text);
    buffer_append_byte(b, '\n');
}

/* "application/x-protobuf", alone or with proto=prometheus.WriteRequest; nothing at all is taken for it, as
 * Prometheus does for senders from before there was a choice. */
static bool check_type(struct view type, struct error *err)
{
    if (type.len == 0)
        return true;
    struct view rest = type, media = api_cut(&rest, ';');
    if (!view_eq_any_case(media, VIEW("application/x-protobuf")))
        return error_set(err, ERROR_INPUT,
                         "expected application/x-protobuf as the content type, got \"%.*s\"",
                         VIEW_ARGS(view_slice(type, 0, 200)));
    while (rest.len) {
        struct view part = api_cut(&rest, ';');
        if (!view_has_prefix_any_case(part, "proto="))
            continue;
        struct view proto = view_slice(part, 6, part.len);
        if (view_is(proto, "prometheus.WriteRequest"))
            continue;
        if (view_is(proto, "io.prometheus.write.v2.Request"))
            return error_set(err, ERROR_INPUT,
                             "remote write 2.0 (io.prometheus.write.v2.Request) is not accepted by "
                             "this server: send prometheus.WriteRequest, remote write 1.0");
        return error_set(err, ERROR_INPUT,
                         "unknown remote write message \"%.*s\": expected prometheus.WriteRequest",
                         VIEW_ARGS(view_slice(proto, 0, 200)));
    }
    return true;
}

static bool check_encoding(struct view encoding, struct error *err)
{
    return encoding.len == 0 || view_eq_any_case(encoding, VIEW("snappy")) ||
           error_set(err, ERROR_INPUT,
                     "%.*s encoding (compression) is not accepted by this server; only snappy is "
                     "acceptable",
                     VIEW_ARGS(view_slice(encoding, 0, 200)));
}

void api_serve_write(struct api *api, struct http_request *rq, struct http_response *rs)
{
    struct error err;
    struct write_outcome outcome;
    if (!api->options.remote_write) {
        answer(rs, 503, VIEW("the remote write receiver does not run"));
        return;
    }
    if (!check_type(http_request_header(rq, "Content-Type"), &err) ||
        !check_encoding(http_request_header(rq, "Content-Encoding"), &err)) {
        answer(rs, 415, view_from(err.message));
        return;
    }
    remote_write_receive(api->options.remote_write, http_request_body(rq), &outcome);
    if (outcome.status == 204)
        http_response_set_status(rs, 204);
    else
        answer(rs, outcome.status, view_from(outcome.err.message));
}
