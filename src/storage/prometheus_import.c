/* SPDX-License-Identifier: Apache-2.0 */
/* prometheus_import.c: blocks are converted series by series, in the order they have there, so that memory is that of
 * one series and the new index. The logs' samples have no order: they go through a sample_sorter.
 *
 * As Prometheus itself at its start, samples of wal/ that are older than the newest block's end are passed over (the
 * block has them); those of wbl/ came late and are all taken. */
#include "storage/prometheus_import.h"

#include "base/file.h"
#include "base/map.h"
#include "base/mem.h"
#include "storage/block_private.h"
#include "storage/prometheus_block.h"
#include "storage/sample_sorter.h"

#include <stdlib.h>
#include <string.h>

enum { PROGRESS_SERIES = 1 << 12, PROGRESS_SAMPLES = 1 << 20 };

struct import {
    const struct prometheus_import_options *options;
    struct prometheus_import_result *result;
    struct error *err;
    bool ok;
    struct sample_sorter *sorter;

    char (*names)[ULID_BYTES]; /* of the source's blocks */
    size_t name_count, name_capacity;

    /* Numbers of the log's series -> those of the sorter. */
    struct map numbers;
    struct number {
        uint64_t log;
        uint32_t series;
    } * items;
    size_t item_count, item_capacity;
    int64_t log_mint; /* older samples of the log are in blocks */
    uint64_t samples_seen;
};

static void progress(const struct import *im, const char *what, uint64_t done, uint64_t total)
{
    if (im->options->progress)
        im->options->progress(im->options->arg, what, done, total);
}

static void time_range_add(struct prometheus_import_result *r, int64_t mint, int64_t maxt)
{
    r->mint = mint < r->mint ? mint : r->mint;
    r->maxt = maxt > r->maxt ? maxt : r->maxt;
}

/* --- blocks ----------------------------------------------------------------------------------------- */

/* Samples outside of the block's own range (old versions made such) are none of this block's: the sorter puts them
 * where they belong. */
static bool strays_take(struct import *im, const struct prometheus_block_info *info,
                        const struct prometheus_series *series, size_t *from, size_t *to,
                        struct error *err)
{
    uint32_t number;
    *from = 0;
    *to = series->count;
    while (*from < *to && series->times[*from] < info->mint)
        ++*from;
    while (*to > *from && series->times[*to - 1] >= info->maxt)
        --*to;
    if (*from == 0 && *to == series->count)
        return true;
    if (!sample_sorter_series(im->sorter, series->labels, &number, err))
        return false;
    for (size_t i = 0; i < series->count; i++)
        if ((i < *from || i >= *to) &&
            !sample_sorter_add(im->sorter, number, series->times[i], series->values[i], err))
            return false;
    return true;
}

struct conversion {
    struct prometheus_block *from;
    struct block_writer *to;
    struct arena arenas[2]; /* of this series and the one before */
    uint64_t samples, series, chunks_skipped;
};

static bool series_convert(struct import *im, struct conversion *c, bool *done, struct error *err)
{
    const struct prometheus_block_info *info = prometheus_block_info(c->from);
    struct labels before = {0};
    for (uint64_t n = 0;; n++) {
        struct prometheus_series series;
        size_t from, to;
        struct arena *arena = &c->arenas[n & 1];
        arena_reset(arena);
        if (n % PROGRESS_SERIES == 0)
            progress(im, info->ulid, n, info->series_count);
        if (!prometheus_block_next(c->from, arena, &series, done, err))
            return false;
        if (*done)
            return true;
        if (n > 0 && labels_compare(before, series.labels) >= 0)
            return error_set(err, ERROR_CORRUPT, "series %llu of its index is out of order",
                             (unsigned long long)n);
        before = series.labels;
        c->chunks_skipped += series.chunks_skipped;
        if (!strays_take(im, info, &series, &from, &to, err))
            return false;
        const struct samples samples = {
            .times = series.times + from, .values = series.values + from, .count = to - from};
        if (to > from && !block_writer_add(c->to, series.labels, &samples, err))
            return false;
        c->samples += to - from;
        c->series += to > from;
    }
}

static bool block_convert(struct import *im, struct conversion *c, struct error *err)
{
    struct block_meta meta;
    const struct prometheus_block_info *info = prometheus_block_info(c->from);
    bool done = false;
    if (!block_writer_open_named(&c->to, im->options->dir, info->ulid, info->mint, info->maxt, err))
        return false;
    if (!series_convert(im, c, &done, err)) {
        block_writer_discard(c->to);
        return false;
    }
    return block_writer_finish(c->to, &meta, err);
}

/* Of the source's problems only those of this machine end the import. */
static bool is_final(const struct error *err)
{
    return err->kind == ERROR_NO_SPACE || err->kind == ERROR_IO;
}

