/* SPDX-License-Identifier: Apache-2.0 */
/* backtest_test.c: a backtest says of history what a server would have done with it. The oracle is the evaluation of the
 * groups time by time, as a server and unit tests of rules do it; the backtest takes chunks and range queries. */
#include "base/buffer.h"
#include "promql/selectors.h"
#include "rules/backtest.h"
#include "rules/overlay_source.h"
#include "rules/rule_query.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MINUTE_MS INT64_C(60000)
#define HOUR_MS (60 * MINUTE_MS)
#define BEGIN_MS (INT64_C(1700000000) * 1000)

/* --- history --- */

static unsigned seed;

static unsigned next_random(void)
{
    seed = seed * 1664525u + 1013904223u;
    return seed >> 16;
}

static void add(struct memory_source *m, const char *name, unsigned i, int64_t time_ms, double v)
{
    char number[16];
    snprintf(number, sizeof number, "%u", i);
    const struct label items[] = {{VIEW(LABEL_NAME), view_from(name)},
                                  {VIEW("i"), view_from(number)}};
    memory_source_add(m, (struct labels){items, 2}, time_ms, v);
}

/* Two series of each metric that walk at random and now and then are not there. */
static struct memory_source *make_history(int64_t from_ms, int64_t to_ms)
{
    struct memory_source *m = memory_source_new();
    double values[4] = {50, 50, 0, 0};
    unsigned gone[2] = {0, 0};
    for (int64_t t = from_ms; t <= to_ms; t += 15000) {
        for (unsigned i = 0; i < 2; i++) {
            values[i] += (double)(next_random() % 21) - 10;
            values[i] = values[i] < 0 ? 0 : values[i] > 100 ? 100 : values[i];
            values[2 + i] += next_random() % 10;
            gone[i] = gone[i] ? gone[i] - 1 : next_random() % 200 == 0 ? 50 : 0;
            if (gone[i])
                continue;
            add(m, "x", i, t, values[i]);
            add(m, "c_total", i, t, values[2 + i]);
        }
    }
    return m;
}

/* --- the oracle --- */

struct oracle {
    struct buffer text;
    int64_t from_ms, to_ms, now_ms;
};

static void put(struct buffer *out, struct labels labels, const char *what, int64_t time_ms)
{
    labels_format_set(out, labels);
    buffer_printf(out, " %s %lld\n", what, (long long)(time_ms - BEGIN_MS));
}

static void on_notices(void *arg, const struct alert_notice *notices, size_t count)
{
    struct oracle *o = arg;
    for (size_t i = 0; i < count; i++) {
        int64_t at = notices[i].is_resolved ? notices[i].ends_ms : notices[i].starts_ms;
        if (at == o->now_ms && at > o->from_ms)
            put(&o->text, notices[i].labels, notices[i].is_resolved ? "ends" : "fires", at);
    }
}

struct turn {
    struct rule_group *group;
    int64_t time_ms;
};

static int turn_compare(const void *x, const void *y)
{
    const struct turn *a = x, *b = y;
    return (a->time_ms > b->time_ms) - (a->time_ms < b->time_ms);
}

/* Every group at its times, all in the order of time. */
static void run_oracle(struct oracle *o, struct rule_file *file, struct memory_source *history,
                       int64_t start_ms)
{
    const struct rule_group_options options = {.default_interval_ms = MINUTE_MS};
    struct rule_env env = {.source = memory_source_as_source(history),
                           .store = series_store_of_memory(history)};
    const struct rule_run run = {
        .env = &env, .sink = {on_notices, o}, .resend_delay_ms = MINUTE_MS};
    struct rule_group *groups[8];
    struct turn *turns = malloc(100000 * sizeof *turns);
    size_t count = 0;
    for (size_t g = 0; g < file->group_count; g++) {
        groups[g] = rule_group_new(file, &file->groups[g], &options);
        int64_t t = rule_group_time(groups[g], start_ms);
        for (t = t < start_ms ? t + groups[g]->interval_ms : t; t <= o->to_ms;
             t += groups[g]->interval_ms) {
            assert_true(count < 100000);
            turns[count++] = (struct turn){groups[g], t};
        }
    }
    qsort(turns, count, sizeof *turns, turn_compare);
    for (size_t i = 0; i < count; i++) {
        o->now_ms = turns[i].time_ms;
        rule_group_evaluate(turns[i].group, &run, turns[i].time_ms);
    }
    for (size_t g = 0; g < file->group_count; g++) {
        rule_group_close(groups[g]);
        rule_group_unref(groups[g]);
    }
    free(turns);
}

