/* SPDX-License-Identifier: Apache-2.0 */
/* remote_write.c: see remote_write.h. Field numbers are those of client_model's metrics.proto (read) and of Prometheus'
 * prompb/types.proto and remote.proto (written).
 *
 *   WriteRequest  1 TimeSeries...  3 MetricMetadata {1 type 2 family 4 help 5 unit}...
 *   TimeSeries    1 Label {1 name 2 value}... by name  2 Sample {1 value 2 ms}  3 Exemplar {1 Label... 2 value 3 ms}
 *                 4 Histogram
 *
 * A native histogram's spans, deltas and counts have the same form in both: its fields are copied under other numbers. */
#include "instrument_http/remote_write.h"

#include <math.h>
#include <string.h>

enum { WIRE_VARINT, WIRE_FIXED64, WIRE_BYTES, WIRE_FIXED32 = 5 };
enum { TYPE_COUNTER, TYPE_GAUGE, TYPE_SUMMARY, TYPE_UNTYPED, TYPE_HISTOGRAM, TYPE_GAUGE_HISTOGRAM };

/* ---- reading ---- */

struct wire {
    const unsigned char *at, *end;
    bool is_bad;
};

struct wire_field {
    unsigned number, type;
    uint64_t value;     /* varint, or the bits of fixed64 */
    struct wire inside; /* of bytes */
    const unsigned char *begin,
        *value_begin; /* of the whole field, and behind its tag; it ends at wire.at */
};

static uint64_t read_varint(struct wire *w)
{
    uint64_t v = 0;
    for (unsigned shift = 0; shift < 64 && w->at < w->end; shift += 7) {
        unsigned char byte = *w->at++;
        v |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80)
            return v;
    }
    w->is_bad = true;
    return 0;
}

static bool read_field(struct wire *w, struct wire_field *out)
{
    if (w->is_bad || w->at == w->end)
        return false;
    *out = (struct wire_field){.begin = w->at};
    uint64_t tag = read_varint(w);
    out->number = (unsigned)(tag >> 3);
    out->type = tag & 7;
    out->value_begin = w->at;
    if (out->type == WIRE_VARINT) {
        out->value = read_varint(w);
    } else if (out->type == WIRE_FIXED64 && w->end - w->at >= 8) {
        for (int i = 7; i >= 0; i--)
            out->value = out->value << 8 | w->at[i];
        w->at += 8;
    } else if (out->type == WIRE_BYTES) {
        uint64_t len = read_varint(w);
        if (w->is_bad || len > (uint64_t)(w->end - w->at)) {
            w->is_bad = true;
            return false;
        }
        out->inside = (struct wire){.at = w->at, .end = w->at + len};
        w->at += len;
    } else {
        w->is_bad = true;
    }
    return !w->is_bad;
}

static double as_double(const struct wire_field *f)
{
    double v;
    memcpy(&v, &f->value, sizeof v);
    return v;
}

static size_t wire_len(const struct wire *w)
{
    return (size_t)(w->end - w->at);
}

/* ---- writing ---- */

static void put_varint(struct text *t, uint64_t v)
{
    for (; v >= 0x80; v >>= 7)
        belfry__text_byte(t, (char)(v | 0x80));
    belfry__text_byte(t, (char)v);
}

static void put_tag(struct text *t, unsigned number, unsigned type)
{
    put_varint(t, number << 3 | type);
}

static void put_bytes(struct text *t, unsigned number, const char *bytes, size_t len)
{
    put_tag(t, number, WIRE_BYTES);
    put_varint(t, len);
    belfry__text_append(t, bytes, len);
}

static void put_double(struct text *t, unsigned number, double v)
{
    uint64_t bits;
    char bytes[8];
    memcpy(&bits, &v, sizeof bits);
    for (int i = 0; i < 8; i++)
        bytes[i] = (char)(bits >> 8 * i);
    put_tag(t, number, WIRE_FIXED64);
    belfry__text_append(t, bytes, 8);
}

static size_t varint_len(uint64_t v)
{
    size_t len = 1;
    for (; v >= 0x80; v >>= 7)
        len++;
    return len;
}

static void put_label(struct text *t, const struct write_label *l)
{
    put_tag(t, 1, WIRE_BYTES);
    put_varint(t,
               2 + varint_len(l->name_len) + l->name_len + varint_len(l->value_len) + l->value_len);
    put_bytes(t, 1, l->name, l->name_len);
    put_bytes(t, 2, l->value, l->value_len);
}

static void put_sample(struct text *t, double value, int64_t time_ms)
{
    put_tag(t, 2, WIRE_BYTES);
    put_varint(t, 9 + 1 + varint_len((uint64_t)time_ms));
    put_double(t, 1, value);
    put_tag(t, 2, WIRE_VARINT);
    put_varint(t, (uint64_t)time_ms);
}

