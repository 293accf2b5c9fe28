/* SPDX-License-Identifier: Apache-2.0 */
/* rule_file.c: see rule_file.h. Everything that is wrong in a file is told at once, with Prometheus' words: whoever
 * mends it wants to do so once. */
#include "rules/rule_file.h"

#include "base/assert.h"
#include "base/duration.h"
#include "base/file.h"
#include "base/map.h"
#include "base/nearest.h"
#include "base/quote.h"
#include "base/utf8.h"
#include "base/yaml.h"
#include "rules/rule_text.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>

struct expression {
    struct expression *next;
    struct promql *parsed;
};

struct text {
    struct text *next;
    struct rule_text *parsed;
};

struct owner {
    struct rule_file file; /* first: the outside sees this */
    struct arena arena;
    /* What is no arena's: compiled regular expressions, templates. */
    struct expression *expressions;
    struct text *texts;
    atomic_uint references; /* relaxed up, acquire-release down */
};

struct loader {
    struct owner *owner;
    struct arena *arena;
    const struct rule_file_options *opts;
    struct rule_file *file;
    size_t error_capacity;
    const struct rule_group_definition *group; /* what is read; NULL outside of groups */
    size_t rule_number;                        /* from 1; 0 outside of rules */
    struct view rule_name;
};

/* --- errors --- */

static void add_error(struct loader *l, const struct yaml_node *node, const char *format, ...)
    PRINTF_LIKE(3, 4);
static void add_error(struct loader *l, const struct yaml_node *node, const char *format, ...)
{
    struct buffer text;
    char message[ERROR_MESSAGE_BYTES];
    va_list args;
    if (l->file->error_count == RULE_FILE_ERRORS_MAX)
        return;
    va_start(args, format);
    (void)vsnprintf(message, sizeof message, format, args); /* cut where it is too long */
    va_end(args);
    buffer_init(&text, MEM_CONFIG, 64 * 1024);
    if (node)
        buffer_printf(&text, "%" PRIu32 ":%" PRIu32 ": ", node->line, node->column);
    if (l->rule_number) {
        buffer_append_literal(&text, "group ");
        quote_append(&text, view_slice(l->group->name, 0, 200));
        buffer_printf(&text, ", rule %zu, ", l->rule_number);
        quote_append(&text, view_slice(l->rule_name, 0, 200));
        buffer_append_literal(&text, ": ");
    }
    buffer_append(&text, message, strlen(message));
    l->file->errors = arena_grow(l->arena, l->file->errors, &l->error_capacity,
                                 l->file->error_count + 1, sizeof *l->file->errors);
    l->file->errors[l->file->error_count++] = (struct rule_file_error){
        node ? node->line : 0, node ? node->column : 0, arena_copy(l->arena, buffer_view(&text))};
    buffer_deinit(&text);
}

static void expected(struct loader *l, const struct yaml_node *node, const char *field,
                     const char *what)
{
    add_error(l, node, "field \"%s\": expected %s, not %s", field, what, yaml_describe(node));
}

/* --- fields --- */

static void check_fields(struct loader *l, const struct yaml_node *node, const char *what,
                         const char *const *fields, size_t count)
{
    for (uint32_t i = 0; !l->opts->ignore_unknown_fields && i < node->count; i++) {
        struct view key = node->pairs[i].key->text;
        bool known = false;
        for (size_t k = 0; k < count && !known; k++)
            known = view_is(key, fields[k]);
        if (known)
            continue;
        const char *near = nearest_word(key, fields, count);
        add_error(l, node->pairs[i].key, "field \"%.*s\" is not known in %s%s%s%s",
                  VIEW_ARGS(view_slice(key, 0, 200)), what, near ? ", did you mean \"" : "",
                  near ? near : "", near ? "\"?" : "");
    }
}

static void read_text(struct loader *l, const struct yaml_node *map, const char *field,
                      struct view *out)
{
    const struct yaml_node *node = yaml_find(map, field);
    *out = VIEW("");
    if (yaml_is_null(node) && !(node && node->text.len))
        return;
    if (node->kind == YAML_SCALAR)
        *out = node->text;
    else
        expected(l, node, field, "a string");
}

