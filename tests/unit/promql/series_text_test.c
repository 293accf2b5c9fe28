/* SPDX-License-Identifier: Apache-2.0 */
/* series_text_test.c: series and values in one line. */
#include "promql/series_text.h"

#include "base/floattext.h"
#include "model/sample.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* The line, its labels as they are written, its values: _ none, s stale, h a histogram. NULL labels: an error. */
static const struct {
    const char *line, *labels, *values;
} LINES[] = {
    {"a 1 2 3", "a", "1 2 3"},
    {"a{x=\"1\", y='2'} 1", "a{x=\"1\",y=\"2\"}", "1"},
    {"a{x=\"1\",}", "a{x=\"1\"}", ""},
    {"{__name__=\"a\"} 1", "a", "1"},
    {"{\"odd name\", \"odd label\"=\"v\"} 1", "{\"odd name\",\"odd label\"=\"v\"}", "1"},
    {"{} 5", "{}", "5"},
    {"sum{by=\"x\"} 1", "sum{by=\"x\"}", "1"},
    {"a:b:c\t7", "a:b:c", "7"},
    {"a{e=\"\"} 1", "a", "1"},
    {"a{q=\"\\\"\\n\"} 1", "a{q=\"\\\"\\n\"}", "1"},
    {"a _ 1 _x2 2", "a", "_ 1 _ _ 2"},
    {"a 1+2x3", "a", "1 3 5 7"},
    {"a 1-2x2", "a", "1 -1 -3"},
    {"a -1-1x1", "a", "-1 -2"},
    {"a 5x2 6", "a", "5 5 5 6"},
    {"a 0.5+0.25x2", "a", "0.5 0.75 1"},
    {"a 1e3 +2 1e-3x1", "a", "1000 2 0.001 0.001"},
    {"a NaN Inf -Inf nan", "a", "NaN +Inf -Inf NaN"},
    {"a stale 1 stale", "a", "s 1 s"},
    {"a stalex1", "a", "s s"},
    {"a {{}} {{schema:1 sum:-3 count:22 buckets:[5 10 7]}}x1 2", "a", "h h h 2"},
    {"a {{count:1 counter_reset_hint:not_reset}}+{{count:2}}x2", "a", "h h h"},
    {"a 1 2b", NULL, "column 6: expected a space between values"},
    {"a 1+2", NULL, "column 6: expected xN"},
    {"a 1x", NULL, "column 5: expected a number of repetitions"},
    {"a 1x9999999", NULL, "column 5: more repetitions than a line may have"},
    {"a 1x1000000 1x1000000", NULL, "column 22: more values than a line may have"},
    {"a{x=1} 1", NULL, "column 5: unexpected character inside braces: '1'"},
    {"a{x=~\"1\"} 1", NULL, "column 4: expected \"=\""},
    {"a{x=\"1\" y=\"2\"} 1", NULL, "column 9: expected \",\" or \"}\""},
    {"1 2", NULL, "column 1: expected a metric name or \"{\""},
    {"a {{sum}}", NULL, "column 8: expected \":\" behind the part of a histogram"},
    {"a {{sum:1}}+3x1", NULL, "column 13: expected {{"},
};

static void append_value(struct buffer *out, const struct series_value *v)
{
    char text[FLOAT_TEXT_BYTES];
    if (v->kind == SERIES_VALUE_NONE)
        buffer_append_byte(out, '_');
    else if (v->kind == SERIES_VALUE_HISTOGRAM)
        buffer_append_byte(out, 'h');
    else if (sample_is_stale(v->value))
        buffer_append_byte(out, 's');
    else
        buffer_append(out, text, float_format_short(v->value, text));
}

static void lines_become_labels_and_values(void **state)
{
    for (size_t i = 0; i < ARRAY_COUNT(LINES); i++) {
        struct arena arena;
        struct series_text s;
        struct error err;
        struct buffer labels, values;
        arena_init(&arena, MEM_OTHER, 0);
        buffer_init(&labels, MEM_OTHER, 1 << 16);
        buffer_init(&values, MEM_OTHER, 1 << 16);
        bool ok = series_text_parse(&arena, view_from(LINES[i].line), &s, &err);
        if (ok != (LINES[i].labels != NULL))
            fail_msg("%s: %s", LINES[i].line, ok ? "parses" : err.message);
        if (ok) {
            labels_format(&labels, s.labels);
            for (size_t k = 0; k < s.count; k++) {
                if (k)
                    buffer_append_byte(&values, ' ');
                append_value(&values, &s.values[k]);
            }
            buffer_append_byte(&labels, '\0');
            buffer_append_byte(&values, '\0');
            assert_string_equal(labels.ptr, LINES[i].labels);
            assert_string_equal(values.ptr, LINES[i].values);
        } else {
            assert_string_equal(err.message, LINES[i].values);
        }
        buffer_deinit(&labels);
        buffer_deinit(&values);
        arena_deinit(&arena);
    }
}

static void a_metric_alone_takes_the_whole_text(void **state)
{
    struct arena arena;
    struct labels ls;
    struct error err;
    arena_init(&arena, MEM_OTHER, 0);
    assert_true(series_text_parse_metric(&arena, VIEW("a{b=\"c\"} "), &ls, &err));
    assert_int_equal(ls.count, 2);
    assert_false(series_text_parse_metric(&arena, VIEW("a{b=\"c\"} 1"), &ls, &err));
    assert_string_equal(err.message, "column 10: expected nothing behind the metric");
    arena_deinit(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_become_labels_and_values),
        cmocka_unit_test(a_metric_alone_takes_the_whole_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
