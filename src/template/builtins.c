/* SPDX-License-Identifier: Apache-2.0 */
/* builtins.c: the functions of Go's text/template itself. */
#include "template/escape.h"
#include "template/exec_private.h"
#include "template/format.h"

#include <string.h>

/* and, or and call are the evaluator's, but for their names: the first two short-circuit there. */
bool builtin_and(struct template_call *call, const struct template_value *args, size_t count,
                 struct template_value *out)
{
    return template_call_error(call, "cannot be called");
}

bool builtin_or(struct template_call *call, const struct template_value *args, size_t count,
                struct template_value *out)
{
    return template_call_error(call, "cannot be called");
}

/* There are no values that are functions. */
static bool builtin_call(struct template_call *call, const struct template_value *args,
                         size_t count, struct template_value *out)
{
    if (!args[0].type)
        return template_call_error(call, "call of nil");
    return template_call_error(call, "non-function of type %s", args[0].type->name);
}

/* --- logic and comparison --- */

static bool builtin_not(struct template_call *call, const struct template_value *args, size_t count,
                        struct template_value *out)
{
    *out = template_bool(!template_value_is_true(&args[0]));
    return true;
}

static bool is_basic(const struct template_value *v)
{
    return v->type && v->type->kind >= TEMPLATE_BOOL && v->type->kind <= TEMPLATE_STRING;
}

/* Values of one kind that is not basic: Go compares structs of equal types and refuses lists and maps. */
static bool equal_compound(struct template_call *call, const struct template_value *a,
                           const struct template_value *b, bool *equal)
{
    if (!a->type || !b->type) {
        *equal = !a->type == !b->type;
        return true;
    }
    if (a->type->kind != b->type->kind)
        return template_call_error(call, "non-comparable types %s, %s", a->type->name,
                                   b->type->name);
    if (a->type->kind == TEMPLATE_TIME) {
        *equal = a->time->seconds == b->time->seconds &&
                 a->time->nanoseconds == b->time->nanoseconds &&
                 a->time->offset_seconds == b->time->offset_seconds;
        return true;
    }
    if (a->type->kind == TEMPLATE_STRUCT && a->type == b->type) {
        *equal = a->fields == b->fields;
        return true;
    }
    struct view shown;
    return template_call_text(call, b, &shown) &&
           template_call_error(call, "non-comparable type %.*s: %s", VIEW_ARGS(shown),
                               b->type->name);
}

static bool equal(struct template_call *call, const struct template_value *a,
                  const struct template_value *b, bool *out)
{
    *out = false;
    if (!is_basic(a) && !is_basic(b))
        return equal_compound(call, a, b, out);
    if (!a->type || !b->type)
        return true;
    if (a->type->kind != b->type->kind)
        return template_call_error(call, "incompatible types for comparison: %s and %s",
                                   a->type->name, b->type->name);
    switch (a->type->kind) {
    case TEMPLATE_BOOL:
        *out = a->boolean == b->boolean;
        return true;
    case TEMPLATE_INT:
        *out = a->integer == b->integer;
        return true;
    case TEMPLATE_FLOAT:
        *out = a->number == b->number;
        return true;
    default:
        *out = view_eq(a->text, b->text);
        return true;
    }
}

static bool less(struct template_call *call, const struct template_value *a,
                 const struct template_value *b, bool *out)
{
    if (!is_basic(a) || !is_basic(b))
        return template_call_error(call, "invalid type for comparison");
    if (a->type->kind != b->type->kind)
        return template_call_error(call, "incompatible types for comparison: %s and %s",
                                   a->type->name, b->type->name);
    switch (a->type->kind) {
    case TEMPLATE_INT:
        *out = a->integer < b->integer;
        return true;
    case TEMPLATE_FLOAT:
        *out = a->number < b->number;
        return true;
    case TEMPLATE_STRING:
        *out = view_cmp(a->text, b->text) < 0;
        return true;
    default:
        return template_call_error(call, "invalid type for comparison");
    }
}

static bool less_or_equal(struct template_call *call, const struct template_value *a,
                          const struct template_value *b, bool *out)
{
    return less(call, a, b, out) && (*out || equal(call, a, b, out));
}

static bool builtin_eq(struct template_call *call, const struct template_value *args, size_t count,
                       struct template_value *out)
{
    if (count < 2)
        return template_call_error(call, "missing argument for comparison");
    bool same = false;
    for (size_t i = 1; i < count && !same; i++)
        if (!equal(call, &args[0], &args[i], &same))
            return false;
    *out = template_bool(same);
    return true;
}

static bool builtin_ne(struct template_call *call, const struct template_value *args, size_t count,
                       struct template_value *out)
{
    bool same;
    if (!equal(call, &args[0], &args[1], &same))
        return false;
    *out = template_bool(!same);
    return true;
}

