/* SPDX-License-Identifier: Apache-2.0 */
/* driver_fixture.c: see driver_fixture.h. */
#include "driver_fixture.h"

#include "base/buffer.h"

#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct labels labels_of(struct arena *arena, const char *text)
{
    struct labels labels = {0};
    struct error err = {0};
    if (text && !labels_parse(arena, view_from(text), &labels, &err))
        fail_msg("%s: %s", text, err.message);
    return labels;
}

static struct notification_kv kv_of(struct arena *arena, const char *text)
{
    struct notification_kv kv = {ARENA_ARRAY(arena, struct view, 16),
                                 ARENA_ARRAY(arena, struct view, 16), 0};
    while (text && *text) {
        size_t len = strcspn(text, ","), name = strcspn(text, "=");
        assert_true(name < len && kv.count < 16);
        kv.names[kv.count] = (struct view){text, name};
        kv.values[kv.count++] = (struct view){text + name + 1, len - name - 1};
        text += len + (text[len] == ',');
    }
    return kv;
}

static void load(struct driver_fixture *f, const struct driver_case *c)
{
    struct error err = {0};
    struct buffer text;
    buffer_init(&text, MEM_OTHER, 1 << 20);
    buffer_printf(&text, "%s\nroute: {receiver: team}\nreceivers:\n- name: team\n",
                  c->global ? c->global : "");
    for (const char *line = c->receiver; *line;) {
        size_t len = strcspn(line, "\n");
        buffer_printf(&text, "  %.*s\n", (int)len, line);
        line += len + (line[len] == '\n');
    }
    if (!alert_config_parse(buffer_view(&text), "alertmanager.yml", &f->config, &err))
        fail_msg("%s: %s", c->name, err.message);
    if (!integrations_new(&f->set, f->config, "http://am.example/", &err))
        fail_msg("%s: %s", c->name, err.message);
    buffer_deinit(&text);
    f->list = integrations_of(f->set, VIEW("team"));
    assert_true(f->list.count > 0);
}

static size_t add_alerts(struct driver_fixture *f, const struct driver_case *c)
{
    static const struct driver_alert DEFAULT = {"{alertname=\"Down\",job=\"node\"}",
                                                "{summary=\"it is down\"}", false, NULL};
    size_t count = 0;
    do {
        const struct driver_alert *from = c->alerts[0].labels ? &c->alerts[count] : &DEFAULT;
        const struct live_alert a = {
            .labels = labels_of(&f->arena, from->labels),
            .annotations = labels_of(&f->arena, from->annotations),
            .starts_ns = DRIVER_START_NS,
            .ends_ns = from->is_resolved ? DRIVER_END_NS : LIVE_ALERT_NEVER,
            .updated_ns = DRIVER_NOW_NS,
            .generator_url =
                from->generator_url ? view_from(from->generator_url) : VIEW("http://p/graph"),
        };
        f->alerts[count++] = live_alert_new(&a);
    } while (count < DRIVER_ALERTS_MAX && c->alerts[0].labels && c->alerts[count].labels);
    return count;
}

void driver_fixture_init(struct driver_fixture *f, const struct driver_case *c)
{
    *f = (struct driver_fixture){0};
    arena_init(&f->arena, MEM_OTHER, 0);
    arena_init(&f->attempt, MEM_OTHER, 0);
    load(f, c);
    f->source = (struct delivery_source){
        .alerts = f->alerts,
        .alert_count = add_alerts(f, c),
        .group_labels =
            labels_of(&f->arena, c->group_labels ? c->group_labels : "{alertname=\"Down\"}"),
        .route_labels = labels_of(&f->arena, c->route_labels),
        .group_key = c->group_key ? view_from(c->group_key) : VIEW("{}:{alertname=\"Down\"}"),
        .reason = view_from(c->reason),
        .recalled = kv_of(&f->arena, c->recalled),
        .now_ns = DRIVER_NOW_NS,
    };
}

enum delivery_verdict driver_fixture_begin(struct driver_fixture *f, size_t idx, struct error *err)
{
    assert_true(idx < f->list.count);
    arena_reset(&f->attempt);
    error_clear(err);
    delivery_init(&f->d, &f->attempt, &f->list.items[idx], &f->source);
    return f->list.items[idx].driver->begin(&f->d, err);
}

enum delivery_verdict driver_fixture_answer(struct driver_fixture *f, long status,
                                            const char *headers, const char *body,
                                            struct error *err)
{
    const struct delivery_answer answer = {.status = status,
                                           .headers = view_from(headers),
                                           .body = view_from(body),
                                           .is_cut = f->is_cut};
    error_clear(err);
    f->d.step++;
    f->d.request = (struct delivery_request){0};
    return f->d.integration->driver->answer(&f->d, &answer, err);
}

