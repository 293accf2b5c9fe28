/* SPDX-License-Identifier: Apache-2.0 */
/* api_targets.c: targets and scrape_pools, from a snapshot of the scrape manager. */
#include "api/api_private.h"
#include "base/duration.h"
#include "base/json_write.h"
#include "base/yaml.h"
#include "ingest/relabel.h"
#include "ingest/scrape.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

static void duration_write(struct buffer *b, const char *name, int64_t ms)
{
    char text[DURATION_TEXT_BYTES];
    size_t len = duration_format(ms, text);
    api_field_string(b, name, (struct view){text, len});
}

/* The host of a URL, without its port: [*from, *to). False when there is none. */
static bool url_host(struct view url, size_t *from, size_t *to)
{
    const char *slashes = memmem(url.ptr, url.len, "://", 3);
    if (slashes == NULL)
        return false;
    *from = (size_t)(slashes - url.ptr) + 3;
    size_t end = *from;
    while (end < url.len && strchr("/?#", url.ptr[end]) == NULL)
        end++;
    *to = *from;
    bool bracket = *from < end && url.ptr[*from] == '[';
    while (*to < end && (url.ptr[*to] != ':' || bracket)) {
        if (url.ptr[*to] == ']')
            bracket = false;
        (*to)++;
    }
    return true;
}

/* The URL as others reach it. Loopback is this machine: its name there is that of the external URL, else the host's.
 * On this server's own port it is this server, whose external URL may have another port and scheme, too. */
static void global_url_write(struct buffer *b, struct view url, const struct api *api)
{
    size_t from = 0, to = 0, ext_from = 0, ext_to = 0;
    char own_port[16];
    struct view host = VIEW(""), external = view_from(api->options.external_url);
    if (url_host(url, &from, &to))
        host = view_slice(url, from, to);
    if (!view_is(host, "127.0.0.1") && !view_is(host, "localhost") && !view_is(host, "[::1]")) {
        api_field_string(b, "globalUrl", url);
        return;
    }
    size_t end = to; /* behind the port */
    while (end < url.len && strchr("/?#", url.ptr[end]) == NULL)
        end++;
    snprintf(own_port, sizeof own_port, ":%u", (unsigned)api->own_port);
    struct buffer text;
    buffer_init(&text, MEM_HTTP, url.len + external.len + HOST_NAME_MAX + 1);
    bool known = external.len && url_host(external, &ext_from, &ext_to);
    if (known && view_is(view_slice(url, to, end), own_port)) {
        while (ext_to < external.len && strchr("/?#", external.ptr[ext_to]) == NULL)
            ext_to++;
        buffer_append_view(&text, view_slice(external, 0, ext_to));
        to = end;
    } else {
        buffer_append_view(&text, view_slice(url, 0, from));
        buffer_append_view(&text, known ? view_slice(external, ext_from, ext_to)
                                        : view_from(api->server_name));
    }
    buffer_append_view(&text, view_slice(url, to, url.len));
    api_field_string(b, "globalUrl", buffer_view(&text));
    buffer_deinit(&text);
}

static void active_write(struct buffer *b, const struct scrape_target_info *t,
                         const struct api *api)
{
    buffer_append_literal(b, "{\"discoveredLabels\":");
    api_labels(b, t->discovered_labels);
    buffer_append_literal(b, ",\"labels\":");
    api_labels(b, t->labels);
    buffer_append_byte(b, ',');
    api_field_string(b, "scrapePool", t->pool);
    buffer_append_byte(b, ',');
    api_field_string(b, "scrapeUrl", t->url);
    buffer_append_byte(b, ',');
    global_url_write(b, t->url, api);
    buffer_append_byte(b, ',');
    api_field_string(b, "lastError", t->last_error);
    buffer_append_literal(b, ",\"lastScrape\":");
    api_time_format(b, t->last_scrape.ms ? t->last_scrape.ms : INT64_MIN);
    buffer_append_literal(b, ",\"lastScrapeDuration\":");
    json_number(b, t->last_duration_seconds);
    buffer_append_byte(b, ',');
    api_field_string(b, "health", view_from(scrape_health_name(t->health)));
    buffer_append_byte(b, ',');
    duration_write(b, "scrapeInterval", t->interval_ms);
    buffer_append_byte(b, ',');
    duration_write(b, "scrapeTimeout", t->timeout_ms);
    buffer_append_byte(b, '}');
}

