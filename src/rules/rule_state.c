/* SPDX-License-Identifier: Apache-2.0 */
/* rule_state.c: see rule_state.h. A row for each alerting rule that has alerts (table rule_alerts, made by access/state_db.c):
 *
 *   rule   := FILE ; GROUP ; NAME ; hash of its labels, 16 hexadecimal digits ; "missing" or "" ; number among those
 *             of the group that are alike in all this
 *   alerts := version u8 | count varint | alert ...
 *   alert  := state u8 | value f64 | active fired resolved keep_firing_since sent valid_until, each svarint (RULE_NEVER
 *             is what does not exist) | labels | annotations | source
 *   labels := count varint | (name, value) ..., each a varint length and its bytes
 *
 * rule_meta has "alive": when the process that wrote last was still there, in ms, at most ALIVE_MS old. */
#include "rules/rule_state.h"

#include "access/sqlite_library.h"
#include "access/state_db.h"
#include "base/assert.h"
#include "base/clock.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/reader.h"
#include "base/thread.h"
#include "rules/rule_restore.h"

#include <stdio.h>

enum {
    VERSION = 1,
    ALERTS_BYTES_MAX = 256 << 20, /* of one rule */
    TEXT_BYTES_MAX = 16 << 20,
    ALIVE_MS = 30 * 1000,
    RETRY_MS = 5 * 1000,
    BUSY_MS = 5000
};

#define TIME_MS_MAX (INT64_C(1) << 60)

/* What is to be written of one rule. */
struct pending {
    struct pending *next;
    char *rule;
    size_t rule_bytes;
    struct buffer alerts; /* empty: no alerts, no row */
};

struct loaded {
    struct view rule, alerts;
    bool is_given; /* a rule has it */
};

struct rule_state {
    const char *dir; /* constant, like the next two */
    void (*log)(void *arg, bool is_error, const char *event, const char *text);
    void *log_arg;

    sqlite3 *sqlite; /* the thread's, and before it starts to work the loader's */
    bool is_failing;

    struct arena arena; /* what was loaded; who starts the server */
    struct loaded *loaded;
    size_t loaded_count, loaded_capacity;
    struct string_map *loaded_index;
    int64_t loaded_ms, alive_ms; /* now, and when the process before was last there */
    bool drop_pending;

    pthread_mutex_t mutex; /* guards the rest */
    pthread_cond_t wakes;
    struct pending *queue; /* a rule is in it once */
    bool is_stopping, has_thread;
    bool too_large_told; /* a rule's alerts do not fit */
    pthread_t thread;
    uint64_t failures;
};

/* --- alerts as bytes --- */

static void put_labels(struct buffer *b, struct labels ls)
{
    buffer_append_varint(b, ls.count);
    for (uint32_t i = 0; i < ls.count; i++) {
        buffer_append_string(b, ls.items[i].name);
        buffer_append_string(b, ls.items[i].value);
    }
}

static void put_alert(struct buffer *b, const struct alert *a)
{
    buffer_append_u8(b, (uint8_t)a->state);
    buffer_append_f64(b, a->value);
    buffer_append_svarint(b, a->active_ms);
    buffer_append_svarint(b, a->fired_ms);
    buffer_append_svarint(b, a->resolved_ms);
    buffer_append_svarint(b, a->keep_firing_since_ms);
    buffer_append_svarint(b, a->sent_ms);
    buffer_append_svarint(b, a->valid_until_ms);
    put_labels(b, a->labels);
    put_labels(b, a->annotations);
    put_labels(b, a->source);
}

static bool get_labels(struct reader *r, struct arena *arena, struct labels *out)
{
    uint64_t count = reader_varint(r);
    if (r->failed || count > reader_left(r) / 2)
        return false;
    struct label *items = ARENA_ARRAY(arena, struct label, count + 1);
    for (uint64_t i = 0; i < count; i++) {
        items[i].name = reader_string(r, TEXT_BYTES_MAX);
        items[i].value = reader_string(r, TEXT_BYTES_MAX);
    }
    *out = (struct labels){items, (uint32_t)count};
    return !r->failed;
}

