/* SPDX-License-Identifier: Apache-2.0 */
/* keeper.c: the thread that tends the folder, and the same work on demand (db_maintain).
 *
 * A cut:   1. head_refuse_below(cut): nothing more is taken into the range, all that was is visible
 *          2. pin the head, write the range into a block, note its name (head_floor.h), open it
 *          3. publish the new state: the block is in, the head's floor is at the cut
 *          4. when no query holds an older state: head_truncate(cut)
 * Late samples of the range go along, others into blocks of their own (keeper_late.c).
 * Queries go on throughout; whichever state a query holds, it sees each sample once.
 * If 2 fails, nothing is changed but that the range is closed to late rows: it is tried again, at longer
 * and longer intervals. If the process ends between 2 and 4, the head drops at its start what the block
 * has. While 4 waits for a query, no further cut begins, so the head's oldest time is always true.
 *
 * Retention counts from the newest stored sample, not from the clock: neither old data nor a clock that
 * jumps deletes anything by itself. A sample from the future could; so none counts that is after the clock. When the
 * wall clock has moved by more than an hour against the monotonic one, the time that went by since then is what counts
 * for a day, and at most one block goes per look. */
#include "base/assert.h"
#include "base/mem.h"
#include "base/thread.h"
#include "storage/db_private.h"
#include "storage/head_floor.h"
#include "storage/sample_merge.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    LOOK_INTERVAL_MS = 30 * 1000, /* at most; half a block range when that is less */
    STORE_INTERVAL_MS = 5 * 1000,
    CUTS_PER_LOOK_MAX = 64,
    RETRY_MS = 15 * 1000,
    RETRY_DOUBLINGS = 7
};
static const int64_t CLOCK_JUMP_MS = INT64_C(3600) * 1000;
static const int64_t DELETIONS_KEPT_MS = INT64_C(7) * 24 * 3600 * 1000;
static const int64_t CAREFUL_MS = INT64_C(24) * 3600 * 1000;
static const int64_t CLOCK_AHEAD_MS = INT64_C(600) * 1000; /* as samples may be (group_append.c) */

/* --- cut ------------------------------------------------------------------------------------------ */

void keeper_truncate(struct db *db)
{
    struct error err;
    int64_t floor = db_state_floor_min(db);
    (void)keeper_late_forget(db); /* else at the next look */
    if (floor <= db->truncated_ms)
        return;
    if (!head_truncate(db->head, floor, &err)) {
        /* The block has these samples and no query looks for them in the head: only space is lost. */
        db_log(db, true, "head_truncate_failed", "%s", err.message);
        return;
    }
    db->truncated_ms = floor;
    if (!head_floor_write(&(struct head_floor){.floor_ms = floor}, db->dir, &err))
        /* The cut's own entry still says the same as long as its block is there. */
        db_log(db, true, "head_floor_failed", "%s", err.message);
}

struct cut {
    struct db *db;
    int64_t mint, maxt; /* [mint, maxt) */
    bool late_only;
    const char *copy_dir; /* NULL: a block of the folder; else a copy goes there */
    struct label_store *labels;
    struct arena arena;
    struct head_view *view;
    struct head_reader *reader;
    struct block_writer *writer;
};

static int ref_order(const void *a, const void *b, void *labels)
{
    return label_store_compare(labels, ((const struct series_ref *)a)->labels,
                               ((const struct series_ref *)b)->labels);
}

/* What is damaged in the head's files cannot be in the block either; trying again would not help. */
static void cut_note_damage(struct cut *c)
{
    struct error problem;
    bool is_news;
    uint64_t columns = head_reader_lost(c->reader, &problem, &is_news);
    if (columns == 0)
        return;
    db_note_damage(c->db, columns, &problem, is_news);
    db_log(c->db, true, "block_incomplete",
           "%" PRIu64 " columns of the head are damaged and missing in the block that is cut: %s",
           columns, problem.message);
}

