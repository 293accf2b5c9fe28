/* SPDX-License-Identifier: Apache-2.0 */
/* script.c: see script.h. Lines are trimmed; a line that begins with # counts as blank; a command owns the lines up
 * to the next blank one. */
#include "promql/script.h"

#include "base/duration.h"
#include "base/file.h"
#include "base/floattext.h"
#include "base/quote.h"
#include "promql/script_private.h"
#include "storage/memory_source.h"

#include <inttypes.h>
#include <stdio.h>

static const struct engine_options ENGINE = {
    .delayed_name_removal = true,
    .parser = {.experimental_functions = true,
               .duration_expressions = true,
               .extended_range_selectors = true,
               .fill_modifiers = true},
};

struct script {
    const char *path;
    const struct script_options *opts;
    struct script_report *report;
    struct error *err;
    struct view text;
    size_t pos;    /* of the next line */
    uint32_t line; /* number of the line last read, from 1 */
    struct memory_source *store;
    size_t sample_count;
    struct arena data_arena;   /* until the next clear */
    struct labels *histograms; /* series loaded that are native histograms */
    size_t histogram_count, histogram_capacity;
    struct arena command_arena; /* of one command */
};

/* --- lines --- */

static struct view trim(struct view v)
{
    while (v.len && (v.ptr[0] == ' ' || v.ptr[0] == '\t' || v.ptr[0] == '\r'))
        v = view_slice(v, 1, v.len);
    while (v.len &&
           (v.ptr[v.len - 1] == ' ' || v.ptr[v.len - 1] == '\t' || v.ptr[v.len - 1] == '\r'))
        v.len--;
    return v;
}

/* The next line, trimmed; a comment is an empty one. False at the end. */
static bool next_line(struct script *s, struct view *out)
{
    if (s->pos >= s->text.len)
        return false;
    const char *start = s->text.ptr + s->pos;
    const char *newline = memchr(start, '\n', s->text.len - s->pos);
    size_t len = newline ? (size_t)(newline - start) : s->text.len - s->pos;
    s->pos += len + 1;
    s->line++;
    *out = trim((struct view){start, len});
    if (out->len && out->ptr[0] == '#')
        out->len = 0;
    return true;
}

/* The first word; the rest, trimmed, stays in *text. */
static struct view take_word(struct view *text)
{
    size_t len = 0;
    while (len < text->len && text->ptr[len] != ' ' && text->ptr[len] != '\t')
        len++;
    struct view word = view_slice(*text, 0, len);
    *text = trim(view_slice(*text, len, text->len));
    return word;
}

static bool take(struct view *text, const char *word)
{
    struct view rest = *text;
    if (!view_is(take_word(&rest), word))
        return false;
    *text = rest;
    return true;
}

static bool fail(struct script *s, const char *format, ...) PRINTF_LIKE(2, 3);
static bool fail(struct script *s, const char *format, ...)
{
    char message[ERROR_MESSAGE_BYTES];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    return error_set_at(s->err, ERROR_INPUT, s->line, 0, "%s:%" PRIu32 ": %s", s->path, s->line,
                        message);
}

/* 5m, 1h30m, 0, -5m */
static bool parse_time(struct script *s, struct view text, int64_t *ms)
{
    bool negative = text.len && text.ptr[0] == '-';
    struct error why;
    if (!duration_parse(view_slice(text, negative, text.len), ms, &why))
        return fail(s, "expected a time, got \"%.*s\": %s", VIEW_ARGS(text), why.message);
    if (negative)
        *ms = -*ms;
    return true;
}

/* from A to B step S */
static bool parse_range(struct script *s, struct view *text, int64_t *start, int64_t *end,
                        int64_t *step)
{
    if (!take(text, "from") || !parse_time(s, take_word(text), start) || !take(text, "to") ||
        !parse_time(s, take_word(text), end) || !take(text, "step") ||
        !parse_time(s, take_word(text), step))
        return s->err->kind == ERROR_NONE ? fail(s, "expected \"from START to END step STEP\"")
                                          : false;
    if (*step <= 0 || *end < *start)
        return fail(s, "expected a positive step and an end that is not before the start");
    if ((*end - *start) / *step >= SCRIPT_STEPS_MAX)
        return fail(s, "more than %d steps", SCRIPT_STEPS_MAX);
    return true;
}

