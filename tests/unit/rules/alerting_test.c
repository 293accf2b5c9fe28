/* SPDX-License-Identifier: Apache-2.0 */
/* alerting_test.c: what becomes of alerts and recordings, step by step, over a store in memory. Time is a parameter: a
 * step is a minute. */
#include "base/buffer.h"
#include "promql/series_text.h"
#include "rules/rule_group.h"
#include "rules/rule_query.h"
#include "rules/rule_restore.h"
#include "storage/memory_source.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { MINUTE_MS = 60000 };

struct world {
    struct memory_source *store;
    struct rule_env env;
    struct rule_run run;
    struct rule_file *file;
    struct rule_group *group;
    struct buffer sent; /* what the sink got in this step */
    struct arena arena;
};

static void on_send(void *arg, const struct alert_notice *notices, size_t count)
{
    struct world *w = arg;
    for (size_t i = 0; i < count; i++)
        buffer_printf(&w->sent, "%s%c", w->sent.len ? " " : "", notices[i].is_resolved ? 'r' : 'f');
}

static struct rule_group *group_of(const char *rules, struct rule_file **file)
{
    static const struct rule_group_options OPTIONS = {.default_interval_ms = MINUTE_MS};
    char text[4096];
    struct error err = {0};
    snprintf(text, sizeof text, "groups:\n- name: g\n%s", rules);
    if (!rule_file_parse(view_from(text), "r.yml", NULL, file, &err))
        fail_msg("%s", err.message);
    return rule_group_new(*file, &(*file)->groups[0], &OPTIONS);
}

static void world_init(struct world *w, const char *rules)
{
    *w = (struct world){.store = memory_source_new()};
    arena_init(&w->arena, MEM_OTHER, 0);
    buffer_init(&w->sent, MEM_OTHER, 1 << 20);
    w->env = (struct rule_env){.source = memory_source_as_source(w->store),
                               .store = series_store_of_memory(w->store)};
    w->run = (struct rule_run){
        .env = &w->env, .sink = {on_send, w}, .resend_delay_ms = MINUTE_MS * 5 / 2};
    w->group = group_of(rules, &w->file);
}

static void world_deinit(struct world *w)
{
    rule_group_close(w->group);
    rule_group_unref(w->group);
    rule_file_unref(w->file);
    memory_source_free(w->store);
    buffer_deinit(&w->sent);
    arena_deinit(&w->arena);
}

/* "metric{a="b"} 1 2 _": the value of each step. */
static void world_add(struct world *w, const char *series, size_t step)
{
    struct series_text text;
    struct error err = {0};
    if (!series_text_parse(&w->arena, view_from(series), &text, &err))
        fail_msg("%s: %s", series, err.message);
    if (step < text.count && text.values[step].kind == SERIES_VALUE_FLOAT)
        memory_source_add(w->store, text.labels, (int64_t)step * MINUTE_MS,
                          text.values[step].value);
}

/* A letter for each alert: p, f, i, w. */
static void print_states(struct world *w, struct buffer *out)
{
    size_t before = out->len;
    for (size_t i = 0; i < w->group->rule_count; i++)
        for (size_t a = 0; a < w->group->rules[i].alert_count; a++)
            buffer_append_byte(out, alert_phase_name(w->group->rules[i].alerts[a]->state)[0]);
    if (out->len == before)
        buffer_append_byte(out, '-');
}

#define ALERT(fields) "  rules:\n  - alert: A\n    expr: x > 0\n" fields

/* The states after each step, then what was sent in each ("." nothing, f firing, r resolved). The resend delay is two
 * and a half steps. */
