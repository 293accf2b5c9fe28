/* SPDX-License-Identifier: Apache-2.0 */
/* alert_history_read.c: questions about what was, each on a connection of its own.
 *
 * Rows come in the order of time from an index. Equality matchers are looked up in the index of labels, the others are tried on
 * the labels of each row; a question looks at HISTORY_EXAMINED_MAX rows and then says where to go on. */
#include "alerting/alert_state_private.h"

#include "base/assert.h"
#include "base/clock.h"

#include <math.h>

enum {
    LIMIT_DEFAULT = 100,
    NOTIFICATIONS_MAX = 1000,
    OPEN_PAGE = 1000,
    SQL_BYTES_MAX = 16 * 1024,
    BINDS_MAX = 64
};

/* SQL that is put together, with the numbers and texts that go into it. */
struct question {
    struct buffer sql;
    int64_t numbers[BINDS_MAX];
    struct view texts[BINDS_MAX]; /* ptr NULL: the number */
    int count;
};

static void ask(struct question *q, const char *sql)
{
    buffer_append_view(&q->sql, view_from(sql));
}

static void ask_number(struct question *q, const char *sql, int64_t n)
{
    ASSERT(q->count < BINDS_MAX);
    ask(q, sql);
    q->texts[q->count] = (struct view){0};
    q->numbers[q->count++] = n;
}

static void ask_text(struct question *q, const char *sql, struct view text)
{
    ask_number(q, sql, 0);
    q->texts[q->count - 1] = text.len ? text : VIEW("");
}

static bool question_prepare(struct sqlite_db *db, struct question *q, sqlite3_stmt **st,
                             struct error *err)
{
    buffer_append_byte(&q->sql, '\0');
    ASSERT(!q->sql.failed);
    if (!sqlite_db_prepare(db, st, q->sql.ptr, err))
        return false;
    for (int i = 0; i < q->count; i++) {
        struct view t = q->texts[i];
        int code = t.ptr ? sqlite_library.bind_text(*st, i + 1, t.ptr, (int)t.len, SQLITE_STATIC)
                         : sqlite_library.bind_int64(*st, i + 1, q->numbers[i]);
        if (code != SQLITE_OK)
            return sqlite_db_fail(db, err);
    }
    return true;
}

/* --- the connection --- */

/* Waits for a connection that no other question has. */
static struct state_file *reader_take(struct alert_state *s)
{
    size_t i = 0;
    mutex_lock(&s->read_mutex);
    while (s->is_reading[i])
        if (++i == STATE_READERS) {
            cond_wait(&s->read_ended, &s->read_mutex);
            i = 0;
        }
    s->is_reading[i] = true;
    mutex_unlock(&s->read_mutex);
    return &s->readers[i];
}

/* NULL: err says why. */
static struct sqlite_db *reader_open(struct state_file *f, struct error *err)
{
    if (f->path == NULL) {
        (void)error_set(err, ERROR_UNAVAILABLE, "there is no data folder, and so no history");
        return NULL;
    }
    if (f->db && !state_file_is_there(f))
        state_file_close(f);
    if (f->db == NULL && !state_file_connect(f, false, NULL, err)) {
        err->kind = ERROR_UNAVAILABLE;
        return NULL;
    }
    return f->db;
}

/* Gives the connection back; one that failed is made anew by the next question. */
static bool reader_end(struct alert_state *s, struct state_file *f, sqlite3_stmt *st, bool ok,
                       struct error *err)
{
    (void)sqlite_library.finalize(st);
    if (!ok) {
        state_file_close(f);
        if (err->kind != ERROR_INPUT)
            err->kind = ERROR_UNAVAILABLE;
    }
    mutex_lock(&s->read_mutex);
    s->is_reading[f - s->readers] = false;
    cond_signal(&s->read_ended);
    mutex_unlock(&s->read_mutex);
    return ok;
}

static size_t page_limit(size_t asked, size_t max)
{
    return asked == 0 ? LIMIT_DEFAULT : asked < max ? asked : max;
}

static struct view column_text(struct arena *arena, sqlite3_stmt *st, int column)
{
    return arena_copy(arena, state_column_bytes(st, column));
}

/* --- episodes --- */

