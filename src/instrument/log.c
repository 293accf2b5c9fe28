/* SPDX-License-Identifier: Apache-2.0 */
/* log.c: see belfry/log.h.
 *
 * A line is laid out on the caller's stack and copied into a ring without a lock (log_ring.c); the log's thread takes lines
 * out in batches and writes them. A line that does not fit is dropped and counted: nobody waits for a reader.
 *
 * The thread sleeps on a semaphore. Before it does, it sets `sleeping` and looks into the ring once more; a writer
 * completes its record and then looks at `sleeping`. All four are seq_cst, so one of them sees the other's store, and
 * a line never waits in the ring while the thread sleeps. After a batch the thread naps a millisecond before it
 * goes to sleep: under load writers find it awake and make no system call.
 *
 * After fork() the child's log has no thread and a ring that may be half written. The first line in the child (it sees that
 * forks were counted) resets everything and starts a thread; lines of others meanwhile are dropped.
 *
 * libc and pthreads only: this is part of libbelfry. */
#include "belfry/log.h"

#include "instrument/context.h"
#include "instrument/log_line.h"
#include "instrument/log_out.h"
#include "instrument/log_repeat.h"
#include "instrument/log_ring.h"
#include "instrument/status.h"
#include "instrument/threads.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

enum {
    QUEUE_BYTES_DEFAULT = 256 * 1024,
    BATCH_BYTES = 64 * 1024,
    CLOSE_WAIT_MS = 2000,
    NAP_NS = 1000000,
    REPEAT_INTERVAL_MS = 10000
};

/* How many lines were lost; lives as long as the log or a registry that shows it. */
struct log_count {
    _Atomic uint64_t dropped;
    _Atomic unsigned references;
};

struct belfry_log {
    struct line_options line; /* constant after open, like the next three */
    bool synchronous;
    struct log_count *count;
    struct repeats *repeats; /* NULL = no limit; its inside is any thread's */

    _Atomic int level;    /* any thread, relaxed */
    _Atomic bool gave_up; /* close() waited long enough; release by closer, acquire by the thread */
    _Atomic bool reopen;  /* the file is to be opened again */
    _Atomic bool stop;    /* the thread ends when the ring is empty */
    _Atomic bool sleeping;      /* see above */
    _Atomic unsigned forks;     /* fork_count() as the thread was started */
    _Atomic bool is_restarting; /* in a child, by the line that noticed first */
    _Atomic bool is_off;        /* in a child that gave no thread: lines are dropped */
    sem_t wake;

    struct log_ring ring;
    char *batch;        /* the thread's, BATCH_BYTES */
    struct log_out out; /* the thread's; when synchronous, under the mutex */
    pthread_t thread;
    bool has_thread;

    pthread_mutex_t mutex;  /* guards the next one; when synchronous, out */
    pthread_cond_t written; /* written_to has moved */
    uint64_t written_to;    /* bytes of the ring that were written, or lost */
};

/* --- the thread --- */

static void count_dropped(struct belfry_log *log, uint64_t lines)
{
    if (lines)
        atomic_fetch_add_explicit(&log->count->dropped, lines, memory_order_relaxed);
}

static void write_out(struct belfry_log *log, const char *bytes, size_t len)
{
    count_dropped(log, belfry__log_out_write(&log->out, bytes, len, &log->gave_up));
}

/* A line of the log's own, without a thread's context; at most 3 fields. */
static void write_own_line(struct belfry_log *log, belfry_log_level level, const char *event,
                           const belfry_field *fields, size_t count)
{
    struct line l;
    struct line_options options = log->line;
    belfry_field all[4];
    options.with_context = false;
    memcpy(all, fields, count * sizeof all[0]);
    if (options.with_request_id)
        all[count++] = BELFRY_NULL("request_id");
    belfry__log_line_make(&l, &options, level, event, all, count);
    write_out(log, l.text, l.len);
}

static void reopen_when_due(struct belfry_log *log)
{
    bool asked = atomic_exchange_explicit(&log->reopen, false, memory_order_acq_rel);
    if (!asked && !belfry__log_out_was_moved(&log->out))
        return;
    if (!belfry__log_out_reopen(&log->out)) {
        belfry_field fields[] = {BELFRY_STR("path", log->out.path), BELFRY_INT("errno", errno)};
        write_own_line(log, BELFRY_LOG_ERROR, "log_reopen_failed", fields, 2);
    }
}

static void tell_repeats(struct belfry_log *log, bool all)
{
    const struct repeat_place *place;
    uint32_t held;
    size_t idx = 0;
    while (log->repeats && belfry__repeats_take(log->repeats, all, &idx, &place, &held)) {
        belfry_field field = BELFRY_UINT("repeated", held);
        write_own_line(log, place->level, place->event, &field, 1);
    }
}