static bool cut_series(struct cut *c, const struct series_list *list, struct error *err)
{
    struct db_state *state =
        db_state_pin(c->db); /* nobody publishes another: we hold keeper_mutex */
    struct sample_merge left;
    struct arena scratch;
    bool ok = true;
    arena_init(&scratch, MEM_BLOCK, 0);
    sample_merge_init(&left);
    for (size_t i = 0; ok && i < list->count; i++) {
        struct samples samples;
        arena_reset(&scratch);
        struct labels ls = label_store_labels(c->labels, list->items[i].labels, &scratch);
        ok = head_reader_read(c->reader, list->items[i].ref, c->mint, c->maxt - 1, &c->db->stopping,
                              &samples, err);
        if (ok) {
            sample_merge_begin(&left);
            sample_merge_add(&left, &samples, head_deletions_of(state->head_deletions, ls));
            sample_merge_finish(&left, &samples);
            ok = block_writer_add(c->writer, ls, &samples, err);
        }
        if (ok && atomic_load_explicit(&c->db->stopping, memory_order_relaxed))
            ok = error_set(err, ERROR_CANCELED, "the database is closing");
    }
    sample_merge_deinit(&left);
    arena_deinit(&scratch);
    db_state_unref(c->db, state);
    cut_note_damage(c);
    return ok;
}

/* Notes down which block is about to be there: if the process ends after it is, the head knows at the next
 * start that it may forget. */
static bool cut_announce(struct cut *c, struct error *err)
{
    struct db_state *state = db_state_pin(c->db);
    struct head_floor floor = {.floor_ms = state->floor_ms, .next_ms = c->maxt};
    db_state_unref(c->db, state);
    memcpy(floor.block, block_writer_get_meta(c->writer)->ulid, sizeof floor.block);
    return head_floor_write(&floor, c->db->dir, err);
}

/* Writes [mint, maxt) of the head as a block; *meta has sample_count 0 when there is nothing. */
static bool cut_write(struct cut *c, struct block_meta *meta, struct error *err)
{
    struct select all = {.mint = c->mint, .maxt = c->maxt - 1};
    struct series_list list;
    if (!head_select(c->view, &all, c->labels, &c->arena, &list, err))
        return false;
    if (list.count > 1)
        qsort_r(list.items, list.count, sizeof *list.items, ref_order, c->labels);
    if (!block_writer_open(&c->writer, c->copy_dir ? c->copy_dir : c->db->dir, c->mint, c->maxt,
                           err))
        return false;
    if (!cut_series(c, &list, err) || (!c->late_only && !c->copy_dir && !cut_announce(c, err))) {
        block_writer_discard(c->writer);
        return false;
    }
    if (c->copy_dir)
        block_writer_fit_range(c->writer);
    return block_writer_finish(c->writer, meta, err);
}

/* What of the head's deletions can still matter: blocks are cut without what is deleted, late samples too, which
 * come at most a day late by default and are cut within hours. A reference. */
static struct head_deletions *deletions_prune(const struct db_state *state, bool *same)
{
    struct head_deletions_builder b;
    int64_t floor = state->floor_ms;
    head_deletions_builder_init(&b);
    head_deletions_builder_add_all(
        &b, state->head_deletions,
        floor < INT64_MIN + DELETIONS_KEPT_MS ? INT64_MIN : floor - DELETIONS_KEPT_MS);
    struct head_deletions *left = head_deletions_finish(&b);
    *same = head_deletions_series_count(left) == head_deletions_series_count(state->head_deletions);
    return left;
}

static void state_add(struct db *db, struct block *b, int64_t floor_ms)
{
    struct db_state *before = db_state_pin(db);
    struct error err;
    bool same;
    struct head_deletions *gone = deletions_prune(before, &same);
    size_t count = before->block_count;
    struct block **blocks = mem_alloc(MEM_BLOCK, (count + 1) * sizeof(struct block *));
    if (count > 0)
        memcpy((void *)blocks, (void *)before->blocks, count * sizeof(struct block *));
    if (b)
        blocks[count++] = b;
    db_blocks_sort(blocks, count);
    db_state_publish(db, blocks, count, floor_ms, gone);
    if (!same && !head_deletions_write(db->dir, gone, &err))
        db_log(db, true, "head_deletions_failed", "%s; it is only longer than it must be",
               err.message);
    head_deletions_unref(gone);
    mem_free(MEM_BLOCK, (void *)blocks);
    db_state_unref(db, before);
    compactor_wake(db);
}

