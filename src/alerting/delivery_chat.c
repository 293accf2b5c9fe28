/* SPDX-License-Identifier: Apache-2.0 */
/* delivery_chat.c: see delivery_chat.h. */
#include "alerting/delivery_chat.h"

enum { SHOWN_BYTES_MAX = 200, /* of an answer, in errors; chosen */ WAIT_SECONDS_MAX = 86400 };

struct view chat_setting(struct delivery *d, struct view template)
{
    return delivery_text_or(d, template, VIEW(""));
}

struct view chat_text(struct delivery *d, struct view template, size_t runes)
{
    bool is_cut;
    return delivery_cut_runes(d, delivery_text(d, template), runes, &is_cut);
}

bool chat_secret_url(struct delivery *d, const struct secret *url, struct view file,
                     struct view *out, struct error *err)
{
    struct secret found;
    if (!delivery_secret(d, url, file, &found, err))
        return false;
    *out = secret_reveal(&found);
    return true;
}

void chat_put_text(struct delivery *d, struct json_body *j, const char *name, struct view template)
{
    json_body_text_unless_empty(j, name, delivery_text(d, template));
}

void chat_put_setting(struct delivery *d, struct json_body *j, const char *name,
                      struct view template)
{
    json_body_text_unless_empty(j, name, chat_setting(d, template));
}

void chat_put_fields(struct delivery *d, struct json_body *j, const struct message_fields *fields,
                     int is_short)
{
    if (fields->count == 0)
        return;
    json_body_open(j, "fields", '[');
    for (size_t i = 0; i < fields->count; i++) {
        const struct message_field *f = &fields->items[i];
        int says = f->is_short < 0 ? is_short : f->is_short;
        json_body_open(j, NULL, '{');
        chat_put_text(d, j, "title", f->title);
        chat_put_text(d, j, "value", f->value);
        if (says >= 0)
            json_body_bool(j, "short", says);
        json_body_close(j, '}');
    }
    json_body_close(j, ']');
}

enum delivery_verdict chat_send(struct delivery *d, struct view url, struct json_body *j,
                                struct error *err)
{
    struct view body;
    if (!json_body_take(j, d->arena, &body, err))
        return DELIVERY_FAILED;
    delivery_json(d, url, body);
    return DELIVERY_MORE;
}

json_t *chat_read_object(const struct delivery_answer *a, const char *service, struct error *err)
{
    json_t *root = json_read(a->body, err);
    if (json_is_object(root))
        return root;
    json_decref(root);
    error_set(err, ERROR_INPUT, "a JSON object was expected from %s, not \"%.*s\"", service,
              VIEW_ARGS(view_slice(a->body, 0, SHOWN_BYTES_MAX)));
    return NULL;
}

struct view chat_member(const json_t *object, const char *name)
{
    const json_t *member = json_object_get(object, name);
    return json_is_string(member)
               ? (struct view){json_string_value(member), json_string_length(member)}
               : VIEW("");
}

void chat_retry_after(struct delivery *d, const json_t *seconds)
{
    double s = json_number_value(seconds);
    if (s > 0)
        d->retry_after_ms = (int64_t)((s < WAIT_SECONDS_MAX ? s : WAIT_SECONDS_MAX) * 1000);
}