/* --- the backtest's answer in the same words --- */

static void print_backtest(const struct backtest *b, struct buffer *out)
{
    for (size_t i = 0; i < b->episode_count; i++) {
        const struct backtest_episode *e = &b->episodes[i];
        if (e->fired_ms == RULE_NEVER)
            continue;
        if (e->fired_ms > b->from_ms)
            put(out, b->series[e->series].labels, "fires", e->fired_ms);
        if (e->end_ms != RULE_NEVER)
            put(out, b->series[e->series].labels, "ends", e->end_ms);
    }
}

static int line_compare(const void *x, const void *y)
{
    return strcmp(*(char *const *)x, *(char *const *)y);
}

static void sort_lines(struct buffer *text)
{
    char *lines[10000], *copy = malloc(text->len + 1), *save = NULL;
    size_t count = 0;
    memcpy(copy, text->ptr, text->len);
    copy[text->len] = '\0';
    for (char *line = strtok_r(copy, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
        lines[count++] = line;
    qsort(lines, count, sizeof *lines, line_compare);
    buffer_reset(text);
    for (size_t i = 0; i < count; i++)
        buffer_printf(text, "%s\n", lines[i]);
    buffer_append_byte(text, '\0');
    free(copy);
}

static struct rule_file *parse(const char *text)
{
    struct rule_file *file;
    struct error err = {0};
    if (!rule_file_parse(view_from(text), "r.yml", NULL, &file, &err))
        fail_msg("%s", err.message);
    return file;
}

static struct backtest *run_backtest(struct rule_file *file, struct memory_source *history,
                                     int64_t from_ms, int64_t to_ms, int64_t chunk_ms)
{
    struct rule_file *const files[] = {file};
    struct backtest *b;
    struct error err = {0};
    const struct backtest_options options = {.replay = {.files = files,
                                                        .file_count = 1,
                                                        .history = memory_source_as_source(history),
                                                        .start_ms = from_ms,
                                                        .end_ms = to_ms,
                                                        .chunk_ms = chunk_ms,
                                                        .default_interval_ms = MINUTE_MS}};
    if (!backtest_run(&b, &options, &err))
        fail_msg("%s", err.message);
    return b;
}

static const struct {
    const char *name, *rules;
    bool is_stepwise;
} CASES[] = {
    {"no for", "groups:\n- name: g\n  rules:\n  - {alert: A, expr: x > 80}\n", false},
    {"for, labels, own interval",
     "groups:\n- name: g\n  interval: 45s\n  rules:\n"
     "  - {alert: A, expr: x > 60, for: 3m, labels: {l: '{{ $labels.i }}-x', n: '{{ if gt $value "
     "90.0 }}hi{{ end }}'}}\n",
     false},
    {"keep_firing_for, recover, missing_for",
     "groups:\n- name: g\n  rules:\n  - {alert: A, expr: x > 70, keep_firing_for: 5m}\n"
     "  - {alert: B, expr: x > 80, recover: x < 50}\n  - {alert: C, expr: x, missing_for: 2m}\n",
     false},
    {"a recording of the same group, one of another that stands later",
     "groups:\n- name: g\n  rules:\n  - {record: 'r:avg', expr: 'avg_over_time(x[5m])'}\n"
     "  - {alert: A, expr: 'r:avg > 55', for: 2m}\n  - {alert: B, expr: 'late > 6'}\n"
     "- name: h\n  rules:\n  - {record: late, expr: 'rate(c_total[10m]) * 20'}\n",
     false},
    {"a range over a recording, an offset, a chain",
     "groups:\n- name: g\n  rules:\n  - {record: a, expr: x * 1}\n  - {record: b, expr: 'a + 0'}\n"
     "  - {alert: A, expr: 'max_over_time(b[20m]) > 95 and b offset 10m > 20'}\n",
     false},
    {"aggregation, absence, scalars",
     "groups:\n- name: g\n  rules:\n  - {alert: A, expr: 'absent(x{i=\"1\"})', for: 1m}\n"
     "  - {alert: B, expr: sum(x) > 120}\n  - {alert: C, expr: 'vector(1) > 0'}\n",
     false},
    {"query_offset",
     "groups:\n- name: g\n  query_offset: 90s\n  rules:\n  - {record: r, expr: x}\n"
     "  - {alert: A, expr: r > 80, for: 1m}\n",
     false},
    {"ALERTS is read",
     "groups:\n- name: g\n  rules:\n  - {alert: A, expr: x > 80}\n"
     "  - {alert: B, expr: 'count(ALERTS{alertname=\"A\",alertstate=\"firing\"}) > 1', for: 1m}\n",
     true},
    {"a rule reads itself",
     "groups:\n- name: g\n  rules:\n  - {record: n, expr: 'sum(x > bool 80) + (n or vector(0)) * "
     "0.5'}\n"
     "  - {alert: A, expr: n > 1.5}\n",
     true},
    {"times of a range query are not those of a rule",
     "groups:\n- name: g\n  rules:\n  - {alert: A, expr: 'x @ end() > 80'}\n", false},
};

static void a_backtest_says_what_evaluation_does(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        for (int64_t chunk_ms = HOUR_MS; chunk_ms <= 24 * HOUR_MS; chunk_ms *= 24) {
            int64_t from_ms = BEGIN_MS + 3 * HOUR_MS, to_ms = BEGIN_MS + 9 * HOUR_MS;
            struct oracle o = {.from_ms = from_ms, .to_ms = to_ms};
            struct buffer got;
            seed = (unsigned)i + 7;
            struct memory_source *history = make_history(BEGIN_MS, to_ms);
            seed = (unsigned)i + 7;
            struct memory_source *same = make_history(BEGIN_MS, to_ms);
            struct rule_file *file = parse(CASES[i].rules);
            buffer_init(&o.text, MEM_OTHER, 16 << 20);
            buffer_init(&got, MEM_OTHER, 16 << 20);
            run_oracle(&o, file, same, BEGIN_MS);
            struct backtest *b = run_backtest(file, history, from_ms, to_ms, chunk_ms);
            print_backtest(b, &got);
            assert_true(o.text.len > 0);
            sort_lines(&o.text);
            sort_lines(&got);
            size_t same_bytes = 0; /* up to the first difference */
            while (o.text.ptr[same_bytes] && o.text.ptr[same_bytes] == got.ptr[same_bytes])
                same_bytes++;
            if (strcmp(o.text.ptr, got.ptr) != 0)
                fail_msg("%s, from byte %zu: expected \"%.200s\", got \"%.200s\"", CASES[i].name,
                         same_bytes, o.text.ptr + same_bytes, got.ptr + same_bytes);
            assert_int_equal(b->is_stepwise, CASES[i].is_stepwise);
            backtest_free(b);
            rule_file_unref(file);
            memory_source_free(history);
            memory_source_free(same);
            buffer_deinit(&got);
            buffer_deinit(&o.text);
        }
    }
}

/* --- figures --- */

/* Steps of a minute: '#' the condition holds. */
static struct backtest *of_pattern(const char *pattern, const char *rule, struct rule_file **file)
{
    struct memory_source *m = memory_source_new();
    char text[512];
    int64_t count = (int64_t)strlen(pattern);
    snprintf(text, sizeof text, "groups:\n- name: g\n  rules:\n  - {alert: A, expr: x > 0%s}\n",
             rule);
    *file = parse(text);
    const struct rule_group_options options = {.default_interval_ms = MINUTE_MS};
    struct rule_group *g = rule_group_new(*file, &(*file)->groups[0], &options);
    int64_t first = rule_group_time(g, BEGIN_MS) + MINUTE_MS;
    rule_group_unref(g);
    for (int64_t i = 0; i < count; i++)
        add(m, "x", 0, first + i * MINUTE_MS, pattern[i] == '#');
    struct backtest *b =
        run_backtest(*file, m, first, first + (count - 1) * MINUTE_MS, 24 * HOUR_MS);
    memory_source_free(m);
    return b;
}

static const struct {
    const char *pattern, *rule;
    size_t fired, pending, most_in_hour;
    int64_t firing, longest, gap; /* minutes; gap -1: none */
    int64_t for_hint, keep_hint;  /* minutes */
    size_t for_fired, keep_fired;
} FIGURES[] = {
    {"....####....", "", 1, 0, 1, 4, 4, -1, 0, 0, 0, 0},
    {"....####....", ", for: 2m", 1, 0, 1, 2, 2, -1, 0, 0, 0, 0},
    {"....##..####", ", for: 2m", 1, 1, 1, 1, 1, -1, 0, 0, 0, 0},
    {"............", "", 0, 0, 0, 0, 0, -1, 0, 0, 0, 0},
    /* four short ones and a long one: `for` drops the short ones, keeping joins all */
    {"#..#..#..#..##########..", "", 5, 0, 5, 14, 10, 2, 1, 3, 1, 1},
    {"##..##..##..##..", "", 4, 0, 4, 8, 2, 2, 0, 3, 0, 1},
};

static void figures_and_hints_are_those_of_the_pattern(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(FIGURES); i++) {
        struct rule_file *file;
        struct backtest *b = of_pattern(FIGURES[i].pattern, FIGURES[i].rule, &file);
        const struct backtest_rule *r = &b->rules[0];
        const int64_t gap = r->shortest_gap_ms == RULE_NEVER ? -1 : r->shortest_gap_ms / MINUTE_MS;
        if (r->fired_count != FIGURES[i].fired || r->pending_count != FIGURES[i].pending ||
            r->most_in_hour != FIGURES[i].most_in_hour ||
            r->firing_ms != FIGURES[i].firing * MINUTE_MS ||
            r->longest_ms != FIGURES[i].longest * MINUTE_MS || gap != FIGURES[i].gap ||
            r->for_hint.value_ms != FIGURES[i].for_hint * MINUTE_MS ||
            r->keep_hint.value_ms != FIGURES[i].keep_hint * MINUTE_MS ||
            r->for_hint.fired_count != FIGURES[i].for_fired ||
            r->keep_hint.fired_count != FIGURES[i].keep_fired)
            fail_msg("\"%s\"%s: fired %zu pending %zu hour %zu firing %lld longest %lld gap %lld "
                     "for %lld (%zu) keep %lld (%zu)",
                     FIGURES[i].pattern, FIGURES[i].rule, r->fired_count, r->pending_count,
                     r->most_in_hour, (long long)(r->firing_ms / MINUTE_MS),
                     (long long)(r->longest_ms / MINUTE_MS), (long long)gap,
                     (long long)(r->for_hint.value_ms / MINUTE_MS), r->for_hint.fired_count,
                     (long long)(r->keep_hint.value_ms / MINUTE_MS), r->keep_hint.fired_count);
        backtest_free(b);
        rule_file_unref(file);
    }
}

