/* SPDX-License-Identifier: Apache-2.0 */
/* remote_history.c: see remote_history.h. Samples that were fetched are in a store of their own for each selector of a
 * query, and go with the query. A server does not tell stale markers: a series that ended is seen for the lookback. */
#include "cli/remote_history.h"

#include "base/floattext.h"
#include "base/mem.h"
#include "net/http_client.h"
#include "storage/memory_source.h"

#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { ANSWER_BYTES_MAX = 1 << 30, FORM_BYTES_MAX = 1 << 20 };

struct remote_history {
    struct storage_source source; /* first: cast back */
    char *url;
    int64_t timeout_ms;
};

struct remote_view {
    struct storage_view view; /* first: cast back */
    struct remote_history *history;
    struct memory_source **stores; /* one for each select */
    struct storage_view **views;   /* of these */
    size_t count, store_capacity, view_capacity;
};

struct remote_reader {
    struct storage_reader reader; /* first: cast back */
    const struct remote_view *view;
    struct storage_reader **inner; /* of each store; made when it is asked */
    size_t count;
};

/* --- asking --- */

static void add(struct buffer *form, const char *name, struct view value)
{
    buffer_printf(form, "%s%s=", form->len ? "&" : "", name);
    http_escape(form, value);
}

static void add_seconds(struct buffer *form, const char *name, int64_t ms)
{
    char text[40];
    int len = snprintf(text, sizeof text, "%s%" PRId64 ".%03d", ms < 0 ? "-" : "",
                       ms < 0 ? -(ms / 1000) : ms / 1000, (int)(ms < 0 ? -(ms % 1000) : ms % 1000));
    add(form, name, (struct view){text, (size_t)len});
}

/* The server's words, as an error of ours. */
static bool refuse(const json_t *answer, struct error *err)
{
    const char *text = json_string_value(json_object_get(answer, "error")),
               *type = json_string_value(json_object_get(answer, "errorType"));
    type = type ? type : "";
    enum error_kind kind = strcmp(type, "timeout") == 0    ? ERROR_TIMEOUT
                           : strcmp(type, "bad_data") == 0 ? ERROR_INPUT
                           : strcmp(type, "unavailable") == 0 || strcmp(type, "internal") == 0
                               ? ERROR_IO
                               : ERROR_EXECUTION;
    return error_set(err, kind, "%s", text ? text : "the server gave no reason");
}

/* *data is "data" of the answer, borrowed from *answer, which the caller frees. */
static bool ask(const struct remote_history *h, const char *path, struct view form, json_t **answer,
                json_t **data, struct error *err)
{
    struct buffer url, body;
    int status;
    *answer = NULL;
    buffer_init(&url, MEM_OTHER, FORM_BYTES_MAX);
    buffer_init(&body, MEM_OTHER, ANSWER_BYTES_MAX);
    buffer_printf(&url, "%s%s", h->url, path);
    buffer_append_byte(&url, '\0');
    const struct http_fetch request = {.url = url.ptr, .form = form, .timeout_ms = h->timeout_ms};
    bool ok = !url.failed && http_fetch(&request, &body, &status, err);
    if (ok) {
        json_error_t where;
        *answer = json_loadb(body.ptr, body.len, 0, &where);
        const char *state = json_string_value(json_object_get(*answer, "status"));
        *data = json_object_get(*answer, "data");
        if (!state)
            ok = error_set(err, ERROR_IO, "%s answered with status %d and no JSON of a query API",
                           url.ptr, status);
        else if (strcmp(state, "success") != 0)
            ok = refuse(*answer, err);
        else if (!json_is_object(*data))
            ok = error_set(err, ERROR_IO, "%s gave an answer without data", url.ptr);
    } else if (err->kind == ERROR_TOO_LARGE) {
        err->kind = ERROR_LIMIT; /* fewer times at once may fit */
    }
    if (!ok && !url.failed)
        http_hide_userinfo(url.ptr, err);
    buffer_deinit(&body);
    buffer_deinit(&url);
    return ok;
}