static const struct {
    const char *name, *rules, *series, *states, *sent;
} SCENARIOS[] = {
    {"for zero fires at once", ALERT(""), "x 0 1 1 0", "- f f i", ". f . r"},
    {"pending, firing, resolved", ALERT("    for: 2m\n"), "x 1 1 1 1 0 0", "p p f f i i",
     ". . f . r ."},
    {"a pending one that ends leaves nothing", ALERT("    for: 2m\n"), "x 1 1 0 1", "p p - p",
     ". . . ."},
    {"for smaller than a step", ALERT("    for: 30s\n"), "x 1 1", "p f", ". f"},
    {"told again each resend delay", ALERT(""), "x 1 1 1 1 1 1 1", "f f f f f f f",
     "f . . f . . f"},
    {"a resolved one is told again, and forgotten after a quarter of an hour", ALERT(""),
     "x 1 0x18", "f i i i i i i i i i i i i i i i i - -", "f r . . r . . r . . r . . r . . r . ."},
    {"one that comes back is a new one", ALERT("    for: 1m\n"), "x 1 1 0 1 1", "p f i p f",
     ". f r . f"},
    {"keep_firing_for", ALERT("    keep_firing_for: 2m\n"), "x 1 0 0 0", "f f f i", "f . . r"},
    {"keep_firing_for begins anew", ALERT("    keep_firing_for: 2m\n"), "x 1 0 1 0 0 0",
     "f f f f f i", "f . . f . r"},
    {"pending ones are not kept", ALERT("    for: 2m\n    keep_firing_for: 5m\n"), "x 1 0 0",
     "p - -", ". . ."},
    {"two that know nothing of each other", ALERT(""), "x{a=\"1\"} 1 1|x{a=\"2\"} 0 1", "f ff",
     "f f"},
    {"recover holds it between two thresholds",
     "  rules:\n  - alert: A\n    expr: x > 9\n    recover: x < 5\n", "x 10 7 6 4 7 10",
     "f f f i i f", "f . . r . f"},
    {"recover, for the longest keep_firing_for",
     "  rules:\n  - alert: A\n    expr: x > 9\n    recover: x < 5\n    keep_firing_for: 2m\n",
     "x 10 7 7 7", "f f f i", "f . . r"},
    {"recover asks the series that gave the alert last",
     "  rules:\n  - alert: A\n    expr: x > 9\n    recover: x < 5\n    labels: {a: z}\n",
     "x{a=\"1\"} 10 4 1 1 1|x{a=\"2\"} 1 1 10 7 4", "f i f f i", "f r f . r"},
    {"recover asks the same series only",
     "  rules:\n  - alert: A\n    expr: x > 9\n    recover: x < 5\n",
     "x{a=\"1\"} 10 7|x{a=\"2\"} 1 1", "f f", "f ."},
    {"missing_for", "  rules:\n  - alert: A\n    expr: x\n    missing_for: 2m\n",
     "x 1 stale _ _ 1 1", "w p p f i i", ". . . f r ."},
    {"missing_for and a short gap", "  rules:\n  - alert: A\n    expr: x\n    missing_for: 2m\n",
     "x 1 stale 1 stale 1", "w p w p w", ". . . . ."},
    {"missing_for ends by keep_firing_for, and not again",
     "  rules:\n  - alert: A\n    expr: x\n    missing_for: 1m\n    keep_firing_for: 2m\n",
     "x 1 stale _ _ _ _ 1 stale _", "w p f f i i i p f", ". . f . r . . . f"},
    {"past its limit a rule has no alerts", "  limit: 1\n" ALERT(""),
     "x{a=\"1\"} 1 1|x{a=\"2\"} 0 1", "f -", "f ."},
    {"at its limit it has", "  limit: 2\n" ALERT(""), "x{a=\"1\"} 1 1|x{a=\"2\"} 0 1", "f ff",
     "f f"},
};

