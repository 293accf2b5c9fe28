/* SPDX-License-Identifier: Apache-2.0 */
/* api_private.h: what the files of the API share: parameters, the JSON envelope, the groups of endpoints. */
#ifndef BELFRY_API_PRIVATE_H
#define BELFRY_API_PRIVATE_H

#include "api/active_queries.h"
#include "api/api.h"
#include "api/query_log.h"
#include "api/time_param.h"
#include "base/arena.h"
#include "model/matcher.h"

#include <limits.h>
#include <stdatomic.h>

enum {
    API_MATCHER_SETS_MAX = 1000, /* match[] parameters of one request */
    API_POINTS_MAX = 11000       /* steps of a range query, as in Prometheus */
};
/* Prometheus' minTime and maxTime in ms: far from the ends of int64, so that sums do not overflow. */
#define API_TIME_MIN_MS (-INT64_C(9223309901257974))
#define API_TIME_MAX_MS INT64_C(9223309901257974)

/* A handler; the query pool, an aside thread or the connection's runs it, as its route says. */
typedef void api_serve(struct api *api, struct http_request *rq, struct http_response *rs);

enum api_need {
    API_NEEDS_NOTHING,
    API_NEEDS_ACCESS,
    API_NEEDS_DB,
    API_NEEDS_SCRAPE,
    API_NEEDS_RULES,
    API_NEEDS_NOTIFIER,
    API_NEEDS_HEARTBEATS,
    API_NEEDS_NOTIFICATIONS,
    API_NEEDS_ROUTER,
    API_NEEDS_METRICS,
    API_NEEDS_HOST_METRICS,
    API_NEEDS_USER_ASSETS
};
enum {
    API_HOW_CORS = 1,
    API_HOW_GATED = 2,
    API_HOW_PAGE = 4,
    API_HOW_EARLY = 8,
    API_HOW_WRITES = 16,
    API_HOW_PAST = 32 /* asks about the past of alerts: on its pool */
};
/* For requests that have no use for a body: what a careless client may send all the same. */
enum { API_BODY_NONE = 16 * 1024 };

/* A row of the table of routes (api_routes.c says what the fields mean). */
struct api_route {
    unsigned methods;
    const char *path;
    enum http_role role;
    enum api_switch opened_by;
    size_t body_bytes_max;
    enum http_run run;
    enum api_need needs;
    unsigned how;
    api_serve *serve;
};
extern const struct api_route API_ROUTES[];
extern const size_t API_ROUTE_COUNT;

struct endpoint {
    struct api *api;
    const struct api_route *route;
};

struct api {
    struct api_options options;
    struct http_gate *gate, *write_gate;
    char server_name[HOST_NAME_MAX + 1];
    uint16_t own_port;          /* of the first listener; set when routes are added */
    struct endpoint *endpoints; /* one per row of API_ROUTES */
    struct active_queries active;
    struct query_log query_log;
    _Atomic int64_t subquery_step_ms; /* relaxed; 0 = the engine's default */
    _Atomic uint64_t queries_total, queries_failed, federation_errors;
};

/* api_envelope.c: {"status":"success","data": ... ,"warnings":[...]} */
struct buffer *api_begin(struct http_response *rs); /* up to "data": */
void api_end(struct http_response *rs);
/* With "results truncated due to limit" when it was. */
void api_end_limited(struct http_response *rs, bool truncated);
/* "name":["a","b"] behind a comma, nothing when count is 0. */
void api_string_list(struct buffer *b, const char *name, const struct view *items, size_t count);
/* Annotations of a query: at most ten, and how many more there were. */
void api_annotations(struct buffer *b, const char *name, const char *kind, const struct view *items,
                     size_t count);
/* The plan as a JSON object (api_explain.c). */
struct plan_node;
void api_plan_write(struct buffer *b, const struct plan_node *n);
/* {"status":"error",...} with the type and the HTTP status of the kind. */
void api_error(struct http_response *rs, const struct error *err);
/* The same with `invalid parameter "NAME": ` before the message. */
void api_error_param(struct http_response *rs, const char *name, struct error *err);
/* "name":"value" and "name":value; commas are the caller's. */
void api_field_string(struct buffer *b, const char *name, struct view value);
void api_field_int(struct buffer *b, const char *name, int64_t value);
/* {"a":"b",...} */
void api_labels(struct buffer *b, struct labels ls);

/* api_params.c. They set err (ERROR_INPUT); `has` tells an absent parameter from its default. */
MUST_USE bool api_limit_parse(struct view text, size_t *limit,
                              struct error *err); /* "" = 0 = none */
/* start or end; *ms stays when it is not there. "invalid time value for 'NAME': ..." */
MUST_USE bool api_time_param(struct http_request *rq, const char *name, int64_t *ms,
                             struct error *err);
/* A limit of metadata: 0 shows nothing, as in Prometheus; none given (SIZE_MAX) shows all. False: the error is in rs. */
MUST_USE bool api_count_param(struct http_request *rq, const char *name, size_t *out,
                              struct http_response *rs);
