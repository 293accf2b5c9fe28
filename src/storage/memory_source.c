/* SPDX-License-Identifier: Apache-2.0 */
/* memory_source.c: each series is a label set and two arrays, ascending by time. Selecting walks all
 * series: the scripts and unit tests that use this have few. */
#include "storage/memory_source.h"

#include "base/assert.h"
#include "base/map.h"
#include "base/mem.h"

#include <stdlib.h>

struct memory_series {
    struct labels labels; /* in the source's arena */
    int64_t *times;
    double *values;
    size_t count, capacity; /* of both */
};

struct memory_source {
    struct storage_source source; /* first: a source is cast to its owner */
    struct arena arena;           /* label sets */
    struct memory_series *series;
    size_t count, capacity;
    struct map index; /* labels_hash -> series */
};

struct memory_view {
    struct storage_view view;
    const struct memory_source *source;
};

struct memory_reader {
    struct storage_reader reader;
    const struct memory_source *source;
};

static struct storage_view *memory_pin(struct storage_source *s, int64_t mint, int64_t maxt,
                                       struct error *err);

struct memory_source *memory_source_new(void)
{
    struct memory_source *m = mem_alloc_zero(MEM_HEAD, 1, sizeof *m);
    m->source.pin = memory_pin;
    arena_init(&m->arena, MEM_HEAD, 0);
    map_init(&m->index, MEM_HEAD);
    return m;
}

void memory_source_clear(struct memory_source *m)
{
    for (size_t i = 0; i < m->count; i++) {
        mem_free(MEM_HEAD, m->series[i].times);
        mem_free(MEM_HEAD, m->series[i].values);
    }
    m->count = 0;
    map_clear(&m->index);
    arena_reset(&m->arena);
}

void memory_source_free(struct memory_source *m)
{
    if (!m)
        return;
    memory_source_clear(m);
    mem_free(MEM_HEAD, m->series);
    map_deinit(&m->index);
    arena_deinit(&m->arena);
    mem_free(MEM_HEAD, m);
}

struct storage_source *memory_source_as_source(struct memory_source *m)
{
    return &m->source;
}

static bool series_has_labels(const void *context, uint32_t item, const void *key)
{
    const struct memory_source *m = context;
    const struct labels *ls = key;
    return labels_equal(m->series[item].labels, *ls);
}

static struct memory_series *series_get(struct memory_source *m, struct labels ls)
{
    uint64_t hash = labels_hash(ls);
    uint32_t idx = map_find(&m->index, hash, series_has_labels, m, &ls);
    if (idx == MAP_NONE) {
        m->series = mem_grow(MEM_HEAD, m->series, &m->capacity, m->count + 1, sizeof *m->series);
        idx = (uint32_t)m->count++;
        m->series[idx] = (struct memory_series){.labels = labels_copy(&m->arena, ls)};
        map_add(&m->index, hash, idx);
    }
    return &m->series[idx];
}

