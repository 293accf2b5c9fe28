/* SPDX-License-Identifier: Apache-2.0 */
/* driver_slack_test.c: slack_configs: webhooks and the Web API, what Slack says with 200, messages that are updated. */
#include "driver_fixture.h"

#include "base/attributes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

/* A receiver with nothing of the default templates. */
#define BARE                                                                                       \
    "username: '', title: '', title_link: '', icon_emoji: '', icon_url: '', pretext: '', "         \
    "text: 'T', fallback: 'F', callback_id: '', footer: '', color: ''"
#define HOOK "slack_configs: [{api_url: 'http://slack.example/services/T0/B0/XX', " BARE
#define BOT                                                                                        \
    "slack_configs: [{api_url: 'https://slack.com/api/chat.postMessage', channel: ops, "           \
    "update_message: true, " BARE
#define ATTACHMENT                                                                                 \
    "\"text\": \"T\", \"fallback\": \"F\", \"callback_id\": \"\", \"footer\": \"\", "              \
    "\"mrkdwn_in\": [\"fallback\", \"pretext\", \"text\"]"
#define POST "https://slack.com/api/chat.postMessage"
#define UPDATE "https://slack.com/api/chat.update"
#define POSTED "{\"channel\": \"ops\", \"attachments\": [{" ATTACHMENT "}]}"
#define UPDATED "{\"channel\": \"C1\", \"ts\": \"17.5\", \"attachments\": [{" ATTACHMENT "}]}"
#define RECALLED "threadTs=17.5,channelId=C1"

