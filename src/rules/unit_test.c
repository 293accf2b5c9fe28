/* SPDX-License-Identifier: Apache-2.0 */
/* unit_test.c: see unit_test.h. Time goes in steps of the evaluation interval from the test's start to the last time
 * that something is asked about. At each step the samples up to it are loaded, as if they had just arrived, and all
 * groups are evaluated; then alerts asked for before the next step are compared. Queries come last. */
#include "rules/unit_test.h"

#include "base/assert.h"
#include "base/duration.h"
#include "base/file.h"
#include "base/floattext.h"
#include "base/mem.h"
#include "promql/series_text.h"
#include "rules/rule_group.h"
#include "rules/rule_query.h"
#include "rules/unit_test_file.h"
#include "rules/unit_test_print.h"
#include "storage/memory_source.h"

#include <glob.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* A series of the test, and how much of it is loaded. */
struct input {
    struct series_text text;
    size_t loaded;
};

struct run {
    const struct unit_test_options *opts;
    const struct unit_test_file *file;
    const struct test_group *test;
    struct unit_test_case *result;
    struct buffer *out;
    struct arena arena;
    struct memory_source *store;
    struct input *inputs;
    struct rule_group **groups;
    size_t group_count;
    struct rule_env env;
    int64_t step_ms; /* since the test's start: of the evaluation in work */
    bool rule_failed;
};

/* --- failures --- */

static void add_text(char ***list, size_t *count, size_t *capacity, struct view text)
{
    *list = mem_grow(MEM_RULES, *list, capacity, *count + 1, sizeof **list);
    (*list)[(*count)++] = mem_copy_string(MEM_RULES, text);
}

static void add_failure(struct run *r, struct view text)
{
    add_text(&r->result->failures, &r->result->failure_count, &r->result->failure_capacity, text);
}

static void text_begin(struct buffer *b)
{
    buffer_init(b, MEM_RULES, UNIT_TEST_BYTES_MAX);
}

static void add_failure_of(struct run *r, struct buffer *text)
{
    add_failure(r, buffer_view(text));
    buffer_deinit(text);
}

static void print_duration(struct buffer *out, int64_t ms)
{
    char text[DURATION_TEXT_BYTES];
    buffer_append(out, text, duration_format(ms, text));
}

/* --- the store --- */

static bool load_inputs(struct run *r)
{
    size_t samples = 0;
    r->inputs = ARENA_ARRAY(&r->arena, struct input, r->test->input_count + 1);
    for (size_t i = 0; i < r->test->input_count; i++) {
        const struct test_input *in = &r->test->inputs[i];
        struct view line =
            arena_printf(&r->arena, "%.*s %.*s", VIEW_ARGS(in->series), VIEW_ARGS(in->values));
        struct error why = {0};
        bool ok = series_text_parse(&r->arena, line, &r->inputs[i].text, &why);
        samples += ok ? r->inputs[i].text.count : 0;
        if (ok && r->inputs[i].text.has_histogram)
            ok = error_set(&why, ERROR_INPUT, "native histograms are not in this version");
        if (ok && samples > UNIT_TEST_SAMPLES_MAX)
            ok = error_set(&why, ERROR_LIMIT, "more than %d samples", UNIT_TEST_SAMPLES_MAX);
        if (!ok) {
            struct buffer text;
            text_begin(&text);
            buffer_printf(&text, "    input_series in line %" PRIu32 ": \"%.*s\": %s", in->line,
                          VIEW_ARGS(view_slice(line, 0, 200)), why.message);
            add_failure_of(r, &text);
            return false;
        }
    }
    return true;
}

static void load_until(struct run *r, int64_t step_ms)
{
    for (size_t i = 0; i < r->test->input_count; i++) {
        struct input *in = &r->inputs[i];
        for (; in->loaded < in->text.count && (int64_t)in->loaded * r->test->interval_ms <= step_ms;
             in->loaded++)
            if (in->text.values[in->loaded].kind == SERIES_VALUE_FLOAT)
                memory_source_add(r->store, in->text.labels,
                                  r->test->start_ms + (int64_t)in->loaded * r->test->interval_ms,
                                  in->text.values[in->loaded].value);
    }
}

/* --- rules --- */

