/* SPDX-License-Identifier: Apache-2.0 */
/* api_alertmanagers.c: the Alertmanagers that alerts are sent to, and those that relabelling dropped. */
#include "api/api_private.h"
#include "outbound/notifier.h"

static void write_urls(struct buffer *b, const char *name, const struct url_list *urls)
{
    buffer_printf(b, "\"%s\":[", name);
    for (size_t i = 0; i < urls->count; i++) {
        buffer_append_view(b, i ? VIEW(",{") : VIEW("{"));
        api_field_string(b, "url", urls->items[i]);
        buffer_append_byte(b, '}');
    }
    buffer_append_byte(b, ']');
}

void api_serve_alertmanagers(struct api *api, struct http_request *rq, struct http_response *rs)
{
    struct arena arena;
    struct alertmanagers found;
    arena_init(&arena, MEM_HTTP, 0);
    notifier_alertmanagers(api->options.notifier, &arena, &found);
    struct buffer *b = api_begin(rs);
    buffer_append_byte(b, '{');
    write_urls(b, "activeAlertmanagers", &found.active);
    buffer_append_byte(b, ',');
    write_urls(b, "droppedAlertmanagers", &found.dropped);
    buffer_append_byte(b, '}');
    api_end(rs);
    arena_deinit(&arena);
}
