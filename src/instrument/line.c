/* SPDX-License-Identifier: Apache-2.0 */
/* line.c: see line.h.
 *
 * A string is written in runs: bytes that stand for themselves are copied together. Secrets inside of text are found first, as
 * spans that "***" stands for: in each URL what is before '@' in its authority and what is behind '?' or '#', and the word
 * behind "Bearer " when it looks like a token. Finding them is linear in the text, whatever is in it: the end and the query of a
 * URL are looked for once, and each nested "://" looks at its own authority only. */
#include "instrument/line.h"

#include "instrument/text.h"

#include <math.h>
#include <string.h>
#include <strings.h>

static void put_text(struct line *l, const char *text)
{
    line_put(l, text, strlen(text));
}

void belfry__line_put_unsigned(struct line *l, uint64_t v)
{
    char digits[20];
    size_t at = sizeof digits;
    do {
        digits[--at] = (char)('0' + v % 10);
        v /= 10;
    } while (v);
    line_put(l, digits + at, sizeof digits - at);
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
    line_put(l, number.ptr, number.len);
}

/* --- bytes that stand for themselves --- */

static bool is_plain_byte(unsigned char c)
{
    return c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
}

/* High bits where one of 8 bytes is below 0x20, 0x7f and above, '"' or '\\'; 0 when none is. */
static uint64_t find_special(uint64_t x)
{
    const uint64_t ones = UINT64_C(0x0101010101010101);
    uint64_t quote = x ^ ones * '"', backslash = x ^ ones * '\\', rubout = x ^ ones * 0x7f;
    uint64_t control = (x - ones * 0x20) & ~x;
    return (control | (quote - ones) | (backslash - ones) | (rubout - ones) | x) & ones << 7;
}

/* The same for a blank and '='. */
static uint64_t find_separator(uint64_t x)
{
    const uint64_t ones = UINT64_C(0x0101010101010101);
    return (((x ^ ones * ' ') - ones) | ((x ^ ones * '=') - ones)) & ones << 7;
}

static uint64_t load(const unsigned char *p, size_t bytes)
{
    uint64_t x = 0;
    memcpy(&x, p, bytes);
    return x;
}

/* Fewer than 8 bytes, some of them twice; plain ones for none. */
static uint64_t load_short(const unsigned char *p, size_t len)
{
    if (len >= 4)
        return load(p, 4) | load(p + len - 4, 4) << 32;
    if (len >= 2)
        return load(p, 2) * UINT64_C(0x100010001) | load(p + len - 2, 2) << 48;
    return UINT64_C(0x0101010101010101) * (len ? *p : 'x');
}

/* Is no byte special, nor, in a key, a separator? Of x without high bits, y - 1 has one only where y is 0 or behind that. */
static bool is_plain(const unsigned char *p, size_t len, bool is_key)
{
    uint64_t last = len < 8 ? load_short(p, len) : load(p + len - 8, 8);
    uint64_t found = find_special(last) | (is_key ? find_separator(last) : 0);
    for (size_t i = 0; i + 8 < len; i += 8) {
        uint64_t x = load(p + i, 8);
        found |= find_special(x) | (is_key ? find_separator(x) : 0);
    }
    return found == 0;
}

/* --- what is secret --- */

/* The words of keys that hold secrets, by their first two letters. */
static const char *const *words_from(char first, char second)
{
    static const char *const PA[] = {"password", "passwd", "passphrase", NULL};
    static const char *const PR[] = {"private_key", "private-key", NULL};
    static const char *const SE[] = {"secret", NULL};
    static const char *const SI[] = {"signature", NULL};
    static const char *const TO[] = {"token", NULL};
    static const char *const AP[] = {"api_key", "apikey", "api-key", NULL};
    static const char *const AU[] = {"authorization", NULL};
    static const char *const AC[] = {"access_key", "accesskey", "access-key", NULL};
    static const char *const CO[] = {"cookie", NULL};
    static const char *const CR[] = {"credential", NULL};
    switch (first << 8 | second) {
    case 'p' << 8 | 'a':
        return PA;
    case 'p' << 8 | 'r':
        return PR;
    case 's' << 8 | 'e':
        return SE;
    case 's' << 8 | 'i':
        return SI;
    case 't' << 8 | 'o':
        return TO;
    case 'a' << 8 | 'p':
        return AP;
    case 'a' << 8 | 'u':
        return AU;
    case 'a' << 8 | 'c':
        return AC;
    case 'c' << 8 | 'o':
        return CO;
    case 'c' << 8 | 'r':
        return CR;
    default:
        return NULL;
    }
}

