/* SPDX-License-Identifier: Apache-2.0 */
/* exemplars.c: a ring of all exemplars in the order they came, and per series a list through it.
 *
 *   entries   first ... first + count - 1, at number % capacity        a new one pushes out the oldest
 *   series    oldest -> ... -> newest      entries of one series, which lie in the ring in this order
 *
 * 1. The ring grows up to `max` entries, and is allocated as it fills. Labels of entries and series together
 *    take at most EXEMPLARS_BYTES_EACH per entry of `max` (and one addition more).
 * 2. A series is there while it has an entry.
 * 3. The rules are those of Prometheus 3: what equals the series' newest is a duplicate and no news; what is older
 *    (or of the same time with a smaller value, or smaller labels) is out of order; others are added.
 * 4. A writer that comes again with the same series is known by its process id: labels are not looked at. */
#include "storage/exemplars_private.h"

#include "base/assert.h"
#include "base/reader.h"
#include "base/utf8.h"
#include "model/sample.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SERIES_NONE UINT32_MAX
enum {
    BATCH_BYTES_MAX = 64 << 20,
    RING_MIN = 64,
    SELECT_SERIES_AT_ONCE = 256, /* under the mutex */
    LABELS_MAX = 4096,
    DROP_AT_ONCE = 1024
};

/* ---- labels as bytes ---- */

void exemplar_labels_encode(struct buffer *out, struct labels ls)
{
    for (uint32_t i = 0; i < ls.count; i++) {
        buffer_append_string(out, ls.items[i].name);
        buffer_append_string(out, ls.items[i].value);
    }
}

bool exemplar_labels_decode(struct view bytes, struct arena *arena, struct labels *out)
{
    struct reader r = reader_from(bytes);
    struct label *items = NULL;
    size_t capacity = 0;
    uint32_t count = 0;
    while (reader_left(&r) && count < LABELS_MAX) {
        struct view name = reader_string(&r, bytes.len), value = reader_string(&r, bytes.len);
        if (r.failed || (count && view_cmp(items[count - 1].name, name) >= 0))
            return false;
        if (count == capacity)
            items = arena_grow(arena, items, &capacity, count ? count + 1 : 8, sizeof *items);
        items[count++] = (struct label){name, value};
    }
    *out = (struct labels){items, count};
    return !r.failed && r.pos == r.len;
}

static struct view entry_labels(const struct exemplar_entry *e)
{
    return (struct view){e->labels, e->labels_bytes};
}

static struct view series_labels(const struct exemplar_series *s)
{
    return (struct view){s->labels, s->labels_bytes};
}

/* ---- batches ---- */

static bool is_too_long(struct labels ls)
{
    size_t characters = 0;
    for (uint32_t i = 0; i < ls.count; i++) {
        struct view parts[] = {ls.items[i].name, ls.items[i].value};
        for (size_t p = 0; p < ARRAY_COUNT(parts); p++) {
            for (size_t pos = 0; pos < parts[p].len; characters++)
                (void)utf8_next(parts[p], &pos); /* only counted */
            if (characters > EXEMPLAR_CHARACTERS_MAX)
                return true;
        }
    }
    return false;
}

void exemplar_batch_add(struct exemplar_batch *b, uint32_t key, const struct exemplar *e)
{
    if (is_too_long(e->labels)) {
        b->too_long++;
        return;
    }
    if (!b->bytes.bytes_max)
        buffer_init(&b->bytes, MEM_EXEMPLARS, BATCH_BYTES_MAX);
    struct buffer *out = &b->bytes;
    size_t begin = out->len;
    buffer_append_u32(out, key);
    buffer_append_u8(out, e->has_timestamp);
    buffer_append_u64(out, (uint64_t)e->timestamp_ms);
    buffer_append_f64(out, e->value);
    size_t length_at = out->len;
    buffer_append_u32(out, 0);
    exemplar_labels_encode(out, e->labels);
    if (out->failed) { /* full: those that are in it count */
        out->failed = false;
        out->len = begin;
        return;
    }
    uint32_t bytes = (uint32_t)(out->len - length_at - 4);
    for (size_t i = 0; i < 4; i++)
        out->ptr[length_at + i] = (char)(bytes >> (8 * i));
    b->count++;
}

