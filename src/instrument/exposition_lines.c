/* SPDX-License-Identifier: Apache-2.0 */
/* exposition_lines.c: the text format 0.0.4 and OpenMetrics 1.0. They differ in the heads of families, in how bounds
 * are written, and in what text has no place for (exemplars, created, units).
 *
 * What a family's lines share (names of labels with their quotes, constant labels, bounds) is laid out once per family; a
 * child's labels once for all its lines. A line is written into room that was made for all of it. */
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

/* name="value" */
static void label_write(struct text *t, const char *name, const char *value,
                        belfry_escaping escaping)
{
    size_t begin = t->len;
    belfry__name_escape(t, name, false, escaping);
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

static void label_append(struct output *o, const char *name, const char *value)
{
    if (o->labels.len)
        belfry__text_byte(&o->labels, ',');
    label_write(&o->labels, name, value, o->escaping);
}

static void series_labels_take(struct output *o, struct series *s)
{
    s->labels = o->labels.ptr;
    s->labels_len = o->labels.failed ? 0 : o->labels.len;
}

/* Constant labels, and name=" of each label of a registered family with the comma before it. */
static void heads_layout(struct output *o, const struct shown_family *f)
{
    o->labels.len = o->heads.len = 0;
    for (size_t i = 0; i < o->registry->label_count; i++)
        label_append(o, o->registry->labels[i].name, o->registry->labels[i].value);
    if (!o->labels.failed)
        belfry__text_append(&o->heads, o->labels.ptr, o->labels.len);
    o->head_ends[0] = o->heads.len;
    for (size_t i = 0; f->family && i < f->family->label_count; i++) {
        size_t begin = o->labels.len;
        label_append(o, f->family->label_names[i], "");
        if (!o->labels.failed) /* without the closing quote */
            belfry__text_append(&o->heads, o->labels.ptr + begin, o->labels.len - begin - 1);
        o->head_ends[i + 1] = o->heads.len;
    }
}

static struct series series_of(struct output *o, const struct metric *m)
{
    struct series s = {.suffix = ""};
    struct text *t = &o->labels;
    const char *value = metric_values(m);
    t->len = 0;
    if (!o->heads.failed)
        belfry__text_append(t, o->heads.ptr, o->head_ends[0]);
    for (size_t i = 0; !o->heads.failed && i < m->family->label_count; i++) {
        size_t begin = o->head_ends[i], head = o->head_ends[i + 1] - begin, len = strlen(value);
        char *at = belfry__text_room(t, head + len + 1);
        if (!at)
            break;
        at = put(at, o->heads.ptr + begin, head);
        if (m->needs_escape) {
            t->len += head;
            (void)belfry__text_escaped(t, value, true, BELFRY_LABEL_VALUE_BYTES_MAX); /* UTF-8 */
            belfry__text_byte(t, '"');
        } else {
            at = put(at, value, len);
            *at++ = '"';
            t->len = (size_t)(at - t->ptr);
        }
        value += len + 1;
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

static void set_suffix(struct series *s, const char *suffix)
{
    s->suffix = suffix;
    s->suffix_len = strlen(suffix);
    s->extra_len = 0;
}

/* " # {labels} value time", before the end of the line that was written last. */
static void exemplar_append(struct output *o, const struct exemplar *x)
{
    struct text *t = &o->text;
    const char *name = x->text;
    if (t->failed || t->len == 0)
        return;
    t->len--;
    belfry__text_append(t, " # {", 4);
    for (size_t i = 0; i < x->label_count; i++) {
        const char *value = name + strlen(name) + 1;
        if (i)
            belfry__text_byte(t, ',');
        label_write(t, name, value, o->escaping);
        name = value + strlen(value) + 1;
    }
    belfry__text_append(t, "} ", 2);
    belfry__text_double(t, x->value);
    belfry__text_byte(t, ' ');
    belfry__text_double(t, (double)x->timestamp_ms / 1000);
    belfry__text_byte(t, '\n');
}

static void write_created(struct output *o, const struct shown_family *f, struct series *s,
                          int64_t ms)
{
    if (!o->is_openmetrics || !o->shows_created)
        return;
    set_suffix(s, "_created");
    write_double(o, f, s, (double)ms / 1000);
}

/* The family's name is without _total there, to which _created comes. */
static void write_counter(struct output *o, const struct shown_family *f, struct series *s,
                          const struct metric *m)
{
    const belfry_counter *c = (const belfry_counter *)m;
    struct exemplar x;
    write_double(o, f, s, belfry_counter_value(c));
    if (!o->is_openmetrics || f->openmetrics_name_len == f->name_len)
        return;
    if (belfry__exemplar_read(&c->exemplar, &x))
        exemplar_append(o, &x);
    struct shown_family without_total = *f;
    without_total.name_len = f->openmetrics_name_len;
    write_created(o, &without_total, s, m->created_ms);
}

/* The example of a native histogram that is youngest: its only bucket here is +Inf. */
static bool newest_exemplar(const belfry_histogram *h, struct exemplar *out)
{
    struct exemplar x;
    bool found = false;
    for (size_t i = 0; i < HISTOGRAM_NATIVE_EXEMPLARS; i++) {
        if (belfry__histogram_exemplar(h, i, &x) &&
            (!found || x.timestamp_ms > out->timestamp_ms)) {
            *out = x;
            found = true;
        }
    }
    return found;
}

/* OpenMetrics has no sum where one may fall, and no count without a sum. A sum that fell below 0 without a bound there is
 * shown as it is. */
static bool shows_sum(const struct output *o, const belfry_histogram *h)
{
    return !o->is_openmetrics || h->bound_count == 0 || h->bounds[0] >= 0;
}

/* The count is the last bucket, so the two always agree, whatever is observed meanwhile. Native buckets have no place in these
 * formats: +Inf, sum and count stand for them. */
static void write_histogram(struct output *o, const struct shown_family *f, struct series *s,
                            const struct metric *m)
{
    const belfry_histogram *h = (const belfry_histogram *)m;
    struct histogram_reading *reading = &o->histogram;
    struct exemplar x;
    uint64_t count = 0;
    if (o->bounds_of != m->family)
        bounds_layout(o, m->family);
    if (!o->bounds_of)
        return;
    if (!belfry__histogram_read(h, reading)) {
        o->failed = true;
        return;
    }
    set_suffix(s, "_bucket");
    for (size_t i = 0, begin = 0; i <= h->bound_count; begin = o->bound_ends[i++]) {
        count += h->is_classic ? reading->classic[i] : reading->count;
        s->extra = o->bounds.ptr + begin;
        s->extra_len = o->bound_ends[i] - begin;
        write_unsigned(o, f, s, count);
        if (o->is_openmetrics &&
            (h->is_classic ? belfry__histogram_exemplar(h, i, &x) : newest_exemplar(h, &x)))
            exemplar_append(o, &x);
    }
    if (shows_sum(o, h)) {
        set_suffix(s, "_sum");
        write_double(o, f, s, reading->sum);
        set_suffix(s, "_count");
        write_unsigned(o, f, s, count);
    }
    write_created(o, f, s, reading->created_ms);
}

static void write_summary(struct output *o, const struct shown_family *f, struct series *s,
                          const struct metric *m)
{
    double values[BELFRY_QUANTILES_MAX], sum;
    uint64_t count;
    char extra[NUMBER_TEXT_BYTES + 16] = "quantile=\"";
    if (!belfry__summary_read((const belfry_summary *)m, values, &count, &sum)) {
        o->failed = true;
        return;
    }
    for (size_t i = 0; i < m->family->quantile_count; i++) {
        size_t len = strlen("quantile=\"");
        len += o->is_openmetrics
                   ? belfry__put_double_canonical(extra + len, m->family->quantiles[i])
                   : belfry__put_double_plain(extra + len, m->family->quantiles[i]);
        extra[len++] = '"';
        s->extra = extra;
        s->extra_len = len;
        write_double(o, f, s, values[i]);
    }
    set_suffix(s, "_sum");
    write_double(o, f, s, sum);
    set_suffix(s, "_count");
    write_unsigned(o, f, s, count);
    write_created(o, f, s, m->created_ms);
}

static void write_stateset(struct output *o, const struct shown_family *f, struct series *s,
                           const struct metric *m)
{
    size_t labels_len = o->labels.len;
    for (size_t i = 0; i < m->family->state_count; i++) {
        o->labels.len = labels_len;
        label_append(o, m->family->name, m->family->states[i]);
        series_labels_take(o, s);
        write_unsigned(o, f, s, belfry_stateset_holds((const belfry_stateset *)m, i));
    }
}

static void lines_metric(struct output *o, const struct shown_family *f, const struct metric *m)
{
    struct series s = series_of(o, m);
    switch (m->family->type) {
    case BELFRY_COUNTER:
        write_counter(o, f, &s, m);
        break;
    case BELFRY_HISTOGRAM:
        write_histogram(o, f, &s, m);
        break;
    case BELFRY_SUMMARY:
        write_summary(o, f, &s, m);
        break;
    case BELFRY_STATESET:
        write_stateset(o, f, &s, m);
        break;
    default:
        write_double(o, f, &s, belfry_gauge_value((const belfry_gauge *)m));
        break;
    }
}

/* Bounds and quantiles of a collector come as text: OpenMetrics wants them canonical. */
static const char *label_value(const struct output *o, const struct shown_family *f,
                               const char *name, const char *value, char number[])
{
    const char *special = f->type == BELFRY_HISTOGRAM ? "le" : "quantile";
    bool is_special = o->is_openmetrics &&
                      (f->type == BELFRY_HISTOGRAM || f->type == BELFRY_SUMMARY) &&
                      strcmp(name, special) == 0;
    double v = is_special ? belfry__read_double(value) : (double)NAN;
    if (isnan(v))
        return value;
    number[belfry__put_double_canonical(number, v)] = '\0';
    return number;
}

static void lines_sample(struct output *o, const struct shown_family *f, const struct emitted *e)
{
    struct series s = {.suffix = e->suffix, .suffix_len = strlen(e->suffix)};
    const char *name = e->labels;
    o->labels.len = 0;
    if (!o->heads.failed)
        belfry__text_append(&o->labels, o->heads.ptr, o->head_ends[0]);
    for (size_t i = 0; i < e->label_count; i++) {
        const char *value = name + strlen(name) + 1;
        char number[NUMBER_TEXT_BYTES + 1];
        label_append(o, name, label_value(o, f, name, value, number));
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
        [BELFRY_UNTYPED] = "untyped",     [BELFRY_INFO] = "gauge",
        [BELFRY_STATESET] = "gauge",
    };
    struct text *t = &o->text;
    heads_layout(o, f);
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
    if (!f->unit || !o->is_openmetrics || strcmp(f->openmetrics_type, "unknown") == 0)
        return;
    belfry__text_append(t, "# UNIT ", 7);
    write_name(o, f);
    belfry__text_string(t, f->unit);
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
