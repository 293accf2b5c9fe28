/* SPDX-License-Identifier: Apache-2.0 */
/* sqlite_db.h: one SQLite file with a schema that has versions: opened, brought up to date, or refused.
 *
 * user_version counts the schema: migrations[v] leads from v to v + 1, each in a transaction of its own. A file of a later
 * version, or of another program, is refused before anything is written. WAL: readers do not wait for a writer.
 *
 * One connection is used by one thread at a time: callers bring their own lock, or a connection per thread. Statements
 * are the caller's, by the names of sqlite3.h in access/sqlite_library.h; all are finalized before the close. */
#ifndef BELFRY_ACCESS_SQLITE_DB_H
#define BELFRY_ACCESS_SQLITE_DB_H

#include "access/sqlite_library.h"
#include "base/attributes.h"
#include "base/error.h"
#include "base/view.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct sqlite_db {
    sqlite3 *sqlite;
    char *path;
};

struct sqlite_db_options {
    uint32_t application_id; /* not 0: whose file it is */
    const char *const *migrations;
    size_t migration_count;
    bool create; /* a new file belongs to the owner of its folder and is readable by nobody else */
    bool
        is_full; /* what is committed survives a power cut; else a crash of the process (synchronous=NORMAL) */
    /* May be NULL. Set by an open that fails: whether the file is no database or a damaged one; not for one of a later version
     * or of another program. */
    bool *is_damaged;
};

/* ERROR_NOT_FOUND when it is not there and `create` is false; ERROR_CORRUPT for a file that is none of ours or of a
 * later version; ERROR_UNAVAILABLE without SQLite. Borrows options during the call. */
MUST_USE bool sqlite_db_open(struct sqlite_db **out, const char *path,
                             const struct sqlite_db_options *options, struct error *err);
void sqlite_db_close(struct sqlite_db *db); /* NULL is fine */

/* What SQLite said last, with the path: ERROR_NO_SPACE, ERROR_BUSY, ERROR_CORRUPT, ERROR_IO. Returns false. */
bool sqlite_db_fail(struct sqlite_db *db, struct error *err);
MUST_USE bool sqlite_db_execute(struct sqlite_db *db, const char *sql, struct error *err);
MUST_USE bool sqlite_db_prepare(struct sqlite_db *db, sqlite3_stmt **out, const char *sql,
                                struct error *err);
/* The first column of the first row. */
MUST_USE bool sqlite_db_int(struct sqlite_db *db, const char *sql, int64_t *out, struct error *err);
/* One step; *row says whether there is a row, false at the end. */
MUST_USE bool sqlite_db_step(struct sqlite_db *db, sqlite3_stmt *st, bool *row, struct error *err);
/* BEGIN IMMEDIATE waits at most five seconds for another writer: ERROR_BUSY. */
MUST_USE bool sqlite_db_begin(struct sqlite_db *db, struct error *err);
/* COMMIT, or ROLLBACK when ok is false or it cannot be committed. Returns whether it is committed. */
MUST_USE bool sqlite_db_end(struct sqlite_db *db, bool ok, struct error *err);

#endif
