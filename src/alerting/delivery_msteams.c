/* SPDX-License-Identifier: Apache-2.0 */
/* delivery_msteams.c: Microsoft Teams: the cards of its old connectors (msteams) and the adaptive cards of workflows (msteamsv2).
 *
 * Both take 28 KB, of which encoding Teams itself is not of one mind: a message that is refused as too large (413) is sent
 * again at half the size. A connector says 200 for everything and "1" for yes; what Teams said to it is in the text. */
#include "alerting/delivery_chat.h"

enum {
    MESSAGE_BYTES = 28000, /* learn.microsoft.com: "message size limit 28 KB" */
    MESSAGE_BYTES_MIN = 1500,
    SHORT_BYTES = 256, /* three such texts are no reason to refuse a card; chosen */
    GUESSES_MAX = 16
};

struct msteams_exchange {
    struct view url;
    struct view title, summary, text;
    size_t bytes_max;
};

typedef void (*put_message_fn)(struct json_body *j, const struct delivery *d,
                               const struct msteams_exchange *x);

static void put_connector_card(struct json_body *j, const struct delivery *d,
                               const struct msteams_exchange *x)
{
    json_body_open(j, NULL, '{');
    json_body_text(j, "@context", VIEW("http://schema.org/extensions"));
    json_body_text(j, "type", VIEW("MessageCard"));
    json_body_text(j, "title", x->title);
    json_body_text(j, "summary", x->summary);
    json_body_text(j, "text", x->text);
    json_body_text(j, "themeColor", d->firing_count ? VIEW("8C1A1A") : VIEW("2DC72D"));
    json_body_close(j, '}');
}

static void put_adaptive_card(struct json_body *j, const struct delivery *d,
                              const struct msteams_exchange *x)
{
    json_body_open(j, NULL, '{');
    json_body_text(j, "type", VIEW("message"));
    json_body_open(j, "attachments", '[');
    json_body_open(j, NULL, '{');
    json_body_text(j, "contentType", VIEW("application/vnd.microsoft.card.adaptive"));
    json_body_null(j, "contentUrl");
    json_body_open(j, "content", '{');
    json_body_text(j, "$schema", VIEW("http://adaptivecards.io/schemas/adaptive-card.json"));
    json_body_text(j, "type", VIEW("AdaptiveCard"));
    json_body_text(j, "version", VIEW("1.2"));
    json_body_open(j, "body", '[');
    json_body_open(j, NULL, '{');
    json_body_text(j, "type", VIEW("TextBlock"));
    json_body_text(j, "text", x->title);
    json_body_text(j, "weight", VIEW("Bolder"));
    json_body_text(j, "size", VIEW("Medium"));
    json_body_bool(j, "wrap", true);
    json_body_text(j, "style", VIEW("heading"));
    json_body_text(j, "color", d->firing_count ? VIEW("Attention") : VIEW("Good"));
    json_body_close(j, '}');
    json_body_open(j, NULL, '{');
    json_body_text(j, "type", VIEW("TextBlock"));
    json_body_text(j, "text", x->text);
    json_body_bool(j, "wrap", true);
    json_body_close(j, '}');
    json_body_close(j, ']');
    json_body_open(j, "msteams", '{');
    json_body_text(j, "width", VIEW("full"));
    json_body_close(j, '}');
    json_body_close(j, '}');
    json_body_close(j, '}');
    json_body_close(j, ']');
    json_body_close(j, '}');
}

/* Takes from a text its share of what is too much; what is short stays whole. */
static void shorten(struct delivery *d, struct view *text, size_t body_bytes, size_t excess)
{
    bool is_cut;
    if (text->len <= SHORT_BYTES)
        return;
    size_t gone = text->len * excess / body_bytes + 1;
    *text = delivery_cut_bytes(d, *text, text->len - gone, &is_cut);
}

/* How much larger a text is in JSON depends on what is in it, so its share is a guess that is made again. */
static enum delivery_verdict send_within(struct delivery *d, put_message_fn put, struct error *err)
{
    struct msteams_exchange *x = d->exchange;
    struct json_body j;
    json_body_init(&j);
    put(&j, d, x);
    for (unsigned guess = 0; j.out.len > x->bytes_max && guess < GUESSES_MAX; guess++) {
        size_t bytes = j.out.len, excess = bytes - x->bytes_max;
        shorten(d, &x->text, bytes, excess);
        shorten(d, &x->summary, bytes, excess);
        shorten(d, &x->title, bytes, excess);
        json_body_deinit(&j);
        json_body_init(&j);
        put(&j, d, x);
    }
    return chat_send(d, x->url, &j, err);
}

static enum delivery_verdict begin(struct delivery *d, put_message_fn put, struct error *err)
{
    const struct msteams_receiver *r = d->integration->settings;
    struct msteams_exchange *x = ARENA_NEW(d->arena, struct msteams_exchange);
    d->exchange = x;
    if (!chat_secret_url(d, &r->webhook_url, r->webhook_url_file, &x->url, err))
        return DELIVERY_RETRY;
    x->title = delivery_text(d, r->title);
    x->summary = delivery_text(d, r->summary);
    x->text = delivery_text(d, r->text);
    x->bytes_max = MESSAGE_BYTES;
    return send_within(d, put, err);
}

/* What Teams told the connector: "... Microsoft Teams endpoint returned HTTP error 429 with ContextId ..." */
static long status_within(const struct delivery_answer *a)
{
    static const char WORDS[] = "endpoint returned HTTP error ";
    const char *at = a->body.len ? memmem(a->body.ptr, a->body.len, WORDS, sizeof WORDS - 1) : NULL;
    const char *end = at ? a->body.ptr + a->body.len : NULL;
    long status = 0;
    for (at = at ? at + sizeof WORDS - 1 : NULL;
         at && at < end && *at >= '0' && *at <= '9' && status < 1000; at++)
        status = status * 10 + (*at - '0');
    return status;
}

static enum delivery_verdict answer(struct delivery *d, const struct delivery_answer *a,
                                    put_message_fn put, struct error *err)
{
    struct msteams_exchange *x = d->exchange;
    struct delivery_answer inner = *a;
    long status = a->status / 100 == 2 ? status_within(a) : 0;
    if (status)
        inner.status = status;
    if (inner.status == 413 && x->bytes_max / 2 >= MESSAGE_BYTES_MIN) {
        x->bytes_max /= 2;
        return send_within(d, put, err);
    }
    return delivery_judge(&inner, NULL, err);
}

static enum delivery_verdict msteams_begin(struct delivery *d, struct error *err)
{
    return begin(d, put_connector_card, err);
}

static enum delivery_verdict msteams_answer(struct delivery *d, const struct delivery_answer *a,
                                            struct error *err)
{
    return answer(d, a, put_connector_card, err);
}

static enum delivery_verdict msteamsv2_begin(struct delivery *d, struct error *err)
{
    return begin(d, put_adaptive_card, err);
}

static enum delivery_verdict msteamsv2_answer(struct delivery *d, const struct delivery_answer *a,
                                              struct error *err)
{
    return answer(d, a, put_adaptive_card, err);
}

const struct delivery_driver delivery_msteams = {
    .kind = "msteams", .begin = msteams_begin, .answer = msteams_answer};
const struct delivery_driver delivery_msteamsv2 = {
    .kind = "msteamsv2", .begin = msteamsv2_begin, .answer = msteamsv2_answer};
