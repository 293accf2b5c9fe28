/* SPDX-License-Identifier: Apache-2.0 */
/* dispatch_flush.c: what is told of a group at its time. In Alertmanager's order:
 *
 *   alerts of the group -> not inhibited -> route not silent now -> not silenced
 *       -> for each integration: is it news, or time to repeat? (the notification log) -> the sender
 *       -> sent: into the log; resolved alerts leave the group unless they changed meanwhile
 *
 * Nothing is copied or sorted before it is known that something will be sent. */
#include "alerting/dispatch_private.h"
#include "alerting/route.h"
#include "base/assert.h"
#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>

enum { TIMEOUT_MS_MIN = 10000, GROUP_KEY_BYTES_MAX = 64 << 20, INHIBITION_MAX = 1 };

/* --- what is left after muting --- */

/* Notes it of the alert, too. */
static bool is_muted(struct dispatch *d, struct live_alert *a, int64_t now_ns)
{
    const struct alert_router_options *o = &d->opts.router;
    struct inhibition by;
    struct silence_ids silences;
    bool inhibited = inhibitor_find(d->inhibitor, a->labels, now_ns, &by, INHIBITION_MAX) > 0;
    bool silenced =
        o->peers->silenced(o->state, &d->scratch, a->fingerprint, a->labels, now_ns, &silences);
    d->stats.suppressed_inhibition += inhibited;
    d->stats.suppressed_silence += !inhibited && silenced;
    uint32_t place = alert_store_find(&d->store, a->fingerprint);
    if (place != ALERT_STORE_NONE)
        d->store.items[place].status = inhibited || silenced ? ALERT_SUPPRESSED : ALERT_ACTIVE;
    return inhibited || silenced;
}

/* The history learns of an end before a receiver does: what was told to be over must not be taken up after a crash. */
static void tell_ends(struct dispatch *d, const struct alert_group *g, int64_t now_ns)
{
    for (size_t i = 0; i < g->count; i++) {
        if (!live_alert_is_resolved(g->items[i], now_ns))
            continue;
        uint32_t place = alert_store_find(&d->store, g->items[i]->fingerprint);
        if (place != ALERT_STORE_NONE)
            dispatch_tell_end(d, &d->store.items[place], now_ns);
    }
}

