/* SPDX-License-Identifier: Apache-2.0 */
/* api_routes.c: every route of the server, and who may use it. A path that has no row here does not exist: nothing
 * else in src/ adds routes (tests/tidy looks). To add one: write its handler, declare it in api_private.h, put its
 * row here. All arguments of ROUTE are mandatory, so a row without a role does not compile.
 *
 *   switch   ALWAYS, or the flag that opens the route as in Prometheus; while it is off the route says so
 *   body     most bytes that a request may bring, decided before anything of it is read
 *   needs    the part of the server without which the route is not there
 *   how      GATED: one of --query.max-concurrency; CORS: other origins may read it as --web.cors.origin says;
 *            WRITES: on the threads of writes, 429 when they are busy; PAGE: shown by a browser; EARLY: answers before the server is ready, too
 *
 * The roles: PUBLIC asks nobody who he is and is for health, the login page and what that loads. VIEW reads what is
 * stored. SILENCE is for those who are on call. EDIT brings data in or changes what the server does with it. ADMIN
 * deletes, stops, reloads. Secrets are not shown to anybody, so VIEW may read configuration and flags. */
#include "api/api_private.h"

#include "base/assert.h"
#include "ingest/remote_write.h"

#define GET HTTP_GET
#define POST HTTP_POST
#define PUT HTTP_PUT
#define DELETE HTTP_DELETE
#define CORS API_HOW_CORS
#define GATED API_HOW_GATED
#define PAGE API_HOW_PAGE
#define EARLY API_HOW_EARLY
#define WRITES API_HOW_WRITES
#define PAST API_HOW_PAST
#define NOTHING API_NEEDS_NOTHING
/* clang-format off */
#define ROUTE(methods, path, role, switch_, body, run, needs, how, serve) \
    {methods, path, HTTP_ROLE_##role, API_SWITCH_##switch_, body, HTTP_RUN_##run, needs, how, serve}
enum { NONE = API_BODY_NONE, FORM = 10 << 20, LOGIN = 32 << 10, SILENCE_BODY = 1 << 20 };

const struct api_route API_ROUTES[] = {
    ROUTE(GET,      "/-/healthy",                  PUBLIC, ALWAYS,    NONE, DIRECT, NOTHING,        EARLY,      api_serve_healthy),
    ROUTE(GET,      "/-/ready",                    PUBLIC, ALWAYS,    NONE, DIRECT, NOTHING,        0,          api_serve_ready),
    ROUTE(POST|PUT, "/-/reload",                   ADMIN,  LIFECYCLE, NONE, ASIDE,  NOTHING,        0,          api_serve_reload),
    ROUTE(POST|PUT, "/-/quit",                     ADMIN,  LIFECYCLE, NONE, DIRECT, NOTHING,        EARLY,      api_serve_quit),

    ROUTE(GET,      "/login",                      PUBLIC, ALWAYS,    NONE, DIRECT, API_NEEDS_ACCESS, PAGE|EARLY, api_serve_login_page),
    ROUTE(POST,     "/login",                      PUBLIC, ALWAYS,   LOGIN, ASIDE,  API_NEEDS_ACCESS, PAGE|EARLY, api_serve_login),
    ROUTE(POST,     "/logout",                     PUBLIC, ALWAYS,    NONE, ASIDE,  API_NEEDS_ACCESS, EARLY,    api_serve_logout),

    ROUTE(GET,      "/metrics",                    VIEW,   ALWAYS,    NONE, ASIDE,  API_NEEDS_METRICS,      EARLY, api_serve_metrics),
    ROUTE(GET,      "/metrics/host",               VIEW,   ALWAYS,    NONE, ASIDE,  API_NEEDS_HOST_METRICS, EARLY, api_serve_host_metrics),

    ROUTE(GET|POST, "/api/v1/query",               VIEW,   ALWAYS,    FORM, POOL,   NOTHING,        GATED|CORS, api_serve_query),
    ROUTE(GET|POST, "/api/v1/query_range",         VIEW,   ALWAYS,    FORM, POOL,   NOTHING,        GATED|CORS, api_serve_query_range),
    ROUTE(GET|POST, "/api/v1/query_exemplars",     VIEW,   ALWAYS,    FORM, POOL,   API_NEEDS_DB,   CORS,       api_serve_query_exemplars),
    ROUTE(GET|POST, "/api/v1/format_query",        VIEW,   ALWAYS,    FORM, ASIDE,  NOTHING,        CORS,       api_serve_format_query),
    ROUTE(GET|POST, "/api/v1/parse_query",         VIEW,   ALWAYS,    FORM, ASIDE,  NOTHING,        CORS,       api_serve_parse_query),
    ROUTE(GET,      "/api/v1/status/active_queries", VIEW, ALWAYS,    NONE, ASIDE,  NOTHING,        CORS,       api_serve_active_queries),
    ROUTE(DELETE,   "/api/v1/status/active_queries/{id}", EDIT, ALWAYS, NONE, ASIDE, NOTHING,       0,          api_serve_active_query_cancel),
    ROUTE(GET|POST, "/api/v1/series",              VIEW,   ALWAYS,    FORM, POOL,   NOTHING,        CORS,       api_serve_series),
    ROUTE(GET|POST, "/api/v1/labels",              VIEW,   ALWAYS,    FORM, POOL,   NOTHING,        CORS,       api_serve_label_names),
    ROUTE(GET,      "/api/v1/label/{name}/values", VIEW,   ALWAYS,    NONE, POOL,   NOTHING,        CORS,       api_serve_label_values),

    ROUTE(GET,      "/federate",                   VIEW,   ALWAYS,    NONE, POOL,   NOTHING,        GATED,      api_serve_federate),
    ROUTE(POST,     "/api/v1/write",               EDIT,   REMOTE_WRITE, REMOTE_WRITE_BODY_MAX, POOL, NOTHING, WRITES, api_serve_write),

    ROUTE(GET,      "/api/v1/targets",             VIEW,   ALWAYS,    NONE, ASIDE,  API_NEEDS_SCRAPE, CORS,     api_serve_targets),
    ROUTE(GET,      "/api/v1/targets/metadata",    VIEW,   ALWAYS,    NONE, ASIDE,  API_NEEDS_SCRAPE, CORS,     api_serve_target_metadata),
    ROUTE(GET,      "/api/v1/scrape_pools",        VIEW,   ALWAYS,    NONE, ASIDE,  API_NEEDS_SCRAPE, CORS,     api_serve_scrape_pools),
    ROUTE(GET,      "/api/v1/targets/relabel_steps", VIEW, ALWAYS,    NONE, ASIDE,  API_NEEDS_SCRAPE, CORS,     api_serve_relabel_steps),
    ROUTE(GET,      "/api/v1/rules",               VIEW,   ALWAYS,    NONE, ASIDE,  API_NEEDS_RULES, CORS,      api_serve_rules),
    ROUTE(GET,      "/api/v1/alerts",              VIEW,   ALWAYS,    NONE, ASIDE,  API_NEEDS_RULES, CORS,      api_serve_alerts),
    ROUTE(GET,      "/api/v1/heartbeats",          VIEW,   ALWAYS,    NONE, ASIDE,  API_NEEDS_HEARTBEATS, CORS, api_serve_heartbeats),
    ROUTE(POST|PUT, "/api/v1/heartbeats/{name}",   EDIT,   ALWAYS,    NONE, DIRECT, API_NEEDS_HEARTBEATS, 0,   api_serve_heartbeat),
    ROUTE(GET,      "/api/v1/alerts/explain",      VIEW,   ALWAYS,    NONE, ASIDE,  API_NEEDS_ROUTER, CORS,     api_serve_alert_explain),
    ROUTE(GET,      "/api/v1/alertmanagers",       VIEW,   ALWAYS,    NONE, ASIDE,  API_NEEDS_NOTIFIER, CORS,   api_serve_alertmanagers),
    ROUTE(GET,      "/api/v1/notifications",       VIEW,   ALWAYS,    NONE, DIRECT, API_NEEDS_NOTIFICATIONS, CORS|EARLY, api_serve_notifications),
    ROUTE(GET,      "/api/v1/notifications/live",  VIEW,   ALWAYS,    NONE, DIRECT, API_NEEDS_NOTIFICATIONS, CORS|EARLY, api_serve_notifications_live),
    ROUTE(GET,      "/api/v1/metadata",            VIEW,   ALWAYS,    NONE, ASIDE,  API_NEEDS_DB,   CORS,       api_serve_metadata),

    ROUTE(GET,      "/api/v2/status",              VIEW,   ALWAYS,    NONE, ASIDE,  API_NEEDS_ROUTER, CORS,   api_serve_v2_status),
    ROUTE(GET,      "/api/v2/receivers",           VIEW,   ALWAYS,    NONE, ASIDE,  API_NEEDS_ROUTER, CORS,   api_serve_v2_receivers),
    ROUTE(GET,      "/api/v2/alerts",              VIEW,   ALWAYS,    NONE, POOL,   API_NEEDS_ROUTER, CORS,   api_serve_v2_alerts),
    ROUTE(POST,     "/api/v2/alerts",              EDIT,   ALWAYS,    FORM, POOL,   API_NEEDS_ROUTER, CORS,   api_serve_v2_post_alerts),
    ROUTE(GET,      "/api/v2/alerts/groups",       VIEW,   ALWAYS,    NONE, POOL,   API_NEEDS_ROUTER, CORS,   api_serve_v2_groups),
    ROUTE(GET,      "/api/v2/silences",            VIEW,   ALWAYS,    NONE, POOL,   API_NEEDS_ROUTER, CORS,   api_serve_v2_silences),
    ROUTE(POST,     "/api/v2/silences",            SILENCE, ALWAYS, SILENCE_BODY, POOL, API_NEEDS_ROUTER, CORS, api_serve_v2_post_silence),
    ROUTE(GET,      "/api/v2/silence/{id}",        VIEW,   ALWAYS,    NONE, ASIDE,  API_NEEDS_ROUTER, CORS,   api_serve_v2_silence),
    ROUTE(DELETE,   "/api/v2/silence/{id}",        SILENCE, ALWAYS,   NONE, POOL,   API_NEEDS_ROUTER, CORS,   api_serve_v2_expire_silence),
    ROUTE(GET,      "/api/v1/alerting/acknowledgements", VIEW, ALWAYS,  NONE, POOL, API_NEEDS_ROUTER, CORS|PAST, api_serve_acknowledgements),
    ROUTE(POST,     "/api/v1/alerting/acknowledgements", SILENCE, ALWAYS, LOGIN, POOL, API_NEEDS_ROUTER, CORS, api_serve_acknowledge),
    ROUTE(DELETE,   "/api/v1/alerting/acknowledgements/{fingerprint}", SILENCE, ALWAYS, NONE, POOL, API_NEEDS_ROUTER, CORS, api_serve_unacknowledge),
    ROUTE(POST,     "/api/v1/alerting/silences/preview", VIEW, ALWAYS, SILENCE_BODY, POOL, API_NEEDS_ROUTER, 0, api_serve_silence_preview),
    ROUTE(GET,      "/api/v1/alerting/history/alerts", VIEW, ALWAYS,    NONE, POOL,   API_NEEDS_ROUTER, CORS|PAST, api_serve_alert_history),
    ROUTE(GET,      "/api/v1/alerting/history/notifications", VIEW, ALWAYS, NONE, POOL, API_NEEDS_ROUTER, CORS|PAST, api_serve_notification_history),
    ROUTE(POST,     "/api/v1/alerts",              VIEW,   ALWAYS,    NONE, DIRECT, API_NEEDS_ROUTER, 0,      api_serve_v2_gone),
    ROUTE(GET|POST, "/api/v1/silences",            VIEW,   ALWAYS,    NONE, DIRECT, API_NEEDS_ROUTER, 0,      api_serve_v2_gone),
    ROUTE(GET|DELETE, "/api/v1/silence/{id}",      VIEW,   ALWAYS,    NONE, DIRECT, API_NEEDS_ROUTER, 0,      api_serve_v2_gone),
    ROUTE(GET,      "/api/v1/receivers",           VIEW,   ALWAYS,    NONE, DIRECT, API_NEEDS_ROUTER, 0,      api_serve_v2_gone),
    ROUTE(GET,      "/api/v1/status",              VIEW,   ALWAYS,    NONE, DIRECT, API_NEEDS_ROUTER, 0,      api_serve_v2_gone),

    ROUTE(GET,      "/api/v1/status/buildinfo",    VIEW,   ALWAYS,    NONE, ASIDE,  NOTHING,        CORS,       api_serve_buildinfo),
    ROUTE(GET,      "/api/v1/status/runtimeinfo",  VIEW,   ALWAYS,    NONE, ASIDE,  NOTHING,        CORS,       api_serve_runtimeinfo),
    ROUTE(GET,      "/api/v1/status/config",       VIEW,   ALWAYS,    NONE, ASIDE,  NOTHING,        CORS,       api_serve_config),
    ROUTE(GET,      "/api/v1/status/flags",        VIEW,   ALWAYS,    NONE, ASIDE,  NOTHING,        CORS,       api_serve_flags),
    ROUTE(GET,      "/api/v1/status/tsdb",         VIEW,   ALWAYS,    NONE, ASIDE,  API_NEEDS_DB,   CORS,       api_serve_tsdb),
    ROUTE(GET,      "/api/v1/status/walreplay",    VIEW,   ALWAYS,    NONE, ASIDE,  API_NEEDS_DB,   CORS,       api_serve_walreplay),
    ROUTE(GET,      "/api/v1/status/tsdb/blocks",  VIEW,   ALWAYS,    NONE, ASIDE,  API_NEEDS_DB,   CORS,       api_serve_blocks),
    ROUTE(GET,      "/version",                    VIEW,   ALWAYS,    NONE, ASIDE,  NOTHING,        CORS,       api_serve_version),

    ROUTE(POST|PUT, "/api/v1/admin/tsdb/delete_series",    ADMIN, ADMIN_API, FORM, POOL, API_NEEDS_DB, 0, api_serve_delete_series),
    ROUTE(POST|PUT, "/api/v1/admin/tsdb/clean_tombstones", ADMIN, ADMIN_API, FORM, POOL, API_NEEDS_DB, 0, api_serve_clean_tombstones),
    ROUTE(POST|PUT, "/api/v1/admin/tsdb/snapshot",         ADMIN, ADMIN_API, FORM, POOL, API_NEEDS_DB, 0, api_serve_snapshot),

    ROUTE(GET,      "/",                           VIEW,   ALWAYS,    NONE, DIRECT, NOTHING,        PAGE|EARLY, api_serve_document),
    ROUTE(GET,      "/query",                      VIEW,   ALWAYS,    NONE, DIRECT, NOTHING,        PAGE|EARLY, api_serve_document),
    ROUTE(GET,      "/graph",                      VIEW,   ALWAYS,    NONE, DIRECT, NOTHING,        PAGE|EARLY, api_serve_document),
    ROUTE(GET,      "/targets",                    VIEW,   ALWAYS,    NONE, DIRECT, NOTHING,        PAGE|EARLY, api_serve_document),
    ROUTE(GET,      "/user/{*path}",               VIEW,   ALWAYS,    NONE, ASIDE,  API_NEEDS_USER_ASSETS, PAGE|EARLY, api_serve_user_asset),
    ROUTE(GET,      "/assets/{name}",              PUBLIC, ALWAYS,    NONE, DIRECT, NOTHING,        PAGE|EARLY, api_serve_asset),
};
/* clang-format on */
const size_t API_ROUTE_COUNT = ARRAY_COUNT(API_ROUTES);

/* What a route answers while its flag is off: Prometheus' status and words. */
static const struct {
    int status;
    const char *text;
} CLOSED[] = {
    [API_SWITCH_LIFECYCLE] = {403, "Lifecycle API is not enabled."},
    [API_SWITCH_ADMIN_API] = {503, "admin APIs disabled"},
    [API_SWITCH_REMOTE_WRITE] = {404, "remote write receiver needs to be enabled with "
                                      "--web.enable-remote-write-receiver"},
    [API_SWITCH_OTLP] = {404, "otlp write receiver needs to be enabled with "
                              "--web.enable-otlp-receiver"},
};

static bool is_open(const struct api *api, const struct api_route *route)
{
    return route->opened_by == API_SWITCH_ALWAYS ||
           (api->options.switches & 1u << route->opened_by) != 0;
}

static bool is_there(const struct api *api, const struct api_route *route)
{
    const struct api_options *o = &api->options;
    switch (route->needs) {
    case API_NEEDS_NOTHING:
        return true;
    case API_NEEDS_ACCESS:
        return o->access != NULL;
    case API_NEEDS_DB:
        return o->db != NULL;
    case API_NEEDS_RULES:
        return api->options.rules != NULL;
    case API_NEEDS_NOTIFICATIONS:
        return o->notifications != NULL;
    case API_NEEDS_NOTIFIER:
        return o->notifier != NULL;
    case API_NEEDS_ROUTER:
        return o->router != NULL;
    case API_NEEDS_HEARTBEATS:
        return o->heartbeats != NULL;
    case API_NEEDS_SCRAPE:
        return o->scrape != NULL;
    case API_NEEDS_METRICS:
        return o->metrics != NULL;
    case API_NEEDS_HOST_METRICS:
        return o->host_metrics != NULL;
    case API_NEEDS_USER_ASSETS:
        return o->user_assets != NULL;
    }
    UNREACHABLE();
}

static void endpoint_run(void *arg, struct http_request *rq, struct http_response *rs)
{
    const struct endpoint *e = arg;
    const struct api_options *o = &e->api->options;
    if (!is_open(e->api, e->route)) {
        http_response_error(rs, CLOSED[e->route->opened_by].status, "%s",
                            CLOSED[e->route->opened_by].text);
        return;
    }
    if (!(e->route->how & API_HOW_EARLY) && o->is_ready && !o->is_ready(o->arg)) {
        http_response_error(rs, 503, "Service Unavailable");
        return;
    }
    e->route->serve(e->api, rq, rs);
}

/* Metrics call a capture ":name", as Prometheus' router does. */
static const char *metric_name(const char *path)
{
    if (strcmp(path, "/api/v1/label/{name}/values") == 0)
        return "/api/v1/label/:name/values";
    if (strcmp(path, "/api/v2/silence/{id}") == 0)
        return "/api/v2/silence/:id";
    if (strcmp(path, "/user/{*path}") == 0)
        return "/user/*filepath";
    return strcmp(path, "/assets/{name}") == 0 ? "/assets/*filepath" : NULL;
}

static void route_add(struct api *api, struct http_server *server, const struct api_route *row,
                      struct endpoint *e)
{
    bool open = is_open(api, row);
    *e = (struct endpoint){api, row};
    struct http_route route = {
        .methods = row->methods,
        .path = row->path,
        .name = metric_name(row->path),
        .role = open ? row->role : HTTP_ROLE_VIEW,
        .run = open ? row->run : HTTP_RUN_DIRECT,
        .handler = endpoint_run,
        .arg = e,
        .gate = open && (row->how & API_HOW_GATED) ? api->gate : NULL,
        .body_bytes_max = open ? row->body_bytes_max : API_BODY_NONE,
        .cors = (row->how & API_HOW_CORS) != 0,
        .is_page = (row->how & API_HOW_PAGE) != 0,
        .opened_by_flag = open && row->opened_by != API_SWITCH_ALWAYS,
    };
    if (open && (row->how & API_HOW_WRITES)) {
        route.gate = api->write_gate;
        route.pool = api->options.write_pool;
        route.retry_after_s = 1;
    }
    if (open && (row->how & API_HOW_PAST))
        route.pool = api->options.history_pool;
    http_server_add_route(server, &route);
}

void api_add_routes(struct api *api, struct http_server *server)
{
    ASSERT(api->endpoints == NULL);
    api->own_port = http_server_port(server, 0);
    api->endpoints = mem_alloc_zero(MEM_HTTP, API_ROUTE_COUNT, sizeof *api->endpoints);
    for (size_t i = 0; i < API_ROUTE_COUNT; i++)
        if (is_there(api, &API_ROUTES[i]))
            route_add(api, server, &API_ROUTES[i], &api->endpoints[i]);
}
