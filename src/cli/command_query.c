/* SPDX-License-Identifier: Apache-2.0 */
/* command_query.c: belfry query instant|range|series|labels: asks a running server over its HTTP API.
 * promtool's form with the server's address as first word is understood too. */
#include "api/time_param.h"
#include "base/clock.h"
#include "cli/command.h"
#include "cli/flags.h"
#include "cli/query_explain.h"
#include "cli/query_print.h"
#include "net/http_client.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    ANSWER_BYTES_MAX = 1 << 30,
    FORM_BYTES_MAX = 1 << 20,
    HOUR_MS = 3600 * 1000,
    POINTS_DEFAULT = 250
};

struct query_options {
    const char *url, *output, *time, *start, *end, *step;
    struct flag_list match;
    int64_t timeout_ms;
    const char *expression; /* of instant and range */
    bool help, explain, analyze;
};

static const char USAGE[] =
    "Usage: belfry query instant EXPRESSION        value now, or at --time\n"
    "       belfry query range EXPRESSION          values from --start to --end every --step\n"
    "       belfry query series SELECTOR...        label sets\n"
    "       belfry query labels [NAME]             label names, or the values of one\n\n"
    "A server's address may stand before the rest, as with promtool.\n\nFlags:\n";

/* Appends name=value, percent-encoded, to the form. */
static void add(struct buffer *form, const char *name, const char *value)
{
    if (!value)
        return;
    if (form->len)
        buffer_append_byte(form, '&');
    buffer_append_view(form, view_from(name));
    buffer_append_byte(form, '=');
    http_escape(form, view_from(value));
}

static void print_list(const json_t *data)
{
    size_t i;
    json_t *one;
    json_array_foreach(data, i, one)
    {
        if (json_is_string(one)) {
            query_print_text(stdout, one);
        } else { /* a label set of /series: as a vector without values */
            json_dumpf(one, stdout, JSON_COMPACT | JSON_SORT_KEYS);
        }
        putchar('\n');
    }
}

static void print_data(const struct query_options *o, const json_t *data)
{
    const json_t *plan = json_object_get(data, "explain");
    if (plan)
        query_print_plan(stdout, plan, o->expression);
    if (plan && !json_object_get(data, "result"))
        return;
    if (plan)
        putchar('\n');
    if (!json_is_object(data))
        print_list(data);
    else if (strcmp(o->output, "csv") == 0)
        query_print_csv(stdout, data);
    else if (strcmp(o->output, "graph") == 0)
        query_print_graph(stdout, data, command_terminal_columns(), 20,
                          isatty(STDOUT_FILENO) && !getenv("NO_COLOR"));
    else
        query_print_table(stdout, data);
}

static void print_notes(const json_t *answer, const char *key)
{
    size_t i;
    json_t *note;
    json_array_foreach(json_object_get(answer, key), i, note)
    {
        fprintf(stderr, "belfry: %.*s: ", (int)strlen(key) - 1, key);
        query_print_text(stderr, note);
        fputc('\n', stderr);
    }
}

/* Sends the form to `path` and prints the answer. */
static bool ask(const struct query_options *o, const char *path, bool post, struct view form,
                struct error *err)
{
    bool ok = false;
    json_t *answer = NULL;
    struct buffer url, body;
    buffer_init(&url, MEM_OTHER, FORM_BYTES_MAX + 4096);
    buffer_init(&body, MEM_OTHER, ANSWER_BYTES_MAX);
    struct view base = view_from(o->url);
    while (base.len && base.ptr[base.len - 1] == '/')
        base.len--;
    if (!memmem(base.ptr, base.len, "://", 3))
        buffer_append_literal(&url, "http://");
    buffer_append_view(&url, base);
    buffer_append_view(&url, view_from(path));
    if (!post && form.len) {
        buffer_append_byte(&url, '?');
        buffer_append_view(&url, form);
    }
    buffer_append_byte(&url, '\0');
    struct http_fetch request = {.url = url.ptr, .timeout_ms = o->timeout_ms};
    if (post)
        request.form = form;
    int status;
    if (!http_fetch(&request, &body, &status, err))
        goto done;
    json_error_t where;
    answer = json_loadb(body.ptr, body.len, 0, &where);
    const char *state = json_string_value(json_object_get(answer, "status"));
    if (!state) {
        error_set(err, ERROR_INPUT, "%s answered with status %d and no JSON of a query API",
                  url.ptr, status);
        http_hide_userinfo(url.ptr, err);
        goto done;
    }
    if (strcmp(state, "success") != 0) {
        const char *text = json_string_value(json_object_get(answer, "error"));
        error_set(err, ERROR_EXECUTION, "%s", text ? text : "the server gave no reason");
        goto done;
    }
    print_notes(answer, "warnings");
    print_notes(answer, "infos");
    if (strcmp(o->output, "json") == 0)
        printf("%.*s\n", VIEW_ARGS(buffer_view(&body)));
    else
        print_data(o, json_object_get(answer, "data"));
    ok = true;
done:
    json_decref(answer);
    buffer_deinit(&body);
    buffer_deinit(&url);
    return ok;
}

