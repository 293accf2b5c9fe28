/* SPDX-License-Identifier: Apache-2.0 */
/* delivery_mattermost.c: Mattermost's incoming webhooks (developers.mattermost.com/integrate/webhooks/incoming). What the
 * receiver says itself is one attachment; where `attachments` are configured, they are sent and its text stands above them. */
#include "alerting/delivery_chat.h"

enum { TEXT_RUNES = 16383 };

struct mattermost_exchange {
    struct view channel; /* for errors */
};

static void put_attachment(struct delivery *d, struct json_body *j,
                           const struct mattermost_attachment *m)
{
    json_body_open(j, NULL, '{');
    chat_put_text(d, j, "fallback", m->fallback);
    chat_put_setting(d, j, "color", m->color);
    chat_put_text(d, j, "pretext", m->pretext);
    json_body_text_unless_empty(j, "text", chat_text(d, m->text, TEXT_RUNES));
    chat_put_text(d, j, "author_name", m->author_name);
    chat_put_setting(d, j, "author_link", m->author_link);
    chat_put_setting(d, j, "author_icon", m->author_icon);
    chat_put_text(d, j, "title", m->title);
    chat_put_setting(d, j, "title_link", m->title_link);
    chat_put_fields(d, j, &m->fields, -1);
    chat_put_setting(d, j, "thumb_url", m->thumb_url);
    chat_put_text(d, j, "footer", m->footer);
    chat_put_setting(d, j, "footer_icon", m->footer_icon);
    chat_put_setting(d, j, "image_url", m->image_url);
    json_body_close(j, '}');
}

/* What Mattermost would refuse is lowered to what it takes: acknowledgements are for important and urgent posts, persistent
 * notifications for urgent ones. */
static void put_priority(struct delivery *d, struct json_body *j,
                         const struct mattermost_priority *p)
{
    static const char *const PRIORITIES[] = {"standard", "important", "urgent"};
    struct view text = chat_setting(d, p->priority);
    size_t level = 0;
    for (size_t i = 0; i < 3; i++)
        if (view_is_any_case(text, PRIORITIES[i]))
            level = i;
    json_body_open(j, "priority", '{');
    json_body_text(j, "priority", view_from(PRIORITIES[level]));
    if (p->requested_ack && level >= 1)
        json_body_bool(j, "requested_ack", true);
    if (p->persistent_notifications && level == 2)
        json_body_bool(j, "persistent_notifications", true);
    json_body_close(j, '}');
}

static enum delivery_verdict mattermost_begin(struct delivery *d, struct error *err)
{
    const struct mattermost_receiver *r = d->integration->settings;
    struct mattermost_exchange *x = ARENA_NEW(d->arena, struct mattermost_exchange);
    struct json_body j;
    struct view url;
    d->exchange = x;
    if (!chat_secret_url(d, &r->webhook_url, r->webhook_url_file, &url, err))
        return DELIVERY_RETRY;
    x->channel = chat_setting(d, r->channel);
    json_body_init(&j);
    json_body_open(&j, NULL, '{');
    if (r->attachments.count)
        json_body_text_unless_empty(&j, "text", chat_text(d, r->message.text, TEXT_RUNES));
    json_body_text_unless_empty(&j, "channel", x->channel);
    chat_put_setting(d, &j, "username", r->username);
    chat_put_setting(d, &j, "icon_url", r->icon_url);
    chat_put_setting(d, &j, "icon_emoji", r->icon_emoji);
    json_body_open(&j, "attachments", '[');
    if (r->attachments.count == 0)
        put_attachment(d, &j, &r->message);
    for (size_t i = 0; i < r->attachments.count; i++)
        put_attachment(d, &j, &r->attachments.items[i]);
    json_body_close(&j, ']');
    chat_put_setting(d, &j, "type", r->type);
    if (r->props && r->props->card.len) {
        json_body_open(&j, "props", '{');
        chat_put_text(d, &j, "card", r->props->card);
        json_body_close(&j, '}');
    }
    if (r->priority && r->priority->priority.len)
        put_priority(d, &j, r->priority);
    json_body_close(&j, '}');
    return chat_send(d, url, &j, err);
}

static enum delivery_verdict mattermost_answer(struct delivery *d, const struct delivery_answer *a,
                                               struct error *err)
{
    const struct mattermost_exchange *x = d->exchange;
    enum delivery_verdict v = delivery_judge(a, NULL, err);
    if (v != DELIVERY_SENT)
        error_wrap(err, "channel \"%.*s\"", VIEW_ARGS(view_slice(x->channel, 0, 100)));
    return v;
}

const struct delivery_driver delivery_mattermost = {
    .kind = "mattermost", .begin = mattermost_begin, .answer = mattermost_answer};
