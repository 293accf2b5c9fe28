/* SPDX-License-Identifier: Apache-2.0 */
/* remote_write_decode.c: see remote_write_decode.h.
 *
 *   WriteRequest   := 1 TimeSeries *  | 3 MetricMetadata *
 *   TimeSeries     := 1 Label *       | 2 Sample *             | 3 Exemplar * | 4 Histogram *
 *   Label          := 1 name          | 2 value
 *   Exemplar       := 1 Label *       | 2 value fixed64        | 3 timestamp varint
 *   Sample         := 1 value fixed64 | 2 timestamp varint
 *   MetricMetadata := 1 type varint   | 2 family               | 4 help       | 5 unit
 *
 * Unknown fields are skipped; of a field that may stand once the last one counts, as protobuf has it. */
#include "ingest/remote_write_decode.h"

#include "base/mem.h"
#include "base/protobuf.h"
#include "base/utf8.h"
#include "ingest/scrape.h"

#include <string.h>

void write_request_deinit(struct write_request *rq)
{
    mem_free(MEM_REMOTE_WRITE, rq->series);
    mem_free(MEM_REMOTE_WRITE, rq->samples);
    mem_free(MEM_REMOTE_WRITE, rq->exemplars);
    mem_free(MEM_REMOTE_WRITE, rq->metadata);
    arena_deinit(&rq->arena);
    *rq = (struct write_request){0};
}

/* What went wrong, with its place in the whole request. */
static bool malformed(const struct reader *whole, const struct reader *r, const char *what,
                      struct error *err)
{
    return error_set(err, ERROR_INPUT,
                     "the request is not a prometheus.WriteRequest: malformed %s at byte %zu", what,
                     (size_t)(r->ptr - whole->ptr) + r->failed_pos);
}

/* ---- series ---- */

static bool sample_add(struct write_request *rq, struct view bytes, struct reader *r,
                       struct error *err)
{
    struct protobuf_field f;
    struct write_sample s = {.series = (uint32_t)rq->series_count};
    *r = reader_from(bytes);
    while (protobuf_next(r, &f)) {
        if (protobuf_is(&f, 1, PROTOBUF_FIXED64))
            memcpy(&s.value, &f.value, sizeof s.value);
        else if (protobuf_is(&f, 2, PROTOBUF_VARINT))
            s.timestamp_ms = (int64_t)f.value;
    }
    if (r->failed)
        return false;
    if (rq->sample_count == WRITE_SAMPLES_MAX)
        return error_set(err, ERROR_TOO_LARGE, "the request has more than %d samples",
                         WRITE_SAMPLES_MAX);
    if (UNLIKELY(rq->sample_count == rq->sample_capacity))
        rq->samples = mem_grow(MEM_REMOTE_WRITE, rq->samples, &rq->sample_capacity,
                               rq->sample_count + 1, sizeof *rq->samples);
    rq->samples[rq->sample_count++] = s;
    return true;
}

static void exemplar_add(struct write_request *rq, struct view encoded)
{
    if (rq->exemplar_count == WRITE_EXEMPLARS_MAX)
        return;
    if (rq->exemplar_count == rq->exemplar_capacity)
        rq->exemplars = mem_grow(MEM_REMOTE_WRITE, rq->exemplars, &rq->exemplar_capacity,
                                 rq->exemplar_count + 1, sizeof *rq->exemplars);
    rq->exemplars[rq->exemplar_count++] =
        (struct write_exemplar){encoded, (uint32_t)rq->series_count};
}

/* Label fields with others between them, put together. */
NOINLINE static struct view labels_gather(struct arena *arena, struct view series)
{
    struct reader r = reader_from(series);
    struct protobuf_field f;
    char *out = arena_alloc(arena, series.len);
    size_t len = 0;
    while (protobuf_next(&r, &f)) {
        if (!protobuf_is(&f, 1, PROTOBUF_BYTES))
            continue;
        memcpy(out + len, r.ptr + f.start, r.pos - f.start);
        len += r.pos - f.start;
    }
    return (struct view){out, len};
}