static bool need_one_word(const struct flag_words *words, const char *what, struct error *err)
{
    if (words->count == 1)
        return true;
    return error_set(err, ERROR_USAGE, "expected one %s, got %d words", what, words->count);
}

/* A time of the command line; *ms stays as it is when there is none. */
static bool read_time(const char *flag, const char *text, int64_t *ms, struct error *err)
{
    if (!text || api_time_parse(view_from(text), ms, err))
        return true;
    err->kind = ERROR_USAGE;
    return error_wrap(err, "flag \"--%s\"", flag);
}

static void add_ms(struct buffer *form, const char *name, int64_t ms)
{
    char text[32];
    snprintf(text, sizeof text, "%.3f", (double)ms / 1000);
    add(form, name, text);
}

/* --end defaults to now, --start to about an hour before it (a whole number of steps, so that the last point is the
 * end), --step to a 250th of the range, at least a second. */
static bool add_range(struct buffer *form, const struct query_options *o, struct error *err)
{
    int64_t end = clock_wall().ms, start = 0, step = 0;
    if (!read_time("end", o->end, &end, err))
        return false;
    start = end - HOUR_MS;
    if (!read_time("start", o->start, &start, err))
        return false;
    if (o->step && !api_duration_parse(view_from(o->step), &step, err)) {
        err->kind = ERROR_USAGE;
        return error_wrap(err, "flag \"--step\"");
    }
    if (end < start)
        return error_set(err, ERROR_USAGE, "--end is before --start");
    if (!o->step)
        step = (end - start) / POINTS_DEFAULT / 1000 * 1000;
    if (!o->step && step < 1000)
        step = 1000;
    if (!o->start && step > 0)
        start = end - (end - start) / step * step;
    add_ms(form, "start", start);
    add_ms(form, "end", end);
    add_ms(form, "step", step); /* what is not above 0 the server refuses */
    return true;
}

static void add_explain(struct buffer *form, const struct query_options *o)
{
    if (o->analyze)
        add(form, "explain", "analyze");
    else if (o->explain)
        add(form, "explain", "true");
}

static bool run(const char *verb, struct query_options *o, struct flag_words *words,
                struct error *err)
{
    bool ok = false;
    struct buffer form;
    buffer_init(&form, MEM_OTHER, FORM_BYTES_MAX);
    if (strcmp(verb, "instant") == 0) {
        if (!need_one_word(words, "expression", err))
            goto done;
        o->expression = words->items[0];
        add(&form, "query", o->expression);
        add(&form, "time", o->time);
        add_explain(&form, o);
        ok = ask(o, "/api/v1/query", true, buffer_view(&form), err);
    } else if (strcmp(verb, "range") == 0) {
        if (!need_one_word(words, "expression", err) || !add_range(&form, o, err))
            goto done;
        o->expression = words->items[0];
        add(&form, "query", o->expression);
        add_explain(&form, o);
        ok = ask(o, "/api/v1/query_range", true, buffer_view(&form), err);
    } else {
        bool series = strcmp(verb, "series") == 0;
        for (size_t i = 0; i < o->match.count; i++)
            add(&form, "match[]", o->match.items[i]);
        for (int i = 0; series && i < words->count; i++)
            add(&form, "match[]", words->items[i]);
        add(&form, "start", o->start);
        add(&form, "end", o->end);
        struct buffer path;
        buffer_init(&path, MEM_OTHER, FORM_BYTES_MAX);
        if (!series && words->count) {
            buffer_append_literal(&path, "/api/v1/label/");
            http_escape(&path, view_from(words->items[0]));
            buffer_append_literal(&path, "/values");
        } else {
            buffer_append_view(&path, view_from(series ? "/api/v1/series" : "/api/v1/labels"));
        }
        buffer_append_byte(&path, '\0');
        ok = path.failed
                 ? error_set(err, ERROR_USAGE, "label name of more than %d bytes", FORM_BYTES_MAX)
                 : ask(o, path.ptr, false, buffer_view(&form), err);
        buffer_deinit(&path);
    }
done:
    buffer_deinit(&form);
    return ok;
}