/* Writes one batch. False when there was none. */
static bool write_batch(struct belfry_log *log)
{
    size_t len = belfry__log_ring_take(&log->ring, log->batch, BATCH_BYTES);
    if (len) {
        reopen_when_due(log);
        write_out(log, log->batch, len);
    }
    pthread_mutex_lock(&log->mutex);
    log->written_to = atomic_load_explicit(&log->ring.tail, memory_order_relaxed);
    pthread_cond_broadcast(&log->written);
    pthread_mutex_unlock(&log->mutex);
    return len > 0;
}

static void sleep_until_woken(struct belfry_log *log)
{
    atomic_store_explicit(&log->sleeping, true, memory_order_seq_cst);
    if (belfry__log_ring_has_lines(&log->ring) || atomic_load(&log->stop) ||
        atomic_load(&log->reopen)) {
        atomic_store_explicit(&log->sleeping, false, memory_order_relaxed);
        return;
    }
    if (log->repeats && atomic_load(&log->repeats->has_held)) {
        int64_t until_ms = belfry__mono_ms() + log->repeats->interval_ms;
        struct timespec until = {until_ms / 1000, until_ms % 1000 * 1000000};
        while (sem_clockwait(&log->wake, CLOCK_MONOTONIC, &until) != 0 && errno == EINTR)
            ;
    } else {
        while (sem_wait(&log->wake) != 0 && errno == EINTR)
            ;
    }
    atomic_store_explicit(&log->sleeping, false, memory_order_relaxed);
}

static void *log_thread(void *arg)
{
    struct belfry_log *log = arg;
    bool napped = false;
    for (;;) {
        if (atomic_load_explicit(&log->reopen, memory_order_relaxed))
            reopen_when_due(log);
        bool stop = atomic_load_explicit(&log->stop, memory_order_acquire);
        tell_repeats(log, false);
        if (write_batch(log)) {
            napped = false;
        } else if (stop) {
            break;
        } else if (!napped) {
            nanosleep(&(struct timespec){0, NAP_NS}, NULL);
            napped = true;
        } else {
            sleep_until_woken(log);
            napped = false;
        }
    }
    tell_repeats(log, true);
    return NULL;
}

static bool start_thread(struct belfry_log *log)
{
    log->has_thread = belfry__thread_start(&log->thread, log_thread, log);
    return log->has_thread;
}

static void wake(struct belfry_log *log)
{
    if (atomic_exchange(&log->sleeping, false))
        (void)sem_post(&log->wake); /* fails only past SEM_VALUE_MAX: then it is awake */
}

/* --- open and close --- */

static bool init_sync(struct belfry_log *log)
{
    return sem_init(&log->wake, 0, 0) == 0 && pthread_mutex_init(&log->mutex, NULL) == 0 &&
           belfry__cond_init(&log->written);
}

static void count_unref(void *arg)
{
    struct log_count *count = arg;
    if (atomic_fetch_sub_explicit(&count->references, 1, memory_order_acq_rel) == 1)
        free(count);
}

static void log_free(struct belfry_log *log)
{
    belfry__log_out_close(&log->out);
    belfry__log_ring_deinit(&log->ring);
    free(log->batch);
    free(log->repeats);
    if (log->count)
        count_unref(log->count);
    free(log);
}

static bool alloc_parts(struct belfry_log *log, const belfry_log_options *options)
{
    log->count = calloc(1, sizeof *log->count);
    if (!log->count)
        return false;
    atomic_init(&log->count->references, 1);
    if (options->repeat_max) {
        log->repeats = calloc(1, sizeof *log->repeats);
        if (!log->repeats)
            return false;
        log->repeats->max = options->repeat_max;
        log->repeats->interval_ms =
            options->repeat_interval_ms ? options->repeat_interval_ms : REPEAT_INTERVAL_MS;
    }
    if (log->synchronous)
        return true;
    log->batch = malloc(BATCH_BYTES);
    return log->batch &&
           belfry__log_ring_init(&log->ring, options->queue_bytes_max ? options->queue_bytes_max
                                                                      : QUEUE_BYTES_DEFAULT);
}

belfry_log *belfry_log_open(const belfry_log_options *options)
{
    if (!options)
        return NULL;
    belfry__fork_watch();
    struct belfry_log *log = calloc(1, sizeof *log);
    if (!log)
        return NULL;
    log->line = (struct line_options){.format = options->format,
                                      .with_request_id = options->with_request_id,
                                      .with_context = true,
                                      .with_trace = options->with_trace};
    log->synchronous = options->synchronous;
    atomic_init(&log->level, options->level);
    atomic_init(&log->forks, fork_count());
    if (alloc_parts(log, options) && belfry__log_out_open(&log->out, options->fd, options->path) &&
        init_sync(log) && (log->synchronous || start_thread(log)))
        return log;
    int code = errno;
    log_free(log);
    errno = code;
    return NULL;
}

