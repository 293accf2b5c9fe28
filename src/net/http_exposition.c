/* SPDX-License-Identifier: Apache-2.0 */
#include "net/http_exposition.h"

/* The values of name[], each with its NUL. */
static const char **names_wanted(const struct http_request *rq, struct arena *arena, size_t *count)
{
    size_t param_count;
    const struct form_param *params = http_request_params(rq, &param_count);
    const char **names = ARENA_ARRAY(arena, const char *, param_count);
    *count = 0;
    for (size_t i = 0; i < param_count; i++) {
        if (view_is(params[i].name, "name[]"))
            names[(*count)++] = arena_copy(arena, params[i].value).ptr;
    }
    return names;
}

void http_exposition_read(const struct http_request *rq, struct http_response *rs,
                          struct arena *arena, belfry_exposition *how)
{
    *how = (belfry_exposition){0};
    belfry_exposition_negotiate(arena_copy(arena, http_request_header(rq, "Accept")).ptr, how);
    how->names = names_wanted(rq, arena, &how->name_count);
    http_response_set_content_type(rs, belfry_exposition_content_type(how));
    http_response_add_vary(rs, "Accept");
}
