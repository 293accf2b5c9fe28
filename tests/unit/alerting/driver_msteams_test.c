/* SPDX-License-Identifier: Apache-2.0 */
/* driver_msteams_test.c: msteams_configs and msteamsv2_configs: both cards, their 28 KB, and what hides behind 200. */
#include "driver_fixture.h"

#include "base/attributes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>
#include <jansson.h>

#define V1 "msteams_configs: [{webhook_url: 'http://teams.example/x', title: 't{{ .Status }}', "
#define V2 "msteamsv2_configs: [{webhook_url: 'http://flow.example/y', title: 't{{ .Status }}', "
#define CARD1(status, color)                                                                       \
    "{\"@context\":\"http://schema.org/extensions\",\"type\":\"MessageCard\",\"title\":\"t" status \
    "\",\"summary\":\"s\",\"text\":\"x\",\"themeColor\":\"" color "\"}"
#define CARD2(status, color)                                                                       \
    "{\"type\":\"message\",\"attachments\":[{\"contentType\":\"application/"                       \
    "vnd.microsoft.card.adaptive\",\"contentUrl\":null,\"content\":{\"$schema\":\"http://"         \
    "adaptivecards.io/schemas/adaptive-card.json\",\"type\":\"AdaptiveCard\",\"version\":\"1.2\"," \
    "\"body\":[{\"type\":\"TextBlock\",\"text\":\"t" status                                        \
    "\",\"weight\":\"Bolder\",\"size\":\"Medium\",\"wrap\":true,\"style\":\"heading\",\"color\":"  \
    "\"" color "\"},{\"type\":\"TextBlock\",\"text\":\"x\",\"wrap\":true}],\"msteams\":{"          \
    "\"width\":\"full\"}}}]}"

static const struct driver_case CASES[] = {
    {.name = "connector, firing",
     .receiver = V1 "summary: s, text: x}]",
     .steps = {{.url = "http://teams.example/x",
                .headers = "Content-Type: application/json",
                .body = CARD1("firing", "8C1A1A"),
                .status = 200,
                .answer = "1"}},
     .verdict = DELIVERY_SENT},
    {.name = "connector, resolved",
     .receiver = V1 "summary: s, text: x}]",
     .alerts = {{"{alertname=\"Down\"}", NULL, true, NULL}},
     .steps = {{.body = CARD1("resolved", "2DC72D"), .status = 200, .answer = "1"}},
     .verdict = DELIVERY_SENT},
    {.name = "connector, too often behind 200",
     .receiver = V1 "text: x}]",
     .steps = {{.status = 200,
                .answer = "Webhook message delivery failed with error: Microsoft Teams endpoint "
                          "returned HTTP error 429 "
                          "with ContextId tcid=0,server=X"}},
     .error = "429",
     .verdict = DELIVERY_RETRY},
    {.name = "connector, refused behind 200",
     .receiver = V1 "text: x}]",
     .steps = {{.status = 200,
                .answer = "Webhook message delivery failed with error: Microsoft Teams endpoint "
                          "returned HTTP error 403 "
                          "with ContextId tcid=0,server=X"}},
     .error = "403",
     .verdict = DELIVERY_FAILED},
    {.name = "workflow, firing",
     .receiver = V2 "text: x}]",
     .steps = {{.url = "http://flow.example/y",
                .body = CARD2("firing", "Attention"),
                .status = 202}},
     .verdict = DELIVERY_SENT},
    {.name = "workflow, resolved",
     .receiver = V2 "text: x}]",
     .alerts = {{"{alertname=\"Down\"}", NULL, true, NULL}},
     .steps = {{.body = CARD2("resolved", "Good"), .status = 202}},
     .verdict = DELIVERY_SENT},
    {.name = "workflow, too often",
     .receiver = V2 "text: x}]",
     .steps = {{.status = 429}},
     .error = "429",
     .verdict = DELIVERY_RETRY},
    {.name = "workflow that is gone",
     .receiver = V2 "text: x}]",
     .steps = {{.status = 404, .answer = "{\"error\":{\"code\":\"WorkflowNotFound\"}}"}},
     .error = "WorkflowNotFound",
     .verdict = DELIVERY_FAILED},
    {.name = "no file",
     .receiver = "msteamsv2_configs: [{webhook_url_file: /nowhere/url}]",
     .error = "/nowhere/url",
     .verdict = DELIVERY_RETRY},
};

static void requests_and_verdicts(void **state)
{
    (void)state;
    driver_check(CASES, ARRAY_COUNT(CASES));
}

/* Texts of 60,000 bytes, which double in JSON: below 28,000 first, then half of what Teams refused each time, until it is
 * small enough that size cannot be the reason. */
static void cards_fit(void **state)
{
    static const char *const RECEIVERS[] = {
        V1 "summary: '{{ .CommonLabels.long }}', text: '{{ .CommonLabels.long }}'}]",
        "msteams_configs: [{webhook_url: 'http://x', title: '{{ .CommonLabels.long }}', text: ''}]",
        V2 "text: '{{ .CommonLabels.long }}'}]",
    };
    static char label[70000] = "{alertname=\"Down\",long=\"";
    size_t len = strlen(label);
    (void)state;
    memset(label + len, '\\', 60000);
    memcpy(label + len + 60000, "\"}", 3);
    for (size_t i = 0; i < ARRAY_COUNT(RECEIVERS); i++) {
        struct driver_case c = {.name = "long", .receiver = RECEIVERS[i]};
        struct driver_fixture f;
        struct error err = {0};
        size_t requests = 0, bytes_max = 28000;
        c.alerts[0] = (struct driver_alert){label, NULL, false, NULL};
        driver_fixture_init(&f, &c);
        enum delivery_verdict v = driver_fixture_begin(&f, 0, &err);
        for (; v == DELIVERY_MORE; requests++, bytes_max /= 2) {
            json_t *card = json_loadb(f.d.request.body.ptr, f.d.request.body.len, 0, NULL);
            assert_non_null(card);
            json_decref(card);
            assert_in_range(f.d.request.body.len, bytes_max * 9 / 10, bytes_max);
            v = driver_fixture_answer(&f, 413, NULL, "too large", &err);
        }
        assert_int_equal(v, DELIVERY_FAILED);
        assert_int_equal(requests, 5); /* 28,000 to 1,750 */
        driver_fixture_deinit(&f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_and_verdicts),
        cmocka_unit_test(cards_fit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
