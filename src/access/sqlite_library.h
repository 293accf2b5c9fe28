/* SPDX-License-Identifier: Apache-2.0 */
/* sqlite_library.h: SQLite, loaded when the first database is opened: a server without users does without the quarter
 * of a megabyte that its pages take (measured). The functions have their names and types of sqlite3.h. */
#ifndef BELFRY_ACCESS_SQLITE_LIBRARY_H
#define BELFRY_ACCESS_SQLITE_LIBRARY_H

#include "base/attributes.h"
#include "base/error.h"

#include <sqlite3.h>
#include <stdbool.h>

#define SQLITE_FUNCTIONS(X)                                                                        \
    X(bind_blob)                                                                                   \
    X(bind_double)                                                                                 \
    X(bind_int64)                                                                                  \
    X(bind_null)                                                                                   \
    X(bind_text)                                                                                   \
    X(busy_timeout)                                                                                \
    X(changes)                                                                                     \
    X(clear_bindings)                                                                              \
    X(close)                                                                                       \
    X(column_blob)                                                                                 \
    X(column_bytes)                                                                                \
    X(column_double)                                                                               \
    X(column_int64)                                                                                \
    X(column_text)                                                                                 \
    X(column_type)                                                                                 \
    X(errcode)                                                                                     \
    X(errmsg)                                                                                      \
    X(exec)                                                                                        \
    X(finalize)                                                                                    \
    X(last_insert_rowid)                                                                           \
    X(open_v2)                                                                                     \
    X(prepare_v2)                                                                                  \
    X(reset)                                                                                       \
    X(step)

struct sqlite_library {
#define X(name) __typeof__(sqlite3_##name) *name;
    SQLITE_FUNCTIONS(X)
#undef X
};

/* Empty until sqlite_library_load() said true; constant from then on. */
extern struct sqlite_library sqlite_library;
/* Loads it once and never unloads it. ERROR_UNAVAILABLE. Any thread. */
MUST_USE bool sqlite_library_load(struct error *err);

#endif
