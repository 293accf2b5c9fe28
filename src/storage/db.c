/* SPDX-License-Identifier: Apache-2.0 */
/* db.c: the life of the data folder, and what is in force of it. Opening: take the lock, remove what was
 * never finished (names ending in .tmp), open the blocks, move what is damaged to quarantine/, then the
 * head, which drops what blocks already hold. Queries: db_view.c. Cutting and retention: keeper.c. Merging blocks: compactor.c. */
#include "storage/db.h"

#include "base/assert.h"
#include "base/mem.h"
#include "base/thread.h"
#include "storage/db_private.h"
#include "storage/head_floor.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { LOG_BYTES = 2048 };
static const int64_t BLOCK_RANGE_DEFAULT_MS = INT64_C(2) * 3600 * 1000;
static const int64_t RETENTION_DEFAULT_MS = INT64_C(15) * 24 * 3600 * 1000;
static const int64_t SECOND_MS = 1000;

void db_log(struct db *db, bool is_error, const char *event, const char *format, ...)
{
    char text[LOG_BYTES];
    va_list args;
    if (!db->options.log)
        return;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    db->options.log(db->options.log_arg, is_error, event, text);
}

void db_note_damage(struct db *db, uint64_t columns, const struct error *problem, bool is_news)
{
    atomic_fetch_add_explicit(&db->columns_damaged, columns, memory_order_relaxed);
    if (is_news)
        db_log(db, true, "column_damaged", "%s; queries leave its samples out", problem->message);
}

/* --- states --------------------------------------------------------------------------------------- */

struct db_state *db_state_pin(struct db *db)
{
    mutex_lock(&db->view_mutex);
    struct db_state *state = db->current;
    state->refs++;
    mutex_unlock(&db->view_mutex);
    return state;
}

void db_state_unref(struct db *db, struct db_state *state)
{
    mutex_lock(&db->view_mutex);
    ASSERT(state->refs > 0);
    bool gone = --state->refs == 0;
    if (gone) {
        ASSERT(state != db->current);
        if (state->previous)
            state->previous->next = state->next;
        else
            db->states = state->next;
        if (state->next)
            state->next->previous = state->previous;
    }
    mutex_unlock(&db->view_mutex);
    if (!gone)
        return;
    for (size_t i = 0; i < state->block_count; i++)
        block_unref(state->blocks[i]);
    head_deletions_unref(state->head_deletions);
    mem_free(MEM_BLOCK, state);
    keeper_wake(db); /* the head may be able to forget now */
}

void db_state_publish(struct db *db, struct block *const *blocks, size_t count, int64_t floor_ms,
                      struct head_deletions *head_deletions)
{
    struct db_state *state = mem_alloc_zero(MEM_BLOCK, 1, sizeof *state + count * sizeof *blocks);
    state->refs = 1;
    state->floor_ms = floor_ms;
    state->head_deletions = head_deletions_ref(head_deletions);
    state->block_count = count;
    for (size_t i = 0; i < count; i++)
        state->blocks[i] = block_ref(blocks[i]);
    mutex_lock(&db->view_mutex);
    struct db_state *before = db->current;
    ASSERT(!before || before->floor_ms <= floor_ms);
    state->number = ++db->state_count;
    state->next = db->states;
    if (db->states)
        db->states->previous = state;
    db->states = state;
    db->current = state;
    mutex_unlock(&db->view_mutex);
    if (before)
        db_state_unref(db, before);
}

int64_t db_state_floor_min(struct db *db)
{
    int64_t least = INT64_MAX;
    mutex_lock(&db->view_mutex);
    for (const struct db_state *s = db->states; s; s = s->next)
        least = s->floor_ms < least ? s->floor_ms : least;
    mutex_unlock(&db->view_mutex);
    return least;
}

uint64_t db_state_oldest(struct db *db)
{
    uint64_t oldest = UINT64_MAX;
    mutex_lock(&db->view_mutex);
    for (const struct db_state *s = db->states; s; s = s->next)
        oldest = s->number < oldest ? s->number : oldest;
    mutex_unlock(&db->view_mutex);
    return oldest;
}

