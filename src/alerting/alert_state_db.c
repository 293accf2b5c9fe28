/* SPDX-License-Identifier: Apache-2.0 */
/* alert_state_db.c: alerts.db: the schema and its versions (access/sqlite_db.h), statements, and a damaged file.
 *
 * Bodies are bytes of our own, each with a version first: silence.c, notification_log.c. Times are ns. A file that is damaged is
 * renamed, never deleted; what could be read of it before is kept in memory and written to the new file. */
#include "alerting/alert_state_private.h"

#include "base/assert.h"
#include "base/clock.h"
#include "base/file.h"

#include <errno.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <time.h>

enum { APPLICATION_ID = 0x42464c41 /* "BFLA" */ };

/* A batch of new alerts touches pages all over the indexes: with SQLite's 2 MiB they were written and read again within the batch. */
#define PRAGMAS "PRAGMA cache_size=-16384; PRAGMA wal_autocheckpoint=4000; PRAGMA busy_timeout=2000"

static const char *const MIGRATIONS[] = {
    "CREATE TABLE silences(id TEXT PRIMARY KEY, ends_ns INTEGER NOT NULL, body BLOB NOT NULL)"
    " STRICT, WITHOUT ROWID;"
    "CREATE TABLE acknowledgements(fingerprint INTEGER NOT NULL, starts_ns INTEGER NOT NULL,"
    " at_ns INTEGER NOT NULL, expires_ns INTEGER, ended_ns INTEGER, owner TEXT NOT NULL,"
    " note TEXT NOT NULL, PRIMARY KEY(fingerprint, starts_ns, at_ns)) STRICT, WITHOUT ROWID;"
    "CREATE INDEX acknowledgements_held ON acknowledgements(fingerprint) WHERE ended_ns IS NULL;"
    "CREATE INDEX acknowledgements_ended ON acknowledgements(ended_ns) WHERE ended_ns IS NOT NULL;"
    "CREATE TABLE notification_log(key BLOB PRIMARY KEY, expires_ns INTEGER NOT NULL,"
    " body BLOB NOT NULL) STRICT, WITHOUT ROWID;"
    "CREATE INDEX notification_log_expires ON notification_log(expires_ns);"
    "CREATE TABLE label_sets(fingerprint INTEGER PRIMARY KEY, labels BLOB NOT NULL) STRICT;"
    "CREATE TABLE label_index(pair INTEGER NOT NULL, fingerprint INTEGER NOT NULL,"
    " PRIMARY KEY(pair, fingerprint)) STRICT, WITHOUT ROWID;"
    "CREATE TABLE episodes(id INTEGER PRIMARY KEY AUTOINCREMENT, fingerprint INTEGER NOT NULL,"
    " starts_ns INTEGER NOT NULL, ends_ns INTEGER, is_open INTEGER NOT NULL,"
    " is_timeout INTEGER NOT NULL, updated_ns INTEGER NOT NULL, changes INTEGER NOT NULL,"
    " value REAL, body BLOB NOT NULL) STRICT;"
    "CREATE UNIQUE INDEX episodes_open ON episodes(fingerprint) WHERE is_open=1;"
    "CREATE INDEX episodes_closed ON episodes(ends_ns) WHERE is_open=0;"
    "CREATE INDEX episodes_start ON episodes(starts_ns, id, ends_ns, is_open);"
    "CREATE INDEX episodes_of ON episodes(fingerprint, starts_ns);"
    "CREATE TABLE notifications(id INTEGER PRIMARY KEY AUTOINCREMENT, at_ns INTEGER NOT NULL,"
    " latency_ns INTEGER NOT NULL, group_key TEXT NOT NULL, receiver TEXT NOT NULL,"
    " kind TEXT NOT NULL, idx INTEGER NOT NULL, attempts INTEGER NOT NULL,"
    " status INTEGER NOT NULL, is_sent INTEGER NOT NULL, error TEXT NOT NULL,"
    " payload_hash INTEGER NOT NULL, firing INTEGER NOT NULL, resolved INTEGER NOT NULL) STRICT;"
    "CREATE INDEX notifications_at ON notifications(at_ns);"
    "CREATE INDEX notifications_receiver ON notifications(receiver, at_ns);"
    "CREATE TABLE notification_alerts(notification INTEGER NOT NULL, fingerprint INTEGER NOT NULL,"
    " PRIMARY KEY(notification, fingerprint)) STRICT, WITHOUT ROWID;"
    "CREATE INDEX notification_alerts_of ON notification_alerts(fingerprint, notification);",
};

