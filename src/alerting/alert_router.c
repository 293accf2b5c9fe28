/* SPDX-License-Identifier: Apache-2.0 */
/* alert_router.c: see alert_router.h. The thread around the dispatcher (dispatch.h).
 *
 *   any thread --alerts--> queue --+
 *   sender's   --ended---> queue --+--> router thread: dispatcher under `core`, a few hundred alerts or one flush at a time
 *   API        --views-------------------------------> dispatcher under `core`
 *
 * The queue's mutex is held for a list operation, that of the dispatcher for one step; neither across I/O: the memory answers
 * from memory, and the sender only queues. */
#include "alerting/alert_router.h"

#include "alerting/alert_explain.h"
#include "alerting/dispatch.h"
#include "base/assert.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/thread.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    PUTS_PER_STEP = 256,
    VIEWS_PER_STEP = 256,
    RESOLVE_TIMEOUT_MS = 5 * 60 * 1000,
    DROPPED_TOLD_MS = 60 * 1000
};

struct put_list {
    struct live_alert **items;
    size_t count, capacity;
};
struct job_list {
    struct flush_job **items;
    size_t count, capacity;
};

struct alert_router {
    struct alert_router_options opts; /* constant */
    pthread_t thread;

    pthread_mutex_t queue; /* guards these */
    pthread_cond_t wake;
    struct put_list puts;
    struct job_list done;
    bool has_changed; /* something else that moves the timers */
    bool is_stopping;

    pthread_mutex_t core; /* guards the dispatcher; taken before `queue`, never after it */
    struct dispatch *dispatch;

    _Atomic int64_t
        resolve_timeout_ms; /* relaxed, like all that follow: of the configuration in force */
    _Atomic size_t alert_count, put_count; /* there, and waiting */
    _Atomic uint64_t received_firing, received_resolved, invalid, refused;
    uint64_t processed; /* guarded by core, like the next */
    double processing_seconds;

    uint64_t
        dropped_told; /* the thread's, like the next: ends that were given up, as the log has it */
    mono_time dropped_told_at;
};

static struct instant now(void)
{
    return (struct instant){clock_wall().ms * 1000000, clock_mono().ns};
}

/* --- what others put in the queue --- */

static void job_is_done(void *arg, struct flush_job *job)
{
    struct alert_router *r = arg;
    mutex_lock(&r->queue);
    r->done.items = mem_grow(MEM_ALERTING, r->done.items, &r->done.capacity, r->done.count + 1,
                             sizeof(struct flush_job *));
    r->done.items[r->done.count++] = job;
    cond_signal(&r->wake);
    mutex_unlock(&r->queue);
}

/* As Alertmanager completes what a client leaves out. */
static struct live_alert *complete(struct alert_router *r, const struct live_alert *from,
                                   int64_t now_ns)
{
    struct live_alert a = *from;
    a.updated_ns = now_ns;
    if (a.starts_ns == LIVE_ALERT_NEVER)
        a.starts_ns = a.ends_ns == LIVE_ALERT_NEVER ? now_ns : a.ends_ns;
    if (a.ends_ns == LIVE_ALERT_NEVER) {
        int64_t timeout_ms = atomic_load_explicit(&r->resolve_timeout_ms, memory_order_relaxed);
        a.is_timeout = true;
        a.ends_ns = now_ns + timeout_ms * 1000000;
    }
    _Atomic uint64_t *counter =
        live_alert_is_resolved(&a, now_ns) ? &r->received_resolved : &r->received_firing;
    atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
    return live_alert_new(&a);
}

/* May this many more come? Where there could be too many it is asked which are there already: rarely, for it waits for a step
 * of the dispatcher. */
static size_t accept(struct alert_router *r, struct live_alert **items, size_t count)
{
    size_t max = r->opts.alerts_max;
    size_t there = atomic_load_explicit(&r->alert_count, memory_order_relaxed);
    size_t waiting = atomic_load_explicit(&r->put_count, memory_order_relaxed);
    if (max == 0 || there + waiting + count <= max)
        return count;
    size_t kept = 0;
    size_t room = there + waiting < max ? max - there - waiting : 0;
    mutex_lock(&r->core);
    for (size_t i = 0; i < count; i++) {
        bool known = dispatch_has(r->dispatch, items[i]->fingerprint);
        if ((known && waiting + kept < 2 * max) || room > 0) {
            room -= !known;
            items[kept++] = items[i];
        } else {
            live_alert_unref(items[i]);
        }
    }
    mutex_unlock(&r->core);
    atomic_fetch_add_explicit(&r->refused, count - kept, memory_order_relaxed);
    return kept;
}