/* Hints say what the setting would have done: a backtest with it gives that many. */
static void hints_hold_when_they_are_followed(void **state)
{
    (void)state;
    static const char PATTERN[] =
        "#..#..##..#...########..#..#.####..##...#################...#..#.";
    struct rule_file *file;
    struct backtest *b = of_pattern(PATTERN, "", &file);
    const struct backtest_rule r = b->rules[0];
    assert_true(r.for_hint.value_ms > 0 && r.keep_hint.value_ms > 0);
    backtest_free(b);
    rule_file_unref(file);
    const char *const FIELDS[] = {"for", "keep_firing_for"};
    const struct backtest_hint hints[] = {r.for_hint, r.keep_hint};
    for (int i = 0; i < 2; i++) {
        char rule[64];
        snprintf(rule, sizeof rule, ", %s: %lldm", FIELDS[i],
                 (long long)(hints[i].value_ms / MINUTE_MS));
        b = of_pattern(PATTERN, rule, &file);
        assert_int_equal(b->rules[0].fired_count, hints[i].fired_count);
        assert_true(b->rules[0].most_in_hour < BACKTEST_FLAPS);
        backtest_free(b);
        rule_file_unref(file);
    }
}

/* A rule that fails at some times is told, and is right at the others. */
static void failures_are_told_and_cost_no_other_time(void **state)
{
    (void)state;
    struct memory_source *m = memory_source_new();
    struct rule_file *file = parse("groups:\n- name: g\n  rules:\n"
                                   "  - {alert: A, expr: 'x * on() y > 0'}\n");
    for (int64_t t = 0; t < 60; t++) {
        int64_t at = BEGIN_MS + t * MINUTE_MS;
        add(m, "x", 0, at, t >= 30 && t < 50);
        add(m, "y", 0, at, 1);
        if (t >= 40 && t < 45)
            add(m, "y", 1, at, 1); /* which one? */
    }
    struct backtest *b = run_backtest(file, m, BEGIN_MS, BEGIN_MS + 59 * MINUTE_MS, 24 * HOUR_MS);
    assert_in_range(b->rules[0].failures, 5, 10); /* with the lookback of y{i="1"} */
    assert_non_null(strstr(b->rules[0].first_failure, "many-to-many"));
    assert_int_equal(b->rules[0].fired_count, 1);
    assert_int_equal(b->rules[0].firing_ms, 20 * MINUTE_MS);
    backtest_free(b);
    rule_file_unref(file);
    memory_source_free(m);
}

