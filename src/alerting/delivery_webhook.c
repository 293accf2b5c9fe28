/* SPDX-License-Identifier: Apache-2.0 */
/* delivery_webhook.c: webhook_configs: Alertmanager's JSON of a notification, version "4", or one of the user's own. */
#include "alerting/delivery.h"
#include "alerting/delivery_compose.h"

#include "base/json_write.h"

#include <inttypes.h>
#include <string.h>

/* Does the text of an alert have a say in where the URL leads? */
static bool host_is_templated(struct view url)
{
    const char *action = memmem(url.ptr, url.len, "{{", 2);
    const char *host = memmem(url.ptr, url.len, "://", 3), *end = url.ptr + url.len;
    if (!action || !host)
        return action != NULL;
    for (host += 3; host < end && *host != '/' && *host != '?' && *host != '#'; host++)
        ;
    return action < host;
}

static bool compose_url(struct delivery *d, const struct webhook_receiver *r, struct error *err)
{
    struct secret url;
    if (!delivery_secret(d, &r->url, r->url_file, &url, err))
        return error_wrap(err, "could not read url_file");
    struct view template = secret_reveal(&url);
    if (!delivery_text_strict(d, template, &d->request.url, err))
        return error_wrap(err, "failed to template webhook URL");
    if (d->request.url.len == 0)
        return error_set(err, ERROR_EXECUTION, "webhook URL is empty after templating");
    d->request.host_is_templated = host_is_templated(template);
    return true;
}

/* A group too large to be told of whole is told of as far as it goes: a notification without its last alerts is better
 * than none. */
static bool compose_message(struct delivery *d, size_t truncated, struct buffer *out,
                            struct error *err)
{
    struct view data;
    while (!delivery_json_data(d, &data, err)) {
        if (err->kind != ERROR_LIMIT || d->alert_count < 2)
            return false;
        truncated += delivery_limit_alerts(d, d->alert_count / 2);
    }
    buffer_append_view(out, view_slice(data, 0, data.len - 1)); /* without its brace */
    buffer_append_literal(out, ",\"version\":\"4\",\"groupKey\":");
    json_string(out, d->group_key);
    buffer_printf(out, ",\"truncatedAlerts\":%zu}\n", truncated);
    return !out->failed || error_set(err, ERROR_LIMIT, "the notification is too large");
}

static enum delivery_verdict webhook_begin(struct delivery *d, struct error *err)
{
    const struct webhook_receiver *r = d->integration->settings;
    size_t truncated = delivery_limit_alerts(d, r->max_alerts);
    struct buffer body;
    buffer_init(&body, MEM_OTHER, DELIVERY_REQUEST_BYTES_MAX + (1 << 20));
    bool ok = compose_url(d, r, err);
    if (ok && r->payload) {
        ok = delivery_json_node(d, r->payload, &body, err) ||
             error_wrap(err, "failed to template webhook payload");
        buffer_append_byte(&body, '\n');
    } else if (ok) {
        ok = compose_message(d, truncated, &body, err);
    }
    if (ok) {
        delivery_json(d, d->request.url, arena_copy(d->arena, buffer_view(&body)));
        d->request.timeout_ms = r->timeout_ms;
    }
    buffer_deinit(&body);
    return ok ? DELIVERY_MORE : delivery_not_composed(err);
}

static enum delivery_verdict webhook_answer(struct delivery *d, const struct delivery_answer *a,
                                            struct error *err)
{
    return delivery_judge(a, NULL, err);
}

const struct delivery_driver delivery_webhook = {
    .kind = "webhook", .begin = webhook_begin, .answer = webhook_answer};
