/* SPDX-License-Identifier: Apache-2.0 */
/* scrape.c: the manager. Each configuration, and each change of what is discovered, makes a new set of targets, which
 * is immutable: threads are told what differs from the set before, and the API holds on to the set that it is reading.
 *
 * A new set is made by who applies a configuration or by the discovery thread, one at a time (lock `apply`); scrape
 * threads get the difference as a list of commands, of which they do a few between two looks at their sockets. */
#include "ingest/scrape.h"

#include "base/assert.h"
#include "base/mem.h"
#include "base/thread.h"
#include "ingest/discover.h"
#include "ingest/scrape_private.h"
#include "ingest/target_set.h"
#include "storage/db.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { THREADS_MAX = 8 };

struct scrape_manager {
    struct db *db; /* constant */
    struct scrape_options options;
    unsigned thread_count;
    struct scrape_thread_shared shared;
    struct client_tokens *tokens;  /* any thread */
    struct failure_logs *failures; /* any thread */

    pthread_mutex_t apply;                      /* guards threads and who may put a set in force */
    struct scrape_thread *threads[THREADS_MAX]; /* NULL until needed */
    struct discover *discover;                  /* any thread */
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
    mem_free(MEM_SCRAPE, s->metadata);
    mem_free(MEM_SCRAPE, s);
}

/* ---- sets ---- */

static struct target_set *set_in_force(struct scrape_manager *m)
{
    mutex_lock(&m->mutex);
    struct target_set *set = m->set;
    if (set)
        atomic_fetch_add_explicit(&set->refs, 1, memory_order_relaxed);
    mutex_unlock(&m->mutex);
    return set;
}

static void say(const struct scrape_manager *m, bool is_error, const char *event, const char *text)
{
    if (m->options.log)
        m->options.log(m->options.log_arg, is_error, event, text);
}

static void on_discovery_event(void *arg, bool is_error, const char *event, const char *text)
{
    say(arg, is_error, event, text);
}

static void on_failure_log(void *arg, const char *text)
{
    say(arg, true, "scrape_failure_log_failed", text);
}

