/* SPDX-License-Identifier: Apache-2.0 */
/* driver_mattermost_test.c: mattermost_configs and rocketchat_configs: attachments, priorities, tokens. */
#include "driver_fixture.h"

#include "base/attributes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define HOOK                                                                                       \
    "mattermost_configs: [{webhook_url: 'http://mm.example/hooks/x', username: '', color: '', "    \
    "title: '', title_link: '', fallback: '', "
#define TEXT "{\"attachments\":[{\"text\":\"Test Text\"}]"
#define ROCKET                                                                                     \
    "rocketchat_configs: [{api_url: 'http://rc.example/', token_id: uid, token: tok, channel: "    \
    "'#ops', emoji: '', icon_url: '', title_link: '', "
#define YES "{\"success\":true,\"channel\":\"ops\",\"message\":{}}"

static const struct driver_case CASES[] = {
    {.name = "text only",
     .receiver = HOOK "text: Test Text}]",
     .steps = {{.url = "http://mm.example/hooks/x",
                .headers = "Content-Type: application/json",
                .body = TEXT "}",
                .status = 200,
                .answer = "ok"}},
     .verdict = DELIVERY_SENT},
    {.name = "nothing",
     .receiver = HOOK "text: ''}]",
     .steps = {{.body = "{\"attachments\":[{}]}", .status = 200}},
     .verdict = DELIVERY_SENT},
    {.name = "props",
     .receiver = HOOK "text: Test Text, props: {card: 'Test {{ .Status }}'}}]",
     .steps = {{.body = TEXT ",\"props\":{\"card\":\"Test firing\"}}", .status = 200}},
     .verdict = DELIVERY_SENT},
    {.name = "priority standard takes no flags",
     .receiver = HOOK "text: Test Text, priority: {priority: standard, requested_ack: true, "
                      "persistent_notifications: true}}]",
     .steps = {{.body = TEXT ",\"priority\":{\"priority\":\"standard\"}}", .status = 200}},
     .verdict = DELIVERY_SENT},
    {.name = "priority important takes one",
     .receiver = HOOK "text: Test Text, priority: {priority: Important, requested_ack: true, "
                      "persistent_notifications: true}}]",
     .steps = {{.body = TEXT ",\"priority\":{\"priority\":\"important\",\"requested_ack\":true}}",
                .status = 200}},
     .verdict = DELIVERY_SENT},
    {.name = "priority urgent takes both",
     .receiver = HOOK "text: Test Text, priority: {priority: '{{ .GroupLabels.p }}', "
                      "requested_ack: true, persistent_notifications: true}}]",
     .group_labels = "{p=\"URGENT\"}",
     .steps = {{.body = TEXT ",\"priority\":{\"priority\":\"urgent\",\"requested_ack\":true,"
                             "\"persistent_notifications\":true}}",
                .status = 200}},
     .verdict = DELIVERY_SENT},
    {.name = "priority unknown",
     .receiver = HOOK "text: Test Text, priority: {priority: loud}}]",
     .steps = {{.body = TEXT ",\"priority\":{\"priority\":\"standard\"}}", .status = 200}},
     .verdict = DELIVERY_SENT},
    {.name = "attachments of their own",
     .receiver =
         HOOK "text: Test Text, attachments: [{title: Test Attachment, text: Attachment Text}]}]",
     .steps = {{.body = "{\"text\":\"Test Text\",\"attachments\":[{\"text\":\"Attachment "
                        "Text\",\"title\":\"Test Attachment\"}]}",
                .status = 200}},
     .verdict = DELIVERY_SENT},
    {.name = "mattermost, all that can be said",
     .receiver = "mattermost_configs:\n"
                 "- webhook_url: http://mm.example/hooks/x\n"
                 "  channel: '{{ .GroupLabels.alertname }}'\n"
                 "  username: 'u{{ .Status }}'\n"
                 "  icon_url: 'http://i/{{ .Status }}'\n"
                 "  icon_emoji: 'e{{ .Status }}'\n"
                 "  type: 'custom_{{ .Status }}'\n"
                 "  fallback: 'f{{ .Status }}'\n"
                 "  color: 'c{{ .Status }}'\n"
                 "  pretext: 'p{{ .Status }}'\n"
                 "  text: 't{{ .Status }}'\n"
                 "  author_name: 'an{{ .Status }}'\n"
                 "  author_link: 'al{{ .Status }}'\n"
                 "  author_icon: 'ai{{ .Status }}'\n"
                 "  title: 'ti{{ .Status }}'\n"
                 "  title_link: 'tl{{ .Status }}'\n"
                 "  thumb_url: 'th{{ .Status }}'\n"
                 "  footer: 'fo{{ .Status }}'\n"
                 "  footer_icon: 'fi{{ .Status }}'\n"
                 "  image_url: 'im{{ .Status }}'\n"
                 "  fields: [{title: 'a{{ .Status }}', value: 'b{{ .Status }}', short: true}, "
                 "{title: c, value: d}]\n",
     .steps = {{.body = "{\"channel\":\"Down\",\"username\":\"ufiring\",\"icon_url\":\"http://i/"
                        "firing\",\"icon_emoji\":\"efiring\","
                        "\"type\":\"custom_firing\",\"attachments\":[{\"fallback\":\"ffiring\","
                        "\"color\":\"cfiring\","
                        "\"pretext\":\"pfiring\",\"text\":\"tfiring\",\"author_name\":\"anfiring\","
                        "\"author_link\":\"alfiring\","
                        "\"author_icon\":\"aifiring\",\"title\":\"tifiring\",\"title_link\":"
                        "\"tlfiring\",\"thumb_url\":\"thfiring\","
                        "\"footer\":\"fofiring\",\"footer_icon\":\"fifiring\",\"image_url\":"
                        "\"imfiring\",\"fields\":["
                        "{\"title\":\"afiring\",\"value\":\"bfiring\",\"short\":true},{\"title\":"
                        "\"c\",\"value\":\"d\"}]}]}",
                .status = 200}},
     .verdict = DELIVERY_SENT},
    {.name = "mattermost refuses",
     .receiver = HOOK "text: x, channel: nowhere}]",
     .steps = {{.status = 404,
                .answer = "{\"id\":\"web.incoming_webhook.channel.app_error\",\"message\":\"Couldn'"
                          "t find the channel.\"}"}},
     .error = "channel \"nowhere\": ",
     .verdict = DELIVERY_FAILED},
    {.name = "mattermost is down",
     .receiver = HOOK "text: x}]",
     .steps = {{.status = 503}},
     .error = "503",
     .verdict = DELIVERY_RETRY},

    {.name = "rocketchat, all that can be said",
     .receiver = "rocketchat_configs:\n"
                 "- api_url: http://rc.example/base\n"
                 "  token_id: uid\n"
                 "  token: tok\n"
                 "  channel: '#{{ .GroupLabels.alertname }}'\n"
                 "  title: 't{{ .Status }}'\n"
                 "  title_link: 'l{{ .Status }}'\n"
                 "  text: 'x{{ .Status }}'\n"
                 "  emoji: ':{{ .Status }}:'\n"
                 "  icon_url: 'http://i/{{ .Status }}'\n"
                 "  image_url: 'http://g/{{ .Status }}'\n"
                 "  thumb_url: 'http://h/{{ .Status }}'\n"
                 "  short_fields: true\n"
                 "  fields: [{title: 'a{{ .Status }}', value: 'b{{ .Status }}'}, {title: c, value: "
                 "d, short: false}]\n"
                 "  actions: [{text: 'y{{ .Status }}', url: 'http://b/{{ .Status }}'}, {text: z, "
                 "msg: 'm{{ .Status }}'}]\n",
     .steps = {{.url = "http://rc.example/base/api/v1/chat.postMessage",
                .headers = "Content-Type: application/json\nX-Auth-Token: tok\nX-User-Id: uid",
                .body = "{\"channel\":\"#Down\",\"emoji\":\":firing:\",\"avatar\":\"http://i/"
                        "firing\",\"attachments\":[{"
                        "\"title\":\"tfiring\",\"title_link\":\"lfiring\",\"text\":\"xfiring\","
                        "\"image_url\":\"http://g/firing\","
                        "\"thumb_url\":\"http://h/firing\",\"color\":\"red\",\"fields\":["
                        "{\"short\":true,\"title\":\"afiring\",\"value\":\"bfiring\"},{\"short\":"
                        "false,\"title\":\"c\",\"value\":\"d\"}],"
                        "\"actions\":[{\"type\":\"button\",\"text\":\"yfiring\",\"url\":\"http://b/"
                        "firing\",\"is_webview\":false,"
                        "\"msg_in_chat_window\":false},{\"type\":\"button\",\"text\":\"z\",\"msg\":"
                        "\"mfiring\",\"is_webview\":false,"
                        "\"msg_in_chat_window\":false}]}]}",
                .status = 200,
                .answer = YES}},
     .verdict = DELIVERY_SENT},
    {.name = "rocketchat says no with 200",
     .receiver = ROCKET "text: x, title: ''}]",
     .steps = {{.body =
                    "{\"channel\":\"#ops\",\"attachments\":[{\"text\":\"x\",\"color\":\"red\"}]}",
                .status = 200,
                .answer = "{\"success\":false,\"error\":\"[invalid-channel]\"}"}},
     .error = "channel \"#ops\": error response from Rocket.Chat: [invalid-channel]",
     .verdict = DELIVERY_FAILED},
    {.name = "rocketchat says no with 401",
     .receiver = ROCKET "text: x}]",
     .steps = {{.status = 401,
                .answer =
                    "{\"status\":\"error\",\"message\":\"You must be logged in to do this.\"}"}},
     .error = "You must be logged in",
     .verdict = DELIVERY_FAILED},
    {.name = "rocketchat is not there",
     .receiver = ROCKET "text: x}]",
     .steps = {{.status = 200, .answer = "<html>"}},
     .error = "a JSON object was expected from Rocket.Chat",
     .verdict = DELIVERY_RETRY},
    {.name = "rocketchat without a channel",
     .receiver = "rocketchat_configs: [{token_id: uid, token: tok, channel: '{{ .None }}'}]",
     .error = "channel: ",
     .has_template_error = true,
     .verdict = DELIVERY_FAILED},
    {.name = "rocketchat without its token's file",
     .receiver = "rocketchat_configs: [{token_id: uid, token_file: /nowhere/token, channel: c}]",
     .error = "/nowhere/token",
     .verdict = DELIVERY_RETRY},
};

static void requests_and_verdicts(void **state)
{
    (void)state;
    driver_check(CASES, ARRAY_COUNT(CASES));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_and_verdicts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
