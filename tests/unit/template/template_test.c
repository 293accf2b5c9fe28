/* SPDX-License-Identifier: Apache-2.0 */
/* Parsing, executing and the limits. */
#include "base/buffer.h"
#include "template/template.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const char *const VARIABLES[] = {"labels", "value"};
static const struct template_options OPTIONS = {
    .functions = &TEMPLATE_PROMETHEUS, .variables = VARIABLES, .variable_count = 2};

struct fixture {
    struct arena arena;
    struct template_pair labels[2];
    struct template_value variables[2];
    struct template_run run;
};

static void fixture_init(struct fixture *f)
{
    arena_init(&f->arena, MEM_OTHER, 0);
    f->labels[0] = (struct template_pair){VIEW("job"), template_string(VIEW("node"))};
    f->labels[1] = (struct template_pair){VIEW("instance"), template_string(VIEW("h:1"))};
    struct template_value labels = template_map(&TEMPLATE_TYPE_STRING_MAP, f->labels, 2);
    f->variables[0] = labels;
    f->variables[1] = template_float(0.95);
    f->run = (struct template_run){.arena = &f->arena, .data = labels, .variables = f->variables};
}

static void fixture_deinit(struct fixture *f)
{
    arena_deinit(&f->arena);
}

/* "ok: TEXT", or the error with its position. */
static const char *executed(struct fixture *f, const char *text)
{
    struct template *t;
    struct error err;
    struct view out;
    if (!template_parse(&t, &OPTIONS, NULL, VIEW("t"), view_from(text), &err))
        return arena_printf(&f->arena, "%u:%u %s", err.line, err.column, err.message).ptr;
    bool ok = template_execute(t, &f->run, &out, &err);
    template_free(t);
    if (ok)
        return arena_printf(&f->arena, "ok: %.*s", VIEW_ARGS(out)).ptr;
    return arena_printf(&f->arena, "%s %u:%u %s", error_kind_name(err.kind), err.line, err.column,
                        err.message)
        .ptr;
}

static const struct {
    const char *text, *result;
} CASES[] = {
    {"{{ $labels.instance }} of {{.job}}: {{ $value | printf \"%.2f%%\" }}",
     "ok: h:1 of node: 0.95%"},
    {"{{ range $k, $v := . }}{{ $k }}={{ $v }};{{ end }}", "ok: instance=h:1;job=node;"},
    {"a {{- /* c */ -}} b", "ok: ab"},
    {"a\nb {{ foo }}", "2:6 template: t:2: function \"foo\" not defined"},
    {"{{ $x }}", "1:4 template: t:1: undefined variable \"$x\""},
    {"{{ if }}", "1:7 template: t:1: missing value for if"},
    {"{{ .job.foo }}", "execution 1:8 template: t:1:7: executing \"t\" at <.job.foo>: can't "
                       "evaluate field foo in type string"},
    {"{{ eq 1 1.0 }}",
     "execution 1:4 template: t:1:3: executing \"t\" at <eq 1 1.0>: error calling eq: "
     "incompatible types for comparison: int and float64"},
    {"{{ define \"r\" }}{{ template \"r\" }}{{ end }}{{ template \"r\" }}",
     "limit 1:29 template: t:1:28: executing \"r\" at <\"r\">: exceeded maximum template depth "
     "(100)"},
    {"{{ range 1000000000 }}{{ end }}",
     "limit 1:10 template: t:1:9: executing \"t\" at <1000000000>: more than 20000000 steps"},
    {"{{ $x := \"ab\" }}{{ range 100 }}{{ $x = print $x $x }}{{ end }}",
     "limit 1:40 template: t:1:39: executing \"t\" at <print $x $x>: error calling print: more "
     "than "
     "67108864 bytes of values"},
    {"{{ range 10000000 }}0123456789{{ end }}",
     "limit 1:21 template: t:1:20: executing \"t\" at <0123456789>: more than 16777216 bytes of "
     "output"},
    {"{{ reReplaceAll \"\" (printf \"%1000s\" \"x\") (printf \"%100000s\" \"y\") }}",
     "limit 1:4 template: t:1:3: executing \"t\" at <reReplaceAll \"\" (printf \"%1000s\" \"x\") "
     "(printf "
     "\"%100000s\" \"y\")>: error calling reReplaceAll: more than 67108864 bytes of values"},
    {"{{ printf \"%1000000000d\" 1 }}", "ok: %!(NOVERB)%!(EXTRA int=1)"},
};

/* A template gives the text, or the error at the place, that Go gives. */
static void template_gives_what_go_gives(void **state)
{
    struct fixture f;
    fixture_init(&f);
    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++)
        assert_string_equal(executed(&f, CASES[i].text), CASES[i].result);
    fixture_deinit(&f);
}

