/* SPDX-License-Identifier: Apache-2.0 */
/* rule_file_test.c: what a rule file may say, and with which words it is refused. */
#include "rules/rule_file.h"

#include "base/buffer.h"
#include "base/file.h"
#include "rules/rule_check.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define RULE(text) "groups:\n- name: g\n  rules:\n  - " text

/* Each text and all of its errors, one a line. */
static const struct {
    const char *name, *in, *errors;
} REFUSED[] = {
    {"no YAML", "groups: [", "2:1: flow sequence without a closing bracket"},
    {"not a mapping", "[1]", "1:1: expected a mapping with the field \"groups\", not a list"},
    {"groups of another kind", "groups: 1", "1:9: field \"groups\": expected a list, not a number"},
    {"an unknown field", "group: []",
     "1:1: field \"group\" is not known in a rule file, did you mean \"groups\"?"},
    {"a group without a name", "groups:\n- rules: []", "2:3: Groupname must not be empty"},
    {"a group twice", "groups:\n- name: a\n- name: a",
     "3:9: groupname: \"a\" is repeated in the same file"},
    {"a limit in words", "groups:\n- name: a\n  limit: many",
     "3:10: field \"limit\": expected a whole number, not a string"},
    {"an interval without a unit", "groups:\n- name: a\n  interval: 5",
     "3:13: field \"interval\": duration \"5\": a number lacks its unit (ms, s, m, h, d, w or y)"},
    {"a group label", "groups:\n- name: a\n  labels: {__name__: x}",
     "3:11: invalid label name: __name__"},
    {"neither record nor alert", RULE("expr: 1"),
     "4:5: group \"g\", rule 1, \"\": one of 'record' or 'alert' must be set"},
    {"both", RULE("record: a\n    alert: b\n    expr: 1"),
     "4:13: group \"g\", rule 1, \"b\": only one of 'record' and 'alert' must be set"},
    {"no expression", RULE("record: a"),
     "4:5: group \"g\", rule 1, \"a\": field 'expr' must be set in rule"},
    {"a bad expression", RULE("record: a\n    expr: 1 +"),
     "5:11: group \"g\", rule 1, \"a\": could not parse expression: 1:4: parse error: unexpected "
     "end of input"},
    {"braces", RULE("record: a{b=\"c\"}\n    expr: 1"),
     "4:13: group \"g\", rule 1, \"a{b=\\\"c\\\"}\": braces present in the recording rule name; "
     "should it be in expr?: a{b=\"c\"}"},
    {"for in a recording rule", RULE("record: a\n    expr: 1\n    for: 1m"),
     "6:10: group \"g\", rule 1, \"a\": invalid field 'for' in recording rule"},
    {"annotations in a recording rule", RULE("record: a\n    expr: 1\n    annotations: {a: b}"),
     "6:18: group \"g\", rule 1, \"a\": invalid field 'annotations' in recording rule"},
    {"a duration that is none", RULE("alert: a\n    expr: 1\n    for: soon"),
     "6:10: group \"g\", rule 1, \"a\": field \"for\": duration \"soon\": expected a number and a "
     "unit, as in 1h30m"},
    {"a field misspelt", RULE("alert: a\n    expr: 1\n    annotation: {}"),
     "6:5: group \"g\", rule 1, \"a\": field \"annotation\" is not known in a rule, did you mean "
     "\"annotations\"?"},
    {"a label that is a list", RULE("alert: a\n    expr: 1\n    labels: {b: [1]}"),
     "6:17: group \"g\", rule 1, \"a\": field \"b\": expected a string, not a list"},
    {"for and missing_for", RULE("alert: a\n    expr: b\n    for: 1m\n    missing_for: 5m"),
     "6:10: group \"g\", rule 1, \"a\": only one of 'for' and 'missing_for' must be set: the "
     "latter is how long a series must be gone"},
    {"a recover that is a number", RULE("alert: a\n    expr: b > 1\n    recover: 1"),
     "6:14: group \"g\", rule 1, \"a\": field 'recover' must be an instant vector"},
    {"several things", RULE("record: a\n  - alert: b\n    expr: x y"),
     "4:5: group \"g\", rule 1, \"a\": field 'expr' must be set in rule\n6:11: group \"g\", rule "
     "2, \"b\": could not parse expression: 1:3: parse error: unexpected identifier \"y\""},
};

static void print_errors(const struct rule_file *f, struct buffer *out)
{
    for (size_t i = 0; i < f->error_count; i++)
        buffer_printf(out, "%s%.*s", i ? "\n" : "", VIEW_ARGS(f->errors[i].text));
    buffer_append_byte(out, '\0');
}

