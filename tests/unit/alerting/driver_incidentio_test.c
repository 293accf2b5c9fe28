/* SPDX-License-Identifier: Apache-2.0 */
/* driver_incidentio_test.c: incident.io's alert events. */
#include "driver_fixture.h"

#include "base/attributes.h"
#include "base/buffer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define API "incidentio_configs: [{url: 'http://io.example/x', alert_source_token: t0ken"
#define ALERT(node)                                                                                \
    "{\"status\":\"firing\",\"labels\":{\"node\":\"" node "\"},\"annotations\":{},\"startsAt\":"   \
    "\"2023-11-14T22:13:20.123456789Z\",\"endsAt\":\"0001-01-01T00:00:00Z\",\"generatorURL\":"     \
    "\"http://p/graph\",\"fingerprint\":\"bb6a2bdc4a204a7e\"}"
#define BODY(alerts, common, left_out)                                                             \
    "{\"receiver\":\"team\",\"status\":\"firing\",\"alerts\":[" alerts                             \
    "],\"notification_reason\":\"first notification\",\"groupLabels\":{\"alertname\":\"Down\"},"   \
    "\"commonLabels\":{" common "},\"commonAnnotations\":{},\"routeLabels\":{},\"externalURL\":"   \
    "\"http://am.example\",\"version\":\"1\",\"groupKey\":\"{}:{alertname=\\\"Down\\\"}\","        \
    "\"truncatedAlerts\":" left_out "}"

static const struct driver_case CASES[] = {
    {.name = "one",
     .receiver = API "}]",
     .alerts = {{"{node=\"a\"}"}},
     .reason = "first notification",
     .steps = {{.url = "http://io.example/x",
                .headers = "Content-Type: application/json\nAuthorization: Bearer t0ken",
                .body = BODY(ALERT("a"), "\"node\":\"a\"", "0"),
                .status = 202}},
     .verdict = DELIVERY_SENT},
    {.name = "of the first ones only",
     .receiver = API ", max_alerts: 1}]",
     .alerts = {{"{node=\"a\"}"}, {"{node=\"b\"}"}, {"{node=\"c\"}"}},
     .reason = "first notification",
     .steps = {{.body = BODY(ALERT("a"), "\"node\":\"a\"", "2"), .status = 202}},
     .verdict = DELIVERY_SENT},
    {.name = "the token of http_config is nobody else's",
     .receiver = "incidentio_configs: [{url: 'http://io.example/x', http_config: {authorization: "
                 "{credentials: c}}}]",
     .steps = {{.status = 202}},
     .verdict = DELIVERY_SENT},
    {.name = "a token file that is not there",
     .receiver =
         "incidentio_configs: [{url: 'http://io', alert_source_token_file: /nonexistent/t}]",
     .verdict = DELIVERY_RETRY,
     .error = "alert source token: "},
    {.name = "a URL file that is not there",
     .receiver = "incidentio_configs: [{url_file: /nonexistent/u, alert_source_token: t}]",
     .verdict = DELIVERY_RETRY,
     .error = "URL: "},
    {.name = "429",
     .receiver = API "}]",
     .steps = {{.status = 429}},
     .verdict = DELIVERY_RETRY,
     .error = "unexpected status code 429"},
    {.name = "422",
     .receiver = API "}]",
     .steps = {{.status = 422, .answer = "{\"type\":\"validation_error\"}"}},
     .verdict = DELIVERY_FAILED,
     .error = "validation_error"},
};

static void events(void **state)
{
    driver_check(CASES, ARRAY_COUNT(CASES));
}

/* Past 512 KB but the first alert is sent. */
static void large_events_have_one_alert(void **state)
{
    size_t bytes = 300 * 1024;
    struct driver_fixture f;
    struct error err = {0};
    struct buffer text;
    buffer_init(&text, MEM_OTHER, 1 << 20);
    buffer_append_literal(&text, "{x=\"");
    for (size_t i = 0; i < bytes; i++)
        buffer_append_byte(&text, 'a');
    buffer_append(&text, "\"}", 3);
    const struct driver_case c = {.name = "large",
                                  .receiver = API "}]",
                                  .alerts = {{"{n=\"1\"}", text.ptr}, {"{n=\"2\"}", text.ptr}}};
    driver_fixture_init(&f, &c);
    assert_int_equal(driver_fixture_begin(&f, 0, &err), DELIVERY_MORE);
    assert_int_equal(f.d.data->alert_count, 1);
    /* Once in the alert, once in commonAnnotations. */
    assert_true(f.d.request.body.len > 2 * bytes && f.d.request.body.len < 2 * bytes + 2048);
    assert_true(view_has_suffix(f.d.request.body, VIEW("\"truncatedAlerts\":1}")));
    driver_fixture_deinit(&f);
    buffer_deinit(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(events),
        cmocka_unit_test(large_events_have_one_alert),
    };
    return cmocka_run_group_tests_name("alerting/driver_incidentio", tests, NULL, NULL);
}
