/* SPDX-License-Identifier: Apache-2.0 */
/* delivery_slack.c: Slack's incoming webhooks and chat.postMessage of its Web API (docs.slack.dev): one attachment.
 *
 * A webhook answers "ok" or a word for what is wrong; the Web API answers 200 and {"ok": false} with the word in "error".
 *
 * update_message: what was posted first is edited (chat.update) for as long as one of its alerts fires; its place is what is
 * remembered. A message that is gone or may not be edited any more is posted anew. Beyond Alertmanager: the message that
 * said "resolved" is not edited again, as nobody is told of an edit, and the next incident would be missed. */
#include "alerting/delivery_chat.h"

enum { TITLE_RUNES = 1024, MESSAGE_RUNES = 40000 };

struct slack_exchange {
    struct view channel; /* for errors */
    struct view url;     /* of the first post */
    struct view posted;  /* the body to post when there is nothing to update any more */
    bool is_update;
};

static void put_actions(struct delivery *d, struct json_body *j,
                        const struct slack_actions *actions)
{
    if (actions->count == 0)
        return;
    json_body_open(j, "actions", '[');
    for (size_t i = 0; i < actions->count; i++) {
        const struct slack_action *a = &actions->items[i];
        json_body_open(j, NULL, '{');
        chat_put_setting(d, j, "type", a->type);
        chat_put_text(d, j, "text", a->text);
        chat_put_setting(d, j, "url", a->url);
        chat_put_setting(d, j, "style", a->style);
        chat_put_setting(d, j, "name", a->name);
        chat_put_setting(d, j, "value", a->value);
        if (a->confirm) {
            json_body_open(j, "confirm", '{');
            chat_put_text(d, j, "text", a->confirm->text);
            chat_put_text(d, j, "title", a->confirm->title);
            chat_put_text(d, j, "ok_text", a->confirm->ok_text);
            chat_put_text(d, j, "dismiss_text", a->confirm->dismiss_text);
            json_body_close(j, '}');
        }
        json_body_close(j, '}');
    }
    json_body_close(j, ']');
}

static void put_attachment(struct delivery *d, struct json_body *j, const struct slack_receiver *r)
{
    static const char *const MARKED_UP[] = {"fallback", "pretext", "text"};
    json_body_open(j, NULL, '{');
    json_body_text_unless_empty(j, "title", chat_text(d, r->title, TITLE_RUNES));
    chat_put_setting(d, j, "title_link", r->title_link);
    chat_put_text(d, j, "pretext", r->pretext);
    json_body_text(j, "text", delivery_text(d, r->text));
    json_body_text(j, "fallback", delivery_text(d, r->fallback));
    json_body_text(j, "callback_id", chat_setting(d, r->callback_id));
    chat_put_fields(d, j, &r->fields, r->short_fields);
    put_actions(d, j, &r->actions);
    chat_put_setting(d, j, "image_url", r->image_url);
    chat_put_setting(d, j, "thumb_url", r->thumb_url);
    json_body_text(j, "footer", delivery_text(d, r->footer));
    chat_put_setting(d, j, "color", r->color);
    json_body_open(j, "mrkdwn_in", '[');
    for (size_t i = 0; i < r->mrkdwn_in.count; i++)
        json_body_text(j, NULL, r->mrkdwn_in.items[i]);
    for (size_t i = 0; i < 3 && r->mrkdwn_in.count == 0; i++)
        json_body_text(j, NULL, view_from(MARKED_UP[i]));
    json_body_close(j, ']');
    json_body_close(j, '}');
}

/* `ts`: of the message to update; empty: a new one. */
static bool compose(struct delivery *d, struct view channel, struct view ts, struct view *body,
                    struct error *err)
{
    const struct slack_receiver *r = d->integration->settings;
    struct json_body j;
    json_body_init(&j);
    json_body_open(&j, NULL, '{');
    json_body_text_unless_empty(&j, "channel", channel);
    json_body_text_unless_empty(&j, "ts", ts);
    chat_put_setting(d, &j, "username", r->username);
    chat_put_setting(d, &j, "icon_emoji", r->icon_emoji);
    chat_put_setting(d, &j, "icon_url", r->icon_url);
    if (r->link_names)
        json_body_bool(&j, "link_names", true);
    json_body_text_unless_empty(&j, "text", chat_text(d, r->message_text, MESSAGE_RUNES));
    json_body_open(&j, "attachments", '[');
    put_attachment(d, &j, r);
    json_body_close(&j, ']');
    json_body_close(&j, '}');
    return json_body_take(&j, d->arena, body, err);
}