#define EPISODE_COLUMNS                                                                            \
    "SELECT e.id,e.fingerprint,e.starts_ns,e.ends_ns,e.is_open,e.is_timeout,e.updated_ns,"         \
    "e.changes,e.value,e.body,l.labels FROM episodes e JOIN label_sets l "                         \
    "ON l.fingerprint=e.fingerprint WHERE 1"

/* False: the row is spoiled, or its labels do not match. */
static bool episode_read(sqlite3_stmt *st, struct arena *arena, struct arena *row_arena,
                         const struct matchers *m, struct alert_episode *out)
{
    struct reader labels = reader_from(state_column_bytes(st, 10));
    struct reader body = reader_from(state_column_bytes(st, 9));
    struct live_alert *a = &out->alert;
    struct labels ls;
    arena_reset(row_arena); /* of many rows a few may match */
    *out = (struct alert_episode){.id = sqlite_library.column_int64(st, 0)};
    if (!state_get_labels(&labels, row_arena, &ls) || (m && !matchers_match(m, ls)) ||
        !state_get_labels(&body, arena, &a->annotations))
        return false;
    a->labels = labels_copy(arena, ls);
    a->generator_url = arena_copy(arena, reader_string(&body, STATE_TEXT_BYTES_MAX));
    a->file = arena_copy(arena, reader_string(&body, STATE_TEXT_BYTES_MAX));
    a->group = arena_copy(arena, reader_string(&body, STATE_TEXT_BYTES_MAX));
    a->rule = arena_copy(arena, reader_string(&body, STATE_TEXT_BYTES_MAX));
    a->fingerprint = (uint64_t)sqlite_library.column_int64(st, 1);
    a->starts_ns = sqlite_library.column_int64(st, 2);
    a->ends_ns = state_column_time(st, 3);
    a->is_timeout = sqlite_library.column_int64(st, 5) != 0;
    a->updated_ns = sqlite_library.column_int64(st, 6);
    a->value = sqlite_library.column_type(st, 8) == SQLITE_NULL
                   ? NAN
                   : sqlite_library.column_double(st, 8);
    out->is_open = sqlite_library.column_int64(st, 4) != 0;
    out->changes = (uint64_t)sqlite_library.column_int64(st, 7);
    return !body.failed;
}

static void ask_episodes(struct question *q, const struct alert_history_query *in)
{
    struct buffer scratch;
    buffer_init(&scratch, MEM_ALERTING, STATE_TEXT_BYTES_MAX);
    ask(q, EPISODE_COLUMNS);
    if (in->fingerprint)
        ask_number(q, " AND e.fingerprint=?", (int64_t)*in->fingerprint);
    for (size_t i = 0; in->matchers && i < in->matchers->count && q->count < BINDS_MAX / 2; i++) {
        const struct matcher *m = &in->matchers->items[i];
        if (m->type == MATCH_EQUAL && m->value.len > 0)
            ask_number(q,
                       " AND e.fingerprint IN (SELECT fingerprint FROM label_index WHERE pair=?)",
                       (int64_t)history_pair_hash(&scratch, m->name, m->value));
    }
    if (in->open_only)
        ask(q, " AND e.is_open=1");
    if (in->to_ns != 0)
        ask_number(q, " AND e.starts_ns<=?", in->to_ns);
    if (in->from_ns != 0)
        ask_number(q, " AND (e.is_open=1 OR e.ends_ns>=?)", in->from_ns);
    if (in->after.at_ns != 0 || in->after.id != 0) {
        ask_number(q, " AND (e.starts_ns,e.id)<(?,", in->after.at_ns);
        ask_number(q, "?)", in->after.id);
    }
    ask(q, " ORDER BY e.starts_ns DESC, e.id DESC");
    buffer_deinit(&scratch);
}

