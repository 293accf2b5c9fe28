/* SPDX-License-Identifier: Apache-2.0 */
/* json_read.h: JSON that clients send, as jansson's tree. (jansson and base/json_write.h both have a json_string(): here
 * jansson's is hidden; answers are written with the other.) */
#ifndef BELFRY_BASE_JSON_READ_H
#define BELFRY_BASE_JSON_READ_H

#define json_string jansson_string_hidden
#include <jansson.h>
#undef json_string

#include "base/attributes.h"
#include "base/error.h"
#include "base/view.h"

enum { JSON_DEPTH_MAX = 64 };

/* The caller's: json_decref(). Any value, UTF-8, at most JSON_DEPTH_MAX deep, nothing behind it; of a key that is there
 * twice the last counts; integers beyond 64 bits and \u0000 are refused. NULL: err (ERROR_INPUT) has line and column. */
MUST_USE json_t *json_read(struct view text, struct error *err);

#endif
