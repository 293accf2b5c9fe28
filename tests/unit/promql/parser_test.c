/* SPDX-License-Identifier: Apache-2.0 */
/* parser_test.c: what parses, how it is printed, and what is said of what does not parse. */
#include "base/buffer.h"
#include "base/file.h"
#include "promql/duration_expr.h"
#include "promql/parser.h"
#include "tree_compare.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const struct parser_options ALL = {true, true, true, true};

static struct promql *parse_ok(const char *text)
{
    struct promql *q;
    struct error err;
    if (!promql_parse(view_from(text), &ALL, &q, &err))
        fail_msg("%s: %s", text, err.message);
    return q;
}

static void assert_prints(const struct expr *e, const char *expected)
{
    struct buffer b;
    buffer_init(&b, MEM_OTHER, 1 << 20);
    promql_print(&b, e);
    assert_false(b.failed);
    buffer_append_byte(&b, '\0');
    assert_string_equal(b.ptr, expected);
    buffer_deinit(&b);
}

/* Text, and what String() gives; NULL = the text itself. */
static const struct {
    const char *in, *out;
} PRINTED[] = {
    /* literals */
    {"1", NULL},
    {".5", "0.5"},
    {"5.", "5"},
    {"1e3", "1000"},
    {"1_000", "1000"},
    {"0x1F", "31"},
    {"0X_10", "16"},
    {"017", "15"},
    {"019", "19"},
    {"+1", "1"},
    {"-1", NULL},
    {"Inf", "+Inf"},
    {"Inf ^ 2", "Inf ^ 2"},
    {"2 ^ iNf ^ Inf", "2 ^ Inf ^ +Inf"},
    {"-iNf", "-Inf"},
    {"NaN", NULL},
    {"5m", NULL},
    {"-1h30m", NULL},
    {"1d2h", "1d2h"},
    {"'a\\'\\n\"'", "\"a'\\n\\\"\""},
    {"`raw\\n`", "\"raw\\\\n\""},
    {"\"\\x41\\101\\u00e9\\U0001f600\"", "\"AA\303\251\360\237\230\200\""},
    {"\"\\xff\"", NULL},
    /* selectors */
    {"foo", NULL},
    {"foo:bar{}", "foo:bar"},
    {"foo{a=\"b\", c!='d', e=~\"f\", g!~\"h\",}", "foo{a=\"b\",c!=\"d\",e=~\"f\",g!~\"h\"}"},
    {"{\"my.metric\", \"odd label\"=\"x\"}", "{\"odd label\"=\"x\",__name__=\"my.metric\"}"},
    {"{__name__=\"foo\"}", NULL},
    {"{on=\"a\", by='b', sum='c'}", "{by=\"b\",on=\"a\",sum=\"c\"}"},
    {"sum", NULL},
    {"offset offset 5m", NULL},
    {"and and or", NULL},
    {"start + end", NULL},
    {"step{a=\"b\"}", NULL},
    {"fill + fill_left", NULL},
    {"foo # a comment\n + bar", "foo + bar"},
    /* modifiers */
    {"foo offset 5m", NULL},
    {"foo offset -5m", NULL},
    {"foo offset +1h", "foo offset 1h"},
    {"foo offset 300", "foo offset 5m"},
    {"foo @ 1.5", "foo @ 1.500"},
    {"foo @ -1", "foo @ -1.000"},
    {"foo offset 5m @ start()", "foo @ start() offset 5m"},
    {"foo[5m] @ end() offset 1m", NULL},
    {"foo[300]", "foo[5m]"},
    {"foo[1h30m]", NULL},
    {"foo[0.5]", "foo[500ms]"},
    {"foo[5m:]", NULL},
    {"foo[5m:1m] offset 1m @ 3", "foo[5m:1m] @ 3.000 offset 1m"},
    {"rate(foo[5m])[1h:5m]", NULL},
    {"(a + b)[5m:]", NULL},
    {"foo[5m] anchored", NULL},
    {"foo smoothed offset 1m", NULL},
    {"increase(foo[5m] smoothed @ 10)", "increase(foo[5m] smoothed @ 10.000)"},
    /* durations */
    {"foo[5m*2]", "foo[5m * 2]"},
    {"foo[(5m+1)*2:step()]", "foo[(5m + 1) * 2:step()]"},
    {"foo[max_of(step(),range()/10)]", "foo[max_of(step(), range() / 10)]"},
    {"foo[-(-5m)]", "foo[-(-5m)]"},
    {"foo[2^3^2]", "foo[2 ^ 3 ^ 2]"},
    {"foo offset (5m * 2)", NULL},
    {"foo offset -(5m)", "foo offset -(5m)"},
    {"foo offset step()", NULL},
    {"foo offset -min_of(step(), 1m)", NULL},
    {"foo offset 5m * 2", NULL},
    {"foo offset -2^2", "foo offset -2s ^ 2"},
    /* operators */
    {"1+2*3", "1 + 2 * 3"},
    {"a ^ b ^ c", NULL},
    {"-2^2", "-2 ^ 2"},
    {"--foo", NULL},
    {"-foo ^ 2", NULL},
    {"a and b or c unless d", NULL},
    {"a == bool 1", NULL},
    {"a >= b <= c", NULL},
    {"a % b atan2 c", NULL},
    {"a </ 5", NULL},
    {"a >/ b", NULL},
    {"a * on(x, y) b", "a * on (x, y) b"},
    {"a * on() b", "a * on () b"},
    {"a * ignoring() b", "a * b"},
    {"a / ignoring(x) group_left b", "a / ignoring (x) group_left () b"},
    {"a / on(x) group_right(y, \"z z\") b", "a / on (x) group_right (y, \"z z\") b"},
    {"a + on(x) fill(0) b", "a + on (x) fill (0) b"},
    {"a + fill_right(-1) fill_left(NaN) b", "a + fill_left (NaN) fill_right (-1) b"},
    {"a + on(x) group_left fill_left(5) b", "a + on (x) group_left () fill_left (5) b"},
    {"AND OR OR", "AND or OR"},
    /* aggregations and calls */
    {"sum(foo)", NULL},
    {"SUM BY (a) (foo)", "sum by (a) (foo)"},
    {"sum(foo) by (a,\"b c\",)", "sum by (a, \"b c\") (foo)"},
    {"sum by () (foo)", "sum(foo)"},
    {"sum without() (foo)", "sum without () (foo)"},
    {"avg without(bool, on, by) (foo)", "avg without (bool, on, by) (foo)"},
    {"topk(5, foo)", NULL},
    {"count_values(\"x\", foo)", NULL},
    {"quantile by (a) (0.9, foo)", NULL},
    {"limit_ratio(0.5, foo)", NULL},
    {"time()", NULL},
    {"round(foo, 5)", NULL},
    {"label_join(foo, \"a\", \",\", \"b\", \"c\")", NULL},
    {"step() + range() + start() - end()", NULL},
    {"info(foo, {a=\"b\"})", NULL},
    {"info(foo, {})", NULL},
    {"min_of(1, max_of(2, 3)) + min_of", NULL},
    {"((foo))", NULL},
};

