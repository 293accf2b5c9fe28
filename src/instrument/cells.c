/* SPDX-License-Identifier: Apache-2.0 */
/* cells.c: a cell is a number in 64 bits that every thread has a copy of.
 *
 * A thread adds to its own copy with a plain load and store: no locked instruction, no shared cache
 * line. Whoever wants the value adds up all copies. When a thread ends, its block stays in the list with
 * all it counted, and the next new thread goes on counting in it; so there are as many blocks as there
 * ever were threads at once, and no count is lost.
 *
 * Why this is right: each copy has one writer at a time. A block changes hands only under the mutex
 * (is_owned), which orders the old owner's stores before the new owner's loads. A chunk is zeroed before
 * it is published (release) and its readers acquire it; it is never freed. Readers see each copy
 * at some recent moment, so a sum is not a snapshot over cells, but never falls (x86 and every other
 * coherent machine: a copy, once seen, is not seen older).
 *
 * Cells of freed registries are zeroed in every block and kept by their length for the next taker. */
#include "instrument/cells.h"

#include <pthread.h>
#include <stdlib.h>

_Thread_local struct cell_block *belfry__cells_own;

/* A run of cells that was given back. */
struct free_run {
    struct free_run *next;
    uint32_t first;
    size_t count;
};

static struct {
    pthread_mutex_t mutex;
    struct free_run *free_runs; /* mutex */
    uint32_t cell_next;         /* mutex: cells from here on were never taken */

    _Atomic(struct cell_block *) blocks; /* pushed under the mutex (release), never removed */
    _Atomic uint64_t lost;               /* relaxed: a statistic */

    pthread_once_t once;
    pthread_key_t key; /* its destructor tells that a thread ends */
    bool has_key;
} all = {.mutex = PTHREAD_MUTEX_INITIALIZER, .once = PTHREAD_ONCE_INIT};

static void block_release(void *arg)
{
    struct cell_block *block = arg;
    belfry__cells_own = NULL;
    pthread_mutex_lock(&all.mutex);
    block->is_owned = false;
    pthread_mutex_unlock(&all.mutex);
}

static void key_make(void)
{
    all.has_key = pthread_key_create(&all.key, block_release) == 0;
}

/* A block that nobody owns, or a new one. Without a key for the end of threads blocks stay owned. */
static struct cell_block *block_acquire(void)
{
    pthread_once(&all.once, key_make);
    pthread_mutex_lock(&all.mutex);
    struct cell_block *block = atomic_load_explicit(&all.blocks, memory_order_relaxed);
    while (block && block->is_owned)
        block = block->next;
    if (!block) {
        block = calloc(1, sizeof(*block));
        if (block) {
            block->next = atomic_load_explicit(&all.blocks, memory_order_relaxed);
            atomic_store_explicit(&all.blocks, block, memory_order_release);
        }
    }
    if (block)
        block->is_owned = true;
    pthread_mutex_unlock(&all.mutex);
    if (block && all.has_key && pthread_setspecific(all.key, block) != 0) {
        block_release(block);
        return NULL;
    }
    belfry__cells_own = block;
    return block;
}

_Atomic uint64_t *belfry__cells_slow(uint32_t first)
{
    struct cell_block *block = belfry__cells_own ? belfry__cells_own : block_acquire();
    if (!block)
        goto lost;
    _Atomic(_Atomic uint64_t *) *place = &block->chunks[first / CELLS_PER_CHUNK];
    _Atomic uint64_t *chunk = atomic_load_explicit(place, memory_order_relaxed);
    if (!chunk) {
        chunk = calloc(CELLS_PER_CHUNK, sizeof(chunk[0]));
        if (!chunk)
            goto lost;
        atomic_store_explicit(place, chunk, memory_order_release);
    }
    return chunk + first % CELLS_PER_CHUNK;
lost:
    atomic_fetch_add_explicit(&all.lost, 1, memory_order_relaxed);
    return NULL;
}

static bool take_freed_locked(uint32_t *first, size_t count)
{
    for (struct free_run **link = &all.free_runs; *link; link = &(*link)->next) {
        struct free_run *run = *link;
        if (run->count != count)
            continue;
        *first = run->first;
        *link = run->next;
        free(run);
        return true;
    }
    return false;
}

bool belfry__cells_take(uint32_t *first, size_t count)
{
    bool ok = false;
    if (count > CELLS_PER_CHUNK)
        return false;
    pthread_mutex_lock(&all.mutex);
    ok = take_freed_locked(first, count);
    if (!ok) {
        uint32_t next = all.cell_next;
        if (next % CELLS_PER_CHUNK + count > CELLS_PER_CHUNK) /* neighbours share a chunk */
            next = (next / CELLS_PER_CHUNK + 1) * CELLS_PER_CHUNK;
        if (next + count <= (size_t)CELLS_PER_CHUNK * CHUNK_COUNT_MAX) {
            *first = next;
            all.cell_next = next + (uint32_t)count;
            ok = true;
        }
    }
    pthread_mutex_unlock(&all.mutex);
    return ok;
}

static _Atomic uint64_t *block_cell(struct cell_block *block, uint32_t cell)
{
    _Atomic uint64_t *chunk =
        atomic_load_explicit(&block->chunks[cell / CELLS_PER_CHUNK], memory_order_acquire);
    return chunk ? chunk + cell % CELLS_PER_CHUNK : NULL;
}

void belfry__cells_give(uint32_t first, size_t count)
{
    struct free_run *run = malloc(sizeof(*run));
    pthread_mutex_lock(&all.mutex);
    struct cell_block *block = atomic_load_explicit(&all.blocks, memory_order_relaxed);
    for (; block; block = block->next) {
        for (size_t i = 0; i < count; i++) {
            _Atomic uint64_t *cell = block_cell(block, first + (uint32_t)i);
            if (cell)
                atomic_store_explicit(cell, 0, memory_order_relaxed);
        }
    }
    if (run) { /* without memory the cells are not used again: nothing else is harmed */
        *run = (struct free_run){all.free_runs, first, count};
        all.free_runs = run;
    }
    pthread_mutex_unlock(&all.mutex);
}

uint64_t belfry__cell_sum(uint32_t cell)
{
    uint64_t sum = 0;
    struct cell_block *block = atomic_load_explicit(&all.blocks, memory_order_acquire);
    for (; block; block = block->next) {
        _Atomic uint64_t *own = block_cell(block, cell);
        if (own)
            sum += atomic_load_explicit(own, memory_order_relaxed);
    }
    return sum;
}

double belfry__cell_sum_double(uint32_t cell)
{
    double sum = 0;
    struct cell_block *block = atomic_load_explicit(&all.blocks, memory_order_acquire);
    for (; block; block = block->next) {
        _Atomic uint64_t *own = block_cell(block, cell);
        if (own)
            sum += double_from_bits(atomic_load_explicit(own, memory_order_relaxed));
    }
    return sum;
}

uint64_t belfry__cells_lost(void)
{
    return atomic_load_explicit(&all.lost, memory_order_relaxed);
}
