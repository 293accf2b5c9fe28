/* SPDX-License-Identifier: Apache-2.0 */
/* template_private.h: the tree that the parser makes and the execution walks.
 *
 *   source   one text that was parsed; its tree points into it
 *   body     what a name stands for: a list of nodes, with the variables of its own
 *   node     an element of a list (text, action, if, ...) or an operand (field, constant, pipeline, ...)
 *
 * A variable is a slot of its body's frame, found while parsing: 0 is $, then those of template_options. */
#ifndef BELFRY_TEMPLATE_TEMPLATE_PRIVATE_H
#define BELFRY_TEMPLATE_TEMPLATE_PRIVATE_H

#include "base/arena.h"
#include "base/buffer.h"
#include "base/map.h"
#include "base/regex.h"
#include "template/template.h"

#include <stdatomic.h>

enum { SLOT_NONE = -1 }; /* a variable that Go lets be parsed, but not executed */

enum node_kind {
    NODE_TEXT,
    NODE_ACTION,
    NODE_IF,
    NODE_WITH,
    NODE_RANGE,
    NODE_TEMPLATE,
    NODE_BREAK,
    NODE_CONTINUE,
    /* operands */
    NODE_PIPE,
    NODE_FIELD,    /* .A.B */
    NODE_CHAIN,    /* (pipeline).A.B, function.A */
    NODE_VARIABLE, /* $x.A.B */
    NODE_FUNCTION,
    NODE_DOT,
    NODE_NIL,
    NODE_CONSTANT, /* a text or a boolean */
    NODE_NUMBER,
    /* only between the parser's functions */
    NODE_END,
    NODE_ELSE,
};

struct node;

struct node_list {
    const struct node *const *items;
    size_t count;
};

struct command {
    const struct node **args; /* the first is what is called or meant */
    size_t count;
};

struct number {
    bool is_int, is_float; /* can be taken for one */
    bool written_float;    /* has a "." or an exponent: a float where nothing else is asked for */
    bool overflows;        /* an int where nothing else is asked for, but too large */
    int64_t integer;
    double number;
};

struct node {
    enum node_kind kind;
    uint32_t start, end; /* its bytes in the source */
    uint32_t pos;        /* where errors point: Go points at the last but first of .A.B's fields */
    union {
        struct view text;
        struct {
            const struct node *pipe;
            struct node_list list, otherwise;
        } control; /* action: pipe only */
        struct {
            struct view name;
            const struct node *pipe; /* NULL: nil is the data */
        } template;
        struct {
            struct command *commands;
            size_t count;
            int32_t slots[2];
            uint8_t slot_count;
            bool assigns; /* "=", not ":=" */
        } pipe;
        struct {
            const struct node *base; /* of a chain */
            int32_t slot;            /* of a variable */
            struct view *names;
            size_t count;
        } field;
        const struct template_function *function;
        struct template_value constant;
        struct number number;
    };
};

struct source {
    struct view name, text;
};

struct body {
    struct view name;
    const struct source *source;
    struct node_list list;
    uint32_t slot_count;
    bool is_empty; /* nothing but space and definitions */
};

struct template_set {
    struct arena arena;
    struct body **bodies;
    size_t count, capacity;
    struct string_map *names; /* -> index in bodies */
};

/* Patterns that executions compiled, kept for the next: texts name few, and mostly literally. Any thread adds at the front
 * and none is taken out before the template is freed, so that a reader needs no lock: it sees the list as it was at one
 * time. Patterns past the limit (made from labels, say) are compiled each time. */
enum { TEMPLATE_PATTERNS_MAX = 32 };

struct known_pattern {
    struct known_pattern *next; /* constant once it is in the list */
    struct regex_search *regex;
    size_t len;
    char text[];
};

struct pattern_list {
    _Atomic(struct known_pattern *) first; /* pushed with release, read with acquire */
    atomic_uint count;                     /* relaxed: places taken */
};

struct template
{
    struct arena arena;
    struct pattern_list *patterns;  /* apart: what was parsed is constant, this is not */
    const struct template_set *set; /* NULL = none */
    struct body *main;
    struct body **bodies; /* what the text defines */
    size_t count;
    size_t variable_count; /* that a run brings */
    bool html;             /* escape what is printed */
};

/* What one text holds. */
struct parsed {
    struct body *main;
    struct body **bodies;
    size_t count, capacity;
};

/* Parses into `arena`. */
MUST_USE bool parser_run(struct parsed *out, struct arena *arena,
                         const struct template_options *options, struct view name, struct view text,
                         struct error *err);

const struct body *template_find(const struct template *t, struct view name);
const struct body *template_set_find(const struct template_set *set, struct view name);

/* Line and column, from 1, of a byte of the source. */
void source_position(const struct source *s, uint32_t pos, uint32_t *line, uint32_t *column);

/* Functions that short-circuit: known by address. */
extern const struct template_functions TEMPLATE_BUILTINS;
bool builtin_and(struct template_call *call, const struct template_value *args, size_t count,
                 struct template_value *out);
bool builtin_or(struct template_call *call, const struct template_value *args, size_t count,
                struct template_value *out);
bool builtin_html(struct template_call *call, const struct template_value *args, size_t count,
                  struct template_value *out);

#endif
