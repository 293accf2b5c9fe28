/* SPDX-License-Identifier: Apache-2.0 */
#include "access/sqlite_db.h"

#include "base/assert.h"
#include "base/buffer.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BUSY_MS = 5000, MIGRATION_BYTES_MAX = 1 << 20 };

bool sqlite_db_fail(struct sqlite_db *db, struct error *err)
{
    int code = sqlite_library.errcode(db->sqlite) & 0xff;
    enum error_kind kind = code == SQLITE_FULL                               ? ERROR_NO_SPACE
                           : code == SQLITE_BUSY || code == SQLITE_LOCKED    ? ERROR_BUSY
                           : code == SQLITE_NOTADB || code == SQLITE_CORRUPT ? ERROR_CORRUPT
                                                                             : ERROR_IO;
    return error_set(err, kind, "%s: %s", db->path, sqlite_library.errmsg(db->sqlite));
}

bool sqlite_db_execute(struct sqlite_db *db, const char *sql, struct error *err)
{
    return sqlite_library.exec(db->sqlite, sql, NULL, NULL, NULL) == SQLITE_OK ||
           sqlite_db_fail(db, err);
}

bool sqlite_db_prepare(struct sqlite_db *db, sqlite3_stmt **out, const char *sql, struct error *err)
{
    return sqlite_library.prepare_v2(db->sqlite, sql, -1, out, NULL) == SQLITE_OK ||
           sqlite_db_fail(db, err);
}

bool sqlite_db_step(struct sqlite_db *db, sqlite3_stmt *st, bool *row, struct error *err)
{
    int code = sqlite_library.step(st);
    *row = code == SQLITE_ROW;
    return code == SQLITE_ROW || code == SQLITE_DONE || sqlite_db_fail(db, err);
}

bool sqlite_db_int(struct sqlite_db *db, const char *sql, int64_t *out, struct error *err)
{
    sqlite3_stmt *st = NULL;
    bool ok = sqlite_db_prepare(db, &st, sql, err) &&
              (sqlite_library.step(st) == SQLITE_ROW || sqlite_db_fail(db, err));
    if (ok)
        *out = sqlite_library.column_int64(st, 0);
    (void)sqlite_library.finalize(st); /* repeats the step's error */
    return ok;
}

bool sqlite_db_begin(struct sqlite_db *db, struct error *err)
{
    return sqlite_db_execute(db, "BEGIN IMMEDIATE", err);
}

static void roll_back(struct sqlite_db *db)
{
    (void)sqlite_library.exec(db->sqlite, "ROLLBACK", NULL, NULL, NULL); /* there may be nothing */
}

bool sqlite_db_end(struct sqlite_db *db, bool ok, struct error *err)
{
    if (ok && sqlite_db_execute(db, "COMMIT", err))
        return true;
    roll_back(db);
    return false;
}

/* ---- the schema ---- */

static bool migrate_once(struct sqlite_db *db, const struct sqlite_db_options *o, int64_t version,
                         struct error *err)
{
    struct buffer sql;
    buffer_init(&sql, MEM_OTHER, MIGRATION_BYTES_MAX);
    buffer_printf(&sql,
                  "BEGIN IMMEDIATE; PRAGMA application_id=%" PRIu32
                  "; %s PRAGMA user_version=%" PRId64 "; COMMIT",
                  o->application_id, o->migrations[version], version + 1);
    buffer_append_byte(&sql, '\0');
    ASSERT(!sql.failed);
    bool ok = sqlite_db_execute(db, sql.ptr, err);
    buffer_deinit(&sql);
    if (ok)
        return true;
    roll_back(db);
    int64_t now = 0; /* another process may have been faster */
    struct error ignored = {0};
    return sqlite_db_int(db, "PRAGMA user_version", &now, &ignored) && now > version;
}

