/* SPDX-License-Identifier: Apache-2.0 */
/* config_secrets.c: what an object of the configuration holds that nobody may read, found by the table that read it. */
#include "ingest/config_private.h"

#include "base/assert.h"
#include "base/redaction.h"

struct list {
    const char *items;
    size_t count;
};

static void add_headers(const struct config_headers *headers, struct redaction *out)
{
    for (size_t i = 0; i < headers->count; i++)
        for (size_t v = 0; v < headers->items[i].secret_count; v++)
            redaction_add(out, secret_reveal(&headers->items[i].secrets[v]));
}

/* What has the name of a secret. Depth is that of the file: at most YAML_DEPTH_MAX. */
static void add_raw(const struct yaml_node *node, bool is_secret, struct redaction *out)
{
    if (node->kind == YAML_SCALAR) {
        if (is_secret)
            redaction_add_setting(out, node->text);
        return;
    }
    for (uint32_t i = 0; i < node->count; i++) {
        if (node->kind == YAML_MAPPING)
            add_raw(node->pairs[i].value,
                    is_secret || config_name_is_secret(node->pairs[i].key->text), out);
        else
            add_raw(node->items[i], is_secret, out);
    }
}

static void add_field(const struct field *field, const void *object, struct redaction *out)
{
    const void *at = (const char *)object + field->offset;
    const struct list *list = at;
    switch (field->kind) {
    case FIELD_SECRET:
        redaction_add_setting(out, secret_reveal(at));
        break;
    case FIELD_URL:
        redaction_add_userinfo(out, *(const struct view *)at);
        break;
    case FIELD_HEADERS:
        add_headers(at, out);
        break;
    case FIELD_RAW:
        if (*(const struct yaml_node *const *)at)
            add_raw(*(const struct yaml_node *const *)at, false, out);
        break;
    case FIELD_GROUP:
        config_secrets(field->section, object, out);
        break;
    case FIELD_STRUCT:
    case FIELD_INLINE:
        config_secrets(field->section, at, out);
        break;
    case FIELD_POINTER:
        if (*(const void *const *)at)
            config_secrets(field->section, *(const void *const *)at, out);
        break;
    case FIELD_LIST:
        for (size_t i = 0; i < list->count; i++)
            config_secrets(field->section, list->items + i * field->section->bytes, out);
        break;
    default: /* holds none */
        break;
    }
}

void config_secrets(const struct section *section, const void *object, struct redaction *out)
{
    for (size_t i = 0; i < section->field_count; i++)
        add_field(&section->fields[i], object, out);
}

void config_http_secrets(const struct config_http_client *http, struct redaction *out)
{
    config_secrets(&CONFIG_HTTP_SECTION, http, out);
}
