/* SPDX-License-Identifier: Apache-2.0 */
/* redaction.c: for each place of the text the longest that is secret there. The cost is the text's bytes times those of all secrets:
 * it is paid for a text of an error, a kilobyte, and not where all is well. */
#include "base/redaction.h"

#include "base/base64.h"
#include "base/buffer.h"
#include "base/hex.h"
#include "base/mem.h"
#include "base/secret.h"
#include "base/utf8.h"

#include <stdint.h>
#include <string.h>

#define ELLIPSIS "\xe2\x80\xa6" /* U+2026 */

enum {
    PART_BYTES = 8, /* chosen: fewer would find ordinary words in secrets */
    EDGE_BYTES = 4,
    WORD_BYTES_MAX = 3,
    PATH_BYTES_MIN = 8,   /* of a URL behind its host: shorter ones are words */
    PIECE_BYTES_MIN = 12, /* likewise of a piece of it that has no digit */
    DIGIT_PIECE_BYTES_MIN = 4,
    CODE_DIGITS_MAX = 8 /* of &#x00000041; */
};

enum how {
    AS_WORD, /* as a whole, and its beginning where a mark says that it was cut: it may be an ordinary word */
    AS_WHOLE,
    IN_PART
};

/* A secret may itself have what begins an escape. Then there are two readings of a text: as it stands, and decoded. */
enum verbatim {
    PERCENT_VERBATIM = 1,
    HTML_VERBATIM = 2,
    JSON_VERBATIM = 4,
    CODES_ARE_BYTES = 8 /* who took the bytes of UTF-8 for code points wrote \u00c3\u00a4 */
};

struct redaction_text {
    char *ptr;
    size_t len;
    enum how how;
    unsigned readings; /* of enum verbatim: each may hold for it or not */
};

/* The length of the first bytes that are none of `ends`. */
static size_t span_to(struct view text, const char *ends)
{
    size_t len = 0;
    while (len < text.len && (text.ptr[len] == '\0' || !strchr(ends, text.ptr[len])))
        len++;
    return len;
}

/* --- escapes --- */

/* What a text is short for at a place, as URLs, HTML or JSON write it. */
struct escape {
    unsigned char len;   /* of the text; 0: it is none */
    unsigned char count; /* of bytes: */
    char bytes[4];       /* UTF-8; of a URL one byte, whatever it is */
};

static struct escape escape_of(uint32_t code, size_t len)
{
    struct escape e = {0};
    if (code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff))
        return e;
    e.count = (unsigned char)utf8_put(code, e.bytes);
    e.len = (unsigned char)len;
    return e;
}

/* UINT32_MAX: it is none. */
static uint32_t number(struct view digits, uint32_t base)
{
    uint32_t value = 0;
    if (digits.len == 0 || digits.len > CODE_DIGITS_MAX)
        return UINT32_MAX;
    for (size_t i = 0; i < digits.len; i++) {
        uint32_t digit = hex_digit((unsigned char)digits.ptr[i]);
        if (digit >= base)
            return UINT32_MAX;
        value = value * base + digit;
    }
    return value;
}

/* %XX */
static struct escape percent_at(struct view text)
{
    uint32_t byte = text.len < 3 ? UINT32_MAX : number(view_slice(text, 1, 3), 16);
    return byte == UINT32_MAX ? (struct escape){0}
                              : (struct escape){.len = 3, .count = 1, .bytes = {(char)byte}};
}

/* &amp; &#38; &#x26; */
static struct escape html_at(struct view text)
{
    static const struct {
        const char *name;
        char means;
    } NAMES[] = {{"&amp;", '&'}, {"&lt;", '<'}, {"&gt;", '>'}, {"&quot;", '"'}, {"&apos;", '\''}};
    for (size_t i = 0; i < ARRAY_COUNT(NAMES); i++)
        if (view_has_prefix(text, view_from(NAMES[i].name)))
            return escape_of((unsigned char)NAMES[i].means, strlen(NAMES[i].name));
    if (text.len < 4 || text.ptr[1] != '#')
        return (struct escape){0};
    bool is_hex = (text.ptr[2] | 0x20) == 'x';
    size_t from = is_hex ? 3 : 2;
    struct view digits = view_slice(text, from, from + CODE_DIGITS_MAX + 1);
    size_t count = span_to(digits, ";");
    return count == digits.len ? (struct escape){0}
                               : escape_of(number(view_slice(digits, 0, count), is_hex ? 16 : 10),
                                           from + count + 1);
}

/* The code of \uXXXX. */
static uint32_t json_code(struct view text)
{
    bool is = text.len >= 6 && view_has_prefix(text, VIEW("\\u"));
    return is ? number(view_slice(text, 2, 6), 16) : UINT32_MAX;
}

