/* SPDX-License-Identifier: Apache-2.0 */
/* rule_manager.c: see rule_manager.h. Threads, times and changes of groups.
 *
 * Groups wait in a heap by the time they are due. One idle thread, the leader, waits for the first of them; when it
 * takes it, it makes another thread the leader, starting one where none is idle. So there is a thread more than groups
 * are evaluated at once, and a slow group holds up nobody, until RULE_THREADS_MAX of them are slow together.
 *
 * Times are the wall clock's and waits the monotonic clock's: a clock that jumps neither stops nor repeats anything. */
#include "rules/rule_manager.h"

#include "base/assert.h"
#include "base/clock.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/thread.h"
#include "rules/rule_restore.h"
#include "rules/rule_set.h"
#include "rules/rule_state.h"
#include "storage/db.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* What rules are evaluated with, until a reload brings another. */
struct manager_env {
    struct rule_env env;
    struct arena arena;  /* external labels */
    unsigned references; /* under the manager's mutex */
};

struct entry {
    struct rule_group *group;
    int64_t next_ms;        /* time of the next evaluation */
    mono_time due;          /* when to begin it */
    bool is_running;        /* a thread has it; else it is in the heap */
    bool is_stopped;        /* it is not to be evaluated any more */
    bool is_ending;         /* a removed group: when due, its series end */
    unsigned until_restore; /* evaluations until ALERTS_FOR_STATE is looked at; 0 = no more */
};

struct rule_manager {
    struct rule_manager_options opts; /* constant, like the next two */
    struct series_store store;
    struct rule_state *state; /* NULL: alerts are not kept */
    _Atomic int spare;

    pthread_mutex_t mutex; /* guards the rest */
    pthread_cond_t leader_wakes, follower_wakes, entry_rests;
    struct entry **heap;
    size_t heap_count, heap_capacity;
    struct entry **entries; /* groups in force, in the order of files */
    size_t entry_count;
    struct entry **ending; /* removed groups whose series are to end */
    size_t ending_count, ending_capacity;
    struct manager_env *env;
    pthread_t threads[RULE_THREADS_MAX];
    unsigned thread_count, follower_count;
    bool has_leader, is_stopping, was_applied;
};

/* --- the heap: the least due first --- */

static bool is_before(const struct entry *a, const struct entry *b)
{
    return a->due.ns < b->due.ns;
}

static void heap_push_locked(struct rule_manager *m, struct entry *e)
{
    m->heap =
        mem_grow(MEM_RULES, m->heap, &m->heap_capacity, m->heap_count + 1, sizeof(struct entry *));
    size_t at = m->heap_count++;
    for (; at > 0 && is_before(e, m->heap[(at - 1) / 2]); at = (at - 1) / 2)
        m->heap[at] = m->heap[(at - 1) / 2];
    m->heap[at] = e;
    if (at == 0)
        cond_signal(&m->leader_wakes);
}

static void heap_sink_locked(struct rule_manager *m, size_t at, struct entry *e)
{
    for (size_t child; (child = 2 * at + 1) < m->heap_count; at = child) {
        if (child + 1 < m->heap_count && is_before(m->heap[child + 1], m->heap[child]))
            child++;
        if (!is_before(m->heap[child], e))
            break;
        m->heap[at] = m->heap[child];
    }
    m->heap[at] = e;
}

static struct entry *heap_pop_locked(struct rule_manager *m)
{
    struct entry *first = m->heap[0], *last = m->heap[--m->heap_count];
    if (m->heap_count)
        heap_sink_locked(m, 0, last);
    return first;
}

/* Takes out what is no longer in force, and makes a heap of the rest. */
static void heap_drop_stopped_locked(struct rule_manager *m)
{
    size_t kept = 0;
    for (size_t i = 0; i < m->heap_count; i++)
        if (!m->heap[i]->is_stopped)
            m->heap[kept++] = m->heap[i];
    m->heap_count = kept;
    for (size_t i = kept / 2; i-- > 0;)
        heap_sink_locked(m, i, m->heap[i]);
}

