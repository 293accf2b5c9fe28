/* SPDX-License-Identifier: Apache-2.0 */
/* nearest.h: the known word that somebody probably meant. */
#ifndef BELFRY_BASE_NEAREST_H
#define BELFRY_BASE_NEAREST_H

#include "base/view.h"

#include <stddef.h>

/* The word closest to `word` by insertions, deletions, substitutions and swaps of neighbours, or NULL when none
 * is within a third of its length. Only the first 64 bytes count. */
const char *nearest_word(struct view word, const char *const *words, size_t count);

#endif
