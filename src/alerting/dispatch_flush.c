/* SPDX-License-Identifier: Apache-2.0 */
/* dispatch_flush.c: what is told of a group at its time. In Alertmanager's order:
 *
 *   alerts of the group -> not inhibited -> route not silent now -> not silenced
 *       -> for each integration: is it news, or time to repeat? (the notification log) -> the sender
 *       -> sent: into the log; resolved alerts leave the group when all integrations were told, unless they changed meanwhile
 *
 * Nothing is copied or sorted before it is known that something will be sent. */
#include "alerting/dispatch_private.h"
#include "alerting/route.h"
#include "base/assert.h"
#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

/* How long the log knows what it was told. */
static int64_t log_lifetime_ns(const struct dispatch *d, const struct alert_route *route)
{
    int64_t repeat_ns = ns_from_ms(route->repeat_interval_ms);
    int64_t interval_ns = ns_from_ms(route->group_interval_ms);
    int64_t lifetime_ns = 2 * (repeat_ns > interval_ns ? repeat_ns : interval_ns) + interval_ns;
    int64_t retention_ns = ns_from_ms(d->opts.router.retention_ms);
    return retention_ns > 0 && retention_ns < lifetime_ns ? retention_ns : lifetime_ns;
}

/* The history learns of an end before a receiver does: what was told to be over must not be taken up after a crash. An end that
 * an integration could not be told of is given up when its log has forgotten that it ever was told of the alert: then it means
 * nothing any more, and a receiver that is down for days gathers no more than that. */
static void note_ends(struct dispatch *d, struct alert_group *g, int64_t stamp, int64_t now_ns)
{
    int64_t lifetime_ns = log_lifetime_ns(d, g->node->route);
    for (size_t i = g->count; i > 0; i--) {
        struct group_item *item = &g->items[i - 1];
        if (!live_alert_is_resolved(item->alert, now_ns))
            continue;
        uint32_t place = alert_store_find(&d->store, item->alert->fingerprint);
        if (place != ALERT_STORE_NONE)
            dispatch_tell_end(d, &d->store.items[place], now_ns);
        if (item->ended == 0) {
            dispatch_group_set_ended(d, g, item, stamp);
        } else if (stamp - item->ended > lifetime_ns) {
            d->stats.ends_dropped++;
            dispatch_group_remove(d, g, (uint32_t)i - 1);
        }
    }
}

/* Those that are over leave when every lane knows it. */
static void forget_told(struct dispatch *d, struct alert_group *g)
{
    int64_t told = INT64_MAX;
    for (uint32_t i = 0; i < g->lane_count; i++)
        told = g->lanes[i].told < told ? g->lanes[i].told : told;
    for (size_t i = g->ended_count ? g->count : 0; i > 0; i--)
        if (g->items[i - 1].ended != 0 && g->items[i - 1].ended <= told)
            dispatch_group_remove(d, g, (uint32_t)i - 1);
}