/* Everything is pinned, read and written; *out is the open block, NULL = there was nothing. */
static bool cut_block(struct cut *c, struct block_meta *meta, struct block **out, struct error *err)
{
    struct db *db = c->db;
    arena_init(&c->arena, MEM_BLOCK, 0);
    c->labels = label_store_new(MEM_BLOCK, 0);
    c->view = c->late_only ? head_pin_late(db->head) : head_pin(db->head, c->mint);
    c->reader = head_reader_new(c->view);
    *meta = (struct block_meta){0};
    bool ok = cut_write(c, meta, err) && db_block_adopt(db, meta, out, err);
    if (!ok)
        db_block_disown(db, meta->ulid); /* the head has its samples, and will be cut again */
    head_reader_free(c->reader);
    head_view_release(c->view);
    label_store_free(c->labels);
    arena_deinit(&c->arena);
    return ok;
}

bool keeper_cut(struct db *db, int64_t mint, int64_t maxt, bool late_only, struct error *err)
{
    struct cut c = {.db = db, .mint = mint, .maxt = maxt, .late_only = late_only};
    struct block_meta meta;
    struct block *b = NULL;
    struct head_late_mark mark;
    struct db_state *state = db_state_pin(db);
    int64_t floor = late_only ? state->floor_ms : maxt;
    db_state_unref(db, state);
    ASSERT(!db->late.is_waiting);
    if (!head_late_mark(db->head, false, &mark, err) ||
        (!late_only && !head_refuse_below(db->head, maxt, err)) || !cut_block(&c, &meta, &b, err))
        return error_wrap(err, "could not cut a block of [%" PRId64 ", %" PRId64 ")", mint, maxt);
    state_add(db, b, floor);
    keeper_late_published(db, &mark, mint, maxt);
    if (!late_only) {
        db->last_cut_empty = b == NULL;
        db->late_is_due = true;
    }
    if (b) {
        atomic_fetch_add_explicit(&db->blocks_cut, 1, memory_order_relaxed);
        db_log(db, false, "block_cut",
               "block %s: %" PRIu64 " series, %" PRIu64 " samples%s, %" PRIu64 " bytes", meta.ulid,
               meta.series_count, meta.sample_count, late_only ? " that came late" : "",
               block_get_meta(b)->bytes);
    }
    block_unref(b);
    return true;
}

bool keeper_write_head(struct db *db, const char *dir, struct error *err)
{
    struct cut c = {.db = db, .mint = INT64_MIN, .maxt = INT64_MAX, .copy_dir = dir};
    struct db_state *state = db_state_pin(db);
    struct block_meta meta;
    arena_init(&c.arena, MEM_BLOCK, 0);
    c.labels = label_store_new(MEM_BLOCK, 0);
    c.view = head_pin(db->head, state->floor_ms);
    c.reader = head_reader_new(c.view);
    bool ok = cut_write(&c, &meta, err);
    head_reader_free(c.reader);
    head_view_release(c.view);
    label_store_free(c.labels);
    arena_deinit(&c.arena);
    db_state_unref(db, state);
    return ok;
}

/* The next range to cut, when the head spans more than one and a half. */
static bool cut_due(struct db *db, int64_t *mint, int64_t *maxt)
{
    int64_t first, last, range = db->block_range_ms;
    head_time_range(db->head, &first, &last);
    first = first < db->truncated_ms ? db->truncated_ms : first;
    if (first > last || (uint64_t)last - (uint64_t)first <= (uint64_t)range + (uint64_t)range / 2)
        return false;
    int64_t into = first % range; /* of a multiple of the range; before 1970 too */
    into = into < 0 ? into + range : into;
    *mint = first < INT64_MIN + range ? first : first - into;
    *mint = *mint < db->truncated_ms ? db->truncated_ms : *mint;
    *maxt = first + (range - into); /* <= last: the span is longer than a range */
    return true;
}

/* The oldest sample of the head from `mint` on, or `before` when none is older: looked for in every series
 * until one comes close. */