static bool read_duration(struct loader *l, const struct yaml_node *map, const char *field,
                          int64_t *out)
{
    const struct yaml_node *node = yaml_find(map, field);
    struct error why = {0};
    *out = 0;
    if (yaml_is_null(node))
        return false;
    if (node->kind != YAML_SCALAR) {
        expected(l, node, field, "a duration");
        return false;
    }
    if (duration_parse(node->text, out, &why))
        return true;
    add_error(l, node, "field \"%s\": %s", field, why.message);
    return false;
}

static bool label_name_is_valid(const struct loader *l, struct view name)
{
    return l->opts->legacy_names ? label_name_is_legacy(name) : name.len > 0 && utf8_is_valid(name);
}

static bool metric_name_is_valid(const struct loader *l, struct view name)
{
    return l->opts->legacy_names ? metric_name_is_legacy(name)
                                 : name.len > 0 && utf8_is_valid(name);
}

/* A mapping of strings, sorted. Values may be empty: a label without one takes that label from the series. */
static struct labels read_map(struct loader *l, const struct yaml_node *map, const char *field)
{
    const struct yaml_node *node = yaml_find(map, field);
    struct labels none = {NULL, 0};
    if (yaml_is_null(node))
        return none;
    if (node->kind != YAML_MAPPING) {
        expected(l, node, field, "a mapping");
        return none;
    }
    struct label *items = ARENA_ARRAY(l->arena, struct label, node->count + 1);
    uint32_t count = 0;
    for (uint32_t i = 0; i < node->count; i++) {
        const struct yaml_node *value = node->pairs[i].value;
        if (value->kind != YAML_SCALAR) {
            expected(l, value, node->pairs[i].key->text.ptr, "a string");
            continue;
        }
        struct view text = yaml_is_null(value) ? VIEW("") : value->text;
        items[count++] = (struct label){node->pairs[i].key->text, text};
    }
    labels_sort(l->arena, items, count);
    return (struct labels){items, count};
}

static void check_names(struct loader *l, const struct yaml_node *map, const char *field,
                        const char *what, struct labels ls)
{
    const struct yaml_node *node = yaml_find(map, field);
    for (uint32_t i = 0; i < ls.count; i++) {
        struct view name = ls.items[i].name;
        bool is_name = strcmp(field, "labels") == 0 && view_is(name, LABEL_NAME);
        if (is_name || !label_name_is_valid(l, name))
            add_error(l, node, "invalid %s name: %.*s", what, VIEW_ARGS(view_slice(name, 0, 200)));
    }
}

/* Both are sorted; of two with one name the rule's own wins, also where its value is empty. */
static struct labels merge(struct arena *arena, struct labels group, struct labels own)
{
    struct label *items = ARENA_ARRAY(arena, struct label, group.count + own.count + 1);
    uint32_t count = 0, g = 0;
    for (uint32_t i = 0; i < own.count; i++) {
        while (g < group.count && view_cmp(group.items[g].name, own.items[i].name) < 0)
            items[count++] = group.items[g++];
        g += g < group.count && view_eq(group.items[g].name, own.items[i].name);
        items[count++] = own.items[i];
    }
    while (g < group.count)
        items[count++] = group.items[g++];
    return (struct labels){items, count};
}

/* --- rules --- */

static struct view print_expr(struct arena *arena, const struct promql *p)
{
    struct buffer text;
    buffer_init(&text, MEM_RULES, SIZE_MAX / 2);
    promql_print(&text, promql_root(p));
    struct view printed = arena_copy(arena, buffer_view(&text));
    buffer_deinit(&text);
    return printed;
}

static const struct promql *parse_expr(struct loader *l, const struct yaml_node *map,
                                       const char *field, struct view text)
{
    struct promql *parsed;
    struct error why = {0};
    if (!promql_parse(text, &l->opts->parser, &parsed, &why)) {
        add_error(l, yaml_find(map, field), "could not parse expression: %s", why.message);
        return NULL;
    }
    struct expression *e = ARENA_NEW(l->arena, struct expression);
    e->parsed = parsed;
    e->next = l->owner->expressions;
    l->owner->expressions = e;
    return parsed;
}

static const struct yaml_node *one_of(const struct yaml_node *map, const char *a, const char *b)
{
    const struct yaml_node *node = yaml_find(map, a);
    return node ? node : yaml_find(map, b);
}

