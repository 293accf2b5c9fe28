/* SPDX-License-Identifier: Apache-2.0 */
/* block_writer.c: a block as it is made: <ULID>.tmp is filled, synced and renamed (layout: block.c).
 *
 * Columns go to the file as series come; per series some 60 bytes stay in memory until the index is
 * written: labels in a store of their own, and where the column lies. */
#include "base/assert.h"
#include "base/checksum.h"
#include "base/map.h"
#include "base/mem.h"
#include "storage/block_out.h"
#include "storage/block_private.h"
#include "storage/codec.h"

#include <inttypes.h>
#include <stdio.h>

enum { SMALL_COLUMN_BYTES = 24, SMALL_COLUMNS_MAX = 1 << 16 };

struct column_key { /* what tells columns apart, beside their length: 128 bits of two hashes */
    uint64_t hash, secret;
};

struct small_column { /* a value column of a few bytes: many idle counters share one */
    uint8_t bytes[SMALL_COLUMN_BYTES];
    uint32_t len;
    uint64_t offset;
};

struct block_writer {
    char dir[BLOCK_PATH_BYTES_MAX], tmp[BLOCK_PATH_BYTES_MAX];
    struct block_meta meta;
    const struct block_lineage *lineage; /* NULL = none */
    struct file *columns;
    struct block_out out;
    struct codec_scratch scratch;
    struct label_store *labels;

    struct index_write_series *series;
    size_t series_count, series_capacity;
    struct index_times *times;
    struct column_key *times_keys;
    size_t times_count, times_capacity, times_keys_capacity;
    struct map times_map;
    struct small_column *small;
    size_t small_count, small_capacity;
    struct map small_map;
    uint64_t last_times_id; /* of the series before, and its time column */
    uint32_t last_times;
};

bool block_writer_open(struct block_writer **out, const char *dir, int64_t mint, int64_t maxt,
                       struct error *err)
{
    char ulid[ULID_BYTES];
    ulid_make(ulid, clock_wall());
    return block_writer_open_named(out, dir, ulid, mint, maxt, err);
}

bool block_writer_open_named(struct block_writer **out, const char *dir, const char *ulid,
                             int64_t mint, int64_t maxt, struct error *err)
{
    ASSERT(mint < maxt && ulid_is_valid(ulid));
    char path[BLOCK_PATH_BYTES_MAX];
    struct block_writer *w = mem_alloc_zero(MEM_BLOCK, 1, sizeof *w);
    *out = NULL;
    w->meta.mint = mint;
    w->meta.maxt = maxt;
    w->meta.level = 1;
    memcpy(w->meta.ulid, ulid, sizeof w->meta.ulid);
    map_init(&w->times_map, MEM_BLOCK);
    map_init(&w->small_map, MEM_BLOCK);
    codec_scratch_init(&w->scratch);
    w->labels = label_store_new(MEM_BLOCK, 0);
    char name[ULID_BYTES + sizeof ".tmp"];
    (void)snprintf(name, sizeof name, "%s.tmp", w->meta.ulid);
    if (!block_path(w->dir, dir, w->meta.ulid, err) || !block_path(w->tmp, dir, name, err) ||
        !dir_create(w->tmp, err) || !block_path(path, w->tmp, "columns", err) ||
        !file_create(&w->columns, path, err)) {
        block_writer_discard(w);
        return false;
    }
    block_out_init(&w->out, w->columns);
    buffer_append_literal(block_out_buffer(&w->out), BLOCK_COLUMNS_MAGIC);
    *out = w;
    return true;
}

const struct block_meta *block_writer_get_meta(const struct block_writer *w)
{
    return &w->meta;
}

void block_writer_set_lineage(struct block_writer *w, uint32_t level,
                              const struct block_lineage *lineage)
{
    w->meta.level = level;
    w->lineage = lineage;
}

/* Closes the column that began at `start` (in the output's buffer) with its checksum. */
static uint32_t column_seal(struct block_writer *w, size_t start)
{
    struct buffer *b = block_out_buffer(&w->out);
    if (b->failed)
        return 0;
    size_t len = b->len - start;
    buffer_append_u32(b, crc32c(0, b->ptr + start, len));
    return (uint32_t)len;
}

/* --- time columns --------------------------------------------------------------------------------- */

static bool times_equal(const void *context, uint32_t item, const void *key)
{
    const struct block_writer *w = context;
    const struct column_key *k = key;
    return w->times_keys[item].hash == k->hash && w->times_keys[item].secret == k->secret;
}