/* --- load --- */

static void remember_histogram(struct script *s, struct labels ls)
{
    s->histograms = arena_grow(&s->data_arena, s->histograms, &s->histogram_capacity,
                               s->histogram_count + 1, sizeof *s->histograms);
    s->histograms[s->histogram_count++] = labels_copy(&s->data_arena, ls);
}

/* The native histogram with custom buckets that load_with_nhcb makes of a series x_bucket{le=...}. */
static void remember_converted(struct script *s, struct labels ls)
{
    struct view name = labels_get(ls, VIEW(LABEL_NAME)), suffix = VIEW("_bucket");
    if (!view_has_suffix(name, suffix) || labels_get(ls, VIEW("le")).len == 0)
        return;
    struct labels_builder b;
    labels_builder_init(&b, &s->command_arena);
    labels_builder_reset(&b, ls);
    labels_builder_set(&b, VIEW(LABEL_NAME), view_slice(name, 0, name.len - suffix.len));
    labels_builder_delete(&b, VIEW("le"));
    remember_histogram(s, labels_builder_finish(&b));
}

static bool load_line(struct script *s, struct view line, int64_t step_ms, bool convert)
{
    struct series_text series;
    struct error why;
    if (!series_text_parse(&s->command_arena, line, &series, &why))
        return fail(s, "%s", why.message);
    if (series.has_histogram)
        remember_histogram(s, series.labels);
    if (convert)
        remember_converted(s, series.labels);
    for (size_t i = 0; i < series.count; i++) {
        if (series.values[i].kind != SERIES_VALUE_FLOAT)
            continue;
        if (++s->sample_count > SCRIPT_SAMPLES_MAX)
            return fail(s, "script loads more than %d samples", SCRIPT_SAMPLES_MAX);
        memory_source_add(s->store, series.labels, (int64_t)i * step_ms, series.values[i].value);
    }
    return true;
}

static bool run_load(struct script *s, struct view rest, bool convert)
{
    int64_t step_ms;
    struct view line;
    if (!parse_time(s, rest, &step_ms))
        return false;
    while (next_line(s, &line) && line.len)
        if (!load_line(s, line, step_ms, convert))
            return false;
    return true;
}

static void run_clear(struct script *s)
{
    memory_source_clear(s->store);
    s->sample_count = 0;
    s->histograms = NULL;
    s->histogram_count = s->histogram_capacity = 0;
    arena_reset(&s->data_arena);
}

/* --- reading an eval --- */

/* "msg: TEXT" or "regex: RE" or nothing */
static bool parse_match(struct script *s, struct view rest, struct view *message,
                        struct view *regex)
{
    if (rest.len == 0)
        return true;
    if (view_has_prefix(rest, VIEW("msg:")))
        *message = trim(view_slice(rest, 4, rest.len));
    else if (view_has_prefix(rest, VIEW("regex:")))
        *regex = trim(view_slice(rest, 6, rest.len));
    else
        return fail(s, "expected \"msg:\" or \"regex:\"");
    return true;
}

static struct expected_annotation *add_annotation(struct script *s, struct script_eval *e,
                                                  bool is_info)
{
    e->annotations = arena_grow(&s->command_arena, e->annotations, &e->annotation_capacity,
                                e->annotation_count + 1, sizeof *e->annotations);
    struct expected_annotation *a = &e->annotations[e->annotation_count++];
    *a = (struct expected_annotation){.is_info = is_info};
    return a;
}

static bool parse_expect(struct script *s, struct view rest, struct script_eval *e)
{
    if (take(&rest, "fail")) {
        e->fail = true;
        return parse_match(s, rest, &e->fail_message, &e->fail_regex);
    }
    bool is_info = take(&rest, "info");
    if (is_info || take(&rest, "warn")) {
        struct expected_annotation *a = add_annotation(s, e, is_info);
        return parse_match(s, rest, &a->message, &a->regex);
    }
    if (take(&rest, "no_warn")) {
        e->no_warn = true;
        return true;
    }
    if (take(&rest, "no_info")) {
        e->no_info = true;
        return true;
    }
    if (take(&rest, "ordered")) {
        e->ordered = true;
        return true;
    }
    if (take(&rest, "string")) {
        e->has_string = true;
        return quote_read(&s->command_arena, rest, &e->string) ||
               fail(s, "expected a quoted string");
    }
    if (take(&rest, "range") && take(&rest, "vector")) {
        e->has_range_vector = true;
        return parse_range(s, &rest, &e->range_start_ms, &e->range_end_ms, &e->range_step_ms);
    }
    return fail(
        s, "expected fail, warn, info, no_warn, no_info, ordered, string or range vector behind "
           "\"expect\"");
}

