/* SPDX-License-Identifier: Apache-2.0 */
/* belfry/log.h: structured log lines: one JSON object (or logfmt) a line, written by a thread of the log's own.
 * The caller never waits and takes no lock: a line that finds the queue full is dropped and counted.
 *
 *   belfry_log_info(log, "listening", BELFRY_STR("address", address), BELFRY_INT("port", 9090));
 *   {"ts":"2026-11-20T19:10:29.000123Z","level":"info","event":"listening","address":"127.0.0.1","port":9090}
 *
 * A line is ts, level, event, request_id (where the log has it), the fields of the call in their order, then the fields of the
 * thread's scopes, the innermost first; a key that was there already is left out.
 *
 * Secrets: "***" stands for the value of a BELFRY_SECRET, and for strings whose key contains password, passwd, passphrase,
 * secret, token, authorization, cookie, credential, signature, api_key, apikey, api-key, private_key or access_key, in any
 * case. In every string the query, the fragment and the user of a URL ("...://...") become "***", and so does what
 * follows "Bearer ". BELFRY_CLEAR shows a string as it is.
 *
 * Any thread may write, not a signal handler. Nothing here ends or prints from the host program. After fork() the child's
 * first line starts a thread of its own; lines that were queued are the parent's. */
#ifndef BELFRY_LOG_H
#define BELFRY_LOG_H

#include <belfry/export.h>
#include <belfry/metrics.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct belfry_log belfry_log;

typedef enum belfry_log_level {
    BELFRY_LOG_DEBUG,
    BELFRY_LOG_INFO,
    BELFRY_LOG_WARN,
    BELFRY_LOG_ERROR
} belfry_log_level;

typedef enum belfry_log_format { BELFRY_LOG_JSON, BELFRY_LOG_LOGFMT } belfry_log_format;

/* Strings are cut after this many bytes (and end with "..."); fields that would make a line longer than that are left out: a
 * cut line is still valid. */
#define BELFRY_LOG_STRING_BYTES_MAX 2048
#define BELFRY_LOG_LINE_BYTES_MAX 16384

typedef struct belfry_log_options {
    int fd;                 /* where lines go when path is NULL; borrowed, not closed */
    belfry_log_level level; /* lines below it are not made */
    belfry_log_format format;
    size_t
        queue_bytes_max; /* lines waiting; 0 = 256 KiB; at least 64 KiB, rounded up to a power of two */
    bool synchronous;     /* write on the caller's thread, no queue: for tests and short programs */
    bool with_request_id; /* a request_id key in every line, null outside of a request */
    bool with_trace;      /* trace_id and span_id at the end of lines of a request that has them */
    /* Append to this file, made with mode 0640 where it is not there. It is opened again within a second after somebody
     * moved or removed it, and when belfry_log_reopen() says so. Copied. */
    const char *path;
    /* Of lines with the same event and level from the same place in the program at most so many in an interval; the others
     * become one line with `repeated`, their number, when the interval is over. 0 = no limit. http_request lines have none. */
    uint32_t repeat_max;
    uint32_t repeat_interval_ms; /* 0 = 10 s */
} belfry_log_options;

typedef enum belfry_field_type {
    BELFRY_FIELD_STRING,
    BELFRY_FIELD_INT,
    BELFRY_FIELD_UINT,
    BELFRY_FIELD_DOUBLE,
    BELFRY_FIELD_BOOL,
    BELFRY_FIELD_NULL,
    BELFRY_FIELD_SECRET, /* a string that is never shown */
    BELFRY_FIELD_CLEAR   /* a string in which nothing is taken for a secret */
} belfry_field_type;

/* A key and its value; make it with the macros below. Keys are [a-z0-9_]+; in others whatever has a meaning in the format
 * becomes '_'. A field called ts, level or event gets a '_' behind its name; one called request_id takes the place of the
 * thread's. */
typedef struct belfry_field {
    const char *key;
    belfry_field_type type;
    size_t len; /* of a string, in bytes */
    union {
        const char *string; /* borrowed for the call; NULL is null; invalid UTF-8 becomes U+FFFD */
        int64_t integer;
        uint64_t unsigned_integer;
        double number;
        bool boolean;
    } value;
} belfry_field;