/* The number of the time column with this content; written when it is the first of its kind. Equality
 * is that of two independent hashes and the count: two sets of times that differ there by chance are not
 * to be expected in the life of the universe, and nobody can make them without the process's secret. */
static uint32_t times_intern(struct block_writer *w, const struct samples *s)
{
    if (s->times_id != 0 && s->times_id == w->last_times_id)
        return w->last_times;
    size_t bytes = s->count * sizeof *s->times;
    struct column_key key = {hash64(s->times, bytes), hash64_secret(s->times, bytes)};
    uint32_t number = map_find(&w->times_map, key.hash, times_equal, w, &key);
    if (number == MAP_NONE || w->times[number].count != s->count) {
        struct buffer *b = block_out_buffer(&w->out);
        struct index_times times = {block_out_bytes(&w->out), 0, (uint32_t)s->count, s->times[0],
                                    s->times[s->count - 1]};
        size_t start = b->len;
        codec_times_encode(b, s->times, s->count);
        times.bytes = column_seal(w, start);
        w->times =
            mem_grow(MEM_BLOCK, w->times, &w->times_capacity, w->times_count + 1, sizeof *w->times);
        w->times_keys = mem_grow(MEM_BLOCK, w->times_keys, &w->times_keys_capacity,
                                 w->times_count + 1, sizeof *w->times_keys);
        number = (uint32_t)w->times_count++;
        w->times[number] = times;
        w->times_keys[number] = key;
        map_add(&w->times_map, key.hash, number);
    }
    w->last_times_id = s->times_id;
    w->last_times = number;
    return number;
}

/* --- value columns -------------------------------------------------------------------------------- */

static bool small_equal(const void *context, uint32_t item, const void *key)
{
    const struct block_writer *w = context;
    const struct small_column *k = key;
    return w->small[item].len == k->len && memcmp(w->small[item].bytes, k->bytes, k->len) == 0;
}

/* A column of a few bytes that was written before is taken back from the buffer. */
static bool small_reuse(struct block_writer *w, size_t start, struct index_write_series *series)
{
    struct buffer *b = block_out_buffer(&w->out);
    struct small_column key = {.len = (uint32_t)(b->len - start), .offset = series->offset};
    memcpy(key.bytes, b->ptr + start, key.len);
    uint64_t hash = hash64_secret(key.bytes, key.len);
    uint32_t item = map_find(&w->small_map, hash, small_equal, w, &key);
    if (item != MAP_NONE) {
        b->len = start;
        series->offset = w->small[item].offset;
        series->bytes = key.len;
        return true;
    }
    if (w->small_count == SMALL_COLUMNS_MAX)
        return false;
    w->small =
        mem_grow(MEM_BLOCK, w->small, &w->small_capacity, w->small_count + 1, sizeof *w->small);
    w->small[w->small_count] = key;
    map_add(&w->small_map, hash, (uint32_t)w->small_count++);
    return false;
}

bool block_writer_add(struct block_writer *w, struct labels ls, const struct samples *samples,
                      struct error *err)
{
    if (samples->count == 0)
        return true;
    ASSERT(samples->times[0] >= w->meta.mint && samples->times[samples->count - 1] < w->meta.maxt);
    if (samples->count > CODEC_COUNT_MAX)
        return error_set(err, ERROR_LIMIT, "a series has %zu samples in one block, %d at most",
                         samples->count, CODEC_COUNT_MAX);
    if (ls.count > INDEX_LABELS_MAX || w->series_count == INDEX_NONE - 1)
        return error_set(err, ERROR_LIMIT, "a series has %" PRIu32 " labels, %d at most", ls.count,
                         INDEX_LABELS_MAX);
    struct index_write_series series = {.labels = label_store_add(w->labels, ls)};
    if (series.labels.n == LABEL_STORE_NONE)
        return error_set(err, ERROR_LIMIT, "the labels of a block take too much memory");
    ASSERT(w->series_count == 0 ||
           label_store_compare(w->labels, w->series[w->series_count - 1].labels, series.labels) <
               0);
    series.times = times_intern(w, samples);
    struct buffer *b = block_out_buffer(&w->out);
    size_t start = b->len;
    series.offset = block_out_bytes(&w->out);
    series.flags = (uint8_t)codec_values_encode(b, samples->values, samples->count, &w->scratch);
    if (b->failed || b->len - start > SMALL_COLUMN_BYTES || !small_reuse(w, start, &series))
        series.bytes = column_seal(w, start);
    w->series =
        mem_grow(MEM_BLOCK, w->series, &w->series_capacity, w->series_count + 1, sizeof *w->series);
    w->series[w->series_count++] = series;
    w->meta.sample_count += samples->count;
    block_out_settle(&w->out);
    if (w->out.failed) {
        if (err)
            *err = w->out.error;
        return false;
    }
    return true;
}

