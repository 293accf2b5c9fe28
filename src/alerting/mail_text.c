/* SPDX-License-Identifier: Apache-2.0 */
/* mail_text.c: see mail_text.h. */
#include "alerting/mail_text.h"

#include "base/utf8.h"

#include <string.h>

enum {
    LINE_BYTES_MAX = 76,
    PLAIN_BYTES_MAX = 900, /* of a header on one line: 998 are allowed */
    WORD_BYTES_MAX = 75,
    ADDRESS_BYTES_MAX = 320
};

static const char HEX[] = "0123456789ABCDEF";

static bool is_control(unsigned char c)
{
    return c < 0x20 || c == 0x7f;
}

/* --- headers --- */

#define WORD_BEGIN "=?utf-8?q?"
#define WORD_END "?="

static bool is_plain(struct view text)
{
    for (size_t i = 0; i < text.len; i++)
        if ((unsigned char)text.ptr[i] >= 0x7f)
            return false;
    /* What looks like an encoded word would be decoded; words can be on several lines. */
    return text.len <= PLAIN_BYTES_MAX && (!text.len || !memmem(text.ptr, text.len, "=?", 2));
}

/* One character as it stands in an encoded word; how many bytes. */
static size_t encode(struct view c, char out[12])
{
    size_t len = 0;
    for (size_t i = 0; i < c.len; i++) {
        unsigned char b = (unsigned char)c.ptr[i];
        if (b == ' ' || is_control(b)) {
            out[len++] = '_';
        } else if (b > 0x20 && b < 0x7f && !strchr("=?_\"(),.:;<>@[\\]", b)) {
            out[len++] = (char)b;
        } else {
            out[len++] = '=';
            out[len++] = HEX[b >> 4];
            out[len++] = HEX[b & 15];
        }
    }
    return len;
}

void mail_text_header(struct buffer *out, size_t column, struct view text)
{
    if (is_plain(text)) {
        for (size_t i = 0; i < text.len; i++)
            buffer_append_byte(out, is_control((unsigned char)text.ptr[i]) ? ' ' : text.ptr[i]);
        return;
    }
    buffer_append_literal(out, WORD_BEGIN);
    column += sizeof(WORD_BEGIN) - 1;
    size_t word = sizeof(WORD_BEGIN) - 1;
    for (size_t pos = 0; pos < text.len;) {
        size_t start = pos;
        char bytes[12];
        bool is_valid = utf8_next(text, &pos) != UINT32_MAX;
        struct view c = is_valid ? view_slice(text, start, pos) : VIEW("\xef\xbf\xbd");
        size_t len = encode(c, bytes);
        if (column + len + 2 > LINE_BYTES_MAX || word + len + 2 > WORD_BYTES_MAX) {
            buffer_append_literal(out, WORD_END "\r\n " WORD_BEGIN);
            word = sizeof(WORD_BEGIN) - 1;
            column = 1 + word;
        }
        buffer_append(out, bytes, len);
        column += len;
        word += len;
    }
    buffer_append_literal(out, WORD_END);
}

/* --- quoted-printable --- */

void mail_text_quoted_printable(struct buffer *out, struct view text)
{
    size_t column = 0;
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        bool ends_line = i + 1 == text.len || text.ptr[i + 1] == '\n' ||
                         (text.ptr[i + 1] == '\r' && i + 2 < text.len && text.ptr[i + 2] == '\n');
        if (c == '\r' && i + 1 < text.len && text.ptr[i + 1] == '\n')
            continue;
        if (c == '\n') {
            buffer_append_literal(out, "\r\n");
            column = 0;
            continue;
        }
        bool plain = (c >= 0x20 && c < 0x7f && c != '=') || c == '\t';
        if ((c == ' ' || c == '\t') && ends_line)
            plain = false; /* blanks at the end of a line get lost on the way */
        size_t len = plain ? 1 : 3;
        if (column + len > LINE_BYTES_MAX - 1) {
            buffer_append_literal(out, "=\r\n");
            column = 0;
        }
        if (plain)
            buffer_append_byte(out, (char)c);
        else
            buffer_append(out, (const char[]){'=', HEX[c >> 4], HEX[c & 15]}, 3);
        column += len;
    }
}

/* --- addresses --- */

/* Reads a list of mailboxes: what stands before <...> is a name, what stands in (...) a comment, "..." may hold anything. */
struct reader {
    struct view text;
    size_t pos;
};