static void rules_without_alerts_are_refused(void **state)
{
    (void)state;
    struct memory_source *m = memory_source_new();
    struct rule_file *file = parse("groups:\n- name: g\n  rules:\n  - {record: a, expr: x}\n");
    struct rule_file *const files[] = {file};
    const struct backtest_options options = {.replay = {.files = files,
                                                        .file_count = 1,
                                                        .history = memory_source_as_source(m),
                                                        .start_ms = 0,
                                                        .end_ms = 1000,
                                                        .default_interval_ms = MINUTE_MS}};
    struct backtest *b;
    struct error err = {0};
    assert_false(backtest_run(&b, &options, &err));
    assert_null(b);
    assert_string_equal(err.message, "the files have no alerting rules");
    rule_file_unref(file);
    memory_source_free(m);
}

/* --- what expressions need --- */

static const struct {
    const char *expr;
    int64_t reach; /* minutes; -1: unknown */
    bool depends;
} NEEDS[] = {
    {"1", 0, false},
    {"x", 5, false},
    {"x offset 10m", 15, false},
    {"x offset -10m", 5, false},
    {"rate(x[20m])", 25, false},
    {"max_over_time(rate(x[20m])[1h:5m] offset 1h)", 145, false},
    {"sum by (a) (x) / on() group_left() (y offset 2m + z)", 7, false},
    {"topk(scalar(x offset 1h), y)", 65, false},
    {"x @ 1000", -1, false},
    {"x @ end()", 5, true},
    {"rate(x[1h] @ start())", 65, true},
};

