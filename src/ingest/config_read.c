/* SPDX-License-Identifier: Apache-2.0 */
/* config_read.c: a YAML mapping into a struct, by the table of its section. The first thing wrong ends it, with a
 * sentence that says what was expected where. */
#include "ingest/config_private.h"

#include "base/assert.h"
#include "base/duration.h"
#include "base/nearest.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { SUGGESTIONS_MAX = 160, WARNINGS_MAX = 1000 };

bool config_error_place(struct loader *l)
{
    if (l->err && l->err->line)
        return error_wrap(l->err, "%s:%" PRIu32 ":%" PRIu32, l->file, l->err->line, l->err->column);
    return error_wrap(l->err, "%s", l->file);
}

void config_warn(struct loader *l, const struct yaml_node *node, const char *format, ...)
{
    struct config_strings *warnings = &l->owner->config.warnings;
    char sentence[512];
    va_list args;
    if (warnings->count >= WARNINGS_MAX)
        return;
    va_start(args, format);
    (void)vsnprintf(sentence, sizeof(sentence), format, args); /* a long one is cut */
    va_end(args);
    warnings->items = arena_grow(l->arena, warnings->items, &l->owner->warning_capacity,
                                 warnings->count + 1, sizeof(struct view));
    warnings->items[warnings->count++] =
        node ? arena_printf(l->arena, "%s:%" PRIu32 ":%" PRIu32 ": %s", l->file, node->line,
                            node->column, sentence)
             : arena_printf(l->arena, "%s: %s", l->file, sentence);
}

struct view config_join(struct arena *arena, const char *dir, struct view path)
{
    if (path.len == 0 || path.ptr[0] == '/' || dir[0] == '\0')
        return arena_copy(arena, path);
    return arena_printf(arena, "%s/%.*s", dir, VIEW_ARGS(path));
}

/* --- scalars --- */

static bool wrong_type(struct loader *l, const struct yaml_node *node, const char *expected)
{
    if (node->kind == YAML_SCALAR && node->text.len > 0)
        return yaml_error(l->err, node, "%s was expected, not \"%.*s\"", expected,
                          VIEW_ARGS(view_slice(node->text, 0, 100)));
    return yaml_error(l->err, node, "%s was expected, not %s", expected, yaml_describe(node));
}

/* Nothing is the empty string. */
static bool read_text(struct loader *l, const struct yaml_node *node, struct view *out)
{
    if (yaml_is_null(node)) {
        *out = (struct view){"", 0};
        return true;
    }
    if (node->kind != YAML_SCALAR)
        return wrong_type(l, node, "a string");
    *out = node->text;
    return true;
}

static bool read_duration(struct loader *l, const struct yaml_node *node, int64_t *out)
{
    struct view text = {"", 0};
    if (!read_text(l, node, &text))
        return false;
    if (text.len == 0)
        return yaml_is_null(node) ||
               yaml_error(l->err, node, "a duration like 15s was expected, not \"\"");
    if (duration_parse(text, out, l->err))
        return true;
    if (l->err) {
        l->err->line = node->line;
        l->err->column = node->column;
    }
    return false;
}

/* One part: 15MB. Prometheus tries the units of "iB" first, then those of "B"; both are powers of 1024. */
static size_t bytes_part(struct view text, double *out)
{
    static const char PREFIXES[] = "KMGTPE";
    size_t pos = 0;
    double value = 0, scale = 1;
    bool digits = false;
    for (; pos < text.len && text.ptr[pos] >= '0' && text.ptr[pos] <= '9'; pos++, digits = true)
        value = value * 10 + (text.ptr[pos] - '0');
    if (pos < text.len && text.ptr[pos] == '.') {
        for (pos++; pos < text.len && text.ptr[pos] >= '0' && text.ptr[pos] <= '9';
             pos++, digits = true) {
            scale /= 10;
            value += scale * (text.ptr[pos] - '0');
        }
    }
    const char *prefix = pos < text.len ? strchr(PREFIXES, text.ptr[pos]) : NULL;
    if (prefix && *prefix) {
        for (const char *p = PREFIXES; p <= prefix; p++)
            value *= 1024;
        pos++;
        pos += pos < text.len && text.ptr[pos] == 'i';
    }
    if (!digits || pos >= text.len || text.ptr[pos] != 'B')
        return 0;
    *out += value;
    return pos + 1;
}

