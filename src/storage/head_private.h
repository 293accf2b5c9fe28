/* SPDX-License-Identifier: Apache-2.0 */
/* head_private.h: what the head's files share. Design: top of head.c. Order of locks: a group's mutex,
 * then creation, then the commit queue, then the view. */
#ifndef BELFRY_STORAGE_HEAD_PRIVATE_H
#define BELFRY_STORAGE_HEAD_PRIVATE_H

#include "base/clock.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/thread.h"
#include "model/label_store.h"
#include "storage/extent.h"
#include "storage/extent_store.h"
#include "storage/head.h"
#include "storage/late.h"
#include "storage/postings.h"
#include "storage/series_guard.h"
#include "storage/series_log.h"
#include "storage/strip.h"
#include "storage/wal.h"
#include "storage/wal_row.h"

#include <stdatomic.h>

/* --- series --- */

/* 20 bytes each. labels and hash are constant once published; place is written under `creation` and read
 * by anybody: see series_place(). */
struct series {
    uint32_t labels;
    uint32_t hash_low, hash_high;
    _Atomic uint32_t group; /* SERIES_DEAD: forgotten */
    _Atomic uint32_t slot;  /* low bits: where to look first; then the flags */
};
#define SERIES_DEAD UINT32_MAX
#define SERIES_MOVED (UINT32_C(1) << 31)    /* has been in other groups: head.moved */
#define SERIES_ASSIGNED (UINT32_C(1) << 30) /* a slot of its group is its own */
#define SERIES_SLOT_MASK (SERIES_ASSIGNED - 1)

enum {
    SERIES_PAGE = 8192,
    SERIES_PAGES_MAX = 1 << 18,
    GROUP_PAGE = 1024,
    GROUP_PAGES_MAX = 1 << 13
};

/* All that is numbered by label sets: one is in force, and grows. When most of it speaks of the dead, the
 * keeper copies the living into a new one (head_catalog.c): series keep their numbers, symbols and label
 * sets get others. Views go on with the one they began with, which no longer changes. */
struct catalog {
    struct label_store *labels;
    struct postings postings;
    _Atomic(struct series *) *series_pages; /* SERIES_PAGES_MAX; NULL = nobody of it lives */
};

/* Where a series was, or is too, besides its own group. Chained by series: those of a whole target move at
 * once, and each is asked for on its own. */
struct series_move {
    uint32_t series, group;
    uint32_t slot;  /* it had there, and may have still */
    uint32_t next;  /* of the same series; MAP_NONE = the last */
    bool is_needed; /* since the last cut: has samples there, or has just moved */
};

/* --- groups --- */

/* The last rows of a group, as they came: row by row. A row is written once, before it is visible, and
 * only slots and rows that nobody was told of are written, so readers need no lock. A late sample goes into a
 * cell of an older row only while no reader has the tile (group_tile_own_locked). */
struct tile {
    atomic_uint refs;
    uint32_t slot_capacity; /* a multiple of 8 */
    uint64_t first_row;
    int64_t times[STRIP_ROWS];
    uint64_t *present; /* row_words(slot_capacity) per row */
    double *values;    /* slot_capacity per row */
    uint64_t
        *filled; /* like present: cells that came later than their row; NULL = none. Writer only */
};
/* The packed rows before the tile. Strips are only added. */
struct run {
    atomic_uint refs;
    uint64_t first_row;
    struct strip *strips[EXTENT_ROWS_MAX / STRIP_ROWS];
};
struct late_entry {
    struct late_run *run;
    uint64_t epoch; /* head.late_epoch when it became visible; while replaying its WAL segment */
    bool visible, settled; /* settled: what belonged into the tile has gone there */
};
struct late_list {
    struct late_entry *items; /* in the order of their commits */
    size_t count, capacity;
};
struct extent_list {
    atomic_uint refs;
    uint32_t count;
    struct extent *items[];
};

enum group_holder { GROUP_FREE, GROUP_USERS, GROUP_KEEPERS };

