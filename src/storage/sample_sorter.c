/* SPDX-License-Identifier: Apache-2.0 */
/* sample_sorter.c: an external merge sort that ends in blocks.
 *
 *   add    -> records {series, time, value, order of arrival} in memory; a full memory is appended to `arrived`
 *   write  -> series are ranked by labels (a block wants them so)
 *          -> each memory full of `arrived`: ranked, sorted, appended to `sorted` as a run
 *          -> runs are merged; (block, rank, time, arrival) ascends -> columns -> block writer
 *
 * Blocks are named by what they hold: a hash of all samples, added up so that their order does not matter, and the
 * block's place. So the same import done twice finds its blocks there.
 *
 * Everything fitting in memory, there are no files. Ranks are not known before the end, hence the two steps:
 * 32 bytes of each sample are written and read twice. Runs are as many as the memories that were filled; each is
 * read through a piece of the same memory, so a run's piece shrinks with their number (1 TB by 512 MB: 256 KB). */
#include "storage/sample_sorter.h"

#include "base/assert.h"
#include "base/checksum.h"
#include "base/file.h"
#include "base/mem.h"
#include "model/label_store.h"
#include "storage/block_private.h"
#include "storage/series_interval.h"
#include "storage/ulid.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { RUNS_MAX = 1 << 14, PIECE_RECORDS_MIN = 64 };
#define MEMORY_BYTES ((size_t)512 << 20)
#define MEMORY_BYTES_MIN ((size_t)64 << 10)
static const int64_t HOUR_MS = INT64_C(3600) * 1000;

struct record {
    int64_t time;
    double value;
    uint64_t arrival;
    uint32_t series; /* once sorted: the rank */
    uint32_t unused;
};

/* A sorted run, read in pieces. */
struct run {
    uint64_t next, end; /* records of `sorted` that are not read yet */
    struct record *piece;
    size_t pos, count, capacity;
};

struct sample_sorter {
    struct sample_sorter_options options;
    char dir[BLOCK_PATH_BYTES_MAX], tmp[BLOCK_PATH_BYTES_MAX];
    struct label_store *labels;
    struct record *records;
    size_t count, capacity;
    uint64_t total;
    int64_t mint, maxt, range;
    uint64_t *hashes; /* of label sets, by number */
    size_t hashes_capacity;
    uint64_t content;              /* sum of the hashes of all samples */
    struct file *arrived, *sorted; /* NULL = not needed */
    struct series_intervals deleted;
    uint32_t *ranks, *by_rank; /* label set number - 1 -> rank, and back */
    struct run *runs;
    size_t run_count, run_capacity;
    struct run **heap; /* by the next record: least first */
    size_t heap_count;
    bool written;
};

/* --- life ------------------------------------------------------------------------------------------ */

struct sample_sorter *sample_sorter_new(const struct sample_sorter_options *opts)
{
    struct sample_sorter *s = mem_alloc_zero(MEM_BLOCK, 1, sizeof *s);
    s->options = *opts;
    size_t bytes = opts->memory_bytes ? opts->memory_bytes : MEMORY_BYTES;
    s->capacity = (bytes > MEMORY_BYTES_MIN ? bytes : MEMORY_BYTES_MIN) / sizeof *s->records;
    s->labels = label_store_new(MEM_BLOCK, 0);
    s->mint = INT64_MAX;
    s->maxt = INT64_MIN;
    series_intervals_init(&s->deleted, MEM_BLOCK);
    (void)snprintf(s->dir, sizeof s->dir, "%s", opts->dir);
    return s;
}

