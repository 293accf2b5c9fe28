/* SPDX-License-Identifier: Apache-2.0 */
/* state_db.c: the schema, its versions (access/sqlite_db.h), and one statement per thing that happens. */
#include "access/state_db.h"

#include "access/password.h"
#include "access/sqlite_db.h"
#include "base/assert.h"
#include "base/clock.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { APPLICATION_ID = 0x42464c52 /* "BFLR" */ };

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
    /* What rules keep of their alerts (rules/rule_state.c says what the bytes are). */
    "CREATE TABLE rule_alerts(rule TEXT PRIMARY KEY, alerts BLOB NOT NULL) STRICT, WITHOUT ROWID;"
    "CREATE TABLE rule_meta(key TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID;",
};

struct state_db {
    struct sqlite_db *db;
    int64_t version; /* data_version at the last load; -1 = none yet */
};

/* ---- short names ---- */

static bool fail(struct state_db *db, struct error *err)
{
    return sqlite_db_fail(db->db, err);
}

static bool execute(struct state_db *db, const char *sql, struct error *err)
{
    return sqlite_db_execute(db->db, sql, err);
}

static bool prepare(struct state_db *db, sqlite3_stmt **out, const char *sql, struct error *err)
{
    return sqlite_db_prepare(db->db, out, sql, err);
}

static bool pragma_int(struct state_db *db, const char *sql, int64_t *out, struct error *err)
{
    return sqlite_db_int(db->db, sql, out, err);
}

bool state_db_open(struct state_db **out, const char *dir, bool create, struct error *err)
{
    struct state_db *db = mem_alloc_zero(MEM_OTHER, 1, sizeof *db);
    size_t bytes = strlen(dir) + sizeof "/" STATE_DB_NAME;
    char *path = mem_alloc(MEM_OTHER, bytes);
    struct sqlite_db_options options = {.application_id = APPLICATION_ID,
                                        .migrations = MIGRATIONS,
                                        .migration_count = ARRAY_COUNT(MIGRATIONS),
                                        .create = create,
                                        .is_full = true};
    *out = NULL;
    db->version = -1;
    (void)snprintf(path, bytes, "%s/%s", dir, STATE_DB_NAME);
    bool ok = sqlite_db_open(&db->db, path, &options, err) &&
              execute(db, "PRAGMA secure_delete=ON; PRAGMA cache_size=-256", err);
    mem_free(MEM_OTHER, path);
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
    sqlite_db_close(db->db);
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
        return error_set(err, ERROR_LIMIT, "%s: %lld %s, at most %d", db->db->path,
                         (long long)count, table, STATE_ROWS_MAX);
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
    (void)sqlite_library.exec(db->db->sqlite, "ROLLBACK", NULL, NULL, NULL); /* it only read */
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
        *changed = sqlite_library.changes(db->db->sqlite);
    (void)sqlite_library.finalize(st);
    return ok;
}

static bool begin(struct state_db *db, struct error *err)
{
    return sqlite_db_begin(db->db, err);
}

static bool finish(struct state_db *db, bool ok, struct error *err)
{
    return sqlite_db_end(db->db, ok, err);
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
    token->id = sqlite_library.last_insert_rowid(db->db->sqlite);
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
