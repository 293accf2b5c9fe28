/* SPDX-License-Identifier: Apache-2.0 */
/* api_silences.c: silences of Alertmanager's API v2. */
#include "api/api_private.h"

#include "api/silence_json.h"
#include "base/json_write.h"

/* Alertmanager's status for the kind, and its words. */
static void fail(struct http_response *rs, const struct error *err)
{
    int status = err->kind == ERROR_INPUT || err->kind == ERROR_TOO_LARGE
                     ? 400
                     : error_http_status(err->kind);
    api_v2_error(rs, status, view_from(err->message));
}

/* An answer on its way: which silences there were, and how far it is sent. Their texts may be gigabytes: each is asked for when
 * its turn comes, and is as it is then. */
struct silence_answer {
    struct arena arena, of_one;
    struct alert_state *state;
    struct matchers filter;
    struct silence_list list;
    size_t next;
    int64_t now_ns;
    bool is_begun;
};

static void answer_free(void *arg)
{
    struct silence_answer *a = arg;
    matchers_deinit(&a->filter);
    arena_deinit(&a->of_one);
    arena_deinit(&a->arena);
    mem_free(MEM_HTTP, a);
}

static bool next_silences(void *arg, struct buffer *out, bool *more)
{
    struct silence_answer *a = arg;
    for (; a->next < a->list.count && out->len < HTTP_PIECE_BYTES; a->next++) {
        struct silence silence;
        arena_reset(&a->of_one);
        if (!silence_get(a->state, &a->of_one, a->list.items[a->next].id, a->now_ns, &silence) ||
            !silence_has_matchers(&silence, &a->filter))
            continue;
        if (a->is_begun)
            buffer_append_byte(out, ',');
        a->is_begun = true;
        silence_json_write(out, &silence);
    }
    *more = a->next < a->list.count;
    if (!*more)
        buffer_append_literal(out, "]\n");
    return true;
}

/* Before the answer begins: the thread that sends it must not look for long at what is left out. */
static void keep_matching(struct silence_answer *a)
{
    size_t kept = 0;
    for (size_t i = 0; i < a->list.count; i++) {
        struct silence silence;
        arena_reset(&a->of_one);
        if (silence_get(a->state, &a->of_one, a->list.items[i].id, a->now_ns, &silence) &&
            silence_has_matchers(&silence, &a->filter))
            a->list.items[kept++] = a->list.items[i];
    }
    a->list.count = kept;
}

void api_serve_v2_silences(struct api *api, struct http_request *rq, struct http_response *rs)
{
    struct silence_answer *a = mem_alloc_zero(MEM_HTTP, 1, sizeof *a);
    a->state = api->options.alert_state;
    a->now_ns = clock_wall().ms * 1000000;
    arena_init(&a->arena, MEM_HTTP, 0); /* bounded by the silences that are kept */
    arena_init(&a->of_one, MEM_HTTP, 0);
    if (!api_v2_filters(&a->arena, rq, &a->filter, rs)) {
        answer_free(a);
        return;
    }
    silence_list(a->state, &a->arena, a->now_ns, &a->list);
    if (a->filter.count)
        keep_matching(a);
    silence_list_sort(&a->list);
    buffer_append_byte(api_v2_begin(rs), '[');
    http_response_stream(rs, next_silences, answer_free, a);
}

/* {"silenceID":"..."}, and what may be a slip. */
static void answer(struct arena *arena, struct http_response *rs, struct view id,
                   const struct silence_warnings *warnings)
{
    struct view texts[SILENCE_WARNINGS_MAX];
    size_t count = silence_warning_texts(arena, warnings, texts);
    struct buffer *b = api_v2_begin(rs);
    buffer_append_byte(b, '{');
    api_field_string(b, "silenceID", id);
    api_string_list(b, "warnings", texts, count);
    buffer_append_literal(b, "}\n");
}