/* Times that an alert in this state has, near enough that reckoning with them cannot overflow. */
static bool times_are_sane(uint8_t state, const int64_t *times)
{
    for (int i = 0; i < 6; i++)
        if (times[i] != RULE_NEVER && (times[i] > TIME_MS_MAX || times[i] < -TIME_MS_MAX))
            return false;
    return !(state == ALERT_PENDING && times[0] == RULE_NEVER) &&
           !(state == ALERT_FIRING && (times[0] == RULE_NEVER || times[1] == RULE_NEVER)) &&
           !(state == ALERT_INACTIVE && times[2] == RULE_NEVER);
}

/* NULL: these bytes are no alert. */
static struct alert *get_alert(struct reader *r, struct arena *arena)
{
    struct labels labels, annotations, source;
    int64_t times[6];
    uint8_t state = reader_u8(r);
    double value = reader_f64(r);
    for (size_t i = 0; i < ARRAY_COUNT(times); i++)
        times[i] = reader_svarint(r);
    if (!times_are_sane(state, times) || !get_labels(r, arena, &labels) ||
        !get_labels(r, arena, &annotations) || !get_labels(r, arena, &source) ||
        state > ALERT_WATCHED)
        return NULL;
    struct alert *a = alert_new(rule_series_hash(labels), labels);
    alert_set_annotations(a, annotations);
    alert_set_source(a, source);
    a->state = (enum alert_phase)state;
    a->value = value;
    a->active_ms = times[0];
    a->fired_ms = times[1];
    a->resolved_ms = times[2];
    a->keep_firing_since_ms = times[3];
    a->sent_ms = times[4];
    a->valid_until_ms = times[5];
    a->is_changed = false;
    return a;
}

/* --- the database --- */

static bool fail(struct rule_state *s, struct error *err)
{
    enum error_kind kind =
        (sqlite_library.errcode(s->sqlite) & 0xff) == SQLITE_FULL ? ERROR_NO_SPACE : ERROR_IO;
    return error_set(err, kind, "%s/" STATE_DB_NAME ": %s", s->dir,
                     sqlite_library.errmsg(s->sqlite));
}

static void db_close_now(struct rule_state *s)
{
    if (s->sqlite)
        (void)sqlite_library.close(s->sqlite); /* all statements are finalized: cannot be busy */
    s->sqlite = NULL;
}

/* Makes the file and its tables where they are not, then opens it for ourselves. */
static bool db_open_now(struct rule_state *s, bool create, struct error *err)
{
    struct state_db *db;
    char path[4096];
    if (s->sqlite)
        return true;
    if (!state_db_open(&db, s->dir, create, err))
        return false;
    state_db_close(db);
    (void)snprintf(path, sizeof path, "%s/" STATE_DB_NAME, s->dir);
    if (sqlite_library.open_v2(path, &s->sqlite,
                               SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE,
                               NULL) != SQLITE_OK) {
        bool ok = s->sqlite ? fail(s, err) : error_set(err, ERROR_IO, "no memory for SQLite");
        db_close_now(s);
        return ok;
    }
    (void)sqlite_library.busy_timeout(s->sqlite, BUSY_MS); /* cannot fail with a handle */
    if (sqlite_library.exec(s->sqlite,
                            "PRAGMA synchronous=FULL; PRAGMA trusted_schema=OFF;"
                            "PRAGMA cache_size=-256; PRAGMA temp_store=MEMORY",
                            NULL, NULL, NULL) == SQLITE_OK)
        return true;
    (void)fail(s, err);
    db_close_now(s);
    return false;
}

static bool write_one(struct rule_state *s, const struct pending *p, struct error *err)
{
    sqlite3_stmt *st = NULL;
    const char *sql = p->alerts.len ? "INSERT OR REPLACE INTO rule_alerts(rule,alerts) VALUES(?,?)"
                                    : "DELETE FROM rule_alerts WHERE rule=?";
    bool ok =
        sqlite_library.prepare_v2(s->sqlite, sql, -1, &st, NULL) == SQLITE_OK &&
        sqlite_library.bind_text(st, 1, p->rule, (int)p->rule_bytes, SQLITE_STATIC) == SQLITE_OK &&
        (p->alerts.len == 0 || sqlite_library.bind_blob(st, 2, p->alerts.ptr, (int)p->alerts.len,
                                                        SQLITE_STATIC) == SQLITE_OK) &&
        sqlite_library.step(st) == SQLITE_DONE;
    if (!ok)
        (void)fail(s, err);
    (void)sqlite_library.finalize(st);
    return ok;
}