bool config_bytes_parse(struct view text, int64_t *out)
{
    double sum = 0;
    bool negative = text.len > 0 && text.ptr[0] == '-';
    if (negative || (text.len > 0 && text.ptr[0] == '+'))
        text = view_slice(text, 1, text.len);
    if (view_is(text, "0")) {
        *out = 0;
        return true;
    }
    if (text.len == 0)
        return false;
    while (text.len > 0) {
        size_t used = bytes_part(text, &sum);
        if (used == 0)
            return false;
        text = view_slice(text, used, text.len);
    }
    if (sum >= 9.2e18)
        return false;
    *out = negative ? -(int64_t)sum : (int64_t)sum;
    return true;
}

static bool read_bytes(struct loader *l, const struct yaml_node *node, int64_t *out)
{
    struct view text = {"", 0};
    if (!read_text(l, node, &text))
        return false;
    if (yaml_is_null(node) || config_bytes_parse(text, out))
        return true;
    return wrong_type(l, node, "a size with its unit like 15MB");
}

static bool read_word(struct loader *l, const struct yaml_node *node, const char *const *words,
                      int *out)
{
    struct view text = {"", 0};
    struct buffer known;
    if (!read_text(l, node, &text))
        return false;
    for (int i = 0; words[i]; i++) {
        if (view_is(text, words[i])) {
            *out = i;
            return true;
        }
    }
    buffer_init(&known, MEM_CONFIG, 1024);
    for (size_t i = 0; words[i]; i++) {
        if (words[i][0])
            buffer_printf(&known, "%s%s", known.len ? ", " : "", words[i]);
    }
    (void)yaml_error(l->err, node, "\"%.*s\" is not one of %.*s",
                     VIEW_ARGS(view_slice(text, 0, 100)),
                     VIEW_ARGS(buffer_view(&known))); /* always false, as we return */
    buffer_deinit(&known);
    return false;
}

static bool read_action(struct loader *l, const struct yaml_node *node, struct relabel_rule *rule)
{
    struct view text = {"", 0};
    if (!read_text(l, node, &text))
        return false;
    rule->has_action = !yaml_is_null(node);
    if (!rule->has_action || relabel_action_parse(text, &rule->action))
        return true;
    const char *words[RELABEL_ACTION_COUNT];
    for (int i = 0; i < RELABEL_ACTION_COUNT; i++)
        words[i] = relabel_action_name((enum relabel_action)i);
    const char *near = nearest_word(text, words, RELABEL_ACTION_COUNT);
    return yaml_error(l->err, node, "unknown relabel action \"%.*s\"%s%s%s",
                      VIEW_ARGS(view_slice(text, 0, 100)), near ? "; did you mean \"" : "",
                      near ? near : "", near ? "\"?" : "");
}

