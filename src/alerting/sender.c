/* SPDX-License-Identifier: Apache-2.0 */
/* sender.c: the thread "notify": takes jobs, keeps a queue for each integration, retries, and tells how it ended. */
#include "alerting/sender.h"

#include "alerting/sender_private.h"
#include "base/assert.h"
#include "base/checksum.h"
#include "base/mem.h"
#include "base/thread.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum {
    PAUSE_FIRST_MS = 500, /* Alertmanager's back-off: times 1.5, half of it random */
    PAUSE_MAX_MS = 60 * 1000,
    POLL_MAX_MS = 60 * 1000,
    CONNECTIONS_IDLE_MAX = 64, /* chosen, not measured */
    HOLD_MS_DEFAULT = 1000,
};

static int64_t wall_ns(void)
{
    return clock_wall().ms * 1000000;
}

static void say(struct sender *s, bool is_error, const char *event, const char *text)
{
    if (s->options.log)
        s->options.log(s->options.log_arg, is_error, event, text);
}

/* "team/webhook[0]": with its receiver's name and without a secret. */
static void name_of(const struct integration *i, char *out, size_t bytes)
{
    struct view name = view_slice(i->receiver->name, 0, 100);
    (void)snprintf(out, bytes, "%.*s/%s[%zu]", VIEW_ARGS(name), i->driver->kind, i->index);
}

/* --- tasks --- */

static struct labels copy_labels(struct arena *arena, struct labels labels)
{
    return labels.count ? labels_copy(arena, labels) : (struct labels){0};
}

static struct notification_kv copy_kv(struct arena *arena, const struct notification_kv *from)
{
    struct notification_kv kv = {ARENA_ARRAY(arena, struct view, from->count),
                                 ARENA_ARRAY(arena, struct view, from->count), from->count};
    for (size_t i = 0; i < from->count; i++) {
        kv.names[i] = arena_copy(arena, from->names[i]);
        kv.values[i] = arena_copy(arena, from->values[i]);
    }
    return kv;
}

/* Alerts that are resolved go to those only who want to hear of it. */
static size_t take_alerts(struct live_alert **to, const struct sender_job *job)
{
    size_t count = 0;
    for (size_t i = 0; i < job->alert_count; i++)
        if (job->integration->common->send_resolved ||
            !live_alert_is_resolved(job->alerts[i], job->now_ns))
            to[count++] = live_alert_ref(job->alerts[i]);
    return count;
}

static struct sender_task *task_new(struct sender *s, const struct sender_job *job)
{
    struct sender_task *t = mem_alloc_zero(MEM_ALERTING, 1, sizeof(*t));
    t->sender = s;
    t->job = *job;
    arena_init(&t->kept, MEM_ALERTING, 0);
    arena_init(&t->attempt, MEM_ALERTING, 0);
    integrations_ref(job->integration->set);
    struct live_alert **alerts = ARENA_ARRAY(&t->kept, struct live_alert *, job->alert_count);
    t->job.alert_count = take_alerts(alerts, job);
    t->job.alerts = alerts;
    t->job.group_labels = copy_labels(&t->kept, job->group_labels);
    t->job.route_labels = copy_labels(&t->kept, job->route_labels);
    t->job.group_key = arena_copy(&t->kept, job->group_key);
    t->job.reason = arena_copy(&t->kept, job->reason);
    t->job.recalled = copy_kv(&t->kept, &job->recalled);
    t->group_hash = hash64_view(t->job.group_key);
    t->submitted = clock_mono();
    t->deadline = mono_add_ms(t->submitted, job->timeout_ms);
    t->pause_ms = PAUSE_FIRST_MS;
    return t;
}

static void task_free(struct sender_task *t)
{
    for (size_t i = 0; i < t->job.alert_count; i++)
        live_alert_unref(t->job.alerts[i]);
    integrations_unref(t->job.integration->set);
    arena_deinit(&t->attempt);
    arena_deinit(&t->kept);
    mem_free(MEM_ALERTING, t);
}

static void unlink_task(struct sender_task *t)
{
    struct sender_queue *q = t->queue;
    if (!q)
        return;
    *(t->prev ? &t->prev->next : &q->first) = t->next;
    *(t->next ? &t->next->prev : &q->last) = t->prev;
    q->count--;
    q->active -= t->state == TASK_ACTIVE;
    t->queue = NULL;
}