void exemplar_batch_deinit(struct exemplar_batch *b)
{
    if (b->bytes.bytes_max)
        buffer_deinit(&b->bytes);
    *b = (struct exemplar_batch){0};
}

/* ---- ring and series ---- */

struct exemplar_entry *exemplar_entry(const struct exemplars *x, uint64_t number)
{
    ASSERT(number - x->first < x->count);
    return &x->ring[number % x->ring_capacity];
}

static void series_remove(struct exemplars *x, uint32_t idx)
{
    struct exemplar_series *s = &x->series[idx];
    map_remove(&x->by_hash, s->hash, idx);
    x->bytes -= s->labels_bytes;
    mem_free(MEM_EXEMPLARS, s->labels);
    *s = (struct exemplar_series){.next_free = x->series_free};
    x->series_free = idx;
    x->series_live--;
}

static void entry_remove_oldest(struct exemplars *x)
{
    struct exemplar_entry *e = exemplar_entry(x, x->first);
    struct exemplar_series *s = &x->series[e->series];
    ASSERT(s->oldest == x->first);
    s->oldest = e->next;
    if (s->oldest == EXEMPLAR_NONE) {
        s->newest = EXEMPLAR_NONE;
        if (e->series != x->series_kept)
            series_remove(x, e->series);
    }
    x->bytes -= e->labels_bytes;
    mem_free(MEM_EXEMPLARS, e->labels);
    x->first++;
    x->count--;
}

/* Another number of places, at least `count`. */
static void ring_resize(struct exemplars *x, uint32_t capacity)
{
    struct exemplar_entry *ring = NULL;
    ASSERT(capacity >= x->count);
    if (capacity)
        ring = mem_alloc(MEM_EXEMPLARS, capacity * sizeof *ring);
    for (uint64_t n = x->first; n < x->first + x->count; n++)
        ring[n % capacity] = x->ring[n % x->ring_capacity];
    mem_free(MEM_EXEMPLARS, x->ring);
    x->ring = ring;
    x->ring_capacity = capacity;
}

static uint32_t series_new(struct exemplars *x)
{
    uint32_t idx = x->series_free;
    if (idx != SERIES_NONE) {
        x->series_free = x->series[idx].next_free;
        return idx;
    }
    x->series = mem_grow(MEM_EXEMPLARS, x->series, &x->series_capacity, x->series_count + 1u,
                         sizeof *x->series);
    return x->series_count++;
}

struct series_key {
    const struct exemplars *x;
    uint64_t hash;
    struct view labels;
};

static bool series_has_labels(const void *context, uint32_t item, const void *key)
{
    const struct exemplars *x = context;
    const struct series_key *k = key;
    return x->series[item].hash == k->hash && view_eq(series_labels(&x->series[item]), k->labels);
}

static bool series_has_process_id(const void *context, uint32_t item, const void *key)
{
    const struct exemplars *x = context;
    const struct exemplar_series_info *info = key;
    return x->series[item].hash == info->hash && x->series[item].process_id == info->process_id;
}

uint32_t exemplar_series_get(struct exemplars *x, uint64_t hash, struct labels labels, bool *is_new)
{
    struct buffer text;
    buffer_init(&text, MEM_EXEMPLARS, UINT32_MAX);
    exemplar_labels_encode(&text, labels);
    struct series_key key = {x, hash, buffer_view(&text)};
    uint32_t idx = map_find(&x->by_hash, hash, series_has_labels, x, &key);
    *is_new = idx == MAP_NONE && !text.failed;
    if (*is_new) {
        idx = series_new(x);
        char *copy = mem_alloc(MEM_EXEMPLARS, text.len + !text.len);
        if (text.len)
            memcpy(copy, text.ptr, text.len);
        x->series[idx] = (struct exemplar_series){.ref = x->next_ref++,
                                                  .hash = hash,
                                                  .oldest = EXEMPLAR_NONE,
                                                  .newest = EXEMPLAR_NONE,
                                                  .labels = copy,
                                                  .labels_bytes = (uint32_t)text.len,
                                                  .process_id = UINT32_MAX};
        map_add(&x->by_hash, hash, idx);
        x->bytes += text.len;
        x->series_live++;
    }
    buffer_deinit(&text);
    return idx;
}