/* --- blocks of the folder ------------------------------------------------------------------------- */

static const char *oldest_source(const struct block *b)
{
    const struct block_lineage *l = block_get_lineage(b);
    const char *oldest = block_get_meta(b)->ulid;
    for (size_t i = 0; i < l->source_count; i++)
        oldest = strcmp(l->sources[i], oldest) < 0 ? l->sources[i] : oldest;
    return oldest;
}

static int block_order(const void *a, const void *b)
{
    const struct block *x = *(struct block *const *)a, *y = *(struct block *const *)b;
    int64_t from = block_get_meta(x)->mint, other = block_get_meta(y)->mint;
    if (from != other)
        return from < other ? -1 : 1;
    int order = strcmp(oldest_source(x), oldest_source(y));
    return order ? order : strcmp(block_get_meta(x)->ulid, block_get_meta(y)->ulid);
}

void db_blocks_sort(struct block **blocks, size_t count)
{
    if (count > 1)
        qsort((void *)blocks, count, sizeof *blocks, block_order);
}

bool db_block_adopt(struct db *db, const struct block_meta *meta, struct block **out,
                    struct error *err)
{
    char path[DB_PATH_BYTES_MAX];
    *out = NULL;
    return meta->sample_count == 0 ||
           (block_path(path, db->dir, meta->ulid, err) && block_open(out, path, err));
}

/* First the name goes: a folder that is removed by half would be taken for a damaged block. */
static bool stray_remove(struct db *db, const char *ulid, struct error *err)
{
    char path[DB_PATH_BYTES_MAX];
    struct block_meta meta = {0};
    memcpy(meta.ulid, ulid, sizeof meta.ulid);
    if (!block_path(path, db->dir, ulid, err) ||
        (file_exists(path) && !db_block_retire(db, &meta, err)))
        return false;
    db_block_erase(db, &meta, "its samples are somewhere else");
    return true;
}

void db_block_disown(struct db *db, const char *ulid)
{
    struct error err;
    char path[DB_PATH_BYTES_MAX];
    if (!ulid[0] || !block_path(path, db->dir, ulid, &err) || !file_exists(path) ||
        stray_remove(db, ulid, &err))
        return;
    db_log(db, true, "block_delete_failed", "%s; its samples are somewhere else, it is tried again",
           err.message);
    mutex_lock(&db->view_mutex);
    db->strays = mem_grow(MEM_BLOCK, db->strays, &db->stray_capacity, db->stray_count + 1,
                          sizeof *db->strays);
    memcpy(db->strays[db->stray_count++], ulid, sizeof *db->strays);
    mutex_unlock(&db->view_mutex);
}

bool db_strays_remove(struct db *db, struct error *err)
{
    for (;;) {
        char ulid[BLOCK_ULID_BYTES] = "";
        mutex_lock(&db->view_mutex);
        if (db->stray_count > 0)
            memcpy(ulid, db->strays[db->stray_count - 1], sizeof ulid);
        mutex_unlock(&db->view_mutex);
        if (!ulid[0])
            return true;
        if (!stray_remove(db, ulid, err))
            return false;
        mutex_lock(&db->view_mutex);
        for (size_t i = 0; i < db->stray_count; i++)
            if (strcmp(db->strays[i], ulid) == 0)
                memcpy(db->strays[i], db->strays[--db->stray_count], sizeof *db->strays);
        mutex_unlock(&db->view_mutex);
    }
}

bool db_block_retire(struct db *db, const struct block_meta *meta, struct error *err)
{
    char from[DB_PATH_BYTES_MAX], to[DB_PATH_BYTES_MAX], name[ULID_BYTES + sizeof ".tmp"];
    (void)snprintf(name, sizeof name, "%s.tmp", meta->ulid);
    if (!block_path(from, db->dir, meta->ulid, err) || !block_path(to, db->dir, name, err))
        return false;
    return file_publish(from, to, err) || error_wrap(err, "could not delete block \"%s\"", from);
}