static const char *const STATEMENTS[STATEMENT_COUNT] = {
    [STATEMENT_SILENCE_PUT] = "INSERT OR REPLACE INTO silences(id,ends_ns,body) VALUES(?,?,?)",
    [STATEMENT_SILENCE_DELETE_ENDED] = "DELETE FROM silences WHERE ends_ns<=?",
    [STATEMENT_ACK_PUT] = "INSERT OR REPLACE INTO acknowledgements"
                          "(fingerprint,starts_ns,at_ns,expires_ns,owner,note) VALUES(?,?,?,?,?,?)",
    [STATEMENT_ACK_END] =
        "UPDATE acknowledgements SET ended_ns=? WHERE fingerprint=? AND starts_ns=? AND ended_ns "
        "IS NULL",
    [STATEMENT_ACK_PRUNE] =
        "DELETE FROM acknowledgements WHERE (fingerprint,starts_ns,at_ns) IN (SELECT "
        "fingerprint,starts_ns,at_ns FROM acknowledgements WHERE ended_ns IS NOT NULL AND "
        "ended_ns<? ORDER BY ended_ns LIMIT ?)",
    [STATEMENT_LOG_PUT] =
        "INSERT OR REPLACE INTO notification_log(key,expires_ns,body) VALUES(?,?,?)",
    [STATEMENT_LOG_DELETE_EXPIRED] = "DELETE FROM notification_log WHERE expires_ns<=?",
    [STATEMENT_LABEL_SET_PUT] = "INSERT OR IGNORE INTO label_sets(fingerprint,labels) VALUES(?,?)",
    [STATEMENT_LABEL_SET_DELETE] = "DELETE FROM label_sets WHERE fingerprint=?",
    [STATEMENT_LABEL_INDEX_PUT] = "INSERT OR IGNORE INTO label_index(pair,fingerprint) VALUES(?,?)",
    [STATEMENT_LABEL_INDEX_DELETE] = "DELETE FROM label_index WHERE pair=? AND fingerprint=?",
    [STATEMENT_EPISODE_CLOSE_OTHER] =
        "UPDATE episodes SET is_open=0,ends_ns=updated_ns WHERE fingerprint=? AND is_open=1 AND "
        "starts_ns<>?",
    [STATEMENT_EPISODE_UPDATE] =
        "UPDATE episodes SET ends_ns=?,is_open=?,is_timeout=?,updated_ns=?,changes=changes+?,"
        "value=?,body=? WHERE fingerprint=? AND is_open=1",
    [STATEMENT_EPISODE_INSERT] =
        "INSERT INTO episodes(fingerprint,starts_ns,ends_ns,is_open,is_timeout,updated_ns,changes,"
        "value,body) VALUES(?,?,?,?,?,?,?,?,?)",
    [STATEMENT_EPISODE_PRUNE] = "DELETE FROM episodes WHERE id IN (SELECT id FROM episodes WHERE "
                                "is_open=0 AND ends_ns<? ORDER BY ends_ns LIMIT ?)",
    [STATEMENT_NOTIFICATION_INSERT] =
        "INSERT INTO notifications(at_ns,latency_ns,group_key,receiver,kind,idx,attempts,status,"
        "is_sent,error,payload_hash,firing,resolved) VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?)",
    [STATEMENT_NOTIFICATION_PRUNE] =
        "DELETE FROM notifications WHERE id IN (SELECT id FROM notifications WHERE at_ns<? ORDER "
        "BY at_ns LIMIT ?)",
    [STATEMENT_NOTIFICATION_ALERT_INSERT] =
        "INSERT OR IGNORE INTO notification_alerts(notification,fingerprint) VALUES(?,?)",
    /* Those of notifications that are gone, which are the oldest; the first number raises the border. */
    [STATEMENT_NOTIFICATION_ALERT_PRUNE] =
        "DELETE FROM notification_alerts WHERE (notification,fingerprint) IN (SELECT "
        "notification,fingerprint FROM notification_alerts WHERE notification<max(?,(SELECT "
        "coalesce(min(id),9223372036854775807) FROM notifications)) ORDER BY notification LIMIT ?)",
};

void state_put_labels(struct buffer *b, struct labels ls)
{
    buffer_append_varint(b, ls.count);
    for (uint32_t i = 0; i < ls.count; i++) {
        buffer_append_string(b, ls.items[i].name);
        buffer_append_string(b, ls.items[i].value);
    }
}

bool state_get_labels(struct reader *r, struct arena *arena, struct labels *out)
{
    uint64_t count = reader_varint(r);
    if (r->failed || count > reader_left(r) / 2)
        return false;
    struct label *items = ARENA_ARRAY(arena, struct label, count + 1);
    for (uint64_t i = 0; i < count; i++) {
        items[i].name = arena_copy(arena, reader_string(r, STATE_TEXT_BYTES_MAX));
        items[i].value = arena_copy(arena, reader_string(r, STATE_TEXT_BYTES_MAX));
    }
    *out = (struct labels){items, (uint32_t)count};
    return !r->failed;
}

