/* SPDX-License-Identifier: Apache-2.0 */
/* When windows come: crontab's fields, RFC 5545's own examples, and days on which the clocks change. */
#include "alerting/recurrence.h"

#include "base/timezone.h"
#include "template/time_value.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* "2024-03-31 01:30" UTC, or in a zone. */
static int64_t utc(const char *text)
{
    struct civil_time c = {0};
    int year, seconds = 0;
    if (sscanf(text, "%d-%d-%d %d:%d:%d", &year, &c.month, &c.day, &c.hour, &c.minute, &seconds) <
        5)
        fail_msg("%s", text);
    c.year = year;
    c.second = seconds;
    return civil_to_seconds(&c);
}

static int64_t local(const char *text, const char *zone)
{
    struct timezone_data *z;
    struct error err;
    if (!timezone_open(&z, view_from(zone), &err))
        fail_msg("%s", err.message);
    int64_t s = timezone_to_utc(z, utc(text));
    timezone_free(z);
    return s;
}

static const char *show(int64_t s)
{
    static char text[40];
    struct template_time t = {.seconds = s};
    struct civil_time c = civil_from_time(&t);
    (void)snprintf(text, sizeof text, "%04d-%02d-%02d %02d:%02d", (int)c.year, c.month, c.day,
                   c.hour, c.minute);
    return text;
}

static struct recurrence *make(const char *text, const char *zone, int64_t start, int64_t duration)
{
    struct recurrence_options o = {
        .kind = strchr(text, '=') ? RECURRENCE_RRULE : RECURRENCE_CRON,
        .text = view_from(text),
        .timezone = view_from(zone),
        .start_s = start,
        .duration_s = duration,
    };
    struct recurrence *r;
    struct error err;
    if (!recurrence_new(&r, &o, &err))
        fail_msg("%s: %s", text, err.message);
    return r;
}

/* The windows' beginnings in UTC between commas from `from` on, as many as are expected; "..." more follow, else there is an end. */
static void check(const char *text, const char *zone, int64_t start, int64_t from,
                  const char *expected)
{
    struct recurrence *r = make(text, zone, start, 1);
    struct recurrence_window w;
    char got[2000] = "";
    size_t wanted = 1;
    bool has_more = strstr(expected, "...") != NULL, is;
    for (const char *p = expected; *p; p++)
        wanted += *p == ',';
    for (size_t i = 0;
         (is = recurrence_window_at(r, from, &w)) && i < wanted - has_more + !has_more; i++) {
        size_t len = strlen(got);
        (void)snprintf(got + len, sizeof got - len, "%s%s", i ? ", " : "", show(w.begin_s));
        assert_int_equal(w.end_s, w.begin_s + 1);
        from = w.end_s;
    }
    if (has_more && is)
        (void)snprintf(got + strlen(got), sizeof got - strlen(got), ", ...");
    if (strcmp(got, expected) != 0)
        fail_msg("%s in %s:\n got      %s\n expected %s", text, zone, got, expected);
    recurrence_free(r);
}