static void add_groups(struct run *r, struct rule_file *f, size_t *capacity)
{
    const struct rule_group_options options = {.default_interval_ms = r->test->interval_ms};
    for (size_t g = 0; g < f->group_count; g++) {
        r->groups = arena_grow(&r->arena, r->groups, capacity, r->group_count + 1,
                               sizeof(struct rule_group *));
        r->groups[r->group_count++] = rule_group_new(f, &f->groups[g], &options);
    }
}

static bool load_rule_file(struct run *r, const char *path, size_t *capacity)
{
    struct rule_file *f;
    struct error why = {0};
    bool ok = rule_file_load(path, &r->opts->rules, &f, &why);
    if (ok)
        add_groups(r, f, capacity);
    else if (!f)
        add_failure(r, view_from(why.message));
    for (size_t i = 0; !ok && f && i < f->error_count; i++) {
        struct buffer text;
        text_begin(&text);
        buffer_printf(&text, "%s: %.*s", path, VIEW_ARGS(f->errors[i].text));
        add_failure_of(r, &text);
    }
    rule_file_unref(f);
    return ok;
}

/* As promtool: by their place in group_eval_order; those that are not in it come with the first. */
static size_t group_place(const struct run *r, const struct rule_group *g)
{
    const struct test_texts *order = &r->file->group_eval_order;
    for (size_t i = 0; i < order->count; i++)
        if (view_eq(order->items[i], g->def->name))
            return i;
    return 0;
}

/* An insertion sort: it keeps the order of equals, and groups are few. */
static void order_groups(struct run *r)
{
    for (size_t i = 1; i < r->group_count; i++) {
        struct rule_group *g = r->groups[i];
        size_t at = i, place = group_place(r, g);
        for (; at > 0 && group_place(r, r->groups[at - 1]) > place; at--)
            r->groups[at] = r->groups[at - 1];
        r->groups[at] = g;
    }
}

static bool load_rules(struct run *r, const struct test_texts *paths)
{
    size_t capacity = 0;
    bool ok = true;
    for (size_t i = 0; i < paths->count && ok; i++)
        ok = load_rule_file(r, paths->items[i].ptr, &capacity);
    if (ok)
        order_groups(r);
    return ok;
}

static void on_rule_failed(void *arg, const struct rule *rule, const struct error *err)
{
    struct run *r = arg;
    struct buffer text;
    text_begin(&text);
    buffer_printf(&text, "    rule: %.*s, time: ", VIEW_ARGS(rule->def->name));
    test_print_duration(&text, r->step_ms);
    buffer_printf(&text, ", err: %s", err->message);
    add_failure_of(r, &text);
    r->rule_failed = true;
}

static bool evaluate_groups(struct run *r)
{
    const struct rule_run how = {.env = &r->env, .failed = on_rule_failed, .failed_arg = r};
    for (size_t i = 0; i < r->group_count; i++)
        rule_group_evaluate(r->groups[i], &how, r->test->start_ms + r->step_ms);
    return !r->rule_failed;
}

/* --- alerts --- */

static int alert_compare(const void *x, const void *y)
{
    const struct test_alert *a = x, *b = y;
    int c = labels_compare(a->labels, b->labels);
    return c ? c : labels_compare(a->annotations, b->annotations);
}

static struct test_alert *firing_alerts(struct run *r, struct view name, size_t *count)
{
    struct test_alert *found = NULL;
    size_t capacity = 0;
    *count = 0;
    for (size_t g = 0; g < r->group_count; g++) {
        for (size_t i = 0; i < r->groups[g]->rule_count; i++) {
            const struct rule *rule = &r->groups[g]->rules[i];
            if (rule->def->kind != RULE_ALERTING || !view_eq(rule->def->name, name))
                continue;
            for (size_t a = 0; a < rule->alert_count; a++) {
                if (rule->alerts[a]->state != ALERT_FIRING)
                    continue;
                found = arena_grow(&r->arena, found, &capacity, *count + 1, sizeof *found);
                found[(*count)++] =
                    (struct test_alert){rule->alerts[a]->labels, rule->alerts[a]->annotations};
            }
        }
    }
    if (*count)
        qsort(found, *count, sizeof *found, alert_compare);
    return found;
}

