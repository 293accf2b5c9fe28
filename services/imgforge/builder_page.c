/* SPDX-License-Identifier: Apache-2.0 */
/* builder_page.c: see builder_page.h. */
#include "builder_page.h"

void builder_page_serve(void *arg, struct http_request *rq, struct http_response *rs)
{
    (void)arg;
    http_response_set_header(rs, "Content-Security-Policy", view_from(BUILDER_PAGE.policy));
    http_response_set_header(rs, "X-Frame-Options", VIEW("DENY"));
    http_response_set_header(rs, "Referrer-Policy", VIEW("no-referrer"));
    http_response_set_header(rs, "Cross-Origin-Opener-Policy", VIEW("same-origin"));
    http_response_set_header(rs, "ETag", view_from(BUILDER_PAGE.etag));
    http_response_set_header(rs, "Cache-Control",
                             VIEW("no-cache")); /* asked again, answered by 304 */
    http_response_set_content_type(rs, "text/html; charset=utf-8");
    if (view_is(http_request_header(rq, "If-None-Match"), BUILDER_PAGE.etag))
        http_response_set_status(rs, 304);
    else
        http_response_set_static(rs, BUILDER_PAGE.html);
}
