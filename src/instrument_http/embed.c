/* SPDX-License-Identifier: Apache-2.0 */
/* embed.c: an answer held whole: as plain bytes for any server, and for the program's own libmicrohttpd. */
#include "instrument/text.h"
#include "instrument_http/answer.h"

#include <microhttpd.h>
#include <stdlib.h>
#include <string.h>

struct body {
    struct text text;
    size_t bytes_max;
    bool is_too_large;
};

static bool append(void *arg, const char *bytes, size_t len)
{
    struct body *b = arg;
    b->is_too_large = len > b->bytes_max - b->text.len;
    if (b->is_too_large)
        return false;
    belfry__text_append(&b->text, bytes, len);
    return !b->text.failed;
}

/* The whole body; a plan that cannot be kept becomes a refusal. */
static void make_body(const belfry_http *http, struct http_plan *plan, struct text *out)
{
    struct body b = {.bytes_max = belfry__http_answer_bytes_max(http)};
    if (plan->is_metrics && !plan->is_head && !belfry__http_render(http, plan, append, &b)) {
        belfry__text_deinit(&b.text);
        b.text = (struct text){0};
        belfry__plan_refuse(plan, b.is_too_large ? 500 : 503,
                            b.is_too_large ? "the metrics are larger than the limit of an answer"
                                           : "503 Service Unavailable: no memory");
    }
    if (!plan->is_metrics && !plan->is_head)
        belfry__text_string(&b.text, belfry__plan_text(plan));
    *out = b.text;
}

void belfry_http_answer_make(belfry_http *http, const belfry_http_request *request,
                             belfry_http_answer *out)
{
    struct http_plan plan;
    struct text body;
    if (!out)
        return;
    *out = (belfry_http_answer){.status = 500};
    if (!http || !request)
        return;
    const struct http_query query = {.method = request->method ? request->method : "",
                                     .path = request->target ? request->target : "",
                                     .accept = request->accept,
                                     .accept_encoding = request->accept_encoding,
                                     .authorization = request->authorization};
    const char *mark = strchr(query.path, '?');
    belfry__plan_init(&plan, http, &query);
    belfry__plan_take_query(&plan, mark ? mark + 1 : NULL);
    make_body(http, &plan, &body);
    *out = (belfry_http_answer){.status = plan.status,
                                .header_count = plan.header_count,
                                .body = body.ptr,
                                .body_bytes = body.len};
    memcpy(out->headers, plan.headers, sizeof out->headers);
    belfry__plan_deinit(&plan);
}

void belfry_http_answer_release(belfry_http_answer *answer)
{
    if (!answer)
        return;
    free(answer->body);
    *answer = (belfry_http_answer){0};
}

/* ---- libmicrohttpd ---- */

static enum MHD_Result take_argument(void *arg, enum MHD_ValueKind kind, const char *name,
                                     const char *value)
{
    (void)kind;
    if (value && value[0] && strcmp(name, "name[]") == 0)
        belfry__plan_add_name(arg, value, strlen(value));
    return MHD_YES;
}

int belfry_http_answer_mhd(belfry_http *http, struct MHD_Connection *c, const char *url,
                           const char *method)
{
    struct http_plan plan;
    struct text body;
    if (!http)
        return MHD_NO;
    const struct http_query query = {
        .method = method,
        .path = url,
        .accept = MHD_lookup_connection_value(c, MHD_HEADER_KIND, "Accept"),
        .accept_encoding = MHD_lookup_connection_value(c, MHD_HEADER_KIND, "Accept-Encoding"),
        .authorization = MHD_lookup_connection_value(c, MHD_HEADER_KIND, "Authorization")};
    belfry__plan_init(&plan, http, &query);
    (void)MHD_get_connection_values(c, MHD_GET_ARGUMENT_KIND, take_argument,
                                    &plan); /* their number */
    make_body(http, &plan, &body);
    struct MHD_Response *response =
        MHD_create_response_from_buffer(body.len, body.ptr, MHD_RESPMEM_MUST_FREE);
    enum MHD_Result result = MHD_NO;
    if (response) {
        bool ok = true;
        for (size_t i = 0; ok && i < plan.header_count; i++)
            ok = MHD_add_response_header(response, plan.headers[i].name, plan.headers[i].value) ==
                 MHD_YES;
        if (ok)
            result = MHD_queue_response(c, (unsigned)plan.status, response);
        MHD_destroy_response(response); /* the connection has its own reference */
    } else {
        belfry__text_deinit(&body);
    }
    belfry__plan_deinit(&plan);
    return result;
}
