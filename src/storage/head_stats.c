/* SPDX-License-Identifier: Apache-2.0 */
/* head_stats.c: numbers, top lists and metadata for /metrics and the status pages. */
#include "storage/head_private.h"

#include <stdlib.h>

static uint64_t load(const _Atomic uint64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

void head_stats_get(struct head *h, struct db_stats *out)
{
    struct wal_stats wal;
    struct extent_store_stats extents;
    head_time_range(h, &out->head_mint, &out->head_maxt);
    mutex_lock(&h->creation);
    out->head_series = h->series_live;
    out->head_groups = h->groups_live;
    out->head_series_created = h->series_created;
    out->head_series_removed = h->series_removed;
    out->symbol_table_bytes = label_store_bytes(h->catalog->labels);
    mutex_unlock(&h->creation);
    out->head_chunks = load(&h->extent_count);
    out->samples_appended = load(&h->samples_appended);
    out->samples_out_of_order = load(&h->samples_out_of_order);
    out->samples_duplicate = load(&h->samples_duplicate);
    out->samples_order_refused = load(&h->samples_order_refused);
    out->samples_out_of_bounds = load(&h->samples_out_of_bounds);
    out->samples_too_old = load(&h->samples_too_old);
    out->samples_in_future = load(&h->samples_in_future);
    out->late_bytes = head_late_bytes(h);
    out->stale_markers = load(&h->stale_markers);
    out->replay_seconds = h->replay_seconds;
    wal_stats_get(h->wal, &wal);
    out->wal_bytes_written = wal.bytes_written;
    out->wal_fsyncs = wal.fsyncs;
    out->wal_segment = wal.segment;
    extent_store_stats_get(h->store, &extents);
    out->wal_disk_bytes = wal.disk_bytes;
    out->wal_corruptions = load(&h->corruptions) + extents.damaged;
    out->extent_files = extents.files;
    out->extent_bytes = extents.bytes;
    out->extent_bytes_written = extents.bytes_written;
    out->extent_failures = extents.failures;
    out->wal_queue_length = wal.queue_length;
    out->last_fsync_seconds = wal.last_fsync_seconds;
    out->ingest_stopped = wal.stopped;
}

/* --- top lists --- */

struct top_entry {
    symbol_id name, value; /* value LABEL_STORE_NONE: the name alone */
    uint64_t count;
};
struct top_list {
    struct top_entry *items;
    size_t count, capacity;
};

static void top_add(struct top_list *l, symbol_id name, symbol_id value, uint64_t count)
{
    l->items = mem_grow(MEM_QUERY, l->items, &l->capacity, l->count + 1, sizeof *l->items);
    l->items[l->count++] = (struct top_entry){name, value, count};
}

static int compare_top(const void *a, const void *b)
{
    const struct top_entry *x = a, *y = b;
    if (x->count != y->count)
        return x->count < y->count ? 1 : -1;
    if (x->name.n != y->name.n)
        return x->name.n > y->name.n ? 1 : -1;
    return (x->value.n > y->value.n) - (x->value.n < y->value.n);
}

static void top_finish(const struct catalog *c, struct top_list *l, size_t limit, bool value_only,
                       struct arena *arena, struct db_top_item **out, size_t *out_count)
{
    if (l->count > 0)
        qsort(l->items, l->count, sizeof *l->items, compare_top);
    *out_count = l->count < limit ? l->count : limit;
    *out = ARENA_ARRAY(arena, struct db_top_item, *out_count + 1);
    for (size_t i = 0; i < *out_count; i++) {
        struct view name = label_store_text(c->labels, l->items[i].name), value = {0};
        if (l->items[i].value.n != LABEL_STORE_NONE)
            value = label_store_text(c->labels, l->items[i].value);
        if (l->items[i].value.n == LABEL_STORE_NONE)
            (*out)[i].name = arena_copy(arena, name);
        else if (value_only)
            (*out)[i].name = arena_copy(arena, value);
        else
            (*out)[i].name = arena_printf(arena, "%.*s=%.*s", VIEW_ARGS(name), VIEW_ARGS(value));
        (*out)[i].value = l->items[i].count;
    }
    mem_free(MEM_QUERY, l->items);
}

void head_top_get(struct head *h, size_t limit, struct arena *arena, struct db_top *out)
{
    struct top_list metrics = {0}, values = {0}, bytes = {0}, pairs = {0};
    const symbol_id none = {LABEL_STORE_NONE};
    *out = (struct db_top){0};
    struct head_view *view = head_pin(h, INT64_MIN); /* keeps the texts */
    const struct catalog *c = view->catalog;
    mutex_lock(&h->creation);
    symbol_id metric_name = label_store_find_symbol(c->labels, VIEW(LABEL_NAME));
    out->label_pairs = c->postings.pair_count;
    for (size_t i = 0; i < c->postings.name_count; i++) {
        const struct posting_name *n = &c->postings.names[i];
        uint64_t value_bytes = 0, value_count = 0;
        for (size_t k = 0; k < n->count; k++) {
            const struct posting *p = postings_at(&c->postings, n->values[k]);
            if (p->count == 0)
                continue;
            value_count++;
            value_bytes += label_store_text(c->labels, p->value).len * (uint64_t)p->count;
            top_add(&pairs, n->name, p->value, p->count);
            if (n->name.n == metric_name.n)
                top_add(&metrics, n->name, p->value, p->count);
        }
        if (value_count > 0) {
            top_add(&values, n->name, none, value_count);
            top_add(&bytes, n->name, none, value_bytes);
        }
    }
    mutex_unlock(&h->creation);
    top_finish(c, &metrics, limit, true, arena, &out->series_by_metric,
               &out->series_by_metric_count);
    top_finish(c, &values, limit, false, arena, &out->values_by_label, &out->values_by_label_count);
    top_finish(c, &bytes, limit, false, arena, &out->bytes_by_label, &out->bytes_by_label_count);
    top_finish(c, &pairs, limit, false, arena, &out->series_by_pair, &out->series_by_pair_count);
    head_view_release(view);
}

bool head_metadata_get(struct head *h, uint32_t number, struct metric_metadata *out)
{
    mutex_lock(&h->creation);
    bool known = number < h->metadata_count;
    if (known)
        *out = *h->metadata[number];
    mutex_unlock(&h->creation);
    return known;
}

/* Items are never freed before the head: only the list of them is copied under the lock. */
void head_metadata_each(struct head *h, db_metadata_visit visit, void *arg)
{
    mutex_lock(&h->creation);
    size_t count = h->metadata_count;
    struct metric_metadata **items =
        mem_alloc(MEM_QUERY, (count + 1) * sizeof(struct metric_metadata *));
    if (count > 0)
        memcpy((void *)items, (void *)h->metadata, count * sizeof(struct metric_metadata *));
    mutex_unlock(&h->creation);
    for (size_t i = 0; i < count && visit(arg, items[i]); i++)
        ;
    mem_free(MEM_QUERY, (void *)items);
}

void head_guard_get(struct head *h, struct arena *arena, struct db_guard *out)
{
    const struct series_guard *g = &h->guard;
    *out = (struct db_guard){.series_max = h->options.series_max,
                             .series_per_job_max = g->per_job,
                             .series_per_metric_max = g->per_metric,
                             .new_series_per_job_max = g->new_per_job,
                             .memory_bytes_max = g->memory_bytes};
    out->culprits = ARENA_ARRAY(arena, struct db_guard_culprit, GUARD_CULPRITS_MAX + 1);
    mutex_lock(&h->creation);
    for (size_t i = 0; g->culprits && i <= GUARD_CULPRITS_MAX; i++) {
        const struct guard_culprit *c = &g->culprits[i];
        if (c->refused == 0)
            continue;
        bool is_rest = i == GUARD_CULPRITS_MAX;
        out->culprits[out->culprit_count++] = (struct db_guard_culprit){
            .job = is_rest ? VIEW("") : arena_copy(arena, view_from(c->job)),
            .metric = is_rest ? VIEW("") : arena_copy(arena, view_from(c->metric)),
            .refused = c->refused};
    }
    mutex_unlock(&h->creation);
}
