/* SPDX-License-Identifier: Apache-2.0 */
/* remote_write.c: one request, from its compressed bytes to rows of groups. About 300 ns of CPU a sample from the socket on
 * (../shared/bench, scenario write): unpack and decode, find the series by the hash of its labels, sort samples into
 * rows, append. A row is one timestamp of one group. Rows are committed without waiting; one wait at the end covers
 * them all, since the WAL takes them in their order. */
#include "ingest/remote_write_private.h"

#include "base/assert.h"
#include "base/clock.h"
#include "base/mem.h"
#include "model/sample.h"
#include "storage/db.h"

#include <inttypes.h>
#include <snappy-c.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SCRATCH_KEPT_BYTES_MAX = 8 << 20 };

static const struct {
    const char *word, *text;
} REFUSALS[WRITE_REFUSAL_COUNT] = {
#define X(id, word, text) [id] = {word, text},
    WRITE_REFUSALS(X)
#undef X
};

const char *write_refusal_word(enum write_refusal reason)
{
    return REFUSALS[reason].word;
}

const char *write_refusal_text(enum write_refusal reason)
{
    return REFUSALS[reason].text;
}

/* A group of this request: the range of its samples once they are sorted. */
struct group_range {
    uint32_t number, begin, end, exemplars_begin, exemplars_end;
};

/* What a request works with; kept for the next one. */
struct write_scratch {
    struct write_scratch *next;
    char *raw;
    size_t raw_capacity;
    struct write_request rq;
    struct write_sample *sorted;
    size_t sorted_capacity;
    struct write_exemplar *exemplars; /* sorted by group too */
    size_t exemplar_capacity;
    struct group_range *ranges;
    size_t range_count, range_capacity;
    uint32_t *range_of; /* by a group's number: its range, true when that says the same number */
    size_t range_of_capacity;
};

/* ---- life ---- */

struct remote_write *remote_write_new(struct db *db)
{
    struct remote_write *w = mem_alloc_zero(MEM_REMOTE_WRITE, 1, sizeof *w);
    w->db = db;
    w->swept = clock_mono();
    w->group_keys = string_map_new(MEM_REMOTE_WRITE);
    mutex_init(&w->mutex);
    cond_init(&w->changed);
    int failed = pthread_rwlock_init(&w->table_lock, NULL);
    ASSERT(failed == 0);
    return w;
}

static void scratch_free(struct write_scratch *s)
{
    write_request_deinit(&s->rq);
    mem_free(MEM_REMOTE_WRITE, s->raw);
    mem_free(MEM_REMOTE_WRITE, s->sorted);
    mem_free(MEM_REMOTE_WRITE, s->exemplars);
    mem_free(MEM_REMOTE_WRITE, s->ranges);
    mem_free(MEM_REMOTE_WRITE, s->range_of);
    mem_free(MEM_REMOTE_WRITE, s);
}

void remote_write_free(struct remote_write *w)
{
    if (!w)
        return;
    ASSERT(w->inside == 0);
    for (struct write_scratch *s = w->scratches, *next; s; s = next) {
        next = s->next;
        scratch_free(s);
    }
    write_series_deinit(w);
    pthread_rwlock_destroy(&w->table_lock);
    cond_deinit(&w->changed);
    mutex_deinit(&w->mutex);
    mem_free(MEM_REMOTE_WRITE, w);
}

static struct write_scratch *scratch_borrow(struct remote_write *w)
{
    mutex_lock(&w->mutex);
    struct write_scratch *s = w->scratches;
    if (s)
        w->scratches = s->next;
    mutex_unlock(&w->mutex);
    if (s)
        return s;
    s = mem_alloc_zero(MEM_REMOTE_WRITE, 1, sizeof *s);
    arena_init(&s->rq.arena, MEM_REMOTE_WRITE, 0); /* a few times the request's size at most */
    return s;
}

