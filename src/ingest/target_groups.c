/* SPDX-License-Identifier: Apache-2.0 */
/* target_groups.c: see target_groups.h. */
#include "ingest/target_groups.h"

#include "base/checksum.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "base/yaml.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>

struct target_groups *target_groups_new(void)
{
    struct target_groups *g = mem_alloc_zero(MEM_SCRAPE, 1, sizeof *g);
    g->refs = 1;
    arena_init(&g->arena, MEM_SCRAPE, 0); /* bounded by the texts that fill it */
    return g;
}

struct target_groups *target_groups_ref(struct target_groups *g)
{
    atomic_fetch_add_explicit(&g->refs, 1, memory_order_relaxed);
    return g;
}

void target_groups_unref(struct target_groups *g)
{
    /* Release: what this thread read of it; acquire by the one that frees. */
    if (!g || atomic_fetch_sub_explicit(&g->refs, 1, memory_order_acq_rel) > 1)
        return;
    arena_deinit(&g->arena);
    mem_free(MEM_SCRAPE, g);
}

/* ---- what both formats have in common ---- */

/* Where a group's labels are gathered: room for `extra`, which takes the place of one of its name. */
struct label_list {
    struct label *items;
    uint32_t count;
};

static int label_compare(const void *a, const void *b)
{
    return view_cmp(((const struct label *)a)->name, ((const struct label *)b)->name);
}

static bool label_check(struct view name, struct view value, struct error *err)
{
    if (name.len == 0 || !utf8_is_valid(name))
        return error_set(err, ERROR_INPUT, "\"%.*s\" is not a valid label name",
                         VIEW_ARGS(view_slice(name, 0, 100)));
    return utf8_is_valid(value) ||
           error_set(err, ERROR_INPUT, "the value of label \"%.*s\" is not UTF-8",
                     VIEW_ARGS(view_slice(name, 0, 100)));
}

static struct labels labels_finish(struct label_list *list, struct label extra)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < list->count; i++) {
        if (list->items[i].value.len && !view_eq(list->items[i].name, extra.name))
            list->items[kept++] = list->items[i];
    }
    if (extra.value.len)
        list->items[kept++] = extra;
    qsort(list->items, kept, sizeof *list->items, label_compare);
    return (struct labels){list->items, kept};
}

static bool targets_count(struct target_groups *g, size_t more, struct error *err)
{
    g->target_count += more;
    return g->target_count <= TARGET_GROUPS_TARGETS_MAX ||
           error_set(err, ERROR_TOO_LARGE, "there are more than %d targets",
                     TARGET_GROUPS_TARGETS_MAX);
}

/* ---- YAML ---- */

static bool yaml_targets(struct target_groups *g, const struct yaml_node *node,
                         struct config_target_group *group, struct error *err)
{
    if (yaml_is_null(node))
        return true;
    if (node->kind != YAML_SEQUENCE)
        return yaml_error(err, node, "targets: a list was expected, not %s", yaml_describe(node));
    group->targets.items = ARENA_ARRAY(&g->arena, struct view, node->count + 1);
    for (uint32_t i = 0; i < node->count; i++) {
        const struct yaml_node *item = node->items[i];
        if (item->kind != YAML_SCALAR || yaml_is_null(item))
            return yaml_error(err, item, "a target like host:port was expected, not %s",
                              yaml_describe(item));
        group->targets.items[group->targets.count++] = arena_copy(&g->arena, item->text);
    }
    return targets_count(g, node->count, err);
}

static bool yaml_labels(struct target_groups *g, const struct yaml_node *node,
                        struct label_list *labels, struct error *err)
{
    uint32_t count = yaml_is_null(node) ? 0 : node->count;
    if (!yaml_is_null(node) && node->kind != YAML_MAPPING)
        return yaml_error(err, node, "labels: a mapping was expected, not %s", yaml_describe(node));
    labels->items = ARENA_ARRAY(&g->arena, struct label, count + 1);
    for (uint32_t i = 0; i < count; i++) {
        const struct yaml_pair *pair = &node->pairs[i];
        struct error why = {0};
        if (pair->value->kind != YAML_SCALAR)
            return yaml_error(err, pair->value, "the value of a label was expected, not %s",
                              yaml_describe(pair->value));
        struct view value = yaml_is_null(pair->value) ? VIEW("") : pair->value->text;
        if (!label_check(pair->key->text, value, &why))
            return yaml_error(err, pair->key, "%s", why.message);
        labels->items[labels->count++] =
            (struct label){arena_copy(&g->arena, pair->key->text), arena_copy(&g->arena, value)};
    }
    return true;
}