static bool parse_expected_series(struct script *s, struct view line, struct script_eval *e,
                                  size_t *capacity)
{
    e->series =
        arena_grow(&s->command_arena, e->series, capacity, e->series_count + 1, sizeof *e->series);
    struct expected_series *x = &e->series[e->series_count++];
    *x = (struct expected_series){0};
    double number;
    if (float_parse(line, &number)) {
        x->text.values = ARENA_NEW(&s->command_arena, struct series_value);
        x->text.values[0] = (struct series_value){SERIES_VALUE_FLOAT, number};
        x->text.count = 1;
        return true;
    }
    struct error why;
    x->has_labels = true;
    if (!series_text_parse(&s->command_arena, line, &x->text, &why))
        return fail(s, "%s", why.message);
    e->expects_histogram |= x->text.has_histogram;
    return true;
}

/* Everything up to the blank line. `word` is eval, eval_fail, eval_ordered, eval_warn or eval_info. */
static bool parse_eval(struct script *s, struct view word, struct view rest, struct script_eval *e)
{
    *e = (struct script_eval){.line = s->line};
    e->fail = view_is(word, "eval_fail");
    e->ordered = view_is(word, "eval_ordered");
    if (view_is(word, "eval_warn") || view_is(word, "eval_info"))
        (void)add_annotation(s, e, view_is(word, "eval_info")); /* any will do */
    e->instant = take(&rest, "instant");
    if (e->instant) {
        if (take(&rest, "at") && !parse_time(s, take_word(&rest), &e->start_ms))
            return false;
        e->end_ms = e->start_ms;
    } else if (!take(&rest, "range")) {
        return fail(s, "expected \"instant\" or \"range\" behind \"%.*s\"", VIEW_ARGS(word));
    } else if (!parse_range(s, &rest, &e->start_ms, &e->end_ms, &e->step_ms)) {
        return false;
    }
    e->query = rest;
    if (rest.len == 0)
        return fail(s, "expected a query");

    size_t capacity = 0;
    struct view line;
    while (next_line(s, &line) && line.len) {
        struct view text = line;
        bool ok;
        if (take(&text, "expect"))
            ok = parse_expect(s, text, e);
        else if (take(&text, "expected_fail_message"))
            ok = (e->fail_message = text, true);
        else if (take(&text, "expected_fail_regexp"))
            ok = (e->fail_regex = text, true);
        else
            ok = parse_expected_series(s, line, e, &capacity);
        if (!ok)
            return false;
    }
    return true;
}

/* --- which evals need native histograms --- */

static bool selector_finds(const struct selector *sel, struct labels ls)
{
    for (uint32_t i = 0; i < sel->matcher_count; i++)
        if (!matcher_matches(&sel->matchers[i], labels_get(ls, sel->matchers[i].name)))
            return false;
    return true;
}

/* Does `test` hold for e or anything below it? As deep as a tree may be. */
static bool any_below(const struct script *s, const struct expr *e,
                      bool (*test)(const struct script *, const struct expr *))
{
    if (test(s, e))
        return true;
    switch (e->kind) {
    case EXPR_MATRIX:
        return any_below(s, e->u.matrix.selector, test);
    case EXPR_SUBQUERY:
        return any_below(s, e->u.subquery.inner, test);
    case EXPR_CALL:
        for (uint32_t i = 0; i < e->u.call.arg_count; i++)
            if (any_below(s, e->u.call.args[i], test))
                return true;
        return false;
    case EXPR_UNARY:
        return any_below(s, e->u.unary.inner, test);
    case EXPR_BINARY:
        return any_below(s, e->u.binary.left, test) || any_below(s, e->u.binary.right, test);
    case EXPR_AGGREGATE:
        return any_below(s, e->u.aggregate.inner, test) ||
               (e->u.aggregate.param && any_below(s, e->u.aggregate.param, test));
    case EXPR_PAREN:
        return any_below(s, e->u.paren, test);
    default:
        return false;
    }
}

