/* SPDX-License-Identifier: Apache-2.0 */
/* rule_state_test.c: what state.db gives to the rules of the next process. Nothing is evaluated here: alerts are put into
 * rules by hand, and the note of when the process was last there is set back where time must have passed. */
#include "rules/rule_state.h"

#include "access/sqlite_library.h"
#include "base/arena.h"
#include "base/clock.h"
#include "base/file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { MINUTE_MS = 60000, HOUR_MS = 60 * MINUTE_MS };

struct process {
    char dir[64];
    struct rule_state *state;
    struct rule_file *file;
    struct rule_group *group;
    bool all_known;
};

static struct rule_group *group_of(const char *rules, struct rule_file **file)
{
    static const struct rule_group_options OPTIONS = {.default_interval_ms = MINUTE_MS};
    char text[4096];
    struct error err = {0};
    snprintf(text, sizeof text, "groups:\n- name: g\n  rules:\n%s", rules);
    if (!rule_file_parse(view_from(text), "r.yml", NULL, file, &err))
        fail_msg("%s", err.message);
    return rule_group_new(*file, &(*file)->groups[0], &OPTIONS);
}

static void process_start(struct process *p, const char *rules, int64_t grace_ms)
{
    struct error err = {0};
    bool known;
    p->state = rule_state_new(p->dir, NULL, NULL);
    p->group = group_of(rules, &p->file);
    if (!rule_state_load(p->state, HOUR_MS, &known, &err) || !rule_state_start(p->state, &err))
        fail_msg("%s", err.message);
    p->all_known = known && rule_state_give(p->state, p->group, grace_ms);
    if (known)
        rule_state_drop_orphans(p->state);
    rule_state_forget_loaded(p->state);
}

static void process_end(struct process *p)
{
    rule_state_save(p->state, p->group);
    rule_state_free(p->state);
    rule_group_close(p->group);
    rule_group_unref(p->group);
    rule_file_unref(p->file);
}

static void process_init(struct process *p, const char *rules)
{
    *p = (struct process){.dir = "/tmp/belfry-state-XXXXXX"};
    assert_non_null(mkdtemp(p->dir));
    process_start(p, rules, 0);
}

static void process_deinit(struct process *p)
{
    struct error err;
    process_end(p);
    assert_true(dir_remove(p->dir, &err));
}

static void process_restart(struct process *p, const char *rules, int64_t grace_ms)
{
    process_end(p);
    process_start(p, rules, grace_ms);
}

/* A reload. */
static void process_edit(struct process *p, const char *rules)
{
    struct rule_file *file;
    struct rule_group *changed = group_of(rules, &file);
    rule_group_take_over(changed, p->group);
    rule_state_drop(p->state, p->group, changed);
    rule_group_close(p->group);
    rule_group_unref(p->group);
    rule_file_unref(p->file);
    p->group = changed;
    p->file = file;
}

/* The process that ended did so this long ago. */
static void was_down(const struct process *p, int64_t down_ms)
{
    char path[100], sql[200];
    sqlite3 *db;
    snprintf(path, sizeof path, "%s/state.db", p->dir);
    snprintf(sql, sizeof sql, "UPDATE rule_meta SET value=%lld WHERE key='alive'",
             (long long)(clock_wall().ms - down_ms));
    assert_int_equal(sqlite_library.open_v2(path, &db, SQLITE_OPEN_READWRITE, NULL), SQLITE_OK);
    assert_int_equal(sqlite_library.exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite_library.close(db), SQLITE_OK);
}

static void add_alert(struct rule *r, enum alert_phase state, int64_t active_ms)
{
    const struct label items[] = {{VIEW("alertname"), r->def->name}};
    struct labels labels = {items, 1};
    struct alert *a = alert_new(rule_series_hash(labels), labels);
    a->state = state;
    a->active_ms = active_ms;
    a->fired_ms = state == ALERT_FIRING ? active_ms : RULE_NEVER;
    rule_add_alert_locked(r, a);
}

#define RULE(severity) "  - {alert: A, expr: x, labels: {severity: " severity "}}\n"
#define WARNING RULE("warning")
#define CRITICAL RULE("critical")