void db_block_erase(struct db *db, const struct block_meta *meta, const char *reason)
{
    char path[DB_PATH_BYTES_MAX], name[ULID_BYTES + sizeof ".tmp"];
    struct error err;
    (void)snprintf(name, sizeof name, "%s.tmp", meta->ulid);
    if (!block_path(path, db->dir, name, &err) || !dir_remove(path, &err))
        db_log(db, true, "block_delete_failed", "%s; it will be tried again at the next start",
               err.message);
    else
        db_log(db, false, "block_deleted", "block %s: %s", meta->ulid, reason);
}

/* --- open ----------------------------------------------------------------------------------------- */

struct opening {
    struct db *db;
    struct block **blocks;
    size_t count, capacity;
    struct error *err;
    bool ok;
};

/* Moves DIR/name to DIR/quarantine/name, or name.2, name.3 ... when that was there before. */
static bool quarantine(struct db *db, const char *name, struct error *err)
{
    char from[DB_PATH_BYTES_MAX], dir[DB_PATH_BYTES_MAX], to[DB_PATH_BYTES_MAX];
    char numbered[ULID_BYTES + 16];
    if (!block_path(from, db->dir, name, err) || !block_path(dir, db->dir, "quarantine", err) ||
        !dir_create(dir, err) || !block_path(to, dir, name, err))
        return false;
    for (int i = 2; file_exists(to) && i < 1000; i++) {
        (void)snprintf(numbered, sizeof numbered, "%.26s.%d", name, i);
        if (!block_path(to, dir, numbered, err))
            return false;
    }
    return file_publish(from, to, err);
}

static bool open_block(struct opening *o, const char *name)
{
    struct db *db = o->db;
    char path[DB_PATH_BYTES_MAX];
    struct error problem = {0};
    struct block *b;
    if (!block_path(path, db->dir, name, o->err))
        return false;
    if (block_open(&b, path, &problem)) {
        o->blocks = mem_grow(MEM_BLOCK, o->blocks, &o->capacity, o->count + 1, sizeof *o->blocks);
        o->blocks[o->count++] = b;
        return true;
    }
    /* Only what is wrong with the bytes is put aside: a failing disk must not empty the folder. */
    if (problem.kind != ERROR_CORRUPT && problem.kind != ERROR_NOT_FOUND) {
        if (o->err)
            *o->err = problem;
        return false;
    }
    if (!quarantine(db, name, o->err))
        return error_wrap(o->err, "could not put damaged block \"%s\" into quarantine", path);
    db->quarantined++;
    db_log(db, true, "block_quarantined",
           "%s; it was moved to \"%s/quarantine\" and its samples are not served", problem.message,
           db->dir);
    return true;
}

static bool open_visit(void *arg, const char *name, bool is_dir)
{
    struct opening *o = arg;
    char path[DB_PATH_BYTES_MAX], ulid[ULID_BYTES];
    size_t len = strlen(name);
    if (!is_dir || len < ULID_BYTES - 1)
        return true;
    memcpy(ulid, name, ULID_BYTES - 1);
    ulid[ULID_BYTES - 1] = '\0';
    if (!ulid_is_valid(ulid))
        return true;
    if (len == ULID_BYTES - 1)
        o->ok = open_block(o, name);
    else if (strcmp(name + ULID_BYTES - 1, ".tmp") == 0)
        o->ok = block_path(path, o->db->dir, name, o->err) && dir_remove(path, o->err);
    return o->ok;
}

/* The block is in another one, which was made of it: a merge was interrupted before it had removed it. */
static bool is_superseded(const struct block *b, const struct block *by)
{
    const struct block_meta *meta = block_get_meta(b), *newer = block_get_meta(by);
    const struct block_lineage *l = block_get_lineage(by);
    if (b == by || newer->level <= meta->level || newer->mint > meta->mint ||
        newer->maxt < meta->maxt)
        return false;
    for (size_t i = 0; i < l->parent_count; i++)
        if (strcmp(l->parents[i].ulid, meta->ulid) == 0)
            return true;
    for (size_t i = 0; i < l->source_count; i++)
        if (strcmp(l->sources[i], meta->ulid) == 0)
            return true;
    return false;
}