/* One that a large request has blown up is not kept. */
static void scratch_return(struct remote_write *w, struct write_scratch *s)
{
    size_t bytes = s->raw_capacity + s->rq.arena.used_bytes +
                   s->rq.series_capacity * sizeof *s->rq.series +
                   (s->rq.sample_capacity + s->sorted_capacity) * sizeof *s->sorted;
    if (bytes > SCRATCH_KEPT_BYTES_MAX) {
        scratch_free(s);
        return;
    }
    arena_reset(&s->rq.arena);
    mutex_lock(&w->mutex);
    s->next = w->scratches;
    w->scratches = s;
    mutex_unlock(&w->mutex);
}

/* ---- unpacking ---- */

static bool fail(struct write_outcome *out, int status)
{
    out->status = status;
    return false;
}

/* The length comes first in the block format, so that a bomb is seen before there is memory for it. */
static bool unpack(struct write_scratch *s, struct view body, struct view *out,
                   struct write_outcome *o)
{
    size_t len;
    if (view_has_prefix(body, VIEW("\xff\x06\x00\x00sNaPpY")) ||
        view_has_prefix(body, VIEW("\x28\xb5\x2f\xfd"))) {
        (void)error_set(&o->err, ERROR_INPUT,
                        "the body is %s, remote write 1.0 is sent in snappy's block format",
                        body.ptr[0] == '\x28' ? "compressed with zstd" : "framed snappy");
        return fail(o, 415);
    }
    if (snappy_uncompressed_length(body.ptr, body.len, &len) != SNAPPY_OK) {
        (void)error_set(&o->err, ERROR_INPUT, "snappy: corrupt input: the body has no length");
        return fail(o, 400);
    }
    if (len > REMOTE_WRITE_BYTES_MAX) {
        (void)error_set(&o->err, ERROR_TOO_LARGE,
                        "the request unpacks to %zu bytes, at most %d are allowed", len,
                        REMOTE_WRITE_BYTES_MAX);
        return fail(o, 413);
    }
    if (len > s->raw_capacity || !s->raw)
        s->raw = mem_grow(MEM_REMOTE_WRITE, s->raw, &s->raw_capacity, len + 1, 1);
    if (snappy_uncompress(body.ptr, body.len, s->raw, &len) != SNAPPY_OK) {
        (void)error_set(&o->err, ERROR_INPUT, "snappy: corrupt input");
        return fail(o, 400);
    }
    *out = (struct view){s->raw, len};
    return true;
}

/* ---- refusals ---- */

/* The first is told with its series. */
static void refuse(struct write_outcome *o, enum write_refusal reason, const struct write_series *s,
                   int64_t timestamp_ms)
{
    o->refused[reason]++;
    if (o->err.kind != ERROR_NONE)
        return;
    struct arena arena;
    struct buffer text;
    struct labels ls;
    struct error bad;
    arena_init(&arena, MEM_REMOTE_WRITE, 0);
    buffer_init(&text, MEM_REMOTE_WRITE, 1 << 20);
    if (write_series_labels(&arena, s->labels, &ls, &bad))
        labels_format(&text, ls);
    struct view shown = view_slice(buffer_view(&text), 0, 300);
    (void)error_set(&o->err, ERROR_INPUT, "%s (series %.*s, timestamp %" PRId64 ")",
                    REFUSALS[reason].text, VIEW_ARGS(shown), timestamp_ms);
    buffer_deinit(&text);
    arena_deinit(&arena);
}

/* ---- which group ---- */

/* Labels and group of the series that nobody knows; those that are none get WRITE_SLOT_INVALID. */
static void unknown_read(struct remote_write *w, struct write_request *rq, struct write_outcome *o)
{
    struct error err;
    for (size_t i = 0; i < rq->series_count; i++) {
        struct write_series *s = &rq->series[i];
        if (LIKELY(s->slot != WRITE_SLOT_UNKNOWN))
            continue;
        if (!s->has_samples) { /* exemplars of a series that is not there */
            s->slot = WRITE_SLOT_INVALID;
            continue;
        }
        if (write_series_labels(&rq->arena, s->labels, &s->parsed, &err)) {
            s->group = write_group_number(w, s->parsed, &rq->arena);
            continue;
        }
        s->slot = WRITE_SLOT_INVALID;
        if (o->err.kind == ERROR_NONE)
            (void)error_set(&o->err, ERROR_INPUT, "%s: %s", REFUSALS[WRITE_INVALID_LABELS].text,
                            err.message);
    }
}

