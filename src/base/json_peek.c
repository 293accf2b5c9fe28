/* SPDX-License-Identifier: Apache-2.0 */
#include "base/json_peek.h"

/* Behind the string that begins at pos (its quote): pos of what follows. */
static size_t skip_string(struct view text, size_t pos)
{
    for (pos++; pos < text.len;) {
        const char *quote = memchr(text.ptr + pos, '"', text.len - pos);
        if (quote == NULL)
            return text.len;
        size_t at = (size_t)(quote - text.ptr), slashes = 0;
        while (at > pos + slashes && text.ptr[at - 1 - slashes] == '\\')
            slashes++;
        pos = at + 1;
        if (slashes % 2 == 0)
            return pos;
    }
    return text.len;
}

static size_t skip_blanks(struct view text, size_t pos)
{
    while (pos < text.len && memchr(" \t\r\n", text.ptr[pos], 4))
        pos++;
    return pos;
}

/* Of a member's value that begins at pos. */
static int value_bool(struct view text, size_t pos)
{
    struct view rest = view_slice(text, pos, text.len);
    return view_has_prefix(rest, VIEW("true")) ? 1 : view_has_prefix(rest, VIEW("false")) ? 0 : -1;
}

int json_peek_bool(struct view text, const char *name)
{
    size_t depth = 0;
    for (size_t pos = skip_blanks(text, 0); pos < text.len;) {
        char c = text.ptr[pos];
        if (c != '"') {
            if (c == '{' || c == '[')
                depth++;
            else if ((c == '}' || c == ']') && depth > 0)
                depth--;
            pos++;
            continue;
        }
        size_t end = skip_string(text, pos);
        size_t colon = skip_blanks(text, end);
        bool is_name = depth == 1 && colon < text.len && text.ptr[colon] == ':';
        if (is_name && view_is(view_slice(text, pos + 1, end - 1), name))
            return value_bool(text, skip_blanks(text, colon + 1));
        pos = end;
    }
    return -1;
}

bool json_is_shallow(struct view text, size_t depth_max)
{
    size_t depth = 0;
    for (size_t pos = 0; pos < text.len;) {
        char c = text.ptr[pos];
        if (c == '"') {
            pos = skip_string(text, pos);
            continue;
        }
        if (c == '{' || c == '[')
            depth++;
        else if ((c == '}' || c == ']') && depth > 0)
            depth--;
        if (depth > depth_max)
            return false;
        pos++;
    }
    return true;
}

/* Behind the value that begins at pos. */
static size_t skip_value(struct view text, size_t pos)
{
    size_t depth = 0;
    while (pos < text.len) {
        char c = text.ptr[pos];
        if (c == '"') {
            pos = skip_string(text, pos);
            continue;
        }
        if (depth == 0 && (c == ',' || c == ']' || c == '}'))
            break;
        depth += c == '{' || c == '[';
        depth -= c == '}' || c == ']';
        pos++;
    }
    return pos;
}

static bool is_at(struct view text, size_t pos, char c)
{
    return pos < text.len && text.ptr[pos] == c;
}

enum json_items json_next_item(struct view text, size_t *pos, struct view *item)
{
    bool is_first = *pos == 0;
    size_t at = skip_blanks(text, *pos);
    if (!is_first && is_at(text, at, ']'))
        return skip_blanks(text, at + 1) == text.len ? JSON_ITEMS_END : JSON_ITEMS_BROKEN;
    if (!is_at(text, at, is_first ? '[' : ','))
        return JSON_ITEMS_BROKEN;
    at = skip_blanks(text, at + 1);
    if (is_first && is_at(text, at, ']'))
        return skip_blanks(text, at + 1) == text.len ? JSON_ITEMS_END : JSON_ITEMS_BROKEN;
    size_t end = skip_value(text, at);
    if (end == at)
        return JSON_ITEMS_BROKEN;
    *item = view_slice(text, at, end);
    *pos = end;
    return JSON_ITEM;
}