/* --- statements --- */

static int bind(sqlite3_stmt *st, int i, char kind, va_list *args)
{
    if (kind == 't' || kind == 'b') {
        struct view v = va_arg(*args, struct view);
        const char *bytes = v.len ? v.ptr : "";
        return kind == 't' ? sqlite_library.bind_text(st, i, bytes, (int)v.len, SQLITE_STATIC)
                           : sqlite_library.bind_blob(st, i, bytes, (int)v.len, SQLITE_STATIC);
    }
    if (kind == 'f')
        return sqlite_library.bind_double(st, i, va_arg(*args, double));
    int64_t n = va_arg(*args, int64_t);
    return kind == 'n' && n == LIVE_ALERT_NEVER ? sqlite_library.bind_null(st, i)
                                                : sqlite_library.bind_int64(st, i, n);
}

bool state_run(struct alert_state *s, enum state_statement which, struct error *err,
               const char *kinds, ...)
{
    struct state_file *f = &s->file;
    sqlite3_stmt **st = &f->statements[which];
    if (*st == NULL && !sqlite_db_prepare(f->db, st, STATEMENTS[which], err))
        return false;
    bool ok = true, row;
    va_list args;
    va_start(args, kinds);
    for (int i = 1; ok && kinds[i - 1]; i++)
        ok = bind(*st, i, kinds[i - 1], &args) == SQLITE_OK || sqlite_db_fail(f->db, err);
    va_end(args);
    ok = ok && sqlite_db_step(f->db, *st, &row, err);
    (void)sqlite_library.reset(*st); /* repeats the step's error */
    (void)sqlite_library.clear_bindings(*st);
    return ok;
}

/* --- reading --- */

struct view state_column_bytes(sqlite3_stmt *st, int column)
{
    const char *bytes = sqlite_library.column_blob(st, column);
    return bytes ? (struct view){bytes, (size_t)sqlite_library.column_bytes(st, column)} : VIEW("");
}

int64_t state_column_time(sqlite3_stmt *st, int column)
{
    return sqlite_library.column_type(st, column) == SQLITE_NULL
               ? LIVE_ALERT_NEVER
               : sqlite_library.column_int64(st, column);
}

static bool silence_row(struct alert_state *s, sqlite3_stmt *st)
{
    struct kept_silence *k = silence_decode(state_column_bytes(st, 0), state_column_bytes(st, 1));
    if (k == NULL)
        return false;
    mutex_lock(&s->mutex);
    silences_load(s, k);
    mutex_unlock(&s->mutex);
    return true;
}

static bool ack_row(struct alert_state *s, sqlite3_stmt *st)
{
    struct acknowledgement ack = {.fingerprint = (uint64_t)sqlite_library.column_int64(st, 0),
                                  .starts_ns = sqlite_library.column_int64(st, 1),
                                  .at_ns = sqlite_library.column_int64(st, 2),
                                  .expires_ns = state_column_time(st, 3),
                                  .ended_ns = LIVE_ALERT_NEVER,
                                  .owner = state_column_bytes(st, 4),
                                  .note = state_column_bytes(st, 5)};
    mutex_lock(&s->mutex);
    acks_load(s, &ack);
    mutex_unlock(&s->mutex);
    return true;
}

static bool log_row(struct alert_state *s, sqlite3_stmt *st)
{
    mutex_lock(&s->mutex);
    bool ok = notification_log_load(s, state_column_bytes(st, 0), state_column_bytes(st, 1));
    mutex_unlock(&s->mutex);
    return ok;
}

static const struct {
    const char *table, *sql;
    bool (*row)(struct alert_state *s, sqlite3_stmt *st);
} TABLES[] = {
    {"silences", "SELECT id,body FROM silences", silence_row},
    {"acknowledgements",
     "SELECT fingerprint,starts_ns,at_ns,expires_ns,owner,note FROM acknowledgements"
     " WHERE ended_ns IS NULL ORDER BY at_ns",
     ack_row},
    {"notification_log", "SELECT key,body FROM notification_log", log_row},
};

/* Reads on where one table cannot be read to its end; the first error is told. */
static bool load(struct alert_state *s, struct error *err)
{
    bool all = true;
    for (size_t i = 0; i < ARRAY_COUNT(TABLES); i++) {
        struct error of_table = {0};
        sqlite3_stmt *st = NULL;
        size_t spoiled = 0;
        bool row = false, ok = sqlite_db_prepare(s->file.db, &st, TABLES[i].sql, &of_table);
        while (ok && (ok = sqlite_db_step(s->file.db, st, &row, &of_table)) && row)
            spoiled += !TABLES[i].row(s, st);
        (void)sqlite_library.finalize(st);
        if (spoiled > 0)
            alert_state_log(s, true, "alert_state_rows_spoiled",
                            "%s: %zu rows of %s are not what was written; they are left out",
                            s->file.path, spoiled, TABLES[i].table);
        if (!ok && all)
            *err = of_table;
        all = all && ok;
    }
    return all;
}