/* --- times --- */

static void plan(struct entry *e, int64_t next_ms)
{
    e->next_ms = next_ms;
    e->due = mono_add_ms(clock_mono(), next_ms - clock_wall().ms);
}

/* The evaluation of e->next_ms is done. When its interval is over already, the latest time that has come is next, at
 * once, and those between are missed. */
static void plan_next(struct entry *e)
{
    struct rule_group *g = e->group;
    int64_t interval = g->interval_ms, now = clock_wall().ms, past = now - e->next_ms;
    if (past < -interval || past > INT64_C(1000) * interval) { /* the clock was set */
        plan(e, rule_group_time(g, now) + interval);
        return;
    }
    int64_t steps = past / interval;
    if (steps > 1)
        atomic_fetch_add_explicit(&g->missed, (uint64_t)(steps - 1), memory_order_relaxed);
    plan(e, e->next_ms + (steps > 1 ? steps : 1) * interval);
}

/* --- evaluating --- */

static struct manager_env *env_ref_locked(struct rule_manager *m)
{
    m->env->references++;
    return m->env;
}

static void env_unref_locked(struct manager_env *env)
{
    if (!env || --env->references > 0)
        return;
    arena_deinit(&env->arena);
    mem_free(MEM_RULES, env);
}

static void log_error(const struct rule_manager *m, const char *event, const struct error *err)
{
    if (m->opts.log)
        m->opts.log(m->opts.log_arg, true, event, err->message);
}

static void restore_when_due(struct rule_manager *m, struct entry *e, const struct rule_env *env)
{
    struct error err = {0};
    if (e->until_restore == 0 || --e->until_restore > 0)
        return;
    if (!rule_group_restore(e->group, env, e->next_ms, m->opts.for_outage_tolerance_ms,
                            m->opts.for_grace_period_ms, &err)) {
        (void)error_wrap(&err, "could not read since when alerts are pending");
        log_error(m, "rule_restore", &err);
    }
}

static void evaluate(struct rule_manager *m, struct entry *e, const struct manager_env *env)
{
    const struct rule_run run = {.env = &env->env,
                                 .pool = m->opts.concurrent_rules ? m->opts.engine.pool : NULL,
                                 .spare = &m->spare,
                                 .sink = m->opts.sink,
                                 .resend_delay_ms = m->opts.resend_delay_ms,
                                 .log = m->opts.log,
                                 .log_arg = m->opts.log_arg};
    rule_group_evaluate(e->group, &run, e->next_ms);
    restore_when_due(m, e, &env->env);
    if (m->state)
        rule_state_save(m->state, e->group);
}

/* What groups in force write. Rules change their tables while they are evaluated: only those at rest are asked, and a
 * series that the others would write in this moment ends and begins. */
static void add_written(struct rule_manager *m, struct rule_series_table *set)
{
    mutex_lock(&m->mutex);
    for (size_t i = 0; i < m->entry_count; i++)
        if (!m->entries[i]->is_running)
            rule_group_add_written(m->entries[i]->group, set);
    mutex_unlock(&m->mutex);
}

/* Two intervals after a group was removed: rules that another group took over have been evaluated there. */
static void end_series(struct rule_manager *m, struct entry *e)
{
    struct rule_series_table written;
    rule_series_init(&written);
    add_written(m, &written);
    rule_group_end_series(e->group, e->next_ms, true, &written);
    rule_group_close(e->group);
    rule_series_deinit(&written);
}

static void entry_free(struct entry *e)
{
    rule_group_unref(e->group);
    mem_free(MEM_RULES, e);
}

static void forget_ending_locked(struct rule_manager *m, struct entry *e)
{
    for (size_t i = 0; i < m->ending_count; i++) {
        if (m->ending[i] == e) {
            m->ending[i] = m->ending[--m->ending_count];
            break;
        }
    }
    entry_free(e);
}