struct group {
    struct head *head; /* constant, like id and key */
    uint32_t id;
    struct view key;

    pthread_mutex_t mutex; /* guards which tile, run, list and map there are, and what is visible */
    struct tile *tile;     /* NULL = no rows in it */
    struct run *run;
    uint32_t strip_count;
    struct extent_list *extents;
    struct slot_map *map;
    uint32_t map_count;   /* slots of the map that readers may look at */
    uint64_t visible_row; /* rows below are visible */
    int64_t visible_mint, visible_maxt;
    struct late_list late;
    int64_t late_mint, late_maxt; /* all visible late samples are within */
    uint64_t
        wal_segment; /* rows of run and tile need the WAL from this segment on; 0 = no such rows */
    mono_time unsealed_since; /* valid when there are any */

    bool is_open,
        keeper_has_it;       /* guarded by head.creation: while closed the keeper may forget it */
    _Atomic uint32_t holder; /* enum group_holder: who may touch the rest */

    /* The holder's. */
    struct appender *appender; /* with a row open */
    atomic_bool late_is_fresh; /* some became visible since the last settling */
    uint64_t row_next;
    uint32_t tile_rows;      /* taken rows in the tile */
    int64_t last_time;       /* of the last taken row */
    uint32_t run_strips_max; /* the first run of a group ends early, by its hash */
    uint32_t slot_count, slot_capacity;
    int64_t last_kept_time; /* of the row before the tile; INT64_MIN = none since the start */
    double *last;           /* by slot: that row */
    uint64_t *last_present;
    uint64_t *last_filled; /* NULL = none */
    uint8_t *chain;        /* enum strip_chain */
    uint8_t *decimals;     /* wal_row's */
    uint64_t *free_slots;  /* a bit per slot that may be given away */
    uint64_t *released;    /* ... that becomes free when the run is sealed */
    uint64_t *claimed;     /* ... that this user asked for: see unclaimed_release() */
    uint64_t opened_row;   /* row_next when it was opened */
    uint32_t free_count, released_count, free_hint;
    uint32_t overflow_count;        /* overflow series made since it was opened */
    struct wal_new_slot *new_slots; /* since the last row that was taken */
    size_t new_slot_count, new_slot_capacity;
    uint64_t key_segment; /* the WAL segment that has our key row; 0 = none */
    /* A late row being written; made when first needed. */
    double *late_values;
    uint64_t *late_present;
    uint32_t late_capacity;
    uint64_t *base_present; /* group_row_base()'s */
    uint32_t base_capacity;
    bool
        rows_are_stored; /* replay: those of run and tile stand in an extent too, and are thrown away */
    bool last_row_is_stored; /* since a restart: the row before is that of the last extent */
};

/* --- the head --- */

enum { HEAD_UNSEALED_MS_MAX = 20 * 60 * 1000 }; /* rows are sealed then at the latest */

enum garbage_kind {
    GARBAGE_POSTING_CHUNKS,
    GARBAGE_POSTING_PLACE, /* `place` of the catalog `ptr` */
    GARBAGE_CATALOG,
    GARBAGE_GROUP
};
struct garbage {
    enum garbage_kind kind;
    void *ptr;
    uint32_t place;
    uint64_t epoch; /* free when all views are younger */
};

struct head {
    struct db_options options; /* constant */
    char *dir;                 /* DIR/head */
    char *quarantine_dir;
    struct wal *wal;
    struct exemplars *exemplars; /* constant after open */
    struct extent_store *store;  /* keeper; statistics: any thread */

    pthread_mutex_t
        creation; /* guards the tables below; series and group entries are published by counts */
    pthread_cond_t group_freed;
    struct catalog *catalog; /* changed under view_mutex too */
    uint32_t *index;         /* hash index: series ids, open addressing */
    size_t index_capacity, index_count;
    struct string_map *group_keys;
    struct series_move *moved;
    size_t moved_count, moved_capacity;
    struct map moved_index;            /* series -> the first of its chain */
    struct metric_metadata **metadata; /* items are never freed before the head */
    size_t metadata_count, metadata_capacity;
    struct string_map *metadata_index;
    struct arena metadata_arena;
    struct series_log_writer log;
    uint8_t *logged_symbols, *logged_shapes; /* a byte each: stands in the log, in this numbering */
    size_t logged_symbols_capacity, logged_shapes_capacity;
    bool log_has_reset; /* in this process */
    struct series_guard guard;
    uint64_t series_live, series_created, series_removed, groups_live;