static int64_t oldest_sample(struct db *db, int64_t mint, int64_t before, int64_t close)
{
    struct cut c = {.db = db};
    struct select all = {.mint = mint, .maxt = before};
    struct series_list list = {0};
    struct error ignored;
    int64_t oldest = before;
    arena_init(&c.arena, MEM_BLOCK, 0);
    c.labels = label_store_new(MEM_BLOCK, 0);
    c.view = head_pin(db->head, mint);
    c.reader = head_reader_new(c.view);
    if (!head_select(c.view, &all, c.labels, &c.arena, &list, &ignored))
        oldest = close;
    for (size_t i = 0; i < list.count && oldest > close; i++) {
        struct samples got;
        if (!head_reader_read(c.reader, list.items[i].ref, mint, oldest, &db->stopping, &got,
                              &ignored))
            oldest = close; /* the cut itself will meet the error and tell */
        else if (got.count > 0 && got.times[0] < oldest)
            oldest = got.times[0];
    }
    head_reader_free(c.reader);
    head_view_release(c.view);
    label_store_free(c.labels);
    arena_deinit(&c.arena);
    return oldest;
}

/* After an empty cut the next sample may be years away (an empty server takes data of any age): the range
 * [mint, maxt) then grows, in whole ranges, to where it is. */
static int64_t gap_end(struct db *db, int64_t mint, int64_t maxt)
{
    int64_t first, last, range = db->block_range_ms;
    head_time_range(db->head, &first, &last);
    if (last < INT64_MIN + range || last - range <= maxt)
        return maxt;
    int64_t oldest = oldest_sample(db, mint, last - range, maxt);
    uint64_t gap = oldest > maxt ? (uint64_t)oldest - (uint64_t)maxt : 0;
    return maxt + (int64_t)(gap / (uint64_t)range * (uint64_t)range);
}

static bool cut_all(struct db *db, struct error *err)
{
    int64_t mint, maxt;
    keeper_truncate(db);
    for (int i = 0; i < CUTS_PER_LOOK_MAX; i++) {
        struct db_state *state = db_state_pin(db);
        int64_t floor = state->floor_ms;
        db_state_unref(db, state);
        if (db->late.is_waiting || db->truncated_ms != floor || !cut_due(db, &mint, &maxt))
            break;
        if (db->last_cut_empty)
            maxt = gap_end(db, mint, maxt);
        if (!keeper_cut(db, mint, maxt, false, err))
            return false;
        keeper_truncate(db);
    }
    return true;
}

/* --- retention ------------------------------------------------------------------------------------ */

static int64_t newest_sample(struct db *db, const struct db_state *state)
{
    int64_t first, newest;
    head_time_range(db->head, &first, &newest);
    for (size_t i = 0; i < state->block_count; i++) {
        int64_t last = block_get_meta(state->blocks[i])->maxt - 1;
        newest = last > newest ? last : newest;
    }
    return newest;
}

/* Has the wall clock moved against the monotonic one lately? */
static bool clock_jumped(struct db *db)
{
    mono_time now = clock_mono();
    int64_t offset = clock_wall().ms - now.ns / 1000000;
    int64_t moved = db->clock_known ? offset - db->clock_offset_ms : 0;
    if (moved > CLOCK_JUMP_MS || moved < -CLOCK_JUMP_MS) {
        db->careful_until = mono_add_ms(now, CAREFUL_MS);
        db_log(db, false, "clock_jumped",
               "the wall clock moved by %" PRId64
               " s: retention deletes one block at a time for a day",
               moved / 1000);
    }
    db->clock_known = true;
    db->clock_offset_ms = offset;
    bool careful = now.ns < db->careful_until.ns;
    if (!careful)
        db->trusted_offset_ms = offset;
    return careful;
}

/* Samples after what the clock said before it jumped are no reason to delete anything: it may be wrong. */
static int64_t retention_now(struct db *db, const struct db_state *state)
{
    int64_t newest = newest_sample(db, state);
    int64_t now = clock_mono().ns / 1000000 + db->trusted_offset_ms + CLOCK_AHEAD_MS;
    return newest < now ? newest : now;
}

static int end_order(const void *a, const void *b)
{
    int64_t x = block_get_meta(*(struct block *const *)a)->maxt;
    int64_t y = block_get_meta(*(struct block *const *)b)->maxt;
    return (x > y) - (x < y);
}

