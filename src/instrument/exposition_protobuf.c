/* SPDX-License-Identifier: Apache-2.0 */
/* exposition_protobuf.c: io.prometheus.client.MetricFamily messages (client_model's metrics.proto), each behind its
 * length as a varint.
 *
 *   MetricFamily  1 name  2 help  3 type  4 Metric...  5 unit
 *   Metric        1 LabelPair {1 name 2 value}...  2 Gauge  3 Counter  4 Summary  5 Untyped  7 Histogram
 *   Gauge, Counter, Untyped {1 value}, Counter also {2 Exemplar  3 created}
 *   Summary       1 sample_count  2 sample_sum  3 Quantile {1 quantile 2 value}...  4 created
 *   Histogram     1 sample_count  2 sample_sum  3 Bucket {1 cumulative_count 2 upper_bound 3 Exemplar}...
 *                 5 schema  6 zero_threshold  7 zero_count  9 negative Span {1 offset 2 length}...  10 negative delta...
 *                 12 positive Span...  13 positive delta...  15 created  16 Exemplar...
 *   Exemplar {1 LabelPair... 2 value 3 time}, all times Timestamp {1 seconds 2 nanos}
 *
 * The length of a message is not known when it begins: one byte is left for it, and what was written moves when the
 * length takes more. */
#include "instrument/cells.h"
#include "instrument/exposition.h"

#include <math.h>
#include <string.h>

enum { WIRE_VARINT, WIRE_FIXED64, WIRE_BYTES };
enum { FAMILY_NAME = 1, FAMILY_HELP, FAMILY_TYPE, FAMILY_METRIC, FAMILY_UNIT };
enum {
    METRIC_LABEL = 1,
    METRIC_GAUGE,
    METRIC_COUNTER,
    METRIC_SUMMARY,
    METRIC_UNTYPED,
    METRIC_HISTOGRAM = 7
};
enum { LABEL_NAME = 1, LABEL_VALUE };
enum { VALUE = 1, COUNTER_EXEMPLAR, COUNTER_CREATED };
enum { SAMPLE_COUNT = 1, SAMPLE_SUM, SUMMARY_QUANTILE, SUMMARY_CREATED };
enum {
    HISTOGRAM_BUCKET = 3,
    HISTOGRAM_SCHEMA = 5,
    HISTOGRAM_ZERO_THRESHOLD,
    HISTOGRAM_ZERO_COUNT,
    HISTOGRAM_NEGATIVE_SPAN = 9,
    HISTOGRAM_NEGATIVE_DELTA,
    HISTOGRAM_POSITIVE_SPAN = 12,
    HISTOGRAM_POSITIVE_DELTA,
    HISTOGRAM_CREATED = 15,
    HISTOGRAM_EXEMPLAR
};
enum { BUCKET_COUNT = 1, BUCKET_BOUND, BUCKET_EXEMPLAR };
enum { SPAN_OFFSET = 1, SPAN_LENGTH };
enum { EXEMPLAR_VALUE = 2, EXEMPLAR_TIME };
enum { TIME_SECONDS = 1, TIME_NANOS };
enum { QUANTILE = 1, QUANTILE_VALUE };
enum { VARINT_BYTES_MAX = 10 };

/* How metrics.proto numbers the types, and which field of Metric holds the value. */
static const struct {
    unsigned char type, field;
} KINDS[] = {
    [BELFRY_COUNTER] = {0, METRIC_COUNTER},     [BELFRY_GAUGE] = {1, METRIC_GAUGE},
    [BELFRY_HISTOGRAM] = {4, METRIC_HISTOGRAM}, [BELFRY_SUMMARY] = {2, METRIC_SUMMARY},
    [BELFRY_UNTYPED] = {3, METRIC_UNTYPED},     [BELFRY_INFO] = {1, METRIC_GAUGE},
    [BELFRY_STATESET] = {1, METRIC_GAUGE},
};

/* --- the wire --- */

static char *put_varint(char *at, uint64_t v)
{
    for (; v >= 0x80; v >>= 7)
        *at++ = (char)(v | 0x80);
    *at++ = (char)v;
    return at;
}

static void write_varint(struct text *t, unsigned field, uint64_t v)
{
    char *at = belfry__text_room(t, 2 * VARINT_BYTES_MAX);
    if (!at)
        return;
    at = put_varint(at, field << 3 | WIRE_VARINT);
    t->len = (size_t)(put_varint(at, v) - t->ptr);
}

