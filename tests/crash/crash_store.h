/* SPDX-License-Identifier: Apache-2.0 */
/* crash_store.h: the life of a small store whose every sample follows from its place, what was attempted and
 * acknowledged of it (in memory that parent and children share), and a look at what a store holds of it. For programs
 * that kill, fault and damage stores: a contract that is broken ends the process with a message and status 1. */
#ifndef BELFRY_TESTS_CRASH_STORE_H
#define BELFRY_TESTS_CRASH_STORE_H

#include "storage/appender.h"
#include "storage/db.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* A life writes ROWS rows, each to one group; a program may write more of them, below ROWS_MAX. */
enum { GROUPS = 3, SERIES = 4, ROWS = 160, ROWS_MAX = 400 };
enum { STEP_MS = 1000, BLOCK_MS = 20 * 1000 };
/* Every so many rows, a stretch of rows well in the past is deleted from one series of every group. */
enum { DELETE_EVERY = 40, DELETE_FROM = 38, DELETE_ROWS = 4, DELETE_SERIES = 3 };
#define T0 INT64_C(1700000000000)

enum row_state { ROW_NONE, ROW_ATTEMPTED, ROW_ACKNOWLEDGED };

struct oracle {
    _Atomic bool
        deletion[ROWS_MAX / DELETE_EVERY + 1]; /* was asked for: rows may be there or not */
    _Atomic bool
        deleted[ROWS_MAX / DELETE_EVERY + 1]; /* was acknowledged: they must not be there */
    _Atomic uint8_t rows[GROUPS][ROWS_MAX];   /* enum row_state */
    _Atomic uint64_t operations;              /* on files, of the last life */
    _Atomic uint32_t failures;                /* operations that were made to fail */
};
extern struct oracle *oracle;

/* Shared, all zero. */
void *shared_alloc(size_t bytes);
_Noreturn void die(const char *what, const struct error *err);
/* An error of the environment is what faults are for; anything else ends the process. */
void expect_environment(const char *what, const struct error *err);

/* Tended only when asked. `log` may be NULL. */
struct db *store_open(const char *dir, int64_t block_ms,
                      void (*log)(void *arg, bool is_error, const char *event, const char *text),
                      struct error *err);
double cell(uint32_t group, uint32_t series, int64_t row);
/* Writes one, with an exemplar if wanted, and waits for it. */
bool row_append(struct db *db, uint32_t group, int64_t row, bool exemplar, struct error *err);
/* Which deletion takes a row of DELETE_SERIES; -1 = none. */
int deletion_of(int64_t row);
/* The n-th: rows n * DELETE_EVERY - DELETE_FROM and the next. */
void rows_delete(struct db *db, int64_t n);
/* The whole of it, as well as the environment lets it. */
void life(const char *dir);

/* What a store holds. Wrong values, samples that nobody wrote or that are there twice, and (unless they may show)
 * those that were deleted end the process. */
struct look {
    bool seen[GROUPS][SERIES][ROWS_MAX];
    uint64_t lost; /* columns that the reader had to leave out */
    struct error problem;
};
void store_look(struct db *db, bool deleted_may_show, struct look *out);
/* An acknowledged sample that is not deleted. */
bool sample_must_be_there(uint32_t group, uint32_t series, int64_t row);

/* Runs f(arg) in a process of its own (its threads may die with it); returns the status of waitpid. */
int in_child(void (*f)(void *arg), void *arg);
/* n times TEST_SCALE, at least one. */
long scaled(long n);
/* That of TEST_SEED, or a new one. */
uint64_t seed_get(void);
/* A new folder where syncs cost nothing, if there is such a place. */
const char *top_folder(void);

#endif
