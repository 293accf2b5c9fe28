/* SPDX-License-Identifier: Apache-2.0 */
/* exposition_key.c: names and labels of a sample as they are written in the text format and in OpenMetrics, and
 * how an error shows its line.
 *
 *   key      := metric [blanks "{" parts "}"] | "{" parts "}"
 *   part     := label "=" quoted | quoted "=" quoted | quoted      the last is the metric's name
 *
 * In the text format the metric's name may also be the label __name__, as it is in dumps.
 *
 * One scanner walks over a key, part by part, without a stack: once to find where it ends, and when
 * its labels are wanted once more. OpenMetrics has no blanks, no line feeds within values and a comma between
 * parts; the labels of a key that passed are read in one way for both. */
#include "base/assert.h"
#include "base/utf8.h"
#include "model/exposition_private.h"

#include <stdio.h>
#include <string.h>

enum {
    QUOTED_LINE_BYTES = 120, /* of the line that an error shows */
    FOUND_BYTES = 16
};

/* ---- errors ---- */

/* Printable ASCII as it is, everything else escaped; at most QUOTED_LINE_BYTES of it around `at`. */
static void quote_line(struct buffer *out, const struct scan *s)
{
    const char *end = s->end;
    const char *from = s->line;
    const char *newline = memchr(s->at, '\n', (size_t)(end - s->at));
    if (newline)
        end = newline;
    if (s->at - from > QUOTED_LINE_BYTES / 2)
        from = s->at - QUOTED_LINE_BYTES / 2;
    const char *to = end - from > QUOTED_LINE_BYTES ? from + QUOTED_LINE_BYTES : end;

    buffer_append_literal(out, "\"");
    if (from > s->line)
        buffer_append_literal(out, "...");
    for (const char *c = from; c < to; c++) {
        if (*c >= 0x20 && *c < 0x7f)
            buffer_append_byte(out, *c);
        else
            buffer_printf(out, "\\x%02x", (unsigned)(unsigned char)*c);
    }
    if (to < end)
        buffer_append_literal(out, "...");
    buffer_append_literal(out, "\"");
}

/* Says what is wrong at s->at and quotes the line. The caller who knows the body adds the position. */
bool exposition_wrong(const struct scan *s, const char *what)
{
    struct buffer quoted;
    if (!s->err)
        return false;
    buffer_init(&quoted, MEM_SCRAPE, 4096);
    quote_line(&quoted, s);
    error_set_at(s->err, ERROR_INPUT, 1, (uint32_t)(s->at - s->line) + 1, "%s in line %.*s", what,
                 (int)quoted.len, quoted.ptr);
    buffer_deinit(&quoted);
    return false;
}

bool exposition_expected(const struct scan *s, const char *what)
{
    char message[160], found[FOUND_BYTES];
    if (!s->err)
        return false;
    if (s->at == s->end && s->end < s->body_end)
        return exposition_wrong(s, "more than 1 MiB without a line feed");
    if (s->at == s->end)
        snprintf(found, sizeof found, "the end");
    else if (*s->at == '\n')
        snprintf(found, sizeof found, "end of line");
    else if (*s->at > 0x20 && *s->at < 0x7f)
        snprintf(found, sizeof found, "\"%c\"", *s->at);
    else
        snprintf(found, sizeof found, "\"\\x%02x\"", (unsigned)(unsigned char)*s->at);
    snprintf(message, sizeof message, "expected %s, found %s", what, found);
    return exposition_wrong(s, message);
}

/* What stands between two quotes, escapes and all; s->at is at the first. */
bool exposition_take_quoted(struct scan *s, struct view *out)
{
    const char *start = ++s->at;
    while (s->at < s->end && *s->at != '"') {
        if (*s->at == '\\') {
            s->at++;
            if (s->at == s->end || *s->at == '\n')
                return exposition_expected(s, "an escape after \"\\\"");
        }
        s->at++;
    }
    if (s->at == s->end)
        return exposition_expected(s, "a closing quote");
    *out = (struct view){start, (size_t)(s->at - start)};
    if (!utf8_is_valid(*out)) {
        s->at = start;
        return exposition_wrong(s, "invalid UTF-8 between quotes");
    }
    s->at++;
    return true;
}

/* ---- keys ---- */

enum key_state { KEY_START, KEY_IN_BRACES, KEY_DONE };

