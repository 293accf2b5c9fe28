/* SPDX-License-Identifier: Apache-2.0 */
/* view.h: bytes that somebody else owns. Not NUL-terminated; may hold NUL. */
#ifndef BELFRY_BASE_VIEW_H
#define BELFRY_BASE_VIEW_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

struct view {
    const char *ptr; /* may be NULL only when len is 0 */
    size_t len;      /* bytes */
};

#define VIEW(literal) ((struct view){(literal), sizeof(literal) - 1})
#define VIEW_INIT(literal)                                                                         \
    {                                                                                              \
        (literal), sizeof(literal) - 1                                                             \
    }
/* For printf's %.*s. */
#define VIEW_ARGS(v) (int)(v).len, (v).ptr

static inline struct view view_from(const char *text)
{
    struct view v = {text, text ? strlen(text) : 0}; /* named: C++ has no compound literals */
    return v;
}

static inline bool view_eq(struct view a, struct view b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

static inline bool view_is(struct view a, const char *text)
{
    return view_eq(a, view_from(text));
}

static inline char view_lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

/* Letters of ASCII may be large or small, whatever the locale is. */
static inline bool view_eq_any_case(struct view a, struct view b)
{
    bool is_equal = a.len == b.len;
    for (size_t i = 0; is_equal && i < a.len; i++)
        is_equal = view_lower(a.ptr[i]) == view_lower(b.ptr[i]);
    return is_equal;
}

static inline bool view_is_any_case(struct view a, const char *text)
{
    return view_eq_any_case(a, view_from(text));
}

/* Order of unsigned bytes, shorter first: < 0, 0, > 0. */
static inline int view_cmp(struct view a, struct view b)
{
    size_t n = a.len < b.len ? a.len : b.len;
    int c = n ? memcmp(a.ptr, b.ptr, n) : 0;
    return c ? c : (a.len > b.len) - (a.len < b.len);
}

static inline bool view_has_prefix(struct view a, struct view prefix)
{
    return a.len >= prefix.len && (prefix.len == 0 || memcmp(a.ptr, prefix.ptr, prefix.len) == 0);
}

static inline bool view_has_suffix(struct view a, struct view suffix)
{
    return a.len >= suffix.len &&
           (suffix.len == 0 || memcmp(a.ptr + a.len - suffix.len, suffix.ptr, suffix.len) == 0);
}

/* The bytes [from, to) of `a`; both are clamped to its length. */
static inline struct view view_slice(struct view a, size_t from, size_t to)
{
    if (to > a.len)
        to = a.len;
    if (from > to)
        from = to;
    struct view v = {a.ptr ? a.ptr + from : NULL, to - from};
    return v;
}

static inline bool view_has_prefix_any_case(struct view a, const char *prefix)
{
    size_t len = strlen(prefix);
    return a.len >= len && view_is_any_case(view_slice(a, 0, len), prefix);
}

#endif