static bool fail(struct error *err, const char *what)
{
    return error_set(err, ERROR_EXECUTION, "mail: %s", what);
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* Skips what is no address: a quoted name; a comment, which may nest. False where it does not end. */
static bool skip_quoted(struct reader *r)
{
    for (r->pos++; r->pos < r->text.len; r->pos++) {
        if (r->text.ptr[r->pos] == '\\')
            r->pos++;
        else if (r->text.ptr[r->pos] == '"')
            return ++r->pos, true;
    }
    return false;
}

static bool skip_comment(struct reader *r)
{
    for (size_t depth = 0; r->pos < r->text.len; r->pos++) {
        char c = r->text.ptr[r->pos];
        if (c == '\\')
            r->pos++;
        else if (c == '(')
            depth++;
        else if (c == ')' && --depth == 0)
            return ++r->pos, true;
    }
    return false;
}

static bool check_address(struct view a, struct error *err)
{
    const char *at = a.len ? memrchr(a.ptr, '@', a.len) : NULL;
    if (!at || at == a.ptr || at + 1 == a.ptr + a.len)
        return fail(err, "an address like name@host was expected");
    if (a.len > ADDRESS_BYTES_MAX || !utf8_is_valid(a))
        return fail(err, "an address is too long or not UTF-8");
    for (size_t i = 0; i < a.len; i++) {
        unsigned char c = (unsigned char)a.ptr[i];
        if (c <= 0x20 || c == 0x7f || strchr("<>(),;:\\\"", c))
            return fail(err, "an address has a character that cannot be in one");
        if (c == '@' && a.ptr + i != at)
            return fail(err, "an address has more than one @");
    }
    return true;
}

static struct view trim(struct view v)
{
    while (v.len && is_blank(v.ptr[0]))
        v = view_slice(v, 1, v.len);
    while (v.len && is_blank(v.ptr[v.len - 1]))
        v.len--;
    return v;
}

static bool take(struct mail_addresses *out, struct view address, struct error *err)
{
    if (!check_address(address, err))
        return false;
    if (out->count == out->capacity)
        return fail(err, "too many addresses");
    out->items[out->count++] = address;
    return true;
}

/* Up to a comma, a semicolon or the end. */
static bool read_mailbox(struct reader *r, struct arena *arena, struct mail_addresses *out,
                         struct error *err)
{
    struct buffer bare; /* what stands outside of names and comments */
    struct view angle = {0};
    bool ok = true, has_angle = false, has_name = false;
    buffer_init(&bare, MEM_ALERTING, 64 * 1024);
    while (ok && r->pos < r->text.len && r->text.ptr[r->pos] != ',' && r->text.ptr[r->pos] != ';') {
        char c = r->text.ptr[r->pos];
        const char *close = NULL;
        if (c == '"') {
            ok = skip_quoted(r);
            has_name = true;
        } else if (c == '(') {
            ok = skip_comment(r);
        } else if (c == ':' && !has_angle) { /* "Team:" begins a group */
            bare.len = 0;
            has_name = false;
            r->pos++;
        } else if (c == '<') {
            close = memchr(r->text.ptr + r->pos, '>', r->text.len - r->pos);
            ok = close && !has_angle;
            has_angle = true;
            if (ok) {
                angle = (struct view){r->text.ptr + r->pos + 1,
                                      (size_t)(close - r->text.ptr) - r->pos - 1};
                r->pos = (size_t)(close - r->text.ptr) + 1;
            }
        } else {
            buffer_append_byte(&bare, c);
            r->pos++;
        }
    }
    struct view plain = trim(arena_copy(arena, buffer_view(&bare)));
    buffer_deinit(&bare);
    if (!ok)
        return fail(err, "a quote, comment or bracket does not end");
    if (has_angle)
        return take(out, arena_copy(arena, trim(angle)), err);
    if (plain.len == 0 && !has_name)
        return true; /* nothing between two commas */
    return take(out, plain, err);
}

bool mail_text_addresses(struct arena *arena, struct view text, struct mail_addresses *out,
                         struct error *err)
{
    struct reader r = {text, 0};
    size_t before = out->count;
    while (r.pos < text.len) {
        if (!read_mailbox(&r, arena, out, err))
            return false;
        r.pos++;
    }
    return out->count > before || fail(err, "no address");
}