void driver_fixture_deinit(struct driver_fixture *f)
{
    for (size_t i = 0; i < f->source.alert_count; i++)
        live_alert_unref(f->alerts[i]);
    integrations_unref(f->set);
    alert_config_unref(f->config);
    arena_deinit(&f->attempt);
    arena_deinit(&f->arena);
}

/* --- comparing --- */

static bool json_is(struct view got, const char *expected)
{
    json_error_t why;
    json_t *a = json_loadb(got.ptr, got.len, JSON_DECODE_ANY, &why);
    json_t *b = json_loads(expected, JSON_DECODE_ANY, &why);
    if (!b)
        fail_msg("the test's own JSON: %s in %s", why.text, expected);
    bool same = a && json_equal(a, b);
    json_decref(a);
    json_decref(b);
    return same;
}

static bool has_header(const struct delivery_request *r, struct view line)
{
    for (size_t i = 0; i < r->header_count; i++)
        if (view_eq(r->headers[i], line))
            return true;
    return false;
}

static void check_request(const struct driver_case *c, size_t at, const struct delivery_request *r)
{
    const struct driver_step *s = &c->steps[at];
    const char *method = r->method ? r->method : "POST";
    if (strcmp(method, s->method ? s->method : "POST") != 0)
        fail_msg("%s, request %zu: method %s", c->name, at, method);
    if (s->url && !view_is(r->url, s->url))
        fail_msg("%s, request %zu: URL %.*s", c->name, at, VIEW_ARGS(r->url));
    for (const char *line = s->headers; line && *line;) {
        size_t len = strcspn(line, "\n");
        if (!has_header(r, (struct view){line, len}))
            fail_msg("%s, request %zu: no header \"%.*s\"", c->name, at, (int)len, line);
        line += len + (line[len] == '\n');
    }
    if (!s->body)
        return;
    bool same = s->body[0] == '{' || s->body[0] == '[' ? json_is(r->body, s->body)
                                                       : view_is(r->body, s->body);
    if (!same)
        fail_msg("%s, request %zu: body\n%.*s\nexpected\n%s", c->name, at, VIEW_ARGS(r->body),
                 s->body);
}

static void check_remembered(const struct driver_case *c, const struct notification_kv *kv)
{
    struct buffer got;
    if (!c->remembered)
        return;
    buffer_init(&got, MEM_OTHER, 1 << 16);
    for (size_t i = 0; i < kv->count; i++)
        buffer_printf(&got, "%s%.*s=%.*s", i ? "," : "", VIEW_ARGS(kv->names[i]),
                      VIEW_ARGS(kv->values[i]));
    if (!view_is(buffer_view(&got), c->remembered))
        fail_msg("%s: remembered \"%.*s\", expected \"%s\"", c->name, VIEW_ARGS(buffer_view(&got)),
                 c->remembered);
    buffer_deinit(&got);
}

static void check_case(const struct driver_case *c)
{
    static const char *const VERDICTS[] = {"more", "sent", "retry", "failed"};
    struct driver_fixture f;
    struct error err = {0};
    driver_fixture_init(&f, c);
    enum delivery_verdict verdict = driver_fixture_begin(&f, 0, &err);
    if (verdict == DELIVERY_MORE && f.d.request.host_is_templated != c->host_is_templated)
        fail_msg("%s: host_is_templated %d", c->name, f.d.request.host_is_templated);
    size_t at = 0;
    for (; verdict == DELIVERY_MORE && at < DRIVER_STEPS_MAX; at++) {
        const struct driver_step *s = &c->steps[at];
        check_request(c, at, &f.d.request);
        if (s->status == 0)
            break;
        f.is_cut = s->is_cut;
        verdict = driver_fixture_answer(&f, s->status, s->answer_headers, s->answer, &err);
    }
    if (verdict != c->verdict)
        fail_msg("%s: %s after %zu requests (%s), expected %s", c->name, VERDICTS[verdict], at,
                 err.message, VERDICTS[c->verdict]);
    if (at < DRIVER_STEPS_MAX && c->steps[at].status)
        fail_msg("%s: ended after %zu requests, more were expected", c->name, at);
    if (c->error ? !strstr(err.message, c->error) : err.message[0])
        fail_msg("%s: error \"%s\", expected \"%s\"", c->name, err.message,
                 c->error ? c->error : "");
    if (f.d.has_template_error != c->has_template_error)
        fail_msg("%s: has_template_error %d", c->name, f.d.has_template_error);
    check_remembered(c, &f.d.remembered);
    driver_fixture_deinit(&f);
}

void driver_check(const struct driver_case *cases, size_t count)
{
    for (size_t i = 0; i < count; i++)
        check_case(&cases[i]);
}
