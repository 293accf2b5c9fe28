/* SPDX-License-Identifier: Apache-2.0 */
/* driver_opsgenie_test.c: alerts of OpsGenie; the bodies with group key "1" are those that Alertmanager's own tests expect. */
#include "driver_fixture.h"

#include "base/attributes.h"
#include "base/buffer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define ONE "6b86b273ff34fce19d6b804eff5a3f5747ada4eaa22f1d49c01e52ddb7875b4b"
#define API "opsgenie_configs: [{api_url: 'https://opsgenie/api', api_key: '{{ .ExternalURL }}', "
#define FIELDS                                                                                     \
    "message: '{{ .CommonLabels.Message }}', description: '{{ .CommonLabels.Description }}', "     \
    "source: '{{ .CommonLabels.Source }}', tags: '{{ .CommonLabels.Tags }}', note: '{{ "           \
    ".CommonLabels.Note }}', priority: '{{ .CommonLabels.Priority }}', entity: '{{ "               \
    ".CommonLabels.Entity }}', actions: '{{ .CommonLabels.Actions }}', "
#define TWO                                                                                        \
    "responders: [{name: '{{ .CommonLabels.ResponderName1 }}', type: '{{ "                         \
    ".CommonLabels.ResponderType1 }}'}, {name: '{{ .CommonLabels.ResponderName2 }}', type: '{{ "   \
    ".CommonLabels.ResponderType2 }}'}]"
#define TEAMS                                                                                      \
    "responders: [{name: '{{ .CommonLabels.ResponderName3 }}', type: '{{ "                         \
    ".CommonLabels.ResponderType3 }}'}]"
#define LABELS                                                                                     \
    "{Message=\"message\",Description=\"description\",Source=\"http://prometheus\","               \
    "ResponderName1=\"TeamA\",ResponderType1=\"team\",ResponderName2=\"EscalationA\","             \
    "ResponderType2=\"escalation\",ResponderName3=\"TeamA,TeamB\",ResponderType3=\"teams\","       \
    "Tags=\"tag1,tag2\",Note=\"this is a note\",Priority=\"P1\",Entity=\"test-domain\","           \
    "Actions=\"doThis,doThat\"}"
#define DETAILS(description)                                                                       \
    "\"details\":{\"Actions\":\"doThis,doThat\",\"Description\":\"" description                    \
    "\",\"Entity\":\"test-domain\",\"Message\":\"message\",\"Note\":\"this is a note\","           \
    "\"Priority\":\"P1\",\"ResponderName1\":\"TeamA\",\"ResponderName2\":\"EscalationA\","         \
    "\"ResponderName3\":\"TeamA,TeamB\",\"ResponderType1\":\"team\",\"ResponderType2\":"           \
    "\"escalation\",\"ResponderType3\":\"teams\",\"Source\":\"http://prometheus\",\"Tags\":"       \
    "\"tag1,tag2\"}"
#define BODY(description, responders)                                                              \
    "{\"alias\":\"" ONE "\",\"message\":\"message\",\"description\":\"description\"," DETAILS(     \
        description) ",\"source\":\"http://prometheus\",\"responders\":[" responders               \
                     "],\"tags\":[\"tag1\",\"tag2\"],\"note\":\"this is a note\",\"priority\":"    \
                     "\"P1\",\"entity\":\"test-domain\",\"actions\":[\"doThis\",\"doThat\"]}"
#define HEADERS "Content-Type: application/json\nAuthorization: GenieKey http://am.example"
#define OK .status = 202