/* The text of each error, its place and the rule's name are what the table says. */
static void broken_files_are_refused_with_place_and_rule(void **state)
{
    (void)state;
    size_t wrong = 0;
    for (size_t i = 0; i < ARRAY_COUNT(REFUSED); i++) {
        struct rule_file *f;
        struct error err = {0};
        struct buffer out;
        buffer_init(&out, MEM_OTHER, 1 << 20);
        if (rule_file_parse(view_from(REFUSED[i].in), "r.yml", NULL, &f, &err))
            fail_msg("%s: not refused", REFUSED[i].name);
        print_errors(f, &out);
        if (strcmp(out.ptr, REFUSED[i].errors) != 0) {
            printf("%s:\n%s\nexpected\n%s\n", REFUSED[i].name, out.ptr, REFUSED[i].errors);
            wrong++;
        }
        assert_int_equal(strncmp(err.message, "r.yml: ", 7), 0);
        buffer_deinit(&out);
        rule_file_unref(f);
    }
    assert_int_equal(wrong, 0);
}

/* All fields of a good file arrive, the group's labels under each rule's own. */
static void all_fields_are_read(void **state)
{
    (void)state;
    static const char TEXT[] =
        "groups:\n"
        "- name: g\n  interval: 30s\n  query_offset: 5s\n  limit: 7\n  labels: {team: a, tier: x}\n"
        "  rules:\n"
        "  - record: r:x\n    expr: sum(x)\n    labels: {tier: y, gone: ''}\n"
        "  - alert: A\n    expr: x > 1\n    for: 1m\n    keep_firing_for: 2m\n    recover: x < 1\n"
        "    annotations: {summary: '', text: t}\n"
        "  - alert: B\n    expr: x\n    missing_for: 3m\n"
        "---\ngroups: nonsense\n";
    struct rule_file *f;
    struct error err = {0};
    if (!rule_file_parse(view_from(TEXT), "r.yml", NULL, &f, &err))
        fail_msg("%s", err.message);
    assert_true(f->has_more_documents);
    assert_int_equal(f->group_count, 1);
    assert_int_equal(f->rule_count, 3);
    const struct rule_group_definition *g = &f->groups[0];
    assert_int_equal(g->interval_ms, 30000);
    assert_true(g->has_query_offset);
    assert_int_equal(g->query_offset_ms, 5000);
    assert_int_equal(g->limit, 7);
    const struct rule_definition *r = &g->rules[0];
    assert_int_equal(r->kind, RULE_RECORDING);
    assert_int_equal(r->labels.count, 3); /* "gone" takes that of the series away */
    assert_true(view_is(labels_get(r->labels, VIEW("tier")), "y"));
    assert_true(view_is(labels_get(r->labels, VIEW("team")), "a"));
    r = &g->rules[1];
    assert_int_equal(r->kind, RULE_ALERTING);
    assert_int_equal(r->for_ms, 60000);
    assert_int_equal(r->keep_firing_for_ms, 120000);
    assert_non_null(r->recover);
    assert_int_equal(r->annotations.count, 2);
    assert_int_equal(g->rules[2].missing_for_ms, 180000);
    assert_true(rule_definition_equal(r, r));
    assert_false(rule_definition_equal(r, &g->rules[2]));
    rule_file_unref(f);
}

/* Layout of an expression makes no other rule of it; each other field does. */
static void rules_are_compared_by_what_they_mean(void **state)
{
    (void)state;
    static const struct {
        const char *a, *b;
        bool equal;
    } CASES[] = {
        {"record: r\n    expr: sum(x)", "record: r\n    expr: \"sum( x )\"", true},
        {"record: r\n    expr: sum(x)", "record: r\n    expr: sum(y)", false},
        {"alert: r\n    expr: x", "alert: r\n    expr: x\n    for: 1m", false},
        {"alert: r\n    expr: x", "alert: r\n    expr: x\n    labels: {a: b}", false},
        {"alert: r\n    expr: x", "alert: r\n    expr: x\n    annotations: {a: b}", false},
        {"alert: r\n    expr: x", "record: r\n    expr: x", false},
    };
    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        char text[2][512];
        struct rule_file *f[2];
        struct error err = {0};
        snprintf(text[0], sizeof text[0], RULE("%s"), CASES[i].a);
        snprintf(text[1], sizeof text[1], RULE("%s"), CASES[i].b);
        for (int k = 0; k < 2; k++)
            if (!rule_file_parse(view_from(text[k]), "r", NULL, &f[k], &err))
                fail_msg("%s", err.message);
        assert_int_equal(
            rule_definition_equal(&f[0]->groups[0].rules[0], &f[1]->groups[0].rules[0]),
            CASES[i].equal);
        rule_file_unref(f[0]);
        rule_file_unref(f[1]);
    }
}