static int compare_hashes(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* Chooses the alerts of the group that may be told of, and notes all that are resolved. */
static void choose_alerts(struct dispatch *d, struct flush *f, const struct alert_group *g,
                          int64_t now_ns)
{
    const struct alert_router_options *o = &d->opts.router;
    enum route_silence silence =
        route_silence_at(d->config, g->node->route, now_ns / 1000000000, NULL);
    uint64_t *firing = arena_alloc(&f->arena, g->count * sizeof *firing);
    uint64_t *resolved = arena_alloc(&f->arena, g->count * sizeof *resolved);
    f->alerts = arena_alloc(&f->arena, g->count * sizeof(struct live_alert *));
    f->resolved = arena_alloc(&f->arena, g->count * sizeof(struct live_alert *));
    for (size_t i = 0; i < g->count; i++) {
        struct live_alert *a = g->items[i];
        bool ended = live_alert_is_resolved(a, now_ns);
        if (ended)
            f->resolved[f->resolved_count++] = live_alert_ref(a);
        /* Asked of each one at each flush, so that the acknowledgement of a muted one is known to be in use. */
        bool is_acknowledged =
            !ended && o->peers->acknowledged(o->state, a->fingerprint, a->starts_ns, now_ns);
        arena_reset(&d->scratch);
        if (is_muted(d, a, now_ns) || silence != ROUTE_SENDS)
            continue;
        f->alerts[f->alert_count++] = live_alert_ref(a);
        if (ended)
            resolved[f->resolved_hash_count++] = a->fingerprint;
        else
            firing[f->firing_hash_count++] = a->fingerprint;
        f->unacknowledged_count += !ended && !is_acknowledged;
    }
    d->stats.suppressed_mute_interval += silence == ROUTE_MUTED ? g->count : 0;
    d->stats.suppressed_active_interval += silence == ROUTE_INACTIVE ? g->count : 0;
    qsort(firing, f->firing_hash_count, sizeof *firing, compare_hashes);
    qsort(resolved, f->resolved_hash_count, sizeof *resolved, compare_hashes);
    f->firing_hashes = firing;
    f->resolved_hashes = resolved;
}

static int compare_alerts(const void *a, const void *b)
{
    return live_alert_compare(*(struct live_alert *const *)a, *(struct live_alert *const *)b);
}

/* As they are sent: in order, and those that fire have no end, lest they resolve while templates look at them. */
static void prepare_alerts(struct flush *f, int64_t now_ns)
{
    qsort(f->alerts, f->alert_count, sizeof(struct live_alert *), compare_alerts);
    for (size_t i = 0; i < f->alert_count; i++) {
        struct live_alert *a = f->alerts[i];
        if (live_alert_is_resolved(a, now_ns) || a->ends_ns == LIVE_ALERT_NEVER)
            continue;
        f->alerts[i] = live_alert_with_times(a, a->starts_ns, LIVE_ALERT_NEVER);
        live_alert_unref(a);
    }
}

/* --- is it news? --- */

/* Both ascend. */
static bool is_subset(const uint64_t *part, size_t part_count, const uint64_t *whole,
                      size_t whole_count)
{
    size_t at = 0;
    for (size_t i = 0; i < part_count; i++) {
        while (at < whole_count && whole[at] < part[i])
            at++;
        if (at == whole_count || whole[at] != part[i])
            return false;
    }
    return true;
}

/* Alertmanager's words, which templates see; empty: nothing is to be told. `entry` NULL: nothing ever was. */
static struct view reason_to_send(const struct flush *f, const struct notification_entry *entry,
                                  bool send_resolved, int64_t repeat_ns, int64_t now_ns)
{
    if (!entry)
        return f->firing_hash_count ? VIEW("first notification") : VIEW("");
    if (!is_subset(f->firing_hashes, f->firing_hash_count, entry->firing, entry->firing_count))
        return entry->firing_count ? VIEW("new alerts added") : VIEW("first notification");
    if (f->firing_hash_count ==
        0) /* whether resolved ones are sent or not: the log has to forget them */
        return entry->firing_count ? VIEW("all alerts resolved") : VIEW("");
    if (send_resolved && !is_subset(f->resolved_hashes, f->resolved_hash_count, entry->resolved,
                                    entry->resolved_count))
        return VIEW("some alerts resolved");
    if (entry->sent_ns < now_ns - repeat_ns && f->unacknowledged_count > 0)
        return VIEW("repeat interval elapsed");
    return VIEW("");
}

/* --- telling --- */

static struct notification_key log_key(const struct flush_job *job)
{
    const struct integration *i = job->integration;
    return (struct notification_key){job->flush->group_key, job->flush->receiver,
                                     view_from(i->driver->kind), i->index};
}

static void log_sent(const struct flush_job *job, int64_t sent_ns,
                     struct notification_kv remembered)
{
    const struct flush *f = job->flush;
    const struct alert_router_options *o = &f->owner->opts.router;
    const struct notification_key key = log_key(job);
    const struct notification_entry entry = {.sent_ns = sent_ns,
                                             .expires_ns = sent_ns + job->expires_after_ns,
                                             .firing = f->firing_hashes,
                                             .firing_count = f->firing_hash_count,
                                             .resolved = f->resolved_hashes,
                                             .resolved_count = f->resolved_hash_count,
                                             .remembered = remembered};
    o->peers->log_put(o->state, &key, &entry);
}

static void tell_failure(const struct flush_job *job, const struct sender_result *result)
{
    const struct alert_router_options *o = &job->flush->owner->opts.router;
    char text[512];
    if (!o->log)
        return;
    snprintf(text, sizeof text,
             "receiver \"%.*s\": %s[%zu]: %.*s: not sent after %u attempt%s: %.*s",
             VIEW_ARGS(job->flush->receiver), job->integration->driver->kind,
             job->integration->index, VIEW_ARGS(job->flush->group_key), result->attempts,
             result->attempts == 1 ? "" : "s", VIEW_ARGS(result->error));
    o->log(o->log_arg, true, "notification_failed", text);
}

/* On the sender's thread. */
static void job_done(void *arg, const struct sender_result *result)
{
    struct flush_job *job = arg;
    struct flush *f = job->flush;
    const struct dispatch_options *opts = &f->owner->opts;
    bool sent = result->verdict == DELIVERY_SENT;
    if (sent) {
        log_sent(job, result->finished_ns,
                 result->remembered.count ? result->remembered : job->recalled);
    } else {
        atomic_store_explicit(&f->has_failed, true, memory_order_relaxed);
        tell_failure(job, result);
    }
    const struct notification_record record = {.key = log_key(job),
                                               .at_ns = result->finished_ns,
                                               .latency_ns = result->latency_ns,
                                               .attempts = result->attempts,
                                               .status = result->status,
                                               .is_sent = sent,
                                               .error = result->error,
                                               .alerts = job->alerts,
                                               .alert_count = job->alert_count,
                                               .payload_hash = result->payload_hash};
    opts->router.peers->history_notification(opts->router.state, &record);
    if (atomic_fetch_sub_explicit(&f->pending, 1, memory_order_acq_rel) == 1)
        opts->done(opts->done_arg, f);
}

static void submit(struct dispatch *d, struct flush_job *job, struct view reason,
                   const struct alert_group *g, int64_t now_ns)
{
    const struct alert_router_options *o = &d->opts.router;
    const struct alert_route *route = g->node->route;
    struct label *labels = arena_alloc(&d->scratch, route->labels.count * sizeof *labels);
    for (size_t i = 0; i < route->labels.count; i++)
        labels[i] = (struct label){route->labels.items[i].name, route->labels.items[i].value};
    int64_t timeout_ms = route->group_interval_ms;
    const struct sender_job what = {.integration = job->integration,
                                    .alerts = job->alerts,
                                    .alert_count = job->alert_count,
                                    .group_labels = g->labels,
                                    .route_labels = {labels, (uint32_t)route->labels.count},
                                    .group_key = job->flush->group_key,
                                    .reason = reason,
                                    .recalled = job->recalled,
                                    .now_ns = now_ns,
                                    .timeout_ms =
                                        timeout_ms < TIMEOUT_MS_MIN ? TIMEOUT_MS_MIN : timeout_ms,
                                    .done = job_done,
                                    .arg = job};
    o->peers->submit(o->sender, &what);
}

/* The alerts for an integration: where it is not sent resolved ones, only those that fire. */
static void set_job_alerts(struct flush *f, struct flush_job *job, int64_t now_ns)
{
    job->alerts = f->alerts;
    job->alert_count = f->alert_count;
    if (job->integration->common->send_resolved || f->resolved_hash_count == 0)
        return;
    struct live_alert **firing =
        arena_alloc(&f->arena, f->alert_count * sizeof(struct live_alert *));
    job->alert_count = 0;
    for (size_t i = 0; i < f->alert_count; i++)
        if (!live_alert_is_resolved(f->alerts[i], now_ns))
            firing[job->alert_count++] = f->alerts[i];
    job->alerts = firing;
}

/* What fires stays known as told, also where nothing is sent for long: acknowledged alerts are not told anew. */
static void keep_known(const struct dispatch *d, const struct notification_key *key,
                       struct notification_entry *entry, int64_t now_ns, int64_t expires_ns)
{
    const struct alert_router_options *o = &d->opts.router;
    if (entry->expires_ns - now_ns >= expires_ns / 2)
        return;
    entry->expires_ns = now_ns + expires_ns;
    o->peers->log_put(o->state, key, entry);
}

/* Decides for each integration; f->jobs are those to which something is sent, reasons[] why. */
static void decide(struct dispatch *d, struct flush *f, const struct alert_route *route,
                   struct view *reasons, int64_t now_ns)
{
    const struct alert_router_options *o = &d->opts.router;
    struct integration_list list = o->peers->integrations_of(d->set, route->receiver);
    int64_t repeat_ns = ns_from_ms(route->repeat_interval_ms);
    int64_t interval_ns = ns_from_ms(route->group_interval_ms);
    int64_t expires_ns = 2 * (repeat_ns > interval_ns ? repeat_ns : interval_ns) + interval_ns;
    int64_t retention_ns = ns_from_ms(o->retention_ms);
    if (retention_ns > 0 && retention_ns < expires_ns)
        expires_ns = retention_ns;
    f->jobs = arena_alloc(&f->arena, list.count * sizeof *f->jobs);
    for (size_t i = 0; i < list.count; i++) {
        struct notification_entry entry;
        struct flush_job *job = &f->jobs[f->job_count];
        bool send_resolved = list.items[i].common->send_resolved;
        *job = (struct flush_job){
            .flush = f, .integration = &list.items[i], .expires_after_ns = expires_ns};
        const struct notification_key key = log_key(job);
        bool was_told = o->peers->log_get(o->state, &f->arena, &key, now_ns, &entry);
        struct view reason =
            reason_to_send(f, was_told ? &entry : NULL, send_resolved, repeat_ns, now_ns);
        if (reason.len == 0) {
            if (was_told && f->firing_hash_count)
                keep_known(d, &key, &entry, now_ns, expires_ns);
            continue;
        }
        if (was_told && !view_is(reason, "first notification"))
            job->recalled = entry.remembered;
        if (f->firing_hash_count == 0 && !send_resolved) { /* nobody is told; the log is */
            log_sent(job, now_ns, job->recalled);
            continue;
        }
        reasons[f->job_count++] = reason;
    }
}

static struct flush *new_flush(struct dispatch *d, struct alert_group *g)
{
    struct flush *f = mem_alloc_zero(MEM_ALERTING, 1, sizeof *f);
    struct buffer key;
    arena_init(&f->arena, MEM_ALERTING, 0);
    buffer_init(&key, MEM_ALERTING, GROUP_KEY_BYTES_MAX);
    dispatch_key_format(g->node, g->labels, &key);
    f->owner = d;
    f->group = g;
    f->set = d->opts.router.peers->integrations_ref(d->set);
    f->group_key = arena_copy(&f->arena, buffer_view(&key));
    f->receiver = g->node->route->receiver; /* lives as long as the set */
    f->next = d->flushes;
    d->flushes = f;
    g->flush = f;
    dispatch_group_line(d, g)->under_way++;
    buffer_deinit(&key);
    return f;
}

static void free_flush(struct dispatch *d, struct flush *f)
{
    struct flush **at = &d->flushes;
    while (*at != f)
        at = &(*at)->next;
    *at = f->next;
    for (size_t i = 0; i < f->resolved_count; i++)
        live_alert_unref(f->resolved[i]);
    for (size_t i = 0; i < f->alert_count; i++)
        live_alert_unref(f->alerts[i]);
    d->opts.router.peers->integrations_unref(f->set);
    arena_deinit(&f->arena);
    mem_free(MEM_ALERTING, f);
}

/* As many as have room. */
static void wake_parked(struct dispatch *d, struct receiver_line *line, struct instant now)
{
    for (size_t n = line->under_way; n < d->opts.flushes_max && line->first; n++) {
        struct alert_group *g = line->first;
        dispatch_group_unpark(d, g);
        dispatch_group_schedule(d, g, now.mono_ns);
    }
}

void dispatch_finish(struct dispatch *d, struct flush *f, struct instant now)
{
    struct alert_group *g = f->group;
    ASSERT(atomic_load_explicit(&f->pending, memory_order_acquire) == 0);
    if (g) {
        if (!atomic_load_explicit(&f->has_failed, memory_order_relaxed))
            for (size_t i = 0; i < f->resolved_count; i++)
                dispatch_group_remove_if_same(d, g, f->resolved[i]);
        g->flush = NULL;
        dispatch_group_line(d, g)->under_way--;
        wake_parked(d, dispatch_group_line(d, g), now);
        if (g->is_overdue)
            dispatch_group_schedule(d, g, now.mono_ns);
        g->is_overdue = false;
    }
    free_flush(d, f);
}

void dispatch_flush(struct dispatch *d, struct alert_group *g, struct instant now)
{
    if (g->flush) {
        dispatch_group_unschedule(d, g);
        g->is_overdue = true;
        return;
    }
    if (g->count && dispatch_group_line(d, g)->under_way >= d->opts.flushes_max) {
        dispatch_group_park(d, g);
        return;
    }
    dispatch_group_schedule(d, g, now.mono_ns + ns_from_ms(g->node->route->group_interval_ms));
    g->last_flush_ns = now.wall_ns;
    if (g->count == 0) {
        wake_parked(d, dispatch_group_line(d, g), now); /* it may have been woken itself */
        return;
    }
    struct flush *f = new_flush(d, g);
    tell_ends(d, g, now.wall_ns);
    choose_alerts(d, f, g, now.wall_ns);
    arena_reset(&d->scratch);
    struct view *reasons = NULL;
    if (f->alert_count) {
        size_t count =
            d->opts.router.peers->integrations_of(d->set, g->node->route->receiver).count;
        reasons = ARENA_ARRAY(&f->arena, struct view, count);
        decide(d, f, g->node->route, reasons, now.wall_ns);
    }
    if (f->job_count == 0) {
        dispatch_finish(d, f, now);
        return;
    }
    prepare_alerts(f, now.wall_ns);
    for (size_t i = 0; i < f->job_count; i++)
        set_job_alerts(f, &f->jobs[i], now.wall_ns);
    /* From the first submit() on, the sender's thread may end jobs; the last one gives the flush back. */
    size_t count = f->job_count;
    atomic_store_explicit(&f->pending, count, memory_order_relaxed);
    for (size_t i = 0; i < count; i++)
        submit(d, &f->jobs[i], reasons[i], g, now.wall_ns);
}
