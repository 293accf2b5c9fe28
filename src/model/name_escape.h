/* SPDX-License-Identifier: Apache-2.0 */
/* name_escape.h: names of metrics and labels for readers who know the legacy character set only: what
 * "escaping=" asks for in an Accept header. */
#ifndef BELFRY_MODEL_NAME_ESCAPE_H
#define BELFRY_MODEL_NAME_ESCAPE_H

#include "base/buffer.h"
#include "base/view.h"

#include <stdbool.h>

#define NAME_ESCAPINGS(X)                                                                          \
    X(NAME_ESCAPE_UNDERSCORES, "underscores") /* what is not legacy becomes _ */                   \
    X(NAME_ESCAPE_NONE, "allow-utf-8")                                                             \
    X(NAME_ESCAPE_DOTS, "dots") /* . becomes _dot_, _ becomes __, like what else is not legacy */  \
    X(NAME_ESCAPE_VALUES, "values") /* U__, then _XX_ (hexadecimal) for what is not legacy */

enum name_escaping {
#define X(id, word) id,
    NAME_ESCAPINGS(X)
#undef X
        NAME_ESCAPING_COUNT
};

/* Static text. */
const char *name_escaping_word(enum name_escaping escaping);
/* False when the word is none. */
bool name_escaping_parse(struct view word, enum name_escaping *out);
/* Appends the name as this escaping writes it; with NAME_ESCAPE_NONE as it is. The name is UTF-8. */
void name_escape(struct buffer *out, struct view name, enum name_escaping escaping);

#endif
