/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "api/silence_json.h"

#include <string.h>

#define M "\"matchers\":[{\"name\":\"a\",\"value\":\"b\",\"isRegex\":false}]"
#define T "\"startsAt\":\"2026-11-27T03:00:00Z\",\"endsAt\":\"2099-11-27T03:00:00Z\""
#define C "\"createdBy\":\"a\",\"comment\":\"c\""
#define RECURS(json) "{" M "," T "," C ",\"recurrence\":" json "}"
#define MATCHERS(list) "{\"matchers\":" list "," T "," C "}"

/* Statuses and codes are those of Alertmanager 0.25, and its words where they do not tell of Go's types. */
static const struct {
    const char *body;
    int status, code; /* 0: taken */
    const char *message;
} BODIES[] = {
    {"{" M "," T "," C "}", 0, 0, ""},
    {"", 422, 602, "silence in body is required"},
    {"{}", 422, 602, "comment in body is required"},
    {"null", 422, 602, "comment in body is required"},
    {"[]", 400, 400, "parsing silence body from \"\" failed, because an object was expected"},
    {"{" M "," T ",\"createdBy\":\"a\"}", 422, 602, "comment in body is required"},
    {"{" M "," T ",\"comment\":\"\"}", 422, 602, "createdBy in body is required"},
    {"{" M ",\"endsAt\":\"2099-11-27T03:00:00Z\"," C "}", 422, 602, "startsAt in body is required"},
    {"{" T "," C "}", 422, 602, "matchers in body is required"},
    {MATCHERS("[]"), 422, 612, "matchers in body should have at least 1 items"},
    {MATCHERS("\"x\""), 400, 400, NULL},
    {MATCHERS("[null]"), 422, 602, "matchers.0 in body is required"},
    {MATCHERS("[5]"), 400, 400, NULL},
    {MATCHERS("[{\"name\":\"a\",\"value\":\"b\"}]"), 422, 602,
     "matchers.0.isRegex in body is required"},
    {MATCHERS("[{\"name\":\"a\",\"isRegex\":true}]"), 422, 602,
     "matchers.0.value in body is required"},
    {MATCHERS("[{\"name\":\"a\",\"value\":\"b\",\"isRegex\":\"x\"}]"), 400, 400,
     "parsing silence body from \"\" failed, because matchers.0.isRegex: true or false was "
     "expected"},
    {MATCHERS("[{\"name\":1,\"value\":\"b\",\"isRegex\":true}]"), 400, 400, NULL},
    {"{" M ",\"startsAt\":\"x\",\"endsAt\":\"2099-11-27T03:00:00Z\"," C "}", 400, 400, NULL},
    {"{" M "," T "," C ",\"id\":7}", 400, 400, NULL},
    {"{" M "," T "," C, 400, 400, NULL},
    {RECURS("{\"cron\":\"0 22 * * fri\",\"duration\":\"2h\"}"), 0, 0, ""},
    {RECURS("null"), 0, 0, ""},
    {RECURS("[]"), 400, 400,
     "parsing silence body from \"\" failed, because recurrence: an object was expected"},
    {RECURS("{\"duration\":\"2h\"}"), 400, 400,
     "parsing silence body from \"\" failed, because recurrence: either cron or rrule was "
     "expected"},
    {RECURS("{\"cron\":\"x\",\"rrule\":\"x\",\"duration\":\"2h\"}"), 400, 400, NULL},
    {RECURS("{\"cron\":\"x\"}"), 400, 400, NULL},
    {RECURS("{\"cron\":\"x\",\"duration\":\"2y\"}"), 400, 400,
     "parsing silence body from \"\" failed, because recurrence.duration: at most 366 days"},
    {RECURS("{\"rrule\":\"x\",\"duration\":\"2h\",\"start\":\"soon\"}"), 400, 400, NULL},
};

