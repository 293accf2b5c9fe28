/* SPDX-License-Identifier: Apache-2.0 */
/* script_test.c: the runner of .test scripts, our own scripts, and the official ones where they are. */
#include "promql/script.h"

#include "base/file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void print_failure(void *arg, const struct script_failure *f)
{
    (void)arg;
    printf("%s:%u: %.*s\n  expected: %.*s\n  actual:   %.*s\n", f->path, f->line,
           VIEW_ARGS(f->query), VIEW_ARGS(f->expected), VIEW_ARGS(f->actual));
}

static struct pool *workers; /* NULL = the calling thread alone */

static struct script_report run_file(const char *path)
{
    struct script_options opts = {.failed = print_failure, .pool = workers};
    struct script_report report = {0};
    struct error err;
    if (!script_run(path, &opts, &report, &err))
        fail_msg("%s", err.message);
    printf("%-60s %4zu passed %3zu failed %3zu skipped (histograms)\n", strrchr(path, '/') + 1,
           report.passed, report.failed, report.skipped_histograms);
    return report;
}

/* --- the runner itself --- */

struct last_failure {
    uint32_t line;
    size_t count;
    char query[256], expected[1024], actual[1024];
};

static void keep_failure(void *arg, const struct script_failure *f)
{
    struct last_failure *last = arg;
    last->line = f->line;
    last->count++;
    snprintf(last->query, sizeof last->query, "%.*s", VIEW_ARGS(f->query));
    snprintf(last->expected, sizeof last->expected, "%.*s", VIEW_ARGS(f->expected));
    snprintf(last->actual, sizeof last->actual, "%.*s", VIEW_ARGS(f->actual));
}

static const char DATA[] = "load 1m\n  a{x=\"1\"} 1 2 3\n  a{x=\"2\"} 10 20 30\n\n";

static const struct {
    const char *eval;
    const char *expected, *actual; /* NULL: it passes */
} EVALS[] = {
    {"eval instant at 1m a\n  a{x=\"1\"} 2\n  a{x=\"2\"} 20", NULL, NULL},
    {"eval instant at 1m a\n  a{x=\"2\"} 20\n  a{x=\"1\"} 2.000001", NULL, NULL},
    {"eval instant at 1m a\n  a{x=\"1\"} 2", "a{x=\"1\"} 2", "a{x=\"1\"} 2\na{x=\"2\"} 20"},
    {"eval instant at 1m a\n  a{x=\"1\"} 2\n  a{x=\"2\"} 20.1", "a{x=\"1\"} 2\na{x=\"2\"} 20.1",
     "a{x=\"1\"} 2\na{x=\"2\"} 20"},
    {"eval instant at 1m a + 1\n  {x=\"1\"} 3\n  {x=\"2\"} 21", NULL, NULL},
    {"eval instant at 1m nothing", NULL, NULL},
    {"eval instant at 1m nothing\n  nothing 1", "nothing 1", "nothing"},
    {"eval instant at 1m sort_desc(a)\n  expect ordered\n  a{x=\"2\"} 20\n  a{x=\"1\"} 2", NULL,
     NULL},
    {"eval_ordered instant at 1m sort_desc(a)\n  a{x=\"1\"} 2\n  a{x=\"2\"} 20",
     "a{x=\"1\"} 2\na{x=\"2\"} 20", "a{x=\"2\"} 20\na{x=\"1\"} 2"},
    {"eval instant at 1m 1 + 1\n  2", NULL, NULL},
    {"eval instant at 1m 1 + 1\n  3", "3", "2"},
    {"eval instant at 1m \"x\"\n  expect string \"x\"", NULL, NULL},
    {"eval instant at 1m \"x\"\n  expect string `y`", "\"y\"", "\"x\""},
    {"eval range from 0 to 3m step 1m a{x=\"1\"} > 1\n  a{x=\"1\"} _ 2 3 3", NULL, NULL},
    {"eval range from 0 to 2m step 1m a{x=\"1\"} > 1\n  a{x=\"1\"} 1 2 3", "a{x=\"1\"} 1 2 3",
     "a{x=\"1\"} 2 @60.000 3 @120.000"},
    {"eval instant at 2m a{x=\"1\"}[2m]\n  expect range vector from 1m to 2m step 1m\n  a{x=\"1\"} "
     "2 3",
     NULL, NULL},
    {"eval instant at 1m a + on() a\n  expect fail", NULL, NULL},
    {"eval_fail instant at 1m a +", NULL, NULL},
    {"eval instant at 1m a +\n  expect fail msg: 1:4: parse error: unexpected end of input", NULL,
     NULL},
    {"eval instant at 1m a +\n  expect fail regex: unexpected .* of", NULL, NULL},
    {"eval instant at 1m a +\n  expect fail msg: else", "failure: else",
     "failure: 1:4: parse error: unexpected end of input"},
    {"eval instant at 1m a\n  expect fail", "failure", "a result"},
    {"eval instant at 1m quantile(2, a)\n  expect warn\n  expect no_info\n  {} Inf", NULL, NULL},
    {"eval_warn instant at 1m quantile(2, a)\n  {} Inf", NULL, NULL},
    {"eval_info instant at 1m quantile(2, a)\n  {} Inf", "info: any", "no info"},
    {"eval instant at 1m quantile(2, a)\n  expect warn regex: got 2 .1:10.\n  {} Inf", NULL, NULL},
    {"eval instant at 1m quantile(2, a)\n  expect warn regex: got 3\n  {} Inf", "warning: got 3",
     "warning: PromQL warning: quantile value should be between 0 and 1, got 2 (1:10)"},
    {"eval instant at 1m quantile(2, a)\n  expect no_warn\n  {} Inf", "no warning",
     "warning: PromQL warning: quantile value should be between 0 and 1, got 2 (1:10)"},
    {"eval instant at 1m quantile(2, quantile(3, a))\n  expect warn regex: got 2\n  {} Inf",
     "warning: got 2",
     "warning: PromQL warning: quantile value should be between 0 and 1, got 2 (1:10)\n"
     "warning: PromQL warning: quantile value should be between 0 and 1, got 3 (1:22)"},
    {"eval instant at 1m a{x=\"1\"}\n  expect warn\n  a{x=\"1\"} 2", "warning: any", "no warning"},
    {"eval instant at 1m nothing\n  expect info\n", "info: any", "no info"},
    {"eval instant at 1m a +", "a result", "failure: 1:4: parse error: unexpected end of input"},
};