/* What the test says, with the label that rules add. */
static struct test_alert *expected_alerts(struct run *r, const struct alert_test *t)
{
    struct test_alert *all = ARENA_ARRAY(&r->arena, struct test_alert, t->alert_count + 1);
    for (size_t i = 0; i < t->alert_count; i++) {
        struct labels_builder b;
        labels_builder_init(&b, &r->arena);
        labels_builder_reset(&b, t->alerts[i].labels);
        labels_builder_set(&b, VIEW("alertname"), t->alertname);
        all[i] = (struct test_alert){labels_copy(&r->arena, labels_builder_finish(&b)),
                                     t->alerts[i].annotations};
    }
    qsort(all, t->alert_count, sizeof *all, alert_compare);
    return all;
}

static void print_alerts_diff(struct buffer *text, const struct test_alert *expected,
                              size_t expected_count, const struct test_alert *got, size_t got_count)
{
    struct buffer a, b;
    text_begin(&a);
    text_begin(&b);
    test_print_alerts(&a, expected, expected_count, 0);
    test_print_alerts(&b, got, got_count, 0);
    buffer_append_literal(text, "\n        diff:");
    test_print_diff(text, buffer_view(&a), buffer_view(&b), 12);
    buffer_deinit(&a);
    buffer_deinit(&b);
}

static void check_alerts(struct run *r, const struct alert_test *t)
{
    size_t got_count;
    struct test_alert *expected = expected_alerts(r, t),
                      *got = firing_alerts(r, t->alertname, &got_count);
    bool same = got_count == t->alert_count;
    for (size_t i = 0; i < got_count && same; i++)
        same = alert_compare(&expected[i], &got[i]) == 0;
    if (same)
        return;
    struct buffer text;
    text_begin(&text);
    if (r->test->name.len)
        buffer_printf(&text, "    name: %.*s,\n", VIEW_ARGS(r->test->name));
    buffer_printf(&text, "    alertname: %.*s, time: ", VIEW_ARGS(t->alertname));
    print_duration(&text, t->eval_ms);
    if (r->opts->diff) {
        buffer_append_byte(&text, ',');
        print_alerts_diff(&text, expected, t->alert_count, got, got_count);
    } else {
        buffer_append_literal(&text, ", \n        exp:");
        test_print_alerts(&text, expected, t->alert_count, 12);
        buffer_append_literal(&text, ", \n        got:");
        test_print_alerts(&text, got, got_count, 12);
    }
    add_failure_of(r, &text);
}

/* --- queries --- */

static int point_compare(const void *x, const void *y)
{
    return labels_compare(((const struct test_point *)x)->labels,
                          ((const struct test_point *)y)->labels);
}

static bool values_equal(const struct run *r, double a, double b)
{
    if (a == b)
        return true;
    return r->file->fuzzy_compare && (nextafter(a, -INFINITY) == b || nextafter(a, INFINITY) == b);
}

static void fail_expr(struct run *r, const struct expr_test *t, const char *why)
{
    struct buffer text;
    text_begin(&text);
    buffer_append_literal(&text, "    expr: ");
    label_quote(&text, t->expr);
    buffer_append_literal(&text, ", time: ");
    print_duration(&text, t->eval_ms);
    buffer_printf(&text, ", err: %s", why);
    add_failure_of(r, &text);
}

static bool expected_points(struct run *r, const struct expr_test *t, struct test_point *out)
{
    for (size_t i = 0; i < t->sample_count; i++) {
        const struct test_sample *s = &t->samples[i];
        struct error why = {0};
        out[i] = (struct test_point){.value = s->value};
        bool ok = s->labels.len == 0 ||
                  series_text_parse_metric(&r->arena, s->labels, &out[i].labels, &why);
        if (!ok)
            (void)error_wrap(&why, "labels \"%.*s\"", VIEW_ARGS(view_slice(s->labels, 0, 200)));
        if (ok && s->is_histogram)
            ok = error_set(&why, ERROR_INPUT, "native histograms are not in this version");
        if (!ok) {
            fail_expr(r, t, why.message);
            return false;
        }
    }
    return true;
}

static void print_points(struct buffer *text, const char *what, const struct test_point *points,
                         size_t count)
{
    buffer_printf(text, "\n        %s: ", what);
    test_print_points(text, points, count);
}

static void fail_points(struct run *r, const struct expr_test *t, const struct test_point *expected,
                        const struct test_point *got, size_t got_count)
{
    struct buffer text;
    text_begin(&text);
    buffer_append_literal(&text, "    expr: ");
    label_quote(&text, t->expr);
    buffer_append_literal(&text, ", time: ");
    print_duration(&text, t->eval_ms);
    buffer_append_byte(&text, ',');
    print_points(&text, "exp", expected, t->sample_count);
    print_points(&text, "got", got, got_count);
    add_failure_of(r, &text);
}

