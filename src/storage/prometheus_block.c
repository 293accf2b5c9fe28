/* SPDX-License-Identifier: Apache-2.0 */
/* prometheus_block.c: Prometheus' block as its documents lay it out (tsdb/docs/format). Integers are big endian,
 * varints LEB128 (signed ones zigzag), checksums CRC32C of the content before them.
 *
 *   index:   magic BAAAD700 | version u8 (1, 2) | symbols | series | label indices | postings | tables | TOC
 *     TOC (last 52 bytes) := symbols | series | label indices | label table | postings | postings table   u64 each | crc
 *     symbols             := len u32 | count u32 | (len uvarint, bytes) ... | crc
 *     series, aligned 16  := len uvarint | labels uvarint | (name, value uvarint) ... | chunks uvarint | chunk ... | crc
 *     chunk               := first: mint svarint, maxt - mint uvarint, ref uvarint
 *                            then: mint less the last maxt uvarint, maxt - mint uvarint, change of ref svarint
 *     postings table      := len u32 | count u32 | (2 u8, name, value, offset uvarint) ... | crc
 *     postings            := len u32 | count u32 | series u32 ... | crc
 *   Names and values are numbers of symbols in version 2 and offsets of symbols in version 1. A series' number is its
 *   offset / 16 in version 2, its offset in version 1. The postings of ("", "") are all series, in order of labels.
 *
 *   chunks/NNNNNN: magic 85BD40DD | version u8 (1) | 3 bytes | (len uvarint | encoding u8 | data | crc) ...
 *     ref of a chunk := file (from 0) << 32 | offset
 *   tombstones: magic 0130BA30 | version u8 (1) | (series uvarint, mint svarint, maxt svarint) ... | crc
 *
 * The index is mapped, chunks are read with pread in pieces: the chunks of neighbours lie side by side. */
#include "storage/prometheus_block.h"

#include "base/checksum.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/reader.h"
#include "storage/prometheus_chunk.h"
#include "storage/series_interval.h"
#include "storage/ulid.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    TOC_BYTES = 52,
    CRC_BYTES = 4,
    INDEX_HEADER_BYTES = 5,
    SERIES_ALIGNMENT = 16,
    ENCODING_XOR = 1,
    SEGMENTS_MAX = 1 << 16,
    PIECE_BYTES = 256 << 10,
    CHUNK_BYTES_MAX = 1 << 24,
    LABELS_MAX = 1 << 12,
    CHUNKS_MAX = 1 << 24,
    META_BYTES_MAX = 1 << 24,
    TOMBSTONES_BYTES_MAX = 1 << 30,
    PATH_BYTES_MAX = 4096
};
#define INDEX_MAGIC UINT32_C(0xbaaad700)
#define CHUNKS_MAGIC UINT32_C(0x85bd40dd)
#define TOMBSTONES_MAGIC UINT32_C(0x0130ba30)
#define SERIES_SAMPLES_MAX ((size_t)1 << 31)

struct prometheus_block {
    char dir[PATH_BYTES_MAX];
    struct prometheus_block_info info;
    struct view index; /* mapped */
    uint8_t version;
    uint32_t *symbols; /* offset of each symbol in `index` */
    uint32_t symbol_count;
    struct view all; /* the numbers of all series, u32 each */
    size_t next;     /* in `all` */

    struct file **segments;
    size_t segment_count, segment_capacity;
    char *piece; /* bytes [piece_offset, + piece_len) of segment piece_segment */
    size_t piece_len, piece_capacity, piece_segment;
    uint64_t piece_offset;

    struct series_intervals deleted; /* by number of the series */

    int64_t *times;
    double *values;
    size_t capacity;
};

/* --- pieces of the index -------------------------------------------------------------------------- */

static bool damaged(const struct prometheus_block *b, const char *file, const char *what,
                    uint64_t offset, struct error *err)
{
    return error_set(err, ERROR_CORRUPT, "\"%s/%s\": the %s at byte %" PRIu64 " is damaged", b->dir,
                     file, what, offset);
}