static bool write_alive(struct rule_state *s, struct error *err)
{
    char sql[128];
    (void)snprintf(sql, sizeof sql,
                   "INSERT OR REPLACE INTO rule_meta(key,value) VALUES('alive',%lld)",
                   (long long)clock_wall().ms);
    return sqlite_library.exec(s->sqlite, sql, NULL, NULL, NULL) == SQLITE_OK || fail(s, err);
}

/* All or nothing of the list, synced. */
static bool write_all(struct rule_state *s, const struct pending *list, struct error *err)
{
    if (!db_open_now(s, list != NULL, err))
        return false;
    bool ok = sqlite_library.exec(s->sqlite, "BEGIN IMMEDIATE", NULL, NULL, NULL) == SQLITE_OK ||
              fail(s, err);
    for (const struct pending *p = list; p && ok; p = p->next)
        ok = write_one(s, p, err);
    ok = ok && write_alive(s, err) &&
         (sqlite_library.exec(s->sqlite, "COMMIT", NULL, NULL, NULL) == SQLITE_OK || fail(s, err));
    if (!ok) {
        (void)sqlite_library.exec(s->sqlite, "ROLLBACK", NULL, NULL, NULL); /* there may be none */
        db_close_now(s); /* whatever is wrong with it, it is opened anew */
    }
    return ok;
}

/* --- the thread --- */

static void pending_free(struct pending *p)
{
    while (p) {
        struct pending *next = p->next;
        buffer_deinit(&p->alerts);
        mem_free(MEM_RULES, p->rule);
        mem_free(MEM_RULES, p);
        p = next;
    }
}

static struct pending *find_pending(struct pending *list, const struct pending *like)
{
    for (; list; list = list->next)
        if (list->rule_bytes == like->rule_bytes &&
            memcmp(list->rule, like->rule, like->rule_bytes) == 0)
            return list;
    return NULL;
}

/* What could not be written waits again, unless there is news of the rule. */
static void put_back_locked(struct rule_state *s, struct pending *list)
{
    while (list) {
        struct pending *p = list;
        list = p->next;
        p->next = NULL;
        if (find_pending(s->queue, p)) {
            pending_free(p);
        } else {
            p->next = s->queue;
            s->queue = p;
        }
    }
}

static void tell(struct rule_state *s, bool ok, const struct error *err)
{
    if (!ok && !s->is_failing && s->log)
        s->log(s->log_arg, true, "rule_state", err->message);
    if (ok && s->is_failing && s->log)
        s->log(s->log_arg, false, "rule_state", "alerts are kept again");
    s->is_failing = !ok;
}

/* Called and returns with the mutex. True when everything is written. */
static bool write_queue_locked(struct rule_state *s)
{
    struct error err = {0};
    struct pending *list = s->queue;
    s->queue = NULL;
    mutex_unlock(&s->mutex);
    bool ok = write_all(s, list, &err);
    bool nothing = !list && err.kind == ERROR_NOT_FOUND; /* no database, and no need of one */
    if (!nothing)
        tell(s, ok, &err);
    mutex_lock(&s->mutex);
    if (ok)
        pending_free(list);
    else
        put_back_locked(s, list);
    s->failures += !ok && !nothing;
    return ok;
}