/* One evaluation; appends what came of it. */
static void world_step(struct world *w, const char *all, size_t step, struct buffer *states,
                       struct buffer *sent)
{
    char series[1024];
    snprintf(series, sizeof series, "%s", all);
    for (char *one = series, *next; one; one = next) {
        next = strchr(one, '|');
        if (next)
            *next++ = '\0';
        world_add(w, one, step);
    }
    buffer_reset(&w->sent);
    rule_group_evaluate(w->group, &w->run, (int64_t)step * MINUTE_MS);
    if (step) {
        buffer_append_byte(states, ' ');
        buffer_append_byte(sent, ' ');
    }
    print_states(w, states);
    buffer_append_view(sent, w->sent.len ? buffer_view(&w->sent) : VIEW("."));
}

static void run_scenario(size_t number, struct buffer *states, struct buffer *sent, size_t steps)
{
    struct world w;
    world_init(&w, SCENARIOS[number].rules);
    for (size_t step = 0; step < steps; step++)
        world_step(&w, SCENARIOS[number].series, step, states, sent);
    buffer_append_byte(states, '\0');
    buffer_append_byte(sent, '\0');
    world_deinit(&w);
}

static void alerts_live_as_their_rule_says(void **state)
{
    (void)state;
    size_t wrong = 0;
    for (size_t i = 0; i < ARRAY_COUNT(SCENARIOS); i++) {
        struct buffer states, sent;
        size_t steps = 1;
        for (const char *c = SCENARIOS[i].states; *c; c++)
            steps += *c == ' ';
        buffer_init(&states, MEM_OTHER, 1 << 20);
        buffer_init(&sent, MEM_OTHER, 1 << 20);
        run_scenario(i, &states, &sent, steps);
        if (strcmp(states.ptr, SCENARIOS[i].states) != 0 ||
            strcmp(sent.ptr, SCENARIOS[i].sent) != 0) {
            printf("%s:\n  states %s\n         %s expected\n  sent   %s\n         %s expected\n",
                   SCENARIOS[i].name, states.ptr, SCENARIOS[i].states, sent.ptr, SCENARIOS[i].sent);
            wrong++;
        }
        buffer_deinit(&states);
        buffer_deinit(&sent);
    }
    assert_int_equal(wrong, 0);
}

/* --- what is written --- */

static const char *ask(struct world *w, const char *query, int64_t time_ms)
{
    static struct buffer out;
    struct rule_vector v;
    struct error err = {0};
    buffer_deinit(&out);
    buffer_init(&out, MEM_OTHER, 1 << 20);
    if (!rule_query_text(&w->env, NULL, view_from(query), time_ms, &w->arena, &v, &err))
        fail_msg("%s: %s", query, err.message);
    for (size_t i = 0; i < v.count; i++) {
        buffer_append_byte(&out, ' ');
        labels_format(&out, v.labels[i]);
        buffer_printf(&out, " %g", v.values[i]);
    }
    buffer_append_byte(&out, '\0');
    return out.ptr;
}
#define ASSERT_ASK(w, query, minute, text)                                                         \
    assert_string_equal(ask((w), (query), (int64_t)(minute)*MINUTE_MS), (text))

static void evaluate(struct world *w, const char *series, size_t step)
{
    world_add(w, series, step);
    rule_group_evaluate(w->group, &w->run, (int64_t)step * MINUTE_MS);
}

/* ALERTS follows the state, and each series ends in the step in which it is gone. */
static void alerts_are_written_and_end(void **state)
{
    (void)state;
    struct world w;
    static const char X[] = "x{a=\"1\"} 1 1 0";
    world_init(&w, ALERT("    for: 1m\n    labels: {v: '{{ $value }}'}\n"));
    evaluate(&w, X, 0);
    ASSERT_ASK(&w, "ALERTS", 0,
               " ALERTS{a=\"1\",alertname=\"A\",alertstate=\"pending\",v=\"1\"} 1");
    ASSERT_ASK(&w, "ALERTS_FOR_STATE", 0, " ALERTS_FOR_STATE{a=\"1\",alertname=\"A\",v=\"1\"} 0");
    evaluate(&w, X, 1);
    ASSERT_ASK(&w, "ALERTS", 1, " ALERTS{a=\"1\",alertname=\"A\",alertstate=\"firing\",v=\"1\"} 1");
    evaluate(&w, X, 2);
    ASSERT_ASK(&w, "ALERTS", 2, "");
    ASSERT_ASK(&w, "ALERTS_FOR_STATE", 2, "");
    world_deinit(&w);
}