static bool builtin_lt(struct template_call *call, const struct template_value *args, size_t count,
                       struct template_value *out)
{
    *out = template_bool(false);
    return less(call, &args[0], &args[1], &out->boolean);
}

static bool builtin_le(struct template_call *call, const struct template_value *args, size_t count,
                       struct template_value *out)
{
    *out = template_bool(false);
    return less_or_equal(call, &args[0], &args[1], &out->boolean);
}

static bool builtin_gt(struct template_call *call, const struct template_value *args, size_t count,
                       struct template_value *out)
{
    if (!builtin_le(call, args, count, out))
        return false;
    out->boolean = !out->boolean;
    return true;
}

static bool builtin_ge(struct template_call *call, const struct template_value *args, size_t count,
                       struct template_value *out)
{
    if (!builtin_lt(call, args, count, out))
        return false;
    out->boolean = !out->boolean;
    return true;
}

/* --- parts of values --- */

/* An index in [0, max]. */
static bool index_number(struct template_call *call, const struct template_value *v, size_t max,
                         size_t *out)
{
    if (!v->type)
        return template_call_error(call, "cannot index slice/array with nil");
    if (v->type->kind != TEMPLATE_INT)
        return template_call_error(call, "cannot index slice/array with type %s", v->type->name);
    if (v->integer < 0 || (uint64_t)v->integer > max)
        return template_call_error(call, "index out of range: %lld", (long long)v->integer);
    *out = (size_t)v->integer;
    return true;
}

static bool index_map(struct template_call *call, const struct template_value *map,
                      const struct template_value *key, struct template_value *out)
{
    if (!key->type)
        return template_call_error(call, "value is nil; should be of type string");
    if (key->type != &TEMPLATE_TYPE_STRING)
        return template_call_error(call, "value has type %s; should be string", key->type->name);
    const struct template_value *found = template_map_find(map, key->text);
    *out = template_zero(map->type->element);
    if (found)
        *out = *found;
    else if (out->type->kind == TEMPLATE_ANY)
        out->type = NULL;
    return true;
}

static bool builtin_index(struct template_call *call, const struct template_value *args,
                          size_t count, struct template_value *out)
{
    struct template_value item = args[0];
    if (!item.type)
        return template_call_error(call, "index of untyped nil");
    for (size_t i = 1; i < count; i++) {
        size_t at;
        if (!item.type)
            return template_call_error(call, "index of nil pointer");
        switch (item.type->kind) {
        case TEMPLATE_STRING:
            if (!index_number(call, &args[i], item.text.len, &at))
                return false;
            if (at == item.text.len)
                return template_call_error(call, "reflect: string index out of range");
            item = (struct template_value){.type = &TEMPLATE_TYPE_BYTE,
                                           .integer = (unsigned char)item.text.ptr[at]};
            break;
        case TEMPLATE_LIST:
            if (!index_number(call, &args[i], item.list.count, &at))
                return false;
            if (at == item.list.count)
                return template_call_error(call, "reflect: slice index out of range");
            item = item.list.items[at];
            break;
        case TEMPLATE_MAP: {
            struct template_value found = template_nil();
            if (!index_map(call, &item, &args[i], &found))
                return false;
            item = found;
            break;
        }
        default:
            return template_call_error(call, "can't index item of type %s", item.type->name);
        }
    }
    *out = item;
    return true;
}

static bool builtin_slice(struct template_call *call, const struct template_value *args,
                          size_t count, struct template_value *out)
{
    const struct template_value *v = &args[0];
    if (!v->type)
        return template_call_error(call, "slice of untyped nil");
    if (count > 4)
        return template_call_error(call, "too many slice indexes: %zu", count - 1);
    bool is_text = v->type->kind == TEMPLATE_STRING;
    if (!is_text && v->type->kind != TEMPLATE_LIST)
        return template_call_error(call, "can't slice item of type %s", v->type->name);
    if (is_text && count == 4)
        return template_call_error(call, "cannot 3-index slice a string");
    size_t len = is_text ? v->text.len : v->list.count, at[3] = {0, len, len};
    for (size_t i = 1; i < count; i++)
        if (!index_number(call, &args[i], len, &at[i - 1]))
            return false;
    for (size_t i = 1; i < 3; i++)
        if (at[i - 1] > at[i])
            return template_call_error(call, "invalid slice index: %zu > %zu", at[i - 1], at[i]);
    *out = *v;
    if (is_text)
        out->text = view_slice(v->text, at[0], at[1]);
    else
        *out = template_list(v->type, v->list.items ? v->list.items + at[0] : NULL, at[1] - at[0]);
    return true;
}

