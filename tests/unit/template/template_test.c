/* SPDX-License-Identifier: Apache-2.0 */
/* Parsing, executing and the limits. */
#include "template/template.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const char *const VARIABLES[] = {"labels", "value"};
static const struct template_options OPTIONS = {.variables = VARIABLES, .variable_count = 2};

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

int main(void)
{
    static const struct CMUnitTest TESTS[] = {
        cmocka_unit_test(template_gives_what_go_gives),
    };
    return cmocka_run_group_tests(TESTS, NULL, NULL);
}
