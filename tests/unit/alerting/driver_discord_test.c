/* SPDX-License-Identifier: Apache-2.0 */
/* driver_discord_test.c: discord_configs and webex_configs: one request each, and the limits of their texts. */
#include "driver_fixture.h"

#include "base/attributes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define DISCORD "discord_configs: [{webhook_url: 'http://discord.example/api/webhooks/1/x'"
#define WEBEX                                                                                      \
    "webex_configs: [{api_url: 'http://webex.example/v1/messages', http_config: {authorization: "  \
    "{credentials: tok}}, room_id: '{{ .GroupLabels.alertname }}'"

static const struct driver_case CASES[] = {
    {.name = "discord, all",
     .receiver =
         DISCORD ", title: Test Title, message: Test Message, content: Test Content, username: "
                 "Test Username, avatar_url: 'http://example.com/avatar.png'}]",
     .steps =
         {{.url = "http://discord.example/api/webhooks/1/x",
           .headers = "Content-Type: application/json",
           .body =
               "{\"content\":\"Test Content\",\"embeds\":[{\"title\":\"Test Title\","
               "\"description\":\"Test Message\",\"color\":10038562}],"
               "\"username\":\"Test Username\",\"avatar_url\":\"http://example.com/avatar.png\"}",
           .status = 204}},
     .verdict = DELIVERY_SENT},
    {.name = "discord, resolved",
     .receiver = DISCORD ", title: t, message: m}]",
     .alerts = {{"{alertname=\"Down\"}", NULL, true, NULL}},
     .steps = {{.body = "{\"content\":\"\",\"embeds\":[{\"title\":\"t\",\"description\":\"m\","
                        "\"color\":3066993}]}",
                .status = 204}},
     .verdict = DELIVERY_SENT},
    {.name = "discord, default title",
     .receiver = DISCORD ", message: m}]",
     .steps = {{.body = "{\"content\":\"\",\"embeds\":[{\"title\":\"[FIRING:1] Down "
                        "(node)\",\"description\":\"m\","
                        "\"color\":10038562}]}",
                .status = 204}},
     .verdict = DELIVERY_SENT},
    {.name = "discord, a text that fails says so",
     .receiver =
         DISCORD ", title: t, message: '{{ template \"none\" . }}', username: '{{ .None }}'}]",
     .steps = {{.body = "{\"content\":\"\",\"embeds\":[{\"title\":\"t\",\"description\":\"<error "
                        "expanding template: template: "
                        ":1:12: executing \\\"\\\" at <\\\"none\\\" .>: template "
                        "\\\"none\\\" not defined>\",\"color\":10038562}]}",
                .status = 204}},
     .has_template_error = true,
     .verdict = DELIVERY_SENT},
    {.name = "discord, too often",
     .receiver = DISCORD "}]",
     .steps = {{.status = 429,
                .answer = "{\"message\": \"You are being rate limited.\", \"retry_after\": 0.3, "
                          "\"global\": false}"}},
     .error = "rate limited",
     .verdict = DELIVERY_RETRY},
    {.name = "discord, refused",
     .receiver = DISCORD "}]",
     .steps = {{.status = 404, .answer = "{\"message\": \"Unknown Webhook\", \"code\": 10015}"}},
     .error = "Unknown Webhook",
     .verdict = DELIVERY_FAILED},
    {.name = "discord, no file",
     .receiver = "discord_configs: [{webhook_url_file: /nowhere/url}]",
     .error = "/nowhere/url",
     .verdict = DELIVERY_RETRY},
    {.name = "webex",
     .receiver = WEBEX ", message: 'm{{ .Status }}'}]",
     .steps = {{.url = "http://webex.example/v1/messages",
                .headers = "Content-Type: application/json",
                .body = "{\"markdown\":\"mfiring\",\"roomId\":\"Down\"}",
                .status = 200,
                .answer = "{\"id\":\"1\"}"}},
     .verdict = DELIVERY_SENT},
    {.name = "webex, locked",
     .receiver = WEBEX "}]",
     .steps = {{.status = 423, .answer = "{\"message\":\"locked\",\"trackingId\":\"x\"}"}},
     .error = "locked",
     .verdict = DELIVERY_RETRY},
    {.name = "webex, refused",
     .receiver = WEBEX "}]",
     .steps = {{.status = 401,
                .answer = "{\"message\":\"The request requires a valid access token set in the "
                          "Authorization request header.\",\"trackingId\":\"x\"}"}},
     .error = "valid access token",
     .verdict = DELIVERY_FAILED},
    {.name = "webex, no room",
     .receiver = "webex_configs: [{room_id: '{{ .None }}', http_config: {authorization: "
                 "{credentials: tok}}}]",
     .error = "room_id: ",
     .has_template_error = true,
     .verdict = DELIVERY_FAILED},
};

static void requests_and_verdicts(void **state)
{
    (void)state;
    driver_check(CASES, ARRAY_COUNT(CASES));
}

/* Each text longer than its limit; the member begins with `name` and ends behind `bytes`, the ellipsis among them. */
static void texts_are_cut(void **state)
{
    static const struct {
        const char *receiver, *name;
        size_t bytes;
    } LIMITS[] = {
        {DISCORD ", title: '{{ .CommonLabels.long }}'}]", "\"title\":\"", 256 + 2},
        {DISCORD ", message: '{{ .CommonLabels.long }}'}]", "\"description\":\"", 4096 + 2},
        {DISCORD ", content: '{{ .CommonLabels.long }}'}]", "\"content\":\"", 2000 + 2},
        {DISCORD ", username: '{{ .CommonLabels.long }}'}]", "\"username\":\"", 80 + 2},
        {WEBEX ", message: '{{ .CommonLabels.long }}'}]", "\"markdown\":\"", 7439},
    };
    static char label[8100] = "{alertname=\"Down\",long=\"";
    size_t len = strlen(label);
    (void)state;
    memset(label + len, 'x', 8000);
    memcpy(label + len + 8000, "\"}", 3);
    for (size_t i = 0; i < ARRAY_COUNT(LIMITS); i++) {
        struct driver_case c = {.name = LIMITS[i].name, .receiver = LIMITS[i].receiver};
        struct driver_fixture f;
        struct error err = {0};
        c.alerts[0] = (struct driver_alert){label, NULL, false, NULL};
        driver_fixture_init(&f, &c);
        assert_int_equal(driver_fixture_begin(&f, 0, &err), DELIVERY_MORE);
        struct view body = f.d.request.body;
        const char *at = memmem(body.ptr, body.len, LIMITS[i].name, strlen(LIMITS[i].name));
        assert_non_null(at);
        at += strlen(LIMITS[i].name);
        assert_memory_equal(at + LIMITS[i].bytes - 3, "\xe2\x80\xa6\"", 4);
        driver_fixture_deinit(&f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_and_verdicts),
        cmocka_unit_test(texts_are_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