/* A selector that finds a series of native histograms. */
static bool finds_histogram(const struct script *s, const struct expr *e)
{
    if (e->kind != EXPR_SELECTOR)
        return false;
    for (size_t i = 0; i < s->histogram_count; i++)
        if (selector_finds(&e->u.selector, s->histograms[i]))
            return true;
    return false;
}

static bool duration_sees_window(const struct duration_expr *d)
{
    return d && (d->op == DURATION_STEP || d->op == DURATION_RANGE ||
                 duration_sees_window(d->left) || duration_sees_window(d->right));
}

static bool time_sees_window(const struct time_modifier *t)
{
    return t->at == AT_START || t->at == AT_END || duration_sees_window(t->offset_expr);
}

/* Something whose value depends on the query's start, end or step: start(), @ end(), [step()]. */
static bool sees_window(const struct script *s, const struct expr *e)
{
    (void)s;
    switch (e->kind) {
    case EXPR_SELECTOR:
        return time_sees_window(&e->u.selector.time);
    case EXPR_MATRIX:
        return duration_sees_window(e->u.matrix.range_expr);
    case EXPR_SUBQUERY:
        return time_sees_window(&e->u.subquery.time) ||
               duration_sees_window(e->u.subquery.range_expr) ||
               duration_sees_window(e->u.subquery.step_expr);
    case EXPR_CALL:
        return e->u.call.function->id == FUNCTION_START || e->u.call.function->id == FUNCTION_END ||
               e->u.call.function->id == FUNCTION_STEP || e->u.call.function->id == FUNCTION_RANGE;
    default:
        return false;
    }
}

static bool query_has(const struct script *s, const struct script_eval *e,
                      bool (*test)(const struct script *, const struct expr *))
{
    struct promql *q;
    struct error ignored; /* a query that does not parse is the eval's affair */
    if (!promql_parse(e->query, &ENGINE.parser, &q, &ignored))
        return false;
    bool found = any_below(s, promql_root(q), test);
    promql_free(q);
    return found;
}

static bool needs_histograms(const struct script *s, const struct script_eval *e)
{
    return e->expects_histogram || (s->histogram_count > 0 && query_has(s, e, finds_histogram));
}

/* --- running an eval --- */

struct outcome {
    struct buffer expected, actual;
};

static bool message_matches(const struct script_eval *e, const struct error *got, struct outcome *o)
{
    if (script_text_matches(view_from(got->message), e->fail_message, e->fail_regex))
        return true;
    buffer_printf(&o->expected, "failure: %.*s", VIEW_ARGS(e->fail_message));
    buffer_append_view(&o->expected, e->fail_regex);
    buffer_printf(&o->actual, "failure: %s", got->message);
    return false;
}

/* Runs the query; the result is borrowed from *q, which the caller frees. */
static bool evaluate(struct script *s, const struct script_eval *e,
                     const struct query_params *params, struct query **q, struct error *err)
{
    struct engine_options options = ENGINE;
    options.pool = s->opts ? s->opts->pool : NULL;
    *q = NULL;
    return query_new(q, memory_source_as_source(s->store), &options, e->query, params, err) &&
           query_run(*q, err);
}

static bool check_once(struct script *s, const struct script_eval *e, struct outcome *o)
{
    struct query_params params = {
        .start_ms = e->start_ms, .end_ms = e->end_ms, .step_ms = e->step_ms, .instant = e->instant};
    struct query *q;
    struct error err;
    bool ran = evaluate(s, e, &params, &q, &err), passed;
    if (!ran && e->fail) {
        passed = message_matches(e, &err, o);
    } else if (!ran) {
        passed = false;
        buffer_append_literal(&o->expected, "a result");
        buffer_printf(&o->actual, "failure: %s", err.message);
    } else if (e->fail) {
        passed = false;
        buffer_append_literal(&o->expected, "failure");
        buffer_append_literal(&o->actual, "a result");
    } else {
        passed =
            script_compare(e, query_get_result(q), &s->command_arena, &o->expected, &o->actual) &&
            script_compare_annotations(e, query_get_result(q), &o->expected, &o->actual);
    }
    query_free(q);
    return passed;
}