/* --- reading --- */

static struct labels read_labels(const json_t *metric, struct arena *arena)
{
    const char *name;
    json_t *value;
    size_t count = 0;
    struct label *items = ARENA_ARRAY(arena, struct label, json_object_size(metric) + 1);
    json_object_foreach((json_t *)(uintptr_t)metric, name, value)
    {
        struct view text = {json_string_value(value), json_string_length(value)};
        if (json_is_string(value))
            items[count++] =
                (struct label){arena_copy(arena, view_from(name)), arena_copy(arena, text)};
    }
    labels_sort(arena, items, count);
    return (struct labels){items, (uint32_t)count};
}

/* [seconds, "value"] */
static bool read_point(const json_t *point, int64_t *time_ms, double *value)
{
    const json_t *text = json_array_get(point, 1);
    *time_ms = llround(json_number_value(json_array_get(point, 0)) * 1000);
    return json_is_string(text) &&
           float_parse((struct view){json_string_value(text), json_string_length(text)}, value);
}

static bool bad_answer(struct error *err)
{
    return error_set(err, ERROR_IO, "the server's answer is no vector or matrix of floats");
}

static bool read_series(const json_t *item, struct arena *arena, struct rule_matrix_series *out)
{
    const json_t *points = json_object_get(item, "values"), *one = json_object_get(item, "value");
    size_t count = one ? 1 : json_array_size(points);
    int64_t *times = arena_alloc(arena, (count + 1) * sizeof *times);
    double *values = arena_alloc(arena, (count + 1) * sizeof *values);
    for (size_t i = 0; i < count; i++)
        if (!read_point(one ? one : json_array_get(points, i), &times[i], &values[i]))
            return false;
    *out =
        (struct rule_matrix_series){.labels = read_labels(json_object_get(item, "metric"), arena),
                                    .times = times,
                                    .values = values,
                                    .count = (uint32_t)count};
    return true;
}

/* A vector or matrix; a scalar is a sample without labels. */
static bool read_matrix(const json_t *data, struct rule_matrix *out, struct error *err)
{
    const json_t *result = json_object_get(data, "result"), *item;
    const char *type = json_string_value(json_object_get(data, "resultType"));
    bool scalar = type && strcmp(type, "scalar") == 0;
    if (!type || !json_is_array(result) || strcmp(type, "string") == 0)
        return error_set(err, ERROR_EXECUTION, "rule result is not a vector or scalar");
    size_t count = scalar ? 1 : json_array_size(result), i;
    out->series = ARENA_ARRAY(&out->arena, struct rule_matrix_series, count + 1);
    if (scalar) {
        int64_t *time = arena_alloc(&out->arena, sizeof *time);
        double *value = arena_alloc(&out->arena, sizeof *value);
        if (!read_point(result, time, value))
            return bad_answer(err);
        out->series[out->count++] =
            (struct rule_matrix_series){.times = time, .values = value, .count = 1};
        return true;
    }
    json_array_foreach(result, i, item)
    {
        if (!read_series(item, &out->arena, &out->series[out->count++]))
            return bad_answer(err);
    }
    return true;
}

bool remote_history_fetch(void *arg, const struct promql *expr, const struct query_params *params,
                          struct rule_matrix *out, struct error *err)
{
    const struct remote_history *h = arg;
    struct buffer form;
    json_t *answer = NULL, *data;
    struct view text = promql_text(expr);
    buffer_init(&form, MEM_OTHER, FORM_BYTES_MAX);
    add(&form, "query", text);
    if (params->instant) {
        add_seconds(&form, "time", params->start_ms);
    } else {
        add_seconds(&form, "start", params->start_ms);
        add_seconds(&form, "end", params->end_ms);
        add_seconds(&form, "step", params->step_ms);
    }
    bool ok =
        !form.failed || error_set(err, ERROR_TOO_LARGE, "an expression of %zu bytes", text.len);
    ok = ok && ask(h, params->instant ? "/api/v1/query" : "/api/v1/query_range", buffer_view(&form),
                   &answer, &data, err);
    ok = ok && read_matrix(data, out, err);
    json_decref(answer);
    buffer_deinit(&form);
    if (!ok && err->kind == ERROR_INPUT)
        (void)error_wrap(err, "expression \"%.*s\"", VIEW_ARGS(view_slice(text, 0, 200)));
    return ok;
}

