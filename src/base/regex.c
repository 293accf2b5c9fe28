/* SPDX-License-Identifier: Apache-2.0 */
/* regex.c: decides most patterns by comparing bytes, and gives the rest to RE2.
 *
 * A pattern is simple when it is one of
 *     literals   a | a|b|c | x(a|b)y | x(?:a|b)       at most LITERAL_COUNT_MAX after multiplying out
 *     pieces     literals with .* and .+ between      foo.* .*foo .*foo.* foo.+bar .+
 * where a literal is bytes without meaning, or escaped punctuation. The whole may stand in one group,
 * whose value in an expansion is then the whole text: the default of relabelling, (.*), never meets
 * RE2. Groups elsewhere need RE2 for expansions, but not for matching.
 *
 * Pieces are found from the left, each at its first place: with only "any text" between them an
 * earlier place never makes a later piece impossible. The last piece is compared at the end.
 *
 * Label values are valid UTF-8. On other bytes '.' means any byte here and in Go, and none in RE2. */
#include "base/regex.h"

#include "base/assert.h"
#include "base/mem.h"
#include "base/regex_bridge.h"
#include "base/utf8.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum {
    LITERAL_COUNT_MAX = 4096,       /* chosen, not measured */
    LITERAL_BYTES_MAX = 256 * 1024, /* of all literals of one pattern */
    PIECE_COUNT_MAX = 8,
    PREFIX_BYTES_MAX = 64,
    SHOWN_BYTES_MAX = 200, /* of a wrong pattern in a message */
};

enum regex_kind { KIND_LITERALS, KIND_PIECES, KIND_RE2 };

/* Literal text, and what stands before it. */
struct piece {
    struct view text;
    bool is_free;         /* any text before it; else it follows at once */
    size_t gap_bytes_min; /* 1 when it is .+, else 0 */
};

struct regex {
    enum regex_kind kind;
    size_t group_count; /* of KIND_LITERALS and KIND_PIECES: 0, or 1 = the whole text */
    struct view pattern;
    struct view prefix;

    struct view *literals; /* sorted, distinct */
    size_t literal_count, literal_capacity;

    struct piece pieces[PIECE_COUNT_MAX]; /* then .* or .+ at the end if tail_is_free */
    size_t piece_count;
    bool tail_is_free;
    size_t tail_bytes_min;

    struct re2_program *program; /* NULL when nothing needs it */
    char *bytes;                 /* where literal texts lie */
    size_t bytes_len, bytes_capacity;
};

struct regex_search {
    struct re2_program *program;
};

/* --- reading simple patterns --- */

struct scan {
    struct view pattern;
    size_t pos;
};

static bool is_meta(char c)
{
    return c != '\0' && strchr("\\.+*?()|[]{}^$", c) != NULL;
}

static char scan_peek(const struct scan *s)
{
    return s->pos < s->pattern.len ? s->pattern.ptr[s->pos] : '\0';
}

static bool scan_at_end(const struct scan *s)
{
    return s->pos == s->pattern.len;
}

static bool is_ascii_punctuation(char c)
{
    return (c >= '!' && c <= '/') || (c >= ':' && c <= '@') || (c >= '[' && c <= '`') ||
           (c >= '{' && c <= '~');
}

/* Does a repetition follow? Then what stands before it is no plain text. */
static bool scan_is_repeated(const struct scan *s)
{
    char c = scan_peek(s);
    return !scan_at_end(s) && (c == '*' || c == '+' || c == '?' || c == '{');
}

/* One literal byte at the scan, which moves behind it. False when there is none. */
static bool scan_byte(struct scan *s, char *out)
{
    if (scan_at_end(s))
        return false;
    char c = s->pattern.ptr[s->pos];
    if (c == '\\') {
        if (s->pos + 1 >= s->pattern.len || !is_ascii_punctuation(s->pattern.ptr[s->pos + 1]))
            return false;
        c = s->pattern.ptr[s->pos + 1];
        s->pos += 2;
    } else {
        if (is_meta(c))
            return false;
        s->pos++;
    }
    *out = c;
    return true;
}

