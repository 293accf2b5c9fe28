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

/* Visible samples: INT64_MAX and INT64_MIN when empty. Any thread. */
void head_time_range(const struct head *h, int64_t *mint, int64_t *maxt);
void head_stats_get(struct head *h, struct db_stats *out); /* fills the head's and WAL's fields */
void head_flush(struct head *h);
void head_top_get(struct head *h, size_t limit, struct arena *arena, struct db_top *out);
void head_metadata_each(struct head *h, db_metadata_visit visit, void *arg);

/* A pinned state for one query (or one cut); refs of series are the head's series ids and stay
 * readable until the view is released. Samples below `floor_ms` are not shown (blocks answer there). */
struct head_view;
struct head_view *head_pin(struct head *h, int64_t floor_ms);
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
void head_reader_free(struct head_reader *r);

/* Before a cut at `cut_ms`: from now on samples < cut_ms are refused (appender_begin: ERROR_INPUT, counted
 * as too old), and when this returns all rows below it that were taken before are visible: so the block
 * misses nothing that was taken. False when some cannot be written now (ERROR_NO_SPACE, ERROR_BUSY): then a
 * block would miss them. Never goes back. Keeper thread. */
MUST_USE bool head_refuse_below(struct head *h, int64_t cut_ms, struct error *err);
/* After a block that ends at `cut_ms` was published and the views that could need older head data are
 * gone: forgets samples < cut_ms, series without samples since, WAL segments and series-log entries
 * that are no longer needed. Keeper thread. */
MUST_USE bool head_truncate(struct head *h, int64_t cut_ms, struct error *err);

#endif