static const struct driver_case CASES[] = {
    {.name = "all that can be said",
     .receiver =
         "slack_configs:\n"
         "- api_url: http://slack.example/hook\n"
         "  channel: '#{{ .GroupLabels.alertname }}'\n"
         "  username: 'u{{ .Status }}'\n"
         "  color: '{{ if eq .Status \"firing\" }}danger{{ else }}good{{ end }}'\n"
         "  title: 't{{ .Status }}'\n"
         "  title_link: 'http://x/{{ .Status }}'\n"
         "  pretext: 'p{{ .Status }}'\n"
         "  text: '{{ range .Alerts }}{{ .Labels.job }} {{ .Annotations.summary }}{{ end }}'\n"
         "  message_text: 'm{{ .Status }}'\n"
         "  short_fields: true\n"
         "  fields:\n"
         "  - {title: 'a{{ .Status }}', value: 'b{{ .Status }}'}\n"
         "  - {title: c, value: d, short: false}\n"
         "  footer: 'o{{ .Status }}'\n"
         "  fallback: 'f{{ .Status }}'\n"
         "  callback_id: 'i{{ .Status }}'\n"
         "  icon_emoji: ':{{ .Status }}:'\n"
         "  icon_url: 'http://i/{{ .Status }}'\n"
         "  image_url: 'http://g/{{ .Status }}'\n"
         "  thumb_url: 'http://h/{{ .Status }}'\n"
         "  link_names: true\n"
         "  mrkdwn_in: [text]\n"
         "  actions:\n"
         "  - {type: button, text: 'x{{ .Status }}', url: 'http://b/{{ .Status }}', style: 's{{ "
         ".Status }}'}\n"
         "  - {type: button, text: y, name: 'n{{ .Status }}', value: 'v{{ .Status }}',\n"
         "     confirm: {text: 'sure{{ .Status }}', title: 'ct', ok_text: 'yes', dismiss_text: "
         "'no'}}\n",
     .steps =
         {{.url = "http://slack.example/hook",
           .headers = "Content-Type: application/json",
           .body =
               "{\"channel\": \"#Down\", \"username\": \"ufiring\", \"icon_emoji\": \":firing:\","
               "\"icon_url\": \"http://i/firing\", \"link_names\": true, \"text\": \"mfiring\","
               "\"attachments\": [{\"title\": \"tfiring\", \"title_link\": \"http://x/firing\","
               "\"pretext\": \"pfiring\", \"text\": \"node it is down\", \"fallback\": \"ffiring\","
               "\"callback_id\": \"ifiring\", \"footer\": \"ofiring\", \"color\": \"danger\","
               "\"image_url\": \"http://g/firing\", \"thumb_url\": \"http://h/firing\","
               "\"mrkdwn_in\": [\"text\"],"
               "\"fields\": [{\"title\": \"afiring\", \"value\": \"bfiring\", \"short\": true},"
               "             {\"title\": \"c\", \"value\": \"d\", \"short\": false}],"
               "\"actions\": [{\"type\": \"button\", \"text\": \"xfiring\", \"url\": "
               "\"http://b/firing\","
               "               \"style\": \"sfiring\"},"
               "              {\"type\": \"button\", \"text\": \"y\", \"name\": \"nfiring\","
               "               \"value\": \"vfiring\", \"confirm\": {\"text\": \"surefiring\","
               "               \"title\": \"ct\", \"ok_text\": \"yes\", \"dismiss_text\": "
               "\"no\"}}]}]}",
           .status = 200,
           .answer = "ok"}},
     .verdict = DELIVERY_SENT},
    {.name = "nothing but what has to be",
     .receiver = HOOK "}]",
     .steps = {{.body = "{\"attachments\": [{" ATTACHMENT "}]}", .status = 200, .answer = "ok"}},
     .verdict = DELIVERY_SENT},
    {.name = "resolved is good",
     .receiver = "slack_configs: [{api_url: 'http://slack.example/hook', send_resolved: true, "
                 "title: '', title_link: '', "
                 "username: '', text: T, fallback: F}]",
     .alerts = {{"{alertname=\"Down\"}", NULL, true, NULL}},
     .steps = {{.body = "{\"attachments\": [{\"color\": \"good\", " ATTACHMENT "}]}",
                .status = 200,
                .answer = "ok"}},
     .verdict = DELIVERY_SENT},
    {.name = "a setting that fails is left out, a text says so",
     .receiver = "slack_configs: [{api_url: 'http://slack.example/hook', channel: '{{ .Nope }}', "
                 "title_link: '', username: '', "
                 "color: '{{ template \"none\" . }}', title: '{{ len 5 }}', text: T, fallback: F}]",
     .has_template_error = true,
     .steps = {{.body = "{\"attachments\": [{\"title\": \"<error expanding template: template: "
                        ":1:3: executing \\\"\\\" at <len 5>: "
                        "error calling len: len of type int>\", " ATTACHMENT "}]}",
                .status = 200,
                .answer = "ok"}},
     .verdict = DELIVERY_SENT},
    {.name = "what a webhook says",
     .receiver = HOOK ", channel: ops}]",
     .steps = {{.status = 200, .answer = "no_channel"}},
     .verdict = DELIVERY_FAILED,
     .error = "channel \"ops\": error response from Slack: no_channel"},
    {.name = "archived",
     .receiver = HOOK ", channel: ops}]",
     .steps = {{.status = 410, .answer = "channel_is_archived"}},
     .verdict = DELIVERY_FAILED,
     .error = "channel_is_archived"},
    {.name = "5xx",
     .receiver = HOOK "}]",
     .steps = {{.status = 500, .answer = "rollup_error"}},
     .verdict = DELIVERY_RETRY,
     .error = "500"},
    {.name = "too often",
     .receiver = HOOK "}]",
     .steps = {{.status = 429, .answer = "{\"ok\":false,\"error\":\"rate_limited\"}"}},
     .verdict = DELIVERY_RETRY,
     .error = "429"},
    {.name = "JSON that is none",
     .receiver = HOOK "}]",
     .steps = {{.status = 200, .answer = "{\"not valid json\"}"}},
     .verdict = DELIVERY_RETRY,
     .error = "a JSON object was expected from Slack"},
    {.name = "not ok",
     .receiver = HOOK ", channel: c}]",
     .steps = {{.status = 200, .answer = "{\"ok\":false,\"error\":\"not_in_channel\"}"}},
     .verdict = DELIVERY_FAILED,
     .error = "channel \"c\": error response from Slack: not_in_channel"},
    {.name = "not ok for now",
     .receiver = HOOK "}]",
     .steps = {{.status = 200, .answer = "{\"ok\":false,\"error\":\"internal_error\"}"}},
     .verdict = DELIVERY_RETRY,
     .error = "internal_error"},
    {.name = "URL in a file that is not there",
     .receiver = "slack_configs: [{api_url_file: /nowhere/url, " BARE "}]",
     .verdict = DELIVERY_RETRY,
     .error = "/nowhere/url"},
    {.name = "a token is sent to the app's URL",
     .receiver = "slack_configs: [{app_token: xoxb-1, app_url: "
                 "'https://slack.example/api/chat.postMessage', channel: ops, " BARE "}]",
     .steps = {{.url = "https://slack.example/api/chat.postMessage",
                .body = POSTED,
                .status = 200,
                .answer = "{\"ok\":true}"}},
     .verdict = DELIVERY_SENT},
    {.name = "the first message's place is remembered",
     .receiver = BOT "}]",
     .steps = {{.url = POST,
                .body = POSTED,
                .status = 200,
                .answer = "{\"ok\":true,\"ts\":\"17.5\",\"channel\":\"C1\"}"}},
     .remembered = RECALLED,
     .verdict = DELIVERY_SENT},
    {.name = "the second updates it",
     .receiver = BOT "}]",
     .recalled = RECALLED,
     .steps = {{.url = UPDATE,
                .body = UPDATED,
                .status = 200,
                .answer = "{\"ok\":true,\"ts\":\"17.5\",\"channel\":\"C1\"}"}},
     .remembered = RECALLED,
     .verdict = DELIVERY_SENT},
    {.name = "after resolved, the next incident begins a new message",
     .receiver = BOT "}]",
     .alerts = {{"{alertname=\"Down\"}", NULL, true, NULL}},
     .recalled = RECALLED,
     .steps = {{.url = UPDATE,
                .body = UPDATED,
                .status = 200,
                .answer = "{\"ok\":true,\"ts\":\"17.5\",\"channel\":\"C1\"}"}},
     .remembered = "",
     .verdict = DELIVERY_SENT},
    {.name = "a message that is gone is posted anew",
     .receiver = BOT "}]",
     .recalled = RECALLED,
     .steps = {{.url = UPDATE,
                .status = 200,
                .answer = "{\"ok\":false,\"error\":\"message_not_found\"}"},
               {.url = POST,
                .body = POSTED,
                .status = 200,
                .answer = "{\"ok\":true,\"ts\":\"18.0\",\"channel\":\"C1\"}"}},
     .remembered = "threadTs=18.0,channelId=C1",
     .verdict = DELIVERY_SENT},
    {.name = "an update may fail, too",
     .receiver = BOT "}]",
     .recalled = RECALLED,
     .steps = {{.url = UPDATE,
                .status = 200,
                .answer = "{\"ok\":false,\"error\":\"invalid_auth\"}"}},
     .verdict = DELIVERY_FAILED,
     .error = "invalid_auth"},
    {.name = "nothing is recalled unless messages are updated",
     .receiver = "slack_configs: [{api_url: '" POST "', channel: ops, " BARE "}]",
     .recalled = RECALLED,
     .steps = {{.url = POST,
                .body = POSTED,
                .status = 200,
                .answer = "{\"ok\":true,\"ts\":\"17.5\",\"channel\":\"C1\"}"}},
     .remembered = "",
     .verdict = DELIVERY_SENT},
};