/* Literal bytes up to the first that is none. False when the last is repeated ("ab*"). */
static bool scan_literal(struct scan *s, char *out, size_t *out_len)
{
    size_t len = 0;
    while (scan_byte(s, &out[len]))
        len++;
    *out_len = len;
    return len == 0 || !scan_is_repeated(s);
}

/* --- literals --- */

static bool literal_add(struct regex *re, const char *a, size_t a_len, const char *b, size_t b_len)
{
    size_t len = a_len + b_len;
    if (re->literal_count == LITERAL_COUNT_MAX || re->bytes_len + len > LITERAL_BYTES_MAX)
        return false;
    /* Offsets in place of pointers while the bytes still move; literals_settle() turns them. */
    re->bytes = mem_grow(MEM_OTHER, re->bytes, &re->bytes_capacity, re->bytes_len + len + 1, 1);
    memcpy(re->bytes + re->bytes_len, a, a_len);
    memcpy(re->bytes + re->bytes_len + a_len, b, b_len);
    re->literals = mem_grow(MEM_OTHER, re->literals, &re->literal_capacity, re->literal_count + 1,
                            sizeof(re->literals[0]));
    re->literals[re->literal_count++] =
        (struct view){(const char *)(uintptr_t)(re->bytes_len + 1), len};
    re->bytes_len += len;
    return true;
}

/* Adds x·a·y for each alternative a of the group that the scan is in; y is read behind the group. */
static bool literals_add_product(struct regex *re, struct scan *s, const char *head,
                                 size_t head_len, char *scratch, size_t scratch_bytes)
{
    struct scan tail = *s;
    for (char ignored; scan_byte(&tail, &ignored) || scan_peek(&tail) == '|';) {
        if (!scan_at_end(&tail) && scan_peek(&tail) == '|')
            tail.pos++;
    }
    if (scan_at_end(&tail) || scan_peek(&tail) != ')')
        return false;
    tail.pos++;
    if (scan_is_repeated(&tail))
        return false;
    char *tail_text = scratch;
    size_t tail_len;
    if (!scan_literal(&tail, tail_text, &tail_len))
        return false;
    if (!scan_at_end(&tail) && scan_peek(&tail) != '|')
        return false;
    char *item = scratch + tail_len;
    for (bool more = true; more; s->pos++) {
        size_t item_len;
        if (!scan_literal(s, item, &item_len))
            return false;
        ASSERT(tail_len + item_len <= scratch_bytes);
        char c = scan_peek(s);
        if (c != '|' && c != ')')
            return false;
        memcpy(item + item_len, tail_text, tail_len);
        if (!literal_add(re, head, head_len, item, item_len + tail_len))
            return false;
        more = c == '|';
    }
    *s = tail;
    return true;
}

/* Skips "(" or "(?:" at the scan. Capturing groups set *captures. */
static bool scan_group_open(struct scan *s, bool *captures)
{
    if (scan_at_end(s) || scan_peek(s) != '(')
        return false;
    struct view rest = view_slice(s->pattern, s->pos, s->pattern.len);
    if (view_has_prefix(rest, VIEW("(?:"))) {
        s->pos += 3;
        return true;
    }
    if (view_has_prefix(rest, VIEW("(?")) || view_has_prefix(rest, VIEW("(*")))
        return false;
    s->pos++;
    *captures = true;
    return true;
}

static int view_compare(const void *a, const void *b)
{
    return view_cmp(*(const struct view *)a, *(const struct view *)b);
}

static void literals_settle(struct regex *re)
{
    for (size_t i = 0; i < re->literal_count; i++)
        re->literals[i].ptr = re->bytes + ((uintptr_t)re->literals[i].ptr - 1);
    qsort(re->literals, re->literal_count, sizeof(re->literals[0]), view_compare);
    size_t kept = 1;
    for (size_t i = 1; i < re->literal_count; i++) {
        if (!view_eq(re->literals[i], re->literals[kept - 1]))
            re->literals[kept++] = re->literals[i];
    }
    re->literal_count = kept;
    struct view first = re->literals[0], last = re->literals[kept - 1];
    size_t common = 0;
    while (common < first.len && common < last.len && first.ptr[common] == last.ptr[common])
        common++;
    re->prefix = view_slice(first, 0, common);
}

