/* SPDX-License-Identifier: Apache-2.0 */
/* html.c: see html.h.
 *
 *   text --<a--> tag --x--> attr name --=--> before value --"--> value --"--> tag --'>'--> text, script, style, rcdata
 *
 * Go finds the places once, before anything runs, and refuses templates whose branches end in different ones. Here they
 * are found while writing, which takes more templates and gives the same text for those that Go takes. Values that
 * cannot be made safe become "ZgotmplZ", as there. */
#include "template/html.h"

#include "base/utf8.h"
#include "template/exec_private.h"
#include "template/to_json.h"

#include <string.h>
#include <strings.h>

#define UNSAFE VIEW("ZgotmplZ")

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_name_char(char c)
{
    return is_letter(c) || (c >= '0' && c <= '9') || c == '-' || c == ':';
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\f' || c == '\r';
}

static bool starts_with(struct view text, size_t pos, const char *word)
{
    size_t len = strlen(word);
    return text.len - pos >= len && strncasecmp(text.ptr + pos, word, len) == 0;
}

/* --- following the template's text --- */

static enum html_place element_of(struct view name)
{
    static const struct {
        const char *name;
        enum html_place place;
    } ELEMENTS[] = {{"script", HTML_SCRIPT},
                    {"style", HTML_STYLE},
                    {"title", HTML_RCDATA},
                    {"textarea", HTML_RCDATA}};
    for (size_t i = 0; i < ARRAY_COUNT(ELEMENTS); i++)
        if (name.len == strlen(ELEMENTS[i].name) && starts_with(name, 0, ELEMENTS[i].name))
            return ELEMENTS[i].place;
    return HTML_TEXT;
}

static void name_set(struct html_state *s, struct view name)
{
    s->name_len = (uint8_t)(name.len < HTML_NAME_BYTES ? name.len : HTML_NAME_BYTES);
    memcpy(s->name, name.ptr, s->name_len);
}

static enum html_attr attr_kind(struct view name)
{
    static const char *const URLS[] = {"action",   "archive",  "background", "cite",    "classid",
                                       "codebase", "data",     "formaction", "href",    "icon",
                                       "longdesc", "manifest", "poster",     "profile", "src",
                                       "srcset",   "usemap",   "xmlns"};
    char lower[HTML_NAME_BYTES + 1];
    size_t len = name.len < HTML_NAME_BYTES ? name.len : HTML_NAME_BYTES;
    for (size_t i = 0; i < len; i++)
        lower[i] = (char)(is_letter(name.ptr[i]) ? name.ptr[i] | 0x20 : name.ptr[i]);
    lower[len] = '\0';
    const char *word = lower;
    if (strncmp(word, "data-", 5) == 0)
        word += 5;
    else if (strncmp(word, "xmlns:", 6) == 0)
        return HTML_ATTR_URL;
    else if (strchr(word, ':'))
        word = strchr(word, ':') + 1;
    if (strcmp(word, "style") == 0)
        return HTML_ATTR_STYLE;
    for (size_t i = 0; i < ARRAY_COUNT(URLS); i++)
        if (strcmp(word, URLS[i]) == 0)
            return HTML_ATTR_URL;
    if (strncmp(word, "on", 2) == 0)
        return HTML_ATTR_SCRIPT;
    if (strstr(word, "src") || strstr(word, "uri") || strstr(word, "url"))
        return HTML_ATTR_URL;
    return HTML_ATTR_PLAIN;
}

static void value_begin(struct html_state *s, char delimiter)
{
    s->place = HTML_VALUE;
    s->delimiter = delimiter;
    s->attr = attr_kind((struct view){s->name, s->name_len});
    s->url_part = HTML_URL_START;
    s->js_quote = 0;
    s->js_escape = false;
}

