/* SPDX-License-Identifier: Apache-2.0 */
/* arena.h: memory that is freed whole. Name an arena after its life (query_arena), pass it first.
 * One thread at a time. Nothing with a close of its own (files, locks, references) lives here. */
#ifndef BELFRY_BASE_ARENA_H
#define BELFRY_BASE_ARENA_H

#include "base/attributes.h"
#include "base/mem.h"
#include "base/view.h"

#include <stddef.h>

struct arena_chunk;

struct arena {
    struct arena_chunk *chunks; /* newest first */
    char *next, *end;           /* free bytes of the newest chunk */
    size_t used_bytes;          /* of all chunks, as allocated from the heap */
    size_t bytes_max;           /* 0 = unlimited */
    enum mem_account account;
};

/* Nothing is allocated until the first use. bytes_max 0 = unlimited. */
void arena_init(struct arena *arena, enum mem_account account, size_t bytes_max);
/* Frees everything; the arena may be used again (as after init). */
void arena_deinit(struct arena *arena);
/* The same for one that held secrets: its bytes are overwritten first. */
void arena_wipe(struct arena *arena);
/* Forgets everything but keeps one chunk for the next use. */
void arena_reset(struct arena *arena);

/* Aligned to 16 bytes, uninitialised. Never NULL: the process stops when memory (or bytes_max) ends;
 * arenas with a limit are used through arena_try_alloc. */
void *arena_alloc(struct arena *arena, size_t bytes) __attribute__((malloc));
void *arena_alloc_zero(struct arena *arena, size_t count, size_t item_bytes);
/* NULL when the limit would be passed or there is no memory. */
void *arena_try_alloc(struct arena *arena, size_t bytes);
/* A copy; ptr is never NULL and is followed by a NUL that len does not count. */
struct view arena_copy(struct arena *arena, struct view bytes);
struct view arena_printf(struct arena *arena, const char *format, ...) PRINTF_LIKE(2, 3);
/* Moves an array to a place with room for at least `need` items (doubling); the old one is dead
 * until the arena is. Updates *capacity. */
void *arena_grow(struct arena *arena, void *array, size_t *capacity, size_t need,
                 size_t item_bytes);

#define ARENA_NEW(arena, type) ((type *)arena_alloc_zero((arena), 1, sizeof(type)))
#define ARENA_ARRAY(arena, type, count) ((type *)arena_alloc_zero((arena), (count), sizeof(type)))

#endif
