/* SPDX-License-Identifier: Apache-2.0 */
/* multipart.c: see multipart.h.
 *
 *   --BOUNDARY CRLF  header lines CRLF CRLF  content  CRLF --BOUNDARY CRLF ...  CRLF --BOUNDARY--
 *
 * The delimiter looked for is CRLF "--" BOUNDARY; the first one has no CRLF before it, so the text is read as if it
 * began with one. What is pending is moved to the front once per piece, so a byte is copied twice however the pieces
 * are cut. */
#include "net/multipart.h"

#include "base/assert.h"
#include "base/buffer.h"
#include "base/utf8.h"

#include <string.h>

enum { BOUNDARY_BYTES_MAX = 70, PIECE_BYTES_MAX = 64 * 1024 };

enum multipart_state {
    MULTIPART_PREAMBLE, /* before the first delimiter; ignored */
    MULTIPART_LINE,     /* behind a delimiter: CRLF or "--" */
    MULTIPART_HEADER,
    MULTIPART_CONTENT,
    MULTIPART_EPILOGUE /* ignored */
};

struct multipart {
    struct multipart_events events;
    enum multipart_state state;
    char delimiter[4 + BOUNDARY_BYTES_MAX];
    size_t delimiter_bytes, part_count;
    bool skips; /* the CRLF before a part's content is still to come */
    struct buffer pending;
};

static struct view trim(struct view v)
{
    while (v.len && (v.ptr[0] == ' ' || v.ptr[0] == '\t'))
        v = view_slice(v, 1, v.len);
    while (v.len && (v.ptr[v.len - 1] == ' ' || v.ptr[v.len - 1] == '\t'))
        v.len--;
    return v;
}

/* ---- name=value; name="value" ---- */

/* Takes the next parameter off `rest` (which begins behind a ";"). A quoted value is unescaped into `room`, which has
 * place for all of rest. False at the end, or with *bad set. */
static bool parameter_next(struct view *rest, char **room, struct view *name, struct view *value,
                           bool *bad)
{
    struct view text = trim(*rest);
    if (text.len == 0)
        return false;
    const char *equals = memchr(text.ptr, '=', text.len);
    *bad = equals == NULL;
    if (*bad)
        return false;
    *name = trim(view_slice(text, 0, (size_t)(equals - text.ptr)));
    text = trim(view_slice(text, (size_t)(equals - text.ptr) + 1, text.len));
    size_t pos = 0;
    if (text.len && text.ptr[0] == '"') {
        char *out = *room;
        for (pos = 1; pos < text.len && text.ptr[pos] != '"'; pos++) {
            bool escaped = text.ptr[pos] == '\\' && pos + 1 < text.len &&
                           (text.ptr[pos + 1] == '"' || text.ptr[pos + 1] == '\\');
            *out++ = text.ptr[pos += escaped];
        }
        *bad = pos >= text.len;
        *value = (struct view){*room, (size_t)(out - *room)};
        *room = out;
        pos++;
    } else {
        while (pos < text.len && text.ptr[pos] != ';')
            pos++;
        *value = trim(view_slice(text, 0, pos));
    }
    text = trim(view_slice(text, pos, text.len));
    *bad = *bad || (text.len && text.ptr[0] != ';');
    *rest = text.len ? view_slice(text, 1, text.len) : text;
    return !*bad;
}

/* "form-data; a=b" -> "form-data", and the rest behind the ";". */
static struct view value_head(struct view text, struct view *rest)
{
    const char *semicolon = text.len ? memchr(text.ptr, ';', text.len) : NULL;
    size_t at = semicolon ? (size_t)(semicolon - text.ptr) : text.len;
    *rest = view_slice(text, semicolon ? at + 1 : at, text.len);
    return trim(view_slice(text, 0, at));
}

static bool boundary_of(struct view content_type, char *room, struct view *out, struct error *err)
{
    struct view rest, name, value;
    bool bad = false;
    *out = VIEW("");
    if (!view_is_any_case(value_head(content_type, &rest), "multipart/form-data"))
        return error_set(err, ERROR_INPUT, "expected multipart/form-data");
    while (parameter_next(&rest, &room, &name, &value, &bad))
        if (view_is_any_case(name, "boundary"))
            *out = value;
    for (size_t i = 0; i < out->len; i++)
        bad = bad || out->ptr[i] < ' ' || out->ptr[i] == 0x7f;
    if (bad || out->len == 0 || out->len > BOUNDARY_BYTES_MAX)
        return error_set(err, ERROR_INPUT,
                         "multipart/form-data needs a boundary of 1 to %d characters",
                         BOUNDARY_BYTES_MAX);
    return true;
}