/* One byte of a script: in or out of texts and comments. */
static void js_follow(struct html_state *s, char c, char next)
{
    if (s->js_escape) {
        s->js_escape = false;
    } else if (s->js_quote == '/') {
        if (c == '\n')
            s->js_quote = 0;
    } else if (s->js_quote == '*') {
        if (c == '*' && next == '/')
            s->js_quote = 0;
    } else if (s->js_quote) {
        s->js_escape = c == '\\';
        if (c == s->js_quote)
            s->js_quote = 0;
    } else if (c == '"' || c == '\'' || c == '`') {
        s->js_quote = c;
    } else if (c == '/' && (next == '/' || next == '*')) {
        s->js_quote = next;
    }
}

/* A "<" in text; returns how many bytes were dealt with. */
static size_t text_follow(struct html_state *s, struct buffer *out, struct view text, size_t pos)
{
    if (starts_with(text, pos, "<!--")) {
        s->place = HTML_COMMENT;
        return 4;
    }
    size_t end = pos + 1;
    bool closes = end < text.len && text.ptr[end] == '/';
    end += closes;
    if (end < text.len && is_letter(text.ptr[end])) {
        size_t start = end;
        while (end < text.len && is_name_char(text.ptr[end]))
            end++;
        struct view name = view_slice(text, start, end);
        s->place = HTML_TAG;
        s->element = closes ? HTML_TEXT : element_of(name);
        buffer_append_view(out, view_slice(text, pos, end));
        if (s->element != HTML_TEXT)
            name_set(s, name);
        return end - pos;
    }
    if (starts_with(text, pos, "<!doctype"))
        buffer_append_byte(out, '<');
    else
        buffer_append_literal(out, "&lt;");
    return 1;
}

/* Is this the end tag of the script, style, title or textarea that we are in? */
static bool element_ends(const struct html_state *s, struct view text, size_t pos)
{
    static const char *const NAMES[] = {"</script", "</style", "</title", "</textarea"};
    for (size_t i = 0; i < ARRAY_COUNT(NAMES); i++) {
        if (!starts_with(text, pos, NAMES[i]))
            continue;
        enum html_place place = i == 0 ? HTML_SCRIPT : i == 1 ? HTML_STYLE : HTML_RCDATA;
        if (place == s->place)
            return true;
    }
    return false;
}

/* A byte in a tag; the bytes themselves are copied as they are. */
static void tag_follow(struct html_state *s, struct view text, size_t pos)
{
    char c = text.ptr[pos];
    if (c == '>' && s->place != HTML_VALUE) {
        s->place = s->element;
        s->js_quote = 0;
        s->js_escape = false;
        return;
    }
    switch (s->place) {
    case HTML_TAG:
        if (is_space(c) || c == '/')
            return;
        s->name_len = 0;
        s->place = HTML_ATTR_NAME;
        break;
    case HTML_ATTR_NAME:
        if (is_space(c))
            s->place = HTML_AFTER_NAME;
        break;
    case HTML_AFTER_NAME:
        if (is_space(c))
            return;
        if (c != '=') {
            s->name_len = 0;
            s->place = HTML_ATTR_NAME;
        }
        break;
    default: /* HTML_BEFORE_VALUE */
        if (c == '"' || c == '\'')
            value_begin(s, c);
        else if (!is_space(c))
            value_begin(s, 0);
        return;
    }
    if (c == '=')
        s->place = HTML_BEFORE_VALUE;
    else if (s->place == HTML_ATTR_NAME && s->name_len < HTML_NAME_BYTES)
        s->name[s->name_len++] = c;
}

static void value_follow(struct html_state *s, struct view text, size_t pos)
{
    char c = text.ptr[pos], next = pos + 1 < text.len ? text.ptr[pos + 1] : 0;
    if (s->delimiter ? c == s->delimiter : is_space(c)) {
        s->place = HTML_TAG;
    } else if (!s->delimiter && c == '>') {
        s->place = HTML_TAG;
        tag_follow(s, text, pos);
    } else if (s->attr == HTML_ATTR_SCRIPT) {
        js_follow(s, c, next);
    } else if (s->attr == HTML_ATTR_URL) {
        if (c == '?' || c == '#')
            s->url_part = HTML_URL_QUERY;
        else if (!is_space(c) && s->url_part == HTML_URL_START)
            s->url_part = HTML_URL_PATH;
    }
}