/* Sets level and format from LOG_LEVEL and LOG_FORMAT ("json"; "text" or "logfmt"), where they are set and not empty. NULL on
 * success; else the name of the variable whose value is none of these words, and *options is not changed. */
BELFRY_API const char *belfry_log_options_from_env(belfry_log_options *options);
/* Opens a log and, unless synchronous, starts its thread. NULL when there are no options, there is no memory (errno ENOMEM), no
 * thread (EAGAIN) or the file cannot be opened (as open(2) says). The caller owns it: belfry_log_close(). */
BELFRY_API belfry_log *belfry_log_open(const belfry_log_options *options);
/* Writes what is queued (waiting at most two seconds for a reader that does not take it), stops the thread, frees. No
 * other thread may use the log any more. NULL does nothing. */
BELFRY_API void belfry_log_close(belfry_log *log);

/* Queues one line: no lock, no system call but to wake the log's thread where it sleeps. NULL log: nothing happens. About
 * 0.1 us with one field, 0.5 us with eight; 4 ns below the level. */
BELFRY_API void belfry_log_write(belfry_log *log, belfry_log_level level, const char *event,
                                 const belfry_field *fields, size_t count);
/* Would a line of this level be written? For fields that are costly to make. */
BELFRY_API bool belfry_log_enabled(const belfry_log *log, belfry_log_level level);
/* From the next line on. Any thread. */
BELFRY_API void belfry_log_set_level(belfry_log *log, belfry_log_level level);
/* Waits until everything queued so far is written, at most two seconds. False when it is not. */
BELFRY_API bool belfry_log_flush(belfry_log *log);
/* Lines dropped because the queue was full or a write failed. */
BELFRY_API uint64_t belfry_log_dropped(const belfry_log *log);
/* Shows that number as log_lines_dropped_total for as long as the registry lives (NULL = the default one), also after the log
 * is closed. */
BELFRY_API BELFRY_MUST_USE belfry_status belfry_log_register(belfry_log *log,
                                                             belfry_registry *registry);
/* The file of `path` is opened again before the next line is written; while it cannot be, the old one is written on, and a
 * line log_reopen_failed says why. Any thread; from signal handlers too. */
BELFRY_API void belfry_log_reopen(belfry_log *log);
/* "debug", "info", "warn" ("warning"), "error" ("critical"), in any case. False for another word. */
BELFRY_API bool belfry_log_level_parse(const char *word, belfry_log_level *out);
/* "json", "text" or "logfmt", in any case. False for another word. */
BELFRY_API bool belfry_log_format_parse(const char *word, belfry_log_format *out);

/* --- what every line of a thread carries --- */

/* A part of a thread's work, placed by the caller (on the stack: 48 bytes); only the library looks inside. */
typedef struct belfry_scope {
    struct belfry_scope *outer;
    struct belfry_request *request;
    struct belfry_span *span;
    const char *request_id;
    const belfry_field *fields;
    size_t count;
} belfry_scope;

/* Lines that this thread writes from now on carry the fields, and the request id unless it is NULL (then the outer one stays).
 * Scopes nest. Everything is borrowed until belfry_scope_leave(): on the same thread, before `scope` goes. */
BELFRY_API void belfry_scope_enter(belfry_scope *scope, const char *request_id,
                                   const belfry_field *fields, size_t count);
/* Back to what was outside of it; scopes inside that were not left go too. One that is not entered: nothing happens. */
BELFRY_API void belfry_scope_leave(belfry_scope *scope);
/* The request id of this thread's lines outside of any scope that has one, copied (64 bytes); NULL = none. */
BELFRY_API void belfry_log_set_request_id(const char *request_id);
/* The request id that a line of this thread would carry; NULL = none. Borrowed until scope or id changes. */
BELFRY_API const char *belfry_log_request_id(void);

/* The line that a service writes for each request, with these keys and no others, in this order, behind ts, level (info), event
 * (http_request) and request_id. */
typedef struct belfry_log_http {
    const char *endpoint; /* route template */
    const char *method;
    int status_code;
    uint64_t duration_ms;
    int success;            /* 0 false, 1 true, negative null */
    const char *error_code; /* NULL = null */
    uint64_t bytes_in, bytes_out;
} belfry_log_http;

/* Writes it, with the thread's request id. Never held back as a repeat. */
BELFRY_API void belfry_log_http_request(belfry_log *log, const belfry_log_http *request);

