/* SPDX-License-Identifier: Apache-2.0 */
/* http_request.c: what a request says, and the refusal of those that say two things at once. The library
 * accepts some requests that a proxy before us may read differently (two lengths, a length beside chunks, a
 * coding it does not know): served, they would let one client put words into another's mouth.
 *
 * What the library (0.9.75) does not let us see: lines that end with a bare line feed, what follows a NUL in a value
 * (it ends there), and a header whose value is folded over two lines: it loses the whole header (seen). A proxy that
 * joins the lines of a folded Content-Length forwards a body that would be read here as the next request. So a request
 * that may have a body and says no length is the last of its connection. */
#include "base/assert.h"
#include "base/utf8.h"
#include "net/http_private.h"

enum http_method http_request_method(const struct http_request *rq)
{
    return rq->method;
}

struct view http_request_path(const struct http_request *rq)
{
    return rq->path;
}

struct view http_request_target(const struct http_request *rq)
{
    return rq->target;
}

bool http_request_is_tls(const struct http_request *rq)
{
    return rq->server->has_tls;
}

const char *http_request_peer(const struct http_request *rq)
{
    return rq->peer;
}

enum http_role http_request_role(const struct http_request *rq)
{
    return rq->role;
}

struct arena *http_request_arena(struct http_request *rq)
{
    return &rq->arena;
}

void *http_request_server_arg(const struct http_request *rq)
{
    return rq->server->options.access_arg;
}

void *http_request_route_arg(const struct http_request *rq)
{
    return rq->route ? rq->route->arg : NULL;
}

void *http_request_context(const struct http_request *rq)
{
    return rq->context;
}

const char *http_request_method_name(const struct http_request *rq)
{
    return rq->method_name;
}

const char *http_request_route_name(const struct http_request *rq)
{
    const struct http_route *route = rq->route ? rq->route : rq->other_method;
    if (route == NULL)
        return NULL;
    return route->name ? route->name : route->path;
}

struct view http_request_body(const struct http_request *rq)
{
    return buffer_view(&rq->body);
}

int64_t http_request_age_ms(const struct http_request *rq)
{
    return mono_ms_since(rq->began);
}

const struct form_param *http_request_params(const struct http_request *rq, size_t *count)
{
    *count = rq->params.count;
    return rq->params.items;
}

static const struct form_param *find_param(const struct http_request *rq, const char *name)
{
    for (size_t i = 0; i < rq->params.count; i++)
        if (view_is(rq->params.items[i].name, name))
            return &rq->params.items[i];
    return NULL;
}

struct view http_request_param(const struct http_request *rq, const char *name)
{
    const struct form_param *param = find_param(rq, name);
    return param ? param->value : (struct view){"", 0};
}

bool http_request_has_param(const struct http_request *rq, const char *name)
{
    return find_param(rq, name) != NULL;
}

struct view http_request_header(const struct http_request *rq, const char *name)
{
    const char *value = NULL;
    size_t len = 0;
    if (MHD_lookup_connection_value_n(rq->mhd, MHD_HEADER_KIND, name, strlen(name), &value, &len) ==
            MHD_NO ||
        value == NULL)
        return (struct view){"", 0};
    return (struct view){value, len};
}

/* ---- headers ---- */

struct header_scan {
    unsigned count, lengths, codings, hosts;
    size_t bytes; /* as they were sent: "name: value\r\n" */
    struct view length, coding;
    const char *bad;
};

static bool is_token(struct view name)
{
    static const char OTHERS[] = "!#$%&'*+-.^_`|~";
    for (size_t i = 0; i < name.len; i++) {
        unsigned char c = (unsigned char)name.ptr[i];
        bool alnum = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (!alnum && (c == 0 || strchr(OTHERS, c) == NULL))
            return false;
    }
    return name.len > 0;
}

static bool has_control(struct view text)
{
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        if ((c < 0x20 && c != '\t') || c == 0x7f)
            return true;
    }
    return false;
}

static enum MHD_Result scan_header(void *cls, enum MHD_ValueKind kind, const char *name,
                                   size_t name_bytes, const char *value, size_t value_bytes)
{
    (void)kind;
    struct header_scan *scan = cls;
    struct view n = {name, name_bytes}, v = {value ? value : "", value ? value_bytes : 0};
    scan->count++;
    scan->bytes += n.len + v.len + 4;
    if (!is_token(n))
        scan->bad = "a header's name has a character that is not allowed";
    else if (has_control(v))
        scan->bad = "a header has a control character";
    if (view_is_any_case(n, "content-length")) {
        scan->lengths++;
        scan->length = v;
    } else if (view_is_any_case(n, "transfer-encoding")) {
        scan->codings++;
        scan->coding = v;
    } else if (view_is_any_case(n, "host")) {
        scan->hosts++;
    }
    return MHD_YES;
}

/* Digits only: "+5", "5, 5" and "0x5" are read in several ways. */
static bool length_parse(struct view text, uint64_t *out)
{
    *out = 0;
    if (text.len == 0 || text.len > 18)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9')
            return false;
        *out = *out * 10 + (uint64_t)(text.ptr[i] - '0');
    }
    return true;
}

