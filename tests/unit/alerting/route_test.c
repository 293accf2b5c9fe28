/* SPDX-License-Identifier: Apache-2.0 */
/* route_test.c: who takes an alert, when a route is silent, and what can never match. */
#include "alerting/route.h"
#include "alerting/route_lint.h"

#include "base/buffer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>

#define RECEIVERS "receivers: [{name: a}, {name: b}, {name: c}, {name: d}, {name: e}]\n"

static struct alert_config *load(const char *text)
{
    struct alert_config *c;
    struct error err = {0};
    if (!alert_config_parse(view_from(text), "f.yml", &c, &err))
        fail_msg("%s", err.message);
    return c;
}

/* The receivers that route_match() finds for {LABELS}, comma between. */
static void check(const struct alert_config *c, const char *labels_text, const char *receivers)
{
    struct arena arena;
    struct labels labels;
    struct route_matches m = {0};
    struct buffer out;
    struct error err = {0};
    arena_init(&arena, MEM_OTHER, 0);
    buffer_init(&out, MEM_OTHER, 1 << 16);
    assert_true(labels_parse(&arena, view_from(labels_text), &labels, &err));
    route_match(&arena, c->route, labels, &m);
    for (size_t i = 0; i < m.count; i++)
        buffer_printf(&out, "%s%.*s", i ? "," : "", VIEW_ARGS(m.items[i]->receiver));
    buffer_append_byte(&out, '\0');
    if (strcmp(out.ptr, receivers) != 0)
        fail_msg("%s: %s, expected %s", labels_text, out.ptr, receivers);
    buffer_deinit(&out);
    arena_deinit(&arena);
}

static const char TREE[] =
    RECEIVERS "route:\n  receiver: a\n  routes:\n"
              "  - matchers: [team=\"x\"]\n    receiver: b\n    continue: true\n"
              "    routes: [{matchers: [severity=\"page\"], receiver: c}, {matchers: "
              "['severity=~\"p.*\"']}]\n"
              "  - matchers: ['team=~\"x|y\"', 'zone!=\"\"']\n    receiver: d\n"
              "  - match: {team: y}\n    receiver: e\n";

static void alerts_find_their_receivers(void **state)
{
    static const struct {
        const char *labels, *receivers;
    } CASES[] = {
        {"{}", "a"},
        {"{team=\"z\"}", "a"},
        {"{team=\"x\"}", "b"},
        {"{team=\"x\",severity=\"page\"}", "c"},
        {"{team=\"x\",severity=\"pq\"}", "b"},
        {"{team=\"x\",zone=\"1\"}", "b,d"},
        {"{team=\"x\",zone=\"1\",severity=\"page\"}", "c,d"},
        {"{team=\"y\",zone=\"1\"}", "d"},
        {"{team=\"y\"}", "e"},
    };
    struct alert_config *c = load(TREE);
    for (size_t i = 0; i < sizeof(CASES) / sizeof(*CASES); i++)
        check(c, CASES[i].labels, CASES[i].receivers);
    alert_config_unref(c);
}

static void official_trees_route_as_there(void **state)
{
    struct alert_config *c;
    struct error err = {0};
    if (access(CONFORMANCE_FOLDER "/routing", R_OK) != 0)
        skip();
    assert_true(alert_config_load(CONFORMANCE_FOLDER "/routing/conf.routing.yml", &c, &err));
    check(c, "{test=\"1\"}", "test1");
    check(c, "{test=\"2\"}", "test1,test2");
    check(c, "{test=\"volatile\"}", "default");
    alert_config_unref(c);
    assert_true(
        alert_config_load(CONFORMANCE_FOLDER "/routing/conf.routing-reverted.yml", &c, &err));
    check(c, "{test=\"2\"}", "test2,test1");
    alert_config_unref(c);
}

static void routes_are_silent_in_time(void **state)
{
    struct alert_config *c =
        load(RECEIVERS "route:\n  receiver: a\n  routes:\n"
                       "  - mute_time_intervals: [night, weekend]\n"
                       "  - active_time_intervals: [night]\n"
                       "  - {mute_time_intervals: [weekend], active_time_intervals: [night]}\n"
                       "time_intervals:\n- name: night\n  time_intervals:\n"
                       "  - times: [{start_time: '22:00', end_time: '24:00'}]\n"
                       "  - times: [{start_time: '00:00', end_time: '06:00'}]\n"
                       "mute_time_intervals: [{name: weekend, time_intervals: [{weekdays: "
                       "['saturday', 'sunday']}]}, {name: never}]\n");
    /* 27 November 2026 is a Friday */
    enum {
        FRIDAY_NOON = 1795780800,
        FRIDAY_NIGHT = FRIDAY_NOON + 11 * 3600,
        SATURDAY_NOON = FRIDAY_NOON + 86400,
        SATURDAY_NIGHT = SATURDAY_NOON - 10 * 3600
    };
    const struct alert_route *r = c->route->routes.items;
    struct view by;
    assert_int_equal(route_silence_at(c, c->route, FRIDAY_NIGHT, NULL), ROUTE_SENDS);
    assert_int_equal(route_silence_at(c, &r[0], FRIDAY_NOON, &by), ROUTE_SENDS);
    assert_int_equal(by.len, 0);
    assert_int_equal(route_silence_at(c, &r[0], FRIDAY_NIGHT, &by), ROUTE_MUTED);
    assert_true(view_is(by, "night"));
    assert_int_equal(route_silence_at(c, &r[0], SATURDAY_NOON, &by), ROUTE_MUTED);
    assert_true(view_is(by, "weekend"));
    assert_int_equal(route_silence_at(c, &r[1], FRIDAY_NOON, NULL), ROUTE_INACTIVE);
    assert_int_equal(route_silence_at(c, &r[1], FRIDAY_NIGHT, NULL), ROUTE_SENDS);
    assert_int_equal(route_silence_at(c, &r[2], SATURDAY_NIGHT, NULL), ROUTE_MUTED);
    alert_config_unref(c);
}