static void needs_of_expressions_are_known(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(NEEDS); i++) {
        struct promql *q;
        struct error err = {0};
        assert_true(promql_parse(view_from(NEEDS[i].expr), NULL, &q, &err));
        int64_t reach = promql_reach_ms(promql_root(q), 5 * MINUTE_MS);
        int64_t expected = NEEDS[i].reach < 0 ? PROMQL_REACH_MAX : NEEDS[i].reach * MINUTE_MS;
        if (reach != expected || promql_depends_on_range(promql_root(q)) != NEEDS[i].depends)
            fail_msg("%s: reaches back %lld ms", NEEDS[i].expr, (long long)reach);
        promql_free(q);
    }
}

static void trimmed_memory_keeps_what_is_not_before(void **state)
{
    (void)state;
    struct memory_source *m = memory_source_new();
    struct arena arena;
    struct rule_vector v;
    struct error err = {0};
    const struct rule_env env = {.source = memory_source_as_source(m)};
    arena_init(&arena, MEM_OTHER, 0);
    for (int64_t i = 0; i < 10; i++)
        add(m, "x", 0, BEGIN_MS + i * MINUTE_MS, (double)i);
    memory_source_trim(m, BEGIN_MS + 4 * MINUTE_MS);
    assert_true(rule_query_text(&env, NULL, VIEW("sum_over_time(x[1h])"), BEGIN_MS + HOUR_MS / 2,
                                &arena, &v, &err));
    assert_true(v.count == 1 && v.values[0] == 4 + 5 + 6 + 7 + 8 + 9);
    memory_source_trim(m, BEGIN_MS + HOUR_MS);
    assert_true(rule_query_text(&env, NULL, VIEW("count_over_time(x[1h])"), BEGIN_MS + HOUR_MS / 2,
                                &arena, &v, &err));
    assert_int_equal(v.count, 0);
    add(m, "x", 0, BEGIN_MS + HOUR_MS, 1);
    arena_deinit(&arena);
    memory_source_free(m);
}