static void dropped_write(struct buffer *b, const struct scrape_target_info *t)
{
    buffer_append_literal(b, "{\"discoveredLabels\":");
    api_labels(b, t->discovered_labels);
    buffer_append_byte(b, ',');
    api_field_string(b, "scrapePool", t->pool);
    buffer_append_byte(b, '}');
}

/* Writes those of `targets` that are (not) dropped and of this pool ("" = all), as a JSON list. */
static void list_write(struct buffer *b, const struct scrape_targets *targets, bool dropped,
                       struct view pool, const struct api *api)
{
    bool first = true;
    buffer_append_byte(b, '[');
    for (size_t i = 0; i < targets->count; i++) {
        const struct scrape_target_info *t = &targets->items[i];
        if (t->dropped != dropped || (pool.len && !view_eq(pool, t->pool)))
            continue;
        if (!first)
            buffer_append_byte(b, ',');
        first = false;
        if (dropped)
            dropped_write(b, t);
        else
            active_write(b, t, api);
    }
    buffer_append_byte(b, ']');
}

void api_serve_targets(struct api *api, struct http_request *rq, struct http_response *rs)
{
    struct arena arena;
    struct scrape_targets all;
    struct view state = http_request_param(rq, "state"),
                pool = http_request_param(rq, "scrapePool");
    bool any = state.len == 0 || view_is_any_case(state, "any"), show_active = any,
         show_dropped = any;
    show_active |= view_is_any_case(state, "active");
    show_dropped |= view_is_any_case(state, "dropped");
    const struct scrape_targets none = {0};
    arena_init(&arena, MEM_HTTP, 0);
    scrape_targets_get(api->options.scrape, &arena, &all);
    struct buffer *b = api_begin(rs);
    buffer_append_literal(b, "{\"activeTargets\":");
    list_write(b, show_active ? &all : &none, false, pool, api);
    buffer_append_literal(b, ",\"droppedTargets\":");
    list_write(b, show_dropped ? &all : &none, true, pool, api);
    buffer_append_literal(b, ",\"droppedTargetCounts\":{");
    for (size_t i = 0; i < all.pool_count; i++) {
        if (i)
            buffer_append_byte(b, ',');
        json_string(b, all.pools[i].name);
        buffer_append_byte(b, ':');
        json_int(b, (int64_t)all.pools[i].dropped_count);
    }
    buffer_append_literal(b, "}}");
    api_end(rs);
    scrape_targets_release(&all);
    arena_deinit(&arena);
}

void api_serve_scrape_pools(struct api *api, struct http_request *rq, struct http_response *rs)
{
    (void)rq;
    struct arena arena;
    struct scrape_targets all;
    arena_init(&arena, MEM_HTTP, 0);
    scrape_pools_get(api->options.scrape, &arena, &all);
    struct buffer *b = api_begin(rs);
    buffer_append_literal(b, "{\"scrapePools\":[");
    for (size_t i = 0; i < all.pool_count; i++) {
        if (i)
            buffer_append_byte(b, ',');
        json_string(b, all.pools[i].name);
    }
    buffer_append_literal(b, "]}");
    api_end(rs);
    scrape_targets_release(&all);
    arena_deinit(&arena);
}

/* ---- relabel_steps ---- */

/* {"a":"b"} as labels; false with the reason. JSON is read as the YAML that it is. */
static bool labels_of_json(struct arena *arena, struct view text, struct labels *out,
                           struct error *err)
{
    const struct yaml_node *root;
    struct labels_builder b;
    if (!yaml_parse(arena, text, &root, err))
        return error_wrap(err, "error parsing labels");
    if (!root || root->kind != YAML_MAPPING)
        return error_set(err, ERROR_INPUT, "error parsing labels: an object was expected, not %s",
                         root ? yaml_describe(root) : "nothing");
    labels_builder_init(&b, arena);
    for (uint32_t i = 0; i < root->count; i++) {
        const struct yaml_pair *pair = &root->pairs[i];
        if (pair->value->kind != YAML_SCALAR || pair->value->plain)
            return error_set(err, ERROR_INPUT,
                             "error parsing labels: the value of \"%.*s\" is no string",
                             VIEW_ARGS(view_slice(pair->key->text, 0, 100)));
        labels_builder_set(&b, pair->key->text, pair->value->text);
    }
    *out = labels_copy(arena, labels_builder_finish(&b));
    return true;
}

