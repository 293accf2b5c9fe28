/* SPDX-License-Identifier: Apache-2.0 */
/* matcher.c: one condition on one label. */
#include "model/matcher.h"

#include "base/assert.h"
#include "model/labels.h"

#include <stddef.h>

bool matcher_init(struct matcher *m, enum matcher_type type, struct view name, struct view value,
                  struct error *err)
{
    *m = (struct matcher){.type = type, .name = name, .value = value};
    if (type == MATCH_REGEX || type == MATCH_NOT_REGEX)
        return regex_new(&m->regex, value, err);
    return true;
}

void matcher_deinit(struct matcher *m)
{
    regex_free(m->regex);
    m->regex = NULL;
}

bool matcher_matches(const struct matcher *m, struct view value)
{
    switch (m->type) {
    case MATCH_EQUAL:
        return view_eq(m->value, value);
    case MATCH_NOT_EQUAL:
        return !view_eq(m->value, value);
    case MATCH_REGEX:
        return regex_match(m->regex, value);
    case MATCH_NOT_REGEX:
        return !regex_match(m->regex, value);
    }
    UNREACHABLE();
}

bool matcher_matches_empty(const struct matcher *m)
{
    return matcher_matches(m, VIEW(""));
}

void matcher_format(struct buffer *out, const struct matcher *m)
{
    static const char *const OPERATORS[] = {"=", "!=", "=~", "!~"};
    if (label_name_is_legacy(m->name))
        buffer_append_view(out, m->name);
    else
        label_quote(out, m->name);
    buffer_append_view(out, view_from(OPERATORS[m->type]));
    label_quote(out, m->value);
}
