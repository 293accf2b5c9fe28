/* SPDX-License-Identifier: Apache-2.0 */
/* delivery_webex.c: a message in a Webex room (developer.webex.com/docs/api/v1/messages/create-a-message). The bot's token is
 * the authorization of http_config. */
#include "alerting/delivery_chat.h"

enum { MARKDOWN_BYTES = 7439 };

static enum delivery_verdict webex_begin(struct delivery *d, struct error *err)
{
    const struct webex_receiver *r = d->integration->settings;
    struct json_body j;
    struct view room;
    bool is_cut;
    if (!delivery_text_strict(d, r->room_id, &room, err)) {
        error_wrap(err, "room_id");
        return DELIVERY_FAILED;
    }
    json_body_init(&j);
    json_body_open(&j, NULL, '{');
    json_body_text(&j, "markdown",
                   delivery_cut_bytes(d, delivery_text(d, r->message), MARKDOWN_BYTES, &is_cut));
    json_body_text_unless_empty(&j, "roomId", room);
    json_body_close(&j, '}');
    return chat_send(d, r->api_url, &j, err);
}

static enum delivery_verdict webex_answer(struct delivery *d, const struct delivery_answer *a,
                                          struct error *err)
{
    static const long RETRY[] = {423, 0}; /* locked: comes with Retry-After, as 429 does */
    (void)d;
    return delivery_judge(a, RETRY, err);
}

const struct delivery_driver delivery_webex = {
    .kind = "webex", .begin = webex_begin, .answer = webex_answer};
