/* SPDX-License-Identifier: Apache-2.0 */
/* api_targets.c: targets and scrape_pools, from a snapshot of the scrape manager. */
#include "api/api_private.h"
#include "base/duration.h"
#include "base/json_write.h"
#include "ingest/scrape.h"

#include <limits.h>
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

/* The URL as others reach it: Prometheus puts this machine's name in the place of loopback. */
static void global_url_write(struct buffer *b, struct view url, const char *server_name)
{
    size_t from = 0, to = 0;
    struct view host = VIEW("");
    if (url_host(url, &from, &to))
        host = view_slice(url, from, to);
    if (!view_is(host, "127.0.0.1") && !view_is(host, "localhost") && !view_is(host, "[::1]")) {
        api_field_string(b, "globalUrl", url);
        return;
    }
    struct buffer text;
    buffer_init(&text, MEM_HTTP, url.len + HOST_NAME_MAX + 1);
    buffer_append_view(&text, view_slice(url, 0, from));
    buffer_append_view(&text, view_from(server_name));
    buffer_append_view(&text, view_slice(url, to, url.len));
    api_field_string(b, "globalUrl", buffer_view(&text));
    buffer_deinit(&text);
}

static void active_write(struct buffer *b, const struct scrape_target_info *t,
                         const char *server_name)
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
    global_url_write(b, t->url, server_name);
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
                       struct view pool, const char *server_name)
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
            active_write(b, t, server_name);
    }
    buffer_append_byte(b, ']');
}

static int pool_compare(const void *a, const void *b)
{
    return view_cmp(((const struct scrape_pool_info *)a)->name,
                    ((const struct scrape_pool_info *)b)->name);
}

/* The snapshot, its pools by name, as Prometheus shows them. */
static void targets_get(struct api *api, struct arena *arena, struct scrape_targets *out)
{
    *out = (struct scrape_targets){0};
    scrape_targets_get(api->options.scrape, arena, out);
    if (out->pool_count)
        qsort(out->pools, out->pool_count, sizeof *out->pools, pool_compare);
}

void api_serve_targets(struct api *api, struct http_request *rq, struct http_response *rs)
{
    struct arena arena;
    struct scrape_targets all;
    struct view state = http_request_param(rq, "state"),
                pool = http_request_param(rq, "scrapePool");
    bool show_active = state.len == 0 || view_is(state, "any") || view_is(state, "active");
    bool show_dropped = state.len == 0 || view_is(state, "any") || view_is(state, "dropped");
    const struct scrape_targets none = {0};
    arena_init(&arena, MEM_HTTP, 0);
    targets_get(api, &arena, &all);
    struct buffer *b = api_begin(rs);
    buffer_append_literal(b, "{\"activeTargets\":");
    list_write(b, show_active ? &all : &none, false, pool, api->server_name);
    buffer_append_literal(b, ",\"droppedTargets\":");
    list_write(b, show_dropped ? &all : &none, true, pool, api->server_name);
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
    targets_get(api, &arena, &all);
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
