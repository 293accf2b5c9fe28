/* SPDX-License-Identifier: Apache-2.0 */
/* relabel.c: each rule joins its source labels to one text and acts on it. The semantics are Prometheus 3's, its
 * corners too: an empty text with the default regex and no "$" sets the label at once; a target that expands to
 * no label name leaves the set alone; labelmap reads the labels as they were before the rule. */
#include "ingest/relabel.h"

#include "base/assert.h"
#include "base/md5.h"
#include "base/utf8.h"

#include <inttypes.h>
#include <locale.h>
#include <pthread.h>
#include <wctype.h>

/* What one rule may write: a label's value comes from outside and a replacement may repeat it. */
enum { EXPANSION_BYTES_MAX = 1 << 20 };

static const char *const ACTION_NAMES[RELABEL_ACTION_COUNT] = {
#define X(id, word) word,
    RELABEL_ACTIONS(X)
#undef X
};

static const struct view DEFAULT_SEPARATOR = VIEW_INIT(";");
static const struct view DEFAULT_REGEX = VIEW_INIT("(.*)");
static const struct view DEFAULT_REPLACEMENT = VIEW_INIT("$1");

/* --- rules --- */

void relabel_rule_init(struct relabel_rule *rule)
{
    *rule = (struct relabel_rule){.action = RELABEL_REPLACE,
                                  .has_action = true,
                                  .separator = DEFAULT_SEPARATOR,
                                  .regex_text = DEFAULT_REGEX,
                                  .replacement = DEFAULT_REPLACEMENT};
}

void relabel_rule_deinit(struct relabel_rule *rule)
{
    regex_free(rule->regex);
    rule->regex = NULL;
}

bool relabel_action_parse(struct view word, enum relabel_action *out)
{
    for (int i = 0; i < RELABEL_ACTION_COUNT; i++) {
        if (view_is_any_case(word, ACTION_NAMES[i])) {
            *out = (enum relabel_action)i;
            return true;
        }
    }
    return false;
}

const char *relabel_action_name(enum relabel_action action)
{
    ASSERT(action < RELABEL_ACTION_COUNT);
    return ACTION_NAMES[action];
}

static bool has_dollar(struct view text)
{
    return text.len && memchr(text.ptr, '$', text.len);
}

static bool is_word_byte(char c, bool first)
{
    return c == '_' || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           (!first && c >= '0' && c <= '9');
}

static bool label_name_ok(const struct relabel_rule *rule, struct view name)
{
    return rule->legacy_names ? label_name_is_legacy(name) : name.len > 0 && utf8_is_valid(name);
}

/* Label names in which ${name} and $name may stand: each piece between them begins anew. */
static bool template_is_legacy(struct view text)
{
    size_t pos = 0;
    while (pos < text.len) {
        if (text.ptr[pos] == '$') {
            bool braces = pos + 1 < text.len && text.ptr[pos + 1] == '{';
            size_t from = pos + 1 + braces;
            pos = from;
            while (pos < text.len && is_word_byte(text.ptr[pos], false))
                pos++;
            if (pos == from || (braces && (pos == text.len || text.ptr[pos] != '}')))
                return false;
            pos += braces;
        } else if (is_word_byte(text.ptr[pos], pos == 0)) {
            pos++;
        } else {
            return false;
        }
    }
    return text.len > 0;
}

static bool template_ok(const struct relabel_rule *rule, struct view text)
{
    return rule->legacy_names ? template_is_legacy(text) : text.len > 0 && utf8_is_valid(text);
}

static bool is_default(struct view text, struct view by_default)
{
    return view_eq(text, by_default);
}

static bool check_target(const struct relabel_rule *rule, struct error *err)
{
    const char *name = ACTION_NAMES[rule->action];
    bool ok = rule->action == RELABEL_REPLACE && has_dollar(rule->target_label)
                  ? template_ok(rule, rule->target_label)
                  : label_name_ok(rule, rule->target_label);
    if (rule->target_label.len == 0)
        return error_set(err, ERROR_INPUT,
                         "relabel configuration for %s action requires 'target_label' value", name);
    if (!ok)
        return error_set(err, ERROR_INPUT, "\"%.*s\" is invalid 'target_label' for %s action",
                         VIEW_ARGS(view_slice(rule->target_label, 0, 200)), name);
    return true;
}

