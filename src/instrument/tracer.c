/* SPDX-License-Identifier: Apache-2.0 */
/* tracer.c: decides what is recorded, and sends ended spans.
 *
 * Ended spans wait in a list of bounded length under a mutex that is held for a few pointers. The tracer's thread takes a batch
 * when there are enough or the oldest waited long enough, lays it out and posts it without the lock. A batch that the
 * receiver may take later (no answer, 429, 502, 503, 504: OTLP's list) is tried five times with growing pauses; the queue
 * fills meanwhile and spans are dropped and counted. What it refuses for good is counted as rejected. */
#include "instrument/request_private.h"
#include "instrument/status.h"
#include "instrument/threads.h"

#include <stdlib.h>
#include <string.h>

enum {
    QUEUE_SPANS_DEFAULT = 2048,
    BATCH_SPANS_DEFAULT = 512,
    DELAY_MS_DEFAULT = 5000,
    RETRY_MS_DEFAULT = 1000,
    CLOSE_WAIT_MS_DEFAULT = 5000,
    ATTEMPTS_MAX = 5,
    PAUSE_MS_MAX = 30000,
    BATCH_BYTES_SOFT = 1 << 20 /* a batch that is larger is sent as it is: at most one span more */
};

/* Shown by registries after the tracer is gone. */
struct tracer_count {
    _Atomic unsigned references;
    _Atomic uint64_t sent, dropped, rejected, queued;
};

struct belfry_tracer {
    struct text begin; /* constant after open, like the next six */
    belfry_transport transport;
    uint64_t sample_below; /* of 2^56 */
    size_t queue_spans_max, batch_spans_max;
    uint32_t delay_ms, retry_ms, close_wait_ms;
    unsigned forks;
    struct tracer_count *count;
    pthread_t thread;

    pthread_mutex_t mutex; /* guards the rest */
    pthread_cond_t wake;   /* for the thread: spans, flush, stop */
    pthread_cond_t
        idle; /* for those who wait: nothing is queued or being sent; or the thread ended */
    belfry_span *first, *last;
    size_t queued, in_flight;
    unsigned flushers;
    bool stop, gave_up, has_ended;
};

static void count_add(_Atomic uint64_t *counter, uint64_t by)
{
    if (by)
        atomic_fetch_add_explicit(counter, by, memory_order_relaxed);
}

void belfry__tracer_count_dropped(belfry_tracer *tracer, uint64_t spans)
{
    count_add(&tracer->count->dropped, spans);
}

/* --- the thread --- */

/* Takes a batch off the queue. */
static belfry_span *take_batch_locked(belfry_tracer *t)
{
    belfry_span *first = t->first, *last = first;
    t->in_flight = 1;
    while (t->in_flight < t->batch_spans_max && last->next) {
        last = last->next;
        t->in_flight++;
    }
    t->first = last->next;
    if (!t->first)
        t->last = NULL;
    last->next = NULL;
    t->queued -= t->in_flight;
    atomic_store_explicit(&t->count->queued, t->queued, memory_order_relaxed);
    return first;
}

static bool is_retryable(int status)
{
    return status == 0 || status == 429 || status == 502 || status == 503 || status == 504;
}

/* Pauses before another attempt. False when there is to be none. */
static bool pause_before(belfry_tracer *t, unsigned attempt, uint32_t retry_after_ms)
{
    uint64_t pause_ms = (uint64_t)t->retry_ms << (attempt - 1);
    uint8_t jitter = 128;
    if (belfry__random(&jitter, 1)) /* 75 to 125 %: many clients do not come back together */
        pause_ms = pause_ms * (384 + (uint64_t)jitter) / 512;
    if (retry_after_ms > pause_ms)
        pause_ms = retry_after_ms;
    if (pause_ms > PAUSE_MS_MAX)
        pause_ms = PAUSE_MS_MAX;
    int64_t until_ms = belfry__mono_ms() + (int64_t)pause_ms;
    pthread_mutex_lock(&t->mutex);
    while (!t->stop && belfry__cond_wait_until(&t->wake, &t->mutex, until_ms))
        ;
    bool again = !t->stop && attempt < ATTEMPTS_MAX;
    pthread_mutex_unlock(&t->mutex);
    return again;
}

