/* SPDX-License-Identifier: Apache-2.0 */
/* head.c: the newest data, in memory and extent files, backed by series log and WAL (DESIGN 4.1, 4.2).
 *
 *   appender.h  group_append.c   slots, rows               group.c  tile -> strip -> extent
 *   series      head_series.c    table, hash index, log    postings.c  label pair -> ids
 *               head_catalog.c   both, without the dead
 *   queries     head_select.c    matchers -> series        head_read.c  pins, columns
 *   disk        wal.c            WAL thread, segments      head_replay.c  what was there at the start
 *               head_store.c     sealing, short WAL        extent_store.c files of sealed rows
 *   cut         head_truncate.c  forgets what is in blocks
 *   late data   late.c  group_late.c  head_late.c
 *
 * What readers rely on:
 * 1. Series, postings, label store and groups only grow at their end and are published by counts; what a
 *    cut replaces (at last the whole catalog) is retired and freed when the last view older than that is
 *    released (head_collect).
 * 2. A view pins a group at first touch: references on tile, run and extents and the number of visible
 *    rows, so that two selectors of a query see the same scrape.
 * 3. Rows are visible when the WAL thread has written them, whole, in order.
 * 4. Rows below `floor` are not the head's: blocks answer there. Late samples are until a block has them. */
#include "storage/head_private.h"

#include "base/assert.h"
#include "base/clock.h"
#include "base/file.h"

#include <stdarg.h>
#include <stdio.h>

enum { PATH_BYTES = 4096 };

/* --- open and close --- */

static void owner_take_log(void *arg, struct buffer *out)
{
    head_take_log(arg, out);
}

static void owner_publish(void *arg, const struct wal_commit *what)
{
    struct head *h = arg;
    struct group *g = what->group;
    if (UNLIKELY(what->late != NULL)) {
        group_late_publish(g, what->late);
        return;
    }
    mutex_lock(&g->mutex);
    group_publish(g, what->row, what->timestamp_ms);
    mutex_unlock(&g->mutex);
    head_atomic_min(&h->visible_mint, what->timestamp_ms);
    head_atomic_max(&h->visible_maxt, what->timestamp_ms);
}

static void owner_log(void *arg, bool is_error, const char *event, const char *text)
{
    head_log(arg, is_error, event, "%s", text);
}

static void head_free(struct head *h);

static struct head *head_new(const char *dir, const struct db_options *opts)
{
    char path[PATH_BYTES];
    struct head *h = mem_alloc_zero(MEM_HEAD, 1, sizeof *h);
    h->options = *opts;
    snprintf(path, sizeof path, "%s/head", dir);
    h->dir = mem_copy_string(MEM_HEAD, view_from(path));
    snprintf(path, sizeof path, "%s/quarantine", dir);
    h->quarantine_dir = mem_copy_string(MEM_HEAD, view_from(path));
    mutex_init(&h->creation);
    mutex_init(&h->view_mutex);
    mutex_init(&h->late_mutex);
    cond_init(&h->group_freed);
    h->catalog = catalog_new();
    map_init(&h->moved_index, MEM_HEAD);
    series_guard_init(&h->guard, opts);
    h->group_keys = string_map_new(MEM_HEAD);
    h->metadata_index = string_map_new(MEM_HEAD);
    arena_init(&h->metadata_arena, MEM_HEAD, 0);
    series_log_writer_init(&h->log);
    atomic_init(&h->floor, INT64_MIN);
    atomic_init(&h->floor_refused, INT64_MIN);
    atomic_init(&h->newest, INT64_MIN);
    atomic_init(&h->visible_mint, INT64_MAX);
    atomic_init(&h->visible_maxt, INT64_MIN);
    atomic_init(&h->late_mint, INT64_MAX);
    atomic_init(&h->late_maxt, INT64_MIN);
    head_set_out_of_order_window(h, opts->out_of_order_window_ms);
    h->epoch = 1;
    return h;
}

static bool folders_make(const struct head *h, struct error *err)
{
    char path[PATH_BYTES];
    snprintf(path, sizeof path, "%s/wal", h->dir);
    return dir_create(h->dir, err) && dir_create(path, err);
}

static void head_new_store(struct head *h)
{
    struct extent_store_options opts = {
        .dir = h->dir, .quarantine_dir = h->quarantine_dir, .log = owner_log, .log_arg = h};
    h->store = extent_store_new(&opts);
}