void sample_sorter_free(struct sample_sorter *s)
{
    if (!s)
        return;
    file_discard(s->arrived);
    file_discard(s->sorted);
    struct error ignored;
    if (s->tmp[0] && !dir_remove(s->tmp, &ignored))
        (void)0; /* the next import removes it */
    for (size_t i = 0; i < s->run_count; i++)
        if (s->runs[i].piece != s->records)
            mem_free(MEM_BLOCK, s->runs[i].piece);
    label_store_free(s->labels);
    series_intervals_deinit(&s->deleted);
    mem_free(MEM_BLOCK, s->records);
    mem_free(MEM_BLOCK, s->hashes);
    mem_free(MEM_BLOCK, s->ranks);
    mem_free(MEM_BLOCK, s->by_rank);
    mem_free(MEM_BLOCK, s->runs);
    mem_free(MEM_BLOCK, s->heap);
    mem_free(MEM_BLOCK, s);
}

/* --- adding ---------------------------------------------------------------------------------------- */

bool sample_sorter_series(struct sample_sorter *s, struct labels ls, uint32_t *series,
                          struct error *err)
{
    labels_id id = label_store_add(s->labels, ls);
    if (id.n == LABEL_STORE_NONE)
        return error_set(err, ERROR_LIMIT, "there are more than %u series",
                         label_store_labels_count(s->labels));
    s->hashes =
        mem_grow(MEM_BLOCK, s->hashes, &s->hashes_capacity, (size_t)id.n + 1, sizeof *s->hashes);
    s->hashes[id.n] = labels_hash(ls);
    *series = id.n;
    return true;
}

static bool scratch_file(struct sample_sorter *s, const char *name, struct file **out,
                         struct error *err)
{
    char path[BLOCK_PATH_BYTES_MAX];
    if (!s->tmp[0]) {
        if (!block_path(s->tmp, s->dir, "import.tmp", err))
            return false;
        if (!dir_remove(s->tmp, err) || !dir_create(s->tmp, err))
            return false;
    }
    return block_path(path, s->tmp, name, err) && file_create(out, path, err);
}

/* What was written to a scratch file is to be read from now on. */
static bool scratch_reopen(struct file **f, struct error *err)
{
    char path[BLOCK_PATH_BYTES_MAX];
    (void)snprintf(path, sizeof path, "%s", file_path(*f));
    struct file *written = *f;
    *f = NULL;
    return file_close(written, err) && file_open_read(f, path, err);
}

static bool records_append(struct file *f, const struct record *records, size_t count,
                           struct error *err)
{
    return file_write_all(f, (struct view){(const char *)records, count * sizeof *records}, err);
}

static bool records_spill(struct sample_sorter *s, struct error *err)
{
    if (!s->arrived && !scratch_file(s, "arrived", &s->arrived, err))
        return false;
    if (!records_append(s->arrived, s->records, s->count, err))
        return false;
    s->count = 0;
    return true;
}

bool sample_sorter_add(struct sample_sorter *s, uint32_t series, int64_t time_ms, double value,
                       struct error *err)
{
    ASSERT(!s->written);
    if (!s->records)
        s->records = mem_alloc(MEM_BLOCK, s->capacity * sizeof *s->records);
    if (s->count == s->capacity && !records_spill(s, err))
        return false;
    s->records[s->count++] = (struct record){time_ms, value, s->total++, series, 0};
    struct {
        uint64_t labels;
        int64_t time;
        double value;
    } sample = {s->hashes[series], time_ms, value};
    s->content += hash64(&sample, sizeof sample);
    s->mint = time_ms < s->mint ? time_ms : s->mint;
    s->maxt = time_ms > s->maxt ? time_ms : s->maxt;
    return true;
}

void sample_sorter_delete(struct sample_sorter *s, uint32_t series, int64_t mint, int64_t maxt)
{
    series_intervals_add(&s->deleted, (struct series_interval){series, mint, maxt});
}

/* --- sorting --------------------------------------------------------------------------------------- */

static int labels_order(const void *a, const void *b, void *store)
{
    return label_store_compare(store, (labels_id){*(const uint32_t *)a},
                               (labels_id){*(const uint32_t *)b});
}

