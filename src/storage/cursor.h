/* SPDX-License-Identifier: Apache-2.0 */
/* cursor.h: what a query sees of the storage, and all it sees. A source (the database, a memory store
 * of a test) gives a view: a consistent, pinned state. Selecting from a view yields series with label
 * handles of the query's own store; reading yields decoded columns.
 *
 * query thread:   source_pin -> view_select ... -> view_release
 * any worker:     view_reader_new -> reader_read ... -> reader_free   (one reader per worker)
 */
#ifndef BELFRY_STORAGE_CURSOR_H
#define BELFRY_STORAGE_CURSOR_H

#include "base/arena.h"
#include "base/attributes.h"
#include "base/error.h"
#include "model/label_store.h"
#include "model/matcher.h"
#include "model/sample.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct select {
    const struct matcher *matchers; /* all must match; count 0 selects everything */
    size_t matcher_count;
    int64_t mint, maxt; /* both included, ms; which series may have samples there */
    size_t series_max;  /* 0 = unlimited; beyond it ERROR_LIMIT with the number */
};

/* A series of one view. `ref` means something to its source only. Series of one select come in storage
 * order, so that neighbours share timestamps: read them in this order. */
struct series_ref {
    labels_id labels; /* in the store given to view_select */
    uint64_t ref;
};

struct series_list {
    struct series_ref *items; /* in the arena given to view_select */
    size_t count;
};

/* Decoded samples of one series, ascending, distinct timestamps; stale markers included. Borrowed:
 * valid until the next call on the same reader. Two results with the same non-zero times_id have the
 * same times and count, so that windows can be computed once for many series. */
struct samples {
    const int64_t *times;
    const double *values;
    const struct histogram *const
        *histograms;            /* NULL = none; else per sample, NULL where a float */
    const int64_t *start_times; /* NULL = unknown */
    size_t count;
    uint64_t times_id; /* 0 = unique to this series */
};

struct storage_view;
struct storage_reader;

struct storage_view_ops {
    bool (*select)(struct storage_view *v, const struct select *what, struct label_store *labels,
                   struct arena *arena, struct series_list *out, struct error *err);
    /* Distinct names / values, sorted, of series that match; text in the arena. limit 0 = all. */
    bool (*label_names)(struct storage_view *v, const struct select *what, size_t limit,
                        struct arena *arena, struct view **out, size_t *count, struct error *err);
    bool (*label_values)(struct storage_view *v, struct view name, const struct select *what,
                         size_t limit, struct arena *arena, struct view **out, size_t *count,
                         struct error *err);
    /* NULL only with err set. */
    struct storage_reader *(*reader_new)(struct storage_view *v, struct error *err);
    void (*release)(struct storage_view *v);
};
struct storage_view {
    const struct storage_view_ops *ops;
};

struct storage_reader_ops {
    /* All samples with mint <= t <= maxt. */
    bool (*read)(struct storage_reader *r, uint64_t ref, int64_t mint, int64_t maxt,
                 struct samples *out, struct error *err);
    void (*free)(struct storage_reader *r);
};
struct storage_reader {
    const struct storage_reader_ops *ops;
    const atomic_bool *cancel; /* may be NULL; a long read looks at it and gives ERROR_CANCELED */
    /* Damage on disk does not fail a query: what can be read is served, and this says what was not. A
     * source raises the count by one per column it had to leave out and keeps the first in words; the
     * engine shows it as a warning. Zero at the start. */
    uint64_t lost_count;
    struct error lost;
};

/* Something that can be queried. */
struct storage_source {
    /* Pins the present state. mint, maxt: all that the query will touch (for choosing blocks). */
    struct storage_view *(*pin)(struct storage_source *s, int64_t mint, int64_t maxt,
                                struct error *err);
};

static inline struct storage_view *source_pin(struct storage_source *s, int64_t mint, int64_t maxt,
                                              struct error *err)
{
    return s->pin(s, mint, maxt, err);
}
MUST_USE static inline bool view_select(struct storage_view *v, const struct select *what,
                                        struct label_store *labels, struct arena *arena,
                                        struct series_list *out, struct error *err)
{
    return v->ops->select(v, what, labels, arena, out, err);
}
static inline void view_release(struct storage_view *v)
{
    if (v)
        v->ops->release(v);
}
static inline struct storage_reader *view_reader_new(struct storage_view *v,
                                                     const atomic_bool *cancel, struct error *err)
{
    struct storage_reader *r = v->ops->reader_new(v, err);
    if (r)
        r->cancel = cancel;
    return r;
}
MUST_USE static inline bool reader_read(struct storage_reader *r, uint64_t ref, int64_t mint,
                                        int64_t maxt, struct samples *out, struct error *err)
{
    return r->ops->read(r, ref, mint, maxt, out, err);
}
static inline void storage_reader_free(struct storage_reader *r)
{
    if (r)
        r->ops->free(r);
}

#endif