static void count_end(struct sender_task *t, enum delivery_verdict verdict)
{
    struct sender *s = t->sender;
    mutex_lock(&s->mutex);
    s->queued--;
    if (verdict != DELIVERY_SENT && t->is_counted)
        sender_counters_of_locked(s->counters, t->job.integration)->failed[t->reason]++;
    mutex_unlock(&s->mutex);
}

static void log_end(struct sender_task *t, enum delivery_verdict verdict)
{
    char name[200], text[SENDER_ERROR_BYTES + 400];
    bool is_sent = verdict == DELIVERY_SENT;
    if (is_sent && t->attempts < 2 && !t->has_template_error)
        return;
    name_of(t->job.integration, name, sizeof name);
    if (is_sent)
        (void)snprintf(text, sizeof text, "%s: sent after %u attempts%s", name, t->attempts,
                       t->has_template_error ? "; an error in a template stands in the text" : "");
    else
        (void)snprintf(text, sizeof text, "%s: %zu alerts were not notified of, %u attempts: %s",
                       name, t->job.alert_count, t->attempts, t->error);
    say(t->sender, !is_sent, is_sent ? "notify_sent" : "notify_failed", text);
}

/* It stays in its place until it is kept. */
static void hold(struct sender *s, struct sender_queue *q, uint64_t ticket)
{
    if (ticket <= atomic_load_explicit(&s->kept, memory_order_relaxed) || s->ends)
        return;
    ASSERT(q && q->active + q->held_count < SENDER_PARALLEL_MAX);
    q->held[q->held_count].ticket = ticket;
    q->held[q->held_count++].until = mono_add_ms(clock_mono(), s->options.hold_ms);
}

static void release_kept(const struct sender *s, struct sender_queue *q, mono_time now)
{
    uint64_t kept = atomic_load_explicit(&s->kept, memory_order_relaxed);
    size_t left = 0;
    for (size_t i = 0; i < q->held_count; i++)
        if (q->held[i].ticket > kept && q->held[i].until.ns > now.ns && !s->ends)
            q->held[left++] = q->held[i];
    q->held_count = left;
}

/* Takes the task out of everything, tells its owner, and frees it. */
static void finish(struct sender_task *t, enum delivery_verdict verdict)
{
    const struct sender_result result = {
        .verdict = verdict,
        .attempts = t->attempts,
        .status = t->status,
        .latency_ns = t->latency_ns,
        .finished_ns = wall_ns(),
        .error = verdict == DELIVERY_SENT ? VIEW("") : view_from(t->error),
        .has_template_error = t->has_template_error,
        .payload_hash = t->payload_hash,
        .remembered = t->d.remembered,
    };
    struct sender *s = t->sender;
    struct sender_queue *q = t->queue;
    sender_attempt_end(t);
    unlink_task(t);
    count_end(t, verdict);
    log_end(t, verdict);
    uint64_t ticket = t->job.done ? t->job.done(t->job.arg, &result) : 0;
    task_free(t);
    hold(s, q, ticket);
}

static void give_up(struct sender_task *t, enum sender_reason reason, const char *why)
{
    char last[SENDER_ERROR_BYTES];
    t->reason = reason;
    memcpy(last, t->error, sizeof last);
    (void)snprintf(t->error, sizeof t->error, "%s%s%.400s", why,
                   last[0] ? "; the last attempt: " : "", last);
    finish(t, DELIVERY_RETRY);
}

/* --- attempts --- */

static bool newer_waits(const struct sender_task *t)
{
    for (const struct sender_task *n = t->next; n; n = n->next)
        if (n->group_hash == t->group_hash && view_eq(n->job.group_key, t->job.group_key))
            return true;
    return false;
}

/* Until the next attempt: what the receiver asked for where that is longer. */
static int64_t pause_of(struct sender_task *t)
{
    struct sender *s = t->sender;
    int64_t middle = t->pause_ms,
            pause = middle / 2 + (int64_t)random_below(&s->random, (uint64_t)middle + 1);
    t->pause_ms = middle + middle / 2 < PAUSE_MAX_MS ? middle + middle / 2 : PAUSE_MAX_MS;
    return pause > t->retry_after_ms ? pause : t->retry_after_ms;
}

static bool is_of_before(const struct sender_task *t)
{
    return t->sender->current && t->job.integration->set != t->sender->current;
}

