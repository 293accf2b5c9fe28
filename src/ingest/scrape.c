/* SPDX-License-Identifier: Apache-2.0 */
/* scrape.c: the manager. Each configuration makes a new set of targets, which is immutable: threads are told
 * what differs from the set before, and the API holds on to the set that it is reading. */
#include "ingest/scrape.h"

#include "base/assert.h"
#include "base/mem.h"
#include "base/thread.h"
#include "ingest/scrape_private.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { THREADS_MAX = 8 };

/* A job's counts. */
struct target_pool {
    struct view name; /* the configuration's */
    size_t active_count, dropped_count;
};

struct target_set {
    _Atomic uint32_t refs;
    struct config *config;   /* referenced */
    struct target **targets; /* active, in the order of pool and URL; referenced */
    struct scrape **scrapes; /* of the same index; referenced */
    size_t count, capacity;
    struct target **dropped; /* referenced */
    size_t dropped_count, dropped_capacity;
    struct target_pool *pools; /* by job */
    size_t pool_count;
};

struct scrape_manager {
    struct db *db; /* constant */
    struct scrape_options options;
    unsigned thread_count;
    struct scrape_thread_shared shared;
    struct client_tokens *tokens; /* any thread */

    struct scrape_thread *threads[THREADS_MAX]; /* the caller of apply; NULL until needed */
    struct scrape_counters counters;

    pthread_mutex_t mutex; /* guards the set in force */
    struct target_set *set;
    unsigned now_left; /* threads that scrape_manager_scrape_now() waits for */
    pthread_cond_t now_done;
};

static const char *const HEALTH_NAMES[] = {"unknown", "up", "down"};

const char *scrape_health_name(enum scrape_health health)
{
    return HEALTH_NAMES[health];
}

static const char *const FAILURE_NAMES[SCRAPE_FAILURE_COUNT] = {
#define X(id, word) word,
    SCRAPE_FAILURES(X)
#undef X
};

const char *scrape_failure_name(enum scrape_failure kind)
{
    ASSERT(kind < SCRAPE_FAILURE_COUNT);
    return FAILURE_NAMES[kind];
}

/* ---- scrapes ---- */

static struct scrape *scrape_new(struct scrape_thread *thread, struct client_tokens *tokens)
{
    struct scrape *s = mem_alloc_zero(MEM_SCRAPE, 1, sizeof *s);
    s->refs = 1;
    s->thread = thread;
    s->tokens = tokens;
    s->heap_idx = SIZE_MAX;
    mutex_init(&s->mutex);
    return s;
}

struct scrape *scrape_ref(struct scrape *s)
{
    atomic_fetch_add_explicit(&s->refs, 1, memory_order_relaxed);
    return s;
}

void scrape_unref(struct scrape *s)
{
    /* Release: what this thread did with it; acquire by the one that frees. */
    if (!s || atomic_fetch_sub_explicit(&s->refs, 1, memory_order_acq_rel) > 1)
        return;
    ASSERT(!s->target && !s->group);
    mutex_deinit(&s->mutex);
    mem_free(MEM_SCRAPE, s->last_error);
    mem_free(MEM_SCRAPE, s);
}

/* ---- sets ---- */

static void set_unref(struct target_set *set)
{
    if (!set || atomic_fetch_sub_explicit(&set->refs, 1, memory_order_acq_rel) > 1)
        return;
    for (size_t i = 0; i < set->count; i++) {
        target_unref(set->targets[i]);
        scrape_unref(set->scrapes[i]);
    }
    for (size_t i = 0; i < set->dropped_count; i++)
        target_unref(set->dropped[i]);
    mem_free(MEM_SCRAPE, set->targets);
    mem_free(MEM_SCRAPE, set->scrapes);
    mem_free(MEM_SCRAPE, set->dropped);
    mem_free(MEM_SCRAPE, set->pools);
    config_unref(set->config);
    mem_free(MEM_SCRAPE, set);
}

static struct target_set *set_in_force(struct scrape_manager *m)
{
    mutex_lock(&m->mutex);
    struct target_set *set = m->set;
    if (set)
        atomic_fetch_add_explicit(&set->refs, 1, memory_order_relaxed);
    mutex_unlock(&m->mutex);
    return set;
}

