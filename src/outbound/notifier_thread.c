/* SPDX-License-Identifier: Apache-2.0 */
/* notifier_thread.c: the thread that posts. A destination is
 *
 *   idle      no batch                             its ring has alerts --> a batch is taken
 *   posting   a batch, in_multi                    taken, refused or too old --> idle; failed --> waiting
 *   waiting   a batch, to be tried again at retry  its time has come --> posting
 *
 * A turn: read what has ended, take what is due (under the mutex, without I/O), begin it, wait. When the notifier stops, or
 * the destination has left, nothing is tried again: the first failure drops all that waits for it. */
#include "outbound/notifier_private.h"

#include "base/assert.h"
#include "base/mem.h"
#include "ingest/discover.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

enum {
    RETRY_MS_MIN = 500,
    RETRY_MS_MAX = 10 * 1000,
    TRIES_MS_MAX = 60 * 1000, /* the resend delay of rules by default: then they tell it anew */
    WAIT_MS_MAX = 60 * 1000,
    TEXT_BYTES = 1536
};

void notifier_wake(struct notifier *n)
{
    (void)curl_multi_wakeup(n->multi); /* fails only without a pipe; then it waits its time */
}

void notifier_log(struct notifier *n, bool is_error, const char *event, const char *format, ...)
{
    char text[TEXT_BYTES];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args); /* cut where it is longer */
    va_end(args);
    if (n->options.log)
        n->options.log(n->options.log_arg, is_error, event, text);
}

/* --- batches --- */

static void batch_clear(struct destination *d)
{
    for (size_t i = 0; i < d->batch_count; i++)
        posted_alert_unref(d->batch[i]);
    d->batch_count = 0;
    d->tries = 0;
    d->retry.ns = 0;
}

static void batch_write(struct destination *d)
{
    struct buffer *body = &d->post.body;
    buffer_reset(body);
    for (size_t i = 0; i < d->batch_count; i++) {
        buffer_append_byte(body, i ? ',' : '[');
        buffer_append(body, d->batch[i]->json, d->batch[i]->len);
    }
    buffer_append_byte(body, ']');
    ASSERT(!body->failed);
}

void destination_free(struct destination *d)
{
    batch_clear(d);
    (void)ring_clear(&d->ring); /* whoever cares has counted */
    mem_free(MEM_ALERTING, d->ring.items);
    mem_free(MEM_ALERTING, d->batch);
    alert_post_deinit(&d->post);
    config_unref(d->config);
    mem_free(MEM_ALERTING, d->last_error);
    mem_free(MEM_ALERTING, d->url);
    mem_free(MEM_ALERTING, d);
}

/* --- how it went --- */

static void say_failure(struct notifier *n, struct destination *d, const struct error *err,
                        bool is_over)
{
    if (d->last_error && strcmp(d->last_error, err->message) == 0)
        return; /* said already, and it is as it was */
    mem_free(MEM_ALERTING, d->last_error);
    d->last_error = mem_copy_string(MEM_ALERTING, view_from(err->message));
    notifier_log(n, true, "alerts_not_sent", "alertmanager \"%s\": %zu alerts: %s; %s", d->url,
                 d->batch_count, err->message,
                 is_over ? "they are dropped" : "they are tried again");
}

static void say_success(struct notifier *n, struct destination *d)
{
    if (!d->last_error)
        return;
    notifier_log(n, false, "alerts_sent_again",
                 "alertmanager \"%s\": it takes alerts again after: %s", d->url, d->last_error);
    mem_free(MEM_ALERTING, d->last_error);
    d->last_error = NULL;
}

static void count_latency(struct notifier_url_stats *stats, double seconds)
{
    for (size_t i = 0; i < NOTIFIER_LATENCY_BUCKETS; i++) {
        if (seconds <= NOTIFIER_LATENCY_BOUNDS[i]) {
            stats->latency_buckets[i]++;
            break;
        }
    }
    stats->latency_count++;
    stats->latency_seconds += seconds;
}