static void check_expr(struct run *r, const struct expr_test *t)
{
    struct rule_vector v;
    struct error why = {0};
    struct test_point *expected = ARENA_ARRAY(&r->arena, struct test_point, t->sample_count + 1);
    if (!rule_query_text(&r->env, NULL, t->expr, r->test->start_ms + t->eval_ms, &r->arena, &v,
                         &why)) {
        fail_expr(r, t, why.message);
        return;
    }
    if (!expected_points(r, t, expected))
        return;
    struct test_point *got = ARENA_ARRAY(&r->arena, struct test_point, v.count + 1);
    for (size_t i = 0; i < v.count; i++)
        got[i] = (struct test_point){v.labels[i], v.values[i]};
    qsort(expected, t->sample_count, sizeof *expected, point_compare);
    qsort(got, v.count, sizeof *got, point_compare);
    bool same = v.count == t->sample_count;
    for (size_t i = 0; i < v.count && same; i++)
        same = point_compare(&expected[i], &got[i]) == 0 &&
               values_equal(r, expected[i].value, got[i].value);
    if (!same)
        fail_points(r, t, expected, got, v.count);
}

/* --- one test --- */

static int64_t last_ms(const struct test_group *t)
{
    int64_t last = 0;
    for (size_t i = 0; i < t->alert_test_count; i++)
        last = t->alert_tests[i].eval_ms > last ? t->alert_tests[i].eval_ms : last;
    for (size_t i = 0; i < t->expr_test_count; i++)
        last = t->expr_tests[i].eval_ms > last ? t->expr_tests[i].eval_ms : last;
    return last;
}

static int alert_test_compare(const void *x, const void *y)
{
    const struct alert_test *a = *(const struct alert_test *const *)x,
                            *b = *(const struct alert_test *const *)y;
    if (a->eval_ms != b->eval_ms)
        return a->eval_ms < b->eval_ms ? -1 : 1;
    return (a > b) - (a < b); /* they are in one array: in the order written */
}

/* By time; those without a name are told. */
static const struct alert_test **sorted_alert_tests(struct run *r, size_t *count)
{
    const struct alert_test **sorted =
        arena_alloc(&r->arena, (r->test->alert_test_count + 1) * sizeof(struct alert_test *));
    *count = 0;
    for (size_t i = 0; i < r->test->alert_test_count; i++) {
        const struct alert_test *t = &r->test->alert_tests[i];
        if (t->alertname.len) {
            sorted[(*count)++] = t;
            continue;
        }
        struct buffer text;
        text_begin(&text);
        buffer_append_literal(&text, "an item under alert_rule_test misses required attribute "
                                     "alertname at eval_time ");
        print_duration(&text, t->eval_ms);
        add_failure_of(r, &text);
    }
    if (*count)
        qsort(sorted, *count, sizeof(struct alert_test *), alert_test_compare);
    return sorted;
}

static void print_store(struct run *r)
{
    struct query *q;
    struct error why = {0};
    int64_t range_ms = (last_ms(r->test) + 1000) / 1000 * 1000;
    char duration[DURATION_TEXT_BYTES];
    duration_format(range_ms, duration);
    struct view text = arena_printf(&r->arena, "{__name__=~\".+\"}[%s]", duration);
    struct query_params params = {.start_ms = r->test->start_ms + range_ms,
                                  .end_ms = r->test->start_ms + range_ms,
                                  .instant = true};
    buffer_printf(r->out, "DEBUG: Dump of all data (input_series and rules) at %s:\n", duration);
    if (!query_new(&q, r->env.source, &r->env.engine, text, &params, &why) || !query_run(q, &why)) {
        buffer_printf(r->out, "DEBUG: Failed querying, expr: %.*s, err: %s\n", VIEW_ARGS(text),
                      why.message);
        query_free(q);
        return;
    }
    const struct query_result *result = query_get_result(q);
    for (size_t i = 0; i < result->series_count; i++) {
        const struct result_series *s = &result->series[i];
        labels_format(r->out, label_store_labels(result->labels, s->labels, &r->arena));
        buffer_append_literal(r->out, " =>\n");
        for (uint32_t k = 0; k < s->count; k++) {
            char number[FLOAT_TEXT_BYTES];
            buffer_append(r->out, number, float_format_plain(s->values[k], number));
            buffer_printf(r->out, " @[%" PRId64 "]\n", s->times[k]);
        }
    }
    query_free(q);
}