/* --- the overlay --- */

static void the_overlay_takes_its_names_from_memory_alone(void **state)
{
    (void)state;
    struct memory_source *history = memory_source_new(), *memory = memory_source_new();
    struct string_map *names = string_map_new(MEM_OTHER);
    string_map_set(names, VIEW("x"), 1);
    add(history, "x", 0, BEGIN_MS, 1);
    add(history, "y", 0, BEGIN_MS, 1);
    add(memory, "x", 1, BEGIN_MS, 1);
    struct overlay_source *o = overlay_source_new(memory_source_as_source(history),
                                                  memory_source_as_source(memory), names);
    const struct rule_env env = {.source = overlay_source_as_source(o)};
    static const struct {
        const char *query, *result;
    } QUERIES[] = {{"x", "x{i=\"1\"}"},
                   {"y", "y{i=\"0\"}"},
                   {"{i=\"0\"}", "y{i=\"0\"}"},
                   {"{__name__=~\".+\"}", "x{i=\"1\"} y{i=\"0\"}"}};
    for (size_t i = 0; i < ARRAY_COUNT(QUERIES); i++) {
        struct arena arena;
        struct buffer text;
        struct rule_vector v;
        struct error err = {0};
        arena_init(&arena, MEM_OTHER, 0);
        buffer_init(&text, MEM_OTHER, 1 << 16);
        assert_true(
            rule_query_text(&env, NULL, view_from(QUERIES[i].query), BEGIN_MS, &arena, &v, &err));
        for (size_t k = 0; k < v.count; k++) {
            if (k)
                buffer_append_byte(&text, ' ');
            labels_format(&text, v.labels[k]);
        }
        buffer_append_byte(&text, '\0');
        assert_string_equal(text.ptr, QUERIES[i].result);
        buffer_deinit(&text);
        arena_deinit(&arena);
    }
    overlay_source_free(o);
    string_map_free(names);
    memory_source_free(memory);
    memory_source_free(history);
}

int main(void)
{
    static const struct CMUnitTest TESTS[] = {
        cmocka_unit_test(a_backtest_says_what_evaluation_does),
        cmocka_unit_test(figures_and_hints_are_those_of_the_pattern),
        cmocka_unit_test(hints_hold_when_they_are_followed),
        cmocka_unit_test(failures_are_told_and_cost_no_other_time),
        cmocka_unit_test(rules_without_alerts_are_refused),
        cmocka_unit_test(needs_of_expressions_are_known),
        cmocka_unit_test(trimmed_memory_keeps_what_is_not_before),
        cmocka_unit_test(the_overlay_takes_its_names_from_memory_alone),
    };
    return cmocka_run_group_tests(TESTS, NULL, NULL);
}
