/* SPDX-License-Identifier: Apache-2.0 */
/* flags.c: see flags.h. Flags are few: they are found by walking the table. */
#include "cli/flags.h"

#include "base/assert.h"
#include "base/duration.h"
#include "base/mem.h"
#include "base/redaction.h"
#include "promql/parser.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { NAME_BYTES_MAX = 128, FLAG_COLUMN = 40, HELP_BYTES_MAX = 4096 };

static const struct flag *find(const struct flag *flags, size_t count, struct view name)
{
    for (size_t i = 0; i < count; i++)
        if (view_is(name, flags[i].name))
            return &flags[i];
    return NULL;
}

static const struct flag *find_short(const struct flag *flags, size_t count, char letter)
{
    for (size_t i = 0; i < count; i++)
        if (flags[i].short_name == letter)
            return &flags[i];
    return NULL;
}

/* Levenshtein's distance of two names, both shorter than NAME_BYTES_MAX. */
static size_t edit_distance(struct view a, struct view b)
{
    size_t row[NAME_BYTES_MAX + 1];
    for (size_t j = 0; j <= b.len; j++)
        row[j] = j;
    for (size_t i = 1; i <= a.len; i++) {
        size_t corner = row[0];
        row[0] = i;
        for (size_t j = 1; j <= b.len; j++) {
            size_t above = row[j];
            size_t best = corner + (a.ptr[i - 1] != b.ptr[j - 1]);
            if (above + 1 < best)
                best = above + 1;
            if (row[j - 1] + 1 < best)
                best = row[j - 1] + 1;
            row[j] = best;
            corner = above;
        }
    }
    return row[b.len];
}

static bool fail_unknown(const struct flag *flags, size_t count, struct view name,
                         struct error *err)
{
    error_set(err, ERROR_USAGE, "unknown flag \"--%.*s\"", VIEW_ARGS(name));
    if (name.len >= NAME_BYTES_MAX)
        return false;
    const struct flag *nearest = NULL;
    size_t best = name.len / 3 + 1;
    for (size_t i = 0; i < count; i++) {
        struct view known = view_from(flags[i].name);
        size_t d = known.len < NAME_BYTES_MAX ? edit_distance(name, known) : best;
        if (d < best) {
            best = d;
            nearest = &flags[i];
        }
    }
    if (nearest)
        error_hint(err, "did you mean \"--%s\"?", nearest->name);
    return false;
}

static bool parse_bytes(const char *text, uint64_t *out)
{
    static const struct {
        const char *suffix;
        unsigned shift;
    } UNITS[] = {{"EB", 60},  {"PB", 50},  {"TB", 40},  {"GB", 30},  {"MB", 20},
                 {"KB", 10},  {"EiB", 60}, {"PiB", 50}, {"TiB", 40}, {"GiB", 30},
                 {"MiB", 20}, {"KiB", 10}, {"B", 0},    {"", 0}};
    char *end;
    errno = 0;
    if (*text < '0' || *text > '9')
        return false;
    unsigned long long n = strtoull(text, &end, 10);
    if (errno)
        return false;
    for (size_t i = 0; i < ARRAY_COUNT(UNITS); i++) {
        if (strcmp(end, UNITS[i].suffix) == 0) {
            *out = (uint64_t)n << UNITS[i].shift;
            return *out >> UNITS[i].shift == n;
        }
    }
    return false;
}

static bool parse_count(const char *text, int64_t *out)
{
    char *end;
    errno = 0;
    long long n = strtoll(text, &end, 10);
    if (errno || end == text || *end)
        return false;
    *out = n;
    return true;
}

static bool set_value(const struct flag *f, const char *text, struct error *err)
{
    switch (f->kind) {
    case FLAG_TEXT:
        *(const char **)f->value = text;
        return true;
    case FLAG_LIST: {
        struct flag_list *list = f->value;
        if (list->count == FLAG_LIST_MAX)
            return error_set(err, ERROR_USAGE, "flag \"--%s\" is given more than %d times", f->name,
                             FLAG_LIST_MAX);
        list->items[list->count++] = text;
        return true;
    }
    case FLAG_DURATION:
        if (duration_parse(view_from(text), f->value, err))
            return true;
        err->kind = ERROR_USAGE;
        return error_wrap(err, "flag \"--%s\"", f->name);
    case FLAG_BYTES:
        if (!parse_bytes(text, f->value))
            return error_set(
                err, ERROR_USAGE,
                "flag \"--%s\": \"%s\" is no size, expected a number and a unit such as 512MB",
                f->name, text);
        return true;
    case FLAG_COUNT:
        if (!parse_count(text, f->value))
            return error_set(err, ERROR_USAGE, "flag \"--%s\": \"%s\" is no whole number", f->name,
                             text);
        return true;
    case FLAG_SWITCH:
        break;
    }
    UNREACHABLE();
}