static void evals_pass_when_the_result_is_the_expected_one(void **state)
{
    for (size_t i = 0; i < ARRAY_COUNT(EVALS); i++) {
        char text[1024];
        struct last_failure last = {0};
        struct script_options opts = {.failed = keep_failure, .arg = &last};
        struct script_report report = {0};
        struct error err;
        snprintf(text, sizeof text, "%s# a comment\n%s\n\nclear\n", DATA, EVALS[i].eval);
        if (!script_run_text("t", view_from(text), &opts, &report, &err))
            fail_msg("%s: %s", EVALS[i].eval, err.message);
        if (report.passed != !EVALS[i].expected)
            fail_msg("%s\nexpected: %s\nactual: %s", EVALS[i].eval, last.expected, last.actual);
        assert_int_equal(report.passed + report.failed, 1);
        assert_int_equal(last.count, report.failed);
        if (EVALS[i].expected) {
            assert_int_equal(last.line, 6);
            assert_string_equal(last.expected, EVALS[i].expected);
            assert_string_equal(last.actual, EVALS[i].actual);
        }
    }
}

static void evals_with_native_histograms_are_skipped_by_kind(void **state)
{
    static const char TEXT[] = "load 1m\n"
                               "  h{x=\"1\"} {{schema:0 sum:1 count:2 buckets:[1 1]}}+{{sum:1}}x3\n"
                               "  f 1\n"
                               "\n"
                               "load_with_nhcb 1m\n"
                               "  c_bucket{le=\"1\"} 1x2\n"
                               "  c_bucket{le=\"+Inf\"} 2x2\n"
                               "\n"
                               "eval instant at 0 sum(rate(h[5m]))\n"
                               "\n"
                               "eval instant at 0 h{x=\"2\"}\n"
                               "  expect no_warn\n"
                               "\n"
                               "eval instant at 0 histogram_quantile(0.5, c)\n"
                               "\n"
                               "eval instant at 0 c_bucket{le=\"1\"}\n"
                               "  c_bucket{le=\"1\"} 1\n"
                               "\n"
                               "eval instant at 0 f\n"
                               "  f {{count:1}}\n"
                               "\n"
                               "clear\n"
                               "eval instant at 0 h\n";
    struct script_report report = {0};
    struct error err;
    if (!script_run_text("t", VIEW(TEXT), NULL, &report, &err))
        fail_msg("%s", err.message);
    assert_int_equal(report.skipped_histograms, 3);
    assert_int_equal(report.passed, 3);
    assert_int_equal(report.failed, 0);
}

