/* SPDX-License-Identifier: Apache-2.0 */
#include "model/lint.h"

#include "base/buffer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

/* One family per rule; EXPECTED is what promtool 2.42 says of it, to the byte. */
static const char EXPOSITION[] = "# HELP my_counter\n"
                                 "# TYPE my_counter counter\n"
                                 "my_counter 1\n"
                                 "# HELP foo_total A gauge.\n"
                                 "# TYPE foo_total gauge\n"
                                 "foo_total 1\n"
                                 "# TYPE nohelp gauge\n"
                                 "nohelp 1\n"
                                 "# HELP req_ms x\n"
                                 "# TYPE req_ms gauge\n"
                                 "req_ms 1\n"
                                 "# HELP req_milliseconds x\n"
                                 "# TYPE req_milliseconds gauge\n"
                                 "req_milliseconds 1\n"
                                 "# HELP camelCase x\n"
                                 "# TYPE camelCase gauge\n"
                                 "camelCase 1\n"
                                 "# HELP a:b x\n"
                                 "# TYPE a:b gauge\n"
                                 "a:b 1\n"
                                 "# HELP c_gauge x\n"
                                 "# TYPE c_gauge gauge\n"
                                 "c_gauge 1\n"
                                 "# HELP d_count x\n"
                                 "# TYPE d_count gauge\n"
                                 "d_count 1\n"
                                 "# HELP d_sum x\n"
                                 "# TYPE d_sum gauge\n"
                                 "d_sum 1\n"
                                 "# HELP d_bucket x\n"
                                 "# TYPE d_bucket gauge\n"
                                 "d_bucket 1\n"
                                 "# HELP e x\n"
                                 "# TYPE e gauge\n"
                                 "e{le=\"1\",quantile=\"2\",camelCase=\"3\"} 1\n"
                                 "# HELP f_counter_total x\n"
                                 "# TYPE f_counter_total counter\n"
                                 "f_counter_total 1\n"
                                 "# HELP g_histogram x\n"
                                 "# TYPE g_histogram histogram\n"
                                 "g_histogram_bucket{le=\"1\"} 1\n"
                                 "g_histogram_bucket{le=\"+Inf\"} 1\n"
                                 "g_histogram_sum 1\n"
                                 "g_histogram_count 1\n"
                                 "# HELP h_km x\n"
                                 "# TYPE h_km gauge\n"
                                 "h_km 1\n"
                                 "# HELP i_minutes_total x\n"
                                 "# TYPE i_minutes_total counter\n"
                                 "i_minutes_total 1\n"
                                 "# HELP j_kilobytes x\n"
                                 "# TYPE j_kilobytes gauge\n"
                                 "j_kilobytes 1\n"
                                 "# HELP k_celsius_total x\n"
                                 "# TYPE k_celsius_total untyped\n"
                                 "k_celsius_total 1\n"
                                 "untyped_nohelp 3\n"
                                 "# HELP l_summary x\n"
                                 "# TYPE l_summary summary\n"
                                 "l_summary{quantile=\"0.5\"} 1\n"
                                 "l_summary_sum 1\n"
                                 "l_summary_count 1\n"
                                 "# HELP m_info x\n"
                                 "# TYPE m_info gauge\n"
                                 "m_info 1\n"
                                 "# HELP dup x\n"
                                 "# TYPE dup gauge\n"
                                 "dup{a=\"1\"} 1\n"
                                 "# HELP n_bits x\n"
                                 "# TYPE n_bits gauge\n"
                                 "n_bits 1\n"
                                 "# HELP o_percent x\n"
                                 "# TYPE o_percent gauge\n"
                                 "o_percent 1\n"
                                 "# HELP memory_mb x\n"
                                 "# TYPE memory_mb gauge\n"
                                 "memory_mb 1\n";
