/* SPDX-License-Identifier: Apache-2.0 */
/* driver_victorops_test.c: VictorOps' messages and the URL that has its keys. */
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
#define API "victorops_configs: [{api_url: 'http://vo.example/alert/', api_key: secret, "
#define SHORT "state_message: s, entity_display_name: e, monitoring_tool: t"
#define BODY(type)                                                                                 \
    "{\"message_type\":\"" type "\",\"entity_id\":\"" HASH                                         \
    "\",\"entity_display_name\":\"e\",\"state_message\":\"s\",\"monitoring_tool\":\"t\""

static const struct driver_case CASES[] = {
    {.name = "defaults",
     .receiver = API "routing_key: team}]",
     .steps = {{.url = "http://vo.example/alert/secret/team",
                .headers = "Content-Type: application/json",
                .body = "{\"message_type\":\"CRITICAL\",\"entity_id\":\"" HASH
                        "\",\"entity_display_name\":\"[FIRING:1] Down (node)\",\"state_message\":"
                        "\"it is down\\nAlerts Firing:\\nLabels:\\n - alertname = Down\\n - job = "
                        "node\\nAnnotations:\\n - summary = it is down\\nSource: "
                        "http://p/graph\\n\\n\",\"monitoring_tool\":\"Alertmanager\"}",
                .status = 200}},
     .verdict = DELIVERY_SENT},
    {.name = "fields of one's own, a type that is a template",
     .receiver =
         API SHORT ", routing_key: '{{ .CommonLabels.job }}', message_type: '{{ "
                   ".CommonLabels.type }}', custom_fields: {Field_A: '{{ .Status }}', b: '1'}}]",
     .alerts = {{"{job=\"a/b c\",type=\"WARNING\"}"}},
     .steps = {{.url = "http://vo.example/alert/secret/a%2Fb%20c",
                .body = BODY("WARNING") ",\"Field_A\":\"firing\",\"b\":\"1\"}",
                .status = 200}},
     .verdict = DELIVERY_SENT},
    {.name = "what is no type is CRITICAL",
     .receiver = API SHORT ", routing_key: r, message_type: '{{ .CommonLabels.job }}'}]",
     .steps = {{.body = BODY("CRITICAL") "}", .status = 200}},
     .verdict = DELIVERY_SENT},
    {.name = "so is a template that fails",
     .receiver = API SHORT ", routing_key: r, message_type: '{{ .X }}'}]",
     .steps = {{.body = BODY("CRITICAL") "}", .status = 200}},
     .verdict = DELIVERY_SENT,
     .has_template_error = true},
    {.name = "RECOVERY of a firing alert is CRITICAL",
     .receiver = API SHORT ", routing_key: r, message_type: RECOVERY}]",
     .steps = {{.body = BODY("CRITICAL") "}", .status = 200}},
     .verdict = DELIVERY_SENT},
    {.name = "resolved",
     .receiver = API SHORT ", routing_key: r, message_type: INFO}]",
     .alerts = {{"{}", NULL, true}},
     .steps = {{.body = BODY("RECOVERY") "}", .status = 200}},
     .verdict = DELIVERY_SENT},
    {.name = "a routing key that fails goes to nobody",
     .receiver = API "routing_key: '{{ .X }}'}]",
     .verdict = DELIVERY_FAILED,
     .error = "routing key: template: :1:3",
     .has_template_error = true},
    {.name = "500",
     .receiver = API "routing_key: r}]",
     .steps = {{.status = 500}},
     .verdict = DELIVERY_RETRY,
     .error = "unexpected status code 500"},
    {.name = "404, without the key in the error",
     .receiver = API "routing_key: r}]",
     .steps = {{.status = 404, .answer = "no"}},
     .verdict = DELIVERY_FAILED,
     .error = "unexpected status code 404: no"},
};

static void messages(void **state)
{
    driver_check(CASES, ARRAY_COUNT(CASES));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(messages)};
    return cmocka_run_group_tests_name("alerting/driver_victorops", tests, NULL, NULL);
}
