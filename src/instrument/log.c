/* SPDX-License-Identifier: Apache-2.0 */
/* log.c: see belfry/log.h.
 *
 * A line is laid out on the caller's stack, then copied under the mutex into the filling one of two buffers; the log's
 * thread swaps them and writes the other one without the lock. The mutex is held for a copy of one line or a swap.
 * A line that does not fit is dropped and counted: nobody waits for a reader.
 *
 * libc and pthreads only: this is part of libbelfry. */
#include <belfry/log.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

enum { QUEUE_BYTES_DEFAULT = 256 * 1024, REQUEST_ID_BYTES = 65, CLOSE_WAIT_MS = 2000 };

struct belfry_log {
    int fd; /* constant after open, like the next four */
    belfry_log_format format;
    bool synchronous, with_request_id;
    size_t queue_bytes_max;

    _Atomic int level;        /* any thread, relaxed */
    _Atomic uint64_t dropped; /* any thread, relaxed: a statistic */
    _Atomic bool gave_up; /* close() waited long enough; release by closer, acquire by the thread */

    pthread_mutex_t mutex;   /* guards the rest; when synchronous, the order of lines too */
    pthread_cond_t filled;   /* the filling buffer has lines, or stop */
    pthread_cond_t written;  /* a buffer has been written */
    char *filling, *writing; /* queue_bytes_max each */
    size_t filling_bytes, writing_bytes;
    uint64_t filling_lines;
    bool stop;
    pthread_t thread;
};

static _Thread_local char thread_request_id[REQUEST_ID_BYTES];

/* --- laying out a line --- */

/* Ends with room for what closes a line, so that a cut line is still valid. */
enum { LINE_TAIL_BYTES = 16 };

struct line {
    size_t len;
    bool full; /* later fields are left out whole */
    char text[BELFRY_LOG_LINE_BYTES_MAX];
};

static void put(struct line *l, const char *bytes, size_t len)
{
    if (len > sizeof l->text - LINE_TAIL_BYTES - l->len) {
        l->full = true;
        return;
    }
    memcpy(l->text + l->len, bytes, len);
    l->len += len;
}

static void put_text(struct line *l, const char *text)
{
    put(l, text, strlen(text));
}

/* Bytes of the UTF-8 sequence at p (1 to 4), 0 when it is not valid. */
static size_t utf8_length(const unsigned char *p, size_t left)
{
    if (p[0] < 0x80)
        return 1;
    size_t n = p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : 2;
    if (p[0] < 0xc2 || p[0] > 0xf4 || n > left)
        return 0;
    for (size_t i = 1; i < n; i++)
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] >= 0xa0) ||
        (p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] >= 0x90))
        return 0;
    return n;
}

/* A quoted string, at most BELFRY_LOG_STRING_BYTES_MAX bytes of it, cut between characters. */
static void put_quoted(struct line *l, const char *text, size_t len)
{
    size_t max = len < BELFRY_LOG_STRING_BYTES_MAX ? len : BELFRY_LOG_STRING_BYTES_MAX;
    const unsigned char *p = (const unsigned char *)text;
    put(l, "\"", 1);
    for (size_t i = 0; i < max && !l->full;) {
        size_t n = utf8_length(p + i, len - i);
        char escaped[8];
        if (n > 1) {
            if (i + n > max)
                break;
            put(l, text + i, n);
        } else if (n == 0) {
            put(l, "\xef\xbf\xbd", 3);
            n = 1;
        } else if (p[i] == '"' || p[i] == '\\') {
            escaped[0] = '\\';
            escaped[1] = (char)p[i];
            put(l, escaped, 2);
        } else if (p[i] == '\n') {
            put(l, "\\n", 2);
        } else if (p[i] < 0x20 || p[i] == 0x7f) {
            put(l, escaped, (size_t)snprintf(escaped, sizeof escaped, "\\u%04x", p[i]));
        } else {
            put(l, text + i, 1);
        }
        i += n;
    }
    if (max < len)
        put(l, "...", 3);
    put(l, "\"", 1);
}

/* logfmt quotes only what needs it. */
static bool is_bare_word(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c <= ' ' || c == '"' || c == '=' || c == '\\' || c >= 0x7f)
            return false;
    }
    return len > 0 && len <= BELFRY_LOG_STRING_BYTES_MAX;
}

static void put_string(struct line *l, belfry_log_format format, const char *text, size_t len)
{
    if (format == BELFRY_LOG_LOGFMT && is_bare_word(text, len))
        put(l, text, len);
    else
        put_quoted(l, text, len);
}

static void put_key(struct line *l, belfry_log_format format, const char *key)
{
    if (format == BELFRY_LOG_JSON) {
        put_text(l, l->len > 1 ? ",\"" : "\"");
        put_text(l, key);
        put_text(l, "\":");
    } else {
        put_text(l, l->len ? " " : "");
        put_text(l, key);
        put_text(l, "=");
    }
}