static void remove_superseded(struct opening *o)
{
    size_t kept = 0;
    bool *gone = mem_alloc_zero(MEM_BLOCK, o->count + 1, sizeof *gone);
    for (size_t i = 0; i < o->count; i++)
        for (size_t k = 0; k < o->count && !gone[i]; k++)
            gone[i] = is_superseded(o->blocks[i], o->blocks[k]);
    for (size_t i = 0; i < o->count; i++) {
        struct block *b = o->blocks[i];
        struct error problem;
        if (!gone[i]) {
            o->blocks[kept++] = b;
            continue;
        }
        if (db_block_retire(o->db, block_get_meta(b), &problem))
            db_block_erase(o->db, block_get_meta(b), "it is in a block that was made of it");
        else
            db_log(o->db, true, "block_delete_failed", "%s", problem.message);
        block_unref(b);
    }
    o->count = kept;
    mem_free(MEM_BLOCK, gone);
}

/* The block is there, or it is in one that was made of it. */
static bool block_is_there(const struct opening *o, const char *ulid)
{
    for (size_t i = 0; i < o->count; i++) {
        const struct block_lineage *l = block_get_lineage(o->blocks[i]);
        if (strcmp(block_get_meta(o->blocks[i])->ulid, ulid) == 0)
            return true;
        for (size_t k = 0; k < l->source_count; k++)
            if (strcmp(l->sources[k], ulid) == 0)
                return true;
    }
    return false;
}

/* Where the blocks end and the head begins (head_floor.h). */
static bool floor_find(struct db *db, const struct opening *o, int64_t *out, struct error *err)
{
    struct head_floor floor;
    struct error problem;
    if (!head_floor_read(&floor, db->dir, &problem)) {
        if (problem.kind != ERROR_CORRUPT && problem.kind != ERROR_TOO_LARGE) {
            if (err)
                *err = problem;
            return false;
        }
        db_log(db, true, "head_floor_lost",
               "%s; the head answers for all that it holds, also where blocks hold the same",
               problem.message);
    }
    *out = floor.floor_ms;
    if (floor.block[0] && block_is_there(o, floor.block))
        *out = floor.next_ms;
    return true;
}

/* A damaged list goes to quarantine: then what it hid is shown again, and that is said. */
static bool head_deletions_load(struct db *db, struct head_deletions **out, struct error *err)
{
    char from[DB_PATH_BYTES_MAX], dir[DB_PATH_BYTES_MAX], to[DB_PATH_BYTES_MAX];
    char name[ULID_BYTES + sizeof "deletions."] = "deletions.";
    struct error problem;
    if (head_deletions_read(db->dir, out, &problem))
        return true;
    if (problem.kind != ERROR_CORRUPT) {
        if (err)
            *err = problem;
        return false;
    }
    ulid_make(name + strlen(name), clock_wall());
    if (!block_path(from, db->dir, "head/deletions", err) ||
        !block_path(dir, db->dir, "quarantine", err) || !dir_create(dir, err) ||
        !block_path(to, dir, name, err) || !file_publish(from, to, err))
        return false;
    db_log(db, true, "head_deletions_lost",
           "%s; it was moved to \"%s\": what was deleted and is in no block yet shows again",
           problem.message, to);
    return true;
}