/* Small ones of either sign are short. */
static void write_zigzag(struct text *t, unsigned field, int64_t v)
{
    write_varint(t, field, (uint64_t)v << 1 ^ (uint64_t)(v < 0 ? -1 : 0));
}

static void write_double(struct text *t, unsigned field, double v)
{
    char *at = belfry__text_room(t, VARINT_BYTES_MAX + 8);
    if (!at)
        return;
    at = put_varint(at, field << 3 | WIRE_FIXED64);
    uint64_t bits = bits_from_double(v);
    for (size_t i = 0; i < 8; i++, bits >>= 8)
        *at++ = (char)bits; /* little endian, whatever the machine */
    t->len = (size_t)(at - t->ptr);
}

/* Where the length of a message that begins here will stand. */
static size_t length_begin(struct text *t)
{
    size_t at = t->len;
    belfry__text_byte(t, '\0');
    return at;
}

static size_t message_begin(struct text *t, unsigned field)
{
    char *at = belfry__text_room(t, VARINT_BYTES_MAX);
    if (at)
        t->len = (size_t)(put_varint(at, field << 3 | WIRE_BYTES) - t->ptr);
    return length_begin(t);
}

static void message_end(struct text *t, size_t at)
{
    char length[VARINT_BYTES_MAX];
    if (t->failed)
        return;
    size_t len = t->len - at - 1, more = (size_t)(put_varint(length, len) - length) - 1;
    if (more) {
        if (!belfry__text_room(t, more))
            return;
        memmove(t->ptr + at + 1 + more, t->ptr + at + 1, len);
        t->len += more;
    }
    memcpy(t->ptr + at, length, more + 1);
}

static void write_clean(struct text *t, unsigned field, const char *string, size_t bytes_max)
{
    size_t at = message_begin(t, field);
    belfry__text_clean(t, string, bytes_max);
    message_end(t, at);
}

/* --- families and what all metrics have --- */

static void label_write(struct output *o, const char *name, const char *value)
{
    struct text *t = &o->text;
    size_t label = message_begin(t, METRIC_LABEL), at = message_begin(t, LABEL_NAME);
    belfry__name_escape(t, name, false, o->escaping);
    message_end(t, at);
    write_clean(t, LABEL_VALUE, value, BELFRY_LABEL_VALUE_BYTES_MAX);
    message_end(t, label);
}

static void time_write(struct text *t, unsigned field, int64_t ms)
{
    size_t at = message_begin(t, field);
    write_varint(t, TIME_SECONDS, (uint64_t)(ms / 1000));
    write_varint(t, TIME_NANOS, (uint64_t)(ms % 1000) * 1000000);
    message_end(t, at);
}

static void exemplar_write(struct output *o, unsigned field, const struct exemplar *x)
{
    size_t at = message_begin(&o->text, field);
    const char *name = x->text;
    for (size_t i = 0; i < x->label_count; i++) {
        const char *value = name + strlen(name) + 1;
        label_write(o, name, value);
        name = value + strlen(value) + 1;
    }
    write_double(&o->text, EXEMPLAR_VALUE, x->value);
    time_write(&o->text, EXEMPLAR_TIME, x->timestamp_ms);
    message_end(&o->text, at);
}

static void value_write(struct text *t, belfry_metric_type type, double value)
{
    size_t at = message_begin(t, KINDS[type].field);
    write_double(t, VALUE, value);
    message_end(t, at);
}

/* --- registered metrics --- */

static void counter_write(struct output *o, const struct metric *m)
{
    const belfry_counter *c = (const belfry_counter *)m;
    struct text *t = &o->text;
    struct exemplar x;
    size_t at = message_begin(t, METRIC_COUNTER);
    write_double(t, VALUE, belfry_counter_value(c));
    if (belfry__exemplar_read(&c->exemplar, &x))
        exemplar_write(o, COUNTER_EXEMPLAR, &x);
    time_write(t, COUNTER_CREATED, m->created_ms);
    message_end(t, at);
}

/* +Inf is the count: it is there for its exemplar only. */
static void classic_write(struct output *o, const belfry_histogram *h)
{
    struct text *t = &o->text;
    uint64_t cumulative = 0;
    for (size_t i = 0; h->is_classic && i <= h->bound_count; i++) {
        struct exemplar x;
        bool has_exemplar = belfry__histogram_exemplar(h, i, &x);
        cumulative += o->histogram.classic[i];
        if (i == h->bound_count && !has_exemplar)
            return;
        size_t bucket = message_begin(t, HISTOGRAM_BUCKET);
        write_varint(t, BUCKET_COUNT, cumulative);
        write_double(t, BUCKET_BOUND, i < h->bound_count ? h->bounds[i] : INFINITY);
        if (has_exemplar)
            exemplar_write(o, BUCKET_EXEMPLAR, &x);
        message_end(t, bucket);
    }
}

