/* SPDX-License-Identifier: Apache-2.0 */
/* api_query.c: query, query_range, format_query. The answer is written from the result where it lies, piece by
 * piece as the client takes it: the query (and its arena) lives until the last one. */
#include "api/api_private.h"
#include "base/assert.h"
#include "base/json_write.h"
#include "promql/explain.h"
#include "promql/parser.h"

/* Where the writing of an answer is. */
struct answer {
    struct query *query;
    const struct query_result *result;
    size_t series, point; /* the next to write */
    bool began, with_stats, plan_only;
    double queue_seconds;
    struct buffer tail; /* what follows the result, when that is written */
    size_t tail_pos;    /* of what the client has of it */
};

enum { TAIL_BYTES_MAX = 64 << 20 }; /* a plan of the longest query has some 10 MB */

static void metric_write(struct buffer *b, const struct label_store *store, labels_id id)
{
    uint32_t count;
    const symbol_id *names = label_store_shape_names(store, label_store_shape(store, id), &count);
    const symbol_id *values = label_store_values(store, id);
    buffer_append_literal(b, "{\"metric\":{");
    for (uint32_t i = 0; i < count; i++) {
        if (i)
            buffer_append_byte(b, ',');
        json_string(b, label_store_text(store, names[i]));
        buffer_append_byte(b, ':');
        json_string(b, label_store_text(store, values[i]));
    }
    buffer_append_byte(b, '}');
}

static void point_write(struct buffer *b, int64_t ms, double value)
{
    buffer_append_byte(b, '[');
    json_timestamp(b, ms);
    buffer_append_byte(b, ',');
    json_sample_value(b, value);
    buffer_append_byte(b, ']');
}

/* Points of the current series until the piece is full, at least one: point 0 says that the series was not begun. True
 * when the series is whole. */
static bool points_write(struct answer *a, struct buffer *b, const struct result_series *s)
{
    while (a->point < s->count) {
        if (a->point && b->len >= HTTP_PIECE_BYTES)
            return false;
        if (a->point)
            buffer_append_byte(b, ',');
        point_write(b, s->times[a->point], s->values[a->point]);
        a->point++;
    }
    return true;
}

/* True when all series are written. */
static bool series_write(struct answer *a, struct buffer *b)
{
    const struct query_result *r = a->result;
    while (a->series < r->series_count) {
        const struct result_series *s = &r->series[a->series];
        if (b->len >= HTTP_PIECE_BYTES)
            return false;
        if (a->point == 0) {
            if (a->series)
                buffer_append_byte(b, ',');
            metric_write(b, r->labels, s->labels);
            if (r->type == VALUE_MATRIX)
                buffer_append_literal(b, ",\"values\":[");
            else
                buffer_append_literal(b, ",\"value\":");
        }
        if (!points_write(a, b, s))
            return false;
        if (r->type == VALUE_MATRIX)
            buffer_append_byte(b, ']');
        buffer_append_byte(b, '}');
        a->series++;
        a->point = 0;
    }
    return true;
}

static void head_write(struct answer *a, struct buffer *b)
{
    const struct query_result *r = a->result;
    buffer_printf(b, "{\"status\":\"success\",\"data\":{\"resultType\":\"%s\",\"result\":",
                  value_type_json(r->type));
    if (r->type == VALUE_SCALAR) {
        buffer_append_byte(b, '[');
        json_number(b, (double)r->scalar_time_ms / 1000);
        buffer_append_byte(b, ',');
        json_scalar_value(b, r->scalar);
        buffer_append_byte(b, ']');
    } else if (r->type == VALUE_STRING) {
        buffer_append_byte(b, '[');
        json_number(b, (double)r->scalar_time_ms / 1000);
        buffer_append_byte(b, ',');
        json_string(b, r->string);
        buffer_append_byte(b, ']');
    } else {
        buffer_append_byte(b, '[');
    }
}