struct key_scan {
    struct scan s;
    enum key_state state;
    bool has_metric;
    bool is_exemplar; /* no metric among the labels */
    bool after_part, after_comma;
    const char *key_end; /* behind the last byte of the key, when KEY_DONE */
};

/* One part: name empty for the metric's name, else a label. Both still escaped. */
struct key_part {
    struct view name, value;
};

static void key_blanks(struct key_scan *k)
{
    if (!k->s.strict)
        skip_blanks(&k->s);
}

/* Name and brace, or the brace alone. *has_part = false when the key begins with a brace. */
static bool key_start(struct key_scan *k, struct key_part *part, bool *has_part)
{
    part->name = VIEW("");
    part->value = take_name(&k->s, true);
    *has_part = k->has_metric = part->value.len > 0;
    k->key_end = k->s.at;
    key_blanks(k);
    if (k->s.at < k->s.end && *k->s.at == '{') {
        k->s.at++;
        k->state = KEY_IN_BRACES;
        return true;
    }
    k->state = KEY_DONE;
    return *has_part || exposition_expected(&k->s, "a metric name");
}

static bool key_close(struct key_scan *k)
{
    k->key_end = ++k->s.at;
    k->state = KEY_DONE;
    return k->has_metric || exposition_wrong(&k->s, "no metric name");
}

static bool at_char(const struct key_scan *k, char c)
{
    return k->s.at < k->s.end && *k->s.at == c;
}

static void key_comma(struct key_scan *k)
{
    key_blanks(k);
    k->after_part = true;
    k->after_comma = at_char(k, ',');
    k->s.at += k->after_comma;
}

/* name="value" behind its name. */
static bool key_label_value(struct key_scan *k, struct key_part *part)
{
    if (!at_char(k, '='))
        return exposition_expected(&k->s, "\"=\" after a label name");
    k->s.at++;
    key_blanks(k);
    if (!at_char(k, '"'))
        return exposition_expected(&k->s, "a quoted label value");
    if (!exposition_take_quoted(&k->s, &part->value))
        return false;
    if (k->s.strict && memchr(part->value.ptr, '\n', part->value.len)) {
        k->s.at = memchr(part->value.ptr, '\n', part->value.len);
        return exposition_expected(&k->s, "a closing quote");
    }
    key_comma(k);
    /* {__name__="metric"}: as dumps write it. */
    if (!k->s.strict && !k->has_metric && view_is(part->name, LABEL_NAME)) {
        k->has_metric = true;
        part->name = VIEW("");
    }
    return true;
}

/* The braces close, or another part must follow. */
static bool key_may_go_on(struct key_scan *k, bool *closes)
{
    *closes = at_char(k, '}') && !(k->s.strict && k->after_comma);
    if (*closes || !k->s.strict || !k->after_part || k->after_comma)
        return true;
    return exposition_expected(&k->s, "\",\" or \"}\" after a label");
}

/* The next part inside the braces; *has_part = false when they close. */
static bool key_next(struct key_scan *k, struct key_part *part, bool *has_part)
{
    bool closes;
    *has_part = false;
    key_blanks(k);
    if (!key_may_go_on(k, &closes))
        return false;
    if (closes)
        return key_close(k);
    bool quoted = at_char(k, '"');
    if (quoted) {
        if (!exposition_take_quoted(&k->s, &part->name))
            return false;
    } else {
        part->name = take_name(&k->s, false);
        if (part->name.len == 0)
            return exposition_expected(&k->s, "a label name");
    }
    *has_part = true;
    key_blanks(k);
    if (quoted && !k->is_exemplar && (at_char(k, ',') || at_char(k, '}'))) {
        if (k->has_metric)
            return exposition_wrong(&k->s, "a second metric name");
        k->has_metric = true;
        part->value = part->name;
        part->name = VIEW("");
        key_comma(k);
        return true;
    }
    if (quoted && part->name.len == 0)
        return exposition_wrong(&k->s, "an empty label name");
    return key_label_value(k, part);
}

/* Walks to the closing brace. */
static bool key_walk(struct key_scan *k)
{
    struct key_part part;
    bool has_part;
    while (k->state == KEY_IN_BRACES) {
        if (!key_next(k, &part, &has_part))
            return false;
    }
    return true;
}

bool exposition_key_skip(struct scan *s, const char **key_end)
{
    struct key_scan k = {.s = *s};
    struct key_part part;
    bool has_part;
    bool ok = key_start(&k, &part, &has_part) && key_walk(&k);
    s->at = k.s.at;
    *key_end = k.key_end;
    return ok;
}