/* A secret that is just ${NAME} is that variable of the environment, so that files need not hold any. */
static bool read_secret(struct loader *l, const struct yaml_node *node, struct view text,
                        struct secret *out)
{
    *out = secret_from(text);
    if (text.len < 4 || !view_has_prefix(text, VIEW("${")) || text.ptr[text.len - 1] != '}')
        return true;
    struct view name = view_slice(text, 2, text.len - 1);
    for (size_t i = 0; i < name.len; i++) {
        char c = name.ptr[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
        if (!letter && (i == 0 || c < '0' || c > '9'))
            return true;
    }
    const char *value = getenv(arena_copy(l->arena, name).ptr);
    if (!value || !*value)
        return yaml_error(l->err, node, "environment variable \"%.*s\" of this secret is not set",
                          VIEW_ARGS(view_slice(name, 0, 100)));
    *out = secret_from(arena_copy(l->arena, view_from(value)));
    return true;
}

static bool read_scalar(struct loader *l, const struct field *field, const struct yaml_node *node,
                        void *at)
{
    bool null = yaml_is_null(node), boolean = false;
    switch (field->kind) {
    case FIELD_BOOL:
        return null || yaml_as_bool(node, at) || wrong_type(l, node, "true or false");
    case FIELD_TRISTATE:
        if (!null && !yaml_as_bool(node, &boolean))
            return wrong_type(l, node, "true or false");
        if (!null)
            *(int8_t *)at = boolean;
        return true;
    case FIELD_INT:
        return null || yaml_as_int(node, at) || wrong_type(l, node, "a whole number");
    case FIELD_UINT:
        return null || yaml_as_uint(node, at) ||
               wrong_type(l, node, "a whole number of at least 0");
    case FIELD_FLOAT:
        return null || yaml_as_float(node, at) || wrong_type(l, node, "a number");
    case FIELD_STRING:
    case FIELD_URL:
        return read_text(l, node, at);
    case FIELD_SECRET: {
        struct view text = {"", 0};
        if (!read_text(l, node, &text))
            return false;
        return read_secret(l, node, text, at);
    }
    case FIELD_PATH: {
        struct view text = {"", 0};
        if (!read_text(l, node, &text))
            return false;
        *(struct view *)at = config_join(l->arena, l->dir, text);
        return true;
    }
    case FIELD_DURATION:
        return read_duration(l, node, at);
    case FIELD_BYTES:
        return read_bytes(l, node, at);
    case FIELD_WORD:
        return read_word(l, node, field->words, at);
    default:
        UNREACHABLE();
    }
}

/* --- lists and maps --- */

static bool expect_kind(struct loader *l, const struct yaml_node *node, enum yaml_kind kind)
{
    if (node->kind == kind)
        return true;
    return wrong_type(l, node, kind == YAML_SEQUENCE ? "a list" : "a mapping");
}

static bool read_strings(struct loader *l, const struct yaml_node *node, bool paths,
                         struct config_strings *out)
{
    *out = (struct config_strings){NULL, 0};
    if (yaml_is_null(node))
        return true;
    if (node->kind != YAML_SEQUENCE)
        return wrong_type(l, node, "a list of strings");
    out->items = ARENA_ARRAY(l->arena, struct view, node->count + 1);
    for (uint32_t i = 0; i < node->count; i++) {
        if (!read_text(l, node->items[i], &out->items[i]))
            return false;
        if (paths)
            out->items[i] = config_join(l->arena, l->dir, out->items[i]);
    }
    out->count = node->count;
    return true;
}

static bool read_protocols(struct loader *l, const struct yaml_node *node,
                           struct config_protocols *out)
{
    static const char *const WORDS[] = {
#define X(id, word, media_type) word,
        CONFIG_PROTOCOLS(X)
#undef X
            NULL};
    *out = (struct config_protocols){.count = 0};
    if (yaml_is_null(node))
        return true;
    if (!expect_kind(l, node, YAML_SEQUENCE))
        return false;
    if (node->count == 0)
        return yaml_error(l->err, node, "scrape_protocols cannot be empty");
    for (uint32_t i = 0; i < node->count; i++) {
        int protocol = 0;
        if (!read_word(l, node->items[i], WORDS, &protocol))
            return false;
        if (protocol == CONFIG_PROTOCOL_NONE)
            return wrong_type(l, node->items[i], "a scrape protocol");
        for (size_t j = 0; j < out->count; j++) {
            if (out->items[j] == protocol)
                return yaml_error(l->err, node->items[i],
                                  "duplicated protocol \"%s\" in scrape_protocols",
                                  WORDS[protocol]);
        }
        out->items[out->count++] = (uint8_t)protocol;
    }
    return true;
}

static int pair_compare(const void *a, const void *b)
{
    return view_cmp(((const struct config_pair *)a)->name, ((const struct config_pair *)b)->name);
}

static bool read_pairs(struct loader *l, const struct yaml_node *node, struct config_pairs *out)
{
    *out = (struct config_pairs){NULL, 0};
    if (yaml_is_null(node))
        return true;
    if (!expect_kind(l, node, YAML_MAPPING))
        return false;
    out->items = ARENA_ARRAY(l->arena, struct config_pair, node->count + 1);
    out->count = node->count;
    for (uint32_t i = 0; i < node->count; i++) {
        out->items[i].name = node->pairs[i].key->text;
        if (!read_text(l, node->pairs[i].value, &out->items[i].value))
            return false;
    }
    if (out->count > 1)
        qsort(out->items, out->count, sizeof(*out->items), pair_compare);
    return true;
}

static bool read_labels(struct loader *l, const struct yaml_node *node, struct labels *out)
{
    struct config_pairs pairs;
    if (!read_pairs(l, node, &pairs))
        return false;
    struct label *items = ARENA_ARRAY(l->arena, struct label, pairs.count + 1);
    for (size_t i = 0; i < pairs.count; i++)
        items[i] = (struct label){pairs.items[i].name, pairs.items[i].value};
    *out = (struct labels){items, (uint32_t)pairs.count};
    return true;
}

static int param_compare(const void *a, const void *b)
{
    return view_cmp(((const struct config_param *)a)->name, ((const struct config_param *)b)->name);
}

static bool read_params(struct loader *l, const struct yaml_node *node, struct config_params *out)
{
    *out = (struct config_params){NULL, 0};
    if (yaml_is_null(node))
        return true;
    if (!expect_kind(l, node, YAML_MAPPING))
        return false;
    out->items = ARENA_ARRAY(l->arena, struct config_param, node->count + 1);
    out->count = node->count;
    for (uint32_t i = 0; i < node->count; i++) {
        out->items[i].name = node->pairs[i].key->text;
        if (!read_strings(l, node->pairs[i].value, false, &out->items[i].values))
            return false;
    }
    if (out->count > 1)
        qsort(out->items, out->count, sizeof(*out->items), param_compare);
    return true;
}

static int header_compare(const void *a, const void *b)
{
    return view_cmp(((const struct config_header *)a)->name,
                    ((const struct config_header *)b)->name);
}

static bool read_secrets(struct loader *l, const struct yaml_node *node,
                         struct config_header *header)
{
    struct config_strings texts;
    if (!read_strings(l, node, false, &texts))
        return false;
    header->secrets = ARENA_ARRAY(l->arena, struct secret, texts.count + 1);
    header->secret_count = texts.count;
    for (size_t i = 0; i < texts.count; i++) {
        if (!read_secret(l, node->items[i], texts.items[i], &header->secrets[i]))
            return false;
    }
    return true;
}

/* True where a field that is not known is passed over, with a warning or without. */
static bool unknown_passes(struct loader *l, const struct yaml_node *key, const char *what)
{
    if (l->unknown == CONFIG_UNKNOWN_IS_WARNING)
        config_warn(l, key, "field \"%.*s\" is not known in %s and has no effect",
                    VIEW_ARGS(view_slice(key->text, 0, 100)), what);
    return l->unknown != CONFIG_UNKNOWN_IS_ERROR;
}

static bool read_header(struct loader *l, const struct yaml_node *node,
                        struct config_header *header)
{
    static const char *const KNOWN[] = {"values", "secrets", "files"};
    if (yaml_is_null(node))
        return true;
    if (!expect_kind(l, node, YAML_MAPPING))
        return false;
    for (uint32_t i = 0; i < node->count; i++) {
        const struct yaml_pair *pair = &node->pairs[i];
        bool ok;
        if (view_is(pair->key->text, "values"))
            ok = read_strings(l, pair->value, false, &header->values);
        else if (view_is(pair->key->text, "files"))
            ok = read_strings(l, pair->value, true, &header->files);
        else if (view_is(pair->key->text, "secrets"))
            ok = read_secrets(l, pair->value, header);
        else
            ok = unknown_passes(l, pair->key, "a header") ||
                 yaml_error(l->err, pair->key,
                            "field \"%.*s\" is not known in a header (known are %s, %s, %s)",
                            VIEW_ARGS(view_slice(pair->key->text, 0, 100)), KNOWN[0], KNOWN[1],
                            KNOWN[2]);
        if (!ok)
            return false;
    }
    return true;
}

static bool read_headers(struct loader *l, const struct yaml_node *node, struct config_headers *out)
{
    *out = (struct config_headers){NULL, 0};
    if (yaml_is_null(node))
        return true;
    if (!expect_kind(l, node, YAML_MAPPING))
        return false;
    out->items = ARENA_ARRAY(l->arena, struct config_header, node->count + 1);
    out->count = node->count;
    for (uint32_t i = 0; i < node->count; i++) {
        out->items[i].name = node->pairs[i].key->text;
        if (!read_header(l, node->pairs[i].value, &out->items[i]))
            return false;
    }
    if (out->count > 1)
        qsort(out->items, out->count, sizeof(*out->items), header_compare);
    return true;
}

/* --- sections --- */

/* What FIELD_LIST points to: all lists of structs have this layout. */
struct list {
    void *items;
    size_t count;
};

static void register_rules(struct loader *l, const struct list *list)
{
    struct config_rules_entry *entry = ARENA_NEW(l->arena, struct config_rules_entry);
    entry->rules = (struct config_relabel_rules){list->items, list->count};
    entry->next = l->owner->rules;
    l->owner->rules = entry;
}

static bool read_list(struct loader *l, const struct field *field, const struct yaml_node *node,
                      void *at)
{
    struct list *list = at;
    *list = (struct list){NULL, 0};
    if (yaml_is_null(node))
        return true;
    if (!expect_kind(l, node, YAML_SEQUENCE))
        return false;
    list->items = arena_alloc_zero(l->arena, node->count + 1u, field->section->bytes);
    list->count = node->count;
    for (uint32_t i = 0; i < node->count; i++) {
        void *item = (char *)list->items + i * field->section->bytes;
        if (yaml_is_null(node->items[i]))
            return yaml_error(l->err, node->items[i], "%s",
                              field->null_item ? field->null_item : "an item is empty");
        if (!config_read_section(l, field->section, node->items[i], item))
            return false;
    }
    if (field->section == &CONFIG_RELABEL_SECTION)
        register_rules(l, list);
    return true;
}

static bool read_field(struct loader *l, const struct field *field, const struct yaml_node *node,
                       void *object)
{
    void *at = (char *)object + field->offset;
    switch (field->kind) {
    case FIELD_STRINGS:
    case FIELD_STRINGS_FLOW:
        return read_strings(l, node, false, at);
    case FIELD_PATHS:
        return read_strings(l, node, true, at);
    case FIELD_PROTOCOLS:
        return read_protocols(l, node, at);
    case FIELD_PAIRS:
        return read_pairs(l, node, at);
    case FIELD_PARAMS:
        return read_params(l, node, at);
    case FIELD_HEADERS:
        return read_headers(l, node, at);
    case FIELD_LABELS:
        return read_labels(l, node, at);
    case FIELD_ACTION:
        return read_action(l, node, at);
    case FIELD_RAW:
        *(const struct yaml_node **)at = yaml_is_null(node) ? NULL : node;
        return true;
    case FIELD_GROUP:
        return config_read_section(l, field->section, node, object);
    case FIELD_STRUCT:
        return config_read_section(l, field->section, node, at);
    case FIELD_LIST:
        return read_list(l, field, node, at);
    case FIELD_POINTER:
        if (yaml_is_null(node))
            return true;
        *(void **)at = arena_alloc_zero(l->arena, 1, field->section->bytes);
        return config_read_section(l, field->section, node, *(void **)at);
    default:
        return read_scalar(l, field, node, at);
    }
}

static bool read_discoveries(struct loader *l, const char *kind, const struct yaml_node *node,
                             struct config_discoveries *out)
{
    if (yaml_is_null(node))
        return true;
    if (!expect_kind(l, node, YAML_SEQUENCE))
        return false;
    struct config_discovery *items =
        ARENA_ARRAY(l->arena, struct config_discovery, out->count + node->count + 1);
    for (size_t i = 0; i < out->count; i++)
        items[i] = out->items[i];
    out->items = items;
    for (uint32_t i = 0; i < node->count; i++) {
        if (yaml_is_null(node->items[i]))
            return yaml_error(l->err, node->items[i], "empty or null section in %s", kind);
        if (!expect_kind(l, node->items[i], YAML_MAPPING) ||
            !config_discovery_read(l, kind, node->items[i], &items[out->count++]))
            return false;
    }
    if (node->count && !config_discovery_works(kind))
        config_warn(l, node,
                    "this build of Belfry cannot discover targets by %s: it is checked and has no "
                    "effect; file_sd_configs or http_sd_configs can stand in",
                    kind);
    return true;
}

/* The table's field of this name; those of inlined tables too. *base is set to the struct it belongs to. */
static const struct field *find_field(const struct section *section, struct view name, void *object,
                                      void **base)
{
    for (size_t i = 0; i < section->field_count; i++) {
        const struct field *field = &section->fields[i];
        if (field->kind == FIELD_INLINE) {
            const struct field *found =
                find_field(field->section, name, (char *)object + field->offset, base);
            if (found)
                return found;
        } else if (field->kind == FIELD_DISCOVERIES ? config_discovery_kind(name) != NULL
                                                    : view_is(name, field->name)) {
            *base = object;
            return field;
        }
    }
    return NULL;
}

static void collect_names(const struct section *section, const char **names, size_t *count)
{
    for (size_t i = 0; i < section->field_count && *count < SUGGESTIONS_MAX; i++) {
        const struct field *field = &section->fields[i];
        if (field->kind == FIELD_INLINE) {
            collect_names(field->section, names, count);
        } else if (field->kind == FIELD_DISCOVERIES) {
            for (size_t j = 0; j < config_discovery_kind_count() && *count < SUGGESTIONS_MAX; j++)
                names[(*count)++] = config_discovery_kind_at(j);
        } else {
            names[(*count)++] = field->name;
        }
    }
}

static bool unknown_field(struct loader *l, const struct section *section,
                          const struct yaml_node *key)
{
    if (unknown_passes(l, key, section->what))
        return true;
    const char *names[SUGGESTIONS_MAX];
    size_t count = 0;
    collect_names(section, names, &count);
    const char *near = nearest_word(key->text, names, count);
    return yaml_error(l->err, key, "field \"%.*s\" is not known in %s%s%s%s",
                      VIEW_ARGS(view_slice(key->text, 0, 100)), section->what,
                      near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : "");
}

static bool read_pair(struct loader *l, const struct section *section, const struct yaml_pair *pair,
                      void *object)
{
    void *base = NULL;
    const struct field *field = find_field(section, pair->key->text, object, &base);
    if (!field)
        return unknown_field(l, section, pair->key);
    if (field->kind == FIELD_DISCOVERIES)
        return read_discoveries(l, config_discovery_kind(pair->key->text), pair->value,
                                (struct config_discoveries *)((char *)base + field->offset));
    if (read_field(l, field, pair->value, base))
        return true;
    if (l->err && l->err->line == pair->value->line && l->err->column == pair->value->column &&
        pair->value->kind == YAML_SCALAR)
        return error_wrap(l->err, "field \"%s\"", field->name);
    return false;
}

bool config_read_section(struct loader *l, const struct section *section,
                         const struct yaml_node *node, void *object)
{
    bool group = section->bytes ==
                 0; /* its members are those of the enclosing struct, which has its defaults */
    if (!group)
        memset(object, 0, section->bytes);
    if (section->defaults)
        section->defaults(object);
    if (!yaml_is_null(node)) {
        if (node->kind != YAML_MAPPING) {
            if (node->kind == YAML_SCALAR)
                return yaml_error(l->err, node, "%s was expected, not \"%.*s\"", section->what,
                                  VIEW_ARGS(view_slice(node->text, 0, 100)));
            return yaml_error(l->err, node, "%s was expected, not %s", section->what,
                              yaml_describe(node));
        }
        for (uint32_t i = 0; i < node->count; i++) {
            if (!read_pair(l, section, &node->pairs[i], object))
                return false;
        }
    }
    return !section->check || section->check(l, node, object);
}
