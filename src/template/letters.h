/* SPDX-License-Identifier: Apache-2.0 */
/* letters.h: Unicode's letters: what a name may hold, and upper, lower and title case. */
#ifndef BELFRY_TEMPLATE_LETTERS_H
#define BELFRY_TEMPLATE_LETTERS_H

#include "base/buffer.h"
#include "base/view.h"

#include <stddef.h>
#include <stdint.h>

/* Bytes at the start of `text` that are letters, decimal digits (of any script) or "_". */
size_t letters_prefix(struct view text);

enum letters_case { LETTERS_UPPER, LETTERS_LOWER };

/* Character by character, as Go's strings.ToUpper: no character becomes two. Invalid UTF-8 becomes U+FFFD. */
void letters_convert(struct buffer *out, struct view text, enum letters_case to);
/* The first letter of each word in title case; the others in lower case when `lower`, else as they are. A word goes on
 * over apostrophes, "." and digits between letters, as Unicode's word boundaries have it. */
void letters_title(struct buffer *out, struct view text, bool lower);

#endif
