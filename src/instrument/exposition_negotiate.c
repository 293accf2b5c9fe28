/* SPDX-License-Identifier: Apache-2.0 */
/* exposition_negotiate.c: which format an Accept header asks for, as Prometheus' libraries (expfmt) understand it: the
 * entries in the order of their q, then as they stand; the first whose type and version are known decides. An
 * escaping= counts from its entry on, also when that entry's format is not served. Wildcards ask for text.
 *
 *   accept    := entry ("," entry)*          entry := type "/" subtype parameter*
 *   parameter := ";" name "=" (token | quoted)         blanks may stand around each
 *
 * What cannot be read spoils its entry; a quote that is not closed goes on to the end. */
#include "instrument/exposition.h"

#include <string.h>
#include <strings.h>

enum { ENTRIES_MAX = 64, ACCEPT_BYTES_MAX = 4096, QUALITY_ONE = 1000 };

struct slice {
    const char *ptr;
    size_t len;
};

struct entry {
    struct slice type, version, proto, encoding, escaping;
    int quality; /* thousandths */
};

static bool slice_is(struct slice s, const char *text)
{
    return s.len == strlen(text) && strncasecmp(s.ptr, text, s.len) == 0;
}

static struct slice trimmed(struct slice s)
{
    while (s.len && (s.ptr[0] == ' ' || s.ptr[0] == '\t'))
        s.ptr++, s.len--;
    while (s.len && (s.ptr[s.len - 1] == ' ' || s.ptr[s.len - 1] == '\t'))
        s.len--;
    return s;
}

/* Up to the next `separator` outside quotes; *rest goes behind it. */
static struct slice take_until(struct slice *rest, char separator)
{
    bool quoted = false;
    size_t len = 0;
    while (len < rest->len && (quoted || rest->ptr[len] != separator)) {
        if (quoted && rest->ptr[len] == '\\' && len + 1 < rest->len)
            len++;
        else if (rest->ptr[len] == '"')
            quoted = !quoted;
        len++;
    }
    struct slice taken = {rest->ptr, len};
    size_t used = len < rest->len ? len + 1 : len;
    *rest = (struct slice){rest->ptr + used, rest->len - used};
    return trimmed(taken);
}

/* 0, 1, 0.5, 1.000 in thousandths; what is no such number counts as 1, as what is not there. */
static int quality_parse(struct slice s)
{
    int quality = 0, unit = QUALITY_ONE;
    for (size_t i = 0; i < s.len; i++) {
        if (i == 1 && s.ptr[i] == '.')
            continue;
        if (s.ptr[i] < '0' || s.ptr[i] > '9' || (i == 0 && s.ptr[i] > '1'))
            return QUALITY_ONE;
        quality += unit * (s.ptr[i] - '0');
        unit /= 10;
    }
    return s.len == 0 || quality > QUALITY_ONE ? QUALITY_ONE : quality;
}

static void parameter_take(struct entry *e, struct slice text)
{
    struct slice rest = text, name = take_until(&rest, '='), value = trimmed(rest);
    if (value.len >= 2 && value.ptr[0] == '"' && value.ptr[value.len - 1] == '"')
        value = (struct slice){value.ptr + 1, value.len - 2}; /* none of ours has a \ in it */
    if (slice_is(name, "q"))
        e->quality = quality_parse(value);
    else if (slice_is(name, "version"))
        e->version = value;
    else if (slice_is(name, "proto"))
        e->proto = value;
    else if (slice_is(name, "encoding"))
        e->encoding = value;
    else if (slice_is(name, "escaping"))
        e->escaping = value;
}

static struct entry entry_parse(struct slice text)
{
    struct entry e = {.quality = QUALITY_ONE};
    e.type = take_until(&text, ';');
    while (text.len)
        parameter_take(&e, take_until(&text, ';'));
    return e;
}

static bool is_wildcard(const struct entry *e)
{
    return e->type.ptr[e->type.len - 1] == '*';
}

/* Does a count more than b, which stands before it? */
static bool counts_more(const struct entry *a, const struct entry *b)
{
    return a->quality != b->quality ? a->quality > b->quality : is_wildcard(b) && !is_wildcard(a);
}