static void requests_and_verdicts(void **state)
{
    (void)state;
    driver_check(CASES, ARRAY_COUNT(CASES));
}

/* A title of 1025 characters, with two bytes each, keeps 1023 and the ellipsis. */
static void title_is_cut(void **state)
{
    static const struct driver_case C = {
        .name = "long",
        .receiver = "slack_configs: [{api_url: 'http://s', timeout: 5s, title: '{{ "
                    ".CommonLabels.long }}'}]",
    };
    static char label[3000] = "{alertname=\"Down\",long=\"";
    struct driver_case c = C;
    struct driver_fixture f;
    struct error err = {0};
    size_t len = strlen(label);
    (void)state;
    for (size_t i = 0; i < 1025; i++, len += 2)
        memcpy(label + len, "\xc3\xa4", 2);
    memcpy(label + len, "\"}", 3);
    c.alerts[0] = (struct driver_alert){label, NULL, false, NULL};
    driver_fixture_init(&f, &c);
    assert_int_equal(driver_fixture_begin(&f, 0, &err), DELIVERY_MORE);
    struct view body = f.d.request.body;
    const char *title = memmem(body.ptr, body.len, "\"title\":\"", 9);
    assert_non_null(title);
    assert_memory_equal(title + 9 + 1023 * 2, "\xe2\x80\xa6\"", 4);
    assert_int_equal(f.d.request.timeout_ms, 5000);
    driver_fixture_deinit(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_and_verdicts),
        cmocka_unit_test(title_is_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
