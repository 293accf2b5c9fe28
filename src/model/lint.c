/* SPDX-License-Identifier: Apache-2.0 */
/* lint.c: samples are gathered into families as the Go client's parser does (a histogram's _bucket, _sum and _count
 * belong to it, and its "le" is no label of the metric), then each rule looks at each family that has samples. */
#include "model/lint.h"

#include "base/map.h"
#include "model/exposition.h"

#include <ctype.h>
#include <stdlib.h>

struct metric {
    struct labels labels; /* without __name__, le of histograms and quantile of summaries */
    bool repeated;        /* a later sample of the same family has the same labels */
};

struct family {
    struct view name;
    enum metric_type type;
    bool has_help;
    struct metric *metrics;
    size_t metric_count, metric_capacity;
};

struct linter {
    struct arena *arena;
    struct error *err;
    struct family *families;
    size_t family_count, family_capacity;
    struct string_map *names;   /* family -> place */
    struct string_map *metrics; /* family and labels -> 1 */
    struct lint_problem *problems;
    size_t problem_count, problem_capacity;
};

static const struct {
    const char *unit, *base;
} UNITS[] = {
    {"amperes", "amperes"},    {"bytes", "bytes"},     {"celsius", "celsius"},
    {"grams", "grams"},        {"joules", "joules"},   {"kelvin", "kelvin"},
    {"meters", "meters"},      {"metres", "metres"},   {"seconds", "seconds"},
    {"volts", "volts"},        {"minutes", "seconds"}, {"hours", "seconds"},
    {"days", "seconds"},       {"weeks", "seconds"},   {"kelvins", "kelvin"},
    {"fahrenheit", "celsius"}, {"rankine", "celsius"}, {"inches", "meters"},
    {"yards", "meters"},       {"miles", "meters"},    {"bits", "bytes"},
    {"calories", "joules"},    {"pounds", "grams"},    {"ounces", "grams"},
};
static const char *const PREFIXES[] = {"",     "pico",  "nano", "micro", "milli", "centi", "deci",
                                       "deca", "hecto", "kilo", "kibi",  "mega",  "mibi",  "giga",
                                       "gibi", "tera",  "tebi", "peta",  "pebi"};
static const char *const ABBREVIATIONS[] = {"s",  "ms", "us", "ns", "sec", "b", "kb",
                                            "mb", "gb", "tb", "pb", "m",   "h", "d"};
static const char *const TYPE_NAMES[] = {"counter", "gauge", "summary", "histogram",
                                         "gauge_histogram"};

/* --- families --- */

static struct family *family_get(struct linter *l, struct view name)
{
    uint64_t place;
    if (string_map_get(l->names, name, &place))
        return &l->families[place];
    l->families = arena_grow(l->arena, l->families, &l->family_capacity, l->family_count + 1,
                             sizeof(*l->families));
    l->families[l->family_count] = (struct family){.name = name};
    string_map_set(l->names, name, l->family_count);
    return &l->families[l->family_count++];
}

/* The family that a suffix was added to, when it is of that type. */
static struct family *family_of_part(struct linter *l, struct view name, const char *suffix,
                                     enum metric_type type)
{
    struct view end = view_from(suffix);
    uint64_t place;
    if (!view_has_suffix(name, end) ||
        !string_map_get(l->names, view_slice(name, 0, name.len - end.len), &place) ||
        l->families[place].type != type)
        return NULL;
    return &l->families[place];
}

static struct family *family_of_sample(struct linter *l, struct view name)
{
    static const struct {
        const char *suffix;
        enum metric_type type;
    } PARTS[] = {{"_count", METRIC_SUMMARY},
                 {"_sum", METRIC_SUMMARY},
                 {"_count", METRIC_HISTOGRAM},
                 {"_sum", METRIC_HISTOGRAM},
                 {"_bucket", METRIC_HISTOGRAM}};
    uint64_t place;
    if (string_map_get(l->names, name, &place))
        return &l->families[place];
    for (size_t i = 0; i < ARRAY_COUNT(PARTS); i++) {
        struct family *family = family_of_part(l, name, PARTS[i].suffix, PARTS[i].type);
        if (family)
            return family;
    }
    return family_get(l, name);
}

static bool is_composite(const struct family *family)
{
    return family->type == METRIC_HISTOGRAM || family->type == METRIC_SUMMARY;
}