/* --- the file --- */

void state_file_close(struct state_file *f)
{
    if (f->db == NULL)
        return;
    for (size_t i = 0; i < STATEMENT_COUNT; i++) {
        (void)sqlite_library.finalize(f->statements[i]); /* NULL is fine */
        f->statements[i] = NULL;
    }
    sqlite_db_close(f->db);
    f->db = NULL;
}

/* The file and what SQLite keeps beside it, under another name. */
static bool move_aside(struct alert_state *s, const struct error *why, struct error *err)
{
    static const char *const SUFFIXES[] = {"-wal", "-shm", ""}; /* the file itself last */
    struct arena arena;
    struct tm tm;
    char when[32];
    time_t now = (time_t)(clock_wall().ms / 1000);
    arena_init(&arena, MEM_ALERTING, 0);
    (void)gmtime_r(&now, &tm);
    (void)strftime(when, sizeof when, "%Y%m%dT%H%M%SZ", &tm);
    struct view aside = arena_printf(&arena, "%s.damaged-%s", s->file.path, when);
    for (int i = 2; file_exists(aside.ptr) && i < 1000; i++)
        aside = arena_printf(&arena, "%s.damaged-%s-%d", s->file.path, when, i);
    bool ok = true;
    for (size_t i = 0; i < ARRAY_COUNT(SUFFIXES) && ok; i++) {
        struct view from = arena_printf(&arena, "%s%s", s->file.path, SUFFIXES[i]);
        struct view to = arena_printf(&arena, "%s%s", aside.ptr, SUFFIXES[i]);
        ok = !file_exists(from.ptr) || file_publish(from.ptr, to.ptr, err);
    }
    if (ok)
        alert_state_log(
            s, true, "alert_state_damaged",
            "%s; the file is kept as \"%s\", a new one is begun with what could be read: "
            "silences, acknowledgements and what was sent may be missing",
            why->message, aside.ptr);
    arena_deinit(&arena);
    return ok;
}

bool state_file_connect(struct state_file *f, bool create, bool *is_damaged, struct error *err)
{
    struct sqlite_db_options options = {.application_id = APPLICATION_ID,
                                        .migrations = MIGRATIONS,
                                        .migration_count = ARRAY_COUNT(MIGRATIONS),
                                        .create = create,
                                        .is_full = true,
                                        .is_damaged = is_damaged};
    struct stat st;
    if (!sqlite_db_open(&f->db, f->path, &options, err))
        return false;
    if (!sqlite_db_execute(f->db, PRAGMAS, err)) {
        state_file_close(f);
        return false;
    }
    if (stat(f->path, &st) == 0) {
        f->device = (uint64_t)st.st_dev;
        f->inode = (uint64_t)st.st_ino;
        return true;
    }
    state_file_close(f);
    return error_set_errno(err, errno, "could not look at \"%s\"", f->path);
}

bool state_file_is_there(const struct state_file *f)
{
    struct stat st;
    return stat(f->path, &st) == 0 && f->device == (uint64_t)st.st_dev &&
           f->inode == (uint64_t)st.st_ino;
}

/* What memory has, to a file that has nothing; the notification log follows as usual. */
static bool write_all(struct alert_state *s, struct error *err)
{
    mutex_lock(&s->mutex);
    notification_log_dirty_all(&s->log);
    mutex_unlock(&s->mutex);
    return sqlite_db_begin(s->file.db, err) &&
           sqlite_db_end(s->file.db, silences_write_all(s, err) && acks_write_all(s, err), err);
}

bool state_file_open(struct alert_state *s, struct error *err)
{
    struct state_file *f = &s->file;
    ASSERT(f->db == NULL && f->path != NULL);
    bool is_new = !file_exists(f->path), is_damaged = f->damage.kind != ERROR_NONE;
    if (!is_damaged && state_file_connect(f, true, &is_damaged, err)) {
        if (is_new ? write_all(s, err) : load(s, err))
            return true;
        is_damaged = err->kind == ERROR_CORRUPT;
        state_file_close(f);
    }
    if (!is_damaged)
        return false;
    if (f->damage.kind == ERROR_NONE)
        f->damage = *err;
    if (!move_aside(s, &f->damage, err))
        return false;
    error_clear(&f->damage);
    if (!state_file_connect(f, true, &is_damaged, err))
        return false;
    if (write_all(s, err))
        return true;
    state_file_close(f);
    return false;
}