/* Called and returns with the mutex. */
static void run_entry_locked(struct rule_manager *m, struct entry *e)
{
    struct manager_env *env = env_ref_locked(m);
    e->is_running = true;
    mutex_unlock(&m->mutex);
    if (e->is_ending)
        end_series(m, e);
    else
        evaluate(m, e, env);
    mutex_lock(&m->mutex);
    env_unref_locked(env);
    e->is_running = false;
    if (e->is_ending) {
        forget_ending_locked(m, e);
    } else if (!e->is_stopped && !m->is_stopping) {
        plan_next(e);
        heap_push_locked(m, e);
    }
    cond_broadcast(&m->entry_rests);
}

static void *thread_run(void *arg);

/* Somebody else waits for the next group while this thread is busy. */
static void hand_on_locked(struct rule_manager *m)
{
    struct error err = {0};
    m->has_leader = false;
    if (m->follower_count > 0)
        cond_signal(&m->follower_wakes);
    else if (m->thread_count < RULE_THREADS_MAX &&
             thread_start(&m->threads[m->thread_count], "rules", thread_run, m, &err))
        m->thread_count++;
    /* Where no thread can be started, the others come back to it. */
}

static void *thread_run(void *arg)
{
    struct rule_manager *m = arg;
    mutex_lock(&m->mutex);
    while (!m->is_stopping) {
        if (m->has_leader) {
            m->follower_count++;
            cond_wait(&m->follower_wakes, &m->mutex);
            m->follower_count--;
            continue;
        }
        m->has_leader = true;
        if (m->heap_count == 0) {
            cond_wait(&m->leader_wakes, &m->mutex);
            m->has_leader = false;
            continue;
        }
        if (m->heap[0]->due.ns > clock_mono().ns) {
            (void)cond_wait_until(&m->leader_wakes, &m->mutex, m->heap[0]->due);
            m->has_leader = false;
            continue;
        }
        struct entry *e = heap_pop_locked(m);
        hand_on_locked(m);
        run_entry_locked(m, e);
    }
    mutex_unlock(&m->mutex);
    return NULL;
}

/* --- start and stop --- */

bool rule_manager_start(struct rule_manager **out, const struct rule_manager_options *opts,
                        struct error *err)
{
    struct rule_manager *m = mem_alloc_zero(MEM_RULES, 1, sizeof *m);
    m->opts = *opts;
    m->store = series_store_of_db(opts->db);
    atomic_init(&m->spare, opts->concurrent_rules ? (int)opts->concurrent_max : 0);
    mutex_init(&m->mutex);
    cond_init(&m->leader_wakes);
    cond_init(&m->follower_wakes);
    cond_init(&m->entry_rests);
    if (opts->state_dir)
        m->state = rule_state_new(opts->state_dir, opts->log, opts->log_arg);
    mutex_lock(&m->mutex);
    bool ok = (!m->state || rule_state_start(m->state, err)) &&
              thread_start(&m->threads[0], "rules", thread_run, m, err);
    m->thread_count = ok;
    mutex_unlock(&m->mutex);
    *out = m;
    if (ok)
        return true;
    rule_manager_stop(m);
    *out = NULL;
    return false;
}

static void stop_threads(struct rule_manager *m)
{
    mutex_lock(&m->mutex);
    m->is_stopping = true;
    for (size_t i = 0; i < m->entry_count; i++)
        rule_group_cancel(m->entries[i]->group);
    cond_broadcast(&m->leader_wakes);
    cond_broadcast(&m->follower_wakes);
    unsigned count = m->thread_count;
    mutex_unlock(&m->mutex);
    /* A thread that was on its way to start another one has done so under the mutex before it saw the end. */
    for (unsigned i = 0; i < count; i++)
        thread_join(m->threads[i]);
}

