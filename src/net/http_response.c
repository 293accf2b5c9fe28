/* SPDX-License-Identifier: Apache-2.0 */
/* http_response.c: what is sent. An answer that fits one piece is laid out whole on the handler's thread; a
 * longer one is a pipe that MHD pulls when the client has room:
 *
 *   next() -> body (one piece) -> deflate -> packed -> MHD's block -> socket
 *
 * so a streamed answer holds a piece, its packed form and a block, however long it is. */
#include "base/assert.h"
#include "net/http_private.h"

#include <stdarg.h>

enum { GZIP_WINDOW = 15 + 16, GZIP_LEVEL = 1 };

void response_init(struct http_response *rs, struct http_request *rq)
{
    rs->request = rq;
    rs->status = 200;
    buffer_init(&rs->body, MEM_HTTP, rq->server->options.response_bytes_max);
    buffer_init(&rs->packed, MEM_HTTP, rq->server->options.response_bytes_max);
}

static void stream_end(struct http_response *rs)
{
    if (rs->release)
        rs->release(rs->arg);
    rs->release = NULL;
    rs->next = NULL;
}

void response_deinit(struct http_response *rs)
{
    stream_end(rs);
    if (rs->gzip_open)
        (void)deflateEnd(&rs->gzip); /* says whether data was dropped: it was meant to be */
    buffer_deinit(&rs->body);
    buffer_deinit(&rs->packed);
}

struct http_request *http_response_request(const struct http_response *rs)
{
    return rs->request;
}

int http_response_status(const struct http_response *rs)
{
    return rs->status;
}

const char *http_response_content_type(const struct http_response *rs)
{
    return rs->content_type;
}

void http_response_set_status(struct http_response *rs, int status)
{
    ASSERT(status >= 200 && status <= 599);
    rs->status = status;
}

void http_response_set_content_type(struct http_response *rs, const char *type)
{
    rs->content_type = type;
}

void http_response_set_header(struct http_response *rs, const char *name, struct view value)
{
    for (size_t i = 0; i < value.len; i++)
        ASSERT((unsigned char)value.ptr[i] >= 0x20 || value.ptr[i] == '\t');
    struct response_header header = {name, arena_copy(&rs->request->arena, value)};
    for (size_t i = 0; i < rs->header_count; i++) {
        if (strcasecmp(rs->headers[i].name, name) == 0) {
            rs->headers[i] = header;
            return;
        }
    }
    ASSERT(rs->header_count < HTTP_RESPONSE_HEADERS_MAX);
    rs->headers[rs->header_count++] = header;
}

void http_response_add_vary(struct http_response *rs, const char *name)
{
    struct view value = view_from(name);
    for (size_t i = 0; i < rs->header_count; i++)
        if (strcasecmp(rs->headers[i].name, "Vary") == 0)
            value = arena_printf(&rs->request->arena, "%.*s, %s", VIEW_ARGS(rs->headers[i].value),
                                 name);
    http_response_set_header(rs, "Vary", value);
}

struct buffer *http_response_body(struct http_response *rs)
{
    return &rs->body;
}

void http_response_set_static(struct http_response *rs, struct view bytes)
{
    rs->static_body = bytes;
}

void http_response_set_shared(struct http_response *rs, struct view bytes,
                              void (*release)(void *arg), void *arg)
{
    ASSERT(rs->next == NULL && rs->release == NULL);
    rs->static_body = bytes;
    rs->is_shared = true;
    rs->release = release;
    rs->arg = arg;
}

void http_response_stream(struct http_response *rs, http_stream_next next,
                          void (*release)(void *arg), void *arg)
{
    ASSERT(rs->next == NULL && rs->release == NULL);
    rs->next = next;
    rs->release = release;
    rs->arg = arg;
}

void http_response_live(struct http_response *rs, http_stream_next next, void (*release)(void *arg),
                        void *arg)
{
    http_response_stream(rs, next, release, arg);
    rs->is_live = true;
    governor_mark_live(rs->request->connection);
}

void http_response_error(struct http_response *rs, int status, const char *format, ...)
{
    char text[ERROR_MESSAGE_BYTES];
    va_list args;
    va_start(args, format);
    struct error err;
    (void)error_setv(&err, ERROR_INTERNAL, format, args); /* for its bounded formatting */
    va_end(args);
    memcpy(text, err.message, sizeof text);
    stream_end(rs);
    rs->static_body = (struct view){NULL, 0};
    rs->is_file = rs->is_shared = false;
    rs->status = status;
    buffer_reset(&rs->body);
    const struct http_server_options *o = &rs->request->server->options;
    rs->content_type =
        o->error_body ? o->error_body(rs->request, status, view_from(text), &rs->body) : NULL;
    if (rs->content_type)
        return;
    rs->content_type = "text/plain; charset=utf-8";
    buffer_append_view(&rs->body, view_from(text));
    buffer_append_byte(&rs->body, '\n');
}

