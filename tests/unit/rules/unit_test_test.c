/* SPDX-License-Identifier: Apache-2.0 */
/* unit_test_test.c: unit tests of rules: the verdicts of the official ones, and words for what fails. */
#include "rules/unit_test.h"

#include "base/file.h"
#include "base/floattext.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

/* Whole seconds are enough here; the command line reads all that the API does. */
static bool parse_seconds(struct view text, int64_t *ms, struct error *err)
{
    double seconds;
    if (!float_parse(text, &seconds))
        return error_set(err, ERROR_INPUT, "no number");
    *ms = (int64_t)(seconds * 1000);
    return true;
}

/* All that is wrong, one a line. */
static void print_report(const struct unit_test_report *r, struct buffer *out)
{
    for (size_t i = 0; i < r->error_count; i++)
        buffer_printf(out, "%s\n", r->errors[i]);
    for (size_t c = 0; c < r->case_count; c++)
        for (size_t i = 0; i < r->cases[c].failure_count; i++)
            buffer_printf(out, "%s\n", r->cases[c].failures[i]);
}

static const struct {
    const char *name, *in, *failures;
} TEXTS[] = {
    {"nothing", "", ""},
    {"no test", "tests: []", ""},
    {"no YAML", "tests: [", "2:1: flow sequence without a closing bracket\n"},
    {"an unknown field", "test: []",
     "1:1: field \"test\" is not known in a file of unit tests, did you mean \"tests\"?\n"},
    {"a group twice", "group_eval_order: [a, a]",
     "1:23: group name repeated in evaluation order: a\n"},
    {"a test that is text", "tests: [x]",
     "1:9: field \"tests\": expected a mapping, not a string\n"},
    {"a time that is none", "tests: [{start_timestamp: soon}]",
     "1:27: field \"start_timestamp\": expected seconds since 1970 or a time as in "
     "2026-11-26T12:00:00Z\n"},
    {"an alert without a name", "tests: [{alert_rule_test: [{eval_time: 5m}]}]",
     "an item under alert_rule_test misses required attribute alertname at eval_time 5m\n"},
    {"a series that is none", "tests: [{input_series: [{series: 'x{', values: 1}]}]",
     "    input_series in line 1: \"x{ 1\": column 4: unexpected character inside braces: '1'\n"},
    {"a histogram", "tests: [{input_series: [{series: x, values: '{{sum:1}}'}]}]",
     "    input_series in line 1: \"x {{sum:1}}\": native histograms are not in this version\n"},
    {"a value that differs",
     "tests: [{input_series: [{series: 'x{a=\"b\"}', values: 1}], promql_expr_test: [{expr: x, "
     "exp_samples: [{labels: 'x{a=\"b\"}', value: 0.1}]}]}]",
     "    expr: \"x\", time: 0s,\n        exp: {__name__=\"x\", a=\"b\"} 1E-01\n        got: "
     "{__name__=\"x\", a=\"b\"} 1E+00\n"},
    {"no series",
     "tests: [{promql_expr_test: [{expr: x, eval_time: 90s, exp_samples: [{value: 1}]}]}]",
     "    expr: \"x\", time: 1m30s,\n        exp: {} 1E+00\n        got: nil\n"},
    {"a query that fails", "tests: [{promql_expr_test: [{expr: x +}]}]",
     "    expr: \"x +\", time: 0s, err: 1:4: parse error: unexpected end of input\n"},
    {"expected labels that are none",
     "tests: [{promql_expr_test: [{expr: x, exp_samples: [{labels: '{', value: 1}]}]}]",
     "    expr: \"x\", time: 0s, err: labels \"{\": column 2: unexpected end of input inside "
     "braces\n"},
    {"samples come as time goes",
     "tests: [{input_series: [{series: x, values: 1 2 3}], promql_expr_test: [{expr: x, eval_time: "
     "1m, exp_samples: [{labels: x, value: 2}]}, {expr: 'x offset -1m', eval_time: 1m, "
     "exp_samples: [{labels: x, value: 2}]}]}]",
     ""},
    {"a start of its own",
     "tests: [{start_timestamp: 1000, input_series: [{series: x, values: 1 2}], promql_expr_test: "
     "[{expr: timestamp(x), eval_time: 1m, exp_samples: [{value: 1060}]}]}]",
     ""},
    {"names come in any order",
     "tests: [{input_series: [{series: b, values: 1}, {series: a, values: 2}], promql_expr_test: "
     "[{expr: '{__name__=~\"a|b\"}', exp_samples: [{labels: b, value: 1}, {labels: a, value: "
     "2}]}]}]",
     ""},
    {"fuzzy",
     "fuzzy_compare: true\ntests: [{promql_expr_test: [{expr: 0.1 + 0.2, exp_samples: [{value: "
     "0.3}]}]}]",
     ""},
    {"not fuzzy", "tests: [{promql_expr_test: [{expr: 0.1 + 0.2, exp_samples: [{value: 0.3}]}]}]",
     "    expr: \"0.1 + 0.2\", time: 0s,\n        exp: {} 3E-01\n        got: {} "
     "3.0000000000000004E-01\n"},
    {"a rule file that is not there", "rule_files: [nothing.yml]\ntests: [{}]", ""},
};