static void cron_comes_when_crontab_says(void **state)
{
    (void)state;
    static const struct {
        const char *cron, *zone, *from, *expected;
    } CASES[] = {
        {"* * * * *", "UTC", "2024-01-31 23:58:30", "2024-01-31 23:59, 2024-02-01 00:00, ..."},
        {"30 9 * * *", "UTC", "2024-01-01 09:30", "2024-01-01 09:30, 2024-01-02 09:30, ..."},
        {"*/20 8-9 * * *", "UTC", "2024-01-01 08:15",
         "2024-01-01 08:20, 2024-01-01 08:40, 2024-01-01 09:00, 2024-01-01 09:20, 2024-01-01 "
         "09:40, "
         "2024-01-02 08:00, ..."},
        {"5/20 0 * * *", "UTC", "2024-01-01 00:00",
         "2024-01-01 00:05, 2024-01-01 00:25, 2024-01-01 00:45, 2024-01-02 00:05, ..."},
        {"0 22 * * mon-fri", "UTC", "2024-01-05 00:00", "2024-01-05 22:00, 2024-01-08 22:00, ..."},
        {"0 0 * * 7", "UTC", "2024-01-01 00:00", "2024-01-07 00:00, 2024-01-14 00:00, ..."},
        {"0 0 * * 5-7", "UTC", "2024-01-01 00:00",
         "2024-01-05 00:00, 2024-01-06 00:00, 2024-01-07 00:00, 2024-01-12 00:00, ..."},
        {"0 0 1,15 jan,JUL *", "UTC", "2024-01-10 00:00",
         "2024-01-15 00:00, 2024-07-01 00:00, 2024-07-15 00:00, 2025-01-01 00:00, ..."},
        /* Both days are given: either. One begins with *: both. */
        {"0 0 13 * fri", "UTC", "2024-09-10 00:00",
         "2024-09-13 00:00, 2024-09-20 00:00, 2024-09-27 00:00, 2024-10-04 00:00, ..."},
        {"0 0 */2 * fri", "UTC", "2024-09-01 00:00",
         "2024-09-13 00:00, 2024-09-27 00:00, 2024-10-11 00:00, ..."},
        {"0 12 29 2 *", "UTC", "2024-03-01 00:00", "2028-02-29 12:00, 2032-02-29 12:00, ..."},
        {"0 0 29 feb *", "UTC", "2096-03-01 00:00", "2104-02-29 00:00, ..."},
        {"  0\t3  * * *  ", "UTC", "2024-01-01 00:00", "2024-01-01 03:00, ..."},
        {"0 1 * * *", "Asia/Kolkata", "2024-01-01 00:00", "2024-01-01 19:30, ..."},
        /* Paris, 31 March 2024: 02:00 becomes 03:00. What is left out comes an hour later by the clock. */
        {"30 2 * * *", "Europe/Paris", "2024-03-30 00:00",
         "2024-03-30 01:30, 2024-03-31 01:30, 2024-04-01 00:30, ..."},
        {"0 9 * * *", "Europe/Paris", "2024-03-30 00:00",
         "2024-03-30 08:00, 2024-03-31 07:00, 2024-04-01 07:00, ..."},
        /* 27 October 2024: 03:00 becomes 02:00. A fixed hour comes once, */
        {"30 2 * * *", "Europe/Paris", "2024-10-26 00:00",
         "2024-10-26 00:30, 2024-10-27 00:30, 2024-10-28 01:30, ..."},
        /* every hour each time it passes. */
        {"30 * * * *", "Europe/Paris", "2024-10-26 23:00",
         "2024-10-26 23:30, 2024-10-27 00:30, 2024-10-27 01:30, 2024-10-27 02:30, ..."},
        {"30 * * * *", "Europe/Paris", "2024-03-31 00:00",
         "2024-03-31 00:30, 2024-03-31 01:30, 2024-03-31 02:30, ..."},
        {"15 */2 * * *", "Europe/Paris", "2024-10-27 00:00", /* 02:15 is there twice */
         "2024-10-27 00:15, 2024-10-27 01:15, 2024-10-27 03:15, ..."},
        {"0 * * * *", "Australia/Lord_Howe", "2024-10-05 14:30", /* half an hour forward: no 2:00 */
         "2024-10-05 14:30, 2024-10-05 16:00, 2024-10-05 17:00, ..."},
        {"0 0 * * *", "America/Sao_Paulo", "2018-11-03 00:00", /* midnight of the 4th is left out */
         "2018-11-03 03:00, 2018-11-04 03:00, 2018-11-05 02:00, ..."},
        {"59 23 * * *", "America/New_York", "2024-11-02 00:00",
         "2024-11-02 03:59, 2024-11-03 03:59, 2024-11-04 04:59, ..."},
    };
    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++)
        check(CASES[i].cron, CASES[i].zone, 0, utc(CASES[i].from), CASES[i].expected);
}

