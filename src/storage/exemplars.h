/* SPDX-License-Identifier: Apache-2.0 */
/* exemplars.h: the newest exemplars of all series: a ring of fixed size, as Prometheus keeps it, that also survives the
 * process: each exemplar goes to a log of its own. Layout and rules: top of exemplars.c.
 *
 * Exemplars are by label set and know nothing of the head's numbers, so they outlive their series' stay in the
 * head. What is added is durable (kill -9) before exemplars_select() shows it. Any thread. */
#ifndef BELFRY_STORAGE_EXEMPLARS_H
#define BELFRY_STORAGE_EXEMPLARS_H

#include "base/arena.h"
#include "base/attributes.h"
#include "base/buffer.h"
#include "base/error.h"
#include "model/exemplar.h"
#include "model/matcher.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct exemplars;

enum {
    EXEMPLARS_MAX_DEFAULT = 100000,
    EXEMPLARS_MAX_LIMIT = 1 << 24,
    EXEMPLARS_BYTES_EACH =
        1024 /* so many on average, labels of series among them; else the oldest go early */
};

struct exemplars_options {
    const char *dir;            /* has the log; must exist; copied */
    const char *quarantine_dir; /* made when needed; copied */
    int64_t max;                /* 0 = EXEMPLARS_MAX_DEFAULT; negative: none are kept */
    int64_t
        sync_interval_ms; /* after which written exemplars are synced; 0 = 1000; negative: never */
    void (*log)(void *arg, bool is_error, const char *event, const char *text); /* may be NULL */
    void *log_arg;
};

/* Reads what the log holds. ERROR_IO; ERROR_CORRUPT when a newer version wrote it. Damage is not an error: the whole
 * log is copied to quarantine_dir and the rest is kept. */
MUST_USE bool exemplars_open(struct exemplars **out, const struct exemplars_options *opts,
                             struct error *err);
/* Writes and syncs what is queued. NULL is fine. */
void exemplars_close(struct exemplars *x);
/* Forgets the oldest when there are more; <= 0: none are kept from now on. */
void exemplars_set_max(struct exemplars *x, int64_t max);

/* ---- in ---- */

enum exemplar_added {
    EXEMPLAR_ADDED,
    EXEMPLAR_DUPLICATE, /* the series' newest is the same */
    EXEMPLAR_OUT_OF_ORDER, /* older than the series' newest (at the same time: by value, then by labels) */
    EXEMPLAR_TOO_LONG, /* over EXEMPLAR_CHARACTERS_MAX */
    EXEMPLAR_REFUSED   /* none are kept */
};

/* Exemplars of one writer until they are added together. All zero = empty. */
struct exemplar_batch {
    struct buffer bytes;
    uint32_t count;
    uint32_t too_long;
};
/* `key`: what the writer knows the series by. Copied. */
void exemplar_batch_add(struct exemplar_batch *b, uint32_t key, const struct exemplar *e);
void exemplar_batch_deinit(struct exemplar_batch *b);

/* What exemplars_add() wants to know of the series with this key. The writer's locks are its own business. */
struct exemplar_series_info {
    uint64_t hash;       /* labels_hash() */
    uint32_t process_id; /* of this label set while the process lives; never of another */
};
struct exemplar_writer {
    /* False: no series has this key (any more); its exemplar is left out. */
    bool (*series)(void *arg, uint32_t key, struct exemplar_series_info *out);
    struct labels (*labels)(void *arg, uint32_t key, struct arena *arena);
    void *arg;
};
struct exemplar_counts {
    uint64_t added, duplicate, out_of_order, too_long;
};
void exemplars_add(struct exemplars *x, const struct exemplar_batch *b,
                   const struct exemplar_writer *w, struct exemplar_counts *counts);
/* Forgets those older than `ms` as far as they are the oldest of the ring. */
void exemplars_drop_before(struct exemplars *x, int64_t ms);

/* ---- out ---- */

struct exemplar_matchers {
    const struct matcher *items;
    size_t count;
};
struct exemplar_list {
    struct labels series;
    struct exemplar *items; /* oldest first */
    size_t count;
};
/* The exemplars within [start, end] of series that match all matchers of any of the sets; sorted by series. All in
 * the arena. First waits (at most some seconds) until what was added is written. */
void exemplars_select(struct exemplars *x, const struct exemplar_matchers *sets, size_t set_count,
                      int64_t start_ms, int64_t end_ms, struct arena *arena,
                      struct exemplar_list **out, size_t *count);

struct exemplars_stats {
    uint64_t appended, out_of_order, stored, series, max;
    int64_t last_timestamp_ms; /* of the oldest in the ring, as Prometheus has it; 0: none */
    uint64_t log_bytes, log_failures;
};
void exemplars_stats_get(struct exemplars *x, struct exemplars_stats *out);

#endif
