/* SPDX-License-Identifier: Apache-2.0 */
/* text.h: text that grows, and numbers laid out in it, with nothing but the C library (libbelfry does
 * not bring src/base/ into its host). */
#ifndef BELFRY_INSTRUMENT_TEXT_H
#define BELFRY_INSTRUMENT_TEXT_H

#include "base/attributes.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* All zero = empty. Passing the maximum, or having no memory, makes it `failed`; then appending does
 * nothing. */
struct text {
    char *ptr;
    size_t len, capacity;
    bool failed;
};

enum { TEXT_BYTES_MAX = 1 << 28, NUMBER_TEXT_BYTES = 40 };

void belfry__text_deinit(struct text *t);
void belfry__text_append(struct text *t, const char *bytes, size_t len);
void belfry__text_string(struct text *t, const char *string);
void belfry__text_byte(struct text *t, char c);
void belfry__text_unsigned(struct text *t, uint64_t v);
void belfry__text_signed(struct text *t, int64_t v);
/* As belfry__put_double() lays it out. */
void belfry__text_double(struct text *t, double v);
char *belfry__text_room_slow(struct text *t, size_t bytes);
/* Room for `bytes` more: the caller writes there and raises len. NULL without memory. */
static inline char *belfry__text_room(struct text *t, size_t bytes)
{
    bool is_there = !t->failed && t->capacity - t->len >= bytes;
    return LIKELY(is_there) ? t->ptr + t->len : belfry__text_room_slow(t, bytes);
}
/* A label value or, without quotes to mind, a help text: \ and newline (and ") escaped, invalid UTF-8
 * replaced by U+FFFD, cut after bytes_max bytes of input. False when it was cut or replaced. */
bool belfry__text_escaped(struct text *t, const char *string, bool escape_quotes, size_t bytes_max);
/* The same with nothing escaped. */
void belfry__text_clean(struct text *t, const char *string, size_t bytes_max);

/* Numbers laid out at `out`, which has room for NUMBER_TEXT_BYTES; the length, no NUL. Doubles are the shortest digits
 * that read back as they were, whatever the locale: */
size_t belfry__put_unsigned(char *out, uint64_t v);
/* What a text says that was laid out by one of these (or a person), whatever the locale; NaN when it is none. */
double belfry__read_double(const char *string);
/* "1", "0.25", "1e+300", "1e-07", "+Inf", "NaN"; about 20 ns, 10 for whole numbers. */
size_t belfry__put_double(char *out, double v);
/* Without exponent from 1e-15 to 1e21: "1000000", "0.0000001". */
size_t belfry__put_double_plain(char *out, double v);
/* As OpenMetrics asks for bounds: "1.0", "0.0001", "1e+06", "1e-05". */
size_t belfry__put_double_canonical(char *out, double v);

/* Length of the well-formed UTF-8 character at p (len > 0 bytes left), 0 when there is none. */
size_t belfry__utf8_len(const char *p, size_t len);

#endif
