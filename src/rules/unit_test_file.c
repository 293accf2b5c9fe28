/* SPDX-License-Identifier: Apache-2.0 */
/* unit_test_file.c: see unit_test_file.h. The first thing that is wrong ends the reading. */
#include "rules/unit_test_file.h"

#include "base/attributes.h"
#include "base/duration.h"
#include "base/map.h"
#include "base/nearest.h"
#include "base/yaml.h"

#include <inttypes.h>

#define MINUTE_MS 60000

struct reader {
    struct arena *arena;
    bool ignore_unknown;
    test_time_parse *parse_time;
    struct error *err;
};

static bool expected(struct reader *r, const struct yaml_node *node, const char *field,
                     const char *what)
{
    return yaml_error(r->err, node, "field \"%s\": expected %s, not %s", field, what,
                      yaml_describe(node));
}

static bool check_fields(struct reader *r, const struct yaml_node *node, const char *what,
                         const char *const *fields, size_t count)
{
    if (node->kind != YAML_MAPPING)
        return expected(r, node, what, "a mapping");
    for (uint32_t i = 0; !r->ignore_unknown && i < node->count; i++) {
        struct view key = node->pairs[i].key->text;
        bool known = false;
        for (size_t k = 0; k < count && !known; k++)
            known = view_is(key, fields[k]);
        const char *near = known ? NULL : nearest_word(key, fields, count);
        if (!known)
            return yaml_error(r->err, node->pairs[i].key, "field \"%.*s\" is not known in %s%s%s%s",
                              VIEW_ARGS(view_slice(key, 0, 200)), what,
                              near ? ", did you mean \"" : "", near ? near : "", near ? "\"?" : "");
    }
    return true;
}

static bool read_text(struct reader *r, const struct yaml_node *map, const char *field,
                      struct view *out)
{
    const struct yaml_node *node = yaml_find(map, field);
    *out = VIEW("");
    if (yaml_is_null(node))
        return true;
    if (node->kind != YAML_SCALAR)
        return expected(r, node, field, "a string");
    *out = node->text;
    return true;
}

static bool read_duration(struct reader *r, const struct yaml_node *map, const char *field,
                          int64_t otherwise, int64_t *out)
{
    const struct yaml_node *node = yaml_find(map, field);
    struct error why = {0};
    *out = otherwise;
    if (yaml_is_null(node))
        return true;
    if (node->kind != YAML_SCALAR)
        return expected(r, node, field, "a duration");
    if (!duration_parse(node->text, out, &why))
        return yaml_error(r->err, node, "field \"%s\": %s", field, why.message);
    if (*out == 0)
        *out = otherwise;
    return true;
}

static bool read_map(struct reader *r, const struct yaml_node *map, const char *field,
                     struct labels *out)
{
    const struct yaml_node *node = yaml_find(map, field);
    *out = (struct labels){NULL, 0};
    if (yaml_is_null(node))
        return true;
    if (node->kind != YAML_MAPPING)
        return expected(r, node, field, "a mapping");
    struct label *items = ARENA_ARRAY(r->arena, struct label, node->count + 1);
    for (uint32_t i = 0; i < node->count; i++) {
        const struct yaml_node *value = node->pairs[i].value;
        if (value->kind != YAML_SCALAR)
            return expected(r, value, field, "strings");
        items[i] =
            (struct label){node->pairs[i].key->text, yaml_is_null(value) ? VIEW("") : value->text};
    }
    labels_sort(r->arena, items, node->count);
    *out = (struct labels){items, node->count};
    return true;
}

/* The list of a field; *count 0 when it is not there. */
static bool find_list(struct reader *r, const struct yaml_node *map, const char *field,
                      const struct yaml_node **out, size_t *count)
{
    const struct yaml_node *node = yaml_find(map, field);
    *out = node;
    *count = 0;
    if (yaml_is_null(node))
        return true;
    if (node->kind != YAML_SEQUENCE)
        return expected(r, node, field, "a list");
    *count = node->count;
    return true;
}