static const char *scan_verdict(const struct header_scan *scan, bool is_http_1_0, uint64_t *length)
{
    *length = 0;
    if (scan->bad)
        return scan->bad;
    if (scan->lengths > 1)
        return "more than one Content-Length header";
    if (scan->lengths && scan->codings)
        return "Content-Length beside Transfer-Encoding";
    if (scan->codings > 1 || (scan->codings && !view_is_any_case(scan->coding, "chunked")))
        return "Transfer-Encoding other than chunked";
    if (scan->codings && is_http_1_0)
        return "Transfer-Encoding in HTTP/1.0";
    if (scan->lengths && !length_parse(scan->length, length))
        return "Content-Length is not a number";
    if (scan->hosts > 1)
        return "more than one Host header";
    return NULL;
}

static bool check_headers(struct http_request *rq, uint64_t *length)
{
    struct header_scan scan = {0};
    (void)MHD_get_connection_values_n(rq->mhd, MHD_HEADER_KIND, scan_header,
                                      &scan); /* their number */
    const char *bad = scan_verdict(&scan, rq->is_http_1_0, length);
    if (bad) {
        http_response_error(&rq->response, 400, "400 Bad Request: %s", bad);
        return false;
    }
    rq->says_no_length = scan.lengths + scan.codings == 0 &&
                         (rq->method & (HTTP_POST | HTTP_PUT | HTTP_PATCH | HTTP_DELETE)) != 0;
    if (scan.count > HTTP_HEADERS_MAX) {
        http_response_error(&rq->response, 431, "more than %d headers", HTTP_HEADERS_MAX);
        return false;
    }
    size_t bytes_max = rq->server->options.header_bytes_max;
    if (bytes_max && scan.bytes > bytes_max) {
        http_response_error(&rq->response, 431, "headers of %zu bytes, at most %zu allowed",
                            scan.bytes, bytes_max);
        return false;
    }
    return true;
}

/* ---- request line ---- */

static void set_method(struct http_request *rq, const char *method)
{
    static const struct {
        const char *text;
        enum http_method method;
        const char *name;
    } METHODS[] = {{"GET", HTTP_GET, "get"},
                   {"POST", HTTP_POST, "post"},
                   {"PUT", HTTP_PUT, "put"},
                   {"DELETE", HTTP_DELETE, "delete"},
                   {"PATCH", HTTP_PATCH, "patch"},
                   {"HEAD", HTTP_HEAD, "head"},
                   {"OPTIONS", HTTP_OPTIONS, "options"}};
    rq->method_name = "other";
    for (size_t i = 0; i < ARRAY_COUNT(METHODS); i++) {
        if (view_is(view_from(method), METHODS[i].text)) {
            rq->method = METHODS[i].method;
            rq->method_name = METHODS[i].name;
            rq->method_known = true;
        }
    }
}

/* "GET /target HTTP/1.1" */
static bool check_line(struct http_request *rq, const char *method)
{
    size_t max = rq->server->options.line_bytes_max;
    size_t bytes = strlen(method) + 1 + rq->target.len + sizeof " HTTP/1.1" - 1;
    if (max && bytes > max) {
        http_response_error(&rq->response, 414, "request line of %zu bytes, at most %zu allowed",
                            bytes, max);
        return false;
    }
    if (!rq->method_known && rq->server->options.unknown_method_501) {
        http_response_error(&rq->response, 501, "method not implemented");
        return false;
    }
    return true;
}

static bool bad_path(struct http_request *rq, const char *why)
{
    http_response_error(&rq->response, 400, "400 Bad Request: %s", why);
    return false;
}

/* What is not below the prefix is not there; the prefix itself, and the root, lead to the page. */
static bool strip_prefix(struct http_request *rq)
{
    struct view prefix = rq->server->prefix;
    if (prefix.len == 0)
        return true;
    if (view_is(rq->path, "/") || view_eq(rq->path, prefix)) {
        http_response_error(&rq->response, 302, "the pages are below %.*s/", VIEW_ARGS(prefix));
        http_response_set_header(&rq->response, "Location",
                                 arena_printf(&rq->arena, "%.*s/", VIEW_ARGS(prefix)));
        return false;
    }
    if (!view_has_prefix(rq->path, prefix) || rq->path.ptr[prefix.len] != '/') {
        http_response_error(&rq->response, 404, "404 page not found");
        return false;
    }
    rq->path = view_slice(rq->path, prefix.len, rq->path.len);
    rq->target = view_slice(rq->target, prefix.len, rq->target.len);
    return true;
}

/* ptr NULL when it cannot be decoded: no route but a {*rest}, which wants it as it was sent, takes it. */
static struct view segment_decode(struct http_request *rq, struct view sent)
{
    struct view segment;
    struct error err;
    if (!form_decode(&rq->arena, sent, false, &segment, &err)) {
        if (rq->path_error == NULL)
            rq->path_error = arena_copy(&rq->arena, view_from(err.message)).ptr;
    } else if (has_control(segment) || !utf8_is_valid(segment)) {
        if (rq->path_error == NULL)
            rq->path_error = "the path is not UTF-8 text";
    } else {
        return segment;
    }
    return (struct view){NULL, 0};
}