static void series_rank(struct sample_sorter *s)
{
    uint32_t count = label_store_labels_count(s->labels);
    s->by_rank = mem_alloc(MEM_BLOCK, ((size_t)count + 1) * sizeof *s->by_rank);
    s->ranks = mem_alloc(MEM_BLOCK, ((size_t)count + 1) * sizeof *s->ranks);
    for (uint32_t i = 0; i < count; i++)
        s->by_rank[i] = i;
    qsort_r(s->by_rank, count, sizeof *s->by_rank, labels_order, s->labels);
    for (uint32_t i = 0; i < count; i++)
        s->ranks[s->by_rank[i]] = i;
}

/* The block's number: floor(time / range), also below zero. */
static int64_t block_of(int64_t time, int64_t range)
{
    int64_t n = time / range;
    return n * range > time ? n - 1 : n;
}

static int record_compare(const struct record *x, const struct record *y, int64_t range)
{
    int64_t a = block_of(x->time, range), b = block_of(y->time, range);
    if (a != b)
        return a < b ? -1 : 1;
    if (x->series != y->series)
        return x->series < y->series ? -1 : 1;
    if (x->time != y->time)
        return x->time < y->time ? -1 : 1;
    return x->arrival < y->arrival ? -1 : x->arrival > y->arrival;
}

static int record_order(const void *a, const void *b, void *range)
{
    return record_compare(a, b, *(const int64_t *)range);
}

static void records_sort(struct sample_sorter *s)
{
    for (size_t i = 0; i < s->count; i++)
        s->records[i].series = s->ranks[s->records[i].series];
    if (s->count)
        qsort_r(s->records, s->count, sizeof *s->records, record_order, &s->range);
}

static struct run *run_add(struct sample_sorter *s, struct run run)
{
    s->runs = mem_grow(MEM_BLOCK, s->runs, &s->run_capacity, s->run_count + 1, sizeof *s->runs);
    s->runs[s->run_count] = run;
    return &s->runs[s->run_count++];
}

/* Every memory full of `arrived` becomes a run of `sorted`. */
static bool runs_make(struct sample_sorter *s, struct error *err)
{
    if (!s->arrived) {
        records_sort(s);
        run_add(s, (struct run){.piece = s->records, .count = s->count});
        return true;
    }
    if (!records_spill(s, err) || !scratch_reopen(&s->arrived, err) ||
        !scratch_file(s, "sorted", &s->sorted, err))
        return false;
    for (uint64_t from = 0; from < s->total; from += s->count) {
        uint64_t left = s->total - from;
        s->count = left < s->capacity ? (size_t)left : s->capacity;
        if (s->run_count == RUNS_MAX)
            return error_set(err, ERROR_LIMIT, "%d pieces to merge: give the import more memory",
                             RUNS_MAX);
        if (!file_read_at(s->arrived, from * sizeof *s->records, s->records,
                          s->count * sizeof *s->records, err))
            return false;
        records_sort(s);
        if (!records_append(s->sorted, s->records, s->count, err))
            return false;
        run_add(s, (struct run){.next = from, .end = from + s->count});
    }
    if (!scratch_reopen(&s->sorted, err))
        return false;
    mem_free(MEM_BLOCK, s->records);
    s->records = NULL;
    size_t piece = s->capacity / s->run_count;
    for (size_t i = 0; i < s->run_count; i++) {
        s->runs[i].capacity = piece > PIECE_RECORDS_MIN ? piece : PIECE_RECORDS_MIN;
        s->runs[i].piece = mem_alloc(MEM_BLOCK, s->runs[i].capacity * sizeof *s->runs[i].piece);
    }
    return true;
}

/* --- merging --------------------------------------------------------------------------------------- */