#define BELFRY_STR(key, text) belfry_field_string((key), (text))
#define BELFRY_STRN(key, text, len) belfry_field_bytes((key), (text), (len))
#define BELFRY_SECRET(key, text)                                                                   \
    belfry_field_as(belfry_field_string((key), (text)), BELFRY_FIELD_SECRET)
#define BELFRY_CLEAR(key, text)                                                                    \
    belfry_field_as(belfry_field_string((key), (text)), BELFRY_FIELD_CLEAR)
#define BELFRY_INT(key, n) belfry_field_int((key), (int64_t)(n))
#define BELFRY_UINT(key, n) belfry_field_uint((key), (uint64_t)(n))
#define BELFRY_DOUBLE(key, v) belfry_field_double((key), (v))
#define BELFRY_BOOL(key, v) belfry_field_bool((key), (v))
#define BELFRY_NULL(key) belfry_field_bytes((key), NULL, 0)

/* belfry_log_info(log, "event"), belfry_log_info(log, "event", BELFRY_STR(...), ...). */
#define BELFRY_LOG_AT(log, level, ...)                                                             \
    BELFRY_LOG_AT_((log), (level), __VA_ARGS__, BELFRY_NULL(NULL))
#define BELFRY_LOG_AT_(log, level, event, ...)                                                     \
    do {                                                                                           \
        if (belfry_log_enabled(log, level)) {                                                      \
            const belfry_field belfry_fields_[] = {__VA_ARGS__}; /* and one that ends them */      \
            belfry_log_write(log, level, event, belfry_fields_,                                    \
                             sizeof belfry_fields_ / sizeof belfry_fields_[0] - 1);                \
        }                                                                                          \
    } while (0)
#define belfry_log_debug(log, ...) BELFRY_LOG_AT(log, BELFRY_LOG_DEBUG, __VA_ARGS__)
#define belfry_log_info(log, ...) BELFRY_LOG_AT(log, BELFRY_LOG_INFO, __VA_ARGS__)
#define belfry_log_warn(log, ...) BELFRY_LOG_AT(log, BELFRY_LOG_WARN, __VA_ARGS__)
#define belfry_log_error(log, ...) BELFRY_LOG_AT(log, BELFRY_LOG_ERROR, __VA_ARGS__)

/* What the macros call: a field by value; strings are borrowed. */
static inline belfry_field belfry_field_bytes(const char *key, const char *text, size_t len)
{
    belfry_field f;
    f.key = key;
    f.type = text ? BELFRY_FIELD_STRING : BELFRY_FIELD_NULL;
    f.len = len;
    f.value.string = text;
    return f;
}
/* The same with a NUL-terminated string. */
static inline belfry_field belfry_field_string(const char *key, const char *text)
{
    return belfry_field_bytes(key, text, text ? __builtin_strlen(text) : 0);
}
/* The same field as another kind of string; null stays null. */
static inline belfry_field belfry_field_as(belfry_field f, belfry_field_type type)
{
    if (f.type != BELFRY_FIELD_NULL)
        f.type = type;
    return f;
}
/* A signed integer. */
static inline belfry_field belfry_field_int(const char *key, int64_t n)
{
    belfry_field f;
    f.key = key;
    f.type = BELFRY_FIELD_INT;
    f.len = 0;
    f.value.integer = n;
    return f;
}
/* An unsigned integer. */
static inline belfry_field belfry_field_uint(const char *key, uint64_t n)
{
    belfry_field f;
    f.key = key;
    f.type = BELFRY_FIELD_UINT;
    f.len = 0;
    f.value.unsigned_integer = n;
    return f;
}
/* A number; NaN and infinities become null. */
static inline belfry_field belfry_field_double(const char *key, double v)
{
    belfry_field f;
    f.key = key;
    f.type = BELFRY_FIELD_DOUBLE;
    f.len = 0;
    f.value.number = v;
    return f;
}
/* true or false. */
static inline belfry_field belfry_field_bool(const char *key, bool v)
{
    belfry_field f;
    f.key = key;
    f.type = BELFRY_FIELD_BOOL;
    f.len = 0;
    f.value.boolean = v;
    return f;
}

#ifdef __cplusplus
}
#endif

#endif