/* Of two rules of one name each finds its own alerts, whatever became of the other one. */
static void rules_of_one_name_are_told_apart(void **state)
{
    (void)state;
    struct process p;
    process_init(&p, WARNING CRITICAL);
    add_alert(&p.group->rules[0], ALERT_FIRING, 1000);
    process_restart(&p, CRITICAL WARNING, 0);
    assert_int_equal(p.group->rules[0].alert_count, 0);
    assert_int_equal(p.group->rules[1].alert_count, 1);
    assert_true(p.group->rules[1].restored);
    assert_false(p.group->rules[0].restored); /* nothing is known of it: its series may tell */
    assert_false(p.all_known);
    process_deinit(&p);
}

/* A rule that an edit took away leaves nothing for the one that takes its place, nor for one that comes later. */
static void a_rule_that_is_gone_leaves_nothing(void **state)
{
    (void)state;
    struct process p;
    process_init(&p, WARNING CRITICAL);
    add_alert(&p.group->rules[0], ALERT_FIRING, 1000);
    rule_state_save(p.state, p.group);
    process_edit(&p, CRITICAL);
    process_restart(&p, CRITICAL, 0);
    assert_int_equal(p.group->rules[0].alert_count, 0);
    process_restart(&p, WARNING CRITICAL, 0);
    assert_int_equal(p.group->rules[0].alert_count, 0);
    add_alert(&p.group->rules[0], ALERT_FIRING, 1000);
    process_restart(&p, CRITICAL, 0); /* taken away while nobody looked */
    process_restart(&p, WARNING CRITICAL, 0);
    assert_int_equal(p.group->rules[0].alert_count, 0);
    process_deinit(&p);
}

/* Alike rules have a number: the one that is left is another number, and its alerts are saved anew. */
static void alerts_that_were_handed_on_are_kept(void **state)
{
    (void)state;
    struct process p;
    process_init(&p, "  - {alert: B, expr: x}\n" WARNING);
    add_alert(&p.group->rules[1], ALERT_FIRING, 1000);
    rule_state_save(p.state, p.group);
    process_edit(&p, WARNING);
    rule_state_drop(p.state, p.group, NULL); /* the group goes, and comes back in time */
    process_edit(&p, WARNING "  - {alert: B, expr: x}\n");
    process_restart(&p, WARNING, 0);
    assert_int_equal(p.group->rules[0].alert_count, 1);
    process_deinit(&p);
}

static int64_t active_after(int64_t pending_ms, int64_t down_ms, int64_t grace_ms,
                            enum alert_phase what, int64_t *before)
{
    static const char RULES[] = "  - {alert: A, expr: x, for: 30m}\n";
    struct process p;
    process_init(&p, RULES);
    *before = clock_wall().ms - down_ms - pending_ms;
    add_alert(&p.group->rules[0], what, *before);
    process_end(&p);
    was_down(&p, down_ms);
    process_start(&p, RULES, grace_ms);
    int64_t after = p.group->rules[0].alert_count ? p.group->rules[0].alerts[0]->active_ms : -1;
    process_deinit(&p);
    return after;
}

/* Down time is no part of `for`; but a short restart changes nothing. */
static void down_time_is_no_part_of_for(void **state)
{
    (void)state;
    int64_t before;
    int64_t after = active_after(MINUTE_MS, 50 * MINUTE_MS, 0, ALERT_PENDING, &before);
    assert_in_range(after - before, 50 * MINUTE_MS, 50 * MINUTE_MS + 30000);
    /* 5 minutes are left: the grace period is 10. */
    after = active_after(25 * MINUTE_MS, 20 * MINUTE_MS, 10 * MINUTE_MS, ALERT_PENDING, &before);
    assert_in_range(after - before, 25 * MINUTE_MS, 25 * MINUTE_MS + 30000);
    /* `for` is shorter than the grace period: it begins anew. */
    assert_int_equal(
        active_after(MINUTE_MS, 20 * MINUTE_MS, 40 * MINUTE_MS, ALERT_PENDING, &before), -1);
    after = active_after(MINUTE_MS, 0, 40 * MINUTE_MS, ALERT_PENDING, &before);
    assert_int_equal(after, before);
    after = active_after(MINUTE_MS, 50 * MINUTE_MS, 40 * MINUTE_MS, ALERT_FIRING, &before);
    assert_int_equal(after, before);
    /* Past the outage tolerance. */
    assert_int_equal(active_after(MINUTE_MS, 2 * HOUR_MS, 0, ALERT_PENDING, &before), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rules_of_one_name_are_told_apart),
        cmocka_unit_test(a_rule_that_is_gone_leaves_nothing),
        cmocka_unit_test(alerts_that_were_handed_on_are_kept),
        cmocka_unit_test(down_time_is_no_part_of_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
