/* SPDX-License-Identifier: Apache-2.0 */
/* cells.c: a cell is a number in 64 bits that one thread at a time adds to.
 *
 * A metric is born with cells of its own (`base`). The first thread that updates it owns them and adds with a plain
 * instruction: no locked one, no second copy. When another thread comes, the metric's cells become shared for good:
 *
 *     free --first thread--> owned by a block --another thread--> shared
 *
 * From then on every thread, the first too, adds to copies in its own block, where all of a thread's numbers lie together
 * and no other thread writes to their cache lines. Whoever wants the value adds up base and all copies.
 *
 * When a thread ends, its block stays in the list with all it counted, and the next new thread goes on counting in it
 * (also in base cells that the block owns); so there are as many blocks as there ever were threads at once.
 *
 * Why this is right: base and each copy have one writer at a time. Base is written by the owner alone: a thread that
 * makes the cells shared never writes base, and the owner, when it sees that, stops; one last addition of an owner who has not
 * seen it yet harms nobody. A block changes hands by is_owned (release, acquire), which orders the old owner's stores before
 * the new owner's loads. A segment is zero when it is published (release) and never freed. Readers see each cell at some recent
 * moment: a sum is not a snapshot over cells, but never falls (a cell, once seen, is not seen older, and owner never goes back).
 *
 * Blocks and segments are mapped, not allocated, and taken without a lock: so the first update of a thread does not meet a
 * signal handler's malloc, and pages that a thread does not touch cost nothing. */
#include "instrument/cells.h"

#include "instrument/lock.h"

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>

enum { YIELDS_MAX = 100, TRIES_MAX = 1000 };

_Thread_local struct cell_block *belfry__block;

/* Runs of `count` cells that were given back: where each begins, counted over segments. */
struct free_runs {
    size_t count;
    uint64_t *begins;
    size_t begin_count, capacity;
};

static struct {
    struct free_runs *free_runs; /* the lock: one for each count that was given back, few */
    size_t free_runs_count;
    uint64_t next; /* the lock: cells from here on were never taken, counted over segments */

    _Atomic(struct cell_block *) blocks; /* pushed (release), never removed */
    _Atomic uint64_t lost;               /* relaxed: a statistic */

    pthread_key_t key;   /* its destructor tells that a thread ends */
    atomic_bool has_key; /* relaxed; from the constructor to the destructor */
} all;

static void block_release(void *arg)
{
    struct cell_block *block = arg;
    belfry__block = NULL;
    atomic_store_explicit(&block->exemplar, NULL, memory_order_relaxed);
    atomic_store_explicit(&block->is_owned, false, memory_order_release);
}

/* When the library is loaded, so that no update meets it half done. */
__attribute__((constructor)) static void load(void)
{
    bool made = pthread_key_create(&all.key, block_release) == 0;
    atomic_store_explicit(&all.has_key, made, memory_order_relaxed);
}

/* The library is unloaded, or the process ends while its threads count on: those that end later must not call
 * block_release, whose code may be gone. What they count in stays; the lists of free cells are nobody's but ours. */
__attribute__((destructor)) static void unload(void)
{
    if (atomic_exchange_explicit(&all.has_key, false, memory_order_relaxed))
        (void)pthread_key_delete(all.key); /* it is one */
    if (!belfry__try_lock())
        return; /* the process ends in the middle of what another thread does */
    for (size_t i = 0; i < all.free_runs_count; i++)
        free(all.free_runs[i].begins);
    free(all.free_runs);
    all.free_runs = NULL;
    all.free_runs_count = 0;
    belfry__unlock();
}

void *belfry__map_zeros(size_t bytes)
{
    void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return p == MAP_FAILED ? NULL : p;
}

static struct cell_block *block_find_free(void)
{
    struct cell_block *block = atomic_load_explicit(&all.blocks, memory_order_acquire);
    for (; block; block = block->next) {
        if (!atomic_load_explicit(&block->is_owned, memory_order_relaxed) &&
            !atomic_exchange_explicit(&block->is_owned, true, memory_order_acquire))
            return block;
    }
    return NULL;
}

static struct cell_block *block_new(void)
{
    struct cell_block *block = belfry__map_zeros(sizeof(*block));
    if (!block)
        return NULL;
    atomic_store_explicit(&block->is_owned, true, memory_order_relaxed);
    atomic_store_explicit(&block->segments[0], block->segment0, memory_order_relaxed);
    block->next = atomic_load_explicit(&all.blocks, memory_order_relaxed);
    while (!atomic_compare_exchange_weak_explicit(&all.blocks, &block->next, block,
                                                  memory_order_release, memory_order_relaxed))
        ;
    return block;
}

