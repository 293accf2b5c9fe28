/* SPDX-License-Identifier: Apache-2.0 */
#include "ingest/relabel.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

enum { SOURCES_MAX = 4, RULES_MAX = 3 };

/* A rule as the tables say it; NULL: the default. */
struct rule {
    const char *action;
    const char *sources[SOURCES_MAX];
    const char *regex, *target, *replacement, *separator;
    uint64_t modulus;
    bool legacy;
};

static struct arena arena;

static void rule_build(struct relabel_rule *out, const struct rule *in,
                       struct view sources[SOURCES_MAX])
{
    relabel_rule_init(out);
    if (in->action)
        assert_true(relabel_action_parse(view_from(in->action), &out->action));
    out->source_labels = sources;
    for (size_t i = 0; i < SOURCES_MAX && in->sources[i]; i++)
        sources[out->source_label_count++] = view_from(in->sources[i]);
    if (in->regex)
        out->regex_text = view_from(in->regex);
    if (in->target)
        out->target_label = view_from(in->target);
    if (in->replacement)
        out->replacement = view_from(in->replacement);
    if (in->separator)
        out->separator = view_from(in->separator);
    out->modulus = in->modulus;
    out->legacy_names = in->legacy;
}

#define ABC "{a=\"foo\", b=\"bar\", c=\"baz\"}"

