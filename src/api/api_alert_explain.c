/* SPDX-License-Identifier: Apache-2.0 */
/* api_alert_explain.c: GET /api/v1/alerts/explain: the way of an alert, by fingerprint=HEX, or of labels={a="b",...}, which with
 * relabel=true get the external labels and pass alert_relabel_configs first, as if a rule had made them. */
#include "alerting/alert_explain.h"
#include "alerting/alert_history.h"
#include "alerting/json_body.h"
#include "api/api_private.h"
#include "base/hex.h"
#include "base/json_write.h"

#include <stdio.h>

enum { SENDS_SHOWN = 20 };

static void put_time(struct json_body *j, const char *name, int64_t ns)
{
    struct buffer text;
    if (ns == LIVE_ALERT_NEVER) {
        json_body_null(j, name);
        return;
    }
    buffer_init(&text, MEM_HTTP, 256);
    api_time_format(&text, ns / 1000000);
    json_body_raw(j, name, buffer_view(&text));
    buffer_deinit(&text);
}

static void put_labels(struct json_body *j, const char *name, struct labels ls)
{
    json_body_open(j, name, '{');
    for (uint32_t i = 0; i < ls.count; i++)
        json_body_named_text(j, ls.items[i].name, ls.items[i].value);
    json_body_close(j, '}');
}

static void put_fingerprint(struct json_body *j, const char *name, uint64_t fingerprint)
{
    char text[17];
    snprintf(text, sizeof text, "%016llx", (unsigned long long)fingerprint);
    json_body_text(j, name, view_from(text));
}

static void put_seconds(struct json_body *j, const char *name, int64_t ms)
{
    struct buffer text;
    buffer_init(&text, MEM_HTTP, 64);
    json_number(&text, (double)ms / 1000);
    json_body_raw(j, name, buffer_view(&text));
    buffer_deinit(&text);
}

static void put_alert(struct json_body *j, const struct alert_explanation *x)
{
    const struct live_alert *a = x->alert;
    if (!a) {
        json_body_null(j, "alert");
        json_body_null(j, "rule");
        return;
    }
    json_body_open(j, "alert", '{');
    json_body_text(j, "state", x->is_resolved ? VIEW("resolved") : VIEW("firing"));
    put_time(j, "startsAt", a->starts_ns);
    put_time(j, "endsAt", a->ends_ns);
    json_body_bool(j, "endsAtIsTimeout", a->is_timeout);
    put_time(j, "updatedAt", a->updated_ns);
    put_labels(j, "annotations", a->annotations);
    json_body_text(j, "generatorURL", a->generator_url);
    json_body_close(j, '}');
    if (a->rule.len == 0) {
        json_body_null(j, "rule"); /* it came by the API */
        return;
    }
    json_body_open(j, "rule", '{');
    json_body_text(j, "file", a->file);
    json_body_text(j, "group", a->group);
    json_body_text(j, "name", a->rule);
    json_body_close(j, '}');
}

static void put_route(struct json_body *j, size_t id, const struct explained_route *r)
{
    json_body_open(j, NULL, '{');
    json_body_int(j, "id", (int64_t)id);
    json_body_int(j, "depth", (int64_t)r->depth);
    json_body_text(j, "path", r->key);
    json_body_text(j, "receiver", r->receiver);
    json_body_bool(j, "continue", r->continues);
    json_body_text(j, "verdict", view_from(explained_verdict_name(r->verdict)));
    json_body_open(j, "matchers", '[');
    for (size_t i = 0; i < r->matcher_count; i++) {
        json_body_open(j, NULL, '{');
        json_body_text(j, "matcher", r->matchers[i].text);
        json_body_text(j, "value", r->matchers[i].value);
        json_body_bool(j, "matches", r->matchers[i].matches);
        json_body_close(j, '}');
    }
    json_body_close(j, ']');
    json_body_close(j, '}');
}

static void put_integration(struct json_body *j, const struct explained_integration *i)
{
    json_body_open(j, NULL, '{');
    json_body_text(j, "kind", view_from(i->kind));
    json_body_int(j, "index", (int64_t)i->index);
    json_body_bool(j, "sendResolved", i->send_resolved);
    put_time(j, "lastSent", i->was_told ? i->sent_ns : LIVE_ALERT_NEVER);
    if (i->was_told) {
        put_time(j, "repeatNotBefore", i->repeat_ns);
        json_body_bool(j, "toldFiring", i->knows_firing);
        json_body_bool(j, "toldResolved", i->knows_resolved);
        json_body_int(j, "firing", (int64_t)i->firing_count);
        json_body_int(j, "resolved", (int64_t)i->resolved_count);
    }
    json_body_close(j, '}');
}

static void put_group(struct json_body *j, const struct explained_group *g)
{
    json_body_open(j, NULL, '{');
    json_body_int(j, "route", (int64_t)g->route);
    json_body_text(j, "receiver", g->receiver);
    json_body_text(j, "key", g->key);
    put_labels(j, "labels", g->labels);
    put_seconds(j, "groupWait", g->group_wait_ms);
    put_seconds(j, "groupInterval", g->group_interval_ms);
    put_seconds(j, "repeatInterval", g->repeat_interval_ms);
    json_body_bool(j, "exists", g->exists);
    json_body_bool(j, "hasAlert", g->has_alert);
    json_body_int(j, "alerts", (int64_t)g->alert_count);
    json_body_bool(j, "isFlushing", g->is_flushing);
    put_time(j, "lastFlush", g->last_flush_ns);
    put_time(j, "nextFlush", g->next_flush_ns);
    json_body_open(j, "mutedBy", '[');
    for (size_t i = 0; i < g->muted_by.count; i++)
        json_body_text(j, NULL, g->muted_by.items[i]);
    json_body_close(j, ']');
    json_body_open(j, "integrations", '[');
    for (size_t i = 0; i < g->integration_count; i++)
        put_integration(j, &g->integrations[i]);
    json_body_close(j, ']');
    json_body_close(j, '}');
}