static void sleep_or_give_up(struct sender_task *t)
{
    int64_t pause = pause_of(t);
    if (newer_waits(t)) {
        give_up(t, t->reason, "superseded by a newer notification");
        return;
    }
    if (is_of_before(t)) {
        give_up(t, SENDER_CANCELED, "another configuration is in force");
        return;
    }
    t->wake = mono_add_ms(clock_mono(), pause);
    if (t->wake.ns >= t->deadline.ns) {
        give_up(t, SENDER_DEADLINE, "no time is left for another attempt");
        return;
    }
    if (t->attempts == 1) {
        char name[200], text[SENDER_ERROR_BYTES + 300];
        name_of(t->job.integration, name, sizeof name);
        (void)snprintf(text, sizeof text, "%s: will be tried again: %s", name, t->error);
        say(t->sender, false, "notify_retry", text);
    }
    sender_attempt_end(t);
    t->queue->active--;
    t->state = TASK_SLEEPING;
}

static void count_attempt(struct sender_task *t, bool is_sent)
{
    struct sender *s = t->sender;
    double seconds = (double)t->latency_ns / 1e9;
    size_t bucket = 0;
    while (bucket < SENDER_LATENCY_BUCKETS - 1 && seconds > SENDER_LATENCY_BOUNDS[bucket])
        bucket++;
    mutex_lock(&s->mutex);
    struct sender_stat *stat = sender_counters_of_locked(s->counters, t->job.integration);
    stat->requests++;
    stat->requests_failed += !is_sent;
    stat->latency_buckets[bucket]++;
    stat->latency_sum_seconds += seconds;
    mutex_unlock(&s->mutex);
}

static void attempt_ended(struct sender_task *t, enum delivery_verdict verdict,
                          const struct error *err)
{
    t->attempts++;
    t->latency_ns = clock_mono().ns - t->attempt_start.ns;
    t->has_template_error = t->d.has_template_error;
    if (verdict == DELIVERY_SENT)
        t->error[0] = '\0';
    else
        sender_attempt_redact(t, err->message, t->error, sizeof t->error);
    count_attempt(t, verdict == DELIVERY_SENT);
    if (verdict == DELIVERY_RETRY)
        sleep_or_give_up(t);
    else
        finish(t, verdict);
}

static void start(struct sender_task *t)
{
    struct sender *s = t->sender;
    struct error err = {0};
    if (!t->is_counted) {
        t->is_counted = true;
        mutex_lock(&s->mutex);
        sender_counters_of_locked(s->counters, t->job.integration)->notifications++;
        mutex_unlock(&s->mutex);
    }
    if (t->job.alert_count == 0) { /* all are resolved, and nobody wants to hear of it */
        finish(t, DELIVERY_SENT);
        return;
    }
    t->state = TASK_ACTIVE;
    t->queue->active++;
    enum delivery_verdict verdict = sender_attempt_begin(t, &err);
    if (verdict != DELIVERY_MORE)
        attempt_ended(t, verdict, &err);
}

static void transfer_ended(struct sender_task *t, CURLcode code)
{
    struct error err = {0};
    enum delivery_verdict verdict = sender_attempt_go_on(t, code, &err);
    if (verdict != DELIVERY_MORE)
        attempt_ended(t, verdict, &err);
}

/* --- queues --- */

static struct sender_queue *queue_of(struct sender *s, struct integration *integration)
{
    for (struct sender_queue *q = s->queues; q; q = q->next)
        if (q->integration == integration)
            return q;
    struct sender_queue *q = mem_alloc_zero(MEM_ALERTING, 1, sizeof(*q));
    q->integration = integration;
    q->next = s->queues;
    s->queues = q;
    return q;
}

/* Of the same group: what waits, then what is on its way. */
static struct sender_task *same_group(const struct sender_queue *q, const struct sender_task *t,
                                      bool is_active)
{
    for (struct sender_task *o = q->first; o; o = o->next)
        if (o != t && (o->state == TASK_ACTIVE) == is_active && o->group_hash == t->group_hash &&
            view_eq(o->job.group_key, t->job.group_key))
            return o;
    return NULL;
}

static void enqueue(struct sender *s, struct sender_task *t)
{
    struct sender_queue *q = queue_of(s, t->job.integration);
    struct sender_task *older = same_group(q, t, false);
    if (older)
        give_up(older, older->reason, "superseded by a newer notification");
    if (q->count >= SENDER_QUEUE_MAX) {
        give_up(t, SENDER_OTHER, "too many notifications wait for this receiver already");
        return;
    }
    t->state = TASK_WAITING;
    t->queue = q;
    t->next = NULL;
    t->prev = q->last;
    *(q->last ? &q->last->next : &q->first) = t;
    q->last = t;
    q->count++;
}