static int compare_hashes(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* Chooses the alerts of the group that may be told of. */
static void choose_alerts(struct dispatch *d, struct flush *f, const struct alert_group *g,
                          int64_t now_ns)
{
    const struct alert_router_options *o = &d->opts.router;
    enum route_silence silence =
        route_silence_at(d->config, g->node->route, now_ns / 1000000000, NULL);
    uint64_t *firing = arena_alloc(&f->arena, g->count * sizeof *firing);
    uint64_t *resolved = arena_alloc(&f->arena, g->count * sizeof *resolved);
    uint64_t *old = arena_alloc(&f->arena, g->count * sizeof *old);
    uint64_t *muted = arena_alloc(&f->arena, g->count * sizeof *muted);
    f->alerts = arena_alloc(&f->arena, g->count * sizeof(struct live_alert *));
    for (size_t i = 0; i < g->count; i++) {
        struct live_alert *a = g->items[i].alert;
        bool ended = live_alert_is_resolved(a, now_ns);
        /* Asked of each one at each flush, so that the acknowledgement of a muted one is known to be in use. */
        bool is_acknowledged =
            !ended && o->peers->acknowledged(o->state, a->fingerprint, a->starts_ns, now_ns);
        arena_reset(&d->scratch);
        if (is_muted(d, a, now_ns) || silence != ROUTE_SENDS) {
            if (ended)
                muted[f->muted_hash_count++] = a->fingerprint;
            continue;
        }
        f->alerts[f->alert_count++] = live_alert_ref(a);
        if (ended)
            resolved[f->resolved_hash_count++] = a->fingerprint;
        else
            firing[f->firing_hash_count++] = a->fingerprint;
        if (ended && a->was_over)
            old[f->old_hash_count++] = a->fingerprint;
        f->unacknowledged_count += !ended && !is_acknowledged;
    }
    d->stats.suppressed_mute_interval += silence == ROUTE_MUTED ? g->count : 0;
    d->stats.suppressed_active_interval += silence == ROUTE_INACTIVE ? g->count : 0;
    qsort(firing, f->firing_hash_count, sizeof *firing, compare_hashes);
    qsort(resolved, f->resolved_hash_count, sizeof *resolved, compare_hashes);
    qsort(old, f->old_hash_count, sizeof *old, compare_hashes);
    f->firing_hashes = firing;
    f->resolved_hashes = resolved;
    f->old_hashes = old;
    f->muted_hashes = muted;
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

static bool has_hash(const uint64_t *items, size_t count, uint64_t hash)
{
    return count && bsearch(&hash, items, count, sizeof *items, compare_hashes);
}

/* Is this end to be told? Once: it stays in the group while another integration of the receiver could not be told. One of before
 * the start only to who was told of the alert and not of its end. */
static bool is_to_be_told(const struct flush *f, const struct notification_entry *entry,
                          uint64_t hash)
{
    return has_hash(entry->firing, entry->firing_count, hash) ||
           !(has_hash(entry->resolved, entry->resolved_count, hash) ||
             has_hash(f->old_hashes, f->old_hash_count, hash));
}

static bool has_ends(const struct flush *f, const struct notification_entry *entry)
{
    for (size_t i = 0; i < f->resolved_hash_count; i++)
        if (is_to_be_told(f, entry, f->resolved_hashes[i]))
            return true;
    return false;
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
    if (send_resolved && has_ends(f, entry))
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

/* The entry's ticket. */
static uint64_t log_sent(const struct flush_job *job, int64_t sent_ns,
                         struct notification_kv remembered)
{
    const struct flush *f = job->flush;
    const struct alert_router_options *o = &f->owner->opts.router;
    const struct notification_key key = log_key(job);
    const struct notification_entry entry = {.sent_ns = sent_ns,
                                             .expires_ns = sent_ns + job->expires_after_ns,
                                             .firing = f->firing_hashes,
                                             .firing_count = f->firing_hash_count,
                                             .resolved = job->over,
                                             .resolved_count = job->over_count,
                                             .remembered = remembered};
    return o->peers->log_put(o->state, &key, &entry);
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
static uint64_t job_done(void *arg, const struct sender_result *result)
{
    uint64_t ticket = 0;
    struct flush_job *job = arg;
    const struct dispatch_options *opts = &job->flush->owner->opts;
    bool sent = job->is_sent = result->verdict == DELIVERY_SENT;
    if (sent)
        ticket = log_sent(job, result->finished_ns,
                          result->remembered.count ? result->remembered : job->recalled);
    else
        tell_failure(job, result);
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
    opts->done(opts->done_arg, job);
    return ticket;
}

static void submit(struct dispatch *d, const struct alert_group *g, struct flush_job *job,
                   int64_t now_ns)
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
                                    .reason = job->reason,
                                    .recalled = job->recalled,
                                    .now_ns = now_ns,
                                    .timeout_ms =
                                        timeout_ms < TIMEOUT_MS_MIN ? TIMEOUT_MS_MIN : timeout_ms,
                                    .done = job_done,
                                    .arg = job};
    o->peers->submit(o->sender, &what);
}

/* The alerts for an integration: without resolved ones where it is not sent any, and without ends that are not to be told. */
static void set_job_alerts(struct flush *f, struct flush_job *job, int64_t now_ns)
{
    bool send_resolved = job->integration->common->send_resolved;
    job->alerts = f->alerts;
    job->alert_count = f->alert_count;
    if (f->resolved_hash_count == 0)
        return;
    struct live_alert **chosen =
        arena_alloc(&f->arena, f->alert_count * sizeof(struct live_alert *));
    job->alert_count = 0;
    for (size_t i = 0; i < f->alert_count; i++) {
        struct live_alert *a = f->alerts[i];
        if (!live_alert_is_resolved(a, now_ns) ||
            (send_resolved && is_to_be_told(f, &job->known, a->fingerprint)))
            chosen[job->alert_count++] = a;
    }
    job->alerts = chosen;
}

/* An end that it was told of stays known while it is muted: it is in the group still when another integration could not be told. */
static void set_job_over(struct flush *f, struct flush_job *job)
{
    const struct notification_entry *known = &job->known;
    job->over = f->resolved_hashes;
    job->over_count = f->resolved_hash_count;
    if (f->muted_hash_count == 0 || known->resolved_count == 0)
        return;
    uint64_t *over =
        arena_alloc(&f->arena, (f->resolved_hash_count + f->muted_hash_count) * sizeof *over);
    if (job->over_count)
        memcpy(over, job->over, job->over_count * sizeof *over);
    for (size_t i = 0; i < f->muted_hash_count; i++)
        if (has_hash(known->resolved, known->resolved_count, f->muted_hashes[i]))
            over[job->over_count++] = f->muted_hashes[i];
    qsort(over, job->over_count, sizeof *over, compare_hashes);
    job->over = over;
}

/* What fires stays known as told, also where nothing is sent for long: acknowledged alerts are not told anew. */
static void keep_known(const struct dispatch *d, const struct notification_key *key,
                       struct notification_entry *entry, int64_t now_ns, int64_t expires_ns)
{
    const struct alert_router_options *o = &d->opts.router;
    if (entry->expires_ns - now_ns >= expires_ns / 2)
        return;
    entry->expires_ns = now_ns + expires_ns;
    (void)o->peers->log_put(o->state, key, entry); /* it says nothing new */
}

/* Is there something to tell this integration? The rest of *job is filled in. */
static bool decide(struct dispatch *d, struct flush *f, const struct alert_route *route,
                   struct integration *integration, struct flush_job *job, int64_t now_ns)
{
    const struct alert_router_options *o = &d->opts.router;
    bool send_resolved = integration->common->send_resolved;
    *job = (struct flush_job){
        .flush = f, .integration = integration, .expires_after_ns = log_lifetime_ns(d, route)};
    const struct notification_key key = log_key(job);
    bool was_told = o->peers->log_get(o->state, &f->arena, &key, now_ns, &job->known);
    if (!was_told)
        job->known = (struct notification_entry){0};
    set_job_over(f, job);
    job->reason = reason_to_send(f, was_told ? &job->known : NULL, send_resolved,
                                 ns_from_ms(route->repeat_interval_ms), now_ns);
    if (job->reason.len == 0) {
        if (was_told && f->firing_hash_count)
            keep_known(d, &key, &job->known, now_ns, job->expires_after_ns);
        return false;
    }
    if (was_told && !view_is(job->reason, "first notification"))
        job->recalled = job->known.remembered;
    if (f->firing_hash_count > 0 || (send_resolved && has_ends(f, &job->known)))
        return true;
    (void)log_sent(job, now_ns, job->recalled); /* nobody is told; the log is */
    return false;
}

/* Finds those lanes that have something to tell: f->jobs. */
static void decide_lanes(struct dispatch *d, struct flush *f, struct alert_group *g,
                         struct group_lane *only, int64_t now_ns)
{
    struct integration_list list = dispatch_integrations_of(d, g->node);
    f->jobs = ARENA_ARRAY(&f->arena, struct flush_job, g->lane_count);
    for (uint32_t i = 0; i < g->lane_count; i++) {
        struct group_lane *lane = &g->lanes[i];
        struct flush_job *job = &f->jobs[f->job_count];
        lane->is_overdue |= lane->state == LANE_SENDING && !only;
        if (lane->state != LANE_IDLE || (only && lane != only))
            continue;
        if (f->alert_count == 0 || !decide(d, f, g->node->route, &list.items[i], job, now_ns)) {
            lane->told = f->stamp;
        } else if (lane->line->under_way >= d->opts.flushes_max) {
            dispatch_lane_park(lane);
        } else {
            job->lane = lane;
            lane->job = job;
            lane->state = LANE_SENDING;
            lane->line->under_way++;
            f->job_count++;
        }
    }
}

static struct flush *new_flush(struct dispatch *d, const struct alert_group *g, int64_t now_ns)
{
    struct flush *f = mem_alloc_zero(MEM_ALERTING, 1, sizeof *f);
    struct buffer key;
    arena_init(&f->arena, MEM_ALERTING, 0);
    buffer_init(&key, MEM_ALERTING, GROUP_KEY_BYTES_MAX);
    dispatch_key_format(g->node, g->labels, &key);
    f->owner = d;
    f->stamp = d->stamp = now_ns > d->stamp ? now_ns : d->stamp + 1;
    f->set = d->opts.router.peers->integrations_ref(d->set);
    f->group_key = arena_copy(&f->arena, buffer_view(&key));
    f->receiver = g->node->route->receiver; /* lives as long as the set */
    f->next = d->flushes;
    d->flushes = f;
    buffer_deinit(&key);
    return f;
}

static void free_flush(struct dispatch *d, struct flush *f)
{
    struct flush **at = &d->flushes;
    while (*at != f)
        at = &(*at)->next;
    *at = f->next;
    for (size_t i = 0; i < f->alert_count; i++)
        live_alert_unref(f->alerts[i]);
    d->opts.router.peers->integrations_unref(f->set);
    arena_deinit(&f->arena);
    mem_free(MEM_ALERTING, f);
}

void dispatch_finish(struct dispatch *d, struct flush_job *job)
{
    struct flush *f = job->flush;
    struct group_lane *lane = job->lane;
    ASSERT(!job->is_finished && f->jobs_left > 0);
    job->is_finished = true;
    if (lane) {
        lane->job = NULL;
        lane->state = LANE_IDLE;
        lane->line->under_way--;
        if (job->is_sent)
            lane->told = f->stamp;
        if (lane->is_overdue)
            dispatch_lane_ready(d, lane);
        lane->is_overdue = false;
        dispatch_line_wake(d, lane->line);
        forget_told(d, lane->group);
    }
    if (--f->jobs_left == 0)
        free_flush(d, f);
}

/* To all lanes that have nothing else to do, or to one. */
static void flush_lanes(struct dispatch *d, struct alert_group *g, struct group_lane *only,
                        struct instant now)
{
    struct flush *f = new_flush(d, g, now.mono_ns);
    note_ends(d, g, f->stamp, now.wall_ns);
    choose_alerts(d, f, g, now.wall_ns);
    arena_reset(&d->scratch);
    decide_lanes(d, f, g, only, now.wall_ns);
    forget_told(d, g);
    if (f->job_count == 0) {
        free_flush(d, f);
        return;
    }
    prepare_alerts(f, now.wall_ns);
    for (size_t i = 0; i < f->job_count; i++)
        set_job_alerts(f, &f->jobs[i], now.wall_ns);
    /* From the first submit() on, the sender's thread may end jobs. */
    f->jobs_left = f->job_count;
    for (size_t i = 0; i < f->job_count; i++)
        submit(d, g, &f->jobs[i], now.wall_ns);
}

void dispatch_flush(struct dispatch *d, struct alert_group *g, struct instant now)
{
    dispatch_group_schedule(d, g, now.mono_ns + ns_from_ms(g->node->route->group_interval_ms));
    g->last_flush_ns = now.wall_ns;
    if (g->count > 0)
        flush_lanes(d, g, NULL, now);
}

void dispatch_flush_lane(struct dispatch *d, struct group_lane *lane, struct instant now)
{
    dispatch_lane_take(d, lane);
    if (lane->group->count > 0)
        flush_lanes(d, lane->group, lane, now);
    dispatch_line_wake(d, lane->line); /* it may have had nothing to tell */
}
