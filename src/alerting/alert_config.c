/* SPDX-License-Identifier: Apache-2.0 */
/* alert_config.c: from a path to a struct alert_config: the file's sections, the routing tree and what the parts say of
 * each other. */
#include "alerting/alert_config_private.h"

#include "base/assert.h"
#include "base/file.h"
#include "base/map.h"

#define F(type, member, kind) #member, kind, offsetof(struct type, member)
#define FIELDS(array) .fields = (array), .field_count = ARRAY_COUNT(array)

enum {
    GROUP_WAIT_MS = 30 * 1000,
    GROUP_INTERVAL_MS = 5 * 60 * 1000,
    REPEAT_INTERVAL_MS = 4 * 3600 * 1000
};

/* Things with a close of their own, to be freed with the configuration. */
struct owned_matchers {
    struct owned_matchers *next;
    struct matchers *matchers;
};
struct owned_interval {
    struct owned_interval *next;
    struct time_interval *interval;
};

struct owner {
    struct alert_config config; /* first: a pointer to it is one to its owner */
    atomic_uint references;
    struct config_owner
        reader; /* its arena holds everything, its configuration nothing but the warnings */
    struct owned_matchers *matchers;
    struct owned_interval *intervals;
};

static struct owner *owner_of(struct loader *l)
{
    return (struct owner *)((char *)l->owner - offsetof(struct owner, reader));
}

/* --- global --- */

#define G(member, kind)                                                                            \
    {                                                                                              \
        F(alert_global, member, kind)                                                              \
    }
static const struct field GLOBAL_FIELDS[] = {
    {"resolve_timeout", FIELD_DURATION, offsetof(struct alert_global, resolve_timeout_ms)},
    {F(alert_global, http_config, FIELD_POINTER), &CONFIG_HTTP_SECTION},
    G(jira_api_url, FIELD_URL),
    G(smtp_from, FIELD_STRING),
    G(smtp_hello, FIELD_STRING),
    G(smtp_smarthost, FIELD_STRING),
    G(smtp_auth_username, FIELD_STRING),
    G(smtp_auth_password, FIELD_SECRET),
    G(smtp_auth_password_file, FIELD_PATH),
    G(smtp_auth_secret, FIELD_SECRET),
    G(smtp_auth_secret_file, FIELD_PATH),
    G(smtp_auth_identity, FIELD_STRING),
    G(smtp_require_tls, FIELD_BOOL),
    {F(alert_global, smtp_tls_config, FIELD_POINTER), &CONFIG_TLS_SECTION},
    G(smtp_force_implicit_tls, FIELD_TRISTATE),
    {F(alert_global, slack_api_url, FIELD_SECRET), .flags = ALERT_FIELD_IS_URL},
    G(slack_api_url_file, FIELD_PATH),
    G(slack_app_token, FIELD_SECRET),
    G(slack_app_token_file, FIELD_PATH),
    G(slack_app_url, FIELD_URL),
    G(pagerduty_url, FIELD_URL),
    G(opsgenie_api_url, FIELD_URL),
    G(opsgenie_api_key, FIELD_SECRET),
    G(opsgenie_api_key_file, FIELD_PATH),
    G(wechat_api_url, FIELD_URL),
    G(wechat_api_secret, FIELD_SECRET),
    G(wechat_api_secret_file, FIELD_PATH),
    G(wechat_api_corp_id, FIELD_STRING),
    G(victorops_api_url, FIELD_URL),
    G(victorops_api_key, FIELD_SECRET),
    G(victorops_api_key_file, FIELD_PATH),
    G(telegram_api_url, FIELD_URL),
    G(telegram_bot_token, FIELD_SECRET),
    G(telegram_bot_token_file, FIELD_PATH),
    G(webex_api_url, FIELD_URL),
    G(rocketchat_api_url, FIELD_URL),
    G(rocketchat_token, FIELD_SECRET),
    G(rocketchat_token_file, FIELD_PATH),
    G(rocketchat_token_id, FIELD_SECRET),
    G(rocketchat_token_id_file, FIELD_PATH),
    {F(alert_global, mattermost_webhook_url, FIELD_SECRET), .flags = ALERT_FIELD_IS_URL},
    G(mattermost_webhook_url_file, FIELD_PATH),
};

