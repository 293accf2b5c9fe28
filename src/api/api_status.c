/* SPDX-License-Identifier: Apache-2.0 */
/* api_status.c: status/..., metadata: what the server knows of itself and of its metrics' families. */
#include "api/api_private.h"
#include "base/file.h"
#include "base/json_write.h"
#include "base/thread.h"

#include <limits.h>
#include <stdlib.h>
#include <unistd.h>

static struct view text_or_empty(const char *text)
{
    return view_from(text ? text : "");
}

static void buildinfo_write(const struct api *api, struct buffer *b)
{
    const struct api_options *o = &api->options;
    const struct {
        const char *name, *value;
    } fields[] = {{"version", o->version},      {"revision", o->revision},
                  {"branch", o->branch},        {"buildUser", o->build_user},
                  {"buildDate", o->build_date}, {"goVersion", NULL}}; /* clients expect the field */
    for (size_t i = 0; i < ARRAY_COUNT(fields); i++) {
        buffer_append_byte(b, i ? ',' : '{');
        api_field_string(b, fields[i].name, text_or_empty(fields[i].value));
    }
    buffer_append_byte(b, '}');
}

void api_serve_buildinfo(struct api *api, struct http_request *rq, struct http_response *rs)
{
    (void)rq;
    buildinfo_write(api, api_begin(rs));
    api_end(rs);
}

void api_serve_version(struct api *api, struct http_request *rq, struct http_response *rs)
{
    (void)rq;
    http_response_set_content_type(rs, "application/json");
    buildinfo_write(api, http_response_body(rs));
}

/* "Threads:\t7" of /proc/self/status; 0 when it cannot be read. */
static int64_t thread_count(void)
{
    static const char KEY[] = "\nThreads:";
    struct buffer text;
    int64_t count = 0;
    buffer_init(&text, MEM_HTTP, 64 * 1024);
    if (file_read_all("/proc/self/status", &text, NULL)) {
        buffer_append_byte(&text, '\0');
        const char *at = text.failed ? NULL : strstr(text.ptr, KEY);
        count = at ? strtoll(at + sizeof KEY - 1, NULL, 10) : 0;
    }
    buffer_deinit(&text);
    return count;
}

void api_serve_runtimeinfo(struct api *api, struct http_request *rq, struct http_response *rs)
{
    (void)rq;
    const struct api_options *o = &api->options;
    char folder[PATH_MAX] = "";
    struct db_stats stats = {0};
    wall_time loaded = o->started;
    bool reload_ok = o->config_state ? o->config_state(o->arg, &loaded) : true;
    if (o->db)
        db_stats_get(o->db, &stats);
    if (getcwd(folder, sizeof folder) == NULL)
        folder[0] = '\0'; /* the folder was removed: shown as empty */
    struct buffer *b = api_begin(rs);
    buffer_append_literal(b, "{\"startTime\":");
    api_time_format(b, o->started.ms);
    buffer_append_byte(b, ',');
    api_field_string(b, "CWD", view_from(folder));
    buffer_append_byte(b, ',');
    api_field_string(b, "hostname", view_from(api->server_name));
    buffer_append_literal(b, ",\"serverTime\":");
    api_time_format(b, clock_wall().ms);
    buffer_printf(b,
                  ",\"reloadConfigSuccess\":%s,\"lastConfigTime\":", reload_ok ? "true" : "false");
    api_time_format(b, loaded.ms - loaded.ms % 1000);
    buffer_append_byte(b, ',');
    api_field_int(b, "corruptionCount", (int64_t)stats.wal_corruptions);
    buffer_append_byte(b, ',');
    api_field_int(b, "goroutineCount", thread_count());
    buffer_append_byte(b, ',');
    api_field_int(b, "GOMAXPROCS", thread_cpu_count());
    /* Go's words for "no limit" and "not set"; dashboards read the fields. */
    buffer_append_literal(b, ",\"GOMEMLIMIT\":9223372036854775807,\"GOGC\":\"\",\"GODEBUG\":\"\",");
    api_field_string(b, "storageRetention", text_or_empty(o->storage_retention));
    buffer_append_byte(b, '}');
    api_end(rs);
}

