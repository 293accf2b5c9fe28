/* SPDX-License-Identifier: Apache-2.0 */
/* api_private.h: what the files of the API share: parameters, the JSON envelope, the groups of endpoints. */
#ifndef BELFRY_API_PRIVATE_H
#define BELFRY_API_PRIVATE_H

#include "api/api.h"
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

typedef void (*api_run)(struct api *api, struct http_request *rq, struct http_response *rs);

/* What a route's handler gets: refuses while the server is not ready, then runs. */
struct endpoint {
    struct api *api;
    api_run run;
    bool always; /* answers before the server is ready, too */
};

enum { API_ENDPOINTS_MAX = 48 };

struct api {
    struct api_options options;
    struct http_gate *gate;
    char server_name[HOST_NAME_MAX + 1];
    struct endpoint endpoints[API_ENDPOINTS_MAX];
    size_t endpoint_count;
    _Atomic uint64_t queries_total, queries_failed;
};

/* api.c */
void api_add(struct api *api, struct http_server *server, struct http_route route, api_run run,
             bool always);

/* api_envelope.c: {"status":"success","data": ... ,"warnings":[...]} */
struct buffer *api_begin(struct http_response *rs); /* up to "data": */
void api_end(struct http_response *rs);
/* With "results truncated due to limit" when it was. */
void api_end_limited(struct http_response *rs, bool truncated);
/* "name":["a","b"] behind a comma, nothing when count is 0. */
void api_string_list(struct buffer *b, const char *name, const struct view *items, size_t count);
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
/* RFC 3339 in UTC, "2026-11-20T20:00:58.456Z"; the year 1 for ms == INT64_MIN. */
void api_time_format(struct buffer *b, int64_t ms);
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
void api_selection_deinit(struct api_selection *s);

/* The endpoints. */
void api_query_routes(struct api *api, struct http_server *server);
void api_series_routes(struct api *api, struct http_server *server);
void api_status_routes(struct api *api, struct http_server *server);
void api_targets_routes(struct api *api, struct http_server *server);
void api_page_routes(struct api *api, struct http_server *server); /* page.c */

#endif
