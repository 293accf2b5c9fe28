/* SPDX-License-Identifier: Apache-2.0 */
/* delivery_telegram.c: sendMessage of Telegram's bots (core.telegram.org/bots/api#sendmessage). All parameters are sent as texts,
 * as Alertmanager does; the service reads them so.
 *
 * Telegram refuses a message whose markup is broken. It never comes to that in HTML, whose values are escaped and which is
 * cut with its tags closed (Alertmanager sends an apology in place of what is too long); where it does, and in Markdown,
 * whose values nobody can escape, the message is sent again as plain text. A group that became a supergroup is followed
 * to its new number.
 *
 * What a bad configuration causes (401, 403, other 400) is not tried again, unlike in Alertmanager. */
#include "alerting/delivery_chat.h"
#include "alerting/telegram_markup.h"

#include <inttypes.h>
#include <stdlib.h>

enum { MESSAGE_RUNES = 4096, MESSAGE_BYTES = 1 << 15 };

struct telegram_exchange {
    struct view url; /* holds the token */
    struct view chat_id;
    struct view text, parse_mode;
    bool was_migrated;
};

static bool read_chat_id(struct delivery *d, const struct telegram_receiver *r, struct view *out,
                         struct error *err)
{
    static const struct secret NONE;
    struct secret text;
    char *end;
    if (r->chat_id_file.len == 0) {
        *out = arena_printf(d->arena, "%" PRId64, r->chat_id);
        return true;
    }
    if (!delivery_secret(d, &NONE, r->chat_id_file, &text, err))
        return false;
    *out = arena_copy(d->arena, secret_reveal(&text));
    long long id = strtoll(out->ptr, &end, 10);
    return (out->len && id != 0 && *end == '\0' && end == out->ptr + out->len) ||
           error_set(err, ERROR_INPUT, "could not read chat_id from \"%.*s\": it is no number",
                     VIEW_ARGS(view_slice(r->chat_id_file, 0, 200)));
}

static enum delivery_verdict send(struct delivery *d, struct error *err)
{
    const struct telegram_receiver *r = d->integration->settings;
    const struct telegram_exchange *x = d->exchange;
    struct json_body j;
    json_body_init(&j);
    json_body_open(&j, NULL, '{');
    json_body_text(&j, "chat_id", x->chat_id);
    json_body_text(&j, "text", x->text);
    json_body_text(&j, "disable_web_page_preview", VIEW("true"));
    if (r->disable_notifications)
        json_body_text(&j, "disable_notification", VIEW("true"));
    json_body_text_unless_empty(&j, "parse_mode", x->parse_mode);
    if (r->message_thread_id)
        json_body_text(&j, "message_thread_id",
                       arena_printf(d->arena, "%" PRId64, r->message_thread_id));
    json_body_close(&j, '}');
    enum delivery_verdict v = chat_send(d, x->url, &j, err);
    d->request.timeout_ms = r->timeout_ms;
    return v;
}

static enum delivery_verdict telegram_begin(struct delivery *d, struct error *err)
{
    const struct telegram_receiver *r = d->integration->settings;
    struct telegram_exchange *x = ARENA_NEW(d->arena, struct telegram_exchange);
    struct secret token;
    d->exchange = x;
    if (!delivery_secret(d, &r->bot_token, r->bot_token_file, &token, err) ||
        !read_chat_id(d, r, &x->chat_id, err))
        return DELIVERY_RETRY;
    struct view secret = secret_reveal(&token);
    x->url = delivery_url(
        d, r->api_url, arena_printf(d->arena, "bot%.*s/sendMessage", VIEW_ARGS(secret)), VIEW(""));
    x->parse_mode = r->parse_mode;
    if (view_is(r->parse_mode, "HTML")) {
        x->text =
            telegram_cut_html(d->arena, delivery_html(d, r->message), MESSAGE_RUNES, MESSAGE_BYTES);
    } else {
        x->text = chat_text(d, r->message, MESSAGE_RUNES);
        if (d->has_template_error) /* the sentence is no Markdown */
            x->parse_mode = VIEW("");
    }
    return send(d, err);
}

/* Refused for its markup: what is seen of it, without any. */
static enum delivery_verdict send_plain(struct delivery *d, struct error *err)
{
    struct telegram_exchange *x = d->exchange;
    if (view_is(x->parse_mode, "HTML"))
        x->text = telegram_plain_text(d->arena, x->text);
    x->parse_mode = VIEW("");
    return send(d, err);
}

static enum delivery_verdict judge_error(struct delivery *d, const struct delivery_answer *a,
                                         const json_t *root, struct error *err)
{
    struct telegram_exchange *x = d->exchange;
    const json_t *parameters = json_object_get(root, "parameters");
    const json_t *code = json_object_get(root, "error_code");
    const json_t *migrated = json_object_get(parameters, "migrate_to_chat_id");
    struct view why = chat_member(root, "description");
    json_int_t status = json_is_integer(code) ? json_integer_value(code) : a->status;
    if (json_is_integer(migrated) && !x->was_migrated) {
        x->was_migrated = true;
        x->chat_id = arena_printf(d->arena, "%" JSON_INTEGER_FORMAT, json_integer_value(migrated));
        return send(d, err);
    }
    if (status == 400 && x->parse_mode.len &&
        memmem(why.len ? why.ptr : "", why.len, "parse entities", strlen("parse entities")))
        return send_plain(d, err);
    error_set(err, ERROR_INPUT, "telegram: %.*s (%" JSON_INTEGER_FORMAT ")",
              VIEW_ARGS(view_slice(why, 0, 300)), status);
    chat_retry_after(d, json_object_get(parameters, "retry_after"));
    return status == 429 || status >= 500 ? DELIVERY_RETRY : DELIVERY_FAILED;
}

static enum delivery_verdict telegram_answer(struct delivery *d, const struct delivery_answer *a,
                                             struct error *err)
{
    struct error no_json = {0};
    json_t *root = chat_read_object(a, "Telegram", &no_json);
    enum delivery_verdict v = DELIVERY_SENT;
    if (!root) {
        v = delivery_judge(a, NULL, err);
        if (v != DELIVERY_SENT)
            return v;
        *err = no_json; /* 200 from somebody who is not Telegram */
        return DELIVERY_RETRY;
    }
    if (!json_is_true(json_object_get(root, "ok")))
        v = judge_error(d, a, root, err);
    json_decref(root);
    return v;
}

const struct delivery_driver delivery_telegram = {
    .kind = "telegram", .begin = telegram_begin, .answer = telegram_answer};
