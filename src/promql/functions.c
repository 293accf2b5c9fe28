/* SPDX-License-Identifier: Apache-2.0 */
/* functions.c: the table of functions, and how one is found by its name. */
#include "base/assert.h"
#include "promql/ast.h"

#include <assert.h>

static const struct function_info FUNCTIONS[] = {
#define X(id, name, result, args, variadic, experimental)                                          \
    {FUNCTION_##id, name, result, args, variadic, experimental},
    PROMQL_FUNCTIONS(X)
#undef X
};
static_assert(ARRAY_COUNT(FUNCTIONS) == FUNCTION_COUNT, "one row per function");

/* The list is not quite in byte order ("abs" < "absent", but min_over_time follows minute), and a query
 * has few calls: a scan with the first letter compared first costs less than 100 ns. */
const struct function_info *function_find(struct view name)
{
    if (name.len == 0)
        return NULL;
    for (size_t i = 0; i < ARRAY_COUNT(FUNCTIONS); i++)
        if (FUNCTIONS[i].name[0] == name.ptr[0] && view_is(name, FUNCTIONS[i].name))
            return &FUNCTIONS[i];
    return NULL;
}

const struct function_info *function_get(enum function_id id)
{
    ASSERT((size_t)id < ARRAY_COUNT(FUNCTIONS));
    return &FUNCTIONS[id];
}