bool multipart_new(struct multipart **out, struct view content_type,
                   const struct multipart_events *events, struct error *err)
{
    char room[512];
    struct view boundary;
    *out = NULL;
    if (content_type.len > sizeof room)
        return error_set(err, ERROR_INPUT, "the Content-Type is too long");
    if (!boundary_of(content_type, room, &boundary, err))
        return false;
    struct multipart *m = mem_alloc_zero(MEM_HTTP, 1, sizeof *m);
    m->events = *events;
    memcpy(m->delimiter, "\r\n--", 4);
    memcpy(m->delimiter + 4, boundary.ptr, boundary.len);
    m->delimiter_bytes = 4 + boundary.len;
    buffer_init(&m->pending, MEM_HTTP, 2 * PIECE_BYTES_MAX + MULTIPART_HEADER_BYTES_MAX);
    buffer_append_literal(&m->pending, "\r\n");
    *out = m;
    return true;
}

void multipart_free(struct multipart *m)
{
    if (m == NULL)
        return;
    buffer_deinit(&m->pending);
    mem_free(MEM_HTTP, m);
}

/* ---- a part's header ---- */

static bool disposition_read(struct view value, char *room, struct multipart_part *part,
                             struct error *err)
{
    struct view rest, name, text;
    bool bad = false;
    if (!view_is_any_case(value_head(value, &rest), "form-data"))
        return error_set(err, ERROR_INPUT, "a part is no form-data");
    while (parameter_next(&rest, &room, &name, &text, &bad)) {
        if (view_is_any_case(name, "name")) {
            part->name = text;
        } else if (view_is_any_case(name, "filename")) {
            part->filename = text;
            part->has_filename = true;
        }
    }
    if (bad)
        return error_set(err, ERROR_INPUT, "a part has a malformed Content-Disposition");
    return true;
}

static bool part_begin(struct multipart *m, struct view header, struct error *err)
{
    char room[MULTIPART_HEADER_BYTES_MAX];
    struct multipart_part part = {.name = VIEW(""), .filename = VIEW(""), .content_type = VIEW("")};
    ASSERT(header.len <= sizeof room);
    if (m->part_count++ == MULTIPART_PARTS_MAX)
        return error_set(err, ERROR_INPUT, "more than %d parts", MULTIPART_PARTS_MAX);
    while (header.len) {
        const char *end = memmem(header.ptr, header.len, "\r\n", 2);
        size_t len = end ? (size_t)(end - header.ptr) : header.len;
        struct view line = view_slice(header, 0, len);
        header = view_slice(header, len + (end ? 2 : 0), header.len);
        const char *colon = line.len ? memchr(line.ptr, ':', line.len) : NULL;
        if (colon == NULL)
            return error_set(err, ERROR_INPUT, "a part's header has a line without a colon");
        struct view name = view_slice(line, 0, (size_t)(colon - line.ptr));
        struct view value = trim(view_slice(line, name.len + 1, line.len));
        if (view_is_any_case(name, "Content-Type"))
            part.content_type = value;
        else if (view_is_any_case(name, "Content-Disposition") &&
                 !disposition_read(value, room, &part, err))
            return false;
    }
    if (part.name.len == 0 || !utf8_is_valid(part.name))
        return error_set(err, ERROR_INPUT, "a part has no name");
    return m->events.begin(m->events.arg, &part, err);
}

/* ---- states; each takes what it can off the front of `text` and says whether to go on ---- */

enum step { STEP_AGAIN, STEP_MORE, STEP_FAILED };

static struct view rest_of(struct view text, size_t from)
{
    return view_slice(text, from, text.len);
}

static enum step step_line(struct multipart *m, struct view *text, struct error *err)
{
    size_t pos = 0;
    while (pos < text->len && (text->ptr[pos] == ' ' || text->ptr[pos] == '\t'))
        pos++; /* padding, which transports may add */
    if (pos > MULTIPART_HEADER_BYTES_MAX) {
        (void)error_set(err, ERROR_INPUT, "a boundary is followed by too many blanks");
        return STEP_FAILED;
    }
    if (text->len - pos < 2)
        return STEP_MORE;
    if (memcmp(text->ptr + pos, "--", 2) == 0) {
        m->state = MULTIPART_EPILOGUE;
    } else if (memcmp(text->ptr + pos, "\r\n", 2) == 0) {
        m->state = MULTIPART_HEADER;
    } else {
        (void)error_set(err, ERROR_INPUT, "a boundary is followed by other text");
        return STEP_FAILED;
    }
    *text = rest_of(*text, pos + 2);
    return STEP_AGAIN;
}