/* A rule sees what the rules before it wrote in the same evaluation, and what it no longer gives ends. */
static void recordings_are_written_in_order_and_end(void **state)
{
    (void)state;
    struct world w;
    world_init(&w, "  labels: {g: x}\n  rules:\n"
                   "  - {record: a, expr: x * 2}\n  - {record: b, expr: a + 1}\n"
                   "  - {record: c, expr: '{__name__=~\"a|b\"}', labels: {n: y}}\n"
                   "  - {record: d, expr: 7}\n");
    evaluate(&w, "x 1 stale", 0);
    assert_int_equal(w.group->stage_count, 3);
    ASSERT_ASK(&w, "{__name__=~\"[abd]\"}", 0, " a{g=\"x\"} 2 b{g=\"x\"} 3 d{g=\"x\"} 7");
    assert_non_null(
        strstr(w.group->rules[2].last_error, "same labelset after applying rule labels"));
    evaluate(&w, "x 1 stale", 1);
    ASSERT_ASK(&w, "{__name__=~\"[abcd]\"}", 1, " d{g=\"x\"} 7");
    world_deinit(&w);
}

/* A rule that fails neither ends its series nor those of others; when it is well again, what went meanwhile ends. */
static void a_failing_rule_ends_nothing(void **state)
{
    (void)state;
    struct world w;
    world_init(&w, "  rules:\n  - {record: a, expr: x + on(k) y}\n");
    world_add(&w, "y{k=\"1\"} 1 1 1", 0);
    evaluate(&w, "x{k=\"1\"} 1 1 stale", 0);
    ASSERT_ASK(&w, "a", 0, " a{k=\"1\"} 2");
    world_add(&w, "y{k=\"1\"} 1 1 1", 1);
    world_add(&w, "y{k=\"1\",z=\"2\"} _ 1 stale", 1);
    evaluate(&w, "x{k=\"1\"} 1 1 stale", 1);
    assert_non_null(w.group->rules[0].last_error);
    ASSERT_ASK(&w, "a", 1, " a{k=\"1\"} 2");
    world_add(&w, "y{k=\"1\"} 1 1 1", 2);
    world_add(&w, "y{k=\"1\",z=\"2\"} _ 1 stale", 2);
    evaluate(&w, "x{k=\"1\"} 1 1 stale", 2);
    assert_null(w.group->rules[0].last_error);
    ASSERT_ASK(&w, "a", 2, "");
    world_deinit(&w);
}

static void query_offset_and_limit_are_kept(void **state)
{
    (void)state;
    struct world w;
    world_init(&w, "  query_offset: 1m\n  limit: 1\n  rules:\n  - {record: a, expr: x}\n");
    world_add(&w, "x{k=\"1\"} 1 2 3", 0);
    world_add(&w, "x{k=\"1\"} 1 2 3", 1);
    rule_group_evaluate(w.group, &w.run, MINUTE_MS);
    ASSERT_ASK(&w, "a", 0, " a{k=\"1\"} 1");
    world_add(&w, "x{k=\"2\"} 1 2 3", 1);
    rule_group_evaluate(w.group, &w.run, 2 * MINUTE_MS);
    assert_string_equal(w.group->rules[0].last_error, "exceeded limit of 1 with 2 series");
    world_deinit(&w);
}