static void add_finding(void *arg, uint32_t line, uint32_t column, const char *sentence)
{
    buffer_printf(arg, "%u:%u: %s\n", line, column, sentence);
}

#define ROUTES(text) RECEIVERS "route:\n  receiver: a\n  routes:\n" text
#define SHADOWED(at, line)                                                                         \
    at ": this route is never reached: the route of line " line                                    \
       " before it takes all its alerts and has no \"continue: true\"\n"
#define INHIBIT(text) RECEIVERS "route: {receiver: a}\ninhibit_rules:\n" text

static const struct {
    const char *in, *found;
} LINTS[] = {
    {ROUTES("  - match: {x: 1}\n  - match: {x: 2}\n"), ""},
    {ROUTES("  - {}\n  - match: {x: 2}\n"), SHADOWED("6:5", "5")},
    {ROUTES("  - {continue: true}\n  - match: {x: 2}\n"), ""},
    {ROUTES("  - match: {x: 1}\n  - match: {x: 1, y: 2}\n"), SHADOWED("6:5", "5")},
    {ROUTES("  - match: {x: 1, y: 2}\n  - match: {x: 1}\n"), ""},
    {ROUTES("  - match_re: {x: 1|2}\n  - match: {x: 2}\n"), SHADOWED("6:5", "5")},
    {ROUTES("  - match_re: {x: 1|2}\n  - matchers: ['x=~\"2|3\"']\n"), ""},
    {ROUTES("  - match_re: {x: a.*}\n  - match_re: {x: a.*}\n"), SHADOWED("6:5", "5")},
    {ROUTES("  - matchers: ['x!=\"\"']\n  - match: {x: 2}\n"), SHADOWED("6:5", "5")},
    {ROUTES("  - matchers: ['x!=\"1\"']\n  - matchers: ['x!=\"2\"']\n"), ""},
    {ROUTES("  - match: {x: 1}\n    routes:\n    - match: {x: 2}\n"),
     "7:7: this route can never match: x=\"2\" contradicts what else is asked of \"x\"\n"},
    {ROUTES("  - match: {x: 1}\n    routes:\n    - match_re: {x: 1|2}\n"), ""},
    {ROUTES("  - match: {x: 1}\n    routes:\n    - matchers: ['x!~\"1|2\"']\n"),
     "7:7: this route can never match: x=\"1\" contradicts what else is asked of \"x\"\n"},
    {ROUTES("  - match_re: {x: a.*}\n    routes:\n    - matchers: ['x!~\"^(?:a.*)$\"']\n"),
     "7:7: this route can never match: x!~\"^(?:a.*)$\" contradicts what else is asked of \"x\"\n"},
    {ROUTES("  - matchers: [x=1, x=2]\n"),
     "5:5: this route can never match: x=\"1\" contradicts what else is asked of \"x\"\n"},
    {ROUTES("  - match: {x: 1}\n    routes:\n    - {receiver: b}\n    - {receiver: c}\n"),
     SHADOWED("8:7", "7")},
    {INHIBIT("- {source_match: {s: 1}, target_match: {s: 2}, equal: [x]}\n"), ""},
    {INHIBIT("- {source_match: {s: 1}, target_match: {s: 2}, equal: [s]}\n"),
     "4:3: this rule never inhibits: \"s\" must be equal on both sides, and what source and target "
     "ask of it cannot be\n"},
    {INHIBIT("- {source_matchers: [s=1, s!=1], target_match: {s: 2}}\n"),
     "4:3: the source of this rule can never match: s=\"1\" contradicts what else is asked of "
     "\"s\"\n"},
    {INHIBIT("- {source_match: {s: 1}, target_matchers: [t=1, t!=1]}\n"),
     "4:3: the target of this rule can never match: t=\"1\" contradicts what else is asked of "
     "\"t\"\n"},
    {INHIBIT("- {source_match: {s: 1}, target_match: {s: 1}}\n"),
     "4:3: this rule never inhibits: source and target are the same alerts, which do not inhibit "
     "each other\n"},
    {INHIBIT("- {source_match: {s: 1}, target_match_re: {s: 1|2}}\n"), ""},
};

static void lint_says_what_never_matches(void **state)
{
    size_t wrong = 0;
    for (size_t i = 0; i < sizeof(LINTS) / sizeof(*LINTS); i++) {
        struct alert_config *c = load(LINTS[i].in);
        struct buffer out;
        buffer_init(&out, MEM_OTHER, 1 << 16);
        route_lint(c, add_finding, &out);
        buffer_append_byte(&out, '\0');
        if (strcmp(out.ptr, LINTS[i].found) != 0) {
            print_error("%s\n  expected %s\n  but was  %s\n", LINTS[i].in, LINTS[i].found, out.ptr);
            wrong++;
        }
        buffer_deinit(&out);
        alert_config_unref(c);
    }
    assert_int_equal(wrong, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(alerts_find_their_receivers),
        cmocka_unit_test(official_trees_route_as_there),
        cmocka_unit_test(routes_are_silent_in_time),
        cmocka_unit_test(lint_says_what_never_matches),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
