/* SPDX-License-Identifier: Apache-2.0 */
/* delivery_compose.c: see delivery_compose.h. */
#include "alerting/delivery_compose.h"

#include "net/http_client.h"

void delivery_tree(struct delivery *d, struct json_body *j, const char *name,
                   const struct yaml_node *node)
{
    struct error why = {0};
    struct buffer b;
    buffer_init(&b, MEM_RULES, DELIVERY_REQUEST_BYTES_MAX);
    if (delivery_json_node(d, node, &b, &why)) {
        json_body_raw(j, name, buffer_view(&b));
    } else {
        d->has_template_error = true;
        json_body_text(j, name, view_from(why.message));
    }
    buffer_deinit(&b);
}

void delivery_form_init(struct buffer *b)
{
    buffer_init(b, MEM_RULES, DELIVERY_REQUEST_BYTES_MAX);
}

void delivery_form_add(struct buffer *b, const char *name, struct view value)
{
    if (b->len)
        buffer_append_byte(b, '&');
    buffer_append_view(b, view_from(name));
    buffer_append_byte(b, '=');
    http_escape(b, value);
}

bool delivery_form_take(struct delivery *d, struct buffer *b, struct view *out, struct error *err)
{
    bool ok = !b->failed;
    if (ok)
        *out = arena_copy(d->arena, buffer_view(b));
    else
        error_set(err, ERROR_TOO_LARGE, "the request would be larger than %d bytes",
                  DELIVERY_REQUEST_BYTES_MAX);
    buffer_deinit(b);
    return ok;
}

enum delivery_verdict delivery_not_composed(const struct error *err)
{
    return err->kind == ERROR_IO ? DELIVERY_RETRY : DELIVERY_FAILED;
}

struct view delivery_text_or(struct delivery *d, struct view template, struct view fallback)
{
    bool before = d->has_template_error;
    d->has_template_error = false;
    struct view text = delivery_text(d, template);
    if (d->has_template_error)
        return fallback;
    d->has_template_error = before;
    return text;
}

static bool is_blank(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

struct view delivery_trim(struct view text)
{
    while (text.len && is_blank(text.ptr[0]))
        text = view_slice(text, 1, text.len);
    while (text.len && is_blank(text.ptr[text.len - 1]))
        text.len--;
    return text;
}

struct view delivery_url(struct delivery *d, struct view url, struct view path, struct view query)
{
    size_t end = 0;
    while (end < url.len && url.ptr[end] != '?' && url.ptr[end] != '#')
        end++;
    struct view base = view_slice(url, 0, end), own = {NULL, 0};
    while (path.len && view_has_suffix(base, VIEW("/")))
        base.len--;
    bool slash = path.len && path.ptr[0] != '/';
    if (end < url.len && url.ptr[end] == '?')
        own = view_slice(url, end + 1, url.len);
    return arena_printf(d->arena, "%.*s%s%.*s%s%.*s%s%.*s", VIEW_ARGS(base), slash ? "/" : "",
                        VIEW_ARGS(path), own.len || query.len ? "?" : "", VIEW_ARGS(own),
                        own.len && query.len ? "&" : "", VIEW_ARGS(query));
}
