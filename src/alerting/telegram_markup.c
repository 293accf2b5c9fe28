/* SPDX-License-Identifier: Apache-2.0 */
/* telegram_markup.c: see telegram_markup.h. Entities as TDLib decodes them: four by name, numbers below 10 bytes, the semicolon may
 * be missing; what is none is text. */
#include "alerting/telegram_markup.h"

#include "base/buffer.h"
#include "base/utf8.h"

#include <stdint.h>

enum { DEPTH_MAX = 32, ENTITY_BYTES_MAX = 10, CODE_MAX = 0x10ffff };
#define ELLIPSIS "\xe2\x80\xa6"

/* A place in the text, and the tags that are open there. */
struct scan {
    struct view html;
    size_t pos;
    size_t runes; /* seen before pos */
    struct view open[DEPTH_MAX];
    size_t depth;         /* may be above DEPTH_MAX: those are not closed */
    size_t closing_bytes; /* of </a> and the like for all that are open */
};

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static int digit_of(char c, int base)
{
    int v = c >= '0' && c <= '9' ? c - '0' : is_letter(c) ? (c | 0x20) - 'a' + 10 : 99;
    return v < base ? v : -1;
}

/* The bytes of the entity at `pos`, 0 when there is none; *code is what it stands for. */
static size_t entity_at(struct view html, size_t pos, uint32_t *code)
{
    static const struct {
        const char *name;
        uint32_t code;
    } NAMES[] = {{"lt", '<'}, {"gt", '>'}, {"amp", '&'}, {"quot", '"'}};
    struct view text = view_slice(html, pos, pos + ENTITY_BYTES_MAX);
    size_t end = 1;
    *code = 0;
    if (text.len > 1 && text.ptr[1] == '#') {
        int base = text.len > 2 && text.ptr[2] == 'x' ? 16 : 10;
        for (end = base == 16 ? 3 : 2; end < text.len && digit_of(text.ptr[end], base) >= 0; end++)
            *code = *code * (uint32_t)base + (uint32_t)digit_of(text.ptr[end], base);
        if (end == ENTITY_BYTES_MAX || *code == 0 || *code >= CODE_MAX ||
            (*code >= 0xd800 && *code < 0xe000))
            return 0;
    } else {
        while (end < text.len && is_letter(text.ptr[end]))
            end++;
        for (size_t i = 0; i < sizeof(NAMES) / sizeof(*NAMES); i++)
            if (view_is(view_slice(text, 1, end), NAMES[i].name))
                *code = NAMES[i].code;
        if (*code == 0)
            return 0;
    }
    return end < text.len && text.ptr[end] == ';' ? end + 1 : end;
}

static struct view tag_name(struct view tag)
{
    size_t from = tag.len > 1 && tag.ptr[1] == '/' ? 2 : 1, end = from;
    while (end < tag.len &&
           (is_letter(tag.ptr[end]) || tag.ptr[end] == '-' || digit_of(tag.ptr[end], 10) >= 0))
        end++;
    return view_slice(tag, from, end);
}

static void scan_tag(struct scan *s, struct view tag)
{
    struct view name = tag_name(tag);
    if (tag.len > 1 && tag.ptr[1] == '/') {
        if (s->depth == 0)
            return;
        if (--s->depth < DEPTH_MAX)
            s->closing_bytes -= s->open[s->depth].len + 3;
    } else {
        if (s->depth < DEPTH_MAX) {
            s->open[s->depth] = name;
            s->closing_bytes += name.len + 3;
        }
        s->depth++;
    }
}

/* Moves behind the next tag, entity or character, which is returned; *code: what is seen of it, 0 for a tag. */
static struct view scan_next(struct scan *s, uint32_t *code)
{
    size_t from = s->pos, bytes;
    const char *end;
    *code = 0;
    if (s->html.ptr[from] == '<' &&
        (end = memchr(s->html.ptr + from, '>', s->html.len - from)) != NULL) {
        s->pos = (size_t)(end - s->html.ptr) + 1;
        scan_tag(s, view_slice(s->html, from, s->pos));
        return view_slice(s->html, from, s->pos);
    }
    if (s->html.ptr[from] == '&' && (bytes = entity_at(s->html, from, code)) != 0)
        s->pos += bytes;
    else
        *code = utf8_next(s->html, &s->pos);
    s->runes++;
    return view_slice(s->html, from, s->pos);
}

struct view telegram_cut_html(struct arena *arena, struct view html, size_t runes, size_t bytes)
{
    struct scan s = {.html = html}, cut = s;
    uint32_t code;
    while (s.pos < html.len) {
        if (s.runes < runes && s.pos + sizeof ELLIPSIS - 1 + s.closing_bytes <= bytes)
            cut = s; /* the ellipsis and what is to be closed have room behind this place */
        else if (s.runes > runes)
            break;
        scan_next(&s, &code);
    }
    if (s.runes <= runes && html.len <= bytes)
        return html;
    struct buffer out;
    buffer_init(&out, MEM_RULES, bytes + 1);
    buffer_append_view(&out, view_slice(html, 0, cut.pos));
    buffer_append_literal(&out, ELLIPSIS);
    for (size_t i = cut.depth < DEPTH_MAX ? cut.depth : DEPTH_MAX; i-- > 0;)
        buffer_printf(&out, "</%.*s>", VIEW_ARGS(cut.open[i]));
    struct view result = arena_copy(arena, buffer_view(&out));
    buffer_deinit(&out);
    return result;
}

struct view telegram_plain_text(struct arena *arena, struct view html)
{
    struct scan s = {.html = html};
    char *out = arena_alloc(arena, html.len + 1);
    size_t len = 0;
    while (s.pos < html.len) {
        uint32_t code;
        struct view piece = scan_next(&s, &code);
        if (code == 0)
            continue;
        if (piece.ptr[0] == '&' &&
            piece.len > 1) { /* no entity is shorter than what it stands for */
            len += utf8_put(code, out + len);
        } else {
            memcpy(out + len, piece.ptr, piece.len);
            len += piece.len;
        }
    }
    return (struct view){out, len};
}
