/* SPDX-License-Identifier: Apache-2.0 */
/* deletions.c: the file `deletions` of a block, little endian:
 *
 *   deletions := "BLFDEL01" | body | CRC32C (of all before it)
 *   body      := series u32 | { series number, less the one before varint (the first: itself)
 *                             | intervals varint | { begin, less the end before svarint (the first: itself)
 *                                                  | length less 1 ms varint } }
 *
 * 1. Series ascend strictly; a series has at least one interval; intervals ascend and do not touch.
 * 2. Both ends of an interval are deleted: {10, 20} is 11 ms long.
 * 3. Replaced by rename: old or new. A block without the file has no deletions; one with a damaged file does not
 *    open, for nobody knows what of it may be shown. */
#include "storage/deletions.h"

#include "base/assert.h"
#include "base/checksum.h"
#include "base/file.h"
#include "base/mem.h"
#include "storage/block_private.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define DELETIONS_MAGIC "BLFDEL01"
enum { MAGIC_BYTES = 8, ENTRY_BYTES_MIN = 4 };
#define FILE_BYTES_MAX ((size_t)1 << 30)

struct entry {
    uint32_t series;
    size_t first; /* interval; those of the next entry follow */
};

struct deletions {
    _Atomic uint32_t refs;
    struct entry *entries; /* count + 1 of them */
    size_t count;
    struct interval *intervals;
};

/* --- intervals ------------------------------------------------------------------------------------ */

size_t intervals_apply(struct intervals gone, const int64_t *times, const double *values,
                       size_t count, int64_t *times_out, double *values_out)
{
    size_t at = 0, kept = 0;
    for (size_t i = 0; i < count; i++) {
        while (at < gone.count && gone.items[at].maxt < times[i])
            at++;
        if (at < gone.count && gone.items[at].mint <= times[i])
            continue;
        times_out[kept] = times[i];
        values_out[kept++] = values[i];
    }
    return kept;
}

bool intervals_cover(struct intervals gone, int64_t mint, int64_t maxt)
{
    for (size_t i = 0; i < gone.count; i++)
        if (gone.items[i].mint <= mint && maxt <= gone.items[i].maxt)
            return true;
    return false;
}

/* --- making --------------------------------------------------------------------------------------- */

void deletions_builder_deinit(struct deletions_builder *b)
{
    mem_free(MEM_BLOCK, b->items);
    *b = (struct deletions_builder){0};
}

void deletions_builder_add(struct deletions_builder *b, uint32_t series, int64_t mint, int64_t maxt)
{
    if (mint > maxt)
        return;
    b->items = mem_grow(MEM_BLOCK, b->items, &b->capacity, b->count + 1, sizeof *b->items);
    b->items[b->count++] = (struct deletion){series, {mint, maxt}};
}

void deletions_builder_add_all(struct deletions_builder *b, const struct deletions *d)
{
    for (size_t i = 0; d && i < d->count; i++)
        for (size_t k = d->entries[i].first; k < d->entries[i + 1].first; k++)
            deletions_builder_add(b, d->entries[i].series, d->intervals[k].mint,
                                  d->intervals[k].maxt);
}

static int deletion_order(const void *a, const void *b)
{
    const struct deletion *x = a, *y = b;
    if (x->series != y->series)
        return x->series < y->series ? -1 : 1;
    return (x->interval.mint > y->interval.mint) - (x->interval.mint < y->interval.mint);
}

static bool touches(const struct interval *before, int64_t mint)
{
    return before->maxt == INT64_MAX || mint <= before->maxt + 1;
}

struct deletions *deletions_finish(struct deletions_builder *b)
{
    struct deletions *d = NULL;
    size_t used = 0;
    if (b->count > 0) {
        qsort(b->items, b->count, sizeof *b->items, deletion_order);
        d = mem_alloc_zero(MEM_BLOCK, 1, sizeof *d);
        atomic_init(&d->refs, 1);
        d->entries = mem_alloc(MEM_BLOCK, (b->count + 1) * sizeof *d->entries);
        d->intervals = mem_alloc(MEM_BLOCK, b->count * sizeof *d->intervals);
    }
    for (size_t i = 0; i < b->count; i++) {
        const struct deletion *x = &b->items[i];
        bool same = i > 0 && b->items[i - 1].series == x->series;
        struct interval *last = same ? &d->intervals[used - 1] : NULL;
        if (last && touches(last, x->interval.mint)) {
            last->maxt = x->interval.maxt > last->maxt ? x->interval.maxt : last->maxt;
            continue;
        }
        if (!same)
            d->entries[d->count++] = (struct entry){x->series, used};
        d->intervals[used++] = x->interval;
    }
    if (d)
        d->entries[d->count].first = used;
    deletions_builder_deinit(b);
    return d;
}

/* --- using ---------------------------------------------------------------------------------------- */

struct deletions *deletions_ref(struct deletions *d)
{
    if (d)
        atomic_fetch_add_explicit(&d->refs, 1, memory_order_relaxed);
    return d;
}

void deletions_unref(struct deletions *d)
{
    /* Release and acquire: whoever frees it comes after all who used it. */
    if (!d || atomic_fetch_sub_explicit(&d->refs, 1, memory_order_acq_rel) > 1)
        return;
    mem_free(MEM_BLOCK, d->entries);
    mem_free(MEM_BLOCK, d->intervals);
    mem_free(MEM_BLOCK, d);
}

size_t deletions_series_count(const struct deletions *d)
{
    return d ? d->count : 0;
}

size_t deletions_interval_count(const struct deletions *d)
{
    return d ? d->entries[d->count].first : 0;
}