static void on_sent(struct notifier *n, struct destination *d)
{
    double seconds = (double)(clock_mono().ns - d->post.start.ns) / 1e9;
    mutex_lock(&n->mutex);
    d->stats.sent += d->batch_count;
    count_latency(&d->stats, seconds);
    d->overflows = false;
    mutex_unlock(&n->mutex);
    if (n->options.observe)
        n->options.observe(n->options.observe_arg, d->url, seconds);
    say_success(n, d);
    batch_clear(d);
}

/* Half a second, doubled each time. */
static int64_t retry_ms(unsigned tries)
{
    int64_t ms = RETRY_MS_MIN;
    for (unsigned i = 1; i < tries && ms < RETRY_MS_MAX; i++)
        ms *= 2;
    return ms < RETRY_MS_MAX ? ms : RETRY_MS_MAX;
}

static void on_failed(struct notifier *n, struct destination *d, bool may_retry,
                      const struct error *err)
{
    d->tries++;
    mutex_lock(&n->mutex);
    bool is_last = n->stop || d->entry_idx == DESTINATION_LEFT;
    bool is_over = is_last || !may_retry || mono_ms_since(d->first_try) >= TRIES_MS_MAX;
    d->stats.errors += d->batch_count;
    if (is_over)
        d->stats.dropped += d->batch_count;
    if (is_last)
        d->stats.dropped += ring_clear(&d->ring);
    mutex_unlock(&n->mutex);
    say_failure(n, d, err, is_over);
    if (is_over)
        batch_clear(d);
    else
        d->retry = mono_add_ms(clock_mono(), retry_ms(d->tries));
}

static void add_to_multi(struct notifier *n, struct destination *d)
{
    CURLMcode code = curl_multi_add_handle(n->multi, d->post.client.easy);
    ASSERT(code == CURLM_OK);
    d->in_multi = true;
}

static void begin(struct notifier *n, struct destination *d, struct config *config,
                  const struct config_alertmanager *entry)
{
    struct error err;
    if (d->tries == 0)
        d->first_try = clock_mono();
    batch_write(d);
    if (alert_post_begin(&d->post, config, entry, d->url, n->tokens, &err))
        add_to_multi(n, d);
    else
        on_failed(n, d, true, &err);
}

static struct destination *destination_of(CURL *easy)
{
    char *post = NULL;
    (void)curl_easy_getinfo(easy, CURLINFO_PRIVATE, &post); /* ours: set */
    ASSERT(post);
    return (struct destination *)(void *)(post - offsetof(struct destination, post));
}

static void finish_transfers(struct notifier *n)
{
    CURLMsg *message;
    int left, running;
    CURLMcode code = curl_multi_perform(n->multi, &running);
    ASSERT(code == CURLM_OK);
    while ((message = curl_multi_info_read(n->multi, &left))) {
        struct error err = {0};
        if (message->msg != CURLMSG_DONE)
            continue;
        CURLcode result = message->data.result;
        CURL *easy = message->easy_handle;
        struct destination *d = destination_of(easy);
        (void)curl_multi_remove_handle(n->multi, easy); /* it is in there: that was the message */
        d->in_multi = false;
        switch (alert_post_end(&d->post, result, n->tokens, &err)) {
        case POST_GOES_ON:
            add_to_multi(n, d);
            break;
        case POST_SENT:
            on_sent(n, d);
            break;
        case POST_FAILED:
            on_failed(n, d, true, &err);
            break;
        case POST_REFUSED:
            on_failed(n, d, false, &err);
            break;
        }
    }
}

/* --- what is due --- */

/* What is begun outside of the mutex. */
struct work {
    struct destination *destination;
    struct config *config; /* referenced */
    const struct config_alertmanager *entry;
};

struct turn {
    struct work *works;
    size_t work_count, work_capacity;
    struct destination **gone;
    size_t gone_count, gone_capacity;
    size_t waiting; /* destinations that have something left */
    int wait_ms;
};