static bool builtin_len(struct template_call *call, const struct template_value *args, size_t count,
                        struct template_value *out)
{
    const struct template_value *v = &args[0];
    if (!v->type)
        return template_call_error(call, "len of nil pointer");
    if (v->type->kind == TEMPLATE_STRING)
        *out = template_int((int64_t)v->text.len);
    else if (v->type->kind == TEMPLATE_LIST || v->type->kind == TEMPLATE_MAP)
        *out = template_int((int64_t)v->list.count);
    else
        return template_call_error(call, "len of type %s", v->type->name);
    return true;
}

/* --- text --- */

static bool builtin_print(struct template_call *call, const struct template_value *args,
                          size_t count, struct template_value *out)
{
    size_t mark = scratch_begin(call);
    return format_print(call, &call->scratch, args, count) && scratch_take_value(call, mark, out);
}

static bool builtin_println(struct template_call *call, const struct template_value *args,
                            size_t count, struct template_value *out)
{
    size_t mark = scratch_begin(call);
    return format_println(call, &call->scratch, args, count) && scratch_take_value(call, mark, out);
}

static bool builtin_printf(struct template_call *call, const struct template_value *args,
                           size_t count, struct template_value *out)
{
    size_t mark = scratch_begin(call);
    return format_printf(call, &call->scratch, args[0].text, args + 1, count - 1) &&
           scratch_take_value(call, mark, out);
}

/* The arguments as one text, each as an action prints it: what the escapers work on. */
static bool joined_text(struct template_call *call, const struct template_value *args, size_t count,
                        struct view *out)
{
    if (count == 1 && args[0].type == &TEMPLATE_TYPE_STRING) {
        *out = args[0].text;
        return true;
    }
    size_t mark = scratch_begin(call);
    bool text_before = true; /* nil is shown by a text: no spaces around */
    for (size_t i = 0; i < count; i++) {
        bool text = !args[i].type || args[i].type->kind == TEMPLATE_STRING;
        if (!text && !text_before)
            buffer_append_byte(&call->scratch, ' ');
        if (!format_shown(call, &call->scratch, &args[i]))
            return false;
        text_before = text;
    }
    return scratch_take(call, mark, out);
}

bool builtin_html(struct template_call *call, const struct template_value *args, size_t count,
                  struct template_value *out)
{
    struct view text;
    if (!joined_text(call, args, count, &text))
        return false;
    if (call->t->html) { /* the place escapes it: once is enough */
        *out = template_string(text);
        return true;
    }
    size_t mark = scratch_begin(call);
    escape_html(&call->scratch, text);
    return scratch_take_value(call, mark, out);
}

static bool builtin_js(struct template_call *call, const struct template_value *args, size_t count,
                       struct template_value *out)
{
    struct view text;
    if (!joined_text(call, args, count, &text))
        return false;
    size_t mark = scratch_begin(call);
    escape_js(&call->scratch, text);
    return scratch_take_value(call, mark, out);
}

static bool builtin_urlquery(struct template_call *call, const struct template_value *args,
                             size_t count, struct template_value *out)
{
    struct view text;
    if (!joined_text(call, args, count, &text))
        return false;
    size_t mark = scratch_begin(call);
    escape_query(&call->scratch, text);
    return scratch_take_value(call, mark, out);
}

#define ANY &TEMPLATE_TYPE_ANY

static const struct template_function ITEMS[] = {
    {"and", builtin_and, {ANY, ANY}, 2, true},
    {"or", builtin_or, {ANY, ANY}, 2, true},
    {"not", builtin_not, {ANY}, 1, false},
    {"call", builtin_call, {ANY, ANY}, 2, true},
    {"eq", builtin_eq, {ANY, ANY}, 2, true},
    {"ne", builtin_ne, {ANY, ANY}, 2, false},
    {"lt", builtin_lt, {ANY, ANY}, 2, false},
    {"le", builtin_le, {ANY, ANY}, 2, false},
    {"gt", builtin_gt, {ANY, ANY}, 2, false},
    {"ge", builtin_ge, {ANY, ANY}, 2, false},
    {"index", builtin_index, {ANY, ANY}, 2, true},
    {"slice", builtin_slice, {ANY, ANY}, 2, true},
    {"len", builtin_len, {ANY}, 1, false},
    {"print", builtin_print, {ANY}, 1, true},
    {"println", builtin_println, {ANY}, 1, true},
    {"printf", builtin_printf, {&TEMPLATE_TYPE_STRING, ANY}, 2, true},
    {"html", builtin_html, {ANY}, 1, true},
    {"js", builtin_js, {ANY}, 1, true},
    {"urlquery", builtin_urlquery, {ANY}, 1, true},
};

const struct template_functions TEMPLATE_BUILTINS = {ITEMS, sizeof(ITEMS) / sizeof(ITEMS[0])};
