/* SPDX-License-Identifier: Apache-2.0 */
/* delivery_victorops.c: the REST endpoint of VictorOps, which is Splunk On-Call now. Key and routing key are in the URL. */
#include "alerting/delivery.h"
#include "alerting/delivery_compose.h"

#include "net/http_client.h"

enum { STATE_MESSAGE_RUNES_MAX = 20480 }; /* VictorOps' */

/* What is no type of a firing alert is CRITICAL. */
static struct view message_type_of(struct delivery *d)
{
    static const char *const FIRING[] = {"INFO", "WARNING", "CRITICAL"};
    const struct victorops_receiver *r = d->integration->settings;
    if (d->firing_count == 0)
        return VIEW("RECOVERY");
    struct view type = delivery_text_or(d, r->message_type, VIEW("CRITICAL"));
    for (size_t i = 0; i < ARRAY_COUNT(FIRING); i++) {
        if (view_is(type, FIRING[i]))
            return type;
    }
    return VIEW("CRITICAL");
}

static bool compose(struct delivery *d, struct view *body, struct error *err)
{
    const struct victorops_receiver *r = d->integration->settings;
    bool is_cut;
    struct json_body j;
    json_body_init(&j);
    json_body_open(&j, NULL, '{');
    json_body_text(&j, "message_type", message_type_of(d));
    json_body_text(&j, "entity_id", delivery_key_hash(d));
    json_body_text(&j, "entity_display_name", delivery_text(d, r->entity_display_name));
    json_body_text(&j, "state_message",
                   delivery_cut_runes(d, delivery_text(d, r->state_message),
                                      STATE_MESSAGE_RUNES_MAX, &is_cut));
    json_body_text(&j, "monitoring_tool", delivery_text(d, r->monitoring_tool));
    for (size_t i = 0; i < r->custom_fields.count; i++) {
        json_body_named_text(&j, r->custom_fields.items[i].name,
                             delivery_text(d, r->custom_fields.items[i].value));
    }
    json_body_close(&j, '}');
    return json_body_take(&j, d->arena, body, err);
}

/* URL/KEY/ROUTING_KEY, the routing key as one part of a path, whatever is in it. */
static bool url_of(struct delivery *d, struct view *out, struct error *err)
{
    const struct victorops_receiver *r = d->integration->settings;
    struct secret key;
    struct view routing_key, path;
    struct buffer b;
    if (!delivery_secret(d, &r->api_key, r->api_key_file, &key, err))
        return error_wrap(err, "API key");
    if (!delivery_text_strict(d, r->routing_key, &routing_key, err))
        return error_wrap(err, "routing key");
    delivery_form_init(&b);
    http_escape(&b, secret_reveal(&key));
    buffer_append_byte(&b, '/');
    http_escape(&b, routing_key);
    if (!delivery_form_take(d, &b, &path, err))
        return false;
    *out = delivery_url(d, r->api_url, path, (struct view){NULL, 0});
    return true;
}

static enum delivery_verdict victorops_begin(struct delivery *d, struct error *err)
{
    struct view url, body;
    if (!url_of(d, &url, err) || !compose(d, &body, err))
        return delivery_not_composed(err);
    delivery_json(d, url, body);
    return DELIVERY_MORE;
}

static enum delivery_verdict victorops_answer(struct delivery *d, const struct delivery_answer *a,
                                              struct error *err)
{
    (void)d;
    return delivery_judge(a, NULL, err);
}

const struct delivery_driver delivery_victorops = {
    .kind = "victorops", .begin = victorops_begin, .answer = victorops_answer};
