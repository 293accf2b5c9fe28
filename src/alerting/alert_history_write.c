/* SPDX-License-Identifier: Apache-2.0 */
/* alert_history_write.c: episodes and notifications as rows (the tables are in alert_state_db.c).
 *
 *   label_sets     fingerprint -> labels (state_put_labels()), once however often an alert fires
 *   label_index    (hash of a label's name 0xff value, fingerprint): which label sets have this label
 *   episodes       one row per episode; at most one is open per fingerprint; body := annotations | generator_url | file |
 *                  group | rule, each a string but the first
 *   notifications, notification_alerts (notification, fingerprint)
 *
 * An alert that changes or resolves without an open row gets one: what is told last is true. Old rows go by age and number, a
 * few thousand in a transaction, so that nobody waits long for the next one. */
#include "alerting/alert_state_private.h"

#include "base/checksum.h"

enum { PRUNE_ROWS = 2000, BODY_BYTES_MAX = 64 << 20 };

uint64_t history_pair_hash(struct buffer *scratch, struct view name, struct view value)
{
    buffer_reset(scratch);
    buffer_append_view(scratch, name);
    buffer_append_byte(scratch, (char)0xff);
    buffer_append_view(scratch, value);
    return hash64_view(buffer_view(scratch));
}

/* Adds the alert's labels, unless they are there. */
static bool write_labels(struct alert_state *s, const struct live_alert *a, struct buffer *scratch,
                         struct error *err)
{
    int64_t fingerprint = (int64_t)a->fingerprint;
    buffer_reset(scratch);
    state_put_labels(scratch, a->labels);
    if (!state_run(s, STATEMENT_LABEL_SET_PUT, err, "ib", fingerprint, buffer_view(scratch)))
        return false;
    bool ok = true, is_new = sqlite_library.changes(s->file.db->sqlite) > 0;
    for (uint32_t i = 0; i < a->labels.count && is_new && ok; i++) {
        const struct label *l = &a->labels.items[i];
        ok = state_run(s, STATEMENT_LABEL_INDEX_PUT, err, "ii",
                       (int64_t)history_pair_hash(scratch, l->name, l->value), fingerprint);
    }
    return ok;
}

static bool write_event(struct alert_state *s, const struct history_event *e,
                        struct buffer *scratch, struct error *err)
{
    const struct live_alert *a = e->alert;
    int64_t fingerprint = (int64_t)a->fingerprint;
    if (e->is_fired &&
        !state_run(s, STATEMENT_EPISODE_CLOSE_OTHER, err, "ii", fingerprint, a->starts_ns))
        return false;
    buffer_reset(scratch);
    state_put_labels(scratch, a->annotations);
    buffer_append_string(scratch, a->generator_url);
    buffer_append_string(scratch, a->file);
    buffer_append_string(scratch, a->group);
    buffer_append_string(scratch, a->rule);
    struct view body = buffer_view(scratch);
    if (scratch->failed)
        return error_set(err, ERROR_TOO_LARGE, "an alert is too large to be kept");
    /* starts_ns stays: an alert that is told again with another start is the same episode */
    if (!state_run(s, STATEMENT_EPISODE_UPDATE, err, "niiiifbi", a->ends_ns,
                   (int64_t)!e->is_resolved, (int64_t)a->is_timeout, a->updated_ns,
                   (int64_t)e->changes, a->value, body, fingerprint))
        return false;
    if (sqlite_library.changes(s->file.db->sqlite) > 0)
        return true;
    return state_run(s, STATEMENT_EPISODE_INSERT, err, "iiniiiifb", fingerprint, a->starts_ns,
                     a->ends_ns, (int64_t)!e->is_resolved, (int64_t)a->is_timeout, a->updated_ns,
                     (int64_t)e->changes, a->value, body) &&
           write_labels(s, a, scratch, err);
}

static bool write_note(struct alert_state *s, const struct history_note *n, struct error *err)
{
    const struct notification_record *r = &n->record;
    if (!state_run(s, STATEMENT_NOTIFICATION_INSERT, err, "iitttiiiitiii", r->at_ns, r->latency_ns,
                   r->key.group_key, r->key.receiver, r->key.kind, (int64_t)r->key.index,
                   (int64_t)r->attempts, (int64_t)r->status, (int64_t)r->is_sent, r->error,
                   (int64_t)r->payload_hash, (int64_t)n->firing_count,
                   (int64_t)(r->alert_count - n->firing_count)))
        return false;
    int64_t id = sqlite_library.last_insert_rowid(s->file.db->sqlite);
    for (size_t i = 0; i < r->alert_count; i++)
        if (!state_run(s, STATEMENT_NOTIFICATION_ALERT_INSERT, err, "ii", id,
                       (int64_t)n->fingerprints[i]))
            return false;
    return true;
}

bool history_write(struct alert_state *s, const struct history_batch *b, struct error *err)
{
    struct buffer scratch;
    bool ok = true;
    buffer_init(&scratch, MEM_ALERTING, BODY_BYTES_MAX);
    for (const struct history_event *e = b->events.first; e && ok; e = e->next)
        ok = write_event(s, e, &scratch, err);
    for (const struct history_note *n = b->notes; n && ok; n = n->next)
        ok = write_note(s, n, err);
    buffer_deinit(&scratch);
    return ok;
}

