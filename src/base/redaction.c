/* SPDX-License-Identifier: Apache-2.0 */
/* redaction.c: for each place of the text the longest that is secret there. The cost is the text's bytes times those of all secrets:
 * it is paid for a text of an error, a kilobyte, and not where all is well. */
#include "base/redaction.h"

#include "base/base64.h"
#include "base/buffer.h"
#include "base/mem.h"
#include "base/secret.h"

#include <stdlib.h>
#include <string.h>

enum {
    PART_BYTES = 8, /* chosen: fewer would find ordinary words in secrets */
    EDGE_BYTES = 4,
    WORD_BYTES_MAX = 3,
    PATH_BYTES_MIN = 8,   /* of a URL behind its host: shorter ones are words */
    PIECE_BYTES_MIN = 12, /* likewise of a piece of it that has no digit */
    DIGIT_PIECE_BYTES_MIN = 4,
    CODE_DIGITS_MAX = 8 /* of &#x00000041; */
};

struct redaction_text {
    char *ptr;
    size_t len;
    bool in_part;
};

/* --- what is secret --- */

static void add(struct redaction *r, struct view secret, bool in_part)
{
    if (!r || secret.len == 0 || view_is(secret, SECRET_SHOWN))
        return;
    secret = view_slice(secret, 0, REDACTION_SECRET_BYTES_MAX);
    for (size_t i = 0; i < r->count; i++)
        if (view_eq((struct view){r->items[i].ptr, r->items[i].len}, secret)) {
            r->items[i].in_part |= in_part;
            return;
        }
    r->items = mem_grow(MEM_OTHER, r->items, &r->capacity, r->count + 1, sizeof *r->items);
    r->items[r->count++] = (struct redaction_text){
        .ptr = mem_copy_string(MEM_OTHER, secret), .len = secret.len, .in_part = in_part};
}

static bool is_url(struct view text)
{
    return view_has_prefix(text, VIEW("http://")) || view_has_prefix(text, VIEW("https://"));
}

void redaction_add(struct redaction *r, struct view secret)
{
    if (is_url(secret))
        redaction_add_url(r, secret);
    else
        add(r, secret, true);
}

void redaction_add_whole(struct redaction *r, struct view secret)
{
    add(r, secret, false);
}

static void add_base64(struct redaction *r, const struct buffer *plain)
{
    struct buffer text;
    buffer_init(&text, MEM_OTHER, 4 * (size_t)REDACTION_SECRET_BYTES_MAX);
    base64_url_encode(&text, buffer_view(plain));
    while (text.len && text.ptr[text.len - 1] == '=')
        text.len--;
    add(r, buffer_view(&text), true);
    for (size_t i = 0; i < text.len; i++) /* the other alphabet */
        text.ptr[i] = text.ptr[i] == '-' ? '+' : text.ptr[i] == '_' ? '/' : text.ptr[i];
    add(r, buffer_view(&text), true);
    if (text.ptr)
        explicit_bzero(text.ptr, text.len);
    buffer_deinit(&text);
}

void redaction_add_credentials(struct redaction *r, struct view user, struct view password)
{
    struct buffer plain;
    if (!r || password.len == 0)
        return;
    user = view_slice(user, 0, REDACTION_SECRET_BYTES_MAX);
    password = view_slice(password, 0, REDACTION_SECRET_BYTES_MAX);
    add(r, password, true);
    buffer_init(&plain, MEM_OTHER, 3 * (size_t)REDACTION_SECRET_BYTES_MAX);
    buffer_append_view(&plain, password); /* LOGIN */
    add_base64(r, &plain);
    buffer_reset(&plain);
    buffer_append_byte(&plain, '\0'); /* PLAIN */
    buffer_append_view(&plain, user);
    buffer_append_byte(&plain, '\0');
    buffer_append_view(&plain, password);
    add_base64(r, &plain);
    buffer_reset(&plain);
    buffer_append_view(&plain, user);
    buffer_append_byte(&plain, ':');
    buffer_append_view(&plain, password);
    add_base64(r, &plain);
    explicit_bzero(plain.ptr, plain.len);
    buffer_deinit(&plain);
}

/* The length of the first bytes that are none of `ends`. */
static size_t span_to(struct view text, const char *ends)
{
    size_t len = 0;
    while (len < text.len && (text.ptr[len] == '\0' || !strchr(ends, text.ptr[len])))
        len++;
    return len;
}

static struct view after_scheme(struct view url)
{
    const char *slashes = url.len ? memmem(url.ptr, url.len, "://", 3) : NULL;
    return slashes ? view_slice(url, (size_t)(slashes - url.ptr) + 3, url.len) : VIEW("");
}

