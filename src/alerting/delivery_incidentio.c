/* SPDX-License-Identifier: Apache-2.0 */
/* delivery_incidentio.c: incident.io's alert source for Alertmanager: the data of the notification as JSON. */
#include "alerting/delivery.h"
#include "alerting/delivery_compose.h"

enum { PAYLOAD_BYTES_MAX = 512 * 1024 }; /* incident.io's */

static bool compose(struct delivery *d, size_t left_out, struct view *body, struct error *err)
{
    struct view data;
    struct json_body j;
    if (!delivery_json_data(d, &data, err))
        return false;
    json_body_init(&j);
    buffer_append_view(&j.out, view_slice(data, 0, data.len - 1)); /* without its bracket */
    j.needs_comma = true;
    json_body_text(&j, "version", VIEW("1"));
    json_body_text(&j, "groupKey", d->group_key);
    json_body_int(&j, "truncatedAlerts", (int64_t)left_out);
    json_body_close(&j, '}');
    return json_body_take(&j, d->arena, body, err);
}

/* When all are too much the first one will do: a group is one alert there. If that is too much, too, the service is to say
 * so. */
static bool compose_fitting(struct delivery *d, struct view *body, struct error *err)
{
    const struct incidentio_receiver *r = d->integration->settings;
    size_t left_out = delivery_limit_alerts(d, r->max_alerts);
    bool is_made = compose(d, left_out, body, err);
    if (d->alert_count <= 1 ||
        (is_made ? body->len <= PAYLOAD_BYTES_MAX : err->kind != ERROR_LIMIT))
        return is_made;
    left_out += delivery_limit_alerts(d, 1);
    return compose(d, left_out, body, err);
}

static enum delivery_verdict incidentio_begin(struct delivery *d, struct error *err)
{
    const struct incidentio_receiver *r = d->integration->settings;
    struct secret url = secret_from(r->url), token = r->alert_source_token;
    struct view body;
    if (!delivery_secret(d, &url, r->url_file, &url, err)) {
        error_wrap(err, "URL");
        return delivery_not_composed(err);
    }
    if ((secret_is_set(&token) || r->alert_source_token_file.len) &&
        !delivery_secret(d, &token, r->alert_source_token_file, &token, err)) {
        error_wrap(err, "alert source token");
        return delivery_not_composed(err);
    }
    if (!compose_fitting(d, &body, err))
        return DELIVERY_FAILED;
    delivery_json(d, secret_reveal(&url), body);
    d->request.timeout_ms = r->timeout_ms;
    if (secret_is_set(&token))
        delivery_header(d, "Authorization",
                        arena_printf(d->arena, "Bearer %.*s", VIEW_ARGS(secret_reveal(&token))));
    return DELIVERY_MORE;
}

static enum delivery_verdict incidentio_answer(struct delivery *d, const struct delivery_answer *a,
                                               struct error *err)
{
    static const long RETRY[] = {429, 0};
    (void)d;
    return delivery_judge(a, RETRY, err);
}

const struct delivery_driver delivery_incidentio = {
    .kind = "incidentio", .begin = incidentio_begin, .answer = incidentio_answer};