/* len u32 | content | crc at an offset of the index. */
static bool section_at(const struct prometheus_block *b, uint64_t offset, const char *what,
                       struct reader *content, struct error *err)
{
    if (offset < INDEX_HEADER_BYTES || offset > b->index.len)
        return damaged(b, "index", what, offset, err);
    struct reader r =
        reader_from((struct view){b->index.ptr + offset, b->index.len - (size_t)offset});
    uint32_t len = reader_u32be(&r);
    struct view bytes = reader_bytes(&r, len);
    uint32_t crc = reader_u32be(&r);
    if (r.failed || crc != crc32c(0, bytes.ptr, bytes.len))
        return damaged(b, "index", what, offset, err);
    *content = reader_from(bytes);
    return true;
}

static bool symbols_open(struct prometheus_block *b, uint64_t offset, struct error *err)
{
    struct reader r;
    if (!section_at(b, offset, "symbol table", &r, err))
        return false;
    uint32_t count = reader_u32be(&r);
    if (r.failed || count > r.len || b->index.len > UINT32_MAX)
        return damaged(b, "index", "symbol table", offset, err);
    b->symbols = mem_alloc(MEM_BLOCK, ((size_t)count + 1) * sizeof *b->symbols);
    b->symbol_count = count;
    for (uint32_t i = 0; i < count; i++) {
        b->symbols[i] = (uint32_t)(offset + sizeof(uint32_t) + r.pos);
        (void)reader_string(&r, r.len);
    }
    return !r.failed || damaged(b, "index", "symbol table", offset, err);
}

static bool symbol_text(const struct prometheus_block *b, uint64_t ref, struct view *out)
{
    uint64_t offset = ref;
    if (b->version != 1) {
        if (ref >= b->symbol_count)
            return false;
        offset = b->symbols[ref];
    }
    if (offset >= b->index.len)
        return false;
    struct reader r =
        reader_from((struct view){b->index.ptr + offset, b->index.len - (size_t)offset});
    *out = reader_string(&r, r.len);
    return !r.failed;
}

/* The postings of ("", ""): all series. */
static bool all_series_open(struct prometheus_block *b, uint64_t table_offset, struct error *err)
{
    struct reader table, postings;
    if (!section_at(b, table_offset, "postings table", &table, err))
        return false;
    uint32_t count = reader_u32be(&table);
    for (uint32_t i = 0; i < count && !table.failed; i++) {
        if (reader_u8(&table) != 2)
            reader_fail(&table);
        struct view name = reader_string(&table, table.len);
        struct view value = reader_string(&table, table.len);
        uint64_t offset = reader_varint(&table);
        if (table.failed || name.len || value.len)
            continue;
        if (!section_at(b, offset, "list of all series", &postings, err))
            return false;
        uint32_t series = reader_u32be(&postings);
        b->all = reader_bytes(&postings, (size_t)series * sizeof(uint32_t));
        b->info.series_count = series;
        return !postings.failed || damaged(b, "index", "list of all series", offset, err);
    }
    if (table.failed)
        return damaged(b, "index", "postings table", table_offset, err);
    return count == 0 ||
           error_set(err, ERROR_CORRUPT, "\"%s/index\" has no list of all series", b->dir);
}