static bool yaml_group(struct target_groups *g, const struct yaml_node *node, struct label extra,
                       struct config_target_group *group, struct error *err)
{
    struct label_list labels = {NULL, 0};
    if (node->kind != YAML_MAPPING)
        return yaml_error(err, node, "a target group was expected, not %s", yaml_describe(node));
    for (uint32_t i = 0; i < node->count; i++) {
        const struct yaml_node *key = node->pairs[i].key;
        if (!view_is(key->text, "targets") && !view_is(key->text, "labels"))
            return yaml_error(err, key,
                              "field \"%.*s\" is not known in a target group, expected targets or "
                              "labels",
                              VIEW_ARGS(view_slice(key->text, 0, 100)));
    }
    if (!yaml_targets(g, yaml_find(node, "targets"), group, err) ||
        !yaml_labels(g, yaml_find(node, "labels"), &labels, err))
        return false;
    group->labels = labels_finish(&labels, extra);
    return true;
}

static bool parse_yaml_in(struct target_groups *g, struct arena *scratch, struct view text,
                          struct label extra, struct error *err)
{
    const struct yaml_node *root;
    if (!yaml_parse(scratch, text, &root, err))
        return false;
    if (yaml_is_null(root))
        return error_set(err, ERROR_INPUT, "there is nothing in it, not even an empty list");
    if (root->kind != YAML_SEQUENCE)
        return yaml_error(err, root, "a list of target groups was expected, not %s",
                          yaml_describe(root));
    g->groups.items = ARENA_ARRAY(&g->arena, struct config_target_group, root->count + 1);
    for (uint32_t i = 0; i < root->count; i++) {
        if (!yaml_group(g, root->items[i], extra, &g->groups.items[g->groups.count++], err))
            return false;
    }
    return true;
}

static bool parse_yaml(struct target_groups *g, struct view text, struct label extra,
                       struct error *err)
{
    struct arena scratch;
    arena_init(&scratch, MEM_SCRAPE, 0); /* YAML_NODES_MAX bounds it */
    bool ok = parse_yaml_in(g, &scratch, text, extra, err);
    arena_deinit(&scratch);
    if (!ok && err && err->line)
        error_wrap(err, "line %" PRIu32 ", column %" PRIu32, err->line, err->column);
    return ok;
}

/* ---- JSON ---- */

/* What a parser would allocate for, counted before it does. */
static size_t json_nodes(struct view text)
{
    size_t nodes = 1;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        nodes += c == ',' || c == ':' || c == '[' || c == '{';
    }
    return nodes;
}

static struct view json_text(struct arena *arena, const json_t *string)
{
    return arena_copy(arena, (struct view){json_string_value(string), json_string_length(string)});
}