/* "type":...,"help":...,"unit":...} */
void api_metadata_fields(struct buffer *b, const struct metric_metadata *m);
/* RFC 3339 in UTC, "2026-11-20T20:00:58.456Z"; the year 1 for ms == INT64_MIN. */
void api_time_format(struct buffer *b, int64_t ms);
/* Cuts off what stands before the next `at` of a header's value (all of it when there is none), without the
 * blanks around it. */
struct view api_cut(struct view *rest, char at);
/* An Accept header, most wanted first; at most API_ACCEPT_ITEMS_MAX of it. Borrowed from the header. */
enum { API_ACCEPT_ITEMS_MAX = 32 };
struct api_accepted {
    struct view type, version, escaping;
    double quality;
};
size_t api_accept_parse(struct view header, struct api_accepted *items);
/* A label name of a path: U__ escapes of UTF-8 names are undone. */
struct view api_label_unescape(struct arena *arena, struct view name);

/* match[], start, end, limit of series, labels and values. */
struct matcher_set {
    struct promql *parsed; /* owns the matchers */
    const struct matcher *matchers;
    size_t count;
};
struct api_selection {
    struct matcher_set *sets;
    size_t set_count;
    int64_t mint, maxt;
    size_t limit; /* 0 = none */
};
/* False: the error is in rs. Deinit either way. */
MUST_USE bool api_selection_parse(struct api_selection *s, struct arena *arena,
                                  struct http_request *rq, struct http_response *rs);
/* match[] alone; the error is not in an answer yet. */
MUST_USE bool api_selectors_parse(struct api_selection *s, struct arena *arena,
                                  struct http_request *rq, struct error *err);
void api_selection_deinit(struct api_selection *s);

/* api_alertmanager.c: answers of Alertmanager's API v2. */
struct alert_refusal;
struct matchers;
void api_v2_refuse(struct http_response *rs, const struct alert_refusal *why);
void api_v2_error(struct http_response *rs, int status, struct view message); /* a JSON string */
struct buffer *api_v2_begin(struct http_response *rs); /* the body: what it is, not to be cached */
/* Does the request bring JSON, as its Content-Type has it? False: the refusal is in rs. */
MUST_USE bool api_v2_check_type(struct http_request *rq, struct http_response *rs);
/* The matchers of all `filter` parameters; matchers_deinit() either way. False: the error is in rs. */
MUST_USE bool api_v2_filters(struct arena *arena, struct http_request *rq, struct matchers *out,
                             struct http_response *rs);

/* The handlers, by the file they are in. */
api_serve api_serve_delete_series, api_serve_clean_tombstones, api_serve_snapshot,
    api_serve_blocks; /* api_admin.c */
api_serve api_serve_healthy, api_serve_ready, api_serve_reload, api_serve_quit, api_serve_metrics,
    api_serve_host_metrics;                                        /* api.c */
api_serve api_serve_login_page, api_serve_login, api_serve_logout; /* api_login.c */
api_serve api_serve_query, api_serve_query_range, api_serve_format_query, api_serve_active_queries,
    api_serve_active_query_cancel;                                         /* api_query.c */
api_serve api_serve_parse_query;                                           /* api_parse_query.c */
api_serve api_serve_series, api_serve_label_names, api_serve_label_values; /* api_series.c */
api_serve api_serve_buildinfo, api_serve_version, api_serve_runtimeinfo, api_serve_config,
    api_serve_flags, api_serve_tsdb, api_serve_walreplay, api_serve_metadata; /* api_status.c */
api_serve api_serve_federate;                                                 /* api_federate.c */
api_serve api_serve_write;                                                    /* api_write.c */
api_serve api_serve_target_metadata, api_serve_query_exemplars;               /* their own files */
api_serve api_serve_targets, api_serve_scrape_pools, api_serve_relabel_steps; /* api_targets.c */
api_serve api_serve_rules, api_serve_alerts;                                  /* api_rules.c */
api_serve api_serve_alert_explain;                               /* api_alert_explain.c */
api_serve api_serve_notifications, api_serve_notifications_live; /* api_notifications.c */
api_serve api_serve_heartbeat, api_serve_heartbeats;             /* api_heartbeats.c */
api_serve api_serve_alertmanagers;                               /* api_alertmanagers.c */
api_serve api_serve_v2_alerts, api_serve_v2_post_alerts, api_serve_v2_groups,
    api_serve_v2_receivers, api_serve_v2_status, api_serve_v2_gone; /* api_alertmanager.c */
api_serve api_serve_v2_silences, api_serve_v2_post_silence, api_serve_v2_silence,
    api_serve_v2_expire_silence, api_serve_silence_preview; /* api_silences.c */
api_serve api_serve_acknowledgements, api_serve_acknowledge, api_serve_unacknowledge,
    api_serve_alert_history, api_serve_notification_history; /* api_alerting.c */
api_serve api_serve_document, api_serve_asset;               /* page.c */
api_serve api_serve_user_asset;                              /* user_assets.c */

#endif