static void *thread_run(void *arg)
{
    struct rule_state *s = arg;
    mutex_lock(&s->mutex);
    mono_time alive = mono_add_ms(clock_mono(), ALIVE_MS);
    mono_time not_before = {0};
    while (!s->is_stopping) {
        mono_time now = clock_mono();
        bool due = (s->queue && now.ns >= not_before.ns) || now.ns >= alive.ns;
        if (!due) {
            mono_time until = s->queue && not_before.ns < alive.ns ? not_before : alive;
            (void)cond_wait_until(&s->wakes, &s->mutex, until);
            continue;
        }
        bool ok = write_queue_locked(s);
        alive = mono_add_ms(clock_mono(), ALIVE_MS);
        not_before = mono_add_ms(clock_mono(), ok ? 0 : RETRY_MS);
    }
    (void)write_queue_locked(s);
    mutex_unlock(&s->mutex);
    return NULL;
}

/* --- life --- */

struct rule_state *rule_state_new(const char *dir,
                                  void (*log)(void *arg, bool is_error, const char *event,
                                              const char *text),
                                  void *log_arg)
{
    struct rule_state *s = mem_alloc_zero(MEM_RULES, 1, sizeof *s);
    s->dir = dir;
    s->log = log;
    s->log_arg = log_arg;
    arena_init(&s->arena, MEM_RULES, 0);
    mutex_init(&s->mutex);
    cond_init(&s->wakes);
    return s;
}

bool rule_state_start(struct rule_state *s, struct error *err)
{
    s->has_thread = thread_start(&s->thread, "rule_state", thread_run, s, err);
    return s->has_thread;
}

void rule_state_free(struct rule_state *s)
{
    if (!s)
        return;
    mutex_lock(&s->mutex);
    s->is_stopping = true;
    cond_signal(&s->wakes);
    mutex_unlock(&s->mutex);
    if (s->has_thread)
        thread_join(s->thread);
    db_close_now(s);
    pending_free(s->queue);
    rule_state_forget_loaded(s);
    arena_deinit(&s->arena);
    cond_deinit(&s->wakes);
    mutex_deinit(&s->mutex);
    mem_free(MEM_RULES, s);
}

uint64_t rule_state_failures(struct rule_state *s)
{
    mutex_lock(&s->mutex);
    uint64_t failures = s->failures;
    mutex_unlock(&s->mutex);
    return failures;
}

/* --- loading --- */

static struct view column_bytes(struct arena *arena, sqlite3_stmt *st, int column)
{
    const void *bytes = sqlite_library.column_blob(st, column);
    size_t len = bytes ? (size_t)sqlite_library.column_bytes(st, column) : 0;
    return arena_copy(arena, (struct view){bytes, len});
}

static bool read_rows(struct rule_state *s, sqlite3 *sqlite, const char *sql, bool is_meta,
                      int64_t *alive)
{
    sqlite3_stmt *st = NULL;
    int code = sqlite_library.prepare_v2(sqlite, sql, -1, &st, NULL);
    while (code == SQLITE_OK || code == SQLITE_ROW) {
        code = sqlite_library.step(st);
        if (code != SQLITE_ROW)
            break;
        if (is_meta) {
            *alive = sqlite_library.column_int64(st, 0);
            continue;
        }
        s->loaded = arena_grow(&s->arena, s->loaded, &s->loaded_capacity, s->loaded_count + 1,
                               sizeof *s->loaded);
        s->loaded[s->loaded_count] =
            (struct loaded){column_bytes(&s->arena, st, 0), column_bytes(&s->arena, st, 1), false};
        string_map_set(s->loaded_index, s->loaded[s->loaded_count].rule, s->loaded_count);
        s->loaded_count++;
    }
    (void)sqlite_library.finalize(st);
    return code == SQLITE_DONE;
}

bool rule_state_load(struct rule_state *s, int64_t tolerance_ms, bool *known, struct error *err)
{
    struct rule_state reading = {.dir =
                                     s->dir}; /* a connection of its own: the thread has another */
    int64_t alive = RULE_NEVER;
    *known = false;
    if (!db_open_now(&reading, false, err)) {
        bool none = err->kind == ERROR_NOT_FOUND;
        if (none)
            error_clear(err);
        return none;
    }
    s->loaded_index = string_map_new(MEM_RULES);
    bool ok = read_rows(s, reading.sqlite, "SELECT value FROM rule_meta WHERE key='alive'", true,
                        &alive) &&
              read_rows(s, reading.sqlite, "SELECT rule, alerts FROM rule_alerts", false, &alive);
    if (!ok)
        (void)fail(&reading, err);
    db_close_now(&reading);
    *known = ok && alive != RULE_NEVER;
    s->loaded_ms = clock_wall().ms;
    s->alive_ms = alive > s->loaded_ms ? s->loaded_ms : alive;
    s->drop_pending = *known && s->loaded_ms - s->alive_ms > tolerance_ms;
    return ok;
}