static bool block_import(struct import *im, const char *name, struct error *err)
{
    char from[BLOCK_PATH_BYTES_MAX], to[BLOCK_PATH_BYTES_MAX];
    struct prometheus_import_result *r = im->result;
    struct conversion c = {0};
    if (!block_path(from, im->options->source, name, err) ||
        !block_path(to, im->options->dir, name, err))
        return false;
    struct error problem = {0};
    bool ok = prometheus_block_open(&c.from, from, &problem);
    if (ok) {
        const struct prometheus_block_info *info = prometheus_block_info(c.from);
        im->log_mint = info->maxt > im->log_mint ? info->maxt : im->log_mint;
        time_range_add(r, info->mint, info->maxt - 1);
    }
    if (ok && file_exists(to)) {
        r->blocks_present++;
    } else if (ok) {
        arena_init(&c.arenas[0], MEM_BLOCK, 0);
        arena_init(&c.arenas[1], MEM_BLOCK, 0);
        ok = block_convert(im, &c, &problem);
        arena_deinit(&c.arenas[0]);
        arena_deinit(&c.arenas[1]);
        if (ok) {
            r->blocks++;
            r->samples += c.samples;
            r->series += c.series;
            r->chunks_skipped += c.chunks_skipped;
        }
    }
    prometheus_block_close(c.from);
    if (ok)
        return true;
    error_wrap(&problem, "block %s", name);
    if (is_final(&problem)) {
        *err = problem;
        return false;
    }
    r->blocks_failed++;
    if (im->options->problem)
        im->options->problem(im->options->arg, &problem);
    return true;
}

static bool name_visit(void *arg, const char *name, bool is_dir)
{
    struct import *im = arg;
    if (!is_dir || !ulid_is_valid(name))
        return true;
    im->names =
        mem_grow(MEM_BLOCK, im->names, &im->name_capacity, im->name_count + 1, sizeof *im->names);
    memcpy(im->names[im->name_count++], name, ULID_BYTES);
    return true;
}

/* --- logs ------------------------------------------------------------------------------------------- */

static uint64_t number_hash(uint64_t number)
{
    return number *
           UINT64_C(0x9e3779b97f4a7c15); /* Fibonacci hashing (Knuth 6.4): numbers are dense */
}

static bool number_equal(const void *context, uint32_t item, const void *key)
{
    return ((const struct import *)context)->items[item].log == *(const uint64_t *)key;
}

static uint32_t number_find(const struct import *im, uint64_t number)
{
    return map_find(&im->numbers, number_hash(number) >> 16, number_equal, im, &number);
}

static bool log_series(void *arg, uint64_t number, struct labels ls, struct error *err)
{
    struct import *im = arg;
    uint32_t series, item = number_find(im, number);
    if (!sample_sorter_series(im->sorter, ls, &series, err))
        return false;
    if (item != MAP_NONE) {
        im->items[item].series = series;
        return true;
    }
    im->items =
        mem_grow(MEM_BLOCK, im->items, &im->item_capacity, im->item_count + 1, sizeof *im->items);
    im->items[im->item_count] = (struct number){number, series};
    map_add(&im->numbers, number_hash(number) >> 16, (uint32_t)im->item_count++);
    return true;
}

static bool log_sample(void *arg, uint64_t number, int64_t time_ms, double value, struct error *err)
{
    struct import *im = arg;
    uint32_t item = number_find(im, number);
    if (++im->samples_seen % PROGRESS_SAMPLES == 0)
        progress(im, "write-ahead log", im->samples_seen, 0);
    if (item == MAP_NONE) {
        im->result->log_samples_unknown++;
        return true;
    }
    if (time_ms < im->log_mint)
        return true;
    return sample_sorter_add(im->sorter, im->items[item].series, time_ms, value, err);
}

static bool log_deleted(void *arg, uint64_t number, int64_t mint, int64_t maxt, struct error *err)
{
    struct import *im = arg;
    uint32_t item = number_find(im, number);
    (void)err;
    if (item != MAP_NONE)
        sample_sorter_delete(im->sorter, im->items[item].series, mint, maxt);
    return true;
}

static void sorter_progress(void *arg, uint64_t done, uint64_t total)
{
    progress(arg, "blocks of the log", done, total);
}

static bool logs_import(struct import *im, struct error *err)
{
    struct prometheus_import_result *r = im->result;
    struct sample_sorter_result sorted;
    const struct prometheus_wal_sink sink = {log_series, log_sample, log_deleted, im};
    char wal[BLOCK_PATH_BYTES_MAX], wbl[BLOCK_PATH_BYTES_MAX];
    if (!block_path(wal, im->options->source, "wal", err) ||
        !block_path(wbl, im->options->source, "wbl", err) ||
        !prometheus_wal_read(wal, &sink, &r->wal, err))
        return false;
    im->log_mint = INT64_MIN;
    if (!prometheus_wal_read(wbl, &sink, &r->wbl, err) ||
        !sample_sorter_write(im->sorter, &sorted, sorter_progress, im, err))
        return false;
    r->log_blocks = sorted.blocks;
    r->blocks_present += sorted.blocks_present;
    r->log_samples = sorted.samples;
    r->samples += sorted.samples;
    r->series += sorted.series;
    if (sorted.mint <= sorted.maxt)
        time_range_add(r, sorted.mint, sorted.maxt);
    return true;
}

bool prometheus_import(const struct prometheus_import_options *opts,
                       struct prometheus_import_result *out, struct error *err)
{
    const struct sample_sorter_options sorter = {.dir = opts->dir,
                                                 .memory_bytes = opts->memory_bytes};
    struct import im = {.options = opts, .result = out, .log_mint = INT64_MIN};
    *out = (struct prometheus_import_result){.mint = INT64_MAX, .maxt = INT64_MIN};
    map_init(&im.numbers, MEM_BLOCK);
    im.sorter = sample_sorter_new(&sorter);
    bool ok = dir_list(opts->source, name_visit, &im, err);
    for (size_t i = 0; ok && i < im.name_count; i++)
        ok = block_import(&im, im.names[i], err);
    ok = ok && logs_import(&im, err);
    sample_sorter_free(im.sorter);
    map_deinit(&im.numbers);
    mem_free(MEM_BLOCK, im.items);
    mem_free(MEM_BLOCK, im.names);
    return ok;
}