static mono_time earlier(mono_time a, mono_time b)
{
    return a.ns == 0 || b.ns < a.ns ? b : a;
}

/* Ends what has no time left, wakes what has slept enough, starts what has its turn. */
static void pump(const struct sender *s, struct sender_queue *q)
{
    mono_time now = clock_mono();
    struct sender_task *next;
    release_kept(s, q, now);
    q->next_event = (mono_time){0};
    for (struct sender_task *t = q->first; t; t = next) {
        next = t->next;
        if (t->state == TASK_ACTIVE)
            continue;
        if (t->state == TASK_SLEEPING && t->wake.ns <= now.ns)
            t->state = TASK_WAITING;
        if (t->deadline.ns <= now.ns)
            give_up(t, SENDER_DEADLINE, "its time was over before its turn came");
        else if (t->state == TASK_WAITING && q->active + q->held_count < SENDER_PARALLEL_MAX &&
                 !same_group(q, t, true))
            start(t);
    }
    for (const struct sender_task *t = q->first; t; t = t->next)
        if (t->state != TASK_ACTIVE)
            q->next_event =
                earlier(q->next_event, t->state == TASK_SLEEPING ? t->wake : t->deadline);
    for (size_t i = 0; i < q->held_count; i++)
        q->next_event = earlier(q->next_event, q->held[i].until);
}

/* --- the thread --- */

static void pump_all(struct sender *s)
{
    struct sender_queue **at = &s->queues;
    while (*at) {
        struct sender_queue *q = *at;
        pump(s, q);
        if (q->count || q->held_count) {
            at = &q->next;
            continue;
        }
        *at = q->next;
        mem_free(MEM_ALERTING, q);
    }
}

static void read_messages(struct sender *s)
{
    CURLMsg *message;
    int left;
    while ((message = curl_multi_info_read(s->multi, &left))) {
        struct sender_task *t = NULL;
        CURLcode code = message->data.result;
        if (message->msg != CURLMSG_DONE)
            continue;
        (void)curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &t);
        ASSERT(t);
        transfer_ended(t, code);
    }
}

/* A configuration was put in force. */
static void take_configuration(struct sender *s, struct integrations *set)
{
    integrations_unref(s->current);
    s->current = set;
    for (struct sender_queue *q = s->queues; q; q = q->next) {
        struct sender_task *next;
        for (struct sender_task *t = q->first; t; t = next) {
            next = t->next;
            if (t->state != TASK_ACTIVE && is_of_before(t))
                give_up(t, SENDER_CANCELED, "another configuration is in force");
        }
    }
}

/* Takes the inbox; is it time to stop? */
static bool take_inbox(struct sender *s, int64_t *grace_ms)
{
    mutex_lock(&s->mutex);
    struct sender_task *t = s->inbox;
    struct integrations *applied = s->applied;
    bool stopping = s->is_stopping;
    *grace_ms = s->grace_ms;
    s->applied = NULL;
    s->inbox = NULL;
    s->inbox_end = &s->inbox;
    mutex_unlock(&s->mutex);
    while (t) {
        struct sender_task *next = t->next;
        enqueue(s, t);
        t = next;
    }
    if (applied)
        take_configuration(s, applied);
    return stopping;
}

static int poll_ms(const struct sender *s, mono_time end)
{
    mono_time first = end;
    for (const struct sender_queue *q = s->queues; q; q = q->next)
        if (q->next_event.ns)
            first = earlier(first, q->next_event);
    if (first.ns == 0)
        return POLL_MAX_MS;
    int64_t ms = (first.ns - clock_mono().ns) / 1000000 + 1;
    return ms < 0 ? 0 : ms < POLL_MAX_MS ? (int)ms : POLL_MAX_MS;
}

/* Ends all but what is on its way; all of it where `everything`. */
static void end_tasks(struct sender *s, bool everything)
{
    for (struct sender_queue *q = s->queues; q; q = q->next) {
        struct sender_task *next;
        for (struct sender_task *t = q->first; t; t = next) {
            next = t->next;
            if (everything || t->state == TASK_SLEEPING)
                give_up(t, SENDER_CANCELED, "the sender stops");
        }
    }
}

