/* SPDX-License-Identifier: Apache-2.0 */
/* yaml.c: the tree is built from libfyaml's events, never from its documents: those expand aliases without
 * bound and compare keys in quadratic time. Ours are an explicit stack (depth is a limit and not the machine's
 * stack), aliases that share nodes and are charged for what a walk through them costs, and keys sorted once per
 * mapping to find those said twice.
 *
 * Numbers of walk_count saturate at YAML_NODES_MAX + 1, so nine levels of nine aliases cannot overflow. */
#include "base/yaml.h"

#include "base/assert.h"
#include "base/checksum.h"
#include "base/map.h"
#include "base/utf8.h"

#include <errno.h>
#include <inttypes.h>
#include <libfyaml.h>
#include <stdarg.h>
#include <stdlib.h>

#define TAG_PREFIX "tag:yaml.org,2002:"

/* A collection that is still open. */
struct level {
    struct yaml_node *node;
    struct view anchor; /* empty: none */
    const struct yaml_node **items;
    struct yaml_pair *pairs;
    size_t count, capacity;
    const struct yaml_node *key; /* mapping: read, its value not yet */
};

struct anchor {
    struct view name;
    const struct yaml_node *node; /* NULL while its collection is open */
};

struct builder {
    struct arena *arena;
    struct view text;
    struct error *err;
    struct fy_parser *parser;
    struct fy_diag *diag;
    struct level levels[YAML_DEPTH_MAX + 1];
    size_t depth;
    const struct yaml_node *root;
    struct anchor *anchors;
    size_t anchor_count, anchor_capacity;
    struct map anchor_index; /* of the latest anchor of each name */
    uint64_t walk_count;     /* nodes so far, aliases with all below them */
    bool first_only;         /* a second document ends the reading */
    bool has_more;           /* ... and there was one */
};

static bool anchor_is(const void *context, uint32_t item, const void *key)
{
    const struct builder *b = context;
    return view_eq(b->anchors[item].name, *(const struct view *)key);
}

static void anchor_set(struct builder *b, struct view name, const struct yaml_node *node)
{
    uint64_t hash = hash64_secret(name.ptr, name.len);
    uint32_t found = map_find(&b->anchor_index, hash, anchor_is, b, &name);
    if (found != MAP_NONE) { /* an anchor may be said again: later aliases mean the later node */
        b->anchors[found].node = node;
        return;
    }
    b->anchors = arena_grow(b->arena, b->anchors, &b->anchor_capacity, b->anchor_count + 1,
                            sizeof(*b->anchors));
    b->anchors[b->anchor_count] = (struct anchor){name, node};
    map_add(&b->anchor_index, hash, (uint32_t)b->anchor_count++);
}

/* --- texts and tags --- */

static struct view token_text(struct builder *b, struct fy_token *token)
{
    size_t len = 0;
    const char *text = token ? fy_token_get_text(token, &len) : NULL;
    return arena_copy(b->arena, (struct view){text, text ? len : 0});
}

static bool tag_is(struct fy_token *tag, const char *name)
{
    struct view handle = {NULL, 0}, suffix = {NULL, 0}, prefix = VIEW(TAG_PREFIX);
    handle.ptr = fy_tag_token_handle(tag, &handle.len);
    suffix.ptr = fy_tag_token_suffix(tag, &suffix.len);
    if (view_is(handle, "!!"))
        return view_is(suffix, name);
    return view_has_prefix(suffix, prefix) &&
           view_is(view_slice(suffix, prefix.len, suffix.len), name);
}

