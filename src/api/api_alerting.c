/* SPDX-License-Identifier: Apache-2.0 */
/* api_alerting.c: what Alertmanager's API lacks: acknowledgements, and the history of alerts and of notifications. */
#include "api/api_private.h"

#include "alerting/acknowledgement.h"
#include "alerting/alert_history.h"
#include "alerting/alert_router.h"
#include "api/alert_json.h"
#include "base/hex.h"
#include "base/json_write.h"

#include <inttypes.h>

enum { ACKNOWLEDGED_AT_ONCE_MAX = 1000, FINGERPRINT_DIGITS = 16 };

/* --- parameters --- */

static bool read_fingerprint(struct view text, uint64_t *out, struct error *err)
{
    uint64_t value = 0;
    bool ok = text.len == FINGERPRINT_DIGITS;
    for (size_t i = 0; ok && i < text.len; i++) {
        uint32_t digit = hex_digit((unsigned char)text.ptr[i]);
        ok = digit < 16;
        value = value << 4 | (digit & 15);
    }
    *out = value;
    return ok || error_set(err, ERROR_INPUT,
                           "\"%.*s\" is no fingerprint, 16 hexadecimal digits were expected",
                           VIEW_ARGS(view_slice(text, 0, 100)));
}

/* *out stays NULL when there is no such parameter. */
static bool fingerprint_param(struct http_request *rq, uint64_t *value, const uint64_t **out,
                              struct error *err)
{
    struct view text = http_request_param(rq, "fingerprint");
    if (text.len == 0)
        return true;
    *out = value;
    return read_fingerprint(text, value, err);
}

/* Where a page begins: "AT-ID" as the page before said it. */
static bool after_param(struct http_request *rq, struct history_place *out, struct error *err)
{
    struct view text = http_request_param(rq, "after");
    char copy[64];
    int end = 0;
    if (text.len == 0)
        return true;
    (void)snprintf(copy, sizeof copy, "%.*s", VIEW_ARGS(view_slice(text, 0, sizeof copy - 1)));
    return (sscanf(copy, "%" SCNd64 "-%" SCNd64 "%n", &out->at_ns, &out->id, &end) == 2 &&
            end > 0 && copy[end] == '\0') ||
           error_set(err, ERROR_INPUT,
                     "invalid parameter \"after\": it is not the `next` of a page");
}

/* start, end, limit and after, which both histories have. */
static bool page_params(struct http_request *rq, int64_t *from_ns, int64_t *to_ns, size_t *limit,
                        struct history_place *after, struct error *err)
{
    int64_t start = 0, end = 0;
    if (!api_time_param(rq, "start", &start, err) || !api_time_param(rq, "end", &end, err) ||
        !after_param(rq, after, err))
        return false;
    if (!api_limit_parse(http_request_param(rq, "limit"), limit, err))
        return error_wrap(err, "invalid parameter \"limit\"");
    if (*limit > HISTORY_LIMIT_MAX)
        return error_set(err, ERROR_INPUT, "invalid parameter \"limit\": at most %d",
                         HISTORY_LIMIT_MAX);
    *from_ns = start * 1000000;
    *to_ns = end * 1000000;
    return true;
}

/* Ends "data", with where the next page begins. */
static void end_page(struct http_response *rs, bool has_more, struct history_place next)
{
    struct buffer *b = http_response_body(rs);
    buffer_append_byte(b, ']');
    if (has_more)
        buffer_printf(b, ",\"next\":\"%" PRId64 "-%" PRId64 "\"", next.at_ns, next.id);
    api_end(rs);
}

static void write_fingerprint(struct buffer *b, uint64_t fingerprint)
{
    buffer_printf(b, "\"%016" PRIx64 "\"", fingerprint);
}

/* --- acknowledgements --- */

