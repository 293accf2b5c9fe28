/* SPDX-License-Identifier: Apache-2.0 */
/* line.c: see line.h.
 *
 * A string is written in runs: bytes that stand for themselves are copied together. Secrets inside of text are found first, as
 * spans that "***" stands for: in each URL what is before '@' in its authority and what is behind '?' or '#', and the word
 * behind "Bearer " when it looks like a token. Finding them is linear in the text, whatever is in it: the end and the query of a
 * URL are looked for once, and each nested "://" looks at its own authority only. */
#include "instrument/line.h"

#include "base/attributes.h"
#include "instrument/text.h"

#include <math.h>
#include <string.h>
#include <strings.h>

void belfry__line_put(struct line *l, const char *bytes, size_t len)
{
    if (len > sizeof l->text - LINE_TAIL_BYTES - l->len) {
        l->full = true;
        return;
    }
    memcpy(l->text + l->len, bytes, len);
    l->len += len;
}

static void put_text(struct line *l, const char *text)
{
    belfry__line_put(l, text, strlen(text));
}

void belfry__line_put_unsigned(struct line *l, uint64_t v)
{
    char digits[20];
    size_t at = sizeof digits;
    do {
        digits[--at] = (char)('0' + v % 10);
        v /= 10;
    } while (v);
    belfry__line_put(l, digits + at, sizeof digits - at);
}

void belfry__line_put_double(struct line *l, double v)
{
    if (!isfinite(v)) {
        put_text(l, "null");
        return;
    }
    char room[NUMBER_TEXT_BYTES + 1];
    struct text number = {room, 0, sizeof room, false}; /* large enough: it never grows */
    belfry__text_double(&number, v);
    belfry__line_put(l, number.ptr, number.len);
}

/* --- what is secret --- */

bool belfry__key_is_secret(const char *key)
{
    static const char *const WORDS[] = {
        "password",   "passwd",    "passphrase", "private_key", "private-key", "secret",
        "signature",  "token",     "api_key",    "apikey",      "api-key",     "authorization",
        "access_key", "accesskey", "access-key", "cookie",      "credential"};
    for (const char *p = key; *p; p++) {
        char first = (char)(*p | 0x20);
        if (first != 'p' && first != 's' && first != 't' && first != 'a' && first != 'c')
            continue;
        for (size_t i = 0; i < ARRAY_COUNT(WORDS); i++) {
            if (WORDS[i][0] == first && strncasecmp(p, WORDS[i], strlen(WORDS[i])) == 0)
                return true;
        }
    }
    return false;
}

/* Bytes [from, to) of a text that "***" stands for. */
struct span_masked {
    size_t from, to;
};

struct mask_scan {
    const char *text;
    size_t len;
    size_t colon;          /* where the next "://" is looked for; len when there is none */
    size_t blank;          /* where the next "Bearer " is looked for, the same */
    size_t url_end, query; /* of the URL that was found last; query == url_end: it has none */
    struct span_masked next_bearer; /* from == len: none */
};

static bool ends_url(char c)
{
    return (unsigned char)c <= ' ' || c == '"' || c == '<' || c == '>' || c == '`';
}

/* The end of the URL at `from`, and where its query or fragment begins. */
static void find_url_end(struct mask_scan *s, size_t from)
{
    size_t end = from, query = SIZE_MAX;
    for (; end < s->len && !ends_url(s->text[end]); end++) {
        if (query == SIZE_MAX && (s->text[end] == '?' || s->text[end] == '#'))
            query = end + 1;
    }
    s->url_end = end;
    s->query = query < end ? query : end;
}