/* 0 = no limit by size. A disk whose size cannot be asked for limits nothing: that deletes no data. */
static uint64_t retention_bytes_max(struct db *db)
{
    uint32_t ppm = atomic_load_explicit(&db->retention_ppm, memory_order_relaxed);
    uint64_t disk_bytes;
    struct error err;
    if (ppm == 0)
        return atomic_load_explicit(&db->retention_bytes, memory_order_relaxed);
    if (dir_total_bytes(db->dir, &disk_bytes, &err))
        return (uint64_t)((double)disk_bytes * ppm / 1e6);
    db_log(db, true, "retention_failed", "%s", err.message);
    return 0;
}

/* How many blocks must go, from the one that ends first on: those that end before the time limit, then as
 * many as it takes to be below the limit of size. */
static size_t retention_count(struct db *db, const struct db_state *state,
                              struct block *const *by_end)
{
    int64_t retention_ms = atomic_load_explicit(&db->retention_ms, memory_order_relaxed);
    uint64_t bytes_max = retention_bytes_max(db), bytes = 0;
    int64_t newest = retention_now(db, state);
    char head_dir[DB_PATH_BYTES_MAX];
    size_t count = 0;
    if (retention_ms > 0 && newest >= INT64_MIN + retention_ms)
        while (count < state->block_count &&
               block_get_meta(by_end[count])->maxt <= newest - retention_ms)
            count++;
    if (bytes_max == 0 || !block_path(head_dir, db->dir, "head", NULL))
        return count;
    bytes = dir_bytes(head_dir);
    for (size_t i = count; i < state->block_count; i++)
        bytes += block_get_meta(by_end[i])->bytes;
    for (; count < state->block_count && bytes > bytes_max; count++)
        bytes -= block_get_meta(by_end[count])->bytes;
    return count;
}

/* Exemplars go with the samples of their time. */
static void retire_exemplars(struct db *db, const struct db_state *state)
{
    int64_t retention_ms = atomic_load_explicit(&db->retention_ms, memory_order_relaxed);
    int64_t newest = newest_sample(db, state);
    if (retention_ms > 0 && newest >= INT64_MIN + retention_ms)
        exemplars_drop_before(head_exemplars(db->head), newest - retention_ms);
}

static bool retention_apply(struct db *db, struct error *err)
{
    struct db_state *state = db_state_pin(db);
    size_t count, gone = 0, kept = state->block_count;
    retire_exemplars(db, state);
    bool careful = clock_jumped(db), ok = true;
    struct block **by_end = mem_alloc(MEM_BLOCK, (kept + 1) * sizeof(struct block *));
    if (kept > 0) {
        memcpy((void *)by_end, (void *)state->blocks, kept * sizeof(struct block *));
        qsort((void *)by_end, kept, sizeof *by_end, end_order);
    }
    count = retention_count(db, state, by_end);
    if (careful && count > 1)
        count = 1;
    while (gone < count && (ok = db_block_retire(db, block_get_meta(by_end[gone]), err)))
        gone++;
    if (gone > 0) {
        db_blocks_sort(by_end + gone, kept - gone);
        db_state_publish(db, by_end + gone, kept - gone, state->floor_ms, state->head_deletions);
        for (size_t i = 0; i < gone; i++)
            db_block_erase(db, block_get_meta(by_end[i]), "past the retention");
        atomic_fetch_add_explicit(&db->blocks_deleted, gone, memory_order_relaxed);
    }
    mem_free(MEM_BLOCK, (void *)by_end);
    db_state_unref(db, state);
    return ok;
}

/* --- when ----------------------------------------------------------------------------------------- */

static void cut_failed(struct db *db, const struct error *err)
{
    uint64_t doublings =
        db->cut_failures_row < RETRY_DOUBLINGS ? db->cut_failures_row : RETRY_DOUBLINGS;
    int64_t wait_ms = (int64_t)RETRY_MS << doublings; /* to 32 minutes */
    if (err->kind == ERROR_CANCELED)
        return;
    db->cut_failures_row++;
    db->cut_not_before = mono_add_ms(clock_mono(), wait_ms);
    atomic_fetch_add_explicit(&db->cut_failures, 1, memory_order_relaxed);
    db_log(db, true, "cut_failed", "%s; the data stays in the head, next try in %" PRId64 " s",
           err->message, wait_ms / 1000);
}

/* Rows that were sealed go to their files. What fails is tried again at the next look; until then the WAL has
 * the rows. */
