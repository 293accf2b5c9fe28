/* SPDX-License-Identifier: Apache-2.0 */
/* api.c: the API as a whole, health and metrics. Its routes: api_routes.c. */
#include "api/api.h"

#include "api/api_private.h"
#include "net/http_exposition.h"

#include <stdio.h>
#include <unistd.h>

enum { QUERIES_DEFAULT = 20, QUERIES_WAITING_MAX = 1000 };
/* Writes that wait for a thread: a few hundred ms of work. More are answered with 429. */
enum { WRITES_WAITING_MAX = 64 };

void api_serve_healthy(struct api *api, struct http_request *rq, struct http_response *rs)
{
    (void)api;
    (void)rq;
    http_response_set_content_type(rs, "text/plain; charset=utf-8");
    buffer_append_literal(http_response_body(rs), "Prometheus Server is Healthy.\n");
}

void api_serve_ready(struct api *api, struct http_request *rq, struct http_response *rs)
{
    (void)api;
    (void)rq;
    http_response_set_content_type(rs, "text/plain; charset=utf-8");
    buffer_append_literal(http_response_body(rs), "Prometheus Server is Ready.\n");
}

static void serve_exposition(struct api *api, struct http_request *rq, struct http_response *rs,
                             void (*write)(void *arg, const belfry_exposition *how,
                                           struct buffer *out))
{
    struct arena arena;
    belfry_exposition how;
    arena_init(&arena, MEM_QUERY, 0);
    http_exposition_read(rq, rs, &arena, &how);
    write(api->options.arg, &how, http_response_body(rs));
    arena_deinit(&arena);
}

void api_serve_metrics(struct api *api, struct http_request *rq, struct http_response *rs)
{
    serve_exposition(api, rq, rs, api->options.metrics);
}

void api_serve_host_metrics(struct api *api, struct http_request *rq, struct http_response *rs)
{
    serve_exposition(api, rq, rs, api->options.host_metrics);
}

void api_serve_reload(struct api *api, struct http_request *rq, struct http_response *rs)
{
    (void)rq;
    struct error err = {0};
    if (api->options.reload && !api->options.reload(api->options.arg, &err))
        http_response_error(rs, 500, "failed to reload config: %s", err.message);
}

void api_serve_quit(struct api *api, struct http_request *rq, struct http_response *rs)
{
    (void)rq;
    http_response_set_content_type(rs, "text/plain; charset=utf-8");
    buffer_append_literal(http_response_body(rs), "Requesting termination... Goodbye!");
    if (api->options.quit)
        api->options.quit(api->options.arg);
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
    active_queries_init(&api->active);
    query_log_init(&api->query_log);
    api->write_gate = http_gate_new(opts->write_pool ? pool_worker_count(opts->write_pool) : 1,
                                    WRITES_WAITING_MAX);
    return api;
}

void api_free(struct api *api)
{
    if (api == NULL)
        return;
    http_gate_free(api->gate);
    active_queries_deinit(&api->active);
    query_log_deinit(&api->query_log);
    http_gate_free(api->write_gate);
    mem_free(MEM_HTTP, api->endpoints);
    mem_free(MEM_HTTP, api);
}

bool api_apply_config(struct api *api, const struct api_config *config, struct error *err)
{
    if (!query_log_open(&api->query_log, config->query_log_file, err))
        return false;
    atomic_store_explicit(&api->subquery_step_ms, config->evaluation_interval_ms,
                          memory_order_relaxed);
    return true;
}

void api_stats_get(struct api *api, struct api_stats *out)
{
    out->query_log_open = query_log_is_open(&api->query_log);
    out->query_log_failed = atomic_load_explicit(&api->query_log.failed, memory_order_relaxed);
    out->queries_running = http_gate_running(api->gate);
    out->queries_waiting = http_gate_waiting(api->gate);
    out->queries_total = atomic_load_explicit(&api->queries_total, memory_order_relaxed);
    out->queries_failed = atomic_load_explicit(&api->queries_failed, memory_order_relaxed);
    out->federation_errors = atomic_load_explicit(&api->federation_errors, memory_order_relaxed);
}