/* The same query as the middle of three steps must give the same, unless it asks for its own start or step. */
static bool check_in_range(struct script *s, const struct script_eval *e, struct outcome *o)
{
    static const int64_t MINUTE_MS = 60000;
    if (!e->instant || e->fail || e->ordered || e->has_string || e->has_range_vector ||
        query_has(s, e, sees_window))
        return true;
    struct query_params params = {.start_ms = e->start_ms - MINUTE_MS,
                                  .end_ms = e->start_ms + MINUTE_MS,
                                  .step_ms = MINUTE_MS};
    struct query *q;
    struct error err;
    bool passed;
    if (evaluate(s, e, &params, &q, &err)) {
        passed = script_compare_at(e, query_get_result(q), e->start_ms, &s->command_arena,
                                   &o->expected, &o->actual);
    } else {
        passed = false;
        buffer_append_literal(&o->expected, "a result");
        buffer_printf(&o->actual, "as a range query: failure: %s", err.message);
    }
    query_free(q);
    return passed;
}

static void run_eval(struct script *s, const struct script_eval *e)
{
    if (needs_histograms(s, e)) {
        s->report->skipped_histograms++;
        return;
    }
    struct outcome o;
    buffer_init(&o.expected, MEM_QUERY, SCRIPT_BYTES_MAX);
    buffer_init(&o.actual, MEM_QUERY, SCRIPT_BYTES_MAX);
    if (check_once(s, e, &o) && check_in_range(s, e, &o)) {
        s->report->passed++;
    } else {
        s->report->failed++;
        struct script_failure f = {s->path, e->line, e->query, buffer_view(&o.expected),
                                   buffer_view(&o.actual)};
        if (s->opts && s->opts->failed)
            s->opts->failed(s->opts->arg, &f);
    }
    buffer_deinit(&o.expected);
    buffer_deinit(&o.actual);
}

/* --- commands --- */

static bool run_command(struct script *s, struct view line)
{
    struct view rest = line, word = take_word(&rest);
    struct script_eval e;
    if (view_is(word, "clear")) {
        run_clear(s);
        return true;
    }
    if (view_is(word, "load") || view_is(word, "load_with_nhcb"))
        return run_load(s, rest, word.len > strlen("load"));
    if (!view_is(word, "eval") && !view_is(word, "eval_fail") && !view_is(word, "eval_ordered") &&
        !view_is(word, "eval_warn") && !view_is(word, "eval_info"))
        return fail(s, "unknown command \"%.*s\", expected load, load_with_nhcb, clear or eval",
                    VIEW_ARGS(word));
    if (!parse_eval(s, word, rest, &e))
        return false;
    run_eval(s, &e);
    return true;
}

bool script_run_text(const char *path, struct view text, const struct script_options *opts,
                     struct script_report *report, struct error *err)
{
    struct error unused;
    struct script s = {
        .path = path, .opts = opts, .report = report, .err = err ? err : &unused, .text = text};
    if (text.len > SCRIPT_BYTES_MAX)
        return error_set(err, ERROR_TOO_LARGE, "%s: script has %zu bytes, at most %d are allowed",
                         path, text.len, SCRIPT_BYTES_MAX);
    s.store = memory_source_new();
    arena_init(&s.data_arena, MEM_QUERY, 0);
    arena_init(&s.command_arena, MEM_QUERY, 0);
    error_clear(s.err);
    bool ok = true;
    struct view line;
    while (ok && next_line(&s, &line)) {
        if (line.len)
            ok = run_command(&s, line);
        arena_reset(&s.command_arena);
    }
    arena_deinit(&s.command_arena);
    arena_deinit(&s.data_arena);
    memory_source_free(s.store);
    return ok;
}

bool script_run(const char *path, const struct script_options *opts, struct script_report *report,
                struct error *err)
{
    struct buffer text;
    buffer_init(&text, MEM_QUERY, SCRIPT_BYTES_MAX);
    bool ok = file_read_all(path, &text, err) &&
              script_run_text(path, buffer_view(&text), opts, report, err);
    buffer_deinit(&text);
    return ok;
}