bool alert_history_episodes(struct alert_state *s, struct arena *arena,
                            const struct alert_history_query *in, struct alert_history_page *out,
                            struct error *err)
{
    size_t limit = page_limit(in->limit, HISTORY_LIMIT_MAX), examined = 0, capacity = 0;
    struct question q = {.count = 0};
    struct arena row_arena;
    sqlite3_stmt *st = NULL;
    bool row = false, ok;
    *out = (struct alert_history_page){0};
    arena_init(&row_arena, MEM_ALERTING, 0);
    buffer_init(&q.sql, MEM_ALERTING, SQL_BYTES_MAX);
    ask_episodes(&q, in);
    struct state_file *reader = reader_take(s);
    struct sqlite_db *db = reader_open(reader, err);
    ok = db && question_prepare(db, &q, &st, err);
    while (ok && !out->has_more && (ok = sqlite_db_step(db, st, &row, err)) && row) {
        if (out->count == limit || examined++ == HISTORY_EXAMINED_MAX) {
            out->has_more = true;
            break;
        }
        out->items = arena_grow(arena, out->items, &capacity, out->count + 1, sizeof(*out->items));
        out->next = (struct history_place){sqlite_library.column_int64(st, 2),
                                           sqlite_library.column_int64(st, 0)};
        out->count += episode_read(st, arena, &row_arena, in->matchers, &out->items[out->count]);
    }
    ok = reader_end(s, reader, st, ok, err);
    buffer_deinit(&q.sql);
    arena_deinit(&row_arena);
    return ok;
}

/* Open episodes by fingerprint, as signed numbers. */
struct open_page {
    struct alert_episode *items;
    size_t count, rows; /* rows: with those that are spoiled */
    int64_t last;
};

static bool open_page_read(struct alert_state *s, struct arena *arena, bool is_first,
                           struct open_page *page, struct error *err)
{
    struct question q = {.count = 0};
    struct arena row_arena;
    sqlite3_stmt *st = NULL;
    bool row = false, ok;
    arena_init(&row_arena, MEM_ALERTING, 0);
    buffer_init(&q.sql, MEM_ALERTING, SQL_BYTES_MAX);
    ask(&q, EPISODE_COLUMNS " AND e.is_open=1");
    if (!is_first)
        ask_number(&q, " AND e.fingerprint>?", page->last);
    ask_number(&q, " ORDER BY e.fingerprint LIMIT ?", OPEN_PAGE);
    page->items = ARENA_ARRAY(arena, struct alert_episode, OPEN_PAGE);
    page->count = page->rows = 0;
    struct state_file *reader = reader_take(s);
    struct sqlite_db *db = reader_open(reader, err);
    ok = db && question_prepare(db, &q, &st, err);
    while (ok && (ok = sqlite_db_step(db, st, &row, err)) && row && page->rows < OPEN_PAGE) {
        page->last = sqlite_library.column_int64(st, 1);
        page->count += episode_read(st, arena, &row_arena, NULL, &page->items[page->count]);
        page->rows++;
    }
    ok = reader_end(s, reader, st, ok, err);
    buffer_deinit(&q.sql);
    arena_deinit(&row_arena);
    return ok;
}

/* Whom the notification log has as firing, less those that are found to be open. */
struct known_firing {
    int64_t *items; /* fingerprints, ascending */
    size_t count, kept, at;
};

/* `fingerprint` is open; they are asked for in ascending order. */
static void known_skip(struct known_firing *k, int64_t fingerprint)
{
    for (; k->at < k->count && k->items[k->at] < fingerprint; k->at++)
        k->items[k->kept++] = k->items[k->at];
    k->at += k->at < k->count && k->items[k->at] == fingerprint;
}

/* Those of `k` whose last episode is over; one by one, as they are few: the ends that came just before the process ended. */
static bool resume_ended(struct alert_state *s, const struct known_firing *k,
                         alert_history_each *each, void *arg, struct error *err)
{
    sqlite3_stmt *st = NULL;
    struct arena arena, row_arena;
    bool row = false;
    if (k->kept == 0)
        return true;
    arena_init(&arena, MEM_ALERTING, 0);
    arena_init(&row_arena, MEM_ALERTING, 0);
    struct state_file *reader = reader_take(s);
    struct sqlite_db *db = reader_open(reader, err);
    bool ok = db && sqlite_db_prepare(db, &st,
                                      EPISODE_COLUMNS " AND e.fingerprint=? ORDER BY e.starts_ns "
                                                      "DESC, e.id DESC LIMIT 1",
                                      err);
    for (size_t i = 0; i < k->kept && ok; i++) {
        struct alert_episode e;
        arena_reset(&arena);
        (void)sqlite_library.bind_int64(st, 1, k->items[i]); /* cannot fail: it has one */
        if ((ok = sqlite_db_step(db, st, &row, err)) && row &&
            episode_read(st, &arena, &row_arena, NULL, &e) && !e.is_open)
            each(arg, &e.alert, true);
        (void)sqlite_library.reset(st); /* repeats the step's error */
    }
    ok = reader_end(s, reader, st, ok, err);
    arena_deinit(&arena);
    arena_deinit(&row_arena);
    return ok;
}