static void write_acknowledgement(struct buffer *b, const struct acknowledgement *a)
{
    buffer_append_literal(b, "{\"fingerprint\":");
    write_fingerprint(b, a->fingerprint);
    buffer_append_literal(b, ",\"startsAt\":");
    alert_json_time(b, a->starts_ns);
    buffer_append_literal(b, ",\"owner\":");
    json_string(b, a->owner);
    buffer_append_literal(b, ",\"note\":");
    json_string(b, a->note);
    buffer_append_literal(b, ",\"at\":");
    alert_json_time(b, a->at_ns);
    if (a->expires_ns != LIVE_ALERT_NEVER) {
        buffer_append_literal(b, ",\"expiresAt\":");
        alert_json_time(b, a->expires_ns);
    }
    if (a->ended_ns != LIVE_ALERT_NEVER) {
        buffer_append_literal(b, ",\"endedAt\":");
        alert_json_time(b, a->ended_ns);
    }
    buffer_append_byte(b, '}');
}

/* Those that hold or, of one fingerprint, all that there were. */
void api_serve_acknowledgements(struct api *api, struct http_request *rq, struct http_response *rs)
{
    struct arena arena;
    struct acknowledgements list = {0};
    struct error err = {0};
    uint64_t fingerprint;
    const uint64_t *of = NULL;
    arena_init(&arena, MEM_HTTP, 0); /* bounded by ACKNOWLEDGEMENTS_MAX */
    bool ok = fingerprint_param(rq, &fingerprint, &of, &err);
    if (ok && of)
        ok = alert_history_acknowledgements(api->options.alert_state, &arena, fingerprint, &list,
                                            &err);
    else if (ok)
        acknowledgement_list(api->options.alert_state, &arena, clock_wall().ms * 1000000, &list);
    if (ok) {
        struct buffer *b = api_begin(rs);
        buffer_append_byte(b, '[');
        for (size_t i = 0; i < list.count; i++) {
            if (i)
                buffer_append_byte(b, ',');
            write_acknowledgement(b, &list.items[i]);
        }
        buffer_append_byte(b, ']');
        api_end(rs);
    } else {
        api_error(rs, &err);
    }
    arena_deinit(&arena);
}

struct wish {
    struct acknowledgement what; /* of each alert; its fingerprint and start are the alert's */
    bool has_fingerprint;
    struct matchers filter;
};

/* {"fingerprint":"..."} or {"filter":["a=b"]}, and owner, note, expiresAt. */
static bool read_wish(struct arena *arena, const json_t *json, struct wish *out, struct error *err)
{
    struct view fingerprint = {"", 0}, owner = {"", 0}, note = {"", 0};
    const json_t *filter = json_object_get(json, "filter"), *item;
    size_t i;
    out->what = (struct acknowledgement){.at_ns = clock_wall().ms * 1000000,
                                         .expires_ns = LIVE_ALERT_NEVER,
                                         .ended_ns = LIVE_ALERT_NEVER};
    if (!json_is_object(json))
        return error_set(err, ERROR_INPUT, "an object was expected");
    if (!alert_json_text(json, "fingerprint", "", &fingerprint, err) ||
        !alert_json_text(json, "owner", "", &owner, err) ||
        !alert_json_text(json, "note", "", &note, err) ||
        !alert_json_read_time(json, "expiresAt", "", &out->what.expires_ns, err))
        return false;
    out->what.owner = arena_copy(arena, owner);
    out->what.note = arena_copy(arena, note);
    out->has_fingerprint = fingerprint.len > 0;
    if (out->has_fingerprint)
        return read_fingerprint(fingerprint, &out->what.fingerprint, err);
    json_array_foreach(filter, i, item)
    {
        struct view text = {json_string_value(item), json_string_length(item)};
        if (!json_is_string(item))
            return error_set(err, ERROR_INPUT, "filter: a list of matchers was expected");
        if (!matchers_parse(arena, arena_copy(arena, text), &out->filter, NULL, err))
            return error_wrap(err, "filter");
    }
    return out->filter.count > 0 ||
           error_set(err, ERROR_INPUT, "fingerprint or filter is missing: which alerts?");
}

static bool is_wished(const void *arg, const struct live_alert *a)
{
    const struct wish *wish = arg;
    return wish->has_fingerprint ? a->fingerprint == wish->what.fingerprint
                                 : matchers_match(&wish->filter, a->labels);
}

