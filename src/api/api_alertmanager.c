/* SPDX-License-Identifier: Apache-2.0 */
/* api_alertmanager.c: Alertmanager's API v2: status, receivers, alerts and their groups. Its silences: api_silences.c. */
#include "api/api_private.h"

#include "alerting/alert_config.h"
#include "alerting/alert_router.h"
#include "api/alert_json.h"
#include "base/json_write.h"

/* --- answers and errors --- */

void api_v2_refuse(struct http_response *rs, const struct alert_refusal *why)
{
    struct buffer *b = http_response_body(rs);
    buffer_reset(b);
    http_response_set_status(rs, why->status);
    http_response_set_content_type(rs, "application/json");
    if (why->code) {
        buffer_printf(b, "{\"code\":%d,\"message\":", why->code);
        json_string(b, view_from(why->err.message));
        buffer_append_byte(b, '}');
    } else {
        json_string(b, view_from(why->err.message));
        buffer_append_byte(b, '\n');
    }
}

void api_v2_error(struct http_response *rs, int status, struct view message)
{
    struct alert_refusal why = {.status = status};
    (void)error_set(&why.err, ERROR_INPUT, "%.*s", VIEW_ARGS(message)); /* always false */
    api_v2_refuse(rs, &why);
}

struct buffer *api_v2_begin(struct http_response *rs)
{
    http_response_set_content_type(rs, "application/json");
    http_response_set_header(rs, "Cache-Control", VIEW("no-store"));
    return http_response_body(rs);
}

bool api_v2_check_type(struct http_request *rq, struct http_response *rs)
{
    struct view type = http_request_header(rq, "Content-Type");
    struct view media = api_cut(&type, ';');
    struct alert_refusal why;
    if (view_is_any_case(media, "application/json"))
        return true;
    (void)alert_refuse(&why, 415, 415,
                       "unsupported media type \"%.*s\", only [application/json] are allowed",
                       VIEW_ARGS(view_slice(media, 0, 200))); /* always false */
    api_v2_refuse(rs, &why);
    return false;
}

/* --- filters --- */

/* What go-openapi takes for true; the last one said counts. */
static bool read_switch(struct http_request *rq, const char *name)
{
    static const char *const TRUE_WORDS[] = {"true", "1",        "yes",     "ok", "y",
                                             "on",   "selected", "checked", "t",  "enabled"};
    size_t count;
    bool is_on = true;
    const struct form_param *params = http_request_params(rq, &count);
    for (size_t i = 0; i < count; i++) {
        if (!view_is(params[i].name, name))
            continue;
        is_on = params[i].value.len == 0; /* said without a value: the default */
        for (size_t w = 0; w < ARRAY_COUNT(TRUE_WORDS); w++)
            is_on |= view_is_any_case(params[i].value, TRUE_WORDS[w]);
    }
    return is_on;
}

/* A comma outside quotes and braces makes no list here: a=b,c is the value "b,c", as in Alertmanager. */
static bool read_filter(struct arena *arena, struct view text, struct matchers *out,
                        struct error *err)
{
    static const struct {
        struct view text;
        enum matcher_type type;
    } SIGNS[] = {{VIEW_INIT("!="), MATCH_NOT_EQUAL},
                 {VIEW_INIT("=~"), MATCH_REGEX},
                 {VIEW_INIT("!~"), MATCH_NOT_REGEX},
                 {VIEW_INIT("="), MATCH_EQUAL}};
    struct matchers read = {0};
    if (!matchers_parse(arena, text, &read, NULL, err))
        return false;
    bool is_one = read.count == 1 || view_has_prefix(text, VIEW("{"));
    bool ok = true;
    size_t sign = 0;
    while (!is_one && sign < text.len && !strchr("=!", text.ptr[sign]))
        sign++;
    if (read.count == 0)
        ok = error_set(err, ERROR_INPUT, "bad matcher format: %.*s",
                       VIEW_ARGS(view_slice(text, 0, 200)));
    for (size_t i = 0; ok && is_one && i < read.count; i++)
        ok = matchers_add(arena, out, read.items[i].type, read.items[i].name, read.items[i].value,
                          err);
    for (size_t i = 0; ok && !is_one && i < ARRAY_COUNT(SIGNS); i++) {
        struct view rest = view_slice(text, sign, text.len);
        if (!view_has_prefix(rest, SIGNS[i].text))
            continue;
        ok = matchers_add(arena, out, SIGNS[i].type, view_slice(text, 0, sign),
                          view_slice(rest, SIGNS[i].text.len, rest.len), err);
        break;
    }
    matchers_deinit(&read);
    return ok;
}

bool api_v2_filters(struct arena *arena, struct http_request *rq, struct matchers *out,
                    struct http_response *rs)
{
    struct error err = {0};
    size_t count;
    bool ok = true;
    const struct form_param *params = http_request_params(rq, &count);
    for (size_t i = 0; ok && i < count; i++)
        if (view_is(params[i].name, "filter"))
            ok = read_filter(arena, params[i].value, out, &err);
    if (!ok)
        api_v2_error(rs, 400, view_from(err.message));
    return ok;
}