static bool series_add(struct write_request *rq, const struct reader *whole, struct view bytes,
                       struct error *err)
{
    struct reader r = reader_from(bytes), inner;
    struct protobuf_field f;
    size_t begin = 0, end = 0, samples = rq->sample_count, exemplars = rq->exemplar_count;
    bool scattered = false;
    while (protobuf_next(&r, &f)) {
        if (protobuf_is(&f, 1, PROTOBUF_BYTES)) {
            if (end == 0)
                begin = f.start;
            else
                scattered |= end != f.start;
            end = r.pos;
        } else if (protobuf_is(&f, 2, PROTOBUF_BYTES)) {
            err->kind = ERROR_NONE;
            if (!sample_add(rq, f.bytes, &inner, err))
                return err->kind != ERROR_NONE ? false : malformed(whole, &inner, "Sample", err);
        } else if (protobuf_is(&f, 3, PROTOBUF_BYTES)) {
            exemplar_add(rq, f.bytes);
        } else if (protobuf_is(&f, 4, PROTOBUF_BYTES)) {
            rq->histograms++;
        }
    }
    if (r.failed)
        return malformed(whole, &r, "TimeSeries", err);
    bool has_samples = rq->sample_count > samples;
    if (!has_samples && rq->exemplar_count == exemplars)
        return true;
    struct view labels =
        UNLIKELY(scattered) ? labels_gather(&rq->arena, bytes) : view_slice(bytes, begin, end);
    if (rq->series_count == WRITE_SERIES_MAX)
        return error_set(err, ERROR_TOO_LARGE, "the request has more than %d series",
                         WRITE_SERIES_MAX);
    if (UNLIKELY(rq->series_count == rq->series_capacity))
        rq->series = mem_grow(MEM_REMOTE_WRITE, rq->series, &rq->series_capacity,
                              rq->series_count + 1, sizeof *rq->series);
    rq->series[rq->series_count++] =
        (struct write_series){.labels = labels,
                              .hash = hash128_secret(labels.ptr, labels.len),
                              .has_samples = has_samples};
    return true;
}

/* ---- metadata ---- */

static bool metadata_add(struct write_request *rq, const struct reader *whole, struct view bytes,
                         struct error *err)
{
    struct reader r = reader_from(bytes);
    struct protobuf_field f;
    struct metric_metadata m = {.family = VIEW(""), .help = VIEW(""), .unit = VIEW("")};
    while (protobuf_next(&r, &f)) {
        if (protobuf_is(&f, 1, PROTOBUF_VARINT)) /* in the order of enum metric_type */
            m.type = f.value < METRIC_TYPE_COUNT ? (enum metric_type)f.value : METRIC_UNKNOWN;
        else if (protobuf_is(&f, 2, PROTOBUF_BYTES))
            m.family = f.bytes;
        else if (protobuf_is(&f, 4, PROTOBUF_BYTES))
            m.help = f.bytes;
        else if (protobuf_is(&f, 5, PROTOBUF_BYTES))
            m.unit = f.bytes;
    }
    if (r.failed)
        return malformed(whole, &r, "MetricMetadata", err);
    bool is_text = m.family.len > 0 && m.family.len <= SCRAPE_LABEL_NAME_BYTES_MAX &&
                   m.unit.len <= SCRAPE_LABEL_NAME_BYTES_MAX && utf8_is_valid(m.family) &&
                   utf8_is_valid(m.help) && utf8_is_valid(m.unit);
    if (!is_text || rq->metadata_count == WRITE_METADATA_MAX)
        return true;
    if (rq->metadata_count == rq->metadata_capacity)
        rq->metadata = mem_grow(MEM_REMOTE_WRITE, rq->metadata, &rq->metadata_capacity,
                                rq->metadata_count + 1, sizeof *rq->metadata);
    rq->metadata[rq->metadata_count++] = m;
    return true;
}

bool write_request_decode(struct write_request *rq, struct view bytes, struct error *err)
{
    struct reader r = reader_from(bytes);
    struct protobuf_field f;
    rq->series_count = rq->sample_count = rq->metadata_count = 0;
    rq->exemplar_count = 0;
    rq->histograms = 0;
    while (protobuf_next(&r, &f)) {
        if (protobuf_is(&f, 1, PROTOBUF_BYTES)) {
            if (!series_add(rq, &r, f.bytes, err))
                return false;
        } else if (protobuf_is(&f, 3, PROTOBUF_BYTES)) {
            if (!metadata_add(rq, &r, f.bytes, err))
                return false;
        }
    }
    return !r.failed || malformed(&r, &r, "WriteRequest", err);
}

/* ---- labels of a series that nobody knows ---- */

enum { SHOWN_BYTES = 64 };

static int shown(struct view v)
{
    return (int)(v.len < SHOWN_BYTES ? v.len : SHOWN_BYTES);
}