static struct group_range *range_of(struct write_scratch *s, uint32_t number)
{
    if (UNLIKELY(number >= s->range_of_capacity)) {
        size_t old = s->range_of_capacity;
        s->range_of = mem_grow(MEM_REMOTE_WRITE, s->range_of, &s->range_of_capacity, number + 1u,
                               sizeof *s->range_of);
        memset(s->range_of + old, 0, (s->range_of_capacity - old) * sizeof *s->range_of);
    }
    uint32_t at = s->range_of[number];
    if (at < s->range_count && s->ranges[at].number == number)
        return &s->ranges[at];
    if (s->range_count == s->range_capacity)
        s->ranges = mem_grow(MEM_REMOTE_WRITE, s->ranges, &s->range_capacity, s->range_count + 1,
                             sizeof *s->ranges);
    s->range_of[number] = (uint32_t)s->range_count;
    s->ranges[s->range_count] = (struct group_range){.number = number};
    return &s->ranges[s->range_count++];
}

/* Sorts the samples by group; within one they keep their order. */
static void samples_sort(struct write_scratch *s, struct write_outcome *o)
{
    const struct write_request *rq = &s->rq;
    uint32_t begin = 0;
    s->range_count = 0;
    for (size_t i = 0; i < rq->sample_count; i++) {
        const struct write_series *series = &rq->series[rq->samples[i].series];
        if (UNLIKELY(series->slot == WRITE_SLOT_INVALID))
            o->refused[WRITE_INVALID_LABELS]++;
        else
            range_of(s, series->group)->end++;
    }
    for (size_t i = 0; i < s->range_count; i++) {
        uint32_t count = s->ranges[i].end;
        s->ranges[i].begin = s->ranges[i].end = begin;
        begin += count;
    }
    if (s->sorted_capacity < rq->sample_count)
        s->sorted = mem_grow(MEM_REMOTE_WRITE, s->sorted, &s->sorted_capacity, rq->sample_count,
                             sizeof *s->sorted);
    for (size_t i = 0; i < rq->sample_count; i++) {
        const struct write_series *series = &rq->series[rq->samples[i].series];
        if (LIKELY(series->slot != WRITE_SLOT_INVALID))
            s->sorted[range_of(s, series->group)->end++] = rq->samples[i];
    }
}

/* The exemplars likewise; those of series that are none are left out. */
static void exemplars_sort(struct write_scratch *s)
{
    const struct write_request *rq = &s->rq;
    uint32_t begin = 0;
    for (size_t i = 0; i < rq->exemplar_count; i++) {
        const struct write_series *series = &rq->series[rq->exemplars[i].series];
        if (series->slot != WRITE_SLOT_INVALID)
            range_of(s, series->group)->exemplars_end++;
    }
    for (size_t i = 0; i < s->range_count; i++) {
        uint32_t count = s->ranges[i].exemplars_end;
        s->ranges[i].exemplars_begin = s->ranges[i].exemplars_end = begin;
        begin += count;
    }
    if (s->exemplar_capacity < rq->exemplar_count)
        s->exemplars = mem_grow(MEM_REMOTE_WRITE, s->exemplars, &s->exemplar_capacity,
                                rq->exemplar_count, sizeof *s->exemplars);
    for (size_t i = 0; i < rq->exemplar_count; i++) {
        const struct write_series *series = &rq->series[rq->exemplars[i].series];
        if (series->slot != WRITE_SLOT_INVALID)
            s->exemplars[range_of(s, series->group)->exemplars_end++] = rq->exemplars[i];
    }
}

/* ---- rows of one group, which is owned ---- */

/* What stands in for the slot of a series over a limit. */
static uint32_t refused_slot(struct group *g, struct labels ls)
{
    uint32_t slot;
    return group_overflow_slot(g, ls, &slot) && slot < WRITE_SLOT_REFUSED_MAX - WRITE_SLOT_REFUSED
               ? WRITE_SLOT_REFUSED | slot
               : WRITE_SLOT_REFUSED_MAX;
}