/* --- alerts --- */

/* An answer on its way: what was there when it was asked for, and how far it is sent. */
struct alert_answer {
    struct arena arena;
    struct alert_views alerts; /* of alerts */
    struct alert_group_views groups;
    size_t next, next_alert;
    bool is_begun, is_group_begun; /* something is written of all, of the group */
    bool active, silenced, inhibited, muted;
    struct matchers filter;
    struct regex *receiver; /* NULL: any */
};

static void answer_free(void *arg)
{
    struct alert_answer *a = arg;
    alert_views_release(&a->alerts);
    alert_group_views_release(&a->groups);
    matchers_deinit(&a->filter);
    regex_free(a->receiver);
    arena_deinit(&a->arena);
    mem_free(MEM_HTTP, a);
}

/* NULL: the error is in rs. */
static struct alert_answer *answer_new(struct http_request *rq, struct http_response *rs)
{
    struct alert_answer *a = mem_alloc_zero(MEM_HTTP, 1, sizeof *a);
    struct view receiver = http_request_param(rq, "receiver");
    struct error err = {0};
    arena_init(&a->arena, MEM_HTTP, 0); /* bounded by the alerts that are alive */
    a->active = read_switch(rq, "active");
    a->silenced = read_switch(rq, "silenced");
    a->inhibited = read_switch(rq, "inhibited");
    a->muted = read_switch(rq, "muted");
    bool ok = api_v2_filters(&a->arena, rq, &a->filter, rs);
    if (ok && receiver.len && !regex_new(&a->receiver, receiver, &err)) {
        (void)error_wrap(&err, "failed to parse receiver param"); /* always false */
        api_v2_error(rs, 400, view_from(err.message));
        ok = false;
    }
    if (ok)
        return a;
    answer_free(a);
    return NULL;
}

static bool is_wanted(const struct alert_answer *a, const struct alert_view *v)
{
    if ((!a->active && v->status == ALERT_ACTIVE) || (!a->silenced && v->silenced_by.count) ||
        (!a->inhibited && v->inhibited_by_count))
        return false;
    return true;
}

static bool matches_filter(const void *arg, const struct live_alert *alert)
{
    const struct alert_answer *a = arg;
    return matchers_match(&a->filter, alert->labels);
}

static bool has_receiver(const struct alert_answer *a, const struct alert_view *v)
{
    bool found = a->receiver == NULL;
    for (size_t i = 0; !found && i < v->receiver_count; i++)
        found = regex_match(a->receiver, v->receivers[i]);
    return found;
}

/* Appends a comma unless it is the first. */
static void separate(struct buffer *b, bool *is_begun)
{
    if (*is_begun)
        buffer_append_byte(b, ',');
    *is_begun = true;
}

static bool next_alerts(void *arg, struct buffer *out, bool *more)
{
    struct alert_answer *a = arg;
    for (; a->next < a->alerts.count && out->len < HTTP_PIECE_BYTES; a->next++) {
        const struct alert_view *v = &a->alerts.items[a->next];
        if (!is_wanted(a, v) || !has_receiver(a, v))
            continue;
        separate(out, &a->is_begun);
        alert_json_write(out, v);
    }
    *more = a->next < a->alerts.count;
    if (!*more)
        buffer_append_literal(out, "]\n");
    return true;
}

static bool is_wanted_group(const struct alert_answer *a, const struct alert_group_view *g)
{
    bool is_muted = g->alerts.count && g->alerts.items[0].muted_by_count;
    return (a->muted || !is_muted) && (!a->receiver || regex_match(a->receiver, g->receiver));
}

/* The wanted alerts of group a->next from a->next_alert on, as far as the piece goes. A group without any is not shown. */
static void write_group(struct alert_answer *a, struct buffer *out)
{
    const struct alert_group_view *g = &a->groups.items[a->next];
    for (; a->next_alert < g->alerts.count && out->len < HTTP_PIECE_BYTES; a->next_alert++) {
        const struct alert_view *v = &g->alerts.items[a->next_alert];
        if (!is_wanted(a, v))
            continue;
        if (!a->is_group_begun) {
            separate(out, &a->is_begun);
            buffer_append_literal(out, "{\"alerts\":[");
        }
        separate(out, &a->is_group_begun);
        alert_json_write(out, v);
    }
    if (a->next_alert < g->alerts.count)
        return;
    if (a->is_group_begun) {
        buffer_append_literal(out, "],\"labels\":");
        api_labels(out, g->labels);
        buffer_append_literal(out, ",\"receiver\":{\"name\":");
        json_string(out, g->receiver);
        buffer_append_literal(out, "}}");
    }
    a->is_group_begun = false;
    a->next_alert = 0;
    a->next++;
}

