/* SPDX-License-Identifier: Apache-2.0 */
/* state_db.c: the schema, its versions, and one statement per thing that happens.
 *
 * user_version counts the schema: MIGRATIONS[v] leads from v to v + 1, each in a transaction of its own. A file of a
 * later version is refused before anything is written. */
#include "access/state_db.h"

#include "access/password.h"
#include "access/sqlite_library.h"
#include "base/assert.h"
#include "base/clock.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BUSY_MS = 5000, APPLICATION_ID = 0x42464c52 /* "BFLR" */ };

static const char *const MIGRATIONS[] = {
    "CREATE TABLE users(name TEXT PRIMARY KEY, hash TEXT NOT NULL, role TEXT NOT NULL,"
    " changed_ms INTEGER NOT NULL) STRICT, WITHOUT ROWID;"
    "CREATE TABLE tokens(id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL, role TEXT NOT "
    "NULL,"
    " digest BLOB NOT NULL UNIQUE, routes TEXT NOT NULL, created_ms INTEGER NOT NULL,"
    " expires_ms INTEGER NOT NULL) STRICT;"
    "CREATE TABLE sessions(digest BLOB PRIMARY KEY, user TEXT NOT NULL, proof BLOB NOT NULL,"
    " expires_ms INTEGER NOT NULL) STRICT, WITHOUT ROWID;"
    "CREATE INDEX sessions_user ON sessions(user);",
};

struct state_db {
    sqlite3 *sqlite;
    char *path;
    int64_t version; /* data_version at the last load; -1 = none yet */
};

static bool fail(struct state_db *db, struct error *err)
{
    int code = sqlite_library.errcode(db->sqlite) & 0xff;
    enum error_kind kind = code == SQLITE_FULL                               ? ERROR_NO_SPACE
                           : code == SQLITE_BUSY || code == SQLITE_LOCKED    ? ERROR_BUSY
                           : code == SQLITE_NOTADB || code == SQLITE_CORRUPT ? ERROR_CORRUPT
                                                                             : ERROR_IO;
    return error_set(err, kind, "%s: %s", db->path, sqlite_library.errmsg(db->sqlite));
}

static bool execute(struct state_db *db, const char *sql, struct error *err)
{
    return sqlite_library.exec(db->sqlite, sql, NULL, NULL, NULL) == SQLITE_OK || fail(db, err);
}

static bool prepare(struct state_db *db, sqlite3_stmt **out, const char *sql, struct error *err)
{
    return sqlite_library.prepare_v2(db->sqlite, sql, -1, out, NULL) == SQLITE_OK || fail(db, err);
}

static bool pragma_int(struct state_db *db, const char *sql, int64_t *out, struct error *err)
{
    sqlite3_stmt *st = NULL;
    bool ok =
        prepare(db, &st, sql, err) && (sqlite_library.step(st) == SQLITE_ROW || fail(db, err));
    if (ok)
        *out = sqlite_library.column_int64(st, 0);
    (void)sqlite_library.finalize(st); /* repeats the step's error */
    return ok;
}

static bool migrate(struct state_db *db, struct error *err)
{
    int64_t version = 0, application = 0;
    if (!pragma_int(db, "PRAGMA user_version", &version, err) ||
        !pragma_int(db, "PRAGMA application_id", &application, err))
        return false;
    if (version > (int64_t)ARRAY_COUNT(MIGRATIONS) || version < 0)
        return error_set(err, ERROR_CORRUPT, "%s has version %lld, this program knows %zu",
                         db->path, (long long)version, ARRAY_COUNT(MIGRATIONS));
    if (version > 0 && application != APPLICATION_ID)
        return error_set(err, ERROR_CORRUPT, "%s is a database of another program", db->path);
    for (; version < (int64_t)ARRAY_COUNT(MIGRATIONS); version++) {
        char sql[4096];
        (void)snprintf(
            sql, sizeof sql,
            "BEGIN IMMEDIATE; PRAGMA application_id=%d; %s PRAGMA user_version=%lld; COMMIT",
            APPLICATION_ID, MIGRATIONS[version], (long long)version + 1);
        if (!execute(db, sql, err)) {
            (void)sqlite_library.exec(db->sqlite, "ROLLBACK", NULL, NULL,
                                      NULL); /* there may be nothing */
            int64_t now = 0;                 /* another process may have been faster */
            struct error ignored = {0};
            if (!pragma_int(db, "PRAGMA user_version", &now, &ignored) || now <= version)
                return false;
        }
    }
    error_clear(err);
    return true;
}

/* Made before SQLite makes it, so that it is never readable by others, and given to the folder's owner: root may
 * add users for a server that runs as somebody else. SQLite gives its -wal and -shm the same mode and owner. */