/* Makes sure that the run's next record is in its piece; *empty when there is none. */
static bool run_fill(struct sample_sorter *s, struct run *r, bool *empty, struct error *err)
{
    if (r->pos == r->count && r->next < r->end) {
        uint64_t left = r->end - r->next;
        r->count = left < r->capacity ? (size_t)left : r->capacity;
        r->pos = 0;
        if (!file_read_at(s->sorted, r->next * sizeof *r->piece, r->piece,
                          r->count * sizeof *r->piece, err))
            return false;
        r->next += r->count;
    }
    *empty = r->pos == r->count;
    return true;
}

static void heap_sink(struct sample_sorter *s, size_t at)
{
    struct run *moved = s->heap[at];
    for (;;) {
        size_t child = 2 * at + 1;
        if (child >= s->heap_count)
            break;
#define NEXT_OF(run) (&(run)->piece[(run)->pos])
        if (child + 1 < s->heap_count &&
            record_compare(NEXT_OF(s->heap[child + 1]), NEXT_OF(s->heap[child]), s->range) < 0)
            child++;
        if (record_compare(NEXT_OF(moved), NEXT_OF(s->heap[child]), s->range) <= 0)
            break;
#undef NEXT_OF
        s->heap[at] = s->heap[child];
        at = child;
    }
    s->heap[at] = moved;
}

static bool heap_build(struct sample_sorter *s, struct error *err)
{
    s->heap = mem_alloc(MEM_BLOCK, (s->run_count + 1) * sizeof(struct run *));
    for (size_t i = 0; i < s->run_count; i++) {
        bool empty;
        if (!run_fill(s, &s->runs[i], &empty, err))
            return false;
        if (!empty)
            s->heap[s->heap_count++] = &s->runs[i];
    }
    for (size_t i = s->heap_count / 2; i-- > 0;)
        heap_sink(s, i);
    return true;
}

/* The least record; the heap must not be empty. */
static bool heap_take(struct sample_sorter *s, struct record *out, struct error *err)
{
    struct run *r = s->heap[0];
    bool empty;
    *out = r->piece[r->pos++];
    if (!run_fill(s, r, &empty, err))
        return false;
    if (empty)
        s->heap[0] = s->heap[--s->heap_count];
    if (s->heap_count)
        heap_sink(s, 0);
    return true;
}

/* --- blocks ---------------------------------------------------------------------------------------- */

/* What is being written: a series of a block. */
struct output {
    struct sample_sorter *sorter;
    struct sample_sorter_result *result;
    struct block_writer *writer; /* NULL = none open */
    bool skip;                   /* the block is there already */
    int64_t block;
    uint32_t rank;
    int64_t *times;
    double *values;
    size_t count, times_capacity, values_capacity;
    struct arena arena;
};

static bool series_end(struct output *o, struct error *err)
{
    if (o->count == 0)
        return true;
    labels_id id = {o->sorter->by_rank[o->rank]};
    size_t count = series_intervals_apply(&o->sorter->deleted, id.n, o->times, o->values, o->count);
    const struct samples samples = {.times = o->times, .values = o->values, .count = count};
    o->result->samples += count;
    o->count = 0;
    arena_reset(&o->arena);
    struct labels ls = label_store_labels(o->sorter->labels, id, &o->arena);
    return block_writer_add(o->writer, ls, &samples, err);
}

static bool block_end(struct output *o, struct error *err)
{
    struct block_meta meta;
    struct block_writer *w = o->writer;
    if (!w)
        return true;
    bool ok = series_end(o, err);
    o->writer = NULL;
    if (!ok) {
        block_writer_discard(w);
        return false;
    }
    if (!block_writer_finish(w, &meta, err))
        return false;
    o->result->blocks += meta.sample_count > 0;
    return true;
}

