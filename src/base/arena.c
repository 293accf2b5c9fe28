/* SPDX-License-Identifier: Apache-2.0 */
/* arena.c: a list of chunks, filled from the front; each is twice the one before, up to a maximum.
 * A request that does not fit a chunk of usual size gets one of its own behind the newest, so that
 * the rest of the newest stays in use. Under AddressSanitizer free bytes are poisoned. */
#include "base/arena.h"

#include "base/assert.h"

#include <assert.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#if defined(__SANITIZE_ADDRESS__)
#define ARENA_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ARENA_ASAN 1
#endif
#endif
#ifdef ARENA_ASAN
#include <sanitizer/asan_interface.h>
#define POISON(ptr, bytes) __asan_poison_memory_region((ptr), (bytes))
#define UNPOISON(ptr, bytes) __asan_unpoison_memory_region((ptr), (bytes))
#else
#define POISON(ptr, bytes) ((void)(ptr), (void)(bytes))
#define UNPOISON(ptr, bytes) ((void)(ptr), (void)(bytes))
#endif

enum {
    ALIGN_BYTES = 16,
    CHUNK_BYTES_MIN = 4096,    /* chosen, not measured: one page for a small request */
    CHUNK_BYTES_MAX = 1 << 20, /* chosen, not measured: waste of at most this per arena */
    KEEP_BYTES_MAX = 1 << 20,  /* arena_reset gives larger chunks back */
};

struct arena_chunk {
    struct arena_chunk *older;
    size_t bytes; /* with this header */
};

static_assert(sizeof(struct arena_chunk) % ALIGN_BYTES == 0, "the first item must be aligned");

static void chunk_free(struct arena *arena, struct arena_chunk *chunk)
{
    arena->used_bytes -= chunk->bytes;
    UNPOISON(chunk, chunk->bytes);
    mem_free(arena->account, chunk);
}

static void arena_use_chunk(struct arena *arena, struct arena_chunk *chunk)
{
    arena->next = (char *)(chunk + 1);
    arena->end = (char *)chunk + chunk->bytes;
    POISON(arena->next, (size_t)(arena->end - arena->next));
}

void arena_init(struct arena *arena, enum mem_account account, size_t bytes_max)
{
    *arena = (struct arena){.account = account, .bytes_max = bytes_max};
}

void arena_deinit(struct arena *arena)
{
    for (struct arena_chunk *chunk = arena->chunks; chunk;) {
        struct arena_chunk *older = chunk->older;
        chunk_free(arena, chunk);
        chunk = older;
    }
    ASSERT(arena->used_bytes == 0);
    arena_init(arena, arena->account, arena->bytes_max);
}

void arena_wipe(struct arena *arena)
{
    for (struct arena_chunk *chunk = arena->chunks; chunk; chunk = chunk->older) {
        UNPOISON(chunk, chunk->bytes);
        explicit_bzero(chunk + 1, chunk->bytes - sizeof *chunk);
    }
    arena_deinit(arena);
}

void arena_reset(struct arena *arena)
{
    struct arena_chunk *keep = NULL;
    for (struct arena_chunk *chunk = arena->chunks; chunk; chunk = chunk->older) {
        if (chunk->bytes <= KEEP_BYTES_MAX && (!keep || chunk->bytes > keep->bytes))
            keep = chunk;
    }
    for (struct arena_chunk *chunk = arena->chunks; chunk;) {
        struct arena_chunk *older = chunk->older;
        if (chunk != keep)
            chunk_free(arena, chunk);
        chunk = older;
    }
    arena->chunks = keep;
    arena->next = arena->end = NULL;
    if (keep) {
        keep->older = NULL;
        arena_use_chunk(arena, keep);
    }
}

/* Size of the next usual chunk: what is held already, within the limits. */
static size_t chunk_bytes_next(const struct arena *arena)
{
    size_t bytes = arena->used_bytes;
    if (bytes < CHUNK_BYTES_MIN)
        bytes = CHUNK_BYTES_MIN;
    return bytes > CHUNK_BYTES_MAX ? CHUNK_BYTES_MAX : bytes;
}

static struct arena_chunk *chunk_new(struct arena *arena, size_t bytes)
{
    if (arena->bytes_max &&
        (bytes > arena->bytes_max || arena->used_bytes > arena->bytes_max - bytes))
        return NULL;
    struct arena_chunk *chunk = mem_try_alloc(arena->account, bytes);
    if (!chunk)
        return NULL;
    chunk->bytes = bytes;
    arena->used_bytes += bytes;
    return chunk;
}

