/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cli/alert_words.h"
#include "cli/text_table.h"

#include <stdlib.h>
#include <string.h>

static const struct {
    const char *word, *filter;
} SHORTHANDS[] = {
    {"foo", "alertname=\"foo\""},
    {"a b", "alertname=\"a b\""},
    {"", "alertname=\"\""},
    {"{a=b}", "alertname=\"{a=b}\""},
    {"a=b,c=d", "alertname=\"a=b,c=d\""},
    {"a=b", "a=b"},
    {"a=~\"b.*\"", "a=~\"b.*\""},
    {"a=\"x}\"", "a=\"x}\""},
};

static void a_first_word_without_a_sign_is_the_alerts_name(void **state)
{
    struct arena arena;
    arena_init(&arena, MEM_OTHER, 0);
    for (size_t i = 0; i < ARRAY_COUNT(SHORTHANDS); i++) {
        char *items[] = {(char *)SHORTHANDS[i].word};
        struct flag_words words = {items, 1};
        alert_words_shorthand(&arena, &words);
        assert_string_equal(items[0], SHORTHANDS[i].filter);
    }
    arena_deinit(&arena);
}

static const struct {
    const char *word, *name, *value; /* NULL: refused */
} LABELS[] = {
    {"a=b", "a", "b"},           {"a=b c,d=e", "a", "b c,d=e"},
    {"a=\"b\"", "a", "b"},       {"\"a b\"=c", "a b", "c"},
    {"a", NULL, NULL},           {"a!=b", NULL, NULL},
    {"a=~b", NULL, NULL},        {"a~=b", NULL, NULL},
    {"a=x \"b\" y", NULL, NULL},
};

static void labels_are_pairs(void **state)
{
    struct arena arena;
    struct labels out;
    arena_init(&arena, MEM_OTHER, 0);
    for (size_t i = 0; i < ARRAY_COUNT(LABELS); i++) {
        struct error err = {0};
        bool ok = alert_words_labels(&arena, &LABELS[i].word, 1, &out, &err);
        if (ok != (LABELS[i].name != NULL))
            fail_msg("%s: %s", LABELS[i].word, err.message);
        if (!ok)
            continue;
        assert_int_equal(out.count, 1);
        assert_true(view_is(out.items[0].name, LABELS[i].name));
        assert_true(view_is(out.items[0].value, LABELS[i].value));
    }
    arena_deinit(&arena);
}

static void times_are_read_and_written(void **state)
{
    struct error err = {0};
    struct buffer text;
    int64_t ms;
    buffer_init(&text, MEM_OTHER, 1000);
    assert_true(alert_words_time("start", "1969-12-31T23:59:59.5Z", &ms, &err));
    assert_int_equal(ms, -500);
    alert_words_write_time(&text, ms);
    buffer_append_byte(&text, '\0');
    assert_string_equal(text.ptr, "\"1969-12-31T23:59:59.500Z\"");
    assert_false(alert_words_time("start", "tomorrow", &ms, &err));
    assert_non_null(strstr(err.message, "flag \"--start\": \"tomorrow\" is no time"));
    buffer_deinit(&text);
}

static void columns_are_as_wide_as_their_widest_cell(void **state)
{
    struct text_table t;
    char *text = NULL;
    size_t bytes = 0;
    FILE *out = open_memstream(&text, &bytes);
    text_table_init(&t, "A\tBee");
    text_table_cell(&t, VIEW("größe"));
    text_table_cell(&t, VIEW("x\n\033[2J"));
    text_table_print(&t, out);
    text_table_deinit(&t);
    fclose(out);
    assert_string_equal(text, "A      Bee     \ngröße  x  [2J  \n");
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_first_word_without_a_sign_is_the_alerts_name),
        cmocka_unit_test(labels_are_pairs),
        cmocka_unit_test(times_are_read_and_written),
        cmocka_unit_test(columns_are_as_wide_as_their_widest_cell),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
