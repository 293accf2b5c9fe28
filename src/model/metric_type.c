/* SPDX-License-Identifier: Apache-2.0 */
/* metric_type.c: the words of # TYPE. */
#include "model/metric_type.h"

#include "base/assert.h"

#include <stddef.h>

static const char *const NAMES[METRIC_TYPE_COUNT] = {
#define X(id, name) [id] = name,
    METRIC_TYPES(X)
#undef X
};

const char *metric_type_name(enum metric_type type)
{
    ASSERT(type >= 0 && type < METRIC_TYPE_COUNT);
    return NAMES[type];
}

bool metric_type_parse(struct view word, enum metric_type *out)
{
    if (view_is(word, "untyped")) {
        *out = METRIC_UNKNOWN;
        return true;
    }
    for (size_t i = 0; i < METRIC_TYPE_COUNT; i++) {
        if (view_is(word, NAMES[i])) {
            *out = (enum metric_type)i;
            return true;
        }
    }
    return false;
}
