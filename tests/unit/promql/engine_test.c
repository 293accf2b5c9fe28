/* SPDX-License-Identifier: Apache-2.0 */
/* engine_test.c: queries over a small memory source, answers as Prometheus 3 gives them. */
#include "base/attributes.h"
#include "engine_fixture.h"
#include "model/sample.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Ten minutes at 15 s; requests grow, load stands still, gone ends with a stale marker at 60 s. */
static const struct fixture_series SERIES[] = {
    {"requests_total{job=\"a\",instance=\"1\"}", 0, 15000, 41, 0, 15},
    {"requests_total{job=\"a\",instance=\"2\"}", 0, 15000, 41, 0, 30},
    {"requests_total{job=\"b\",instance=\"1\"}", 0, 15000, 41, 0, 45},
    {"load{instance=\"1\"}", 0, 15000, 41, 1, 0},
    {"load{instance=\"2\"}", 0, 15000, 41, 2, 0},
    {"build{instance=\"1\",version=\"x\"}", 0, 15000, 41, 1, 0},
    {"build{instance=\"2\",version=\"y\"}", 0, 15000, 41, 1, 0},
    {"gone", 0, 15000, 4, 7, 0},
    {"early{a=\"1\"}", 0, 15000, 2, 5, 0},
    {"late{a=\"1\"}", 600000, 15000, 2, 6, 0},
    {"h_bucket{le=\"1\"}", 0, 15000, 41, 0, 1},
    {"h_bucket{le=\"2\"}", 0, 15000, 41, 0, 3},
    {"h_bucket{le=\"+Inf\"}", 0, 15000, 41, 0, 4},
};

static struct memory_source *source_new(void)
{
    struct memory_source *m = memory_source_new();
    for (size_t i = 0; i < ARRAY_COUNT(SERIES); i++)
        fixture_add(m, &SERIES[i]);
    memory_source_add(m, (struct labels){&(struct label){VIEW(LABEL_NAME), VIEW("gone")}, 1}, 60000,
                      sample_stale());
    return m;
}

struct query_case {
    const char *text;
    int64_t start_s, end_s, step_s;
    const char *expected;
};

static void run_cases(const struct query_case *cases, size_t count)
{
    struct memory_source *m = source_new();
    size_t wrong = 0;
    for (size_t i = 0; i < count; i++) {
        struct fixture_query q = {.source = m,
                                  .start_s = cases[i].start_s,
                                  .end_s = cases[i].end_s,
                                  .step_s = cases[i].step_s,
                                  .text = cases[i].text};
        char *got = fixture_run_annotated(&q);
        if (strcmp(got, cases[i].expected) != 0) {
            fprintf(stderr, "%s\n  expected %s\n  got      %s\n", cases[i].text, cases[i].expected,
                    got);
            wrong++;
        }
        free(got);
    }
    memory_source_free(m);
    assert_int_equal(wrong, 0);
}

#define TEST_CASES(name, ...)                                                                      \
    static void name(void **state)                                                                 \
    {                                                                                              \
        static const struct query_case CASES[] = {__VA_ARGS__};                                    \
        run_cases(CASES, ARRAY_COUNT(CASES));                                                      \
    }

TEST_CASES(scalars_and_strings_answer, {"1 + 2 * 3", 0, 0, 0, "7"}, {"-2 ^ 2", 0, 0, 0, "-4"},
           {"\"text\"", 0, 0, 0, "text"}, {"time()", 0, 30, 15, "{} 0@0 15@15 30@30"},
           {"5 % 0", 0, 0, 0, "NaN"}, {"1 > bool 2", 0, 0, 0, "0"},
           {"scalar(load{instance=\"2\"})", 60, 0, 0, "2"}, {"scalar(load)", 60, 0, 0, "NaN"},
           {"step() + range() + start() + end()", 0, 30, 15, "{} 75@0 75@15 75@30"})