/* At the brace of an exemplar. */
static struct key_scan exemplar_scan(const struct scan *s)
{
    struct key_scan k = {.s = *s, .state = KEY_IN_BRACES, .has_metric = true, .is_exemplar = true};
    k.s.at++;
    return k;
}

bool exposition_exemplar_labels_skip(struct scan *s)
{
    struct key_scan k = exemplar_scan(s);
    bool ok = key_walk(&k);
    s->at = k.s.at;
    return ok;
}

/* Label values and names: \\, \" and \n; another backslash stands for itself. */
static struct view unescape(struct view text, bool quotes, struct arena *arena)
{
    if (text.len == 0 || !memchr(text.ptr, '\\', text.len))
        return text;
    char *out = arena_alloc(arena, text.len);
    size_t len = 0;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i], next = i + 1 < text.len ? text.ptr[i + 1] : 0;
        if (c == '\\' && (next == '\\' || next == 'n' || (quotes && next == '"'))) {
            c = next == 'n' ? '\n' : next;
            i++;
        }
        out[len++] = c;
    }
    return (struct view){out, len};
}

struct view exposition_unescape_help(struct view text, enum exposition_format format,
                                     struct arena *arena)
{
    return unescape(text, format == EXPOSITION_OPENMETRICS, arena);
}

/* Removes empty values (an empty label is no label) after looking for names that are there twice. */
static bool labels_finish(const struct scan *s, struct label *items, uint32_t count,
                          struct labels *out)
{
    uint32_t kept = 0;
    for (uint32_t i = 1; i < count; i++) {
        char what[160];
        if (!view_eq(items[i - 1].name, items[i].name))
            continue;
        snprintf(what, sizeof what, "label name \"%.*s\" is there twice",
                 (int)(items[i].name.len > 100 ? 100 : items[i].name.len), items[i].name.ptr);
        return exposition_wrong(s, what);
    }
    for (uint32_t i = 0; i < count; i++) {
        if (items[i].value.len)
            items[kept++] = items[i];
    }
    *out = (struct labels){items, kept};
    return true;
}

static bool too_many_labels(const struct scan *s)
{
    (void)exposition_wrong(s, "more than 1024 labels"); /* false, as what follows */
    if (s->err)
        s->err->kind = ERROR_LIMIT;
    return false;
}

/* The parts of a key, or of an exemplar's labels, from where `k` stands to the end. */
static bool parse_parts(struct key_scan *k, struct key_part part, bool has_part,
                        struct arena *arena, struct labels *out)
{
    struct label *items = NULL;
    size_t capacity = 0;
    uint32_t count = 0;
    for (;;) {
        if (has_part) {
            bool metric = part.name.len == 0;
            if (metric && part.value.len == 0)
                return exposition_wrong(&k->s, "an empty metric name");
            if (count == capacity)
                items = arena_grow(arena, items, &capacity, count ? count + 1 : 8, sizeof *items);
            items[count++] =
                (struct label){metric ? VIEW(LABEL_NAME) : unescape(part.name, true, arena),
                               unescape(part.value, true, arena)};
            if (count > EXPOSITION_LABELS_MAX + 1)
                return too_many_labels(&k->s);
        }
        if (k->state != KEY_IN_BRACES)
            break;
        if (!key_next(k, &part, &has_part))
            return false;
    }
    if (k->s.at != k->s.end)
        return exposition_expected(&k->s, "the end of the labels");
    labels_sort(arena, items, count);
    return labels_finish(&k->s, items, count, out);
}

bool exposition_parse_key(struct view key, struct arena *arena, struct labels *out,
                          struct error *err)
{
    const char *end = key.ptr + key.len;
    struct key_scan k = {.s = {key.ptr, end, key.ptr, end, err, false}};
    struct key_part part;
    bool has_part;
    return key_start(&k, &part, &has_part) && parse_parts(&k, part, has_part, arena, out);
}

bool exposition_parse_exemplar(struct view labels, struct arena *arena, struct labels *out,
                               struct error *err)
{
    const char *end = labels.ptr + labels.len;
    struct scan s = {labels.ptr, end, labels.ptr, end, err, true};
    ASSERT(labels.len > 0 && labels.ptr[0] == '{');
    struct key_scan k = exemplar_scan(&s);
    return parse_parts(&k, (struct key_part){VIEW(""), VIEW("")}, false, arena, out);
}