static bool came_through_fork(const struct belfry_log *log)
{
    return UNLIKELY(atomic_load_explicit(&log->forks, memory_order_acquire) != fork_count());
}

void belfry_log_close(belfry_log *log)
{
    if (!log)
        return;
    bool is_ours = !came_through_fork(log);
    if (log->synchronous && is_ours)
        tell_repeats(log, true);
    if (log->has_thread && is_ours) {
        if (!belfry_log_flush(log))
            atomic_store_explicit(&log->gave_up, true, memory_order_release);
        atomic_store(&log->stop, true);
        wake(log);
        pthread_join(log->thread, NULL);
    }
    if (is_ours) { /* in a child their state is not known; nothing needs to be given back */
        pthread_cond_destroy(&log->written);
        pthread_mutex_destroy(&log->mutex);
        sem_destroy(&log->wake);
    }
    log_free(log);
}

/* --- in a child --- */

/* The first line after a fork: everything anew, but for what is waiting, which the parent writes. False while another thread
 * is at it. */
static NOINLINE bool restart_in_child(struct belfry_log *log)
{
    if (atomic_exchange_explicit(&log->is_restarting, true, memory_order_acquire))
        return false;
    unsigned forks = fork_count();
    if (atomic_load_explicit(&log->forks, memory_order_relaxed) != forks) {
        log->has_thread = false;
        atomic_store_explicit(&log->sleeping, false, memory_order_relaxed);
        log->written_to = 0;
        if (log->repeats)
            memset(log->repeats->places, 0, sizeof log->repeats->places);
        if (!log->synchronous)
            belfry__log_ring_reset(&log->ring);
        if (!init_sync(log) || (!log->synchronous && !start_thread(log)))
            atomic_store_explicit(&log->is_off, true, memory_order_relaxed);
        atomic_store_explicit(&log->forks, forks, memory_order_release);
    }
    atomic_store_explicit(&log->is_restarting, false, memory_order_release);
    return true;
}

/* --- writing --- */

