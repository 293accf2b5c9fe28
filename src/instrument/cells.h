/* SPDX-License-Identifier: Apache-2.0 */
/* cells.h: numbers that many threads add to and nobody waits for. Design: top of cells.c. */
#ifndef BELFRY_INSTRUMENT_CELLS_H
#define BELFRY_INSTRUMENT_CELLS_H

#include "base/attributes.h"
#include "belfry/metrics.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Segment n of a block has SEGMENT0_CELLS << n cells: 2^32 in all. */
enum { SEGMENT0_CELLS = 256, SEGMENT_COUNT_MAX = 25, ERROR_TEXT_BYTES = 512 };

/* What one thread has: its copies of shared cells, and what else belongs to a thread. */
struct cell_block {
    _Atomic(_Atomic uint64_t *) segments[SEGMENT_COUNT_MAX]; /* stored by the owner (release) */
    _Atomic(const belfry_label *)
        exemplar; /* owner and its handlers only: belfry__exemplar_set(); borrowed */
    _Atomic size_t exemplar_count; /* constant while exemplar is not NULL */
    struct cell_block *next;       /* all blocks; constant once published */
    _Atomic bool is_owned;         /* a thread's; taken by exchange, given back with release */
    _Atomic bool is_reading;       /* between block_read_begin() and _end() */
    char error[ERROR_TEXT_BYTES];  /* owner only: belfry_last_error() */
    _Atomic uint64_t segment0[SEGMENT0_CELLS];
};

/* The cells of one metric, `base` beside it: one thread's, until a second one comes. */
struct cells {
    _Atomic uintptr_t
        owner;       /* CELLS_FREE, CELLS_SHARED, or the struct cell_block that adds to base */
    uint32_t offset; /* constant: where in the segment the copies are */
    uint8_t segment;
};

enum { CELLS_FREE = 0, CELLS_SHARED = 1 };

/* Gets `count` cells a place in all blocks; all are zero. False when there are too many. */
MUST_USE bool belfry__cells_take_locked(struct cells *cells, size_t count);
/* Gives it back; no thread may touch them any more. */
void belfry__cells_give_locked(const struct cells *cells, size_t count);

/* The sum of cell `idx` over all threads, as integers / as doubles. */
uint64_t belfry__cells_sum(const struct cells *cells, const _Atomic uint64_t *base, size_t idx);
double belfry__cells_sum_double(const struct cells *cells, const _Atomic uint64_t *base,
                                size_t idx);

uint64_t belfry__cells_lost(void);
void belfry__cells_count_lost(void);

/* This thread's block; NULL until its first update. Initial-exec: one load, also in a shared library. */
extern _Thread_local struct cell_block *belfry__block __attribute__((tls_model("initial-exec")));
/* It, made where it is missing. NULL without memory. */
struct cell_block *belfry__block_get(void);
/* Is no thread between block_read_begin() and block_read_end() at this moment? Then what was unlinked before (seq_cst) may be
 * freed: who begins later does not find it. */
bool belfry__blocks_are_quiet(void);

/* Waits until each thread was once outside of them: what was unlinked before (seq_cst) may then be freed. Not under the lock, which
 * such a thread may wait for. */
void belfry__blocks_wait_quiet(void);

/* The same, but gives up after some microseconds: false. */
bool belfry__blocks_were_quiet(void);

/* Of the child of a fork: blocks of threads that are not there any more are free. */
void belfry__blocks_after_fork(void);

/* Takes no lock, so that a signal handler may; never given back. NULL without memory. */
void *belfry__map_zeros(size_t bytes);

/* What is missing is made. NULL without memory (counted as lost). */
_Atomic uint64_t *belfry__cells_slow(struct cells *cells, _Atomic uint64_t *base);

/* The cells that this thread alone adds to. NULL without memory. */
static inline _Atomic uint64_t *cells_mine(struct cells *cells, _Atomic uint64_t *base)
{
    struct cell_block *block = belfry__block;
    if (LIKELY(block != NULL)) {
        uintptr_t owner = atomic_load_explicit(&cells->owner, memory_order_relaxed);
        if (LIKELY(owner == (uintptr_t)block))
            return base;
        if (LIKELY(owner == CELLS_SHARED)) {
            _Atomic uint64_t *segment =
                atomic_load_explicit(&block->segments[cells->segment], memory_order_relaxed);
            if (LIKELY(segment != NULL))
                return segment + cells->offset;
        }
    }
    return belfry__cells_slow(cells, base);
}

/* The owner reads what others may free; loads what leads there with seq_cst. About 6 ns. Does not nest. */
static inline void block_read_begin(struct cell_block *block)
{
    atomic_store(&block->is_reading, true);
}

static inline void block_read_end(struct cell_block *block)
{
    atomic_store_explicit(&block->is_reading, false, memory_order_release);
}

#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define CELLS_WATCHED 1
#endif
#endif
#if defined(__SANITIZE_THREAD__)
#define CELLS_WATCHED 1
#endif

/* Only this thread writes, so no other need be kept out: but a signal handler of the same thread may come in between, so
 * reading and writing are one instruction. */
static inline void cell_add(_Atomic uint64_t *cell, uint64_t by)
{
#if defined(__x86_64__) && !defined(CELLS_WATCHED)
    __asm__("addq %1, %0" : "+m"(*cell) : "er"(by) : "cc");
#else
    atomic_fetch_add_explicit(cell, by, memory_order_relaxed);
#endif
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

/* Not for signal handlers. */
static inline void cell_add_double(_Atomic uint64_t *cell, double by)
{
    double v = double_from_bits(atomic_load_explicit(cell, memory_order_relaxed)) + by;
    atomic_store_explicit(cell, bits_from_double(v), memory_order_relaxed);
}

static inline bool is_finite_double(double v)
{
    return (bits_from_double(v) << 1) < UINT64_C(0xffe0000000000000);
}

#endif
