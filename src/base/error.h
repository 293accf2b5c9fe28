/* SPDX-License-Identifier: Apache-2.0 */
/* error.h: the one error type. Its kind decides HTTP status, exit code and whether to try again.
 * A struct error lives on the caller's stack and owns nothing. A layer adds what it knows with
 * error_wrap(); only the outermost prints. Messages are lower case, without a full stop. */
#ifndef BELFRY_BASE_ERROR_H
#define BELFRY_BASE_ERROR_H

#include "base/attributes.h"
#include "base/view.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>

/* kind, name in logs, HTTP status */
#define ERROR_KINDS(X)                                                                             \
    X(ERROR_NONE, "none", 200)                                                                     \
    X(ERROR_INPUT, "bad_data", 400) /* what somebody gave us is wrong */                           \
    X(ERROR_USAGE, "usage", 400)    /* command line */                                             \
    X(ERROR_FORBIDDEN, "forbidden", 403)                                                           \
    X(ERROR_NOT_FOUND, "not_found", 404)                                                           \
    X(ERROR_TOO_LARGE, "too_large", 413) /* over a limit of size */                                \
    X(ERROR_EXECUTION, "execution", 422) /* a query that is well formed but cannot be answered */  \
    X(ERROR_LIMIT, "limit", 422)         /* over a budget of samples or memory */                  \
    X(ERROR_BUSY, "busy", 429)           /* try again later */                                     \
    X(ERROR_CANCELED, "canceled", 499)   /* the client went away or somebody cancelled */          \
    X(ERROR_INTERNAL, "internal", 500)                                                             \
    X(ERROR_IO, "io", 500)           /* the environment failed; errno is in the message */         \
    X(ERROR_CORRUPT, "corrupt", 500) /* bytes on disk are not what we wrote */                     \
    X(ERROR_NO_SPACE, "no_space", 503)                                                             \
    X(ERROR_TIMEOUT, "timeout", 503)                                                               \
    X(ERROR_UNAVAILABLE, "unavailable", 503)

enum error_kind {
#define X(kind, name, status) kind,
    ERROR_KINDS(X)
#undef X
};

enum { ERROR_MESSAGE_BYTES = 1024, ERROR_HINT_BYTES = 256 };

struct error {
    enum error_kind kind;
    uint32_t line, column; /* position in the input, from 1; 0 = unknown */
    char message[ERROR_MESSAGE_BYTES];
    char hint[ERROR_HINT_BYTES]; /* what to do about it; may be empty */
};

/* Sets kind and message and forgets position and hint. Returns false, so that it can be returned at
 * once. `err` may be NULL: then only false is returned. Long messages are cut with "...". */
bool error_set(struct error *err, enum error_kind kind, const char *format, ...) PRINTF_LIKE(3, 4);
bool error_setv(struct error *err, enum error_kind kind, const char *format, va_list args);
/* The same with a position (line and column from 1). */
bool error_set_at(struct error *err, enum error_kind kind, uint32_t line, uint32_t column,
                  const char *format, ...) PRINTF_LIKE(5, 6);
/* "FORMAT: no space left on device": strerror(errno_value), begun in lower case; kind is ERROR_NO_SPACE for ENOSPC and EDQUOT, else ERROR_IO. */
bool error_set_errno(struct error *err, int errno_value, const char *format, ...) PRINTF_LIKE(3, 4);
/* Puts "FORMAT: " before the message; keeps kind, position and hint. Returns false. */
bool error_wrap(struct error *err, const char *format, ...) PRINTF_LIKE(2, 3);
void error_hint(struct error *err, const char *format, ...) PRINTF_LIKE(2, 3);
void error_clear(struct error *err);
/* Static text. */
const char *error_kind_name(enum error_kind kind);
int error_http_status(enum error_kind kind);

#endif
