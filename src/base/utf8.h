/* SPDX-License-Identifier: Apache-2.0 */
/* utf8.h: UTF-8, strictly (no overlong forms, surrogates or values above U+10FFFF). */
#ifndef BELFRY_BASE_UTF8_H
#define BELFRY_BASE_UTF8_H

#include "base/view.h"

#include <stdbool.h>
#include <stdint.h>

bool utf8_is_valid(struct view text);
/* The next code point at *pos, which moves behind it; UINT32_MAX (and one byte) where it is invalid. */
uint32_t utf8_next(struct view text, size_t *pos);
/* Writes 1 to 4 bytes; returns how many. `code` must be a scalar value. */
size_t utf8_put(uint32_t code, char out[4]);

#endif