/* Empty buckets between two that are not: so few of them cost less than a span. */
enum { GAP_MAX = 2 };

/* Runs of neighbouring buckets: how far each begins behind the end of the one before, and its length. */
static void spans_write(struct text *t, unsigned field, const struct sketch_bucket *buckets,
                        size_t count)
{
    int32_t next = 0;
    for (size_t i = 0; i < count; i++) {
        int32_t first = buckets[i].key;
        while (i + 1 < count && buckets[i + 1].key - buckets[i].key <= GAP_MAX + 1)
            i++;
        size_t at = message_begin(t, field);
        write_zigzag(t, SPAN_OFFSET, first - next);
        next = buckets[i].key + 1;
        write_varint(t, SPAN_LENGTH, (uint64_t)(next - first));
        message_end(t, at);
    }
}

/* The counts of all buckets of the spans, each as its difference to the one before. */
static void deltas_write(struct text *t, unsigned field, const struct sketch_bucket *buckets,
                         size_t count)
{
    int64_t before = 0;
    for (size_t i = 0; i < count; i++) {
        int32_t gap = i ? buckets[i].key - buckets[i - 1].key - 1 : 0;
        for (int32_t k = 0; gap <= GAP_MAX && k < gap; k++, before = 0)
            write_zigzag(t, field, -before);
        write_zigzag(t, field, (int64_t)buckets[i].count - before);
        before = (int64_t)buckets[i].count;
    }
}

static void native_write(struct output *o, const belfry_histogram *h)
{
    const struct sketch_reading *r = &o->histogram.native;
    struct text *t = &o->text;
    struct exemplar x;
    write_zigzag(t, HISTOGRAM_SCHEMA, r->schema);
    write_double(t, HISTOGRAM_ZERO_THRESHOLD, r->zero_threshold);
    write_varint(t, HISTOGRAM_ZERO_COUNT, r->zero_count);
    spans_write(t, HISTOGRAM_NEGATIVE_SPAN, r->negative, r->negative_count);
    deltas_write(t, HISTOGRAM_NEGATIVE_DELTA, r->negative, r->negative_count);
    spans_write(t, HISTOGRAM_POSITIVE_SPAN, r->positive, r->positive_count);
    deltas_write(t, HISTOGRAM_POSITIVE_DELTA, r->positive, r->positive_count);
    if (r->count == 0 && r->zero_threshold == 0) {
        /* a span of nothing: how readers know an empty one for native */
        size_t at = message_begin(t, HISTOGRAM_POSITIVE_SPAN);
        write_zigzag(t, SPAN_OFFSET, 0);
        write_varint(t, SPAN_LENGTH, 0);
        message_end(t, at);
    }
    for (size_t i = 0; !h->is_classic && i < HISTOGRAM_NATIVE_EXEMPLARS; i++) {
        if (belfry__histogram_exemplar(h, i, &x))
            exemplar_write(o, HISTOGRAM_EXEMPLAR, &x);
    }
}

static void histogram_write(struct output *o, const struct metric *m)
{
    const belfry_histogram *h = (const belfry_histogram *)m;
    struct text *t = &o->text;
    if (!belfry__histogram_read(h, &o->histogram)) {
        o->failed = true;
        return;
    }
    size_t at = message_begin(t, METRIC_HISTOGRAM);
    write_varint(t, SAMPLE_COUNT, o->histogram.count);
    write_double(t, SAMPLE_SUM, o->histogram.sum);
    classic_write(o, h);
    if (h->is_native)
        native_write(o, h);
    time_write(t, HISTOGRAM_CREATED, o->histogram.created_ms);
    message_end(t, at);
}

static void summary_write(struct output *o, const struct metric *m)
{
    double values[BELFRY_QUANTILES_MAX], sum;
    uint64_t count;
    struct text *t = &o->text;
    if (!belfry__summary_read((const belfry_summary *)m, values, &count, &sum)) {
        o->failed = true;
        return;
    }
    size_t at = message_begin(t, METRIC_SUMMARY);
    write_varint(t, SAMPLE_COUNT, count);
    write_double(t, SAMPLE_SUM, sum);
    for (size_t i = 0; i < m->family->quantile_count; i++) {
        size_t quantile = message_begin(t, SUMMARY_QUANTILE);
        write_double(t, QUANTILE, m->family->quantiles[i]);
        write_double(t, QUANTILE_VALUE, values[i]);
        message_end(t, quantile);
    }
    time_write(t, SUMMARY_CREATED, m->created_ms);
    message_end(t, at);
}

