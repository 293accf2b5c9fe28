/* SPDX-License-Identifier: Apache-2.0 */
/* delivery_chat.c: see delivery_chat.h. */
#include "alerting/delivery_chat.h"

enum { SHOWN_BYTES_MAX = 200, /* of an answer, in errors; chosen */ WAIT_SECONDS_MAX = 86400 };

struct view chat_setting(struct delivery *d, struct view template)
{
    struct view out = VIEW("");
    struct error err = {0};
    if (delivery_text_strict(d, template, &out, &err))
        return out;
    d->has_template_error = true;
    return VIEW("");
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

struct view chat_url_join(struct delivery *d, struct view base, struct view path)
{
    size_t end = 0;
    while (end < base.len && base.ptr[end] != '?' && base.ptr[end] != '#')
        end++;
    struct view query = view_slice(base, end, base.len);
    while (end && base.ptr[end - 1] == '/')
        end--;
    return arena_printf(d->arena, "%.*s/%.*s%.*s", (int)end, base.ptr, VIEW_ARGS(path),
                        VIEW_ARGS(query));
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
