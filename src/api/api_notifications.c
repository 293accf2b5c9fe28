/* SPDX-License-Identifier: Apache-2.0 */
/* api_notifications.c: notifications as JSON, and as server-sent events. */
#include "api/api_private.h"
#include "api/notifications.h"

void api_serve_notifications(struct api *api, struct http_request *rq, struct http_response *rs)
{
    notifications_write(api->options.notifications, api_begin(rs));
    api_end(rs);
}

/* Who comes beyond the limit gets 204, which tells a browser's EventSource not to come again; as in Prometheus. */
void api_serve_notifications_live(struct api *api, struct http_request *rq,
                                  struct http_response *rs)
{
    http_response_set_content_type(rs, "text/event-stream");
    http_response_set_header(rs, "Cache-Control", VIEW("no-cache"));
    http_response_set_header(rs, "X-Accel-Buffering", VIEW("no")); /* nginx is to pass events on */
    if (!notifications_subscribe(api->options.notifications, rs))
        http_response_set_status(rs, 204);
}