void alert_history_resume(struct alert_state *s, alert_history_each *each, void *arg)
{
    struct error err = {0};
    struct arena arena;
    struct open_page page = {.rows = OPEN_PAGE};
    struct known_firing known = {0};
    size_t spoiled = 0;
    if (s->file.path == NULL)
        return;
    bool ok = true;
    arena_init(&arena, MEM_ALERTING, 0);
    known.items = notification_log_firing(s, clock_wall().ms * NS_PER_MS, &known.count);
    for (bool is_first = true; ok && page.rows == OPEN_PAGE; is_first = false) {
        arena_reset(&arena);
        ok = open_page_read(s, &arena, is_first, &page, &err);
        for (size_t i = 0; i < page.count && ok; i++) {
            known_skip(&known, (int64_t)page.items[i].alert.fingerprint);
            each(arg, &page.items[i].alert, false);
        }
        spoiled += ok ? page.rows - page.count : 0;
    }
    while (known.at < known.count)
        known.items[known.kept++] = known.items[known.at++];
    ok = ok && resume_ended(s, &known, each, arg, &err);
    mem_free(MEM_ALERTING, known.items);
    arena_deinit(&arena);
    if (spoiled > 0)
        alert_state_log(s, true, "alert_state_rows_spoiled",
                        "%s: %zu alerts are not what was written; they are left out", s->file.path,
                        spoiled);
    if (ok)
        return;
    alert_state_log(
        s, true, "alert_history_failed",
        "what was firing before could not be read: %s; alerts are known again when they are "
        "told of",
        err.message);
    mutex_lock(&s->mutex);
    s->history.is_late = true;
    mutex_unlock(&s->mutex);
}

/* --- notifications --- */

static void notification_read(sqlite3_stmt *st, struct arena *arena, struct past_notification *out)
{
    *out = (struct past_notification){
        .id = sqlite_library.column_int64(st, 0),
        .at_ns = sqlite_library.column_int64(st, 1),
        .latency_ns = sqlite_library.column_int64(st, 2),
        .key = {.group_key = column_text(arena, st, 3),
                .receiver = column_text(arena, st, 4),
                .kind = column_text(arena, st, 5),
                .index = (size_t)sqlite_library.column_int64(st, 6)},
        .attempts = (unsigned)sqlite_library.column_int64(st, 7),
        .status = (long)sqlite_library.column_int64(st, 8),
        .is_sent = sqlite_library.column_int64(st, 9) != 0,
        .error = column_text(arena, st, 10),
        .payload_hash = (uint64_t)sqlite_library.column_int64(st, 11),
        .firing_count = (size_t)sqlite_library.column_int64(st, 12),
        .resolved_count = (size_t)sqlite_library.column_int64(st, 13),
    };
}

/* The alerts of each notification of the page. */
static bool notified_read(struct sqlite_db *db, struct arena *arena,
                          struct notification_history_page *page, struct error *err)
{
    sqlite3_stmt *st = NULL;
    bool row = false,
         ok = sqlite_db_prepare(db, &st,
                                "SELECT fingerprint FROM notification_alerts WHERE notification=? "
                                "ORDER BY fingerprint LIMIT ?",
                                err);
    for (size_t i = 0; i < page->count && ok; i++) {
        struct past_notification *n = &page->items[i];
        size_t capacity = 0;
        uint64_t *alerts = NULL;
        (void)sqlite_library.bind_int64(st, 1, n->id); /* cannot fail: the statement has both */
        (void)sqlite_library.bind_int64(st, 2, HISTORY_NOTIFIED_MAX);
        while ((ok = sqlite_db_step(db, st, &row, err)) && row) {
            alerts = arena_grow(arena, alerts, &capacity, n->alert_count + 1, sizeof(*alerts));
            alerts[n->alert_count++] = (uint64_t)sqlite_library.column_int64(st, 0);
        }
        n->alerts = alerts;
        (void)sqlite_library.reset(st); /* repeats the step's error */
    }
    (void)sqlite_library.finalize(st);
    return ok;
}

