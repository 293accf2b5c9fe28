/* SPDX-License-Identifier: Apache-2.0 */
/* cells.h: numbers that many threads add to and nobody waits for. Design: top of cells.c. */
#ifndef BELFRY_INSTRUMENT_CELLS_H
#define BELFRY_INSTRUMENT_CELLS_H

#include "base/attributes.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum { CELLS_PER_CHUNK = 1024, CHUNK_COUNT_MAX = 512 };

/* One thread's own copy of all cells; parts of it appear when the thread first touches them. */
struct cell_block {
    _Atomic(_Atomic uint64_t *) chunks[CHUNK_COUNT_MAX]; /* stored by the owner (release) only */
    struct cell_block *next;                             /* all blocks; constant once published */
    bool is_owned;                                       /* cells mutex */
};

/* The number of the first of `count` neighbouring cells, all zero. False when there are too many, or no
 * memory. count <= CELLS_PER_CHUNK. */
MUST_USE bool belfry__cells_take(uint32_t *first, size_t count);
/* Gives them back; no thread may touch them any more. */
void belfry__cells_give(uint32_t first, size_t count);

/* The sum of a cell over all threads, as integers / as doubles. */
uint64_t belfry__cell_sum(uint32_t cell);
double belfry__cell_sum_double(uint32_t cell);

uint64_t belfry__cells_lost(void);

/* This thread's block; NULL until its first update. Initial-exec: one load, also in a shared library. */
extern _Thread_local struct cell_block *belfry__cells_own
    __attribute__((tls_model("initial-exec")));
/* Makes what is missing. NULL without memory (counted as lost). */
_Atomic uint64_t *belfry__cells_slow(uint32_t first);

/* This thread's copy of the cell `first`; those that were taken with it follow. */
static inline _Atomic uint64_t *cells_own(uint32_t first)
{
    struct cell_block *block = belfry__cells_own;
    if (LIKELY(block != NULL)) {
        _Atomic uint64_t *chunk =
            atomic_load_explicit(&block->chunks[first / CELLS_PER_CHUNK], memory_order_relaxed);
        if (LIKELY(chunk != NULL))
            return chunk + first % CELLS_PER_CHUNK;
    }
    return belfry__cells_slow(first);
}

/* Only the owner writes, so reading and writing need not be one step. */
static inline void cell_add(_Atomic uint64_t *cell, uint64_t by)
{
    atomic_store_explicit(cell, atomic_load_explicit(cell, memory_order_relaxed) + by,
                          memory_order_relaxed);
}

static inline double double_from_bits(uint64_t bits)
{
    double v;
    memcpy(&v, &bits, sizeof(v));
    return v;
}

static inline uint64_t bits_from_double(double v)
{
    uint64_t bits;
    memcpy(&bits, &v, sizeof(bits));
    return bits;
}

static inline void cell_add_double(_Atomic uint64_t *cell, double by)
{
    double v = double_from_bits(atomic_load_explicit(cell, memory_order_relaxed)) + by;
    atomic_store_explicit(cell, bits_from_double(v), memory_order_relaxed);
}

#endif
