/* SPDX-License-Identifier: Apache-2.0 */
/* form_test.c: parameters are read as Go's url.ParseQuery() reads them, bad ones are refused. */
#include "net/form.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const struct {
    const char *in, *out, *error;
} CASES[] = {
    {"", "", NULL},
    {"a=1", "a=1;", NULL},
    {"a=1&b=2&a=3", "a=1;b=2;a=3;", NULL},
    {"a=x%20y+z", "a=x y z;", NULL},
    {"a%5B%5D=%e2%82%AC", "a[]=\xe2\x82\xac;", NULL},
    {"a", "a=;", NULL},
    {"=v", "=v;", NULL},
    {"a=b=c", "a=b=c;", NULL},
    {"&&a=1&&", "a=1;", NULL},
    {"a=%2", NULL, "invalid URL escape \"%2\""},
    {"a=%zz", NULL, "invalid URL escape \"%zz\""},
    {"a=%", NULL, "invalid URL escape \"%\""},
    {"%4=1", NULL, "invalid URL escape \"%4\""},
    {"a=1;b=2", NULL, "invalid semicolon separator in query"},
    {"a=1%3Bb", "a=1;b;", NULL},
};

static void pairs_are_read_as_go_reads_them(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        struct arena arena;
        struct form form = {0};
        struct error err;
        char text[256] = "";
        arena_init(&arena, MEM_HTTP, 0);
        bool ok = form_parse(&arena, view_from(CASES[i].in), &form, &err);
        if (CASES[i].error) {
            assert_false(ok);
            assert_string_equal(err.message, CASES[i].error);
        } else {
            assert_true(ok);
            for (size_t p = 0; p < form.count; p++)
                snprintf(text + strlen(text), sizeof text - strlen(text), "%.*s=%.*s;",
                         VIEW_ARGS(form.items[p].name), VIEW_ARGS(form.items[p].value));
            assert_string_equal(text, CASES[i].out);
        }
        arena_deinit(&arena);
    }
}

static void more_parameters_than_the_limit_are_refused(void **state)
{
    (void)state;
    size_t len = 2 * (FORM_PARAMS_MAX + 1);
    char *text = malloc(len);
    for (size_t i = 0; i < len; i += 2)
        memcpy(text + i, "a&", 2);
    struct arena arena;
    struct form form = {0};
    struct error err;
    arena_init(&arena, MEM_HTTP, 0);
    assert_false(form_parse(&arena, (struct view){text, len}, &form, &err));
    assert_string_equal(err.message, "more than 10000 parameters");
    form = (struct form){0};
    assert_true(form_parse(&arena, (struct view){text, len - 2}, &form, &err));
    assert_int_equal(form.count, FORM_PARAMS_MAX);
    arena_deinit(&arena);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pairs_are_read_as_go_reads_them),
        cmocka_unit_test(more_parameters_than_the_limit_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