/* A label that is new at each evaluation: the alerts that were are kept for a while, but not without end. */
static void alerts_of_a_rule_have_a_limit(void **state)
{
    (void)state;
    struct world w;
    world_init(&w, ALERT("    labels: {v: '{{ $value }}'}\n"));
    for (int i = 0; i < ALERTS_MAX / 2 + 1; i++) {
        char number[16];
        snprintf(number, sizeof number, "%d", i);
        const struct label items[] = {{VIEW(LABEL_NAME), VIEW("x")},
                                      {VIEW("i"), view_from(number)}};
        for (int step = 0; step < 2; step++)
            memory_source_add(w.store, (struct labels){items, 2}, (int64_t)step * MINUTE_MS,
                              step + 1);
    }
    rule_group_evaluate(w.group, &w.run, 0);
    assert_int_equal(w.group->rules[0].alert_count, ALERTS_MAX / 2 + 1);
    rule_group_evaluate(w.group, &w.run, MINUTE_MS);
    assert_int_equal(w.group->rules[0].alert_count, 0);
    assert_string_equal(w.group->rules[0].last_error,
                        "more than 100000 alerts, resolved ones included");
    world_deinit(&w);
}

/* These rules take the place of the group's. */
/* One rule of many alerts with large texts: each is within its limit, together they are not. What comes after says so. */
static void texts_of_a_rule_have_a_limit(void **state)
{
    (void)state;
    struct world w;
    enum { COUNT = 100 };
    size_t bytes = 0, cut = 0;
    world_init(
        &w, "  rules:\n  - {alert: A, expr: x, annotations: {t: '{{ range 9000 }}"
            "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234"
            "56789{{ end }}'}}\n");
    for (int i = 0; i < COUNT; i++) {
        char series[64];
        snprintf(series, sizeof series, "x{i=\"%d\"} 1", i);
        world_add(&w, series, 0);
    }
    rule_group_evaluate(w.group, &w.run, 0);
    const struct rule *r = &w.group->rules[0];
    assert_int_equal(r->alert_count, COUNT);
    for (size_t i = 0; i < r->alert_count; i++) {
        struct view text = r->alerts[i]->annotations.items[0].value;
        bytes += text.len;
        cut += memmem(text.ptr, text.len, "together", 8) != NULL;
    }
    assert_true(bytes <= (65u << 20));
    assert_in_range(cut, 10, COUNT / 2);
    assert_true(r->text_failed);
    world_deinit(&w);
}

/* Rules of one name, kind and labels are numbered in their order. */
static void rules_that_are_alike_are_numbered(void **state)
{
    (void)state;
    struct world w;
    static const size_t NUMBERS[] = {0, 0, 1, 0, 2, 0, 1};
    world_init(&w, "  rules:\n  - {alert: A, expr: x}\n  - {alert: B, expr: x}\n"
                   "  - {alert: A, expr: y}\n  - {record: A, expr: x}\n  - {alert: A, expr: x}\n"
                   "  - {alert: A, expr: x, labels: {a: b}}\n"
                   "  - {alert: A, expr: y, labels: {a: b}}\n");
    for (size_t i = 0; i < ARRAY_COUNT(NUMBERS); i++)
        assert_int_equal(w.group->rules[i].alike, NUMBERS[i]);
    world_deinit(&w);
}

static void world_edit(struct world *w, const char *rules)
{
    struct rule_file *file;
    struct rule_group *changed = group_of(rules, &file);
    assert_false(rule_group_equal(w->group, changed));
    rule_group_take_over(changed, w->group);
    rule_group_close(w->group);
    rule_group_unref(w->group);
    rule_file_unref(w->file);
    w->group = changed;
    w->file = file;
}

