/* SPDX-License-Identifier: Apache-2.0 */
/* config_print.c: the configuration as YAML, by the same tables that read it, laid out as Go's yaml.v2 does: lists
 * in mappings are not indented, empty fields are left out unless the table says otherwise. */
#include "ingest/config_private.h"

#include "base/assert.h"
#include "base/duration.h"
#include "base/floattext.h"

#include <ctype.h>
#include <inttypes.h>

static const struct view NAMES_OF_SECRETS[] = {
    VIEW_INIT("password"),    VIEW_INIT("secret"), VIEW_INIT("token"),
    VIEW_INIT("credentials"), VIEW_INIT("_key"),   VIEW_INIT("passphrase"),
};

/* user:password@ of a URL's authority. */
static bool url_password(struct view url, size_t *from, size_t *to)
{
    for (size_t i = 0; i + 2 < url.len; i++) {
        if (memcmp(url.ptr + i, "://", 3) != 0)
            continue;
        size_t colon = 0, at = 0;
        for (size_t j = i + 3; j < url.len && !strchr("/?#", url.ptr[j]); j++) {
            if (url.ptr[j] == ':' && !colon)
                colon = j;
            if (url.ptr[j] == '@')
                at = j;
        }
        *from = colon + 1;
        *to = at;
        return colon && at > colon;
    }
    return false;
}

void config_url_redacted(struct view url, struct buffer *out)
{
    size_t from, to;
    if (!url_password(url, &from, &to)) {
        buffer_append_view(out, url);
        return;
    }
    buffer_append_view(out, view_slice(url, 0, from));
    buffer_append_literal(out, "xxxxx");
    buffer_append_view(out, view_slice(url, to, url.len));
}

static void print_indent(struct buffer *out, unsigned indent)
{
    buffer_printf(out, "%*s", (int)indent, "");
}

static void print_url(struct buffer *out, struct view url, unsigned indent)
{
    struct buffer shown;
    buffer_init(&shown, MEM_CONFIG, CONFIG_FILE_BYTES_MAX);
    config_url_redacted(url, &shown);
    yaml_write_string(out, buffer_view(&shown), indent);
    buffer_deinit(&shown);
}

