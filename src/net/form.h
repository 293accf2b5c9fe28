/* SPDX-License-Identifier: Apache-2.0 */
/* form.h: application/x-www-form-urlencoded, as in URLs and form bodies: a=1&b=x%20y&b=z+w. */
#ifndef BELFRY_NET_FORM_H
#define BELFRY_NET_FORM_H

#include "base/arena.h"
#include "base/attributes.h"
#include "base/error.h"
#include "base/view.h"

#include <stdbool.h>
#include <stddef.h>

enum { FORM_PARAMS_MAX = 10000 };

struct form_param {
    struct view name, value;
};
struct form {
    struct form_param *items; /* in the arena, in the order of the text */
    size_t count, capacity;
};

/* Appends the pairs of `text` to `form` (zeroed at first). Decoded text lies in the arena; what needs no decoding
 * is borrowed from `text`. Empty pairs are skipped; a pair without "=" has the value "". ERROR_INPUT for a bad
 * escape, for ";" (which some read as "&"), for more than FORM_PARAMS_MAX pairs. */
MUST_USE bool form_parse(struct arena *arena, struct view text, struct form *form,
                         struct error *err);

/* Decodes %XX, and "+" as a blank when plus_is_blank. Borrows `text` where nothing is to be decoded. */
MUST_USE bool form_decode(struct arena *arena, struct view text, bool plus_is_blank,
                          struct view *out, struct error *err);

#endif