/* Texts of `open` and `close` around nothing, `count` deep, with `inner` in the middle. */
static struct view nested(struct arena *arena, const char *open, const char *inner,
                          const char *close, size_t count)
{
    struct buffer b;
    buffer_init(&b, MEM_OTHER, 1 << 20);
    for (size_t i = 0; i < count; i++)
        buffer_append_view(&b, view_from(open));
    buffer_append_view(&b, view_from(inner));
    for (size_t i = 0; i < count; i++)
        buffer_append_view(&b, view_from(close));
    struct view text = arena_copy(arena, buffer_view(&b));
    buffer_deinit(&b);
    return text;
}

/* What is nested deeper than the limit is refused, up to it it runs: also where a template calls itself from there. */
static void nesting_is_bounded(void **state)
{
    struct fixture f;
    fixture_init(&f);
    struct view deep = nested(&f.arena, "{{ if true }}", "x", "{{ end }}", TEMPLATE_NESTING_MAX);
    assert_string_equal(executed(&f, deep.ptr), "ok: x");
    deep = nested(&f.arena, "{{ if true }}", "x", "{{ end }}", TEMPLATE_NESTING_MAX + 1);
    assert_non_null(strstr(executed(&f, deep.ptr), "max expression depth exceeded"));
    deep = nested(&f.arena, "(", "1", ")", TEMPLATE_NESTING_MAX + 1);
    const char *text = arena_printf(&f.arena, "{{ %s }}", deep.ptr).ptr;
    assert_non_null(strstr(executed(&f, text), "max expression depth exceeded"));
    deep = nested(&f.arena, "{{ if true }}", "{{ template \"r\" }}", "{{ end }}", 150);
    text =
        arena_printf(&f.arena, "{{ define \"r\" }}%s{{ end }}{{ template \"r\" }}", deep.ptr).ptr;
    assert_non_null(strstr(executed(&f, text), "nested more than"));
    fixture_deinit(&f);
}

/* Later definitions replace earlier ones, but not by nothing; a template's own come before those of its set. */
static void definitions_are_found_in_the_set(void **state)
{
    struct fixture f;
    struct error err;
    struct template *t;
    struct view out;
    fixture_init(&f);
    struct template_set *set = template_set_new();
    assert_true(template_set_parse(set, &OPTIONS, VIEW("one.tmpl"),
                                   VIEW("{{ define \"a\" }}a1{{ end }}{{ define \"b\" }}b1{{ end }}"
                                        "{{ define \"c\" }}c{{ template \"b\" }}{{ end }}"),
                                   &err));
    assert_true(template_set_parse(
        set, &OPTIONS, VIEW("two.tmpl"),
        VIEW("{{ define \"a\" }}a2{{ end }}{{ define \"b\" }} {{ end }}"), &err));
    assert_false(template_set_parse(set, &OPTIONS, VIEW("bad.tmpl"),
                                    VIEW("{{ define \"a\" }}a3{{ end }}\n{{ nope }}"), &err));
    assert_int_equal(err.line, 2);
    assert_true(template_set_has(set, VIEW("c")));
    assert_false(template_set_has(set, VIEW("d")));
    assert_true(template_parse(
        &t, &OPTIONS, set, VIEW(""),
        VIEW("{{ template \"a\" }} {{ template \"b\" }} {{ template \"c\" }}"), &err));
    assert_true(template_execute(t, &f.run, &out, &err));
    assert_string_equal(out.ptr, "a2 b1 cb1");
    template_free(t);
    assert_true(template_parse(&t, &OPTIONS, set, VIEW(""),
                               VIEW("{{ define \"b\" }}own{{ end }}{{ template \"c\" }}"), &err));
    assert_true(template_execute(t, &f.run, &out, &err));
    assert_string_equal(out.ptr, "cown");
    template_free(t);
    template_set_free(set);
    fixture_deinit(&f);
}

/* Where a text must come out, an error is that text, as Prometheus writes it. */
static void a_failed_expansion_is_a_text(void **state)
{
    struct fixture f;
    struct error err;
    struct template *t;
    struct view out;
    fixture_init(&f);
    assert_true(
        template_parse(&t, &OPTIONS, NULL, VIEW("__alert_Down"), VIEW("{{ .job.x }}"), &err));
    assert_false(template_expand(t, &f.run, &out, &err));
    assert_string_equal(
        out.ptr, "<error expanding template: error executing template __alert_Down: template: "
                 "__alert_Down:1:7: executing \"__alert_Down\" at <.job.x>: can't evaluate "
                 "field x in type string>");
    template_free(t);
    fixture_deinit(&f);
}

