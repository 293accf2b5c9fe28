/* SPDX-License-Identifier: Apache-2.0 */
/* http_route.c: the table of routes, and which of them a request means. Paths are compared segment by
 * segment after decoding, so "%2e%2e" and "a%2Fb" are text in a segment and never a way out of one. */
#include "base/assert.h"
#include "net/http_private.h"

#include <stdio.h>

void http_server_add_route(struct http_server *s, const struct http_route *route)
{
    ASSERT(!s->started);
    ASSERT(route->role != HTTP_ROLE_UNSET && route->handler && route->path[0] == '/');
    ASSERT((route->methods & ~(unsigned)(HTTP_GET | HTTP_POST | HTTP_PUT | HTTP_PATCH |
                                         HTTP_DELETE | HTTP_OPTIONS)) == 0);
    ASSERT(route->gate == NULL || route->run == HTTP_RUN_POOL);
    s->routes =
        mem_grow(MEM_HTTP, s->routes, &s->route_capacity, s->route_count + 1, sizeof *s->routes);
    s->routes[s->route_count++] = *route;
}

/* The next segment of a pattern or path that begins at *pos (behind a slash). */
static struct view segment_next(const char *path, size_t *pos)
{
    size_t from = *pos;
    while (path[*pos] != '\0' && path[*pos] != '/')
        (*pos)++;
    struct view segment = {path + from, *pos - from};
    if (path[*pos] == '/')
        (*pos)++;
    return segment;
}

static bool segment_is_capture(struct view segment)
{
    return segment.len > 2 && segment.ptr[0] == '{' && segment.ptr[segment.len - 1] == '}';
}

/* "{*name}": the rest of the path, as it was sent. */
static bool segment_is_rest(struct view segment)
{
    return segment_is_capture(segment) && segment.ptr[1] == '*';
}

static bool route_matches(const struct http_route *route, const struct http_request *rq)
{
    size_t pos = 1, idx = 0;
    for (;;) {
        size_t from = pos;
        struct view want = segment_next(route->path, &pos);
        if (idx >= rq->segment_count)
            return false;
        if (segment_is_rest(want))
            return rq->segment_from[idx] < rq->path.len;
        struct view have = rq->segments[idx++];
        if (have.ptr == NULL || (segment_is_capture(want) ? have.len == 0 : !view_eq(want, have)))
            return false;
        if (route->path[pos] == '\0' && route->path[from + want.len] != '/')
            return idx == rq->segment_count && !rq->has_more_segments;
    }
}

static unsigned methods_taken(const struct http_route *route)
{
    unsigned taken = route->methods;
    if (taken & HTTP_GET)
        taken |= HTTP_HEAD;
    if (route->cors)
        taken |= HTTP_OPTIONS;
    return taken;
}

static void refuse_method(struct http_request *rq, unsigned allowed)
{
    static const struct {
        unsigned bit;
        const char *name;
    } NAMES[] = {{HTTP_DELETE, "DELETE"},   {HTTP_GET, "GET"},     {HTTP_HEAD, "HEAD"},
                 {HTTP_OPTIONS, "OPTIONS"}, {HTTP_PATCH, "PATCH"}, {HTTP_POST, "POST"},
                 {HTTP_PUT, "PUT"}};
    struct view allow = VIEW("");
    for (size_t i = 0; i < ARRAY_COUNT(NAMES); i++)
        if (allowed & NAMES[i].bit)
            allow = arena_printf(&rq->arena, "%.*s%s%s", VIEW_ARGS(allow), allow.len ? ", " : "",
                                 NAMES[i].name);
    http_response_error(&rq->response, 405, "Method Not Allowed");
    http_response_set_header(&rq->response, "Allow", allow);
}

bool route_find(struct http_request *rq)
{
    const struct http_server *s = rq->server;
    unsigned allowed = 0;
    for (size_t i = 0; i < s->route_count; i++) {
        const struct http_route *route = &s->routes[i];
        if (!route_matches(route, rq))
            continue;
        unsigned taken = methods_taken(route);
        if (rq->method_known && (taken & (unsigned)rq->method)) {
            rq->route = route;
            return true;
        }
        allowed |= taken;
        rq->other_method = route;
    }
    if (rq->path_error)
        http_response_error(&rq->response, 400, "400 Bad Request: %s", rq->path_error);
    else if (allowed)
        refuse_method(rq, allowed);
    else
        http_response_error(&rq->response, 404, "404 page not found");
    return false;
}

struct view http_request_capture(const struct http_request *rq, const char *name)
{
    ASSERT(rq->route != NULL);
    size_t pos = 1;
    for (size_t idx = 0; idx < rq->segment_count; idx++) {
        struct view want = segment_next(rq->route->path, &pos);
        if (segment_is_rest(want))
            return view_is(view_slice(want, 2, want.len - 1), name)
                       ? view_slice(rq->path, rq->segment_from[idx], rq->path.len)
                       : VIEW("");
        if (segment_is_capture(want) && view_is(view_slice(want, 1, want.len - 1), name))
            return rq->segments[idx];
    }
    return (struct view){"", 0};
}
