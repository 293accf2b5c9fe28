/* SPDX-License-Identifier: Apache-2.0 */
/* matcher_text.c: see matcher_text.h.
 *
 *   UTF-8:    matchers := ["{"] [matcher {"," matcher} [","]] ["}"]     matcher := word op word
 *             word := "quoted" | characters other than space and {}!=~,\"'`
 *   classic:  pieces between commas outside of quotes, each: name op rest, blanks around them dropped. The rest may be
 *             in double quotes; a backslash escapes n, " and itself, and is itself before anything else. */
#include "alerting/matcher_text.h"

#include "base/quote.h"
#include "base/utf8.h"

#include <stdlib.h>

/* One matcher before its regular expression is compiled. */
struct part {
    enum matcher_type type;
    struct view name, value;
};

struct parts {
    struct part *items;
    size_t count, capacity;
};

static void parts_add(struct arena *arena, struct parts *parts, struct part part)
{
    parts->items =
        arena_grow(arena, parts->items, &parts->capacity, parts->count + 1, sizeof(*parts->items));
    parts->items[parts->count++] = part;
}

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static size_t skip_space(struct view text, size_t pos)
{
    while (pos < text.len && is_space(text.ptr[pos]))
        pos++;
    return pos;
}

static struct view trim(struct view text)
{
    text = view_slice(text, skip_space(text, 0), text.len);
    while (text.len && is_space(text.ptr[text.len - 1]))
        text.len--;
    return text;
}

/* Length of the operator at `pos`, 0 where there is none. */
static size_t operator_at(struct view text, size_t pos, enum matcher_type *type)
{
    char a = pos < text.len ? text.ptr[pos] : '\0',
         b = pos + 1 < text.len ? text.ptr[pos + 1] : '\0';
    if (a == '=') {
        *type = b == '~' ? MATCH_REGEX : MATCH_EQUAL;
        return b == '~' ? 2 : 1;
    }
    if (a == '!' && (b == '=' || b == '~')) {
        *type = b == '~' ? MATCH_NOT_REGEX : MATCH_NOT_EQUAL;
        return 2;
    }
    return 0;
}

/* --- UTF-8 --- */

struct reader {
    struct arena *arena;
    struct view text;
    size_t pos;
    struct error *err;
};

static bool reader_error(struct reader *r, const char *expected)
{
    if (r->pos >= r->text.len)
        return error_set_at(r->err, ERROR_INPUT, 1, (uint32_t)r->pos + 1,
                            "matchers end where %s was expected", expected);
    return error_set_at(r->err, ERROR_INPUT, 1, (uint32_t)r->pos + 1,
                        "unexpected \"%.*s\" at column %zu of the matchers: %s was expected",
                        VIEW_ARGS(view_slice(r->text, r->pos, r->pos + 20)), r->pos + 1, expected);
}

static bool is_word_byte(char c)
{
    return !is_space(c) && (c == '\0' || !strchr("{}!=~,\\\"'`", c));
}

/* A quoted string or a bare word. */
static bool read_word(struct reader *r, const char *what, struct view *out)
{
    size_t from = r->pos = skip_space(r->text, r->pos);
    if (from < r->text.len && r->text.ptr[from] == '"') {
        for (r->pos++; r->pos < r->text.len && r->text.ptr[r->pos] != '"'; r->pos++) {
            if (r->text.ptr[r->pos] == '\\')
                r->pos++;
        }
        if (r->pos >= r->text.len) {
            r->pos = r->text.len;
            return reader_error(r, "a closing \"");
        }
        r->pos++;
        struct view literal = view_slice(r->text, from, r->pos);
        if (quote_read(r->arena, literal, out) && utf8_is_valid(*out))
            return true;
        r->pos = from;
        return reader_error(r, "a string with valid escapes");
    }
    while (r->pos < r->text.len && is_word_byte(r->text.ptr[r->pos]))
        r->pos++;
    *out = view_slice(r->text, from, r->pos);
    return r->pos > from || reader_error(r, what);
}

