/* SPDX-License-Identifier: Apache-2.0 */
/* driver_webhook_test.c: webhook_configs: the message byte for byte, URLs that are templates, the user's own payload. */
#include "driver_fixture.h"

#include "base/attributes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define HOOK "webhook_configs: [{url: 'http://hook.example/x?a=1'"
#define ALERT(status, node, end, fingerprint)                                                      \
    "{\"status\":\"" status "\",\"labels\":{\"alertname\":\"Down\",\"node\":\"" node               \
    "\"},\"annotations\":{},\"startsAt\":\"2023-11-14T22:13:20.123456789Z\","                      \
    "\"endsAt\":\"" end "\",\"generatorURL\":\"http://p/graph?a=b\\u0026c\","                      \
    "\"fingerprint\":\"" fingerprint "\"}"

/* Proven by comparing bytes: begins with a blank so that the fixture does not compare values. */
static void message_is_alertmanagers(void **state)
{
    static const struct driver_case C = {
        .name = "bytes",
        .receiver = HOOK "}]",
        .alerts = {{"{alertname=\"Down\",node=\"a\"}", NULL, false, "http://p/graph?a=b&c"},
                   {"{alertname=\"Down\",node=\"b\"}", NULL, true, "http://p/graph?a=b&c"}},
        .reason = "first notification",
    };
    struct driver_fixture f;
    struct error err = {0};
    driver_fixture_init(&f, &C);
    assert_int_equal(driver_fixture_begin(&f, 0, &err), DELIVERY_MORE);
    static const char EXPECTED[] =
        "{\"receiver\":\"team\",\"status\":\"firing\",\"alerts\":[" ALERT(
            "firing", "a", "0001-01-01T00:00:00Z",
            "c91254d8af3c7cd1") "," ALERT("resolved", "b", "2023-11-14T22:14:50.123456789Z",
                                          "c91c54d8af44d156") "],\"notification_reason\":\"first "
                                                              "notification\","
                                                              "\"groupLabels\":{\"alertname\":"
                                                              "\"Down\"},\"commonLabels\":{"
                                                              "\"alertname\":\"Down\"},"
                                                              "\"commonAnnotations\":{},"
                                                              "\"routeLabels\":{},\"externalURL\":"
                                                              "\"http://am.example\","
                                                              "\"version\":\"4\",\"groupKey\":\"{}:"
                                                              "{alertname=\\\"Down\\\"}\","
                                                              "\"truncatedAlerts\":0}\n";
    if (!view_is(f.d.request.body, EXPECTED))
        fail_msg("\n%.*s\nexpected\n%s", VIEW_ARGS(f.d.request.body), EXPECTED);
    driver_fixture_deinit(&f);
}