/* As Prometheus writes a rule: what is empty is left out. */
static void rule_write(struct buffer *b, const struct relabel_rule *rule)
{
    buffer_append_byte(b, '{');
    if (rule->source_label_count) {
        buffer_append_literal(b, "\"sourceLabels\":[");
        for (size_t i = 0; i < rule->source_label_count; i++) {
            if (i)
                buffer_append_byte(b, ',');
            json_string(b, rule->source_labels[i]);
        }
        buffer_append_literal(b, "],");
    }
    const struct {
        const char *name;
        struct view value;
    } TEXTS[] = {{"separator", rule->separator},
                 {"regex", rule->regex_text},
                 {"targetLabel", rule->target_label},
                 {"replacement", rule->replacement}};
    for (size_t i = 0; i < ARRAY_COUNT(TEXTS); i++) {
        if (TEXTS[i].value.len == 0)
            continue;
        api_field_string(b, TEXTS[i].name, TEXTS[i].value);
        buffer_append_byte(b, ',');
    }
    if (rule->modulus) {
        api_field_int(b, "modulus", (int64_t)rule->modulus);
        buffer_append_byte(b, ',');
    }
    api_field_string(b, "action", view_from(relabel_action_name(rule->action)));
    buffer_append_byte(b, '}');
}

/* Each rule once, on what the one before it left. A dropped label set is empty from there on. */
static void steps_write(struct buffer *b, struct arena *arena, const struct config_scrape_job *job,
                        struct labels ls)
{
    struct labels_builder builder;
    bool keep = true;
    labels_builder_init(&builder, arena);
    labels_builder_reset(&builder, ls);
    buffer_append_literal(b, "{\"steps\":[");
    for (size_t i = 0; i < job->relabel_configs.count; i++) {
        const struct relabel_rule *rule = &job->relabel_configs.items[i];
        keep = keep && relabel_process(rule, 1, &builder);
        if (i)
            buffer_append_byte(b, ',');
        buffer_append_literal(b, "{\"rule\":");
        rule_write(b, rule);
        buffer_append_literal(b, ",\"output\":");
        api_labels(b, keep ? labels_builder_finish(&builder) : (struct labels){NULL, 0});
        buffer_printf(b, ",\"keep\":%s}", keep ? "true" : "false");
    }
    buffer_append_literal(b, "]}");
}

void api_serve_relabel_steps(struct api *api, struct http_request *rq, struct http_response *rs)
{
    struct view pool = http_request_param(rq, "scrapePool"),
                text = http_request_param(rq, "labels");
    struct error err = {0};
    struct arena arena;
    struct scrape_targets all;
    struct labels ls;
    const struct config_scrape_job *job = NULL;
    arena_init(&arena, MEM_HTTP, 0); /* bounded by the request */
    scrape_pools_get(api->options.scrape, &arena, &all);
    for (size_t i = 0; i < all.pool_count; i++) {
        if (view_eq(all.pools[i].name, pool))
            job = all.pools[i].job;
    }
    if (pool.len == 0) {
        error_set(&err, ERROR_INPUT, "no scrapePool parameter provided");
        api_error(rs, &err);
    } else if (text.len == 0) {
        error_set(&err, ERROR_INPUT, "no labels parameter provided");
        api_error(rs, &err);
    } else if (!labels_of_json(&arena, text, &ls, &err)) {
        api_error(rs, &err);
    } else if (!job) {
        error_set(&err, ERROR_INPUT,
                  "error retrieving scrape config: scrape pool \"%.*s\" not found",
                  VIEW_ARGS(view_slice(pool, 0, 200)));
        api_error(rs, &err);
    } else {
        steps_write(api_begin(rs), &arena, job, ls);
        api_end(rs);
    }
    scrape_targets_release(&all);
    arena_deinit(&arena);
}