static void assert_same_after_printing(const char *text,
                                       void (*print)(struct buffer *, const struct expr *))
{
    struct promql *q = parse_ok(text), *again;
    struct buffer b;
    struct error err;
    buffer_init(&b, MEM_OTHER, 4 << 20);
    print(&b, promql_root(q));
    assert_false(b.failed);
    if (!promql_parse(buffer_view(&b), &ALL, &again, &err))
        fail_msg("%s is printed as %.*s: %s", text, (int)b.len, b.ptr, err.message);
    if (!tree_equal(promql_root(q), promql_root(again)))
        fail_msg("%s is printed as %.*s, which means something else", text, (int)b.len, b.ptr);
    promql_free(again);
    promql_free(q);
    buffer_deinit(&b);
}

static void printing_gives_prometheus_text(void **state)
{
    for (size_t i = 0; i < ARRAY_COUNT(PRINTED); i++) {
        struct promql *q = parse_ok(PRINTED[i].in);
        assert_prints(promql_root(q), PRINTED[i].out ? PRINTED[i].out : PRINTED[i].in);
        promql_free(q);
    }
}

static void printed_text_parses_to_the_same_tree(void **state)
{
    for (size_t i = 0; i < ARRAY_COUNT(PRINTED); i++) {
        assert_same_after_printing(PRINTED[i].in, promql_print);
        assert_same_after_printing(PRINTED[i].in, promql_print_pretty);
    }
}