/* --- samples --- */

static bool is_plain_name(struct view name)
{
    for (size_t i = 0; i < name.len; i++) {
        char c = name.ptr[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
              (i && c >= '0' && c <= '9')))
            return false;
    }
    return name.len > 0;
}

static void write_selector(struct buffer *out, const struct select *what)
{
    static const char *const OPERATORS[] = {[MATCH_EQUAL] = "=",
                                            [MATCH_NOT_EQUAL] = "!=",
                                            [MATCH_REGEX] = "=~",
                                            [MATCH_NOT_REGEX] = "!~"};
    buffer_append_byte(out, '{');
    for (size_t i = 0; i < what->matcher_count; i++) {
        const struct matcher *m = &what->matchers[i];
        if (i)
            buffer_append_byte(out, ',');
        if (is_plain_name(m->name))
            buffer_append_view(out, m->name);
        else
            label_quote(out, m->name);
        buffer_append_view(out, view_from(OPERATORS[m->type]));
        label_quote(out, m->value);
    }
    buffer_printf(out, "}[%" PRId64 "ms]", what->maxt - what->mint + 1);
}

static bool fetch_samples(const struct remote_history *h, const struct select *what,
                          struct memory_source *store, struct error *err)
{
    struct buffer text, form;
    json_t *answer = NULL, *data;
    struct rule_matrix matrix = {0};
    arena_init(&matrix.arena, MEM_OTHER, 0);
    buffer_init(&text, MEM_OTHER, FORM_BYTES_MAX);
    buffer_init(&form, MEM_OTHER, FORM_BYTES_MAX);
    write_selector(&text, what);
    add(&form, "query", buffer_view(&text));
    add_seconds(&form, "time", what->maxt);
    bool ok = (!text.failed && !form.failed) || error_set(err, ERROR_TOO_LARGE, "a selector");
    ok = ok && ask(h, "/api/v1/query", buffer_view(&form), &answer, &data, err) &&
         read_matrix(data, &matrix, err);
    json_decref(answer);
    for (size_t i = 0; ok && i < matrix.count; i++)
        for (uint32_t k = 0; k < matrix.series[i].count; k++)
            memory_source_add(store, matrix.series[i].labels, matrix.series[i].times[k],
                              matrix.series[i].values[k]);
    buffer_deinit(&form);
    buffer_deinit(&text);
    arena_deinit(&matrix.arena);
    return ok;
}

static bool remote_select(struct storage_view *view, const struct select *what,
                          struct label_store *labels, struct arena *arena, struct series_list *out,
                          struct error *err)
{
    struct remote_view *v = (struct remote_view *)view;
    struct memory_source *store = memory_source_new();
    v->stores = mem_grow(MEM_OTHER, v->stores, &v->store_capacity, v->count + 1,
                         sizeof(struct memory_source *));
    v->views = mem_grow(MEM_OTHER, v->views, &v->view_capacity, v->count + 1,
                        sizeof(struct storage_view *));
    v->stores[v->count] = store;
    v->views[v->count] = source_pin(memory_source_as_source(store), what->mint, what->maxt, err);
    uint64_t number = v->count++;
    if (!fetch_samples(v->history, what, store, err) ||
        !view_select(v->views[number], what, labels, arena, out, err))
        return false;
    for (size_t i = 0; i < out->count; i++)
        out->items[i].ref |= number << 32;
    return true;
}

