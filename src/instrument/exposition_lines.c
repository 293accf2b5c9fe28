/* SPDX-License-Identifier: Apache-2.0 */
/* exposition_lines.c: the text format 0.0.4 and OpenMetrics 1.0. They differ in the heads of families, in how bounds
 * are written, and in what text has no place for (exemplars, created, units).
 *
 * A line is written into room that was made for all of it; a child's labels are laid out since it was made, and bounds
 * once per family. So a counter costs four copies and a number. */
#include "instrument/cells.h"
#include "instrument/exposition.h"

#include <math.h>
#include <string.h>

/* What a line begins with. */
struct series {
    const char *suffix;
    size_t suffix_len;
    const char *labels; /* a="x",b="y" */
    size_t labels_len;
    const char *extra; /* le="1", or NULL */
    size_t extra_len;
};

static char *put(char *at, const char *bytes, size_t len)
{
    memcpy(at, bytes, len);
    return at + len;
}

/* name_suffix{labels,extra} and a blank, or {"name_suffix",labels,extra}. The room for a number is left behind it. NULL
 * without memory. */
static char *series_begin(struct output *o, const struct shown_family *f, const struct series *s)
{
    char *at = belfry__text_room(&o->text, f->name_len + s->suffix_len + s->labels_len +
                                               s->extra_len + NUMBER_TEXT_BYTES + 16);
    if (!at)
        return NULL;
    bool in_braces = f->is_quoted;
    if (in_braces)
        at = put(at, "{\"", 2);
    at = put(at, f->name, f->name_len);
    at = put(at, s->suffix, s->suffix_len);
    if (in_braces)
        *at++ = '"';
    if (s->labels_len) {
        *at++ = in_braces ? ',' : '{';
        in_braces = true;
        at = put(at, s->labels, s->labels_len);
    }
    if (s->extra_len) {
        *at++ = in_braces ? ',' : '{';
        in_braces = true;
        at = put(at, s->extra, s->extra_len);
    }
    if (in_braces)
        *at++ = '}';
    *at++ = ' ';
    return at;
}

static void line_end(struct output *o, char *at)
{
    *at++ = '\n';
    o->text.len = (size_t)(at - o->text.ptr);
}

static void write_double(struct output *o, const struct shown_family *f, const struct series *s,
                         double value)
{
    char *at = series_begin(o, f, s);
    if (at)
        line_end(o, at + belfry__put_double(at, value));
}

static void write_unsigned(struct output *o, const struct shown_family *f, const struct series *s,
                           uint64_t value)
{
    char *at = series_begin(o, f, s);
    if (at)
        line_end(o, at + belfry__put_unsigned(at, value));
}

/* --- labels --- */

static void label_append(struct output *o, const char *name, const char *value)
{
    struct text *t = &o->labels;
    if (t->len)
        belfry__text_byte(t, ',');
    size_t begin = t->len;
    belfry__name_escape(t, name, o->escaping);
    if (!t->failed && !belfry__name_is_plain(t->ptr + begin, t->len - begin, false)) {
        t->len = begin;
        belfry__text_byte(t, '"');
        (void)belfry__text_escaped(t, name, true, TEXT_BYTES_MAX); /* names are UTF-8: as it is */
        belfry__text_byte(t, '"');
    }
    belfry__text_append(t, "=\"", 2);
    (void)belfry__text_escaped(t, value, true, BELFRY_LABEL_VALUE_BYTES_MAX); /* shown so */
    belfry__text_byte(t, '"');
}

static void series_labels_take(struct output *o, struct series *s)
{
    s->labels = o->labels.ptr;
    s->labels_len = o->labels.failed ? 0 : o->labels.len;
}

static struct series series_of(struct output *o, const struct shown_family *f,
                               const struct metric *m)
{
    struct series s = {.suffix = ""};
    if (f->labels_as_they) {
        s.labels = m->labels;
        s.labels_len = strlen(m->labels);
        return s;
    }
    const char *value = m->raw;
    o->labels.len = 0;
    for (size_t i = 0; i < m->family->label_count; i++) {
        label_append(o, m->family->label_names[i], value);
        value += strlen(value) + 1;
    }
    series_labels_take(o, &s);
    return s;
}

/* --- samples --- */