/* \" \\ \/ \n \u0026 \ud83d\ude00 */
static struct escape json_at(struct view text)
{
    static const char SHORT[] = "\"\"\\\\//b\bf\fn\nr\rt\t";
    for (size_t i = 0; SHORT[i] && text.len >= 2; i += 2)
        if (SHORT[i] == text.ptr[1])
            return escape_of((unsigned char)SHORT[i + 1], 2);
    uint32_t high = json_code(text), low = json_code(view_slice(text, 6, text.len));
    bool is_pair = high >= 0xd800 && high <= 0xdbff && low >= 0xdc00 && low <= 0xdfff;
    return is_pair ? escape_of(0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00), 12)
                   : escape_of(high, 6);
}

static struct escape escape_at(struct view text)
{
    char c = text.ptr[0];
    return c == '%'    ? percent_at(text)
           : c == '&'  ? html_at(text)
           : c == '\\' ? json_at(text)
                       : (struct escape){0};
}

/* The code as one byte: 0x80 to 0xff; else 0. */
static unsigned char byte_of(const struct escape *e)
{
    unsigned char lead = (unsigned char)e->bytes[0], next = (unsigned char)e->bytes[1];
    return e->count == 2 && lead <= 0xc3 ? (unsigned char)(lead << 6 | (next & 0x3f)) : 0;
}

/* --- what is secret --- */

static unsigned reading_of(char c)
{
    return c == '%' ? PERCENT_VERBATIM : c == '&' ? HTML_VERBATIM : c == '\\' ? JSON_VERBATIM : 0;
}

static unsigned readings_of(struct view secret)
{
    unsigned readings = 0;
    for (size_t i = 0; i < secret.len; i++)
        readings |= reading_of(secret.ptr[i]) |
                    ((unsigned char)secret.ptr[i] >= 0x80 ? CODES_ARE_BYTES : 0);
    return readings;
}

static void add(struct redaction *r, struct view secret, enum how how)
{
    if (!r || secret.len == 0 || view_is(secret, SECRET_SHOWN))
        return;
    secret = view_slice(secret, 0, REDACTION_SECRET_BYTES_MAX);
    for (size_t i = 0; i < r->count; i++)
        if (view_eq((struct view){r->items[i].ptr, r->items[i].len}, secret)) {
            r->items[i].how = how > r->items[i].how ? how : r->items[i].how;
            return;
        }
    r->items = mem_grow(MEM_OTHER, r->items, &r->capacity, r->count + 1, sizeof *r->items);
    r->items[r->count++] = (struct redaction_text){.ptr = mem_copy_string(MEM_OTHER, secret),
                                                   .len = secret.len,
                                                   .how = how,
                                                   .readings = readings_of(secret)};
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
        add(r, secret, IN_PART);
}

void redaction_add_setting(struct redaction *r, struct view text)
{
    bool is_template = text.len && memmem(text.ptr, text.len, "{{", 2);
    if (is_template)
        redaction_add_whole(r, text);
    else
        redaction_add(r, text);
}

void redaction_add_whole(struct redaction *r, struct view secret)
{
    add(r, secret, AS_WHOLE);
}