/* Statistics, plan and annotations, up to the end. */
static void tail_write(struct answer *a)
{
    struct buffer *b = &a->tail;
    const struct query_result *r = a->result;
    const struct plan_node *plan = query_get_plan(a->query);
    if (plan) {
        buffer_append_view(b, view_from(a->plan_only ? "\"explain\":" : ",\"explain\":"));
        api_plan_write(b, plan);
    }
    if (a->with_stats) {
        struct query_stats s = query_get_stats(a->query);
        buffer_append_literal(b, ",\"stats\":");
        query_stats_write(b, &s, a->queue_seconds);
    }
    buffer_append_byte(b, '}');
    api_annotations(b, "warnings", "warning", r->warnings, r->warning_count);
    api_annotations(b, "infos", "info", r->infos, r->info_count);
    buffer_append_byte(b, '}');
}

static bool answer_next(void *arg, struct buffer *b, bool *more)
{
    struct answer *a = arg;
    const struct query_result *r = a->result;
    *more = true;
    if (!a->began && a->plan_only)
        buffer_append_literal(b, "{\"status\":\"success\",\"data\":{");
    else if (!a->began)
        head_write(a, b);
    a->began = true;
    if (a->tail.len == 0) {
        bool is_list = !a->plan_only && (r->type == VALUE_VECTOR || r->type == VALUE_MATRIX);
        if (is_list && !series_write(a, b))
            return true;
        if (is_list)
            buffer_append_byte(b, ']');
        tail_write(a);
    }
    size_t left = a->tail.len - a->tail_pos;
    size_t piece = left < HTTP_PIECE_BYTES ? left : HTTP_PIECE_BYTES;
    buffer_append(b, a->tail.ptr + a->tail_pos, piece);
    a->tail_pos += piece;
    *more = a->tail_pos < a->tail.len;
    return !a->tail.failed;
}

static void answer_free(void *arg)
{
    struct answer *a = arg;
    query_free(a->query);
    buffer_deinit(&a->tail);
    mem_free(MEM_QUERY, a);
}

static void cancel_query(void *arg)
{
    query_cancel(arg);
}

static void log_query(struct api *api, struct http_request *rq, const struct active_query *active,
                      const struct query_params *p, int64_t queued_ms, const struct error *failed)
{
    struct query_stats stats = query_get_stats(active->query);
    struct query_log_entry entry = {.text = active->text,
                                    .params = p,
                                    .stats = &stats,
                                    .queue_seconds = (double)queued_ms / 1000,
                                    .error = failed,
                                    .client = active->client,
                                    .method = http_request_method(rq) == HTTP_POST ? "POST" : "GET",
                                    .path = http_request_path(rq)};
    query_log_write(&api->query_log, &entry);
}

/* Evaluates, listed meanwhile. */
static bool run_listed(struct api *api, struct http_request *rq, struct query *q,
                       const struct query_params *p, int64_t queued_ms, struct error *err)
{
    struct active_query active = {.kind = p->instant ? "instant" : "range",
                                  .text = promql_text(query_parsed(q)),
                                  .client = http_request_peer(rq),
                                  .query = q};
    http_request_set_cancel(rq, cancel_query, q, 0); /* the engine watches the deadline */
    active_queries_add(&api->active, &active);
    bool ok = query_run(q, err);
    active_queries_remove(&api->active, &active);
    http_request_clear_cancel(rq);
    log_query(api, rq, &active, p, queued_ms, ok ? NULL : err);
    return ok;
}

static bool explain_param(struct http_request *rq, struct query_params *p, struct error *err)
{
    struct view text = http_request_param(rq, "explain");
    if (text.len == 0 || view_is(text, "false"))
        p->explain = EXPLAIN_OFF;
    else if (view_is(text, "true"))
        p->explain = EXPLAIN_PLAN;
    else if (view_is(text, "analyze"))
        p->explain = EXPLAIN_ANALYZE;
    else
        return error_set(err, ERROR_INPUT, "\"%.*s\" is not known, expected true or analyze",
                         VIEW_ARGS(text));
    return true;
}