static void forbid(struct loader *l, const struct yaml_node *map, const char *field,
                   const char *kind)
{
    const struct yaml_node *node = yaml_find(map, field);
    bool empty = yaml_is_null(node) || (node->kind == YAML_MAPPING && node->count == 0);
    if (!empty)
        add_error(l, node, "invalid field '%s' in %s rule", field, kind);
}

static void read_recording(struct loader *l, const struct yaml_node *map, struct rule_definition *r)
{
    static const char *const OF_ALERTS[] = {"annotations", "for", "keep_firing_for", "missing_for",
                                            "recover"};
    const struct yaml_node *node = yaml_find(map, "record");
    bool braces = memchr(r->name.ptr, '{', r->name.len) || memchr(r->name.ptr, '}', r->name.len);
    for (size_t i = 0; i < ARRAY_COUNT(OF_ALERTS); i++)
        forbid(l, map, OF_ALERTS[i], "recording");
    if (!metric_name_is_valid(l, r->name))
        add_error(l, node, "invalid recording rule name: %.*s",
                  VIEW_ARGS(view_slice(r->name, 0, 200)));
    else if (braces) /* valid in UTF-8, but meant for the expression */
        add_error(l, node, "braces present in the recording rule name; should it be in expr?: %.*s",
                  VIEW_ARGS(view_slice(r->name, 0, 200)));
}

/* Parses each value as the template that it may be. */
static struct rule_text **read_texts(struct loader *l, const struct yaml_node *map,
                                     const char *field, const char *what, struct view rule_name,
                                     struct labels ls)
{
    struct rule_text **texts = ARENA_ARRAY(l->arena, struct rule_text *, ls.count + 1);
    const struct yaml_node *node = yaml_find(map, field);
    for (uint32_t i = 0; i < ls.count; i++) {
        struct error why = {0};
        struct view name = ls.items[i].name;
        const struct yaml_node *place = yaml_find(node, name.ptr);
        if (!rule_text_new(&texts[i], rule_name, ls.items[i].value, &why))
            add_error(l,
                      place  ? place
                      : node ? node
                             : map,
                      "%s \"%.*s\": %s", what, VIEW_ARGS(view_slice(name, 0, 200)), why.message);
        if (!texts[i])
            continue;
        struct text *owned = ARENA_NEW(l->arena, struct text);
        owned->parsed = texts[i];
        owned->next = l->owner->texts;
        l->owner->texts = owned;
    }
    return texts;
}

static void read_alerting(struct loader *l, const struct yaml_node *map, struct rule_definition *r)
{
    r->label_texts = read_texts(l, map, "labels", "label", r->name, r->labels);
    (void)read_duration(l, map, "for", &r->for_ms);
    (void)read_duration(l, map, "keep_firing_for", &r->keep_firing_for_ms);
    r->annotations = read_map(l, map, "annotations");
    check_names(l, map, "annotations", "annotation", r->annotations);
    r->annotation_texts = read_texts(l, map, "annotations", "annotation", r->name, r->annotations);
    if (read_duration(l, map, "missing_for", &r->missing_for_ms)) {
        if (r->missing_for_ms == 0)
            add_error(l, yaml_find(map, "missing_for"), "field 'missing_for' must be above zero");
        if (r->for_ms)
            add_error(l, yaml_find(map, "for"),
                      "only one of 'for' and 'missing_for' must be set: the latter is how long "
                      "a series must be gone");
    }
    read_text(l, map, "recover", &r->recover_text);
    if (r->recover_text.len == 0)
        return;
    r->recover = parse_expr(l, map, "recover", r->recover_text);
    if (r->missing_for_ms)
        add_error(l, yaml_find(map, "recover"),
                  "only one of 'recover' and 'missing_for' must be set");
    else if (r->recover && promql_root(r->recover)->type != VALUE_VECTOR)
        add_error(l, yaml_find(map, "recover"), "field 'recover' must be an instant vector");
}