/* The method of the Web API beside that of `url`: .../api/chat.postMessage -> .../api/chat.update */
static struct view beside(struct delivery *d, struct view url, const char *method)
{
    size_t end = url.len;
    while (end && url.ptr[end - 1] != '/')
        end--;
    return arena_printf(d->arena, "%.*s%s", (int)end, url.ptr, method);
}

static void slack_request(struct delivery *d, struct view url, struct view body)
{
    const struct slack_receiver *r = d->integration->settings;
    delivery_json(d, url, body);
    d->request.timeout_ms = r->timeout_ms;
}

static enum delivery_verdict slack_begin(struct delivery *d, struct error *err)
{
    const struct slack_receiver *r = d->integration->settings;
    struct slack_exchange *x = ARENA_NEW(d->arena, struct slack_exchange);
    struct view ts = delivery_recall(d, VIEW("threadTs")),
                id = delivery_recall(d, VIEW("channelId"));
    struct view body;
    d->exchange = x;
    if (!chat_secret_url(d, &r->api_url, r->api_url_file, &x->url, err))
        return DELIVERY_RETRY;
    x->channel = chat_setting(d, r->channel);
    x->is_update = r->update_message && ts.len && id.len;
    if (!compose(d, x->channel, VIEW(""), &x->posted, err))
        return DELIVERY_FAILED;
    if (!x->is_update) {
        slack_request(d, x->url, x->posted);
        return DELIVERY_MORE;
    }
    if (!compose(d, id, ts, &body, err))
        return DELIVERY_FAILED;
    slack_request(d, beside(d, x->url, "chat.update"), body);
    return DELIVERY_MORE;
}

/* Words of the Web API for what passes: "ratelimited" comes with 429, too. */
static bool is_passing(struct view word)
{
    static const char *const WORDS[] = {
        "ratelimited",         "rate_limited",    "internal_error",   "fatal_error",
        "service_unavailable", "request_timeout", "team_added_to_org"};
    for (size_t i = 0; i < sizeof(WORDS) / sizeof(*WORDS); i++)
        if (view_is(word, WORDS[i]))
            return true;
    return false;
}

static bool is_beyond_update(struct view word)
{
    return view_is(word, "message_not_found") || view_is(word, "cant_update_message") ||
           view_is(word, "edit_window_closed") || view_is(word, "channel_not_found");
}

static enum delivery_verdict judge_object(struct delivery *d, const json_t *root, struct error *err)
{
    const struct slack_receiver *r = d->integration->settings;
    struct slack_exchange *x = d->exchange;
    struct view word = chat_member(root, "error"), ts = chat_member(root, "ts"),
                id = chat_member(root, "channel");
    if (json_is_true(json_object_get(root, "ok"))) {
        if (r->update_message && d->firing_count && ts.len && id.len) {
            delivery_remember(d, VIEW("threadTs"), ts);
            delivery_remember(d, VIEW("channelId"), id);
        }
        return DELIVERY_SENT;
    }
    if (x->is_update && is_beyond_update(word)) {
        x->is_update = false;
        slack_request(d, x->url, x->posted);
        return DELIVERY_MORE;
    }
    error_set(err, ERROR_INPUT, "error response from Slack: %.*s",
              VIEW_ARGS(view_slice(word, 0, 200)));
    return is_passing(word) ? DELIVERY_RETRY : DELIVERY_FAILED;
}

static enum delivery_verdict judge(struct delivery *d, const struct delivery_answer *a,
                                   struct error *err)
{
    enum delivery_verdict v = delivery_judge(a, NULL, err);
    if (v != DELIVERY_SENT || view_is(a->body, "ok"))
        return v;
    if (a->body.len == 0 || a->body.ptr[0] != '{') {
        error_set(err, ERROR_INPUT, "error response from Slack: %.*s",
                  VIEW_ARGS(view_slice(a->body, 0, 200)));
        return DELIVERY_FAILED;
    }
    json_t *root = chat_read_object(a, "Slack", err);
    if (!root)
        return DELIVERY_RETRY;
    v = judge_object(d, root, err);
    json_decref(root);
    return v;
}

static enum delivery_verdict slack_answer(struct delivery *d, const struct delivery_answer *a,
                                          struct error *err)
{
    const struct slack_exchange *x = d->exchange;
    enum delivery_verdict v = judge(d, a, err);
    if (v == DELIVERY_RETRY || v == DELIVERY_FAILED)
        error_wrap(err, "channel \"%.*s\"", VIEW_ARGS(view_slice(x->channel, 0, 100)));
    return v;
}

const struct delivery_driver delivery_slack = {
    .kind = "slack", .begin = slack_begin, .answer = slack_answer};
