/* SPDX-License-Identifier: Apache-2.0 */
#include "base/json_read.h"

#include "base/json_peek.h"

json_t *json_read(struct view text, struct error *err)
{
    json_error_t problem;
    if (!json_is_shallow(text, JSON_DEPTH_MAX)) { /* jansson recurses 2048 deep */
        (void)error_set(err, ERROR_INPUT, "more than %d arrays and objects in each other",
                        JSON_DEPTH_MAX);
        return NULL;
    }
    json_t *json = json_loadb(text.len ? text.ptr : "", text.len, JSON_DECODE_ANY, &problem);
    if (json == NULL)
        (void)error_set_at(err, ERROR_INPUT, (uint32_t)(problem.line > 0 ? problem.line : 1),
                           (uint32_t)(problem.column > 0 ? problem.column : 1), "%s", problem.text);
    return json;
}