static void set_add(struct target_set *set, struct target_pool *pool, struct target *t)
{
    if (!t->dropped) {
        if (set->count == set->capacity)
            set->targets = mem_grow(MEM_SCRAPE, set->targets, &set->capacity, set->count + 1,
                                    sizeof *set->targets);
        set->targets[set->count++] = t;
        return;
    }
    pool->dropped_count++;
    uint64_t keep = t->job->keep_dropped_targets;
    if (keep && pool->dropped_count > keep) {
        target_unref(t);
        return;
    }
    if (set->dropped_count == set->dropped_capacity)
        set->dropped = mem_grow(MEM_SCRAPE, set->dropped, &set->dropped_capacity,
                                set->dropped_count + 1, sizeof *set->dropped);
    set->dropped[set->dropped_count++] = t;
}

static void say(const struct scrape_manager *m, bool is_error, const char *event, const char *text)
{
    if (m->options.log)
        m->options.log(m->options.log_arg, is_error, event, text);
}

static void set_add_job(struct scrape_manager *m, struct target_set *set,
                        const struct config_scrape_job *job, struct target_pool *pool)
{
    pool->name = job->job_name;
    for (size_t g = 0; g < job->static_configs.count; g++) {
        const struct config_target_group *group = &job->static_configs.items[g];
        for (size_t i = 0; i < group->targets.count; i++) {
            struct target *t;
            struct error err;
            if (target_new(&t, set->config, job, group->targets.items[i], group->labels, &err)) {
                set_add(set, pool, t);
            } else {
                COUNT(m->counters.targets_failed, 1);
                say(m, true, "target_failed", err.message);
            }
        }
    }
}

/* By key, which begins with the job: so pools are together and URLs ascend in them. */
static int target_compare(const void *a, const void *b)
{
    const struct target *const *ta = a, *const *tb = b;
    return view_cmp((*ta)->key, (*tb)->key);
}

/* The same target twice is one. */
static void set_finish(struct target_set *set)
{
    size_t kept = 0;
    if (set->count)
        qsort(set->targets, set->count, sizeof(struct target *), target_compare);
    for (size_t i = 0; i < set->count; i++) {
        if (kept && view_eq(set->targets[kept - 1]->key, set->targets[i]->key))
            target_unref(set->targets[i]);
        else
            set->targets[kept++] = set->targets[i];
    }
    set->count = kept;
    set->scrapes = mem_alloc_zero(MEM_SCRAPE, kept + 1, sizeof(struct scrape *));
    for (size_t i = 0; i < kept; i++) {
        size_t job = (size_t)(set->targets[i]->job - set->config->scrape_configs.items);
        set->pools[job].active_count++;
    }
}

static struct target_set *set_new(struct scrape_manager *m, struct config *config)
{
    struct target_set *set = mem_alloc_zero(MEM_SCRAPE, 1, sizeof *set);
    const struct config_scrape_jobs *jobs = &config->scrape_configs;
    set->refs = 1;
    set->config = config_ref(config);
    set->pools = mem_alloc_zero(MEM_SCRAPE, jobs->count + 1, sizeof *set->pools);
    set->pool_count = jobs->count;
    for (size_t i = 0; i < jobs->count; i++)
        set_add_job(m, set, &jobs->items[i], &set->pools[i]);
    set_finish(set);
    return set;
}

/* ---- what differs ---- */

/* What is to be sent to each thread. */
struct orders {
    struct scrape_command *items[THREADS_MAX];
    size_t count[THREADS_MAX], capacity[THREADS_MAX];
};

static void order(struct scrape_manager *m, struct orders *o, struct scrape_command c)
{
    for (unsigned i = 0; i < m->thread_count; i++) {
        if (m->threads[i] != c.scrape->thread)
            continue;
        if (o->count[i] == o->capacity[i])
            o->items[i] = mem_grow(MEM_SCRAPE, o->items[i], &o->capacity[i], o->count[i] + 1,
                                   sizeof *o->items[i]);
        o->items[i][o->count[i]++] = c;
        return;
    }
    UNREACHABLE();
}

static void orders_send(struct scrape_manager *m, struct orders *o)
{
    for (unsigned i = 0; i < m->thread_count; i++) {
        if (o->count[i])
            scrape_thread_send(m->threads[i], o->items[i], o->count[i]);
        mem_free(MEM_SCRAPE, o->items[i]);
    }
}

/* The thread that owns targets of this hash, started when it is not; when it cannot be, any that runs. */
static struct scrape_thread *thread_for(struct scrape_manager *m, uint64_t hash)
{
    unsigned idx = (unsigned)(hash % m->thread_count);
    struct error err;
    if (m->threads[idx] || scrape_thread_start(&m->threads[idx], &m->shared, &err))
        return m->threads[idx];
    say(m, true, "scrape_thread_failed", err.message);
    for (unsigned i = 0; i < m->thread_count; i++) {
        if (m->threads[i])
            return m->threads[i];
    }
    return NULL;
}