static const struct {
    const char *name, *in;
    struct rule rules[RULES_MAX];
    const char *out; /* NULL: dropped */
} CASES[] = {
    {"replace with groups",
     ABC,
     {{.sources = {"a"}, .regex = "f(.*)", .target = "d", .replacement = "ch${1}-ch${1}"}},
     "{a=\"foo\", b=\"bar\", c=\"baz\", d=\"choo-choo\"}"},
    {"two rules in order",
     ABC,
     {{.sources = {"a", "b"}, .regex = "f(.*);(.*)r", .target = "a", .replacement = "b${1}${2}m"},
      {.sources = {"c", "a"},
       .regex = "(b).*b(.*)ba(.*)",
       .target = "d",
       .replacement = "$1$2$2$3"}},
     "{a=\"boobam\", b=\"bar\", c=\"baz\", d=\"boooom\"}"},
    {"drop and what follows is not done",
     "{a=\"foo\"}",
     {{.action = "drop", .sources = {"a"}, .regex = ".*o.*"}, {.sources = {"a"}, .target = "d"}},
     NULL},
    {"drop that does not match",
     "{a=\"foo\", b=\"bar\"}",
     {{.action = "drop", .sources = {"a"}, .regex = "no-match"}},
     "{a=\"foo\", b=\"bar\"}"},
    {"drop is anchored",
     "{a=\"foo\"}",
     {{.action = "drop", .sources = {"a"}, .regex = "f|o"}},
     "{a=\"foo\"}"},
    {"keep that matches",
     "{a=\"foo\"}",
     {{.action = "keep", .sources = {"a"}, .regex = "f.."}},
     "{a=\"foo\"}"},
    {"keep that does not match",
     "{a=\"foo\"}",
     {{.action = "keep", .sources = {"a"}, .regex = "no"}},
     NULL},
    {"keep by an absent label",
     "{a=\"foo\"}",
     {{.action = "keep", .sources = {"x"}, .regex = ".+"}},
     NULL},
    {"no match, no replacement",
     "{a=\"foo\"}",
     {{.sources = {"a"}, .regex = "x", .target = "b", .replacement = "y"}},
     "{a=\"foo\"}"},
    {"an empty replacement deletes",
     "{a=\"foo\", b=\"bar\"}",
     {{.sources = {"a"}, .regex = "f.*", .target = "b", .replacement = ""}},
     "{a=\"foo\"}"},
    {"an absent source gives an empty value",
     "{a=\"foo\", b=\"bar\"}",
     {{.sources = {"x"}, .target = "b"}},
     "{a=\"foo\"}"},
    {"static text",
     "{a=\"foo\"}",
     {{.target = "b", .replacement = "static"}},
     "{a=\"foo\", b=\"static\"}"},
    {"a separator",
     "{a=\"foo\", b=\"bar\"}",
     {{.sources = {"a", "b"}, .separator = "||", .target = "c"}},
     "{a=\"foo\", b=\"bar\", c=\"foo||bar\"}"},
    {"a target from the source",
     "{a=\"some-name-value\"}",
     {{.sources = {"a"}, .regex = "some-([^-]+)-([^,]+)", .target = "${1}", .replacement = "${2}"}},
     "{a=\"some-name-value\", name=\"value\"}"},
    {"a legacy target that is no name",
     "{a=\"some-name-0\"}",
     {{.sources = {"a"},
       .regex = "some-([^-]+)-([^,]+)",
       .target = "${3}",
       .replacement = "${1}",
       .legacy = true}},
     "{a=\"some-name-0\"}"},
    {"a legacy target from digits",
     "{a=\"some-name-0\"}",
     {{.sources = {"a"},
       .regex = "some-([^-]+)-([^,]+)",
       .target = "${2}",
       .replacement = "${1}",
       .legacy = true}},
     "{a=\"some-name-0\"}"},
    {"a UTF-8 target",
     "{a=\"x\"}",
     {{.sources = {"a"}, .target = "my.label"}},
     "{a=\"x\", \"my.label\"=\"x\"}"},
    {"named groups",
     "{a=\"k=v\"}",
     {{.sources = {"a"},
       .regex = "(?<key>.*)=(?P<value>.*)",
       .target = "b",
       .replacement = "${value}-${key}"}},
     "{a=\"k=v\", b=\"v-k\"}"},
    {"a dollar sign",
     "{a=\"x\"}",
     {{.sources = {"a"}, .target = "b", .replacement = "$$1"}},
     "{a=\"x\", b=\"$1\"}"},
    {"an unknown group is empty",
     "{a=\"x\"}",
     {{.sources = {"a"}, .target = "b", .replacement = "<$2>"}},
     "{a=\"x\", b=\"<>\"}"},
    {"$1x is a name",
     "{a=\"x\"}",
     {{.sources = {"a"}, .target = "b", .replacement = "$1x"}},
     "{a=\"x\"}"},
    {"line ends match",
     "{a=\"x\\ny\"}",
     {{.sources = {"a"}, .regex = "x.y", .target = "b", .replacement = "z"}},
     "{a=\"x\\ny\", b=\"z\"}"},
    {"an empty regex matches the empty text",
     "{a=\"x\"}",
     {{.regex = "", .target = "b", .replacement = "z"}},
     "{a=\"x\", b=\"z\"}"},
    {"hashmod",
     ABC,
     {{.action = "hashmod", .sources = {"c"}, .target = "d", .modulus = 1000}},
     "{a=\"foo\", b=\"bar\", c=\"baz\", d=\"976\"}"},
    {"hashmod of several lines",
     "{a=\"foo\\nbar\"}",
     {{.action = "hashmod", .sources = {"a"}, .target = "b", .modulus = 1000}},
     "{a=\"foo\\nbar\", b=\"734\"}"},
    {"labelmap",
     "{a=\"foo\", b1=\"bar\", b2=\"baz\"}",
     {{.action = "labelmap", .regex = "(b.*)", .replacement = "bar_${1}"}},
     "{a=\"foo\", b1=\"bar\", b2=\"baz\", bar_b1=\"bar\", bar_b2=\"baz\"}"},
    {"labelmap onto a label that is there",
     "{__meta_my_bar=\"aaa\", __meta_my_baz=\"bbb\", __meta_other=\"ccc\", a=\"foo\"}",
     {{.action = "labelmap", .regex = "__meta_(my.*)"}},
     "{__meta_my_bar=\"aaa\", __meta_my_baz=\"bbb\", __meta_other=\"ccc\", a=\"foo\", "
     "my_bar=\"aaa\", my_baz=\"bbb\"}"},
    {"labeldrop",
     "{a=\"foo\", b1=\"bar\", b2=\"baz\"}",
     {{.action = "labeldrop", .regex = "(b.*)"}},
     "{a=\"foo\"}"},
    {"labelkeep",
     "{a=\"foo\", b1=\"bar\", b2=\"baz\"}",
     {{.action = "labelkeep", .regex = "(b.*)"}},
     "{b1=\"bar\", b2=\"baz\"}"},
    {"lowercase",
     "{foo=\"bAr123Foo\"}",
     {{.action = "lowercase", .sources = {"foo"}, .target = "low"},
      {.action = "uppercase", .sources = {"foo"}, .target = "up"}},
     "{foo=\"bAr123Foo\", low=\"bar123foo\", up=\"BAR123FOO\"}"},
    {"letters beyond ASCII",
     "{a=\"ÄÖß→Я\"}",
     {{.action = "Lowercase", .sources = {"a"}, .target = "a"}},
     "{a=\"äöß→я\"}"},
    {"keepequal",
     "{a=\"x\", b=\"x\"}",
     {{.action = "keepequal", .sources = {"a"}, .target = "b"}},
     "{a=\"x\", b=\"x\"}"},
    {"keepequal of different values",
     "{a=\"x\", b=\"y\"}",
     {{.action = "keepequal", .sources = {"a"}, .target = "b"}},
     NULL},
    {"dropequal",
     "{a=\"x\", b=\"x\"}",
     {{.action = "dropequal", .sources = {"a"}, .target = "b"}},
     NULL},
    {"dropequal of different values",
     "{a=\"x\", b=\"y\"}",
     {{.action = "dropequal", .sources = {"a"}, .target = "b"}},
     "{a=\"x\", b=\"y\"}"},
    {"dropequal of absent labels",
     "{a=\"x\"}",
     {{.action = "dropequal", .sources = {"p"}, .target = "q"}},
     NULL},
    {"no rules", "{a=\"x\"}", {{0}}, "{a=\"x\"}"},
};