static bool create_file(const char *path, const char *dir, struct error *err)
{
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return error_set_errno(err, errno, "could not create \"%s\"", path);
    struct stat of_dir;
    bool ok = geteuid() != 0 ||
              (stat(dir, &of_dir) == 0 && fchown(fd, of_dir.st_uid, of_dir.st_gid) == 0);
    int saved = errno;
    (void)close(fd); /* nothing was written */
    return ok || error_set_errno(err, saved, "could not give \"%s\" to the folder's owner", path);
}

bool state_db_open(struct state_db **out, const char *dir, bool create, struct error *err)
{
    struct state_db *db = mem_alloc_zero(MEM_OTHER, 1, sizeof *db);
    size_t bytes = strlen(dir) + sizeof "/" STATE_DB_NAME;
    *out = NULL;
    db->version = -1;
    db->path = mem_alloc(MEM_OTHER, bytes);
    (void)snprintf(db->path, bytes, "%s/%s", dir, STATE_DB_NAME);
    bool ok = access(db->path, F_OK) == 0;
    if (!ok && create)
        ok = create_file(db->path, dir, err);
    else if (!ok)
        (void)error_set(err, ERROR_NOT_FOUND, "there is no \"%s\"", db->path);
    ok = ok && sqlite_library_load(err);
    if (ok &&
        sqlite_library.open_v2(db->path, &db->sqlite,
                               SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE,
                               NULL) != SQLITE_OK)
        ok = db->sqlite ? fail(db, err) : error_set(err, ERROR_IO, "no memory for SQLite");
    if (ok) {
        (void)sqlite_library.busy_timeout(db->sqlite, BUSY_MS); /* cannot fail with a handle */
        ok = execute(db,
                     "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA trusted_schema=OFF;"
                     "PRAGMA secure_delete=ON; PRAGMA cache_size=-256; PRAGMA temp_store=MEMORY",
                     err) &&
             migrate(db, err);
    }
    if (!ok) {
        state_db_close(db);
        return false;
    }
    *out = db;
    return true;
}

void state_db_close(struct state_db *db)
{
    if (db == NULL)
        return;
    if (db->sqlite)
        (void)sqlite_library.close(db->sqlite); /* all statements are finalized: cannot be busy */
    mem_free(MEM_OTHER, db->path);
    mem_free(MEM_OTHER, db);
}

bool state_db_is_stale(struct state_db *db)
{
    struct error ignored = {0};
    int64_t now = -1;
    return !pragma_int(db, "PRAGMA data_version", &now, &ignored) || now != db->version;
}

/* ---- reading ---- */

static struct view column_text(struct arena *arena, sqlite3_stmt *st, int column)
{
    const char *text = (const char *)sqlite_library.column_text(st, column);
    return text ? arena_copy(arena,
                             (struct view){text, (size_t)sqlite_library.column_bytes(st, column)})
                : VIEW("");
}

static bool column_digest(sqlite3_stmt *st, int column, unsigned char out[STATE_DIGEST_BYTES])
{
    const void *blob = sqlite_library.column_blob(st, column);
    if (blob == NULL || sqlite_library.column_bytes(st, column) != STATE_DIGEST_BYTES)
        return false;
    memcpy(out, blob, STATE_DIGEST_BYTES);
    return true;
}

/* A user that somebody spoiled by hand cannot log in, but is one: without users the server would be open. */
static bool user_read(sqlite3_stmt *st, struct arena *arena, struct state *out)
{
    struct error ignored = {0};
    struct state_user u = {.name = column_text(arena, st, 0),
                           .hash = secret_from(column_text(arena, st, 1)),
                           .changed_ms = sqlite_library.column_int64(st, 3)};
    if (!http_role_parse(column_text(arena, st, 2), &u.role) ||
        !password_hash_check(secret_reveal(&u.hash), &u.cost, &ignored))
        u = (struct state_user){.name = u.name, .role = HTTP_ROLE_PUBLIC};
    out->users[out->user_count++] = u;
    return true;
}

static bool token_read(sqlite3_stmt *st, struct arena *arena, struct state *out)
{
    struct state_token t = {.id = sqlite_library.column_int64(st, 0),
                            .name = column_text(arena, st, 1),
                            .routes = column_text(arena, st, 4),
                            .created_ms = sqlite_library.column_int64(st, 5),
                            .expires_ms = sqlite_library.column_int64(st, 6)};
    if (http_role_parse(column_text(arena, st, 2), &t.role) && column_digest(st, 3, t.digest))
        out->tokens[out->token_count++] = t;
    return true;
}