/* Nobody took up the alerts of the process before: what was open ended when it was last told of. */
bool history_close_all(struct alert_state *s, struct error *err)
{
    return sqlite_db_execute(s->file.db,
                             "UPDATE episodes SET is_open=0, ends_ns=coalesce(ends_ns,updated_ns) "
                             "WHERE is_open=1",
                             err);
}

/* --- old rows --- */

/* One step of a deletion, a transaction of its own; *deleted rows. */
static bool prune_step(struct alert_state *s, enum state_statement which, int64_t before,
                       int64_t rows, int64_t *deleted, struct error *err)
{
    if (!sqlite_db_begin(s->file.db, err))
        return false;
    bool ok = state_run(s, which, err, "ii", before, rows);
    *deleted = ok ? sqlite_library.changes(s->file.db->sqlite) : 0;
    return sqlite_db_end(s->file.db, ok, err);
}

/* A table of history: what is deleted of it, and how many rows it has. */
struct pruned {
    enum state_statement which;
    const char *count;
    unsigned limits; /* so many times history_rows_max */
};

/* Rows older than `before`, then so many of the oldest as are over the limit. *goes_on: nothing asked to end. */
static bool prune(struct alert_state *s, const struct pruned *p, int64_t before, bool *goes_on,
                  int64_t *total, struct error *err)
{
    int64_t deleted = PRUNE_ROWS, rows = 0;
    *total = 0;
    for (; deleted == PRUNE_ROWS && *goes_on; *goes_on = alert_state_give_way(s)) {
        if (!prune_step(s, p->which, before, PRUNE_ROWS, &deleted, err))
            return false;
        *total += deleted;
    }
    if (*goes_on && !sqlite_db_int(s->file.db, p->count, &rows, err))
        return false;
    int64_t over = rows - (int64_t)s->options.history_rows_max * p->limits;
    deleted = 1;
    for (; over > 0 && deleted > 0 && *goes_on; *goes_on = alert_state_give_way(s)) {
        if (!prune_step(s, p->which, INT64_MAX, over < PRUNE_ROWS ? over : PRUNE_ROWS, &deleted,
                        err))
            return false;
        over -= deleted; /* none: all that are left are open */
        *total += deleted;
    }
    return true;
}

/* Label sets without an episode, with their index; a page of them. */
static bool prune_labels(struct alert_state *s, bool *more, struct error *err)
{
    struct buffer scratch;
    struct arena arena;
    sqlite3_stmt *st = NULL;
    bool row = false;
    size_t count = 0;
    if (!sqlite_db_begin(s->file.db, err))
        return false;
    buffer_init(&scratch, MEM_ALERTING, BODY_BYTES_MAX);
    arena_init(&arena, MEM_ALERTING, 0);
    bool ok =
        sqlite_db_prepare(s->file.db, &st,
                          "SELECT fingerprint,labels FROM label_sets l WHERE NOT EXISTS(SELECT 1 "
                          "FROM episodes e WHERE e.fingerprint=l.fingerprint) LIMIT 500",
                          err);
    while (ok && (ok = sqlite_db_step(s->file.db, st, &row, err)) && row) {
        int64_t fingerprint = sqlite_library.column_int64(st, 0);
        struct reader r = reader_from(state_column_bytes(st, 1));
        struct labels ls = {0};
        (void)state_get_labels(&r, &arena, &ls); /* spoiled: nothing of it can be found */
        for (uint32_t i = 0; i < ls.count && ok; i++)
            ok =
                state_run(s, STATEMENT_LABEL_INDEX_DELETE, err, "ii",
                          (int64_t)history_pair_hash(&scratch, ls.items[i].name, ls.items[i].value),
                          fingerprint);
        ok = ok && state_run(s, STATEMENT_LABEL_SET_DELETE, err, "i", fingerprint);
        count++;
    }
    (void)sqlite_library.finalize(st);
    arena_deinit(&arena);
    buffer_deinit(&scratch);
    *more = count == 500;
    return sqlite_db_end(s->file.db, ok, err);
}

bool history_prune(struct alert_state *s, int64_t now_ns, struct error *err)
{
    static const struct pruned TABLES[] = {
        {STATEMENT_EPISODE_PRUNE, "SELECT count(*) FROM episodes", 1},
        {STATEMENT_NOTIFICATION_PRUNE, "SELECT count(*) FROM notifications", 1},
        {STATEMENT_NOTIFICATION_ALERT_PRUNE, "SELECT count(*) FROM notification_alerts", 4},
        {STATEMENT_ACK_PRUNE, "SELECT count(*) FROM acknowledgements", 1},
    };
    int64_t before = now_ns - s->options.history_retention_ms * NS_PER_MS,
            gone[ARRAY_COUNT(TABLES)];
    bool goes_on = true;
    for (size_t i = 0; i < ARRAY_COUNT(TABLES); i++) {
        bool by_notification = TABLES[i].which == STATEMENT_NOTIFICATION_ALERT_PRUNE;
        if (!prune(s, &TABLES[i], by_notification ? INT64_MIN : before, &goes_on, &gone[i], err))
            return false;
    }
    for (bool more = gone[0] > 0; more && goes_on; goes_on = alert_state_give_way(s))
        if (!prune_labels(s, &more, err))
            return false;
    return true;
}