/* What becomes of `e` behind the series' newest. */
static enum exemplar_added judge(const struct exemplar_entry *newest,
                                 const struct exemplar_entry *e)
{
    int labels = view_cmp(entry_labels(e), entry_labels(newest));
    bool same_value = sample_bits(e->value) == sample_bits(newest->value);
    bool same_time = e->timestamp_ms == newest->timestamp_ms;
    if (labels == 0 && same_value && (same_time || !(e->has_timestamp || newest->has_timestamp)))
        return EXEMPLAR_DUPLICATE;
    if (e->timestamp_ms < newest->timestamp_ms)
        return EXEMPLAR_OUT_OF_ORDER;
    if (same_time && (e->value < newest->value || (same_value && labels < 0)))
        return EXEMPLAR_OUT_OF_ORDER;
    return EXEMPLAR_ADDED;
}

static void make_room(struct exemplars *x, uint32_t bytes)
{
    while (x->count && (x->count >= x->max || x->bytes + bytes > x->bytes_max))
        entry_remove_oldest(x);
    if (x->count < x->ring_capacity)
        return;
    uint64_t wanted = x->ring_capacity ? (uint64_t)x->ring_capacity * 2 : RING_MIN;
    ring_resize(x, wanted < x->max ? (uint32_t)wanted : x->max);
}

/* `e->labels` is copied. */
enum exemplar_added exemplar_add(struct exemplars *x, uint32_t series,
                                 const struct exemplar_entry *e)
{
    if (x->series[series].newest != EXEMPLAR_NONE) {
        enum exemplar_added verdict = judge(exemplar_entry(x, x->series[series].newest), e);
        if (verdict != EXEMPLAR_ADDED)
            return verdict;
    }
    x->series_kept = series;
    make_room(x, e->labels_bytes);
    x->series_kept = SERIES_NONE;
    struct exemplar_series *s = &x->series[series];
    uint64_t number = x->first + x->count++;
    struct exemplar_entry *place = exemplar_entry(x, number);
    *place = *e;
    place->series = series;
    place->next = EXEMPLAR_NONE;
    place->labels = mem_alloc(MEM_EXEMPLARS, e->labels_bytes + !e->labels_bytes);
    if (e->labels_bytes)
        memcpy(place->labels, e->labels, e->labels_bytes);
    x->bytes += e->labels_bytes;
    if (s->newest == EXEMPLAR_NONE)
        s->oldest = number;
    else
        exemplar_entry(x, s->newest)->next = number;
    s->newest = number;
    return EXEMPLAR_ADDED;
}

/* ---- a life ---- */

static void set_max_locked(struct exemplars *x, int64_t max)
{
    x->max = max <= 0 ? 0 : (uint32_t)(max < EXEMPLARS_MAX_LIMIT ? max : EXEMPLARS_MAX_LIMIT);
    x->bytes_max = (uint64_t)x->max * EXEMPLARS_BYTES_EACH;
    while (x->count > x->max)
        entry_remove_oldest(x);
    if (x->ring_capacity > x->max)
        ring_resize(x, x->max);
}

static void exemplars_free(struct exemplars *x)
{
    set_max_locked(x, 0);
    ASSERT(x->series_live == 0 && x->bytes == 0);
    mem_free(MEM_EXEMPLARS, x->series);
    map_deinit(&x->by_hash);
    buffer_deinit(&x->pending);
    cond_deinit(&x->wake);
    cond_deinit(&x->done);
    mutex_deinit(&x->mutex);
    mem_free(MEM_EXEMPLARS, x->log_path);
    mem_free(MEM_EXEMPLARS, x->quarantine_dir);
    mem_free(MEM_EXEMPLARS, x);
}

