/* SPDX-License-Identifier: Apache-2.0 */
/* name_escape_test.c: what prometheus/common writes for the same names. */
#include "model/name_escape.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static const struct {
    const char *name, *underscores, *dots, *values;
} NAMES[] = {
    {"no_change:it_is", "no_change:it_is", "no__change:it__is", "no_change:it_is"},
    {"http.status:sum", "http_status:sum", "http_dot_status:sum", "U__http_2e_status:sum"},
    {"my_na.me", "my_na_me", "my__na_dot_me", "U__my__na_2e_me"},
    {"0start", "_start", "__start", "U___30_start"},
    {"label with \xe6\xb1\x89", "label_with__", "label__with____", "U__label_20_with_20__6c49_"},
    {"caf\xc3\xa9", "caf_", "caf__", "U__caf_e9_"},
};

static void names_are_escaped_as_elsewhere(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof NAMES / sizeof *NAMES; i++) {
        const char *expected[NAME_ESCAPING_COUNT] = {NAMES[i].underscores, NAMES[i].name,
                                                     NAMES[i].dots, NAMES[i].values};
        for (int how = 0; how < NAME_ESCAPING_COUNT; how++) {
            struct buffer b;
            buffer_init(&b, MEM_OTHER, 1024);
            name_escape(&b, view_from(NAMES[i].name), (enum name_escaping)how);
            if (!view_is(buffer_view(&b), expected[how]))
                fail_msg("%s, %s: %.*s", NAMES[i].name, name_escaping_word((enum name_escaping)how),
                         (int)b.len, b.ptr);
            buffer_deinit(&b);
        }
    }
}

static void words_are_known(void **state)
{
    (void)state;
    enum name_escaping how;
    assert_true(name_escaping_parse(VIEW("dots"), &how));
    assert_int_equal(how, NAME_ESCAPE_DOTS);
    assert_false(name_escaping_parse(VIEW(""), &how));
    assert_false(name_escaping_parse(VIEW("Dots"), &how));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(names_are_escaped_as_elsewhere),
                                       cmocka_unit_test(words_are_known)};
    return cmocka_run_group_tests_name("name_escape", tests, NULL, NULL);
}