void rule_manager_stop(struct rule_manager *m)
{
    if (!m)
        return;
    stop_threads(m);
    rule_state_free(m->state); /* writes what is not written */
    for (size_t i = 0; i < m->entry_count; i++) {
        rule_group_close(m->entries[i]->group);
        entry_free(m->entries[i]);
    }
    for (size_t i = 0; i < m->ending_count; i++) {
        rule_group_close(m->ending[i]->group);
        entry_free(m->ending[i]);
    }
    env_unref_locked(m->env);
    mem_free(MEM_RULES, m->entries);
    mem_free(MEM_RULES, m->ending);
    mem_free(MEM_RULES, m->heap);
    cond_deinit(&m->leader_wakes);
    cond_deinit(&m->follower_wakes);
    cond_deinit(&m->entry_rests);
    mutex_deinit(&m->mutex);
    mem_free(MEM_RULES, m);
}

/* --- changes --- */

bool rule_set_load(struct rule_set **out, const struct rule_manager *m, const struct config *config,
                   struct error *err)
{
    return rule_set_read(out, &m->opts.engine.parser, config, m->opts.log, m->opts.log_arg, err);
}

static struct manager_env *env_new(const struct rule_manager *m, const struct config *config)
{
    struct manager_env *e = mem_alloc_zero(MEM_RULES, 1, sizeof *e);
    arena_init(&e->arena, MEM_RULES, 0);
    e->references = 1;
    e->env =
        (struct rule_env){.source = db_as_source(m->opts.db),
                          .store = m->store,
                          .engine = m->opts.engine,
                          .external_labels = labels_copy(&e->arena, config->global.external_labels),
                          .external_url = view_from(m->opts.external_url)};
    e->env.engine.default_subquery_step_ms = config->global.evaluation_interval_ms;
    return e;
}

/* All groups of a set, as entries that nobody knows yet. */
static struct entry **entries_make(const struct rule_set *set, const struct config *config,
                                   size_t *count)
{
    const struct rule_group_options options = {
        .default_interval_ms = config->global.evaluation_interval_ms,
        .default_query_offset_ms = config->global.rule_query_offset_ms};
    struct entry **all = mem_alloc_zero(MEM_RULES, set->group_count + 1, sizeof(struct entry *));
    *count = 0;
    for (size_t f = 0; f < set->count; f++) {
        for (size_t g = 0; g < set->files[f]->group_count; g++) {
            struct entry *e = mem_alloc_zero(MEM_RULES, 1, sizeof *e);
            e->group = rule_group_new(set->files[f], &set->files[f]->groups[g], &options);
            all[(*count)++] = e;
        }
    }
    return all;
}

/* The group goes, and what it wrote ends in two intervals. */
static void entry_end_locked(struct rule_manager *m, struct entry *e)
{
    int64_t now = clock_wall().ms;
    e->is_stopped = false;
    e->is_ending = true;
    if (now <= e->group->last_ms) /* what a series has at a time stays: its end comes later */
        now = e->group->last_ms + 1;
    e->next_ms = now - e->group->query_offset_ms; /* the time at which its series end */
    e->due = mono_add_ms(clock_mono(), 2 * e->group->interval_ms);
    m->ending = mem_grow(MEM_RULES, m->ending, &m->ending_capacity, m->ending_count + 1,
                         sizeof(struct entry *));
    m->ending[m->ending_count++] = e;
    heap_push_locked(m, e);
}

/* A name and a file may have any character but NUL. */
static struct view entry_key(const struct entry *e, struct arena *arena)
{
    const struct rule_group_definition *d = e->group->def;
    return arena_printf(arena, "%.*s%c%.*s", VIEW_ARGS(d->file), '\0', VIEW_ARGS(d->name));
}

enum { NO_ENTRY = -1 };

/* What a reload makes of the groups in force. */
struct change {
    struct entry **before, **after;
    size_t before_count, after_count;
    int64_t *old_of; /* for each after: number of the group of the same key before, or NO_ENTRY */
    bool *is_same;   /* for each after: that one goes on */
    bool *goes;      /* for each before: it is evaluated no more */
    bool *follows;   /* for each before: one after has its key */
};