/* Runs and answers. */
static void evaluate(struct api *api, struct http_request *rq, struct http_response *rs,
                     struct query_params *p, int64_t queued_ms)
{
    struct error err;
    struct query *q;
    struct engine_options engine = api->options.engine;
    struct view stats = http_request_param(rq, "stats");
    int64_t subquery_step_ms = atomic_load_explicit(&api->subquery_step_ms, memory_order_relaxed);
    if (subquery_step_ms)
        engine.default_subquery_step_ms = subquery_step_ms;
    p->samples_by_step = view_is(stats, "all");
    if (!explain_param(rq, p, &err)) {
        api_error_param(rs, "explain", &err);
        return;
    }
    if (!query_new(&q, api->options.source, &engine, http_request_param(rq, "query"), p, &err)) {
        api_error_param(rs, "query", &err);
        return;
    }
    bool ok = run_listed(api, rq, q, p, queued_ms, &err);
    atomic_fetch_add_explicit(&api->queries_total, 1, memory_order_relaxed);
    if (!ok) {
        atomic_fetch_add_explicit(&api->queries_failed, 1, memory_order_relaxed);
        query_free(q);
        api_error(rs, &err);
        return;
    }
    struct answer *a = mem_alloc_zero(MEM_QUERY, 1, sizeof *a);
    a->query = q;
    a->result = query_get_result(q);
    a->with_stats = stats.len > 0;
    a->plan_only = p->explain == EXPLAIN_PLAN;
    buffer_init(&a->tail, MEM_QUERY, TAIL_BYTES_MAX);
    a->queue_seconds = (double)queued_ms / 1000;
    http_response_set_content_type(rs, "application/json");
    http_response_stream(rs, answer_next, answer_free, a);
}

/* timeout, lookback_delta, limit. False: the error is in rs. *queued_ms is what of the timeout is gone. */
static bool common_params(struct api *api, struct http_request *rq, struct http_response *rs,
                          struct query_params *p, int64_t *queued_ms)
{
    struct error err;
    struct view timeout = http_request_param(rq, "timeout"),
                lookback = http_request_param(rq, "lookback_delta");
    int64_t engine_ms = api->options.engine.timeout_ms ? api->options.engine.timeout_ms : 120000;
    p->timeout_ms = engine_ms;
    if (timeout.len) {
        if (!api_duration_parse(timeout, &p->timeout_ms, &err)) {
            api_error_param(rs, "timeout", &err);
            return false;
        }
        if (p->timeout_ms > engine_ms)
            p->timeout_ms = engine_ms;
    }
    if (lookback.len && !api_duration_parse(lookback, &p->lookback_ms, &err)) {
        (void)error_wrap(&err, "error parsing lookback delta duration"); /* always false */
        api_error(rs, &err);
        return false;
    }
    if (p->lookback_ms < 0)
        p->lookback_ms = 0;
    *queued_ms = http_request_age_ms(rq);
    if (*queued_ms >= p->timeout_ms) {
        (void)error_set(&err, ERROR_TIMEOUT, "query timed out in query queue"); /* always false */
        api_error(rs, &err);
        return false;
    }
    p->timeout_ms -= *queued_ms;
    return true;
}

static bool limit_param(struct http_request *rq, struct http_response *rs, struct query_params *p)
{
    struct error err;
    if (api_limit_parse(http_request_param(rq, "limit"), &p->series_max, &err))
        return true;
    api_error_param(rs, "limit", &err);
    return false;
}

void api_serve_query(struct api *api, struct http_request *rq, struct http_response *rs)
{
    struct error err;
    struct query_params p = {.instant = true, .start_ms = clock_wall().ms};
    int64_t queued_ms;
    struct view time = http_request_param(rq, "time");
    if (!limit_param(rq, rs, &p))
        return;
    if (time.len && !api_time_parse(time, &p.start_ms, &err)) {
        (void)error_wrap(&err, "invalid time value for 'time'"); /* always false */
        api_error_param(rs, "time", &err);
        return;
    }
    p.end_ms = p.start_ms;
    if (!common_params(api, rq, rs, &p, &queued_ms))
        return;
    evaluate(api, rq, rs, &p, queued_ms);
}

