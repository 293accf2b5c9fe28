/* SPDX-License-Identifier: Apache-2.0 */
/* driver_pagerduty_test.c: events of both versions of PagerDuty's API, field by field. */
#include "driver_fixture.h"

#include "base/attributes.h"
#include "base/buffer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define HASH "af94c9e8f6a3043625e36c6f472fe6be85ac23a9117184ee4cb7b4ad7401a47e"
#define KEY "01234567890123456789012345678901"
#define V2 "pagerduty_configs: [{url: 'http://pd.example/v2/enqueue', routing_key: " KEY
#define V1_URL "https://events.pagerduty.com/generic/2010-04-15/create_event.json"
/* No details of Alertmanager's own. */
#define NO_DETAILS "firing: 0, resolved: 0, num_firing: 0, num_resolved: 0"
#define ZEROS "\"firing\":0,\"resolved\":0,\"num_firing\":0,\"num_resolved\":0"
#define CLIENT                                                                                     \
    "\"client\":\"Alertmanager\",\"client_url\":\"http://am.example/#/alerts?receiver=team\""
#define SUMMARY "[FIRING:1] Down (node)"
#define OK .status = 202

static const struct driver_case CASES[] = {
    {.name = "version 2 with its defaults",
     .receiver = V2 "}]",
     .steps = {{.url = "http://pd.example/v2/enqueue",
                .headers = "Content-Type: application/json",
                .body = "{\"routing_key\":\"" KEY "\",\"dedup_key\":\"" HASH
                        "\",\"event_action\":\"trigger\",\"payload\":{\"summary\":\"" SUMMARY
                        "\",\"source\":\"Alertmanager\",\"severity\":\"error\","
                        "\"custom_details\":{\"firing\":[{\"status\":\"firing\",\"labels\":{"
                        "\"alertname\":\"Down\",\"job\":\"node\"},\"annotations\":{\"summary\":"
                        "\"it is down\"},\"startsAt\":\"2023-11-14T22:13:20.123456789Z\","
                        "\"endsAt\":\"0001-01-01T00:00:00Z\",\"generatorURL\":\"http://p/graph\","
                        "\"fingerprint\":\"952a6219e8df7701\"}],\"num_firing\":1,"
                        "\"num_resolved\":0,\"resolved\":[]}}," CLIENT "}",
                OK}},
     .verdict = DELIVERY_SENT},
    {.name = "version 2, everything",
     .receiver = V2
     ", client: 'c {{ .Status }}', client_url: 'u', description: 'd {{ .CommonLabels.job }}', "
     "source: 's {{ .Status }}', severity: '{{ .CommonLabels.severity }}', class: cl, component: "
     "co, group: '{{ .GroupLabels.alertname }}', details: {" NO_DETAILS ", a: '{{ .Status }}', "
     "list: [1, '{{ .Status }}'], deep: {x: true}}, images: [{src: '', alt: none}, {src: "
     "'http://i', "
     "alt: 'a {{ .Status }}', href: h}], links: [{href: '', text: none}, {href: 'http://l', text: "
     "t}]}]",
     .alerts = {{"{alertname=\"Down\",job=\"node\",severity=\"critical\"}"}},
     .steps = {{.body = "{\"routing_key\":\"" KEY "\",\"dedup_key\":\"" HASH
                        "\",\"event_action\":\"trigger\",\"payload\":{\"summary\":\"d node\","
                        "\"source\":\"s firing\",\"severity\":\"critical\",\"class\":\"cl\","
                        "\"component\":\"co\",\"group\":\"Down\",\"custom_details\":{" ZEROS
                        ",\"a\":\"firing\",\"list\":[1,\"firing\"],\"deep\":{\"x\":true}}},"
                        "\"client\":\"c firing\",\"client_url\":\"u\",\"images\":[{\"src\":"
                        "\"http://i\",\"alt\":\"a firing\",\"href\":\"h\"}],\"links\":[{\"href\":"
                        "\"http://l\",\"text\":\"t\"}]}",
                OK}},
     .verdict = DELIVERY_SENT},
    {.name = "version 2, resolved; no image has a source",
     .receiver = V2 ", details: {" NO_DETAILS "}, description: d, images: [{src: ''}]}]",
     .alerts = {{"{alertname=\"Down\"}", NULL, true}},
     .steps = {{.body = "{\"routing_key\":\"" KEY "\",\"dedup_key\":\"" HASH
                        "\",\"event_action\":\"resolve\",\"payload\":{\"summary\":\"d\",\"source\":"
                        "\"Alertmanager\",\"severity\":\"error\",\"custom_details\":{" ZEROS
                        "}}," CLIENT "}",
                OK}},
     .verdict = DELIVERY_SENT},
    {.name = "version 1",
     .receiver = "pagerduty_configs: [{service_key: " KEY ", details: {" NO_DETAILS "}}]",
     .steps = {{.url = V1_URL,
                .body =
                    "{\"service_key\":\"" KEY "\",\"incident_key\":\"" HASH
                    "\",\"event_type\":\"trigger\",\"description\":\"" SUMMARY
                    "\",\"event_action\":\"\",\"payload\":null," CLIENT ",\"details\":{" ZEROS "}}",
                .status = 200}},
     .verdict = DELIVERY_SENT},
    {.name = "version 1, resolved: no client",
     .receiver =
         "pagerduty_configs: [{service_key: " KEY ", description: d, details: {" NO_DETAILS "}}]",
     .alerts = {{"{alertname=\"Down\"}", NULL, true}},
     .steps = {{.body = "{\"service_key\":\"" KEY "\",\"incident_key\":\"" HASH
                        "\",\"event_type\":\"resolve\",\"description\":\"d\",\"event_action\":\"\","
                        "\"payload\":null,\"details\":{" ZEROS "}}",
                .status = 200}},
     .verdict = DELIVERY_SENT},
    {.name = "one alert of a group that fires is enough",
     .receiver = V2 ", details: {" NO_DETAILS "}, description: '{{ .Status }}'}]",
     .alerts = {{"{alertname=\"Down\",n=\"1\"}", NULL, true}, {"{alertname=\"Down\",n=\"2\"}"}},
     .steps = {{.body =
                    "{\"routing_key\":\"" KEY "\",\"dedup_key\":\"" HASH
                    "\",\"event_action\":\"trigger\",\"payload\":{\"summary\":\"firing\","
                    "\"source\":\"Alertmanager\",\"severity\":\"error\",\"custom_details\":{" ZEROS
                    "}}," CLIENT "}",
                OK}},
     .verdict = DELIVERY_SENT},
    {.name = "a template that fails is said and sent; the severity is one that is taken",
     .receiver = V2 ", description: '{{ .X }}', severity: '{{ .X }}', details: {" NO_DETAILS
                    ", a: '{{ .X }}'}, images: [{src: '{{ .X }}'}]}]",
     .steps = {{.body =
                    "{\"routing_key\":\"" KEY "\",\"dedup_key\":\"" HASH
                    "\",\"event_action\":\"trigger\",\"payload\":{\"summary\":\"<error expanding "
                    "template: template: :1:3: executing \\\"\\\" at <.X>: can't evaluate "
                    "field X in type *template.Data>\",\"source\":\"Alertmanager\","
                    "\"severity\":\"error\",\"custom_details\":{" ZEROS ",\"a\":\"template: "
                    ":1:3: executing \\\"\\\" at <.X>: can't evaluate field X in type "
                    "*template.Data\"}}," CLIENT "}",
                OK}},
     .verdict = DELIVERY_SENT,
     .has_template_error = true},
    {.name = "a severity that is none, and no source",
     .receiver = V2
     ", severity: '{{ .CommonLabels.severity }}', source: '{{ .CommonLabels.x }}', client: '', "
     "description: d, details: {" NO_DETAILS "}}]",
     .alerts = {{"{alertname=\"Down\",severity=\"page\"}"}},
     .steps = {{.body = "{\"routing_key\":\"" KEY "\",\"dedup_key\":\"" HASH
                        "\",\"event_action\":\"trigger\",\"payload\":{\"summary\":\"d\",\"source\":"
                        "\"Belfry\",\"severity\":\"error\",\"custom_details\":{" ZEROS
                        "}},\"client_url\":"
                        "\"http://am.example/#/alerts?receiver=team\"}",
                OK}},
     .verdict = DELIVERY_SENT},
    {.name = "a key that is a template",
     .receiver =
         "pagerduty_configs: [{url: 'http://pd', routing_key: '{{ .CommonLabels.job }}-key', "
         "details: {" NO_DETAILS "}, description: d}]",
     .steps = {{.body = "{\"routing_key\":\"node-key\",\"dedup_key\":\"" HASH
                        "\",\"event_action\":\"trigger\",\"payload\":{\"summary\":\"d\",\"source\":"
                        "\"Alertmanager\",\"severity\":\"error\",\"custom_details\":{" ZEROS
                        "}}," CLIENT "}",
                OK}},
     .verdict = DELIVERY_SENT},
    {.name = "no routing key",
     .receiver = "pagerduty_configs: [{url: 'http://pd', routing_key: '{{ \"\" }}'}]",
     .verdict = DELIVERY_FAILED,
     .error = "routing key cannot be empty"},
    {.name = "no service key",
     .receiver = "pagerduty_configs: [{service_key: '{{ \"\" }}'}]",
     .verdict = DELIVERY_FAILED,
     .error = "service key cannot be empty"},
    {.name = "a file that is not there",
     .receiver = "pagerduty_configs: [{url: 'http://pd', routing_key_file: /nonexistent/key}]",
     .verdict = DELIVERY_RETRY,
     .error = "routing key: "},
    {.name = "version 2 is tried again after 429",
     .receiver = V2 "}]",
     .steps = {{.status = 429}},
     .verdict = DELIVERY_RETRY,
     .error = "unexpected status code 429"},
    {.name = "version 2 is not after 403",
     .receiver = V2 "}]",
     .steps = {{.status = 403}},
     .verdict = DELIVERY_FAILED,
     .error = "unexpected status code 403"},
    {.name = "version 1 is tried again after 403",
     .receiver = "pagerduty_configs: [{service_key: " KEY "}]",
     .steps = {{.status = 403}},
     .verdict = DELIVERY_RETRY,
     .error = "unexpected status code 403"},
    {.name = "what PagerDuty says is told",
     .receiver = V2 "}]",
     .steps = {{.status = 400,
                .answer = "{\"status\":\"invalid event\",\"message\":\"Event object is invalid\","
                          "\"errors\":[\"Length of 'routing_key' is incorrect\"]}"}},
     .verdict = DELIVERY_FAILED,
     .error = "Length of 'routing_key' is incorrect"},
};