static bool set_switch(const struct flag *f, const char *text, bool on, struct error *err)
{
    if (text && strcmp(text, "true") != 0 && strcmp(text, "false") != 0)
        return error_set(err, ERROR_USAGE, "flag \"--%s\" is a switch: true or false, not \"%s\"",
                         f->name, text);
    *(bool *)f->value = text ? strcmp(text, "true") == 0 : on;
    return true;
}

const struct flag *flags_find(const struct flag *flags, size_t count, const char *name)
{
    return find(flags, count, view_from(name));
}

bool flags_set(const struct flag *flag, const char *text, struct error *err)
{
    if (!flag->value)
        return true;
    return flag->kind == FLAG_SWITCH ? set_switch(flag, text, true, err)
                                     : set_value(flag, text, err);
}

static void warn_no_effect(const struct flag *f, void (*warn)(const char *sentence))
{
    char sentence[512];
    snprintf(sentence, sizeof sentence, "flag \"--%s\" has no effect: %s", f->name, f->help);
    warn(sentence);
}

/* Letters behind one dash: switches, until one that has a value takes the rest of the word. Are they all known? */
static bool are_short(const struct flag *flags, size_t count, const char *letters)
{
    for (; *letters; letters++) {
        const struct flag *f = find_short(flags, count, *letters);
        if (!f || f->kind != FLAG_SWITCH)
            return f != NULL;
    }
    return true;
}

static bool parse_short(const struct flag *flags, size_t count, const char *letters,
                        void (*warn)(const char *sentence), struct error *err)
{
    for (; *letters; letters++) {
        const struct flag *f = find_short(flags, count, *letters);
        if (!f->value)
            warn_no_effect(f, warn);
        else if (f->kind == FLAG_SWITCH)
            *(bool *)f->value = true;
        else
            return set_value(f, letters + 1, err);
    }
    return true;
}

/* One flag at argv[*i]; takes the next word as its value where it has none of its own. */
static bool parse_flag(const struct flag *flags, size_t count, int argc, char **argv, int *i,
                       void (*warn)(const char *sentence), struct error *err)
{
    const char *word = argv[*i] + 1;
    if (*word == '-')
        word++;
    const char *equals = strchr(word, '=');
    struct view name = equals ? (struct view){word, (size_t)(equals - word)} : view_from(word);
    bool on = true;
    const struct flag *f = name.len == 1 ? find_short(flags, count, *name.ptr) : NULL;
    if (!f)
        f = find(flags, count, name);
    if (!f && view_has_prefix(name, VIEW("no-"))) {
        f = find(flags, count, view_slice(name, 3, name.len));
        on = false;
        if (f && f->kind != FLAG_SWITCH)
            f = NULL;
    }
    if (!f && argv[*i][1] != '-' && word[1] && are_short(flags, count, word))
        return parse_short(flags, count, word, warn, err);
    if (!f)
        return fail_unknown(flags, count, name, err);

    const char *text = equals ? equals + 1 : NULL;
    if (f->kind != FLAG_SWITCH && !text) {
        if (*i + 1 >= argc)
            return error_set(err, ERROR_USAGE, "flag \"--%s\" needs a value", f->name);
        text = argv[++*i];
    }
    if (!f->value) {
        warn_no_effect(f, warn);
        return true;
    }
    return f->kind == FLAG_SWITCH ? set_switch(f, text, on, err) : set_value(f, text, err);
}

/* Does this word take the next one as its value? */
static bool wants_value(const struct flag *flags, size_t count, const char *word)
{
    const char *name = word + 1 + (word[1] == '-');
    const struct flag *f = word[1] && !word[2] ? find_short(flags, count, word[1])
                                               : find(flags, count, view_from(name));
    return f && f->kind != FLAG_SWITCH;
}

int flags_take_verb(const struct flag *flags, size_t count, int *argc, char **argv,
                    const char *const *verbs)
{
    int at = 0;
    while (at < *argc && argv[at][0] == '-' && strcmp(argv[at], "--") != 0)
        at += 1 + wants_value(flags, count, argv[at]);
    for (int i = 0; at < *argc && verbs[i]; i++) {
        if (strcmp(argv[at], verbs[i]) != 0)
            continue;
        memmove(argv + at, argv + at + 1, (size_t)(*argc - at - 1) * sizeof *argv);
        --*argc;
        return i;
    }
    return -1;
}