/* ---- gzip ---- */

static bool is_compressible(const char *type)
{
    static const char *const TYPES[] = {"text/",
                                        "application/openmetrics-text",
                                        "application/json",
                                        "application/vnd.google.protobuf",
                                        "application/javascript",
                                        "image/svg"};
    for (size_t i = 0; type && i < ARRAY_COUNT(TYPES); i++)
        if (view_has_prefix(view_from(type), view_from(TYPES[i])))
            return true;
    return false;
}

/* Appends the compressed input to `packed`; `flush` Z_FINISH with the last. */
static bool gzip_append(struct http_response *rs, struct view in, int flush)
{
    rs->gzip.next_in =
        (Bytef *)(uintptr_t)in.ptr; /* zlib reads only; its type is older than const */
    rs->gzip.avail_in = (uInt)in.len;
    for (;;) {
        char *room = buffer_reserve(&rs->packed, 16 * 1024);
        if (room == NULL)
            return false;
        rs->gzip.next_out = (Bytef *)room;
        rs->gzip.avail_out = 16 * 1024;
        int code = deflate(&rs->gzip, flush);
        buffer_advance(&rs->packed, 16 * 1024 - rs->gzip.avail_out);
        if (code == Z_STREAM_END || (code == Z_BUF_ERROR && rs->gzip.avail_in == 0))
            return true;
        if (code != Z_OK)
            return false;
        if (rs->gzip.avail_out > 0 && flush != Z_FINISH)
            return true;
    }
}

static void gzip_open(struct http_response *rs)
{
    rs->gzip_open =
        deflateInit2(&rs->gzip, GZIP_LEVEL, Z_DEFLATED, GZIP_WINDOW, 8, Z_DEFAULT_STRATEGY) == Z_OK;
    rs->is_gzip = rs->gzip_open; /* without memory for it the answer goes out plain */
}

/* ---- pieces ---- */

/* Refills `body` (empty) with about one piece. False: the stream failed. */
static bool produce(struct http_response *rs)
{
    bool more = true;
    size_t before = rs->body.len;
    do {
        if (!rs->next(rs->arg, &rs->body, &more) || rs->body.failed)
            return false;
    } while (more && !rs->is_live && rs->body.len < HTTP_PIECE_BYTES);
    rs->body_bytes += rs->body.len - before;
    if (!more)
        stream_end(rs);
    return true;
}

static struct view whole_body(const struct http_response *rs)
{
    return rs->static_body.ptr ? rs->static_body : buffer_view(&rs->body);
}

static void response_internal_error(struct http_response *rs)
{
    http_response_error(
        rs, 500, "the answer is larger than the limit of %zu bytes, or could not be finished",
        rs->request->server->options.response_bytes_max);
    rs->body_bytes = rs->body.len;
}

void response_prepare(struct http_response *rs)
{
    rs->body_bytes = whole_body(rs).len;
    if ((rs->next && !produce(rs)) || rs->body.failed)
        response_internal_error(rs);
    struct view body = whole_body(rs);
    if (!rs->request->accepts_gzip || rs->is_file || rs->is_shared || rs->is_live ||
        body.len < HTTP_GZIP_BYTES_MIN || !is_compressible(rs->content_type))
        return;
    gzip_open(rs);
    if (rs->is_gzip && !gzip_append(rs, body, rs->next ? Z_NO_FLUSH : Z_FINISH))
        rs->is_gzip = false; /* the body is still there: it goes out plain */
    if (rs->is_gzip && rs->next)
        buffer_reset(&rs->body);
}

static struct view outgoing(const struct http_response *rs)
{
    return rs->is_gzip ? buffer_view(&rs->packed) : whole_body(rs);
}

/* When the client went, or the server stops: what there is then is the last of a live stream. */
static void end_if_canceled(struct http_response *rs, enum http_cancel why)
{
    if (!rs->is_live || why == HTTP_CANCEL_NONE)
        return;
    stream_end(rs);
    rs->broken |= why == HTTP_CANCEL_DISCONNECT;
}

/* The next bytes into `outgoing`, which was sent. False: nothing more, nothing yet, or broken. */
static bool refill(struct http_response *rs)
{
    while (rs->next) {
        enum http_cancel why =
            http_request_canceled(rs->request); /* before it is asked: once more after */
        buffer_reset(&rs->body);
        if (rs->is_gzip)
            buffer_reset(&rs->packed);
        rs->sent_bytes = 0;
        if (!produce(rs) || (rs->is_gzip && !gzip_append(rs, buffer_view(&rs->body),
                                                         rs->next ? Z_NO_FLUSH : Z_FINISH))) {
            rs->broken = true;
            return false;
        }
        end_if_canceled(rs, why);
        if (outgoing(rs).len > 0)
            return true;
        if (rs->is_live)
            return false;
    }
    return false;
}