static struct labels own_labels(struct linter *l, const struct family *family, struct labels all)
{
    const char *part = family->type == METRIC_HISTOGRAM ? "le"
                       : family->type == METRIC_SUMMARY ? "quantile"
                                                        : "";
    struct label *items = ARENA_ARRAY(l->arena, struct label, all.count + 1);
    uint32_t count = 0;
    for (uint32_t i = 0; i < all.count; i++) {
        if (!view_is(all.items[i].name, LABEL_NAME) && !view_is(all.items[i].name, part))
            items[count++] = all.items[i];
    }
    return (struct labels){items, count};
}

/* The samples of one histogram are one metric; elsewhere equal labels are one too many. */
static void family_add(struct linter *l, struct family *family, struct labels all)
{
    struct labels labels = own_labels(l, family, all);
    struct buffer key;
    uint64_t seen = 0;
    buffer_init(&key, MEM_OTHER, EXPOSITION_LINE_BYTES_MAX * 4);
    buffer_append_view(&key, family->name);
    labels_format(&key, labels);
    bool repeated = string_map_get(l->metrics, buffer_view(&key), &seen);
    if (repeated && !is_composite(family)) {
        family->metrics[seen].repeated = true;
    } else if (!repeated) {
        string_map_set(l->metrics, buffer_view(&key), family->metric_count);
        family->metrics = arena_grow(l->arena, family->metrics, &family->metric_capacity,
                                     family->metric_count + 1, sizeof(*family->metrics));
        family->metrics[family->metric_count++] = (struct metric){labels, false};
    }
    buffer_deinit(&key);
}

static bool read_families(struct linter *l, struct view body)
{
    struct exposition_parser parser;
    exposition_parser_init(&parser, body, EXPOSITION_TEXT);
    for (;;) {
        struct labels labels;
        switch (exposition_next(&parser, l->err)) {
        case EXPOSITION_END:
            return true;
        case EXPOSITION_ERROR:
            return false;
        case EXPOSITION_TYPE:
            family_get(l, parser.family)->type = parser.type;
            break;
        case EXPOSITION_HELP:
            family_get(l, parser.family)->has_help |= parser.text.len > 0;
            break;
        case EXPOSITION_SAMPLE:
            if (!exposition_parse_key(parser.key, l->arena, &labels, l->err))
                return error_wrap(l->err, "line %u", parser.line);
            family_add(l, family_of_sample(l, labels_get(labels, VIEW(LABEL_NAME))), labels);
            break;
        case EXPOSITION_UNIT:
        case EXPOSITION_COMMENT:
            break;
        }
    }
}

/* --- rules --- */

static void report(struct linter *l, const struct family *family, struct view text)
{
    if (l->problem_count > LINT_PROBLEMS_MAX)
        return;
    l->problems = arena_grow(l->arena, l->problems, &l->problem_capacity, l->problem_count + 1,
                             sizeof(*l->problems));
    l->problems[l->problem_count++] = (struct lint_problem){family->name, text};
}

static void lint_units(struct linter *l, const struct family *family)
{
    for (size_t from = 0; from <= family->name.len;) {
        const char *end = from < family->name.len
                              ? memchr(family->name.ptr + from, '_', family->name.len - from)
                              : NULL;
        size_t to = end ? (size_t)(end - family->name.ptr) : family->name.len;
        struct view word = view_slice(family->name, from, to);
        for (size_t p = 0; p < ARRAY_COUNT(PREFIXES); p++) {
            struct view prefix = view_from(PREFIXES[p]);
            for (size_t u = 0; view_has_prefix(word, prefix) && u < ARRAY_COUNT(UNITS); u++) {
                if (!view_is(view_slice(word, prefix.len, word.len), UNITS[u].unit))
                    continue;
                if (!view_is(word, UNITS[u].base))
                    report(l, family,
                           arena_printf(l->arena, "use base unit \"%s\" instead of \"%.*s\"",
                                        UNITS[u].base, VIEW_ARGS(word)));
                return; /* the first unit counts */
            }
        }
        from = to + 1;
    }
}

static void lint_counter(struct linter *l, const struct family *family)
{
    bool total = view_has_suffix(family->name, VIEW("_total"));
    if (family->type == METRIC_COUNTER && !total)
        report(l, family, VIEW("counter metrics should have \"_total\" suffix"));
    if (family->type != METRIC_COUNTER && family->type != METRIC_UNKNOWN && total)
        report(l, family, VIEW("non-counter metrics should not have \"_total\" suffix"));
}