/* The label's name is laid out already, its value is known to be UTF-8. */
static void label_put(struct text *t, const char *head, size_t head_len, const char *value,
                      size_t value_len)
{
    char *at = belfry__text_room(t, head_len + value_len + 2 * (VARINT_BYTES_MAX + 1)), *pair;
    char length[VARINT_BYTES_MAX];
    if (!at)
        return;
    size_t length_bytes = (size_t)(put_varint(length, value_len) - length);
    *at++ = METRIC_LABEL << 3 | WIRE_BYTES;
    pair = put_varint(at, head_len + 1 + length_bytes + value_len);
    memcpy(pair, head, head_len);
    pair += head_len;
    *pair++ = LABEL_VALUE << 3 | WIRE_BYTES;
    memcpy(pair, length, length_bytes);
    memcpy(pair + length_bytes, value, value_len);
    t->len = (size_t)(pair + length_bytes + value_len - t->ptr);
}

/* Constant labels, and the name of each label of a registered family as it stands in a LabelPair. Not whole once the text has
 * failed: whoever reads heads looks at heads_are_whole() first. */
static void heads_layout(struct output *o, const struct shown_family *f)
{
    struct text *t = &o->text;
    size_t begin = t->len; /* laid out there, then moved */
    o->heads.len = 0;
    for (size_t i = 0; i < o->registry->label_count; i++)
        label_write(o, o->registry->labels[i].name, o->registry->labels[i].value);
    for (size_t i = 0; !t->failed; i++) {
        if (t->len > begin)
            belfry__text_append(&o->heads, t->ptr + begin, t->len - begin);
        t->len = begin;
        o->head_ends[i] = o->heads.len;
        if (!f->family || i == f->family->label_count)
            return;
        size_t at = message_begin(t, LABEL_NAME);
        belfry__name_escape(t, f->family->label_names[i], false, o->escaping);
        message_end(t, at);
    }
}

static bool heads_are_whole(const struct output *o)
{
    return !o->heads.failed && !o->text.failed;
}

static void constant_labels_write(struct output *o)
{
    if (heads_are_whole(o) && o->head_ends[0])
        belfry__text_append(&o->text, o->heads.ptr, o->head_ends[0]);
}

static void metric_labels_write(struct output *o, const struct metric *m)
{
    const char *value = metric_values(m);
    constant_labels_write(o);
    for (size_t i = 0; heads_are_whole(o) && i < m->family->label_count; i++) {
        size_t begin = o->head_ends[i], len = strlen(value);
        label_put(&o->text, o->heads.ptr + begin, o->head_ends[i + 1] - begin, value, len);
        value += len + 1;
    }
}

/* One metric per state. */
static void stateset_write(struct output *o, const struct metric *m)
{
    for (size_t i = 0; i < m->family->state_count; i++) {
        size_t at = message_begin(&o->text, FAMILY_METRIC);
        metric_labels_write(o, m);
        label_write(o, m->family->name, m->family->states[i]);
        value_write(&o->text, BELFRY_STATESET,
                    belfry_stateset_holds((const belfry_stateset *)m, i));
        message_end(&o->text, at);
    }
}

static void protobuf_family_begin(struct output *o, const struct shown_family *f)
{
    struct text *t = &o->text;
    heads_layout(o, f);
    o->is_value_open = false;
    o->family_at = length_begin(t);
    size_t at = message_begin(t, FAMILY_NAME);
    belfry__text_append(t, f->name, f->name_len);
    message_end(t, at);
    if (f->help[0])
        write_clean(t, FAMILY_HELP, f->help, TEXT_BYTES_MAX);
    write_varint(t, FAMILY_TYPE, KINDS[f->type].type);
    if (f->unit)
        write_clean(t, FAMILY_UNIT, f->unit, TEXT_BYTES_MAX);
}

static void protobuf_metric(struct output *o, const struct shown_family *f, const struct metric *m)
{
    (void)f;
    if (m->family->type == BELFRY_STATESET) {
        stateset_write(o, m);
        return;
    }
    size_t at = message_begin(&o->text, FAMILY_METRIC);
    metric_labels_write(o, m);
    if (m->family->type == BELFRY_HISTOGRAM)
        histogram_write(o, m);
    else if (m->family->type == BELFRY_SUMMARY)
        summary_write(o, m);
    else if (m->family->type == BELFRY_COUNTER)
        counter_write(o, m);
    else
        value_write(&o->text, m->family->type, belfry_gauge_value((const belfry_gauge *)m));
    message_end(&o->text, at);
}