static void bodies_are_taken_or_refused_as_by_alertmanager(void **state)
{
    for (size_t i = 0; i < ARRAY_COUNT(BODIES); i++) {
        struct arena arena;
        struct silence silence;
        struct alert_refusal why = {0};
        arena_init(&arena, MEM_OTHER, 0);
        bool ok = silence_json_read(&arena, view_from(BODIES[i].body), &silence, &why);
        if ((ok ? 0 : why.status) != BODIES[i].status || (ok ? 0 : why.code) != BODIES[i].code ||
            (!ok && BODIES[i].message && strcmp(why.err.message, BODIES[i].message) != 0))
            fail_msg("%s: %d %d %s", BODIES[i].body, why.status, why.code, why.err.message);
        arena_deinit(&arena);
    }
}

/* What is read is shown as Alertmanager shows it, byte for byte, and read again. */
static void a_silence_goes_out_as_it_came_in(void **state)
{
    static const char BODY[] =
        "{\"id\":\"x\",\"comment\":\"<c>\",\"createdBy\":\"me\",\"startsAt\":\"2026-11-27T04:00:00."
        "5+01:00\","
        "\"endsAt\":\"2099-11-27T03:00:00Z\",\"matchers\":[{\"name\":\"a\",\"value\":\"b\","
        "\"isRegex\":true,"
        "\"isEqual\":false},{\"name\":\"c "
        "d\",\"value\":\"\\\"\",\"isRegex\":false}],\"annotations\":{\"k\":\"\"}}";
    struct arena arena;
    struct silence silence;
    struct alert_refusal why = {0};
    struct buffer first, second;
    arena_init(&arena, MEM_OTHER, 0);
    buffer_init(&first, MEM_OTHER, 10000);
    buffer_init(&second, MEM_OTHER, 10000);
    assert_true(silence_json_read(&arena, view_from(BODY), &silence, &why));
    silence.updated_ns = 0;
    silence.state = SILENCE_ACTIVE;
    silence_json_write(&first, &silence);
    buffer_append_byte(&first, '\0');
    assert_string_equal(
        first.ptr,
        "{\"id\":\"x\",\"status\":{\"state\":\"active\"},\"updatedAt\":\"1970-01-01T00:00:00."
        "000Z\","
        "\"annotations\":{\"k\":\"\"},\"comment\":\"\\u003cc\\u003e\",\"createdBy\":\"me\","
        "\"endsAt\":\"2099-11-27T03:00:00.000Z\",\"matchers\":[{\"isEqual\":false,\"isRegex\":true,"
        "\"name\":\"a\","
        "\"value\":\"b\"},{\"isEqual\":true,\"isRegex\":false,\"name\":\"c "
        "d\",\"value\":\"\\\"\"}],"
        "\"startsAt\":\"2026-11-27T03:00:00.500Z\"}");
    assert_true(silence_json_read(&arena, view_from(first.ptr), &silence, &why));
    silence.updated_ns = 0;
    silence.state = SILENCE_ACTIVE;
    silence_json_write(&second, &silence);
    buffer_append_byte(&second, '\0');
    assert_string_equal(first.ptr, second.ptr);
    buffer_deinit(&first);
    buffer_deinit(&second);
    arena_deinit(&arena);
}