static const struct driver_case CASES[] = {
    {.name = "nothing of nothing",
     .receiver = API FIELDS TWO "}]",
     .alerts = {{"{}"}},
     .group_key = "1",
     .steps = {{.url = "https://opsgenie/api/v2/alerts",
                .headers = HEADERS,
                .body = "{\"alias\":\"" ONE "\",\"message\":\"\",\"details\":{},\"source\":\"\"}",
                OK}},
     .verdict = DELIVERY_SENT},
    {.name = "without details",
     .receiver = API FIELDS TWO "}]",
     .alerts = {{LABELS}},
     .group_key = "1",
     .steps = {{.body = BODY("description", "{\"name\":\"TeamA\",\"type\":\"team\"},{\"name\":"
                                            "\"EscalationA\",\"type\":\"escalation\"}"),
                OK}},
     .verdict = DELIVERY_SENT},
    {.name = "with details",
     .receiver =
         API FIELDS TWO ", details: {Description: 'adjusted {{ .CommonLabels.Description }}'}}]",
     .alerts = {{LABELS}},
     .group_key = "1",
     .steps = {{.body = BODY("adjusted description",
                             "{\"name\":\"TeamA\",\"type\":\"team\"},{\"name\":\"EscalationA\","
                             "\"type\":\"escalation\"}"),
                OK}},
     .verdict = DELIVERY_SENT},
    {.name = "several teams",
     .receiver = API FIELDS TEAMS "}]",
     .alerts = {{LABELS}},
     .group_key = "1",
     .steps = {{.body = BODY("description", "{\"name\":\"TeamA\",\"type\":\"team\"},{\"name\":"
                                            "\"TeamB\",\"type\":\"team\"}"),
                OK}},
     .verdict = DELIVERY_SENT},
    {.name = "an update is three requests",
     .receiver = API "message: m, description: d, source: s, update_alerts: true}]",
     .alerts = {{"{}"}},
     .group_key = "1",
     .steps = {{.method = "POST",
                .url = "https://opsgenie/api/v2/alerts",
                .body = "{\"alias\":\"" ONE "\",\"message\":\"m\",\"description\":\"d\","
                        "\"details\":{},\"source\":\"s\"}",
                OK},
               {.method = "PUT",
                .url = "https://opsgenie/api/v2/alerts/" ONE "/message?identifierType=alias",
                .headers = HEADERS,
                .body = "{\"message\":\"m\"}",
                OK},
               {.method = "PUT",
                .url = "https://opsgenie/api/v2/alerts/" ONE "/description?identifierType=alias",
                .headers = HEADERS,
                .body = "{\"description\":\"d\"}",
                OK}},
     .verdict = DELIVERY_SENT},
    {.name = "an update stops at an error",
     .receiver = API "message: m, update_alerts: true}]",
     .steps = {{OK}, {.method = "PUT", .status = 500}},
     .verdict = DELIVERY_RETRY,
     .error = "unexpected status code 500"},
    {.name = "resolved, with update_alerts, too: closed",
     .receiver = API "source: s, update_alerts: true}]",
     .alerts = {{"{}", NULL, true}},
     .group_key = "1",
     .steps = {{.url = "https://opsgenie/api/v2/alerts/" ONE "/close?identifierType=alias",
                .headers = HEADERS,
                .body = "{\"source\":\"s\"}",
                OK}},
     .verdict = DELIVERY_SENT},
    {.name = "of global",
     .global = "global: {opsgenie_api_url: 'https://o/', opsgenie_api_key: k}",
     .receiver = "opsgenie_configs: [{message: m, description: d, source: s, tags: ' a, b,,c ', "
                 "priority: '{{ .X }}'}]",
     .alerts = {{"{}"}},
     .group_key = "1",
     .steps = {{.url = "https://o/v2/alerts",
                .headers = "Authorization: GenieKey k",
                .body = "{\"alias\":\"" ONE "\",\"message\":\"m\",\"description\":\"d\","
                        "\"details\":{},\"source\":\"s\",\"tags\":[\"a\",\" b\",\"c\"]}",
                OK}},
     .verdict = DELIVERY_SENT,
     .has_template_error = true},
    {.name = "a priority and a responder that OpsGenie has not",
     .global = "global: {opsgenie_api_url: 'https://o/', opsgenie_api_key: k}",
     .receiver = "opsgenie_configs: [{message: m, description: d, source: s, priority: '{{ "
                 ".CommonLabels.p }}', "
                 "responders: [{name: '{{ .CommonLabels.x }}', type: team}]}]",
     .alerts = {{"{p=\"high\"}"}},
     .group_key = "1",
     .steps = {{.body = "{\"alias\":\"" ONE "\",\"message\":\"m\",\"description\":\"d\","
                        "\"details\":{\"p\":\"high\"},\"source\":\"s\"}",
                OK}},
     .verdict = DELIVERY_SENT},
    {.name = "429",
     .receiver = API "}]",
     .steps = {{.status = 429}},
     .verdict = DELIVERY_RETRY,
     .error = "unexpected status code 429"},
    {.name = "422",
     .receiver = API "}]",
     .steps = {{.status = 422, .answer = "{\"message\":\"Request body is not processable\"}"}},
     .verdict = DELIVERY_FAILED,
     .error = "Request body is not processable"},
    {.name = "a key that is a broken template",
     .receiver = "opsgenie_configs: [{api_key: '{{ kaput '}]",
     .verdict = DELIVERY_FAILED,
     .error = "API key: template: :1: function \"kaput\" not defined",
     .has_template_error = true},
};

static void alerts(void **state)
{
    driver_check(CASES, ARRAY_COUNT(CASES));
}

/* 130 characters, the last one for what is not said. */
static void long_messages_are_cut(void **state)
{
    char receiver[1024], expected[512];
    char text[301];
    struct driver_fixture f;
    struct error err = {0};
    memset(text, 'x', 300);
    text[300] = '\0';
    snprintf(receiver, sizeof(receiver), API "message: '%s', source: '%s'}]", text, text);
    snprintf(expected, sizeof(expected), "\"message\":\"%.129s…\"", text);
    const struct driver_case c = {.name = "long", .receiver = receiver};
    driver_fixture_init(&f, &c);
    assert_int_equal(driver_fixture_begin(&f, 0, &err), DELIVERY_MORE);
    assert_non_null(memmem(f.d.request.body.ptr, f.d.request.body.len, expected, strlen(expected)));
    snprintf(expected, sizeof(expected), "\"source\":\"%.99s…\"", text);
    assert_non_null(memmem(f.d.request.body.ptr, f.d.request.body.len, expected, strlen(expected)));
    driver_fixture_deinit(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(alerts),
        cmocka_unit_test(long_messages_are_cut),
    };
    return cmocka_run_group_tests_name("alerting/driver_opsgenie", tests, NULL, NULL);
}