static bool session_read(sqlite3_stmt *st, struct arena *arena, struct state *out)
{
    struct state_session s = {.user = column_text(arena, st, 1),
                              .expires_ms = sqlite_library.column_int64(st, 3)};
    if (column_digest(st, 0, s.digest) && column_digest(st, 2, s.proof))
        out->sessions[out->session_count++] = s;
    return true;
}

typedef bool row_read(sqlite3_stmt *st, struct arena *arena, struct state *out);

static bool table_read(struct state_db *db, const char *sql, row_read *read, struct arena *arena,
                       struct state *out, struct error *err)
{
    sqlite3_stmt *st = NULL;
    int code = SQLITE_OK;
    bool ok = prepare(db, &st, sql, err);
    while (ok && (code = sqlite_library.step(st)) == SQLITE_ROW)
        ok = read(st, arena, out);
    if (ok && code != SQLITE_DONE)
        ok = fail(db, err);
    (void)sqlite_library.finalize(st);
    return ok;
}

static bool count_rows(struct state_db *db, const char *table, size_t *out, struct error *err)
{
    char sql[64];
    int64_t count = 0;
    (void)snprintf(sql, sizeof sql, "SELECT count(*) FROM %s", table);
    if (!pragma_int(db, sql, &count, err))
        return false;
    if (count > STATE_ROWS_MAX)
        return error_set(err, ERROR_LIMIT, "%s: %lld %s, at most %d", db->path, (long long)count,
                         table, STATE_ROWS_MAX);
    *out = (size_t)count;
    return true;
}

static bool load(struct state_db *db, struct arena *arena, struct state *out, struct error *err)
{
    size_t users, tokens, sessions;
    if (!count_rows(db, "users", &users, err) || !count_rows(db, "tokens", &tokens, err) ||
        !count_rows(db, "sessions", &sessions, err))
        return false;
    out->users = ARENA_ARRAY(arena, struct state_user, users + 1);
    out->tokens = ARENA_ARRAY(arena, struct state_token, tokens + 1);
    out->sessions = ARENA_ARRAY(arena, struct state_session, sessions + 1);
    return table_read(db, "SELECT name,hash,role,changed_ms FROM users ORDER BY name", user_read,
                      arena, out, err) &&
           table_read(db,
                      "SELECT id,name,role,digest,routes,created_ms,expires_ms FROM tokens ORDER "
                      "BY digest",
                      token_read, arena, out, err) &&
           table_read(db, "SELECT digest,user,proof,expires_ms FROM sessions ORDER BY digest",
                      session_read, arena, out, err);
}

bool state_db_load(struct state_db *db, struct arena *arena, struct state *out, struct error *err)
{
    int64_t version = -1;
    *out = (struct state){0};
    /* The transaction makes it one moment, and its version that of the moment. */
    bool ok = execute(db, "BEGIN", err) && load(db, arena, out, err) &&
              pragma_int(db, "PRAGMA data_version", &version, err);
    (void)sqlite_library.exec(db->sqlite, "ROLLBACK", NULL, NULL, NULL); /* it only read */
    if (ok)
        db->version = version;
    return ok;
}

/* ---- writing ---- */

/* `kinds` names the arguments: t a struct view as text, b a digest, i an int64_t. Sets *changed to the rows. */
static bool run(struct state_db *db, struct error *err, int *changed, const char *sql,
                const char *kinds, ...)
{
    sqlite3_stmt *st = NULL;
    bool ok = prepare(db, &st, sql, err);
    va_list args;
    va_start(args, kinds);
    for (int i = 1; ok && kinds[i - 1]; i++) {
        int code;
        if (kinds[i - 1] == 't') {
            struct view v = va_arg(args, struct view);
            code =
                sqlite_library.bind_text(st, i, v.len ? v.ptr : "", (int)v.len, SQLITE_TRANSIENT);
        } else if (kinds[i - 1] == 'b') {
            code = sqlite_library.bind_blob(st, i, va_arg(args, const unsigned char *),
                                            STATE_DIGEST_BYTES, SQLITE_TRANSIENT);
        } else {
            code = sqlite_library.bind_int64(st, i, va_arg(args, int64_t));
        }
        ok = code == SQLITE_OK || fail(db, err);
    }
    va_end(args);
    if (ok && sqlite_library.step(st) != SQLITE_DONE)
        ok = fail(db, err);
    if (ok && changed)
        *changed = sqlite_library.changes(db->sqlite);
    (void)sqlite_library.finalize(st);
    return ok;
}

static bool begin(struct state_db *db, struct error *err)
{
    return execute(db, "BEGIN IMMEDIATE", err);
}

