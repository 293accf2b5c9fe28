/* SPDX-License-Identifier: Apache-2.0 */
/* block_reader.c: decoded columns of a block's series, for one worker.
 *
 * The last time column stays decoded, and so does its answer to the last window asked for: series come by
 * time column (block_select), so most reads decode values only. Bytes are read in pieces that grow while
 * one column follows the other: a walk reads 64 KiB at once, columns that lie apart are read one by one. */
#include "base/assert.h"
#include "base/checksum.h"
#include "base/mem.h"
#include "storage/block_private.h"
#include "storage/codec.h"

#include <inttypes.h>

enum { READ_BYTES_MIN = 1024, READ_BYTES_MAX = 64 * 1024 };

struct block_reader {
    struct block *block;
    struct index_series series;

    char *bytes; /* of `columns` from bytes_offset */
    size_t bytes_count, bytes_capacity, read_bytes;
    uint64_t bytes_offset;

    uint32_t times_number; /* the time column in `times`; INDEX_NONE = none */
    int64_t *times;
    size_t times_count, times_capacity;
    int64_t mint, maxt; /* the window of from, to and times_id */
    size_t from, to;
    uint64_t times_id;

    double *values;
    size_t values_capacity;

    int64_t *kept_times; /* of a series of which some is deleted */
    size_t kept_capacity;
};

uint64_t block_times_id_next(void)
{
    static _Atomic uint64_t last; /* relaxed: only distinct */
    return UINT64_C(1) << 63 | (atomic_fetch_add_explicit(&last, 1, memory_order_relaxed) + 1);
}

struct block_reader *block_reader_new(struct block *b)
{
    struct block_reader *r = mem_alloc_zero(MEM_QUERY, 1, sizeof *r);
    r->block = block_ref(b);
    r->times_number = INDEX_NONE;
    r->read_bytes = READ_BYTES_MIN;
    return r;
}

void block_reader_free(struct block_reader *r)
{
    if (!r)
        return;
    block_unref(r->block);
    mem_free(MEM_QUERY, r->bytes);
    mem_free(MEM_QUERY, r->times);
    mem_free(MEM_QUERY, r->values);
    mem_free(MEM_QUERY, r->kept_times);
    mem_free(MEM_QUERY, r);
}

/* Room for sizes that stand on disk: ERROR_LIMIT and not the end of the process. */
static bool reserve(void **array, size_t *capacity, size_t need, size_t item_bytes,
                    struct error *err)
{
    if (*capacity >= need)
        return true;
    void *larger = mem_try_resize(MEM_QUERY, *array, need * item_bytes);
    if (!larger)
        return error_set(err, ERROR_LIMIT, "no memory for a column of %zu samples", need);
    *array = larger;
    *capacity = need;
    return true;
}

/* Makes sure that [offset, offset + len) of `columns` is in r->bytes. */
static bool bytes_load(struct block_reader *r, uint64_t offset, size_t len, struct error *err)
{
    if (offset >= r->bytes_offset && offset + len <= r->bytes_offset + r->bytes_count)
        return true;
    uint64_t end = r->block->index.columns_bytes;
    uint64_t loaded_end = r->bytes_offset + r->bytes_count;
    bool follows = offset >= r->bytes_offset && offset < loaded_end + READ_BYTES_MIN;
    r->read_bytes = follows ? r->read_bytes * 4 : READ_BYTES_MIN;
    if (r->read_bytes > READ_BYTES_MAX)
        r->read_bytes = READ_BYTES_MAX;
    size_t want = len > r->read_bytes ? len : r->read_bytes;
    if (want > end - offset)
        want = (size_t)(end - offset);
    ASSERT(want >= len);
    if (!reserve((void **)&r->bytes, &r->bytes_capacity, want, 1, err))
        return false;
    r->bytes_count = 0;
    if (!file_read_at(r->block->columns, offset, r->bytes, want, err))
        return false;
    r->bytes_offset = offset;
    r->bytes_count = want;
    return true;
}

static bool damaged(const struct block_reader *r, const char *what, uint64_t offset, size_t bytes,
                    struct error *err)
{
    return error_set(err, ERROR_CORRUPT,
                     "\"%s\": the %s of %zu bytes at byte %" PRIu64 " is damaged",
                     file_path(r->block->columns), what, bytes, offset);
}