static bool index_parse(struct prometheus_block *b, struct error *err)
{
    struct reader header = reader_from(b->index);
    uint32_t magic = reader_u32be(&header);
    b->version = reader_u8(&header);
    if (header.failed || magic != INDEX_MAGIC || b->index.len < INDEX_HEADER_BYTES + TOC_BYTES)
        return error_set(err, ERROR_CORRUPT, "\"%s/index\" is no index of Prometheus", b->dir);
    if (b->version != 1 && b->version != 2)
        return error_set(err, ERROR_UNAVAILABLE,
                         "\"%s/index\" has version %u, known here are 1 and 2", b->dir, b->version);
    struct view toc = {b->index.ptr + b->index.len - TOC_BYTES, TOC_BYTES};
    struct reader r = reader_from(toc);
    uint64_t symbols = reader_u64be(&r);
    reader_skip(&r, 4 * sizeof(uint64_t)); /* series, label indices, label table, postings */
    uint64_t table = reader_u64be(&r);
    if (reader_u32be(&r) != crc32c(0, toc.ptr, TOC_BYTES - CRC_BYTES))
        return damaged(b, "index", "table of contents", b->index.len - TOC_BYTES, err);
    return symbols_open(b, symbols, err) && all_series_open(b, table, err);
}

/* --- meta.json, chunk files, tombstones ------------------------------------------------------------ */

static bool path_join(const struct prometheus_block *b, const char *name, char out[PATH_BYTES_MAX],
                      struct error *err)
{
    int len = snprintf(out, PATH_BYTES_MAX, "%s/%s", b->dir, name);
    if (len < 0 || len >= PATH_BYTES_MAX)
        return error_set(err, ERROR_INPUT, "path \"%.200s...\" is too long", b->dir);
    return true;
}

static bool meta_read(struct prometheus_block *b, struct error *err)
{
    char path[PATH_BYTES_MAX];
    struct buffer text;
    json_error_t where;
    if (!path_join(b, "meta.json", path, err))
        return false;
    buffer_init(&text, MEM_BLOCK, META_BYTES_MAX);
    bool ok = file_read_all(path, &text, err);
    json_t *root = ok ? json_loadb(text.len ? text.ptr : "", text.len, 0, &where) : NULL;
    if (ok && !root)
        ok = error_set(err, ERROR_CORRUPT, "\"%s\" is no JSON at line %d: %s", path, where.line,
                       where.text);
    if (ok) {
        const char *ulid = json_string_value(json_object_get(root, "ulid"));
        b->info.mint = json_integer_value(json_object_get(root, "minTime"));
        b->info.maxt = json_integer_value(json_object_get(root, "maxTime"));
        if (!ulid || !ulid_is_valid(ulid) || b->info.mint >= b->info.maxt)
            ok = error_set(err, ERROR_CORRUPT,
                           "\"%s\" has no valid \"ulid\", \"minTime\" and \"maxTime\"", path);
        else
            memcpy(b->info.ulid, ulid, sizeof b->info.ulid);
    }
    json_decref(root);
    buffer_deinit(&text);
    return ok;
}

static bool segments_open(struct prometheus_block *b, struct error *err)
{
    char path[PATH_BYTES_MAX], name[32];
    for (size_t i = 0; i < SEGMENTS_MAX; i++) {
        struct file *f;
        uint8_t header[8];
        (void)snprintf(name, sizeof name, "chunks/%06zu", i + 1);
        if (!path_join(b, name, path, err))
            return false;
        if (!file_exists(path))
            return true;
        if (!file_open_read(&f, path, err))
            return false;
        b->segments =
            mem_grow(MEM_BLOCK, b->segments, &b->segment_capacity, i + 1, sizeof(struct file *));
        b->segments[b->segment_count++] = f;
        if (!file_read_at(f, 0, header, sizeof header, err))
            return false;
        struct reader r = reader_from((struct view){(const char *)header, sizeof header});
        if (reader_u32be(&r) != CHUNKS_MAGIC || reader_u8(&r) != 1)
            return error_set(err, ERROR_CORRUPT, "\"%s\" is no chunk file of Prometheus, version 1",
                             path);
    }
    return error_set(err, ERROR_LIMIT, "\"%s\" has more than %d chunk files", b->dir, SEGMENTS_MAX);
}

