/* SPDX-License-Identifier: Apache-2.0 */
#include "service/env_file.h"

#include "base/buffer.h"
#include "base/file.h"

struct env_reader {
    struct arena *arena;
    struct view text;
    size_t pos, line_from; /* where the line begins */
    uint32_t line;
};

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

static bool at_end_of_line(const struct env_reader *r)
{
    return r->pos >= r->text.len || r->text.ptr[r->pos] == '\n';
}

static void skip_blanks(struct env_reader *r)
{
    while (!at_end_of_line(r) && is_blank(r->text.ptr[r->pos]))
        r->pos++;
}

static bool fail(const struct env_reader *r, struct error *err, const char *what)
{
    return error_set_at(err, ERROR_INPUT, r->line, (uint32_t)(r->pos - r->line_from + 1), "%s",
                        what);
}

static bool is_name_byte(char c, bool first)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_' ||
           (!first && c >= '0' && c <= '9');
}

static struct view read_name(struct env_reader *r)
{
    size_t from = r->pos;
    while (!at_end_of_line(r) && is_name_byte(r->text.ptr[r->pos], r->pos == from))
        r->pos++;
    return view_slice(r->text, from, r->pos);
}

static const char *read_plain(struct env_reader *r)
{
    size_t from = r->pos;
    while (!at_end_of_line(r))
        r->pos++;
    size_t to = r->pos;
    while (to > from && is_blank(r->text.ptr[to - 1]))
        to--;
    return arena_copy(r->arena, view_slice(r->text, from, to)).ptr;
}

static char unescape(char c)
{
    switch (c) {
    case 'n':
        return '\n';
    case 't':
        return '\t';
    case '"':
    case '\\':
    case '$':
    case '`':
        return c;
    default:
        return '\0';
    }
}

/* Where the quote that stands at pos is closed; the text's length when it is not. */
static size_t quote_end(const struct env_reader *r)
{
    char quote = r->text.ptr[r->pos];
    size_t at = r->pos + 1;
    while (at < r->text.len && r->text.ptr[at] != quote)
        at += r->text.ptr[at] == '\\' && quote == '"' && at + 1 < r->text.len ? 2 : 1;
    return at;
}

/* From the quote on; a quoted value may go over lines, as in a PEM key. NULL: err is set. */
static const char *read_quoted(struct env_reader *r, struct error *err)
{
    char quote = r->text.ptr[r->pos];
    size_t end = quote_end(r), len = 0;
    if (end >= r->text.len) {
        (void)fail(r, err, "the quoted value does not end");
        return NULL;
    }
    char *out = arena_alloc(r->arena, end - r->pos);
    for (r->pos++; r->pos < end; r->pos++) {
        char c = r->text.ptr[r->pos];
        if (c == '\n') {
            r->line++;
            r->line_from = r->pos + 1;
        }
        if (c == '\\' && quote == '"' && unescape(r->text.ptr[r->pos + 1]))
            c = unescape(r->text.ptr[++r->pos]);
        out[len++] = c;
    }
    r->pos++;
    out[len] = '\0';
    skip_blanks(r);
    if (at_end_of_line(r))
        return out;
    (void)fail(r, err, "nothing may follow a quoted value");
    return NULL;
}

static bool read_variable(struct env_reader *r, struct env_file *out, struct error *err)
{
    struct view name = read_name(r);
    if (view_is(name, "export") && !at_end_of_line(r) && is_blank(r->text.ptr[r->pos])) {
        skip_blanks(r);
        name = read_name(r);
    }
    if (name.len == 0)
        return fail(r, err, "expected NAME=value or a comment");
    skip_blanks(r);
    if (at_end_of_line(r) || r->text.ptr[r->pos] != '=')
        return fail(r, err, "expected \"=\" behind the name");
    r->pos++;
    skip_blanks(r);
    bool quoted = !at_end_of_line(r) && (r->text.ptr[r->pos] == '"' || r->text.ptr[r->pos] == '\'');
    const char *value = quoted ? read_quoted(r, err) : read_plain(r);
    if (value == NULL)
        return false;
    if (out->count == ENV_FILE_VARIABLES_MAX)
        return fail(r, err, "too many variables");
    out->items =
        arena_grow(r->arena, out->items, &out->capacity, out->count + 1, sizeof *out->items);
    out->items[out->count++] = (struct env_variable){arena_copy(r->arena, name).ptr, value};
    return true;
}

bool env_file_parse(struct arena *arena, struct view text, struct env_file *out, struct error *err)
{
    struct env_reader r = {.arena = arena, .text = text, .line = 1};
    if (text.len > ENV_FILE_BYTES_MAX)
        return error_set(err, ERROR_TOO_LARGE, "more than %d bytes", ENV_FILE_BYTES_MAX);
    const char *nul = text.len ? memchr(text.ptr, '\0', text.len) : NULL;
    if (nul)
        return error_set(err, ERROR_INPUT, "a NUL byte at offset %zu", (size_t)(nul - text.ptr));
    if (view_has_prefix(text, VIEW("\xef\xbb\xbf")))
        r.pos = r.line_from = 3; /* editors of Windows begin so */
    while (r.pos < text.len) {
        skip_blanks(&r);
        if (!at_end_of_line(&r) && text.ptr[r.pos] == '#')
            while (!at_end_of_line(&r))
                r.pos++;
        if (!at_end_of_line(&r) && !read_variable(&r, out, err))
            return false;
        r.pos++;
        r.line++;
        r.line_from = r.pos;
    }
    return true;
}

bool env_file_read(struct arena *arena, const char *path, struct env_file *out, struct error *err)
{
    struct buffer text;
    buffer_init(&text, MEM_OTHER, ENV_FILE_BYTES_MAX);
    bool ok = file_check_readable(path, ENV_FILE_BYTES_MAX, err) && file_read_all(path, &text, err);
    if (ok && !env_file_parse(arena, buffer_view(&text), out, err))
        ok = err->line ? error_wrap(err, "%s:%u:%u", path, err->line, err->column)
                       : error_wrap(err, "%s", path);
    buffer_deinit(&text);
    return ok;
}

const char *env_file_find(const struct env_file *file, const char *name)
{
    for (size_t i = file->count; i > 0; i--)
        if (strcmp(file->items[i - 1].name, name) == 0)
            return file->items[i - 1].value;
    return NULL;
}
