/* SPDX-License-Identifier: Apache-2.0 */
/* delivery_text.c: what templates say of a notification, as text, as a page, and as JSON. */
#include "alerting/delivery.h"

#include "alerting/integrations.h"
#include "base/json_write.h"
#include "base/yaml.h"
#include "template/template.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { TEXT_BYTES_MAX = DELIVERY_REQUEST_BYTES_MAX, JSON_NODE_DEPTH_MAX = 100 };

static bool execute(struct delivery *d, struct view text, bool html, struct view *out,
                    struct error *err)
{
    const struct template_options options = {.functions = &TEMPLATE_ALERTMANAGER, .html = html};
    struct template *t;
    if (!template_parse(&t, &options, integrations_templates(d->integration->set), VIEW(""), text,
                        err))
        return false;
    if (!d->value) {
        struct template_value *value = ARENA_NEW(d->arena, struct template_value);
        *value = notification_value(d->arena, d->data);
        d->value = value;
    }
    struct template_run run = {
        .arena = d->arena,
        .data = *d->value,
        .now = {d->now_ns / 1000000},
        .external_url = d->data->external_url,
        .limits = {.output_bytes_max = TEXT_BYTES_MAX},
    };
    bool ok = template_execute(t, &run, out, err);
    template_free(t);
    return ok;
}

static bool has_action(struct view text)
{
    return text.len && memmem(text.ptr, text.len, "{{", 2);
}

/* A notification is never lost to an error in a text: it goes out and says what failed. */
static struct view expand(struct delivery *d, struct view template, bool html)
{
    struct error why;
    struct view out;
    if (template.len == 0)
        return VIEW("");
    if (!has_action(template) && !html)
        return template;
    if (execute(d, template, html, &out, &why))
        return out;
    d->has_template_error = true;
    if (!html)
        return arena_printf(d->arena, "<error expanding template: %s>", why.message);
    struct buffer safe;
    buffer_init(&safe, MEM_OTHER, 64 * 1024);
    buffer_append_literal(&safe, "&lt;error expanding template: ");
    for (const char *c = why.message; *c; c++) {
        if (*c == '<' || *c == '>' || *c == '&')
            buffer_printf(&safe, "&#%d;", *c);
        else
            buffer_append_byte(&safe, *c);
    }
    buffer_append_literal(&safe, "&gt;");
    out = arena_copy(d->arena, buffer_view(&safe));
    buffer_deinit(&safe);
    return out;
}

struct view delivery_text(struct delivery *d, struct view template)
{
    return expand(d, template, false);
}

struct view delivery_html(struct delivery *d, struct view template)
{
    return expand(d, template, true);
}

bool delivery_text_strict(struct delivery *d, struct view template, struct view *out,
                          struct error *err)
{
    *out = template;
    if (!has_action(template))
        return true;
    if (execute(d, template, false, out, err))
        return true;
    d->has_template_error = true;
    if (err)
        err->kind = ERROR_EXECUTION;
    return false;
}

bool delivery_json_data(struct delivery *d, struct view *out, struct error *err)
{
    return execute(d, VIEW("{{ toJson . }}"), false, out, err);
}

/* --- nodes of the configuration --- */

static bool write_float(struct buffer *out, double v, struct error *err)
{
    if (!isfinite(v))
        return error_set(err, ERROR_EXECUTION, "a number that JSON has not: NaN or Inf");
    json_number(out, v);
    return true;
}

/* A scalar as what YAML takes it for. `text` is what a quoted or other text becomes. */
static bool write_scalar(struct buffer *out, const struct yaml_node *node, struct view text,
                         struct error *err)
{
    bool boolean;
    int64_t integer;
    uint64_t natural;
    double number;
    if (yaml_is_null(node))
        buffer_append_literal(out, "null");
    else if (yaml_as_bool(node, &boolean))
        buffer_append_view(out, boolean ? VIEW("true") : VIEW("false"));
    else if (yaml_as_int(node, &integer))
        json_int(out, integer);
    else if (yaml_as_uint(node, &natural))
        buffer_printf(out, "%llu", (unsigned long long)natural);
    else if (yaml_as_float(node, &number))
        return write_float(out, number, err);
    else
        json_string(out, text);
    return true;
}

