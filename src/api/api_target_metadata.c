/* SPDX-License-Identifier: Apache-2.0 */
/* api_target_metadata.c: targets/metadata: what families say, target by target. */
#include "api/api_private.h"
#include "ingest/scrape.h"
#include "promql/parser.h"

struct metadata_answer {
    struct api *api;
    struct scrape_targets all;
    struct matcher_set match; /* parsed NULL: all targets */
    struct view metric;       /* "" = all */
    size_t limit, written;
    struct buffer *out;
};

static bool labels_match(const struct matcher_set *set, struct labels ls)
{
    for (size_t i = 0; i < set->count; i++) {
        if (!matcher_matches(&set->matchers[i], labels_get(ls, set->matchers[i].name)))
            return false;
    }
    return true;
}

static void metadata_write(struct metadata_answer *a, struct labels target,
                           const struct metric_metadata *m)
{
    struct buffer *b = a->out;
    if (a->written++)
        buffer_append_byte(b, ',');
    buffer_append_literal(b, "{\"target\":");
    api_labels(b, target);
    buffer_append_byte(b, ',');
    if (a->metric.len == 0) {
        api_field_string(b, "metric", m->family);
        buffer_append_byte(b, ',');
    }
    api_metadata_fields(b, m);
}

static void target_metadata_write(struct metadata_answer *a, size_t idx, struct arena *arena)
{
    struct labels target = a->all.items[idx].labels;
    struct metric_metadata *items;
    size_t count;
    if (!labels_match(&a->match, target))
        return;
    scrape_target_metadata(&a->all, idx, a->api->options.db, arena, &items, &count);
    for (size_t i = 0; i < count && a->written < a->limit; i++) {
        if (a->metric.len && !view_eq(a->metric, items[i].family))
            continue;
        metadata_write(a, target, &items[i]);
        if (a->metric.len)
            return;
    }
}

/* No selector matches all. Prometheus takes any that parses, {} too. */
static bool match_target_parse(struct http_request *rq, struct matcher_set *set, struct error *err)
{
    struct view text = http_request_param(rq, "match_target");
    *set = (struct matcher_set){0};
    if (text.len == 0)
        return true;
    if (!promql_parse_selector(text, &set->parsed, err))
        return false;
    const struct expr *root = promql_root(set->parsed);
    set->matchers = root->u.selector.matchers;
    set->count = root->u.selector.matcher_count;
    return true;
}

void api_serve_target_metadata(struct api *api, struct http_request *rq, struct http_response *rs)
{
    struct error err;
    struct metadata_answer a = {.api = api, .metric = http_request_param(rq, "metric")};
    if (!api_count_param(rq, "limit", &a.limit, rs))
        return;
    if (!match_target_parse(rq, &a.match, &err)) {
        api_error_param(rs, "match_target", &err);
        return;
    }
    struct arena arena;
    arena_init(&arena, MEM_HTTP, 0);
    a.out = api_begin(rs);
    buffer_append_byte(a.out, '[');
    scrape_targets_get(api->options.scrape, &arena, &a.all);
    for (size_t i = 0; i < a.all.active_count && a.written < a.limit; i++)
        target_metadata_write(&a, i, &arena);
    buffer_append_byte(a.out, ']');
    api_end(rs);
    scrape_targets_release(&a.all);
    arena_deinit(&arena);
    promql_free(a.match.parsed);
}
