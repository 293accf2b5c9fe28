/* SPDX-License-Identifier: Apache-2.0 */
/* delivery_rocketchat.c: Rocket.Chat's chat.postMessage (developer.rocket.chat/apidocs/post-message), with the token of a user.
 * An answer of 200 may say "success": false. */
#include "alerting/delivery_chat.h"

enum { TITLE_RUNES = 1024 };

struct rocketchat_exchange {
    struct view channel;
};

/* Buttons: the service has no other actions. */
static void put_actions(struct delivery *d, struct json_body *j,
                        const struct rocketchat_actions *actions)
{
    if (actions->count == 0)
        return;
    json_body_open(j, "actions", '[');
    for (size_t i = 0; i < actions->count; i++) {
        const struct rocketchat_action *a = &actions->items[i];
        json_body_open(j, NULL, '{');
        json_body_text(j, "type", VIEW("button"));
        chat_put_text(d, j, "text", a->text);
        chat_put_setting(d, j, "url", a->url);
        chat_put_setting(d, j, "image_url", a->image_url);
        json_body_bool(j, "is_webview", a->is_webview);
        chat_put_setting(d, j, "webview_height_ratio", a->webview_height_ratio);
        chat_put_text(d, j, "msg", a->msg);
        json_body_bool(j, "msg_in_chat_window", a->msg_in_chat_window);
        chat_put_setting(d, j, "msg_processing_type", a->msg_processing_type);
        json_body_close(j, '}');
    }
    json_body_close(j, ']');
}

static bool put_token(struct delivery *d, const char *header, const struct secret *token,
                      struct view file, struct error *err)
{
    struct secret found;
    if (!delivery_secret(d, token, file, &found, err))
        return false;
    delivery_header(d, header, secret_reveal(&found));
    return true;
}

static enum delivery_verdict rocketchat_begin(struct delivery *d, struct error *err)
{
    const struct rocketchat_receiver *r = d->integration->settings;
    struct rocketchat_exchange *x = ARENA_NEW(d->arena, struct rocketchat_exchange);
    struct json_body j;
    d->exchange = x;
    if (!delivery_text_strict(d, r->channel, &x->channel, err)) {
        error_wrap(err, "channel");
        return DELIVERY_FAILED;
    }
    json_body_init(&j);
    json_body_open(&j, NULL, '{');
    json_body_text_unless_empty(&j, "channel", x->channel);
    chat_put_setting(d, &j, "emoji", r->emoji);
    chat_put_setting(d, &j, "avatar", r->icon_url);
    json_body_open(&j, "attachments", '[');
    json_body_open(&j, NULL, '{');
    json_body_text_unless_empty(&j, "title", chat_text(d, r->title, TITLE_RUNES));
    chat_put_setting(d, &j, "title_link", r->title_link);
    chat_put_text(d, &j, "text", r->text);
    chat_put_setting(d, &j, "image_url", r->image_url);
    chat_put_setting(d, &j, "thumb_url", r->thumb_url);
    chat_put_setting(d, &j, "color", r->color);
    chat_put_fields(d, &j, &r->fields, r->short_fields);
    put_actions(d, &j, &r->actions);
    json_body_close(&j, '}');
    json_body_close(&j, ']');
    json_body_close(&j, '}');
    enum delivery_verdict v = chat_send(
        d, delivery_url(d, r->api_url, VIEW("api/v1/chat.postMessage"), VIEW("")), &j, err);
    if (v == DELIVERY_MORE && (!put_token(d, "X-Auth-Token", &r->token, r->token_file, err) ||
                               !put_token(d, "X-User-Id", &r->token_id, r->token_id_file, err)))
        return DELIVERY_RETRY;
    return v;
}

static enum delivery_verdict judge(const struct delivery_answer *a, struct error *err)
{
    enum delivery_verdict v = delivery_judge(a, NULL, err);
    if (v != DELIVERY_SENT)
        return v;
    json_t *root = chat_read_object(a, "Rocket.Chat", err);
    if (!root)
        return DELIVERY_RETRY;
    if (!json_is_true(json_object_get(root, "success"))) {
        error_set(err, ERROR_INPUT, "error response from Rocket.Chat: %.*s",
                  VIEW_ARGS(view_slice(chat_member(root, "error"), 0, 300)));
        v = DELIVERY_FAILED;
    }
    json_decref(root);
    return v;
}

static enum delivery_verdict rocketchat_answer(struct delivery *d, const struct delivery_answer *a,
                                               struct error *err)
{
    const struct rocketchat_exchange *x = d->exchange;
    enum delivery_verdict v = judge(a, err);
    if (v != DELIVERY_SENT)
        error_wrap(err, "channel \"%.*s\"", VIEW_ARGS(view_slice(x->channel, 0, 100)));
    return v;
}

const struct delivery_driver delivery_rocketchat = {
    .kind = "rocketchat", .begin = rocketchat_begin, .answer = rocketchat_answer};