static bool tombstones_read(struct prometheus_block *b, struct error *err)
{
    char path[PATH_BYTES_MAX];
    struct buffer bytes;
    if (!path_join(b, "tombstones", path, err))
        return false;
    if (!file_exists(path))
        return true;
    buffer_init(&bytes, MEM_BLOCK, TOMBSTONES_BYTES_MAX);
    bool ok = file_read_all(path, &bytes, err);
    if (ok && bytes.len < INDEX_HEADER_BYTES + CRC_BYTES)
        ok = damaged(b, "tombstones", "file", 0, err);
    if (ok) {
        struct view content = {bytes.ptr + INDEX_HEADER_BYTES,
                               bytes.len - INDEX_HEADER_BYTES - CRC_BYTES};
        struct reader head = reader_from(buffer_view(&bytes)), r = reader_from(content);
        struct reader tail = reader_from((struct view){content.ptr + content.len, CRC_BYTES});
        if (reader_u32be(&head) != TOMBSTONES_MAGIC || reader_u8(&head) != 1)
            ok = damaged(b, "tombstones", "header", 0, err);
        else if (reader_u32be(&tail) != crc32c(0, content.ptr, content.len))
            ok = damaged(b, "tombstones", "checksum", bytes.len - CRC_BYTES, err);
        while (ok && reader_left(&r)) {
            struct series_interval i = {.series = reader_varint(&r)};
            i.mint = reader_svarint(&r);
            i.maxt = reader_svarint(&r);
            if (r.failed)
                ok = damaged(b, "tombstones", "entry", r.failed_pos + INDEX_HEADER_BYTES, err);
            series_intervals_add(&b->deleted, i);
        }
        series_intervals_sort(&b->deleted);
    }
    buffer_deinit(&bytes);
    return ok;
}

/* --- life ----------------------------------------------------------------------------------------- */

bool prometheus_block_open(struct prometheus_block **out, const char *dir, struct error *err)
{
    char path[PATH_BYTES_MAX];
    struct prometheus_block *b = mem_alloc_zero(MEM_BLOCK, 1, sizeof *b);
    *out = NULL;
    series_intervals_init(&b->deleted, MEM_BLOCK);
    (void)snprintf(b->dir, sizeof b->dir, "%s", dir);
    if (!meta_read(b, err) || !path_join(b, "index", path, err) ||
        !file_map(&b->index, path, err) || !index_parse(b, err) || !segments_open(b, err) ||
        !tombstones_read(b, err)) {
        prometheus_block_close(b);
        return false;
    }
    *out = b;
    return true;
}

void prometheus_block_close(struct prometheus_block *b)
{
    if (!b)
        return;
    file_unmap(b->index);
    for (size_t i = 0; i < b->segment_count; i++)
        file_discard(b->segments[i]);
    mem_free(MEM_BLOCK, b->segments);
    mem_free(MEM_BLOCK, b->symbols);
    mem_free(MEM_BLOCK, b->piece);
    series_intervals_deinit(&b->deleted);
    mem_free(MEM_BLOCK, b->times);
    mem_free(MEM_BLOCK, b->values);
    mem_free(MEM_BLOCK, b);
}

const struct prometheus_block_info *prometheus_block_info(const struct prometheus_block *b)
{
    return &b->info;
}

/* --- chunks ---------------------------------------------------------------------------------------- */

/* Bytes [offset, offset + len) of a segment, cut at its end; borrowed until the next call. */
static bool piece_load(struct prometheus_block *b, size_t segment, uint64_t offset, size_t len,
                       struct view *out, struct error *err)
{
    bool there = b->piece_segment == segment && offset >= b->piece_offset &&
                 offset + len <= b->piece_offset + b->piece_len;
    if (!there) {
        uint64_t size;
        if (!file_size(b->segments[segment], &size, err))
            return false;
        size_t want = len > PIECE_BYTES ? len : PIECE_BYTES;
        if (offset >= size)
            want = 0;
        else if (want > size - offset)
            want = (size_t)(size - offset);
        if (want > b->piece_capacity) {
            b->piece = mem_resize(MEM_BLOCK, b->piece, want);
            b->piece_capacity = want;
        }
        b->piece_len = 0;
        if (want && !file_read_at(b->segments[segment], offset, b->piece, want, err))
            return false;
        b->piece_segment = segment;
        b->piece_offset = offset;
        b->piece_len = want;
    }
    size_t from = (size_t)(offset - b->piece_offset);
    *out = (struct view){b->piece ? b->piece + from : "",
                         b->piece_len - from < len ? b->piece_len - from : len};
    return true;
}