static bool label_check(struct view name, struct view value, struct error *err)
{
    if (name.len == 0)
        return error_set(err, ERROR_INPUT, "a label without a name (value \"%.*s\")", shown(value),
                         value.ptr);
    if (name.len > SCRAPE_LABEL_NAME_BYTES_MAX || value.len > SCRAPE_LABEL_VALUE_BYTES_MAX)
        return error_set(err, ERROR_INPUT,
                         "label \"%.*s\" has %zu bytes of name and %zu of value, at most %d and %d "
                         "are allowed",
                         shown(name), name.ptr, name.len, value.len, SCRAPE_LABEL_NAME_BYTES_MAX,
                         SCRAPE_LABEL_VALUE_BYTES_MAX);
    if (!utf8_is_valid(name))
        return error_set(err, ERROR_INPUT, "a label name is not valid UTF-8");
    return utf8_is_valid(value) ||
           error_set(err, ERROR_INPUT, "the value of label \"%.*s\" is not valid UTF-8",
                     shown(name), name.ptr);
}

static bool label_read(struct view encoded, struct view *name, struct view *value)
{
    struct reader r = reader_from(encoded);
    struct protobuf_field f;
    *name = *value = VIEW("");
    while (protobuf_next(&r, &f)) {
        if (protobuf_is(&f, 1, PROTOBUF_BYTES))
            *name = f.bytes;
        else if (protobuf_is(&f, 2, PROTOBUF_BYTES))
            *value = f.bytes;
    }
    return !r.failed;
}

static bool labels_check_order(struct arena *arena, struct label *items, size_t count,
                               struct error *err)
{
    bool sorted = true, named = false;
    for (size_t i = 1; i < count; i++)
        sorted &= view_cmp(items[i - 1].name, items[i].name) < 0;
    if (!sorted)
        labels_sort(arena, items, count);
    for (size_t i = 0; i < count; i++) {
        named |= view_is(items[i].name, LABEL_NAME);
        if (i > 0 && view_eq(items[i - 1].name, items[i].name))
            return error_set(err, ERROR_INPUT, "label name \"%.*s\" is not unique",
                             shown(items[i].name), items[i].name.ptr);
    }
    return named || error_set(err, ERROR_INPUT, "missing metric name (%s label)", LABEL_NAME);
}

bool write_series_labels(struct arena *arena, struct view encoded, struct labels *out,
                         struct error *err)
{
    struct label items[SCRAPE_LABELS_MAX];
    struct reader r = reader_from(encoded);
    struct protobuf_field f;
    size_t count = 0;
    while (protobuf_next(&r, &f)) {
        struct view name, value;
        if (!label_read(f.bytes, &name, &value))
            return error_set(err, ERROR_INPUT, "a label is malformed");
        if (!label_check(name, value, err))
            return false;
        if (value.len == 0)
            continue; /* as if it were not there */
        if (count == SCRAPE_LABELS_MAX)
            return error_set(err, ERROR_INPUT, "more than %d labels", SCRAPE_LABELS_MAX);
        items[count++] = (struct label){name, value};
    }
    if (!labels_check_order(arena, items, count, err))
        return false;
    struct label *kept = arena_alloc(arena, count * sizeof *kept);
    memcpy(kept, items, count * sizeof *kept);
    *out = (struct labels){kept, (uint32_t)count};
    return true;
}

bool write_exemplar_read(struct arena *arena, struct view encoded, struct exemplar *out)
{
    struct label items[SCRAPE_LABELS_MAX];
    struct reader r = reader_from(encoded);
    struct protobuf_field f;
    size_t count = 0;
    *out = (struct exemplar){.has_timestamp = true};
    while (protobuf_next(&r, &f)) {
        if (protobuf_is(&f, 1, PROTOBUF_BYTES)) {
            struct label *l = &items[count];
            if (count == SCRAPE_LABELS_MAX || !label_read(f.bytes, &l->name, &l->value) ||
                !label_check(l->name, l->value, NULL))
                return false;
            count += l->value.len > 0;
        } else if (protobuf_is(&f, 2, PROTOBUF_FIXED64)) {
            memcpy(&out->value, &f.value, sizeof out->value);
        } else if (protobuf_is(&f, 3, PROTOBUF_VARINT)) {
            out->timestamp_ms = (int64_t)f.value;
        }
    }
    labels_sort(arena, items, count);
    for (size_t i = 1; i < count; i++) {
        if (view_eq(items[i - 1].name, items[i].name))
            return false;
    }
    struct label *kept = arena_alloc(arena, (count + 1) * sizeof *kept);
    memcpy(kept, items, count * sizeof *kept);
    out->labels = (struct labels){kept, (uint32_t)count};
    return !r.failed;
}