static const struct {
    const char *in, *message;
} ERRORS[] = {
    {"", "unknown position: parse error: no expression found in input"},
    {"# only a comment", "1:1: parse error: no expression found in input"},
    {"1+", "1:3: parse error: unexpected end of input"},
    {"sum(", "1:5: parse error: unclosed left parenthesis"},
    {"(1))", "1:5: parse error: unexpected right parenthesis ')'"},
    {"foo[5m", "1:7: parse error: unclosed left bracket"},
    {"foo[", "1:5: parse error: unexpected end of input in duration expression"},
    {"foo{", "1:5: parse error: unexpected end of input inside braces"},
    {"foo]", "1:4: parse error: unexpected right bracket ']'"},
    {".", "1:1: parse error: unexpected character: '.'"},
    {"2.5.", "1:1: parse error: bad number or duration syntax: \"2.5\""},
    {"100..4", "1:1: parse error: bad number or duration syntax: \"100..\""},
    {"0deadbeef", "1:1: parse error: bad number or duration syntax: \"0de\""},
    {"5mm", "1:1: parse error: bad number or duration syntax: \"5mm\""},
    {"1e400", "1:1: parse error: error parsing number: strconv.ParseFloat: parsing \"1e400\": "
              "value out of range"},
    {"foo[5m1h]", "1:5: parse error: not a valid duration string: \"5m1h\""},
    {"1 /", "1:4: parse error: unexpected end of input"},
    {"*1", "1:1: parse error: unexpected <op:*>"},
    {"1 and 1", "1:1: parse error: set operator \"and\" not allowed in binary scalar expression"},
    {"1 == 1", "1:3: parse error: comparisons between scalars must use BOOL modifier"},
    {"foo + bool bar", "1:5: parse error: bool modifier can only be used on comparison operators"},
    {"foo and bool 10", "1:5: parse error: bool modifier can only be used on comparison operators"},
    {"1 + on(a) foo", "1:1: parse error: vector matching only allowed between instant vectors"},
    {"1 + fill(0) foo",
     "1:1: parse error: filling in missing series only allowed between instant vectors"},
    {"a and on(x) group_left b", "1:1: parse error: no grouping allowed for \"and\" operation"},
    {"a or fill(1) b", "1:1: parse error: filling in missing series not allowed for set operators"},
    {"a / on(x) group_left(x) b",
     "1:3: parse error: label \"x\" must not occur in ON and GROUP clause at once"},
    {"foo[5m] + 1",
     "1:1: parse error: binary expression must contain only scalar and instant vector types"},
    {"1 + \"a\"",
     "1:5: parse error: binary expression must contain only scalar and instant vector types"},
    {"-\"a\"", "1:1: parse error: unary expression only allowed on expressions of type scalar or "
               "instant vector, got "
               "\"string\""},
    {"{}", "1:1: parse error: vector selector must contain at least one non-empty matcher"},
    {"{a=\"\"}", "1:1: parse error: vector selector must contain at least one non-empty matcher"},
    {"{a=~\".*\"}",
     "1:1: parse error: vector selector must contain at least one non-empty matcher"},
    {"foo{__name__=\"bar\"}",
     "1:1: parse error: metric name must not be set twice: \"foo\" or \"bar\""},
    {"foo{a}",
     "1:6: parse error: unexpected \"}\" in label matching, expected label matching operator"},
    {"foo{a=b}",
     "1:7: parse error: unexpected identifier \"b\" in label matching, expected string"},
    {"foo{a=\"b\" c=\"d\"}",
     "1:11: parse error: unexpected identifier \"c\" in label matching, expected \",\" or \"}\""},
    {"foo{,}",
     "1:5: parse error: unexpected \",\" in label matching, expected identifier or \"}\""},
    {"foo{a==\"b\"}", "1:7: parse error: unexpected \"=\" in label matching, expected string"},
    {"foo{a!b}", "1:6: parse error: unexpected character after '!' inside braces: 'b'"},
    {"foo{a>\"b\"}", "1:6: parse error: unexpected character inside braces: '>'"},
    {"foo{a=\"\\8\"}", "1:7: parse error: unknown escape sequence U+0038 '8'"},
    {"\"abc", "1:1: parse error: unterminated quoted string"},
    {"`abc", "1:1: parse error: unterminated raw string"},
    {"\"\\xz\"", "1:1: parse error: illegal character U+007A 'z' in escape sequence"},
    {"foo = bar", "1:5: parse error: unexpected \"=\""},
    {"foo =~ bar", "1:5: parse error: unexpected character after '=': '~'"},
    {"foo ! bar", "1:5: parse error: unexpected character after '!': ' '"},
    {"foo $ bar", "1:5: parse error: unexpected character: '$'"},
    {"foo bar", "1:5: parse error: unexpected identifier \"bar\""},
    {"foo[0]", "1:5: parse error: duration must be greater than 0"},
    {"foo[-5m]", "1:5: parse error: duration must be greater than 0"},
    {"foo[]", "1:5: parse error: unexpected \"]\" in subquery or range selector, expected number, "
              "duration, step(), or "
              "range()"},
    {"foo[5m", "1:7: parse error: unclosed left bracket"},
    {"foo[5m:5m:5m]", "1:10: parse error: unexpected colon ':'"},
    {"foo[:5m]", "1:5: parse error: unexpected colon before duration in duration expression"},
    {"foo[min(1, 2)]", "1:5: parse error: unexpected character in duration expression: 'm'"},
    {"foo[5m +]",
     "1:9: parse error: unexpected \"]\" in subquery or range selector, expected number, "
     "duration, step(), or range()"},
    {"foo[5m:(1m]",
     "1:11: parse error: unexpected \"]\" in subquery selector, expected number, duration, "
     "step(), range(), or \"]\""},
    {"foo[5m \"a\"]",
     "1:8: parse error: unexpected string \"\\\"a\\\"\" in subquery or range, expected "
     "\":\" or \"]\""},
    {"foo[x]", "1:5: parse error: unexpected character in duration expression: 'x'"},
    {"foo[5m/0]", "1:7: parse error: division by zero"},
    {"(foo)[5m]", "1:6: parse error: ranges only allowed for vector selectors"},
    {"foo offset 5m [5m]", "1:15: parse error: no offset modifiers allowed before range"},
    {"foo @ 5 [5m]", "1:9: parse error: no @ modifiers allowed before range"},
    {"foo offset 5m offset 6m", "1:1: parse error: offset may not be set multiple times"},
    {"foo @ 1 @ 2", "1:1: parse error: @ <timestamp> may not be set multiple times"},
    {"1 offset 1d", "1:1: parse error: offset modifier must be preceded by an instant vector "
                    "selector or range vector "
                    "selector or a subquery"},
    {"sum(foo) @ 5",
     "1:1: parse error: @ modifier must be preceded by an instant vector selector or range vector "
     "selector or a subquery"},
    {"foo @ Inf", "1:1: parse error: timestamp out of bounds for @ modifier: +Inf"},
    {"foo @ bar", "1:7: parse error: unexpected identifier \"bar\" in @, expected timestamp"},
    {"foo offset", "1:11: parse error: unexpected end of input in offset, expected number, "
                   "duration, step(), or range()"},
    {"foo[5m][5m:]",
     "1:1: parse error: subquery is only allowed on instant vector, got matrix instead"},
    {"foo[5m:] anchored", "1:1: parse error: anchored modifier is not supported for subqueries"},
    {"foo[5m] anchored smoothed",
     "1:1: parse error: anchored and smoothed modifiers cannot be used together"},
    {"sum some_metric by (test)", "1:5: parse error: unexpected identifier \"some_metric\""},
    {"sum (foo) by test",
     "1:14: parse error: unexpected identifier \"test\" in grouping opts, expected \"(\""},
    {"sum without(==)(foo)",
     "1:13: parse error: unexpected <op:==> in grouping opts, expected label"},
    {"sum without(a b)(foo)",
     "1:15: parse error: unexpected identifier \"b\" in grouping opts, expected \",\" or \")\""},
    {"sum (foo) without (a) by (b)", "1:23: parse error: unexpected <by>"},
    {"avg(rate(foo bar[5m]))", "1:14: parse error: unexpected identifier \"bar\" in aggregation"},
    {"sum by (a) foo", "1:12: parse error: unexpected identifier \"foo\" in aggregation"},
    {"topk(1, ) + 1", "1:7: parse error: trailing commas not allowed in function call args"},
    {"clamp(foo, , 1)", "1:10: parse error: trailing commas not allowed in function call args"},
    {"sum())", "1:7: parse error: unexpected right parenthesis ')'"},
    {"sum()", "1:1: parse error: no arguments for aggregate expression provided"},
    {"topk(foo)", "1:1: parse error: wrong number of arguments for aggregate expression provided, "
                  "expected 2, got 1"},
    {"topk(foo, foo)",
     "1:6: parse error: expected type scalar in aggregation parameter, got instant vector"},
    {"count_values(5, foo)",
     "1:14: parse error: expected type string in aggregation parameter, got scalar"},
    {"sum(1)",
     "1:5: parse error: expected type instant vector in aggregation expression, got scalar"},
    {"floor()", "1:1: parse error: expected 1 argument(s) in call to \"floor\", got 0"},
    {"round(foo, 1, 2)",
     "1:1: parse error: expected at most 2 argument(s) in call to \"round\", got 3"},
    {"label_join()",
     "1:1: parse error: expected at least 3 argument(s) in call to \"label_join\", got 0"},
    {"rate(foo)", "1:6: parse error: expected type range vector in call to function \"rate\", got "
                  "instant vector"},
    {"rate(foo[5m],)", "1:13: parse error: trailing commas not allowed in function call args"},
    {"nope(foo)", "1:1: parse error: unknown function with name \"nope\""},
    {"info(foo, bar)",
     "1:11: parse error: expected label selectors only, got vector selector instead"},
    {"a:b(foo)", "1:4: parse error: unexpected \"(\""},
    {"foo\n + \n $", "3:2: parse error: unexpected character: '$'"},
};