static bool read_utf8(struct reader *r, struct parts *parts)
{
    r->pos = skip_space(r->text, 0);
    bool braces = r->pos < r->text.len && r->text.ptr[r->pos] == '{';
    r->pos += braces;
    for (;;) {
        struct part part;
        r->pos = skip_space(r->text, r->pos);
        if (r->pos >= r->text.len || r->text.ptr[r->pos] == '}')
            break; /* nothing, or a comma before the end */
        if (!read_word(r, "the name of a label", &part.name))
            return false;
        r->pos = skip_space(r->text, r->pos);
        size_t len = operator_at(r->text, r->pos, &part.type);
        if (len == 0)
            return reader_error(r, "an operator (=, !=, =~ or !~)");
        r->pos += len;
        if (!read_word(r, "the value of a label", &part.value))
            return false;
        if (part.name.len == 0)
            return error_set(r->err, ERROR_INPUT, "the name of a label is empty");
        parts_add(r->arena, parts, part);
        r->pos = skip_space(r->text, r->pos);
        if (r->pos >= r->text.len || r->text.ptr[r->pos] != ',')
            break;
        r->pos++;
    }
    if (braces && (r->pos >= r->text.len || r->text.ptr[r->pos] != '}'))
        return reader_error(r, "a comma or the closing brace");
    r->pos = skip_space(r->text, r->pos + braces);
    return r->pos >= r->text.len || reader_error(r, braces ? "the end" : "a comma or the end");
}

/* --- classic --- */

static bool classic_value(struct arena *arena, struct view raw, struct view *out, struct error *err)
{
    bool quoted = raw.len > 0 && raw.ptr[0] == '"';
    raw = view_slice(raw, quoted, raw.len);
    char *to = arena_alloc(arena, raw.len + 1);
    size_t len = 0;
    bool closed = false;
    for (size_t i = 0; i < raw.len; i++) {
        char c = raw.ptr[i];
        if (c == '"') {
            if (!quoted || i + 1 < raw.len)
                return error_set(err, ERROR_INPUT,
                                 "matcher value contains unescaped double quote: %.*s",
                                 VIEW_ARGS(view_slice(raw, 0, 200)));
            closed = true;
        } else if (c == '\\' && i + 1 < raw.len) {
            char next = raw.ptr[++i];
            if (next != 'n' && next != '"' && next != '\\')
                to[len++] = '\\';
            to[len++] = next == 'n' ? '\n' : next;
        } else {
            to[len++] = c;
        }
    }
    if (quoted && !closed)
        return error_set(err, ERROR_INPUT, "matcher value contains unescaped double quote: %.*s",
                         VIEW_ARGS(view_slice(raw, 0, 200)));
    to[len] = '\0';
    *out = (struct view){to, len};
    return true;
}

static bool classic_matcher(struct arena *arena, struct view text, struct parts *parts,
                            struct error *err)
{
    struct part part;
    size_t end = 0;
    text = trim(text);
    while (end < text.len && ((text.ptr[end] | 0x20) >= 'a' && (text.ptr[end] | 0x20) <= 'z'
                                  ? true
                                  : text.ptr[end] == '_' || text.ptr[end] == ':' ||
                                        (end > 0 && text.ptr[end] >= '0' && text.ptr[end] <= '9')))
        end++;
    size_t at = skip_space(text, end), len = operator_at(text, at, &part.type);
    if (end == 0 || len == 0)
        return error_set(err, ERROR_INPUT, "bad matcher format: %.*s",
                         VIEW_ARGS(view_slice(text, 0, 200)));
    part.name = view_slice(text, 0, end);
    if (!classic_value(arena, trim(view_slice(text, at + len, text.len)), &part.value, err))
        return false;
    parts_add(arena, parts, part);
    return true;
}

static bool read_classic(struct arena *arena, struct view text, struct parts *parts,
                         struct error *err)
{
    bool inside = false, escaped = false;
    size_t from = 0;
    if (view_has_prefix(text, VIEW("{")))
        text = view_slice(text, 1, text.len);
    if (view_has_suffix(text, VIEW("}")))
        text.len--;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        if (c == ',' && !inside) {
            if (!classic_matcher(arena, view_slice(text, from, i), parts, err))
                return false;
            from = i + 1;
        } else if (c == '"' && !escaped) {
            inside = !inside;
        }
        escaped = c == '\\' && !escaped;
    }
    struct view last = trim(view_slice(text, from, text.len));
    return last.len == 0 || classic_matcher(arena, last, parts, err);
}

