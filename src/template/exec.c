/* SPDX-License-Identifier: Apache-2.0 */
/* exec.c: walks the tree of a template with its data.
 *
 * Go's rules of types hold: an argument must have the type that the function declares, constants become what is asked
 * for, a key that is not in a map is the zero of its elements. Every node, argument and iteration is a step; texts
 * and values that are made count against the run's memory, so that the worst template ends soon and small. */
#include "template/exec_private.h"

#include "base/assert.h"
#include "template/format.h"
#include "template/letters.h"

#include <stdarg.h>
#include <stdio.h>

enum {
    ARGS_INLINE = 8,         /* arguments that need no memory */
    NESTING_EXEC_MAX = 1000, /* of C calls, at most about 700 bytes of stack each */
};

static const struct template_limits LIMITS_DEFAULT = {
    .output_bytes_max = 16 << 20,
    .memory_bytes_max = 64 << 20,
    .steps_max = 20 * 1000 * 1000,
    .depth_max = 100,
};

/* What stops a list: nothing, {{break}}, {{continue}} or an error. */
enum flow { FLOW_ON, FLOW_BREAK, FLOW_CONTINUE, FLOW_FAILED };

static enum flow walk_list(struct template_call *c, const struct template_value *dot,
                           const struct node_list *list);
static bool eval_pipeline(struct template_call *c, const struct template_value *dot,
                          const struct node *pipe, struct template_value *out);
static bool eval_operand(struct template_call *c, const struct template_value *dot,
                         const struct node *n, const struct command *args,
                         const struct template_value *final, struct template_value *out);

/* --- errors and limits --- */

static bool fail(struct template_call *c, const char *format, ...) PRINTF_LIKE(2, 3);

/* Ends the execution at c->at. */
static bool fail(struct template_call *c, const char *format, ...)
{
    char message[ERROR_MESSAGE_BYTES / 2];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof(message), format, args);
    va_end(args);
    const struct source *s = c->body->source;
    struct view shown = {"", 0};
    uint32_t line = 1, column = 1;
    if (c->at) {
        source_position(s, c->at->pos, &line, &column);
        shown = view_slice(s->text, c->at->start, c->at->end);
    }
    return error_set_at(c->err, c->is_limit ? ERROR_LIMIT : ERROR_EXECUTION, line, column,
                        "template: %.*s:%u:%u: executing \"%.*s\" at <%.*s%s>: %s",
                        VIEW_ARGS(s->name), line, column - 1, VIEW_ARGS(c->body->name),
                        (int)(shown.len > 80 ? 80 : shown.len), shown.ptr,
                        shown.len > 80 ? "..." : "", message);
}

static bool call_failv(struct template_call *c, const char *format, va_list args)
{
    vsnprintf(c->message, sizeof(c->message), format, args);
    return false;
}

bool template_call_error(struct template_call *call, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    call_failv(call, format, args);
    va_end(args);
    return false;
}

bool call_limit(struct template_call *call, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    call_failv(call, format, args);
    va_end(args);
    call->is_limit = true;
    return false;
}

bool call_charge(struct template_call *c, uint64_t count)
{
    c->steps += count;
    if (LIKELY(c->steps <= c->limits.steps_max))
        return true;
    return call_limit(c, "more than %llu steps", (unsigned long long)c->limits.steps_max);
}

/* The same where no function wraps the error. */
static bool step(struct template_call *c)
{
    return LIKELY(call_charge(c, 1)) || fail(c, "%s", c->message);
}

static bool nest(struct template_call *c)
{
    if (LIKELY(++c->nesting <= NESTING_EXEC_MAX))
        return true;
    call_limit(c, "nested more than %d deep", NESTING_EXEC_MAX);
    return fail(c, "%s", c->message);
}

bool call_take_memory(struct template_call *call, size_t bytes)
{
    if (bytes > call->limits.memory_bytes_max - call->memory_bytes)
        return call_limit(call, "more than %zu bytes of values", call->limits.memory_bytes_max);
    call->memory_bytes += bytes;
    return true;
}

void *template_call_alloc(struct template_call *call, size_t bytes)
{
    if (!call_take_memory(call, bytes))
        return NULL;
    void *memory = arena_try_alloc(call->run->arena, bytes ? bytes : 1);
    if (!memory)
        call_limit(call, "no memory for %zu bytes", bytes);
    return memory;
}