static void global_defaults(void *object)
{
    struct alert_global *g = object;
    g->resolve_timeout_ms = 5 * 60 * 1000;
    g->smtp_hello = VIEW("localhost");
    g->smtp_require_tls = true;
    g->smtp_force_implicit_tls = -1;
    g->pagerduty_url = VIEW("https://events.pagerduty.com/v2/enqueue");
    g->opsgenie_api_url = VIEW("https://api.opsgenie.com/");
    g->wechat_api_url = VIEW("https://qyapi.weixin.qq.com/cgi-bin/");
    g->victorops_api_url = VIEW("https://alert.victorops.com/integrations/generic/20131114/alert/");
    g->telegram_api_url = VIEW("https://api.telegram.org");
    g->webex_api_url = VIEW("https://webexapis.com/v1/messages");
    g->rocketchat_api_url = VIEW("https://open.rocket.chat/");
    g->slack_app_url = VIEW(SLACK_POST_MESSAGE);
}

static bool global_check(struct loader *l, const struct yaml_node *node, void *object);
static const struct section GLOBAL_SECTION = {"global", sizeof(struct alert_global),
                                              FIELDS(GLOBAL_FIELDS), global_defaults, global_check};

static bool global_check(struct loader *l, const struct yaml_node *node, void *object)
{
    const struct alert_global *g = object;
    bool slack_token = secret_is_set(&g->slack_app_token) || g->slack_app_token_file.len;
    bool slack_url = secret_is_set(&g->slack_api_url) || g->slack_api_url_file.len;
#define ONE_OF(name)                                                                               \
    alert_config_one_of(l, node, secret_is_set(&g->name), g->name##_file.len, #name, #name "_file")
    if (!alert_config_check_urls(l, &GLOBAL_SECTION, node, g) ||
        !alert_config_check_host_port(l, node, "smtp_smarthost", g->smtp_smarthost) ||
        !ONE_OF(slack_app_token) || !ONE_OF(slack_api_url))
        return false;
    /* The same URL in both was the way to use a token before slack_app_token was. */
    struct view slack_api_url = secret_reveal(&g->slack_api_url);
    if (slack_token && slack_url && !view_eq(slack_api_url, g->slack_app_url) &&
        !view_is(slack_api_url, SECRET_SHOWN)) /* of a file that a server shows */
        return yaml_error(l->err, node,
                          "at most one of slack_app_token/slack_app_token_file & "
                          "slack_api_url/slack_api_url_file must be configured");
    return ONE_OF(opsgenie_api_key) && ONE_OF(victorops_api_key) && ONE_OF(telegram_bot_token) &&
           ONE_OF(smtp_auth_password) && ONE_OF(rocketchat_token) && ONE_OF(rocketchat_token_id) &&
           ONE_OF(smtp_auth_secret) && ONE_OF(wechat_api_secret) && ONE_OF(mattermost_webhook_url);
#undef ONE_OF
}

/* --- matchers --- */

static void own(struct loader *l, struct matchers *m)
{
    struct owner *owner = owner_of(l);
    struct owned_matchers *entry = ARENA_NEW(l->arena, struct owned_matchers);
    *entry = (struct owned_matchers){owner->matchers, m};
    owner->matchers = entry;
}

/* Moves the place of an error inside a text to that of its node. */
static bool fail_at(struct loader *l, const struct yaml_node *node, const struct error *why)
{
    return yaml_error(l->err, node, "%s", why->message);
}

/* match or match_re: a mapping of names to values or regular expressions. */
static bool read_match(struct loader *l, const struct yaml_node *map, enum matcher_type type,
                       struct matchers *out)
{
    struct error why = {0};
    if (!map)
        return true;
    if (map->kind != YAML_MAPPING)
        return yaml_error(l->err, map, "a mapping of label names to values was expected, not %s",
                          yaml_describe(map));
    for (uint32_t i = 0; i < map->count; i++) {
        const struct yaml_node *key = map->pairs[i].key, *value = map->pairs[i].value;
        struct view shown = view_slice(key->text, 0, 100);
        if (!label_name_is_legacy(key->text))
            return yaml_error(l->err, key, "invalid label name \"%.*s\"", VIEW_ARGS(shown));
        if (yaml_is_null(value) && type == MATCH_REGEX)
            return yaml_error(l->err, key, "invalid regexp value for \"%.*s\"", VIEW_ARGS(shown));
        if (value->kind != YAML_SCALAR)
            return yaml_error(l->err, value, "a string was expected, not %s", yaml_describe(value));
        struct view text = yaml_is_null(value) ? VIEW("") : value->text;
        if (type == MATCH_REGEX) /* as Alertmanager shows it */
            text = arena_printf(l->arena, "^(?:%.*s)$", VIEW_ARGS(text));
        if (!matchers_add(l->arena, out, type, key->text, text, &why))
            return fail_at(l, value, &why);
    }
    return true;
}

static bool read_matchers(struct loader *l, const struct yaml_node *list, struct matchers *out)
{
    if (!list)
        return true;
    if (list->kind != YAML_SEQUENCE)
        return yaml_error(l->err, list, "a list of matchers was expected, not %s",
                          yaml_describe(list));
    for (uint32_t i = 0; i < list->count; i++) {
        const struct yaml_node *item = list->items[i];
        enum matchers_reader reader = MATCHERS_UTF8;
        struct error why = {0};
        if (item->kind != YAML_SCALAR)
            return yaml_error(l->err, item, "a matcher like name=\"value\" was expected, not %s",
                              yaml_describe(item));
        struct view shown = view_slice(item->text, 0, 200);
        if (!matchers_parse(l->arena, item->text, out, &reader, &why))
            return yaml_error(l->err, item, "matcher '%.*s': %s", VIEW_ARGS(shown), why.message);
        if (reader == MATCHERS_CLASSIC)
            config_warn(l, item,
                        "matcher '%.*s' is read in the way of before UTF-8 names, which is to go: "
                        "put the value in double quotes",
                        VIEW_ARGS(shown));
        else if (reader == MATCHERS_DISAGREE)
            config_warn(l, item,
                        "matcher '%.*s' means something else with UTF-8 names than before; it is "
                        "read as before: put the value in double quotes",
                        VIEW_ARGS(shown));
    }
    return true;
}

static bool read_all_matchers(struct loader *l, const struct yaml_node *match,
                              const struct yaml_node *match_re, const struct yaml_node *matchers,
                              struct matchers *out)
{
    own(l, out);
    if (!read_match(l, match, MATCH_EQUAL, out) || !read_match(l, match_re, MATCH_REGEX, out) ||
        !read_matchers(l, matchers, out))
        return false;
    matchers_sort(out); /* as Alertmanager shows them */
    return true;
}

/* --- routes --- */

static void route_defaults(void *object)
{
    struct alert_route *r = object;
    r->group_wait_ms = r->group_interval_ms = r->repeat_interval_ms = -1;
}

static bool route_check_group_by(struct loader *l, const struct yaml_node *node,
                                 struct alert_route *r)
{
    const struct yaml_node *list = yaml_find(node, "group_by");
    struct string_map *seen = string_map_new(MEM_CONFIG);
    bool ok = true;
    for (size_t i = 0; i < r->group_by.count && ok; i++) {
        struct view name = r->group_by.items[i];
        uint64_t first;
        if (view_is(name, "..."))
            r->group_by_all = true;
        else if (name.len == 0)
            ok = yaml_error(l->err, list->items[i], "invalid label name \"\" in group_by list");
        else if (string_map_get(seen, name, &first))
            ok = yaml_error(l->err, list->items[i], "duplicated label \"%.*s\" in group_by",
                            VIEW_ARGS(view_slice(name, 0, 100)));
        string_map_set(seen, name, i);
    }
    if (ok && r->group_by_all && string_map_count(seen) > 1)
        ok = yaml_error(l->err, list,
                        "cannot have wildcard group_by (`...`) and other labels at the same time");
    string_map_free(seen);
    return ok;
}

static bool route_check(struct loader *l, const struct yaml_node *node, void *object)
{
    struct alert_route *r = object;
    r->node = node;
    if (!read_all_matchers(l, r->match, r->match_re, r->matchers_node, &r->matchers) ||
        !route_check_group_by(l, node, r))
        return false;
    if (r->group_interval_ms == 0)
        return yaml_error(l->err, yaml_place(node, "group_interval"),
                          "group_interval cannot be zero");
    return r->repeat_interval_ms != 0 || yaml_error(l->err, yaml_place(node, "repeat_interval"),
                                                    "repeat_interval cannot be zero");
}

static const struct section ROUTE_SECTION;
static const struct field ROUTE_FIELDS[] = {
    {F(alert_route, receiver, FIELD_STRING)},
    {F(alert_route, group_by, FIELD_STRINGS)},
    {F(alert_route, labels, FIELD_PAIRS)},
    {F(alert_route, match, FIELD_RAW)},
    {F(alert_route, match_re, FIELD_RAW)},
    {"matchers", FIELD_RAW, offsetof(struct alert_route, matchers_node)},
    {F(alert_route, mute_time_intervals, FIELD_STRINGS)},
    {F(alert_route, active_time_intervals, FIELD_STRINGS)},
    {"continue", FIELD_BOOL, offsetof(struct alert_route, continues)},
    {F(alert_route, routes, FIELD_LIST), &ROUTE_SECTION, .null_item = "a route is empty"},
    {"group_wait", FIELD_DURATION, offsetof(struct alert_route, group_wait_ms)},
    {"group_interval", FIELD_DURATION, offsetof(struct alert_route, group_interval_ms)},
    {"repeat_interval", FIELD_DURATION, offsetof(struct alert_route, repeat_interval_ms)},
};
static const struct section ROUTE_SECTION = {"a route", sizeof(struct alert_route),
                                             FIELDS(ROUTE_FIELDS), route_defaults, route_check};

/* --- inhibition --- */

static bool inhibit_check(struct loader *l, const struct yaml_node *node, void *object)
{
    struct inhibit_rule *r = object;
    r->node = node;
    if (!read_all_matchers(l, r->source_match, r->source_match_re, r->source_matchers,
                           &r->source) ||
        !read_all_matchers(l, r->target_match, r->target_match_re, r->target_matchers, &r->target))
        return false;
    for (size_t i = 0; i < r->equal.count; i++) {
        if (r->equal.items[i].len == 0)
            return yaml_error(l->err, yaml_find(node, "equal")->items[i],
                              "invalid label name \"\" in equal list");
    }
    return true;
}

static const struct field INHIBIT_FIELDS[] = {
    {F(inhibit_rule, name, FIELD_STRING)},         {F(inhibit_rule, source_match, FIELD_RAW)},
    {F(inhibit_rule, source_match_re, FIELD_RAW)}, {F(inhibit_rule, source_matchers, FIELD_RAW)},
    {F(inhibit_rule, target_match, FIELD_RAW)},    {F(inhibit_rule, target_match_re, FIELD_RAW)},
    {F(inhibit_rule, target_matchers, FIELD_RAW)}, {F(inhibit_rule, equal, FIELD_STRINGS)},
};
static const struct section INHIBIT_SECTION = {"an inhibition rule", sizeof(struct inhibit_rule),
                                               FIELDS(INHIBIT_FIELDS), .check = inhibit_check};

/* --- time intervals --- */

static bool intervals_check(struct loader *l, const struct yaml_node *node, void *object)
{
    struct named_intervals *n = object;
    n->node = node;
    if (n->name.len == 0)
        return yaml_error(l->err, yaml_place(node, "name"), "missing name in time interval");
    if (!n->list)
        return true;
    if (n->list->kind != YAML_SEQUENCE)
        return yaml_error(l->err, n->list, "a list of time intervals was expected, not %s",
                          yaml_describe(n->list));
    n->items = ARENA_ARRAY(l->arena, struct time_interval, n->list->count + 1);
    for (uint32_t i = 0; i < n->list->count; i++) {
        struct owner *owner = owner_of(l);
        struct owned_interval *entry = ARENA_NEW(l->arena, struct owned_interval);
        *entry = (struct owned_interval){owner->intervals, &n->items[n->count]};
        owner->intervals = entry;
        if (!time_interval_read(l->arena, n->list->items[i], &n->items[n->count++], l->err))
            return false;
    }
    return true;
}

static const struct field INTERVALS_FIELDS[] = {
    {F(named_intervals, name, FIELD_STRING)},
    {"time_intervals", FIELD_RAW, offsetof(struct named_intervals, list)},
};
static const struct section INTERVALS_SECTION = {"a time interval", sizeof(struct named_intervals),
                                                 FIELDS(INTERVALS_FIELDS),
                                                 .check = intervals_check};

/* --- the file --- */

static const struct field FILE_FIELDS[] = {
    {F(alert_config, global, FIELD_STRUCT), &GLOBAL_SECTION},
    {F(alert_config, route, FIELD_POINTER), &ROUTE_SECTION},
    {F(alert_config, inhibit_rules, FIELD_LIST), &INHIBIT_SECTION,
     .null_item = "an inhibition rule is empty"},
    {F(alert_config, receivers, FIELD_LIST), &ALERT_RECEIVER_SECTION,
     .null_item = "missing name in receiver"},
    {F(alert_config, templates, FIELD_PATHS)},
    {F(alert_config, mute_time_intervals, FIELD_LIST), &INTERVALS_SECTION,
     .null_item = "missing name in mute time interval"},
    {F(alert_config, time_intervals, FIELD_LIST), &INTERVALS_SECTION,
     .null_item = "missing name in time interval"},
    {F(alert_config, tracing, FIELD_POINTER), &CONFIG_TRACING_SECTION},
};

static void file_defaults(void *object)
{
    global_defaults(&((struct alert_config *)object)->global);
}

static const struct section FILE_SECTION = {"Alertmanager's configuration",
                                            sizeof(struct alert_config), FIELDS(FILE_FIELDS),
                                            file_defaults};

/* Merges two lists that are sorted by name. */
static void inherit_labels(struct loader *l, struct config_pairs *own,
                           const struct config_pairs *parent)
{
    struct config_pairs all = {NULL, 0};
    size_t i = 0, j = 0;
    if (parent->count == 0)
        return;
    if (own->count == 0) {
        *own = *parent;
        return;
    }
    all.items = ARENA_ARRAY(l->arena, struct config_pair, own->count + parent->count);
    while (i < own->count || j < parent->count) {
        int order = i >= own->count      ? 1
                    : j >= parent->count ? -1
                                         : view_cmp(own->items[i].name, parent->items[j].name);
        all.items[all.count++] = order <= 0 ? own->items[i] : parent->items[j];
        i += order <= 0;
        j += order >= 0;
    }
    *own = all;
}

/* What the parts of the tree say of other parts: receivers, time intervals. Fills in what is inherited. Recursion is as
 * deep as the YAML, which has a limit. */
static bool finish_route(struct loader *l, const struct alert_config *c,
                         const struct string_map *receivers, struct alert_route *r,
                         const struct alert_route *parent)
{
    const struct config_strings *lists[] = {&r->active_time_intervals, &r->mute_time_intervals};
    uint64_t at;
    if (r->receiver.len && !string_map_get(receivers, r->receiver, &at))
        return yaml_error(l->err, yaml_place(r->node, "receiver"),
                          "undefined receiver \"%.*s\" used in route",
                          VIEW_ARGS(view_slice(r->receiver, 0, 200)));
    for (size_t k = 0; k < ARRAY_COUNT(lists); k++) {
        for (size_t i = 0; i < lists[k]->count; i++) {
            const char *field = k ? "mute_time_intervals" : "active_time_intervals";
            if (!alert_config_intervals(c, lists[k]->items[i]))
                return yaml_error(l->err, yaml_find(r->node, field)->items[i],
                                  "undefined time interval \"%.*s\" used in route",
                                  VIEW_ARGS(view_slice(lists[k]->items[i], 0, 200)));
        }
    }
    if (r->receiver.len == 0)
        r->receiver = parent->receiver;
    if (r->group_by.count == 0) { /* an empty list is none, as in Alertmanager */
        r->group_by = parent->group_by;
        r->group_by_all = parent->group_by_all;
    }
    if (r->group_wait_ms < 0)
        r->group_wait_ms = parent->group_wait_ms;
    if (r->group_interval_ms < 0)
        r->group_interval_ms = parent->group_interval_ms;
    if (r->repeat_interval_ms < 0)
        r->repeat_interval_ms = parent->repeat_interval_ms;
    inherit_labels(l, &r->labels, &parent->labels);
    for (size_t i = 0; i < r->routes.count; i++) {
        if (!finish_route(l, c, receivers, &r->routes.items[i], r))
            return false;
    }
    return true;
}

static bool check_root(struct loader *l, const struct yaml_node *root, const struct alert_route *r)
{
    if (!r) {
        if (yaml_is_null(root))
            return error_set(l->err, ERROR_INPUT, "no route provided in config");
        return yaml_error(l->err, root, "no routes provided");
    }
    if (r->receiver.len == 0)
        return yaml_error(l->err, r->node, "root route must specify a default receiver");
    if (r->matchers.count)
        return yaml_error(l->err,
                          r->match      ? r->match
                          : r->match_re ? r->match_re
                                        : r->matchers_node,
                          "root route must not have any matchers");
    if (r->mute_time_intervals.count)
        return yaml_error(l->err, yaml_place(r->node, "mute_time_intervals"),
                          "root route must not have any mute time intervals");
    if (r->active_time_intervals.count)
        return yaml_error(l->err, yaml_place(r->node, "active_time_intervals"),
                          "root route must not have any active time intervals");
    return !r->continues || yaml_error(l->err, yaml_place(r->node, "continue"),
                                       "cannot have continue in root route");
}

static bool check_interval_names(struct loader *l, const struct alert_config *c)
{
    const struct named_intervals_list *lists[] = {&c->mute_time_intervals, &c->time_intervals};
    struct string_map *names = string_map_new(MEM_CONFIG);
    bool ok = true;
    for (size_t k = 0; k < ARRAY_COUNT(lists); k++) {
        for (size_t i = 0; i < lists[k]->count && ok; i++) {
            const struct named_intervals *n = &lists[k]->items[i];
            uint64_t first;
            if (string_map_get(names, n->name, &first))
                ok = yaml_error(l->err, yaml_place(n->node, "name"), "%s \"%.*s\" is not unique",
                                k ? "time interval" : "mute time interval",
                                VIEW_ARGS(view_slice(n->name, 0, 200)));
            string_map_set(names, n->name, i);
        }
    }
    string_map_free(names);
    return ok;
}

static bool finish(struct loader *l, const struct yaml_node *root, struct alert_config *c)
{
    static const struct alert_route ABOVE = {.group_wait_ms = GROUP_WAIT_MS,
                                             .group_interval_ms = GROUP_INTERVAL_MS,
                                             .repeat_interval_ms = REPEAT_INTERVAL_MS};
    struct alert_global *g = &c->global;
    if (!g->http_config) {
        struct config_http_client *http = ARENA_NEW(l->arena, struct config_http_client);
        CONFIG_HTTP_SECTION.defaults(http);
        g->http_config = http;
    }
    if (!g->smtp_tls_config)
        g->smtp_tls_config = ARENA_NEW(l->arena, struct config_tls);
    struct string_map *names = string_map_new(MEM_CONFIG);
    bool ok = alert_config_finish_receivers(l, c, names) && check_root(l, root, c->route) &&
              check_interval_names(l, c) &&
              finish_route(l, c, names, (struct alert_route *)c->route, &ABOVE);
    string_map_free(names);
    return ok;
}

/* The folder of a path, without the slash. */
static const char *folder_of(struct arena *arena, struct view path)
{
    const char *slash = path.len ? memrchr(path.ptr, '/', path.len) : NULL;
    if (!slash)
        return "";
    return arena_copy(arena,
                      view_slice(path, 0, slash == path.ptr ? 1 : (size_t)(slash - path.ptr)))
        .ptr;
}

bool alert_config_parse(struct view text, const char *path, struct alert_config **out,
                        struct error *err)
{
    struct owner *owner = mem_alloc_zero(MEM_CONFIG, 1, sizeof(*owner));
    const struct yaml_node *root;
    struct error why = {0};
    *out = NULL;
    atomic_init(&owner->references, 1);
    arena_init(&owner->reader.arena, MEM_CONFIG,
               0); /* bounded as the text and the YAML reader are */
    struct loader l = {.owner = &owner->reader,
                       .arena = &owner->reader.arena,
                       .err = &why,
                       .file = path,
                       .dir = folder_of(&owner->reader.arena, view_from(path)),
                       .unknown = CONFIG_UNKNOWN_IS_ERROR};
    if (yaml_parse(l.arena, text, &root, &why) &&
        config_read_section(&l, &FILE_SECTION, root, &owner->config) &&
        finish(&l, root, &owner->config)) {
        owner->config.warnings = &owner->reader.config.warnings;
        owner->config.source = root;
        *out = &owner->config;
        return true;
    }
    (void)config_error_place(&l); /* always false, as we return */
    if (err)
        *err = why;
    alert_config_unref(&owner->config);
    return false;
}

void alert_config_print(const struct alert_config *c, struct buffer *out)
{
    config_print_source(&FILE_SECTION, c->source, out);
}

bool alert_config_load(const char *path, struct alert_config **out, struct error *err)
{
    struct buffer text;
    *out = NULL;
    buffer_init(&text, MEM_CONFIG, ALERT_CONFIG_BYTES_MAX);
    bool ok =
        file_read_all(path, &text, err) && alert_config_parse(buffer_view(&text), path, out, err);
    buffer_deinit(&text);
    return ok;
}

struct alert_config *alert_config_ref(struct alert_config *c)
{
    struct owner *owner = (struct owner *)c;
    unsigned before = atomic_fetch_add_explicit(&owner->references, 1, memory_order_relaxed);
    ASSERT(before > 0);
    return c;
}

void alert_config_unref(struct alert_config *c)
{
    struct owner *owner = (struct owner *)c;
    /* Release, so that what each holder read happened before the last one frees; acquire for that last one. */
    if (!c || atomic_fetch_sub_explicit(&owner->references, 1, memory_order_acq_rel) > 1)
        return;
    for (struct owned_matchers *m = owner->matchers; m; m = m->next)
        matchers_deinit(m->matchers);
    for (struct owned_interval *i = owner->intervals; i; i = i->next)
        time_interval_deinit(i->interval);
    arena_deinit(&owner->reader.arena);
    mem_free(MEM_CONFIG, owner);
}

const struct receiver *alert_config_receiver(const struct alert_config *c, struct view name)
{
    for (size_t i = 0; i < c->receivers.count; i++) {
        if (view_eq(c->receivers.items[i].name, name))
            return &c->receivers.items[i];
    }
    return NULL;
}

const struct named_intervals *alert_config_intervals(const struct alert_config *c, struct view name)
{
    const struct named_intervals_list *lists[] = {&c->mute_time_intervals, &c->time_intervals};
    for (size_t k = 0; k < ARRAY_COUNT(lists); k++) {
        for (size_t i = 0; i < lists[k]->count; i++) {
            if (view_eq(lists[k]->items[i].name, name))
                return &lists[k]->items[i];
        }
    }
    return NULL;
}