static bool over_target_limit(const struct target_set *set, const struct target *t)
{
    size_t job = (size_t)(t->job - set->config->scrape_configs.items);
    return t->job->target_limit && set->pools[job].active_count > t->job->target_limit;
}

/* Gives each target of the new set its scrape: that of the old set with the same key, or a new one.
 * Both are sorted. Then old scrapes that were not taken over end. */
static void set_replace(struct scrape_manager *m, struct target_set *set,
                        const struct target_set *old, struct orders *o)
{
    size_t at = 0, old_count = old ? old->count : 0, kept = 0;
    for (size_t i = 0; i < set->count; i++) {
        struct target *t = set->targets[i];
        int c = -1;
        while (at < old_count && (c = view_cmp(old->targets[at]->key, t->key)) < 0)
            order(m, o, (struct scrape_command){SCRAPE_REMOVE, old->scrapes[at++], NULL, false});
        struct scrape_command command = {SCRAPE_ADD, NULL, NULL, over_target_limit(set, t)};
        if (at < old_count && c == 0) {
            command.kind = SCRAPE_UPDATE;
            command.scrape = old->scrapes[at++];
        } else {
            struct scrape_thread *thread = thread_for(m, t->hash);
            if (!thread) { /* said already; the target is as if it were not configured */
                target_unref(t);
                continue;
            }
            command.scrape = scrape_new(thread, m->tokens); /* this reference is the thread's */
        }
        command.target = target_ref(t);
        set->targets[kept] = t;
        set->scrapes[kept++] = scrape_ref(command.scrape);
        order(m, o, command);
    }
    set->count = kept;
    while (at < old_count)
        order(m, o, (struct scrape_command){SCRAPE_REMOVE, old->scrapes[at++], NULL, false});
}

void scrape_manager_apply(struct scrape_manager *m, struct config *config)
{
    mono_time start = clock_mono();
    struct target_set *set = set_new(m, config);
    struct target_set *old = m->set; /* only this caller puts another there */
    struct orders o = {0};
    set_replace(m, set, old, &o);
    mutex_lock(&m->mutex);
    m->set = set;
    mutex_unlock(&m->mutex);
    /* Before `old` goes: what is removed is the thread's, which has a reference of its own. */
    orders_send(m, &o);
    set_unref(old);
    COUNT(m->counters.syncs, 1);
    COUNT(m->counters.sync_ns, (uint64_t)(clock_mono().ns - start.ns));
}

/* ---- life ---- */

static void on_now_done(void *arg)
{
    struct scrape_manager *m = arg;
    mutex_lock(&m->mutex);
    ASSERT(m->now_left > 0);
    m->now_left--;
    cond_broadcast(&m->now_done);
    mutex_unlock(&m->mutex);
}

bool scrape_manager_start(struct scrape_manager **out, struct db *db,
                          const struct scrape_options *opts, struct error *err)
{
    static const struct scrape_options DEFAULTS = {0};
    *out = NULL;
    /* Twice is fine: libcurl counts. Threads begin later, so it need not be safe for them. */
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        return error_set(err, ERROR_INTERNAL, "could not initialise libcurl");
    struct scrape_manager *m = mem_alloc_zero(MEM_SCRAPE, 1, sizeof *m);
    m->db = db;
    m->options = opts ? *opts : DEFAULTS;
    m->thread_count = m->options.thread_count ? m->options.thread_count : thread_cpu_count();
    if (m->thread_count > THREADS_MAX)
        m->thread_count = THREADS_MAX;
    m->shared = (struct scrape_thread_shared){db, &m->counters, on_now_done, m};
    m->tokens = client_tokens_new();
    mutex_init(&m->mutex);
    cond_init(&m->now_done);
    *out = m;
    return true;
}

void scrape_manager_stop(struct scrape_manager *m)
{
    if (!m)
        return;
    for (unsigned i = 0; i < m->thread_count; i++)
        scrape_thread_stop(m->threads[i]);
    set_unref(m->set);
    client_tokens_free(m->tokens);
    cond_deinit(&m->now_done);
    mutex_deinit(&m->mutex);
    mem_free(MEM_SCRAPE, m);
    curl_global_cleanup();
}

