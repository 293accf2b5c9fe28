/* SPDX-License-Identifier: Apache-2.0 */
/* image_url.c: see image_url.h. */
#include "image_url.h"

#include "base/base64.h"
#include "base/buffer.h"
#include "base/utf8.h"
#include "net/form.h"

#define INVALID "Invalid URL format"
#define UNDECODABLE "Error decoding URL"

/* Takes what stands before the next `separator` off *rest; at the last piece *rest is NULL behind it. */
static struct view piece_take(struct view *rest, char separator)
{
    const char *end = rest->len ? memchr(rest->ptr, separator, rest->len) : NULL;
    struct view piece = *rest;
    if (!end) {
        *rest = (struct view){NULL, 0};
        return piece;
    }
    piece.len = (size_t)(end - rest->ptr);
    *rest = view_slice(*rest, piece.len + 1, rest->len);
    return piece;
}

static bool is_text(struct view text)
{
    return utf8_is_valid(text) && (text.len == 0 || !memchr(text.ptr, '\0', text.len));
}

static struct image_option option_of(struct view segment)
{
    struct view rest = segment;
    struct image_option option = {.name = piece_take(&rest, ':')};
    option.has_arguments = rest.ptr != NULL;
    option.arguments = rest;
    return option;
}

struct view image_option_argument(const struct image_option *option, size_t idx)
{
    struct view rest = option->arguments;
    for (; idx > 0 && rest.ptr; idx--)
        (void)piece_take(&rest, ':');
    return piece_take(&rest, ':');
}

size_t image_option_argument_count(const struct image_option *option)
{
    size_t count = option->has_arguments;
    for (size_t i = 0; i < option->arguments.len; i++)
        count += option->arguments.ptr[i] == ':';
    return count;
}

bool image_options_split(struct arena *arena, struct view text, struct image_option **out,
                         size_t *count, struct error *err)
{
    size_t capacity = 0;
    *out = NULL;
    *count = 0;
    while (text.ptr) {
        struct view segment = piece_take(&text, '/');
        if (segment.len == 0)
            continue;
        if (*count == IMAGE_URL_OPTIONS_MAX)
            return error_set(err, ERROR_INPUT, "more than %d options", IMAGE_URL_OPTIONS_MAX);
        *out = arena_grow(arena, *out, &capacity, *count + 1, sizeof((*out)[0]));
        (*out)[(*count)++] = option_of(segment);
    }
    return true;
}

/* --- the source --- */

/* "BASE@ext" or "BASE.ext": the last one counts. */
static void extension_take(struct image_url *url, char mark)
{
    const char *at = memrchr(url->encoded_source.ptr, mark, url->encoded_source.len);
    if (!at)
        return;
    size_t base = (size_t)(at - url->encoded_source.ptr);
    url->extension = view_slice(url->encoded_source, base + 1, url->encoded_source.len);
    url->encoded_source = view_slice(url->encoded_source, 0, base);
}

bool image_text_decode(struct arena *arena, struct view text, struct view *out, struct error *err)
{
    static const struct view PADDING = VIEW_INIT("==");
    struct buffer padded, bytes;
    size_t bad_at;
    while (view_has_suffix(text, VIEW("=")))
        text.len--;
    buffer_init(&padded, MEM_OTHER, text.len + 4);
    buffer_init(&bytes, MEM_OTHER, text.len + 4);
    buffer_append(&padded, text.ptr, text.len);
    if (text.len % 4 > 1)
        buffer_append(&padded, PADDING.ptr, 4 - text.len % 4);
    bool ok =
        base64_url_decode(&bytes, buffer_view(&padded), &bad_at) && is_text(buffer_view(&bytes));
    *out = ok ? arena_copy(arena, buffer_view(&bytes)) : (struct view){NULL, 0};
    buffer_deinit(&padded);
    buffer_deinit(&bytes);
    return ok || error_set(err, ERROR_INPUT, "not base64 of a text");
}

bool image_url_source(struct arena *arena, const struct image_url *url, struct view *out,
                      struct error *err)
{
    struct view text = url->encoded_source;
    bool ok;
    if (url->is_plain) {
        ok = form_decode(arena, text, false, out, NULL) && is_text(*out);
    } else {
        struct buffer joined;
        buffer_init(&joined, MEM_OTHER, text.len + 1);
        while (text.ptr) {
            struct view piece = piece_take(&text, '/');
            buffer_append(&joined, piece.ptr, piece.len);
        }
        ok = form_decode(arena, buffer_view(&joined), false, out, NULL); /* "=" may come as %3D */
        ok = ok && image_text_decode(arena, *out, out, NULL);
        buffer_deinit(&joined);
    }
    ok = ok && out->len > 0 && out->len <= IMAGE_SOURCE_BYTES_MAX;
    return ok || error_set(err, ERROR_INPUT, UNDECODABLE);
}

/* --- the path --- */

/* Clients may write a colon as %3A, so that a segment is decoded before it is looked at. */
static bool segment_decode(struct arena *arena, struct view *segment)
{
    return form_decode(arena, *segment, false, segment, NULL) && is_text(*segment);
}

bool image_url_parse(struct arena *arena, struct view path, struct image_url *out,
                     struct error *err)
{
    size_t capacity = 0;
    struct view rest = path;
    *out = (struct image_url){.signature = piece_take(&rest, '/')};
    if (!rest.ptr)
        return error_set(err, ERROR_INPUT, INVALID);
    out->signed_path = view_slice(path, out->signature.len, path.len);
    while (rest.ptr) {
        struct view from_here = rest, segment = piece_take(&rest, '/');
        out->is_plain = view_is(segment, "plain");
        if (out->is_plain || !segment_decode(arena, &segment) ||
            !memchr(segment.ptr, ':', segment.len)) {
            out->encoded_source = out->is_plain ? rest : from_here;
            break;
        }
        if (out->option_count == IMAGE_URL_OPTIONS_MAX)
            return error_set(err, ERROR_INPUT, INVALID);
        out->options = arena_grow(arena, out->options, &capacity, out->option_count + 1,
                                  sizeof(out->options[0]));
        out->options[out->option_count++] = option_of(segment);
    }
    if (out->encoded_source.len)
        extension_take(out, out->is_plain ? '@' : '.');
    return out->encoded_source.len > 0 || error_set(err, ERROR_INPUT, INVALID);
}