    _Atomic uint32_t series_count; /* ids below were published (release) */
    _Atomic(struct group *) *group_pages[GROUP_PAGES_MAX];
    _Atomic uint32_t group_count;

    pthread_mutex_t view_mutex;
    struct head_view *views; /* oldest first */
    struct head_view *views_last;
    uint64_t epoch;
    struct garbage *garbage;
    size_t garbage_count, garbage_capacity;
    bool collecting; /* somebody frees garbage */

    _Atomic int64_t floor;                      /* samples below are not the head's */
    _Atomic int64_t floor_refused;              /* rows below are not taken; at least `floor` */
    _Atomic int64_t newest;                     /* of all taken rows; INT64_MIN = none */
    _Atomic int64_t visible_mint, visible_maxt; /* rows */
    _Atomic int64_t window_ms;                  /* 0 = off */
    pthread_mutex_t late_mutex;           /* whoever changes the next two; before a group's mutex */
    _Atomic int64_t late_mint, late_maxt; /* all visible late samples are within */
    _Atomic uint64_t late_epoch, late_bytes;
    void (*late_full)(void *arg); /* constant after open, like its argument */
    void *late_full_arg;
    _Atomic uint64_t samples_appended, samples_out_of_order, samples_duplicate,
        samples_order_refused, samples_out_of_bounds, samples_too_old, samples_in_future,
        stale_markers, extent_count, corruptions;
    double replay_seconds; /* constant after open */
};

/* NULL for numbers of which nobody lived when the catalog was made. */
static inline struct series *catalog_series(const struct catalog *c, uint32_t id)
{
    struct series *page =
        atomic_load_explicit(&c->series_pages[id / SERIES_PAGE], memory_order_acquire);
    return page ? &page[id % SERIES_PAGE] : NULL;
}
/* Under creation, or by the keeper. */
static inline struct series *head_series(const struct head *h, uint32_t id)
{
    return catalog_series(h->catalog, id);
}
/* In the index, so to be found by its labels: in a group, or never put into one (yet). */
static inline bool series_is_alive(const struct series *s)
{
    return s->labels != LABEL_STORE_NONE &&
           (atomic_load_explicit(&s->group, memory_order_acquire) != SERIES_DEAD ||
            (atomic_load_explicit(&s->slot, memory_order_relaxed) & SERIES_SLOT_MASK) ==
                SERIES_SLOT_MASK);
}
static inline uint64_t series_hash(const struct series *s)
{
    return (uint64_t)s->hash_high << 32 | s->hash_low;
}
static inline uint32_t head_series_count(const struct head *h)
{
    return atomic_load_explicit(&h->series_count, memory_order_acquire);
}
/* head.c. NULL for numbers never used or forgotten. */
struct group *head_group(const struct head *h, uint32_t id);
void head_log(const struct head *h, bool is_error, const char *event, const char *format, ...)
    PRINTF_LIKE(4, 5);
void head_atomic_max(_Atomic int64_t *a, int64_t v);
void head_atomic_min(_Atomic int64_t *a, int64_t v);
/* Frees later what older views may know. */
void head_retire(struct head *h, struct garbage g);
void head_collect(struct head *h);

/* head_catalog.c */
struct catalog *catalog_new(void);
void catalog_free(struct catalog *c);
/* The entry of a number, on a page that is made when missing. */
struct series *catalog_series_make(struct catalog *c, uint32_t id);
/* Into the lists of all its label pairs. Ids ascend. */
void catalog_add_postings(struct catalog *c, uint32_t id, labels_id labels);
/* The number of entries on pages that are there: no id at or above `limit`. */
uint32_t catalog_room(const struct catalog *c, uint32_t limit);
/* After a cut: when the dead outnumber the living, their names and numbers go. Keeper. */
void head_renew_catalog(struct head *h);