struct view template_call_copy(struct template_call *call, struct view bytes)
{
    char *to = template_call_alloc(call, bytes.len + 1);
    if (!to)
        return (struct view){NULL, 0};
    if (bytes.len)
        memcpy(to, bytes.ptr, bytes.len);
    to[bytes.len] = '\0';
    return (struct view){to, bytes.len};
}

void *template_call_user(const struct template_call *call)
{
    return call->run->user;
}

bool scratch_take(struct template_call *call, size_t mark, struct view *out)
{
    if (call->scratch.failed)
        return call_limit(call, "more than %zu bytes of values", call->limits.memory_bytes_max);
    *out =
        template_call_copy(call, view_slice(buffer_view(&call->scratch), mark, call->scratch.len));
    uint64_t steps = (call->scratch.len - mark) / 64;
    call->scratch.len = mark;
    return out->ptr != NULL && call_charge(call, steps);
}

bool scratch_take_value(struct template_call *call, size_t mark, struct template_value *out)
{
    out->type = &TEMPLATE_TYPE_STRING;
    return scratch_take(call, mark, &out->text);
}

bool template_call_text(struct template_call *call, const struct template_value *v,
                        struct view *out)
{
    if (v->type && v->type->kind == TEMPLATE_STRING) {
        *out = v->text;
        return true;
    }
    size_t mark = scratch_begin(call);
    return format_shown(call, &call->scratch, v) && scratch_take(call, mark, out);
}

/* --- types --- */

static bool can_be_nil(const struct template_type *type)
{
    return type->kind == TEMPLATE_ANY || type->kind == TEMPLATE_LIST || type->kind == TEMPLATE_MAP;
}

/* Makes *v one of `type`, if Go could assign it. */
static bool assign(struct template_call *c, struct template_value *v,
                   const struct template_type *type)
{
    if (v->type && v->type->kind == TEMPLATE_ANY)
        v->type = NULL; /* what was looked for and not there */
    if (type->kind == TEMPLATE_ANY || v->type == type)
        return true;
    if (!v->type) {
        if (!can_be_nil(type))
            return fail(c, "invalid value; expected %s", type->name);
        *v = template_list(type, NULL, 0);
        return true;
    }
    if (v->type->unnamed == type || (type->unnamed && type->unnamed == v->type)) {
        v->type = type;
        return true;
    }
    return fail(c, "wrong type for value; expected %s; got %s", type->name, v->type->name);
}

static bool constant_number(struct template_call *c, const struct node *n,
                            struct template_value *out)
{
    if (n->number.written_float)
        *out = template_float(n->number.number);
    else if (n->number.is_int)
        *out = template_int(n->number.integer);
    else
        return fail(c, "%.*s overflows int",
                    VIEW_ARGS(view_slice(c->body->source->text, n->start, n->end)));
    return true;
}

/* A constant where `type` is asked for. */
static bool constant_as(struct template_call *c, const struct node *n,
                        const struct template_type *type, struct template_value *out)
{
    struct view shown = view_slice(c->body->source->text, n->start, n->end);
    const struct template_value *v = &n->constant;
    bool is_number = n->kind == NODE_NUMBER;
    switch (type->kind) {
    case TEMPLATE_ANY:
        if (is_number)
            return constant_number(c, n, out);
        *out = *v;
        return true;
    case TEMPLATE_BOOL:
        if (is_number || v->type->kind != TEMPLATE_BOOL)
            return fail(c, "expected bool; found %.*s", VIEW_ARGS(shown));
        *out = *v;
        break;
    case TEMPLATE_STRING:
        if (is_number || v->type->kind != TEMPLATE_STRING)
            return fail(c, "expected string; found %.*s", VIEW_ARGS(shown));
        *out = *v;
        break;
    case TEMPLATE_INT:
        if (!is_number || !n->number.is_int)
            return fail(c, "expected integer; found %.*s", VIEW_ARGS(shown));
        *out = template_int(n->number.integer);
        break;
    case TEMPLATE_FLOAT:
        if (!is_number || !n->number.is_float)
            return fail(c, "expected float; found %.*s", VIEW_ARGS(shown));
        *out = template_float(n->number.number);
        break;
    default:
        return fail(c, "can't handle %.*s for arg of type %s", VIEW_ARGS(shown), type->name);
    }
    out->type = type;
    return true;
}