/* Takes the alerts in hand, none when they are too many; *done is how many. */
static bool acknowledge_all(struct api *api, struct arena *arena, const struct wish *wish,
                            struct buffer *b, size_t *done, struct error *err)
{
    struct alert_views alerts = {0};
    alert_router_alerts(api->options.router, arena, is_wished, wish, &alerts);
    bool ok = alerts.count <= ACKNOWLEDGED_AT_ONCE_MAX ||
              error_set(err, ERROR_INPUT, "the filter takes more than %d alerts",
                        ACKNOWLEDGED_AT_ONCE_MAX);
    for (size_t i = 0; ok && i < alerts.count; i++) {
        const struct live_alert *a = alerts.items[i].alert;
        struct acknowledgement one = wish->what;
        one.fingerprint = a->fingerprint;
        one.starts_ns = a->starts_ns;
        ok = acknowledge(api->options.alert_state, &one, err);
        if (ok && ++*done > 1)
            buffer_append_byte(b, ',');
        if (ok)
            write_fingerprint(b, a->fingerprint);
    }
    alert_views_release(&alerts);
    if (!ok && *done)
        (void)error_wrap(err, "%zu alerts are acknowledged, then", *done); /* always false */
    return ok;
}

void api_serve_acknowledge(struct api *api, struct http_request *rq, struct http_response *rs)
{
    struct arena arena;
    struct wish wish = {0};
    struct error err = {0};
    size_t done = 0;
    if (!api_v2_check_type(rq, rs))
        return;
    arena_init(&arena, MEM_HTTP, 0); /* bounded by the alerts that are alive */
    json_t *json = json_read(http_request_body(rq), &err);
    bool ok = json && read_wish(&arena, json, &wish, &err);
    if (ok) {
        struct buffer *b = api_begin(rs);
        buffer_append_literal(b, "{\"acknowledged\":[");
        ok = acknowledge_all(api, &arena, &wish, b, &done, &err);
        buffer_append_literal(b, "]}");
        api_end(rs);
    }
    if (ok && done == 0)
        ok = error_set(&err, ERROR_NOT_FOUND, "no alert that is alive matches");
    if (!ok)
        api_error(rs, &err);
    json_decref(json);
    matchers_deinit(&wish.filter);
    arena_deinit(&arena);
}

/* Of the episode that is acknowledged now. */
void api_serve_unacknowledge(struct api *api, struct http_request *rq, struct http_response *rs)
{
    struct arena arena;
    struct acknowledgements list = {0};
    struct error err = {0};
    uint64_t fingerprint;
    size_t done = 0;
    int64_t now_ns = clock_wall().ms * 1000000;
    arena_init(&arena, MEM_HTTP, 0); /* bounded by ACKNOWLEDGEMENTS_MAX */
    bool ok = read_fingerprint(http_request_capture(rq, "fingerprint"), &fingerprint, &err);
    if (ok)
        acknowledgement_list(api->options.alert_state, &arena, now_ns, &list);
    for (size_t i = 0; ok && i < list.count; i++) {
        if (list.items[i].fingerprint != fingerprint)
            continue;
        ok = unacknowledge(api->options.alert_state, fingerprint, list.items[i].starts_ns, now_ns,
                           &err);
        done++;
    }
    if (ok && done == 0)
        ok = error_set(&err, ERROR_NOT_FOUND, "the alert is not acknowledged");
    if (ok) {
        buffer_append_literal(api_begin(rs), "{}");
        api_end(rs);
    } else {
        api_error(rs, &err);
    }
    arena_deinit(&arena);
}

/* --- history --- */

static void write_episode(struct buffer *b, const struct alert_episode *e)
{
    const struct live_alert *a = &e->alert;
    buffer_append_literal(b, "{\"fingerprint\":");
    write_fingerprint(b, a->fingerprint);
    buffer_append_literal(b, ",\"labels\":");
    api_labels(b, a->labels);
    buffer_append_literal(b, ",\"annotations\":");
    api_labels(b, a->annotations);
    buffer_append_literal(b, ",\"startsAt\":");
    alert_json_time(b, a->starts_ns);
    buffer_append_literal(b, ",\"endsAt\":");
    alert_json_time(b, a->ends_ns);
    buffer_printf(b, ",\"isOpen\":%s,\"changes\":%" PRIu64, e->is_open ? "true" : "false",
                  e->changes);
    if (a->generator_url.len) {
        buffer_append_literal(b, ",\"generatorURL\":");
        json_string(b, a->generator_url);
    }
    if (a->rule.len) {
        buffer_append_literal(b, ",\"rule\":{");
        api_field_string(b, "file", a->file);
        buffer_append_byte(b, ',');
        api_field_string(b, "group", a->group);
        buffer_append_byte(b, ',');
        api_field_string(b, "name", a->rule);
        buffer_append_byte(b, '}');
    }
    buffer_append_byte(b, '}');
}