static void add_base64(struct redaction *r, const struct buffer *plain)
{
    struct buffer text;
    buffer_init(&text, MEM_OTHER, 4 * (size_t)REDACTION_SECRET_BYTES_MAX);
    base64_url_encode(&text, buffer_view(plain));
    while (text.len && text.ptr[text.len - 1] == '=')
        text.len--;
    add(r, buffer_view(&text), IN_PART);
    for (size_t i = 0; i < text.len; i++) /* the other alphabet */
        text.ptr[i] = text.ptr[i] == '-' ? '+' : text.ptr[i] == '_' ? '/' : text.ptr[i];
    add(r, buffer_view(&text), IN_PART);
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
    add(r, password, IN_PART);
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
        struct escape e = {0};
        if (b->ptr[i] == '%')
            e = percent_at(view_slice(buffer_view(b), i, b->len));
        b->ptr[to++] = e.len ? e.bytes[0] : b->ptr[i];
        i += e.len ? e.len - 1U : 0;
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
            add(r, text, IN_PART);
        return;
    }
    buffer_init(&user, MEM_OTHER, REDACTION_SECRET_BYTES_MAX);
    buffer_init(&password, MEM_OTHER, REDACTION_SECRET_BYTES_MAX);
    buffer_append_view(&user, view_slice(text, 0, colon));
    buffer_append_view(&password, view_slice(text, colon + 1, text.len));
    add(r, buffer_view(&password), IN_PART);
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
        add(r, rest, AS_WHOLE);
    if (plain.len >= PATH_BYTES_MIN)
        add(r, plain, AS_WHOLE);
    bool is_value = false;
    while (rest.len) {
        size_t len = span_to(rest, "/?#&=");
        struct view piece = view_slice(rest, 0, len);
        if ((len >= DIGIT_PIECE_BYTES_MIN && has_digit(piece)) || (is_value && len >= EDGE_BYTES))
            add(r, piece, IN_PART);
        else if (len >= PIECE_BYTES_MIN)
            add(r, piece, AS_WORD);
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

struct search {
    struct view text;
    struct escape *escapes; /* at each of its bytes */
    unsigned readings;      /* those between which they are a choice */
};

static void search_init(struct search *s, struct view text)
{
    s->text = text;
    s->readings = 0;
    s->escapes = mem_alloc(MEM_OTHER, text.len * sizeof *s->escapes);
    for (size_t i = 0; i < text.len; i++) {
        s->escapes[i] = escape_at(view_slice(text, i, text.len));
        if (s->escapes[i].len)
            s->readings |=
                reading_of(text.ptr[i]) | (byte_of(&s->escapes[i]) ? CODES_ARE_BYTES : 0);
    }
}

static void search_deinit(struct search *s)
{
    explicit_bzero(s->escapes, s->text.len * sizeof *s->escapes); /* decoded, it is as secret */
    mem_free(MEM_OTHER, s->escapes);
}

static bool is_word_byte(char c)
{
    unsigned char u = (unsigned char)c;
    return (u >= '0' && u <= '9') || ((u | 0x20) >= 'a' && (u | 0x20) <= 'z') || u == '_' ||
           u >= 0x80;
}

/* Does the text end there, or was it cut there? Also as a part of our own sentence: "TEXT" or TEXT (404). */
static bool is_end(struct view rest, bool needs_mark)
{
    bool is_marked = view_has_prefix(rest, VIEW("...")) || view_has_prefix(rest, VIEW(ELLIPSIS));
    rest = view_slice(rest, is_marked ? 3 : 0, rest.len);
    return (is_marked || !needs_mark) && (rest.len == 0 || view_has_prefix(rest, VIEW("\"")) ||
                                          view_has_prefix(rest, VIEW(" (")));
}

/* A text for one line has blanks in place of what cannot stand there. */
static bool is_blank_for(char c, unsigned char want)
{
    return (c == ' ' || c == '+') && (want <= ' ' || want >= 0x7f);
}

/* False: no reading of the text at `at` begins with it. What is asked most. */
static inline bool may_begin(const struct search *s, size_t at, unsigned char want)
{
    char c = s->text.ptr[at];
    const struct escape *e = &s->escapes[at];
    return (unsigned char)c == want || is_blank_for(c, want) ||
           (e->len && ((unsigned char)e->bytes[0] == want || byte_of(e) == want));
}

/* How many bytes of the text, from `at` on, stand for the first *taken of `want`; 0: they are others. */
static size_t step(const struct search *s, size_t at, struct view want, unsigned verbatim,
                   size_t *taken)
{
    char c = s->text.ptr[at];
    unsigned char first = (unsigned char)want.ptr[0];
    const struct escape *e = &s->escapes[at];
    *taken = 1;
    if (e->len && !(verbatim & reading_of(c))) {
        if ((verbatim & CODES_ARE_BYTES) && first >= 0x80 && byte_of(e) == first)
            return e->len;
        if (view_has_prefix(want, (struct view){e->bytes, e->count})) {
            *taken = e->count;
            return e->len;
        }
    }
    return (unsigned char)c == first || is_blank_for(c, first);
}

/* How much of the text from `at` on is the secret from its byte `from` on. */
static size_t match_from(const struct redaction_text *s, size_t from, const struct search *in,
                         size_t at, unsigned verbatim)
{
    struct view text = in->text, secret = {s->ptr, s->len};
    size_t i = from, end = at, n, taken;
    while (i < s->len && end < text.len &&
           (n = step(in, end, view_slice(secret, i, s->len), verbatim, &taken))) {
        end += n;
        i += taken;
    }
    struct view rest = view_slice(text, end, text.len);
    size_t edge = s->how == IN_PART ? EDGE_BYTES : PATH_BYTES_MIN;
    bool is_whole = from == 0 && i == s->len;
    if (is_whole && s->len <= WORD_BYTES_MAX)
        is_whole = (at == 0 || !is_word_byte(text.ptr[at - 1])) &&
                   (rest.len == 0 || !is_word_byte(rest.ptr[0]));
    return is_whole || (s->how == IN_PART && i - from >= PART_BYTES) ||
                   (from == 0 && i >= edge && is_end(rest, s->how == AS_WORD))
               ? end - at
               : 0;
}

static size_t match(const struct redaction *r, const struct search *in, size_t at)
{
    size_t longest = 0;
    for (size_t i = 0; i < r->count; i++) {
        const struct redaction_text *s = &r->items[i];
        size_t places = s->how == IN_PART && s->len > PART_BYTES ? s->len - PART_BYTES + 1 : 1;
        unsigned readings = s->readings & in->readings;
        for (size_t from = 0; from < places; from++) {
            if (!may_begin(in, at, (unsigned char)s->ptr[from]))
                continue;
            for (unsigned verbatim = readings;; verbatim = (verbatim - 1) & readings) {
                size_t len = match_from(s, from, in, at, verbatim);
                longest = len > longest ? len : longest;
                if (verbatim == 0)
                    break;
            }
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
    struct search search;
    if (r->count == 0 || in.len == 0)
        return;
    search_init(&search, in);
    buffer_init(&out, MEM_OTHER, (shown + 1) * in.len + 1);
    for (size_t at = 0, len; at < in.len; at += len) {
        len = match(r, &search, at);
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
    search_deinit(&search);
}