static void read_rule(struct loader *l, const struct yaml_node *map, struct labels group_labels,
                      struct rule_definition *r)
{
    static const char *const FIELDS[] = {"record",      "alert",           "expr",
                                         "for",         "keep_firing_for", "labels",
                                         "annotations", "missing_for",     "recover"};
    struct view record, alert;
    if (map->kind != YAML_MAPPING) {
        expected(l, map, "rules", "a mapping for each rule");
        return;
    }
    read_text(l, map, "record", &record);
    read_text(l, map, "alert", &alert);
    read_text(l, map, "expr", &r->text);
    l->rule_name = r->name = alert.len ? alert : record;
    r->kind = alert.len ? RULE_ALERTING : RULE_RECORDING;
    r->line = map->line;
    r->recover_text = VIEW("");
    check_fields(l, map, "a rule", FIELDS, ARRAY_COUNT(FIELDS));
    if (record.len && alert.len)
        add_error(l, one_of(map, "record", "alert"),
                  "only one of 'record' and 'alert' must be set");
    if (r->name.len == 0) {
        const struct yaml_node *node = one_of(map, "record", "alert");
        add_error(l, node ? node : map, "one of 'record' or 'alert' must be set");
    }
    if (r->text.len == 0) {
        const struct yaml_node *node = yaml_find(map, "expr");
        add_error(l, node ? node : map, "field 'expr' must be set in rule");
    } else {
        r->expr = parse_expr(l, map, "expr", r->text);
        r->printed = r->expr ? print_expr(l->arena, r->expr) : VIEW("");
    }
    struct labels own = read_map(l, map, "labels");
    check_names(l, map, "labels", "label", own);
    r->labels = merge(l->arena, group_labels, own);
    if (r->name.len && !(record.len && alert.len)) {
        if (r->kind == RULE_ALERTING)
            read_alerting(l, map, r);
        else
            read_recording(l, map, r);
    }
}

/* --- groups --- */

static void read_limit(struct loader *l, const struct yaml_node *map,
                       struct rule_group_definition *g)
{
    const struct yaml_node *node = yaml_find(map, "limit");
    int64_t limit = 0;
    if (yaml_is_null(node))
        return;
    if (!yaml_as_int(node, &limit))
        expected(l, node, "limit", "a whole number");
    g->limit = limit > 0 ? (uint64_t)limit : 0; /* as Prometheus: below zero there is none */
}

static void read_group(struct loader *l, const struct yaml_node *map, struct string_map *names,
                       struct rule_group_definition *g)
{
    static const char *const FIELDS[] = {"name",  "interval", "query_offset",
                                         "limit", "labels",   "rules"};
    uint64_t first;
    g->file = l->file->path;
    if (map->kind != YAML_MAPPING) {
        expected(l, map, "groups", "a mapping for each group");
        return;
    }
    read_text(l, map, "name", &g->name);
    const struct yaml_node *name = yaml_find(map, "name");
    if (g->name.len == 0)
        add_error(l, name ? name : map, "Groupname must not be empty");
    else if (string_map_get(names, g->name, &first))
        add_error(l, name, "groupname: \"%.*s\" is repeated in the same file",
                  VIEW_ARGS(view_slice(g->name, 0, 200)));
    string_map_set(names, g->name, 1);
    check_fields(l, map, "a group", FIELDS, ARRAY_COUNT(FIELDS));
    (void)read_duration(l, map, "interval", &g->interval_ms);
    g->has_query_offset = read_duration(l, map, "query_offset", &g->query_offset_ms);
    read_limit(l, map, g);
    struct labels labels = read_map(l, map, "labels");
    check_names(l, map, "labels", "label", labels);
    g->labels = labels;
    const struct yaml_node *rules = yaml_find(map, "rules");
    if (yaml_is_null(rules))
        return;
    if (rules->kind != YAML_SEQUENCE) {
        expected(l, rules, "rules", "a list");
        return;
    }
    g->rules = ARENA_ARRAY(l->arena, struct rule_definition, rules->count + 1);
    g->rule_count = rules->count;
    l->file->rule_count += rules->count;
    l->group = g;
    for (uint32_t i = 0; i < rules->count; i++) {
        l->rule_number = i + 1;
        l->rule_name = VIEW("");
        read_rule(l, rules->items[i], labels, &g->rules[i]);
    }
    l->rule_number = 0;
    l->group = NULL;
}

