/* SPDX-License-Identifier: Apache-2.0 */
/* config_heartbeat.c: the section `heartbeats`, which Prometheus does not have. */
#include "base/map.h"
#include "ingest/config_private.h"

#define F(type, member, kind) #member, kind, offsetof(struct type, member)
#define FIELDS(array) (array), ARRAY_COUNT(array)

enum { NAME_BYTES_MAX = 100 };

static const struct field SEND_FIELDS[] = {
    {F(config_heartbeat, url, FIELD_SECRET)},
    {F(config_heartbeat, url_file, FIELD_PATH)},
    {"interval", FIELD_DURATION, offsetof(struct config_heartbeat, interval_ms)},
    {"timeout", FIELD_DURATION, offsetof(struct config_heartbeat, timeout_ms)},
    {F(config_heartbeat, http_config, FIELD_POINTER), &CONFIG_HTTP_SECTION},
};

static void send_defaults(void *object)
{
    struct config_heartbeat *h = object;
    h->interval_ms = 60 * 1000;
    h->timeout_ms = 10 * 1000;
}

static bool send_check(struct loader *l, const struct yaml_node *node, void *object)
{
    struct config_heartbeat *h = object;
    struct error why = {0};
    if (secret_is_set(&h->url) == (h->url_file.len > 0))
        return yaml_error(l->err, node, "one of url and url_file must be configured");
    if (secret_is_set(&h->url) && !config_http_url_check(secret_reveal(&h->url), &why))
        return yaml_error(l->err, yaml_place(node, "url"), "url: %s", why.message);
    if (h->interval_ms <= 0 || h->timeout_ms <= 0)
        return yaml_error(l->err, node, "interval and timeout must be greater than 0");
    if (!h->http_config) {
        struct config_http_client *http = ARENA_NEW(l->arena, struct config_http_client);
        h->http_config = http;
        return config_read_section(l, &CONFIG_HTTP_SECTION, NULL, http);
    }
    return true;
}

static const struct section SEND_SECTION = {"a heartbeat that is sent",
                                            sizeof(struct config_heartbeat), FIELDS(SEND_FIELDS),
                                            send_defaults, send_check};

static const struct field EXPECT_FIELDS[] = {
    {F(config_expected_heartbeat, name, FIELD_STRING)},
    {"within", FIELD_DURATION, offsetof(struct config_expected_heartbeat, within_ms)},
    {F(config_expected_heartbeat, labels, FIELD_LABELS)},
    {F(config_expected_heartbeat, annotations, FIELD_PAIRS)},
};

/* It stands in a path and in labels. */
static bool is_name(struct view name)
{
    for (size_t i = 0; i < name.len; i++) {
        char c = name.ptr[i];
        if (!((c | 0x20) >= 'a' && (c | 0x20) <= 'z') && !(c >= '0' && c <= '9') && c != '_' &&
            c != '-' && c != '.')
            return false;
    }
    return name.len > 0 && name.len <= NAME_BYTES_MAX;
}

static bool expect_check(struct loader *l, const struct yaml_node *node, void *object)
{
    const struct config_expected_heartbeat *h = object;
    if (!is_name(h->name))
        return yaml_error(l->err, yaml_place(node, "name"),
                          "name: 1 to %d letters, digits, \"_\", \"-\" or \".\" were expected",
                          NAME_BYTES_MAX);
    return h->within_ms > 0 ||
           yaml_error(l->err, yaml_place(node, "within"),
                      "within: how long a heartbeat may stay away must be said, like 25h");
}

static const struct section EXPECT_SECTION = {"a heartbeat that is expected",
                                              sizeof(struct config_expected_heartbeat),
                                              FIELDS(EXPECT_FIELDS), NULL, expect_check};

static const struct field HEARTBEATS_FIELDS[] = {
    {F(config_heartbeats, send, FIELD_LIST), &SEND_SECTION,
     .null_item = "empty or null heartbeat in send"},
    {F(config_heartbeats, expect, FIELD_LIST), &EXPECT_SECTION,
     .null_item = "empty or null heartbeat in expect"},
};
const struct section CONFIG_HEARTBEATS_SECTION = {
    "the heartbeats section", sizeof(struct config_heartbeats), FIELDS(HEARTBEATS_FIELDS)};

bool config_finish_heartbeats(struct loader *l, const struct yaml_node *root, struct config *c,
                              bool legacy)
{
    const struct yaml_node *list = yaml_find(yaml_find(root, "heartbeats"), "expect");
    struct string_map *names = string_map_new(MEM_CONFIG);
    bool ok = true;
    for (size_t i = 0; i < c->heartbeats.expect.count && ok; i++) {
        const struct config_expected_heartbeat *h = &c->heartbeats.expect.items[i];
        const struct yaml_node *node = list->items[i];
        uint64_t first;
        if (string_map_get(names, h->name, &first))
            ok = yaml_error(l->err, yaml_place(node, "name"),
                            "heartbeat \"%.*s\" is expected twice", VIEW_ARGS(h->name));
        ok = ok && config_labels_check(l, yaml_find(node, "labels"), h->labels, legacy);
        string_map_set(names, h->name, i);
    }
    string_map_free(names);
    return ok;
}