static bool read_texts(struct reader *r, const struct yaml_node *map, const char *field,
                       struct test_texts *out)
{
    const struct yaml_node *list;
    *out = (struct test_texts){0};
    if (!find_list(r, map, field, &list, &out->count))
        return false;
    out->items = ARENA_ARRAY(r->arena, struct view, out->count + 1);
    for (size_t i = 0; i < out->count; i++) {
        if (list->items[i]->kind != YAML_SCALAR)
            return expected(r, list->items[i], field, "strings");
        out->items[i] = list->items[i]->text;
    }
    return true;
}

static bool read_alert(struct reader *r, const struct yaml_node *node, void *item)
{
    static const char *const FIELDS[] = {"exp_labels", "exp_annotations"};
    struct test_alert *a = item;
    *a = (struct test_alert){0};
    return yaml_is_null(node) ||
           (check_fields(r, node, "exp_alerts", FIELDS, ARRAY_COUNT(FIELDS)) &&
            read_map(r, node, "exp_labels", &a->labels) &&
            read_map(r, node, "exp_annotations", &a->annotations));
}

static bool read_sample(struct reader *r, const struct yaml_node *node, void *item)
{
    static const char *const FIELDS[] = {"labels", "value", "histogram"};
    struct test_sample *s = item;
    struct view histogram;
    if (!check_fields(r, node, "exp_samples", FIELDS, ARRAY_COUNT(FIELDS)) ||
        !read_text(r, node, "labels", &s->labels) || !read_text(r, node, "histogram", &histogram))
        return false;
    const struct yaml_node *value = yaml_find(node, "value");
    s->is_histogram = histogram.len > 0;
    return yaml_is_null(value) || yaml_as_float(value, &s->value) ||
           expected(r, value, "value", "a number");
}

static bool read_input(struct reader *r, const struct yaml_node *node, void *item)
{
    static const char *const FIELDS[] = {"series", "values"};
    struct test_input *in = item;
    in->line = node->line;
    return check_fields(r, node, "input_series", FIELDS, ARRAY_COUNT(FIELDS)) &&
           read_text(r, node, "series", &in->series) && read_text(r, node, "values", &in->values);
}

typedef bool item_reader(struct reader *r, const struct yaml_node *node, void *item);

/* Each item of the list of a field. */
static bool read_items(struct reader *r, const struct yaml_node *map, const char *field,
                       size_t item_bytes, item_reader *read, void *out, size_t *count)
{
    const struct yaml_node *list;
    if (!find_list(r, map, field, &list, count))
        return false;
    char *items = arena_alloc_zero(r->arena, *count + 1, item_bytes);
    *(void **)out = items;
    for (size_t i = 0; i < *count; i++)
        if (!read(r, list->items[i], items + i * item_bytes))
            return false;
    return true;
}

static bool read_alert_test(struct reader *r, const struct yaml_node *node, void *item)
{
    static const char *const FIELDS[] = {"eval_time", "alertname", "exp_alerts"};
    struct alert_test *t = item;
    return check_fields(r, node, "alert_rule_test", FIELDS, ARRAY_COUNT(FIELDS)) &&
           read_duration(r, node, "eval_time", 0, &t->eval_ms) &&
           read_text(r, node, "alertname", &t->alertname) &&
           read_items(r, node, "exp_alerts", sizeof *t->alerts, read_alert, &t->alerts,
                      &t->alert_count);
}

static bool read_expr_test(struct reader *r, const struct yaml_node *node, void *item)
{
    static const char *const FIELDS[] = {"expr", "eval_time", "exp_samples"};
    struct expr_test *t = item;
    return check_fields(r, node, "promql_expr_test", FIELDS, ARRAY_COUNT(FIELDS)) &&
           read_duration(r, node, "eval_time", 0, &t->eval_ms) &&
           read_text(r, node, "expr", &t->expr) &&
           read_items(r, node, "exp_samples", sizeof *t->samples, read_sample, &t->samples,
                      &t->sample_count);
}

static bool read_start(struct reader *r, const struct yaml_node *map, int64_t *out)
{
    const struct yaml_node *node = yaml_find(map, "start_timestamp");
    *out = 0;
    if (yaml_is_null(node))
        return true;
    struct error why;
    return (node->kind == YAML_SCALAR && r->parse_time(node->text, out, &why)) ||
           yaml_error(r->err, node,
                      "field \"start_timestamp\": expected seconds since 1970 or a time as in "
                      "2026-11-26T12:00:00Z");
}