static void change_init(struct change *c, struct rule_manager *m, struct entry **after,
                        size_t count)
{
    struct string_map *map = string_map_new(MEM_RULES);
    struct arena arena;
    arena_init(&arena, MEM_RULES, 0);
    *c = (struct change){.before = m->entries,
                         .before_count = m->entry_count,
                         .after = after,
                         .after_count = count,
                         .old_of = mem_alloc_zero(MEM_RULES, count + 1, sizeof(int64_t)),
                         .is_same = mem_alloc_zero(MEM_RULES, count + 1, sizeof(bool)),
                         .goes = mem_alloc_zero(MEM_RULES, m->entry_count + 1, sizeof(bool)),
                         .follows = mem_alloc_zero(MEM_RULES, m->entry_count + 1, sizeof(bool))};
    for (size_t i = 0; i < c->before_count; i++) {
        string_map_set(map, entry_key(c->before[i], &arena), i);
        c->goes[i] = true;
    }
    for (size_t i = 0; i < count; i++) {
        uint64_t number;
        c->old_of[i] = NO_ENTRY;
        if (!string_map_get(map, entry_key(after[i], &arena), &number))
            continue;
        c->old_of[i] = (int64_t)number;
        c->follows[number] = true;
        c->is_same[i] = rule_group_equal(c->before[number]->group, after[i]->group);
        c->goes[number] = !c->is_same[i];
    }
    string_map_free(map);
    arena_deinit(&arena);
}

static void change_deinit(struct change *c)
{
    mem_free(MEM_RULES, c->old_of);
    mem_free(MEM_RULES, c->is_same);
    mem_free(MEM_RULES, c->goes);
    mem_free(MEM_RULES, c->follows);
}

/* The removed group of this name whose series are still to end, at rest; NULL: there is none. Waits. */
static struct entry *ending_rests_locked(struct rule_manager *m, const struct rule_group *g)
{
    for (size_t i = 0; i < m->ending_count; i++) {
        struct entry *e = m->ending[i];
        if (!view_eq(e->group->def->name, g->def->name) ||
            !view_eq(e->group->def->file, g->def->file))
            continue;
        if (!e->is_running)
            return e;
        cond_wait(&m->entry_rests, &m->mutex);
        i = (size_t)-1; /* it has gone, or the list is another one */
    }
    return NULL;
}

/* Everything that another group follows, or that goes, is evaluated no more when this returns. The mutex is free while
 * it waits, and others look at the groups in force: nothing may be freed before or in it. */
static void stop_what_goes_locked(struct rule_manager *m, const struct change *c)
{
    for (size_t i = 0; i < c->before_count; i++) {
        if (!c->goes[i])
            continue;
        c->before[i]->is_stopped = true;
        rule_group_cancel(c->before[i]->group);
    }
    heap_drop_stopped_locked(m);
    for (size_t i = 0; i < c->before_count; i++)
        while (c->goes[i] && c->before[i]->is_running)
            cond_wait(&m->entry_rests, &m->mutex);
    for (size_t i = 0; i < c->after_count; i++) {
        struct entry *e =
            c->old_of[i] == NO_ENTRY ? ending_rests_locked(m, c->after[i]->group) : NULL;
        if (!e)
            continue;
        e->is_stopped = true;
        heap_drop_stopped_locked(m);
    }
}

/* A group that was there, or whose series are ending, hands its state to its successor; one that is as before goes on.
 * Returns what is in force. */
static struct entry *follow_locked(struct rule_manager *m, struct entry *old, struct entry *new,
                                   bool is_same)
{
    if (is_same) {
        entry_free(new);
        return old;
    }
    rule_group_take_over(new->group, old->group);
    if (m->state)
        rule_state_drop(m->state, old->group, new->group);
    rule_group_close(old->group);
    if (old->is_ending) {
        forget_ending_locked(m, old);
    } else {
        new->until_restore = old->until_restore;
        entry_free(old);
    }
    return new;
}

static void start_entry_locked(struct rule_manager *m, struct entry *e, bool kept)
{
    if (kept)
        return;
    plan(e, rule_group_time(e->group, clock_wall().ms) + e->group->interval_ms);
    heap_push_locked(m, e);
}

