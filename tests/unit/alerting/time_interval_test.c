/* SPDX-License-Identifier: Apache-2.0 */
/* time_interval_test.c: which moments lie in an interval, and which intervals are refused. */
#include "alerting/time_interval.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <time.h>

#include <cmocka.h>

static int64_t at(const char *text)
{
    struct tm tm = {0};
    assert_non_null(strptime(text, "%Y-%m-%d %H:%M", &tm));
    return timegm(&tm);
}

static const struct {
    const char *interval, *moment; /* UTC */
    bool contains;
} CASES[] = {
    {"{}", "2026-11-27 00:00", true},
    {"{times: [{start_time: '09:00', end_time: '17:00'}]}", "2026-11-27 09:00", true},
    {"{times: [{start_time: '09:00', end_time: '17:00'}]}", "2026-11-27 16:59", true},
    {"{times: [{start_time: '09:00', end_time: '17:00'}]}", "2026-11-27 17:00", false},
    {"{times: [{start_time: '00:00', end_time: '24:00'}]}", "2026-11-27 23:59", true},
    /* 27 November 2026 is a Friday */
    {"{weekdays: ['monday:friday']}", "2026-11-27 12:00", true},
    {"{weekdays: ['monday:friday']}", "2026-11-28 12:00", false},
    {"{weekdays: [Saturday, SUNDAY]}", "2026-11-29 12:00", true},
    {"{days_of_month: ['1:5', '-3:-1']}", "2026-11-27 12:00", false},
    {"{days_of_month: ['1:5', '-3:-1']}", "2026-11-28 12:00", true},
    {"{days_of_month: ['-1']}", "2024-02-29 12:00", true},
    {"{days_of_month: ['-1']}", "2025-02-28 12:00", true},
    {"{days_of_month: ['-1']}", "2100-02-28 12:00", true},
    {"{days_of_month: ['28:31']}", "2025-02-28 12:00", true},
    {"{days_of_month: ['30:31']}", "2025-02-28 12:00", false},
    {"{days_of_month: ['-31']}", "2026-11-01 12:00", false},
    {"{days_of_month: ['5:-10']}", "2026-11-21 12:00", true},
    {"{days_of_month: ['5:-10']}", "2026-11-22 12:00", false},
    {"{months: ['1:3', 'may:august', december]}", "2026-11-27 12:00", false},
    {"{months: ['1:3', 'may:august', december]}", "2026-07-01 12:00", true},
    {"{years: ['2020:2022', 2030]}", "2022-12-31 23:59", true},
    {"{years: ['2020:2022', 2030]}", "2023-01-01 00:00", false},
    {"{years: [2026], months: [november], weekdays: [friday]}", "2026-11-27 12:00", true},
    {"{years: [2026], months: [november], weekdays: [monday]}", "2026-11-27 12:00", false},
    /* 00:30 in Berlin is the day before in UTC; one hour ahead in winter, two in summer */
    {"{weekdays: [saturday], location: Europe/Berlin}", "2026-11-27 23:30", true},
    {"{times: [{start_time: '09:00', end_time: '10:00'}], location: Europe/Berlin}",
     "2026-11-27 08:30", true},
    {"{times: [{start_time: '09:00', end_time: '10:00'}], location: Europe/Berlin}",
     "2026-07-01 08:30", false},
    {"{times: [{start_time: '09:00', end_time: '10:00'}], location: Europe/Berlin}",
     "2026-07-01 07:30", true},
    {"{months: ['11:13'], years: ['-1:3000000']}", "2026-11-27 12:00", true},
    {"{months: [13]}", "2026-11-27 12:00", false},
    {"{location: UTC}", "2026-11-27 12:00", true},
};

static bool read(struct arena *arena, const char *text, struct time_interval *t, struct error *err)
{
    const struct yaml_node *root;
    assert_true(yaml_parse(arena, view_from(text), &root, err));
    return time_interval_read(arena, root, t, err);
}

static void moments_are_in_their_intervals(void **state)
{
    for (size_t i = 0; i < sizeof(CASES) / sizeof(*CASES); i++) {
        struct arena arena;
        struct time_interval t;
        struct error err = {0};
        arena_init(&arena, MEM_OTHER, 0);
        if (!read(&arena, CASES[i].interval, &t, &err))
            fail_msg("%s: %s", CASES[i].interval, err.message);
        if (time_interval_contains(&t, at(CASES[i].moment)) != CASES[i].contains)
            fail_msg("%s at %s", CASES[i].interval, CASES[i].moment);
        time_interval_deinit(&t);
        arena_deinit(&arena);
    }
}

static const struct {
    const char *interval;
    unsigned line, column;
    const char *error;
} REFUSED[] = {
    {"[]", 1, 1, "a time interval was expected, not a list"},
    {"{weekday: []}", 1, 2,
     "field \"weekday\" is not known in a time interval; did you mean \"weekdays\"?"},
    {"{weekdays: [1]}", 1, 13, "\"1\" is not a valid weekday"},
    {"{weekdays: ['friday:monday']}", 1, 13, "end day is before start day"},
    {"{days_of_month: ['0']}", 1, 18, "\"0\" is not a valid day of the month: out of range"},
    {"{days_of_month: ['1:32']}", 1, 18, "\"32\" is not a valid day of the month: out of range"},
    {"{days_of_month: ['-5:5']}", 1, 18, "end day must be negative if start day is negative"},
    {"{days_of_month: ['10:5']}", 1, 18, "end day 5 is always before start day 10"},
    {"{days_of_month: ['5:-31']}", 1, 18, "end day -31 is always before start day 5"},
    {"{months: [brumaire]}", 1, 11, "\"brumaire\" is not a valid month"},
    {"{months: ['may:april']}", 1, 11, "end month is before start month"},
    {"{years: ['2022:2020']}", 1, 10, "end year is before start year"},
    {"{times: [{start_time: '9:00', end_time: '10:00'}]}", 1, 23,
     "couldn't parse timestamp \"9:00\", expected HH:MM up to 24:00"},
    {"{times: [{start_time: '09:00', end_time: '24:01'}]}", 1, 42,
     "couldn't parse timestamp \"24:01\", expected HH:MM up to 24:00"},
    {"{times: [{start_time: '09:00'}]}", 1, 10, "both start and end times must be provided"},
    {"{times: [{start_time: '09:00', end_time: '09:00'}]}", 1, 10,
     "start time cannot be equal or greater than end time"},
    {"{location: Mars/Base}", 1, 12, "unknown time zone Mars/Base"},
};

static void refusals_say_where(void **state)
{
    for (size_t i = 0; i < sizeof(REFUSED) / sizeof(*REFUSED); i++) {
        struct arena arena;
        struct time_interval t;
        struct error err = {0};
        arena_init(&arena, MEM_OTHER, 0);
        assert_false(read(&arena, REFUSED[i].interval, &t, &err));
        assert_string_equal(err.message, REFUSED[i].error);
        if (err.line != REFUSED[i].line || err.column != REFUSED[i].column)
            fail_msg("%s: at %u:%u", REFUSED[i].interval, err.line, err.column);
        time_interval_deinit(&t);
        arena_deinit(&arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(moments_are_in_their_intervals),
        cmocka_unit_test(refusals_say_where),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
