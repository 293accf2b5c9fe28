/* SPDX-License-Identifier: Apache-2.0 */
/* What Prometheus and Alertmanager make of templates: cases.jsonl, filled in by tests/tools/template_cases.go.
 * Called with a file (of that program's random templates), it compares that and prints what differs. */
#include "template/notification.h"
#include "template/rule_data.h"
#include "template/template.h"

#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* --- the data of tests/tools/template_cases.go --- */

struct data {
    struct arena arena; /* of the data */
    struct rule_data rule;
    struct template_value notification;
};

static struct template_value string_map(struct arena *arena, const char *const *texts, size_t count)
{
    struct template_pair *pairs = ARENA_ARRAY(arena, struct template_pair, count);
    for (size_t i = 0; i < count; i++)
        pairs[i] = (struct template_pair){view_from(texts[2 * i]),
                                          template_string(view_from(texts[2 * i + 1]))};
    return template_map(&TEMPLATE_TYPE_STRING_MAP, pairs, count);
}

static struct notification_kv kv(struct arena *arena, const char *const *texts, size_t count)
{
    struct notification_kv k = {ARENA_ARRAY(arena, struct view, count),
                                ARENA_ARRAY(arena, struct view, count), count};
    for (size_t i = 0; i < count; i++) {
        k.names[i] = view_from(texts[2 * i]);
        k.values[i] = view_from(texts[2 * i + 1]);
    }
    return k;
}

static void alert_init(struct arena *arena, struct notification_alert *a, const char *status,
                       const char *instance, const char *summary)
{
    const char *labels[] = {"alertname", "Down", "instance", instance, "job", "node"};
    const char *annotations[] = {"summary", summary};
    *a = (struct notification_alert){
        .status = view_from(status),
        .labels = kv(arena, labels, 3),
        .annotations = kv(arena, annotations, 1),
        .starts_at = {1700000000, 123456789, 0, VIEW("UTC")},
        .ends_at = {TEMPLATE_TIME_ZERO_SECONDS, 0, 0, VIEW("UTC")},
        .generator_url = VIEW("http://p/graph?g0.expr=up&g0.tab=1"),
        .fingerprint = VIEW("0123456789abcdef"),
    };
    if (strcmp(status, "resolved") == 0)
        a->ends_at = (struct template_time){1700000090, 123456789, 0, VIEW("UTC")};
}

static void data_init(struct data *d)
{
    static const char *const LABELS[] = {"alertname", "Down", "instance", "web-1.example.com:9100",
                                         "job",       "node", "quote",    "a\"b'c<d>&e",
                                         "empty",     ""};
    static const char *const EXTERNAL[] = {"region", "eu"};
    static const char *const COMMON[] = {"alertname", "Down", "job", "node"};
    struct arena *arena = &d->arena;
    arena_init(arena, MEM_OTHER, 0);
    rule_data_init(&d->rule, string_map(arena, LABELS, 5), string_map(arena, EXTERNAL, 1),
                   VIEW("http://belfry.example:9090/prefix"), 1234.5678);
    struct notification_alert *alerts = ARENA_ARRAY(arena, struct notification_alert, 3);
    alert_init(arena, &alerts[0], "firing", "a:1", "<b>down</b> & 'out'");
    alert_init(arena, &alerts[1], "firing", "b:1", "\"quoted\"");
    alert_init(arena, &alerts[2], "resolved", "c:1", "");
    struct notification n = {.receiver = VIEW("team"),
                             .status = VIEW("firing"),
                             .alerts = alerts,
                             .alert_count = 3,
                             .group_labels = kv(arena, COMMON, 1),
                             .common_labels = kv(arena, COMMON, 2),
                             .external_url = VIEW("http://am.example/x?a=1&b=2")};
    d->notification = notification_value(arena, &n);
}

static bool query(void *arg, struct arena *arena, struct view expr,
                  const struct template_sample **samples, size_t *count, struct error *err)
{
    static const char *const B[] = {"__name__", "up", "instance", "b"};
    static const char *const A[] = {"__name__", "up", "instance", "a", "__value__", "text"};
    struct template_sample *s = ARENA_ARRAY(arena, struct template_sample, 2);
    *samples = s;
    *count = 0;
    if (view_is(expr, "none"))
        return true;
    if (!view_is(expr, "up"))
        return error_set(err, ERROR_INPUT, "unknown query");
    s[0] = (struct template_sample){string_map(arena, B, 2).map.pairs, 2, 1};
    s[1] = (struct template_sample){string_map(arena, A, 3).map.pairs, 3, 0};
    *count = 2;
    return true;
}