TEST_CASES(selectors_look_back_five_minutes_and_stop_at_stale_markers,
           {"load", 600, 0, 0, "load{instance=\"1\"} 1; load{instance=\"2\"} 2"},
           {"load", 899, 0, 0, "load{instance=\"1\"} 1; load{instance=\"2\"} 2"},
           {"load", 900, 0, 0, ""}, {"gone", 30, 90, 30, "gone 7@30"},
           {"load{instance=\"1\"} offset 10m", 1200, 0, 0, "load{instance=\"1\"} 1"},
           {"load{instance=\"1\"} offset -10m", -300, 0, 0, "load{instance=\"1\"} 1"},
           {"requests_total{job=\"b\"} @ 30", 0, 30, 15,
            "requests_total{instance=\"1\",job=\"b\"} 90@0 90@15 90@30"},
           {"requests_total{job=\"b\"} @ end()", 0, 30, 30,
            "requests_total{instance=\"1\",job=\"b\"} 90@0 90@30"},
           {"gone[1m]", 60, 0, 0, "gone 7@15 7@30 7@45"},
           {"timestamp(load{instance=\"1\"})", 62, 0, 0, "{instance=\"1\"} 60"},
           {"timestamp(load{instance=\"1\"} + 1)", 62, 0, 0, "{instance=\"1\"} 62"})

TEST_CASES(names_go_and_series_that_become_equal_are_merged_or_refused,
           {"abs(load)", 0, 0, 0, "{instance=\"1\"} 1; {instance=\"2\"} 2"},
           {"load > 1", 0, 0, 0, "load{instance=\"2\"} 2"},
           {"load > bool 1", 0, 0, 0, "{instance=\"1\"} 0; {instance=\"2\"} 1"},
           {"-{a=\"1\"}", 0, 600, 600, "{a=\"1\"} -5@0 -6@600"},
           {"-{__name__=~\"early|late\"} or -{__name__=~\"load|build\"}", 0, 0, 0,
            "{a=\"1\"} -5; {instance=\"1\"} -1; {instance=\"1\",version=\"x\"} -1; "
            "{instance=\"2\"} -2; {instance=\"2\",version=\"y\"} -1"},
           {"-{__name__=~\"load|gone|early\"} * 1 + on () group_left () vector(1)", 30, 0, 0,
            "{} -6; {a=\"1\"} -4; {instance=\"1\"} 0; {instance=\"2\"} -1"},
           {"ceil({__name__=~\"h_bucket|load|requests_total\",instance=\"1\",job=\"\"}) + "
            "label_replace(early, \"a\", \"\", \"\", \"\")",
            0, 0, 0, ""},
           {"label_replace(requests_total, \"job\", \"\", \"\", \"\")", 0, 0, 0,
            "error: vector cannot contain metrics with the same labelset"},
           {"label_replace(load, \"instance\", \"\", \"\", \"\")", 0, 0, 0,
            "error: vector cannot contain metrics with the same labelset"})

TEST_CASES(
    aggregations_fold_by_group, {"sum(load)", 0, 15, 15, "{} 3@0 3@15"},
    {"sum by (job) (requests_total)", 60, 0, 0, "{job=\"a\"} 180; {job=\"b\"} 180"},
    {"sum without (instance) (requests_total)", 60, 0, 0, "{job=\"a\"} 180; {job=\"b\"} 180"},
    {"avg(requests_total)", 60, 0, 0, "{} 120"}, {"count by (nope) (load)", 0, 0, 0, "{} 2"},
    {"min(load)", 0, 0, 0, "{} 1"}, {"max(load)", 0, 0, 0, "{} 2"},
    {"group(load)", 0, 0, 0, "{} 1"}, {"stddev(load)", 0, 0, 0, "{} 0.5"},
    {"stdvar(load)", 0, 0, 0, "{} 0.25"},
    {"topk(1, requests_total)", 60, 0, 0, "requests_total{instance=\"1\",job=\"b\"} 180"},
    {"bottomk by (job) (1, requests_total)", 60, 0, 0,
     "requests_total{instance=\"1\",job=\"a\"} 60; requests_total{instance=\"1\",job=\"b\"} 180"},
    {"topk(NaN, load)", 0, 0, 0, "error: Parameter value is NaN"},
    {"quantile(0.5, load)", 0, 0, 0, "{} 1.5"},
    {"count_values(\"v\", build)", 0, 0, 0, "{v=\"1\"} 2"},
    {"quantile(2, load)", 0, 0, 0,
     "{} +Inf | PromQL warning: quantile value should be between 0 and 1, got 2 (1:10)"},
    {"limitk(1, load)", 0, 0, 0, "load{instance=\"1\"} 1"}, {"sum(nothing)", 0, 0, 0, ""},
    {"count(limit_ratio(0.4, load)) + count(limit_ratio(-0.6, load)) or vector(2)", 0, 0, 0,
     "{} 2"},
    {"sum(load) / sum(load)", 0, 0, 0, "{} 1"})