/* A group that changes hands its alerts and series on: what stays goes on, what is gone ends at the next evaluation. */
static void a_changed_group_takes_over(void **state)
{
    (void)state;
    struct world w;
    static const char X[] = "x 1 1 1 1";
    world_init(&w, "  rules:\n  - {record: a, expr: x}\n  - {record: b, expr: x}\n"
                   "  - {alert: A, expr: x > 0, for: 2m}\n");
    evaluate(&w, X, 0);
    evaluate(&w, X, 1);
    ASSERT_ASK(&w, "{__name__=~\"[abc]\"}", 1, " a 1 b 1");
    world_edit(&w, "  rules:\n  - {alert: A, expr: x > 0, for: 1m}\n  - {record: c, expr: x}\n"
                   "  - {record: a, expr: x + 1}\n");
    evaluate(&w, X, 2);
    ASSERT_ASK(&w, "{__name__=~\"[abc]\"}", 2, " a 2 c 1");
    assert_int_equal(w.group->rules[0].alert_count, 1);
    assert_int_equal(w.group->rules[0].alerts[0]->state, ALERT_FIRING);
    assert_int_equal(w.group->rules[0].alerts[0]->active_ms, 0);
    evaluate(&w, X, 3);
    ASSERT_ASK(&w, "{__name__=~\"[abc]\"}", 3, " a 2 c 1");
    world_deinit(&w);
}

/* Rules that change after step 1, and the series' steps from 0. */
static const struct {
    const char *name, *before, *after, *series, *states, *sent;
} EDITS[] = {
    {"missing_for goes: what was watched fires",
     "  rules:\n  - {alert: A, expr: x, missing_for: 1m}\n", "  rules:\n  - {alert: A, expr: x}\n",
     "x 1 1 1 1", "w w f f", ". . f ."},
    {"missing_for goes: what is no more there never was an alert",
     "  rules:\n  - {alert: A, expr: x, missing_for: 1m}\n", "  rules:\n  - {alert: A, expr: x}\n",
     "x 1 1 stale", "w w - -", ". . . ."},
    {"missing_for comes: what was an alert is watched", "  rules:\n  - {alert: A, expr: x}\n",
     "  rules:\n  - {alert: A, expr: x, missing_for: 1m}\n", "x 1 1 1 stale _", "f f w p f",
     "f . . . f"},
    {"missing_for comes: what was resolved is not missing",
     "  rules:\n  - {alert: A, expr: x > 0}\n",
     "  rules:\n  - {alert: A, expr: x > 0, missing_for: 1m}\n", "x 1 0 0 0", "f i - -", "f r . ."},
    {"recover comes", "  rules:\n  - {alert: A, expr: x > 9}\n",
     "  rules:\n  - {alert: A, expr: x > 9, recover: x < 5}\n", "x{a=\"1\"} 10 10 10 7 4",
     "f f f f i", "f . . f r"},
};

static void alerts_outlive_edits_of_what_they_mean(void **state)
{
    (void)state;
    size_t wrong = 0;
    for (size_t i = 0; i < ARRAY_COUNT(EDITS); i++) {
        struct world w;
        struct buffer states, sent;
        size_t steps = (strlen(EDITS[i].sent) + 1) / 2;
        buffer_init(&states, MEM_OTHER, 1 << 20);
        buffer_init(&sent, MEM_OTHER, 1 << 20);
        world_init(&w, EDITS[i].before);
        for (size_t step = 0; step < steps; step++) {
            if (step == 2)
                world_edit(&w, EDITS[i].after);
            world_step(&w, EDITS[i].series, step, &states, &sent);
        }
        buffer_append_byte(&states, '\0');
        buffer_append_byte(&sent, '\0');
        if (strcmp(states.ptr, EDITS[i].states) != 0 || strcmp(sent.ptr, EDITS[i].sent) != 0) {
            printf("%s:\n  states %s\n  sent   %s\n", EDITS[i].name, states.ptr, sent.ptr);
            wrong++;
        }
        world_deinit(&w);
        buffer_deinit(&states);
        buffer_deinit(&sent);
    }
    assert_int_equal(wrong, 0);
}

