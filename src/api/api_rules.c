/* SPDX-License-Identifier: Apache-2.0 */
/* api_rules.c: rules and alerts, as Prometheus 3 shows them. */
#include "api/api_private.h"
#include "base/checksum.h"
#include "base/floattext.h"
#include "base/json_write.h"
#include "base/mem.h"
#include "base/thread.h"
#include "promql/parser.h"
#include "rules/rule_manager.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

enum { EXPR_BYTES_MAX = 1 << 20, TOKEN_BYTES = 17 };

/* Which rules are asked for. */
struct rule_filter {
    bool no_alerting, no_recording, exclude_alerts;
    const struct form_param *params;
    size_t param_count;
    struct api_selection selection; /* match[]: on the rule's labels */
    size_t group_limit;             /* 0 = none */
    struct view group_token;        /* the first group to show; "" = the first of all */
};

/* --- parameters --- */

static bool has_param(const struct rule_filter *f, const char *name)
{
    for (size_t i = 0; i < f->param_count; i++)
        if (view_is(f->params[i].name, name))
            return true;
    return false;
}

/* Is it one of the values of a parameter, or is there no such parameter? */
static bool is_wanted(const struct rule_filter *f, const char *name, struct view value)
{
    for (size_t i = 0; i < f->param_count; i++)
        if (view_is(f->params[i].name, name) && view_eq(f->params[i].value, value))
            return true;
    return !has_param(f, name);
}

static bool parse_type(struct rule_filter *f, struct view type, struct error *err)
{
    f->no_alerting = view_is_any_case(type, "record");
    f->no_recording = view_is_any_case(type, "alert");
    return type.len == 0 || f->no_alerting || f->no_recording ||
           error_set(err, ERROR_INPUT, "not supported value \"%.*s\"",
                     VIEW_ARGS(view_slice(type, 0, 200)));
}

/* Go's ParseBool. */
static bool parse_bool(struct view text, bool *out, struct error *err)
{
    static const char *const YES[] = {"1", "t", "T", "true", "TRUE", "True"}, *const NO[] = {
                                                                                  "",      "0",
                                                                                  "f",     "F",
                                                                                  "false", "FALSE",
                                                                                  "False"};
    for (size_t i = 0; i < ARRAY_COUNT(YES); i++)
        if (view_is(text, YES[i]))
            return *out = true;
    *out = false;
    for (size_t i = 0; i < ARRAY_COUNT(NO); i++)
        if (view_is(text, NO[i]))
            return true;
    return error_set(err, ERROR_INPUT, "error converting exclude_alerts: \"%.*s\" is no boolean",
                     VIEW_ARGS(view_slice(text, 0, 200)));
}

static bool parse_paging(struct rule_filter *f, struct view limit, struct error *err)
{
    if (f->group_token.len && limit.len == 0)
        return error_set(err, ERROR_INPUT, "group_limit needs to be set to use group_next_token");
    if (!api_limit_parse(limit, &f->group_limit, err))
        return false;
    return limit.len == 0 || f->group_limit > 0 ||
           error_set(err, ERROR_INPUT, "group_limit needs to be greater than 0");
}

/* False: the error is in rs. */
static bool filter_parse(struct rule_filter *f, struct arena *arena, struct http_request *rq,
                         struct http_response *rs)
{
    struct error err = {0};
    const char *bad = NULL;
    f->params = http_request_params(rq, &f->param_count);
    f->group_token = http_request_param(rq, "group_next_token");
    if (!parse_type(f, http_request_param(rq, "type"), &err))
        bad = "type";
    else if (!parse_bool(http_request_param(rq, "exclude_alerts"), &f->exclude_alerts, &err))
        bad = "exclude_alerts";
    else if (!api_selectors_parse(&f->selection, arena, rq, &err))
        bad = "match[]";
    else if (!parse_paging(f, http_request_param(rq, "group_limit"), &err))
        bad = "group_limit";
    if (bad)
        api_error_param(rs, bad, &err);
    return bad == NULL;
}

static bool labels_match(const struct rule_filter *f, struct labels ls)
{
    for (size_t i = 0; i < f->selection.set_count; i++) {
        const struct matcher_set *set = &f->selection.sets[i];
        bool all = true;
        for (size_t k = 0; k < set->count && all; k++)
            all = matcher_matches(&set->matchers[k], labels_get(ls, set->matchers[k].name));
        if (all)
            return true;
    }
    return f->selection.set_count == 0;
}

static bool rule_is_wanted(const struct rule_filter *f, const struct rule *r)
{
    return !(r->def->kind == RULE_ALERTING ? f->no_alerting : f->no_recording) &&
           is_wanted(f, "rule_name[]", r->def->name) && labels_match(f, r->def->labels);
}

static bool group_is_wanted(const struct rule_filter *f, const struct rule_group *g)
{
    if (!is_wanted(f, "rule_group[]", g->def->name) || !is_wanted(f, "file[]", g->def->file))
        return false;
    for (size_t i = 0; i < g->rule_count; i++)
        if (rule_is_wanted(f, &g->rules[i]))
            return true;
    return false; /* all of its rules are filtered out */
}