static bool head_start_wal(struct head *h, struct wal_recovered *found, struct error *err)
{
    struct wal_options opts = {h->dir, h->options.wal_segment_bytes,
                               h->options.wal_sync_interval_ms};
    struct wal_owner owner = {owner_take_log, head_write_series_log, owner_publish, owner_log, h};
    return wal_start(&h->wal, &opts, &owner, found, err);
}

static bool head_open_exemplars(struct head *h, struct error *err)
{
    int64_t sync = h->options.wal_sync_interval_ms;
    struct exemplars_options opts = {
        .dir = h->dir,
        .quarantine_dir = h->quarantine_dir,
        .max = h->options.exemplars_max,
        .sync_interval_ms = sync == DB_SYNC_OFF    ? -1
                            : sync == DB_SYNC_EACH ? 1
                                                   : sync,
        .log = h->options.log,
        .log_arg = h->options.log_arg,
    };
    return exemplars_open(&h->exemplars, &opts, err);
}

struct exemplars *head_exemplars(struct head *h)
{
    return h->exemplars;
}

bool head_open(struct head **out, const char *dir, int64_t block_maxt,
               const struct db_options *opts, struct pool *pool, struct error *err)
{
    static const struct db_options defaults;
    struct wal_recovered found = {0};
    mono_time begin = clock_mono();
    *out = NULL;
    struct head *h = head_new(dir, opts ? opts : &defaults);
    atomic_store_explicit(&h->floor, block_maxt, memory_order_relaxed);
    atomic_store_explicit(&h->floor_refused, block_maxt, memory_order_relaxed);
    head_atomic_max(&h->newest, block_maxt);
    head_new_store(h);
    bool ok = folders_make(h, err) && head_open_exemplars(h, err) &&
              head_replay(h, block_maxt, pool, &found, err) && head_start_wal(h, &found, err);
    mem_free(MEM_WAL, found.segments);
    if (!ok) {
        head_free(h);
        return false;
    }
    wal_refuse_below(h->wal, block_maxt);
    h->replay_seconds = (double)(clock_mono().ns - begin.ns) / 1e9;
    *out = h;
    return true;
}

bool head_close(struct head *h, struct error *err)
{
    if (!h)
        return true;
    ASSERT(!h->views);
    bool ok = wal_stop(h->wal, err);
    head_free(h);
    return ok;
}

static void head_free(struct head *h)
{
    exemplars_close(h->exemplars);
    head_collect(h);
    ASSERT(h->garbage_count == 0);
    for (uint32_t i = 0; i < atomic_load(&h->group_count); i++)
        group_free(head_group(h, i));
    for (size_t i = 0; i < GROUP_PAGES_MAX && h->group_pages[i]; i++)
        mem_free(MEM_HEAD, (void *)h->group_pages[i]);
    extent_store_free(h->store);
    mem_free(MEM_INDEX, h->index);
    mem_free(MEM_HEAD, h->moved);
    map_deinit(&h->moved_index);
    series_guard_deinit(&h->guard);
    mem_free(MEM_HEAD, (void *)h->metadata);
    mem_free(MEM_HEAD, h->garbage);
    mem_free(MEM_INDEX, h->logged_symbols);
    mem_free(MEM_INDEX, h->logged_shapes);
    series_log_writer_deinit(&h->log);
    arena_deinit(&h->metadata_arena);
    string_map_free(h->metadata_index);
    string_map_free(h->group_keys);
    catalog_free(h->catalog);
    cond_deinit(&h->group_freed);
    mutex_deinit(&h->late_mutex);
    mutex_deinit(&h->view_mutex);
    mutex_deinit(&h->creation);
    mem_free(MEM_HEAD, h->quarantine_dir);
    mem_free(MEM_HEAD, h->dir);
    mem_free(MEM_HEAD, h);
}

/* --- small things that all files use --- */

struct group *head_group(const struct head *h, uint32_t id)
{
    if (id >= atomic_load_explicit(&h->group_count, memory_order_acquire))
        return NULL;
    return atomic_load_explicit(&h->group_pages[id / GROUP_PAGE][id % GROUP_PAGE],
                                memory_order_acquire);
}

void head_log(const struct head *h, bool is_error, const char *event, const char *format, ...)
{
    char text[2048];
    va_list args;
    if (!h->options.log)
        return;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    h->options.log(h->options.log_arg, is_error, event, text);
}

void head_atomic_max(_Atomic int64_t *a, int64_t v)
{
    int64_t now = atomic_load_explicit(a, memory_order_relaxed);
    while (v > now && !atomic_compare_exchange_weak_explicit(a, &now, v, memory_order_relaxed,
                                                             memory_order_relaxed))
        ;
}