static void a_recurrence_is_shown_with_its_windows(void **state)
{
    static const char BODY[] =
        "{" M "," T "," C
        ",\"recurrence\":{\"rrule\":\"FREQ=MONTHLY;COUNT=2;BYMONTHDAY=1\",\"duration\":\"90m\","
        "\"timezone\":\"Europe/Paris\",\"start\":\"2026-12-01T08:00:00Z\"}}";
    struct arena arena;
    struct silence silence;
    struct alert_refusal why = {0};
    struct buffer out;
    arena_init(&arena, MEM_OTHER, 0);
    buffer_init(&out, MEM_OTHER, 10000);
    assert_true(silence_json_read(&arena, view_from(BODY), &silence, &why));
    silence.window = (struct silence_window){0, 5400000000000};
    silence_json_write_windows(&out, &silence, silence.starts_ns);
    buffer_append_byte(&out, '\0');
    const char *got = strstr(out.ptr, ",\"recurrence\"");
    assert_non_null(got);
    assert_string_equal(
        got,
        ",\"recurrence\":{\"rrule\":\"FREQ=MONTHLY;COUNT=2;BYMONTHDAY=1\",\"duration\":\"1h30m\","
        "\"timezone\":\"Europe/Paris\",\"start\":\"2026-12-01T08:00:00.000Z\","
        "\"window\":{\"endsAt\":\"1970-01-01T01:30:00.000Z\",\"startsAt\":\"1970-01-01T00:00:00."
        "000Z\"},"
        "\"windows\":[{\"endsAt\":\"2026-12-01T09:30:00.000Z\",\"startsAt\":\"2026-12-01T08:00:00."
        "000Z\"},"
        "{\"endsAt\":\"2027-01-01T09:30:00.000Z\",\"startsAt\":\"2027-01-01T08:00:00.000Z\"}]},"
        "\"startsAt\":\"2026-11-27T03:00:00.000Z\"}");
    buffer_reset(&out);
    silence_json_write(&out, &silence);
    buffer_append_byte(&out, '\0');
    assert_null(strstr(out.ptr, "windows"));
    assert_true(silence_json_read(&arena, view_from(out.ptr), &silence, &why));
    assert_int_equal(silence.recurrence.kind, RECURRENCE_RRULE);
    buffer_deinit(&out);
    arena_deinit(&arena);
}

static void silences_are_in_alertmanagers_order(void **state)
{
    struct silence items[] = {{.id = VIEW("1"), .state = SILENCE_EXPIRED, .ends_ns = 1},
                              {.id = VIEW("2"), .state = SILENCE_PENDING, .starts_ns = 9},
                              {.id = VIEW("3"), .state = SILENCE_EXPIRED, .ends_ns = 5},
                              {.id = VIEW("4"), .state = SILENCE_ACTIVE, .ends_ns = 30},
                              {.id = VIEW("5"), .state = SILENCE_PENDING, .starts_ns = 8},
                              {.id = VIEW("6"), .state = SILENCE_ACTIVE, .ends_ns = 20}};
    struct silence_list list = {items, ARRAY_COUNT(items)};
    silence_list_sort(&list);
    for (size_t i = 0; i < list.count; i++)
        assert_int_equal(items[i].id.ptr[0], "645231"[i]);
}

static void a_filter_wants_equal_matchers(void **state)
{
    static const struct {
        const char *filter;
        bool has;
    } CASES[] = {{"a=\"b\"", true},  {"a=~\"b\"", false},        {"a=\"c\"", false},
                 {"c!~\"d\"", true}, {"a=\"b\",c!~\"d\"", true}, {"a=\"b\",x=\"\"", false}};
    const struct matcher matchers[] = {{MATCH_EQUAL, VIEW_INIT("a"), VIEW_INIT("b"), NULL},
                                       {MATCH_NOT_REGEX, VIEW_INIT("c"), VIEW_INIT("d"), NULL}};
    const struct silence silence = {.matchers = matchers, .matcher_count = 2};
    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        struct arena arena;
        struct matchers wanted = {0};
        arena_init(&arena, MEM_OTHER, 0);
        assert_true(matchers_parse(&arena, view_from(CASES[i].filter), &wanted, NULL, NULL));
        assert_int_equal(silence_has_matchers(&silence, &wanted), CASES[i].has);
        matchers_deinit(&wanted);
        arena_deinit(&arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bodies_are_taken_or_refused_as_by_alertmanager),
        cmocka_unit_test(a_silence_goes_out_as_it_came_in),
        cmocka_unit_test(a_recurrence_is_shown_with_its_windows),
        cmocka_unit_test(silences_are_in_alertmanagers_order),
        cmocka_unit_test(a_filter_wants_equal_matchers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