void api_serve_alert_history(struct api *api, struct http_request *rq, struct http_response *rs)
{
    struct arena arena;
    struct matchers filter = {0};
    struct alert_history_query q = {.open_only = view_is(http_request_param(rq, "open"), "true")};
    struct alert_history_page page = {0};
    struct error err = {0};
    uint64_t fingerprint;
    arena_init(&arena, MEM_HTTP, 0); /* bounded by HISTORY_LIMIT_MAX */
    bool has_filter = api_v2_filters(&arena, rq, &filter, rs);
    q.matchers = filter.count ? &filter : NULL;
    if (has_filter && fingerprint_param(rq, &fingerprint, &q.fingerprint, &err) &&
        page_params(rq, &q.from_ns, &q.to_ns, &q.limit, &q.after, &err) &&
        alert_history_episodes(api->options.alert_state, &arena, &q, &page, &err)) {
        struct buffer *b = api_begin(rs);
        buffer_append_byte(b, '[');
        for (size_t i = 0; i < page.count; i++) {
            if (i)
                buffer_append_byte(b, ',');
            write_episode(b, &page.items[i]);
        }
        end_page(rs, page.has_more, page.next);
    } else if (has_filter) {
        api_error(rs, &err);
    }
    matchers_deinit(&filter);
    arena_deinit(&arena);
}

static void write_notification(struct buffer *b, const struct past_notification *n)
{
    buffer_append_literal(b, "{\"at\":");
    alert_json_time(b, n->at_ns);
    buffer_append_byte(b, ',');
    api_field_string(b, "receiver", n->key.receiver);
    buffer_append_byte(b, ',');
    api_field_string(b, "integration", n->key.kind);
    buffer_printf(b, ",\"index\":%zu,", n->key.index);
    api_field_string(b, "groupKey", n->key.group_key);
    buffer_printf(b, ",\"isSent\":%s,\"status\":%ld,\"attempts\":%u,\"latencySeconds\":",
                  n->is_sent ? "true" : "false", n->status, n->attempts);
    json_number(b, (double)n->latency_ns / 1e9);
    if (n->error.len) {
        buffer_append_byte(b, ',');
        api_field_string(b, "error", n->error);
    }
    buffer_printf(b, ",\"payloadHash\":\"%016" PRIx64 "\",\"firing\":%zu,\"resolved\":%zu",
                  n->payload_hash, n->firing_count, n->resolved_count);
    buffer_append_literal(b, ",\"alerts\":[");
    for (size_t i = 0; i < n->alert_count; i++) {
        if (i)
            buffer_append_byte(b, ',');
        write_fingerprint(b, n->alerts[i]);
    }
    buffer_append_literal(b, "]}");
}

void api_serve_notification_history(struct api *api, struct http_request *rq,
                                    struct http_response *rs)
{
    struct arena arena;
    struct notification_history_query q = {.receiver = http_request_param(rq, "receiver"),
                                           .failed_only =
                                               view_is(http_request_param(rq, "failed"), "true")};
    struct notification_history_page page = {0};
    struct error err = {0};
    uint64_t fingerprint;
    arena_init(&arena, MEM_HTTP, 0); /* bounded by HISTORY_LIMIT_MAX */
    if (fingerprint_param(rq, &fingerprint, &q.fingerprint, &err) &&
        page_params(rq, &q.from_ns, &q.to_ns, &q.limit, &q.after, &err) &&
        alert_history_notifications(api->options.alert_state, &arena, &q, &page, &err)) {
        struct buffer *b = api_begin(rs);
        buffer_append_byte(b, '[');
        for (size_t i = 0; i < page.count; i++) {
            if (i)
                buffer_append_byte(b, ',');
            write_notification(b, &page.items[i]);
        }
        end_page(rs, page.has_more, page.next);
    } else {
        api_error(rs, &err);
    }
    arena_deinit(&arena);
}