/* Starts and expectations are of RFC 5545, section 3.8.5.3, in New York's winter and summer, shown in UTC. */
static void rules_come_when_rfc_5545_says(void **state)
{
    (void)state;
#define NEW_YORK "America/New_York"
    static const struct {
        const char *rule, *zone, *start, *from, *expected; /* from NULL: the start */
    } CASES[] = {
        {"FREQ=DAILY;COUNT=3", NEW_YORK, "1997-09-02 09:00", NULL,
         "1997-09-02 13:00, 1997-09-03 13:00, 1997-09-04 13:00"},
        {"RRULE:FREQ=DAILY;UNTIL=19970905T000000Z", NEW_YORK, "1997-09-02 09:00", NULL,
         "1997-09-02 13:00, 1997-09-03 13:00, 1997-09-04 13:00"},
        {"FREQ=DAILY;UNTIL=19970904", NEW_YORK, "1997-09-02 09:00", NULL,
         "1997-09-02 13:00, 1997-09-03 13:00, 1997-09-04 13:00"},
        {"FREQ=DAILY;UNTIL=19970903T090000", NEW_YORK, "1997-09-02 09:00", NULL,
         "1997-09-02 13:00, 1997-09-03 13:00"},
        {"FREQ=DAILY;INTERVAL=2", NEW_YORK, "1997-09-02 09:00", "1997-10-25 09:00",
         "1997-10-26 14:00, 1997-10-28 14:00, ..."}, /* EST begins on the 26th */
        {"FREQ=DAILY;INTERVAL=10;COUNT=5", NEW_YORK, "1997-09-02 09:00", NULL,
         "1997-09-02 13:00, 1997-09-12 13:00, 1997-09-22 13:00, 1997-10-02 13:00, 1997-10-12 "
         "13:00"},
        {"FREQ=DAILY;BYMONTH=1", NEW_YORK, "1998-01-01 09:00", "1998-01-31 09:00",
         "1998-01-31 14:00, 1999-01-01 14:00, ..."},
        {"FREQ=WEEKLY;COUNT=3", NEW_YORK, "1997-10-14 09:00", NULL,
         "1997-10-14 13:00, 1997-10-21 13:00, 1997-10-28 14:00"},
        {"FREQ=WEEKLY;INTERVAL=2;WKST=SU", NEW_YORK, "1997-09-02 09:00", "1997-09-03 00:00",
         "1997-09-16 13:00, 1997-09-30 13:00, 1997-10-14 13:00, 1997-10-28 14:00, ..."},
        {"FREQ=WEEKLY;COUNT=10;WKST=SU;BYDAY=TU,TH", NEW_YORK, "1997-09-02 09:00",
         "1997-09-25 00:00", "1997-09-25 13:00, 1997-09-30 13:00, 1997-10-02 13:00"},
        {"FREQ=WEEKLY;INTERVAL=2;UNTIL=19971224T000000Z;WKST=SU;BYDAY=MO,WE,FR", NEW_YORK,
         "1997-09-01 09:00", "1997-12-01 00:00",
         "1997-12-08 14:00, 1997-12-10 14:00, 1997-12-12 14:00, 1997-12-22 14:00"},
        {"FREQ=WEEKLY;INTERVAL=2;COUNT=4;BYDAY=TU,SU;WKST=MO", NEW_YORK, "1997-08-05 09:00", NULL,
         "1997-08-05 13:00, 1997-08-10 13:00, 1997-08-19 13:00, 1997-08-24 13:00"},
        {"FREQ=WEEKLY;INTERVAL=2;COUNT=4;BYDAY=TU,SU;WKST=SU", NEW_YORK, "1997-08-05 09:00", NULL,
         "1997-08-05 13:00, 1997-08-17 13:00, 1997-08-19 13:00, 1997-08-31 13:00"},
        {"FREQ=MONTHLY;COUNT=3;BYDAY=1FR", NEW_YORK, "1997-09-05 09:00", NULL,
         "1997-09-05 13:00, 1997-10-03 13:00, 1997-11-07 14:00"},
        {"FREQ=MONTHLY;INTERVAL=2;COUNT=4;BYDAY=1SU,-1SU", NEW_YORK, "1997-09-07 09:00", NULL,
         "1997-09-07 13:00, 1997-09-28 13:00, 1997-11-02 14:00, 1997-11-30 14:00"},
        {"FREQ=MONTHLY;COUNT=3;BYDAY=-2MO", NEW_YORK, "1997-09-22 09:00", NULL,
         "1997-09-22 13:00, 1997-10-20 13:00, 1997-11-17 14:00"},
        {"FREQ=MONTHLY;BYMONTHDAY=-3", NEW_YORK, "1997-09-28 09:00", NULL,
         "1997-09-28 13:00, 1997-10-29 14:00, 1997-11-28 14:00, 1997-12-29 14:00, ..."},
        {"FREQ=MONTHLY;COUNT=3;BYMONTHDAY=1,-1", NEW_YORK, "1997-09-30 09:00", NULL,
         "1997-09-30 13:00, 1997-10-01 13:00, 1997-10-31 14:00"},
        {"FREQ=MONTHLY;INTERVAL=18;COUNT=4;BYMONTHDAY=10,15", NEW_YORK, "1997-09-10 09:00", NULL,
         "1997-09-10 13:00, 1997-09-15 13:00, 1999-03-10 14:00, 1999-03-15 14:00"},
        {"FREQ=MONTHLY;COUNT=3", "UTC", "2024-01-31 09:00",
         NULL, /* only months that have the day */
         "2024-01-31 09:00, 2024-03-31 09:00, 2024-05-31 09:00"},
        {"FREQ=YEARLY;COUNT=4;BYMONTH=6,7", NEW_YORK, "1997-06-10 09:00", NULL,
         "1997-06-10 13:00, 1997-07-10 13:00, 1998-06-10 13:00, 1998-07-10 13:00"},
        {"FREQ=YEARLY;INTERVAL=2;COUNT=4;BYMONTH=1,2,3", NEW_YORK, "1997-03-10 09:00", NULL,
         "1997-03-10 14:00, 1999-01-10 14:00, 1999-02-10 14:00, 1999-03-10 14:00"},
        {"FREQ=YEARLY;BYDAY=20MO", NEW_YORK, "1997-05-19 09:00", NULL,
         "1997-05-19 13:00, 1998-05-18 13:00, 1999-05-17 13:00, ..."},
        {"FREQ=YEARLY;BYMONTH=3;BYDAY=TH", NEW_YORK, "1997-03-13 09:00", NULL,
         "1997-03-13 14:00, 1997-03-20 14:00, 1997-03-27 14:00, 1998-03-05 14:00, ..."},
        {"FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29", "UTC", "2023-01-01 00:00", NULL,
         "2024-02-29 00:00, 2028-02-29 00:00, ..."},
        {"FREQ=YEARLY;COUNT=2", "UTC", "2024-02-29 06:00", NULL,
         "2024-02-29 06:00, 2028-02-29 06:00"},
        {"FREQ=MONTHLY;BYDAY=FR;BYMONTHDAY=13", NEW_YORK, "1997-09-02 09:00", NULL,
         "1998-02-13 14:00, 1998-03-13 14:00, 1998-11-13 14:00, 1999-08-13 13:00, ..."},
        {"FREQ=YEARLY;INTERVAL=4;BYMONTH=11;BYDAY=TU;BYMONTHDAY=2,3,4,5,6,7,8", NEW_YORK,
         "1996-11-05 09:00", NULL, "1996-11-05 14:00, 2000-11-07 14:00, 2004-11-02 14:00, ..."},
        {"FREQ=MONTHLY;COUNT=3;BYDAY=TU,WE,TH;BYSETPOS=3", NEW_YORK, "1997-09-04 09:00", NULL,
         "1997-09-04 13:00, 1997-10-07 13:00, 1997-11-06 14:00"},
        {"FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-2", NEW_YORK, "1997-09-29 09:00", NULL,
         "1997-09-29 13:00, 1997-10-30 14:00, 1997-11-27 14:00, 1997-12-30 14:00, ..."},
        {"FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYHOUR=8,18;BYMINUTE=0;BYSETPOS=-1,1", "UTC",
         "2024-03-01 00:00", NULL,
         "2024-03-01 08:00, 2024-03-29 18:00, 2024-04-01 08:00, 2024-04-30 18:00, ..."},
        {"FREQ=DAILY;BYHOUR=9,10;BYMINUTE=0,30", NEW_YORK, "1997-09-02 09:00", "1997-09-02 10:00",
         "1997-09-02 14:00, 1997-09-02 14:30, 1997-09-03 13:00, ..."},
        {"freq=daily;byhour=9;", "UTC", "2024-01-01 10:15", NULL,
         "2024-01-02 09:15, 2024-01-03 09:15, ..."},
        {"FREQ=WEEKLY;BYDAY=SA,SU;BYHOUR=2;BYMINUTE=30", "Europe/Paris", "2024-03-30 00:00", NULL,
         "2024-03-30 01:30, 2024-03-31 01:30, 2024-04-06 00:30, ..."}, /* 02:30 is left out */
        {"FREQ=WEEKLY;BYDAY=SU;BYHOUR=2;BYMINUTE=30", "Europe/Paris", "2024-10-26 00:00", NULL,
         "2024-10-27 00:30, 2024-11-03 01:30, ..."}, /* 02:30 is there twice */
        {"FREQ=DAILY;COUNT=10000", "UTC", "2000-01-01 09:00", "2027-05-17 00:00",
         "2027-05-17 09:00, 2027-05-18 09:00"},
        {"FREQ=DAILY;COUNT=100", "UTC", "2000-01-01 09:00", "2024-01-01 00:00", ""},
        {"FREQ=MONTHLY;COUNT=7;BYDAY=MO,TU,WE,TH,FR;BYHOUR=8,18;BYMINUTE=0;BYSETPOS=-1,1", "UTC",
         "2024-03-01 00:00", "2024-05-01 09:00", "2024-05-31 18:00, 2024-06-03 08:00"},
        /* Of a day with a clock change the times do not ascend: 02:30 is 03:30, and then comes 03:00. */
        {"FREQ=DAILY;COUNT=4;BYHOUR=1,2,3;BYMINUTE=0,30", NEW_YORK, "2024-03-10 01:00", NULL,
         "2024-03-10 06:00, 2024-03-10 06:30, 2024-03-10 07:00, 2024-03-10 07:30"},
        {"FREQ=DAILY;COUNT=7;BYHOUR=1,2,3;BYMINUTE=0,30", NEW_YORK, "2024-03-10 01:00", NULL,
         "2024-03-10 06:00, 2024-03-10 06:30, 2024-03-10 07:00, 2024-03-10 07:30, 2024-03-11 "
         "05:00"},
        {"FREQ=YEARLY;COUNT=10000", "UTC", "2024-06-01 00:00", "2260-01-01 00:00",
         "2260-06-01 00:00"},
        {"FREQ=DAILY;INTERVAL=1000", "UTC", "2024-01-01 00:00", "2259-06-01 00:00",
         "2259-06-18 00:00"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        int64_t start = local(CASES[i].start, CASES[i].zone);
        check(CASES[i].rule, CASES[i].zone, start,
              CASES[i].from ? local(CASES[i].from, CASES[i].zone) : start - 86400,
              CASES[i].expected);
    }
}

static void what_cannot_be_understood_is_said(void **state)
{
    (void)state;
    static const struct {
        const char *text, *zone;
        int64_t duration;
        const char *error;
    } CASES[] = {
        {"", "UTC", 60, "cron: 0 fields, expected 5"},
        {"* * * *", "UTC", 60, "cron: 4 fields, expected 5"},
        {"* * * * * *", "UTC", 60, "cron: 6 fields, expected 5"},
        {"60 * * * *", "UTC", 60, "cron: minute \"60\" is none: expected *, a number from 0 to 59"},
        {"* 24 * * *", "UTC", 60, "cron: hour \"24\" is none"},
        {"* * 0 * *", "UTC", 60, "cron: day of the month \"0\" is none"},
        {"* * * 13 *", "UTC", 60,
         "cron: month \"13\" is none: expected *, a number from 1 to 12 or a name"},
        {"* * * * 8", "UTC", 60, "cron: day of the week \"8\" is none"},
        {"* * * * fri-mon", "UTC", 60, "cron: day of the week \"fri-mon\" ends before it begins"},
        {"*/0 * * * *", "UTC", 60, "cron: minute \"*/0\" is none"},
        {"1,,2 * * * *", "UTC", 60, "cron: minute \"\" is none"},
        {"1- * * * *", "UTC", 60, "cron: minute \"1-\" is none"},
        {"99999999999 * * * *", "UTC", 60, "cron: minute \"99999999999\" is none"},
        {"0 0 L * *", "UTC", 60, "cron: day of the month \"L\" is none"},
        {"0 0 30 2 *", "UTC", 60, "cron: \"0 0 30 2 *\" never comes"},
        {"0 0 31 2,4,6 *", "UTC", 60, "cron: \"0 0 31 2,4,6 *\" never comes"},
        {"0 0 * * *", "Mars/Olympus", 60, "unknown time zone Mars/Olympus"},
        {"0 0 * * *", "UTC", 0, "what recurs needs a duration"},
        {"0 0 * * *", "UTC", RECURRENCE_DURATION_MAX_S + 1, "what recurs needs a duration"},
        {"FREQ=YEARLY;COUNT=3;BYMONTH=2;BYMONTHDAY=30", "UTC", 60,
         "RRULE: \"FREQ=YEARLY;COUNT=3;BYMONTH=2;BYMONTHDAY=30\" never comes"},
        {"COUNT=3", "UTC", 60, "RRULE: FREQ is missing"},
        {"FREQ=HOURLY", "UTC", 60, "RRULE: FREQ=HOURLY: expected DAILY, WEEKLY, MONTHLY or YEARLY"},
        {"FREQ=DAILY;FREQ=DAILY", "UTC", 60, "RRULE: FREQ is there twice"},
        {"FREQ=DAILY;COUNT=3;UNTIL=20240101", "UTC", 60,
         "RRULE: COUNT and UNTIL exclude each other"},
        {"FREQ=DAILY;INTERVAL=0", "UTC", 60, "RRULE: INTERVAL=0: expected a number"},
        {"FREQ=DAILY;INTERVAL=", "UTC", 60, "RRULE: INTERVAL=: expected a value"},
        {"FREQ=DAILY;COUNT=10001", "UTC", 60,
         "RRULE: COUNT=10001: expected a number from 1 to 10000"},
        {"FREQ=DAILY;BYWEEKNO=3", "UTC", 60, "RRULE: \"BYWEEKNO=3\" is not supported"},
        {"FREQ=DAILY;;COUNT=3", "UTC", 60, "RRULE: \"\" is not supported"},
        {"FREQ=DAILY;BYDAY=1MO", "UTC", 60, "RRULE: a number before a weekday needs"},
        {"FREQ=MONTHLY;BYDAY=0MO", "UTC", 60, "RRULE: BYDAY=0MO: expected weekdays"},
        {"FREQ=MONTHLY;BYDAY=XX", "UTC", 60, "RRULE: BYDAY=XX: expected weekdays"},
        {"FREQ=WEEKLY;BYMONTHDAY=1", "UTC", 60, "RRULE: BYMONTHDAY cannot be with FREQ=WEEKLY"},
        {"FREQ=MONTHLY;BYMONTHDAY=32", "UTC", 60, "RRULE: BYMONTHDAY=32: expected"},
        {"FREQ=MONTHLY;BYMONTH=0", "UTC", 60, "RRULE: BYMONTH=0: expected numbers from 1 to 12"},
        {"FREQ=MONTHLY;BYSETPOS=1", "UTC", 60, "RRULE: BYSETPOS needs another BY part"},
        {"FREQ=DAILY;UNTIL=20240230", "UTC", 60, "RRULE: UNTIL=20240230: expected"},
        {"FREQ=DAILY;UNTIL=20240101T2460", "UTC", 60, "RRULE: UNTIL=20240101T2460: expected"},
        {"FREQ=DAILY;UNTIL=19690101", "UTC", 60,
         "RRULE: \"FREQ=DAILY;UNTIL=19690101\" never comes"},
        {"FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30", "UTC", 60,
         "RRULE: \"FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30\" never comes"},
        {"FREQ=MONTHLY;BYMONTH=4;BYMONTHDAY=31;INTERVAL=12", "UTC", 60,
         "RRULE: \"FREQ=MONTHLY;BYMONTH=4;BYMONTHDAY=31;INTERVAL=12\" never comes"},
        {"FREQ=DAILY;BYHOUR=24", "UTC", 60, "RRULE: BYHOUR=24: expected numbers from 0 to 23"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        struct recurrence_options o = {
            .kind = strchr(CASES[i].text, '=') ? RECURRENCE_RRULE : RECURRENCE_CRON,
            .text = view_from(CASES[i].text),
            .timezone = view_from(CASES[i].zone),
            .duration_s = CASES[i].duration,
        };
        struct recurrence *r;
        struct error err;
        assert_false(recurrence_new(&r, &o, &err));
        assert_null(r);
        if (!view_has_prefix(view_from(err.message), view_from(CASES[i].error)))
            fail_msg("%s:\n got      %s\n expected %s", CASES[i].text, err.message, CASES[i].error);
    }
}

static void a_window_lasts_as_long_as_it_is_said_to(void **state)
{
    (void)state;
    struct recurrence *r = make("0 1 * * *", "Europe/Paris", 0, 4 * 3600);
    struct recurrence_window w;
    /* The clocks go forward in it: it is four hours all the same, 00:00 to 04:00 UTC. */
    static const struct {
        const char *now, *begin, *end;
    } CASES[] = {
        {"2024-03-30 23:59", "2024-03-31 00:00", "2024-03-31 04:00"},
        {"2024-03-31 00:00", "2024-03-31 00:00", "2024-03-31 04:00"},
        {"2024-03-31 03:59", "2024-03-31 00:00", "2024-03-31 04:00"},
        {"2024-03-31 04:00", "2024-03-31 23:00", "2024-04-01 03:00"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        assert_true(recurrence_window_at(r, utc(CASES[i].now), &w));
        assert_string_equal(show(w.begin_s), CASES[i].begin);
        assert_string_equal(show(w.end_s), CASES[i].end);
    }
    recurrence_free(r);
}

/* Whatever is asked, answers ascend and have the right local time; a long walk through all zones' changes. */
static void cron_ascends_and_names_its_local_time(void **state)
{
    (void)state;
    static const char *const ZONES[] = {"Europe/London", "America/St_Johns", "Pacific/Apia",
                                        "Africa/Casablanca", "Asia/Tehran"};
    for (size_t z = 0; z < ARRAY_COUNT(ZONES); z++) {
        struct recurrence *r = make("10,40 */3 * * *", ZONES[z], 0, 1);
        struct timezone_data *zone;
        struct error err;
        assert_true(timezone_open(&zone, view_from(ZONES[z]), &err));
        int64_t t = utc("2010-12-25 00:00");
        for (int i = 0; i < 20000; i++) {
            struct recurrence_window w;
            struct timezone_at at;
            assert_true(recurrence_window_at(r, t, &w));
            assert_true(w.begin_s >= t && w.begin_s - t <= 5 * 3600);
            timezone_find(zone, w.begin_s, &at);
            int64_t minute = ((w.begin_s + at.offset_seconds) % 86400) / 60;
            assert_true((minute % 60 == 10 || minute % 60 == 40) && minute / 60 % 3 == 0);
            t = w.begin_s + 1;
        }
        timezone_free(zone);
        recurrence_free(r);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cron_comes_when_crontab_says),
        cmocka_unit_test(rules_come_when_rfc_5545_says),
        cmocka_unit_test(what_cannot_be_understood_is_said),
        cmocka_unit_test(a_window_lasts_as_long_as_it_is_said_to),
        cmocka_unit_test(cron_ascends_and_names_its_local_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
