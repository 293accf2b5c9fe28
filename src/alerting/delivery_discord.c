/* SPDX-License-Identifier: Apache-2.0 */
/* delivery_discord.c: Discord's webhooks (discord.com/developers/docs/resources/webhook#execute-webhook): one embed, whose
 * limits are in characters. An answer without content (204) is what says yes. */
#include "alerting/delivery_chat.h"

enum {
    TITLE_RUNES = 256,
    DESCRIPTION_RUNES = 4096,
    CONTENT_RUNES = 2000,
    USERNAME_RUNES = 80,
    COLOR_FIRING = 0x992D22,
    COLOR_RESOLVED = 0x2ECC71
};

static enum delivery_verdict discord_begin(struct delivery *d, struct error *err)
{
    const struct discord_receiver *r = d->integration->settings;
    struct json_body j;
    struct view url;
    bool is_cut;
    if (!chat_secret_url(d, &r->webhook_url, r->webhook_url_file, &url, err))
        return DELIVERY_RETRY;
    json_body_init(&j);
    json_body_open(&j, NULL, '{');
    json_body_text(&j, "content", chat_text(d, r->content, CONTENT_RUNES));
    json_body_open(&j, "embeds", '[');
    json_body_open(&j, NULL, '{');
    json_body_text(&j, "title", chat_text(d, r->title, TITLE_RUNES));
    json_body_text(&j, "description", chat_text(d, r->message, DESCRIPTION_RUNES));
    json_body_int(&j, "color", d->firing_count ? COLOR_FIRING : COLOR_RESOLVED);
    json_body_close(&j, '}');
    json_body_close(&j, ']');
    json_body_text_unless_empty(
        &j, "username",
        delivery_cut_runes(d, chat_setting(d, r->username), USERNAME_RUNES, &is_cut));
    chat_put_setting(d, &j, "avatar_url", r->avatar_url);
    json_body_close(&j, '}');
    return chat_send(d, url, &j, err);
}

static enum delivery_verdict discord_answer(struct delivery *d, const struct delivery_answer *a,
                                            struct error *err)
{
    enum delivery_verdict v = delivery_judge(a, NULL, err);
    json_t *root = a->status == 429 ? json_read(a->body, NULL) : NULL;
    chat_retry_after(d, json_object_get(root, "retry_after"));
    json_decref(root);
    return v;
}

const struct delivery_driver delivery_discord = {
    .kind = "discord", .begin = discord_begin, .answer = discord_answer};
