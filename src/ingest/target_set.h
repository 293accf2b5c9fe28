/* SPDX-License-Identifier: Apache-2.0 */
/* target_set.h: the targets of a configuration and of what was discovered by it: a pool for each job. Sets and pools
 * are immutable once they are shared, and reference counted: the API holds on to the set that it is reading, and a
 * pool in which nothing changed is in the next set, too. Private to scrape*.c. */
#ifndef BELFRY_INGEST_TARGET_SET_H
#define BELFRY_INGEST_TARGET_SET_H

#include "ingest/config.h"
#include "ingest/discover.h"
#include "ingest/target.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct scrape;

struct target_pool {
    _Atomic uint32_t refs;
    struct config *config;               /* referenced */
    const struct config_scrape_job *job; /* of that configuration */
    struct discover_result **results; /* by the job's discoveries; referenced, NULL: nothing yet */
    struct target **targets;          /* active, ascending by key, distinct; referenced */
    struct scrape **scrapes; /* of the same index; referenced; filled in by who shares the pool */
    size_t count, capacity;
    struct target **dropped; /* referenced; at most keep_dropped_targets of them */
    size_t dropped_kept, dropped_capacity;
    size_t dropped_count; /* also those that are not kept */
    size_t found_count;   /* targets before relabelling */
    size_t failed_count;  /* whose labels make no target */
    uint64_t series_hash; /* target_job_series_hash() */
};
void target_pool_unref(struct target_pool *pool); /* NULL does nothing */
/* Has the job more targets than its target_limit? */
bool target_pool_is_over_limit(const struct target_pool *pool);

struct target_set {
    _Atomic uint32_t refs;
    struct config *config;      /* referenced */
    struct target_pool **pools; /* ascending by name; referenced */
    size_t pool_count;
    size_t count, dropped_kept; /* of all pools */
};

/* Makes the set. What discovery has found so far is asked of `d`. Pools of `old` (NULL: none) that would be the same
 * are taken over. failed(arg, text) is called for targets whose labels make none, a few of each job. */
struct target_set *target_set_new(struct config *config, struct discover *d,
                                  const struct target_set *old,
                                  void (*failed)(void *arg, const char *text), void *arg);
void target_set_unref(struct target_set *set); /* NULL does nothing */

#endif