/* `bytes` is a multiple of ALIGN_BYTES and does not fit the newest chunk. */
static NOINLINE void *alloc_slow(struct arena *arena, size_t bytes)
{
    size_t need;
    if (__builtin_add_overflow(bytes, sizeof(struct arena_chunk), &need))
        return NULL;
    size_t usual = chunk_bytes_next(arena);
    bool own = arena->chunks && need > usual / 2;
    struct arena_chunk *chunk = NULL;
    if (!own)
        chunk = chunk_new(arena, need > usual ? need : usual);
    if (!chunk) /* near the limit a chunk that holds just this may still do */
        chunk = chunk_new(arena, need);
    if (!chunk)
        return NULL;
    if (own) {
        chunk->older = arena->chunks->older;
        arena->chunks->older = chunk;
        POISON(chunk + 1, chunk->bytes - sizeof(*chunk));
        return chunk + 1;
    }
    chunk->older = arena->chunks;
    arena->chunks = chunk;
    arena_use_chunk(arena, chunk);
    arena->next += bytes;
    return chunk + 1;
}

void *arena_try_alloc(struct arena *arena, size_t bytes)
{
    if (UNLIKELY(bytes > SIZE_MAX - ALIGN_BYTES))
        return NULL;
    size_t rounded = (bytes + ALIGN_BYTES - 1) & ~(size_t)(ALIGN_BYTES - 1);
    if (rounded == 0)
        rounded = ALIGN_BYTES; /* each item has an address of its own */
    void *ptr;
    if (LIKELY((size_t)(arena->end - arena->next) >= rounded)) {
        ptr = arena->next;
        arena->next += rounded;
    } else {
        ptr = alloc_slow(arena, rounded);
        if (!ptr)
            return NULL;
    }
    UNPOISON(ptr, bytes);
    return ptr;
}

NORETURN static NOINLINE void die_without_memory(const struct arena *arena, size_t bytes)
{
    fprintf(stderr,
            "out of memory: could not allocate %zu bytes in an arena of %s (%zu used, limit %zu)\n",
            bytes, mem_account_name(arena->account), arena->used_bytes, arena->bytes_max);
    fflush(stderr);
    abort();
}

void *arena_alloc(struct arena *arena, size_t bytes)
{
    void *ptr = arena_try_alloc(arena, bytes);
    if (UNLIKELY(!ptr))
        die_without_memory(arena, bytes);
    return ptr;
}

void *arena_alloc_zero(struct arena *arena, size_t count, size_t item_bytes)
{
    size_t bytes;
    if (UNLIKELY(__builtin_mul_overflow(count, item_bytes, &bytes)))
        die_without_memory(arena, SIZE_MAX);
    void *ptr = arena_alloc(arena, bytes);
    memset(ptr, 0, bytes);
    return ptr;
}

struct view arena_copy(struct arena *arena, struct view bytes)
{
    char *copy = arena_alloc(arena, bytes.len + 1);
    if (bytes.len)
        memcpy(copy, bytes.ptr, bytes.len);
    copy[bytes.len] = '\0';
    return (struct view){copy, bytes.len};
}

struct view arena_printf(struct arena *arena, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int len = vsnprintf(NULL, 0, format, args);
    va_end(args);
    ASSERT(len >= 0);
    char *text = arena_alloc(arena, (size_t)len + 1);
    vsnprintf(text, (size_t)len + 1, format, again);
    va_end(again);
    return (struct view){text, (size_t)len};
}

void *arena_grow(struct arena *arena, void *array, size_t *capacity, size_t need, size_t item_bytes)
{
    if (need <= *capacity && array)
        return array;
    size_t count = *capacity > SIZE_MAX / 2 ? need : *capacity * 2;
    if (count < need)
        count = need;
    if (count < 8)
        count = 8;
    size_t bytes;
    if (UNLIKELY(__builtin_mul_overflow(count, item_bytes, &bytes)))
        die_without_memory(arena, SIZE_MAX);
    void *moved = arena_alloc(arena, bytes);
    if (array && *capacity)
        memcpy(moved, array, *capacity * item_bytes);
    *capacity = count;
    return moved;
}
