/* SPDX-License-Identifier: Apache-2.0 */
/* receiver_answer_fuzz.c: whatever a receiver answers, its driver ends the exchange: with the next request, or an end. The
 * first byte chooses the integration and whether the alert fires; answers follow, ended by 0xFF, each begun by a byte that
 * chooses the status. */
#include "alerting/sender.h"
#include "base/assert.h"
#include "base/attributes.h"

#include <stdint.h>
#include <stdlib.h>

static const char CONFIG[] =
    "route: {receiver: team}\n"
    "receivers:\n"
    "- name: team\n"
    "  jira_configs:\n"
    "  - {api_url: 'http://j/rest/api/2', project: P, issue_type: T, reopen_transition: R,"
    "     resolve_transition: C, reopen_duration: 1h}\n"
    "  - {api_url: 'http://j/rest/api/3', project: P, issue_type: T}\n"
    "  sns_configs:\n"
    "  - {topic_arn: 'arn:aws:sns:r:1:t', sigv4: {access_key: a, secret_key: s, role_arn: r}}\n"
    "  - {topic_arn: 'arn:aws:sns:r:1:t', sigv4: {}}\n"
    "  opsgenie_configs: [{api_key: k, update_alerts: true}]\n"
    "  pagerduty_configs: [{routing_key: k}, {service_key: k}]\n"
    "  pushover_configs: [{token: t, user_key: u}]\n"
    "  victorops_configs: [{api_key: k, routing_key: r}]\n"
    "  incidentio_configs: [{url: 'http://i', alert_source_token: t}]\n";

static struct integration_list integrations(void)
{
    static struct integrations *set;
    struct error err;
    struct alert_config *config;
    if (!set) {
        setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent", 1);
        setenv("AWS_CONFIG_FILE", "/nonexistent", 1);
        bool ok = alert_config_parse(VIEW(CONFIG), "fuzz.yml", &config, &err) &&
                  integrations_new(&set, config, "http://am", &err);
        ASSERT(ok);
    }
    return integrations_of(set, VIEW("team"));
}

/* Takes an answer off *rest. */
static struct delivery_answer next_answer(struct view *rest)
{
    static const long STATUS[] = {200, 201, 204, 302, 400, 401, 403, 404, 429, 500, 503, 0, 999};
    struct delivery_answer a = {.status = 200};
    if (rest->len == 0)
        return a;
    a.status = STATUS[(unsigned char)rest->ptr[0] % ARRAY_COUNT(STATUS)];
    a.is_cut = rest->ptr[0] & 0x40;
    *rest = view_slice(*rest, 1, rest->len);
    const char *end = rest->len ? memchr(rest->ptr, 0xFF, rest->len) : NULL;
    a.body = view_slice(*rest, 0, end ? (size_t)(end - rest->ptr) : rest->len);
    *rest = view_slice(*rest, a.body.len + 1, rest->len);
    return a;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct integration_list list = integrations();
    struct view rest = {(const char *)data, size};
    unsigned char first = size ? data[0] : 0;
    struct label label = {VIEW("alertname"), VIEW("Down")};
    struct live_alert alert = {
        .labels = {&label, 1}, .starts_ns = 1, .ends_ns = first & 0x80 ? 2 : LIVE_ALERT_NEVER};
    struct live_alert *alerts[] = {&alert};
    struct delivery_source source = {.alerts = alerts,
                                     .alert_count = 1,
                                     .group_labels = alert.labels,
                                     .group_key = VIEW("{}:{}"),
                                     .now_ns = 3};
    const struct integration *integration = &list.items[(first & 0x3F) % list.count];
    struct error err = {0};
    struct arena arena;
    struct delivery d;
    arena_init(&arena, MEM_OTHER, 0);
    delivery_init(&d, &arena, integration, &source);
    rest = view_slice(rest, 1, rest.len);
    enum delivery_verdict verdict = integration->driver->begin(&d, &err);
    for (unsigned i = 0; verdict == DELIVERY_MORE && i < DELIVERY_EXCHANGE_MAX; i++) {
        struct delivery_answer a = next_answer(&rest);
        ASSERT(d.request.url.len > 0);
        d.request = (struct delivery_request){0};
        d.step++;
        verdict = integration->driver->answer(&d, &a, &err);
    }
    ASSERT(verdict == DELIVERY_SENT || verdict == DELIVERY_MORE || err.message[0] != '\0');
    arena_deinit(&arena);
    return 0;
}