bool exemplars_open(struct exemplars **out, const struct exemplars_options *opts, struct error *err)
{
    struct exemplars *x = mem_alloc_zero(MEM_EXEMPLARS, 1, sizeof *x);
    size_t path_bytes = strlen(opts->dir) + sizeof "/exemplars.log";
    *out = NULL;
    x->log_path = mem_alloc(MEM_EXEMPLARS, path_bytes);
    snprintf(x->log_path, path_bytes, "%s/exemplars.log", opts->dir);
    x->quarantine_dir = mem_copy_string(MEM_EXEMPLARS, view_from(opts->quarantine_dir));
    x->sync_interval_ms = opts->sync_interval_ms ? opts->sync_interval_ms : 1000;
    x->log = opts->log;
    x->log_arg = opts->log_arg;
    mutex_init(&x->mutex);
    cond_init(&x->wake);
    cond_init(&x->done);
    map_init(&x->by_hash, MEM_EXEMPLARS);
    buffer_init(&x->pending, MEM_EXEMPLARS, EXEMPLAR_PENDING_BYTES_MAX);
    x->record = SIZE_MAX;
    x->series_free = x->series_kept = SERIES_NONE;
    x->next_ref = x->next_sequence = 1;
    set_max_locked(x, opts->max ? opts->max : EXEMPLARS_MAX_DEFAULT);
    if (!exemplar_log_replay(x, err)) {
        exemplars_free(x);
        return false;
    }
    *out = x;
    return true;
}

void exemplars_close(struct exemplars *x)
{
    if (!x)
        return;
    exemplar_log_stop(x);
    exemplars_free(x);
}

void exemplars_set_max(struct exemplars *x, int64_t max)
{
    mutex_lock(&x->mutex);
    set_max_locked(x, max);
    mutex_unlock(&x->mutex);
}

/* ---- in ---- */

/* The series of a key; *is_new: the log has to know it. */
static uint32_t writer_series(struct exemplars *x, const struct exemplar_writer *w, uint32_t key,
                              struct arena *arena, bool *is_new)
{
    struct exemplar_series_info info;
    *is_new = false;
    if (!w->series(w->arg, key, &info))
        return MAP_NONE;
    uint32_t idx = map_find(&x->by_hash, info.hash, series_has_process_id, x, &info);
    if (idx != MAP_NONE)
        return idx;
    arena_reset(arena);
    idx = exemplar_series_get(x, info.hash, w->labels(w->arg, key, arena), is_new);
    if (idx != MAP_NONE)
        x->series[idx].process_id = info.process_id;
    return idx;
}

static void count(struct exemplar_counts *counts, enum exemplar_added what)
{
    counts->added += what == EXEMPLAR_ADDED;
    counts->duplicate += what == EXEMPLAR_DUPLICATE;
    counts->out_of_order += what == EXEMPLAR_OUT_OF_ORDER;
}

static void add_locked(struct exemplars *x, struct view bytes, const struct exemplar_writer *w,
                       struct arena *arena, struct exemplar_counts *counts)
{
    struct reader r = reader_from(bytes);
    while (reader_left(&r)) {
        struct exemplar_entry e = {.next = EXEMPLAR_NONE};
        uint32_t key = reader_u32(&r);
        e.has_timestamp = reader_u8(&r);
        e.timestamp_ms = (int64_t)reader_u64(&r);
        e.value = reader_f64(&r);
        e.labels_bytes = reader_u32(&r);
        struct view labels = reader_bytes(&r, e.labels_bytes);
        ASSERT(!r.failed);                        /* we wrote it */
        e.labels = (char *)(uintptr_t)labels.ptr; /* only read */
        bool is_new;
        uint32_t series = writer_series(x, w, key, arena, &is_new);
        if (series == MAP_NONE)
            continue;
        enum exemplar_added what = exemplar_add(x, series, &e);
        count(counts, what);
        if (is_new)
            exemplar_log_series(x, &x->series[series]);
        if (what == EXEMPLAR_ADDED) {
            e.series = series;
            exemplar_log_entry(x, &e);
        }
    }
}

void exemplars_add(struct exemplars *x, const struct exemplar_batch *b,
                   const struct exemplar_writer *w, struct exemplar_counts *counts)
{
    struct arena arena;
    *counts = (struct exemplar_counts){.too_long = b->too_long};
    if (b->count == 0)
        return;
    arena_init(&arena, MEM_EXEMPLARS, 0);
    mutex_lock(&x->mutex);
    if (x->max)
        add_locked(x, buffer_view(&b->bytes), w, &arena, counts);
    x->appended += counts->added;
    x->out_of_order += counts->out_of_order;
    bool start = counts->added && !x->thread_runs;
    x->thread_runs |= start;
    exemplar_log_commit(x);
    mutex_unlock(&x->mutex);
    arena_deinit(&arena);
    if (start)
        exemplar_log_start(x);
}