int command_query(int argc, char **argv)
{
    struct error err = {0};
    const char *url = getenv("BELFRY_URL");
    struct query_options o = {
        .url = url ? url : "http://127.0.0.1:9090", .output = "table", .timeout_ms = 2 * 60 * 1000};
    const struct flag flags[] = {
        {"help", 'h', FLAG_SWITCH, &o.help, NULL, "Show this."},
        {"url", 0, FLAG_TEXT, &o.url, "URL", "The server; also the environment's BELFRY_URL."},
        {"output", 'o', FLAG_TEXT, &o.output, "table|json|csv|graph", "How to print the answer."},
        {"format", 0, FLAG_TEXT, &o.output, "table|json|csv|graph",
         "The same, as promtool calls it."},
        {"time", 0, FLAG_TEXT, &o.time, "TIME",
         "When (instant): RFC 3339 or Unix seconds; default now."},
        {"start", 0, FLAG_TEXT, &o.start, "TIME", "From when; default an hour before the end."},
        {"end", 0, FLAG_TEXT, &o.end, "TIME", "Until when; default now."},
        {"step", 0, FLAG_TEXT, &o.step, "DURATION", "Distance of points; default: 250 points."},
        {"match", 0, FLAG_LIST, &o.match, "SELECTOR",
         "Only these series (series, labels); repeatable."},
        {"explain", 0, FLAG_SWITCH, &o.explain, NULL,
         "Print how it would be evaluated (instant, range)."},
        {"analyze", 0, FLAG_SWITCH, &o.analyze, NULL,
         "Evaluate it and print what each part did before the answer."},
        {"timeout", 0, FLAG_DURATION, &o.timeout_ms, "DURATION", "How long to wait."},
    };
    struct flag_words words;
    if (!flags_parse(flags, ARRAY_COUNT(flags), argc, argv, &words, command_warn, &err))
        return command_fail(&err);
    static const char *const VERBS[] = {"instant", "range", "series", "labels"};
    static const char *const OUTPUTS[] = {"table", "json", "csv", "graph", "promql"};
    const char *verb = NULL;
    for (size_t i = 0; words.count && i < ARRAY_COUNT(VERBS); i++)
        if (strcmp(words.items[0], VERBS[i]) == 0)
            verb = VERBS[i];
    if (o.help || !verb) {
        fputs(USAGE, o.help ? stdout : stderr);
        flags_print_help(o.help ? stdout : stderr, flags, ARRAY_COUNT(flags));
        return o.help ? EXIT_OK : EXIT_USAGE;
    }
    bool known = false;
    for (size_t i = 0; i < ARRAY_COUNT(OUTPUTS); i++)
        known |= strcmp(o.output, OUTPUTS[i]) == 0;
    if (!known) {
        error_set(&err, ERROR_USAGE,
                  "output \"%s\" is not known, expected table, json, csv or graph", o.output);
        return command_fail(&err);
    }
    words.items++;
    words.count--;
    if (words.count && strstr(words.items[0], "://")) {
        o.url = words.items[0];
        words.items++;
        words.count--;
    }
    return run(verb, &o, &words, &err) ? EXIT_OK : command_fail(&err);
}
