/* SPDX-License-Identifier: Apache-2.0 */
/* prometheus_wal.c: Prometheus' log as its documents lay it out (tsdb/docs/format/wal.md).
 *
 *   segment  := pages of 32 KiB; page := fragments, then zeros
 *   fragment := kind u8 | length u16 | CRC32C u32 | data           big endian; the checksum is the data's
 *     kind: low 3 bits 0 = the rest of the page is empty, 1 = a whole record, 2 first, 3 middle, 4 last of one;
 *           bit 3: the record is compressed with snappy, bit 4: with zstd
 *   record   := type u8 | content
 *     1 series:  (number u64 | labels uvarint | (name, value: length uvarint, bytes) ...) ...
 *     2 samples: base number u64 | base time u64 | (number - base svarint | time - base svarint | value u64) ...
 *     3 deleted: (number u64 | mint svarint | maxt svarint) ...
 *     others: exemplars, metadata, native histograms, marks of chunk files: passed over and counted
 *
 * A record never crosses a segment. Damage costs the record; reading goes on at the next page, since fragments
 * cannot be found without the length of the one before. */
#include "storage/prometheus_wal.h"

#include "base/checksum.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/reader.h"

#include <inttypes.h>
#include <snappy-c.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

enum {
    PAGE_BYTES = 32 << 10,
    FRAGMENT_HEADER_BYTES = 7,
    KIND_MASK = 7,
    KIND_SNAPPY = 8,
    KIND_ZSTD = 16,
    RECORD_BYTES_MAX = 256 << 20,
    LABELS_MAX = 1 << 12,
    PATH_BYTES_MAX = 4096
};
enum fragment_kind { KIND_EMPTY, KIND_FULL, KIND_FIRST, KIND_MIDDLE, KIND_LAST };
enum record_type { RECORD_SERIES = 1, RECORD_SAMPLES = 2, RECORD_DELETED = 3 };
#define SEGMENT_BYTES_MAX ((size_t)1 << 30)

struct wal_reading {
    const struct prometheus_wal_sink *sink;
    struct prometheus_wal_report *report;
    struct buffer record; /* fragments so far */
    struct buffer plain;  /* unpacked */
    struct arena arena;
    bool open; /* a record has begun */
};

static void damage(struct wal_reading *w, const char *what, size_t offset)
{
    if (w->report->damaged++ == 0)
        (void)snprintf(w->report->damage, sizeof w->report->damage, "%s at byte %zu", what, offset);
    w->open = false;
}

/* --- records ---------------------------------------------------------------------------------------- */

static bool series_record(struct wal_reading *w, struct reader *r, struct error *err)
{
    while (reader_left(r)) {
        arena_reset(&w->arena);
        uint64_t number = reader_u64be(r), count = reader_varint(r);
        if (r->failed || count > LABELS_MAX) {
            reader_fail(r);
            return true;
        }
        struct label *items = ARENA_ARRAY(&w->arena, struct label, count + 1);
        uint32_t kept = 0;
        for (uint64_t i = 0; i < count; i++) {
            items[kept].name = reader_string(r, r->len);
            items[kept].value = reader_string(r, r->len);
            kept += items[kept].value.len > 0;
        }
        if (r->failed)
            return true;
        labels_sort(&w->arena, items, kept);
        if (!w->sink->series(w->sink->arg, number, (struct labels){items, kept}, err))
            return false;
    }
    return true;
}

static bool samples_record(struct wal_reading *w, struct reader *r, struct error *err)
{
    if (reader_left(r) == 0)
        return true;
    uint64_t number = reader_u64be(r), time = reader_u64be(r);
    while (reader_left(r)) {
        uint64_t n = number + (uint64_t)reader_svarint(r);
        uint64_t t = time + (uint64_t)reader_svarint(r);
        uint64_t bits = reader_u64be(r);
        double value;
        memcpy(&value, &bits, sizeof value);
        if (!r->failed && !w->sink->sample(w->sink->arg, n, (int64_t)t, value, err))
            return false;
    }
    return true;
}

static bool deleted_record(struct wal_reading *w, struct reader *r, struct error *err)
{
    while (reader_left(r)) {
        uint64_t number = reader_u64be(r);
        int64_t mint = reader_svarint(r), maxt = reader_svarint(r);
        if (!r->failed && !w->sink->deleted(w->sink->arg, number, mint, maxt, err))
            return false;
    }
    return true;
}