/* True when its batch is to be posted now. */
static bool is_due(struct notifier *n, struct destination *d, struct turn *t)
{
    if (d->in_multi)
        return false;
    if (d->batch_count == 0) {
        if (!d->batch)
            d->batch =
                mem_alloc(MEM_ALERTING, n->options.batch_max * sizeof(struct posted_alert *));
        d->batch_count = ring_take(&d->ring, d->batch, n->options.batch_max);
        return d->batch_count > 0;
    }
    int64_t left_ms = (d->retry.ns - clock_mono().ns) / 1000000 + 1;
    if (n->stop || d->entry_idx == DESTINATION_LEFT || d->retry.ns <= clock_mono().ns)
        return true;
    if (left_ms < t->wait_ms)
        t->wait_ms = (int)left_ms;
    return false;
}

static void turn_take_locked(struct notifier *n, struct turn *t)
{
    size_t kept = 0;
    for (size_t i = 0; i < n->count; i++) {
        struct destination *d = n->destinations[i];
        if (n->stop && !n->options.drain)
            d->stats.dropped += ring_clear(&d->ring);
        bool due = is_due(n, d, t);
        if (due) {
            t->works = mem_grow(MEM_ALERTING, t->works, &t->work_capacity, t->work_count + 1,
                                sizeof *t->works);
            t->works[t->work_count++] = (struct work){d, config_ref(d->config), d->entry};
        }
        t->waiting += d->batch_count > 0;
        if (d->entry_idx == DESTINATION_LEFT && d->batch_count == 0) {
            t->gone = mem_grow(MEM_ALERTING, t->gone, &t->gone_capacity, t->gone_count + 1,
                               sizeof(struct destination *));
            t->gone[t->gone_count++] = d;
        } else {
            n->destinations[kept++] = d;
        }
    }
    n->count = kept;
}

static void turn_do(struct notifier *n, struct turn *t)
{
    for (size_t i = 0; i < t->work_count; i++) {
        begin(n, t->works[i].destination, t->works[i].config, t->works[i].entry);
        config_unref(t->works[i].config);
    }
    for (size_t i = 0; i < t->gone_count; i++) {
        if (n->options.forget)
            n->options.forget(n->options.observe_arg, t->gone[i]->url);
        destination_free(t->gone[i]);
    }
    if (t->work_count)
        t->wait_ms = 0; /* what could not be begun is looked at again, what could is to go */
    t->work_count = t->gone_count = t->waiting = 0;
}

/* What is on its way when the time is over. */
static void give_up(struct notifier *n)
{
    size_t dropped = 0;
    mutex_lock(&n->mutex);
    for (size_t i = 0; i < n->count; i++) {
        struct destination *d = n->destinations[i];
        dropped += ring_clear(&d->ring) + d->batch_count;
        if (d->in_multi)
            (void)curl_multi_remove_handle(n->multi, d->post.client.easy); /* is in it */
        d->in_multi = false;
        batch_clear(d);
    }
    mutex_unlock(&n->mutex);
    if (dropped)
        notifier_log(n, true, "alerts_dropped",
                     "%zu alerts that waited for Alertmanagers are dropped: the server stops",
                     dropped);
}

void *notifier_run(void *arg)
{
    struct notifier *n = arg;
    struct turn t = {0};
    for (;;) {
        finish_transfers(n);
        t.wait_ms = WAIT_MS_MAX;
        mutex_lock(&n->mutex);
        turn_take_locked(n, &t);
        bool stop = n->stop && (t.waiting == 0 || clock_mono().ns >= n->stop_deadline.ns);
        if (n->stop && n->stop_deadline.ns - clock_mono().ns < (int64_t)t.wait_ms * 1000000)
            t.wait_ms = (int)((n->stop_deadline.ns - clock_mono().ns) / 1000000 + 1);
        mutex_unlock(&n->mutex);
        turn_do(n, &t);
        if (stop)
            break;
        if (t.wait_ms == 0)
            continue;
        CURLMcode code = curl_multi_poll(n->multi, NULL, 0, t.wait_ms, NULL);
        ASSERT(code == CURLM_OK);
    }
    give_up(n);
    mem_free(MEM_ALERTING, t.works);
    mem_free(MEM_ALERTING, t.gone);
    return NULL;
}