/* ---- series ---- */

struct family {
    const char *name, *help, *unit;
    size_t name_len, help_len, unit_len;
    unsigned type;
};

struct metric {
    struct write_label labels[WRITE_LABELS_MAX];
    size_t label_count;
    int64_t time_ms;
};

static int compare_names(const struct write_label *a, const struct write_label *b)
{
    size_t len = a->name_len < b->name_len ? a->name_len : b->name_len;
    int c = memcmp(a->name, b->name, len);
    return c ? c : (a->name_len > b->name_len) - (a->name_len < b->name_len);
}

/* In its place; one of the same name stays as it is. */
static void insert_label(struct remote_writer *w, struct write_label *labels, size_t *count,
                         const struct write_label *l)
{
    size_t at = *count;
    while (at > 0) {
        int c = compare_names(&labels[at - 1], l);
        if (c == 0)
            return;
        if (c < 0)
            break;
        at--;
    }
    if (*count == WRITE_LABELS_MAX) {
        w->has_no_room = true;
        return;
    }
    memmove(labels + at + 1, labels + at, (*count - at) * sizeof *labels);
    labels[at] = *l;
    (*count)++;
}

/* Begins a series in w->series: its labels. */
static void begin_series(struct remote_writer *w, const struct family *f, const struct metric *m,
                         const char *suffix, const char *more_name, const char *more_value)
{
    struct write_label labels[WRITE_LABELS_MAX];
    size_t count = 0;
    w->series.len = w->name.len = 0;
    belfry__text_append(&w->name, f->name, f->name_len);
    belfry__text_string(&w->name, suffix);
    const struct write_label name = {"__name__", w->name.ptr ? w->name.ptr : "", 8, w->name.len};
    insert_label(w, labels, &count, &name);
    for (size_t i = 0; i < m->label_count; i++)
        insert_label(w, labels, &count, &m->labels[i]);
    if (more_name) {
        const struct write_label more = {more_name, more_value, strlen(more_name),
                                         strlen(more_value)};
        insert_label(w, labels, &count, &more);
    }
    for (size_t i = 0; i < w->extra_count; i++)
        insert_label(w, labels, &count, &w->extra[i]);
    for (size_t i = 0; i < count; i++)
        if (labels[i].value_len > 0) /* an empty one is none */
            put_label(&w->series, &labels[i]);
}

static bool flush(struct remote_writer *w)
{
    if (w->request.failed || w->series.failed || w->name.failed)
        return false;
    if (w->request.len > 0 && !w->is_refused)
        w->is_refused = !w->send(w->arg, w->request.ptr, w->request.len);
    w->request.len = 0;
    w->series_count = 0;
    return !w->is_refused;
}

static bool end_series(struct remote_writer *w)
{
    if (w->has_no_room)
        return false;
    put_bytes(&w->request, 1, w->series.ptr ? w->series.ptr : "", w->series.len);
    w->series_count++;
    if (w->series_count >= WRITE_SERIES_MAX || w->request.len >= WRITE_BYTES_MAX)
        return flush(w);
    return !w->request.failed && !w->series.failed && !w->name.failed;
}

static bool put_value(struct remote_writer *w, const struct family *f, const struct metric *m,
                      const char *suffix, double value)
{
    begin_series(w, f, m, suffix, NULL, NULL);
    put_sample(&w->series, value, m->time_ms);
    return end_series(w);
}

/* client_model's exemplar in prompb's form: the same labels and value, milliseconds in place of a Timestamp. */
static void put_exemplar(struct remote_writer *w, const struct metric *m, struct wire exemplar)
{
    struct wire_field f, part;
    struct text out = {0};
    int64_t time_ms = m->time_ms;
    while (read_field(&exemplar, &f)) {
        if (f.number == 3 && f.type == WIRE_BYTES) {
            time_ms = 0;
            while (read_field(&f.inside, &part))
                time_ms += part.number == 1   ? (int64_t)part.value * 1000
                           : part.number == 2 ? (int64_t)part.value / 1000000
                                              : 0;
        } else if (f.number == 1 || f.number == 2) {
            belfry__text_append(&out, (const char *)f.begin, (size_t)(exemplar.at - f.begin));
        }
    }
    put_tag(&out, 3, WIRE_VARINT);
    put_varint(&out, (uint64_t)time_ms);
    if (!exemplar.is_bad && !out.failed)
        put_bytes(&w->series, 3, out.ptr, out.len);
    belfry__text_deinit(&out);
}

/* ---- kinds ---- */

