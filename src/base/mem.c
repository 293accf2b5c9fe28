/* SPDX-License-Identifier: Apache-2.0 */
/* mem.c: the only place that calls the heap. What was allocated is asked from the allocator
 * (malloc_usable_size), so blocks need no header and mem_free() knows what it gives back.
 *
 * Counters are sharded: a thread keeps the shard it was given first, so that two threads rarely write
 * to one cache line. A block may be freed in another shard than it came from; shards go below zero,
 * their sum stays right. */
#include "base/mem.h"

#include "base/assert.h"

#include <malloc.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SHARD_COUNT = 16, GROW_ITEMS_MIN = 8 }; /* chosen, not measured */

static struct shard {
    _Alignas(64) _Atomic int64_t bytes[MEM_ACCOUNT_COUNT];
} shards[SHARD_COUNT];

static _Atomic unsigned shard_next;
static _Thread_local unsigned shard_own; /* number + 1; 0 = not given yet */

/* Tries left before one fails; negative = off. */
static _Atomic int64_t fail_after = -1;

static const char *const account_names[] = {
#define X(id, name) [id] = name,
    MEM_ACCOUNTS(X)
#undef X
};

static void account_add(enum mem_account account, int64_t bytes)
{
    ASSERT_SLOW(account < MEM_ACCOUNT_COUNT);
    if (UNLIKELY(shard_own == 0))
        shard_own =
            atomic_fetch_add_explicit(&shard_next, 1, memory_order_relaxed) % SHARD_COUNT + 1;
    atomic_fetch_add_explicit(&shards[shard_own - 1].bytes[account], bytes, memory_order_relaxed);
}

static void account_add_block(enum mem_account account, void *ptr)
{
    account_add(account, (int64_t)malloc_usable_size(ptr));
}

NORETURN static NOINLINE void die_without_memory(enum mem_account account, size_t bytes)
{
    fprintf(stderr, "out of memory: could not allocate %zu bytes for %s\n", bytes,
            mem_account_name(account));
    fflush(stderr);
    abort();
}

static bool test_wants_failure(void)
{
    if (LIKELY(atomic_load_explicit(&fail_after, memory_order_relaxed) < 0))
        return false;
    return atomic_fetch_sub_explicit(&fail_after, 1, memory_order_relaxed) == 0;
}

/* malloc(0) and realloc(p, 0) may give NULL, which would look like a failure. */
static size_t at_least_one(size_t bytes)
{
    return bytes ? bytes : 1;
}

void *mem_alloc(enum mem_account account, size_t bytes)
{
    void *ptr = malloc(at_least_one(bytes));
    if (UNLIKELY(!ptr))
        die_without_memory(account, bytes);
    account_add_block(account, ptr);
    return ptr;
}

void *mem_alloc_zero(enum mem_account account, size_t count, size_t bytes)
{
    size_t total;
    if (UNLIKELY(__builtin_mul_overflow(count, bytes, &total)))
        die_without_memory(account, SIZE_MAX);
    void *ptr = calloc(1, at_least_one(total));
    if (UNLIKELY(!ptr))
        die_without_memory(account, total);
    account_add_block(account, ptr);
    return ptr;
}

void *mem_try_alloc(enum mem_account account, size_t bytes)
{
    if (UNLIKELY(test_wants_failure()))
        return NULL;
    void *ptr = malloc(at_least_one(bytes));
    if (LIKELY(ptr != NULL))
        account_add_block(account, ptr);
    return ptr;
}

/* NULL leaves the old block as it is. */
static void *resize(enum mem_account account, void *ptr, size_t bytes)
{
    int64_t before = ptr ? (int64_t)malloc_usable_size(ptr) : 0;
    void *moved = realloc(ptr, at_least_one(bytes));
    if (LIKELY(moved != NULL))
        account_add(account, (int64_t)malloc_usable_size(moved) - before);
    return moved;
}

void *mem_resize(enum mem_account account, void *ptr, size_t bytes)
{
    void *moved = resize(account, ptr, bytes);
    if (UNLIKELY(!moved))
        die_without_memory(account, bytes);
    return moved;
}

void *mem_try_resize(enum mem_account account, void *ptr, size_t bytes)
{
    if (UNLIKELY(test_wants_failure()))
        return NULL;
    return resize(account, ptr, bytes);
}

void mem_free(enum mem_account account, void *ptr)
{
    if (!ptr)
        return;
    account_add(account, -(int64_t)malloc_usable_size(ptr));
    free(ptr);
}

char *mem_copy_string(enum mem_account account, struct view text)
{
    char *copy = mem_alloc(account, text.len + 1);
    if (text.len)
        memcpy(copy, text.ptr, text.len);
    copy[text.len] = '\0';
    return copy;
}

void *mem_grow(enum mem_account account, void *array, size_t *capacity, size_t need,
               size_t item_bytes)
{
    if (need <= *capacity)
        return array;
    size_t count = *capacity > SIZE_MAX / 2 ? need : *capacity * 2;
    if (count < need)
        count = need;
    if (count < GROW_ITEMS_MIN)
        count = GROW_ITEMS_MIN;
    size_t bytes;
    if (UNLIKELY(__builtin_mul_overflow(count, item_bytes, &bytes)))
        die_without_memory(account, SIZE_MAX);
    array = mem_resize(account, array, bytes);
    *capacity = count;
    return array;
}

int64_t mem_account_bytes(enum mem_account account)
{
    ASSERT(account < MEM_ACCOUNT_COUNT);
    int64_t sum = 0;
    for (size_t i = 0; i < SHARD_COUNT; i++)
        sum += atomic_load_explicit(&shards[i].bytes[account], memory_order_relaxed);
    return sum;
}

int64_t mem_total_bytes(void)
{
    int64_t sum = 0;
    for (int account = 0; account < MEM_ACCOUNT_COUNT; account++)
        sum += mem_account_bytes((enum mem_account)account);
    return sum;
}

const char *mem_account_name(enum mem_account account)
{
    ASSERT(account < MEM_ACCOUNT_COUNT);
    return account_names[account];
}

void mem_test_fail_after(int64_t count)
{
    atomic_store_explicit(&fail_after, count, memory_order_relaxed);
}