void block_writer_fit_range(struct block_writer *w)
{
    int64_t mint = INT64_MAX, last = INT64_MIN;
    for (size_t i = 0; i < w->times_count; i++) {
        mint = w->times[i].mint < mint ? w->times[i].mint : mint;
        last = w->times[i].maxt > last ? w->times[i].maxt : last;
    }
    if (w->times_count > 0) {
        w->meta.mint = mint;
        w->meta.maxt = last + 1; /* it was below the end of the range that was given */
    }
}

/* --- end ------------------------------------------------------------------------------------------ */

static bool columns_finish(struct block_writer *w, uint64_t *bytes, struct error *err)
{
    *bytes = block_out_bytes(&w->out);
    if (!block_out_flush(&w->out, err) || !file_sync(w->columns, err))
        return false;
    struct file *f = w->columns;
    w->columns = NULL;
    return file_close(f, err);
}

static bool index_finish(struct block_writer *w, uint64_t columns_bytes, uint64_t *bytes,
                         struct error *err)
{
    char path[BLOCK_PATH_BYTES_MAX];
    struct file *f = NULL;
    struct index_content content = {.store = w->labels,
                                    .series = w->series,
                                    .series_count = (uint32_t)w->series_count,
                                    .times = w->times,
                                    .times_count = (uint32_t)w->times_count,
                                    .mint = w->meta.mint,
                                    .maxt = w->meta.maxt,
                                    .sample_count = w->meta.sample_count,
                                    .columns_bytes = columns_bytes,
                                    .ulid = w->meta.ulid};
    if (!block_path(path, w->tmp, "index", err) || !file_create(&f, path, err))
        return false;
    if (!index_write(f, &content, bytes, err) || !file_sync(f, err)) {
        file_discard(f);
        return false;
    }
    return file_close(f, err);
}

static bool publish(struct block_writer *w, struct error *err)
{
    char path[BLOCK_PATH_BYTES_MAX];
    uint64_t columns_bytes, index_bytes;
    w->meta.series_count = w->meta.column_count = w->series_count;
    if (!columns_finish(w, &columns_bytes, err) ||
        !index_finish(w, columns_bytes, &index_bytes, err) ||
        !block_path(path, w->tmp, "meta.json", err) ||
        !block_meta_write(path, &w->meta, w->lineage, err) || !dir_sync(w->tmp, err))
        return false;
    w->meta.bytes = dir_bytes(w->tmp);
    return file_publish(w->tmp, w->dir, err);
}

bool block_writer_finish(struct block_writer *w, struct block_meta *meta, struct error *err)
{
    bool ok = true;
    if (w->series_count > 0) {
        ok = publish(w, err) || error_wrap(err, "could not write block \"%s\"", w->dir);
        /* When only the sync of the folder above failed, the block has its name already. It must not
         * stay: the head still holds the data, and will be cut again. */
        struct error ignored;
        if (!ok && file_exists(w->dir) && !dir_remove(w->dir, &ignored))
            error_hint(err, "\"%s\" holds samples twice: remove it", w->dir);
    }
    *meta = w->meta;
    block_writer_discard(w);
    return ok;
}

void block_writer_discard(struct block_writer *w)
{
    if (!w)
        return;
    struct error ignored;
    file_discard(w->columns);
    if (w->tmp[0] && !dir_remove(w->tmp, &ignored))
        (void)0; /* it ends in .tmp: db_open() removes it */
    block_out_deinit(&w->out);
    codec_scratch_deinit(&w->scratch);
    label_store_free(w->labels);
    map_deinit(&w->times_map);
    map_deinit(&w->small_map);
    mem_free(MEM_BLOCK, w->series);
    mem_free(MEM_BLOCK, w->times);
    mem_free(MEM_BLOCK, w->times_keys);
    mem_free(MEM_BLOCK, w->small);
    mem_free(MEM_BLOCK, w);
}