static bool read_test(struct reader *r, const struct yaml_node *node, int64_t interval_ms,
                      struct test_group *t)
{
    static const char *const FIELDS[] = {
        "interval",     "input_series", "alert_rule_test", "promql_expr_test", "external_labels",
        "external_url", "name",         "start_timestamp"};
    return check_fields(r, node, "tests", FIELDS, ARRAY_COUNT(FIELDS)) &&
           read_duration(r, node, "interval", interval_ms, &t->interval_ms) &&
           read_text(r, node, "name", &t->name) && read_start(r, node, &t->start_ms) &&
           read_text(r, node, "external_url", &t->external_url) &&
           read_map(r, node, "external_labels", &t->external_labels) &&
           read_items(r, node, "input_series", sizeof *t->inputs, read_input, &t->inputs,
                      &t->input_count) &&
           read_items(r, node, "alert_rule_test", sizeof *t->alert_tests, read_alert_test,
                      &t->alert_tests, &t->alert_test_count) &&
           read_items(r, node, "promql_expr_test", sizeof *t->expr_tests, read_expr_test,
                      &t->expr_tests, &t->expr_test_count);
}

static bool check_order(struct reader *r, const struct yaml_node *root,
                        const struct test_texts *order)
{
    struct string_map *seen = string_map_new(MEM_RULES);
    bool ok = true;
    uint64_t before;
    for (size_t i = 0; i < order->count && ok; i++) {
        ok = !string_map_get(seen, order->items[i], &before) ||
             yaml_error(r->err, yaml_find(root, "group_eval_order")->items[i],
                        "group name repeated in evaluation order: %.*s",
                        VIEW_ARGS(view_slice(order->items[i], 0, 200)));
        string_map_set(seen, order->items[i], 1);
    }
    string_map_free(seen);
    return ok;
}

static bool read_file(struct reader *r, const struct yaml_node *root, struct unit_test_file *f)
{
    static const char *const FIELDS[] = {"rule_files", "evaluation_interval", "group_eval_order",
                                         "tests", "fuzzy_compare"};
    const struct yaml_node *fuzzy = yaml_find(root, "fuzzy_compare"), *tests;
    f->evaluation_interval_ms = MINUTE_MS;
    if (yaml_is_null(root))
        return true;
    if (!check_fields(r, root, "a file of unit tests", FIELDS, ARRAY_COUNT(FIELDS)) ||
        !read_texts(r, root, "rule_files", &f->rule_files) ||
        !read_duration(r, root, "evaluation_interval", MINUTE_MS, &f->evaluation_interval_ms) ||
        !read_texts(r, root, "group_eval_order", &f->group_eval_order) ||
        !check_order(r, root, &f->group_eval_order) ||
        !find_list(r, root, "tests", &tests, &f->test_count))
        return false;
    if (!yaml_is_null(fuzzy) && !yaml_as_bool(fuzzy, &f->fuzzy_compare))
        return expected(r, fuzzy, "fuzzy_compare", "true or false");
    f->tests = ARENA_ARRAY(r->arena, struct test_group, f->test_count + 1);
    for (size_t i = 0; i < f->test_count; i++)
        if (!read_test(r, tests->items[i], f->evaluation_interval_ms, &f->tests[i]))
            return false;
    return true;
}

bool unit_test_file_parse(struct arena *arena, struct view text, bool ignore_unknown,
                          test_time_parse *parse_time, struct unit_test_file *out,
                          struct error *err)
{
    const struct yaml_node *root;
    struct error why = {0};
    struct reader r = {arena, ignore_unknown, parse_time, &why};
    *out = (struct unit_test_file){0};
    if (yaml_parse(arena, text, &root, &why) && read_file(&r, root, out))
        return true;
    return error_set_at(err, why.kind, why.line, why.column, "%" PRIu32 ":%" PRIu32 ": %s",
                        why.line, why.column, why.message);
}