static bool check_fields(const struct relabel_rule *rule, struct error *err)
{
    const char *name = ACTION_NAMES[rule->action];
    bool plain = is_default(rule->separator, DEFAULT_SEPARATOR) &&
                 is_default(rule->replacement, DEFAULT_REPLACEMENT) && rule->modulus == 0;
    switch (rule->action) {
    case RELABEL_KEEP_EQUAL:
    case RELABEL_DROP_EQUAL:
        if (!plain || !is_default(rule->regex_text, DEFAULT_REGEX))
            return error_set(
                err, ERROR_INPUT,
                "%s action requires only 'source_labels' and `target_label`, and no other fields",
                name);
        return true;
    case RELABEL_LABELDROP:
    case RELABEL_LABELKEEP:
        if (!plain || rule->source_label_count > 0 || rule->target_label.len > 0)
            return error_set(err, ERROR_INPUT,
                             "%s action requires only 'regex', and no other fields", name);
        return true;
    case RELABEL_LABELMAP:
        if (!template_ok(rule, rule->replacement))
            return error_set(err, ERROR_INPUT, "\"%.*s\" is invalid 'replacement' for %s action",
                             VIEW_ARGS(view_slice(rule->replacement, 0, 200)), name);
        return true;
    case RELABEL_LOWERCASE:
    case RELABEL_UPPERCASE:
        if (!is_default(rule->replacement, DEFAULT_REPLACEMENT))
            return error_set(err, ERROR_INPUT, "'replacement' can not be set for %s action", name);
        return true;
    default:
        return true;
    }
}

bool relabel_rule_check(struct relabel_rule *rule, struct error *err)
{
    ASSERT(rule->regex == NULL);
    if (!rule->has_action)
        return error_set(err, ERROR_INPUT, "relabel action cannot be empty");
    if (rule->action == RELABEL_HASHMOD && rule->modulus == 0)
        return error_set(err, ERROR_INPUT,
                         "relabel configuration for hashmod requires non-zero modulus");
    bool needs_target = rule->action == RELABEL_REPLACE || rule->action == RELABEL_HASHMOD ||
                        rule->action == RELABEL_LOWERCASE || rule->action == RELABEL_UPPERCASE ||
                        rule->action == RELABEL_KEEP_EQUAL || rule->action == RELABEL_DROP_EQUAL;
    if (needs_target && !check_target(rule, err))
        return false;
    if (!check_fields(rule, err))
        return false;
    if (is_default(rule->regex_text, DEFAULT_REGEX))
        return true;
    return regex_new(&rule->regex, rule->regex_text, err);
}

/* --- letters --- */

static locale_t letters; /* (locale_t)0: only ASCII letters have cases */
static pthread_once_t letters_once = PTHREAD_ONCE_INIT;

static void letters_open(void)
{
    letters = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
}

static uint32_t letter_turn(uint32_t code, bool upper)
{
    if (code < 0x80 || !letters) {
        bool turns = upper ? code >= 'a' && code <= 'z' : code >= 'A' && code <= 'Z';
        return turns ? code ^ 0x20 : code;
    }
    return (uint32_t)(upper ? towupper_l((wint_t)code, letters)
                            : towlower_l((wint_t)code, letters));
}

static struct view text_turn(struct arena *arena, struct view text, bool upper)
{
    (void)pthread_once(&letters_once, letters_open); /* cannot fail with a valid control */
    char *out = arena_alloc(arena, text.len * 4 + 1);
    size_t len = 0;
    for (size_t pos = 0; pos < text.len;) {
        uint32_t code = utf8_next(text, &pos);
        /* Values are checked when they are parsed; a stray byte becomes what Go makes of it. */
        len += utf8_put(code == UINT32_MAX ? 0xfffd : letter_turn(code, upper), out + len);
    }
    return (struct view){out, len};
}

/* --- actions --- */

static struct view source_text(const struct relabel_rule *rule, const struct labels_builder *b)
{
    if (rule->source_label_count == 0)
        return (struct view){"", 0};
    if (rule->source_label_count == 1)
        return labels_builder_get(b, rule->source_labels[0]);
    size_t len = 0;
    for (size_t i = 0; i < rule->source_label_count; i++)
        len += labels_builder_get(b, rule->source_labels[i]).len + rule->separator.len;
    char *out = arena_alloc(b->arena, len + 1);
    len = 0;
    for (size_t i = 0; i < rule->source_label_count; i++) {
        struct view parts[] = {i ? rule->separator : (struct view){"", 0},
                               labels_builder_get(b, rule->source_labels[i])};
        for (size_t j = 0; j < ARRAY_COUNT(parts); j++) {
            if (parts[j].len)
                memcpy(out + len, parts[j].ptr, parts[j].len);
            len += parts[j].len;
        }
    }
    return (struct view){out, len};
}

static bool rule_matches(const struct relabel_rule *rule, struct view text)
{
    return !rule->regex || regex_match(rule->regex, text);
}

/* The template with its groups filled in; false when the text does not match. The default regex, which has no
 * compiled form, is expanded by one that is compiled once. */