static void on_target_failed(void *arg, const char *text)
{
    say(arg, true, "target_failed", text);
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

/* Is it all the same to the thread? Then the old one stays, and the thread is not troubled. */
static bool target_is_same(const struct target *a, const struct target *b)
{
    return a->job == b->job && a->interval_ms == b->interval_ms && a->timeout_ms == b->timeout_ms &&
           labels_equal(a->discovered, b->discovered);
}

static void order_remove(struct scrape_manager *m, struct orders *o, struct scrape *s)
{
    order(m, o, (struct scrape_command){.kind = SCRAPE_REMOVE, .scrape = s});
}

/* The target at `i` of a new pool gets its scrape: that of the old pool's target with the same key, or a new one.
 * False when it can have none. */
static bool give_scrape(struct scrape_manager *m, struct target_pool *pool, size_t i,
                        const struct target_pool *old, size_t old_idx, struct orders *o)
{
    struct scrape_command c = {.kind = SCRAPE_UPDATE,
                               .series_hash = pool->series_hash,
                               .over_target_limit = target_pool_is_over_limit(pool)};
    if (old_idx != SIZE_MAX) {
        struct target *before = old->targets[old_idx];
        c.scrape = old->scrapes[old_idx];
        pool->scrapes[i] = scrape_ref(c.scrape);
        if (target_is_same(before, pool->targets[i]) &&
            c.over_target_limit == target_pool_is_over_limit(old)) {
            target_unref(pool->targets[i]);
            pool->targets[i] = target_ref(before);
            return true;
        }
    } else {
        struct scrape_thread *thread = thread_for(m, pool->targets[i]->hash);
        if (!thread)
            return false;
        c.kind = SCRAPE_ADD;
        c.scrape = scrape_new(thread, m->tokens); /* this reference is the thread's */
        pool->scrapes[i] = scrape_ref(c.scrape);
    }
    c.target = target_ref(pool->targets[i]);
    order(m, o, c);
    return true;
}

/* Both are sorted. Old scrapes that are not taken over end. */
static void pool_replace(struct scrape_manager *m, struct target_pool *pool,
                         const struct target_pool *old, struct orders *o)
{
    size_t at = 0, old_count = old ? old->count : 0, kept = 0;
    for (size_t i = 0; pool && i < pool->count; i++) {
        int c = -1;
        while (at < old_count && (c = view_cmp(old->targets[at]->key, pool->targets[i]->key)) < 0)
            order_remove(m, o, old->scrapes[at++]);
        bool known = at < old_count && c == 0;
        pool->targets[kept] = pool->targets[i];
        if (give_scrape(m, pool, kept, old, known ? at : SIZE_MAX, o))
            kept++;
        else /* said already; the target is as if it were not configured */
            target_unref(pool->targets[kept]);
        at += known;
    }
    if (pool)
        pool->count = kept;
    while (at < old_count)
        order_remove(m, o, old->scrapes[at++]);
}

static void set_replace(struct scrape_manager *m, struct target_set *set,
                        const struct target_set *old, struct orders *o)
{
    size_t at = 0, old_count = old ? old->pool_count : 0;
    for (size_t i = 0; i < set->pool_count; i++) {
        struct target_pool *pool = set->pools[i];
        int c = -1;
        while (at < old_count &&
               (c = view_cmp(old->pools[at]->job->job_name, pool->job->job_name)) < 0)
            pool_replace(m, NULL, old->pools[at++], o);
        const struct target_pool *before = at < old_count && c == 0 ? old->pools[at++] : NULL;
        if (before == pool)
            continue;
        pool_replace(m, pool, before, o);
        COUNT(m->counters.targets_failed, pool->failed_count);
    }
    while (at < old_count)
        pool_replace(m, NULL, old->pools[at++], o);
}

/* Under the lock `apply`. */
static void put_in_force(struct scrape_manager *m, struct config *config)
{
    mono_time start = clock_mono();
    struct target_set *old = m->set; /* only who holds `apply` puts another there */
    struct target_set *set = target_set_new(config, m->discover, old, on_target_failed, m);
    struct orders o = {0};
    set_replace(m, set, old, &o);
    mutex_lock(&m->mutex);
    m->set = set;
    mutex_unlock(&m->mutex);
    /* Before `old` goes: what is removed is the thread's, which has a reference of its own. */
    orders_send(m, &o);
    target_set_unref(old);
    COUNT(m->counters.syncs, 1);
    COUNT(m->counters.sync_ns, (uint64_t)(clock_mono().ns - start.ns));
}

void scrape_manager_apply(struct scrape_manager *m, struct config *config)
{
    mutex_lock(&m->apply);
    /* The old configuration lives as long as the set in force, which discovery may still look at until then. */
    discover_apply(m->discover, config);
    failure_logs_apply(m->failures, config);
    put_in_force(m, config);
    mutex_unlock(&m->apply);
}

/* The discovery thread: what it found is not what it was. */
static void on_discovered(void *arg)
{
    struct scrape_manager *m = arg;
    mutex_lock(&m->apply);
    if (m->set)
        put_in_force(m, m->set->config);
    mutex_unlock(&m->apply);
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
    m->failures = failure_logs_new(on_failure_log, m);
    m->shared = (struct scrape_thread_shared){.db = db,
                                              .counters = &m->counters,
                                              .failures = m->failures,
                                              .now_done = on_now_done,
                                              .arg = m};
    m->tokens = client_tokens_new();
    m->discover = discover_new(&(struct discover_options){.tokens = m->tokens,
                                                          .pause_ms = m->options.discovery_pause_ms,
                                                          .changed = on_discovered,
                                                          .log = on_discovery_event,
                                                          .arg = m});
    mutex_init(&m->apply);
    mutex_init(&m->mutex);
    cond_init(&m->now_done);
    *out = m;
    return true;
}

void scrape_manager_stop(struct scrape_manager *m)
{
    if (!m)
        return;
    discover_free(m->discover);
    for (unsigned i = 0; i < m->thread_count; i++)
        scrape_thread_stop(m->threads[i]);
    target_set_unref(m->set);
    mutex_deinit(&m->apply);
    client_tokens_free(m->tokens);
    failure_logs_free(m->failures);
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
                                        .timeout_ms = t->timeout_ms,
                                        .scrape = s};
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

void scrape_target_metadata(const struct scrape_targets *targets, size_t idx, struct db *db,
                            struct arena *arena, struct metric_metadata **out, size_t *count)
{
    ASSERT(idx < targets->active_count);
    struct scrape *s = targets->items[idx].scrape;
    mutex_lock(&s->mutex);
    size_t numbers_count = s->metadata_count;
    uint32_t *numbers = ARENA_ARRAY(arena, uint32_t, numbers_count + 1);
    if (numbers_count)
        memcpy(numbers, s->metadata, numbers_count * sizeof *numbers);
    mutex_unlock(&s->mutex);
    *out = ARENA_ARRAY(arena, struct metric_metadata, numbers_count + 1);
    *count = 0;
    for (size_t i = 0; i < numbers_count; i++)
        *count += db_metadata_get(db, numbers[i], &(*out)[*count]);
}

void scrape_pools_get(struct scrape_manager *m, struct arena *arena, struct scrape_targets *out)
{
    struct target_set *set = set_in_force(m);
    *out = (struct scrape_targets){.set = set};
    if (!set)
        return;
    out->active_count = set->count;
    out->pool_count = set->pool_count;
    out->pools = ARENA_ARRAY(arena, struct scrape_pool_info, set->pool_count + 1);
    for (size_t p = 0; p < set->pool_count; p++) {
        const struct target_pool *pool = set->pools[p];
        out->pools[p] = (struct scrape_pool_info){.name = pool->job->job_name,
                                                  .active_count = pool->count,
                                                  .dropped_count = pool->dropped_count,
                                                  .found_count = pool->found_count,
                                                  .job = pool->job};
    }
}

void scrape_targets_get(struct scrape_manager *m, struct arena *arena, struct scrape_targets *out)
{
    scrape_pools_get(m, arena, out);
    const struct target_set *set = out->set;
    if (!set)
        return;
    out->count = set->count + set->dropped_kept;
    out->items = ARENA_ARRAY(arena, struct scrape_target_info, out->count + 1);
    struct scrape_target_info *active = out->items, *dropped = out->items + set->count;
    for (size_t p = 0; p < set->pool_count; p++) {
        const struct target_pool *pool = set->pools[p];
        for (size_t i = 0; i < pool->count; i++)
            info_of(active++, pool->targets[i], pool->scrapes[i], arena);
        for (size_t i = 0; i < pool->dropped_kept; i++)
            info_of(dropped++, pool->dropped[i], NULL, arena);
    }
}

void scrape_targets_release(struct scrape_targets *targets)
{
    target_set_unref(targets->set);
    *targets = (struct scrape_targets){0};
}

static uint64_t load(const _Atomic uint64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

struct discover *scrape_manager_discover(struct scrape_manager *m)
{
    return m->discover;
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
        .exemplars_out_of_order = load(&c->exemplars_out_of_order),
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
        out->targets_dropped += set->pools[i]->dropped_count;
    target_set_unref(set);
}