static void put_number(struct line *l, double v)
{
    char text[32];
    if (!isfinite(v)) {
        put_text(l, "null");
        return;
    }
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, v);
        if (strtod(text, NULL) == v) /* both in the host's locale */
            break;
    }
    for (char *p = text; *p; p++)
        if (*p == ',')
            *p = '.';
    put_text(l, text);
}

static void put_value(struct line *l, belfry_log_format format, const belfry_field *f)
{
    char text[32];
    switch (f->type) {
    case BELFRY_FIELD_STRING:
        put_string(l, format, f->value.string, f->len);
        return;
    case BELFRY_FIELD_INT:
        snprintf(text, sizeof text, "%" PRId64, f->value.integer);
        break;
    case BELFRY_FIELD_UINT:
        snprintf(text, sizeof text, "%" PRIu64, f->value.unsigned_integer);
        break;
    case BELFRY_FIELD_DOUBLE:
        put_number(l, f->value.number);
        return;
    case BELFRY_FIELD_BOOL:
        put_text(l, f->value.boolean ? "true" : "false");
        return;
    case BELFRY_FIELD_NULL:
    default:
        put_text(l, "null");
        return;
    }
    put_text(l, text);
}

static void put_timestamp(struct line *l, belfry_log_format format)
{
    struct timespec now;
    struct tm tm;
    char day[32] = "1970-01-01T00:00:00", text[48];
    clock_gettime(CLOCK_REALTIME, &now);
    if (gmtime_r(&now.tv_sec, &tm))
        strftime(day, sizeof day, "%Y-%m-%dT%H:%M:%S", &tm);
    int n = snprintf(text, sizeof text, "%s.%06ldZ", day, now.tv_nsec / 1000);
    put_key(l, format, "ts");
    put_string(l, format, text, (size_t)n);
}

static void line_make(struct line *l, const struct belfry_log *log, belfry_log_level level,
                      const char *event, const belfry_field *fields, size_t count)
{
    static const char *const LEVELS[] = {"debug", "info", "warn", "error"};
    belfry_log_format format = log->format;
    l->len = 0;
    l->full = false;
    if (format == BELFRY_LOG_JSON)
        put(l, "{", 1);
    put_timestamp(l, format);
    put_key(l, format, "level");
    put_string(l, format, LEVELS[level], strlen(LEVELS[level]));
    put_key(l, format, "event");
    put_string(l, format, event, strlen(event));
    if (log->with_request_id) {
        const char *id = *thread_request_id ? thread_request_id : NULL;
        belfry_field f = belfry_field_string("request_id", id);
        put_key(l, format, f.key);
        put_value(l, format, &f);
    }
    for (size_t i = 0; i < count; i++) {
        size_t before = l->len;
        put_key(l, format, fields[i].key);
        put_value(l, format, &fields[i]);
        if (l->full) {
            l->len = before;
            break;
        }
    }
    if (format == BELFRY_LOG_JSON)
        l->text[l->len++] = '}';
    l->text[l->len++] = '\n';
}

/* --- writing --- */

/* Writes all, waiting for a slow reader until the log is given up. */
static bool write_all(struct belfry_log *log, const char *bytes, size_t len)
{
    while (len) {
        struct pollfd ready = {log->fd, POLLOUT, 0};
        int n = poll(&ready, 1, 100);
        if (n == 0 || (n < 0 && errno == EINTR)) {
            if (atomic_load_explicit(&log->gave_up, memory_order_acquire))
                return false;
            continue;
        }
        /* At most PIPE_BUF at once never blocks on a pipe that poll() called writable. */
        ssize_t done = write(log->fd, bytes, len < 4096 ? len : 4096);
        if (done < 0 && (errno == EINTR || errno == EAGAIN))
            continue;
        if (done <= 0)
            return false;
        bytes += done;
        len -= (size_t)done;
    }
    return true;
}

static void *log_thread(void *arg)
{
    struct belfry_log *log = arg;
    pthread_mutex_lock(&log->mutex);
    while (!log->stop || log->filling_bytes) {
        if (!log->filling_bytes) {
            pthread_cond_wait(&log->filled, &log->mutex);
            continue;
        }
        char *full = log->filling;
        uint64_t lines = log->filling_lines;
        log->filling = log->writing;
        log->writing = full;
        log->writing_bytes = log->filling_bytes;
        log->filling_bytes = 0;
        log->filling_lines = 0;
        pthread_mutex_unlock(&log->mutex);
        if (!write_all(log, full, log->writing_bytes))
            atomic_fetch_add_explicit(&log->dropped, lines, memory_order_relaxed);
        pthread_mutex_lock(&log->mutex);
        log->writing_bytes = 0;
        pthread_cond_broadcast(&log->written);
    }
    pthread_mutex_unlock(&log->mutex);
    return NULL;
}