static void lint_reserved(struct linter *l, const struct family *family)
{
    bool histogram = family->type == METRIC_HISTOGRAM, summary = family->type == METRIC_SUMMARY;
    if (family->type == METRIC_UNKNOWN)
        return;
    if (!histogram && view_has_suffix(family->name, VIEW("_bucket")))
        report(l, family, VIEW("non-histogram metrics should not have \"_bucket\" suffix"));
    if (!histogram && !summary && view_has_suffix(family->name, VIEW("_count")))
        report(l, family,
               VIEW("non-histogram and non-summary metrics should not have \"_count\" suffix"));
    if (!histogram && !summary && view_has_suffix(family->name, VIEW("_sum")))
        report(l, family,
               VIEW("non-histogram and non-summary metrics should not have \"_sum\" suffix"));
    for (size_t i = 0; i < family->metric_count; i++) {
        for (uint32_t j = 0; j < family->metrics[i].labels.count; j++) {
            struct view name = family->metrics[i].labels.items[j].name;
            if (!histogram && view_is(name, "le"))
                report(l, family, VIEW("non-histogram metrics should not have \"le\" label"));
            if (!summary && view_is(name, "quantile"))
                report(l, family, VIEW("non-summary metrics should not have \"quantile\" label"));
        }
    }
}

/* Is `word`, in any case, a part of the name between underscores, or its last one? */
static bool has_word(struct view name, const char *word)
{
    size_t len = strlen(word);
    for (size_t at = 1; at + len <= name.len; at++) {
        if (name.ptr[at - 1] == '_' && strncasecmp(name.ptr + at, word, len) == 0 &&
            (at + len == name.len || name.ptr[at + len] == '_'))
            return true;
    }
    return false;
}

static void lint_words(struct linter *l, const struct family *family)
{
    for (size_t i = 0; i < ARRAY_COUNT(TYPE_NAMES); i++) {
        if (has_word(family->name, TYPE_NAMES[i]))
            report(
                l, family,
                arena_printf(l->arena, "metric name should not include type '%s'", TYPE_NAMES[i]));
    }
    for (size_t i = 0; i < ARRAY_COUNT(ABBREVIATIONS); i++) {
        if (has_word(family->name, ABBREVIATIONS[i]))
            report(l, family, VIEW("metric names should not contain abbreviated units"));
    }
}

static bool is_camel_case(struct view name)
{
    for (size_t i = 1; i < name.len; i++) {
        if (islower((unsigned char)name.ptr[i - 1]) && isupper((unsigned char)name.ptr[i]))
            return true;
    }
    return false;
}

static void lint_letters(struct linter *l, const struct family *family)
{
    if (family->name.len && memchr(family->name.ptr, ':', family->name.len))
        report(l, family, VIEW("metric names should not contain ':'"));
    if (is_camel_case(family->name))
        report(l, family, VIEW("metric names should be written in 'snake_case' not 'camelCase'"));
    for (size_t i = 0; i < family->metric_count; i++) {
        for (uint32_t j = 0; j < family->metrics[i].labels.count; j++) {
            if (is_camel_case(family->metrics[i].labels.items[j].name))
                report(l, family,
                       VIEW("label names should be written in 'snake_case' not 'camelCase'"));
        }
    }
}

static void lint_family(struct linter *l, const struct family *family)
{
    if (family->metric_count == 0)
        return;
    if (!family->has_help)
        report(l, family, VIEW("no help text"));
    lint_units(l, family);
    lint_counter(l, family);
    lint_reserved(l, family);
    lint_words(l, family);
    lint_letters(l, family);
    for (size_t i = 0; i < family->metric_count; i++) {
        if (family->metrics[i].repeated)
            report(l, family, VIEW("metric not unique"));
    }
}

static int problem_compare(const void *a, const void *b)
{
    const struct lint_problem *x = a, *y = b;
    int c = view_cmp(x->metric, y->metric);
    return c ? c : view_cmp(x->text, y->text);
}

bool lint_exposition(struct arena *arena, struct view body, struct lint_report *out,
                     struct error *err)
{
    struct linter l = {.arena = arena, .err = err};
    *out = (struct lint_report){NULL, 0};
    if (body.len > 0 && body.ptr[body.len - 1] != '\n')
        return error_set(err, ERROR_INPUT, "the last line does not end with a line feed");
    l.names = string_map_new(MEM_OTHER);
    l.metrics = string_map_new(MEM_OTHER);
    bool ok = read_families(&l, body);
    for (size_t i = 0; ok && i < l.family_count; i++)
        lint_family(&l, &l.families[i]);
    string_map_free(l.names);
    string_map_free(l.metrics);
    if (ok && l.problem_count > LINT_PROBLEMS_MAX)
        return error_set(err, ERROR_LIMIT, "there are more than %d problems", LINT_PROBLEMS_MAX);
    if (ok && l.problem_count > 1)
        qsort(l.problems, l.problem_count, sizeof(*l.problems), problem_compare);
    if (ok)
        *out = (struct lint_report){l.problems, l.problem_count};
    return ok;
}