/* --- calls --- */

static bool eval_arg(struct template_call *c, const struct template_value *dot,
                     const struct node *n, const struct template_type *type,
                     struct template_value *out)
{
    if (!step(c))
        return false;
    c->at = n;
    switch (n->kind) {
    case NODE_CONSTANT:
    case NODE_NUMBER:
        return constant_as(c, n, type, out);
    case NODE_NIL:
        if (!can_be_nil(type))
            return fail(c, "cannot assign nil to %s", type->name);
        *out = type->kind == TEMPLATE_ANY ? template_nil() : template_list(type, NULL, 0);
        return true;
    default:
        if (!eval_operand(c, dot, n, NULL, NULL, out))
            return false;
        return assign(c, out, type);
    }
}

static const struct template_type *param_type(const struct template_function *f, size_t i)
{
    return f->params[i < f->param_count ? i : f->param_count - 1u];
}

static bool check_arg_count(struct template_call *c, const struct template_function *f,
                            size_t written, size_t count)
{
    size_t fixed = f->param_count - (f->variadic ? 1u : 0u);
    if (f->variadic && count < fixed)
        return fail(c, "wrong number of args for %s: want at least %zu got %zu", f->name, fixed,
                    written);
    if (!f->variadic && count != fixed)
        return fail(c, "wrong number of args for %s: want %zu got %zu", f->name, fixed, count);
    return true;
}

/* and, or: arguments are evaluated until one decides. */
static bool eval_and_or(struct template_call *c, const struct template_value *dot, bool is_or,
                        const struct command *args, const struct template_value *final,
                        struct template_value *out)
{
    size_t written = args ? args->count - 1 : 0;
    for (size_t i = 0; i < written; i++) {
        if (!eval_arg(c, dot, args->args[i + 1], &TEMPLATE_TYPE_ANY, out))
            return false;
        if (template_value_is_true(out) == is_or)
            return true;
    }
    if (final)
        *out = *final;
    return true;
}

/* What a call reads and may have to look at again, in 64s of bytes. */
static uint64_t args_cost(const struct template_value *args, size_t count)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < count; i++) {
        if (!args[i].type)
            continue;
        if (args[i].type->kind == TEMPLATE_STRING)
            bytes += args[i].text.len;
        else if (args[i].type->kind == TEMPLATE_LIST || args[i].type->kind == TEMPLATE_MAP)
            bytes += args[i].list.count * 8;
    }
    return bytes / 64;
}

/* Calls a function, or a method when `receiver` is not NULL. args->args[0] is its name; `args` may be NULL. */
static bool eval_call(struct template_call *c, const struct template_value *dot,
                      const struct template_function *f, const struct template_value *receiver,
                      const struct node *n, const struct command *args,
                      const struct template_value *final, struct template_value *out)
{
    size_t written = args ? args->count - 1 : 0;
    size_t count = written + (final ? 1 : 0), first = receiver ? 1 : 0;
    if (!check_arg_count(c, f, written, count))
        return false;
    if (f->call == builtin_and || f->call == builtin_or)
        return eval_and_or(c, dot, f->call == builtin_or, args, final, out);

    struct template_value few[ARGS_INLINE], *argv = few;
    if (count + first > ARGS_INLINE) {
        argv = template_call_alloc(c, (count + first) * sizeof(*argv));
        if (!argv)
            return fail(c, "%s", c->message);
    }
    if (receiver)
        argv[0] = *receiver;
    for (size_t i = 0; i < written; i++)
        if (!eval_arg(c, dot, args->args[i + 1], param_type(f, i), &argv[first + i]))
            return false;
    if (final) {
        argv[first + written] = *final;
        if (!assign(c, &argv[first + written], param_type(f, written)))
            return false;
    }
    if (call_charge(c, 1 + args_cost(argv, count + first)) && f->call(c, argv, count + first, out))
        return true;
    struct node whole = *n; /* a function's call is shown with its arguments */
    if (args && n->kind == NODE_FUNCTION)
        whole.end = args->args[args->count - 1]->end;
    c->at = &whole;
    return fail(c, "error calling %s: %s", f->name, c->message);
}

