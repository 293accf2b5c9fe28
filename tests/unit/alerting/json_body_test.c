/* SPDX-License-Identifier: Apache-2.0 */
/* json_body_test.c: commas, names, and what is too large. */
#include "alerting/json_body.h"

#include "alerting/delivery.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

/* Each kind of value, as member, as element and after a closed bracket. */
static void commas_stand_between_and_nowhere_else(void **state)
{
    struct arena arena;
    struct json_body j;
    struct view out;
    struct error err = {0};
    (void)state;
    arena_init(&arena, MEM_RULES, 0);
    json_body_init(&j);
    json_body_open(&j, NULL, '{');
    json_body_text_unless_empty(&j, "none", VIEW(""));
    json_body_text(&j, "text", VIEW("a \"b\" <c>\n"));
    json_body_open(&j, "list", '[');
    json_body_open(&j, NULL, '{');
    json_body_close(&j, '}');
    json_body_bool(&j, NULL, true);
    json_body_int(&j, NULL, -5);
    json_body_null(&j, NULL);
    json_body_text(&j, NULL, VIEW(""));
    json_body_close(&j, ']');
    json_body_named_text(&j, (struct view){NULL, 0}, VIEW("no name"));
    json_body_raw(&j, "raw", VIEW("[1]"));
    json_body_close(&j, '}');
    assert_true(json_body_take(&j, &arena, &out, &err));
    assert_string_equal(out.ptr,
                        "{\"text\":\"a \\\"b\\\" \\u003cc\\u003e\\n\",\"list\":[{},true,-5,null,"
                        "\"\"],\"\":\"no name\",\"raw\":[1]}");
    arena_deinit(&arena);
}

static void a_request_that_is_too_large_is_an_error(void **state)
{
    struct arena arena;
    struct json_body j;
    struct view out;
    struct error err = {0};
    (void)state;
    arena_init(&arena, MEM_RULES, 0);
    char *text = arena_alloc_zero(&arena, 1, DELIVERY_REQUEST_BYTES_MAX);
    memset(text, 'x', DELIVERY_REQUEST_BYTES_MAX);
    json_body_init(&j);
    json_body_text(&j, NULL, (struct view){text, DELIVERY_REQUEST_BYTES_MAX});
    assert_false(json_body_take(&j, &arena, &out, &err));
    assert_int_equal(err.kind, ERROR_TOO_LARGE);
    arena_deinit(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(commas_stand_between_and_nowhere_else),
        cmocka_unit_test(a_request_that_is_too_large_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