/* start, end, step. Returns the name of the bad one, with err set; "" for an error without a name. */
static const char *range_params(struct http_request *rq, struct query_params *p, struct error *err)
{
    if (!api_time_parse(http_request_param(rq, "start"), &p->start_ms, err))
        return "start";
    if (!api_time_parse(http_request_param(rq, "end"), &p->end_ms, err))
        return "end";
    if (p->end_ms < p->start_ms) {
        (void)error_set(err, ERROR_INPUT, "end timestamp must not be before start time");
        return "end";
    }
    if (!api_duration_parse(http_request_param(rq, "step"), &p->step_ms, err))
        return "step";
    if (p->step_ms <= 0) {
        (void)error_set(err, ERROR_INPUT,
                        "zero or negative query resolution step widths are not accepted. Try a "
                        "positive integer");
        return "step";
    }
    if ((p->end_ms - p->start_ms) / p->step_ms > API_POINTS_MAX) {
        (void)error_set(
            err, ERROR_INPUT,
            "exceeded maximum resolution of 11,000 points per timeseries. Try decreasing "
            "the query resolution (?step=XX)");
        return "";
    }
    return NULL;
}

void api_serve_query_range(struct api *api, struct http_request *rq, struct http_response *rs)
{
    struct error err;
    struct query_params p = {0};
    int64_t queued_ms;
    if (!limit_param(rq, rs, &p))
        return;
    const char *bad = range_params(rq, &p, &err);
    if (bad && bad[0])
        api_error_param(rs, bad, &err);
    else if (bad)
        api_error(rs, &err);
    if (bad || !common_params(api, rq, rs, &p, &queued_ms))
        return;
    evaluate(api, rq, rs, &p, queued_ms);
}

void api_serve_format_query(struct api *api, struct http_request *rq, struct http_response *rs)
{
    struct error err;
    struct promql *parsed;
    if (!promql_parse(http_request_param(rq, "query"), &api->options.engine.parser, &parsed,
                      &err)) {
        api_error_param(rs, "query", &err);
        return;
    }
    struct buffer text;
    buffer_init(&text, MEM_QUERY, 16 << 20);
    promql_print_pretty(&text, promql_root(parsed));
    json_string(api_begin(rs), buffer_view(&text));
    api_end(rs);
    if (text.failed) {
        (void)error_set(&err, ERROR_TOO_LARGE,
                        "the formatted query is too long"); /* always false */
        api_error(rs, &err);
    }
    buffer_deinit(&text);
    promql_free(parsed);
}

void api_serve_active_queries(struct api *api, struct http_request *rq, struct http_response *rs)
{
    (void)rq;
    active_queries_write(&api->active, api_begin(rs));
    api_end(rs);
}

static bool id_parse(struct view text, uint64_t *id)
{
    *id = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9' || i > 17)
            return false;
        *id = *id * 10 + (uint64_t)(text.ptr[i] - '0');
    }
    return text.len > 0;
}

void api_serve_active_query_cancel(struct api *api, struct http_request *rq,
                                   struct http_response *rs)
{
    struct error err;
    struct view text = http_request_capture(rq, "id");
    uint64_t id;
    if (!id_parse(text, &id))
        (void)error_set(&err, ERROR_INPUT, "\"%.*s\" is not the id of a query", VIEW_ARGS(text));
    else if (!active_queries_cancel(&api->active, id))
        (void)error_set(&err, ERROR_NOT_FOUND, "no query with the id %.*s is running",
                        VIEW_ARGS(text));
    else {
        struct buffer *b = api_begin(rs);
        buffer_append_byte(b, '{');
        api_field_int(b, "id", (int64_t)id);
        buffer_append_byte(b, '}');
        api_end(rs);
        return;
    }
    api_error(rs, &err);
}