static bool open_blocks(struct db *db, struct error *err)
{
    struct opening o = {.db = db, .err = err, .ok = true};
    struct head_deletions *gone = NULL;
    int64_t floor = INT64_MIN;
    bool ok = dir_list(db->dir, open_visit, &o, err) && o.ok && floor_find(db, &o, &floor, err) &&
              head_deletions_load(db, &gone, err);
    if (ok) {
        remove_superseded(&o);
        db_blocks_sort(o.blocks, o.count);
        db->truncated_ms = floor;
        db_state_publish(db, o.blocks, o.count, floor, gone);
    }
    head_deletions_unref(gone);
    for (size_t i = 0; i < o.count; i++)
        block_unref(o.blocks[i]);
    mem_free(MEM_BLOCK, o.blocks);
    return ok;
}

static void options_apply(struct db *db, const struct db_options *opts)
{
    if (opts)
        db->options = *opts;
    int64_t range =
        db->options.block_range_ms > 0 ? db->options.block_range_ms : BLOCK_RANGE_DEFAULT_MS;
    db->block_range_ms = range < SECOND_MS ? SECOND_MS : range / SECOND_MS * SECOND_MS;
    db_set_retention(db, db->options.retention_ms, db->options.retention_bytes);
}

static bool lock_take(struct db *db, struct error *err)
{
    char path[DB_PATH_BYTES_MAX];
    if (!block_path(path, db->dir, "lock", err) || !dir_create(db->dir, err))
        return false;
    if (file_lock(&db->lock, path, err))
        return true;
    if (err && err->kind == ERROR_BUSY) {
        error_set(err, ERROR_BUSY, "data folder \"%s\" is in use by another process", db->dir);
        error_hint(err, "stop that process, or name another folder with --storage.tsdb.path");
        return false;
    }
    return error_wrap(err, "cannot use data folder \"%s\"", db->dir);
}

static void release(struct db *db)
{
    if (db->current) {
        struct db_state *last = db->current;
        ASSERT(last->refs == 1 && !last->next && !last->previous); /* all views are gone */
        db->current = NULL;
        db_state_unref(db, last);
    }
    file_discard(db->lock);
    mutex_deinit(&db->view_mutex);
    mutex_deinit(&db->wake_mutex);
    mem_free(MEM_BLOCK, db->strays);
    mutex_deinit(&db->keeper_mutex);
    cond_deinit(&db->wake);
    mutex_deinit(&db->compact_mutex);
    mutex_deinit(&db->compact_wake_mutex);
    cond_deinit(&db->compact_wake);
    mem_free(MEM_BLOCK, db);
}

static void late_full(void *arg)
{
    struct db *db = arg;
    atomic_store_explicit(&db->late_is_full, true, memory_order_relaxed);
    keeper_wake(db);
}

bool db_open(struct db **out, const char *dir, const struct db_options *opts, struct pool *pool,
             struct error *err)
{
    *out = NULL;
    if (strlen(dir) >= DB_PATH_BYTES_MAX / 2)
        return error_set(err, ERROR_INPUT, "the path of the data folder is longer than %d bytes",
                         DB_PATH_BYTES_MAX / 2);
    struct db *db = mem_alloc_zero(MEM_BLOCK, 1, sizeof *db);
    mutex_init(&db->view_mutex);
    mutex_init(&db->wake_mutex);
    mutex_init(&db->keeper_mutex);
    cond_init(&db->wake);
    mutex_init(&db->compact_mutex);
    mutex_init(&db->compact_wake_mutex);
    cond_init(&db->compact_wake);
    db->source.pin = db_view_pin;
    memcpy(db->dir, dir, strlen(dir) + 1);
    options_apply(db, opts);
    if (!lock_take(db, err) || !open_blocks(db, err) ||
        !head_open(&db->head, db->dir, db->current->floor_ms, &db->options, pool, err)) {
        release(db);
        return false;
    }
    for (size_t i = 0; i < db->current->block_count; i++)
        head_note_newest(db->head, block_get_meta(db->current->blocks[i])->maxt - 1);
    head_on_late_full(db->head, late_full, db);
    if (!keeper_start(db, err) || !compactor_start(db, err)) {
        struct error ignored;
        keeper_stop(db);
        if (!head_close(db->head, &ignored))
            error_hint(err, "and then: %s", ignored.message);
        release(db);
        return false;
    }
    *out = db;
    return true;
}