static void unknown_fields_are_passed_over_on_request(void **state)
{
    (void)state;
    const struct rule_file_options opts = {.ignore_unknown_fields = true};
    struct rule_file *f;
    struct error err = {0};
    assert_true(rule_file_parse(view_from("more: 1\ngroups:\n- name: g\n  owner: {a: b}\n  rules: "
                                          "[{record: a, expr: 1, x: y}]"),
                                "r", &opts, &f, &err));
    rule_file_unref(f);
}

/* promtool's verdict on duplicates, word for word. */
static void duplicates_are_told_as_promtool_does(void **state)
{
    (void)state;
    static const char TEXT[] = "groups:\n- name: g\n  rules:\n"
                               "  - {record: a, expr: 1}\n  - {record: b, expr: 1}\n"
                               "  - {record: a, expr: 2}\n  - {record: a, expr: 3}\n"
                               "  - {alert: c, expr: 1, labels: {x: y}}\n"
                               "  - {alert: c, expr: 1, labels: {x: y}}\n";
    const struct rule_check_options opts = {.lint_duplicates = true};
    struct rule_check_report report = {0};
    struct buffer out, errors;
    buffer_init(&out, MEM_OTHER, 1 << 20);
    buffer_init(&errors, MEM_OTHER, 1 << 20);
    rule_check(NULL, view_from(TEXT), &opts, &out, &errors, &report);
    buffer_append_byte(&out, '\0');
    buffer_append_byte(&errors, '\0');
    assert_string_equal(out.ptr, "Checking standard input\n");
    assert_string_equal(errors.ptr,
                        "  FAILED:\nlint error 2 duplicate rule(s) found.\nMetric: a\nLabel(s):\n"
                        "Metric: c\nLabel(s):\n\tx: y\n"
                        "Might cause inconsistency while recording expressions\n");
    assert_false(report.has_errors);
    assert_true(report.has_lints);
    buffer_deinit(&out);
    buffer_deinit(&errors);
}

/* A pipe, a folder and a device are no rule files, and none of them is waited for. */
static void only_regular_files_are_read(void **state)
{
    (void)state;
    char dir[] = "/tmp/belfry-rules-XXXXXX", pipe_path[64];
    struct rule_file *f;
    struct error err = {0};
    assert_non_null(mkdtemp(dir));
    snprintf(pipe_path, sizeof pipe_path, "%s/pipe", dir);
    assert_int_equal(mkfifo(pipe_path, 0600), 0);
    const char *const paths[] = {dir, pipe_path, "/dev/zero", "/dev/null/nothing"};
    for (size_t i = 0; i < ARRAY_COUNT(paths); i++) {
        assert_false(rule_file_load(paths[i], NULL, &f, &err));
        assert_null(f);
        assert_true(err.message[0] != '\0');
    }
    unlink(pipe_path);
    rmdir(dir);
}

/* The official files: those with .bad. are refused, the others taken; legacy_* under the legacy scheme for names. */
static bool check_official(void *arg, const char *name, bool is_dir)
{
    const char *folder = arg;
    char path[512];
    struct rule_file *f;
    struct error err = {0};
    const struct rule_file_options opts = {.legacy_names = strncmp(name, "legacy_", 7) == 0};
    if (is_dir)
        return true;
    snprintf(path, sizeof path, CONFORMANCE_FOLDER "/%s/%s", folder, name);
    bool bad = strstr(name, ".bad.") || strcmp(name, "invalid_rules.yaml") == 0 ||
               strcmp(name, "invalid_record_name.bad.yaml") == 0;
    bool ok = rule_file_load(path, &opts, &f, &err);
    if (ok == bad)
        fail_msg("%s: %s", path, ok ? "taken" : err.message);
    rule_file_unref(f);
    return true;
}

static void official_files_get_their_verdict(void **state)
{
    (void)state;
    static char format[] = "format", fixtures[] = "fixtures";
    struct error err;
    if (!file_exists(CONFORMANCE_FOLDER)) {
        printf("SKIPPED: no conformance data\n");
        skip();
    }
    assert_true(dir_list(CONFORMANCE_FOLDER "/format", check_official, format, &err));
    assert_true(dir_list(CONFORMANCE_FOLDER "/fixtures", check_official, fixtures, &err));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(broken_files_are_refused_with_place_and_rule),
        cmocka_unit_test(all_fields_are_read),
        cmocka_unit_test(rules_are_compared_by_what_they_mean),
        cmocka_unit_test(unknown_fields_are_passed_over_on_request),
        cmocka_unit_test(duplicates_are_told_as_promtool_does),
        cmocka_unit_test(only_regular_files_are_read),
        cmocka_unit_test(official_files_get_their_verdict),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