static void read_root(struct loader *l, const struct yaml_node *root)
{
    static const char *const FIELDS[] = {"groups"};
    if (yaml_is_null(root))
        return;
    if (root->kind != YAML_MAPPING) {
        add_error(l, root, "expected a mapping with the field \"groups\", not %s",
                  yaml_describe(root));
        return;
    }
    check_fields(l, root, "a rule file", FIELDS, ARRAY_COUNT(FIELDS));
    const struct yaml_node *groups = yaml_find(root, "groups");
    if (yaml_is_null(groups))
        return;
    if (groups->kind != YAML_SEQUENCE) {
        expected(l, groups, "groups", "a list");
        return;
    }
    struct string_map *names = string_map_new(MEM_CONFIG);
    l->file->groups = ARENA_ARRAY(l->arena, struct rule_group_definition, groups->count + 1);
    l->file->group_count = groups->count;
    for (uint32_t i = 0; i < groups->count; i++)
        read_group(l, groups->items[i], names, &l->file->groups[i]);
    string_map_free(names);
}

/* --- loading --- */

bool rule_file_parse(struct view text, const char *path, const struct rule_file_options *opts,
                     struct rule_file **out, struct error *err)
{
    static const struct rule_file_options DEFAULTS;
    const struct yaml_node *root;
    struct error why = {0};
    struct owner *owner = mem_alloc_zero(MEM_CONFIG, 1, sizeof *owner);
    arena_init(&owner->arena, MEM_CONFIG, 0); /* bounded as the text and the YAML reader are */
    atomic_init(&owner->references, 1);
    owner->file.path = arena_copy(&owner->arena, view_from(path));
    struct loader l = {.owner = owner,
                       .arena = &owner->arena,
                       .opts = opts ? opts : &DEFAULTS,
                       .file = &owner->file};
    *out = &owner->file;
    if (yaml_parse_first(l.arena, text, &root, &l.file->has_more_documents, &why)) {
        read_root(&l, root);
    } else {
        struct yaml_node place = {.line = why.line, .column = why.column};
        add_error(&l, why.line ? &place : NULL, "%s", why.message);
    }
    if (l.file->error_count == 0)
        return true;
    const struct rule_file_error *first = &l.file->errors[0];
    return error_set_at(err, why.kind != ERROR_NONE ? why.kind : ERROR_INPUT, first->line,
                        first->column, "%s: %.*s", path, VIEW_ARGS(first->text));
}

bool rule_file_load(const char *path, const struct rule_file_options *opts, struct rule_file **out,
                    struct error *err)
{
    struct buffer text;
    *out = NULL;
    buffer_init(&text, MEM_CONFIG, RULE_FILE_BYTES_MAX);
    bool ok = file_read_all(path, &text, err) &&
              rule_file_parse(buffer_view(&text), path, opts, out, err);
    buffer_deinit(&text);
    return ok;
}

struct rule_file *rule_file_ref(struct rule_file *f)
{
    struct owner *owner = (struct owner *)f;
    atomic_fetch_add_explicit(&owner->references, 1, memory_order_relaxed);
    return f;
}

void rule_file_unref(struct rule_file *f)
{
    struct owner *owner = (struct owner *)f;
    if (!f || atomic_fetch_sub_explicit(&owner->references, 1, memory_order_acq_rel) > 1)
        return;
    for (struct expression *e = owner->expressions; e; e = e->next)
        promql_free(e->parsed);
    for (struct text *t = owner->texts; t; t = t->next)
        rule_text_free(t->parsed);
    arena_deinit(&owner->arena);
    mem_free(MEM_CONFIG, owner);
}

static bool same_expr(const struct promql *a, const struct promql *b)
{
    struct buffer x, y;
    if (!a || !b)
        return a == b;
    buffer_init(&x, MEM_CONFIG, 16 << 20);
    buffer_init(&y, MEM_CONFIG, 16 << 20);
    promql_print(&x, promql_root(a));
    promql_print(&y, promql_root(b));
    bool same = view_eq(buffer_view(&x), buffer_view(&y)) && !x.failed && !y.failed;
    buffer_deinit(&x);
    buffer_deinit(&y);
    return same;
}

bool rule_definition_equal(const struct rule_definition *a, const struct rule_definition *b)
{
    return a->kind == b->kind && view_eq(a->name, b->name) && a->for_ms == b->for_ms &&
           a->keep_firing_for_ms == b->keep_firing_for_ms &&
           a->missing_for_ms == b->missing_for_ms && labels_equal(a->labels, b->labels) &&
           labels_equal(a->annotations, b->annotations) &&
           (view_eq(a->text, b->text) || same_expr(a->expr, b->expr)) &&
           (view_eq(a->recover_text, b->recover_text) || same_expr(a->recover, b->recover));
}