/* --- samples of collectors ---
 * Those of one histogram or summary come as lines: neighbours with the same labels but le and quantile are one. */

static void emitted_close(struct output *o)
{
    if (!o->is_value_open)
        return;
    o->is_value_open = false;
    write_varint(&o->text, SAMPLE_COUNT, o->count);
    write_double(&o->text, SAMPLE_SUM, o->sum);
    message_end(&o->text, o->value_at);
    message_end(&o->text, o->metric_at);
}

static uint64_t whole(double v)
{
    return !(v > 0) ? 0 : v < 0x1p63 ? (uint64_t)v : UINT64_MAX;
}

/* The labels without `special` are laid out in o->labels as they came; the value of that one, or NULL. */
static const char *labels_split(struct output *o, const struct emitted *e, const char *special)
{
    const char *found = NULL, *name = e->labels;
    o->labels.len = 0;
    for (size_t i = 0; i < e->label_count; i++) {
        const char *value = name + strlen(name) + 1, *end = value + strlen(value) + 1;
        if (special && strcmp(name, special) == 0)
            found = value;
        else
            belfry__text_append(&o->labels, name, (size_t)(end - name));
        name = end;
    }
    return found;
}

static void labels_write(struct output *o)
{
    constant_labels_write(o);
    for (size_t at = 0; !o->labels.failed && at < o->labels.len;) {
        const char *name = o->labels.ptr + at, *value = name + strlen(name) + 1;
        label_write(o, name, value);
        at = (size_t)(value - o->labels.ptr) + strlen(value) + 1;
    }
}

static bool same_bytes(const struct text *a, const struct text *b)
{
    return a->len == b->len && (a->len == 0 || memcmp(a->ptr, b->ptr, a->len) == 0);
}

/* Makes the one with the labels in o->labels the open one. */
static void emitted_open(struct output *o, belfry_metric_type type)
{
    if (o->is_value_open && same_bytes(&o->labels, &o->key))
        return;
    emitted_close(o);
    o->key.len = 0;
    belfry__text_append(&o->key, o->labels.ptr, o->labels.len);
    o->count = 0;
    o->sum = 0;
    o->metric_at = message_begin(&o->text, FAMILY_METRIC);
    labels_write(o);
    o->value_at = message_begin(&o->text, KINDS[type].field);
    o->is_value_open = true;
}

static void part_write(struct output *o, const struct emitted *e, belfry_metric_type type,
                       const char *special)
{
    struct text *t = &o->text;
    if (strcmp(e->suffix, "_sum") == 0) {
        o->sum = e->value;
    } else if (strcmp(e->suffix, "_count") == 0) {
        o->count = whole(e->value);
    } else if (special && type == BELFRY_HISTOGRAM) {
        size_t at = message_begin(t, HISTOGRAM_BUCKET);
        write_varint(t, BUCKET_COUNT, whole(e->value));
        write_double(t, BUCKET_BOUND, belfry__read_double(special));
        message_end(t, at);
    } else if (special) {
        size_t at = message_begin(t, SUMMARY_QUANTILE);
        write_double(t, QUANTILE, belfry__read_double(special));
        write_double(t, QUANTILE_VALUE, e->value);
        message_end(t, at);
    }
}

static void protobuf_sample(struct output *o, const struct shown_family *f, const struct emitted *e)
{
    if (f->type == BELFRY_HISTOGRAM || f->type == BELFRY_SUMMARY) {
        const char *special = labels_split(o, e, f->type == BELFRY_HISTOGRAM ? "le" : "quantile");
        emitted_open(o, f->type);
        part_write(o, e, f->type, special);
        return;
    }
    (void)labels_split(o, e, NULL); /* nothing is special */
    size_t at = message_begin(&o->text, FAMILY_METRIC);
    labels_write(o);
    value_write(&o->text, f->type, e->value);
    message_end(&o->text, at);
}

static void protobuf_family_end(struct output *o, const struct shown_family *f)
{
    (void)f;
    emitted_close(o);
    message_end(&o->text, o->family_at);
}

const struct format belfry__format_protobuf = {
    .family_begin = protobuf_family_begin,
    .metric = protobuf_metric,
    .sample = protobuf_sample,
    .family_end = protobuf_family_end,
    .keeps_families_whole = true,
};