static bool migrate(struct sqlite_db *db, const struct sqlite_db_options *o, struct error *err)
{
    int64_t version = 0, application = 0;
    if (!sqlite_db_int(db, "PRAGMA user_version", &version, err) ||
        !sqlite_db_int(db, "PRAGMA application_id", &application, err))
        return false;
    if (version > (int64_t)o->migration_count || version < 0)
        return error_set(err, ERROR_CORRUPT, "%s has version %" PRId64 ", this program knows %zu",
                         db->path, version, o->migration_count);
    if (version > 0 && application != o->application_id)
        return error_set(err, ERROR_CORRUPT, "%s is a database of another program", db->path);
    for (; version < (int64_t)o->migration_count; version++)
        if (!migrate_once(db, o, version, err))
            return false;
    error_clear(err);
    return true;
}

/* ---- the file ---- */

/* Made before SQLite makes it, so that it is never readable by others, and given to the folder's owner: root may write
 * for a program that runs as somebody else. SQLite gives its -wal and -shm the same mode and owner. */
static bool create_file(const char *path, struct error *err)
{
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return error_set_errno(err, errno, "could not create \"%s\"", path);
    struct stat of_dir;
    const char *slash = strrchr(path, '/');
    char *dir = slash ? mem_copy_string(MEM_OTHER, (struct view){path, (size_t)(slash - path) + 1})
                      : mem_copy_string(MEM_OTHER, VIEW("."));
    bool ok = geteuid() != 0 ||
              (stat(dir, &of_dir) == 0 && fchown(fd, of_dir.st_uid, of_dir.st_gid) == 0);
    int saved = errno;
    mem_free(MEM_OTHER, dir);
    (void)close(fd); /* nothing was written */
    return ok || error_set_errno(err, saved, "could not give \"%s\" to the folder's owner", path);
}

static bool open_file(struct sqlite_db *db, const struct sqlite_db_options *o, struct error *err)
{
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
    if (access(db->path, F_OK) != 0 &&
        (o->create ? !create_file(db->path, err)
                   : !error_set(err, ERROR_NOT_FOUND, "there is no \"%s\"", db->path)))
        return false;
    if (!sqlite_library_load(err))
        return false;
    if (sqlite_library.open_v2(db->path, &db->sqlite, flags, NULL) != SQLITE_OK)
        return db->sqlite ? sqlite_db_fail(db, err)
                          : error_set(err, ERROR_IO, "no memory for SQLite");
    (void)sqlite_library.busy_timeout(db->sqlite, BUSY_MS); /* cannot fail with a handle */
    return sqlite_db_execute(db,
                             o->is_full ? "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"
                                          "PRAGMA trusted_schema=OFF; PRAGMA temp_store=MEMORY"
                                        : "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;"
                                          "PRAGMA trusted_schema=OFF; PRAGMA temp_store=MEMORY",
                             err) &&
           migrate(db, o, err);
}

bool sqlite_db_open(struct sqlite_db **out, const char *path,
                    const struct sqlite_db_options *options, struct error *err)
{
    ASSERT(options->application_id != 0);
    struct sqlite_db *db = mem_alloc_zero(MEM_OTHER, 1, sizeof *db);
    db->path = mem_copy_string(MEM_OTHER, view_from(path));
    *out = NULL;
    if (!open_file(db, options, err)) {
        int code = db->sqlite ? sqlite_library.errcode(db->sqlite) & 0xff : SQLITE_OK;
        if (options->is_damaged)
            *options->is_damaged = code == SQLITE_NOTADB || code == SQLITE_CORRUPT;
        sqlite_db_close(db);
        return false;
    }
    *out = db;
    return true;
}

void sqlite_db_close(struct sqlite_db *db)
{
    if (db == NULL)
        return;
    if (db->sqlite)
        (void)sqlite_library.close(db->sqlite); /* all statements are finalized: cannot be busy */
    mem_free(MEM_OTHER, db->path);
    mem_free(MEM_OTHER, db);
}