void alert_router_put(struct alert_router *r, const struct live_alert *alerts, size_t count,
                      size_t *refused)
{
    int64_t now_ns = now().wall_ns;
    struct live_alert **items = mem_alloc(MEM_ALERTING, (count + 1) * sizeof(struct live_alert *));
    for (size_t i = 0; i < count; i++)
        items[i] = complete(r, &alerts[i], now_ns);
    size_t kept = accept(r, items, count);
    if (refused)
        *refused = count - kept;
    atomic_fetch_add_explicit(&r->put_count, kept, memory_order_relaxed);
    mutex_lock(&r->queue);
    if (kept) {
        r->puts.items = mem_grow(MEM_ALERTING, r->puts.items, &r->puts.capacity,
                                 r->puts.count + kept, sizeof(struct live_alert *));
        memcpy(r->puts.items + r->puts.count, items, kept * sizeof(struct live_alert *));
        r->puts.count += kept;
        cond_signal(&r->wake);
    }
    mutex_unlock(&r->queue);
    mem_free(MEM_ALERTING, items);
}

void alert_router_count_invalid(struct alert_router *r, uint64_t count)
{
    atomic_fetch_add_explicit(&r->invalid, count, memory_order_relaxed);
}

void alert_router_apply(struct alert_router *r, struct integrations *set)
{
    const struct alert_config *c = r->opts.peers->integrations_config(set);
    mutex_lock(&r->core);
    bool is_first = dispatch_integrations(r->dispatch) == NULL;
    dispatch_apply(r->dispatch, set, now());
    if (is_first) { /* reads the database under the lock, which nobody else wants yet */
        dispatch_resume(r->dispatch, now());
        atomic_store_explicit(&r->alert_count, dispatch_alert_count(r->dispatch),
                              memory_order_relaxed);
    }
    mutex_unlock(&r->core);
    atomic_store_explicit(&r->resolve_timeout_ms, c->global.resolve_timeout_ms,
                          memory_order_relaxed);
    mutex_lock(&r->queue);
    r->has_changed = true;
    cond_signal(&r->wake);
    mutex_unlock(&r->queue);
}

/* --- the thread --- */

static void put_some(struct alert_router *r, struct live_alert **items, size_t count)
{
    mutex_lock(&r->core);
    mono_time began = clock_mono();
    struct instant at = now();
    for (size_t i = 0; i < count; i++)
        (void)dispatch_put(r->dispatch, items[i], at); /* it counts what it refuses */
    r->processed += count;
    r->processing_seconds += (double)(clock_mono().ns - began.ns) / 1e9;
    atomic_store_explicit(&r->alert_count, dispatch_alert_count(r->dispatch), memory_order_relaxed);
    mutex_unlock(&r->core);
    atomic_fetch_sub_explicit(&r->put_count, count, memory_order_relaxed);
}

/* Waits until there is something to do and takes what is in the queue. False: the end. */
static bool take_work(struct alert_router *r, mono_time due, struct put_list *puts,
                      struct job_list *done)
{
    mutex_lock(&r->queue);
    while (!r->is_stopping && !r->has_changed && r->puts.count == 0 && r->done.count == 0)
        if (!cond_wait_until(&r->wake, &r->queue, due))
            break;
    bool goes_on = !r->is_stopping;
    r->has_changed = false;
    if (goes_on) {
        struct put_list p = *puts;
        struct job_list f = *done;
        *puts = r->puts;
        *done = r->done;
        r->puts = (struct put_list){p.items, 0, p.capacity};
        r->done = (struct job_list){f.items, 0, f.capacity};
    }
    mutex_unlock(&r->queue);
    return goes_on;
}

static bool run_step(struct alert_router *r, mono_time *due)
{
    mutex_lock(&r->core);
    bool did = dispatch_run(r->dispatch, now());
    due->ns = dispatch_next_ns(r->dispatch);
    atomic_store_explicit(&r->alert_count, dispatch_alert_count(r->dispatch), memory_order_relaxed);
    mutex_unlock(&r->core);
    return did;
}

/* At most once a minute. */
static void tell_dropped(struct alert_router *r)
{
    char text[200];
    if (r->opts.log == NULL ||
        (r->dropped_told > 0 && mono_ms_since(r->dropped_told_at) < DROPPED_TOLD_MS))
        return;
    mutex_lock(&r->core);
    uint64_t dropped = dispatch_ends_dropped(r->dispatch);
    mutex_unlock(&r->core);
    if (dropped == r->dropped_told)
        return;
    (void)snprintf(text, sizeof text,
                   "the ends of %" PRIu64 " alerts were given up: receivers could not be told of "
                   "them for too long",
                   dropped - r->dropped_told);
    r->dropped_told = dropped;
    r->dropped_told_at = clock_mono();
    r->opts.log(r->opts.log_arg, true, "alert_ends_dropped", text);
}