static void run_steps(struct run *r)
{
    int64_t step = r->file->evaluation_interval_ms, end = last_ms(r->test);
    size_t alert_count, next = 0;
    const struct alert_test **alerts = sorted_alert_tests(r, &alert_count);
    if (end / step > UNIT_TEST_STEPS_MAX) {
        add_failure(r, VIEW("    more evaluations than are allowed"));
        return;
    }
    for (r->step_ms = 0; r->step_ms <= end; r->step_ms += step) {
        load_until(r, r->step_ms);
        if (!evaluate_groups(r))
            return;
        for (; next < alert_count && alerts[next]->eval_ms < r->step_ms + step; next++)
            check_alerts(r, alerts[next]);
    }
    for (size_t i = 0; i < r->test->expr_test_count; i++)
        check_expr(r, &r->test->expr_tests[i]);
    if (r->opts->debug)
        print_store(r);
}

static void run_test(const struct unit_test_options *opts, const struct unit_test_file *file,
                     const struct test_group *test, const struct test_texts *rule_paths,
                     struct unit_test_case *result, struct buffer *out)
{
    struct run r = {.opts = opts, .file = file, .test = test, .result = result, .out = out};
    arena_init(&r.arena, MEM_RULES, 0);
    r.store = memory_source_new();
    r.env = (struct rule_env){.source = memory_source_as_source(r.store),
                              .store = series_store_of_memory(r.store),
                              .engine = {.pool = opts->pool,
                                         .default_subquery_step_ms = file->evaluation_interval_ms,
                                         .delayed_name_removal = opts->delayed_name_removal,
                                         .parser = opts->rules.parser},
                              .external_labels = test->external_labels,
                              .external_url = test->external_url};
    if (opts->debug)
        buffer_printf(out, "DEBUG: Starting test %s\n", result->name);
    if (load_inputs(&r) && load_rules(&r, rule_paths))
        run_steps(&r);
    if (opts->debug)
        buffer_printf(out, "DEBUG: Test %s finished\n", result->name);
    for (size_t i = 0; i < r.group_count; i++) {
        rule_group_close(r.groups[i]);
        rule_group_unref(r.groups[i]);
    }
    memory_source_free(r.store);
    arena_deinit(&r.arena);
}

/* --- a file --- */

/* The rule files, beside the test's own; a pattern without a match is told. */
static struct test_texts rule_paths(struct arena *arena, const char *path,
                                    const struct test_texts *patterns, struct buffer *out)
{
    struct test_texts paths = {0};
    size_t capacity = 0;
    const char *slash = strrchr(path, '/');
    struct view dir = {path, slash ? (size_t)(slash - path) + 1 : 0};
    for (size_t i = 0; i < patterns->count; i++) {
        glob_t found = {0};
        struct view p = patterns->items[i];
        bool absolute = p.len && p.ptr[0] == '/';
        struct view joined =
            arena_printf(arena, "%.*s%.*s", absolute ? 0 : (int)dir.len, dir.ptr, VIEW_ARGS(p));
        size_t count = glob(joined.ptr, 0, NULL, &found) == 0 ? found.gl_pathc : 0;
        if (count == 0)
            buffer_printf(out, "  WARNING: no file match pattern %.*s\n", VIEW_ARGS(joined));
        for (size_t k = 0; k < count; k++) {
            paths.items =
                arena_grow(arena, paths.items, &capacity, paths.count + 1, sizeof *paths.items);
            paths.items[paths.count++] = arena_copy(arena, view_from(found.gl_pathv[k]));
        }
        globfree(&found);
    }
    return paths;
}

static struct unit_test_case *add_case(struct unit_test_report *report,
                                       const struct test_group *test, size_t number)
{
    char unnamed[32];
    snprintf(unnamed, sizeof unnamed, "unnamed#%zu", number);
    report->cases = mem_grow(MEM_RULES, report->cases, &report->case_capacity,
                             report->case_count + 1, sizeof *report->cases);
    struct unit_test_case *c = &report->cases[report->case_count++];
    *c = (struct unit_test_case){
        .name = mem_copy_string(MEM_RULES, test->name.len ? test->name : view_from(unnamed))};
    return c;
}