/* A column's bytes, checked; borrowed until the next load. */
static bool column_load(struct block_reader *r, const char *what, uint64_t offset, size_t bytes,
                        struct view *out, struct error *err)
{
    if (offset > r->block->index.columns_bytes ||
        bytes + BLOCK_CRC_BYTES > r->block->index.columns_bytes - offset)
        return damaged(r, what, offset, bytes, err);
    if (!bytes_load(r, offset, bytes + BLOCK_CRC_BYTES, err))
        return false;
    *out = (struct view){r->bytes + (offset - r->bytes_offset), bytes};
    struct reader crc = reader_from((struct view){out->ptr + bytes, BLOCK_CRC_BYTES});
    if (reader_u32(&crc) != crc32c(0, out->ptr, bytes))
        return damaged(r, what, offset, bytes, err);
    return true;
}

static bool ascends(const int64_t *t, size_t count)
{
    bool ok = true;
    for (size_t i = 1; i < count; i++)
        ok &= t[i - 1] < t[i];
    return ok;
}

static bool times_load(struct block_reader *r, uint32_t number, struct error *err)
{
    struct index_times entry;
    struct codec_times column;
    struct view bytes;
    if (number == r->times_number)
        return true;
    r->times_number = INDEX_NONE;
    r->times_id = 0;
    if (!index_times_at(&r->block->index, number, &entry))
        return error_set(err, ERROR_CORRUPT, "block %s: index: a time column is damaged",
                         r->block->meta.ulid);
    if (!column_load(r, "time column", entry.offset, entry.bytes, &bytes, err))
        return false;
    if (!codec_times_open(&column, bytes, entry.count))
        return damaged(r, "time column", entry.offset, entry.bytes, err);
    if (!reserve((void **)&r->times, &r->times_capacity, entry.count, sizeof *r->times, err))
        return false;
    codec_times_decode(&column, 0, entry.count, r->times);
    if (!ascends(r->times, entry.count) || r->times[0] != entry.mint ||
        r->times[entry.count - 1] != entry.maxt)
        return damaged(r, "time column", entry.offset, entry.bytes, err);
    r->times_count = entry.count;
    r->times_number = number;
    return true;
}

/* The first place in t[0..count) that is not below `ms`. */
static size_t times_at_least(const int64_t *t, size_t count, int64_t ms)
{
    size_t low = 0, high = count;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (t[mid] < ms)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

static void window_find(struct block_reader *r, int64_t mint, int64_t maxt)
{
    if (r->times_id != 0 && r->mint == mint && r->maxt == maxt)
        return;
    r->mint = mint;
    r->maxt = maxt;
    r->from = times_at_least(r->times, r->times_count, mint);
    r->to = maxt == INT64_MAX ? r->times_count : times_at_least(r->times, r->times_count, maxt + 1);
    if (r->to < r->from)
        r->to = r->from;
    r->times_id = block_times_id_next();
}

static NOINLINE bool leave_out(struct block_reader *r, struct intervals gone, struct samples *out,
                               struct error *err)
{
    if (!reserve((void **)&r->kept_times, &r->kept_capacity, out->count, sizeof *r->kept_times,
                 err))
        return false;
    out->count = intervals_apply(gone, out->times, r->values, out->count, r->kept_times, r->values);
    out->times = r->kept_times;
    out->times_id = 0;
    return true;
}

bool block_reader_read(struct block_reader *r, uint64_t ref, int64_t mint, int64_t maxt,
                       const atomic_bool *cancel, struct samples *out, struct error *err)
{
    struct codec_values column;
    struct view bytes;
    *out = (struct samples){0};
    if (cancel && atomic_load_explicit(cancel, memory_order_relaxed))
        return error_set(err, ERROR_CANCELED, "the query was canceled");
    if (ref > UINT32_MAX || !index_series_at(&r->block->index, (uint32_t)ref, &r->series))
        return error_set(err, ERROR_CORRUPT, "block %s: index: series %" PRIu64 " is damaged",
                         r->block->meta.ulid, ref);
    if (!times_load(r, r->series.times, err))
        return false;
    window_find(r, mint, maxt);
    size_t count = r->to - r->from;
    if (count == 0)
        return true;
    if (!column_load(r, "value column", r->series.offset, r->series.bytes, &bytes, err))
        return false;
    if (!reserve((void **)&r->values, &r->values_capacity, count, sizeof *r->values, err))
        return false;
    if (!codec_values_open(&column, bytes, r->times_count) ||
        !codec_values_decode(&column, r->from, r->to, r->values))
        return damaged(r, "value column", r->series.offset, r->series.bytes, err);
    *out = (struct samples){
        .times = r->times + r->from, .values = r->values, .count = count, .times_id = r->times_id};
    struct intervals gone = deletions_of(r->block->deletions, (uint32_t)ref);
    return gone.count == 0 || leave_out(r, gone, out, err);
}