static void ask_notifications(struct question *q, const struct notification_history_query *in)
{
    ask(q, "SELECT n.id,at_ns,latency_ns,group_key,receiver,kind,idx,attempts,status,is_sent,error,"
           "payload_hash,firing,resolved FROM notifications n WHERE 1");
    if (in->fingerprint)
        ask_number(
            q, " AND n.id IN (SELECT notification FROM notification_alerts WHERE fingerprint=?)",
            (int64_t)*in->fingerprint);
    if (in->receiver.len)
        ask_text(q, " AND receiver=?", in->receiver);
    if (in->failed_only)
        ask(q, " AND is_sent=0");
    if (in->from_ns != 0)
        ask_number(q, " AND at_ns>=?", in->from_ns);
    if (in->to_ns != 0)
        ask_number(q, " AND at_ns<=?", in->to_ns);
    if (in->after.at_ns != 0 || in->after.id != 0) {
        ask_number(q, " AND (at_ns,n.id)<(?,", in->after.at_ns);
        ask_number(q, "?)", in->after.id);
    }
    ask_number(q, " ORDER BY at_ns DESC, n.id DESC LIMIT ?",
               (int64_t)page_limit(in->limit, NOTIFICATIONS_MAX) + 1);
}

bool alert_history_notifications(struct alert_state *s, struct arena *arena,
                                 const struct notification_history_query *in,
                                 struct notification_history_page *out, struct error *err)
{
    size_t limit = page_limit(in->limit, NOTIFICATIONS_MAX), capacity = 0;
    struct question q = {.count = 0};
    sqlite3_stmt *st = NULL;
    bool row = false, ok;
    *out = (struct notification_history_page){0};
    buffer_init(&q.sql, MEM_ALERTING, SQL_BYTES_MAX);
    ask_notifications(&q, in);
    struct state_file *reader = reader_take(s);
    struct sqlite_db *db = reader_open(reader, err);
    ok = db && question_prepare(db, &q, &st, err);
    while (ok && (ok = sqlite_db_step(db, st, &row, err)) && row) {
        if (out->count == limit) {
            out->has_more = true;
            break;
        }
        out->items = arena_grow(arena, out->items, &capacity, out->count + 1, sizeof(*out->items));
        struct past_notification *n = &out->items[out->count++];
        notification_read(st, arena, n);
        out->next = (struct history_place){n->at_ns, n->id};
    }
    ok = ok && notified_read(db, arena, out, err);
    ok = reader_end(s, reader, st, ok, err);
    buffer_deinit(&q.sql);
    return ok;
}

/* --- acknowledgements --- */

bool alert_history_acknowledgements(struct alert_state *s, struct arena *arena,
                                    uint64_t fingerprint, struct acknowledgements *out,
                                    struct error *err)
{
    struct question q = {.count = 0};
    sqlite3_stmt *st = NULL;
    size_t capacity = 0;
    bool row = false, ok;
    *out = (struct acknowledgements){0};
    buffer_init(&q.sql, MEM_ALERTING, SQL_BYTES_MAX);
    ask(&q, "SELECT starts_ns,at_ns,expires_ns,ended_ns,owner,note FROM acknowledgements");
    ask_number(&q, " WHERE fingerprint=? ORDER BY at_ns DESC", (int64_t)fingerprint);
    ask_number(&q, " LIMIT ?", HISTORY_LIMIT_MAX);
    struct state_file *reader = reader_take(s);
    struct sqlite_db *db = reader_open(reader, err);
    ok = db && question_prepare(db, &q, &st, err);
    while (ok && (ok = sqlite_db_step(db, st, &row, err)) && row) {
        out->items = arena_grow(arena, out->items, &capacity, out->count + 1, sizeof(*out->items));
        out->items[out->count++] =
            (struct acknowledgement){.fingerprint = fingerprint,
                                     .starts_ns = sqlite_library.column_int64(st, 0),
                                     .at_ns = sqlite_library.column_int64(st, 1),
                                     .expires_ns = state_column_time(st, 2),
                                     .ended_ns = state_column_time(st, 3),
                                     .owner = column_text(arena, st, 4),
                                     .note = column_text(arena, st, 5)};
    }
    ok = reader_end(s, reader, st, ok, err);
    buffer_deinit(&q.sql);
    return ok;
}