static void events(void **state)
{
    driver_check(CASES, ARRAY_COUNT(CASES));
}

static bool has(struct view text, const char *part)
{
    return memmem(text.ptr, text.len, part, strlen(part)) != NULL;
}

/* Details of more than 512 KB become a sentence, in both versions; a long summary is cut. */
static void large_events_are_cut(void **state)
{
    static const struct {
        const char *keys, *expected;
    } VERSIONS[] = {
        {"routing_key", "\"custom_details\":{\"error\":\"Custom details have been removed"},
        {"service_key", "\"details\":{\"error\":\"Custom details have been removed"}};
    struct buffer receiver;
    buffer_init(&receiver, MEM_OTHER, 1 << 20);
    for (size_t i = 0; i < ARRAY_COUNT(VERSIONS); i++) {
        struct driver_fixture f;
        struct error err = {0};
        buffer_reset(&receiver);
        buffer_printf(&receiver,
                      "pagerduty_configs: [{url: 'http://pd', %s: " KEY ", description: '",
                      VERSIONS[i].keys);
        for (int k = 0; k < 1030; k++)
            buffer_append_literal(&receiver, "ä");
        buffer_append_literal(&receiver, "', details: {big: '");
        for (int k = 0; k < 513000; k++)
            buffer_append_byte(&receiver, 'a');
        buffer_append(&receiver, "'}}]", 5);
        const struct driver_case c = {.name = "large", .receiver = receiver.ptr};
        driver_fixture_init(&f, &c);
        assert_int_equal(driver_fixture_begin(&f, 0, &err), DELIVERY_MORE);
        assert_true(has(f.d.request.body, VERSIONS[i].expected));
        assert_true(has(f.d.request.body, "exceeds the maximum size of 512KB\"}"));
        assert_true(f.d.request.body.len < 8192);
        assert_true(has(f.d.request.body, "ä…\""));
        driver_fixture_deinit(&f);
    }
    buffer_deinit(&receiver);
}

static void timeouts_are_the_requests(void **state)
{
    static const struct driver_case C = {.name = "timeout", .receiver = V2 ", timeout: 1500ms}]"};
    struct driver_fixture f;
    struct error err = {0};
    driver_fixture_init(&f, &C);
    assert_int_equal(driver_fixture_begin(&f, 0, &err), DELIVERY_MORE);
    assert_int_equal(f.d.request.timeout_ms, 1500);
    driver_fixture_deinit(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(events),
        cmocka_unit_test(large_events_are_cut),
        cmocka_unit_test(timeouts_are_the_requests),
    };
    return cmocka_run_group_tests_name("alerting/driver_pagerduty", tests, NULL, NULL);
}