static void texts_get_their_verdict(void **state)
{
    (void)state;
    const struct unit_test_options options = {.parse_time = parse_seconds};
    size_t wrong = 0;
    for (size_t i = 0; i < ARRAY_COUNT(TEXTS); i++) {
        struct unit_test_report report = {0};
        struct buffer out, failures;
        buffer_init(&out, MEM_OTHER, 1 << 20);
        buffer_init(&failures, MEM_OTHER, 1 << 20);
        bool passed =
            unit_test_run_text(view_from(TEXTS[i].in), "/nowhere/t.yml", &options, &report, &out);
        print_report(&report, &failures);
        buffer_append_byte(&failures, '\0');
        if (strcmp(failures.ptr, TEXTS[i].failures) != 0 ||
            passed != (TEXTS[i].failures[0] == '\0')) {
            printf("%s: %d\n%sexpected\n%s", TEXTS[i].name, passed, failures.ptr,
                   TEXTS[i].failures);
            wrong++;
        }
        unit_test_report_deinit(&report);
        buffer_deinit(&out);
        buffer_deinit(&failures);
    }
    assert_int_equal(wrong, 0);
}

/* Those of Prometheus 3's promtool; unittest.yml has native histograms in its first test only. */
static const struct {
    const char *file;
    bool passes, ignore_unknown;
} OFFICIAL[] = {
    {"at-modifier-test.yml", true, false},
    {"negative-offset-test.yml", true, false},
    {"bad-input-series.yml", false, false},
    {"bad-promql.yml", false, false},
    {"bad-rules-error-test.yml", false, false},
    {"bad-rules-syntax-test.yml", false, false},
    {"failing.yml", false, false},
    {"long-period.yml", true, false},
    {"no-test-group-interval.yml", true, false},
    {"rules_run.yml", false, false},
    {"rules_run_extrafields.yml", false, false},
    {"rules_run_extrafields.yml", true, true},
    {"rules_run_fuzzy.yml", false, false},
    {"rules_run_no_fuzzy.yml", false, false},
};

static void official_tests_get_their_verdict(void **state)
{
    (void)state;
    if (!file_exists(CONFORMANCE_FOLDER)) {
        printf("SKIPPED: no conformance data\n");
        skip();
    }
    for (size_t i = 0; i < ARRAY_COUNT(OFFICIAL); i++) {
        const struct unit_test_options options = {
            .rules = {.ignore_unknown_fields = OFFICIAL[i].ignore_unknown},
            .parse_time = parse_seconds};
        struct unit_test_report report = {0};
        char path[512];
        struct buffer out;
        buffer_init(&out, MEM_OTHER, 1 << 20);
        snprintf(path, sizeof path, CONFORMANCE_FOLDER "/unit_tests/%s", OFFICIAL[i].file);
        bool passed = unit_test_run(path, &options, &report, &out);
        if (passed != OFFICIAL[i].passes) {
            print_report(&report, &out);
            fail_msg("%s: %s\n%.*s", path, passed ? "passed" : "failed", (int)out.len, out.ptr);
        }
        unit_test_report_deinit(&report);
        buffer_deinit(&out);
    }
}

/* All tests of unittest.yml but the one that needs native histograms. */
static void official_tests_without_histograms_pass(void **state)
{
    (void)state;
    const struct unit_test_options options = {.parse_time = parse_seconds};
    struct unit_test_report report = {0};
    struct buffer out;
    if (!file_exists(CONFORMANCE_FOLDER)) {
        printf("SKIPPED: no conformance data\n");
        skip();
    }
    buffer_init(&out, MEM_OTHER, 1 << 20);
    assert_false(
        unit_test_run(CONFORMANCE_FOLDER "/unit_tests/unittest.yml", &options, &report, &out));
    assert_true(report.case_count > 4);
    for (size_t i = 0; i < report.case_count; i++) {
        if (i == 0) {
            assert_int_equal(report.cases[0].failure_count, 1);
            assert_non_null(
                strstr(report.cases[0].failures[0], "native histograms are not in this version"));
        } else if (report.cases[i].failure_count) {
            fail_msg("%s: %s", report.cases[i].name, report.cases[i].failures[0]);
        }
    }
    unit_test_report_deinit(&report);
    buffer_deinit(&out);
}

static void junit_and_diff_say_the_same(void **state)
{
    (void)state;
    const struct unit_test_options options = {.parse_time = parse_seconds, .diff = true};
    struct unit_test_report report = {0};
    struct buffer out;
    const char *const paths[] = {"a<b.yml"};
    buffer_init(&out, MEM_OTHER, 1 << 20);
    assert_false(
        unit_test_run_text(view_from("tests: [{name: 'a & b', alert_rule_test: [{alertname: A, "
                                     "exp_alerts: [{exp_labels: {x: y}}]}]}, {name: fine}]"),
                           "a", &options, &report, &out));
    assert_string_equal(report.cases[0].failures[0],
                        "    name: a & b,\n    alertname: A, time: 0s,\n        diff:\n            "
                        "- [\n            - 0:\n"
                        "            -   Labels:{alertname=\"A\", x=\"y\"}\n            -   "
                        "Annotations:{}\n            - ]\n            + []");
    unit_test_junit(paths, &report, 1, &out);
    buffer_append_byte(&out, '\0');
    assert_non_null(strstr(
        out.ptr, "<testsuite name=\"a&#x3C;b.yml\" tests=\"2\" failures=\"1\" errors=\"0\">"));
    assert_non_null(strstr(out.ptr, "<testcase name=\"a &#x26; b\">\n\t\t\t<failure"));
    assert_non_null(strstr(out.ptr, "<testcase name=\"fine\">\n\t\t</testcase>"));
    unit_test_report_deinit(&report);
    buffer_deinit(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_get_their_verdict),
        cmocka_unit_test(official_tests_get_their_verdict),
        cmocka_unit_test(official_tests_without_histograms_pass),
        cmocka_unit_test(junit_and_diff_say_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