/* le="..." of each bucket, in the canonical form that OpenMetrics asks for, or without exponent. */
static void bounds_layout(struct output *o, const struct family *f)
{
    o->bounds.len = 0;
    for (size_t i = 0; i <= f->bound_count; i++) {
        char number[NUMBER_TEXT_BYTES];
        double bound = i < f->bound_count ? f->bounds[i] : INFINITY;
        size_t len = o->is_openmetrics ? belfry__put_double_canonical(number, bound)
                                       : belfry__put_double_plain(number, bound);
        belfry__text_append(&o->bounds, "le=\"", 4);
        belfry__text_append(&o->bounds, number, len);
        belfry__text_byte(&o->bounds, '"');
        o->bound_ends[i] = o->bounds.len;
    }
    o->bounds_of = o->bounds.failed ? NULL : f;
}

static void write_histogram(struct output *o, const struct shown_family *f, struct series *s,
                            const struct metric *m)
{
    if (o->bounds_of != m->family)
        bounds_layout(o, m->family);
    if (!o->bounds_of)
        return;
    struct histogram_reading *h = &o->histogram;
    belfry__histogram_read(h, m);
    s->suffix = "_bucket";
    s->suffix_len = 7;
    for (size_t i = 0, begin = 0; i < h->bucket_count; begin = o->bound_ends[i++]) {
        s->extra = o->bounds.ptr + begin;
        s->extra_len = o->bound_ends[i] - begin;
        write_unsigned(o, f, s, h->cumulative[i]);
    }
    s->extra_len = 0;
    s->suffix = "_sum";
    s->suffix_len = 4;
    write_double(o, f, s, h->sum);
    s->suffix = "_count";
    s->suffix_len = 6;
    write_unsigned(o, f, s, h->cumulative[h->bucket_count - 1]);
}

static void lines_metric(struct output *o, const struct shown_family *f, const struct metric *m)
{
    struct series s = series_of(o, f, m);
    if (m->family->type == BELFRY_HISTOGRAM)
        write_histogram(o, f, &s, m);
    else
        write_double(o, f, &s,
                     m->family->type == BELFRY_COUNTER
                         ? belfry_counter_value((const belfry_counter *)m)
                         : belfry_gauge_value((const belfry_gauge *)m));
}

static void lines_sample(struct output *o, const struct shown_family *f, const struct emitted *e)
{
    struct series s = {.suffix = e->suffix, .suffix_len = strlen(e->suffix)};
    const char *name = e->labels;
    o->labels.len = 0;
    for (size_t i = 0; i < e->label_count; i++) {
        const char *value = name + strlen(name) + 1;
        label_append(o, name, value);
        name = value + strlen(value) + 1;
    }
    series_labels_take(o, &s);
    write_double(o, f, &s, e->value);
}

/* --- heads --- */

static void write_name(struct output *o, const struct shown_family *f)
{
    size_t len = o->is_openmetrics ? f->openmetrics_name_len : f->name_len;
    if (f->is_quoted)
        belfry__text_byte(&o->text, '"');
    belfry__text_append(&o->text, f->name, len);
    if (f->is_quoted)
        belfry__text_byte(&o->text, '"');
    belfry__text_byte(&o->text, ' ');
}

static void lines_family_begin(struct output *o, const struct shown_family *f)
{
    static const char *const types[] = {
        [BELFRY_COUNTER] = "counter",     [BELFRY_GAUGE] = "gauge",
        [BELFRY_HISTOGRAM] = "histogram", [BELFRY_SUMMARY] = "summary",
        [BELFRY_UNTYPED] = "untyped",
    };
    struct text *t = &o->text;
    if (f->help[0]) {
        belfry__text_append(t, "# HELP ", 7);
        write_name(o, f);
        (void)belfry__text_escaped(t, f->help, o->is_openmetrics, TEXT_BYTES_MAX); /* shown so */
        belfry__text_byte(t, '\n');
    }
    belfry__text_append(t, "# TYPE ", 7);
    write_name(o, f);
    belfry__text_string(t, o->is_openmetrics ? f->openmetrics_type : types[f->type]);
    belfry__text_byte(t, '\n');
}

static void lines_family_end(struct output *o, const struct shown_family *f)
{
    (void)o;
    (void)f;
}

const struct format belfry__format_lines = {
    .family_begin = lines_family_begin,
    .metric = lines_metric,
    .sample = lines_sample,
    .family_end = lines_family_end,
};
