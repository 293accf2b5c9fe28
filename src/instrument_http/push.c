/* SPDX-License-Identifier: Apache-2.0 */
/* push.c: see belfry/push.h. A push is a list of requests (one for a gateway, some for remote write), each tried until it
 * is taken, refused for good, given up or canceled. */
#include "base/attributes.h"
#include "instrument_http/fail.h"
#include "instrument_http/push_url.h"
#include "instrument_http/remote.h"
#include "instrument_http/remote_write.h"
#include "instrument_http/snappy_block.h"

#include <belfry/exposition.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
    ATTEMPTS_MAX = 4,
    RETRY_MS = 500,
    RETRY_MS_MAX = 30 * 1000, /* whatever Retry-After says */
    EXIT_TIMEOUT_MS = 10 * 1000,
    GROUPING_MAX = 32
};

/* What is shown of a push; counted, because a registry may keep it longer. */
struct push_counts {
    _Atomic unsigned references;
    _Atomic uint64_t pushes, failures, attempts, last_push_ms;
};

struct belfry_push {
    /* Constant after start. */
    belfry_registry *registry;
    belfry_push_protocol protocol;
    char *url; /* of the group */
    char *job;
    belfry_label grouping[GROUPING_MAX]; /* owned texts */
    size_t grouping_count;
    const char *method;
    bool no_native;
    unsigned interval_ms, attempts_max, retry_ms, exit_timeout_ms;
    pid_t pid;
    struct push_counts *counts;
    bool has_thread;
    pthread_t thread;
    struct belfry_push *next_at_exit; /* under exit_mutex */

    _Atomic bool is_canceled; /* what runs ends soon */

    /* Held for a whole push, network and all: pushes are meant to wait for each other. Before `mutex`. */
    pthread_mutex_t pushing;
    struct remote *remote;
    int64_t deadline_ms; /* of this push; 0 = none */

    pthread_mutex_t mutex; /* guards what follows */
    pthread_cond_t wake;   /* CLOCK_MONOTONIC */
    bool is_stopping;
    belfry_http_error last_failure;
};