static bool json_group(struct target_groups *g, json_t *node, size_t idx, struct label extra,
                       struct config_target_group *group, struct error *err)
{
    const char *name;
    json_t *value;
    size_t i;
    if (!json_is_object(node))
        return error_set(err, ERROR_INPUT, "item %zu is no target group", idx);
    json_object_foreach(node, name, value)
    {
        if (strcmp(name, "targets") != 0 && strcmp(name, "labels") != 0)
            return error_set(err, ERROR_INPUT,
                             "item %zu: field \"%.100s\" is not known in a target group, expected "
                             "targets or labels",
                             idx, name);
    }
    json_t *targets = json_object_get(node, "targets"), *pairs = json_object_get(node, "labels");
    if ((targets && !json_is_array(targets) && !json_is_null(targets)) ||
        (pairs && !json_is_object(pairs) && !json_is_null(pairs)))
        return error_set(err, ERROR_INPUT, "item %zu: targets must be a list and labels an object",
                         idx);
    group->targets.items = ARENA_ARRAY(&g->arena, struct view, json_array_size(targets) + 1);
    json_array_foreach(targets, i, value)
    {
        if (!json_is_string(value))
            return error_set(err, ERROR_INPUT, "item %zu: target %zu is no string", idx, i);
        group->targets.items[group->targets.count++] = json_text(&g->arena, value);
    }
    struct label_list labels = {ARENA_ARRAY(&g->arena, struct label, json_object_size(pairs) + 1),
                                0};
    json_object_foreach(pairs, name, value)
    {
        struct label *l = &labels.items[labels.count++];
        if (!json_is_string(value))
            return error_set(err, ERROR_INPUT, "item %zu: label \"%.100s\" is no string", idx,
                             name);
        *l = (struct label){arena_copy(&g->arena, view_from(name)), json_text(&g->arena, value)};
        if (!label_check(l->name, l->value, err))
            return error_wrap(err, "item %zu", idx);
    }
    group->labels = labels_finish(&labels, extra);
    return targets_count(g, group->targets.count, err);
}

static bool json_groups(struct target_groups *g, json_t *root, struct label extra,
                        struct error *err)
{
    size_t i;
    json_t *value;
    if (!json_is_array(root))
        return error_set(err, ERROR_INPUT, "a list of target groups was expected");
    g->groups.items = ARENA_ARRAY(&g->arena, struct config_target_group, json_array_size(root) + 1);
    json_array_foreach(root, i, value)
    {
        if (!json_group(g, value, i, extra, &g->groups.items[g->groups.count++], err))
            return false;
    }
    return true;
}

static bool parse_json(struct target_groups *g, struct view text, struct label extra,
                       struct error *err)
{
    json_error_t why;
    if (text.len > TARGET_GROUPS_BYTES_MAX)
        return error_set(err, ERROR_TOO_LARGE, "it is larger than %d bytes",
                         TARGET_GROUPS_BYTES_MAX);
    if (json_nodes(text) > TARGET_GROUPS_NODES_MAX)
        return error_set(err, ERROR_TOO_LARGE, "it has more than %d values",
                         TARGET_GROUPS_NODES_MAX);
    json_t *root = json_loadb(text.ptr, text.len, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &why);
    if (!root)
        return error_set(err, ERROR_INPUT, "line %d, column %d: %s", why.line, why.column,
                         why.text);
    bool ok = json_groups(g, root, extra, err);
    json_decref(root);
    return ok;
}

bool target_groups_parse(struct view text, enum target_groups_format format, struct label extra,
                         struct target_groups **out, struct error *err)
{
    *out = NULL;
    size_t blank = 0;
    while (blank < text.len && strchr(" \t\r\n", text.ptr[blank]) && text.ptr[blank])
        blank++;
    if (blank == text.len)
        return error_set(err, ERROR_INPUT, "it is empty");
    struct target_groups *g = target_groups_new();
    extra = (struct label){arena_copy(&g->arena, extra.name), arena_copy(&g->arena, extra.value)};
    if (format == TARGET_GROUPS_JSON ? !parse_json(g, text, extra, err)
                                     : !parse_yaml(g, text, extra, err)) {
        target_groups_unref(g);
        return false;
    }
    g->hash = hash64_view(text);
    *out = g;
    return true;
}

bool target_groups_read(const char *path, struct target_groups **out, struct error *err)
{
    struct buffer text;
    struct view name = view_from(path);
    enum target_groups_format format =
        view_has_suffix(name, VIEW(".json")) ? TARGET_GROUPS_JSON : TARGET_GROUPS_YAML;
    buffer_init(&text, MEM_SCRAPE, TARGET_GROUPS_BYTES_MAX);
    bool ok = file_read_all(path, &text, err) &&
              (target_groups_parse(buffer_view(&text), format,
                                   (struct label){VIEW("__meta_filepath"), name}, out, err) ||
               error_wrap(err, "file \"%s\"", path));
    buffer_deinit(&text);
    return ok;
}