/* --- fields --- */

static const struct template_function *method_find(const struct template_type *type,
                                                   struct view name)
{
    for (size_t i = 0; i < type->method_count; i++)
        if (view_is(name, type->methods[i].name))
            return &type->methods[i];
    return NULL;
}

/* One .Name of a receiver, called with the arguments if it is a method. */
static bool eval_field(struct template_call *c, const struct template_value *dot, struct view name,
                       const struct node *n, const struct command *args,
                       const struct template_value *final, const struct template_value *receiver,
                       struct template_value *out)
{
    const struct template_type *type = receiver->type;
    bool has_args = (args && args->count > 1) || final;
    if (!type) {
        *out = template_nil();
        return true;
    }
    if (type->kind == TEMPLATE_ANY)
        return fail(c, "nil pointer evaluating interface {}.%.*s", VIEW_ARGS(name));
    const struct template_function *method = method_find(type, name);
    if (method)
        return eval_call(c, dot, method, receiver, n, args, final, out);
    if (type->kind == TEMPLATE_MAP) {
        if (has_args)
            return fail(c, "%.*s is not a method but has arguments", VIEW_ARGS(name));
        const struct template_value *found = template_map_find(receiver, name);
        *out = found ? *found : template_zero(type->element);
        return true;
    }
    for (size_t i = 0; type->kind == TEMPLATE_STRUCT && i < type->field_count; i++) {
        if (!view_is(name, type->fields[i].name))
            continue;
        if (has_args)
            return fail(c, "%.*s has arguments but cannot be invoked as function", VIEW_ARGS(name));
        *out = receiver->fields[i];
        return true;
    }
    return fail(c, "can't evaluate field %.*s in type %s", VIEW_ARGS(name), type->name);
}

static bool eval_fields(struct template_call *c, const struct template_value *dot,
                        const struct node *n, const struct command *args,
                        const struct template_value *final, struct template_value receiver,
                        struct template_value *out)
{
    for (size_t i = 0; i < n->field.count; i++) {
        bool last = i + 1 == n->field.count;
        c->at = n;
        if (!eval_field(c, dot, n->field.names[i], n, last ? args : NULL, last ? final : NULL,
                        &receiver, out))
            return false;
        receiver = *out;
    }
    return true;
}

static bool check_no_args(struct template_call *c, const struct node *n, const struct command *args,
                          const struct template_value *final)
{
    if (!(args && args->count > 1) && !final)
        return true;
    uint32_t parens = n->kind == NODE_PIPE ? 1 : 0;
    return fail(c, "can't give argument to non-function %.*s",
                VIEW_ARGS(view_slice(c->body->source->text, n->start + parens, n->end - parens)));
}

static bool eval_variable(struct template_call *c, const struct template_value *dot,
                          const struct node *n, const struct command *args,
                          const struct template_value *final, struct template_value *out)
{
    if (n->field.slot == SLOT_NONE)
        return fail(c, "undefined variable: %.*s",
                    VIEW_ARGS(view_slice(c->body->source->text, n->start, n->end)));
    *out = c->slots[n->field.slot];
    if (n->field.count)
        return eval_fields(c, dot, n, args, final, *out, out);
    return check_no_args(c, n, args, final);
}

/* An operand; with the arguments of the command that it begins (NULL = it is an argument itself). */
static bool eval_operand(struct template_call *c, const struct template_value *dot,
                         const struct node *n, const struct command *args,
                         const struct template_value *final, struct template_value *out)
{
    c->at = n;
    switch (n->kind) {
    case NODE_FIELD:
        return eval_fields(c, dot, n, args, final, *dot, out);
    case NODE_VARIABLE:
        return eval_variable(c, dot, n, args, final, out);
    case NODE_FUNCTION:
        return eval_call(c, dot, n->function, NULL, n, args, final, out);
    case NODE_CHAIN: {
        struct template_value base;
        if (n->field.base->kind == NODE_NIL)
            return fail(c, "indirection through explicit nil in %.*s",
                        VIEW_ARGS(view_slice(c->body->source->text, n->start, n->end)));
        if (!nest(c) || !eval_operand(c, dot, n->field.base, NULL, NULL, &base))
            return false;
        c->nesting--;
        return eval_fields(c, dot, n, args, final, base, out);
    }
    case NODE_PIPE:
        if (!check_no_args(c, n, args, final) || !nest(c) || !eval_pipeline(c, dot, n, out))
            return false;
        c->nesting--;
        return true;
    case NODE_DOT:
        *out = *dot;
        return check_no_args(c, n, args, final);
    case NODE_NIL:
        return fail(c, "nil is not a command");
    default:
        return check_no_args(c, n, args, final) && constant_as(c, n, &TEMPLATE_TYPE_ANY, out);
    }
}