/* head_series.c; all under creation */
uint32_t head_find_series_locked(struct head *h, labels_id labels, uint64_t hash);
/* May another series be made? Asked before its labels are interned: what is refused must leave nothing.
 * GUARD_NONE: yes. */
enum guard_limit head_room_locked(struct head *h, struct labels ls);
/* A series with these labels was made (+1) or forgotten (-1). */
void head_count_series_locked(struct head *h, labels_id labels, int change);
/* Not in any group yet. */
uint32_t head_create_series_locked(struct head *h, labels_id labels, uint64_t hash);
/* A series that has late samples in this group, and perhaps no cell in any. */
void head_place_late_locked(struct head *h, uint32_t id, uint32_t group);
/* From the log, with the id it had. */
void head_restore_series_locked(struct head *h, uint32_t id, labels_id labels);
void head_index_remove_locked(struct head *h, uint32_t id);
/* Makes group and slot the series' own place. */
void head_place_series_locked(struct head *h, uint32_t id, uint32_t group, uint32_t slot);
/* The slot that a series had in another group; false when it was not there. */
bool head_slot_elsewhere_locked(const struct head *h, uint32_t id, uint32_t group, uint32_t *slot);
/* Around a cut: first nothing is needed; then what was found is; what is not by the end is forgotten. */
void head_moves_begin_locked(struct head *h);
void head_move_is_needed_locked(struct head *h, uint32_t id, uint32_t group);
void head_moves_end_locked(struct head *h);
/* Where samples of a series may be: its group, then those it was in. Returns their number (at most max). */
size_t head_series_groups(struct head *h, const struct catalog *c, uint32_t id, uint32_t *groups,
                          size_t max, uint32_t *slot);
struct group *head_add_group_locked(struct head *h, uint32_t id, struct view key);
/* Its number, METADATA_NONE over the limit. */
uint32_t head_add_metadata_locked(struct head *h, const struct metric_metadata *m, bool log);
/* What the series log has to get before the next rows; empty when nothing. *out is the caller's. */
void head_take_log(struct head *h, struct buffer *out);

/* group.c */
struct group *group_new(struct head *h, uint32_t id, struct view key);
void group_free(struct group *g);
/* group_release_slot() for who holds the group. */
void group_give_slot_up(struct group *g, uint32_t slot);
void group_assign_slot(struct group *g, uint32_t slot, uint32_t series);
void group_reserve_slots(struct group *g, uint32_t count);
/* Room for one more row: packs a full tile, seals a full run. */
void group_make_room(struct group *g);
/* From now on only slots that are asked for are in use. Opener's thread. */
void group_claim_none(struct group *g);
/* Packs all rows into extents. User's thread (or keeper's, when closed). */
void group_seal(struct group *g);
/* The cells of the row before the next one. */
struct row_cells group_row_before(const struct group *g);
/* The same, as it was written: without what filled it later. The next row in the WAL builds on it, and must not
 * depend on another record than the row's. Until the next call. */
struct row_cells group_row_base(struct group *g);
double *group_row_values(const struct group *g); /* of the next row */
uint64_t *group_row_present(const struct group *g);
void group_row_begin(struct group *g);
/* Under g->mutex: nobody but the group has the tile, so that cells may be written. */
void group_tile_own_locked(struct group *g);
/* Before it is given to the WAL (which may publish it at once), and after that. */
void group_row_stamp(struct group *g, int64_t timestamp_ms);
void group_row_taken(struct group *g, int64_t timestamp_ms);
/* Under g->mutex by the WAL thread (or at replay): all rows up to `row` are visible. */
void group_publish(struct group *g, uint64_t row, int64_t timestamp_ms);
void tile_unref(struct tile *t);
void run_unref(struct run *r, uint32_t strip_count);
void extent_list_unref(struct extent_list *l);
/* Replaces the list without extents that end before `floor`. */
void group_drop_extents(struct group *g, int64_t floor);
/* Takes x, whose rows no other extent of the group has. */
void group_add_extent(struct group *g, struct extent *x);
/* Puts x (taken; NULL = nothing) in the place of `old`, when that is still there. */
void group_swap_extent(struct group *g, const struct extent *old, struct extent *x);
/* The user between row and row, or around a row; waits while the keeper has it. */
void group_enter(struct group *g);
void group_leave(struct group *g);
/* The keeper: false while the user is at it. */
MUST_USE bool group_try_hold(struct group *g);
void group_let_go(struct group *g);

