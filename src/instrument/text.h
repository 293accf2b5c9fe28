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
/* Shortest text that reads back, found without the locale: "1", "0.25", "1e+300", "+Inf", "NaN". */
void belfry__text_double(struct text *t, double v);
/* A label value or, without quotes to mind, a help text: \ and newline (and ") escaped, invalid UTF-8
 * replaced by U+FFFD, cut after bytes_max bytes of input. False when it was cut or replaced. */
bool belfry__text_escaped(struct text *t, const char *string, bool escape_quotes, size_t bytes_max);

/* Length of the well-formed UTF-8 character at p (len > 0 bytes left), 0 when there is none. */
size_t belfry__utf8_len(const char *p, size_t len);

#endif