static void top_write(struct buffer *b, const char *name, const struct db_top_item *items,
                      size_t count)
{
    buffer_printf(b, ",\"%s\":[", name);
    for (size_t i = 0; i < count; i++) {
        if (i)
            buffer_append_byte(b, ',');
        buffer_append_byte(b, '{');
        api_field_string(b, "name", items[i].name);
        buffer_append_byte(b, ',');
        api_field_int(b, "value", (int64_t)items[i].value);
        buffer_append_byte(b, '}');
    }
    buffer_append_byte(b, ']');
}

void api_serve_tsdb(struct api *api, struct http_request *rq, struct http_response *rs)
{
    struct error err;
    size_t limit = 10;
    struct view text = http_request_param(rq, "limit");
    if (text.len && (!api_limit_parse(text, &limit, NULL) || limit < 1)) {
        (void)error_set(&err, ERROR_INPUT, "limit must be a positive number"); /* always false */
        api_error(rs, &err);
        return;
    }
    struct arena arena;
    struct db_stats stats;
    struct db_top top = {0};
    arena_init(&arena, MEM_QUERY, 0);
    db_stats_get(api->options.db, &stats);
    db_top_get(api->options.db, limit > 10000 ? 10000 : limit, &arena, &top);
    struct buffer *b = api_begin(rs);
    buffer_append_literal(b, "{\"headStats\":{");
    api_field_int(b, "numSeries", (int64_t)stats.head_series);
    buffer_append_byte(b, ',');
    api_field_int(b, "numLabelPairs", (int64_t)top.label_pairs);
    buffer_append_byte(b, ',');
    api_field_int(b, "chunkCount", (int64_t)stats.head_chunks);
    buffer_append_byte(b, ',');
    api_field_int(b, "minTime", stats.head_mint);
    buffer_append_byte(b, ',');
    api_field_int(b, "maxTime", stats.head_maxt);
    buffer_append_byte(b, '}');
    top_write(b, "seriesCountByMetricName", top.series_by_metric, top.series_by_metric_count);
    top_write(b, "labelValueCountByLabelName", top.values_by_label, top.values_by_label_count);
    top_write(b, "memoryInBytesByLabelName", top.bytes_by_label, top.bytes_by_label_count);
    top_write(b, "seriesCountByLabelValuePair", top.series_by_pair, top.series_by_pair_count);
    buffer_append_byte(b, '}');
    api_end(rs);
    arena_deinit(&arena);
}

void api_serve_config(struct api *api, struct http_request *rq, struct http_response *rs)
{
    (void)rq;
    const struct api_options *o = &api->options;
    struct buffer text;
    buffer_init(&text, MEM_CONFIG, 64 << 20);
    if (o->config_text)
        o->config_text(o->arg, &text);
    struct buffer *b = api_begin(rs);
    buffer_append_byte(b, '{');
    api_field_string(b, "yaml", buffer_view(&text));
    buffer_append_byte(b, '}');
    api_end(rs);
    buffer_deinit(&text);
}

void api_serve_flags(struct api *api, struct http_request *rq, struct http_response *rs)
{
    (void)rq;
    const struct api_options *o = &api->options;
    struct buffer *b = api_begin(rs);
    buffer_append_byte(b, '{');
    for (size_t i = 0; i < o->flag_count; i++) {
        if (i)
            buffer_append_byte(b, ',');
        json_string(b, view_from(o->flags[i].name));
        buffer_append_byte(b, ':');
        json_string(b, text_or_empty(o->flags[i].value));
    }
    buffer_append_byte(b, '}');
    api_end(rs);
}

