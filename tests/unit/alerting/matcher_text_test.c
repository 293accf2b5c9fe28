/* SPDX-License-Identifier: Apache-2.0 */
/* matcher_text_test.c: each text, its matchers as they are shown, and which of the two readers took it. */
#include "alerting/matcher_text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

static const struct {
    const char *in, *out;
    enum matchers_reader reader;
} TAKEN[] = {
    {"a=b", "{a=\"b\"}", MATCHERS_UTF8},
    {"{a=b}", "{a=\"b\"}", MATCHERS_UTF8},
    {" { a = b , } ", "{a=\"b\"}", MATCHERS_UTF8},
    {"{}", "{}", MATCHERS_UTF8},
    {"", "{}", MATCHERS_UTF8},
    {"a=\"b\",c!=\"d\"", "{a=\"b\",c!=\"d\"}", MATCHERS_UTF8},
    {"a=~\"b.*\", c!~\"d|e\"", "{a=~\"b.*\",c!~\"d|e\"}", MATCHERS_UTF8},
    {"\"a b\"=c", "{\"a b\"=\"c\"}", MATCHERS_UTF8},
    {"\xc3\xa4=\xc3\xb6", "{\"\xc3\xa4\"=\"\xc3\xb6\"}", MATCHERS_UTF8},
    {"a=\"b\\\"c\\n\"", "{a=\"b\\\"c\\n\"}", MATCHERS_UTF8},
    {"a=\"b,c\"", "{a=\"b,c\"}", MATCHERS_UTF8},
    {"a=\"\"", "{a=\"\"}", MATCHERS_UTF8},
    /* only the classic reader takes these */
    {"a=", "{a=\"\"}", MATCHERS_CLASSIC},
    {"a=b c", "{a=\"b c\"}", MATCHERS_CLASSIC},
    {"a=~b{2}c", "{a=~\"b{2}c\"}", MATCHERS_CLASSIC},
    {"a==b", "{a=\"=b\"}", MATCHERS_CLASSIC},
    {"a=\"\\d\"", "{a=\"\\\\d\"}", MATCHERS_CLASSIC},
    /* both take it: an escape that only one knows */
    {"a=\"b\\x41\"", "{a=\"b\\\\x41\"}", MATCHERS_DISAGREE},
};

static void readers_agree_with_table(void **state)
{
    for (size_t i = 0; i < sizeof(TAKEN) / sizeof(*TAKEN); i++) {
        struct arena arena;
        struct matchers m = {0};
        struct buffer out;
        struct error err = {0};
        enum matchers_reader reader = MATCHERS_UTF8;
        arena_init(&arena, MEM_OTHER, 0);
        buffer_init(&out, MEM_OTHER, 1 << 16);
        if (!matchers_parse(&arena, view_from(TAKEN[i].in), &m, &reader, &err))
            fail_msg("%s: %s", TAKEN[i].in, err.message);
        matchers_format(&out, &m);
        buffer_append_byte(&out, '\0');
        assert_string_equal(out.ptr, TAKEN[i].out);
        if (reader != TAKEN[i].reader)
            fail_msg("%s: reader %d", TAKEN[i].in, (int)reader);
        matchers_deinit(&m);
        buffer_deinit(&out);
        arena_deinit(&arena);
    }
}

static const struct {
    const char *in, *error;
} REFUSED[] = {
    {"a", "matchers end where an operator (=, !=, =~ or !~) was expected"},
    {"=b", "unexpected \"=b\" at column 1 of the matchers: the name of a label was expected"},
    {"{a=\"b\"", NULL}, /* the classic reader forgives the brace */
    {"{\"a b\"=c", "matchers end where a comma or the closing brace was expected"},
    {"\"a b\"=\"c", "matchers end where a closing \" was expected"},
    {"\"a b\"=c d",
     "unexpected \"d\" at column 9 of the matchers: a comma or the end was expected"},
    {"\"a b\"=\"\\q\"",
     "unexpected \"\"\\q\"\" at column 7 of the matchers: a string with valid escapes was "
     "expected"},
    {"\"\"=b", "the name of a label is empty"},
};

static void refusals_say_where(void **state)
{
    for (size_t i = 0; i < sizeof(REFUSED) / sizeof(*REFUSED); i++) {
        struct arena arena;
        struct matchers m = {0};
        struct error err = {0};
        arena_init(&arena, MEM_OTHER, 0);
        bool ok = matchers_parse(&arena, view_from(REFUSED[i].in), &m, NULL, &err);
        assert_int_equal(ok, REFUSED[i].error == NULL);
        if (!ok)
            assert_string_equal(err.message, REFUSED[i].error);
        matchers_deinit(&m);
        arena_deinit(&arena);
    }
}

/* A bad expression leaves what was there. */
static void bad_regex_changes_nothing(void **state)
{
    struct arena arena;
    struct matchers m = {0};
    struct error err = {0};
    arena_init(&arena, MEM_OTHER, 0);
    assert_true(matchers_parse(&arena, VIEW("a=b"), &m, NULL, &err));
    assert_false(matchers_parse(&arena, VIEW("c=\"d\",e=~\"(\""), &m, NULL, &err));
    assert_int_equal(m.count, 1);
    matchers_deinit(&m);
    arena_deinit(&arena);
}

static void absent_label_is_empty(void **state)
{
    static const struct label ITEMS[] = {{{"a", 1}, {"x", 1}}};
    static const struct {
        const char *in;
        bool matches;
    } CASES[] = {{"a=x", true},       {"a=\"x\",b=\"\"", true}, {"b!=\"\"", false},
                 {"b!~\".+\"", true}, {"a=~\"x|y\"", true},     {"a!=x", false},
                 {"{}", true}};
    struct labels labels = {ITEMS, 1};
    for (size_t i = 0; i < sizeof(CASES) / sizeof(*CASES); i++) {
        struct arena arena;
        struct matchers m = {0};
        struct error err = {0};
        arena_init(&arena, MEM_OTHER, 0);
        assert_true(matchers_parse(&arena, view_from(CASES[i].in), &m, NULL, &err));
        assert_int_equal(matchers_match(&m, labels), CASES[i].matches);
        matchers_deinit(&m);
        arena_deinit(&arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(readers_agree_with_table),
        cmocka_unit_test(refusals_say_where),
        cmocka_unit_test(bad_regex_changes_nothing),
        cmocka_unit_test(absent_label_is_empty),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
