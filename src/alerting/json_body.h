/* SPDX-License-Identifier: Apache-2.0 */
/* json_body.h: the JSON of a request, written member by member; the commas are its own. */
#ifndef BELFRY_ALERTING_JSON_BODY_H
#define BELFRY_ALERTING_JSON_BODY_H

#include "base/arena.h"
#include "base/attributes.h"
#include "base/buffer.h"
#include "base/error.h"
#include "base/view.h"

#include <stdbool.h>
#include <stdint.h>

struct json_body {
    struct buffer out;
    bool needs_comma;
};

/* json_body_take() or json_body_deinit() ends it. */
void json_body_init(struct json_body *j);
void json_body_deinit(struct json_body *j);
/* Of all that follow: `name` is the member's; NULL: an element of a list, or the whole text. */
/* '{' or '['; closed by '}' or ']'. */
void json_body_open(struct json_body *j, const char *name, char bracket);
void json_body_close(struct json_body *j, char bracket);
void json_body_text(struct json_body *j, const char *name, struct view text);
void json_body_text_unless_empty(struct json_body *j, const char *name, struct view text);
void json_body_bool(struct json_body *j, const char *name, bool value);
void json_body_int(struct json_body *j, const char *name, int64_t value);
void json_body_null(struct json_body *j, const char *name);
/* The same where the name is not known beforehand, or the value is JSON already. */
void json_body_named_text(struct json_body *j, struct view name, struct view text);
void json_body_raw(struct json_body *j, const char *name, struct view json);
/* The whole text, in the arena; the struct is as after deinit. ERROR_TOO_LARGE above DELIVERY_REQUEST_BYTES_MAX. */
MUST_USE bool json_body_take(struct json_body *j, struct arena *arena, struct view *out,
                             struct error *err);

#endif