static bool gave_up(belfry_tracer *t)
{
    pthread_mutex_lock(&t->mutex);
    bool is = t->gave_up;
    pthread_mutex_unlock(&t->mutex);
    return is;
}

static void post(belfry_tracer *t, const struct text *body, uint64_t spans)
{
    for (unsigned attempt = 1; !gave_up(t); attempt++) {
        belfry_post_reply reply = {0};
        t->transport.post(t->transport.arg, body->ptr, body->len, &reply);
        if (reply.status >= 200 && reply.status < 300) {
            size_t len =
                reply.body_bytes < sizeof reply.body ? reply.body_bytes : sizeof reply.body;
            uint64_t rejected = belfry__otlp_rejected(reply.body, len);
            rejected = rejected < spans ? rejected : spans;
            count_add(&t->count->rejected, rejected);
            count_add(&t->count->sent, spans - rejected);
            return;
        }
        if (!is_retryable(reply.status)) {
            count_add(&t->count->rejected, spans);
            return;
        }
        if (!pause_before(t, attempt, reply.retry_after_ms))
            break;
    }
    count_add(&t->count->dropped, spans);
}

/* Lays out and posts a batch, in several bodies where its spans are large; frees it. */
static void send_batch(belfry_tracer *t, belfry_span *span)
{
    while (span) {
        struct text body = {0};
        uint64_t spans = 0;
        belfry__text_append(&body, t->begin.ptr, t->begin.len);
        while (span && (spans == 0 || body.len < BATCH_BYTES_SOFT)) {
            belfry_span *next = span->next;
            belfry__otlp_span(&body, span, spans == 0);
            belfry__span_free(span);
            span = next;
            spans++;
        }
        belfry__otlp_end(&body);
        if (body.failed)
            count_add(&t->count->dropped, spans);
        else
            post(t, &body, spans);
        belfry__text_deinit(&body);
    }
}

static void *tracer_thread(void *arg)
{
    belfry_tracer *t = arg;
    pthread_mutex_lock(&t->mutex);
    while (t->first || !t->stop) {
        if (!t->first) {
            pthread_cond_wait(&t->wake, &t->mutex);
            continue;
        }
        int64_t until_ms = belfry__mono_ms() + t->delay_ms;
        while (t->queued < t->batch_spans_max && !t->stop && !t->flushers &&
               belfry__cond_wait_until(&t->wake, &t->mutex, until_ms))
            ;
        belfry_span *batch = take_batch_locked(t);
        pthread_mutex_unlock(&t->mutex);
        send_batch(t, batch);
        pthread_mutex_lock(&t->mutex);
        t->in_flight = 0;
        if (!t->first)
            pthread_cond_broadcast(&t->idle);
    }
    t->has_ended = true;
    pthread_cond_broadcast(&t->idle);
    pthread_mutex_unlock(&t->mutex);
    return NULL;
}

/* --- open and close --- */

static void count_unref(void *arg)
{
    struct tracer_count *count = arg;
    if (atomic_fetch_sub_explicit(&count->references, 1, memory_order_acq_rel) == 1)
        free(count);
}

static void tracer_free(belfry_tracer *t)
{
    belfry__text_deinit(&t->begin);
    if (t->count)
        count_unref(t->count);
    free(t);
}

static bool init_sync(belfry_tracer *t)
{
    return pthread_mutex_init(&t->mutex, NULL) == 0 && belfry__cond_init(&t->wake) &&
           belfry__cond_init(&t->idle);
}

/* Of 2^56; a trace is recorded when the last seven bytes of its id are below (as OpenTelemetry's TraceIdRatioBased). */
static uint64_t sample_below(double ratio)
{
    const uint64_t all = UINT64_C(1) << 56;
    if (ratio == 0 || ratio >= 1)
        return all;
    return ratio > 0 ? (uint64_t)(ratio * (double)all) : 0;
}