void head_atomic_min(_Atomic int64_t *a, int64_t v)
{
    int64_t now = atomic_load_explicit(a, memory_order_relaxed);
    while (v < now && !atomic_compare_exchange_weak_explicit(a, &now, v, memory_order_relaxed,
                                                             memory_order_relaxed))
        ;
}

void head_time_range(const struct head *h, int64_t *mint, int64_t *maxt)
{
    *maxt = atomic_load_explicit(&h->visible_maxt, memory_order_relaxed);
    *mint = atomic_load_explicit(&h->visible_mint, memory_order_relaxed);
    int64_t floor = atomic_load_explicit(&h->floor, memory_order_relaxed);
    if (*maxt < floor || *maxt == INT64_MIN) {
        *mint = INT64_MAX;
        *maxt = INT64_MIN;
    } else if (*mint < floor) {
        *mint = floor;
    }
    int64_t late_mint = atomic_load_explicit(&h->late_mint, memory_order_relaxed);
    int64_t late_maxt = atomic_load_explicit(&h->late_maxt, memory_order_relaxed);
    *mint = late_mint < *mint ? late_mint : *mint;
    *maxt = late_maxt > *maxt ? late_maxt : *maxt;
}

void head_flush(struct head *h)
{
    struct error stopped;
    bool all = wal_flush(h->wal, &stopped);
    (void)all; /* appenders and statistics say so */
}

bool head_wait_written(struct head *h, struct error *err)
{
    return wal_flush(h->wal, err);
}

uint32_t head_add_metadata(struct head *h, const struct metric_metadata *m)
{
    mutex_lock(&h->creation);
    uint32_t number = head_add_metadata_locked(h, m, true);
    mutex_unlock(&h->creation);
    return number;
}

bool head_refuse_below(struct head *h, int64_t cut_ms, struct error *err)
{
    wal_refuse_below(h->wal, cut_ms);
    head_atomic_max(&h->floor_refused, cut_ms);
    return wal_flush(h->wal, err);
}

/* --- reclaiming --- */

void head_retire(struct head *h, struct garbage g)
{
    mutex_lock(&h->view_mutex);
    g.epoch = h->epoch++;
    h->garbage = mem_grow(MEM_HEAD, h->garbage, &h->garbage_capacity, h->garbage_count + 1,
                          sizeof *h->garbage);
    h->garbage[h->garbage_count++] = g;
    mutex_unlock(&h->view_mutex);
}

static void garbage_free(struct head *h, const struct garbage *g)
{
    switch (g->kind) {
    case GARBAGE_POSTING_CHUNKS:
        posting_chunks_free(g->ptr);
        break;
    case GARBAGE_POSTING_PLACE:
        mutex_lock(&h->creation);
        postings_place_free(&((struct catalog *)g->ptr)->postings, g->place);
        mutex_unlock(&h->creation);
        break;
    case GARBAGE_CATALOG:
        catalog_free(g->ptr);
        break;
    case GARBAGE_GROUP:
        group_free(g->ptr);
        break;
    }
}

/* Takes out what is older than the oldest view. Garbage is in the order of its epochs, views in that of
 * theirs. */
static struct garbage *garbage_take_locked(struct head *h, size_t *count)
{
    uint64_t oldest = h->views ? h->views->epoch : UINT64_MAX;
    *count = 0;
    while (*count < h->garbage_count && h->garbage[*count].epoch < oldest)
        (*count)++;
    if (*count == 0)
        return NULL;
    struct garbage *taken = mem_alloc(MEM_HEAD, *count * sizeof *taken);
    memcpy(taken, h->garbage, *count * sizeof *taken);
    h->garbage_count -= *count;
    memmove(h->garbage, h->garbage + *count, h->garbage_count * sizeof *h->garbage);
    return taken;
}

/* Freed without the mutex, by one thread at a time and so in order: a place is freed before its catalog.
 * Whoever finds another at it leaves the rest to that one, who looks again before it ends. */
void head_collect(struct head *h)
{
    struct garbage *free_now;
    size_t count;
    mutex_lock(&h->view_mutex);
    if (h->collecting) {
        mutex_unlock(&h->view_mutex);
        return;
    }
    h->collecting = true;
    while ((free_now = garbage_take_locked(h, &count)) != NULL) {
        mutex_unlock(&h->view_mutex);
        for (size_t i = 0; i < count; i++)
            garbage_free(h, &free_now[i]);
        mem_free(MEM_HEAD, free_now);
        mutex_lock(&h->view_mutex);
    }
    h->collecting = false;
    mutex_unlock(&h->view_mutex);
}
