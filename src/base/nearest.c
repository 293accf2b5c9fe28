/* SPDX-License-Identifier: Apache-2.0 */
/* nearest.c: optimal string alignment distance (Damerau's four errors, no substring edited twice). */
#include "base/nearest.h"

#include "base/assert.h"

#include <stdint.h>

enum { WORD_BYTES_MAX = 64 };

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

static size_t distance(struct view a, struct view b)
{
    uint8_t rows[3][WORD_BYTES_MAX + 1]; /* distances are at most WORD_BYTES_MAX */
    uint8_t *before = rows[0], *above = rows[1], *row = rows[2];
    for (size_t j = 0; j <= b.len; j++)
        above[j] = (uint8_t)j;
    for (size_t i = 1; i <= a.len; i++) {
        row[0] = (uint8_t)i;
        for (size_t j = 1; j <= b.len; j++) {
            size_t best = above[j - 1] + (a.ptr[i - 1] != b.ptr[j - 1]);
            best = smaller(best, smaller(above[j] + 1u, row[j - 1] + 1u));
            if (i > 1 && j > 1 && a.ptr[i - 1] == b.ptr[j - 2] && a.ptr[i - 2] == b.ptr[j - 1])
                best = smaller(best, before[j - 2] + 1u);
            row[j] = (uint8_t)best;
        }
        uint8_t *oldest = before;
        before = above;
        above = row;
        row = oldest;
    }
    return above[b.len];
}

const char *nearest_word(struct view word, const char *const *words, size_t count)
{
    ASSERT(count == 0 || words != NULL);
    word = view_slice(word, 0, WORD_BYTES_MAX);
    const char *best = NULL;
    size_t best_distance = word.len / 3 + 1;
    for (size_t i = 0; i < count; i++) {
        size_t d = distance(word, view_slice(view_from(words[i]), 0, WORD_BYTES_MAX));
        if (d < best_distance) {
            best_distance = d;
            best = words[i];
        }
    }
    return best;
}
