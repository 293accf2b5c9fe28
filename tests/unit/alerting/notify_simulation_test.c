/* SPDX-License-Identifier: Apache-2.0 */
/* notify_simulation_test.c: how many notifications Alertmanager would make of alerts, case by case. Times are minutes. */
#include "alerting/notify_simulation.h"

#include "base/buffer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define MINUTE_MS INT64_C(60000)
#define NEVER 1000000

struct life {
    const char *name, *severity;
    int starts, ends; /* minutes; 0, 0 ends the list */
};

static const struct {
    const char *claim, *route, *inhibit;
    struct life alerts[6];
    int until;
    const char *
        result; /* "notifications/repeats/resolved" of the webhook, then of the pager, which sends no resolved */
} CASES[] = {
    {"one that fires and is resolved", "", "", {{"a", "x", 10, 30}}, 600, "2/0/1 1/0/0"},
    {"over before the group waited: nothing is told, as in Alertmanager",
     "group_wait: 5m",
     "",
     {{"a", "x", 10, 12}},
     600,
     "0/0/0 0/0/0"},
    {"still firing: told again each repeat_interval",
     "repeat_interval: 2h",
     "",
     {{"a", "x", 10, NEVER}},
     10 + 6 * 60 + 30,
     "4/3/0 4/3/0"},
    {"two of one group within group_wait are one notification",
     "group_wait: 5m",
     "",
     {{"a", "x", 10, NEVER}, {"a", "y", 12, NEVER}},
     100,
     "1/0/0 1/0/0"},
    {"a second one of the group waits for group_interval",
     "group_interval: 10m",
     "",
     {{"a", "x", 10, NEVER}, {"a", "y", 12, NEVER}},
     100,
     "2/0/0 2/0/0"},
    {"groups of their own",
     "group_by: [severity]",
     "",
     {{"a", "x", 10, NEVER}, {"a", "y", 10, NEVER}},
     100,
     "2/0/0 2/0/0"},
    {"everything is a group: group_by ...",
     "group_by: ['...']",
     "",
     {{"a", "x", 10, NEVER}, {"a", "y", 10, NEVER}},
     100,
     "2/0/0 2/0/0"},
    {"one of two resolved is told where resolved ones are sent",
     "group_interval: 5m",
     "",
     {{"a", "x", 10, 40}, {"a", "y", 10, NEVER}},
     100,
     "2/0/0 1/0/0"},
    {"flaps within group_interval are not told",
     "group_interval: 30m, repeat_interval: 24h",
     "",
     {{"a", "x", 10, 12}, {"a", "x", 13, 15}, {"a", "x", 16, 18}, {"a", "x", 19, 200}},
     100,
     "1/0/0 1/0/0"},
    {"fires again after it was told as resolved",
     "",
     "",
     {{"a", "x", 10, 20}, {"a", "x", 60, 70}},
     600,
     "4/0/2 2/0/0"},
    {"inhibited while the source fires",
     "group_by: [severity]",
     "- {source_matchers: [severity=x], target_matchers: [severity=y], equal: [alertname]}",
     {{"a", "x", 10, 60}, {"a", "y", 15, 90}},
     600,
     "4/0/2 2/0/0"},
    {"inhibited all its life",
     "group_by: [severity]",
     "- {source_matchers: [severity=x], target_matchers: [severity=y], equal: [alertname]}",
     {{"a", "x", 10, 60}, {"a", "y", 15, 50}},
     600,
     "2/0/1 1/0/0"},
    {"what is equal must be",
     "group_by: [severity]",
     "- {source_matchers: [severity=x], target_matchers: [severity=y], equal: [alertname]}",
     {{"a", "x", 10, 60}, {"b", "y", 15, 50}},
     600,
     "4/0/2 2/0/0"},
    {"muted at night",
     "mute_time_intervals: [early]",
     "",
     {{"a", "x", 10, 100}},
     600,
     "0/0/0 0/0/0"},
    {"told when the night is over",
     "mute_time_intervals: [early]",
     "",
     {{"a", "x", 100, 200}},
     600,
     "2/0/1 1/0/0"},
    {"no alerts", "", "", {{NULL, NULL, 0, 0}}, 600, "0/0/0 0/0/0"},
};