static const char EXPECTED[] =
    "a:b metric names should not contain ':'\n"
    "c_gauge metric name should not include type 'gauge'\n"
    "camelCase metric names should be written in 'snake_case' not 'camelCase'\n"
    "d_bucket non-histogram metrics should not have \"_bucket\" suffix\n"
    "d_count non-histogram and non-summary metrics should not have \"_count\" suffix\n"
    "d_sum non-histogram and non-summary metrics should not have \"_sum\" suffix\n"
    "e label names should be written in 'snake_case' not 'camelCase'\n"
    "e non-histogram metrics should not have \"le\" label\n"
    "e non-summary metrics should not have \"quantile\" label\n"
    "f_counter_total metric name should not include type 'counter'\n"
    "foo_total non-counter metrics should not have \"_total\" suffix\n"
    "g_histogram metric name should not include type 'histogram'\n"
    "i_minutes_total use base unit \"seconds\" instead of \"minutes\"\n"
    "j_kilobytes use base unit \"bytes\" instead of \"kilobytes\"\n"
    "l_summary metric name should not include type 'summary'\n"
    "memory_mb metric names should not contain abbreviated units\n"
    "my_counter counter metrics should have \"_total\" suffix\n"
    "my_counter metric name should not include type 'counter'\n"
    "my_counter no help text\n"
    "n_bits use base unit \"bytes\" instead of \"bits\"\n"
    "nohelp no help text\n"
    "req_milliseconds use base unit \"seconds\" instead of \"milliseconds\"\n"
    "req_ms metric names should not contain abbreviated units\n"
    "untyped_nohelp no help text\n";

static void lint(const char *body, struct buffer *out)
{
    struct arena arena;
    struct lint_report report;
    struct error err = {0};
    arena_init(&arena, MEM_OTHER, 0);
    if (!lint_exposition(&arena, view_from(body), &report, &err))
        buffer_printf(out, "error: %s\n", err.message);
    for (size_t i = 0; i < report.count; i++)
        buffer_printf(out, "%.*s %.*s\n", VIEW_ARGS(report.items[i].metric),
                      VIEW_ARGS(report.items[i].text));
    buffer_append_byte(out, '\0');
    arena_deinit(&arena);
}

static void problems_are_told_in_promtools_words(void **state)
{
    struct buffer out;
    buffer_init(&out, MEM_OTHER, 1 << 20);
    lint(EXPOSITION, &out);
    assert_string_equal(out.ptr, EXPECTED);
    buffer_deinit(&out);
}

static const struct {
    const char *name, *in, *out;
} CASES[] = {
    {"nothing", "", ""},
    {"a good gauge", "# HELP a_bytes x\n# TYPE a_bytes gauge\na_bytes 1\n", ""},
    {"a good counter", "# HELP a_bytes_total x\n# TYPE a_bytes_total counter\na_bytes_total 1\n",
     ""},
    {"a family without samples is not looked at", "# TYPE a counter\n", ""},
    {"samples of two histograms",
     "# HELP h x\n# TYPE h histogram\nh_bucket{le=\"1\",k=\"a\"} 1\nh_bucket{le=\"+Inf\",k=\"a\"} "
     "1\n"
     "h_sum{k=\"a\"} 1\nh_count{k=\"a\"} 1\nh_bucket{le=\"1\",k=\"b\"} 1\n",
     ""},
    {"a label of each metric", "# HELP g x\n# TYPE g gauge\ng{aB=\"1\"} 1\ng{aB=\"2\"} 1\n",
     "g label names should be written in 'snake_case' not 'camelCase'\n"
     "g label names should be written in 'snake_case' not 'camelCase'\n"},
    {"equal labels", "# HELP g x\n# TYPE g gauge\ng{a=\"1\"} 1\ng{a=\"1\"} 2\n",
     "g metric not unique\n"},
    {"no line end", "a 1", "error: the last line does not end with a line feed\n"},
};

static void families_are_gathered(void **state)
{
    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        struct buffer out;
        buffer_init(&out, MEM_OTHER, 1 << 20);
        lint(CASES[i].in, &out);
        if (strcmp(out.ptr, CASES[i].out) != 0)
            fail_msg("%s: got %s", CASES[i].name, out.ptr);
        buffer_deinit(&out);
    }
}

static void what_is_no_exposition_is_an_error(void **state)
{
    struct buffer out;
    buffer_init(&out, MEM_OTHER, 1 << 20);
    lint("a 1\nbad{ 1\n", &out);
    assert_int_equal(strncmp(out.ptr, "error: ", 7), 0);
    buffer_deinit(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(problems_are_told_in_promtools_words),
        cmocka_unit_test(families_are_gathered),
        cmocka_unit_test(what_is_no_exposition_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
