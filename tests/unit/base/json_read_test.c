/* SPDX-License-Identifier: Apache-2.0 */
#include "base/json_read.h"

#include "base/json_peek.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static const struct {
    const char *text;
    int success;
} PEEKS[] = {
    {"{\"success\":true}", 1},
    {" {\"a\":1,\n\"success\" : false}", 0},
    {"{\"success\":null}", -1},
    {"{\"success\":1}", -1},
    {"{\"a\":{\"success\":true}}", -1},
    {"{\"a\":[{\"success\":true}],\"success\":false}", 0},
    {"{\"a\":\"\\\"success\\\":true\",\"b\":\"\\\\\",\"success\":true}", 1},
    {"{\"a\":\"success\",\"b\":true}", -1},
    {"[\"success\",true]", -1},
    {"\"success\"", -1},
    {"true", -1},
    {"", -1},
    {"{\"success\"", -1},
    {"{\"success\":", -1},
    {"{\"a\":\"x", -1},
    {"{\"a\":\"x\\", -1},
};

static void a_member_is_found_at_the_top_only(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(PEEKS); i++)
        if (json_peek_bool(view_from(PEEKS[i].text), "success") != PEEKS[i].success)
            fail_msg("%s: expected %d", PEEKS[i].text, PEEKS[i].success);
}

static const struct {
    const char *text, *compact; /* or what the error says */
} READS[] = {
    {"{\"a\": 1, \"a\": 2}", "{\"a\":2}"},
    {" [1,\"\\u00fc\"] ", "[1,\"\xc3\xbc\"]"},
    {"null", "null"},
    {"9007199254740993", "9007199254740993"},
    {"99999999999999999999", "!too big integer"},
    {"1e999", "!real number overflow"},
    {"[1] x", "!end of file expected"},
    {"{\"a\":\"\\u0000\"}", "!\\u0000 is not allowed"},
    {"\"\xff\"", "!unable to decode byte 0xff"},
    {"\"\\ud800\"", "!invalid Unicode"},
    {"", "!"},
    {"{", "!"},
    {"{a:1}", "!"},
    {"[01]", "!"},
    {"[NaN]", "!"},
};

static void clients_json_is_read_or_refused_with_a_place(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(READS); i++) {
        struct error err = {0};
        json_t *json = json_read(view_from(READS[i].text), &err);
        if ((json == NULL) != (READS[i].compact[0] == '!'))
            fail_msg("%s: %s", READS[i].text, json ? "was read" : err.message);
        if (json == NULL) {
            if (strstr(err.message, READS[i].compact + 1) == NULL || err.line == 0)
                fail_msg("%s: %u: %s", READS[i].text, err.line, err.message);
            continue;
        }
        char *text = json_dumps(json, JSON_COMPACT | JSON_ENCODE_ANY);
        assert_string_equal(text, READS[i].compact);
        free(text);
        json_decref(json);
    }
}

static void depth_has_a_limit(void **state)
{
    (void)state;
    enum { DEPTH = 100000 };
    char *text = malloc(2 * DEPTH);
    struct error err;
    for (size_t depth = 1; depth <= JSON_DEPTH_MAX + 1; depth++) {
        memset(text, '[', depth);
        memset(text + depth, ']', depth);
        json_t *json = json_read((struct view){text, 2 * depth}, &err);
        assert_int_equal(json != NULL, depth <= JSON_DEPTH_MAX);
        json_decref(json);
    }
    memset(text, '[', 2 * DEPTH);
    assert_null(json_read((struct view){text, 2 * DEPTH}, &err));
    assert_non_null(strstr(err.message, "more than 64"));
    memset(text, '"', 2 * DEPTH); /* brackets in strings do not count */
    assert_true(json_is_shallow(VIEW("\"[[[[\\\"[[[\""), 1));
    assert_true(json_is_shallow((struct view){text, 2 * DEPTH}, 1));
    free(text);
}

static const struct {
    const char *text, *items; /* joined with | */
    enum json_items end;
} LISTS[] = {
    {"[]", "", JSON_ITEMS_END},
    {" [ ] ", "", JSON_ITEMS_END},
    {"[1]", "1|", JSON_ITEMS_END},
    {"[{\"a\":[1,2]} , \"x,]\",[]]\n", "{\"a\":[1,2]} |\"x,]\"|[]|", JSON_ITEMS_END},
    {"", "", JSON_ITEMS_BROKEN},
    {"[", "", JSON_ITEMS_BROKEN},
    {"{}", "", JSON_ITEMS_BROKEN},
    {"[1", "1|", JSON_ITEMS_BROKEN},
    {"[1,]", "1|", JSON_ITEMS_BROKEN},
    {"[,1]", "", JSON_ITEMS_BROKEN},
    {"[1}2]", "1|", JSON_ITEMS_BROKEN},
    {"[1] 2", "1|", JSON_ITEMS_BROKEN},
    {"[\"abc", "\"abc|", JSON_ITEMS_BROKEN},
};

static void items_of_a_list_come_one_by_one(void **state)
{
    for (size_t i = 0; i < ARRAY_COUNT(LISTS); i++) {
        char items[200] = "";
        size_t pos = 0;
        struct view item;
        enum json_items got;
        while ((got = json_next_item(view_from(LISTS[i].text), &pos, &item)) == JSON_ITEM)
            snprintf(items + strlen(items), sizeof items - strlen(items), "%.*s|", VIEW_ARGS(item));
        assert_string_equal(items, LISTS[i].items);
        assert_int_equal(got, LISTS[i].end);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_member_is_found_at_the_top_only),
        cmocka_unit_test(clients_json_is_read_or_refused_with_a_place),
        cmocka_unit_test(depth_has_a_limit),
        cmocka_unit_test(items_of_a_list_come_one_by_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
