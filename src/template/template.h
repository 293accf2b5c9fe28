/* SPDX-License-Identifier: Apache-2.0 */
/* template.h: the template language of alerts, notifications and consoles: Go's text/template, with html/template's
 * escaping when it is asked for, and the functions of Prometheus and Alertmanager.
 *
 * Parse once, execute many times: a parsed template or set is immutable, any thread may execute it. All that an
 * execution makes, its output too, lives in the arena that it is given.
 *
 *   struct template_options o = {.functions = &TEMPLATE_PROMETHEUS, .variables = NAMES, .variable_count = 4};
 *   template_parse(&t, &o, NULL, VIEW("__alert_Down"), text, &err);
 *   struct template_run run = {.arena = &arena, .data = data, .variables = values, .now = now};
 *   template_execute(t, &run, &out, &err)
 *
 * What is hostile ends with an error: limits of output, memory, steps and depth are in struct template_limits. */
#ifndef BELFRY_TEMPLATE_TEMPLATE_H
#define BELFRY_TEMPLATE_TEMPLATE_H

#include "base/arena.h"
#include "base/attributes.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/view.h"
#include "template/value.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    TEMPLATE_TEXT_BYTES_MAX = 4 << 20, /* of one text that is parsed */
    TEMPLATE_NESTING_MAX = 200,        /* of actions and parentheses in it */
    TEMPLATE_VARIABLES_MAX = 1000,     /* visible at one place */
};

/* Functions by name; sets of them are combined in struct template_options. */
struct template_functions {
    const struct template_function *items;
    size_t count;
};

/* What Prometheus gives to rules and consoles, and Alertmanager to notifications. Both: beside Go's own (and, call,
 * eq, ge, gt, html, index, js, le, len, lt, ne, not, or, print, printf, println, slice, urlquery). */
extern const struct template_functions TEMPLATE_PROMETHEUS, TEMPLATE_ALERTMANAGER;
/* tmpl, which consoles have beside Prometheus' functions: for template_options.more. */
extern const struct template_functions TEMPLATE_CONSOLE;

/* Borrowed while parsing; the function tables, names included, must outlive what was parsed. Zero = Go's functions, text. */
struct template_options {
    const struct template_functions *functions; /* NULL = none but Go's */
    const struct template_functions *more;      /* looked at first; NULL = none */
    const char *const
        *variables; /* "labels" for $labels: declared before the text begins, not in definitions */
    size_t variable_count;
    bool
        html; /* what actions print is escaped for the place in the page where it stands (template_parse() alone) */
};

/* Templates by name: those of files (Alertmanager's `templates`, a console library). */
struct template_set;

struct template_set *template_set_new(void);
/* NULL does nothing. No template that was parsed with the set may be executed after. */
void template_set_free(struct template_set *set);
/* Parses `text` into the set: what it defines and, unless it is only space, itself as `name`. A later definition
 * replaces an earlier one of the same name (but not within one text), unless it is empty. On error the set is as
 * before. Errors: ERROR_INPUT with line and column (from 1; columns count bytes); ERROR_TOO_LARGE. */
MUST_USE bool template_set_parse(struct template_set *set, const struct template_options *options,
                                 struct view name, struct view text, struct error *err);
/* Is there a template of this name? */
bool template_set_has(const struct template_set *set, struct view name);

struct template;

/* Parses `text`. Its {{template}} actions find its own definitions first, then those of `set` (borrowed for the life
 * of *out; NULL = none). On success the caller owns *out; on error *out is NULL. Errors as template_set_parse(). */
MUST_USE bool template_parse(struct template **out, const struct template_options *options,
                             const struct template_set *set, struct view name, struct view text,
                             struct error *err);
void template_free(struct template *t); /* NULL does nothing */

struct template_limits {
    size_t output_bytes_max; /* 0 = 16 MiB */
    size_t memory_bytes_max; /* of values made on the way; 0 = 64 MiB */
    uint64_t
        steps_max; /* actions, arguments, iterations and each 64 bytes that a function reads or writes;
                              * 0 = 20 million: about a second */
    uint32_t depth_max; /* of {{template}} within {{template}}; 0 = 100 */
};

/* One series of the result of query(): sorted or not, the names are distinct. */
struct template_sample {
    const struct template_pair *labels; /* values are texts */
    size_t label_count;
    double value;
};

/* What one execution sees. */
struct template_run {
    struct arena *arena;        /* without a limit of its own: the limits below hold instead */
    struct template_value data; /* . and $ */
    const struct template_value
        *variables;           /* as many as template_options.variables names, in that order */
    wall_time now;            /* of now, since and query */
    struct view external_url; /* of externalURL and pathPrefix */
    /* Answers query "..." at `now`: samples are made in `arena`. NULL = query is an error. */
    bool (*query)(void *arg, struct arena *arena, struct view expr,
                  const struct template_sample **samples, size_t *count, struct error *err);
    void *query_arg;
    void *user; /* for functions of template_options.more: template_call_user() */
    struct template_limits limits;
    uint64_t *steps_used; /* raised by the steps that it took; NULL = nobody counts */
};

/* Writes the text to *out (in the arena, followed by a NUL that is not counted). Errors: ERROR_EXECUTION, worded as Go
 * words them, `template: NAME:LINE:COLUMN: executing "NAME" at <.X>: ...`, with line and column (from 1) in the
 * error too; ERROR_LIMIT when a limit was met. */
MUST_USE bool template_execute(const struct template *t, const struct template_run *run,
                               struct view *out, struct error *err);

/* The same where a text must come out whatever happens: on an error the text is
 * "<error expanding template: error executing template NAME: MESSAGE>", as Prometheus writes it into the annotation,
 * and *err (may be NULL) says so. Returns whether it went well. */
bool template_expand(const struct template *t, const struct template_run *run, struct view *out,
                     struct error *err);

#endif