/* Ends the transaction either way. */
static bool finish(struct state_db *db, bool ok, struct error *err)
{
    if (ok && execute(db, "COMMIT", err))
        return true;
    (void)sqlite_library.exec(db->sqlite, "ROLLBACK", NULL, NULL, NULL);
    return false;
}

static bool no_user(struct error *err, struct view name)
{
    return error_set(err, ERROR_NOT_FOUND, "there is no user \"%.*s\"", VIEW_ARGS(name));
}

static bool name_check(struct view name, struct error *err)
{
    bool ok = name.len > 0 && name.len <= STATE_NAME_BYTES_MAX;
    for (size_t i = 0; i < name.len && ok; i++)
        ok = (unsigned char)name.ptr[i] > 0x20 && name.ptr[i] != 0x7f && name.ptr[i] != ':';
    return ok || error_set(err, ERROR_INPUT,
                           "a name has 1 to %d characters and no blank, colon or control character",
                           STATE_NAME_BYTES_MAX);
}

bool state_db_user_add(struct state_db *db, struct view name, struct view hash, enum http_role role,
                       struct error *err)
{
    int changed = 0;
    if (!name_check(name, err) ||
        !run(db, err, &changed, "INSERT OR IGNORE INTO users VALUES(?,?,?,?)", "ttti", name, hash,
             view_from(http_role_name(role)), clock_wall().ms))
        return false;
    return changed == 1 ||
           error_set(err, ERROR_INPUT, "there is a user \"%.*s\" already", VIEW_ARGS(name));
}

static bool user_change(struct state_db *db, const char *sql, struct view name, struct view value,
                        struct error *err)
{
    int changed = 0;
    if (!begin(db, err))
        return false;
    bool ok = run(db, err, &changed, sql, "tit", value, clock_wall().ms, name) &&
              run(db, err, NULL, "DELETE FROM sessions WHERE user=?", "t", name);
    if (ok && changed == 0)
        ok = no_user(err, name);
    return finish(db, ok, err);
}

bool state_db_user_set_hash(struct state_db *db, struct view name, struct view hash,
                            struct error *err)
{
    return user_change(db, "UPDATE users SET hash=?, changed_ms=? WHERE name=?", name, hash, err);
}

bool state_db_user_set_role(struct state_db *db, struct view name, enum http_role role,
                            struct error *err)
{
    return user_change(db, "UPDATE users SET role=?, changed_ms=? WHERE name=?", name,
                       view_from(http_role_name(role)), err);
}

bool state_db_user_remove(struct state_db *db, struct view name, struct error *err)
{
    int changed = 0;
    if (!begin(db, err))
        return false;
    bool ok = run(db, err, NULL, "DELETE FROM sessions WHERE user=?", "t", name) &&
              run(db, err, &changed, "DELETE FROM users WHERE name=?", "t", name);
    if (ok && changed == 0)
        ok = no_user(err, name);
    return finish(db, ok, err);
}

bool state_db_token_add(struct state_db *db, struct state_token *token, struct error *err)
{
    if (!name_check(token->name, err))
        return false;
    if (token->routes.len > STATE_ROUTES_BYTES_MAX)
        return error_set(err, ERROR_INPUT, "the routes of a token have at most %d bytes",
                         STATE_ROUTES_BYTES_MAX);
    if (!run(
            db, err, NULL,
            "INSERT INTO tokens(name,role,digest,routes,created_ms,expires_ms) VALUES(?,?,?,?,?,?)",
            "ttbtii", token->name, view_from(http_role_name(token->role)), token->digest,
            token->routes, token->created_ms, token->expires_ms))
        return false;
    token->id = sqlite_library.last_insert_rowid(db->sqlite);
    return true;
}

bool state_db_token_remove(struct state_db *db, int64_t id, struct error *err)
{
    int changed = 0;
    if (!run(db, err, &changed, "DELETE FROM tokens WHERE id=?", "i", id))
        return false;
    return changed == 1 ||
           error_set(err, ERROR_NOT_FOUND, "there is no token with id %lld", (long long)id);
}

bool state_db_session_add(struct state_db *db, const struct state_session *session,
                          struct error *err)
{
    if (!begin(db, err))
        return false;
    bool ok = run(db, err, NULL, "DELETE FROM sessions WHERE expires_ms<?", "i", clock_wall().ms) &&
              run(db, err, NULL, "INSERT INTO sessions VALUES(?,?,?,?)", "btbi", session->digest,
                  session->user, session->proof, session->expires_ms);
    return finish(db, ok, err);
}

bool state_db_session_remove(struct state_db *db, const unsigned char digest[STATE_DIGEST_BYTES],
                             struct error *err)
{
    return run(db, err, NULL, "DELETE FROM sessions WHERE digest=?", "b", digest);
}