/* --- both --- */

static bool parts_equal(const struct parts *a, const struct parts *b)
{
    if (a->count != b->count)
        return false;
    for (size_t i = 0; i < a->count; i++) {
        const struct part *x = &a->items[i], *y = &b->items[i];
        if (x->type != y->type || !view_eq(x->name, y->name) || !view_eq(x->value, y->value))
            return false;
    }
    return true;
}

bool matchers_add(struct arena *arena, struct matchers *out, enum matcher_type type,
                  struct view name, struct view value, struct error *err)
{
    out->items = arena_grow(arena, out->items, &out->capacity, out->count + 1, sizeof(*out->items));
    if (!matcher_init(&out->items[out->count], type, name, value, err))
        return false;
    out->count++;
    return true;
}

bool matchers_parse(struct arena *arena, struct view text, struct matchers *out,
                    enum matchers_reader *reader, struct error *err)
{
    struct error why = {0}, classic_why = {0};
    struct parts utf8 = {0}, classic = {0};
    if (text.len > MATCHERS_TEXT_BYTES_MAX)
        return error_set(err, ERROR_TOO_LARGE, "matchers of %zu bytes, at most %d are allowed",
                         text.len, MATCHERS_TEXT_BYTES_MAX);
    if (!utf8_is_valid(text))
        return error_set(err, ERROR_INPUT, "matchers are not valid UTF-8");
    text = arena_copy(arena, text);
    struct reader r = {arena, text, 0, &why};
    bool is_utf8 = read_utf8(&r, &utf8);
    bool is_classic = read_classic(arena, text, &classic, &classic_why);
    if (!is_utf8 && !is_classic) {
        if (err)
            *err = why;
        return false;
    }
    bool agree = is_utf8 && (!is_classic || parts_equal(&utf8, &classic));
    const struct parts *parts = agree ? &utf8 : &classic;
    if (reader)
        *reader = agree ? MATCHERS_UTF8 : is_utf8 ? MATCHERS_DISAGREE : MATCHERS_CLASSIC;
    if (parts->count > MATCHERS_MAX)
        return error_set(err, ERROR_TOO_LARGE, "%zu matchers in one text, at most %d are allowed",
                         parts->count, MATCHERS_MAX);
    size_t before = out->count;
    for (size_t i = 0; i < parts->count; i++) {
        const struct part *p = &parts->items[i];
        if (!matchers_add(arena, out, p->type, p->name, p->value, err)) {
            while (out->count > before)
                matcher_deinit(&out->items[--out->count]);
            return false;
        }
    }
    return true;
}

void matchers_deinit(struct matchers *m)
{
    for (size_t i = 0; i < m->count; i++)
        matcher_deinit(&m->items[i]);
    m->count = 0;
}

static int compare(const void *a, const void *b)
{
    const struct matcher *x = a, *y = b;
    int order = view_cmp(x->name, y->name);
    if (order == 0)
        order = view_cmp(x->value, y->value);
    return order ? order : (int)x->type - (int)y->type;
}

void matchers_sort(struct matchers *m)
{
    if (m->count > 1)
        qsort(m->items, m->count, sizeof(*m->items), compare);
}

bool matchers_match(const struct matchers *m, struct labels labels)
{
    for (size_t i = 0; i < m->count; i++) {
        if (!matcher_matches(&m->items[i], labels_get(labels, m->items[i].name)))
            return false;
    }
    return true;
}

void matchers_format(struct buffer *out, const struct matchers *m)
{
    buffer_append_byte(out, '{');
    for (size_t i = 0; i < m->count; i++) {
        if (i)
            buffer_append_byte(out, ',');
        matcher_format(out, &m->items[i]);
    }
    buffer_append_byte(out, '}');
}