static bool next_groups(void *arg, struct buffer *out, bool *more)
{
    struct alert_answer *a = arg;
    while (a->next < a->groups.count && out->len < HTTP_PIECE_BYTES) {
        if (is_wanted_group(a, &a->groups.items[a->next]))
            write_group(a, out);
        else
            a->next++;
    }
    *more = a->next < a->groups.count;
    if (!*more)
        buffer_append_literal(out, "]\n");
    return true;
}

void api_serve_v2_alerts(struct api *api, struct http_request *rq, struct http_response *rs)
{
    struct alert_answer *a = answer_new(rq, rs);
    if (!a)
        return;
    alert_router_alerts(api->options.router, &a->arena, matches_filter, a, &a->alerts);
    buffer_append_byte(api_v2_begin(rs), '[');
    http_response_stream(rs, next_alerts, answer_free, a);
}

void api_serve_v2_groups(struct api *api, struct http_request *rq, struct http_response *rs)
{
    struct alert_answer *a = answer_new(rq, rs);
    if (!a)
        return;
    alert_router_groups(api->options.router, &a->arena, matches_filter, a, &a->groups);
    buffer_append_byte(api_v2_begin(rs), '[');
    http_response_stream(rs, next_groups, answer_free, a);
}

void api_serve_v2_post_alerts(struct api *api, struct http_request *rq, struct http_response *rs)
{
    struct arena arena;
    struct alert_batch batch;
    struct alert_refusal why = {0};
    size_t refused = 0;
    if (!api_v2_check_type(rq, rs))
        return;
    arena_init(&arena, MEM_HTTP, 0); /* bounded by the body and ALERT_JSON_ALERTS_MAX */
    if (!alert_json_read(&arena, http_request_body(rq), clock_wall().ms * 1000000, &batch, &why)) {
        api_v2_refuse(rs, &why);
        arena_deinit(&arena);
        return;
    }
    alert_router_count_invalid(api->options.router, batch.invalid_count);
    alert_router_put(api->options.router, batch.items, batch.count, &refused);
    (void)api_v2_begin(rs); /* no body when all is well */
    if (refused) {
        (void)alert_refuse(&why, 503, 0, /* always false */
                           "%zu of %zu alerts were refused: as many as may be are alive", refused,
                           batch.count);
        api_v2_refuse(rs, &why);
    } else if (batch.invalid_count) {
        api_v2_error(rs, 400, batch.invalid);
    }
    arena_deinit(&arena);
}

/* --- what is configured --- */

void api_serve_v2_receivers(struct api *api, struct http_request *rq, struct http_response *rs)
{
    struct integrations *set = alert_router_integrations(api->options.router);
    struct buffer *b = api_v2_begin(rs);
    (void)rq;
    buffer_append_byte(b, '[');
    const struct receivers *r = set ? &integrations_config(set)->receivers : NULL;
    for (size_t i = 0; r && i < r->count; i++) {
        buffer_append_view(b, i ? VIEW(",{\"name\":") : VIEW("{\"name\":"));
        json_string(b, r->items[i].name);
        buffer_append_byte(b, '}');
    }
    buffer_append_literal(b, "]\n");
    integrations_unref(set);
}

void api_serve_v2_status(struct api *api, struct http_request *rq, struct http_response *rs)
{
    const struct api_options *o = &api->options;
    struct integrations *set = alert_router_integrations(o->router);
    struct buffer *b = api_v2_begin(rs), text;
    (void)rq;
    buffer_init(&text, MEM_HTTP, ALERT_CONFIG_BYTES_MAX);
    if (set)
        alert_config_print(integrations_config(set), &text);
    buffer_append_literal(b, "{\"cluster\":{\"peers\":[],\"status\":\"disabled\"},\"config\":{");
    api_field_string(b, "original", buffer_view(&text));
    buffer_append_literal(b, "},\"uptime\":");
    alert_json_time(b, o->started.ms * 1000000);
    buffer_append_literal(b, ",\"versionInfo\":{");
    api_field_string(b, "branch", view_from(o->branch));
    buffer_append_byte(b, ',');
    api_field_string(b, "buildDate", view_from(o->build_date));
    buffer_append_byte(b, ',');
    api_field_string(b, "buildUser", view_from(o->build_user));
    buffer_append_literal(b, ",\"goVersion\":\"\",");
    api_field_string(b, "revision", view_from(o->revision));
    buffer_append_byte(b, ',');
    api_field_string(b, "version", view_from(o->version));
    buffer_append_literal(b, "}}\n");
    buffer_deinit(&text);
    integrations_unref(set);
}

/* What Alertmanager had under /api/v1 until 0.27. */
void api_serve_v2_gone(struct api *api, struct http_request *rq, struct http_response *rs)
{
    (void)api;
    (void)rq;
    http_response_set_status(rs, 410);
    http_response_set_content_type(rs, "application/json");
    buffer_append_literal(http_response_body(rs),
                          "{\"status\":\"deprecated\",\"error\":\"The Alertmanager v1 API was "
                          "deprecated in version 0.16.0 and is removed as of version 0.27.0 - "
                          "please use the equivalent route in the v2 API\"}\n");
}
