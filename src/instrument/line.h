/* SPDX-License-Identifier: Apache-2.0 */
/* line.h: fields laid out as JSON or logfmt in a buffer of fixed size, with secrets masked. Log lines and the attributes of spans
 * are made of it. No allocation, no lock, no locale. */
#ifndef BELFRY_INSTRUMENT_LINE_H
#define BELFRY_INSTRUMENT_LINE_H

#include "base/attributes.h"
#include "belfry/log.h"

#include <string.h>

/* Room that stays for what closes a line ("}" and newline), so that a cut line is still valid. */
enum { LINE_TAIL_BYTES = 16 };

struct line {
    size_t len;
    bool full; /* something did not fit: whoever asked takes len back to where it was */
    char text[BELFRY_LOG_LINE_BYTES_MAX];
};

/* Inline: most pieces have a length that the compiler knows. */
static inline void line_put(struct line *l, const char *bytes, size_t len)
{
    if (UNLIKELY(len > sizeof l->text - LINE_TAIL_BYTES - l->len)) {
        l->full = true;
        return;
    }
    memcpy(l->text + l->len, bytes, len);
    l->len += len;
}

void belfry__line_put_unsigned(struct line *l, uint64_t v);
/* `,"key":` or ` key=`; without the separator at the start of an object or line. */
void belfry__line_put_key(struct line *l, belfry_log_format format, const char *key);
/* A string, quoted where the format needs it; cut after BELFRY_LOG_STRING_BYTES_MAX bytes. */
void belfry__line_put_string(struct line *l, belfry_log_format format, const char *text, size_t len,
                             bool mask_secrets);
/* Shortest text that reads back; null for NaN and infinities. */
void belfry__line_put_double(struct line *l, double v);
/* The value of a field; masked when its key or type says secret. */
void belfry__line_put_value(struct line *l, belfry_log_format format, const belfry_field *f);

/* Does a key by this name hold a secret? */
bool belfry__key_is_secret(const char *key);

#endif
