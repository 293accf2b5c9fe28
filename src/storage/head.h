/* SPDX-License-Identifier: Apache-2.0 */
/* head.h: the newest data: groups of series in memory, backed by series log and WAL. Layout: head.c.
 * Appenders (appender.h) write it; db.c reads it through the functions below and cuts blocks off it. */
#ifndef BELFRY_STORAGE_HEAD_H
#define BELFRY_STORAGE_HEAD_H

#include "base/pool.h"
#include "storage/appender.h"
#include "storage/cursor.h"
#include "storage/db.h"

struct head;

/* Opens DIR/head (made when missing), replays series log and WAL, starts the WAL thread. `pool` (borrowed for the call; NULL = none) helps to read. Samples below
 * `block_maxt` (the end of the newest block; INT64_MIN = none) are in blocks already: they are dropped.
 * Errors as db_open(). */
MUST_USE bool head_open(struct head **out, const char *dir, int64_t block_maxt,
                        const struct db_options *opts, struct pool *pool, struct error *err);
MUST_USE bool head_close(struct head *h, struct error *err);
MUST_USE bool head_group_open(struct head *h, struct view key, struct group **out,
                              struct error *err);

/* Visible samples, late ones at any time: INT64_MAX and INT64_MIN when empty. Any thread. */
void head_time_range(const struct head *h, int64_t *mint, int64_t *maxt);
void head_stats_get(struct head *h, struct db_stats *out); /* fills the head's and WAL's fields */
void head_flush(struct head *h);
MUST_USE bool head_wait_written(struct head *h, struct error *err); /* db_wait_written() */
uint32_t head_add_metadata(struct head *h, const struct metric_metadata *m);
void head_guard_get(struct head *h, struct arena *arena, struct db_guard *out);
void head_top_get(struct head *h, size_t limit, struct arena *arena, struct db_top *out);
struct exemplars *head_exemplars(struct head *h);
bool head_metadata_get(struct head *h, uint32_t number, struct metric_metadata *out);
void head_metadata_each(struct head *h, db_metadata_visit visit, void *arg);

/* A pinned state for one query (or one cut); refs of series are the head's series ids and stay
 * readable until the view is released. Rows below `floor_ms` are not shown (blocks answer there); late samples
 * are at any time, so that the head may overlap blocks. */
struct head_view;
struct head_view *head_pin(struct head *h, int64_t floor_ms);
/* Shows late samples alone. */
struct head_view *head_pin_late(struct head *h);
void head_view_release(struct head_view *v);
MUST_USE bool head_select(struct head_view *v, const struct select *what,
                          struct label_store *labels, struct arena *arena, struct series_list *out,
                          struct error *err);
MUST_USE bool head_label_names(struct head_view *v, const struct select *what, size_t limit,
                               struct arena *arena, struct view **out, size_t *count,
                               struct error *err);
MUST_USE bool head_label_values(struct head_view *v, struct view name, const struct select *what,
                                size_t limit, struct arena *arena, struct view **out, size_t *count,
                                struct error *err);
/* One per worker. */
struct head_reader;
struct head_reader *head_reader_new(struct head_view *v);
MUST_USE bool head_reader_read(struct head_reader *r, uint64_t ref, int64_t mint, int64_t maxt,
                               const atomic_bool *cancel, struct samples *out, struct error *err);
/* How many columns of extents reads since the last call left out as damaged, and the first of them in words.
 * *is_news: nobody was told of that file yet. */
uint64_t head_reader_lost(struct head_reader *r, struct error *first, bool *is_news);
void head_reader_free(struct head_reader *r);

/* Before a cut at `cut_ms`: from now on what comes below it is late, and when this returns all rows below it
 * that were taken before are visible: so the block
 * misses nothing that was taken. False when some cannot be written now (ERROR_NO_SPACE, ERROR_BUSY): then a
 * block would miss them. Never goes back. Keeper thread. */
MUST_USE bool head_refuse_below(struct head *h, int64_t cut_ms, struct error *err);
/* After a block that ends at `cut_ms` was published and the views that could need older head data are
 * gone: forgets samples < cut_ms, series without samples since, WAL segments and series-log entries
 * that are no longer needed. Keeper thread. */
MUST_USE bool head_truncate(struct head *h, int64_t cut_ms, struct error *err);

/* Late samples on their way into blocks (a cut takes those of its range along). Keeper thread:
 *   1. head_late_mark(), then pin and write; publish
 *   2. when no view without the block is left: head_late_forget() with the range that was written
 *   3. when none is left below the floor: head_late_saved() */
struct head_late_mark {
    uint64_t epoch;   /* what became visible before */
    uint64_t segment; /* what was taken before is in WAL segments below */
};
/* False as head_refuse_below(). With `rotate` a WAL segment begins, so that those before can go. */
MUST_USE bool head_late_mark(struct head *h, bool rotate, struct head_late_mark *out,
                             struct error *err);
/* Forgets late samples of before the mark with mint <= t < maxt. */
void head_late_forget(struct head *h, const struct head_late_mark *mark, int64_t mint,
                      int64_t maxt);
/* All late samples below `floor_ms` of before the mark are in blocks: WAL segments need not be kept for them, and a
 * restart leaves them out. */
MUST_USE bool head_late_saved(struct head *h, const struct head_late_mark *mark, int64_t floor_ms,
                              struct error *err);
/* Writes all late samples again to the newest WAL segment, so that older ones need not be kept for them. (Those
 * that were settled into rows share the fate of their rows.) Keeper thread. */
MUST_USE bool head_late_rewrite(struct head *h, struct error *err);
/* Does so when a WAL segment below this one is kept for late samples alone. Those that settled into rows need the
 * segments that their rows need. */
MUST_USE bool head_late_let_go(struct head *h, uint64_t segment, struct error *err);
/* The oldest late sample of before the mark with from <= t < below, INT64_MAX = none. Keeper thread. */
int64_t head_late_oldest(struct head *h, const struct head_late_mark *mark, int64_t from_ms,
                         int64_t below_ms);
int64_t head_late_newest(struct head *h); /* no late sample is newer; INT64_MIN = there is none */
/* Memory of late samples, and how much of it is allowed before the keeper is asked to do something. */
uint64_t head_late_bytes(const struct head *h);
uint64_t head_late_bytes_max(const struct head *h);
/* Some WAL segment is kept for its late samples. */
bool head_late_is_unsaved(struct head *h);
/* There is a sample of this time elsewhere (in a block): the window counts from it. */
void head_note_newest(struct head *h, int64_t timestamp_ms);
/* Called from any thread when late samples take more memory than late_bytes_max. Set before the first commit. */
void head_on_late_full(struct head *h, void (*full)(void *arg), void *arg);
void head_set_out_of_order_window(struct head *h, int64_t window_ms);
/* Seals what is due (rows of 20 minutes, with or without a user; rows that keep too much WAL), writes sealed
 * extents to head/extents and syncs them, and deletes WAL segments that no unsealed row needs. False when
 * something could not be written or deleted: nothing is lost, it stays where it is and is tried again by the
 * next call. Keeper thread, every few seconds. */
MUST_USE bool head_store(struct head *h, struct error *err);
/* The same with everything sealed. */
MUST_USE bool head_store_all(struct head *h, struct error *err);

#endif