/* A live stream has nothing now. Suspended first: who wakes it may resume it at once. */
static ssize_t fall_asleep(struct http_request *rq)
{
    MHD_suspend_connection(rq->mhd);
    if (!governor_sleep(rq->connection))
        MHD_resume_connection(rq->mhd);
    return 0;
}

static ssize_t on_pull(void *cls, uint64_t pos, char *out, size_t max)
{
    (void)pos; /* pieces come in order, once */
    struct http_response *rs = cls;
    governor_set_phase(rs->request->connection,
                       CONNECTION_SENDING); /* the client took the last one */
    if (rs->sent_bytes == outgoing(rs).len && !refill(rs) && rs->next && !rs->broken)
        return fall_asleep(rs->request);
    struct view from = outgoing(rs);
    if (rs->sent_bytes == from.len)
        return rs->broken || rs->is_file ? MHD_CONTENT_READER_END_WITH_ERROR
                                         : MHD_CONTENT_READER_END_OF_STREAM;
    size_t len = from.len - rs->sent_bytes;
    len = len < max ? len : max;
    memcpy(out, from.ptr + rs->sent_bytes, len);
    rs->sent_bytes += len;
    rs->pulled_bytes += len;
    return (ssize_t)len;
}

/* ---- to MHD ---- */

static struct MHD_Response *make_response(struct http_response *rs)
{
    struct view body = rs->is_gzip ? buffer_view(&rs->packed) : whole_body(rs);
    if (rs->next) {
        struct MHD_Response *mr = MHD_create_response_from_callback(
            rs->is_file ? rs->file_bytes : MHD_SIZE_UNKNOWN, HTTP_PIECE_BYTES, on_pull, rs, NULL);
        /* To HEAD the library (0.9.75) sends the last chunk although there is no body, and a client would take it for the
         * next answer: so no chunks, and the connection ends. */
        if (mr && !rs->is_file && rs->request->method == HTTP_HEAD)
            (void)MHD_set_response_options(mr, MHD_RF_HTTP_1_0_COMPATIBLE_STRICT,
                                           MHD_RO_END); /* knows the option */
        return mr;
    }
    if (body.len >
        HTTP_PIECE_BYTES) /* so that a slow client is seen, and one that takes its time may */
        return MHD_create_response_from_callback(body.len, HTTP_PIECE_BYTES, on_pull, rs, NULL);
    if (rs->request->method != HTTP_HEAD && rs->status != 304)
        rs->pulled_bytes = body.len;
    /* The request, and its buffers, outlive the response's last byte. */
    return MHD_create_response_from_buffer(body.len, (void *)(uintptr_t)body.ptr,
                                           MHD_RESPMEM_PERSISTENT);
}

static bool add_headers(struct http_response *rs, struct MHD_Response *mr)
{
    bool ok = true;
    const struct http_server_options *o = &rs->request->server->options;
    if (o->decorate)
        o->decorate(o->access_arg, rs);
    http_response_set_header(rs, "X-Content-Type-Options", VIEW("nosniff"));
    if (rs->content_type)
        ok = MHD_add_response_header(mr, "Content-Type", rs->content_type) == MHD_YES;
    if (rs->is_gzip)
        ok = ok && MHD_add_response_header(mr, "Content-Encoding", "gzip") == MHD_YES;
    if (is_compressible(rs->content_type) && !rs->is_file && !rs->is_shared)
        ok = ok && MHD_add_response_header(mr, "Vary", "Accept-Encoding") == MHD_YES;
    if (!governor_may_keep(rs->request->server) || rs->request->says_no_length)
        http_response_set_header(rs, "Connection", VIEW("close"));
    for (size_t i = 0; ok && i < rs->header_count; i++)
        ok = rs->headers[i].value.len == 0 ||
             MHD_add_response_header(mr, rs->headers[i].name, rs->headers[i].value.ptr) == MHD_YES;
    return ok;
}

enum MHD_Result response_queue(struct http_response *rs)
{
    struct http_request *rq = rs->request;
    rq->state = REQUEST_SENDING;
    governor_set_phase(rq->connection, CONNECTION_SENDING);
    struct MHD_Response *mr = make_response(rs);
    if (mr == NULL)
        return MHD_NO;
    enum MHD_Result result = MHD_NO;
    if (add_headers(rs, mr))
        result = MHD_queue_response(rq->mhd, (unsigned)rs->status, mr);
    MHD_destroy_response(mr); /* the connection has its own reference */
    return result;
}
