/* SPDX-License-Identifier: Apache-2.0 */
/* delivery_answer_fuzz.c: whatever a service answers, a driver ends with a verdict and, where it did not send, with a sentence.
 *
 *   which integration u8 | status u8 (* 4 + 100) | body: each answer of the exchange */
#include "alerting/alert_config.h"
#include "alerting/sender.h"
#include "base/assert.h"

#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static const char CONFIG[] =
    "route: {receiver: all}\n"
    "receivers:\n"
    "- name: all\n"
    "  slack_configs:\n"
    "  - {api_url: 'http://s/hook'}\n"
    "  - {api_url: 'https://slack.com/api/chat.postMessage', channel: c, update_message: true}\n"
    "  discord_configs: [{webhook_url: 'http://d'}]\n"
    "  msteams_configs: [{webhook_url: 'http://t'}]\n"
    "  msteamsv2_configs: [{webhook_url: 'http://t'}]\n"
    "  mattermost_configs: [{webhook_url: 'http://m'}]\n"
    "  rocketchat_configs: [{api_url: 'http://r', token: t, token_id: i, channel: c}]\n"
    "  telegram_configs: [{bot_token: t, chat_id: 1}]\n"
    "  webex_configs: [{room_id: r, http_config: {authorization: {credentials: c}}}]\n"
    "  wechat_configs: [{corp_id: c, api_secret: s}]\n";

static struct integration_list prepare(void)
{
    static struct integrations *set; /* of the process */
    struct alert_config *config;
    struct error err = {0};
    if (!set) {
        ASSERT(alert_config_parse(view_from(CONFIG), "fuzz.yml", &config, &err));
        ASSERT(integrations_new(&set, config, "http://am.example", &err));
        alert_config_unref(config);
    }
    return integrations_of(set, VIEW("all"));
}

static void deliver(const struct integration *integration, const struct delivery_answer *answer)
{
    static struct view names[] = {VIEW_INIT("threadTs"), VIEW_INIT("channelId")},
                       values[] = {VIEW_INIT("17.5"), VIEW_INIT("C1")};
    const struct delivery_source source = {.group_key = VIEW("{}:{}"),
                                           .recalled = {names, values, 2}};
    struct arena arena;
    struct delivery d;
    struct error err = {0};
    arena_init(&arena, MEM_OTHER, 0);
    delivery_init(&d, &arena, integration, &source);
    enum delivery_verdict v = integration->driver->begin(&d, &err);
    for (; v == DELIVERY_MORE && d.step < DELIVERY_EXCHANGE_MAX; d.step++) {
        ASSERT(d.request.url.len > 0);
        d.request = (struct delivery_request){0};
        error_clear(&err);
        v = integration->driver->answer(&d, answer, &err);
    }
    ASSERT(v != DELIVERY_MORE); /* nobody is led on for ever */
    ASSERT(v == DELIVERY_SENT || err.message[0] != '\0');
    ASSERT(d.retry_after_ms >= 0);
    arena_deinit(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct integration_list list = prepare();
    if (len < 2)
        return 0;
    const struct delivery_answer answer = {.status = bytes[1] * 4 + 100,
                                           .body = {(const char *)bytes + 2, len - 2}};
    deliver(&list.items[bytes[0] % list.count], &answer);
    return 0;
}