/* Where the next byte is that means something at this place, at or behind pos. */
static size_t skip_plain(const struct html_state *s, struct view text, size_t pos)
{
    const char *found = NULL;
    if (s->place == HTML_TEXT || s->place == HTML_RCDATA || s->place == HTML_STYLE)
        found = memchr(text.ptr + pos, '<', text.len - pos);
    else if (s->place == HTML_COMMENT)
        found = memchr(text.ptr + pos, '-', text.len - pos);
    else if (s->place == HTML_VALUE && s->delimiter && s->attr != HTML_ATTR_SCRIPT &&
             s->attr != HTML_ATTR_URL)
        found = memchr(text.ptr + pos, s->delimiter, text.len - pos);
    else
        return pos;
    return found ? (size_t)(found - text.ptr) : text.len;
}

void html_text(struct html_state *s, struct buffer *out, struct view text)
{
    for (size_t pos = 0; pos < text.len;) {
        size_t next = skip_plain(s, text, pos);
        if (s->place != HTML_COMMENT)
            buffer_append_view(out, view_slice(text, pos, next));
        pos = next;
        if (pos == text.len)
            break;
        char c = text.ptr[pos];
        switch (s->place) {
        case HTML_TEXT:
            pos += text_follow(s, out, text, pos);
            continue;
        case HTML_COMMENT:
            if (starts_with(text, pos, "-->")) {
                s->place = HTML_TEXT;
                pos += 2;
            }
            pos++;
            continue;
        case HTML_SCRIPT:
        case HTML_STYLE:
        case HTML_RCDATA:
            if (c == '<' && element_ends(s, text, pos)) {
                s->place = HTML_TEXT;
                continue;
            }
            if (s->place == HTML_SCRIPT)
                js_follow(s, c, pos + 1 < text.len ? text.ptr[pos + 1] : 0);
            break;
        case HTML_VALUE:
            value_follow(s, text, pos);
            break;
        default:
            tag_follow(s, text, pos);
            break;
        }
        buffer_append_byte(out, c);
        pos++;
    }
}

/* --- escaping --- */

/* HTML for text and quoted attributes; `again` leaves "&" as it is, in what is HTML already. */
static void append_html(struct buffer *out, struct view text, bool again)
{
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        if (c == '\0')
            buffer_append_literal(out, "\xef\xbf\xbd");
        else if (c == '"')
            buffer_append_literal(out, "&#34;");
        else if (c == '\'')
            buffer_append_literal(out, "&#39;");
        else if (c == '+')
            buffer_append_literal(out, "&#43;");
        else if (c == '<')
            buffer_append_literal(out, "&lt;");
        else if (c == '>')
            buffer_append_literal(out, "&gt;");
        else if (c == '&' && !again)
            buffer_append_literal(out, "&amp;");
        else
            buffer_append_byte(out, c);
    }
}

/* For an attribute without quotes. */
static void append_html_no_space(struct buffer *out, struct view text)
{
    if (text.len == 0)
        buffer_append_view(out, UNSAFE);
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        if ((c >= '\t' && c <= '\r') || c == ' ' || c == '=' || c == '`')
            buffer_printf(out, "&#%d;", c);
        else if (c == '\0')
            buffer_append_literal(out, "&#xfffd;");
        else
            append_html(out, view_slice(text, i, i + 1), false);
    }
}