/* The state of a process before, once. */
static void load_state(struct rule_manager *m, struct entry **entries, size_t count)
{
    struct error err = {0};
    bool known = false;
    if (m->state && !rule_state_load(m->state, m->opts.for_outage_tolerance_ms, &known, &err)) {
        (void)error_wrap(&err, "could not read the state of alerts");
        log_error(m, "rule_state", &err);
    }
    for (size_t i = 0; i < count; i++) {
        if (known) {
            if (!rule_state_give(m->state, entries[i]->group, m->opts.for_grace_period_ms))
                entries[i]->until_restore = 2;
            continue;
        }
        for (size_t r = 0; r < entries[i]->group->rule_count; r++)
            entries[i]->group->rules[r].restored =
                entries[i]->group->rules[r].def->kind == RULE_RECORDING;
        entries[i]->until_restore = 2; /* series may come back one scrape later: as Prometheus */
    }
    if (known)
        rule_state_drop_orphans(m->state);
    if (m->state)
        rule_state_forget_loaded(m->state);
}

static void replace_entries_locked(struct rule_manager *m, struct entry **entries, size_t count)
{
    struct change c;
    change_init(&c, m, entries, count);
    stop_what_goes_locked(m, &c);
    /* From here to the end the mutex is held: nobody sees a group that has gone. */
    for (size_t i = 0; i < count; i++) {
        struct entry *old = c.old_of[i] == NO_ENTRY ? ending_rests_locked(m, entries[i]->group)
                                                    : c.before[c.old_of[i]];
        if (old)
            entries[i] = follow_locked(m, old, entries[i], c.is_same[i]);
    }
    for (size_t i = 0; i < c.before_count; i++) {
        if (c.follows[i])
            continue;
        entry_end_locked(m, c.before[i]);
        if (m->state)
            rule_state_drop(m->state, c.before[i]->group, NULL);
    }
    m->entries = entries;
    m->entry_count = count;
    for (size_t i = 0; i < count; i++)
        start_entry_locked(m, entries[i], c.is_same[i]);
    mem_free(MEM_RULES, c.before);
    change_deinit(&c);
}

void rule_manager_apply(struct rule_manager *m, const struct config *config, struct rule_set *set)
{
    size_t count;
    struct entry **entries = entries_make(set, config, &count);
    struct manager_env *env = env_new(m, config);
    rule_set_free(set); /* the groups have references of their files */
    if (!m->was_applied)
        load_state(m, entries, count);
    mutex_lock(&m->mutex);
    struct manager_env *old = m->env;
    m->env = env;
    m->was_applied = true;
    env_unref_locked(old);
    replace_entries_locked(m, entries, count);
    mutex_unlock(&m->mutex);
}

/* --- what others look at --- */

static int group_compare(const void *a, const void *b)
{
    const struct rule_group_definition *x = (*(struct rule_group *const *)a)->def,
                                       *y = (*(struct rule_group *const *)b)->def;
    int c = view_cmp(x->file, y->file);
    return c ? c : view_cmp(x->name, y->name);
}

void rule_manager_groups(struct rule_manager *m, struct arena *arena, struct rule_groups *out)
{
    mutex_lock(&m->mutex);
    out->count = m->entry_count;
    out->items = arena_alloc(arena, (m->entry_count + 1) * sizeof(struct rule_group *));
    for (size_t i = 0; i < m->entry_count; i++)
        out->items[i] = rule_group_ref(m->entries[i]->group);
    mutex_unlock(&m->mutex);
    if (out->count)
        qsort(out->items, out->count, sizeof(struct rule_group *), group_compare);
}

void rule_groups_release(struct rule_groups *groups)
{
    for (size_t i = 0; i < groups->count; i++)
        rule_group_unref(groups->items[i]);
    groups->count = 0;
}

void rule_manager_stats_get(struct rule_manager *m, struct rule_manager_stats *out)
{
    mutex_lock(&m->mutex);
    *out =
        (struct rule_manager_stats){.threads = m->thread_count, .state_is_kept = m->state != NULL};
    mutex_unlock(&m->mutex);
    if (m->state)
        out->state_failures = rule_state_failures(m->state);
}