void exemplars_drop_before(struct exemplars *x, int64_t ms)
{
    bool more = true;
    while (more) {
        mutex_lock(&x->mutex);
        int left = DROP_AT_ONCE;
        while (left > 0 && x->count && exemplar_entry(x, x->first)->timestamp_ms < ms) {
            entry_remove_oldest(x);
            left--;
        }
        more = left == 0;
        mutex_unlock(&x->mutex);
    }
}

/* ---- out ---- */

static bool set_matches(const struct exemplar_matchers *set, struct labels ls)
{
    for (size_t i = 0; i < set->count; i++) {
        if (!matcher_matches(&set->items[i], labels_get(ls, set->items[i].name)))
            return false;
    }
    return true;
}

static bool any_set_matches(const struct exemplar_matchers *sets, size_t count, struct labels ls)
{
    for (size_t i = 0; i < count; i++) {
        if (set_matches(&sets[i], ls))
            return true;
    }
    return false;
}

/* Copies what is within the time; false when nothing is. */
static bool copy_entries(const struct exemplars *x, const struct exemplar_series *s, int64_t start,
                         int64_t end, struct arena *arena, struct exemplar_list *out)
{
    size_t capacity = 0;
    *out = (struct exemplar_list){{NULL, 0}, NULL, 0};
    for (uint64_t n = s->oldest; n != EXEMPLAR_NONE; n = exemplar_entry(x, n)->next) {
        const struct exemplar_entry *e = exemplar_entry(x, n);
        if (e->timestamp_ms < start || e->timestamp_ms > end)
            continue;
        struct exemplar copy = {
            .value = e->value, .timestamp_ms = e->timestamp_ms, .has_timestamp = e->has_timestamp};
        if (!exemplar_labels_decode(arena_copy(arena, entry_labels(e)), arena, &copy.labels))
            continue; /* cannot be: it was encoded here */
        if (out->count == capacity)
            out->items =
                arena_grow(arena, out->items, &capacity, out->count + 1, sizeof *out->items);
        out->items[out->count++] = copy;
    }
    return out->count > 0;
}

static int list_compare(const void *a, const void *b)
{
    const struct exemplar_list *la = a, *lb = b;
    return labels_compare(la->series, lb->series);
}

void exemplars_select(struct exemplars *x, const struct exemplar_matchers *sets, size_t set_count,
                      int64_t start_ms, int64_t end_ms, struct arena *arena,
                      struct exemplar_list **out, size_t *count)
{
    struct arena scratch;
    size_t capacity = 0;
    bool more = true;
    *out = NULL;
    *count = 0;
    exemplar_log_flush(x);
    arena_init(&scratch, MEM_QUERY, 0);
    for (uint32_t from = 0; more; from += SELECT_SERIES_AT_ONCE) {
        mutex_lock(&x->mutex);
        for (uint32_t i = from; i < x->series_count && i < from + SELECT_SERIES_AT_ONCE; i++) {
            const struct exemplar_series *s = &x->series[i];
            struct labels ls;
            struct exemplar_list list;
            arena_reset(&scratch);
            if (!s->labels || !exemplar_labels_decode(series_labels(s), &scratch, &ls) ||
                !any_set_matches(sets, set_count, ls) ||
                !copy_entries(x, s, start_ms, end_ms, arena, &list))
                continue;
            list.series = labels_copy(arena, ls);
            if (*count == capacity)
                *out = arena_grow(arena, *out, &capacity, *count + 1, sizeof **out);
            (*out)[(*count)++] = list;
        }
        more = from + SELECT_SERIES_AT_ONCE < x->series_count;
        mutex_unlock(&x->mutex);
    }
    arena_deinit(&scratch);
    if (*count)
        qsort(*out, *count, sizeof **out, list_compare);
}

void exemplars_stats_get(struct exemplars *x, struct exemplars_stats *out)
{
    mutex_lock(&x->mutex);
    *out = (struct exemplars_stats){
        .appended = x->appended,
        .out_of_order = x->out_of_order,
        .stored = x->count,
        .series = x->series_live,
        .max = x->max,
        .last_timestamp_ms = x->count ? exemplar_entry(x, x->first)->timestamp_ms : 0,
        .log_bytes = x->log_bytes,
        .log_failures = x->log_failures,
    };
    mutex_unlock(&x->mutex);
}