/* What %XX stands for; in place of what is there. */
static void unescape(struct buffer *b)
{
    size_t to = 0;
    for (size_t i = 0; i < b->len; i++) {
        char hex[3] = {0}, *end = hex;
        if (b->ptr[i] == '%' && i + 2 < b->len)
            memcpy(hex, b->ptr + i + 1, 2);
        long code = strtol(hex, &end, 16);
        bool is_code = end == hex + 2;
        b->ptr[to++] = is_code ? (char)code : b->ptr[i];
        i += is_code ? 2 : 0;
    }
    b->len = to;
}

/* USER:PASSWORD as it stands in a URL. */
static void add_userinfo(struct redaction *r, struct view text)
{
    size_t colon = span_to(text, ":");
    struct buffer user, password;
    if (colon == text.len) { /* a token in place of the user */
        if (text.len >= EDGE_BYTES)
            add(r, text, true);
        return;
    }
    buffer_init(&user, MEM_OTHER, REDACTION_SECRET_BYTES_MAX);
    buffer_init(&password, MEM_OTHER, REDACTION_SECRET_BYTES_MAX);
    buffer_append_view(&user, view_slice(text, 0, colon));
    buffer_append_view(&password, view_slice(text, colon + 1, text.len));
    add(r, buffer_view(&password), true);
    unescape(&user);
    unescape(&password);
    redaction_add_credentials(r, buffer_view(&user), buffer_view(&password));
    if (password.ptr)
        explicit_bzero(password.ptr, password.len);
    buffer_deinit(&user);
    buffer_deinit(&password);
}

void redaction_add_userinfo(struct redaction *r, struct view url)
{
    struct view rest = after_scheme(url);
    struct view authority = view_slice(rest, 0, span_to(rest, "/?#"));
    const char *at = authority.len ? memrchr(authority.ptr, '@', authority.len) : NULL;
    if (r && at)
        add_userinfo(r, view_slice(authority, 0, (size_t)(at - authority.ptr)));
}

static bool has_digit(struct view text)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.ptr[i] >= '0' && text.ptr[i] <= '9')
            return true;
    return false;
}

/* The whole behind the host, that without the query, values of the query, and pieces that are no word of an API. */
void redaction_add_url(struct redaction *r, struct view url)
{
    struct view rest = after_scheme(url);
    if (!r)
        return;
    redaction_add_userinfo(r, url);
    rest = view_slice(rest, span_to(rest, "/?#"), rest.len);
    struct view plain = view_slice(rest, 0, span_to(rest, "?#"));
    if (rest.len >= PATH_BYTES_MIN)
        add(r, rest, false);
    if (plain.len >= PATH_BYTES_MIN)
        add(r, plain, false);
    bool is_value = false;
    while (rest.len) {
        size_t len = span_to(rest, "/?#&=");
        struct view piece = view_slice(rest, 0, len);
        if (len >= PIECE_BYTES_MIN || (len >= DIGIT_PIECE_BYTES_MIN && has_digit(piece)) ||
            (is_value && len >= EDGE_BYTES))
            add(r, piece, true);
        is_value = len < rest.len && rest.ptr[len] == '=';
        rest = view_slice(rest, len + 1, rest.len);
    }
}

void redaction_clear(struct redaction *r)
{
    for (size_t i = 0; i < r->count; i++) {
        explicit_bzero(r->items[i].ptr, r->items[i].len);
        mem_free(MEM_OTHER, r->items[i].ptr);
    }
    mem_free(MEM_OTHER, r->items);
    *r = (struct redaction){0};
}

/* --- where it is --- */

/* The byte that `digits` of `text` stand for in `base`; -1: none. */
static int code_of(struct view text, size_t digits, int base)
{
    char number[CODE_DIGITS_MAX + 1] = "", *end;
    if (digits == 0 || digits > CODE_DIGITS_MAX || digits > text.len)
        return -1;
    memcpy(number, text.ptr, digits);
    unsigned long code = strtoul(number, &end, base);
    return end == number + digits && code <= 0xff && !strchr("+- \t", number[0]) ? (int)code : -1;
}

/* &amp; &#38; &#x26; */
static size_t html_for(struct view text, unsigned char want)
{
    static const struct {
        const char *name;
        unsigned char means;
    } NAMES[] = {{"&amp;", '&'}, {"&lt;", '<'}, {"&gt;", '>'}, {"&quot;", '"'}, {"&apos;", '\''}};
    for (size_t i = 0; i < ARRAY_COUNT(NAMES); i++)
        if (NAMES[i].means == want && view_has_prefix(text, view_from(NAMES[i].name)))
            return strlen(NAMES[i].name);
    if (text.len < 4 || text.ptr[1] != '#')
        return 0;
    size_t hex = (text.ptr[2] | 0x20) == 'x', from = 2 + hex;
    struct view digits = view_slice(text, from, text.len);
    size_t count = span_to(digits, ";");
    return count < digits.len && code_of(digits, count, hex ? 16 : 10) == want ? from + count + 1
                                                                               : 0;
}