static void group_token(const struct rule_group *g, char out[TOKEN_BYTES])
{
    const struct label items[] = {{VIEW("file"), g->def->file}, {VIEW("name"), g->def->name}};
    snprintf(out, TOKEN_BYTES, "%016" PRIx64, labels_hash((struct labels){items, 2}));
}

/* --- writing --- */

static void comma(struct buffer *b)
{
    buffer_append_byte(b, ',');
}

/* strconv's 'e' with the shortest digits: 1e+00. */
static void value_write(struct buffer *b, double v)
{
    char text[64];
    for (int digits = 0; digits <= 17; digits++) {
        double back;
        int len = snprintf(text, sizeof text, "%.*e", digits, v);
        if (isnan(v) || isinf(v) ||
            (float_parse((struct view){text, (size_t)len}, &back) && back == v))
            break;
    }
    api_field_string(b, "value",
                     isnan(v)   ? VIEW("NaN")
                     : isinf(v) ? (v > 0 ? VIEW("+Inf") : VIEW("-Inf"))
                                : view_from(text));
}

static void alert_write(struct buffer *b, const struct alert *a)
{
    buffer_append_literal(b, "{\"labels\":");
    api_labels(b, a->labels);
    buffer_append_literal(b, ",\"annotations\":");
    api_labels(b, a->annotations);
    comma(b);
    api_field_string(b, "state", view_from(alert_phase_name(a->state)));
    buffer_append_literal(b, ",\"activeAt\":");
    api_time_format(b, a->active_ms);
    if (a->keep_firing_since_ms != RULE_NEVER) {
        buffer_append_literal(b, ",\"keepFiringSince\":");
        api_time_format(b, a->keep_firing_since_ms);
    }
    comma(b);
    value_write(b, a->value);
    buffer_append_byte(b, '}');
}

/* Those that are pending or firing, behind commas where `*first` is false. */
static void alerts_write_locked(struct buffer *b, const struct rule *r, bool *first)
{
    for (size_t i = 0; i < r->alert_count; i++) {
        if (!alert_is_active(r->alerts[i]))
            continue;
        if (!*first)
            comma(b);
        *first = false;
        alert_write(b, r->alerts[i]);
    }
}

static void expr_write(struct buffer *b, const struct rule_definition *def)
{
    struct buffer text;
    buffer_init(&text, MEM_HTTP, EXPR_BYTES_MAX);
    promql_print(&text, promql_root(def->expr));
    api_field_string(b, "query", text.failed ? def->text : buffer_view(&text));
    buffer_deinit(&text);
}

static enum alert_phase rule_state_locked(const struct rule *r)
{
    enum alert_phase state = ALERT_INACTIVE;
    for (size_t i = 0; i < r->alert_count; i++)
        if (alert_is_active(r->alerts[i]) && r->alerts[i]->state > state)
            state = r->alerts[i]->state;
    return state;
}

static void seconds_write(struct buffer *b, const char *name, double seconds)
{
    buffer_printf(b, "\"%s\":", name);
    json_number(b, seconds);
}

static void health_write_locked(struct buffer *b, const struct rule *r)
{
    static const char *const NAMES[] = {"unknown", "ok", "err"};
    api_field_string(b, "health", view_from(NAMES[r->health]));
    if (r->last_error) {
        comma(b);
        api_field_string(b, "lastError", view_from(r->last_error));
    }
    comma(b);
    seconds_write(b, "evaluationTime", (double)r->duration_ns / 1e9);
    buffer_append_literal(b, ",\"lastEvaluation\":");
    api_time_format(b, r->evaluated_ms);
    comma(b);
    api_field_string(b, "type",
                     r->def->kind == RULE_ALERTING ? VIEW("alerting") : VIEW("recording"));
}

static void alerting_write_locked(struct buffer *b, const struct rule *r, bool exclude_alerts)
{
    const struct rule_definition *def = r->def;
    bool first = true;
    api_field_string(b, "state", view_from(alert_phase_name(rule_state_locked(r))));
    comma(b);
    api_field_string(b, "name", def->name);
    comma(b);
    expr_write(b, def);
    comma(b);
    seconds_write(b, "duration",
                  (double)(def->missing_for_ms ? def->missing_for_ms : def->for_ms) / 1000);
    comma(b);
    seconds_write(b, "keepFiringFor", (double)def->keep_firing_for_ms / 1000);
    buffer_append_literal(b, ",\"labels\":");
    api_labels(b, def->labels);
    buffer_append_literal(b, ",\"annotations\":");
    api_labels(b, def->annotations);
    if (def->missing_for_ms)
        buffer_append_literal(b, ",\"missing\":true");
    if (def->recover) {
        comma(b);
        api_field_string(b, "recover", def->recover_text);
    }
    buffer_append_literal(b, ",\"alerts\":[");
    if (!exclude_alerts)
        alerts_write_locked(b, r, &first);
    buffer_append_literal(b, "],");
}