void rule_state_forget_loaded(struct rule_state *s)
{
    string_map_free(s->loaded_index);
    s->loaded_index = NULL;
    s->loaded = NULL;
    s->loaded_count = s->loaded_capacity = 0;
    arena_reset(&s->arena);
}

/* --- rules --- */

static struct view rule_key(const struct rule_group *g, size_t number, struct arena *arena)
{
    const struct rule_definition *def = g->rules[number].def;
    return arena_printf(arena, "%.*s;%.*s;%.*s;%016llx;%s;%zu", VIEW_ARGS(g->def->file),
                        VIEW_ARGS(g->def->name), VIEW_ARGS(def->name),
                        (unsigned long long)labels_hash(def->labels),
                        def->missing_for_ms > 0 ? "missing" : "", g->rules[number].alike);
}

/* The time that the server was down does not count for `for`, as in Prometheus. But a restart, which nothing is known
 * of but that it took less than an interval or the time between two notes of "alive", changes nothing. */
static bool shift_pending(const struct rule_state *s, const struct rule_group *g,
                          const struct rule_definition *def, int64_t grace_ms, struct alert *a)
{
    int64_t hold_ms = def->missing_for_ms > 0 ? def->missing_for_ms : def->for_ms;
    int64_t down_ms = s->alive_ms > a->active_ms ? s->alive_ms : a->active_ms;
    int64_t slack_ms = g->interval_ms > ALIVE_MS ? g->interval_ms : ALIVE_MS;
    if (s->drop_pending)
        return false;
    if (s->loaded_ms - down_ms <= slack_ms)
        return true;
    if (hold_ms < grace_ms)
        return false;
    a->active_ms = rule_active_since(a->active_ms, down_ms, s->loaded_ms, hold_ms, grace_ms);
    a->is_changed = true;
    return true;
}

static void give_alerts(const struct rule_state *s, const struct rule_group *g, struct rule *r,
                        int64_t grace_ms, struct view bytes)
{
    struct arena arena;
    struct reader in = reader_from(bytes);
    arena_init(&arena, MEM_RULES, 0);
    uint64_t count = reader_u8(&in) == VERSION ? reader_varint(&in) : 0;
    mutex_lock(&r->mutex);
    for (uint64_t i = 0; i < count && !in.failed; i++) {
        struct alert *a = get_alert(&in, &arena);
        if (!a)
            break; /* damaged: what was read counts */
        if ((a->state == ALERT_PENDING && !shift_pending(s, g, r->def, grace_ms, a)) ||
            rule_find_alert_locked(r, a->hash)) {
            alert_free(a);
            r->alerts_removed = true;
        } else {
            rule_add_alert_locked(r, a);
        }
    }
    mutex_unlock(&r->mutex);
    arena_deinit(&arena);
}

bool rule_state_give(struct rule_state *s, struct rule_group *g, int64_t grace_ms)
{
    struct arena arena;
    uint64_t number;
    bool all = true;
    arena_init(&arena, MEM_RULES, 0);
    for (size_t i = 0; i < g->rule_count; i++) {
        if (g->rules[i].def->kind != RULE_ALERTING)
            continue;
        g->rules[i].has_row = g->rules[i].restored =
            string_map_get(s->loaded_index, rule_key(g, i, &arena), &number);
        all &= g->rules[i].has_row;
        if (!g->rules[i].has_row)
            continue;
        s->loaded[number].is_given = true;
        give_alerts(s, g, &g->rules[i], grace_ms, s->loaded[number].alerts);
    }
    arena_deinit(&arena);
    return all;
}