bool belfry__key_is_secret(const char *key)
{
    static const uint32_t FIRST = 1u << ('p' & 31) | 1u << ('s' & 31) | 1u << ('t' & 31) |
                                  1u << ('a' & 31) | 1u << ('c' & 31);
    for (const char *p = key; *p; p++) {
        if (!(FIRST >> (*p & 31) & 1)) /* most bytes end here; others look like letters too */
            continue;
        const char *const *words = words_from((char)(*p | 0x20), (char)(p[1] | 0x20));
        for (; words && *words; words++) {
            if (strncasecmp(p, *words, strlen(*words)) == 0)
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

/* Letters, digits and what stands between them in paths: neither the end nor a query. */
static bool is_path_byte(char c)
{
    return ((unsigned char)c > '`') || (c >= '-' && c <= ':') || (c >= 'A' && c <= '_');
}

/* The end of the URL at `from`, and where its query or fragment begins. */
static void find_url_end(struct mask_scan *s, size_t from)
{
    size_t end = from, query = SIZE_MAX;
    for (; end < s->len && (is_path_byte(s->text[end]) || !ends_url(s->text[end])); end++) {
        if (!is_path_byte(s->text[end]) && query == SIZE_MAX &&
            (s->text[end] == '?' || s->text[end] == '#'))
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
        line_put(l, "\xef\xbf\xbd", 3);
        return 1;
    }
    unsigned code =
        n == 2 && p[0] == 0xc2 ? p[1] : p[0]; /* to U+00BF; C1 controls are escaped too */
    if (n > 2 || (n == 2 && (p[0] != 0xc2 || code >= 0xa0))) {
        line_put(l, (const char *)p, n);
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
    line_put(l, escaped, len);
    return n;
}

/* Bytes [from, to) of text; a character that is cut by `to` is left out when it is whole before `len`. */
static void put_escaped(struct line *l, const char *text, size_t from, size_t to, size_t len)
{
    const unsigned char *p = (const unsigned char *)text;
    if (LIKELY(is_plain(p + from, to - from, false))) {
        line_put(l, text + from, to - from);
        return;
    }
    while (from < to && !l->full) {
        size_t run = from;
        while (run < to && is_plain_byte(p[run]))
            run++;
        line_put(l, text + from, run - from);
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
        line_put(l, "***", 3);
        pos = m.to;
    }
}

void belfry__line_put_string(struct line *l, belfry_log_format format, const char *text, size_t len,
                             bool mask_secrets)
{
    bool quote = format == BELFRY_LOG_JSON || !is_bare_word(text, len);
    size_t max = len < BELFRY_LOG_STRING_BYTES_MAX ? len : BELFRY_LOG_STRING_BYTES_MAX;
    if (quote)
        line_put(l, "\"", 1);
    if (mask_secrets && len >= 4 &&
        (memchr(text, ':', len) || (len > 22 && memchr(text, ' ', len))))
        put_masked(l, text, max, len);
    else
        put_escaped(l, text, 0, max, len);
    if (max < len)
        line_put(l, "...", 3);
    if (quote)
        line_put(l, "\"", 1);
}

/* --- fields --- */

static NOINLINE void put_cleaned(struct line *l, const char *key)
{
    for (; *key; key++)
        line_put(l, is_plain((const unsigned char *)key, 1, true) ? key : "_", 1);
}

void belfry__line_put_key(struct line *l, belfry_log_format format, const char *key)
{
    size_t len = strlen(key);
    if (format == BELFRY_LOG_JSON && l->len && l->text[l->len - 1] != '{')
        line_put(l, ",\"", 2);
    else if (format == BELFRY_LOG_JSON)
        line_put(l, "\"", 1);
    else if (l->len)
        line_put(l, " ", 1);
    if (LIKELY(is_plain((const unsigned char *)key, len, true)))
        line_put(l, key, len);
    else
        put_cleaned(l, key);
    if (format == BELFRY_LOG_JSON)
        line_put(l, "\":", 2);
    else
        line_put(l, "=", 1);
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
            line_put(l, "-", 1);
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