static belfry_status tracer_make(belfry_tracer **out, const belfry_tracer_options *o)
{
    if (!o->service_name || !*o->service_name || !o->transport.post)
        return belfry__fail(BELFRY_ERROR_FORMAT, "a tracer needs a service name and a transport");
    belfry__fork_watch();
    belfry_tracer *t = calloc(1, sizeof *t);
    if (!t)
        return belfry__fail_plainly(BELFRY_ERROR_MEMORY);
    t->count = calloc(1, sizeof *t->count);
    bool fits = belfry__otlp_begin(&t->begin, o);
    if (!t->count || t->begin.failed || !fits) {
        if (t->count)
            atomic_init(&t->count->references, 1);
        tracer_free(t);
        return fits ? belfry__fail_plainly(BELFRY_ERROR_MEMORY)
                    : belfry__fail(BELFRY_ERROR_FORMAT,
                                   "a resource attribute has no key or is too long");
    }
    atomic_init(&t->count->references, 1);
    t->transport = o->transport;
    t->sample_below = sample_below(o->sample_ratio);
    t->queue_spans_max = o->queue_spans_max ? o->queue_spans_max : QUEUE_SPANS_DEFAULT;
    t->batch_spans_max = o->batch_spans_max ? o->batch_spans_max : BATCH_SPANS_DEFAULT;
    t->delay_ms = o->delay_ms ? o->delay_ms : DELAY_MS_DEFAULT;
    t->retry_ms = o->retry_ms ? o->retry_ms : RETRY_MS_DEFAULT;
    t->close_wait_ms = o->close_wait_ms ? o->close_wait_ms : CLOSE_WAIT_MS_DEFAULT;
    t->forks = fork_count();
    if (!init_sync(t) || !belfry__thread_start(&t->thread, tracer_thread, t)) {
        tracer_free(t);
        return belfry__fail(BELFRY_ERROR_SYSTEM, "the tracer's thread could not be started");
    }
    *out = t;
    return BELFRY_OK;
}

belfry_status belfry_tracer_open(belfry_tracer **out, const belfry_tracer_options *options)
{
    *out = NULL;
    belfry_status status = tracer_make(out, options);
    if (status != BELFRY_OK && options->transport.release)
        options->transport.release(options->transport.arg);
    return status;
}

static bool is_in_child(const belfry_tracer *t)
{
    return UNLIKELY(t->forks != fork_count());
}

void belfry_tracer_close(belfry_tracer *t)
{
    if (!t ||
        is_in_child(t)) /* what the thread had in its hands at the fork is not known: it stays */
        return;
    int64_t until_ms = belfry__mono_ms() + t->close_wait_ms;
    pthread_mutex_lock(&t->mutex);
    t->stop = true;
    pthread_cond_signal(&t->wake);
    while (!t->has_ended && belfry__cond_wait_until(&t->idle, &t->mutex, until_ms))
        ;
    t->gave_up = !t->has_ended;
    bool cancel = t->gave_up && t->transport.cancel;
    pthread_mutex_unlock(&t->mutex);
    if (cancel)
        t->transport.cancel(t->transport.arg);
    pthread_join(t->thread, NULL);
    if (t->transport.release)
        t->transport.release(t->transport.arg);
    pthread_cond_destroy(&t->idle);
    pthread_cond_destroy(&t->wake);
    pthread_mutex_destroy(&t->mutex);
    tracer_free(t);
}

bool belfry_tracer_flush(belfry_tracer *t, uint32_t wait_ms)
{
    if (!t)
        return true;
    if (is_in_child(t))
        return false;
    int64_t until_ms = belfry__mono_ms() + wait_ms;
    pthread_mutex_lock(&t->mutex);
    t->flushers++;
    pthread_cond_signal(&t->wake);
    while ((t->first || t->in_flight) && belfry__cond_wait_until(&t->idle, &t->mutex, until_ms))
        ;
    bool done = !t->first && !t->in_flight;
    t->flushers--;
    pthread_mutex_unlock(&t->mutex);
    return done;
}

