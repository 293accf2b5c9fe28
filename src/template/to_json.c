/* SPDX-License-Identifier: Apache-2.0 */
/* to_json.c: see to_json.h. */
#include "template/to_json.h"

#include "base/json_write.h"
#include "template/time_value.h"

#include <math.h>
#include <string.h>

enum { JSON_DEPTH_MAX = 100 };

static bool append(struct template_call *call, struct buffer *out, const struct template_value *v,
                   int depth);

static bool append_map(struct template_call *call, struct buffer *out,
                       const struct template_value *v, int depth)
{
    buffer_append_byte(out, '{');
    for (size_t i = 0; i < v->map.count; i++) {
        if (i)
            buffer_append_byte(out, ',');
        json_string(out, v->map.pairs[i].key);
        buffer_append_byte(out, ':');
        if (!append(call, out, &v->map.pairs[i].value, depth))
            return false;
    }
    buffer_append_byte(out, '}');
    return true;
}

static bool append_list(struct template_call *call, struct buffer *out,
                        const struct template_value *v, int depth)
{
    buffer_append_byte(out, '[');
    for (size_t i = 0; i < v->list.count; i++) {
        if (i)
            buffer_append_byte(out, ',');
        if (!append(call, out, &v->list.items[i], depth))
            return false;
    }
    buffer_append_byte(out, ']');
    return true;
}

static bool append_struct(struct template_call *call, struct buffer *out,
                          const struct template_value *v, int depth)
{
    bool first = true;
    buffer_append_byte(out, '{');
    for (size_t i = 0; i < v->type->field_count; i++) {
        if (!v->type->fields[i].json)
            continue;
        if (!first)
            buffer_append_byte(out, ',');
        first = false;
        json_string(out, view_from(v->type->fields[i].json));
        buffer_append_byte(out, ':');
        if (!append(call, out, &v->fields[i], depth))
            return false;
    }
    buffer_append_byte(out, '}');
    return true;
}

static bool append_number(struct template_call *call, struct buffer *out, double v)
{
    if (!isfinite(v))
        return template_call_error(call, "json: unsupported value: %s",
                                   isnan(v) ? "NaN"
                                   : v > 0  ? "+Inf"
                                            : "-Inf");
    json_number(out, v);
    /* Go's encoder makes e-09 of 1e-9 to e-9. */
    if (out->len >= 4 && memcmp(out->ptr + out->len - 4, "e-0", 3) == 0) {
        out->ptr[out->len - 2] = out->ptr[out->len - 1];
        out->len--;
    }
    return true;
}

static bool append(struct template_call *call, struct buffer *out, const struct template_value *v,
                   int depth)
{
    if (depth > JSON_DEPTH_MAX)
        return template_call_error(call, "lists more than %d deep", JSON_DEPTH_MAX);
    if (!v->type) {
        buffer_append_literal(out, "null");
        return true;
    }
    switch (v->type->kind) {
    case TEMPLATE_BOOL:
        buffer_append_view(out, v->boolean ? VIEW("true") : VIEW("false"));
        return true;
    case TEMPLATE_INT:
        json_int(out, v->integer);
        return true;
    case TEMPLATE_FLOAT:
        return append_number(call, out, v->number);
    case TEMPLATE_STRING:
        json_string(out, v->text);
        return true;
    case TEMPLATE_TIME:
        buffer_append_byte(out, '"');
        time_format(out, v->time, VIEW("2006-01-02T15:04:05.999999999Z07:00"));
        buffer_append_byte(out, '"');
        return true;
    case TEMPLATE_LIST:
        return append_list(call, out, v, depth + 1);
    case TEMPLATE_MAP:
        return append_map(call, out, v, depth + 1);
    case TEMPLATE_STRUCT:
        return append_struct(call, out, v, depth + 1);
    case TEMPLATE_ANY:
        break;
    }
    buffer_append_literal(out, "null");
    return true;
}

bool to_json(struct template_call *call, struct buffer *out, const struct template_value *v)
{
    return append(call, out, v, 0);
}