/* Replay is over before the port answers: its first, last and current segment are one. */
void api_serve_walreplay(struct api *api, struct http_request *rq, struct http_response *rs)
{
    (void)rq;
    struct db_stats stats;
    db_stats_get(api->options.db, &stats);
    int64_t segment = (int64_t)stats.wal_segment;
    struct buffer *b = api_begin(rs);
    buffer_append_byte(b, '{');
    api_field_int(b, "min", segment);
    buffer_append_byte(b, ',');
    api_field_int(b, "max", segment);
    buffer_append_byte(b, ',');
    api_field_int(b, "current", segment);
    buffer_append_byte(b, '}');
    api_end(rs);
}

/* ---- metadata ---- */

struct families {
    struct arena arena;
    struct metric_metadata *items;
    size_t count, capacity;
    struct view wanted; /* "" = all */
};

static bool family_collect(void *arg, const struct metric_metadata *m)
{
    struct families *f = arg;
    if (f->wanted.len && !view_eq(f->wanted, m->family))
        return true;
    f->items = arena_grow(&f->arena, f->items, &f->capacity, f->count + 1, sizeof *f->items);
    f->items[f->count++] = (struct metric_metadata){.family = arena_copy(&f->arena, m->family),
                                                    .help = arena_copy(&f->arena, m->help),
                                                    .unit = arena_copy(&f->arena, m->unit),
                                                    .type = m->type};
    return true;
}

static int family_compare(const void *a, const void *b)
{
    const struct metric_metadata *x = a, *y = b;
    int c = view_cmp(x->family, y->family);
    if (c == 0)
        c = (x->type > y->type) - (x->type < y->type);
    return c ? c : view_cmp(x->help, y->help);
}

void api_metadata_fields(struct buffer *b, const struct metric_metadata *m)
{
    api_field_string(b, "type", view_from(metric_type_name(m->type)));
    buffer_append_byte(b, ',');
    api_field_string(b, "help", m->help);
    buffer_append_byte(b, ',');
    api_field_string(b, "unit", m->unit);
    buffer_append_byte(b, '}');
}

bool api_count_param(struct http_request *rq, const char *name, size_t *out,
                     struct http_response *rs)
{
    struct error err;
    struct view text = http_request_param(rq, name);
    *out = SIZE_MAX;
    if (text.len == 0 || (view_has_prefix(text, VIEW("-")) && text.len > 1))
        return true;
    if (api_limit_parse(text, out, NULL))
        return true;
    (void)error_set(&err, ERROR_INPUT, "%s must be a number", name); /* always false */
    api_error(rs, &err);
    return false;
}

void api_serve_metadata(struct api *api, struct http_request *rq, struct http_response *rs)
{
    struct families f = {.wanted = http_request_param(rq, "metric")};
    size_t limit, per_metric, families = 0;
    if (!api_count_param(rq, "limit", &limit, rs) ||
        !api_count_param(rq, "limit_per_metric", &per_metric, rs))
        return;
    if (per_metric == 0)
        per_metric = SIZE_MAX;
    arena_init(&f.arena, MEM_QUERY, 0);
    db_metadata_each(api->options.db, family_collect, &f);
    if (f.count)
        qsort(f.items, f.count, sizeof *f.items, family_compare);
    struct buffer *b = api_begin(rs);
    buffer_append_byte(b, '{');
    for (size_t i = 0; i < f.count && families < limit; families++) {
        size_t first = i;
        if (families)
            buffer_append_byte(b, ',');
        json_string(b, f.items[i].family);
        buffer_append_literal(b, ":[");
        for (; i < f.count && view_eq(f.items[i].family, f.items[first].family); i++) {
            if (i - first >= per_metric)
                continue;
            if (i > first)
                buffer_append_byte(b, ',');
            buffer_append_byte(b, '{');
            api_metadata_fields(b, &f.items[i]);
        }
        buffer_append_byte(b, ']');
    }
    buffer_append_byte(b, '}');
    api_end(rs);
    arena_deinit(&f.arena);
}
