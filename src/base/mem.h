/* SPDX-License-Identifier: Apache-2.0 */
/* mem.h: memory, accounted per subsystem. Every heap allocation of the server goes through here, so
 * that `belfry_memory_bytes{subsystem}` is true and a test can make the n-th allocation fail.
 * Any thread. Accounts are sharded relaxed counters; their sum is exact when nothing is in flight. */
#ifndef BELFRY_BASE_MEM_H
#define BELFRY_BASE_MEM_H

#include "base/attributes.h"
#include "base/view.h"

#include <stddef.h>
#include <stdint.h>

#define MEM_ACCOUNTS(X)                                                                            \
    X(MEM_OTHER, "other")                                                                          \
    X(MEM_CONFIG, "config")                                                                        \
    X(MEM_LABELS, "labels") /* symbols, shapes and label sets of the head */                       \
    X(MEM_INDEX, "index")   /* postings, hash index */                                             \
    X(MEM_HEAD, "head")     /* groups: tiles, strips, extents */                                   \
    X(MEM_WAL, "wal")                                                                              \
    X(MEM_BLOCK, "block")                                                                          \
    X(MEM_EXEMPLARS, "exemplars")                                                                  \
    X(MEM_SCRAPE, "scrape")                                                                        \
    X(MEM_REMOTE_WRITE, "remote_write")                                                            \
    X(MEM_QUERY, "query")                                                                          \
    X(MEM_RULES, "rules")                                                                          \
    X(MEM_ALERTING, "alerting")                                                                    \
    X(MEM_HTTP, "http")                                                                            \
    X(MEM_INSTRUMENT, "instrument")

enum mem_account {
#define X(id, name) id,
    MEM_ACCOUNTS(X)
#undef X
        MEM_ACCOUNT_COUNT
};

/* Uninitialised / zeroed memory, aligned for any type. Never NULL: the process stops with a message
 * when there is none. count * size is checked. */
void *mem_alloc(enum mem_account account, size_t bytes) __attribute__((malloc));
void *mem_alloc_zero(enum mem_account account, size_t count, size_t bytes) __attribute__((malloc));
/* NULL when there is none: for sizes that come from outside, after their limit was checked. */
void *mem_try_alloc(enum mem_account account, size_t bytes);
/* Resizes; `ptr` may be NULL. The account must be the one it was allocated with. */
void *mem_resize(enum mem_account account, void *ptr, size_t bytes);
void *mem_try_resize(enum mem_account account, void *ptr, size_t bytes);
/* NULL does nothing. */
void mem_free(enum mem_account account, void *ptr);
/* A NUL-terminated copy of the bytes; mem_free() with the same account. */
char *mem_copy_string(enum mem_account account, struct view text);
/* Grows an array geometrically so that it holds at least `need` items; returns the new array and
 * updates *capacity. */
void *mem_grow(enum mem_account account, void *array, size_t *capacity, size_t need,
               size_t item_bytes);

/* Bytes allocated now under this account (usable sizes, as malloc rounds them). */
int64_t mem_account_bytes(enum mem_account account);
int64_t mem_total_bytes(void);
const char *mem_account_name(enum mem_account account);

/* Tests only: the n-th mem_try_* from now (0 = the next) returns NULL, once; -1 switches off. */
void mem_test_fail_after(int64_t count);

#endif