static bool record_take(struct wal_reading *w, struct view record, size_t offset, struct error *err)
{
    struct reader r = reader_from(record);
    bool ok = true;
    switch (reader_u8(&r)) {
    case RECORD_SERIES:
        ok = series_record(w, &r, err);
        break;
    case RECORD_SAMPLES:
        ok = samples_record(w, &r, err);
        break;
    case RECORD_DELETED:
        ok = deleted_record(w, &r, err);
        break;
    default:
        w->report->records_skipped++;
        break;
    }
    w->report->records++;
    if (r.failed)
        damage(w, "the record", offset);
    return ok;
}

static bool snappy_unpack(struct wal_reading *w, size_t *len)
{
    const struct buffer *b = &w->record;
    if (snappy_uncompressed_length(b->ptr, b->len, len) != SNAPPY_OK || *len > RECORD_BYTES_MAX)
        return false;
    char *out = buffer_reserve(&w->plain, *len);
    return out && snappy_uncompress(b->ptr, b->len, out, len) == SNAPPY_OK;
}

static bool zstd_unpack(struct wal_reading *w, size_t *len)
{
    const struct buffer *b = &w->record;
    unsigned long long size = ZSTD_getFrameContentSize(b->ptr, b->len);
    if (size > RECORD_BYTES_MAX) /* also when it is not told, or wrong: both are large numbers */
        return false;
    char *out = buffer_reserve(&w->plain, (size_t)size + 1);
    *len = out ? ZSTD_decompress(out, (size_t)size + 1, b->ptr, b->len) : 0;
    return out && !ZSTD_isError(*len);
}

/* The record in w->record is whole. */
static bool record_end(struct wal_reading *w, unsigned compression, size_t offset,
                       struct error *err)
{
    size_t len = 0;
    w->open = false;
    buffer_reset(&w->plain);
    if (compression == 0)
        return record_take(w, buffer_view(&w->record), offset, err);
    if (!(compression == KIND_SNAPPY ? snappy_unpack(w, &len) : zstd_unpack(w, &len))) {
        damage(w, "the compressed record", offset);
        return true;
    }
    return record_take(w, (struct view){w->plain.ptr, len}, offset, err);
}

/* --- segments --------------------------------------------------------------------------------------- */

static bool is_zero(struct view bytes)
{
    for (size_t i = 0; i < bytes.len; i++)
        if (bytes.ptr[i])
            return false;
    return true;
}

/* One fragment; *more is false when the page has no further one. */
static bool fragment_take(struct wal_reading *w, struct reader *page, size_t page_offset,
                          bool *more, struct error *err)
{
    size_t offset = page_offset + page->pos;
    uint8_t kind = reader_u8(page);
    *more = false;
    if (page->failed)
        return true;
    if ((kind & KIND_MASK) == KIND_EMPTY) {
        if (kind != 0 || !is_zero(reader_bytes(page, reader_left(page))))
            damage(w, "the empty rest of a page", offset);
        return true;
    }
    size_t len = (size_t)reader_u8(page) << 8;
    len |= reader_u8(page);
    uint32_t crc = reader_u32be(page);
    struct view data = reader_bytes(page, len);
    if (page->failed || crc != crc32c(0, data.ptr, data.len)) {
        damage(w, "the fragment", offset);
        return true;
    }
    *more = reader_left(page) > 0;
    unsigned part = kind & KIND_MASK;
    bool begins = part == KIND_FULL || part == KIND_FIRST;
    if (part > KIND_LAST || begins == w->open) {
        damage(w, "the order of fragments", offset);
        if (!begins)
            return true;
    }
    if (begins)
        buffer_reset(&w->record);
    w->open = true;
    buffer_append_view(&w->record, data);
    if (w->record.failed)
        damage(w, "the size of the record", offset);
    else if (part == KIND_FULL || part == KIND_LAST)
        return record_end(w, kind & (KIND_SNAPPY | KIND_ZSTD), offset, err);
    return true;
}

bool prometheus_wal_segment(struct view bytes, const struct prometheus_wal_sink *sink,
                            struct prometheus_wal_report *report, struct error *err)
{
    struct wal_reading w = {.sink = sink, .report = report};
    bool ok = true;
    buffer_init(&w.record, MEM_WAL, RECORD_BYTES_MAX);
    buffer_init(&w.plain, MEM_WAL, RECORD_BYTES_MAX + 1);
    arena_init(&w.arena, MEM_WAL, 0);
    for (size_t at = 0; ok && at < bytes.len; at += PAGE_BYTES) {
        size_t len = bytes.len - at < PAGE_BYTES ? bytes.len - at : PAGE_BYTES;
        struct reader page = reader_from((struct view){bytes.ptr + at, len});
        for (bool more = true; ok && more;)
            ok = fragment_take(&w, &page, at, &more, err);
    }
    if (w.open)
        damage(&w, "the record that does not end", bytes.len);
    report->segments++;
    buffer_deinit(&w.record);
    buffer_deinit(&w.plain);
    arena_deinit(&w.arena);
    return ok;
}