/* The text of HTML without its tags, for attributes. */
static void append_without_tags(struct buffer *out, struct view html)
{
    for (size_t pos = 0; pos < html.len;) {
        size_t end = pos;
        while (end < html.len && html.ptr[end] != '<')
            end++;
        buffer_append_view(out, view_slice(html, pos, end));
        const char *close = end < html.len ? memchr(html.ptr + end, '>', html.len - end) : NULL;
        pos = close ? (size_t)(close - html.ptr) + 1 : html.len;
    }
}

/* In a quoted text of JavaScript. */
static void append_js_text(struct buffer *out, struct view text)
{
    for (size_t pos = 0; pos < text.len;) {
        size_t start = pos;
        uint32_t c = utf8_next(text, &pos);
        if (c == '\t')
            buffer_append_literal(out, "\\t");
        else if (c == '\n')
            buffer_append_literal(out, "\\n");
        else if (c == '\f')
            buffer_append_literal(out, "\\f");
        else if (c == '\r')
            buffer_append_literal(out, "\\r");
        else if (c == '\\')
            buffer_append_literal(out, "\\\\");
        else if (c == '/')
            buffer_append_literal(out, "\\/");
        else if (c == 0 || c == '\v' || c == 0x2028 || c == 0x2029 ||
                 (c < 0x80 && strchr("\"`&'+<>", (int)c)))
            buffer_printf(out, "\\u%04x", c);
        else
            buffer_append_view(out, view_slice(text, start, pos));
    }
}

/* An expression of JavaScript: JSON, with spaces around what could join its neighbours. */
static bool append_js_value(struct template_call *call, struct buffer *out,
                            const struct template_value *v)
{
    size_t start = out->len;
    if (!to_json(call, out, v))
        return false;
    if (out->failed || out->len == start)
        return true;
    char first = out->ptr[start], last = out->ptr[out->len - 1];
    if (is_letter(first) || first == '-' || (first >= '0' && first <= '9')) {
        buffer_append_byte(out, ' ');
        if (out->failed)
            return true;
        memmove(out->ptr + start + 1, out->ptr + start, out->len - start - 1);
        out->ptr[start] = ' ';
        if (is_letter(last) || (last >= '0' && last <= '9'))
            buffer_append_byte(out, ' ');
    }
    return true;
}

static bool is_hex(struct view text, size_t pos)
{
    return pos < text.len && text.ptr[pos] != 0 && strchr("0123456789abcdefABCDEF", text.ptr[pos]);
}

/* Percent-encodes what may not stand in a URL; `whole` keeps what has a meaning there. */
static void append_url(struct buffer *out, struct view text, bool whole)
{
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        bool plain = is_letter((char)c) || (c >= '0' && c <= '9') || (c && strchr("-._~", c));
        bool reserved = whole && c && strchr("!#$&*+,/:;=?@[]", c);
        bool encoded = whole && c == '%' && is_hex(text, i + 1) && is_hex(text, i + 2);
        if (plain || reserved || encoded)
            buffer_append_byte(out, (char)c);
        else
            buffer_printf(out, "%%%02x", c);
    }
}

/* Has it no scheme, or one that runs nothing? */
static bool url_is_safe(struct view url)
{
    const char *colon = url.len ? memchr(url.ptr, ':', url.len) : NULL;
    if (!colon || memchr(url.ptr, '/', (size_t)(colon - url.ptr)))
        return true;
    struct view scheme = view_slice(url, 0, (size_t)(colon - url.ptr));
    return (scheme.len == 4 && starts_with(scheme, 0, "http")) ||
           (scheme.len == 5 && starts_with(scheme, 0, "https")) ||
           (scheme.len == 6 && starts_with(scheme, 0, "mailto"));
}

static void append_url_value(struct buffer *out, const struct html_state *s, struct view text,
                             bool is_url)
{
    if (s->url_part == HTML_URL_START && !is_url && !url_is_safe(text))
        buffer_append_literal(out, "#ZgotmplZ");
    else
        append_url(out, text, s->url_part != HTML_URL_QUERY || is_url);
}

