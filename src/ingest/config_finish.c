/* SPDX-License-Identifier: Apache-2.0 */
/* config_finish.c: what is known only when the whole file has been read: jobs inherit from `global`, whose scheme
 * for names decides over relabelling; names must be unique; what has no effect is told. */
#include "ingest/config_private.h"

#include "base/assert.h"
#include "base/map.h"
#include "base/utf8.h"

bool config_labels_check(struct loader *l, const struct yaml_node *node, struct labels labels,
                         bool legacy)
{
    for (uint32_t i = 0; i < labels.count; i++) {
        struct view name = labels.items[i].name, value = labels.items[i].value;
        if (legacy ? !label_name_is_legacy(name) : name.len == 0 || !utf8_is_valid(name))
            return yaml_error(l->err, node, "\"%.*s\" is not a valid label name",
                              VIEW_ARGS(view_slice(name, 0, 200)));
        if (!utf8_is_valid(value))
            return yaml_error(l->err, node,
                              "the value of label \"%.*s\" is not a valid label value",
                              VIEW_ARGS(view_slice(name, 0, 200)));
    }
    return true;
}

bool config_finish_rules(struct loader *l, const struct yaml_node *list, bool legacy,
                         struct config_relabel_rules *rules)
{
    ASSERT(rules->count == 0 || (list && list->count == rules->count));
    for (size_t i = 0; i < rules->count; i++) {
        struct error cause = {0};
        rules->items[i].legacy_names = legacy;
        if (!relabel_rule_check(&rules->items[i], &cause))
            return yaml_error(l->err, list->items[i], "%s", cause.message);
    }
    return true;
}

/* --- jobs --- */

static void inherit_u64(uint64_t *own, uint64_t global)
{
    if (*own == 0)
        *own = global;
}

static void inherit_limits(struct config_scrape_job *job, const struct config_global *global)
{
    if (job->body_size_limit_bytes == 0)
        job->body_size_limit_bytes = global->body_size_limit_bytes;
    inherit_u64(&job->sample_limit, global->sample_limit);
    inherit_u64(&job->target_limit, global->target_limit);
    inherit_u64(&job->label_limit, global->label_limit);
    inherit_u64(&job->label_name_length_limit, global->label_name_length_limit);
    inherit_u64(&job->label_value_length_limit, global->label_value_length_limit);
    inherit_u64(&job->keep_dropped_targets, global->keep_dropped_targets);
    if (job->scrape_failure_log_file.len == 0)
        job->scrape_failure_log_file = global->scrape_failure_log_file;
}

static void inherit_formats(struct config_scrape_job *job, const struct config_global *global)
{
    if (job->scrape_native_histograms < 0)
        job->scrape_native_histograms = global->scrape_native_histograms;
    if (job->convert_classic_histograms_to_nhcb < 0)
        job->convert_classic_histograms_to_nhcb = global->convert_classic_histograms_to_nhcb;
    if (job->always_scrape_classic_histograms < 0)
        job->always_scrape_classic_histograms = global->always_scrape_classic_histograms;
    if (job->extra_scrape_metrics < 0)
        job->extra_scrape_metrics = global->extra_scrape_metrics;
    if (job->scrape_protocols.count > 0)
        return;
    if (global->scrape_protocols.count > 0)
        job->scrape_protocols = global->scrape_protocols;
    else
        job->scrape_protocols = job->scrape_native_histograms ? CONFIG_PROTOCOLS_PROTOBUF_FIRST
                                                              : CONFIG_PROTOCOLS_DEFAULT;
}

static enum config_escaping escaping_of(enum config_name_validation names)
{
    return names == CONFIG_NAMES_LEGACY ? CONFIG_ESCAPING_UNDERSCORES : CONFIG_ESCAPING_ALLOW_UTF8;
}

static bool finish_names(struct loader *l, const struct yaml_node *node,
                         const struct config_global *global, struct config_scrape_job *job)
{
    enum config_escaping inherited = global->metric_name_escaping_scheme;
    bool unset = job->metric_name_validation_scheme == CONFIG_NAMES_UNSET;
    if (inherited == CONFIG_ESCAPING_UNSET)
        inherited = escaping_of(global->metric_name_validation_scheme);
    if (unset)
        job->metric_name_validation_scheme = global->metric_name_validation_scheme;
    /* A job that asks for legacy names must not inherit an escaping that allows UTF-8. */
    if (job->metric_name_escaping_scheme == CONFIG_ESCAPING_UNSET)
        job->metric_name_escaping_scheme =
            unset ? inherited : escaping_of(job->metric_name_validation_scheme);
    if (job->metric_name_escaping_scheme == CONFIG_ESCAPING_ALLOW_UTF8 &&
        job->metric_name_validation_scheme != CONFIG_NAMES_UTF8)
        return yaml_error(l->err, yaml_place(node, "metric_name_escaping_scheme"),
                          "utf8 metric names requested but validation scheme is not set to UTF8");
    return true;
}