/* --- folders ---------------------------------------------------------------------------------------- */

struct listing {
    uint64_t *segments;
    size_t count, capacity;
    int64_t checkpoint; /* the highest; -1 = none */
    char checkpoint_name[64];
};

static bool number_parse(const char *text, uint64_t *out)
{
    char *end;
    if (*text < '0' || *text > '9')
        return false;
    *out = strtoull(text, &end, 10);
    return *end == '\0' && *out <= INT64_MAX;
}

static bool list_visit(void *arg, const char *name, bool is_dir)
{
    static const char CHECKPOINT[] = "checkpoint.";
    struct listing *l = arg;
    uint64_t n;
    if (!is_dir && number_parse(name, &n)) {
        l->segments = mem_grow(MEM_WAL, l->segments, &l->capacity, l->count + 1, sizeof n);
        l->segments[l->count++] = n;
    } else if (is_dir && strncmp(name, CHECKPOINT, sizeof CHECKPOINT - 1) == 0 &&
               strlen(name) < sizeof l->checkpoint_name &&
               number_parse(name + sizeof CHECKPOINT - 1, &n) && (int64_t)n > l->checkpoint) {
        l->checkpoint = (int64_t)n;
        (void)snprintf(l->checkpoint_name, sizeof l->checkpoint_name, "%s", name);
    }
    return true;
}

static int number_order(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static bool segments_read(const char *dir, const struct listing *l, uint64_t from,
                          const struct prometheus_wal_sink *sink,
                          struct prometheus_wal_report *report, struct error *err)
{
    struct buffer bytes;
    bool ok = true;
    buffer_init(&bytes, MEM_WAL, SEGMENT_BYTES_MAX);
    for (size_t i = 0; ok && i < l->count; i++) {
        char path[PATH_BYTES_MAX];
        uint64_t damaged = report->damaged;
        if (l->segments[i] < from)
            continue;
        int len = snprintf(path, sizeof path, "%s/%08" PRIu64, dir, l->segments[i]);
        if (len < 0 || len >= (int)sizeof path)
            ok = error_set(err, ERROR_INPUT, "path \"%.200s...\" is too long", dir);
        buffer_reset(&bytes);
        ok = ok && file_read_all(path, &bytes, err) &&
             prometheus_wal_segment(buffer_view(&bytes), sink, report, err);
        if (ok && damaged == 0 && report->damaged > 0) {
            char where[sizeof report->damage];
            memcpy(where, report->damage, sizeof where);
            (void)snprintf(report->damage, sizeof report->damage, "\"%.150s\": %.90s", path, where);
        }
    }
    buffer_deinit(&bytes);
    return ok;
}

bool prometheus_wal_read(const char *dir, const struct prometheus_wal_sink *sink,
                         struct prometheus_wal_report *report, struct error *err)
{
    struct listing main = {.checkpoint = -1}, checkpoint = {.checkpoint = -1};
    bool ok = true;
    *report = (struct prometheus_wal_report){0};
    if (!file_exists(dir))
        return true;
    ok = dir_list(dir, list_visit, &main, err);
    if (main.count)
        qsort(main.segments, main.count, sizeof *main.segments, number_order);
    if (ok && main.checkpoint >= 0) {
        char path[PATH_BYTES_MAX];
        int len = snprintf(path, sizeof path, "%s/%s", dir, main.checkpoint_name);
        ok = len > 0 && len < (int)sizeof path
                 ? dir_list(path, list_visit, &checkpoint, err)
                 : error_set(err, ERROR_INPUT, "path \"%.200s...\" is too long", dir);
        if (checkpoint.count)
            qsort(checkpoint.segments, checkpoint.count, sizeof *checkpoint.segments, number_order);
        ok = ok && segments_read(path, &checkpoint, 0, sink, report, err);
    }
    /* The checkpoint stands for all segments up to its number. */
    ok = ok && segments_read(dir, &main, (uint64_t)(main.checkpoint + 1), sink, report, err);
    mem_free(MEM_WAL, main.segments);
    mem_free(MEM_WAL, checkpoint.segments);
    return ok;
}