static bool remote_read(struct storage_reader *reader, uint64_t ref, int64_t mint, int64_t maxt,
                        struct samples *out, struct error *err)
{
    struct remote_reader *r = (struct remote_reader *)reader;
    size_t number = ref >> 32;
    if (!r->inner[number])
        r->inner[number] = view_reader_new(r->view->views[number], reader->cancel, err);
    return r->inner[number] &&
           reader_read(r->inner[number], ref & UINT32_MAX, mint, maxt, out, err);
}

static void remote_reader_free(struct storage_reader *reader)
{
    struct remote_reader *r = (struct remote_reader *)reader;
    for (size_t i = 0; i < r->count; i++)
        storage_reader_free(r->inner[i]);
    mem_free(MEM_OTHER, r->inner);
    mem_free(MEM_OTHER, r);
}

/* Readers are made when all has been selected. */
static struct storage_reader *remote_reader_new(struct storage_view *view, struct error *err)
{
    static const struct storage_reader_ops OPS = {remote_read, remote_reader_free};
    const struct remote_view *v = (struct remote_view *)view;
    struct remote_reader *r = mem_alloc_zero(MEM_OTHER, 1, sizeof *r);
    (void)err;
    r->reader.ops = &OPS;
    r->view = v;
    r->count = v->count;
    r->inner = mem_alloc_zero(MEM_OTHER, v->count + 1, sizeof(struct storage_reader *));
    return &r->reader;
}

static bool no_names(struct storage_view *v, const struct select *what, size_t limit,
                     struct arena *arena, struct view **out, size_t *count, struct error *err)
{
    (void)v, (void)what, (void)limit, (void)arena;
    *out = NULL;
    *count = 0;
    return error_set(err, ERROR_EXECUTION, "label names are not asked of a remote history");
}

static bool no_values(struct storage_view *v, struct view name, const struct select *what,
                      size_t limit, struct arena *arena, struct view **out, size_t *count,
                      struct error *err)
{
    (void)name;
    return no_names(v, what, limit, arena, out, count, err);
}

static void remote_release(struct storage_view *view)
{
    struct remote_view *v = (struct remote_view *)view;
    for (size_t i = 0; i < v->count; i++) {
        view_release(v->views[i]);
        memory_source_free(v->stores[i]);
    }
    mem_free(MEM_OTHER, v->views);
    mem_free(MEM_OTHER, v->stores);
    mem_free(MEM_OTHER, v);
}

static struct storage_view *remote_pin(struct storage_source *s, int64_t mint, int64_t maxt,
                                       struct error *err)
{
    static const struct storage_view_ops OPS = {remote_select, no_names, no_values,
                                                remote_reader_new, remote_release};
    struct remote_view *v = mem_alloc_zero(MEM_OTHER, 1, sizeof *v);
    (void)mint, (void)maxt, (void)err;
    v->view.ops = &OPS;
    v->history = (struct remote_history *)s;
    return &v->view;
}

/* --- life --- */

struct remote_history *remote_history_new(const char *url, int64_t timeout_ms)
{
    struct remote_history *h = mem_alloc_zero(MEM_OTHER, 1, sizeof *h);
    struct view base = view_from(url);
    const char *scheme = strstr(url, "://") ? "" : "http://";
    while (base.len && base.ptr[base.len - 1] == '/')
        base.len--;
    size_t bytes = strlen(scheme) + base.len + 1;
    h->source.pin = remote_pin;
    h->url = mem_alloc(MEM_OTHER, bytes);
    (void)snprintf(h->url, bytes, "%s%.*s", scheme, VIEW_ARGS(base));
    h->timeout_ms = timeout_ms;
    return h;
}

void remote_history_free(struct remote_history *h)
{
    if (!h)
        return;
    mem_free(MEM_OTHER, h->url);
    mem_free(MEM_OTHER, h);
}

struct storage_source *remote_history_source(struct remote_history *h)
{
    return &h->source;
}