/* --- pipelines --- */

/* The pipeline begins with the name of a variable that there is not. */
static bool fail_undefined(struct template_call *c, const struct node *pipe)
{
    struct view rest = view_slice(c->body->source->text, pipe->start + 1, pipe->end);
    return fail(c, "undefined variable: $%.*s",
                VIEW_ARGS(view_slice(rest, 0, letters_prefix(rest))));
}

static bool set_variables(struct template_call *c, const struct node *pipe,
                          const struct template_value *v)
{
    for (size_t i = 0; i < pipe->pipe.slot_count; i++) {
        if (pipe->pipe.slots[i] == SLOT_NONE)
            return fail_undefined(c, pipe);
        c->slots[pipe->pipe.slots[i]] = *v;
    }
    return true;
}

static bool eval_pipeline(struct template_call *c, const struct template_value *dot,
                          const struct node *pipe, struct template_value *out)
{
    struct template_value previous;
    for (size_t i = 0; i < pipe->pipe.count; i++) {
        const struct command *command = &pipe->pipe.commands[i];
        if (!step(c) || !eval_operand(c, dot, command->args[0], command, i ? &previous : NULL, out))
            return false;
        if (out->type && out->type->kind == TEMPLATE_ANY)
            out->type = NULL;
        previous = *out;
    }
    return set_variables(c, pipe, out);
}

/* --- actions --- */

static bool write_value(struct template_call *c, const struct node *n,
                        const struct template_value *v)
{
    c->at = n;
    if (c->t->html) {
        if (!html_value(c, &c->html, &c->out, v))
            return fail(c, "%s", c->message);
    } else if (v->type && v->type->kind == TEMPLATE_STRING)
        buffer_append_view(&c->out, v->text);
    else if (!format_shown(c, &c->out, v))
        return fail(c, "%s", c->message);
    return true;
}

static bool check_output(struct template_call *c)
{
    if (LIKELY(!c->out.failed))
        return true;
    call_limit(c, "more than %zu bytes of output", c->limits.output_bytes_max);
    return fail(c, "%s", c->message);
}

/* One iteration; false when the loop ends. */
static bool iterate(struct template_call *c, const struct node *n,
                    const struct template_value *index, const struct template_value *item,
                    enum flow *flow)
{
    const struct node *pipe = n->control.pipe;
    *flow = FLOW_FAILED;
    if (!step(c))
        return false;
    if (pipe->pipe.slot_count) {
        const int32_t *slots = pipe->pipe.slots;
        bool two = pipe->pipe.slot_count == 2;
        c->at = pipe;
        if (slots[0] == SLOT_NONE || (two && slots[1] == SLOT_NONE))
            return fail_undefined(c, pipe);
        c->slots[slots[0]] = two ? *index : *item;
        if (two)
            c->slots[slots[1]] = *item;
    }
    *flow = walk_list(c, item, &n->control.list);
    if (*flow == FLOW_BREAK || *flow == FLOW_FAILED)
        return false;
    *flow = FLOW_ON;
    return true;
}