bool config_finish_job(struct loader *l, const struct yaml_node *node,
                       const struct config_global *global, struct config_scrape_job *job)
{
    if (job->scrape_interval_ms == 0)
        job->scrape_interval_ms = global->scrape_interval_ms;
    if (job->scrape_timeout_ms > job->scrape_interval_ms)
        return yaml_error(
            l->err, yaml_place(node, "scrape_timeout"),
            "scrape timeout greater than scrape interval for scrape config with job name \"%.*s\"",
            VIEW_ARGS(view_slice(job->job_name, 0, 200)));
    if (job->scrape_timeout_ms == 0)
        job->scrape_timeout_ms = global->scrape_timeout_ms < job->scrape_interval_ms
                                     ? global->scrape_timeout_ms
                                     : job->scrape_interval_ms;
    inherit_limits(job, global);
    inherit_formats(job, global);
    if (job->scrape_protocols.count == 1 &&
        job->scrape_protocols.items[0] == CONFIG_PROTOCOL_PROTOBUF)
        config_warn(l, yaml_place(node, "scrape_protocols"),
                    "job \"%.*s\": PrometheusProto is not read by this version, its targets are "
                    "asked for any other format",
                    VIEW_ARGS(view_slice(job->job_name, 0, 200)));
    if (!finish_names(l, node, global, job))
        return false;
    bool legacy = job->metric_name_validation_scheme == CONFIG_NAMES_LEGACY;
    return config_finish_rules(l, yaml_find(node, "relabel_configs"), legacy,
                               &job->relabel_configs) &&
           config_finish_rules(l, yaml_find(node, "metric_relabel_configs"), legacy,
                               &job->metric_relabel_configs);
}

/* --- the other sections --- */

/* One "*" at most, and only in the last part of the path. */
static bool patterns_check(struct loader *l, const struct yaml_node *list, const char *what)
{
    for (uint32_t i = 0; list && list->kind == YAML_SEQUENCE && i < list->count; i++) {
        struct view text = list->items[i]->text;
        const char *star = text.len ? memchr(text.ptr, '*', text.len) : NULL;
        size_t rest = star ? text.len - (size_t)(star - text.ptr) - 1 : 0;
        if (star && memchr(star + 1, '/', rest))
            return yaml_error(l->err, list->items[i],
                              "invalid %s path \"%.*s\": a * may stand in the last part only", what,
                              VIEW_ARGS(view_slice(text, 0, 200)));
    }
    return true;
}

static bool finish_alerting(struct loader *l, const struct yaml_node *root, struct config *c,
                            bool legacy)
{
    const struct yaml_node *alerting = yaml_find(root, "alerting");
    const struct yaml_node *managers = yaml_find(alerting, "alertmanagers");
    if (!config_finish_rules(l, yaml_find(alerting, "alert_relabel_configs"), legacy,
                             &c->alert_relabel_configs))
        return false;
    for (size_t i = 0; i < c->alertmanagers.count; i++) {
        struct config_alertmanager *manager = &c->alertmanagers.items[i];
        if (!config_finish_rules(l, yaml_find(managers->items[i], "relabel_configs"), legacy,
                                 &manager->relabel_configs) ||
            !config_finish_rules(l, yaml_find(managers->items[i], "alert_relabel_configs"), legacy,
                                 &manager->alert_relabel_configs))
            return false;
    }
    return true;
}

/* False when the name was there before. Empty names are many. */
static bool name_is_new(struct string_map *names, struct view name)
{
    uint64_t first;
    if (name.len == 0)
        return true;
    if (string_map_get(names, name, &first))
        return false;
    string_map_set(names, name, 1);
    return true;
}

