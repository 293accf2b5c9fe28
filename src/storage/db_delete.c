/* SPDX-License-Identifier: Apache-2.0 */
/* db_delete.c: deleting series, or stretches of them, out of blocks and head. What is deleted is noted beside the
 * samples (deletions.h, head_deletions.h) and synced; then one state is published that does not show it. The
 * samples go when their block is merged or written again, or the head's next block is cut.
 *
 * An interval is clamped to the samples that a series has now: what is written later is not deleted. */
#include "base/mem.h"
#include "base/thread.h"
#include "storage/db_private.h"

#include <inttypes.h>
#include <string.h>

struct deleting {
    struct db *db;
    const struct db_selector *sets;
    size_t set_count;
    int64_t mint, maxt;
    struct db_state *state; /* before */
    struct block **blocks;  /* after: a reference each */
    size_t replaced;
};

/* --- blocks --------------------------------------------------------------------------------------- */

struct block_deleting {
    struct block *block;
    struct deletions_builder found;
    int64_t mint, maxt;
    bool ok;
};

static bool block_visit_delete(void *arg, uint32_t number, const struct index_series *series)
{
    struct block_deleting *d = arg;
    struct index_times times;
    d->ok = index_times_at(&d->block->index, series->times, &times);
    if (d->ok)
        deletions_builder_add(&d->found, number, times.mint > d->mint ? times.mint : d->mint,
                              times.maxt < d->maxt ? times.maxt : d->maxt);
    return d->ok;
}

/* Writes the block's deletions and opens it with them, at place `i` of the new list. */
static bool block_replace(struct deleting *d, size_t i, const struct deletions *deletions,
                          struct error *err)
{
    struct block *old = d->blocks[i], *b;
    char path[DB_PATH_BYTES_MAX];
    if (!block_path(path, d->db->dir, block_get_meta(old)->ulid, err) ||
        !deletions_write(path, deletions, err) || !block_open(&b, path, err))
        return false;
    if (block_is_left_alone(old))
        block_leave_alone(b);
    block_unref(old);
    d->blocks[i] = b;
    d->replaced++;
    return true;
}

static bool block_delete(struct deleting *d, size_t i, struct error *err)
{
    struct block_deleting found = {
        .block = d->blocks[i], .mint = d->mint, .maxt = d->maxt, .ok = true};
    bool ok = true;
    for (size_t k = 0; ok && k < d->set_count; k++) {
        struct select what = {d->sets[k].matchers, d->sets[k].count, d->mint, d->maxt, 0};
        ok = block_each(d->blocks[i], &what, block_visit_delete, &found, err) &&
             (found.ok || error_set(err, ERROR_CORRUPT, "block %s: index: a series is damaged",
                                    block_get_meta(d->blocks[i])->ulid));
    }
    if (ok && found.found.count > 0) {
        deletions_builder_add_all(&found.found, block_get_deletions(d->blocks[i]));
        struct deletions *deletions = deletions_finish(&found.found);
        ok = block_replace(d, i, deletions, err);
        deletions_unref(deletions);
    }
    deletions_builder_deinit(&found.found);
    return ok;
}

static bool blocks_delete(struct deleting *d, struct error *err)
{
    for (size_t i = 0; i < d->state->block_count; i++) {
        const struct block_meta *meta = block_get_meta(d->blocks[i]);
        if (meta->mint <= d->maxt && d->mint < meta->maxt && !block_delete(d, i, err))
            return false;
    }
    return true;
}

/* --- head ----------------------------------------------------------------------------------------- */

static bool head_delete_set(struct deleting *d, struct head_view *view, const struct db_selector *s,
                            struct head_deletions_builder *b, size_t *found, struct error *err)
{
    struct select what = {s->matchers, s->count, d->mint, d->maxt, 0};
    struct label_store *labels = label_store_new(MEM_BLOCK, 0);
    struct head_reader *reader = head_reader_new(view);
    struct series_list list;
    struct arena arena;
    arena_init(&arena, MEM_BLOCK, 0);
    bool ok = head_select(view, &what, labels, &arena, &list, err);
    for (size_t i = 0; ok && i < list.count; i++) {
        struct samples got;
        ok = head_reader_read(reader, list.items[i].ref, d->mint, d->maxt, &d->db->stopping, &got,
                              err);
        if (!ok || got.count == 0)
            continue;
        head_deletions_builder_add(b, label_store_labels(labels, list.items[i].labels, &arena),
                                   got.times[0], got.times[got.count - 1]);
        ++*found;
    }
    head_reader_free(reader);
    label_store_free(labels);
    arena_deinit(&arena);
    return ok;
}

/* *out: all deletions of the head, a reference. */
static bool head_delete(struct deleting *d, struct head_deletions **out, struct error *err)
{
    struct head_deletions_builder b;
    size_t found = 0;
    bool ok = true;
    head_deletions_builder_init(&b);
    head_deletions_builder_add_all(&b, d->state->head_deletions, INT64_MIN);
    struct head_view *view = head_pin(d->db->head, d->state->floor_ms);
    for (size_t i = 0; ok && i < d->set_count; i++)
        ok = head_delete_set(d, view, &d->sets[i], &b, &found, err);
    head_view_release(view);
    *out = head_deletions_finish(&b);
    if (ok && found > 0)
        ok = head_deletions_write(d->db->dir, *out, err);
    if (!ok) {
        head_deletions_unref(*out);
        *out = head_deletions_ref(d->state->head_deletions);
    }
    return ok;
}

/* --- all ------------------------------------------------------------------------------------------ */

/* What was noted before an error is in force all the same: it is on disk. */
static bool delete_locked(struct deleting *d, struct error *err)
{
    size_t count = d->state->block_count;
    struct head_deletions *gone = NULL;
    d->blocks = mem_alloc(MEM_BLOCK, (count + 1) * sizeof(struct block *));
    for (size_t i = 0; i < count; i++)
        d->blocks[i] = block_ref(d->state->blocks[i]);
    bool ok = blocks_delete(d, err);
    if (ok)
        ok = head_delete(d, &gone, err);
    else
        gone = head_deletions_ref(d->state->head_deletions);
    if (d->replaced > 0 || gone != d->state->head_deletions)
        db_state_publish(d->db, d->blocks, count, d->state->floor_ms, gone);
    head_deletions_unref(gone);
    for (size_t i = 0; i < count; i++)
        block_unref(d->blocks[i]);
    mem_free(MEM_BLOCK, (void *)d->blocks);
    return ok;
}

bool db_delete(struct db *db, const struct db_selector *sets, size_t set_count, int64_t mint,
               int64_t maxt, struct error *err)
{
    struct deleting d = {
        .db = db, .sets = sets, .set_count = set_count, .mint = mint, .maxt = maxt};
    /* What was committed before is deleted too: rows that wait for the disk would come back after it. */
    if (!db_wait_written(db, err))
        return error_wrap(err, "could not delete");
    compactor_pause(db);
    mutex_lock(&db->keeper_mutex);
    d.state = db_state_pin(db);
    /* A block that is in no state would bring back at the next start what is deleted now. */
    bool ok = db_strays_remove(db, err) && delete_locked(&d, err);
    db_state_unref(db, d.state);
    mutex_unlock(&db->keeper_mutex);
    compactor_resume(db);
    compactor_wake(db);
    return ok || error_wrap(err, "could not delete all");
}