static bool block_begin(struct output *o, int64_t block, struct error *err)
{
    const struct sample_sorter *s = o->sorter;
    char ulid[ULID_BYTES], path[BLOCK_PATH_BYTES_MAX];
    uint64_t key[3] = {s->content, (uint64_t)block, (uint64_t)s->range};
    uint64_t noise[2] = {hash64(key, sizeof key), hash64(key, sizeof *key)};
    /* No wider than its samples, so that it hides nothing that comes after the import. */
    int64_t mint = block * s->range, maxt = mint + s->range;
    mint = mint > s->mint ? mint : s->mint;
    maxt = maxt <= s->maxt ? maxt : s->maxt + 1;
    ulid_from(ulid, (wall_time){mint}, (const uint8_t *)noise);
    if (!block_path(path, s->dir, ulid, err))
        return false;
    o->block = block;
    o->skip = file_exists(path);
    o->result->blocks_present += o->skip;
    return o->skip || block_writer_open_named(&o->writer, s->dir, ulid, mint, maxt, err);
}

static bool record_write(struct output *o, const struct record *r, struct error *err)
{
    int64_t block = block_of(r->time, o->sorter->range);
    if ((!o->writer && !o->skip) || block != o->block) {
        if (!block_end(o, err) || !block_begin(o, block, err))
            return false;
        o->rank = r->series;
    }
    if (o->skip)
        return true;
    if (r->series != o->rank) {
        if (!series_end(o, err))
            return false;
        o->rank = r->series;
    }
    if (o->count && o->times[o->count - 1] == r->time) {
        o->result->duplicates++;
        return true;
    }
    o->times = mem_grow(MEM_BLOCK, o->times, &o->times_capacity, o->count + 1, sizeof *o->times);
    o->values =
        mem_grow(MEM_BLOCK, o->values, &o->values_capacity, o->count + 1, sizeof *o->values);
    o->times[o->count] = r->time;
    o->values[o->count++] = r->value;
    return true;
}

/* Blocks as compaction would leave them: few for a long history, of two hours for a short one. */
static int64_t range_choose(const struct sample_sorter *s)
{
    if (s->options.range_ms)
        return s->options.range_ms;
    uint64_t span = (uint64_t)s->maxt - (uint64_t)s->mint;
    if (span <= (uint64_t)(48 * HOUR_MS))
        return 2 * HOUR_MS;
    return span <= (uint64_t)(60 * 24 * HOUR_MS) ? 24 * HOUR_MS : 8 * 24 * HOUR_MS;
}

bool sample_sorter_write(struct sample_sorter *s, struct sample_sorter_result *out,
                         void (*progress)(void *arg, uint64_t done, uint64_t total), void *arg,
                         struct error *err)
{
    enum { PROGRESS_EVERY = 1 << 20 };
    ASSERT(!s->written);
    s->written = true;
    *out = (struct sample_sorter_result){.mint = s->mint, .maxt = s->maxt};
    if (s->total == 0)
        return true;
    out->series = label_store_labels_count(s->labels) - 1; /* without the empty set, number 0 */
    s->range = range_choose(s);
    if (s->mint < INT64_MIN + 2 * s->range || s->maxt > INT64_MAX - 2 * s->range)
        return error_set(err, ERROR_INPUT, "timestamps %lld to %lld are out of range",
                         (long long)s->mint, (long long)s->maxt);
    series_rank(s);
    series_intervals_sort(&s->deleted);
    struct output o = {.sorter = s, .result = out};
    arena_init(&o.arena, MEM_BLOCK, 0);
    bool ok = runs_make(s, err) && heap_build(s, err);
    for (uint64_t done = 0; ok && s->heap_count; done++) {
        struct record r;
        ok = heap_take(s, &r, err) && record_write(&o, &r, err);
        if (progress && done % PROGRESS_EVERY == 0)
            progress(arg, done, s->total);
    }
    ok = ok && block_end(&o, err);
    if (o.writer)
        block_writer_discard(o.writer);
    arena_deinit(&o.arena);
    mem_free(MEM_BLOCK, o.times);
    mem_free(MEM_BLOCK, o.values);
    return ok;
}