static void *run(void *arg)
{
    struct sender *s = arg;
    mono_time end = {0};
    for (;;) {
        int64_t grace_ms;
        int running;
        bool stopping = s->ends = take_inbox(s, &grace_ms);
        if (stopping && end.ns == 0)
            end = mono_add_ms(clock_mono(), grace_ms);
        if (stopping)
            end_tasks(s, clock_mono().ns >= end.ns);
        pump_all(s);
        (void)curl_multi_perform(s->multi, &running); /* failures show in the messages */
        read_messages(s);
        pump_all(s);
        if (stopping && !s->queues)
            break;
        (void)curl_multi_poll(s->multi, NULL, 0, poll_ms(s, end), NULL);
    }
    mutex_lock(&s->mutex);
    s->is_over = true;
    mutex_unlock(&s->mutex);
    (void)take_inbox(s, &(int64_t){0}); /* what came in the meantime */
    end_tasks(s, true);
    pump_all(s);
    return NULL;
}

/* --- for everybody --- */

bool sender_start(struct sender **out, const struct sender_options *opts, struct error *err)
{
    struct sender *s = mem_alloc_zero(MEM_ALERTING, 1, sizeof(*s));
    uint64_t seed;
    *out = NULL;
    s->options = *opts;
    if (s->options.hold_ms == 0)
        s->options.hold_ms = HOLD_MS_DEFAULT;
    s->user_agent =
        mem_copy_string(MEM_ALERTING, opts->user_agent ? view_from(opts->user_agent)
                                                       : VIEW("Belfry/" BELFRY_VERSION));
    mutex_init(&s->mutex);
    s->inbox_end = &s->inbox;
    s->counters = sender_counters_new();
    s->tokens = client_tokens_new();
    random_secret(&seed, sizeof seed);
    random_seed(&s->random, seed);
    s->multi = curl_multi_init();
    ASSERT(s->multi);
    (void)curl_multi_setopt(s->multi, CURLMOPT_MAXCONNECTS, (long)CONNECTIONS_IDLE_MAX);
    *out = s;
    if (thread_start(&s->thread, "notify", run, s, err))
        return true;
    s->is_over = true;
    sender_stop(s, 0);
    *out = NULL;
    return false;
}

void sender_stop(struct sender *s, int64_t grace_ms)
{
    if (!s)
        return;
    mutex_lock(&s->mutex);
    bool runs = !s->is_over;
    s->is_stopping = true;
    s->grace_ms = grace_ms;
    mutex_unlock(&s->mutex);
    if (runs) {
        (void)curl_multi_wakeup(s->multi); /* or it sees it at its next round */
        thread_join(s->thread);
    }
    for (size_t i = 0; i < s->idle_count; i++)
        curl_easy_cleanup(s->idle[i]);
    mem_free(MEM_ALERTING, s->idle);
    (void)curl_multi_cleanup(s->multi); /* it is empty */
    integrations_unref(s->current);
    integrations_unref(s->applied);
    client_tokens_free(s->tokens);
    sender_counters_free(s->counters);
    mutex_deinit(&s->mutex);
    mem_free(MEM_ALERTING, s->user_agent);
    mem_free(MEM_ALERTING, s);
}

void sender_apply(struct sender *s, struct integrations *set)
{
    integrations_ref(set);
    mutex_lock(&s->mutex);
    struct integrations *before = s->applied;
    s->applied = set;
    mutex_unlock(&s->mutex);
    integrations_unref(before);
    (void)curl_multi_wakeup(s->multi); /* or it sees it at its next round */
}

void sender_kept(struct sender *s, uint64_t ticket)
{
    atomic_store_explicit(&s->kept, ticket, memory_order_relaxed);
    (void)curl_multi_wakeup(s->multi); /* or it sees it at its next round */
}

void sender_submit(struct sender *s, const struct sender_job *job)
{
    struct sender_task *t = task_new(s, job);
    mutex_lock(&s->mutex);
    bool over = s->is_over;
    s->queued++;
    if (!over) {
        *s->inbox_end = t;
        s->inbox_end = &t->next;
    }
    mutex_unlock(&s->mutex);
    if (over)
        give_up(t, SENDER_CANCELED, "the sender has stopped");
    else
        (void)curl_multi_wakeup(s->multi); /* or it sees it at its next round */
}

void sender_read_stats(struct sender *s, struct arena *arena, struct sender_stats *out)
{
    mutex_lock(&s->mutex);
    sender_counters_copy_locked(s->counters, arena, out);
    out->queued = s->queued;
    mutex_unlock(&s->mutex);
}
