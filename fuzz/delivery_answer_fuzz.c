/* SPDX-License-Identifier: Apache-2.0 */
/* delivery_answer_fuzz.c: whatever alerts say and receivers answer, a delivery ends, with a sentence where it fails, and shows no
 * secret.
 *
 *   kind u8 | alert: len u8, text | answers: status u16, headers len u8, body len u16, headers, body */
#include "alerting/delivery.h"
#include "alerting/live_alert.h"
#include "alerting/sender.h"
#include "base/assert.h"
#include "base/reader.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

#define SECRET "S3CRET"

static const char *const RECEIVERS[] = {
    "webhook_configs: [{url: 'http://h/{{ .CommonLabels.a }}?" SECRET "'}]",
    "webhook_configs: [{url: 'http://h/" SECRET "', payload: {x: '{{ .CommonLabels.a }}', '{{ "
    ".CommonLabels.a }}': [1]}}]",
    "email_configs: [{to: '{{ .CommonLabels.a }}', from: a@x, smarthost: 'm:25', auth_username: u, "
    "auth_password: " SECRET "}]",
    "email_configs: [{to: a@x, from: a@x, smarthost: 'm:25', text: '{{ .CommonLabels.a }}', "
    "headers: {X-A: '{{ .CommonLabels.a }}'}, threading: {enabled: true, thread_by_date: none}}]",
    "pagerduty_configs: [{routing_key: " SECRET "}]",
    "pagerduty_configs: [{service_key: " SECRET "}]",
    "opsgenie_configs: [{api_key: " SECRET ", update_alerts: true}]",
    "wechat_configs: [{api_secret: " SECRET ", corp_id: c}]",
    "slack_configs: [{api_url: 'http://h/" SECRET "', channel: c}]",
    "slack_configs: [{api_url: 'https://slack.com/api/chat.postMessage', http_config: "
    "{bearer_token: " SECRET "}, channel: c, update_message: true}]",
    "victorops_configs: [{api_key: " SECRET ", routing_key: r}]",
    "pushover_configs: [{user_key: " SECRET ", token: " SECRET "}]",
    "sns_configs: [{topic_arn: 'arn:aws:sns:us-east-2:1:t', sigv4: {access_key: k, "
    "secret_key: " SECRET ", region: us-east-2}}]",
    "sns_configs: [{topic_arn: 'arn:aws:sns:us-east-2:1:t', sigv4: {access_key: k, "
    "secret_key: " SECRET ", region: us-east-2, role_arn: 'arn:aws:iam::1:role/r'}}]",
    "telegram_configs: [{bot_token: " SECRET ", chat_id: 1}]",
    "discord_configs: [{webhook_url: 'http://h/" SECRET "'}]",
    "webex_configs: [{room_id: r, http_config: {authorization: {credentials: " SECRET "}}}]",
    "msteams_configs: [{webhook_url: 'http://h/" SECRET "'}]",
    "msteamsv2_configs: [{webhook_url: 'http://h/" SECRET "'}]",
    "jira_configs: [{api_url: 'http://h/', project: p, issue_type: t, reopen_transition: r, "
    "resolve_transition: d}]",
    "incidentio_configs: [{url: 'http://h/', alert_source_token: " SECRET "}]",
    "rocketchat_configs: [{token_id: " SECRET ", token: " SECRET "}]",
    "mattermost_configs: [{webhook_url: 'http://h/" SECRET "'}]",
};
enum { RECEIVER_COUNT = sizeof RECEIVERS / sizeof *RECEIVERS };

static struct integration_list lists[RECEIVER_COUNT];

/* Once; the configurations live as long as the process. */
static void load(void)
{
    static struct integrations *sets[RECEIVER_COUNT];
    for (size_t i = 0; i < RECEIVER_COUNT; i++) {
        char text[600];
        struct alert_config *c;
        struct error err;
        (void)snprintf(text, sizeof text, "route: {receiver: r}\nreceivers:\n- name: r\n  %s\n",
                       RECEIVERS[i]);
        if (!alert_config_parse(view_from(text), "fuzz.yml", &c, &err) ||
            !integrations_new(&sets[i], c, "http://am", &err)) {
            fprintf(stderr, "%s: %s\n", RECEIVERS[i], err.message);
            ASSERT(false);
        }
        alert_config_unref(c);
        lists[i] = integrations_of(sets[i], VIEW("r"));
        ASSERT(lists[i].count == 1);
    }
}

static void check(enum delivery_verdict verdict, const struct delivery *d, const struct error *err,
                  bool may_echo)
{
    if (verdict == DELIVERY_MORE)
        ASSERT(d->request.mail ? d->request.body.len > 0 : d->request.url.len > 0);
    else if (verdict != DELIVERY_SENT)
        ASSERT(err->message[0] != '\0');
    ASSERT(may_echo || !strstr(err->message, SECRET));
}

static void exchange(struct delivery *d, struct reader *r, bool may_echo)
{
    const struct delivery_driver *driver = d->integration->driver;
    struct error err = {0};
    enum delivery_verdict verdict = driver->begin(d, &err);
    check(verdict, d, &err, may_echo);
    for (int i = 0; verdict == DELIVERY_MORE && i < DELIVERY_EXCHANGE_MAX; i++) {
        long status = reader_u16(r) % 1000;
        size_t header_len = reader_u8(r), body_len = reader_u16(r);
        const struct delivery_answer a = {
            .status = status,
            .headers = reader_bytes(r, header_len),
            .body = reader_bytes(r, body_len),
            .is_cut = body_len & 1,
        };
        if (r->failed)
            return;
        d->step++;
        d->request = (struct delivery_request){0};
        error_clear(&err);
        verdict = driver->answer(d, &a, &err);
        check(verdict, d, &err, may_echo);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct view input = {(const char *)bytes, len};
    if (!lists[0].items)
        load();
    struct reader r = reader_from(input);
    struct integration_list list = lists[reader_u8(&r) % RECEIVER_COUNT];
    struct view text = reader_bytes(&r, reader_u8(&r));
    if (r.failed)
        return 0;
    const struct label labels[] = {{VIEW("a"), text.len ? text : VIEW("x")}};
    const struct label annotations[] = {{text.len ? text : VIEW("x"), VIEW("y")}};
    const struct live_alert from = {.labels = {labels, 1},
                                    .annotations = {annotations, 1},
                                    .starts_ns = 1,
                                    .ends_ns = len & 1 ? 2 : LIVE_ALERT_NEVER,
                                    .generator_url = text};
    struct live_alert *alert = live_alert_new(&from);
    struct arena arena;
    struct delivery d;
    arena_init(&arena, MEM_OTHER, 0);
    static struct view names[] = {VIEW_INIT("threadTs"), VIEW_INIT("channelId")},
                       values[] = {VIEW_INIT("17.5"), VIEW_INIT("C1")};
    const struct delivery_source source = {.recalled = {names, values, 2},
                                           .alerts = &alert,
                                           .alert_count = 1,
                                           .group_labels = {labels, 1},
                                           .group_key = text,
                                           .now_ns = 1700000000000000000};
    delivery_init(&d, &arena, &list.items[0], &source);
    exchange(&d, &r, memmem(bytes, len, "S3C", 3) != NULL);
    arena_deinit(&arena);
    live_alert_unref(alert);
    return 0;
}