/* Sorted: by quality, then names before wildcards, then as they came; q=0 is what the reader does not want. */
static size_t entries_parse(struct entry *entries, const char *accept)
{
    struct slice rest = {accept, strnlen(accept, ACCEPT_BYTES_MAX)};
    size_t count = 0;
    while (rest.len && count < ENTRIES_MAX) {
        struct entry e = entry_parse(take_until(&rest, ','));
        if (e.type.len == 0 || e.quality == 0)
            continue;
        size_t at = count++;
        for (; at > 0 && counts_more(&e, &entries[at - 1]); at--)
            entries[at] = entries[at - 1];
        entries[at] = e;
    }
    return count;
}

static bool entry_format(const struct entry *e, belfry_format *out)
{
    bool any = e->version.len == 0;
    if (slice_is(e->type, "application/vnd.google.protobuf")) {
        *out = BELFRY_FORMAT_PROTOBUF;
        return slice_is(e->proto, "io.prometheus.client.MetricFamily") &&
               slice_is(e->encoding, "delimited");
    }
    if (slice_is(e->type, "text/plain")) {
        bool newer = slice_is(e->version, "1.0.0");
        *out = newer ? BELFRY_FORMAT_TEXT_1_0_0 : BELFRY_FORMAT_TEXT;
        return newer || any || slice_is(e->version, "0.0.4");
    }
    if (slice_is(e->type, "application/openmetrics-text")) {
        bool older = slice_is(e->version, "0.0.1");
        *out = older ? BELFRY_FORMAT_OPENMETRICS_0_0_1 : BELFRY_FORMAT_OPENMETRICS;
        return older || any || slice_is(e->version, "1.0.0");
    }
    *out = BELFRY_FORMAT_TEXT;
    return slice_is(e->type, "*/*") || slice_is(e->type, "text/*");
}

static void escaping_take(const struct entry *e, belfry_escaping *out)
{
    static const char *const words[] = {"underscores", "allow-utf-8", "dots", "values"};
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (slice_is(e->escaping, words[i]))
            *out = (belfry_escaping)(BELFRY_ESCAPING_UNDERSCORES + i);
    }
}

void belfry_exposition_negotiate(const char *accept, belfry_exposition *out)
{
    struct entry entries[ENTRIES_MAX];
    size_t count = accept ? entries_parse(entries, accept) : 0;
    if (!out)
        return;
    out->format = BELFRY_FORMAT_TEXT;
    out->escaping = BELFRY_ESCAPING_DEFAULT;
    for (size_t i = 0; i < count; i++) {
        belfry_format format;
        escaping_take(&entries[i], &out->escaping);
        if (entry_format(&entries[i], &format)) {
            out->format = format;
            return;
        }
    }
}

#define TYPES(type)                                                                                \
    {                                                                                              \
        type, type "; escaping=underscores", type "; escaping=allow-utf-8",                        \
            type "; escaping=dots", type "; escaping=values"                                       \
    }

const char *belfry_exposition_content_type(const belfry_exposition *how)
{
    static const char *const types[][BELFRY_ESCAPING_VALUES + 1] = {
        [BELFRY_FORMAT_TEXT] = TYPES("text/plain; version=0.0.4; charset=utf-8"),
        [BELFRY_FORMAT_TEXT_1_0_0] = TYPES("text/plain; version=1.0.0; charset=utf-8"),
        [BELFRY_FORMAT_OPENMETRICS] =
            TYPES("application/openmetrics-text; version=1.0.0; charset=utf-8"),
        [BELFRY_FORMAT_OPENMETRICS_0_0_1] =
            TYPES("application/openmetrics-text; version=0.0.1; charset=utf-8"),
        [BELFRY_FORMAT_PROTOBUF] =
            TYPES("application/vnd.google.protobuf; "
                  "proto=io.prometheus.client.MetricFamily; encoding=delimited"),
    };
    bool known = how && (unsigned)how->format <= BELFRY_FORMAT_PROTOBUF &&
                 (unsigned)how->escaping <= BELFRY_ESCAPING_VALUES;
    return known ? types[how->format][how->escaping] : types[0][0];
}