/* Patterns that were compiled once are found again, literal or not, also past as many as are kept. */
static void patterns_are_kept_and_do_not_mix(void **state)
{
    (void)state;
    struct fixture f;
    struct template *t;
    struct error err;
    struct view out, first;
    fixture_init(&f);
    assert_true(template_parse(
        &t, &OPTIONS, NULL, VIEW("t"),
        VIEW("{{ range $i := 60 }}{{ reReplaceAll (printf \"^0*%d$\" $i) \"=\" \"007\" "
             "}} {{ match \"o.e\" $labels.job }}{{ end }}"),
        &err));
    assert_true(template_execute(t, &f.run, &first, &err));
    assert_non_null(memmem(first.ptr, first.len, "true= true007", 13));
    for (int i = 0; i < 3; i++) {
        assert_true(template_execute(t, &f.run, &out, &err));
        assert_true(view_eq(out, first));
    }
    template_free(t);
    fixture_deinit(&f);
}

struct executions {
    const struct template *t;
    struct view expected;
    bool same;
};

static void *execute_often(void *arg)
{
    struct executions *e = arg;
    struct fixture f;
    struct error err;
    struct view out;
    e->same = true;
    for (int i = 0; i < 20; i++) {
        fixture_init(&f);
        e->same &= template_execute(e->t, &f.run, &out, &err) && view_eq(out, e->expected);
        fixture_deinit(&f);
    }
    return NULL;
}

/* Several threads find and add patterns of one template at once. */
static void patterns_may_be_added_by_several_threads(void **state)
{
    (void)state;
    enum { THREADS = 4 };
    struct fixture f;
    struct template *t;
    struct error err;
    struct view expected;
    pthread_t threads[THREADS];
    struct executions runs[THREADS];
    static const char TEXT[] = "{{ range $i := 40 }}{{ reReplaceAll (printf \"(%d)\" $i) \"<$1>\" "
                               "\"0123456789\" }}{{ end }}";
    fixture_init(&f);
    assert_true(template_parse(&t, &OPTIONS, NULL, VIEW("t"), VIEW(TEXT), &err));
    assert_true(template_execute(t, &f.run, &expected, &err));
    template_free(t); /* its patterns with it: the threads find none */
    assert_true(template_parse(&t, &OPTIONS, NULL, VIEW("t"), VIEW(TEXT), &err));
    for (int i = 0; i < THREADS; i++) {
        runs[i] = (struct executions){.t = t, .expected = expected};
        assert_int_equal(pthread_create(&threads[i], NULL, execute_often, &runs[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_true(runs[i].same);
    }
    template_free(t);
    fixture_deinit(&f);
}

static bool answer_much(void *arg, struct arena *arena, struct view expr,
                        const struct template_sample **samples, size_t *count, struct error *err)
{
    const struct fixture *f = arg;
    struct template_sample *all = ARENA_ARRAY(arena, struct template_sample, 1000);
    (void)expr;
    (void)err;
    for (size_t i = 0; i < 1000; i++)
        all[i] = (struct template_sample){f->labels, 2, 1};
    *samples = all;
    *count = 1000;
    return true;
}

/* What a query brings counts as what is made of it does. */
static void results_of_queries_are_charged(void **state)
{
    (void)state;
    struct fixture f;
    uint64_t steps = 0;
    fixture_init(&f);
    f.run.query = answer_much;
    f.run.query_arg = &f;
    f.run.steps_used = &steps;
    f.run.limits.memory_bytes_max = 1 << 20;
    assert_string_equal(executed(&f, "{{ query \"x\" | len }}"), "ok: 1000");
    assert_in_range(steps, 1000, 3000);
    f.run.limits.memory_bytes_max = 64 << 10;
    assert_non_null(
        strstr(executed(&f, "{{ query \"x\" | len }}"), "more than 65536 bytes of values"));
    fixture_deinit(&f);
}

int main(void)
{
    static const struct CMUnitTest TESTS[] = {
        cmocka_unit_test(template_gives_what_go_gives),
        cmocka_unit_test(nesting_is_bounded),
        cmocka_unit_test(definitions_are_found_in_the_set),
        cmocka_unit_test(a_failed_expansion_is_a_text),
        cmocka_unit_test(patterns_are_kept_and_do_not_mix),
        cmocka_unit_test(patterns_may_be_added_by_several_threads),
        cmocka_unit_test(results_of_queries_are_charged),
    };
    return cmocka_run_group_tests(TESTS, NULL, NULL);
}