/* Writing is memory only, so the mutex is held: alerts and health are of one moment. */
static void rule_write(struct buffer *b, struct rule *r, bool exclude_alerts)
{
    buffer_append_byte(b, '{');
    mutex_lock(&r->mutex);
    if (r->def->kind == RULE_ALERTING) {
        alerting_write_locked(b, r, exclude_alerts);
    } else {
        api_field_string(b, "name", r->def->name);
        comma(b);
        expr_write(b, r->def);
        comma(b);
        if (r->def->labels.count) {
            buffer_append_literal(b, "\"labels\":");
            api_labels(b, r->def->labels);
            comma(b);
        }
    }
    health_write_locked(b, r);
    mutex_unlock(&r->mutex);
    buffer_append_byte(b, '}');
}

static int64_t load(const _Atomic int64_t *v)
{
    return atomic_load_explicit(v, memory_order_relaxed);
}

static void group_write(struct buffer *b, struct rule_group *g, const struct rule_filter *f)
{
    bool first = true;
    buffer_append_byte(b, '{');
    api_field_string(b, "name", g->def->name);
    comma(b);
    api_field_string(b, "file", g->def->file);
    buffer_append_literal(b, ",\"rules\":[");
    for (size_t i = 0; i < g->rule_count; i++) {
        if (!rule_is_wanted(f, &g->rules[i]))
            continue;
        if (!first)
            comma(b);
        first = false;
        rule_write(b, &g->rules[i], f->exclude_alerts);
    }
    buffer_append_literal(b, "],");
    seconds_write(b, "interval", (double)g->interval_ms / 1000);
    comma(b);
    api_field_int(b, "limit", (int64_t)g->def->limit);
    comma(b);
    seconds_write(b, "evaluationTime", (double)load(&g->last_duration_ns) / 1e9);
    buffer_append_literal(b, ",\"lastEvaluation\":");
    api_time_format(b, load(&g->last_start_ms));
    buffer_append_byte(b, '}');
}

/* Where a page begins; false when no group has this token (any more). */
static bool page_start(const struct rule_groups *groups, const struct rule_filter *f, size_t *out)
{
    *out = 0;
    for (; f->group_token.len && *out < groups->count; ++*out) {
        char token[TOKEN_BYTES];
        group_token(groups->items[*out], token);
        if (view_is(f->group_token, token))
            return true;
    }
    return f->group_token.len == 0;
}

static void page_write(struct http_response *rs, const struct rule_groups *groups,
                       const struct rule_filter *f, size_t at)
{
    size_t shown = 0;
    struct buffer *b = api_begin(rs);
    buffer_append_literal(b, "{\"groups\":[");
    for (; at < groups->count && (f->group_limit == 0 || shown < f->group_limit); at++) {
        if (!group_is_wanted(f, groups->items[at]))
            continue;
        if (shown++)
            comma(b);
        group_write(b, groups->items[at], f);
    }
    while (at < groups->count && !group_is_wanted(f, groups->items[at]))
        at++;
    buffer_append_byte(b, ']');
    if (at < groups->count) {
        char token[TOKEN_BYTES];
        group_token(groups->items[at], token);
        comma(b);
        api_field_string(b, "groupNextToken", view_from(token));
    }
    buffer_append_byte(b, '}');
    api_end(rs);
}

void api_serve_rules(struct api *api, struct http_request *rq, struct http_response *rs)
{
    struct arena arena;
    struct rule_filter f = {0};
    struct rule_groups groups = {0};
    size_t at;
    arena_init(&arena, MEM_HTTP, 0);
    if (filter_parse(&f, &arena, rq, rs)) {
        rule_manager_groups(api->options.rules, &arena, &groups);
        if (page_start(&groups, &f, &at)) {
            page_write(rs, &groups, &f, at);
        } else {
            struct error err;
            error_set(&err, ERROR_INPUT,
                      "invalid group_next_token '%.*s'. were rule groups changed?",
                      VIEW_ARGS(view_slice(f.group_token, 0, 200)));
            api_error_param(rs, "group_next_token", &err);
        }
        rule_groups_release(&groups);
    }
    api_selection_deinit(&f.selection);
    arena_deinit(&arena);
}

void api_serve_alerts(struct api *api, struct http_request *rq, struct http_response *rs)
{
    (void)rq;
    struct arena arena;
    struct rule_groups groups;
    bool first = true;
    arena_init(&arena, MEM_HTTP, 0);
    rule_manager_groups(api->options.rules, &arena, &groups);
    struct buffer *b = api_begin(rs);
    buffer_append_literal(b, "{\"alerts\":[");
    for (size_t g = 0; g < groups.count; g++) {
        for (size_t i = 0; i < groups.items[g]->rule_count; i++) {
            struct rule *r = &groups.items[g]->rules[i];
            mutex_lock(&r->mutex);
            alerts_write_locked(b, r, &first);
            mutex_unlock(&r->mutex);
        }
    }
    buffer_append_literal(b, "]}");
    api_end(rs);
    rule_groups_release(&groups);
    arena_deinit(&arena);
}