/* Slots for the series that nobody knew. False: the storage takes nothing now. */
static bool unknown_resolve(struct remote_write *w, struct write_group *g, struct write_request *rq,
                            const struct write_sample *samples, size_t count, struct error *err)
{
    const struct write_series **fresh = NULL;
    size_t fresh_count = 0, capacity = 0;
    bool ok = true;
    for (size_t i = 0; i < count && ok; i++) {
        struct write_series *s = &rq->series[samples[i].series];
        if (LIKELY(s->slot != WRITE_SLOT_UNKNOWN))
            continue;
        if (!group_slot(g->group, s->parsed, &s->slot, err)) {
            ok = err->kind == ERROR_LIMIT;
            if (!ok)
                break;
            s->slot = refused_slot(g->group, s->parsed);
        }
        if (fresh_count == capacity)
            fresh =
                arena_grow(&rq->arena, (void *)fresh, &capacity, fresh_count + 1, sizeof *fresh);
        fresh[fresh_count++] = s;
    }
    if (fresh_count > 0)
        write_table_add(w, g, fresh, fresh_count);
    return ok;
}

static int sample_compare(const void *a, const void *b)
{
    const struct write_sample *sa = a, *sb = b;
    if (sa->timestamp_ms != sb->timestamp_ms)
        return sa->timestamp_ms < sb->timestamp_ms ? -1 : 1;
    return (sa->order > sb->order) - (sa->order < sb->order);
}

static void samples_order(struct write_sample *samples, size_t count)
{
    for (size_t i = 1; i < count; i++) {
        if (samples[i].timestamp_ms < samples[i - 1].timestamp_ms) {
            for (size_t k = 0; k < count; k++)
                samples[k].order = (uint32_t)k; /* of two for one cell the first counts */
            qsort(samples, count, sizeof *samples, sample_compare);
            return;
        }
    }
}

/* Why the storage refused a row. False: it takes nothing now. */
static bool refusal_of(enum appender_refusal why, enum write_refusal *reason)
{
    switch (why) {
    case APPENDER_TOO_OLD:
        *reason = WRITE_TOO_OLD;
        return true;
    case APPENDER_OUT_OF_BOUNDS:
    case APPENDER_IN_FUTURE:
        *reason = WRITE_OUT_OF_BOUNDS;
        return true;
    case APPENDER_OUT_OF_ORDER:
        *reason = WRITE_OUT_OF_ORDER;
        return true;
    case APPENDER_TAKEN:
    case APPENDER_STOPPED:
        break;
    }
    return false;
}

static bool row_refuse(const struct appender *a, const struct write_request *rq,
                       const struct write_sample *samples, size_t count, struct write_outcome *o)
{
    enum write_refusal reason;
    if (!refusal_of(a->refusal, &reason))
        return false;
    appender_count_refused(a, count - 1);
    for (size_t i = 0; i < count; i++) {
        const struct write_series *s = &rq->series[samples[i].series];
        if (!write_slot_is_refused(s->slot))
            refuse(o, reason, s, samples[i].timestamp_ms);
    }
    return true;
}

/* The cells that a late row did not get: their bits are still set. */
static void cells_refuse(const struct appender *a, const struct write_request *rq,
                         const struct write_sample *samples, size_t count, struct write_outcome *o)
{
    uint64_t conflicts = a->conflict_count;
    for (size_t i = 0; i < count; i++) {
        const struct write_series *s = &rq->series[samples[i].series];
        if (write_slot_is_refused(s->slot) || !(a->present[s->slot >> 6] >> (s->slot & 63) & 1))
            continue;
        refuse(o, conflicts > 0 ? WRITE_DUPLICATE : WRITE_OUT_OF_ORDER, s, a->timestamp_ms);
        conflicts -= conflicts > 0;
    }
}