/* All iterations; *any = there was one. */
static bool range_items(struct template_call *c, const struct node *n,
                        const struct template_value *v, bool *any, enum flow *flow)
{
    size_t slots = n->control.pipe->pipe.slot_count;
    bool go_on = true;
    *flow = FLOW_ON;
    *any = false;
    if (!v->type)
        return true;
    struct template_value index = template_nil(), item;
    switch (v->type->kind) {
    case TEMPLATE_INT:
        if (slots > 1)
            return fail(c, "can't use %lld to iterate over more than one variable",
                        (long long)v->integer);
        item = *v;
        for (int64_t i = 0; go_on && i < v->integer; i++) {
            item.integer = i;
            go_on = iterate(c, n, &index, &item, flow);
        }
        *any = v->integer > 0;
        return true;
    case TEMPLATE_LIST:
        for (size_t i = 0; go_on && i < v->list.count; i++) {
            index = template_int((int64_t)i);
            item = v->list.items[i];
            go_on = iterate(c, n, &index, &item, flow);
        }
        *any = v->list.count > 0;
        return true;
    case TEMPLATE_MAP:
        for (size_t i = 0; go_on && i < v->map.count; i++) {
            index = template_string(v->map.pairs[i].key);
            item = v->map.pairs[i].value;
            go_on = iterate(c, n, &index, &item, flow);
        }
        *any = v->map.count > 0;
        return true;
    default: {
        struct view shown = {"", 0};
        if (!template_call_text(c, v, &shown) && c->is_limit)
            return fail(c, "%s", c->message);
        return fail(c, "range can't iterate over %.*s", (int)(shown.len > 200 ? 200 : shown.len),
                    shown.ptr);
    }
    }
}

static enum flow walk_range(struct template_call *c, const struct template_value *dot,
                            const struct node *n)
{
    struct template_value v;
    enum flow flow;
    bool any;
    if (!eval_pipeline(c, dot, n->control.pipe, &v))
        return FLOW_FAILED;
    c->at = n->control.pipe;
    if (!range_items(c, n, &v, &any, &flow) || flow == FLOW_FAILED)
        return FLOW_FAILED;
    return any ? FLOW_ON : walk_list(c, dot, &n->control.otherwise);
}

static bool walk_body(struct template_call *c, const struct body *body,
                      const struct template_value *data)
{
    struct template_value few[ARGS_INLINE], *outer_slots = c->slots;
    const struct body *outer = c->body;
    c->slots = few;
    if (body->slot_count > ARGS_INLINE) {
        c->slots = template_call_alloc(c, body->slot_count * sizeof(*c->slots));
        if (!c->slots)
            return fail(c, "%s", c->message);
    }
    c->slots[0] = *data;
    for (uint32_t i = 1; i < body->slot_count; i++)
        c->slots[i].type = NULL; /* read only where a pipeline that declares it was cut short */
    if (!outer && c->run->variables && body->slot_count > 1)
        memcpy(c->slots + 1, c->run->variables, c->t->variable_count * sizeof(*c->slots));
    c->body = body;
    bool ok = walk_list(c, data, &body->list) != FLOW_FAILED;
    if (ok) { /* else the error was made where it happened */
        c->body = outer;
        c->slots = outer_slots;
    }
    return ok;
}

static bool walk_template(struct template_call *c, const struct template_value *dot,
                          const struct node *n)
{
    struct template_value data = template_nil();
    c->at = n;
    const struct body *body = template_find(c->t, n->template.name);
    if (!body)
        return fail(c, "template \"%.*s\" not defined", VIEW_ARGS(n->template.name));
    if (c->depth >= c->limits.depth_max) {
        call_limit(c, "exceeded maximum template depth (%u)", c->limits.depth_max);
        return fail(c, "%s", c->message);
    }
    if (n->template.pipe && !eval_pipeline(c, dot, n->template.pipe, &data))
        return false;
    c->depth++;
    bool ok = nest(c) && walk_body(c, body, &data);
    c->depth--;
    c->nesting--;
    return ok;
}

static enum flow walk_if_with(struct template_call *c, const struct template_value *dot,
                              const struct node *n)
{
    struct template_value v;
    if (!eval_pipeline(c, dot, n->control.pipe, &v))
        return FLOW_FAILED;
    if (!template_value_is_true(&v))
        return walk_list(c, dot, &n->control.otherwise);
    return walk_list(c, n->kind == NODE_WITH ? &v : dot, &n->control.list);
}