static bool is_text(const struct yaml_node *node)
{
    bool boolean;
    double number;
    return node->kind == YAML_SCALAR && !yaml_is_null(node) && !yaml_as_bool(node, &boolean) &&
           !yaml_as_float(node, &number);
}

struct json_writer {
    struct delivery *d; /* NULL: texts are no templates (any more) */
    struct buffer *out;
    struct error *err;
};

static bool write_node(const struct json_writer *w, const struct yaml_node *node, int depth);

/* The text that a template gives may itself be YAML: a number, a list. What that holds is not executed again, as
 * Alertmanager does: it may come from an alert. */
static bool write_template(const struct json_writer *w, struct view template, int depth)
{
    const struct yaml_node *inner = NULL;
    struct json_writer plain = {NULL, w->out, w->err};
    struct error not_yaml;
    struct view text;
    if (!delivery_text_strict(w->d, template, &text, w->err))
        return false;
    if (!yaml_parse(w->d->arena, text, &inner, &not_yaml)) {
        json_string(w->out, text);
        return true;
    }
    if (!inner) {
        buffer_append_literal(w->out, "null");
        return true;
    }
    if (is_text(inner)) { /* with its quotes and blanks, as it was */
        json_string(w->out, text);
        return true;
    }
    return write_node(&plain, inner, depth + 1);
}

struct json_member {
    struct view key;
    const struct yaml_node *value;
};

static int member_cmp(const void *a, const void *b)
{
    return view_cmp(((const struct json_member *)a)->key, ((const struct json_member *)b)->key);
}

/* Members are in the order of their keys, as Go writes maps; keys that are no texts are left out. */
static bool write_mapping(const struct json_writer *w, const struct yaml_node *node, int depth)
{
    struct json_member *members = mem_alloc_zero(MEM_OTHER, node->count + 1, sizeof(*members));
    size_t count = 0;
    bool ok = true;
    for (uint32_t i = 0; i < node->count && ok; i++) {
        const struct yaml_node *key = node->pairs[i].key;
        if (!is_text(key))
            continue;
        members[count].key = key->text;
        members[count].value = node->pairs[i].value;
        ok = !w->d || delivery_text_strict(w->d, key->text, &members[count].key, w->err);
        count++;
    }
    if (ok)
        qsort(members, count, sizeof(*members), member_cmp);
    buffer_append_byte(w->out, '{');
    for (size_t i = 0; i < count && ok; i++) {
        if (i)
            buffer_append_byte(w->out, ',');
        json_string(w->out, members[i].key);
        buffer_append_byte(w->out, ':');
        ok = write_node(w, members[i].value, depth + 1);
    }
    buffer_append_byte(w->out, '}');
    mem_free(MEM_OTHER, members);
    return ok;
}

static bool write_node(const struct json_writer *w, const struct yaml_node *node, int depth)
{
    if (depth > JSON_NODE_DEPTH_MAX || w->out->failed)
        return error_set(w->err, ERROR_LIMIT, "the request is too deep or too large");
    if (node->kind == YAML_MAPPING)
        return write_mapping(w, node, depth);
    if (node->kind == YAML_SCALAR)
        return w->d && is_text(node) ? write_template(w, node->text, depth)
                                     : write_scalar(w->out, node, node->text, w->err);
    buffer_append_byte(w->out, '[');
    for (uint32_t i = 0; i < node->count; i++) {
        if (i)
            buffer_append_byte(w->out, ',');
        if (!write_node(w, node->items[i], depth + 1))
            return false;
    }
    buffer_append_byte(w->out, ']');
    return true;
}

bool delivery_json_node(struct delivery *d, const struct yaml_node *node, struct buffer *out,
                        struct error *err)
{
    const struct json_writer w = {d, out, err};
    if (!node) {
        buffer_append_literal(out, "null");
        return true;
    }
    return write_node(&w, node, 0) &&
           (!out->failed || error_set(err, ERROR_LIMIT, "the request is too large"));
}