struct intervals deletions_of(const struct deletions *d, uint32_t series)
{
    size_t low = 0, high = d ? d->count : 0;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (d->entries[mid].series < series)
            low = mid + 1;
        else
            high = mid;
    }
    if (!d || low == d->count || d->entries[low].series != series)
        return (struct intervals){NULL, 0};
    size_t first = d->entries[low].first;
    return (struct intervals){d->intervals + first, d->entries[low + 1].first - first};
}

/* --- bytes ---------------------------------------------------------------------------------------- */

void deletions_encode(struct buffer *out, const struct deletions *d)
{
    uint32_t before = 0;
    buffer_append_u32(out, (uint32_t)deletions_series_count(d));
    for (size_t i = 0; d && i < d->count; i++) {
        const struct entry *e = &d->entries[i];
        uint64_t end = 0; /* differences wrap around: they fit however far apart the times are */
        buffer_append_varint(out, e->series - before);
        buffer_append_varint(out, e[1].first - e->first);
        for (size_t k = e->first; k < e[1].first; k++) {
            uint64_t mint = (uint64_t)d->intervals[k].mint, maxt = (uint64_t)d->intervals[k].maxt;
            buffer_append_svarint(out, (int64_t)(mint - end));
            buffer_append_varint(out, maxt - mint);
            end = maxt;
        }
        before = e->series;
    }
}

static bool entry_decode(struct reader *r, uint32_t series, struct deletions_builder *b)
{
    uint64_t count = reader_varint(r), end = 0;
    if (count == 0 || count > reader_left(r) / 2)
        return false;
    for (uint64_t i = 0; i < count; i++) {
        int64_t mint = (int64_t)(end + (uint64_t)reader_svarint(r));
        uint64_t length = reader_varint(r);
        if (r->failed || length > (uint64_t)INT64_MAX - (uint64_t)mint ||
            (i > 0 && ((int64_t)end > mint || (uint64_t)mint - end < 2)))
            return false;
        end = (uint64_t)mint + length;
        deletions_builder_add(b, series, mint, (int64_t)end);
    }
    return true;
}

bool deletions_decode(struct reader *r, uint32_t series_count, struct deletions **out)
{
    struct deletions_builder b = {0};
    uint32_t count = reader_u32(r);
    uint64_t series = 0;
    bool ok = !r->failed && count <= reader_left(r) / ENTRY_BYTES_MIN;
    *out = NULL;
    for (uint32_t i = 0; ok && i < count; i++) {
        uint64_t step = reader_varint(r);
        ok = !r->failed && step < series_count && (i == 0 || step > 0) &&
             series + step < series_count;
        series += step;
        ok = ok && entry_decode(r, (uint32_t)series, &b);
    }
    if (ok)
        *out = deletions_finish(&b);
    deletions_builder_deinit(&b);
    return ok;
}

bool deletions_parse(struct view bytes, uint32_t series_count, struct deletions **out,
                     struct error *err)
{
    struct reader r = reader_from(bytes);
    *out = NULL;
    struct view magic = reader_bytes(&r, MAGIC_BYTES);
    if (r.failed || memcmp(magic.ptr, DELETIONS_MAGIC, MAGIC_BYTES) != 0)
        return error_set(err, ERROR_CORRUPT, "it begins with no version that is known here");
    if (reader_left(&r) < BLOCK_CRC_BYTES)
        return error_set(err, ERROR_CORRUPT, "it is cut short");
    size_t body = bytes.len - BLOCK_CRC_BYTES;
    struct reader crc = reader_from(view_slice(bytes, body, bytes.len));
    if (reader_u32(&crc) != crc32c(0, bytes.ptr, body))
        return error_set(err, ERROR_CORRUPT, "its checksum does not fit");
    r.len = body;
    if (deletions_decode(&r, series_count, out) && reader_left(&r) == 0)
        return true;
    deletions_unref(*out);
    *out = NULL;
    return error_set(err, ERROR_CORRUPT, "its content makes no sense at byte %zu", r.pos);
}

bool deletions_read(const char *dir, uint32_t series_count, struct deletions **out,
                    struct error *err)
{
    char path[BLOCK_PATH_BYTES_MAX];
    struct buffer b;
    struct error problem;
    *out = NULL;
    if (!block_path(path, dir, "deletions", err))
        return false;
    buffer_init(&b, MEM_BLOCK, FILE_BYTES_MAX);
    bool read = file_read_all(path, &b, &problem);
    bool ok = read ? deletions_parse(buffer_view(&b), series_count, out, &problem) ||
                         error_wrap(&problem, "\"%s\"", path)
                   : problem.kind == ERROR_NOT_FOUND;
    buffer_deinit(&b);
    if (!ok && err)
        *err = problem;
    return ok;
}

bool deletions_write(const char *dir, const struct deletions *d, struct error *err)
{
    char path[BLOCK_PATH_BYTES_MAX];
    struct buffer b;
    if (!block_path(path, dir, "deletions", err))
        return false;
    buffer_init(&b, MEM_BLOCK, FILE_BYTES_MAX);
    buffer_append_literal(&b, DELETIONS_MAGIC);
    deletions_encode(&b, d);
    buffer_append_u32(&b, crc32c(0, b.ptr, b.len));
    bool ok = b.failed ? error_set(err, ERROR_LIMIT, "\"%s\" would be larger than %zu bytes", path,
                                   FILE_BYTES_MAX)
                       : file_replace(path, buffer_view(&b), err);
    buffer_deinit(&b);
    return ok;
}