TEST_CASES(
    vectors_match,
    {"requests_total / on (instance) group_left (version) build", 30, 0, 0,
     "{instance=\"1\",job=\"a\",version=\"x\"} 30; {instance=\"1\",job=\"b\",version=\"x\"} 90; "
     "{instance=\"2\",job=\"a\",version=\"y\"} 60"},
    {"load + ignoring (version) build", 0, 0, 0, "{instance=\"1\"} 2; {instance=\"2\"} 3"},
    {"load > on (instance) build", 0, 0, 0, "{instance=\"2\"} 2"},
    {"build < on (instance) group_right load", 0, 0, 0, "load{instance=\"2\"} 1"},
    {"load * on (instance) requests_total", 0, 0, 0,
     "error: found duplicate series for the match group {instance=\"1\"} on the right hand-side of "
     "the "
     "operation: [{__name__=\"requests_total\", instance=\"1\", job=\"a\"}, "
     "{__name__=\"requests_total\", "
     "instance=\"1\", job=\"b\"}];many-to-many matching not allowed: matching labels must be "
     "unique on one side"},
    {"requests_total * on (instance) load", 0, 0, 0,
     "error: multiple matches for labels: many-to-one matching must be explicit "
     "(group_left/group_right)"},
    {"load and on (instance) build{version=\"x\"}", 0, 0, 0, "load{instance=\"1\"} 1"},
    {"load unless on (instance) build{version=\"x\"}", 0, 0, 0, "load{instance=\"2\"} 2"},
    {"load{instance=\"1\"} or on (instance) build", 0, 0, 0,
     "build{instance=\"2\",version=\"y\"} 1; load{instance=\"1\"} 1"},
    {"load{instance=\"1\"} + on (instance) fill(0) build", 0, 0, 0,
     "{instance=\"1\"} 2; {instance=\"2\"} 1"})

TEST_CASES(windows_are_open_on_the_left,
           {"rate(requests_total{job=\"b\"}[1m])", 60, 120, 60,
            "{instance=\"1\",job=\"b\"} 2.9999999999999996@60 2.9999999999999996@120"},
           {"increase(requests_total{job=\"b\"}[1m])", 120, 0, 0, "{instance=\"1\",job=\"b\"} 180"},
           {"count_over_time(load{instance=\"1\"}[1m])", 60, 0, 0, "{instance=\"1\"} 4"},
           {"sum_over_time(requests_total{job=\"b\"}[1m])", 60, 0, 0,
            "{instance=\"1\",job=\"b\"} 450"},
           {"max_over_time(requests_total{job=\"b\"}[1m])", 60, 75, 15,
            "{instance=\"1\",job=\"b\"} 180@60 225@75"},
           {"min_over_time(requests_total{job=\"b\"}[1m])", 0, 75, 15,
            "{instance=\"1\",job=\"b\"} 0@0 0@15 0@30 0@45 45@60 90@75"},
           {"quantile_over_time(0.5, requests_total{job=\"b\"}[1m])", 60, 75, 15,
            "{instance=\"1\",job=\"b\"} 112.5@60 157.5@75"},
           {"last_over_time(load{instance=\"1\"}[1m])", 60, 0, 0, "load{instance=\"1\"} 1"},
           {"delta(load{instance=\"1\"}[1m])", 60, 0, 0, "{instance=\"1\"} 0"},
           {"rate(load{instance=\"1\"}[1m])", 60, 0, 0,
            "{instance=\"1\"} 0 | PromQL info: metric might not be a counter, name does not end in "
            "_total/_sum/_count/_bucket: \"load\" (1:6)"},
           {"max_over_time(sum(requests_total)[1m:30s])", 60, 0, 0, "{} 360"},
           {"sum(requests_total)[1m:30s]", 60, 0, 0, "{} 180@30 360@60"},
           {"predict_linear(requests_total{job=\"b\"}[1m], 60)", 60, 0, 0,
            "{instance=\"1\",job=\"b\"} 360"})

