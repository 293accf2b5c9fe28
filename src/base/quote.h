/* SPDX-License-Identifier: Apache-2.0 */
/* quote.h: Go's quoting, which the strings of PromQL and templates and their error messages use. */
#ifndef BELFRY_BASE_QUOTE_H
#define BELFRY_BASE_QUOTE_H

#include "base/arena.h"
#include "base/attributes.h"
#include "base/buffer.h"
#include "base/view.h"

#include <stdbool.h>
#include <stdint.h>

/* Appends text as Go's %q: "a\tb\xff". */
void quote_append(struct buffer *out, struct view text);
/* Appends a character as Go's %q of a rune: 'a', '\n', '\ufeff'. */
void quote_append_rune(struct buffer *out, uint32_t code);
/* Reads a string literal with its quotes ('', "" with escapes, `` raw). The text was checked by the lexer;
 * false where it is no literal all the same. The result is in the arena. */
MUST_USE bool quote_read(struct arena *arena, struct view literal, struct view *out);

#endif