/* A value of a CSS property: what could end it or run anything is refused. */
static struct view css_value(struct view text)
{
    char letters[16];
    size_t len = 0;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        if (c == '\0' || strchr("\"'()/;@[\\]`{}<>", c) ||
            (c == '-' && i > 0 && text.ptr[i - 1] == '-'))
            return UNSAFE;
        if (!is_letter(c))
            continue;
        if (len == sizeof(letters))
            memmove(letters, letters + 1, --len);
        letters[len++] = (char)(c | 0x20);
        if ((len >= 10 && memcmp(letters + len - 10, "expression", 10) == 0) ||
            (len >= 10 && memcmp(letters + len - 10, "mozbinding", 10) == 0))
            return UNSAFE;
    }
    return text;
}

static bool append_script(struct template_call *call, const struct html_state *s,
                          struct buffer *out, const struct template_value *v, struct view text)
{
    if (s->js_quote == '/' || s->js_quote == '*')
        return true; /* nothing in comments */
    if (s->js_quote) {
        append_js_text(out, text);
        return true;
    }
    /* As in Go, what has a text of its own is that text; a time is so in JSON too. */
    struct template_value shown = template_string(text);
    bool as_text = v->type && v->type->text && v->type->kind != TEMPLATE_TIME;
    return append_js_value(call, out, as_text ? &shown : v);
}

/* An attribute's value: for its kind first, then for the quotes around it. */
static bool append_attr(struct template_call *call, const struct html_state *s, struct buffer *out,
                        const struct template_value *v, struct view text)
{
    struct view inner = text;
    size_t mark = scratch_begin(call);
    bool is_html = v->type == &TEMPLATE_TYPE_HTML && s->attr == HTML_ATTR_PLAIN;
    if (s->attr == HTML_ATTR_URL)
        append_url_value(&call->scratch, s, text, v->type == &TEMPLATE_TYPE_URL);
    else if (s->attr == HTML_ATTR_SCRIPT && !append_script(call, s, &call->scratch, v, text))
        return false;
    else if (s->attr == HTML_ATTR_STYLE)
        buffer_append_view(&call->scratch, css_value(text));
    else if (is_html)
        append_without_tags(&call->scratch, text);
    if ((s->attr != HTML_ATTR_PLAIN || is_html) && !scratch_take(call, mark, &inner))
        return false;
    if (s->delimiter)
        append_html(out, inner, is_html);
    else
        append_html_no_space(out, inner);
    return true;
}

/* The name of an attribute: only one that runs nothing. */
static void append_name(struct buffer *out, struct view text)
{
    bool safe = text.len > 0 && attr_kind(text) == HTML_ATTR_PLAIN;
    for (size_t i = 0; i < text.len; i++)
        safe &= is_letter(text.ptr[i]) || (text.ptr[i] >= '0' && text.ptr[i] <= '9');
    buffer_append_view(out, safe ? text : UNSAFE);
}

bool html_value(struct template_call *call, struct html_state *s, struct buffer *out,
                const struct template_value *v)
{
    struct view text = {"", 0};
    if (v->type && !template_call_text(call, v, &text))
        return false;
    if (s->place == HTML_BEFORE_VALUE)
        value_begin(s, 0);
    switch (s->place) {
    case HTML_TEXT:
        if (v->type == &TEMPLATE_TYPE_HTML)
            buffer_append_view(out, text);
        else
            append_html(out, text, false);
        return true;
    case HTML_RCDATA:
        append_html(out, text, v->type == &TEMPLATE_TYPE_HTML);
        return true;
    case HTML_COMMENT:
        return true;
    case HTML_SCRIPT:
        return append_script(call, s, out, v, text);
    case HTML_STYLE:
        buffer_append_view(out, css_value(text));
        return true;
    case HTML_VALUE:
        return append_attr(call, s, out, v, text);
    default:
        append_name(out, text);
        return true;
    }
}