static void split_segments(struct http_request *rq)
{
    size_t pos = 1;
    for (;;) {
        const char *slash = memchr(rq->path.ptr + pos, '/', rq->path.len - pos);
        size_t end = slash ? (size_t)(slash - rq->path.ptr) : rq->path.len;
        if (rq->segment_count == HTTP_SEGMENTS_MAX) {
            rq->has_more_segments = true;
            return;
        }
        rq->segment_from[rq->segment_count] = (uint32_t)pos;
        rq->segments[rq->segment_count++] = segment_decode(rq, view_slice(rq->path, pos, end));
        if (slash == NULL)
            return;
        pos = end + 1;
    }
}

static bool split_path(struct http_request *rq)
{
    if (rq->target.len > HTTP_TARGET_BYTES_MAX) {
        http_response_error(&rq->response, 414, "request target is longer than %d bytes",
                            HTTP_TARGET_BYTES_MAX);
        return false;
    }
    const char *mark = memchr(rq->target.ptr, '?', rq->target.len);
    size_t path_bytes = mark ? (size_t)(mark - rq->target.ptr) : rq->target.len;
    rq->path = view_slice(rq->target, 0, path_bytes);
    rq->query = mark ? view_slice(rq->target, path_bytes + 1, rq->target.len) : VIEW("");
    if (rq->path.len == 0 || rq->path.ptr[0] != '/')
        return bad_path(rq, "the target must begin with a slash");
    if (!strip_prefix(rq))
        return false;
    split_segments(rq);
    return true;
}

/* ---- what else ---- */

/* "gzip", "gzip;q=0.5", "*"; not "gzip;q=0". */
static bool gzip_accepted(struct view header)
{
    for (size_t pos = 0; pos < header.len;) {
        const char *comma = memchr(header.ptr + pos, ',', header.len - pos);
        size_t end = comma ? (size_t)(comma - header.ptr) : header.len;
        struct view item = view_slice(header, pos, end);
        while (item.len && item.ptr[0] == ' ')
            item = view_slice(item, 1, item.len);
        if (view_has_prefix_any_case(item, "gzip") &&
            (item.len == 4 || item.ptr[4] == ';' || item.ptr[4] == ' '))
            return memmem(item.ptr, item.len, "q=0", 3) == NULL ||
                   memmem(item.ptr, item.len, "q=0.", 4) != NULL;
        pos = end + 1;
    }
    return false;
}

static bool check_body(struct http_request *rq, uint64_t length)
{
    if (rq->method == HTTP_OPTIONS) { /* asked of nobody who they are: nothing of it may be kept */
        if (length > 0)
            http_response_error(&rq->response, 413, "OPTIONS takes no request body");
        return length == 0; /* chunks are over the limit of 0 bytes */
    }
    size_t max =
        rq->route->body_bytes_max ? rq->route->body_bytes_max : rq->server->options.body_bytes_max;
    rq->body_bytes_max = max;
    if (length > max) {
        http_response_error(&rq->response, 413, "request body of %llu bytes, at most %zu allowed",
                            (unsigned long long)length, max);
        return false;
    }
    buffer_init(&rq->body, MEM_HTTP, max);
    return true;
}

bool request_check(struct http_request *rq, const char *method, const char *version)
{
    uint64_t length;
    set_method(rq, method);
    rq->is_http_1_0 = view_is(view_from(version), "HTTP/1.0");
    if (!rq->is_http_1_0 && !view_is(view_from(version), "HTTP/1.1")) {
        http_response_error(&rq->response, 505, "505 HTTP Version Not Supported");
        return false;
    }
    if (!check_headers(rq, &length) || !check_line(rq, method) || !split_path(rq) ||
        !route_find(rq) || !check_body(rq, length))
        return false;
    request_judge_caller(rq);
    if (atomic_load(&rq->server->stopping)) {
        http_response_error(&rq->response, 503, "the server is stopping");
        return false;
    }
    if (rq->connection->is_over && rq->route->role != HTTP_ROLE_PUBLIC) {
        http_response_error(&rq->response, 503, "too many connections: at most %u at once",
                            rq->server->options.connections_max);
        return false;
    }
    rq->accepts_gzip = gzip_accepted(http_request_header(rq, "Accept-Encoding"));
    return rq->server->options.is_open_to_sites || request_check_site(rq);
}

bool request_parse_params(struct http_request *rq)
{
    struct error err;
    if (rq->route->ignores_query)
        return true;
    struct view type = http_request_header(rq, "Content-Type");
    bool has_form = view_has_prefix_any_case(type, "application/x-www-form-urlencoded");
    if ((has_form && !form_parse(&rq->arena, buffer_view(&rq->body), &rq->params, &err)) ||
        !form_parse(&rq->arena, rq->query, &rq->params, &err)) {
        http_response_error(&rq->response, 400, "error parsing form values: %s", err.message);
        return false;
    }
    return true;
}