static bool chunk_load(struct prometheus_block *b, uint64_t ref, uint8_t *encoding,
                       struct view *data, struct error *err)
{
    enum { LENGTH_BYTES_MAX = 10 };
    size_t segment = (size_t)(ref >> 32);
    uint64_t offset = ref & UINT32_MAX;
    char name[32];
    struct view bytes;
    (void)snprintf(name, sizeof name, "chunks/%06zu", segment + 1);
    if (segment >= b->segment_count)
        return error_set(err, ERROR_CORRUPT,
                         "\"%s\": the index asks for \"%s\", which is not there", b->dir, name);
    if (!piece_load(b, segment, offset, LENGTH_BYTES_MAX, &bytes, err))
        return false;
    struct reader r = reader_from(bytes);
    uint64_t len = reader_varint(&r);
    if (r.failed || len > CHUNK_BYTES_MAX)
        return damaged(b, name, "chunk", offset, err);
    size_t whole = 1 + (size_t)len + CRC_BYTES;
    if (!piece_load(b, segment, offset + r.pos, whole, &bytes, err))
        return false;
    r = reader_from(bytes);
    struct view covered = {bytes.ptr, 1 + (size_t)len};
    *encoding = reader_u8(&r);
    *data = reader_bytes(&r, (size_t)len);
    uint32_t crc = reader_u32be(&r);
    if (r.failed || crc != crc32c(0, covered.ptr, covered.len))
        return damaged(b, name, "chunk", offset, err);
    return true;
}

static bool samples_reserve(struct prometheus_block *b, size_t need, struct error *err)
{
    if (need > SERIES_SAMPLES_MAX)
        return error_set(err, ERROR_LIMIT, "\"%s\": a series has more than %zu samples", b->dir,
                         SERIES_SAMPLES_MAX);
    if (need <= b->capacity)
        return true;
    size_t larger = b->capacity ? b->capacity : 1024;
    while (larger < need)
        larger *= 2;
    b->times = mem_resize(MEM_BLOCK, b->times, larger * sizeof *b->times);
    b->values = mem_resize(MEM_BLOCK, b->values, larger * sizeof *b->values);
    b->capacity = larger;
    return true;
}

static bool chunk_append(struct prometheus_block *b, uint64_t ref, struct prometheus_series *out,
                         struct error *err)
{
    uint8_t encoding = 0;
    struct view data;
    if (!chunk_load(b, ref, &encoding, &data, err))
        return false;
    if (encoding != ENCODING_XOR) {
        out->chunks_skipped++;
        return true;
    }
    size_t count = prometheus_chunk_count(data);
    if (!samples_reserve(b, out->count + count, err))
        return false;
    if (!prometheus_chunk_decode(data, b->times + out->count, b->values + out->count))
        return error_set(err, ERROR_CORRUPT,
                         "\"%s\": the samples of chunk %" PRIu64 ":%" PRIu64 " cannot be decoded",
                         b->dir, (ref >> 32) + 1, ref & UINT32_MAX);
    out->count += count;
    return true;
}

/* --- series ----------------------------------------------------------------------------------------- */

struct timed {
    int64_t time;
    double value;
    size_t place;
};

static int timed_order(const void *a, const void *b)
{
    const struct timed *x = a, *y = b;
    if (x->time != y->time)
        return x->time < y->time ? -1 : 1;
    return x->place < y->place ? -1 : x->place > y->place;
}