/* alternative ('|' alternative)*, alternative := literal (group literal)? */
static bool literals_read(struct regex *re, struct view body, char *scratch, size_t scratch_bytes,
                          bool *captures)
{
    struct scan s = {body, 0};
    for (;;) {
        size_t len;
        if (!scan_literal(&s, scratch, &len))
            return false;
        if (!scan_at_end(&s) && scan_peek(&s) == '(') {
            if (!scan_group_open(&s, captures) ||
                !literals_add_product(re, &s, scratch, len, scratch + len, scratch_bytes - len))
                return false;
        } else if (!literal_add(re, scratch, len, "", 0)) {
            return false;
        }
        if (scan_at_end(&s))
            break;
        if (scan_peek(&s) != '|')
            return false;
        s.pos++;
    }
    re->kind = KIND_LITERALS;
    literals_settle(re);
    return true;
}

/* --- pieces --- */

/* .* or .+ at the scan. Lazy ones match the same texts. */
static bool scan_any(struct scan *s, size_t *bytes_min)
{
    struct view rest = view_slice(s->pattern, s->pos, s->pattern.len);
    bool star = view_has_prefix(rest, VIEW(".*")), plus = view_has_prefix(rest, VIEW(".+"));
    if (!star && !plus)
        return false;
    s->pos += 2;
    if (!scan_at_end(s) && scan_peek(s) == '?')
        s->pos++;
    *bytes_min += plus;
    /* Two characters may be more than two bytes: only one can be asked for by its bytes. */
    return *bytes_min <= 1 && !scan_is_repeated(s);
}

static bool pieces_read(struct regex *re, struct view body, char *scratch)
{
    struct scan s = {body, 0};
    size_t used = 0;
    bool is_free = false;
    size_t gap = 0;
    while (!scan_at_end(&s)) {
        if (scan_peek(&s) == '.') {
            if (!scan_any(&s, &gap))
                return false;
            is_free = true;
            continue;
        }
        size_t len;
        if (re->piece_count == PIECE_COUNT_MAX || !scan_literal(&s, scratch + used, &len) ||
            len == 0)
            return false;
        re->pieces[re->piece_count++] =
            (struct piece){(struct view){scratch + used, len}, is_free, gap};
        used += len;
        is_free = false;
        gap = 0;
    }
    re->tail_is_free = is_free;
    re->tail_bytes_min = gap;
    re->bytes = mem_alloc(MEM_OTHER, used + 1);
    memcpy(re->bytes, scratch, used);
    for (size_t i = 0; i < re->piece_count; i++)
        re->pieces[i].text.ptr = re->bytes + (re->pieces[i].text.ptr - scratch);
    if (re->piece_count > 0 && !re->pieces[0].is_free)
        re->prefix = re->pieces[0].text;
    re->kind = KIND_PIECES;
    return true;
}

static bool pieces_match(const struct regex *re, struct view text)
{
    size_t pos = 0;
    for (size_t i = 0; i < re->piece_count; i++) {
        const struct piece *piece = &re->pieces[i];
        bool last = i + 1 == re->piece_count && !re->tail_is_free;
        if (text.len - pos < piece->gap_bytes_min)
            return false;
        struct view rest = view_slice(text, pos + piece->gap_bytes_min, text.len);
        if (last) {
            /* Must end the text; with nothing free before it, it must also begin here. */
            return view_has_suffix(rest, piece->text) &&
                   (piece->is_free || rest.len == piece->text.len);
        }
        if (!piece->is_free) {
            if (!view_has_prefix(rest, piece->text))
                return false;
            pos += piece->text.len;
            continue;
        }
        const char *found =
            rest.len ? memmem(rest.ptr, rest.len, piece->text.ptr, piece->text.len) : NULL;
        if (!found)
            return false;
        pos = (size_t)(found - text.ptr) + piece->text.len;
    }
    return re->tail_is_free ? text.len - pos >= re->tail_bytes_min : text.len == pos;
}