/* A thread that takes no signal of its host's. */
static bool start_thread(struct belfry_log *log)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    bool ok = pthread_create(&log->thread, NULL, log_thread, log) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return ok;
}

belfry_log *belfry_log_open(const belfry_log_options *options)
{
    struct belfry_log *log = calloc(1, sizeof *log);
    if (!log)
        return NULL;
    log->fd = options->fd;
    log->format = options->format;
    log->synchronous = options->synchronous;
    log->with_request_id = options->with_request_id;
    log->queue_bytes_max =
        options->queue_bytes_max ? options->queue_bytes_max : QUEUE_BYTES_DEFAULT;
    if (log->queue_bytes_max < BELFRY_LOG_LINE_BYTES_MAX)
        log->queue_bytes_max = BELFRY_LOG_LINE_BYTES_MAX;
    atomic_init(&log->level, options->level);
    pthread_mutex_init(&log->mutex, NULL);
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&log->filled, NULL);
    pthread_cond_init(&log->written, &monotonic);
    pthread_condattr_destroy(&monotonic);
    if (log->synchronous)
        return log;
    log->filling = malloc(log->queue_bytes_max);
    log->writing = malloc(log->queue_bytes_max);
    if (log->filling && log->writing && start_thread(log))
        return log;
    log->synchronous = true; /* there is no thread to stop */
    belfry_log_close(log);
    return NULL;
}

void belfry_log_close(belfry_log *log)
{
    if (!log)
        return;
    if (!log->synchronous) {
        if (!belfry_log_flush(log))
            atomic_store_explicit(&log->gave_up, true, memory_order_release);
        pthread_mutex_lock(&log->mutex);
        log->stop = true;
        pthread_cond_signal(&log->filled);
        pthread_mutex_unlock(&log->mutex);
        pthread_join(log->thread, NULL);
    }
    pthread_cond_destroy(&log->written);
    pthread_cond_destroy(&log->filled);
    pthread_mutex_destroy(&log->mutex);
    free(log->filling);
    free(log->writing);
    free(log);
}

void belfry_log_write(belfry_log *log, belfry_log_level level, const char *event,
                      const belfry_field *fields, size_t count)
{
    if (!belfry_log_enabled(log, level))
        return;
    struct line l;
    line_make(&l, log, level, event, fields, count);
    bool ok;
    pthread_mutex_lock(&log->mutex);
    if (log->synchronous) {
        ok = write_all(log, l.text, l.len);
    } else {
        ok = l.len <= log->queue_bytes_max - log->filling_bytes;
        if (ok) {
            memcpy(log->filling + log->filling_bytes, l.text, l.len);
            log->filling_bytes += l.len;
            log->filling_lines++;
            pthread_cond_signal(&log->filled);
        }
    }
    pthread_mutex_unlock(&log->mutex);
    if (!ok)
        atomic_fetch_add_explicit(&log->dropped, 1, memory_order_relaxed);
}

bool belfry_log_enabled(const belfry_log *log, belfry_log_level level)
{
    return log && (int)level >= atomic_load_explicit(&log->level, memory_order_relaxed);
}

void belfry_log_set_level(belfry_log *log, belfry_log_level level)
{
    atomic_store_explicit(&log->level, (int)level, memory_order_relaxed);
}

bool belfry_log_flush(belfry_log *log)
{
    if (!log || log->synchronous)
        return true;
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += CLOSE_WAIT_MS / 1000;
    int code = 0;
    pthread_mutex_lock(&log->mutex);
    while ((log->filling_bytes || log->writing_bytes) && code == 0)
        code = pthread_cond_timedwait(&log->written, &log->mutex, &until);
    bool done = !log->filling_bytes && !log->writing_bytes;
    pthread_mutex_unlock(&log->mutex);
    return done;
}

uint64_t belfry_log_dropped(const belfry_log *log)
{
    return log ? atomic_load_explicit(&log->dropped, memory_order_relaxed) : 0;
}

bool belfry_log_level_parse(const char *word, belfry_log_level *out)
{
    static const struct {
        const char *word;
        belfry_log_level level;
    } WORDS[] = {{"debug", BELFRY_LOG_DEBUG}, {"info", BELFRY_LOG_INFO},
                 {"warn", BELFRY_LOG_WARN},   {"warning", BELFRY_LOG_WARN},
                 {"error", BELFRY_LOG_ERROR}, {"critical", BELFRY_LOG_ERROR}};
    for (size_t i = 0; i < sizeof WORDS / sizeof WORDS[0]; i++) {
        if (strcasecmp(word, WORDS[i].word) == 0) {
            *out = WORDS[i].level;
            return true;
        }
    }
    return false;
}

void belfry_log_set_request_id(const char *request_id)
{
    snprintf(thread_request_id, sizeof thread_request_id, "%s", request_id ? request_id : "");
}
