/* SPDX-License-Identifier: Apache-2.0 */
/* api_heartbeats.c: heartbeats that others send us, and how all of them are. */
#include "alerting/heartbeat.h"
#include "api/api_private.h"
#include "base/json_write.h"

void api_serve_heartbeat(struct api *api, struct http_request *rq, struct http_response *rs)
{
    struct error err = {0};
    if (!heartbeats_beat(api->options.heartbeats, http_request_capture(rq, "name"), &err)) {
        api_error(rs, &err);
        return;
    }
    struct buffer *b = api_begin(rs);
    buffer_append_literal(b, "{}");
    api_end(rs);
}

/* Times in seconds; null: never. */
static void field_time(struct buffer *b, const char *name, int64_t ms)
{
    buffer_printf(b, "\"%s\":", name);
    if (ms)
        json_timestamp(b, ms);
    else
        buffer_append_literal(b, "null");
}

static void write_sent(struct buffer *b, const struct heartbeats_state *state)
{
    for (size_t i = 0; i < state->sent_count; i++) {
        const struct heartbeat_sent *s = &state->sent[i];
        buffer_append_view(b, i ? VIEW(",{") : VIEW("{"));
        field_time(b, "last", s->last_ms);
        buffer_append_byte(b, ',');
        api_field_int(b, "sent", (int64_t)s->sent);
        buffer_append_byte(b, ',');
        api_field_int(b, "failed", (int64_t)s->failed);
        buffer_append_byte(b, ',');
        api_field_int(b, "withheld", (int64_t)s->withheld);
        buffer_append_byte(b, '}');
    }
}

static void write_expected(struct buffer *b, const struct heartbeats_state *state)
{
    for (size_t i = 0; i < state->expected_count; i++) {
        const struct heartbeat_expected *e = &state->expected[i];
        buffer_append_view(b, i ? VIEW(",{") : VIEW("{"));
        api_field_string(b, "name", e->name);
        buffer_append_byte(b, ',');
        field_time(b, "last", e->last_ms);
        buffer_printf(b, ",\"within\":");
        json_timestamp(b, e->within_ms);
        buffer_printf(b, ",\"missing\":%s}", e->is_missing ? "true" : "false");
    }
}

void api_serve_heartbeats(struct api *api, struct http_request *rq, struct http_response *rs)
{
    struct arena arena;
    struct heartbeats_state state;
    arena_init(&arena, MEM_HTTP, 0);
    heartbeats_state_get(api->options.heartbeats, &arena, &state);
    struct buffer *b = api_begin(rs);
    buffer_append_literal(b, "{\"send\":[");
    write_sent(b, &state);
    buffer_append_literal(b, "],\"expect\":[");
    write_expected(b, &state);
    buffer_append_literal(b, "]}");
    api_end(rs);
    arena_deinit(&arena);
}