/* --- spans --- */

static bool has_bytes(const uint8_t *bytes, size_t len)
{
    while (len && bytes[len - 1] == 0)
        len--;
    return len > 0;
}

bool belfry__tracer_ids(const belfry_tracer *t, const belfry_trace_context *parent,
                        belfry_trace_context *out)
{
    if (!belfry__random(out->span_id, sizeof out->span_id) ||
        !has_bytes(out->span_id, sizeof out->span_id))
        return false; /* one in 2^64 is all zero: not valid */
    if (parent) {
        memcpy(out->trace_id, parent->trace_id, sizeof out->trace_id);
        out->flags = parent->flags & BELFRY_TRACE_SAMPLED;
        return true;
    }
    if (!belfry__random(out->trace_id, sizeof out->trace_id) ||
        !has_bytes(out->trace_id, sizeof out->trace_id))
        return false;
    uint64_t last = 0;
    for (size_t i = 9; i < sizeof out->trace_id; i++)
        last = last << 8 | out->trace_id[i];
    out->flags = last < t->sample_below ? BELFRY_TRACE_SAMPLED : 0;
    return true;
}

void belfry__tracer_queue(belfry_tracer *t, belfry_span *span)
{
    bool taken = false;
    if (!is_in_child(t)) {
        pthread_mutex_lock(&t->mutex);
        taken = !t->stop && t->queued < t->queue_spans_max;
        if (taken) {
            if (t->last)
                t->last->next = span;
            else
                t->first = span;
            t->last = span;
            t->queued++;
            atomic_store_explicit(&t->count->queued, t->queued, memory_order_relaxed);
            if (t->queued == 1 || t->queued == t->batch_spans_max)
                pthread_cond_signal(&t->wake);
        }
        pthread_mutex_unlock(&t->mutex);
    }
    if (taken)
        return;
    count_add(&t->count->dropped, 1);
    belfry__span_free(span);
}

/* --- statistics --- */

void belfry_tracer_stats_get(const belfry_tracer *tracer, belfry_tracer_stats *out)
{
    *out = (belfry_tracer_stats){0};
    if (!tracer)
        return;
    const struct tracer_count *c = tracer->count;
    out->sent = atomic_load_explicit(&c->sent, memory_order_relaxed);
    out->dropped = atomic_load_explicit(&c->dropped, memory_order_relaxed);
    out->rejected = atomic_load_explicit(&c->rejected, memory_order_relaxed);
    out->queued = atomic_load_explicit(&c->queued, memory_order_relaxed);
}

static void collect(void *arg, belfry_emitter *e)
{
    const struct tracer_count *c = arg;
    belfry_emit(e, "belfry_spans_sent_total", "Spans that the receiver took.", BELFRY_COUNTER,
                (double)atomic_load_explicit(&c->sent, memory_order_relaxed));
    belfry_emit(e, "belfry_spans_dropped_total", "Spans that were lost before they were sent.",
                BELFRY_COUNTER, (double)atomic_load_explicit(&c->dropped, memory_order_relaxed));
    belfry_emit(e, "belfry_spans_rejected_total", "Spans that the receiver refused.",
                BELFRY_COUNTER, (double)atomic_load_explicit(&c->rejected, memory_order_relaxed));
    belfry_emit(e, "belfry_spans_queued", "Ended spans that wait to be sent.", BELFRY_GAUGE,
                (double)atomic_load_explicit(&c->queued, memory_order_relaxed));
}

belfry_status belfry_tracer_register(belfry_tracer *tracer, belfry_registry *registry)
{
    if (!tracer)
        return belfry__fail_plainly(BELFRY_ERROR_NULL);
    atomic_fetch_add_explicit(&tracer->count->references, 1, memory_order_relaxed);
    return belfry_collector_new(registry, collect, tracer->count, count_unref);
}
