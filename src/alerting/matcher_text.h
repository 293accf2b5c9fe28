/* SPDX-License-Identifier: Apache-2.0 */
/* matcher_text.h: matchers as Alertmanager's configuration, silences and tools write them: name="value",
 * {a=b, "c d"!~"e"}. Two readers stand behind it, as there: the one for UTF-8, and the classic one of before 0.27
 * where the former refuses a text or the two understand it differently. */
#ifndef BELFRY_ALERTING_MATCHER_TEXT_H
#define BELFRY_ALERTING_MATCHER_TEXT_H

#include "base/arena.h"
#include "base/attributes.h"
#include "base/error.h"
#include "model/labels.h"
#include "model/matcher.h"

#include <stdbool.h>
#include <stddef.h>

enum { MATCHERS_MAX = 1000, MATCHERS_TEXT_BYTES_MAX = 64 * 1024 }; /* of one text */

/* All must match. Regular expressions are owned: matchers_deinit(). */
struct matchers {
    struct matcher *items;
    size_t count, capacity;
};

enum matchers_reader {
    MATCHERS_UTF8,     /* read as UTF-8 matchers; the classic reader agrees or refuses them */
    MATCHERS_CLASSIC,  /* only the classic reader takes the text */
    MATCHERS_DISAGREE, /* both take it and understand it differently: the classic reading holds */
};

/* Adds the matchers of `text` to *out, which begins as zeros; texts and array are in the arena. *reader (may be
 * NULL) says who read it. On error *out is as before. ERROR_INPUT (column from 1 where it is known), ERROR_TOO_LARGE. */
MUST_USE bool matchers_parse(struct arena *arena, struct view text, struct matchers *out,
                             enum matchers_reader *reader, struct error *err);
/* Adds one; name and value are borrowed. ERROR_INPUT for a bad regular expression. */
MUST_USE bool matchers_add(struct arena *arena, struct matchers *out, enum matcher_type type,
                           struct view name, struct view value, struct error *err);
void matchers_deinit(struct matchers *m);
/* By name, value and type: the order in which Alertmanager shows them. */
void matchers_sort(struct matchers *m);
bool matchers_match(const struct matchers *m, struct labels labels);
/* {a="b",c=~"d"} */
void matchers_format(struct buffer *out, const struct matchers *m);

#endif