/* Other programs write series of any name: a time that is none says nothing. */
static void impossible_times_restore_nothing(void **state)
{
    (void)state;
    static const double TIMES[] = {1e300, -1e300, 1e17, -1e17, INFINITY, -INFINITY, NAN};
    const struct label items[] = {{VIEW(LABEL_NAME), VIEW("ALERTS_FOR_STATE")},
                                  {VIEW("alertname"), VIEW("A")}};
    for (size_t i = 0; i < ARRAY_COUNT(TIMES); i++) {
        struct world w;
        struct error err = {0};
        world_init(&w, ALERT("    for: 5m\n"));
        w.group->rules[0].restored = false;
        memory_source_add(w.store, (struct labels){items, 2}, 0, TIMES[i]);
        evaluate(&w, "x _ 1", 1);
        assert_true(rule_group_restore(w.group, &w.env, 2 * MINUTE_MS, 3600 * 1000, 0, &err));
        assert_int_equal(w.group->rules[0].alerts[0]->active_ms, MINUTE_MS);
        assert_true(w.group->rules[0].restored);
        world_deinit(&w);
    }
}

/* A label without a value takes that of the series away, in both kinds of rules, also one that the group gives. */
static void an_empty_label_takes_the_series_label_away(void **state)
{
    (void)state;
    struct world w;
    world_init(&w, "  labels: {g: x}\n  rules:\n"
                   "  - {record: a, expr: x, labels: {pod: ''}}\n"
                   "  - {record: b, expr: x, labels: {g: ''}}\n"
                   "  - {alert: A, expr: x > 0, labels: {pod: '', g: ''}}\n");
    evaluate(&w, "x{pod=\"p\",g=\"own\"} 1", 0);
    ASSERT_ASK(&w, "{__name__=~\"[ab]\"}", 0, " a{g=\"x\"} 1 b{pod=\"p\"} 1");
    ASSERT_ASK(&w, "ALERTS", 0, " ALERTS{alertname=\"A\",alertstate=\"firing\"} 1");
    world_deinit(&w);
}

static void times_are_an_interval_apart(void **state)
{
    (void)state;
    struct world w;
    world_init(&w, ALERT(""));
    int64_t first = rule_group_time(w.group, 1000000000);
    assert_true(first <= 1000000000 && first > 1000000000 - MINUTE_MS);
    assert_int_equal(rule_group_time(w.group, first), first);
    assert_int_equal(rule_group_time(w.group, first + MINUTE_MS - 1), first);
    assert_int_equal(rule_group_time(w.group, first + MINUTE_MS), first + MINUTE_MS);
    assert_int_equal(rule_group_time(w.group, first - 1), first - MINUTE_MS);
    assert_true(rule_group_time(w.group, -1) <= -1);
    world_deinit(&w);
}

static void generator_urls_are_as_prometheus_has_them(void **state)
{
    (void)state;
    struct buffer out;
    buffer_init(&out, MEM_OTHER, 4096);
    alert_generator_url(&out, VIEW("http://h:9090/p"), VIEW("up{a=\"b\"} == 0"));
    buffer_append_byte(&out, '\0');
    assert_string_equal(out.ptr,
                        "http://h:9090/p/graph?g0.expr=up%7Ba%3D%22b%22%7D+%3D%3D+0&g0.tab=1");
    buffer_deinit(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(alerts_live_as_their_rule_says),
        cmocka_unit_test(alerts_are_written_and_end),
        cmocka_unit_test(recordings_are_written_in_order_and_end),
        cmocka_unit_test(a_failing_rule_ends_nothing),
        cmocka_unit_test(query_offset_and_limit_are_kept),
        cmocka_unit_test(alerts_of_a_rule_have_a_limit),
        cmocka_unit_test(texts_of_a_rule_have_a_limit),
        cmocka_unit_test(rules_that_are_alike_are_numbered),
        cmocka_unit_test(a_changed_group_takes_over),
        cmocka_unit_test(alerts_outlive_edits_of_what_they_mean),
        cmocka_unit_test(impossible_times_restore_nothing),
        cmocka_unit_test(an_empty_label_takes_the_series_label_away),
        cmocka_unit_test(times_are_an_interval_apart),
        cmocka_unit_test(generator_urls_are_as_prometheus_has_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