static int64_t clock_ms(clockid_t clock)
{
    struct timespec t;
    (void)clock_gettime(clock, &t); /* cannot fail */
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static bool is_ours(const belfry_push *p)
{
    return p->pid == getpid();
}

static belfry_status fail_null(belfry_http_error *error)
{
    return belfry__http_fail(error, BELFRY_ERROR_NULL, "there is no push: it was not started");
}

static belfry_status fail_foreign(belfry_http_error *error)
{
    return belfry__http_fail(error, BELFRY_ERROR_SYSTEM,
                             "the push belongs to the process that started it, not to its child");
}

/* ---- attempts ---- */

/* False when it is stopping. */
static bool sleep_ms(belfry_push *p, int64_t ms)
{
    struct timespec until;
    (void)clock_gettime(CLOCK_MONOTONIC, &until); /* cannot fail */
    until.tv_sec += ms / 1000;
    until.tv_nsec += ms % 1000 * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    pthread_mutex_lock(&p->mutex);
    int code = 0;
    while (!p->is_stopping && code == 0)
        code = pthread_cond_timedwait(&p->wake, &p->mutex, &until);
    bool go_on = !p->is_stopping;
    pthread_mutex_unlock(&p->mutex);
    return go_on;
}

static bool may_retry(const struct remote_reply *reply)
{
    return reply->status == 0 || reply->status == 429 || reply->status >= 500;
}

/* The answer's first line, without what is not for people. */
static void sentence_of(char *out, size_t bytes, const struct remote_reply *reply)
{
    size_t len = 0;
    while (len + 1 < bytes && reply->body[len] && reply->body[len] != '\n') {
        char c = reply->body[len];
        out[len++] = (unsigned char)c < 0x20 || c == 0x7f ? ' ' : c;
    }
    out[len] = '\0';
}

static belfry_status say_why(const struct remote_reply *reply, const char *url,
                             belfry_http_error *error)
{
    char text[120];
    if (reply->status == 0)
        return belfry__http_fail(error, BELFRY_ERROR_SYSTEM, "could not reach %.100s: %s", url,
                                 reply->trouble);
    sentence_of(text, sizeof text, reply);
    return belfry__http_fail(error, BELFRY_ERROR_SYSTEM, "%.100s answered %d%s%s", url,
                             reply->status, text[0] ? ": " : "", text);
}

static int64_t left_ms(const belfry_push *p)
{
    return p->deadline_ms ? p->deadline_ms - clock_ms(CLOCK_MONOTONIC) : INT64_MAX;
}

static belfry_status send_until_taken(belfry_push *p, const struct remote_request *request,
                                      belfry_http_error *error)
{
    struct remote_reply reply;
    int64_t wait_ms = p->retry_ms;
    for (unsigned attempt = 1;; attempt++) {
        int64_t left = left_ms(p);
        if (left <= 0)
            return belfry__http_fail(error, BELFRY_ERROR_SYSTEM,
                                     "no time was left to push to %.100s", request->url);
        belfry__remote_send(p->remote, request, left == INT64_MAX ? 0 : left, &reply);
        atomic_fetch_add_explicit(&p->counts->attempts, 1, memory_order_relaxed);
        if (reply.status >= 200 && reply.status < 300)
            return BELFRY_OK;
        int64_t pause_ms = reply.retry_after_ms > wait_ms ? reply.retry_after_ms : wait_ms;
        pause_ms = pause_ms < RETRY_MS_MAX ? pause_ms : RETRY_MS_MAX;
        if (attempt == p->attempts_max || !may_retry(&reply) || pause_ms >= left_ms(p) ||
            !sleep_ms(p, pause_ms))
            return say_why(&reply, request->url, error);
        wait_ms *= 2;
    }
}

/* ---- to a gateway ---- */

static bool append(void *arg, const char *bytes, size_t len)
{
    struct text *t = arg;
    belfry__text_append(t, bytes, len);
    return !t->failed;
}

static belfry_status push_to_gateway(belfry_push *p, belfry_http_error *error)
{
    static const char *const headers[] = {"Content-Type: " BELFRY_TEXT_CONTENT_TYPE};
    struct text body = {0};
    belfry_status status = belfry_registry_write(p->registry, NULL, append, &body);
    if (status == BELFRY_OK) {
        const struct remote_request request = {.method = p->method,
                                               .url = p->url,
                                               .headers = headers,
                                               .header_count = ARRAY_COUNT(headers),
                                               .body = body.ptr ? body.ptr : "",
                                               .body_bytes = body.len};
        status = send_until_taken(p, &request, error);
    } else {
        status = belfry__http_fail_memory(error); /* the text could not be kept */
    }
    belfry__text_deinit(&body);
    return status;
}

/* ---- by remote write ---- */

struct remote_push {
    belfry_push *push;
    belfry_http_error *error;
    belfry_status status;
};

static bool send_write_request(void *arg, const char *bytes, size_t len)
{
    static const char *const headers[] = {"Content-Type: application/x-protobuf",
                                          "Content-Encoding: snappy",
                                          "X-Prometheus-Remote-Write-Version: 0.1.0"};
    struct remote_push *rp = arg;
    char *packed = malloc(SNAPPY_BYTES_MAX(len));
    if (!packed) {
        rp->status = belfry__http_fail_memory(rp->error);
        return false;
    }
    const struct remote_request request = {.method = "POST",
                                           .url = rp->push->url,
                                           .headers = headers,
                                           .header_count = ARRAY_COUNT(headers),
                                           .body = packed,
                                           .body_bytes = belfry__snappy(packed, bytes, len)};
    rp->status = send_until_taken(rp->push, &request, rp->error);
    free(packed);
    return rp->status == BELFRY_OK;
}

static belfry_status push_by_remote_write(belfry_push *p, belfry_http_error *error)
{
    static const belfry_exposition how = {.format = BELFRY_FORMAT_PROTOBUF,
                                          .escaping = BELFRY_ESCAPING_ALLOW_UTF8};
    struct remote_push rp = {.push = p, .error = error, .status = BELFRY_OK};
    struct remote_writer w = {.no_native = p->no_native,
                              .now_ms = clock_ms(CLOCK_REALTIME),
                              .send = send_write_request,
                              .arg = &rp};
    if (p->job && p->job[0])
        w.extra[w.extra_count++] = (struct write_label){"job", p->job, 3, strlen(p->job)};
    for (size_t i = 0; i < p->grouping_count; i++) {
        const belfry_label *l = &p->grouping[i];
        w.extra[w.extra_count++] =
            (struct write_label){l->name, l->value, strlen(l->name), strlen(l->value)};
    }
    bool ok =
        belfry_registry_write(p->registry, &how, belfry__remote_writer_take, &w) == BELFRY_OK &&
        belfry__remote_writer_finish(&w);
    belfry__remote_writer_deinit(&w);
    if (w.has_no_room)
        return belfry__http_fail(error, BELFRY_ERROR_FORMAT,
                                 "a series has more than %d labels, with those of the group",
                                 WRITE_LABELS_MAX);
    if (!ok && rp.status == BELFRY_OK)
        return belfry__http_fail_memory(error);
    return rp.status;
}

/* ---- a push ---- */

static belfry_status push_locked(belfry_push *p, belfry_http_error *error)
{
    belfry_http_error why = {""};
    belfry_status status = p->protocol == BELFRY_PUSH_REMOTE_WRITE ? push_by_remote_write(p, &why)
                                                                   : push_to_gateway(p, &why);
    if (status == BELFRY_OK) {
        atomic_fetch_add_explicit(&p->counts->pushes, 1, memory_order_relaxed);
        atomic_store_explicit(&p->counts->last_push_ms, (uint64_t)clock_ms(CLOCK_REALTIME),
                              memory_order_relaxed);
        return status;
    }
    atomic_fetch_add_explicit(&p->counts->failures, 1, memory_order_relaxed);
    pthread_mutex_lock(&p->mutex);
    p->last_failure = why;
    pthread_mutex_unlock(&p->mutex);
    if (error)
        *error = why;
    return status;
}

belfry_status belfry_push_now(belfry_push *p, belfry_http_error *error)
{
    if (!p)
        return fail_null(error);
    if (!is_ours(p))
        return fail_foreign(error);
    pthread_mutex_lock(&p->pushing);
    belfry_status status = push_locked(p, error);
    pthread_mutex_unlock(&p->pushing);
    return status;
}

belfry_status belfry_push_delete(belfry_push *p, belfry_http_error *error)
{
    if (!p)
        return fail_null(error);
    if (!is_ours(p))
        return fail_foreign(error);
    if (p->protocol != BELFRY_PUSH_GATEWAY)
        return belfry__http_fail(error, BELFRY_ERROR_FORMAT,
                                 "remote write has no group that could be deleted");
    const struct remote_request request = {.method = "DELETE", .url = p->url};
    pthread_mutex_lock(&p->pushing);
    belfry_status status = send_until_taken(p, &request, error);
    pthread_mutex_unlock(&p->pushing);
    return status;
}

static void *run(void *arg)
{
    belfry_push *p = arg;
    int64_t next_ms = clock_ms(CLOCK_MONOTONIC);
    for (;;) {
        next_ms += p->interval_ms;
        int64_t now_ms = clock_ms(CLOCK_MONOTONIC);
        if (next_ms <
            now_ms) /* a push took longer than the interval: what was missed is left out */
            next_ms = now_ms;
        if (!sleep_ms(p, next_ms - now_ms))
            return NULL;
        if (belfry_push_now(p, NULL) != BELFRY_OK)
            continue; /* counted, and kept in last_failure */
    }
}

/* ---- at exit ---- */

static pthread_mutex_t exit_mutex = PTHREAD_MUTEX_INITIALIZER;
static belfry_push *at_exit;
static bool exit_is_watched;

/* Ends the thread, and a push of whatever thread that runs. Then the push can be used again. */
static void end_thread(belfry_push *p)
{
    pthread_mutex_lock(&p->mutex);
    p->is_stopping = true;
    pthread_cond_broadcast(&p->wake);
    pthread_mutex_unlock(&p->mutex);
    atomic_store_explicit(&p->is_canceled, true, memory_order_relaxed);
    if (p->has_thread)
        (void)pthread_join(p->thread, NULL); /* ours, joined once */
    p->has_thread = false;
    pthread_mutex_lock(&p->pushing);
    pthread_mutex_lock(&p->mutex);
    p->is_stopping = false;
    pthread_mutex_unlock(&p->mutex);
    atomic_store_explicit(&p->is_canceled, false, memory_order_relaxed);
    pthread_mutex_unlock(&p->pushing);
}

static belfry_status push_last(belfry_push *p, belfry_http_error *error)
{
    pthread_mutex_lock(&p->pushing);
    p->deadline_ms = clock_ms(CLOCK_MONOTONIC) + p->exit_timeout_ms;
    belfry_status status = push_locked(p, error);
    pthread_mutex_unlock(&p->pushing);
    return status;
}

static void push_at_exit(void)
{
    for (;;) {
        if (pthread_mutex_trylock(&exit_mutex) != 0)
            return; /* a child of a fork() in the middle of a start */
        belfry_push *p = at_exit;
        if (p)
            at_exit = p->next_at_exit;
        pthread_mutex_unlock(&exit_mutex);
        if (!p)
            return;
        if (!is_ours(p))
            continue;
        end_thread(p);
        (void)push_last(p, NULL); /* nobody is left to be told */
    }
}

static bool watch_exit(belfry_push *p)
{
    pthread_mutex_lock(&exit_mutex);
    bool ok = exit_is_watched || atexit(push_at_exit) == 0;
    exit_is_watched = ok;
    if (ok) {
        p->next_at_exit = at_exit;
        at_exit = p;
    }
    pthread_mutex_unlock(&exit_mutex);
    return ok;
}

static void forget_exit(const belfry_push *p)
{
    pthread_mutex_lock(&exit_mutex);
    belfry_push **at = &at_exit;
    while (*at && *at != p)
        at = &(*at)->next_at_exit;
    if (*at)
        *at = p->next_at_exit;
    pthread_mutex_unlock(&exit_mutex);
}

/* ---- start and stop ---- */

static void unref_counts(void *arg)
{
    struct push_counts *c = arg;
    if (c && atomic_fetch_sub_explicit(&c->references, 1, memory_order_acq_rel) == 1)
        free(c);
}

static void free_push(belfry_push *p)
{
    belfry__remote_free(p->remote);
    unref_counts(p->counts);
    for (size_t i = 0; i < p->grouping_count; i++) {
        free((char *)(uintptr_t)p->grouping[i].name);
        free((char *)(uintptr_t)p->grouping[i].value);
    }
    free(p->url);
    free(p->job);
    pthread_mutex_destroy(&p->pushing);
    pthread_mutex_destroy(&p->mutex);
    pthread_cond_destroy(&p->wake);
    free(p);
}

static const char *options_fault(const belfry_push_options *o)
{
    if (o->protocol != BELFRY_PUSH_GATEWAY && o->protocol != BELFRY_PUSH_REMOTE_WRITE)
        return "an unknown protocol";
    if (o->protocol == BELFRY_PUSH_GATEWAY && (!o->job || !o->job[0]))
        return "a gateway needs a job";
    if (o->grouping_count > GROUPING_MAX)
        return "more than 32 grouping labels";
    return belfry__group_fault(o->job, o->grouping, o->grouping_count);
}

static bool copy_options(belfry_push *p, const belfry_push_options *o)
{
    struct text url = {0};
    if (o->job && !(p->job = strdup(o->job)))
        return false;
    for (size_t i = 0; i < o->grouping_count; i++) {
        p->grouping[i].name = strdup(o->grouping[i].name);
        p->grouping[i].value = strdup(o->grouping[i].value);
        p->grouping_count = i + 1;
        if (!p->grouping[i].name || !p->grouping[i].value)
            return false;
    }
    if (o->protocol == BELFRY_PUSH_GATEWAY) {
        belfry__push_url(&url, o->remote.url, o->job, o->grouping, o->grouping_count);
        if (url.failed)
            belfry__text_deinit(&url);
        p->url = url.ptr;
    } else {
        p->url = strdup(o->remote.url);
    }
    p->counts = calloc(1, sizeof *p->counts);
    if (p->counts)
        atomic_init(&p->counts->references, 1);
    return p->url && p->counts;
}

static void init_sync(belfry_push *p)
{
    pthread_condattr_t attr;
    pthread_mutex_init(&p->pushing, NULL); /* none of these can fail with these arguments */
    pthread_mutex_init(&p->mutex, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&p->wake, &attr);
    pthread_condattr_destroy(&attr);
}

static bool start_thread(belfry_push *p)
{
    sigset_t blocked, before;
    sigfillset(&blocked); /* signals are for the program's threads */
    int code = pthread_sigmask(SIG_SETMASK, &blocked, &before);
    if (code == 0) {
        code = pthread_create(&p->thread, NULL, run, p);
        (void)pthread_sigmask(SIG_SETMASK, &before, NULL); /* what it was */
    }
    p->has_thread = code == 0;
    errno = code;
    return p->has_thread;
}

belfry_status belfry_push_start(belfry_push **out, const belfry_push_options *o,
                                belfry_http_error *error)
{
    if (out)
        *out = NULL;
    if (!out || !o)
        return belfry__http_fail(error, BELFRY_ERROR_NULL,
                                 "there is no place for the push, or no options");
    const char *fault = options_fault(o);
    if (fault)
        return belfry__http_fail(error, BELFRY_ERROR_FORMAT, "%s", fault);
    belfry_push *p = calloc(1, sizeof *p);
    if (!p)
        return belfry__http_fail_memory(error);
    init_sync(p);
    p->pid = getpid();
    p->registry = o->registry;
    p->protocol = o->protocol;
    p->method = o->keep_others ? "POST" : "PUT";
    p->no_native = o->no_native_histograms;
    p->interval_ms = o->interval_ms;
    p->attempts_max = o->attempts_max ? o->attempts_max : ATTEMPTS_MAX;
    p->retry_ms = o->retry_ms ? o->retry_ms : RETRY_MS;
    p->exit_timeout_ms = o->exit_timeout_ms ? o->exit_timeout_ms : EXIT_TIMEOUT_MS;
    belfry_status status = belfry__remote_new(&p->remote, &o->remote, &p->is_canceled, error);
    if (status == BELFRY_OK && !copy_options(p, o))
        status = belfry__http_fail_memory(error);
    if (status == BELFRY_OK && o->at_exit && !watch_exit(p))
        status = belfry__http_fail_memory(error);
    if (status == BELFRY_OK && p->interval_ms && !start_thread(p)) {
        status = belfry__http_fail(error, BELFRY_ERROR_SYSTEM, "could not start a thread: %s",
                                   strerror(errno));
        forget_exit(p);
    }
    if (status != BELFRY_OK)
        free_push(p);
    else
        *out = p;
    return status;
}

belfry_status belfry_push_stop(belfry_push *p, bool last, belfry_http_error *error)
{
    if (!p)
        return BELFRY_OK;
    if (!is_ours(p)) /* its thread and locks are the parent's: left as they are */
        return last ? fail_foreign(error) : BELFRY_OK;
    forget_exit(p);
    end_thread(p);
    belfry_status status = last ? push_last(p, error) : BELFRY_OK;
    free_push(p);
    return status;
}

/* ---- questions ---- */

void belfry_push_stats_get(belfry_push *p, belfry_push_stats *out)
{
    if (!p || !out) {
        if (out)
            *out = (belfry_push_stats){0};
        return;
    }
    const struct push_counts *c = p->counts;
    out->pushes = atomic_load_explicit(&c->pushes, memory_order_relaxed);
    out->failures = atomic_load_explicit(&c->failures, memory_order_relaxed);
    out->attempts = atomic_load_explicit(&c->attempts, memory_order_relaxed);
    out->last_push_seconds =
        (double)atomic_load_explicit(&c->last_push_ms, memory_order_relaxed) / 1000;
    out->last_failure = (belfry_http_error){""};
    if (!is_ours(p))
        return; /* the lock may be held by a thread that is not here */
    pthread_mutex_lock(&p->mutex);
    out->last_failure = p->last_failure;
    pthread_mutex_unlock(&p->mutex);
}

static void collect(void *arg, belfry_emitter *e)
{
    const struct push_counts *c = arg;
    belfry_emit(e, "belfry_pushes_total", "Pushes that were taken.", BELFRY_COUNTER,
                (double)atomic_load_explicit(&c->pushes, memory_order_relaxed));
    belfry_emit(e, "belfry_push_failures_total", "Pushes that were given up.", BELFRY_COUNTER,
                (double)atomic_load_explicit(&c->failures, memory_order_relaxed));
    belfry_emit(e, "belfry_push_attempts_total", "Requests of pushes.", BELFRY_COUNTER,
                (double)atomic_load_explicit(&c->attempts, memory_order_relaxed));
    belfry_emit(e, "belfry_push_last_success_timestamp_seconds",
                "When a push was last taken; 0 = never.", BELFRY_GAUGE,
                (double)atomic_load_explicit(&c->last_push_ms, memory_order_relaxed) / 1000);
}

belfry_status belfry_push_register(belfry_push *p, belfry_registry *registry)
{
    if (!p)
        return BELFRY_ERROR_NULL;
    atomic_fetch_add_explicit(&p->counts->references, 1, memory_order_relaxed);
    return belfry_collector_new(registry, collect, p->counts, unref_counts);
}
