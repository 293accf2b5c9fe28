/* SPDX-License-Identifier: Apache-2.0 */
/* discover_check.c: see discover_check.h. */
#include "ingest/discover_check.h"

#include "base/json_write.h"
#include "ingest/discover.h"
#include "ingest/target.h"

#include <curl/curl.h>

struct check {
    struct config *config;
    const struct config_scrape_job *job;
    struct buffer *out, *errors;
    size_t printed;
};

static void labels_print(struct buffer *out, const char *name, struct labels ls)
{
    buffer_printf(out, "    \"%s\": {", name);
    for (uint32_t i = 0; i < ls.count; i++) {
        buffer_append_view(out, i ? VIEW(",\n      ") : VIEW("\n      "));
        json_string(out, ls.items[i].name);
        buffer_append_literal(out, ": ");
        json_string(out, ls.items[i].value);
    }
    buffer_append_view(out, ls.count ? VIEW("\n    }") : VIEW("}"));
}

/* After relabelling, with the labels that decide where and how; a target that was dropped has none. */
static struct labels relabelled(const struct check *c, struct arena *arena, const struct target *t)
{
    struct labels_builder b;
    labels_builder_init(&b, arena);
    labels_builder_reset(&b, t->discovered);
    if (!relabel_process(c->job->relabel_configs.items, c->job->relabel_configs.count, &b))
        return (struct labels){NULL, 0};
    if (labels_builder_get(&b, VIEW("instance")).len == 0)
        labels_builder_set(&b, VIEW("instance"), labels_builder_get(&b, VIEW("__address__")));
    return labels_builder_finish(&b);
}

static void print_groups(struct check *c, struct arena *arena,
                         const struct config_target_groups *groups)
{
    for (size_t g = 0; g < groups->count; g++) {
        const struct config_target_group *group = &groups->items[g];
        for (size_t i = 0; i < group->targets.count; i++) {
            struct target *t = NULL;
            struct error err = {0};
            bool ok =
                target_new(&t, c->config, c->job, group->targets.items[i], group->labels, &err);
            buffer_append_view(c->out, c->printed++ ? VIEW(",\n  {\n") : VIEW("\n  {\n"));
            labels_print(c->out, "discoveredLabels", ok ? t->discovered : group->labels);
            buffer_append_literal(c->out, ",\n");
            labels_print(c->out, "labels", ok ? relabelled(c, arena, t) : (struct labels){NULL, 0});
            if (!ok) {
                buffer_append_literal(c->out, ",\n    \"error\": ");
                json_string(c->out, view_from(err.message));
            }
            buffer_append_literal(c->out, "\n  }");
            target_unref(t);
        }
    }
}

static void ignore_change(void *arg)
{
    (void)arg;
}

static void on_event(void *arg, bool is_error, const char *event, const char *text)
{
    const struct check *c = arg;
    (void)event;
    if (is_error)
        buffer_printf(c->errors, "%s\n", text);
}

static void print_job(struct check *c, int64_t timeout_ms)
{
    struct client_tokens *tokens = client_tokens_new();
    struct discover *d = discover_new(&(struct discover_options){
        .tokens = tokens, .changed = ignore_change, .log = on_event, .arg = c});
    struct config one = *c->config; /* only this job is asked about */
    struct arena arena;
    one.scrape_configs = (struct config_scrape_jobs){(struct config_scrape_job *)(uintptr_t)c->job,
                                                     1}; /* discovery only reads it */
    arena_init(&arena, MEM_OTHER, 0);
    discover_apply(d, &one);
    bool in_time = discover_wait(d, timeout_ms);
    buffer_append_byte(c->out, '[');
    print_groups(c, &arena, &c->job->static_configs);
    for (size_t i = 0; i < c->job->discoveries.count; i++) {
        struct discover_result *r = discover_result_get(d, &c->job->discoveries.items[i]);
        for (size_t s = 0; r && s < r->count; s++)
            print_groups(c, &arena, &r->sets[s]->groups);
        discover_result_unref(r);
    }
    buffer_append_view(c->out, c->printed ? VIEW("\n]\n") : VIEW("]\n"));
    discover_free(d);
    if (!in_time)
        buffer_printf(c->errors, "not all discoveries answered in %lld ms\n",
                      (long long)timeout_ms);
    client_tokens_free(tokens);
    arena_deinit(&arena);
}

bool discover_check(const char *path, enum config_unknown unknown, const char *job_name,
                    int64_t timeout_ms, struct buffer *out, struct buffer *errors,
                    struct error *err)
{
    struct check c = {.out = out, .errors = errors};
    if (!config_load_file(path, unknown, &c.config, err))
        return false;
    for (size_t i = 0; i < c.config->scrape_configs.count; i++) {
        if (view_is(c.config->scrape_configs.items[i].job_name, job_name))
            c.job = &c.config->scrape_configs.items[i];
    }
    bool ok = c.job != NULL;
    if (!ok) {
        struct buffer names;
        buffer_init(&names, MEM_OTHER, 1 << 20);
        for (size_t i = 0; i < c.config->scrape_configs.count; i++)
            buffer_printf(&names, "%s%.*s", i ? ", " : "",
                          VIEW_ARGS(c.config->scrape_configs.items[i].job_name));
        error_set(err, ERROR_NOT_FOUND, "job \"%s\" not found, select one of: %.*s", job_name,
                  VIEW_ARGS(view_slice(buffer_view(&names), 0, 500)));
        buffer_deinit(&names);
    } else if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
        ok = error_set(err, ERROR_INTERNAL, "could not initialise libcurl");
    } else {
        print_job(&c, timeout_ms);
        curl_global_cleanup();
    }
    config_unref(c.config);
    return ok;
}