/* \" \\ \/ \n \u0026 */
static size_t json_for(struct view text, unsigned char want)
{
    static const char SHORT[] = "\"\"\\\\//n\nr\rt\t";
    if (text.len < 2)
        return 0;
    if (text.ptr[1] == 'u')
        return code_of(view_slice(text, 2, text.len), 4, 16) == want ? 6 : 0;
    for (size_t i = 0; SHORT[i]; i += 2)
        if (SHORT[i] == text.ptr[1] && (unsigned char)SHORT[i + 1] == want)
            return 2;
    return 0;
}

/* How many bytes of the text, from its first on, stand for one byte of a secret; 0: they are another. */
static size_t stands_for(struct view text, unsigned char want)
{
    unsigned char c = (unsigned char)text.ptr[0];
    size_t len = 0;
    if (c == '%')
        len = code_of(view_slice(text, 1, text.len), 2, 16) == want ? 3 : 0;
    else if (c == '&')
        len = html_for(text, want);
    else if (c == '\\')
        len = json_for(text, want);
    if (len)
        return len;
    /* A text for one line has blanks in place of what cannot stand there. */
    bool is_blank = (c == ' ' || c == '+') && (want <= ' ' || want >= 0x7f);
    return c == want || is_blank;
}

static bool is_word_byte(char c)
{
    unsigned char u = (unsigned char)c;
    return (u >= '0' && u <= '9') || ((u | 0x20) >= 'a' && (u | 0x20) <= 'z') || u == '_' ||
           u >= 0x80;
}

/* Does the text end there, or was it cut there? */
static bool is_end(struct view rest)
{
    return rest.len == 0 || view_is(rest, "...") || view_is(rest, "\xe2\x80\xa6");
}

/* How much of text[at..] is the secret from its byte `from` on. */
static size_t match_from(const struct redaction_text *s, size_t from, struct view text, size_t at)
{
    size_t i = from, end = at, n;
    while (i < s->len && end < text.len &&
           (n = stands_for(view_slice(text, end, text.len), (unsigned char)s->ptr[i]))) {
        end += n;
        i++;
    }
    struct view rest = view_slice(text, end, text.len);
    size_t edge = s->in_part ? EDGE_BYTES : PATH_BYTES_MIN;
    bool is_whole = from == 0 && i == s->len;
    if (is_whole && s->len <= WORD_BYTES_MAX)
        is_whole = (at == 0 || !is_word_byte(text.ptr[at - 1])) &&
                   (rest.len == 0 || !is_word_byte(rest.ptr[0]));
    return is_whole || (s->in_part && i - from >= PART_BYTES) ||
                   (from == 0 && i >= edge && is_end(rest))
               ? end - at
               : 0;
}

static size_t match(const struct redaction *r, struct view text, size_t at)
{
    size_t longest = 0;
    for (size_t i = 0; i < r->count; i++) {
        const struct redaction_text *s = &r->items[i];
        size_t places = s->in_part && s->len > PART_BYTES ? s->len - PART_BYTES + 1 : 1;
        for (size_t from = 0; from < places; from++) {
            size_t len = match_from(s, from, text, at);
            longest = len > longest ? len : longest;
        }
    }
    return longest;
}

static bool is_inside(char c)
{
    return ((unsigned char)c & 0xC0) == 0x80; /* of a UTF-8 sequence */
}

void redaction_apply(const struct redaction *r, char *text, size_t bytes)
{
    const size_t shown = sizeof(SECRET_SHOWN) - 1;
    struct view in = view_from(text);
    struct buffer out;
    if (r->count == 0 || in.len == 0)
        return;
    buffer_init(&out, MEM_OTHER, (shown + 1) * in.len + 1);
    for (size_t at = 0, len; at < in.len; at += len) {
        len = match(r, in, at);
        if (len == 0) {
            buffer_append_byte(&out, in.ptr[at]);
            len = 1;
            continue;
        }
        if (is_inside(in.ptr[at])) /* no half of a character is left */
            while (out.len && ((unsigned char)out.ptr[out.len - 1] & 0x80)) {
                bool is_first = !is_inside(out.ptr[--out.len]);
                if (is_first)
                    break;
            }
        while (at + len < in.len && is_inside(in.ptr[at + len]))
            len++;
        if (!view_has_suffix(buffer_view(&out), VIEW(SECRET_SHOWN)))
            buffer_append_literal(&out, SECRET_SHOWN);
    }
    size_t kept = out.len < bytes ? out.len : bytes - 1;
    while (kept && kept < out.len && is_inside(out.ptr[kept]))
        kept--;
    memcpy(text, out.ptr, kept);
    text[kept] = '\0';
    explicit_bzero(out.ptr, out.len);
    buffer_deinit(&out);
}