/* The first place whose time is not below t. */
static size_t times_lower_bound(const int64_t *times, size_t count, int64_t t)
{
    size_t low = 0, high = count;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (times[mid] < t)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

void memory_source_add(struct memory_source *m, struct labels ls, int64_t timestamp_ms,
                       double value)
{
    struct memory_series *s = series_get(m, ls);
    size_t at = s->count;
    if (s->count > 0 && s->times[s->count - 1] >= timestamp_ms)
        at = times_lower_bound(s->times, s->count, timestamp_ms);
    if (at < s->count && s->times[at] == timestamp_ms) {
        s->values[at] = value;
        return;
    }
    size_t capacity = s->capacity;
    s->times = mem_grow(MEM_HEAD, s->times, &capacity, s->count + 1, sizeof *s->times);
    s->values = mem_grow(MEM_HEAD, s->values, &s->capacity, s->count + 1, sizeof *s->values);
    ASSERT(capacity == s->capacity);
    memmove(s->times + at + 1, s->times + at, (s->count - at) * sizeof *s->times);
    memmove(s->values + at + 1, s->values + at, (s->count - at) * sizeof *s->values);
    s->times[at] = timestamp_ms;
    s->values[at] = value;
    s->count++;
}

void memory_source_trim(struct memory_source *m, int64_t before_ms)
{
    for (size_t i = 0; i < m->count; i++) {
        struct memory_series *s = &m->series[i];
        size_t gone = times_lower_bound(s->times, s->count, before_ms);
        if (gone == 0)
            continue;
        s->count -= gone;
        memmove(s->times, s->times + gone, s->count * sizeof *s->times);
        memmove(s->values, s->values + gone, s->count * sizeof *s->values);
    }
}

static bool series_is_selected(const struct memory_series *s, const struct select *what)
{
    size_t at = times_lower_bound(s->times, s->count, what->mint);
    if (at == s->count || s->times[at] > what->maxt)
        return false;
    for (size_t i = 0; i < what->matcher_count; i++) {
        const struct matcher *m = &what->matchers[i];
        if (!matcher_matches(m, labels_get(s->labels, m->name)))
            return false;
    }
    return true;
}

static bool memory_select(struct storage_view *v, const struct select *what,
                          struct label_store *labels, struct arena *arena, struct series_list *out,
                          struct error *err)
{
    const struct memory_source *m = ((struct memory_view *)v)->source;
    *out = (struct series_list){0};
    size_t capacity = 0;
    for (size_t i = 0; i < m->count; i++) {
        if (!series_is_selected(&m->series[i], what))
            continue;
        if (what->series_max > 0 && out->count == what->series_max)
            return error_set(err, ERROR_LIMIT, "more than %zu series selected", what->series_max);
        out->items = arena_grow(arena, out->items, &capacity, out->count + 1, sizeof *out->items);
        labels_id id = label_store_add(labels, m->series[i].labels);
        if (id.n == LABEL_STORE_NONE)
            return error_set(err, ERROR_LIMIT,
                             "the labels of the selected series take too much memory");
        out->items[out->count++] = (struct series_ref){id, i};
    }
    return true;
}

struct view_set {
    struct view *items;
    size_t count, capacity;
    struct arena *arena;
};

static void view_set_add(struct view_set *set, struct view v)
{
    set->items =
        arena_grow(set->arena, set->items, &set->capacity, set->count + 1, sizeof *set->items);
    set->items[set->count++] = v;
}

static int compare_views(const void *a, const void *b)
{
    return view_cmp(*(const struct view *)a, *(const struct view *)b);
}

/* Sorts, drops doubles, applies the limit and copies the text of what is left. */
static void view_set_finish(struct view_set *set, size_t limit, struct view **out, size_t *count)
{
    if (set->count > 0)
        qsort(set->items, set->count, sizeof *set->items, compare_views);
    size_t kept = 0;
    for (size_t i = 0; i < set->count && (limit == 0 || kept < limit); i++) {
        if (kept == 0 || !view_eq(set->items[i], set->items[kept - 1]))
            set->items[kept++] = arena_copy(set->arena, set->items[i]);
    }
    *out = set->items;
    *count = kept;
}

static bool memory_label_names(struct storage_view *v, const struct select *what, size_t limit,
                               struct arena *arena, struct view **out, size_t *count,
                               struct error *err)
{
    const struct memory_source *m = ((struct memory_view *)v)->source;
    struct view_set set = {.arena = arena};
    for (size_t i = 0; i < m->count; i++) {
        if (!series_is_selected(&m->series[i], what))
            continue;
        for (uint32_t k = 0; k < m->series[i].labels.count; k++)
            view_set_add(&set, m->series[i].labels.items[k].name);
    }
    view_set_finish(&set, limit, out, count);
    return true;
}

static bool memory_label_values(struct storage_view *v, struct view name, const struct select *what,
                                size_t limit, struct arena *arena, struct view **out, size_t *count,
                                struct error *err)
{
    const struct memory_source *m = ((struct memory_view *)v)->source;
    struct view_set set = {.arena = arena};
    for (size_t i = 0; i < m->count; i++) {
        if (!series_is_selected(&m->series[i], what))
            continue;
        struct view value = labels_get(m->series[i].labels, name);
        if (value.len > 0)
            view_set_add(&set, value);
    }
    view_set_finish(&set, limit, out, count);
    return true;
}

static bool memory_read(struct storage_reader *r, uint64_t ref, int64_t mint, int64_t maxt,
                        struct samples *out, struct error *err)
{
    const struct memory_source *m = ((struct memory_reader *)r)->source;
    ASSERT(ref < m->count);
    if (r->cancel && atomic_load_explicit(r->cancel, memory_order_relaxed))
        return error_set(err, ERROR_CANCELED, "the query was canceled");
    const struct memory_series *s = &m->series[ref];
    size_t from = times_lower_bound(s->times, s->count, mint);
    size_t to = maxt == INT64_MAX ? s->count : times_lower_bound(s->times, s->count, maxt + 1);
    if (to < from)
        to = from;
    *out = (struct samples){.count = to - from};
    if (to > from) {
        out->times = s->times + from;
        out->values = s->values + from;
    }
    return true;
}

static void memory_reader_free(struct storage_reader *r)
{
    mem_free(MEM_QUERY, r);
}

static struct storage_reader *memory_reader_new(struct storage_view *v, struct error *err)
{
    static const struct storage_reader_ops ops = {memory_read, memory_reader_free};
    struct memory_reader *r = mem_alloc_zero(MEM_QUERY, 1, sizeof *r);
    r->reader.ops = &ops;
    r->source = ((struct memory_view *)v)->source;
    return &r->reader;
}

static void memory_release(struct storage_view *v)
{
    mem_free(MEM_QUERY, v);
}

static struct storage_view *memory_pin(struct storage_source *s, int64_t mint, int64_t maxt,
                                       struct error *err)
{
    static const struct storage_view_ops ops = {
        memory_select, memory_label_names, memory_label_values, memory_reader_new, memory_release};
    struct memory_view *v = mem_alloc_zero(MEM_QUERY, 1, sizeof *v);
    v->view.ops = &ops;
    v->source = (const struct memory_source *)s;
    return &v->view;
}
