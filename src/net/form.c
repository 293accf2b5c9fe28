/* SPDX-License-Identifier: Apache-2.0 */
/* form.c: decoding of parameters. Go's url.ParseQuery() is the model (what Prometheus' users meet), except
 * that a bad pair fails the whole text: a query that lost a parameter on its way is answered wrong in silence. */
#include "net/form.h"

#include "base/assert.h"
#include "base/hex.h"

#include <string.h>

static bool needs_decoding(struct view text, bool plus_is_blank)
{
    if (text.len == 0)
        return false;
    return memchr(text.ptr, '%', text.len) != NULL ||
           (plus_is_blank && memchr(text.ptr, '+', text.len) != NULL);
}

bool form_decode(struct arena *arena, struct view text, bool plus_is_blank, struct view *out,
                 struct error *err)
{
    ASSERT(out != NULL);
    if (!needs_decoding(text, plus_is_blank)) {
        *out = text;
        return true;
    }
    char *to = arena_try_alloc(arena, text.len);
    if (to == NULL)
        return error_set(err, ERROR_TOO_LARGE, "parameters need too much memory");
    size_t len = 0;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        if (c == '%') {
            uint32_t high = i + 2 < text.len ? hex_digit((unsigned char)text.ptr[i + 1]) : HEX_NONE;
            uint32_t low = i + 2 < text.len ? hex_digit((unsigned char)text.ptr[i + 2]) : HEX_NONE;
            if (high == HEX_NONE || low == HEX_NONE)
                return error_set(err, ERROR_INPUT, "invalid URL escape \"%.*s\"",
                                 VIEW_ARGS(view_slice(text, i, i + 3)));
            c = (char)(high * 16 + low);
            i += 2;
        } else if (c == '+' && plus_is_blank) {
            c = ' ';
        }
        to[len++] = c;
    }
    *out = (struct view){to, len};
    return true;
}

static bool form_add(struct arena *arena, struct view pair, struct form *form, struct error *err)
{
    if (form->count >= FORM_PARAMS_MAX)
        return error_set(err, ERROR_INPUT, "more than %d parameters", FORM_PARAMS_MAX);
    if (memchr(pair.ptr, ';', pair.len) != NULL)
        return error_set(err, ERROR_INPUT, "invalid semicolon separator in query");
    const char *equals = memchr(pair.ptr, '=', pair.len);
    size_t name_bytes = equals ? (size_t)(equals - pair.ptr) : pair.len;
    struct view value = equals ? view_slice(pair, name_bytes + 1, pair.len) : VIEW("");
    struct form_param param;
    if (!form_decode(arena, view_slice(pair, 0, name_bytes), true, &param.name, err) ||
        !form_decode(arena, value, true, &param.value, err))
        return false;
    if (form->count == form->capacity)
        form->items =
            arena_grow(arena, form->items, &form->capacity, form->count + 1, sizeof *form->items);
    form->items[form->count++] = param;
    return true;
}

bool form_parse(struct arena *arena, struct view text, struct form *form, struct error *err)
{
    for (size_t pos = 0; pos < text.len;) {
        const char *amp = memchr(text.ptr + pos, '&', text.len - pos);
        size_t end = amp ? (size_t)(amp - text.ptr) : text.len;
        if (end > pos && !form_add(arena, view_slice(text, pos, end), form, err))
            return false;
        pos = end + 1;
    }
    return true;
}