static int base64_digit(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* Decodes in place (the result is shorter). Blanks and line ends are skipped, padding is required. */
static bool base64_decode(struct view *text)
{
    char *bytes = (char *)(uintptr_t)text->ptr; /* ours: it is the arena's copy */
    size_t len = 0, digits = 0, padding = 0;
    uint32_t bits = 0;
    for (size_t i = 0; i < text->len; i++) {
        char c = text->ptr[i];
        if (c == '\n' || c == '\r' || c == ' ')
            continue;
        int digit = c == '=' ? 0 : base64_digit(c);
        if (digit < 0 || (padding > 0 && c != '='))
            return false;
        padding += c == '=';
        bits = bits << 6 | (uint32_t)digit;
        if (++digits % 4 == 0) {
            bytes[len++] = (char)(bits >> 16 & 0xff);
            bytes[len++] = (char)(bits >> 8 & 0xff);
            bytes[len++] = (char)(bits & 0xff);
        }
    }
    if (digits % 4 != 0 || padding > 2)
        return false;
    len -= padding;
    bytes[len] = '\0';
    text->len = len;
    return true;
}

/* --- nodes --- */

static uint32_t mark_line(struct fy_event *event)
{
    const struct fy_mark *mark = fy_event_start_mark(event);
    return mark ? (uint32_t)mark->line + 1 : 0;
}

static uint32_t mark_column(struct fy_event *event)
{
    const struct fy_mark *mark = fy_event_start_mark(event);
    uint32_t behind = event->type == FYET_ALIAS; /* the mark of an alias is behind its "*" */
    return mark ? (uint32_t)mark->column + 1 - behind : 0;
}

static struct yaml_node *node_new(struct builder *b, struct fy_event *event, enum yaml_kind kind)
{
    struct yaml_node *node = ARENA_NEW(b->arena, struct yaml_node);
    node->kind = kind;
    node->line = mark_line(event);
    node->column = mark_column(event);
    node->walk_count = 1;
    return node;
}

/* A value that is not there has no mark: it is where its key ends, or where its list begins. */
static void place_nothing(const struct builder *b, struct yaml_node *node)
{
    if (b->depth == 0)
        return;
    const struct level *level = &b->levels[b->depth - 1];
    const struct yaml_node *near = level->key ? level->key : level->node;
    node->line = near->line;
    node->column = near->column + (level->key ? (uint32_t)near->text.len + 1 : 0);
}

static bool scalar_new(struct builder *b, struct fy_event *event, struct yaml_node **out)
{
    struct yaml_node *node = node_new(b, event, YAML_SCALAR);
    if (node->line == 0)
        place_nothing(b, node);
    struct fy_token *tag = event->scalar.tag;
    node->text = token_text(b, event->scalar.value);
    enum fy_scalar_style style =
        event->scalar.value ? fy_token_scalar_style(event->scalar.value) : FYSS_PLAIN;
    node->plain = style == FYSS_PLAIN;
    if ((style == FYSS_SINGLE_QUOTED || style == FYSS_DOUBLE_QUOTED) && node->column > 1)
        node->column--; /* the mark is behind the quote */
    if (tag) {
        if (tag_is(tag, "binary")) {
            node->plain = false;
            if (!base64_decode(&node->text))
                return yaml_error(b->err, node, "!!binary value contains invalid base64 data");
            if (!utf8_is_valid(
                    node->text)) /* as all other text is, which labels and errors rely on */
                return yaml_error(b->err, node, "!!binary value is not valid UTF-8");
        } else if (tag_is(tag, "str")) {
            node->plain = false;
        } else if (tag_is(tag, "int") || tag_is(tag, "float") || tag_is(tag, "bool") ||
                   tag_is(tag, "null")) {
            node->plain = true;
        }
    }
    *out = node;
    return true;
}

/* A tab before the first character of a line, where YAML counts blanks. */
static bool line_has_leading_tab(struct view text, uint32_t line)
{
    size_t pos = 0;
    for (uint32_t n = 1; n < line; n++) {
        const char *end = pos < text.len ? memchr(text.ptr + pos, '\n', text.len - pos) : NULL;
        if (!end)
            return false;
        pos = (size_t)(end - text.ptr) + 1;
    }
    while (pos < text.len && text.ptr[pos] == ' ')
        pos++;
    return pos < text.len && text.ptr[pos] == '\t';
}

static bool tab_error(struct builder *b, uint32_t line)
{
    return error_set_at(b->err, ERROR_INPUT, line, 1,
                        "a tab indents this line; YAML allows blanks only");
}

/* libfyaml 0.7.12 stumbles over a dash with nothing behind it in a list that is not indented ("a:\n-\n"), which YAML
 * allows. The last such line before the error is where a person should look. */
static bool empty_item_error(struct builder *b, uint32_t error_line)
{
    uint32_t line = 1, found_line = 0, found_column = 0;
    for (size_t pos = 0; pos < b->text.len && line < error_line; line++) {
        const char *end = memchr(b->text.ptr + pos, '\n', b->text.len - pos);
        size_t stop = end ? (size_t)(end - b->text.ptr) : b->text.len, from = pos, last = stop;
        while (from < stop && b->text.ptr[from] == ' ')
            from++;
        while (last > from && strchr(" \r", b->text.ptr[last - 1]))
            last--;
        if (last == from + 1 && b->text.ptr[from] == '-') {
            found_line = line;
            found_column = (uint32_t)(from - pos) + 1;
        } else if (last > from && b->text.ptr[from] != '#') {
            found_line = 0;
        }
        pos = stop + 1;
    }
    if (found_line == 0)
        return true;
    return error_set_at(b->err, ERROR_INPUT, found_line, found_column,
                        "this item of a list is empty");
}

/* What libfyaml found wrong. Its first error is the cause, the others its echo. */
static bool parse_error(struct builder *b)
{
    void *iterator = NULL;
    struct fy_diag_error *found = fy_diag_errors_iterate(b->diag, &iterator);
    if (!found || !found->msg)
        return error_set(b->err, ERROR_INPUT, "the text is not YAML");
    uint32_t line = found->line > 0 ? (uint32_t)found->line : 1;
    uint32_t column = found->column > 0 ? (uint32_t)found->column : 1;
    if (line_has_leading_tab(b->text, line))
        return tab_error(b, line);
    if (line > 1 && line_has_leading_tab(b->text, line - 1))
        return tab_error(b, line - 1);
    if (line_has_leading_tab(b->text, line + 1))
        return tab_error(b, line + 1);
    if (strstr(found->msg, "expected node content") && !empty_item_error(b, line))
        return false;
    return error_set_at(b->err, ERROR_INPUT, line, column, "%s", found->msg);
}

/* --- mappings: duplicates and merges --- */

static int pair_compare(const void *a, const void *b)
{
    const struct yaml_pair *x = *(const struct yaml_pair *const *)a;
    const struct yaml_pair *y = *(const struct yaml_pair *const *)b;
    int c = view_cmp(x->key->text, y->key->text);
    return c ? c
             : (x > y) - (x < y); /* in the order written: the second of two is the one to blame */
}

static const struct yaml_pair **pairs_sorted(struct arena *arena, const struct yaml_pair *pairs,
                                             size_t count)
{
    const struct yaml_pair **sorted = arena_alloc(arena, (count + 1) * sizeof(struct yaml_pair *));
    for (size_t i = 0; i < count; i++)
        sorted[i] = &pairs[i];
    if (count > 1)
        qsort(sorted, count, sizeof(*sorted), pair_compare);
    return sorted;
}

static bool pair_is_merge(const struct yaml_pair *pair)
{
    return pair->key->plain && view_is(pair->key->text, "<<");
}

static bool pairs_check_distinct(struct builder *b, const struct level *level)
{
    const struct yaml_pair **sorted = pairs_sorted(b->arena, level->pairs, level->count);
    for (size_t i = 1; i < level->count; i++) {
        const struct yaml_node *first = sorted[i - 1]->key, *second = sorted[i]->key;
        if (view_eq(first->text, second->text))
            return yaml_error(b->err, second, "field \"%.*s\" is set twice, first in line %" PRIu32,
                              VIEW_ARGS(view_slice(second->text, 0, 200)), first->line);
    }
    return true;
}

static bool level_append_pair(struct builder *b, struct level *level, struct yaml_pair pair)
{
    level->pairs = arena_grow(b->arena, level->pairs, &level->capacity, level->count + 1,
                              sizeof(*level->pairs));
    level->pairs[level->count++] = pair;
    return true;
}

static int key_compare(const void *key, const void *item)
{
    return view_cmp(*(const struct view *)key, (*(const struct yaml_pair *const *)item)->key->text);
}

/* Adds those pairs of `from` whose keys are not among the first `own_count`. */
static bool level_merge(struct builder *b, struct level *level, const struct yaml_node *from)
{
    if (from->kind != YAML_MAPPING)
        return yaml_error(b->err, from, "map merge requires map or sequence of maps as the value");
    b->walk_count += from->walk_count;
    if (b->walk_count > YAML_NODES_MAX)
        return error_set_at(b->err, ERROR_TOO_LARGE, from->line, from->column,
                            "the document has more than %d nodes with its aliases expanded",
                            YAML_NODES_MAX);
    size_t own_count = level->count;
    const struct yaml_pair *own = level->pairs;
    const struct yaml_pair **sorted = pairs_sorted(b->arena, own, own_count);
    for (uint32_t i = 0; i < from->count; i++) {
        if (!bsearch(&from->pairs[i].key->text, sorted, own_count, sizeof(*sorted), key_compare))
            level_append_pair(b, level, from->pairs[i]);
    }
    return true;
}

/* Takes the merge keys out and their pairs in. */
static bool level_resolve_merges(struct builder *b, struct level *level)
{
    const struct yaml_node *merged = NULL;
    for (size_t i = 0; i < level->count && !merged; i++) {
        if (pair_is_merge(&level->pairs[i])) {
            merged = level->pairs[i].value;
            memmove(&level->pairs[i], &level->pairs[i + 1],
                    (level->count - i - 1) * sizeof(*level->pairs));
            level->count--;
        }
    }
    if (!merged)
        return true;
    if (merged->kind != YAML_SEQUENCE)
        return level_merge(b, level, merged);
    for (uint32_t i = 0; i < merged->count; i++) { /* of several, the first that has a key wins */
        if (!level_merge(b, level, merged->items[i]))
            return false;
    }
    return true;
}

/* --- building --- */

static bool node_add(struct builder *b, const struct yaml_node *node);

static bool level_open(struct builder *b, struct fy_event *event, enum yaml_kind kind,
                       struct fy_token *anchor)
{
    struct yaml_node *node = node_new(b, event, kind);
    if (b->depth >= YAML_DEPTH_MAX)
        return error_set_at(b->err, ERROR_TOO_LARGE, node->line, node->column,
                            "lists and mappings are nested more than %d deep", YAML_DEPTH_MAX);
    struct level *level = &b->levels[b->depth++];
    *level = (struct level){.node = node};
    if (anchor) {
        level->anchor = token_text(b, anchor);
        anchor_set(b, level->anchor, NULL);
    }
    return true;
}

static uint64_t walk_sum(const struct level *level, uint32_t *height)
{
    uint64_t sum = 1;
    for (size_t i = 0; i < level->count; i++) {
        const struct yaml_node *below = level->items ? level->items[i] : level->pairs[i].value;
        sum += below->walk_count + (level->items ? 0 : 1);
        if (below->height + 1 > *height)
            *height = below->height + 1;
    }
    return sum > YAML_NODES_MAX ? YAML_NODES_MAX + 1 : sum;
}

static bool level_close(struct builder *b)
{
    ASSERT(b->depth > 0);
    struct level *level = &b->levels[b->depth - 1];
    struct yaml_node *node = level->node;
    if (node->kind == YAML_MAPPING &&
        (!pairs_check_distinct(b, level) || !level_resolve_merges(b, level)))
        return false;
    node->walk_count = (uint32_t)walk_sum(level, &node->height);
    node->count = (uint32_t)level->count;
    if (node->kind == YAML_SEQUENCE)
        node->items = level->items;
    else
        node->pairs = level->pairs;
    b->depth--;
    if (level->anchor.len)
        anchor_set(b, level->anchor, node);
    return node_add(b, node);
}

static bool key_check(struct builder *b, const struct yaml_node *key)
{
    if (key->kind != YAML_SCALAR)
        return yaml_error(b->err, key, "a field's name must be a string, not %s",
                          yaml_describe(key));
    return true;
}

static bool node_add(struct builder *b, const struct yaml_node *node)
{
    if (b->depth == 0) {
        b->root = node;
        return true;
    }
    struct level *level = &b->levels[b->depth - 1];
    if (level->node->kind == YAML_SEQUENCE) {
        level->items = arena_grow(b->arena, level->items, &level->capacity, level->count + 1,
                                  sizeof(*level->items));
        level->items[level->count++] = node;
        return true;
    }
    if (!level->key) {
        level->key = node;
        return key_check(b, node);
    }
    struct yaml_pair pair = {level->key, node};
    level->key = NULL;
    return level_append_pair(b, level, pair);
}

static bool charge(struct builder *b, struct fy_event *event, uint64_t nodes)
{
    b->walk_count += nodes;
    if (b->walk_count <= YAML_NODES_MAX)
        return true;
    return error_set_at(b->err, ERROR_TOO_LARGE, mark_line(event), mark_column(event),
                        "the document has more than %d nodes with its aliases expanded",
                        YAML_NODES_MAX);
}

static bool on_alias(struct builder *b, struct fy_event *event)
{
    struct view name = token_text(b, event->alias.anchor);
    uint32_t found =
        map_find(&b->anchor_index, hash64_secret(name.ptr, name.len), anchor_is, b, &name);
    struct view shown = view_slice(name, 0, 200);
    if (found == MAP_NONE)
        return error_set_at(b->err, ERROR_INPUT, mark_line(event), mark_column(event),
                            "unknown anchor \"%.*s\"", VIEW_ARGS(shown));
    const struct yaml_node *node = b->anchors[found].node;
    if (!node)
        return error_set_at(b->err, ERROR_INPUT, mark_line(event), mark_column(event),
                            "anchor \"%.*s\" contains itself", VIEW_ARGS(shown));
    if (b->depth + node->height > YAML_DEPTH_MAX)
        return error_set_at(b->err, ERROR_TOO_LARGE, mark_line(event), mark_column(event),
                            "lists and mappings are nested more than %d deep", YAML_DEPTH_MAX);
    return charge(b, event, node->walk_count) && node_add(b, node);
}

static bool on_scalar(struct builder *b, struct fy_event *event)
{
    struct yaml_node *node = NULL;
    if (!charge(b, event, 1) || !scalar_new(b, event, &node))
        return false;
    if (event->scalar.anchor)
        anchor_set(b, token_text(b, event->scalar.anchor), node);
    return node_add(b, node);
}

static bool on_event(struct builder *b, struct fy_event *event)
{
    switch (event->type) {
    case FYET_SCALAR:
        return on_scalar(b, event);
    case FYET_ALIAS:
        return on_alias(b, event);
    case FYET_SEQUENCE_START:
        return charge(b, event, 1) &&
               level_open(b, event, YAML_SEQUENCE, event->sequence_start.anchor);
    case FYET_MAPPING_START:
        return charge(b, event, 1) &&
               level_open(b, event, YAML_MAPPING, event->mapping_start.anchor);
    case FYET_SEQUENCE_END:
    case FYET_MAPPING_END:
        return level_close(b);
    case FYET_DOCUMENT_START:
        b->has_more = b->root != NULL;
        return !b->has_more || b->first_only ||
               error_set_at(b->err, ERROR_INPUT, mark_line(event), mark_column(event),
                            "a second document begins here; one file holds one document");
    default:
        return true;
    }
}

static bool events_read(struct builder *b)
{
    for (;;) {
        struct fy_event *event = fy_parser_parse(b->parser);
        if (!event)
            break;
        bool last = event->type == FYET_STREAM_END;
        bool ok = on_event(b, event);
        fy_parser_event_free(b->parser, event);
        if (!ok)
            return false;
        if (b->has_more)
            return true;
        if (last)
            break;
    }
    if (fy_parser_get_stream_error(b->parser) || fy_diag_got_error(b->diag))
        return parse_error(b);
    ASSERT(b->depth == 0); /* libfyaml ends what it begins */
    return true;
}

static bool text_check(struct view text, struct error *err)
{
    if (text.len > YAML_BYTES_MAX)
        return error_set(err, ERROR_TOO_LARGE, "the document has %zu bytes, at most %d are allowed",
                         text.len, YAML_BYTES_MAX);
    uint32_t line = 1, column = 1;
    for (size_t pos = 0; pos < text.len;) {
        uint32_t code = (unsigned char)text.ptr[pos];
        if (code < 0x80)
            pos++;
        else
            code = utf8_next(text, &pos);
        if (code == 0 || code == UINT32_MAX)
            return error_set_at(err, ERROR_INPUT, line, column, "%s",
                                code == 0 ? "a NUL byte is in the text"
                                          : "the text is not valid UTF-8");
        column++;
        if (code == '\n') {
            line++;
            column = 1;
        }
    }
    return true;
}

static void diag_swallow(struct fy_diag *diag, void *user, const char *text, size_t len)
{
}

static bool parser_open(struct builder *b)
{
    struct fy_diag_cfg diag_cfg;
    fy_diag_cfg_default(&diag_cfg);
    diag_cfg.fp = NULL;
    diag_cfg.output_fn = diag_swallow; /* nothing is printed; the first error is asked for */
    diag_cfg.colorize = false;
    b->diag = fy_diag_create(&diag_cfg);
    if (!b->diag)
        return error_set(b->err, ERROR_INTERNAL, "could not create the YAML parser's messages");
    fy_diag_set_collect_errors(b->diag, true);
    /* Our depth limit is stricter, and the parser does not recurse. */
    struct fy_parse_cfg cfg = {.flags = FYPCF_COLLECT_DIAG | FYPCF_DISABLE_DEPTH_LIMIT |
                                        FYPCF_JSON_NONE | FYPCF_DEFAULT_VERSION_1_1,
                               .diag = b->diag};
    b->parser = fy_parser_create(&cfg);
    if (!b->parser || fy_parser_set_string(b->parser, b->text.ptr, b->text.len) != 0)
        return error_set(b->err, ERROR_INTERNAL, "could not create the YAML parser");
    return true;
}

/* libfyaml 0.7.12 frees a key and keeps it in its list when it meets "? a:", a tab and an error (its issue 57): destroying the
 * parser then writes to freed memory. A few KiB of such a text are left instead. */
static bool is_dangerous_to_free(struct view text)
{
    return memchr(text.ptr, '\t', text.len) != NULL && memchr(text.ptr, '?', text.len) != NULL;
}

static bool parse(struct arena *arena, struct view text, const struct yaml_node **out,
                  bool *has_more, struct error *err)
{
    ASSERT(out != NULL);
    *out = NULL;
    if (!text_check(text, err))
        return false;
    if (view_has_prefix(text, VIEW("\xef\xbb\xbf"))) /* a byte order mark says nothing in UTF-8 */
        text = view_slice(text, 3, text.len);
    if (text.len == 0)
        return true;
    struct builder *b = ARENA_NEW(arena, struct builder);
    *b = (struct builder){.arena = arena, .text = text, .err = err, .first_only = has_more != NULL};
    map_init(&b->anchor_index, arena->account);
    bool ok = parser_open(b) && events_read(b);
    if (ok)
        *out = b->root;
    if (has_more)
        *has_more = ok && b->has_more;
    if (b->parser && (ok || !is_dangerous_to_free(text)))
        fy_parser_destroy(b->parser);
    if (b->diag)
        fy_diag_destroy(b->diag);
    map_deinit(&b->anchor_index);
    return ok;
}

bool yaml_parse(struct arena *arena, struct view text, const struct yaml_node **out,
                struct error *err)
{
    return parse(arena, text, out, NULL, err);
}

bool yaml_parse_first(struct arena *arena, struct view text, const struct yaml_node **out,
                      bool *has_more, struct error *err)
{
    *has_more = false;
    return parse(arena, text, out, has_more, err);
}

/* --- reading the tree --- */

const struct yaml_node *yaml_find(const struct yaml_node *node, const char *key)
{
    if (!node || node->kind != YAML_MAPPING)
        return NULL;
    for (uint32_t i = 0; i < node->count; i++) {
        if (view_is(node->pairs[i].key->text, key))
            return node->pairs[i].value;
    }
    return NULL;
}

const struct yaml_node *yaml_place(const struct yaml_node *node, const char *key)
{
    const struct yaml_node *found = yaml_find(node, key);
    return found ? found : node;
}

bool yaml_error(struct error *err, const struct yaml_node *node, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    (void)error_setv(err, ERROR_INPUT, format, args); /* always false, and so is our answer */
    va_end(args);
    if (err && node) {
        err->line = node->line;
        err->column = node->column;
    }
    return false;
}

const char *yaml_describe(const struct yaml_node *node)
{
    bool boolean;
    double number;
    if (yaml_is_null(node))
        return "nothing";
    if (node->kind == YAML_SEQUENCE)
        return "a list";
    if (node->kind == YAML_MAPPING)
        return "a mapping";
    if (yaml_as_bool(node, &boolean))
        return "a boolean";
    return yaml_as_float(node, &number) ? "a number" : "a string";
}