bool unit_test_run_text(struct view text, const char *path, const struct unit_test_options *opts,
                        struct unit_test_report *report, struct buffer *out)
{
    struct arena arena;
    struct unit_test_file file;
    struct error err = {0};
    bool passed = true;
    arena_init(&arena, MEM_RULES, 0);
    if (!unit_test_file_parse(&arena, text, opts->rules.ignore_unknown_fields, opts->parse_time,
                              &file, &err)) {
        add_text(&report->errors, &report->error_count, &report->error_capacity,
                 view_from(err.message));
        arena_deinit(&arena);
        return false;
    }
    struct test_texts paths = rule_paths(&arena, path, &file.rule_files, out);
    for (size_t i = 0; i < file.test_count; i++) {
        if (opts->run && !regex_match(opts->run, file.tests[i].name))
            continue;
        struct unit_test_case *c = add_case(report, &file.tests[i], i);
        run_test(opts, &file, &file.tests[i], &paths, c, out);
        passed &= c->failure_count == 0;
    }
    arena_deinit(&arena);
    return passed;
}

bool unit_test_run(const char *path, const struct unit_test_options *opts,
                   struct unit_test_report *report, struct buffer *out)
{
    struct buffer text;
    struct error err = {0};
    buffer_init(&text, MEM_RULES, UNIT_TEST_BYTES_MAX);
    bool ok = file_read_all(path, &text, &err);
    if (ok)
        ok = unit_test_run_text(buffer_view(&text), path, opts, report, out);
    else
        add_text(&report->errors, &report->error_count, &report->error_capacity,
                 view_from(err.message));
    buffer_deinit(&text);
    return ok;
}

static void texts_free(char **texts, size_t count)
{
    for (size_t i = 0; i < count; i++)
        mem_free(MEM_RULES, texts[i]);
    mem_free(MEM_RULES, texts);
}

void unit_test_report_deinit(struct unit_test_report *r)
{
    for (size_t i = 0; i < r->case_count; i++) {
        texts_free(r->cases[i].failures, r->cases[i].failure_count);
        mem_free(MEM_RULES, r->cases[i].name);
    }
    mem_free(MEM_RULES, r->cases);
    texts_free(r->errors, r->error_count);
    *r = (struct unit_test_report){0};
}

/* --- JUnit --- */

static void xml_text(struct buffer *out, struct view text)
{
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        if (c == '<' || c == '>' || c == '&' || c == '"' || c == '\n' || c == '\t')
            buffer_printf(out, "&#x%X;", c);
        else if (c < 0x20) /* XML has no way to say these */
            buffer_append_literal(out, "\xef\xbf\xbd");
        else
            buffer_append_byte(out, (char)c);
    }
}

static void junit_case(struct buffer *out, const struct unit_test_case *c)
{
    buffer_append_literal(out, "\t\t<testcase name=\"");
    xml_text(out, view_from(c->name));
    buffer_append_literal(out, "\">\n");
    for (size_t i = 0; i < c->failure_count; i++) {
        buffer_append_literal(out, "\t\t\t<failure message=\"\" type=\"\">");
        xml_text(out, view_from(c->failures[i]));
        buffer_append_literal(out, "</failure>\n");
    }
    buffer_append_literal(out, "\t\t</testcase>\n");
}

void unit_test_junit(const char *const *paths, const struct unit_test_report *reports, size_t count,
                     struct buffer *out)
{
    buffer_append_literal(out, "<testsuites>\n");
    for (size_t i = 0; i < count; i++) {
        const struct unit_test_report *r = &reports[i];
        size_t failures = 0;
        for (size_t k = 0; k < r->case_count; k++)
            failures += r->cases[k].failure_count;
        buffer_append_literal(out, "\t<testsuite name=\"");
        xml_text(out, view_from(paths[i]));
        buffer_printf(out, "\" tests=\"%zu\" failures=\"%zu\" errors=\"%zu\">\n", r->case_count,
                      failures, r->error_count);
        for (size_t k = 0; k < r->case_count; k++)
            junit_case(out, &r->cases[k]);
        for (size_t k = 0; k < r->error_count; k++) {
            buffer_append_literal(out, "\t\t<system-err>");
            xml_text(out, view_from(r->errors[k]));
            buffer_append_literal(out, "</system-err>\n");
        }
        buffer_append_literal(out, "\t</testsuite>\n");
    }
    buffer_append_literal(out, "</testsuites>\n");
}