void scrape_manager_scrape_now(struct scrape_manager *m)
{
    static const struct scrape_command NOW = {.kind = SCRAPE_NOW};
    mutex_lock(&m->mutex);
    for (unsigned i = 0; i < m->thread_count; i++)
        m->now_left += m->threads[i] != NULL;
    mutex_unlock(&m->mutex);
    for (unsigned i = 0; i < m->thread_count; i++) {
        if (m->threads[i])
            scrape_thread_send(m->threads[i], &NOW, 1);
    }
    mutex_lock(&m->mutex);
    while (m->now_left > 0)
        cond_wait(&m->now_done, &m->mutex);
    mutex_unlock(&m->mutex);
}

/* ---- the API ---- */

static void info_of(struct scrape_target_info *info, const struct target *t, struct scrape *s,
                    struct arena *arena)
{
    *info = (struct scrape_target_info){.dropped = t->dropped,
                                        .discovered_labels = t->discovered,
                                        .labels = t->labels,
                                        .pool = t->job->job_name,
                                        .url = t->url,
                                        .last_error = VIEW(""),
                                        .interval_ms = t->interval_ms,
                                        .timeout_ms = t->timeout_ms};
    if (!s)
        return;
    mutex_lock(&s->mutex);
    info->health = s->health;
    info->last_scrape = s->last_scrape;
    info->last_duration_seconds = s->last_duration_seconds;
    if (s->last_error)
        info->last_error = arena_copy(arena, view_from(s->last_error));
    mutex_unlock(&s->mutex);
}

void scrape_targets_get(struct scrape_manager *m, struct arena *arena, struct scrape_targets *out)
{
    struct target_set *set = set_in_force(m);
    *out = (struct scrape_targets){.set = set};
    if (!set)
        return;
    out->active_count = set->count;
    out->count = set->count + set->dropped_count;
    out->items = ARENA_ARRAY(arena, struct scrape_target_info, out->count + 1);
    for (size_t i = 0; i < set->count; i++)
        info_of(&out->items[i], set->targets[i], set->scrapes[i], arena);
    for (size_t i = 0; i < set->dropped_count; i++)
        info_of(&out->items[set->count + i], set->dropped[i], NULL, arena);
    out->pool_count = set->pool_count;
    out->pools = ARENA_ARRAY(arena, struct scrape_pool_info, set->pool_count + 1);
    for (size_t i = 0; i < set->pool_count; i++)
        out->pools[i] = (struct scrape_pool_info){set->pools[i].name, set->pools[i].active_count,
                                                  set->pools[i].dropped_count};
}

void scrape_targets_release(struct scrape_targets *targets)
{
    set_unref(targets->set);
    *targets = (struct scrape_targets){0};
}

static uint64_t load(const _Atomic uint64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

void scrape_stats_get(struct scrape_manager *m, struct scrape_stats *out)
{
    const struct scrape_counters *c = &m->counters;
    struct target_set *set = set_in_force(m);
    *out = (struct scrape_stats){
        .targets_failed = load(&c->targets_failed),
        .syncs = load(&c->syncs),
        .sync_seconds = (double)load(&c->sync_ns) / 1e9,
        .scrapes = load(&c->scrapes),
        .scrape_seconds = (double)load(&c->scrape_ns) / 1e9,
        .scrapes_late = load(&c->scrapes_late),
        .samples = load(&c->samples),
        .body_bytes = load(&c->body_bytes),
        .lines_known = load(&c->lines_known),
        .lines_parsed = load(&c->lines_parsed),
        .exceeded_sample_limit = load(&c->exceeded_sample_limit),
        .exceeded_label_limits = load(&c->exceeded_label_limits),
        .exceeded_body_size_limit = load(&c->exceeded_body_size_limit),
        .samples_duplicate = load(&c->samples_duplicate),
        .samples_out_of_order = load(&c->samples_out_of_order),
        .series_refused = load(&c->series_refused),
        .series_outsized = load(&c->series_outsized),
        .cache_bytes = (uint64_t)atomic_load_explicit(&c->cache_bytes, memory_order_relaxed),
    };
    for (size_t i = 0; i < SCRAPE_FAILURE_COUNT; i++)
        out->failures[i] = load(&c->failures[i]);
    if (!set)
        return;
    out->pools = set->pool_count;
    out->targets = set->count;
    for (size_t i = 0; i < set->pool_count; i++)
        out->targets_dropped += set->pools[i].dropped_count;
    set_unref(set);
}