static bool must_stop(struct alert_router *r)
{
    mutex_lock(&r->queue);
    bool stop = r->is_stopping;
    mutex_unlock(&r->queue);
    return stop;
}

/* A queue that once was long does not keep its memory. */
static void shrink(struct put_list *puts)
{
    if (puts->capacity <= 64 * 1024)
        return;
    mem_free(MEM_ALERTING, puts->items);
    *puts = (struct put_list){NULL, 0, 0};
}

static void *run(void *arg)
{
    struct alert_router *r = arg;
    struct put_list puts = {NULL, 0, 0};
    struct job_list done = {NULL, 0, 0};
    mono_time due = clock_mono();
    while (take_work(r, due, &puts, &done)) {
        mutex_lock(&r->core);
        for (size_t i = 0; i < done.count; i++)
            dispatch_finish(r->dispatch, done.items[i]);
        mutex_unlock(&r->core);
        for (size_t i = 0; i < puts.count; i += PUTS_PER_STEP) {
            size_t rest = puts.count - i;
            put_some(r, puts.items + i, rest < PUTS_PER_STEP ? rest : PUTS_PER_STEP);
        }
        shrink(&puts);
        while (run_step(r, &due) && !must_stop(r)) {
        }
        tell_dropped(r);
    }
    mem_free(MEM_ALERTING, puts.items);
    mem_free(MEM_ALERTING, done.items);
    return NULL;
}

/* --- life --- */

bool alert_router_start(struct alert_router **out, const struct alert_router_options *opts,
                        struct error *err)
{
    struct alert_router *r = mem_alloc_zero(MEM_ALERTING, 1, sizeof *r);
    const struct dispatch_options options = {.router = *opts, .done = job_is_done, .done_arg = r};
    r->opts = *opts;
    mutex_init(&r->queue);
    mutex_init(&r->core);
    cond_init(&r->wake);
    atomic_init(&r->resolve_timeout_ms, RESOLVE_TIMEOUT_MS);
    r->dispatch = dispatch_new(&options, now());
    atomic_init(&r->alert_count, 0);
    *out = r;
    if (thread_start(&r->thread, "router", run, r, err))
        return true;
    r->is_stopping = true; /* there is no thread to end */
    alert_router_free(r);
    *out = NULL;
    return false;
}

void alert_router_stop(struct alert_router *r)
{
    if (!r)
        return;
    mutex_lock(&r->queue);
    r->is_stopping = true;
    cond_signal(&r->wake);
    mutex_unlock(&r->queue);
    thread_join(r->thread);
}

void alert_router_free(struct alert_router *r)
{
    if (!r)
        return;
    ASSERT(r->is_stopping);
    for (size_t i = 0; i < r->done.count; i++)
        dispatch_finish(r->dispatch, r->done.items[i]);
    for (size_t i = 0; i < r->puts.count; i++)
        live_alert_unref(r->puts.items[i]);
    dispatch_free(r->dispatch);
    mem_free(MEM_ALERTING, r->puts.items);
    mem_free(MEM_ALERTING, r->done.items);
    cond_deinit(&r->wake);
    mutex_deinit(&r->core);
    mutex_deinit(&r->queue);
    mem_free(MEM_ALERTING, r);
}

/* --- what others ask --- */

static struct integrations *integrations_locked(struct alert_router *r)
{
    struct integrations *set = dispatch_integrations(r->dispatch);
    return set ? r->opts.peers->integrations_ref(set) : NULL;
}

struct integrations *alert_router_integrations(struct alert_router *r)
{
    mutex_lock(&r->core);
    struct integrations *set = integrations_locked(r);
    mutex_unlock(&r->core);
    return set;
}

static const struct alert_config *config_of(const struct alert_router *r, struct integrations *set)
{
    return set ? r->opts.peers->integrations_config(set) : NULL;
}

static int compare_fingerprints(const void *a, const void *b)
{
    const struct alert_view *x = a, *y = b;
    return (x->alert->fingerprint > y->alert->fingerprint) -
           (x->alert->fingerprint < y->alert->fingerprint);
}

static int compare_alerts(const void *a, const void *b)
{
    return live_alert_compare(((const struct alert_view *)a)->alert,
                              ((const struct alert_view *)b)->alert);
}

static void sort_views(struct alert_views *v, int (*compare)(const void *, const void *))
{
    if (v->count)
        qsort(v->items, v->count, sizeof *v->items, compare);
}

