/* SPDX-License-Identifier: Apache-2.0 */
/* api_admin.c: admin/tsdb/... and the list of blocks. Deleting, cleaning and snapshots answer when it is done and on
 * disk, which may take as long as a block takes to be written. */
#include "api/api_private.h"
#include "base/json_write.h"

void api_serve_delete_series(struct api *api, struct http_request *rq, struct http_response *rs)
{
    struct error err;
    struct api_selection s;
    struct arena arena;
    if (!http_request_has_param(rq, "match[]")) {
        (void)error_set(&err, ERROR_INPUT, "no match[] parameter provided"); /* always false */
        api_error(rs, &err);
        return;
    }
    arena_init(&arena, MEM_QUERY, 0);
    if (api_selection_parse(&s, &arena, rq, rs)) {
        struct db_selector *sets = ARENA_ARRAY(&arena, struct db_selector, s.set_count + 1);
        for (size_t i = 0; i < s.set_count; i++)
            sets[i] = (struct db_selector){s.sets[i].matchers, s.sets[i].count};
        if (db_delete(api->options.db, sets, s.set_count, s.mint, s.maxt, &err))
            http_response_set_status(rs, 204);
        else
            api_error(rs, &err);
    }
    api_selection_deinit(&s);
    arena_deinit(&arena);
}

void api_serve_clean_tombstones(struct api *api, struct http_request *rq, struct http_response *rs)
{
    struct error err;
    (void)rq;
    if (db_clean_tombstones(api->options.db, &err))
        http_response_set_status(rs, 204);
    else
        api_error(rs, &err);
}

/* As Go's strconv.ParseBool; "" is false here. */
static bool bool_parse(struct view text, bool *out, struct error *err)
{
    static const char *const words[] = {"0", "f", "F", "false", "FALSE", "False", "",
                                        "1", "t", "T", "true",  "TRUE",  "True"};
    enum { FALSE_COUNT = 7 };
    for (size_t i = 0; i < ARRAY_COUNT(words); i++)
        if (view_is(text, words[i])) {
            *out = i >= FALSE_COUNT;
            return true;
        }
    return error_set(err, ERROR_INPUT, "strconv.ParseBool: parsing \"%.*s\": invalid syntax",
                     (int)(text.len < 100 ? text.len : 100), text.ptr);
}

void api_serve_snapshot(struct api *api, struct http_request *rq, struct http_response *rs)
{
    char name[DB_SNAPSHOT_NAME_BYTES];
    struct error err;
    bool skip_head = false;
    if (!bool_parse(http_request_param(rq, "skip_head"), &skip_head, &err)) {
        api_error_param(rs, "skip_head", &err);
        return;
    }
    if (!db_snapshot(api->options.db, skip_head, name, &err)) {
        api_error(rs, &err);
        return;
    }
    struct buffer *b = api_begin(rs);
    buffer_append_byte(b, '{');
    api_field_string(b, "name", view_from(name));
    buffer_append_byte(b, '}');
    api_end(rs);
}

void api_serve_blocks(struct api *api, struct http_request *rq, struct http_response *rs)
{
    (void)rq;
    struct buffer *b = api_begin(rs);
    buffer_append_literal(b, "{\"blocks\":");
    db_blocks_json(api->options.db, b);
    buffer_append_byte(b, '}');
    api_end(rs);
}