static bool finish_remotes(struct loader *l, const struct yaml_node *root, struct config *c,
                           bool legacy, struct string_map *write_names,
                           struct string_map *read_names)
{
    const struct yaml_node *writes = yaml_find(root, "remote_write"),
                           *reads = yaml_find(root, "remote_read");
    for (size_t i = 0; i < c->remote_write.count; i++) {
        struct config_remote_write *remote = &c->remote_write.items[i];
        if (!name_is_new(write_names, remote->name))
            return yaml_error(l->err, yaml_place(writes->items[i], "name"),
                              "found multiple remote write configs with job name \"%.*s\"",
                              VIEW_ARGS(view_slice(remote->name, 0, 200)));
        if (!config_finish_rules(l, yaml_find(writes->items[i], "write_relabel_configs"), legacy,
                                 &remote->write_relabel_configs))
            return false;
    }
    for (size_t i = 0; i < c->remote_read.count; i++) {
        if (!name_is_new(read_names, c->remote_read.items[i].name))
            return yaml_error(l->err, yaml_place(reads->items[i], "name"),
                              "found multiple remote read configs with job name \"%.*s\"",
                              VIEW_ARGS(view_slice(c->remote_read.items[i].name, 0, 200)));
    }
    return true;
}

static bool finish_otlp(struct loader *l, const struct yaml_node *root, const struct config *c)
{
    struct view strategy = c->otlp.translation_strategy;
    if (c->global.metric_name_validation_scheme == CONFIG_NAMES_LEGACY &&
        (view_is(strategy, "NoTranslation") || view_is(strategy, "NoUTF8EscapingWithSuffixes")))
        return yaml_error(l->err, yaml_place(yaml_find(root, "otlp"), "translation_strategy"),
                          "OTLP translation strategy \"%.*s\" is not allowed when UTF8 is disabled",
                          VIEW_ARGS(strategy));
    return true;
}

/* What is understood and has no function yet in this version: said once, where it was written. "false", an empty list
 * and nothing ask for no function. */
static void warn_of_fields(struct loader *l, const struct yaml_node *section,
                           const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct yaml_node *node = yaml_find(section, names[i]);
        bool asked = false;
        if (yaml_is_null(node) || (yaml_as_bool(node, &asked) && !asked) ||
            (node->kind != YAML_SCALAR && node->count == 0))
            continue;
        config_warn(l, node, "field \"%s\" has no effect in this version", names[i]);
    }
}

void config_warn_job(struct loader *l, const struct yaml_node *node)
{
    static const char *const FIELDS[] = {
        "scrape_native_histograms", "always_scrape_classic_histograms",
        "convert_classic_histograms_to_nhcb", "native_histogram_bucket_limit",
        "native_histogram_min_bucket_factor"};
    warn_of_fields(l, node, FIELDS, ARRAY_COUNT(FIELDS));
}

static void warn_without_effect(struct loader *l, const struct yaml_node *root)
{
    static const char *const SECTIONS[] = {"remote_write", "remote_read", "tracing", "otlp",
                                           "runtime"};
    static const char *const GLOBAL[] = {"scrape_native_histograms",
                                         "always_scrape_classic_histograms",
                                         "convert_classic_histograms_to_nhcb"};
    static const char *const TSDB[] = {"stale_series_compaction_threshold", "chunk_encoding"};
    const struct yaml_node *storage = yaml_find(root, "storage"),
                           *tsdb = yaml_find(storage, "tsdb");
    for (size_t i = 0; i < ARRAY_COUNT(SECTIONS); i++) {
        const struct yaml_node *node = yaml_find(root, SECTIONS[i]);
        if (node && !yaml_is_null(node) && (node->kind == YAML_SCALAR || node->count > 0))
            config_warn(l, node, "section \"%s\" has no effect in this version", SECTIONS[i]);
    }
    warn_of_fields(l, yaml_find(root, "global"), GLOBAL, ARRAY_COUNT(GLOBAL));
    warn_of_fields(l, tsdb, TSDB, ARRAY_COUNT(TSDB));
}

bool config_finish(struct loader *l, const struct yaml_node *root, struct config *c)
{
    static const struct config_storage NO_STORAGE = {.exemplars_max = 100000};
    bool legacy = c->global.metric_name_validation_scheme == CONFIG_NAMES_LEGACY;
    c->has_storage = c->storage != NULL;
    if (!c->storage)
        c->storage = &NO_STORAGE;
    if (!patterns_check(l, yaml_find(root, "rule_files"), "rule file") ||
        !patterns_check(l, yaml_find(root, "scrape_config_files"), "scrape config file") ||
        !finish_alerting(l, root, c, legacy) || !finish_otlp(l, root, c) ||
        !config_finish_heartbeats(l, root, c, legacy))
        return false;
    struct string_map *write_names = string_map_new(MEM_CONFIG),
                      *read_names = string_map_new(MEM_CONFIG);
    bool ok = finish_remotes(l, root, c, legacy, write_names, read_names);
    string_map_free(write_names);
    string_map_free(read_names);
    if (ok)
        warn_without_effect(l, root);
    return ok;
}