/* The samples of one timestamp. False: the storage takes nothing now. */
static bool row_append(struct write_group *g, const struct write_request *rq,
                       const struct write_sample *samples, size_t count, struct write_outcome *o,
                       struct error *err)
{
    struct appender a;
    uint64_t stored = 0;
    if (!appender_begin(&a, g->group, samples[0].timestamp_ms, err))
        return row_refuse(&a, rq, samples, count, o);
    for (size_t i = 0; i < count; i++) {
        const struct write_series *s = &rq->series[samples[i].series];
        if (UNLIKELY(write_slot_is_refused(s->slot))) {
            if (s->slot != WRITE_SLOT_REFUSED_MAX &&
                !a.is_late) /* late, it would be another value */
                appender_fold(&a, s->slot & ~WRITE_SLOT_REFUSED);
            continue;
        }
        uint32_t duplicates = a.duplicate_count;
        appender_sample(&a, s->slot, samples[i].value);
        if (LIKELY(a.duplicate_count == duplicates))
            stored++; /* or repeated: it is stored */
        else
            refuse(o, WRITE_DUPLICATE, s, samples[i].timestamp_ms);
    }
    if (!appender_commit(&a, 0, err))
        return row_refuse(&a, rq, samples, count, o);
    uint32_t missed = a.conflict_count + a.refused_count;
    if (missed > 0)
        cells_refuse(&a, rq, samples, count, o);
    o->stored += stored - (missed < stored ? missed : stored);
    return true;
}

/* Prometheus sends exemplars apart from samples: a series that is not known by now has none. Their fate is
 * counted, not answered. */
static void exemplars_append(struct remote_write *w, struct write_group *g, struct write_scratch *s,
                             const struct group_range *range)
{
    struct exemplar_batch batch = {0};
    struct exemplar_counts counts = {0};
    for (uint32_t i = range->exemplars_begin; i < range->exemplars_end; i++) {
        const struct write_series *series = &s->rq.series[s->exemplars[i].series];
        struct exemplar e;
        if (series->slot < WRITE_SLOT_REFUSED &&
            write_exemplar_read(&s->rq.arena, s->exemplars[i].encoded, &e))
            exemplar_batch_add(&batch, series->slot, &e);
    }
    if (batch.count > 0)
        group_add_exemplars(g->group, &batch, &counts);
    exemplar_batch_deinit(&batch);
    atomic_fetch_add_explicit(&w->exemplars_stored, counts.added + counts.duplicate,
                              memory_order_relaxed);
}

static bool group_append(struct remote_write *w, struct write_scratch *s,
                         const struct group_range *range, struct write_outcome *o,
                         struct error *err)
{
    struct write_sample *samples = s->sorted + range->begin;
    size_t count = range->end - range->begin;
    struct write_group *g = write_group_own(w, range->number, err);
    if (!g)
        return false;
    bool ok = unknown_resolve(w, g, &s->rq, samples, count, err);
    samples_order(samples, count);
    for (size_t from = 0, to; from < count && ok; from = to) {
        for (to = from + 1; to < count && samples[to].timestamp_ms == samples[from].timestamp_ms;
             to++)
            ;
        ok = row_append(g, &s->rq, samples + from, to - from, o, err);
    }
    if (ok && range->exemplars_end > range->exemplars_begin)
        exemplars_append(w, g, s, range);
    write_group_disown(w, g);
    for (size_t i = 0; i < count && ok; i++) {
        const struct write_series *series = &s->rq.series[samples[i].series];
        if (UNLIKELY(write_slot_is_refused(series->slot)))
            refuse(o, WRITE_SERIES_LIMIT, series, samples[i].timestamp_ms);
    }
    return ok;
}

/* ---- a request ---- */

static void metadata_store(struct remote_write *w, const struct write_request *rq)
{
    for (size_t i = 0; i < rq->metadata_count; i++)
        db_add_metadata(w->db, &rq->metadata[i]);
    atomic_fetch_add_explicit(&w->metadata, rq->metadata_count, memory_order_relaxed);
}

static bool rows_append(struct remote_write *w, struct write_scratch *s, struct write_outcome *o)
{
    struct error err;
    bool ok = true;
    write_enter(w);
    write_table_find(w, s->rq.series, s->rq.series_count);
    unknown_read(w, &s->rq, o);
    samples_sort(s, o);
    exemplars_sort(s);
    for (size_t i = 0; i < s->range_count && ok; i++)
        ok = group_append(w, s, &s->ranges[i], o, &err);
    write_leave(w);
    if (ok && (o->stored == 0 || db_wait_written(w->db, &err)))
        return true;
    o->err = err;
    return fail(o, 503); /* full disk, failed disk: the same request is good later */
}