/* The next span of a URL from s->colon on; from == len: none. */
static struct span_masked next_in_url(struct mask_scan *s)
{
    while (s->colon < s->len) {
        const char *found = memchr(s->text + s->colon, ':', s->len - s->colon);
        size_t c = found ? (size_t)(found - s->text) : s->len;
        if (s->query < s->url_end && c >= s->query) { /* all nested ones are behind us */
            struct span_masked query = {s->query, s->url_end};
            s->colon = s->query = s->url_end;
            return query;
        }
        if (!found)
            break;
        s->colon = c + 1;
        if (s->len - c < 4 || found[1] != '/' || found[2] != '/')
            continue;
        size_t start = c + 3;
        if (start > s->url_end)
            find_url_end(s, start);
        size_t stop = s->query < s->url_end ? s->query - 1 : s->url_end, at = start;
        for (size_t i = start; i < stop && s->text[i] != '/'; i++) {
            if (s->text[i] == '@')
                at = i;
        }
        if (at > start)
            return (struct span_masked){start, at};
    }
    s->colon = s->len;
    return (struct span_masked){s->len, s->len};
}

static bool is_token_byte(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c && strchr("-._~+/=", c));
}

/* "Bearer " and at least 16 bytes of a token, one of them a digit: prose is left alone. */
static struct span_masked next_bearer(struct mask_scan *s)
{
    while (s->blank < s->len) {
        const char *found = memchr(s->text + s->blank, ' ', s->len - s->blank);
        if (!found)
            break;
        size_t from = (size_t)(found - s->text) + 1, to = from;
        s->blank = from;
        if (from < 7 || strncasecmp(found - 6, "bearer", 6) != 0)
            continue;
        bool has_digit = false;
        for (; to < s->len && is_token_byte(s->text[to]); to++)
            has_digit = has_digit || (s->text[to] >= '0' && s->text[to] <= '9');
        s->blank = to;
        if (to - from >= 16 && has_digit)
            return (struct span_masked){from, to};
    }
    s->blank = s->len;
    return (struct span_masked){s->len, s->len};
}

/* The next span that ends behind `pos`; from == len: none. */
static struct span_masked next_masked(struct mask_scan *s, struct span_masked *in_url, size_t pos)
{
    while (in_url->from < s->len && in_url->to <= pos)
        *in_url = next_in_url(s);
    while (s->next_bearer.from < s->len && s->next_bearer.to <= pos)
        s->next_bearer = next_bearer(s);
    return in_url->from <= s->next_bearer.from ? *in_url : s->next_bearer;
}

/* --- strings --- */

/* Writes what is not a plain byte at p and returns how many bytes that was. */
static NOINLINE size_t put_special(struct line *l, const unsigned char *p, size_t left)
{
    static const char HEX[] = "0123456789abcdef";
    size_t n = belfry__utf8_len((const char *)p, left);
    if (n == 0) {
        belfry__line_put(l, "\xef\xbf\xbd", 3);
        return 1;
    }
    unsigned code =
        n == 2 && p[0] == 0xc2 ? p[1] : p[0]; /* to U+00BF; C1 controls are escaped too */
    if (n > 2 || (n == 2 && (p[0] != 0xc2 || code >= 0xa0))) {
        belfry__line_put(l, (const char *)p, n);
        return n;
    }
    char escaped[6] = {'\\', (char)code, '0', '0', HEX[code >> 4], HEX[code & 15]};
    size_t len = 2;
    switch (code) {
    case '"':
    case '\\':
        break;
    case '\n':
        escaped[1] = 'n';
        break;
    case '\r':
        escaped[1] = 'r';
        break;
    case '\t':
        escaped[1] = 't';
        break;
    default:
        escaped[1] = 'u';
        len = 6;
    }
    belfry__line_put(l, escaped, len);
    return n;
}

/* Bytes [from, to) of text; a character that is cut by `to` is left out when it is whole before `len`. */
static void put_escaped(struct line *l, const char *text, size_t from, size_t to, size_t len)
{
    const unsigned char *p = (const unsigned char *)text;
    while (from < to && !l->full) {
        size_t run = from;
        while (run < to && p[run] >= 0x20 && p[run] < 0x7f && p[run] != '"' && p[run] != '\\')
            run++;
        belfry__line_put(l, text + from, run - from);
        from = run;
        if (from == to)
            return;
        size_t n = belfry__utf8_len(text + from, len - from);
        if (n > to - from)
            return;
        from += put_special(l, p + from, len - from);
    }
}