/* Only the evaluating thread changes alerts. False when nothing is new. */
static bool has_changes(const struct rule *r)
{
    bool changed = r->alerts_removed;
    for (size_t i = 0; i < r->alert_count && !changed; i++)
        changed = r->alerts[i]->is_changed;
    return changed;
}

/* False when they are too many bytes: they stay changed. */
static bool take_changes(struct rule *r, struct buffer *out)
{
    if (r->alert_count) {
        buffer_append_u8(out, VERSION);
        buffer_append_varint(out, r->alert_count);
    }
    for (size_t i = 0; i < r->alert_count && !out->failed; i++)
        put_alert(out, r->alerts[i]);
    if (out->failed)
        return false;
    for (size_t i = 0; i < r->alert_count; i++)
        r->alerts[i]->is_changed = false;
    r->alerts_removed = false;
    r->has_row = r->alert_count > 0;
    return true;
}

static void tell_too_large(struct rule_state *s, const struct rule *r)
{
    char text[400];
    mutex_lock(&s->mutex);
    bool told = s->too_large_told;
    s->too_large_told = true;
    s->failures++;
    mutex_unlock(&s->mutex);
    (void)snprintf(text, sizeof text,
                   "rule \"%.*s\": its alerts are more than %d bytes and are not kept",
                   VIEW_ARGS(view_slice(r->def->name, 0, 200)), ALERTS_BYTES_MAX);
    if (!told && s->log)
        s->log(s->log_arg, true, "rule_state", text);
}

/* Takes the content of `alerts`. */
static void enqueue(struct rule_state *s, struct view rule, struct buffer *alerts)
{
    struct pending *p = mem_alloc_zero(MEM_RULES, 1, sizeof *p);
    p->rule = mem_copy_string(MEM_RULES, rule);
    p->rule_bytes = rule.len;
    p->alerts = *alerts;
    mutex_lock(&s->mutex);
    struct pending *same = find_pending(s->queue, p);
    if (same) {
        struct buffer old = same->alerts;
        same->alerts = p->alerts;
        p->alerts = old;
    } else {
        p->next = s->queue;
        s->queue = p;
        p = NULL;
    }
    cond_signal(&s->wakes);
    mutex_unlock(&s->mutex);
    pending_free(p);
}

void rule_state_save(struct rule_state *s, struct rule_group *g)
{
    struct arena arena;
    arena_init(&arena, MEM_RULES, 0);
    for (size_t i = 0; i < g->rule_count; i++) {
        struct buffer alerts;
        if (g->rules[i].def->kind != RULE_ALERTING || !has_changes(&g->rules[i]))
            continue;
        buffer_init(&alerts, MEM_RULES, ALERTS_BYTES_MAX);
        if (take_changes(&g->rules[i], &alerts)) {
            enqueue(s, rule_key(g, i, &arena), &alerts);
        } else {
            tell_too_large(s, &g->rules[i]);
            buffer_deinit(&alerts);
        }
    }
    arena_deinit(&arena);
}

static void drop_row(struct rule_state *s, struct view key)
{
    struct buffer none;
    buffer_init(&none, MEM_RULES, 1);
    enqueue(s, key, &none);
}

void rule_state_drop(struct rule_state *s, struct rule_group *g, const struct rule_group *successor)
{
    struct arena arena;
    struct string_map *stay = string_map_new(MEM_RULES);
    uint64_t unused;
    arena_init(&arena, MEM_RULES, 0);
    for (size_t i = 0; successor && i < successor->rule_count; i++)
        if (successor->rules[i].has_row) /* it took it over */
            string_map_set(stay, rule_key(successor, i, &arena), 1);
    for (size_t i = 0; i < g->rule_count; i++) {
        if (!g->rules[i].has_row)
            continue;
        struct view key = rule_key(g, i, &arena);
        if (!string_map_get(stay, key, &unused))
            drop_row(s, key);
    }
    string_map_free(stay);
    arena_deinit(&arena);
}

void rule_state_drop_orphans(struct rule_state *s)
{
    for (size_t i = 0; i < s->loaded_count; i++)
        if (!s->loaded[i].is_given)
            drop_row(s, s->loaded[i].rule);
}