static void errors_have_prometheus_words_and_a_position(void **state)
{
    for (size_t i = 0; i < ARRAY_COUNT(ERRORS); i++) {
        struct promql *q;
        struct error err;
        if (promql_parse(view_from(ERRORS[i].in), &ALL, &q, &err))
            fail_msg("%s parses, expected: %s", ERRORS[i].in, ERRORS[i].message);
        assert_int_equal(err.kind, ERROR_INPUT);
        assert_string_equal(err.message, ERRORS[i].message);
    }
}

static const struct {
    const char *in, *message;
} DISABLED[] = {
    {"mad_over_time(foo[5m])", "1:1: parse error: function \"mad_over_time\" is not enabled; "
                               "--enable-feature=promql-experimental-functions enables it"},
    {"limitk(1, foo)", "1:1: parse error: limitk() is experimental and must be enabled with "
                       "--enable-feature=promql-experimental-functions"},
    {"foo[5m * 2]", "1:5: parse error: experimental duration expression is not enabled; "
                    "--enable-feature=promql-duration-expr enables it"},
    {"foo[step()]", "1:5: parse error: experimental duration expression is not enabled; "
                    "--enable-feature=promql-duration-expr enables it"},
    {"foo anchored", "1:1: parse error: anchored modifier is experimental and not enabled; "
                     "--enable-feature=promql-extended-range-selectors enables it"},
    {"a + fill(0) b", "1:1: parse error: binop fill modifiers are experimental and not enabled; "
                      "--enable-feature=promql-binop-fill-modifiers enables them"},
};