static bool store_rows(struct db *db, struct error *err)
{
    struct error problem = {0};
    bool ok = head_store(db->head, &problem);
    if (!ok && !db->store_failed)
        db_log(db, true, "extents_failed", "%s; the WAL keeps these rows, and it is tried again",
               problem.message);
    else if (ok && db->store_failed)
        db_log(db, false, "extents_resumed", "sealed rows are written again");
    db->store_failed = !ok;
    if (!ok && err)
        *err = problem;
    return ok;
}

/* All parts are tried: a full disk is when retention is needed most. */
static bool maintain_locked(struct db *db, bool now, struct error *err)
{
    struct error store_error = {0}, cut_error = {0}, retention_error = {0};
    bool cut_ok = true, retention_ok, store_ok = store_rows(db, &store_error);
    if (now || clock_mono().ns >= db->cut_not_before.ns) {
        bool late = now || head_late_bytes(db->head) > head_late_bytes_max(db->head);
        atomic_store_explicit(&db->late_is_full, false, memory_order_relaxed);
        cut_ok = cut_all(db, &cut_error) &&
                 (!(late || db->late_is_due) || keeper_late_save(db, &cut_error));
        if (cut_ok)
            db->cut_failures_row = 0;
        else
            cut_failed(db, &cut_error);
    }
    struct error stray;
    if (!db_strays_remove(db, &stray))
        db_log(db, true, "block_delete_failed", "%s; it is tried again", stray.message);
    retention_ok = retention_apply(db, &retention_error);
    if (!retention_ok)
        db_log(db, true, "retention_failed", "%s", retention_error.message);
    keeper_truncate(db);
    if (err && !(cut_ok && retention_ok && store_ok))
        *err = !cut_ok ? cut_error : !retention_ok ? retention_error : store_error;
    return cut_ok && retention_ok && store_ok;
}

bool db_maintain(struct db *db, struct error *err)
{
    mutex_lock(&db->keeper_mutex);
    bool ok = maintain_locked(db, true, err);
    mutex_unlock(&db->keeper_mutex);
    return ok;
}

void keeper_wake(struct db *db)
{
    mutex_lock(&db->wake_mutex);
    db->wake_wanted = true;
    cond_signal(&db->wake);
    mutex_unlock(&db->wake_mutex);
}

static void *keeper_run(void *arg)
{
    struct db *db = arg;
    int64_t half = db->block_range_ms / 2;
    int64_t interval_ms = half < LOOK_INTERVAL_MS ? half : LOOK_INTERVAL_MS;
    mono_time next_look = clock_mono(), next_store = next_look;
    while (!atomic_load_explicit(&db->stopping, memory_order_acquire)) {
        mutex_lock(&db->keeper_mutex);
        bool due = clock_mono().ns >= next_look.ns;
        due |= atomic_load_explicit(&db->late_is_full, memory_order_relaxed);
        if (due && !db->options.maintain_when_asked) {
            bool ok = maintain_locked(db, false, NULL);
            (void)ok; /* counted, logged and tried again */
        } else {
            keeper_truncate(db); /* a query ended */
            if (clock_mono().ns >= next_store.ns && !db->options.maintain_when_asked) {
                bool ok = store_rows(db, NULL);
                (void)ok; /* as above */
            }
        }
        if (due)
            next_look = mono_add_ms(clock_mono(), interval_ms);
        if (clock_mono().ns >= next_store.ns)
            next_store = mono_add_ms(clock_mono(), STORE_INTERVAL_MS);
        mutex_unlock(&db->keeper_mutex);
        mono_time next = next_store.ns < next_look.ns ? next_store : next_look;
        mutex_lock(&db->wake_mutex);
        while (!db->wake_wanted && cond_wait_until(&db->wake, &db->wake_mutex, next))
            ;
        db->wake_wanted = false;
        mutex_unlock(&db->wake_mutex);
    }
    return NULL;
}

bool keeper_start(struct db *db, struct error *err)
{
    db->keeper_runs = thread_start(&db->keeper, "keeper", keeper_run, db, err);
    return db->keeper_runs;
}

void keeper_stop(struct db *db)
{
    atomic_store_explicit(&db->stopping, true, memory_order_release);
    keeper_wake(db);
    if (db->keeper_runs)
        thread_join(db->keeper);
    db->keeper_runs = false;
}