/* On the caller's thread. A closed pipe must not kill the host: SIGPIPE is blocked meanwhile and, if it came, taken. */
static void write_now(struct belfry_log *log, const struct line *l)
{
    sigset_t pipe_only, before, pending;
    sigemptyset(&pipe_only);
    sigaddset(&pipe_only, SIGPIPE);
    sigpending(&pending);
    bool was_pending = sigismember(&pending, SIGPIPE) == 1;
    pthread_sigmask(SIG_BLOCK, &pipe_only, &before);
    pthread_mutex_lock(&log->mutex);
    reopen_when_due(log);
    tell_repeats(log, false);
    if (l)
        write_out(log, l->text, l->len);
    pthread_mutex_unlock(&log->mutex);
    if (!was_pending)
        while (sigtimedwait(&pipe_only, NULL, &(struct timespec){0, 0}) < 0 && errno == EINTR)
            ;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

static void write_line(struct belfry_log *log, const struct line_options *options,
                       belfry_log_level level, const char *event, const belfry_field *fields,
                       size_t count)
{
    if ((came_through_fork(log) && !restart_in_child(log)) ||
        atomic_load_explicit(&log->is_off, memory_order_relaxed)) {
        count_dropped(log, 1);
        return;
    }
    struct line l;
    belfry__log_line_make(&l, options, level, event, fields, count);
    if (log->synchronous) {
        write_now(log, &l);
        return;
    }
    if (!belfry__log_ring_push(&log->ring, l.text, l.len))
        count_dropped(log, 1);
    if (atomic_load_explicit(&log->sleeping, memory_order_seq_cst))
        wake(log);
}

/* False when the line is held back as a repeat. */
static bool passes(struct belfry_log *log, belfry_log_level level, const char *event,
                   const void *place)
{
    bool is_first;
    bool ok = belfry__repeats_pass(log->repeats, level, event, place, &is_first);
    if (is_first && !log->synchronous && !came_through_fork(log))
        wake(log); /* it then sleeps no longer than the interval */
    return ok;
}

NOINLINE void belfry_log_write(belfry_log *log, belfry_log_level level, const char *event,
                               const belfry_field *fields, size_t count)
{
    if (!belfry_log_enabled(log, level))
        return;
    event = event ? event : "";
    if (log->repeats && !passes(log, level, event, __builtin_return_address(0)))
        return;
    write_line(log, &log->line, level, event, fields, count);
}

void belfry_log_http_request(belfry_log *log, const belfry_log_http *r)
{
    if (!belfry_log_enabled(log, BELFRY_LOG_INFO))
        return;
    belfry_field fields[] = {BELFRY_STR("endpoint", r->endpoint),
                             BELFRY_STR("method", r->method),
                             BELFRY_INT("status_code", r->status_code),
                             BELFRY_UINT("duration_ms", r->duration_ms),
                             r->success < 0 ? BELFRY_NULL("success")
                                            : BELFRY_BOOL("success", r->success > 0),
                             BELFRY_STR("error_code", r->error_code),
                             BELFRY_UINT("bytes_in", r->bytes_in),
                             BELFRY_UINT("bytes_out", r->bytes_out)};
    struct line_options exactly = {.format = log->line.format, .with_request_id = true};
    write_line(log, &exactly, BELFRY_LOG_INFO, "http_request", fields, ARRAY_COUNT(fields));
}

bool belfry_log_enabled(const belfry_log *log, belfry_log_level level)
{
    return log && (int)level >= atomic_load_explicit(&log->level, memory_order_relaxed);
}

void belfry_log_set_level(belfry_log *log, belfry_log_level level)
{
    if (log)
        atomic_store_explicit(&log->level, (int)level, memory_order_relaxed);
}

void belfry_log_reopen(belfry_log *log)
{
    if (!log)
        return;
    atomic_store(&log->reopen, true);
    if (!log->synchronous && !came_through_fork(log))
        wake(log);
}

bool belfry_log_flush(belfry_log *log)
{
    if (!log || log->synchronous || came_through_fork(log))
        return true;
    int64_t until_ms = belfry__mono_ms() + CLOSE_WAIT_MS;
    uint64_t all = atomic_load_explicit(&log->ring.head, memory_order_acquire);
    wake(log);
    pthread_mutex_lock(&log->mutex);
    while (log->written_to < all && belfry__cond_wait_until(&log->written, &log->mutex, until_ms))
        ;
    bool done = log->written_to >= all;
    pthread_mutex_unlock(&log->mutex);
    return done;
}

/* --- what was lost --- */

uint64_t belfry_log_dropped(const belfry_log *log)
{
    return log ? atomic_load_explicit(&log->count->dropped, memory_order_relaxed) : 0;
}

static void collect_dropped(void *arg, belfry_emitter *emitter)
{
    const struct log_count *count = arg;
    belfry_emit(emitter, "log_lines_dropped_total",
                "Log lines dropped because their reader was too slow or could not be written to.",
                BELFRY_COUNTER,
                (double)atomic_load_explicit(&count->dropped, memory_order_relaxed));
}

belfry_status belfry_log_register(belfry_log *log, belfry_registry *registry)
{
    if (!log)
        return belfry__fail_plainly(BELFRY_ERROR_NULL);
    atomic_fetch_add_explicit(&log->count->references, 1, memory_order_relaxed);
    return belfry_collector_new(registry, collect_dropped, log->count, count_unref);
}

/* --- words --- */

bool belfry_log_level_parse(const char *word, belfry_log_level *out)
{
    static const struct {
        const char *word;
        belfry_log_level level;
    } WORDS[] = {{"debug", BELFRY_LOG_DEBUG}, {"info", BELFRY_LOG_INFO},
                 {"warn", BELFRY_LOG_WARN},   {"warning", BELFRY_LOG_WARN},
                 {"error", BELFRY_LOG_ERROR}, {"critical", BELFRY_LOG_ERROR}};
    for (size_t i = 0; i < ARRAY_COUNT(WORDS); i++) {
        if (strcasecmp(word, WORDS[i].word) == 0) {
            *out = WORDS[i].level;
            return true;
        }
    }
    return false;
}

bool belfry_log_format_parse(const char *word, belfry_log_format *out)
{
    bool is_json = strcasecmp(word, "json") == 0;
    if (!is_json && strcasecmp(word, "text") != 0 && strcasecmp(word, "logfmt") != 0)
        return false;
    *out = is_json ? BELFRY_LOG_JSON : BELFRY_LOG_LOGFMT;
    return true;
}

const char *belfry_log_options_from_env(belfry_log_options *options)
{
    belfry_log_level level = options->level;
    belfry_log_format format = options->format;
    const char *word = getenv("LOG_LEVEL");
    if (word && *word && !belfry_log_level_parse(word, &level))
        return "LOG_LEVEL";
    word = getenv("LOG_FORMAT");
    if (word && *word && !belfry_log_format_parse(word, &format))
        return "LOG_FORMAT";
    options->level = level;
    options->format = format;
    return NULL;
}