static struct regex *default_regex;
static pthread_once_t default_regex_once = PTHREAD_ONCE_INIT;

static void default_regex_open(void)
{
    bool ok = regex_new(&default_regex, DEFAULT_REGEX, NULL);
    ASSERT(ok);
}

static bool rule_expand(const struct relabel_rule *rule, struct arena *arena, struct view text,
                        struct view template, struct view *out)
{
    if (!rule_matches(rule, text))
        return false;
    *out = template;
    if (!has_dollar(template))
        return true;
    if (!rule->regex && (view_is(template, "$1") || view_is(template, "${1}"))) {
        *out = text;
        return true;
    }
    (void)pthread_once(&default_regex_once,
                       default_regex_open); /* cannot fail with a valid control */
    struct buffer expanded;
    buffer_init(&expanded, MEM_SCRAPE, EXPANSION_BYTES_MAX);
    bool matched =
        regex_expand(rule->regex ? rule->regex : default_regex, text, template, &expanded);
    bool fits = !expanded.failed;
    if (matched && fits)
        *out = arena_copy(arena, buffer_view(&expanded));
    buffer_deinit(&expanded);
    return matched && fits;
}

static void act_replace(const struct relabel_rule *rule, struct labels_builder *b, struct view text)
{
    struct view target, value;
    if (!rule_expand(rule, b->arena, text, rule->target_label, &target) ||
        !label_name_ok(rule, target))
        return;
    if (rule_expand(rule, b->arena, text, rule->replacement, &value))
        labels_builder_set(b, target, value); /* an empty value deletes */
}

static void act_hashmod(const struct relabel_rule *rule, struct labels_builder *b, struct view text)
{
    uint8_t sum[MD5_BYTES];
    uint64_t hash = 0;
    md5(text, sum);
    for (size_t i = 8; i < MD5_BYTES; i++)
        hash = hash << 8 | sum[i];
    labels_builder_set(b, rule->target_label,
                       arena_printf(b->arena, "%" PRIu64, hash % rule->modulus));
}

/* The labels as they are before the rule changes any. */
static struct labels snapshot(struct labels_builder *b)
{
    struct labels now = labels_builder_finish(b);
    struct label *items = ARENA_ARRAY(b->arena, struct label, now.count + 1);
    for (uint32_t i = 0; i < now.count; i++)
        items[i] = now.items[i];
    return (struct labels){items, now.count};
}

static void act_labelmap(const struct relabel_rule *rule, struct labels_builder *b)
{
    struct labels before = snapshot(b);
    struct view name;
    for (uint32_t i = 0; i < before.count; i++) {
        if (rule_expand(rule, b->arena, before.items[i].name, rule->replacement, &name) && name.len)
            labels_builder_set(b, name, before.items[i].value);
    }
}

static void act_on_names(const struct relabel_rule *rule, struct labels_builder *b,
                         bool drop_matching)
{
    struct labels before = snapshot(b);
    for (uint32_t i = 0; i < before.count; i++) {
        if (rule_matches(rule, before.items[i].name) == drop_matching)
            labels_builder_delete(b, before.items[i].name);
    }
}

static bool rule_apply(const struct relabel_rule *rule, struct labels_builder *b)
{
    struct view text = source_text(rule, b);
    switch (rule->action) {
    case RELABEL_KEEP:
        return rule_matches(rule, text);
    case RELABEL_DROP:
        return !rule_matches(rule, text);
    case RELABEL_KEEP_EQUAL:
        return view_eq(labels_builder_get(b, rule->target_label), text);
    case RELABEL_DROP_EQUAL:
        return !view_eq(labels_builder_get(b, rule->target_label), text);
    case RELABEL_REPLACE:
        act_replace(rule, b, text);
        return true;
    case RELABEL_HASHMOD:
        act_hashmod(rule, b, text);
        return true;
    case RELABEL_LABELMAP:
        act_labelmap(rule, b);
        return true;
    case RELABEL_LABELDROP:
        act_on_names(rule, b, true);
        return true;
    case RELABEL_LABELKEEP:
        act_on_names(rule, b, false);
        return true;
    case RELABEL_LOWERCASE:
    case RELABEL_UPPERCASE:
        labels_builder_set(b, rule->target_label,
                           text_turn(b->arena, text, rule->action == RELABEL_UPPERCASE));
        return true;
    case RELABEL_ACTION_COUNT:
        break;
    }
    UNREACHABLE();
}

bool relabel_process(const struct relabel_rule *rules, size_t count, struct labels_builder *b)
{
    ASSERT(count == 0 || rules != NULL);
    for (size_t i = 0; i < count; i++) {
        if (!rule_apply(&rules[i], b))
            return false;
    }
    return true;
}