static enum step step_header(struct multipart *m, struct view *text, struct error *err)
{
    if (text->len >= 2 && memcmp(text->ptr, "\r\n", 2) == 0) {
        (void)error_set(err, ERROR_INPUT, "a part has no header");
        return STEP_FAILED;
    }
    const char *end = text->len ? memmem(text->ptr, text->len, "\r\n\r\n", 4) : NULL;
    size_t len = end ? (size_t)(end - text->ptr) : text->len;
    if (len > MULTIPART_HEADER_BYTES_MAX) {
        (void)error_set(err, ERROR_INPUT, "a part's header is longer than %d bytes",
                        MULTIPART_HEADER_BYTES_MAX);
        return STEP_FAILED;
    }
    if (end == NULL)
        return STEP_MORE;
    if (!part_begin(m, view_slice(*text, 0, len), err))
        return STEP_FAILED;
    /* The CRLF that ends the header may be the delimiter's: content can be empty. */
    *text = rest_of(*text, len + 2);
    m->state = MULTIPART_CONTENT;
    m->skips = true;
    return STEP_AGAIN;
}

/* Content, or the preamble. A part's content begins with the CRLF of its header's end, which is not passed on. */
static enum step step_content(struct multipart *m, struct view *text, struct error *err)
{
    const char *end = text->len >= m->delimiter_bytes
                          ? memmem(text->ptr, text->len, m->delimiter, m->delimiter_bytes)
                          : NULL;
    size_t keep = m->delimiter_bytes - 1;
    size_t len = end ? (size_t)(end - text->ptr) : text->len > keep ? text->len - keep : 0;
    struct view content = view_slice(*text, 0, len);
    if (m->skips && content.len < 2 && end == NULL)
        return STEP_MORE; /* both bytes of the CRLF are needed */
    if (m->skips)
        content = rest_of(content, 2);
    m->skips = false;
    if (m->state == MULTIPART_CONTENT && content.len &&
        !m->events.data(m->events.arg, content, err))
        return STEP_FAILED;
    *text = rest_of(*text, end ? len + m->delimiter_bytes : len);
    if (end == NULL)
        return STEP_MORE;
    if (m->state == MULTIPART_CONTENT && !m->events.end(m->events.arg, err))
        return STEP_FAILED;
    m->state = MULTIPART_LINE;
    return STEP_AGAIN;
}

static enum step step(struct multipart *m, struct view *text, struct error *err)
{
    switch (m->state) {
    case MULTIPART_PREAMBLE:
    case MULTIPART_CONTENT:
        return step_content(m, text, err);
    case MULTIPART_LINE:
        return step_line(m, text, err);
    case MULTIPART_HEADER:
        return step_header(m, text, err);
    case MULTIPART_EPILOGUE:
        *text = rest_of(*text, text->len);
        return STEP_MORE;
    }
    UNREACHABLE();
}

static bool feed_piece(struct multipart *m, struct view piece, struct error *err)
{
    enum step next = STEP_AGAIN;
    buffer_append_view(&m->pending, piece);
    ASSERT(!m->pending.failed); /* a header and a delimiter are all that stays */
    struct view text = buffer_view(&m->pending);
    while (next == STEP_AGAIN)
        next = step(m, &text, err);
    if (text.len && text.ptr != m->pending.ptr)
        memmove(m->pending.ptr, text.ptr, text.len);
    m->pending.len = text.len;
    return next != STEP_FAILED;
}

bool multipart_feed(struct multipart *m, struct view piece, struct error *err)
{
    while (piece.len) {
        size_t len = piece.len < PIECE_BYTES_MAX ? piece.len : PIECE_BYTES_MAX;
        if (!feed_piece(m, view_slice(piece, 0, len), err))
            return false;
        piece = view_slice(piece, len, piece.len);
    }
    return true;
}

bool multipart_finish(const struct multipart *m, struct error *err)
{
    return m->state == MULTIPART_EPILOGUE ||
           error_set(err, ERROR_INPUT, "the form ends before its last boundary");
}
