/* SPDX-License-Identifier: Apache-2.0 */
/* series_writer.h: where results of rules go: a storage group of the server's database, or a store in memory for unit
 * tests of rules. A writer takes rows: some cells of one time. One thread at a time. */
#ifndef BELFRY_RULES_SERIES_WRITER_H
#define BELFRY_RULES_SERIES_WRITER_H

#include "base/attributes.h"
#include "base/error.h"
#include "model/labels.h"

#include <stdbool.h>
#include <stdint.h>

struct db;
struct memory_source;
struct series_writer;

enum series_write {
    SERIES_WRITTEN,
    SERIES_SAME,     /* the cell was set to this value in this row before */
    SERIES_DIFFERENT /* ... to another one, which stays */
};

struct series_writer_ops {
    /* The slot of a series, the same for the same labels (or a new one each time). */
    bool (*slot)(struct series_writer *w, struct labels ls, uint32_t *slot, struct error *err);
    bool (*begin)(struct series_writer *w, int64_t time_ms, struct error *err);
    enum series_write (*sample)(struct series_writer *w, uint32_t slot, double value);
    bool (*commit)(struct series_writer *w, unsigned flags, struct error *err);
    void (*release)(struct series_writer *w, uint32_t slot);
    void (*free)(struct series_writer *w);
};

struct series_writer {
    const struct series_writer_ops *ops;
    unsigned references; /* of one thread at a time, as all of it */
    uint32_t *users;     /* by slot: how many have asked for it and not released it */
    size_t user_capacity;
};

enum series_writer_flag {
    /* Return only when the row is visible to queries. */
    SERIES_WRITER_WAIT = 1,
    /* What the last row of a process before had, and this has not, ends. */
    SERIES_WRITER_FIRST = 2
};

/* The slot of a series; valid until the caller releases it. Rules that give the same series are given the same slot. */
MUST_USE bool series_writer_slot(struct series_writer *w, struct labels ls, uint32_t *slot,
                                 struct error *err);
/* A row is begun, filled and committed. After a failed begin there is no row. */
MUST_USE static inline bool series_writer_begin(struct series_writer *w, int64_t time_ms,
                                                struct error *err)
{
    return w->ops->begin(w, time_ms, err);
}
static inline enum series_write series_writer_sample(struct series_writer *w, uint32_t slot,
                                                     double value)
{
    return w->ops->sample(w, slot, value);
}
MUST_USE static inline bool series_writer_commit(struct series_writer *w, unsigned flags,
                                                 struct error *err)
{
    return w->ops->commit(w, flags, err);
}
/* Once for each series_writer_slot(): whoever asked writes the series no more. When nobody has it any more, it may
 * become another series'. Not within a row. */
void series_writer_release(struct series_writer *w, uint32_t slot);
static inline struct series_writer *series_writer_ref(struct series_writer *w)
{
    w->references++;
    return w;
}
void series_writer_unref(struct series_writer *w); /* NULL does nothing */

/* Where writers come from. */
struct series_store {
    /* NULL only with err set. `key` names what is written, the same after a restart; each is open once. */
    struct series_writer *(*open)(void *arg, struct view key, struct error *err);
    void *arg;
};
struct series_store series_store_of_db(struct db *db);
struct series_store series_store_of_memory(struct memory_source *m);

#endif