static void put_mutes(struct json_body *j, const struct alert_explanation *x)
{
    json_body_open(j, "inhibitedBy", '[');
    for (size_t i = 0; i < x->inhibition_count; i++) {
        const struct explained_inhibition *n = &x->inhibitions[i];
        json_body_open(j, NULL, '{');
        json_body_int(j, "rule", (int64_t)n->rule);
        json_body_text(j, "name", n->name);
        put_fingerprint(j, "source", n->source);
        put_labels(j, "sourceLabels", n->source_labels);
        json_body_close(j, '}');
    }
    json_body_close(j, ']');
    json_body_open(j, "silencedBy", '[');
    for (size_t i = 0; i < x->silences.count; i++)
        json_body_text(j, NULL, x->silences.items[i]);
    json_body_close(j, ']');
    json_body_bool(j, "acknowledged", x->is_acknowledged);
}

/* What was sent of it last, the latest first. A history that cannot be read is said, and hides nothing else. */
static void put_sends(struct json_body *j, struct alert_state *memory, struct arena *arena,
                      uint64_t fingerprint)
{
    const struct notification_history_query q = {.fingerprint = &fingerprint, .limit = SENDS_SHOWN};
    struct notification_history_page page = {NULL};
    struct error err = {0};
    bool ok = alert_history_notifications(memory, arena, &q, &page, &err);
    json_body_open(j, "sends", '[');
    for (size_t i = 0; ok && i < page.count; i++) {
        const struct past_notification *n = &page.items[i];
        json_body_open(j, NULL, '{');
        put_time(j, "at", n->at_ns);
        json_body_text(j, "receiver", n->key.receiver);
        json_body_text(j, "kind", n->key.kind);
        json_body_int(j, "index", (int64_t)n->key.index);
        json_body_text(j, "group", n->key.group_key);
        json_body_bool(j, "sent", n->is_sent);
        json_body_int(j, "status", n->status);
        json_body_int(j, "attempts", n->attempts);
        put_seconds(j, "latency", n->latency_ns / 1000000);
        json_body_text(j, "error", n->error);
        json_body_close(j, '}');
    }
    json_body_close(j, ']');
    if (!ok)
        json_body_text(j, "sendsError", view_from(err.message));
}

static bool read_labels(struct api *api, struct http_request *rq, struct labels *out,
                        bool *is_dropped, struct error *err)
{
    struct arena *arena = http_request_arena(rq);
    struct view fingerprint = http_request_param(rq, "fingerprint");
    struct view text = http_request_param(rq, "labels");
    *is_dropped = false;
    if (!fingerprint.len == !text.len)
        return error_set(err, ERROR_INPUT,
                         "expected one of the parameters \"fingerprint\" and \"labels\"");
    if (fingerprint.len) {
        uint64_t number = 0;
        for (size_t i = 0; i < fingerprint.len; i++) {
            uint32_t digit = hex_digit((unsigned char)fingerprint.ptr[i]);
            if (digit == HEX_NONE || fingerprint.len > 16)
                return error_set(err, ERROR_INPUT,
                                 "invalid parameter \"fingerprint\": expected up to 16 hexadecimal "
                                 "digits");
            number = number << 4 | digit;
        }
        return alert_router_find(api->options.router, number, arena, out) ||
               error_set(err, ERROR_NOT_FOUND, "there is no alert with the fingerprint %.*s",
                         VIEW_ARGS(fingerprint));
    }
    if (!labels_parse(arena, text, out, err))
        return error_wrap(err, "invalid parameter \"labels\"");
    if (view_is(http_request_param(rq, "relabel"), "true") && api->options.relabel_alert)
        *is_dropped = !api->options.relabel_alert(api->options.arg, *out, arena, out);
    return true;
}

void api_serve_alert_explain(struct api *api, struct http_request *rq, struct http_response *rs)
{
    struct arena *arena = http_request_arena(rq);
    struct alert_explanation x;
    struct error err = {0};
    struct labels labels;
    struct view text;
    struct json_body j;
    bool is_dropped;
    if (!read_labels(api, rq, &labels, &is_dropped, &err)) {
        api_error(rs, &err);
        return;
    }
    alert_router_explain(api->options.router, labels, arena, &x);
    json_body_init(&j);
    json_body_open(&j, NULL, '{');
    put_labels(&j, "labels", labels);
    json_body_bool(&j, "droppedByRelabelling", is_dropped);
    put_fingerprint(&j, "fingerprint", x.fingerprint);
    put_alert(&j, &x);
    json_body_bool(&j, "hasConfiguration", x.has_config);
    json_body_open(&j, "routes", '[');
    for (size_t i = 0; i < x.route_count; i++)
        put_route(&j, i, &x.routes[i]);
    json_body_close(&j, ']');
    json_body_open(&j, "groups", '[');
    for (size_t i = 0; i < x.group_count; i++)
        put_group(&j, &x.groups[i]);
    json_body_close(&j, ']');
    put_mutes(&j, &x);
    put_sends(&j, api->options.alert_state, arena, x.fingerprint);
    json_body_close(&j, '}');
    alert_explanation_release(&x);
    if (!json_body_take(&j, arena, &text, &err)) {
        api_error(rs, &err);
        return;
    }
    buffer_append_view(api_begin(rs), text);
    api_end(rs);
}