bool db_close(struct db *db, struct error *err)
{
    if (!db)
        return true;
    keeper_stop(db);
    compactor_stop(db);
    bool ok = head_close(db->head, err);
    release(db);
    return ok;
}

struct storage_source *db_as_source(struct db *db)
{
    return &db->source;
}

/* --- the rest ------------------------------------------------------------------------------------- */

bool db_group_open(struct db *db, struct view key, struct group **out, struct error *err)
{
    return head_group_open(db->head, key, out, err);
}

void db_flush(struct db *db)
{
    head_flush(db->head);
}

bool db_wait_written(struct db *db, struct error *err)
{
    return head_wait_written(db->head, err);
}

struct exemplars *db_exemplars(struct db *db)
{
    return head_exemplars(db->head);
}

void db_set_retention(struct db *db, int64_t retention_ms, uint64_t retention_bytes)
{
    atomic_store_explicit(&db->retention_ms,
                          retention_ms == 0 ? RETENTION_DEFAULT_MS : retention_ms,
                          memory_order_relaxed);
    atomic_store_explicit(&db->retention_bytes, retention_bytes, memory_order_relaxed);
}

void db_set_retention_percentage(struct db *db, double percentage)
{
    uint32_t ppm = percentage > 0 ? (uint32_t)(percentage * 10000) : 0;
    atomic_store_explicit(&db->retention_ppm, ppm, memory_order_relaxed);
}

void db_set_out_of_order_window(struct db *db, int64_t window_ms)
{
    head_set_out_of_order_window(db->head, window_ms);
}

void db_blocks_json(struct db *db, struct buffer *out)
{
    struct db_state *state = db_state_pin(db);
    buffer_append_byte(out, '[');
    for (size_t i = 0; i < state->block_count; i++) {
        const struct block *b = state->blocks[i];
        if (i > 0)
            buffer_append_byte(out, ',');
        block_meta_format(out, block_get_meta(b), block_get_lineage(b),
                          deletions_interval_count(block_get_deletions(b)));
    }
    buffer_append_byte(out, ']');
    db_state_unref(db, state);
}

static uint64_t load(const _Atomic uint64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

void db_stats_get(struct db *db, struct db_stats *out)
{
    *out = (struct db_stats){.head_mint = INT64_MAX, .head_maxt = INT64_MIN};
    head_stats_get(db->head, out);
    struct db_state *state = db_state_pin(db);
    out->lowest_time = out->head_mint;
    out->blocks = state->block_count;
    for (size_t i = 0; i < state->block_count; i++) {
        const struct block_meta *meta = block_get_meta(state->blocks[i]);
        out->blocks_bytes += meta->bytes;
        out->lowest_time = meta->mint < out->lowest_time ? meta->mint : out->lowest_time;
    }
    db_state_unref(db, state);
    out->blocks_cut = load(&db->blocks_cut);
    out->blocks_deleted = load(&db->blocks_deleted);
    out->cut_failures = load(&db->cut_failures);
    out->columns_damaged = load(&db->columns_damaged);
    out->compactions = load(&db->compactions);
    out->compactions_failed = load(&db->compactions_failed);
    out->blocks_quarantined = db->quarantined;
    out->disk_bytes = dir_bytes(db->dir);
}

void db_guard_get(struct db *db, struct arena *arena, struct db_guard *out)
{
    head_guard_get(db->head, arena, out);
}

void db_top_get(struct db *db, size_t limit, struct arena *arena, struct db_top *out)
{
    head_top_get(db->head, limit, arena, out);
}

bool db_metadata_get(struct db *db, uint32_t number, struct metric_metadata *out)
{
    return head_metadata_get(db->head, number, out);
}

void db_metadata_each(struct db *db, db_metadata_visit visit, void *arg)
{
    head_metadata_each(db->head, visit, arg);
}

void db_add_metadata(struct db *db, const struct metric_metadata *m)
{
    head_add_metadata(db->head, m);
}
