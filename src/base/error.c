/* SPDX-License-Identifier: Apache-2.0 */
/* error.c: sentences that travel up. Each message is laid out in a buffer of its own first, so that an
 * argument may be the old message itself. */
#include "base/error.h"

#include "base/assert.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

static const struct {
    const char *name;
    int status;
} kinds[] = {
#define X(kind, name, status) [kind] = {name, status},
    ERROR_KINDS(X)
#undef X
};

/* Marks a text of `len` bytes that did not fit into `out` as cut, without leaving half a character. */
static void cut_if_long(char *out, size_t capacity, size_t len)
{
    if (len < capacity)
        return;
    size_t end = capacity - sizeof("...");
    while (end > 0 && ((unsigned char)out[end] & 0xc0) == 0x80)
        end--;
    memcpy(out + end, "...", sizeof("..."));
}

static void format_cut(char *out, size_t capacity, const char *format, va_list args)
{
    int len = vsnprintf(out, capacity, format, args);
    if (len < 0) { /* a conversion that the C library cannot do: the format itself still helps */
        snprintf(out, capacity, "%s", format);
        return;
    }
    cut_if_long(out, capacity, (size_t)len);
}

bool error_setv(struct error *err, enum error_kind kind, const char *format, va_list args)
{
    if (!err)
        return false;
    char text[ERROR_MESSAGE_BYTES];
    format_cut(text, sizeof(text), format, args);
    err->kind = kind;
    err->line = err->column = 0;
    err->hint[0] = '\0';
    memcpy(err->message, text, strlen(text) + 1);
    return false;
}

bool error_set(struct error *err, enum error_kind kind, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    error_setv(err, kind, format, args);
    va_end(args);
    return false;
}

bool error_set_at(struct error *err, enum error_kind kind, uint32_t line, uint32_t column,
                  const char *format, ...)
{
    va_list args;
    va_start(args, format);
    error_setv(err, kind, format, args);
    va_end(args);
    if (err) {
        err->line = line;
        err->column = column;
    }
    return false;
}

bool error_set_errno(struct error *err, int errno_value, const char *format, ...)
{
    if (!err)
        return false;
    va_list args;
    va_start(args, format);
    enum error_kind kind =
        errno_value == ENOSPC || errno_value == EDQUOT ? ERROR_NO_SPACE : ERROR_IO;
    error_setv(err, kind, format, args);
    va_end(args);

    char scratch[128], reason[128];
    snprintf(reason, sizeof(reason), "%s", strerror_r(errno_value, scratch, sizeof(scratch)));
    if (isupper((unsigned char)reason[0]) && islower((unsigned char)reason[1]))
        reason[0] = (char)tolower((unsigned char)reason[0]);
    size_t len = strlen(err->message), capacity = sizeof(err->message) - len;
    int added = snprintf(err->message + len, capacity, ": %s", reason);
    cut_if_long(err->message, sizeof(err->message), len + (size_t)(added < 0 ? 0 : added));
    return false;
}

bool error_wrap(struct error *err, const char *format, ...)
{
    if (!err)
        return false;
    char text[2 * ERROR_MESSAGE_BYTES];
    va_list args;
    va_start(args, format);
    format_cut(text, ERROR_MESSAGE_BYTES, format, args);
    va_end(args);
    size_t len = strlen(text);
    int added = snprintf(text + len, sizeof(text) - len, ": %s", err->message);
    ASSERT(added >= 0);
    len += (size_t)added;
    cut_if_long(text, ERROR_MESSAGE_BYTES, len);
    memcpy(err->message, text, strlen(text) + 1);
    return false;
}

void error_hint(struct error *err, const char *format, ...)
{
    if (!err)
        return;
    char text[ERROR_HINT_BYTES];
    va_list args;
    va_start(args, format);
    format_cut(text, sizeof(text), format, args);
    va_end(args);
    memcpy(err->hint, text, strlen(text) + 1);
}

void error_clear(struct error *err)
{
    if (!err)
        return;
    err->kind = ERROR_NONE;
    err->line = err->column = 0;
    err->message[0] = err->hint[0] = '\0';
}

const char *error_kind_name(enum error_kind kind)
{
    ASSERT((size_t)kind < ARRAY_COUNT(kinds));
    return kinds[kind].name;
}

int error_http_status(enum error_kind kind)
{
    ASSERT((size_t)kind < ARRAY_COUNT(kinds));
    return kinds[kind].status;
}