/* Counter, Gauge, Untyped. */
static bool take_value(struct remote_writer *w, const struct family *fam, const struct metric *m,
                       struct wire in)
{
    struct wire_field f;
    struct wire exemplar = {0};
    double value = 0;
    while (read_field(&in, &f)) {
        if (f.number == 1 && f.type == WIRE_FIXED64)
            value = as_double(&f);
        else if (f.number == 2 && f.type == WIRE_BYTES)
            exemplar = f.inside;
    }
    begin_series(w, fam, m, "", NULL, NULL);
    put_sample(&w->series, value, m->time_ms);
    if (exemplar.at)
        put_exemplar(w, m, exemplar);
    return end_series(w);
}

static bool take_quantile(struct remote_writer *w, const struct family *fam, const struct metric *m,
                          struct wire in)
{
    struct wire_field f;
    char text[NUMBER_TEXT_BYTES + 1];
    double quantile = 0, value = 0;
    while (read_field(&in, &f)) {
        if (f.number == 1)
            quantile = as_double(&f);
        else if (f.number == 2)
            value = as_double(&f);
    }
    text[belfry__put_double_canonical(text, quantile)] = '\0';
    begin_series(w, fam, m, "", "quantile", text);
    put_sample(&w->series, value, m->time_ms);
    return end_series(w);
}

static bool take_summary(struct remote_writer *w, const struct family *fam, const struct metric *m,
                         struct wire in)
{
    struct wire_field f;
    double count = 0, sum = 0;
    while (read_field(&in, &f)) {
        if (f.number == 1)
            count = (double)f.value;
        else if (f.number == 2)
            sum = as_double(&f);
        else if (f.number == 3 && !take_quantile(w, fam, m, f.inside))
            return false;
    }
    return put_value(w, fam, m, "_sum", sum) && put_value(w, fam, m, "_count", count);
}

static bool put_bucket(struct remote_writer *w, const struct family *fam, const struct metric *m,
                       double bound, double count, struct wire exemplar)
{
    char text[NUMBER_TEXT_BYTES + 1];
    text[belfry__put_double_canonical(text, bound)] = '\0';
    begin_series(w, fam, m, "_bucket", "le", text);
    put_sample(&w->series, count, m->time_ms);
    if (exemplar.at)
        put_exemplar(w, m, exemplar);
    return end_series(w);
}

static bool take_bucket(struct remote_writer *w, const struct family *fam, const struct metric *m,
                        struct wire in, bool *has_inf)
{
    struct wire_field f;
    struct wire exemplar = {0};
    double bound = 0, count = 0;
    while (read_field(&in, &f)) {
        if (f.number == 1)
            count = (double)f.value;
        else if (f.number == 2)
            bound = as_double(&f);
        else if (f.number == 3)
            exemplar = f.inside;
        else if (f.number == 4)
            count = as_double(&f);
    }
    *has_inf = *has_inf || bound == INFINITY;
    return put_bucket(w, fam, m, bound, count, exemplar);
}

/* client_model's field -> prompb's; 0 = not there. */
static const unsigned char NATIVE_FIELDS[] = {
    [1] = 1, [2] = 3,  [4] = 2,   [5] = 4,   [6] = 5,   [7] = 6,   [8] = 7,
    [9] = 8, [10] = 9, [11] = 10, [12] = 11, [13] = 12, [14] = 13,
};

static bool take_native(struct remote_writer *w, const struct family *fam, const struct metric *m,
                        struct wire in)
{
    struct wire_field f;
    struct text out = {0};
    while (read_field(&in, &f)) {
        unsigned number = f.number < ARRAY_COUNT(NATIVE_FIELDS) ? NATIVE_FIELDS[f.number] : 0;
        if (!number)
            continue;
        put_tag(&out, number, f.type);
        belfry__text_append(&out, (const char *)f.value_begin, (size_t)(in.at - f.value_begin));
    }
    put_tag(&out, 15, WIRE_VARINT);
    put_varint(&out, (uint64_t)m->time_ms);
    begin_series(w, fam, m, "", NULL, NULL);
    put_bytes(&w->series, 4, out.ptr ? out.ptr : "", out.len);
    bool ok = !out.failed && end_series(w);
    belfry__text_deinit(&out);
    return ok;
}

static bool take_histogram(struct remote_writer *w, const struct family *fam,
                           const struct metric *m, struct wire in)
{
    struct wire_field f;
    struct wire again = in;
    double count = 0, sum = 0;
    bool has_buckets = false, has_inf = false, is_native = false;
    while (read_field(&in, &f)) {
        if (f.number == 1)
            count = (double)f.value;
        else if (f.number == 2)
            sum = as_double(&f);
        else if (f.number == 4)
            count = as_double(&f);
        else if (f.number >= 5 && f.number <= 14)
            is_native = true;
        else if (f.number == 3) {
            has_buckets = true;
            if (!take_bucket(w, fam, m, f.inside, &has_inf))
                return false;
        }
    }
    is_native = is_native && !w->no_native;
    if (is_native && !take_native(w, fam, m, again))
        return false;
    if (is_native && !has_buckets)
        return true;
    return (has_inf || put_bucket(w, fam, m, INFINITY, count, (struct wire){0})) &&
           put_value(w, fam, m, "_sum", sum) && put_value(w, fam, m, "_count", count);
}

