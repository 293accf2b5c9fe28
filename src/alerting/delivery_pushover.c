/* SPDX-License-Identifier: Apache-2.0 */
/* delivery_pushover.c: Pushover's message API. What Alertmanager puts into the URL goes into a form: proxies and servers log
 * URLs, and token and user key are secrets. */
#include "alerting/delivery.h"
#include "alerting/delivery_compose.h"

#include <inttypes.h>

enum { /* Pushover's */
       TITLE_RUNES_MAX = 250,
       MESSAGE_RUNES_MAX = 1024,
       URL_RUNES_MAX = 512,
       URL_TITLE_RUNES_MAX = 100,
};

static const char MESSAGES[] = "https://api.pushover.net/1/messages.json";

static void add_cut(struct delivery *d, struct buffer *b, const char *name, struct view text,
                    size_t runes_max)
{
    bool is_cut;
    delivery_form_add(b, name, delivery_cut_runes(d, text, runes_max, &is_cut));
}

static void add_seconds(struct delivery *d, struct buffer *b, const char *name, int64_t ms)
{
    delivery_form_add(b, name, arena_printf(d->arena, "%" PRId64, ms / 1000));
}

/* A key may be a template. */
static bool add_key(struct delivery *d, struct buffer *b, const char *name,
                    const struct secret *inline_key, struct view file, struct error *err)
{
    struct view text;
    if (!delivery_secret_text(d, inline_key, file, &text, err))
        return error_wrap(err, "%s", name);
    delivery_form_add(b, name, text);
    return true;
}

/* Pushover refuses an empty one. */
static struct view message_of(struct delivery *d, const struct pushover_receiver *r)
{
    bool is_cut;
    struct view text = r->html ? delivery_html(d, r->message) : delivery_text(d, r->message);
    text = delivery_trim(delivery_cut_runes(d, text, MESSAGE_RUNES_MAX, &is_cut));
    return text.len ? text : VIEW("(no details)");
}

static bool compose(struct delivery *d, struct buffer *b, struct error *err)
{
    const struct pushover_receiver *r = d->integration->settings;
    if (!add_key(d, b, "token", &r->token, r->token_file, err) ||
        !add_key(d, b, "user", &r->user_key, r->user_key_file, err))
        return false;
    add_cut(d, b, "title", delivery_text(d, r->title), TITLE_RUNES_MAX);
    if (r->html)
        delivery_form_add(b, "html", VIEW("1"));
    if (r->monospace)
        delivery_form_add(b, "monospace", VIEW("1"));
    delivery_form_add(b, "message", message_of(d, r));
    add_cut(d, b, "url", delivery_text_or(d, r->url, VIEW("")), URL_RUNES_MAX);
    add_cut(d, b, "url_title", delivery_text(d, r->url_title), URL_TITLE_RUNES_MAX);
    delivery_form_add(b, "priority", delivery_text_or(d, r->priority, VIEW("1")));
    add_seconds(d, b, "retry", r->retry_ms);
    add_seconds(d, b, "expire", r->expire_ms);
    delivery_form_add(b, "device", delivery_text_or(d, r->device, VIEW("")));
    delivery_form_add(b, "sound", delivery_text_or(d, r->sound, VIEW("")));
    if (r->ttl_ms >= 1000)
        add_seconds(d, b, "ttl", r->ttl_ms);
    return true;
}

static enum delivery_verdict pushover_begin(struct delivery *d, struct error *err)
{
    struct buffer b;
    delivery_form_init(&b);
    if (!compose(d, &b, err)) {
        buffer_deinit(&b);
        return delivery_not_composed(err);
    }
    if (!delivery_form_take(d, &b, &d->request.body, err))
        return DELIVERY_FAILED;
    d->request.url = view_from(MESSAGES);
    delivery_header(d, "Content-Type", VIEW("application/x-www-form-urlencoded"));
    return DELIVERY_MORE;
}

static enum delivery_verdict pushover_answer(struct delivery *d, const struct delivery_answer *a,
                                             struct error *err)
{
    (void)d;
    return delivery_judge(a, NULL, err);
}

const struct delivery_driver delivery_pushover = {
    .kind = "pushover", .begin = pushover_begin, .answer = pushover_answer};