/* group_late.c. The user's thread (at replay: whoever has the group). */
/* Points `a` to a late row. */
void group_late_begin(struct group *g, struct appender *a);
/* The user is gone, and with it the memory of its late rows. */
void group_late_close(struct group *g);
/* The arrays of a late row follow the number of slots. */
void group_late_reserve(struct group *g);
/* Takes the cells of `a` as late samples; as appender_commit(). */
MUST_USE bool group_late_commit(struct group *g, struct appender *a, unsigned flags,
                                struct error *err);
/* Takes the run. */
void group_late_add(struct group *g, struct late_run *run, bool visible, uint64_t epoch);
/* Moves what belongs into rows of the tile there. */
void group_late_settle(struct group *g);
/* At replay: forgets late samples whose cells stand in an extent. */
void group_late_drop_stored(struct group *g);
/* Merges small runs. */
void group_late_compact(struct group *g);
/* Any thread: without the samples of [mint, maxt) in entries up to this epoch. */
void group_late_forget(struct group *g, uint64_t epoch, int64_t mint, int64_t maxt);
/* WAL thread: it was written. */
void group_late_publish(struct group *g, const struct late_run *run);
void group_late_free(struct group *g);

/* head_late.c: the head's range after a group's has grown; shrinks to what the groups say. */
void head_late_range_grow(struct head *h, int64_t mint, int64_t maxt);
void head_late_range_renew(struct head *h);
/* Late samples in memory have become more (or fewer). */
void head_late_bytes_add(struct head *h, size_t more, size_t less);
/* More than is ever taken. */
bool head_late_is_full(const struct head *h);
/* group_exemplar.c: the exemplars of a row that was taken, or not. */
void appender_end_exemplars(struct appender *a, bool taken);

/* head_replay.c */
MUST_USE bool head_replay(struct head *h, int64_t block_maxt, struct pool *pool,
                          struct wal_recovered *found, struct error *err);

/* head_truncate.c: a whole series log with the living, as wal.c wants it. */
MUST_USE bool head_write_series_log(void *head, wal_log_sink sink, void *sink_arg,
                                    struct error *err);

/* head_read.c */
struct head_view {
    struct head *head;
    const struct catalog *catalog;
    int64_t floor;
    bool late_only;
    uint64_t epoch;
    struct head_view *next, *prev;
    uint32_t series_count;
    pthread_mutex_t mutex; /* guards pins */
    struct group_pin **pins;
    size_t pin_count, pin_capacity;
    struct map pin_index; /* group id -> pin */
};
/* A group as it was at the view's first touch. */
struct group_pin {
    struct group *group;
    uint64_t id; /* of the process: makes times_id */
    struct tile *tile;
    struct run *run;
    uint32_t strip_count;
    struct extent_list *extents;
    struct slot_map *map;
    uint32_t map_count;
    uint64_t visible_row;
    struct late_run **late; /* oldest first */
    size_t late_count;
};
/* The cells that the group's rows have of a series with mint <= t <= maxt, late samples left out. */
void head_reader_rows(struct head_reader *r, const struct group *g, uint32_t series, uint32_t slot,
                      int64_t mint, int64_t maxt, struct samples *out);
/* NULL when the group is gone. Borrowed until the view is released. */
const struct group_pin *head_view_pin(struct head_view *v, uint32_t group);

#endif
