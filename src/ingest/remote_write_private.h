/* SPDX-License-Identifier: Apache-2.0 */
/* remote_write_private.h: what the files of the receiver share.
 *
 *   remote_write_decode.c   bytes -> series (by hash) and samples
 *   remote_write_series.c   hash -> group and slot; groups and who writes them; what is not used any more
 *   remote_write.c          one request: samples -> rows
 *
 * A request goes through the gate (write_enter, write_leave), so that a sweep has everything for itself; in
 * between it owns one group at a time. Nothing is locked while rows are written or waited for. */
#ifndef BELFRY_INGEST_REMOTE_WRITE_PRIVATE_H
#define BELFRY_INGEST_REMOTE_WRITE_PRIVATE_H

#include "base/map.h"
#include "base/thread.h"
#include "ingest/remote_write.h"
#include "ingest/remote_write_decode.h"
#include "storage/appender.h"

#include <stdatomic.h>

#define WRITE_SLOT_UNKNOWN UINT32_C(0xffffffff) /* nobody knows the series yet */
#define WRITE_SLOT_INVALID UINT32_C(0xfffffffe) /* the labels are none */
/* Over a limit of series; the slot of its overflow series in the low bits (WRITE_SLOT_REFUSED_MAX: none). */
#define WRITE_SLOT_REFUSED UINT32_C(0xc0000000)
#define WRITE_SLOT_REFUSED_MAX UINT32_C(0xc0ffffff)

enum {
    WRITE_GROUPS_MAX = 1 << 16,
    WRITE_GROUPS_SHARED = 1024, /* past that the others share these, by the hash of their key */
    WRITE_REFUSED_SECONDS = 60, /* a refused series is not asked for again for so long */
    WRITE_IDLE_MS = 30 * 60 * 1000,
    WRITE_SWEEP_MS = 5 * 60 * 1000
};

/* A series as senders write it. Those with their labels in another order have an entry each. The hash stands for
 * the labels: with 128 bits and a secret of the process nobody meets two by chance, and a sender who could make
 * two would reach only what it may write anyway. */
struct write_entry {
    struct hash128 hash;
    uint32_t group, slot;  /* slot WRITE_SLOT_UNKNOWN: no entry */
    _Atomic uint32_t seen; /* seconds of the monotonic clock; relaxed */
};

struct write_group {
    struct view key;
    struct group *group;  /* of whoever owns it; NULL = not opened yet */
    size_t entry_count;   /* likewise: series in the table */
    bool owned;           /* guarded by mutex */
    bool is_live;         /* in a sweep */
    uint64_t *live_slots; /* in a sweep */
};

static inline bool write_slot_is_refused(uint32_t slot)
{
    return slot >= WRITE_SLOT_REFUSED && slot <= WRITE_SLOT_REFUSED_MAX;
}

struct write_scratch; /* remote_write.c */

struct remote_write {
    struct db *db; /* constant */

    pthread_mutex_t mutex;  /* guards what follows; a leaf */
    pthread_cond_t changed; /* somebody left, gave a group back, or swept */
    unsigned inside;
    bool sweeping;
    mono_time swept;
    atomic_bool bloated; /* a sweep is due now: the table holds much that is no series */
    struct string_map *group_keys;
    struct write_group **groups; /* NULL: the number is free */
    size_t group_count, group_capacity;
    size_t group_free;               /* all numbers below it are taken */
    struct write_scratch *scratches; /* lent to requests */

    pthread_rwlock_t table_lock; /* guards the table; a leaf */
    struct write_entry *entries;
    size_t entry_capacity, entry_count;
    size_t refused_count; /* of them, without a slot */

    _Atomic uint64_t entries_now, groups_now; /* relaxed: statistics, like the rest */

    _Atomic uint64_t requests, requests_failed, samples, stored, refused[WRITE_REFUSAL_COUNT],
        exemplars, exemplars_stored, metadata;
};

/* remote_write_series.c */
void write_enter(struct remote_write *w); /* sweeps when it is time */
void write_leave(struct remote_write *w);

/* Fills in group and slot of the series that are known; the others get WRITE_SLOT_UNKNOWN. */
void write_table_find(struct remote_write *w, struct write_series *series, size_t count);
/* Enters series of a group, which is owned, that have just got their slots. */
void write_table_add(struct remote_write *w, struct write_group *g,
                     const struct write_series *const *series, size_t count);

/* The number of the group of a series with these labels. */
uint32_t write_group_number(struct remote_write *w, struct labels ls, struct arena *arena);
/* Makes the caller the one who writes the group; waits for others. *err: it could not be opened. */
struct write_group *write_group_own(struct remote_write *w, uint32_t number, struct error *err);
void write_group_disown(struct remote_write *w, struct write_group *g);
void write_series_deinit(struct remote_write *w);

#endif