static void inhibit_views(struct alert_router *r, struct instant at, struct arena *arena,
                          const struct alert_views *v)
{
    for (size_t i = 0; i < v->count; i += VIEWS_PER_STEP) {
        size_t rest = v->count - i;
        mutex_lock(&r->core);
        dispatch_inhibit_views(r->dispatch, at, arena, v->items + i,
                               rest < VIEWS_PER_STEP ? rest : VIEWS_PER_STEP);
        mutex_unlock(&r->core);
    }
}

void alert_router_alerts(struct alert_router *r, struct arena *arena, alert_wanted *wanted,
                         const void *arg, struct alert_views *out)
{
    struct instant at = now();
    struct alive_alerts alive;
    mutex_lock(&r->core);
    dispatch_alive(r->dispatch, at, arena, &alive);
    struct integrations *set = integrations_locked(r);
    mutex_unlock(&r->core);
    dispatch_want(arena, &alive, wanted, arg, out);
    inhibit_views(r, at, arena, out);
    dispatch_complete_views(&r->opts, config_of(r, set), at.wall_ns, arena, out);
    sort_views(out, compare_fingerprints);
    if (set)
        r->opts.peers->integrations_unref(set);
}

static int compare_groups(const void *a, const void *b)
{
    const struct alert_group_view *x = a, *y = b;
    int c = live_alert_compare_labels(x->labels, y->labels);
    if (c == 0)
        c = view_cmp(x->receiver, y->receiver);
    return c ? c : view_cmp(x->key, y->key);
}

void alert_router_groups(struct alert_router *r, struct arena *arena, alert_wanted *wanted,
                         const void *arg, struct alert_group_views *out)
{
    struct instant at = now();
    struct alive_groups alive;
    mutex_lock(&r->core);
    dispatch_alive_groups(r->dispatch, at, arena, &alive);
    struct integrations *set = integrations_locked(r);
    mutex_unlock(&r->core);
    const struct alert_config *c = config_of(r, set); /* NULL: there are no groups */
    dispatch_want_groups(c, at.wall_ns, arena, &alive, wanted, arg, out);
    for (size_t i = 0; i < out->count; i++) {
        struct alert_views *alerts = &out->items[i].alerts;
        inhibit_views(r, at, arena, alerts);
        dispatch_complete_views(&r->opts, c, at.wall_ns, arena, alerts);
        sort_views(alerts, compare_alerts);
    }
    if (out->count)
        qsort(out->items, out->count, sizeof *out->items, compare_groups);
    if (set)
        r->opts.peers->integrations_unref(set);
}

void alert_router_stats_get(struct alert_router *r, struct alert_router_stats *out)
{
    mutex_lock(&r->core);
    dispatch_stats_get(r->dispatch, now(), out);
    out->processed = r->processed;
    out->processing_seconds = r->processing_seconds;
    mutex_unlock(&r->core);
    out->received_firing = atomic_load_explicit(&r->received_firing, memory_order_relaxed);
    out->received_resolved = atomic_load_explicit(&r->received_resolved, memory_order_relaxed);
    out->invalid = atomic_load_explicit(&r->invalid, memory_order_relaxed);
    out->refused += atomic_load_explicit(&r->refused, memory_order_relaxed);
}

void alert_router_count_matching(struct alert_router *r, const struct matchers *m, size_t *matched,
                                 size_t *alive)
{
    mutex_lock(&r->core);
    dispatch_count_matching(r->dispatch, m, now(), matched, alive);
    mutex_unlock(&r->core);
}

bool alert_router_find(struct alert_router *r, uint64_t fingerprint, struct arena *arena,
                       struct labels *out)
{
    mutex_lock(&r->core);
    struct live_alert *a = dispatch_find(r->dispatch, fingerprint);
    mutex_unlock(&r->core);
    if (!a)
        return false;
    *out = labels_copy(arena, a->labels);
    live_alert_unref(a);
    return true;
}

void alert_router_explain(struct alert_router *r, struct labels labels, struct arena *arena,
                          struct alert_explanation *out)
{
    const struct alert_router_options *o = &r->opts;
    struct instant at = now();
    mutex_lock(&r->core);
    dispatch_explain(r->dispatch, labels, at, arena, out);
    mutex_unlock(&r->core);
    (void)o->peers->silenced(o->state, arena, out->fingerprint, labels, at.wall_ns,
                             &out->silences); /* the list says it */
    out->is_acknowledged = out->alert && o->peers->acknowledged(o->state, out->fingerprint,
                                                                out->alert->starts_ns, at.wall_ns);
}