static void experimental_things_need_their_option(void **state)
{
    for (size_t i = 0; i < ARRAY_COUNT(DISABLED); i++) {
        struct promql *q;
        struct error err;
        assert_false(promql_parse(view_from(DISABLED[i].in), NULL, &q, &err));
        assert_string_equal(err.message, DISABLED[i].message);
        promql_free(parse_ok(DISABLED[i].in));
    }
}

/* count times `unit`, then `middle`, then count times `after`. */
static struct buffer repeated(const char *unit, const char *middle, const char *after, int count)
{
    struct buffer b;
    buffer_init(&b, MEM_OTHER, 1 << 20);
    for (int i = 0; i < count; i++)
        buffer_printf(&b, "%s", unit);
    buffer_printf(&b, "%s", middle);
    for (int i = 0; i < count; i++)
        buffer_printf(&b, "%s", after);
    return b;
}

static void hostile_nesting_is_refused(void **state)
{
    static const struct {
        const char *unit, *middle, *after;
        int fine, bad;
    } CASES[] = {
        {"(", "1", ")", 200, 20000},      {"-", "foo", "", 200, 60000},
        {"abs(", "foo", ")", 200, 10000}, {"a+", "a", "", 1000, 30000},
        {"a^", "a", "", 200, 30000},      {"sum(", "a", ")", 200, 10000},
        {"", "a", "[5m:]", 500, 12000},   {"a[", "a", "]", 0, 20000},
        {"a[(", "1", "", 0, 20000},       {"", "a[1", "+1", 0, 30000},
    };
    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        struct error err;
        struct promql *q;
        struct buffer b = repeated(CASES[i].unit, CASES[i].middle, CASES[i].after, CASES[i].bad);
        assert_false(promql_parse(buffer_view(&b), &ALL, &q, &err));
        buffer_deinit(&b);
        if (CASES[i].fine == 0 ||
            CASES[i].after[0] == '[') /* a chain of subqueries has the wrong type */
            continue;
        b = repeated(CASES[i].unit, CASES[i].middle, CASES[i].after, CASES[i].fine);
        if (!promql_parse(buffer_view(&b), &ALL, &q, &err))
            fail_msg("%.*s: %s", (int)b.len, b.ptr, err.message);
        promql_free(q);
        buffer_deinit(&b);
    }
}