static const struct driver_case CASES[] = {
    {.name = "sent",
     .receiver = HOOK "}]",
     .steps = {{.url = "http://hook.example/x?a=1",
                .headers = "Content-Type: application/json",
                .status = 204}},
     .verdict = DELIVERY_SENT},
    {.name = "a 5xx is tried again",
     .receiver = HOOK "}]",
     .steps = {{.status = 503, .answer = "out\n of  order\x01"}},
     .verdict = DELIVERY_RETRY,
     .error = "unexpected status code 503: out of order"},
    {.name = "429 is tried again",
     .receiver = HOOK "}]",
     .steps = {{.status = 429}},
     .verdict = DELIVERY_RETRY,
     .error = "unexpected status code 429"},
    {.name = "400 is not",
     .receiver = HOOK "}]",
     .steps = {{.status = 400, .answer = "no"}},
     .verdict = DELIVERY_FAILED,
     .error = "unexpected status code 400: no"},
    {.name = "a redirect that was not followed is not",
     .receiver = HOOK "}]",
     .steps = {{.status = 302}},
     .verdict = DELIVERY_FAILED,
     .error = "unexpected status code 302"},
    {.name = "the path is a template",
     .receiver = "webhook_configs: [{url: 'http://h/{{ .GroupLabels.alertname }}/{{ "
                 ".CommonLabels.job | urlquery }}'}]",
     .steps = {{.url = "http://h/Down/node", .status = 200}},
     .verdict = DELIVERY_SENT},
    {.name = "the host is a template",
     .receiver = "webhook_configs: [{url: 'http://{{ .CommonLabels.job }}/x'}]",
     .steps = {{.url = "http://node/x", .status = 200}},
     .verdict = DELIVERY_SENT,
     .host_is_templated = true},
    {.name = "a part of the host is a template",
     .receiver = "webhook_configs: [{url: 'http://h.{{ .CommonLabels.job }}'}]",
     .steps = {{.url = "http://h.node", .status = 200}},
     .verdict = DELIVERY_SENT,
     .host_is_templated = true},
    {.name = "the whole URL is a template",
     .receiver = "webhook_configs: [{url: '{{ if true }}http://h/{{ end }}'}]",
     .steps = {{.url = "http://h/", .status = 200}},
     .verdict = DELIVERY_SENT,
     .host_is_templated = true},
    {.name = "an error in the URL's template sends nothing anywhere",
     .receiver = "webhook_configs: [{url: 'http://h/{{ .Nothing }}'}]",
     .verdict = DELIVERY_FAILED,
     .error = "failed to template webhook URL: template: :1:12: executing \"\" at <.Nothing>",
     .has_template_error = true},
    {.name = "nor does an empty URL",
     .receiver = "webhook_configs: [{url: '{{ if .CommonLabels.none }}http://h/{{ end }}'}]",
     .verdict = DELIVERY_FAILED,
     .error = "webhook URL is empty after templating"},
    {.name = "a file that is not there",
     .receiver = "webhook_configs: [{url_file: /nonexistent/url}]",
     .verdict = DELIVERY_RETRY,
     .error = "could not read url_file: "},
    {.name = "payload of one's own: texts and keys are templates, what they give is YAML",
     .receiver = HOOK
     ", payload: {text: '{{ .Status }} {{ .CommonAnnotations.summary }}', three: 3, n: 3, b: yes, "
     "f: 1.5, nothing: null, q: '{{ len .Alerts }}', l: [1, x, {k: '[a, 2, yes]'}], "
     "'{{ .Status }}': 1, quoted: '\"x\"', names: '{{ .GroupLabels.Names | toJson }}', "
     "empty: ''}}]",
     .steps = {{.body = "{\"text\": \"firing it is down\", \"three\": 3, \"b\": true, \"f\": 1.5, "
                        "\"nothing\": null, \"q\": 1, \"l\": [1, \"x\", {\"k\": [\"a\", 2, "
                        "true]}], \"firing\": 1, \"quoted\": \"\\\"x\\\"\", \"names\": "
                        "[\"alertname\"], \"empty\": null}",
                .headers = "Content-Type: application/json",
                .status = 200}},
     .verdict = DELIVERY_SENT},
    {.name = "what an alert brings is not executed",
     .receiver = HOOK ", payload: {a: '{{ .CommonAnnotations.x }}', b: '[\"{{ "
                      ".CommonAnnotations.x }}\"]'}}]",
     .alerts = {{"{alertname=\"Down\"}", "{x=\"{{ .Nothing }}\"}"}},
     .steps = {{.body = "{\"a\": \"{{ .Nothing }}\", \"b\": [\"{{ .Nothing }}\"]}", .status = 200}},
     .verdict = DELIVERY_SENT},
    {.name = "a broken payload is an error",
     .receiver = HOOK ", payload: {a: '{{ .Nothing }}'}}]",
     .verdict = DELIVERY_FAILED,
     .error = "failed to template webhook payload: ",
     .has_template_error = true},
    {.name = "max_alerts: of the first ones only",
     .receiver = HOOK ", max_alerts: 1, payload: {len: '{{ len .Alerts }}', c: '{{ "
                      ".CommonLabels.node }}', s: '{{ .Status }}'}}]",
     .alerts = {{"{alertname=\"Down\",node=\"a\"}", NULL, true},
                {"{alertname=\"Down\",node=\"b\"}"}},
     .steps = {{.body = "{\"len\": 1, \"c\": \"a\", \"s\": \"resolved\"}", .status = 200}},
     .verdict = DELIVERY_SENT},
    {.name = "labels of the route see the notification",
     .receiver = HOOK ", payload: {r: '{{ .RouteLabels.team }}', e: '{{ .RouteLabels.bad }}'}}]",
     .route_labels = "{team=\"{{ .CommonLabels.job }}s\",bad=\"{{ .Nothing }}\"}",
     .steps = {{.body = "{\"r\": \"nodes\", \"e\": \"<error expanding template: template: :1:3: "
                        "executing \\\"\\\" at <.Nothing>: can't evaluate field Nothing in type "
                        "*template.Data>\"}",
                .status = 200}},
     .verdict = DELIVERY_SENT,
     .has_template_error = true},
};

static void webhooks(void **state)
{
    driver_check(CASES, ARRAY_COUNT(CASES));
}

/* The count of alerts that were left out stands in the message. */
static void truncated_alerts_are_counted(void **state)
{
    static const struct driver_case C = {.name = "truncated",
                                         .receiver = HOOK ", max_alerts: 2}]",
                                         .alerts = {{"{alertname=\"Down\",node=\"a\"}"},
                                                    {"{alertname=\"Down\",node=\"b\"}"},
                                                    {"{alertname=\"Down\",node=\"c\"}"}}};
    struct driver_fixture f;
    struct error err = {0};
    driver_fixture_init(&f, &C);
    assert_int_equal(driver_fixture_begin(&f, 0, &err), DELIVERY_MORE);
    assert_true(view_has_suffix(f.d.request.body, VIEW(",\"truncatedAlerts\":1}\n")));
    assert_int_equal(f.d.data->alert_count, 2);
    driver_fixture_deinit(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(message_is_alertmanagers),
        cmocka_unit_test(webhooks),
        cmocka_unit_test(truncated_alerts_are_counted),
    };
    return cmocka_run_group_tests_name("alerting/driver_webhook", tests, NULL, NULL);
}
