/* SPDX-License-Identifier: Apache-2.0 */
/* target_set.c: see target_set.h. */
#include "ingest/target_set.h"

#include "base/mem.h"
#include "ingest/scrape_private.h"

#include <stdlib.h>
#include <string.h>

enum { FAILURES_SAID_MAX = 10 };

void target_pool_unref(struct target_pool *pool)
{
    /* Release: what this thread read of it; acquire by the one that frees. */
    if (!pool || atomic_fetch_sub_explicit(&pool->refs, 1, memory_order_acq_rel) > 1)
        return;
    for (size_t i = 0; i < pool->count; i++) {
        target_unref(pool->targets[i]);
        scrape_unref(pool->scrapes[i]);
    }
    for (size_t i = 0; i < pool->dropped_kept; i++)
        target_unref(pool->dropped[i]);
    for (size_t i = 0; i < pool->job->discoveries.count; i++)
        discover_result_unref(pool->results[i]);
    mem_free(MEM_SCRAPE, pool->results);
    mem_free(MEM_SCRAPE, pool->targets);
    mem_free(MEM_SCRAPE, pool->scrapes);
    mem_free(MEM_SCRAPE, pool->dropped);
    config_unref(pool->config);
    mem_free(MEM_SCRAPE, pool);
}

bool target_pool_is_over_limit(const struct target_pool *pool)
{
    return pool->job->target_limit && pool->count > pool->job->target_limit;
}

void target_set_unref(struct target_set *set)
{
    if (!set || atomic_fetch_sub_explicit(&set->refs, 1, memory_order_acq_rel) > 1)
        return;
    for (size_t i = 0; i < set->pool_count; i++)
        target_pool_unref(set->pools[i]);
    mem_free(MEM_SCRAPE, set->pools);
    config_unref(set->config);
    mem_free(MEM_SCRAPE, set);
}

/* ---- a pool ---- */

struct maker {
    struct target_pool *pool;
    void (*failed)(void *arg, const char *text);
    void *arg;
};

static void add_target(struct target_pool *pool, struct target *t)
{
    if (!t->dropped) {
        if (pool->count == pool->capacity)
            pool->targets = mem_grow(MEM_SCRAPE, pool->targets, &pool->capacity, pool->count + 1,
                                     sizeof *pool->targets);
        pool->targets[pool->count++] = t;
        return;
    }
    uint64_t keep = pool->job->keep_dropped_targets;
    pool->dropped_count++;
    if (keep && pool->dropped_kept >= keep) {
        target_unref(t);
        return;
    }
    if (pool->dropped_kept == pool->dropped_capacity)
        pool->dropped = mem_grow(MEM_SCRAPE, pool->dropped, &pool->dropped_capacity,
                                 pool->dropped_kept + 1, sizeof *pool->dropped);
    pool->dropped[pool->dropped_kept++] = t;
}

static void add_groups(struct maker *m, const struct config_target_groups *groups)
{
    for (size_t g = 0; g < groups->count; g++) {
        const struct config_target_group *group = &groups->items[g];
        for (size_t i = 0; i < group->targets.count; i++) {
            struct target *t;
            struct error err;
            m->pool->found_count++;
            if (target_new(&t, m->pool->config, m->pool->job, group->targets.items[i],
                           group->labels, &err))
                add_target(m->pool, t);
            else if (++m->pool->failed_count <= FAILURES_SAID_MAX && m->failed)
                m->failed(m->arg, err.message);
        }
    }
}

static int target_compare(const void *a, const void *b)
{
    const struct target *const *ta = a, *const *tb = b;
    return view_cmp((*ta)->key, (*tb)->key);
}

/* Sorts them; the same target twice is one. */
static void pool_finish(struct target_pool *pool)
{
    size_t kept = 0;
    if (pool->count)
        qsort(pool->targets, pool->count, sizeof(struct target *), target_compare);
    for (size_t i = 0; i < pool->count; i++) {
        if (kept && view_eq(pool->targets[kept - 1]->key, pool->targets[i]->key))
            target_unref(pool->targets[i]);
        else
            pool->targets[kept++] = pool->targets[i];
    }
    pool->count = kept;
    pool->scrapes = mem_alloc_zero(MEM_SCRAPE, kept + 1, sizeof(struct scrape *));
}

static struct target_pool *pool_new(struct config *config, const struct config_scrape_job *job,
                                    struct discover_result **results,
                                    void (*failed)(void *arg, const char *text), void *arg)
{
    struct target_pool *pool = mem_alloc_zero(MEM_SCRAPE, 1, sizeof *pool);
    struct maker m = {pool, failed, arg};
    pool->refs = 1;
    pool->config = config_ref(config);
    pool->job = job;
    pool->results = results;
    pool->series_hash = target_job_series_hash(job);
    add_groups(&m, &job->static_configs);
    for (size_t i = 0; i < job->discoveries.count; i++) {
        for (size_t s = 0; results[i] && s < results[i]->count; s++)
            add_groups(&m, &results[i]->sets[s]->groups);
    }
    pool_finish(pool);
    return pool;
}

/* ---- the set ---- */

static int job_compare(const void *a, const void *b)
{
    const struct config_scrape_job *const *ja = a, *const *jb = b;
    return view_cmp((*ja)->job_name, (*jb)->job_name);
}

/* The old set's pool when it is of this very configuration and was made of these very results. */
static struct target_pool *pool_unchanged(const struct target_set *old,
                                          const struct config_scrape_job *job, size_t idx,
                                          struct discover_result *const *results)
{
    if (!old || idx >= old->pool_count || old->pools[idx]->job != job)
        return NULL;
    struct target_pool *pool = old->pools[idx];
    for (size_t i = 0; i < job->discoveries.count; i++) {
        if (pool->results[i] != results[i])
            return NULL;
    }
    atomic_fetch_add_explicit(&pool->refs, 1, memory_order_relaxed);
    return pool;
}

struct target_set *target_set_new(struct config *config, struct discover *d,
                                  const struct target_set *old,
                                  void (*failed)(void *arg, const char *text), void *arg)
{
    struct target_set *set = mem_alloc_zero(MEM_SCRAPE, 1, sizeof *set);
    const struct config_scrape_jobs *jobs = &config->scrape_configs;
    const struct config_scrape_job **sorted =
        mem_alloc(MEM_SCRAPE, (jobs->count + 1) * sizeof *sorted);
    set->refs = 1;
    set->config = config_ref(config);
    set->pools = mem_alloc_zero(MEM_SCRAPE, jobs->count + 1, sizeof(struct target_pool *));
    for (size_t i = 0; i < jobs->count; i++)
        sorted[i] = &jobs->items[i];
    if (jobs->count)
        qsort(sorted, jobs->count, sizeof *sorted, job_compare);
    for (size_t j = 0; j < jobs->count; j++) {
        const struct config_scrape_job *job = sorted[j];
        size_t count = job->discoveries.count;
        struct discover_result **results =
            mem_alloc_zero(MEM_SCRAPE, count + 1, sizeof(struct discover_result *));
        for (size_t i = 0; i < count; i++)
            results[i] = discover_result_get(d, &job->discoveries.items[i]);
        struct target_pool *pool = pool_unchanged(old, job, j, results);
        if (pool) {
            for (size_t i = 0; i < count; i++)
                discover_result_unref(results[i]);
            mem_free(MEM_SCRAPE, results);
        } else {
            pool = pool_new(config, job, results, failed, arg);
        }
        set->pools[set->pool_count++] = pool;
        set->count += pool->count;
        set->dropped_kept += pool->dropped_kept;
    }
    mem_free(MEM_SCRAPE, sorted);
    return set;
}