static enum flow walk_node(struct template_call *c, const struct template_value *dot,
                           const struct node *n)
{
    struct template_value v;
    switch (n->kind) {
    case NODE_TEXT:
        if (c->t->html)
            html_text(&c->html, &c->out, n->text);
        else
            buffer_append_view(&c->out, n->text);
        return FLOW_ON;
    case NODE_ACTION:
        if (!eval_pipeline(c, dot, n->control.pipe, &v))
            return FLOW_FAILED;
        if (n->control.pipe->pipe.slot_count == 0 && !write_value(c, n, &v))
            return FLOW_FAILED;
        return FLOW_ON;
    case NODE_IF:
    case NODE_WITH:
        return walk_if_with(c, dot, n);
    case NODE_RANGE:
        return walk_range(c, dot, n);
    case NODE_TEMPLATE:
        return walk_template(c, dot, n) ? FLOW_ON : FLOW_FAILED;
    case NODE_BREAK:
        return FLOW_BREAK;
    case NODE_CONTINUE:
        return FLOW_CONTINUE;
    default:
        UNREACHABLE();
    }
}

static enum flow walk_list(struct template_call *c, const struct template_value *dot,
                           const struct node_list *list)
{
    enum flow flow = FLOW_ON;
    if (!nest(c))
        return FLOW_FAILED;
    for (size_t i = 0; i < list->count && flow == FLOW_ON; i++) {
        c->at = list->items[i];
        flow = step(c) ? walk_node(c, dot, list->items[i]) : FLOW_FAILED;
        if (flow != FLOW_FAILED && !check_output(c))
            flow = FLOW_FAILED;
    }
    c->nesting--;
    return flow;
}

bool call_template(struct template_call *c, struct view name, const struct template_value *data,
                   struct view *out)
{
    const struct body *body = template_find(c->t, name);
    if (!body)
        return template_call_error(c, "html/template: \"%.*s\" is undefined", VIEW_ARGS(name));
    if (c->depth >= c->limits.depth_max)
        return call_limit(c, "exceeded maximum template depth (%u)", c->limits.depth_max);
    size_t mark = c->out.len;
    const struct body *outer = c->body;
    const struct html_state place = c->html;
    c->html = (struct html_state){.place = HTML_TEXT}; /* a page of its own */
    c->depth++;
    bool ok = nest(c) && walk_body(c, body, data);
    c->depth--;
    c->nesting--;
    c->html = place;
    if (!ok) {
        /* The inner error is told by the outer call. */
        c->body = outer;
        return template_call_error(c, "%.*s", ERROR_MESSAGE_BYTES / 2 - 1, c->err->message);
    }
    *out = template_call_copy(c, view_slice(buffer_view(&c->out), mark, c->out.len));
    c->out.len = mark;
    return out->ptr != NULL;
}

/* --- the run --- */

bool template_execute(const struct template *t, const struct template_run *run, struct view *out,
                      struct error *err)
{
    struct error unused;
    struct template_call c = {
        .t = t, .run = run, .err = err ? err : &unused, .limits = run->limits};
    struct template_limits *l = &c.limits;
    l->output_bytes_max =
        l->output_bytes_max ? l->output_bytes_max : LIMITS_DEFAULT.output_bytes_max;
    l->memory_bytes_max =
        l->memory_bytes_max ? l->memory_bytes_max : LIMITS_DEFAULT.memory_bytes_max;
    l->steps_max = l->steps_max ? l->steps_max : LIMITS_DEFAULT.steps_max;
    l->depth_max = l->depth_max ? l->depth_max : LIMITS_DEFAULT.depth_max;
    buffer_init(&c.out, MEM_QUERY, l->output_bytes_max);
    buffer_init(&c.scratch, MEM_QUERY, l->memory_bytes_max);
    bool ok = walk_body(&c, t->main, &run->data);
    if (ok)
        *out = arena_copy(run->arena, buffer_view(&c.out));
    buffer_deinit(&c.out);
    buffer_deinit(&c.scratch);
    if (run->steps_used)
        *run->steps_used += c.steps;
    return ok;
}

bool template_expand(const struct template *t, const struct template_run *run, struct view *out,
                     struct error *err)
{
    struct error own;
    struct error *e = err ? err : &own;
    if (template_execute(t, run, out, e))
        return true;
    *out = arena_printf(run->arena, "<error expanding template: error executing template %.*s: %s>",
                        VIEW_ARGS(t->main->source->name), e->message);
    return false;
}
