/* SPDX-License-Identifier: Apache-2.0 */
/* http_file.c: a file as an answer, whole or a range of it (RFC 9110, section 14). Several ranges at once are answered
 * with the whole file, as the RFC allows: nobody who resumes a download asks for them, and each costs a part's head. */
#include "base/assert.h"
#include "net/http_private.h"

#include <errno.h>
#include <strings.h>
#include <unistd.h>

struct file_answer {
    int fd;
    uint64_t pos, end;
};

enum range_kind { RANGE_NONE, RANGE_ONE, RANGE_UNSATISFIABLE };

static bool digits_parse(struct view text, uint64_t *out)
{
    *out = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9')
            return false;
        uint64_t digit = (uint64_t)(text.ptr[i] - '0');
        *out = *out > (UINT64_MAX - 9) / 10 ? UINT64_MAX : *out * 10 + digit;
    }
    return text.len > 0;
}

/* "bytes=0-99", "bytes=100-", "bytes=-20" into [*from, *end). What is no such thing is ignored, as the RFC says. */
static enum range_kind range_parse(struct view header, uint64_t bytes, uint64_t *from,
                                   uint64_t *end)
{
    if (!view_has_prefix_any_case(header, "bytes="))
        return RANGE_NONE;
    struct view spec = view_slice(header, 6, header.len);
    const char *dash = memchr(spec.ptr, '-', spec.len);
    if (dash == NULL || memchr(spec.ptr, ',', spec.len))
        return RANGE_NONE;
    size_t at = (size_t)(dash - spec.ptr);
    struct view first = view_slice(spec, 0, at), last = view_slice(spec, at + 1, spec.len);
    uint64_t a = 0, b = 0;
    bool has_a = digits_parse(first, &a), has_b = digits_parse(last, &b);
    if ((first.len && !has_a) || (last.len && !has_b) || (!has_a && !has_b))
        return RANGE_NONE;
    if (has_a && has_b && b < a)
        return RANGE_NONE;
    if (!has_a) { /* the last b bytes */
        *from = b < bytes ? bytes - b : 0;
        *end = bytes;
        return b == 0 || bytes == 0 ? RANGE_UNSATISFIABLE : RANGE_ONE;
    }
    *from = a;
    *end = has_b && b < bytes ? b + 1 : bytes;
    return a < bytes ? RANGE_ONE : RANGE_UNSATISFIABLE;
}

static struct view header_of(const struct http_response *rs, const char *name)
{
    for (size_t i = 0; i < rs->header_count; i++)
        if (strcasecmp(rs->headers[i].name, name) == 0)
            return rs->headers[i].value;
    return VIEW("");
}

/* A range of another version than the one that the client has a part of is no use to it. */
static bool range_is_wanted(const struct http_response *rs)
{
    struct view condition = http_request_header(rs->request, "If-Range"),
                etag = header_of(rs, "ETag");
    return condition.len == 0 || (etag.len && etag.ptr[0] == '"' && view_eq(condition, etag));
}

static bool file_next(void *arg, struct buffer *out, bool *more)
{
    struct file_answer *file = arg;
    uint64_t left = file->end - file->pos;
    size_t want = left < HTTP_PIECE_BYTES ? (size_t)left : HTTP_PIECE_BYTES;
    while (want > 0) {
        char *room = buffer_reserve(out, want);
        if (room == NULL)
            return false;
        ssize_t got = pread(file->fd, room, want, (off_t)file->pos);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0) /* it became shorter meanwhile: the client must see that it has not all */
            return false;
        buffer_advance(out, (size_t)got);
        file->pos += (uint64_t)got;
        want -= (size_t)got;
    }
    *more = file->pos < file->end;
    return true;
}

static void file_release(void *arg)
{
    struct file_answer *file = arg;
    (void)close(file->fd); /* it was only read */
    mem_free(MEM_HTTP, file);
}

void http_response_file(struct http_response *rs, int fd, uint64_t bytes)
{
    ASSERT(fd >= 0);
    struct http_request *rq = rs->request;
    uint64_t from = 0, end = bytes;
    bool may_range =
        rs->status == 200 && (rq->method & (HTTP_GET | HTTP_HEAD)) != 0 && range_is_wanted(rs);
    enum range_kind kind =
        may_range ? range_parse(http_request_header(rq, "Range"), bytes, &from, &end) : RANGE_NONE;
    if (kind == RANGE_UNSATISFIABLE) {
        (void)close(fd); /* it was only read */
        http_response_error(rs, 416, "the file has %llu bytes", (unsigned long long)bytes);
        http_response_set_header(
            rs, "Content-Range",
            arena_printf(&rq->arena, "bytes */%llu", (unsigned long long)bytes));
        return;
    }
    http_response_set_header(rs, "Accept-Ranges", VIEW("bytes"));
    if (kind == RANGE_ONE) {
        http_response_set_status(rs, 206);
        http_response_set_header(rs, "Content-Range",
                                 arena_printf(&rq->arena, "bytes %llu-%llu/%llu",
                                              (unsigned long long)from, (unsigned long long)end - 1,
                                              (unsigned long long)bytes));
    }
    struct file_answer *file = mem_alloc_zero(MEM_HTTP, 1, sizeof *file);
    *file = (struct file_answer){fd, from, end};
    rs->is_file = true;
    rs->file_bytes = end - from;
    http_response_stream(rs, file_next, file_release, file);
}
