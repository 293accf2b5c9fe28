/* SPDX-License-Identifier: Apache-2.0 */
/* api_exemplars.c: query_exemplars: the exemplars of the series that an expression selects. */
#include "api/api_private.h"
#include "base/json_write.h"
#include "promql/parser.h"
#include "promql/selectors.h"
#include "storage/exemplars.h"

struct exemplars_answer {
    struct arena arena;
    struct exemplar_matchers *sets;
    size_t set_count, set_capacity;
    struct exemplar_list *lists;
    size_t count, next;
};

static void add_selector(void *arg, const struct selector *s)
{
    struct exemplars_answer *a = arg;
    a->sets = arena_grow(&a->arena, a->sets, &a->set_capacity, a->set_count + 1, sizeof *a->sets);
    a->sets[a->set_count++] = (struct exemplar_matchers){s->matchers, s->matcher_count};
}

static void list_write(struct buffer *b, const struct exemplar_list *list)
{
    buffer_append_literal(b, "{\"seriesLabels\":");
    api_labels(b, list->series);
    buffer_append_literal(b, ",\"exemplars\":[");
    for (size_t i = 0; i < list->count; i++) {
        const struct exemplar *e = &list->items[i];
        if (i)
            buffer_append_byte(b, ',');
        buffer_append_literal(b, "{\"labels\":");
        api_labels(b, e->labels);
        buffer_append_literal(b, ",\"value\":");
        json_sample_value(b, e->value);
        buffer_append_literal(b, ",\"timestamp\":");
        json_timestamp(b, e->timestamp_ms);
        buffer_append_byte(b, '}');
    }
    buffer_append_literal(b, "]}");
}

static bool answer_next(void *arg, struct buffer *b, bool *more)
{
    struct exemplars_answer *a = arg;
    for (; a->next < a->count && b->len < HTTP_PIECE_BYTES; a->next++) {
        if (a->next)
            buffer_append_byte(b, ',');
        list_write(b, &a->lists[a->next]);
    }
    *more = a->next < a->count;
    if (!*more)
        buffer_append_literal(b, "]}");
    return true;
}

static void answer_free(void *arg)
{
    struct exemplars_answer *a = arg;
    arena_deinit(&a->arena);
    mem_free(MEM_QUERY, a);
}

static void answer(struct api *api, struct promql *query, int64_t start, int64_t end,
                   struct http_response *rs)
{
    struct exemplars_answer *a = mem_alloc_zero(MEM_QUERY, 1, sizeof *a);
    arena_init(&a->arena, MEM_QUERY, 0);
    promql_each_selector(promql_root(query), add_selector, a);
    if (a->set_count == 0) { /* as Prometheus says that there is nothing to look for */
        http_response_set_status(rs, 204);
        answer_free(a);
        return;
    }
    exemplars_select(db_exemplars(api->options.db), a->sets, a->set_count, start, end, &a->arena,
                     &a->lists, &a->count);
    buffer_append_byte(api_begin(rs), '[');
    http_response_stream(rs, answer_next, answer_free, a);
}

void api_serve_query_exemplars(struct api *api, struct http_request *rq, struct http_response *rs)
{
    struct error err;
    struct promql *query;
    int64_t start = API_TIME_MIN_MS, end = API_TIME_MAX_MS;
    if (!api_time_param(rq, "start", &start, &err)) {
        api_error_param(rs, "start", &err);
    } else if (!api_time_param(rq, "end", &end, &err)) {
        api_error_param(rs, "end", &err);
    } else if (end < start) {
        (void)error_set(&err, ERROR_INPUT,
                        "end timestamp must not be before start timestamp"); /* always false */
        api_error(rs, &err);
    } else if (!promql_parse(http_request_param(rq, "query"), &api->options.engine.parser, &query,
                             &err)) {
        api_error(rs, &err);
    } else {
        answer(api, query, start, end, rs);
        promql_free(query);
    }
}