/* --- one case --- */

/* What is behind the place in the messages of executions and of the parser. */
static const char *sentence(const char *message)
{
    const char *place = strstr(message, " at <"), *behind = place ? strstr(place, ">: ") : NULL;
    if (behind && strstr(message, ": executing "))
        return behind + 3;
    if (strncmp(message, "template: ", 10) == 0 && strstr(message + 10, ": "))
        return strstr(message + 10, ": ") + 2;
    return message;
}

static bool run_case(struct data *d, struct arena *arena, const char *mode, struct view text,
                     struct view *out, struct error *err)
{
    bool rule = strcmp(mode, "rule") == 0 || strcmp(mode, "console") == 0;
    bool html = strcmp(mode, "mail") == 0 || strcmp(mode, "console") == 0;
    struct template_options options = {.functions =
                                           rule ? &TEMPLATE_PROMETHEUS : &TEMPLATE_ALERTMANAGER,
                                       .more = rule && html ? &TEMPLATE_CONSOLE : NULL,
                                       .variables = RULE_VARIABLES,
                                       .variable_count = rule && !html ? RULE_VARIABLE_COUNT : 0,
                                       .html = html};
    struct template_run run = {.arena = arena,
                               .data = rule ? rule_data_value(&d->rule) : d->notification,
                               .variables = d->rule.fields,
                               .now = {1700000000123},
                               .external_url = VIEW("http://belfry.example:9090/prefix"),
                               .query = query};
    struct template *t;
    if (!template_parse(&t, &options, NULL, rule ? VIEW("t") : VIEW(""), text, err))
        return false;
    bool ok = template_execute(t, &run, out, err);
    template_free(t);
    return ok;
}

/* Regular expressions and time zones have other words than Go's. */
static bool is_worded_otherwise(const char *message)
{
    return strstr(message, "regexp:") || strstr(message, "parsing regexp") ||
           strstr(message, "cannot parse");
}

/* Prints what differs. */
static bool check_line(struct data *d, const char *line, size_t number, bool strict)
{
    json_error_t json_error;
    json_t *c = json_loads(line, JSON_ALLOW_NUL, &json_error);
    struct arena arena;
    struct error err;
    struct view out;
    arena_init(&arena, MEM_OTHER, 0);
    assert_non_null(c);
    json_t *in = json_object_get(c, "in"), *want = json_object_get(c, "out");
    const char *want_error = json_string_value(json_object_get(c, "err"));
    struct view text = {json_string_value(in), json_string_length(in)};
    bool ok = run_case(d, &arena, json_string_value(json_object_get(c, "mode")), text, &out, &err);
    bool right = ok == (want != NULL);
    if (right && ok)
        right = view_eq(out, (struct view){json_string_value(want), json_string_length(want)});
    else if (right && strict && !is_worded_otherwise(want_error))
        right = strcmp(sentence(err.message), want_error) == 0;
    if (!right)
        printf("%zu: %.*s\n  want %s %s\n  have %s %.*s\n", number, VIEW_ARGS(text),
               want ? "text" : "error", want ? json_string_value(want) : want_error,
               ok ? "text" : "error", ok ? (int)out.len : (int)strlen(sentence(err.message)),
               ok ? out.ptr : sentence(err.message));
    json_decref(c);
    arena_deinit(&arena);
    return right;
}

/* How many lines of the file differ. */
static size_t check_file(const char *path, bool strict, size_t *count)
{
    struct data d;
    FILE *f = fopen(path, "r");
    char *line = NULL;
    size_t capacity = 0, wrong = 0;
    assert_non_null(f);
    data_init(&d);
    for (*count = 0; getline(&line, &capacity, f) > 0;)
        wrong += !check_line(&d, line, ++*count, strict);
    free(line);
    fclose(f);
    arena_deinit(&d.arena);
    return wrong;
}

/* Each case gives the text, or the sentence of the error, that upstream gives. */
static void cases_give_what_upstream_gives(void **state)
{
    size_t count;
    assert_int_equal(check_file(SOURCE_DIR "/tests/unit/template/cases.jsonl", true, &count), 0);
    assert_true(count > 500);
}

int main(int argc, char **argv)
{
    static const struct CMUnitTest TESTS[] = {
        cmocka_unit_test(cases_give_what_upstream_gives),
    };
    if (argc > 1) {
        size_t count, wrong = check_file(argv[1], false, &count);
        printf("%zu templates, %zu differ\n", count, wrong);
        return wrong > 0;
    }
    return cmocka_run_group_tests(TESTS, NULL, NULL);
}