/* "SENTENCE; 3 of 500 samples were not stored: 2 out of order sample, 1 too old sample" */
static void tell_refusals(struct write_outcome *o)
{
    uint64_t all = 0;
    for (int i = 0; i < WRITE_REFUSAL_COUNT; i++)
        all += o->refused[i];
    if (all == 0)
        return;
    char first[ERROR_MESSAGE_BYTES], counts[512] = "";
    size_t len = 0;
    snprintf(first, sizeof first, "%s", o->err.message);
    for (int i = 0; i < WRITE_REFUSAL_COUNT; i++) {
        if (o->refused[i])
            len += (size_t)snprintf(counts + len, sizeof counts - len, "%s%" PRIu64 " %s",
                                    len ? ", " : "", o->refused[i], REFUSALS[i].word);
    }
    (void)error_set(&o->err, ERROR_INPUT, "%s; %" PRIu64 " of %" PRIu64 " samples not stored: %s",
                    first, all, o->samples, counts);
    o->status = 400;
}

static void count_outcome(struct remote_write *w, const struct write_outcome *o)
{
    atomic_fetch_add_explicit(&w->requests, 1, memory_order_relaxed);
    if (o->status != 204)
        atomic_fetch_add_explicit(&w->requests_failed, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&w->samples, o->samples, memory_order_relaxed);
    atomic_fetch_add_explicit(&w->stored, o->stored, memory_order_relaxed);
    for (int i = 0; i < WRITE_REFUSAL_COUNT; i++) {
        if (o->refused[i])
            atomic_fetch_add_explicit(&w->refused[i], o->refused[i], memory_order_relaxed);
    }
}

static void receive(struct remote_write *w, struct write_scratch *s, struct view body,
                    struct write_outcome *o)
{
    struct view raw;
    if (!unpack(s, body, &raw, o))
        return;
    if (!write_request_decode(&s->rq, raw, &o->err)) {
        o->status = o->err.kind == ERROR_TOO_LARGE ? 413 : 400;
        return;
    }
    o->samples = s->rq.sample_count + s->rq.histograms;
    o->refused[WRITE_HISTOGRAM] = s->rq.histograms;
    if (s->rq.histograms)
        (void)error_set(&o->err, ERROR_INPUT, "%s", REFUSALS[WRITE_HISTOGRAM].text);
    atomic_fetch_add_explicit(&w->exemplars, s->rq.exemplar_count, memory_order_relaxed);
    metadata_store(w, &s->rq);
    if (rows_append(w, s, o))
        tell_refusals(o);
}

void remote_write_receive(struct remote_write *w, struct view body, struct write_outcome *out)
{
    struct write_scratch *s = scratch_borrow(w);
    *out = (struct write_outcome){.status = 204};
    receive(w, s, body, out);
    scratch_return(w, s);
    count_outcome(w, out);
}

void remote_write_stats_get(struct remote_write *w, struct remote_write_stats *out)
{
    *out = (struct remote_write_stats){
        .requests = atomic_load_explicit(&w->requests, memory_order_relaxed),
        .requests_failed = atomic_load_explicit(&w->requests_failed, memory_order_relaxed),
        .samples = atomic_load_explicit(&w->samples, memory_order_relaxed),
        .stored = atomic_load_explicit(&w->stored, memory_order_relaxed),
        .exemplars = atomic_load_explicit(&w->exemplars, memory_order_relaxed),
        .exemplars_stored = atomic_load_explicit(&w->exemplars_stored, memory_order_relaxed),
        .metadata = atomic_load_explicit(&w->metadata, memory_order_relaxed),
        .series_cached = atomic_load_explicit(&w->entries_now, memory_order_relaxed),
        .groups = atomic_load_explicit(&w->groups_now, memory_order_relaxed)};
    for (int i = 0; i < WRITE_REFUSAL_COUNT; i++)
        out->refused[i] = atomic_load_explicit(&w->refused[i], memory_order_relaxed);
}