static struct alert_config *config_of(const char *route, const char *inhibit)
{
    char text[4096];
    struct error err = {0};
    struct alert_config *config;
    snprintf(text, sizeof text,
             "route:\n  receiver: none\n  group_by: [alertname]\n  routes:\n"
             "  - {receiver: team, matchers: ['alertname=~\".+\"']%s%s}\n"
             "receivers:\n- name: none\n- name: team\n"
             "  webhook_configs: [{url: 'http://h/'}]\n"
             "  pagerduty_configs: [{service_key: k, send_resolved: false}]\n"
             "inhibit_rules:\n%s\n"
             "time_intervals:\n- {name: early, time_intervals: [{times: [{start_time: '00:00', "
             "end_time: '02:00'}]}]}\n",
             route[0] ? ", " : "", route, inhibit[0] ? inhibit : "  []");
    if (!alert_config_parse(view_from(text), "a.yml", &config, &err))
        fail_msg("%s\n%s", err.message, text);
    return config;
}

static void run_case(size_t number, struct buffer *out)
{
    struct arena arena;
    struct simulated_alert alerts[6];
    struct notify_simulation got;
    struct error err = {0};
    size_t count = 0;
    struct alert_config *config = config_of(CASES[number].route, CASES[number].inhibit);
    arena_init(&arena, MEM_OTHER, 0);
    for (; count < 6 && CASES[number].alerts[count].name; count++) {
        const struct life *l = &CASES[number].alerts[count];
        struct label *items = ARENA_ARRAY(&arena, struct label, 2);
        items[0] = (struct label){VIEW("alertname"), view_from(l->name)};
        items[1] = (struct label){VIEW("severity"), view_from(l->severity)};
        alerts[count] =
            (struct simulated_alert){.labels = {items, 2},
                                     .starts_ms = l->starts * MINUTE_MS,
                                     .ends_ms = l->ends == NEVER ? INT64_MAX : l->ends * MINUTE_MS};
    }
    if (!notify_simulate(config, alerts, count, CASES[number].until * MINUTE_MS, 0, &arena, &got,
                         &err))
        fail_msg("%s", err.message);
    /* in the order of the kinds */
    for (int pass = 0; pass < 2; pass++)
        for (size_t i = 0; i < got.count; i++)
            if (strcmp(got.items[i].kind, pass ? "pagerduty" : "webhook") == 0)
                buffer_printf(out, "%s%d/%d/%d", pass ? " " : "", (int)got.items[i].notifications,
                              (int)got.items[i].repeats, (int)got.items[i].resolved);
    buffer_append_byte(out, '\0');
    arena_deinit(&arena);
    alert_config_unref(config);
}

static void notifications_are_those_of_alertmanager(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        struct buffer out;
        buffer_init(&out, MEM_OTHER, 1 << 16);
        run_case(i, &out);
        if (strcmp(out.ptr, CASES[i].result) != 0)
            fail_msg("%s: expected %s, got %s", CASES[i].claim, CASES[i].result, out.ptr);
        buffer_deinit(&out);
    }
}

/* Many alerts told each second for a year are refused, not waited for. */
static void what_takes_too_long_is_refused(void **state)
{
    (void)state;
    struct arena arena;
    struct error err = {0};
    struct notify_simulation got;
    enum { COUNT = 2000 };
    static struct simulated_alert alerts[COUNT];
    struct alert_config *config = config_of(
        "group_interval: 1s", "- {source_matchers: [severity=x], target_matchers: [severity=y]}");
    arena_init(&arena, MEM_OTHER, 0);
    for (uint32_t i = 0; i < COUNT; i++) {
        struct label *items = ARENA_ARRAY(&arena, struct label, 2);
        items[0] = (struct label){VIEW("alertname"), VIEW("a")};
        items[1] = (struct label){VIEW("n"), arena_printf(&arena, "%u", i)};
        alerts[i] = (struct simulated_alert){.labels = {items, 2}, .ends_ms = INT64_MAX};
    }
    assert_false(notify_simulate(config, alerts, COUNT, 365 * 24 * 60 * MINUTE_MS, 1000000, &arena,
                                 &got, &err));
    assert_int_equal(err.kind, ERROR_LIMIT);
    arena_deinit(&arena);
    alert_config_unref(config);
}

int main(void)
{
    static const struct CMUnitTest TESTS[] = {
        cmocka_unit_test(notifications_are_those_of_alertmanager),
        cmocka_unit_test(what_takes_too_long_is_refused),
    };
    return cmocka_run_group_tests(TESTS, NULL, NULL);
}