TEST_CASES(
    other_functions, {"absent(nothing{a=\"1\",b!=\"2\"})", 0, 0, 0, "{a=\"1\"} 1"},
    {"absent(load)", 0, 0, 0, ""}, {"absent_over_time(gone[15s])", 45, 60, 15, "{} 1@60"},
    {"vector(3)", 0, 0, 0, "{} 3"}, {"hour()", 7200, 0, 0, "{} 2"},
    {"label_join(load, \"x\", \"-\", \"instance\", \"instance\")", 0, 0, 0,
     "load{instance=\"1\",x=\"1-1\"} 1; load{instance=\"2\",x=\"2-2\"} 2"},
    {"sort_desc(load)", 0, 0, 0, "load{instance=\"2\"} 2; load{instance=\"1\"} 1"},
    {"sort(load)", 0, 15, 15,
     "load{instance=\"1\"} 1@0 1@15; load{instance=\"2\"} 2@0 2@15 | PromQL warning: sort is "
     "ineffective for range queries since results are always ordered by labels (1:1)"},
    {"clamp(load, 2, 1)", 0, 0, 0, ""},
    {"clamp_min(load, 1.5)", 0, 0, 0, "{instance=\"1\"} 1.5; {instance=\"2\"} 2"},
    {"histogram_quantile(0.5, rate(h_bucket[1m]))", 60, 0, 0, "{} 1.5"},
    {"histogram_sum(load)", 0, 0, 0, ""})

/* --- a source whose every second read meets damage --- */

static bool lossy_read(struct storage_reader *r, uint64_t ref, int64_t mint, int64_t maxt,
                       struct samples *out, struct error *err)
{
    (void)mint;
    (void)maxt;
    (void)err;
    *out = (struct samples){0};
    if (r->lost_count++ == 0)
        (void)error_set(&r->lost, ERROR_CORRUPT, "column %d is damaged", (int)ref);
    return true;
}

static void lossy_free(struct storage_reader *r)
{
    free(r);
}

static struct storage_reader *lossy_reader_new(struct storage_view *v, struct error *err)
{
    static const struct storage_reader_ops OPS = {lossy_read, lossy_free};
    struct storage_reader *r = calloc(1, sizeof *r);
    (void)v;
    (void)err;
    assert_non_null(r);
    r->ops = &OPS;
    return r;
}

struct lossy_source {
    struct storage_source source; /* first */
    struct memory_source *memory;
};

/* The memory source's view with another kind of reader. */
static struct storage_view *lossy_pin(struct storage_source *s, int64_t mint, int64_t maxt,
                                      struct error *err)
{
    static struct storage_view_ops ops; /* one view at a time */
    struct lossy_source *l = (struct lossy_source *)s;
    struct storage_view *v = source_pin(memory_source_as_source(l->memory), mint, maxt, err);
    assert_non_null(v);
    ops = *v->ops;
    ops.reader_new = lossy_reader_new;
    v->ops = &ops;
    return v;
}

/* Damage on disk is said once, in words, and the query answers with what is left. */
static void columns_left_out_become_a_warning(void **state)
{
    (void)state;
    struct memory_source *m = memory_source_new();
    struct lossy_source lossy = {{lossy_pin}, m};
    for (size_t i = 0; i < ARRAY_COUNT(SERIES); i++)
        fixture_add(m, &SERIES[i]);
    static const struct {
        const char *text, *answer;
    } CASES[] = {
        {"build{version=\"x\"}", " | samples are missing: column 5 is damaged"},
        {"count(load)", " | samples are missing: column 3 is damaged (2 columns in all)"},
        {"load[1m]", " | samples are missing: column 3 is damaged (2 columns in all)"},
        {"nothing", ""},
    };
    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        struct fixture_query q = {.other = &lossy.source, .text = CASES[i].text};
        char *text = fixture_run_annotated(&q);
        assert_string_equal(text, CASES[i].answer);
        free(text);
    }
    memory_source_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scalars_and_strings_answer),
        cmocka_unit_test(selectors_look_back_five_minutes_and_stop_at_stale_markers),
        cmocka_unit_test(names_go_and_series_that_become_equal_are_merged_or_refused),
        cmocka_unit_test(aggregations_fold_by_group),
        cmocka_unit_test(vectors_match),
        cmocka_unit_test(windows_are_open_on_the_left),
        cmocka_unit_test(other_functions),
        cmocka_unit_test(columns_left_out_become_a_warning),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