static size_t rules_build(const struct rule *in, struct relabel_rule *out,
                          struct view (*sources)[SOURCES_MAX])
{
    static const struct rule NONE;
    size_t count = 0;
    for (; count < RULES_MAX && memcmp(&in[count], &NONE, sizeof(NONE)) != 0; count++) {
        struct error err = {0};
        rule_build(&out[count], &in[count], sources[count]);
        if (!relabel_rule_check(&out[count], &err))
            fail_msg("%s", err.message);
    }
    return count;
}

/* The semantics are those of Prometheus' documentation; the sums of hashmod were computed by it. */
static void rules_do_what_prometheus_documents(void **state)
{
    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        struct relabel_rule rules[RULES_MAX];
        struct view sources[RULES_MAX][SOURCES_MAX];
        struct labels in;
        struct labels_builder b;
        struct error err = {0};
        struct buffer out;
        size_t count = rules_build(CASES[i].rules, rules, sources);
        if (!labels_parse(&arena, view_from(CASES[i].in), &in, &err))
            fail_msg("%s: %s", CASES[i].name, err.message);
        labels_builder_init(&b, &arena);
        labels_builder_reset(&b, in);
        bool kept = relabel_process(rules, count, &b);
        if (kept != (CASES[i].out != NULL))
            fail_msg("%s: was %s", CASES[i].name, kept ? "kept" : "dropped");
        if (kept) {
            struct labels expected;
            if (!labels_parse(&arena, view_from(CASES[i].out), &expected, &err))
                fail_msg("%s: %s", CASES[i].name, err.message);
            buffer_init(&out, MEM_OTHER, 1 << 16);
            labels_format(&out, labels_builder_finish(&b));
            if (!labels_equal(labels_builder_finish(&b), expected))
                fail_msg("%s: got %.*s, expected %s", CASES[i].name, VIEW_ARGS(buffer_view(&out)),
                         CASES[i].out);
            buffer_deinit(&out);
        }
        for (size_t j = 0; j < count; j++)
            relabel_rule_deinit(&rules[j]);
    }
}

static const struct {
    struct rule rule;
    const char *message; /* NULL: good */
} CHECKS[] = {
    {{.target = "a"}, NULL},
    {{.regex = "abc"}, "relabel configuration for replace action requires 'target_label' value"},
    {{.action = "hashmod", .target = "a"},
     "relabel configuration for hashmod requires non-zero modulus"},
    {{.action = "hashmod", .modulus = 8},
     "relabel configuration for hashmod action requires 'target_label' value"},
    {{.action = "keepequal", .sources = {"a"}},
     "relabel configuration for keepequal action requires 'target_label' value"},
    {{.action = "dropequal", .sources = {"a"}, .target = "b", .regex = "x"},
     "dropequal action requires only 'source_labels' and `target_label`, and no other fields"},
    {{.action = "labeldrop", .sources = {"a"}},
     "labeldrop action requires only 'regex', and no other fields"},
    {{.action = "labelkeep", .separator = ","},
     "labelkeep action requires only 'regex', and no other fields"},
    {{.action = "lowercase", .target = "a", .replacement = "x"},
     "'replacement' can not be set for lowercase action"},
    {{.target = "a.b"}, NULL},
    {{.target = "a.b", .legacy = true}, "\"a.b\" is invalid 'target_label' for replace action"},
    {{.target = "${1}_x", .legacy = true}, NULL},
    {{.target = "a_$1_${name}", .legacy = true}, NULL},
    {{.target = "1${1}", .legacy = true}, "\"1${1}\" is invalid 'target_label' for replace action"},
    {{.target = "${1", .legacy = true}, "\"${1\" is invalid 'target_label' for replace action"},
    {{.target = "$", .legacy = true}, "\"$\" is invalid 'target_label' for replace action"},
    {{.action = "labelmap", .replacement = "a-b", .legacy = true},
     "\"a-b\" is invalid 'replacement' for labelmap action"},
    {{.action = "hashmod", .target = "${1}", .modulus = 2, .legacy = true},
     "\"${1}\" is invalid 'target_label' for hashmod action"},
};

static void rules_that_make_no_sense_are_refused(void **state)
{
    for (size_t i = 0; i < ARRAY_COUNT(CHECKS); i++) {
        struct relabel_rule rule;
        struct view sources[SOURCES_MAX];
        struct error err = {0};
        rule_build(&rule, &CHECKS[i].rule, sources);
        bool ok = relabel_rule_check(&rule, &err);
        if (ok != (CHECKS[i].message == NULL) ||
            (!ok && strcmp(err.message, CHECKS[i].message) != 0))
            fail_msg("%zu: %s", i, ok ? "was accepted" : err.message);
        relabel_rule_deinit(&rule);
    }
    enum relabel_action action;
    assert_false(relabel_action_parse(VIEW("replac"), &action));
    assert_false(relabel_action_parse(VIEW(""), &action));
}

static int setup(void **state)
{
    arena_init(&arena, MEM_OTHER, 0);
    return 0;
}

static int teardown(void **state)
{
    arena_deinit(&arena);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rules_do_what_prometheus_documents),
        cmocka_unit_test(rules_that_make_no_sense_are_refused),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