/* Two digits of the unit and the next: 1GiB512MiB. */
void config_bytes_format(struct buffer *out, int64_t bytes)
{
    static const char *const UNITS[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    uint64_t rest = bytes < 0 ? -(uint64_t)bytes : (uint64_t)bytes;
    if (rest == 0)
        buffer_append_literal(out, "0B");
    if (bytes < 0)
        buffer_append_byte(out, '-');
    for (size_t i = ARRAY_COUNT(UNITS); i-- > 0;) {
        uint64_t unit = (uint64_t)1 << (10 * i);
        if (rest >= unit)
            buffer_printf(out, "%" PRIu64 "%s", rest / unit, UNITS[i]);
        rest %= unit;
    }
}

/* --- what was kept as written --- */

bool config_name_is_secret(struct view name)
{
    if (view_has_suffix(name, VIEW("_file")) || view_has_suffix(name, VIEW("_url")) ||
        view_has_suffix(name, VIEW("_ref")))
        return false;
    for (size_t i = 0; i < ARRAY_COUNT(NAMES_OF_SECRETS); i++) {
        struct view part = NAMES_OF_SECRETS[i];
        for (size_t at = 0; at + part.len <= name.len; at++) {
            if (memcmp(name.ptr + at, part.ptr, part.len) == 0)
                return true;
        }
    }
    return false;
}

/* What is known of a node: the table of its mapping or of its list's items, if any, and whether it is to be hidden. */
struct raw {
    const struct section *section; /* NULL: names say what is secret */
    bool is_secret, is_url;
};

static void print_raw(struct buffer *out, const struct yaml_node *node, unsigned indent,
                      struct raw raw, bool in_list);

static void print_raw_scalar(struct buffer *out, const struct yaml_node *node, unsigned indent,
                             struct raw raw)
{
    if (raw.is_secret && !yaml_is_null(node) && node->text.len > 0)
        buffer_append_literal(out, SECRET_SHOWN);
    else if (yaml_is_null(node))
        buffer_append_literal(out, "null");
    else if (node->plain && !raw.is_url)
        buffer_append_view(out, node->text);
    else
        print_url(out, node->text, indent);
}

/* The value behind "name:" or "- ". Depth is that of the file: at most YAML_DEPTH_MAX. */
static void print_raw_value(struct buffer *out, const struct yaml_node *node, unsigned indent,
                            struct raw raw)
{
    if (node->kind == YAML_SCALAR) {
        buffer_append_byte(out, ' ');
        print_raw_scalar(out, node, indent, raw);
        buffer_append_byte(out, '\n');
    } else if (node->count == 0) {
        buffer_append_view(out, node->kind == YAML_SEQUENCE ? VIEW(" []\n") : VIEW(" {}\n"));
    } else {
        buffer_append_byte(out, '\n');
        print_raw(out, node, indent + (node->kind == YAML_SEQUENCE ? 0 : 2), raw, false);
    }
}

static const struct field *find_field(const struct section *section, struct view name)
{
    for (size_t i = 0; i < section->field_count; i++) {
        const struct field *field = &section->fields[i];
        const struct field *inner =
            field->kind == FIELD_INLINE ? find_field(field->section, name) : NULL;
        if (inner || view_is(name, field->name))
            return inner ? inner : field;
    }
    return NULL;
}

/* What is known of a member's value. */
static struct raw raw_member(struct raw of, struct view name)
{
    const struct field *field = of.section ? find_field(of.section, name) : NULL;
    struct raw raw = {.is_secret = of.is_secret};
    if (!field || field->kind == FIELD_RAW || field->kind == FIELD_HEADERS) {
        raw.is_secret |= config_name_is_secret(name);
    } else {
        raw.section = field->section; /* NULL of fields that have none */
        raw.is_secret |= field->kind == FIELD_SECRET;
        raw.is_url = field->kind == FIELD_URL;
    }
    return raw;
}

static void print_raw(struct buffer *out, const struct yaml_node *node, unsigned indent,
                      struct raw raw, bool in_list)
{
    for (uint32_t i = 0; i < node->count; i++) {
        if (i > 0 || !in_list)
            print_indent(out, indent);
        if (node->kind == YAML_MAPPING) {
            struct view name = node->pairs[i].key->text;
            yaml_write_string(out, name, indent);
            buffer_append_byte(out, ':');
            print_raw_value(out, node->pairs[i].value, indent, raw_member(raw, name));
        } else if (node->items[i]->kind == YAML_SCALAR || node->items[i]->count == 0) {
            buffer_append_byte(out, '-');
            print_raw_value(out, node->items[i], indent, raw);
        } else {
            buffer_append_literal(out, "- ");
            print_raw(out, node->items[i], indent + 2, raw, true);
        }
    }
}

void config_print_source(const struct section *section, const struct yaml_node *root,
                         struct buffer *out)
{
    if (root && root->kind != YAML_SCALAR)
        print_raw(out, root, 0, (struct raw){.section = section}, false);
}

/* --- fields --- */

struct list {
    const void *items;
    size_t count;
};

static bool section_is_empty(const struct section *section, const void *object);

static bool field_is_empty(const struct field *field, const void *object)
{
    const void *at = (const char *)object + field->offset;
    switch (field->kind) {
    case FIELD_BOOL:
        return !*(const bool *)at;
    case FIELD_TRISTATE:
        return *(const int8_t *)at < 0;
    case FIELD_INT:
    case FIELD_DURATION:
    case FIELD_BYTES:
        return *(const int64_t *)at == 0;
    case FIELD_UINT:
        return *(const uint64_t *)at == 0;
    case FIELD_FLOAT:
        return *(const double *)at == 0;
    case FIELD_WORD:
        return *(const int *)at == 0;
    case FIELD_STRING:
    case FIELD_PATH:
    case FIELD_URL:
        return ((const struct view *)at)->len == 0;
    case FIELD_SECRET:
        return !secret_is_set(at);
    case FIELD_PROTOCOLS:
        return ((const struct config_protocols *)at)->count == 0;
    case FIELD_LABELS:
        return ((const struct labels *)at)->count == 0;
    case FIELD_STRINGS:
    case FIELD_STRINGS_FLOW:
    case FIELD_PATHS:
    case FIELD_PAIRS:
    case FIELD_PARAMS:
    case FIELD_HEADERS:
    case FIELD_LIST:
    case FIELD_DISCOVERIES:
        return ((const struct list *)at)->count == 0;
    case FIELD_RAW:
    case FIELD_POINTER:
        return *(const void *const *)at == NULL;
    case FIELD_GROUP:
        return section_is_empty(field->section, object);
    case FIELD_STRUCT:
    case FIELD_INLINE:
        return section_is_empty(field->section, at);
    case FIELD_ACTION:
        return false;
    }
    UNREACHABLE();
}

static bool section_is_empty(const struct section *section, const void *object)
{
    for (size_t i = 0; i < section->field_count; i++) {
        if (!field_is_empty(&section->fields[i], object))
            return false;
    }
    return true;
}

static void print_double(struct buffer *out, double value)
{
    char text[FLOAT_TEXT_BYTES];
    buffer_append(out, text, float_format_short(value, text));
}

static void print_scalar(struct buffer *out, const struct field *field, const void *at,
                         unsigned indent)
{
    char text[DURATION_TEXT_BYTES];
    switch (field->kind) {
    case FIELD_BOOL:
        buffer_append_view(out, *(const bool *)at ? VIEW("true") : VIEW("false"));
        break;
    case FIELD_TRISTATE:
        buffer_append_view(out, *(const int8_t *)at > 0 ? VIEW("true") : VIEW("false"));
        break;
    case FIELD_INT:
        buffer_printf(out, "%" PRId64, *(const int64_t *)at);
        break;
    case FIELD_UINT:
        buffer_printf(out, "%" PRIu64, *(const uint64_t *)at);
        break;
    case FIELD_FLOAT:
        print_double(out, *(const double *)at);
        break;
    case FIELD_DURATION:
        buffer_append(out, text, duration_format(*(const int64_t *)at, text));
        break;
    case FIELD_BYTES:
        config_bytes_format(out, *(const int64_t *)at);
        break;
    case FIELD_WORD:
        buffer_append_view(out, view_from(field->words[*(const int *)at]));
        break;
    case FIELD_URL:
        print_url(out, *(const struct view *)at, indent);
        break;
    case FIELD_SECRET:
        buffer_append_view(out, secret_is_set(at) ? VIEW(SECRET_SHOWN) : VIEW("\"\""));
        break;
    case FIELD_ACTION:
        buffer_append_view(
            out, view_from(relabel_action_name(((const struct relabel_rule *)at)->action)));
        break;
    case FIELD_STRING:
    case FIELD_PATH:
        yaml_write_string(out, *(const struct view *)at, indent);
        break;
    default:
        UNREACHABLE();
    }
    buffer_append_byte(out, '\n');
}

static void print_strings(struct buffer *out, const struct config_strings *strings, unsigned indent)
{
    if (strings->count == 0) {
        buffer_append_literal(out, " []\n");
        return;
    }
    buffer_append_byte(out, '\n');
    for (size_t i = 0; i < strings->count; i++) {
        print_indent(out, indent);
        buffer_append_literal(out, "- ");
        yaml_write_string(out, strings->items[i], indent);
        buffer_append_byte(out, '\n');
    }
}

static void print_flow(struct buffer *out, const struct config_strings *strings)
{
    buffer_append_literal(out, " [");
    for (size_t i = 0; i < strings->count; i++) {
        if (i)
            buffer_append_literal(out, ", ");
        yaml_write_string(out, strings->items[i], 0);
    }
    buffer_append_literal(out, "]\n");
}

static void print_name(struct buffer *out, struct view name, unsigned indent)
{
    print_indent(out, indent);
    yaml_write_string(out, name, indent);
    buffer_append_byte(out, ':');
}

static void print_pair(struct buffer *out, struct view name, struct view value, unsigned indent)
{
    print_name(out, name, indent);
    buffer_append_byte(out, ' ');
    yaml_write_string(out, value, indent);
    buffer_append_byte(out, '\n');
}

static void print_headers(struct buffer *out, const struct config_headers *headers, unsigned indent)
{
    for (size_t i = 0; i < headers->count; i++) {
        const struct config_header *header = &headers->items[i];
        print_name(out, header->name, indent);
        buffer_append_byte(out, '\n');
        if (header->values.count) {
            print_name(out, VIEW("values"), indent + 2);
            print_strings(out, &header->values, indent + 2);
        }
        if (header->secret_count) {
            print_name(out, VIEW("secrets"), indent + 2);
            buffer_append_byte(out, '\n');
        }
        for (size_t j = 0; j < header->secret_count; j++) {
            print_indent(out, indent + 2);
            buffer_append_literal(out, "- " SECRET_SHOWN "\n");
        }
        if (header->files.count) {
            print_name(out, VIEW("files"), indent + 2);
            print_strings(out, &header->files, indent + 2);
        }
    }
}

static void print_protocols(struct buffer *out, const struct config_protocols *protocols,
                            unsigned indent)
{
    for (size_t i = 0; i < protocols->count; i++) {
        print_indent(out, indent);
        buffer_printf(out, "- %s\n",
                      config_protocol_name((enum config_protocol)protocols->items[i]));
    }
}

static void print_section(struct buffer *out, const struct section *section, const void *object,
                          unsigned indent, bool in_list);

static void print_list(struct buffer *out, const struct field *field, const struct list *list,
                       unsigned indent)
{
    for (size_t i = 0; i < list->count; i++) {
        print_indent(out, indent);
        buffer_append_literal(out, "- ");
        print_section(out, field->section, (const char *)list->items + i * field->section->bytes,
                      indent + 2, true);
    }
}

/* All entries of one kind under its name; kinds in the order they are first met. */
static void print_discoveries(struct buffer *out, const struct config_discoveries *discoveries,
                              unsigned indent)
{
    for (size_t i = 0; i < discoveries->count; i++) {
        const char *kind = discoveries->items[i].kind;
        if (i > 0 && discoveries->items[i - 1].kind == kind)
            continue;
        print_name(out, view_from(kind), indent);
        buffer_append_byte(out, '\n');
        for (size_t j = i; j < discoveries->count && discoveries->items[j].kind == kind; j++) {
            print_indent(out, indent);
            if (discoveries->items[j].node->count == 0) {
                buffer_append_literal(out, "- {}\n");
                continue;
            }
            buffer_append_literal(out, "- ");
            print_raw(out, discoveries->items[j].node, indent + 2, (struct raw){0}, true);
        }
    }
}

static void print_labels(struct buffer *out, const struct labels *labels, unsigned indent)
{
    for (uint32_t i = 0; i < labels->count; i++)
        print_pair(out, labels->items[i].name, labels->items[i].value, indent);
}

static void print_params(struct buffer *out, const struct config_params *params, unsigned indent)
{
    for (size_t i = 0; i < params->count; i++) {
        print_name(out, params->items[i].name, indent);
        print_strings(out, &params->items[i].values, indent);
    }
}

/* What is more than one line behind its name. */
static void print_block(struct buffer *out, const struct field *field, const void *object,
                        unsigned indent)
{
    const void *at = (const char *)object + field->offset;
    buffer_append_byte(out, '\n');
    switch (field->kind) {
    case FIELD_PROTOCOLS:
        print_protocols(out, at, indent);
        break;
    case FIELD_PAIRS: {
        const struct config_pairs *pairs = at;
        bool hide = strcmp(field->name, "headers") == 0; /* headers may carry credentials */
        for (size_t i = 0; i < pairs->count; i++)
            print_pair(out, pairs->items[i].name, hide ? VIEW(SECRET_SHOWN) : pairs->items[i].value,
                       indent + 2);
        break;
    }
    case FIELD_PARAMS:
        print_params(out, at, indent + 2);
        break;
    case FIELD_HEADERS:
        print_headers(out, at, indent + 2);
        break;
    case FIELD_LABELS:
        print_labels(out, at, indent + 2);
        break;
    case FIELD_RAW: {
        const struct yaml_node *node = *(const struct yaml_node *const *)at;
        if (node->kind != YAML_SCALAR)
            print_raw(out, node, indent + 2, (struct raw){0}, false);
        break;
    }
    case FIELD_GROUP:
        print_section(out, field->section, object, indent + 2, false);
        break;
    case FIELD_STRUCT:
        print_section(out, field->section, at, indent + 2, false);
        break;
    case FIELD_POINTER:
        print_section(out, field->section, *(const void *const *)at, indent + 2, false);
        break;
    case FIELD_LIST:
        print_list(out, field, at, indent);
        break;
    default:
        UNREACHABLE();
    }
}

/* Prometheus leaves out the regex of a rule that says none, shows one that was written though it is the default, and
 * shows the empty one as null. */
static bool print_regex(struct buffer *out, const struct relabel_rule *rule, unsigned indent,
                        bool in_list)
{
    struct relabel_rule plain;
    relabel_rule_init(&plain);
    if (rule->regex_text.ptr == plain.regex_text.ptr)
        return false;
    if (!in_list)
        print_indent(out, indent);
    buffer_append_literal(out, "regex: ");
    if (rule->regex_text.len)
        yaml_write_string(out, rule->regex_text, indent);
    else
        buffer_append_literal(out, "null");
    buffer_append_byte(out, '\n');
    return true;
}

static void print_field(struct buffer *out, const struct field *field, const void *object,
                        unsigned indent, bool in_list)
{
    const void *at = (const char *)object + field->offset;
    if (!in_list)
        print_indent(out, indent);
    buffer_printf(out, "%s:", field->name);
    switch (field->kind) {
    case FIELD_STRINGS:
    case FIELD_PATHS:
        print_strings(out, at, indent);
        break;
    case FIELD_STRINGS_FLOW:
        print_flow(out, at);
        break;
    case FIELD_PROTOCOLS:
    case FIELD_PAIRS:
    case FIELD_PARAMS:
    case FIELD_HEADERS:
    case FIELD_LABELS:
    case FIELD_RAW:
    case FIELD_GROUP:
    case FIELD_STRUCT:
    case FIELD_POINTER:
    case FIELD_LIST:
        print_block(out, field, object, indent);
        break;
    default:
        buffer_append_byte(out, ' ');
        print_scalar(out, field, at, indent);
        break;
    }
}

/* Returns whether anything was printed: the first line of a list's item stands behind its dash. */
static bool print_fields(struct buffer *out, const struct section *section, const void *object,
                         unsigned indent, bool in_list)
{
    for (size_t i = 0; i < section->field_count; i++) {
        const struct field *field = &section->fields[i];
        const void *at = (const char *)object + field->offset;
        if (field->kind == FIELD_INLINE) {
            in_list = !print_fields(out, field->section, at, indent, in_list) && in_list;
            continue;
        }
        if (section == &CONFIG_RELABEL_SECTION &&
            field->offset == offsetof(struct relabel_rule, regex_text)) {
            in_list = !print_regex(out, object, indent, in_list) && in_list;
            continue;
        }
        if (field_is_empty(field, object) && !(field->flags & FIELD_SHOW_ZERO))
            continue;
        if (field->kind == FIELD_DISCOVERIES)
            print_discoveries(out, at, indent);
        else
            print_field(out, field, object, indent, in_list);
        in_list = false;
    }
    return !in_list;
}

static void print_section(struct buffer *out, const struct section *section, const void *object,
                          unsigned indent, bool in_list)
{
    if (!print_fields(out, section, object, indent, in_list) && in_list)
        buffer_append_literal(out, "{}\n");
}

void config_print_yaml(const struct config *c, struct buffer *out)
{
    print_section(out, &CONFIG_SECTION, c, 0, false);
}
