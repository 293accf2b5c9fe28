/* SPDX-License-Identifier: Apache-2.0 */
/* belfry/log.h: structured log lines: one JSON object (or logfmt) a line, written by a thread of the log's own.
 * The caller never waits: a line that finds the queue full is dropped and counted.
 *
 *   belfry_log_info(log, "listening", BELFRY_STR("address", address), BELFRY_INT("port", 9090));
 *   {"ts":"2026-11-20T19:10:29.000123Z","level":"info","event":"listening","address":"127.0.0.1","port":9090}
 *
 * Any thread may write. Nothing here ends or prints from the host program. */
#ifndef BELFRY_LOG_H
#define BELFRY_LOG_H

#include <belfry/export.h>
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

/* Strings are cut after this many bytes, lines after that many: a cut line is still valid. */
#define BELFRY_LOG_STRING_BYTES_MAX 2048
#define BELFRY_LOG_LINE_BYTES_MAX 16384

typedef struct belfry_log_options {
    int fd;                 /* where lines go; borrowed, not closed */
    belfry_log_level level; /* lines below it are not made */
    belfry_log_format format;
    size_t queue_bytes_max; /* lines waiting; 0 = 256 KiB; at least one line */
    bool synchronous;     /* write on the caller's thread, no queue: for tests and short programs */
    bool with_request_id; /* a request_id key in every line, null outside of a request */
} belfry_log_options;

typedef enum belfry_field_type {
    BELFRY_FIELD_STRING,
    BELFRY_FIELD_INT,
    BELFRY_FIELD_UINT,
    BELFRY_FIELD_DOUBLE,
    BELFRY_FIELD_BOOL,
    BELFRY_FIELD_NULL
} belfry_field_type;

/* A key and its value; make it with the macros below. Keys are used as they are: [a-z0-9_]+. */
typedef struct belfry_field {
    const char *key;
    belfry_field_type type;
    size_t len; /* of a string */
    union {
        const char *string; /* borrowed for the call; NULL is null; invalid UTF-8 becomes U+FFFD */
        int64_t integer;
        uint64_t unsigned_integer;
        double number;
        bool boolean;
    } value;
} belfry_field;

/* Opens a log and, unless synchronous, starts its thread. NULL when there is no memory or no thread. The caller
 * owns it: belfry_log_close(). */
BELFRY_API belfry_log *belfry_log_open(const belfry_log_options *options);
/* Writes what is queued (waiting at most two seconds for a reader that does not take it), stops the thread, frees. No
 * other thread may use the log any more. NULL does nothing. */
BELFRY_API void belfry_log_close(belfry_log *log);

/* Queues one line. NULL log: nothing happens. */
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
/* "debug", "info", "warn" ("warning"), "error" ("critical"), in any case. False for another word. */
BELFRY_API bool belfry_log_level_parse(const char *word, belfry_log_level *out);
/* The request id of lines that this thread writes from now on, copied (64 bytes); NULL = none. */
BELFRY_API void belfry_log_set_request_id(const char *request_id);

#define BELFRY_STR(key, text) belfry_field_string((key), (text))
#define BELFRY_STRN(key, text, len) belfry_field_bytes((key), (text), (len))
#define BELFRY_INT(key, n) belfry_field_int((key), (int64_t)(n))
#define BELFRY_UINT(key, n) belfry_field_uint((key), (uint64_t)(n))
#define BELFRY_DOUBLE(key, v) belfry_field_double((key), (v))
#define BELFRY_BOOL(key, v) belfry_field_bool((key), (v))

/* belfry_log_info(log, "event", BELFRY_STR(...), ...): at least one field. */
#define BELFRY_LOG_AT(log, level, event, ...)                                                      \
    do {                                                                                           \
        if (belfry_log_enabled((log), (level))) {                                                  \
            const belfry_field belfry_fields_[] = {__VA_ARGS__};                                   \
            belfry_log_write((log), (level), (event), belfry_fields_,                              \
                             sizeof belfry_fields_ / sizeof belfry_fields_[0]);                    \
        }                                                                                          \
    } while (0)
#define belfry_log_debug(log, event, ...) BELFRY_LOG_AT(log, BELFRY_LOG_DEBUG, event, __VA_ARGS__)
#define belfry_log_info(log, event, ...) BELFRY_LOG_AT(log, BELFRY_LOG_INFO, event, __VA_ARGS__)
#define belfry_log_warn(log, event, ...) BELFRY_LOG_AT(log, BELFRY_LOG_WARN, event, __VA_ARGS__)
#define belfry_log_error(log, event, ...) BELFRY_LOG_AT(log, BELFRY_LOG_ERROR, event, __VA_ARGS__)

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