bool flags_parse(const struct flag *flags, size_t count, int argc, char **argv,
                 struct flag_words *words, void (*warn)(const char *sentence), struct error *err)
{
    words->items = argv;
    words->count = 0;
    for (int i = 0; i < argc; i++) {
        if (strcmp(argv[i], "--") == 0) {
            while (++i < argc)
                argv[words->count++] = argv[i];
            break;
        }
        /* A lone dash is a word (standard input), and so is a negative number. */
        if (argv[i][0] == '-' && argv[i][1] && !(argv[i][1] >= '0' && argv[i][1] <= '9')) {
            if (!parse_flag(flags, count, argc, argv, &i, warn, err))
                return false;
        } else {
            argv[words->count++] = argv[i];
        }
    }
    return true;
}

/* A default may be an address of the environment, with a password, and the scheme left out. */
static void print_default(FILE *out, struct view value)
{
    struct redaction secrets = {0};
    char text[HELP_BYTES_MAX], url[HELP_BYTES_MAX + sizeof "http://"];
    const char *scheme = value.len && memmem(value.ptr, value.len, "://", 3) ? "" : "http://";
    snprintf(text, sizeof text, "%.*s", VIEW_ARGS(value));
    snprintf(url, sizeof url, "%s%s", scheme, text);
    redaction_add_userinfo(&secrets, view_from(url));
    redaction_apply(&secrets, text, sizeof text);
    redaction_clear(&secrets);
    fprintf(out, " (%s)", text);
}

void flags_print_help(FILE *out, const struct flag *flags, size_t count)
{
    struct buffer text;
    buffer_init(&text, MEM_OTHER, HELP_BYTES_MAX);
    for (size_t i = 0; i < count; i++) {
        const struct flag *f = &flags[i];
        if (!f->value)
            continue;
        char left[NAME_BYTES_MAX];
        const char *argument = f->argument ? f->argument : "VALUE";
        int n = f->short_name ? snprintf(left, sizeof left, "  -%c, --%s", f->short_name, f->name)
                              : snprintf(left, sizeof left, "      --%s", f->name);
        if (f->kind != FLAG_SWITCH && n > 0 && (size_t)n < sizeof left)
            n += snprintf(left + n, sizeof left - (size_t)n, "=%s", argument);
        if (n > FLAG_COLUMN)
            fprintf(out, "%s\n%*s %s", left, FLAG_COLUMN, "", f->help);
        else
            fprintf(out, "%-*s %s", FLAG_COLUMN, left, f->help);
        buffer_reset(&text);
        flag_value_text(f, &text);
        if (text.len && f->kind != FLAG_SWITCH && f->kind != FLAG_LIST)
            print_default(out, buffer_view(&text));
        fputc('\n', out);
    }
    buffer_deinit(&text);
}

void flag_value_text(const struct flag *flag, struct buffer *out)
{
    if (!flag->value)
        return;
    switch (flag->kind) {
    case FLAG_SWITCH:
        buffer_printf(out, "%s", *(bool *)flag->value ? "true" : "false");
        return;
    case FLAG_TEXT:
        if (*(const char **)flag->value)
            buffer_printf(out, "%s", *(const char **)flag->value);
        return;
    case FLAG_DURATION: {
        char text[DURATION_TEXT_BYTES];
        duration_format(*(int64_t *)flag->value, text);
        buffer_printf(out, "%s", text);
        return;
    }
    case FLAG_BYTES: {
        uint64_t n = *(uint64_t *)flag->value;
        unsigned unit = 0;
        for (; n && n % 1024 == 0 && unit < 6; unit++)
            n /= 1024;
        static const char *const NAMES[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
        buffer_printf(out, "%" PRIu64 "%s", n, NAMES[unit]);
        return;
    }
    case FLAG_COUNT:
        buffer_printf(out, "%" PRId64, *(int64_t *)flag->value);
        return;
    case FLAG_LIST: {
        const struct flag_list *list = flag->value;
        for (size_t i = 0; i < list->count; i++)
            buffer_printf(out, "%s%s", i ? "," : "", list->items[i]);
        return;
    }
    }
}

bool flags_has_feature(const struct flag_list *features, const char *name)
{
    bool found = false;
    for (size_t i = 0; i < features->count; i++) {
        for (const char *word = features->items[i]; *word;) {
            struct view item = {word, strcspn(word, ",")};
            found |= view_is(item, name);
            word += item.len + (word[item.len] == ',');
        }
    }
    return found;
}

void flags_parser_features(const struct flag_list *features, struct parser_options *out)
{
    out->experimental_functions |= flags_has_feature(features, "promql-experimental-functions");
    out->duration_expressions |= flags_has_feature(features, "promql-duration-expr");
    out->extended_range_selectors |= flags_has_feature(features, "promql-extended-range-selectors");
    out->fill_modifiers |= flags_has_feature(features, "promql-binop-fill-modifiers");
}