/* Without a key for the end of threads blocks stay owned. */
struct cell_block *belfry__block_get(void)
{
    if (LIKELY(belfry__block != NULL))
        return belfry__block;
    struct cell_block *block = block_find_free();
    if (!block)
        block = block_new();
    if (!block)
        return NULL;
    if (atomic_load_explicit(&all.has_key, memory_order_relaxed) &&
        pthread_setspecific(all.key, block) != 0) {
        block_release(block);
        return NULL;
    }
    block->error[0] = '\0';
    belfry__block = block;
    return block;
}

bool belfry__blocks_are_quiet(void)
{
    struct cell_block *block = atomic_load(&all.blocks); /* seq_cst, as is_reading: see family.c */
    for (; block; block = block->next) {
        if (atomic_load(&block->is_reading))
            return false;
    }
    return true;
}

/* A thread reads for some 20 ns, unless it was interrupted, or waits for the lock: then it is let sleep on. */
static void wait_round(size_t round)
{
    if (round < YIELDS_MAX)
        sched_yield();
    else
        (void)nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL); /* woken early: looks early */
}

void belfry__blocks_wait_quiet(void)
{
    struct cell_block *block = atomic_load(&all.blocks);
    for (; block; block = block->next) {
        for (size_t round = 0; atomic_load(&block->is_reading); round++)
            wait_round(round);
    }
}

bool belfry__blocks_were_quiet(void)
{
    struct cell_block *block = atomic_load(&all.blocks);
    for (; block; block = block->next) {
        for (size_t tries = 0; atomic_load(&block->is_reading); tries++) {
            if (tries == TRIES_MAX)
                return false;
        }
    }
    return true;
}

void belfry__blocks_after_fork(void)
{
    struct cell_block *block = atomic_load_explicit(&all.blocks, memory_order_relaxed);
    for (; block; block = block->next) {
        if (block == belfry__block)
            continue;
        atomic_store_explicit(&block->exemplar, NULL, memory_order_relaxed);
        atomic_store_explicit(&block->is_reading, false, memory_order_relaxed);
        atomic_store_explicit(&block->is_owned, false, memory_order_relaxed);
    }
}

static _Atomic uint64_t *segment_get(struct cell_block *block, unsigned segment)
{
    _Atomic uint64_t *cells = atomic_load_explicit(&block->segments[segment], memory_order_relaxed);
    if (cells)
        return cells;
    size_t bytes = ((size_t)SEGMENT0_CELLS << segment) * sizeof(cells[0]);
    _Atomic uint64_t *made = belfry__map_zeros(bytes);
    if (!made)
        return NULL;
    if (atomic_compare_exchange_strong_explicit(&block->segments[segment], &cells, made,
                                                memory_order_release, memory_order_relaxed))
        return made;
    (void)munmap(made, bytes); /* a signal handler of this thread was here in between */
    return cells;
}

_Atomic uint64_t *belfry__cells_slow(struct cells *cells, _Atomic uint64_t *base)
{
    struct cell_block *block = belfry__block_get();
    uintptr_t owner = CELLS_FREE;
    if (!block)
        goto lost;
    if (atomic_compare_exchange_strong_explicit(&cells->owner, &owner, (uintptr_t)block,
                                                memory_order_relaxed, memory_order_relaxed) ||
        owner == (uintptr_t)block)
        return base;
    _Atomic uint64_t *copies = segment_get(block, cells->segment);
    if (!copies)
        goto lost;
    atomic_store_explicit(&cells->owner, CELLS_SHARED, memory_order_relaxed);
    return copies + cells->offset;
lost:
    belfry__cells_count_lost();
    return NULL;
}

/* Segment n begins at cell SEGMENT0_CELLS * (2^n - 1). */
static unsigned segment_of(uint64_t cell)
{
    return 63U - (unsigned)__builtin_clzll(cell / SEGMENT0_CELLS + 1);
}

static uint64_t segment_begin(unsigned segment)
{
    return SEGMENT0_CELLS * ((UINT64_C(1) << segment) - 1);
}

static struct free_runs *free_runs_of_locked(size_t count)
{
    for (size_t i = 0; i < all.free_runs_count; i++) {
        if (all.free_runs[i].count == count)
            return &all.free_runs[i];
    }
    return NULL;
}