static bool literals_match(const struct regex *re, struct view text)
{
    size_t low = 0, high = re->literal_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int c = view_cmp(re->literals[middle], text);
        if (c == 0)
            return true;
        if (c < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return false;
}

/* --- life --- */

/* The pattern without one pair of parentheses around all of it, when what is inside has none. */
static bool outer_group(struct view pattern, struct view *body, bool *captures)
{
    struct scan s = {pattern, 0};
    *captures = false;
    if (pattern.len < 2 || !scan_group_open(&s, captures) || pattern.ptr[pattern.len - 1] != ')')
        return false;
    struct view inside = view_slice(pattern, s.pos, pattern.len - 1);
    for (size_t i = 0; i < inside.len; i++) {
        if (inside.ptr[i] && strchr("()[\\", inside.ptr[i]))
            return false;
    }
    *body = inside;
    return true;
}

static void forget_attempt(struct regex *re)
{
    mem_free(MEM_OTHER, re->literals);
    mem_free(MEM_OTHER, re->bytes);
    struct view pattern = re->pattern;
    *re = (struct regex){.kind = KIND_RE2, .pattern = pattern};
}

/* Tries to do without RE2; *captures says whether expansions still need it. */
static bool simple_read(struct regex *re, bool *captures)
{
    struct view body = re->pattern;
    bool whole = false;
    *captures = false;
    if (!outer_group(re->pattern, &body, &whole))
        whole = false;
    size_t scratch_bytes = 3 * body.len + 1;
    char *scratch = mem_alloc(MEM_OTHER, scratch_bytes);
    bool inner_captures = false;
    bool ok = literals_read(re, body, scratch, scratch_bytes, &inner_captures);
    if (!ok) {
        forget_attempt(re);
        inner_captures = false;
        ok = pieces_read(re, body, scratch);
        if (!ok)
            forget_attempt(re);
    }
    mem_free(MEM_OTHER, scratch);
    re->group_count = whole;
    *captures = inner_captures;
    return ok;
}

/* Moves *pos behind one escape, class or character; true when it was "(?<" of a named group. */
static bool skip_token(struct view p, size_t *pos, bool *in_class)
{
    char c = p.ptr[*pos];
    if (c == '\\') {
        bool quote = *pos + 1 < p.len && p.ptr[*pos + 1] == 'Q' && !*in_class;
        *pos += 2;
        while (quote && *pos < p.len && !view_has_prefix(view_slice(p, *pos, p.len), VIEW("\\E")))
            (*pos)++;
        return false;
    }
    if (*in_class) {
        struct view rest = view_slice(p, *pos, p.len);
        if (view_has_prefix(rest, VIEW("[:"))) { /* [:alpha:] has a bracket of its own */
            const char *close = memmem(rest.ptr, rest.len, ":]", 2);
            *pos += close ? (size_t)(close - rest.ptr) + 2 : 1;
            return false;
        }
        *in_class = c != ']';
        (*pos)++;
        return false;
    }
    if (c == '[') {
        *in_class = true;
        (*pos)++;
        if (*pos < p.len && p.ptr[*pos] == '^')
            (*pos)++;
        if (*pos < p.len && p.ptr[*pos] == ']') /* a ']' at the start is itself */
            (*pos)++;
        return false;
    }
    struct view rest = view_slice(p, *pos, p.len);
    bool named = view_has_prefix(rest, VIEW("(?<")) && rest.len > 3 && rest.ptr[3] != '=' &&
                 rest.ptr[3] != '!';
    *pos += named ? 3 : 1;
    return named;
}

/* Go reads "(?<n>" as "(?P<n>"; this RE2 does not yet. */
static struct view rewrite_names(struct view pattern, struct buffer *out)
{
    bool in_class = false;
    size_t copied = 0;
    for (size_t pos = 0; pos < pattern.len;) {
        if (!skip_token(pattern, &pos, &in_class))
            continue;
        buffer_append_view(out, view_slice(pattern, copied, pos - 1));
        buffer_append_literal(out, "P<");
        copied = pos;
    }
    if (copied == 0)
        return pattern;
    buffer_append_view(out, view_slice(pattern, copied, pattern.len));
    return buffer_view(out);
}

static bool pattern_check(struct view pattern, struct error *err)
{
    if (pattern.len > REGEX_PATTERN_BYTES_MAX)
        return error_set(err, ERROR_INPUT, "regular expression has %zu bytes, at most %d allowed",
                         pattern.len, REGEX_PATTERN_BYTES_MAX);
    if (!utf8_is_valid(pattern))
        return error_set(err, ERROR_INPUT, "regular expression is not valid UTF-8");
    return true;
}

/* The pattern was checked. */
static bool program_new(struct re2_program **out, struct view written, bool dot_newline,
                        struct error *err)
{
    struct buffer rewritten;
    buffer_init(&rewritten, MEM_OTHER, 2 * REGEX_PATTERN_BYTES_MAX);
    char message[256];
    struct view pattern = rewrite_names(written, &rewritten);
    if (rewritten.failed) {
        buffer_deinit(&rewritten);
        return error_set(err, ERROR_LIMIT, "no memory to read a regular expression");
    }
    *out = re2_program_new(pattern, dot_newline, REGEX_MEMORY_BYTES_MAX, message, sizeof(message));
    buffer_deinit(&rewritten);
    if (*out)
        return true;
    size_t shown = written.len < SHOWN_BYTES_MAX ? written.len : SHOWN_BYTES_MAX;
    return error_set(err, ERROR_INPUT, "regular expression \"%.*s\": %s", (int)shown, written.ptr,
                     message);
}

bool regex_new(struct regex **out, struct view pattern, struct error *err)
{
    *out = NULL;
    if (!pattern_check(pattern, err))
        return false;
    struct regex *re = mem_alloc_zero(MEM_OTHER, 1, sizeof(*re));
    re->pattern = (struct view){mem_copy_string(MEM_OTHER, pattern), pattern.len};
    bool captures = false;
    bool simple = simple_read(re, &captures);
    if ((!simple || captures) && !program_new(&re->program, re->pattern, true, err)) {
        regex_free(re);
        return false;
    }
    if (!simple) {
        re->bytes = mem_alloc(MEM_OTHER, PREFIX_BYTES_MAX);
        re->prefix =
            (struct view){re->bytes, re2_program_prefix(re->program, re->bytes, PREFIX_BYTES_MAX)};
    }
    *out = re;
    return true;
}

void regex_free(struct regex *re)
{
    if (!re)
        return;
    re2_program_free(re->program);
    mem_free(MEM_OTHER, re->literals);
    mem_free(MEM_OTHER, re->bytes);
    mem_free(MEM_OTHER, (char *)(uintptr_t)re->pattern.ptr);
    mem_free(MEM_OTHER, re);
}

bool regex_match(const struct regex *re, struct view text)
{
    switch (re->kind) {
    case KIND_LITERALS:
        return literals_match(re, text);
    case KIND_PIECES:
        return pieces_match(re, text);
    case KIND_RE2:
        return re2_program_match(re->program, text);
    }
    UNREACHABLE();
}

/* --- expansion --- */

/* The name behind a '$' at template[*pos], which moves behind it; false when it is malformed. */
static bool name_at(struct view template, size_t *pos, struct view *name)
{
    struct view rest = view_slice(template, *pos, template.len);
    bool braces = rest.len > 0 && rest.ptr[0] == '{';
    if (braces)
        rest = view_slice(rest, 1, rest.len);
    size_t len = 0;
    while (len < rest.len &&
           (rest.ptr[len] == '_' || (rest.ptr[len] >= '0' && rest.ptr[len] <= '9') ||
            ((rest.ptr[len] | 0x20) >= 'a' && (rest.ptr[len] | 0x20) <= 'z')))
        len++;
    if (len < rest.len && (unsigned char)rest.ptr[len] >= 0x80) /* letters of other scripts */
        len = re2_word_prefix(rest);
    if (len == 0 || (braces && (len == rest.len || rest.ptr[len] != '}')))
        return false;
    *name = view_slice(rest, 0, len);
    *pos += len + (braces ? 2 : 0);
    return true;
}

/* Go's rule: all digits, no leading zero, below 1e8. */
static bool number_from(struct view name, size_t *out)
{
    size_t n = 0;
    if (name.len > 1 && name.ptr[0] == '0')
        return false;
    for (size_t i = 0; i < name.len; i++) {
        if (name.ptr[i] < '0' || name.ptr[i] > '9' || n >= 100000000)
            return false;
        n = n * 10 + (size_t)(name.ptr[i] - '0');
    }
    *out = n;
    return true;
}

/* program NULL = there are no names. */
static struct view group_value(const struct re2_program *program, struct view name,
                               const struct view *groups, size_t group_count)
{
    size_t number;
    if (!number_from(name, &number)) {
        number = program ? re2_program_group_named(program, name) : 0;
        if (number == 0)
            return (struct view){NULL, 0};
    }
    return number < group_count ? groups[number] : (struct view){NULL, 0};
}

static void expand(const struct re2_program *program, struct view replacement,
                   const struct view *groups, size_t group_count, struct buffer *out)
{
    for (size_t pos = 0; pos < replacement.len;) {
        const char *dollar = memchr(replacement.ptr + pos, '$', replacement.len - pos);
        size_t plain_end = dollar ? (size_t)(dollar - replacement.ptr) : replacement.len;
        buffer_append_view(out, view_slice(replacement, pos, plain_end));
        if (!dollar)
            break;
        pos = plain_end + 1;
        struct view name;
        if (pos < replacement.len && replacement.ptr[pos] == '$') {
            buffer_append_byte(out, '$');
            pos++;
        } else if (name_at(replacement, &pos, &name)) {
            buffer_append_view(out, group_value(program, name, groups, group_count));
        } else {
            buffer_append_byte(out, '$');
        }
    }
}

bool regex_expand(const struct regex *re, struct view text, struct view replacement,
                  struct buffer *out)
{
    struct view groups[RE2_GROUP_COUNT_MAX];
    size_t group_count = 0;
    if (re->program) {
        group_count = re2_program_groups(re->program, text, groups, ARRAY_COUNT(groups));
    } else if (regex_match(re, text)) {
        groups[0] = groups[1] = text;
        group_count = 1 + re->group_count;
    }
    if (group_count == 0)
        return false;
    expand(re->program, replacement, groups, group_count, out);
    return true;
}

/* --- searching --- */

bool regex_search_new(struct regex_search **out, struct view pattern, struct error *err)
{
    struct re2_program *program = NULL;
    *out = NULL;
    if (!pattern_check(pattern, err) || !program_new(&program, pattern, false, err))
        return false;
    struct regex_search *re = mem_alloc(MEM_OTHER, sizeof(*re));
    re->program = program;
    *out = re;
    return true;
}

void regex_search_free(struct regex_search *re)
{
    if (!re)
        return;
    re2_program_free(re->program);
    mem_free(MEM_OTHER, re);
}

bool regex_search_match(const struct regex_search *re, struct view text)
{
    struct view whole;
    return re2_program_search(re->program, text, 0, &whole, 1) > 0;
}

void regex_search_replace(const struct regex_search *re, struct view text, struct view replacement,
                          struct buffer *out)
{
    struct view groups[RE2_GROUP_COUNT_MAX];
    size_t done = 0, pos = 0; /* bytes that were copied, where the next match may begin */
    while (pos <= text.len && !out->failed) {
        size_t count = re2_program_search(re->program, text, pos, groups, ARRAY_COUNT(groups));
        if (count == 0)
            break;
        size_t start = text.len ? (size_t)(groups[0].ptr - text.ptr) : 0;
        size_t end = start + groups[0].len;
        buffer_append_view(out, view_slice(text, done, start));
        /* As in Go: no match of nothing right behind another match. */
        if (end > done || start == 0)
            expand(re->program, replacement, groups, count, out);
        done = end;
        size_t next = pos;
        if (pos < text.len)
            utf8_next(text, &next);
        else
            next = pos + 1;
        pos = next > end ? next : end;
    }
    buffer_append_view(out, view_slice(text, done, text.len));
}

struct view regex_pattern(const struct regex *re)
{
    return re->pattern;
}

size_t regex_literal_count(const struct regex *re)
{
    return re->kind == KIND_LITERALS ? re->literal_count : 0;
}

struct view regex_literal(const struct regex *re, size_t idx)
{
    ASSERT(re->kind == KIND_LITERALS && idx < re->literal_count);
    return re->literals[idx];
}

struct view regex_prefix(const struct regex *re)
{
    return re->prefix;
}
