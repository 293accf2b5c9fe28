/* SPDX-License-Identifier: Apache-2.0 */
/* json_body.c: see json_body.h. */
#include "alerting/json_body.h"

#include "alerting/delivery.h"
#include "base/json_write.h"

void json_body_init(struct json_body *j)
{
    buffer_init(&j->out, MEM_RULES, DELIVERY_REQUEST_BYTES_MAX);
    j->needs_comma = false;
}

void json_body_deinit(struct json_body *j)
{
    buffer_deinit(&j->out);
}

static void begin_named(struct json_body *j, struct view name)
{
    if (j->needs_comma)
        buffer_append_byte(&j->out, ',');
    j->needs_comma = true;
    if (!name.ptr)
        return;
    json_string(&j->out, name);
    buffer_append_byte(&j->out, ':');
}

static void begin(struct json_body *j, const char *name)
{
    begin_named(j, view_from(name));
}

void json_body_open(struct json_body *j, const char *name, char bracket)
{
    begin(j, name);
    buffer_append_byte(&j->out, bracket);
    j->needs_comma = false;
}

void json_body_close(struct json_body *j, char bracket)
{
    buffer_append_byte(&j->out, bracket);
    j->needs_comma = true;
}

void json_body_text(struct json_body *j, const char *name, struct view text)
{
    begin(j, name);
    json_string(&j->out, text);
}

void json_body_text_unless_empty(struct json_body *j, const char *name, struct view text)
{
    if (text.len)
        json_body_text(j, name, text);
}

void json_body_bool(struct json_body *j, const char *name, bool value)
{
    begin(j, name);
    buffer_append_view(&j->out, value ? VIEW("true") : VIEW("false"));
}

void json_body_int(struct json_body *j, const char *name, int64_t value)
{
    begin(j, name);
    json_int(&j->out, value);
}

void json_body_null(struct json_body *j, const char *name)
{
    begin(j, name);
    buffer_append_literal(&j->out, "null");
}

void json_body_named_text(struct json_body *j, struct view name, struct view text)
{
    begin_named(j, name.ptr ? name : VIEW(""));
    json_string(&j->out, text);
}

void json_body_raw(struct json_body *j, const char *name, struct view json)
{
    begin(j, name);
    buffer_append_view(&j->out, json);
}

bool json_body_take(struct json_body *j, struct arena *arena, struct view *out, struct error *err)
{
    bool ok = !j->out.failed;
    if (ok)
        *out = arena_copy(arena, buffer_view(&j->out));
    else
        error_set(err, ERROR_TOO_LARGE, "the request would be larger than %d bytes",
                  DELIVERY_REQUEST_BYTES_MAX);
    json_body_deinit(j);
    return ok;
}