/* Chunks of one series may overlap where samples came late; of two samples at a time the first stays. */
static void samples_sort(struct prometheus_block *b, size_t *count)
{
    size_t i = 1;
    while (i < *count && b->times[i - 1] < b->times[i])
        i++;
    if (i >= *count)
        return;
    struct timed *all = mem_alloc(MEM_BLOCK, *count * sizeof *all);
    for (i = 0; i < *count; i++)
        all[i] = (struct timed){b->times[i], b->values[i], i};
    qsort(all, *count, sizeof *all, timed_order);
    size_t kept = 0;
    for (i = 0; i < *count; i++) {
        if (kept && b->times[kept - 1] == all[i].time)
            continue;
        b->times[kept] = all[i].time;
        b->values[kept++] = all[i].value;
    }
    *count = kept;
    mem_free(MEM_BLOCK, all);
}

static bool series_labels(const struct prometheus_block *b, struct reader *r, struct arena *arena,
                          struct labels *out)
{
    uint64_t count = reader_varint(r);
    if (r->failed || count > LABELS_MAX)
        return false;
    struct label *items = ARENA_ARRAY(arena, struct label, count + 1);
    uint32_t kept = 0;
    for (uint64_t i = 0; i < count; i++) {
        struct label label;
        uint64_t name = reader_varint(r), value = reader_varint(r);
        if (r->failed || !symbol_text(b, name, &label.name) || !symbol_text(b, value, &label.value))
            return false;
        if (label.value.len)
            items[kept++] = label;
    }
    labels_sort(arena, items, kept);
    for (uint32_t i = 1; i < kept; i++)
        if (view_eq(items[i - 1].name, items[i].name))
            return false;
    *out = (struct labels){items, kept};
    return true;
}

static bool series_chunks(struct prometheus_block *b, struct reader *r,
                          struct prometheus_series *out, struct error *err)
{
    uint64_t count = reader_varint(r), ref = 0;
    if (count > CHUNKS_MAX)
        reader_fail(r);
    for (uint64_t i = 0; i < count && !r->failed; i++) {
        /* Times are in the chunks too: those here are passed over. */
        (void)reader_varint(r);
        (void)reader_varint(r);
        ref = i == 0 ? reader_varint(r) : ref + (uint64_t)reader_svarint(r);
        if (!r->failed && !chunk_append(b, ref, out, err))
            return false;
    }
    return true; /* the caller looks at r->failed */
}

bool prometheus_block_next(struct prometheus_block *b, struct arena *arena,
                           struct prometheus_series *out, bool *done, struct error *err)
{
    *out = (struct prometheus_series){0};
    *done = b->next * sizeof(uint32_t) >= b->all.len;
    if (*done)
        return true;
    struct reader numbers = reader_from(b->all);
    reader_skip(&numbers, b->next++ * sizeof(uint32_t));
    uint64_t number = reader_u32be(&numbers);
    uint64_t offset = b->version == 1 ? number : number * SERIES_ALIGNMENT;
    if (offset >= b->index.len)
        return damaged(b, "index", "series", offset, err);
    struct reader r =
        reader_from((struct view){b->index.ptr + offset, b->index.len - (size_t)offset});
    struct view entry = reader_string(&r, r.len);
    uint32_t crc = reader_u32be(&r);
    if (r.failed || crc != crc32c(0, entry.ptr, entry.len))
        return damaged(b, "index", "series", offset, err);
    r = reader_from(entry);
    if (!series_labels(b, &r, arena, &out->labels))
        return damaged(b, "index", "series", offset, err);
    if (!series_chunks(b, &r, out, err))
        return false;
    if (r.failed)
        return damaged(b, "index", "series", offset, err);
    samples_sort(b, &out->count);
    out->count = series_intervals_apply(&b->deleted, number, b->times, b->values, out->count);
    out->times = b->times;
    out->values = b->values;
    return true;
}