static void queries_over_64_kib_are_refused(void **state)
{
    struct error err;
    struct promql *q;
    struct buffer b = repeated(" ", "1", "", PROMQL_QUERY_BYTES_MAX);
    assert_false(promql_parse(buffer_view(&b), &ALL, &q, &err));
    assert_string_equal(err.message, "query has 65537 bytes, at most 65536 are allowed");
    assert_true(promql_parse(view_slice(buffer_view(&b), 1, b.len), &ALL, &q, &err));
    promql_free(q);
    buffer_deinit(&b);
}

static void spans_cover_what_was_written(void **state)
{
    struct promql *q = parse_ok("sum(rate(foo[5m] offset 1m)) + bar{a=\"b\"} @ 5");
    const struct expr *e = promql_root(q), *left = e->u.binary.left, *right = e->u.binary.right;
    assert_int_equal(e->span.start, 0);
    assert_int_equal(e->span.end, 45);
    assert_int_equal(left->span.end, 28);
    assert_int_equal(right->span.start, 31);
    assert_int_equal(right->span.end, 45);
    const struct expr *matrix = left->u.aggregate.inner->u.call.args[0];
    assert_int_equal(matrix->span.start, 9);
    assert_int_equal(matrix->span.end, 26);
    promql_free(q);
}