static const struct {
    const char *text, *message;
} MALFORMED[] = {
    {"bogus", "t:1: unknown command \"bogus\", expected load, load_with_nhcb, clear or eval"},
    {"load 5x", "t:1: expected a time, got \"5x\": "},
    {"load 1m\n  a 1 2 b", "t:2: column 7: expected a number, _, stale or {{ }}"},
    {"load 1m\n  a{b} 1", "t:2: column 4: expected \"=\""},
    {"load 1m\n  a 1x99999999", "t:2: column 5: more repetitions than a line may have"},
    {"load 1m\n  a {{schema:1", "t:2: column 3: histogram without }}"},
    {"load 1m\n  a {{bogus:1}}", "t:2: column 5: unknown part of a histogram"},
    {"eval later", "t:1: expected \"instant\" or \"range\" behind \"eval\""},
    {"eval instant at 5m", "t:1: expected a query"},
    {"eval range from 0 to 5m a", "t:1: expected \"from START to END step STEP\""},
    {"eval range from 0 to 1y step 1s a", "t:1: more than 100000 steps"},
    {"eval range from 5m to 0 step 1m a",
     "t:1: expected a positive step and an end that is not before the start"},
    {"eval instant at 0 a\n  expect bogus",
     "t:2: expected fail, warn, info, no_warn, no_info, ordered, string or "
     "range vector behind \"expect\""},
};

static void malformed_scripts_are_refused_with_the_line(void **state)
{
    for (size_t i = 0; i < ARRAY_COUNT(MALFORMED); i++) {
        struct script_report report = {0};
        struct error err;
        if (script_run_text("t", view_from(MALFORMED[i].text), NULL, &report, &err))
            fail_msg("%s: runs", MALFORMED[i].text);
        if (strncmp(err.message, MALFORMED[i].message, strlen(MALFORMED[i].message)) != 0)
            fail_msg("%s, expected %s", err.message, MALFORMED[i].message);
    }
}

/* --- scripts in files --- */

static struct script_report ours;

static bool run_ours(void *arg, const char *name, bool is_dir)
{
    (void)arg;
    size_t len = strlen(name);
    if (is_dir || len < 5 || strcmp(name + len - 5, ".test") != 0)
        return true;
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", SOURCE_DIR "/tests/promql", name);
    struct script_report r = run_file(path);
    ours.passed += r.passed;
    ours.failed += r.failed;
    return true;
}

static void our_scripts_pass(void **state)
{
    struct error err;
    ours = (struct script_report){0};
    assert_true(dir_list(SOURCE_DIR "/tests/promql", run_ours, NULL, &err));
    assert_int_equal(ours.failed, 0);
    assert_true(ours.passed > 300);
}

static void official_scripts_pass(void **state)
{
    static const char *const NAMES[] = {"literals",  "operators",      "selectors", "aggregators",
                                        "staleness", "at_modifier",    "subquery",  "range_queries",
                                        "collision", "trig_functions", "functions", "histograms"};
    size_t failed = 0;
    if (!file_exists(CONFORMANCE_DIR "/promql")) {
        printf("SKIPPED: no %s\n", CONFORMANCE_DIR);
        skip();
    }
    for (size_t i = 0; i < ARRAY_COUNT(NAMES); i++) {
        char path[4096];
        snprintf(path, sizeof path, "%s/%s.test", CONFORMANCE_DIR "/promql", NAMES[i]);
        failed += run_file(path).failed;
    }
    assert_int_equal(failed, 0);
}

/* The same scripts with three workers: answers do not depend on their number. */
static void scripts_pass_with_workers(void **state)
{
    struct error err;
    assert_true(pool_start(&workers, 3, 64, &err));
    our_scripts_pass(state);
    if (file_exists(CONFORMANCE_DIR "/promql"))
        official_scripts_pass(state);
    pool_stop(workers);
    workers = NULL;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(evals_pass_when_the_result_is_the_expected_one),
        cmocka_unit_test(evals_with_native_histograms_are_skipped_by_kind),
        cmocka_unit_test(malformed_scripts_are_refused_with_the_line),
        cmocka_unit_test(our_scripts_pass),
        cmocka_unit_test(official_scripts_pass),
        cmocka_unit_test(scripts_pass_with_workers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