void api_serve_v2_post_silence(struct api *api, struct http_request *rq, struct http_response *rs)
{
    struct arena *arena = http_request_arena(rq);
    struct silence silence;
    struct silence_warnings warnings = {0};
    struct alert_refusal why = {0};
    struct error err = {0};
    struct view id;
    int64_t now_ns = clock_wall().ms * 1000000;
    if (!api_v2_check_type(rq, rs))
        return;
    if (!silence_json_read(arena, http_request_body(rq), &silence, &why))
        api_v2_refuse(rs, &why);
    else if (silence.starts_ns >= silence.ends_ns)
        api_v2_error(rs, 400, VIEW("Failed to create silence: start time must be before end time"));
    else if (silence.ends_ns < now_ns)
        api_v2_error(rs, 400, VIEW("Failed to create silence: end time can't be in the past"));
    else if (!silence_set(api->options.alert_state, arena, &silence, now_ns, &id, &warnings, &err))
        fail(rs, &err);
    else
        answer(arena, rs, id, &warnings);
}

/* When a silence that recurs would be active; nothing is kept. */
void api_serve_silence_preview(struct api *api, struct http_request *rq, struct http_response *rs)
{
    enum { SHOWN_DEFAULT = 10 };
    struct arena *arena = http_request_arena(rq);
    struct silence silence;
    struct alert_refusal why = {0};
    struct error err = {0};
    size_t limit = 0, count = 0;
    (void)api;
    if (!api_v2_check_type(rq, rs))
        return;
    if (!silence_json_read(arena, http_request_body(rq), &silence, &why)) {
        api_error(rs, &why.err);
        return;
    }
    bool ok = api_limit_parse(http_request_param(rq, "limit"), &limit, &err);
    limit = limit == 0 ? SHOWN_DEFAULT : limit > SILENCE_PREVIEW_MAX ? SILENCE_PREVIEW_MAX : limit;
    struct silence_window *windows = ARENA_ARRAY(arena, struct silence_window, limit);
    if (ok && silence.recurrence.kind == RECURRENCE_NONE)
        ok = error_set(&err, ERROR_INPUT, "recurrence is missing");
    if (!ok ||
        !silence_preview(&silence, clock_wall().ms * 1000000, windows, limit, &count, &err)) {
        api_error(rs, &err);
        return;
    }
    struct buffer *b = api_begin(rs);
    buffer_append_byte(b, '[');
    for (size_t i = 0; i < count; i++) {
        if (i)
            buffer_append_byte(b, ',');
        silence_json_window(b, windows[i]);
    }
    buffer_append_byte(b, ']');
    api_end(rs);
}

/* A silence's id is a UUID, whatever the case of its letters. */
static bool check_id(struct view id, struct http_response *rs)
{
    struct alert_refusal why;
    bool ok = id.len == SILENCE_ID_BYTES;
    for (size_t i = 0; ok && i < id.len; i++) {
        bool is_dash = i == 8 || i == 13 || i == 18 || i == 23;
        ok = is_dash ? id.ptr[i] == '-' : strchr("0123456789abcdefABCDEF", id.ptr[i]) != NULL;
    }
    if (ok)
        return true;
    (void)alert_refuse(&why, 422, 601, "silenceID in path must be of type uuid: \"%.*s\"",
                       VIEW_ARGS(view_slice(id, 0, 200))); /* always false */
    api_v2_refuse(rs, &why);
    return false;
}

void api_serve_v2_silence(struct api *api, struct http_request *rq, struct http_response *rs)
{
    struct silence silence;
    struct view id = http_request_capture(rq, "id");
    if (!check_id(id, rs))
        return;
    int64_t now_ns = clock_wall().ms * 1000000;
    if (!silence_get(api->options.alert_state, http_request_arena(rq), id, now_ns, &silence)) {
        http_response_set_status(rs, 404); /* without a body, as there */
        http_response_set_content_type(rs, "application/json");
        return;
    }
    struct buffer *b = api_v2_begin(rs);
    silence_json_write_windows(b, &silence, now_ns);
    buffer_append_byte(b, '\n');
}

void api_serve_v2_expire_silence(struct api *api, struct http_request *rq, struct http_response *rs)
{
    struct error err = {0};
    struct view id = http_request_capture(rq, "id");
    if (!check_id(id, rs))
        return;
    if (!silence_expire(api->options.alert_state, id, clock_wall().ms * 1000000, &err)) {
        if (err.kind == ERROR_NOT_FOUND)
            http_response_set_status(rs, 404);
        else
            fail(rs, &err);
    }
    http_response_set_content_type(rs, "application/json");
}