/* Keeps it for the next taker. Without memory it is not used again: nothing else is harmed. */
static void run_keep_locked(uint64_t begin, size_t count)
{
    struct free_runs *runs = free_runs_of_locked(count);
    if (!runs) {
        struct free_runs *more =
            realloc(all.free_runs, (all.free_runs_count + 1) * sizeof(more[0]));
        if (!more)
            return;
        all.free_runs = more;
        runs = &more[all.free_runs_count++];
        *runs = (struct free_runs){.count = count};
    }
    if (runs->begin_count == runs->capacity) {
        size_t capacity = runs->capacity ? runs->capacity * 2 : 4;
        uint64_t *begins = realloc(runs->begins, capacity * sizeof(begins[0]));
        if (!begins)
            return;
        runs->begins = begins;
        runs->capacity = capacity;
    }
    runs->begins[runs->begin_count++] = begin;
}

static bool run_take_locked(uint64_t *begin, size_t count)
{
    struct free_runs *runs = free_runs_of_locked(count);
    if (runs && runs->begin_count) {
        *begin = runs->begins[--runs->begin_count];
        return true;
    }
    unsigned segment = segment_of(all.next);
    *begin = all.next;
    while (*begin + count > segment_begin(segment + 1)) /* neighbours share a segment */
        *begin = segment_begin(++segment);
    if (segment >= SEGMENT_COUNT_MAX)
        return false;
    all.next = *begin + count;
    return true;
}

bool belfry__cells_take_locked(struct cells *cells, size_t count)
{
    uint64_t begin;
    if (!run_take_locked(&begin, count))
        return false;
    cells->segment = (uint8_t)segment_of(begin);
    cells->offset = (uint32_t)(begin - segment_begin(cells->segment));
    atomic_store_explicit(&cells->owner, CELLS_FREE, memory_order_relaxed);
    return true;
}

static const _Atomic uint64_t *block_copies(const struct cell_block *block,
                                            const struct cells *cells)
{
    const _Atomic uint64_t *segment =
        atomic_load_explicit(&block->segments[cells->segment], memory_order_acquire);
    return segment ? segment + cells->offset : NULL;
}

/* Copies are touched only where the cells were shared, and pages only where something was counted. */
static void copies_clear(const struct cells *cells, size_t count)
{
    struct cell_block *block = atomic_load_explicit(&all.blocks, memory_order_acquire);
    for (; block; block = block->next) {
        _Atomic uint64_t *segment =
            atomic_load_explicit(&block->segments[cells->segment], memory_order_acquire);
        for (size_t i = 0; segment && i < count; i++) {
            _Atomic uint64_t *cell = segment + cells->offset + i;
            if (atomic_load_explicit(cell, memory_order_relaxed))
                atomic_store_explicit(cell, 0, memory_order_relaxed);
        }
    }
}

void belfry__cells_give_locked(const struct cells *cells, size_t count)
{
    if (atomic_load_explicit(&cells->owner, memory_order_relaxed) == CELLS_SHARED)
        copies_clear(cells, count);
    run_keep_locked(segment_begin(cells->segment) + cells->offset, count);
}

uint64_t belfry__cells_sum(const struct cells *cells, const _Atomic uint64_t *base, size_t idx)
{
    uint64_t sum = atomic_load_explicit(&base[idx], memory_order_relaxed);
    if (atomic_load_explicit(&cells->owner, memory_order_relaxed) != CELLS_SHARED)
        return sum;
    const struct cell_block *block = atomic_load_explicit(&all.blocks, memory_order_acquire);
    for (; block; block = block->next) {
        const _Atomic uint64_t *copies = block_copies(block, cells);
        if (copies)
            sum += atomic_load_explicit(&copies[idx], memory_order_relaxed);
    }
    return sum;
}

double belfry__cells_sum_double(const struct cells *cells, const _Atomic uint64_t *base, size_t idx)
{
    double sum = double_from_bits(atomic_load_explicit(&base[idx], memory_order_relaxed));
    if (atomic_load_explicit(&cells->owner, memory_order_relaxed) != CELLS_SHARED)
        return sum;
    const struct cell_block *block = atomic_load_explicit(&all.blocks, memory_order_acquire);
    for (; block; block = block->next) {
        const _Atomic uint64_t *copies = block_copies(block, cells);
        if (copies)
            sum += double_from_bits(atomic_load_explicit(&copies[idx], memory_order_relaxed));
    }
    return sum;
}

void belfry__cells_count_lost(void)
{
    atomic_fetch_add_explicit(&all.lost, 1, memory_order_relaxed);
}

uint64_t belfry__cells_lost(void)
{
    return atomic_load_explicit(&all.lost, memory_order_relaxed);
}