/* logfmt quotes only what needs it. */
static bool is_bare_word(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c <= ' ' || c == '"' || c == '=' || c == '\\' || c >= 0x7f)
            return false;
    }
    return len > 0 && len <= BELFRY_LOG_STRING_BYTES_MAX;
}

static void put_masked(struct line *l, const char *text, size_t max, size_t len)
{
    struct mask_scan scan = {.text = text, .len = len};
    struct span_masked in_url = next_in_url(&scan);
    scan.next_bearer = next_bearer(&scan);
    for (size_t pos = 0; pos < max && !l->full;) {
        struct span_masked m = next_masked(&scan, &in_url, pos);
        if (m.from > pos)
            put_escaped(l, text, pos, m.from < max ? m.from : max, len);
        if (m.from >= max)
            return;
        belfry__line_put(l, "***", 3);
        pos = m.to;
    }
}

void belfry__line_put_string(struct line *l, belfry_log_format format, const char *text, size_t len,
                             bool mask_secrets)
{
    bool quote = format == BELFRY_LOG_JSON || !is_bare_word(text, len);
    size_t max = len < BELFRY_LOG_STRING_BYTES_MAX ? len : BELFRY_LOG_STRING_BYTES_MAX;
    if (quote)
        belfry__line_put(l, "\"", 1);
    if (mask_secrets && len >= 4 &&
        (memchr(text, ':', len) || (len > 22 && memchr(text, ' ', len))))
        put_masked(l, text, max, len);
    else
        put_escaped(l, text, 0, max, len);
    if (max < len)
        belfry__line_put(l, "...", 3);
    if (quote)
        belfry__line_put(l, "\"", 1);
}

/* --- fields --- */

static bool is_key_byte(unsigned char c)
{
    return c > ' ' && c < 0x7f && c != '"' && c != '\\' && c != '=';
}

void belfry__line_put_key(struct line *l, belfry_log_format format, const char *key)
{
    size_t len = 0;
    bool clean = true;
    for (; key[len]; len++)
        clean = clean && is_key_byte((unsigned char)key[len]);
    if (format == BELFRY_LOG_JSON && l->len && l->text[l->len - 1] != '{')
        belfry__line_put(l, ",\"", 2);
    else if (format == BELFRY_LOG_JSON)
        belfry__line_put(l, "\"", 1);
    else if (l->len)
        belfry__line_put(l, " ", 1);
    if (clean) {
        belfry__line_put(l, key, len);
    } else {
        for (size_t i = 0; i < len; i++)
            belfry__line_put(l, is_key_byte((unsigned char)key[i]) ? key + i : "_", 1);
    }
    if (format == BELFRY_LOG_JSON)
        belfry__line_put(l, "\":", 2);
    else
        belfry__line_put(l, "=", 1);
}

void belfry__line_put_value(struct line *l, belfry_log_format format, const belfry_field *f)
{
    switch (f->type) {
    case BELFRY_FIELD_STRING:
        if (UNLIKELY(belfry__key_is_secret(f->key)))
            belfry__line_put_string(l, format, "***", 3, false);
        else
            belfry__line_put_string(l, format, f->value.string, f->len, true);
        return;
    case BELFRY_FIELD_CLEAR:
        belfry__line_put_string(l, format, f->value.string, f->len, false);
        return;
    case BELFRY_FIELD_SECRET:
        belfry__line_put_string(l, format, "***", 3, false);
        return;
    case BELFRY_FIELD_INT:
        if (f->value.integer < 0)
            belfry__line_put(l, "-", 1);
        belfry__line_put_unsigned(l, f->value.integer < 0 ? 0 - (uint64_t)f->value.integer
                                                          : (uint64_t)f->value.integer);
        return;
    case BELFRY_FIELD_UINT:
        belfry__line_put_unsigned(l, f->value.unsigned_integer);
        return;
    case BELFRY_FIELD_DOUBLE:
        belfry__line_put_double(l, f->value.number);
        return;
    case BELFRY_FIELD_BOOL:
        put_text(l, f->value.boolean ? "true" : "false");
        return;
    case BELFRY_FIELD_NULL:
    default:
        put_text(l, "null");
        return;
    }
}
