/* SPDX-License-Identifier: Apache-2.0 */
#include "model/name_escape.h"

#include "base/assert.h"
#include "base/utf8.h"
#include "model/labels.h"

static const char *const WORDS[NAME_ESCAPING_COUNT] = {
#define X(id, word) [id] = word,
    NAME_ESCAPINGS(X)
#undef X
};

const char *name_escaping_word(enum name_escaping escaping)
{
    return WORDS[escaping];
}

bool name_escaping_parse(struct view word, enum name_escaping *out)
{
    for (int i = 0; i < NAME_ESCAPING_COUNT; i++) {
        if (view_is(word, WORDS[i])) {
            *out = (enum name_escaping)i;
            return true;
        }
    }
    return false;
}

/* May this character stand in a legacy name, there? */
static bool is_legacy(uint32_t code, bool is_first)
{
    return (code >= 'a' && code <= 'z') || (code >= 'A' && code <= 'Z') || code == '_' ||
           code == ':' || (code >= '0' && code <= '9' && !is_first);
}

static void code_escape(struct buffer *out, uint32_t code, bool is_first, enum name_escaping how)
{
    bool legacy = is_legacy(code, is_first);
    if (how != NAME_ESCAPE_UNDERSCORES && code == '_')
        buffer_append_literal(out, "__");
    else if (how == NAME_ESCAPE_DOTS && code == '.')
        buffer_append_literal(out, "_dot_");
    else if (legacy)
        buffer_append_byte(out, (char)code);
    else if (how == NAME_ESCAPE_UNDERSCORES)
        buffer_append_byte(out, '_');
    else if (how == NAME_ESCAPE_DOTS)
        buffer_append_literal(out, "__");
    else
        buffer_printf(out, "_%x_", code);
}

void name_escape(struct buffer *out, struct view name, enum name_escaping escaping)
{
    bool as_it_is = escaping == NAME_ESCAPE_NONE ||
                    (escaping != NAME_ESCAPE_DOTS && metric_name_is_legacy(name));
    if (as_it_is) {
        buffer_append_view(out, name);
        return;
    }
    if (escaping == NAME_ESCAPE_VALUES)
        buffer_append_literal(out, "U__");
    for (size_t pos = 0; pos < name.len;) {
        bool is_first = pos == 0;
        code_escape(out, utf8_next(name, &pos), is_first, escaping);
    }
}