/* ---- families ---- */

static void take_label(struct remote_writer *w, struct metric *m, struct wire in)
{
    struct wire_field f;
    struct write_label l = {"", "", 0, 0};
    while (read_field(&in, &f)) {
        if (f.number == 1) {
            l.name = (const char *)f.inside.at;
            l.name_len = wire_len(&f.inside);
        } else if (f.number == 2) {
            l.value = (const char *)f.inside.at;
            l.value_len = wire_len(&f.inside);
        }
    }
    insert_label(w, m->labels, &m->label_count, &l);
}

static bool take_metric(struct remote_writer *w, const struct family *fam, struct wire in)
{
    struct wire_field f;
    struct wire value = {0};
    unsigned kind = 0;
    struct metric m = {.label_count = 0, .time_ms = w->now_ms};
    while (read_field(&in, &f)) {
        if (f.number == 1)
            take_label(w, &m, f.inside);
        else if (f.number == 6)
            m.time_ms = (int64_t)f.value;
        else if (f.type == WIRE_BYTES) {
            kind = f.number;
            value = f.inside;
        }
    }
    if (in.is_bad)
        return false;
    switch (kind) {
    case 2:
    case 3:
    case 5:
        return take_value(w, fam, &m, value);
    case 4:
        return take_summary(w, fam, &m, value);
    case 7:
        return take_histogram(w, fam, &m, value);
    default:
        return true; /* a kind that is newer than this */
    }
}

/* client_model's type -> prompb's. */
static const unsigned char METADATA_TYPES[] = {
    [TYPE_COUNTER] = 1, [TYPE_GAUGE] = 2,     [TYPE_SUMMARY] = 5,
    [TYPE_UNTYPED] = 0, [TYPE_HISTOGRAM] = 3, [TYPE_GAUGE_HISTOGRAM] = 4,
};

static bool put_metadata(struct remote_writer *w, const struct family *f)
{
    w->series.len = 0;
    put_tag(&w->series, 1, WIRE_VARINT);
    put_varint(&w->series, f->type < ARRAY_COUNT(METADATA_TYPES) ? METADATA_TYPES[f->type] : 0);
    put_bytes(&w->series, 2, f->name, f->name_len);
    put_bytes(&w->series, 4, f->help, f->help_len);
    if (f->unit_len)
        put_bytes(&w->series, 5, f->unit, f->unit_len);
    put_bytes(&w->request, 3, w->series.ptr ? w->series.ptr : "", w->series.len);
    return !w->request.failed && !w->series.failed;
}

static void take_head(struct family *fam, struct wire in)
{
    struct wire_field f;
    while (read_field(&in, &f)) {
        const char *text = (const char *)f.inside.at;
        size_t len = wire_len(&f.inside);
        if (f.number == 1) {
            fam->name = text;
            fam->name_len = len;
        } else if (f.number == 2) {
            fam->help = text;
            fam->help_len = len;
        } else if (f.number == 3) {
            fam->type = (unsigned)f.value;
        } else if (f.number == 5) {
            fam->unit = text;
            fam->unit_len = len;
        }
    }
}

static bool take_family(struct remote_writer *w, struct wire in)
{
    struct wire_field f;
    struct family fam = {.name = "", .help = "", .unit = ""};
    take_head(&fam, in);
    if (!put_metadata(w, &fam))
        return false;
    while (read_field(&in, &f))
        if (f.number == 4 && f.type == WIRE_BYTES && !take_metric(w, &fam, f.inside))
            return false;
    return !in.is_bad;
}

bool belfry__remote_writer_take(void *writer, const char *bytes, size_t len)
{
    struct wire in = {.at = (const unsigned char *)bytes,
                      .end = (const unsigned char *)bytes + len};
    while (in.at < in.end) {
        uint64_t family_bytes = read_varint(&in);
        if (in.is_bad || family_bytes > wire_len(&in))
            return false;
        if (!take_family(writer, (struct wire){.at = in.at, .end = in.at + family_bytes}))
            return false;
        in.at += family_bytes;
    }
    return true;
}

bool belfry__remote_writer_finish(struct remote_writer *w)
{
    return flush(w);
}

void belfry__remote_writer_deinit(struct remote_writer *w)
{
    belfry__text_deinit(&w->request);
    belfry__text_deinit(&w->series);
    belfry__text_deinit(&w->name);
}