static void match_parameters_are_selectors_only(void **state)
{
    struct promql *q;
    struct error err;
    assert_true(promql_parse_selector(VIEW("foo{a=~\"b.*\"}"), &q, &err));
    assert_int_equal(promql_root(q)->kind, EXPR_SELECTOR);
    assert_int_equal(promql_root(q)->u.selector.matcher_count, 2);
    promql_free(q);
    assert_true(promql_parse_selector(VIEW("{a=\"\"}"), &q, &err));
    promql_free(q);
    assert_false(promql_parse_selector(VIEW("foo[5m]"), &q, &err));
    assert_string_equal(err.message, "1:4: parse error: unexpected \"[\"");
    assert_false(promql_parse_selector(VIEW("1"), &q, &err));
    assert_string_equal(err.message, "1:1: parse error: unexpected number \"1\"");
}

static void durations_are_computed_with_step_and_range(void **state)
{
    static const struct {
        const char *in;
        int64_t ms;
        const char *error;
    } CASES[] = {
        {"foo[5m * 2]", 600000, NULL},
        {"foo[step() * 3]", 45000, NULL},
        {"foo[range() / 4]", 900000, NULL},
        {"foo[max_of(step(), 1m)]", 60000, NULL},
        {"foo[min_of(step(), 1m)]", 15000, NULL},
        {"foo[-(-5m)]", 300000, NULL},
        {"foo[2 ^ 3 ^ 2]", 512000, NULL},
        {"foo[(1h + 7) % 10]", 7000, NULL},
        {"foo[0.1 + 0.2]", 300, NULL},
        {"foo[5m - 6m]", 0, "duration must be greater than 0"},
        {"foo[1 / (5m - 5m)]", 0, "division by zero"},
        {"foo[10 ^ 40]", 0, "duration is out of range"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        struct promql *q = parse_ok(CASES[i].in);
        int64_t ms = 0;
        struct error err;
        bool ok = duration_expr_eval(promql_root(q)->u.matrix.range_expr, 1000, 3601000, 15000,
                                     false, &ms, &err);
        assert_int_equal(ok, CASES[i].error == NULL);
        if (ok)
            assert_int_equal(ms, CASES[i].ms);
        else
            assert_string_equal(err.message, CASES[i].error);
        promql_free(q);
    }
}

#define LONG_A "a_rather_long_metric_name_for_a_test{job=\"api\"}"
#define LONG_B "another_metric_name_bucket{job=\"api\"}"

static const struct {
    const char *in, *out;
} LAID_OUT[] = {
    {"sum by (job, instance) (rate(" LONG_A "[5m])) / on (job) group_left () "
     "histogram_quantile(0.99, sum by (le) (rate(" LONG_B "[5m])))",
     "  sum by (job, instance) (rate(" LONG_A "[5m]))\n"
     "/ on (job) group_left ()\n"
     "  histogram_quantile(0.99, sum by (le) (rate(" LONG_B "[5m])))"},
    /* A sign stands before the first line of what it is of, as in Prometheus. */
    {"-17 ^ min by (job) (" LONG_A " + " LONG_B ")", "-17\n"
                                                     "^\n"
                                                     "  min by (job) (\n"
                                                     "    " LONG_A " + " LONG_B "\n"
                                                     "  )"},
    {"1 - -sum(" LONG_A " * 100 + " LONG_B ")", "  1\n"
                                                "-\n"
                                                "  -sum(" LONG_A " * 100 + " LONG_B ")"},
    {"-" LONG_A " ^ " LONG_B " ^ rate(foo[5m])", "-" LONG_A "\n"
                                                 "^\n"
                                                 "  " LONG_B " ^ rate(foo[5m])"},
};

static void long_expressions_are_laid_out(void **state)
{
    for (size_t i = 0; i < ARRAY_COUNT(LAID_OUT); i++) {
        struct promql *q = parse_ok(LAID_OUT[i].in);
        struct buffer b;
        buffer_init(&b, MEM_OTHER, 1 << 20);
        promql_print_pretty(&b, promql_root(q));
        buffer_append_byte(&b, '\0');
        assert_string_equal(b.ptr, LAID_OUT[i].out);
        buffer_deinit(&b);
        promql_free(q);
    }
}

/* --- the queries of the official scripts --- */

static size_t round_tripped;

static void round_trip_line(char *line)
{
    static const char *const HEADS[] = {"eval instant at ", "eval range from ",
                                        "eval_ordered instant at "};
    char *query = NULL;
    if (strncmp(line, HEADS[0], strlen(HEADS[0])) == 0 ||
        strncmp(line, HEADS[2], strlen(HEADS[2])) == 0) {
        query = strstr(line, " at ") + 4;
        query += strcspn(query, " ");
    } else if (strncmp(line, HEADS[1], strlen(HEADS[1])) == 0) {
        query = strstr(line, " step ") + 6;
        query += strcspn(query, " ");
    }
    if (!query || !*query)
        return;
    struct promql *q;
    struct error err;
    if (!promql_parse(view_from(query + 1), &ALL, &q, &err))
        fail_msg("%s: %s", query + 1, err.message);
    promql_free(q);
    assert_same_after_printing(query + 1, promql_print);
    assert_same_after_printing(query + 1, promql_print_pretty);
    round_tripped++;
}

static bool round_trip_file(void *arg, const char *name, bool is_dir)
{
    size_t len = strlen(name);
    if (is_dir || len < 5 || strcmp(name + len - 5, ".test") != 0)
        return true;
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", (const char *)arg, name);
    struct buffer b;
    struct error err;
    buffer_init(&b, MEM_OTHER, 16 << 20);
    assert_true(file_read_all(path, &b, &err));
    buffer_append_byte(&b, '\0');
    char *rest = b.ptr;
    for (char *line; (line = strsep(&rest, "\n"));) {
        line += strspn(line, " \t");
        line[strcspn(line, "\r")] = '\0';
        round_trip_line(line);
    }
    buffer_deinit(&b);
    return true;
}

static void queries_of_the_official_scripts_round_trip(void **state)
{
    struct error err;
    if (!file_exists(CONFORMANCE_DIR "/promql")) {
        printf("SKIPPED: no %s\n", CONFORMANCE_DIR);
        skip();
    }
    assert_true(dir_list(CONFORMANCE_DIR "/promql", round_trip_file,
                         (void *)(CONFORMANCE_DIR "/promql"), &err));
    printf("%zu queries\n", round_tripped);
    assert_true(round_tripped > 500);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(printing_gives_prometheus_text),
        cmocka_unit_test(printed_text_parses_to_the_same_tree),
        cmocka_unit_test(errors_have_prometheus_words_and_a_position),
        cmocka_unit_test(experimental_things_need_their_option),
        cmocka_unit_test(hostile_nesting_is_refused),
        cmocka_unit_test(queries_over_64_kib_are_refused),
        cmocka_unit_test(spans_cover_what_was_written),
        cmocka_unit_test(match_parameters_are_selectors_only),
        cmocka_unit_test(durations_are_computed_with_step_and_range),
        cmocka_unit_test(long_expressions_are_laid_out),
        cmocka_unit_test(queries_of_the_official_scripts_round_trip),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
