/* SPDX-License-Identifier: Apache-2.0 */
/* appender.h: the one way in. What arrives together (a scrape, the results of one rule evaluation, the
 * series of one (job, instance) in remote write) is a group; one appender writes one group, row by row:
 *
 *   group = db_group_open(db, key)                  once per target
 *   slot = group_slot(group, labels)                once per series, slow; cache it
 *   appender_begin(&a, group, t)
 *   appender_sample(&a, slot, value) ...            the hot path: two stores
 *   appender_commit(&a, flags) or appender_rollback(&a)
 *
 * A row becomes visible whole, when the WAL thread has written it. One thread per group at a time.
 *
 * Any time inside the window is taken (db_set_out_of_order_window). A row that is not after the group's last
 * one is a late row: its cells are samples each for itself. They fill absent cells of the row of that time,
 * or are kept beside the rows, and are read where their time says. What is there already stays: the same
 * value again is fine, another is counted. */
#ifndef BELFRY_STORAGE_APPENDER_H
#define BELFRY_STORAGE_APPENDER_H

#include "base/attributes.h"
#include "base/error.h"
#include "model/labels.h"
#include "model/metric_type.h"
#include "model/sample.h"
#include "storage/exemplars.h"

#include <stdbool.h>
#include <stdint.h>

struct db;
struct group;

#define GROUP_SLOT_NONE UINT32_MAX

/* Finds or makes the group with this key (any bytes that name it, such as job, instance and target
 * number; kept on disk). Each open group has one user; ERROR_BUSY otherwise. Owned by the caller:
 * group_close(). */
MUST_USE bool db_group_open(struct db *db, struct view key, struct group **out, struct error *err);
/* The group's data stays; slots are no longer valid. NULL is fine. */
void group_close(struct group *g);
/* The slot of a series, which is created when new. Valid until group_close() or until
 * group_generation() changes (slots were renumbered by sealing). ERROR_LIMIT beyond a limit of series: then
 * nothing of it is kept, and group_overflow_slot() says where it is counted. */
MUST_USE bool group_slot(struct group *g, struct labels ls, uint32_t *slot, struct error *err);
/* The slot of the overflow series for a series that was refused: its metric, job and instance, and
 * overflow="true". Its value is the number of series that a row has folded into it: appender_fold() for each.
 * Past OVERFLOW_METRICS_MAX metrics of a group the others are counted in belfry_folded_series. Valid like
 * slots; stays until group_close(). False: there is none (the group is full). */
enum { OVERFLOW_METRICS_MAX = 100 };
MUST_USE bool group_overflow_slot(struct group *g, struct labels ls, uint32_t *slot);
uint32_t group_generation(const struct group *g);
/* Gives back slots whose series ended (the line cache dropped them). */
void group_release_slot(struct group *g, uint32_t slot);
/* Slots are below this number. */
uint32_t group_slot_count(const struct group *g);

/* Why a row was not begun. */
enum appender_refusal {
    APPENDER_TAKEN,
    APPENDER_STOPPED,       /* nothing can be written now: try again */
    APPENDER_TOO_OLD,       /* before the window */
    APPENDER_OUT_OF_BOUNDS, /* while the window is off: too old too */
    APPENDER_OUT_OF_ORDER,  /* late, and the window is off */
    APPENDER_IN_FUTURE      /* more than 10 minutes after the wall clock */
};

struct appender {
    struct group *group;
    int64_t timestamp_ms;
    double *values;                /* by slot; the row being written */
    uint64_t *present;             /* a bit per slot */
    uint32_t slot_count;           /* room in both; grows in appender_begin and group_slot */
    bool is_late;                  /* not after the group's last row */
    enum appender_refusal refusal; /* set by appender_begin */
    uint32_t repeat_count;         /* cells written twice in this row: the first value stayed */
    uint32_t duplicate_count;      /* ... and had another value there */
    /* Of a late row after appender_commit, when `present` has a bit for each cell that was not taken: */
    uint32_t conflict_count;          /* had another value at this time before: that stayed */
    uint32_t refused_count;           /* their series have newer samples, and the window is off */
    struct exemplar_batch *exemplars; /* NULL: none; private */
    struct exemplar_counts exemplar_counts; /* after appender_commit(): what became of them */
};

enum appender_flag {
    /* This row is all there is of the group now: each series of the row before that is missing here
     * gets a stale marker. Not so in a late row. */
    APPENDER_STALE_MISSING = 1,
    /* Return only when the row is written (remote write, push): not lost by kill -9. */
    APPENDER_WAIT = 2
};

/* Begins a row, at any time inside the window (negative ones too); while nothing is stored at all, at any time
 * that is not in the future. a->refusal says why not: ERROR_INPUT (too old, out of order, in the future);
 * ERROR_NO_SPACE and ERROR_BUSY when ingest is stopped, or late samples wait for a block and are too many. */
MUST_USE bool appender_begin(struct appender *a, struct group *g, int64_t timestamp_ms,
                             struct error *err);
/* A row that was not begun counts as one sample refused; the caller, who knows its cells, adds the others. */
void appender_count_refused(const struct appender *a, uint64_t more);
/* Sets the cell of a slot < slot_count. When it is set already the first value stays. */
static inline void appender_sample(struct appender *a, uint32_t slot, double value)
{
    uint64_t *word = &a->present[slot >> 6], bit = UINT64_C(1) << (slot & 63);
    if (UNLIKELY(*word & bit)) {
        a->repeat_count++;
        a->duplicate_count += sample_bits(a->values[slot]) != sample_bits(value);
        return;
    }
    *word |= bit;
    a->values[slot] = value;
}
/* Counts a series that is folded into the overflow series of this slot. */
static inline void appender_fold(struct appender *a, uint32_t slot)
{
    uint64_t *word = &a->present[slot >> 6], bit = UINT64_C(1) << (slot & 63);
    a->values[slot] = *word & bit ? a->values[slot] + 1 : 1;
    *word |= bit;
}
/* Adds an exemplar to the series of a slot, when the row is taken. Copied. */
void appender_exemplar(struct appender *a, uint32_t slot, const struct exemplar *e);
/* The same at once, for series whose rows were taken before; the batch's keys are their slots. */
void group_add_exemplars(struct group *g, const struct exemplar_batch *b,
                         struct exemplar_counts *counts);
/* Takes the row, but for the cells that are counted in `a`. On error nothing of it is kept. */
MUST_USE bool appender_commit(struct appender *a, unsigned flags, struct error *err);
void appender_rollback(struct appender *a);

/* Metadata of a family as the target tells it, shown by the API. Returns its number for db_metadata_get(), which is
 * that of all who tell the same; METADATA_NONE when there are too many. */
#define METADATA_NONE UINT32_MAX
uint32_t group_set_metadata(struct group *g, const struct metric_metadata *m);

#endif
