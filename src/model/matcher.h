/* SPDX-License-Identifier: Apache-2.0 */
/* matcher.h: name="value", !=, =~, !~. A label that is not there has the value "". */
#ifndef BELFRY_MODEL_MATCHER_H
#define BELFRY_MODEL_MATCHER_H

#include "base/attributes.h"
#include "base/buffer.h"
#include "base/error.h"
#include "base/regex.h"
#include "base/view.h"

#include <stdbool.h>

enum matcher_type { MATCH_EQUAL, MATCH_NOT_EQUAL, MATCH_REGEX, MATCH_NOT_REGEX };

struct matcher {
    enum matcher_type type;
    struct view name, value; /* borrowed */
    struct regex *regex;     /* owned; NULL unless MATCH_REGEX or MATCH_NOT_REGEX */
};

/* name and value are borrowed and must outlive the matcher. ERROR_INPUT for a bad regex. */
MUST_USE bool matcher_init(struct matcher *m, enum matcher_type type, struct view name,
                           struct view value, struct error *err);
void matcher_deinit(struct matcher *m);
bool matcher_matches(const struct matcher *m, struct view value);
/* Does it match a series without the label? */
bool matcher_matches_empty(const struct matcher *m);
/* a="b", "odd name"=~"x.*" */
void matcher_format(struct buffer *out, const struct matcher *m);

#endif
