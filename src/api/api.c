/* SPDX-License-Identifier: Apache-2.0 */
/* api.c: the API as a whole: its routes, health and metrics. */
#include "api/api.h"

#include "api/api_private.h"
#include "base/assert.h"

#include <stdio.h>
#include <unistd.h>

enum { QUERIES_DEFAULT = 20, QUERIES_WAITING_MAX = 1000 };

static void endpoint_run(void *arg, struct http_request *rq, struct http_response *rs)
{
    const struct endpoint *e = arg;
    const struct api_options *o = &e->api->options;
    if (!e->always && o->is_ready && !o->is_ready(o->arg)) {
        http_response_error(rs, 503, "Service Unavailable");
        return;
    }
    e->run(e->api, rq, rs);
}

void api_add(struct api *api, struct http_server *server, struct http_route route, api_run run,
             bool always)
{
    ASSERT(api->endpoint_count < API_ENDPOINTS_MAX);
    struct endpoint *e = &api->endpoints[api->endpoint_count++];
    *e = (struct endpoint){api, run, always};
    route.handler = endpoint_run;
    route.arg = e;
    http_server_add_route(server, &route);
}

static void healthy(struct api *api, struct http_request *rq, struct http_response *rs)
{
    (void)api;
    (void)rq;
    http_response_set_content_type(rs, "text/plain; charset=utf-8");
    buffer_append_literal(http_response_body(rs), "Prometheus Server is Healthy.\n");
}

static void ready(struct api *api, struct http_request *rq, struct http_response *rs)
{
    (void)api;
    (void)rq;
    http_response_set_content_type(rs, "text/plain; charset=utf-8");
    buffer_append_literal(http_response_body(rs), "Prometheus Server is Ready.\n");
}

static void metrics(struct api *api, struct http_request *rq, struct http_response *rs)
{
    (void)rq;
    http_response_set_content_type(rs, "text/plain; version=0.0.4; charset=utf-8");
    api->options.metrics(api->options.arg, http_response_body(rs));
}

static void host_metrics(struct api *api, struct http_request *rq, struct http_response *rs)
{
    (void)rq;
    http_response_set_content_type(rs, "text/plain; version=0.0.4; charset=utf-8");
    api->options.host_metrics(api->options.arg, http_response_body(rs));
}

struct api *api_new(const struct api_options *opts)
{
    struct api *api = mem_alloc_zero(MEM_HTTP, 1, sizeof *api);
    api->options = *opts;
    if (api->options.version == NULL)
        api->options.version = BELFRY_VERSION;
    if (opts->server_name)
        (void)snprintf(api->server_name, sizeof api->server_name, "%s", opts->server_name);
    else if (gethostname(api->server_name, sizeof api->server_name - 1) != 0)
        api->server_name[0] = '\0'; /* shown as empty */
    unsigned max = opts->query_concurrency_max ? opts->query_concurrency_max : QUERIES_DEFAULT;
    api->gate = http_gate_new(max, QUERIES_WAITING_MAX);
    return api;
}

void api_free(struct api *api)
{
    if (api == NULL)
        return;
    http_gate_free(api->gate);
    mem_free(MEM_HTTP, api);
}

void api_add_routes(struct api *api, struct http_server *server)
{
    const struct http_route base = {.methods = HTTP_GET, .role = HTTP_ROLE_PUBLIC};
    struct http_route route = base;
    route.path = "/-/healthy";
    api_add(api, server, route, healthy, true);
    route.path = "/-/ready";
    api_add(api, server, route, ready, false);
    route.role = HTTP_ROLE_VIEW;
    route.run = HTTP_RUN_ASIDE;
    if (api->options.metrics) {
        route.path = "/metrics";
        api_add(api, server, route, metrics, true);
    }
    if (api->options.host_metrics) {
        route.path = "/metrics/host";
        api_add(api, server, route, host_metrics, true);
    }
    api_query_routes(api, server);
    api_series_routes(api, server);
    api_status_routes(api, server);
    api_targets_routes(api, server);
    api_page_routes(api, server);
}

void api_stats_get(const struct api *api, struct api_stats *out)
{
    out->queries_running = http_gate_running(api->gate);
    out->queries_waiting = http_gate_waiting(api->gate);
    out->queries_total = atomic_load_explicit(&api->queries_total, memory_order_relaxed);
    out->queries_failed = atomic_load_explicit(&api->queries_failed, memory_order_relaxed);
}
