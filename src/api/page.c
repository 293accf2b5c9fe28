/* SPDX-License-Identifier: Apache-2.0 */
/* page.c: serves the plain page: one document for its paths, and what it loads. The page is static: all it
 * shows comes from the API, and the policy of is_page lets it load nothing but its own files. */
#include "api/page.h"

#include "api/api_private.h"
#include "base/assert.h"

static const char *asset_type(struct view name)
{
    static const struct {
        const char *suffix, *type;
    } TYPES[] = {{".html", "text/html; charset=utf-8"},
                 {".css", "text/css; charset=utf-8"},
                 {".js", "text/javascript; charset=utf-8"},
                 {".svg", "image/svg+xml"}};
    for (size_t i = 0; i < ARRAY_COUNT(TYPES); i++)
        if (view_has_suffix(name, view_from(TYPES[i].suffix)))
            return TYPES[i].type;
    return "application/octet-stream";
}

static void asset_answer(const struct page_asset *asset, struct http_request *rq,
                         struct http_response *rs)
{
    http_response_set_header(rs, "ETag", view_from(asset->etag));
    http_response_set_header(rs, "Cache-Control",
                             VIEW("no-cache")); /* asked again, answered by 304 */
    http_response_set_content_type(rs, asset_type(view_from(asset->name)));
    if (view_is(http_request_header(rq, "If-None-Match"), asset->etag))
        http_response_set_status(rs, 304);
    else
        http_response_set_static(rs, asset->bytes);
}

static const struct page_asset *asset_find(struct view name)
{
    for (size_t i = 0; i < PAGE_ASSET_COUNT; i++)
        if (view_is(name, PAGE_ASSETS[i].name))
            return &PAGE_ASSETS[i];
    return NULL;
}

void api_serve_asset(struct api *api, struct http_request *rq, struct http_response *rs)
{
    (void)api;
    const struct page_asset *found = asset_find(http_request_capture(rq, "name"));
    if (found)
        asset_answer(found, rq, rs);
    else
        http_response_error(rs, 404, "404 page not found");
}

void api_serve_document(struct api *api, struct http_request *rq, struct http_response *rs)
{
    (void)api;
    const struct page_asset *index = asset_find(VIEW("index.html"));
    ASSERT(index != NULL);
    asset_answer(index, rq, rs);
}
